"""Chunks: the examples that are perturbed together, the unit of randomness; and what a perturbation may give back."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlflow_sensie.data.examples import CHUNK, Examples
from mlflow_sensie.data.types import Inputs
from mlflow_sensie.perturbations.base import Perturbation
from mlflow_sensie.scores.table import expected_column, score_column

PART_VALUES = 1 << 20  # of tensors perturbed at a time: what a processor's cache holds with draws and result
LEAST_PART = 8


@dataclass(frozen=True)
class SweepTest:
    """A perturbation test as the sweep runs it; ``magnitudes`` are ascending, without the neutral."""

    name: str
    slug: str
    perturbation: Perturbation
    magnitudes: tuple[float, ...]

    @property
    def columns(self) -> list[str]:
        """The columns of its scores in the score table, one per magnitude."""
        return [score_column(self.slug, index) for index in range(len(self.magnitudes))]

    @property
    def expected_columns(self) -> list[str]:
        """The columns of the scores that the model itself announces, where these are followed."""
        return [expected_column(self.slug, index) for index in range(len(self.magnitudes))]


def parts(chunk: Examples) -> list[slice]:
    """Cut a chunk into what is perturbed together: all of it, but for large tensors as many as ``PART_VALUES`` are.

    The cuts depend on nothing but the examples' shape, so neither do the draws.
    """
    n, shape = len(chunk), chunk.input_format.shape
    size = CHUNK if shape is None else max(LEAST_PART, PART_VALUES // max(math.prod(shape), 1))
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


def perturbed(test: SweepTest, some: Examples, place: tuple[int, int], seed: int) -> Iterator[Any]:
    """Perturb a copy of a part of a chunk at each magnitude of a test.

    ``place`` is the chunk's number and where in it the part starts, ``seed`` the recipe's. The draws depend on them
    and the test, never on the magnitude.
    """
    state = np.random.SeedSequence([seed, zlib.crc32(test.slug.encode()), *place])
    copy = some.input_format.decode(some.inputs)
    yield from test.perturbation.along(copy, test.magnitudes, np.random.default_rng(state))


def check_perturbed(values: Any, before: Inputs, perturbation: Perturbation) -> None:
    """Refuse what is no perturbed version of ``before``.

    Cells of a frame that are arrays are not looked into; those who perturb them check each column of them.

    Raises:
        ValueError: it has another shape or other columns, or NaN where there were none.
    """
    if isinstance(before, pd.DataFrame):
        _check_frame(values, before)
        fresh = int((_bad_cells(values) & ~_bad_cells(before)).sum())
    else:
        if np.shape(values) != before.shape:
            raise ValueError(f"it must keep the shape {before.shape}; {np.shape(values)} came")
        fresh = int((~np.isfinite(values) & np.isfinite(before)).sum()) if np.asarray(values).dtype.kind == "f" else 0
    if fresh and not getattr(perturbation, "makes_missing", False):
        raise ValueError(f"it returned {fresh} values that are NaN or infinite where there were none")


def _check_frame(values: Any, before: pd.DataFrame) -> None:
    frame = isinstance(values, pd.DataFrame)
    if not frame or list(values.columns) != list(before.columns) or len(values) != len(before):
        came = list(values.columns) if frame else type(values).__name__
        raise ValueError(f"it must return a frame of {len(before)} rows with the same columns; {came} came")


def _bad_cells(frame: pd.DataFrame) -> NDArray[np.bool_]:
    bad = np.array(frame.isna())
    floats = [i for i, dtype in enumerate(frame.dtypes) if isinstance(dtype, np.dtype) and dtype.kind == "f"]
    if floats:
        bad[:, floats] |= np.isinf(frame.iloc[:, floats].to_numpy())
    return bad
