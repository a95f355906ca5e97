"""Student-t posteriors, and the intervals that are read off them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.optimize import brentq
from scipy.special import ndtr, ndtri, stdtr, stdtrit


@dataclass(frozen=True)
class Interval:
    """A value with its central 50 % and 95 % credible intervals."""

    value: float
    lo50: float
    hi50: float
    lo95: float
    hi95: float


@dataclass(frozen=True)
class Posterior:
    """Student's t; `df` None is the normal, a scale of 0 a point."""

    loc: float
    scale: float
    df: float | None

    def quantile(self, probability: float) -> float:
        """Give the value below which the probability (0 to 1, exclusive) lies."""
        if self.scale == 0:
            return self.loc
        unit = ndtri(probability) if self.df is None else stdtrit(self.df, probability)
        return self.loc + self.scale * float(unit)

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Give the central interval that holds the level (0 to 1, exclusive)."""
        return self.quantile((1 - level) / 2), self.quantile((1 + level) / 2)

    def prob_below(self, x: float) -> float:
        """Give P(value <= x)."""
        if self.scale == 0:
            return float(self.loc <= x)
        unit = (x - self.loc) / self.scale
        return float(ndtr(unit) if self.df is None else stdtr(self.df, unit))

    def prob_above(self, x: float) -> float:
        """Give P(value >= x), as exact in its tail as `prob_below`."""
        return Posterior(-self.loc, self.scale, self.df).prob_below(-x)

    def prob_abs_at_least(self, rope: float) -> float:
        """Give P(|value| >= rope)."""
        return min(1.0, self.prob_above(rope) + self.prob_below(-rope))

    def bound(self, level: float = 0.95) -> float:
        """Give the smallest b with P(|value| <= b) = level, found as a root."""
        if self.scale == 0:
            return abs(self.loc)
        # |value| <= max(|lo|, |hi|) holds with at least the level; old SciPy has few digits of quantiles.
        high = max(map(abs, self.interval(level))) * 1.01

        def excess(b: float) -> float:
            return (1 - level) - self.prob_abs_at_least(b)

        return float(brentq(excess, 0.0, high, xtol=1e-13 * high, rtol=1e-13))

    def summary(self, comparisons: int = 1) -> Interval:
        """Give both intervals; for a quantity chosen among several at 1 - α/comparisons each."""
        lo50, hi50 = self.interval(1 - 0.5 / comparisons)
        lo95, hi95 = self.interval(1 - 0.05 / comparisons)
        return Interval(self.loc, lo50, hi50, lo95, hi95)

    def scaled(self, factor: float) -> Posterior:
        """Give the posterior of factor × value."""
        return Posterior(self.loc * factor, self.scale * abs(factor), self.df)


def t_quantile(df: float, probability: float) -> float:
    """Give a quantile of Student's t, infinite where df is below 1."""
    return float(stdtrit(df, probability)) if df >= 1 else math.inf
