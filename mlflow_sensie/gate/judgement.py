"""From evidence to judgements, and from judgements to a verdict."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from typing import Any

from mlflow_sensie.gate.quantities import Evidence, gather
from mlflow_sensie.gate.scope import SKILL_RULE, Case, NotJudged, Scope, cases, rules_of
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
    The first judgement is that of a rule which nobody has to write, skill of at least 0: the model is better than the
    best constant prediction, whatever it is compared with. Undefined skill is said and blocks nothing.
    ``baseline`` is the result of the model to judge against, on the same examples, with its score table as ``result``
    with its own. ``today`` decides on waivers.

    Raises:
        RecipeError: a rule is not understood.
        ComparisonError: an earlier version of mlflow-sensie wrote a result; it is to be evaluated again.
    """
    whole, day = Scope(result, baseline), today or datetime.date.today()
    judgements = tuple(_judge(case, day) for rule in rules_of(rules) for case in cases(rule, whole))
    return Verdict(
        outcome=overall(judgements), judgements=judgements, n=result.n, score=result.score.kind,
        data_sha256=result.data_sha256, recipe_sha256=result.recipe_sha256, candidate=result.model_name,
        baseline=baseline.model_name if baseline else None,
    )  # fmt: skip


def _judge(case: Case, today: datetime.date) -> Judgement:
    try:
        evidence = gather(case)
    except NotJudged as error:
        if case.rule is SKILL_RULE:
            unknown = _judgement(case, today, "inconclusive", f"skill is not judged, which blocks nothing: {error}")
            return unknown.model_copy(update={"severity": "warn"})
        return _judgement(case, today, "fail", f"{_quantity(case)} cannot be judged: {error}")
    confidence = case.rule.confidence
    kept, broken = evidence.kept >= confidence, evidence.broken >= confidence
    outcome: Outcome = "pass" if kept else "fail" if broken else "inconclusive"
    n_more = evidence.n_more(confidence) if outcome == "inconclusive" else None
    return _judgement(
        case, today, outcome, _in_words(case, evidence, outcome, n_more), value=evidence.value, lo95=evidence.lo95,
        hi95=evidence.hi95, probability=evidence.kept, n=evidence.n, n_more=n_more, warnings=evidence.warnings,
    )  # fmt: skip


def _judgement(case: Case, today: datetime.date, outcome: Outcome, reason: str, **evidence: Any) -> Judgement:
    """With the rule's waiver, which counts where the rule does not pass."""
    rule, waiver = case.rule, case.rule.waive if outcome != "pass" else None
    waived = waiver is not None and waiver.holds(today)
    if waiver is not None:
        reason += f". {'Waived until' if waived else 'Its waiver ended on'} {waiver.until}: {waiver.reason}"
    return Judgement(
        rule=rule.label, metric=rule.metric, test=case.test.name if case.test else rule.test, slice=case.scope.where,
        versus=rule.versus, limit=rule.limit, limit_name=rule.limit_name, confidence=rule.confidence,
        severity=rule.severity, outcome=outcome, reason=reason, waived=waived, **evidence,
    )  # fmt: skip


# --- in words ----------------------------------------------------------------------------------------------


def _quantity(case: Case) -> str:
    """What the rule limits."""
    about = [f"of {case.test.name}"] if case.test else []
    where = [f"where {case.scope.where}"] if case.scope.where else []
    return " ".join([case.rule.quantity, *about, *where])


def _in_words(case: Case, evidence: Evidence, outcome: Outcome, n_more: int | None) -> str:
    rule, better = case.rule, bool(case.rule.versus) and evidence.value < 0
    sign, how = (-1, "better by ") if better else (1, "worse by " if rule.versus else "")
    low, high = (_number(bound, sign) for bound in (evidence.lo95, evidence.hi95)[::sign])
    how_many = "no number of examples within reach" if n_more is None else f"about {n_more:,} more examples"
    kept, broken, passes = "kept", "broken", ""
    if rule is SKILL_RULE:
        kept, broken = (f"{word} than the best constant prediction" for word in ("better", "worse"))
        passes = f"{kept} "
    ends = {
        "pass": f"{passes}with probability {_probability(evidence.kept)}",
        "fail": f"{broken} with probability {_probability(evidence.broken)}",
        "inconclusive": f"{kept} with probability {evidence.kept:.3f}, where {rule.confidence:g} passes and "
        f"{1 - rule.confidence:g} fails; {how_many} would settle it",
    }
    return f"{_quantity(case)} is {how}{_number(evidence.value, sign)} [{low}, {high}]; {rule.claim}: {ends[outcome]}"


def _number(value: float | None, sign: int) -> str:
    return "…" if value is None else f"{sign * value + 0.0:.4g}"  # never -0


def _probability(p: float) -> str:
    return "above .999" if p > 0.999 else f"{p:.3f}"
