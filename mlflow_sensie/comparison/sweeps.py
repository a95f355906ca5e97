"""Two models' sweeps compared: clean score, drops, effects, where they hold until, and the whole curve.

Every contrast goes through the examples' own differences. What is none, the worse of two sides, a size |effect|,
a first crossing, goes through seeded joint draws of both curves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

from mlflow_sensie.comparison.contrasts import Estimate, Joint, Rng, fewest, joint_draws
from mlflow_sensie.comparison.difference import CurveDifference, Difference
from mlflow_sensie.inference.grid import MagnitudeGrid, Side
from mlflow_sensie.inference.holds_until import FEW_FAILURES, PSEUDO_BELOW, Floor
from mlflow_sensie.inference.posterior import OrderStatistics, SkewedT
from mlflow_sensie.moments import FloatArray, Moments

SURE_SE, SURE_SHARE = 3.0, 0.999


def contrasts_of(sweep: MagnitudeGrid) -> FloatArray:
    """Give (width, sides + 2) contrasts: the sides' effects, the mean drop, the clean score."""
    lengths = [side.length for side in sweep.sides]
    shape = sweep.contrasts()[:, : len(lengths) + 1] * [*lengths, 1.0]
    return np.column_stack([shape, np.eye(sweep.width)[:, 0]])


def contrast_difference(joint: Joint, metric: str, index: int, *, rising: bool) -> Difference:
    """Compare contrast `index`; `rising`: more of it is better."""
    (a, b), found = joint.values(index), joint.d[index]
    posterior = found.posterior
    return Difference(
        metric, joint.n, a, b, posterior.summary(value=b - a), posterior, "higher" if rising else "lower",
        informative=found.informative, few_informative=found.few,
    )  # fmt: skip


@dataclass(frozen=True)
class SweepPair:
    """Two models' sweeps: `joint` has the contrasts of `contrasts_of`, `reach` is the score's range."""

    sweep: MagnitudeGrid
    joint: Joint
    reach: tuple[float, float]

    def differences(self, floor: Floor, rng: Rng) -> dict[str, Difference]:
        """Give mean drop, effect, slope where there is one side, and holds until."""
        found = {"mean_drop": self.mean_drop(), "effect": self.effect(rng)}
        if len(self.sweep.sides) == 1:
            found["slope"] = found["effect"].scaled("slope", 1 / self.sweep.sides[0].length)
        found["holds_until"] = self.holds_until(floor, rng)
        return found

    def clean(self) -> Difference:
        """Compare the clean scores of the examples that have every score."""
        return contrast_difference(self.joint, "clean_score", len(self.sweep.sides) + 1, rising=True)

    def mean_drop(self) -> Difference:
        """Compare the mean drops."""
        return contrast_difference(self.joint, "mean_drop", len(self.sweep.sides), rising=False)

    def effect(self, rng: Rng, metric: str = "effect") -> Difference:
        """Compare the effects of the worse sides, under this name; of one side it is a contrast."""
        sides = list(range(len(self.sweep.sides)))
        values = np.array([self.joint.values(side) for side in sides])
        a, b = values.min(0)
        estimates = [each[side] for each in (self.joint.a, self.joint.d) for side in sides]
        covariance = self.joint.covariance(sides)
        return size_difference(metric, self.joint.n, float(a), float(b), estimates, covariance, rng)

    def holds_until(self, floor: Floor, rng: Rng) -> Difference:
        """Compare first crossings by joint draws of both curves, with the pseudo-curves of a single model's.

        One model gets the curve that never drops where the other gets the one that drops at once. For the bound
        an A that may never have crossed holds as far as was tested: drawn about there it holds shorter.
        """
        moments, (low, high), width = self.joint.moments, self.reach, self.sweep.width
        allowed = moments.n * (floor.drop / (high - low) if floor.below else floor.drop)
        if allowed < PSEUDO_BELOW:
            never, at_once = np.full(width, high), np.append(high, np.full(width - 1, low))
            moments += Moments.of([np.append(never, at_once - never), np.append(at_once, never - at_once)])
        value_a, value_b = (float(self._crossings(one, floor).min()) for one in self._curves(moments.mean[None]))
        drawn = joint_draws(moments.mean, moments.covariance() / moments.n, moments.n - 1, rng)
        a, b = (self._crossings(curves, floor) for curves in self._curves(drawn))
        posterior = OrderStatistics.of(b.min(1) - a.min(1))
        return Difference(
            "holds_until", self.joint.n, value_a, value_b, posterior.summary(value=value_b - value_a), posterior,
            "higher", bound=self._longest(a, b), few_informative=bool(allowed < FEW_FAILURES),
        )  # fmt: skip

    def curve(self, rng: Rng) -> CurveDifference:
        """Compare the curves, with a simultaneous band: the pointwise intervals at the level of max |t|."""
        points = dict(enumerate(self.sweep.magnitudes, start=1))
        if self.sweep.neutral is not None:
            points[0] = self.sweep.neutral
        order = sorted(points, key=lambda column: points[column])
        columns = [self.sweep.width + column for column in order]
        level = _simultaneous(self.joint.moments.covariance()[np.ix_(columns, columns)], self.joint.moments.n - 1, rng)
        bands = [self.joint.points[column].posterior.interval(level) for column in order]
        a, b = (curve[0, order] for curve in self._curves(self.joint.moments.mean[None]))
        return CurveDifference(
            p=tuple(points[column] for column in order),
            label=tuple(f"{points[column]:g}" for column in order),
            a=tuple(a.tolist()),
            b=tuple(b.tolist()),
            difference=tuple((b - a).tolist()),
            lo95=tuple(low for low, _ in bands),
            hi95=tuple(high for _, high in bands),
            log=self.sweep.log_distance,
            neutral=self.sweep.neutral,
        )

    def _curves(self, rows: FloatArray) -> tuple[FloatArray, FloatArray]:
        width = self.sweep.width
        return rows[:, :width], rows[:, :width] + rows[:, width:]

    def _crossings(self, curves: FloatArray, floor: Floor) -> FloatArray:
        return np.column_stack([crossings(side, curves, floor) for side in self.sweep.sides])

    def _longest(self, a: FloatArray, b: FloatArray) -> OrderStatistics:
        ends = np.array([side.distances[-1] for side in self.sweep.sides])
        sure = np.mean(a < ends * (1 - 1e-9), axis=0) >= SURE_SHARE
        return OrderStatistics.of(np.where(sure, a, ends).min(1) - b.min(1))


