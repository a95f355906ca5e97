"""How often chance alone makes a test "sensitive", and intervals of several tests that hold together."""

from __future__ import annotations

import numpy as np
import pytest

from mlflow_sensie.inference import (
    Interval,
    MagnitudeGrid,
    Posterior,
    PropertyFit,
    ScoreScale,
    category_test,
    decide,
    perturbation_test,
    property_span,
    property_test,
)
from mlflow_sensie.inference.decision import excludes_zero
from mlflow_sensie.inference.multiplicity import chance_of_sensitive
from mlflow_sensie.inference.posterior import Draws, Mixture

UNBOUNDED = ScoreScale(None, None, "target SD")
PROBABILITY = ScoreScale(0, 1, "probability")


@pytest.mark.parametrize("scale", [0.001, 0.01, 0.02, 0.1, 10])
@pytest.mark.parametrize("comparisons", [1, 10])
@pytest.mark.parametrize("df", [4.0, 200.0, None])
def test_it_is_the_share_of_estimates_without_an_effect_that_are_called_so(
    scale: float, comparisons: int, df: float | None
) -> None:
    rng = np.random.default_rng(5)
    estimates = scale * (rng.normal(size=4000) if df is None else rng.standard_t(df, 4000))
    posteriors = [Posterior(float(b), scale, df) for b in estimates]
    called = [
        decide(one.prob_abs_at_least(0.02), chance=not excludes_zero(one.summary(comparisons))) == "sensitive"
        for one in posteriors
    ]
    expected = chance_of_sensitive(Posterior(0.3, scale, df), 0.02, comparisons)
    assert np.mean(called) == pytest.approx(expected, abs=4 * np.sqrt(0.05 * 0.95 / 4000))
    assert expected <= 0.05 / comparisons + 1e-9


def test_a_wide_posterior_has_the_whole_chance_and_a_point_has_none() -> None:
    assert chance_of_sensitive(Posterior(0.0, 1e6, 50), 0.02) == pytest.approx(0.05)
    assert chance_of_sensitive(Posterior(0.0, 0.001, 50), 0.02) < 1e-12
    assert chance_of_sensitive(Posterior(0.4, 0.0, 50), 0.02) == 0


def test_other_posteriors_are_treated_alike(rng: np.random.Generator) -> None:
    expected = chance_of_sensitive(Posterior(0.0, 0.05, None), 0.02)
    one, half = np.ones(1), np.full(2, 0.5)
    assert chance_of_sensitive(Mixture.of(one, 0.2 * one, 0.05 * one), 0.02) == pytest.approx(expected)
    assert chance_of_sensitive(Mixture.of(half, 0.2 * np.ones(2), np.array([0.05, 0.05])), 0.02) == pytest.approx(
        expected
    )
    draws = Draws.of(0.2 + 0.05 * rng.normal(size=40_000))
    assert chance_of_sensitive(draws, 0.02) == pytest.approx(expected, abs=0.005)


def of_property(family: int) -> PropertyFit:
    rng = np.random.default_rng(1)
    p, y = rng.random(300), rng.random(300)
    return property_test(
        p, y, PROBABILITY, expected=y, span=property_span(p), edges=np.linspace(0, 1, 6), family=family
    )


def test_a_family_of_properties_widens_every_interval() -> None:
    alone, five = of_property(1), of_property(5)
    level = 1 - 0.05 / 5
    assert (five.effect.lo95, five.effect.hi95) == alone.posterior.interval(level)
    assert five.effect_bound95 == alone.posterior.bound(level)
    assert alone.unexpected_posterior is not None and five.unexpected is not None
    assert (five.unexpected.lo95, five.unexpected.hi95) == alone.unexpected_posterior.interval(level)
    assert alone.spread is not None and five.spread is not None
    assert five.spread.spread.hi95 == pytest.approx(alone.spread.posterior.quantile(1 - 0.025 / 5), rel=1e-3)
    assert (five.prob_sensitive, five.curve, five.departure) == (alone.prob_sensitive, alone.curve, alone.departure)
    again = five.with_posteriors([five.posterior])
    assert again.effect == five.effect and again.chance == five.chance < alone.chance / 3


def test_a_family_of_sweeps_widens_every_interval(rng: np.random.Generator) -> None:
    rows = np.clip(0.8 - rng.random((200, 1)) * np.array([0, 0.2, 0.1, 0.3]), 0, 1)
    alone, ten = (perturbation_test(rows, MagnitudeGrid.of([-1, 1, 2], 0), PROBABILITY, family=k) for k in (1, 10))
    worse = next(side for side in alone.sides if side.side == alone.worse)
    assert (ten.effect.lo95, ten.effect.hi95) == worse.posterior.interval(1 - 0.05 / 20)
    assert (ten.mean_drop.lo95, ten.mean_drop.hi95) == alone.mean_drop_posterior.interval(1 - 0.05 / 10)
    assert ten.max_drop_hi95 > alone.max_drop_hi95 and ten.max_drop == alone.max_drop
    assert ten.holds_until_lo95 < alone.holds_until_lo95 and ten.holds_until == alone.holds_until
    assert ten.sides[1].holds.prob_at_least(ten.sides[1].holds.lo95) == pytest.approx(1 - 0.05 / 10, abs=1e-4)
    again = ten.with_posteriors([side.posterior for side in ten.sides])
    assert again.effect == ten.effect


def test_a_family_of_categories_widens_the_spread(rng: np.random.Generator) -> None:
    level = rng.integers(0, 4, 400)
    y = (rng.random(400) < 0.8 + 0.05 * level / 3).astype(float)
    alone, four = (category_test(level, y, PROBABILITY, levels=list("abcd"), family=k) for k in (1, 4))
    wider: Interval = four.spread
    assert wider.value == alone.spread.value
    assert wider.lo95 < alone.spread.lo95 and wider.hi95 > alone.spread.hi95
    assert wider.hi95 == pytest.approx(alone.levels_spread.posterior.quantile(1 - 0.025 / 4), rel=1e-3)
    assert four.chance == alone.chance / 4


def test_with_a_family_a_larger_effect_is_needed_to_be_called_sensitive() -> None:
    p = np.linspace(0, 1, 400)
    y = 0.5 + 0.35 * np.sin(500 * p)
    y += (0.045 - np.polyfit(p, y, 1)[0]) * (p - 0.5) * 2.5
    alone, ten = (property_test(p, y, UNBOUNDED, span=(0, 1), rope=0.0, family=k) for k in (1, 10))
    assert alone.decision == "sensitive" and ten.decision == "undecided"
    assert (alone.significance, ten.significance) == ("high", "medium")
