"""The plan: recipe + examples → the properties and sweep tests to run; everything wrong is refused here."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlflow_sensie import properties as property_library
from mlflow_sensie.data.examples import Examples
from mlflow_sensie.data.sources import read_csv
from mlflow_sensie.data.survey import Survey, in_chunks
from mlflow_sensie.errors import DataError, RecipeError, did_you_mean
from mlflow_sensie.evaluation.chunks import SweepTest
from mlflow_sensie.evaluation.columns import PredictedProperty, PropertyData, Roles, bins_of, find_roles, to_property
from mlflow_sensie.evaluation.columnwise import ColumnwisePerturbation, Part, Surveyed, Surveys
from mlflow_sensie.evaluation.neutral import is_open, with_neutral
from mlflow_sensie.inference import Ranks, merge_rare
from mlflow_sensie.perturbations import BUILT_IN
from mlflow_sensie.perturbations.base import FunctionPerturbation, Perturbation
from mlflow_sensie.plugins import find
from mlflow_sensie.recipe.model import PerturbationSpec, PropertySpec, Recipe, slug


@dataclass(frozen=True)
class Plan:
    """What will be run: the survey it rests on, the properties, and the perturbation tests.

    ``predicted`` are the properties of the model's own predictions; ``roles`` the weights, clusters and slices.
    """

    survey: Survey
    properties: tuple[PropertyData, ...]
    predicted: tuple[PredictedProperty, ...]
    tests: tuple[SweepTest, ...]
    roles: Roles


def make_plan(recipe: Recipe, examples: Examples) -> Plan:
    """Plan every test of the recipe for these examples.

    Raises:
        RecipeError: a name is not known, a perturbation does not fit the kind of input, or a magnitude its range.
        DataError: a property is not there, constant, or of the wrong length.
    """
    surveys = Surveys(examples, recipe.layout, recipe.value_range)
    tests = tuple(_plan_perturbation(spec, surveys, recipe.seed) for spec in recipe.perturbations)
    properties = [_plan_property(spec, surveys) for spec in recipe.properties]
    return Plan(
        surveys.whole.survey,
        tuple(prop for prop in properties if isinstance(prop, PropertyData)),
        tuple(prop for prop in properties if isinstance(prop, PredictedProperty)),
        tests,
        find_roles(recipe, examples),
    )


# --- perturbations -----------------------------------------------------------------------------------------


def _plan_perturbation(spec: PerturbationSpec, surveys: Surveys, seed: int) -> SweepTest:
    where = f"perturbation {spec.name!r}"
    target, kind = _find_perturbation(spec), surveys.examples.input_format.kind
    if getattr(target, "kind", "any") in ("tensor", "series") and kind == "tabular":
        perturbation = _in_columns(spec, target, surveys, where)
    else:
        perturbation = _make_perturbation(spec, target, where)
        if perturbation.kind not in ("any", kind):
            raise _misfit(spec, perturbation, kind, where)
        if perturbation.kind == "tensor":
            surveys.whole.refuse_unknown_range(where)
        perturbation = perturbation.bind(surveys.whole.survey)
    magnitudes = spec.magnitudes or tuple(sorted(perturbation.default_magnitudes))
    if not magnitudes:
        raise RecipeError(f"{where}: a function has no default magnitudes; give 'magnitudes', at least two")
    _check_magnitudes(magnitudes, perturbation, where)
    tested = tuple(p for p in magnitudes if p != perturbation.neutral)
    test = SweepTest(spec.name, slug(spec.name), perturbation, tested, spec.label or "")
    if is_open(test, spec.neutral):
        test = with_neutral(test, surveys.examples, seed)
    check_fit_range(spec, test, where)
    return test


def _in_columns(spec: PerturbationSpec, target: Any, surveys: Surveys, where: str) -> Perturbation:
    """A perturbation of images or series, in the columns of arrays that a table of several inputs has."""
    params = dict(spec.params)
    columns = params.pop("columns", None)
    perturbation = _make_perturbation(spec.model_copy(update={"params": params}), target, where)
    parts = {}
    names = [columns] if isinstance(columns, str) else columns
    for name, column in surveys.columns(perturbation.kind, names, where).items():
        column.refuse_unknown_range(f"{where}, column {name!r}")
        parts[name] = Part(column.examples.input_format, column.survey, perturbation.bind(column.survey))
    if not parts:
        raise _misfit(spec, perturbation, "tabular", where)
    return ColumnwisePerturbation.of(parts)


def _misfit(spec: PerturbationSpec, perturbation: Perturbation, kind: str, where: str) -> RecipeError:
    hint = "; give input_shape, the shape of one example" if perturbation.kind in ("tensor", "series") else ""
    return RecipeError(f"{where}: {spec.apply!r} works on {perturbation.kind} inputs, these are {kind}{hint}")


def _find_perturbation(spec: PerturbationSpec) -> Any:
    if not isinstance(spec.apply, str):
        return spec.apply
    return find(spec.apply, BUILT_IN, "mlflow_sensie.perturbations", "perturbation")


def _make_perturbation(spec: PerturbationSpec, target: Any, where: str) -> Perturbation:
    try:
        if isinstance(target, type) and issubclass(target, Perturbation):
            target = target(**spec.params)
        elif isinstance(target, Perturbation):
            target = replace(target, **spec.params)
        else:
            function = functools.partial(target, **spec.params) if spec.params else target
            neutral = None if spec.neutral == "none" else spec.neutral
            return FunctionPerturbation(function, neutral=neutral, unit=spec.unit or "")
    except (TypeError, ValueError) as error:
        raise RecipeError(f"{where}: {spec.apply!r} does not take params {dict(spec.params)}: {error}") from error
    for key in ("neutral", "unit"):
        own, asked = (_text(getattr(part, key)) for part in (target, spec))
        if getattr(spec, key) is not None and asked != own:
            raise RecipeError(f"{where}: the {key} of {spec.apply!r} is {own}; {asked} came")
    perturbation: Perturbation = target
    return perturbation


def _text(value: float | str | None) -> str:
    return "none" if value is None else value if isinstance(value, str) else f"{value:g}"


def _check_magnitudes(magnitudes: tuple[float, ...], perturbation: Perturbation, where: str) -> None:
    low, high = perturbation.limits
    outside = [p for p in magnitudes if not low <= p <= high or (perturbation.log_distance and p <= 0)]
    if outside:
        allowed = f"{low:g} to {high:g}" + (", above 0" if perturbation.log_distance else "")
        raise RecipeError(
            f"{where}: magnitude {outside[0]:g} is outside what is allowed ({allowed} {perturbation.unit})"
        )


def check_fit_range(spec: PerturbationSpec, test: SweepTest, where: str) -> None:
    """Raise RecipeError where a test has fewer than two points in the range that it is to be fitted in."""
    if spec.fit_range is None or spec.fit_range == "auto":
        return
    low, high = spec.fit_range
    if not any(len(side.within(low, high)) >= 2 for side in test.grid.sides):
        neutral = test.perturbation.neutral
        points = ", ".join(f"{p:g}" for p in sorted({*test.magnitudes, *([] if neutral is None else [neutral])}))
        raise RecipeError(f"{where}: fit_range [{low:g}, {high:g}] holds fewer than two points of a side ({points})")


# --- properties --------------------------------------------------------------------------------------------


def _plan_property(spec: PropertySpec, surveys: Surveys) -> PropertyData | PredictedProperty:
    where, examples = f"property {spec.name!r}", surveys.examples
    if isinstance(spec.of, str) and (column := examples.column(spec.of)) is not None:
        prop = property_of(spec, column.reset_index(drop=True), "")
        return replace(prop, of_input=spec.of not in examples.extra_names())
    target = _find_property(spec, examples, where)
    in_column = getattr(target, "kind", "any") in ("tensor", "series") and examples.input_format.kind == "tabular"
    measured = surveys.only_column(target.kind, where) if in_column else surveys.whole
    function = _bound(target, spec, measured, where)
    unit = str(getattr(function, "unit", ""))
    if getattr(function, "needs", "inputs") == "probabilities":
        settle = functools.partial(property_of, spec, unit=unit)
        return PredictedProperty(spec.name, slug(spec.name), function, settle, unit)
    return property_of(spec, _measure(function, measured.examples, where), unit)


def property_of(spec: PropertySpec, column: pd.Series[Any], unit: str) -> PropertyData:
    """Turn the values of all examples into the property that a recipe asks for.

    Raises:
        DataError: it cannot be one, or ranks are asked for and it has levels.
    """
    prop = to_property(spec.name, slug(spec.name), column, unit, functools.partial(bins_of, spec.bins), merge_rare)
    if spec.rank and prop.levels is not None:
        levels = ", ".join(map(repr, prop.levels[:3])) + (", …" if len(prop.levels) > 3 else "")
        raise DataError(f"property {spec.name!r}: rank: true needs numbers or dates; its values are {levels}")
    return replace(prop, ranks=Ranks.of(prop.values) if spec.rank else None)


def _find_property(spec: PropertySpec, examples: Examples, where: str) -> Any:
    """The function that measures a property: a built-in, an entry point, ``module:function``, or the user's own."""
    target: Any = spec.of
    if isinstance(target, str):
        try:
            target = find(target, property_library.BUILT_IN, "mlflow_sensie.properties", "property")
        except RecipeError as error:
            names = examples.column_names()
            hint, columns = did_you_mean(target, names), ", ".join(names[:20]) or "none"
            raise RecipeError(f"{where}: no column {target!r}{hint}; columns: {columns}; and {error}") from error
    return target() if isinstance(target, type) else target


