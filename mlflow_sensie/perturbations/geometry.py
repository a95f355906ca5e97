"""Affine warps of images: at a fixed magnitude each is one sparse linear operator for the whole batch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from mlflow_sensie.perturbations.base import Array
from mlflow_sensie.perturbations.pixels import ImagePerturbation

if TYPE_CHECKING:
    from scipy import sparse

Matrix = tuple[tuple[float, float], tuple[float, float]]


def build_operator(
    height: int, width: int, matrix: Matrix, offset: tuple[float, float], order: int, dtype: str
) -> sparse.csr_array[Any]:
    """The operator (pixels, pixels) of a warp that reads output pixel o at ``matrix @ o + offset``.

    Positions are (row, column). What lies outside the image has no entry, so rows there sum to less than 1.
    Agrees with ``scipy.ndimage.affine_transform(order=order, mode="grid-constant", cval=0)``, order 0 or 1.
    """
    from scipy import sparse

    rows, columns = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    y = matrix[0][0] * rows + matrix[0][1] * columns + offset[0]
    x = matrix[1][0] * rows + matrix[1][1] * columns + offset[1]
    if order == 0:
        y, x = np.floor(y + 0.5), np.floor(x + 0.5)
    top, left = np.floor(y), np.floor(x)
    taps, weights = [], []
    for down, right in product(range(order + 1), repeat=2):
        r, c = top + down, left + right
        weight = (1 - np.abs(y - r)) * (1 - np.abs(x - c))
        inside = (r >= 0) & (r < height) & (c >= 0) & (c < width)
        taps.append(np.where(inside, r * width + c, 0).ravel())
        weights.append(np.where(inside, weight, 0.0).ravel())
    tap, weight = np.stack(taps, axis=1), np.stack(weights, axis=1)
    used = weight != 0
    pointers = np.concatenate([[0], np.cumsum(used.sum(axis=1))]).astype(np.int32)
    entries = (weight[used].astype(dtype), tap[used].astype(np.int32), pointers)
    return sparse.csr_array(entries, shape=(height * width, height * width))


# small operators take up to 0.13 MB each, large ones up to 8 MB, and beyond that a sweep is slow anyway
_small_operator = lru_cache(maxsize=256)(build_operator)
_large_operator = lru_cache(maxsize=16)(build_operator)


def pixel_rows(pixels: Array) -> list[Array]:
    """Blocks of examples with the pixels first, (H, W, examples, C), as an operator takes them.

    They are small enough that a transpose stays in the cache. Measured: blocks of 256 kB are the fastest, but
    fewer than 24 columns cost more than the cache saves.
    """
    n, height, width, channels = pixels.shape
    size = max(8, -(-24 // max(channels, 1)), (1 << 16) // max(height * width * channels, 1))
    starts = range(0, max(n, 1), size)
    return [np.ascontiguousarray(pixels[start : start + size].transpose(1, 2, 0, 3)) for start in starts]


@dataclass(frozen=True, kw_only=True)
class Affine(ImagePerturbation):
    """Base of the affine warps about the image's centre; new pixels take the value ``fill`` in [0, 1].

    ``order`` is 1 for bilinear interpolation, 0 for the nearest pixel.
    """

    fill: float = 0.0
    order: int = 1

    def __post_init__(self) -> None:
        """Refuse an order or, where the warp has one, an axis that there is none of."""
        for name, allowed in (("order", (0, 1)), ("axis", ("x", "y"))):
            value = getattr(self, name, allowed[0])
            if value not in allowed:
                raise ValueError(f"{self.name}: {name} must be {allowed[0]!r} or {allowed[1]!r}; got {value!r}.")

    def matrix(self, magnitude: float) -> Matrix:
        """The input position (row, column) relative to the centre, per output position."""
        return ((1.0, 0.0), (0.0, 1.0))

    def shift(self, magnitude: float, height: int, width: int) -> tuple[float, float]:
        """Rows and columns added to the input position."""
        return (0.0, 0.0)

    def operator(self, magnitude: float, height: int, width: int, dtype: np.dtype[Any]) -> sparse.csr_array[Any]:
        """The sparse operator of this warp for images of this size, cached where it is small enough to be kept."""
        (a, b), (c, d) = matrix = self.matrix(magnitude)
        rows, columns = self.shift(magnitude, height, width)
        cy, cx = (height - 1) / 2, (width - 1) / 2
        offset = (cy - (a * cy + b * cx) + rows, cx - (c * cy + d * cx) + columns)
        pixels = height * width
        build = _small_operator if pixels <= 64**2 else _large_operator if pixels <= 512**2 else build_operator
        return build(height, width, matrix, offset, self.order, dtype.name)

    def prepare(self, inputs: Array) -> list[Array]:
        """The pixels, turned once for all magnitudes."""
        return pixel_rows(self.pixels(inputs))

    def apply(self, prepared: list[Array], magnitude: float, draws: None) -> Array:
        """The warped pixels, (N, H, W, C)."""
        height, width, _, channels = prepared[0].shape
        n, dtype = sum(block.shape[2] for block in prepared), prepared[0].dtype
        operator = self.operator(magnitude, height, width, dtype)
        result, start = np.empty((n, height * width, channels), dtype=dtype), 0
        outside = (self.fill * (1 - operator.sum(axis=1))).astype(dtype)[:, None] if self.fill else None
        for block in prepared:
            count = block.shape[2]
            warped = operator @ block.reshape(height * width, -1)
            if outside is not None:
                warped += outside
            result[start : start + count] = warped.reshape(height * width, count, channels).transpose(1, 0, 2)
            start += count
        return result.reshape(n, height, width, channels)


@dataclass(frozen=True, kw_only=True)
class Rotate(Affine):
    """Rotates counter-clockwise by p degrees about the centre.

    Agrees with ``scipy.ndimage.rotate(x, p, axes=(2, 1), reshape=False, order=1, mode="grid-constant",
    cval=fill)``.

    Examples:
        >>> Rotate()(np.array([[[0.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]]), 90)
        array([[[1., 0., 0.],
                [0., 0., 0.],
                [0., 0., 0.]]])
    """

    unit = "degrees"
    default_magnitudes = (-45, -36, -27, -18, -9, 0, 9, 18, 27, 36, 45)

    def matrix(self, magnitude: float) -> Matrix:
        """Row down, column right: the inverse of a counter-clockwise turn on the screen."""
        from scipy.special import cosdg, sindg  # exact at multiples of 90 degrees

        cosine, sine = float(cosdg(magnitude)), float(sindg(magnitude))
        return ((cosine, sine), (-sine, cosine))


@dataclass(frozen=True, kw_only=True)
class Translate(Affine):
    """Moves the image by p times its side: to the right (``axis`` "x", the default) or down ("y")."""

    unit = "fraction of side"
    limits = (-1.0, 1.0)
    default_magnitudes = (-0.15, -0.12, -0.09, -0.06, -0.03, 0, 0.03, 0.06, 0.09, 0.12, 0.15)

    axis: str = "x"

    def shift(self, magnitude: float, height: int, width: int) -> tuple[float, float]:
        """Read from where the image came from."""
        return (0.0, -magnitude * width) if self.axis == "x" else (-magnitude * height, 0.0)


@dataclass(frozen=True, kw_only=True)
class Zoom(Affine):
    """Enlarges by the factor p about the centre; below 1 it shrinks, and the border takes ``fill``."""

    unit = "factor"
    neutral = 1.0
    log_distance = True
    limits = (0.0, math.inf)
    default_magnitudes = (0.7, 0.76, 0.83, 0.91, 1.0, 1.09, 1.18, 1.29, 1.4)

    def matrix(self, magnitude: float) -> Matrix:
        """Nearer to the centre for a larger factor."""
        return ((1 / magnitude, 0.0), (0.0, 1 / magnitude))


@dataclass(frozen=True, kw_only=True)
class Shear(Affine):
    """Shears by p degrees about the centre: "x" leans the top to the right, "y" lifts the right side."""

    unit = "degrees"
    limits = (-85.0, 85.0)
    default_magnitudes = (-25, -20, -15, -10, -5, 0, 5, 10, 15, 20, 25)

    axis: str = "x"

    def matrix(self, magnitude: float) -> Matrix:
        """Rows above the centre read further left, columns right of it further down."""
        slope = math.tan(math.radians(magnitude))
        return ((1.0, 0.0), (slope, 1.0)) if self.axis == "x" else ((1.0, slope), (0.0, 1.0))
