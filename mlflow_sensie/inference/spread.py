"""How unequal groups are: the SD between the true means of classes, levels or bins, noise removed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import fdtrc

from mlflow_sensie.inference.decision import ScoreScale
from mlflow_sensie.inference.posterior import Draws, Interval
from mlflow_sensie.inference.weights import BoolArray, FloatArray, GroupedMoments

PSEUDO_COUNT = 20.0
PRIOR_SHARE = 0.25
ROUNDING = 1e-24  # of scores that do not vary within groups, as a share of their range squared
Z95, Z50 = 1.959964, 0.674490


@dataclass(frozen=True)
class Spread:
    """SD between groups, in the score's unit, and what it says of each group.

    `spread` holds the posterior median and the central intervals, `posterior` all of it. `prob_sensitive` is
    P(spread >= rope),
    `p_value` that of the weighted F test that all means are equal, None for a single group. `means`, `lo95`,
    `hi95` (K,) are the groups' means shrunk towards each other, None for a group without examples; `range` is
    the largest less the smallest.
    """

    spread: Interval
    prob_sensitive: float
    p_value: float | None
    range: float
    means: tuple[float | None, ...]
    lo95: tuple[float | None, ...]
    hi95: tuple[float | None, ...]
    posterior: Draws


def spread_of(
    units: GroupedMoments, scale: ScoreScale, reach: tuple[float, float], rope: float, family: int = 1
) -> Spread:
    """Estimate the spread between K groups of scores, given their moments as equal, independent units.

    m_k ~ N(μ, τ² + v_k), μ flat, τ ~ HalfNormal(.25 of the score's range), by quadrature over τ (Gelman et
    al., Bayesian Data Analysis, 5.4). ``reach`` is the score's range, from the smallest to the largest seen where it
    has no bounds. Intervals of the spread are at 1 - α/family each.
    Raises ValueError where no group has a score.
    """
    present = units.n > 0
    if not present.any():
        raise ValueError("no group has a score")
    low, width = reach[0], reach[1] - reach[0]
    groups = units.select(present)
    means = (groups.mean - low) / width
    variances = noise(groups, low, width, bounded=scale.bounded)
    tau, mass = _posterior(means, variances)
    centre, sd = _shrunk(means, variances, tau, mass)
    centre, half = low + width * centre, Z95 * width * sd
    cdf, quarter, tail = np.cumsum(mass), 0.25 / family, 0.025 / family
    quantile = [float(np.interp(q, cdf, tau)) * width for q in (0.5, quarter, 1 - quarter, tail, 1 - tail)]
    return Spread(
        spread=Interval(*quantile),
        prob_sensitive=float(1 - np.interp(rope / width, tau, cdf, left=0.0, right=1.0)),
        p_value=_homogeneity_p(means, variances, float(groups.n.sum())),
        range=float(np.ptp(centre)),
        means=_placed(centre, present),
        lo95=_placed(scale.clip(centre - half), present),
        hi95=_placed(scale.clip(centre + half), present),
        posterior=Draws.on_grid(width * tau, mass),
    )


def pooled(estimates: Sequence[Interval], reach: float | None) -> list[Interval]:
    """Pool the estimates of K slices partially: θ_k ~ N(μ, τ²), μ flat, τ ~ HalfNormal(.25 of `reach`).

    Each estimate is taken as normal with the SD that its 95 % interval has. `reach` is the range that the quantity
    can move in; None takes that of the intervals. Gives the slices' posterior means and central intervals, which
    are narrower than their own and need no correction for looking at many (Gelman, Hill & Yajima 2012). A
    single slice stays as it is.
    """
    if len(estimates) < 2:
        return list(estimates)
    value = np.array([estimate.value for estimate in estimates])
    sd = np.array([(estimate.hi95 - estimate.lo95) / (2 * Z95) for estimate in estimates])
    if reach is None:
        reach = max(estimate.hi95 for estimate in estimates) - min(estimate.lo95 for estimate in estimates)
    if not reach > 0:
        return list(estimates)
    variance = np.maximum(sd / reach, 1e-9) ** 2
    mean, spread = (reach * shares for shares in shrunken((value - value.mean()) / reach, variance))
    return [
        Interval(m, m - Z50 * s, m + Z50 * s, m - Z95 * s, m + Z95 * s)
        for m, s in zip((mean + value.mean()).tolist(), spread.tolist(), strict=True)
    ]


def shrunken(means: FloatArray, variances: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Give posterior means and SDs (K,) of true means m_k ~ N(μ, τ² + v_k), all as shares of their range."""
    return _shrunk(means, variances, *_posterior(means, variances))


