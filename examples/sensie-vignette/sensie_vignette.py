"""Dark corners, as a cheap lens makes them: a perturbation and a property for mlflow-sensie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mlflow_sensie.perturbations.pixels import Canvas, ImagePerturbation


@dataclass(frozen=True, kw_only=True)
class Vignette(ImagePerturbation):
    """Darkens an image towards its corners: there, p of the light is lost.

    ``ImagePerturbation`` takes care of layout, value range and dtype; what is left to write is what happens
    to pixels (N, H, W, C) in [0, 1] at a magnitude that is not the neutral one.
    """

    unit = "fraction of light"
    limits = (0.0, 1.0)
    default_magnitudes = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)

    power: float = 2.0  # a parameter: recipes set it with params: {power: 4}

    def apply(self, prepared: Canvas, magnitude: float, draws: Any) -> np.ndarray:
        """Return new pixels; the prepared ones are shared by all magnitudes and must not be written into."""
        pixels = prepared.pixels
        rows, columns = np.meshgrid(
            np.linspace(-1, 1, pixels.shape[1]), np.linspace(-1, 1, pixels.shape[2]), indexing="ij"
        )
        towards_corner = ((rows**2 + columns**2) / 2) ** (self.power / 2)
        light = (1 - magnitude * towards_corner).astype(pixels.dtype)
        return pixels * light[None, :, :, None]


def corner_darkness(images: np.ndarray) -> np.ndarray:
    """Return (n,): how much darker an image's corners are than the image, for images (n, H, W) or (n, H, W, C)."""
    height, width = images.shape[1] // 4, images.shape[2] // 4
    corners = [images[:, rows, columns] for rows in (slice(height), slice(-height, None))
               for columns in (slice(width), slice(-width, None))]  # fmt: skip
    flat = np.concatenate([corner.reshape(len(images), -1) for corner in corners], axis=1)
    return images.reshape(len(images), -1).mean(axis=1) - flat.mean(axis=1)
