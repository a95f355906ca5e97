"""Estimates of contrasts, one number per example that is a fixed combination of its scores; means are one of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mlflow_sensie.inference.decision import ScoreScale
from mlflow_sensie.inference.grid import MagnitudeGrid
from mlflow_sensie.inference.posterior import Interval, Posterior
from mlflow_sensie.inference.weights import (
    AS_THEY_ARE,
    FloatArray,
    Moments,
    SamplingDesign,
    Units,
    informative_units,
    row_blocks,
)

ENOUGH = 20.0  # informative examples, from which on their spread can be trusted


@dataclass(frozen=True)
class GuardedEstimate:
    """The `posterior` to use, which distrusts a handful of examples, and the `plain` one, which does not.

    `informative` counts the examples that carry it, none where it is but rounding that varies.
    """

    posterior: Posterior
    plain: Posterior
    few_informative: bool
    informative: float


def enough(informative: float, n: float, *, strict: bool = False) -> bool:
    """Tell whether enough examples carry an estimate: n_eff4 of at least min(20, n/10), `strict` min(20, n/6)."""
    return informative >= min(ENOUGH, n / (6 if strict else 10))


def contrast_estimates(
    units: Units, contrasts: FloatArray, reach: tuple[float, float], *, pseudo: int = 2, strict: bool = False
) -> list[GuardedEstimate]:
    """Estimate contrasts (k, q) of the mean scores of units (m, k), each guarded where few units carry it.

    b_i being a unit's own contrast, the posterior is t_{n-1}(mean b, var b / n), exact under a normal random-slopes
    model. Where fewer than min(20, n/10) units carry the variance, or there is none, two pseudo-examples with the
    largest possible change between the score's bounds (``reach``), up and down, are added, or another even number;
    ``strict`` adds them where fewer than min(20, n/6) do.
    """
    moments, powers = units.moments, units.powers(contrasts)
    largest = (reach[1] - reach[0]) * np.abs(contrasts).sum(0) / 2
    columns = (moments.mean @ contrasts, largest, powers[1], powers[2], informative_units(powers))
    estimates = []
    for b, most, total, cubes, informative in zip(*(column.tolist() for column in columns), strict=True):
        plain = _posterior(b, total, cubes, moments.n)
        # Rounding of scores that never change leaves variances of about 1e-32.
        varied = informative if total > moments.n * (1e-12 * most) ** 2 else 0.0
        few = not enough(varied, moments.n, strict=strict)
        guarded = _with_pseudo(b, total, cubes, moments.n, most, pseudo) if few else plain
        estimates.append(GuardedEstimate(guarded, plain, few, varied))
    return estimates


def mean_test(scores: FloatArray, scale: ScoreScale, design: SamplingDesign = AS_THEY_ARE) -> GuardedEstimate:
    """Estimate the mean of scores (n,), guarded where few examples carry it.

    Scores that are not finite are left out. The two pseudo-examples of the guard lie at the score's bounds. Raises
    ValueError for fewer than two independent examples.

    >>> scores = np.array([1.0, 0.0, 1.0, 1.0] * 30)
    >>> mean = mean_test(scores, ScoreScale(0, 1, "probability")).posterior
    >>> mean.loc, [round(end, 3) for end in mean.interval(0.95)]
    (0.75, [0.671, 0.829])
    """
    scored = np.isfinite(scores)
    rows = slice(None) if scored.all() else scored  # a slice copies nothing
    y = np.asarray(scores[rows], np.float64)
    low, high = scale.range_of(y)
    # Pseudo-examples lie as far above 0 as below it, so the estimate is that of the distance from the middle.
    middle = low + (high - low) / 2
    units = Units.of(y[:, None] - middle, design.take(rows))
    if not units.n > 1:
        raise ValueError(f"only {units.n:.0f} examples (or clusters) have a score; at least two are needed")
    (centred,) = contrast_estimates(units, np.eye(1), (low, high))
    posterior, plain = (replace(one, loc=one.loc + middle) for one in (centred.posterior, centred.plain))
    return replace(centred, posterior=posterior, plain=plain)


def sweep_units(
    scores: FloatArray, grid: MagnitudeGrid, design: SamplingDesign = AS_THEY_ARE
) -> tuple[FloatArray, Units]:
    """Give the rows of scores (n, 1 + J) that have no missing score, and the same as units.

    Raises ValueError for another number of columns, and for fewer than two examples or clusters.
    """
    rows = np.asarray(scores, np.float64)
    if rows.ndim != 2 or rows.shape[1] != grid.width:
        raise ValueError(f"scores need {grid.width} columns, clean and {grid.width - 1} magnitudes, not {rows.shape}")
    complete = np.ones(len(rows), np.bool_)
    for block in row_blocks(len(rows)):
        complete[block] = np.isfinite(rows[block]).all(axis=1)
    if not complete.all():
        rows, design = rows[complete], design.take(complete)
    if len(rows) < 2:
        raise ValueError(
            "a perturbation test needs at least two examples with finite scores at every magnitude, "
            f"not {len(rows)} ({len(complete) - len(rows)} dropped)"
        )
    units = Units.of(rows, design)
    if not units.n > 1:
        raise ValueError(f"all {len(rows)} examples are one cluster; at least two clusters are needed")
    return rows, units


@dataclass(frozen=True)
class SideExcess:
    """The effect of score - expected score on one side, of the side alone; `posterior` is guarded."""

    side: str
    effect: Interval
    posterior: Posterior
    few_informative: bool


@dataclass(frozen=True)
class Calibration:
    """How the score changes over a sweep beyond what the model's own expected score says.

    `unexpected` is the effect of score - expected on the `worse` side, the one where it falls more, with
    intervals for taking the worse of the sides, and `slope` the same per unit of distance. It is 0 for a
    calibrated model and negative for one that grows overconfident. `expected` (J + 1,) is the mean expected
    score at the clean inputs and at each magnitude.
    """

    unexpected: Interval
    slope: Interval
    worse: str
    sides: tuple[SideExcess, ...]
    expected: tuple[float, ...]


def calibration_of(
    grid: MagnitudeGrid,
    excess: FloatArray,
    moments: Moments,
    reach: tuple[float, float],
    design: SamplingDesign = AS_THEY_ARE,
    family: int = 1,
) -> Calibration:
    """Estimate the effect of score - expected from the examples' own `excess` (n, 1 + J), the clean one first.

    `moments` are those of the scores and `reach` is their range.
    """
    units = sweep_units(excess, grid, design)[1]
    width = reach[1] - reach[0]
    contrasts = np.column_stack([side.slope_contrast() for side in grid.sides])
    slopes = contrast_estimates(units, contrasts, (-width, width))
    effects = [slope.posterior.scaled(side.length) for slope, side in zip(slopes, grid.sides, strict=True)]
    k = int(np.argmin([effect.loc for effect in effects]))
    unexpected = effects[k].summary(len(effects) * family)
    return Calibration(
        unexpected=unexpected,
        slope=unexpected.scaled(1 / grid.sides[k].length),
        worse=grid.sides[k].name,
        sides=tuple(
            SideExcess(side.name, effect.summary(family), effect, slope.few_informative)
            for side, effect, slope in zip(grid.sides, effects, slopes, strict=True)
        ),
        expected=tuple((moments.mean - units.moments.mean).tolist()),
    )


def _posterior(mean: float, scatter: float, cubes: float, n: float) -> Posterior:
    skew = cubes / scatter**1.5 if scatter > 0 else 0.0
    return Posterior(mean, float(np.sqrt(scatter / (n - 1) / n)), float(n - 1), skew=skew)


def _with_pseudo(mean: float, scatter: float, cubes: float, n: float, most: float, pseudo: int) -> Posterior:
    """Join n examples about `mean`, with these central sums, and `pseudo` more, as many at `most` as at -`most`."""
    total = n + pseudo
    step, joined = mean * pseudo / total, mean * n / total
    cubes += 3 * step * scatter + n * step**3 - pseudo * (3 * most**2 * joined + joined**3)
    scatter += n * step**2 + pseudo * (most**2 + joined**2)
    return _posterior(joined, scatter, cubes, total)
