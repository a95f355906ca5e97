"""What lands on the run, under which names; and what happens when the tracking server fails."""

from __future__ import annotations

import math
import re
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import PIL.Image
import pytest
from flavours.logged import V3, Evaluated, artifact_paths, draw_nothing, evaluate, log_model, points
from mlflow.exceptions import MlflowException
from mlflow.models import EvaluationResult
from scipy.special import expit
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

import mlflow_sensie
from mlflow_sensie.result import Result
from mlflow_sensie.result import result as result_module
from mlflow_sensie.scores.table import ScoreTable
from mlflow_sensie.tracking import runs as tracking
from mlflow_sensie.tracking.runs import Destination

# The names are a contract: written out here, as DESIGN.md has them.
ALL = {"ok", "n", "prob_sensitive"}
EFFECT = {f"effect{part}" for part in ("", "_lo95", "_hi95", "_bound95")} | {
    f"slope{part}" for part in ("", "_lo50", "_hi50", "_lo95", "_hi95")
}
SPREAD = {"spread", "spread_lo95", "spread_hi95"}
DROP = {"mean_drop", "mean_drop_lo95", "mean_drop_hi95", "max_drop", "max_drop_hi95"}
PERTURBATION = ALL | EFFECT | DROP | {"holds_until", "holds_until_lo95", "censored", "departure"}
TWO_SIDED = PERTURBATION | {"below_effect", "above_effect", "holds_until_below", "holds_until_above"}
PROPERTY = ALL | EFFECT | SPREAD | {"departure", "unexpected", "unexpected_lo95", "unexpected_hi95"}
CATEGORY = ALL | SPREAD | {"range"}
OVERVIEW = {"clean_score", "worst_mean_drop", "worst_effect_bound95", "worst_spread", "n_tests", "n_failed"}
KEYS = {
    "ink": PROPERTY,
    "age": PROPERTY,
    "site": CATEGORY,
    "class": CATEGORY,
    "rotation": PERTURBATION,
    "tilt": TWO_SIDED,
    "fade": PERTURBATION,
}
SERIES = {"score": "score", "score_lo95": "lo95", "score_hi95": "hi95"}
TAGS = {
    "sensie_status", "sensie_failed_tests", "sensie_worst_test", "sensie_score", "sensie_run_id",
    "sensie_data_sha256", "sensie_recipe_sha256", "sensie_version",
}  # fmt: skip
N = 100


def fade(x: Any, p: float) -> Any:
    return x * (1 - p)


RECIPE = {
    "input_shape": [8, 8],
    "properties": [{"name": "ink", "of": "image.mean", "bins": 5}, {"name": "age", "bins": 4}, "site"],
    "perturbations": [
        {"name": "rotation", "apply": "image.rotate", "magnitudes": [0, 30, 60, 90]},
        {"name": "tilt", "apply": "image.rotate", "magnitudes": [-30, -15, 15, 30]},
        {"name": "fade", "apply": fade, "magnitudes": [0, 0.25, 0.5]},
    ],
    "class_test": True,
}


@dataclass(frozen=True)
class Digits:
    """One evaluation of everything that this version computes."""

    evaluated: Evaluated
    found: Result
    info: Any

    @property
    def run_id(self) -> str:
        return self.evaluated.run_id


