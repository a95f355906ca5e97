"""Two results side by side: the same examples joined by their ids, and the tests that both have."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlflow_sensie.errors import ComparisonError
from mlflow_sensie.inference import SamplingDesign, ScoreScale
from mlflow_sensie.inference.weights import FloatArray
from mlflow_sensie.recipe.values import SCORE_PARAMETERS
from mlflow_sensie.result import Result, TestResult, evaluate_again
from mlflow_sensie.scores.kinds import KINDS
from mlflow_sensie.scores.table import CLEAN, CLUSTER, EXPECTED, ID, WEIGHT, ScoreTable, is_output

TELLING = 10
MEASURED = ("score/", "expected/")
SPEC_KEYS = ("apply", "params", "of", "bins", "rank", "allowed_drop")
FIT_KEYS = ("magnitudes", "neutral", "log_distance", "levels")
Order = tuple[NDArray[np.intp], NDArray[np.intp]]


@dataclass(frozen=True)
class Pairing:
    """Two score tables, ``paired`` where their rows are the same ``n`` examples; else ``n`` is the smaller number.

    ``order`` gives the rows of A and B that belong together, ``None`` where all rows of both do as they are, or where
    the examples are not the same. Columns are read when they are asked for, and not kept.
    """

    a: ScoreTable
    b: ScoreTable
    paired: bool
    n: int
    order: Order | None = None

    @classmethod
    def by_id(cls, a: ScoreTable, b: ScoreTable) -> Pairing:
        """Join by example id.

        Raises:
            ComparisonError: fewer than two examples are common, or an id is not unique where the orders differ.
        """
        ours, theirs = a.column(ID), b.column(ID)
        if np.array_equal(ours, theirs):
            return cls(a, b, True, len(a))
        order = _joined(ours, theirs)
        if len(order[0]) < 2:
            raise ComparisonError(f"A and B have {len(order[0])} examples in common; at least two are needed")
        return cls(a, b, True, len(order[0]), order)

    @classmethod
    def apart(cls, a: ScoreTable, b: ScoreTable) -> Pairing:
        """Put two tables of different examples side by side."""
        return cls(a, b, False, min(len(a), len(b)))

    def column(self, name: str) -> tuple[FloatArray, FloatArray]:
        """Return a column (n,) of A and of B; where they are paired, a row is the same example in both."""
        a, b = (np.asarray(table.column(name), np.float64) for table in (self.a, self.b))
        return (a, b) if self.order is None else (a[self.order[0]], b[self.order[1]])

    def steps(self, columns: Sequence[str], less: Sequence[str] = ()) -> FloatArray:
        """Return k columns of A and, beside them, B's less A's, (n, 2k), of pairs; columns ``less`` are taken off both.

        The one large array of a comparison is filled column by column.
        """
        rows = np.empty((self.n, 2 * len(columns)))
        for k, name in enumerate(columns):
            a, b = self.column(name)
            if less:
                a, b = (scores - own for scores, own in zip((a, b), self.column(less[k]), strict=True))
            rows[:, k] = a
            np.subtract(b, a, out=rows[:, len(columns) + k])
        return rows

    def arrays(self, a: Sequence[str], b: Sequence[str]) -> tuple[FloatArray, FloatArray]:
        """Return columns (n, k) of A and (n, l) of B; where they are paired, a row is the same example in both."""
        ours, theirs = self.a.array(a), self.b.array(b)
        return (ours, theirs) if self.order is None else (ours[self.order[0]], theirs[self.order[1]])

    @cached_property
    def designs(self) -> tuple[SamplingDesign, SamplingDesign]:
        """How A's and B's rows count."""
        a, b = _design(self.a), _design(self.b)
        return (a, b) if self.order is None else (a.take(self.order[0]), b.take(self.order[1]))

    def reach(self, columns: Sequence[str], scale: ScoreScale) -> tuple[float, float]:
        """Return the score's bounds, with what either model reached in place of those it does not have."""
        if scale.bounded:
            return scale.range_of()
        ends: list[float] = []
        for block in itertools.chain(self.a.blocks(columns), self.b.blocks(columns)):
            rows = np.column_stack([*block.values()])
            complete = rows[np.isfinite(rows).all(axis=1)]
            ends += [complete.min(), complete.max()] if complete.size else []
        return scale.range_of(np.array(ends))

    def same(self, column: str) -> bool:
        """Whether a column is equal in both; a property of the predictions is not."""
        return np.array_equal(*self.column(column), equal_nan=True)

    def identical(self) -> bool:
        """Whether every score of the two is equal: clean, expected, and at all magnitudes that both have."""
        return self.paired and all(map(self.same, self._scores_of_both()))

    def same_predictions(self) -> bool:
        """Whether all that is kept of predictions is equal in both; scores alone may agree where these do not."""
        kept = [{name for name in table.columns if is_output(name)} for table in (self.a, self.b)]
        return kept[0] == kept[1] and all(map(self.same, kept[0]))

    def telling(self, scale: ScoreScale) -> bool:
        """Whether A's scores differ so much among themselves that another model agrees with all by no chance.

        They do with ten values between their bounds, as probabilities have, or ten different rows of scores, as 0/1
        scores have where perturbations make different examples fail at different magnitudes. Of clean 0/1 scores two
        good models share most.
        """
        names = self._scores_of_both()
        complete = np.logical_and.reduce([np.isfinite(self.column(name)[0]) for name in names])
        values: set[float] = set()
        row = np.zeros(int(complete.sum()), np.intp)  # the number of each example's row of scores so far
        for name in names:
            levels, index = np.unique(self.column(name)[0][complete], return_inverse=True)
            rows, row = np.unique(row * len(levels) + index, return_inverse=True)
            values.update(levels[scale.inside(levels)][:TELLING].tolist())
            if max(len(values), len(rows)) >= TELLING:
                return True
        return False

    def _scores_of_both(self) -> list[str]:
        names = [name for name in self.a.columns if name in (CLEAN, EXPECTED) or name.startswith(MEASURED)]
        return [name for name in names if name in self.b.columns]


