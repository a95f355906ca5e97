"""The property test: how the score changes with a number that each example brings along."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mlflow_sensie.inference.binning import RankAxis, Ranks, bin_centres, bin_labels, inner_edges
from mlflow_sensie.inference.category import MOST_CHANCE
from mlflow_sensie.inference.curve import Curve, Departure, Line, curve_of, departure_of_bins
from mlflow_sensie.inference.decision import (
    BESIDE,
    Decision,
    ScoreScale,
    Significance,
    decide,
    excludes_zero,
    significance,
)
from mlflow_sensie.inference.exact_engine import Regression, narrower, unguarded
from mlflow_sensie.inference.extra_fits import (
    NO_EXTRA,
    ExtraFits,
    Polynomial,
    RangeFit,
    polynomial_of_property,
    property_line,
    range_of_property,
    window_chosen,
    window_given,
)
from mlflow_sensie.inference.multiplicity import chance_of_sensitive
from mlflow_sensie.inference.posterior import AnyPosterior, Interval, Posterior
from mlflow_sensie.inference.slope import Sandwich, guarded_sandwich, with_pseudo_scores, with_rank_noise
from mlflow_sensie.inference.spread import Spread, spread_of
from mlflow_sensie.inference.weights import AS_THEY_ARE, BoolArray, FloatArray, GroupedMoments, IntArray, SamplingDesign
from mlflow_sensie.inference.within import EffectSplit


@dataclass(frozen=True)
class PropertyFit:
    """What a property test found.

    `slope` is per unit of the property, `effect` the slope times the width of `span`; `plain_effect` is the
    effect without pseudo-scores. `unexpected` is the part of the effect that the model's own expected score
    does not announce. `spread`, `departure` and `curve` are None where no bins were asked for. `missing` is
    the one-point curve of examples whose property is missing. `regression` holds the sums that the other
    engines need; where one of them made `posterior`, `robust` is what engine `robust` says of the effect.
    `fit_range` holds at most one line through part of the range, `polynomials` at most one. With
    `ranks`, `span`, `slope` and `line` are those of the rank, as a share of the examples; the curve's `p` stays
    in the property's unit. `split` parts the effect by the mix of classes, where there are some.
    """

    n: int
    n_missing: int
    n_dropped: int
    span: tuple[float, float]
    rope: float
    slope: Interval
    effect: Interval
    plain_effect: Interval
    posterior: AnyPosterior
    effect_bound95: float
    prob_sensitive: float
    decision: Decision
    significance: Significance
    unexpected: Interval | None
    unexpected_posterior: Posterior | None
    spread: Spread | None
    departure: Departure | None
    line: Line
    curve: Curve | None
    missing: Curve | None
    flags: tuple[str, ...]
    regression: Regression
    robust: Posterior | None = None
    ranks: RankAxis | None = None
    family: int = 1
    fit_range: tuple[RangeFit, ...] = ()
    polynomials: tuple[Polynomial, ...] = ()
    split: EffectSplit | None = None

    @property
    def chance(self) -> float:
        """Give the probability of "sensitive" had the property no effect."""
        return chance_of_sensitive(self.posterior, self.rope, self.family)

    @property
    def regressions(self) -> tuple[Regression, ...]:
        """Give the sums that another engine needs."""
        return (self.regression,)

    def with_posteriors(self, effects: Sequence[AnyPosterior]) -> PropertyFit:
        """Put another engine's posterior of the effect in place of that of `robust`, and what follows from it."""
        (effect,) = effects
        assert isinstance(self.posterior, Posterior)
        fields = _of_effect(effect, self.regression.length, self.rope, self.family)
        flags = (*unguarded(self.flags), *narrower(effects, [self.posterior]))
        flags = flags if self.ranks is None else (*flags, "ranks_as_known")
        return replace(
            self, line=self.regression.drawn(self.line, effect), robust=self.posterior, flags=flags, **fields
        )


