"""Perturbations of frames that replace cells of any dtype at a rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mlflow_sensie.data.types import fresh_copy
from mlflow_sensie.perturbations.base import Array
from mlflow_sensie.perturbations.noise import RATES, replace_hit
from mlflow_sensie.perturbations.pixels import to_dtype
from mlflow_sensie.perturbations.tabular import TabularPerturbation, is_number, numpy_dtype, with_columns

if TYPE_CHECKING:
    import pandas as pd

Column = Any  # an array of a column's dtype: NumPy's, or one of pandas' extension arrays


@dataclass(frozen=True, kw_only=True)
class CellReplacement(TabularPerturbation):
    """Base of those that replace a fraction p of the cells of each column, of any dtype."""

    unit = "rate"
    limits = (0.0, 1.0)
    default_magnitudes = RATES
    random = True

    def replacement(self, series: pd.Series[Any], rng: np.random.Generator) -> Column:
        """What each cell of a column turns into."""
        raise NotImplementedError

    def levels(self, column: Any, dtype: Any) -> tuple[list[Any], Array]:
        """The levels of a column in the whole data, and their frequencies; none for numbers."""
        summary = (self.summaries or {}).get(column)
        if summary is None or summary.kind not in ("category", "boolean"):
            return [], np.empty(0)
        shares = dict(zip(summary.levels, summary.frequencies, strict=True))
        levels = [level for level in shares if level in getattr(dtype, "categories", shares)]
        return levels, np.array([shares[level] for level in levels], dtype=np.float64)

    def prepare(self, inputs: pd.DataFrame) -> pd.DataFrame:
        """The frame itself: cells are replaced in whatever holds them."""
        return inputs

    def draw(self, prepared: pd.DataFrame, rng: np.random.Generator) -> dict[Any, tuple[Array, Column]]:
        """The rate from which on each cell is replaced, and what it turns into, for each chosen column."""
        n = len(prepared)
        return {name: (rng.random(n), self.replacement(prepared[name], rng)) for name in self.chosen(prepared)}

    def apply(self, prepared: pd.DataFrame, magnitude: float, draws: dict[Any, tuple[Array, Column]]) -> pd.DataFrame:
        """The frame with those cells replaced whose turn has come."""
        columns = {name: replace_cells(prepared[name], magnitude, *drawn) for name, drawn in draws.items()}
        return with_columns(prepared, columns)


def replace_cells(series: pd.Series[Any], rate: float, turns: Array, replacement: Column) -> Any:
    """The cells of a column with those replaced whose turn has come, in the same dtype; new memory."""
    if isinstance(series.dtype, np.dtype) and series.dtype.kind in "iufb":
        return replace_hit(series.to_numpy(), rate, turns, replacement)
    cells, hit = fresh_copy(series), turns < rate
    cells.array[hit] = replacement[hit]
    return cells


@dataclass(frozen=True, kw_only=True)
class Missing(CellReplacement):
    """Empties a fraction p of the cells of every column that can hold a missing value and keep its dtype.

    Plain integers and booleans cannot (DataError if ``columns`` names one): give such columns as floats or
    as nullable dtypes, in the data and in the model's signature.

    Examples:
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"height": np.ones(1000), "count": np.ones(1000, dtype=int)})
        >>> Missing()(frame, 0.1, np.random.default_rng(0)).isna().sum().to_dict()
        {'height': 89, 'count': 0}
    """

    makes_missing = True

    def applies(self, column: Any, dtype: Any) -> bool:
        """All but plain integers and booleans."""
        return not (isinstance(dtype, np.dtype) and dtype.kind in "iub")

    def replacement(self, series: pd.Series[Any], rng: np.random.Generator) -> Column:
        """A column of missing values."""
        import pandas as pd

        dtype, n = series.dtype, len(series)
        if isinstance(dtype, np.dtype):
            return np.full(n, {"O": None, "M": "NaT", "m": "NaT"}.get(dtype.kind, np.nan), dtype=dtype)
        return pd.Series([pd.NaT if dtype.kind == "M" else pd.NA], dtype=dtype).repeat(n).array


@dataclass(frozen=True, kw_only=True)
class Swap(CellReplacement):
    """Replaces a fraction p of the categories by another one, drawn by its frequency in the whole data.

    Applies to strings, categories and booleans of which the survey knows at least two levels; missing
    cells stay missing.
    """

    needs_survey = True

    def applies(self, column: Any, dtype: Any) -> bool:
        """Columns that have levels to choose from."""
        return len(self.levels(column, dtype)[0]) > 1

    def replacement(self, series: pd.Series[Any], rng: np.random.Generator) -> Column:
        """Another level for each cell."""
        import pandas as pd

        levels, frequencies = self.levels(series.name, series.dtype)
        cells = series.to_numpy(dtype=object)
        known, present = (pd.Index(items, dtype=object, tupleize_cols=False) for items in (levels, cells))
        drawn = other_levels(frequencies, known.get_indexer(present), rng.random(len(series)))
        return as_column(np.where(series.isna(), cells, object_array(levels)[drawn]), series.dtype)


@dataclass(frozen=True, kw_only=True)
class Permute(CellReplacement):
    """Replaces a fraction p of each column's cells by values of other rows: only its distribution is kept.

    Values are drawn from the column's distribution in the whole data where the survey has it (quantiles of
    numbers, frequencies of categories), else from the rows perturbed together, which are a chunk in a sweep.
    After permutation importance, Breiman (2001, doi:10.1023/A:1010933404324).
    """

    makes_missing = True  # that of another row may be drawn

    def applies(self, column: Any, dtype: Any) -> bool:
        """Every column."""
        return True

    def replacement(self, series: pd.Series[Any], rng: np.random.Generator) -> Column:
        """A value of the column for each cell."""
        uniform = rng.random(len(series))
        levels, frequencies = self.levels(series.name, series.dtype)
        if levels:
            drawn = other_levels(frequencies, np.full(len(series), -1), uniform)
            return as_column(object_array(levels)[drawn], series.dtype)
        summary = (self.summaries or {}).get(series.name)  # type: ignore[call-overload]
        if summary is not None and summary.quantiles and is_number(series.dtype):
            values = np.quantile(np.asarray(summary.quantiles), uniform, method="nearest")
            return as_column(to_dtype(values, numpy_dtype(series.dtype)), series.dtype)
        return cells_of(series.iloc[np.argsort(uniform)])


def object_array(cells: Sequence[Any]) -> Array:
    """Cells of any type, tuples among them, as an array of one axis."""
    array = np.empty(len(cells), dtype=object)
    array[:] = cells
    return array


def as_column(cells: Array, dtype: Any) -> Column:
    """Cells as an array of a column's dtype."""
    import pandas as pd

    return cells_of(pd.Series(cells, dtype=dtype))


def cells_of(series: pd.Series[Any]) -> Column:
    """What holds a column's cells."""
    return series.to_numpy() if isinstance(series.dtype, np.dtype) else series.array


def other_levels(frequencies: Array, own: Array, uniform: Array) -> Array:
    """Positions of levels drawn by their frequencies among all but the own one (-1: among all).

    Examples:
        >>> other_levels(np.array([0.5, 0.3, 0.2]), np.array([0, 0, 2]), np.array([0.1, 0.9, 0.1])).tolist()
        [1, 2, 0]
    """
    ends = np.concatenate([[0.0], np.cumsum(frequencies / frequencies.sum())])
    mine = np.where(own >= 0, np.diff(ends)[own], 0.0)
    point = uniform * (1 - mine)
    # step over the own level's share of the line
    point = np.where((own >= 0) & (point >= ends[own]), point + mine, point)
    drawn = np.clip(np.searchsorted(ends, point, side="right") - 1, 0, len(frequencies) - 1)
    # rounding may end on the own level itself
    return np.where((drawn == own) & (own >= 0), np.where(own > 0, own - 1, 1), drawn)
