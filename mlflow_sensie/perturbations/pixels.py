"""Stored tensors to pixels in [0, 1] and back, and the base of the image perturbations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from mlflow_sensie.data.survey import Survey, ValueRange
from mlflow_sensie.errors import DataError
from mlflow_sensie.perturbations.base import BOUND, Array, Perturbation

if TYPE_CHECKING:
    from typing_extensions import Self

LAYOUTS = {"NHW": 3, "NHWC": 4, "NCHW": 4}
# what normalising and undoing it in float32 may put outside [0, 1] without meaning anything
ROUNDING = 1e-6
CACHED = 1 << 19  # values worked on at a time: two megabytes stay in a cache; of less, the calls cost more


@dataclass(frozen=True)
class PixelCodec:
    """How a batch of stored values becomes pixels (N, H, W, C) and returns."""

    layout: str
    dtype: np.dtype[Any]
    value_range: ValueRange

    @classmethod
    def of(cls, inputs: Any, layout: str | None, value_range: ValueRange | None) -> PixelCodec:
        """The codec of a batch; unknown layouts are NHW or NHWC, unknown ranges the whole one of the dtype.

        Raises DataError for what is not a numeric array of images in that layout.
        """
        if not isinstance(inputs, np.ndarray) or inputs.dtype.kind not in "buif":
            kind = f"{inputs.dtype} array" if isinstance(inputs, np.ndarray) else type(inputs).__name__
            raise DataError(f"Images must be a numeric numpy array, (N, H, W), (N, H, W, C) or NCHW; got {kind}.")
        layout = layout or {3: "NHW", 4: "NHWC"}.get(inputs.ndim, "NHWC")
        if layout not in LAYOUTS:
            raise DataError(f"Layout {layout!r} given; allowed are {', '.join(LAYOUTS)}.")
        if inputs.ndim != LAYOUTS[layout]:
            raise DataError(f"Layout {layout} has {LAYOUTS[layout]} axes; the inputs have shape {inputs.shape}.")
        if value_range is None:
            value_range = whole_range(inputs.dtype)
        channels = 1 if layout == "NHW" else inputs.shape[layout.index("C")]
        for name, numbers in (("scale", value_range.scale), ("offset", value_range.offset)):
            if len(numbers) not in (1, channels):
                raise DataError(f"The value range has {len(numbers)} {name}s; the images have {channels} channels.")
        return cls(layout, inputs.dtype, value_range)

    @property
    def is_identity(self) -> bool:
        """Whether stored values are the pixels themselves."""
        return set(self.value_range.scale) == {1.0} and set(self.value_range.offset) == {0.0}

    def decode(self, inputs: Array) -> Array:
        """Pixels (N, H, W, C); may be a view of ``inputs``."""
        pixels = inputs.astype(working_dtype(self.dtype), copy=False)
        if self.layout == "NHW":
            pixels = pixels[..., None]
        elif self.layout == "NCHW":
            pixels = pixels.transpose(0, 2, 3, 1)
        if self.is_identity:
            return pixels
        scale, offset = self._factors()
        result: Array = pixels * scale + offset
        return result

    def encode(self, pixels: Array) -> Array:
        """Stored values of the pixels; integers rounded, and clipped to what their dtype holds."""
        stored = pixels
        if not self.is_identity:
            scale, offset = self._factors()
            stored = (pixels - offset) / scale
        if self.layout == "NHW":
            stored = stored[..., 0]
        elif self.layout == "NCHW":
            stored = np.ascontiguousarray(stored.transpose(0, 3, 1, 2))
        return to_dtype(stored, self.dtype)

    def _factors(self) -> tuple[Array, Array]:
        dtype = working_dtype(self.dtype)
        return np.asarray(self.value_range.scale, dtype=dtype), np.asarray(self.value_range.offset, dtype=dtype)


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
        inside = pixels.size == 0 or (pixels.min() >= -ROUNDING and pixels.max() <= 1 + ROUNDING)
        if inside:
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

    layout: str | None = field(default=None, repr=False, metadata=BOUND)
    value_range: ValueRange | None = field(default=None, repr=False, metadata=BOUND)

    def bind(self, survey: Survey) -> Self:
        """A new instance that knows the layout and the value range."""
        return replace(self, layout=survey.layout, value_range=survey.value_range)

    def codec(self, inputs: Array) -> PixelCodec:
        """How these inputs become pixels."""
        return PixelCodec.of(inputs, self.layout, self.value_range)

    def check(self, inputs: Any) -> None:
        """Raise DataError for what is no batch of images, or has the wrong number of channels."""
        layout = self.codec(inputs).layout
        channels = 1 if layout == "NHW" else inputs.shape[layout.index("C")]
        if self.channels and channels not in self.channels:
            allowed = " or ".join(str(number) for number in self.channels)
            raise DataError(f"{self.name} needs images with {allowed} channels; these have {channels}.")

    def prepare(self, inputs: Array) -> Any:
        """The batch as a canvas of pixels."""
        return Canvas.over(self.codec(inputs).decode(inputs))

    def restore(self, perturbed: Array, inputs: Array) -> Array:
        """Pixels (N, H, W, C) back in the stored range, layout and dtype."""
        return self.codec(inputs).encode(perturbed)


def opencv() -> Any:
    """OpenCV, or None where it is not installed."""
    try:
        import cv2
    except ImportError:
        return None
    return cv2
