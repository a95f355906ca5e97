"""From loose input to what can be run: a model, examples, a recipe with every choice written out, a plan."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlflow_sensie.data.examples import CHUNK, Examples, Takes, TargetsAs, make_examples
from mlflow_sensie.data.lazy_rows import LazyRows
from mlflow_sensie.data.sources import Data
from mlflow_sensie.errors import DataError, RecipeError
from mlflow_sensie.evaluation.auto import MOST_EXAMPLES, choose
from mlflow_sensie.evaluation.engines import check_engine
from mlflow_sensie.evaluation.neutral import is_open
from mlflow_sensie.evaluation.plan import Plan, align_by_key, make_plan, read_property_table
from mlflow_sensie.evaluation.stopping import stratified_sample
from mlflow_sensie.models.model import Model, open_model
from mlflow_sensie.models.recorded import as_positions, recorded_model, separate_predictions
from mlflow_sensie.plugins import load_target
from mlflow_sensie.recipe.model import Recipe
from mlflow_sensie.recipe.values import score_function
from mlflow_sensie.scores.kinds import AGREEMENT

TEXT_WORDS = 3  # words per cell, on average, from which strings are texts rather than categories


@dataclass(frozen=True)
class EvaluationRequest:
    """What a door asks for: a model on data, by a recipe.

    ``model`` is whatever predicts, ``None`` where ``data`` holds recorded predictions. ``task`` is ``classifier`` or
    ``regressor``, where it cannot be told; ``columns`` names the features of an array.
    """

    model: Any
    data: Data
    recipe: Recipe
    task: str | None = None
    columns: tuple[str, ...] | None = None


@dataclass(frozen=True)
class ResolvedInputs:
    """What a request comes to: a model, examples, a recipe with every choice written out, and its plan.

    ``model_examples`` are the examples as the model is given them: others than ``examples`` where predictions are
    recorded. ``reopen`` opens the model once more, in another process say.
    """

    model: Model
    examples: Examples
    recipe: Recipe
    plan: Plan
    choices: tuple[str, ...]
    model_examples: Examples
    reopen: Callable[[], Model]

    @property
    def recorded(self) -> bool:
        """Whether predictions are there already, so that no model is asked."""
        return self.model_examples is not self.examples


def resolve(request: EvaluationRequest) -> ResolvedInputs:
    """Open the model, make the examples, choose what the recipe leaves open, and plan every test.

    Raises:
        RecipeError, DataError, ModelError: the parts do not fit together; the message says what to change.
    """
    model, recipe, task = request.model, request.recipe, request.task
    check_engine(recipe)
    if task not in (None, "classifier", "regressor"):
        raise RecipeError(f"task: 'classifier' or 'regressor', or None where it can be told; {task!r} came")
    if model is None:
        return _resolve_recorded(replace(request, data=separate_predictions(request.data, recipe)))
    if request.data.predictions is not None or isinstance(recipe.predictions, tuple):
        raise RecipeError("recorded predictions came, and a model as well; pass one of them (model=None)")
    if recipe.output == "score":
        raise RecipeError("output: score is for recorded predictions (model=None); give a model a score function")
    reopen = functools.partial(_open, model, recipe, task)
    opened = reopen()
    recipe, examples, _ = _examples_of(opened, request)
    return _planned(opened, reopen, recipe, examples, examples)


def _open(model: Any, recipe: Recipe, task: str | None) -> Model:
    """Open a model as the recipe wants it to be asked."""
    custom_score = score_function(recipe.score) is not None
    opened = open_model(model, task=task, plain_predict=custom_score or recipe.output == "labels")
    usual = None if custom_score else opened.usual
    assert not isinstance(recipe.predictions, tuple)  # of recorded ones
    return replace(
        opened, preprocess=_function(recipe.preprocess), pick=recipe.predictions, usual=usual, as_returned=custom_score
    )


def _resolve_recorded(request: EvaluationRequest) -> ResolvedInputs:
    """Resolve what can be said of predictions that are there already."""
    model = recorded_model(request.data.predictions, request.task)
    recipe, examples, positions = _examples_of(model, request)
    return _planned(model, lambda: model, recipe, examples, as_positions(examples, positions))


def _planned(
    model: Model, reopen: Callable[[], Model], recipe: Recipe, examples: Examples, model_examples: Examples
) -> ResolvedInputs:
    choices: tuple[str, ...] = ()
    if recipe.recipe == "auto" and not {"properties", "perturbations"} <= recipe.model_fields_set:
        recipe, choices = choose(recipe, examples, model if model_examples is examples else None)
    if not recipe.n_tests:
        raise RecipeError("the recipe has no tests; name properties, perturbations or class_test")
    if recipe.score == AGREEMENT:
        _refuse_tests_of_clean_scores(recipe)
    plan = make_plan(recipe, examples)
    return ResolvedInputs(model, examples, _with_geometry(recipe, plan), plan, choices, model_examples, reopen)


def _refuse_tests_of_clean_scores(recipe: Recipe) -> None:
    if recipe.properties or recipe.class_test:
        asked = f"property {recipe.properties[0].name!r} has" if recipe.properties else "class_test has"
        raise RecipeError(
            f"score: {AGREEMENT} is 1 for every unperturbed example, so {asked} nothing to show; to see perturbations "
            "by a column, name it in 'slices'"
        )


def _with_geometry(recipe: Recipe, plan: Plan) -> Recipe:
    """Write out default magnitudes and neutrals that were found, so that the recipe stays what it is."""
    written = []
    for spec, test in zip(recipe.perturbations, plan.tests, strict=True):
        default = tuple(sorted(map(float, test.perturbation.default_magnitudes)))
        found = test.perturbation.neutral if is_open(test, spec.neutral) else spec.neutral
        written.append(spec.model_copy(update={"magnitudes": spec.magnitudes or default, "neutral": found}))
    return recipe.model_copy(update={"perturbations": tuple(written)})


def _examples_of(model: Model, request: EvaluationRequest) -> tuple[Recipe, Examples, NDArray[np.intp]]:
    """Turn data into examples, with the property table beside them, sampled where the recipe says so.

    Also return the recipe with the sample's size, and the examples' positions (n,) in the data.
    """
    data, recipe = request.data, request.recipe
    table, key = (None, None) if recipe.property_table is None else read_property_table(recipe.property_table)
    signed = model.schema.shape
    takes: Takes = "array" if model.wants_array else "frame"
    examples = make_examples(
        data,
        kind=recipe.kind or ("text" if model.schema.texts else None),
        input_shape=_input_shape(recipe, signed),
        layout=recipe.layout,
        takes="rows" if model.wants_array and signed is not None and len(signed) == 1 else takes,
        features=_features(model, data.inputs),
        names=request.columns,
        targets=_targets_wanted(recipe),
    )
    if table is not None:
        examples = examples.with_metadata(table if key is None else align_by_key(table, key, examples.column(key)))
    size = recipe.max_examples or (MOST_EXAMPLES if recipe.recipe == "auto" else None)
    positions = np.arange(len(examples))
    if size is not None and size < len(examples):
        strata = np.zeros(len(examples)) if examples.labels is None else examples.labels
        positions = stratified_sample(strata, size, recipe.seed)
        examples = examples.select(positions)
    return recipe.model_copy(update={"max_examples": size}), examples, positions


def _targets_wanted(recipe: Recipe) -> TargetsAs:
    if recipe.score == AGREEMENT:
        return "labels or none"
    return "labels" if score_function(recipe.score) is None else "any"


def _input_shape(recipe: Recipe, signed: tuple[int, ...] | None) -> tuple[int, ...] | None:
    """The shape of one example, by the recipe or else by the model's signature."""
    shape = recipe.input_shape
    # With `preprocess` the signature is of what that makes of the data.
    if shape and signed and len(signed) > 1 and shape != signed and recipe.preprocess is None:
        raise DataError(f"input_shape {shape} came, but the model's signature says {signed}")
    return shape or (signed if signed and len(signed) > 1 else None)


