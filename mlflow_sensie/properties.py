"""The built-in properties: one number per example, of its input or of the unperturbed prediction."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mlflow_sensie.data.survey import Covariance, Survey, ValueRange
from mlflow_sensie.errors import DataError
from mlflow_sensie.perturbations.base import BOUND, Array
from mlflow_sensie.perturbations.light import luma
from mlflow_sensie.perturbations.pixels import PixelCodec
from mlflow_sensie.perturbations.series import check_series
from mlflow_sensie.perturbations.tabular_base import is_number, to_floats
from mlflow_sensie.perturbations.text_edits import text_columns

if TYPE_CHECKING:
    import pandas as pd
    from typing_extensions import Self

_HERE = "mlflow_sensie.properties:"

BUILT_IN: dict[str, str] = {
    "image.mean": _HERE + "ImageMean",
    "image.contrast": _HERE + "ImageContrast",
    "image.sharpness": _HERE + "Sharpness",
    "image.edge_density": _HERE + "EdgeDensity",
    "image.colourfulness": _HERE + "Colourfulness",
    "image.entropy": _HERE + "Entropy",
    "image.foreground_fraction": _HERE + "ForegroundFraction",
    "tabular.missing_count": _HERE + "MissingCount",
    "tabular.distance_to_centre": _HERE + "DistanceToCentre",
    "text.length": _HERE + "TextLength",
    "text.words": _HERE + "Words",
    "text.mean_word_length": _HERE + "MeanWordLength",
    "text.uppercase_fraction": _HERE + "UppercaseFraction",
    "text.non_ascii_fraction": _HERE + "NonAsciiFraction",
    "series.length": _HERE + "SeriesLength",
    "series.mean": _HERE + "SeriesMean",
    "series.volatility": _HERE + "Volatility",
    "model.confidence": _HERE + "Confidence",
    "model.margin": _HERE + "Margin",
}


@dataclass(frozen=True, kw_only=True)
class Property:
    """A function of a batch: inputs (or probabilities) to (n,) float64, NaN where it is missing.

    ``needs`` says what it is called with. Instances are frozen and hold no state; what they know of the
    whole data comes from `bind`. An example's value never depends on the other examples of the batch.
    """

    kind: ClassVar[str]
    unit: ClassVar[str] = ""
    needs: ClassVar[str] = "inputs"

    def bind(self, survey: Survey) -> Self:
        """A new instance that knows what it needs of the whole data; by default the same one."""
        return self

    def __call__(self, inputs: Any) -> Array:
        """The property of each example, (n,) float64."""
        raise NotImplementedError


# --- images ---


@dataclass(frozen=True, kw_only=True)
class ImageProperty(Property):
    """Base of the properties of images, measured on pixels in [0, 1] whatever the stored range and layout."""

    kind: ClassVar[str] = "tensor"

    layout: str | None = field(default=None, repr=False, metadata=BOUND)
    value_range: ValueRange | None = field(default=None, repr=False, metadata=BOUND)

    def bind(self, survey: Survey) -> Self:
        """A new instance that knows the layout and the value range."""
        return replace(self, layout=survey.layout, value_range=survey.value_range)

    def __call__(self, inputs: Array) -> Array:
        """The property of each image, (n,) float64; NaN for an image with a missing pixel."""
        pixels = PixelCodec.of(inputs, self.layout, self.value_range).decode(inputs)
        missing = np.isnan(pixels)
        if not missing.any():
            return np.asarray(self.measure(pixels), dtype=np.float64)
        measured = np.asarray(self.measure(np.where(missing, 0, pixels)), dtype=np.float64)
        return np.where(missing.any(axis=(1, 2, 3)), np.nan, measured)

    def measure(self, pixels: Array) -> Array:
        """The property of each image of pixels (N, H, W, C)."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class ImageMean(ImageProperty):
    """The mean pixel value over all pixels and channels."""

    unit: ClassVar[str] = "fraction of range"

    def measure(self, pixels: Array) -> Array:
        """The mean of each image."""
        return np.asarray(pixels.mean(axis=(1, 2, 3), dtype=np.float64))


