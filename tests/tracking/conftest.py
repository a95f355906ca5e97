"""The evaluation of the digits, made once."""

from __future__ import annotations

from collections.abc import Iterator

import mlflow
import numpy as np
import pytest
from flavours.logged import evaluate, log_model
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from mlflow_sensie.result import Result
from mlflow_sensie.tracking import runs as tracking
from tracking.digits import RECIPE, Digits, N


@pytest.fixture(scope="package")
def digits(tracking_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Digits:
    before = mlflow.get_tracking_uri()
    folder = tmp_path_factory.mktemp("digits")
    data = load_digits()
    X, y = data.data / 16, data.target
    model = LogisticRegression(max_iter=200).fit(X[:600], y[:600])
    rng = np.random.default_rng(1)
    age = np.where(rng.random(N) < 0.2, np.nan, rng.normal(50, 10, N))
    table = {"age": age, "site": rng.choice(["A", "B", "C"], N)}
    seen: list[Result] = []
    log_result = tracking.log_result
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tracking, "log_result", lambda result, where: seen.append(result) or log_result(result, where))
        patch.setenv("MLFLOW_ENABLE_ASYNC_LOGGING", "true")  # must not matter
        mlflow.set_tracking_uri(tracking_uri)
        created = mlflow.create_experiment("test_tracking digits", artifact_location=(folder / "artifacts").as_uri())
        patch.setenv("MLFLOW_EXPERIMENT_ID", created)
        info = log_model(mlflow.sklearn.log_model, model, signature=mlflow.models.infer_signature(X[:5], y[:5]))
        done = evaluate(info.model_uri, X[-N:], {**RECIPE, "property_table": table}, targets=y[-N:])
    mlflow.set_tracking_uri(before)
    return Digits(done, seen[0], info)


@pytest.fixture
def store(digits: Digits, tracking_uri: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[mlflow.MlflowClient]:
    """The store of ``digits``, for a test that only reads."""
    before = mlflow.get_tracking_uri()
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", digits.evaluated.run.info.experiment_id)
    mlflow.set_tracking_uri(tracking_uri)
    yield mlflow.MlflowClient()
    mlflow.set_tracking_uri(before)
