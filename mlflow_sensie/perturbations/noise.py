"""Noise: draws that all magnitudes share, scaled by them or hit from a rate on; and the noise of images."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlflow_sensie.perturbations.base import Array
from mlflow_sensie.perturbations.pixels import Canvas, ImagePerturbation

PAIRS = 1 << 16  # drawn at a time, in arrays small enough for a processor's cache; measured: half as many are alike
RATES = (0, 0.02, 0.05, 0.08, 0.12, 0.16, 0.2, 0.25, 0.3)  # default magnitudes of what replaces values


def add_noise(values: Array, magnitude: float, noise: Array, out: Array | None = None) -> Array:
    """``values + magnitude * noise`` in the dtype of ``noise``: draws are made once, so a curve is smooth in p.

    Examples:
        >>> add_noise(np.array([1.0, 2.0]), 0.5, np.array([-1.0, 4.0]))
        array([0.5, 4. ])
    """
    perturbed: Array = np.multiply(noise, noise.dtype.type(magnitude), out=out)
    perturbed += values
    return perturbed


def replace_hit(values: Array, magnitude: float, turns: Array, replacements: Array) -> Array:
    """``values`` with those replaced whose turn, uniform from 0 to 1, is below the rate ``magnitude``.

    What is hit at a smaller rate is hit at a larger one as well.

    Examples:
        >>> replace_hit(np.array([1.0, 2.0, 3.0]), 0.5, np.array([0.9, 0.1, 0.4]), np.zeros(3))
        array([1., 0., 0.])
    """
    return np.where(turns < magnitude, replacements, values)


def standard_normal(shape: tuple[int, ...], dtype: npt.DTypeLike, rng: np.random.Generator) -> Array:
    """Independent standard normal numbers of this shape, float32 or float64.

    In float32 by Box & Muller (1958, doi:10.1214/aoms/1177706645) on 64 random bits per pair: every step is a
    vector operation, where numpy's rejection takes one number after the other, in three times the time. The
    largest possible is 6.7.
    """
    if np.dtype(dtype) != np.float32:
        return rng.standard_normal(shape)
    count = math.prod(shape)
    numbers = np.empty(count + count % 2, dtype=np.float32)
    source = np.random.SFC64(rng.integers(np.iinfo(np.int64).max))  # makes bits a quarter faster than PCG64
    for start in range(0, len(numbers), 2 * PAIRS):
        _fill_pairs(numbers[start : start + 2 * PAIRS], source)
    return numbers[:count].reshape(shape)


def _fill_pairs(out: Array, source: np.random.SFC64) -> None:
    """Fill ``out`` of even length: its first half are cosines, its second half the sines of the same pairs."""
    half = len(out) // 2
    cosines, sines = out[:half], out[half:]
    bits = source.random_raw(half).view(np.int32)
    radius = np.abs(bits[:half].astype(np.float32))  # uniform from 0 to 2^31; never 0 once a half is added
    radius += np.float32(0.5)
    radius *= np.float32(2.0**-31)
    np.log2(radius, out=radius)  # faster than the natural one
    radius *= np.float32(-2 * math.log(2))
    np.sqrt(radius, out=radius)
    np.multiply(bits[half:], np.float32(np.pi * 2.0**-31), out=sines, dtype=np.float32, casting="unsafe")
    np.cos(sines, out=cosines)
    np.sin(sines, out=sines)
    cosines *= radius
    sines *= radius


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

    def draw(self, prepared: Canvas, rng: np.random.Generator) -> Array:
        """Standard normal noise, one number per value."""
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

    def draw(self, prepared: Canvas, rng: np.random.Generator) -> Array:
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

    def draw(self, prepared: Canvas, rng: np.random.Generator) -> tuple[Array, Array]:
        """The rate from which on a pixel is hit, and what it turns into (0 or 1)."""
        shape = (*prepared.pixels.shape[:3], 1)
        dtype = prepared.pixels.dtype
        return rng.random(shape, dtype=np.float32), rng.integers(0, 2, shape, dtype=np.uint8).astype(dtype)

    def apply(self, prepared: Canvas, magnitude: float, draws: tuple[Array, Array]) -> Array:
        """The pixels with those replaced whose turn has come."""
        return replace_hit(prepared.pixels, magnitude, *draws)
