"""Bayesian linear regression: its sums and priors, and the engine `exact`, which has its posterior without sampling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mlflow_sensie.inference.curve import Line
from mlflow_sensie.inference.posterior import AnyPosterior, Mixture, Posterior
from mlflow_sensie.inference.slope import Sandwich
from mlflow_sensie.inference.weights import FloatArray

# The smallest noise, as a share of the score's range: scores without any have no likelihood.
LEAST_NOISE = 1e-6
NARROWER = 0.9
NODES = 81
FAR = 40.0  # e-foldings: of the noise, to look for its posterior in; of its density, to leave out


@dataclass(frozen=True)
class Prior:
    """A prior by its family's name: location and scale, and degrees of freedom for Student's t.

    A noise prior is the half above 0 of one centred there.
    """

    family: str
    scale: float
    loc: float = 0.0
    df: float | None = None

    def on(self, unit: float, origin: float = 0.0) -> Prior:
        """Give the prior of origin + unit × value."""
        return replace(self, loc=origin + unit * self.loc, scale=unit * self.scale)


@dataclass(frozen=True)
class Priors:
    """Priors of a line, on the score as a share of its range; the defaults are Sensie's (Jacobs 2020)."""

    intercept: Prior = Prior("normal", 2.0)
    slope: Prior = Prior("normal", 1.0)
    noise: Prior = Prior("half_cauchy", 3.0)


SENSIES = Priors()


@dataclass(frozen=True)
class Regression:
    """All that the likelihood of y ~ N(level + effect z, noise²) takes from n values y, in the score's unit.

    z is how far p is from `centre`, as a share of the tested range `length` (in p's unit), so that its slope
    is the effect. `level` and `effect` are the least-squares estimates, `information` is Σz² and `rest` the
    residual sum of squares. Without a level the y are the examples' own effects, y ~ N(effect, noise²), and
    `information` is n. The score's range starts at `origin` and is `unit` wide.
    """

    n: float
    level: float | None
    effect: float
    information: float
    rest: float
    origin: float
    unit: float
    centre: float
    length: float

    @classmethod
    def of_line(cls, fit: Sandwich, span: tuple[float, float], reach: tuple[float, float]) -> Regression:
        """Take the sums from a line through (z, y), z in shares of ``span`` from its middle."""
        low, length = span[0], span[1] - span[0]
        return cls(
            n=float(fit.n), level=fit.level, effect=fit.slope, information=fit.information,
            rest=_rest(fit.residual_var * max(fit.n - 2, 1), fit.n, reach), origin=reach[0], unit=reach[1] - reach[0],
            centre=low + length * (fit.centre + 0.5), length=length,
        )  # fmt: skip

    @classmethod
    def of_effects(cls, effect: Posterior, n: float, length: float, reach: tuple[float, float]) -> Regression:
        """Take the sums of n examples' own effects from the t posterior that they have by themselves."""
        rest = _rest(effect.scale**2 * n * (n - 1), n, reach)
        return cls(float(n), None, effect.loc, float(n), rest, reach[0], reach[1] - reach[0], 0.0, length)

    def priors(self, priors: Priors) -> Priors:
        """Give the priors in the score's unit."""
        return Priors(
            priors.intercept.on(self.unit, self.origin), priors.slope.on(self.unit), priors.noise.on(self.unit)
        )

    def drawn(self, line: Line, effect: AnyPosterior) -> Line:
        """Give a line the slope of an engine's posterior, and the level and centre that belong to it."""
        slope, slope_var = effect.loc / self.length, (effect.scale / self.length) ** 2
        if self.level is None:
            covariance = line.covariance * (slope_var / line.slope_var) ** 0.5 if line.slope_var > 0 else 0.0
            return replace(line, slope=slope, slope_var=slope_var, covariance=covariance)
        noise = self.rest / max(self.n - 2, 1)
        return replace(
            line, centre=self.centre, level=self.level, level_var=noise / self.n, slope=slope, slope_var=slope_var,
            covariance=0.0, df=None,
        )  # fmt: skip


def unguarded(flags: tuple[str, ...]) -> tuple[str, ...]:
    """Give the flags of a fit whose effect is no longer guarded where few examples are informative."""
    return tuple("unguarded" if flag == "few_informative" else flag for flag in flags)


def narrower(effects: Sequence[AnyPosterior], robust: Sequence[AnyPosterior]) -> tuple[str, ...]:
    """Flag effects of which one has a 95 % interval below nine tenths of what `robust` gives it."""
    pairs = ((one.interval(), other.interval()) for one, other in zip(effects, robust, strict=True))
    narrow = any(hi - lo < NARROWER * (high - low) for (lo, hi), (low, high) in pairs)
    return ("narrower_than_robust",) if narrow else ()


def _rest(rest: float, n: float, reach: tuple[float, float]) -> float:
    return max(rest, n * (LEAST_NOISE * (reach[1] - reach[0])) ** 2)


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
