"""Paired inference of a sweep: two models' curves on the same examples.

Every contrast of the curves goes through the examples' own differences D = candidate - baseline. What is none,
the worse of two sides, a size |effect|, a first crossing, goes through seeded joint draws of both curves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import block_diag
from scipy.special import stdtr

from mlflow_sensie.differences import ContrastSums, Difference, Draws, Known, Rows, difference, joint_draws
from mlflow_sensie.inference.holds_until import FEW_FAILURES, PSEUDO_BELOW, Floor
from mlflow_sensie.inference.scale import ScoreScale
from mlflow_sensie.inference.sides import Side, Sweep
from mlflow_sensie.moments import FloatArray, Moments
from mlflow_sensie.paired_tests import (
    SURE_SHARE,
    Rng,
    contrast_difference,
    example_correlation,
    reach_of,
    size_loss,
)


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
        return contrast_difference(self.sums, "mean_drop", place, float(self.most[place]), rising=False)

    def effect(self, rng: Rng) -> Difference:
        """Compare the effects of the worse sides; of one side it is a contrast."""
        sums, count, q = self.sums, len(self.sweep.sides), len(self.most)
        columns = [*range(count), *range(q, q + count)]
        most = [*(self.most[:count] / 2), *self.most[:count]]
        found = [sums.posterior(column, float(largest)) for column, largest in zip(columns, most, strict=True)]
        known = [posterior for posterior, _ in found]
        covariance = sums.covariance[np.ix_(columns, columns)] / sums.n
        np.fill_diagonal(covariance, [posterior.scale**2 for posterior in known])
        loss, cautious = size_loss(known, covariance, sums.n - 1, rng)
        posterior: Known = known[1]
        if count > 1:
            at = np.array([posterior.loc for posterior in known])
            draws = joint_draws(at, covariance, sums.n - 1, rng)
            posterior = Draws.of((draws[:, :count] + draws[:, count:]).min(1) - draws[:, :count].min(1))
        ours, theirs = sums.mean[:count], sums.mean[:count] + sums.mean[q : q + count]
        return difference(
            "effect", sums.n, candidate=float(theirs.min()), baseline=float(ours.min()), posterior=posterior,
            loss=loss, worse_by=float(np.abs(theirs).max() - np.abs(ours).max()), cautious=cautious,
            correlation=example_correlation(sums, 0) if count == 1 else None, few=any(few for _, few in found[count:]),
        )  # fmt: skip

    def holds_until(self, floor: Floor, rng: Rng) -> Difference:
        """Compare first crossings by joint draws of both curves, with the pseudo-curves of a single model's.

        One model gets the curve that never drops where the other gets the one that drops at once. A baseline that
        may never have crossed is taken to hold as far as was tested: drawn about there it holds shorter than it
        does.
        """
        moments, (low, high), width = self.sums.moments, self.reach, self.sweep.width
        allowed = moments.n * (floor.drop / (high - low) if floor.below else floor.drop)
        if allowed < PSEUDO_BELOW:
            never, at_once = np.full(width, high), np.append(high, np.full(width - 1, low))
            moments += Moments.of([np.append(never, at_once - never), np.append(at_once, never - at_once)])
        drawn = joint_draws(moments.mean, moments.covariance() / moments.n, moments.n - 1, rng)
        curves = np.concatenate([moments.mean[None], drawn])
        both = curves[:, :width], curves[:, :width] + curves[:, width:]
        ours, theirs = (np.column_stack([crossings(side, c, floor) for side in self.sweep.sides]) for c in both)
        a, b = ours.min(1), theirs.min(1)
        posterior = Draws.of(b[1:] - a[1:])
        return difference(
            "holds_until", self.sums.n, candidate=float(b[0]), baseline=float(a[0]), posterior=posterior,
            loss=posterior.scaled(-1), worse_by=float(a[0] - b[0]),
            cautious=_holds_cautious(self.sweep.sides, ours[1:], theirs[1:]),
            correlation=_drawn_correlation(a[1:], b[1:]), few=allowed < FEW_FAILURES,
        )  # fmt: skip

    def curve(self, rng: Rng) -> CurveDifference:
        """Compare the curves, with a simultaneous band."""
        points = dict(enumerate(self.sweep.magnitudes, start=1))
        if self.sweep.neutral is not None:
            points[0] = self.sweep.neutral
        order = sorted(points, key=lambda j: points[j])
        columns = [len(self.sums.mean) - self.sweep.width + j for j in order]
        largest = float(self.most[-1])  # the same for each point
        level = _simultaneous(self.sums.covariance[np.ix_(columns, columns)], self.sums.n - 1, rng)
        bands = [self.sums.posterior(column, largest)[0].interval(level) for column in columns]
        return CurveDifference(
            p=tuple(points[j] for j in order),
            difference=tuple(float(self.sums.mean[column]) for column in columns),
            lo95=tuple(low for low, _ in bands),
            hi95=tuple(high for _, high in bands),
        )


def perturbation_differences(
    rows: Rows, sweep: Sweep, floor: Floor, scale: ScoreScale, rng: Rng
) -> tuple[dict[str, Difference], CurveDifference]:
    """Compare two sweeps: mean drop, effect, slope where there is one side, holds until, and the curve.

    `rows()` yields blocks (n, 2 + 2J), finite: the baseline's scores, clean first, then D in the same order.
    """
    known = SweepSums.of(rows, sweep, scale)
    found = {"mean_drop": known.mean_drop(), "effect": known.effect(rng)}
    if len(sweep.sides) == 1:
        found["slope"] = found["effect"].scaled("slope", 1 / sweep.sides[0].length)
    found["holds_until"] = known.holds_until(floor, rng)
    return found, known.curve(rng)


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


def _drawn_correlation(a: FloatArray, b: FloatArray) -> float | None:
    return float(np.corrcoef(a, b)[0, 1]) if a.std() > 0 and b.std() > 0 else None


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
