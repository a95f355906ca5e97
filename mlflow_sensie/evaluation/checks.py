"""Checks of what a perturbation gives back, before the model sees it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlflow_sensie.data.types import Inputs
from mlflow_sensie.perturbations.base import Perturbation


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
