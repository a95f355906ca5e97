"""Identity of the data: one digest, whatever it was read from, in whatever form or width it came."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlflow_sensie.data.examples import CHUNK, Examples, row_bytes, rows
from mlflow_sensie.data.input_format import InputFormat, as_cell, find_input_format, is_cells
from mlflow_sensie.data.lazy_rows import LazyRows
from mlflow_sensie.data.survey import BLOCK_BYTES, BLOCK_ROWS, as_numbers, column_kind
from mlflow_sensie.data.types import Inputs

TARGETS = " targets"  # no column is called so
GAP = np.array([np.nan]).tobytes()  # eight bytes, as a number has, so that a column of gaps has no type


def digests_of(
    examples: Examples, roles: Mapping[str, pd.Series[Any]], properties: Mapping[str, pd.Series[Any]]
) -> tuple[str, str]:
    """SHA-256 over inputs, targets and weights or clusters; and over these and the properties used.

    Tables and texts count column by column, in the order of the columns' names; tensors and series as (n, *shape),
    whichever way they lie. Numbers count as float64, dates as days, everything else as text. So the same data from
    another file format, container or width of integers agrees. Inputs that are stored elsewhere are read in blocks.
    """
    counted = {**roles, TARGETS: pd.Series(list(examples.targets) if examples.labels is None else examples.targets)}
    n, inputs = len(examples.source), _input_digests(examples.source, examples.input_format)
    return _sealed(n, inputs, counted), _sealed(n, inputs, {**properties, **counted})


def content_digest(inputs: Any, columns: Mapping[str, Any]) -> str:
    """SHA-256 (hex) over inputs of any form and the ``columns`` (n,) beside them, in the same way."""
    source = inputs if isinstance(inputs, LazyRows | pd.DataFrame) else np.asarray(inputs)
    head = rows(source, slice(0, CHUNK))
    if isinstance(head, np.ndarray) and head.ndim > 2:
        input_format = InputFormat("tensor", "array", head.shape[1:])
    elif isinstance(head, pd.DataFrame) and is_cells(head):
        input_format = InputFormat("tensor", "cells", as_cell(head.iloc[0, 0]).shape)
    else:
        input_format = find_input_format(head)
    beside = {name: pd.Series(values) for name, values in columns.items()}
    return _sealed(len(source), _input_digests(source, input_format), beside)


def _sealed(n: int, inputs: Mapping[str, bytes], columns: Mapping[str, pd.Series[Any]]) -> str:
    digest = hashlib.sha256(f"sensie-data-2 {n}".encode())
    for name, column_digest in sorted(inputs.items()):
        digest.update(_text(name) + column_digest)
    for name in sorted(columns):
        digest.update(_text(f"beside {name}"))
        for part in _canonical(columns[name]):
            digest.update(part)
    return digest.hexdigest()


def _input_digests(source: Inputs | LazyRows, input_format: InputFormat) -> dict[str, bytes]:
    """SHA-256 of each column, or of the whole tensor, by name."""
    digests: dict[str, Any] = {}
    for inputs in _blocks(source, input_format):
        for name, parts in _parts(inputs, input_format):
            digest = digests.setdefault(name, hashlib.sha256())
            for part in parts:
                digest.update(part)
    return {name: digest.digest() for name, digest in digests.items()}


def _blocks(source: Inputs | LazyRows, input_format: InputFormat) -> Iterator[Inputs]:
    """What lies in memory as it is, so that a column of any objects is judged as a whole; else blocks of rows."""
    if isinstance(source, pd.DataFrame) and input_format.kind in ("tabular", "text"):
        yield source
        return
    size = int(np.clip(BLOCK_BYTES // row_bytes(source), 16, BLOCK_ROWS))
    for start in range(0, len(source), size):
        yield rows(source, slice(start, start + size))


def _parts(inputs: Inputs, input_format: InputFormat) -> Iterator[tuple[str, Iterable[bytes]]]:
    if input_format.kind in ("tensor", "series"):
        array = input_format.as_array(inputs)
        yield f"tensor {array.shape[1:]}", [_numbers(array)]
    elif isinstance(inputs, pd.DataFrame):
        for name in inputs.columns:
            yield str(name), _canonical(inputs[name])
    elif inputs.ndim == 1:
        yield "text", _canonical(pd.Series(inputs, dtype=object))
    else:
        for index, name in enumerate(input_format.names):
            yield name, _canonical(pd.Series(inputs[:, index]))


def _canonical(column: pd.Series[Any]) -> Iterator[bytes]:
    """A column as bytes, in parts; what kind it is, is told of the whole."""
    kind = column_kind(column)
    for start in range(0, len(column), BLOCK_ROWS):
        part = column.iloc[start : start + BLOCK_ROWS]
        if kind in ("numeric", "integer", "boolean", "datetime"):
            yield _numbers(as_numbers(part.astype("Float64") if kind == "boolean" else part, kind))
        else:
            yield b"".join(map(_cell, part.astype(object).where(part.notna(), None)))


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
