"""Delta tables: one version of a table as it was, read without Spark by the package ``deltalake``."""

from __future__ import annotations

import contextlib
import functools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from mlflow_sensie.data.lazy_rows import BLOCK_ROWS
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


def as_parquet(path: str | Path, version: int | None = None) -> tuple[Path, tempfile.TemporaryDirectory[str]]:
    """Copy a version of a table (the newest by default) to a temporary Parquet file, a batch of rows at a time.

    Returns the file and its folder, which is deleted with the object that stands for it. The table's own
    files cannot be read instead: they may hold rows of other versions, and lack the columns that it is partitioned by.

    Raises:
        DataError: it cannot be read, or ``deltalake`` is not installed.
    """
    import pyarrow.parquet as pq

    rows = _rows_of(_open(path, version), path)
    folder = tempfile.TemporaryDirectory(prefix="sensie-", ignore_cleanup_errors=True)
    copy = Path(folder.name) / f"{Path(path).name}.parquet"
    with _readable(path), pq.ParquetWriter(copy, rows.schema) as file:
        for batch in rows.to_batches(batch_size=BLOCK_ROWS, batch_readahead=1, fragment_readahead=1):
            file.write_batch(batch)
    return copy, folder


def read(path: str | Path, version: int | None = None) -> pd.DataFrame:
    """Return a version of a table, the newest by default.

    Raises:
        DataError: it cannot be read, or ``deltalake`` is not installed.
    """
    rows = _rows_of(_open(path, version), path)
    with _readable(path):
        frame: pd.DataFrame = rows.to_table().to_pandas()
    return frame


def ways(path: str | Path, version: int | None) -> list[Callable[[], pd.DataFrame]]:
    """What a source that MLflow logged may stand for, each to be read; MLflow does not write down version 0."""
    return [functools.partial(read, path, number) for number in ((None, 0) if version is None else (version,))]


def _open(path: str | Path, version: int | None) -> DeltaTable:
    try:
        from deltalake import DeltaTable
    except ImportError as error:
        raise DataError(f"{path} is a Delta table; install deltalake to read it: pip install deltalake") from error
    with _readable(path):
        return DeltaTable(path, version=version)


@contextlib.contextmanager
def _readable(path: str | Path) -> Iterator[None]:
    """Say what fails in one way: a log that is no log, a version that is not there, files that were vacuumed away."""
    import pyarrow as pa
    from deltalake.exceptions import DeltaError

    try:
        yield
    except (DeltaError, OSError, pa.lib.ArrowException) as error:
        raise DataError(f"{path} cannot be read as a Delta table: {error}") from error


def _rows_of(table: DeltaTable, path: str | Path) -> Any:
    from deltalake.exceptions import DeltaError

    try:
        return table.to_pyarrow_dataset()
    except DeltaError as error:  # deletion vectors, mapped columns
        raise DataError(f"{path} needs what deltalake cannot read: {error}; write it anew as Parquet") from error
