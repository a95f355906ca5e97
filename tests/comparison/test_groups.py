"""Differences of spreads: found where they are, honest where a model has none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from mlflow_sensie.comparison import Difference
from mlflow_sensie.comparison.groups import GroupPair
from mlflow_sensie.inference.weights import AS_THEY_ARE

Array = NDArray[np.float64]
PATTERN = np.array([-1.0, 0, 1, 0.5, -0.5])
PATTERN /= PATTERN.std(ddof=1)


def group_pair(group: NDArray[np.int64], a: Array, b: Array, groups: int, *, paired: bool = True) -> GroupPair:
    one, other = ((group, scores, AS_THEY_ARE) for scores in (a, b))
    return GroupPair.of(len(group), one, other, groups, 1.0, paired=paired)


def spread_of(
    rng: np.random.Generator, ours: Array, theirs: Array, each: int = 200, *, paired: bool = True
) -> Difference:
    group = np.repeat(np.arange(len(ours)), each)
    shared, own = rng.normal(size=(2, len(group)))
    a, b = (0.1 * shared + ours[group], 0.1 * (0.9 * shared + 0.44 * own) + theirs[group])
    pair = group_pair(group, a, b, len(ours), paired=paired)
    return replace(pair, informative=len(group) / 3 if paired else None).spread(rng)


@pytest.mark.parametrize(("ours", "theirs"), [(0.05, 0.05), (0.0, 0.05), (0.08, 0.02), (0.0, 0.0)])
def test_the_difference_of_spreads_is_found(rng: np.random.Generator, ours: float, theirs: float) -> None:
    truth = theirs - ours
    found = [spread_of(rng, 0.5 + ours * PATTERN, 0.5 + theirs * PATTERN) for _ in range(80)]
    assert np.mean([each.difference.value for each in found]) == pytest.approx(truth, abs=0.006)
    assert np.mean([each.difference.lo95 <= truth <= each.difference.hi95 for each in found]) >= 0.9
    assert np.mean([each.prob_worse_by_at_most(truth) >= 0.95 for each in found]) <= 0.1
    assert all(each.posterior.prob_below(truth + 0.05) > 0.99 for each in found)
    assert all(each.posterior.prob_above(truth - 0.05) > 0.99 for each in found)


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
    pair = group_pair(group, a.ravel(), b.ravel(), groups)
    assert pair.informative == pytest.approx((6 * 0.8**2 + 24 * 0.2**2) ** 2 / (6 * 0.8**4 + 24 * 0.2**4))
    few, many = (replace(pair, informative=count).spread(np.random.default_rng(1)) for count in (6.0, 300.0))
    assert few.few_informative and not many.few_informative
    assert few.difference.hi95 > 1.2 * many.difference.hi95


def test_levels_that_either_model_lacks_are_left_out(rng: np.random.Generator) -> None:
    group = np.repeat([0, 1, 2], 50)
    values = rng.random(150)
    assert len(group_pair(group, values, values, 4).a) == 3
    one, other = ((np.array(levels), np.array([1.0, 0, 1]), AS_THEY_ARE) for levels in ([0, 0, 1], [0, 0, 2]))
    with pytest.raises(ValueError, match="at least two groups with scores in both, not 1"):
        GroupPair.of(3, one, other, 3, 1.0, paired=False)
