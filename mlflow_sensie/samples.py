"""Small batches of every kind of input, and what a survey would say of them, to try perturbations on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from mlflow_sensie.data.survey import ColumnSummary, Covariance, Survey, TensorSummary, ValueRange
from mlflow_sensie.perturbations.base import Array, Perturbation

CHANNELS = (1, 3, 4, 13)
PIXELS = ValueRange()


def samples(perturbation: Perturbation) -> Iterator[tuple[str, Any, Survey]]:
    """The forms that inputs of a perturbation's kind come in: a name, a batch and its survey each.

    Images have the numbers of channels that the perturbation declares to work on, by default 1, 3, 4 and 13.
    """
    batch, survey = sample(perturbation.kind)
    if perturbation.kind == "tensor":
        yield from _image_forms(batch, getattr(perturbation, "channels", ()) or CHANNELS)
        return
    yield perturbation.kind, batch, survey
    if perturbation.kind == "text":
        yield "texts in a frame", pd.DataFrame({"text": batch, "other": batch[::-1]}), survey
    if perturbation.kind == "series":
        yield "series without channels", batch[..., 1], Survey(len(batch), "series", tensor=_moments(batch[..., 1:]))


def _image_forms(images: Array, channels: tuple[int, ...]) -> Iterator[tuple[str, Any, Survey]]:
    """Images with these numbers of channels, and those of the first in the other dtypes and layouts."""
    for count in channels:
        pixels = images[..., np.arange(count) % 3]
        yield f"images with {count} channels", pixels, _image_survey(pixels)
    pixels = images[..., np.arange(channels[0]) % 3]
    for dtype in (np.float64, np.uint8):
        stored = (pixels * 255).round().astype(dtype) if dtype == np.uint8 else pixels.astype(dtype)
        value_range = ValueRange(scale=(1 / 255,)) if dtype == np.uint8 else PIXELS
        yield f"{stored.dtype} images", stored, _image_survey(stored, value_range=value_range)
    turned = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
    yield "images in NCHW", turned, _image_survey(pixels, "NCHW")
    if 1 in channels:
        yield "images in NHW", images[..., 0], _image_survey(images[..., :1], "NHW")


def _image_survey(images: Array, layout: str = "NHWC", value_range: ValueRange = PIXELS) -> Survey:
    return Survey(len(images), "tensor", tensor=_moments(images), layout=layout, value_range=value_range)


def _moments(inputs: Array) -> TensorSummary:
    """Range and moments of inputs with the channels last."""
    axes = tuple(range(inputs.ndim - 1))
    mean, sd = inputs.mean(axis=axes), inputs.std(axis=axes)
    return TensorSummary(float(inputs.min()), float(inputs.max()), tuple(mean.tolist()), tuple(sd.tolist()))


def sample(kind: str) -> tuple[Any, Survey]:
    """A small batch of a kind, and what a survey would say of it."""
    makers = {"tensor": sample_images, "tabular": sample_frame, "text": sample_texts, "series": sample_series}
    if kind not in makers:
        raise AssertionError(f"There is no sample of kind {kind!r}, only of {sorted(makers)}: give inputs.")
    return makers[kind]()


def sample_images() -> tuple[Array, Survey]:
    """Soft blobs of several colours on a dark ground, (8, 24, 20, 3) float32 in [0, 1]."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[0:24, 0:20]
    images = np.full((8, 24, 20, 3), 0.05)
    for image in images:
        for _ in range(3):
            cy, cx, size = rng.uniform(6, 18), rng.uniform(5, 15), rng.uniform(2, 5)
            blob = np.exp(-((y - cy) ** 2 + 0.4 * (x - cx) ** 2) / size**2)
            image += blob[..., None] * rng.uniform(0.1, 0.6, 3)
    images = np.clip(images, 0, 1).astype(np.float32)
    return images, _image_survey(images)


