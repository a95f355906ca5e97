"""Stored tensors to pixels in [0, 1] and back, and the base of the image perturbations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from mlflow_sensie.data.survey import ValueRange
from mlflow_sensie.errors import DataError
from mlflow_sensie.perturbations.base import Array, Perturbation

LAYOUTS = {"NHW": 3, "NHWC": 4, "NCHW": 4}
# what normalising and undoing it in float32 may put outside [0, 1] without meaning anything
ROUNDING = 1e-6
CACHED = 1 << 19  # values worked on at a time: two megabytes stay in a cache; of less, the calls cost more


def pixel_form(inputs: Any, layout: str | None, value_range: ValueRange | None) -> tuple[str, ValueRange]:
    """Layout and value range of a batch; where unknown, NHW or NHWC, and the whole range of the dtype.

    Raises DataError for what is not a numeric array of images in that layout.
    """
    if not isinstance(inputs, np.ndarray) or inputs.dtype.kind not in "buif":
        kind = f"{inputs.dtype} array" if isinstance(inputs, np.ndarray) else type(inputs).__name__
        raise DataError(f"Images must be a numeric numpy array, (N, H, W), (N, H, W, C) or NCHW; got {kind}.")
    layout = layout or ("NHW" if inputs.ndim == 3 else "NHWC")
    if layout not in LAYOUTS:
        raise DataError(f"Layout {layout!r} given; allowed are {', '.join(LAYOUTS)}.")
    if inputs.ndim != LAYOUTS[layout]:
        raise DataError(f"Layout {layout} has {LAYOUTS[layout]} axes; the inputs have shape {inputs.shape}.")
    value_range, channels = value_range or whole_range(inputs.dtype), channel_count(inputs, layout)
    for name, numbers in (("scale", value_range.scale), ("offset", value_range.offset)):
        if len(numbers) not in (1, channels):
            raise DataError(f"The value range has {len(numbers)} {name}s; the images have {channels} channels.")
    return layout, value_range


def channel_count(inputs: Array, layout: str) -> int:
    """The number of channels of a batch of images, 1 where they have no such axis."""
    return 1 if layout == "NHW" else inputs.shape[layout.index("C")]


def to_pixels(inputs: Any, layout: str | None, value_range: ValueRange | None) -> Array:
    """Pixels (N, H, W, C) in [0, 1] of stored values of this form; may be a view of ``inputs``."""
    layout, value_range = pixel_form(inputs, layout, value_range)
    pixels: Array = inputs.astype(working_dtype(inputs.dtype), copy=False)
    if layout != "NHWC":
        pixels = pixels[..., None] if layout == "NHW" else pixels.transpose(0, 2, 3, 1)
    if value_range == ValueRange():
        return pixels
    scale, offset = _factors(value_range, inputs.dtype)
    return np.asarray(pixels * scale + offset)


def from_pixels(pixels: Array, inputs: Any, layout: str | None, value_range: ValueRange | None) -> Array:
    """Stored values of pixels in the form and dtype of ``inputs``; integers rounded, and clipped to what they hold."""
    layout, value_range = pixel_form(inputs, layout, value_range)
    if value_range != ValueRange():
        scale, offset = _factors(value_range, inputs.dtype)
        pixels = (pixels - offset) / scale
    if layout != "NHWC":
        pixels = pixels[..., 0] if layout == "NHW" else np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
    return to_dtype(pixels, inputs.dtype)


def _factors(value_range: ValueRange, dtype: np.dtype[Any]) -> tuple[Array, ...]:
    return tuple(np.asarray(part, dtype=working_dtype(dtype)) for part in (value_range.scale, value_range.offset))


def whole_range(dtype: np.dtype[Any]) -> ValueRange:
    """The range where nothing is known: [0, 1] for floats, [0, 65535] for uint16, else [0, 255]."""
    if dtype.kind in "fb":
        return ValueRange()
    return ValueRange(scale=(1 / 65535 if dtype == np.uint16 else 1 / 255,))


def working_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The floats computed in: float64 for what float32 cannot hold."""
    wide = dtype.itemsize >= (8 if dtype.kind == "f" else 4)
    return np.dtype(np.float64 if wide else np.float32)