@dataclass(frozen=True, eq=False)
class _Sample:
    """The examples with a score y: where they stand, z in shares of `span` from its middle, NaN if missing.

    `excess` is score - expected score, where that is known. The groups are the bins between the `inner` edges, in z,
    and last the missing values.
    """

    z: FloatArray
    y: FloatArray
    excess: FloatArray | None
    design: SamplingDesign
    dropped: int
    span: tuple[float, float]
    inner: FloatArray

    @classmethod
    def of(
        cls,
        p: FloatArray,
        y: FloatArray,
        expected: FloatArray | None,
        design: SamplingDesign,
        span: tuple[float, float],
        cuts: FloatArray | None,
    ) -> _Sample:
        middle, width = span[0] + (span[1] - span[0]) / 2, span[1] - span[0]
        excess = None if expected is None else y - expected
        scored = np.isfinite(y) if excess is None else np.isfinite(y) & np.isfinite(excess)
        rows = slice(None) if scored.all() else scored  # a slice copies nothing
        # Centred before it is scaled, so that an offset of p costs no digits.
        z = (p[rows] - middle) / width
        z[~np.isfinite(z)] = np.nan
        inner = np.empty(0) if cuts is None else (cuts - middle) / width
        return cls(
            z, y[rows], None if excess is None else excess[rows], design.take(rows), int((~scored).sum()), span, inner
        )

    @cached_property
    def known(self) -> BoolArray:
        """Tell which examples have a value of the property; raise ValueError for fewer than two."""
        known = np.isfinite(self.z)
        if known.sum() < 2:
            count = int(known.sum())
            raise ValueError(f"a property test needs at least two examples with a property and a score, not {count}")
        return np.asarray(known)

    def line(self, y: FloatArray) -> tuple[FloatArray, FloatArray, SamplingDesign]:
        """Give what a line is fitted to: z and y, each (n,), of the examples with a value, and their design."""
        rows = slice(None) if self.known.all() else self.known
        return self.z[rows], y[rows], self.design.take(rows)

    @cached_property
    def group(self) -> IntArray:
        """Give the number of each example's group."""
        return np.where(np.isfinite(self.z), np.searchsorted(self.inner, self.z, side="right"), len(self.inner) + 1)

    @cached_property
    def bins(self) -> GroupedMoments:
        """Give the groups' scores as those of equal, independent units."""
        if self.design.alike:
            return self.examples(None, None)
        return GroupedMoments.effective(self.group, self.y, len(self.inner) + 2, self.design)

    def examples(self, lower: float | None, upper: float | None) -> GroupedMoments:
        """Give the groups' scores as those of the examples, each by itself; bounds in the score's unit or None."""
        return GroupedMoments.of(self.group, self.y, len(self.inner) + 2, lower, upper)

    @cached_property
    def bin_z(self) -> GroupedMoments:
        """Give where the bins stand, weighted."""
        z, _, design = self.line(self.y)
        return GroupedMoments.of(self.group[self.known], z, len(self.inner) + 1, weights=design.weights)


def property_test(
    p: ArrayLike,
    scores: ArrayLike,
    scale: ScoreScale,
    *,
    expected: ArrayLike | None = None,
    edges: ArrayLike | None = None,
    unique: ArrayLike | None = None,
    span: tuple[float, float],
    rope: float = 0.02,
    design: SamplingDesign = AS_THEY_ARE,
    ranks: Ranks | None = None,
    family: int = 1,
    extra: ExtraFits = NO_EXTRA,
) -> PropertyFit:
    """Estimate slope, effect, curve and spread of the score over a numeric property.

    ``p`` (n,) is the property, ``scores`` (n,) the scores and ``expected`` (n,) the model's own expected scores, where
    it has them. ``span`` is the range the effect is measured over (``property_span``); ``edges`` or ``unique``
    (``bin_edges``) cut the curve, neither means no curve. An example outside explicit edges counts in the slope and in
    the end bin beside it. Missing p is counted and summed up apart; rows whose score (or expected score) is not finite
    are dropped and counted. With ``ranks``, the slope is that on the rank and ``span`` the whole range of ranks; the
    bins stay those of p. The intervals of ``family`` tests hold together; ``extra`` says what to fit beside the line,
    which is that of ``sandwich``. Raises ValueError for fewer than two examples and a constant property.

    >>> p = np.linspace(0, 1, 201)
    >>> scores = 0.9 - 0.3 * p + 0.05 * np.cos(40 * p)
    >>> fit = property_test(p, scores, ScoreScale(0, 1, "probability"), span=(0.0, 1.0))
    >>> round(fit.effect.value, 2), fit.decision
    (-0.3, 'sensitive')
    """
    if not (np.isfinite(span).all() and span[1] - span[0] > 1e-290):
        raise ValueError(f"the property's span must be a finite range of some width, not {span!r}")
    x, y = np.asarray(p, np.float64), np.asarray(scores, np.float64)
    cuts = None if edges is None and unique is None else inner_edges(edges, unique)
    if ranks is not None:
        x, cuts, span = ranks.share(x), None if cuts is None else ranks.share(cuts), ranks.span
    announced = None if expected is None else np.asarray(expected, np.float64)
    sample = _Sample.of(x, y, announced, design, span, cuts)
    reach, examples = scale.range_of(sample.y), sample.examples(scale.lower, scale.upper)
    plain, fit, few = _slope(sample, sample.y, reach, ranks)
    width = reach[1] - reach[0]
    unexpected = None
    if sample.excess is not None:
        unexpected = _slope(sample, sample.excess, (-width, width), ranks)[1].posterior
    ranges, curved = _extra_fits(extra, sample, cuts is not None, reach, plain if few else None, ranks)
    centres = np.empty(0) if cuts is None else bin_centres(edges, unique)
    labels = () if cuts is None else bin_labels(edges, unique)
    effect = _of_effect(fit.posterior, span[1] - span[0], rope, family)
    bins = _of_bins(sample, examples, labels, centres, scale, ranks, rope, family)
    last = np.array([-1])
    missing = examples.select(last)
    return PropertyFit(
        **{**effect, **bins, "decision": "sensitive" if _differ(bins["spread"], family) else effect["decision"]},
        n=plain.n,
        n_missing=int(missing.n[0]),
        n_dropped=sample.dropped,
        span=(float(span[0]), float(span[1])),
        rope=rope,
        plain_effect=plain.posterior.summary(family),
        unexpected=unexpected.summary(family) if unexpected else None,
        unexpected_posterior=unexpected,
        line=property_line(fit, span),
        missing=curve_of(sample.bins.select(last), [None], ["missing"], scale, missing) if missing.n[0] else None,
        regression=Regression.of_line(plain, span, reach),
        flags=(*_flags(sample, plain.units, few, missing.n[0] > 0), *extra.lacking(len(ranges), len(curved))),
        ranks=None if ranks is None else ranks.axis(),
        family=family,
        fit_range=ranges,
        polynomials=curved,
    )


