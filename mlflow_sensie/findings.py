"""From the score table to what each test found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlflow_sensie.errors import DataError
from mlflow_sensie.inference import Interval, Posterior, category_test, perturbation_test, property_test
from mlflow_sensie.moments import Moments
from mlflow_sensie.plan import Plan
from mlflow_sensie.property_data import PredictedProperty, PropertyData
from mlflow_sensie.recipe_model import AbsoluteDrop, PerturbationSpec, Recipe
from mlflow_sensie.result import Kind, TestResult
from mlflow_sensie.scores import CLEAN, EXPECTED, ScoreTable, property_column, score_column
from mlflow_sensie.scoring import Scorer
from mlflow_sensie.sweep import Sweep, SweepTest

CLASS = "class"
FLAGS = {
    "few_informative": "few examples are informative, so pseudo-scores at the score's bounds widen the interval",
    "few_for_holds_until": "too few examples for a tight bound on 'holds until'; it is widened by pseudo-curves",
    "few_examples": "fewer than 60 examples: look at the guarded and the plain interval in the report",
    "small_levels": "some levels have fewer than 5 examples",
}


def infer(
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


def clean_score(table: ScoreTable) -> Interval:
    """Mean clean score with its t intervals."""
    sums = Moments.empty(1)
    for block in table.blocks([CLEAN]):
        kept = block[CLEAN][np.isfinite(block[CLEAN])]
        sums += Moments.of(kept[:, None])
    if sums.n < 2:
        raise DataError(f"only {sums.n} examples have a score; at least two are needed")
    variance = float(sums.scatter[0, 0]) / (sums.n - 1)
    return Posterior(float(sums.mean[0]), (variance / sums.n) ** 0.5, float(sums.n - 1)).summary()
