"""Curves and lines."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from mlflow_sensie.inference import MagnitudeGrid, ScoreScale
from mlflow_sensie.inference.curve import Line, curve_of
from mlflow_sensie.inference.weights import GroupedMoments

PROBABILITY = ScoreScale(0, 1, "probability")
UNBOUNDED = ScoreScale(None, None, "target SD")


def test_points_are_means_with_t_intervals(rng: np.random.Generator) -> None:
    y = rng.beta(5, 5, size=50)
    curve = curve_of(GroupedMoments.of(np.zeros(50), y, 1, 0, 1), [0.5], ["all"], PROBABILITY)
    low, high = stats.t(49, y.mean(), y.std(ddof=1) / np.sqrt(50)).interval(0.95)
    assert [curve.score[0], curve.sd[0], curve.lo95[0], curve.hi95[0]] == pytest.approx(
        [y.mean(), y.std(ddof=1), low, high]
    )
    assert (curve.n, curve.hatched, curve.label, curve.p) == ((50,), (False,), ("all",), (0.5,))


def test_intervals_stay_within_the_scores_bounds() -> None:
    y = np.array([1.0, 1.0, 0.9])
    bounded = curve_of(GroupedMoments.of(np.zeros(3), y, 1, 0, 1), [0], ["a"], PROBABILITY)
    free = curve_of(GroupedMoments.of(np.zeros(3), y, 1), [0], ["a"], UNBOUNDED)
    assert bounded.hi95 == (1.0,)
    assert free.hi95[0] is not None and free.hi95[0] > 1


def test_what_no_or_one_example_cannot_tell_is_none() -> None:
    sums = GroupedMoments.of([1], [0.4], 2, 0, 1)
    bounded, free = (curve_of(sums, [0, 1], ["a", "b"], scale) for scale in (PROBABILITY, UNBOUNDED))
    assert (bounded.score, bounded.sd, bounded.n) == ((None, 0.4), (None, None), (0, 1))
    assert (bounded.lo95, bounded.hi95) == ((None, 0.0), (None, 1.0)), "one example: anything is possible"
    assert (free.lo95, free.hi95) == ((None, None), (None, None))


@pytest.mark.parametrize(
    ("scores", "hatched"),
    [
        ([0.3, 0.5] * 9, True),  # 18 examples
        ([0.3, 0.5] * 10, False),
        ([1.0] * 96 + [0.0] * 4, True),  # 4 of the minority
        ([1.0] * 95 + [0.0] * 5, False),
        ([0.0] * 96 + [0.2] * 4, True),
        ([0.7] * 100, True),  # no spread at all
    ],
)
def test_points_with_little_evidence_are_hatched(scores: list[float], hatched: bool) -> None:
    curve = curve_of(GroupedMoments.of(np.zeros(len(scores)), scores, 1, 0, 1), [0], ["a"], PROBABILITY)
    assert curve.hatched == (hatched,)


def test_distance() -> None:
    assert_allclose(MagnitudeGrid.of([1, 5], 2).distance([1, 2, 5]), [1, 0, 3])
    assert_allclose(MagnitudeGrid.of([0.5, 2], 1, True).distance([0.5, 1, 2]), [np.log(2), 0, np.log(2)])
    assert_allclose(MagnitudeGrid.of([3, 4], None).distance([3, 4]), [3, 4])


def test_a_line_is_straight_in_its_distance() -> None:
    line = Line("above", 1, 4, 1.0, True, np.log(2), 0.7, -0.1, 0.01, 0.04, 0.0, None)
    mean, low, high = line.at([1, 2, 4])
    assert_allclose(mean, 0.7 - 0.1 * (np.log([1, 2, 4]) - np.log(2)))
    assert_allclose((high - low)[1] / 2, 1.959964 * 0.1, rtol=1e-6)
    assert (high - low)[0] == pytest.approx((high - low)[2]) and (high - low)[0] > (high - low)[1]
    assert line.at(2.0)[0].shape == ()