@dataclass(frozen=True, kw_only=True)
class ImageContrast(ImageProperty):
    """The SD of the brightness over the pixels: RMS contrast, Peli (1990, doi:10.1364/JOSAA.7.002032)."""

    unit: ClassVar[str] = "fraction of range"

    def measure(self, pixels: Array) -> Array:
        """The SD of each image."""
        return np.asarray(luma(pixels).std(axis=(1, 2), dtype=np.float64))


@dataclass(frozen=True, kw_only=True)
class Sharpness(ImageProperty):
    """The SD of the brightness's Laplacian over the pixels, after Pech-Pacheco et al. (2000, ICPR)."""

    unit: ClassVar[str] = "fraction of range"

    def measure(self, pixels: Array) -> Array:
        """The SD of the difference between four neighbours and four times the pixel; edges repeated."""
        grey = luma(pixels)
        edge = np.pad(grey, ((0, 0), (1, 1), (1, 1)), mode="edge")
        laplacian = edge[:, 2:, 1:-1] + edge[:, :-2, 1:-1] + edge[:, 1:-1, 2:] + edge[:, 1:-1, :-2] - 4 * grey
        return np.asarray(laplacian.std(axis=(1, 2), dtype=np.float64))


@dataclass(frozen=True, kw_only=True)
class EdgeDensity(ImageProperty):
    """The fraction of pixels whose Sobel gradient of the brightness, per pixel, exceeds ``threshold``."""

    unit: ClassVar[str] = "fraction of pixels"

    threshold: float = 0.1

    def measure(self, pixels: Array) -> Array:
        """The fraction of each image; edges repeated."""
        edge = np.pad(luma(pixels), ((0, 0), (1, 1), (1, 1)), mode="edge")
        across, down = edge[:, :, 2:] - edge[:, :, :-2], edge[:, 2:] - edge[:, :-2]
        gx = (across[:, :-2] + 2 * across[:, 1:-1] + across[:, 2:]) / 8
        gy = (down[:, :, :-2] + 2 * down[:, :, 1:-1] + down[:, :, 2:]) / 8
        return np.asarray((np.hypot(gx, gy) > self.threshold).mean(axis=(1, 2)))


@dataclass(frozen=True, kw_only=True)
class Colourfulness(ImageProperty):
    """Colourfulness of RGB images, Hasler & Süsstrunk (2003, doi:10.1117/12.477378), for values in [0, 1]."""

    def measure(self, pixels: Array) -> Array:
        """√(σ²_rg + σ²_yb) + 0.3·√(μ²_rg + μ²_yb) of each image; DataError without three channels."""
        if pixels.shape[-1] != 3:
            raise DataError(f"Colourfulness needs images with 3 channels; these have {pixels.shape[-1]}.")
        red, green, blue = np.moveaxis(pixels.astype(np.float64), -1, 0)
        opponents = np.stack([red - green, (red + green) / 2 - blue])
        sd, mean = opponents.std(axis=(2, 3)), opponents.mean(axis=(2, 3))
        return np.asarray(np.hypot(sd[0], sd[1]) + 0.3 * np.hypot(mean[0], mean[1]))


def grey_histograms(pixels: Array) -> Array:
    """Relative frequencies of 256 grey levels in each image, (n, 256); outside [0, 1] counts at the ends."""
    grey = luma(pixels)
    level = np.clip(grey * 255 + 0.5, 0, 255).astype(np.int64).reshape(len(grey), math.prod(grey.shape[1:]))
    flat = level + 256 * np.arange(len(pixels))[:, None]
    counts = np.bincount(flat.ravel(), minlength=256 * len(pixels)).reshape(len(pixels), 256)
    return np.asarray(counts / level.shape[1])


@dataclass(frozen=True, kw_only=True)
class Entropy(ImageProperty):
    """Shannon entropy of the histogram of 256 grey levels: 0 for one grey, at most 8 bits."""

    unit: ClassVar[str] = "bits"

    def measure(self, pixels: Array) -> Array:
        """The entropy of each image."""
        shares = grey_histograms(pixels)
        return np.asarray(-(shares * np.log2(np.where(shares > 0, shares, 1))).sum(axis=1) + 0.0)


