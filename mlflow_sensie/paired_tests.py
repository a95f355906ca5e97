"""The paired inference of each kind of test: from the scores of two models on the same examples to differences.

Everything that is a contrast goes through the examples' own differences D = candidate - baseline. What is none,
the worse of two sides, a size |effect|, a first crossing, a spread, goes through seeded joint draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import block_diag
from scipy.special import stdtr

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
from mlflow_sensie.inference.holds_until import FEW_FAILURES, PSEUDO_BELOW, Floor
from mlflow_sensie.inference.posterior import Posterior
from mlflow_sensie.inference.scale import ScoreScale
from mlflow_sensie.inference.sides import Side, Sweep
from mlflow_sensie.moments import Extremes, FloatArray, Moments

SURE_SE, SURE_SHARE = 3.0, 0.999
Rng = np.random.Generator


@dataclass(frozen=True)
class CurveDifference:
    """Candidate's curve less the baseline's, as parallel tuples, with a simultaneous 95 % band.

    `p` in the perturbation's unit, ascending, the neutral included where it is known; the rest in the score's
    unit. The whole curve lies in the band with probability .95 (max-|t|).
    """

    p: tuple[float, ...]
    difference: tuple[float, ...]
    lo95: tuple[float, ...]
    hi95: tuple[float, ...]

    def as_identical(self) -> CurveDifference:
        """Give the curve difference of a model from itself."""
        zeros = (0.0,) * len(self.p)
        return CurveDifference(self.p, zeros, zeros, zeros)


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
    return _contrast(ContrastSums.of(rows, np.eye(2)), "clean_score", 0, high - low, rising=True)


@dataclass(frozen=True)
class SweepSums:
    """A sweep's contrasts, of the baseline and then of D: the sides' effects, the mean drop, each point.

    `most` is the largest possible |b| of each of D's; the baseline's is half of that.
    """

    sweep: Sweep
    sums: ContrastSums
    reach: tuple[float, float]
    most: FloatArray

    @classmethod
    def of(cls, rows: Rows, sweep: Sweep, scale: ScoreScale) -> SweepSums:
        """Sum blocks (n, 2 + 2J), finite: the baseline's scores, clean first, then D in the same order."""
        lengths = [side.length for side in sweep.sides]
        shape = sweep.contrasts()[:, : len(lengths) + 1] * [*lengths, 1.0]
        own = np.column_stack([shape, np.eye(sweep.width)])
        low, high = reach_of(rows, sweep.width, scale)
        # Weights that sum to 0 change by at most half the range each, a difference by twice that.
        most = (high - low) * np.abs(own).sum(0)
        return cls(sweep, ContrastSums.of(rows, block_diag(own, own)), (low, high), most)

    def mean_drop(self) -> Difference:
        """Compare the mean drops."""
        place = len(self.sweep.sides)
        return _contrast(self.sums, "mean_drop", place, float(self.most[place]), rising=False)


def perturbation_differences(
    rows: Rows, sweep: Sweep, floor: Floor, scale: ScoreScale, rng: Rng
) -> tuple[dict[str, Difference], CurveDifference]:
    """Compare two sweeps: mean drop, effect, slope where there is one side, holds until, and the curve.

    `rows()` yields blocks (n, 2 + 2J), finite: the baseline's scores, clean first, then D in the same order.
    """
    known = SweepSums.of(rows, sweep, scale)
    found = {"mean_drop": known.mean_drop(), "effect": _effect(known.sums, len(sweep.sides), known.most, rng)}
    if len(sweep.sides) == 1:
        found["slope"] = found["effect"].scaled("slope", 1 / sweep.sides[0].length)
    found["holds_until"] = _holds_until(sweep, floor, known.sums.moments, known.reach, rng)
    return found, _curve(known.sums, sweep, known.most, rng)


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
    at = np.array([baseline.loc, paired.loc])
    loss, cautious = _size_loss(at, covariance, paired.df or 1e9, rng)
    posterior = Skewed(paired.loc, paired.scale, paired.df)
    # Pseudo-scores widen each of the three by itself, so where they act, or may, nothing follows for this.
    correlation = None if few or metric != "effect" else correlation_of(scales[0] ** 2, scales[1] ** 2, off)
    worse_by = abs(baseline.loc + paired.loc) - abs(baseline.loc)
    return difference(
        metric, n, candidate=baseline.loc + paired.loc, baseline=baseline.loc, posterior=posterior,
        loss=loss, worse_by=worse_by, cautious=cautious, correlation=correlation, few=few,
    )  # fmt: skip


