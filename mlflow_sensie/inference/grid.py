"""The geometry of a sweep: how far magnitudes are from the neutral, its sides, and the contrasts that summarise it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from mlflow_sensie.inference.weights import FloatArray, IntArray, Moments


class DistanceAxis:
    """How far p is from a neutral, by its logarithm where ``log_distance``; p itself without a neutral."""

    neutral: float | None
    log_distance: bool

    def distance(self, p: ArrayLike) -> FloatArray:
        """Give the distances |p - neutral| or |log(p / neutral)|, of p's shape."""
        x = np.asarray(p, np.float64)
        if self.neutral is None:
            return x
        return np.abs(np.log(x / self.neutral)) if self.log_distance else np.abs(x - self.neutral)

    def magnitude_at(self, distance: float, *, below: bool = False) -> float:
        """Give the value that lies so far above the neutral, or below it: the inverse of ``distance``."""
        if self.neutral is None:
            return distance
        signed = -distance if below else distance
        return self.neutral * math.exp(signed) if self.log_distance else self.neutral + signed


@dataclass(frozen=True)
class Side:
    """One side of a sweep: the columns of its points in order of distance, their magnitudes and distances.

    Column 0 of the score table is the clean score and column 1 + j the j-th magnitude. The first point is the
    neutral where that is known; `width` is the number of columns.
    """

    name: str
    width: int
    columns: tuple[int, ...]
    magnitudes: FloatArray
    distances: FloatArray

    @property
    def length(self) -> float:
        """Give the range of the effect: the largest distance; without a neutral, first to last magnitude."""
        return float(self.distances[-1] - self.distances[0])

    def within(self, low: float, high: float) -> IntArray:
        """Give the indices of the points whose magnitudes lie in a range, its ends included."""
        slack = 1e-9 * (high - low)
        return np.flatnonzero((self.magnitudes >= low - slack) & (self.magnitudes <= high + slack))

    def part(self, points: IntArray) -> Side:
        """Give some of the points, by their indices, as a side."""
        columns = tuple(self.columns[k] for k in points)
        return replace(self, columns=columns, magnitudes=self.magnitudes[points], distances=self.distances[points])

    def moments(self, moments: Moments) -> tuple[FloatArray, FloatArray]:
        """Give mean (K,) and covariance (K, K) of the scores at the side's points, from those of all columns."""
        columns = list(self.columns)
        return moments.mean[columns], moments.covariance()[np.ix_(columns, columns)]

    def slope_contrast(self) -> FloatArray:
        """Give c (width,) so that c @ scores is the least-squares slope over distance."""
        u = self.distances - self.distances.mean()
        return self._placed(u / (u @ u))

    def area_contrast(self) -> FloatArray:
        """Give c (width,) so that c @ scores is the trapezoid integral over distance."""
        step = np.diff(self.distances)
        return self._placed((np.append(step, 0) + np.append(0, step)) / 2)

    def _placed(self, values: FloatArray) -> FloatArray:
        contrast = np.zeros(self.width)
        contrast[list(self.columns)] = values
        return contrast


@dataclass(frozen=True)
class MagnitudeGrid(DistanceAxis):
    """The magnitudes of a perturbation test (J,), ascending and without the neutral, and the sides that this makes.

    Without a known neutral distance is the magnitude itself. Raises ValueError for magnitudes that are not finite,
    ascending and different from the neutral, for a single magnitude without a neutral, and for a logarithmic distance
    not between positive numbers.

    >>> grid = MagnitudeGrid.of([-10, 10, 20], neutral=0)
    >>> [(side.name, side.distances.tolist()) for side in grid.sides]
    [('below', [0.0, 10.0]), ('above', [0.0, 10.0, 20.0])]
    >>> MagnitudeGrid.of([2, 4], neutral=1, log_distance=True).distance([0.5, 4]).round(3).tolist()
    [0.693, 1.386]
    """

    magnitudes: tuple[float, ...]
    neutral: float | None
    log_distance: bool = False

    def __post_init__(self) -> None:
        _check(self.magnitudes, self.neutral, self.log_distance)

    @classmethod
    def of(cls, magnitudes: Sequence[float], neutral: float | None, log_distance: bool = False) -> MagnitudeGrid:
        """Take magnitudes and a neutral of any numeric type."""
        known = None if neutral is None else float(neutral)
        return cls(tuple(map(float, magnitudes)), known, bool(log_distance))

    @property
    def width(self) -> int:
        """Give the number of columns: the clean score and every magnitude."""
        return len(self.magnitudes) + 1

    @cached_property
    def sides(self) -> tuple[Side, ...]:
        """Give the sides, below the neutral first; without a neutral a single one, "all"."""
        p, width = np.array(self.magnitudes), self.width
        if self.neutral is None:
            return (Side("all", width, tuple(range(1, width)), p, p),)
        below, above = np.flatnonzero(p < self.neutral)[::-1], np.flatnonzero(p > self.neutral)
        sides = []
        for name, index in (("below", below), ("above", above)):
            if len(index):
                points = np.concatenate([[self.neutral], p[index]])
                columns = (0, *(int(j) + 1 for j in index))
                sides.append(Side(name, width, columns, points, self.distance(points)))
        return tuple(sides)

    def side(self, name: str) -> Side:
        """Give the side of this name."""
        return next(side for side in self.sides if side.name == name)

    def contrasts(self) -> FloatArray:
        """Give (width, sides + 1 + J) contrasts: the sides' slopes, the mean drop, each magnitude's drop.

        The mean drop is clean less the average over distance, the sides pooled by their length.
        """
        slopes = [side.slope_contrast() for side in self.sides]
        length = sum(side.length for side in self.sides)
        area = np.sum([side.area_contrast() for side in self.sides], axis=0)
        clean, width = np.eye(self.width)[0], self.width
        drops = np.concatenate([np.ones((1, width - 1)), -np.eye(width - 1)])
        return np.column_stack([*slopes, clean - area / length, drops])


def _check(magnitudes: Sequence[float], neutral: float | None, log_distance: bool) -> None:
    p = np.asarray(magnitudes, np.float64)
    if not len(p) or not np.all(np.isfinite(p)) or not np.all(np.diff(p) > 0):
        raise ValueError(f"magnitudes must be finite and ascending, at least one, not {list(magnitudes)!r}")
    if neutral is None:
        if len(p) < 2:
            raise ValueError(f"a sweep with no known neutral needs at least two magnitudes, not {list(magnitudes)!r}")
        if log_distance:
            raise ValueError("a logarithmic distance needs a neutral to be measured from")
    elif not np.isfinite(neutral) or np.any(p == neutral):
        raise ValueError(f"the neutral {neutral!r} must be finite and not among the magnitudes: it is the clean score")
    elif log_distance and not (neutral > 0 and p[0] > 0):
        raise ValueError(f"a logarithmic distance needs magnitudes and neutral above 0, not {p[0]:g} and {neutral:g}")
