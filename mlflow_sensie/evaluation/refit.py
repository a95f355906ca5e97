"""Other questions to the predictions that a score table keeps: no model is asked again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlflow_sensie.errors import DataError, RecipeError, did_you_mean
from mlflow_sensie.evaluation.chunks import SweepTest
from mlflow_sensie.evaluation.columns import TARGET as BY_TARGET
from mlflow_sensie.evaluation.columns import PredictedProperty, PropertyData
from mlflow_sensie.evaluation.conductor import with_rope
from mlflow_sensie.evaluation.engines import check_engine
from mlflow_sensie.evaluation.findings import KEPT, findings_of, not_followed, sampling_warnings
from mlflow_sensie.evaluation.fitting import CLASS, Questions
from mlflow_sensie.evaluation.metrics import Followed
from mlflow_sensie.evaluation.plan import check_fit_range, property_of
from mlflow_sensie.inference import ScoreScale
from mlflow_sensie.perturbations.base import FunctionPerturbation
from mlflow_sensie.recipe.model import PropertySpec, Recipe, SliceSpec, slug
from mlflow_sensie.recipe.reading import capped_log_examples, load_recipe
from mlflow_sensie.result import Result, evaluate_again
from mlflow_sensie.scores.kinds import KINDS, ScoreKind, kind_of
from mlflow_sensie.scores.metric_reader import METADATA, MetricReader
from mlflow_sensie.scores.outputs import DISTANCE, Outputs
from mlflow_sensie.scores.scorer import Scorer, Targets, refuse_unfit
from mlflow_sensie.scores.table import (
    CLEAN,
    TARGET,
    WEIGHT,
    Block,
    ScoreTable,
    expected_of,
    is_expected,
    is_score,
    output_column,
    property_column,
    slice_column,
)

# The recipe's keys that a refit may change; the others are about what the model was asked, and on which examples.
CHANGEABLE = (
    "score", "metrics", "headline", "properties", "perturbations", "class_test", "slices", "interactions", "adjust",
    "inference", "allowed_drop", "keys", "log_examples", "scores", "on_error", "prefix",
)  # fmt: skip
# What a test of these keys may be asked otherwise; the rest of it is how its columns came about.
OF_TESTS = {"properties": ("bins", "rank"), "perturbations": ("allowed_drop", "fit_range")}
READABLE = {"probabilities": ("probabilities", "labels"), "labels": ("labels",), "numbers": ("numbers",)}


def refit(
    result: Result, changes: Mapping[str, Any] | None = None, *, score: Any = None, metrics: Any = None
) -> Result:
    """Ask other questions to the predictions that a result's score table keeps; see ``Result.refit``."""
    table, kept = _table_of(result)
    changes = dict(changes or {})
    changes |= {key: value for key, value in (("score", score), ("metrics", metrics)) if value is not None}
    old = _read(result.recipe)
    recipe = _changed(old, changes, kept)
    scorer, no_skill = _scorer(result, table), result.no_skill_score
    targets = Targets(table.column(TARGET), tuple(table.metadata[METADATA]["classes"]) or None)
    weights = table.column(WEIGHT) if WEIGHT in table.columns else None
    another, outdated = recipe.score != old.score, not_followed(old, scorer)
    if another:
        scorer = _of_kind(_kind(recipe.score, scorer, targets, kept), recipe, scorer)
        table = _rescored(table, scorer, recipe)
        no_skill = scorer.no_skill_score(targets.values, weights)
        if "inference" not in changes:  # how small an effect does not matter was said in the other score's unit
            recipe = recipe.model_copy(update={"inference": recipe.inference.model_copy(update={"rope": None})})
    recipe = with_rope(recipe, scorer, targets, weights)
    check_engine(recipe)
    followed = Followed(_reader(recipe, result, table, (scorer, targets, weights) if another else None), scorer)
    properties, predicted = _properties(recipe, table, kept)
    questions = Questions(
        recipe, followed, _tests(recipe, table, kept), properties, predicted, _slices(recipe, table, kept),
        {name: sweep["failure"] for name, sweep in kept["sweeps"].items() if sweep["failure"]},
        {test.slug: test.stopped for test in result.tests.values()},
    )  # fmt: skip
    again = _result(result, questions, table, no_skill, old)
    lasting = [text for text in again.warnings if text not in outdated]
    return again.model_copy(update={"warnings": (*lasting, *not_followed(recipe, scorer))})


