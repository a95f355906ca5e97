"""Data by name: what an earlier run logged is read again, from whatever source, or it is said why not."""

from __future__ import annotations

import http.server
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from flavours.logged import draw_nothing, evaluate

import mlflow_sensie
from doors.predictors import TABLE, bright, classify
from mlflow_sensie.data.sources import read_data
from mlflow_sensie.doors.datasets import SensieDataset
from mlflow_sensie.doors.loading import load
from mlflow_sensie.errors import DataError

N = 80
RECIPE: dict[str, Any] = {
    "properties": [{"name": "ink", "of": "image.mean"}, "age"],
    "perturbations": [{"name": "dark", "apply": "image.brightness", "magnitudes": [-0.4, -0.2, 0]}],
}
NO_SHAP = {"log_model_explainability": False}


@pytest.fixture(autouse=True)
def quick_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    draw_nothing(monkeypatch)


def logged(dataset: Any) -> str:
    with mlflow.start_run() as run:
        mlflow.log_input(dataset)
    return str(run.info.run_id)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """An HTTP server of the test's folder."""
    quiet = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *a: None})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(quiet, directory=str(tmp_path))) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{found.server_address[1]}"
        found.shutdown()


@pytest.mark.parametrize("suffix", ["parquet", "csv", "csv with ;"])
@pytest.mark.parametrize("place", ["local", "http", "artifact"])
def test_frames_that_mlflow_logged(
    table: pd.DataFrame, tmp_path: Path, experiment_id: str, server: str, suffix: str, place: str
) -> None:
    path = tmp_path / f"test.{suffix[:7].split()[0]}"
    if suffix == "parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path, index=False, sep=suffix[-1] if ";" in suffix else ",")
    frame = pd.read_parquet(path) if suffix == "parquet" else pd.read_csv(path, sep=";" if ";" in suffix else ",")
    source = str(path)
    if place == "http":
        source = f"{server}/{path.name}"
    if place == "artifact":
        with mlflow.start_run():
            mlflow.log_artifact(str(path), "data")
            source = mlflow.get_artifact_uri(f"data/{path.name}")
    run_id = logged(mlflow.data.from_pandas(frame, source=source, targets="y", name="wine"))
    found = mlflow_sensie.load_dataset(run_id, targets="y")
    pd.testing.assert_frame_equal(found.sensie_data.inputs, frame.drop(columns="y"))
    assert list(found.targets) == list(frame["y"]) and found.name == "wine"
    direct = mlflow_sensie.probe(classify, frame.drop(columns="y"), frame["y"], TABLE)
    assert mlflow_sensie.probe(classify, found, recipe=TABLE).metrics == direct.metrics
    done = evaluate(classify, found, TABLE)  # whose run has the same dataset among its inputs
    (one,) = (each.dataset for each in done.run.inputs.dataset_inputs)
    (other,) = (each.dataset for each in mlflow.MlflowClient().get_run(run_id).inputs.dataset_inputs)
    assert (one.name, one.digest, one.source) == (other.name, other.digest, other.source)


def test_arrays_that_mlflow_logged(images: Any, labels: Any, tmp_path: Path, experiment_id: str) -> None:
    path = tmp_path / "squares.npz"
    np.savez(path, inputs=images, targets=labels)
    run_id = logged(mlflow.data.from_numpy(images, targets=labels, source=str(path)))
    found = mlflow_sensie.load_dataset(run_id)
    np.testing.assert_array_equal(found.sensie_data.inputs, images)
    assert list(found.targets) == list(labels)
    np.save(tmp_path / "squares.npy", images)
    run_id = logged(mlflow.data.from_numpy(images, targets=labels, source=str(tmp_path / "squares.npy"), name="alone"))
    with pytest.raises(DataError, match="its targets are not in squares.npy; log the data from a file next time"):
        mlflow_sensie.load_dataset(run_id)