@pytest.fixture(scope="module")
def digits(tracking_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Digits:
    before = mlflow.get_tracking_uri()
    folder = tmp_path_factory.mktemp("digits")
    data = load_digits()
    X, y = data.data / 16, data.target
    model = LogisticRegression(max_iter=200).fit(X[:600], y[:600])
    rng = np.random.default_rng(1)
    age = np.where(rng.random(N) < 0.2, np.nan, rng.normal(50, 10, N))
    table = {"age": age, "site": rng.choice(["A", "B", "C"], N)}
    seen: list[Result] = []
    log_result = tracking.log_result
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tracking, "log_result", lambda result, where: seen.append(result) or log_result(result, where))
        patch.setenv("MLFLOW_ENABLE_ASYNC_LOGGING", "true")  # must not matter
        mlflow.set_tracking_uri(tracking_uri)
        created = mlflow.create_experiment("test_tracking digits", artifact_location=(folder / "artifacts").as_uri())
        patch.setenv("MLFLOW_EXPERIMENT_ID", created)
        info = log_model(mlflow.sklearn.log_model, model, signature=mlflow.models.infer_signature(X[:5], y[:5]))
        done = evaluate(info.model_uri, X[-N:], {**RECIPE, "property_table": table}, targets=y[-N:])
    mlflow.set_tracking_uri(before)
    return Digits(done, seen[0], info)


