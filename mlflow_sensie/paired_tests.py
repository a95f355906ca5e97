"""Paired inference from the examples' own differences D = candidate - baseline: clean scores and properties.

What is no contrast, as a size |effect|, goes through seeded joint draws.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mlflow_sensie.differences import (
    ContrastSums,
    Difference,
    Draws,
    Known,
    Rows,
    Skewed,
    correlation_of,
    difference,
    joint_draws,
)
from mlflow_sensie.inference.posterior import Posterior
from mlflow_sensie.inference.scale import ScoreScale
from mlflow_sensie.moments import Extremes, FloatArray

SURE_SE, SURE_SHARE = 3.0, 0.999
Rng = np.random.Generator


def reach_of(rows: Rows, width: int, scale: ScoreScale) -> tuple[float, float]:
    """Give the score's bounds, with what either model reached in place of those it does not have."""
    seen = Extremes.empty()
    for block in rows() if not scale.bounded else ():
        ours = block[:, :width]
        seen += Extremes.of(ours) + Extremes.of(ours + block[:, width:])
    return scale.reach(seen)


def clean_difference(rows: Rows, scale: ScoreScale) -> Difference:
    """Compare mean clean scores; `rows()` yields blocks (n, 2): the baseline's scores and D."""
    low, high = reach_of(rows, 1, scale)
    return contrast_difference(ContrastSums.of(rows, np.eye(2)), "clean_score", 0, high - low, rising=True)


def property_difference(
    metric: str, n: int, candidate: Posterior, baseline: Posterior, paired: Posterior, rng: Rng, few: bool
) -> Difference:
    """Compare an effect, or its unexpected part, of a property; its size |effect| is what may be worse.

    `paired` is the posterior of candidate less baseline from the examples' own differences. How far the baseline
    and the difference go together follows from the three scales.
    """
    scales = baseline.scale, paired.scale
    together = (candidate.scale**2 - scales[0] ** 2 - scales[1] ** 2) / 2
    limit = 0.999 * scales[0] * scales[1]
    off = float(np.clip(together, -limit, limit))
    covariance = np.array([[scales[0] ** 2, off], [off, scales[1] ** 2]])
    known = [Skewed(each.loc, each.scale, each.df) for each in (baseline, paired)]
    loss, cautious = size_loss(known, covariance, paired.df or 1e9, rng)
    # Pseudo-scores widen each of the three by itself, so where they act, or may, nothing follows for this.
    correlation = None if few or metric != "effect" else correlation_of(scales[0] ** 2, scales[1] ** 2, off)
    worse_by = abs(baseline.loc + paired.loc) - abs(baseline.loc)
    return difference(
        metric, n, candidate=baseline.loc + paired.loc, baseline=baseline.loc, posterior=known[1],
        loss=loss, worse_by=worse_by, cautious=cautious, correlation=correlation, few=few,
    )  # fmt: skip


def contrast_difference(sums: ContrastSums, metric: str, index: int, most: float, *, rising: bool) -> Difference:
    """Compare contrast `index`; of the columns the first half is the baseline's, the second that of D."""
    shift = len(sums.mean) // 2 + index
    posterior, few = sums.posterior(shift, most)
    baseline, step = float(sums.mean[index]), float(sums.mean[shift])
    return difference(
        metric, sums.n, candidate=baseline + step, baseline=baseline, posterior=posterior,
        loss=posterior.scaled(-1) if rising else posterior, worse_by=-step if rising else step,
        correlation=example_correlation(sums, index), few=few,
    )  # fmt: skip


def example_correlation(sums: ContrastSums, index: int) -> float | None:
    shift, covariance = len(sums.mean) // 2 + index, sums.covariance
    return correlation_of(covariance[index, index], covariance[shift, shift], covariance[index, shift])


def size_loss(known: Sequence[Skewed], covariance: FloatArray, df: float, rng: Rng) -> tuple[Known, tuple[Known, ...]]:
    """Give the posterior of max |candidate| - max |baseline| over the sides, and the cautious ones, one per side.

    `known` are the posteriors of the baseline's S effects and then of their differences. |baseline| drawn about 0
    is larger than it is, so where its sign is not sure (3 standard errors) a side is judged by |D| >= |candidate|
    - |baseline|. A side is held against the largest of the baseline where that is surely larger than its own.
    """
    count, at = len(known) // 2, np.array([posterior.loc for posterior in known])
    draws = joint_draws(at, covariance, df, rng)
    step = np.column_stack([known[count + side].corrected(draws[:, count + side]) for side in range(count)])
    ours, theirs = np.abs(draws[:, :count]), np.abs(draws[:, :count] + step)
    sure = np.abs(at[:count]) >= SURE_SE * np.sqrt(np.diag(covariance)[:count])
    largest = int(np.argmax(np.abs(at[:count])))
    cautious = []
    for side in range(count):
        above = sure[largest] and np.mean(ours[:, largest] > ours[:, side]) >= SURE_SHARE
        against = largest if above else side
        cautious.append(theirs[:, side] - ours[:, against] if sure[against] else np.abs(step[:, side]))
    return Draws.of(theirs.max(1) - ours.max(1)), tuple(Draws.of(part) for part in cautious)
