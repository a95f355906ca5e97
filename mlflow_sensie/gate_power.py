"""Before the gate judges anything: its chance to pass two equally good models, and the examples that takes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri

from mlflow_sensie.comparison import Comparison
from mlflow_sensie.differences import Difference
from mlflow_sensie.errors import DataError
from mlflow_sensie.gate_evidence import clean_posterior, gather
from mlflow_sensie.gate_rules import KINDS, Rule, has_metric
from mlflow_sensie.inference import PerturbationFit, Posterior
from mlflow_sensie.result import Result, TestResult

TYPICAL_SD, TYPICAL_CORRELATION = 0.3, 0.88
WANTED = 0.9
MOST_EXAMPLES = 10**9


@dataclass(frozen=True)
class RulePower:
    """One rule's chance, for one test, to pass two equally good models; ``n_for_90`` examples make it .9.

    ``chance`` is ``None`` where nothing is known that would tell it. ``distance`` is that to the limit in standard
    errors at ``n`` examples. ``source`` says where the standard error is from.
    """

    rule: str
    test: str | None
    n: int
    distance: float | None
    confidence: float
    chance: float | None
    n_for_90: int | None
    source: str


@dataclass(frozen=True)
class Power:
    """The whole gate's chance to pass two equally good models on ``n`` examples; ``n_for_90`` make it .9.

    ``chance`` multiplies the rules' own, as if they were independent. Rules on the same examples mostly go
    together, so the gate passes at least that often, and at most as often as its hardest rule (``at_most``).
    ``n_for_90`` is ``None`` where no number of examples would do: the measured model breaks an absolute rule.
    """

    n: int
    chance: float
    at_most: float
    n_for_90: int | None
    rules: tuple[RulePower, ...]

    def to_table(self) -> list[dict[str, Any]]:
        """A row per rule and test: rule, test, chance, n_for_90, source."""
        return [
            {
                "rule": each.rule,
                "test": each.test,
                "chance": each.chance,
                "n_for_90": each.n_for_90,
                "source": each.source,
            }
            for each in self.rules
        ]

    def to_text(self) -> str:
        """Say it in a sentence."""
        counted = [each for each in self.rules if each.chance is not None]
        text = f"With {self.n:,} examples this gate of {len(counted)} judgements passes two equally good models "
        chance = f"{self.chance:.0%} of the time" if self.chance >= 0.005 else "hardly ever"
        needed = f"{self.n_for_90:,} examples make it 90 %" if self.n_for_90 else "no number of examples makes it 90 %"
        unknown = [each for each in self.rules if each.chance is None]
        left = f" ({len(unknown)} absolute rules are left out: nothing is measured yet)" if unknown else ""
        return f"{text}{chance}; {needed}{left}."


def power(
    known: Result | int,
    rules: Iterable[Rule],
    comparison: Comparison | None = None,
    *,
    tests: Mapping[str, str] | None = None,
    n: int | None = None,
) -> Power:
    """Tell a gate's chance to pass two equally good models.

    ``known``: a result, of the model itself or one like it, or only the number of examples. Standard errors come
    from the comparison if there is one (which should be of two such models); else from the result, its pairs being
    taken to correlate by .88 as retrained networks do; else from SDs of .3 in the score's unit. An absolute rule
    supposes a model just as good as the result's. ``tests`` (name → kind) says what ``kind`` and ``*`` stand for
    where there is no result. ``n`` examples instead of the result's.

    Raises:
        DataError: a rule is about a test or metric that the result does not have.
    """
    now = known if isinstance(known, int) else known.n
    found = [each for rule in rules for each in _plan(rule, known, comparison, tests or {})]
    planned = [_at(each, n or now) for each in found]
    chances = [each.chance for each in planned if each.chance is not None]
    return Power(
        n=n or now,
        chance=math.prod(chances),
        at_most=min(chances, default=1.0),
        n_for_90=_examples_for(found),
        rules=tuple(planned),
    )


def _chance(each: RulePower, n: float) -> float:
    if each.distance is None:
        return 1.0
    if math.isinf(each.distance):
        return float(each.distance > 0)
    return float(ndtr(each.distance * math.sqrt(n / each.n) - ndtri(each.confidence)))


def _at(each: RulePower, n: int) -> RulePower:
    """The same rule with n examples."""
    chance = None if each.distance is None else _chance(each, n)
    distance = None if each.distance is None else each.distance * math.sqrt(n / each.n)
    return RulePower(each.rule, each.test, n, distance, each.confidence, chance, _examples_for([each]), each.source)


def _examples_for(rules: list[RulePower]) -> int | None:
    """The smallest number of examples at which the chance is .9, by bisection: it only grows."""

    def enough(n: float) -> bool:
        return math.prod(_chance(each, n) for each in rules) >= WANTED

    if not enough(MOST_EXAMPLES):
        return None
    low, high = 0.0, math.log(MOST_EXAMPLES)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if enough(math.exp(middle)) else (middle, high)
    return max(2, math.ceil(math.exp(high) - 1e-6))


# --- where the standard errors are from --------------------------------------------------------------------


def _plan(
    rule: Rule, known: Result | int, comparison: Comparison | None, tests: Mapping[str, str]
) -> Iterator[RulePower]:
    """The rule's distance to its limit, in standard errors, for each test that it is about."""
    if isinstance(known, int):
        yield from _plan_by_number(rule, known, tests)
        return
    about: list[TestResult | None] = [*rule.tests_of(known)] if rule.metric_has_tests else [None]
    if not about:
        raise DataError(f"{rule.label}: the result has no such test; it has: {', '.join(known.tests)}")
    for test in about:
        if test is not None and not (test.ok and has_metric(test, rule.metric)):
            raise DataError(f"{rule.label}: test {test.name!r} failed or has no {rule.metric}")
        distance, n, source = _distance(rule, known, test, comparison)
        yield RulePower(rule.label, test.name if test else None, n, distance, rule.confidence, None, None, source)


