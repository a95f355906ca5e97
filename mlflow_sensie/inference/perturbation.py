"""The perturbation test: how the mean score changes over a sweep that every example goes through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from mlflow_sensie.inference.contrast import (
    ENOUGH,
    Calibration,
    GuardedEstimate,
    SweepSample,
    calibration_of,
    contrast_estimates,
)
from mlflow_sensie.inference.curve import (
    Curve,
    Departure,
    Line,
    curve_of,
    departure_of_sweep,
    pooled_departure,
)
from mlflow_sensie.inference.decision import (
    BESIDE,
    Decision,
    ScoreScale,
    Significance,
    decide,
    excludes_zero,
    significance,
    together,
)
from mlflow_sensie.inference.extra_fits import (
    NO_EXTRA,
    ExtraFits,
    Polynomial,
    RangeFit,
    fit_windows,
    polynomials_of,
    side_line,
)
from mlflow_sensie.inference.grid import MagnitudeGrid, Side
from mlflow_sensie.inference.holds_until import AllowedDrop, Floor, HoldsUntil, holds_until
from mlflow_sensie.inference.multiplicity import chance_of_sensitive
from mlflow_sensie.inference.posterior import AnyPosterior, Interval, Posterior
from mlflow_sensie.inference.regression import Regression, narrower, unguarded
from mlflow_sensie.inference.weights import (
    AS_THEY_ARE,
    FloatArray,
    GroupedMoments,
    IntArray,
    Moments,
    SamplingDesign,
    row_blocks,
)


@dataclass(frozen=True)
class SideFit:
    """One side of a sweep: slope per unit of distance, effect over `length`, intervals of the side alone.

    `posterior` is that of the effect, `plain` the one without pseudo-examples; `informative` counts the examples
    that carry it. `first_failed` counts the examples whose own score first falls below their own floor at each
    of the side's points, the last being those that never do. `regression` holds the sums that the other engines
    need; where one of them made `posterior`, `robust` is what engine `robust` says of the effect.
    """

    side: str
    length: float
    slope: Interval
    effect: Interval
    posterior: AnyPosterior
    plain: Posterior
    few_informative: bool
    informative: float
    holds: HoldsUntil
    first_failed: tuple[int, ...]
    departure: Departure
    line: Line
    regression: Regression
    robust: Posterior | None = None

    def own_holds(self) -> list[tuple[float, float]]:
        """Give each point's distance, and the share of the examples whose own score has not fallen by then."""
        fallen = np.cumsum(self.first_failed[:-1]) / sum(self.first_failed)
        return [(d, float(1 - share)) for d, share in zip(self.holds.distances, fallen, strict=True)]

    def with_posterior(self, effect: AnyPosterior, family: int) -> SideFit:
        """Put another engine's posterior of the effect in place of that of `robust`, and what follows from it."""
        assert isinstance(self.posterior, Posterior)
        line = self.regression.drawn(self.line, effect)
        return replace(self, line=line, robust=self.posterior, **_of_effect(effect, self.length, family))


