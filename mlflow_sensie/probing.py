"""The conductor: recipe + model + examples → result."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlflow_sensie.auto import MOST_EXAMPLES, choose
from mlflow_sensie.dataset import CHUNK, Examples, make_examples
from mlflow_sensie.errors import DataError, EvaluationIncomplete, ModelError, RecipeError, SensieError
from mlflow_sensie.gallery import make_galleries
from mlflow_sensie.inference import Interval, Posterior, category_test, perturbation_test, property_test
from mlflow_sensie.models import Model, Predictions, open_model
from mlflow_sensie.moments import Moments
from mlflow_sensie.perturbations.base import fresh_copy
from mlflow_sensie.plan import Plan, align_by_key, make_plan, read_property_table, stratified_sample
from mlflow_sensie.plugins import load_target
from mlflow_sensie.recipe import capped_log_examples, load_recipe
from mlflow_sensie.recipe_model import AbsoluteDrop, PerturbationSpec, Recipe
from mlflow_sensie.result import Kind, Result, ScoreInfo, TestResult
from mlflow_sensie.scores import CLEAN, EXPECTED, ScoreTable, property_column, score_column
from mlflow_sensie.scoring import REGRESSION, Scorer, Targets, settle_scorer
from mlflow_sensie.survey import PredictedProperty, PropertyData, data_digest
from mlflow_sensie.sweep import Sweep, SweepTest, predict_in_calls

CLASS = "class"
FLAGS = {
    "few_informative": "few examples are informative, so pseudo-scores at the score's bounds widen the interval",
    "few_for_holds_until": "too few examples for a tight bound on 'holds until'; it is widened by pseudo-curves",
    "few_examples": "fewer than 60 examples: look at the guarded and the plain interval in the report",
    "small_levels": "some levels have fewer than 5 examples",
}


def probe(
    model: Any,
    X: Any,
    y: Any = None,
    recipe: Any = "auto",
    *,
    task: str | None = None,
    metadata: pd.DataFrame | None = None,
    allow_code: bool = False,
) -> Result:
    """Measure what a model is sensitive to, without a tracking server.

    ``model``: an estimator, a Keras model, a pyfunc model, a model URI, or a function inputs → probabilities
    or predictions. ``X``: (n, ...) array or frame; columns that are no model inputs may be properties.
    ``y``: (n,) labels or values, or one-hot. ``recipe``: a mapping, a shipped name, a path, or ``"auto"``.
    ``task``: ``classifier`` or ``regressor`` where it cannot be told. ``metadata``: a frame of n rows with
    further columns for properties. ``allow_code`` trusts ``module:function`` in a recipe file.

    Raises:
        RecipeError, DataError, ModelError: what came cannot be evaluated; nothing was computed.
        EvaluationIncomplete: some tests failed and the recipe does not say ``on_error: record``; the
            exception's ``result`` holds all the others.
    """
    result = evaluate(model, X, y, load_recipe(recipe, allow_code=allow_code), task=task, metadata=metadata)
    if result.failed and result.recipe["on_error"] == "raise":
        raise EvaluationIncomplete(failure_text(result), result)
    return result


def failure_text(result: Result) -> str:
    """Say which tests failed, and why."""
    errors = "\n".join(f"- {error}" for error in result.failed.values())
    count = f"{len(result.failed)} of {len(result.tests)} tests failed"
    return f"{count} (on_error: record goes on without raising):\n{errors}"


def evaluate(
    model: Any,
    X: Any,
    y: Any,
    recipe: Recipe,
    *,
    task: str | None = None,
    metadata: pd.DataFrame | None = None,
    columns: tuple[str, ...] | None = None,
) -> Result:
    """Run a recipe and return its result, failed tests among it; see ``probe`` for the arguments.

    ``columns`` names the features of an array X.
    """
    started = time.monotonic()
    recipe = recipe.model_copy(update={"log_examples": capped_log_examples(recipe.log_examples)})
    settled = settle(model, X, y, recipe, task=task, metadata=metadata, columns=columns)
    opened, recipe, examples = settled.model, settled.recipe, settled.examples
    plan = settled.plan
    first = _first_predictions(opened, examples, recipe)
    scorer, targets = settle_scorer(opened, first, examples.targets, recipe)
    properties = [*plan.properties, *([_class_levels(scorer, targets)] if recipe.class_test else [])]
    if plan.predicted and scorer.probabilities is None:
        raise ModelError(
            f"property {plan.predicted[0].name!r} needs class probabilities, which the model does not give"
        )
    sweep = Sweep(
        opened, scorer, targets, examples, plan.tests, properties, plan.predicted,
        recipe.batch_size, recipe.seed, recipe.missing,
    )  # fmt: skip
    with _Bar(sweep.n_predictions) as bar:
        sweep.progress = bar
        table = sweep.run()
    digest = data_digest(examples, properties)
    table.metadata = _table_metadata(recipe, scorer, plan, digest)
    tests = _infer(recipe, scorer, plan, properties, sweep, table)
    result = _result(
        recipe, opened, scorer, examples, tests, table, digest, settled.choices, sweep.n_predictions, started
    )
    if recipe.log_examples == "full":
        result._galleries = make_galleries(sweep, plan.survey, table, [name for name in tests if tests[name].ok])
    return result


# --- before the sweep --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Settled:
    """What loose input comes to: a model, examples, a recipe with every choice written out, and its plan."""

    model: Model
    examples: Examples
    recipe: Recipe
    plan: Plan
    choices: tuple[str, ...]


def settle(
    model: Any,
    X: Any,
    y: Any,
    recipe: Recipe,
    *,
    task: str | None = None,
    metadata: pd.DataFrame | None = None,
    columns: tuple[str, ...] | None = None,
) -> Settled:
    """Open the model, make the examples, choose what the recipe leaves open, and plan every test."""
    custom_score = callable(recipe.score) or ":" in str(recipe.score or "")
    opened = open_model(model, task=task, plain_predict=custom_score or recipe.output == "labels")
    opened = replace(opened, preprocess=_function(recipe.preprocess))
    recipe, examples = _prepare(opened, X, y, recipe, metadata, columns)
    choices: tuple[str, ...] = ()
    if recipe.recipe == "auto" and not {"properties", "perturbations"} <= recipe.model_fields_set:
        recipe, choices = choose(recipe, examples, opened)
    if not recipe.n_tests:
        raise RecipeError("the recipe has no tests; name properties, perturbations or class_test")
    return Settled(opened, examples, recipe, make_plan(recipe, examples), choices)


def _prepare(
    model: Model,
    X: Any,
    y: Any,
    recipe: Recipe,
    metadata: pd.DataFrame | None,
    columns: tuple[str, ...] | None,
) -> tuple[Recipe, Examples]:
    """Turn loose input into examples, with the property table beside them, sampled where the recipe says so."""
    table, key = (None, None) if recipe.property_table is None else read_property_table(recipe.property_table)
    said, signed = recipe.input_shape, model.schema.shape
    if said and signed and len(signed) > 1 and said != signed:
        raise DataError(f"input_shape {said} came, but the model's signature says {signed}")
    examples = make_examples(
        X, y,
        metadata=[more for more in (metadata, table if key is None else None) if more is not None],
        kind=recipe.kind,
        input_shape=said or (signed if signed and len(signed) > 1 else None),
        layout=recipe.layout,
        features=model.schema.names,
        wants_array=model.wants_array,
        flat=signed is not None and len(signed) == 1,
        names=columns,
    )  # fmt: skip
    if key is not None and table is not None:
        examples = examples.with_metadata(align_by_key(table, key, examples.column(key)))
    size = recipe.max_examples or (MOST_EXAMPLES if recipe.recipe == "auto" else None)
    if size is not None and size < len(examples):
        examples = examples.take(stratified_sample(examples.targets, size, recipe.seed))
    return recipe.model_copy(update={"max_examples": size}), examples


def _function(target: Any) -> Callable[[Any], Any] | None:
    found: Callable[[Any], Any] | None = load_target(target) if isinstance(target, str) else target
    return found


def _first_predictions(model: Model, examples: Examples, recipe: Recipe) -> Predictions:
    """Predict the first chunk, unperturbed: what comes out decides how the model is scored."""
    inputs = fresh_copy(examples.take(slice(0, CHUNK)).inputs)
    try:
        return predict_in_calls(model, inputs, recipe.batch_size)
    except SensieError:
        raise
    except Exception as error:
        text = f"the model failed on the unperturbed examples: {type(error).__name__}: {error}"
        raise ModelError(text) from error


def _class_levels(scorer: Scorer, targets: Targets) -> PropertyData:
    """The classes as a category; a class that no example has is left out."""
    labels = targets.values if targets.classes is None else np.asarray(targets.classes, dtype=object)[targets.values]
    numbers, found = pd.factorize(pd.Series(labels), sort=all(isinstance(label, type(labels[0])) for label in labels))
    numeric = targets.classes is None and (targets.values.dtype.kind == "f" or len(found) > 1000)
    if scorer.kind in REGRESSION or numeric:
        raise DataError("class_test: the targets are numbers, not classes; leave class_test out for a regressor")
    if len(found) < 2:
        raise DataError(f"class_test: all targets are {found[0]!r}; at least two classes are needed")
    return PropertyData(CLASS, CLASS, "", numbers.astype(np.int64), tuple(map(str, found)))


def _table_metadata(recipe: Recipe, scorer: Scorer, plan: Plan, digest: str) -> dict[str, Any]:
    return {
        "score": scorer.kind,
        "data_sha256": digest,
        "recipe_sha256": recipe.digest(),
        "tests": {test.slug: {"name": test.name, "magnitudes": list(test.magnitudes)} for test in plan.tests},
    }


class _Bar:
    """One progress bar over predictions; quiet when not a terminal, or with MLFLOW_SENSIE_PROGRESS=0."""

    def __init__(self, total: int) -> None:
        from tqdm import tqdm

        asked = os.environ.get("MLFLOW_SENSIE_PROGRESS", "auto")
        quiet = asked == "0" or (asked != "1" and not sys.stderr.isatty())
        self._bar = tqdm(total=total, desc="sensie", unit=" predictions", unit_scale=True, disable=quiet)

    def __enter__(self) -> _Bar:
        return self

    def __call__(self, predicted: int, what: str) -> None:
        self._bar.set_postfix_str(what, refresh=False)
        self._bar.update(predicted)

    def __exit__(self, *exception: object) -> None:
        self._bar.close()


# --- after the sweep ---------------------------------------------------------------------------------------


def _infer(
    recipe: Recipe, scorer: Scorer, plan: Plan, properties: list[PropertyData], sweep: Sweep, table: ScoreTable
) -> dict[str, TestResult]:
    """Every test by name: properties in the recipe's order, the class test, then the perturbations."""
    by_property = {each.name: _infer_property(each, recipe, scorer, table) for each in properties}
    by_property |= {each.name: _infer_predicted(each, recipe, scorer, table) for each in plan.predicted}
    order = [*(spec.name for spec in recipe.properties), *([CLASS] if recipe.class_test else [])]
    found = {name: by_property[name] for name in order}
    for spec, test in zip(recipe.perturbations, plan.tests, strict=True):
        failure = sweep.failures.get(test.slug)
        found[test.name] = _infer_perturbation(spec, test, recipe, scorer, table, str(failure) if failure else None)
    return found


