"""The doors of a notebook, ``probe`` and ``compare``; and how every door evaluates a model and judges it by a gate."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlflow_sensie import comparison
from mlflow_sensie.comparison import Comparison
from mlflow_sensie.data.sources import as_data
from mlflow_sensie.errors import BaselineError, DataError, EvaluationIncomplete, RecipeError
from mlflow_sensie.evaluation.conductor import Prepared, evaluate, prepare
from mlflow_sensie.evaluation.inputs import EvaluationRequest
from mlflow_sensie.gate.judgement import judge
from mlflow_sensie.recipe.model import refuse_baseline
from mlflow_sensie.recipe.reading import load_recipe
from mlflow_sensie.result import Result
from mlflow_sensie.scores.table import ID, TARGET

Evaluate = Callable[[Prepared], Result]
OWN_KEYS = ("gate", "baseline", "log_examples")  # of the candidate alone


def probe(
    model: Any,
    X: Any,
    y: Any = None,
    recipe: Any = "auto",
    *,
    task: str | None = None,
    metadata: pd.DataFrame | None = None,
    predictions: Any = None,
    allow_code: bool = False,
) -> Result:
    """Measure what a model is sensitive to, without a tracking server.

    ``model``: an estimator, a Keras model, a pyfunc model, a model URI, or a function inputs → probabilities
    or predictions; or ``None``, with ``predictions`` that were recorded. ``X``: (n, ...) array or frame, or an MLflow
    Dataset, which has its own targets; columns that are no model inputs may be properties.
    ``y``: (n,) labels or values, or one-hot; n rows of anything for a score function of one's own; ``None`` with
    ``score: agreement``, which is with the model's own clean answers. ``recipe``: a mapping, a shipped name, a path, or
    ``"auto"``. ``task``: ``classifier`` or ``regressor`` where it cannot be told. ``metadata``: a frame of n rows with
    further columns for properties. ``predictions``: (n,) or (n, K), or a frame of K columns. ``allow_code`` trusts
    ``module:function`` in a recipe file. With a ``gate`` in the recipe the result has its verdict.

    Raises:
        RecipeError, DataError, ModelError: what came cannot be evaluated; nothing was computed.
        EvaluationIncomplete: some tests failed and the recipe does not say ``on_error: record``; the
            exception's ``result`` holds all the others.
    """
    data = as_data(X, y, metadata)
    data = data if predictions is None else replace(data, predictions=predictions)
    request = EvaluationRequest(model, data, load_recipe(recipe, allow_code=allow_code), task)
    return complete(evaluate_and_judge(*prepare_both(request)))


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


def complete(result: Result) -> Result:
    """Return the result; raise EvaluationIncomplete where a test failed and the recipe does not want to go on."""
    if result.failed and result.recipe["on_error"] == "raise":
        raise EvaluationIncomplete(failure_text(result), result)
    return result


def failure_text(result: Result) -> str:
    """Say which tests failed, and why."""
    errors = "\n".join(f"- {error}" for error in result.failed.values())
    count = f"{len(result.failed)} of {len(result.tests)} tests failed"
    return f"{count} (on_error: record goes on without raising):\n{errors}"


# --- candidate and baseline --------------------------------------------------------------------------------


def prepare_both(request: EvaluationRequest) -> tuple[Prepared, Prepared | None]:
    """Resolve everything that comes before the sweep, for the model and for the recipe's baseline if it has one.

    It is the baseline for which the recipe ``auto`` chooses its tests, so that they stay the same for every model that
    is judged against it.

    Raises:
        BaselineError: the baseline cannot be evaluated; what else is raised is about the model, the data or the recipe.
    """
    recipe, baseline = request.recipe, request.recipe.baseline
    refuse_baseline(recipe)
    if baseline is None:
        return prepare(request), None
    alone = recipe.model_copy(update={"gate": None, "baseline": None, "log_examples": "none"})
    with _about_the_baseline(baseline):
        other = prepare(replace(request, model=baseline, recipe=alone))
    own = {key: getattr(recipe, key) for key in OWN_KEYS}
    return prepare(replace(request, recipe=other.recipe.model_copy(update=own))), other


def evaluate_and_judge(
    candidate: Prepared,
    baseline: Prepared | None,
    evaluate: Evaluate = evaluate,
    evaluate_baseline: Evaluate | None = None,
) -> Result:
    """Evaluate both models, and judge the first by its recipe's gate; without one it has no verdict."""
    gate = candidate.recipe.gate
    if gate is None:
        return evaluate(candidate)
    other = None
    if baseline is not None:
        with _about_the_baseline(baseline.model.name):
            other = (evaluate_baseline or evaluate)(baseline)
    result = evaluate(candidate)
    if other is not None:
        other = _on_same_data(other, result)
    return result.model_copy(update={"verdict": judge(result, gate, other)})


@contextmanager
def _about_the_baseline(baseline: Any) -> Iterator[None]:
    try:
        yield
    except (RecipeError, DataError):  # not the model's fault
        raise
    except Exception as error:
        name = baseline if isinstance(baseline, str) else type(baseline).__name__
        raise BaselineError(f"the baseline {name} cannot be evaluated: {error}") from error


def _on_same_data(baseline: Result, result: Result) -> Result:
    """The baseline's result under the data's digest of the other, where the rows are the same.

    The two digests differ where the models do not have the same inputs: another set of features, say.
    """
    tables = result.score_table, baseline.score_table
    if tables[0] is None or tables[1] is None:
        return baseline
    if not all(np.array_equal(tables[0].column(name), tables[1].column(name)) for name in (ID, TARGET)):
        return baseline
    same = baseline.model_copy(update={"data_sha256": result.data_sha256})
    same._score_table = copy.copy(tables[1])
    same._score_table.metadata = {**tables[1].metadata, "data_sha256": result.data_sha256}
    return same
