"""A model and the one to judge it against, evaluated on the same examples by the same recipe."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np

from mlflow_sensie.gate.judging import judge
from mlflow_sensie.probing import Prepared, prepare, run
from mlflow_sensie.recipe_model import Recipe
from mlflow_sensie.result import Result
from mlflow_sensie.scores import ID, TARGET, ScoreTable


def evaluate_and_judge(model: Any, X: Any, y: Any, recipe: Recipe, **given: Any) -> Result:
    """Run a recipe and its gate; see ``probing.evaluate`` for the arguments."""
    ours, theirs = prepare_both(model, X, y, recipe, **given)
    return with_verdict(run(ours), recipe, None if theirs is None else run(theirs))


def prepare_both(
    model: Any, X: Any, y: Any, recipe: Recipe, baseline: Any = None, **given: Any
) -> tuple[Prepared, Prepared | None]:
    """Settle everything that comes before the sweep, for the model and the recipe's baseline if there is one.

    ``baseline`` is the opened baseline, in place of the recipe's URI. It is the baseline for which the recipe ``auto``
    chooses its tests, so that they stay the same for every model that is judged against it.
    """
    if recipe.baseline is None:
        return prepare(model, X, y, recipe, **given), None
    alone = recipe.model_copy(update={"gate": None, "baseline": None, "log_examples": "none"})
    theirs = prepare(baseline or recipe.baseline, X, y, alone, **given)
    kept = {key: getattr(recipe, key) for key in ("gate", "baseline", "log_examples")}
    return prepare(model, X, y, theirs.recipe.model_copy(update=kept), **given), theirs


def with_verdict(result: Result, recipe: Recipe, baseline: Result | None) -> Result:
    """Judge a result by the recipe's gate; ``baseline`` was evaluated on the same rows."""
    if recipe.gate is None:
        return result
    theirs = None if baseline is None else _on_same_data(baseline, result)
    return result.model_copy(update={"verdict": judge(result, recipe.gate, theirs)})


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
    same._score_table = _relabelled(theirs, {"data_sha256": result.data_sha256})
    return same


def _relabelled(table: ScoreTable, metadata: Mapping[str, Any]) -> ScoreTable:
    found = copy.copy(table)
    found.metadata = {**table.metadata, **metadata}
    return found