@pytest.mark.parametrize("form", ["path", "source", "artifact", "npy"])
def test_tensors_are_read_again(
    images: Any, labels: Any, ages: Any, tmp_path: Path, experiment_id: str, form: str
) -> None:
    ids = np.array([f"i{i}" for i in range(N)])
    arrays = {"inputs": images, "targets": labels, "age": ages, "ids": ids}
    path = tmp_path / "squares.npz"
    np.savez_compressed(path, **arrays)
    if form == "source":
        dataset = mlflow_sensie.from_tensors(images, labels, properties={"age": ages}, ids=ids, source=path)
    elif form == "artifact":
        with mlflow.start_run():
            mlflow.log_artifact(str(path))
            dataset = mlflow_sensie.from_tensors(mlflow.get_artifact_uri("squares.npz"))
    elif form == "npy":
        for name, array in arrays.items():
            np.save(tmp_path / f"{name}.npy", array)
        path.unlink()
        dataset = mlflow_sensie.from_tensors(tmp_path)
    else:
        dataset = mlflow_sensie.from_tensors(path)
    done = evaluate(bright, dataset, RECIPE)
    again = mlflow_sensie.load_dataset(done.run_id)
    assert again.digest == dataset.digest and isinstance(again, SensieDataset)
    assert list(again.sensie_data.ids) == list(ids)
    result = mlflow_sensie.probe(bright, again, recipe=RECIPE)
    assert result.metrics == done.result().metrics and result.data_sha256 == done.result().data_sha256


def test_targets_under_another_name(images: Any, labels: Any, tmp_path: Path, experiment_id: str) -> None:
    np.savez(tmp_path / "x.npz", pixels=images, label=labels)
    run_id = logged(mlflow_sensie.from_tensors(tmp_path / "x.npz", "label"))
    assert list(mlflow_sensie.load_dataset(run_id).targets) == list(labels)


def test_what_was_in_memory_says_what_to_log_next_time(
    table: pd.DataFrame, images: Any, labels: Any, experiment_id: str
) -> None:
    for dataset in (mlflow.data.from_pandas(table, targets="y"), mlflow_sensie.from_tensors(images, labels)):
        with pytest.raises(
            DataError, match="was in memory, .*log the data from a file next time: mlflow.data.from_pandas"
        ):
            mlflow_sensie.load_dataset(logged(dataset))


def test_a_part_of_the_source_is_not_the_source(table: pd.DataFrame, tmp_path: Path, experiment_id: str) -> None:
    table.to_csv(tmp_path / "all.csv", index=False)
    run_id = logged(mlflow.data.from_pandas(table[:50], source=str(tmp_path / "all.csv"), targets="y"))
    with pytest.raises(DataError, match="its digest was .* only a part of it was logged"):
        mlflow_sensie.load_dataset(run_id, targets="y")


def test_a_source_that_is_gone(
    table: pd.DataFrame, images: Any, labels: Any, tmp_path: Path, experiment_id: str, server: str
) -> None:
    table.to_csv(tmp_path / "x.csv", index=False)
    np.savez(tmp_path / "x.npz", inputs=images, targets=labels)
    runs = [
        logged(mlflow.data.from_pandas(table, source=str(tmp_path / "x.csv"), targets="y", name="gone")),
        logged(mlflow.data.from_pandas(table, source=f"{server}/x.csv", targets="y", name="gone too")),
        logged(mlflow_sensie.from_tensors(tmp_path / "x.npz")),
    ]
    (tmp_path / "x.csv").unlink()
    (tmp_path / "x.npz").unlink()
    for run_id in runs:
        with pytest.raises(DataError, match=f"of run {run_id}.* cannot be read: "):
            mlflow_sensie.load_dataset(run_id, targets="y")


def test_which_dataset_of_a_run(table: pd.DataFrame, tmp_path: Path, experiment_id: str) -> None:
    for name in ("one", "two"):
        table.assign(a=len(name) + table["b"] * (name == "two")).to_parquet(tmp_path / f"{name}.parquet")
    with mlflow.start_run() as run:
        for name in ("one", "two"):
            mlflow.log_input(mlflow_sensie.from_parquet(tmp_path / f"{name}.parquet", "y"))
    with pytest.raises(DataError, match=r"has the datasets .*(one|two) \(.*say which, by name or digest"):
        mlflow_sensie.load_dataset(run.info.run_id)
    with pytest.raises(DataError, match="'three' is not one of them"):
        mlflow_sensie.load_dataset(run.info.run_id, "three")
    found = mlflow_sensie.load_dataset(run.info.run_id, "two")
    assert found.name == "two"
    assert load(dataset_run=run.info.run_id, dataset=found.digest).name == "two"


