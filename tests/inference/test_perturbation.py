"""The perturbation test."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from inference.fit_numbers import numbers_of
from numpy.testing import assert_allclose
from scipy import stats
from scipy.integrate import trapezoid

from mlflow_sensie.inference import MagnitudeGrid, PerturbationFit, ScoreScale, perturbation_test

PROBABILITY = ScoreScale(0, 1, "probability")
UNBOUNDED = ScoreScale(None, None, "target SD")
LOSS = ScoreScale(None, 0, "target SD")


def fit(
    rows: np.ndarray,
    magnitudes: list[float],
    neutral: float | None = 0.0,
    scale: ScoreScale = PROBABILITY,
    **more: Any,
) -> PerturbationFit:
    """Run the test over a single block."""
    grid = MagnitudeGrid.of(magnitudes, neutral, more.pop("log_distance", False))
    return perturbation_test(rows, grid, scale, **more)


def falling(rng: np.random.Generator, n: int = 200, u: Any = (0, 1, 2, 3)) -> np.ndarray:
    """Give scores whose slopes differ between examples."""
    base, slope = rng.uniform(0.7, 0.9, (n, 1)), rng.uniform(-0.2, 0, (n, 1))
    return base + slope * np.array(u) + 0.02 * rng.normal(size=(n, len(u)))


# ------------------------------------------------------------ exactness


def test_slope_is_that_of_each_examples_own_line(rng: np.random.Generator) -> None:
    rows, u = falling(rng), np.array([0, 1, 2, 3.0])
    found = fit(rows, [1, 2, 3])
    slopes = np.array([np.polyfit(u, row, 1)[0] for row in rows])
    low, high = stats.t(199, slopes.mean(), slopes.std(ddof=1) / np.sqrt(200)).interval(0.95)
    assert_allclose([found.slope.value, found.slope.lo95, found.slope.hi95], [slopes.mean(), low, high], rtol=1e-10)
    assert_allclose(found.effect.value, 3 * found.slope.value)
    assert_allclose(found.effect.lo95, 3 * found.slope.lo95)
    assert found.plain_effect == found.effect and found.flags == ()


def test_drops_are_those_of_the_rows(rng: np.random.Generator) -> None:
    rows = falling(rng, u=(0, 1, 2, 5))
    found = fit(rows, [1, 2, 5])
    own = rows[:, 0] - trapezoid(rows, [0, 1, 2, 5], axis=1) / 5
    low, high = stats.t(199, own.mean(), own.std(ddof=1) / np.sqrt(200)).interval(0.95)
    assert_allclose([found.mean_drop.value, found.mean_drop.lo95, found.mean_drop.hi95], [own.mean(), low, high])
    drop = rows[:, 0] - rows[:, 3]
    assert_allclose(found.max_drop, drop.mean())
    assert_allclose(found.max_drop_hi95, drop.mean() + stats.t.ppf(0.975, 199) * drop.std(ddof=1) / np.sqrt(200))
    assert found.max_drop_at == 5


def test_the_grid_hardly_matters_for_the_mean_drop() -> None:
    u = np.linspace(0, 1, 21)
    curve = 0.9 - 0.4 * u**2
    fine = fit(np.tile(curve, (50, 1)), u[1:].tolist())
    chosen = [0, 1, 2, 3, 4, 6, 8, 10, 13, 16, 20]
    coarse = fit(np.tile(curve[chosen], (50, 1)), u[chosen[1:]].tolist())
    assert fine.mean_drop.value == pytest.approx(coarse.mean_drop.value, abs=2e-3)


@pytest.mark.parametrize("size", [1, 7, 64])
def test_blocks_of_rows_change_nothing(size: int, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = falling(rng, 100)
    rows[3, 2] = np.nan
    whole = fit(rows, [1, 2, 3])
    monkeypatch.setattr("mlflow_sensie.inference.weights.ROWS", size)
    parts = fit(rows, [1, 2, 3])
    assert_allclose(list(numbers_of(parts).values()), list(numbers_of(whole).values()), rtol=1e-9)
    assert (parts.n, parts.n_dropped, parts.flags) == (99, 1, ("few_for_holds_until", "dropped"))
    assert parts.sides[0].first_failed == whole.sides[0].first_failed


def test_the_curve_counts_the_neutral_once(rng: np.random.Generator) -> None:
    rows = falling(rng, u=(0, -2, -1, 1))
    curve = fit(rows, [-2, -1, 1]).curve
    assert curve.p == (-2, -1, 0, 1) and curve.label == ("-2", "-1", "0", "1")
    assert_allclose(curve.score, rows[:, [1, 2, 0, 3]].mean(0))
    assert_allclose(curve.sd, rows[:, [1, 2, 0, 3]].std(0, ddof=1))
    assert curve.n == (200,) * 4


# ------------------------------------------------------------ sides and neutrals


def test_two_sides_that_would_cancel_do_not(rng: np.random.Generator) -> None:
    angles = [-45.0, -30, -15, 15, 30, 45]
    loss = rng.uniform(0, 1.4, (300, 1)) / 45
    rows = 0.88 - loss * np.abs([0, *angles]) + 0.01 * rng.normal(size=(300, 7))
    found = fit(rows, angles)
    assert found.effect.hi95 < -0.5
    metrics = numbers_of(found)
    assert metrics["below_effect"] == pytest.approx(-45 * loss.mean(), abs=0.01)
    assert metrics["above_effect"] == pytest.approx(-45 * loss.mean(), abs=0.01)
    assert metrics["effect"] == min(metrics["below_effect"], metrics["above_effect"])
    assert metrics["holds_until"] == min(metrics["holds_until_below"], metrics["holds_until_above"])
    assert [side.side for side in found.sides] == ["below", "above"]
    assert found.mean_drop.value == pytest.approx(45 * loss.mean() / 2, abs=0.01)


def test_the_worse_side_has_wider_intervals(rng: np.random.Generator) -> None:
    rows = falling(rng, u=(0, -1, 1))
    rows[:, 2] += 0.1
    found = fit(rows, [-1, 1])
    worse = next(side for side in found.sides if side.side == found.worse)
    assert found.effect.value == worse.effect.value
    assert found.effect.lo95 < worse.effect.lo95 and found.effect.hi95 > worse.effect.hi95
    level = 1 - 0.05 / 2
    assert (found.effect.lo95, found.effect.hi95) == pytest.approx(worse.posterior.interval(level))


def test_a_side_that_improves_is_a_change_too(rng: np.random.Generator) -> None:
    rows = 0.5 + 0.01 * rng.normal(size=(300, 3)) + np.array([0, 0, 0.2])
    found = fit(rows, [-1, 1])
    assert found.worse == "below" and abs(found.effect.value) < 0.01
    assert found.decision == "sensitive" and found.effect_bound95 > 0.15
    assert found.significance == "high"


def test_below_the_neutral_a_fall_away_from_it_is_negative(rng: np.random.Generator) -> None:
    quality = np.array([10, 40, 70.0])
    rows = np.column_stack([np.full(100, 0.9), 0.9 - 0.004 * (100 - quality) + 0.02 * rng.normal(size=(100, 3))])
    found = fit(rows, quality.tolist(), 100)
    assert found.slope.value == pytest.approx(-0.004, rel=0.05)
    assert found.effect.value == pytest.approx(-0.36, rel=0.05)
    assert found.worse == "below" and "below_effect" not in numbers_of(found)
    assert found.sides[0].line.at([100, 10])[0] == pytest.approx([0.9, 0.54], abs=0.01)
    assert found.max_drop_at == 10


def test_factors_are_measured_on_a_logarithmic_distance() -> None:
    p = np.array([0.25, 0.5, 2, 4])
    rows = np.tile(0.9 - 0.1 * np.abs(np.log(np.append(1, p))), (50, 1))
    found = fit(rows, p.tolist(), 1.0, log_distance=True)
    assert found.slope.value == pytest.approx(-0.1, rel=0.1)  # guarded, for nothing differs between examples
    assert found.plain_effect.value == pytest.approx(-0.1 * np.log(4))
    assert found.departure.size == pytest.approx(0, abs=1e-9)
    assert found.sides[1].line.at(2.0)[0] == pytest.approx(0.9 - 0.1 * np.log(2), abs=0.01)


def test_without_a_neutral_the_clean_score_is_no_point_of_the_fit(rng: np.random.Generator) -> None:
    rows = falling(rng, u=(0, 2, 4, 8))
    rows[:, 0] += 0.1
    found = fit(rows, [2, 4, 8], None)
    slopes = np.polyfit([2, 4, 8], rows[:, 1:].T, 1)[0]
    assert found.slope.value == pytest.approx(slopes.mean())
    assert found.effect.value == pytest.approx(6 * slopes.mean())
    assert found.curve.p == (2, 4, 8)
    average = trapezoid(rows[:, 1:], [2, 4, 8], axis=1) / 6
    assert found.mean_drop.value == pytest.approx((rows[:, 0] - average).mean())
    assert found.sides[0].holds.distances == (2, 4, 8)


def test_one_magnitude_beside_the_neutral_is_enough(rng: np.random.Generator) -> None:
    rows = falling(rng, u=(0, 1))
    found = fit(rows, [1])
    drop = (rows[:, 0] - rows[:, 1]).mean()
    assert found.effect.value == pytest.approx(-drop) and found.max_drop == pytest.approx(drop)
    assert found.mean_drop.value == pytest.approx(drop / 2)
    assert found.departure.size == 0


@pytest.mark.parametrize(
    ("magnitudes", "more", "words"),
    [
        ([1], {"neutral": None}, "at least two magnitudes"),
        ([], {}, "at least one"),
        ([2, 1], {}, "ascending"),
        ([1, np.nan], {}, "finite"),
        ([0, 1], {}, "not among the magnitudes"),
        ([1, 2], {"neutral": None, "log_distance": True}, "needs a neutral"),
        ([-1, 2], {"neutral": 1, "log_distance": True}, "above 0"),
        ([1, 2], {"allowed_drop": -0.1}, "allowed_drop"),
        ([1, 2], {"allowed_drop": ("relative", 0.1)}, "allowed_drop"),
    ],
)
def test_what_it_cannot_use_is_named(magnitudes: list[float], more: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        fit(np.full((10, len(magnitudes) + 1), 0.5), magnitudes, **more)


def test_too_few_examples_are_an_error() -> None:
    rows = np.full((5, 3), 0.5)
    rows[1:, 2] = np.nan
    with pytest.raises(ValueError, match=r"not 1 \(4 dropped\)"):
        fit(rows, [1, 2])
    with pytest.raises(ValueError, match="need 4 columns"):
        fit(rows, [1, 2, 3])


# ------------------------------------------------------------ little evidence


def test_a_handful_of_changes_is_guarded() -> None:
    rows = np.ones((100, 3))
    rows[:2, 1:] = 0
    found = fit(rows, [1, 2])
    assert "few_informative" in found.flags
    assert found.effect.lo95 < found.plain_effect.lo95 and found.effect.hi95 > found.plain_effect.hi95
    assert found.mean_drop.hi95 > 2 * 0.75 * 0.02


def test_pseudo_examples_change_as_much_as_can_be() -> None:
    found = fit(np.ones((8, 2)), [1])
    own = np.array([0] * 8 + [1, -1])
    low, high = stats.t(9, 0, own.std(ddof=1) / np.sqrt(10)).interval(0.95)
    assert (found.effect.lo95, found.effect.hi95) == pytest.approx((low, high))


def test_scores_that_never_change_leave_honest_doubt() -> None:
    for n in (2, 30, 1000):
        for level in (0.3, 1.0):
            found = fit(np.full((n, 4), level), [1, 2, 3])
            assert found.effect.lo95 < 0 < found.effect.hi95 and found.max_drop_hi95 > 0
            assert found.decision != "sensitive"
            assert found.effect.value == pytest.approx(0, abs=1e-12)


def test_unbounded_scores_of_any_size_give_the_same_answer(rng: np.random.Generator) -> None:
    rows = -rng.exponential(size=(100, 1)) - np.exp(rng.normal(size=(100, 1))) * np.array([0, 1, 2])
    one = fit(rows, [1, 2], scale=LOSS, allowed_drop=0.5)
    ten = fit(10 * rows, [1, 2], scale=LOSS, allowed_drop=5)
    assert one.effect.hi95 < 0
    assert_allclose(ten.effect.lo95, 10 * one.effect.lo95)
    assert_allclose(ten.holds_until_lo95, one.holds_until_lo95)