@dataclass(frozen=True, kw_only=True)
class ForegroundFraction(ImageProperty):
    """The fraction of pixels brighter than the image's own threshold; 0 for an image of one grey.

    The threshold is that of Otsu (1979, doi:10.1109/TSMC.1979.4310076).
    """

    unit: ClassVar[str] = "fraction of pixels"

    def measure(self, pixels: Array) -> Array:
        """The fraction above the level that best separates two classes of brightness."""
        shares = grey_histograms(pixels)
        below = shares.cumsum(axis=1)
        light = (shares * np.arange(256)).cumsum(axis=1)
        inside = below * (1 - below)
        between = (light[:, -1:] * below - light) ** 2 / np.where(inside > 1e-12, inside, np.inf)
        best = between.argmax(axis=1)
        fraction = 1 - below[np.arange(len(shares)), best]
        return np.where(between.max(axis=1, initial=0) > 0, fraction, 0.0)


# --- frames ---


@dataclass(frozen=True, kw_only=True)
class MissingCount(Property):
    """The number of missing cells of a row, over all columns or over ``columns``."""

    kind: ClassVar[str] = "tabular"
    unit: ClassVar[str] = "cells"

    columns: tuple[str, ...] | None = None

    def __call__(self, inputs: pd.DataFrame) -> Array:
        """The count of each row."""
        chosen = inputs if self.columns is None else inputs[list(self.columns)]
        return np.asarray(chosen.isna().to_numpy().sum(axis=1), dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class DistanceToCentre(Property):
    """Mahalanobis distance of a row's numbers from the mean of the whole data; NaN if one is missing.

    Directions in which the data does not vary are left out. Needs `bind`: ValueError without a covariance.
    """

    kind: ClassVar[str] = "tabular"
    unit: ClassVar[str] = "SDs"

    covariance: Covariance | None = field(default=None, repr=False, metadata=BOUND)

    def bind(self, survey: Survey) -> Self:
        """A new instance that knows the mean and covariance."""
        return replace(self, covariance=survey.covariance)

    def __call__(self, inputs: pd.DataFrame) -> Array:
        """The distance of each row."""
        known = self.covariance
        if known is None or not known.columns:
            raise ValueError("DistanceToCentre needs a survey that has a covariance: call bind(survey) first.")
        lacking = [c for c in known.columns if c not in inputs.columns or not is_number(inputs[c].dtype)]
        if lacking:
            raise DataError(f"DistanceToCentre needs the numeric columns {lacking}, which the inputs lack.")
        values = to_floats(inputs[list(known.columns)]) - np.asarray(known.mean)
        matrix = np.asarray(known.matrix, dtype=np.float64)
        sd = np.sqrt(np.diag(matrix))
        sd = np.where(sd > 0, sd, np.inf)
        # in units of SD first: columns of very different size would spoil the pseudo-inverse
        inverse = np.linalg.pinv(matrix / np.outer(sd, sd), rcond=1e-10, hermitian=True)
        scaled = values / sd
        squared = np.einsum("ij,jk,ik->i", scaled, inverse, scaled)
        return np.asarray(np.sqrt(np.maximum(squared, 0)))


# --- text ---


@dataclass(frozen=True, kw_only=True)
class TextProperty(Property):
    """Base of the properties of text, of one column or of several joined by a space; NaN where missing."""

    kind: ClassVar[str] = "text"

    columns: tuple[str, ...] | None = None

    def __call__(self, inputs: Any) -> Array:
        """The property of each text."""
        rows = zip(*text_columns(inputs, self.columns).values(), strict=True)
        present = ([cell for cell in row if isinstance(cell, str)] for row in rows)
        return np.array([self.measure(" ".join(cells)) if cells else np.nan for cells in present], dtype=np.float64)

    def measure(self, text: str) -> float:
        """The property of one text."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class TextLength(TextProperty):
    """The number of characters."""

    unit: ClassVar[str] = "characters"

    def measure(self, text: str) -> float:
        """The length of one text."""
        return len(text)


@dataclass(frozen=True, kw_only=True)
class Words(TextProperty):
    """The number of words, which whitespace separates."""

    unit: ClassVar[str] = "words"

    def measure(self, text: str) -> float:
        """The words of one text."""
        return len(text.split())


@dataclass(frozen=True, kw_only=True)
class MeanWordLength(TextProperty):
    """The mean number of characters per word; NaN without words."""

    unit: ClassVar[str] = "characters"

    def measure(self, text: str) -> float:
        """The mean of one text."""
        found = text.split()
        return sum(map(len, found)) / len(found) if found else float("nan")


def share(text: str, counted: Callable[[str], bool], among: Callable[[str], bool]) -> float:
    """The fraction of the characters ``among`` that are ``counted``; NaN if there are none."""
    base = [character for character in text if among(character)]
    return sum(map(counted, base)) / len(base) if base else float("nan")


@dataclass(frozen=True, kw_only=True)
class UppercaseFraction(TextProperty):
    """The fraction of the letters that are upper case; NaN without letters."""

    unit: ClassVar[str] = "fraction of letters"

    def measure(self, text: str) -> float:
        """The fraction of one text."""
        return share(text, str.isupper, str.isalpha)


@dataclass(frozen=True, kw_only=True)
class NonAsciiFraction(TextProperty):
    """The fraction of the characters that are not ASCII; NaN for an empty text."""

    unit: ClassVar[str] = "fraction of characters"

    def measure(self, text: str) -> float:
        """The fraction of one text."""
        return share(text, lambda character: not character.isascii(), lambda _: True)


# --- series ---


@dataclass(frozen=True, kw_only=True)
class SeriesProperty(Property):
    """Base of the properties of series, (N, T) or (N, T, C), in stored values; missing steps are left out."""

    kind: ClassVar[str] = "series"

    def __call__(self, inputs: Array) -> Array:
        """The property of each series."""
        check_series(inputs)
        return self.measure(inputs.astype(np.float64).reshape(*inputs.shape[:2], *(inputs.shape[2:] or (1,))))

    def measure(self, series: Array) -> Array:
        """The property of each series of (N, T, C)."""
        raise NotImplementedError


def mean_present(values: Array) -> Array:
    """The mean of all that is not NaN in each example; NaN if nothing is."""
    flat = values.reshape(len(values), math.prod(values.shape[1:]))
    present = ~np.isnan(flat)
    count = present.sum(axis=1)
    return np.asarray(np.where(present, flat, 0).sum(axis=1) / np.where(count > 0, count, np.nan))


@dataclass(frozen=True, kw_only=True)
class SeriesLength(SeriesProperty):
    """The number of time steps up to the last that is not NaN: the length before padding with NaN."""

    unit: ClassVar[str] = "steps"

    def measure(self, series: Array) -> Array:
        """The length of each series."""
        present = ~np.isnan(series).all(axis=2)
        return np.asarray((present * np.arange(1, series.shape[1] + 1)).max(axis=1, initial=0), dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class SeriesMean(SeriesProperty):
    """The mean over time steps and channels."""

    def measure(self, series: Array) -> Array:
        """The mean of each series."""
        return mean_present(series)


@dataclass(frozen=True, kw_only=True)
class Volatility(SeriesProperty):
    """The root mean square of the steps from one time to the next, over all channels."""

    def measure(self, series: Array) -> Array:
        """The volatility of each series; NaN for fewer than two steps."""
        return np.sqrt(mean_present(np.diff(series, axis=1) ** 2))


# --- predictions ---


@dataclass(frozen=True, kw_only=True)
class ModelProperty(Property):
    """Base of the properties of the unperturbed prediction: called with probabilities (n, classes).

    A binary model's (n,) or (n, 1) is taken as the probability of the positive class.
    """

    kind: ClassVar[str] = "any"
    unit: ClassVar[str] = "probability"
    needs: ClassVar[str] = "probabilities"

    def __call__(self, inputs: Array) -> Array:
        """The property of each prediction."""
        values = np.asarray(inputs, dtype=np.float64)
        values = values[:, None] if values.ndim == 1 else values
        return self.measure(np.hstack([1 - values, values]) if values.shape[1] == 1 else values)

    def measure(self, probabilities: Array) -> Array:
        """The property of each row of probabilities, of at least two classes."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Confidence(ModelProperty):
    """The probability of the most probable class."""

    def measure(self, probabilities: Array) -> Array:
        """The greatest of each row."""
        return np.asarray(probabilities.max(axis=1))


@dataclass(frozen=True, kw_only=True)
class Margin(ModelProperty):
    """How much more probable the most probable class is than the next."""

    def measure(self, probabilities: Array) -> Array:
        """The greatest minus the second of each row."""
        ordered = np.partition(probabilities, -2, axis=1)
        return np.asarray(ordered[:, -1] - ordered[:, -2])
