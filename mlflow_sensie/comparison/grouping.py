"""The sums of two models' clean scores by level of a category, class, or bin of a property."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from mlflow_sensie.comparison.contrasts import Rng
from mlflow_sensie.comparison.difference import Difference
from mlflow_sensie.comparison.pairing import Pairing
from mlflow_sensie.comparison.spreads import GroupPair, spread_difference
from mlflow_sensie.inference import ScoreScale
from mlflow_sensie.moments import FloatArray, GroupedMoments, PowerSums
from mlflow_sensie.scores import CLEAN

Grouped = Callable[[], Iterator[tuple[NDArray[np.int64], FloatArray]]]


def compare_spreads(
    pairing: Pairing, column: str, cuts: FloatArray | None, count: int, scale: ScoreScale, rng: Rng
) -> Difference:
    """Compare the spreads between ``count`` levels, or between the bins that ``cuts`` make of a property.

    Raises ComparisonError for fewer than two groups with scores in both.
    """
    low, high = pairing.reach([CLEAN], scale)
    if not pairing.paired:
        a, b = (_sums(_of_table(pairing, side, column, cuts), count) for side in (0, 1))
        return spread_difference(GroupPair.of(a, b, None, high - low), int(min(a.n.sum(), b.n.sum())), None, rng)

    def rows(of: int) -> Grouped:
        def groups() -> Iterator[tuple[NDArray[np.int64], FloatArray]]:
            for ours, theirs in pairing.blocks([column, CLEAN]):
                a, b = ours[CLEAN], theirs[CLEAN]
                kept = np.isfinite(a) & np.isfinite(b)
                yield _groups(ours[column], cuts)[kept], (a, b, b - a)[of][kept]

        return groups

    a, b, step = (_sums(rows(of), count) for of in range(3))
    pair = GroupPair.of(a, b, step, high - low)
    return spread_difference(pair, int(step.n.sum()), _informative(rows(2), step), rng)


def _of_table(pairing: Pairing, side: int, column: str, cuts: FloatArray | None) -> Grouped:
    def groups() -> Iterator[tuple[NDArray[np.int64], FloatArray]]:
        for block in (pairing.a, pairing.b)[side].blocks([column, CLEAN]):
            kept = np.isfinite(block[CLEAN])
            yield _groups(block[column], cuts)[kept], block[CLEAN][kept]

    return groups


def _groups(values: FloatArray, cuts: FloatArray | None) -> NDArray[np.int64]:
    """Give the numbers of levels or bins, -1 for a missing value."""
    if cuts is None:
        return np.asarray(values, np.int64)
    return np.where(np.isfinite(values), np.searchsorted(cuts, values, side="right"), -1)


def _sums(rows: Grouped, count: int) -> GroupedMoments:
    sums = GroupedMoments.empty(count)
    for group, values in rows():
        sums += GroupedMoments.of(group[group >= 0], values[group >= 0], count)
    return sums


def _informative(rows: Grouped, step: GroupedMoments) -> float:
    """Count the examples that carry the spread of the groups' differences."""
    present = step.n > 0
    weight = np.where(present, (step.mean - step.mean[present].mean()) / np.maximum(step.n, 1), 0.0)
    sums = PowerSums.empty(1)
    for group, values in rows():
        group, values = group[group >= 0], values[group >= 0]
        sums += PowerSums.of((weight[group] * (values - step.mean[group]))[:, None])
    return float(sums.informative()[0])
