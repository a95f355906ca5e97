"""How good the model is on the inputs as they are, beside what the best constant prediction would get."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mlflow_sensie.inference.metric_fits import MetricEstimate
from mlflow_sensie.scores.kinds import AGREEMENT, KINDS, TARGET_UNIT
from mlflow_sensie.scores.metrics import METRICS, SKILL
from mlflow_sensie.scores.scorer import LABELS_ALONE
from mlflow_sensie.text import words

if TYPE_CHECKING:
    from mlflow_sensie.result import Result

Standing = Literal["better", "worse", "open"]
STANDINGS: dict[Standing, str] = {
    "better": "better than a constant",
    "worse": "worse than a constant",
    "open": "not told apart from a constant",
}
# How far a regressor errs, and the best constant, by the score and the unit that they are in.
ERRORS = {
    "neg_absolute_error": ("it errs by {} on average", "the best constant by {}", "in {}"),
    "neg_squared_error": ("its squared error is {} on average", "the best constant's {}", "({})"),
    "neg_relative_error": ("it errs by {} of the target on average", "the best constant by {}", ""),
    "neg_log_error": ("it errs by {} in the logarithm on average", "the best constant by {}", ""),
    "quantile": ("its pinball loss is {} on average", "the best constant's {}", "in {}"),
}
IMPROPER = ("probability", "correct", "top_k", "threshold")  # scores that a constant may win
FLAGS = {
    "few_of_a_class": "under 10 examples of a class: the interval is not promised",
    "heavy_tailed": "few examples carry it: the interval may be too narrow",
}


@dataclass(frozen=True)
class MetricRow:
    """A metric of the inputs as they are in words, with what the best constant prediction gets."""

    name: str
    label: str
    value: str
    interval: str
    constant: str
    note: str = ""


def metric_label(name: str) -> str:
    """Call a metric by its label: "ROC AUC", "recall of 3", or the name that its owner gave it.

    >>> metric_label("roc_auc"), metric_label("recall-3"), metric_label("skill")
    ('ROC AUC', 'recall of 3', 'skill')
    """
    if name in METRICS:
        return METRICS[name].label
    base, _, level = name.partition("-")
    return f"{METRICS[base].label} of {words.plain(level)}" if base in METRICS and level else words.plain(name)


def standing(skill: MetricEstimate) -> Standing:
    """Tell whether a skill is surely above 0, surely below, or neither."""
    if skill.interval is None:
        return "open"
    return "better" if skill.interval.lo95 > 0 else "worse" if skill.interval.hi95 < 0 else "open"


def is_without_skill(result: Result) -> bool:
    """Tell whether the model's skill is known and not surely above 0."""
    skill = result.metric_estimates.get(SKILL)
    return skill is not None and standing(skill) != "better"


def skill_sentence(result: Result) -> str:
    """Say what the model's skill is and what a constant would get; "" of a result of 0.1.0, which has none."""
    skill = result.metric_estimates.get(SKILL)
    if skill is None:
        return "" if result.read_only else f"skill is undefined: {_why_undefined(result)}."
    size = f"skill {_estimate(skill)} of 1"
    verdict = STANDINGS[standing(skill)]
    if result.score.kind in ERRORS:
        return f"{_errors(result)}{size}, {verdict}."
    if LABELS_ALONE in result.warnings:
        return f"{size} by its labels alone{_balanced(result)}: {verdict}{_beside(result, skill)}."
    return f"{size}: {verdict}{_beside(result, skill)}."


def confidence_sentence(result: Result) -> str:
    """Say whether the model is as sure as it is right; "" where it gives no probabilities.

    A gap whose interval holds 0 is not called calibrated: the data do not tell.
    """
    confidence = result.confidence
    if confidence is None:
        return ""
    sure, right = words.number(confidence.mean, 0.01, zeros=True), words.number(confidence.accuracy, 0.01, zeros=True)
    gap = words.bracketed(confidence.gap if confidence.gap.value >= 0 else confidence.gap.negated())
    if confidence.gap.hi95 < 0:
        verdict = f"too sure by {gap}"
    elif confidence.gap.lo95 > 0:
        verdict = f"not sure enough by {gap}"
    else:
        verdict = f"accuracy less confidence is {words.bracketed(confidence.gap)}"
    ece = words.number(confidence.ece, 0.001, zeros=True)
    return f"mean confidence {sure}, accuracy {right}: {verdict}; expected calibration error {ece}."


