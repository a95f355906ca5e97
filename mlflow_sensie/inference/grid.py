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

    def slope_contrast(self) -> FloatArray:
        """Give c (width,) so that c @ scores is the least-squares slope over distance."""
        u = self.distances - self.distances.mean()
        return self._placed(u / (u @ u))

    def area_contrast(self) -> FloatArray:
        """Give c (width,) so that c @ scores is the trapezoid integral over distance."""
        step = np.diff(self.distances)
        return self._placed((np.append(step, 0) + np.append(0, step)) / 2)

    def _placed(self, values: FloatArray) -> FloatArray:
        out = np.zeros(self.width)
        out[list(self.columns)] = values
        return out


@dataclass(frozen=True)
class MagnitudeGrid:
    """The magnitudes of a perturbation test, its neutral, and the sides that this makes, below first."""

    magnitudes: tuple[float, ...]
    neutral: float | None
    log_distance: bool
    sides: tuple[Side, ...]

    @classmethod
    def of(cls, magnitudes: Sequence[float], neutral: float | None, log_distance: bool = False) -> MagnitudeGrid:
        """Split a sweep at its neutral.

        Raises ValueError for magnitudes that are not finite, ascending and different from the neutral, for a
        single magnitude without a neutral, and for a logarithmic distance not between positive numbers.
        """
        p = _checked(magnitudes, neutral, log_distance)
        width = len(p) + 1
        if neutral is None:
            sides = [Side("all", width, tuple(range(1, width)), p, p)]
        else:
            below, above = np.flatnonzero(p < neutral)[::-1], np.flatnonzero(p > neutral)
            sides = []
            for name, index in (("below", below), ("above", above)):
                if len(index):
                    points = np.concatenate([[neutral], p[index]])
                    columns = (0, *(int(j) + 1 for j in index))
                    sides.append(Side(name, width, columns, points, distance(points, neutral, log_distance)))
        known = None if neutral is None else float(neutral)
        return cls(tuple(map(float, p)), known, bool(log_distance), tuple(sides))

    @property
    def width(self) -> int:
        """Give the number of columns: the clean score and every magnitude."""
        return len(self.magnitudes) + 1

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


def _checked(magnitudes: Sequence[float], neutral: float | None, log_distance: bool) -> FloatArray:
    p = np.asarray(magnitudes, np.float64)
    if p.ndim != 1 or not len(p) or not np.all(np.isfinite(p)) or not np.all(np.diff(p) > 0):
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
    return p
