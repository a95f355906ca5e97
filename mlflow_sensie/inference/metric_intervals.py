"""From the influences of examples on a metric to the intervals of its values and their contrasts.

A metric of n examples at W columns (clean first, then a magnitude each) comes as ``MetricSample``: its values (W,) and
rows (n, W) of value + influence, whose weighted means they are. What holds for means of scores then holds for it, with
one exception for each kind of metric near its bounds, named by the sample's ``method``:

- ``mean``: the guarded t of scores.
- ``auc``: the value alone by Newcombe's (2006) method 5, an inverted score test of Hanley & McNeil's variance;
  contrasts by t with df = min(Satterthwaite's of the classes, n_eff4 - 1).
- ``classes``: pseudo-examples of a total weight of 2 per class, right and wrong in all combinations (made with the
  sample), and t, df = min(Satterthwaite's of the classes, 3 n_eff4).
- ``ratio``: the hull of t and of t on log(bound - value), df = n_eff4 - 1.
- ``bootstrap``: values by t on the logit of Bayesian bootstrap draws (Rubin 1981), joined with that of draws that have
  half a positive more, ranked last; contrasts by the hull of t and the draws' percentiles. All are widened by
  √(n₁/(n₁ - 1)), n₁ the number of positives.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit, ndtri, stdtrit

from mlflow_sensie.inference.contrast import contrast_estimates
from mlflow_sensie.inference.posterior import Interval, Posterior
from mlflow_sensie.inference.weights import AS_THEY_ARE, FloatArray, IntArray, SamplingDesign, Units, unit_sums

Method = Literal["mean", "auc", "classes", "ratio", "bootstrap", "none"]
LEVELS = 0.5, 0.95
TINY = 1e-12
LEAST = 3.0  # examples that carry a ratio, below which two pseudo-examples at the ends of its range are added


@dataclass(frozen=True, eq=False)
class MetricSample:
    """A metric at W columns of predictions of the same examples.

    ``values`` (W,) of the metric of ``n`` examples; ``rows`` (m, W) of value + influence, with their ``design``: those
    of the examples, and of pseudo-examples where the ``method`` has some. ``classes`` (m,) are the target's class
    numbers, ``None`` for regressors. ``lower`` and ``upper`` bound the metric, ``no_skill`` is what the best constant
    gets; with ``sign`` -1 smaller is better. ``draws`` (B, W) are those of a bootstrap.
    """

    name: str
    values: FloatArray
    rows: FloatArray
    method: Method
    n: int
    design: SamplingDesign = AS_THEY_ARE
    classes: IntArray | None = None
    lower: float | None = None
    upper: float | None = None
    no_skill: float | None = None
    sign: int = 1
    draws: FloatArray | None = None

    @property
    def smallest_class(self) -> int | None:
        """The number of examples (or of clusters that have some) of the rarest class; pseudo-examples do not count."""
        if self.classes is None:
            return None
        clusters = self.design.clusters
        classes = self.classes[: self.n]
        if clusters is not None:
            classes = np.unique(np.stack([classes, clusters[: self.n]]), axis=1)[0]
        counts = np.bincount(classes)
        return int(counts[counts > 0].min())

    @cached_property
    def units(self) -> Units:
        """The rows as independent units."""
        return Units.of(self.rows, self.design)

    @property
    def reach(self) -> tuple[float, float]:
        """The metric's range: its bounds, else as far as the rows reach."""
        low = float(self.rows.min()) if self.lower is None else self.lower
        high = float(self.rows.max()) if self.upper is None else self.upper
        return (low, high) if high > low else (low - 0.5, high + 0.5)


def contrast_posteriors(sample: MetricSample, contrasts: FloatArray) -> list[Posterior]:
    """Give the t of each contrast (W, q) of the columns' values, guarded as that of scores is."""
    posteriors = []
    estimates = contrast_estimates(sample.units, contrasts, sample.reach)
    for estimate, satterthwaite in zip(estimates, _satterthwaite(sample, contrasts), strict=True):
        # Those of classes have pseudo-examples of their own; of ratios few degrees of freedom are guard enough.
        few = estimate.few_informative and sample.method != "classes"
        if sample.method == "ratio":
            few = estimate.informative < LEAST
        posterior = estimate.posterior if few else estimate.plain
        df = min(posterior.df if posterior.df is not None else np.inf, satterthwaite)
        if sample.method in ("auc", "ratio") and not few:
            df = min(df, max(estimate.informative - 1, 2.0))
        if sample.method == "classes":  # few pairs of labels differ, beside which the pseudo-examples count
            df = min(df, max(3 * estimate.informative, 2.0))
        posteriors.append(replace(posterior, df=float(df)))
    return posteriors


