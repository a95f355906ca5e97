"""Before the gate judges anything: its chance to pass two equally good models, and the examples that takes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from scipy.special import ndtr, ndtri

from mlflow_sensie.comparison import Comparison
from mlflow_sensie.gate.quantities import gather, quantity_of
from mlflow_sensie.gate.scope import SKILL_RULE, Case, NotJudged, Scope, cases, rules_of
from mlflow_sensie.recipe.rules import Rule
from mlflow_sensie.result import Result

CORRELATION = 0.88  # between the scores of two trainings of a network
WANTED = 0.9
MOST_EXAMPLES = 10**9
FROM_PAIR = "measured on two models"
FROM_ONE = f"measured on one model, correlation {CORRELATION:g} supposed"
AS_MEASURED = "measured; an absolute rule supposes a model just as good"


@dataclass(frozen=True)
class RulePower:
    """One rule's chance, for one test, to pass two equally good models on ``n`` examples.

    ``distance`` is that from the limit in standard errors: infinite where nothing varies, minus infinite where the
    rule cannot be judged. ``source`` says where it is from, or why there is none.
    """

    rule: str
    test: str | None
    slice: str | None
    n: int
    distance: float
    confidence: float
    source: str

    def chance(self, n: int) -> float:
        """Give the chance to pass on n examples."""
        if math.isinf(self.distance):
            return float(self.distance > 0)
        return float(ndtr(self.distance * math.sqrt(n / self.n) - ndtri(self.confidence)))


@dataclass(frozen=True)
class Power:
    """The whole gate's chance to pass two equally good models on ``n`` examples; only rules that block count.

    The rules' chances are multiplied, as if they were independent. On the same examples they mostly go together, so
    that the gate passes at least that often, and at most as often as its hardest rule.
    """

    n: int
    rules: tuple[RulePower, ...]

    @property
    def chance(self) -> float:
        """Give the gate's chance to pass."""
        return _chance(self.rules, self.n)

    @property
    def n_for_90(self) -> int | None:
        """Give the examples that make the chance .9; None where no number would."""
        return _examples_for(self.rules)

    def summary(self) -> pd.DataFrame:
        """A row per rule and test: rule, test, chance, n_for_90, source."""
        rows = [[rule.rule, rule.test, rule.chance(self.n), _examples_for([rule]), rule.source] for rule in self.rules]
        frame = pd.DataFrame(rows, columns=["rule", "test", "chance", "n_for_90", "source"])
        return frame.astype({"n_for_90": "Int64"})  # a rule that cannot pass has none

    def to_text(self) -> str:
        """Say it in a sentence."""
        if not self.rules:
            return "No rule of this gate blocks: it passes whatever comes."
        hardest, needed = min(self.rules, key=lambda rule: rule.chance(self.n)), self.n_for_90
        name = f"{hardest.rule}{f' ({hardest.test})' if hardest.test else ''}"
        return (
            f"With {self.n:,} examples this gate of {len(self.rules)} judgements passes two equally good models at "
            f"least {_percent(self.chance)} of the time; "
            f"{f'{needed:,} examples make' if needed else 'no number of examples makes'} it 90 %. "
            f"The hardest, with {_percent(hardest.chance(self.n))}: {name}."
        )


def power(
    result: Result,
    rules: Iterable[Rule | Mapping[str, Any]],
    baseline: Result | None = None,
    *,
    n: int | None = None,
) -> Power:
    """Tell a gate's chance to pass two equally good models.

    ``result`` is of one of them, or of a model like them. Standard errors are those of its comparison with the
    baseline's, if there is one; else its own, its pairs being taken to correlate by .88. An absolute rule supposes a
    model just as good as the result's. ``n``: on so many examples instead of the result's.

    Raises:
        RecipeError: a rule is not understood.
        ComparisonError: an earlier version of mlflow-sensie wrote a result; it is to be evaluated again.
    """
    whole = Scope(result, baseline)
    blocking = [rule for rule in rules_of(rules) if rule.severity == "error"]
    # A rule's n is that of the whole evaluation, of which a slice has its share.
    plans = (_plan(case, result.n) for rule in blocking for case in cases(rule, whole))
    return Power(n or result.n, tuple(plan for plan in plans if plan is not None))


def _percent(chance: float) -> str:
    return f"{min(99, math.floor(100 * chance))}%"  # never a promise of 100


def _chance(rules: Iterable[RulePower], n: int) -> float:
    return math.prod(rule.chance(n) for rule in rules)


def _examples_for(rules: Iterable[RulePower]) -> int | None:
    """The smallest number of examples at which the chance is .9, by bisection: it only grows."""
    rules = tuple(rules)
    if _chance(rules, MOST_EXAMPLES) < WANTED:
        return None
    low, high = 1, MOST_EXAMPLES
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _chance(rules, middle) >= WANTED else (middle, high)
    return high


# --- how far the rules are from their limits, in standard errors -------------------------------------------


def _plan(case: Case, n: int) -> RulePower | None:
    """The chance of a rule; none of undefined skill, which blocks nothing."""
    try:
        distance, source = _distance(case)
    except NotJudged as error:
        if case.rule is SKILL_RULE:
            return None
        distance, source = -math.inf, str(error)
    test = case.test.name if case.test else case.rule.test
    return RulePower(case.rule.label, test, case.scope.where, n, distance, case.rule.confidence, source)


def _distance(case: Case) -> tuple[float, str]:
    rule, scope = case.rule, case.scope
    quantity = quantity_of(case)
    if rule.versus is None:
        evidence = gather(case)
        if evidence.kept < rule.confidence and evidence.times and evidence.times(rule.confidence) is None:
            raise NotJudged("no number of examples would settle it")
        return float(ndtri(evidence.kept)), AS_MEASURED
    if isinstance(scope.comparison, Comparison) and not scope.comparison.identical:
        low, high = case.difference.loss.interval(0.9)
        if high > low:
            return rule.limit / (high - low) * 2 * float(ndtri(0.95)), FROM_PAIR
    apart = quantity.standard_error(case.subject) * math.sqrt(2 * (1 - CORRELATION))
    return (rule.limit / apart if apart > 0 else math.inf), FROM_ONE
