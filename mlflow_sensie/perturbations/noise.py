"""Noise on images: the draws are made once and scaled by the magnitude, so that curves are smooth in it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mlflow_sensie.perturbations.base import Array
from mlflow_sensie.perturbations.draws import add_noise, replace_hit, standard_normal
from mlflow_sensie.perturbations.pixels import Canvas, ImagePerturbation


@dataclass(frozen=True, kw_only=True)
class GaussianNoise(ImagePerturbation):
    """Adds independent Gaussian noise, x + p·eps, with p its SD as a fraction of the value range.

    Examples:
        >>> grey = np.full((1, 200, 200), 0.5)
        >>> weak, strong = GaussianNoise().along(grey, [0.01, 0.1], np.random.default_rng(0))
        >>> bool(np.allclose(strong - grey, 10 * (weak - grey)))
        True
        >>> float(weak.std().round(3))
        0.01
    """

    unit = "fraction of range"
    limits = (0.0, math.inf)
    default_magnitudes = (0.0, 0.03, 0.06, 0.09, 0.12, 0.15, 0.2, 0.25, 0.3)
    random = True

    def draw(self, prepared: Canvas, rng: np.random.Generator | None) -> Array:
        """Standard normal noise, one number per value."""
        assert rng is not None
        return standard_normal(prepared.pixels.shape, prepared.pixels.dtype, rng)

    def apply(self, prepared: Canvas, magnitude: float, draws: Array) -> Array:
        """The pixels plus ``magnitude`` times the draws, clipped."""
        result = np.empty_like(draws)
        for part, canvas in prepared.blocks():
            canvas.clip(add_noise(canvas.pixels, magnitude, draws[part], out=result[part]))
        return result


@dataclass(frozen=True, kw_only=True)
class ShotNoise(GaussianNoise):
    """Adds noise whose variance grows with the light, x + p·√x·eps, with p its SD at the brightest pixel.

    The Gaussian limit of Poisson counts with 1/p² photons at the brightest pixel; unlike counts it is smooth
    in p.
    """

    def draw(self, prepared: Canvas, rng: np.random.Generator | None) -> Array:
        """Normal noise in proportion to the root of the light."""
        draws = super().draw(prepared, rng)
        for part, canvas in prepared.blocks():
            draws[part] *= np.sqrt(np.maximum(canvas.pixels, 0))
        return draws


@dataclass(frozen=True, kw_only=True)
class ImpulseNoise(ImagePerturbation):
    """Turns a fraction p of the pixels black or white, all channels together ("salt and pepper")."""

    unit = "fraction of pixels"
    limits = (0.0, 1.0)
    default_magnitudes = (0.0, 0.01, 0.02, 0.04, 0.06, 0.08, 0.12, 0.16, 0.2)
    random = True

    def draw(self, prepared: Canvas, rng: np.random.Generator | None) -> tuple[Array, Array]:
        """The rate from which on a pixel is hit, and what it turns into (0 or 1)."""
        assert rng is not None
        shape = (*prepared.pixels.shape[:3], 1)
        dtype = prepared.pixels.dtype
        return rng.random(shape, dtype=np.float32), rng.integers(0, 2, shape, dtype=np.uint8).astype(dtype)

    def apply(self, prepared: Canvas, magnitude: float, draws: tuple[Array, Array]) -> Array:
        """The pixels with those replaced whose turn has come."""
        return replace_hit(prepared.pixels, magnitude, *draws)
