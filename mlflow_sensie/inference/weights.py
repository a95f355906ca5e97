"""Arrays of scores and how their rows count: examples that weigh unequally, or hang together, as equal units.

Everything downstream knows only n equal, independent units, their mean and their scatter. A weighted mean Σw b/Σw
has the variance Σw²(b - β)²/(Σw)²; clusters are units by themselves, each the weighted mean of its rows with their
whole weight. Both are handed on as the moments that n equal units with this mean and this variance would have,
n = (Σw²)²/Σw⁴ being Satterthwaite's (1946) degrees of freedom of that variance, plus one.

Arrays of many rows are gone through a block of rows at a time, so that no temporary is as large as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
ROWS = 65_536


@dataclass(frozen=True)
class SamplingDesign:
    """How rows count: weights (n,), above 0, and cluster codes (n,); None: alike, each alone."""

    weights: FloatArray | None = None
    clusters: IntArray | None = None

    def take(self, rows: NDArray[Any] | slice) -> SamplingDesign:
        """Give the design of the rows that a mask (n,), positions or a slice name."""
        return SamplingDesign(
            None if self.weights is None else self.weights[rows], None if self.clusters is None else self.clusters[rows]
        )

    def weight(self, n: int) -> FloatArray:
        """Give the weights (n,), ones where there are none."""
        return np.ones(n) if self.weights is None else np.asarray(self.weights, np.float64)

    @property
    def alike(self) -> bool:
        """Tell whether all rows count alike, each alone."""
        return self.weights is None and self.clusters is None


AS_THEY_ARE = SamplingDesign()


def row_blocks(n: int) -> Iterator[slice]:
    """Cut n rows into blocks of at most 65,536."""
    return (slice(start, min(start + ROWS, n)) for start in range(0, n, ROWS))


def unit_sums(rows: FloatArray, design: SamplingDesign, weights: FloatArray | None = None) -> FloatArray:
    """Sum rows (n, q) within each unit, (m, q): the rows themselves, or one per cluster in the order of their codes.

    Rows of clusters are first multiplied by ``weights`` (n,).
    """
    if design.clusters is None:
        return rows
    index = np.unique(design.clusters, return_inverse=True)[1]
    columns = (column if weights is None else weights * column for column in rows.T)
    return np.stack([np.bincount(index, column) for column in columns], axis=1)


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean (k,) and scatter (k, k), Σ(x - mean)(x - mean)', of n equal, independent units."""

    n: float
    mean: FloatArray
    scatter: FloatArray

    @classmethod
    def of(cls, rows: FloatArray) -> Moments:
        """Take the moments of rows (n, k), finite."""
        mean = weighted_mean(rows, None)
        return cls(float(len(rows)), mean, _scatter(rows, mean, None))

    def covariance(self) -> FloatArray:
        """Give the sample covariance (k, k) of the units; zeros where there is but one."""
        return self.scatter / max(self.n - 1, 1e-300) if self.n > 1 else self.scatter

    def joined(self, rows: FloatArray) -> Moments:
        """Add more units (m, k) by the rule of Chan, Golub & LeVeque (1983)."""
        if not len(rows):
            return self
        more = Moments.of(rows)
        total = self.n + more.n
        step = more.mean - self.mean
        scatter = self.scatter + more.scatter + np.outer(step, step) * (self.n * more.n / total)
        return Moments(total, self.mean + step * (more.n / total), scatter)


