"""The axis of a property: the range a slope is measured over, the bins of its curve, and ranks in its place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from mlflow_sensie.inference.weights import FloatArray

FEW_VALUES = 20
MOST_KNOTS = 101
Bins = int | Sequence[float] | tuple[str, int] | str


def property_span(values: ArrayLike) -> tuple[float, float]:
    """Give the range (lo, hi) over which a property's effect is measured, in the property's unit.

    `values` (n,); what is not finite is left out. The 1-99 % range; the full range where there are at most 20
    unique values or the 1-99 % range is below 1e-9 of it, as for a flag on 1 % of the rows. Raises ValueError
    where fewer than two values differ.

    >>> property_span(np.arange(101.0)), property_span([0.0] * 999 + [1.0])
    ((1.0, 99.0), (0.0, 1.0))
    """
    present = _finite(values)
    low, high = float(present[0]), float(present[-1])
    if not high > low:
        raise ValueError(f"the property is constant ({low:g}): a slope needs at least two different values")
    inner = np.quantile(present, [0.01, 0.99])
    if len(np.unique(present)) <= FEW_VALUES or inner[1] - inner[0] < 1e-9 * (high - low):
        return low, high
    return float(inner[0]), float(inner[1])


def bin_edges(values: ArrayLike, bins: Bins = 20) -> tuple[FloatArray | None, FloatArray | None]:
    """Give (edges, unique): the bins' edges, or the values where each has a bin; the other is None.

    `values` (n,); what is not finite is left out. `bins`: a number of quantile bins (at most 20 unique values
    get a bin each), a list of ascending edges, ("uniform", k), or "none", which gives (None, None). A value
    that fills more than a bin's share gets a bin of its own, so quantile edges have no duplicates and the
    maximum is always inside. Raises ValueError for bins it cannot understand.

    >>> bin_edges(np.arange(101.0), 4)[0].tolist(), bin_edges([1, 2, 2, 5])[1].tolist()
    ([0.0, 25.0, 50.0, 75.0, 100.0], [1.0, 2.0, 5.0])
    """
    if isinstance(bins, str):
        if bins != "none":
            raise ValueError(f"bins must be a number, a list of edges, ('uniform', k) or 'none', not {bins!r}")
        return None, None
    if not isinstance(bins, int):
        sequence = list(bins)
        if sequence and sequence[0] == "uniform":
            present = _finite(values)
            return np.linspace(present[0], present[-1], _count(sequence[-1]) + 1), None
        return _explicit(sequence), None
    present = _finite(values)
    unique = np.unique(present)
    if len(unique) <= FEW_VALUES:
        return None, unique
    return _quantile_edges(present, unique, _count(bins)), None


def inner_edges(edges: ArrayLike | None, unique: ArrayLike | None) -> FloatArray:
    """Give the K-1 edges between K bins: both end bins are open, so every value falls into one.

    Between unique values the edges are the midpoints: a value that was not among them falls to its nearest.
    """
    if unique is not None:
        u = np.asarray(unique, np.float64)
        return u[:-1] + (u[1:] - u[:-1]) / 2
    return np.asarray(edges, np.float64)[1:-1]


def bin_labels(edges: ArrayLike | None, unique: ArrayLike | None) -> tuple[str, ...]:
    """Name the bins after their value, or after their edges."""
    if unique is not None:
        return tuple(f"{value:g}" for value in np.asarray(unique, np.float64))
    cuts = np.asarray(edges, np.float64)
    return tuple(f"{a:.4g} to {b:.4g}" for a, b in pairwise(cuts))


def bin_centres(edges: ArrayLike | None, unique: ArrayLike | None) -> FloatArray:
    """Give where a bin without examples stands."""
    cuts = np.asarray(unique if unique is not None else edges, np.float64)
    return cuts if unique is not None else cuts[:-1] + (cuts[1:] - cuts[:-1]) / 2


@dataclass(frozen=True)
class RankAxis:
    """At most 101 values of a property, ascending, and the shares at which they rank: what an axis is drawn by."""

    values: tuple[float, ...]
    shares: tuple[float, ...]

    def share(self, p: ArrayLike) -> FloatArray:
        """Give the shares at which values of the property rank, of p's shape."""
        return np.interp(np.asarray(p, np.float64), self.values, self.shares)

    def value(self, share: ArrayLike) -> FloatArray:
        """Give the values of the property that rank at these shares, of their shape."""
        return np.interp(np.asarray(share, np.float64), self.shares, self.values)