def _infer_predicted(prop: PredictedProperty, recipe: Recipe, scorer: Scorer, table: ScoreTable) -> TestResult:
    """A property of the predictions may turn out to be constant: then this test fails, not the evaluation."""
    try:
        settled = prop.settle(pd.Series(table.column(property_column(prop.slug))))
    except DataError as error:
        return TestResult(name=prop.name, slug=prop.slug, kind="property", error=str(error))
    return _infer_property(settled, recipe, scorer, table)


def _infer_property(prop: PropertyData, recipe: Recipe, scorer: Scorer, table: ScoreTable) -> TestResult:
    column, rope = property_column(prop.slug), recipe.inference.rope

    def levels() -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        for block in table.blocks([column, CLEAN]):
            yield block[column], block[CLEAN]

    def numbers() -> Iterator[tuple[NDArray[Any], NDArray[Any], NDArray[Any] | None]]:
        expected = [EXPECTED] if EXPECTED in table.columns else []
        for block in table.blocks([column, CLEAN, *expected]):
            yield block[column], block[CLEAN], block.get(EXPECTED)

    kind: Kind = "property" if prop.levels is None else "class" if prop.name == CLASS else "category"
    merged = (f"{prop.merged + 1} levels under 1 % of the examples are merged",) if prop.merged else ()
    try:
        if prop.levels is not None:
            fit: Any = category_test(levels, scorer.scale, levels=prop.levels, rope=rope)
        else:
            assert prop.span is not None
            fit = property_test(numbers, scorer.scale, edges=prop.edges, unique=prop.unique, span=prop.span, rope=rope)
    except ValueError as error:  # e.g. one level is left where missing scores are dropped
        text = f"test {prop.name!r}: {error}"
        return TestResult(name=prop.name, slug=prop.slug, kind=kind, unit=prop.unit, error=text)
    return _test(prop.name, prop.slug, kind, prop.unit, fit, merged)


