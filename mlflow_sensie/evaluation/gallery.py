"""Galleries: the same few examples at several magnitudes of a perturbation, with the model's answers and scores."""

from __future__ import annotations

import warnings
from bisect import bisect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlflow_sensie.data.examples import Examples, concat, rows
from mlflow_sensie.data.input_format import InputFormat, holds_arrays
from mlflow_sensie.data.survey import Survey, ValueRange, as_numbers, column_kind
from mlflow_sensie.data.types import Inputs, fresh_copy
from mlflow_sensie.evaluation.chunks import SweepTest, parts, perturbed
from mlflow_sensie.evaluation.columnwise import ColumnwisePerturbation
from mlflow_sensie.evaluation.predict_calls import predict_in_calls
from mlflow_sensie.evaluation.sweep import Sweep
from mlflow_sensie.perturbations.pixels import ROUNDING, to_pixels
from mlflow_sensie.result.gallery import Flags, Gallery, differing, series_of
from mlflow_sensie.scores.scorer import Targets
from mlflow_sensie.scores.table import CLEAN, ScoreTable, score_column

MOST_MAGNITUDES = 7
MOST_COLUMNS = 8
MOST_EXAMPLES: Mapping[str, int] = {"tensor": 4, "series": 4, "tabular": 2, "text": 3}
FRAMES = ("tabular", "text")


def make_galleries(sweep: Sweep, survey: Survey, table: ScoreTable, names: Sequence[str]) -> dict[str, Gallery]:
    """Make a gallery of each test in ``names`` that perturbs pictures, series, tables or texts.

    ``table`` is what the sweep gave. The first chunk is perturbed again as in the sweep, so that the examples are
    those that were scored. What user code raises costs a gallery, with a warning, but never a result.
    """
    chunk = sweep.examples.take(sweep.positions(0))
    galleries: dict[str, Gallery] = {}
    for test in sweep.tests:
        if test.name not in names or not can_be_shown(_subject(test, chunk, survey)[0]):
            continue
        try:
            galleries[test.name] = _make(sweep, survey, table, test, chunk)
        except Exception as error:
            text = f"sensie: there is no gallery of {test.name!r}: {type(error).__name__}: {error}"
            warnings.warn(text, UserWarning, stacklevel=2)
    return galleries


def can_be_shown(input_format: InputFormat) -> bool:
    """Whether inputs of this form are images, series of at most two axes, tables or texts."""
    if input_format.kind == "series":
        return len(input_format.shape or ()) in (1, 2)
    return input_format.kind in FRAMES or input_format.layout is not None


def _subject(test: SweepTest, chunk: Examples, survey: Survey) -> tuple[InputFormat, Survey, Any]:
    """What a gallery is of: the inputs, or of a perturbation of columns of arrays the first such column."""
    if not isinstance(test.perturbation, ColumnwisePerturbation):
        return chunk.input_format, survey, None
    column, part = next(iter(test.perturbation.parts.items()))
    return part.input_format, part.survey, column


def _make(sweep: Sweep, survey: Survey, table: ScoreTable, test: SweepTest, chunk: Examples) -> Gallery:
    slots = choose_magnitudes(test)
    input_format, survey, column = _subject(test, chunk, survey)
    truth = sweep.targets.values[sweep.positions(0)]
    count = min(MOST_EXAMPLES[input_format.kind], len(chunk))
    touched: Flags | None = None
    if input_format.kind in FRAMES:
        versions = _versions(test, chunk, sweep.seed, slots, np.arange(len(chunk)))
        touched = touched_by(versions)
        picked = pick(truth, count, _continuous(sweep.targets), touched)
        columns = columns_to_show(versions, picked, chunk.input_format)
        few = {index: rows(version, picked) for index, version in versions.items()}
    else:
        picked = pick(truth, count, _continuous(sweep.targets))
        columns = () if column is None else (column,)
        few = _versions(test, chunk, sweep.seed, slots, picked)
    scores = _scores(table, test, slots, picked)
    taken = tuple(few[index] for _, index in slots)
    answers, repeated = _answers(sweep, chunk.take(picked), slots, taken, truth[picked], scores)
    inputs = taken if column is None else tuple(input_format.decode(batch[[column]]) for batch in taken)
    return Gallery(
        test=test.name,
        magnitudes=tuple(magnitude for magnitude, _ in slots),
        clean=[index for _, index in slots].index(None),
        tested=len(test.magnitudes) + 1,
        input_format=input_format,
        inputs=inputs,
        pictures=_pictures(inputs, input_format, survey),
        columns=columns,
        ids=tuple(chunk.ids[picked].tolist()),
        truths=_truths(sweep.targets, picked),
        answers=answers,
        labels=sweep.targets.classes is not None,
        scores=scores,
        touched=None if touched is None else (int(touched.sum()), len(touched)),
        repeated=repeated,
    )


