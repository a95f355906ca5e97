"""Predict calls: of one size, never of a single row, and without a trace in the results."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlflow_sensie import probe
from mlflow_sensie.evaluation.predict_calls import PredictBatcher, rows_per_call
from mlflow_sensie.models.outputs import Predictions

from .logistic import GOOD, PLAIN, N, frame, labels, marked, raises_at_two, sigmoid, test_of

MANY = {
    "properties": ["a", "b"],
    "perturbations": [
        GOOD,
        {
            "name": "drawn",
            "apply": lambda x, p, rng: x.assign(a=x["a"] + p * rng.normal(size=len(x))),
            "magnitudes": [1, 2],
        },
        {"name": "shift", "apply": "tabular.shift", "magnitudes": [-1, 1]},
        {"name": "swap", "apply": "tabular.swap", "magnitudes": [0.5, 1]},
    ],
    "class_test": True,
}


WEIGHTS = np.random.default_rng(5).normal(size=(3, 2))


def linear(X: Any) -> Any:
    """Matrix products round differently in batches of different size."""
    e = np.exp(np.asarray(X if isinstance(X, np.ndarray) else X.iloc[:, :3], dtype=float) @ WEIGHTS)
    return e / e.sum(axis=1, keepdims=True)


def mixed(n: int = N) -> pd.DataFrame:
    return frame().assign(c=np.random.default_rng(6).choice(list("xyz"), N))[:n]


@pytest.mark.parametrize(
    ("batch_size", "form"), [(1, "array"), (7, "array"), (50, "frame"), (256, "frame"), (1024, "array")]
)
def test_results_do_not_depend_on_the_batch_size(batch_size: int, form: str) -> None:
    X, y = mixed(300), labels()[:300]  # four chunks, the last of 44
    asked = MANY
    if form == "array":
        X = X.iloc[:, :3].to_numpy(dtype=float)
        numeric = [test for test in MANY["perturbations"] if test["name"] != "swap"]
        drawn = {**numeric[1], "apply": lambda x, p, rng: x + p * rng.normal(size=x.shape)}
        asked = {**MANY, "properties": ["feature_1"], "perturbations": [numeric[0], drawn, numeric[2]]}
    reference = probe(linear, X, y, {**asked, "batch_size": "auto"})
    found = probe(linear, X, y, {**asked, "batch_size": batch_size})
    assert found.metrics.keys() == reference.metrics.keys()
    for key, value in reference.metrics.items():
        assert found.metrics[key] == pytest.approx(value, rel=1e-7, abs=1e-9), key
    assert found.recipe_sha256 == reference.recipe_sha256


@pytest.mark.parametrize("batch_size", [7, 100, 256, 300, 10_000])
def test_no_predict_call_is_larger_than_asked(batch_size: int) -> None:
    calls: list[int] = []

    def model(X: Any) -> Any:
        calls.append(len(X))
        return sigmoid(X)

    probe(model, frame(), labels(), {"perturbations": [GOOD], "batch_size": batch_size})
    assert max(calls) <= batch_size
    assert sum(calls) == 256 + 3 * N  # a first look, then clean and two magnitudes: the neutral is not predicted


def test_auto_batches_go_by_bytes() -> None:
    assert rows_per_call(np.zeros((300, 4)), "auto") == 65_536
    assert rows_per_call(np.zeros((300, 2**15)), "auto") == 128
    assert rows_per_call(np.zeros((300, 2**20), dtype=np.uint8), "auto") == 32
    assert rows_per_call(pd.DataFrame(np.zeros((300, 128))), "auto") in range(32_000, 33_000)
    assert rows_per_call(np.zeros((300, 4)), 5) == 5


def test_running_out_of_memory_halves_the_batch_for_good() -> None:
    calls: list[int] = []

    def model(X: Any) -> Any:
        calls.append(len(X))
        if len(X) > 100:
            raise MemoryError
        return sigmoid(X)

    plain = probe(sigmoid, frame(), labels(), PLAIN)
    result = probe(model, frame(), labels(), PLAIN)
    assert result.tests == plain.tests
    too_large = [i for i, rows in enumerate(calls) if rows > 100]
    assert len(too_large) <= 8 and calls[-10:] == [rows for rows in calls[-10:] if rows <= 100]


def test_out_of_memory_at_one_row_is_the_models_failure() -> None:
    def model(X: Any) -> Any:
        if (np.asarray(X)[:, 1] == 102).any():
            raise MemoryError("too small a machine")
        return sigmoid(X)

    X, y = frame()[:100], labels()[:100]
    asked = {"perturbations": [test_of(marked), GOOD], "properties": ["a"], "on_error": "record"}
    result = probe(model, X, y, asked)
    assert "MemoryError: too small a machine" in result.failed["bad"]
    assert result.tests["good"] == probe(sigmoid, X, y, {"perturbations": [GOOD]}).tests["good"]


def test_the_order_of_tests_changes_nothing() -> None:
    turned = {**MANY, "properties": MANY["properties"][::-1], "perturbations": MANY["perturbations"][::-1]}
    model = lambda X: sigmoid(X[["a"]])
    one, other = probe(model, mixed(), labels(), MANY), probe(model, mixed(), labels(), turned)
    assert one.tests == other.tests and one.metrics == other.metrics
    assert list(other.tests) == ["b", "a", "class", "swap", "shift", "drawn", "good"] != list(one.tests)


def test_a_packed_call_that_raises_is_repeated_piece_by_piece() -> None:
    calls: list[int] = []

    def model(X: Any) -> Any:
        calls.append(len(X))
        return raises_at_two(X)

    asked = {"perturbations": [test_of(marked)], "batch_size": 10_000, "on_error": "record"}
    X, y = frame()[:200], labels()[:200]
    result = probe(model, X, y, asked)
    assert "magnitude 2" in result.failed["bad"]
    assert calls == [
        200,
        4 * 64,
        64,
        64,
        64,
        64,
        64,
        72,
    ]  # first look; clean and at three magnitudes; one by one; the rest


@pytest.mark.parametrize(("n", "limit", "calls"), [(7, 3, [3, 2, 2]), (6, 3, [3, 3]), (4, 3, [2, 2]), (3, 2, [2, 1])])
def test_no_call_is_of_a_single_row_but_where_two_are_the_limit(n: int, limit: int, calls: list[int]) -> None:
    seen: list[int] = []

    def predict(inputs: Any) -> Predictions:
        seen.append(len(inputs))
        return Predictions(inputs[:, 0])

    X = np.arange(2 * n).reshape(n, 2)
    np.testing.assert_array_equal(PredictBatcher(predict, limit).sliced(X).values, X[:, 0])
    assert seen == calls
