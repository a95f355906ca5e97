"""`mlflow-sensie run`: a model and data by name, a result on a run, and its cost beforehand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import PIL.Image
import pytest
from click.testing import CliRunner
from flavours.logged import V3, artifact_paths, draw_nothing, log_model
from mlflow.models import infer_signature
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

import mlflow_sensie
from mlflow_sensie.data.sources import Data
from mlflow_sensie.doors.cli import main
from mlflow_sensie.evaluation.conductor import estimate, prepare
from mlflow_sensie.evaluation.inputs import EvaluationRequest
from mlflow_sensie.evaluation.progress import Estimate
from mlflow_sensie.recipe.reading import load_recipe
from mlflow_sensie.result import Result

N = 300
RECIPE = """
properties: [a, site]
perturbations: [{name: tabular.noise, magnitudes: [0, 0.25, 0.5]}]
class_test: true
"""


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=N), rng.normal(size=N)
    labels = np.where(rng.random(N) < expit(a), "yes", "no")
    return pd.DataFrame({"a": a, "b": b, "site": rng.choice(["x", "y"], N), "y": labels})


@pytest.fixture
def model(frame: pd.DataFrame, experiment_id: str) -> str:
    fitted = LogisticRegression().fit(frame[["a", "b"]], frame["y"])
    info = log_model(mlflow.sklearn.log_model, fitted, signature=infer_signature(frame[["a", "b"]]))
    return str(info.model_uri)


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)
    return str(path)


@pytest.fixture(autouse=True)
def quick_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    draw_nothing(monkeypatch)


def run(*words: str, code: int = 0) -> str:
    done = CliRunner().invoke(main, ["run", *words])
    assert done.exit_code == code, done.output
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done.output


def run_id_of(output: str) -> str:
    found = re.search(r"^run ([0-9a-f]{32})$", output, re.M)
    assert found, output
    return found[1]


def result_of(run_id: str) -> Result:
    uri = mlflow.MlflowClient().get_run(run_id).info.artifact_uri
    return Result.from_json(mlflow.artifacts.load_text(f"{uri}/sensie/report.json"))


def write(frame: pd.DataFrame, folder: Path, kind: str) -> Path:
    path = folder / f"test.{kind}"
    if kind == "parquet":
        frame.to_parquet(path)
    elif kind == "csv":
        frame.to_csv(path, index=False)
    elif kind == "npz":
        texts = {name: frame[name].to_numpy(str) for name in ("y", "site")}
        np.savez(path, inputs=frame[["a", "b"]].to_numpy(), **texts)
    else:
        path.mkdir()
        frame[:120].to_parquet(path / "0.parquet")
        frame[120:].to_parquet(path / "1.parquet")
    return path


@pytest.mark.parametrize("kind", ["parquet", "csv", "npz", "folder"])
def test_a_file_is_evaluated_and_logged(
    frame: pd.DataFrame, model: str, recipe: str, tmp_path: Path, kind: str
) -> None:
    path = write(frame, tmp_path, kind)
    output = run(model, "--data", str(path), "--targets", "y", "--recipe", recipe)
    assert "tabular.noise" in output and "mean_drop" in output
    logged = mlflow.MlflowClient().get_run(run_id_of(output))
    direct = mlflow_sensie.probe(model, frame.drop(columns="y"), frame["y"], recipe)
    ours = {key: value for key, value in logged.data.metrics.items() if key in direct.metrics}
    assert ours == pytest.approx(direct.metrics, rel=1e-9, abs=1e-12) and set(ours) == set(direct.metrics)
    assert logged.data.tags["sensie_data_sha256"] == direct.data_sha256
    assert logged.data.tags["sensie_status"] == "done" and logged.info.status == "FINISHED"
    assert "sensie/report.json" in artifact_paths(logged.info.run_id)
    (given,) = logged.inputs.dataset_inputs
    assert given.dataset.name == (path.name if kind == "folder" else "test") and str(path) in given.dataset.source
    if V3:
        (linked,) = logged.inputs.model_inputs
        assert linked.model_id == mlflow.pyfunc.load_model(model).model_id


def test_what_a_run_logged_is_evaluated_again(frame: pd.DataFrame, model: str, recipe: str, tmp_path: Path) -> None:
    path = write(frame, tmp_path, "parquet").rename(tmp_path / "again.parquet")  # a name that no other test logs
    first = run_id_of(run(model, "--data", str(path), "--targets", "y", "--recipe", recipe))
    second = run_id_of(run(model, "--dataset-run", first, "--recipe", recipe))
    third = run_id_of(run(model, "--dataset-run", second, "--dataset", "again", "--recipe", recipe))
    assert result_of(first).metrics == result_of(second).metrics == result_of(third).metrics
    digests = [mlflow.MlflowClient().get_run(each).inputs.dataset_inputs[0].dataset.digest for each in (first, third)]
    assert digests[0] == digests[1]
    frame[::-1].to_parquet(path)
    assert "is not what its source holds now" in run(model, "--dataset-run", first, "--recipe", recipe, code=1)


def test_onto_a_run_and_into_an_experiment(frame: pd.DataFrame, model: str, recipe: str, tmp_path: Path) -> None:
    named = [model, "--data", str(write(frame, tmp_path, "csv")), "--targets", "y", "--recipe", recipe]
    with mlflow.start_run() as training:
        mlflow.log_metric("loss", 1.0)
    assert run_id_of(run(*named, "--run-id", training.info.run_id)) == training.info.run_id
    after = mlflow.MlflowClient().get_run(training.info.run_id)
    assert after.data.metrics["loss"] == 1.0 and "sensie/clean_score" in after.data.metrics
    assert after.info.status == "FINISHED" and mlflow.active_run() is None
    name = f"evaluations {tmp_path.name}"
    found = mlflow.MlflowClient().get_run(run_id_of(run(*named, "--experiment", name)))
    assert found.info.experiment_id == mlflow.get_experiment_by_name(name).experiment_id


def test_a_failed_test_is_told_after_everything_else_was_logged(
    frame: pd.DataFrame, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_perturbation.py").write_text("def broken(x, p):\n    raise RuntimeError('no such luck')\n")
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "recipe.yaml"
    mine = "{name: mine, apply: 'broken_perturbation:broken', magnitudes: [1, 2]}"
    path.write_text(f"class_test: true\nperturbations: [{mine}]")
    named = [model, "--data", str(write(frame, tmp_path, "csv")), "--targets", "y", "--recipe", str(path)]
    assert "which runs code" in run(*named, code=1)
    output = run(*named, "--allow-code", code=1)
    assert "no such luck" in output
    tags = mlflow.MlflowClient().get_run(run_id_of(output)).data.tags
    assert tags["sensie_status"] == "partial" and tags["sensie_failed_tests"] == "mine"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--data .* or --dataset-run .* is needed; neither came"),
        (["--data", "{csv}", "--dataset-run", "abc"], "both came"),
        (["--data", "{csv}"], "say which column of test.csv holds the targets; its columns are a, b, site, y"),
        (["--data", "{csv}", "--targets", "z"], "has no column 'z' of targets"),
        (["--data", "nowhere.csv", "--targets", "y"], "nowhere.csv"),
        (["--data", "{csv}", "--targets", "y", "--recipe", "nope"], "no recipe 'nope'"),
        (["--data", "{csv}", "--targets", "y", "--recipe", "image_robustness"], "kind: tensor"),
        (["--dataset-run", "nope"], "run nope cannot be read"),
        (["--data", "{csv}", "--targets", "y", "--run-id", "0" * 32], "0" * 32),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_and_makes_no_run(
    frame: pd.DataFrame, model: str, experiment_id: str, tmp_path: Path, words: list[str], said: str
) -> None:
    csv = str(write(frame, tmp_path, "csv"))
    before = len(mlflow.MlflowClient().search_runs([experiment_id]))
    output = run(model, *(word.replace("{csv}", csv) for word in words), code=1)
    assert re.search(said, output) and "Traceback" not in output
    assert len(mlflow.MlflowClient().search_runs([experiment_id])) == before


def test_a_model_that_is_not_there(frame: pd.DataFrame, experiment_id: str, tmp_path: Path) -> None:
    csv = str(write(frame, tmp_path, "csv"))
    assert "nope" in run("models:/nope/1", "--data", csv, "--targets", "y", code=1)


# --- images ------------------------------------------------------------------------------------------------


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Forty images of different sizes, in colour or grey, of two classes."""
    rng = np.random.default_rng(0)
    for index in range(40):
        label = "lit" if index % 2 else "dull"
        side = int(rng.integers(5, 9))
        pixels = rng.integers(0, 128, (side, side + 1, 3)) + 100 * (index % 2)
        image = PIL.Image.fromarray(pixels.astype(np.uint8))
        (tmp_path / "photos" / label).mkdir(parents=True, exist_ok=True)
        (image.convert("L") if index % 3 else image).save(tmp_path / "photos" / label / f"{index}.png")
    return tmp_path / "photos"


