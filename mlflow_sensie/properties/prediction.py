"""Properties of the unperturbed prediction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlflow_sensie.perturbations.base import Array
from mlflow_sensie.properties import Measure


@dataclass(frozen=True, kw_only=True)
class PredictionProperty(Measure):
    """A function of probabilities (n, classes), at least two classes, to (n,) as a property.

    A binary model's (n,) or (n, 1) is taken as the probability of the positive class.

    Examples:
        >>> MARGIN(np.array([[0.7, 0.2, 0.1], [0.5, 0.5, 0.0]]))
        array([0.5, 0. ])
    """

    kind = "any"
    needs = "probabilities"

    unit: str = "probability"

    def __call__(self, inputs: Array) -> Array:
        """The property of each prediction."""
        values = np.asarray(inputs, dtype=np.float64)
        values = values[:, None] if values.ndim == 1 else values
        return np.asarray(self.function(np.hstack([1 - values, values]) if values.shape[1] == 1 else values))


def confidence(probabilities: Array) -> Array:
    """The probability of the most probable class."""
    return np.asarray(probabilities.max(axis=1))


def margin(probabilities: Array) -> Array:
    """How much more probable the most probable class is than the next."""
    ordered = np.partition(probabilities, -2, axis=1)
    return np.asarray(ordered[:, -1] - ordered[:, -2])


CONFIDENCE = PredictionProperty(confidence)
MARGIN = PredictionProperty(margin)
