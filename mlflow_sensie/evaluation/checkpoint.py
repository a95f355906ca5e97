"""What a sweep keeps of its work: the score rows of its chunks in a folder, where another sweep finds them again."""

from __future__ import annotations

import hashlib
import json
import os
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from mlflow_sensie.errors import DataError, RecipeError
from mlflow_sensie.inference.weights import FloatArray
from mlflow_sensie.recipe.model import Recipe
from mlflow_sensie.scores.table import ID, Block, ScoreTable

SECONDS = 10.0  # of work that a crash may cost
MOST_CHUNKS = 64  # in one file
CHUNKS = "by shape"  # how examples are cut; what was stored under another way has other rows and other draws
FIRST = "first.npy"
NAME = re.compile(r"(\d{8})-(\d{8})\.parquet")


@dataclass(frozen=True)
class StoredChunk:
    """The score rows of one chunk, how many predictions they took, and by slug how tests had failed by then."""

    block: Block
    n_predictions: int
    failures: Mapping[str, str] = field(default_factory=dict)


class Checkpoint:
    """The chunks of one evaluation, in Parquet files of consecutive ones.

    A file is written when its chunks took ten seconds, and appears whole or not at all; ``close`` writes the rest.
    Several sweeps may fill one folder at a time, each with chunks of its own.

    Raises:
        RecipeError: the folder cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RecipeError(f"checkpoint: the folder {folder} cannot be made: {error}") from error
        self._files = {number: path for path in sorted(folder.iterdir()) for number in _numbers(path)}
        self._read: tuple[Path | None, dict[int, StoredChunk]] = None, {}
        self._waiting: dict[int, StoredChunk] = {}
        self._since = monotonic()

    def __contains__(self, number: int) -> bool:
        return number in self._files

    def find(self, number: int) -> StoredChunk | None:
        """Read a chunk; None where it is not there."""
        path = self._files.get(number)
        if path is None:
            return None
        if self._read[0] != path:
            self._read = path, _read(path)
        return self._read[1][number]

    def store(self, number: int, chunk: StoredChunk) -> None:
        """Store a chunk, at the latest when ten seconds have passed and another one comes."""
        if self._waiting and number != max(self._waiting) + 1:
            self.close()
        self._waiting[number] = chunk
        if monotonic() - self._since >= SECONDS or len(self._waiting) >= MOST_CHUNKS:
            self.close()

    def close(self) -> None:
        """Write what waits."""
        if self._waiting:
            path = self.folder / f"{min(self._waiting):08d}-{max(self._waiting):08d}.parquet"
            _write(path, self._waiting)
            self._files |= dict.fromkeys(self._waiting, path)
        self._waiting, self._since = {}, monotonic()

    def agree(self, first: FloatArray) -> None:
        """Compare the clean scores of the first examples, (n,), with those of the model that began.

        Raises:
            DataError: they differ, so this is another model, which had no identity to be told by.
        """
        path = self.folder / FIRST
        if not path.exists():
            _appear(path, lambda beside: np.save(beside, first))
            return
        known = np.load(path)
        if not np.allclose(known, first, rtol=1e-3, atol=1e-3, equal_nan=True):
            where = int(np.argmax(~np.isclose(known, first, rtol=1e-3, atol=1e-3, equal_nan=True)))
            raise DataError(
                f"checkpoint: {self.folder} was begun with a model that predicts otherwise (the score of its example "
                f"number {where} was {known[where]:.4g} and is {first[where]:.4g}); remove that folder to start again"
            )


def folder_of(recipe: Recipe, data_sha256: str, model: str, version: str) -> Path:
    """Where an evaluation's chunks belong below the recipe's folder: by all that its scores depend on.

    ``model`` is the model's identity, ``version`` this package's. A time budget cuts an order short, so that its
    length does not matter, only whether there is one.
    """
    assert recipe.checkpoint is not None
    same = recipe.model_copy(update={"time_budget": None if recipe.time_budget is None else 1.0})
    key = json.dumps([same.digest(), data_sha256, model, version, CHUNKS])
    return Path(recipe.checkpoint).expanduser() / hashlib.sha256(key.encode()).hexdigest()[:16]


def _numbers(path: Path) -> range:
    match = NAME.fullmatch(path.name)
    return range(int(match[1]), int(match[2]) + 1) if match else range(0)


def _write(path: Path, chunks: Mapping[int, StoredChunk]) -> None:
    metadata = [[len(chunk.block[ID]), chunk.n_predictions, dict(chunk.failures)] for chunk in chunks.values()]
    table = ScoreTable({"chunks": metadata})
    for chunk in chunks.values():
        table.append(chunk.block)
    _appear(path, table.write_parquet)


def _appear(path: Path, write: Callable[[Path], Any]) -> None:
    """Write a file that nobody ever sees half written."""
    beside = path.with_name(f".{uuid.uuid4().hex}{path.suffix}")
    write(beside)
    os.replace(beside, path)


def _read(path: Path) -> dict[int, StoredChunk]:
    table = ScoreTable.read_parquet(path)
    columns = {name: table.column(name) for name in table.columns}
    chunks, start = {}, 0
    for number, (rows, n_predictions, failures) in zip(_numbers(path), table.metadata["chunks"], strict=True):
        block = {name: values[start : start + rows] for name, values in columns.items()}
        chunks[number] = StoredChunk(block, n_predictions, failures)
        start += rows
    return chunks