class Bright(mlflow.pyfunc.PythonModel):
    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        return np.asarray(model_input, dtype=float).mean(axis=(1, 2)) / 255


def test_a_folder_of_images_is_resized(photos: Path, experiment_id: str, tmp_path: Path) -> None:
    signature = infer_signature(np.zeros((2, 6, 7), np.uint8), np.zeros(2))
    model = log_model(mlflow.pyfunc.log_model, python_model=Bright(), signature=signature).model_uri
    (tmp_path / "recipe.yaml").write_text("perturbations: [image.brightness]\nlabel_list: [dull, lit]\n")
    named = ["--data", str(photos), "--recipe", str(tmp_path / "recipe.yaml")]
    assert "must have one shape" in run(model, *named, code=1)
    first = run_id_of(run(model, *named, "--size", "6x7", "--mode", "L"))
    assert result_of(first).n == 40
    again = run_id_of(run(model, "--dataset-run", first, "--recipe", named[-1]))
    assert result_of(again).data_sha256 == result_of(first).data_sha256
    assert "40 examples, 1 test: " in run(model, *named, "--size", "6x7", "--mode", "L", "--dry-run")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--size", "6by7"], 2, "a size is 32, or 224x320 for height and width; '6by7' came"),
        (["--size", "0"], 2, "a size is 32"),
        (["--mode", "CMYK"], 2, "'RGB', 'L'"),
        (["--size", "6", "--targets", "y"], 1, "whose subfolders are the targets"),
    ],
)
def test_sizes_and_modes_that_are_none(photos: Path, words: list[str], code: int, said: str) -> None:
    assert said in run("models:/m/1", "--data", str(photos), *words, code=code)


