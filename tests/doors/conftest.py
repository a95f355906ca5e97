"""Registered models, logged once per process and registered anew for each test; and data of several kinds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from flavours.logged import draw_nothing
from scipy.special import expit

from doors.registered import Models, data, log_models, register

N = 80


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


@pytest.fixture(scope="module")
def images() -> Any:
    rng = np.random.default_rng(0)
    return np.clip(rng.normal(rng.uniform(0.2, 0.8, (N, 1, 1, 1)), 0.1, (N, 5, 6, 1)), 0, 1).astype(np.float32)


@pytest.fixture(scope="module")
def labels(images: Any) -> Any:
    p = expit(8 * (images.mean(axis=(1, 2, 3)) - 0.5))
    return (np.random.default_rng(1).random(N) < p).astype(int)


@pytest.fixture(scope="module")
def ages() -> Any:
    return np.random.default_rng(2).integers(20, 80, N)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    a, b = rng.normal(size=N), rng.normal(size=N)
    return pd.DataFrame(
        {"a": a, "b": b, "site": rng.choice(["x", "y"], N), "y": (rng.random(N) < expit(a)).astype(int)}
    )


@pytest.fixture(scope="module")
def labelled() -> pd.DataFrame:
    """A classification problem: P(y = 1) = expit(a)."""
    rng = np.random.default_rng(0)
    a = rng.normal(size=60)
    return pd.DataFrame({"a": a, "b": rng.normal(size=60), "y": (rng.random(60) < expit(a)).astype(int)})
