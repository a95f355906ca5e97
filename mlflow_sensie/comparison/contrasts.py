"""Contrasts of two models' scores: one number per example for A, and one for its difference B - A.

On the same examples the difference is a contrast like any other. On different ones its posterior follows from the
two models' own. What is no contrast is drawn from both at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import block_diag

from mlflow_sensie.comparison.posteriors import SkewedT
from mlflow_sensie.errors import ComparisonError
from mlflow_sensie.inference.contrast import enough
from mlflow_sensie.inference.units import Design, effective_moments, unit_blocks
from mlflow_sensie.moments import FloatArray, Moments, PowerSums

DRAWS = 4_000
Rng = np.random.Generator
Rows = Callable[[], Iterable[tuple[FloatArray, Design]]]


@dataclass(frozen=True)
class Estimate:
    """A quantity's posterior, the number of examples that carry it if that is known, and whether they are few."""

    posterior: SkewedT
    informative: float | None
    few: bool


@dataclass(frozen=True)
class Joint:
    """Two models' k columns together, over n examples.

    `moments` are those of 2k columns, A's and then those of B - A, over equal, independent units; `a` and `d` are
    the estimates of q contrasts, (k, q), of A and of B - A.
    """

    n: int
    moments: Moments
    contrasts: FloatArray
    a: tuple[Estimate, ...]
    d: tuple[Estimate, ...]

    def values(self, index: int) -> tuple[float, float]:
        """Give contrast `index` of A and of B."""
        k = len(self.contrasts)
        a, d = (float(part @ self.contrasts[:, index]) for part in (self.moments.mean[:k], self.moments.mean[k:]))
        return a, a + d

    def covariance(self, indices: list[int]) -> FloatArray:
        """Give the covariance (2m, 2m) of m estimated contrasts of A and then of B - A."""
        chosen = block_diag(*[self.contrasts[:, indices]] * 2)
        found = chosen.T @ self.moments.covariance() @ chosen / self.moments.n
        known = [each[index].posterior.scale ** 2 for each in (self.a, self.d) for index in indices]
        np.fill_diagonal(found, known)
        return np.asarray(found)


def paired(rows: Rows, contrasts: FloatArray, reach: tuple[float, float]) -> Joint:
    """Sum blocks (n, 2k), finite, of A's columns and then B - A, in two passes; `reach` is the score's range.

    Raises ComparisonError for fewer than two examples.
    """
    most = _largest(contrasts, reach)
    n, moments, found = _estimates(rows, block_diag(contrasts, contrasts), np.concatenate([most, 2 * most]))
    q = contrasts.shape[1]
    return Joint(n, moments, contrasts, tuple(found[:q]), tuple(found[q:]))


def unpaired(rows_a: Rows, rows_b: Rows, contrasts: FloatArray, reach: tuple[float, float]) -> Joint:
    """Sum blocks (n, k), finite, of either model on examples of its own; raises ComparisonError for fewer than two."""
    most = _largest(contrasts, reach)
    (n_a, a, of_a), (n_b, b, of_b) = (_estimates(rows, contrasts, most) for rows in (rows_a, rows_b))
    var_a, var_b = (one.covariance() / one.n for one in (a, b))
    units = min(a.n, b.n)
    together = np.block([[var_a, -var_a], [-var_a, var_a + var_b]]) * units * (units - 1)
    moments = Moments(units, units, units, np.concatenate([a.mean, b.mean - a.mean]), together)
    return Joint(min(n_a, n_b), moments, contrasts, tuple(of_a), tuple(map(_apart, of_a, of_b)))


def independent(a: SkewedT, b: SkewedT) -> SkewedT:
    """Give the posterior of B - A from independent ones, with Welch's degrees of freedom."""
    variance = a.scale**2 + b.scale**2
    if variance == 0:
        return SkewedT(b.loc - a.loc, 0.0)
    shares = [(one.scale**2 / variance, one.df) for one in (a, b)]
    unsure = sum(share**2 / df for share, df in shares if df is not None)
    skew = (b.skew * b.scale**3 - a.skew * a.scale**3) / variance**1.5
    return SkewedT(b.loc - a.loc, variance**0.5, 1 / unsure if unsure else None, skew)


def fewest(estimates: Iterable[Estimate]) -> float | None:
    """Give the smallest number of examples that carry one of these, of those that are known."""
    return min((each.informative for each in estimates if each.informative is not None), default=None)


def joint_draws(mean: FloatArray, covariance: FloatArray, df: float, rng: Rng) -> FloatArray:
    """Draw (4000, k) from a multivariate t with this location and scale matrix (k, k), which may be singular.

    What has no variance comes out exactly at its mean.
    """
    sd = np.sqrt(np.maximum(np.diag(covariance), 0))
    safe = np.where(sd > 0, sd, 1.0)
    weights, axes = np.linalg.eigh(covariance / np.outer(safe, safe))
    unit = rng.normal(size=(DRAWS, len(mean))) @ (axes * np.sqrt(np.maximum(weights, 0))).T
    return np.asarray(mean + unit * sd / np.sqrt(rng.chisquare(df, size=(DRAWS, 1)) / df))


def _apart(a: Estimate, b: Estimate) -> Estimate:
    return Estimate(independent(a.posterior, b.posterior), fewest((a, b)), a.few or b.few)


def _largest(contrasts: FloatArray, reach: tuple[float, float]) -> FloatArray:
    """Give the largest possible |b| of each contrast: weights that sum to 0 move by half the range each."""
    return np.asarray((reach[1] - reach[0]) * np.abs(contrasts).sum(0) / 2)


def _estimates(rows: Rows, contrasts: FloatArray, most: FloatArray) -> tuple[int, Moments, list[Estimate]]:
    n = sum(len(block) for block, _ in rows())
    moments, factor = effective_moments(rows(), len(contrasts))
    if not moments.n > 1:
        raise ComparisonError(f"at least two examples (or clusters) with all scores in both are needed; {n} came")
    q = contrasts.shape[1]
    powers = PowerSums.empty(2 * q)
    for block, weight in unit_blocks(rows()):
        d = (factor * weight)[:, None] * ((block - moments.mean) @ contrasts)
        powers += PowerSums.of(np.column_stack([d, d**3]))
    mean, carried = moments.mean @ contrasts, powers.informative()
    sums = zip(mean, powers.second[:q], powers.first[q:], carried[:q], most, strict=True)
    return n, moments, [_estimate(*map(float, each), units=float(moments.n)) for each in sums]


def _estimate(mean: float, second: float, third: float, informative: float, most: float, *, units: float) -> Estimate:
    """Give a contrast's estimate from its central sums Σd² and Σd³ over n equal units, t_{n-1} with their skewness.

    Where fewer than min(20, n/10) units carry it, or nothing varies, four pseudo-examples with the largest
    possible change are added, two up and two down: with the two of a single model's contrast 9 % of the models
    pass at their margin that lose 2 examples of 240.
    """
    n = total = units
    few = second <= n * (1e-12 * most) ** 2 or not enough(informative, n)
    if few:
        step, total = mean * 4 / (n + 4), n + 4
        mean -= step
        third += 3 * step * second + n * step**3 - 12 * most**2 * mean - 4 * mean**3
        second += n * step**2 + 4 * (most**2 + mean**2)
    skew = third / second**1.5 if second > 0 else 0.0
    scale = (second / (total - 1) / total) ** 0.5
    return Estimate(SkewedT(mean, scale, total - 1, skew), informative, few)
