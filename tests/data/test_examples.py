"""Examples: from loose input, metadata and targets of any form to one, and rows of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlflow_sensie.data.examples import clean_targets, concat, make_examples, rows
from mlflow_sensie.data.sources import Data
from mlflow_sensie.errors import DataError

N = 12


# --- metadata ----------------------------------------------------------------------------------------------


def test_columns_that_are_no_features_are_metadata() -> None:
    frame = pd.DataFrame({"site": ["x"] * N, "b": range(N), "a": range(N), "age": range(N)}, index=range(50, 50 + N))
    examples = make_examples(Data(frame, range(N)), features=["a", "b"])
    assert list(examples.inputs.columns) == ["a", "b"] and list(examples.metadata.columns) == ["site", "age"]
    assert examples.column_names() == ["site", "age", "a", "b"]
    assert list(examples.metadata.index) == list(range(N))


def test_features_that_are_not_all_there_split_nothing() -> None:
    frame = pd.DataFrame({"a": range(N), "b": range(N)})
    examples = make_examples(Data(frame, range(N)), features=["a", "c"])
    assert list(examples.inputs.columns) == ["a", "b"] and examples.metadata.shape == (N, 0)


def test_features_named_by_numbers_are_found() -> None:
    frame = pd.DataFrame({0: range(N), 1: range(N), "age": range(N)})
    examples = make_examples(Data(frame, range(N)), features=["0", "1"])
    assert list(examples.inputs.columns) == [0, 1] and list(examples.metadata.columns) == ["age"]
    assert list(examples.column("1")) == list(range(N))


def test_several_tables_stand_beside_each_other_by_position() -> None:
    frame = pd.DataFrame({"a": range(N), "site": list("xy" * 6)}, index=range(N, 0, -1))
    tables = [pd.DataFrame({"p": np.arange(N) * 2}, index=range(7, 7 + N)), pd.DataFrame({"q": np.arange(N) * 3})]
    examples = make_examples(Data(frame, range(N), tables[0]), features=["a"])
    for table in tables[1:]:
        examples = examples.with_metadata(table)
    picked = examples.take(np.array([4, 1]))
    assert [list(picked.column(name)) for name in ("site", "p", "q", "a")] == [["x", "y"], [8, 2], [12, 3], [4, 1]]
    assert list(picked.ids) == [4, 1] and list(picked.targets) == [4, 1]


def test_a_column_that_is_not_there() -> None:
    assert make_examples(Data(np.zeros((3, 2)), range(3))).column("z") is None
    assert make_examples(Data(np.zeros((N, 4, 3)), range(N))).column("0") is None  # pixels are no columns


# --- targets -----------------------------------------------------------------------------------------------

CLASSES = np.array([0, 2, 1, 1, 0, 2])
HOT = np.eye(3)[CLASSES]
SAME_TARGETS = {
    "ints": CLASSES,
    "list": CLASSES.tolist(),
    "int8": CLASSES.astype("int8"),
    "one-hot": HOT,
    "one-hot ints": HOT.astype(int),
    "one-hot booleans": HOT.astype(bool),
    "one-hot frame": pd.DataFrame(HOT),
    "one-hot lists": HOT.tolist(),
    "one-hot cells": pd.Series(list(HOT)),
    "one column": CLASSES[:, None],
    "series": pd.Series(CLASSES, index=range(9, 3, -1)),
    "frame": pd.DataFrame({"y": CLASSES}),
    "nullable": pd.array(CLASSES, dtype="Int64"),
    "objects": CLASSES.astype(object),
    "categories": pd.Categorical(CLASSES),
    "arrow": pd.Series(CLASSES, dtype="int64[pyarrow]"),
    "whole floats": CLASSES.astype(float),
}


@pytest.mark.parametrize("name", SAME_TARGETS)
def test_targets_of_any_form_are_one_label_each(name: str) -> None:
    labels = clean_targets(SAME_TARGETS[name], 6)
    assert labels.shape == (6,) and list(labels) == list(CLASSES)


@pytest.mark.parametrize("dtype", [object, str, "string", "category"])
def test_text_targets(dtype: Any) -> None:
    assert list(clean_targets(pd.Series(["b", "a", "größer"]).astype(dtype), 3)) == ["b", "a", "größer"]


@pytest.mark.parametrize(
    "targets",
    [[[1, 1], [0, 1]], [[0, 0], [0, 1]], [[0.5, 0.5], [0, 1]], [[1, 2], [3, 4]]],
    ids=["two of two", "none of two", "shares", "numbers"],
)
def test_rows_that_are_not_one_hot(targets: Any) -> None:
    with pytest.raises(DataError, match="not one-hot"):
        clean_targets(targets, 2)


# --- rows --------------------------------------------------------------------------------------------------


def test_rows_are_taken_by_position() -> None:
    frame = pd.DataFrame({"a": [1, 2, 3]}, index=[9, 9, 7])
    assert list(rows(frame, slice(1, 3))["a"]) == [2, 3] and list(rows(frame, np.array([2, 0]))["a"]) == [3, 1]
    assert list(rows(np.array([1, 2, 3]), slice(1, 3))) == [2, 3]


def test_concat_stacks_and_leaves_a_single_part_alone() -> None:
    frame = pd.DataFrame({"a": [1, 2]}, index=[5, 6])
    assert concat([frame]) is frame
    both = concat([frame, frame])
    assert list(both["a"]) == [1, 2, 1, 2] and list(both.index) == [0, 1, 2, 3]
    np.testing.assert_array_equal(concat([np.zeros((2, 3)), np.ones((1, 3))]), [[0] * 3, [0] * 3, [1] * 3])


def test_concat_keeps_categories() -> None:
    frame = pd.DataFrame({"c": pd.Categorical(["x", "y"], categories=["x", "y", "z"])})
    assert concat([frame, frame]).dtypes["c"] == frame.dtypes["c"]
