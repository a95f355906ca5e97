"""What a plot draws: the curve of mean scores, the line through it, and how far the curve departs from the line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import fdtrc, ndtri, stdtrit

from mlflow_sensie.inference.decision import ScoreScale
from mlflow_sensie.inference.grid import DistanceAxis
from mlflow_sensie.inference.weights import BoolArray, FloatArray, GroupedMoments

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
class Line(DistanceAxis):
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
        step = self.distance(p) - self.centre
        mean = self.level + self.slope * step
        variance = self.level_var + 2 * step * self.covariance + step * step * self.slope_var
        quantile = float(ndtri(0.975) if self.df is None else stdtrit(self.df, 0.975))
        half = quantile * np.sqrt(np.maximum(variance, 0))
        return mean, mean - half, mean + half


def curve_of(
    units: GroupedMoments,
    p: Sequence[float | None],
    labels: Sequence[str],
    scale: ScoreScale,
    examples: GroupedMoments | None = None,
) -> Curve:
    """Build the curve of K groups at ``p`` (K,).

    ``units`` are the moments of equal, independent units, which give means and intervals; where examples weigh
    unequally or hang together, ``examples`` are those of the examples as they are.
    """
    examples = units if examples is None else examples
    n, sd = examples.n, np.sqrt(examples.variance())
    df = np.maximum(units.n - 1, 1)
    half = stdtrit(df, 0.975) * np.sqrt(units.variance() / np.maximum(units.n, 1))
    low = np.where(units.n > 1, scale.clip(units.mean - half), np.nan if scale.lower is None else scale.lower)
    high = np.where(units.n > 1, scale.clip(units.mean + half), np.nan if scale.upper is None else scale.upper)
    minority = n - examples.at_bound
    hatched = (units.n < FEW_EXAMPLES) | (minority < FEW_MINORITY) | (examples.m2 <= 0)
    return Curve(
        p=tuple(None if x is None else float(x) for x in p), score=_known(units.mean, n > 0), sd=_known(sd, n > 1),
        n=tuple(int(count) for count in n), lo95=_known(low, n > 0), hi95=_known(high, n > 0),
        hatched=tuple(bool(few) for few in hatched), label=tuple(labels),
    )  # fmt: skip


def _known(values: FloatArray, present: BoolArray) -> tuple[float | None, ...]:
    return tuple(float(x) if ok and np.isfinite(x) else None for x, ok in zip(values, present, strict=True))


@dataclass(frozen=True)
class Departure:
    """RMS distance of a curve from its line, noise removed, in the score's unit.

    `p_value` is the probability of such a departure by chance, None where that cannot be told.
    """

    size: float
    p_value: float | None


NO_DEPARTURE = Departure(0.0, None)


def departure_of_bins(x: FloatArray, units: GroupedMoments) -> Departure:
    """Compare bin means with their line, every example weighing the same.

    ``x`` (K,) mean property of each bin; ``units`` the moments of the scores in the K bins. The size is the
    weighted RMS of the residuals less what noise of the bins' own variances adds to it. The test is Bonferroni of
    lack of fit and of a quadratic term, each against F as Brown & Forsythe (1974) have it for unequal variances: a
    pooled variance calls a straight line bent where the noise grows with p.
    """
    present = units.n > 0
    groups, x = units.select(present), x[present]
    if len(x) < 3 or np.ptp(x) == 0:
        return NO_DEPARTURE
    weights = groups.n / groups.n.sum()
    variance = np.where(groups.n > 1, groups.variance(), groups.pooled_variance()) / groups.n
    straight, bent = _form(x, weights, 2), _form(x, weights, 3)
    size2 = float(groups.mean @ straight @ groups.mean - np.diag(straight) @ variance)
    free = np.maximum(groups.n - 1, 1)
    tests = [_unequal_p(form, groups.mean, variance, free) for form in (straight, straight - bent)[: len(x) - 2]]
    return Departure(float(np.sqrt(max(0.0, size2))), _least(tests))


def departure_of_sweep(u: FloatArray, mean: FloatArray, covariance: FloatArray, n: float) -> Departure:
    """Compare a sweep's curve with its line.

    `u` (J,) distances, `mean` (J,) the curve, `covariance` (J, J) between the scores of an example, n
    examples. The size is sqrt(max(0, m'Hm - tr(HS)/n) / J), H the projector on the residuals of (1, u). The
    test compares both terms, F with Geisser & Greenhouse's (1958) degrees of freedom: Hotelling's breaks down
    where few examples change, each at a place of its own.
    """
    if len(u) < 3:
        return NO_DEPARTURE
    residual = _form(u, np.ones(len(u)), 2)
    noise = residual @ covariance @ residual / n
    rest = residual @ mean
    misfit, expected = float(rest @ rest), float(np.trace(noise))
    size = float(np.sqrt(max(0.0, misfit - expected) / len(u)))
    if expected <= 1e-24:
        return Departure(size if misfit > 1e-24 else 0.0, None)
    df = expected**2 / float(np.sum(noise * noise))
    return Departure(size, float(fdtrc(df, df * (n - 1), misfit / expected)))


def pooled_departure(parts: Sequence[tuple[Departure, int]]) -> Departure:
    """Join the departures of sides, each with its number of points: RMS over points, Bonferroni."""
    total = sum(points for _, points in parts)
    size = np.sqrt(sum(part.size**2 * points for part, points in parts) / total)
    return Departure(float(size), _least([part.p_value for part, _ in parts]))


def _form(x: FloatArray, weights: FloatArray, terms: int) -> FloatArray:
    """Give A: m'Am is the weighted sum of squared residuals of means m from a polynomial of so many terms."""
    z = (x - x.mean()) / np.ptp(x)
    root = np.sqrt(weights)
    basis = np.linalg.qr(np.vander(z, terms, increasing=True) * root[:, None])[0]
    return np.asarray((np.eye(len(x)) - basis @ basis.T) * np.outer(root, root))


def _unequal_p(form: FloatArray, mean: FloatArray, variance: FloatArray, free: FloatArray) -> float | None:
    noise = np.diag(form) * variance
    expected = float(noise.sum())
    if expected <= 1e-24:
        return None
    above = expected**2 / float(np.sum(form * form * np.outer(variance, variance)))
    below = expected**2 / float(np.sum(noise * noise / free))
    return float(fdtrc(above, below, max(0.0, float(mean @ form @ mean)) / expected))


def _least(tests: Sequence[float | None]) -> float | None:
    known = [p for p in tests if p is not None]
    return min(1.0, min(known) * len(known)) if known else None
