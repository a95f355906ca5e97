"""Compare two results, wherever they are."""

from __future__ import annotations

from pathlib import Path

from mlflow_sensie import comparison
from mlflow_sensie.comparison import Comparison
from mlflow_sensie.result import Result


def compare(a: Result | str | Path, b: Result | str | Path) -> Comparison:
    """Compare two results of the same recipe: every difference is that of ``b`` less ``a``.

    ``a`` and ``b``: results with their score tables, as ``probe`` gives them; runs by their id or
    ``runs:/…`` URI; or folders with a ``report.json`` and its ``scores.parquet``. On the same data examples are
    paired by their ids; else the two are taken for independent, and a warning says so. Draws are seeded by A's
    recipe and the test's name.

    Raises:
        ComparisonError: the kinds of score differ, a score table is missing, or too few examples are common.
    """
    (ours, source_a), (theirs, source_b) = map(_with_source, (a, b))
    return comparison.compare(ours, theirs, source_a, source_b)


def _with_source(result: Result | str | Path) -> tuple[Result, str]:
    if isinstance(result, Result):
        return result, ""
    from mlflow_sensie.tracking.runs import read_result

    return read_result(result), str(result)
