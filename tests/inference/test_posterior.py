"""Posteriors: Student's t, skewed or not, mixtures of normals, and draws."""

from __future__ import annotations

import math
from dataclasses import astuple, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mlflow_sensie.inference import AnyPosterior, Draws, Mixture, OrderStatistics, Posterior, SkewedT

DF = [1.0, 2.0, 7.5, 1000.0, None]


def frozen(posterior: Posterior) -> stats.rv_continuous:
    """Give scipy's own."""
    if posterior.df is None:
        return stats.norm(posterior.loc, posterior.scale)
    return stats.t(posterior.df, posterior.loc, posterior.scale)


@pytest.mark.parametrize("df", DF)
def test_agrees_with_scipy(df: float | None) -> None:
    found = Posterior(-0.3, 0.2, df)
    scipy = frozen(found)
    assert found.interval(0.9) == pytest.approx(scipy.interval(0.9))
    assert found.prob_below(0.1) == pytest.approx(scipy.cdf(0.1))
    assert found.prob_above(0.1) == pytest.approx(scipy.sf(0.1), rel=1e-9)
    assert found.prob_abs_at_least(0.02) == pytest.approx(scipy.sf(0.02) + scipy.cdf(-0.02))


@pytest.mark.parametrize("df", DF)
@pytest.mark.parametrize("loc", [-5.0, -0.1, 0.0, 1e-9, 3.0])
@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_bound_holds_exactly_its_level(df: float | None, loc: float, level: float) -> None:
    found = Posterior(loc, 0.4, df)
    b, scipy = found.bound(level), frozen(found)
    assert scipy.cdf(b) - scipy.cdf(-b) == pytest.approx(level, abs=1e-9)


def test_a_point_has_no_width() -> None:
    point = Posterior(-0.2, 0.0, 9.0)
    assert point.interval(0.95) == (-0.2, -0.2)
    assert point.bound() == 0.2
    assert (point.prob_above(-0.2), point.prob_above(0), point.prob_below(0)) == (1, 0, 1)
    assert (point.prob_abs_at_least(0.1), point.prob_abs_at_least(0.3)) == (1, 0)
    assert Posterior(0.0, 0.0, 9.0).prob_abs_at_least(0.0) == 1


def test_choosing_among_two_widens_the_intervals() -> None:
    one, two = Posterior(0, 1, None).summary(), Posterior(0, 1, None).summary(2)
    assert two.hi95 == pytest.approx(stats.norm.ppf(1 - 0.025 / 2))
    assert two.hi50 == pytest.approx(stats.norm.ppf(1 - 0.25 / 2))
    assert one.hi95 < two.hi95


@given(
    st.floats(-1e6, 1e6),
    st.floats(1e-9, 1e6),
    st.none() | st.floats(1, 1e6),
    st.floats(-100, 100).filter(bool),
)
def test_intervals_are_nested_and_scale(loc: float, scale: float, df: float | None, factor: float) -> None:
    posterior = Posterior(loc, scale, df)
    found = posterior.summary()
    assert found.lo95 <= found.lo50 <= found.value <= found.hi50 <= found.hi95
    scaled = posterior.scaled(factor).summary()
    ends = sorted([found.lo95 * factor, found.hi95 * factor])
    assert [scaled.lo95, scaled.hi95] == pytest.approx(ends, rel=1e-6, abs=1e-6 * scale)


# ------------------------------------------------------------ mixtures and draws

PARTS = np.array([0.2, 0.5, 0.3]), np.array([-1.0, 0.5, 2.0]), np.array([0.3, 1.0, 0.1])


def mixture_cdf(x: float) -> float:
    weights, means, sds = PARTS
    return float(weights @ stats.norm.cdf(x, means, sds))


def draws() -> np.ndarray:
    return np.random.default_rng(0).gamma(3.0, 0.2, 4000) - 0.3


ALL = [Mixture.of(*PARTS), Draws.of(draws()), Posterior(-0.3, 0.2, 5.0)]


