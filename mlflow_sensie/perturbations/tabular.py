"""Perturbations of a frame's numbers, in units of each column's SD."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mlflow_sensie.perturbations.base import Array
from mlflow_sensie.perturbations.draws import RATES, add_noise, replace_hit, standard_normal
from mlflow_sensie.perturbations.tabular_base import Numbers, NumericPerturbation


@dataclass(frozen=True, kw_only=True)
class Noise(NumericPerturbation):
    """Adds Gaussian noise with SD p times the column's own SD to every number."""

    unit = "feature SDs"
    limits = (0.0, math.inf)
    default_magnitudes = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
    random = True
    needs_survey = True

    def draw(self, prepared: Numbers, rng: np.random.Generator | None) -> Array:
        """Standard normal noise times each column's SD."""
        assert rng is not None
        noise = standard_normal(prepared.values.shape, np.float64, rng)
        return np.multiply(noise, self.sds(prepared.names), order="F")

    def change(self, values: Array, magnitude: float, draws: Array) -> Array:
        """The numbers plus ``magnitude`` times the draws."""
        return add_noise(values, magnitude, draws)


@dataclass(frozen=True, kw_only=True)
class Shift(NumericPerturbation):
    """Adds p times the column's own SD to every number: a drift of all features at once."""

    unit = "feature SDs"
    default_magnitudes = (-1, -0.8, -0.6, -0.4, -0.2, 0, 0.2, 0.4, 0.6, 0.8, 1)
    needs_survey = True

    def draw(self, prepared: Numbers, rng: np.random.Generator | None) -> Array:
        """The SD of each column."""
        return self.sds(prepared.names)

    def change(self, values: Array, magnitude: float, draws: Array) -> Array:
        """The numbers plus ``magnitude`` SDs."""
        return np.asarray(values + magnitude * draws)


@dataclass(frozen=True, kw_only=True)
class Scale(NumericPerturbation):
    """Multiplies every number by p: a wrong unit or gain.

    Examples:
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"price": [1.5, np.nan], "count": [2, 3], "town": ["Ulm", "Bonn"]})
        >>> Scale()(frame, 1.2)
           price  count  town
        0    1.8      2   Ulm
        1    NaN      4  Bonn
    """

    unit = "factor"
    neutral = 1.0
    log_distance = True
    limits = (0.0, math.inf)
    default_magnitudes = (0.5, 0.6, 0.7, 0.85, 1.0, 1.2, 1.4, 1.7, 2.0)

    def change(self, values: Array, magnitude: float, draws: None) -> Array:
        """The numbers times ``magnitude``."""
        return values * magnitude


@dataclass(frozen=True, kw_only=True)
class Round(NumericPerturbation):
    """Rounds every number to a multiple of p times the column's own SD: a coarser instrument."""

    unit = "feature SDs"
    limits = (0.0, math.inf)
    default_magnitudes = (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1)
    needs_survey = True
    monotone = False  # a value may lie on a coarse grid and between the points of a finer one

    def draw(self, prepared: Numbers, rng: np.random.Generator | None) -> Array:
        """The SD of each column."""
        return self.sds(prepared.names)

    def change(self, values: Array, magnitude: float, draws: Array) -> Array:
        """The numbers on the grid; constant columns are kept."""
        step = magnitude * draws
        safe = np.where(step > 0, step, 1)
        return np.where(step > 0, np.rint(values / safe) * safe + 0.0, values)


@dataclass(frozen=True, kw_only=True)
class Outliers(NumericPerturbation):
    """Replaces a fraction p of the numbers by outliers, ``size`` (5) SDs above or below the column's mean."""

    unit = "rate"
    limits = (0.0, 1.0)
    default_magnitudes = RATES
    random = True
    needs_survey = True

    size: float = 5.0

    def draw(self, prepared: Numbers, rng: np.random.Generator | None) -> tuple[Array, Array]:
        """The rate from which on a cell is hit, and its outlier."""
        assert rng is not None
        turns = rng.random(prepared.values.shape)
        sides = rng.integers(0, 2, prepared.values.shape) * 2 - 1
        means = np.array([self.summary(name).mean or 0.0 for name in prepared.names])
        outliers = means + sides * self.size * self.sds(prepared.names)
        return np.asfortranarray(turns), np.asfortranarray(outliers)

    def change(self, values: Array, magnitude: float, draws: tuple[Array, Array]) -> Array:
        """The numbers with those replaced whose turn has come."""
        return replace_hit(values, magnitude, *draws)
