"""Holds until."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from mlflow_sensie.inference import HoldsUntil, MagnitudeGrid, PerturbationFit, ScoreScale, perturbation_test
from mlflow_sensie.inference.holds_until import Floor, crossings

PROBABILITY = ScoreScale(0, 1, "probability")
UNBOUNDED = ScoreScale(None, None, "target SD")
U = np.linspace(0, 1, 11)


def fit(rows: np.ndarray, scale: ScoreScale = PROBABILITY, **more: Any) -> PerturbationFit:
    """Run the test of a sweep from 0 to 1."""
    grid = MagnitudeGrid.of(
        more.pop("magnitudes", U[1:].tolist()), more.pop("neutral", 0.0), more.pop("log_distance", False)
    )
    return perturbation_test(rows, grid, scale, **more)


def holds(rows: np.ndarray, scale: ScoreScale = PROBABILITY, **more: Any) -> HoldsUntil:
    """Give the only side's."""
    return fit(rows, scale, **more).sides[0].holds


def steady(n: int, fall: float, level: float = 0.8) -> np.ndarray:
    """Give scores that all fall along the same line."""
    return np.tile(level - fall * U, (n, 1))


def test_the_first_crossing_is_found_between_points() -> None:
    found = holds(steady(5000, 0.2))
    assert found.value == pytest.approx(0.4) and not found.censored  # .8 - .2u = .72
    assert 0.3 < found.lo95 <= found.value
    dip = np.tile(0.8 - 0.3 * np.isin(np.arange(11), [3]), (5000, 1))
    assert holds(dip).value == pytest.approx(0.2 + 0.1 * 0.08 / 0.3)


def test_a_curve_that_never_falls_that_far_is_censored() -> None:
    found = fit(steady(5000, 0.01))
    assert (found.holds_until, found.censored) == (1.0, True)
    assert found.holds_until_lo95 == 1.0


def test_allowed_drops() -> None:
    rows = steady(5000, 0.2)
    assert holds(rows, allowed_drop=("absolute", 0.1)).value == pytest.approx(0.5)
    assert holds(rows - 2, UNBOUNDED, allowed_drop=0.1).value == pytest.approx(0.5, rel=2e-2)
    assert holds(rows, allowed_drop=0.125).value == pytest.approx(0.5)


def test_probability_is_that_of_the_margin_and_never_rises(rng: np.random.Generator) -> None:
    rows = np.clip(0.9 - rng.uniform(0, 0.5, (2000, 1)) * U + 0.02 * rng.normal(size=(2000, 11)), 0, 1)
    found = holds(rows)
    margin = rows[:, 4] - 0.9 * rows[:, 0]
    exact = stats.t.cdf(margin.mean() / (margin.std(ddof=1) / np.sqrt(2000)), 1999)
    assert found.prob_at_least(0.4) == pytest.approx(exact, abs=1e-9)
    probs = [found.prob_at_least(u) for u in np.linspace(0, 1.2, 200)]
    assert np.all(np.diff(probs) <= 1e-12) and probs[-1] == 0
    assert found.prob_at_least(found.value) == pytest.approx(0.5, abs=1e-6)
    assert found.prob_at_least(found.lo95) == pytest.approx(0.95, abs=1e-6)


def test_a_recovery_does_not_restore_it(rng: np.random.Generator) -> None:
    rows = np.tile(0.8 - 0.3 * (np.arange(11) == 4), (3000, 1)) + 0.05 * rng.normal(size=(3000, 11))
    assert holds(rows).prob_at_least(1.0) < 1e-6


def test_few_examples_may_not_hold_a_single_failure() -> None:
    found = holds(np.ones((30, 11)), allowed_drop=0.05)
    assert found.few_informative and found.lo95 < 0.5
    assert "few_for_holds_until" in fit(np.ones((30, 11)), allowed_drop=0.05).flags
    assert not holds(np.ones((400, 11)), allowed_drop=0.05).few_informative
    assert not holds(np.ones((200, 11)), allowed_drop=0.1).few_informative, "20 failures, whatever rounding does"


def test_two_sided_is_the_smaller_of_both() -> None:
    u = np.array([0, -3, -2, -1, 1, 2, 3])
    rows = np.tile(0.8 - np.where(u < 0, 0.02, 0.06) * np.abs(u), (5000, 1))
    found = fit(rows, magnitudes=[-3, -2, -1, 1, 2, 3])
    assert [side.holds.value for side in found.sides] == pytest.approx([3, 0.08 / 0.06], rel=1e-3)
    assert [side.holds.censored for side in found.sides] == [True, False]
    assert found.holds_until == pytest.approx(0.08 / 0.06, rel=1e-3) and not found.censored
    assert found.holds_until_lo95 == min(side.holds.lo95 for side in found.sides)


def test_without_a_neutral_it_starts_at_the_first_magnitude() -> None:
    rows = steady(5000, 0.2)
    found = fit(rows[:, [0, 2, 6]], magnitudes=[20, 60], neutral=None)
    assert found.holds_until == pytest.approx(40, rel=1e-3)
    broken = fit(rows[:, [0, 9, 10]], magnitudes=[20, 60], neutral=None)
    assert (broken.holds_until, broken.censored) == (20, False)


def test_examples_own_first_failures_are_counted() -> None:
    at = np.array([0.05, 0.05, 0.35, 2.0])
    rows = np.where(at[:, None] > U, 1.0, 0.0)
    assert fit(rows).sides[0].first_failed == (0, 2, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1)


def test_a_model_that_is_always_wrong_cannot_drop() -> None:
    found = fit(np.zeros((50, 11)))
    assert 0 <= found.holds_until_lo95 <= found.holds_until <= 1


def test_crossings_of_many_curves_are_those_of_each() -> None:
    grid = MagnitudeGrid.of([1.0, 2, 3, 4], 0.0)
    curves = np.array(
        [
            [0.8, 0.78, 0.72, 0.6, 0.5],
            [0.79, 0.76, 0.68, 0.55, 0.45],
            [0.8, 0.8, 0.8, 0.8, 0.8],
            [0.8, 0.5, 0.8, 0.8, 0.2],
            [0.8, 0.72, 0.72, 0.72, 0.72],
        ]
    )
    distances = crossings(grid.sides[0], curves, Floor.of(0.1, True))
    assert distances == pytest.approx([2, 1 + 0.049 / 0.08, 4, 0.08 / 0.3, 4])
    for curve, distance in zip(curves, distances, strict=True):
        alone = perturbation_test(np.tile(curve, (2000, 1)), grid, PROBABILITY)
        assert distance == pytest.approx(alone.holds_until, abs=1e-4)
