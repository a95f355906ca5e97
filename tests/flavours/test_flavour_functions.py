"""Functions given to ``evaluate``, and custom ``PythonModel``s by URI: frames of probabilities, and labels."""

from __future__ import annotations

from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.models import infer_signature
from scipy.special import expit, softmax

from flavours.logged import evaluate, log_model
from mlflow_sensie.errors import DataError, ModelError

NAMES = ["cat", "dog", "eel"]
RECIPE: dict[str, Any] = {
    "properties": ["site"],
    "perturbations": [{"name": "noise", "apply": "tabular.noise", "magnitudes": [0, 0.5, 1]}],
}


@pytest.fixture(scope="module")
def animals() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(150, 2))
    y = [NAMES[rng.choice(3, p=row)] for row in probabilities(X)]
    return pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "site": rng.choice(["A", "B"], 150), "y": y})


def probabilities(X: Any) -> Any:
    X = np.asarray(X, dtype=float)
    return softmax(np.column_stack([2 * X[:, 0], X[:, 1], -X[:, 0]]), axis=1)


def clean_score(animals: pd.DataFrame) -> float:
    p = probabilities(animals[["a", "b"]])
    return float(p[np.arange(len(p)), [NAMES.index(label) for label in animals["y"]]].mean())


class Probabilities(mlflow.pyfunc.PythonModel):
    """Returns a frame whose columns name the classes, in an order that is not the alphabet's."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        return pd.DataFrame(probabilities(model_input[["a", "b"]]), columns=NAMES)[["dog", "eel", "cat"]]


class Labels(mlflow.pyfunc.PythonModel):
    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        return [NAMES[k] for k in probabilities(model_input[["a", "b"]]).argmax(axis=1)]


def log_python(model: Any, animals: pd.DataFrame) -> str:
    signature = infer_signature(animals[["a", "b"]])
    return str(log_model(mlflow.pyfunc.log_model, python_model=model, signature=signature).model_uri)


def test_a_python_model_whose_columns_name_the_classes(animals: pd.DataFrame, experiment_id: str) -> None:
    done = evaluate(log_python(Probabilities(), animals), animals, RECIPE, targets="y")
    assert done.ours["sensie/clean_score"] == pytest.approx(clean_score(animals))
    assert done.run.data.tags["sensie_score"] == "probability"
    assert done.ours["sensie/noise/mean_drop"] > 0


def test_a_python_model_that_returns_labels(animals: pd.DataFrame, experiment_id: str) -> None:
    with pytest.warns(UserWarning, match="sensie: the model returns labels, so the score is correctness"):
        done = evaluate(log_python(Labels(), animals), animals, RECIPE, targets="y")
    decided = np.array(NAMES)[probabilities(animals[["a", "b"]]).argmax(axis=1)]
    assert done.ours["sensie/clean_score"] == pytest.approx((decided == animals["y"]).mean())
    assert done.run.data.tags["sensie_score"] == "correct"
    assert "predict_proba" in done.result().warnings[0]


def test_a_function_that_returns_a_frame_of_probabilities(animals: pd.DataFrame, experiment_id: str) -> None:
    def model(frame: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame(probabilities(frame[["a", "b"]]), columns=NAMES)

    done = evaluate(model, animals, RECIPE, targets="y")
    assert done.ours["sensie/clean_score"] == pytest.approx(clean_score(animals))


def test_a_function_that_returns_a_matrix_needs_the_order_of_the_classes(
    animals: pd.DataFrame, experiment_id: str
) -> None:
    def model(frame: pd.DataFrame) -> Any:
        return probabilities(frame[["a", "b"]])

    with pytest.raises(DataError, match=r"3 probabilities but not which class is which.*say label_list"):
        evaluate(model, animals, RECIPE, targets="y")
    done = evaluate(model, animals, {**RECIPE, "label_list": NAMES}, targets="y")
    assert done.ours["sensie/clean_score"] == pytest.approx(clean_score(animals))


@pytest.mark.parametrize("shape", ["column", "matrix", "frame"])
def test_a_function_of_one_probability(shape: str, experiment_id: str) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 3))
    y = (rng.random(100) < expit(X[:, 0])).astype(int)
    p = expit(X[:, 0])

    def model(array: Any) -> Any:
        found = expit(np.asarray(array)[:, 0])
        return {"column": found, "matrix": found[:, None], "frame": pd.DataFrame({"p": found})}[shape]

    done = evaluate(model, X, {"properties": ["feature_1"]}, targets=y)
    assert done.ours["sensie/clean_score"] == pytest.approx(np.where(y == 1, p, 1 - p).mean())


def test_a_function_that_raises_on_the_clean_examples(animals: pd.DataFrame, experiment_id: str) -> None:
    def model(frame: pd.DataFrame) -> Any:
        raise KeyError("weights")

    with pytest.raises((ModelError, KeyError), match="weights"):
        evaluate(model, animals, RECIPE, targets="y")


def test_a_custom_score(animals: pd.DataFrame, experiment_id: str) -> None:
    """The user's function gets what the model returned, as a frame where it has names, and the labels as they came."""

    def among_two(predictions: Any, targets: Any) -> Any:
        best = np.asarray(predictions.columns)[np.argsort(-predictions.to_numpy(), axis=1)[:, :2]]
        return (best == np.asarray(targets)[:, None]).any(axis=1).astype(float)

    uri = log_python(Probabilities(), animals)
    own = evaluate(uri, animals, {**RECIPE, "score": among_two}, targets="y")
    built_in = evaluate(uri, animals, {**RECIPE, "score": {"top_k": 2}}, targets="y")
    assert own.ours["sensie/clean_score"] == built_in.ours["sensie/clean_score"]
    assert own.run.data.tags["sensie_score"] == "custom"
    assert built_in.run.data.tags["sensie_score"] == "top_k"
