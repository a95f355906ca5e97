"""Blurs of images: averages over a neighbourhood, with the edge pixel repeated outside the image.

They are our own because the filters of SciPy, given a whole batch, take four times as long.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np

from mlflow_sensie.perturbations.base import Array
from mlflow_sensie.perturbations.pixels import ImagePerturbation, opencv

BLOCK = 32  # rows per product; measured: 24 to 48 are alike, all rows at once 3 times slower at 224 px
CACHED = 1 << 15  # values worked on at a time, so that they stay in the processor's cache
LARGE = 64 * 64  # pixels from which on OpenCV blurs faster: measured, 1.1 times at 64 px and 1.6 times at 224 px
MOST_CHANNELS = 128  # of an image in OpenCV 5
KERNEL_POINTS = 4096


@dataclass(frozen=True, kw_only=True)
class Blur(ImagePerturbation):
    """Base of the blurs; an average cannot leave the range of the values, so nothing is clipped to [0, 1]."""

    unit = "px"
    limits = (0.0, math.inf)

    def blur(self, planes: Array, magnitude: float) -> Array:
        """The blurred planes (n, H, W)."""
        raise NotImplementedError

    def prepare(self, inputs: Array) -> Array:
        """The pixels (N, H, W, C), contiguous."""
        return np.ascontiguousarray(self.pixels(inputs))

    def apply(self, prepared: Array, magnitude: float, draws: None) -> Array:
        """The blurred pixels (N, H, W, C)."""
        n, height, width, channels = prepared.shape
        result = np.empty_like(prepared)
        step = max(1, CACHED // max(1, height * width * channels))
        for part in (slice(start, start + step) for start in range(0, n, step)):
            planes = np.ascontiguousarray(prepared[part].transpose(0, 3, 1, 2))
            blurred = self.blur(planes.reshape(-1, height, width), magnitude).reshape(planes.shape)
            for channel in range(channels):
                result[part, ..., channel] = blurred[:, channel]
        return result


@dataclass(frozen=True, kw_only=True)
class GaussianBlur(Blur):
    """Gaussian blur with SD p in pixels; the edge pixel is repeated outside.

    Agrees with ``scipy.ndimage.gaussian_filter(mode="nearest")``. Products with matrices, or from 64 × 64 px
    on OpenCV's filter where it is installed; they agree to 1e-6.

    Examples:
        >>> from scipy import ndimage
        >>> image = np.random.default_rng(0).random((1, 20, 20))
        >>> expected = ndimage.gaussian_filter(image, (0, 1.5, 1.5), mode="nearest")
        >>> bool(np.allclose(GaussianBlur()(image, 1.5), expected))
        True
    """

    default_magnitudes = (0, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0)

    def blur(self, planes: Array, magnitude: float) -> Array:
        """Blurred across, then down, by products with blocks of rows of two banded matrices.

        One block is the whole matrix for small images; for large ones the zeros are left out.
        """
        height, width = planes.shape[1:]
        across, down = np.empty_like(planes), np.empty_like(planes)
        for rows, columns, band in gaussian_bands(width, magnitude, planes.dtype.name):
            np.matmul(planes[:, :, columns], band.T, out=across[:, :, rows])
        for rows, columns, band in gaussian_bands(height, magnitude, planes.dtype.name):
            np.matmul(band, across[:, columns], out=down[:, rows])
        return down

    def apply(self, prepared: Array, magnitude: float, draws: None) -> Array:
        """The blurred pixels (N, H, W, C)."""
        _, height, width, channels = prepared.shape
        library = opencv() if height * width >= LARGE and channels <= MOST_CHANNELS else None
        if library is None:
            return super().apply(prepared, magnitude, draws)
        weights, border = gaussian_weights(magnitude), library.BORDER_REPLICATE
        result = np.empty_like(prepared)
        for image, out in zip(prepared, result, strict=True):
            library.sepFilter2D(image, -1, weights, weights, dst=out, borderType=border)
        return result


@dataclass(frozen=True, kw_only=True)
class DefocusBlur(Blur):
    """Averages over a disc of radius p pixels, a lens out of focus; the edge pixel is repeated outside."""

    default_magnitudes = (0, 0.5, 1, 1.5, 2, 3, 4, 5, 6, 7)

    def blur(self, planes: Array, magnitude: float) -> Array:
        """Averaged with an anti-aliased disc."""
        return convolve(planes, disc_kernel(magnitude))


@dataclass(frozen=True, kw_only=True)
class MotionBlur(Blur):
    """Averages along a line of p pixels, ``angle`` degrees counter-clockwise from the horizontal.

    The edge pixel is repeated outside.
    """

    default_magnitudes = (0, 1, 2, 3, 4, 6, 8, 10, 12, 15)

    angle: float = 0.0

    def blur(self, planes: Array, magnitude: float) -> Array:
        """Averaged with an anti-aliased line."""
        return convolve(planes, line_kernel(magnitude, self.angle))


# --- Gaussians: products with a banded matrix ---


def gaussian_weights(sigma: float) -> Array:
    """The weights (2r + 1,) of a 1-D Gaussian blur, as in ``scipy.ndimage.gaussian_filter1d(truncate=4)``."""
    radius = int(4.0 * sigma + 0.5)
    with np.errstate(over="ignore"):  # at the smallest sigmas the exponent overflows to the exact limit, no blur
        weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    return np.asarray(weights / weights.sum())


@lru_cache(maxsize=64)
def gaussian_bands(size: int, sigma: float, dtype: str) -> list[tuple[slice, slice, Array]]:
    """The matrix (size, size) of a 1-D Gaussian blur with the edge value repeated, in blocks of rows.

    Each with its rows, the columns that are not 0 in them, and what stands there.
    """
    weights = gaussian_weights(sigma)
    radius, positions, matrix = len(weights) // 2, np.arange(size), np.zeros((size, size))
    for step, weight in enumerate(weights, start=-radius):
        np.add.at(matrix, (positions, np.clip(positions + step, 0, size - 1)), weight)
    matrix = matrix.astype(dtype)
    rows = [slice(start, min(start + BLOCK, size)) for start in range(0, size, BLOCK)]
    bands = [(part, slice(max(part.start - radius, 0), min(part.stop + radius, size))) for part in rows]
    return [(part, columns, matrix[part, columns]) for part, columns in bands]


# --- other kernels: Fourier transforms ---


def kernel_of(y: Array, x: Array) -> Array:
    """The kernel (2r + 1, 2r + 1) of the average over subpixel positions, rows ``y`` and columns ``x``.

    Positions are read bilinearly: it grows smoothly from the identity, where counting pixels would jump.
    """
    radius = math.ceil(max(np.abs(y).max(), np.abs(x).max()))
    kernel = np.zeros((2 * radius + 2, 2 * radius + 2))
    top, left = np.floor(y).astype(int), np.floor(x).astype(int)
    for down, right in product((0, 1), repeat=2):
        weight = (1 - np.abs(y - top - down)) * (1 - np.abs(x - left - right))
        np.add.at(kernel, (top + down + radius, left + right + radius), weight)
    return kernel[:-1, :-1] / len(y)


@lru_cache(maxsize=64)
def disc_kernel(radius: float) -> Array:
    """The kernel of a disc: points on a sunflower spiral cover it evenly."""
    index = np.arange(KERNEL_POINTS)
    r, angle = radius * np.sqrt((index + 0.5) / KERNEL_POINTS), np.pi * (3 - np.sqrt(5)) * index
    kernel = kernel_of(r * np.sin(angle), r * np.cos(angle))
    # the spiral is not quite symmetric; its mean over the symmetries of the square is
    kernel = (kernel + kernel.T) / 2
    kernel = (kernel + kernel[::-1]) / 2
    return (kernel + kernel[:, ::-1]) / 2


@lru_cache(maxsize=64)
def line_kernel(length: float, angle: float) -> Array:
    """The kernel of a line through the centre, ``angle`` degrees counter-clockwise from the right."""
    steps = (np.arange(KERNEL_POINTS) + 0.5) / KERNEL_POINTS - 0.5
    y, x = -math.sin(math.radians(angle)) * steps * length, math.cos(math.radians(angle)) * steps * length
    return kernel_of(y, x)


def convolve(planes: Array, kernel: Array) -> Array:
    """Planes (n, H, W) averaged with a kernel (2r + 1, 2r + 1), the edge pixel repeated outside.

    By the fast Fourier transform, whose time does not depend on the size of the kernel.
    """
    from scipy import fft

    radius = kernel.shape[0] // 2
    _, height, width = planes.shape
    shape = [fft.next_fast_len(side + 2 * radius, real=True) for side in (height, width)]
    padded = np.pad(planes, ((0, 0), (radius, radius), (radius, radius)), mode="edge")
    spectrum = fft.rfft2(padded, s=shape, axes=(1, 2))
    spectrum *= fft.rfft2(kernel.astype(planes.dtype), s=shape)
    blurred = fft.irfft2(spectrum, s=shape, axes=(1, 2), overwrite_x=True)
    result = blurred[:, 2 * radius : 2 * radius + height, 2 * radius : 2 * radius + width]
    # the transform's rounding must not make a black background faintly negative
    low, high = planes.min(axis=(1, 2), keepdims=True), planes.max(axis=(1, 2), keepdims=True)
    return np.asarray(np.clip(result, low, high))