def _infer_perturbation(
    spec: PerturbationSpec,
    test: SweepTest,
    recipe: Recipe,
    scorer: Scorer,
    table: ScoreTable,
    failure: str | None,
) -> TestResult:
    unit = test.perturbation.unit
    if failure is not None:
        return TestResult(name=test.name, slug=test.slug, kind="perturbation", unit=unit, error=failure)
    columns = [CLEAN, *(score_column(test.slug, index) for index in range(len(test.magnitudes)))]
    drop = spec.allowed_drop or recipe.allowed_drop

    def scores() -> Iterator[NDArray[np.float64]]:
        for block in table.blocks(columns):
            yield np.column_stack([block[name] for name in columns])

    try:
        fit = perturbation_test(
            scores,
            scorer.scale,
            magnitudes=test.magnitudes,
            neutral=test.perturbation.neutral,
            log_distance=test.perturbation.log_distance,
            allowed_drop=("absolute", drop.absolute) if isinstance(drop, AbsoluteDrop) else drop,
            rope=recipe.inference.rope,
        )
    except ValueError as error:  # e.g. too few examples are left where missing scores are dropped
        text = f"test {test.name!r}: {error}"
        return TestResult(name=test.name, slug=test.slug, kind="perturbation", unit=unit, error=text)
    return _test(test.name, test.slug, "perturbation", unit, fit)


