"""Perturbations of frames that replace cells of any dtype at a rate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mlflow_sensie.data.types import fresh_copy
from mlflow_sensie.perturbations.base import Array
from mlflow_sensie.perturbations.tabular_base import TabularPerturbation, is_number, with_floats

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Cells:
    """The columns whose cells are replaced at a rate, and the frame they are in."""

    names: tuple[Any, ...]
    frame: pd.DataFrame


@dataclass(frozen=True)
class Replacements:
    """Per column: the rate from which on a cell is replaced (rows,), and the column of what it turns into."""

    turns: Mapping[Any, Array]
    columns: Mapping[Any, Any]


@dataclass(frozen=True, kw_only=True)
class CellPerturbation(TabularPerturbation):
    """Base of those that replace a fraction p of the cells of each column, of any dtype."""

    unit: ClassVar[str] = "rate"
    limits: ClassVar[tuple[float, float]] = (0.0, 1.0)
    default_magnitudes: ClassVar[tuple[float, ...]] = (0, 0.02, 0.05, 0.08, 0.12, 0.16, 0.2, 0.25, 0.3)
    random: ClassVar[bool] = True

    def replacement(self, series: pd.Series[Any], rng: np.random.Generator) -> pd.Series[Any]:
        """What each cell of a column turns into, in the column's dtype."""
        raise NotImplementedError

    def levels(self, series: pd.Series[Any]) -> tuple[list[Any], Array]:
        """The levels of a column in the whole data, and their frequencies; none for numbers."""
        found = (self.summaries or {}).get(series.name)  # type: ignore[call-overload]
        if found is None or found.kind not in ("category", "boolean"):
            return [], np.empty(0)
        categories = getattr(series.dtype, "categories", found.levels)
        pairs = [pair for pair in zip(found.levels, found.frequencies, strict=True) if pair[0] in categories]
        return [level for level, _ in pairs], np.array([frequency for _, frequency in pairs], dtype=np.float64)

    def prepare(self, inputs: pd.DataFrame) -> Cells:
        """The chosen columns."""
        return Cells(self.chosen(inputs), inputs)

    def draw(self, prepared: Cells, rng: np.random.Generator | None) -> Replacements:
        """When each cell's turn comes, and what it turns into."""
        assert rng is not None
        turns, columns = {}, {}
        for name in prepared.names:
            turns[name] = rng.random(len(prepared.frame))
            columns[name] = self.replacement(prepared.frame[name], rng)
        return Replacements(turns, columns)

    def apply(self, prepared: Cells, magnitude: float, draws: Replacements) -> pd.DataFrame:
        """The frame with those cells replaced whose turn has come; those of smaller rates are among them."""
        cells = {
            name: replaced(prepared.frame[name], draws.turns[name] < magnitude, draws.columns[name])
            for name in prepared.names
        }
        return self.with_columns(prepared.frame, cells)


def replaced(series: pd.Series[Any], hit: Array, replacement: pd.Series[Any]) -> pd.Series[Any]:
    """A copy of a column with the hit cells replaced, in the same dtype."""
    result: pd.Series[Any] = fresh_copy(series)
    result.array[hit] = replacement.array[hit]
    return result


@dataclass(frozen=True, kw_only=True)
class Missing(CellPerturbation):
    """Empties a fraction p of the cells of every column that can hold a missing value and keep its dtype.

    Plain integers and booleans cannot (DataError if ``columns`` names one): give such columns as floats or
    as nullable dtypes, in the data and in the model's signature.
    """

    def applies(self, series: pd.Series[Any]) -> bool:
        """All but plain integers and booleans."""
        return not (isinstance(series.dtype, np.dtype) and series.dtype.kind in "iub")

    @property
    def makes_missing(self) -> bool:
        """Always."""
        return True

    def replacement(self, series: pd.Series[Any], rng: np.random.Generator) -> pd.Series[Any]:
        """A column of missing values."""
        import pandas as pd

        empty: Any = pd.NaT if series.dtype.kind in "mM" else pd.NA
        if isinstance(series.dtype, np.dtype) and series.dtype.kind not in "mM":
            empty = None if series.dtype == object else np.nan
        return pd.Series([empty] * len(series), index=series.index, dtype=series.dtype)


