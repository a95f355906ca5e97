"""The door disturbs nothing of the user's: no state, no data, no run, no autologging."""

from __future__ import annotations

import os
import random
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import matplotlib
import mlflow
import numpy as np
import pandas as pd
import pytest
from flavours.logged import V3, draw_nothing, evaluate, log_model
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

import mlflow_sensie
from doors.predictors import FAILING
from mlflow_sensie.doors.evaluator import SensieEvaluator
from mlflow_sensie.errors import EvaluationIncomplete

RECIPE: dict[str, Any] = {"properties": [{"name": "a", "bins": 4}]}
QUIET = {"log_model_explainability": False}  # a key of MLflow's default evaluator
RESOLVING, EVALUATING = "resolve_evaluators_and_configs", "_evaluate"


@pytest.fixture
def quick_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    draw_nothing(monkeypatch)


@pytest.fixture(scope="module")
def measured() -> pd.DataFrame:
    """A regression problem: y = a − b / 2 + noise."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=60), rng.normal(size=60)
    return pd.DataFrame({"a": a, "b": b, "y": a - b / 2 + rng.normal(0, 0.3, 60)})


def regress(frame: pd.DataFrame) -> Any:
    return frame["a"].to_numpy()


def classify(frame: pd.DataFrame) -> Any:
    return expit(frame["a"].to_numpy())


def state() -> dict[str, Any]:
    """What a library must leave as it found it."""
    from matplotlib import pyplot

    return {
        "backend": matplotlib.get_backend(),
        "rcParams": dict(matplotlib.rcParams),
        "figures": pyplot.get_fignums(),
        "numpy": str(np.random.get_state()),
        "numpy errors": np.geterr(),
        "numpy printing": np.get_printoptions(),
        "random": random.getstate() if V3 else None,  # MLflow 2's log_image draws from it
        "warnings": list(warnings.filters),
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "pandas": pd.describe_option("mode", _print_desc=False),
        "tracking": mlflow.get_tracking_uri(),
        "run": mlflow.active_run() and mlflow.active_run().info.run_id,
        "model": mlflow.get_active_model_id() if V3 else None,
    }


@pytest.fixture
def states(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """The state right before and after our part of each evaluation: MLflow's own doings are not ours."""
    found: list[dict[str, Any]] = []
    real = SensieEvaluator.evaluate

    def watched(self: SensieEvaluator, **options: Any) -> Any:
        found.append(state())
        try:
            return real(self, **options)
        finally:
            found.append(state())

    monkeypatch.setattr(SensieEvaluator, "evaluate", watched)
    yield found
    assert len(found) == 2
    for name in found[0]:
        assert found[0][name] == found[1][name], name


def test_no_global_state_is_touched(
    labelled: pd.DataFrame, experiment_id: str, states: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(matplotlib.rcParams, "font.size", 23.0)  # the user's own taste
    monkeypatch.setattr(mlflow_sensie, "mine", 1, raising=False)
    np.random.seed(7)
    recipe = {**RECIPE, "perturbations": [{"name": "tabular.noise", "magnitudes": [0, 1]}], "class_test": True}
    evaluate(classify, labelled, recipe, targets="y")


def test_no_global_state_is_touched_by_a_failure(
    labelled: pd.DataFrame, experiment_id: str, states: list[dict[str, Any]]
) -> None:
    with pytest.raises(EvaluationIncomplete):
        evaluate(classify, labelled[["a", "b", "y"]], FAILING, targets="y")


def test_without_an_active_run_mlflow_makes_one_and_ends_it(
    labelled: pd.DataFrame, experiment_id: str, quick_figures: None
) -> None:
    config = {"sensie": RECIPE}
    mlflow.models.evaluate(
        classify, labelled, targets="y", model_type="classifier", evaluators=["sensie"], evaluator_config=config
    )
    assert mlflow.active_run() is None
    (run,) = mlflow.MlflowClient().search_runs([experiment_id])
    assert run.info.status == "FINISHED" and run.data.tags["sensie_status"] == "done"
    assert run.data.tags["sensie_run_id"] == run.info.run_id


def test_the_data_is_not_written_to(labelled: pd.DataFrame, experiment_id: str, quick_figures: None) -> None:
    def writes(frame: pd.DataFrame, p: float) -> pd.DataFrame:
        frame["a"] *= 1 - p
        return frame

    before = labelled.copy(deep=True)
    recipe = {**RECIPE, "perturbations": [{"name": "writes", "apply": writes, "magnitudes": [0.5, 1.0]}]}
    recipe_before = repr(recipe)
    done = evaluate(classify, labelled, recipe, targets="y")
    pd.testing.assert_frame_equal(labelled, before)
    assert repr(recipe) == recipe_before
    assert done.ours["sensie/writes/mean_drop"] > 0


@pytest.fixture
def autologging() -> Iterator[None]:
    mlflow.sklearn.autolog(log_models=False, log_datasets=False)
    yield
    mlflow.sklearn.autolog(disable=True)


@pytest.mark.slow  # turning it on goes through all of scikit-learn
def test_autologging_adds_nothing(
    labelled: pd.DataFrame, experiment_id: str, quick_figures: None, autologging: None
) -> None:
    recipe = {**RECIPE, "perturbations": [{"name": "tabular.noise", "magnitudes": [0, 1]}]}
    X, y = labelled[["a", "b"]], labelled["y"]
    with mlflow.start_run() as training:
        model = LogisticRegression().fit(X, y)
    logged = mlflow.MlflowClient().get_run(training.info.run_id).data
    assert "C" in logged.params  # autologging is on
    info = log_model(mlflow.sklearn.log_model, model, signature=mlflow.models.infer_signature(X))
    count: Callable[[], int] = lambda: len(mlflow.MlflowClient().search_runs([experiment_id]))
    before = count()
    done = evaluate(info.model_uri, labelled, recipe, targets="y")
    assert count() == before + 1
    assert done.run.data.params == {}
    assert all(key.startswith("sensie/") for key in done.run.data.metrics)
    assert done.ours == done.result().metrics
    found = mlflow_sensie.probe(model, X, y, recipe)
    assert found.metrics == done.ours
    assert count() == before + 1
    assert mlflow.MlflowClient().get_run(training.info.run_id).data.metrics == logged.metrics


def test_what_is_said_of_several_tests_is_said_once(experiment_id: str, quick_figures: None) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(80, 7)), columns=list("abcdefg"))
    frame["y"] = (frame["a"] > 0).astype(int)

    def sure(data: Any) -> Any:
        return np.where(data["a"] > 0, 1.0, 0.0)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = evaluate(sure, frame, {"properties": list("abcdefg")}, targets="y")
    said = [str(each.message) for each in caught if str(each.message).startswith("sensie: ")]
    assert found.ours["sensie/n_tests"] == 7
    assert any(text.startswith("sensie: a, b, c, d, e and 2 more: few examples are informative") for text in said)
    assert len(said) == len(set(said)) < 7
