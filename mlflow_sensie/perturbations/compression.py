"""What storing does to images: compression by JPEG, and coarser pixels."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mlflow_sensie.errors import MissingDependencyError
from mlflow_sensie.perturbations.base import Array
from mlflow_sensie.perturbations.pixels import Canvas, ImagePerturbation, opencv

Codec = Callable[[Array, int], Array]


@dataclass(frozen=True, kw_only=True)
class Jpeg(ImagePerturbation):
    """Compresses with JPEG at quality 100 - p, rounded; 1 or 3 (RGB) channels.

    Even quality 100 rounds to 8 bits and loses a little; at p = 0 there is no codec. Values outside
    [0, 1] cannot pass the codec and are clipped. Needs the extra ``[image]``: MissingDependencyError.
    """

    unit = "100 - quality"
    limits = (0.0, 99.0)
    default_magnitudes = (0, 10, 20, 30, 40, 50, 60, 70, 80, 90)
    staircase = True
    channels = (1, 3)

    def prepare(self, inputs: Array) -> Array:
        """The pixels as bytes, (N, H, W, C)."""
        pixels = self.pixels(inputs)
        return np.asarray(np.rint(np.clip(np.nan_to_num(pixels), 0, 1) * 255), dtype=np.uint8)

    def draw(self, prepared: Array, rng: None) -> Codec:
        """The codec that is installed."""
        return jpeg_codec()

    def apply(self, prepared: Array, magnitude: float, draws: Codec) -> Array:
        """The pixels after the codec."""
        quality = 100 - round(magnitude)
        images = prepared[..., 0] if prepared.shape[-1] == 1 else prepared
        result = np.empty(images.shape, dtype=np.float32)
        for image, out in zip(images, result, strict=True):
            out[:] = draws(image, quality)
        result *= np.float32(1 / 255)
        return result.reshape(prepared.shape)


@dataclass(frozen=True, kw_only=True)
class Pixelate(ImagePerturbation):
    """Replaces square blocks of p pixels a side, rounded, by their mean; smaller ones at the far edges.

    Examples:
        >>> Pixelate()(np.array([[[0.0, 0.2, 0.5], [0.2, 0.4, 0.7]]]), 2)
        array([[[0.2, 0.2, 0.6],
                [0.2, 0.2, 0.6]]])
    """

    unit = "block px"
    neutral = 1.0
    limits = (1.0, math.inf)
    default_magnitudes = (1, 2, 3, 4, 5, 6, 7, 8)
    staircase = True
    monotone = False  # 4 px on a grid of 4 lose less than 3 px

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


def jpeg_codec() -> Codec:
    """A function (uint8 image (H, W) or RGB (H, W, 3), quality) → the image after JPEG.

    OpenCV where it is installed, else Pillow; they agree to the bit. Raises MissingDependencyError if
    neither is.
    """
    if (cv2 := opencv()) is not None:

        def through_opencv(image: Array, quality: int) -> Array:
            colour = image.ndim == 3  # in the order BGR there
            stored = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if colour else image
            _, encoded = cv2.imencode(".jpg", stored, [cv2.IMWRITE_JPEG_QUALITY, quality])
            decoded: Array = cv2.imdecode(encoded, cv2.IMREAD_COLOR if colour else cv2.IMREAD_GRAYSCALE)
            return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)) if colour else decoded

        return through_opencv
    try:
        from PIL import Image
    except ImportError as error:
        message = "image.jpeg needs OpenCV or Pillow: pip install mlflow-sensie[image]"
        raise MissingDependencyError(message) from error

    def through_pillow(image: Array, quality: int) -> Array:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, format="JPEG", quality=quality)
        return np.asarray(Image.open(buffer))

    return through_pillow
