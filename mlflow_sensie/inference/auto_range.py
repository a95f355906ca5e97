"""Lines through part of a curve: a range that the user gave, or the one in which most of the drop happens."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from mlflow_sensie.inference.contrast import GuardedEstimate
from mlflow_sensie.inference.curve import Line
from mlflow_sensie.inference.grid import MagnitudeGrid, Side
from mlflow_sensie.inference.posterior import Interval, Posterior
from mlflow_sensie.inference.region import Region, region_of
from mlflow_sensie.inference.sweep_sums import ScoreSums
from mlflow_sensie.moments import IntArray

FitRange = tuple[float, float] | Literal["auto"] | None
GIVEN = "the range was given: the interval holds if it was given before the curve was seen"
CHOSEN = (
    "the range was chosen after seeing the curve, so this describes it; the interval allows for the choice of the "
    "range, but says nothing of where another curve would fall"
)


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
        cls, effect: Posterior, length: float, line: Line, points: int, few: bool, region: Region | None
    ) -> RangeFit:
        """Report a posterior of the effect over a line's range; of a chosen `region` with its wider intervals."""
        found = effect.summary()
        if region is not None:
            found = Interval(effect.loc, *effect.interval(region.level50), *effect.interval(region.level95))
        return cls(
            side=line.side,
            start=line.start,
            stop=line.stop,
            points=points,
            auto=region is not None,
            slope=found.scaled(1 / length),
            effect=found,
            posterior=effect,
            few_informative=few,
            line=line,
            note=GIVEN if region is None else CHOSEN,
        )


@dataclass(frozen=True)
class FitWindow:
    """Part of a side of a sweep, as a side of its own, and the region if it was chosen."""

    side: Side
    region: Region | None

    def fit(self, sweep: MagnitudeGrid, slope: GuardedEstimate, sums: ScoreSums) -> RangeFit:
        """Fit a line, given the posterior of its slope."""
        effect = slope.posterior.scaled(self.side.length)
        line = side_line(sweep, self.side, slope.posterior, sums)
        return RangeFit.of(effect, self.side.length, line, len(self.side.columns), slope.few_informative, self.region)


def stretches(sweep: MagnitudeGrid, sums: ScoreSums, fit_range: FitRange) -> list[FitWindow]:
    """Cut the sides of a sweep down to a range of p, or to where they fall; fewer than two points are none."""
    if fit_range is None:
        return []
    found = []
    for side in sweep.sides:
        if fit_range == "auto":
            columns = list(side.columns)
            covariance = sums.moments.covariance()[np.ix_(columns, columns)] / sums.n
            region = region_of(side.distances, sums.moments.mean[columns], covariance, from_start=True)
            inside = np.arange(0) if region is None else np.arange(region.first, region.last + 1)
        else:
            region, inside = None, points_within(side, fit_range)
        if len(inside) >= 2:
            found.append(FitWindow(_part(side, inside), region))
    return found


def points_within(side: Side, fit_range: tuple[float, float]) -> IntArray:
    """Give the indices of a side's points whose magnitudes lie in a range, its ends included."""
    low, high = fit_range
    slack = 1e-9 * (high - low)
    return np.flatnonzero((side.magnitudes >= low - slack) & (side.magnitudes <= high + slack))


def _part(side: Side, inside: IntArray) -> Side:
    columns = tuple(side.columns[k] for k in inside)
    return replace(side, columns=columns, magnitudes=side.magnitudes[inside], distances=side.distances[inside])


def side_line(sweep: MagnitudeGrid, side: Side, slope: Posterior, sums: ScoreSums) -> Line:
    """Give the line through the points of a side, with a slope of this posterior."""
    columns = list(side.columns)
    mean, covariance = sums.moments.mean[columns], sums.moments.covariance()[np.ix_(columns, columns)] / sums.n
    u = side.distances - side.distances.mean()
    average, rise = np.full(len(u), 1 / len(u)), u / (u @ u)
    return Line(
        side=side.name,
        start=float(side.magnitudes.min()),
        stop=float(side.magnitudes.max()),
        neutral=sweep.neutral,
        log_distance=sweep.log_distance,
        centre=float(side.distances.mean()),
        level=float(mean.mean()),
        slope=slope.loc,
        level_var=float(average @ covariance @ average),
        slope_var=slope.scale**2,
        covariance=float(average @ covariance @ rise),
        df=slope.df,
    )
