"""Two models' sweeps compared: clean score, drops, effects, where they hold until, and the whole curve.

Every contrast goes through the examples' own differences. What is none, the worse of two sides, a size |effect|,
a first crossing, goes through seeded joint draws of both curves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr

from mlflow_sensie.comparison.contrasts import SURE_SHARE, Joint, Rng, joint_draws, size_difference
from mlflow_sensie.comparison.difference import CurveDifference, Difference
from mlflow_sensie.inference import OrderStatistics
from mlflow_sensie.inference.grid import MagnitudeGrid
from mlflow_sensie.inference.holds_until import FEW_FAILURES, PSEUDO_BELOW, Floor, crossings
from mlflow_sensie.inference.weights import FloatArray


def contrasts_of(grid: MagnitudeGrid) -> FloatArray:
    """Give (width, sides + 1) contrasts: the sides' effects and the mean drop."""
    lengths = [side.length for side in grid.sides]
    return np.asarray(grid.contrasts()[:, : len(lengths) + 1] * [*lengths, 1.0])


@dataclass(frozen=True)
class SweepPair:
    """Two models' sweeps: `joint` has the contrasts of `contrasts_of`, `reach` is the score's range."""

    grid: MagnitudeGrid
    joint: Joint
    reach: tuple[float, float]

    def differences(self, floor: Floor, rng: Rng) -> dict[str, Difference]:
        """Give mean drop, effect, slope where there is one side, and holds until."""
        differences = {"mean_drop": self.mean_drop(), "effect": self.effect(rng)}
        if len(self.grid.sides) == 1:
            differences["slope"] = differences["effect"].scaled("slope", 1 / self.grid.sides[0].length)
        differences["holds_until"] = self.holds_until(floor, rng)
        return differences

    def mean_drop(self) -> Difference:
        """Compare the mean drops."""
        return self.joint.difference("mean_drop", len(self.grid.sides), rising=False)

    def effect(self, rng: Rng, metric: str = "effect") -> Difference:
        """Compare the effects of the worse sides, under this name; of one side it is a contrast."""
        sides = list(range(len(self.grid.sides)))
        a, b = np.array([self.joint.values(side) for side in sides]).min(0)
        estimates = [estimates[side] for estimates in (self.joint.a, self.joint.d) for side in sides]
        covariance = self.joint.covariance(sides)
        return size_difference(metric, self.joint.n, float(a), float(b), estimates, covariance, rng)

    def holds_until(self, floor: Floor, rng: Rng) -> Difference:
        """Compare first crossings by joint draws of both curves, with the pseudo-curves of a single model's.

        One model gets the curve that never drops where the other gets the one that drops at once. For the bound
        an A that may never have crossed holds as far as was tested: drawn about there it holds shorter.
        """
        moments, (low, high), width = self.joint.moments, self.reach, self.grid.width
        allowed = moments.n * (floor.drop / (high - low) if floor.below else floor.drop)
        if allowed < PSEUDO_BELOW:
            never, at_once = np.full(width, high), np.append(high, np.full(width - 1, low))
            moments = moments.joined(np.stack([np.append(never, at_once - never), np.append(at_once, never - at_once)]))
        a, b = (float(self._crossings(curve, floor).min()) for curve in self._curves(moments.mean[None]))
        draws = joint_draws(moments.mean, moments.covariance() / moments.n, moments.n - 1, rng)
        ours, theirs = (self._crossings(curves, floor) for curves in self._curves(draws))
        posterior = OrderStatistics.of(theirs.min(1) - ours.min(1))
        ends = np.array([side.distances[-1] for side in self.grid.sides])
        sure = np.mean(ours < ends * (1 - 1e-9), axis=0) >= SURE_SHARE
        longest = np.where(sure, ours, ends).min(1) - theirs.min(1)
        return Difference(
            "holds_until", self.joint.n, a, b, posterior.summary(value=b - a), posterior, "higher",
            bound=OrderStatistics.of(longest), few_informative=bool(allowed < FEW_FAILURES),
        )  # fmt: skip

    def curve(self, rng: Rng) -> CurveDifference:
        """Compare the curves, with a simultaneous band: the pointwise intervals at the level of max |t|."""
        points = dict(enumerate(self.grid.magnitudes, start=1))
        if self.grid.neutral is not None:
            points[0] = self.grid.neutral
        order = sorted(points, key=points.__getitem__)
        columns = [self.grid.width + column for column in order]
        level = _simultaneous(self.joint.moments.covariance()[np.ix_(columns, columns)], self.joint.moments.n - 1, rng)
        low, high = zip(*(self.joint.points[column].posterior.interval(level) for column in order), strict=True)
        a, b = (curve[0, order] for curve in self._curves(self.joint.moments.mean[None]))
        p, ends = [points[column] for column in order], (self.grid.log_distance, self.grid.neutral)
        return CurveDifference.of(p, [f"{x:g}" for x in p], (a, b, b - a), low, high, *ends)

    def _curves(self, rows: FloatArray) -> tuple[FloatArray, FloatArray]:
        width = self.grid.width
        return rows[:, :width], rows[:, :width] + rows[:, width:]

    def _crossings(self, curves: FloatArray, floor: Floor) -> FloatArray:
        return np.column_stack([crossings(side, curves, floor) for side in self.grid.sides])


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
