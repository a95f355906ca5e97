"""A model and the one to judge it against, evaluated on the same examples by the same recipe."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from mlflow_sensie.errors import BaselineError, DataError, RecipeError
from mlflow_sensie.evaluation.probe import Prepared, prepare, run
from mlflow_sensie.gate.judgement import judge
from mlflow_sensie.recipe.model import Recipe
from mlflow_sensie.result import Result
from mlflow_sensie.scores.table import ID, TARGET

Evaluate = Callable[[Prepared], Result]


def evaluate_and_judge(model: Any, X: Any, y: Any, recipe: Recipe, **given: Any) -> Result:
    """Run a recipe and its gate; see ``probing.evaluate`` for the arguments."""
    ours, theirs = prepare_both(model, X, y, recipe, **given)
    return judged(ours, theirs, run, run)


def prepare_both(
    model: Any, X: Any, y: Any, recipe: Recipe, *, baseline: Any = None, **given: Any
) -> tuple[Prepared, Prepared | None]:
    """Settle everything that comes before the sweep, for the model and for the baseline if there is one.

    ``baseline`` is a model, in place of the recipe's URI. It is the baseline for which the recipe ``auto`` chooses its
    tests, so that they stay the same for every model that is judged against it.

    Raises:
        BaselineError: the baseline cannot be evaluated; what else is raised is about the model, the data or the recipe.
    """
    against = recipe.baseline if baseline is None else baseline
    if against is None:
        return prepare(model, X, y, recipe, **given), None
    alone = recipe.model_copy(update={"gate": None, "baseline": None, "log_examples": "none"})
    with _about_the_baseline(against):
        theirs = prepare(against, X, y, alone, **given)
    kept = {key: getattr(recipe, key) for key in ("gate", "baseline", "log_examples")}
    return prepare(model, X, y, theirs.recipe.model_copy(update=kept), **given), theirs


def judged(ours: Prepared, theirs: Prepared | None, evaluate: Evaluate, evaluate_baseline: Evaluate) -> Result:
    """Evaluate both models, and judge the first by its recipe's gate; without one it has no verdict."""
    if ours.recipe.gate is None:
        return evaluate(ours)
    baseline = None
    if theirs is not None:
        with _about_the_baseline(theirs.settled.model.name):
            baseline = evaluate_baseline(theirs)
    result = evaluate(ours)
    if baseline is not None:
        baseline = _on_same_data(baseline, result)
    return result.model_copy(update={"verdict": judge(result, ours.recipe.gate, baseline)})


@contextmanager
def _about_the_baseline(baseline: Any) -> Iterator[None]:
    try:
        yield
    except (RecipeError, DataError):  # not the model's fault
        raise
    except Exception as error:
        named = baseline if isinstance(baseline, str) else type(baseline).__name__
        raise BaselineError(f"the baseline {named} cannot be evaluated: {error}") from error


def _on_same_data(baseline: Result, result: Result) -> Result:
    """The baseline's result under the data's digest of the other, where the rows are the same.

    The two digests differ where the models do not have the same inputs: another set of features, say.
    """
    ours, theirs = result.score_table, baseline.score_table
    if (
        ours is None
        or theirs is None
        or not all(np.array_equal(ours.column(c), theirs.column(c)) for c in (ID, TARGET))
    ):
        return baseline
    same = baseline.model_copy(update={"data_sha256": result.data_sha256})
    same._score_table = copy.copy(theirs)
    same._score_table.metadata = {**theirs.metadata, "data_sha256": result.data_sha256}
    return same
