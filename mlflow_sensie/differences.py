"""What is known of a difference: its posterior, and how sure it is that the candidate is not much worse."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from mlflow_sensie.inference.contrast import enough
from mlflow_sensie.moments import FloatArray, Moments, PowerSums

DRAWS = 4_000
KEPT = 500
Rows = Callable[[], Iterable[FloatArray]]


@dataclass(frozen=True)
class Skewed:
    """Student's t about `loc`, corrected for the skewness of a mean (Hall 1992, J. R. Stat. Soc. B 54, 221).

    `df` None is the normal, a `scale` of 0 a point; `skew` is that of the examples over √n. With T = (loc - x) /
    scale, g(T) = T + skew T²/3 + skew² T³/27 + skew/6 is t rather than T itself. Without it a model that loses a
    few examples and gains none passes a non-inferiority check at its margin 7 to 9 % of the time instead of 5.
    """

    loc: float
    scale: float
    df: float | None = None
    skew: float = 0.0

    def prob_below(self, x: float) -> float:
        """Give P(value <= x)."""
        if self.scale == 0:
            return float(self.loc <= x)
        unit = -self._normalised((self.loc - x) / self.scale)
        return float(ndtr(unit) if self.df is None else stdtr(self.df, unit))

    def prob_above(self, x: float) -> float:
        """Give P(value >= x)."""
        return self.scaled(-1).prob_below(-x)

    def quantile(self, probability: float) -> float:
        """Give the value below which the probability (0 to 1, exclusive) lies."""
        if self.scale == 0:
            return self.loc
        unit = float(ndtri(probability) if self.df is None else stdtrit(self.df, probability))
        return float(self.corrected(np.array(self.loc + self.scale * unit)))

    def corrected(self, draws: FloatArray) -> FloatArray:
        """Turn draws of the t without its correction into draws with it, of the same order."""
        third = self.skew / 3
        if not third or self.scale == 0:
            return draws
        unit = (self.loc - draws) / self.scale
        return np.asarray(self.loc - self.scale * (np.cbrt(1 + 3 * third * (unit - third / 2)) - 1) / third)

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Give the central interval that holds the level (0 to 1, exclusive)."""
        return self.quantile((1 - level) / 2), self.quantile((1 + level) / 2)

    def scaled(self, factor: float) -> Skewed:
        """Give the posterior of factor × value."""
        return Skewed(self.loc * factor, self.scale * abs(factor), self.df, self.skew * float(np.sign(factor)))

    def shifted(self, step: float) -> Skewed:
        """Give the posterior of value + step."""
        return replace(self, loc=self.loc + step)

    def _normalised(self, t: float) -> float:
        third = self.skew / 3
        return ((1 + third * t) ** 3 - 1) / (3 * third) + third / 2 if third else t


