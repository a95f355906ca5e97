"""The sweep: what fails fails alone, and what writes changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlflow_sensie import probe
from mlflow_sensie.errors import EvaluationIncomplete, ModelError
from mlflow_sensie.scores.table import CLEAN, score_column

from .logistic import GOOD, PLAIN, N, frame, labels, marked, raises_at_two, sigmoid, test_of

# --- a perturbation that fails -----------------------------------------------------------------------------


def at_two(wrong: Callable[[Any], Any]) -> Callable[[Any, float], Any]:
    """A perturbation that is wrong at magnitude 2 only."""
    return lambda x, p: wrong(x) if p == 2 else x


def raising(x: Any) -> Any:
    raise KeyError("no such thing")


def with_hole(x: Any, value: float = np.nan) -> Any:
    x.iloc[3, 1] = value
    return x


FRAME_FAILURES = {
    "raises": (raising, ["KeyError", "no such thing"]),
    "fewer rows": (lambda x: x[1:], ["64 rows", "63 rows"]),
    "fewer columns": (lambda x: x[["a"]], ["same columns", "['a'] came"]),
    "other columns": (lambda x: x.rename(columns={"b": "c"}), ["same columns", "['a', 'c', 'k'] came"]),
    "an array": (lambda x: x.to_numpy(), ["a frame of 64 rows", "ndarray came"]),
    "nothing": (lambda x: None, ["64 rows", "NoneType"]),
    "NaN": (with_hole, ["returned 1 values that are NaN or infinite"]),
    "infinity": (lambda x: with_hole(x, -np.inf), ["returned 1 values that are NaN or infinite"]),
}


@pytest.mark.parametrize("name", FRAME_FAILURES)
def test_a_perturbation_of_frames_that_fails_fails_alone(name: str) -> None:
    wrong, phrases = FRAME_FAILURES[name]
    asked = {**PLAIN, "perturbations": [test_of(at_two(wrong)), GOOD]}
    result = probe(sigmoid, frame(), labels(), {**asked, "on_error": "record"})
    text = result.failed["bad"]
    for phrase in ["test 'bad'", "magnitude 2", "chunk 0 (examples 0 to 63)", *phrases]:
        assert phrase in text
    assert_alone(result)


def images() -> Any:
    return np.random.default_rng(4).random((N, 4, 5)).astype(np.float32)


IMAGE_FAILURES = {
    "raises": (raising, ["KeyError"]),
    "another shape": (lambda x: x[:, :3], ["keep the shape (64, 4, 5)", "(64, 3, 5) came"]),
    "another channel": (lambda x: x[..., None], ["(64, 4, 5, 1) came"]),
    "fewer images": (lambda x: x[:-1], ["64 rows", "63 rows"]),
    "NaN": (lambda x: np.where(x > 0.9, np.nan, x), ["NaN or infinite where there were none"]),
    "infinity": (lambda x: x / 0, ["NaN or infinite where there were none"]),
    "a number": (lambda x: 1.0, ["64 rows", "float"]),
}


@pytest.mark.filterwarnings("ignore:divide by zero")
@pytest.mark.parametrize("name", IMAGE_FAILURES)
def test_a_perturbation_of_images_that_fails_fails_alone(name: str) -> None:
    wrong, phrases = IMAGE_FAILURES[name]
    good = {"name": "good", "apply": "image.gaussian_noise", "magnitudes": [0, 0.5]}
    model = lambda X: sigmoid(X.reshape(len(X), -1))
    alone = probe(model, images(), labels(), {"perturbations": [good]})
    asked = {"perturbations": [test_of(at_two(wrong)), good], "on_error": "record"}
    result = probe(model, images(), labels(), asked)
    for phrase in ["test 'bad'", "magnitude 2", "chunk 0", *phrases]:
        assert phrase in result.failed["bad"]
    assert result.tests["good"] == alone.tests["good"]


def assert_alone(result: Any) -> None:
    """All but the test `bad` are exactly what they are without it, and of that one there is only `ok`."""
    without = probe(sigmoid, frame(), labels(), PLAIN)
    assert {name: test for name, test in result.tests.items() if name != "bad"} == without.tests
    assert result.tests["bad"].metrics == {"ok": 0.0}
    assert [key for key in result.metrics if key.startswith("sensie/bad/")] == ["sensie/bad/ok"]
    assert (result.status, result.metrics["sensie/n_failed"]) == ("partial", 1.0)
    assert "sensie/worst_mean_drop" not in result.metrics
    for index in range(3):
        assert np.isnan(result.score_table.column(score_column("bad", index))).all()
    np.testing.assert_array_equal(result.score_table.column(CLEAN), without.score_table.column(CLEAN))


def test_a_test_that_fails_late_leaves_no_scores() -> None:
    seen: list[int] = []

    def late(x: Any, p: float) -> Any:
        seen.append(len(x))
        return raising(x) if len(seen) > 4 else x  # the second magnitude of the second chunk

    result = probe(
        sigmoid,
        frame(),
        labels(),
        {**PLAIN, "perturbations": [{**test_of(late), "neutral": "none"}, GOOD], "on_error": "record"},
    )
    assert "magnitude 2, chunk 1 (examples 64 to 127)" in result.failed["bad"]
    assert len(seen) == 5  # and is not asked again
    assert_alone(result)


def test_a_failed_test_makes_no_more_predictions() -> None:
    rows: list[int] = []

    def counted(X: Any) -> Any:
        rows.append(len(X))
        return sigmoid(X)

    probe(counted, frame(), labels(), {"perturbations": [test_of(at_two(raising))], "properties": ["a"],
                                       "on_error": "record", "batch_size": 1000})  # fmt: skip
    assert sum(rows) == 256 + N + 64  # the first look, all clean, and one magnitude of one chunk


# --- a model that fails ------------------------------------------------------------------------------------


def nan_at_two(X: Any) -> Any:
    p = sigmoid(X)
    p[np.asarray(X)[:, 1] == 102] = np.nan
    return p


def three_columns_at_two(X: Any) -> Any:
    if (np.asarray(X)[:, 1] == 102).all():
        return np.full((len(X), 3), 1 / 3)
    return sigmoid(X)


def logits_at_two(X: Any) -> Any:
    return sigmoid(X) + 3.0 * (np.asarray(X)[:, 1] == 102)[:, None]


@pytest.mark.parametrize("batch_size", [100, 256, 4096])
@pytest.mark.parametrize(
    ("model", "phrase"),
    [
        (nan_at_two, "NaN or infinite for 64 of 64"),
        (raises_at_two, "RuntimeError: out of order"),
        (logits_at_two, "output: logits"),
    ],
    ids=["NaN", "raises", "logits"],
)
def test_a_model_that_fails_at_one_magnitude_fails_that_test_alone(model: Any, phrase: str, batch_size: int) -> None:
    asked = {**PLAIN, "perturbations": [test_of(marked), GOOD], "batch_size": batch_size, "on_error": "record"}
    result = probe(model, frame(), labels(), asked)
    for wanted in ("test 'bad'", "magnitude 2", "chunk 0 (examples 0 to 63)", phrase):
        assert wanted in result.failed["bad"]
    assert_alone(result)


def test_a_model_of_another_width_at_one_magnitude() -> None:
    asked = {**PLAIN, "perturbations": [test_of(marked), GOOD], "batch_size": 256, "on_error": "record"}
    result = probe(three_columns_at_two, frame(), labels(), asked)
    assert "magnitude 2" in result.failed["bad"] and "3 columns, but there are 2 classes" in result.failed["bad"]
    assert_alone(result)


@pytest.mark.parametrize("score", ["probability", "correct", {"top_k": 1}, {"threshold": 0.5}, "neg_log_loss",
                                   "neg_brier_score"], ids=str)  # fmt: skip
def test_no_score_hides_a_nan(score: Any) -> None:
    one_nan = lambda X: np.where(np.arange(2) == 0, nan_at_two(X), sigmoid(X))  # in one column of two
    asked = {"perturbations": [test_of(marked)], "score": score, "on_error": "record"}
    assert "magnitude 2" in probe(one_nan, frame(), labels(), asked).failed["bad"]


def test_a_model_that_fails_on_the_unperturbed_fails_everything() -> None:
    def late(X: Any) -> Any:
        return np.where(np.asarray(X)[:, 0:1] == frame()["a"][300], np.nan, sigmoid(X))

    with pytest.raises(ModelError, match=r"unperturbed examples, chunk 3 \(examples 256 to 511\).*1 of 256"):
        probe(late, frame(), labels(), {**PLAIN, "on_error": "record"})


# --- on_error ----------------------------------------------------------------------------------------------


def test_on_error_raise_raises_at_the_end_with_the_result() -> None:
    asked = {**PLAIN, "perturbations": [test_of(at_two(raising)), GOOD]}
    with pytest.raises(
        EvaluationIncomplete, match=r"(?s)1 of 4 tests failed.*test 'bad', magnitude 2, chunk 0"
    ) as caught:
        probe(sigmoid, frame(), labels(), asked)
    assert_alone(caught.value.result)


def test_all_tests_failed() -> None:
    asked = {"perturbations": [test_of(at_two(raising)), test_of(at_two(raising), name="too")], "on_error": "record"}
    result = probe(sigmoid, frame(), labels(), asked)
    assert result.status == "error"
    counts = {"sensie/n_tests": 2.0, "sensie/n_failed": 2.0, "sensie/bad/ok": 0.0, "sensie/too/ok": 0.0}
    clean = {key: value for key, value in result.metrics.items() if key not in counts}
    assert result.metrics == {**clean, **counts}
    assert clean["sensie/clean_score"] == result.clean.value
    assert all(key.startswith(("sensie/clean_", "sensie/skill", "sensie/no_skill")) for key in clean)
    assert list(result.summary()["decision"]) == ["failed", "failed"]


# --- what writes into its input ----------------------------------------------------------------------------


def cells() -> pd.DataFrame:
    return pd.DataFrame({"image": list(images())})


def texts() -> pd.DataFrame:
    return frame().assign(words=[["some", "words"]] * N)


def flattened(X: Any) -> Any:
    if isinstance(X, pd.DataFrame):
        X = np.stack(X.iloc[:, 0]) if X.shape[1] == 1 else X[["a", "b", "k"]]
    return sigmoid(np.asarray(X, dtype=float).reshape(len(X), -1))


def destroy(X: Any) -> None:
    """Write into every value, in place."""
    if isinstance(X, np.ndarray):
        X[...] = 0
        return
    for name in X.columns:
        first = X[name].iloc[0]
        if isinstance(first, np.ndarray | list):
            for cell in X[name]:
                cell[:] = [0] * len(cell) if isinstance(cell, list) else 0
    numbers = X.select_dtypes("number").columns
    X[numbers] = 0


def destroying(x: Any, p: float) -> Any:
    keep = x.copy()
    destroy(x)
    return (
        keep
        if isinstance(keep, np.ndarray) or "words" not in keep
        else keep.assign(words=[["some", "words"]] * len(keep))
    )


INPUTS = {
    "array": lambda: frame().to_numpy(dtype=float),
    "images": images,
    "flat": lambda: images().reshape(N, -1),
    "frame": frame,
    "cells": cells,
    "lists in a frame": texts,
}


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other)
    return all(all(np.array_equal(a, b) for a, b in zip(one[name], other[name], strict=True)) for name in one.columns)


@pytest.mark.parametrize("batch_size", [100, 4096])
@pytest.mark.parametrize("name", INPUTS)
def test_a_perturbation_or_a_model_that_writes_changes_nothing(name: str, batch_size: int) -> None:
    asked: dict[str, Any] = {
        "perturbations": [test_of(lambda x, p: x, name="still")], "class_test": True, "batch_size": batch_size,
        **({"input_shape": [4, 5]} if name == "flat" else {}),
    }  # fmt: skip
    X, y = INPUTS[name](), labels()
    good = probe(flattened, X, y, asked)

    def writes(X: Any) -> Any:
        found = flattened(X)
        destroy(X)
        return found

    worse = {**asked, "perturbations": [test_of(destroying, name="still")], "properties": [prop_that_writes]}
    result = probe(writes, X, y, worse)
    assert equal(X, INPUTS[name]()) and np.array_equal(y, labels())
    np.testing.assert_array_equal(result.score_table.column(CLEAN), good.score_table.column(CLEAN))
    assert result.tests["still"] == good.tests["still"]
    assert result.tests["still"].metrics["effect"] == pytest.approx(0, abs=1e-12)


def prop_that_writes(X: Any) -> Any:
    values = np.arange(len(X)) % 3
    destroy(X)
    return values


def test_one_buffer_handed_out_again_and_again() -> None:
    buffer = np.empty((N, 4, 5), dtype=np.float32)

    def reusing(x: Any, p: float) -> Any:
        out = buffer[: len(x)]
        out[...] = x + p
        return out

    model = lambda X: sigmoid(X.reshape(len(X), -1))
    asked = {"perturbations": [test_of(reusing)]}
    fresh = {"perturbations": [test_of(lambda x, p: (x + p).astype(np.float32))]}
    assert probe(model, images(), labels(), asked).tests == probe(model, images(), labels(), fresh).tests


def test_preprocess_gets_a_copy_and_comes_after_the_perturbation() -> None:
    def doubled(X: Any) -> Any:
        X["a"] *= 2
        return X

    seen: list[float] = []

    def model(X: Any) -> Any:
        seen.append(float(X["a"].iloc[0]))
        return sigmoid(X)

    X = frame()
    add = test_of(lambda x, p: x.assign(a=x["a"] + p), (10, 20))
    probe(model, X, labels(), {"perturbations": [add], "preprocess": doubled, "batch_size": 64})
    a = frame()["a"]
    assert seen[4:7] == [2 * a[0], 2 * (a[0] + 10), 2 * (a[0] + 20)]  # after the first look
    pd.testing.assert_frame_equal(X, frame())


# --- missing scores ----------------------------------------------------------------------------------------


def some_missing(predictions: Any, targets: Any) -> Any:
    p = predictions[:, 1]
    return np.where(p > 0.85, np.nan, p)


def test_missing_scores_fail_the_test_or_are_dropped_and_counted() -> None:
    add = test_of(lambda x, p: x.assign(a=x["a"] + p), (0.1, 0.2), name="add")
    X = frame()[frame()["a"] < 1.6].reset_index(drop=True)  # no score is missing before 0.2 is added
    assert sigmoid(X)[:, 1].max() < 0.85 < sigmoid(X + 0.2)[:, 1].max()
    asked = {"perturbations": [add], "properties": ["b"], "score": some_missing}
    y = np.zeros(len(X), dtype=int)
    failed = probe(sigmoid, X, y, {**asked, "on_error": "record"})
    assert "NaN or infinite" in failed.failed["add"] and "chunk 0" in failed.failed["add"]
    dropped = probe(sigmoid, X, y, {**asked, "missing": "drop"})
    gone = int((sigmoid(X.assign(a=X["a"] + 0.2))[:, 1] > 0.85).sum())
    fit = dropped.tests["add"].fit
    assert (fit.n, fit.n_dropped) == (len(X) - gone, gone) and gone > 0
    assert any(f"{gone} examples with a missing score are left out" in w for w in dropped.tests["add"].warnings)
    assert dropped.tests["b"].fit.n == len(X)


def test_missing_clean_scores_are_dropped_and_counted_too() -> None:
    asked = {"properties": ["b"], "class_test": True, "score": some_missing}
    with pytest.raises(ModelError, match="NaN or infinite"):
        probe(sigmoid, frame(), labels(), asked)
    result = probe(sigmoid, frame(), labels(), {**asked, "missing": "drop", "on_error": "record"})
    p = sigmoid(frame())[:, 1]
    kept = p[p <= 0.85]
    assert result.clean.value == pytest.approx(kept.mean(), rel=1e-12)
    assert result.tests["b"].fit.n_dropped == N - len(kept) and result.tests["class"].fit.n_dropped == N - len(kept)


def test_a_property_whose_scores_are_all_missing_fails_alone() -> None:
    score = lambda p, t: np.where(t == 1, np.nan, p[:, 1])
    asked = {"properties": ["b"], "class_test": True, "score": score, "missing": "drop", "on_error": "record"}
    result = probe(sigmoid, frame(), labels(), asked)
    assert list(result.failed) == ["class"] and "at least two levels" in result.failed["class"]
    assert result.tests["class"].metrics == {"ok": 0.0}
    assert result.tests["b"].ok


def test_infinite_scores_count_as_missing() -> None:
    asked = {"perturbations": [test_of(marked)], "score": lambda p, t: np.log(p[:, 1] - 1 + (p[:, 0] < 2))}
    infinite = lambda X: np.where((np.asarray(X)[:, 1] == 102)[:, None], 0.0, sigmoid(X))
    with pytest.warns(RuntimeWarning):
        result = probe(infinite, frame(), labels(), {**asked, "on_error": "record"})
    assert "NaN or infinite for 64 of 64" in result.failed["bad"]
