"""What the weather does to images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mlflow_sensie.perturbations.base import Array
from mlflow_sensie.perturbations.pixels import Canvas, ImagePerturbation


@dataclass(frozen=True, kw_only=True)
class Fog(ImagePerturbation):
    """Lays fog of brightness ``colour`` (1: white) over the image, p its opacity where it is thickest.

    The fog is drawn once per image: smooth noise in three octaves, half as thick at its thinnest. After the fog of
    Hendrycks & Dietterich (2019, arXiv:1903.12261), whose fractal this noise stands for.

    Examples:
        >>> foggy = Fog()(np.zeros((1, 20, 20)), 0.6, np.random.default_rng(0))
        >>> float(foggy.min()), float(foggy.max())
        (0.3, 0.6)
    """

    unit = "opacity"
    limits = (0.0, 1.0)
    default_magnitudes = (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
    random = True

    colour: float = 1.0

    def draw(self, prepared: Canvas, rng: np.random.Generator) -> Array:
        """The thickness of the fog, (N, H, W, 1), from a half to 1 in each image."""
        noise = smooth_noise(prepared.pixels.shape[:3], rng)
        low, high = noise.min(axis=(1, 2), keepdims=True), noise.max(axis=(1, 2), keepdims=True)
        thickness = 0.5 + 0.5 * (noise - low) / np.where(high > low, high - low, 1)
        return np.asarray(thickness[..., None], dtype=prepared.pixels.dtype)

    def apply(self, prepared: Canvas, magnitude: float, draws: Array) -> Array:
        """The pixels seen through the fog."""
        opacity = draws * prepared.pixels.dtype.type(magnitude)
        return prepared.covered(opacity, self.colour)


def smooth_noise(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Noise (N, H, W) in three octaves, each half as strong and twice as fine as the one before."""
    n, height, width = shape
    noise = np.zeros(shape)
    for octave, weight in enumerate((1.0, 0.5, 0.25)):
        knots = 2 * 2**octave + 1
        grid = rng.random((n, knots, knots))
        noise += weight * (cosine_interpolation(height, knots) @ grid @ cosine_interpolation(width, knots).T)
    return noise


@lru_cache(maxsize=32)
def cosine_interpolation(size: int, knots: int) -> Array:
    """The matrix (size, knots) that interpolates between evenly spaced knots along a side."""
    position = np.linspace(0, knots - 1, size)
    left = np.minimum(np.floor(position).astype(int), knots - 2)
    share = (1 - np.cos(np.pi * (position - left))) / 2
    matrix = np.zeros((size, knots))
    matrix[np.arange(size), left] = 1 - share
    matrix[np.arange(size), left + 1] += share
    return matrix
