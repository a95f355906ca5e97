"""The sums of two models' clean scores by level of a category, class, or bin of a property."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mlflow_sensie.comparison.contrasts import Rng
from mlflow_sensie.comparison.difference import CurveDifference, Difference
from mlflow_sensie.comparison.pairing import SIDES, Pairing, Side, design_columns, design_of
from mlflow_sensie.comparison.spreads import Grouped, GroupPair, informative_of, spread_difference
from mlflow_sensie.inference import Curve, SamplingDesign, ScoreScale
from mlflow_sensie.inference.weights import effective_groups
from mlflow_sensie.moments import FloatArray, IntArray
from mlflow_sensie.scores.table import CLEAN


def compare_groups(
    pairing: Pairing, column: str, cuts: FloatArray | None, curve: Curve, scale: ScoreScale, rng: Rng
) -> tuple[Difference, CurveDifference]:
    """Compare the spreads between the levels or bins of a curve, and the levels or bins one by one.

    ``cuts`` are the edges between the bins of a property, ``None`` for levels. Raises ComparisonError for fewer
    than two groups with scores in both.
    """
    low, high = pairing.reach([CLEAN], scale)
    count, n, informative, step = len(curve.n), pairing.n, None, None
    if pairing.paired:
        a, b, step = (effective_groups(_of_both(pairing, which, column, cuts), count) for which in range(3))
        n = sum(len(group) for group, _, _ in _of_both(pairing, 2, column, cuts))
    else:
        a, b = (effective_groups(_of_one(pairing, side, column, cuts), count) for side in SIDES)
    pair = GroupPair.of(a, b, step, high - low)
    if step is not None:
        informative = informative_of(lambda: _of_both(pairing, 2, column, cuts), step)
    points = [float(k) if p is None else p for k, p in enumerate(curve.p)]
    return spread_difference(pair, n, informative, rng), pair.curve(points, curve.label)


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


def _known(group: IntArray, values: FloatArray, design: SamplingDesign) -> Grouped:
    kept = (group >= 0) & np.isfinite(values)
    return group[kept], values[kept], design.take(kept)
