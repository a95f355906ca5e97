"""The gate in a recipe: which rules are understood, what is said of the others, and what a rule is called."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pandas as pd
import pytest

from mlflow_sensie import load_recipe, probe
from mlflow_sensie.errors import RecipeError
from mlflow_sensie.recipe.model import Recipe
from mlflow_sensie.recipe.rules import Rule, Waiver

CLEAN: dict[str, Any] = {"metric": "clean_score", "at_least": 0.9}
DROP: dict[str, Any] = {"metric": "mean_drop", "kind": "perturbation", "at_most": 0.1}
VERSUS: dict[str, Any] = {"metric": "clean_score", "versus": "baseline", "worse_by_at_most": 0.01}
WAIVE: dict[str, Any] = {"reason": "known", "until": "2026-01-31"}


def rules(*given: Any) -> tuple[Rule, ...]:
    found = load_recipe({"class_test": True, "gate": list(given)}).gate
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("rule", "label", "limit"),
    [
        (CLEAN, "clean_score at least 0.9", 0.9),
        (VERSUS, "clean_score worse by at most 0.01 than the baseline", 0.01),
        (DROP, "mean_drop of every perturbation at most 0.1", 0.1),
        ({"metric": "effect", "test": "*", "at_most": 0.2}, "|effect| of every test at most 0.2", 0.2),
        ({"metric": "holds_until", "test": "rotation", "at_least": 20}, "holds_until of rotation at least 20", 20.0),
        ({"metric": "skill", "at_least": 0.2}, "skill at least 0.2", 0.2),
        ({"metric": "clean_roc_auc", "at_least": 0.8}, "clean_roc_auc at least 0.8", 0.8),
        ({"metric": "clean_log_loss", "at_most": 0.4}, "clean_log_loss at most 0.4", 0.4),
        (
            {"metric": "recall-3_mean_drop", "test": "noise", "at_most": 0.1},
            "recall-3_mean_drop of noise at most 0.1",
            0.1,
        ),
        ({"metric": "f1_holds_until", "test": "*", "at_least": 2}, "f1_holds_until of every test at least 2", 2.0),
        (
            {"metric": "clean_recall", "at_least": 0.5, "slice": {"target": "x"}},
            "clean_recall at least 0.5 where target = x",
            0.5,
        ),
        ({**DROP, "slice": {"site": "B"}}, "mean_drop of every perturbation at most 0.1 where site = B", 0.1),
        ({**DROP, "slice": {"site": "*"}}, "mean_drop of every perturbation at most 0.1 for every site", 0.1),
        ({**DROP, "name": "robust", "severity": "warn", "confidence": 0.8, "waive": WAIVE}, "robust", 0.1),
    ],
)
def test_a_rule_says_what_it_is(rule: dict[str, Any], label: str, limit: float) -> None:
    (found,) = rules(rule)
    assert (found.label, found.limit) == (label, limit)
    jsonschema.validate({"class_test": True, "gate": [rule]}, Recipe.model_json_schema())


WRONG: list[tuple[Any, str]] = [
    ([], "gate: a list of at least one rule; [] came"),
    (CLEAN, "gate: a list of at least one rule; {'metric'"),
    (["clean"], "gate.0: Input should be a valid dictionary or instance of Rule; 'clean' came"),
    ([{"at_least": 0.9}], "gate.0.metric: Field required"),
    ([{**CLEAN, "metric": "max_drop"}], "gate.0.metric: one of clean_score, skill, mean_drop"),
    ([{**CLEAN, "metric": "max_drop"}], "or clean_<metric>, <metric>_mean_drop, <metric>_holds_until; 'max_drop' came"),
    ([{**CLEAN, "metric": "skil"}], "'skil' came (did you mean 'skill'?)"),
    ([{**CLEAN, "metric": "clean_"}], "; 'clean_' came"),
    ([{"metric": "clean_log_loss", "at_least": 1}], "smaller is better for clean_log_loss, so its limit is at_most"),
    ([{"metric": "clean_f1", "at_most": 1}], "greater is better for clean_f1, so its limit is at_least"),
    ([{**CLEAN, "metric": "skill", "test": "x"}], "skill belongs to the whole evaluation: leave test and kind out"),
    ([{**CLEAN, "metric": "f1_mean_drop"}], "smaller is better for f1_mean_drop"),
    ([{**DROP, "metric": "f1_mean_drop", "kind": "class"}], "a class test has no f1_mean_drop"),
    ([{**CLEAN, "at_laest": 1}], "unknown key 'at_laest' in gate.0 (did you mean 'at_least'?); allowed: metric, test"),
    ([{"metric": "clean_score"}], "exactly one of at_least, at_most, worse_by_at_most is needed; none came"),
    ([{**CLEAN, "at_most": 1}], "is needed; at_least and at_most came"),
    ([{"metric": "clean_score", "at_most": 1}], "greater is better for clean_score, so its limit is at_least"),
    ([{**DROP, "at_most": None, "at_least": 1}], "smaller is better for mean_drop, so its limit is at_most"),
    ([{**CLEAN, "versus": "baseline"}], "worse_by_at_most and 'versus: baseline' belong together"),
    ([{**VERSUS, "versus": None}], "worse_by_at_most and 'versus: baseline' belong together"),
    ([{**VERSUS, "versus": "champion"}], "gate.0.versus: Input should be 'baseline'; 'champion' came"),
    ([{**VERSUS, "worse_by_at_most": -0.1}], "gate.0.worse_by_at_most: Input should be greater than or equal to 0"),
    ([{**CLEAN, "at_least": "0.9"}], "gate.0.at_least: Input should be a valid number; '0.9' came"),
    ([{**CLEAN, "at_least": True}], "gate.0.at_least: Input should be a valid number; True came"),
    ([{**CLEAN, "at_least": float("nan")}], "gate.0.at_least: Input should be a finite number"),
    ([{**CLEAN, "test": "x"}], "clean_score belongs to the whole evaluation: leave test and kind out"),
    ([{**DROP, "kind": None}], "mean_drop needs either test (a name, or '*' for all that have it) or kind; none came"),
    ([{**DROP, "test": "x"}], "or kind; both came"),
    ([{**DROP, "kind": "class"}], "a class test has no mean_drop; kinds that have it: perturbation"),
    ([{**CLEAN, "confidence": 0.5}], "gate.0.confidence: Input should be greater than 0.5"),
    ([{**CLEAN, "confidence": 95}], "gate.0.confidence: Input should be less than 1"),
    ([{**CLEAN, "severity": "info"}], "gate.0.severity: Input should be 'error' or 'warn'"),
    ([{**CLEAN, "waive": {"until": "2026-01-31"}}], "gate.0.waive.reason: Field required"),
    ([{**CLEAN, "waive": {**WAIVE, "for": 1}}], "unknown key 'for' in gate.0.waive; allowed: reason, until"),
    ([{**CLEAN, "waive": {**WAIVE, "until": 5}}], "gate.0.waive.until: a date as 2026-01-31; 5 came"),
    ([{**CLEAN, "slice": {}}], "gate.0.slice: Dictionary should have at least 1 item"),
    ([{**CLEAN, "slice": {"a": 1, "b": 2}}], "gate.0.slice: Dictionary should have at most 1 item"),
    ([{**CLEAN, "name": "a"}, {**DROP, "name": "a"}], "gate: two rules are called 'a'; give one of them another"),
]


@pytest.mark.parametrize(("gate", "said"), WRONG, ids=[said[:40] for _, said in WRONG])
def test_what_is_not_understood_is_said(gate: Any, said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe({"class_test": True, "gate": gate})
    assert said in str(caught.value)
    assert "; gate: a list" not in str(caught.value)  # one mistake, one sentence


def test_a_baseline_is_a_uri_and_needs_a_gate() -> None:
    assert load_recipe({"class_test": True, "gate": [VERSUS], "baseline": "models:/m@champion"}).baseline
    with pytest.raises(RecipeError, match="a baseline is there to be judged against: the recipe needs a gate"):
        load_recipe({"class_test": True, "baseline": "models:/m@champion"})
    for wrong in (5, ""):
        with pytest.raises(RecipeError, match="baseline: "):
            load_recipe({"class_test": True, "gate": [VERSUS], "baseline": wrong})


def test_the_schema_refuses_a_wrong_rule() -> None:
    metrics = [{**CLEAN, "metric": name} for name in ("nope", "clean_", "_mean_drop", "skill_")]
    for wrong in (*metrics, {**CLEAN, "confidence": 2}, {**CLEAN, "severity": "info"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({"class_test": True, "gate": [wrong]}, Recipe.model_json_schema())


def test_yaml_there_and_back(tmp_path: Path) -> None:
    path = tmp_path / "gate.yaml"
    path.write_text(
        "class_test: true\ngate: [{metric: clean_score, at_least: 0.9, waive: {reason: a, until: 2026-01-31}}]"
    )
    recipe = load_recipe(path)
    assert recipe.gate is not None
    assert recipe.gate[0].waive == Waiver(reason="a", until=datetime.date(2026, 1, 31))
    path.write_text(recipe.to_yaml())
    assert load_recipe(path).gate == recipe.gate


def test_a_waiver_holds_on_its_last_day() -> None:
    waiver = Waiver(reason="a", until=datetime.date(2026, 1, 31))
    assert waiver.holds(datetime.date(2026, 1, 31))
    assert not waiver.holds(datetime.date(2026, 2, 1))


def test_the_gate_changes_no_number_and_so_not_the_digest() -> None:
    plain = load_recipe({"class_test": True})
    assert load_recipe({"class_test": True, "gate": [CLEAN]}).digest() == plain.digest()


def test_a_gate_alone_is_judged_on_tests_that_are_chosen_for_it(rng: np.random.Generator) -> None:
    X = {"a": rng.normal(size=200), "b": rng.normal(size=200)}

    frame = pd.DataFrame(X)
    result = probe(
        lambda x: 1 / (1 + np.exp(-x["a"].to_numpy())), frame, (frame["a"] > 0).astype(int), {"gate": [CLEAN]}
    )
    assert result.choices and result.verdict is not None
