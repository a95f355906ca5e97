"""The property test: how the score changes with a number that each example brings along."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlflow_sensie.inference.auto_range import RangeFit
from mlflow_sensie.inference.binning import bin_centres, bin_labels, inner_edges
from mlflow_sensie.inference.category import MOST_CHANCE
from mlflow_sensie.inference.chance import chance_of_sensitive
from mlflow_sensie.inference.curve import Curve, Line, curve_of
from mlflow_sensie.inference.decision import BESIDE, Decision, Significance, decide, excludes_zero, significance
from mlflow_sensie.inference.departure import Departure, departure_of_bins
from mlflow_sensie.inference.extra_fits import NOTHING, Shape, beside_property, lacking
from mlflow_sensie.inference.polynomial import Polynomial
from mlflow_sensie.inference.posterior import AnyPosterior, Interval, Posterior
from mlflow_sensie.inference.property_range import BinnedCurve, Rows, property_line
from mlflow_sensie.inference.ranks import RankAxis, Ranks, with_rank_noise
from mlflow_sensie.inference.regression import Regression, narrower, unguarded
from mlflow_sensie.inference.scale import ScoreScale
from mlflow_sensie.inference.slope import Sandwich, guarded_sandwich, pseudo_scores
from mlflow_sensie.inference.spread import Spread, spread_of
from mlflow_sensie.inference.weights import SamplingDesign, SamplingDesignBlocks, designs, effective_groups
from mlflow_sensie.moments import Extremes, FloatArray, GroupedMoments, IntArray, Moments

Block = tuple[ArrayLike, ArrayLike, ArrayLike | None]
Blocks = Callable[[], Iterable[Block]]


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
    in the property's unit.
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
        found = _of_effect(effect, self.regression.length, self.rope, self.family)
        flags = (*unguarded(self.flags), *narrower(effects, [self.posterior]))
        flags = flags if self.ranks is None else (*flags, "ranks_as_known")
        return replace(self, line=self.regression.drawn(self.line, effect), robust=self.posterior, flags=flags, **found)

    def metrics(self) -> dict[str, float]:
        """Give the scalars under their contract names; all finite."""
        out = {
            "n": float(self.n),
            "prob_sensitive": self.prob_sensitive,
            "effect": self.effect.value,
            "effect_lo95": self.effect.lo95,
            "effect_hi95": self.effect.hi95,
            "effect_bound95": self.effect_bound95,
            "slope": self.slope.value,
            "slope_lo50": self.slope.lo50,
            "slope_hi50": self.slope.hi50,
            "slope_lo95": self.slope.lo95,
            "slope_hi95": self.slope.hi95,
        }
        if self.departure is not None:
            out["departure"] = self.departure.size
        if self.spread is not None:
            found = self.spread.spread
            out |= {"spread": found.value, "spread_lo95": found.lo95, "spread_hi95": found.hi95}
        if self.unexpected is not None:
            found = self.unexpected
            out |= {"unexpected": found.value, "unexpected_lo95": found.lo95, "unexpected_hi95": found.hi95}
        return out


@dataclass(frozen=True)
class _Table:
    """The first pass: what is kept, and the sums over bins, the last of which holds the missing values.

    `moments` are weighted; `bins` are of equal, independent units, `examples` of the examples as they are.
    """

    moments: Moments
    bins: GroupedMoments
    examples: GroupedMoments
    bin_p: GroupedMoments
    seen: Extremes
    dropped: int


def property_test(
    blocks: Blocks,
    scale: ScoreScale,
    *,
    edges: ArrayLike | None = None,
    unique: ArrayLike | None = None,
    span: tuple[float, float],
    rope: float = 0.02,
    design: SamplingDesignBlocks | None = None,
    ranks: Ranks | None = None,
    family: int = 1,
    shape: Shape = NOTHING,
) -> PropertyFit:
    """Estimate slope, effect, curve and spread of the score over a numeric property.

    `blocks()` yields (p (n,), score (n,), the model's expected score (n,) or None), and can be called again.
    `span` is the range the effect is measured over (`property_span`); `edges` or `unique` (`bin_edges`) cut
    the curve, neither means no curve. An example outside explicit edges counts in the slope and in the end
    bin beside it. Missing p is counted and summed up apart; rows whose score (or expected score) is not
    finite are dropped and counted. `design()` yields, for every block, the weights and clusters of its rows.
    With `ranks`, the slope is that on the rank and `span` the whole range of ranks; the bins stay those of p.
    The intervals of `family` tests hold together; `shape` says what to fit beside the line. Raises ValueError for
    fewer than two examples and a constant property.
    """
    if not (np.isfinite(span).all() and span[1] - span[0] > 1e-290):
        raise ValueError(f"the property's span must be a finite range of some width, not {span!r}")
    cuts = None if edges is None and unique is None else inner_edges(edges, unique)
    if ranks is not None:
        blocks, cuts, span = _ranked(blocks, ranks), None if cuts is None else ranks.share(cuts), ranks.span

    def rows() -> Iterator[tuple[FloatArray, NDArray[np.bool_], SamplingDesign]]:
        return _rows(blocks(), designs(design), span)

    table = _first_pass(rows, scale, cuts, span, design is not None)
    reach, last = scale.reach(table.seen), np.array([-1])
    plain, fit, few = _slope(rows, table, 1, reach, ranks)
    unexpected = _unexpected(rows, table, reach, ranks)
    missing, gone = table.bins.select(last), table.examples.select(last)
    binned = None if cuts is None else _binned(table, cuts, reach, span)
    pseudo = [pseudo_scores(reach, table.moments.weight / plain.units)] if few else []
    beside = beside_property(shape, rows, binned, span, reach, ranks, pseudo)
    centres = np.empty(0) if cuts is None else bin_centres(edges, unique)
    labels = () if cuts is None else bin_labels(edges, unique)
    effect = _of_effect(fit.posterior, span[1] - span[0], rope, family)
    bins = _of_bins(table, labels, centres, scale, span, ranks, rope, family)
    decision = "sensitive" if _differ(bins["spread"], family) else effect["decision"]
    return PropertyFit(
        **{**effect, **bins, "decision": decision},
        **beside,
        n=int(table.moments.n),
        n_missing=int(gone.n[0]),
        n_dropped=table.dropped,
        span=(float(span[0]), float(span[1])),
        rope=rope,
        plain_effect=plain.posterior.summary(family),
        unexpected=unexpected.summary(family) if unexpected else None,
        unexpected_posterior=unexpected,
        line=property_line(fit, span),
        missing=curve_of(missing, [None], ["missing"], scale, gone) if gone.n[0] else None,
        regression=Regression.of_line(plain, table.moments.n, float(table.moments.scatter[0, 0]), span, reach),
        flags=(*_flags(table, plain.units, few), *lacking(shape, beside)),
        ranks=None if ranks is None else ranks.axis(),
        family=family,
    )


def _of_bins(
    table: _Table,
    labels: Sequence[str],
    centres: FloatArray,
    scale: ScoreScale,
    span: tuple[float, float],
    ranks: Ranks | None,
    rope: float,
    family: int,
) -> dict[str, Any]:
    """Give what follows from the bins, named by `labels`; an empty one stands at its centre."""
    if not labels:
        return {"curve": None, "spread": None, "departure": None}
    inside = np.arange(len(labels))
    bins, examples = table.bins.select(inside), table.examples.select(inside)
    x = _bin_p(table, span, centres if ranks is None else ranks.share(centres))
    p = x if ranks is None else ranks.value(x)
    return {
        "curve": curve_of(bins, p.tolist(), labels, scale, examples),
        "spread": spread_of(bins, scale, table.seen, rope, family),
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


def _ranked(blocks: Blocks, ranks: Ranks) -> Blocks:
    return lambda: ((ranks.share(p), score, expected) for p, score, expected in blocks())


def _rows(
    blocks: Iterable[Block], designs: Iterable[SamplingDesign], span: tuple[float, float]
) -> Iterator[tuple[FloatArray, NDArray[np.bool_], SamplingDesign]]:
    """Give each block as rows (z, score, score - expected if known), which are kept, and their design."""
    middle, width = span[0] + (span[1] - span[0]) / 2, span[1] - span[0]
    for (p, score, expected), design in zip(blocks, designs, strict=False):
        y = np.asarray(score, np.float64)
        # Centred before it is scaled, so that an offset of p costs no digits.
        z = (np.asarray(p, np.float64) - middle) / width
        columns = [np.where(np.isfinite(z), z, np.nan), y]
        if expected is not None:
            columns.append(y - np.asarray(expected, np.float64))
        rows = np.column_stack(columns)
        kept: NDArray[np.bool_] = np.isfinite(rows[:, 1:]).all(axis=1)
        yield rows[kept], kept, design.take(kept)


def _first_pass(
    rows: Rows, scale: ScoreScale, cuts: FloatArray | None, span: tuple[float, float], designed: bool
) -> _Table:
    middle, width = span[0] + (span[1] - span[0]) / 2, span[1] - span[0]
    inner = np.empty(0) if cuts is None else (cuts - middle) / width
    k = len(inner) + 1
    moments: Moments | None = None
    bins, places = GroupedMoments.empty(k + 1), GroupedMoments.empty(k + 1)
    seen, dropped = Extremes.empty(), 0

    def group(z: FloatArray) -> IntArray:
        return np.where(np.isfinite(z), np.searchsorted(inner, z, side="right"), k)

    for block, kept, design in rows():
        z, y, known = block[:, 0], block[:, 1], np.isfinite(block[:, 0])
        w = design.weight(len(block))
        bins += GroupedMoments.of(group(z), y, k + 1, scale.lower, scale.upper)
        places += GroupedMoments.of(group(z)[known], z[known], k + 1, weights=w[known])
        found = Moments.of(block[known], w[known])
        moments = found if moments is None else moments + found
        seen += Extremes.of(y)
        dropped += int((~kept).sum())
    if moments is None or moments.n < 2:
        count = 0 if moments is None else moments.n
        raise ValueError(f"a property test needs at least two examples with a property and a score, not {count}")
    units = bins
    if designed:
        units = effective_groups(((group(block[:, 0]), block[:, 1], design) for block, _, design in rows()), k + 1)
    return _Table(moments, units, bins, places, seen, dropped)


def _slope(
    rows: Rows, table: _Table, column: int, reach: tuple[float, float], ranks: Ranks | None
) -> tuple[Sandwich, Sandwich, bool]:
    """Fit the score (column 1) or its excess over the expected one (column 2) on z."""
    chosen = [0, column]

    def pairs() -> Iterator[tuple[FloatArray, SamplingDesign]]:
        for block, _, design in rows():
            known: NDArray[np.bool_] = np.isfinite(block[:, 0])
            yield block[known][:, chosen], design.take(known)

    whole = table.moments
    moments = replace(whole, mean=whole.mean[chosen], scatter=whole.scatter[np.ix_(chosen, chosen)])
    plain, fit, few = guarded_sandwich(pairs, moments, reach)
    if ranks is not None:
        width = ranks.span[1] - ranks.span[0]
        plain, fit = (with_rank_noise(each, pairs, moments, width, ranks.n) for each in (plain, fit))
    return plain, fit, few


def _unexpected(rows: Rows, table: _Table, reach: tuple[float, float], ranks: Ranks | None) -> Posterior | None:
    if len(table.moments.mean) < 3:
        return None
    most = reach[1] - reach[0]
    return _slope(rows, table, 2, (-most, most), ranks)[1].posterior


def _bin_p(table: _Table, span: tuple[float, float], centres: FloatArray) -> FloatArray:
    z, n = table.bin_p.mean[:-1], table.bin_p.n[:-1]
    return np.where(n > 0, span[0] + (span[1] - span[0]) * (z + 0.5), centres)


def _binned(table: _Table, cuts: FloatArray, reach: tuple[float, float], span: tuple[float, float]) -> BinnedCurve:
    inner = (cuts - (span[0] + (span[1] - span[0]) / 2)) / (span[1] - span[0])
    groups = table.bins.select(np.arange(len(inner) + 1))
    n = np.maximum(groups.n, 1)
    own = np.where(groups.n > 1, groups.variance(), groups.pooled_variance())
    # A bin without failures is not known for sure: half a failure is what it may have had.
    least = 0.5 / (n + 1) * (1 - 0.5 / (n + 1)) * (reach[1] - reach[0]) ** 2
    return BinnedCurve(table.bin_p.mean[:-1], groups, np.maximum(own, least) / n, inner)


def _flags(table: _Table, units: float, few: bool) -> tuple[str, ...]:
    flags = {
        "few_informative": few,
        "dropped": table.dropped > 0,
        "missing": bool(table.examples.n[-1] > 0),
        "few_examples": units < 60,
    }
    return tuple(name for name, raised in flags.items() if raised)
