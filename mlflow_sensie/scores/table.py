"""The score table: examples × (id, target, properties, clean, every test and magnitude)."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

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


class Scores(Protocol):
    """What inference reads: the score table, or a part of its rows."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Column names."""

    def blocks(self, columns: Sequence[str] | None = None) -> Iterator[Block]:
        """Yield the row blocks in order, with these columns (default: all)."""

    def asked(self, columns: Sequence[str]) -> Scores:
        """Return the rows that all of these columns were asked for: those of a test that stopped early end."""


@dataclass(frozen=True)
class Head:
    """The first ``rows`` rows of a score table."""

    table: Scores
    rows: int

    @property
    def columns(self) -> tuple[str, ...]:
        """Column names."""
        return self.table.columns

    def blocks(self, columns: Sequence[str] | None = None) -> Iterator[Block]:
        """Yield the row blocks in order, the last one cut."""
        left = self.rows
        for block in self.table.blocks(columns):
            if left > 0:
                yield {name: values[:left] for name, values in block.items()}
            left -= len(next(iter(block.values())))

    def asked(self, columns: Sequence[str]) -> Scores:
        """Return the rows that all of these columns were asked for."""
        return replace(self, table=self.table.asked(columns))


@dataclass(frozen=True)
class Part:
    """The rows of a score table whose ``column`` holds ``value``."""

    table: Scores
    column: str
    value: int

    @property
    def columns(self) -> tuple[str, ...]:
        """Column names."""
        return self.table.columns

    def blocks(self, columns: Sequence[str] | None = None) -> Iterator[Block]:
        """Yield the row blocks in order, those without a row left out."""
        wanted = list(columns if columns is not None else self.columns)
        for block in self.table.blocks([*wanted, *({self.column} - set(wanted))]):
            kept = block[self.column] == self.value
            if kept.any():
                yield {name: block[name][kept] for name in wanted}

    def asked(self, columns: Sequence[str]) -> Scores:
        """Return the rows that all of these columns were asked for."""
        return replace(self, table=self.table.asked(columns))


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
        if sum(values.nbytes for held in self._blocks for values in held.values()) > self._spill_bytes:
            self._spill()

    def end(self, columns: Iterable[str], rows: int) -> None:
        """Say that these columns hold nothing after their first ``rows`` rows."""
        self._ends |= dict.fromkeys(columns, rows)

    def asked(self, columns: Sequence[str]) -> Scores:
        """Return the rows that all of these columns were asked for."""
        rows = min(self._ends.get(name, self._rows) for name in columns)
        return self if rows >= self._rows else Head(self, rows)

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
    held: list[Block] = []
    count = 0
    for block in blocks:
        held.append(block)
        count += len(next(iter(block.values())))
        if count >= rows:
            yield {name: np.concatenate([part[name] for part in held]) for name in block}
            held, count = [], 0
    if held:
        yield {name: np.concatenate([part[name] for part in held]) for name in held[0]}
