"""The conductor: recipe + model + examples → result."""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd

from mlflow_sensie.data.examples import CHUNK
from mlflow_sensie.data.identity import Digests, digests_of
from mlflow_sensie.data.sources import as_data
from mlflow_sensie.data.types import fresh_copy
from mlflow_sensie.errors import DataError, EvaluationIncomplete, ModelError, SensieError
from mlflow_sensie.evaluation.checkpoint import Checkpoint, folder_of
from mlflow_sensie.evaluation.engines import apply_engine
from mlflow_sensie.evaluation.first_failures import first_to_fall
from mlflow_sensie.evaluation.fitting import CLASS, allowed_drop, clean_score, infer, when_precise
from mlflow_sensie.evaluation.gallery import make_galleries
from mlflow_sensie.evaluation.inputs import ResolvedInputs, settle
from mlflow_sensie.evaluation.plan import Plan
from mlflow_sensie.evaluation.predict_calls import predict_in_calls
from mlflow_sensie.evaluation.progress import Bar
from mlflow_sensie.evaluation.property_data import PropertyData
from mlflow_sensie.evaluation.roles import Roles, target_slices
from mlflow_sensie.evaluation.slices import infer_interactions, infer_slices
from mlflow_sensie.evaluation.stopping import Stopping, strata_of, stratified_order
from mlflow_sensie.evaluation.sweep import Sweep
from mlflow_sensie.inference.multiplicity import several
from mlflow_sensie.inference.pymc_engine import Sampled
from mlflow_sensie.models.outputs import Predictions
from mlflow_sensie.recipe.model import Recipe, SliceSpec
from mlflow_sensie.recipe.reading import capped_log_examples, load_recipe
from mlflow_sensie.result import Interaction, Result, ScoreInfo, SliceColumn, TestResult
from mlflow_sensie.scores.scorer import Scorer, Targets, resolve_scorer
from mlflow_sensie.scores.table import ScoreTable


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
    ``y``: (n,) labels or values, or one-hot. ``recipe``: a mapping, a shipped name, a path, or ``"auto"``.
    ``task``: ``classifier`` or ``regressor`` where it cannot be told. ``metadata``: a frame of n rows with
    further columns for properties. ``predictions``: (n,) or (n, K), or a frame of K columns. ``allow_code`` trusts
    ``module:function`` in a recipe file. With a ``gate`` in the recipe the result has its verdict.

    Raises:
        RecipeError, DataError, ModelError: what came cannot be evaluated; nothing was computed.
        EvaluationIncomplete: some tests failed and the recipe does not say ``on_error: record``; the
            exception's ``result`` holds all the others.
    """
    data = as_data(X, y, metadata)
    data = data if predictions is None else replace(data, predictions=predictions)
    return complete(evaluate(model, data, None, load_recipe(recipe, allow_code=allow_code), task=task))


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


@dataclass(frozen=True)
class Prepared:
    """An evaluation that is ready to run: what was settled, how predictions are scored, whose data it is.

    ``first`` is what the model predicts of the first chunk.
    """

    settled: ResolvedInputs
    scorer: Scorer
    targets: Targets
    properties: tuple[PropertyData, ...]
    roles: Roles
    digests: Digests
    first: Predictions

    @property
    def data_sha256(self) -> str:
        """The digest of the data, properties included."""
        return self.digests.data

    @property
    def recipe(self) -> Recipe:
        """The recipe with every choice written out."""
        return self.settled.recipe


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
    if recipe.gate is not None:
        from mlflow_sensie.gate.evaluating import evaluate_and_judge

        return evaluate_and_judge(model, X, y, recipe, task=task, metadata=metadata, columns=columns)
    return run(prepare(model, X, y, recipe, task=task, metadata=metadata, columns=columns))


def prepare(
    model: Any,
    X: Any,
    y: Any,
    recipe: Recipe,
    *,
    task: str | None = None,
    metadata: pd.DataFrame | None = None,
    columns: tuple[str, ...] | None = None,
) -> Prepared:
    """Settle everything that comes before the sweep; nothing is predicted but the first chunk, unperturbed."""
    recipe = recipe.model_copy(update={"log_examples": capped_log_examples(recipe.log_examples)})
    settled = settle(model, X, y, recipe, task=task, metadata=metadata, columns=columns)
    recipe, plan, examples = settled.recipe, settled.plan, settled.examples
    first = _first_predictions(settled, recipe)
    scorer, targets = resolve_scorer(settled.model, first, examples.targets, recipe)
    properties = (*plan.properties, *([_class_levels(scorer, targets)] if recipe.class_test else []))
    roles = _with_target_slices(plan.roles, recipe, scorer, targets)
    by_target = [each.name for each in roles.slices[len(plan.roles.slices) :]]
    recipe = recipe.model_copy(update={"slices": recipe.slices or tuple(SliceSpec(target=True) for _ in by_target)})
    if plan.predicted and scorer.probabilities is None:
        raise ModelError(
            f"property {plan.predicted[0].name!r} needs class probabilities, which the model does not give"
        )
    digests = digests_of(examples, roles.identity(), {prop.name: prop.column() for prop in properties})
    return Prepared(replace(settled, recipe=recipe), scorer, targets, properties, roles, digests, first)


def run(prepared: Prepared) -> Result:
    """Sweep, and infer what the score table tells."""
    started = time.monotonic()
    scorer, roles, properties = prepared.scorer, prepared.roles, prepared.properties
    recipe, plan = prepared.recipe, prepared.settled.plan
    sweep = sweep_of(prepared)
    with Bar(len(sweep.examples), sweep.n_planned, may_stop=sweep.stopping.order is not None) as bar:
        sweep.progress = bar
        table = sweep.run()
        bar.finish(sweep.savings)
    table.metadata = _table_metadata(recipe, scorer, plan, prepared.data_sha256)
    infer_part = functools.partial(infer, recipe, scorer, plan, properties, sweep)
    tests, sampled = apply_engine(recipe, infer_part(table))
    tests = _with_flips(tests, recipe, plan, scorer, table)
    result = _result(
        prepared, tests, table, sweep, started,
        infer_slices(roles.slices, table, scorer.scale, infer_part),
        infer_interactions(recipe, plan, properties, tests, table, scorer),
    )  # fmt: skip
    if sampled is not None:
        result = _with_draws(result, sampled)
    if recipe.log_examples == "full":
        result._galleries = make_galleries(sweep, plan.survey, table, [name for name in tests if tests[name].ok])
    return result


def sweep_of(prepared: Prepared) -> Sweep:
    """The sweep of an evaluation, ready to run.

    Raises:
        DataError: the recipe's checkpoint was begun with another model.
    """
    settled, scorer, targets, roles = prepared.settled, prepared.scorer, prepared.targets, prepared.roles
    opened, recipe, examples, plan = settled.model, settled.recipe, settled.asked, settled.plan
    return Sweep(
        opened, scorer, targets, examples, plan.tests, prepared.properties, plan.predicted,
        recipe.batch_size, recipe.seed, recipe.missing, roles.columns(), _stopping(recipe, scorer, targets, plan),
        recipe.calibration and scorer.announces, checkpoint=_checkpoint(prepared),
    )  # fmt: skip


def _checkpoint(prepared: Prepared) -> Checkpoint | None:
    """Where the recipe wants the work to be kept; recorded predictions are kept already."""
    recipe, settled = prepared.recipe, prepared.settled
    if recipe.checkpoint is None or settled.asked is not settled.examples:
        return None
    model = settled.model.model_uuid or settled.model.name
    found = Checkpoint(folder_of(recipe, prepared.data_sha256, model, version("mlflow-sensie")))
    found.agree(prepared.scorer(prepared.first, prepared.targets.values[: len(prepared.first.values)]))
    return found


def _first_predictions(settled: ResolvedInputs, recipe: Recipe) -> Predictions:
    """Predict the first chunk, unperturbed: what comes out decides how the model is scored. Recorded: all of them."""
    first = slice(0, CHUNK if settled.asked is settled.examples else None)
    inputs = fresh_copy(settled.asked.take(first).inputs)
    try:
        return predict_in_calls(settled.model, inputs, recipe.batch_size)
    except SensieError:
        raise
    except Exception as error:
        text = f"the model failed on the unperturbed examples: {type(error).__name__}: {error}"
        raise ModelError(text) from error


def _with_flips(
    tests: dict[str, TestResult], recipe: Recipe, plan: Plan, scorer: Scorer, table: ScoreTable
) -> dict[str, TestResult]:
    """The examples that each perturbation upsets first, as far as the recipe allows to show them."""
    if recipe.log_examples == "none":
        return tests
    found = dict(tests)
    for spec, test in zip(recipe.perturbations, plan.tests, strict=True):
        if (fit := tests[test.name].fit) is not None:
            flips = first_to_fall(
                test, fit, table, allowed_drop(spec, recipe),
                fractional=scorer.scale.fractional, targets=recipe.log_examples == "full",
            )  # fmt: skip
            found[test.name] = tests[test.name].model_copy(update={"flips": flips})
    return found


def _with_target_slices(roles: Roles, recipe: Recipe, scorer: Scorer, targets: Targets) -> Roles:
    classes = scorer.kind.task != "regressor" and (targets.classes is not None or targets.values.dtype.kind != "f")
    return replace(roles, slices=(*roles.slices, *target_slices(recipe, _labels(targets), classes=classes)))


def _labels(targets: Targets) -> pd.Series[Any]:
    named = targets.classes is not None
    return pd.Series(np.asarray(targets.classes, dtype=object)[targets.values] if named else targets.values)


def _class_levels(scorer: Scorer, targets: Targets) -> PropertyData:
    """The classes as a category; a class that no example has is left out."""
    labels = _labels(targets)
    numbers, found = pd.factorize(labels, sort=all(isinstance(label, type(labels[0])) for label in labels))
    numeric = targets.classes is None and (targets.values.dtype.kind == "f" or len(found) > 1000)
    if scorer.kind.task == "regressor" or numeric:
        raise DataError("class_test: the targets are numbers, not classes; leave class_test out for a regressor")
    if len(found) < 2:
        raise DataError(f"class_test: all targets are {found[0]!r}; at least two classes are needed")
    return PropertyData(CLASS, CLASS, "", numbers.astype(np.int64), tuple(map(str, found)))


def _stopping(recipe: Recipe, scorer: Scorer, targets: Targets, plan: Plan) -> Stopping:
    """When the sweep may stop. Only where it may are the examples put into an order of their own."""
    width, seconds = recipe.precision, recipe.time_budget
    if width is None and seconds is None:
        return Stopping()
    precise = None if width is None else when_precise(width, recipe, scorer, plan)
    return Stopping(stratified_order(strata_of(targets), recipe.seed), precise, seconds)


def _not_followed(recipe: Recipe, scorer: Scorer) -> tuple[str, ...]:
    """Say where calibration was asked for and the score is none that a model announces."""
    if not recipe.calibration or scorer.announces:
        return ()
    return (
        f"calibration: the score is {scorer.kind.name!r}, of which no model says what to expect; it needs probability",
    )


def _table_metadata(recipe: Recipe, scorer: Scorer, plan: Plan, digest: str) -> dict[str, Any]:
    return {
        "score": scorer.kind.name,
        "data_sha256": digest,
        "recipe_sha256": recipe.digest(),
        "tests": {test.slug: {"name": test.name, "magnitudes": list(test.magnitudes)} for test in plan.tests},
    }


def _result(
    prepared: Prepared, tests: dict[str, TestResult], table: ScoreTable, sweep: Sweep, started: float,
    slices: tuple[SliceColumn, ...], interactions: tuple[Interaction, ...],
) -> Result:  # fmt: skip
    settled, scorer, recipe = prepared.settled, prepared.scorer, prepared.recipe
    clean = clean_score(table, scorer.scale)
    result = Result(
        version=version("mlflow-sensie"),
        score=ScoreInfo(
            kind=scorer.kind.name, lower=scorer.scale.lower, upper=scorer.scale.upper, unit=scorer.scale.unit,
            source=scorer.source,
        ),
        n=len(table),
        clean=clean.plain.summary(),
        clean_known=clean,
        tests=tests,
        several=several(
            [test.fit for test in tests.values() if test.ok], recipe.n_tests, family=recipe.inference.family
        ),
        slices=slices,
        interactions=interactions,
        recipe=recipe.to_plain(),
        recipe_yaml=recipe.to_yaml(),
        recipe_sha256=recipe.digest(),
        data_sha256=prepared.data_sha256,
        examples_sha256=prepared.digests.examples,
        model_name=settled.model.name,
        model_uuid=settled.model.model_uuid,
        choices=settled.choices,
        warnings=(*scorer.warnings, *_not_followed(recipe, scorer), *sweep.cuts),
        n_predictions=sweep.n_predictions if settled.asked is settled.examples else 0,
        n_planned=sweep.n_planned,
        seconds=time.monotonic() - started,
        prefix=recipe.prefix,
    )  # fmt: skip
    result._score_table = table
    return result


def _with_draws(result: Result, sampled: Sampled) -> Result:
    """Add how engine ``pymc`` sampled, what is to be warned of, and the draws themselves."""
    texts = (*result.warnings, *sampled.sampling.warnings)
    result = result.model_copy(update={"sampling": sampled.sampling, "warnings": texts})
    result._inference_data = sampled.data
    return result
