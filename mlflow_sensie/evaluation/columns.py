"""What a column of the examples is for the tests: a property, weights, clusters, or slices to report on."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlflow_sensie.data.examples import Examples
from mlflow_sensie.data.survey import as_numbers, column_kind, count_unique
from mlflow_sensie.errors import DataError, RecipeError, did_you_mean
from mlflow_sensie.inference import Ranks, bin_edges, merge_rare, property_span
from mlflow_sensie.inference.binning import bin_labels, inner_edges
from mlflow_sensie.recipe.model import Recipe, slug
from mlflow_sensie.scores.table import CLUSTER, WEIGHT, slice_column

SLICE_BINS = 4  # of a number that is cut into slices without a word on how
FEW = 0.2  # a class below this share has every test shown by class, unless the recipe says otherwise
MOST_CLASSES = 1000  # more are no classes
MOST_SLICES = 50  # of one column; rarer levels are merged
TARGET = "target"
AUTO = "auto"  # weights that are balanced where a class is rare


@dataclass(frozen=True)
class PropertyData:
    """One property of all examples.

    ``values`` (n,): floats with NaN for missing, or level numbers with −1 for missing where ``levels`` names
    them. ``span`` is the range that the effect is measured over; ``edges`` or ``unique`` say the bins; with
    ``ranks``, those of all examples, the slope is that on the rank. A property that is no function of the input, nor
    ``of_input``, may know of the answer what no model can: of such a one nothing is called unexpected.
    """

    name: str
    slug: str
    unit: str
    values: NDArray[Any]
    levels: tuple[str, ...] | None = None
    span: tuple[float, float] | None = None
    edges: tuple[float, ...] | None = None
    unique: tuple[float, ...] | None = None
    merged: int = 0
    ranks: Ranks | None = None
    of_input: bool = True

    def column(self) -> pd.Series[Any]:
        """Return the numbers, or the names of the levels, "" where missing: what counts for the data's identity."""
        names = np.array(["", *(self.levels or ())], dtype=object)
        return pd.Series(names[self.values + 1] if self.levels else self.values)


@dataclass(frozen=True)
class PredictedProperty:
    """A property of the unperturbed predictions: known only after the sweep.

    ``measure`` turns class probabilities (n, K) into values (n,); ``settle`` turns the values of all
    examples into the property.
    """

    name: str
    slug: str
    measure: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    settle: Callable[[pd.Series[Any]], PropertyData]
    unit: str = ""


Bins = Callable[[NDArray[np.float64]], tuple[Any, Any]]
Merge = Callable[[tuple[str, ...], NDArray[np.int64]], tuple[tuple[str, ...], NDArray[np.int64]]]


def to_property(name: str, slug: str, column: pd.Series[Any], unit: str, bins: Bins, merge: Merge) -> PropertyData:
    """Turn a column into a property: numbers and dates as they are, everything else into levels.

    ``bins`` maps the present numbers to edges, or else their unique values; ``merge`` maps levels and their counts
    to fewer levels and the new number of each.

    Raises:
        DataError: the property is constant, all missing, infinite somewhere, or of cells that are no values.
    """
    kind = column_kind(column)
    if kind == "other":
        raise DataError(
            f"property {name!r}: its cells are neither numbers, dates nor text; the first is {column.iloc[0]!r}"
        )
    present = column.dropna()
    distinct = count_unique(present)
    if distinct < 2:
        fault = f"is always {present.tolist()[0]!r}" if distinct else "has no value at all"
        raise DataError(f"property {name!r} {fault}; a property must vary to be tested")
    if kind in ("category", "boolean"):
        return _to_levels(name, slug, column, merge)
    values = as_numbers(column)
    if np.isinf(values).any():
        raise DataError(
            f"property {name!r} is infinite for {int(np.isinf(values).sum())} examples; make them missing (NaN)"
        )
    unit = unit or ("days since 1970-01-01" if kind == "datetime" else "")
    numbers = values[~np.isnan(values)]
    edges, unique = (None if places is None else tuple(places.tolist()) for places in bins(numbers))
    return PropertyData(name, slug, unit, values, span=property_span(numbers), edges=edges, unique=unique)