@dataclass(frozen=True, eq=False)
class Units:
    """Rows (n, k) of scores as independent units (m, k), and the moments that equal units would have.

    ``weights`` (m,), or None for ones, turn a unit's distance from the mean into its influence d, so that the sum of
    d d' is the scatter of ``moments``.
    """

    rows: FloatArray
    weights: FloatArray | None
    moments: Moments

    @classmethod
    def of(cls, rows: FloatArray, design: SamplingDesign = AS_THEY_ARE) -> Units:
        """Take rows (n, k), finite, by their design; no row gives n = 0."""
        if design.alike:
            return cls(rows, None, Moments.of(rows))
        if not len(rows):
            return cls(rows, None, Moments.of(rows))
        units, w = rows, design.weight(len(rows))
        if design.clusters is not None:
            w, sums = unit_sums(w[:, None], design)[:, 0], unit_sums(rows, design, w)
            units = sums / w[:, None]
        mean = weighted_mean(units, w)
        one, two, three, four = (float((w**power).sum()) for power in (1, 2, 3, 4))
        n, factor = map(float, _effective(one, two, three, four))
        scale = factor * n * (n - 1) / one**2
        weights = np.sqrt(scale) * w
        return cls(units, weights, Moments(n, mean, _scatter(units, mean, weights * weights)))

    @property
    def n(self) -> float:
        """Give the number of equal units that these are worth."""
        return self.moments.n

    def powers(self, contrasts: FloatArray) -> FloatArray:
        """Sum powers of the units' influences on contrasts (k, q) of the mean: see ``power_sums``."""

        def influences(block: slice) -> FloatArray:
            own = np.asarray((self.rows[block] - self.moments.mean) @ contrasts)
            return own if self.weights is None else self.weights[block, None] * own

        return power_sums(map(influences, row_blocks(len(self.rows))), contrasts.shape[1])


def power_sums(blocks: Iterable[FloatArray], columns: int) -> FloatArray:
    """Give (4, q): how many units, and Σd², Σd³, Σd⁴ of their influences d on q estimates, in blocks (rows, q)."""
    sums = np.zeros((4, columns))
    for d in blocks:
        squared = d * d
        sums += np.full(columns, len(d)), squared.sum(0), (squared * d).sum(0), (squared * squared).sum(0)
    return sums


def informative_units(sums: FloatArray) -> FloatArray:
    """Count the units that carry each estimate, (Σd²)² / Σd⁴, of ``power_sums``.

    It is m for influences of equal size, 1 for a single large one, 0 for none.
    """
    _, second, _, fourth = sums
    return np.where(fourth > 0, second * second / np.where(fourth > 0, fourth, 1.0), 0.0)


