"""Identity of the data: one digest, whatever it was read from, in whatever form or width it came."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlflow_sensie.form import as_cell
from mlflow_sensie.property_data import PropertyData
from mlflow_sensie.survey import BLOCK_BYTES, BLOCK_ROWS, as_numbers, column_kind

if TYPE_CHECKING:
    from mlflow_sensie.dataset import Examples, Inputs

GAP = np.array([np.nan]).tobytes()  # eight bytes, as a number has, so that a column of gaps has no type


def data_digest(examples: Examples, properties: list[PropertyData]) -> str:
    """SHA-256 (hex) over inputs, targets and properties used.

    Tables and texts count column by column, in the order of the columns' names; tensors and series as (n, *shape),
    whichever way they lie. Numbers count as float64, dates as days, everything else as text. So the same data from
    another file format, container or width of integers agrees. Inputs that are stored elsewhere are read in blocks.
    """
    digest = hashlib.sha256(f"sensie-data-2 {len(examples)}".encode())
    for name, found in sorted(_input_digests(examples).items()):
        digest.update(_text(name) + found)
    digest.update(_text("targets") + _canonical(pd.Series(examples.targets)))
    for prop in sorted(properties, key=lambda each: each.name):
        names = np.array(["", *(prop.levels or ())], dtype=object)
        values = pd.Series(names[prop.values + 1] if prop.levels else prop.values)
        digest.update(_text(prop.name) + _canonical(values))
    return digest.hexdigest()


def _input_digests(examples: Examples) -> dict[str, bytes]:
    """SHA-256 of each column, or of the whole tensor, by name."""
    found: dict[str, Any] = {}
    for inputs in _blocks(examples):
        for name, part in _parts(inputs, examples):
            found.setdefault(name, hashlib.sha256()).update(part)
    return {name: each.digest() for name, each in found.items()}


def _blocks(examples: Examples) -> Iterator[Inputs]:
    """What lies in memory as it is, so that a column of any objects is judged as a whole; else blocks of rows."""
    if isinstance(examples.source, pd.DataFrame) and examples.form.kind in ("tabular", "text"):
        yield examples.source
        return
    size = int(np.clip(BLOCK_BYTES // examples.row_bytes, 16, BLOCK_ROWS))
    for start in range(0, len(examples), size):
        yield examples.take(slice(start, start + size)).inputs


def _parts(inputs: Inputs, examples: Examples) -> Iterator[tuple[str, bytes]]:
    form = examples.form
    if form.kind in ("tensor", "series"):
        array = form.as_array(inputs)
        yield f"tensor {array.shape[1:]}", _numbers(array)
    elif isinstance(inputs, pd.DataFrame):
        for name in inputs.columns:
            yield str(name), _canonical(inputs[name])
    elif inputs.ndim == 1:
        yield "text", _canonical(pd.Series(inputs, dtype=object))
    else:
        for index, name in enumerate(form.names):
            yield name, _canonical(pd.Series(inputs[:, index]))


def _canonical(column: pd.Series[Any]) -> bytes:
    if column_kind(column) in ("numeric", "integer", "boolean", "datetime"):
        if column_kind(column) == "boolean":
            column = column.astype("Float64")
        return _numbers(as_numbers(column))
    return b"".join(map(_cell, column.astype(object).where(column.notna(), None)))


def _numbers(values: NDArray[Any]) -> bytes:
    """Numbers as float64, every NaN by the same bytes."""
    wide = np.array(values, dtype=np.float64)
    wide[np.isnan(wide)] = np.nan
    return wide.tobytes()


def _cell(cell: Any) -> bytes:
    if cell is None:
        return GAP
    if isinstance(cell, bytes | bytearray):
        return len(cell).to_bytes(8, "little") + bytes(cell)
    if not isinstance(cell, np.ndarray | list):
        return _text(str(cell))
    try:
        values = _numbers(as_cell(cell))
    except (TypeError, ValueError):  # e.g. a list of words
        return _text(repr(list(cell)))
    return len(values).to_bytes(8, "little") + values


def _text(text: str) -> bytes:
    """A text with its length before it, so that two texts never look like two others."""
    encoded = text.encode("utf-8", "surrogatepass")
    return len(encoded).to_bytes(8, "little") + encoded