def _test(name: str, slug: str, kind: Any, unit: str, fit: Any, more: tuple[str, ...] = ()) -> TestResult:
    warnings = [FLAGS[flag] for flag in fit.flags if flag in FLAGS]  # the counts say the others
    if fit.n_dropped:
        left_out = f"{fit.n_dropped} examples with a missing score are left out"
        warnings.append(f"{left_out}; if scores are missing because they would be low, the loss is larger")
    if getattr(fit, "n_missing", 0):
        warnings.append(f"the property is missing for {fit.n_missing} examples: a bin of their own, outside the slope")
    return TestResult(name=name, slug=slug, kind=kind, unit=unit, fit=fit, warnings=(*more, *warnings))


def _result(
    recipe: Recipe, model: Model, scorer: Scorer, examples: Examples, tests: dict[str, TestResult],
    table: ScoreTable, digest: str, choices: tuple[str, ...], n_predictions: int, started: float,
) -> Result:  # fmt: skip
    result = Result(
        version=version("mlflow-sensie"),
        score=ScoreInfo(
            kind=scorer.kind, lower=scorer.scale.lower, upper=scorer.scale.upper, unit=scorer.scale.unit,
            source=scorer.source,
        ),
        n=len(examples),
        clean=_clean_score(table),
        tests=tests,
        recipe=recipe.to_plain(),
        recipe_yaml=recipe.to_yaml(),
        recipe_sha256=recipe.digest(),
        data_sha256=digest,
        model_name=model.name,
        choices=choices,
        warnings=scorer.warnings,
        n_predictions=n_predictions,
        seconds=time.monotonic() - started,
        prefix=recipe.prefix,
    )  # fmt: skip
    result._score_table = table
    return result


def _clean_score(table: ScoreTable) -> Interval:
    """Mean clean score with its t intervals."""
    sums = Moments.empty(1)
    for block in table.blocks([CLEAN]):
        kept = block[CLEAN][np.isfinite(block[CLEAN])]
        sums += Moments.of(kept[:, None])
    if sums.n < 2:
        raise DataError(f"only {sums.n} examples have a score; at least two are needed")
    variance = float(sums.scatter[0, 0]) / (sums.n - 1)
    return Posterior(float(sums.mean[0]), (variance / sums.n) ** 0.5, float(sums.n - 1)).summary()
