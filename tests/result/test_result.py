"""The result: the names that are a contract, its tables, and JSON there and back."""

from __future__ import annotations

import dataclasses
import json
import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

import mlflow_sensie
from mlflow_sensie import Result, probe
from mlflow_sensie.inference import Curve
from mlflow_sensie.result import MOST_TESTS_WITH_KEYS
from mlflow_sensie.result.keys import essential_of
from mlflow_sensie.result.tests import CURVE
from mlflow_sensie.scores.table import score_column

ALL = {"ok", "n", "sensitive"}
EFFECT = {"effect", "effect_lo95", "effect_hi95", "effect_bound95"}
SLOPE = {"slope", "slope_lo50", "slope_hi50", "slope_lo95", "slope_hi95"}
SPREAD = {"spread", "spread_lo95", "spread_hi95"}
PERTURBATION = ALL | EFFECT | SLOPE | {
    "mean_drop", "mean_drop_lo95", "mean_drop_hi95", "max_drop", "max_drop_hi95", "holds_until", "holds_until_lo95",
    "censored", "departure",
}  # fmt: skip
TWO_SIDED = PERTURBATION | {"below_effect", "above_effect", "holds_until_below", "holds_until_above"}
PROPERTY = ALL | EFFECT | SLOPE | SPREAD | {"departure"}
OF_CLASSES = PROPERTY | {"within_effect", "within_effect_lo95", "within_effect_hi95"}
OF_PROBABILITIES = OF_CLASSES | {"unexpected", "unexpected_lo95", "unexpected_hi95"}
CATEGORY = ALL | SPREAD | {"range"}
FOLLOWED = ("skill", "roc_auc", "balanced_accuracy")
DROPS = {
    f"{name}_{key}"
    for name in FOLLOWED
    for key in ("mean_drop", "mean_drop_lo95", "mean_drop_hi95", "holds_until", "holds_until_lo95")
}
SPREADS = {f"{name}_spread" for name in FOLLOWED}
# DESIGN.md, "What lands on the run: names are a contract".
CONTRACT = {
    "number": ("property", OF_PROBABILITIES | SPREADS - {"roc_auc_spread"}),  # every bin is of one class: undefined
    "uncut": ("property", OF_PROBABILITIES - SPREAD - {"departure"}),
    "holes": ("property", OF_PROBABILITIES | SPREADS),
    "day": ("property", OF_PROBABILITIES | SPREADS),
    "words": ("category", CATEGORY),
    "flag": ("category", CATEGORY),
    "class": ("class", CATEGORY),
    "one side": ("perturbation", PERTURBATION | DROPS),
    "below": ("perturbation", PERTURBATION | DROPS),
    "two sides": ("perturbation", TWO_SIDED | DROPS),
    "factor": ("perturbation", TWO_SIDED | DROPS),
    "no neutral": ("perturbation", PERTURBATION | DROPS),
    "broken": ("perturbation", {"ok"}),
}
CLEAN = {f"clean_{name}{end}" for name in FOLLOWED[1:] for end in ("", "_lo95", "_hi95")}
OVERVIEW = CLEAN | {
    "clean_score", "clean_score_lo95", "clean_score_hi95", "no_skill_score", "skill", "skill_lo95", "worst_mean_drop",
    "worst_effect_bound95", "worst_spread", "n_tests", "n_failed",
}  # fmt: skip


def broken(x: Any, p: float) -> Any:
    raise ValueError("<b>not</b> today")


RECIPE: dict[str, Any] = {
    "properties": ["number", {"name": "uncut", "of": "number", "bins": "none"}, "holes", "day", "words", "flag"],
    "class_test": True,
    "perturbations": [
        {"name": "one side", "apply": "tabular.noise", "magnitudes": [0, 0.5, 1]},
        {"name": "below", "apply": "tabular.shift", "magnitudes": [-1, -0.5, 0]},
        {"name": "two sides", "apply": "tabular.shift", "magnitudes": [-1, 1]},
        {"name": "factor", "apply": "tabular.scale", "magnitudes": [0.5, 2]},
        {"name": "no neutral", "apply": lambda x, p: x.assign(number=p), "magnitudes": [3, 4]},
        {"name": "broken", "apply": broken, "magnitudes": [1, 2]},
    ],
    "on_error": "record",
}
N = 300


