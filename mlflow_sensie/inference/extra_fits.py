"""What is fitted beside the line: a line through part of the range, and a polynomial; drawn, never a test's effect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from mlflow_sensie.inference.auto_range import Levels, region_of
from mlflow_sensie.inference.binning import Ranks
from mlflow_sensie.inference.contrast import GuardedEstimate
from mlflow_sensie.inference.curve import Line
from mlflow_sensie.inference.grid import DistanceAxis, MagnitudeGrid, Side
from mlflow_sensie.inference.posterior import Interval, Posterior
from mlflow_sensie.inference.slope import Sandwich, guarded_sandwich, with_rank_noise
from mlflow_sensie.inference.weights import (
    BoolArray,
    FloatArray,
    GroupedMoments,
    IntArray,
    Moments,
    SamplingDesign,
    row_blocks,
    unit_sums,
)

FitRange = tuple[float, float] | Literal["auto"] | None
GIVEN = "the range was given: the interval holds if it was given before the curve was seen"
CHOSEN = (
    "the range was chosen after seeing the curve, so this describes it; the interval allows for the choice of the "
    "range, but says nothing of where another curve would fall"
)


@dataclass(frozen=True)
class ExtraFits:
    """What to fit beside the line: a range (lo, hi) in the unit of p or "auto", and the order of a polynomial."""

    fit_range: FitRange = None
    polynomial: int | None = None

    def lacking(self, ranges: int, polynomials: int, sides: int = 1) -> tuple[str, ...]:
        """Give flags for what the points do not bear, given how many of each were fitted."""
        flags = {
            "no_fit_range": self.fit_range is not None and not ranges,
            "no_polynomial": self.polynomial is not None and polynomials < sides,
        }
        return tuple(name for name, raised in flags.items() if raised)


NO_EXTRA = ExtraFits()


@dataclass(frozen=True)
class RangeFit:
    """A line through part of a curve; never part of a test's `slope` and `effect`.

    `start` and `stop` are in the unit of p (those of `line` in shares where there are ranks); `points` counts the
    magnitudes, or the examples of a property. `slope` is per unit of distance (or of p) and `effect` the slope
    times the length of the range, with `posterior`; where `auto` chose the range their intervals are wider than
    the posterior's. `note` says how far they can be trusted.
    """

    side: str
    start: float
    stop: float
    points: int
    auto: bool
    slope: Interval
    effect: Interval
    posterior: Posterior
    few_informative: bool
    line: Line
    note: str

    @classmethod
    def of(
        cls, effect: Posterior, length: float, line: Line, points: int, few: bool, levels: Levels | None
    ) -> RangeFit:
        """Report a posterior of the effect over a line's range; of a chosen range at these `levels`."""
        interval = effect.summary()
        if levels is not None:
            interval = Interval(effect.loc, *effect.interval(levels[0]), *effect.interval(levels[1]))
        return cls(
            side=line.side, start=line.start, stop=line.stop, points=points, auto=levels is not None,
            slope=interval.scaled(1 / length), effect=interval, posterior=effect, few_informative=few, line=line,
            note=GIVEN if levels is None else CHOSEN,
        )  # fmt: skip


