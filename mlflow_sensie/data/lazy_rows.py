"""Rows that are read when they are asked for: Parquet files of any size, and views of what lies elsewhere."""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from bisect import bisect
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlflow_sensie.data.types import Inputs, Positions
from mlflow_sensie.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK_BYTES = 32 * 2**20  # of a file that are decoded at a time
BLOCK_ROWS = 16_384
BUFFER = 2**16  # of each column that a reader holds


class LazyRows(ABC):
    """Rows that lie elsewhere and are read when they are asked for.

    ``names`` are the columns of what ``take`` gives, where that is a frame; ``others`` lie beside them, and only
    ``column`` reads those.
    """

    names: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    @abstractmethod
    def __len__(self) -> int:
        """How many rows there are."""

    @abstractmethod
    def take(self, positions: Positions) -> Inputs:
        """Read the rows at these positions, in this order."""

    def column(self, name: str) -> pd.Series[Any] | None:
        """Read one column of all rows, among ``names`` or ``others``; ``None`` where there is none."""
        return None

    def only(self, names: Sequence[str]) -> LazyRows:
        """Return the same rows, of which ``take`` gives these columns; the rest are ``others`` then."""
        raise NotImplementedError


class RowSubset(LazyRows):
    """Some rows of others, by position (m,)."""

    def __init__(self, base: LazyRows, positions: NDArray[np.intp]) -> None:
        self._base, self._positions = base, positions
        self.names, self.others = base.names, base.others

    def __len__(self) -> int:
        return len(self._positions)

    def take(self, positions: Positions) -> Inputs:
        """Read the rows at these positions among the subset's."""
        return self._base.take(self._positions[positions])

    def column(self, name: str) -> pd.Series[Any] | None:
        """Read one column of the subset's rows."""
        column = self._base.column(name)
        return None if column is None else column.iloc[self._positions].reset_index(drop=True)


class MappedRows(LazyRows):
    """Rows that are converted as they are read: decoded, reshaped, put into an array; also those of a frame."""

    def __init__(self, base: LazyRows | pd.DataFrame, convert: Callable[[Any], Inputs]) -> None:
        self._base, self._convert = base, convert
        if isinstance(base, LazyRows):
            self.names, self.others = base.names, base.others

    def __len__(self) -> int:
        return len(self._base)

    def take(self, positions: Positions) -> Inputs:
        """Read the rows at these positions and convert them."""
        base = self._base
        return self._convert(base.take(positions) if isinstance(base, LazyRows) else base.iloc[positions])

    def column(self, name: str) -> pd.Series[Any] | None:
        """Read one column, as it is stored."""
        return self._base.column(name) if isinstance(self._base, LazyRows) else None


# --- Parquet -----------------------------------------------------------------------------------------------


