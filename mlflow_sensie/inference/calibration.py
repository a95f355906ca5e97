"""What a model's own confidence does not announce of the change over a sweep."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mlflow_sensie.inference.contrast import contrast_posteriors
from mlflow_sensie.inference.grid import MagnitudeGrid
from mlflow_sensie.inference.holds_until import Floor
from mlflow_sensie.inference.posterior import Interval, Posterior
from mlflow_sensie.inference.scale import ScoreScale
from mlflow_sensie.inference.sweep_sums import ScoreBlocks, ScoreSums, sum_influences, sum_scores
from mlflow_sensie.inference.weights import SamplingDesignBlocks
from mlflow_sensie.moments import FloatArray


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
    sweep: MagnitudeGrid,
    sums: ScoreSums,
    scores: ScoreBlocks,
    expected: ScoreBlocks,
    scale: ScoreScale,
    design: SamplingDesignBlocks | None = None,
    family: int = 1,
) -> Calibration:
    """Estimate the effect of score - expected from the examples' own excess.

    `scores()` and `expected()` yield blocks (n, 1 + J), clean first, and `sums` are those of the scores.
    """
    low, high = scale.reach(sums.seen)
    around = ScoreScale(low - high, high - low, scale.unit)

    def excess() -> Iterator[FloatArray]:
        for score, announced in zip(scores(), expected(), strict=True):
            yield np.asarray(score, np.float64) - np.asarray(announced, np.float64)

    found = sum_scores(excess, sweep.width, around, design)
    contrasts = np.column_stack([side.slope_contrast() for side in sweep.sides])
    influences, _ = sum_influences(excess, contrasts, found, sweep, Floor(1.0, 0.0, 0.0), design)
    slopes = contrast_posteriors(contrasts, found.moments, influences, (low - high, high - low))
    effects = [slope.posterior.scaled(side.length) for slope, side in zip(slopes, sweep.sides, strict=True)]
    k = int(np.argmin([effect.loc for effect in effects]))
    unexpected = effects[k].summary(len(effects) * family)
    parts = zip(sweep.sides, effects, slopes, strict=True)
    return Calibration(
        unexpected=unexpected,
        slope=unexpected.scaled(1 / sweep.sides[k].length),
        worse=sweep.sides[k].name,
        sides=tuple(SideExcess(side.name, of.summary(family), of, each.few_informative) for side, of, each in parts),
        expected=tuple((sums.moments.mean - found.moments.mean).tolist()),
    )
