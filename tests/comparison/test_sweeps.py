"""Differences of sweeps: those of the perturbation test on D where they are contrasts, and true where not."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from mlflow_sensie.comparison.contrasts import paired
from mlflow_sensie.comparison.sweeps import SweepPair, contrasts_of
from mlflow_sensie.inference import ScoreScale, perturbation_test
from mlflow_sensie.inference.grid import MagnitudeGrid
from mlflow_sensie.inference.holds_until import Floor
from mlflow_sensie.inference.posterior import SkewedT

Array = NDArray[np.float64]
PROBABILITY = ScoreScale(0.0, 1.0, "probability")
LINE = MagnitudeGrid.of([1.0, 2, 3, 4], 0.0)
FLOOR = Floor.of(0.1, True)
OURS, THEIRS = np.array([0.8, 0.78, 0.72, 0.6, 0.5]), np.array([0.79, 0.76, 0.68, 0.55, 0.45])


def two_sweeps(rng: np.random.Generator, n: int, ours: Array, theirs: Array, rho: float = 0.9) -> tuple[Array, Array]:
    """Scores (n, width) about these mean curves, with examples of their own level and noise in common."""
    shared, own = rng.normal(size=(2, n, 1)) + 0.5 * rng.normal(size=(2, n, len(ours)))
    return ours + 0.06 * shared, theirs + 0.06 * (rho * shared + np.sqrt(1 - rho**2) * own)


def pair_of(a: Array, b: Array, sweep: MagnitudeGrid = LINE) -> SweepPair:
    return SweepPair(sweep, paired(np.hstack([a, b - a]), contrasts_of(sweep), (0, 1)), (0, 1))


def test_contrasts_are_those_of_the_perturbation_test_on_the_differences(rng: np.random.Generator) -> None:
    a, b = two_sweeps(rng, 300, OURS, THEIRS)
    fit = perturbation_test(b - a, MagnitudeGrid.of(LINE.magnitudes, 0.0), ScoreScale(-1, 1, ""))
    pair = pair_of(a, b)
    drop, effect = pair.mean_drop(), pair.effect(rng)
    for found, expected in ((drop, fit.mean_drop_posterior), (effect, fit.sides[0].posterior)):
        assert isinstance(found.posterior, SkewedT)
        assert (found.difference.value, found.posterior.scale) == pytest.approx((expected.loc, expected.scale))
        assert found.b - found.a == pytest.approx(expected.loc)
    own = (b - a) @ LINE.contrasts()[:, 1]
    assert drop.posterior.skew == pytest.approx(stats.skew(own) / np.sqrt(300))  # type: ignore[union-attr]
    assert drop.informative == pytest.approx((((own - own.mean()) ** 2).sum()) ** 2 / ((own - own.mean()) ** 4).sum())


def test_few_changes_are_guarded() -> None:
    a = np.ones((100, 5))
    b = a.copy()
    b[3, 2] = 0
    found = pair_of(a, b).mean_drop()
    assert found.few_informative and found.informative == pytest.approx(1, abs=0.1) and found.difference.hi95 > 0.02
    nothing = pair_of(a, a).mean_drop()
    assert nothing.few_informative and nothing.difference.value == 0 and nothing.difference.hi95 > 0.01


def test_truth_lies_in_the_intervals(rng: np.random.Generator) -> None:
    """Mean drop, effect, holds until and the whole curve in 200 data sets, Monte Carlo error .015."""
    truth_of = pair_of(np.tile(OURS, (4000, 1)), np.tile(THEIRS, (4000, 1)))
    exact = truth_of.differences(truth_of.holding(FLOOR), rng)
    inside = {name: 0 for name in ("mean_drop", "effect", "holds_until", "curve")}
    for _ in range(200):
        pair = pair_of(*two_sweeps(rng, 120, OURS, THEIRS))
        for name, found in pair.differences(pair.holding(FLOOR), rng).items():
            if name in inside:
                low, high = found.difference.lo95, found.difference.hi95
                inside[name] += low <= exact[name].difference.value <= high
        curve = pair.curve(rng)
        truth = THEIRS - OURS
        inside["curve"] += bool(np.all((np.array(curve.lo95) <= truth) & (truth <= np.array(curve.hi95))))
    assert all(count >= 180 for count in inside.values()), inside
    assert inside["curve"] < 199 and inside["mean_drop"] < 199, inside


def test_worse_by_the_margin_passes_one_time_in_twenty(rng: np.random.Generator) -> None:
    """Where A has no effect at all, drawn sizes alone would let 20 % pass."""
    flat, falling = np.full(5, 0.7), np.linspace(0.7, 0.66, 5)
    found = [pair_of(*two_sweeps(rng, 100, flat, falling)).effect(rng) for _ in range(300)]
    assert np.mean([each.prob_worse_by_at_most(0.04) >= 0.95 for each in found]) <= 0.09
    assert np.mean([each.loss.prob_below(0.04) >= 0.95 for each in found]) >= 0.12


def test_two_sides_are_held_against_their_own_side(rng: np.random.Generator) -> None:
    sweep = MagnitudeGrid.of([-2.0, -1, 1, 2], 0.0)
    ours = np.array([0.8, 0.6, 0.7, 0.7, 0.6])
    worse = ours - np.array([0, 0.06, 0.03, 0, 0])
    found = [pair_of(*two_sweeps(rng, 100, ours, worse), sweep).effect(rng) for _ in range(200)]
    assert np.mean([each.prob_worse_by_at_most(0.06) >= 0.95 for each in found]) <= 0.1
    assert np.mean([each.difference.value for each in found]) == pytest.approx(-0.06, abs=0.005)
    assert np.mean([each.difference.lo95 <= -0.06 <= each.difference.hi95 for each in found]) >= 0.9


def test_a_side_that_stays_the_better_one_may_get_worse(rng: np.random.Generator) -> None:
    """The largest effect stays as it was, so B is no worse, though its better side falls a little more."""
    sweep = MagnitudeGrid.of([-2.0, -1, 1, 2], 0.0)
    ours = np.array([0.8, 0.3, 0.55, 0.78, 0.76])
    found = pair_of(*two_sweeps(rng, 400, ours, ours - np.array([0, 0, 0, 0.02, 0.04])), sweep).effect(rng)
    assert found.prob_worse_by_at_most(0.02) > 0.95


def test_a_model_that_never_fell_is_held_to_what_was_tested(rng: np.random.Generator) -> None:
    ours, theirs = np.array([0.8, 0.79, 0.78, 0.77, 0.76]), np.array([0.8, 0.78, 0.76, 0.74, 0.68])
    found = pair_of(*two_sweeps(rng, 2000, ours, theirs)).holding(FLOOR).difference("holds_until", rng)
    assert found.a == 4 and found.b < 3.6
    assert found.difference.value == pytest.approx(found.b - 4)
    assert found.prob_worse_by_at_most(1.0) > 0.95 > 0.05 > found.prob_worse_by_at_most(0.1)


def test_a_sweep_without_a_neutral_has_no_point_there(rng: np.random.Generator) -> None:
    pair = pair_of(*two_sweeps(rng, 100, OURS, THEIRS), MagnitudeGrid.of([1.0, 2, 3, 4], None))
    assert pair.curve(rng).p == (1, 2, 3, 4)
    assert pair_of(*two_sweeps(rng, 100, OURS, THEIRS)).curve(rng).p == (0, 1, 2, 3, 4)


def test_a_band_is_wider_than_the_intervals_of_its_points(rng: np.random.Generator) -> None:
    pair = pair_of(*two_sweeps(rng, 200, OURS, THEIRS))
    band = pair.curve(rng)
    for k, estimate in enumerate(pair.joint.points):
        low, high = estimate.posterior.interval()
        assert band.lo95[k] < low < band.difference[k] < high < band.hi95[k]
