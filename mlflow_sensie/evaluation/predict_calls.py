"""Predict calls: what waits for the model is packed into calls of one size, each part with an answer of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import numpy as np

from mlflow_sensie.data.examples import concat, row_bytes, rows
from mlflow_sensie.models.model import Model
from mlflow_sensie.models.outputs import Predictions

BATCH_BYTES = 32 * 2**20  # of inputs per predict call with batch_size "auto"


class HasInputs(Protocol):
    """What waits for the model: its ``inputs`` are an array or a frame of n rows."""

    @property
    def inputs(self) -> Any:
        """They are as the model takes them."""


P = TypeVar("P", bound=HasInputs)


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
    """Packs pieces into predict calls of ``limit`` rows and hands each piece its own answer."""

    predict: Callable[[Any], Predictions]
    limit: int

    def answers(self, pieces: Iterator[P]) -> Iterator[tuple[P, Predictions | Exception]]:
        """Yield each piece with its predictions, or with what the model raised on it."""
        held: list[P] = []
        for piece in pieces:
            held.append(piece)
            if sum(len(each.inputs) for each in held) >= self.limit:
                yield from self._flush(held)
                held = []
        yield from self._flush(held)

    def _flush(self, held: list[P]) -> Iterator[tuple[P, Predictions | Exception]]:
        if not held:
            return
        try:
            together = self.sliced(concat([piece.inputs for piece in held]))
        except Exception as error:
            if len(held) == 1:
                yield held[0], error
                return
            for piece in held:  # one of them is the culprit: ask again, one by one
                yield from self._flush([piece])
            return
        start = 0
        for piece in held:
            stop = start + len(piece.inputs)
            yield piece, replace(together, values=together.values[start:stop])
            start = stop

    def sliced(self, inputs: Any) -> Predictions:
        """Predict in calls of at most ``limit`` rows, halved for good when memory runs out."""
        answers: list[Predictions] = []
        start = 0
        while start < len(inputs):
            stop = start + self.limit
            if stop == len(inputs) - 1 and self.limit > 2:  # no single row is left over: some models drop its axis
                stop -= 1
            try:
                answers.append(self.predict(rows(inputs, slice(start, stop))))
            except MemoryError:
                if self.limit == 1:
                    raise
                self.limit = max(1, min(self.limit, len(inputs)) // 2)
                continue
            start = stop
        return replace(answers[0], values=np.concatenate([each.values for each in answers]))
