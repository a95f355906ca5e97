"""The table of what rules limit: every entry has everything, here as in recipes, comparisons, keys and docs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gate.made import judged, made, rules
from mlflow_sensie import Result
from mlflow_sensie.comparison import compare
from mlflow_sensie.gate import judge, power
from mlflow_sensie.gate.quantities import QUANTITIES, GateQuantity
from mlflow_sensie.recipe import rules as recipe_rules
from mlflow_sensie.recipe.model import Recipe
from mlflow_sensie.result.keys import KEYS, OVERVIEW

PAGE = Path(__file__).parents[2] / "docs" / "gate.md"
KINDS = [(name, kind) for name, quantity in recipe_rules.QUANTITIES.items() for kind in quantity.kinds or (None,)]


@pytest.fixture(scope="module")
def pair() -> tuple[Result, Result]:
    """Results of two models, with a test of every kind and every quantity that these can have."""
    rng = np.random.default_rng(0)
    n, ability = 300, rng.normal(size=300)
    recipe: dict[str, Any] = {"properties": ["p", "site"], "class_test": True, "calibration": True}
    metadata = {"p": ability, "site": rng.choice(["a", "b", "c"], n)}
    old, new = (
        made(1 / (1 + np.exp(-1 - ability[:, None] + rng.normal(size=(n, 3)) + [0, 0.3, 0.8])), "m", metadata, **recipe)
        for _ in range(2)
    )
    return old, new


def limited(name: str, kind: str | None, **limit: Any) -> dict[str, Any]:
    return {"metric": name, **({} if kind is None else {"kind": kind}), **limit}


def test_recipes_and_the_gate_have_the_same() -> None:
    assert list(QUANTITIES) == list(recipe_rules.QUANTITIES)


def test_an_entry_by_half_is_none() -> None:
    with pytest.raises(TypeError, match="standard_error"):
        GateQuantity(lambda limit, subject: None)  # type: ignore[call-arg, arg-type, return-value]
    with pytest.raises(TypeError, match="better"):
        recipe_rules.RuleQuantity(("perturbation",))  # type: ignore[call-arg]


@pytest.mark.parametrize(("name", "kind"), KINDS)
def test_every_quantity_is_judged_by_itself_and_against_a_baseline(
    pair: tuple[Result, Result], name: str, kind: str | None
) -> None:
    old, new = pair
    side = "at_least" if recipe_rules.QUANTITIES[name].better == "higher" else "at_most"
    gate = rules(
        limited(name, kind, **{side: 0.5}), limited(name, kind, versus="baseline", worse_by_at_most=0.05)
    )  # fmt: skip
    for judgement in judge(new, gate, old).judgements:
        assert judgement.value is not None and judgement.probability is not None, judgement.reason
    for baseline in (old, None):
        assert all(rule.distance > -math.inf for rule in power(new, gate, baseline).rules)  # else it says why not


@pytest.mark.parametrize(("name", "kind"), KINDS)
def test_a_comparison_has_its_difference_and_agrees_which_is_better(
    pair: tuple[Result, Result], name: str, kind: str | None
) -> None:
    found = compare(*pair)
    tests = [None] if kind is None else [test.name for test in found.tests.values() if test.kind == kind]
    assert tests and {found.difference(test, name).better for test in tests} == {recipe_rules.QUANTITIES[name].better}


@pytest.mark.parametrize(("name", "kind"), KINDS)
def test_it_is_a_key_on_the_run(name: str, kind: str | None) -> None:
    keys = {key.name for key in OVERVIEW} if kind is None else {key.name for key in KEYS if kind in key.kinds}
    assert name in keys


@pytest.mark.parametrize("name", QUANTITIES)
def test_it_stands_in_the_schema_and_on_the_page(name: str) -> None:
    assert name in Recipe.model_json_schema()["$defs"]["Rule"]["properties"]["metric"]["anyOf"][0]["enum"]
    (row,) = (line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `metric` |"))
    assert f"`{name}`" in row


# --- of metrics --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def followed() -> Result:
    """Three metrics over a sweep, and by site and class."""
    rng = np.random.default_rng(1)
    ability = rng.normal(size=(400, 1))
    right = 1 / (1 + np.exp(-1.5 - ability + rng.normal(size=(400, 3)) + [0, 0.4, 1.2]))
    recipe: dict[str, Any] = {
        "metrics": ["roc_auc", "log_loss", "ece", {"name": "recall", "of": 1}],
        "slices": ["site", {"target": True}],
    }
    return made(right, "m", {"site": rng.choice(["a", "b"], 400)}, **recipe)


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ({"metric": "skill", "at_least": 0.1}, lambda r: r.metric_estimates["skill"].value),
        ({"metric": "clean_roc_auc", "at_least": 0.7}, lambda r: r.metric_estimates["roc_auc"].value),
        ({"metric": "clean_log_loss", "at_most": 0.6}, lambda r: r.metric_estimates["log_loss"].value),
        (
            {"metric": "recall-1_mean_drop", "kind": "perturbation", "at_most": 0.5},
            lambda r: r.tests["sweep"].metric_fits["recall-1"].mean_drop.value,
        ),
        (
            {"metric": "log_loss_mean_drop", "test": "sweep", "at_most": 1.0},
            lambda r: r.tests["sweep"].metric_fits["log_loss"].mean_drop.value,
        ),
        (
            {"metric": "skill_holds_until", "test": "*", "at_least": 0.01},
            lambda r: r.tests["sweep"].metric_fits["skill"].holds_until,
        ),
    ],
    ids=lambda given: given["metric"] if isinstance(given, dict) else "",
)
def test_a_rule_may_limit_a_metric(followed: Result, rule: dict[str, Any], value: Any) -> None:
    (kept,) = judged(followed, rules(rule))
    assert (kept.outcome, kept.value) == ("pass", value(followed)), kept.reason
    far = {key: {"at_least": 50.0, "at_most": -50.0}.get(key, at) for key, at in rule.items()}
    (broken,) = judged(followed, rules(far))
    assert broken.outcome == "fail"
    assert all(planned.distance > 0 for planned in power(followed, rules(rule)).rules)


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ({"metric": "clean_f1", "at_least": 0.5}, "the metric 'f1' is not followed, or undefined here; those that are"),
        ({"metric": "clean_ece", "at_most": 0.5}, "the metric 'ece' is biased"),
        (
            {"metric": "f1_mean_drop", "test": "sweep", "at_most": 0.5},
            "has no f1_mean_drop (the recipe's metrics do not have 'f1', or it is undefined here)",
        ),
        ({"metric": "f1_mean_drop", "kind": "perturbation", "at_most": 0.5}, "no perturbation has f1_mean_drop"),
        ({"metric": "clean_roc_auc", "at_least": 0.5, "slice": {"target": 1}}, "the metric 'roc_auc' is not followed"),
    ],
)
def test_a_metric_that_is_not_there_fails_with_the_reason(followed: Result, rule: dict[str, Any], why: str) -> None:
    (judgement,) = judged(followed, rules(rule))
    assert judgement.outcome == "fail" and why in judgement.reason


def test_rules_on_metrics_of_slices_and_classes(followed: Result) -> None:
    auc = judged(followed, rules({"metric": "clean_roc_auc", "at_least": 0.6, "slice": {"site": "*"}}))
    assert [(one.slice, one.outcome) for one in auc] == [("site = a", "pass"), ("site = b", "pass")]
    assert sum(one.n or 0 for one in auc) == 400
    recall = {"metric": "clean_recall-1", "at_least": 0.6}
    (whole,), (of_class,) = (
        judged(followed, rules({**recall, **part})) for part in ({}, {"slice": {"target": 1}})
    )  # fmt: skip
    assert whole.value == of_class.value and (whole.n, of_class.n) == (400, 200)
    (drop,) = judged(
        followed,
        rules({"metric": "recall-1_mean_drop", "test": "sweep", "at_most": 0.9, "slice": {"site": "a"}}),
    )
    assert drop.outcome == "pass" and drop.slice == "site = a"


def test_what_a_test_must_have_is_said_of_kinds_that_have_it() -> None:
    for name, quantity in QUANTITIES.items():
        assert set(quantity.needs) <= set(recipe_rules.QUANTITIES[name].kinds)
