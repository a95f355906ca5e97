"""A logistic model of one column, data for it, and perturbations that it can tell apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

N = 600  # five chunks
GOOD = {"name": "good", "apply": "tabular.noise", "magnitudes": [0, 0.5, 1]}
PLAIN = {"perturbations": [GOOD], "properties": ["a"], "class_test": True}


def frame() -> pd.DataFrame:
    rng = np.random.default_rng(2)
    return pd.DataFrame({"a": rng.uniform(-2, 2, N), "b": rng.uniform(-2, 2, N), "k": rng.integers(0, 9, N)})


def labels() -> Any:
    return (frame()["a"] > 0).astype(int).to_numpy()


def sigmoid(X: Any) -> Any:
    """Row by row and element by element: the same number in any batch."""
    p = 1 / (1 + np.exp(-np.asarray(X, dtype=float)[:, 0]))
    return np.column_stack([1 - p, p])


def test_of(apply: Any, magnitudes: Any = (1, 2, 3), name: str = "bad") -> dict[str, Any]:
    return {"name": name, "apply": apply, "magnitudes": magnitudes}


test_of.__test__ = False  # type: ignore[attr-defined]


def marked(x: Any, p: float) -> Any:
    """Tell the model the magnitude, in a column that it else leaves alone."""
    x["b"] = 100 + p
    return x


def raises_at_two(X: Any) -> Any:
    if (np.asarray(X)[:, 1] == 102).any():
        raise RuntimeError("out of order")
    return sigmoid(X)
