"""Inputs, arrays or frames with a row per example, and copies of them that share no memory with them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Inputs = np.ndarray[Any, Any] | pd.DataFrame
Positions = slice | NDArray[np.intp]

IMMUTABLE_CELLS = (str, bytes, int, float, complex, bool, type(None), np.generic)


def named_column(frame: Any, name: str) -> pd.Series[Any] | None:
    """Return the column of a frame whose name is written so, for names need not be text; else ``None``."""
    names = [key for key in frame.columns if str(key) == name] if isinstance(frame, pd.DataFrame) else []
    return frame[names[-1]] if names else None


def fresh_copy(inputs: Any) -> Any:
    """An equal copy of ``inputs``, so deep that writing into its cells leaves the original alone."""
    if isinstance(inputs, np.ndarray) and inputs.dtype != object:
        return inputs.copy()
    if not hasattr(inputs, "iloc"):
        return copy.deepcopy(inputs)
    result = inputs.copy(deep=True)
    # pandas copies the references of an object column, not what they point to
    if result.ndim == 1:
        if result.dtype == object:
            result.array[:] = _fresh_cells(result)
        return result
    for position, dtype in enumerate(result.dtypes):
        if dtype.kind == "O" and isinstance(dtype, np.dtype):
            series = result.iloc[:, position].copy()
            series.array[:] = _fresh_cells(series)
            result.isetitem(position, series)
    return result


def _fresh_cells(series: Any) -> NDArray[Any]:
    cells = np.empty(len(series), dtype=object)
    for row, cell in enumerate(series):
        cells[row] = cell if isinstance(cell, IMMUTABLE_CELLS) else copy.deepcopy(cell)
    return cells


def as_vectors(rows: Sequence[Any] | NDArray[Any]) -> NDArray[Any] | None:
    """Return numbers or labels, or vectors of one length, as an array (n,) or (n, k); ``None`` of anything else."""
    try:
        if not len(rows) or isinstance(rows[0], dict) or np.ndim(rows[0]) > 1:
            return None
        values = np.asarray(list(rows))
    except (TypeError, ValueError):  # rows of several lengths
        return None
    simple = values.dtype != object or not any(isinstance(row, dict) or np.ndim(row) for row in values)
    return values if values.ndim <= 2 and simple else None


def as_objects(rows: Sequence[Any] | NDArray[Any]) -> NDArray[Any]:
    """Return anything n times as an array (n,) of objects."""
    values = np.empty(len(rows), dtype=object)
    for number, row in enumerate(rows):
        values[number] = row
    return values
