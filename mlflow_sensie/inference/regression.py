"""What the engines `exact` and `pymc` know of the data: the sums of a Bayesian linear regression, and its priors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mlflow_sensie.inference.curve import Line
from mlflow_sensie.inference.posterior import AnyPosterior, Posterior
from mlflow_sensie.inference.slope import Sandwich

# The smallest noise, as a share of the score's range: scores without any have no likelihood.
LEAST_NOISE = 1e-6
NARROWER = 0.9


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
            n=float(fit.n),
            level=fit.level,
            effect=fit.slope,
            information=fit.information,
            rest=_rest(fit.residual_var * max(fit.n - 2, 1), fit.n, reach),
            origin=reach[0],
            unit=reach[1] - reach[0],
            centre=low + length * (fit.centre + 0.5),
            length=length,
        )

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
