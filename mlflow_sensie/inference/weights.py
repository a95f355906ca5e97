"""Examples that weigh unequally, or hang together, as equal and independent units.

Everything downstream knows only n equal units, their mean and their scatter. A weighted mean Σw b/Σw has the
variance Σw²(b - β)²/(Σw)²; clusters are units by themselves, each the weighted mean of its rows with their
whole weight. Both are handed on as the sums that n equal units with this mean and this variance would have,
n = (Σw²)²/Σw⁴ being Satterthwaite's (1946) degrees of freedom of that variance, plus one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlflow_sensie.moments import ClusterSums, FloatArray, GroupedMoments, IntArray, Moments


@dataclass(frozen=True)
class SamplingDesign:
    """How the rows of a block count: weights (n,), above 0, and cluster codes (n,); None: alike, each alone."""

    weights: FloatArray | None = None
    clusters: IntArray | None = None

    def take(self, kept: NDArray[np.bool_]) -> SamplingDesign:
        """Give the design of the rows that a mask (n,) keeps."""
        return SamplingDesign(
            None if self.weights is None else self.weights[kept],
            None if self.clusters is None else self.clusters[kept],
        )

    def weight(self, n: int) -> FloatArray:
        """Give the weights (n,), ones where there are none."""
        return np.ones(n) if self.weights is None else np.asarray(self.weights, np.float64)


SamplingDesignBlocks = Callable[[], Iterable[SamplingDesign]]
Rows = Iterable[tuple[FloatArray, SamplingDesign]]
AS_THEY_ARE = SamplingDesign()


def designs(design: SamplingDesignBlocks | None) -> Iterator[SamplingDesign]:
    """Give a design for every block; without one, endlessly that all rows count alike."""
    if design is not None:
        yield from design()
        return
    while True:
        yield AS_THEY_ARE


def unit_blocks(rows: Rows) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Give the units as blocks of rows (m, q) and their weights (m,).

    A block's rows are units with their weights; where rows belong to clusters, the units are the clusters,
    all in one block.
    """
    gathered: list[ClusterSums] = []
    for block, design in rows:
        w = design.weight(len(block))
        if design.clusters is None:
            yield block, w
        else:
            gathered.append(ClusterSums.of(design.clusters, np.column_stack([block * w[:, None], w])))
    if gathered:
        totals = ClusterSums.joined(gathered).totals
        yield totals[:, :-1] / totals[:, -1:], totals[:, -1]


def effective_moments(rows: Rows, width: int) -> tuple[Moments, float]:
    """Give the sums that equal, independent units with the same mean and variance of the mean would have.

    `rows` are blocks (n, width) with their designs. The second value turns weight × (row - mean) into
    influences d whose Σd² is the scatter given.
    """
    by_weight, by_square, cubes = Moments.empty(width), Moments.empty(width), 0.0
    for block, w in unit_blocks(rows):
        by_weight += Moments.of(block, w)
        by_square += Moments.of(block, w * w)
        cubes += float((w**3).sum())
    if not by_weight.weight > 0:
        return by_weight, 1.0
    n, factor = _effective(by_weight.weight, by_square.weight, cubes, by_square.weight2)
    apart = by_square.mean - by_weight.mean
    meat = by_square.scatter + by_square.weight * np.outer(apart, apart)
    scale = float(factor * n * (n - 1)) / by_weight.weight**2
    return Moments(float(n), float(n), float(n), by_weight.mean, meat * scale), float(np.sqrt(scale))


def effective_groups(rows: Iterable[tuple[IntArray, FloatArray, SamplingDesign]], groups: int) -> GroupedMoments:
    """Give the like of `effective_moments` for the mean of each of K groups.

    `rows` are blocks of group (n,), value (n,) and design. A cluster is a unit of its own in every group it has rows
    in; bounds are not counted.
    """
    by_weight, by_square = GroupedMoments.empty(groups), GroupedMoments.empty(groups)
    cubes, fourth = np.zeros(groups), np.zeros(groups)
    for group, value, w in _grouped_units(rows, groups):
        by_weight += GroupedMoments.of(group, value, groups, weights=w)
        by_square += GroupedMoments.of(group, value, groups, weights=w * w)
        cubes += np.bincount(group, w**3, groups)
        fourth += np.bincount(group, w**4, groups)
    n, factor = _effective(by_weight.n, by_square.n, cubes, fourth)
    meat = by_square.m2 + by_square.n * (by_square.mean - by_weight.mean) ** 2
    scale = factor * n * (n - 1) / np.where(by_weight.n > 0, by_weight.n, 1.0) ** 2
    return GroupedMoments(n, by_weight.mean, meat * scale, np.zeros(groups), np.zeros(groups))


def _grouped_units(
    rows: Iterable[tuple[IntArray, FloatArray, SamplingDesign]], groups: int
) -> Iterator[tuple[IntArray, FloatArray, FloatArray]]:
    gathered: list[ClusterSums] = []
    for group, value, design in rows:
        w = design.weight(len(value))
        if design.clusters is None:
            yield group, value, w
        else:
            gathered.append(ClusterSums.of(design.clusters * groups + group, np.column_stack([w * value, w])))
    if gathered:
        pairs = ClusterSums.joined(gathered)
        yield pairs.codes % groups, pairs.totals[:, 0] / pairs.totals[:, 1], pairs.totals[:, 1]


def _effective(w1: ArrayLike, w2: ArrayLike, w3: ArrayLike, w4: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Give n and the factor that makes Σw²(b - β)²/(Σw)² unbiased, from the sums of the weights' powers.

    For units of equal variance E(b - β)² = σ²(1 - 2w/Σw + Σw²/(Σw)²); with equal weights the factor is
    n/(n - 1). A single unit tells no variance: then n is 1 and the factor 0.
    """
    one, two, three, four = (np.asarray(each, np.float64) for each in (w1, w2, w3, w4))
    some = one > 0
    safe = np.where(some, one, 1.0)
    left = two - 2 * three / safe + two**2 / safe**2
    several = some & (left > 1e-12 * two)
    n = np.where(some, two**2 / np.where(some, four, 1.0), 0.0)
    return np.where(several, n, np.minimum(n, 1.0)), np.where(several, two / np.where(several, left, 1.0), 0.0)