# --- which magnitudes and examples ---------------------------------------------------------------------------

Slot = tuple["float | None", "int | None"]  # a magnitude, and which of the test's it is: None for the clean inputs


def choose_magnitudes(test: SweepTest) -> list[Slot]:
    """Choose at most 7 magnitudes in even steps through the test's, both ends and the clean inputs among them."""
    neutral = test.perturbation.neutral
    slots: list[Slot] = [(magnitude, index) for index, magnitude in enumerate(test.magnitudes)]
    place = 0 if neutral is None else bisect(test.magnitudes, neutral)
    slots.insert(place, (neutral, None))
    return [slots[k] for k in evenly(len(slots), place)]


def evenly(n: int, wanted: int) -> list[int]:
    """Choose at most 7 of n positions in even steps: both ends, and the wanted one instead of its nearest."""
    chosen = np.rint(np.linspace(0, n - 1, min(n, MOST_MAGNITUDES))).astype(int)
    if wanted not in chosen:
        chosen[1 + np.abs(chosen[1:-1] - wanted).argmin()] = wanted
    return [int(position) for position in chosen]


def pick(truth: NDArray[Any], count: int, continuous: bool, touched: Flags | None = None) -> NDArray[np.intp]:
    """Pick ``count`` positions: the first examples of different classes, or spread over a number's quantiles.

    Those that are ``touched`` by the perturbation, where that is known, come before all others.
    """
    if touched is not None and not touched.all():
        moved, still = np.flatnonzero(touched), np.flatnonzero(~touched)
        first = moved[pick(truth[moved], min(count, len(moved)), continuous)]
        return np.concatenate([first, still[pick(truth[still], count - len(first), continuous)]])
    if continuous:
        places = ((np.arange(count) + 0.5) / max(1, count) * len(truth)).astype(np.intp)
        return np.argsort(truth, kind="stable")[places]
    codes = pd.Series(pd.factorize(pd.Series(truth))[0])
    return np.argsort(codes.groupby(codes).cumcount().to_numpy(), kind="stable")[:count]


def _continuous(targets: Targets) -> bool:
    return targets.classes is None and targets.values.dtype.kind == "f"


def _truths(targets: Targets, picked: NDArray[np.intp]) -> tuple[Any, ...]:
    if not targets.are_labels:
        return ("",) * len(picked)
    values = targets.values[picked].tolist()
    return tuple(values if targets.classes is None else (targets.classes[number] for number in values))


# --- their inputs, answers and scores ------------------------------------------------------------------------


def _versions(
    test: SweepTest, chunk: Examples, seed: int, slots: Sequence[Slot], examples: NDArray[np.intp]
) -> dict[int | None, Inputs]:
    """These examples of the chunk at each chosen magnitude, perturbed part by part, as the sweep does."""
    order = np.argsort(examples)
    ascending = examples[order]
    pieces: dict[int, list[Inputs]] = {index: [] for _, index in slots if index is not None}
    for part in parts(chunk):
        inside = ascending[(ascending >= part.start) & (ascending < part.stop)] - part.start
        outputs = perturbed(test, chunk.take(part), (0, part.start), seed) if len(inside) else ()
        for index, values in enumerate(outputs):
            if index in pieces:
                values = values if isinstance(values, pd.DataFrame) else np.asarray(values)
                pieces[index].append(fresh_copy(rows(values, inside)))
    back = np.argsort(order)
    versions: dict[int | None, Inputs] = {index: rows(concat(piece), back) for index, piece in pieces.items()}
    return {None: chunk.input_format.decode(rows(chunk.inputs, examples)), **versions}


def _scores(table: ScoreTable, test: SweepTest, slots: Sequence[Slot], picked: NDArray[np.intp]) -> NDArray[np.float64]:
    names = [CLEAN if index is None else score_column(test.slug, index) for _, index in slots]
    first = next(table.blocks(names))  # no block is smaller than the first chunk
    return np.stack([first[name][picked] for name in names])


