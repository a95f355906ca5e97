"""Two models' spreads between the same groups: classes, levels of a category, bins of a property."""

from __future__ import annotations

import numpy as np
from scipy.special import chdtr

from mlflow_sensie.differences import DRAWS, Difference, Draws, Known, difference
from mlflow_sensie.inference.scale import ScoreScale
from mlflow_sensie.inference.spread import noise
from mlflow_sensie.moments import FloatArray, GroupedMoments

SURE_P = 0.001


def spread_difference(
    baseline: GroupedMoments,
    candidate: GroupedMoments,
    step: GroupedMoments,
    scale: ScoreScale,
    reach: tuple[float, float],
    rng: np.random.Generator,
) -> Difference:
    """Compare the SDs between groups, noise removed; raises ValueError for fewer than two groups with scores.

    `step` sums D = candidate - baseline over the same K groups; `reach` is the score's range. The SD is that of
    these groups' own means, s² = Var m - mean v, v the noise of each mean. Its draws are a parametric bootstrap of
    both models' means, from which 2 v is taken: v for the data's noise and v for the draws'. Where the baseline's
    groups may all be equal its s, never negative, is drawn too large; then the candidate is held against SD(D), for
    s_B - s_A <= SD(D). Coverage .87 to 1, and a candidate whose spread is larger by exactly the margin passes 1 to
    10 % of the time (2 to 50 groups of 30 to 300; the worst is one group of 60 that collapses).
    """
    present = baseline.n > 0
    ours, theirs, moved = (sums.select(present) for sums in (baseline, candidate, step))
    if len(ours.n) < 2:
        raise ValueError("a spread needs at least two groups with scores")
    low, width = reach[0], reach[1] - reach[0]
    v_ours = noise(ours, low, width, bounded=scale.bounded) * width**2
    v_theirs = noise(theirs, low, width, bounded=scale.bounded) * width**2
    # D has no binomial shape: a class that collapses has noise of its own.
    v_moved = noise(moved, -width, 2 * width, bounded=False) * 4 * width**2
    together = np.clip((v_theirs - v_ours - v_moved) / 2 / np.sqrt(v_ours * v_moved), -1, 1)
    one, two = rng.normal(size=(2, DRAWS, len(ours.n)))
    a = ours.mean + np.sqrt(v_ours) * one
    b = a + moved.mean + np.sqrt(v_moved) * (together * one + np.sqrt(1 - together**2) * two)
    found_a, found_b = (float(_sd(sums.mean, v, 1)) for sums, v in ((ours, v_ours), (theirs, v_theirs)))
    loss = Draws.of(_sd(b, v_theirs, 2) - _sd(a, v_ours, 2))
    real = _homogeneity(ours.mean, v_ours) < SURE_P
    return difference(
        "spread", int(ours.n.sum()), candidate=found_b, baseline=found_a, posterior=loss, loss=loss,
        worse_by=found_b - found_a, cautious=() if real else (_sd_known(moved.mean, v_moved, rng),),
    )  # fmt: skip


def _sd(means: FloatArray, noise_of: FloatArray, times: int) -> FloatArray:
    return np.asarray(np.sqrt(np.maximum(means.var(-1, ddof=1) - times * noise_of.mean(), 0)))


def _homogeneity(means: FloatArray, variance: FloatArray) -> float:
    weight = 1 / variance
    misfit = weight @ (means - weight @ means / weight.sum()) ** 2
    return 1 - float(chdtr(len(means) - 1, misfit))


def _sd_known(means: FloatArray, variance: FloatArray, rng: np.random.Generator) -> Known:
    """Give the confidence distribution of the SD s of the true means, supposing their pattern is the one seen.

    Each draw of the noise is asked for the s at which it would have given the SD that was seen.
    """
    seen = float(means.var(ddof=1))
    pattern = (means - means.mean()) / np.sqrt(seen) if seen > 0 else np.zeros(len(means))
    drawn = np.sqrt(variance) * rng.normal(size=(DRAWS, len(means)))
    along = drawn @ pattern / (len(means) - 1)
    root = along**2 - drawn.var(1, ddof=1) + seen
    return Draws.of(np.where(root > 0, np.maximum(np.sqrt(np.maximum(root, 0)) - along, 0), 0))
