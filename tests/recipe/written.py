"""Recipes, data and a model that the tests of recipes share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ASKED: dict[str, Any] = {
    "kind": "tabular",
    "properties": [
        "a",
        {"name": "b c", "of": "b", "bins": [0, 0.5, 2]},
        {"name": "u", "of": "a", "bins": {"uniform": 4}},
    ],
    "perturbations": [
        {"name": "noise", "apply": "tabular.noise", "magnitudes": [0, np.float64(0.5)], "params": {"columns": ["a"]}},
        {"name": "shift", "apply": "tabular.shift", "allowed_drop": {"absolute": 0.2}},
    ],
    "class_test": True,
    "score": {"top_k": 2},
    "label_list": [np.int64(0), np.int64(1)],
    "inference": {"rope": 0.03},
    "seed": 7,
    "prefix": "first",
    "batch_size": 5,
}


def write(folder: Path, text: str, name: str = "mine.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def small() -> tuple[pd.DataFrame, Any]:
    rng = np.random.default_rng(3)
    X = pd.DataFrame({"a": rng.normal(size=80), "b": rng.uniform(0, 2, 80)})
    return X, (X["a"] > 0).astype(int).to_numpy()


def half(X: Any) -> Any:
    p = 1 / (1 + np.exp(-np.asarray(X, dtype=float)[:, 0]))
    return np.column_stack([1 - p, p])
