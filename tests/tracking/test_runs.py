"""Results on runs: batches, prefixes, links, and what happens when the tracking server fails."""

from __future__ import annotations

import re
import tempfile
import warnings
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from flavours.logged import V3, Evaluated, artifact_paths, draw_nothing, evaluate, log_model, points
from mlflow.exceptions import MlflowException
from mlflow.models import EvaluationResult
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

import mlflow_sensie
from mlflow_sensie.result import Result
from mlflow_sensie.result import result as result_module
from mlflow_sensie.tracking import artifacts
from mlflow_sensie.tracking import runs as tracking
from mlflow_sensie.tracking.runs import Destination
from tracking.digits import Digits, split


def predict(frame: pd.DataFrame) -> Any:
    return expit(frame["a"].to_numpy())


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    a = rng.normal(size=80)
    return pd.DataFrame({"a": a, "b": rng.normal(size=80), "y": (rng.random(80) < expit(a)).astype(int)})


ONE = {"properties": [{"name": "a", "bins": 4}]}


@pytest.fixture(scope="module")
def small(frame: pd.DataFrame) -> Result:
    """A result of one test, not yet logged."""
    return mlflow_sensie.probe(predict, frame[["a", "b"]], frame["y"], ONE, task="classifier")


@pytest.fixture
def quick_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    draw_nothing(monkeypatch)