def _features(model: Model, X: Any) -> tuple[str, ...] | None:
    """The columns of a frame that are the model's inputs, where what it takes tells; ``None`` for all of them."""
    names = model.schema.names
    X = X.take(slice(0, CHUNK)) if isinstance(X, LazyRows) else X
    if not isinstance(X, pd.DataFrame):
        return names
    if names and set(names) <= set(map(str, X.columns)):
        by_name = set(names) if model.schema.tensors else set()  # then their order is free, and the data's is kept
        return tuple(str(name) for name in X.columns if str(name) in by_name) or names
    if model.schema.texts and X.shape[1] > 1:
        strings = [str(name) for name in X.columns if pd.api.types.is_string_dtype(X[name])]
        words = {name: np.mean([len(str(cell).split()) for cell in X[name]]) for name in strings}
        texts = strings if len(strings) == 1 else [name for name in strings if words[name] >= TEXT_WORDS]
        return _exactly(texts, 1, "column of texts", X)
    shape = model.schema.shape
    if model.wants_array and shape is not None and len(shape) == 1 < X.shape[1] > shape[0]:
        numbers = [str(name) for name in X.columns if pd.api.types.is_numeric_dtype(X[name])]
        return _exactly(numbers, shape[0], "columns of numbers", X)
    return None


def _exactly(names: list[str], wanted: int, what: str, X: pd.DataFrame) -> tuple[str, ...]:
    if len(names) != wanted:
        came = ", ".join(map(str, X.columns[:20]))
        raise DataError(
            f"the model takes {wanted} {what}, and the data has {len(names)} among its columns {came}; pass the inputs "
            "alone and the others in property_table, or log the model with a signature that names its columns"
        )
    return tuple(names)


def _function(target: Any) -> Callable[[Any], Any] | None:
    function: Callable[[Any], Any] | None = load_target(target) if isinstance(target, str) else target
    return function
