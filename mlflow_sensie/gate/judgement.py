"""From evidence to judgements, and from judgements to a verdict."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mlflow_sensie.gate.quantities import Evidence, gather
from mlflow_sensie.gate.scope import Case, NotJudged, Scope, cases
from mlflow_sensie.recipe.reading import load_gate
from mlflow_sensie.recipe.rules import Rule
from mlflow_sensie.result import Result
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
    whole, day = Scope(result, baseline), today or datetime.date.today()
    judgements = tuple(judgement for rule in load_gate(rules) for judgement in _judge(rule, whole, day))
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


def _judge(rule: Rule, whole: Scope, today: datetime.date) -> Iterator[Judgement]:
    try:
        for case in cases(rule, whole):
            yield _judge_case(case, today)
    except NotJudged as error:
        yield _cannot(Case(rule, whole), today, error)


def _judge_case(case: Case, today: datetime.date) -> Judgement:
    try:
        return _decide(case, today, gather(case))
    except NotJudged as error:
        return _cannot(case, today, error)


def _cannot(case: Case, today: datetime.date, why: NotJudged) -> Judgement:
    return _judgement(case, today, "fail", f"{_quantity(case)} cannot be judged: {why}")


def _decide(case: Case, today: datetime.date, evidence: Evidence) -> Judgement:
    outcome: Outcome = "inconclusive"
    if evidence.kept >= case.rule.confidence:
        outcome = "pass"
    elif evidence.broken >= case.rule.confidence:
        outcome = "fail"
    n_more = evidence.n_more(case.rule.confidence) if outcome == "inconclusive" else None
    return _judgement(
        case, today, outcome, _in_words(case, evidence, outcome, n_more), value=evidence.value, lo95=evidence.lo95,
        hi95=evidence.hi95, probability=evidence.kept, n=evidence.n, n_more=n_more, warnings=evidence.warnings,
    )  # fmt: skip


def _judgement(case: Case, today: datetime.date, outcome: Outcome, reason: str, **evidence: Any) -> Judgement:
    rule, test = case.rule, case.test
    waived, more = _waived(rule, today, outcome)
    return Judgement(
        rule=rule.label, metric=rule.metric, test=test.name if test else rule.test, slice=case.scope.where,
        versus=rule.versus, limit=rule.limit, limit_name=rule.limit_name, confidence=rule.confidence,
        severity=rule.severity, outcome=outcome, reason=reason + more, waived=waived, **evidence,
    )  # fmt: skip


def _waived(rule: Rule, today: datetime.date, outcome: Outcome) -> tuple[bool, str]:
    """Whether a rule that does not pass is waived today, and what to say of it."""
    if rule.waive is None or outcome == "pass":
        return False, ""
    if rule.waive.holds(today):
        return True, f". Waived until {rule.waive.until}: {rule.waive.reason}"
    return False, f". Its waiver ended on {rule.waive.until}: {rule.waive.reason}"


# --- in words ----------------------------------------------------------------------------------------------


def _quantity(case: Case) -> str:
    """What the rule limits."""
    about = [f"of {case.test.name}"] if case.test else []
    where = [f"where {case.scope.where}"] if case.scope.where else []
    return " ".join([case.rule.quantity, *about, *where])


def _in_words(case: Case, evidence: Evidence, outcome: Outcome, n_more: int | None) -> str:
    rule, sign, how = case.rule, 1, "worse by " if case.rule.versus else ""
    if rule.versus and evidence.value < 0:
        sign, how = -1, "better by "
    low, high = (_number(bound, sign) for bound in (evidence.lo95, evidence.hi95)[::sign])
    how_many = "no number of examples within reach would settle it"
    if n_more is not None:
        how_many = f"about {n_more:,} more examples would settle it"
    ends = {
        "pass": f"with probability {_probability(evidence.kept)}",
        "fail": f"broken with probability {_probability(evidence.broken)}",
        "inconclusive": f"kept with probability {evidence.kept:.3f}, where {rule.confidence:g} passes and "
        f"{1 - rule.confidence:g} fails; {how_many}",
    }
    return f"{_quantity(case)} is {how}{_number(evidence.value, sign)} [{low}, {high}]; {rule.claim}: {ends[outcome]}"


def _number(value: float | None, sign: int) -> str:
    return "…" if value is None else f"{sign * value + 0.0:.4g}"  # never -0


def _probability(p: float) -> str:
    return "above .999" if p > 0.999 else f"{p:.3f}"
