"""Functions that predict for images and for a table of the doors' tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit


def bright(inputs: Any) -> Any:
    """The probability that an image is a bright one, of an array or a frame of arrays."""
    array = np.stack(inputs.iloc[:, 0]) if isinstance(inputs, pd.DataFrame) else np.asarray(inputs)
    return expit(8 * (array.mean(axis=tuple(range(1, array.ndim))) - 0.5))


def classify(frame: pd.DataFrame) -> Any:
    return expit(frame["a"].to_numpy())


TABLE: dict[str, Any] = {"properties": ["a", "site"], "perturbations": ["tabular.noise"]}


def breaks_at_2(frame: pd.DataFrame, p: float) -> pd.DataFrame:
    if p >= 2:
        raise ZeroDivisionError("no such luck")
    return frame + p


FAILING = {
    "properties": [{"name": "a", "bins": 4}],
    "perturbations": [
        {"name": "shift", "apply": breaks_at_2, "magnitudes": [0.5, 1, 2, 3]},
        {"name": "tabular.noise", "magnitudes": [0, 0.5, 1]},
    ],
}
