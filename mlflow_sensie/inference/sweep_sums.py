"""The two passes over the scores of a sweep."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlflow_sensie.inference.grid import MagnitudeGrid
from mlflow_sensie.inference.holds_until import Floor
from mlflow_sensie.inference.scale import ScoreScale
from mlflow_sensie.inference.weights import (
    SamplingDesign,
    SamplingDesignBlocks,
    designs,
    effective_moments,
    unit_blocks,
)
from mlflow_sensie.moments import Extremes, FloatArray, GroupedMoments, Moments, PowerSums, Tally

ScoreBlocks = Callable[[], Iterable[ArrayLike]]


@dataclass(frozen=True)
class ScoreSums:
    """The first pass: sums of the rows in which every score is finite, and how many rows are not.

    `moments` are those of equal, independent units, the examples themselves unless they weigh unequally or hang
    together; `columns` are the examples' own. `scale` × weight × (row - mean) is a unit's influence.
    """

    moments: Moments
    columns: GroupedMoments
    seen: Extremes
    dropped: int
    count: int
    scale: float

    @property
    def n(self) -> float:
        """Give the number of equal, independent units."""
        return self.moments.n


def sum_scores(
    blocks: ScoreBlocks, width: int, scale: ScoreScale, design: SamplingDesignBlocks | None = None
) -> ScoreSums:
    """Sum blocks (n, width) of scores; raise ValueError for another width and fewer than two examples."""
    columns, seen = GroupedMoments.empty(width), Extremes.empty()
    moments, dropped = Moments.empty(width), 0
    for rows, kept, _ in _complete(blocks, design, width):
        dropped += int((~kept).sum())
        moments += Moments.of(rows)
        columns += GroupedMoments.of_columns(rows, scale.lower, scale.upper)
        seen += Extremes.of(rows)
    count, factor = int(moments.n), 1.0
    if design is not None:
        moments, factor = effective_moments(((rows, of) for rows, _, of in _complete(blocks, design, width)), width)
    if count < 2:
        raise ValueError(
            "a perturbation test needs at least two examples with finite scores at every magnitude, "
            f"not {count} ({dropped} dropped)"
        )
    if not moments.n > 1:
        raise ValueError(f"all {count} examples are one cluster; at least two clusters are needed")
    return ScoreSums(moments, columns, seen, dropped, count, factor)


def sum_influences(
    blocks: ScoreBlocks,
    contrasts: FloatArray,
    sums: ScoreSums,
    sweep: MagnitudeGrid,
    floor: Floor,
    design: SamplingDesignBlocks | None = None,
) -> tuple[PowerSums, list[Tally]]:
    """Sum the units' influences on contrasts; count where examples first fall below their floor."""
    influences = PowerSums.empty(contrasts.shape[1])
    failed = [Tally.empty(len(side.columns) + 1) for side in sweep.sides]

    def rows() -> Iterator[tuple[FloatArray, SamplingDesign]]:
        for block, _, of in _complete(blocks, design, sweep.width):
            below = block < (floor.keep * block[:, :1] - floor.below)
            for k, side in enumerate(sweep.sides):
                own = below[:, list(side.columns)]
                first = np.where(own.any(1), own.argmax(1), own.shape[1])
                failed[k] += Tally.of(first, own.shape[1] + 1)
            yield block, of

    for block, w in unit_blocks(rows()):
        influences += PowerSums.of((sums.scale * w)[:, None] * ((block - sums.moments.mean) @ contrasts))
    return influences, failed


def _complete(
    blocks: ScoreBlocks, design: SamplingDesignBlocks | None, width: int
) -> Iterator[tuple[FloatArray, NDArray[np.bool_], SamplingDesign]]:
    """Give the rows of each block that are finite throughout, which these are, and their design."""
    for block, of in zip(blocks(), designs(design), strict=False):
        rows = np.asarray(block, np.float64)
        if rows.ndim != 2 or rows.shape[1] != width:
            raise ValueError(f"scores need {width} columns, clean and {width - 1} magnitudes, not {rows.shape}")
        kept = np.asarray(np.isfinite(rows).all(axis=1))
        yield rows[kept], kept, of.take(kept)
