"""A straight line whose uncertainty does not rest on equal, normal noise."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain

import numpy as np

from mlflow_sensie.inference.contrast import enough
from mlflow_sensie.inference.posterior import Posterior
from mlflow_sensie.moments import FloatArray, Moments, PowerSums

Rows = Callable[[], Iterable[FloatArray]]


@dataclass(frozen=True)
class Sandwich:
    """A line through (z, y): level at `centre`, slope, variances, covariance, df.

    `residual_var` is the classical noise variance. `informative` counts the examples that carry the slope,
    (Σd²)² / Σd⁴.
    """

    centre: float
    level: float
    slope: float
    level_var: float
    slope_var: float
    covariance: float
    df: float
    residual_var: float
    informative: float

    @property
    def posterior(self) -> Posterior:
        """Give the posterior of the slope."""
        return Posterior(self.slope, float(np.sqrt(self.slope_var)), self.df)


def sandwich(rows: Iterable[FloatArray], moments: Moments) -> Sandwich:
    """Fit y on z with a heteroscedasticity-robust posterior of the slope.

    `rows` are blocks (n, 2) of z and y, `moments` their sums. Model-robust Bayes (Szpiro, Rice & Lumley 2010)
    with HC2 variance and effective degrees of freedom (Bell & McCaffrey 2002): S = Σ(z - z̄)², h = 1/n + (z -
    z̄)²/S, HC2 = Σ(z - z̄)²e²/(1 - h)/S², df = max(2, S²/Σ(z - z̄)⁴). The larger of HC2 and the classical
    variance is taken where the degrees of freedom are below 100 or fewer than 20 examples carry the slope.
    Raises ValueError where z is constant.
    """
    n, (centre, level), scatter = moments.n, moments.mean, moments.scatter
    if n < 2 or not scatter[0, 0] > 0:
        raise ValueError(f"the property is constant over the {n} examples with a score: there is no slope")
    total = float(scatter[0, 0])
    slope = float(scatter[0, 1]) / total
    sums = PowerSums.empty(6)
    for z, y in (np.asarray(block).T for block in rows):
        sums += PowerSums.of(_influences(z - centre, y - level, slope, 1 / n, total))
    residual_var = float(sums.second[2]) / max(n - 2, 1)
    hc2, level2 = float(sums.second[3]) / total**2, float(sums.second[4]) / n**2
    cross = float(sums.second[5] - sums.second[3] - sums.second[4]) / (2 * n * total)
    df = max(2.0, min(n - 2.0, float(sums.second[1] ** 2 / sums.fourth[1])))
    informative = float(sums.informative()[0])
    if (df < 100 or informative < 20) and residual_var / total > hc2:
        hc2, level2, cross = residual_var / total, residual_var / n, 0.0
    return Sandwich(float(centre), float(level), slope, level2, hc2, cross, df, residual_var, informative)


def guarded_sandwich(rows: Rows, moments: Moments, reach: tuple[float, float]) -> tuple[Sandwich, Sandwich, bool]:
    """Give (plain, guarded, few): the fit, and the one to use, which differs where few examples carry it.

    Where fewer than min(20, n/10) examples carry the slope, or nothing varies, four pseudo-scores are added:
    the score's two bounds (`reach`) at each end of the range, z = -1/2 and 1/2.
    """
    plain = sandwich(rows(), moments)
    still = plain.residual_var <= (1e-12 * (reach[1] - reach[0])) ** 2
    if enough(plain.informative, moments.n) and not still:
        return plain, plain, False
    pseudo = np.array([[z, bound] for z in (-0.5, 0.5) for bound in reach])
    return plain, sandwich(chain(rows(), [pseudo]), moments + Moments.of(pseudo)), True


def _influences(z: FloatArray, y: FloatArray, slope: float, mean_leverage: float, total: float) -> FloatArray:
    """Give (n, 6) columns whose second and fourth powers hold every sum of the fit; z and y are central."""
    residual = y - slope * z
    room = 1 - mean_leverage - z * z / total
    # An example that alone decides the slope has no residual and no room: it says nothing about the noise.
    scaled = np.where(room > 1e-9, residual / np.sqrt(np.maximum(room, 1e-9)), 0.0)
    return np.column_stack([z * residual, z, residual, z * scaled, scaled, (1 + z) * scaled])