@dataclass(frozen=True)
class Polynomial(DistanceAxis):
    """A polynomial of some `order` and its 95 % band over [start, stop] in p.

    It is Σ coefficients[k] P_k(t), P_k being Legendre's polynomials and t = -1 to 1 over `domain`, which is in x: the
    distance from `neutral`, logarithmic where `log_distance`, or p itself where `neutral` is None. `covariance` is
    that of the coefficients and `df` the degrees of freedom of the band, which holds at each point by itself.
    """

    side: str
    order: int
    start: float
    stop: float
    neutral: float | None
    log_distance: bool
    domain: tuple[float, float]
    coefficients: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    df: float

    def at(self, p: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Give (mean, lo95, hi95) at p, of p's shape; not clipped to the score's bounds."""
        basis = _basis(self.distance(p), self.domain, self.order)
        mean = basis @ np.array(self.coefficients)
        variance = np.einsum("...i,ij,...j->...", basis, np.array(self.covariance), basis)
        half = float(stdtrit(self.df, 0.975)) * np.sqrt(np.maximum(variance, 0))
        return mean, mean - half, mean + half


# --- of a sweep --------------------------------------------------------------------------------------------


def fit_windows(grid: MagnitudeGrid, moments: Moments, fit_range: FitRange) -> list[tuple[Side, Levels | None]]:
    """Cut the sides of a sweep down to a range of p, or to where they fall; fewer than two points are none.

    Gives the parts as sides of their own, with the levels of their intervals where the range was chosen.
    """
    windows: list[tuple[Side, Levels | None]] = []
    if fit_range is None:
        return windows
    for side in grid.sides:
        region: tuple[IntArray, Levels | None] | None
        if fit_range == "auto":
            mean, covariance = side.moments(moments)
            region = region_of(side.distances, mean, covariance / moments.n, from_start=True)
        else:
            region = side.within(*fit_range), None
        if region is not None and len(region[0]) >= 2:
            windows.append((side.part(region[0]), region[1]))
    return windows


def range_of_side(
    grid: MagnitudeGrid, side: Side, levels: Levels | None, slope: GuardedEstimate, moments: Moments
) -> RangeFit:
    """Fit a line to part of a side, given the estimate of its slope."""
    line = side_line(grid, side, slope.posterior, moments)
    effect = slope.posterior.scaled(side.length)
    return RangeFit.of(effect, side.length, line, len(side.columns), slope.few_informative, levels)


def side_line(grid: MagnitudeGrid, side: Side, slope: Posterior, moments: Moments) -> Line:
    """Give the line through the points of a side, with a slope of this posterior."""
    mean, covariance = side.moments(moments)
    u = side.distances - side.distances.mean()
    average, rise = np.full(len(u), 1 / len(u)), u / (u @ u)
    return Line(
        side=side.name, start=float(side.magnitudes.min()), stop=float(side.magnitudes.max()), neutral=grid.neutral,
        log_distance=grid.log_distance, centre=float(side.distances.mean()), level=float(mean.mean()), slope=slope.loc,
        level_var=float(average @ covariance @ average) / moments.n, slope_var=slope.scale**2,
        covariance=float(average @ covariance @ rise) / moments.n, df=slope.df,
    )  # fmt: skip


def polynomials_of(
    grid: MagnitudeGrid, moments: Moments, reach: tuple[float, float], few: Mapping[str, bool], order: int
) -> list[Polynomial]:
    """Fit a polynomial to each side with more points than its order.

    Where `few` examples carry a side's slope, the two pseudo-examples that guard it are added here too: between
    the score's bounds (`reach`) they fall, and rise, in the middle of the side.
    """
    sides = [side for side in grid.sides if len(side.columns) > order]
    return [_polynomial_of_side(grid, side, moments, reach if few[side.name] else None, order) for side in sides]


def _polynomial_of_side(
    grid: MagnitudeGrid, side: Side, moments: Moments, guard: tuple[float, float] | None, order: int
) -> Polynomial:
    u = side.distances
    if guard is not None:
        away = np.zeros(side.width)
        away[list(side.columns)] = (guard[1] - guard[0]) / 2 * np.sign(u - u.mean())
        moments = moments.joined(moments.mean + np.stack([away, -away]))
    domain = (float(u[0]), float(u[-1]))
    solution = np.asarray(np.linalg.pinv(_basis(u, domain, order)))
    mean, covariance = side.moments(moments)
    return Polynomial(
        side=side.name, order=order, start=float(side.magnitudes.min()), stop=float(side.magnitudes.max()),
        neutral=grid.neutral, log_distance=grid.log_distance, domain=domain,
        coefficients=tuple((solution @ mean).tolist()),
        covariance=_tuples(solution @ covariance @ solution.T / moments.n), df=float(moments.n - 1),
    )  # fmt: skip


# --- of a property -----------------------------------------------------------------------------------------

# Its ends in z, which examples (n,) it has, and the levels of intervals where it was chosen.
PropertyWindow = tuple[tuple[float, float], BoolArray, Levels | None]


def window_given(fit_range: tuple[float, float], span: tuple[float, float], z: FloatArray) -> PropertyWindow | None:
    """Cut a range of the property down to its span, z (n,) being shares of it from its middle; None if none is left."""
    middle, width = (span[0] + span[1]) / 2, span[1] - span[0]
    low, high = (min(max((p - middle) / width, -0.5), 0.5) for p in fit_range)
    slack = 1e-12 * (1 + abs(low) + abs(high))
    return ((low, high), (z >= low - slack) & (z <= high + slack), None) if high > low else None


def window_chosen(
    z: FloatArray, groups: GroupedMoments, width: float, cuts: FloatArray, bin_z: FloatArray
) -> PropertyWindow | None:
    """Choose the bins in which the curve falls: of K bins scores and mean z, the K - 1 cuts; width is the score's."""
    some = np.flatnonzero(groups.n > 0)
    if len(some) < 2:
        return None
    n, own = np.maximum(groups.n, 1), np.where(groups.n > 1, groups.variance(), groups.pooled_variance())
    # A bin without failures is not known for sure: half a failure is what it may have had.
    least = 0.5 / (n + 1) * (1 - 0.5 / (n + 1)) * width**2
    curve, variance = groups.select(some), np.maximum(own, least) / n
    region = region_of(bin_z[some], curve.mean, np.diag(variance[some]), curve.n, from_start=False)
    if region is None:
        return None
    first, last = some[region[0][[0, -1]]]
    edges = np.concatenate([[-0.5], np.clip(cuts, -0.5, 0.5), [0.5]])
    bins = np.searchsorted(cuts, z, side="right")
    return (float(edges[first]), float(edges[last + 1])), (bins >= first) & (bins <= last), region[1]


def range_of_property(
    window: PropertyWindow,
    z: FloatArray,
    y: FloatArray,
    design: SamplingDesign,
    span: tuple[float, float],
    reach: tuple[float, float],
    ranks: Ranks | None = None,
) -> RangeFit | None:
    """Fit a line to the examples of a window; None where they have no two values of the property.

    z (n,) are shares of `span` from its middle, y (n,) the scores. With `ranks`, the line is on them and allows for
    their noise; the range's ends are in the property's unit.
    """
    (low, high), inside, levels = window
    z, y, design = (z[inside] - (low + high) / 2) / (high - low), y[inside], design.take(inside)
    if len(z) < 2 or not np.ptp(z) > 0:
        return None
    fit, few = guarded_sandwich(z, y, design, reach)[1:]
    if ranks is not None:
        fit = with_rank_noise(fit, z, y, design, (span[1] - span[0]) * (high - low), ranks.n, part=True)
    start, stop = (span[0] + (span[1] - span[0]) * (edge + 0.5) for edge in (low, high))
    line = property_line(fit, (start, stop))
    extra = RangeFit.of(fit.posterior, line.stop - line.start, line, len(z), few, levels)
    if ranks is None:
        return extra
    return replace(extra, start=float(ranks.value(start)), stop=float(ranks.value(stop)))


def property_line(fit: Sandwich, span: tuple[float, float]) -> Line:
    """Give the line of a fit on z, shares of `span` from its middle, in the property's unit."""
    width = span[1] - span[0]
    return Line(
        side="all", start=float(span[0]), stop=float(span[1]), neutral=None, log_distance=False,
        centre=float(span[0] + width * (fit.centre + 0.5)), level=fit.level, slope=fit.slope / width,
        level_var=fit.level_var, slope_var=fit.slope_var / width**2, covariance=fit.covariance / width, df=fit.df,
    )  # fmt: skip


def polynomial_of_property(
    z: FloatArray,
    y: FloatArray,
    design: SamplingDesign,
    domain: tuple[float, float],
    span: tuple[float, float],
    order: int,
) -> Polynomial | None:
    """Fit a polynomial to the examples of a property, each with an error variance of its own (HC2).

    z (n,) are shares of `span` from its middle, within `domain` but for pseudo-scores, and y (n,) the scores. Ranks
    count as known. None where there are no more values of the property than the order.
    """
    w, terms = design.weight(len(z)), order + 1
    gram, pull = np.zeros((terms, terms)), np.zeros(terms)
    for rows in row_blocks(len(z)):
        basis = _basis(z[rows], domain, order)
        weighted = basis * w[rows, None]
        gram, pull = gram + weighted.T @ basis, pull + weighted.T @ y[rows]
    if np.linalg.matrix_rank(gram, hermitian=True) <= order:
        return None
    inverse = np.asarray(np.linalg.inv(gram), np.float64)
    coefficients = inverse @ pull

    def influences(rows: slice) -> FloatArray:
        basis = _basis(z[rows], domain, order)
        room = 1 - w[rows] * np.einsum("ni,ij,nj->n", basis, inverse, basis)
        grown = np.where(room > 1e-9, 1 / np.sqrt(np.maximum(room, 1e-9)), 0.0)
        return np.asarray(basis * (w[rows] * grown * (y[rows] - basis @ coefficients))[:, None])

    meat, m = np.zeros_like(gram), 0
    for rows in row_blocks(len(z)) if design.clusters is None else [slice(None)]:
        unit = unit_sums(influences(rows), design)
        meat, m = meat + unit.T @ unit, m + len(unit)
    low, width = span[0], span[1] - span[0]
    return Polynomial(
        side="all", order=order, start=span[0], stop=span[1], neutral=None, log_distance=False,
        domain=(low + width * (domain[0] + 0.5), low + width * (domain[1] + 0.5)),
        coefficients=tuple(coefficients.tolist()), covariance=_tuples(inverse @ meat @ inverse),
        df=max(1.0, float(m - order - 1)),
    )  # fmt: skip


def _basis(x: FloatArray, domain: tuple[float, float], order: int) -> FloatArray:
    low, high = domain
    return np.asarray(legendre.legvander((x - low) / (high - low) * 2 - 1, order))


def _tuples(matrix: FloatArray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in matrix.tolist())