# --- what it will cost -------------------------------------------------------------------------------------------


def test_a_dry_run_tells_the_cost_and_logs_nothing(
    frame: pd.DataFrame, model: str, recipe: str, experiment_id: str, tmp_path: Path
) -> None:
    before = len(mlflow.MlflowClient().search_runs([experiment_id]))
    named = ["--data", str(write(frame, tmp_path, "parquet")), "--targets", "y", "--recipe", recipe]
    output = run(model, *named, "--dry-run")
    # 300 examples, clean and at two magnitudes (the neutral is not asked); two features of eight bytes
    assert "300 examples, 4 tests: 900 predictions, on 14.4 kB of inputs in all; 21.6 kB of scores; about " in output
    assert "Nothing was evaluated." in output
    assert len(mlflow.MlflowClient().search_runs([experiment_id])) == before


def counting(counts: list[int], seconds: float = 0.0) -> Any:
    import time

    def model(inputs: pd.DataFrame) -> Any:
        counts.append(len(inputs))
        time.sleep(seconds * len(inputs))
        return expit(inputs["a"].to_numpy())

    return model


def test_an_estimate_counts_what_an_evaluation_predicts(frame: pd.DataFrame) -> None:
    X, y = frame[["a", "b"]], (frame["y"] == "yes").astype(int)
    shift = {"name": "x", "apply": "tabular.shift", "magnitudes": [0.5, 1]}
    recipe = load_recipe({"properties": ["a"], "perturbations": ["tabular.noise", shift]})
    counts: list[int] = []
    prepared = prepare(EvaluationRequest(counting(counts), Data(X, y), recipe))
    found = estimate(prepared)
    assert counts == [256, N]  # to see what comes out, and how long it takes
    evaluated = mlflow_sensie.probe(counting([]), X, y, recipe)
    assert found.predictions == evaluated.n_predictions == N * (1 + 8 + 2)
    assert found.input_bytes == pytest.approx(found.predictions * 16, rel=0.1)
    assert found.tests == 3 and found.examples == N and not found.at_most


def test_the_time_is_that_of_the_model(frame: pd.DataFrame) -> None:
    X, y = frame[["a", "b"]], (frame["y"] == "yes").astype(int)
    recipe = load_recipe({"perturbations": [{"name": "x", "apply": "tabular.shift", "magnitudes": [0.5, 1]}]})
    found = estimate(prepare(EvaluationRequest(counting([], seconds=0.0005), Data(X, y), recipe)))
    assert 0.45 <= found.seconds < 1.5  # 900 rows of half a millisecond


DURATIONS = [(0.5, "0.5 seconds"), (90, "90 seconds"), (600, "10.0 minutes"), (1e5, "27.8 hours"), (1e6, "11.6 days")]


@pytest.mark.parametrize(("seconds", "said"), DURATIONS)
def test_an_estimate_in_words(seconds: float, said: str) -> None:
    found = Estimate(10, 2, 1_234_567, 3_200_000_000, 12_000, seconds, True)
    text = str(found)
    assert f"at most about {said}" in text
    assert "at most 1,234,567 predictions, on 3.2 GB of inputs in all; 12 kB of scores" in text
