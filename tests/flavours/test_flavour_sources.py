"""Data in S3 and in Delta tables: read by MLflow's own source classes, and logged, checked and read again."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from mlflow.data.delta_dataset_source import DeltaDatasetSource
from mlflow.models import infer_signature
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

import mlflow_sensie
from flavours.logged import evaluate, log_model
from flavours.row import need
from mlflow_sensie.data.lazy_rows import LazyRows
from mlflow_sensie.doors.cli import main
from mlflow_sensie.errors import DataError

pytestmark = [pytest.mark.flavours, pytest.mark.slow]
RECIPE: dict[str, Any] = {"properties": ["site"], "perturbations": ["tabular.noise"]}
N = 120


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, N))
    y = (rng.random(N) < expit(a)).astype(int)
    return pd.DataFrame({"a": a, "b": b, "site": rng.choice(["x", "y"], N), "y": y})


def classify(frame: pd.DataFrame) -> Any:
    return expit(frame["a"].to_numpy())


def log_input(dataset: Any) -> str:
    with mlflow.start_run() as run:
        mlflow.log_input(dataset)
    return str(run.info.run_id)


def run_again(table: pd.DataFrame, run_id: str, *words: str) -> None:
    """``mlflow-sensie run --dataset-run`` on a model of this table."""
    fitted = LogisticRegression().fit(table[["a", "b"]], table["y"])
    model = log_model(mlflow.sklearn.log_model, fitted, signature=infer_signature(table[["a", "b"]]))
    done = CliRunner().invoke(main, ["run", model.model_uri, "--dataset-run", run_id, *words])
    assert done.exit_code == 0, done.output


# --- S3 --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A server on this machine that speaks S3."""
    need("boto3", "moto")
    from moto.server import ThreadedMotoServer

    found = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    found.start()
    yield "http://{}:{}".format(*found.get_host_and_port())
    found.stop()


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client of the bucket "data" that MLflow finds as well."""
    import boto3

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", server)
    found = boto3.client("s3", endpoint_url=server)
    found.create_bucket(Bucket="data")
    return found


def test_a_frame_in_s3_that_mlflow_logged(table: pd.DataFrame, bucket: Any, tmp_path: Path, experiment_id: str) -> None:
    table.to_parquet(tmp_path / "test.parquet")
    bucket.upload_file(str(tmp_path / "test.parquet"), "data", "wine/test.parquet")
    uri = "s3://data/wine/test.parquet"
    run_id = log_input(mlflow.data.from_pandas(table, source=uri, targets="y", name="wine"))
    found = mlflow_sensie.load_dataset(run_id, targets="y")
    pd.testing.assert_frame_equal(found.sensie_data.inputs, table.drop(columns="y"))
    run_again(table, run_id, "--targets", "y")

    table.assign(a=-table["a"]).to_parquet(tmp_path / "test.parquet")
    bucket.upload_file(str(tmp_path / "test.parquet"), "data", "wine/test.parquet")
    with pytest.raises(DataError, match="is not what its source holds now .*s3://data/wine/test.parquet"):
        mlflow_sensie.load_dataset(run_id, targets="y")


def test_a_file_in_s3_is_read_in_blocks_and_read_again(
    table: pd.DataFrame, bucket: Any, tmp_path: Path, experiment_id: str
) -> None:
    table.to_parquet(tmp_path / "test.parquet")
    bucket.upload_file(str(tmp_path / "test.parquet"), "data", "test.parquet")
    dataset = mlflow_sensie.from_parquet("s3://data/test.parquet", "y")
    assert isinstance(dataset.sensie_data.inputs, LazyRows)
    done = evaluate(classify, dataset, RECIPE)
    (logged,) = (each.dataset for each in done.run.inputs.dataset_inputs)
    assert logged.source_type == "s3" and mlflow.data.get_source(logged).uri == "s3://data/test.parquet"
    assert mlflow_sensie.load_dataset(done.run_id).digest == dataset.digest
    assert done.result().data_sha256 == evaluate(classify, table, RECIPE, targets="y").result().data_sha256
    with pytest.raises(DataError, match="s3://data/gone.parquet.* cannot be read: "):
        mlflow_sensie.from_parquet("s3://data/gone.parquet", "y")


def test_a_folder_of_arrays_in_s3(bucket: Any, tmp_path: Path, experiment_id: str) -> None:
    images = np.random.default_rng(1).random((N, 4, 4))
    for name, array in {"inputs": images, "targets": np.arange(N) % 2}.items():
        np.save(tmp_path / f"{name}.npy", array)
        bucket.upload_file(str(tmp_path / f"{name}.npy"), "data", f"squares/{name}.npy")
    run_id = log_input(mlflow_sensie.from_tensors("s3://data/squares"))
    np.testing.assert_array_equal(mlflow_sensie.load_dataset(run_id).sensie_data.inputs, images)


# --- Delta -----------------------------------------------------------------------------------------------------


@pytest.fixture(params=[None, ["site"]], ids=["whole", "partitioned"])
def delta_table(table: pd.DataFrame, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A table of two versions, of which the second has twice the rows."""
    need("deltalake")
    from deltalake import write_deltalake

    for mode in ("error", "append"):
        write_deltalake(tmp_path / "wine", table, mode=mode, partition_by=request.param)
    return tmp_path / "wine"


