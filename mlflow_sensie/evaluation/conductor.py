"""The conductor: recipe + model + examples → result."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlflow_sensie.data.examples import CHUNK, row_bytes
from mlflow_sensie.data.identity import digests_of
from mlflow_sensie.data.types import fresh_copy
from mlflow_sensie.errors import DataError, ModelError, SensieError
from mlflow_sensie.evaluation.auto import choose_by_class
from mlflow_sensie.evaluation.checkpoint import Checkpoint, folder_of
from mlflow_sensie.evaluation.chunks import largest_chunk, parts, perturbed
from mlflow_sensie.evaluation.columns import PropertyData, Roles, target_slices
from mlflow_sensie.evaluation.findings import KEPT, findings_of, kept_of, not_followed, sampling_warnings
from mlflow_sensie.evaluation.fitting import CLASS, Questions, when_precise
from mlflow_sensie.evaluation.gallery import make_galleries
from mlflow_sensie.evaluation.inputs import EvaluationRequest, ResolvedInputs, resolve
from mlflow_sensie.evaluation.metrics import Followed
from mlflow_sensie.evaluation.plan import Plan
from mlflow_sensie.evaluation.predict_calls import predict_in_calls
from mlflow_sensie.evaluation.progress import Bar, Estimate
from mlflow_sensie.evaluation.stopping import Stopping, strata_of, stratified_order
from mlflow_sensie.evaluation.sweep import Sweep
from mlflow_sensie.models.model import Model
from mlflow_sensie.models.outputs import Predictions
from mlflow_sensie.recipe.model import Recipe, SliceSpec
from mlflow_sensie.recipe.reading import capped_log_examples
from mlflow_sensie.result import Result
from mlflow_sensie.scores.metric_reader import METADATA, MetricReader
from mlflow_sensie.scores.scorer import Scorer, Targets, resolve_scorer
from mlflow_sensie.scores.table import ScoreTable, property_column

SCORE_BYTES = 8
ROPE, ROPE_OF_ERROR = 0.02, 0.05  # of a probability; of the best constant's error, elsewhere
MOST_OUTPUT_BYTES = 200 * 2**20  # of predictions that the score table keeps because the recipe says so
MOST_ESTIMATED = 1024  # examples that are tried out for an estimate


@dataclass(frozen=True)
class Prepared:
    """An evaluation that is ready to run: its inputs, how predictions are scored, whose data it is.

    ``first_predictions`` are of the first chunk, unperturbed; ``followed`` are the metrics.
    """

    inputs: ResolvedInputs
    scorer: Scorer
    followed: Followed
    targets: Targets
    properties: tuple[PropertyData, ...]
    roles: Roles
    examples_sha256: str
    data_sha256: str
    first_predictions: Predictions

    @property
    def model(self) -> Model:
        """The opened model."""
        return self.inputs.model

    @property
    def no_skill_score(self) -> float | None:
        """The mean score of the best constant, with the weights of the clean score."""
        return self.scorer.no_skill_score(self.targets.values, self.roles.weights)

    @property
    def recipe(self) -> Recipe:
        """The recipe with every choice written out."""
        return self.inputs.recipe


def prepare(request: EvaluationRequest) -> Prepared:
    """Resolve everything that comes before the sweep; nothing is predicted but the first chunk, unperturbed."""
    recipe = request.recipe
    recipe = recipe.model_copy(update={"log_examples": capped_log_examples(recipe.log_examples)})
    inputs = resolve(replace(request, recipe=recipe))
    recipe, plan = inputs.recipe, inputs.plan
    first = _first_predictions(inputs)
    examples = inputs.examples
    scorer, targets = resolve_scorer(inputs.model, first, examples.targets, recipe, examples.target)
    if recipe.keep == "predictions" and (size := _output_bytes(scorer, inputs)) > MOST_OUTPUT_BYTES:
        less = recipe.model_copy(update={"keep": "scores"})
        scorer, targets = resolve_scorer(inputs.model, first, examples.targets, less, examples.target)
        text = f"keep: the predictions take {size / 2**20:,.0f} MB, more than {MOST_OUTPUT_BYTES / 2**20:.0f} MB; "
        scorer = replace(scorer, warnings=(*scorer.warnings, f"{text}what score and metrics need is kept of them"))
    if plan.predicted and scorer.probabilities is None:
        name = plan.predicted[0].name
        raise ModelError(f"property {name!r} needs class probabilities, which the model does not give")
    recipe, by_class, choices = choose_by_class(recipe, targets, plan.roles)
    inputs = replace(inputs, choices=(*inputs.choices, *choices))
    properties = (*plan.properties, *([_class_levels(scorer, targets)] if recipe.class_test else []))
    roles = _with_target_slices(by_class, recipe, scorer, targets)
    recipe = with_rope(recipe, scorer, targets, roles.weights)
    n_by_target = len(roles.slices) - len(plan.roles.slices)
    recipe = recipe.model_copy(update={"slices": recipe.slices or (SliceSpec(target=True),) * n_by_target})
    digests = digests_of(inputs.examples, roles.identity(), {prop.name: prop.column() for prop in properties})
    weights = None if recipe.weights == "balanced" else roles.weights
    reader = MetricReader.of(recipe.metrics, scorer, targets, weights, recipe.seed)
    followed = Followed(reader, scorer)
    return Prepared(replace(inputs, recipe=recipe), scorer, followed, targets, properties, roles, *digests, first)


def _output_bytes(scorer: Scorer, inputs: ResolvedInputs) -> int:
    """How much the score table keeps of predictions."""
    n_versions = 1 + sum(len(test.magnitudes) for test in inputs.plan.tests)
    outputs = scorer.outputs
    return len(inputs.examples) * n_versions * len(outputs.parts) * np.dtype(outputs.dtype).itemsize


def evaluate(prepared: Prepared) -> Result:
    """Sweep, and infer what the score table tells; failed tests are in the result."""
    started = time.monotonic()
    sweep = sweep_of(prepared)
    with Bar(len(sweep.examples), sweep.n_planned, may_stop=sweep.stopping.order is not None) as bar:
        sweep.progress = bar
        table = sweep.run()
        bar.finish(sweep.savings)
    questions = _questions(prepared, sweep)
    table.metadata = _table_metadata(prepared) | {KEPT: kept_of(questions, prepared.inputs.examples.target)}
    result = _result(prepared, questions, table, sweep, started)
    if prepared.recipe.log_examples == "full":
        names = [name for name, test in result.tests.items() if test.ok]
        result._galleries = make_galleries(sweep, prepared.inputs.plan.survey, table, names)
    return result


def estimate(prepared: Prepared) -> Estimate:
    """Perturb as many examples as a chunk has, predict them once, unperturbed, and multiply.

    Raises:
        DataError, ValueError: a perturbation cannot work on the inputs.
    """
    recipe, examples, tests = prepared.recipe, prepared.inputs.model_examples, prepared.inputs.plan.tests
    chunk = examples.take(slice(0, min(largest_chunk(examples), MOST_ESTIMATED)))
    started = time.monotonic()
    predict_in_calls(prepared.model, fresh_copy(chunk.inputs), recipe.batch_size)  # set up by the first predictions
    seconds_predicting, started = time.monotonic() - started, time.monotonic()
    for test in tests:
        for part in parts(chunk):
            some = chunk.take(part)
            for values in perturbed(test, some, (0, part.start), recipe.seed):
                some.input_format.encode(values, some.inputs)
    seconds_perturbing = time.monotonic() - started
    n, n_versions = len(examples), 1 + sum(len(test.magnitudes) for test in tests)
    return Estimate(
        examples=n,
        tests=recipe.n_tests,
        predictions=n * n_versions,
        input_bytes=n * n_versions * row_bytes(chunk.source),
        score_bytes=n * (n_versions + len(prepared.properties)) * SCORE_BYTES
        + _output_bytes(prepared.scorer, prepared.inputs),
        seconds=(seconds_predicting * n_versions + seconds_perturbing) * n / len(chunk),
        at_most=recipe.precision is not None or recipe.time_budget is not None,
    )


def sweep_of(prepared: Prepared) -> Sweep:
    """The sweep of an evaluation, ready to run.

    Raises:
        DataError: the recipe's checkpoint was begun with another model.
    """
    inputs, scorer, targets = prepared.inputs, prepared.scorer, prepared.targets
    recipe, plan = inputs.recipe, inputs.plan
    return Sweep(
        inputs.model, scorer, targets, inputs.model_examples, plan.tests,
        {property_column(prop.slug): prop.values for prop in prepared.properties} | prepared.roles.columns(),
        plan.predicted, recipe.batch_size, recipe.seed, recipe.missing, _stopping(recipe, scorer, targets, plan),
        recipe.calibration and scorer.announces, checkpoint=_checkpoint(prepared),
    )  # fmt: skip


def _checkpoint(prepared: Prepared) -> Checkpoint | None:
    """Where the recipe wants the work to be kept; recorded predictions are kept already."""
    recipe, first = prepared.recipe, prepared.first_predictions
    if recipe.checkpoint is None or prepared.inputs.recorded:
        return None
    model = prepared.model.model_uuid or prepared.model.name
    checkpoint = Checkpoint(folder_of(recipe, prepared.data_sha256, model, version("mlflow-sensie")))
    right = prepared.targets.values[: len(first.values)]
    checkpoint.agree(prepared.scorer(first, right if prepared.scorer.encode is None else prepared.scorer.encode(first)))
    return checkpoint


def _first_predictions(inputs: ResolvedInputs) -> Predictions:
    """Predict the first chunk, unperturbed: what comes out decides how the model is scored. Recorded: all of them."""
    chunk = inputs.model_examples.take(slice(0, None if inputs.recorded else CHUNK))
    try:
        return predict_in_calls(inputs.model, fresh_copy(chunk.inputs), inputs.recipe.batch_size)
    except SensieError:
        raise
    except Exception as error:
        text = f"the model failed on the unperturbed examples: {type(error).__name__}: {error}"
        raise ModelError(text) from error


def _with_target_slices(roles: Roles, recipe: Recipe, scorer: Scorer, targets: Targets) -> Roles:
    if not targets.are_labels:
        if any(spec.target for spec in recipe.slices or ()):
            raise DataError("slices by target: there are no targets, or they are no labels and no numbers")
        return roles
    classes = scorer.kind.task != "regressor" and (targets.classes is not None or targets.values.dtype.kind != "f")
    return replace(roles, slices=(*roles.slices, *target_slices(recipe, _labels(targets), classes=classes)))


def with_rope(recipe: Recipe, scorer: Scorer, targets: Targets, weights: NDArray[np.float64] | None) -> Recipe:
    """Write out how small an effect does not matter: .02 of a probability, else .05 of the best constant's error.

    Where that is unknown, it is .02 of the score's range, or without bounds .02 in its unit.
    """
    if recipe.inference.rope is not None:
        return recipe
    scale = scorer.scale
    width = ROPE if scale.lower is None or scale.upper is None else ROPE * (scale.upper - scale.lower)
    if not scale.fractional and scale.upper is not None:
        best = scorer.no_skill_score(targets.values, weights)
        width = ROPE_OF_ERROR * (scale.upper - best) if best is not None and best < scale.upper else width
    inference = recipe.inference.model_copy(update={"rope": width})
    return recipe.model_copy(update={"inference": inference})


def _labels(targets: Targets) -> pd.Series[Any]:
    if targets.classes is None:
        return pd.Series(targets.values)
    return pd.Series(np.asarray(targets.classes, dtype=object)[targets.values])


def _class_levels(scorer: Scorer, targets: Targets) -> PropertyData:
    """The classes as a category; a class that no example has is left out."""
    if not targets.are_labels:
        raise DataError("class_test: there are no targets, or they are no labels; leave class_test out")
    labels = _labels(targets)
    numbers, names = pd.factorize(labels, sort=all(isinstance(label, type(labels[0])) for label in labels))
    numeric = targets.classes is None and (targets.values.dtype.kind == "f" or len(names) > 1000)
    if scorer.kind.task == "regressor" or numeric:
        raise DataError("class_test: the targets are numbers, not classes; leave class_test out for a regressor")
    if len(names) < 2:
        raise DataError(f"class_test: all targets are {names[0]!r}; at least two classes are needed")
    return PropertyData(CLASS, CLASS, "", numbers.astype(np.int64), tuple(map(str, names)))


def _stopping(recipe: Recipe, scorer: Scorer, targets: Targets, plan: Plan) -> Stopping:
    """When the sweep may stop. Only where it may are the examples put into an order of their own."""
    width, seconds = recipe.precision, recipe.time_budget
    if width is None and seconds is None:
        return Stopping()
    precise = None if width is None else when_precise(width, recipe, scorer, plan)
    return Stopping(stratified_order(strata_of(targets), recipe.seed), precise, seconds)


def _table_metadata(prepared: Prepared) -> dict[str, Any]:
    tests = prepared.inputs.plan.tests
    return {
        "score": prepared.scorer.kind.name,
        "data_sha256": prepared.data_sha256,
        "recipe_sha256": prepared.recipe.digest(),
        "tests": {test.slug: {"name": test.name, "magnitudes": list(test.magnitudes)} for test in tests},
        METADATA: prepared.followed.reader.metadata,
    }


def _questions(prepared: Prepared, sweep: Sweep) -> Questions:
    plan, properties = prepared.inputs.plan, prepared.properties
    slugs = [*(p.slug for p in properties), *(p.slug for p in plan.predicted), *(test.slug for test in plan.tests)]
    return Questions(
        prepared.recipe, prepared.followed, plan.tests, properties, plan.predicted, prepared.roles.slices,
        {slug: str(failure) for slug, failure in sweep.failures.items()}, {slug: sweep.reason(slug) for slug in slugs},
    )  # fmt: skip


def _result(
    prepared: Prepared, questions: Questions, table: ScoreTable, sweep: Sweep, started: float
) -> Result:  # fmt: skip
    inputs, scorer, recipe = prepared.inputs, prepared.scorer, prepared.recipe
    findings, draws = findings_of(questions, table)
    result = Result(
        **findings,
        version=version("mlflow-sensie"),
        no_skill_score=prepared.no_skill_score,
        data_sha256=prepared.data_sha256,
        examples_sha256=prepared.examples_sha256,
        model_name=inputs.model.name,
        model_uuid=inputs.model.model_uuid,
        choices=inputs.choices,
        warnings=(*scorer.warnings, *not_followed(recipe, scorer), *sweep.cuts, *sampling_warnings(findings)),
        n_predictions=0 if inputs.recorded else sweep.n_predictions,
        n_planned=sweep.n_planned,
        seconds=time.monotonic() - started,
        prefix=recipe.prefix,
    )
    result._score_table, result._inference_data = table, draws
    result._metric_functions = prepared.followed.reader.functions
    return result
