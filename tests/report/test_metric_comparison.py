"""What a comparison and a leaderboard say of metrics, and of the one that leads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from mlflow_sensie import Comparison, Result, compare, probe
from mlflow_sensie.comparison import leaderboard
from mlflow_sensie.report.comparison_page import render_leaderboard
from mlflow_sensie.text.findings import findings, lead
from mlflow_sensie.tracking.runs import comparison_metrics

NOISE = {"name": "noise", "apply": "tabular.noise", "magnitudes": [0, 0.5, 1, 2]}
METRICS = ["roc_auc", "log_loss", "ece"]


def result(slope: float, **recipe: Any) -> Result:
    rng = np.random.default_rng(0)
    x = pd.DataFrame({"a": rng.normal(size=400), "b": rng.normal(size=400)})
    y = (rng.random(400) < 1 / (1 + np.exp(-2 * x["a"] - x["b"]))).astype(int).to_numpy()

    def model(x: pd.DataFrame) -> Any:
        z = slope * x["a"].to_numpy() + x["b"].to_numpy()
        return softmax(np.column_stack([np.zeros(len(z)), z]), axis=1)

    found: Result = probe(model, x, y, {"perturbations": [NOISE], "metrics": METRICS, **recipe})
    return found.model_copy(update={"model_name": f"slope {slope:g}"})


@pytest.fixture(scope="module")
def by_auc() -> Comparison:
    return compare(result(2.0, headline="roc_auc"), result(0.2, headline="roc_auc"))


def test_the_headline_leads(by_auc: Comparison) -> None:
    assert (by_auc.headline, by_auc.leading.metric) == ("roc_auc", "clean_roc_auc")
    test = by_auc.tests["noise"]
    assert test.headline is test.differences["roc_auc_mean_drop"] and test.of_score is test.differences["mean_drop"]
    first, *rest = findings(by_auc)
    auc = by_auc.leading.difference
    assert first.name == "ROC AUC" and first.tone == "bad"
    assert first.text.startswith(f"B is worse on the inputs as they are: its ROC AUC is lower by {-auc.value:.2f} [")
    loss = next(finding for finding in rest if finding.name == "log loss")
    assert loss.text.startswith("B is worse on the inputs as they are: its log loss is higher by 0.")
    noise = next(finding for finding in rest if finding.name == "noise")
    assert "ROC AUC" in noise.text
    assert lead(by_auc).endswith("; its ROC AUC is lower.")


def test_without_a_headline_the_score_leads() -> None:
    found = compare(result(2.0), result(0.2))
    assert (found.headline, found.leading) == ("score", found.clean)
    assert found.tests["noise"].headline is found.tests["noise"].differences["mean_drop"]
    assert findings(found)[0].name == "clean score"
    elsewhere = compare(result(2.0, headline="roc_auc"), result(0.2, metrics=["log_loss"]))
    assert elsewhere.headline == "score" and "clean_roc_auc" not in elsewhere.metrics


def test_the_page_names_the_metrics(by_auc: Comparison) -> None:
    page = by_auc.html()
    for name in ("ROC AUC", "log loss", "skill", "mean drop of ROC AUC", "holds until, by ROC AUC"):
        assert f">{name}</td>" in page, name
    assert "roc_auc" not in page and "holds until, by skill" not in page


def test_metrics_have_keys_on_the_run(by_auc: Comparison) -> None:
    keys = comparison_metrics(by_auc)
    skill, drop = by_auc.metrics["skill"], by_auc.tests["noise"].differences["roc_auc_mean_drop"]
    assert keys["sensie_compare/skill"] == skill.difference.value
    assert keys["sensie_compare/clean_roc_auc_prob_more_robust"] == by_auc.leading.prob_more_robust
    assert keys["sensie_compare/noise/roc_auc_mean_drop_hi95"] == drop.difference.hi95
    assert all(np.isfinite(value) for value in keys.values())


def test_a_leaderboard_has_metrics_and_goes_by_the_headline() -> None:
    results = {f"run {slope}": result(slope, headline="roc_auc") for slope in (2.0, 0.2, 1.0)}
    table, comparisons = leaderboard(results)
    by_run = table.set_index("run")
    for name, one in results.items():
        assert by_run.loc[name, "skill"] == one.metric_estimates["skill"].value
        assert by_run.loc[name, "clean_roc_auc"] == one.metric_estimates["roc_auc"].value
        interval = one.metric_estimates["roc_auc"].interval
        assert interval is not None and by_run.loc[name, "clean_roc_auc_hi95"] == interval.hi95
        assert by_run.loc[name, "worst_loss"] == one.tests["noise"].metric_fits["roc_auc"].mean_drop.value
    assert table["worst_loss"].is_monotonic_increasing
    assert by_run["clean_ece"].notna().all() and by_run["clean_ece_lo95"].isna().all()
    second = comparisons["run 0.2"].difference(None, "clean_roc_auc").difference
    assert by_run.loc["run 0.2", "clean_difference"] == second.value
    page = render_leaderboard(table, comparisons)
    assert "ROC AUC, less the first" in page and "the largest mean drop of ROC AUC" in page and ">skill</th>" in page
