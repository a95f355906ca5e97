"""Perturbations of time series: arrays (N, T) or (N, T, C), in stored values."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mlflow_sensie.errors import DataError
from mlflow_sensie.perturbations.base import Array, Perturbation
from mlflow_sensie.perturbations.noise import RATES, add_noise, replace_hit, standard_normal
from mlflow_sensie.perturbations.pixels import to_dtype, working_dtype


def check_series(inputs: Any) -> None:
    """Raise DataError for what is no numeric array (N, T) or (N, T, C)."""
    if not isinstance(inputs, np.ndarray) or inputs.dtype.kind not in "iuf" or inputs.ndim not in (2, 3):
        came = f"{inputs.dtype} {inputs.shape}" if isinstance(inputs, np.ndarray) else type(inputs).__name__
        raise DataError(f"Series must be a numeric array (N, T) or (N, T, C); got {came}.")


@dataclass(frozen=True, kw_only=True)
class SeriesPerturbation(Perturbation):
    """Base of the perturbations of series, (N, T) or (N, T, C); the dtype is kept, integers rounded."""

    kind = "series"

    def check(self, inputs: Any) -> None:
        """Raise DataError for what is no numeric array of two or three axes."""
        check_series(inputs)

    def prepare(self, inputs: Array) -> Array:
        """The series as floats (N, T, C): float32, or float64 where the dtype needs it."""
        floats = inputs.astype(working_dtype(inputs.dtype), copy=False)
        return floats[..., None] if inputs.ndim == 2 else floats

    def restore(self, perturbed: Array, inputs: Array) -> Array:
        """The series in the shape and dtype of ``inputs``."""
        return to_dtype(perturbed.reshape(inputs.shape), inputs.dtype)


@dataclass(frozen=True, kw_only=True)
class Noise(SeriesPerturbation):
    """Adds Gaussian noise with SD p times each channel's own SD in the whole data."""

    unit = "SDs"
    limits = (0.0, math.inf)
    default_magnitudes = (0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)
    random = True

    sds: tuple[float, ...] | None = field(
        default=None, repr=False, metadata={"bound": lambda survey: survey.tensor and survey.tensor.sd}
    )

    def check(self, inputs: Any) -> None:
        """Raise ValueError without a survey, DataError if its channels are not those of ``inputs``."""
        super().check(inputs)
        if self.sds is None:
            raise ValueError("Noise must know the whole data: call bind(survey) with a survey of series first.")
        channels = inputs.shape[2] if inputs.ndim == 3 else 1
        if len(self.sds) not in (1, channels):
            raise DataError(f"The survey has {len(self.sds)} channels; the series have {channels}.")

    def draw(self, prepared: Array, rng: np.random.Generator) -> Array:
        """Standard normal noise times each channel's SD."""
        noise = standard_normal(prepared.shape, prepared.dtype, rng)
        noise *= np.asarray(self.sds, dtype=prepared.dtype)
        return noise

    def apply(self, prepared: Array, magnitude: float, draws: Array) -> Array:
        """The series plus ``magnitude`` times the draws."""
        return add_noise(prepared, magnitude, draws)


@dataclass(frozen=True, kw_only=True)
class Scale(SeriesPerturbation):
    """Multiplies every value by p: a wrong gain.

    Examples:
        >>> Scale()(np.array([[1, 2, 5]], dtype=np.int16), 1.5).tolist()
        [[2, 3, 8]]
    """

    unit = "factor"
    neutral = 1.0
    log_distance = True
    limits = (0.0, math.inf)
    default_magnitudes = (0.5, 0.6, 0.7, 0.85, 1.0, 1.2, 1.4, 1.7, 2.0)

    def apply(self, prepared: Array, magnitude: float, draws: None) -> Array:
        """The series times ``magnitude``."""
        return np.asarray(prepared * prepared.dtype.type(magnitude))


@dataclass(frozen=True, kw_only=True)
class Dropout(SeriesPerturbation):
    """Sets a fraction p of the time steps to ``fill`` (0), all channels together: a sensor that drops out."""

    unit = "rate"
    limits = (0.0, 1.0)
    default_magnitudes = RATES
    random = True

    fill: float = 0.0

    @property
    def makes_missing(self) -> bool:  # type: ignore[override]  # known per instance here
        """Where ``fill`` is NaN."""
        return math.isnan(self.fill)

    def draw(self, prepared: Array, rng: np.random.Generator) -> Array:
        """The rate from which on a time step is lost, (N, T, 1)."""
        return rng.random((*prepared.shape[:2], 1))

    def apply(self, prepared: Array, magnitude: float, draws: Array) -> Array:
        """The series without the time steps whose turn has come."""
        return replace_hit(prepared, magnitude, draws, np.asarray(self.fill, dtype=prepared.dtype))


@dataclass(frozen=True, kw_only=True)
class Shift(SeriesPerturbation):
    """Delays the series by p times its length (above 0 is later), interpolated, the end value repeated."""

    unit = "fraction of length"
    limits = (-1.0, 1.0)
    default_magnitudes = (-0.1, -0.08, -0.06, -0.04, -0.02, 0, 0.02, 0.04, 0.06, 0.08, 0.1)
    monotone = False  # a periodic series comes back to itself

    def apply(self, prepared: Array, magnitude: float, draws: None) -> Array:
        """The series read from ``magnitude`` times its length earlier."""
        length = prepared.shape[1]
        position = np.clip(np.arange(length) - magnitude * length, 0, length - 1)
        before = np.floor(position).astype(np.int64)
        after = np.minimum(before + 1, length - 1)
        share = (position - before).astype(prepared.dtype)[None, :, None]
        earlier = prepared[:, before]
        # a missing value next to a step that is met exactly must not spread
        return np.where(share > 0, earlier * (1 - share) + prepared[:, after] * share, earlier)