@dataclass(frozen=True)
class PerturbationFit:
    """What a perturbation test found.

    `slope` is per unit of distance from the neutral (of p where there is no neutral) and `effect` the slope
    times the largest distance: negative where the score falls away from the neutral, whichever side of it the
    sweep is on. Of two sides they are those of the `worse`, the one with the lower effect, with intervals at
    1 - α/2. `plain_effect` is the effect without pseudo-examples. `max_drop` is where the mean score is
    lowest, at magnitude `max_drop_at`. Distances are logarithmic where `log_distance`. `fit_range` and `polynomials`
    hold at most one line through part of each side, and one polynomial.
    """

    n: int
    n_dropped: int
    magnitudes: tuple[float, ...]
    neutral: float | None
    log_distance: bool
    rope: float
    clean: Interval
    sides: tuple[SideFit, ...]
    worse: str
    slope: Interval
    effect: Interval
    plain_effect: Interval
    effect_bound95: float
    prob_sensitive: float
    decision: Decision
    significance: Significance
    mean_drop: Interval
    mean_drop_posterior: Posterior
    max_drop: float
    max_drop_hi95: float
    max_drop_at: float
    holds_until: float
    holds_until_lo95: float
    censored: bool
    departure: Departure
    curve: Curve
    flags: tuple[str, ...]
    family: int = 1
    fit_range: tuple[RangeFit, ...] = ()
    polynomials: tuple[Polynomial, ...] = ()
    calibration: Calibration | None = None

    @property
    def unexpected(self) -> Interval | None:
        """Give the part of the effect that the model's own confidence does not announce, where that was followed."""
        return self.calibration.unexpected if self.calibration is not None else None

    @property
    def chance(self) -> float:
        """Give the probability of "sensitive" had the perturbation no effect: of either side, at most their sum."""
        comparisons = len(self.sides) * self.family
        return min(1.0, sum(chance_of_sensitive(side.posterior, self.rope, comparisons) for side in self.sides))

    @cached_property
    def grid(self) -> MagnitudeGrid:
        """Give the geometry of the sweep."""
        return MagnitudeGrid(self.magnitudes, self.neutral, self.log_distance)

    def magnitude(self, side: str, distance: float) -> float:
        """Turn a distance on one side back into a magnitude."""
        return self.grid.magnitude_at(distance, below=side == "below")

    @property
    def regressions(self) -> tuple[Regression, ...]:
        """Give the sums that another engine needs, a regression per side."""
        return tuple(side.regression for side in self.sides)

    def with_posteriors(self, effects: Sequence[AnyPosterior]) -> PerturbationFit:
        """Put another engine's posteriors of the sides' effects in place, and what follows from them."""
        pairs = zip(self.sides, effects, strict=True)
        sides = tuple(side.with_posterior(effect, self.family) for side, effect in pairs)
        flags = unguarded(self.flags) if any(side.few_informative for side in sides) else self.flags
        flags = (*flags, *narrower(effects, [side.posterior for side in self.sides]))
        return replace(self, flags=flags, **_of_sides(sides, self.rope, self.family))

    def precise(self, width: float) -> bool:
        """Tell whether a test that looks at its scores again and again may stop: never for what it found.

        The 95 % interval of the effect, of either side, must be narrower than `width`. Without pseudo-examples 20
        examples must carry it: else it may be narrow because the few that change have not been seen yet. To wait for
        20 where there are pseudo-examples would stop at samples without outliers, and cover less.
        """
        wide = [side.posterior.summary(len(self.sides) * self.family) for side in self.sides]
        sure = all(side.few_informative or side.informative >= ENOUGH for side in self.sides)
        return sure and all(one.hi95 - one.lo95 < width for one in wide)


def perturbation_test(
    scores: FloatArray,
    grid: MagnitudeGrid,
    scale: ScoreScale,
    *,
    allowed_drop: AllowedDrop = 0.1,
    rope: float = 0.02,
    design: SamplingDesign = AS_THEY_ARE,
    family: int = 1,
    extra: ExtraFits = NO_EXTRA,
    expected: FloatArray | None = None,
) -> PerturbationFit:
    """Estimate slope, effect, drops and holds-until of a sweep from the examples' own scores.

    ``scores`` (n, 1 + J) holds the clean score first and then one per magnitude of the ``grid``; without a known
    neutral the clean score is the reference of drops but no point of the fit. ``allowed_drop`` is a fraction of the
    clean score for scores in [0, 1], else in the score's unit; ("absolute", x) is always in the unit. Examples with a
    score that is not finite are dropped and counted: where scores are missing because they would be low, nothing can
    repair that. The intervals of ``family`` tests hold together; ``extra`` says what to fit beside the lines.
    ``expected`` (n, 1 + J) are the model's own expected scores. A contrast of the curve has the posterior
    t_{n-1}(mean b, var b / n) of the examples' own contrasts b, exact under a normal random-slopes model. Raises
    ValueError for another number of columns and for fewer than two examples.

    >>> grid = MagnitudeGrid.of([1, 2, 3], neutral=0)
    >>> steps = 0.1 * np.arange(4) * np.linspace(0.5, 1.5, 100)[:, None]
    >>> fit = perturbation_test(0.9 - steps, grid, ScoreScale(0, 1, "probability"))
    >>> round(fit.slope.value, 3), round(fit.holds_until, 2), fit.decision
    (-0.1, 0.84, 'sensitive')
    """
    sample = SweepSample.of(scores, grid, design)
    units, moments, reach = sample.units, sample.units.moments, scale.range_of(sample.rows)
    floor = Floor.of(allowed_drop, scale.fractional)
    windows, own = fit_windows(grid, moments, extra.fit_range), grid.contrasts()
    estimates = contrast_estimates(
        units, np.column_stack([own, *(window.side.slope_contrast() for window in windows)]), reach
    )
    failed = _first_failed(sample.rows, grid, floor)
    fits = tuple(
        _fit_side(grid, side, slope, moments, holds_until(side, moments, floor, reach, family), counts, reach, family)
        for side, slope, counts in zip(grid.sides, estimates, failed, strict=False)
    )
    sides, drops = len(fits), own.shape[1]
    fit = _summary(grid, sample, fits, estimates[sides], estimates[sides + 1 : drops], scale, rope, family)
    pairs = zip(windows, estimates[drops:], strict=True)
    ranges = tuple(window.fit(grid, slope, moments) for window, slope in pairs)
    curved: list[Polynomial] = []
    if extra.polynomial is not None:
        curved = polynomials_of(grid, moments, reach, {f.side: f.few_informative for f in fits}, extra.polynomial)
    return replace(
        fit,
        fit_range=ranges,
        polynomials=tuple(curved),
        calibration=None
        if expected is None
        else calibration_of(grid, scores, expected, moments, reach, design, family),
        flags=(*fit.flags, *extra.lacking(len(ranges), len(curved), sides)),
    )