def test_a_delta_table_is_read_in_blocks_in_the_version_that_was_logged(
    table: pd.DataFrame, delta_table: Path, experiment_id: str
) -> None:
    from deltalake import DeltaTable, write_deltalake

    dataset = mlflow_sensie.from_parquet(delta_table, "y")
    assert isinstance(dataset.sensie_data.inputs, LazyRows) and dataset.name == "wine"
    frame = DeltaTable(delta_table).to_pandas()
    done = evaluate(classify, dataset, RECIPE)
    assert done.result().n == len(frame) == 2 * N
    assert done.result().data_sha256 == evaluate(classify, frame, RECIPE, targets="y").result().data_sha256
    (logged,) = (each.dataset for each in done.run.inputs.dataset_inputs)
    assert logged.source_type == "delta_table" and mlflow.data.get_source(logged).delta_table_version == 1

    write_deltalake(delta_table, table, mode="append")
    assert mlflow_sensie.load_dataset(done.run_id).digest == dataset.digest
    run_again(table, done.run_id)
    assert len(mlflow_sensie.from_parquet(delta_table, "y").targets) == 3 * N


@pytest.mark.parametrize("version", [0, 1])
def test_a_frame_of_a_delta_table_that_mlflow_logged(delta_table: Path, experiment_id: str, version: int) -> None:
    from deltalake import DeltaTable

    frame = DeltaTable(delta_table, version=version).to_pandas()
    source = DeltaDatasetSource(path=str(delta_table), delta_table_version=version)
    run_id = log_input(mlflow.data.from_pandas(frame, source=source, targets="y", name="by version"))
    found = mlflow_sensie.load_dataset(run_id, targets="y")
    pd.testing.assert_frame_equal(found.sensie_data.inputs, frame.drop(columns="y"))
    by_path = log_input(mlflow.data.from_pandas(frame, source=str(delta_table), targets="y", name="by path"))
    if version == 1:  # a path means what is there now
        assert list(mlflow_sensie.load_dataset(by_path, targets="y").targets) == list(frame["y"])


def test_a_delta_table_that_holds_something_else(delta_table: Path, table: pd.DataFrame, experiment_id: str) -> None:
    source = DeltaDatasetSource(path=str(delta_table))
    run_id = log_input(mlflow.data.from_pandas(table[:7], source=source, targets="y"))
    with pytest.raises(DataError, match="is not what its source holds now"):
        mlflow_sensie.load_dataset(run_id, targets="y")


def vacuum(path: Path) -> None:
    """Write the table anew, and delete what only its older versions need."""
    from deltalake import DeltaTable, write_deltalake

    frame = DeltaTable(path).to_pandas()
    write_deltalake(path, frame.assign(a=-frame["a"]), mode="overwrite")
    DeltaTable(path).vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)


@pytest.mark.parametrize(
    ("version", "said"),
    [(None, "is not what its source holds now"), (1, "cannot be read as a Delta table: ")],
    ids=["by path", "by version"],
)
def test_a_version_that_was_vacuumed_away(
    delta_table: Path, experiment_id: str, version: int | None, said: str
) -> None:
    from deltalake import DeltaTable

    source = DeltaDatasetSource(path=str(delta_table), delta_table_version=version)
    run_id = log_input(mlflow.data.from_pandas(DeltaTable(delta_table).to_pandas(), source=source, targets="y"))
    vacuum(delta_table)
    with pytest.raises(DataError, match=said):
        mlflow_sensie.load_dataset(run_id, targets="y")


def test_our_own_dataset_of_a_version_that_was_vacuumed_away(delta_table: Path, experiment_id: str) -> None:
    run_id = log_input(mlflow_sensie.from_parquet(delta_table, "y"))
    vacuum(delta_table)
    with pytest.raises(DataError, match="dataset 'wine' of run .* cannot be read as a Delta table: "):
        mlflow_sensie.load_dataset(run_id)


def test_spark_is_asked_for_what_deltalake_cannot_read(
    table: pd.DataFrame, tmp_path: Path, experiment_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    need("deltalake")
    from deltalake import write_deltalake

    write_deltalake(tmp_path / "t", table, configuration={"delta.enableDeletionVectors": "true"})
    source = DeltaDatasetSource(path=str(tmp_path / "t"), delta_table_version=0)
    run_id = log_input(mlflow.data.from_pandas(table, source=source, targets="y"))
    with pytest.raises(DataError, match="needs what deltalake cannot read"):
        mlflow_sensie.load_dataset(run_id, targets="y")
    monkeypatch.setattr(DeltaDatasetSource, "load", lambda self: table)  # as Spark with the jars of Delta would
    found = mlflow_sensie.load_dataset(run_id, targets="y")
    pd.testing.assert_frame_equal(found.sensie_data.inputs, table.drop(columns="y"))


def test_a_file_uri_means_the_version_of_now_as_well(
    delta_table: Path, table: pd.DataFrame, experiment_id: str
) -> None:
    from deltalake import write_deltalake

    dataset = mlflow_sensie.from_parquet(delta_table.as_uri(), "y")
    assert dataset.digest == mlflow_sensie.from_parquet(delta_table, "y").digest
    run_id = log_input(dataset)
    write_deltalake(delta_table, table, mode="append")
    assert mlflow_sensie.load_dataset(run_id).digest == dataset.digest


def test_the_copy_of_a_delta_table_is_deleted_with_the_data(delta_table: Path) -> None:
    data = mlflow_sensie.from_parquet(delta_table, "y").sensie_data.inputs.only(["a"])
    (copy,) = data.paths
    gc.collect()
    assert copy.exists() and len(data.take(slice(None))) == 2 * N
    del data
    gc.collect()
    assert not copy.parent.exists()


def test_what_deltalake_cannot_read_is_said(table: pd.DataFrame, tmp_path: Path) -> None:
    need("deltalake")
    from deltalake import write_deltalake

    write_deltalake(tmp_path / "t", table, configuration={"delta.enableDeletionVectors": "true"})
    with pytest.raises(DataError, match="needs what deltalake cannot read: .*deletionVectors"):
        mlflow_sensie.from_parquet(tmp_path / "t", "y")
