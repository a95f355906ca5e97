"""Identity of the data: one digest, whatever file format or integer width it came in."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from mlflow_sensie.dataset import Examples, Inputs


from mlflow_sensie.property_data import PropertyData
from mlflow_sensie.survey import as_numbers, column_kind


def data_digest(examples: Examples, properties: list[PropertyData]) -> str:
    """SHA-256 (hex) over inputs, targets and properties used; columns in the order of their names.

    Numbers count as float64, everything else as text, so that the same data from another file format or of
    another integer width agrees.
    """
    digest = hashlib.sha256(f"sensie-data-1 {len(examples)}".encode())
    for name, values in sorted(_digest_columns(examples.inputs), key=lambda pair: pair[0]):
        digest.update(name.encode() + values)
    digest.update(b"targets" + _canonical(pd.Series(examples.targets)))
    for prop in sorted(properties, key=lambda each: each.name):
        names = np.array(["", *(prop.levels or ())], dtype=object)
        values = pd.Series(names[prop.values + 1] if prop.levels else prop.values)
        digest.update(prop.name.encode() + _canonical(values))
    return digest.hexdigest()


def _digest_columns(inputs: Inputs) -> Any:
    if isinstance(inputs, pd.DataFrame):
        for name in inputs.columns:
            yield str(name), _canonical(inputs[name])
    elif inputs.dtype.kind not in "fiub":
        yield f"array {inputs.shape[1:]}", _canonical(pd.Series(inputs.ravel(), dtype=object))
    else:
        yield f"array {inputs.shape[1:]}", np.ascontiguousarray(inputs, dtype=np.float64).tobytes()


def _canonical(column: pd.Series[Any]) -> bytes:
    if column_kind(column) in ("numeric", "integer", "boolean", "datetime"):
        if column_kind(column) == "boolean":
            column = column.astype("Float64")
        return as_numbers(column).tobytes()
    if len(column) and isinstance(column.iloc[0], np.ndarray | list):
        return b"".join(map(_canonical_cell, column))
    return "\x1f".join(column.astype(object).where(column.notna(), "\x00").map(str)).encode()


def _canonical_cell(cell: Any) -> bytes:
    try:
        return np.asarray(cell, dtype=np.float64).tobytes()
    except (TypeError, ValueError):  # e.g. a list of words
        return repr(cell).encode()
