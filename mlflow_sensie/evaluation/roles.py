"""Columns that are no test of their own: weights, clusters and slices of the examples."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlflow_sensie.data.examples import Examples
from mlflow_sensie.errors import DataError, RecipeError, did_you_mean
from mlflow_sensie.evaluation.property_data import PropertyData, to_property
from mlflow_sensie.inference import bin_edges, merge_rare
from mlflow_sensie.inference.binning import bin_labels, inner_edges
from mlflow_sensie.recipe.model import Recipe, slug
from mlflow_sensie.scores.table import CLUSTER, WEIGHT, slice_column

SLICE_BINS = 4  # of a number that is cut into slices without a word on how
FEW = 0.2  # a class below this share has every test shown by class, unless the recipe says otherwise
MOST_CLASSES = 1000  # more are no classes
MOST_SLICES = 50  # of one column; rarer levels are merged
TARGET = "target"


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
        found: dict[str, NDArray[Any]] = {} if self.weights is None else {WEIGHT: self.weights}
        found |= {} if self.clusters is None else {CLUSTER: self.clusters}
        return found | {slice_column(each.slug): each.values for each in self.slices}

    def identity(self) -> dict[str, pd.Series[Any]]:
        """Return what belongs to the identity of the data: weights and clusters, by names that no column has."""
        counted = {" weights": self.weights, " clusters": self.clusters}
        return {name: pd.Series(values) for name, values in counted.items() if values is not None}


def find_roles(recipe: Recipe, examples: Examples) -> Roles:
    """Read weights, clusters and slices off the examples; slices by target are left for ``target_slices``.

    Raises:
        DataError: a column is not there, weights are not all above 0, or there is a single cluster.
    """
    columns = [spec for spec in recipe.slices or () if not spec.target]
    return Roles(
        None if recipe.weights is None else _weights(recipe.weights, examples),
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


def _weights(said: str, examples: Examples) -> NDArray[np.float64]:
    if said == "balanced":
        return _balanced(examples.targets)
    column = _column(said, "weights", examples, "balanced")
    try:
        weights = pd.to_numeric(column).to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise DataError(f"weights: column {said!r} must hold numbers: {error}") from error
    bad = ~(np.isfinite(weights) & (weights > 0))
    if bad.any():
        came = f"{int(bad.sum())} of {len(bad)} are not, the first is {weights[bad][0]:g}"
        raise DataError(f"weights: column {said!r} must hold finite numbers above 0; {came}")
    return np.asarray(weights)


def _balanced(targets: NDArray[Any]) -> NDArray[np.float64]:
    """Weights that give every class the same whole weight, their mean being 1."""
    codes, classes = pd.factorize(pd.Series(targets))
    fractions = targets.dtype.kind == "f" and not np.array_equal(targets, np.round(targets))
    if fractions or len(classes) > MOST_CLASSES:
        raise DataError("weights: balanced is for classes; the targets are numbers, so name a column of weights")
    counts = np.bincount(codes)
    return np.asarray(len(codes) / (len(classes) * counts[codes]))


def _clusters(column: pd.Series[Any]) -> NDArray[np.int64]:
    """Codes of the clusters; an example whose cluster is missing is one by itself."""
    codes, found = pd.factorize(column)
    codes = np.where(codes < 0, len(found) + np.arange(len(codes)), codes).astype(np.int64)
    if len(np.unique(codes)) < 2:
        always = f"column {column.name!r} is {found.tolist()[0]!r} for all examples"
        raise DataError(f"cluster: {always}; at least two clusters are needed")
    return codes


def _slice(name: str | None, column: pd.Series[Any], bins: Any) -> PropertyData:
    """Level numbers of a column: its levels, rare ones merged, or bins of a number; missing values are one."""
    try:
        found = to_property(str(name), slug(str(name)), column, "", functools.partial(_cut, bins), _few_levels)
    except DataError as error:
        raise DataError(f"slices: {error}".replace("property", "column", 1)) from error
    levels, codes = found.levels, found.values
    if levels is None:
        edges, unique = found.edges, found.unique
        inside = np.searchsorted(inner_edges(edges, unique), codes, side="right")
        levels, codes = bin_labels(edges, unique), np.where(np.isnan(codes), -1, inside)
    elif bins is not None:
        raise RecipeError(f"slices: column {name!r} has levels, not numbers; leave bins out")
    if (codes < 0).any():
        levels, codes = (*levels, "missing"), np.where(codes < 0, len(levels), codes)
    return PropertyData(found.name, found.slug, "", codes.astype(np.int64), levels, merged=found.merged)


def _cut(bins: Any, present: NDArray[np.float64]) -> dict[str, Any]:
    said = ("uniform", bins["uniform"]) if isinstance(bins, Mapping) else bins
    edges, unique = bin_edges(present, SLICE_BINS if said is None else said)
    if said is not None and isinstance(said, int) and unique is not None and len(unique) > said:
        edges, unique = np.unique(np.quantile(present, np.linspace(0, 1, said + 1))), None
    return {
        "edges": None if edges is None else tuple(edges.tolist()),
        "unique": None if unique is None else tuple(unique.tolist()),
    }


def _few_levels(levels: tuple[str, ...], counts: NDArray[np.int64]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Merge levels under 1 %, and those beyond the 50 most frequent."""
    if len(levels) <= MOST_SLICES:
        return merge_rare(levels, counts)
    least = np.sort(counts)[-MOST_SLICES]
    return merge_rare(levels, counts, share=max(0.01, float(least / counts.sum())))