def _plan_by_number(rule: Rule, n: int, tests: Mapping[str, str]) -> Iterator[RulePower]:
    many = rule.metric_has_tests and rule.test in (None, "*")
    kinds = (rule.kind,) if rule.kind else KINDS[rule.metric]
    about: list[str | None] = [name for name, kind in tests.items() if kind in kinds] if many else [rule.test]
    distance, source = None, "not known before anything is measured"
    if rule.versus and rule.metric != "holds_until":
        se = TYPICAL_SD * math.sqrt(2 * (1 - TYPICAL_CORRELATION) / n)
        distance, source = rule.limit / se, f"supposed: SD {TYPICAL_SD:g}, correlation {TYPICAL_CORRELATION:g}"
    for name in about or [rule.test]:
        yield RulePower(rule.label, name, n, distance, rule.confidence, None, None, source)


def _distance(
    rule: Rule, result: Result, test: TestResult | None, comparison: Comparison | None
) -> tuple[float, int, str]:
    if rule.versus is None:
        found = gather(rule, result, test, None)
        return float(ndtri(found.kept)), found.n, "measured"
    paired = _difference(rule, test, comparison)
    if paired is not None and paired.loss.interval()[1] > paired.loss.interval()[0]:
        centred = paired.loss.shifted(-paired.loss.quantile(0.5))
        low, high = centred.interval(0.9)
        return rule.limit / ((high - low) / 2 / 1.6449), paired.n, "measured on these two models"
    se = _standard_error(rule, result, test) * math.sqrt(2 * (1 - TYPICAL_CORRELATION))
    n = result.n if test is None else test.fit.n
    source = f"measured on one model; correlation {TYPICAL_CORRELATION:g} supposed"
    return (rule.limit / se if se > 0 else math.inf), n, source


def _difference(rule: Rule, test: TestResult | None, comparison: Comparison | None) -> Difference | None:
    if comparison is None:
        return None
    if test is None:
        return comparison.clean
    return comparison.tests[test.name].differences.get(rule.metric) if test.name in comparison.tests else None


def _standard_error(rule: Rule, result: Result, test: TestResult | None) -> float:
    """That of one model's own quantity."""
    if test is None:
        return clean_posterior(result)[0].scale
    fit = test.fit
    if rule.metric == "holds_until":
        return _holds_error(fit)
    if rule.metric == "spread":
        spread = fit.spread if test.kind == "property" else fit.levels_spread
        return float(spread.spread.hi95 - spread.spread.lo95) / 3.92
    if isinstance(fit, PerturbationFit):
        parts = [fit.mean_drop_posterior] if rule.metric == "mean_drop" else [side.posterior for side in fit.sides]
        return max(part.scale for part in parts)
    part: Posterior = fit.posterior if rule.metric == "effect" else fit.unexpected_posterior
    return part.scale


def _holds_error(fit: PerturbationFit) -> float:
    """From where P(holds) falls: half the distance between its .84 and .16 points, at most what was tested."""
    side = min((side.holds for side in fit.sides), key=lambda holds: holds.value)
    at = np.linspace(0, side.distances[-1], 201)
    probabilities = np.array([side.prob_at_least(float(x)) for x in at])
    return float(at[probabilities >= 0.1587].max(initial=0) - at[probabilities >= 0.8413].max(initial=0)) / 2
