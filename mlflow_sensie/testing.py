"""`check_perturbation`: the contract of a perturbation, for authors of new ones; needs no test framework."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from mlflow_sensie.perturbations.base import Array, Perturbation, fresh_copy
from mlflow_sensie.survey import ColumnSummary, Covariance, Survey, TensorSummary

TOLERANCE = 1e-5
MONOTONE_SLACK = 0.02  # of the distance: clipping and interpolation may take a little back


def check_perturbation(
    perturbation: Perturbation,
    inputs: Any = None,
    *,
    magnitudes: Sequence[float] | None = None,
    survey: Survey | None = None,
    monotone: bool | None = None,
) -> None:
    """Raise AssertionError, saying what is wrong, unless ``perturbation`` keeps the contract of its base.

    ``inputs`` and ``survey`` default to samples of the perturbation's kind, ``magnitudes`` to its own, and
    ``monotone`` to what it declares.
    """
    if inputs is None:
        inputs, sampled = sample(perturbation.kind)
        survey = survey or sampled
    if survey is not None:
        perturbation = perturbation.bind(survey)
    points = [float(p) for p in (perturbation.default_magnitudes if magnitudes is None else magnitudes)]
    _require(perturbation, bool(points), "has no default magnitudes, and none were given")
    before = fresh_copy(inputs)
    outputs = _run(perturbation, inputs, points)
    _require(perturbation, same(inputs, before), "wrote into its input")
    for point, output in zip(points, outputs, strict=True):
        _check_output(perturbation, inputs, point, output)
    _check_neutral(perturbation, inputs)
    _check_repeatable(perturbation, inputs, points, outputs)
    if not perturbation.random:
        _check_examples_apart(perturbation, inputs, points, outputs)
    if perturbation.monotone if monotone is None else monotone:
        _check_monotone(perturbation, inputs, points, outputs)
    _check_pickle(perturbation)


def _require(perturbation: Perturbation, holds: bool, what: str) -> None:
    if not holds:
        raise AssertionError(f"{type(perturbation).__name__} {what}.")


def _run(perturbation: Perturbation, inputs: Any, points: Sequence[float]) -> list[Any]:
    return list(perturbation.along(inputs, points, np.random.default_rng(0)))


def _check_output(perturbation: Perturbation, inputs: Any, point: float, output: Any) -> None:
    at = f"at magnitude {point:g}"
    _require(
        perturbation,
        type(output) is type(inputs),
        f"returned a {type(output).__name__} {at}, not the type that came",
    )
    _require(perturbation, np.shape(output) == np.shape(inputs), f"changed the shape to {np.shape(output)} {at}")
    was, now = dtypes(inputs), dtypes(output)
    _require(perturbation, was == now, f"changed the dtype from {was} to {now} {at}")
    _require(perturbation, not shares_memory(output, inputs), f"returned its input's own memory {at}")
    if isinstance(inputs, pd.DataFrame):
        kept = output.columns.equals(inputs.columns) and output.index.equals(inputs.index)
        _require(perturbation, kept, f"changed the columns or the index {at}")
    if not perturbation.makes_missing:
        _require(perturbation, not (bad(output) & ~bad(inputs)).any(), f"made new missing or infinite values {at}")


def _check_neutral(perturbation: Perturbation, inputs: Any) -> None:
    if perturbation.neutral is None:
        return
    copy = perturbation(inputs, perturbation.neutral, np.random.default_rng(0))
    _require(
        perturbation,
        same(copy, inputs),
        f"changed something at its neutral magnitude {perturbation.neutral:g}",
    )
    _require(perturbation, dtypes(copy) == dtypes(inputs), "changed the dtype at its neutral magnitude")
    _require(perturbation, not shares_memory(copy, inputs), "returned its input itself at its neutral magnitude")


def _check_repeatable(perturbation: Perturbation, inputs: Any, points: list[float], outputs: list[Any]) -> None:
    for point, output in zip(points, outputs, strict=True):
        single = perturbation(inputs, point, np.random.default_rng(0))
        what = f"gave something else at magnitude {point:g} by itself than among others, with the same seed"
        _require(perturbation, same(single, output), what)


def _check_examples_apart(perturbation: Perturbation, inputs: Any, points: list[float], outputs: list[Any]) -> None:
    some = max(1, len(inputs) // 2)
    for point, output, part in zip(points, outputs, _run(perturbation, inputs[:some], points), strict=True):
        what = f"made an example depend on the others of its batch at magnitude {point:g}"
        _require(perturbation, same(part, output[:some], TOLERANCE), what)


def _check_monotone(perturbation: Perturbation, inputs: Any, points: list[float], outputs: list[Any]) -> None:
    neutral = perturbation.neutral
    assert neutral is not None, "only with a neutral magnitude is there a distance"
    distances = [distance(output, inputs) for output in outputs]
    for side in (1, -1):
        path = sorted(
            (side * (point - neutral), far)
            for point, far in zip(points, distances, strict=True)
            if side * (point - neutral) >= 0
        )
        for (_, nearer), (step, further) in pairwise(path):
            what = f"came nearer to its input at {neutral + side * step:g}: {further:g} after {nearer:g}"
            _require(perturbation, further >= nearer * (1 - MONOTONE_SLACK) - 1e-9, what)


def _check_pickle(perturbation: Perturbation) -> None:
    try:
        returned = pickle.loads(pickle.dumps(perturbation))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise AssertionError(f"{type(perturbation).__name__} cannot be pickled: {error}") from error
    _require(perturbation, returned == perturbation, "is not equal to its own pickled copy")


# --- what can be said of inputs of any kind ---


def dtypes(inputs: Any) -> list[str]:
    """The dtypes of a batch by name; the width of a fixed-width string does not count."""
    found = list(inputs.dtypes) if isinstance(inputs, pd.DataFrame) else [inputs.dtype]
    return ["str" if getattr(dtype, "kind", "") == "U" else str(dtype) for dtype in found]


def same(one: Any, other: Any, tolerance: float = 0.0) -> bool:
    """Whether two batches are equal, missing values included; floats of arrays within ``tolerance``."""
    if isinstance(one, pd.DataFrame | pd.Series):
        return bool(one.equals(other))
    if one.dtype.kind not in "fiu":
        return bool(pd.Series(one.ravel(), dtype=object).equals(pd.Series(other.ravel(), dtype=object)))
    # one step of an integer is what rounding may make of the tolerance
    slack = 1 if tolerance and one.dtype.kind in "iu" else tolerance
    wide = one.astype(np.float64), other.astype(np.float64)
    return one.shape == other.shape and bool(np.allclose(*wide, rtol=tolerance, atol=slack, equal_nan=True))


def bad(inputs: Any) -> Array:
    """Which values are missing or infinite."""
    if isinstance(inputs, pd.DataFrame | pd.Series):
        return np.asarray(inputs.replace([np.inf, -np.inf], np.nan).isna())
    return ~np.isfinite(inputs) if inputs.dtype.kind == "f" else np.asarray(pd.isna(inputs))


def shares_memory(one: Any, other: Any) -> bool:
    """Whether writing into one batch can change the other."""
    if isinstance(one, pd.DataFrame):
        return any(shares_memory(one[name], other[name]) for name in one.columns)
    if isinstance(one, pd.Series):
        return isinstance(one.dtype, np.dtype) and bool(np.shares_memory(one.to_numpy(), other.to_numpy()))
    return bool(np.shares_memory(one, other))


def distance(one: Any, other: Any) -> float:
    """The mean difference: of numbers by their size, of all else by whether they differ at all."""
    if isinstance(one, pd.DataFrame):
        return float(np.mean([distance(one[name], other[name]) for name in one.columns]))
    if isinstance(one, pd.Series):
        numeric = pd.api.types.is_numeric_dtype(one.dtype) and not pd.api.types.is_bool_dtype(one.dtype)
        one, other = (s.to_numpy(dtype=float, na_value=np.nan) if numeric else s.to_numpy(object) for s in (one, other))
    if one.dtype.kind in "fiu":
        apart = np.abs(one.astype(np.float64) - other.astype(np.float64))
        # a value that got lost has moved by more than any number could
        return float(np.where(np.isnan(apart), np.isnan(one) != np.isnan(other), apart).mean())
    missing = pd.isna(one), pd.isna(other)
    differs = [m != n or (not m and a != b) for a, b, m, n in zip(one, other, *missing, strict=True)]
    return float(np.mean(differs))


# --- samples ---


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
    mean, sd = images.mean(axis=(0, 1, 2)), images.std(axis=(0, 1, 2))
    tensor = TensorSummary(float(images.min()), float(images.max()), tuple(mean.tolist()), tuple(sd.tolist()))
    return images, Survey(n=8, kind="tensor", tensor=tensor, layout="NHWC")


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
        quantiles = tuple(np.quantile(x, np.linspace(0, 1, 33)).tolist())
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
    mean, sd = series.mean(axis=(0, 1)), series.std(axis=(0, 1))
    tensor = TensorSummary(float(series.min()), float(series.max()), tuple(mean.tolist()), tuple(sd.tolist()))
    return series, Survey(n=6, kind="series", tensor=tensor)
