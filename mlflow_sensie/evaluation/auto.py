"""The recipe ``auto``: what to test where the user does not say; bounded, with a reason for each choice."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from mlflow_sensie.data.examples import Examples, concat, rows
from mlflow_sensie.data.survey import ColumnSummary, summarise_column
from mlflow_sensie.data.types import fresh_copy
from mlflow_sensie.errors import DataError, ModelError, RecipeError, SensieError
from mlflow_sensie.evaluation.columns import AUTO, MOST_CLASSES, Roles, balanced_weights
from mlflow_sensie.evaluation.plan import make_plan
from mlflow_sensie.evaluation.predict_calls import predict_in_calls
from mlflow_sensie.models.model import Model
from mlflow_sensie.recipe.model import RESERVED, PerturbationSpec, PropertySpec, Recipe, slug
from mlflow_sensie.scores.kinds import AGREEMENT
from mlflow_sensie.scores.scorer import Targets

MOST_EXAMPLES = 2_000
MOST_TESTS = 12
SHUFFLED_ROWS = 20_000  # predictions spent on finding out which columns move the model
MOSTLY_MISSING = 0.5
RARE = 0.4  # of the share that each of K classes would have, 1/K

# perturbations and properties of each kind
_OF_KIND: Mapping[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "tensor": (
        ("image.rotate", "image.gaussian_blur", "image.gaussian_noise", "image.brightness"),
        {"ink": "image.mean", "contrast": "image.contrast"},
    ),
    "text": (
        ("text.typos", "text.case", "text.punctuation", "text.drop_words"),
        {"length": "text.length", "word-length": "text.mean_word_length"},
    ),
    "series": (
        ("series.noise", "series.scale", "series.dropout", "series.shift"),
        {"mean": "series.mean", "volatility": "series.volatility"},
    ),
}

Choice = tuple[tuple[PropertySpec, ...], tuple[PerturbationSpec, ...]]
Reasons = list[tuple[str, str]]  # the name of a test or column, and why it is tested or left out


def choose(recipe: Recipe, examples: Examples, model: Model | None) -> tuple[Recipe, tuple[str, ...]]:
    """Return the recipe with its tests written out, and the reason for each choice.

    Tabular data gets its columns as properties, those first that move the model most, and noise, swaps or
    missing values on what it has of numbers, categories and gaps. Images, texts and series get the usual
    perturbations of their kind, and properties that every one of them has. At most 12 tests. ``properties``
    or ``perturbations`` that the user set himself stay as they are. Without a model, of recorded predictions, there
    are no perturbations, and columns stand in their own order.

    Raises:
        RecipeError: nothing can be chosen for this kind of input.
        ModelError: the model fails on the unperturbed examples.
    """
    kind, input_format = examples.input_format.kind, examples.input_format
    reasons: Reasons = []
    if kind == "tabular":
        properties, perturbations = _for_tables(examples, model, recipe.batch_size, reasons)
    elif kind in ("text", "series") or input_format.layout is not None:
        properties, perturbations = _for_kind(examples, *_OF_KIND[kind], recipe.value_range, reasons)
    else:
        raise RecipeError(
            f"recipe auto has no tests for {kind} inputs of shape {input_format.shape}; "
            "name properties, perturbations or class_test"
        )
    if recipe.score == AGREEMENT:
        nothing = {spec.name: "left out, every unperturbed example has the same score" for spec in properties}
        properties, reasons = (), [(name, nothing.get(name, why)) for name, why in reasons]
    silent = set() if model is not None else {spec.name for spec in perturbations}
    chosen: dict[str, Any] = {"properties": properties, "perturbations": () if model is None else perturbations}
    for part in recipe.model_fields_set & chosen.keys():  # the user's own stay
        silent |= {spec.name for spec in chosen.pop(part)}
    choices = tuple(f"{name}: {why}" for name, why in reasons if name not in silent)
    return recipe.model_copy(update=chosen), choices


def choose_by_class(recipe: Recipe, targets: Targets, roles: Roles) -> tuple[Recipe, Roles, tuple[str, ...]]:
    """Return recipe and roles with what waits for the classes to be known, and the reason for each choice.

    The recipe ``auto`` has the class test where there are classes; ``weights: auto`` are ``balanced`` where the
    smallest of K classes has under 0.4/K of the examples.
    """
    counts = np.zeros(0) if targets.classes is None else np.bincount(targets.values)
    counts = counts[counts > 0]
    choices: tuple[str, ...] = ()
    if recipe.recipe == AUTO and "class_test" not in recipe.model_fields_set:
        recipe = recipe.model_copy(update={"class_test": len(counts) > 1})
        choices = (f"class: the targets are {len(counts)} classes",) if len(counts) > 1 else ()
    if recipe.weights != AUTO:
        return recipe, roles, choices
    weights, share = None, 100 * min(counts, default=0) / len(targets.values)
    why = f"the smallest class has {share:.2g} % of the examples"
    if 1 < len(counts) <= MOST_CLASSES and counts.min() < RARE / len(counts) * counts.sum():
        if recipe.inference.engine == "robust":
            weights, roles = "balanced", replace(roles, weights=balanced_weights(targets.values))
            choices += (f"weights: balanced, since {why}",)
        else:
            equal = f"engine {recipe.inference.engine!r} takes all examples as equal"
            choices += (f"weights: none, since {equal}, though {why}",)
    return recipe.model_copy(update={"weights": weights}), roles, choices


def _for_kind(
    examples: Examples, perturbations: tuple[str, ...], measured: dict[str, str], value_range: Any, reasons: Reasons
) -> Choice:
    """The usual tests of images, texts or series, and properties that every example has."""
    form = examples.input_format
    kind = f"images ({form.layout}, {form.shape})" if form.kind == "tensor" else form.kind
    reasons += [(name, f"the inputs are {kind}") for name in perturbations]
    properties: list[PropertySpec] = []
    for name, function in measured.items():
        spec = PropertySpec(name=name, of=function)
        try:
            make_plan(Recipe(properties=(spec,), value_range=value_range), examples)
        except DataError as error:
            reasons.append((name, f"left out, {error}"))
        else:
            reasons.append((name, f"{function}, which every example has"))
            properties.append(spec)
    room = MOST_TESTS - len(perturbations) - len(measured)
    columns = _usable(examples.extra_names(), examples, reasons)
    properties += [_column(column.name, measured) for column in columns[:room]]
    reasons += [(column.name, f"{_article(column.kind)} column beside the inputs") for column in columns[:room]]
    reasons += [(column.name, f"left out, at most {MOST_TESTS} tests") for column in columns[room:]]
    return tuple(properties), tuple(PerturbationSpec(name=name, apply=name) for name in perturbations)


def _for_tables(examples: Examples, model: Model | None, batch_size: int | str, reasons: Reasons) -> Choice:
    """The columns, those first that move the model most, and what their kinds allow to perturb."""
    columns, extra = _usable(examples.column_names(), examples, reasons), examples.extra_names()
    perturbations = _table_perturbations(examples, reasons)
    if not columns and not perturbations:
        texts = "; ".join(f"{name}: {why}" for name, why in reasons)
        raise RecipeError(f"recipe auto found no column to test; {texts}")
    inputs = [column for column in columns if column.name not in extra]
    movement = {} if model is None else _movement(model, examples, [column.name for column in inputs], batch_size)
    room = MOST_TESTS - len(perturbations)
    outside = [column for column in columns if column.name in extra][: max(room // 2, room - len(inputs))]
    inputs.sort(key=lambda column: -movement.get(column.name, 0))
    chosen = [*outside, *inputs][:room]
    for column in columns:
        if column.name in movement:
            why = f"the prediction moves by {movement[column.name]:.3g} when it is shuffled"
        else:
            why = "no model was asked whether it moves" if model is None else "the model does not see it"
        left_out = "" if column in chosen else f"left out, at most {MOST_TESTS} tests; "
        reasons.append((column.name, f"{left_out}{_article(column.kind)} column; {why}"))
    return tuple(_column(column.name) for column in chosen), perturbations


def _column(name: str, taken: Collection[str] = ()) -> PropertySpec:
    """The property of a column, under another name where its own is reserved or taken."""
    free = slug(name) not in RESERVED and name not in taken
    return PropertySpec(name=name if free else f"column {name}", of=name)


def _article(kind: str) -> str:
    return f"an {kind}" if kind == "integer" else f"a {kind}"


def _table_perturbations(examples: Examples, reasons: Reasons) -> tuple[PerturbationSpec, ...]:
    """Noise on numbers, swaps of categories, missing values in the columns that have some already."""
    inputs = examples.take(slice(0, 1)).inputs
    names = list(inputs.columns) if isinstance(inputs, pd.DataFrame) else list(examples.input_format.names)
    columns: dict[Any, Any] = {name: examples.column(str(name)) for name in names}
    summaries = {name: summarise_column(str(name), column) for name, column in columns.items()}
    numeric = any(one.sd and pd.api.types.is_numeric_dtype(columns[name]) for name, one in summaries.items())
    categories = any(one.kind == "category" and one.n_unique > 1 for one in summaries.values())
    gaps = [name for name, one in summaries.items() if 0 < one.n_missing < one.n and one.kind != "other"]
    what = {
        "tabular.noise": "numeric columns" if numeric else "",
        "tabular.swap": "categories" if categories else "",
        "tabular.missing": f"missing values already, in {', '.join(map(str, gaps))}" if gaps else "",
    }
    chosen = [name for name in what if what[name]]
    reasons += [(name, f"the inputs have {what[name]}") for name in chosen]
    params = {"tabular.missing": {"columns": gaps}}  # the model need not bear any elsewhere
    return tuple(PerturbationSpec(name=name, apply=name, params=params.get(name, {})) for name in chosen)


def _usable(names: list[str], examples: Examples, reasons: Reasons) -> list[ColumnSummary]:
    """The columns that make a property; why the others do not is added to the reasons."""
    usable: list[ColumnSummary] = []
    for name in dict.fromkeys(names):
        column = examples.column(name)
        assert column is not None
        summary = summarise_column(name, column)
        if reason := _useless(summary):
            reasons.append((name, f"left out, {reason}"))
        else:
            usable.append(summary)
    return usable


def _useless(summary: ColumnSummary) -> str | None:
    """Why a column makes no property: constant, mostly missing, an identifier, or cells that are no values."""
    present = summary.n - summary.n_missing
    if summary.kind == "other":
        return "its cells are neither numbers, dates nor text"
    if summary.n_unique < 2:
        return "it is constant"
    if present < MOSTLY_MISSING * summary.n:
        return f"{summary.n_missing} of {summary.n} values are missing"
    if summary.kind == "category" and summary.n_unique > max(50, 0.5 * present):
        return f"{summary.n_unique} levels in {present} rows: an identifier or free text"
    if summary.kind == "integer" and summary.n_unique == present and _numbers_rows(summary, present):
        return "every row has its own whole number: an identifier"
    return None


def _numbers_rows(summary: ColumnSummary, n: int) -> bool:
    """Whether n different whole numbers are (nearly) all of a range, or evenly spread over a not too large one.

    The second is what a random part of all rows has kept of their numbers. Evenly: by Kolmogorov's test at 5 %,
    which too few rows would pass whatever they hold.
    """
    low, width = summary.lo or 0.0, (summary.hi or 0.0) - (summary.lo or 0.0)
    if width < 1.5 * n:
        return True
    evenly = low + width * np.linspace(0, 1, len(summary.quantiles))
    apart = float(np.abs(np.asarray(summary.quantiles) - evenly).max() / width)
    return n >= 200 and width < 1_000 * n and apart < 1.36 / n**0.5


def _movement(model: Model, examples: Examples, names: list[str], batch_size: int | str) -> dict[str, float]:
    """How far the prediction moves, on average, when one column is shuffled: total variation for
    probabilities, the share of changed labels, or the absolute change of a number."""
    if not names:
        return {}
    size = int(np.clip(SHUFFLED_ROWS // len(names), 25, 200))
    sample = examples.take(np.linspace(0, len(examples) - 1, min(size, len(examples))).astype(np.intp))
    clean = _predict(model, sample.inputs, batch_size)
    order = np.random.default_rng(0).permutation(len(sample))
    movement: dict[str, float] = {}
    for start in range(0, len(names), 50):  # 50 shuffled copies to a predict call
        part = names[start : start + 50]
        answers = _predict(model, concat([_shuffled(sample, name, order) for name in part]), batch_size)
        for index, name in enumerate(part):
            answer = answers[index * len(sample) : (index + 1) * len(sample)]
            movement[name] = _distance(clean, answer)
    return movement


def _predict(model: Model, inputs: Any, batch_size: int | str) -> np.ndarray[Any, Any]:
    try:
        return predict_in_calls(model, fresh_copy(inputs), batch_size).values
    except SensieError:
        raise
    except Exception as error:
        text = f"the model failed while recipe auto asked which columns move it: {type(error).__name__}: {error}"
        raise ModelError(text) from error


def _shuffled(sample: Examples, name: str, order: np.ndarray[Any, Any]) -> Any:
    position = list(map(str, sample.input_format.names)).index(name)
    if isinstance(sample.inputs, pd.DataFrame):
        frame = sample.inputs.copy()
        frame.isetitem(position, sample.inputs.iloc[order, position].array)
        return frame
    copy = np.array(rows(sample.inputs, slice(None)))
    copy[:, position] = copy[order, position]
    return copy


def _distance(clean: np.ndarray[Any, Any], answer: np.ndarray[Any, Any]) -> float:
    if clean.dtype == object or clean.shape != answer.shape:
        return float(np.mean([not same(one, other) for one, other in zip(clean, answer, strict=True)]))
    if clean.dtype.kind not in "fiub":
        return float(np.mean(clean != answer))
    change = np.abs(clean.astype(np.float64) - answer)
    return float(np.mean(change.sum(axis=1) / 2 if change.ndim == 2 else change))


def same(one: Any, other: Any) -> bool:
    """Whether two answers are equal, whatever they are: labels, arrays, lists or dicts of them."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return np.array_equal(one, other) if np.ndim(one) or np.ndim(other) else bool(one == other)
