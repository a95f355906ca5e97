"""Differences of spreads: found where they are, honest where a model has none."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mlflow_sensie.comparison import Difference
from mlflow_sensie.comparison.spreads import GroupPair, spread_difference
from mlflow_sensie.moments import GroupedMoments

Array = NDArray[np.float64]
PATTERN = np.array([-1.0, 0, 1, 0.5, -0.5])
PATTERN /= PATTERN.std(ddof=1)


def spread_of(
    rng: np.random.Generator, ours: Array, theirs: Array, each: int = 200, *, paired: bool = True
) -> Difference:
    group = np.repeat(np.arange(len(ours)), each)
    shared, own = rng.normal(size=(2, len(group)))
    a, b = (0.1 * shared + ours[group], 0.1 * (0.9 * shared + 0.44 * own) + theirs[group])
    sums = [GroupedMoments.of(group, values, len(ours)) for values in (a, b, b - a)]
    pair = GroupPair.of(sums[0], sums[1], sums[2] if paired else None, 1.0)
    return spread_difference(pair, len(group), float(len(group)) / 3 if paired else None, rng)


@pytest.mark.parametrize(("ours", "theirs"), [(0.05, 0.05), (0.0, 0.05), (0.08, 0.02), (0.0, 0.0)])
def test_the_difference_of_spreads_is_found(rng: np.random.Generator, ours: float, theirs: float) -> None:
    truth = theirs - ours
    found = [spread_of(rng, 0.5 + ours * PATTERN, 0.5 + theirs * PATTERN) for _ in range(80)]
    assert np.mean([each.difference.value for each in found]) == pytest.approx(truth, abs=0.006)
    assert np.mean([each.difference.lo95 <= truth <= each.difference.hi95 for each in found]) >= 0.9
    assert np.mean([each.prob_worse_by_at_most(truth) >= 0.95 for each in found]) <= 0.1
    assert all(each.prob_below(truth + 0.05) > 0.99 and each.prob_above(truth - 0.05) > 0.99 for each in found)


def test_pairing_makes_it_narrower(rng: np.random.Generator) -> None:
    width = {}
    for paired in (True, False):
        found = spread_of(rng, 0.5 + 0.08 * PATTERN, 0.5 + 0.06 * PATTERN, paired=paired).difference
        width[paired] = found.hi95 - found.lo95
    assert width[True] < 0.7 * width[False]


def test_few_changed_examples_widen_it(rng: np.random.Generator) -> None:
    """One group of 30 loses 6 examples: that many carry the difference, and their number is far from sure."""
    n, groups = 30, 10
    a = np.ones((groups, n))
    b = a.copy()
    b[3, :6] = 0
    group = np.repeat(np.arange(groups), n)
    sums = [GroupedMoments.of(group, values.ravel(), groups) for values in (a, b, b - a)]
    pair = GroupPair.of(*sums, 1.0)
    few, many = (spread_difference(pair, 300, carried, np.random.default_rng(1)) for carried in (6.0, 300.0))
    assert few.few_informative and not many.few_informative
    assert few.difference.hi95 > 1.2 * many.difference.hi95


def test_levels_that_either_model_lacks_are_left_out(rng: np.random.Generator) -> None:
    group = np.repeat([0, 1, 2], 50)
    values = rng.random(150)
    both = GroupedMoments.of(group, values, 4)
    assert len(GroupPair.of(both, both, both, 1.0).a) == 3
    with pytest.raises(ValueError, match="at least two groups with scores in both, not 1"):
        GroupPair.of(GroupedMoments.of([0, 0, 1], [1, 0, 1], 3), GroupedMoments.of([0, 0, 2], [1, 0, 1], 3), None, 1.0)