def noise(
    groups: GroupedMoments, low: float, width: float, *, bounded: bool, pseudo_count: float = PSEUDO_COUNT
) -> FloatArray:
    """Give the variance of each group's mean, as a share of the score's range squared.

    Between bounds it follows the binomial shape φ m(1 - m)/n of shrunken means m, since a group without
    failures has no variance of its own; else each group's variance is shrunk to the pooled one, as if that came from
    `pseudo_count` examples more. Never less than that of half a failure.
    """
    n, free = groups.n, np.maximum(groups.n - 1, 0)
    total = groups.m2 / width**2
    failure = 0.5 / (n + 1)
    least = failure * (1 - failure) / n
    if not bounded:
        pooled = groups.pooled_variance() / width**2
        shrunk = (total + pseudo_count * pooled) / (free + pseudo_count) / n
        return np.asarray(shrunk if pooled > ROUNDING else least)
    mean = (groups.mean - low) / width
    shrunk_mean = (n * mean + pseudo_count * (n @ mean) / n.sum()) / (n + pseudo_count)
    shape = np.maximum(shrunk_mean * (1 - shrunk_mean), 0)
    expected = float(free @ shape)
    phi = float(total.sum()) / expected if expected > 0 else 1.0
    return np.asarray(np.maximum(phi * shape / n, least))


def misfit(means: FloatArray, variances: FloatArray) -> float:
    """Give how far K means are from their weighted mean: a chi-squared of K - 1 where the true ones are equal."""
    weight = 1 / variances
    return float(weight @ (means - weight @ means / weight.sum()) ** 2)


def _homogeneity_p(means: FloatArray, variances: FloatArray, examples: float) -> float | None:
    k = len(means)
    if k < 2 or examples <= k:
        return None
    # F rather than chi-squared, for the variances are estimated.
    return float(fdtrc(k - 1, examples - k, misfit(means, variances) / (k - 1)))


def _log_density(tau: FloatArray, means: FloatArray, variances: FloatArray) -> FloatArray:
    total = tau[:, None] ** 2 + variances
    weight = 1 / total
    precision = weight.sum(1)
    centre = weight @ means / precision
    misfit = (weight * (means - centre[:, None]) ** 2).sum(1)
    return np.asarray(-0.5 * (np.log(total).sum(1) + np.log(precision) + misfit + (tau / PRIOR_SHARE) ** 2))


def _posterior(means: FloatArray, variances: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Give nodes of τ and their masses, with the last node's cumulated mass 1."""
    coarse = np.concatenate([[0.0], np.geomspace(1e-7, 6 * PRIOR_SHARE, 300)])
    density = _log_density(coarse, means, variances)
    inside = np.flatnonzero(density > density.max() - 30)
    first, last = coarse[max(inside[0] - 1, 0)], coarse[min(inside[-1] + 1, len(coarse) - 1)]
    # Many groups make a narrow peak, few a long tail towards 0: equal steps of the square root serve both.
    tau = np.linspace(np.sqrt(first), np.sqrt(last), 801) ** 2
    density = _log_density(tau, means, variances)
    weight = np.exp(density - density.max())
    mass = np.concatenate([[0.0], (weight[1:] + weight[:-1]) / 2 * np.diff(tau)])
    return tau, mass / mass.sum()


def _shrunk(
    means: FloatArray, variances: FloatArray, tau: FloatArray, mass: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Give posterior means and SDs of the groups' true means, averaged over τ."""
    heavy = mass > 1e-6 * mass.max()
    tau2, share = tau[heavy, None] ** 2, mass[heavy] / mass[heavy].sum()
    weight = 1 / (tau2 + variances)
    precision = weight.sum(1, keepdims=True)
    shrink = variances * weight
    centre = (1 - shrink) * means + shrink * ((weight @ means)[:, None] / precision)
    variance = shrink * tau2 + shrink**2 / precision
    mean = share @ centre
    return mean, np.sqrt(share @ (variance + (centre - mean) ** 2))


def _placed(values: FloatArray, present: BoolArray) -> tuple[float | None, ...]:
    placed: list[float | None] = [None] * len(present)
    for index, value in zip(np.flatnonzero(present).tolist(), values.tolist(), strict=True):
        placed[index] = value
    return tuple(placed)
