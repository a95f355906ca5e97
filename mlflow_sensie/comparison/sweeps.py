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
from mlflow_sensie.inference.weights import FloatArray, Moments


def contrasts_of(grid: MagnitudeGrid) -> FloatArray:
    """Give (width, sides + 1) contrasts: the sides' effects and the mean drop."""
    lengths = [side.length for side in grid.sides]
    return np.asarray(grid.contrasts()[:, : len(lengths) + 1] * [*lengths, 1.0])


@dataclass(frozen=True)
class Holding:
    """Two models' curves, and up to where each stays above its own floor.

    ``moments`` are those of A's columns and of B - A's, with pseudo-curves where there are some; ``curves`` (1, width)
    are the estimated ones of A and of B. A model that is ``lost`` is not surely above no skill: it has nothing to lose,
    and holds until 0.
    """

    grid: MagnitudeGrid
    n: int
    moments: Moments
    floors: tuple[Floor, Floor]
    curves: tuple[FloatArray, FloatArray]
    lost: tuple[bool, bool] = (False, False)
    few_informative: bool = False

    def difference(self, metric: str, rng: Rng) -> Difference:
        """Compare first crossings by joint draws of both curves, under the name of a metric.

        For the bound an A that may never have crossed holds as far as was tested: drawn about there it holds shorter;
        so does one with nothing to lose, of which a few examples may not show the skill.
        """
        a, b = (float(self._crossings(side, curve).min()) for side, curve in enumerate(self.curves))
        moments = self.moments
        draws = joint_draws(moments.mean, moments.covariance() / moments.n, moments.n - 1, rng)
        ours, theirs = (self._crossings(side, drawn) for side, drawn in enumerate(_both(draws, self.grid.width)))
        posterior = OrderStatistics.of(theirs.min(1) - ours.min(1))
        ends = np.array([side.distances[-1] for side in self.grid.sides])
        sure = (np.mean(ours < ends * (1 - 1e-9), axis=0) >= SURE_SHARE) & (not self.lost[0])
        longest = np.where(sure, ours, ends).min(1) - theirs.min(1)
        return Difference(
            metric, self.n, a, b, posterior.summary(value=b - a), posterior, "higher",
            bound=OrderStatistics.of(longest), few_informative=self.few_informative,
        )  # fmt: skip

    def _crossings(self, model: int, curves: FloatArray) -> FloatArray:
        """Give the distances (m, sides) at which m curves of A (0) or B (1) first fall below their floor."""
        if self.lost[model]:
            return np.tile([float(side.distances[0]) for side in self.grid.sides], (len(curves), 1))
        return np.column_stack([crossings(side, curves, self.floors[model]) for side in self.grid.sides])


def with_pseudo_curves(moments: Moments, low: float, high: float) -> Moments:
    """Add two pseudo-curves of each model: where that of one never drops, that of the other drops at once."""
    width = len(moments.mean) // 2
    never, at_once = np.full(width, high), np.append(high, np.full(width - 1, low))
    return moments.joined(np.stack([np.append(never, at_once - never), np.append(at_once, never - at_once)]))


def _both(rows: FloatArray, width: int) -> tuple[FloatArray, FloatArray]:
    """Turn rows (m, 2 · width) of A and of B - A into those of A and of B."""
    return rows[:, :width], rows[:, :width] + rows[:, width:]


@dataclass(frozen=True)
class SweepPair:
    """Two models' sweeps: `joint` has the contrasts of `contrasts_of`, `reach` is the score's range."""

    grid: MagnitudeGrid
    joint: Joint
    reach: tuple[float, float]

    def differences(self, holding: Holding | None, rng: Rng) -> dict[str, Difference]:
        """Give mean drop, effect, slope where there is one side, and holds until where that is told."""
        differences = {"mean_drop": self.mean_drop(), "effect": self.effect(rng)}
        if len(self.grid.sides) == 1:
            differences["slope"] = differences["effect"].scaled("slope", 1 / self.grid.sides[0].length)
        if holding is not None:
            differences["holds_until"] = holding.difference("holds_until", rng)
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

    def holding(self, floor: Floor) -> Holding:
        """Say up to where the mean scores hold; few examples get the pseudo-curves of a single model's."""
        moments, (low, high) = self.joint.moments, self.reach
        allowed = moments.n * (floor.drop / (high - low) if floor.below else floor.drop)
        if allowed < PSEUDO_BELOW:
            moments = with_pseudo_curves(moments, low, high)
        curves = self._curves(moments.mean[None])
        few = bool(allowed < FEW_FAILURES)
        return Holding(self.grid, self.joint.n, moments, (floor, floor), curves, few_informative=few)

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
        return _both(rows, self.grid.width)


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
