"""Parts of an image that are covered."""

from __future__ import annotations

from dataclasses import dataclass

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
