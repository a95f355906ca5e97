"""Layers over an image: what covers parts of it, and fog."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mlflow_sensie.perturbations.base import Array
from mlflow_sensie.perturbations.pixels import Canvas, ImagePerturbation


@dataclass(frozen=True, kw_only=True)
class Occlude(ImagePerturbation):
    """Covers a rectangle of p times each side with ``fill`` (0.5: mid-grey), anti-aliased, at a random place.

    The position scales with the room there is, so that smaller rectangles lie within larger ones and
    exactly p² of the image is covered. After Zeiler & Fergus (2014, arXiv:1311.2901).

    Examples:
        >>> covered = Occlude(fill=0.0)(np.ones((1, 50, 50)), 0.3, np.random.default_rng(0))
        >>> round(1 - float(covered.mean()), 6)
        0.09
    """

    unit = "fraction of side"
    limits = (0.0, 1.0)
    default_magnitudes = (0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)
    random = True

    fill: float = 0.5

    def draw(self, prepared: Canvas, rng: np.random.Generator) -> Array:
        """How far down and to the right in the room there is, (N, 2)."""
        return rng.random((len(prepared.pixels), 2))

    def apply(self, prepared: Canvas, magnitude: float, draws: Array) -> Array:
        """The pixels with the rectangle over them."""
        height, width = prepared.pixels.shape[1:3]
        rows, columns = (coverage(draws[:, axis], magnitude, side) for axis, side in enumerate((height, width)))
        opacity = (rows[:, :, None] * columns[:, None, :])[..., None].astype(prepared.pixels.dtype)
        return prepared.covered(opacity, self.fill)


def coverage(position: Array, fraction: float, size: int) -> Array:
    """How much of each of ``size`` pixels an interval covers, (n, size), of length ``fraction``·size."""
    start = (position * (1 - fraction) * size)[:, None]
    pixels = np.arange(size)
    covered = np.minimum(start + fraction * size, pixels + 1) - np.maximum(start, pixels)
    return np.asarray(np.clip(covered, 0, 1))


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
