"""What a plot draws: the curve of mean scores, and the line through it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri, stdtrit

from mlflow_sensie.inference.binning import bin_edges, property_span
from mlflow_sensie.inference.scale import ScoreScale
from mlflow_sensie.moments import FloatArray, GroupedMoments

__all__ = ["Curve", "Line", "bin_edges", "curve_of", "distance", "magnitude_at", "property_span"]

FEW_EXAMPLES = 20
FEW_MINORITY = 5


@dataclass(frozen=True)
class Curve:
    """Mean score per bin or magnitude, as parallel tuples.

    `p` in the property's or perturbation's unit (None for missing values), `score` and its 95 % interval (t,
    clipped to the score's bounds) in the score's unit, `sd` between examples, `n` examples. `hatched`: fewer
    than 20 examples or 5 minority scores, so that the interval is not to be trusted. None is what no example,
    or a single one, cannot tell.
    """

    p: tuple[float | None, ...]
    score: tuple[float | None, ...]
    sd: tuple[float | None, ...]
    n: tuple[int, ...]
    lo95: tuple[float | None, ...]
    hi95: tuple[float | None, ...]
    hatched: tuple[bool, ...]
    label: tuple[str, ...]


@dataclass(frozen=True)
class Line:
    """A fitted line and its 95 % band over [start, stop] in p.

    `side` is "all", "below" or "above". The line is straight in x: the distance from `neutral`, logarithmic
    where `log_distance`, or p itself where `neutral` is None. It is level + slope (x - centre), with the
    variances of level and slope, their covariance, and the degrees of freedom of its t band (None: normal).
    """

    side: str
    start: float
    stop: float
    neutral: float | None
    log_distance: bool
    centre: float
    level: float
    slope: float
    level_var: float
    slope_var: float
    covariance: float
    df: float | None

    def at(self, p: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Give (mean, lo95, hi95) at p, of p's shape; not clipped to the score's bounds."""
        step = distance(p, self.neutral, self.log_distance) - self.centre
        mean = self.level + self.slope * step
        variance = self.level_var + 2 * step * self.covariance + step * step * self.slope_var
        quantile = float(ndtri(0.975) if self.df is None else stdtrit(self.df, 0.975))
        half = quantile * np.sqrt(np.maximum(variance, 0))
        return mean, mean - half, mean + half


def distance(p: ArrayLike, neutral: float | None, log_distance: bool = False) -> FloatArray:
    """Give how far p is from the neutral, |p - neutral| or |log(p / neutral)|; p itself without one."""
    x = np.asarray(p, np.float64)
    if neutral is None:
        return x
    return np.abs(np.log(x / neutral)) if log_distance else np.abs(x - neutral)


def magnitude_at(distance: float, neutral: float | None, log_distance: bool = False, *, below: bool = False) -> float:
    """Give the magnitude that lies so far above the neutral, or below it: the inverse of `distance`."""
    if neutral is None:
        return distance
    signed = -distance if below else distance
    return neutral * math.exp(signed) if log_distance else neutral + signed


def curve_of(
    sums: GroupedMoments,
    p: Sequence[float | None],
    labels: Sequence[str],
    scale: ScoreScale,
    examples: GroupedMoments | None = None,
) -> Curve:
    """Build the curve of K groups at `p` (K,).

    Where examples weigh unequally or hang together, `sums` are those of equal, independent units
    (`effective_groups`), which give means and intervals, and `examples` those of the examples as they are.
    """
    units, sums = sums, sums if examples is None else examples
    n, sd = sums.n, np.sqrt(sums.variance())
    df = np.maximum(units.n - 1, 1)
    half = stdtrit(df, 0.975) * np.sqrt(units.variance() / np.maximum(units.n, 1))
    low = np.where(units.n > 1, scale.clip(units.mean - half), np.nan if scale.lower is None else scale.lower)
    high = np.where(units.n > 1, scale.clip(units.mean + half), np.nan if scale.upper is None else scale.upper)
    minority = n - np.maximum(sums.at_lower, sums.at_upper)
    hatched = (units.n < FEW_EXAMPLES) | (minority < FEW_MINORITY) | (sums.m2 <= 0)
    return Curve(
        p=tuple(None if x is None else float(x) for x in p),
        score=_known(units.mean, n > 0),
        sd=_known(sd, n > 1),
        n=tuple(int(count) for count in n),
        lo95=_known(low, n > 0),
        hi95=_known(high, n > 0),
        hatched=tuple(bool(few) for few in hatched),
        label=tuple(labels),
    )


def _known(values: FloatArray, present: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> tuple[float | None, ...]:
    return tuple(float(x) if ok and np.isfinite(x) else None for x, ok in zip(values, present, strict=True))
