"""Predict calls: what waits for the model is packed into calls of one size, each part with an answer of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mlflow_sensie.data.examples import concat, row_bytes, rows
from mlflow_sensie.evaluation.chunks import Version
from mlflow_sensie.models.model import Model
from mlflow_sensie.models.outputs import Predictions, join_rows

BATCH_BYTES = 32 * 2**20  # of inputs per predict call with batch_size "auto"


def rows_per_call(inputs: Any, batch_size: int | str) -> int:
    """Return how many rows to predict at a time: as said, or what fills ``BATCH_BYTES``."""
    if isinstance(batch_size, int):
        return batch_size
    return int(np.clip(BATCH_BYTES // row_bytes(inputs), 16, 65_536))


def predict_in_calls(model: Model, inputs: Any, batch_size: int | str) -> Predictions:
    """Predict all of ``inputs``, a call's rows at a time."""
    return PredictBatcher(model.predict, rows_per_call(inputs, batch_size)).sliced(inputs)


@dataclass
class PredictBatcher:
    """Packs what waits for the model into calls of ``limit`` rows, and hands each its own predictions."""

    predict: Callable[[Any], Predictions]
    limit: int

    def answers(self, versions: Iterator[Version]) -> Iterator[tuple[Version, Predictions | Exception]]:
        """Yield each version of some inputs with its predictions, or with what the model raised on it."""
        waiting: list[Version] = []
        for version in versions:
            waiting.append(version)
            if sum(len(version.inputs) for version in waiting) >= self.limit:
                yield from self._flush(waiting)
                waiting = []
        yield from self._flush(waiting)

    def _flush(self, waiting: list[Version]) -> Iterator[tuple[Version, Predictions | Exception]]:
        if not waiting:
            return
        try:
            together = self.sliced(concat([version.inputs for version in waiting]))
        except Exception as error:
            if len(waiting) == 1:
                yield waiting[0], error
                return
            for version in waiting:  # one of them is the culprit: ask again, one by one
                yield from self._flush([version])
            return
        start = 0
        for version in waiting:
            stop = start + len(version.inputs)
            yield version, replace(together, values=together.values[start:stop])
            start = stop

    def sliced(self, inputs: Any) -> Predictions:
        """Predict in calls of at most ``limit`` rows, halved for good when memory runs out."""
        predictions: list[Predictions] = []
        start = 0
        while start < len(inputs):
            stop = start + self.limit
            if stop == len(inputs) - 1 and self.limit > 2:  # no single row is left over: some models drop its axis
                stop -= 1
            try:
                predictions.append(self.predict(rows(inputs, slice(start, stop))))
            except MemoryError:
                if self.limit == 1:
                    raise
                self.limit = max(1, min(self.limit, len(inputs)) // 2)
                continue
            start = stop
        return replace(predictions[0], values=join_rows([part.values for part in predictions]))
