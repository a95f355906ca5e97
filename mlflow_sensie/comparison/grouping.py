"""The sums of two models' clean scores by level of a category, class, or bin of a property."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from mlflow_sensie.comparison.contrasts import Rng
from mlflow_sensie.comparison.difference import Difference
from mlflow_sensie.comparison.pairing import SIDES, Pairing, Side, design_columns, design_of
from mlflow_sensie.comparison.spreads import GroupPair, spread_difference
from mlflow_sensie.inference import Design, ScoreScale
from mlflow_sensie.inference.sandwich import per_unit
from mlflow_sensie.inference.units import effective_groups
from mlflow_sensie.moments import FloatArray, GroupedMoments, IntArray, PowerSums
from mlflow_sensie.scores import CLEAN

Grouped = tuple[IntArray, FloatArray, Design]


def compare_spreads(
    pairing: Pairing, column: str, cuts: FloatArray | None, count: int, scale: ScoreScale, rng: Rng
) -> Difference:
    """Compare the spreads between ``count`` levels, or between the bins that ``cuts`` make of a property.

    Raises ComparisonError for fewer than two groups with scores in both.
    """
    low, high = pairing.reach([CLEAN], scale)
    if not pairing.paired:
        a, b = (effective_groups(_of_one(pairing, side, column, cuts), count) for side in SIDES)
        return spread_difference(GroupPair.of(a, b, None, high - low), pairing.n, None, rng)
    a, b, step = (effective_groups(_of_both(pairing, which, column, cuts), count) for which in range(3))
    pair = GroupPair.of(a, b, step, high - low)
    n = sum(len(group) for group, _, _ in _of_both(pairing, 2, column, cuts))
    return spread_difference(pair, n, _informative(lambda: _of_both(pairing, 2, column, cuts), step), rng)


def _of_one(pairing: Pairing, side: Side, column: str, cuts: FloatArray | None) -> Iterator[Grouped]:
    for rows, design in pairing.rows(side, [CLEAN, column]):
        yield _known(_groups(rows[:, 1], cuts), rows[:, 0], design)


def _of_both(pairing: Pairing, which: int, column: str, cuts: FloatArray | None) -> Iterator[Grouped]:
    """Yield the groups of the examples with a score in both, and A's, B's, or B - A."""
    for ours, theirs in pairing.blocks([column, CLEAN, *design_columns(pairing.a)]):
        a, b = ours[CLEAN], theirs[CLEAN]
        values = np.where(np.isfinite(a) & np.isfinite(b), (a, b, b - a)[which], np.nan)
        yield _known(_groups(ours[column], cuts), values, design_of(ours))


def _groups(values: FloatArray, cuts: FloatArray | None) -> IntArray:
    """Give the numbers of levels or bins, -1 for a missing value."""
    if cuts is None:
        return np.asarray(values, np.int64)
    return np.where(np.isfinite(values), np.searchsorted(cuts, values, side="right"), -1)


def _known(group: IntArray, values: FloatArray, design: Design) -> Grouped:
    kept = (group >= 0) & np.isfinite(values)
    return group[kept], values[kept], design.take(kept)


def _informative(rows: Callable[[], Iterator[Grouped]], step: GroupedMoments) -> float:
    """Count the units that carry the spread of the groups' differences."""
    present = step.n > 0
    pull = np.where(present, (step.mean - step.mean[present].mean()) / np.maximum(step.n, 1), 0.0)

    def influences() -> Iterator[tuple[FloatArray, Design]]:
        for group, values, design in rows():
            weight = design.weight(len(values)) * pull[group]
            yield (weight * (values - step.mean[group]))[:, None], design

    sums = PowerSums.empty(1)
    for unit in per_unit(influences()):
        sums += PowerSums.of(unit)
    return float(sums.informative()[0])
