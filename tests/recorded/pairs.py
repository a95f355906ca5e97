"""Comparisons of two models, gates, and a gate's chance to pass."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlflow_sensie import Result, compare, judge
from mlflow_sensie.gate.power import power

from . import data
from .data import AGE, DILUTE, LOSE, SCALE, SHIFT
from .tables import Results, probe

ASKED: dict[str, Any] = {
    "properties": ["age", "site", {"name": "dose", "rank": True}, "lab"],
    "perturbations": [SHIFT, SCALE, DILUTE],
    "class_test": True,
}


def of(model: Any, n: int = 240, seed: int = 1, **recipe: Any) -> Result:
    """Evaluate a classifier of patients."""
    frame = data.patients(n, seed)
    found: Result = probe(model, frame, data.illness(frame), {**ASKED, **recipe})
    return found


def compared_in_pairs() -> Results:
    """Two models on the same examples, with their own expectations."""
    return {"comparison": compare(of(data.risk, calibration=True), of(data.milder_risk, calibration=True))}


def compared_apart() -> Results:
    """Two models on examples of their own."""
    return {"comparison": compare(of(data.risk), of(data.milder_risk, 200, 9))}


def compared_with_weights_and_clusters() -> Results:
    """Paired and apart, with weights and clusters."""
    keys = {"weights": "weight", "cluster": "patient", "slices": ["smoker"]}
    a, b = of(data.risk, **keys), of(data.milder_risk, **keys)
    return {"paired": compare(a, b), "apart": compare(a, of(data.milder_risk, 180, 10, **keys))}


def compared_with_itself() -> Results:
    """A model that is the baseline to the last digit."""
    a, b = of(data.risk), of(data.risk)
    rules = [
        {"metric": "clean_score", "versus": "baseline", "worse_by_at_most": 0.01},
        {"kind": "perturbation", "metric": "mean_drop", "versus": "baseline", "worse_by_at_most": 0.02},
    ]
    return {"comparison": compare(a, b), "verdict": judge(b, rules, a)}


def compared_where_recipes_differ() -> Results:
    """What agrees between two recipes is compared, the rest is named."""
    other = {
        "perturbations": [{**SHIFT, "magnitudes": [-1, 0, 1]}, DILUTE, AGE],
        "properties": ["age", "visits", "model.confidence"],
    }
    first = of(data.risk, properties=["age", "site", "model.confidence"])
    return {"comparison": compare(first, of(data.milder_risk, **other))}


def compared_regressors() -> Results:
    """Errors without a bound, in pairs."""
    frame = data.patients()[["age", "dose", "visits"]]
    recipe = {"properties": ["age", "visits"], "perturbations": [SHIFT, DILUTE], "allowed_drop": {"absolute": 0.3}}
    a, b = (probe(m, frame, data.cost(frame), recipe, task="regressor") for m in (data.predicted_cost, data.other_cost))
    return {"comparison": compare(a, b)}


def _told(right: Any, lost: Any, **recipe: Any) -> Result:
    frame = data.told_frame(right, lost)
    group = np.arange(len(frame)) % 3
    asked = {"perturbations": [LOSE], "class_test": True, "properties": ["group"], "score": "correct", **recipe}
    found: Result = probe(data.told, frame.assign(group=group), frame["truth"].to_numpy(), asked)
    # The inputs say the scores, but stand for the same examples.
    digest = f"{len(frame)} examples"
    assert found.score_table is not None
    found.score_table.metadata["data_sha256"] = digest
    return found.model_copy(update={"data_sha256": digest})


def compared_where_few_fail() -> Results:
    """Scores of 0 and 1 that hardly ever differ."""
    n = 300
    k = np.arange(n)
    a = _told(np.where(k % 60 == 1, 0.1, 0.95), np.where(k % 40 == 2, 0.2, 0.01))
    b = _told(np.where(k % 60 < 2, 0.1, 0.95), np.where(k % 45 == 2, 0.3, 0.01))
    rules = [
        {"metric": "clean_score", "versus": "baseline", "worse_by_at_most": 0.03},
        {"test": "lose", "metric": "mean_drop", "versus": "baseline", "worse_by_at_most": 0.03},
        {"test": "lose", "metric": "holds_until", "versus": "baseline", "worse_by_at_most": 1.5},
        {"test": "lose", "metric": "mean_drop", "at_most": 0.1},
    ]
    return {"comparison": compare(a, b), "verdict": judge(b, rules, a)}


# --- gates -------------------------------------------------------------------------------------------------

ABSOLUTE: list[dict[str, Any]] = [
    {"metric": "clean_score", "at_least": 0.6},
    {"metric": "clean_score", "at_least": 0.72, "severity": "warn", "name": "hoped for"},
    {"kind": "perturbation", "metric": "mean_drop", "at_most": 0.05},
    {"kind": "perturbation", "metric": "effect", "at_most": 0.15, "confidence": 0.9},
    {"kind": "property", "metric": "effect", "at_most": 0.2},
    {"test": "tabular.shift", "metric": "holds_until", "at_least": 0.5},
    {"test": "dilute", "metric": "holds_until", "at_least": 0.2, "waive": {"reason": "known", "until": "2999-12-31"}},
    {"test": "*", "metric": "spread", "at_most": 0.1},
    {"test": "*", "metric": "unexpected", "at_most": 0.25},
    {"test": "nowhere", "metric": "mean_drop", "at_most": 0.1, "severity": "warn"},
]
VERSUS: list[dict[str, Any]] = [
    {"metric": "clean_score", "versus": "baseline", "worse_by_at_most": 0.05},
    {"kind": "perturbation", "metric": "mean_drop", "versus": "baseline", "worse_by_at_most": 0.01},
    {"test": "*", "metric": "effect", "versus": "baseline", "worse_by_at_most": 0.03},
    {"kind": "perturbation", "metric": "holds_until", "versus": "baseline", "worse_by_at_most": 0.2},
    {"test": "*", "metric": "spread", "versus": "baseline", "worse_by_at_most": 0.03},
    {"test": "*", "metric": "unexpected", "versus": "baseline", "worse_by_at_most": 0.05},
]


def gate() -> Results:
    """Rules of every metric, by themselves."""
    return {"verdict": judge(of(data.risk, calibration=True), ABSOLUTE)}


def gate_against_a_baseline() -> Results:
    """Rules of every metric against a baseline, which is the better or the worse one, or of other examples."""
    a, b = of(data.risk, calibration=True), of(data.milder_risk, calibration=True)
    return {"b": judge(b, VERSUS, a), "a": judge(a, VERSUS, b), "other": judge(of(data.risk, 200, 9), VERSUS[:2], a)}


def gate_of_slices() -> Results:
    """Rules within slices, by themselves and against a baseline."""
    keys = {"slices": ["site", {"column": "smoker"}], "properties": ["age"], "perturbations": [DILUTE]}
    a, b = of(data.risk, **keys), of(data.milder_risk, **keys)
    rules = [
        {"metric": "clean_score", "at_least": 0.6, "slice": {"site": "*"}},
        {"kind": "perturbation", "metric": "mean_drop", "at_most": 0.1, "slice": {"smoker": True}},
        {"metric": "clean_score", "versus": "baseline", "worse_by_at_most": 0.1, "slice": {"site": "*"}},
        {**VERSUS[1], "worse_by_at_most": 0.05, "slice": {"site": "west"}},
        {"test": "age", "metric": "effect", "at_most": 0.3, "slice": {"site": "*"}, "severity": "warn"},
    ]  # fmt: skip
    return {"verdict": judge(b, rules, a)}


def gate_in_a_recipe() -> Results:
    """A gate that the recipe has, of a weighted and clustered evaluation."""
    rules = [rule for rule in ABSOLUTE if rule["metric"] != "unexpected"]
    return {"result": of(data.risk, weights="weight", cluster="patient", gate=rules, on_error="record")}


def chance_to_pass() -> Results:
    """What a gate's dry run says, from one model and from a pair."""
    a, b = of(data.risk, calibration=True), of(data.milder_risk, calibration=True)
    rules = [*ABSOLUTE[:6], *VERSUS]
    return {"pair": power(a, rules, b), "one": power(a, VERSUS), "more": power(a, rules, b, n=1000)}


def read_back() -> Results:
    """A result that was written and read back, judged by itself."""
    found = Result.from_json(of(data.risk, properties=["age"], perturbations=[DILUTE], slices=["smoker"]).to_json())
    return {"result": found, "verdict": judge(found, ABSOLUTE)}
