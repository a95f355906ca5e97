"""Properties of images, of pixels (N, H, W, C) in [0, 1] whatever the stored range and layout."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from operator import attrgetter

import numpy as np

from mlflow_sensie.data.survey import ValueRange
from mlflow_sensie.errors import DataError
from mlflow_sensie.perturbations.base import Array
from mlflow_sensie.perturbations.light import luma
from mlflow_sensie.perturbations.pixels import to_pixels
from mlflow_sensie.properties import Measure


@dataclass(frozen=True, kw_only=True)
class ImageProperty(Measure):
    """A function of pixels (N, H, W, C) in [0, 1] to (N,) as a property of images.

    Examples:
        >>> MEAN(np.array([[[0, 255], [0, 255]], [[0, 0], [0, 51]]], dtype=np.uint8))
        array([0.5 , 0.05])
    """

    kind = "tensor"

    layout: str | None = field(default=None, repr=False, metadata={"bound": attrgetter("layout")})
    value_range: ValueRange | None = field(default=None, repr=False, metadata={"bound": attrgetter("value_range")})

    def __call__(self, inputs: Array) -> Array:
        """The property of each image, (n,) float64; NaN for an image with a missing pixel."""
        pixels = to_pixels(inputs, self.layout, self.value_range)
        missing = np.isnan(pixels)
        measured = np.asarray(self.function(np.where(missing, 0, pixels) if missing.any() else pixels), dtype=float)
        return np.where(missing.any(axis=(1, 2, 3)), np.nan, measured)


def mean(pixels: Array) -> Array:
    """The mean pixel value over all pixels and channels."""
    return np.asarray(pixels.mean(axis=(1, 2, 3), dtype=np.float64))


def contrast(pixels: Array) -> Array:
    """The SD of the brightness over the pixels: RMS contrast, Peli (1990, doi:10.1364/JOSAA.7.002032)."""
    return np.asarray(luma(pixels).std(axis=(1, 2), dtype=np.float64))


def sharpness(pixels: Array) -> Array:
    """The SD of the brightness's Laplacian over the pixels, after Pech-Pacheco et al. (2000, ICPR).

    The Laplacian is the difference between four neighbours and four times the pixel; edges are repeated.
    """
    grey = luma(pixels)
    edge = np.pad(grey, ((0, 0), (1, 1), (1, 1)), mode="edge")
    laplacian = edge[:, 2:, 1:-1] + edge[:, :-2, 1:-1] + edge[:, 1:-1, 2:] + edge[:, 1:-1, :-2] - 4 * grey
    return np.asarray(laplacian.std(axis=(1, 2), dtype=np.float64))


def edge_density(pixels: Array, threshold: float = 0.1) -> Array:
    """The fraction of pixels whose Sobel gradient of the brightness, per pixel, exceeds ``threshold``.

    Edges of the image are repeated.
    """
    edge = np.pad(luma(pixels), ((0, 0), (1, 1), (1, 1)), mode="edge")
    across, down = edge[:, :, 2:] - edge[:, :, :-2], edge[:, 2:] - edge[:, :-2]
    gx = (across[:, :-2] + 2 * across[:, 1:-1] + across[:, 2:]) / 8
    gy = (down[:, :, :-2] + 2 * down[:, :, 1:-1] + down[:, :, 2:]) / 8
    return np.asarray((np.hypot(gx, gy) > threshold).mean(axis=(1, 2)))


def colourfulness(pixels: Array) -> Array:
    """Colourfulness of RGB images, Hasler & Süsstrunk (2003, doi:10.1117/12.477378), for values in [0, 1].

    √(σ²_rg + σ²_yb) + 0.3·√(μ²_rg + μ²_yb); DataError without three channels.
    """
    if pixels.shape[-1] != 3:
        raise DataError(f"Colourfulness needs images with 3 channels; these have {pixels.shape[-1]}.")
    red, green, blue = np.moveaxis(pixels.astype(np.float64), -1, 0)
    opponents = np.stack([red - green, (red + green) / 2 - blue])
    spread, centre = opponents.std(axis=(2, 3)), opponents.mean(axis=(2, 3))
    return np.asarray(np.hypot(*spread) + 0.3 * np.hypot(*centre))


def entropy(pixels: Array) -> Array:
    """Shannon entropy of the histogram of 256 grey levels: 0 for one grey, at most 8 bits."""
    shares = grey_histograms(pixels)
    return np.asarray(-(shares * np.log2(np.where(shares > 0, shares, 1))).sum(axis=1) + 0.0)


def foreground_fraction(pixels: Array) -> Array:
    """The fraction of pixels brighter than the image's own threshold; 0 for an image of one grey.

    The threshold is the level that best separates two classes of brightness, that of Otsu (1979,
    doi:10.1109/TSMC.1979.4310076).
    """
    shares = grey_histograms(pixels)
    below = shares.cumsum(axis=1)
    light = (shares * np.arange(256)).cumsum(axis=1)
    inside = below * (1 - below)
    between = (light[:, -1:] * below - light) ** 2 / np.where(inside > 1e-12, inside, np.inf)
    above = 1 - below[np.arange(len(shares)), between.argmax(axis=1)]
    return np.where(between.max(axis=1, initial=0) > 0, above, 0.0)


def grey_histograms(pixels: Array) -> Array:
    """Relative frequencies of 256 grey levels in each image, (n, 256); outside [0, 1] counts at the ends."""
    grey = luma(pixels)
    level = np.clip(grey * 255 + 0.5, 0, 255).astype(np.int64).reshape(len(grey), math.prod(grey.shape[1:]))
    flat = level + 256 * np.arange(len(pixels))[:, None]
    counts = np.bincount(flat.ravel(), minlength=256 * len(pixels)).reshape(len(pixels), 256)
    return np.asarray(counts / level.shape[1])


MEAN = ImageProperty(mean, unit="fraction of range")
CONTRAST = ImageProperty(contrast, unit="fraction of range")
SHARPNESS = ImageProperty(sharpness, unit="fraction of range")
EDGE_DENSITY = ImageProperty(edge_density, unit="fraction of pixels")
COLOURFULNESS = ImageProperty(colourfulness)
ENTROPY = ImageProperty(entropy, unit="bits")
FOREGROUND_FRACTION = ImageProperty(foreground_fraction, unit="fraction of pixels")
