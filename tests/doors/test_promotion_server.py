"""Promotion from end to end: the command line against a real ``mlflow server`` with a registry, and its death."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import pytest
import yaml
from mlflow.tracking import fluent

import mlflow_sensie
from doors.registered import RECIPE, alias, data, log_models, register, tags
from doors.test_server import Server, free_port
from mlflow_sensie.doors import checking

pytestmark = pytest.mark.slow
NAME = "scores"


@dataclass(frozen=True)
class Desk:
    """A server with four versions of a model, of which the first is the champion, and a folder to work in."""

    server: Server
    folder: Path

    def check(self, version: int, *words: str, data: str = "test.parquet") -> tuple[int, str, dict[str, Any]]:
        """Run the command line as CI does; exit code, what it printed, and the verdict's file."""
        command = [
            sys.executable, "-c", "from mlflow_sensie.doors.cli import main; main()", "check",
            f"models:/{NAME}/{version}", "--baseline", f"models:/{NAME}@champion", "--data", data, "--targets", "y",
            "--recipe", "gate.yaml", "--promote", "champion", "--json", f"{version}.json", *words,
        ]  # fmt: skip
        environment = {**os.environ, "MLFLOW_TRACKING_URI": self.server.uri, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, done.stdout, json.loads((self.folder / f"{version}.json").read_text())["checks"][0]


@pytest.fixture(scope="module")
def desk(tracking_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("promotion")
    with (
        contextlib.closing(sqlite3.connect(tracking_uri.removeprefix("sqlite:///"))) as tables,
        contextlib.closing(sqlite3.connect(folder / "mlflow.db")) as copy,
    ):
        tables.backup(copy)
    data().to_parquet(folder / "test.parquet")
    data(14, seed=8).to_csv(folder / "little.csv", index=False)
    (folder / "gate.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(RECIPE))))
    server, before = Server(folder, free_port()), mlflow.get_tracking_uri()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        try:
            server.start()
            mlflow.set_tracking_uri(server.uri)
            patch.setattr(fluent, "_active_experiment_id", None)  # what an earlier test of this process may have left
            patch.setenv("MLFLOW_EXPERIMENT_ID", mlflow.create_experiment("promotion"))
            register(NAME, log_models())
            yield Desk(server, folder)
        finally:
            mlflow.set_tracking_uri(before)
            server.stop()


def test_a_fragile_challenger_is_refused_and_its_tags_say_why(desk: Desk) -> None:
    code, said, found = desk.check(3)
    assert (code, found["outcome"]) == (1, "fail") and said.startswith("fail: ")
    assert alias(NAME) == "1"
    assert tags(NAME, "3")["sensie_verdict"] == "fail"
    run = mlflow.get_run(tags(NAME, "3")["sensie_run_id"])
    text = mlflow.artifacts.load_text(f"{run.info.artifact_uri}/sensie/verdict.json")
    assert "mean_drop of noise is worse by" in mlflow_sensie.Verdict.from_json(text).reasons[0]
    refused = mlflow.MlflowClient().search_model_versions(f"name='{NAME}' and tags.sensie_verdict='fail'")
    assert [int(each.version) for each in refused] == [3]


def test_too_little_data_is_inconclusive(desk: Desk) -> None:
    code, said, found = desk.check(2, data="little.csv")
    assert (code, found["outcome"]) == (3, "inconclusive") and "more examples would settle it" in said
    assert alias(NAME) == "1" and tags(NAME, "2")["sensie_verdict"] == "inconclusive"


def test_a_broken_challenger_could_not_be_evaluated(desk: Desk) -> None:
    code, said, found = desk.check(4)
    assert (code, found["outcome"]) == (2, "error") and "the weights are missing" in said
    assert alias(NAME) == "1" and tags(NAME, "4")["sensie_verdict"] == "error"


def test_the_server_dies_between_check_and_promotion(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The verdict is on the run and on the version; then the server is gone."""
    works = checking.move_alias

    def too_late(*given: Any) -> Any:
        desk.server.stop()
        return works(*given)

    monkeypatch.setattr(checking, "move_alias", too_late)
    try:
        done = mlflow_sensie.check(
            f"models:/{NAME}/2", f"models:/{NAME}@champion", data=str(desk.folder / "test.parquet"), targets="y",
            recipe=RECIPE, promote="champion",
        )  # fmt: skip
    finally:
        desk.server.start()
    assert (done.outcome, done.exit_code) == ("error", 2)
    assert done.verdict is not None and done.verdict.passed
    assert "the alias 'champion' was not moved" in str(done.error)
    assert alias(NAME) == "1"
    assert tags(NAME, "2")["sensie_verdict"] == "pass" and "sensie_promotion" not in tags(NAME, "2")


def test_a_good_challenger_is_promoted(desk: Desk) -> None:
    before = mlflow_sensie.check(
        f"models:/{NAME}/2",
        f"models:/{NAME}@champion",
        data=str(desk.folder / "test.parquet"),
        targets="y",
        recipe=RECIPE,
    )
    assert before.passed and alias(NAME) == "1"
    code, said, found = desk.check(2)
    assert (code, found["outcome"]) == (0, "pass") and "the alias 'champion' moved from version 1 to version 2" in said
    assert alias(NAME) == "2"
    assert tags(NAME, "2")["sensie_promotion"] == "the alias 'champion' moved from version 1 to version 2"
    assert len(found["reused"]) == 2  # both were evaluated before
