"""The score table: examples × (id, target, properties, clean, every test and magnitude)."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Block = Mapping[str, NDArray[Any]]
SPILL_BYTES = 256 * 2**20

ID, TARGET, CLEAN, EXPECTED = "id", "target", "clean", "expected"
WEIGHT, CLUSTER = "weight", "cluster"


def property_column(slug: str) -> str:
    """Name of the column that holds a property's value (number, or level number with −1 for missing)."""
    return f"property/{slug}"


def slice_column(slug: str) -> str:
    """Name of the column that holds the level number of each example in a column of slices."""
    return f"slice/{slug}"


def score_column(slug: str, index: int) -> str:
    """Name of the column that holds a perturbation test's scores at its index-th magnitude."""
    return f"score/{slug}/{index}"


def expected_column(slug: str, index: int) -> str:
    """Name of the column that holds the scores that the model announces itself at a test's index-th magnitude."""
    return f"expected/{slug}/{index}"


@dataclass(frozen=True)
class ScoreView:
    """Some rows of a score table, in its order: a slice, or the first ones that a test was asked of.

    ``rows`` is a mask over the table's first ``len(rows)`` rows; those after them do not belong to it.
    """

    table: ScoreTable
    rows: NDArray[np.bool_]

    def __len__(self) -> int:
        return int(self.rows.sum())

    @property
    def columns(self) -> tuple[str, ...]:
        """Column names."""
        return self.table.columns

    def blocks(self, columns: Sequence[str] | None = None) -> Iterator[Block]:
        """Yield the row blocks in order, with these columns (default: all); those without a row are left out."""
        start = 0
        for block in self.table.blocks(columns):
            rows = self.rows[start : start + _length(block)]
            start += _length(block)
            if rows.any():
                yield {name: values[: len(rows)][rows] for name, values in block.items()}
            if start >= len(self.rows):
                return

    def array(self, columns: Sequence[str]) -> NDArray[np.float64]:
        """Return columns of numbers as an array (n, k)."""
        return _stacked(self.blocks(columns), len(self), columns)

    def column(self, name: str) -> NDArray[Any]:
        """Return a whole column (n,)."""
        return self.table.column(name)[: len(self.rows)][self.rows]

    def asked(self, columns: Sequence[str]) -> ScoreView:
        """Return the rows that all of these columns were asked for."""
        return ScoreView(self.table, self.rows[: self.table.end_of(columns)])

    def part(self, column: str, value: int) -> ScoreView:
        """Return the rows whose ``column`` holds ``value``."""
        return ScoreView(self.table, self.rows & self.table.part(column, value).rows[: len(self.rows)])


