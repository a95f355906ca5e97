"""From the score table to what each test found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlflow_sensie.errors import DataError
from mlflow_sensie.evaluation.chunks import SweepTest
from mlflow_sensie.evaluation.columns import PredictedProperty, PropertyData
from mlflow_sensie.evaluation.metrics import Followed
from mlflow_sensie.evaluation.plan import Plan
from mlflow_sensie.inference import (
    CategoryFit,
    ExtraFits,
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
from mlflow_sensie.inference.extra_fits import NO_EXTRA
from mlflow_sensie.inference.grid import Side
from mlflow_sensie.inference.holds_until import AllowedDrop, Floor
from mlflow_sensie.inference.within import split_effect
from mlflow_sensie.recipe.model import PerturbationSpec, Recipe
from mlflow_sensie.result import FirstFailure, Kind, Reason, TestResult
from mlflow_sensie.scores.metrics import SKILL
from mlflow_sensie.scores.scorer import Scorer
from mlflow_sensie.scores.table import CLEAN, CLUSTER, EXPECTED, ID, TARGET, WEIGHT, ScoreTable, property_column

CLASS = "class"
MOST_FAILURES = 10  # that are shown of a test
FLAGS = {
    "few_informative": "few examples are informative, so pseudo-scores at the score's bounds widen the interval",
    "unguarded": "few examples are informative, and only engine 'robust' guards the effect against that: its interval "
    "may be far too narrow; report.json has the guarded one as `robust`",
    "narrower_than_robust": "this engine's interval of the effect is more than a tenth narrower than that of engine "
    "'robust': its priors are strong, or the noise is not the equal and normal one that it takes for granted",
    "few_for_holds_until": "too few examples for a tight bound on 'holds until'; it is widened by pseudo-curves",
    "few_examples": "fewer than 60 independent examples: look at the guarded and the plain interval in the report",
    "no_skill": "the model is not surely better than a constant on the inputs as they are, so that it has no skill to "
    "lose: it holds until 0",
    "no_fit_range": "fit_range: no side has two points in it (or a drop, for auto), so nothing is fitted to it",
    "no_polynomial": "the polynomial needs more points than its order: a side, or the bins, have too few",
    "ranks_as_known": "this engine takes ranks for known values: where the effect is steep its interval is too narrow",
    "small_levels": "some levels have fewer than 5 examples",
}


@dataclass(frozen=True)
class Questions:
    """What is asked of a score table: all that inference needs beside it, neither model nor inputs among it.

    ``properties`` have the class test's, ``predicted`` are those of the predictions; ``slices`` are columns of slices.
    By slug, ``failures`` are the errors of tests that failed in the sweep, and ``stopped`` says why a test saw no more
    examples.
    """

    recipe: Recipe
    followed: Followed
    tests: Sequence[SweepTest]
    properties: Sequence[PropertyData]
    predicted: Sequence[PredictedProperty]
    slices: Sequence[PropertyData]
    failures: Mapping[str, str]
    stopped: Mapping[str, Reason]

    @property
    def scorer(self) -> Scorer:
        """How predictions were scored."""
        return self.followed.scorer


def infer(questions: Questions, table: ScoreTable) -> dict[str, TestResult]:
    """Every test by name: properties in the recipe's order, the class test, then the perturbations.

    What rests on clean scores alone uses every example that has one; a perturbation test those it was asked of.
    """
    recipe, followed = questions.recipe, questions.followed
    by_property = {prop.name: _infer_property(prop, recipe, followed, table) for prop in questions.properties}
    by_property |= {prop.name: _infer_predicted(prop, recipe, followed, table) for prop in questions.predicted}
    order = [*(spec.name for spec in recipe.properties), *([CLASS] if recipe.class_test else [])]
    tests = {name: by_property[name] for name in order}
    for spec, test in zip(recipe.perturbations, questions.tests, strict=True):
        failure = questions.failures.get(test.slug)
        tests[test.name] = _infer_perturbation(spec, test, recipe, followed, table, failure)
    return {name: test.model_copy(update={"stopped": questions.stopped[test.slug]}) for name, test in tests.items()}


def when_precise(width: float, recipe: Recipe, scorer: Scorer, plan: Plan) -> Callable[[SweepTest, ScoreTable], bool]:
    """Whether the effect of a test, as it would be logged, has a 95 % interval narrower than ``width``."""
    specs = {test.slug: spec for spec, test in zip(recipe.perturbations, plan.tests, strict=True)}

    def precise(test: SweepTest, table: ScoreTable) -> bool:
        try:
            return fit_perturbation(specs[test.slug], test, recipe, scorer, table).precise(width)
        except ValueError:  # too few examples have a score
            return False

    return precise


def _infer_predicted(prop: PredictedProperty, recipe: Recipe, followed: Followed, table: ScoreTable) -> TestResult:
    """A property of the predictions may turn out to be constant: then this test fails, not the evaluation."""
    try:
        settled = settle_predicted(prop, table)
    except DataError as error:
        return TestResult(name=prop.name, slug=prop.slug, kind="property", error=str(error))
    return _infer_property(settled, recipe, followed, table)


def settle_predicted(prop: PredictedProperty, table: ScoreTable) -> PropertyData:
    """Turn the values that the sweep measured into a property.

    Raises:
        DataError: they are constant.
    """
    return prop.settle(pd.Series(table.column(property_column(prop.slug))))


def _infer_property(prop: PropertyData, recipe: Recipe, followed: Followed, table: ScoreTable) -> TestResult:
    scorer = followed.scorer
    kind: Kind = "property" if prop.levels is None else "class" if prop.name == CLASS else "category"
    merged = (f"{prop.merged + 1} levels under 1 % of the examples are merged",) if prop.merged else ()
    try:
        fit = fit_property(
            prop,
            table.column(property_column(prop.slug)),
            table.column(CLEAN),
            scorer.scale,
            recipe.rope,
            design_of(table),
            recipe.family,
            expected=table.column(EXPECTED) if EXPECTED in table.columns and prop.of_input else None,
            extra=ExtraFits(recipe.inference.fit_range, recipe.inference.polynomial),
            classes=table.column(TARGET) if recipe.adjust == "target" and scorer.kind.task == "classifier" else None,
        )
    except ValueError as error:  # e.g. one level is left where missing scores are dropped
        text = f"test {prop.name!r}: {error}"
        return TestResult(name=prop.name, slug=prop.slug, kind=kind, unit=prop.unit, error=text)
    return _test(prop.name, prop.slug, kind, prop.unit, fit, followed.groups(prop, table), merged)


def fit_property(
    prop: PropertyData,
    values: NDArray[Any],
    scores: NDArray[np.float64],
    scale: ScoreScale,
    rope: float,
    design: SamplingDesign,
    family: int = 1,
    *,
    expected: NDArray[np.float64] | None = None,
    extra: ExtraFits = NO_EXTRA,
    classes: NDArray[Any] | None = None,
) -> PropertyFit | CategoryFit:
    """Run the property or category test on values or level numbers (n,) and scores (n,).

    The effect of a property is split by the mix of ``classes`` (n,), class numbers, where they are known.
    """
    if prop.levels is not None:
        return category_test(values, scores, scale, levels=prop.levels, rope=rope, design=design, family=family)
    assert prop.span is not None
    fit = property_test(
        values,
        scores,
        scale,
        expected=expected,
        edges=prop.edges,
        unique=prop.unique,
        span=prop.span,
        rope=rope,
        design=design,
        ranks=prop.ranks,
        family=family,
        extra=extra,
    )
    if classes is None:
        return fit
    p = values if prop.ranks is None else prop.ranks.share(values)
    return replace(fit, split=split_effect(p, scores, classes, scale, span=fit.span, design=design, family=family))


def _infer_perturbation(
    spec: PerturbationSpec,
    test: SweepTest,
    recipe: Recipe,
    followed: Followed,
    table: ScoreTable,
    failure: str | None,
) -> TestResult:
    unit, label = test.perturbation.unit, test.label
    if failure is not None:
        return TestResult(name=test.name, slug=test.slug, kind="perturbation", unit=unit, label=label, error=failure)
    try:
        fit = fit_perturbation(spec, test, recipe, followed.scorer, table)
    except ValueError as error:  # e.g. too few examples are left where missing scores are dropped
        text = f"test {test.name!r}: {error}"
        return TestResult(name=test.name, slug=test.slug, kind="perturbation", unit=unit, label=label, error=text)
    drop = allowed_drop(spec, recipe)
    sweeps = followed.sweeps(test, table, drop, recipe.family)
    if SKILL in sweeps and isinstance(drop, int | float):
        skill = sweeps[SKILL]
        lost = skill.mean_drop.lo95 > drop * max(skill.values[0], 0.0)
        fit = fit.held_by(skill.sides, no_skill="no_skill" in skill.flags, lost=lost)
    tested = _test(test.name, test.slug, "perturbation", unit, fit, sweeps)
    return tested.model_copy(update={"label": label, "warnings": (*test.notes, *tested.warnings)})


def fit_perturbation(
    spec: PerturbationSpec, test: SweepTest, recipe: Recipe, scorer: Scorer, table: ScoreTable
) -> PerturbationFit:
    """Fit a perturbation test to the examples that it was asked of so far."""
    rows = table.asked(test.columns)
    scores, excess = rows.array([CLEAN, *test.columns]), None
    if set(test.expected_columns) <= set(table.columns):
        excess = rows.array([EXPECTED, *test.expected_columns])
        np.subtract(scores, excess, out=excess)  # in its place: a third array of this size would be the largest peak
    return perturbation_test(
        scores,
        test.grid,
        scorer.scale,
        allowed_drop=allowed_drop(spec, recipe),
        rope=recipe.rope,
        design=design_of(rows),
        family=recipe.family,
        extra=ExtraFits(spec.fit_range or recipe.inference.fit_range, recipe.inference.polynomial),
        excess=excess,
    )


def _test(
    name: str, slug: str, kind: Any, unit: str, fit: Any, metrics: Mapping[str, Any], more: tuple[str, ...] = ()
) -> TestResult:
    warnings = [FLAGS[flag] for flag in fit.flags if flag in FLAGS]  # the counts say the others
    if fit.n_dropped:
        left_out = f"{fit.n_dropped} examples with a missing score are left out"
        warnings.append(f"{left_out}; if scores are missing because they would be low, the loss is larger")
    if getattr(fit, "n_missing", 0):
        warnings.append(f"the property is missing for {fit.n_missing} examples: a bin of their own, outside the slope")
    return TestResult(
        name=name, slug=slug, kind=kind, unit=unit, fit=fit, metric_fits=dict(metrics), warnings=(*more, *warnings)
    )


def first_failures(
    test: SweepTest, fit: PerturbationFit, table: ScoreTable, drop: AllowedDrop, *, fractional: bool, targets: bool
) -> tuple[FirstFailure, ...]:
    """Return the ten examples whose own score first falls below its own floor at the smallest distance.

    Of several at one distance those that lose most come first; an example that falls on two sides counts where it
    falls sooner. ``targets`` tells whether the true answer may be shown beside the example's identifier.
    """
    scores, ids = table.array([CLEAN, *test.columns]), table.column(ID)
    fallen = Floor.of(drop, fractional).fallen(scores)
    by_side = zip(*(_falls(fallen, side) for side in fit.grid.sides), strict=True)
    example, column, distance, magnitude = (np.concatenate(values) for values in by_side)
    order = np.lexsort((scores[example, column] - scores[example, 0], distance))
    first = order[np.sort(np.unique(example[order], return_index=True)[1])][:MOST_FAILURES]
    truth = table.column(TARGET) if targets else None
    return tuple(
        FirstFailure(
            example=str(ids[example[k]]),
            target=None if truth is None else str(truth[example[k]]),
            magnitude=float(magnitude[k]),
            clean=float(scores[example[k], 0]),
            score=float(scores[example[k], column[k]]),
        )
        for k in first
    )


def _falls(fallen: NDArray[np.bool_], side: Side) -> tuple[NDArray[Any], ...]:
    """Where examples first fall on one side: which do, and for each the column, its distance and magnitude."""
    columns = np.array(side.columns)
    own = fallen[:, columns]
    examples = np.flatnonzero(own.any(axis=1))
    at = own[examples].argmax(axis=1)
    return examples, columns[at], side.distances[at], side.magnitudes[at]


def allowed_drop(spec: PerturbationSpec, recipe: Recipe) -> AllowedDrop:
    """The allowed drop of a test, as inference takes it."""
    drop = spec.allowed_drop or recipe.allowed_drop
    return ("absolute", drop["absolute"]) if isinstance(drop, Mapping) else drop


def design_of(table: ScoreTable) -> SamplingDesign:
    """Weights and clusters of the table's rows, those that it has."""
    weights, clusters = (table.column(name) if name in table.columns else None for name in (WEIGHT, CLUSTER))
    return SamplingDesign(weights, clusters)


def clean_score(table: ScoreTable, scale: ScoreScale) -> GuardedEstimate:
    """The posterior of the mean clean score.

    Raises:
        DataError: fewer than two examples have one.
    """
    return _mean(table.column(CLEAN), table, scale)


def unannounced(table: ScoreTable, scale: ScoreScale) -> Interval | None:
    """Mean clean score less what the model's own probabilities announce; None where it gives none."""
    if EXPECTED not in table.columns:
        return None
    excess = table.column(CLEAN) - table.column(EXPECTED)
    return _mean(excess, table, ScoreScale(-1.0, 1.0, scale.unit)).posterior.summary()


def _mean(values: NDArray[np.float64], table: ScoreTable, scale: ScoreScale) -> GuardedEstimate:
    try:
        return mean_test(values, scale, design_of(table))
    except ValueError as error:
        raise DataError(str(error)) from error
