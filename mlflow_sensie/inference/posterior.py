"""Posteriors of one number, and the intervals that are read off them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import expit, ndtr, ndtri, stdtr, stdtrit

from mlflow_sensie.inference.weights import FloatArray

ROOT_2PI = math.sqrt(2 * math.pi)
ORDER_STATISTICS = 400


@dataclass(frozen=True)
class Interval:
    """A value with its central 50 % and 95 % credible intervals."""

    value: float
    lo50: float
    hi50: float
    lo95: float
    hi95: float

    def scaled(self, factor: float) -> Interval:
        """Give the interval of factor × value, for a factor above 0."""
        return Interval(*(factor * end for end in (self.value, self.lo50, self.hi50, self.lo95, self.hi95)))

    def negated(self) -> Interval:
        """Give the interval of -value."""
        return Interval(-self.value, -self.hi50, -self.lo50, -self.hi95, -self.lo95)


class Distribution(ABC):
    """What is read off a posterior, whatever it is made of."""

    @abstractmethod
    def quantile(self, probability: float) -> float:
        """Give the value below which the probability (0 to 1, exclusive) lies."""

    @abstractmethod
    def prob_below(self, x: float) -> float:
        """Give P(value <= x)."""

    @abstractmethod
    def scaled(self, factor: float) -> Distribution:
        """Give the distribution of factor × value."""

    def prob_above(self, x: float) -> float:
        """Give P(value >= x), as exact in its tail as `prob_below`."""
        return self.scaled(-1).prob_below(-x)

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Give the central interval that holds the level (0 to 1, exclusive)."""
        return self.quantile((1 - level) / 2), self.quantile((1 + level) / 2)

    def prob_abs_at_least(self, rope: float) -> float:
        """Give P(|value| >= rope)."""
        return min(1.0, self.prob_above(rope) + self.prob_below(-rope))

    def bound(self, level: float = 0.95) -> float:
        """Give the smallest b with P(|value| <= b) = level, found as a root."""
        ends = self.interval(level)
        if ends[0] == ends[1]:
            return abs(ends[0])
        # |value| <= max(|lo|, |hi|) holds with at least the level; old SciPy has few digits of quantiles.
        high = max(map(abs, ends)) * 1.01

        def excess(b: float) -> float:
            return (1 - level) - self.prob_abs_at_least(b)

        return float(brentq(excess, 0.0, high, xtol=1e-13 * high, rtol=1e-13))

    def summary(self, comparisons: int = 1, *, value: float | None = None) -> Interval:
        """Give the median, or another estimate of the ``value``, with both intervals.

        For a quantity chosen among several they are at 1 - α/comparisons each.
        """
        lo50, hi50 = self.interval(1 - 0.5 / comparisons)
        lo95, hi95 = self.interval(1 - 0.05 / comparisons)
        return Interval(self.quantile(0.5) if value is None else value, lo50, hi50, lo95, hi95)


@dataclass(frozen=True)
class Posterior(Distribution):
    """Student's t about `loc`, its median; `df` None is the normal, a scale of 0 a point.

    `skew` is that of the examples over √n. It does not enter here: intervals and probabilities are those of the t.
    One-sided claims are made with it (`SkewedT`).
    """

    loc: float
    scale: float
    df: float | None
    family: Literal["t"] = "t"
    skew: float = 0.0

    def quantile(self, probability: float) -> float:
        return self.loc if self.scale == 0 else self.loc + self.scale * _t_quantile(probability, self.df)

    def prob_below(self, x: float) -> float:
        return float(self.loc <= x) if self.scale == 0 else _t_below((x - self.loc) / self.scale, self.df)

    def scaled(self, factor: float) -> Posterior:
        skew = math.copysign(self.skew, self.skew * factor)
        return replace(self, loc=self.loc * factor, scale=self.scale * abs(factor), skew=skew)


