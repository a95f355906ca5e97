"""Registered models: logged once per process, and registered under a name of its own for each test."""

from __future__ import annotations

import re
from pathlib import Path

import mlflow
import pytest
from flavours.logged import draw_nothing

from gate.registered import Models, data, log_models, register


@pytest.fixture(scope="session")
def logged(tracking_uri: str, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The URIs of a champion, a model as good, a fragile one and a broken one."""
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(tracking_uri)
    where = tmp_path_factory.mktemp("models")
    experiment = mlflow.create_experiment(str(where), artifact_location=where.as_uri())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_EXPERIMENT_ID", experiment)
        uris = log_models()
    mlflow.set_tracking_uri(before)
    return uris


@pytest.fixture
def models(
    logged: list[str],
    experiment_id: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> Models:
    """Version 1 is the champion, 2 as good, 3 fragile, 4 broken."""
    draw_nothing(monkeypatch)
    path = tmp_path / "test.parquet"
    data().to_parquet(path)
    name = re.sub(r"\W+", "-", f"{request.node.name}-{tmp_path.name}")
    register(name, logged)
    return Models(name, str(path))
