"""Coverage by simulation: 500 data sets each, fixed seeds. The whole study is benchmarks/coverage.py."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mlflow_sensie.inference import Interval, MagnitudeGrid, ScoreScale, perturbation_test, property_span, property_test

pytestmark = pytest.mark.slow
PROBABILITY = ScoreScale(0, 1, "probability")
U = np.linspace(0, 1, 11)
SETS = 500
Draw = Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray]]
Rows = Callable[[np.random.Generator], np.ndarray]


def covered(intervals: list[Interval], truth: float) -> float:
    """Give the share of 95 % intervals that hold the truth."""
    return float(np.mean([one.lo95 <= truth <= one.hi95 for one in intervals]))


def slopes(draw: Draw) -> list[Interval]:
    """Fit many data sets of a property."""
    out = []
    for seed in range(SETS):
        p, y = draw(np.random.default_rng([11, seed]))
        out.append(property_test(p, y, PROBABILITY, span=property_span(p)).slope)
    return out


def sweeps(rows: Rows) -> tuple[list[Interval], list[Interval]]:
    """Fit many sweeps: their slopes and mean drops."""
    fits = []
    for seed in range(SETS):
        s = rows(np.random.default_rng([12, seed]))
        fits.append(perturbation_test(s, MagnitudeGrid.of(U[1:].tolist(), 0), PROBABILITY))
    return [fit.slope for fit in fits], [fit.mean_drop for fit in fits]


def ordinary(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Correctness that falls with p."""
    p = rng.random(500)
    return p, (rng.random(500) < 0.85 - 0.2 * p).astype(float)


def rare_failures(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """1.5 % failures, whatever p is."""
    return rng.random(200), (rng.random(200) > 0.015).astype(float)


def rare_flag(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A flag on 5 of 500 rows, without effect."""
    p = np.zeros(500)
    p[:5] = 1
    return p, (rng.random(500) < 0.9).astype(float)


def test_ordinary_property() -> None:
    assert 0.93 <= covered(slopes(ordinary), -0.2) <= 0.97


@pytest.mark.parametrize("draw", [rare_failures, rare_flag])
def test_hard_properties(draw: Draw) -> None:
    assert covered(slopes(draw), 0.0) >= 0.93


def test_ordinary_perturbation() -> None:
    def rows(rng: np.random.Generator) -> np.ndarray:
        return 0.9 - rng.beta(3, 5, size=(200, 1)) * U + 0.02 * rng.normal(size=(200, 11))

    slope, drop = sweeps(rows)
    assert 0.93 <= covered(slope, -0.375) <= 0.97
    assert 0.93 <= covered(drop, 0.375 / 2) <= 0.97


@pytest.mark.parametrize("percent", [1, 3, 5, 10])
def test_a_few_of_a_hundred_change(percent: int) -> None:
    slope, drop = sweeps(lambda rng: 1 - (rng.random((100, 1)) < percent / 100) * U)
    assert covered(slope, -percent / 100) >= 0.93
    assert covered(drop, percent / 200) >= 0.93


def test_holds_until_is_a_lower_bound() -> None:
    # The mean falls to .95 on the way to the first step, though a handful of failures may not show it.
    held = []
    for seed in range(SETS):
        rng = np.random.default_rng([13, seed])
        s = 1 - (rng.random((400, 1)) < 0.055) * (U > 0)
        fit = perturbation_test(s, MagnitudeGrid.of(U[1:].tolist(), 0), PROBABILITY, allowed_drop=0.05)
        held.append(fit.holds_until_lo95 <= 0.1 * 0.05 / 0.055)
    assert np.mean(held) >= 0.93
