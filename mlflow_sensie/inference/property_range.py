"""The line through part of a property's range."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mlflow_sensie.inference.auto_range import FitRange, RangeFit
from mlflow_sensie.inference.curve import Line
from mlflow_sensie.inference.ranks import Ranks, with_rank_noise
from mlflow_sensie.inference.region import Region, region_of
from mlflow_sensie.inference.slope import Sandwich, guarded_sandwich
from mlflow_sensie.inference.weights import SamplingDesign
from mlflow_sensie.moments import FloatArray, GroupedMoments, Moments

# Blocks of (z, score, …), which rows of the block they are, and their design.
Rows = Callable[[], Iterable[tuple[FloatArray, NDArray[np.bool_], SamplingDesign]]]


@dataclass(frozen=True)
class BinnedCurve:
    """A property's curve in z: mean z (K,), groups of scores, variances of their means (K,), and the K - 1 cuts."""

    z: FloatArray
    groups: GroupedMoments
    variance: FloatArray
    cuts: FloatArray


@dataclass(frozen=True)
class Part:
    """Part of a property's range, `limits` in z: what lies between them, or the bins of a chosen `region`."""

    limits: tuple[float, float]
    region: Region | None = None
    bins: tuple[int, int] = (0, 0)
    cuts: FloatArray | None = None

    def inside(self, z: FloatArray) -> NDArray[np.bool_]:
        """Tell which examples belong to the part; missing values do not."""
        if self.cuts is None:
            slack = 1e-12 * (1 + abs(self.limits[0]) + abs(self.limits[1]))
            return np.asarray((z >= self.limits[0] - slack) & (z <= self.limits[1] + slack))
        bins = np.searchsorted(self.cuts, z, side="right")
        return np.asarray(np.isfinite(z) & (bins >= self.bins[0]) & (bins <= self.bins[1]))


def part_of(fit_range: FitRange, curve: BinnedCurve | None, span: tuple[float, float]) -> Part | None:
    """Find the part of a property's range to fit, z being shares of `span` from its middle; None where there is none.

    A range that was given is cut down to the span; `auto` needs a curve.
    """
    if fit_range is None or (fit_range == "auto" and curve is None):
        return None
    if fit_range != "auto":
        middle, width = (span[0] + span[1]) / 2, span[1] - span[0]
        low, high = (min(max((p - middle) / width, -0.5), 0.5) for p in fit_range)
        return Part((low, high)) if high > low else None
    assert curve is not None
    some = np.flatnonzero(curve.groups.n > 0)
    if len(some) < 2:
        return None
    region = region_of(
        curve.z[some],
        curve.groups.mean[some],
        np.diag(curve.variance[some]),
        curve.groups.n[some],
        from_start=False,
    )
    if region is None:
        return None
    first, last = int(some[region.first]), int(some[region.last])
    edges = np.concatenate([[-0.5], np.clip(curve.cuts, -0.5, 0.5), [0.5]])
    return Part((float(edges[first]), float(edges[last + 1])), region, (first, last), curve.cuts)


def range_of_property(
    part: Part, rows: Rows, span: tuple[float, float], reach: tuple[float, float], ranks: Ranks | None = None
) -> RangeFit | None:
    """Fit a line to the examples of a part; None where they have no two values of the property.

    With `ranks`, the line is on them and allows for their noise; the range's ends are in the property's unit.
    """
    low, high = part.limits
    width = high - low

    def pairs() -> Iterator[tuple[FloatArray, SamplingDesign]]:
        for block, _, design in rows():
            inside = part.inside(block[:, 0])
            z = (block[inside, 0] - (low + high) / 2) / width
            yield np.column_stack([z, block[inside, 1]]), design.take(inside)

    moments = Moments.empty(2)
    for block, design in pairs():
        moments += Moments.of(block, design.weight(len(block)))
    if moments.n < 2 or not moments.scatter[0, 0] > 0:
        return None
    fit, few = guarded_sandwich(pairs, moments, reach)[1:]
    if ranks is not None:
        fit = with_rank_noise(fit, pairs, moments, (span[1] - span[0]) * width, ranks.n, part=True)
    start, stop = (span[0] + (span[1] - span[0]) * (edge + 0.5) for edge in part.limits)
    line = property_line(fit, (start, stop))
    found = RangeFit.of(fit.posterior, line.stop - line.start, line, int(moments.n), few, part.region)
    if ranks is None:
        return found
    return replace(found, start=float(ranks.value(start)), stop=float(ranks.value(stop)))


def property_line(fit: Sandwich, span: tuple[float, float]) -> Line:
    """Give the line of a fit on z, shares of `span` from its middle, in the property's unit."""
    width = span[1] - span[0]
    return Line(
        side="all",
        start=float(span[0]),
        stop=float(span[1]),
        neutral=None,
        log_distance=False,
        centre=float(span[0] + width * (fit.centre + 0.5)),
        level=fit.level,
        slope=fit.slope / width,
        level_var=fit.level_var,
        slope_var=fit.slope_var / width**2,
        covariance=fit.covariance / width,
        df=fit.df,
    )
