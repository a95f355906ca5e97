"""The known models, each a few weights and a plain function, and the data and recipe that every flavour of it gets."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit, softmax

import mlflow_sensie
from mlflow_sensie.result import Result

N = 200
FEATURES = ["a", "b", "c", "d"]
NAMES = ["cat", "dog", "eel"]
W = np.array([[1.0, -0.5, 0.2], [0.3, 0.8, -1.0], [-0.6, 0.1, 0.4], [0.0, 0.2, -0.7]])
B = np.array([0.1, -0.2, 0.3])
SIDE = 6
W_IMAGE = np.random.default_rng(5).normal(0, 0.5, (SIDE * SIDE, 3))
MEAN, SD = 0.4, 0.25  # of a normalised image


@functools.cache
def table() -> pd.DataFrame:
    """Four features; float32 values, so that a network sees what a function sees. ``site`` is no feature."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(N, 4)).astype(np.float32).astype(np.float64), columns=FEATURES)
    return frame.assign(site=rng.choice(["A", "B", "C"], N))


@functools.cache
def images() -> Any:
    """(N, 6, 6) float32 in [0, 1], of which a few are dark."""
    rng = np.random.default_rng(1)
    return (rng.random((N, SIDE, SIDE)) * rng.uniform(0.3, 1, N)[:, None, None]).astype(np.float32)


def of_three(X: Any) -> Any:
    """Probabilities (n, 3) of a multinomial logistic regression on the four features."""
    return softmax(np.asarray(X)[:, :4].astype(float) @ W + B, axis=1)


def of_two(X: Any) -> Any:
    """The probability (n,) of the second of two classes."""
    return expit(np.asarray(X)[:, :4].astype(float) @ W[:, 0] + B[0])


def line(X: Any) -> Any:
    """A linear regression (n,)."""
    return np.asarray(X)[:, :4].astype(float) @ W[:, 0] + B[0]


def of_images(stack: Any) -> Any:
    """Probabilities (n, 3) of a multinomial logistic regression on the pixels."""
    return softmax(np.asarray(stack, dtype=float).reshape(len(stack), -1) @ W_IMAGE + B, axis=1)


def drawn(probabilities: Any, seed: int) -> Any:
    """Class numbers (n,) drawn from (n, K) probabilities."""
    u = np.random.default_rng(seed).random((len(probabilities), 1))
    return (u > probabilities.cumsum(axis=1)[:, :-1]).sum(axis=1)


@dataclass(frozen=True)
class Known:
    """A known model as a function, what it is tested on, and how.

    ``function`` maps ``inputs`` to predictions; ``targets`` (n,) are class numbers or values, ``names`` the labels
    that stand for the numbers. ``alone`` is what the recipe must say for the function and not for the models.
    """

    what: str
    function: Callable[[Any], Any]
    inputs: Callable[[], Any]
    targets: Callable[[], Any]
    recipe: Mapping[str, Any]
    names: tuple[str, ...] = ()
    task: str = "classifier"
    alone: Mapping[str, Any] = field(default_factory=dict)

    def labels(self) -> Any:
        """The targets by name."""
        return np.array(self.names, dtype=object)[self.targets()]

    @functools.cached_property
    def result(self) -> Result:
        """What the plain function gives: the metrics that every flavour must give too."""
        recipe = {**self.recipe, **self.alone}
        return mlflow_sensie.probe(self.function, self.inputs(), self.targets(), recipe, task=self.task)


NOISE = {"name": "noise", "apply": "tabular.noise", "magnitudes": [0, 0.5, 1]}
TABLE: dict[str, Any] = {"properties": [{"name": "a", "bins": 5}, "site"], "perturbations": [NOISE]}
PICTURE: dict[str, Any] = {
    "properties": [{"name": "ink", "of": "image.contrast", "bins": 5}],
    "perturbations": [
        {"name": "turned", "apply": "image.rotate", "magnitudes": [0, 30, 90]},
        {"name": "darker", "apply": "image.brightness", "magnitudes": [-0.4, 0, 0.2]},
    ],
    "class_test": True,
}

THREE = Known(
    "three classes", of_three, table, lambda: drawn(of_three(table()), 2), {**TABLE, "class_test": True}, tuple(NAMES)
)
TWO = Known(
    "two classes", of_two, table, lambda: drawn(np.column_stack([1 - of_two(table()), of_two(table())]), 3),
    {**TABLE, "class_test": True}, ("stays", "leaves"),
)  # fmt: skip
LABELS = Known(
    "labels", lambda X: of_three(X).argmax(axis=1), table, THREE.targets, THREE.recipe, tuple(NAMES)
)  # fmt: skip
LINE = Known(
    "a line", line, table, lambda: line(table()) + np.random.default_rng(4).normal(0, 0.5, N), TABLE, task="regressor"
)
IMAGES = Known(
    "images", of_images, images, lambda: drawn(of_images(images()), 5), PICTURE, tuple(NAMES),
    alone={"value_range": [0, 1]},
)  # fmt: skip
