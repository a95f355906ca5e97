"""Spark: its executors ask the model, and the result is the one that a single process gives."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from flavours.logged import log_model
from sklearn.linear_model import LogisticRegression

import mlflow_sensie
from mlflow_sensie import Result
from mlflow_sensie.doors.cli import main
from mlflow_sensie.errors import DataError, EvaluationIncomplete, ModelError, RecipeError

N = 1_500
RECIPE: dict[str, Any] = {"perturbations": ["tabular.noise"], "properties": ["a"], "class_test": True}


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    sql = pytest.importorskip("pyspark.sql", reason="pyspark is not installed")
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java, which is not there")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        session = sql.SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
        yield session
        session.stop()


@pytest.fixture
def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    made = pd.DataFrame(rng.normal(size=(N, 3)), columns=["a", "b", "c"])
    return made.assign(y=(made["a"] + 0.5 * made["b"] + rng.normal(size=N) > 0).astype(int))


def the_same(one: Result, other: Result) -> bool:
    return len({each.model_copy(update={"seconds": 0, "recipe": {}, "recipe_yaml": ""}).to_json()
                for each in (one, other)}) == 1  # fmt: skip


@pytest.mark.flavours
@pytest.mark.slow
def test_partitions_give_what_one_process_gives(spark: Any, table: pd.DataFrame, tmp_path: Path) -> None:
    """A logged model that each executor opens, on a folder that Spark wrote, with a function of the user's own."""
    model = LogisticRegression().fit(table[["a", "b", "c"]], table["y"])
    uri = log_model(mlflow.sklearn.log_model, model, input_example=table[["a", "b", "c"]][:3]).model_uri
    spark.createDataFrame(table).write.parquet(str(tmp_path / "data"))
    data = mlflow_sensie.from_parquet(tmp_path / "data", "y")
    mine = {"name": "mine", "apply": lambda x, p: x * (1 + p), "magnitudes": [0.1, 0.2], "neutral": 0}
    recipe = {**RECIPE, "perturbations": ["tabular.noise", mine]}
    here = mlflow_sensie.probe(uri, data, recipe=recipe)
    there = mlflow_sensie.probe_on_spark(uri, data, recipe={**recipe, "checkpoint": tmp_path / "kept"})
    assert the_same(here, there) and there.n_predictions == there.n_planned
    assert the_same(here, mlflow_sensie.probe(uri, data, recipe={**recipe, "checkpoint": tmp_path / "kept"}))


@pytest.mark.flavours
@pytest.mark.slow
def test_failures_come_back_in_words(spark: Any, table: pd.DataFrame, tmp_path: Path) -> None:
    def breaks(x: pd.DataFrame, p: float) -> pd.DataFrame:
        raise OSError("no such lens")

    def picky(x: pd.DataFrame) -> Any:
        if (x["a"] > 3).any():
            raise ValueError("above 3")
        return np.full((len(x), 2), 0.5)

    X, y = table[["a", "b", "c"]], table["y"]
    recipe: dict[str, Any] = {"perturbations": ["tabular.noise", {"apply": breaks, "magnitudes": [1, 2]}]}
    with pytest.raises(EvaluationIncomplete, match="no such lens") as caught:
        mlflow_sensie.probe_on_spark(
            lambda x: np.full((len(x), 2), 0.5), X, y, {**recipe, "checkpoint": tmp_path / "one"}
        )
    assert list(caught.value.result.failed) == ["breaks"]
    X = X.clip(upper=2.9)
    X.loc[1_400, "a"] = 3.5
    with pytest.raises(ModelError, match="failed on the unperturbed examples, chunk 5 .*above 3"):
        mlflow_sensie.probe_on_spark(picky, X, y, {"properties": ["a"], "checkpoint": tmp_path / "two"})


@pytest.mark.flavours
@pytest.mark.slow
def test_the_command_line_runs_on_spark(spark: Any, table: pd.DataFrame, tmp_path: Path, experiment_id: str) -> None:
    model = LogisticRegression().fit(table[["a", "b", "c"]], table["y"])
    uri = log_model(mlflow.sklearn.log_model, model, input_example=table[["a", "b", "c"]][:3]).model_uri
    table.to_parquet(tmp_path / "test.parquet")
    given = ["run", uri, "--data", str(tmp_path / "test.parquet"), "--targets", "y", "--recipe", "tabular_robustness"]
    done = CliRunner().invoke(main, [*given, "--checkpoint", str(tmp_path / "kept"), "--spark"])
    assert done.exit_code == 0, done.output
    assert mlflow.get_run(done.output.split()[-1]).data.tags["sensie_status"] == "done"


@pytest.mark.parametrize(
    ("recipe", "why"),
    [
        (RECIPE, "on Spark the recipe needs 'checkpoint'"),
        ({**RECIPE, "checkpoint": "kept", "precision": 0.1}, "precision stops a sweep early"),
        ({**RECIPE, "checkpoint": "kept", "time_budget": 9}, "time_budget stops a sweep early"),
    ],
)
def test_what_spark_cannot_do(recipe: dict[str, Any], why: str, table: pd.DataFrame) -> None:
    with pytest.raises(RecipeError, match=why):
        mlflow_sensie.probe_on_spark(lambda x: np.full((len(x), 2), 0.5), table[["a", "b"]], table["y"], recipe)


def test_a_frame_of_spark_is_refused_with_the_way_to_go(table: pd.DataFrame) -> None:
    """MLflow would take its first 10,000 rows; the frame itself is not needed to see that it is one."""
    frame = type("DataFrame", (), {"__module__": "pyspark.sql.dataframe"})()
    with pytest.raises(DataError, match=r"frame.write.parquet\(path\)"):
        mlflow_sensie.probe(lambda x: x, frame, recipe=RECIPE)