def to_dtype(values: Array, dtype: npt.DTypeLike) -> Array:
    """Floats as ``dtype``: integers rounded, and clipped to what they can hold; may be a view.

    Examples:
        >>> to_dtype(np.array([-3.0, 1.6, 300.0]), np.uint8).tolist()
        [0, 2, 255]
    """
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return np.asarray(values >= 0.5)
    if dtype.kind == "f":
        return values.astype(dtype, copy=False)
    limits = np.iinfo(dtype)
    # the largest int64 rounds up to a float that int64 cannot hold
    highest = float(limits.max) if float(limits.max) <= limits.max else float(np.nextafter(float(limits.max), 0))
    rounded = np.rint(values)
    return np.clip(rounded, float(limits.min), highest, out=rounded).astype(dtype)


@dataclass(frozen=True)
class Canvas:
    """A batch as pixels (N, H, W, C), and the bounds its values are clipped to."""

    pixels: Array
    low: Array | float
    high: Array | float

    @classmethod
    def over(cls, pixels: Array) -> Canvas:
        """A canvas clipped to [0, 1], or as far as a pixel itself was outside before.

        Clipping to [0, 1] alone would change a pixel outside it even at magnitudes next to the neutral.
        """
        if pixels.size == 0 or (pixels.min() >= -ROUNDING and pixels.max() <= 1 + ROUNDING):
            return cls(pixels, 0.0, 1.0)
        return cls(pixels, np.minimum(pixels, 0), np.maximum(pixels, 1))

    def blocks(self) -> Iterator[tuple[slice, Canvas]]:
        """Canvases of a few examples each, small enough for the cache, and which examples they are."""
        n = len(self.pixels)
        step = max(1, CACHED * n // max(self.pixels.size, 1))
        for part in (slice(start, start + step) for start in range(0, n, step)):
            low, high = (bound if isinstance(bound, float) else bound[part] for bound in (self.low, self.high))
            yield part, Canvas(self.pixels[part], low, high)

    def clip(self, perturbed: Array) -> Array:
        """``perturbed``, clipped in place."""
        result: Array = np.clip(perturbed, self.low, self.high, out=perturbed)
        return result

    def covered(self, opacity: Array, colour: float) -> Array:
        """The pixels under a layer of one brightness, opaque from 0 to 1 at each of them."""
        perturbed: Array = self.pixels * (1 - opacity)
        perturbed += opacity * self.pixels.dtype.type(colour)
        return perturbed


@dataclass(frozen=True, kw_only=True)
class ImagePerturbation(Perturbation):
    """Base of the perturbations of images: (N, H, W), (N, H, W, C) or NCHW, any number of channels.

    They work on pixels in [0, 1], float32 (float64 for float64), whatever the stored range, and keep the
    dtype. Without `bind`, three axes are NHW, four NHWC, floats lie in [0, 1], uint8 in [0, 255].
    """

    kind = "tensor"
    channels: ClassVar[tuple[int, ...]] = ()  # numbers of channels that it works on; empty for all

    layout: str | None = field(default=None, repr=False, metadata={"bound": attrgetter("layout")})
    value_range: ValueRange | None = field(default=None, repr=False, metadata={"bound": attrgetter("value_range")})

    def check(self, inputs: Any) -> None:
        """Raise DataError for what is no batch of images, or has the wrong number of channels."""
        layout, _ = pixel_form(inputs, self.layout, self.value_range)
        channels = channel_count(inputs, layout)
        if self.channels and channels not in self.channels:
            allowed = " or ".join(map(str, self.channels))
            raise DataError(f"{self.name} needs images with {allowed} channels; these have {channels}.")

    def pixels(self, inputs: Array) -> Array:
        """The batch as pixels (N, H, W, C)."""
        return to_pixels(inputs, self.layout, self.value_range)

    def prepare(self, inputs: Array) -> Any:
        """The batch as a canvas of pixels."""
        return Canvas.over(self.pixels(inputs))

    def restore(self, perturbed: Array, inputs: Array) -> Array:
        """Pixels (N, H, W, C) back in the stored range, layout and dtype."""
        return from_pixels(perturbed, inputs, self.layout, self.value_range)


def opencv() -> Any:
    """OpenCV, or None where it is not installed."""
    try:
        import cv2
    except ImportError:
        return None
    return cv2