def data() -> tuple[pd.DataFrame, Any]:
    rng = np.random.default_rng(0)
    X = pd.DataFrame({
        "number": rng.normal(size=N), "holes": np.where(rng.random(N) < 0.2, np.nan, rng.normal(size=N)),
        "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 99, N), unit="D"),
        "words": np.where(rng.random(N) < 0.1, None, rng.choice(["<i>", "ß"], N)), "flag": rng.random(N) < 0.4,
    })  # fmt: skip
    return X, np.where(X["number"] > 0, "yes", "no")


def model(X: Any) -> Any:
    p = 1 / (1 + np.exp(-X["number"].to_numpy()))
    return pd.DataFrame({"no": 1 - p, "yes": p})


@pytest.fixture(scope="module")
def result() -> Result:
    return probe(model, *data(), RECIPE)


# --- names -------------------------------------------------------------------------------------------------


def test_every_kind_of_test_has_exactly_its_keys(result: Result) -> None:
    assert list(result.tests) == list(CONTRACT)
    assert {name: test.kind for name, test in result.tests.items()} == {name: k for name, (k, _) in CONTRACT.items()}
    assert {name: set(test.metrics) for name, test in result.tests.items()} == {
        n: keys for n, (_, keys) in CONTRACT.items()
    }
    for name, test in result.tests.items():
        assert test.metrics["ok"] == (0.0 if name == "broken" else 1.0)
        assert test.metrics.get("n", N) == (N - data()[0][name].isna().sum() if name in ("holes", "words") else N)


def test_metrics_carry_the_slugs_and_the_overview(result: Result) -> None:
    wanted = {
        f"sensie/{test.slug}/{key}"
        for test in result.tests.values()
        for key in test.metrics
        if key in essential_of(test.kind, test.metric_fits)
    }
    overview = OVERVIEW - {"worst_mean_drop"}  # a perturbation failed
    assert set(result.metrics) == wanted | {f"sensie/{key}" for key in overview}
    assert all(type(value) is float and np.isfinite(value) for value in result.metrics.values())
    assert result.tests["one side"].slug.startswith("one_side-") and result.tests["words"].slug == "words"
    assert (result.metrics["sensie/n_tests"], result.metrics["sensie/n_failed"]) == (13.0, 1.0)


