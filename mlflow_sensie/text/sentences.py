"""Tests in words: a sentence on what a test found or how two models differ in it, and the subtitle of its figure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mlflow_sensie.comparison.difference import BETTER, UNDECIDED
from mlflow_sensie.inference import CategoryFit, Interval, PerturbationFit, PropertyFit, RangeFit
from mlflow_sensie.inference.decision import excludes_zero
from mlflow_sensie.inference.metric_fits import MetricSweep
from mlflow_sensie.scores.kinds import KINDS
from mlflow_sensie.scores.metrics import SKILL
from mlflow_sensie.text import words
from mlflow_sensie.text.skill import ERRORS, metric_label

if TYPE_CHECKING:
    from mlflow_sensie.comparison import CurveDifference, Difference, TestComparison
    from mlflow_sensie.result import Result, TestResult

# What stands before the end of a range over all of which the score holds, by its side: "all" without a neutral.
SIGNS = {"below": "≤ ", "above": "≥ ", "all": "≥ "}
AT_LEAST = dict.fromkeys(SIGNS, "at least ")
NO_SKILL, MOST_METRICS = "no_skill", 2
# Up to where it is kept, or from where on it is lost: one end, two, none.
KEPT = "up to {} (95 % sure to {})", "from {} (95 % sure from {})", "at no magnitude"
LOST = "beyond {} (95 % sure: not before {})", "outside {} (95 % sure: not within {})", "at every magnitude"
RANKS = "from the lowest to the highest rank"
# How two models differ where B is better, where it is worse, and where that is open, by the kind of test.
LEVELS = (
    "B treats its levels more alike: the SD between them is smaller by {}",
    "B treats its levels less alike: the SD between them is larger by {}",
    "the SD between B's levels less that between A's is {}",
)
DIFFERENCES: Mapping[str, tuple[str, str, str]] = {
    "perturbation": (
        "B loses less, by {} on average",
        "B loses more, by {} on average",
        "B's mean drop less A's is {}",
    ),
    "property": (
        "B depends less on it: its effect is smaller by {}",
        "B depends more on it: its effect is larger by {}",
        "the size of B's effect less that of A's is {}",
    ),
    "category": LEVELS,
    "class": LEVELS,
}
# The same of a metric's mean drop, whichever way the metric gets worse.
OF_METRIC = (
    "B's METRIC suffers less, by {} on average",
    "B's METRIC suffers more, by {} on average",
    "the mean drop of B's METRIC less that of A's is {}",
)


# --- what a test found -------------------------------------------------------------------------------------


def sentence(result: Result, test: TestResult) -> str:
    """Say what a test that succeeded found."""
    fit = test.fit
    if isinstance(fit, PerturbationFit):
        return f"{_drop(result, test, fit)}{_holds(result, test, fit)}{_metrics_at_worst(test)}{_announced(fit)}."
    if isinstance(fit, PropertyFit):
        return f"{_change(result, test, fit)}{_at_same_mix(fit)}{_claim(fit)}."
    return _levels(fit)


def _drop(result: Result, test: TestResult, fit: PerturbationFit) -> str:
    ends = [p for p in fit.curve.p if p is not None]
    over = f"on average over {_quantity(test, min(ends), max(ends))}"
    if result.score.kind in ERRORS:
        return _error_moved(result, fit, fit.mean_drop, over)
    return _moved(fit, fit.mean_drop, over, "loses", ("loses", "gains"))


def _error_moved(result: Result, fit: Any, growth: Interval, over: str) -> str:
    """What a regressor's error does as far as that is decided, in its own unit; it grows where the score falls."""
    label = KINDS[result.score.kind].label  # "−absolute error ({unit})"
    error = f"the {label.removeprefix('−').split(' (')[0]}"
    unit = f" ({words.plain(result.score.unit)})" if "{unit}" in label else ""
    if fit.decision == "negligible":
        return f"no change that matters: {error} grows by {words.bracketed(growth)}{unit} {over}"
    verb = "grows" if growth.value >= 0 else "shrinks"
    return _as_decided(fit, f"{error} {verb} by {words.bracketed(_size(growth))}{unit} {over}")


