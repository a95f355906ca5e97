"""From the influences of examples on a metric to its intervals, drops and differences.

A metric of n examples at W columns (clean first, then a magnitude each) comes as ``MetricSample``: its values (W,) and
rows (n, W) of value + influence, whose weighted means they are. What holds for means of scores then holds for it, with
one exception for each kind of metric near its bounds, named by the sample's ``method``:

- ``mean``: the guarded t of scores.
- ``auc``: the value alone by Newcombe's (2006) method 5, an inverted score test of Hanley & McNeil's variance;
  contrasts by t with df = min(Satterthwaite's of the classes, n_eff4 - 1).
- ``classes``: pseudo-examples of a total weight of 2 per class, right and wrong in all combinations (made with the
  sample), and t.
- ``ratio``: the hull of t and of t on log(bound - value), df = n_eff4 - 1.
- ``bootstrap``: values by t on the logit of Bayesian bootstrap draws (Rubin 1981), contrasts by the hull of t and the
  draws' percentiles, both widened by √(n₁/(n₁ - 1)), n₁ the number of positives.
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
from mlflow_sensie.inference.grid import MagnitudeGrid
from mlflow_sensie.inference.holds_until import ROUNDING, Floor, HoldsUntil, crossings, holds_until
from mlflow_sensie.inference.posterior import Interval, Posterior
from mlflow_sensie.inference.weights import AS_THEY_ARE, FloatArray, IntArray, SamplingDesign, Units, unit_sums

Method = Literal["mean", "auc", "classes", "ratio", "bootstrap", "none"]
FEW = 10  # examples of a class, below which a metric's interval is not promised
LEVELS = 0.5, 0.95
TINY = 1e-12
LEAST = 3.0  # examples that carry a ratio, below which two pseudo-examples at the ends of its range are added
# Examples that carry a mean, below which its tails may be too heavy for an interval to be promised: n/25 within these.
# Of squared errors t3 ones have 1 to 40 at any n, normal ones n/8.
HEAVY = 12.0, 40.0


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


@dataclass(frozen=True)
class MetricEstimate:
    """A metric of the inputs as they are: its ``value`` with its intervals, ``None`` for one that is biased.

    ``posterior`` is what one-sided claims are made with; ``no_skill`` is what the best constant prediction gets;
    ``few_of_a_class`` (under ten examples) and ``heavy_tailed`` (few examples carry it) are the flags, for which no
    coverage is promised, and ``no_skill`` of a skill that is not surely above 0.
    """

    name: str
    value: float
    interval: Interval | None
    no_skill: float | None
    n: int
    posterior: Posterior | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class MetricSweep:
    """A metric over the magnitudes of a perturbation.

    ``p`` (1 + J) is the neutral (``None`` where it is not known) and the magnitudes, with the metric's ``values``,
    ``lo95`` and ``hi95`` there. ``mean_drop``: how much worse it is on average over the sweep than clean, above 0 for
    a loss that grows as well. ``holds_until`` is the largest distance up to which it keeps all but the allowed drop of
    what lies between the clean value and ``no_skill``, with a one-sided 95 % bound; ``None`` where nothing says what
    no skill is.
    """

    name: str
    p: tuple[float | None, ...]
    values: tuple[float, ...]
    lo95: tuple[float, ...]
    hi95: tuple[float, ...]
    mean_drop: Interval
    mean_drop_posterior: Posterior
    sides: tuple[HoldsUntil, ...]
    holds_until: float | None
    holds_until_lo95: float | None
    censored: bool
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class MetricGroups:
    """A metric in each bin or level, ``None`` where it is undefined, and the SD between its true values there."""

    name: str
    labels: tuple[str, ...]
    values: tuple[float | None, ...]
    lo95: tuple[float | None, ...]
    hi95: tuple[float | None, ...]
    n: tuple[int, ...]
    spread: float | None


def metric_estimate(sample: MetricSample, family: int = 1) -> MetricEstimate:
    """Estimate the metric of the first column, with intervals at 1 - α/``family``.

    >>> rows = np.linspace(0, 1, 101)[:, None]
    >>> metric_estimate(MetricSample("mae", np.array([0.5]), rows, "mean", 101, lower=0)).interval.lo95.__round__(3)
    0.442
    """
    interval = None if sample.method == "none" else value_interval(sample, 0, family)
    flags = _flags(sample, interval)
    posterior = None if interval is None else contrast_posteriors(sample, np.eye(len(sample.values))[:, :1])[0]
    return MetricEstimate(sample.name, float(sample.values[0]), interval, sample.no_skill, sample.n, posterior, flags)


def metric_sweep(
    sample: MetricSample, grid: MagnitudeGrid, *, allowed_drop: float | tuple[str, float] = 0.1, family: int = 1
) -> MetricSweep | None:
    """Estimate how the metric changes over a sweep; ``None`` for one that is biased, of which differences mean nothing.

    The floor of "holds until" is clean - ``allowed_drop`` × (clean - no skill), of an absolute drop in the metric's
    unit; a clean value that is not surely above no skill holds until 0. Two pseudo-curves are always added, one that
    never drops and one that drops to the bound at once.

    >>> rows = 0.9 - 0.2 * np.arange(3) * np.linspace(0.5, 1.5, 100)[:, None]
    >>> sample = MetricSample("accuracy", rows.mean(axis=0), rows, "mean", 100, lower=0, upper=1, no_skill=0.1)
    >>> fit = metric_sweep(sample, MagnitudeGrid.of([1, 2], neutral=0))
    >>> round(fit.mean_drop.value, 3), round(fit.holds_until, 3)
    (0.2, 0.4)
    """
    if sample.method == "none":
        return None
    slopes, width = len(grid.sides), grid.width
    drop = sample.sign * grid.contrasts()[:, slopes]
    posterior, *of_values = contrast_posteriors(sample, np.column_stack([drop, np.eye(width)]))
    curve = [_value_interval(sample, column, one, family) for column, one in enumerate(of_values)]
    sides = _holds(sample, grid, allowed_drop, curve[0], family)
    first = min(sides, key=lambda side: (side.value, side.censored), default=None)
    return MetricSweep(
        name=sample.name,
        p=(grid.neutral, *grid.magnitudes),
        values=tuple(sample.values.tolist()),
        lo95=tuple(one.lo95 for one in curve),
        hi95=tuple(one.hi95 for one in curve),
        mean_drop=contrast_interval(sample, drop, posterior, family),
        mean_drop_posterior=posterior,
        sides=sides,
        holds_until=None if first is None else first.value,
        holds_until_lo95=min((side.lo95 for side in sides), default=None),
        censored=first is not None and first.censored,
        flags=_flags(sample, curve[0]),
    )


def metric_groups(name: str, samples: Sequence[tuple[str, int, MetricSample | None]], family: int = 1) -> MetricGroups:
    """Put the metric of groups together, each a label, its number of examples, and its sample where it is defined.

    The spread is the SD between the groups' true values: what the values vary by, less what their noise makes of it.
    """
    ends = [
        None if sample is None or sample.method == "none" else value_interval(sample, 0, family)
        for _, _, sample in samples
    ]
    values = [None if sample is None else float(sample.values[0]) for _, _, sample in samples]
    pairs = [(value, one) for value, one in zip(values, ends, strict=True) if value is not None and one is not None]
    spread = None
    if len(pairs) > 1:
        noise = np.mean([((one.hi95 - one.lo95) / 2 / 1.96) ** 2 for _, one in pairs])
        spread = math.sqrt(max(0.0, float(np.var([value for value, _ in pairs], ddof=1) - noise)))
    return MetricGroups(
        name=name,
        labels=tuple(label for label, _, _ in samples),
        values=tuple(values),
        lo95=tuple(None if one is None else one.lo95 for one in ends),
        hi95=tuple(None if one is None else one.hi95 for one in ends),
        n=tuple(n for _, n, _ in samples),
        spread=spread,
    )


@dataclass(frozen=True)
class MetricDifference:
    """How much a metric of B exceeds that of A on the same examples, or its mean drop does."""

    name: str
    a: float
    b: float
    difference: Interval
    posterior: Posterior
    flags: tuple[str, ...] = ()


def metric_difference(sample: MetricSample, contrast: FloatArray, family: int = 1) -> MetricDifference:
    """Compare two models by a contrast (W,) of the columns of each, those of A before those of B (2W,).

    >>> rows = np.random.default_rng(0).normal([0.5, 0.6], 0.1, (100, 2))
    >>> sample = MetricSample("accuracy", rows.mean(axis=0), rows, "mean", 100, lower=0, upper=1)
    >>> round(metric_difference(sample, np.ones(1)).difference.value, 1)
    0.1
    """
    zeros = np.zeros_like(contrast)
    both = np.concatenate([-contrast, contrast])
    (posterior,) = contrast_posteriors(sample, both[:, None])
    a, b = (float(sample.values @ np.concatenate(parts)) for parts in ((contrast, zeros), (zeros, contrast)))
    interval = contrast_interval(sample, both, posterior, family)
    return MetricDifference(sample.name, a, b, interval, posterior, _flags(sample))


# --- intervals ---------------------------------------------------------------------------------------------


def contrast_posteriors(sample: MetricSample, contrasts: FloatArray) -> list[Posterior]:
    """Give the t of each contrast (W, q) of the columns' values, guarded as that of scores is."""
    posteriors = []
    estimates = contrast_estimates(sample.units, contrasts, _reach(sample))
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


