"""The promotion rules of a recipe: what a user writes under ``gate``."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from mlflow_sensie.errors import did_you_mean
from mlflow_sensie.recipe.values import LOSSES, Spec

TestKind = Literal["perturbation", "property", "category", "class"]
Severity = Literal["error", "warn"]
Better = Literal["lower", "higher", "smaller"]


@dataclass(frozen=True)
class RuleQuantity:
    """What a rule may limit: the kinds of test that have it, and which values are better.

    Without ``kinds`` it belongs to the whole evaluation. Of a quantity that is better ``smaller`` a rule limits the
    size, whatever the sign.
    """

    kinds: tuple[TestKind, ...]
    better: Better


# How each is judged stands in ``mlflow_sensie.gate.quantities``, under the same names.
QUANTITIES: Mapping[str, RuleQuantity] = MappingProxyType(
    {
        "clean_score": RuleQuantity((), "higher"),
        "skill": RuleQuantity((), "higher"),
        "mean_drop": RuleQuantity(("perturbation",), "lower"),
        "effect": RuleQuantity(("perturbation", "property"), "smaller"),
        "spread": RuleQuantity(("property", "category", "class"), "lower"),
        "unexpected": RuleQuantity(("perturbation", "property"), "smaller"),
        "holds_until": RuleQuantity(("perturbation",), "higher"),
    }
)
# And of each metric that a recipe follows: before or after its name.
CLEAN, DROP, HOLDS = "clean_", "_mean_drop", "_holds_until"
FORMS = f"{CLEAN}<metric>, <metric>{DROP}, <metric>{HOLDS}"
OF_METRICS: Mapping[str, RuleQuantity] = MappingProxyType(
    {DROP: RuleQuantity(("perturbation",), "lower"), HOLDS: RuleQuantity(("perturbation",), "higher")}
)


def metric_of(quantity: str) -> tuple[str, str] | None:
    """Return the metric that a quantity is of and its form, ``None`` where it is of the score.

    >>> metric_of("recall-3_mean_drop"), metric_of("clean_roc_auc"), metric_of("mean_drop")
    (('recall-3', '_mean_drop'), ('roc_auc', 'clean_'), None)
    """
    if quantity in QUANTITIES:
        return None
    if quantity.startswith(CLEAN):
        return quantity.removeprefix(CLEAN), CLEAN
    return next(((quantity.removesuffix(form), form) for form in OF_METRICS if quantity.endswith(form)), None)


def rule_quantity(name: str) -> RuleQuantity:
    """Return what a rule may limit by its name.

    Raises:
        ValueError: there is no such quantity.
    """
    if name in QUANTITIES:
        return QUANTITIES[name]
    of_metric = metric_of(name)
    if of_metric is None or not of_metric[0]:
        hint = did_you_mean(name, QUANTITIES)
        raise ValueError(f"one of {', '.join(QUANTITIES)}, or {FORMS}; {name!r} came{hint}")
    metric, form = of_metric
    return RuleQuantity((), "lower" if metric in LOSSES else "higher") if form == CLEAN else OF_METRICS[form]


def _is_a_quantity(name: str) -> str:
    rule_quantity(name)
    return name


_SCHEMA = {"anyOf": [{"enum": list(QUANTITIES)}, {"type": "string", "pattern": f"^({CLEAN}.+|.+{DROP}|.+{HOLDS})$"}]}
Metric = Annotated[str, AfterValidator(_is_a_quantity), WithJsonSchema(_SCHEMA)]
LIMITS = ("at_least", "at_most", "worse_by_at_most")


def _as_date(value: Any) -> Any:
    """Take a date or its ISO text; a bare number would be read as seconds since 1970."""
    if isinstance(value, datetime.datetime):
        return value.date()
    if isinstance(value, str | datetime.date):
        return value
    raise ValueError(f"a date as 2026-01-31; {value!r} came")


class Waiver(Spec):
    """Why a rule does not block for now, and the last day on which it does not."""

    reason: str = Field(min_length=1)
    until: Annotated[datetime.date, BeforeValidator(_as_date)]

    def holds(self, today: datetime.date) -> bool:
        """Whether the rule is still waived; the last day counts."""
        return today <= self.until


Limit = Annotated[float, Field(strict=True, allow_inf_nan=False)]


class Rule(Spec):
    """One promotion rule: a quantity of one test or of many, its limit, and how sure one must be.

    Limits are in the quantity's own unit: the score's for ``clean_score``, ``mean_drop``, ``effect``, ``spread``
    and ``unexpected``, distance from the neutral for ``holds_until``. ``effect`` and ``unexpected`` are limited in
    their size, whatever the sign. ``skill`` has no unit, ``clean_<metric>`` and ``<metric>_mean_drop`` have that of a
    metric which the recipe follows. ``slice`` is {column: level} of one of the recipe's slices, or {column: "*"}.
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
    slice: dict[str, str | int | float | bool] | None = Field(default=None, min_length=1, max_length=1)

    @model_validator(mode="after")
    def _says_one_thing(self) -> Rule:
        limits = [name for name in LIMITS if getattr(self, name) is not None]
        if len(limits) != 1:
            raise ValueError(f"exactly one of {', '.join(LIMITS)} is needed; {' and '.join(limits) or 'none'} came")
        if (self.versus is None) is (limits[0] == "worse_by_at_most"):
            raise ValueError("worse_by_at_most and 'versus: baseline' belong together")
        right = "at_least" if rule_quantity(self.metric).better == "higher" else "at_most"
        if limits[0] not in (right, "worse_by_at_most"):
            better = "greater" if right == "at_least" else "smaller"
            raise ValueError(f"{better} is better for {self.metric}, so its limit is {right}; {limits[0]} came")
        return self

    @model_validator(mode="after")
    def _is_about_something(self) -> Rule:
        kinds = rule_quantity(self.metric).kinds
        if not kinds and (self.test is not None or self.kind is not None):
            raise ValueError(f"{self.metric} belongs to the whole evaluation: leave test and kind out")
        if kinds and (self.test is None) is (self.kind is None):
            came = "none came" if self.test is None else "both came"
            raise ValueError(f"{self.metric} needs either test (a name, or '*' for all that have it) or kind; {came}")
        if self.kind is not None and self.kind not in kinds:
            raise ValueError(f"a {self.kind} test has no {self.metric}; kinds that have it: {', '.join(kinds)}")
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
    def quantity(self) -> str:
        """The metric, between bars where its size is limited."""
        return f"|{self.metric}|" if rule_quantity(self.metric).better == "smaller" else self.metric

    @property
    def claim(self) -> str:
        """The limit in words."""
        return f"{self.limit_name.replace('_', ' ')} {self.limit:g}" + (" than the baseline" if self.versus else "")

    @property
    def label(self) -> str:
        """The rule's name, or what it says."""
        about = self.test if self.test not in (None, "*") else f"every {self.kind or 'test'}"
        parts = [self.quantity, *([f"of {about}"] if rule_quantity(self.metric).kinds else []), self.claim]
        for column, level in (self.slice or {}).items():
            parts.append(f"for every {column}" if level == "*" else f"where {column} = {level}")
        return self.name or " ".join(parts)


def _some(value: Any) -> Any:
    if value is None or (value and isinstance(value, list | tuple)):
        return value
    raise ValueError(f"a list of at least one rule; {value!r} came")


def _names_are_unique(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    names = [rule.name for rule in rules if rule.name is not None]
    twice = [name for i, name in enumerate(names) if name in names[:i]]
    if twice:
        raise ValueError(f"two rules are called {twice[0]!r}; give one of them another 'name'")
    return rules


Gate = Annotated[tuple[Rule, ...], BeforeValidator(_some), AfterValidator(_names_are_unique)]
