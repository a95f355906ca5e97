"""What a perturbation changes in frames and texts: which cells, which examples, and the columns to show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlflow_sensie.data.input_format import InputFormat, holds_arrays
from mlflow_sensie.data.survey import as_numbers, column_kind
from mlflow_sensie.data.types import Inputs
from mlflow_sensie.result.gallery import Flags, differing, series_of

MOST_COLUMNS = 8


def _names(batch: Inputs) -> list[Any]:
    return list(batch.columns) if isinstance(batch, pd.DataFrame) else [None]


def touched_by(versions: Mapping[int | None, Inputs]) -> Flags:
    """Which examples any of the magnitudes changes."""
    clean = versions[None]
    found = [
        differing(series_of(clean, name), series_of(version, name))
        for version in versions.values()
        for name in _names(clean)
    ]
    return np.asarray(np.any(found, axis=0))


def columns_to_show(
    versions: Mapping[int | None, Inputs], picked: NDArray[np.intp], input_format: InputFormat
) -> tuple[Any, ...]:
    """The columns that change most in the picked examples, in the frame's order: 8 of a table, one of texts.

    Arrays are not written into tables.
    """
    clean = versions[None]
    most = MOST_COLUMNS if input_format.kind == "tabular" else 1
    names = [name for name in _names(clean) if not holds_arrays(series_of(clean, name))]
    moved = [_movement(versions, name, picked) for name in names]
    chosen = np.argsort(-np.round(moved, 6), kind="stable")[:most]
    return tuple(names[position] for position in sorted(chosen))


def _movement(versions: Mapping[int | None, Inputs], name: Any, picked: NDArray[np.intp]) -> float:
    """How far a column moves, in its SDs in the chunk; a cell that is no number, or gets lost, moves by 1."""
    before = series_of(versions[None], name)
    sd, total = _spread(before), 0.0
    for version in versions.values():
        after = series_of(version, name)
        changed = differing(before, after).astype(np.float64)
        if sd:
            steps = np.abs(_numbers(after) - _numbers(before)) / sd
            changed = np.where(np.isfinite(steps), np.minimum(steps, 10), changed)
        total += float(changed[picked].sum())
    return total


def _spread(column: pd.Series[Any]) -> float:
    values = _numbers(column)
    values = values[np.isfinite(values)]
    return float(values.std()) if len(values) else 0.0


def _numbers(column: pd.Series[Any]) -> NDArray[np.float64]:
    measured = column_kind(column) in ("numeric", "integer", "datetime")
    return as_numbers(column) if measured else np.full(len(column), np.nan)