def size_difference(
    metric: str, n: int, a: float, b: float, estimates: Sequence[Estimate], covariance: FloatArray, rng: Rng
) -> Difference:  # fmt: skip
    """Compare signed quantities whose sizes are what may be worse; of several sides the worst counts.

    `estimates` are those of A's S sides and then of their differences, `covariance` (2S, 2S) theirs.
    """
    count, at = len(estimates) // 2, np.array([each.posterior.loc for each in estimates])
    df = min(float(each.posterior.df or 1e9) for each in estimates)
    draws = joint_draws(at, covariance, df, rng)
    ours = draws[:, :count]
    step = np.column_stack([estimates[count + k].posterior.corrected(draws[:, count + k]) for k in range(count)])
    theirs, shifts = ours + step, estimates[count:]
    posterior = shifts[0].posterior if count == 1 else _of_worse_sides(at, covariance, df)
    sure = np.abs(at[:count]) >= SURE_SE * np.sqrt(np.diag(covariance)[:count])
    return Difference(
        metric, n, a, b, posterior.summary(value=b - a), posterior, "smaller",
        sizes=OrderStatistics.of(np.abs(theirs).max(1) - np.abs(ours).max(1)),
        bound=_size_bound(np.abs(ours), np.abs(theirs), np.abs(step), sure),
        informative=fewest(shifts), few_informative=any(each.few for each in shifts),
    )  # fmt: skip


def _of_worse_sides(at: FloatArray, covariance: FloatArray, df: float) -> SkewedT:
    """Give the posterior of B's lowest side less A's, from those of A's two sides and of their differences.

    It is as much wider as a 97.5 % interval is than a 95 % one, for each model's side was chosen of two, as a single
    model's is.
    """
    ours, theirs = at[:2], at[:2] + at[2:]
    contrast = np.zeros(4)
    contrast[np.argmin(ours)] -= 1
    contrast[[np.argmin(theirs), 2 + np.argmin(theirs)]] += 1
    wider = float(stdtrit(df, 0.9875) / stdtrit(df, 0.975))
    scale = float(np.sqrt(np.maximum(contrast @ covariance @ contrast, 0)))
    return SkewedT(float(theirs.min() - ours.min()), wider * scale, df)


def _size_bound(ours: FloatArray, theirs: FloatArray, step: FloatArray, sure: FloatArray) -> OrderStatistics:
    """Bound the largest |b| less the largest |a|, drawn (m, S), from above.

    |a| drawn about 0 is larger than it is: where a side's sign is not `sure`, |b| - |a| <= |b - a| is taken. A
    side is held against A's largest one where that is surely larger than its own, else against its own.
    """
    largest = int(np.argmax(ours.mean(0)))
    parts = []
    for side in range(ours.shape[1]):
        above = sure[largest] and np.mean(ours[:, largest] > ours[:, side]) >= SURE_SHARE
        against = largest if above else side
        parts.append(theirs[:, side] - ours[:, against] if sure[against] else step[:, side])
    return OrderStatistics.of(np.max(parts, axis=0))


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
    return np.asarray(np.where(below.any(1), at, x[-1]))


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
