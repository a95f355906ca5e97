"""Several results in one table: how good and how robust each is, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from mlflow_sensie.comparison.comparing import compare_results
from mlflow_sensie.comparison.result import Comparison
from mlflow_sensie.inference import Interval
from mlflow_sensie.result import HEADLINES, Result, TestResult


def leaderboard(results: Mapping[str, Result]) -> tuple[pd.DataFrame, dict[str, Comparison]]:
    """Rank results by name, the most robust first; each is compared with the first one given.

    Gives the table, a row per result, and the comparisons by the name of B. ``worst`` is the test with the largest
    mean drop, size of effect or spread, whichever kind of these the first result has, and ``worst_loss`` that
    value; results are in its order. ``clean_difference`` is that to the first result; ``more_robust`` and
    ``less_robust`` count the tests whose 95 % interval speaks for or against the result.

    Raises:
        ComparisonError: two of them cannot be compared.
    """
    first, *others = results
    comparisons = {name: compare_results(results[first], results[name], first, name) for name in others}
    kind = next((kind for kind in HEADLINES if any(test.kind == kind for test in results[first].tests.values())), "")
    rows = [_row(name, result, comparisons.get(name), kind) for name, result in results.items()]
    return pd.DataFrame(rows).sort_values("worst_loss", kind="stable").reset_index(drop=True), comparisons


def _row(name: str, result: Result, comparison: Comparison | None, kind: str) -> dict[str, Any]:
    worst = _worst(result, kind)
    row = {"run": name, "model": result.title, **_interval("clean_score", result.clean)}
    row |= {"worst": worst.name if worst else "", **_interval("worst_loss", _loss(worst) if worst else None)}
    row |= _interval("clean_difference", comparison.clean.difference if comparison else None)
    found = [test.headline.worse_by for test in comparison.tests.values()] if comparison else []
    counts = sum(each.hi95 < 0 for each in found), sum(each.lo95 > 0 for each in found)
    return {**row, "more_robust": counts[0], "less_robust": counts[1], "compared": len(found)}


def _interval(name: str, found: Interval | None) -> dict[str, float]:
    value = (float("nan"),) * 3 if found is None else (found.value, found.lo95, found.hi95)
    return dict(zip((name, f"{name}_lo95", f"{name}_hi95"), value, strict=True))


def _worst(result: Result, kind: str) -> TestResult | None:
    tests = [test for test in result.tests.values() if test.kind == kind and test.ok]
    return max(tests, key=lambda test: _loss(test).value, default=None)


def _loss(test: TestResult) -> Interval:
    """Give a test's headline, turned so that more of it is worse."""
    found = test.headline
    return found.negated() if test.kind == "property" and found.value < 0 else found
