"""Mergeable sums: whatever is asked of the score table is asked of these, a block of rows at a time.

Every class is a commutative monoid: `of` sums one block, `merge` (or `+`) joins two sums, `empty` changes
nothing. So chunks, workers and partitions may be summed in any order. Central sums are joined by Chan's rule
(Chan, Golub & LeVeque 1983), which stays exact where raw sums of squares cancel, as with a property offset by
a million.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
S = TypeVar("S", bound="Sums")


@dataclass(frozen=True, eq=False)
class Sums:
    """What all sums share: `+`, and a round trip through plain lists and numbers."""

    def merge(self: S, other: S) -> S:
        """Join the sums of two disjoint sets of rows."""
        raise NotImplementedError

    def __add__(self: S, other: S) -> S:
        return self.merge(other)

    def to_dict(self) -> dict[str, Any]:
        """Give the sums as lists and numbers, for JSON or for another process."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in values.items()}

    @classmethod
    def from_dict(cls: type[S], state: Mapping[str, Any]) -> S:
        """Read back what `to_dict` gave."""
        return cls(**{name: np.asarray(v, np.float64) if isinstance(v, list) else v for name, v in state.items()})


@dataclass(frozen=True, eq=False)
class Moments(Sums):
    """Weighted mean and scatter of vectors.

    `mean` is (k,) and `scatter` (k, k), the sum of w (x - mean)(x - mean)'. `weight` and `weight2` are the
    sums of w and w²; without weights both equal `n`, the number of rows.
    """

    n: float
    weight: float
    weight2: float
    mean: FloatArray
    scatter: FloatArray

    @classmethod
    def empty(cls, k: int) -> Moments:
        """Sum no rows of k columns."""
        return cls(0, 0.0, 0.0, np.zeros(k), np.zeros((k, k)))

    @classmethod
    def of(cls, rows: ArrayLike, weights: ArrayLike | None = None) -> Moments:
        """Sum a block: rows (n, k), finite; weights (n,), not negative, or None for ones."""
        x = np.asarray(rows, np.float64)
        w = np.ones(len(x)) if weights is None else np.asarray(weights, np.float64)
        total = float(w.sum())
        if not total > 0:
            return cls.empty(x.shape[1])
        mean = w @ x / total
        centred = x - mean
        # The rounding error of the mean is taken out once more, so that a large offset costs no digits.
        shift = w @ centred / total
        centred = centred - shift
        return cls(len(x), total, float((w * w).sum()), mean + shift, (centred * w[:, None]).T @ centred)

    def merge(self, other: Moments) -> Moments:
        """Join two sums by Chan's rule."""
        if self.weight == 0 or other.weight == 0:
            return other if self.weight == 0 else self
        total = self.weight + other.weight
        delta = other.mean - self.mean
        return Moments(
            self.n + other.n,
            total,
            self.weight2 + other.weight2,
            self.mean + delta * (other.weight / total),
            self.scatter + other.scatter + np.outer(delta, delta) * (self.weight * other.weight / total),
        )

    def covariance(self) -> FloatArray:
        """Give the sample covariance (k, k) of the rows; zeros where there is but one row."""
        return self.scatter / max(self.weight - self.weight2 / self.weight, 1e-300) if self.n > 1 else self.scatter


@dataclass(frozen=True, eq=False)
class GroupedMoments(Sums):
    """Count, mean and central sum of squares of one quantity in each of K groups, each (K,).

    `at_lower` and `at_upper` count the values at the quantity's bounds: a group whose values nearly all sit
    at a bound says little about its spread.
    """

    n: FloatArray
    mean: FloatArray
    m2: FloatArray
    at_lower: FloatArray
    at_upper: FloatArray

    @classmethod
    def empty(cls, groups: int) -> GroupedMoments:
        """Sum no values in `groups` groups."""
        return cls(*(np.zeros(groups) for _ in range(5)))

    @classmethod
    def of(
        cls,
        group: ArrayLike,
        values: ArrayLike,
        groups: int,
        lower: float | None = None,
        upper: float | None = None,
        weights: ArrayLike | None = None,
    ) -> GroupedMoments:
        """Sum a block: `group` (n,) in 0..groups-1, `values` (n,) finite; bounds in their unit or None.

        With `weights` (n,), above 0, every count is a sum of weights.
        """
        index, y = np.asarray(group, np.int64), np.asarray(values, np.float64)
        w = np.ones(len(y)) if weights is None else np.asarray(weights, np.float64)

        def total(of: ArrayLike) -> FloatArray:
            return np.bincount(index, w * np.asarray(of, np.float64), groups).astype(np.float64)

        n = total(np.ones(len(y)))
        present = np.where(n > 0, n, 1.0)
        mean = total(y) / present
        centred = y - mean[index]
        shift = total(centred) / present
        centred = centred - shift[index]
        at = [np.zeros(groups) if bound is None else total(y == bound) for bound in (lower, upper)]
        return cls(n, mean + shift, total(centred * centred), at[0], at[1])

    @classmethod
    def of_columns(cls, table: ArrayLike, lower: float | None = None, upper: float | None = None) -> GroupedMoments:
        """Sum a block (n, K) whose columns are the groups."""
        x = np.asarray(table, np.float64)
        index = np.broadcast_to(np.arange(x.shape[1]), x.shape)
        return cls.of(index.ravel(), x.ravel(), x.shape[1], lower, upper)

    def merge(self, other: GroupedMoments) -> GroupedMoments:
        """Join two sums group by group, by Chan's rule."""
        n = self.n + other.n
        share = other.n / np.where(n > 0, n, 1.0)
        delta = other.mean - self.mean
        return GroupedMoments(
            n,
            self.mean + delta * share,
            self.m2 + other.m2 + delta * delta * self.n * share,
            self.at_lower + other.at_lower,
            self.at_upper + other.at_upper,
        )

    def variance(self) -> FloatArray:
        """Give each group's sample variance (K,); 0 where it has fewer than two values."""
        return np.where(self.n > 1, self.m2 / np.maximum(self.n - 1, 1), 0.0)

    def pooled_variance(self) -> float:
        """Give the variance within groups; 0 where no group has two values."""
        return float(self.m2.sum() / max(float(np.maximum(self.n - 1, 0).sum()), 1.0))

    def select(self, keep: NDArray[Any]) -> GroupedMoments:
        """Give the groups that `keep` (a mask or indices) names."""
        return GroupedMoments(*(getattr(self, field.name)[keep] for field in fields(self)))