def _of_bins(
    sample: _Sample,
    examples: GroupedMoments,
    labels: Sequence[str],
    centres: FloatArray,
    scale: ScoreScale,
    ranks: Ranks | None,
    rope: float,
    family: int,
) -> dict[str, Any]:
    """Give what follows from the bins, named by `labels`; an empty one stands at its centre."""
    if not labels:
        return {"curve": None, "spread": None, "departure": None}
    inside = np.arange(len(labels))
    bins = sample.bins.select(inside)
    low, width = sample.span[0], sample.span[1] - sample.span[0]
    empty = centres if ranks is None else ranks.share(centres)
    x = np.where(sample.bin_z.n > 0, low + width * (sample.bin_z.mean + 0.5), empty)
    p = x if ranks is None else ranks.value(x)
    return {
        "curve": curve_of(bins, p.tolist(), labels, scale, examples.select(inside)),
        "spread": spread_of(bins, scale, scale.range_of(sample.y), rope, family),
        "departure": departure_of_bins(x, bins),
    }


def _differ(spread: Spread | None, family: int) -> bool:
    """Whether the bins surely differ, as where the score falls and rises again: a line cannot tell that."""
    if spread is None or spread.p_value is None:
        return False
    return decide(spread.prob_sensitive, chance=spread.p_value > MOST_CHANCE / (BESIDE * family)) == "sensitive"


def _of_effect(effect: AnyPosterior, length: float, rope: float, family: int) -> dict[str, Any]:
    """Give what follows from the posterior of the effect over a range of this length."""
    prob, summary = effect.prob_abs_at_least(rope), effect.summary(family)
    return {
        "slope": summary.scaled(1 / length),
        "effect": summary,
        "posterior": effect,
        "effect_bound95": effect.bound(1 - 0.05 / family),
        "prob_sensitive": prob,
        "decision": decide(prob, chance=not excludes_zero(summary)),
        "significance": significance(summary, rope),
    }


def _slope(
    sample: _Sample, y: FloatArray, reach: tuple[float, float], ranks: Ranks | None
) -> tuple[Sandwich, Sandwich, bool]:
    """Fit the scores, or their excess over the expected ones, on z."""
    z, y, design = sample.line(y)
    plain, fit, few = guarded_sandwich(z, y, design, reach)
    if ranks is not None:
        width = sample.span[1] - sample.span[0]
        plain, fit = (with_rank_noise(line, z, y, design, width, ranks.n) for line in (plain, fit))
    return plain, fit, few


def _extra_fits(
    extra: ExtraFits,
    sample: _Sample,
    binned: bool,
    reach: tuple[float, float],
    guarded: Sandwich | None,
    ranks: Ranks | None,
) -> tuple[tuple[RangeFit, ...], tuple[Polynomial, ...]]:
    """Fit what is asked for beside the line; `guarded` is the plain line where few examples carry it."""
    span, window, rows = sample.span, None, sample.line(sample.y)
    if extra.fit_range == "auto":
        if binned:
            bins = sample.bins.select(np.arange(len(sample.inner) + 1))
            window = window_chosen(rows[0], bins, reach[1] - reach[0], sample.inner, sample.bin_z.mean)
    elif extra.fit_range is not None:
        low, high = extra.fit_range if ranks is None else ranks.share(extra.fit_range)
        window = window_given((float(low), float(high)), span, rows[0])
    ranged = None if window is None else range_of_property(window, *rows, span, reach, ranks)
    curved = None
    if extra.polynomial is not None:
        domain = float(rows[0].min()), float(rows[0].max())
        if guarded is not None:
            rows = with_pseudo_scores(*rows, reach, guarded.weight / guarded.units)
        curved = polynomial_of_property(*rows, domain, span, extra.polynomial)
    return () if ranged is None else (ranged,), () if curved is None else (curved,)


def _flags(sample: _Sample, units: float, few: bool, missing: bool) -> tuple[str, ...]:
    flags = {"few_informative": few, "dropped": sample.dropped > 0, "missing": missing, "few_examples": units < 60}
    return tuple(name for name, raised in flags.items() if raised)