def _first_failed(rows: FloatArray, grid: MagnitudeGrid, floor: Floor) -> list[IntArray]:
    """Count the rows that first fall below their own floor at each point of a side, and last those that never do."""
    counts = [np.zeros(len(side.columns) + 1, np.int64) for side in grid.sides]
    for block in row_blocks(len(rows)):
        fallen = floor.fallen(rows[block])
        for count, side in zip(counts, grid.sides, strict=True):
            own = fallen[:, list(side.columns)]
            first = np.where(own.any(1), own.argmax(1), own.shape[1])
            count += np.bincount(first, minlength=len(count))
    return counts


def _fit_side(
    grid: MagnitudeGrid,
    side: Side,
    slope: GuardedEstimate,
    moments: Moments,
    holds: HoldsUntil,
    failed: IntArray,
    reach: tuple[float, float],
    family: int,
) -> SideFit:
    columns = list(side.columns)
    mean, covariance = moments.mean[columns], moments.covariance()[np.ix_(columns, columns)]
    plain = slope.plain.scaled(side.length)
    return SideFit(
        **_of_effect(slope.posterior.scaled(side.length), side.length, family),
        side=side.name,
        length=side.length,
        plain=plain,
        few_informative=slope.few_informative,
        informative=slope.informative,
        holds=holds,
        first_failed=tuple(failed.tolist()),
        departure=departure_of_sweep(side.distances, mean, covariance, moments.n),
        line=side_line(grid, side, slope.posterior, moments),
        regression=Regression.of_effects(plain, moments.n, side.length, reach),
    )


def _of_effect(effect: AnyPosterior, length: float, family: int) -> dict[str, Any]:
    summary = effect.summary(family)
    return {"slope": summary.scaled(1 / length), "effect": summary, "posterior": effect}


def _summary(
    grid: MagnitudeGrid,
    sample: SweepSample,
    fits: tuple[SideFit, ...],
    mean_drop: GuardedEstimate,
    drops: Sequence[GuardedEstimate],
    scale: ScoreScale,
    rope: float,
    family: int,
) -> PerturbationFit:
    sides, moments = _of_sides(fits, rope, family), sample.units.moments
    first = min((fit.holds for fit in fits), key=lambda holds: (holds.value, holds.censored))
    largest = int(np.argmax([drop.posterior.loc for drop in drops]))
    return PerturbationFit(
        **{**sides, "decision": together(sides["decision"], _of_drop(mean_drop.posterior, rope, family))},
        n=len(sample.rows),
        n_dropped=sample.dropped,
        magnitudes=grid.magnitudes,
        neutral=grid.neutral,
        log_distance=grid.log_distance,
        rope=rope,
        clean=mean_posterior(moments).summary(),
        mean_drop=mean_drop.posterior.summary(family),
        mean_drop_posterior=mean_drop.posterior,
        max_drop=drops[largest].posterior.loc,
        # The bound of the magnitude that is truly worst holds by itself: the largest bound needs no
        # correction.
        max_drop_hi95=max(drop.posterior.interval(1 - 0.05 / family)[1] for drop in drops),
        max_drop_at=grid.magnitudes[largest],
        holds_until=first.value,
        holds_until_lo95=min(fit.holds.lo95 for fit in fits),
        censored=first.censored,
        departure=pooled_departure([(fit.departure, len(fit.holds.distances)) for fit in fits]),
        curve=_curve(sample, grid, scale),
        flags=_flags(sample, fits, mean_drop),
        family=family,
    )


