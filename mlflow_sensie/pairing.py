"""Two score tables joined by example: the same examples side by side, a block at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlflow_sensie.errors import DataError
from mlflow_sensie.scores import CLEAN, EXPECTED, ID, Block, ScoreTable

ROWS = 65_536
Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Pairing:
    """The ``n`` examples that both tables hold.

    ``order`` gives the rows of candidate and baseline that belong together, ``None`` where both tables have the
    same ids in the same order; those are streamed, and no column is ever held as a whole.
    """

    candidate: ScoreTable
    baseline: ScoreTable
    order: tuple[Rows, Rows] | None
    n: int

    @classmethod
    def of(cls, candidate: ScoreTable, baseline: ScoreTable) -> Pairing:
        """Join by example id.

        Raises:
            DataError: fewer than two examples are common, or an id is not unique where the orders differ.
        """
        if len(candidate) == len(baseline) and _same_ids(candidate, baseline):
            order, n = None, len(candidate)
        else:
            order = _joined(candidate.column(ID), baseline.column(ID))
            n = len(order[0])
        if n < 2:
            raise DataError(f"candidate and baseline have {n} examples in common; at least two are needed")
        return cls(candidate, baseline, order, n)

    def blocks(self, columns: Sequence[str]) -> Iterator[tuple[Block, Block]]:
        """Yield blocks (candidate, baseline) of the same examples, with these columns."""
        if self.order is None:
            yield from _in_step(self.candidate.blocks(columns), self.baseline.blocks(columns))
            return
        tables = (self.candidate, self.baseline)
        held = [
            {name: table.column(name)[rows] for name in columns} for table, rows in zip(tables, self.order, strict=True)
        ]
        for start in range(0, self.n, ROWS):
            here = slice(start, start + ROWS)
            yield _cut(held[0], here), _cut(held[1], here)

    def identical(self) -> bool:
        """Whether every score of the two is equal: clean, expected, and at all common magnitudes."""
        names = [name for name in self.candidate.columns if name in (CLEAN, EXPECTED) or name.startswith("score/")]
        common = [name for name in names if name in self.baseline.columns]
        return all(
            np.array_equal(ours[name], theirs[name], equal_nan=True)
            for ours, theirs in self.blocks(common)
            for name in common
        )

    def same(self, column: str) -> bool:
        """Whether a column is equal in both; a property of the predictions is not."""
        pairs = ((ours[column], theirs[column]) for ours, theirs in self.blocks([column]))
        return all(np.array_equal(ours, theirs, equal_nan=ours.dtype.kind == "f") for ours, theirs in pairs)


def _same_ids(candidate: ScoreTable, baseline: ScoreTable) -> bool:
    pairs = _in_step(candidate.blocks([ID]), baseline.blocks([ID]))
    return all(np.array_equal(ours[ID], theirs[ID]) for ours, theirs in pairs)


def _joined(ours: NDArray[Any], theirs: NDArray[Any]) -> tuple[Rows, Rows]:
    for side, ids in (("candidate", ours), ("baseline", theirs)):
        if len(np.unique(ids)) < len(ids):
            raise DataError(f"the {side}'s example ids are not unique, so examples cannot be joined by id")
    try:
        _, left, right = np.intersect1d(ours, theirs, assume_unique=True, return_indices=True)
    except TypeError:  # numbers on one side, text on the other
        return np.empty(0, np.intp), np.empty(0, np.intp)
    return left, right


def _in_step(ours: Iterator[Block], theirs: Iterator[Block]) -> Iterator[tuple[Block, Block]]:
    """Cut two runs of blocks so that both have the same rows each time."""
    left, right = (filter(_rows, blocks) for blocks in (ours, theirs))
    x: Block = {}
    y: Block = {}
    while True:
        x, y = x if _rows(x) else next(left, {}), y if _rows(y) else next(right, {})
        count = min(_rows(x), _rows(y))
        if not count:
            return
        yield _cut(x, slice(count)), _cut(y, slice(count))
        x, y = _cut(x, slice(count, None)), _cut(y, slice(count, None))


def _rows(block: Block) -> int:
    return len(next(iter(block.values()))) if block else 0


def _cut(block: Block, rows: slice) -> Block:
    return {name: values[rows] for name, values in block.items()}
