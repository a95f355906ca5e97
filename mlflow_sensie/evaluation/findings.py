"""What a score table tells: the fields of a result, whether the sweep was just made or its table is read again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlflow_sensie.evaluation.columns import PredictedProperty, PropertyData
from mlflow_sensie.evaluation.engines import apply_engine
from mlflow_sensie.evaluation.fitting import Questions, allowed_drop, clean_score, first_failures, infer
from mlflow_sensie.evaluation.slices import infer_interactions, infer_slices
from mlflow_sensie.inference.multiplicity import several
from mlflow_sensie.recipe.model import Recipe
from mlflow_sensie.result import ScoreInfo, TestResult
from mlflow_sensie.scores.kinds import KINDS
from mlflow_sensie.scores.scorer import Scorer
from mlflow_sensie.scores.table import ScoreTable


def findings_of(questions: Questions, table: ScoreTable) -> tuple[dict[str, Any], Any]:
    """Return all fields of a result that rest on scores and recipe alone, and what engine ``pymc`` drew.

    Raises:
        DataError: fewer than two examples have a clean score.
    """
    recipe, scorer = questions.recipe, questions.scorer
    tests, sampled = apply_engine(recipe, infer(questions, table))
    tests = _with_first_failures(tests, questions, table)
    clean = clean_score(table, scorer.scale)
    sampling, draws = (None, None) if sampled is None else sampled
    fits, scale = [test.fit for test in tests.values() if test.ok], scorer.scale
    return {
        "score": ScoreInfo(
            kind=scorer.kind.name, lower=scale.lower, upper=scale.upper, unit=scale.unit, source=scorer.source
        ),
        "n": len(table),
        "clean": clean.plain.summary(),
        "clean_known": clean,
        "metric_estimates": questions.followed.estimates(table),
        "confidence": questions.followed.confidence(table),
        "tests": tests,
        "several": several(fits, recipe.n_tests, family=recipe.inference.family),
        "slices": infer_slices(questions, table),
        "interactions": infer_interactions(questions, tests, table),
        "sampling": sampling,
        "recipe": recipe.to_plain(),
        "recipe_yaml": recipe.to_yaml(),
        "recipe_sha256": recipe.digest(),
    }, draws


def sampling_warnings(findings: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what is to be warned of how engine ``pymc`` sampled."""
    return () if findings["sampling"] is None else tuple(findings["sampling"].warnings)


def not_followed(recipe: Recipe, scorer: Scorer) -> tuple[str, ...]:
    """Say where calibration was asked for and the score is none that a model announces."""
    if not recipe.calibration or scorer.announces:
        return ()
    wanted = " or ".join(kind.name for kind in KINDS.values() if kind.expected is not None)
    return (
        f"calibration: the score is {scorer.kind.name!r}, of which no model says what to expect; it needs {wanted}",
    )


def _with_first_failures(
    tests: dict[str, TestResult], questions: Questions, table: ScoreTable
) -> dict[str, TestResult]:
    """The tests with the examples that each perturbation upsets first, as far as the recipe allows to show them."""
    recipe = questions.recipe
    if recipe.log_examples == "none":
        return tests
    tests = dict(tests)
    for spec, test in zip(recipe.perturbations, questions.tests, strict=True):
        if (fit := tests[test.name].fit) is not None:
            failures = first_failures(
                test, fit, table, allowed_drop(spec, recipe),
                fractional=questions.scorer.scale.fractional, targets=recipe.log_examples == "full",
            )  # fmt: skip
            tests[test.name] = tests[test.name].model_copy(update={"flips": failures})
    return tests


# --- what a score table says of itself, so that it can be asked again -------------------------------------------


KEPT = "tests_kept"  # the key under which a table's metadata says what its tests and slices are of


def kept_of(questions: Questions, target: str) -> dict[str, Any]:
    """Return, as JSON, what a refit needs of tests and slices and a score table's columns do not say.

    ``target`` is what the targets are called.
    """
    sweeps = {
        test.slug: {
            "unit": test.perturbation.unit,
            "neutral": test.perturbation.neutral,
            "log_distance": test.perturbation.log_distance,
            "notes": list(test.notes),
            "failure": questions.failures.get(test.slug),
        }
        for test in questions.tests
    }
    parts: list[PropertyData | PredictedProperty] = [*questions.properties, *questions.predicted]
    return {
        "target": target,
        "sweeps": sweeps,
        "properties": {part.slug: _described(part) for part in parts},
        "slices": {part.slug: _described(part) for part in questions.slices},
    }


def _described(part: PropertyData | PredictedProperty) -> dict[str, Any]:
    if isinstance(part, PredictedProperty):
        return {"name": part.name, "unit": part.unit, "predicted": True}
    levels = None if part.levels is None else list(part.levels)
    about = {"name": part.name, "unit": part.unit, "levels": levels, "merged": part.merged}
    return about if part.of_input else {**about, "of_input": False}