def _of_sides(fits: tuple[SideFit, ...], rope: float, family: int) -> dict[str, Any]:
    """Give what follows from the posteriors of the sides' effects."""
    count, worse = len(fits) * family, min(fits, key=lambda fit: fit.posterior.loc)
    effect = worse.posterior.summary(count)
    return {
        "sides": fits,
        "worse": worse.side,
        "slope": effect.scaled(1 / worse.length),
        "effect": effect,
        "plain_effect": worse.plain.summary(count),
        "effect_bound95": max(fit.posterior.bound(1 - 0.05 / count) for fit in fits),
        "prob_sensitive": max(fit.posterior.prob_abs_at_least(rope) for fit in fits),
        "decision": _decision(fits, rope, count),
        "significance": _significance(fits, rope, count),
    }


def _decision(fits: Sequence[SideFit], rope: float, comparisons: int) -> Decision:
    """Whichever side changes counts as a change: the worse one may stand still while the other improves."""
    sensitive = [fit.posterior.prob_abs_at_least(rope) for fit in fits]
    real = [excludes_zero(fit.posterior.summary(comparisons)) for fit in fits]
    words = [decide(p, chance=not excludes) for p, excludes in zip(sensitive, real, strict=True)]
    return "sensitive" if "sensitive" in words else words[int(np.argmax(sensitive))]


def _of_drop(drop: Posterior, rope: float, family: int) -> Decision:
    """A sweep may break a model at its first step and change no more: then only the mean drop tells."""
    return decide(drop.prob_abs_at_least(rope), chance=not excludes_zero(drop.summary(BESIDE * family)))


def _significance(fits: Sequence[SideFit], rope: float, comparisons: int) -> Significance:
    """The strongest word of any side, as with the decision."""
    words = [significance(fit.posterior.summary(comparisons), rope) for fit in fits]
    return max(words, key=("low", "medium", "high").index)


def mean_posterior(moments: Moments, column: int = 0) -> Posterior:
    """Give the posterior of one mean of n equal units."""
    variance = float(moments.covariance()[column, column]) / moments.n
    return Posterior(float(moments.mean[column]), float(np.sqrt(max(variance, 0.0))), moments.n - 1)


def _curve(sample: SweepSample, grid: MagnitudeGrid, scale: ScoreScale) -> Curve:
    known = grid.neutral is not None
    p = np.array([*([grid.neutral] if known else []), *grid.magnitudes])
    order = np.argsort(p)
    chosen = order if known else order + 1
    moments, none = sample.units.moments, np.zeros(len(p))
    units = GroupedMoments(
        np.full(len(p), float(moments.n)), moments.mean[chosen], np.diag(moments.scatter)[chosen], none, none
    )
    examples = GroupedMoments.of_columns(sample.rows, scale.lower, scale.upper).select(chosen)
    return curve_of(units, p[order].tolist(), [f"{x:g}" for x in p[order]], scale, examples)


def _flags(sample: SweepSample, fits: Sequence[SideFit], mean_drop: GuardedEstimate) -> tuple[str, ...]:
    flags = {
        "few_informative": mean_drop.few_informative or any(fit.few_informative for fit in fits),
        "few_for_holds_until": any(fit.holds.few_informative for fit in fits),
        "dropped": sample.dropped > 0,
        "few_examples": sample.units.n < 60,
    }
    return tuple(name for name, raised in flags.items() if raised)
