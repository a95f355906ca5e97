"""Posteriors of contrasts: one number per example, a fixed combination of its scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlflow_sensie.inference.posterior import Posterior
from mlflow_sensie.inference.weights import Powers, Units
from mlflow_sensie.moments import FloatArray, Moments, PowerSums

ENOUGH = 20.0  # informative examples, from which on their spread can be trusted


@dataclass(frozen=True)
class GuardedEstimate:
    """The `posterior` to use, which distrusts a handful of examples, and the `plain` one, which does not.

    `informative` counts the examples that carry it, none where it is but rounding that varies.
    """

    posterior: Posterior
    plain: Posterior
    few_informative: bool
    informative: float


def enough(informative: float, n: float, *, strict: bool = False) -> bool:
    """Tell whether enough examples carry an estimate: n_eff4 of at least min(20, n/10), `strict` min(20, n/6)."""
    return informative >= min(ENOUGH, n / (6 if strict else 10))


def contrast_estimates(
    units: Units,
    contrasts: FloatArray,
    reach: tuple[float, float],
    *,
    pseudo: int = 2,
    strict: bool = False,
    powers: Powers | None = None,
) -> list[GuardedEstimate]:
    """Estimate contrasts (k, q) of the mean scores of units (m, k), each guarded where few units carry it.

    b_i being a unit's own contrast, the posterior is t_{n-1}(mean b, var b / n), exact under a normal random-slopes
    model. Where fewer than min(20, n/10) units carry the variance, or there is none, two pseudo-examples with the
    largest possible change between the score's bounds (``reach``), up and down, are added, or another even number;
    ``strict`` adds them where fewer than min(20, n/6) do. ``powers`` are ``units.powers(contrasts)``, where known.
    """
    moments = units.moments
    influences = units.powers(contrasts) if powers is None else powers
    largest = (reach[1] - reach[0]) * np.abs(contrasts).sum(0) / 2
    columns = (moments.mean @ contrasts, largest, influences.second, influences.third, influences.informative())
    estimates = []
    for b, most, total, cubes, informative in zip(*(column.tolist() for column in columns), strict=True):
        plain = _posterior(b, total, cubes, moments.n)
        # Rounding of scores that never change leaves variances of about 1e-32.
        varied = informative if total > moments.n * (1e-12 * most) ** 2 else 0.0
        few = not enough(varied, moments.n, strict=strict)
        guarded = _with_pseudo(b, total, cubes, moments.n, most, pseudo) if few else plain
        estimates.append(GuardedEstimate(guarded, plain, few, varied))
    return estimates


def contrast_posteriors(
    contrasts: FloatArray,
    scores: Moments,
    influences: PowerSums,
    reach: tuple[float, float],
    *,
    pseudo: int = 2,
    strict: bool = False,
) -> list[GuardedEstimate]:
    """Give the posterior of each contrast of the mean scores.

    `contrasts` (k, q) are fixed combinations of the k columns that `scores` sums, of n equal units;
    `influences` sums (rows - mean) @ contrasts. b_i being an example's own contrast, the posterior is
    t_{n-1}(mean b, var b / n), exact under a normal random-slopes model. Where fewer than min(20, n/10) units
    carry the variance, or there is none, two pseudo-examples with the largest possible change, up and down,
    are added, or another even number; `strict` adds them where fewer than min(20, n/6) do.
    """
    estimate = scores.mean @ contrasts
    largest = (reach[1] - reach[0]) * np.abs(contrasts).sum(0) / 2
    carried, n = influences.informative(), scores.n
    found = []
    for b, most, total, cubes, informative in zip(
        estimate, largest, influences.second, influences.third, carried, strict=True
    ):
        plain = _posterior(float(b), float(total), float(cubes), n)
        # Rounding of scores that never change leaves variances of about 1e-32.
        varied = float(informative) if total > n * (1e-12 * most) ** 2 else 0.0
        few = not enough(varied, n, strict=strict)
        guarded = _with_pseudo(float(b), float(total), float(cubes), n, float(most), pseudo) if few else plain
        found.append(GuardedEstimate(guarded, plain, few, varied))
    return found


def _posterior(mean: float, scatter: float, cubes: float, n: float) -> Posterior:
    skew = cubes / scatter**1.5 if scatter > 0 else 0.0
    return Posterior(mean, float(np.sqrt(scatter / (n - 1) / n)), float(n - 1), skew=skew)


def _with_pseudo(mean: float, scatter: float, cubes: float, n: float, most: float, pseudo: int) -> Posterior:
    """Join n examples about `mean`, with these central sums, and `pseudo` more, as many at `most` as at -`most`."""
    total = n + pseudo
    step, joined = mean * pseudo / total, mean * n / total
    cubes += 3 * step * scatter + n * step**3 - pseudo * (3 * most**2 * joined + joined**3)
    scatter += n * step**2 + pseudo * (most**2 + joined**2)
    return _posterior(joined, scatter, cubes, total)
