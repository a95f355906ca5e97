"""What a camera, a codec or the weather does to images: JPEG, coarse pixels, occlusion, fog."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from mlflow_sensie.errors import MissingDependencyError
from mlflow_sensie.perturbations.base import Array
from mlflow_sensie.perturbations.pixels import Canvas, ImagePerturbation, opencv


def jpeg_codec() -> Callable[[Array, int], Array]:
    """A function (uint8 image (H, W) or RGB (H, W, 3), quality) → the image after JPEG.

    OpenCV where it is installed, else Pillow; they agree to the bit. Raises MissingDependencyError if
    neither is.
    """
    if (cv2 := opencv()) is not None:
        return lambda image, quality: _through_cv2(cv2, image, quality)
    try:
        from PIL import Image
    except ImportError as error:
        message = "image.jpeg needs OpenCV or Pillow: pip install mlflow-sensie[image]"
        raise MissingDependencyError(message) from error
    return lambda image, quality: _through_pillow(Image, image, quality)


def _through_cv2(cv2: Any, image: Array, quality: int) -> Array:
    flags = cv2.IMREAD_GRAYSCALE if image.ndim == 2 else cv2.IMREAD_COLOR
    # OpenCV's colours are BGR
    stored = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", stored, [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded: Array = cv2.imdecode(encoded, flags)
    return decoded if image.ndim == 2 else np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB))


def _through_pillow(module: Any, image: Array, quality: int) -> Array:
    import io

    buffer = io.BytesIO()
    module.fromarray(image).save(buffer, format="JPEG", quality=quality)
    buffer.seek(0)
    with module.open(buffer) as decoded:
        return np.asarray(decoded)


@dataclass(frozen=True, kw_only=True)
class Jpeg(ImagePerturbation):
    """Compresses with JPEG at quality 100 - p, rounded; 1 or 3 (RGB) channels.

    Even quality 100 rounds to 8 bits and loses a little; at p = 0 there is no codec. Values outside
    [0, 1] cannot pass the codec and are clipped. Needs the extra ``[image]``: MissingDependencyError.
    """

    unit: ClassVar[str] = "100 - quality"
    limits: ClassVar[tuple[float, float]] = (0.0, 99.0)
    default_magnitudes: ClassVar[tuple[float, ...]] = (0, 10, 20, 30, 40, 50, 60, 70, 80, 90)
    staircase: ClassVar[bool] = True
    channels: ClassVar[tuple[int, ...]] = (1, 3)

    def prepare(self, inputs: Array) -> Array:
        """The pixels as bytes, (N, H, W, C)."""
        pixels = self.codec(inputs).decode(inputs)
        return np.asarray(np.rint(np.clip(np.nan_to_num(pixels), 0, 1) * 255), dtype=np.uint8)

    def draw(self, prepared: Array, rng: np.random.Generator | None) -> Callable[[Array, int], Array]:
        """The codec that is installed."""
        return jpeg_codec()

    def apply(self, prepared: Array, magnitude: float, draws: Callable[[Array, int], Array]) -> Array:
        """The pixels after the codec."""
        quality = 100 - round(magnitude)
        images = prepared[..., 0] if prepared.shape[-1] == 1 else prepared
        result = np.empty(images.shape, dtype=np.float32)
        for index, image in enumerate(images):
            result[index] = draws(image, quality)
        result *= np.float32(1 / 255)
        return result.reshape(prepared.shape)


@dataclass(frozen=True, kw_only=True)
class Pixelate(ImagePerturbation):
    """Replaces square blocks of p pixels a side, rounded, by their mean; smaller ones at the far edges."""

    unit: ClassVar[str] = "block px"
    neutral: ClassVar[float | None] = 1.0
    limits: ClassVar[tuple[float, float]] = (1.0, math.inf)
    default_magnitudes: ClassVar[tuple[float, ...]] = (1, 2, 3, 4, 5, 6, 7, 8)
    staircase: ClassVar[bool] = True
    monotone: ClassVar[bool] = False  # 4 px on a grid of 4 lose less than 3 px

    def apply(self, prepared: Canvas, magnitude: float, draws: None) -> Array:
        """The pixels averaged in blocks."""
        block = round(magnitude)
        means = prepared.pixels
        for axis in (1, 2):
            starts = np.arange(0, means.shape[axis], block)
            counts = np.diff(starts, append=means.shape[axis])
            shape = [1, 1, 1, 1]
            shape[axis] = -1
            means = np.add.reduceat(means, starts, axis=axis) / counts.astype(means.dtype).reshape(shape)
        height, width = prepared.pixels.shape[1:3]
        grown = means.repeat(block, axis=1)[:, :height]
        return np.ascontiguousarray(grown.repeat(block, axis=2)[:, :, :width])


@dataclass(frozen=True, kw_only=True)
class Occlude(ImagePerturbation):
    """Covers a rectangle of p times each side with ``fill`` (0.5: mid-grey), anti-aliased, at a random place.

    The position scales with the room there is, so that smaller rectangles lie within larger ones and
    exactly p² of the image is covered. After Zeiler & Fergus (2014, arXiv:1311.2901).
    """

    unit: ClassVar[str] = "fraction of side"
    limits: ClassVar[tuple[float, float]] = (0.0, 1.0)
    default_magnitudes: ClassVar[tuple[float, ...]] = (0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)
    random: ClassVar[bool] = True

    fill: float = 0.5

    def draw(self, prepared: Canvas, rng: np.random.Generator | None) -> Array:
        """How far down and to the right in the room there is, (N, 2)."""
        assert rng is not None
        return rng.random((len(prepared.pixels), 2))

    def apply(self, prepared: Canvas, magnitude: float, draws: Array) -> Array:
        """The pixels with the rectangle over them."""
        height, width = prepared.pixels.shape[1:3]
        rows = coverage(draws[:, 0], magnitude, height)
        columns = coverage(draws[:, 1], magnitude, width)
        opacity = (rows[:, :, None] * columns[:, None, :])[..., None].astype(prepared.pixels.dtype)
        perturbed: Array = prepared.pixels * (1 - opacity)
        perturbed += opacity * prepared.pixels.dtype.type(self.fill)
        return perturbed


def coverage(position: Array, fraction: float, size: int) -> Array:
    """How much of each of ``size`` pixels an interval covers, (n, size), of length ``fraction``·size."""
    start = (position * (1 - fraction) * size)[:, None]
    pixels = np.arange(size)
    covered: Array = np.clip(np.minimum(start + fraction * size, pixels + 1) - np.maximum(start, pixels), 0, 1)
    return covered


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


@dataclass(frozen=True, kw_only=True)
class Fog(ImagePerturbation):
    """Lays fog of brightness ``colour`` (1: white) over the image, p its opacity where it is thickest.

    The fog is drawn once per image: smooth noise in three octaves, half as thick at its thinnest.
    """

    unit: ClassVar[str] = "opacity"
    limits: ClassVar[tuple[float, float]] = (0.0, 1.0)
    default_magnitudes: ClassVar[tuple[float, ...]] = (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
    random: ClassVar[bool] = True

    colour: float = 1.0

    def draw(self, prepared: Canvas, rng: np.random.Generator | None) -> Array:
        """The thickness of the fog, (N, H, W, 1), from a half to 1 in each image."""
        assert rng is not None
        n, height, width = prepared.pixels.shape[:3]
        noise = np.zeros((n, height, width))
        for octave, weight in enumerate((1.0, 0.5, 0.25)):
            knots = 2 * 2**octave + 1
            grid = rng.random((n, knots, knots))
            noise += weight * (cosine_interpolation(height, knots) @ grid @ cosine_interpolation(width, knots).T)
        low, high = noise.min(axis=(1, 2), keepdims=True), noise.max(axis=(1, 2), keepdims=True)
        thickness = 0.5 + 0.5 * (noise - low) / np.where(high > low, high - low, 1)
        return np.asarray(thickness[..., None], dtype=prepared.pixels.dtype)

    def apply(self, prepared: Canvas, magnitude: float, draws: Array) -> Array:
        """The pixels seen through the fog."""
        opacity = draws * prepared.pixels.dtype.type(magnitude)
        perturbed: Array = prepared.pixels * (1 - opacity)
        perturbed += opacity * prepared.pixels.dtype.type(self.colour)
        return perturbed
