"""Two models' spreads between the same groups: classes, levels of a category, bins of a property."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, stdtrit

from mlflow_sensie.comparison.contrasts import DRAWS, Rng
from mlflow_sensie.comparison.difference import CurveDifference, Difference
from mlflow_sensie.errors import ComparisonError
from mlflow_sensie.inference import SamplingDesign
from mlflow_sensie.inference.contrast import enough
from mlflow_sensie.inference.posterior import OrderStatistics
from mlflow_sensie.inference.weights import Powers, unit_sums
from mlflow_sensie.moments import FloatArray, GroupedMoments, IntArray

Grouped = tuple[IntArray, FloatArray, SamplingDesign]
PSEUDO_COUNT = 5.0
SURE_P = 0.001
WIDENED = 10.0


@dataclass(frozen=True)
class GroupPair:
    """K groups' means of A and of B - A (`step`), the covariances of both models' means, and their free df (K,).

    `present` (all groups,) tells which ones these are.
    """

    present: NDArray[np.bool_]
    a: FloatArray
    step: FloatArray
    var_a: FloatArray
    var_b: FloatArray
    covariance: FloatArray
    df: FloatArray

    @classmethod
    def of(cls, a: GroupedMoments, b: GroupedMoments, step: GroupedMoments | None, width: float) -> GroupPair:
        """Take the groups that both have; `step` sums B - A over them, None where the examples are not the same.

        Raises ComparisonError for fewer than two groups. `width` is that of the score's range.
        """
        present = (a.n > 0) & (b.n > 0)
        if present.sum() < 2:
            raise ComparisonError(f"a spread needs at least two groups with scores in both, not {int(present.sum())}")
        a, b = a.select(present), b.select(present)
        var_a, var_b = _noise(a, width), _noise(b, width)
        covariance = np.zeros(len(a.n))
        if step is not None:
            covariance = (var_a + var_b - _noise(step.select(present), width)) / 2
        limit = np.sqrt(var_a * var_b)
        df = np.minimum(a.n, b.n) - 1 + PSEUDO_COUNT
        return cls(present, a.mean, b.mean - a.mean, var_a, var_b, np.clip(covariance, -limit, limit), df)

    def curve(self, p: Sequence[float], labels: Sequence[str]) -> CurveDifference:
        """Compare the groups one by one; `p` and `labels` are those of all groups.

        The groups' examples are independent, so the band is made of t intervals at the level .95^(1/K).
        """
        quantile = stdtrit(self.df, (1 + 0.95 ** (1 / len(self.a))) / 2)
        half = quantile * np.sqrt(np.maximum(self.var_a + self.var_b - 2 * self.covariance, 0))
        kept = np.flatnonzero(self.present).tolist()
        return CurveDifference(
            p=tuple(p[k] for k in kept),
            label=tuple(labels[k] for k in kept),
            a=tuple(self.a.tolist()),
            b=tuple((self.a + self.step).tolist()),
            difference=tuple(self.step.tolist()),
            lo95=tuple((self.step - half).tolist()),
            hi95=tuple((self.step + half).tolist()),
        )

    def draws(self, rng: Rng) -> tuple[FloatArray, FloatArray]:
        """Draw the noise (4000, K) of A's and B's means together."""
        sd = np.sqrt(self.var_a)
        one, two = rng.normal(size=(2, DRAWS, len(sd)))
        heavy = np.sqrt(self.df / rng.chisquare(self.df, size=(DRAWS, len(sd))))
        along = self.covariance / sd
        apart = np.sqrt(np.maximum(self.var_b - along**2, 0))
        return sd * one * heavy, (along * one + apart * two) * heavy


def spread_difference(pair: GroupPair, n: int, informative: float | None, rng: Rng) -> Difference:
    """Compare the SDs between groups, noise removed.

    The SD is that of these groups' own means, s² = Var m - mean v, v the noise of each mean. Its draws are a
    parametric bootstrap of both models' means together, from which 2 v is taken: v for the data's noise and v
    for the draws'. Where the groups of a model may all be equal its s, never negative, is drawn too large; the
    triangle inequality |s_B - s_A| <= SD(B - A) then gives the limit, or the farther one of the two.
    `informative` counts the examples that carry the difference; where they are few their mean is skewed, and the
    noise along the pattern is widened by 1 + 10 / informative.
    """
    noise_a, noise_b = pair.draws(rng)
    a, b = pair.a, pair.a + pair.step
    value_a, value_b = (float(_sd(m, v, 1)) for m, v in ((a, pair.var_a), (b, pair.var_b)))
    drawn = _sd(b + noise_b, pair.var_b, 2) - _sd(a + noise_a, pair.var_a, 2)
    few = informative is not None and not enough(informative, n)
    factor = 1.0 if informative is None else 1 + WIDENED / max(informative, WIDENED)
    limit = _sd_inverted(pair.step, noise_b - noise_a, factor)
    low = few or _may_be_equal(b, pair.var_b)
    high = few or _may_be_equal(a, pair.var_a)
    posterior = OrderStatistics.of(_widened(drawn, limit if low else None, limit if high else None))
    value = value_b - value_a
    return Difference(
        "spread", n, value_a, value_b, posterior.summary(value=value), posterior, "lower",
        informative=informative, few_informative=few,
    )  # fmt: skip


def informative_of(rows: Callable[[], Iterable[Grouped]], step: GroupedMoments) -> float:
    """Count the units that carry the spread of the groups' differences, which `step` sums over `rows()`."""
    present = step.n > 0
    pull = np.where(present, (step.mean - step.mean[present].mean()) / np.maximum(step.n, 1), 0.0)

    def influences() -> Iterator[tuple[FloatArray, SamplingDesign]]:
        for group, values, design in rows():
            weight = design.weight(len(values)) * pull[group]
            yield (weight * (values - step.mean[group]))[:, None], design

    blocks = list(influences())
    codes = [design.clusters for _, design in blocks if design.clusters is not None]
    whole = SamplingDesign(None, np.concatenate(codes) if codes else None)
    units = unit_sums(np.concatenate([block for block, _ in blocks]), whole)
    return float(Powers.of([units], 1).informative()[0])


