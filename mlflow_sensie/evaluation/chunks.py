"""Chunks: the examples that are perturbed together, the unit of randomness; and what a perturbation may give back."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlflow_sensie.data.examples import Examples, rows
from mlflow_sensie.data.input_format import as_cell, holds_arrays
from mlflow_sensie.data.types import Inputs, fresh_copy
from mlflow_sensie.inference import MagnitudeGrid
from mlflow_sensie.perturbations.base import FunctionPerturbation, Perturbation
from mlflow_sensie.perturbations.text import EditFunction
from mlflow_sensie.scores.table import expected_column, output_column, score_column

FIRST_CHUNK = 64
MOST_EXAMPLES = 16_384  # of one chunk
MOST_TEXTS = 256  # of one chunk
MOST_VALUES = 1 << 20  # perturbed at a time: what a processor's cache holds with draws and result
LEAST_PART = 8
MOST_CHARACTERS = 1 << 17  # of texts perturbed at a time: each may have an edit of its own, of some hundred bytes


@dataclass(frozen=True)
class SweepTest:
    """A perturbation test as the sweep runs it; ``magnitudes`` are ascending, without the neutral.

    ``label`` is what the magnitude is called, where that is not the test's name; ``notes`` what the result says of it.
    """

    name: str
    slug: str
    perturbation: Perturbation
    magnitudes: tuple[float, ...]
    label: str = ""
    notes: tuple[str, ...] = ()

    @cached_property
    def grid(self) -> MagnitudeGrid:
        """The geometry of the sweep: distances from the neutral, and sides."""
        return MagnitudeGrid.of(self.magnitudes, self.perturbation.neutral, self.perturbation.log_distance)

    @property
    def columns(self) -> list[str]:
        """The columns of its scores in the score table, one per magnitude."""
        return [score_column(self.slug, index) for index in range(len(self.magnitudes))]

    def output_columns(self, parts: Sequence[str]) -> list[str]:
        """The columns of what is kept of its predictions, all ``parts`` of a magnitude after those of another."""
        return [output_column(column, part) for column in self.columns for part in parts]

    @property
    def expected_columns(self) -> list[str]:
        """The columns of the scores that the model itself announces, where these are followed."""
        return [expected_column(self.slug, index) for index in range(len(self.magnitudes))]


@dataclass(frozen=True)
class Version:
    """The ``inputs`` of these ``rows`` of a chunk, ready for the model: clean, or at a test's index-th magnitude."""

    rows: slice
    inputs: Any
    test: SweepTest | None = None
    index: int = 0

    @property
    def name(self) -> str:
        """What progress calls it."""
        return "clean" if self.test is None else f"{self.test.name} {self.test.magnitudes[self.index]:g}"


def cut_into_chunks(examples: Examples) -> list[slice]:
    """Cut examples into chunks, which end at 64, 128, 256, 512, ..., and from one of the largest size on are all so.

    The largest size is a power of two by the example's shape alone, so that draws depend on nothing else; a last
    chunk of one example joins the one before it.
    """
    n, largest, edges = len(examples), largest_chunk(examples), [0]
    while edges[-1] < n:
        edges.append(min(n, edges[-1] + min(max(edges[-1], FIRST_CHUNK), largest)))
    return _slices(edges)


