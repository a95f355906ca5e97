"""A recipe as JSON-like values: functions by their name or source, tables by their digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from mlflow_sensie.plugins import source_of

IN_MEMORY = "table sha256:"  # how a table that was given in memory stands in a recipe


def plain_fields(part: BaseModel, sources: bool) -> dict[str, Any]:
    """Return the keys of a recipe or a part of it that have a value; with ``sources`` functions by their source."""
    values = {name: getattr(part, name) for name in type(part).model_fields}
    present = {name: value for name, value in values.items() if value is not None}
    return {n: (plain_table if n == "property_table" else _plain)(value, sources) for n, value in present.items()}


def _plain(value: Any, sources: bool) -> Any:
    if isinstance(value, BaseModel):
        return plain_fields(value, sources)
    if isinstance(value, Mapping):
        return {str(key): _plain(item, sources) for key, item in value.items()}
    if hasattr(value, "to_dict") and hasattr(value, "columns"):  # a frame
        return f"{IN_MEMORY}{_frame_digest(value)}"
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_plain(item, sources) for item in value]
    if hasattr(value, "tolist"):  # numpy scalars and arrays
        return value.tolist()
    if callable(value):
        name, source = source_of(value)
        return f"sha256:{hashlib.sha256(source.encode()).hexdigest()}" if sources else name
    return value if isinstance(value, str | int | float | bool) else str(value)


def plain_table(table: Any, sources: bool) -> Any:
    """A property table by its digest; a file by its path, or with ``sources`` by its content."""
    if isinstance(table, Mapping) and set(table) == {"path", "key"}:
        return {"path": plain_table(table["path"], sources), "key": str(table["key"])}
    if isinstance(table, Mapping):
        text = json.dumps(_plain(table, sources), sort_keys=True, default=str)
        return f"{IN_MEMORY}{hashlib.sha256(text.encode()).hexdigest()}"
    if isinstance(table, str | Path):
        known = sources and Path(table).is_file()
        return f"sha256:{hashlib.sha256(Path(table).read_bytes()).hexdigest()}" if known else str(table)
    return _plain(table, sources)


def _frame_digest(frame: Any) -> str:
    import pandas as pd

    hashed = pd.util.hash_pandas_object(frame, index=False).to_numpy()
    return hashlib.sha256(repr(list(frame.columns)).encode() + hashed.tobytes()).hexdigest()