def bins_of(bins: Any, numbers: NDArray[np.float64]) -> tuple[Any, Any]:
    """Edges of the bins that a recipe asks for, or else the unique values."""
    return bin_edges(numbers, ("uniform", bins["uniform"]) if isinstance(bins, Mapping) else bins)


def groups_of(prop: PropertyData, values: NDArray[Any]) -> tuple[tuple[str, ...], NDArray[np.intp]]:
    """Return the names of a property's bins or levels, none where it has no bins, and the number of each example's.

    ``values`` (n,) are the property's; a missing one has the number −1.
    """
    if prop.levels is not None:
        return prop.levels, values.astype(np.intp)
    if prop.edges is None and prop.unique is None:
        return (), np.full(len(values), -1)
    numbers = np.searchsorted(inner_edges(prop.edges, prop.unique), values, side="right")
    return tuple(bin_labels(prop.edges, prop.unique)), np.where(np.isnan(values), -1, numbers)


def _to_levels(name: str, slug: str, column: pd.Series[Any], merge: Merge) -> PropertyData:
    own, values = pd.factorize(column)  # -1 for missing
    names, together = np.unique(np.array([str(value) for value in values], dtype=object), return_inverse=True)
    counts = np.bincount(together[own[own >= 0]], minlength=len(names))
    levels, numbers = merge(tuple(names.tolist()), np.asarray(counts, dtype=np.int64))
    codes = np.append(np.asarray(numbers, dtype=np.int64)[together], -1)[own]
    return PropertyData(name, slug, "", codes, levels, merged=len(names) - len(levels))


@dataclass(frozen=True)
class Roles:
    """What the examples count, which hang together, and the subsets to report on.

    ``weights`` (n,) above 0, ``clusters`` (n,) codes; ``slices`` have a level number for every example.
    """

    weights: NDArray[np.float64] | None = None
    clusters: NDArray[np.int64] | None = None
    slices: tuple[PropertyData, ...] = ()

    def columns(self) -> dict[str, NDArray[Any]]:
        """Return them as columns of the score table."""
        columns = {WEIGHT: self.weights, CLUSTER: self.clusters} | {slice_column(s.slug): s.values for s in self.slices}
        return {name: values for name, values in columns.items() if values is not None}

    def identity(self) -> dict[str, pd.Series[Any]]:
        """Return what belongs to the identity of the data: weights and clusters, by names that no column has."""
        counted = {" weights": self.weights, " clusters": self.clusters}
        return {name: pd.Series(values) for name, values in counted.items() if values is not None}


def find_roles(recipe: Recipe, examples: Examples) -> Roles:
    """Read weights, clusters and slices off the examples.

    Slices by target are left for ``target_slices``, and ``weights: auto`` for ``choose_by_class``.

    Raises:
        DataError: a column is not there, weights are not all above 0, or there is a single cluster.
    """
    columns = [spec for spec in recipe.slices or () if not spec.target]
    return Roles(
        None if recipe.weights in (None, AUTO) else _weights(recipe.weights, examples),
        None if recipe.cluster is None else _clusters(_column(recipe.cluster, "cluster", examples)),
        tuple(_slice(spec.column, _column(spec.column, "slices", examples), spec.bins) for spec in columns),
    )


def target_slices(recipe: Recipe, labels: pd.Series[Any], *, classes: bool) -> tuple[PropertyData, ...]:
    """Slices by target where the recipe asks for them, or does not say and the smallest class is rare.

    ``labels`` (n,) are the names of ``classes``, or values.
    """
    spec = next((spec for spec in recipe.slices or () if spec.target), None)
    if spec is None:
        counts = labels.value_counts() if classes and recipe.slices is None else pd.Series(dtype=int)
        if not 2 <= len(counts) <= MOST_SLICES or counts.min() >= FEW * len(labels):
            return ()
    return (_slice(TARGET, labels.astype(str) if classes else labels, None if spec is None else spec.bins),)


