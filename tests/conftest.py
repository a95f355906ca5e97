"""What all tests share: a quiet MLflow, one SQLite store per process, and seeded randomness."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

# Read by these packages when they are imported, so set before any test imports them.
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # the models are small, and threads would wait for each other
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["DO_NOT_TRACK"] = "true"


@pytest.fixture
def rng() -> np.random.Generator:
    """A fresh generator for each test, always with the same seed."""
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def tracking_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URI of a SQLite store. Its tables take seconds to create: once per process, not per test."""
    import mlflow

    uri = f"sqlite:///{tmp_path_factory.mktemp('store') / 'mlflow.db'}"
    mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri).search_experiments()
    return uri


@pytest.fixture
def experiment_id(
    tracking_uri: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """A new experiment, active for the test; artifacts go to the test's own folder.

    Afterwards no run is left active, and the tracking URI and experiment are as they were.
    """
    import mlflow
    from mlflow.tracking import fluent

    before = mlflow.get_tracking_uri()
    # set_experiment leaves its choice in both of these; monkeypatch puts back what was there.
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "")
    monkeypatch.delenv("MLFLOW_EXPERIMENT_ID")
    monkeypatch.setattr(fluent, "_active_experiment_id", None)
    mlflow.set_tracking_uri(tracking_uri)
    created = mlflow.create_experiment(
        f"{request.node.nodeid} {tmp_path.name}", artifact_location=(tmp_path / "artifacts").as_uri()
    )
    mlflow.set_experiment(experiment_id=created)
    yield created
    while mlflow.active_run():
        mlflow.end_run()
    mlflow.set_tracking_uri(before)
