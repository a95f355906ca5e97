"""From the score table to what each test found."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlflow_sensie.errors import DataError
from mlflow_sensie.evaluation.chunks import SweepTest
from mlflow_sensie.evaluation.plan import Plan
from mlflow_sensie.evaluation.property_data import PredictedProperty, PropertyData
from mlflow_sensie.evaluation.sweep import Sweep
from mlflow_sensie.inference import (
    CategoryFit,
    GuardedEstimate,
    Interval,
    PerturbationFit,
    PropertyFit,
    SamplingDesign,
    ScoreScale,
    category_test,
    mean_test,
    perturbation_test,
    property_test,
)
from mlflow_sensie.inference.extra_fits import NOTHING, Shape
from mlflow_sensie.inference.holds_until import AllowedDrop
from mlflow_sensie.inference.weights import SamplingDesignBlocks, designs
from mlflow_sensie.recipe.model import PerturbationSpec, Recipe
from mlflow_sensie.recipe.values import AbsoluteDrop
from mlflow_sensie.result import Kind, TestResult
from mlflow_sensie.scores.scorer import Scorer
from mlflow_sensie.scores.table import CLEAN, CLUSTER, EXPECTED, WEIGHT, Block, Scores, property_column

CLASS = "class"
FLAGS = {
    "few_informative": "few examples are informative, so pseudo-scores at the score's bounds widen the interval",
    "unguarded": "few examples are informative, and only engine 'robust' guards the effect against that: its interval "
    "may be far too narrow; report.json has the guarded one as `robust`",
    "narrower_than_robust": "this engine's interval of the effect is more than a tenth narrower than that of engine "
    "'robust': its priors are strong, or the noise is not the equal and normal one that it takes for granted",
    "few_for_holds_until": "too few examples for a tight bound on 'holds until'; it is widened by pseudo-curves",
    "few_examples": "fewer than 60 independent examples: look at the guarded and the plain interval in the report",
    "no_fit_range": "fit_range: no side has two points in it (or a drop, for auto), so nothing is fitted to it",
    "no_polynomial": "the polynomial needs more points than its order: a side, or the bins, have too few",
    "ranks_as_known": "this engine takes ranks for known values: where the effect is steep its interval is too narrow",
    "small_levels": "some levels have fewer than 5 examples",
}


def infer(
    recipe: Recipe, scorer: Scorer, plan: Plan, properties: Sequence[PropertyData], sweep: Sweep, table: Scores
) -> dict[str, TestResult]:
    """Every test by name: properties in the recipe's order, the class test, then the perturbations.

    What rests on clean scores alone uses every example that has one; a perturbation test those it was asked of.
    """
    by_property = {each.name: _infer_property(each, recipe, scorer, table) for each in properties}
    by_property |= {each.name: _infer_predicted(each, recipe, scorer, table) for each in plan.predicted}
    order = [*(spec.name for spec in recipe.properties), *([CLASS] if recipe.class_test else [])]
    found = {name: by_property[name] for name in order}
    for spec, test in zip(recipe.perturbations, plan.tests, strict=True):
        failure = sweep.failures.get(test.slug)
        found[test.name] = _infer_perturbation(spec, test, recipe, scorer, table, str(failure) if failure else None)
    return {name: test.model_copy(update={"stopped": sweep.reason(test.slug)}) for name, test in found.items()}


def when_precise(width: float, recipe: Recipe, scorer: Scorer, plan: Plan) -> Callable[[SweepTest, Scores], bool]:
    """Whether the effect of a test, as it would be logged, has a 95 % interval narrower than ``width``."""
    specs = {test.slug: spec for spec, test in zip(recipe.perturbations, plan.tests, strict=True)}

    def precise(test: SweepTest, table: Scores) -> bool:
        try:
            return fit_perturbation(specs[test.slug], test, recipe, scorer, table).precise(width)
        except ValueError:  # too few examples have a score
            return False

    return precise


def _infer_predicted(prop: PredictedProperty, recipe: Recipe, scorer: Scorer, table: Scores) -> TestResult:
    """A property of the predictions may turn out to be constant: then this test fails, not the evaluation."""
    try:
        settled = settle_predicted(prop, table)
    except DataError as error:
        return TestResult(name=prop.name, slug=prop.slug, kind="property", error=str(error))
    return _infer_property(settled, recipe, scorer, table)


def settle_predicted(prop: PredictedProperty, table: Scores) -> PropertyData:
    """Turn the values that the sweep measured into a property.

    Raises:
        DataError: they are constant.
    """
    column = property_column(prop.slug)
    return prop.settle(pd.Series(np.concatenate([block[column] for block in table.blocks([column])])))


def _infer_property(prop: PropertyData, recipe: Recipe, scorer: Scorer, table: Scores) -> TestResult:
    column = property_column(prop.slug)
    wanted = [column, CLEAN, *([EXPECTED] if EXPECTED in table.columns and prop.levels is None else [])]

    def rows() -> Iterator[tuple[NDArray[Any], ...]]:
        for block in table.blocks(wanted):
            yield tuple(block[name] for name in wanted)

    kind: Kind = "property" if prop.levels is None else "class" if prop.name == CLASS else "category"
    merged = (f"{prop.merged + 1} levels under 1 % of the examples are merged",) if prop.merged else ()
    try:
        fit = fit_property(
            prop,
            rows,
            scorer.scale,
            recipe.inference.rope,
            design_of(table),
            recipe.family,
            Shape(recipe.inference.fit_range, recipe.inference.polynomial),
        )
    except ValueError as error:  # e.g. one level is left where missing scores are dropped
        text = f"test {prop.name!r}: {error}"
        return TestResult(name=prop.name, slug=prop.slug, kind=kind, unit=prop.unit, error=text)
    return _test(prop.name, prop.slug, kind, prop.unit, fit, merged)


def fit_property(
    prop: PropertyData,
    rows: Callable[[], Iterator[tuple[NDArray[Any], ...]]],
    scale: ScoreScale,
    rope: float,
    design: SamplingDesignBlocks | None,
    family: int = 1,
    shape: Shape = NOTHING,
) -> PropertyFit | CategoryFit:
    """Run the property or category test on blocks of (value or level, score[, expected score])."""
    if prop.levels is not None:
        pairs: Any = rows
        return category_test(pairs, scale, levels=prop.levels, rope=rope, design=design, family=family)
    assert prop.span is not None

    def triples() -> Iterator[tuple[NDArray[Any], NDArray[Any], NDArray[Any] | None]]:
        for p, score, *expected in rows():
            yield p, score, expected[0] if expected else None

    return property_test(
        triples,
        scale,
        edges=prop.edges,
        unique=prop.unique,
        span=prop.span,
        rope=rope,
        design=design,
        ranks=prop.ranks,
        family=family,
        shape=shape,
    )


def _infer_perturbation(
    spec: PerturbationSpec,
    test: SweepTest,
    recipe: Recipe,
    scorer: Scorer,
    table: Scores,
    failure: str | None,
) -> TestResult:
    unit = test.perturbation.unit
    if failure is not None:
        return TestResult(name=test.name, slug=test.slug, kind="perturbation", unit=unit, error=failure)
    try:
        fit = fit_perturbation(spec, test, recipe, scorer, table)
    except ValueError as error:  # e.g. too few examples are left where missing scores are dropped
        text = f"test {test.name!r}: {error}"
        return TestResult(name=test.name, slug=test.slug, kind="perturbation", unit=unit, error=text)
    return _test(test.name, test.slug, "perturbation", unit, fit)


def fit_perturbation(
    spec: PerturbationSpec, test: SweepTest, recipe: Recipe, scorer: Scorer, table: Scores
) -> PerturbationFit:
    """Fit a perturbation test to the examples that it was asked of so far."""
    asked = table.asked(test.columns)
    followed = set(test.expected_columns) <= set(table.columns)
    return perturbation_test(
        functools.partial(sweep_scores, test, asked),
        scorer.scale,
        magnitudes=test.magnitudes,
        neutral=test.perturbation.neutral,
        log_distance=test.perturbation.log_distance,
        allowed_drop=allowed_drop(spec, recipe),
        rope=recipe.inference.rope,
        design=design_of(asked),
        family=recipe.family,
        shape=Shape(spec.fit_range or recipe.inference.fit_range, recipe.inference.polynomial),
        expected=functools.partial(sweep_expected, test, asked) if followed else None,
    )


def _test(name: str, slug: str, kind: Any, unit: str, fit: Any, more: tuple[str, ...] = ()) -> TestResult:
    warnings = [FLAGS[flag] for flag in fit.flags if flag in FLAGS]  # the counts say the others
    if fit.n_dropped:
        left_out = f"{fit.n_dropped} examples with a missing score are left out"
        warnings.append(f"{left_out}; if scores are missing because they would be low, the loss is larger")
    if getattr(fit, "n_missing", 0):
        warnings.append(f"the property is missing for {fit.n_missing} examples: a bin of their own, outside the slope")
    return TestResult(name=name, slug=slug, kind=kind, unit=unit, fit=fit, warnings=(*more, *warnings))


def allowed_drop(spec: PerturbationSpec, recipe: Recipe) -> AllowedDrop:
    """The allowed drop of a test, as inference takes it."""
    drop = spec.allowed_drop or recipe.allowed_drop
    return ("absolute", drop.absolute) if isinstance(drop, AbsoluteDrop) else drop


def sweep_scores(test: SweepTest, table: Scores) -> Iterator[NDArray[np.float64]]:
    """Yield the scores of a perturbation test block by block, (n, 1 + J): clean, then every magnitude."""
    columns = [CLEAN, *test.columns]
    for block in table.blocks(columns):
        yield np.column_stack([block[name] for name in columns])


def sweep_expected(test: SweepTest, table: Scores) -> Iterator[NDArray[np.float64]]:
    """Yield what the model itself expects to score, in the form of ``sweep_scores``."""
    columns = [EXPECTED, *test.expected_columns]
    for block in table.blocks(columns):
        yield np.column_stack([block[name] for name in columns])


def design_of(table: Scores) -> SamplingDesignBlocks | None:
    """Weights and clusters of the table's rows; None where it has neither."""
    columns = [name for name in (WEIGHT, CLUSTER) if name in table.columns]

    def blocks() -> Iterator[SamplingDesign]:
        for block in table.blocks(columns):
            yield SamplingDesign(block.get(WEIGHT), block.get(CLUSTER))

    return blocks if columns else None


def clean_score(table: Scores, scale: ScoreScale) -> GuardedEstimate:
    """The posterior of the mean clean score."""
    return _mean(table, [CLEAN], lambda block: block[CLEAN], scale)


def unannounced(table: Scores, scale: ScoreScale) -> Interval | None:
    """Mean clean score less what the model's own probabilities announce; None where it gives none."""
    if EXPECTED not in table.columns:
        return None
    around = ScoreScale(-1.0, 1.0, scale.unit)
    return _mean(table, [CLEAN, EXPECTED], lambda block: block[CLEAN] - block[EXPECTED], around).posterior.summary()


def _mean(
    table: Scores, columns: Sequence[str], value: Callable[[Block], NDArray[Any]], scale: ScoreScale
) -> GuardedEstimate:
    def rows() -> Iterator[tuple[NDArray[np.float64], SamplingDesign]]:
        for block, design in zip(table.blocks(columns), designs(design_of(table)), strict=False):
            found = value(block)
            kept = np.isfinite(found)
            yield found[kept], design.take(kept)

    try:
        return mean_test(rows, scale)
    except ValueError as error:
        raise DataError(str(error)) from error
