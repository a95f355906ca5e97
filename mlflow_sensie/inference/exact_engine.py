"""The engine `exact`: Bayesian linear regression by quadrature over the noise, without sampling."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mlflow_sensie.inference.posterior import Mixture
from mlflow_sensie.inference.regression import SENSIES, Prior, Priors, Regression
from mlflow_sensie.inference.weights import FloatArray

NODES = 81
FAR = 40.0  # e-foldings: of the noise, to look for its posterior in; of its density, to leave out


def exact(regressions: Sequence[Regression], priors: Priors = SENSIES) -> list[Mixture]:
    """Give the posterior of each regression's effect.

    Given the noise σ, level and effect are normal and independent (Σz = 0), so the effect is a mixture of
    normals over p(log σ | y) ∝ σ^-(n - k) exp(-rest / 2σ²) N(level; prior, σ²/n) N(effect; prior, σ²/Σz²)
    p(σ) σ, with k coefficients: level and effect, or the effect alone. Raises ValueError for a prior of level
    or effect that is not normal.
    """
    return [_effect(regression, regression.priors(priors)) for regression in regressions]


def _effect(regression: Regression, priors: Priors) -> Mixture:
    centre = 0.5 * np.log(regression.rest / max(regression.n - 1, 1))
    log_noise, weights = _nodes(lambda u: _log_density(u, regression, priors), float(centre))
    data, prior = regression.information * np.exp(-2 * log_noise), 1 / priors.slope.scale**2
    means = (data * regression.effect + prior * priors.slope.loc) / (data + prior)
    return Mixture.of(weights, means, 1 / np.sqrt(data + prior))


def _log_density(log_noise: FloatArray, regression: Regression, priors: Priors) -> FloatArray:
    """Give log p(log σ | y), up to a constant."""
    noise2, n = np.exp(2 * log_noise), regression.n
    out = -regression.rest / (2 * noise2) + _log_half(priors.noise, noise2) + log_noise
    out += _log_normal(regression.effect, priors.slope, noise2 / regression.information)
    if regression.level is None:
        return np.asarray(out - (n - 1) * log_noise)
    return np.asarray(out - (n - 2) * log_noise + _log_normal(regression.level, priors.intercept, noise2 / n))


def _log_normal(x: float, prior: Prior, noise2: FloatArray) -> FloatArray:
    """Give the log density of an estimate under its normal prior and the noise."""
    if prior.family != "normal":
        raise ValueError(f"engine exact needs normal priors for intercept and slope, not {prior.family!r}")
    variance = prior.scale**2 + noise2
    return np.asarray(-0.5 * (np.log(variance) + (x - prior.loc) ** 2 / variance))


def _log_half(prior: Prior, noise2: FloatArray) -> FloatArray:
    """Give the log density of σ, from σ²."""
    share = noise2 / prior.scale**2
    if prior.family == "half_normal":
        return -0.5 * share
    df = 1.0 if prior.df is None else prior.df  # Cauchy's is Student's t with one degree of freedom
    return np.asarray(-0.5 * (df + 1) * np.log1p(share / df))


def _nodes(log_density: Callable[[FloatArray], FloatArray], centre: float) -> tuple[FloatArray, FloatArray]:
    """Give equally spaced nodes over all of a density, and their weights.

    The density of log σ may be 1e-4 wide or 30, and far from where the data alone would have it: the window
    closes in on it. With a spacing of a quarter of an SD, equal weights are as good as exact.
    """
    low, high, before = centre - FAR, centre + FAR, np.inf
    while high - low < 0.7 * before:
        before = high - low
        nodes = np.linspace(low, high, NODES)
        log = log_density(nodes)
        inside = np.flatnonzero(log > log.max() - FAR)
        low, high = nodes[max(inside[0] - 1, 0)], nodes[min(inside[-1] + 1, NODES - 1)]
    return nodes[inside], np.exp(log - log.max())[inside]
