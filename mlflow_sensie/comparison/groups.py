"""Two models' spreads between the same groups: classes, levels of a category, bins of a property."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np
from scipy.special import chdtrc, stdtrit

from mlflow_sensie.comparison.contrasts import DRAWS, Rng
from mlflow_sensie.comparison.difference import CurveDifference, Difference
from mlflow_sensie.comparison.pairing import Pairing
from mlflow_sensie.errors import ComparisonError
from mlflow_sensie.inference import Curve, OrderStatistics, SamplingDesign
from mlflow_sensie.inference.contrast import enough
from mlflow_sensie.inference.spread import misfit, noise
from mlflow_sensie.inference.weights import (
    BoolArray,
    FloatArray,
    GroupedMoments,
    IntArray,
    informative_units,
    power_sums,
    unit_sums,
)
from mlflow_sensie.scores.table import CLEAN

Grouped = tuple[IntArray, FloatArray, SamplingDesign]
PSEUDO_COUNT = 5.0
SURE_P = 0.001
WIDENED = 10.0


@dataclass(frozen=True)
class GroupPair:
    """K groups' means of A and of B - A (`step`), the covariances of both models' means, and their free df (K,).

    `present` (all groups,) tells which ones these are, `n` how many examples they have. `informative` counts the
    examples that carry the spread of `step`, None where that is not known.
    """

    n: int
    present: BoolArray
    a: FloatArray
    step: FloatArray
    var_a: FloatArray
    var_b: FloatArray
    covariance: FloatArray
    df: FloatArray
    informative: float | None = None

    @classmethod
    def of(cls, n: int, a: Grouped, b: Grouped, groups: int, width: float, *, paired: bool) -> GroupPair:
        """Take the groups, 0..groups-1, finite scores, and designs of both models' examples, `paired` the same ones.

        `width` is that of the score's range. Raises ComparisonError for fewer than two groups that both have.
        """
        of_a, of_b = (GroupedMoments.effective(group, scores, groups, design) for group, scores, design in (a, b))
        present = (of_a.n > 0) & (of_b.n > 0)
        if present.sum() < 2:
            raise ComparisonError(f"a spread needs at least two groups with scores in both, not {int(present.sum())}")
        of_a, of_b = of_a.select(present), of_b.select(present)
        var_a, var_b = _variance(of_a, width), _variance(of_b, width)
        covariance, informative = np.zeros(len(of_a.n)), None
        if paired:
            (group, scores, design), (_, others, _) = a, b
            of_step = GroupedMoments.effective(group, others - scores, groups, design)
            informative = _informative(group, others - scores, of_step, design)
            limit = np.sqrt(var_a * var_b)
            covariance = (var_a + var_b - _variance(of_step.select(present), width)) / 2
            covariance = np.clip(covariance, -limit, limit)
        df = np.minimum(of_a.n, of_b.n) - 1 + PSEUDO_COUNT
        return cls(n, present, of_a.mean, of_b.mean - of_a.mean, var_a, var_b, covariance, df, informative)

    def curve(self, p: Sequence[float], labels: Sequence[str]) -> CurveDifference:
        """Compare the groups one by one; `p` and `labels` are those of all groups.

        The groups' examples are independent, so the band is made of t intervals at the level .95^(1/K).
        """
        quantile = stdtrit(self.df, (1 + 0.95 ** (1 / len(self.a))) / 2)
        half = quantile * np.sqrt(np.maximum(self.var_a + self.var_b - 2 * self.covariance, 0))
        curves, points = (self.a, self.a + self.step, self.step), compress(p, self.present)
        names = compress(labels, self.present)
        return CurveDifference.of(points, names, curves, self.step - half, self.step + half)

    def draws(self, rng: Rng) -> tuple[FloatArray, FloatArray]:
        """Draw the noise (4000, K) of A's and B's means together."""
        sd = np.sqrt(self.var_a)
        one, two = rng.normal(size=(2, DRAWS, len(sd)))
        heavy = np.sqrt(self.df / rng.chisquare(self.df, size=(DRAWS, len(sd))))
        along = self.covariance / sd
        apart = np.sqrt(np.maximum(self.var_b - along**2, 0))
        return sd * one * heavy, (along * one + apart * two) * heavy

    def spread(self, rng: Rng) -> Difference:
        """Compare the SDs between groups, noise removed.

        The SD is that of these groups' own means, s² = Var m - mean v, v the noise of each mean. Its draws are a
        parametric bootstrap of both models' means together, from which 2 v is taken: v for the data's noise and v
        for the draws'. Where the groups of a model may all be equal its s, never negative, is drawn too large; the
        triangle inequality |s_B - s_A| <= SD(B - A) then gives the limit, or the farther one of the two. Where few
        examples carry the difference their mean is skewed, and the noise along the pattern is widened by
        1 + 10 / informative.
        """
        noise_a, noise_b = self.draws(rng)
        a, b = self.a, self.a + self.step
        value_a, value_b = (float(_sd(m, v, 1)) for m, v in ((a, self.var_a), (b, self.var_b)))
        draws = _sd(b + noise_b, self.var_b, 2) - _sd(a + noise_a, self.var_a, 2)
        few = self.informative is not None and not enough(self.informative, self.n)
        factor = 1.0 if self.informative is None else 1 + WIDENED / max(self.informative, WIDENED)
        limit = _sd_inverted(self.step, noise_b - noise_a, factor)
        low = few or _may_be_equal(b, self.var_b)
        high = few or _may_be_equal(a, self.var_a)
        posterior = OrderStatistics.of(_widened(draws, limit if low else None, limit if high else None))
        value = value_b - value_a
        return Difference(
            "spread", self.n, value_a, value_b, posterior.summary(value=value), posterior, "lower",
            informative=self.informative, few_informative=few,
        )  # fmt: skip


def compare_groups(
    pairing: Pairing, column: str, cuts: FloatArray | None, curve: Curve, width: float, rng: Rng
) -> tuple[Difference, CurveDifference]:
    """Compare the spreads between the levels or bins of a curve, and the levels or bins one by one.

    ``cuts`` are the edges between the bins of a property, ``None`` for levels; ``width`` is that of the score's
    range. Raises ComparisonError for fewer than two groups with scores in both.
    """
    (clean_a, clean_b), (of_a, of_b) = map(pairing.column, (CLEAN, column))
    design_a, design_b = pairing.designs
    if pairing.paired:
        missing = ~(np.isfinite(clean_a) & np.isfinite(clean_b))
        clean_a[missing] = clean_b[missing] = np.nan
        design_b = design_a
    a, b = _grouped(of_a, clean_a, design_a, cuts), _grouped(of_b, clean_b, design_b, cuts)
    pair = GroupPair.of(len(a[0]) if pairing.paired else pairing.n, a, b, len(curve.n), width, paired=pairing.paired)
    points = [float(k) if p is None else p for k, p in enumerate(curve.p)]
    return pair.spread(rng), pair.curve(points, curve.label)


def _grouped(values: FloatArray, scores: FloatArray, design: SamplingDesign, cuts: FloatArray | None) -> Grouped:
    """Give the numbers of levels or bins, scores and design of the examples that have both."""
    if cuts is None:
        group = values.astype(np.int64)  # -1 where it is missing
    else:
        group = np.where(np.isfinite(values), np.searchsorted(cuts, values, side="right"), -1)
    rows = (group >= 0) & np.isfinite(scores)
    return group[rows], scores[rows], design.take(rows)


def _informative(group: IntArray, values: FloatArray, step: GroupedMoments, design: SamplingDesign) -> float:
    """Count the units that carry the spread of the groups' differences, which `step` sums over `values`."""
    present = step.n > 0
    pull = np.where(present, (step.mean - step.mean[present].mean()) / np.maximum(step.n, 1), 0.0)
    influences = design.weight(len(values)) * pull[group] * (values - step.mean[group])
    return float(informative_units(power_sums([unit_sums(influences[:, None], design)], 1))[0])


def _variance(groups: GroupedMoments, width: float) -> FloatArray:
    """Give the variance of each mean: the group's own, shrunk a little to the pooled; half a failure's if that is 0."""
    return width**2 * noise(groups, 0.0, width, bounded=False, pseudo_count=PSEUDO_COUNT)


def _sd(means: FloatArray, variance: FloatArray, times: int) -> FloatArray:
    return np.asarray(np.sqrt(np.maximum(means.var(-1, ddof=1) - times * variance.mean(), 0)))


def _may_be_equal(means: FloatArray, variance: FloatArray) -> bool:
    return float(chdtrc(len(means) - 1, misfit(means, variance))) >= SURE_P


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
    quantiles = np.sort(draws)
    half = len(quantiles) // 2
    if low is not None:
        quantiles[:half] = np.minimum(quantiles[:half], -np.sort(low)[::-1][:half])
    if high is not None:
        quantiles[half:] = np.maximum(quantiles[half:], np.sort(high)[half:])
    return quantiles