def _result(result: Result, questions: Questions, table: ScoreTable, no_skill: float | None, old: Recipe) -> Result:
    findings, draws = findings_of(questions, table)
    before = result.sampling.warnings if result.sampling else ()
    warnings = tuple(text for text in result.warnings if text not in before)
    if questions.recipe == old:  # functions are written by name, and had a source
        findings |= {name: getattr(result, name) for name in ("recipe", "recipe_yaml", "recipe_sha256")}
    else:
        comments = [line for line in result.recipe_yaml.splitlines() if line.startswith("# ")]
        findings["recipe_yaml"] = "\n".join([*comments, questions.recipe.model_copy(update={"recipe": None}).to_yaml()])
    findings |= {"no_skill_score": no_skill, "warnings": (*warnings, *sampling_warnings(findings))}
    again = result.model_copy(update={**findings, "prefix": questions.recipe.prefix, "verdict": None})
    reader = questions.followed.reader
    identity = {"score": again.score.kind, "recipe_sha256": again.recipe_sha256, METADATA: reader.metadata}
    again._score_table = table.with_metadata({**table.metadata, **identity})
    again._galleries = {name: shown for name, shown in result._galleries.items() if name in again.tests}
    again._inference_data, again._metric_functions = draws, reader.functions
    return again


def _table_of(result: Result) -> tuple[ScoreTable, dict[str, Any]]:
    """The score table and what it says of itself, or raise DataError."""
    if result.read_only:
        raise DataError(evaluate_again(result))
    table = result.score_table
    if table is None:
        raise DataError(
            f"{result.title!r} has no score table: a result read from JSON comes without; name the run, or the folder "
            "with its report.json and scores.parquet"
        )
    if not {KEPT, METADATA} <= table.metadata.keys():
        raise DataError(f"the score table of {result.title!r} does not say what its columns are of: evaluate it again")
    return table, table.metadata[KEPT]


# --- the recipe ------------------------------------------------------------------------------------------------


def _read(plain: Mapping[str, Any]) -> Recipe:
    """The recipe of a result, which stands by itself: where it came from, and a function of one's own, are names."""
    recipe = load_recipe({**plain, "recipe": None, "score": None})
    return recipe.model_copy(update={"recipe": plain.get("recipe"), "score": plain.get("score")})


def _changed(old: Recipe, changes: Mapping[str, Any], kept: Mapping[str, Any]) -> Recipe:
    """The recipe with the changes that the score table can answer; others raise RecipeError, by name."""
    for key in changes:
        if key not in Recipe.model_fields:
            raise RecipeError(f"refit: unknown key {key!r}{did_you_mean(key, CHANGEABLE)}; {_allowed()}")
        if key not in CHANGEABLE:
            raise RecipeError(
                f"refit: {key!r} is about what the model is asked, or which examples; evaluate again with it. "
                f"{_allowed()}"
            )
    changes = dict(changes)
    for key in OF_TESTS.keys() & changes.keys():
        changes[key] = [_test_spec(key, given, old) for given in changes[key]]
    if changes.get("slices"):
        changes["slices"] = [_slice_spec(given, old) for given in changes["slices"]]
    if changes.get("class_test") and CLASS not in kept["properties"]:
        raise RecipeError("refit: class_test: the classes were not kept as a test; set class_test: true next time")
    recipe = load_recipe({**old.to_plain(), "recipe": None, "score": None, **changes})
    own = {key: getattr(old, key) for key in Recipe.model_fields if key not in changes}  # code stays what it is
    recipe = recipe.model_copy(update=own)
    if not recipe.n_tests:
        raise RecipeError("refit: no test is left; name properties or perturbations, or class_test")
    return recipe.model_copy(update={"log_examples": capped_log_examples(recipe.log_examples)})


def _allowed() -> str:
    return f"a refit changes {', '.join(CHANGEABLE)}"


def _test_spec(key: str, given: Any, old: Recipe) -> dict[str, Any]:
    """A test by its name, as it was but for what may be asked otherwise."""
    specs = {spec.name: spec.model_dump(exclude_none=True) for spec in getattr(old, key)}
    asked = {"name": given} if isinstance(given, str) else dict(given)
    name = asked.get("name")
    if name not in specs:
        raise RecipeError(
            f"refit: {key}: no scores of {name!r} were kept{did_you_mean(name, specs)}; there are: "
            f"{', '.join(specs) or 'none'}. Name it in the recipe of the next evaluation"
        )
    spec = specs[str(name)]
    for other in asked.keys() - {"name", *OF_TESTS[key]}:
        if other not in spec or spec[other] != _comparable(asked[other], spec[other]):
            raise RecipeError(
                f"refit: {key}: {name!r} was made with another {other!r}, or none; {' and '.join(OF_TESTS[key])} may "
                "change. Evaluate again"
            )
    return {**spec, **{other: value for other, value in asked.items() if other in OF_TESTS[key]}}