def _moved(fit: Any, interval: Interval, over: str, neutral: str, verbs: tuple[str, str]) -> str:
    """What the score does as far as that is decided: the verb for 0 or more, and that for less."""
    if fit.decision == "negligible":
        return f"no change that matters: the score {neutral} {words.bracketed(interval)} {over}"
    verb = verbs[0] if interval.value >= 0 else verbs[1]
    return _as_decided(fit, f"the score {verb} {words.bracketed(_size(interval))} {over}")


def _holds(result: Result, test: TestResult, fit: PerturbationFit) -> str:
    """Up to where the allowed share is kept: of skill, else of the score; a bound in brackets."""
    drop = allowed_drop(result, test)
    without = _is_without_skill(result, test)
    if isinstance(drop, Mapping) or (SKILL not in test.metric_fits and not _is_fraction(result)):
        size = words.number(float(drop["absolute"] if isinstance(drop, Mapping) else drop))
        nothing = "; but the model has no skill to keep" if without else ""
        return f", and stays within {size} of the clean score {_until(test, fit)}{nothing}"
    if without:
        return "; the model has no skill to keep"
    if _is_gone(test):
        return f"; more than {words.number(100 * float(drop))} % of the model's skill is lost {_until(test, fit, LOST)}"
    share, whose = words.number(100 * (1 - float(drop))), "skill" if SKILL in test.metric_fits else "value"
    keeps = f"; the model keeps {share} % of its skill" if whose == "skill" else f", and keeps {share} % of its value"
    return f"{keeps} {_until(test, fit)}"


def _until(test: TestResult, fit: PerturbationFit, texts: tuple[str, str, str] = KEPT) -> str:
    """Write one end, or two, with their bounds, or that there is none, as the texts have it."""
    if all(side.holds.censored and side.holds.lo95 >= side.holds.value for side in fit.sides):
        return "over the whole range"
    one, both, none = texts
    if fit.neutral is None and any(s.holds.value <= s.holds.distances[0] and not s.holds.censored for s in fit.sides):
        return none
    ends, bounds = _holding_ends(fit, (max(fit.magnitudes) - min(fit.magnitudes)) / 150, AT_LEAST)
    text = one if len(ends) == 1 else both
    return text.format(words.with_unit(" to ".join(ends), words.plain(test.unit)), " to ".join(bounds))


def _is_gone(test: TestResult) -> bool:
    """Whether skill falls so far that at some magnitude it is not surely above 0: then nothing is said to be kept."""
    skill = test.metric_fits.get(SKILL)
    return isinstance(skill, MetricSweep) and not skill.censored and min(skill.lo95[1:]) <= 0 < skill.mean_drop.lo95


def _is_without_skill(result: Result, test: TestResult) -> bool:
    """Whether the skill, of the examples that the test was asked of or of all, is not surely above 0."""
    fits = (test.metric_fits.get(SKILL), result.metric_estimates.get(SKILL))
    return any(NO_SKILL in getattr(fit, "flags", ()) for fit in fits)


def _is_fraction(result: Result) -> bool:
    return (result.score.lower, result.score.upper) == (0, 1)


def _metrics_at_worst(test: TestResult) -> str:
    """Where skill surely falls: how far, and the other metrics that surely do."""
    skill = test.metric_fits.get(SKILL)
    if not isinstance(skill, MetricSweep) or not skill.mean_drop.lo95 > 0 or NO_SKILL in skill.flags:
        return ""
    worst = min(range(1, len(skill.values)), key=lambda k: skill.values[k])
    sweeps = (fit for name, fit in test.metric_fits.items() if name != SKILL and isinstance(fit, MetricSweep))
    falling = [fit for fit in sweeps if fit.mean_drop.lo95 > 0][:MOST_METRICS]
    changes = ", ".join(_fall(fit, worst) for fit in (skill, *falling))
    return f"; at {_quantity(test, skill.p[worst] or 0.0)} {changes}"


