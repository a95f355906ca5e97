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
    calibration_of,
    contrast_estimates,
    sweep_units,
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
from mlflow_sensie.inference.exact_engine import Regression, narrower, unguarded
from mlflow_sensie.inference.extra_fits import (
    NO_EXTRA,
    ExtraFits,
    Polynomial,
    RangeFit,
    fit_windows,
    polynomials_of,
    range_of_side,
    side_line,
)
from mlflow_sensie.inference.grid import MagnitudeGrid, Side
from mlflow_sensie.inference.holds_until import AllowedDrop, Floor, HoldsUntil, holds_until
from mlflow_sensie.inference.multiplicity import chance_of_sensitive
from mlflow_sensie.inference.posterior import AnyPosterior, Interval, Posterior
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

    def held_by(self, sides: Sequence[HoldsUntil], *, no_skill: bool, lost: bool) -> PerturbationFit:
        """Say up to where it holds by another curve, side by side; a model of ``no_skill`` holds until 0.

        Where more than the allowed drop of that curve is ``lost`` on average, for sure, the model is sensitive,
        however little the mean score changes.
        """
        first = min(sides, key=lambda holds: (holds.value, holds.censored))
        return replace(
            self,
            sides=tuple(replace(side, holds=holds) for side, holds in zip(self.sides, sides, strict=True)),
            holds_until=first.value,
            holds_until_lo95=min(holds.lo95 for holds in sides),
            censored=first.censored,
            decision="sensitive" if lost and not no_skill else self.decision,
            flags=(*self.flags, "no_skill") if no_skill else self.flags,
        )

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
    excess: FloatArray | None = None,
) -> PerturbationFit:
    """Estimate slope, effect, drops and holds-until of a sweep from the examples' own scores.

    ``scores`` (n, 1 + J) holds the clean score first and then one per magnitude of the ``grid``; without a known
    neutral the clean score is the reference of drops but no point of the fit. ``allowed_drop`` is a fraction of the
    clean score for scores in [0, 1], else in the score's unit; ("absolute", x) is always in the unit. Examples with a
    score that is not finite are dropped and counted: where scores are missing because they would be low, nothing can
    repair that. The intervals of ``family`` tests hold together; ``extra`` says what to fit beside the lines.
    ``excess`` (n, 1 + J) is each score less what the model itself expects of it. A contrast of the curve has the
    posterior t_{n-1}(mean b, var b / n) of the examples' own contrasts b, exact under a normal random-slopes model.
    Raises ValueError for another number of columns and for fewer than two examples.

    >>> grid = MagnitudeGrid.of([1, 2, 3], neutral=0)
    >>> steps = 0.1 * np.arange(4) * np.linspace(0.5, 1.5, 100)[:, None]
    >>> fit = perturbation_test(0.9 - steps, grid, ScoreScale(0, 1, "probability"))
    >>> round(fit.slope.value, 3), round(fit.holds_until, 2), fit.decision
    (-0.1, 0.84, 'sensitive')
    """
    rows, units = sweep_units(scores, grid, design)
    moments, reach, floor = units.moments, scale.range_of(rows), Floor.of(allowed_drop, scale.fractional)
    windows, own = fit_windows(grid, moments, extra.fit_range), grid.contrasts()
    contrasts = np.column_stack([own, *(side.slope_contrast() for side, _ in windows)])
    estimates = contrast_estimates(units, contrasts, reach)
    failed = _first_failed(rows, grid, floor)
    fits = tuple(
        _fit_side(grid, side, slope, moments, holds_until(side, moments, floor, reach, family), counts, reach, family)
        for side, slope, counts in zip(grid.sides, estimates, failed, strict=False)
    )
    sides, drops = len(fits), own.shape[1]
    dropped = len(scores) - len(rows)
    flags = {
        "few_informative": any(one.few_informative for one in estimates[: sides + 1]),
        "few_for_holds_until": any(fit.holds.few_informative for fit in fits),
        "dropped": dropped > 0,
        "few_examples": units.n < 60,
    }
    pairs = zip(windows, estimates[drops:], strict=True)
    ranges = tuple(range_of_side(grid, *window, slope, moments) for window, slope in pairs)
    curved: list[Polynomial] = []
    if extra.polynomial is not None:
        curved = polynomials_of(grid, moments, reach, {f.side: f.few_informative for f in fits}, extra.polynomial)
    return PerturbationFit(
        **_of_drops(fits, estimates[sides].posterior, estimates[sides + 1 : drops], grid, rope, family),
        n=len(rows),
        n_dropped=dropped,
        magnitudes=grid.magnitudes,
        neutral=grid.neutral,
        log_distance=grid.log_distance,
        rope=rope,
        clean=mean_posterior(moments).summary(),
        departure=pooled_departure([(fit.departure, len(fit.holds.distances)) for fit in fits]),
        curve=_curve(rows, moments, grid, scale),
        flags=(*(name for name, raised in flags.items() if raised), *extra.lacking(len(ranges), len(curved), sides)),
        family=family,
        fit_range=ranges,
        polynomials=tuple(curved),
        calibration=None if excess is None else calibration_of(grid, excess, moments, reach, design, family),
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
    mean, covariance = side.moments(moments)
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


def _of_drops(
    fits: tuple[SideFit, ...],
    mean_drop: Posterior,
    drops: Sequence[GuardedEstimate],
    grid: MagnitudeGrid,
    rope: float,
    family: int,
) -> dict[str, Any]:
    """Give what follows from the sides, the mean drop and each magnitude's drop."""
    sides = _of_sides(fits, rope, family)
    first = min((fit.holds for fit in fits), key=lambda holds: (holds.value, holds.censored))
    largest = int(np.argmax([drop.posterior.loc for drop in drops]))
    # A sweep may break a model at its first step and change no more: then only the mean drop tells.
    broken = decide(mean_drop.prob_abs_at_least(rope), chance=not excludes_zero(mean_drop.summary(BESIDE * family)))
    return {
        **sides,
        "decision": together(sides["decision"], broken),
        "mean_drop": mean_drop.summary(family),
        "mean_drop_posterior": mean_drop,
        "max_drop": drops[largest].posterior.loc,
        # The bound of the magnitude that is truly worst holds by itself: the largest bound needs no correction.
        "max_drop_hi95": max(drop.posterior.interval(1 - 0.05 / family)[1] for drop in drops),
        "max_drop_at": grid.magnitudes[largest],
        "holds_until": first.value,
        "holds_until_lo95": min(fit.holds.lo95 for fit in fits),
        "censored": first.censored,
    }


def _of_sides(fits: tuple[SideFit, ...], rope: float, family: int) -> dict[str, Any]:
    """Give what follows from the posteriors of the sides' effects."""
    count, worse = len(fits) * family, min(fits, key=lambda fit: fit.posterior.loc)
    effect = worse.posterior.summary(count)
    intervals = [fit.posterior.summary(count) for fit in fits]
    sensitive = [fit.posterior.prob_abs_at_least(rope) for fit in fits]
    # Whichever side changes counts as a change: the worse one may stand still while the other improves.
    words = [decide(p, chance=not excludes_zero(one)) for p, one in zip(sensitive, intervals, strict=True)]
    return {
        "sides": fits,
        "worse": worse.side,
        "slope": effect.scaled(1 / worse.length),
        "effect": effect,
        "plain_effect": worse.plain.summary(count),
        "effect_bound95": max(fit.posterior.bound(1 - 0.05 / count) for fit in fits),
        "prob_sensitive": max(sensitive),
        "decision": "sensitive" if "sensitive" in words else words[int(np.argmax(sensitive))],
        "significance": max((significance(one, rope) for one in intervals), key=("low", "medium", "high").index),
    }


def mean_posterior(moments: Moments) -> Posterior:
    """Give the posterior of the mean clean score of n equal units."""
    variance = float(moments.covariance()[0, 0]) / moments.n
    return Posterior(float(moments.mean[0]), float(np.sqrt(max(variance, 0.0))), moments.n - 1)


def _curve(rows: FloatArray, moments: Moments, grid: MagnitudeGrid, scale: ScoreScale) -> Curve:
    clean = [] if grid.neutral is None else [grid.neutral]
    p = np.array([*clean, *grid.magnitudes])
    order = np.argsort(p)
    columns = order + 1 - len(clean)
    n, none = np.full(len(p), float(moments.n)), np.zeros(len(p))
    units = GroupedMoments(n, moments.mean[columns], np.diag(moments.scatter)[columns], none)
    examples = GroupedMoments.of_columns(rows, scale.lower, scale.upper).select(columns)
    return curve_of(units, p[order].tolist(), [f"{x:g}" for x in p[order]], scale, examples)