def value_interval(sample: MetricSample, column: int, family: int = 1) -> Interval:
    """Give the value at a column with its intervals at 1 - α/``family``, inside the metric's bounds."""
    (posterior,) = contrast_posteriors(sample, np.eye(len(sample.values))[:, [column]])
    return _value_interval(sample, column, posterior, family)


def _value_interval(sample: MetricSample, column: int, posterior: Posterior, family: int) -> Interval:
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


def _reach(sample: MetricSample) -> tuple[float, float]:
    """The metric's range: its bounds, else as far as the rows reach."""
    low = float(sample.rows.min()) if sample.lower is None else sample.lower
    high = float(sample.rows.max()) if sample.upper is None else sample.upper
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _holds(
    sample: MetricSample,
    grid: MagnitudeGrid,
    allowed_drop: float | tuple[str, float],
    clean: Interval,
    family: int,
) -> tuple[HoldsUntil, ...]:
    absolute = not isinstance(allowed_drop, int | float)
    drop = float(allowed_drop[1] if isinstance(allowed_drop, tuple) else allowed_drop)
    if sample.no_skill is None and not absolute:
        return ()
    above = sample.sign * (sample.no_skill if sample.no_skill is not None else 0.0)
    floor = Floor(1.0, drop, drop) if absolute else Floor(1 - drop, -drop * above, drop)
    moments = replace(sample.units.moments, mean=sample.sign * sample.units.moments.mean)
    low, high = sorted(sample.sign * end for end in _reach(sample))
    surely = min(sample.sign * clean.lo95, sample.sign * clean.hi95)
    nothing_to_lose = not absolute and not surely > above
    curve, sides = sample.sign * sample.values, []
    for side in grid.sides:
        bound = holds_until(side, moments, floor, (low, high), family, always=True)
        value, start = float(crossings(side, curve[None], floor)[0]), float(side.distances[0])
        censored = not bool((curve[list(side.columns)] - floor.keep * curve[0] + floor.below < ROUNDING).any())
        held = replace(bound, value=value, lo95=min(value, bound.lo95), censored=censored)
        if nothing_to_lose:  # below the floor everywhere, for sure
            zeros, below = (0.0,) * len(bound.distances), (-1.0,) * len(bound.distances)
            held = replace(
                bound, value=start, lo95=start, censored=False, margin=below, variance=zeros, covariance=zeros
            )
        sides.append(held)
    return tuple(sides)


def _flags(sample: MetricSample, clean: Interval | None = None) -> tuple[str, ...]:
    smallest = sample.smallest_class
    squares = np.square(sample.rows[:, 0] - sample.values[0])
    total, fourth = float(squares.sum()), float(squares @ squares)
    informative = total**2 / fourth if fourth > 0 else sample.n
    heavy = sample.classes is None and informative < min(max(sample.n / 25, HEAVY[0]), HEAVY[1])
    flags = {
        "few_of_a_class": smallest is not None and smallest < FEW,
        "heavy_tailed": heavy,
        "no_skill": sample.name == "skill" and clean is not None and not clean.lo95 > 0,
    }
    return tuple(name for name, raised in flags.items() if raised)
