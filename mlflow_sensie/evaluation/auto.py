"""The recipe ``auto``: what to test where the user does not say; bounded, with a reason for each choice."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mlflow_sensie.data.examples import Examples, concat, rows
from mlflow_sensie.data.survey import ColumnSummary, summarise_column
from mlflow_sensie.data.types import fresh_copy
from mlflow_sensie.errors import DataError, ModelError, RecipeError, SensieError
from mlflow_sensie.evaluation.plan import make_plan
from mlflow_sensie.evaluation.predict_calls import predict_in_calls
from mlflow_sensie.models.model import Model
from mlflow_sensie.recipe.model import RESERVED, PerturbationSpec, PropertySpec, Recipe, slug

MOST_EXAMPLES = 2_000
MOST_TESTS = 12
SHUFFLED_ROWS = 20_000  # predictions spent on finding out which columns move the model
MOSTLY_MISSING = 0.5

_IMAGES = ("image.rotate", "image.gaussian_blur", "image.gaussian_noise", "image.brightness")
_TEXTS = ("text.typos", "text.case", "text.punctuation", "text.drop_words")
_SERIES = ("series.noise", "series.scale", "series.dropout", "series.shift")


@dataclass(frozen=True)
class Choice:
    """The tests that ``auto`` writes out, and the reason for each, and for what was left out."""

    properties: tuple[PropertySpec, ...]
    perturbations: tuple[PerturbationSpec, ...]
    reasons: tuple[str, ...]


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
    if kind == "tabular":
        choice = _for_tables(examples, model, recipe.batch_size)
    elif kind == "text":
        choice = _for_kind(examples, _TEXTS, {"length": "text.length", "word-length": "text.mean_word_length"})
    elif kind == "series":
        choice = _for_kind(examples, _SERIES, {"mean": "series.mean", "volatility": "series.volatility"})
    elif input_format.layout is not None:
        measured = {"ink": "image.mean", "contrast": "image.contrast"}
        choice = _for_kind(examples, _IMAGES, measured, value_range=recipe.value_range)
    else:
        raise RecipeError(
            f"recipe auto has no tests for {kind} inputs of shape {input_format.shape}; "
            "name properties, perturbations or class_test"
        )
    perturbations = () if model is None else choice.perturbations
    found: dict[str, Any] = {"properties": choice.properties, "perturbations": perturbations}
    dropped = [spec.name for spec in choice.perturbations if model is None]
    theirs = dropped + [spec.name for part, specs in found.items() if part in recipe.model_fields_set for spec in specs]
    reasons = tuple(each for each in choice.reasons if not any(each.startswith(f"{name}: ") for name in theirs))
    left_open = {part: specs for part, specs in found.items() if part not in recipe.model_fields_set}
    return recipe.model_copy(update=left_open), reasons


def _for_kind(
    examples: Examples, perturbations: tuple[str, ...], properties: dict[str, str], **settings: Any
) -> Choice:
    kind = {"tensor": f"images ({examples.input_format.layout}, {examples.input_format.shape})"}.get(
        examples.input_format.kind, examples.input_format.kind
    )
    reasons = [f"{name}: the inputs are {kind}" for name in perturbations]
    specs: list[PropertySpec] = []
    for spec in (PropertySpec(name=name, of=of) for name, of in properties.items()):
        try:
            make_plan(Recipe(properties=(spec,), **settings), examples)
        except DataError as error:
            reasons.append(f"{spec.name}: left out, {error}")
        else:
            reasons.append(f"{spec.name}: {spec.of}, which every example has")
            specs.append(spec)
    room = MOST_TESTS - len(perturbations) - len(properties)
    columns, more = _usable(examples.extra_names(), examples)
    specs += [_column(each.name, properties) for each in columns[:room]]
    reasons += more + [f"{each.name}: {_article(each.kind)} column beside the inputs" for each in columns[:room]]
    reasons += [f"{each.name}: left out, at most {MOST_TESTS} tests" for each in columns[room:]]
    return Choice(tuple(specs), _specs(perturbations), tuple(reasons))


def _for_tables(examples: Examples, model: Model | None, batch_size: int | str) -> Choice:
    usable, reasons = _usable(examples.column_names(), examples)
    extra = examples.extra_names()
    inputs = [each for each in usable if each.name not in extra]
    perturbations = _table_perturbations(examples, reasons)
    if not usable and not perturbations:
        raise RecipeError(f"recipe auto found no column to test; {'; '.join(reasons)}")
    moved = {} if model is None else _movement(model, examples, [each.name for each in inputs], batch_size)
    room = MOST_TESTS - len(perturbations)
    outside = [each for each in usable if each.name in extra][: max(room // 2, room - len(inputs))]
    inputs.sort(key=lambda each: -moved.get(each.name, 0))
    chosen = [*outside, *inputs][:room]
    for each in usable:
        seen = each.name in moved
        why = (
            f"the prediction moves by {moved[each.name]:.3g} when it is shuffled"
            if seen
            else "no model was asked whether it moves"
            if model is None
            else "the model does not see it"
        )
        left_out = "" if each in chosen else f"left out, at most {MOST_TESTS} tests; "
        reasons.append(f"{each.name}: {left_out}{_article(each.kind)} column; {why}")
    return Choice(tuple(_column(each.name) for each in chosen), perturbations, tuple(reasons))


def _column(name: str, taken: Collection[str] = ()) -> PropertySpec:
    """The property of a column, under another name where its own is reserved or taken."""
    free = slug(name) not in RESERVED and name not in taken
    return PropertySpec(name=name if free else f"column {name}", of=name)


def _article(kind: str) -> str:
    return f"an {kind}" if kind == "integer" else f"a {kind}"


def _specs(names: tuple[str, ...]) -> tuple[PerturbationSpec, ...]:
    return tuple(PerturbationSpec(name=name, apply=name) for name in names)


def _table_perturbations(examples: Examples, reasons: list[str]) -> tuple[PerturbationSpec, ...]:
    """Noise on numbers, swaps of categories, missing values in the columns that have some already."""
    inputs = examples.take(slice(0, 1)).inputs
    names = list(inputs.columns) if isinstance(inputs, pd.DataFrame) else list(examples.input_format.names)
    columns: dict[Any, Any] = {name: examples.column(str(name)) for name in names}
    found = {name: summarise_column(str(name), column) for name, column in columns.items()}
    numeric = pd.api.types.is_numeric_dtype
    gaps = [name for name, each in found.items() if 0 < each.n_missing < each.n and each.kind != "other"]
    wanted = {
        "tabular.noise": (any(each.sd and numeric(columns[name]) for name, each in found.items()), "numeric columns"),
        "tabular.swap": (any(each.kind == "category" and each.n_unique > 1 for each in found.values()), "categories"),
        "tabular.missing": (bool(gaps), f"missing values already, in {', '.join(map(str, gaps))}"),
    }
    chosen = tuple(name for name, (fits, _) in wanted.items() if fits)
    reasons += [f"{name}: the inputs have {wanted[name][1]}" for name in chosen]
    params = {"tabular.missing": {"columns": gaps}}  # the model need not bear any elsewhere
    return tuple(PerturbationSpec(name=name, apply=name, params=params.get(name, {})) for name in chosen)


def _usable(names: list[str], examples: Examples) -> tuple[list[ColumnSummary], list[str]]:
    """The columns that make a property, and why the others do not."""
    found: list[ColumnSummary] = []
    reasons: list[str] = []
    for name in dict.fromkeys(names):
        column = examples.column(name)
        assert column is not None
        summary = summarise_column(name, column)
        if reason := _useless(summary):
            reasons.append(f"{name}: left out, {reason}")
        else:
            found.append(summary)
    return found, reasons


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
    moved: dict[str, float] = {}
    for start in range(0, len(names), 50):  # 50 shuffled copies to a predict call
        part = names[start : start + 50]
        answers = _predict(model, concat([_shuffled(sample, name, order) for name in part]), batch_size)
        for index, name in enumerate(part):
            answer = answers[index * len(sample) : (index + 1) * len(sample)]
            moved[name] = _distance(clean, answer)
    return moved


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
    if clean.dtype.kind not in "fiub":
        return float(np.mean(clean != answer))
    change = np.abs(clean.astype(np.float64) - answer)
    return float(np.mean(change.sum(axis=1) / 2 if change.ndim == 2 else change))
