"""What the score table keeps of predictions, so that metrics and other scores can be made of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from mlflow_sensie.models.outputs import Predictions
from mlflow_sensie.scores.kinds import Floats, ScoreKind, most_probable
from mlflow_sensie.scores.metric_functions import Truth, squared_distance
from mlflow_sensie.scores.metrics import Needs

MOST_CLASSES = 20  # whose probabilities are all kept, unless the recipe says ``keep: predictions``
LABEL, DISTANCE, NUMBER = "label", "distance", "number"


@dataclass(frozen=True)
class Outputs:
    """What is kept of the predictions of an example: ``parts`` by name, a column each, of this ``dtype``.

    ``read`` gives them of predictions and encoded targets (n,). ``needs`` is what the model gives, in the words of
    ``Metric.needs``; ``classes`` is their number and ``positive`` the number of the positive one. ``decide`` turns
    probabilities (n, K) into class numbers.
    """

    needs: Needs = "scores"
    parts: tuple[str, ...] = ()
    read: Callable[[Predictions, NDArray[Any]], Mapping[str, NDArray[Any]]] = lambda predictions, truth: {}
    dtype: DTypeLike = np.float64
    classes: int = 0
    positive: int = 1
    decide: Callable[[Floats], NDArray[np.intp]] = most_probable

    def columns_of(self, array: Floats, need: Needs) -> Sequence[NDArray[Any]]:
        """Return what a metric needs of the W predictions whose parts stand in ``array`` (n, W · parts), W arrays."""
        width = len(self.parts)
        return [self._column(array[:, start : start + width], need) for start in range(0, array.shape[1], width)]

    def _column(self, parts: Floats, need: Needs) -> NDArray[Any]:
        if need == "scores":  # the skill of classes that are too many for all of their probabilities to be kept
            return -parts[:, self.parts.index(DISTANCE)]
        if self.parts[0] in (LABEL, NUMBER):
            return parts[:, 0].astype(np.intp) if need == "labels" else parts[:, 0]
        probabilities = np.column_stack([1 - parts[:, 0], parts[:, 0]]) if self.classes == 2 else parts
        return self.decide(probabilities) if need == "labels" else probabilities


NOTHING = Outputs()


def of_probabilities(
    probabilities: Callable[[Predictions], Floats],
    kind: ScoreKind,
    settings: Mapping[str, Any],
    first: NDArray[Any],
    *,
    whole: bool,
) -> Outputs:
    """Keep the probabilities: of two classes that of the second, of up to 20 all, of more only where ``whole``.

    Else the number of the class that the model decides for is kept, and the squared distance that skill is made of.
    """
    classes, dtype = int(settings["classes"]), first.dtype if first.dtype == np.float32 else np.float64

    def decide(values: Floats) -> NDArray[np.intp]:
        return kind.decide(values, settings)

    if classes <= MOST_CLASSES or whole:
        numbers = [1] if classes == 2 else list(range(classes))

        def read(predictions: Predictions, truth: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
            values = probabilities(predictions)
            return {str(k): values[:, k] for k in numbers}

        parts = tuple(map(str, numbers))
    else:

        def read(predictions: Predictions, truth: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
            values = probabilities(predictions)
            missing = np.isnan(values).any(axis=1)
            label = np.where(missing, np.nan, decide(values))
            return {LABEL: label, DISTANCE: squared_distance(values, Truth(truth, classes))}

        parts, dtype = (LABEL, DISTANCE), np.float64
    needs: Needs = "labels" if parts[0] == LABEL else "probabilities"
    return Outputs(needs, parts, read, dtype, classes, int(settings["positive"]), decide)


def of_labels(labels: Callable[[Predictions], Floats], classes: int, positive: int) -> Outputs:
    """Keep the number of the label, −1 for one that is no class."""

    def read(predictions: Predictions, truth: NDArray[Any]) -> Mapping[str, NDArray[Any]]:
        return {LABEL: labels(predictions)}

    return Outputs("labels", (LABEL,), read, classes=classes, positive=positive)


def of_numbers(first: NDArray[Any]) -> Outputs:
    """Keep a regressor's number."""
    dtype = first.dtype if first.dtype == np.float32 else np.float64
    return Outputs("numbers", (NUMBER,), lambda predictions, truth: {NUMBER: predictions.values}, dtype)