def contrast_interval(sample: MetricSample, contrast: FloatArray, posterior: Posterior, family: int = 1) -> Interval:
    """Give the value of a contrast (W,) with its intervals at 1 - α/``family``."""
    value = float(sample.values @ contrast)
    if sample.draws is None:
        one = posterior.summary(family)
        ends = [one.lo50, one.hi50, one.lo95, one.hi95]
        return Interval(value, *(_both_centres(ends, value - posterior.loc) if sample.method == "classes" else ends))
    grown = _grown(sample)
    posterior = replace(posterior, scale=posterior.scale * grown)
    percentiles = sample.draws @ contrast
    centre = float(percentiles.mean())
    ends = []
    for level in LEVELS:
        tail = (1 - level) / 2 / family
        low, high = np.quantile(percentiles, [tail, 1 - tail])
        spread = centre + grown * (np.array([low, high]) - centre)
        t_low, t_high = posterior.interval(1 - 2 * tail)
        ends += [min(t_low, float(spread[0])), max(t_high, float(spread[1]))]
    return Interval(value, *ends)


def value_interval(sample: MetricSample, column: int, family: int = 1, posterior: Posterior | None = None) -> Interval:
    """Give the value at a column with its intervals at 1 - α/``family``, inside the metric's bounds.

    The ``posterior`` is the one of that column, where it is known already.
    """
    if posterior is None:
        (posterior,) = contrast_posteriors(sample, np.eye(len(sample.values))[:, [column]])
    value = float(sample.values[column])
    if sample.method == "auc":
        ends = [end for level in LEVELS for end in _newcombe(sample, column, 1 - (1 - level) / family)]
    elif sample.draws is not None:
        ends = [end for level in LEVELS for end in _logit_draws(sample, column, 1 - (1 - level) / family)]
    else:
        ends = [end for level in LEVELS for end in posterior.interval(1 - (1 - level) / family)]
        if sample.method == "classes":
            ends = _both_centres(ends, value - posterior.loc)
        if sample.method == "ratio" and sample.upper is not None and value < sample.upper:
            ends = [end for pair in _ratio_hull(sample.upper, value, posterior, ends) for end in pair]
    low, high = (-np.inf if sample.lower is None else sample.lower), (np.inf if sample.upper is None else sample.upper)
    lo50, hi50, lo95, hi95 = (min(max(end, low), high) for end in ends)
    return Interval(value, lo50, hi50, lo95, hi95)


def _both_centres(ends: Sequence[float], shift: float) -> list[float]:
    """Join intervals about the value with pseudo-examples with those about the one without, ``shift`` away."""
    lows, highs = ends[::2], ends[1::2]
    pairs = zip(lows, highs, strict=True)
    return [end for low, high in pairs for end in (low + min(shift, 0.0), high + max(shift, 0.0))]


def _ratio_hull(upper: float, value: float, posterior: Posterior, ends: Sequence[float]) -> list[tuple[float, float]]:
    """Join the t with the one on log(upper - value), whose interval keeps below the bound and is long to the left."""
    gap = upper - value
    pairs = []
    for low, high in zip(ends[::2], ends[1::2], strict=True):
        below, above = (math.exp(min((value - end) / gap, 300.0)) for end in (low, high))
        pairs.append((min(low, upper - gap * below), max(high, upper - gap * above)))
    return pairs


def _newcombe(sample: MetricSample, column: int, level: float) -> tuple[float, float]:
    """Invert |θ - value| = z √V(θ) with V of Hanley & McNeil, both sizes replaced by their mean in its last terms.

    Sizes are effective ones: those of the classes over the design effect. Of more than two classes the widths are
    those of a class against the rest, scaled by what averaging over the classes leaves of the standard error.
    """
    assert sample.classes is not None
    value, z = float(sample.values[column]), float(ndtri((1 + level) / 2))
    variance, alone = _variances(sample, column)
    effect = variance / alone if alone > 0 else 1.0
    counts = np.bincount(sample.classes)
    counts = counts[counts > 0]
    pairs = [(counts[1], counts[0])] if len(counts) == 2 else [(n, counts.sum() - n) for n in counts]
    lows, highs = [], []
    for m, n in pairs:
        m, n = m / max(effect, 1e-9), n / max(effect, 1e-9)
        low, high = _newcombe_ends(value, float(m), float(n), z)
        lows.append(low)
        highs.append(high)
    shrink = 1.0
    if len(pairs) > 1:
        nominal = math.sqrt(np.mean([_hanley(value, float(m), float(n)) for m, n in pairs]))
        shrink = min(1.0, math.sqrt(variance) / nominal) if nominal > 0 and variance > 0 else 1.0
        shrink = max(shrink, 1 / math.sqrt(len(pairs)))
    return value - shrink * (value - float(np.mean(lows))), value + shrink * (float(np.mean(highs)) - value)