@dataclass(frozen=True)
class Draws:
    """Draws, thinned to evenly spaced order statistics; several may be equal, as 0 where nothing differs."""

    values: tuple[float, ...]

    @classmethod
    def of(cls, draws: ArrayLike) -> Draws:
        """Keep 500 order statistics of draws (m,), to nine digits of the largest."""
        x = np.sort(np.asarray(draws, np.float64))
        kept = x[((np.arange(KEPT) + 0.5) * len(x) / KEPT).astype(int)]
        largest = float(np.abs(kept).max())
        return cls(tuple(np.round(kept, 9 - math.ceil(math.log10(largest)) if largest > 0 else 0).tolist()))

    def prob_below(self, x: float) -> float:
        """Give P(value <= x)."""
        return float(np.mean(np.asarray(self.values) <= x))

    def prob_above(self, x: float) -> float:
        """Give P(value >= x)."""
        return float(np.mean(np.asarray(self.values) >= x))

    def quantile(self, probability: float) -> float:
        """Give the value below which the probability (0 to 1) lies."""
        return float(np.quantile(self.values, probability))

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Give the central interval that holds the level (0 to 1)."""
        return self.quantile((1 - level) / 2), self.quantile((1 + level) / 2)

    def scaled(self, factor: float) -> Draws:
        """Give the draws of factor × value."""
        return Draws(tuple(np.sort(np.asarray(self.values) * factor).tolist()))

    def shifted(self, step: float) -> Draws:
        """Give the draws of value + step."""
        return Draws(tuple((np.asarray(self.values) + step).tolist()))


Known = Skewed | Draws


@dataclass(frozen=True)
class Difference:
    """How a quantity differs between two models on the same `n` examples: `candidate` less `baseline`.

    All in the quantity's unit. `worse_by` says how much less robust the candidate is, negative where it is more
    so: the difference for a drop, its negative for a clean score, that of sizes |effect| for an effect; `loss` is
    its posterior. `cautious` are the posteriors under all of which a claim "worse by at most m" must hold, none
    where `loss` alone is enough. Sizes, the worse of two sides and spreads never fall below 0 or below their
    parts, so that plain draws flatter a candidate whose baseline is near 0: 5 % become 20.
    `correlation` is that of the two models' examples in this quantity, None where one of them does not vary.
    """

    metric: str
    n: int
    candidate: float
    baseline: float
    value: float
    lo95: float
    hi95: float
    posterior: Known
    worse_by: float
    loss: Known
    cautious: tuple[Known, ...]
    prob_more_robust: float
    correlation: float | None
    few_informative: bool

    def prob_worse_by_at_most(self, margin: float) -> float:
        """Give P(the candidate is worse by at most the margin), the smallest under what it must hold under.

        That a claim holds when each of its parts does is an intersection-union test (Berger 1982): it needs no
        correction for their number.
        """
        return min(part.prob_below(margin) for part in self.cautious or (self.loss,))

    def prob_worse_by_more(self, margin: float) -> float:
        """Give P(the candidate is worse by more than the margin)."""
        return 1 - self.loss.prob_below(margin)

    def as_identical(self) -> Difference:
        """Give the difference of a model from itself: exactly 0."""
        point, same = Skewed(0.0, 0.0), self.baseline
        return replace(
            self, candidate=same, value=0.0, lo95=0.0, hi95=0.0, posterior=point, worse_by=0.0, loss=point,
            cautious=(), prob_more_robust=0.5, correlation=1.0, few_informative=False,
        )  # fmt: skip

    def scaled(self, metric: str, factor: float) -> Difference:
        """Give the same difference in another unit, under another name; the factor is above 0."""
        low, high = self.lo95 * factor, self.hi95 * factor
        return replace(
            self, metric=metric, candidate=self.candidate * factor, baseline=self.baseline * factor,
            value=self.value * factor, lo95=low, hi95=high, posterior=self.posterior.scaled(factor),
            worse_by=self.worse_by * factor, loss=self.loss.scaled(factor),
            cautious=tuple(part.scaled(factor) for part in self.cautious),
        )  # fmt: skip


def difference(
    metric: str, n: int, *, candidate: float, baseline: float, posterior: Known, loss: Known,
    worse_by: float, cautious: tuple[Known, ...] = (), correlation: float | None = None, few: bool = False,
) -> Difference:  # fmt: skip
    """Build a difference from its posteriors."""
    low, high = posterior.interval()
    return Difference(
        metric=metric, n=n, candidate=candidate, baseline=baseline, value=candidate - baseline, lo95=low, hi95=high,
        posterior=posterior, worse_by=worse_by, loss=loss, cautious=cautious,
        prob_more_robust=(1 - loss.prob_above(0) + loss.prob_below(0)) / 2,
        correlation=correlation, few_informative=few,
    )  # fmt: skip


@dataclass(frozen=True)
class ContrastSums:
    """Sums of contrasts b = rows @ contrasts: mean (q,), covariance (q, q) between examples, and powers.

    `moments` are those of the rows themselves.
    """

    n: int
    moments: Moments
    mean: FloatArray
    covariance: FloatArray
    powers: PowerSums

    @classmethod
    def of(cls, rows: Rows, contrasts: FloatArray) -> ContrastSums:
        """Sum blocks of rows (n, k), finite, in two passes; `contrasts` is (k, q)."""
        moments = Moments.empty(len(contrasts))
        for block in rows():
            moments += Moments.of(block)
        powers = PowerSums.empty(2 * contrasts.shape[1])
        for block in rows():
            d = (block - moments.mean) @ contrasts
            powers += PowerSums.of(np.column_stack([d, d**3]))
        covariance = contrasts.T @ moments.covariance() @ contrasts
        return cls(moments.n, moments, moments.mean @ contrasts, covariance, powers)

    def posterior(self, index: int, most: float) -> tuple[Skewed, bool]:
        """Give the posterior of one contrast, and whether few examples carry it.

        `most` is the largest possible |b|. Where fewer than min(20, n/10) examples carry the variance, or there
        is none, four pseudo-examples with the largest possible change are added, two up and two down: the two
        of a single model's contrast let 9 % of models pass at their margin that lose 2 examples in 240.
        """
        q, n = len(self.mean), self.n
        second, third = float(self.powers.second[index]), float(self.powers.first[q + index])
        informative, mean = float(self.powers.informative()[index]), float(self.mean[index])
        few = second <= n * (1e-12 * most) ** 2 or not enough(informative, n)
        if few:
            step, total = mean * 4 / (n + 4), n + 4
            mean -= step
            third += 3 * step * second + n * step**3 - 12 * most**2 * mean - 4 * mean**3
            second += n * step**2 + 4 * (most**2 + mean**2)
            n = total
        skew = third / second**1.5 if second > 0 else 0.0
        return Skewed(mean, float(np.sqrt(second / (n - 1) / n)), float(n - 1), skew), bool(few)


def joint_draws(
    mean: FloatArray, covariance: FloatArray, df: float, rng: np.random.Generator, count: int = DRAWS
) -> FloatArray:
    """Draw (count, k) from a multivariate t with this location and scale matrix (k, k), which may be singular.

    What has no variance comes out exactly at its mean.
    """
    sd = np.sqrt(np.maximum(np.diag(covariance), 0))
    safe = np.where(sd > 0, sd, 1.0)
    weights, axes = np.linalg.eigh(covariance / np.outer(safe, safe))
    root = axes * np.sqrt(np.maximum(weights, 0))
    unit = rng.normal(size=(count, len(mean))) @ root.T
    return np.asarray(mean + unit * sd / np.sqrt(rng.chisquare(df, size=(count, 1)) / df))


def correlation_of(variance: float, shift_variance: float, covariance: float) -> float | None:
    """Give the correlation of a and a + d from var a, var d and their covariance."""
    other = variance + shift_variance + 2 * covariance
    if not (variance > 0 and other > 0):
        return None
    return float(np.clip((variance + covariance) / np.sqrt(variance * other), -1, 1))