@dataclass(frozen=True)
class SkewedT(Distribution):
    """Student's t about `loc`, corrected for the skewness of a mean (Hall 1992, J. R. Stat. Soc. B 54, 221).

    `df` None is the normal, a `scale` of 0 a point; `skew` is that of the examples over √n. With T = (loc -
    x) / scale it is T + skew T²/3 + skew² T³/27 + skew/6 that is t, rather than T itself: a mean of losses
    alone, a few of them, would else be called clearly below its true value 6 to 9 % of the time instead of 5.
    """

    loc: float
    scale: float
    df: float | None = None
    skew: float = 0.0

    @classmethod
    def of(cls, posterior: Posterior) -> SkewedT:
        """Heed the skewness that a posterior carries along."""
        return cls(posterior.loc, posterior.scale, posterior.df, posterior.skew)

    def quantile(self, probability: float) -> float:
        if self.scale == 0:
            return self.loc
        return float(self.corrected(np.array(self.loc + self.scale * _t_quantile(probability, self.df))))

    def prob_below(self, x: float) -> float:
        if self.scale == 0:
            return float(self.loc <= x)
        t, third = (self.loc - x) / self.scale, self.skew / 3
        return _t_below(-(t + third * t**2 + third**2 * t**3 / 3 + third / 2), self.df)

    def corrected(self, draws: FloatArray) -> FloatArray:
        """Turn draws of the t without its skewness into draws with it, in the same order."""
        if self.scale == 0:
            return draws
        third = self.skew / 3
        shifted = (self.loc - draws) / self.scale - third / 2
        # (root - 1) / third, without the difference that a small skewness would leave no digits of.
        root = np.cbrt(1 + 3 * third * shifted)
        return np.asarray(self.loc - self.scale * 3 * shifted / (root * root + root + 1))

    def scaled(self, factor: float) -> SkewedT:
        return SkewedT(self.loc * factor, self.scale * abs(factor), self.df, self.skew * float(np.sign(factor)))


