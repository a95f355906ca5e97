"""Findings in plain words: a sentence per test, and per slice that stands out, with what it means for the model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mlflow_sensie.comparison.difference import BETTER, UNDECIDED, WORSE, Conclusion
from mlflow_sensie.comparison.result import Comparison
from mlflow_sensie.inference import Interval
from mlflow_sensie.scores.metrics import SKILL
from mlflow_sensie.text import words
from mlflow_sensie.text.sentences import clean_difference_sentence, difference_sentence, sentence
from mlflow_sensie.text.skill import is_without_skill, skill_sentence

if TYPE_CHECKING:
    from mlflow_sensie.comparison.difference import Difference
    from mlflow_sensie.result import Result, TestResult

Tone = Literal["bad", "good", "open", "failed"]
# What each tone is called, in the order of the findings.
RESULT_TONES: dict[Tone, str] = {
    "bad": "Sensitive",
    "failed": "Failed",
    "good": "Negligible or better",
    "open": "Undecided",
}
COMPARISON_TONES: dict[Tone, str] = {
    "bad": "Less robust",
    "good": "More robust",
    "open": "Not told apart",
    "failed": "Not compared",
}
TONES: dict[Conclusion, Tone] = {BETTER: "good", WORSE: "bad", UNDECIDED: "open"}


@dataclass(frozen=True)
class Finding:
    """A sentence about a test or slice (``name``), and whether it is bad news, good news, open, or a failure."""

    name: str
    text: str
    tone: Tone


def tones_of(subject: Result | Comparison) -> dict[Tone, str]:
    """Return what each tone is called, in the order of the findings."""
    return COMPARISON_TONES if isinstance(subject, Comparison) else RESULT_TONES


def findings(subject: Result | Comparison) -> list[Finding]:
    """Return what is to be said of a result, or of the comparison of two.

    A result: that the model has no skill, what it is sensitive to, what failed, what does not matter, what is
    undecided; within each the largest first, slices after tests. A comparison: the clean score, then what B does
    worse, what better, and the rest; within each the largest difference first, at the end what could not be compared.
    """
    return _of_comparison(subject) if isinstance(subject, Comparison) else _of_result(subject)


def lead(comparison: Comparison) -> str:
    """Say in how many tests B is the more robust one, and whether its clean score differs."""
    if comparison.identical:
        return "A and B cannot be told apart: every score is the same."
    conclusions = comparison.conclusions
    counts = [f"{word.removeprefix('B is ')} in {conclusions.count(word)}" for word in TONES if word in conclusions]
    clean = _clean_in_short(comparison.leading)
    tests = f"Of {len(conclusions)} test{'s' if len(conclusions) != 1 else ''}, B is {', '.join(counts)}"
    return f"{tests if counts else 'No test could be compared'}; {clean}."


def _clean_in_short(difference: Difference) -> str:
    if difference.metric == "clean_score":
        name, many = "clean score", "clean scores are"
    else:
        name = words.difference_label(difference.metric)
        many = f"{name} of the two is"
    if difference.conclusion == UNDECIDED:
        return f"the {many} not told apart"
    return f"its {name} is {'higher' if difference.b > difference.a else 'lower'}"


def pairing(comparison: Comparison) -> str:
    """Say whether a comparison is paired, and what that means."""
    if not comparison.paired:
        return "Not paired: the two were measured on different examples and are taken for independent."
    together = "" if comparison.correlation is None else f" (their scores correlate by {comparison.correlation:.2f})"
    return f"Paired: both models answered the same {comparison.n:,} examples, compared one by one{together}."


def _by_tone(unordered: Sequence[Finding], tones: dict[Tone, str]) -> list[Finding]:
    order = list(tones)
    return sorted(unordered, key=lambda finding: order.index(finding.tone))


# --- of a comparison ---------------------------------------------------------------------------------------


def _of_comparison(comparison: Comparison) -> list[Finding]:
    failed = [Finding(name, f"not compared: {why}.", "failed") for name, why in comparison.not_compared.items()]
    if comparison.identical:
        same = f"every score of the two is the same on {comparison.n:,} examples: no difference anywhere."
        return [Finding("A and B", same, "open"), *failed]
    first, *others = sorted(comparison.whole.values(), key=lambda difference: difference is not comparison.leading)
    others = [difference for difference in others if difference.conclusion != UNDECIDED]
    clean = [_of_clean(difference) for difference in (first, *others)]
    tests = sorted(comparison.tests.values(), key=lambda test: -abs(test.headline.worse_by.value))
    rest = [Finding(test.name, difference_sentence(test), TONES[test.headline.conclusion]) for test in tests]
    return [*clean, *_by_tone(rest, COMPARISON_TONES), *failed]


def _of_clean(difference: Difference) -> Finding:
    name = "clean score" if difference.metric == "clean_score" else words.difference_label(difference.metric)
    return Finding(name, clean_difference_sentence(difference), TONES[difference.conclusion])


# --- of a result -------------------------------------------------------------------------------------------


def _of_result(result: Result) -> list[Finding]:
    failed, succeeded = ([test for test in result.tests.values() if test.ok is ok] for ok in (False, True))
    succeeded.sort(key=lambda test: abs(test.headline.value), reverse=True)
    tests = [Finding(test.name, sentence(result, test), _tone(test)) for test in succeeded]
    failures = [Finding(test.name, f"the test failed: {test.error}", "failed") for test in failed]
    skill = [Finding(SKILL, skill_sentence(result), "bad")] if is_without_skill(result) else []
    return _by_tone([*skill, *tests, *_slice_findings(result), *failures], RESULT_TONES)


def _tone(test: TestResult) -> Tone:
    decision = test.fit.decision
    better = test.kind == "perturbation" and test.fit.mean_drop.value < 0
    if decision == "sensitive" and not better:
        return "bad"
    return "open" if decision == "undecided" else "good"


def _slice_findings(result: Result) -> Iterator[Finding]:
    """A sentence where a column's worst slice surely stands out: lower, or worse than the model claims."""
    if not result.slices:
        return
    frame, whole, rope = result.slices_frame(), result.clean.value, float(result.recipe["inference"]["rope"])
    for row in frame[frame["worst"] & (frame["test"] == "")].to_dict("records"):
        name = f"{words.plain(row['column'])} = {words.plain(row['level'])}"
        value, low, high = (float(row[key]) for key in ("pooled", "pooled_lo95", "pooled_hi95"))
        score = words.bracketed(Interval(value, value, value, low, high))
        claims = f"worse than the model claims: its score is {score} away from what it announces."
        lower = f"the clean score is {score}, below the {words.number(whole, 0.01)} of the whole."
        limit, text = {"unannounced": (-rope, claims), "clean_score": (whole - rope, lower)}[row["quantity"]]
        if high < limit:
            yield Finding(name, text, "bad")
