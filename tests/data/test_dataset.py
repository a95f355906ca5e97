"""Examples: from loose input of any form to one, and the way to a perturbation and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlflow_sensie.data.examples import InputFormat, clean_targets, concat, make_examples, rows
from mlflow_sensie.errors import DataError

N = 12


def pictures(shape: tuple[int, ...] = (4, 3), dtype: str = "float32") -> Any:
    return (np.random.default_rng(0).random((N, *shape)) * 200).astype(dtype)


FORMS = {
    "array": (pictures(), {}, InputFormat("tensor", "array", (4, 3), "NHW")),
    "integers": (pictures(dtype="uint8"), {}, InputFormat("tensor", "array", (4, 3), "NHW")),
    "rows": (pictures().reshape(N, 12), {"input_shape": (4, 3)}, InputFormat("tensor", "rows", (4, 3), "NHW")),
    "columns": (
        pd.DataFrame(pictures().reshape(N, 12)).add_prefix("p"), {"input_shape": (4, 3)},
        InputFormat("tensor", "columns", (4, 3), "NHW"),
    ),
    "numbered columns": (
        pd.DataFrame(pictures().reshape(N, 12)),
        {"input_shape": (4, 3)},
        InputFormat("tensor", "columns", (4, 3), "NHW"),
    ),
    "cells": (pd.DataFrame({"image": list(pictures())}), {}, InputFormat("tensor", "cells", (4, 3), "NHW")),
    "numbered cells": (pd.DataFrame({7: list(pictures())}), {}, InputFormat("tensor", "cells", (4, 3), "NHW")),
    "nested lists": (pictures().tolist(), {}, InputFormat("tensor", "array", (4, 3), "NHW")),
    "array of arrays": (
        np.array([*pictures(), None], dtype=object)[:-1],
        {},
        InputFormat("tensor", "array", (4, 3), "NHW"),
    ),
    "channels last": (pictures((6, 5, 3)), {}, InputFormat("tensor", "array", (6, 5, 3), "NHWC")),
    "channels first": (pictures((1, 4, 5)), {}, InputFormat("tensor", "array", (1, 4, 5), "NCHW")),
    "said layout": (pictures((3, 4, 3)), {"layout": "NCHW"}, InputFormat("tensor", "array", (3, 4, 3), "NCHW")),
    "video": (pictures((2, 4, 5, 3)), {}, InputFormat("tensor", "array", (2, 4, 5, 3), None)),
    "series": (pictures((6,)), {"kind": "series"}, InputFormat("series", "array", (6,))),
    "series of channels": (pictures((6, 2)), {"kind": "series"}, InputFormat("series", "array", (6, 2))),
    "cells of series": (pd.DataFrame({"s": list(pictures((6,)))}), {}, InputFormat("series", "cells", (6,))),
    "cells of lists": (pd.DataFrame({"s": pictures((6,)).tolist()}), {}, InputFormat("series", "cells", (6,))),
    "table": (pictures((3,)), {}, InputFormat("tabular", "array", names=("feature_1", "feature_2", "feature_3"))),
    "named table": (pictures((2,)), {"names": ["a", "b"]}, InputFormat("tabular", "array", names=("a", "b"))),
    "frame": (pd.DataFrame({"a": range(N), 3: "x"}), {}, InputFormat("tabular", "frame", names=("a", "3"))),
    "texts": (pd.DataFrame({"t": ["some words"] * N}), {"kind": "text"}, InputFormat("text", "frame", names=("t",))),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_form_of_the_inputs(name: str) -> None:
    data, keys, form = FORMS[name]
    examples = make_examples(data, np.arange(N), **keys)
    assert examples.input_format == form
    assert len(examples) == N and list(examples.ids) == list(range(N))


def values_of(inputs: Any) -> Any:
    if isinstance(inputs, pd.DataFrame) and isinstance(inputs.iloc[0, 0], np.ndarray | list):
        return np.stack(inputs.iloc[:, 0])
    return np.asarray(inputs)


@pytest.mark.parametrize("name", FORMS)
def test_decoding_and_encoding_give_the_inputs_back(name: str) -> None:
    data, keys, form = FORMS[name]
    inputs = make_examples(data, np.arange(N), **keys).inputs
    decoded = form.decode(inputs)
    if form.kind in ("tensor", "series"):
        assert isinstance(decoded, np.ndarray) and decoded.shape == (N, *form.shape)
        assert decoded.dtype.kind == "f"
    back = form.encode(decoded, inputs)
    assert type(back) is type(inputs)
    np.testing.assert_array_equal(values_of(back).astype(object), values_of(inputs).astype(object))
    if isinstance(back, pd.DataFrame):
        assert list(back.columns) == list(inputs.columns) and list(back.index) == list(inputs.index)


@pytest.mark.parametrize("name", FORMS)
def test_what_is_decoded_is_a_copy(name: str) -> None:
    data, keys, form = FORMS[name]
    inputs = make_examples(data, np.arange(N), **keys).inputs
    before = values_of(inputs).copy()
    decoded = form.decode(inputs)
    if isinstance(decoded, np.ndarray):
        decoded[...] = 0
    else:
        decoded.iloc[:, 0] = decoded.iloc[0, 0]
    np.testing.assert_array_equal(values_of(inputs), before)


def test_what_is_encoded_may_be_written_into() -> None:
    table, _, form = FORMS["table"]
    back = form.encode(form.decode(table), table)
    back[:] = 0  # a model may do so


def test_numbered_features_sort_as_they_stand() -> None:
    names = make_examples(np.zeros((3, 12)), range(3)).input_format.names
    assert names[:2] == ("feature_01", "feature_02") and list(names) == sorted(names)


def test_a_model_of_arrays_gets_arrays() -> None:
    flat = pd.DataFrame(pictures().reshape(N, 12))
    for data in (flat, flat.to_numpy(), pd.DataFrame({"image": list(pictures())}), pictures()):
        examples = make_examples(data, range(N), input_shape=(4, 3), wants_array=True)
        assert isinstance(examples.inputs, np.ndarray) and examples.input_format == FORMS["array"][2]
        np.testing.assert_array_equal(examples.inputs, pictures())
    kept = make_examples(flat, range(N), input_shape=(4, 3), wants_array=True, flat=True)
    assert kept.inputs.shape == (N, 12) and kept.input_format.container == "rows"


# --- metadata ----------------------------------------------------------------------------------------------


def test_columns_that_are_no_features_are_metadata() -> None:
    frame = pd.DataFrame({"site": ["x"] * N, "b": range(N), "a": range(N), "age": range(N)}, index=range(50, 50 + N))
    examples = make_examples(frame, range(N), features=["a", "b"])
    assert list(examples.inputs.columns) == ["a", "b"] and list(examples.metadata.columns) == ["site", "age"]
    assert examples.column_names() == ["site", "age", "a", "b"]
    assert list(examples.metadata.index) == list(range(N))


def test_features_that_are_not_all_there_split_nothing() -> None:
    frame = pd.DataFrame({"a": range(N), "b": range(N)})
    examples = make_examples(frame, range(N), features=["a", "c"])
    assert list(examples.inputs.columns) == ["a", "b"] and examples.metadata.shape == (N, 0)


def test_features_named_by_numbers_are_found() -> None:
    frame = pd.DataFrame({0: range(N), 1: range(N), "age": range(N)})
    examples = make_examples(frame, range(N), features=["0", "1"])
    assert list(examples.inputs.columns) == [0, 1] and list(examples.metadata.columns) == ["age"]
    assert list(examples.column("1")) == list(range(N))


def test_several_tables_stand_beside_each_other_by_position() -> None:
    frame = pd.DataFrame({"a": range(N), "site": list("xy" * 6)}, index=range(N, 0, -1))
    tables = [pd.DataFrame({"p": np.arange(N) * 2}, index=range(7, 7 + N)), pd.DataFrame({"q": np.arange(N) * 3})]
    examples = make_examples(frame, range(N), features=["a"], metadata=tables)
    picked = examples.take(np.array([4, 1]))
    assert [list(picked.column(name)) for name in ("site", "p", "q", "a")] == [["x", "y"], [8, 2], [12, 3], [4, 1]]
    assert list(picked.ids) == [4, 1] and list(picked.targets) == [4, 1]


def test_a_column_that_is_not_there() -> None:
    assert make_examples(np.zeros((3, 2)), range(3)).column("z") is None
    assert make_examples(pictures(), range(N)).column("0") is None  # pixels are no columns


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