def _column(name: str | None, key: str, examples: Examples, *words: str) -> pd.Series[Any]:
    """A column by name; ``words`` are what else the key takes."""
    column = examples.column(str(name))
    if column is None:
        known = examples.column_names()
        hint, columns = did_you_mean(name, [*known, *words]), ", ".join(known[:20])
        raise DataError(f"{key}: there is no column {name!r}{hint}; the columns are {columns}")
    return column.reset_index(drop=True)


def _weights(name: str | None, examples: Examples) -> NDArray[np.float64]:
    if name == "balanced":
        if examples.labels is None:
            raise DataError("weights: balanced is for classes, and the targets are none; name a column of weights")
        return balanced_weights(examples.labels)
    column = _column(name, "weights", examples, "balanced")
    try:
        weights = pd.to_numeric(column).to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise DataError(f"weights: column {name!r} must hold numbers: {error}") from error
    bad = ~(np.isfinite(weights) & (weights > 0))
    if bad.any():
        came = f"{int(bad.sum())} of {len(bad)} are not, the first is {weights[bad][0]:g}"
        raise DataError(f"weights: column {name!r} must hold finite numbers above 0; {came}")
    return np.asarray(weights)


def balanced_weights(targets: NDArray[Any]) -> NDArray[np.float64]:
    """Return weights (n,) that give every class the same whole weight, their mean being 1."""
    codes, classes = pd.factorize(pd.Series(targets))
    fractions = targets.dtype.kind == "f" and not np.array_equal(targets, np.round(targets))
    if fractions or len(classes) > MOST_CLASSES:
        raise DataError("weights: balanced is for classes; the targets are numbers, so name a column of weights")
    counts = np.bincount(codes)
    return np.asarray(len(codes) / (len(classes) * counts[codes]))


def _clusters(column: pd.Series[Any]) -> NDArray[np.int64]:
    """Codes of the clusters; an example whose cluster is missing is one by itself."""
    codes, names = pd.factorize(column)
    codes = np.where(codes < 0, len(names) + np.arange(len(codes)), codes).astype(np.int64)
    if len(np.unique(codes)) < 2:
        always = f"column {column.name!r} is {names.tolist()[0]!r} for all examples"
        raise DataError(f"cluster: {always}; at least two clusters are needed")
    return codes


def _slice(name: str | None, column: pd.Series[Any], bins: Any) -> PropertyData:
    """Level numbers of a column: its levels, rare ones merged, or bins of a number; missing values are one."""
    try:
        prop = to_property(str(name), slug(str(name)), column, "", functools.partial(_slice_bins, bins), _few_levels)
    except DataError as error:
        raise DataError(f"slices: {error}".replace("property", "column", 1)) from error
    levels, codes = prop.levels, prop.values
    if levels is None:
        inside = np.searchsorted(inner_edges(prop.edges, prop.unique), codes, side="right")
        levels, codes = bin_labels(prop.edges, prop.unique), np.where(np.isnan(codes), -1, inside)
    elif bins is not None:
        raise RecipeError(f"slices: column {name!r} has levels, not numbers; leave bins out")
    if (codes < 0).any():
        levels, codes = (*levels, "missing"), np.where(codes < 0, len(levels), codes)
    return PropertyData(prop.name, prop.slug, "", codes.astype(np.int64), levels, merged=prop.merged)


def _slice_bins(bins: Any, numbers: NDArray[np.float64]) -> tuple[Any, Any]:
    """As ``bins_of``, but no more than were asked for where there are few unique values."""
    edges, unique = bins_of(SLICE_BINS if bins is None else bins, numbers)
    if isinstance(bins, int) and unique is not None and len(unique) > bins:
        return np.unique(np.quantile(numbers, np.linspace(0, 1, bins + 1))), None
    return edges, unique


def _few_levels(levels: tuple[str, ...], counts: NDArray[np.int64]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Merge levels under 1 %, and those beyond the 50 most frequent."""
    if len(levels) <= MOST_SLICES:
        return merge_rare(levels, counts)
    least = np.sort(counts)[-MOST_SLICES]
    return merge_rare(levels, counts, share=max(0.01, float(least / counts.sum())))
