"""scikit-learn models by URI: through ``predict_proba``, with metadata beside the features, and integer columns."""

from __future__ import annotations

from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.models import infer_signature
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from flavours.logged import V3, Evaluated, evaluate, log_model
from mlflow_sensie.errors import DataError
from mlflow_sensie.scores.table import ScoreTable

NOISE = {"name": "noise", "apply": "tabular.noise", "magnitudes": [0, 0.5, 1]}


@pytest.fixture(scope="module")
def churn() -> pd.DataFrame:
    """Customers with string labels; ``site`` and ``when`` are no features of the model."""
    rng = np.random.default_rng(0)
    n = 240
    frame = pd.DataFrame(
        {
            "tenure": rng.gamma(2, 10, n),
            "calls": rng.poisson(2, n),  # whole numbers: MLflow's type "long"
            "plan": rng.choice(["basic", "plus", "pro"], n),
            "site": rng.choice(["A", "B"], n),
            "when": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 365, n), unit="D"),
        }
    )
    score = frame["calls"] - frame["tenure"] / 10 + (frame["plan"] == "basic")
    frame["y"] = np.where(score + rng.normal(0, 1, n) > 0.5, "leaves", "stays")
    return frame


FEATURES = ["tenure", "calls", "plan"]


@pytest.fixture(scope="module")
def classifier(churn: pd.DataFrame) -> Any:
    columns = make_column_transformer((StandardScaler(), ["tenure", "calls"]), (OneHotEncoder(), ["plan"]))
    return make_pipeline(columns, LogisticRegression()).fit(churn[FEATURES], churn["y"])


@pytest.fixture
def logged(classifier: Any, churn: pd.DataFrame, experiment_id: str) -> Any:
    signature = infer_signature(churn[FEATURES], classifier.predict(churn[FEATURES]))
    return log_model(mlflow.sklearn.log_model, classifier, signature=signature)


def correct_probability(model: Any, X: pd.DataFrame, y: Any) -> float:
    p = model.predict_proba(X)
    return float(p[np.arange(len(p)), np.searchsorted(model.classes_, y)].mean())


def test_a_pipeline_with_string_labels_and_metadata(logged: Any, classifier: Any, churn: pd.DataFrame) -> None:
    """The signature tells the features from the metadata, whatever the order of the columns."""
    shuffled = churn[["site", "plan", "y", "when", "tenure", "calls"]]
    recipe = {"properties": ["tenure", "site", "when"], "perturbations": [NOISE], "class_test": True}
    done = evaluate(logged.model_uri, shuffled, recipe, targets="y")
    result = done.result()
    assert done.ours["sensie/clean_score"] == pytest.approx(
        correct_probability(classifier, churn[FEATURES], churn["y"])
    )
    assert (result.score.kind, result.score.source) == ("probability", "predict_proba")
    assert {name: test.kind for name, test in result.tests.items()} == {
        "tenure": "property", "site": "category", "when": "property", "class": "class", "noise": "perturbation",
    }  # fmt: skip
    assert set(result.tests["class"].curve["p"]) == {"leaves", "stays"}
    assert done.ours["sensie/noise/mean_drop"] > 0


def test_the_object_gives_the_same_as_its_uri(logged: Any, churn: pd.DataFrame) -> None:
    recipe = {"properties": ["site"], "perturbations": [NOISE]}
    by_uri = evaluate(logged.model_uri, churn, recipe, targets="y")
    by_object = evaluate(mlflow.pyfunc.load_model(logged.model_uri), churn, recipe, targets="y")
    assert by_uri.ours == by_object.ours
    same = ("sensie_data_sha256", "sensie_recipe_sha256")
    assert [by_uri.run.data.tags[tag] for tag in same] == [by_object.run.data.tags[tag] for tag in same]
    if V3:
        linked = mlflow.MlflowClient().get_logged_model(logged.model_id).metrics
        assert {m.run_id for m in linked} == {by_uri.run_id, by_object.run_id}