def _design(table: ScoreTable) -> SamplingDesign:
    weights, clusters = (table.column(name) if name in table.columns else None for name in (WEIGHT, CLUSTER))
    return SamplingDesign(weights, clusters)


def _joined(ours: NDArray[Any], theirs: NDArray[Any]) -> Order:
    for side, ids in (("A", ours), ("B", theirs)):
        if len(np.unique(ids)) < len(ids):
            raise ComparisonError(f"the example ids of {side} are not unique, so examples cannot be joined by id")
    try:
        _, left, right = np.intersect1d(ours, theirs, assume_unique=True, return_indices=True)
    except TypeError:  # numbers on one side, text on the other
        return np.empty(0, np.intp), np.empty(0, np.intp)
    return left, right


# --- what two results have in common -------------------------------------------------------------------


def refuse_other_scores(a: Result, b: Result) -> None:
    """Raise ComparisonError where the two are scored differently, or in a unit that is another on other data.

    So it is where two versions wrote them, of which the same names mean different numbers.
    """
    if a.schema_version != b.schema_version:
        raise ComparisonError(evaluate_again(a if a.read_only else b))
    ours, theirs = a.score, b.score
    if (ours.kind, ours.lower, ours.upper) != (theirs.kind, theirs.lower, theirs.upper):
        raise ComparisonError(
            f"{a.model_name!r} is scored by {ours.kind!r}, {b.model_name!r} by {theirs.kind!r}; such scores are not "
            "compared: let the recipe's 'score' name one that both models can have"
        )
    parameters = [result.recipe.get("score") for result in (a, b)]
    if ours.kind in SCORE_PARAMETERS and parameters[0] != parameters[1]:
        raise ComparisonError(f"A is scored by {parameters[0]}, B by {parameters[1]}; such scores are not compared")
    if ours.kind in KINDS and KINDS[ours.kind].in_target_unit and not same_examples(a, b):
        raise ComparisonError(
            f"A and B were evaluated on different data, and {ours.kind} ({ours.unit}) hangs on how much the targets "
            "vary: evaluate both on the same data, or by neg_relative_error or neg_log_error, which have no unit"
        )


def same_examples(a: Result, b: Result) -> bool:
    """Whether both were measured on the same inputs and targets, whatever properties they asked for."""
    same_inputs = a.examples_sha256 is not None and a.examples_sha256 == b.examples_sha256
    return same_inputs or a.data_sha256 == b.data_sha256


def score_table_of(result: Result) -> ScoreTable:
    """Return a result's score table; raise ComparisonError where it has none, or one that is not its own."""
    table = result.score_table
    if table is None:
        raise ComparisonError(
            f"{result.model_name!r} has no score table: a result read from JSON comes without; compare by run id, "
            "or by the folder with its report.json and scores.parquet"
        )
    for key, own in (("data_sha256", result.data_sha256), ("score", result.score.kind)):
        if (value := table.metadata.get(key, own)) != own:
            raise ComparisonError(f"the score table is not that of {result.model_name!r}: {key} {value!r}, not {own!r}")
    return table


def spec_of(result: Result, name: str) -> Mapping[str, Any]:
    """Return what a recipe says of a test; empty for the class test."""
    specs = [*result.recipe.get("properties", ()), *result.recipe.get("perturbations", ())]
    return next((spec for spec in specs if spec["name"] == name), {})


def why_not(a: Result, b: Result, slug: str) -> str | None:
    """Say why a test of either result cannot be compared, if it cannot."""
    ours, theirs = (next((test for test in result.tests.values() if test.slug == slug), None) for result in (a, b))
    if ours is None or theirs is None:
        return f"{'A' if ours is None else 'B'} has no such test"
    for side, test in (("A", ours), ("B", theirs)):
        if not test.ok:
            return f"it failed on {side}: {test.error}"
    if ours.kind != theirs.kind:
        return f"it is a {ours.kind} test of A and a {theirs.kind} test of B"
    of_a, of_b = _settings(a, ours), _settings(b, theirs)
    other = (f"{key} is {of_a[key]!r} in A and {of_b[key]!r} in B" for key in of_a if of_a[key] != of_b[key])
    return next(other, None)


def _settings(result: Result, test: TestResult) -> dict[str, Any]:
    spec = spec_of(result, test.name)
    fitted = {key: getattr(test.fit, key, None) for key in FIT_KEYS}
    return fitted | {key: spec.get(key, result.recipe.get(key)) for key in SPEC_KEYS}
