"""A row of the matrix: a known model written in one flavour, logged, and how it is expected to be scored."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.models import ModelSignature, infer_signature
from mlflow.types import Schema, TensorSpec

from flavours.known import FEATURES, Known, table
from flavours.logged import log_model

# Packages of the extra [flavours], beside those that every test environment has.
HEAVY = ("catboost", "lightgbm", "onnxruntime", "statsmodels", "torch", "transformers", "xgboost")


def need(*packages: str) -> None:
    """Skip where a package is not installed, unless this run is to test all flavours."""
    for package in packages:
        if os.environ.get("SENSIE_ALL_FLAVOURS"):
            importlib.import_module(package)
        pytest.importorskip(package, reason=f"{package} is not installed (extra 'flavours' or 'keras')")


@dataclass(frozen=True)
class Made:
    """What a row gives to sensie: the model, and the data where it is another than the known model's own.

    ``known`` is what it is compared with where that depends on the model, such as trees that were just grown.
    ``close`` ends what the model needs, such as its server.
    """

    model: Any
    data: Any = None
    known: Known | None = None
    close: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Row:
    """One row: ``model`` and ``how`` are what it is called in docs/models.md.

    ``targets``: whether the model was trained on the ``names`` of the classes or on their ``numbers``. ``recipe``:
    what the user must say beside the tests. ``door``: ``evaluate`` or ``probe``; ``options`` go to it.
    """

    model: str
    how: str
    known: Known
    make: Callable[[], Made]
    score: str = "probability"
    source: str = "predict"
    recipe: Mapping[str, Any] = field(default_factory=dict)
    targets: str = "numbers"
    door: str = "evaluate"
    needs: tuple[str, ...] = ()
    warned: str = ""
    slow: bool = False
    needs_pyenv: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.model}, {self.how}"

    def param(self) -> Any:
        """The row as a parameter of a test, with the marks of what it needs."""
        heavy = [pytest.mark.flavours] if set(self.needs) & set(HEAVY) else []
        slow = [pytest.mark.slow] if self.slow or self.needs else []
        return pytest.param(self, id=str(self), marks=[*heavy, *slow])


def tensors(**shapes: tuple[int, ...]) -> ModelSignature:
    """A signature of float32 tensors; one called ``_`` has no name."""
    specs = [
        TensorSpec(np.dtype(np.float32), (-1, *shape), None if name == "_" else name) for name, shape in shapes.items()
    ]
    return ModelSignature(Schema(specs))


def columns(data: Any = None) -> ModelSignature:
    """A signature of the four features, or of what comes."""
    return infer_signature(table()[FEATURES] if data is None else data)


def logged(log: Callable[..., Any], *model: Any, **options: Any) -> str:
    """Log a model and return its URI."""
    return str(log_model(log, *model, **options).model_uri)


class Answers(mlflow.pyfunc.PythonModel):
    """A custom model that answers what a function makes of its input."""

    def __init__(self, answer: Callable[[pd.DataFrame], Any]) -> None:
        self.answer = answer

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        return self.answer(model_input)