class ScoreTable:
    """Row blocks of equal columns, appended one by one and read back one by one.

    The table lives in memory up to ``spill_bytes`` and goes on in a temporary Parquet file after that.
    ``metadata`` is JSON that travels with the file: what the columns mean. The scores of a test that stopped
    early are NaN from some row on; ``end`` says which, and ``asked`` keeps them from being taken for missing.
    """

    def __init__(self, metadata: Mapping[str, Any] | None = None, *, spill_bytes: int = SPILL_BYTES) -> None:
        self.metadata: dict[str, Any] = dict(metadata or {})
        self._spill_bytes = spill_bytes
        self._blocks: list[Block] = []
        self._bytes = 0
        self._rows = 0
        self._columns: tuple[str, ...] = ()
        self._ends: dict[str, int] = {}
        self._spilled: list[Path] = []
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __len__(self) -> int:
        return self._rows

    @property
    def columns(self) -> tuple[str, ...]:
        """Column names, in the order of the first block."""
        return self._columns

    @property
    def nbytes(self) -> int:
        """Bytes appended so far, in memory and spilled."""
        return self._bytes

    def append(self, block: Block) -> None:
        """Append rows: columns of equal length, the same columns each time.

        Raises:
            ValueError: the columns differ from the first block's, or their lengths differ.
        """
        lengths = {len(values) for values in block.values()}
        if len(lengths) != 1 or (self._columns and tuple(block) != self._columns):
            raise ValueError(
                f"a block must have the columns {self._columns} of one length; {tuple(block)}: {lengths} came"
            )
        self._columns = tuple(block)
        self._blocks.append(block)
        self._rows += lengths.pop()
        self._bytes += sum(values.nbytes for values in block.values())
        if sum(values.nbytes for block in self._blocks for values in block.values()) > self._spill_bytes:
            self._spill()

    def end(self, columns: Iterable[str], rows: int) -> None:
        """Say that these columns hold nothing after their first ``rows`` rows."""
        self._ends |= dict.fromkeys(columns, rows)

    def end_of(self, columns: Sequence[str]) -> int:
        """Return how many rows all of these columns were asked for."""
        return min((self._ends.get(name, self._rows) for name in columns), default=self._rows)

    def asked(self, columns: Sequence[str]) -> Scores:
        """Return the rows that all of these columns were asked for."""
        end = self.end_of(columns)
        return self if end >= self._rows else ScoreView(self, np.ones(end, np.bool_))

    def part(self, column: str, value: int) -> ScoreView:
        """Return the rows whose ``column`` holds ``value``, a level number."""
        return ScoreView(self, self.column(column) == value)

    def blocks(self, columns: Sequence[str] | None = None) -> Iterator[Block]:
        """Yield the row blocks in order, with these columns (default: all)."""
        import pyarrow.parquet as pq

        wanted = list(columns if columns is not None else self._columns)
        for path in self._spilled:
            file = pq.ParquetFile(path)
            for group in range(file.num_row_groups):
                table = file.read_row_group(group, columns=wanted)
                yield {name: table[name].to_numpy() for name in wanted}
        for block in self._blocks:
            yield {name: block[name] for name in wanted}

    def array(self, columns: Sequence[str]) -> NDArray[np.float64]:
        """Return columns of numbers as an array (n, k), with NaN after their end."""
        return _stacked(self.blocks(columns), self._rows, columns)

    def column(self, name: str) -> NDArray[Any]:
        """Return a whole column (n,), with NaN after its end."""
        return np.concatenate([block[name] for block in self.blocks([name])])

    def write_parquet(self, path: str | Path) -> None:
        """Write the table with its metadata to a Parquet file."""
        ends = {"ends": self._ends} if self._ends else {}
        _write(path, self.blocks(), {**self.metadata, **ends})

    @classmethod
    def read_parquet(cls, path: str | Path) -> ScoreTable:
        """Open a file that ``write_parquet`` wrote; rows are read when asked for."""
        import pyarrow.parquet as pq

        file = pq.ParquetFile(path)
        schema = file.schema_arrow
        table = cls(json.loads((schema.metadata or {}).get(b"sensie", b"{}")))
        table._ends = table.metadata.pop("ends", {})
        table._columns = tuple(schema.names)
        table._rows = file.metadata.num_rows
        table._bytes = 8 * table._rows * len(table._columns)
        table._spilled = [Path(path)]
        return table

    def _spill(self) -> None:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="sensie-")
        path = Path(self._folder.name) / f"{len(self._spilled)}.parquet"
        _write(path, iter(self._blocks), self.metadata)
        self._spilled.append(path)
        self._blocks = []


def _length(block: Block) -> int:
    return len(next(iter(block.values())))


def _stacked(blocks: Iterator[Block], rows: int, columns: Sequence[str]) -> NDArray[np.float64]:
    """Put columns side by side, a block at a time, so that nothing is held twice."""
    array, start = np.empty((rows, len(columns))), 0
    for block in blocks:
        stop = start + _length(block)
        for index, name in enumerate(columns):
            array[start:stop, index] = block[name]
        start = stop
    return array


def _write(path: str | Path, blocks: Iterator[Block], metadata: Mapping[str, Any]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    writer: pq.ParquetWriter | None = None
    try:
        for block in _joined(blocks):
            table = pa.table({name: pa.array(values, from_pandas=False) for name, values in block.items()})
            if writer is None:
                writer = pq.ParquetWriter(path, table.schema.with_metadata({"sensie": json.dumps(metadata)}))
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()


def _joined(blocks: Iterator[Block], rows: int = 65_536) -> Iterator[Block]:
    """Join blocks to at least ``rows`` rows each: a Parquet row group per chunk would be mostly headers."""
    waiting: list[Block] = []
    count = 0
    for block in blocks:
        waiting.append(block)
        count += _length(block)
        if count >= rows:
            yield {name: np.concatenate([part[name] for part in waiting]) for name in block}
            waiting, count = [], 0
    if waiting:
        yield {name: np.concatenate([part[name] for part in waiting]) for name in waiting[0]}


Scores = ScoreTable | ScoreView
