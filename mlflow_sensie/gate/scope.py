"""What a rule is about: a test or all of an evaluation, or of one of its slices, compared with the baseline's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from mlflow_sensie.comparison import Comparison, Difference, compare
from mlflow_sensie.errors import ComparisonError
from mlflow_sensie.recipe.model import slug
from mlflow_sensie.recipe.reading import load_gate
from mlflow_sensie.recipe.rules import Rule, metric_of, rule_quantity
from mlflow_sensie.result import Result, TestResult, evaluate_again
from mlflow_sensie.scores.table import slice_column

EVERY = "*"
# The first rule of every gate, which nobody has to write: whatever it is compared with, a model has to be worth more
# than a constant, which by a score alone may look better where one class is rare.
SKILL_RULE = Rule(metric="skill", at_least=0.0)


class NotJudged(Exception):
    """A rule cannot be judged; the message says why."""


@dataclass(frozen=True)
class Scope:
    """A result and the baseline's, if there is one; ``where`` names the slice that they are of.

    Comparisons and slices are made when a rule first asks for them.

    Raises:
        ComparisonError: an earlier version wrote one of the two, whose names mean other numbers than a rule's.
    """

    result: Result
    baseline: Result | None = None
    where: str | None = None
    _slices: dict[tuple[str, str], Scope] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        for result in (self.result, self.baseline):
            if result is not None and result.read_only:
                raise ComparisonError(evaluate_again(result))

    @cached_property
    def comparison(self) -> Comparison | ComparisonError:
        """The comparison with the baseline on the same examples, or why there is none."""
        if self.baseline is None:
            return ComparisonError("there is no baseline")
        try:
            comparison = compare(self.baseline, self.result)
        except ComparisonError as error:
            return error
        return comparison if comparison.paired else ComparisonError("the baseline was measured on other examples")

    def slices(self, where: Mapping[str, Any] | None) -> list[Scope]:
        """The scopes of a rule's ``slice``; without one this one alone.

        Raises:
            NotJudged: there is no such slice; the message says which there are.
        """
        if where is None:
            return [self]
        ((column, level),) = where.items()
        levels = _levels(self.result, column)
        chosen = levels if level == EVERY else [str(level)]
        if chosen[0] not in levels:
            raise NotJudged(f"no slice {column} = {chosen[0]!r}; there are: {', '.join(levels)}")
        for name in chosen:
            if (column, name) not in self._slices:
                result = _sliced(self.result, column, name)
                assert result is not None
                baseline = self.baseline and _sliced(self.baseline, column, name)
                self._slices[column, name] = Scope(result, baseline, f"{column} = {name}")
        return [self._slices[column, name] for name in chosen]


def _levels(result: Result, column: str) -> list[str]:
    """The levels of a column of slices, or raise NotJudged."""
    levels = {sliced.column: [part.level for part in sliced.slices] for sliced in result.slices}
    if not levels.get(column):
        known = ", ".join(levels) or "none"
        raise NotJudged(f"there are no slices by {column!r}: name it under the recipe's slices; they are: {known}")
    return levels[column]


def _sliced(result: Result, column: str, level: str) -> Result | None:
    """A result of one slice alone: its tests, and its rows of the score table; None where it has no such slice."""
    columns = (sliced for sliced in result.slices if sliced.column == column)
    part = next((part for sliced in columns for part in sliced.slices if part.level == level), None)
    if part is None:
        return None
    new = {"tests": part.tests, "n": part.n, "clean": part.clean, "clean_known": part.clean_known, "slices": ()}
    new["metric_estimates"] = part.metric_estimates
    alone = result.model_copy(update=new)
    if result.score_table is not None:
        alone._score_table = result.score_table.part(slice_column(slug(column)), part.code)
    return alone


@dataclass(frozen=True)
class Case:
    """A rule, and what it is judged on: a scope, and a test of it where it is about tests; or why on ``nothing``."""

    rule: Rule
    scope: Scope
    test: TestResult | None = None
    nothing: str = ""

    @property
    def subject(self) -> Result | TestResult:
        """What has the quantity: the test, or the whole result."""
        return self.test or self.scope.result

    @property
    def difference(self) -> Difference:
        """The quantity's difference from the baseline's, or raise NotJudged."""
        try:
            if isinstance(self.scope.comparison, ComparisonError):
                raise self.scope.comparison
            return self.scope.comparison.difference(self.test.name if self.test else None, self.rule.metric)
        except ComparisonError as error:
            raise NotJudged(str(error)) from error


def rules_of(gate: Iterable[Rule | Mapping[str, Any]]) -> tuple[Rule, ...]:
    """All rules of a gate as a recipe has it, the unwritten one first.

    Raises:
        RecipeError: a rule is not understood.
    """
    return (SKILL_RULE, *load_gate(gate))


def cases(rule: Rule, whole: Scope) -> Iterator[Case]:
    """Yield what a rule is about; at the end one that says why, where there is no such slice or test."""
    try:
        for scope in whole.slices(rule.slice):
            yield from (Case(rule, scope, test) for test in _tests(rule, scope.result))
    except NotJudged as error:
        yield Case(rule, whole, nothing=str(error))


def has_metric(metric: str, test: TestResult) -> bool:
    """Whether a test that went well has a quantity."""
    of_metric = metric_of(metric)
    if of_metric is not None:
        return getattr(test.metric_fits.get(of_metric[0]), of_metric[1].strip("_"), None) is not None
    return test.kind in rule_quantity(metric).kinds and getattr(test.fit, metric, None) is not None


def _tests(rule: Rule, result: Result) -> list[TestResult | None]:
    """The tests of a result that a rule is about, failed ones among them; [None] for the result as a whole.

    A test is found by its name or slug, whatever its kind; of a kind, or of ``*``, those that have the metric.
    """
    kinds, many = rule_quantity(rule.metric).kinds, rule.test in (None, EVERY)
    if not kinds:
        return [None]
    tests: list[TestResult | None] = [
        test
        for test in result.tests.values()
        if (
            test.kind in ((rule.kind,) if rule.kind else kinds) and (not test.ok or has_metric(rule.metric, test))
            if many
            else rule.test in (test.name, test.slug)
        )
    ]
    if not tests:
        missing = f"no {rule.kind or 'test'} has {rule.metric}" if many else f"no test {rule.test!r}"
        known = ", ".join(f"{test.name} ({test.kind})" for test in result.tests.values())
        raise NotJudged(f"{missing}; tests are: {known}")
    return tests