def sample_frame() -> tuple[pd.DataFrame, Survey]:
    """Sixty rows with columns of every dtype that models take, some cells missing."""
    rng = np.random.default_rng(7)
    n = 60
    colours = rng.choice(["red", "green", "blue"], n, p=[0.6, 0.3, 0.1])
    counts = pd.array(rng.integers(0, 9, n), dtype="Int64")
    counts[3] = pd.NA
    frame = pd.DataFrame(
        {
            "height": rng.normal(170, 9, n),
            "ratio": rng.normal(0, 0.1, n).astype(np.float32),
            "age": rng.integers(18, 90, n),
            "visits": counts,
            "member": rng.random(n) < 0.3,
            "colour": pd.Categorical(colours),
            "town": np.array(rng.choice(["Ulm", "Bonn"], n), dtype=object),
            "seen": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, n), unit="D"),
        },
        index=pd.RangeIndex(100, 100 + n),
    )
    frame.loc[105, "height"] = np.nan
    return frame, survey_of(frame)


def survey_of(frame: pd.DataFrame) -> Survey:
    """What a survey would say of a small frame."""
    numbers = [name for name in frame.columns if _kind(frame[name]) in ("numeric", "integer")]
    complete = frame[numbers].astype("float64").dropna()
    covariance = None
    if len(numbers) > 1:
        matrix = np.cov(complete.to_numpy(), rowvar=False, bias=True)
        covariance = Covariance(
            tuple(numbers), tuple(complete.mean().tolist()), tuple(tuple(row) for row in matrix.tolist())
        )
    columns = {str(name): _summary(frame[name]) for name in frame.columns}
    return Survey(n=len(frame), kind="tabular", columns=columns, covariance=covariance)


def _kind(series: pd.Series[Any]) -> str:
    types = pd.api.types
    if types.is_bool_dtype(series.dtype):
        return "boolean"
    if types.is_numeric_dtype(series.dtype):
        return "integer" if types.is_integer_dtype(series.dtype) else "numeric"
    return "datetime" if types.is_datetime64_any_dtype(series.dtype) else "category"


def _summary(series: pd.Series[Any]) -> ColumnSummary:
    kind, present = _kind(series), series.dropna()
    basic: dict[str, Any] = {
        "name": str(series.name),
        "kind": kind,
        "n": len(series),
        "n_missing": len(series) - len(present),
        "n_unique": int(present.nunique()),
    }
    if kind in ("numeric", "integer"):
        x = present.to_numpy(dtype=np.float64)
        quantiles = tuple(np.quantile(x, np.linspace(0, 1, 33), method="nearest").tolist())
        low, high = float(x.min()), float(x.max())
        return ColumnSummary(**basic, mean=float(x.mean()), sd=float(x.std()), lo=low, hi=high, quantiles=quantiles)
    if kind == "datetime":
        return ColumnSummary(**basic)
    shares = present.value_counts(normalize=True)
    return ColumnSummary(**basic, levels=tuple(shares.index.tolist()), frequencies=tuple(shares.tolist()))


def sample_texts() -> tuple[Array, Survey]:
    """Ten texts, among them an empty one, a missing one, emoji, and other scripts, as an object array."""
    texts = [
        "The quick brown fox jumps over the lazy dog, twice.",
        "A very good film; I would see it again!",
        "Terrible service. The food was cold, the waiter rude.",
        "",
        None,
        "🎉 Congratulations 👩‍👩‍👧 on your new home 🏡!",
        "هذا فيلم جيد جدا، أنصح به.",
        "Größe und Qualität stimmen, gerne wieder.",
        "word",
        "  leading and   inner   gaps\tand a tab\n",
    ]
    cells = np.empty(len(texts), dtype=object)
    cells[:] = texts
    return cells, Survey(n=len(texts), kind="text")


def sample_series() -> tuple[Array, Survey]:
    """Six smooth series of two channels, (6, 50, 2) float32."""
    rng = np.random.default_rng(7)
    time = np.linspace(0, 1, 50)[None, :, None]
    phase, rate = rng.uniform(0, 6, (6, 1, 2)), rng.uniform(2, 9, (6, 1, 2))
    series = (3 + np.sin(rate * time + phase) * np.array([1.0, 20.0])).astype(np.float32)
    return series, Survey(n=6, kind="series", tensor=_moments(series))
