"""Perturbations of a frame's numbers, in units of each column's SD; and the shop window of all of frames."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mlflow_sensie.perturbations.base import Array
from mlflow_sensie.perturbations.cell_replacement import Missing, Permute, Swap
from mlflow_sensie.perturbations.tabular_base import Numbers, Numeric, TabularPerturbation

__all__ = [
    "Missing",
    "Noise",
    "Outliers",
    "Permute",
    "Round",
    "Scale",
    "Shift",
    "Swap",
    "TabularPerturbation",
]


@dataclass(frozen=True, kw_only=True)
class Noise(Numeric):
    """Adds Gaussian noise with SD p times the column's own SD to every number."""

    unit: ClassVar[str] = "feature SDs"
    limits: ClassVar[tuple[float, float]] = (0.0, math.inf)
    default_magnitudes: ClassVar[tuple[float, ...]] = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
    random: ClassVar[bool] = True
    needs_survey: ClassVar[bool] = True

    def draw(self, prepared: Numbers, rng: np.random.Generator | None) -> Array:
        """Standard normal noise times each column's SD."""
        assert rng is not None
        noise: Array = rng.standard_normal(prepared.values.shape) * self.sds(prepared.names)
        return noise

    def apply(self, prepared: Numbers, magnitude: float, draws: Array) -> Numbers:
        """The numbers plus ``magnitude`` times the draws."""
        return prepared.to(prepared.values + magnitude * draws)


@dataclass(frozen=True, kw_only=True)
class Shift(Numeric):
    """Adds p times the column's own SD to every number: a drift of all features at once."""

    unit: ClassVar[str] = "feature SDs"
    default_magnitudes: ClassVar[tuple[float, ...]] = (-1, -0.8, -0.6, -0.4, -0.2, 0, 0.2, 0.4, 0.6, 0.8, 1)
    needs_survey: ClassVar[bool] = True

    def apply(self, prepared: Numbers, magnitude: float, draws: None) -> Numbers:
        """The numbers plus ``magnitude`` SDs."""
        return prepared.to(prepared.values + magnitude * self.sds(prepared.names))


@dataclass(frozen=True, kw_only=True)
class Scale(Numeric):
    """Multiplies every number by p: a wrong unit or gain."""

    unit: ClassVar[str] = "factor"
    neutral: ClassVar[float | None] = 1.0
    log_distance: ClassVar[bool] = True
    limits: ClassVar[tuple[float, float]] = (0.0, math.inf)
    default_magnitudes: ClassVar[tuple[float, ...]] = (0.5, 0.6, 0.7, 0.85, 1.0, 1.2, 1.4, 1.7, 2.0)

    def apply(self, prepared: Numbers, magnitude: float, draws: None) -> Numbers:
        """The numbers times ``magnitude``."""
        return prepared.to(prepared.values * magnitude)


@dataclass(frozen=True, kw_only=True)
class Round(Numeric):
    """Rounds every number to a multiple of p times the column's own SD: a coarser instrument."""

    unit: ClassVar[str] = "feature SDs"
    limits: ClassVar[tuple[float, float]] = (0.0, math.inf)
    default_magnitudes: ClassVar[tuple[float, ...]] = (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1)
    needs_survey: ClassVar[bool] = True
    monotone: ClassVar[bool] = False  # a value may lie on a coarse grid and between the points of a finer one

    def apply(self, prepared: Numbers, magnitude: float, draws: None) -> Numbers:
        """The numbers on the grid; constant columns are kept."""
        step = magnitude * self.sds(prepared.names)
        safe = np.where(step > 0, step, 1)
        return prepared.to(np.where(step > 0, np.rint(prepared.values / safe) * safe + 0.0, prepared.values))


@dataclass(frozen=True, kw_only=True)
class Outliers(Numeric):
    """Replaces a fraction p of the numbers by outliers, ``size`` (5) SDs above or below the column's mean."""

    unit: ClassVar[str] = "rate"
    limits: ClassVar[tuple[float, float]] = (0.0, 1.0)
    default_magnitudes: ClassVar[tuple[float, ...]] = (0, 0.02, 0.05, 0.08, 0.12, 0.16, 0.2, 0.25, 0.3)
    random: ClassVar[bool] = True
    needs_survey: ClassVar[bool] = True

    size: float = 5.0

    def draw(self, prepared: Numbers, rng: np.random.Generator | None) -> tuple[Array, Array]:
        """The rate from which on a cell is hit, and its outlier."""
        assert rng is not None
        turn = rng.random(prepared.values.shape)
        side = rng.integers(0, 2, prepared.values.shape) * 2 - 1
        return turn, self.means(prepared.names) + side * self.size * self.sds(prepared.names)

    def apply(self, prepared: Numbers, magnitude: float, draws: tuple[Array, Array]) -> Numbers:
        """The numbers with those replaced whose turn has come; missing ones stay missing."""
        turn, outlier = draws
        return prepared.to(np.where(turn < magnitude, outlier, prepared.values))
