"""The matrix of real models: the same known model in every flavour gives the same metrics, to 1e-5.

With ``SENSIE_ALL_FLAVOURS`` set a package that is not installed is an error; with ``SENSIE_WRITE_MODELS`` set what
ran is written to docs/models.md.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import warnings
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest

import mlflow_sensie
from flavours import document, refused, rows_addresses, rows_networks, rows_tables, rows_texts
from flavours.known import Known
from flavours.logged import V3, evaluate
from flavours.row import Made, Row, need
from mlflow_sensie.errors import SensieError
from mlflow_sensie.models.flavours import PROBABILITY_FLAVOURS
from mlflow_sensie.result import Result

ROWS: list[Row] = [*rows_tables.ROWS, *rows_networks.ROWS, *rows_texts.ROWS, *rows_addresses.ROWS]
WRITE = "SENSIE_WRITE_MODELS"


@pytest.fixture(scope="module")
def page() -> Iterator[dict[str, list[str]]]:
    """The lines of docs/models.md that were seen to be true, written at the end where that is asked for."""
    seen: dict[str, list[str]] = {"rows": [], "refused": []}
    yield seen
    if os.environ.get(WRITE):
        document.write(**seen)


def run(made: Made, known: Known, recipe: Any, targets: str, door: str = "evaluate", **options: Any) -> Result:
    """Evaluate as a user would: by ``mlflow.models.evaluate`` in a run, or by ``probe``."""
    known = made.known or known
    data = known.inputs() if made.data is None else made.data
    truth = known.labels() if targets == "names" else known.targets()
    recipe = {**known.recipe, **recipe}
    if door == "probe":
        return mlflow_sensie.probe(made.model, data, truth, recipe, task=known.task)
    if isinstance(data, pd.DataFrame):  # MLflow wants the targets of a frame in it
        data, truth = data.assign(y=truth), "y"
    done = evaluate(made.model, data, recipe, targets=truth, model_type=known.task, **options)
    result = done.result()
    assert done.ours == result.metrics
    return result


def check_page(kind: str, line: str, page: dict[str, list[str]]) -> None:
    """The page must hold the line, unless it is being written."""
    page[kind].append(line)
    if V3 and not os.environ.get(WRITE):
        assert line in document.PAGE.read_text(encoding="utf-8").splitlines(), "make models writes the page anew"


def test_every_library_with_probabilities_of_its_own_has_rows() -> None:
    """A library's rows are called by its name: "XGBoost classifier" is one of mlflow.xgboost."""
    names = [row.model.lower().replace("scikit-learn", "sklearn") for row in ROWS if row.source == "predict_proba"]
    libraries = {f"mlflow.{name.split()[0]}" for name in names}
    assert libraries == set(PROBABILITY_FLAVOURS)


@pytest.mark.parametrize("row", [row.param() for row in ROWS])
def test_every_model_gives_the_metrics_of_the_function_that_it_is(row: Row, experiment_id: str, page: Any) -> None:
    need(*row.needs)
    if row.needs_pyenv and shutil.which("pyenv") is None:
        pytest.skip("MLflow makes a virtualenv with pyenv, which is not installed")
    made = row.make()
    with warnings.catch_warnings(), contextlib.closing(made):
        warnings.simplefilter("ignore")
        result = run(made, row.known, row.recipe, row.targets, row.door, **row.options)
    wanted = (made.known or row.known).result
    assert not result.failed
    assert (result.score.kind, result.score.source) == (row.score, row.source)
    assert result.metrics == pytest.approx(wanted.metrics, rel=1e-5, abs=1e-5)
    assert bool(row.warned) == bool(result.warnings) and all(row.warned in text for text in result.warnings)
    check_page("rows", document.row_line(row, result), page)


@pytest.mark.parametrize("case", [case.param() for case in refused.CASES])
def test_a_model_without_scores_is_refused_with_the_remedy(
    case: refused.Refused, experiment_id: str, page: Any
) -> None:
    need(*case.needs)
    made = case.make()
    with pytest.raises(SensieError) as caught:
        run(made, case.known, {}, case.targets, "probe")
    assert [word for word in case.words if word not in str(caught.value)] == [], caught.value
    if case.remedy:
        result = run(made, case.known, case.remedy, case.targets, "probe")
        assert not result.failed
        wanted = (made.known or case.known).result.metrics if case.same else result.metrics
        assert result.metrics == pytest.approx(wanted, rel=1e-5, abs=1e-5)
    check_page("refused", document.refused_line(case.what, caught.value), page)


@pytest.mark.skipif(not V3, reason="some rows are of MLflow 3 alone")
def test_the_page_holds_no_other_row() -> None:
    """What nobody runs any more is not told of; and no row stands twice."""
    names = [f"| {row.model} | {row.how} |" for row in ROWS] + [f"| {case.what} |" for case in refused.CASES]
    assert len(set(names)) == len(names)
    lines = [line for line in document.PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    told = [line for line in lines if not line.startswith("| model |")]
    assert [line for line in told if not any(line.startswith(name) for name in names)] == []
    assert len(told) == len(names)