def _hanley(theta: float, m: float, n: float) -> float:
    size = (m + n) / 2 - 1
    spread = 1 + size * ((1 - theta) / (2 - theta) + theta / (1 + theta))
    return theta * (1 - theta) * spread / (m * n)


def _newcombe_ends(value: float, m: float, n: float, z: float) -> tuple[float, float]:
    def excess(theta: float) -> float:
        return abs(theta - value) - z * math.sqrt(_hanley(theta, m, n))

    # At a bound the variance of the bound itself is 0, which is no end of the interval: begin beside it.
    low = 0.0 if value <= 0 else float(brentq(excess, 0.0, min(value, 1 - TINY)))
    high = 1.0 if value >= 1 else float(brentq(excess, max(value, TINY), 1.0))
    return low, high


def _logit_draws(sample: MetricSample, column: int, level: float) -> tuple[float, float]:
    """Give t on the logit, its SD that of the bootstrap draws, df = n₁ - 1, joined with the same of guarded draws.

    Those have half a positive more, ranked last: draws of a value near 1 hardly vary, and say nothing of the
    positives far down that so few examples may lack.
    """
    assert sample.draws is not None
    draws, positives = sample.draws[:, column], sample.smallest_class or len(sample.rows)
    quantile = float(stdtrit(max(positives - 1, 1), (1 + level) / 2)) * _grown(sample)
    half_more = np.random.default_rng(0).exponential(0.5, len(draws))
    last = half_more / (positives + half_more)
    guarded = draws * (1 - last) + (sample.no_skill or 0.0) * last
    lows, highs = [], []
    for centre, some in ((_logit(sample.values[column]), draws), (_logit(guarded).mean(), guarded)):
        half = quantile * float(_logit(some).std(ddof=1))
        lows.append(float(expit(centre - half)))
        highs.append(float(expit(centre + half)))
    value = float(sample.values[column])
    return min(*lows, value), max(*highs, value)


def _logit(values: FloatArray) -> FloatArray:
    return np.asarray(logit(np.clip(values, 1e-6, 1 - 1e-6)))


def _grown(sample: MetricSample) -> float:
    """√(n₁/(n₁ - 1)): a Bayesian bootstrap varies as much less as a variance over n than one over n - 1."""
    positives = max(sample.smallest_class or len(sample.rows), 2)
    return math.sqrt(positives / (positives - 1))


def _variances(sample: MetricSample, column: int) -> tuple[float, float]:
    """Give the variance of a value by its influences as the design has them, and as if all rows were alike, alone."""
    influence = sample.rows[:, [column]] - sample.values[column]
    n = len(influence)
    w = sample.design.weight(n)
    units = unit_sums(w[:, None] * influence, sample.design)
    return float((units**2).sum()) / float(w.sum()) ** 2, float((influence**2).sum()) / n**2


def _satterthwaite(sample: MetricSample, contrasts: FloatArray) -> FloatArray:
    """Give the degrees of freedom (q,) of variances that are sums of the classes', (ΣV)²/Σ V²/(n - 1), at least 2."""
    if sample.classes is None:
        return np.full(contrasts.shape[1], np.inf)
    classes, influences = sample.classes, (sample.rows - sample.values) @ contrasts
    influences *= sample.design.weight(len(influences))[:, None]
    if sample.design.clusters is not None:
        pairs = np.stack([classes, np.unique(sample.design.clusters, return_inverse=True)[1]])
        (classes, _), unit = np.unique(pairs, axis=1, return_inverse=True)
        influences = np.stack([np.bincount(unit.ravel(), column) for column in influences.T], axis=1)
    counts = np.bincount(classes)
    of_class = np.stack([np.bincount(classes, column, len(counts)) for column in np.square(influences).T])
    below = (of_class**2 / np.maximum(counts - 1, 0.5)).sum(axis=1)
    df = of_class.sum(axis=1) ** 2 / np.where(below > 0, below, 1.0)
    return np.where(below > 0, np.maximum(df, 2.0), np.inf)
