"""Posteriors of differences: their probabilities, quantiles and draws agree."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from mlflow_sensie.inference.posterior import OrderStatistics, SkewedT


def test_without_skewness_it_is_students_t() -> None:
    found = SkewedT(1.0, 2.0, 7.0)
    assert found.prob_below(2.5) == pytest.approx(stats.t(7, 1, 2).cdf(2.5))
    assert found.prob_above(2.5) == pytest.approx(stats.t(7, 1, 2).sf(2.5))
    assert found.interval() == pytest.approx(stats.t(7, 1, 2).interval(0.95))
    assert SkewedT(0.0, 1.0).quantile(0.975) == pytest.approx(1.959964)


@pytest.mark.parametrize("skew", [-0.8, -0.05, 0.0, 0.3, 1.2])
@pytest.mark.parametrize("probability", [0.001, 0.05, 0.5, 0.95, 0.999])
def test_quantiles_invert_probabilities(skew: float, probability: float) -> None:
    found = SkewedT(-3.0, 0.5, 12.0, skew)
    assert found.prob_below(found.quantile(probability)) == pytest.approx(probability)
    turned = found.scaled(-2)
    assert turned.prob_above(-2 * found.quantile(probability)) == pytest.approx(probability)


def test_a_point_is_where_it_is() -> None:
    found = SkewedT(0.0, 0.0)
    assert (found.prob_below(0), found.prob_above(0), found.prob_below(-1e-9)) == (1, 1, 0)
    assert found.interval() == (0, 0)


def test_skewness_calls_a_mean_of_rare_losses_lower_no_more_often_than_it_should(rng: np.random.Generator) -> None:
    """Losses of 2 % of 1,000 examples: the t calls 7 % of them clearly smaller than 2 %."""
    passed, plain = 0, 0
    for _ in range(1500):
        d = -(rng.random(1000) < 0.02).astype(float)
        found = SkewedT(d.mean(), d.std(ddof=1) / 1000**0.5, 999.0, stats.skew(d) / 1000**0.5)
        passed += found.prob_above(-0.02) >= 0.95
        plain += replace(found, skew=0.0).prob_above(-0.02) >= 0.95
    assert passed <= 0.05 * 1500 < plain


def test_draws_keep_what_is_equal() -> None:
    found = OrderStatistics.of(np.r_[np.zeros(3000), np.linspace(1, 2, 1000)])
    assert found.prob_below(0) == found.prob_below(0.999) == 0.75
    assert found.prob_above(0) == 1 and found.prob_above(1e-9) == 0.25
    assert found.scaled(-1).prob_below(-1) == 0.25
    assert OrderStatistics.of(np.zeros(10)).interval() == (0, 0)


def test_draws_of_a_normal_have_its_quantiles(rng: np.random.Generator) -> None:
    found = OrderStatistics.of(3 + 2 * rng.normal(size=100_000)).summary(value=3.0)
    assert (found.value, found.lo50, found.hi50) == pytest.approx((3, 3 - 1.349, 3 + 1.349), abs=0.03)
    assert (found.lo95, found.hi95) == pytest.approx((3 - 3.92, 3 + 3.92), abs=0.06)


@pytest.mark.parametrize("skew", [0.0, 1e-18, -1e-12, 1e-6, 0.1, -0.3])
def test_no_skewness_is_too_small_to_reckon_with(skew: float) -> None:
    """That of symmetric scores is rounding alone."""
    found, plain = SkewedT(0.3, 0.1, 50.0, skew), SkewedT(0.3, 0.1, 50.0)
    for x in (0.1, 0.3, 0.45):
        assert found.prob_below(x) == pytest.approx(plain.prob_below(x), abs=abs(skew))
        assert found.quantile(found.prob_below(x)) == pytest.approx(x)
