"""The two passes over the scores of a sweep."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mlflow_sensie.inference.holds_until import Floor
from mlflow_sensie.inference.scale import ScoreScale
from mlflow_sensie.inference.sides import Sweep
from mlflow_sensie.moments import Extremes, FloatArray, GroupedMoments, Moments, PowerSums, Tally

ScoreBlocks = Callable[[], Iterable[ArrayLike]]


@dataclass(frozen=True)
class ScoreSums:
    """The first pass: sums of the rows in which every score is finite, and how many rows are not."""

    moments: Moments
    columns: GroupedMoments
    seen: Extremes
    dropped: int

    @property
    def n(self) -> int:
        """Give the number of examples."""
        return self.moments.n


def sum_scores(blocks: ScoreBlocks, width: int, scale: ScoreScale) -> ScoreSums:
    """Sum blocks (n, width) of scores; raise ValueError for another width and fewer than two examples."""
    moments, columns = Moments.empty(width), GroupedMoments.empty(width)
    seen, dropped = Extremes.empty(), 0
    for block in blocks():
        rows = np.asarray(block, np.float64)
        if rows.ndim != 2 or rows.shape[1] != width:
            raise ValueError(f"scores need {width} columns, clean and {width - 1} magnitudes, not {rows.shape}")
        kept = _complete(rows)
        dropped += len(rows) - len(kept)
        moments += Moments.of(kept)
        columns += GroupedMoments.of_columns(kept, scale.lower, scale.upper)
        seen += Extremes.of(kept)
    if moments.n < 2:
        raise ValueError(
            "a perturbation test needs at least two examples with finite scores at every magnitude, "
            f"not {moments.n} ({dropped} dropped)"
        )
    return ScoreSums(moments, columns, seen, dropped)


def sum_influences(
    blocks: ScoreBlocks, contrasts: FloatArray, mean: FloatArray, sweep: Sweep, floor: Floor
) -> tuple[PowerSums, list[Tally]]:
    """Sum the influences (rows - mean) @ contrasts; count where examples first fall below their floor."""
    influences = PowerSums.empty(contrasts.shape[1])
    failed = [Tally.empty(len(side.columns) + 1) for side in sweep.sides]
    for block in blocks():
        rows = _complete(np.asarray(block, np.float64))
        influences += PowerSums.of((rows - mean) @ contrasts)
        below = rows < (floor.keep * rows[:, :1] - floor.below)
        for k, side in enumerate(sweep.sides):
            own = below[:, list(side.columns)]
            first = np.where(own.any(1), own.argmax(1), own.shape[1])
            failed[k] += Tally.of(first, own.shape[1] + 1)
    return influences, failed


def _complete(rows: FloatArray) -> FloatArray:
    return rows[np.isfinite(rows).all(1)]
