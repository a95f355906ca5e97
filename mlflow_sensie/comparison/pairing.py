"""Two score tables side by side: the same examples joined by their ids, a block at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mlflow_sensie.errors import ComparisonError
from mlflow_sensie.inference import SamplingDesign, ScoreScale
from mlflow_sensie.moments import Extremes, FloatArray
from mlflow_sensie.scores.table import CLEAN, CLUSTER, EXPECTED, ID, WEIGHT, Block, ScoreTable

ROWS = 65_536
TELLING = 10
MEASURED = ("score/", "expected/")
Side = Literal["a", "b"]
SIDES: tuple[Side, Side] = ("a", "b")
Order = tuple[NDArray[np.intp], NDArray[np.intp]]


@dataclass(frozen=True)
class Pairing:
    """Two tables, ``paired`` where their rows are the same ``n`` examples; else ``n`` is the smaller number.

    ``order`` gives the rows of A and B that belong together, ``None`` where both tables have the same ids in
    the same order; those are streamed, and no column is ever held as a whole.
    """

    a: ScoreTable
    b: ScoreTable
    paired: bool
    n: int
    order: Order | None = None

    @classmethod
    def by_id(cls, a: ScoreTable, b: ScoreTable) -> Pairing:
        """Join by example id.

        Raises:
            ComparisonError: fewer than two examples are common, or an id is not unique where the orders differ.
        """
        if len(a) == len(b) and _same_ids(a, b):
            return cls(a, b, True, len(a))
        order = _joined(a.column(ID), b.column(ID))
        if len(order[0]) < 2:
            raise ComparisonError(f"A and B have {len(order[0])} examples in common; at least two are needed")
        return cls(a, b, True, len(order[0]), order)

    @classmethod
    def apart(cls, a: ScoreTable, b: ScoreTable) -> Pairing:
        """Put two tables of different examples side by side."""
        return cls(a, b, False, min(len(a), len(b)))

    def blocks(self, columns: Sequence[str]) -> Iterator[tuple[Block, Block]]:
        """Yield blocks (A's, B's) of the same examples, with these columns."""
        assert self.paired
        if self.order is None:
            yield from _in_step(self.a.blocks(columns), self.b.blocks(columns))
            return
        sides = zip((self.a, self.b), self.order, strict=True)
        ours, theirs = ({name: table.column(name)[rows] for name in columns} for table, rows in sides)
        for start in range(0, self.n, ROWS):
            here = slice(start, start + ROWS)
            yield _cut(ours, here), _cut(theirs, here)

    def differences(
        self, columns: Sequence[str], less: Sequence[str] = ()
    ) -> Iterator[tuple[FloatArray, SamplingDesign]]:
        """Yield rows (n, 2k), A's columns and then B - A, with their design; none with a missing score in either.

        From each column is taken the one that stands in its place in ``less``, where there is one.
        """
        for ours, theirs in self.blocks([*columns, *less, *design_columns(self.a)]):
            a, b = (_stacked(block, columns, less) for block in (ours, theirs))
            yield _finite(np.hstack([a, b - a]), design_of(ours))

    def rows(
        self, side: Side, columns: Sequence[str], less: Sequence[str] = ()
    ) -> Iterator[tuple[FloatArray, SamplingDesign]]:
        """Yield one model's rows (n, k) of these columns with their design; none with a missing score."""
        table = self.a if side == "a" else self.b
        for block in table.blocks([*columns, *less, *design_columns(table)]):
            yield _finite(_stacked(block, columns, less), design_of(block))

    def reach(self, columns: Sequence[str], scale: ScoreScale) -> tuple[float, float]:
        """Give the score's bounds, with what either model reached in place of those it does not have."""
        seen = Extremes.empty()
        for side in SIDES if not scale.bounded else ():
            for rows, _ in self.rows(side, columns):
                seen += Extremes.of(rows)
        return scale.range_of(np.array([seen.lower, seen.upper]))

    def identical(self) -> bool:
        """Whether every score of the two is equal: clean, expected, and at all magnitudes that both have."""
        return self.paired and all(self.same(name) for name in self._of_both())

    def telling(self, scale: ScoreScale) -> bool:
        """Whether A's scores differ so much among themselves that another model agrees with all by no chance.

        They do with ten values between their bounds, as probabilities have, or ten different rows of scores, as 0/1
        scores have where perturbations make different examples fail at different magnitudes. Of clean 0/1 scores two
        good models share most.
        """
        values: set[float] = set()
        rows: set[tuple[float, ...]] = set()
        names = self._of_both()
        for block, _ in self.blocks(names):
            scores, _ = _finite(_stacked(block, names, ()), SamplingDesign())
            values.update(np.unique(scores[scale.inside(scores)])[:TELLING].tolist())
            rows.update(map(tuple, np.unique(scores, axis=0)[:TELLING].tolist()))
            if max(len(values), len(rows)) >= TELLING:
                return True
        return False

    def _of_both(self) -> list[str]:
        names = [name for name in self.a.columns if name in (CLEAN, EXPECTED) or name.startswith(MEASURED)]
        return [name for name in names if name in self.b.columns]

    def same(self, column: str) -> bool:
        """Whether a column is equal in both; a property of the predictions is not."""
        pairs = ((ours[column], theirs[column]) for ours, theirs in self.blocks([column]))
        return all(np.array_equal(ours, theirs, equal_nan=ours.dtype.kind == "f") for ours, theirs in pairs)


def design_columns(table: ScoreTable) -> list[str]:
    """Name the columns that say how examples count, those that the table has of weight and cluster."""
    return [name for name in (WEIGHT, CLUSTER) if name in table.columns]


def design_of(block: Block) -> SamplingDesign:
    """Give the weights and clusters of a block, where it has them."""
    return SamplingDesign(block.get(WEIGHT), block.get(CLUSTER))


def _stacked(block: Block, columns: Sequence[str], less: Sequence[str]) -> FloatArray:
    found = np.column_stack([block[name] for name in columns])
    return found - np.column_stack([block[name] for name in less]) if less else found


def _finite(rows: FloatArray, design: SamplingDesign) -> tuple[FloatArray, SamplingDesign]:
    kept = np.asarray(np.isfinite(rows).all(axis=1))
    return rows[kept], design.take(kept)


def _same_ids(a: ScoreTable, b: ScoreTable) -> bool:
    pairs = _in_step(a.blocks([ID]), b.blocks([ID]))
    return all(np.array_equal(ours[ID], theirs[ID]) for ours, theirs in pairs)


def _joined(ours: NDArray[Any], theirs: NDArray[Any]) -> Order:
    for side, ids in (("A", ours), ("B", theirs)):
        if len(np.unique(ids)) < len(ids):
            raise ComparisonError(f"the example ids of {side} are not unique, so examples cannot be joined by id")
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
