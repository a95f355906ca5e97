"""Properties as the tests read them: numbers with their bins, or levels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlflow_sensie.data.survey import as_numbers, column_kind, count_unique
from mlflow_sensie.errors import DataError
from mlflow_sensie.inference import Ranks


@dataclass(frozen=True)
class PropertyData:
    """One property of all examples.

    ``values`` (n,): floats with NaN for missing, or level numbers with −1 for missing where ``levels`` names
    them. ``span`` is the range that the effect is measured over; ``edges`` or ``unique`` say the bins; with
    ``ranks``, those of all examples, the slope is that on the rank.
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


Bins = Callable[[NDArray[np.float64]], dict[str, Any]]
Merge = Callable[[tuple[str, ...], NDArray[np.int64]], tuple[tuple[str, ...], NDArray[np.int64]]]


def to_property(name: str, slug: str, column: pd.Series[Any], unit: str, bins: Bins, merge: Merge) -> PropertyData:
    """Turn a column into a property: numbers and dates as they are, everything else into levels.

    ``bins`` maps the present numbers to ``span``, ``edges`` and ``unique``; ``merge`` maps levels and their
    counts to fewer levels and the new number of each.

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
    return PropertyData(name, slug, unit, values, **bins(values[~np.isnan(values)]))


def _to_levels(name: str, slug: str, column: pd.Series[Any], merge: Merge) -> PropertyData:
    own, values = pd.factorize(column)  # -1 for missing
    names, together = np.unique(np.array([str(value) for value in values], dtype=object), return_inverse=True)
    counts = np.bincount(together[own[own >= 0]], minlength=len(names))
    levels, numbers = merge(tuple(names.tolist()), np.asarray(counts, dtype=np.int64))
    codes = np.append(np.asarray(numbers, dtype=np.int64)[together], -1)[own]
    return PropertyData(name, slug, "", codes, levels, merged=len(names) - len(levels))
