"""From evidence to judgements, and from judgements to a verdict."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mlflow_sensie.gate.evidence import Evidence, gather, has_metric
from mlflow_sensie.gate.scope import NotJudged, Scope, Scopes
from mlflow_sensie.recipe.reading import load_gate
from mlflow_sensie.recipe.rules import KINDS, Rule
from mlflow_sensie.result import Result, TestResult
from mlflow_sensie.result.verdict import Judgement, Outcome, Verdict, overall


def judge(
    result: Result,
    rules: Iterable[Rule | Mapping[str, Any]],
    baseline: Result | None = None,
    *,
    today: datetime.date | None = None,
) -> Verdict:
    """Judge a result by the rules of a gate, as a recipe has them under ``gate``.

    A rule passes when the posterior probability that it is kept is at least its confidence, fails when that of its
    being broken is, and is inconclusive in between. What cannot be judged fails: a test, metric or slice that is
    missing, a test that failed, a baseline that is missing, or of other examples or another kind of score.
    ``baseline`` is the result of the model to judge against, on the same examples, with its score table as ``result``
    with its own. ``today`` decides on waivers.

    Raises:
        RecipeError: a rule is not understood.
    """
    scopes, day = Scopes(result, baseline), today or datetime.date.today()
    judgements = tuple(found for rule in load_gate(rules) for found in _judge(rule, scopes, day))
    return Verdict(
        outcome=overall(judgements),
        judgements=judgements,
        n=result.n,
        score=result.score.kind,
        data_sha256=result.data_sha256,
        recipe_sha256=result.recipe_sha256,
        candidate=result.model_name,
        baseline=baseline.model_name if baseline else None,
    )


def cases(rule: Rule, scopes: Scopes) -> Iterator[tuple[Scope, TestResult | None]]:
    """Yield what a rule is about: a scope, and a test of it where the metric is one of tests.

    Raises:
        NotJudged: there is nothing that it is about.
    """
    for scope in scopes.of(rule.slice):
        tests = _tests_of(rule, scope.result)
        if not tests:
            raise NotJudged(_no_test(rule, scope.result))
        yield from ((scope, test) for test in tests)


def _tests_of(rule: Rule, result: Result) -> list[TestResult | None]:
    """The tests of a result that a rule is about, failed ones among them; [None] for the result as a whole.

    A test is found by its name or slug, whatever its kind; of a kind, or of ``*``, those that have the metric.
    """
    if not KINDS[rule.metric]:
        return [None]
    if rule.test not in (None, "*"):
        return [test for test in result.tests.values() if rule.test in (test.name, test.slug)]
    wanted = (rule.kind,) if rule.kind else KINDS[rule.metric]
    tests = [test for test in result.tests.values() if test.kind in wanted]
    return [test for test in tests if not test.ok or has_metric(rule.metric, test)]


def _no_test(rule: Rule, result: Result) -> str:
    there = ", ".join(f"{test.name} ({test.kind})" for test in result.tests.values())
    named = f"no test {rule.test!r}" if rule.test not in (None, "*") else f"no {rule.kind or 'test'} has {rule.metric}"
    return f"{named}; tests are: {there}"


# --- one judgement -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Case:
    """A rule on a certain day, and what it is judged on: a test, a slice, neither or both."""

    rule: Rule
    today: datetime.date
    test: TestResult | None = None
    where: str | None = None

    @property
    def quantity(self) -> str:
        """What the rule limits, in words."""
        about = [f"of {self.test.name}"] if self.test else []
        return " ".join([self.rule.quantity, *about, *([f"where {self.where}"] if self.where else [])])

    def judgement(self, outcome: Outcome, reason: str, **found: Any) -> Judgement:
        rule = self.rule
        waived, more = self._waived(outcome)
        return Judgement(
            rule=rule.label, metric=rule.metric, test=self.test.name if self.test else rule.test, slice=self.where,
            versus=rule.versus, limit=rule.limit, limit_name=rule.limit_name, confidence=rule.confidence,
            severity=rule.severity, outcome=outcome, reason=reason + more, waived=waived, **found,
        )  # fmt: skip

    def _waived(self, outcome: Outcome) -> tuple[bool, str]:
        """Whether a rule that does not pass is waived today, and what to say of it."""
        waiver = self.rule.waive
        if waiver is None or outcome == "pass":
            return False, ""
        if waiver.holds(self.today):
            return True, f". Waived until {waiver.until}: {waiver.reason}"
        return False, f". Its waiver ended on {waiver.until}: {waiver.reason}"


def _judge(rule: Rule, scopes: Scopes, today: datetime.date) -> Iterator[Judgement]:
    try:
        for scope, test in cases(rule, scopes):
            yield _judge_case(_Case(rule, today, test, scope.where), scope)
    except NotJudged as error:
        yield _cannot(_Case(rule, today), error)


def _judge_case(case: _Case, scope: Scope) -> Judgement:
    try:
        return _decide(case, gather(case.rule, scope, case.test))
    except NotJudged as error:
        return _cannot(case, error)


def _cannot(case: _Case, why: NotJudged) -> Judgement:
    return case.judgement("fail", f"{case.quantity} cannot be judged: {why}")


def _decide(case: _Case, found: Evidence) -> Judgement:
    outcome: Outcome = "inconclusive"
    if found.kept >= case.rule.confidence:
        outcome = "pass"
    elif found.broken >= case.rule.confidence:
        outcome = "fail"
    n_more = found.n_more(case.rule.confidence) if outcome == "inconclusive" else None
    return case.judgement(
        outcome, _in_words(case, found, outcome, n_more), value=found.value, lo95=found.lo95, hi95=found.hi95,
        probability=found.kept, n=found.n, n_more=n_more, warnings=found.warnings,
    )  # fmt: skip


def _in_words(case: _Case, found: Evidence, outcome: Outcome, n_more: int | None) -> str:
    rule, sign, how = case.rule, 1, "worse by " if case.rule.versus else ""
    if rule.versus and found.value < 0:
        sign, how = -1, "better by "
    low, high = (_number(bound, sign) for bound in (found.lo95, found.hi95)[::sign])
    how_many = "no number of examples within reach would settle it"
    if n_more is not None:
        how_many = f"about {n_more:,} more examples would settle it"
    ends = {
        "pass": f"with probability {_probability(found.kept)}",
        "fail": f"broken with probability {_probability(found.broken)}",
        "inconclusive": f"kept with probability {found.kept:.3f}, where {rule.confidence:g} passes and "
        f"{1 - rule.confidence:g} fails; {how_many}",
    }
    return f"{case.quantity} is {how}{_number(found.value, sign)} [{low}, {high}]; {rule.claim}: {ends[outcome]}"


def _number(value: float | None, sign: int) -> str:
    return "…" if value is None else f"{sign * value + 0.0:.4g}"  # never -0


def _probability(p: float) -> str:
    return "above .999" if p > 0.999 else f"{p:.3f}"
