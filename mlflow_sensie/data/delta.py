"""Delta tables: one version of a table as it was, read without Spark by the package ``deltalake``."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from mlflow_sensie.data.stored import BLOCK_ROWS
from mlflow_sensie.errors import DataError

if TYPE_CHECKING:
    from deltalake import DeltaTable


def is_delta(path: str | Path) -> bool:
    """Whether a folder here is a Delta table."""
    return (Path(path) / "_delta_log").is_dir()


def latest_version(path: str | Path) -> int:
    """Return the number of a table's newest version.

    Raises:
        DataError: it cannot be read, or ``deltalake`` is not installed.
    """
    return int(_open(path, None).version())


def as_parquet(path: str | Path, version: int | None = None) -> Path:
    """Copy a version of a table (the newest by default) to a temporary Parquet file, a batch of rows at a time.

    Its own files cannot be read instead: they may hold rows of other versions, and lack the columns that it is
    partitioned by.

    Raises:
        DataError: it cannot be read, or ``deltalake`` is not installed.
    """
    import pyarrow.parquet as pq

    found = _rows_of(_open(path, version), path)
    target = Path(tempfile.mkdtemp(dir=_temporary().name)) / f"{Path(path).name}.parquet"
    with pq.ParquetWriter(target, found.schema) as file:
        for batch in found.to_batches(batch_size=BLOCK_ROWS, batch_readahead=1, fragment_readahead=1):
            file.write_batch(batch)
    return target


def frames(path: str | Path, version: int | None) -> Iterator[pd.DataFrame]:
    """Yield what a source that MLflow logged may stand for; MLflow does not write down version 0."""
    for each in (None, 0) if version is None else (version,):
        frame: pd.DataFrame = _rows_of(_open(path, each), path).to_table().to_pandas()
        yield frame


def _open(path: str | Path, version: int | None) -> DeltaTable:
    try:
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError
    except ImportError as error:
        raise DataError(f"{path} is a Delta table; install deltalake to read it: pip install deltalake") from error
    try:
        return DeltaTable(path, version=version)
    except DeltaError as error:
        raise DataError(f"{path} cannot be read as a Delta table: {error}") from error


def _rows_of(table: DeltaTable, path: str | Path) -> Any:
    from deltalake.exceptions import DeltaError

    try:
        return table.to_pyarrow_dataset()
    except DeltaError as error:  # deletion vectors, mapped columns
        raise DataError(f"{path} needs what deltalake cannot read: {error}; write it anew as Parquet") from error


@functools.cache
def _temporary() -> tempfile.TemporaryDirectory[str]:
    """A folder that lives as long as the process."""
    return tempfile.TemporaryDirectory(prefix="sensie-")
