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
from mlflow_sensie.evaluation.checkpoint import Checkpoint, StoredChunk
from mlflow_sensie.evaluation.chunks import SweepTest, Version, check_perturbed, cut_into_chunks, parts, perturbed
from mlflow_sensie.evaluation.columns import PredictedProperty
from mlflow_sensie.evaluation.predict_calls import PredictBatcher, rows_per_call
from mlflow_sensie.evaluation.progress import Progress
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
    is_output,
    output_column,
    property_column,
)


@dataclass
class Sweep:
    """A sweep under way: what it needs, and what it meets.

    ``columns``, each (n,), go into the score table as they are, and ``predicted`` properties are read off the clean
    predictions. ``run`` gives the table; ``failures`` maps the slug of a failed test to its error, and ``stops``
    that of one that did not see all examples to where and why it stopped. ``done`` examples are behind it, and
    ``n_predictions`` rows were predicted for their scores. With ``calibration`` the score that the model itself
    announces is kept at every magnitude. A ``checkpoint`` gives the chunks that an earlier sweep of the same left
    there, and gets the others.
    """

    model: Model
    scorer: Scorer
    targets: Targets
    examples: Examples
    tests: Sequence[SweepTest]
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    predicted: Sequence[PredictedProperty] = ()
    batch_size: int | str = "auto"
    seed: int = 0
    missing: str = "fail"
    stopping: Stopping = field(default_factory=Stopping)
    calibration: bool = False
    progress: Progress = field(default_factory=Progress)
    checkpoint: Checkpoint | None = None
    failures: dict[str, TestFailure] = field(default_factory=dict)
    stops: dict[str, Stop] = field(default_factory=dict)
    done: int = 0
    n_predictions: int = 0
    _deadline: float = np.inf
    _place: str = ""

    @property
    def n_planned(self) -> int:
        """How many rows the model predicts if no test stops early or fails."""
        return len(self.examples) * _n_versions(self.tests)

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
            self.progress.chunk_done((len(self.examples) - self.done) * _n_versions(self._running()))
        if self.done < len(self.examples):
            for test in self._running():
                self._stop(test, "time_budget")
        table = self._without_failed(table) if self.failures else table
        for test in self.tests:
            if test.slug in self.stops:
                table.end(self._columns_of(test), self.stops[test.slug].n)
        return table

    def fill(self, numbers: Collection[int]) -> None:
        """Fill the checkpoint with those of these chunks that it does not have yet."""
        for _ in self._blocks(numbers):
            pass

    def reason(self, slug: str) -> Reason:
        """Why a test saw no more examples than it did; property and class tests see all that have a clean score."""
        if slug in self.stops:
            return self.stops[slug].reason
        return "all" if self.done == len(self.examples) else "time_budget"

    @property
    def savings(self) -> str:
        """How many predictions early stopping spared, and where it stopped; "" where it did not."""
        if not self.stops:
            return ""
        share = f"{self.n_predictions:,} of {self.n_planned:,} predictions were made"
        precise = self._tests_stopped_by("precision")
        return f"{share} ({self.n_predictions / self.n_planned:.0%}){f'; precise enough: {precise}' if precise else ''}"

    @property
    def cuts(self) -> tuple[str, ...]:
        """What the time budget cut, as a warning; none where there was time enough."""
        cut, n = self._tests_stopped_by("time_budget"), len(self.examples)
        if self.done == n and not cut:
            return ()
        over = f"the time budget of {self.stopping.seconds:g} s was over"
        tests = f"; tests cut: {cut}" if cut else ""
        return (f"{over} after {self.done:,} of {n:,} examples, drawn at random{tests}",)

    def _tests_stopped_by(self, reason: Reason) -> str:
        stops = [(test.name, self.stops[test.slug]) for test in self.tests if test.slug in self.stops]
        return ", ".join(f"{name!r} after {stop.n:,}" for name, stop in stops if stop.reason == reason)

    def _columns_of(self, test: SweepTest) -> list[str]:
        outputs = test.output_columns(self.scorer.outputs.parts)
        return [*test.columns, *(test.expected_columns if self.calibration else []), *outputs]

    def _runs(self, test: SweepTest) -> bool:
        return test.slug not in self.failures and test.slug not in self.stops

    def _running(self) -> list[SweepTest]:
        return [test for test in self.tests if self._runs(test)]

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
        self.stops[test.slug] = Stop(self.done, reason)

    def _without_failed(self, table: ScoreTable) -> ScoreTable:
        """Forget the scores that a test had before it failed: a part of the examples is no result."""
        failed = [test for test in self.tests if test.slug in self.failures]
        columns = [column for test in failed for column in self._columns_of(test)]
        cleared = ScoreTable()
        for block in table.blocks():
            cleared.append({**block, **{name: self._unknown(name, len(block[ID])) for name in columns}})
        return cleared

    # --- chunk by chunk ------------------------------------------------------------------------------------

    def _blocks(self, numbers: Collection[int] | None = None) -> Iterator[Block]:
        """The score rows of the chunks, all or those of these numbers, until the time is over."""
        batcher = PredictBatcher(self.model.predict, rows_per_call(self.examples.source, self.batch_size))
        try:
            for number in range(len(self.chunks)):
                if self._late():
                    return
                if numbers is None or number in numbers:
                    yield self._from_checkpoint(number) or self._from_model(number, batcher)
        finally:
            if self.checkpoint is not None:
                self.checkpoint.close()

    def _from_checkpoint(self, number: int) -> Block | None:
        """The rows of a chunk as the checkpoint has them, and what it knows of failures by then."""
        stored = None if self.checkpoint is None else self.checkpoint.find(number)
        if stored is None:
            return None
        self.n_predictions += stored.n_predictions
        for slug, text in stored.failures.items():
            self.failures.setdefault(slug, TestFailure(text))
        return stored.block

    def _from_model(self, number: int, batcher: PredictBatcher) -> Block:
        """The rows of a chunk as the model gives them now; the checkpoint gets them, unless the time cut them short."""
        before = self.n_predictions
        block = self._scores(number, batcher)
        cut = any(stop.reason == "time_budget" for stop in self.stops.values())
        if self.checkpoint is not None and not cut:
            failures = {slug: str(failure) for slug, failure in self.failures.items()}
            self.checkpoint.store(number, StoredChunk(block, self.n_predictions - before, failures))
        return block

    def _scores(self, number: int, batcher: PredictBatcher) -> Block:
        positions = self.positions(number)
        chunk = self.examples.take(positions)
        self._place = f"chunk {number} ({self._extent(number, chunk)})"
        truth = self.targets.values[positions]
        block = {ID: chunk.ids, TARGET: self._shown(truth)}
        block |= {name: values[positions] for name, values in self.columns.items()}
        columns: dict[str, NDArray[Any]] = {}
        clean: dict[int, NDArray[Any]] = {}  # the model's own answers, where they are what is right, by part
        for version, predictions in batcher.answers(self._versions(chunk, number)):
            self.n_predictions += len(version.inputs)
            self.progress.predicted(len(version.inputs), version.name)
            start = version.rows.start
            if self.scorer.encode is not None and version.test is None and isinstance(predictions, Predictions):
                clean[start] = self.scorer.encode(predictions)
            for name, values in self._scored(version, predictions, clean.get(start, truth[version.rows])).items():
                columns.setdefault(name, self._unknown(name, len(chunk)))[version.rows] = values
        outputs = [output_column(CLEAN, part) for part in self.scorer.outputs.parts]
        unperturbed = [CLEAN, EXPECTED, *outputs, *(property_column(prop.slug) for prop in self.predicted)]
        block |= {name: columns[name] for name in unperturbed if name in columns}
        for test in self.tests:
            names = self._columns_of(test)
            block |= {name: columns[name] if self._runs(test) else self._unknown(name, len(chunk)) for name in names}
        return block

    def _shown(self, truth: NDArray[Any]) -> NDArray[Any]:
        """Targets as a column of the table: labels or values; whatever else they are, nothing of it."""
        return truth if self.targets.are_labels else np.full(len(truth), "")

    def _unknown(self, column: str, n: int) -> NDArray[Any]:
        """Values (n,) of a column that nothing is known of yet."""
        return np.full(n, np.nan, self.scorer.outputs.dtype if is_output(column) else np.float64)

    def _versions(self, chunk: Examples, number: int) -> Iterator[Version]:
        """The clean inputs of a chunk, then every perturbed version of them; part by part."""
        for rows in parts(chunk):
            part = chunk.take(rows)
            yield Version(rows, fresh_copy(part.inputs))
            original = part.input_format.decode(part.inputs)
            for test in self.tests:
                if self._runs(test):
                    perturbations = perturbed(test, part, (number, rows.start), self.seed)
                    yield from self._perturbed(test, part, original, rows, perturbations)

    def _perturbed(
        self, test: SweepTest, part: Examples, original: Inputs, rows: slice, perturbations: Iterator[Any]
    ) -> Iterator[Version]:
        """The versions of one test, until it fails: whatever user code raises fails this test alone."""
        for index, magnitude in enumerate(test.magnitudes):
            if test.slug in self.failures:  # the model failed on a smaller magnitude meanwhile
                return
            if self._late():
                self._stop(test, "time_budget")
                return
            try:
                values = next(perturbations)
                check_perturbed(values, original, test.perturbation)
                inputs = part.input_format.encode(values, part.inputs)
            except Exception as error:
                self._fail(test, magnitude, error)
                return
            yield Version(rows, inputs, test, index)

    def _scored(
        self, version: Version, predictions: Predictions | Exception, truth: NDArray[Any]
    ) -> dict[str, NDArray[Any]]:
        """The columns that predictions give; perturbed ones that fail, fail their test, clean ones everything."""
        test, index = version.test, version.index
        try:
            if isinstance(predictions, Exception):
                raise predictions
            scores = self.scorer(predictions, truth)
            bad = int((~np.isfinite(scores)).sum())
            if bad and self.missing == "fail":
                raise ModelError(f"the score is NaN or infinite for {bad} of {len(scores)} examples")
            expected = self.scorer.expected(predictions) if test is None or self.calibration else None
            column = CLEAN if test is None else test.columns[index]
            outputs = self.scorer.outputs.read(predictions, truth)
            more = {output_column(column, part): values for part, values in outputs.items()}
            if expected is not None:
                more[EXPECTED if test is None else test.expected_columns[index]] = expected
            return {column: scores, **more, **(self._properties_of(predictions) if test is None else {})}
        except Exception as error:
            if test is None:
                raise ModelError(f"the model failed on the unperturbed examples, {self._place}: {error}") from error
            self._fail(test, test.magnitudes[index], error)
            return {}

    def _properties_of(self, predictions: Predictions) -> dict[str, NDArray[Any]]:
        if not self.predicted or self.scorer.probabilities is None:
            return {}
        probabilities = self.scorer.probabilities(predictions)
        return {property_column(prop.slug): prop.measure(probabilities) for prop in self.predicted}

    def _extent(self, number: int, chunk: Examples) -> str:
        if self.stopping.order is not None:
            return f"{len(chunk)} examples in a shuffled order: {', '.join(map(str, chunk.ids[:3]))}, ..."
        return f"examples {self.chunks[number].start} to {self.chunks[number].stop - 1}"

    def _fail(self, test: SweepTest, magnitude: float, error: Exception) -> None:
        if test.slug not in self.failures:
            text = f"test {test.name!r}, magnitude {magnitude:g}, {self._place}: {type(error).__name__}: {error}"
            self.failures[test.slug] = TestFailure(text)
            self.failures[test.slug].__cause__ = error


def _n_versions(tests: Sequence[SweepTest]) -> int:
    """How often each example is predicted."""
    return 1 + sum(len(test.magnitudes) for test in tests)
