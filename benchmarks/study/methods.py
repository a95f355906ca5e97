"""Intervals by other methods: Sensie's own model, engine `exact`, and a sandwich without any guard."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr
from scipy.stats import t as student

from mlflow_sensie.inference import PerturbationFit, PropertyFit, exact
from study import Array


def t_interval(loc: float, scale: float, df: float) -> list[float]:
    """Give lo50, hi50, lo95, hi95 of a Student t."""
    return [loc + scale * float(student.ppf(q, df)) for q in (0.25, 0.75, 0.025, 0.975)]


def sensie_model(z: Array, y: Array) -> list[float]:
    """Give lo50, hi50, lo95, hi95 of β under Sensie's model, by quadrature over log σ."""
    n, centred = len(z), z - z.mean()
    total = float(centred @ centred)
    slope, level = float(centred @ y) / total, float(y.mean())
    rest = max(float(((y - level - slope * centred) ** 2).sum()), 1e-12)
    u = 0.5 * np.log(rest / max(n - 2, 1)) + np.linspace(-1, 1, 121) * 9 / np.sqrt(2 * max(n - 2, 1))
    s2 = np.exp(2 * u)
    log = -(n - 2) * u - rest / (2 * s2) - 0.5 * np.log(4 + s2 / n) - level**2 / (2 * (4 + s2 / n))
    log += -0.5 * np.log(1 + s2 / total) - slope**2 / (2 * (1 + s2 / total)) + u - np.log1p(s2 / 9)
    weight = np.exp(log - log.max())
    weight /= weight.sum()
    precision = total / s2 + 1
    mean, sd = slope * (total / s2) / precision, 1 / np.sqrt(precision)
    reach = 8 * float(sd.max())
    grid = np.linspace(slope - reach, slope + reach, 601)
    cdf = ndtr((grid[:, None] - mean) / sd) @ weight
    return [float(np.interp(q, cdf, grid)) for q in (0.25, 0.75, 0.025, 0.975)]


def plain_hc2(p: Array, y: Array) -> list[float]:
    """Give lo50, hi50, lo95, hi95 of the slope under HC2 alone."""
    c = p - p.mean()
    total = float(c @ c)
    rest = y - y.mean() - (c @ y / total) * c
    room = np.maximum(1 - 1 / len(p) - c * c / total, 1e-9)
    variance = float((c * c * rest * rest / room).sum()) / total**2
    df = max(2.0, total**2 / float((c**4).sum()))
    return t_interval(float(c @ y / total), float(np.sqrt(variance)), df)


def by_exact(fit: PropertyFit | PerturbationFit) -> list[float]:
    """Give the intervals of the slope by engine `exact`."""
    s = fit.with_posteriors(exact(fit.regressions)).slope
    return [s.lo50, s.hi50, s.lo95, s.hi95]


def guarded(fit: PropertyFit | PerturbationFit) -> float:
    """Tell whether a guard acted: pseudo-scores, or for a property the larger of two variances below 100 df."""
    df = getattr(fit.posterior, "df", None) if isinstance(fit, PropertyFit) else None
    return float("few_informative" in fit.flags or (df is not None and df < 100))
