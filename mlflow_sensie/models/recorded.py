"""Recorded predictions: what a model answered once, where no model is there to be asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlflow_sensie.data.examples import Examples
from mlflow_sensie.data.input_format import InputFormat
from mlflow_sensie.data.lazy_rows import LazyRows
from mlflow_sensie.data.sources import Data, as_source
from mlflow_sensie.data.types import named_column
from mlflow_sensie.errors import DataError, ModelError, RecipeError, did_you_mean
from mlflow_sensie.models.model import Model
from mlflow_sensie.models.outputs import as_rows
from mlflow_sensie.recipe.model import Recipe

SOURCE = "recorded predictions"


def separate_predictions(data: Data, recipe: Recipe) -> Data:
    """Return the data with its predictions apart from the inputs: given as such, or in the recipe's columns.

    Raises:
        ModelError: there are no predictions.
        DataError: a column is not there, or the number of predictions is not that of the examples.
        RecipeError: something is asked that needs a model.
    """
    if recipe.perturbations:
        raise RecipeError(
            f"perturbation {recipe.perturbations[0].name!r} needs a model to ask; of recorded predictions (model=None) "
            "there are property and class tests"
        )
    names = [recipe.predictions] if isinstance(recipe.predictions, str | int) else list(recipe.predictions or ())
    if data.predictions is None and not names:
        raise ModelError("no model came (model=None), and no predictions: pass a model, or predictions=…")
    if data.predictions is not None and names:
        raise RecipeError(f"predictions came twice: beside the data, and as {', '.join(map(str, names))} in the recipe")
    data = data if not names else _without(data, [str(name) for name in names])
    if len(data.predictions) != len(data.inputs):
        raise DataError(f"{len(data.predictions)} predictions came for {len(data.inputs)} examples; they must agree")
    return data


def _without(data: Data, names: Sequence[str]) -> Data:
    """Move columns of the inputs, or beside them, to the predictions."""
    inputs, beside = as_source(data.inputs), data.properties
    columns = {name: _column(inputs, beside, name) for name in names}
    missing = [name for name, column in columns.items() if column is None]
    if missing:
        known = [*getattr(inputs, "names", getattr(inputs, "columns", ())), *(() if beside is None else beside)]
        hint, listed = did_you_mean(missing[0], known), ", ".join(map(str, known))
        raise DataError(f"predictions: there is no column {missing[0]!r}{hint}; the columns are {listed}")
    if isinstance(inputs, LazyRows) and set(names) & set(inputs.names):
        inputs = inputs.only([name for name in inputs.names if name not in names])
    elif isinstance(inputs, pd.DataFrame):
        inputs = inputs.drop(columns=[name for name in inputs.columns if str(name) in names])
    rest = None if beside is None else beside.drop(columns=[name for name in beside if str(name) in names])
    table = pd.DataFrame({name: np.asarray(column) for name, column in columns.items()})
    predictions = table if len(names) > 1 else np.asarray(columns[names[0]])
    return replace(data, inputs=inputs, properties=rest, predictions=predictions)


def _column(inputs: Any, beside: pd.DataFrame | None, name: str) -> pd.Series[Any] | None:
    if isinstance(inputs, LazyRows) and (column := inputs.column(name)) is not None:
        return column
    column = named_column(inputs, name)
    return named_column(beside, name) if column is None else column


def recorded_model(predictions: Any, task: str | None) -> Model:
    """Return a model of the examples' positions (n, 1), which answers what was predicted for them."""
    table = predictions if isinstance(predictions, pd.DataFrame) else as_rows(np.asarray(predictions))

    def answer(positions: NDArray[Any]) -> Any:
        rows = positions[:, 0].astype(np.intp)
        return table.iloc[rows].reset_index(drop=True) if isinstance(table, pd.DataFrame) else table[rows]

    return Model(answer, SOURCE, task=task, name=SOURCE)


def as_positions(examples: Examples, positions: NDArray[np.intp]) -> Examples:
    """Return the examples as a recorded model takes them: their positions among all that there are predictions of."""
    return replace(
        examples, source=positions[:, None], input_format=InputFormat("tabular", "array", names=("position",))
    )
