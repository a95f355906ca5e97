"""The sweep: the only loop over the model; chunk by chunk, perturb, predict, score, forget the inputs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlflow_sensie.data.examples import Examples
from mlflow_sensie.data.types import Inputs, fresh_copy
from mlflow_sensie.errors import ModelError, TestFailure
from mlflow_sensie.evaluation.checkpoint import Checkpoint, Kept
from mlflow_sensie.evaluation.chunks import SweepTest, check_perturbed, cut_into_chunks, parts, perturbed
from mlflow_sensie.evaluation.predict_calls import PredictBatcher, rows_per_call
from mlflow_sensie.evaluation.progress import Progress
from mlflow_sensie.evaluation.property_data import PredictedProperty, PropertyData
from mlflow_sensie.evaluation.stopping import Stop, Stopping
from mlflow_sensie.models.model import Model
from mlflow_sensie.models.outputs import Predictions
from mlflow_sensie.result import Reason
from mlflow_sensie.scores.scorer import Scorer, Targets
from mlflow_sensie.scores.table import (
    CLEAN,
    EXPECTED,
    ID,
    TARGET,
    Block,
    ScoreTable,
    property_column,
)


@dataclass
class Sweep:
    """A sweep under way: what it needs, and what it meets.

    ``columns``, each (n,), go into the score table as they are. ``run`` gives the table; ``failures`` maps the
    slug of a failed test to its error, and ``stopped`` that of one that did not see all examples to where and why
    it stopped. ``done`` examples are behind it, and ``n_predictions`` rows were predicted for their scores. With
    ``calibration`` the score that the model itself announces is kept at every magnitude. A ``checkpoint`` gives the
    chunks that an earlier sweep of the same kept there, and gets the others.
    """

    model: Model
    scorer: Scorer
    targets: Targets
    examples: Examples
    tests: Sequence[SweepTest]
    properties: Sequence[PropertyData] = ()
    predicted: Sequence[PredictedProperty] = ()
    batch_size: int | str = "auto"
    seed: int = 0
    missing: str = "fail"
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    stopping: Stopping = field(default_factory=Stopping)
    calibration: bool = False
    progress: Progress = field(default_factory=Progress)
    checkpoint: Checkpoint | None = None
    failures: dict[str, TestFailure] = field(default_factory=dict)
    stopped: dict[str, Stop] = field(default_factory=dict)
    done: int = 0
    n_predictions: int = 0
    _deadline: float = np.inf
    _place: str = ""

    @property
    def n_planned(self) -> int:
        """How many rows the model predicts if no test stops early or fails."""
        return len(self.examples) * (1 + sum(len(test.magnitudes) for test in self.tests))

    @cached_property
    def chunks(self) -> list[slice]:
        """The chunks by number, as parts of the order in which the examples are asked."""
        return cut_into_chunks(self.examples)

    def positions(self, number: int) -> slice | NDArray[np.intp]:
        """Return the positions of a chunk's examples."""
        chunk, order = self.chunks[number], self.stopping.order
        return chunk if order is None else order[chunk]

    def run(self) -> ScoreTable:
        """Go through the examples and return their score table.

        Raises:
            ModelError: the model fails on the unperturbed examples; nothing can be said then.
        """
        table = ScoreTable()
        if self.stopping.seconds is not None:
            self._deadline = self.stopping.clock() + self.stopping.seconds
        for block in self._blocks():
            table.append(block)
            self.done = len(table)
            self._look(table)
            self.progress.chunk_done(self._left())
        for test in self._running() if self.done < len(self.examples) else ():
            self._stop(test, "time_budget")
        table = self._without_failed(table) if self.failures else table
        for test in self.tests:
            if test.slug in self.stopped:
                table.end(self._columns_of(test), self.stopped[test.slug].n)
        return table

    def reason(self, slug: str) -> Reason:
        """Why a test saw no more examples than it did; property and class tests see all that have a clean score."""
        if slug in self.stopped:
            return self.stopped[slug].reason
        return "all" if self.done == len(self.examples) else "time_budget"

    @property
    def savings(self) -> str:
        """How many predictions early stopping spared, and where it stopped; "" where it did not."""
        if not self.stopped:
            return ""
        share = f"{self.n_predictions:,} of {self.n_planned:,} predictions were made"
        precise = self._stops("precision")
        return f"{share} ({self.n_predictions / self.n_planned:.0%})" + (
            f"; precise enough: {precise}" if precise else ""
        )

    @property
    def cuts(self) -> tuple[str, ...]:
        """What the time budget cut, as a warning; none where there was time enough."""
        cut, n = self._stops("time_budget"), len(self.examples)
        if self.done == n and not cut:
            return ()
        over = f"the time budget of {self.stopping.seconds:g} s was over"
        tests = f"; tests cut: {cut}" if cut else ""
        return (f"{over} after {self.done:,} of {n:,} examples, drawn at random{tests}",)

    def _stops(self, reason: Reason) -> str:
        stops = [(test.name, self.stopped[test.slug]) for test in self.tests if test.slug in self.stopped]
        return ", ".join(f"{name!r} after {stop.n:,}" for name, stop in stops if stop.reason == reason)

    def _columns_of(self, test: SweepTest) -> list[str]:
        return [*test.columns, *(test.expected_columns if self.calibration else [])]

    def _runs(self, test: SweepTest) -> bool:
        return test.slug not in self.failures and test.slug not in self.stopped

    def _running(self) -> list[SweepTest]:
        return [test for test in self.tests if self._runs(test)]

    def _left(self) -> int:
        """How many predictions are still to come, if no other test stops."""
        return (len(self.examples) - self.done) * (1 + sum(len(test.magnitudes) for test in self._running()))

    def _late(self) -> bool:
        """Whether the time is over; never in the first chunk, for there is to be a result."""
        return self.done > 0 and self.stopping.clock() >= self._deadline

    def _look(self, table: ScoreTable) -> None:
        """Stop the tests that are precise enough, each for itself; the clean scores go on."""
        precise = self.stopping.precise
        if precise is None or not self.stopping.looks(self.done) or self.done == len(self.examples):
            return
        for test in self._running():
            if precise(test, table):
                self._stop(test, "precision")

    def _stop(self, test: SweepTest, reason: Reason) -> None:
        self.stopped[test.slug] = Stop(self.done, reason)

    def _without_failed(self, table: ScoreTable) -> ScoreTable:
        """Forget the scores that a test had before it failed: a part of the examples is no result."""
        failed = [test for test in self.tests if test.slug in self.failures]
        lost = [column for test in failed for column in self._columns_of(test)]
        cleared = ScoreTable()
        for block in table.blocks():
            cleared.append({**block, **dict.fromkeys(lost, np.full(len(block[ID]), np.nan))})
        return cleared

    def fill(self, wanted: Collection[int]) -> None:
        """Ask for those of the ``wanted`` chunks, by number, that the checkpoint does not have yet."""
        for _ in self._blocks(wanted):
            pass

    def _blocks(self, wanted: Collection[int] | None = None) -> Iterator[Block]:
        """The score rows of the chunks, all or those ``wanted``, until the time is over."""
        batch = PredictBatcher(self.model.predict, rows_per_call(self.examples.source, self.batch_size))
        try:
            for number in range(len(self.chunks)):
                if self._late():
                    return
                if wanted is None or number in wanted:
                    yield self._kept(number) or self._asked(number, batch)
        finally:
            if self.checkpoint is not None:
                self.checkpoint.close()

    def _kept(self, number: int) -> Block | None:
        """The rows of a chunk as the checkpoint has them, and what it knows of failures by then."""
        kept = None if self.checkpoint is None else self.checkpoint.find(number)
        if kept is None:
            return None
        self.n_predictions += kept.n_predictions
        for slug, text in kept.failures.items():
            self.failures.setdefault(slug, TestFailure(text))
        return kept.block

    def _asked(self, number: int, batch: PredictBatcher) -> Block:
        """The rows of a chunk as the model gives them now; the checkpoint gets them, unless the time cut them short."""
        before = self.n_predictions
        block = self._chunk(number, batch)
        cut = any(stop.reason == "time_budget" for stop in self.stopped.values())
        if self.checkpoint is not None and not cut:
            failed = {slug: str(failure) for slug, failure in self.failures.items()}
            self.checkpoint.keep(number, Kept(block, self.n_predictions - before, failed))
        return block

    def _chunk(self, number: int, batch: PredictBatcher) -> Block:
        positions = self.positions(number)
        chunk = self.examples.take(positions)
        self._place = f"chunk {number} ({self._extent(number, chunk)})"
        truth = self.targets.values[positions]
        block: dict[str, NDArray[Any]] = {ID: chunk.ids, TARGET: truth}
        for prop in self.properties:
            block[property_column(prop.slug)] = prop.values[positions]
        block |= {name: values[positions] for name, values in self.columns.items()}
        scores: dict[str, NDArray[Any]] = {}
        for piece, answer in batch.answers(self._pieces(chunk, number)):
            self.n_predictions += len(piece.inputs)
            self.progress.predicted(len(piece.inputs), piece.what)
            for name, found in self._scored(piece, answer, truth[piece.rows]).items():
                scores.setdefault(name, np.full(len(chunk), np.nan))[piece.rows] = found
        measured = [EXPECTED, *(property_column(each.slug) for each in self.predicted)]
        block |= {name: scores[name] for name in (CLEAN, *measured) if name in scores}
        unknown = np.full(len(chunk), np.nan)
        for test in self.tests:
            block |= {name: scores[name] if self._runs(test) else unknown for name in self._columns_of(test)}
        return block

    def _pieces(self, chunk: Examples, number: int) -> Iterator[_Piece]:
        """The clean inputs of a chunk, then every perturbed version of it; part by part."""
        for part in parts(chunk):
            some = chunk.take(part)
            yield _Piece(CLEAN, None, None, part, fresh_copy(some.inputs))
            original = some.input_format.decode(some.inputs)
            for test in self.tests:
                if self._runs(test):
                    yield from self._perturbed(test, some, original, number, part)

    def _perturbed(
        self, test: SweepTest, some: Examples, original: Inputs, number: int, part: slice
    ) -> Iterator[_Piece]:
        """The versions of one test, until it fails: whatever user code raises fails this test alone."""
        versions = perturbed(test, some, (number, part.start), self.seed)
        for column, magnitude in zip(test.columns, test.magnitudes, strict=True):
            if test.slug in self.failures:  # the model failed on a smaller magnitude meanwhile
                return
            if self._late():
                self._stop(test, "time_budget")
                return
            try:
                values = next(versions)
                check_perturbed(values, original, test.perturbation)
                inputs = some.input_format.encode(values, some.inputs)
            except Exception as error:
                self._fail(test, magnitude, error)
                return
            yield _Piece(column, test, magnitude, part, inputs)

    def _scored(self, piece: _Piece, answer: Predictions | Exception, truth: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """The columns that one answer gives; a failed perturbed piece fails its test, a clean one everything."""
        try:
            if isinstance(answer, Exception):
                raise answer
            found = self.scorer(answer, truth)
            bad = int((~np.isfinite(found)).sum())
            if bad and self.missing == "fail":
                raise ModelError(f"the score is NaN or infinite for {bad} of {len(found)} examples")
            if piece.test is None:
                return {piece.column: found, **self._of_clean(answer)}
            if self.calibration and (expected := self.scorer.expected(answer)) is not None:
                names = dict(zip(piece.test.columns, piece.test.expected_columns, strict=True))
                return {piece.column: found, names[piece.column]: expected}
            return {piece.column: found}
        except Exception as error:
            if piece.test is None or piece.magnitude is None:
                raise ModelError(f"the model failed on the unperturbed examples, {self._place}: {error}") from error
            self._fail(piece.test, piece.magnitude, error)
            return {}

    def _of_clean(self, answer: Predictions) -> dict[str, NDArray[Any]]:
        """What else is read off the unperturbed predictions: the expected score, and properties of them."""
        expected = self.scorer.expected(answer)
        found = {} if expected is None else {EXPECTED: expected}
        if self.predicted and self.scorer.probabilities is not None:
            probabilities = self.scorer.probabilities(answer)
            found |= {property_column(each.slug): each.measure(probabilities) for each in self.predicted}
        return found

    def _extent(self, number: int, chunk: Examples) -> str:
        if self.stopping.order is not None:
            return f"{len(chunk)} examples in a shuffled order: {', '.join(map(str, chunk.ids[:3]))}, ..."
        return f"examples {self.chunks[number].start} to {self.chunks[number].stop - 1}"

    def _fail(self, test: SweepTest, magnitude: float, error: Exception) -> None:
        if test.slug not in self.failures:
            text = f"test {test.name!r}, magnitude {magnitude:g}, {self._place}: {type(error).__name__}: {error}"
            self.failures[test.slug] = TestFailure(text)
            self.failures[test.slug].__cause__ = error


@dataclass(frozen=True)
class _Piece:
    """A part of a chunk, these ``rows`` of it, at one magnitude (or clean), ready for the model."""

    column: str
    test: SweepTest | None
    magnitude: float | None
    rows: slice
    inputs: Any

    @property
    def what(self) -> str:
        return "clean" if self.test is None else f"{self.test.name} {self.magnitude:g}"
