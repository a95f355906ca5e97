"""The geometry of a sweep: its sides, distances, and the contrasts that summarise its curve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mlflow_sensie.inference.curve import distance
from mlflow_sensie.moments import FloatArray


@dataclass(frozen=True)
class Side:
    """One side of a sweep: the columns of its points in order of distance, their magnitudes and distances.

    Column 0 of the score table is the clean score and column 1 + j the j-th magnitude. The first point is the neutral where that is
    known. `length` is the largest distance; without a neutral, the distance between the first and last magnitude.
    """

    name: str
    columns: tuple[int, ...]
    magnitudes: FloatArray
    distances: FloatArray

    @property
    def length(self) -> float:
        """Give the range over which the side's effect is measured."""
        return float(self.distances[-1] - self.distances[0])

    def slope_contrast(self, width: int) -> FloatArray:
        """Give c (width,) so that c @ scores is the least-squares slope over distance."""
        u = self.distances - self.distances.mean()
        return self._placed(u / (u @ u), width)

    def area_contrast(self, width: int) -> FloatArray:
        """Give c (width,) so that c @ scores is the trapezoid integral over distance."""
        step = np.diff(self.distances)
        return self._placed((np.append(step, 0) + np.append(0, step)) / 2, width)

    def _placed(self, values: FloatArray, width: int) -> FloatArray:
        out = np.zeros(width)
        out[list(self.columns)] = values
        return out


def sweep_sides(magnitudes: Sequence[float], neutral: float | None, log_distance: bool = False) -> tuple[Side, ...]:
    """Split a sweep at its neutral into the sides that there are, below first.

    Raises ValueError for magnitudes that are not finite, ascending and different from the neutral, for a single magnitude without a
    neutral, and for a logarithmic distance that is not between positive numbers.
    """
    p = _checked(magnitudes, neutral, log_distance)
    if neutral is None:
        return (Side("all", tuple(range(1, len(p) + 1)), p, p),)
    below, above = np.flatnonzero(p < neutral)[::-1], np.flatnonzero(p > neutral)
    sides = []
    for name, index in (("below", below), ("above", above)):
        if len(index):
            points = np.concatenate([[neutral], p[index]])
            columns = (0, *(int(j) + 1 for j in index))
            sides.append(Side(name, columns, points, distance(points, neutral, log_distance)))
    return tuple(sides)


def mean_drop_contrast(sides: Sequence[Side], width: int) -> FloatArray:
    """Give c (width,) so that c @ scores is clean less the average over distance, the sides pooled by their length."""
    clean = np.eye(width)[0]
    area = np.sum([side.area_contrast(width) for side in sides], axis=0)
    return np.asarray(clean - area / sum(side.length for side in sides))


def drop_contrasts(width: int) -> FloatArray:
    """Give (width, width - 1) contrasts: clean less the score at each magnitude."""
    return np.concatenate([np.ones((1, width - 1)), -np.eye(width - 1)])


def _checked(magnitudes: Sequence[float], neutral: float | None, log_distance: bool) -> FloatArray:
    p = np.asarray(magnitudes, np.float64)
    if p.ndim != 1 or not len(p) or not np.all(np.isfinite(p)) or not np.all(np.diff(p) > 0):
        raise ValueError(f"magnitudes must be finite and ascending, at least one, not {list(magnitudes)!r}")
    if neutral is None:
        if len(p) < 2:
            raise ValueError(f"a sweep with no known neutral needs at least two magnitudes, not {list(magnitudes)!r}")
        if log_distance:
            raise ValueError("a logarithmic distance needs a neutral to be measured from")
    elif np.any(p == neutral):
        raise ValueError(f"the neutral {neutral!r} must not be among the magnitudes: its scores are the clean ones")
    elif log_distance and not (neutral > 0 and p[0] > 0):
        raise ValueError(f"a logarithmic distance needs magnitudes and neutral above 0, not {p[0]:g} and {neutral:g}")
    return p
