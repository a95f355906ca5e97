"""The rules of a gate: what a user writes, checked and explained."""

from __future__ import annotations

import datetime
import difflib
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from mlflow_sensie.errors import NotBuiltError, RecipeError
from mlflow_sensie.result import Result, TestResult

Metric = Literal["clean_score", "mean_drop", "effect", "spread", "unexpected", "holds_until"]
TestKind = Literal["perturbation", "property", "category", "class"]
Severity = Literal["error", "warn"]

KINDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "clean_score": (),
        "mean_drop": ("perturbation",),
        "effect": ("perturbation", "property"),
        "spread": ("property", "category", "class"),
        "unexpected": ("property",),
        "holds_until": ("perturbation",),
    }
)
GREATER_IS_BETTER = frozenset({"clean_score", "holds_until"})
SIZES = frozenset({"effect", "unexpected"})
LIMITS = ("at_least", "at_most", "worse_by_at_most")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _as_date(value: Any) -> Any:
    """Take a date or its ISO text; a bare number would be read as seconds since 1970."""
    if isinstance(value, datetime.datetime):
        return value.date()
    if isinstance(value, str | datetime.date):
        return value
    raise ValueError(f"a date as 2026-01-31; {value!r} came")


class Waiver(_Frozen):
    """Why a rule does not block for now, and the last day on which it does not."""

    reason: str = Field(min_length=1)
    until: Annotated[datetime.date, BeforeValidator(_as_date)]

    def holds(self, today: datetime.date) -> bool:
        """Whether the rule is still waived; the last day counts."""
        return today <= self.until


Limit = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class Rule(_Frozen):
    """One promotion rule: a quantity of one test or of many, its limit, and how sure one must be.

    Limits are in the quantity's own unit: the score's for ``clean_score``, ``mean_drop``, ``effect``, ``spread``
    and ``unexpected``, distance from the neutral for ``holds_until``. An absolute rule on ``effect`` and
    ``unexpected`` is one on their size, whatever the sign.
    """

    metric: Metric
    test: str | None = Field(default=None, min_length=1)
    kind: TestKind | None = None
    at_least: Limit | None = None
    at_most: Limit | None = None
    worse_by_at_most: Annotated[Limit, Field(ge=0)] | None = None
    versus: Literal["baseline"] | None = None
    confidence: float = Field(default=0.95, gt=0.5, lt=1, strict=True)
    severity: Severity = "error"
    waive: Waiver | None = None
    name: str | None = Field(default=None, min_length=1)
    slice: Any = None

    @model_validator(mode="after")
    def _says_one_thing(self) -> Rule:
        given = [name for name in LIMITS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"exactly one of {', '.join(LIMITS)} is needed; {' and '.join(given) or 'none'} came")
        if (self.versus is None) is (given[0] == "worse_by_at_most"):
            raise ValueError("worse_by_at_most and 'versus: baseline' belong together")
        _check_direction(self.metric, given[0])
        _check_target(self.metric, self.test, self.kind)
        return self

    @property
    def limit_name(self) -> str:
        """``at_least``, ``at_most`` or ``worse_by_at_most``."""
        return next(name for name in LIMITS if getattr(self, name) is not None)

    @property
    def limit(self) -> float:
        """The limit, in the quantity's unit."""
        return float(getattr(self, self.limit_name))

    @property
    def label(self) -> str:
        """The rule's name, or what it says."""
        if self.name is not None:
            return self.name
        about = (
            self.test
            if self.test not in (None, "*")
            else f"every {self.kind or 'test'}"
            if self.metric_has_tests
            else ""
        )
        quantity = f"|{self.metric}|" if self.metric in SIZES and self.versus is None else self.metric
        return " ".join(filter(None, (quantity, about and f"of {about}", self.claim)))

    @property
    def claim(self) -> str:
        """The limit in words."""
        words = self.limit_name.replace("_", " ")
        return f"{words} {self.limit:g}" + (" than the baseline" if self.versus else "")

    @property
    def metric_has_tests(self) -> bool:
        """Whether the metric is one of tests rather than of the whole evaluation."""
        return bool(KINDS[self.metric])

    def tests_of(self, result: Result) -> list[TestResult]:
        """The tests of a result that the rule is about; failed ones are among them.

        A named test is found by its name or slug, whatever its kind; of a kind or ``*`` those that have the metric.
        """
        if self.test not in (None, "*"):
            return [test for test in result.tests.values() if self.test in (test.name, test.slug)][:1]
        wanted = (self.kind,) if self.kind else KINDS[self.metric]
        tests = [test for test in result.tests.values() if test.kind in wanted]
        return [test for test in tests if not test.ok or has_metric(test, self.metric)]


