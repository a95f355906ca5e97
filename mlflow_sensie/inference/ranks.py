"""A property by its rank: where each example stands among all, which no far value can stretch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from mlflow_sensie.inference.slope import RowBlocks, Sandwich, per_unit
from mlflow_sensie.moments import FloatArray, GroupedMoments, IntArray, Moments

FINE = 200
MOST_KNOTS = 101


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


def with_rank_noise(
    fit: Sandwich,
    rows: Callable[[], RowBlocks],
    moments: Moments,
    width: float,
    ranked: float,
    *,
    part: bool = False,
) -> Sandwich:
    """Add to a slope's variance that the ranks are themselves estimated.

    `rows()` yields blocks of (z, y) with their designs, z being a share less the middle of the range over its
    `width`, and `moments` sums them. An example moves the ranks of all those above it, so beside its influence a =
    (z - z̄)e it has g(x) = E[1{X >= x}(e - β(z - z̄))] / width, ties by half: the Hájek projection of a U-statistic
    (Hoeffding 1948; for ranks Chetverikov & Wilhelm 2023). Σ(a + g)² - Σa² over the units is added where it widens
    the posterior; g is found on 200 bins of rank. Of the `ranked` examples those that are not among the rows
    have a g alone: they lie outside where the rows are a `part` of the range, else anywhere.
    """
    pulls, mean, square = _pulls(fit, rows, width)
    # Outside of a part nothing is moved but its share of all examples.
    centre = mean * moments.n / ranked if part else mean
    elsewhere = centre**2 if part else square - mean**2
    step, together, alone = moments.weight / ranked, 0.0, 0.0
    for unit in per_unit(_influences(fit, rows, step * (pulls - centre))):
        together += float((unit.sum(1) ** 2).sum())
        alone += float((unit[:, 0] ** 2).sum())
    together += max(0.0, ranked - moments.n) * step**2 * elsewhere
    more = max(0.0, together - alone) / float(moments.scatter[0, 0]) ** 2
    return replace(fit, slope_var=fit.slope_var + more)


def _parts(fit: Sandwich, block: FloatArray) -> tuple[FloatArray, FloatArray, IntArray]:
    """Give z - z̄, the residuals and the bins of rank of a block of (z, y)."""
    z = block[:, 0] - fit.centre
    bins = np.clip(((block[:, 0] + 0.5) * FINE).astype(np.int64), 0, FINE - 1)
    return z, block[:, 1] - fit.level - fit.slope * z, bins


def _pulls(fit: Sandwich, rows: Callable[[], RowBlocks], width: float) -> tuple[FloatArray, float, float]:
    """Give g (200,), and its mean and mean square over the rows."""
    sums, examples = GroupedMoments.empty(FINE), np.zeros(FINE)
    for block, design in rows():
        z, rest, bins = _parts(fit, block)
        sums += GroupedMoments.of(bins, rest - fit.slope * z, FINE, weights=design.weight(len(z)))
        examples += np.bincount(bins, minlength=FINE)
    each = sums.n * sums.mean / sums.n.sum() / width
    pull, share = np.cumsum(each[::-1])[::-1] - each / 2, examples / examples.sum()
    return pull, float(share @ pull), float(share @ (pull * pull))


def _influences(fit: Sandwich, rows: Callable[[], RowBlocks], pulls: FloatArray) -> RowBlocks:
    for block, design in rows():
        z, rest, bins = _parts(fit, block)
        yield np.column_stack([design.weight(len(z)) * z * rest, pulls[bins]]), design
