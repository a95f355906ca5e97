"""The gallery of a perturbation test: a few examples at several magnitudes, with the model's answers and scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlflow_sensie.data.input_format import InputFormat, as_cell
from mlflow_sensie.data.types import Inputs

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Gallery:
    """Some examples of a perturbation test, at k of its magnitudes each.

    ``magnitudes`` (k,) ascend; at the position ``clean`` the inputs are as they came, and where the neutral is
    not known that is the first one, ``None``. ``tested`` counts those of the whole test. ``inputs``: k batches
    of the same m examples, as the perturbation sees them; ``pictures`` are the batches of images as pixels in
    [0, 1], (m, H, W) or (m, H, W, 3). ``columns``: those of a frame to show; of a frame's arrays, the one that
    ``input_format``, ``inputs`` and ``pictures`` are of. ``ids`` and ``truths`` (m,);
    ``answers``, k lists of m, or ``None`` where only a custom score knows; ``labels`` says that they name
    classes. ``scores`` (k, m) are those of the test. ``touched``: of how many examples looked at the test
    changes how many. ``repeated`` is false if the model's answers are not those that were scored in the test.
    """

    test: str
    magnitudes: tuple[float | None, ...]
    clean: int
    tested: int
    input_format: InputFormat
    inputs: tuple[Inputs, ...]
    pictures: tuple[NDArray[Any], ...]
    columns: tuple[Any, ...]
    ids: tuple[Any, ...]
    truths: tuple[Any, ...]
    answers: tuple[tuple[Any, ...], ...] | None
    labels: bool
    scores: NDArray[np.float64]
    touched: tuple[int, int] | None = None
    repeated: bool = True

    def right(self, magnitude: int, example: int) -> bool | None:
        """Whether the answer at this position is the true class; ``None`` where answers are no classes."""
        if not self.labels or self.answers is None:
            return None
        return str(self.answers[magnitude][example]) == str(self.truths[example])

    def changed(self, magnitude: int, column: Any) -> Flags:
        """Which cells (m,) of a frame's column differ from the clean ones."""
        before, after = self.inputs[self.clean], self.inputs[magnitude]
        return differing(series_of(before, column), series_of(after, column))


def series_of(batch: Inputs, column: Any) -> pd.Series[Any]:
    """Give a column of a frame, or texts as they are."""
    return batch[column] if isinstance(batch, pd.DataFrame) else pd.Series(batch)


def differing(before: pd.Series[Any], after: pd.Series[Any]) -> Flags:
    """Which cells (n,) differ; two missing ones do not."""
    numeric = pd.api.types.is_numeric_dtype
    if numeric(before.dtype) and numeric(after.dtype):
        a, b = (column.to_numpy(dtype=np.float64, na_value=np.nan) for column in (before, after))
        return np.asarray((a != b) & ~(np.isnan(a) & np.isnan(b)))
    empty = before.isna().to_numpy() | after.isna().to_numpy()
    both = before.isna().to_numpy() & after.isna().to_numpy()
    others = np.array([not _alike(a, b) for a, b in zip(before, after, strict=True)], dtype=np.bool_)
    return np.where(empty, ~both, others)


def _alike(a: Any, b: Any) -> bool:
    """Whether two cells hold the same text or array; NumPy abbreviates the text of a large array."""
    if not isinstance(a, np.ndarray | list) or not isinstance(b, np.ndarray | list):
        return str(a) == str(b)
    one, other = as_cell(a), as_cell(b)
    return np.array_equal(one, other, equal_nan=one.dtype.kind == other.dtype.kind == "f")
