"""The recipe ``auto``: what to test where the user does not say; bounded, with a reason for each choice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mlflow_sensie.dataset import Examples
from mlflow_sensie.errors import RecipeError
from mlflow_sensie.recipe_model import PerturbationSpec, PropertySpec, Recipe
from mlflow_sensie.survey import ColumnSummary, summarise_column

MOST_EXAMPLES = 2_000
MOST_TESTS = 12


def choose(recipe: Recipe, examples: Examples) -> tuple[Recipe, tuple[str, ...]]:
    """Return the recipe with its tests written out, and the reason for each choice.

    Images get rotation, blur, noise and ink; tabular data its numeric and categorical columns as properties
    and noise on the numeric ones. At most 12 tests; what the user set himself stays.

    Raises:
        RecipeError: nothing can be chosen for this kind of input.
    """
    if examples.form.kind == "tensor" and examples.form.layout is not None:
        chosen, reasons = _for_images(examples)
    elif examples.form.kind == "tabular":
        chosen, reasons = _for_tables(examples)
    else:
        raise RecipeError(
            f"recipe auto has no tests for {examples.form.kind} inputs of shape {examples.form.shape}; "
            "name properties, perturbations or class_test"
        )
    return recipe.model_copy(update=chosen), tuple(reasons)


def _for_images(examples: Examples) -> tuple[dict[str, object], list[str]]:
    names = ("image.rotate", "image.gaussian_blur", "image.gaussian_noise")
    ink = PropertySpec(name="ink", of="image.mean")
    reasons = [f"{name}: the inputs are images ({examples.form.layout}, {examples.form.shape})" for name in names]
    reasons.append("ink: the mean intensity of an image, a property that every image has")
    perturbations = tuple(PerturbationSpec(name=name, apply=name) for name in names)
    return {"properties": (ink,), "perturbations": perturbations}, reasons


def _for_tables(examples: Examples) -> tuple[dict[str, object], list[str]]:
    reasons: list[str] = []
    usable: list[tuple[float, ColumnSummary]] = []
    numeric = False
    for name in dict.fromkeys(examples.column_names()):
        column = examples.column(name)
        assert column is not None
        summary = summarise_column(name, column)
        numeric |= summary.kind in ("numeric", "integer") and name not in examples.metadata and bool(summary.sd)
        if reason := _useless(summary):
            reasons.append(f"{name}: left out, {reason}")
        else:
            usable.append((_association(column.to_numpy(), examples.targets, summary), summary))
    room = MOST_TESTS - int(numeric)
    usable.sort(key=lambda pair: -pair[0])
    for strength, summary in usable[:room]:
        reasons.append(f"{summary.name}: a {summary.kind} column; association with the target {strength:.2f}")
    for strength, summary in usable[room:]:
        reasons.append(f"{summary.name}: left out, {room} columns of stronger association came first ({strength:.2f})")
    found: dict[str, object] = {"properties": tuple(PropertySpec(name=s.name, of=s.name) for _, s in usable[:room])}
    if numeric:
        found["perturbations"] = (PerturbationSpec(name="tabular.noise", apply="tabular.noise"),)
        reasons.append("tabular.noise: the inputs have numeric columns")
    if not found["properties"] and not numeric:
        raise RecipeError(f"recipe auto found no column to test; {'; '.join(reasons)}")
    return found, reasons


def _useless(summary: ColumnSummary) -> str | None:
    """Why a column makes no property: constant, mostly missing, an identifier, or cells that are no values."""
    present = summary.n - summary.n_missing
    if summary.kind == "other":
        return "its cells are neither numbers, dates nor text"
    if summary.n_unique < 2:
        return "it is constant"
    if present < 0.5 * summary.n:
        return f"{summary.n_missing} of {summary.n} values are missing"
    if summary.kind == "category" and summary.n_unique > max(50, 0.5 * present):
        return f"{summary.n_unique} levels in {present} rows: an identifier or free text"
    width = (summary.hi or 0) - (summary.lo or 0)
    if summary.kind == "integer" and summary.n_unique == present and width < 1.5 * present:
        return "every row has its own whole number: an identifier"
    return None


def _association(values: Any, targets: Any, summary: ColumnSummary) -> float:
    """How strongly a column goes with the target: the correlation ratio of ranks over at most 10 groups.

    Cheap and without a prediction; only the order of columns rests on it.
    """
    ranks = pd.Series(pd.factorize(targets, sort=targets.dtype != object)[0]).rank().to_numpy()
    if summary.kind in ("category", "boolean"):
        groups = pd.factorize(values)[0]
    else:
        groups = np.ceil(pd.Series(values).rank(pct=True).fillna(0).to_numpy() * 10).astype(np.int64)
    frame = pd.Series(ranks).groupby(groups)
    total = float(((ranks - ranks.mean()) ** 2).sum())
    between = float((frame.size() * (frame.mean() - ranks.mean()) ** 2).sum())
    return (between / total) ** 0.5 if total > 0 else 0.0