def _contrast(sums: ContrastSums, metric: str, index: int, most: float, *, rising: bool) -> Difference:
    """Compare contrast `index`; of the columns the first half is the baseline's, the second that of D."""
    shift = len(sums.mean) // 2 + index
    posterior, few = sums.posterior(shift, most)
    baseline, step = float(sums.mean[index]), float(sums.mean[shift])
    return difference(
        metric, sums.n, candidate=baseline + step, baseline=baseline, posterior=posterior,
        loss=posterior.scaled(-1) if rising else posterior, worse_by=-step if rising else step,
        correlation=_correlation(sums, index), few=few,
    )  # fmt: skip


def _correlation(sums: ContrastSums, index: int) -> float | None:
    shift, covariance = len(sums.mean) // 2 + index, sums.covariance
    return correlation_of(covariance[index, index], covariance[shift, shift], covariance[index, shift])


def _effect(sums: ContrastSums, sides: int, most: FloatArray, rng: Rng) -> Difference:
    """Compare the effects of the worse sides; of one side it is a contrast."""
    q = len(most)
    columns = [*range(sides), *range(q, q + sides)]
    known = [sums.posterior(column, float(most[column % q]) / (1 if column >= q else 2)) for column in columns]
    covariance = sums.covariance[np.ix_(columns, columns)] / sums.n
    np.fill_diagonal(covariance, [posterior.scale**2 for posterior, _ in known])
    at = np.array([posterior.loc for posterior, _ in known])
    loss, cautious = _size_loss(at, covariance, sums.n - 1, rng)
    ours, step = sums.mean[:sides], sums.mean[q : q + sides]
    baseline, candidate = float(ours.min()), float((ours + step).min())
    posterior: Known = known[1][0]
    if sides > 1:
        draws = joint_draws(at, covariance, sums.n - 1, rng)
        posterior = Draws.of((draws[:, :sides] + draws[:, sides:]).min(1) - draws[:, :sides].min(1))
    return difference(
        "effect", sums.n, candidate=candidate, baseline=baseline, posterior=posterior,
        loss=loss, worse_by=float(np.abs(ours + step).max() - np.abs(ours).max()), cautious=cautious,
        correlation=_correlation(sums, 0) if sides == 1 else None, few=any(few for _, few in known[sides:]),
    )  # fmt: skip


def _size_loss(at: FloatArray, covariance: FloatArray, df: float, rng: Rng) -> tuple[Known, tuple[Known, ...]]:
    """Give the posterior of max |candidate| - max |baseline| over the sides, and the cautious ones, one per side.

    `at` (2S,) locates the baseline's S effects and then their differences. |baseline| drawn about 0 is larger
    than it is, so where its sign is not sure (3 standard errors) a side is judged by |D| >= |candidate| -
    |baseline|. A side is held against the largest of the baseline where that is surely larger than its own.
    """
    count = len(at) // 2
    draws = joint_draws(at, covariance, df, rng)
    ours, step = np.abs(draws[:, :count]), draws[:, count:]
    theirs = np.abs(draws[:, :count] + step)
    sure = np.abs(at[:count]) >= SURE_SE * np.sqrt(np.diag(covariance)[:count])
    largest = int(np.argmax(np.abs(at[:count])))
    cautious = []
    for side in range(count):
        above = sure[largest] and np.mean(ours[:, largest] > ours[:, side]) >= SURE_SHARE
        against = largest if above else side
        cautious.append(theirs[:, side] - ours[:, against] if sure[against] else np.abs(step[:, side]))
    return Draws.of(theirs.max(1) - ours.max(1)), tuple(Draws.of(part) for part in cautious)