class ParquetRows(LazyRows):
    """The rows of one Parquet file, or of several of one schema below each other.

    Rows in ascending order are streamed: a block of at most 16,384 rows, or 32 MB, is in memory at a time, however
    large the row groups are. At the first request in another order the columns are copied to a temporary file that
    can be read at any place. Columns have the types that ``pandas.read_parquet`` would give them.
    ``owner`` is kept as long as the rows are: a temporary file may be deleted with it.
    """

    def __init__(
        self, paths: Sequence[Path], names: Sequence[str] | None = None, others: Sequence[str] = (), owner: Any = None
    ) -> None:
        import pyarrow.parquet as pq

        self.paths = tuple(paths)
        self._owner = owner
        self._schema = pq.read_schema(self.paths[0])
        indexes = _index_columns(self._schema)
        self.names = (
            tuple(name for name in self._schema.names if name not in indexes) if names is None else tuple(names)
        )
        self.others = tuple(others)
        self._groups: list[tuple[Path, int]] = []
        self._starts: list[int] = [0]
        self._null_counts: list[dict[str, int | None]] = []  # of each row group and column
        size = sum(self._add_groups(path) for path in self.paths)
        wide = max(1, size // max(1, len(self)))
        self._batch_rows = int(np.clip(BLOCK_BYTES // wide, 256, BLOCK_ROWS))
        self._find_block: Callable[[int], tuple[int, pa.RecordBatch]] = _Stream(self._read, self._starts)
        self._copy: tempfile.TemporaryDirectory[str] | None = None

    def _add_groups(self, path: Path) -> int:
        """Note where the row groups of a file start, and return its bytes."""
        import pyarrow.parquet as pq

        file = pq.ParquetFile(path)
        if not file.schema_arrow.equals(self._schema):
            raise DataError(f"{path} has other columns than {self.paths[0]}; files that belong together need the same")
        groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
        for number, group in enumerate(groups):
            self._groups.append((path, number))
            self._starts.append(self._starts[-1] + group.num_rows)
            columns = [group.column(index) for index in range(group.num_columns)]
            self._null_counts.append({column.path_in_schema: _null_count(column) for column in columns})
        return sum(group.total_byte_size for group in groups)

    def __len__(self) -> int:
        return self._starts[-1]

    def __reduce__(self) -> Any:
        """Rows that go to another process are read from the files there."""
        return ParquetRows, (self.paths, self.names, self.others)

    def only(self, names: Sequence[str]) -> ParquetRows:
        """Return the same rows, of which ``take`` gives these columns; the rest are ``others`` then."""
        others = [name for name in (*self.names, *self.others) if name not in names]
        return ParquetRows(self.paths, names, others, self._owner)

    def take(self, positions: Positions) -> pd.DataFrame:
        """Read the rows at these positions, in this order."""
        import pyarrow as pa

        wanted = np.arange(len(self))[positions]
        order = None
        if len(wanted) > 1 and (np.diff(wanted) < 0).any():
            self._allow_any_order()
            order = np.argsort(wanted, kind="stable")
            wanted = wanted[order]
        parts, done = [], 0
        while done < len(wanted):
            start, block = self._find_block(int(wanted[done]))
            stop = int(np.searchsorted(wanted, start + len(block)))
            parts.append(_rows_of(block, wanted[done:stop] - start))
            done = stop
        table = pa.Table.from_batches(parts) if parts else self._empty
        return self._to_frame(table if order is None else table.take(np.argsort(order)))

    def column(self, name: str) -> pd.Series[Any] | None:
        """Read one column of all rows."""
        if name not in (*self.names, *self.others):
            return None
        frame: pd.DataFrame = self._whole_column(name).replace_schema_metadata(self._schema.metadata).to_pandas()
        return frame[name].reset_index(drop=True)

    def _whole_column(self, name: str) -> pa.Table:
        import pyarrow as pa
        import pyarrow.parquet as pq

        return pa.concat_tables([pq.ParquetFile(path).read(columns=[name]).select([name]) for path in self.paths])

    def _read(self, group: int) -> Iterator[pa.RecordBatch]:
        """Stream the blocks from a row group on, to the end of the last file."""
        import pyarrow.parquet as pq

        while group < len(self._groups):
            path = self._groups[group][0]
            numbers = [number for file, number in self._groups[group:] if file == path]
            file = pq.ParquetFile(path, buffer_size=BUFFER, pre_buffer=False)
            for batch in file.iter_batches(self._batch_rows, row_groups=numbers, columns=list(self.names)):
                yield batch.select(list(self.names))
            group += len(numbers)

    def _allow_any_order(self) -> None:
        import pyarrow as pa

        if self._copy is None:
            self._copy = tempfile.TemporaryDirectory(prefix="sensie-")
            path = f"{self._copy.name}/rows.arrow"
            with pa.ipc.new_file(path, _without_categories(self._empty).schema) as file:
                for batch in self._read(0):
                    file.write_table(_without_categories(pa.Table.from_batches([batch])))
            self._find_block = _copied_blocks(path)

    @cached_property
    def _empty(self) -> pa.Table:
        fields = self._schema.empty_table().select(list(self.names))
        return fields.replace_schema_metadata(self._schema.metadata)

    def _to_frame(self, table: pa.Table) -> pd.DataFrame:
        frame: pd.DataFrame = table.replace_schema_metadata(self._schema.metadata).to_pandas()
        for name, dtype in self._dtypes.items():
            if frame[name].dtype != dtype:
                frame[name] = frame[name].astype(dtype)
        return frame.reset_index(drop=True)

    @cached_property
    def _dtypes(self) -> dict[str, Any]:
        """The types of columns whose blocks may differ: those with gaps in some, and categories."""
        dtypes: dict[str, Any] = {}
        for name, dtype in self._empty.to_pandas().dtypes.items():
            if isinstance(dtype, pd.CategoricalDtype):
                column = self.column(str(name))
                dtypes[str(name)] = dtype if column is None else column.dtype
            elif isinstance(dtype, np.dtype) and dtype.kind in "iub" and self._has_gaps(str(name)):
                dtypes[str(name)] = np.dtype(object if dtype.kind == "b" else np.float64)
        return dtypes

    def _has_gaps(self, name: str) -> bool:
        """Whether a value is missing, by the files' own statistics or, where there are none, by reading."""
        counts = [null_counts.get(name) for null_counts in self._null_counts]
        if None in counts:
            return bool(self._whole_column(name)[name].null_count)
        return any(counts)


def _index_columns(schema: pa.Schema) -> set[str]:
    """Columns that pandas wrote for a frame's index, which it reads back as one."""
    written = (schema.pandas_metadata or {}).get("index_columns", [])
    return {name for name in written if isinstance(name, str)}


def _rows_of(block: pa.RecordBatch, places: NDArray[np.intp]) -> pa.RecordBatch:
    """Return some rows of a block; a slice of it where they stand side by side."""
    import pyarrow as pa

    if places[-1] - places[0] == len(places) - 1 and (np.diff(places) == 1).all():
        return block.slice(int(places[0]), len(places))
    return block.take(pa.array(places))


def _without_categories(table: pa.Table) -> pa.Table:
    """Return the values themselves: a file of blocks can hold only one set of categories."""
    import pyarrow as pa

    for index, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            table = table.set_column(index, field.name, table[index].cast(field.type.value_type))
    return table


def _null_count(column: Any) -> int | None:
    known = column.statistics
    return known.null_count if known is not None and known.has_null_count else None


class _Stream:
    """Finds the block with a row by reading on; back to an earlier one, or far ahead, by its row group."""

    def __init__(self, read: Callable[[int], Iterator[pa.RecordBatch]], starts: Sequence[int]) -> None:
        import pyarrow as pa

        self._read, self._starts = read, starts
        self._blocks: Iterator[pa.RecordBatch] = iter(())
        self._start, self._block = 0, pa.record_batch({})

    def __call__(self, position: int) -> tuple[int, pa.RecordBatch]:
        group = bisect(self._starts, position) - 1
        here = bisect(self._starts, self._start) - 1
        if not len(self._block) or position < self._start or group > here + 1:
            self._blocks, self._start = self._read(group), self._starts[group]
            self._block = next(self._blocks)
        while position >= self._start + len(self._block):
            self._start += len(self._block)
            self._block = next(self._blocks)
        return self._start, self._block


def _copied_blocks(path: str) -> Callable[[int], tuple[int, pa.RecordBatch]]:
    """Return what finds the block with a row in an uncompressed file that is mapped into memory."""
    import pyarrow as pa

    file = pa.ipc.open_file(pa.memory_map(path))
    starts = [0]
    for number in range(file.num_record_batches):
        starts.append(starts[-1] + len(file.get_batch(number)))

    def find_block(position: int) -> tuple[int, pa.RecordBatch]:
        number = bisect(starts, position) - 1
        return starts[number], file.get_batch(number)

    return find_block