def _noise(groups: GroupedMoments, width: float) -> FloatArray:
    """Give the variance of each mean: the group's own, shrunk a little to the pooled; half a failure's if that is 0."""
    pooled = groups.pooled_variance()
    if not pooled > (1e-12 * width) ** 2:
        failure = 0.5 / (groups.n + 1)
        return np.asarray(failure * (1 - failure) / groups.n * width**2)
    return np.asarray((groups.m2 + PSEUDO_COUNT * pooled) / (groups.n - 1 + PSEUDO_COUNT) / groups.n)


def _sd(means: FloatArray, noise: FloatArray, times: int) -> FloatArray:
    return np.asarray(np.sqrt(np.maximum(means.var(-1, ddof=1) - times * noise.mean(), 0)))


def _may_be_equal(means: FloatArray, variance: FloatArray) -> bool:
    weight = 1 / variance
    misfit = weight @ (means - weight @ means / weight.sum()) ** 2
    return float(chdtrc(len(means) - 1, misfit)) >= SURE_P


def _sd_inverted(means: FloatArray, noise: FloatArray, factor: float) -> FloatArray:
    """Draw the SD s of the true means, supposing their pattern is the one seen.

    Each draw of the noise (m, K) is asked for the s at which it would have given the SD that was seen; its part
    along the pattern counts `factor` times.
    """
    seen = float(means.var(ddof=1))
    pattern = (means - means.mean()) / np.sqrt(seen) if seen > 0 else np.zeros(len(means))
    along = factor * (noise @ pattern) / (len(means) - 1)
    root = along**2 - noise.var(1, ddof=1) + seen
    return np.where(root > 0, np.maximum(np.sqrt(np.maximum(root, 0)) - along, 0), 0)


def _widened(draws: FloatArray, low: FloatArray | None, high: FloatArray | None) -> FloatArray:
    """Move each quantile of the draws outwards to that of the limits where these lie farther out."""
    found = np.sort(draws)
    half = len(found) // 2
    if low is not None:
        found[:half] = np.minimum(found[:half], -np.sort(low)[::-1][:half])
    if high is not None:
        found[half:] = np.maximum(found[half:], np.sort(high)[half:])
    return found
