"""Galleries on a run: only where asked for."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from evaluation.gallery_cases import N, rated, table
from flavours.logged import artifact_paths, evaluate
from mlflow.exceptions import MlflowException

import mlflow_sensie
from mlflow_sensie.tracking import artifacts
from mlflow_sensie.tracking import runs as tracking

CAP = "MLFLOW_SENSIE_LOG_EXAMPLES"


@pytest.fixture(autouse=True)
def _no_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CAP, raising=False)


SMALL = {"perturbations": [{"apply": "tabular.noise", "magnitudes": [0, 1, 2]}]}


def small(**said: Any) -> dict[str, Any]:
    return {**SMALL, **said}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures as one dot: what they show is no matter here."""
    import io

    import PIL.Image

    dot = io.BytesIO()
    PIL.Image.new("RGB", (1, 1)).save(dot, format="PNG")
    monkeypatch.setattr(artifacts.plots, "to_png", lambda figure, dpi=150: dot.getvalue())


@pytest.fixture
def frame() -> pd.DataFrame:
    return table()[["x01", "level"]].assign(y=np.arange(N) % 2)


@pytest.mark.parametrize("asked", ["none", "ids", "full"])
def test_galleries_are_uploaded_under_full_alone(
    asked: str, frame: pd.DataFrame, experiment_id: str, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = evaluate(rated, frame, small(log_examples=asked), targets="y")
    name = "sensie/tabular.noise.gallery.png"
    paths = artifact_paths(done.run_id)
    assert (name in paths) is (name in done.returned.artifacts) is (asked == "full")
    assert sum("gallery" in path for path in paths) == (asked == "full")
    assert "sensie/tabular.noise.png" in paths
    if asked == "full":
        assert done.returned.artifacts[name].uri == f"{done.run.info.artifact_uri}/{name}"
        assert done.returned.artifacts[name].content.size == (1, 1)


def test_the_cap_holds_at_the_upload_too(
    frame: pd.DataFrame, experiment_id: str, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = frame[["x01", "level"]], frame["y"]
    result = mlflow_sensie.probe(rated, X, y, small(log_examples="full"))
    assert list(result.galleries) == ["tabular.noise"]
    monkeypatch.setenv(CAP, "ids")
    with mlflow.start_run() as run:
        names = tracking.log_result(result, tracking.Destination(run.info.run_id))
    assert not any("gallery" in path for path in {*names, *artifact_paths(run.info.run_id)})


def test_a_failed_upload_keeps_them_for_the_next(
    frame: pd.DataFrame, experiment_id: str, quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    result = mlflow_sensie.probe(rated, frame[["x01", "level"]], frame["y"], small(log_examples="full"))
    with mlflow.start_run() as run:
        pass

    def down(*args: Any, **options: Any) -> Any:
        raise ConnectionError("down")

    with monkeypatch.context() as broken:
        broken.setattr(mlflow.MlflowClient, "log_artifact", down)
        with pytest.raises(MlflowException, match="could not be logged"):
            tracking.log_result(result, tracking.Destination(run.info.run_id))
    (folder,) = tmp_path.glob("sensie-*")
    assert (folder / "sensie" / "tabular.noise.gallery.png").is_file()
    mlflow_sensie.log_folder(folder, run.info.run_id)
    assert "sensie/tabular.noise.gallery.png" in artifact_paths(run.info.run_id)


def test_a_gallery_never_takes_the_name_of_a_figure(tmp_path: Path, quick: None) -> None:
    tests = [{"name": name, "apply": "tabular.noise", "magnitudes": [0, 1, 2]} for name in ("a", "a.gallery")]
    X, y = table()[["x01", "level"]], np.arange(N) % 2
    result = mlflow_sensie.probe(rated, X, y, {"perturbations": tests, "log_examples": "full"})
    names = [file.name for file in artifacts.write_files(result, tmp_path)]
    assert len(names) == len(set(names))
    assert {"a.png", "a.gallery.png", "a.gallery.gallery.png"} <= set(names)


def test_galleries_are_no_part_of_the_result_that_is_logged(tmp_path: Path, quick: None) -> None:
    X, y = table()[["x01", "level"]], np.arange(N) % 2
    plain, full = (mlflow_sensie.probe(rated, X, y, small(log_examples=asked)) for asked in ("ids", "full"))
    a, b = (json.loads(result.to_json()) for result in (plain, full))
    for test in (*a["tests"].values(), *b["tests"].values()):
        test["flips"] = [{**flip, "target": None} for flip in test["flips"]]  # the right answers may be shown
    different = {key for key in a if a[key] != b[key]}
    assert different <= {"recipe", "recipe_yaml", "seconds"}
    assert plain.metrics == full.metrics
