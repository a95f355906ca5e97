"""Checks as text, Markdown, JUnit and JSON: what is said, and that nothing breaks out of its format."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Literal
from xml.etree import ElementTree

import pytest

from mlflow_sensie.gate.formats import Check, exit_code, to_json, to_junit, to_markdown, to_text
from mlflow_sensie.result.verdict import Judgement, Verdict, overall
from mlflow_sensie.tracking.registry import Promotion

Outcome = Literal["pass", "fail", "inconclusive"]


def judgement(rule: str, outcome: Outcome, **more: Any) -> Judgement:
    given: dict[str, Any] = {
        "metric": "mean_drop", "test": "noise", "versus": "baseline", "value": -0.0, "lo95": -0.01, "hi95": 0.01,
        "limit": 0.02, "limit_name": "worse_by_at_most", "probability": 0.9, "confidence": 0.95, "severity": "error",
        "reason": f"{rule} is what it is",
    }  # fmt: skip
    return Judgement(rule=rule, outcome=outcome, **{**given, **more})


def check(*judgements: Judgement, **more: Any) -> Check:
    verdict = Verdict(
        outcome=overall(judgements), judgements=judgements, n=100, score="probability", data_sha256="d",
        recipe_sha256="r", candidate="models:/m/2",
    )  # fmt: skip
    given: dict[str, Any] = {"name": "models:/m/2", "model": "models:/m/2", "baseline": "models:/m/1", "run_id": "abc"}
    return Check(**{**given, "outcome": verdict.outcome, "verdict": verdict, **more})


KEPT, BROKEN, UNSURE = judgement("kept", "pass"), judgement("broken", "fail"), judgement("unsure", "inconclusive")
WARN = judgement("warned", "fail", severity="warn")
WAIVED = judgement("waived", "fail", waived=True)
MIXED = check(KEPT, BROKEN, UNSURE, WARN, WAIVED)
ERROR = Check("models:/m/4", "models:/m/4", None, "error", error="ModelError: no weights")
MOVED = Promotion("champion", "moved", "1", "2", "the alias 'champion' moved from version 1 to version 2")
LOST = Promotion("champion", "lost race", "1", "3", "the alias was not moved")


@pytest.mark.parametrize(
    ("checks", "decided", "code"),
    [
        ([check(KEPT)], None, 0),
        ([check(BROKEN)], None, 1),
        ([ERROR], None, 2),
        ([check(UNSURE)], None, 3),
        ([check(UNSURE)], "pass", 0),
        ([check(UNSURE)], "fail", 1),
        ([check(BROKEN)], "pass", 1),
        ([check(KEPT), check(UNSURE)], None, 3),
        ([check(UNSURE), check(BROKEN), check(KEPT)], None, 1),
        ([check(BROKEN), ERROR, check(KEPT)], None, 2),
        ([check(KEPT), check(UNSURE)], "fail", 1),
        ([check(WARN, WAIVED)], None, 0),
        ([check(KEPT, outcome="error", error="x", promotion=LOST)], None, 2),
    ],
)
def test_exit_codes(checks: list[Check], decided: Literal["pass", "fail"] | None, code: int) -> None:
    assert exit_code(checks, decided) == code
    assert json.loads(to_json(checks, decided))["exit_code"] == code


def test_text_has_a_row_for_each_rule_and_a_reason_for_what_did_not_pass() -> None:
    lines = to_text([MIXED]).splitlines()
    assert lines[0] == "fail: models:/m/2, against models:/m/1"
    assert lines[1].split() == ["outcome", "rule", "test", "value", "[95", "%]", "limit", "probability"]
    assert [line.split()[0] for line in lines[2:7]] == ["pass", "fail", "inconclusive", "fail", "fail"]
    assert "fail (warn)" in lines[5] and "fail (waived)" in lines[6]
    assert "0.0000 [-0.0100, 0.0100]" in lines[2] and "≤ 0.02 worse" in lines[2] and "0.900" in lines[2]
    assert lines[7:] == [f"  {rule} is what it is" for rule in ("broken", "unsure", "warned", "waived")] + ["  run abc"]
    assert str(MIXED) == to_text([MIXED])


def test_text_of_an_error_a_promotion_and_many_checks() -> None:
    assert to_text([ERROR]) == "error: models:/m/4\n  ModelError: no weights"
    moved = to_text([check(KEPT, promotion=MOVED, reused=("r1", "r2"), warnings=("no tags",))])
    assert moved.splitlines()[3:] == [
        f"  {MOVED.reason}", "  warning: no tags", "  run abc; evaluated in r1, r2",
    ]  # fmt: skip
    lost = to_text([check(KEPT, outcome="error", error=LOST.reason, promotion=LOST)])
    assert lost.count(LOST.reason) == 1
    many = to_text([check(KEPT), ERROR])
    assert many.splitlines()[-2:] == ["pass     models:/m/2", "error    models:/m/4"]


def test_what_is_not_known_stays_empty() -> None:
    nothing: dict[str, Any] = dict.fromkeys(("value", "lo95", "hi95", "probability", "test"))
    row = to_text([check(judgement("x", "fail", **nothing), judgement("y", "pass", hi95=None))]).splitlines()
    assert row[2].split() == ["fail", "x", "≤", "0.02", "worse"]
    assert "[-0.0100, …]" in row[3]


def test_markdown_is_a_table_that_names_cannot_break() -> None:
    evil = judgement("|effect| of *a* <b>", "fail", test="a|b", reason="one\ntwo | <script>")
    text = to_markdown([check(KEPT, evil)])
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 4
    assert all(len(row.replace("\\|", "").split("|")) == 8 for row in rows)
    assert "<script>" not in text.replace("\\<", "") and "- one two \\| \\<script\\>" in text
    assert text.startswith("### ❌ models:/m/2: fail against models:/m/1\n")
    both = to_markdown([check(KEPT), ERROR])
    assert both.startswith("|  | check | baseline |\n| --- | --- | --- |\n| ✅ | models:/m/2 | models:/m/1 |\n| 💥 |")
    assert "ModelError: no weights" in both


def test_markdown_folds_what_blocks_nothing() -> None:
    text = to_markdown([check(WARN, WAIVED, BROKEN, KEPT)])
    assert text.index("- broken is what it is") < text.index("<details><summary>Blocks nothing: 2</summary>")
    assert "\n- warned is what it is\n- waived is what it is\n\n</details>" in text
    assert "details" not in to_markdown([check(KEPT, BROKEN)])
    said = to_text([check(WARN, WAIVED, BROKEN, KEPT)])
    assert said.index("broken is") < said.index("warned is")


def cases(text: str) -> dict[str, str]:
    """Name and outcome of each case."""
    found = ElementTree.fromstring(text.encode())
    return {case.get("name", ""): next((child.tag for child in case), "") for case in found.iter("testcase")}


def test_junit_has_a_case_for_each_rule_and_counts_them() -> None:
    text = to_junit([MIXED, ERROR])
    assert cases(text) == {
        "kept [noise]": "system-out", "broken [noise]": "failure", "unsure [noise]": "failure",
        "warned [noise]": "skipped", "waived [noise]": "skipped", "evaluation": "error",
    }  # fmt: skip
    first, second = ElementTree.fromstring(text.encode())
    assert {key: first.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": "5", "failures": "2", "errors": "0", "skipped": "2",
    }  # fmt: skip
    assert (second.get("errors"), second.get("name")) == ("1", "models:/m/4")
    failure = first.find("testcase/failure[@type='inconclusive']")
    assert failure is not None and failure.get("message") == "unsure is what it is"
    assert cases(to_junit([MIXED], "pass"))["unsure [noise]"] == "skipped"
    assert cases(to_junit([check(KEPT, outcome="error", error="lost", promotion=LOST)]))["promotion"] == "error"


def test_junit_stays_xml_whatever_the_names() -> None:
    text = to_junit([replace(MIXED, name="a\x00b<c>&'\"\ud800")])
    assert ElementTree.fromstring(text.encode())[0].get("name") == "a�b<c>&'\"�"


def test_json_holds_everything() -> None:
    (found,) = json.loads(to_json([check(KEPT, BROKEN, promotion=MOVED, warnings=("w",), reused=("r",))]))["checks"]
    assert set(found) == {
        "name", "model", "baseline", "outcome", "run_id", "error", "reused", "warnings", "promotion", "verdict",
    }  # fmt: skip
    assert found["promotion"]["after"] == "2" and found["reused"] == ["r"] and found["warnings"] == ["w"]
    assert Verdict.model_validate(found["verdict"]).judgements == (KEPT, BROKEN)
