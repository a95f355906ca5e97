"""The whole way over REST: a real ``mlflow server``, artifacts through its proxy, registered models, and its death."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from flavours.logged import V3, Evaluated, artifact_paths, evaluate, log_model, points
from mlflow.exceptions import MlflowException
from mlflow.models import EvaluationResult, infer_signature
from mlflow.tracking import fluent
from scipy.special import expit
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

import mlflow_sensie
from mlflow_sensie.result import Result

pytestmark = pytest.mark.slow
SECONDS_TO_START = 120  # on a busy machine; it takes about ten on an idle one


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@dataclass
class Server:
    """An ``mlflow server`` with its database and artifacts in ``folder``, in a process group of its own."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", self.port]
        command += ["--workers", 1, "--backend-store-uri", f"sqlite:///{self.folder / 'mlflow.db'}"]
        command += ["--artifacts-destination", self.folder / "artifacts"]
        quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        environment = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")} | quiet
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                list(map(str, command)), cwd=self.folder, env=environment, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        until = time.monotonic() + SECONDS_TO_START
        while not self._answers():
            ended = self.process.poll()
            if ended is not None or time.monotonic() > until:
                self.stop()
                said = (self.folder / "server.log").read_text()[-3000:]
                pytest.fail(f"mlflow server did not start (exit code {ended}):\n{said}")
            time.sleep(0.2)

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.uri}/health", timeout=5) as answer:
            return bool(answer.status == 200)
        return False

    def stop(self) -> None:
        """Kill the server and its workers, and only them; asked politely, it waits for open connections."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(30)
            self.process = None


@pytest.fixture(scope="module")
def server(tracking_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    with (
        contextlib.closing(sqlite3.connect(tracking_uri.removeprefix("sqlite:///"))) as tables,
        contextlib.closing(sqlite3.connect(folder / "mlflow.db")) as copy,
    ):
        tables.backup(copy)  # an empty store takes much longer to set up than to copy
    made = Server(folder, free_port())
    before = mlflow.get_tracking_uri()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        patch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")
        try:
            made.start()
            mlflow.set_tracking_uri(made.uri)
            patch.setattr(fluent, "_active_experiment_id", None)  # what an earlier test of this process may have left
            patch.setenv("MLFLOW_EXPERIMENT_ID", mlflow.create_experiment("over REST"))
            yield made
        finally:
            mlflow.set_tracking_uri(before)
            made.stop()


def assert_complete(run_id: str, result: Result) -> None:
    """Everything of a result came through REST and back."""
    client = mlflow.MlflowClient()
    run = client.get_run(run_id)
    assert {key: run.data.metrics[key] for key in result.metrics} == pytest.approx(result.metrics)
    assert run.data.tags["sensie_status"] == "done" and run.data.tags["sensie_failed_tests"] == ""
    assert run.info.artifact_uri.startswith("mlflow-artifacts:")
    for test in result.tests.values():
        scores = points(run_id, f"sensie/{test.slug}/score")
        assert [step for step, _ in scores] == list(range(len(test.curve)))
        assert [value for _, value in scores] == pytest.approx(test.curve["score"].tolist())
    table = mlflow.load_table("sensie/bins.json", run_ids=[run_id])
    assert table["row"].is_unique and len(table) == sum(len(test.curve) for test in result.tests.values())
    files = {"report.json", "recipe.yaml", "bins.csv", "bins.json", "scores.parquet"}
    files |= {"slices.csv", *(f"slices/{each.column}.png" for each in result.slices)} if result.slices else set()
    files |= {f"{test.slug}.png" for test in result.tests.values()}
    found = {path for path in artifact_paths(run_id) if not path.startswith("images/")}
    assert found == {"sensie_report.html", *(f"sensie/{file}" for file in files)}
    if V3:  # MLflow 2 writes the / of an image's key as #, and cuts its URL there: all are sent to images/sensie
        assert len(artifact_paths(run_id, "images")) == 2 * len(result.tests)


def test_a_registered_model_by_version_and_by_alias(server: Server, tmp_path: Path) -> None:
    data = load_digits()
    X, y = data.data / 16, data.target
    model = LogisticRegression(max_iter=200).fit(X[:600], y[:600])
    info = log_model(
        mlflow.sklearn.log_model, model, signature=infer_signature(X[:5], y[:5]), registered_model_name="digits"
    )
    recipe = {
        "input_shape": [8, 8],
        "properties": [{"name": "ink", "of": "image.mean"}],
        "perturbations": [{"name": "rotation", "apply": "image.rotate", "magnitudes": [0, 90]}],
    }
    held_out, truth = X[-100:], y[-100:]
    by_version = evaluate("models:/digits/1", held_out, recipe, targets=truth)
    result = by_version.result()
    assert_complete(by_version.run_id, result)
    p = model.predict_proba(held_out)
    assert by_version.ours["sensie/clean_score"] == pytest.approx(p[np.arange(100), truth].mean())

    mlflow.MlflowClient().set_registered_model_alias("digits", "champion", "1")
    by_alias = evaluate("models:/digits@champion", held_out, recipe, targets=truth)
    assert by_alias.ours == by_version.ours
    if V3:
        linked = mlflow.MlflowClient().get_logged_model(info.model_id).metrics
        assert {m.key: m.value for m in linked} == pytest.approx(result.metrics)
        assert {m.run_id for m in linked} == {by_version.run_id, by_alias.run_id}

    by_version.returned.save(str(tmp_path / "saved"))
    loaded = EvaluationResult.load(str(tmp_path / "saved"))
    assert loaded.metrics == by_version.returned.metrics
    assert set(loaded.artifacts) == {"sensie_report.html", *artifact_paths(by_version.run_id, "sensie")}


def classify(frame: pd.DataFrame) -> Any:
    return expit(frame["a"].to_numpy())


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    a = rng.normal(size=60)
    return pd.DataFrame({"a": a, "b": rng.normal(size=60), "y": (rng.random(60) < expit(a)).astype(int)})


def test_a_function_as_the_model(server: Server, frame: pd.DataFrame) -> None:
    done = evaluate(classify, frame, {"properties": ["a"], "perturbations": ["tabular.noise"]}, targets="y")
    assert_complete(done.run_id, done.result())


def test_the_server_dies_and_nothing_is_lost(
    server: Server, frame: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes while the last magnitude is computed; when it is back, the result is logged as the error says."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def last_shift_kills(inputs: pd.DataFrame, p: float) -> pd.DataFrame:
        if p == 2:
            server.stop()
        return inputs + p

    recipe = {"perturbations": [{"name": "shift", "apply": last_shift_kills, "magnitudes": [1.0, 2.0]}]}
    run = mlflow.start_run()
    try:
        with pytest.raises(MlflowException, match="the result could not be logged") as raised:
            mlflow.models.evaluate(
                classify, frame, targets="y", model_type="classifier", evaluators=["sensie"],
                evaluator_config={"sensie": recipe},
            )  # fmt: skip
    finally:
        server.start()
        mlflow.end_run()
    (folder,) = tmp_path.glob("sensie-*")
    assert str(folder) in str(raised.value)
    mlflow_sensie.log_folder(str(folder), run.info.run_id)
    again = Evaluated(EvaluationResult({}, {}), mlflow.MlflowClient().get_run(run.info.run_id))
    assert_complete(again.run_id, again.result())
