"""What lands on the run, under which names: the contract, held against one evaluation of everything."""

from __future__ import annotations

import math
import re
from collections import Counter
from pathlib import Path

import mlflow
import numpy as np
import PIL.Image
import pytest
from flavours.logged import V3, artifact_paths, points
from mlflow.exceptions import MlflowException
from mlflow.models import EvaluationResult

import mlflow_sensie
from mlflow_sensie.scores.table import ScoreTable
from tracking.digits import Digits, N, split

# The names are a contract: written out here, the essential ones, as a run has them by default.
ALL = {"ok", "sensitive"}
SLOPE = {f"slope{part}" for part in ("", "_lo50", "_hi50", "_lo95", "_hi95")}
DROP = {"mean_drop", "mean_drop_lo95", "mean_drop_hi95"}
METRICS = ("skill", "balanced_accuracy")  # those of several classes, where a recipe names none
PERTURBATION = ALL | SLOPE | DROP | {"holds_until", "holds_until_lo95", "censored"}
PERTURBATION |= {f"{metric}_mean_drop" for metric in METRICS}
PROPERTY = ALL | SLOPE | {"effect", "effect_lo95", "effect_hi95", "within_effect"}
CATEGORY = ALL | {"spread", "spread_lo95", "spread_hi95", "range"}
OVERVIEW = {"worst_mean_drop", "worst_effect_bound95", "worst_spread", "n_tests", "n_failed"}
OVERVIEW |= {f"{name}{end}" for name in ("clean_score", "clean_balanced_accuracy") for end in ("", "_lo95", "_hi95")}
OVERVIEW |= {"skill", "skill_lo95", "no_skill_score"}
KEYS = {
    "ink": PROPERTY,
    "age": PROPERTY,
    "site": CATEGORY,
    "class": CATEGORY,
    "rotation": PERTURBATION,
    "tilt": PERTURBATION,
    "fade": PERTURBATION,
}
SERIES = {"score": "score", "score_lo95": "lo95", "score_hi95": "hi95"}
TAGS = {
    "sensie_status", "sensie_failed_tests", "sensie_worst_test", "sensie_score", "sensie_run_id",
    "sensie_data_sha256", "sensie_recipe_sha256", "sensie_version",
}  # fmt: skip


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
    tests = digits.found.tests
    assert others == {f"sensie/{test}/{name}" for test in KEYS for name in ("p", *SERIES, *tests[test].metric_fits)}
    assert "balanced_accuracy" in tests["rotation"].metric_fits


def test_a_scalar_has_one_value(digits: Digits, store: mlflow.MlflowClient) -> None:
    """MLflow 3 logs what ``evaluate`` returns once more, linked to the model; the value is the same."""
    for key in ("sensie/clean_score", "sensie/rotation/mean_drop", "sensie/class/spread"):
        assert points(digits.run_id, key) == [(0, digits.found.metrics[key])] * (2 if V3 else 1)


@pytest.mark.parametrize("test", KEYS)
def test_a_series_is_the_curve(test: str, digits: Digits, store: mlflow.MlflowClient) -> None:
    curve = digits.found.tests[test].curve
    for name, column in SERIES.items():
        assert points(digits.run_id, f"sensie/{test}/{name}") == list(enumerate(curve[column]))
    metrics = digits.found.tests[test].metric_curves
    for name, rows in metrics.groupby("metric"):
        assert points(digits.run_id, f"sensie/{test}/{name}") == list(zip(rows["bin"], rows["value"], strict=True))
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
    assert report["schema_version"] == 2 and set(report["tests"]) == set(KEYS)


# --- thresholds --------------------------------------------------------------------------------------------


def test_mlflow_can_hold_our_metrics_against_thresholds(digits: Digits, store: mlflow.MlflowClient) -> None:
    def validate(least: float) -> None:
        wanted = {"sensie/clean_score": mlflow.models.MetricThreshold(threshold=least, greater_is_better=True)}
        mlflow.validate_evaluation_results(
            validation_thresholds=wanted, candidate_result=digits.evaluated.returned, baseline_result=None
        )

    validate(digits.found.metrics["sensie/clean_score"] - 0.01)
    with pytest.raises(MlflowException, match="sensie/clean_score"):
        validate(digits.found.metrics["sensie/clean_score"] + 0.01)
