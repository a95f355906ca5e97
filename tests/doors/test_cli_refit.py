"""`mlflow-sensie refit`: other questions to a run, printed, written to a folder, logged onto a run of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import mlflow_sensie
from mlflow_sensie.doors.cli import main
from mlflow_sensie.result import Result
from mlflow_sensie.tracking import runs as tracking

RECIPE = {
    "perturbations": [{"name": "shift", "apply": "tabular.noise", "magnitudes": [0.2, 0.5, 1]}],
    "properties": ["b"],
    "class_test": True,
}
CHANGES = {"inference": {"rope": 0.2}, "properties": [{"name": "b", "bins": 4}]}


@pytest.fixture(scope="module")
def result() -> Result:
    rng = np.random.default_rng(1)
    inputs = pd.DataFrame(rng.normal(size=(200, 2)), columns=["a", "b"])
    targets = (inputs["a"] + 0.5 * rng.normal(size=200) > 0).astype(int).to_numpy()
    return mlflow_sensie.probe(lambda x: 1 / (1 + np.exp(-np.asarray(x, float)[:, 0])), inputs, targets, RECIPE)


@pytest.fixture
def changes(tmp_path: Path) -> str:
    path = tmp_path / "changes.yaml"
    path.write_text("inference: {rope: 0.2}\nproperties: [{name: b, bins: 4}]\n")
    return str(path)


def run(*words: str, code: int = 0) -> Any:
    done = CliRunner().invoke(main, ["refit", *words])
    assert done.exit_code == code, done.output
    return done


def test_a_run_is_asked_again_onto_a_run_of_its_own(result: Result, changes: str, experiment_id: str) -> None:
    with mlflow.start_run() as active:
        tracking.log_result(result, tracking.Destination(active.info.run_id))
    done = run(active.info.run_id, "--changes", changes, "--score", "correct", "--metric", "mcc", "--log")
    again = result.refit(CHANGES, score="correct", metrics=["mcc"])
    assert again.summary().to_string() in done.stdout
    run_id = done.stdout.split()[-1]
    assert run_id != active.info.run_id
    logged = tracking.read_result(run_id)
    assert logged.to_json() == again.to_json()
    metrics = mlflow.get_run(run_id).data.metrics
    assert metrics["sensie/clean_mcc"] == again.metrics["sensie/clean_mcc"] and "sensie/clean_roc_auc" not in metrics
    assert logged.refit(CHANGES, score="neg_brier_score").score.kind == "neg_brier_score"


def test_files_of_a_folder(result: Result, changes: str, tmp_path: Path) -> None:
    home = tmp_path / "old"
    home.mkdir()
    (home / "report.json").write_text(result.to_json(), encoding="utf-8")
    assert result.score_table is not None
    result.score_table.write_parquet(home / "scores.parquet")
    run(str(home), "--changes", changes, "--output", str(tmp_path / "new"))
    read = tracking.read_result(tmp_path / "new")
    assert read.to_json() == result.refit(CHANGES).to_json()
    assert (tmp_path / "new" / "sensie_report.html").is_file()
    assert "no run whose experiment" in run(str(home), "--log", code=1).output


def test_what_cannot_be_asked_is_said(result: Result, tmp_path: Path) -> None:
    home = tmp_path / "old"
    home.mkdir()
    (home / "report.json").write_text(result.to_json(), encoding="utf-8")
    assert "has no score table" in run(str(home), code=1).output
    assert result.score_table is not None
    result.score_table.write_parquet(home / "scores.parquet")
    file = tmp_path / "changes.yaml"
    file.write_text("seed: 1\n")
    assert "refit: 'seed' is about what the model is asked" in run(str(home), "--changes", str(file), code=1).output
    file.write_text("score: os:getcwd\n")
    assert "pass allow_code=True" in run(str(home), "--changes", str(file), code=1).output
    assert "needs numbers" in run(str(home), "--score", "neg_absolute_error", code=1).output
