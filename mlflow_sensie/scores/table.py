"""The score table: examples × (id, target, properties, clean, every test and magnitude)."""

from __future__ import annotations

import copy
import itertools
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Block = Mapping[str, NDArray[Any]]
SPILL_BYTES = 256 * 2**20
GROUP_ROWS = 65_536  # of a Parquet file; a row group per chunk would be mostly headers

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


def output_column(scores: str, part: str) -> str:
    """Name of the column that holds a part of the predictions which the column ``scores`` was made of."""
    return f"output/{scores}/{part}"


def is_output(column: str) -> bool:
    """Whether a column holds a part of predictions."""
    return column.startswith("output/")


def is_score(column: str) -> bool:
    """Whether a column holds scores: clean, or at a test's magnitude."""
    return column == CLEAN or column.startswith("score/")


def is_expected(column: str) -> bool:
    """Whether a column holds scores that the model announces."""
    return column == EXPECTED or column.startswith("expected/")


def expected_of(scores: str) -> str:
    """Name of the column of announced scores that belongs to a column of scores."""
    return EXPECTED if scores == CLEAN else f"expected/{scores.removeprefix('score/')}"


class ScoreTable:
    """Row blocks of equal columns, appended one by one and read back one by one.

    The table lives in memory up to ``spill_bytes`` and goes on in a temporary Parquet file after that.
    ``metadata`` is JSON that travels with the file: what the columns mean. ``nbytes`` counts what was appended, in
    memory and spilled. The scores of a test that stopped early are NaN from some row on; ``end`` says which, and
    ``asked`` keeps them from being taken for missing. ``asked`` and ``part`` give some of the rows, in the same order:
    a view, with a mask over the table's first rows; those after them do not belong to it.
    """

    def __init__(self, metadata: Mapping[str, Any] | None = None, *, spill_bytes: int = SPILL_BYTES) -> None:
        self.metadata: dict[str, Any] = dict(metadata or {})
        self.columns: tuple[str, ...] = ()
        self.nbytes = 0
        self._spill_bytes = spill_bytes
        self._blocks: list[Block] = []
        self._rows = 0
        self._mask: NDArray[np.bool_] | None = None
        self._ends: dict[str, int] = {}
        self._spilled: list[Path] = []
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __len__(self) -> int:
        return self._rows if self._mask is None else int(self._mask.sum())

    def append(self, block: Block) -> None:
        """Append rows: columns of equal length, the same columns each time.

        Raises:
            ValueError: the columns differ from the first block's, or their lengths differ.
        """
        lengths = {len(values) for values in block.values()}
        if len(lengths) != 1 or (self.columns and tuple(block) != self.columns):
            raise ValueError(
                f"a block must have the columns {self.columns} of one length; {tuple(block)}: {lengths} came"
            )
        self.columns = tuple(block)
        self._blocks.append(block)
        self._rows += lengths.pop()
        self.nbytes += sum(values.nbytes for values in block.values())
        if sum(values.nbytes for block in self._blocks for values in block.values()) > self._spill_bytes:
            self._folder = self._folder or tempfile.TemporaryDirectory(prefix="sensie-")
            path = Path(self._folder.name) / f"{len(self._spilled)}.parquet"
            _write(path, self._blocks, self.metadata)
            self._spilled.append(path)
            self._blocks.clear()

    def with_metadata(self, metadata: Mapping[str, Any]) -> ScoreTable:
        """Return a view of the same rows under other metadata."""
        view = copy.copy(self)
        view.metadata = dict(metadata)
        return view

    def emptied(self) -> ScoreTable:
        """Return a table without rows, for rows whose columns end where those of this one do."""
        table = ScoreTable(self.metadata, spill_bytes=self._spill_bytes)
        table._ends = dict(self._ends)
        return table

    def end(self, columns: Iterable[str], rows: int) -> None:
        """Say that these columns hold nothing after their first ``rows`` rows."""
        self._ends |= dict.fromkeys(columns, rows)

    def asked(self, columns: Sequence[str]) -> ScoreTable:
        """Return the rows that all of these columns were asked for."""
        end = min((self._ends.get(name, self._rows) for name in columns), default=self._rows)
        return self if end >= self._rows else self._view(self._belongs[:end])

    def part(self, column: str, value: int) -> ScoreTable:
        """Return the rows whose ``column`` holds ``value``, a level number."""
        mask = self._belongs.copy()
        mask[mask] = self.column(column) == value
        return self._view(mask)

    @property
    def _belongs(self) -> NDArray[np.bool_]:
        return np.ones(self._rows, np.bool_) if self._mask is None else self._mask

    def _view(self, mask: NDArray[np.bool_]) -> ScoreTable:
        view = copy.copy(self)
        view._mask = mask
        return view

    def blocks(self, columns: Sequence[str] | None = None) -> Iterator[Block]:
        """Yield the row blocks in order, with these columns (default: all); those without a row are left out."""
        wanted = list(self.columns if columns is None else columns)
        start = 0
        for block in self._stored_blocks(wanted):
            rows = None if self._mask is None else self._mask[start : start + _length(block)]
            start += _length(block)
            if rows is None:
                yield block
            elif rows.any():
                yield {name: values[: len(rows)][rows] for name, values in block.items()}

    def _stored_blocks(self, columns: list[str]) -> Iterator[Block]:
        import pyarrow.parquet as pq

        for path in self._spilled:
            file = pq.ParquetFile(path)
            for group in range(file.num_row_groups):
                table = file.read_row_group(group, columns=columns)
                yield {name: table[name].to_numpy() for name in columns}
        for block in self._blocks:
            yield {name: block[name] for name in columns}

    def array(self, columns: Sequence[str]) -> NDArray[np.float64]:
        """Return columns of numbers as an array (n, k), with NaN after their end."""
        array, start = np.empty((len(self), len(columns))), 0
        for block in self.blocks(columns) if columns else ():  # one at a time, so that nothing is held twice
            rows = array[start : start + _length(block)]
            for index, name in enumerate(columns):
                rows[:, index] = block[name]
            start += len(rows)
        return array

    def column(self, name: str) -> NDArray[Any]:
        """Return a whole column (n,), with NaN after its end."""
        return np.concatenate([block[name] for block in self.blocks([name])])

    def write_parquet(self, path: str | Path) -> None:
        """Write the table with its metadata to a Parquet file."""
        _write(path, self.blocks(), {**self.metadata, **({"ends": self._ends} if self._ends else {})})

    @classmethod
    def read_parquet(cls, path: str | Path) -> ScoreTable:
        """Open a file that ``write_parquet`` wrote; rows are read when asked for."""
        import pyarrow.parquet as pq

        file = pq.ParquetFile(path)
        table = cls(json.loads((file.schema_arrow.metadata or {}).get(b"sensie", b"{}")))
        table._ends = table.metadata.pop("ends", {})
        table.columns = tuple(file.schema_arrow.names)
        table._rows = file.metadata.num_rows
        table.nbytes = 8 * table._rows * len(table.columns)
        table._spilled = [Path(path)]
        return table


def _length(block: Block) -> int:
    return len(next(iter(block.values())))


def _write(path: str | Path, blocks: Iterable[Block], metadata: Mapping[str, Any]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = (pa.table(block) for block in _row_groups(blocks))
    first = next(tables, None)
    if first is not None:
        with pq.ParquetWriter(path, first.schema.with_metadata({"sensie": json.dumps(metadata)})) as writer:
            for table in itertools.chain([first], tables):
                writer.write_table(table)


def _row_groups(blocks: Iterable[Block]) -> Iterator[dict[str, NDArray[Any]]]:
    """Join the blocks that start within the same ``GROUP_ROWS`` rows."""
    rows = 0

    def number(block: Block) -> int:
        nonlocal rows
        start, rows = rows, rows + _length(block)
        return start // GROUP_ROWS

    for _, group in itertools.groupby(blocks, number):
        parts = list(group)
        yield {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
