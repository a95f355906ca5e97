"""Holds until: the largest distance up to which the mean score stays within the allowed drop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import stdtr, stdtrit

from mlflow_sensie.inference.grid import Side
from mlflow_sensie.inference.weights import BoolArray, FloatArray, Moments

FEW_FAILURES, PSEUDO_BELOW = 20, 100
ROUNDING = -1e-12  # must not break a curve that stays exactly at its floor
AllowedDrop = float | tuple[str, float]


@dataclass(frozen=True)
class Floor:
    """The floor under the mean score, keep × clean - below; `drop` is the allowed drop as given."""

    keep: float
    below: float
    drop: float

    @classmethod
    def of(cls, allowed_drop: AllowedDrop, fractional: bool) -> Floor:
        """Read an allowed drop: for scores in [0, 1] a fraction of the clean score, else in its unit."""
        kind, drop = ("", allowed_drop) if isinstance(allowed_drop, int | float) else allowed_drop
        if kind not in ("", "absolute") or not drop >= 0:
            raise ValueError(
                f"allowed_drop must be a number of at least 0 or ('absolute', number), not {allowed_drop!r}"
            )
        return cls(1 - drop, 0.0, float(drop)) if fractional and not kind else cls(1.0, float(drop), float(drop))

    def fallen(self, rows: FloatArray) -> BoolArray:
        """Tell which scores of rows (n, 1 + J), clean first, are below the floor of their own row."""
        return np.asarray(rows < self.keep * rows[:, :1] - self.below)


@dataclass(frozen=True)
class HoldsUntil:
    """Where one side of a sweep crosses its floor.

    `value` is the first crossing of the estimated curve and `lo95` a one-sided 95 % bound, both distances;
    `censored` where it never crosses and `value` is the largest distance tested. `distances`, `margin` (mean
    score above the floor), `variance` and `covariance` (with the next point) are the K points of the curve,
    from which `prob_at_least` is made.
    """

    side: str
    value: float
    lo95: float
    censored: bool
    few_informative: bool
    distances: tuple[float, ...]
    margin: tuple[float, ...]
    variance: tuple[float, ...]
    covariance: tuple[float, ...]
    df: float

    def prob_at_least(self, distance: float) -> float:
        """Give P(holds until >= distance), the smallest T(margin / se) up to it; 0 beyond what was tested."""
        if distance > self.distances[-1]:
            return 0.0
        grid = np.linspace(self.distances[0], max(distance, self.distances[0]), 65)
        u = np.concatenate([[x for x in self.distances if x <= distance], grid])
        margin, variance = self._between(u)
        sign = np.where(margin >= 0, np.inf, -np.inf)
        unit = np.where(variance > 0, margin / np.sqrt(np.where(variance > 0, variance, 1.0)), sign)
        return float(stdtr(self.df, unit.min()))

    def _between(self, u: FloatArray) -> tuple[FloatArray, FloatArray]:
        points = (self.distances, self.margin, self.variance, self.covariance)
        x, g, v, c = (np.asarray(values) for values in points)
        if len(x) == 1:
            return np.full(len(u), g[0]), np.full(len(u), v[0])
        k = np.clip(np.searchsorted(x, u, side="right") - 1, 0, len(x) - 2)
        t = (u - x[k]) / (x[k + 1] - x[k])
        variance = (1 - t) ** 2 * v[k] + 2 * t * (1 - t) * c[k] + t * t * v[k + 1]
        return (1 - t) * g[k] + t * g[k + 1], np.maximum(variance, 0)


def holds_until(
    side: Side,
    moments: Moments,
    floor: Floor,
    reach: tuple[float, float],
    family: int = 1,
    *,
    always: bool = False,
) -> HoldsUntil:
    """Find the first crossing of one side.

    `moments` are those of rows (clean score, one per magnitude); `reach` is the score's range. Where N × allowed
    drop (as a share of the range) is below 100, or `always`, two pseudo-curves are added, one that never drops and one
    that drops to the bound at once: so few examples may not hold the failures that would matter. Below 20
    that is flagged as well. The bound is at 1 - .05/family.
    """
    allowed = moments.n * (floor.drop / (reach[1] - reach[0]) if floor.below else floor.drop)
    if always or allowed < PSEUDO_BELOW:
        never = np.full(len(moments.mean), reach[1])
        at_once = np.concatenate([[reach[1]], np.full(len(never) - 1, reach[0])])
        moments = moments.joined(np.stack([never, at_once]))
    distances = side.distances
    contrast = np.eye(len(moments.mean))[list(side.columns)]
    contrast[:, 0] -= floor.keep
    margin = contrast @ moments.mean + floor.below
    covariance = contrast @ moments.covariance() @ contrast.T / moments.n
    variance = np.maximum(np.diag(covariance), 0)
    nexts = np.append(np.diag(covariance, 1), 0.0)
    df = float(moments.n - 1)
    value = float(crossings(side, moments.mean[None], floor)[0])
    return HoldsUntil(
        side=side.name,
        value=value,
        lo95=min(value, _lower_bound(distances, margin, variance, nexts, float(stdtrit(df, 1 - 0.05 / family)))),
        censored=not np.any(margin < ROUNDING),
        few_informative=allowed < FEW_FAILURES,
        distances=tuple(map(float, distances)),
        margin=tuple(map(float, margin)),
        variance=tuple(map(float, variance)),
        covariance=tuple(map(float, nexts)),
        df=df,
    )


def crossings(side: Side, curves: FloatArray, floor: Floor) -> FloatArray:
    """Give the distance (m,) at which each of m curves (m, width) first falls below its own floor, else the last."""
    x, points = side.distances, curves[:, list(side.columns)]
    margin = points - floor.keep * curves[:, :1] + floor.below
    below = margin < ROUNDING
    k = np.where(below.any(1), below.argmax(1), 0)
    after = np.take_along_axis(margin, k[:, None], 1)[:, 0]
    before = np.take_along_axis(margin, np.maximum(k - 1, 0)[:, None], 1)[:, 0]
    gap = before - after
    share = np.where((k > 0) & (gap > 0), before / np.where(gap > 0, gap, 1.0), 0.0)
    at = x[np.maximum(k - 1, 0)] + share * (x[k] - x[np.maximum(k - 1, 0)])
    return np.asarray(np.where(below.any(1), at, x[-1]))


def _lower_bound(x: FloatArray, margin: FloatArray, variance: FloatArray, nexts: FloatArray, quantile: float) -> float:
    """Find where margin - quantile × se first falls below 0; the last distance where it does not.

    Between two points the margin is straight and the se convex, so the difference is concave: it cannot dip
    below 0 between points where it is not negative, and falls below it once where the second is.
    """
    below = np.flatnonzero(margin - quantile * np.sqrt(variance) < ROUNDING)
    if not len(below):
        return float(x[-1])
    k = int(below[0])
    if k == 0:
        return float(x[0])
    t = _root(margin[k - 1 : k + 1], variance[k - 1 : k + 1], float(nexts[k - 1]), quantile)
    return float(x[k - 1] + t * (x[k] - x[k - 1]))


def _root(margin: FloatArray, variance: FloatArray, covariance: float, quantile: float) -> float:
    """Give the share of the way at which margin - quantile × se is 0."""

    def lower(t: float) -> float:
        spread2 = (1 - t) ** 2 * variance[0] + 2 * t * (1 - t) * covariance + t * t * variance[1]
        return float((1 - t) * margin[0] + t * margin[1] - quantile * np.sqrt(max(spread2, 0.0)))

    return float(brentq(lower, 0.0, 1.0, xtol=1e-15)) if lower(0.0) > 0 else 0.0