@dataclass(frozen=True)
class Mixture(Distribution):
    """Normals (K,) mixed by weights that sum to 1; `loc` is the mixture's median and `scale` its SD."""

    loc: float
    scale: float
    weights: tuple[float, ...]
    means: tuple[float, ...]
    sds: tuple[float, ...]
    family: Literal["mixture"] = "mixture"

    @classmethod
    def of(cls, weights: FloatArray, means: FloatArray, sds: FloatArray) -> Mixture:
        """Mix normals (K,) with SDs above 0; weights need not sum to 1."""
        share = weights / weights.sum()
        mean = float(share @ means)
        scale = float(np.sqrt(share @ (sds**2 + (means - mean) ** 2)))
        mixture = cls(mean, scale, _plain(share), _plain(means), _plain(sds))
        # Unlike the mean, the median of a skewed mixture is never outside its 50 % interval.
        return replace(mixture, loc=mixture.quantile(0.5))

    def quantile(self, probability: float) -> float:
        if probability not in self._quantiles:
            self._quantiles[probability] = self._root(probability)
        return self._quantiles[probability]

    def _root(self, probability: float) -> float:
        """Find a quantile by Newton's method, kept between bounds."""
        weights, means, sds = self._arrays
        own = means + sds * ndtri(probability)
        low, high = float(own.min()), float(own.max())  # the components' own quantiles have it between them
        x = min(max(self.loc + self.scale * float(ndtri(probability)), low), high)
        for _ in range(100):
            unit = (x - means) / sds
            excess, slope = float(weights @ ndtr(unit)) - probability, float(weights @ (np.exp(-(unit**2) / 2) / sds))
            low, high = (low, x) if excess > 0 else (x, high)
            step = x - excess * ROOT_2PI / slope if slope > 0 else math.inf
            x, before = step if low <= step <= high else (low + high) / 2, x
            if abs(x - before) < 1e-9 * self.scale:  # then the next step, were it done, is below rounding
                break
        return x

    def prob_below(self, x: float) -> float:
        weights, means, sds = self._arrays
        return float(weights @ ndtr((x - means) / sds))

    def prob_above(self, x: float) -> float:
        weights, means, sds = self._arrays
        return float(weights @ ndtr((means - x) / sds))

    def scaled(self, factor: float) -> Mixture:
        weights, means, sds = self._arrays
        return Mixture.of(weights, means * factor, sds * abs(factor))

    @cached_property
    def _quantiles(self) -> dict[float, float]:
        return {}  # those found already: a test asks for the same few again and again

    @cached_property
    def _arrays(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        return np.array(self.weights), np.array(self.means), np.array(self.sds)


# Closer together in the tails; the ends are the smallest and the largest draw.
PROBABILITIES = np.concatenate([[0.0], expit(np.linspace(-7.6, 7.6, 153)).round(6), [1.0]])


@dataclass(frozen=True)
class Draws(Distribution):
    """Draws from a posterior, kept as quantiles (K,) at ascending probabilities, straight in between.

    `loc` is the draws' median and `scale` their SD. Beyond the smallest and the largest draw lies nothing.
    """

    loc: float
    scale: float
    probabilities: tuple[float, ...]
    quantiles: tuple[float, ...]
    family: Literal["draws"] = "draws"

    @classmethod
    def of(cls, draws: FloatArray) -> Draws:
        """Summarise draws (n,)."""
        quantiles = np.quantile(draws, PROBABILITIES)
        return cls(float(np.median(draws)), float(draws.std()), _plain(PROBABILITIES), _plain(quantiles))

    @classmethod
    def on_grid(cls, values: FloatArray, mass: FloatArray) -> Draws:
        """Summarise a density given at ascending values (n,) by the mass (n,) up to each from the one before."""
        cdf, mean = np.cumsum(mass), float(mass @ values)
        scale = float(np.sqrt(max(float(mass @ (values - mean) ** 2), 0.0)))
        quantiles = np.interp(PROBABILITIES, cdf, values)
        return cls(float(np.interp(0.5, cdf, values)), scale, _plain(PROBABILITIES), _plain(quantiles))

    def quantile(self, probability: float) -> float:
        return float(np.interp(probability, self.probabilities, self.quantiles))

    def prob_below(self, x: float) -> float:
        return float(np.interp(x, self.quantiles, self.probabilities))

    def prob_above(self, x: float) -> float:
        return 1 - self.prob_below(x)

    def scaled(self, factor: float) -> Draws:
        probabilities, quantiles = np.array(self.probabilities), np.array(self.quantiles) * factor
        if factor < 0:
            probabilities, quantiles = 1 - probabilities[::-1], quantiles[::-1]
        return Draws(self.loc * factor, self.scale * abs(factor), _plain(probabilities), _plain(quantiles))


@dataclass(frozen=True)
class OrderStatistics(Distribution):
    """Draws (K,) from a posterior in ascending order, of which several may be equal, as 0 where nothing differs.

    Unlike `Draws` it knows such points: their share of the draws is their probability.
    """

    values: tuple[float, ...]

    @classmethod
    def of(cls, draws: ArrayLike) -> OrderStatistics:
        """Keep 400 evenly spaced ones of draws (m,), to six digits of the largest."""
        x = np.sort(np.asarray(draws, np.float64))
        values = x[((np.arange(ORDER_STATISTICS) + 0.5) * len(x) / ORDER_STATISTICS).astype(int)]
        largest = float(np.abs(values).max())
        return cls(_plain(np.round(values, 6 - math.ceil(math.log10(largest)) if largest > 0 else 0)))

    def quantile(self, probability: float) -> float:
        return float(np.quantile(self.values, probability))

    def prob_below(self, x: float) -> float:
        return float(np.mean(np.asarray(self.values) <= x))

    def scaled(self, factor: float) -> OrderStatistics:
        return OrderStatistics(_plain(np.sort(np.asarray(self.values) * factor)))


AnyPosterior = Posterior | Mixture | Draws


def _t_quantile(probability: float, df: float | None) -> float:
    return float(ndtri(probability) if df is None else stdtrit(df, probability))


def _t_below(unit: float, df: float | None) -> float:
    return float(ndtr(unit) if df is None else stdtr(df, unit))


def _plain(values: FloatArray) -> tuple[float, ...]:
    return tuple(values.tolist())