def largest_chunk(examples: Examples) -> int:
    """Return how many examples a chunk may have: 256 texts, or about 2^20 values, from 64 to 16,384 examples."""
    if examples.input_format.kind == "text":
        return MOST_TEXTS
    most = min(MOST_EXAMPLES, MOST_VALUES // max(_values(examples), 1))
    return max(FIRST_CHUNK, 1 << most.bit_length() >> 1)


def _values(examples: Examples) -> int:
    """How many values one example has, those of the arrays in a frame's cells among them."""
    if examples.input_format.shape is not None:
        return math.prod(examples.input_format.shape)
    first = rows(examples.source, slice(0, 1))
    if not isinstance(first, pd.DataFrame):
        return math.prod(first.shape[1:])
    arrays = (holds_arrays(column) for _, column in first.items())
    return sum(as_cell(first.iat[0, k]).size if array else 1 for k, array in enumerate(arrays))


def parts(chunk: Examples) -> list[slice]:
    """Cut a chunk into what is perturbed together: all of it, but for large tensors and long texts some at a time.

    The cuts depend on nothing but the examples themselves, so neither do the draws.
    """
    n, shape = len(chunk), chunk.input_format.shape
    if chunk.input_format.kind == "text":
        return _by_size(_lengths(chunk.inputs), MOST_CHARACTERS, 2)
    if shape is None:
        return [slice(0, n)]
    return _by_size([math.prod(shape)] * n, MOST_VALUES, LEAST_PART)


def _by_size(sizes: Sequence[int], most: int, least: int) -> list[slice]:
    """Consecutive parts of ``most`` in all, of at least ``least`` examples each."""
    edges, total = [0], 0
    for position, size in enumerate(sizes):
        if total + size > most and position - edges[-1] >= least:
            edges.append(position)
            total = 0
        total += size
    return _slices([*edges, len(sizes)])


def _slices(edges: list[int]) -> list[slice]:
    """What lies between edges; a single example at the end is put to those before it: a batch of one is a special case.

    Some models drop its axis.
    """
    if len(edges) > 2 and edges[-1] - edges[-2] == 1:
        del edges[-2]
    return [slice(start, stop) for start, stop in pairwise(edges)]


def _lengths(texts: Inputs) -> list[int]:
    columns = [texts[name] for name in texts.columns] if isinstance(texts, pd.DataFrame) else [texts]
    return [sum(len(cell) for cell in cells if isinstance(cell, str)) for cells in zip(*columns, strict=True)]


def perturbed(test: SweepTest, some: Examples, place: tuple[int, int], seed: int) -> Iterator[Any]:
    """Perturb a copy of a part of a chunk at each magnitude of a test.

    ``place`` is the chunk's number and where in it the part starts, ``seed`` the recipe's. The draws depend on them
    and the test, never on the magnitude; those of a text on its own place in the chunk.
    """
    entropy, (number, start) = [seed, zlib.crc32(test.slug.encode())], place
    if isinstance(test.perturbation, EditFunction):  # it spawns a generator for each example
        state = np.random.SeedSequence([*entropy, number], n_children_spawned=start)
    else:
        state = np.random.SeedSequence([*entropy, number, start])
    copy = some.input_format.decode(some.inputs)
    versions = test.perturbation.along(copy, test.magnitudes, np.random.default_rng(state))
    if not isinstance(test.perturbation, FunctionPerturbation):
        yield from versions
        return
    for values in versions:
        if isinstance(values, list) and isinstance(copy, np.ndarray):
            yield np.array(values, dtype=object if copy.dtype == object else None)
        else:  # it may hand out one buffer again and again; what waits for the model must not change
            yield fresh_copy(values)


def check_perturbed(values: Any, before: Inputs, perturbation: Perturbation) -> None:
    """Refuse what is no perturbed version of ``before``.

    Cells of a frame that are arrays are not looked into; those who perturb them check each column of them.

    Raises:
        ValueError: it has another shape or other columns, or NaN where there were none.
    """
    if isinstance(before, pd.DataFrame):
        _check_frame(values, before)
    elif np.shape(values) != before.shape:
        raise ValueError(f"it must keep the shape {before.shape}; {np.shape(values)} came")
    if getattr(perturbation, "makes_missing", False):
        return
    bad = _bad_cells(values)
    fresh = int((bad & ~_bad_cells(before)).sum()) if bad.any() else 0
    if fresh:
        raise ValueError(f"it returned {fresh} values that are NaN or infinite where there were none")


def _check_frame(values: Any, before: pd.DataFrame) -> None:
    frame = isinstance(values, pd.DataFrame)
    if not frame or not values.columns.equals(before.columns) or len(values) != len(before):
        came = list(values.columns) if frame else type(values).__name__
        raise ValueError(f"it must return a frame of {len(before)} rows with the same columns; {came} came")


def _bad_cells(inputs: Any) -> NDArray[np.bool_]:
    """Which cells are missing or infinite."""
    if not isinstance(inputs, pd.DataFrame):
        array = np.asarray(inputs)
        return ~np.isfinite(array) if array.dtype.kind == "f" else np.zeros(array.shape, dtype=np.bool_)
    floats = np.array([isinstance(dtype, np.dtype) and dtype.kind == "f" for dtype in inputs.dtypes], dtype=np.bool_)
    if floats.all():
        return np.asarray(~np.isfinite(inputs.to_numpy()))
    bad = np.empty(inputs.shape, dtype=np.bool_)
    bad[:, floats] = ~np.isfinite(inputs.loc[:, floats].to_numpy())
    bad[:, ~floats] = inputs.loc[:, ~floats].isna()
    return bad
