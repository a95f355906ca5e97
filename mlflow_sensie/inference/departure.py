"""How far a curve is from its line, and whether chance explains it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import fdtrc

from mlflow_sensie.moments import FloatArray, GroupedMoments


@dataclass(frozen=True)
class Departure:
    """RMS distance of a curve from its line, noise removed, in the score's unit.

    `p_value` is the probability of such a departure by chance, None where that cannot be told.
    """

    size: float
    p_value: float | None


NO_DEPARTURE = Departure(0.0, None)


def departure_of_bins(x: FloatArray, sums: GroupedMoments) -> Departure:
    """Compare bin means with their line, every example weighing the same.

    `x` (K,) mean property of each bin; `sums` the scores' K groups. The size is the weighted RMS of the
    residuals less what noise of the bins' own variances adds to it. The test is Bonferroni of lack of fit and
    of a quadratic term, each against F as Brown & Forsythe (1974) have it for unequal variances: a pooled
    variance calls a straight line bent where the noise grows with p.
    """
    present = sums.n > 0
    groups, x = sums.select(present), x[present]
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
    found, expected = float(rest @ rest), float(np.trace(noise))
    size = float(np.sqrt(max(0.0, found - expected) / len(u)))
    if expected <= 1e-24:
        return Departure(size if found > 1e-24 else 0.0, None)
    df = expected**2 / float(np.sum(noise * noise))
    return Departure(size, float(fdtrc(df, df * (n - 1), found / expected)))


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
    told = [p for p in tests if p is not None]
    return min(1.0, min(told) * len(told)) if told else None