def _answers(
    sweep: Sweep,
    few: Examples,
    slots: Sequence[Slot],
    inputs: Sequence[Inputs],
    truth: NDArray[Any],
    scores: NDArray[np.float64],
) -> tuple[tuple[tuple[Any, ...], ...] | None, bool]:
    """What the model answers, per magnitude, and whether that scores as it did in the test."""
    if sweep.scorer.kind.needs == "predictions":  # its answers have no name, and its score may need all examples
        return None, True
    batches = [
        fresh_copy(few.inputs) if index is None else few.input_format.encode(fresh_copy(values), few.inputs)
        for (_, index), values in zip(slots, inputs, strict=True)
    ]
    predictions = predict_in_calls(sweep.model, concat(batches), sweep.batch_size)
    answers, m = sweep.scorer.answers(predictions), len(few)
    if sweep.scorer.encode is not None:
        clean = next(k for k, (_, index) in enumerate(slots) if index is None)
        truth = sweep.scorer.encode(predictions)[clean * m : (clean + 1) * m]
    again = sweep.scorer(predictions, np.tile(truth, len(slots))).reshape(scores.shape)
    same = np.allclose(again, scores, rtol=0.01, atol=0.001, equal_nan=True)  # a model may round by batch
    return tuple(tuple(answers[k * m : (k + 1) * m]) for k in range(len(slots))), same


def _pictures(inputs: Sequence[Inputs], input_format: InputFormat, survey: Survey) -> tuple[NDArray[Any], ...]:
    """Images as pixels in [0, 1]: of 1 and 3 channels as they are, else the mean over channels."""
    if input_format.kind != "tensor":
        return ()
    value_range, tensor = survey.value_range, survey.tensor
    if tensor is not None and value_range == ValueRange() and (tensor.lo < -ROUNDING or tensor.hi > 1 + ROUNDING):
        width = (tensor.hi - tensor.lo) or 1.0  # the range is not known: that of the data
        value_range = ValueRange((1 / width,), (-tensor.lo / width,))
    pictures = []
    for batch in inputs:
        array = np.asarray(batch)
        pixels = np.nan_to_num(to_pixels(array, input_format.layout, value_range))
        picture = pixels if pixels.shape[-1] == 3 else pixels.mean(axis=-1)
        pictures.append(np.clip(picture, 0, 1).astype(np.float32))
    return tuple(pictures)


def _names(batch: Inputs) -> list[Any]:
    return list(batch.columns) if isinstance(batch, pd.DataFrame) else [None]


def touched_by(versions: Mapping[int | None, Inputs]) -> Flags:
    """Which examples any of the magnitudes changes."""
    clean = versions[None]
    changes = [
        differing(series_of(clean, name), series_of(version, name))
        for version in versions.values()
        for name in _names(clean)
    ]
    return np.asarray(np.any(changes, axis=0))


def columns_to_show(
    versions: Mapping[int | None, Inputs], picked: NDArray[np.intp], input_format: InputFormat
) -> tuple[Any, ...]:
    """The columns that change most in the picked examples, in the frame's order: 8 of a table, one of texts.

    Arrays are not written into tables.
    """
    clean = versions[None]
    most = MOST_COLUMNS if input_format.kind == "tabular" else 1
    names = [name for name in _names(clean) if not holds_arrays(series_of(clean, name))]
    moved = [_movement(versions, name, picked) for name in names]
    chosen = np.argsort(-np.round(moved, 6), kind="stable")[:most]
    return tuple(names[position] for position in sorted(chosen))


def _movement(versions: Mapping[int | None, Inputs], name: Any, picked: NDArray[np.intp]) -> float:
    """How far a column moves, in its SDs in the chunk; a cell that is no number, or gets lost, moves by 1."""
    before = series_of(versions[None], name)
    sd, total = _spread(before), 0.0
    for version in versions.values():
        after = series_of(version, name)
        changed = differing(before, after).astype(np.float64)
        if sd:
            steps = np.abs(_numbers(after) - _numbers(before)) / sd
            changed = np.where(np.isfinite(steps), np.minimum(steps, 10), changed)
        total += float(changed[picked].sum())
    return total


def _spread(column: pd.Series[Any]) -> float:
    values = _numbers(column)
    values = values[np.isfinite(values)]
    return float(values.std()) if len(values) else 0.0


def _numbers(column: pd.Series[Any]) -> NDArray[np.float64]:
    measured = column_kind(column) in ("numeric", "integer", "datetime")
    return as_numbers(column) if measured else np.full(len(column), np.nan)