def has_metric(test: TestResult, metric: str) -> bool:
    """Whether a test that went well has the metric: ``unexpected`` needs probabilities, ``spread`` bins."""
    return test.kind in KINDS[metric] and getattr(test.fit, metric, None) is not None


def _check_direction(metric: str, limit: str) -> None:
    right = "at_least" if metric in GREATER_IS_BETTER else "at_most"
    if limit not in (right, "worse_by_at_most"):
        better = "greater" if right == "at_least" else "smaller"
        raise ValueError(f"{better} is better for {metric}, so its limit is {right}; {limit} came")


def _check_target(metric: str, test: str | None, kind: str | None) -> None:
    kinds = KINDS[metric]
    if not kinds:
        if test is not None or kind is not None:
            raise ValueError(f"{metric} belongs to the whole evaluation: leave test and kind out")
        return
    if (test is None) is (kind is None):
        raise ValueError(
            f"{metric} needs either test (a name, or '*' for every test that has it) or kind; {_came(test)}"
        )
    if kind is not None and kind not in kinds:
        raise ValueError(f"a {kind} test has no {metric}; kinds that have it: {', '.join(kinds)}")


def _came(test: str | None) -> str:
    return "none came" if test is None else "both came"


def parse_rules(rules: Any, where: str = "gate") -> tuple[Rule, ...]:
    """Return the rules of a gate: a list of mappings, as in YAML, or of ``Rule``.

    Raises:
        RecipeError: a rule is not understood; the message says where, what came and what is allowed.
        NotBuiltError: a rule within a slice, which is known but not built in this version.
    """
    if isinstance(rules, str | bytes | Mapping) or not isinstance(rules, Sequence):
        raise RecipeError(f"{where}: a list of rules is needed; a {type(rules).__name__} came")
    if not rules:
        raise RecipeError(f"{where}: at least one rule is needed; an empty list came")
    parsed = tuple(_parse(rule, f"{where}.{index}") for index, rule in enumerate(rules))
    names = [rule.name for rule in parsed if rule.name is not None]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise RecipeError(f"{where}: two rules are called {twice!r}; give one of them another 'name'")
    return parsed


def _parse(rule: Any, where: str) -> Rule:
    if not isinstance(rule, Rule | Mapping):
        raise RecipeError(f"{where}: a rule is a mapping with the keys {', '.join(Rule.model_fields)}; {rule!r} came")
    try:
        read = rule if isinstance(rule, Rule) else Rule.model_validate({str(key): rule[key] for key in rule})
    except ValidationError as error:
        raise RecipeError("; ".join(_sentences(error, where))) from error
    if read.slice is not None:
        raise NotBuiltError(f"{where}: the key 'slice' is known but not built in this version; leave it out")
    return read


def _sentences(error: ValidationError, where: str) -> Iterator[str]:
    for item in error.errors():
        place = ".".join([where, *map(str, item["loc"])])
        if item["type"] == "extra_forbidden":
            *outer, key = map(str, item["loc"])
            model: type[BaseModel] = Waiver if outer else Rule
            near = difflib.get_close_matches(key, model.model_fields, 1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            allowed = ", ".join(model.model_fields)
            yield f"unknown key {key!r} in {'.'.join([where, *outer])}{hint}; allowed: {allowed}"
        elif item["type"] == "value_error":
            yield f"{place}: {item['ctx']['error']}"
        elif item["type"] == "missing":
            yield f"{place}: this key is needed"
        else:
            yield f"{place}: {item['msg']}; {item['input']!r} came"
