"""What two results have in common: which tests can be compared, and why the others cannot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlflow_sensie.errors import ComparisonError
from mlflow_sensie.result import Result, TestResult
from mlflow_sensie.scores.table import ScoreTable

SPEC_KEYS = ("apply", "params", "of", "bins", "rank", "allowed_drop")
FIT_KEYS = ("magnitudes", "neutral", "log_distance", "levels")


def refuse_other_scores(a: Result, b: Result) -> None:
    """Raise ComparisonError where the two are scored differently."""
    ours, theirs = a.score, b.score
    if (ours.kind, ours.lower, ours.upper) != (theirs.kind, theirs.lower, theirs.upper):
        raise ComparisonError(
            f"{a.model_name!r} is scored by {ours.kind!r}, {b.model_name!r} by {theirs.kind!r}; such scores are not "
            "compared: let the recipe's 'score' name one that both models can have"
        )


def score_table_of(result: Result) -> ScoreTable:
    """Return a result's score table; raise ComparisonError where it has none, or one that is not its own."""
    table = result.score_table
    if table is None:
        raise ComparisonError(
            f"{result.model_name!r} has no score table: a result read from JSON comes without; compare by run id, "
            "or by the folder with its report.json and scores.parquet"
        )
    for key, wanted in (("data_sha256", result.data_sha256), ("score", result.score.kind)):
        if (found := table.metadata.get(key, wanted)) != wanted:
            raise ComparisonError(
                f"the score table is not that of {result.model_name!r}: {key} {found!r}, not {wanted!r}"
            )
    return table


def spec_of(result: Result, name: str) -> Mapping[str, Any]:
    """Return what a recipe says of a test; empty for the class test."""
    specs = [*result.recipe.get("properties", ()), *result.recipe.get("perturbations", ())]
    return next((spec for spec in specs if spec["name"] == name), {})


def why_not(a: Result, b: Result, slug: str) -> str | None:
    """Say why a test of either result cannot be compared, if it cannot."""
    tests = [next((test for test in result.tests.values() if test.slug == slug), None) for result in (a, b)]
    ours, theirs = tests
    if ours is None or theirs is None:
        return f"{'A' if ours is None else 'B'} has no such test"
    for side, test in (("A", ours), ("B", theirs)):
        if not test.ok:
            return f"it failed on {side}: {test.error}"
    return _other_test(ours, theirs) or _other_spec(a, b, ours.name)


def _other_test(ours: TestResult, theirs: TestResult) -> str | None:
    if ours.kind != theirs.kind:
        return f"it is a {ours.kind} test of A and a {theirs.kind} test of B"
    for key in FIT_KEYS:
        said = [getattr(test.fit, key, None) for test in (ours, theirs)]
        if said[0] != said[1]:
            return f"{key} is {said[0]} in A and {said[1]} in B"
    return None


def _other_spec(a: Result, b: Result, name: str) -> str | None:
    for key in SPEC_KEYS:
        said = [spec_of(result, name).get(key, result.recipe.get(key)) for result in (a, b)]
        if said[0] != said[1]:
            return f"{key} is {said[0]!r} in A and {said[1]!r} in B"
    return None
