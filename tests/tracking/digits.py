"""One evaluation of everything that this version computes, as it lies on its run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flavours.logged import Evaluated

from mlflow_sensie.result import Result

N = 100


def fade(x: Any, p: float) -> Any:
    return x * (1 - p)


RECIPE = {
    "input_shape": [8, 8],
    "properties": [{"name": "ink", "of": "image.mean", "bins": 5}, {"name": "age", "bins": 4}, "site"],
    "perturbations": [
        {"name": "rotation", "apply": "image.rotate", "magnitudes": [0, 30, 60, 90]},
        {"name": "tilt", "apply": "image.rotate", "magnitudes": [-30, -15, 15, 30]},
        {"name": "fade", "apply": fade, "magnitudes": [0, 0.25, 0.5]},
    ],
    "class_test": True,
}


@dataclass(frozen=True)
class Digits:
    """One evaluation of everything that this version computes."""

    evaluated: Evaluated
    found: Result
    info: Any

    @property
    def run_id(self) -> str:
        return self.evaluated.run_id


def split(key: str) -> tuple[str, str]:
    """``sensie/<test>/<name>`` → test, name; the overview has no test."""
    parts = key.split("/")
    assert parts[0] == "sensie" and len(parts) in (2, 3), key
    return ("", parts[1]) if len(parts) == 2 else (parts[1], parts[2])