def _bound(target: Any, spec: PropertySpec, measured: Surveyed, where: str) -> Callable[[Any], Any]:
    """The function with what it asks of the whole data, if it fits the kind of input."""
    kind = measured.examples.input_format.kind
    if getattr(target, "kind", "any") not in ("any", kind):
        raise RecipeError(f"{where}: {spec.of!r} works on {target.kind} inputs, these are {kind}")
    if getattr(target, "kind", None) == "tensor":
        measured.refuse_unknown_range(where)
    bound: Callable[[Any], Any] = target.bind(measured.survey) if hasattr(target, "bind") else target
    return bound


def _measure(function: Callable[[Any], Any], examples: Examples, where: str) -> pd.Series[Any]:
    parts: list[pd.Series[Any]] = []
    for inputs in in_chunks(examples):
        try:
            values = pd.Series(np.asarray(function(inputs)))
        except Exception as error:
            raise DataError(
                f"{where}: the function failed on {len(inputs)} examples: {type(error).__name__}: {error}"
            ) from error
        if len(values) != len(inputs):
            raise DataError(f"{where}: the function returned {len(values)} values for {len(inputs)} examples")
        parts.append(values)
    return pd.concat(parts, ignore_index=True)


def read_property_table(table: Any) -> tuple[pd.DataFrame, str | None]:
    """Return the property table as a frame, and the key column that aligns it (``None``: by position).

    Raises:
        RecipeError: it is no frame, dict of columns, CSV or Parquet path, or ``{path, key}``.
    """
    key = None
    if isinstance(table, Mapping) and set(table) == {"path", "key"}:
        table, key = table["path"], table["key"]
    if isinstance(table, str | Path):
        path = Path(table)
        if not path.is_file():
            raise RecipeError(f"property_table: there is no file {path}")
        if path.suffix not in (".csv", ".parquet"):
            raise RecipeError(f"property_table: a .csv or .parquet file is read; {path.name} came")
        table = read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    if isinstance(table, Mapping):
        try:
            table = pd.DataFrame(dict(table))
        except ValueError as error:
            raise RecipeError(f"property_table: its columns make no table: {error}") from error
    if not isinstance(table, pd.DataFrame):
        raise RecipeError(f"property_table: a frame, dict, path or {{path, key}} is read; {type(table).__name__} came")
    return table, key


def align_by_key(table: pd.DataFrame, key: str, keys: pd.Series[Any] | None) -> pd.DataFrame:
    """Return the rows of ``table`` in the order of ``keys``; examples that it does not hold get missing values.

    Raises:
        DataError: the key column is missing on a side, or not unique in the table.
    """
    if key not in table or keys is None:
        side = "the property table" if key not in table else "the data"
        raise DataError(f"property_table: the key column {key!r} is not in {side}")
    if table[key].duplicated().any():
        repeated = table[key][table[key].duplicated()].tolist()
        raise DataError(f"property_table: the key {key!r} is not unique ({repeated[0]!r} twice)")
    if not keys.isin(table[key]).any():
        ours, theirs = keys.tolist()[0], table[key].tolist()[:1]
        raise DataError(f"property_table: none of its keys is in the data; {key!r} is {theirs} there, {ours!r} here")
    return table.set_index(key).reindex(keys.to_numpy()).reset_index(drop=True)