@pytest.fixture
def store(digits: Digits, tracking_uri: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[mlflow.MlflowClient]:
    """The store of ``digits``, for a test that only reads."""
    before = mlflow.get_tracking_uri()
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", digits.evaluated.run.info.experiment_id)
    mlflow.set_tracking_uri(tracking_uri)
    yield mlflow.MlflowClient()
    mlflow.set_tracking_uri(before)


def split(key: str) -> tuple[str, str]:
    """``sensie/<test>/<name>`` → test, name; the overview has no test."""
    parts = key.split("/")
    assert parts[0] == "sensie" and len(parts) in (2, 3), key
    return ("", parts[1]) if len(parts) == 2 else (parts[1], parts[2])


# --- names and values --------------------------------------------------------------------------------------


def test_the_scalars_are_exactly_those_of_the_contract(digits: Digits) -> None:
    by_test: dict[str, set[str]] = {}
    for key in digits.evaluated.returned.metrics:
        test, name = split(key)
        by_test.setdefault(test, set()).add(name)
    assert by_test.pop("") == OVERVIEW
    assert by_test == KEYS


def test_what_is_returned_is_the_result_and_is_on_the_run(digits: Digits) -> None:
    assert digits.evaluated.returned.metrics == digits.found.metrics
    on_run = digits.evaluated.run.data.metrics
    assert {key: on_run[key] for key in digits.found.metrics} == digits.found.metrics
    assert all(type(value) is float and math.isfinite(value) for value in digits.found.metrics.values())


def test_beside_the_scalars_there_are_only_series(digits: Digits) -> None:
    others = set(digits.evaluated.run.data.metrics) - set(digits.found.metrics)
    assert others == {f"sensie/{test}/{name}" for test in KEYS for name in ("p", *SERIES)}


def test_a_scalar_has_one_value(digits: Digits, store: mlflow.MlflowClient) -> None:
    """MLflow 3 logs what ``evaluate`` returns once more, linked to the model; the value is the same."""
    for key in ("sensie/clean_score", "sensie/rotation/effect", "sensie/class/spread"):
        assert points(digits.run_id, key) == [(0, digits.found.metrics[key])] * (2 if V3 else 1)


@pytest.mark.parametrize("test", KEYS)
def test_a_series_is_the_curve(test: str, digits: Digits, store: mlflow.MlflowClient) -> None:
    curve = digits.found.tests[test].curve
    for name, column in SERIES.items():
        assert points(digits.run_id, f"sensie/{test}/{name}") == list(enumerate(curve[column]))
    numeric = digits.found.tests[test].kind in ("property", "perturbation")
    p = curve["p"].dropna() if numeric else range(len(curve))
    assert points(digits.run_id, f"sensie/{test}/p") == list(enumerate(p))


def test_the_bin_of_missing_values_has_a_score_but_no_p(digits: Digits) -> None:
    assert digits.found.tests["age"].curve["p"].isna().tolist() == [False] * 4 + [True]


def test_tags(digits: Digits) -> None:
    tags = {key: value for key, value in digits.evaluated.run.data.tags.items() if key.startswith("sensie")}
    assert set(tags) == TAGS  # without dots, which some registries refuse
    assert tags["sensie_status"] == "done" and tags["sensie_failed_tests"] == ""
    assert tags["sensie_worst_test"] == "rotation" and tags["sensie_score"] == "probability"
    assert tags["sensie_run_id"] == digits.run_id
    assert tags["sensie_version"] == mlflow_sensie.__version__
    assert all(re.fullmatch("[0-9a-f]{64}", tags[f"sensie_{name}_sha256"]) for name in ("data", "recipe"))


# --- links -------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not V3, reason="MLflow 2 has no logged models")
def test_the_scalars_are_linked_to_the_model_and_the_dataset(digits: Digits, store: mlflow.MlflowClient) -> None:
    (dataset,) = (item.dataset for item in digits.evaluated.run.inputs.dataset_inputs)
    linked = store.get_logged_model(digits.info.model_id).metrics
    assert {m.key: m.value for m in linked} == digits.found.metrics  # no series, nothing made 0 of NaN
    assert {(m.run_id, m.model_id, m.step) for m in linked} == {(digits.run_id, digits.info.model_id, 0)}
    assert {(m.dataset_name, m.dataset_digest) for m in linked} == {(dataset.name, dataset.digest)}


@pytest.mark.skipif(not V3, reason="MLflow 2 has no logged models")
def test_models_can_be_searched_by_our_metrics(digits: Digits, store: mlflow.MlflowClient) -> None:
    found = mlflow.search_logged_models(
        experiment_ids=[digits.evaluated.run.info.experiment_id],
        filter_string="metrics.`sensie/rotation/mean_drop` > 0",
        output_format="list",
    )
    assert [model.model_id for model in found] == [digits.info.model_id]


def test_runs_can_be_searched_by_our_metrics(digits: Digits, store: mlflow.MlflowClient) -> None:
    where = "metrics.`sensie/rotation/mean_drop` > 0 and tags.sensie_status = 'done'"
    found = store.search_runs([digits.evaluated.run.info.experiment_id], where)
    assert [run.info.run_id for run in found] == [digits.run_id]


# --- artifacts ---------------------------------------------------------------------------------------------


def test_the_artifacts_of_the_contract_and_no_others(digits: Digits, store: mlflow.MlflowClient) -> None:
    files = {"report.json", "recipe.yaml", "bins.csv", "bins.json", "scores.parquet", *(f"{t}.png" for t in KEYS)}
    files |= {"slices.csv", "slices/target.png"}
    expected = {"sensie_report.html", *(f"sensie/{file}" for file in files)}
    paths = artifact_paths(digits.run_id)
    assert {path for path in paths if not path.startswith("images/")} == expected
    assert set(digits.evaluated.returned.artifacts) == expected


def test_each_test_has_an_image_under_its_key(digits: Digits, store: mlflow.MlflowClient) -> None:
    """``log_image`` shows in the chart view; MLflow writes the key's / as ~ or # and keeps a small copy beside it."""
    images = artifact_paths(digits.run_id, "images")
    keys = Counter(re.match(r"images/sensie[~#](.+?)[+%]step[+%]0[+%]", path)[1] for path in images)
    assert keys == dict.fromkeys(KEYS, 2)


def test_the_report_is_the_result(digits: Digits, store: mlflow.MlflowClient) -> None:
    read = digits.evaluated.result()
    assert read.label == store.get_run(digits.run_id).info.run_name
    assert read.model_copy(update={"label": ""}).to_json() == digits.found.to_json()
    assert read.metrics == digits.found.metrics


def test_bins_are_a_table_of_the_curves(digits: Digits, store: mlflow.MlflowClient) -> None:
    table = mlflow.load_table("sensie/bins.json", run_ids=[digits.run_id])
    assert list(table.columns[:2]) == ["row", "score"]  # the UI groups by the first, compares the second
    assert table["row"].is_unique
    for name, test in digits.found.tests.items():
        part = table[table["test"] == name]
        np.testing.assert_allclose(part["score"].astype(float), test.curve["score"], rtol=1e-9)
        assert part["n"].tolist() == test.curve["n"].tolist()
    assert table[table["test"] == "site"]["label"].tolist() == ["A", "B", "C"]
    csv = digits.evaluated.returned.artifacts["sensie/bins.csv"].content
    assert csv["row"].tolist() == table["row"].tolist()
    np.testing.assert_allclose(csv["p"], table["p"].astype(float))


def test_figures_are_images(digits: Digits, store: mlflow.MlflowClient, tmp_path: Path) -> None:
    for test in KEYS:
        path = store.download_artifacts(digits.run_id, f"sensie/{test}.png", str(tmp_path))
        with PIL.Image.open(path) as image:
            image.verify()
            assert image.format == "PNG" and image.width > 600
        with PIL.Image.open(path) as image:
            assert len(set(image.convert("L").resize((64, 64)).getdata())) > 5  # something is drawn


def test_the_score_table_is_readable(digits: Digits, store: mlflow.MlflowClient, tmp_path: Path) -> None:
    table = ScoreTable.read_parquet(store.download_artifacts(digits.run_id, "sensie/scores.parquet", str(tmp_path)))
    assert table.column("id").tolist() == list(range(N))
    assert table.column("clean").mean() == pytest.approx(digits.found.metrics["sensie/clean_score"])
    assert table.metadata["data_sha256"] == digits.found.data_sha256
    assert table.metadata["recipe_sha256"] == digits.found.recipe_sha256
    assert table.metadata["tests"]["tilt"]["magnitudes"] == [-30, -15, 15, 30]
    at_30 = table.column("score/rotation/0").mean()  # the neutral magnitude is the clean column
    assert at_30 == pytest.approx(digits.found.tests["rotation"].curve["score"][1])


def test_what_cannot_be_carried_elsewhere_is_said_in_the_recipe(digits: Digits) -> None:
    text = digits.evaluated.returned.artifacts["sensie/recipe.yaml"].content
    assert "# not portable: perturbation fade" in text and "# not portable: property_table" in text


def test_every_returned_artifact_loads_and_is_saved(digits: Digits, store: mlflow.MlflowClient, tmp_path: Path) -> None:
    returned = digits.evaluated.returned
    fresh = EvaluationResult(
        returned.metrics, {name: type(each)(each.uri) for name, each in returned.artifacts.items()}
    )
    fresh.save(str(tmp_path / "saved"))  # before anybody asked for a content
    loaded = EvaluationResult.load(str(tmp_path / "saved"))
    assert loaded.metrics == returned.metrics
    assert set(loaded.artifacts) == set(returned.artifacts)
    for name, artifact in loaded.artifacts.items():
        assert type(artifact).__module__ == "mlflow.models.evaluation.artifacts"
        assert artifact.content is not None and returned.artifacts[name].content is not None
    report = loaded.artifacts["sensie/report.json"].content
    assert report["schema_version"] == 1 and set(report["tests"]) == set(KEYS)


# --- small results -----------------------------------------------------------------------------------------


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
    assert max(sizes) <= 10 and sum(sizes) == len(small.metrics) + 4 * 4
    assert_complete(run_id, small)


def test_a_large_score_table_stays_here_and_that_is_said(
    small: Result, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "SCORE_TABLE_BYTES", 100)
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


def test_mlflow_can_hold_our_metrics_against_thresholds(digits: Digits, store: mlflow.MlflowClient) -> None:
    def validate(least: float) -> None:
        wanted = {"sensie/clean_score": mlflow.models.MetricThreshold(threshold=least, greater_is_better=True)}
        mlflow.validate_evaluation_results(
            validation_thresholds=wanted, candidate_result=digits.evaluated.returned, baseline_result=None
        )

    validate(digits.found.metrics["sensie/clean_score"] - 0.01)
    with pytest.raises(MlflowException, match="sensie/clean_score"):
        validate(digits.found.metrics["sensie/clean_score"] + 0.01)


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