@dataclass(frozen=True, eq=False)
class GroupedMoments:
    """Count, mean and central sum of squares of one quantity in each of K groups, each (K,).

    ``at_bound`` counts the values at that of the quantity's bounds where most are: a group whose values nearly all
    sit there says little about its spread.
    """

    n: FloatArray
    mean: FloatArray
    m2: FloatArray
    at_bound: FloatArray

    @classmethod
    def of(
        cls,
        group: ArrayLike,
        values: ArrayLike,
        groups: int,
        lower: float | None = None,
        upper: float | None = None,
        weights: FloatArray | None = None,
    ) -> GroupedMoments:
        """Take ``values`` (n,), finite, by their ``group`` (n,) in 0..groups-1; bounds in their unit or None.

        With ``weights`` (n,), above 0, every count is a sum of weights.
        """
        index, y = np.asarray(group, np.int64), np.asarray(values, np.float64)

        def total(of: NDArray[Any] | None) -> FloatArray:
            if weights is not None:
                of = weights if of is None else weights * of
            return np.bincount(index, of, groups).astype(np.float64)

        n = total(None)
        present = np.where(n > 0, n, 1.0)
        mean = total(y) / present
        centred = y - mean[index]
        # The rounding error of the mean is taken out once more, so that a large offset costs no digits.
        shift = total(centred) / present
        centred = centred - shift[index]
        at = [np.zeros(groups) if bound is None else total(y == bound) for bound in (lower, upper)]
        return cls(n, mean + shift, total(centred * centred), np.maximum(*at))

    @classmethod
    def of_columns(cls, table: FloatArray, lower: float | None = None, upper: float | None = None) -> GroupedMoments:
        """Take an array (n, K), finite, whose columns are the groups."""
        n, k = table.shape
        mean = weighted_mean(table, None)
        m2, at = np.zeros(k), np.zeros((2, k))
        for block in row_blocks(n):
            centred = table[block] - mean
            m2 += (centred * centred).sum(0)
            for counts, bound in zip(at, (lower, upper), strict=True):
                counts += 0 if bound is None else (table[block] == bound).sum(0)
        return cls(np.full(k, float(n)), mean, m2, at.max(0))

    @classmethod
    def effective(cls, group: IntArray, values: FloatArray, groups: int, design: SamplingDesign) -> GroupedMoments:
        """Give what equal, independent units with the same group means and variances of the means would have.

        A cluster is a unit of its own in every group it has rows in; bounds are not counted.
        """
        w = design.weight(len(values))
        if design.clusters is not None:
            pairs, index = np.unique(design.clusters * groups + group, return_inverse=True)
            weights = np.asarray(np.bincount(index, w), np.float64)
            group, values, w = pairs % groups, np.bincount(index, w * values) / weights, weights
        by_weight = cls.of(group, values, groups, weights=w)
        by_square = cls.of(group, values, groups, weights=w * w)
        third, fourth = (np.bincount(group, w**power, groups) for power in (3, 4))
        n, factor = _effective(by_weight.n, by_square.n, third, fourth)
        meat = by_square.m2 + by_square.n * (by_square.mean - by_weight.mean) ** 2
        scale = factor * n * (n - 1) / np.where(by_weight.n > 0, by_weight.n, 1.0) ** 2
        return cls(n, by_weight.mean, meat * scale, np.zeros(groups))

    def variance(self) -> FloatArray:
        """Give each group's sample variance (K,); 0 where it has fewer than two values."""
        return np.where(self.n > 1, self.m2 / np.maximum(self.n - 1, 1), 0.0)

    def pooled_variance(self) -> float:
        """Give the variance within groups; 0 where no group has two values."""
        return float(self.m2.sum() / max(float(np.maximum(self.n - 1, 0).sum()), 1.0))

    def select(self, groups: NDArray[Any]) -> GroupedMoments:
        """Give the groups that a mask or indices name."""
        return GroupedMoments(*(getattr(self, field.name)[groups] for field in fields(self)))


def weighted_mean(rows: FloatArray, weights: FloatArray | None) -> FloatArray:
    """Give the weighted mean (k,) of rows (n, k), finite; in two passes, so that a large offset costs no digits."""
    total = float(len(rows)) if weights is None else float(weights.sum())
    mean = np.zeros(rows.shape[1])
    for _ in range(2):
        shift = np.zeros_like(mean)
        for block in row_blocks(len(rows)):
            centred = rows[block] - mean
            shift += centred.sum(0) if weights is None else weights[block] @ centred
        mean = mean + shift / max(total, 1e-300)
    return mean


def _scatter(rows: FloatArray, mean: FloatArray, weights: FloatArray | None) -> FloatArray:
    scatter = np.zeros((len(mean), len(mean)))
    for block in row_blocks(len(rows)):
        centred = rows[block] - mean
        scatter += centred.T @ (centred if weights is None else centred * weights[block, None])
    return scatter


def _effective(w1: ArrayLike, w2: ArrayLike, w3: ArrayLike, w4: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Give n and the factor that makes Σw²(b - β)²/(Σw)² unbiased, from the sums of the weights' powers.

    For units of equal variance E(b - β)² = σ²(1 - 2w/Σw + Σw²/(Σw)²); with equal weights the factor is
    n/(n - 1). A single unit tells no variance: then n is 1 and the factor 0.
    """
    one, two, three, four = (np.asarray(power, np.float64) for power in (w1, w2, w3, w4))
    some = one > 0
    safe = np.where(some, one, 1.0)
    left = two - 2 * three / safe + two**2 / safe**2
    several = some & (left > 1e-12 * two)
    n = np.where(some, two**2 / np.where(some, four, 1.0), 0.0)
    return np.where(several, n, np.minimum(n, 1.0)), np.where(several, two / np.where(several, left, 1.0), 0.0)