@pytest.fixture
def run_id(experiment_id: str, quick_figures: None) -> str:
    return str(mlflow.MlflowClient().create_run(experiment_id).info.run_id)


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders go, so that a test can look into them."""
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    return tmp_path / "scratch"


def assert_complete(run_id: str, result: Result) -> None:
    """All of a result is on the run, once."""
    run = mlflow.MlflowClient().get_run(run_id)
    assert run.data.tags["sensie_status"] == "done"
    assert {key: run.data.metrics[key] for key in result.metrics} == result.metrics
    for test in result.tests.values():
        scores = points(run_id, f"{result.prefix}sensie/{test.slug}/score")
        assert scores == list(enumerate(test.curve["score"]))
    table = mlflow.load_table(f"{result.prefix}sensie/bins.json", run_ids=[run_id])
    assert table["row"].is_unique and len(table) == sum(len(test.curve) for test in result.tests.values())
    files = ["report.json", "recipe.yaml", "bins.csv", "bins.json", "scores.parquet"]
    files += [f"{test.slug}.png" for test in result.tests.values()]
    assert {f"{result.prefix}sensie/{file}" for file in files} <= artifact_paths(run_id)


def test_a_portable_recipe_comes_back_the_same(
    frame: pd.DataFrame, experiment_id: str, quick_figures: None, tmp_path: Path
) -> None:
    recipe = {**ONE, "perturbations": ["tabular.noise"], "inference": {"rope": 0.05}, "allowed_drop": {"absolute": 0.2}}
    done = evaluate(predict, frame, recipe, targets="y")
    path = mlflow.artifacts.download_artifacts(
        run_id=done.run_id, artifact_path="sensie/recipe.yaml", dst_path=tmp_path
    )
    again = mlflow_sensie.load_recipe(path)
    assert again.digest() == done.run.data.tags["sensie_recipe_sha256"]
    magnitudes = again.perturbations[0].magnitudes
    assert magnitudes is None or len(magnitudes) >= 2
    repeated = mlflow_sensie.probe(predict, frame[["a", "b"]], frame["y"], path, task="classifier")
    assert repeated.metrics == pytest.approx(done.ours, nan_ok=False)


def test_nothing_is_left_on_disk_after_success(small: Result, run_id: str, scratch: Path) -> None:
    tracking.log_result(small, Destination(run_id))
    assert_complete(run_id, small)
    assert list(scratch.iterdir()) == []


def test_a_prefix_keeps_two_evaluations_of_one_run_apart(
    frame: pd.DataFrame, experiment_id: str, quick_figures: None
) -> None:
    def worse(data: pd.DataFrame) -> Any:
        return expit(-data["a"].to_numpy())

    def run(model: Any, prefix: str) -> EvaluationResult:
        config = {"sensie": {**ONE, "prefix": prefix}}
        return mlflow.models.evaluate(
            model, frame, targets="y", model_type="classifier", evaluators=["sensie"], evaluator_config=config
        )

    with mlflow.start_run() as active:
        returned = {prefix: run(model, prefix) for prefix, model in (("", predict), ("site/B", worse))}
    run_id = active.info.run_id
    plain, prefixed = returned[""], returned["site/B"]
    assert set(prefixed.metrics) == {f"site/B/{key}" for key in plain.metrics}
    at_root = {"sensie_report.html": "site-B-sensie_report.html"}  # where the page that compares runs finds it
    assert set(prefixed.artifacts) == {at_root.get(name, f"site/B/{name}") for name in plain.artifacts}
    assert plain.metrics["sensie/clean_score"] > 0.5 > prefixed.metrics["site/B/sensie/clean_score"]
    for prefix, found in (("", plain), ("site/B/", prefixed)):
        result = Evaluated(found, mlflow.MlflowClient().get_run(run_id)).result(prefix)
        assert_complete(run_id, result)


@pytest.mark.parametrize(
    ("name", "shown"), [("models:/m-0123456789abcdef", "autumn"), ("runs:/0123/model", "autumn"), ("mine", "mine")]
)
def test_a_model_with_an_id_alone_is_called_by_its_run(experiment_id: str, name: str, shown: str) -> None:
    found = mlflow_sensie.probe(
        lambda x: np.full(len(x), 0.7), pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0]}), [0, 1, 1, 1], {"class_test": True}
    ).model_copy(update={"model_name": name})
    with mlflow.start_run(run_name="autumn") as run:
        tracking.log_result(found, Destination(run.info.run_id))
    again = tracking.read_result(run.info.run_id)
    assert again.title == shown and again.model_name == name
    assert f"<h1>Sensitivity of {shown}</h1>" in mlflow.artifacts.load_text(
        f"runs:/{run.info.run_id}/sensie_report.html"
    )


def test_names_that_mlflow_would_refuse_are_written_so_that_it_takes_them(
    frame: pd.DataFrame, run_id: str, tmp_path: Path
) -> None:
    names = {"größe/m²": "a", "🙂": "b", "x" * 150: "a", "..": "b", "a=b [%]": "a"}
    recipe = {"properties": [{"name": name, "of": of, "bins": 3} for name, of in names.items()]}
    result = mlflow_sensie.probe(predict, frame[["a", "b"]], frame["y"], recipe, task="classifier")
    tracking.log_result(result, Destination(run_id))
    assert_complete(run_id, result)
    slugs = [test.slug for test in result.tests.values()]
    assert all(re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}", slug) for slug in slugs)
    assert set(mlflow.load_table("sensie/bins.json", run_ids=[run_id])["test"]) == set(names)


def test_only_the_first_tests_put_keys_on_the_run(
    frame: pd.DataFrame, experiment_id: str, quick_figures: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (result_module, tracking):
        monkeypatch.setattr(module, "MOST_TESTS_WITH_KEYS", 1)
    with pytest.warns(UserWarning, match="only the first 1 of 2 tests have metrics on the run; all of them stand in"):
        done = evaluate(predict, frame, {"properties": ["a", "b"]}, targets="y")
    assert {split(key)[0] for key in done.run.data.metrics} == {"", "a"}
    assert set(done.result().tests) == {"a", "b"}
    assert "sensie/b.png" in artifact_paths(done.run_id)
    assert not any("~b+" in path or "#b%" in path for path in artifact_paths(done.run_id, "images"))


def test_metrics_go_in_batches_that_the_server_takes(
    small: Result, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    log_batch = mlflow.MlflowClient.log_batch

    def spy(client: Any, run: str, metrics: Any = (), **options: Any) -> Any:
        sizes.append(len(metrics))
        return log_batch(client, run, metrics=metrics, **options)

    monkeypatch.setattr(tracking, "METRICS_PER_BATCH", 10)
    monkeypatch.setattr(mlflow.MlflowClient, "log_batch", spy)
    tracking.log_result(small, Destination(run_id))
    of_bins = 4 * 4 + sum(len(test.metric_curves) for test in small.tests.values())  # a score has an interval and a p
    assert max(sizes) <= 10 and sum(sizes) == len(small.metrics) + of_bins
    assert_complete(run_id, small)


def test_a_large_score_table_stays_here_and_that_is_said(
    small: Result, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifacts, "SCORE_TABLE_BYTES", 100)
    with pytest.warns(UserWarning, match="the score table takes 0 MB, more than 0 MB, and is not uploaded"):
        found = tracking.log_result(small, Destination(run_id))
    assert "sensie/scores.parquet" not in {*found, *artifact_paths(run_id)}


def test_a_score_table_that_nobody_wants_stays_here_silently(
    frame: pd.DataFrame, experiment_id: str, quick_figures: None
) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        done = evaluate(predict, frame, {**ONE, "scores": False}, targets="y")
    assert "sensie/scores.parquet" not in {*done.returned.artifacts, *artifact_paths(done.run_id)}
    assert not any("score table" in str(each.message) for each in caught)


def test_a_function_is_linked_to_no_model(frame: pd.DataFrame, experiment_id: str, quick_figures: None) -> None:
    done = evaluate(predict, frame, ONE, targets="y")
    assert points(done.run_id, "sensie/a/effect") == [(0, done.ours["sensie/a/effect"])]  # nor does MLflow log it again
    assert done.run.data.metrics.keys() >= done.ours.keys()


@pytest.mark.skipif(not V3, reason="MLflow 2 has no logged models")
def test_a_function_is_linked_to_the_model_that_the_user_names(
    frame: pd.DataFrame, experiment_id: str, quick_figures: None
) -> None:
    model = mlflow.create_external_model(name="elsewhere")
    done = evaluate(predict, frame, ONE, targets="y", model_id=model.model_id)
    linked = mlflow.MlflowClient().get_logged_model(model.model_id).metrics
    assert {m.key: m.value for m in linked} == done.ours
    assert mlflow.get_active_model_id() is None


# --- a tracking server that fails --------------------------------------------------------------------------


class Down(Exception):
    """What a client raises when the server does not answer."""


def break_client(monkeypatch: pytest.MonkeyPatch, method: str, call: int) -> None:
    """Make a method of MLflow's client fail from its call-th call on."""
    calls = 0
    works = getattr(mlflow.MlflowClient, method)

    def breaks(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls >= call:
            raise Down("connection refused")
        return works(*args, **options)

    monkeypatch.setattr(mlflow.MlflowClient, method, breaks)


@pytest.mark.parametrize(
    ("method", "call"),
    [
        ("log_batch", 1),  # nothing gets through
        ("log_batch", 2),  # the scalars do
        ("log_table", 1),
        ("log_artifact", 3),
        ("log_image", 1),
        ("log_batch", 3),  # the tags, which come last
    ],
)
def test_nothing_is_lost_when_the_server_fails(
    method: str, call: int, small: Result, run_id: str, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        break_client(broken, method, call)
        with pytest.raises(MlflowException) as raised:
            tracking.log_result(small, Destination(run_id))
    said = str(raised.value)
    assert isinstance(raised.value.__cause__, Down) and "connection refused" in said and run_id in said
    (folder,) = scratch.iterdir()
    assert f"all of it lies in {folder}" in said
    assert (folder / "sensie" / "report.json").read_text() == small.to_json()
    assert {path.name for path in (folder / "sensie").iterdir()} == {
        "report.json", "recipe.yaml", "bins.csv", "bins.json", "scores.parquet", "a.png",
    }  # fmt: skip
    assert "sensie_status" not in mlflow.MlflowClient().get_run(run_id).data.tags

    how = said.partition("To log it again: ")[2]
    eval(how, {"mlflow_sensie": mlflow_sensie})  # what it says is what works
    assert_complete(run_id, small)
    assert list(scratch.iterdir()) == [folder]  # the user's to delete


def test_a_failed_evaluation_is_logged_again_with_its_links(
    digits: Digits,
    frame: pd.DataFrame,
    experiment_id: str,
    quick_figures: None,
    scratch: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Through the door; the result gets its prefix, and its metrics the model, as if nothing had happened."""
    log = mlflow.sklearn.log_model
    model = LogisticRegression().fit(frame[["a", "b"]], frame["y"])
    info = log_model(log, model, signature=mlflow.models.infer_signature(frame[["a", "b"]]))
    with monkeypatch.context() as broken, mlflow.start_run() as run:
        break_client(broken, "log_artifact", 1)
        with pytest.raises(MlflowException, match="the result could not be logged"):
            mlflow.models.evaluate(
                info.model_uri, frame, targets="y", model_type="classifier", evaluators=["sensie"],
                evaluator_config={"sensie": {**ONE, "prefix": "second"}},
            )  # fmt: skip
    (folder,) = scratch.glob("sensie-*")
    mlflow_sensie.log_folder(str(folder), run.info.run_id)
    result = Evaluated(EvaluationResult({}, {}), mlflow.MlflowClient().get_run(run.info.run_id)).result("second/")
    assert_complete(run.info.run_id, result)
    if V3:
        linked = mlflow.MlflowClient().get_logged_model(info.model_id).metrics
        assert {m.key: m.value for m in linked} == result.metrics
        assert all(m.dataset_digest for m in linked)


def test_a_folder_without_a_result_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no report.json"):
        mlflow_sensie.log_folder(tmp_path, "0")