def _comparable(value: Any, like: Any) -> Any:
    return tuple(value) if isinstance(like, tuple) and isinstance(value, Sequence) else value


def _slice_spec(given: Any, old: Recipe) -> SliceSpec:
    specs = {_slice_name(spec): spec for spec in old.slices or ()}
    spec = given if isinstance(given, SliceSpec) else SliceSpec.model_validate(given)
    known = specs.get(_slice_name(spec))
    if known is None or spec.bins not in (None, known.bins):
        raise RecipeError(
            f"refit: slices: {_slice_name(spec)!r} was not kept{' with these bins' if known else ''}; there are: "
            f"{', '.join(specs) or 'none'}. Name it in the recipe of the next evaluation"
        )
    return known


def _slice_name(spec: SliceSpec) -> str:
    return BY_TARGET if spec.target else str(spec.column)


# --- what was kept -----------------------------------------------------------------------------------------------


def _tests(recipe: Recipe, table: ScoreTable, kept: Mapping[str, Any]) -> list[SweepTest]:
    tests = []
    for spec in recipe.perturbations:
        name, sweep = slug(spec.name), kept["sweeps"][slug(spec.name)]
        shape = {key: sweep[key] for key in ("unit", "neutral", "log_distance")}
        magnitudes = tuple(table.metadata["tests"][name]["magnitudes"])
        test = SweepTest(
            spec.name, name, FunctionPerturbation(_gone, **shape), magnitudes, spec.label or "", tuple(sweep["notes"])
        )
        check_fit_range(spec, test, f"perturbation {spec.name!r}")
        tests.append(test)
    return tests


def _properties(
    recipe: Recipe, table: ScoreTable, kept: Mapping[str, Any]
) -> tuple[list[PropertyData], list[PredictedProperty]]:
    properties: list[PropertyData] = []
    predicted: list[PredictedProperty] = []
    for spec in recipe.properties:
        about = kept["properties"][slug(spec.name)]
        if about.get("predicted"):
            settle = _settle(spec, about["unit"])
            predicted.append(PredictedProperty(spec.name, slug(spec.name), _gone, settle, about["unit"]))
        elif about["levels"] is None:
            column = pd.Series(table.column(property_column(slug(spec.name))))
            prop = property_of(spec, column, about["unit"])
            properties.append(replace(prop, of_input=about.get("of_input", True)))
        elif spec.rank:
            raise DataError(f"property {spec.name!r}: rank: true needs numbers or dates; it has levels")
        else:
            properties.append(_levels(spec.name, property_column(slug(spec.name)), table, about))
    if recipe.class_test:
        properties.append(_levels(CLASS, property_column(CLASS), table, kept["properties"][CLASS]))
    return properties, predicted


def _settle(spec: PropertySpec, unit: str) -> Callable[[Any], PropertyData]:
    return partial(property_of, spec, unit=unit)


def _slices(recipe: Recipe, table: ScoreTable, kept: Mapping[str, Any]) -> list[PropertyData]:
    names = [_slice_name(spec) for spec in recipe.slices or ()]
    return [_levels(name, slice_column(slug(name)), table, kept["slices"][slug(name)]) for name in names]


def _levels(name: str, column: str, table: ScoreTable, about: Mapping[str, Any]) -> PropertyData:
    levels = tuple(about["levels"])
    return PropertyData(name, slug(name), about["unit"], table.column(column), levels, merged=about["merged"])


def _gone(*_: Any) -> Any:
    raise AssertionError("a refit asks no model and perturbs nothing")


# --- score and metrics -------------------------------------------------------------------------------------------


def _reader(
    recipe: Recipe, result: Result, table: ScoreTable, anew: tuple[Scorer, Targets, Any] | None
) -> MetricReader:
    """What computes the recipe's metrics: with the best constant that the evaluation had, or for another score anew."""
    own = [spec for spec in recipe.metrics or () if not isinstance(spec, str) and "function" in spec]
    functions = {**result.metric_functions, **{m["name"]: m["function"] for m in own if callable(m["function"])}}
    missing = [spec["name"] for spec in own if spec["name"] not in functions]
    if missing:
        raise RecipeError(
            f"refit: metrics: the function of {missing[0]!r} is not in a result that was read back; pass metrics with "
            "it, or without it"
        )
    metrics = None if recipe.metrics is None else list(recipe.metrics)
    if anew is None:
        reader = MetricReader.from_table(table, {"metrics": metrics, "seed": recipe.seed}, functions)
        assert reader is not None
        return reader
    scorer, targets, weights = anew
    weighted = table.metadata[METADATA]["weighted"]
    metrics = metrics and [{**spec, "function": functions[spec["name"]]} if spec in own else spec for spec in metrics]
    return MetricReader.of(metrics, scorer, targets, weights if weighted else None, recipe.seed)


