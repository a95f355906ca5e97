"""What a rule is judged on: the whole evaluation or one of its slices, compared with the baseline's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlflow_sensie.comparison import Comparison, Difference, compare
from mlflow_sensie.errors import ComparisonError
from mlflow_sensie.recipe.model import slug
from mlflow_sensie.result import Result, TestResult
from mlflow_sensie.scores.table import Part, ScoreTable, slice_column

EVERY_LEVEL = "*"


class NotJudged(Exception):
    """A rule cannot be judged; the message says why."""


@dataclass(frozen=True)
class Scope:
    """A result, and its comparison with the baseline or why there is none; ``where`` names the slice it is of."""

    result: Result
    comparison: Comparison | None
    problem: str
    where: str | None = None

    @classmethod
    def of(cls, result: Result, baseline: Result | None, where: str | None) -> Scope:
        """Compare a result with the baseline's on the same examples."""
        if baseline is None:
            return cls(result, None, "there is no baseline", where)
        try:
            found = compare(baseline, result)
        except ComparisonError as error:
            return cls(result, None, str(error), where)
        return cls(result, found if found.paired else None, "the baseline was measured on other examples", where)

    @property
    def identical(self) -> bool:
        """Whether this is the baseline, by name or by every score."""
        return self.comparison is not None and self.comparison.identical

    def difference(self, metric: str, test: TestResult | None) -> Difference:
        """Give the difference from the baseline's, or raise NotJudged."""
        if self.comparison is None:
            raise NotJudged(self.problem)
        try:
            return self.comparison.difference(test.name if test else None, metric)
        except ComparisonError as error:
            raise NotJudged(str(error)) from error


class Scopes:
    """The scopes of a gate, each made when a rule first asks for it."""

    def __init__(self, result: Result, baseline: Result | None) -> None:
        self._results = result, baseline
        self._made: dict[tuple[str, str] | None, Scope] = {}

    def of(self, where: Mapping[str, Any] | None) -> list[Scope]:
        """The scopes of a rule's ``slice``; without one the whole evaluation.

        Raises:
            NotJudged: there is no such slice; the message says which there are.
        """
        if where is None:
            return [self._scope(None)]
        ((column, level),) = where.items()
        levels = levels_of(self._results[0], column)
        chosen = levels if level == EVERY_LEVEL else [str(level)]
        if chosen[0] not in levels:
            raise NotJudged(f"no slice {column} = {chosen[0]!r}; there are: {', '.join(levels)}")
        return [self._scope((column, each)) for each in chosen]

    def _scope(self, key: tuple[str, str] | None) -> Scope:
        if key not in self._made:
            ours, theirs = (each and (each if key is None else sliced(each, *key)) for each in self._results)
            assert ours is not None
            self._made[key] = Scope.of(ours, theirs, key and " = ".join(key))
        return self._made[key]


def levels_of(result: Result, column: str) -> list[str]:
    """The levels of a column of slices, or raise NotJudged."""
    found = {each.column: [part.level for part in each.slices] for each in result.slices}
    if not found.get(column):
        known = ", ".join(found) or "none"
        raise NotJudged(f"there are no slices by {column!r}: name it under the recipe's slices; they are: {known}")
    return found[column]


def sliced(result: Result, column: str, level: str) -> Result | None:
    """A result of one slice alone: its tests, and its rows of the score table; None where it has no such slice."""
    parts = [part for each in result.slices if each.column == column for part in each.slices if part.level == level]
    if not parts:
        return None
    (found,) = parts
    new = {"tests": found.tests, "n": found.n, "clean": found.clean, "clean_known": found.clean_known, "slices": ()}
    alone = result.model_copy(update=new)
    if result.score_table is not None:
        alone._score_table = ScoreTable(result.score_table.metadata)
        for block in Part(result.score_table, slice_column(slug(column)), found.code).blocks():
            alone._score_table.append(block)
    return alone