@dataclass(frozen=True, eq=False)
class PowerSums(Sums):
    """Sums of the first four powers of the columns of (n, q) influences; each sum is (q,)."""

    n: int
    first: FloatArray
    second: FloatArray
    third: FloatArray
    fourth: FloatArray

    @classmethod
    def empty(cls, columns: int) -> PowerSums:
        """Sum no rows of `columns` columns."""
        return cls(0, *(np.zeros(columns) for _ in range(4)))

    @classmethod
    def of(cls, influences: ArrayLike) -> PowerSums:
        """Sum a block of influences (n, q), which should be central already."""
        d = np.asarray(influences, np.float64)
        squared = d * d
        return cls(len(d), d.sum(0), squared.sum(0), (squared * d).sum(0), (squared * squared).sum(0))

    def merge(self, other: PowerSums) -> PowerSums:
        """Join two sums."""
        powers = (getattr(self, name) + getattr(other, name) for name in ("first", "second", "third", "fourth"))
        return PowerSums(self.n + other.n, *powers)

    def informative(self) -> FloatArray:
        """Count the examples that carry each column: (Σd²)² / Σd⁴.

        It is n for influences of equal size, 1 for a single large one, 0 for none.
        """
        return np.where(self.fourth > 0, self.second * self.second / np.where(self.fourth > 0, self.fourth, 1.0), 0.0)


@dataclass(frozen=True, eq=False)
class ClusterSums(Sums):
    """Sums of the rows of each cluster: its code, ascending (m,), and the sums of q columns (m, q)."""

    codes: IntArray
    totals: FloatArray

    @classmethod
    def empty(cls, columns: int) -> ClusterSums:
        """Sum no rows of `columns` columns."""
        return cls(np.zeros(0, np.int64), np.zeros((0, columns)))

    @classmethod
    def of(cls, codes: ArrayLike, rows: ArrayLike) -> ClusterSums:
        """Sum a block of rows (n, q) whose clusters are `codes` (n,)."""
        x = np.asarray(rows, np.float64)
        unique, index = np.unique(np.asarray(codes, np.int64), return_inverse=True)
        totals = [np.bincount(index, column, len(unique)) for column in x.T]
        return cls(unique, np.column_stack(totals) if totals else np.zeros((len(unique), 0)))

    @classmethod
    def joined(cls, parts: Sequence[ClusterSums]) -> ClusterSums:
        """Merge many sums at once."""
        return cls.of(np.concatenate([each.codes for each in parts]), np.concatenate([each.totals for each in parts]))

    def merge(self, other: ClusterSums) -> ClusterSums:
        """Add the sums of clusters that both have."""
        return ClusterSums.joined([self, other])


@dataclass(frozen=True, eq=False)
class Extremes(Sums):
    """Smallest and largest value seen; infinite the wrong way round where nothing was."""

    lower: float
    upper: float

    @classmethod
    def empty(cls) -> Extremes:
        """See nothing."""
        return cls(float("inf"), float("-inf"))

    @classmethod
    def of(cls, values: ArrayLike) -> Extremes:
        """See a block of finite values of any shape."""
        x = np.asarray(values, np.float64)
        return cls(float(x.min()), float(x.max())) if x.size else cls.empty()

    def merge(self, other: Extremes) -> Extremes:
        """See both."""
        return Extremes(min(self.lower, other.lower), max(self.upper, other.upper))


@dataclass(frozen=True, eq=False)
class Tally(Sums):
    """Counts (k,) of anything."""

    counts: FloatArray

    @classmethod
    def empty(cls, k: int) -> Tally:
        """Count nothing in k cells."""
        return cls(np.zeros(k))

    @classmethod
    def of(cls, cells: ArrayLike, k: int) -> Tally:
        """Count a block of cell numbers (n,), each in 0..k-1."""
        return cls(np.bincount(np.asarray(cells, np.int64), minlength=k).astype(np.float64))

    def merge(self, other: Tally) -> Tally:
        """Add the counts."""
        return Tally(self.counts + other.counts)