def _scorer(result: Result, table: ScoreTable) -> Scorer:
    """How the kept scores were made, as far as inference wants to know it."""
    info, stored = result.score, table.metadata[METADATA]
    scale, settings = ScoreScale(info.lower, info.upper, info.unit), dict(stored["settings"])
    if info.kind in KINDS:
        kind = replace(KINDS[info.kind], scale=scale)
    else:
        kind = ScoreKind(info.kind, info.kind, scale, "predictions", _gone, lambda *_: result.no_skill_score)
    outputs = Outputs(
        stored["needs"], tuple(stored["parts"]), classes=len(stored["classes"]), positive=stored["positive"],
        decide=lambda probabilities: kind.decide(probabilities, settings),
    )  # fmt: skip
    probabilities = _gone if outputs.needs == "probabilities" or DISTANCE in outputs.parts else None
    return Scorer(kind, _gone, probabilities, info.source, settings=settings, outputs=outputs)


def _of_kind(kind: ScoreKind, recipe: Recipe, scorer: Scorer) -> Scorer:
    """The scorer with another kind of score."""
    parameters = recipe.score if isinstance(recipe.score, Mapping) else {}
    of_classes = {name: scorer.settings[name] for name in ("positive", "classes") if name in scorer.settings}
    settings = {**parameters, **of_classes}
    outputs = replace(scorer.outputs, decide=lambda probabilities: kind.decide(probabilities, settings))
    return replace(scorer, kind=kind, settings=settings, outputs=outputs)


def _kind(score: Any, scorer: Scorer, targets: Targets, kept: Mapping[str, Any]) -> ScoreKind:
    """The kind of a score that can be made of what was kept."""
    needs, readable = scorer.outputs.needs, READABLE.get(scorer.outputs.needs, ())
    named = kind_of(score)[0] if _is_built_in(score) else None
    if named is None:
        raise RecipeError(
            "refit: score: a function of one's own gets predictions as the model returns them, which are not kept; "
            f"evaluate again with it, or take one of {_kinds(readable)}"
        )
    if named.needs not in readable:
        more = "; set keep: predictions next time" if DISTANCE in scorer.outputs.parts else ""
        raise RecipeError(
            f"refit: score: {named.name!r} needs {named.needs}, and the score table has {_words(needs)}{more}. "
            f"{_kinds(readable)} can be made of it"
        )
    refuse_unfit(named, targets.values)
    return named.named_after(kept["target"])


def _is_built_in(score: Any) -> bool:
    return next(iter(score)) in KINDS if isinstance(score, Mapping) else isinstance(score, str) and score in KINDS


def _kinds(needs: Sequence[str]) -> str:
    return ", ".join(kind.name for kind in KINDS.values() if kind.needs in needs) or "none"


def _words(needs: str) -> str:
    return {"labels": "labels alone", "scores": "scores alone"}.get(needs, needs)


def _rescored(table: ScoreTable, scorer: Scorer, recipe: Recipe) -> ScoreTable:
    """The table with scores of the scorer's kind in place of those that it has."""
    again = table.emptied()
    for block in table.blocks():
        fresh = {name: values for name, values in block.items() if not is_expected(name)}
        for name in filter(is_score, block):
            predictions = _predictions(block, name, scorer.outputs)
            fresh[name] = scorer.kind.score(predictions, block[TARGET], scorer.settings)
            if scorer.announces and scorer.kind.expected and (name == CLEAN or recipe.calibration):
                fresh[expected_of(name)] = scorer.kind.expected(predictions)
        again.append(fresh)
    return again


def _predictions(block: Block, scores: str, outputs: Outputs) -> NDArray[Any]:
    """The predictions that a column of scores was made of; NaN where they are missing."""
    parts = np.column_stack([block[output_column(scores, part)] for part in outputs.parts]).astype(np.float64)
    return np.asarray(outputs.columns_of(parts, "probabilities")[0])
