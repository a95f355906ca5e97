"""`check_perturbation`: the contract of a perturbation, for authors of new ones; needs no test framework."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from mlflow_sensie.data.survey import Survey
from mlflow_sensie.data.types import fresh_copy
from mlflow_sensie.perturbations.base import Array, Perturbation
from mlflow_sensie.samples import sample, sample_frame, sample_images, sample_series, sample_texts, samples, survey_of

__all__ = [
    "check_perturbation",
    "sample",
    "sample_frame",
    "sample_images",
    "sample_series",
    "sample_texts",
    "samples",
    "survey_of",
]

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

    ``inputs`` default to samples of the perturbation's kind in every form that it comes in: images of 1, 3, 4 and
    13 channels (or of those that it declares), floats and uint8, NHW, NHWC and NCHW; a frame with a column of every
    dtype; texts with empty ones, emoji and right-to-left scripts, as an array and as a frame; series with and
    without channels. ``survey`` is what is known of the whole data, ``magnitudes`` default to the perturbation's
    own, and ``monotone`` to what it declares.
    """
    own = [("what was given", inputs, survey)]
    for form, batch, sample_survey in samples(perturbation) if inputs is None else own:
        batch_survey = survey or sample_survey
        bound = perturbation if batch_survey is None else perturbation.bind(batch_survey)
        points = [float(p) for p in (bound.default_magnitudes if magnitudes is None else magnitudes)]
        try:
            _check(bound, batch, points, bound.monotone if monotone is None else monotone)
        except AssertionError as error:
            raise AssertionError(f"{error} Inputs: {form}.") from error
        except Exception as error:
            raise AssertionError(f"{bound.name} raised {type(error).__name__} for {form}: {error}") from error


def _check(perturbation: Perturbation, inputs: Any, points: list[float], monotone: bool) -> None:
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
    if monotone:
        _check_monotone(perturbation, inputs, points, outputs)
    _check_pickle(perturbation)


def _require(perturbation: Perturbation, holds: bool, what: str) -> None:
    if not holds:
        raise AssertionError(f"{perturbation.name} {what}.")


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
        alike = output.columns.equals(inputs.columns) and output.index.equals(inputs.index)
        _require(perturbation, alike, f"changed the columns or the index {at}")
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
        raise AssertionError(f"{perturbation.name} cannot be pickled: {error}") from error
    _require(perturbation, returned == perturbation, "is not equal to its own pickled copy")


# --- what can be said of inputs of any kind ---


def dtypes(inputs: Any) -> list[str]:
    """The dtypes of a batch by name; the width of a fixed-width string does not count."""
    columns = list(inputs.dtypes) if isinstance(inputs, pd.DataFrame) else [inputs.dtype]
    return ["str" if getattr(dtype, "kind", "") == "U" else str(dtype) for dtype in columns]


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
