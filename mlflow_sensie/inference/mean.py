"""The mean of one score, as sure as its examples make it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from mlflow_sensie.inference.contrast import GuardedEstimate, contrast_posteriors
from mlflow_sensie.inference.scale import ScoreScale
from mlflow_sensie.inference.weights import SamplingDesign, effective_moments, unit_blocks
from mlflow_sensie.moments import Extremes, FloatArray, PowerSums

ScoresAndDesigns = Callable[[], Iterable[tuple[FloatArray, SamplingDesign]]]


def mean_test(blocks: ScoresAndDesigns, scale: ScoreScale) -> GuardedEstimate:
    """Give the posterior of the mean score, guarded where few examples carry it.

    `blocks()` yields scores (n,), finite, with their design, and can be called again. The two pseudo-examples of the
    guard lie at the score's bounds. Raises ValueError for fewer than two independent examples.
    """
    seen = Extremes.empty()
    for block, _ in blocks():
        seen += Extremes.of(block)
    moments, factor = effective_moments(((block[:, None], of) for block, of in blocks()), 1)
    if not moments.n > 1:
        raise ValueError(f"only {moments.n:.0f} examples (or clusters) have a score; at least two are needed")
    low, high = scale.reach(seen)
    middle = low + (high - low) / 2
    influences = PowerSums.empty(1)
    for block, w in unit_blocks((block[:, None], of) for block, of in blocks()):
        influences += PowerSums.of((factor * w)[:, None] * (block - moments.mean))
    centred = replace(moments, mean=moments.mean - middle)
    (found,) = contrast_posteriors(np.eye(1), centred, influences, (low, high))
    posterior, plain = (replace(each, loc=each.loc + middle) for each in (found.posterior, found.plain))
    return replace(found, posterior=posterior, plain=plain)
