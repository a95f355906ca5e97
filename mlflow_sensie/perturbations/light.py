"""Light and colour of images: each value changed by itself or by its own image's statistics."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mlflow_sensie.perturbations.base import Array
from mlflow_sensie.perturbations.pixels import Canvas, ImagePerturbation

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in PIL and OpenCV


def luma(pixels: Array) -> Array:
    """Brightness (N, H, W) of pixels: BT.601 for 3 channels (RGB), else the mean over channels."""
    if pixels.shape[-1] == 3:
        return np.asarray(pixels @ np.asarray(LUMA, dtype=pixels.dtype))
    return pixels[..., 0] if pixels.shape[-1] == 1 else np.asarray(pixels.mean(axis=-1))


@dataclass(frozen=True, kw_only=True)
class Brightness(ImagePerturbation):
    """Adds p, a fraction of the value range, to every value: above 0 is brighter.

    Examples:
        >>> Brightness()(np.array([[[0, 100, 250]]], dtype=np.uint8), 0.2).tolist()
        [[[51, 151, 255]]]
    """

    unit = "fraction of range"
    limits = (-1.0, 1.0)
    default_magnitudes = (-0.4, -0.3, -0.2, -0.1, -0.05, 0, 0.05, 0.1, 0.2, 0.3, 0.4)

    def apply(self, prepared: Canvas, magnitude: float, draws: None) -> Array:
        """The pixels plus ``magnitude``, clipped."""
        result = np.empty(prepared.pixels.shape, dtype=prepared.pixels.dtype)
        for part, canvas in prepared.blocks():
            canvas.clip(np.add(canvas.pixels, result.dtype.type(magnitude), out=result[part]))
        return result


@dataclass(frozen=True, kw_only=True)
class Contrast(ImagePerturbation):
    """Multiplies each value's distance from its channel's mean in the image by p: below 1 is flatter.

    As the contrast corruption of Hendrycks & Dietterich (2019, arXiv:1903.12261).
    """

    unit = "factor"
    neutral = 1.0
    log_distance = True
    limits = (0.0, math.inf)
    default_magnitudes: ClassVar[tuple[float, ...]] = (0.3, 0.4, 0.55, 0.75, 1.0, 1.2, 1.4, 1.7, 2.0)

    def draw(self, prepared: Canvas, rng: None) -> Array:
        """The mean of each channel of each image."""
        return np.asarray(prepared.pixels.mean(axis=(1, 2), keepdims=True))

    def apply(self, prepared: Canvas, magnitude: float, draws: Array) -> Array:
        """The pixels spread about what was drawn, clipped."""
        factor = prepared.pixels.dtype.type(magnitude)
        perturbed: Array = prepared.pixels * factor
        perturbed += draws * (1 - factor)
        return prepared.clip(perturbed)


@dataclass(frozen=True, kw_only=True)
class Gamma(ImagePerturbation):
    """Raises every value to the power p: above 1 is darker, below 1 brighter; 0 and 1 stay.

    Values outside [0, 1], where a power means nothing, are kept.
    """

    unit = "exponent"
    neutral = 1.0
    log_distance = True
    limits = (0.0, math.inf)
    default_magnitudes = (0.4, 0.5, 0.65, 0.8, 1.0, 1.25, 1.6, 2.0, 2.5)

    def apply(self, prepared: Canvas, magnitude: float, draws: None) -> Array:
        """The pixels to the power of ``magnitude``."""
        pixels = prepared.pixels
        inside = np.clip(pixels, 0, 1)
        perturbed = np.asarray(inside ** pixels.dtype.type(magnitude))
        return perturbed if isinstance(prepared.low, float) else np.where(inside == pixels, perturbed, pixels)


@dataclass(frozen=True, kw_only=True)
class Saturation(Contrast):
    """Multiplies each RGB colour's distance from its own grey (BT.601) by p: 0 is grey, above 1 vivid."""

    log_distance = False  # it may be 0
    default_magnitudes = (0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 1.75, 2.0)
    channels = (3,)

    def draw(self, prepared: Canvas, rng: None) -> Array:
        """The grey of each pixel, (N, H, W, 1)."""
        return luma(prepared.pixels)[..., None]


@dataclass(frozen=True, kw_only=True)
class Hue(ImagePerturbation):
    """Turns the hue of RGB colours by p degrees (red → yellow → green); saturation and value stay.

    In the HSV space, as the standard library's colorsys.
    """

    unit = "degrees"
    default_magnitudes = (-60, -48, -36, -24, -12, 0, 12, 24, 36, 48, 60)
    channels = (3,)

    def draw(self, prepared: Canvas, rng: None) -> tuple[Array, Array, Array]:
        """Hue in sixths of the circle, value and chroma of each pixel, (N, H, W) each."""
        red, green, blue = np.moveaxis(prepared.pixels, -1, 0)
        value = prepared.pixels.max(axis=-1)
        chroma = value - prepared.pixels.min(axis=-1)
        safe = np.where(chroma > 0, chroma, 1)
        beside_red, beside_green, beside_blue = (green - blue) / safe, 2 + (blue - red) / safe, 4 + (red - green) / safe
        hue = np.where(value == red, beside_red, np.where(value == green, beside_green, beside_blue))
        return hue, value, chroma

    def apply(self, prepared: Canvas, magnitude: float, draws: tuple[Array, Array, Array]) -> Array:
        """Colours of the new hue; they lie between the old pixel's least and greatest channel."""
        hue, value, chroma = draws
        perturbed = np.empty(prepared.pixels.shape, dtype=prepared.pixels.dtype)
        for channel, start in enumerate((5, 3, 1)):
            turned: Any = (hue + prepared.pixels.dtype.type(start + magnitude / 60)) % 6
            perturbed[..., channel] = value - chroma * np.clip(np.minimum(turned, 4 - turned), 0, 1)
        return perturbed
