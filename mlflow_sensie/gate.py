"""The gate: a result, a comparison and the promotion rules → a verdict."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator

from mlflow_sensie.comparison import Comparison
from mlflow_sensie.errors import DataError
from mlflow_sensie.gate_evidence import Evidence, gather
from mlflow_sensie.gate_rules import SIZES, Rule, has_metric, parse_rules
from mlflow_sensie.result import Result, TestResult
from mlflow_sensie.verdict import Judgement, Outcome, Verdict, overall

__all__ = ["Judgement", "Rule", "Verdict", "judge", "parse_rules"]


def judge(
    result: Result,
    rules: Iterable[Rule],
    comparison: Comparison | None = None,
    *,
    today: datetime.date | None = None,
    no_comparison: str = "no baseline was compared",
) -> Verdict:
    """Judge a result by the rules of a gate.

    A rule passes when the posterior probability that it is kept is at least its confidence, fails when that of
    its being broken is, and is inconclusive in between. A rule that cannot be judged fails: a test or metric that
    is missing, a test that failed, a comparison that is missing (``no_comparison`` says why: the message of
    ``compare``'s ``DataError``) or of other data or scores. ``today`` decides on waivers.
    """
    day = today or datetime.date.today()
    problem = no_comparison if comparison is None else _mismatch(result, comparison)
    judgements = tuple(
        judgement
        for rule in rules
        for judgement in _judge_rule(rule, result, comparison, problem if rule.versus else None, day)
    )
    return Verdict(
        outcome=overall(judgements),
        judgements=judgements,
        n=result.n,
        score=result.score.kind,
        data_sha256=result.data_sha256,
        recipe_sha256=result.recipe_sha256,
        candidate=result.model_name,
        baseline=comparison.baseline if comparison else None,
    )


def _mismatch(result: Result, comparison: Comparison) -> str | None:
    if comparison.score != result.score.kind:
        return f"the comparison is of the score {comparison.score!r}, the result of {result.score.kind!r}"
    if comparison.data_sha256 != result.data_sha256:
        return f"the comparison is on the data {comparison.data_sha256[:12]}…, the result on {result.data_sha256[:12]}…"
    return None


def _judge_rule(
    rule: Rule, result: Result, comparison: Comparison | None, problem: str | None, today: datetime.date
) -> Iterator[Judgement]:
    if problem is not None:
        yield _cannot(rule, None, problem, today)
        return
    tests: list[TestResult | None] = [*rule.tests_of(result)] if rule.metric_has_tests else [None]
    if not tests:
        yield _cannot(rule, None, _no_test(rule, result), today)
    for test in tests:
        try:
            if test is not None:
                _refuse_without(rule, test)
            yield _decide(rule, test, gather(rule, result, test, comparison), today)
        except DataError as error:
            yield _cannot(rule, test, str(error), today)


def _no_test(rule: Rule, result: Result) -> str:
    there = ", ".join(f"{test.name} ({test.kind})" for test in result.tests.values())
    wanted = (
        f"no test {rule.test!r}" if rule.test not in (None, "*") else f"no {rule.kind or ''} test has {rule.metric}"
    )
    return f"{' '.join(wanted.split())}; tests are: {there}"


def _refuse_without(rule: Rule, test: TestResult) -> None:
    if not test.ok:
        raise DataError(f"test {test.name!r} failed: {test.error}")
    if not has_metric(test, rule.metric):
        why = (
            {"unexpected": " (it needs probabilities)", "spread": " (it needs bins)"} if test.kind == "property" else {}
        )
        raise DataError(f"test {test.name!r}, a {test.kind} test, has no {rule.metric}{why.get(rule.metric, '')}")


def _cannot(rule: Rule, test: TestResult | None, reason: str, today: datetime.date) -> Judgement:
    waived, more = _waived(rule, "fail", today)
    return Judgement(
        rule=rule.label,
        metric=rule.metric,
        test=test.name if test else rule.test,
        limit=rule.limit,
        limit_name=rule.limit_name,
        confidence=rule.confidence,
        outcome="fail",
        reason=f"{rule.label}: cannot be judged: {reason}{more}",
        severity=rule.severity,
        waived=waived,
    )


def _decide(rule: Rule, test: TestResult | None, found: Evidence, today: datetime.date) -> Judgement:
    outcome: Outcome = "inconclusive"
    if found.kept >= rule.confidence:
        outcome = "pass"
    elif found.broken >= rule.confidence:
        outcome = "fail"
    n_more = found.n_more(rule.confidence) if outcome == "inconclusive" else None
    waived, more = _waived(rule, outcome, today)
    return Judgement(
        rule=rule.label,
        metric=rule.metric,
        test=test.name if test else None,
        value=found.value,
        lo95=found.lo95,
        hi95=found.hi95,
        limit=rule.limit,
        limit_name=rule.limit_name,
        probability=found.kept,
        confidence=rule.confidence,
        outcome=outcome,
        reason=_in_words(rule, test, found, outcome, n_more) + more,
        n=found.n,
        n_more=n_more,
        severity=rule.severity,
        waived=waived,
        warnings=found.warnings,
    )


def _waived(rule: Rule, outcome: Outcome, today: datetime.date) -> tuple[bool, str]:
    """Whether a rule that does not pass is waived today, and what to say of it."""
    if rule.waive is None or outcome == "pass":
        return False, ""
    if rule.waive.holds(today):
        return True, f". Waived until {rule.waive.until}: {rule.waive.reason}"
    return False, f". Its waiver ended on {rule.waive.until}: {rule.waive.reason}"


def _in_words(rule: Rule, test: TestResult | None, found: Evidence, outcome: Outcome, n_more: int | None) -> str:
    quantity = f"{rule.metric} of {test.name}" if test else rule.metric
    if rule.versus:
        value = f"{quantity} is worse by {found.value:.4g} than the baseline's"
    else:
        size = f" (a size of {abs(found.value):.4g})" if rule.metric in SIZES and found.value < 0 else ""
        value = f"{quantity} is {found.value:.4g}{size}"
    bounds = [f"{bound:.4g}" if bound is not None else "…" for bound in (found.lo95, found.hi95)]
    claim = rule.limit_name.removeprefix("worse_by_").replace("_", " ")
    kept = f"P({claim} {rule.limit:g}) = {found.kept:.3f}"
    ends = {
        "pass": f"at least {rule.confidence:g}, as it must be",
        "fail": f"it is broken with probability {found.broken:.3f}",
        "inconclusive": f"{rule.confidence:g} is needed to pass or to fail; {_how_many(n_more)}",
    }
    return f"{value} [{bounds[0]}, {bounds[1]}]; {kept}: {ends[outcome]}{found.note}"


def _how_many(n_more: int | None) -> str:
    return "more examples would not settle it" if n_more is None else f"about {n_more:,} more examples would settle it"