def test_a_mixture_is_what_its_parts_make_it() -> None:
    found = Mixture.of(10 * PARTS[0], *PARTS[1:])
    for x in (-3.0, -1.0, 0.0, 1.9, 2.05, 4.0):
        assert found.prob_below(x) == pytest.approx(mixture_cdf(x), rel=1e-12)
        assert found.prob_above(x) == pytest.approx(1 - mixture_cdf(x), abs=1e-12)
    for q in (1e-6, 0.025, 0.2, 0.5, 0.9, 1 - 1e-6):
        assert mixture_cdf(found.quantile(q)) == pytest.approx(q, rel=1e-9)
    sample = np.random.default_rng(0).choice(3, 400_000, p=PARTS[0])
    sample = np.random.default_rng(1).normal(PARTS[1][sample], PARTS[2][sample])
    assert found.scale == pytest.approx(sample.std(), rel=0.01)
    assert found.prob_above(9.0) == pytest.approx(0.5 * stats.norm.sf(8.5), rel=1e-9), "exact in the tail"


@pytest.mark.parametrize("sd", [1e-9, 1.0])
def test_a_mixture_of_one_is_a_normal(sd: float) -> None:
    for k in (1, 5):
        found = Mixture.of(np.full(k, 1 / k), np.full(k, 0.1), np.full(k, sd))
        low, high = stats.norm.interval(0.95, 0.1, sd)
        assert found.interval() == pytest.approx((low, high), rel=1e-12, abs=1e-12 * sd)


def test_draws_are_read_off_as_numpy_does() -> None:
    sample = draws()
    found = Draws.of(sample)
    assert (found.loc, found.scale) == (np.median(sample), sample.std())
    for q in (0.0, 0.001, 0.0125, 0.025, 0.25, 0.5, 0.975, 1.0):
        assert found.quantile(q) == pytest.approx(np.quantile(sample, q), abs=0.004)
    for x in (-1.0, -0.2, 0.0, 0.02, 0.7, 9.0):
        assert found.prob_below(x) == pytest.approx((sample <= x).mean(), abs=5e-4)
        assert found.prob_above(x) == pytest.approx((sample >= x).mean(), abs=5e-4)
    assert (found.prob_above(9.0), found.prob_below(-1.0)) == (0, 0), "nothing lies beyond the draws"


@pytest.mark.parametrize("found", ALL, ids=lambda found: found.family)
def test_every_posterior_keeps_the_same_promises(found: AnyPosterior) -> None:
    summary = found.summary()
    assert summary.value == found.loc == pytest.approx(found.quantile(0.5))
    assert summary.lo95 < summary.lo50 < summary.value < summary.hi50 < summary.hi95
    for level in (0.5, 0.95):
        b = found.bound(level)
        assert found.prob_below(b) - found.prob_below(-b) == pytest.approx(level, abs=1e-9)
    assert found.prob_abs_at_least(0.0) == 1 > found.prob_abs_at_least(0.1) > 0
    for factor in (3.0, -0.5):
        scaled = found.scaled(factor)
        ends = sorted(factor * end for end in found.interval())
        assert scaled.interval() == pytest.approx(tuple(ends))
        assert scaled.prob_below(0.1 * factor) == pytest.approx(
            found.prob_below(0.1) if factor > 0 else found.prob_above(0.1)
        )
        assert scaled.scale == pytest.approx(abs(factor) * found.scale)
    assert math.isclose(found.summary().scaled(2.0).hi95, found.scaled(2.0).summary().hi95)


def test_a_density_on_a_grid_is_summarised_as_its_draws_would_be() -> None:
    values = np.linspace(-4, 10, 4001)
    mass = np.append(0, np.diff(stats.norm(3, 1.5).cdf(values)))
    found = Draws.on_grid(values, mass / mass.sum())
    assert found.loc == pytest.approx(3, abs=1e-3)
    assert found.scale == pytest.approx(1.5, rel=1e-3)
    for x in (0.0, 2.5, 6.0):
        assert found.prob_below(x) == pytest.approx(stats.norm(3, 1.5).cdf(x), abs=1e-3)


def test_a_negated_interval_is_that_of_the_negated_value() -> None:
    found = Posterior(0.2, 0.1, 9.0)
    turned, expected = found.summary().negated(), found.scaled(-1.0).summary()
    assert astuple(turned) == pytest.approx(astuple(expected))
    assert turned.lo95 < turned.lo50 < turned.value < turned.hi50 < turned.hi95
    assert turned.negated() == found.summary()


# --- of differences ----------------------------------------------------------------------------------------


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
