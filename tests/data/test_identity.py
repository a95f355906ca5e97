"""Identity: the same data in another container has the same digest, other data another one."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlflow_sensie.data import identity
from mlflow_sensie.data.examples import make_examples
from mlflow_sensie.data.identity import digests_of
from mlflow_sensie.data.sources import Data

DAY = pd.Timestamp("2024-03-01")


def digest(X: Any, y: Any = None) -> str:
    return digests_of(make_examples(Data(X, np.arange(len(X)) % 2 if y is None else y)), {}, {})[1]


def sample() -> pd.DataFrame:
    rng = np.random.default_rng(7)
    return pd.DataFrame(
        {
            "a": rng.normal(size=40),
            "n": rng.integers(0, 100, 40),
            "flag": rng.random(40) < 0.5,
            "word": rng.choice(["x", "y"], 40),
            "day": DAY + pd.to_timedelta(rng.integers(0, 300, 40), unit="D"),
        }
    )


SAME = {
    "columns in another order": lambda X: X[X.columns[::-1]],
    "another index": lambda X: X.set_axis(range(100, 140)),
    "narrower integers": lambda X: X.assign(n=X["n"].astype("int8")),
    "nullable integers": lambda X: X.assign(n=X["n"].astype("Int64")),
    "whole floats": lambda X: X.assign(n=X["n"].astype(float)),
    "nullable booleans": lambda X: X.assign(flag=X["flag"].astype("boolean")),
    "categories": lambda X: X.assign(word=X["word"].astype("category")),
    "objects": lambda X: X.assign(word=X["word"].astype(object), a=X["a"].astype(object)),
    "days in microseconds": lambda X: X.assign(day=X["day"].astype("datetime64[us]")),
}
OTHER = {
    "another value": lambda X: X.assign(a=X["a"].where(X.index != 3, 0)),
    "another name": lambda X: X.rename(columns={"a": "z"}),
    "another order of rows": lambda X: X[::-1],
    "fewer rows": lambda X: X[:-1],
    "another word": lambda X: X.assign(word=X["word"].where(X.index != 3, "q")),
    "a missing value": lambda X: X.assign(a=X["a"].where(X.index != 3)),
    "a missing word": lambda X: X.assign(word=X["word"].where(X.index != 3)),
    "another day": lambda X: X.assign(day=X["day"] + pd.Timedelta(days=1)),
}


@pytest.mark.parametrize("name", SAME)
def test_the_same_data_in_another_form_has_the_same_digest(name: str) -> None:
    assert digest(SAME[name](sample())) == digest(sample())


@pytest.mark.parametrize("name", OTHER)
def test_other_data_has_another_digest(name: str) -> None:
    assert digest(OTHER[name](sample())) != digest(sample())


def test_the_same_data_from_files_has_the_same_digest(tmp_path: Path) -> None:
    X = sample()
    X.to_parquet(tmp_path / "x.parquet")
    X.to_csv(tmp_path / "x.csv", index=False)
    from_csv = pd.read_csv(tmp_path / "x.csv", parse_dates=["day"], float_precision="round_trip")
    assert digest(X) == digest(pd.read_parquet(tmp_path / "x.parquet")) == digest(from_csv)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ([0, 1] * 20, [0.0, 1.0] * 20, True),
        ([0, 1] * 20, pd.array([0, 1] * 20, "Int64"), True),
        ([0, 1] * 20, [1, 0] * 20, False),
        (["a", "b"] * 20, pd.Categorical(["a", "b"] * 20), True),
        (["a", "b"] * 20, ["b", "a"] * 20, False),
    ],
)
def test_targets_are_part_of_the_digest(one: Any, other: Any, same: bool) -> None:
    assert (digest(sample(), one) == digest(sample(), other)) is same


ARRAYS: dict[str, Any] = {
    "2-D": np.arange(40.0).reshape(20, 2),
    "images": np.arange(20 * 12).reshape(20, 4, 3) % 255,
    "words": np.array([["a", "b"]] * 20),
    "objects": np.array([["a", 1.5]] * 20, dtype=object),
    "cells": pd.DataFrame({"image": list(np.arange(20 * 12.0).reshape(20, 4, 3))}),
    "lists of words": pd.DataFrame({"x": range(20), "words": [["a", "b"]] * 20}),
    "cells with a gap": pd.DataFrame({"x": range(20), "cell": [np.zeros(2)] * 19 + [None]}),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_every_kind_of_input_has_a_digest_that_tells_a_change(name: str) -> None:
    X = ARRAYS[name]
    assert digest(X) == digest(X.copy())
    assert digest(X) != digest(X[::-1]) or name == "words" or name == "objects"
    if isinstance(X, np.ndarray) and X.dtype.kind in "if":
        assert digest(X) == digest(X.astype("float32"))  # whole numbers: the same values


GAPPY = {
    "dates": [None] * 20 + [dt.date(2024, 1, day) for day in range(1, 21)],
    "timestamps": [pd.NaT] * 20 + list(pd.date_range("2024-01-01", periods=20)),
    "numbers": [None] * 20 + [1.5] * 20,
    "booleans": [None] * 20 + [True] * 20,
    "words": [None] * 20 + ["größer"] * 20,
    "mixed": [1, "1", None, 2.5] * 10,
}


@pytest.mark.parametrize("name", GAPPY)
def test_a_digest_does_not_depend_on_the_size_of_the_blocks(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    X = pd.DataFrame({"z": np.arange(40.0), "x": pd.Series(GAPPY[name], dtype=object)})
    whole = digest(X)
    for rows in (1, 7, 20):
        monkeypatch.setattr(identity, "BLOCK_ROWS", rows)
        assert digest(X) == whole
    assert digest(X.iloc[::-1]) != whole