def _fall(fit: MetricSweep, worst: int) -> str:
    step = max(abs(fit.values[0] - fit.values[worst]) / 10, abs(fit.values[0]) / 100)
    clean, there = (words.number(fit.values[k], step, zeros=True) for k in (0, worst))
    return f"{metric_label(fit.name)} is {there} (clean {clean})"


def _holding_ends(fit: PerturbationFit, step: float, censored: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Write up to which magnitudes each side holds, and the 95 % bounds of that."""
    ends, bounds = [], []
    for side in fit.sides:
        end, bound = (fit.magnitude(side.side, distance) for distance in (side.holds.value, side.holds.lo95))
        ends.append((censored[side.side] if side.holds.censored else "") + words.number(end, step))
        bounds.append(words.number(bound, step))
    return ends, bounds


def _announced(fit: PerturbationFit) -> str:
    """Whether the model's own confidence falls with the score; nothing where that was not followed."""
    unexpected = fit.unexpected
    if unexpected is None or not excludes_zero(unexpected) or abs(unexpected.value) < fit.rope:
        return "" if unexpected is None else "; the model's own confidence follows"
    size = words.bracketed(_size(unexpected))
    if unexpected.value < 0:
        return f"; its confidence does not follow: a fall of {size} is not announced"
    return f"; the model announces a larger fall, by {size}"


def allowed_drop(result: Result, test: TestResult) -> Any:
    """Give the allowed drop of a perturbation test: a fraction, or a mapping with an ``absolute`` one."""
    own: dict[str, Any] = next((spec for spec in result.recipe["perturbations"] if spec["name"] == test.name), {})
    return own.get("allowed_drop") or result.recipe["allowed_drop"]


def _change(result: Result, test: TestResult, fit: PropertyFit) -> str:
    over = RANKS if fit.ranks else f"from {_quantity(test, *fit.span)}"
    if fit.decision == "sensitive" and fit.spread is not None and not excludes_zero(fit.effect):
        bend = f"the score goes up and down: its bins differ by an SD of {words.bracketed(fit.spread.spread)}"
        return f"{bend}, while from end to end it changes by {words.bracketed(fit.effect)} {over}"
    if result.score.kind in ERRORS:
        return _error_moved(result, fit, fit.effect.negated(), over)
    return _moved(fit, fit.effect, over, "changes by", ("rises by", "falls by"))


def _at_same_mix(fit: PropertyFit) -> str:
    """How much of a change is left where the classes are equally frequent; of a trend that is there."""
    if fit.split is None or fit.decision == "negligible" or not excludes_zero(fit.effect):
        return ""
    within, mix = (words.bracketed(part) for part in (fit.split.within, fit.split.mix))
    because = f", and by {mix} because the mix changes with it" if excludes_zero(fit.split.mix) else ""
    return f"; at the same mix of classes it changes by {within}{because}"


def _claim(fit: PropertyFit) -> str:
    """Harder, or worse than the model claims; of a trend, which a score that goes up and down does not have."""
    if fit.unexpected is None or fit.decision != "sensitive" or not excludes_zero(fit.effect):
        return ""
    where = "low" if fit.effect.value >= 0 else "high"
    if excludes_zero(fit.unexpected) and abs(fit.unexpected.value) >= fit.rope:
        size = words.bracketed(fit.unexpected)
        if fit.unexpected.value * fit.effect.value > 0:
            return f"; the model does not announce {size} of this: worse than it claims where it is {where}"
        return f"; the model announces even more, by {size}"
    return f"; harder where it is {where}, as the model itself says"


def _levels(fit: CategoryFit) -> str:
    means = [(mean, name) for mean, name in zip(fit.levels_spread.means, fit.levels, strict=True) if mean is not None]
    lowest, highest = (
        f"{words.plain(name)} ({words.number(mean, 0.01, zeros=True)})" for mean, name in (min(means), max(means))
    )
    size = f"the levels differ by an SD of {words.bracketed(fit.spread)}"
    if fit.decision == "negligible":
        return f"no difference that matters: {size}."
    return f"{_as_decided(fit, size)}; lowest {lowest}, highest {highest}."


def _as_decided(fit: Any, text: str) -> str:
    return text if fit.decision == "sensitive" else f"not clear yet: {text}"


def _quantity(test: TestResult, *values: float) -> str:
    return words.quantity(words.plain(test.unit), *values)


def _size(interval: Interval) -> Interval:
    """Turn an interval so that it is no loss below 0."""
    return interval if interval.value >= 0 else interval.negated()


# --- how two models differ in it ---------------------------------------------------------------------------


def difference_sentence(test: TestComparison) -> str:
    """Say how the two differ in one test, and how likely B is the more robust."""
    difference = test.headline
    texts = tuple(text.replace("METRIC", words.difference_label(test.leads)) for text in OF_METRIC)
    better, worse, undecided = texts if test.leads else DIFFERENCES[test.kind]
    text = _told_apart(difference, difference.worse_by, (better, worse, undecided))
    holding = _holding_difference(test) if test.kind == "perturbation" else ""
    return f"{text}{holding}; {_probability('more robust', difference)}."


def clean_difference_sentence(difference: Difference) -> str:
    """Say how the two differ on the inputs as they are, in the score or a metric."""
    name = "score" if difference.metric == "clean_score" else words.difference_label(difference.metric)
    ends = ("higher", "lower") if difference.better == "higher" else ("lower", "higher")
    better, worse = (
        f"B is {word} on the inputs as they are: its {name} is {end} by {{}}"
        for word, end in zip(("better", "worse"), ends, strict=True)
    )
    texts = better, worse, f"B's {name} less A's is {{}}"
    return f"{_told_apart(difference, difference.difference, texts)}; {_probability('better', difference)}."


def _told_apart(difference: Difference, interval: Interval, texts: tuple[str, str, str]) -> str:
    """Choose the text by what is known, with the size of the difference in it; where undecided, with its sign."""
    better, worse, undecided = texts
    step = max((difference.difference.hi95 - difference.difference.lo95) / 10, 1e-6)
    a, b = (words.number(value, step, zeros=True) for value in (difference.a, difference.b))
    if difference.conclusion == UNDECIDED:
        text = f"{UNDECIDED}: {undecided.format(words.bracketed(interval))}"
    else:
        text = (better if difference.conclusion == BETTER else worse).format(words.bracketed(_size(interval)))
    return f"{text} ({b} rather than {a})"


def _holding_difference(test: TestComparison) -> str:
    """How far each holds, where that surely differs; "but" where the mean drop does not say the same."""
    difference, curve = test.differences.get("holds_until"), test.curve
    if difference is None or curve is None or difference.conclusion == UNDECIDED:
        return ""
    a, b = holding_ends(difference, curve)
    unit = words.plain(test.unit)
    but = "" if difference.conclusion == test.headline.conclusion else "but "
    if not curve.two_sided:
        return f"; {but}it holds up to {words.with_unit(b, unit)} rather than {a}"
    # A distance between factors is none itself: "factor 0.5" would be a magnitude.
    distance = b if curve.log or unit in words.BEFORE else words.with_unit(b, unit)
    far = f"{'factor' if curve.log else 'distance'} of {distance}"
    return f"; {but}it holds up to a {far} from the neutral, either way, rather than {a}"


def holding_ends(difference: Difference, curve: CurveDifference) -> list[str]:
    """Write up to where A and B hold, as ``CurveDifference.reached`` gives it; "at least" at the end of the sweep."""
    tested = [p for p in curve.p if p != curve.neutral]
    step, last = (max(tested) - min(tested)) / 150, curve.farthest
    ends = [curve.reached(distance) for distance in (difference.a, difference.b)]
    return [("at least " if math.isclose(end, last, rel_tol=1e-9) else "") + words.number(end, step) for end in ends]


def _probability(word: str, difference: Difference) -> str:
    return f"probability that B is {word} {words.probability(difference.prob_more_robust)}"


# --- the subtitle of its figure ----------------------------------------------------------------------------


def subtitle(test: TestResult) -> list[str]:
    """Give the key numbers of a property or perturbation test as short phrases."""
    fit = test.fit
    first = f"{fit.decision}: {words.with_interval('effect', fit.effect, say=True)}"
    own = _sweep_phrases(test, fit) if isinstance(fit, PerturbationFit) else _property_phrases(test, fit)
    return [first, *own, *_count_phrases(fit)]


def _property_phrases(test: TestResult, fit: PropertyFit) -> list[str]:
    return [
        RANKS if fit.ranks else f"from {_quantity(test, *fit.span)}",
        *([words.with_interval("unexpected", fit.unexpected)] if fit.unexpected else []),
        *([words.with_interval("spread between bins", fit.spread.spread)] if fit.spread else []),
        *(_range_phrase(test, part) for part in fit.fit_range),
        *(["no bins were asked for: the line alone"] if fit.curve is None else []),
    ]


def _sweep_phrases(test: TestResult, fit: PerturbationFit) -> list[str]:
    line = next(side.line for side in fit.sides if side.side == fit.worse)
    ends = (line.stop, line.start) if fit.worse == "below" else (line.start, line.stop)
    return [
        f"from {_quantity(test, *ends)}{', the worse side' if len(fit.sides) > 1 else ''}",
        words.with_interval("mean drop", fit.mean_drop),
        _holds_phrase(fit, words.plain(test.unit)),
        "" if fit.unexpected is None else words.with_interval("unexpected", fit.unexpected),
        *(_range_phrase(test, part) for part in fit.fit_range),
    ]


def _range_phrase(test: TestResult, part: RangeFit) -> str:
    """Say over what range a line was fitted, what it found, and who chose it."""
    chosen = ", chosen from the curve" if part.auto else ""
    over = _quantity(test, part.start, part.stop)
    return f"shaded, {over}{chosen}: {words.with_interval('effect', part.effect)}"


def _holds_phrase(fit: PerturbationFit, unit: str) -> str:
    """Say up to where the mean score stays above its floor, as a magnitude, and how sure that is."""
    step = (max(side.line.stop for side in fit.sides) - min(side.line.start for side in fit.sides)) / 300
    ends, bounds = _holding_ends(fit, step, SIGNS)
    if NO_SKILL in fit.flags:
        return "no skill to keep"
    text = f"holds {'until' if len(ends) == 1 else 'from'} {words.with_unit(' to '.join(ends), unit)}"
    if all(side.holds.lo95 == side.holds.value for side in fit.sides):
        return text
    return f"{text}, 95 % bound{'s' if len(ends) > 1 else ''} {' and '.join(bounds)}"


def _count_phrases(fit: PropertyFit | PerturbationFit) -> list[str]:
    dropped = f", {fit.n_dropped:,} without a score" if fit.n_dropped else ""
    missing = f", {fit.n_missing:,} missing" if isinstance(fit, PropertyFit) and fit.n_missing else ""
    warnings = {"few_informative": "interval guarded", "unguarded": "interval may be too narrow"}
    few = "".join(f"few examples carry this: {text}" for flag, text in warnings.items() if flag in fit.flags)
    return [f"n = {fit.n:,}{missing}{dropped}", few]