def _holds_until(sweep: Sweep, floor: Floor, moments: Moments, reach: tuple[float, float], rng: Rng) -> Difference:
    """Compare first crossings by joint draws of both curves, with the pseudo-curves of a single model's.

    One model gets the curve that never drops where the other gets the one that drops at once. A baseline that
    may never have crossed is taken to hold as far as was tested: drawn about there it holds shorter than it does.
    """
    width = sweep.width
    allowed = moments.n * (floor.drop / (reach[1] - reach[0]) if floor.below else floor.drop)
    n = moments.n
    if allowed < PSEUDO_BELOW:
        never = np.full(width, reach[1])
        at_once = np.append(reach[1], np.full(width - 1, reach[0]))
        pseudo = [np.append(never, at_once - never), np.append(at_once, never - at_once)]
        moments = moments + Moments.of(pseudo)
    drawn = joint_draws(moments.mean, moments.covariance() / moments.n, moments.n - 1, rng)
    curves = np.concatenate([moments.mean[None], drawn])
    both = curves[:, :width], curves[:, :width] + curves[:, width:]
    ours, theirs = (np.column_stack([crossings(side, curve, floor) for side in sweep.sides]) for curve in both)
    (baseline, *a), (candidate, *b) = ours.min(1), theirs.min(1)
    posterior = Draws.of(np.array(b) - a)
    variances = float(np.var(a)), float(np.var(np.array(b) - a))
    return difference(
        "holds_until", n, candidate=float(candidate), baseline=float(baseline), posterior=posterior,
        loss=posterior.scaled(-1), worse_by=float(baseline - candidate),
        cautious=_holds_cautious(sweep.sides, ours[1:], theirs[1:]),
        correlation=correlation_of(*variances, float(np.cov(a, np.array(b) - a)[0, 1])), few=allowed < FEW_FAILURES,
    )  # fmt: skip


def _holds_cautious(sides: Sequence[Side], ours: FloatArray, theirs: FloatArray) -> tuple[Known, ...]:
    ends = np.array([side.distances[-1] for side in sides])
    sure = np.mean(ours < ends * (1 - 1e-9), axis=0) >= SURE_SHARE
    held = np.where(sure, ours, ends)
    first = int(np.argmin(held.mean(0)))
    parts = []
    for side in range(len(ends)):
        below = np.mean(held[:, first] < held[:, side]) >= SURE_SHARE
        parts.append(Draws.of(held[:, first if below else side] - theirs[:, side]))
    return tuple(parts)


def crossings(side: Side, curves: FloatArray, floor: Floor) -> FloatArray:
    """Give the distance (m,) at which each of m curves (m, width) first falls below its own floor."""
    x, own = side.distances, curves[:, list(side.columns)]
    margin = own - floor.keep * curves[:, :1] + floor.below
    below = margin < -1e-12
    k = np.where(below.any(1), below.argmax(1), 0)
    after = np.take_along_axis(margin, k[:, None], 1)[:, 0]
    before = np.take_along_axis(margin, np.maximum(k - 1, 0)[:, None], 1)[:, 0]
    gap = before - after
    share = np.where((k > 0) & (gap > 0), before / np.where(gap > 0, gap, 1.0), 0.0)
    at = x[np.maximum(k - 1, 0)] + share * (x[k] - x[np.maximum(k - 1, 0)])
    return np.asarray(np.where(below.any(1), np.where(k > 0, at, x[0]), x[-1]))


def _curve(sums: ContrastSums, sweep: Sweep, most: FloatArray, rng: Rng) -> CurveDifference:
    points = dict(enumerate(sweep.magnitudes, start=1))
    if sweep.neutral is not None:
        points[0] = sweep.neutral
    order = sorted(points, key=lambda j: points[j])
    columns = [len(sums.mean) - sweep.width + j for j in order]
    found = [sums.posterior(column, float(most[-sweep.width + j]))[0] for column, j in zip(columns, order, strict=True)]
    level = _simultaneous(sums.covariance[np.ix_(columns, columns)], sums.n - 1, rng)
    bands = [posterior.interval(level) for posterior in found]
    return CurveDifference(
        p=tuple(points[j] for j in order),
        difference=tuple(float(sums.mean[column]) for column in columns),
        lo95=tuple(low for low, _ in bands),
        hi95=tuple(high for _, high in bands),
    )


def _simultaneous(covariance: FloatArray, df: float, rng: Rng) -> float:
    """Give the level of the pointwise intervals that together hold .95: the .95 quantile of max |t|."""
    varies = np.flatnonzero(np.diag(covariance) > 0)
    if not len(varies):
        return 0.95
    inner = covariance[np.ix_(varies, varies)]
    sd = np.sqrt(np.diag(inner))
    draws = joint_draws(np.zeros(len(varies)), inner / np.outer(sd, sd), df, rng)
    largest = float(np.quantile(np.abs(draws).max(1), 0.95))
    return float(2 * stdtr(df, largest) - 1)
