"""Every test within every slice, and how perturbations and properties interact; at no extra prediction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlflow_sensie.errors import DataError
from mlflow_sensie.evaluation.chunks import SweepTest
from mlflow_sensie.evaluation.columns import TARGET, PropertyData
from mlflow_sensie.evaluation.fitting import (
    CLASS,
    Questions,
    clean_score,
    design_of,
    fit_property,
    infer,
    settle_predicted,
    unannounced,
)
from mlflow_sensie.inference import PerturbationFit, ScoreScale
from mlflow_sensie.recipe.model import Recipe
from mlflow_sensie.result import Interaction, Kind, Slice, SliceColumn, TestResult
from mlflow_sensie.scores.table import CLEAN, ScoreTable, property_column, slice_column


def infer_slices(questions: Questions, table: ScoreTable) -> tuple[SliceColumn, ...]:
    """Run all tests within each slice, on its part of the score table."""
    columns = questions.slices
    return tuple(SliceColumn(column=column.name, slices=tuple(_slices(column, questions, table))) for column in columns)


def _slices(column: PropertyData, questions: Questions, table: ScoreTable) -> Iterator[Slice]:
    scale = questions.scorer.scale
    without = {CLASS} if column.name == TARGET else {column.name}  # constant within its own slices
    for code, level in enumerate(column.levels or ()):
        part = table.part(slice_column(column.slug), code)
        try:
            known = clean_score(part, scale)
        except DataError:  # fewer than two examples
            continue
        tests = {name: test for name, test in infer(questions, part).items() if test.ok and name not in without}
        yield Slice(
            level=level,
            code=code,
            n=len(part),
            clean=known.plain.summary(),
            clean_known=known,
            unannounced=None if column.name == TARGET else unannounced(part, scale),
            metric_estimates=questions.followed.estimates(part),
            tests=tests,
        )


# --- interactions ------------------------------------------------------------------------------------------


def infer_interactions(
    questions: Questions, tests: Mapping[str, TestResult], table: ScoreTable
) -> tuple[Interaction, ...]:
    """Relate the examples' own effects of perturbations to properties, as the recipe asks.

    Pairs of which a test failed are left out: its error says why.
    """
    recipe, scale = questions.recipe, questions.scorer.scale
    sweeps = {test.name: test for test in questions.tests}
    known = {prop.name: prop for prop in questions.properties}
    interactions = []
    for name, other in recipe.pairs():
        if tests[name].ok and tests[other].ok:
            prop = known.get(name) or settle_predicted(next(p for p in questions.predicted if p.name == name), table)
            interactions.append(_interaction(prop, sweeps[other], tests[other].fit, table, scale, recipe))
    return tuple(interactions)


def _interaction(
    prop: PropertyData, test: SweepTest, fit: PerturbationFit, table: ScoreTable, scale: ScoreScale, recipe: Recipe
) -> Interaction:
    side = test.grid.side(fit.worse)
    contrast = side.slope_contrast() * side.length
    rows = table.asked(test.columns)
    values, own = rows.column(property_column(prop.slug)), rows.array([CLEAN, *test.columns]) @ contrast
    kind: Kind = "property" if prop.levels is None else "category"
    about: dict[str, Any] = {"property": prop.name, "perturbation": test.name, "side": fit.worse, "kind": kind}
    try:
        fitted = fit_property(prop, values, own, _range(contrast, scale), recipe.rope, design_of(rows))
    except ValueError as error:  # too few examples have both
        return Interaction(**about, unit=prop.unit, error=str(error))
    return Interaction(**about, unit=prop.unit, fit=fitted)


def _range(contrast: NDArray[np.float64], scale: ScoreScale) -> ScoreScale:
    """The largest change that a contrast of scores may have, either way."""
    if scale.lower is None or scale.upper is None:
        return ScoreScale(None, None, scale.unit)
    most = (scale.upper - scale.lower) * float(np.abs(contrast).sum()) / 2
    return ScoreScale(-most, most, scale.unit)