def test_what_is_worst_is_said_of_the_headline() -> None:
    """To turn faint answers around costs all of the AUC and little of the score; to turn half of them far, both."""
    sign = np.tile([-1.0, 1.0, -1.0, 1.0], N // 4)
    X = pd.DataFrame({"signal": 0.02 * sign, "sign": sign, "half": np.arange(N) % 4 < 2})
    tests = [
        {"name": "all, faintly", "apply": lambda x, m: x.assign(signal=x["signal"] * (1 - 2 * m))},
        {"name": "half, far", "apply": lambda x, m: x.assign(signal=x["signal"] - 0.4 * m * x["half"] * x["sign"])},
    ]
    asked = {"perturbations": [{**test, "magnitudes": [0, 1], "neutral": 0} for test in tests]}
    found = {
        headline: probe(lambda x: 0.5 + x["signal"], X, (sign > 0).astype(int), {**asked, "headline": headline})
        for headline in ("score", "roc_auc")
    }
    assert {headline: result.worst_test for headline, result in found.items()} == {
        "score": "half, far", "roc_auc": "all, faintly",
    }  # fmt: skip
    assert found["roc_auc"].metrics["sensie/worst_mean_drop"] == pytest.approx(
        0.5
    )  # from 1 to 0, half of it on average


def test_scores_that_are_no_probabilities_have_nothing_unexpected() -> None:
    found = probe(model, *data(), {"properties": ["number"], "score": "correct"})
    assert set(found.tests["number"].metrics) == OF_CLASSES | {"skill_spread", "balanced_accuracy_spread"}


def test_effects_are_split_by_the_mix_of_classes_where_that_is_wanted_and_there_are_some() -> None:
    X, y = data()
    found = probe(model, X, y, {"properties": ["number"], "adjust": "none"})
    assert found.tests["number"].fit.split is None
    of_a_number = probe(lambda X: X["number"], X, X["number"] + 1, {"properties": ["number"]}, task="regressor")
    assert set(of_a_number.tests["number"].metrics) == PROPERTY | {"skill_spread", "r2_spread"}
    one_class = probe(model, X, np.full(N, "yes"), {"properties": ["number"], "label_list": ["no", "yes"]})
    assert one_class.tests["number"].fit.split is None
    split = probe(model, X, y, {"properties": ["number"]}).tests["number"].fit.split
    assert split.within.value + split.mix.value == pytest.approx(found.tests["number"].fit.effect.value)


def test_the_overview_is_the_worst_of_each_kind() -> None:
    whole = {**RECIPE, "perturbations": RECIPE["perturbations"][:-1]}
    found = probe(model, *data(), whole)
    assert {key.split("/")[1] for key in found.metrics if key.count("/") == 1} == OVERVIEW

    def of(kinds: set[str], key: str) -> list[float]:
        return [test.metrics[key] for test in found.tests.values() if test.kind in kinds]

    assert found.metrics["sensie/worst_mean_drop"] == max(of({"perturbation"}, "mean_drop"))
    assert found.metrics["sensie/worst_effect_bound95"] == max(of({"property"}, "effect_bound95"))
    assert found.metrics["sensie/worst_spread"] == max(of({"category", "class"}, "spread"))
    assert found.metrics["sensie/clean_score"] == found.clean.value
    largest = max(found.tests.values(), key=lambda test: test.metrics.get("mean_drop", -np.inf))
    assert found.worst_test == largest.name


@pytest.mark.parametrize(
    ("recipe", "left_out", "worst"),
    [
        ({"properties": ["number"]}, {"worst_mean_drop", "worst_spread"}, "number"),
        ({"properties": ["words"]}, {"worst_mean_drop", "worst_effect_bound95"}, "words"),
        ({"class_test": True}, {"worst_mean_drop", "worst_effect_bound95"}, "class"),
        ({"perturbations": RECIPE["perturbations"][:1]}, {"worst_effect_bound95", "worst_spread"}, "one side"),
    ],
)
def test_a_kind_that_was_not_tested_has_no_worst(recipe: Any, left_out: set[str], worst: str) -> None:
    found = probe(model, *data(), recipe)
    assert {key.split("/")[1] for key in found.metrics if key.count("/") == 1} == OVERVIEW - left_out
    assert found.worst_test == worst


def test_a_prefix_stands_before_every_name(result: Result) -> None:
    found = probe(model, *data(), {**RECIPE, "prefix": "second/run"})
    assert {f"second/run/{key}" for key in result.metrics} == set(found.metrics)
    assert found.recipe_sha256 == result.recipe_sha256


def test_at_most_fifty_tests_have_keys() -> None:
    many = {
        "properties": [{"name": f"t{i:02d}", "of": "number", "bins": "none"} for i in range(MOST_TESTS_WITH_KEYS + 5)]
    }
    found = probe(model, *data(), many)
    assert len(found.tests) == 55 and found.metrics["sensie/n_tests"] == 55
    assert {key.split("/")[1] for key in found.metrics if key.count("/") == 2} == {f"t{i:02d}" for i in range(50)}


# --- tables ------------------------------------------------------------------------------------------------


def test_summary_is_a_row_per_test(result: Result) -> None:
    table = result.summary()
    assert list(table.columns) == [
        "kind", "effect", "lo95", "hi95", "mean_drop", "holds_until", "spread", "decision", "significance",
    ]  # fmt: skip
    assert list(table.index) == list(CONTRACT) and table.index.name == "test"
    number, side, words, lost = (table.loc[name] for name in ("number", "one side", "words", "broken"))
    metrics = {name: result.tests[name].metrics for name in ("number", "one side", "words")}
    assert (number["effect"], number["lo95"], number["spread"]) == tuple(
        metrics["number"][key] for key in ("effect", "effect_lo95", "spread")
    )
    assert np.isnan(number["mean_drop"]) and np.isnan(number["holds_until"])
    assert (side["mean_drop"], side["holds_until"]) == tuple(
        metrics["one side"][k] for k in ("mean_drop", "holds_until")
    )
    assert (words["spread"], words["lo95"], words["hi95"]) == tuple(
        metrics["words"][key] for key in ("spread", "spread_lo95", "spread_hi95")
    )
    assert np.isnan(words["effect"]) and lost["decision"] == "failed" and np.isnan(lost["lo95"])
    assert set(table["decision"]) <= {"sensitive", "negligible", "undecided", "failed"}
    assert set(table["significance"].dropna()) <= {"high", "medium", "low"}
    assert table["effect"].dtype == table["spread"].dtype == np.float64


def test_the_examples_own_holds_until_is_a_distribution_per_side(result: Result) -> None:
    test = result.tests["two sides"]
    own, fit, table = test.own_holds_until, test.fit, result.score_table
    assert own.columns.tolist() == ["side", "p", "distance", "holds"] and table is not None
    assert own["side"].tolist() == ["below", "below", "above", "above"]
    assert own["p"].tolist() == [0, -1, 0, 1] and own["distance"].tolist() == [0, 1, 0, 1]
    clean = table.column("clean")
    for index, side in enumerate(("below", "above")):
        holds = (table.column(score_column(test.slug, index)) >= 0.9 * clean).mean()
        assert own[own["side"] == side]["holds"].tolist() == [1, pytest.approx(holds)]
    assert result.tests["number"].own_holds_until.empty and result.tests["broken"].own_holds_until.empty
    assert Result.from_json(result.to_json()).tests["two sides"].own_holds_until.equals(own)
    assert fit.magnitude("below", 1) == -1


@pytest.mark.parametrize(
    ("name", "points"),
    [
        ("number", 20), ("uncut", 0), ("holes", 21), ("day", 20), ("words", 3), ("flag", 2), ("class", 2),
        ("one side", 3), ("below", 3), ("two sides", 3), ("factor", 3), ("no neutral", 2), ("broken", 0),
    ],
)  # fmt: skip
def test_curve_is_a_row_per_point(result: Result, name: str, points: int) -> None:
    curve = result.tests[name].curve
    assert list(curve.columns) == ["p", "score", "sd", "n", "lo95", "hi95"] and len(curve) == points
    if not points:
        return
    assert (curve["lo95"] <= curve["score"]).all() and (curve["score"] <= curve["hi95"]).all()
    assert curve["lo95"].min() >= 0 and curve["hi95"].max() <= 1 and list(curve.index) == list(range(points))
    kind = CONTRACT[name][0]
    assert (curve["n"] == N).all() if kind == "perturbation" else curve["n"].sum() == N


def test_every_statistic_of_a_curve_is_a_column_and_is_known_of_every_kind(result: Result) -> None:
    assert {field.name for field in dataclasses.fields(Curve)} - {"label", "hatched"} == set(CURVE)
    for name in ("number", "words", "class", "two sides"):
        assert result.tests[name].curve.notna().any().all(), name


def test_what_a_curves_points_are_called(result: Result) -> None:
    points = {name: result.tests[name].curve["p"].tolist() for name in CONTRACT}
    assert points["words"] == ["<i>", "ß", "missing"] and points["flag"] == ["False", "True"]
    assert points["class"] == ["no", "yes"] and points["factor"] == [0.5, 1, 2] and points["no neutral"] == [3, 4]
    assert np.isnan(points["holes"][-1]) and np.diff(points["holes"][:-1]).min() > 0
    assert points["two sides"] == [-1, 0, 1]


def test_the_neutral_point_is_the_clean_score(result: Result) -> None:
    for name in ("one side", "below", "two sides", "factor"):
        curve, fit = result.tests[name].curve, result.tests[name].fit
        assert curve.set_index("p")["score"][fit.neutral] == pytest.approx(result.clean.value, rel=1e-12)


def test_failures_and_status(result: Result) -> None:
    assert list(result.failed) == ["broken"] and "<b>not</b> today" in result.failed["broken"]
    assert result.status == "partial" and not result.tests["broken"].ok
    fine = probe(model, *data(), {"properties": ["number"]})
    assert (fine.status, fine.failed, fine.worst_test) == ("done", {}, "number")


def test_what_a_result_says_of_itself(result: Result) -> None:
    assert result.version == mlflow_sensie.__version__ and result.schema_version == 2 and not result.read_only
    assert (result.n, result.model_name, result.prefix, result.choices) == (N, "model", "", ())
    assert len(result.recipe_sha256) == len(result.data_sha256) == 64 and result.seconds > 0
    assert result.score_table is not None and len(result.score_table) == N
    metadata = dict(result.score_table.metadata)
    predictions, tests = metadata.pop("predictions"), metadata.pop("tests_kept")
    assert tests["sweeps"].keys() == metadata["tests"].keys()
    assert (predictions["needs"], predictions["parts"], predictions["classes"]) == (
        "probabilities",
        ["1"],
        ["no", "yes"],
    )
    assert metadata == {
        "score": "probability", "data_sha256": result.data_sha256, "recipe_sha256": result.recipe_sha256,
        "tests": {test.slug: {"name": name, "magnitudes": magnitudes} for name, test, magnitudes in (
            (spec["name"], result.tests[spec["name"]], swept(spec)) for spec in RECIPE["perturbations"])},
    }  # fmt: skip


def swept(spec: dict[str, Any]) -> list[float]:
    neutral = {"factor": 1, "no neutral": None, "broken": None}.get(spec["name"], 0)
    return [p for p in spec["magnitudes"] if p != neutral]


# --- there and back ----------------------------------------------------------------------------------------


def test_json_there_and_back(result: Result) -> None:
    text = result.to_json()
    again = Result.from_json(text)
    assert again.to_json() == text
    assert again.model_dump() == result.model_dump()
    assert again.tests == result.tests and again.metrics == result.metrics and again.clean == result.clean
    pd.testing.assert_frame_equal(again.summary(), result.summary())
    for name in CONTRACT:
        pd.testing.assert_frame_equal(again.tests[name].curve, result.tests[name].curve)
    assert again.score_table is None


def test_json_is_plain_json(result: Result) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    read = json.loads(result.to_json(), parse_constant=refuse)
    assert read["schema_version"] == 2 and set(read["tests"]) == set(CONTRACT)
    assert read["tests"]["words"]["fit"]["levels"] == ["<i>", "ß"]


@pytest.mark.parametrize(
    "change",
    [
        {"schema_version": "x"},
        {"schema_version": 3},
        {"schema_version": 0},
        {"more": 1},
        {"tests": {"a": {"name": "a"}}},
        {"clean": None},
    ],
    ids=str,
)
def test_what_is_no_result_is_refused(result: Result, change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Result.from_json(json.dumps({**json.loads(result.to_json()), **change}))
    with pytest.raises(ValidationError):
        Result.from_json("{}")


def test_a_result_is_frozen_and_pickles(result: Result) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        result.n = 3  # type: ignore[misc]
    again = pickle.loads(pickle.dumps(Result.from_json(result.to_json())))
    assert again.metrics == result.metrics


def test_warnings_stand_beside_the_tests(result: Result) -> None:
    assert any("missing for" in warning for warning in result.tests["holes"].warnings)
    small = probe(model, *(part[:8] for part in data()), {"class_test": True})
    assert any("fewer than 5 examples" in warning for warning in small.tests["class"].warnings)