@dataclass(frozen=True, kw_only=True)
class Swap(CellPerturbation):
    """Replaces a fraction p of the categories by another one, drawn by its frequency in the whole data.

    Applies to strings, categories and booleans of which the survey knows at least two levels; missing
    cells stay missing.
    """

    needs_survey: ClassVar[bool] = True

    def applies(self, series: pd.Series[Any]) -> bool:
        """Columns that have levels to choose from."""
        return len(self.levels(series)[0]) > 1

    def replacement(self, series: pd.Series[Any], rng: np.random.Generator) -> pd.Series[Any]:
        """Another level for each cell."""
        levels, frequencies = self.levels(series)
        known = {level: position for position, level in enumerate(levels)}
        own = np.array([-1 if is_missing(cell) else known.get(cell, -1) for cell in series], dtype=np.int64)
        drawn = other_levels(frequencies, own, rng.random(len(series)))
        cells = [cell if is_missing(cell) else levels[i] for cell, i in zip(series, drawn, strict=True)]
        return as_column(series, cells)


def is_missing(cell: object) -> bool:
    """Whether a cell is None, NaN, NaT or NA; arrays and other containers are not."""
    import pandas as pd

    return cell is None or cell is pd.NA or cell is pd.NaT or (isinstance(cell, float) and math.isnan(cell))


def as_column(series: pd.Series[Any], cells: list[Any]) -> pd.Series[Any]:
    """A column of ``cells`` with the index, name and dtype of ``series``."""
    import pandas as pd

    return pd.Series(cells, index=series.index, name=series.name, dtype=series.dtype)


def other_levels(frequencies: Array, own: Array, uniform: Array) -> Array:
    """Positions of levels drawn by their frequencies among all but the own one (-1: among all)."""
    ends = np.concatenate([[0.0], np.cumsum(frequencies / frequencies.sum())])
    mine = np.where(own >= 0, np.diff(ends)[own], 0.0)
    point = uniform * (1 - mine)
    # step over the own level's share of the line
    point = np.where((own >= 0) & (point >= ends[own]), point + mine, point)
    drawn = np.clip(np.searchsorted(ends, point, side="right") - 1, 0, len(frequencies) - 1)
    # rounding may end on the own level itself
    return np.where((drawn == own) & (own >= 0), np.where(own > 0, own - 1, 1), drawn)


@dataclass(frozen=True, kw_only=True)
class Permute(CellPerturbation):
    """Replaces a fraction p of each column's cells by values of other rows: only its distribution is kept.

    Values are drawn from the column's distribution in the whole data where the survey has it (quantiles of
    numbers, frequencies of categories), else from the rows perturbed together, which are a chunk in a sweep.
    After permutation importance, Breiman (2001, doi:10.1023/A:1010933404324).
    """

    def applies(self, series: pd.Series[Any]) -> bool:
        """Every column."""
        return True

    @property
    def makes_missing(self) -> bool:
        """A missing value of another row may be drawn."""
        return True

    def replacement(self, series: pd.Series[Any], rng: np.random.Generator) -> pd.Series[Any]:
        """A value of the column for each cell."""
        uniform = rng.random(len(series))
        levels, frequencies = self.levels(series)
        if levels:
            drawn = other_levels(frequencies, np.full(len(series), -1), uniform)
            return as_column(series, [levels[position] for position in drawn])
        summary = (self.summaries or {}).get(series.name)  # type: ignore[call-overload]
        if summary is not None and summary.quantiles and is_number(series.dtype):
            values = np.quantile(np.asarray(summary.quantiles), uniform, method="nearest")
            cells = with_floats(series, np.full(len(series), math.inf), values)
            return as_column(series, list(cells))
        return series.iloc[np.argsort(uniform)]