def metric_rows(result: Result) -> list[MetricRow]:
    """Give the mean score and the metrics of the inputs as they are, the headline first."""
    rows = [_score_row(result), *map(_metric_row, result.metric_estimates.values())]
    headline = result.recipe.get("headline", "score")
    return sorted(rows, key=lambda row: row.name != headline)


def _score_row(result: Result) -> MetricRow:
    value, low, high = words.between(result.clean)
    constant = "" if result.no_skill_score is None else words.number(result.no_skill_score)
    return MetricRow("score", f"mean score: {_score_name(result)}", value, f"{low} to {high}", constant)


def _metric_row(estimate: MetricEstimate) -> MetricRow:
    constant = "" if estimate.no_skill is None else words.number(estimate.no_skill)
    note = "; ".join(text for flag, text in FLAGS.items() if flag in estimate.flags)
    value, interval = words.number(estimate.value), ""
    if estimate.interval is not None:
        value, low, high = words.between(estimate.interval)
        interval = f"{low} to {high}"
    return MetricRow(estimate.name, metric_label(estimate.name), value, interval, constant, note)


def _estimate(estimate: MetricEstimate) -> str:
    return words.number(estimate.value) if estimate.interval is None else words.bracketed(estimate.interval)


def _score_name(result: Result) -> str:
    name = words.score_name(result.score.kind, result.score.unit)
    return f"mean {name}" if result.score.kind == "probability" else name


def _why_undefined(result: Result) -> str:
    if result.score.kind == AGREEMENT:
        return "the model is scored against its own clean answers, and no constant is"
    lacking = ["upper bound"] if result.score.upper is None else []
    lacking += ["no-skill score"] if result.no_skill_score is None else []
    if result.score.kind not in KINDS and lacking:
        return f"the score declares no {' and no '.join(lacking)}"
    return "these examples do not tell it, as where all targets are alike"


def _errors(result: Result) -> str:
    """How far a regressor errs, and the best constant."""
    kind, constant = result.score.kind, result.no_skill_score
    own, best, unit = ERRORS[kind]
    called = words.plain(result.score.unit).replace(TARGET_UNIT, "the target's unit")
    text = own.format(f"{_error(result.clean.value, kind)} {unit.format(called)}".rstrip())
    return f"{text}: " if constant is None else f"{text}, {best.format(_error(constant, kind))}: "


def _error(score: float, kind: str) -> str:
    """Write minus a score, that of errors between 0 and 1 in percent of the target."""
    if kind == "neg_relative_error":
        return f"{words.number(-100 * score)} %"
    return f"{-score:,.0f}" if 1000 <= -score < 1e15 else words.number(-score)


def _balanced(result: Result) -> str:
    estimate = result.metric_estimates.get("balanced_accuracy")
    if estimate is None or estimate.no_skill is None:
        return ""
    value, constant = (words.number(x) for x in (estimate.value, estimate.no_skill))
    return f" (balanced accuracy {value}, a constant's {constant})"


def _beside(result: Result, skill: MetricEstimate) -> str:
    """What a constant would get by the score itself, and what to read where that points the other way."""
    constant, clean = result.no_skill_score, result.clean.value
    if constant is None:
        return ""
    step = max(abs(clean - constant), result.clean.hi95 - result.clean.lo95, 1e-6) / 10
    own, best = (words.number(x, step, zeros=True) for x in (clean, constant))
    name, improper = _score_name(result), result.score.kind in IMPROPER
    is_better = standing(skill) == "better"
    if is_better and clean < constant:
        read = f", so read {' and '.join(_to_read(result))}" if improper else ""
        return f"; by the {name} a constant would look better ({best}, this model {own}){read}"
    if not is_better and clean > constant:
        read = f", so read {' and '.join(_to_read(result))}" if improper else ""
        return f"; by the {name} it would look better ({own}, the best constant {best}){read}"
    return f"; {name} {own}, the best constant's {best}"


def _to_read(result: Result) -> Iterator[str]:
    yield "the skill"
    if "roc_auc" in result.metric_estimates:
        yield "AUC"
