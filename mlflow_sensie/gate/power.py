"""Before the gate judges anything: its chance to pass two equally good models, and the examples that takes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from mlflow_sensie.gate.evidence import clean_of, effects_of, gather, refuse_without, spread_of, unexpected_of
from mlflow_sensie.gate.judgement import cases
from mlflow_sensie.gate.scope import NotJudged, Scope, Scopes
from mlflow_sensie.inference import PerturbationFit
from mlflow_sensie.recipe.reading import load_gate
from mlflow_sensie.recipe.rules import Rule
from mlflow_sensie.result import Result, TestResult

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
        rows = [[each.rule, each.test, each.chance(self.n), _examples_for([each]), each.source] for each in self.rules]
        found = pd.DataFrame(rows, columns=["rule", "test", "chance", "n_for_90", "source"])
        return found.astype({"n_for_90": "Int64"})  # a rule that cannot pass has none

    def to_text(self) -> str:
        """Say it in a sentence."""
        if not self.rules:
            return "No rule of this gate blocks: it passes whatever comes."
        hardest, needed = min(self.rules, key=lambda each: each.chance(self.n)), self.n_for_90
        named = f"{hardest.rule}{f' ({hardest.test})' if hardest.test else ''}"
        return (
            f"With {self.n:,} examples this gate of {len(self.rules)} judgements passes two equally good models at "
            f"least {_percent(self.chance)} of the time; "
            f"{f'{needed:,} examples make' if needed else 'no number of examples makes'} it 90 %. "
            f"The hardest, with {_percent(hardest.chance(self.n))}: {named}."
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
    """
    scopes = Scopes(result, baseline)
    planned = [each for rule in load_gate(rules) if rule.severity == "error" for each in _plan(rule, scopes, result.n)]
    return Power(n or result.n, tuple(planned))


def _percent(chance: float) -> str:
    return f"{min(99, math.floor(100 * chance))}%"  # never a promise of 100


def _chance(rules: Iterable[RulePower], n: int) -> float:
    return math.prod(each.chance(n) for each in rules)


def _examples_for(rules: Iterable[RulePower]) -> int | None:
    """The smallest number of examples at which the chance is .9, by bisection: it only grows."""
    found = tuple(rules)
    if _chance(found, MOST_EXAMPLES) < WANTED:
        return None
    low, high = 1, MOST_EXAMPLES
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _chance(found, middle) >= WANTED else (middle, high)
    return high


# --- how far the rules are from their limits, in standard errors -------------------------------------------


def _plan(rule: Rule, scopes: Scopes, n: int) -> Iterator[RulePower]:
    unknown = RulePower(rule.label, rule.test, None, n, -math.inf, rule.confidence, "")
    try:
        for scope, test in cases(rule, scopes):
            yield _plan_case(replace(unknown, test=test.name if test else None, slice=scope.where), rule, scope, test)
    except NotJudged as error:
        yield replace(unknown, source=str(error))


def _plan_case(unknown: RulePower, rule: Rule, scope: Scope, test: TestResult | None) -> RulePower:
    try:
        distance, source = _distance(rule, scope, test)
    except NotJudged as error:
        return replace(unknown, source=str(error))
    # n is that of the whole evaluation, of which a slice has its share.
    return replace(unknown, distance=distance, source=source)


def _distance(rule: Rule, scope: Scope, test: TestResult | None) -> tuple[float, str]:
    if rule.versus is None:
        found = gather(rule, scope, test)
        if found.kept < rule.confidence and found.times and found.times(rule.confidence) is None:
            raise NotJudged("no number of examples would settle it")
        return float(ndtri(found.kept)), AS_MEASURED
    if scope.comparison is not None and not scope.identical:
        low, high = scope.difference(rule.metric, test).loss.interval(0.9)
        if high > low:
            return rule.limit / (high - low) * 2 * float(ndtri(0.95)), FROM_PAIR
    apart = _standard_error(rule.metric, scope.result, test) * math.sqrt(2 * (1 - CORRELATION))
    return (rule.limit / apart if apart > 0 else math.inf), FROM_ONE


def _standard_error(metric: str, result: Result, test: TestResult | None) -> float:
    """That of one model's own quantity."""
    if test is None:
        return clean_of(result).posterior.scale
    refuse_without(metric, test)
    fit = test.fit
    if metric == "holds_until":
        return _holds_error(fit)
    if metric == "spread":
        known = spread_of(fit).spread
        return (known.hi95 - known.lo95) / 2 / float(ndtri(0.975))
    if metric == "mean_drop":
        return float(fit.mean_drop_posterior.scale)
    return max(part.scale for part in (effects_of(fit) if metric == "effect" else unexpected_of(fit)))


def _holds_error(fit: PerturbationFit) -> float:
    """From where P(holds) falls: half the distance between its .84 and .16 points, at most what was tested."""
    side = min((side.holds for side in fit.sides), key=lambda holds: holds.value)
    at = np.linspace(side.distances[0], side.distances[-1], 201)
    kept = np.array([side.prob_at_least(float(x)) for x in at])
    reached = [at[kept >= p].max(initial=at[0]) for p in (0.1587, 0.8413)]
    return float(reached[0] - reached[1]) / 2