def test_noise_on_integer_columns_stays_within_the_signature(logged: Any, classifier: Any, churn: pd.DataFrame) -> None:
    """``calls`` is perturbed to floats and rounded back, which the schema enforces; the model's own type is kept."""
    assert churn["calls"].dtype.kind == "i"
    done = evaluate(logged.model_uri, churn, {"perturbations": [NOISE]}, targets="y")
    assert done.ours["sensie/noise/ok"] == 1
    path = mlflow.artifacts.download_artifacts(run_id=done.run_id, artifact_path="sensie/scores.parquet")
    table = ScoreTable.read_parquet(path)
    assert np.abs(table.column("score/noise/1") - table.column("clean")).max() > 0.01


def test_integer_features_through_pyfunc_alone(experiment_id: str) -> None:
    """Where predictions go through MLflow's schema enforcement (``output: labels``), int64 must arrive as int64."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"i": rng.integers(0, 50, 120).astype(np.int64), "s": rng.integers(0, 9, 120).astype(np.int32)})
    y = (X["i"] + rng.normal(0, 5, 120) > 25).astype(int)
    model = RandomForestClassifier(20, random_state=0).fit(X, y)
    # MLflow 3.17's default format, skops, does not trust trees.
    options = {"signature": infer_signature(X, y), "serialization_format": "cloudpickle"}
    info = log_model(mlflow.sklearn.log_model, model, **options)
    with pytest.warns(UserWarning, match="the model returns labels"):
        done = evaluate(info.model_uri, X.assign(y=y), {"perturbations": [NOISE], "output": "labels"}, targets="y")
    assert done.run.data.tags["sensie_score"] == "correct"
    assert done.ours["sensie/clean_score"] == pytest.approx((model.predict(X) == y).mean())
    assert done.ours["sensie/noise/mean_drop"] > 0


def test_a_label_that_the_model_does_not_know(logged: Any, churn: pd.DataFrame) -> None:
    strange = churn.assign(y=churn["y"].where(churn.index > 2, "returns"))
    with pytest.raises(DataError, match="hold 'returns', which the model does not know; its classes are 'leaves', 'st"):
        evaluate(logged.model_uri, strange, {"properties": ["site"]}, targets="y")


def check_regressor(done: Evaluated, model: Any, X: Any, y: Any) -> None:
    error = np.abs(model.predict(X) - np.asarray(y)).mean()
    assert done.ours["sensie/clean_score"] == pytest.approx(-error)
    score = done.result().score
    assert (score.kind, score.unit, score.upper) == ("neg_absolute_error", "target unit", 0)
    assert done.run.data.tags["sensie_score"] == "neg_absolute_error"
    assert not [
        key for test in done.result().tests.values() for key in test.metrics if "unexpected" in key
    ]  # for probabilities only


def test_a_regressor(experiment_id: str) -> None:
    diabetes = load_diabetes(as_frame=True)
    frame, names = diabetes.frame, diabetes.feature_names
    model = LinearRegression().fit(frame[names], frame["target"])
    info = log_model(mlflow.sklearn.log_model, model, signature=infer_signature(frame[names], frame["target"]))
    recipe = {"properties": ["bmi"], "perturbations": [NOISE]}
    done = evaluate(info.model_uri, frame, recipe, targets="target", model_type="regressor")
    check_regressor(done, model, frame[names], frame["target"])
    assert done.ours["sensie/noise/slope"] < 0


def test_a_regressor_on_an_array(experiment_id: str) -> None:
    """MLflow names the columns of an array feature_1 …, and so are they known to properties."""
    X, y = load_diabetes(return_X_y=True)
    model = LinearRegression().fit(X, y)
    info = log_model(mlflow.sklearn.log_model, model, signature=infer_signature(X, y))
    recipe = {"properties": ["feature_03"], "perturbations": [NOISE]}
    done = evaluate(info.model_uri, X, recipe, targets=y, model_type="regressor")
    check_regressor(done, model, X, y)
