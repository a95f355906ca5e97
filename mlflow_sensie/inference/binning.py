"""Where a property is cut: the range a slope is measured over, and the bins of its curve."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from mlflow_sensie.moments import FloatArray

FEW_VALUES = 20
Bins = int | Sequence[float] | tuple[str, int] | str


def property_span(values: ArrayLike) -> tuple[float, float]:
    """Give the range (lo, hi) over which a property's effect is measured, in the property's unit.

    `values` (n,); what is not finite is left out. The 1-99 % range; the full range where there are at most 20
    unique values or the 1-99 % range is below 1e-9 of it, as for a flag on 1 % of the rows. Raises ValueError
    where fewer than two values differ.
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