@dataclass(frozen=True, eq=False)
class Ranks:
    """The u distinct values of a property (u,), ascending, and how many examples are at most that large (u,)."""

    values: FloatArray
    upto: FloatArray

    @classmethod
    def of(cls, values: ArrayLike) -> Ranks:
        """Rank the values (n,) of all examples; what is not finite has no rank. Raises ValueError for none."""
        x = np.asarray(values, np.float64)
        distinct, counts = np.unique(x[np.isfinite(x)], return_counts=True)
        if not len(distinct):
            raise ValueError("the property has no finite value")
        return cls(distinct, np.cumsum(counts).astype(np.float64))

    @property
    def n(self) -> float:
        """Give the number of examples that have a rank."""
        return float(self.upto[-1])

    def share(self, p: ArrayLike) -> FloatArray:
        """Give the share of the examples below p, those equal to it by half; NaN where p is not finite."""
        x = np.asarray(p, np.float64)
        upto = np.concatenate([[0.0], self.upto])
        below = upto[np.searchsorted(self.values, x, side="left")]
        not_above = upto[np.searchsorted(self.values, x, side="right")]
        return np.where(np.isfinite(x), (below + not_above) / (2 * upto[-1]), np.nan)

    def value(self, share: ArrayLike) -> FloatArray:
        """Give the values that rank nearest to these shares, of their shape."""
        shares, wanted = self.share(self.values), np.asarray(share, np.float64)
        if len(shares) == 1:
            return np.full(wanted.shape, self.values[0])
        return self.values[np.searchsorted((shares[1:] + shares[:-1]) / 2, wanted)]

    @property
    def span(self) -> tuple[float, float]:
        """Give the shares of the smallest and the largest value."""
        low, high = self.share(self.values[[0, -1]])
        return float(low), float(high)

    def axis(self) -> RankAxis:
        """Give all distinct values where they are few, else those at even steps of the rank."""
        shares = self.share(self.values)
        chosen = np.arange(len(shares))
        if len(shares) > MOST_KNOTS:
            steps = np.linspace(shares[0], shares[-1], MOST_KNOTS)
            chosen = np.unique(np.searchsorted(shares, steps))
        return RankAxis(tuple(self.values[chosen].tolist()), tuple(shares[chosen].tolist()))


def _finite(values: ArrayLike) -> FloatArray:
    x = np.asarray(values, np.float64).ravel()
    x = np.sort(x[np.isfinite(x)])
    if not len(x):
        raise ValueError("the property has no finite value")
    return x


def _count(bins: object) -> int:
    if not isinstance(bins, int | np.integer) or isinstance(bins, bool) or bins < 1:
        raise ValueError(f"the number of bins must be a whole number of at least 1, not {bins!r}")
    return int(bins)


def _explicit(edges: Sequence[object]) -> FloatArray:
    cuts = np.asarray(edges, np.float64)
    if cuts.ndim != 1 or len(cuts) < 2 or not np.all(np.isfinite(cuts)) or not np.all(np.diff(cuts) > 0):
        raise ValueError(f"bin edges must be at least two finite, ascending numbers, not {list(edges)!r}")
    return cuts


def _quantile_edges(present: FloatArray, unique: FloatArray, bins: int) -> FloatArray:
    cuts, times = np.unique(np.quantile(present, np.linspace(0, 1, bins + 1)), return_counts=True)
    after = np.searchsorted(unique, cuts[times > 1], side="right")
    # Behind the maximum there is no next value: the last edge then stands just above it.
    above = np.append(unique, np.nextafter(unique[-1], np.inf))[after]
    return np.unique(np.concatenate([cuts, above]))
