"""Input formats: that of loose input of any form, and the way to a perturbation and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlflow_sensie.data.examples import InputFormat, make_examples
from mlflow_sensie.data.sources import Data

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
    examples = make_examples(Data(data, np.arange(N)), **keys)
    assert examples.input_format == form
    assert len(examples) == N and list(examples.ids) == list(range(N))


def values_of(inputs: Any) -> Any:
    if isinstance(inputs, pd.DataFrame) and isinstance(inputs.iloc[0, 0], np.ndarray | list):
        return np.stack(inputs.iloc[:, 0])
    return np.asarray(inputs)


@pytest.mark.parametrize("name", FORMS)
def test_decoding_and_encoding_give_the_inputs_back(name: str) -> None:
    data, keys, form = FORMS[name]
    inputs = make_examples(Data(data, np.arange(N)), **keys).inputs
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
    inputs = make_examples(Data(data, np.arange(N)), **keys).inputs
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
    names = make_examples(Data(np.zeros((3, 12)), range(3))).input_format.names
    assert names[:2] == ("feature_01", "feature_02") and list(names) == sorted(names)


def test_a_model_of_arrays_gets_arrays() -> None:
    flat = pd.DataFrame(pictures().reshape(N, 12))
    for data in (flat, flat.to_numpy(), pd.DataFrame({"image": list(pictures())}), pictures()):
        examples = make_examples(Data(data, range(N)), input_shape=(4, 3), takes="array")
        assert isinstance(examples.inputs, np.ndarray) and examples.input_format == FORMS["array"][2]
        np.testing.assert_array_equal(examples.inputs, pictures())
    kept = make_examples(Data(flat, range(N)), input_shape=(4, 3), takes="rows")
    assert kept.inputs.shape == (N, 12) and kept.input_format.container == "rows"