def test_a_dataset_that_mlflow_could_not_describe(table: pd.DataFrame, tmp_path: Path, experiment_id: str) -> None:
    """Its profile and schema are logged as "null"."""
    table.to_csv(tmp_path / "x.csv", index=False)
    dataset = mlflow.data.from_pandas(pd.read_csv(tmp_path / "x.csv"), source=str(tmp_path / "x.csv"), name="bare")
    entity = dataset._to_mlflow_entity()
    entity._profile = entity._schema = "null"
    with mlflow.start_run() as run:
        mlflow.MlflowClient().log_inputs(run.info.run_id, [mlflow.entities.DatasetInput(entity)])
    assert mlflow_sensie.load_dataset(run.info.run_id, targets="y").name == "bare"


def test_runs_without_data(experiment_id: str) -> None:
    with mlflow.start_run() as run:
        pass
    with pytest.raises(DataError, match="has no dataset among its inputs; log the data from a file next time"):
        mlflow_sensie.load_dataset(run.info.run_id)
    with pytest.raises(DataError, match="run nope cannot be read"):
        mlflow_sensie.load_dataset("nope")


def test_targets_that_the_run_did_not_log(table: pd.DataFrame, tmp_path: Path, experiment_id: str) -> None:
    table.to_csv(tmp_path / "x.csv", index=False)
    run_id = logged(mlflow.data.from_pandas(pd.read_csv(tmp_path / "x.csv"), source=str(tmp_path / "x.csv")))
    with pytest.raises(
        DataError, match="say which column of its data holds the targets; its columns are a, b, site, y"
    ):
        mlflow_sensie.load_dataset(run_id)


def test_a_kind_of_source_that_is_not_read(table: pd.DataFrame, tmp_path: Path, experiment_id: str) -> None:
    (tmp_path / "x.xlsx").write_text("x")
    run_id = logged(mlflow.data.from_pandas(table, source=str(tmp_path / "x.xlsx"), targets="y", name="sheet"))
    with pytest.raises(DataError, match="x.xlsx is of no kind that is read"):
        mlflow_sensie.load_dataset(run_id, targets="y")


@pytest.mark.parametrize(
    "uri", ["runs:/0123/x.npz", "nope://x/y.npz", "file:///nowhere/x.npz", "http://127.0.0.1:9/x.npz"]
)
def test_a_uri_where_nothing_is(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(DataError, match=uri):
        mlflow_sensie.from_tensors(uri)


def test_load_finds_a_uri(table: pd.DataFrame, tmp_path: Path, server: str) -> None:
    table.to_parquet(tmp_path / "test.parquet")
    found = load(f"{server}/test.parquet", targets="y")
    assert found.digest == load(tmp_path / "test.parquet", targets="y").digest
    assert found.sensie_data.name == read_data(tmp_path / "test.parquet", "y").name == "test"


def test_a_spark_frame_that_mlflow_logged(
    table: pd.DataFrame, tmp_path: Path, experiment_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read by MLflow's own class of source, in the same session, whose digest of a plan is Spark's."""
    sql = pytest.importorskip("pyspark.sql", reason="Spark is not installed")
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    spark = sql.SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
    try:
        table.to_parquet(tmp_path / "spark.parquet")
        frame = spark.read.parquet(str(tmp_path / "spark.parquet"))
        run_id = logged(mlflow.data.from_spark(frame, path=str(tmp_path / "spark.parquet"), targets="y", name="spark"))
        found = mlflow_sensie.load_dataset(run_id, targets="y")
        pd.testing.assert_frame_equal(found.sensie_data.inputs, table.drop(columns="y"), check_dtype=False)
    finally:
        spark.stop()
