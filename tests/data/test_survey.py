"""The survey: what kind a column is, its moments, pixel ranges, and properties of every dtype."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlflow_sensie import probe
from mlflow_sensie.data.examples import make_examples
from mlflow_sensie.data.identity import digests_of
from mlflow_sensie.data.sources import Data
from mlflow_sensie.data.survey import (
    ValueRange,
    as_numbers,
    column_kind,
    count_unique,
    find_value_range,
    summarise_column,
    take_survey,
)

DAY = pd.Timestamp("2024-03-01")
NUMBERS = [0.0, 1.0, None, 3.0]
WHOLE = [0, 1, None, 3]
FLAGS = [True, False, None, True]
WORDS = ["b", "a", None, "b"]
DATES = [DAY, DAY + pd.Timedelta(days=1), None, DAY + pd.Timedelta(hours=36)]

# name → (column of four with the third missing where the dtype can, kind, as numbers or None for levels)
DTYPES: dict[str, tuple[Any, str, list[float] | None]] = {
    "float64": (pd.Series(NUMBERS, dtype="float64"), "numeric", [0, 1, np.nan, 3]),
    "float32": (pd.Series(NUMBERS, dtype="float32"), "numeric", [0, 1, np.nan, 3]),
    "float16": (pd.Series(NUMBERS, dtype="float16"), "numeric", [0, 1, np.nan, 3]),
    "Float64": (pd.Series(NUMBERS, dtype="Float64"), "numeric", [0, 1, np.nan, 3]),
    "double[pyarrow]": (pd.Series(NUMBERS, dtype="double[pyarrow]"), "numeric", [0, 1, np.nan, 3]),
    "float object": (pd.Series(NUMBERS, dtype=object), "numeric", [0, 1, np.nan, 3]),
    "int64": (pd.Series([0, 1, 2, 3], dtype="int64"), "integer", [0, 1, 2, 3]),
    "int8": (pd.Series([0, 1, 2, 3], dtype="int8"), "integer", [0, 1, 2, 3]),
    "uint16": (pd.Series([0, 1, 2, 3], dtype="uint16"), "integer", [0, 1, 2, 3]),
    "Int64": (pd.Series(WHOLE, dtype="Int64"), "integer", [0, 1, np.nan, 3]),
    "UInt8": (pd.Series(WHOLE, dtype="UInt8"), "integer", [0, 1, np.nan, 3]),
    "int64[pyarrow]": (pd.Series(WHOLE, dtype="int64[pyarrow]"), "integer", [0, 1, np.nan, 3]),
    "int object": (pd.Series(WHOLE, dtype=object), "numeric", [0, 1, np.nan, 3]),
    "NA object": (pd.Series([0, 1, pd.NA, 3], dtype=object), "numeric", [0, 1, np.nan, 3]),
    "sparse": (pd.Series(NUMBERS, dtype=pd.SparseDtype("float64")), "numeric", [0, 1, np.nan, 3]),
    "bool": (pd.Series([True, False, False, True]), "boolean", None),
    "boolean": (pd.Series(FLAGS, dtype="boolean"), "boolean", None),
    "bool[pyarrow]": (pd.Series(FLAGS, dtype="bool[pyarrow]"), "boolean", None),
    "bool object": (pd.Series(FLAGS, dtype=object), "boolean", None),
    "str": (pd.Series(WORDS), "category", None),
    "str object": (pd.Series(WORDS, dtype=object), "category", None),
    "string": (pd.Series(WORDS, dtype="string"), "category", None),
    "string[pyarrow]": (pd.Series(WORDS, dtype="string[pyarrow]"), "category", None),
    "category": (pd.Series(pd.Categorical(WORDS)), "category", None),
    "category of numbers": (pd.Series(pd.Categorical([20, 10, None, 20], categories=[20, 10, 5])), "category", None),
    "ordered": (pd.Series(pd.Categorical(WORDS, ["b", "a"], ordered=True)), "category", None),
    "datetime64[ns]": (pd.Series(DATES, dtype="datetime64[ns]"), "datetime", [0, 1, np.nan, 1.5]),
    "datetime64[s]": (pd.Series(DATES, dtype="datetime64[ns]").astype("datetime64[s]"),
    "datetime", [0, 1, np.nan, 1.5]),
    "datetime, UTC": (pd.Series(DATES, dtype="datetime64[ns]").dt.tz_localize("UTC"), "datetime", [0, 1, np.nan, 1.5]),
    "date object": (pd.Series([dt.date(2024, 3, 1), dt.date(2024, 3, 2), None, dt.date(2024, 3, 4)], dtype=object),
                    "datetime", [0, 1, np.nan, 3]),
    "timestamp[pyarrow]": (pd.Series(DATES, dtype="timestamp[us][pyarrow]"), "datetime", [0, 1, np.nan, 1.5]),
}  # fmt: skip
OTHERS = {
    "arrays": pd.Series([np.zeros(2), np.ones(2)]),
    "lists": pd.Series([["a"], ["b"]]),
    "mixed": pd.Series(["a", 1], dtype=object),
    "bytes": pd.Series([b"a", b"b"], dtype=object),
    "timedelta": pd.Series(pd.to_timedelta([1, 2], unit="D")),
    "period": pd.Series(pd.period_range("2024-01", periods=2, freq="M")),
    "complex": pd.Series([1j, 2j]),
    "nothing": pd.Series([None, None], dtype=object),
}


@pytest.mark.parametrize("name", DTYPES)
def test_kind_and_numbers_of_a_column(name: str) -> None:
    column, kind, numbers = DTYPES[name]
    assert column_kind(column) == kind
    if numbers is not None:
        found = as_numbers(column)
        offset = (DAY - pd.Timestamp(0)).days if kind == "datetime" else 0
        assert found.dtype == np.float64
        np.testing.assert_array_equal(found, np.array(numbers) + offset)


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_value_is_another_kind(name: str) -> None:
    summary = summarise_column("x", OTHERS[name])
    assert (summary.kind, summary.n, summary.n_unique, summary.levels) == ("other", 2, 0, ())


@pytest.mark.parametrize("name", DTYPES)
def test_summary_of_a_column(name: str) -> None:
    column, kind, numbers = DTYPES[name]
    summary = summarise_column("x", column)
    present = column.dropna()
    assert (summary.name, summary.kind, summary.n) == ("x", kind, 4)
    assert summary.n_missing == 4 - len(present) and summary.n_unique == len(set(present.tolist()))
    if numbers is None:
        counts = present.astype(object).value_counts()
        assert dict(zip(map(str, summary.levels), summary.frequencies, strict=True)).keys() >= set(
            map(str, counts.index)
        )
        assert sum(summary.frequencies) == pytest.approx(1)
        assert summary.mean is None
    else:
        values = as_numbers(column)
        assert summary.mean == pytest.approx(np.nanmean(values)) and summary.sd == pytest.approx(np.nanstd(values))
        assert (summary.lo, summary.hi) == (np.nanmin(values), np.nanmax(values))


@pytest.mark.parametrize("name", DTYPES)
def test_every_dtype_makes_a_property_that_counts_what_is_missing(name: str) -> None:
    column, _, numbers = DTYPES[name]
    long = pd.concat([column] * 30, ignore_index=True)
    if isinstance(column.dtype, np.dtype) and column.dtype == object:
        long = long.astype(object)
    y = np.arange(120) % 2
    p = np.where(long.isna(), 0.2, 0.7)
    model = lambda X: np.where(y[:, None] == [0, 1], p[:, None], 1 - p[:, None])[X["row"]]
    X = pd.DataFrame({"row": np.arange(120)})
    result = probe(model, X, y, {"properties": ["mine"]}, metadata=pd.DataFrame({"mine": long}))
    test = result.tests["mine"]
    assert test.kind == ("category" if numbers is None else "property")
    missing = 30 if column.isna().any() else 0
    # of numbers the slope has its own count; a category counts its levels
    assert (test.fit.n, test.fit.n_missing) == (120 - missing, missing)
    curve = test.curve
    assert curve["n"].sum() == 120 and len(curve) == column.nunique() + bool(missing)
    if missing:
        last = curve.iloc[-1]
        assert pd.isna(last["p"]) or last["p"] == "missing"
        assert (last["n"], last["score"]) == (30, pytest.approx(0.2))
        assert any("missing for 30 examples" in warning for warning in test.warnings)
    assert curve["score"].iloc[0] == pytest.approx(0.7)
    assert all(isinstance(value, float) and np.isfinite(value) for value in result.metrics.values())


# --- the whole data ----------------------------------------------------------------------------------------


def test_survey_of_a_frame_knows_its_columns_by_their_own_names() -> None:
    rng = np.random.default_rng(0)
    X = pd.DataFrame({0: rng.normal(size=50), "b": rng.normal(5, 2, 50), "w": rng.choice(list("xy"), 50), "c": 1.0})
    survey = take_survey(make_examples(Data(X, np.zeros(50))), None)
    assert list(survey.columns) == [0, "b", "w", "c"]
    assert survey.columns["b"].mean == pytest.approx(X["b"].mean()) and survey.columns[0].name == "0"  # type: ignore[index]
    assert survey.covariance is not None and survey.covariance.columns == (0, "b")
    np.testing.assert_allclose(survey.covariance.matrix, np.cov(X[[0, "b"]].to_numpy().T, bias=True))


@pytest.mark.parametrize(
    ("shape", "layout", "axes"),
    [((6, 5), None, (0, 1, 2)), ((6, 5, 3), "NHWC", (0, 1, 2)), ((3, 6, 5), "NCHW", (0, 2, 3)), ((7,), None, (0, 1))],
)
def test_survey_of_tensors_in_chunks_is_that_of_the_whole(shape: Any, layout: Any, axes: Any, monkeypatch: Any) -> None:
    import mlflow_sensie.data.survey as module

    values = (np.random.default_rng(1).normal(3, 2, (100, *shape)) + 1e4).astype(np.float32)
    values[3:7] = np.nan  # what is missing is left out
    values[50] = np.inf
    whole = np.where(np.isfinite(values), values, np.nan).astype(np.float64)
    examples = make_examples(Data(values, np.zeros(100)), layout=layout, kind="series" if len(shape) == 1 else None)
    in_chunks = module.in_chunks
    monkeypatch.setattr(module, "in_chunks", lambda examples: in_chunks(examples, 17))
    found = take_survey(examples, None).tensor
    assert found is not None
    np.testing.assert_allclose(found.mean, np.atleast_1d(np.nanmean(whole, axis=axes)), rtol=1e-12)
    np.testing.assert_allclose(found.sd, np.atleast_1d(np.nanstd(whole, axis=axes)), rtol=1e-9)
    assert (found.lo, found.hi) == (np.nanmin(whole), np.nanmax(whole))


def images(values: Any, dtype: str = "float32") -> Any:
    return np.resize(np.asarray(values, dtype=dtype), (10, 4, 4))


@pytest.mark.parametrize(
    ("values", "said", "found"),
    [
        (images([0, 0.5, 1]), None, ValueRange()),
        (images([0.2, 0.3]), None, ValueRange()),
        (images([0, 128, 255], "uint8"), None, ValueRange((1 / 255,), (0.0,))),
        (images([0, 1], "int64"), None, ValueRange((1 / 255,), (0.0,))),
        (images([0, 128, 255]), None, None),
        (images([-1, 1]), None, None),
        (images([0, 256], "int32"), None, None),
        (images([-1, 5], "int8"), None, None),
        (images([0, np.nan]), None, ValueRange()),
        (images([0, np.nan, 200]), None, None),
        (images([np.nan]), None, None),
        (images([-1, 1]), (-1, 1), ValueRange((0.5,), (0.5,))),
        (images([0, 255]), (0, 255), ValueRange((1 / 255,), (-0.0,))),
        (images([-1, 1]), {"mean": 0.5, "std": 0.25}, ValueRange((0.25,), (0.5,))),
        (images([-1, 1]), {"mean": [0.5, 0.4, 0.3], "std": [1, 2, 4]}, ValueRange((1.0, 2.0, 4.0), (0.5, 0.4, 0.3))),
    ],
)
def test_pixel_range(values: Any, said: Any, found: ValueRange | None) -> None:
    assert find_value_range(make_examples(Data(values, np.zeros(10))), said) == found


def test_pixel_range_of_cells_is_that_of_what_they_hold() -> None:
    for dtype, found in (("uint8", ValueRange((1 / 255,), (0.0,))), ("float32", ValueRange())):
        frame = pd.DataFrame({"image": list(images([0, 1], dtype))})
        assert find_value_range(make_examples(Data(frame, np.zeros(10))), None) == found


# --- rare levels -------------------------------------------------------------------------------------------


def test_rare_levels_are_merged_and_told() -> None:
    levels = np.repeat(["often", "also", "rare", "rarer"], [500, 492, 5, 3])
    y = np.arange(1000) % 2
    model = lambda X: np.full((len(X), 2), 0.5)
    X = pd.DataFrame({"x": np.zeros(1000), "c": levels})
    test = probe(model, X, y, {"properties": ["c"]}).tests["c"]
    assert dict(zip(test.curve["p"], test.curve["n"], strict=True)) == {"also": 492, "often": 500, "other": 8}
    assert "2 levels under 1 % of the examples are merged" in test.warnings


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.one_of(st.floats(-3, 3).map(round), st.just(None)), max_size=30),
    st.sampled_from(["float64", "Int64", "object", "datetime64[ns]", "bool", "str"]),
)
def test_different_values_are_counted_as_pandas_counts_them(values: list[Any], dtype: str) -> None:
    if dtype == "bool":
        values = [bool(value) for value in values]
    column = pd.Series(values, dtype="float64" if dtype == "datetime64[ns]" else dtype)
    column = column.astype(dtype)
    assert count_unique(column) == column.nunique()


VALUES = st.one_of(
    st.floats(-1e6, 1e6), st.integers(-1000, 1000), st.booleans(), st.text(max_size=3), st.none(),
    st.dates(dt.date(1900, 1, 1), dt.date(2100, 1, 1)), st.just(float("nan")), st.just(pd.NA),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(VALUES, min_size=6, max_size=40))
def test_no_column_of_any_objects_breaks_the_survey(values: list[Any]) -> None:
    column = pd.Series(values, dtype=object)
    summary = summarise_column("x", column)
    kinds = {"numeric", "integer", "boolean", "category", "datetime", "other"}
    assert summary.kind in kinds and summary.n == len(values)
    if summary.kind in ("numeric", "datetime"):
        assert len(as_numbers(column)) == len(values)
    examples = make_examples(Data(pd.DataFrame({"z": np.arange(len(values)), "x": column}), np.arange(len(values))))
    assert len(digests_of(examples, {}, {})[1]) == 64


@pytest.mark.parametrize("unit", ["datetime64[s]", "datetime64[us]", "datetime64[ns]", "timestamp[us][pyarrow]"])
def test_dates_of_any_unit_are_days(unit: str) -> None:
    stamps = pd.Series(pd.to_datetime(["1970-01-03 12:00:00", None, "1969-12-31 00:00:00"])).astype(unit)
    np.testing.assert_array_equal(as_numbers(stamps), [2.5, np.nan, -1])


def test_dates_with_a_zone_are_days_of_one_clock() -> None:
    stamps = pd.Series(pd.to_datetime(["1970-01-03 13:00:00", None])).dt.tz_localize("Europe/Amsterdam")
    np.testing.assert_array_equal(as_numbers(stamps), [2.5, np.nan])
