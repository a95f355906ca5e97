"""What a comparison found, in plain words: one sentence on the whole, and one per test."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from mlflow_sensie.comparison.difference import BETTER, UNDECIDED, WORSE
from mlflow_sensie.text import words
from mlflow_sensie.text.findings import Finding, Tone

if TYPE_CHECKING:
    from mlflow_sensie.comparison.difference import CurveDifference, Difference
    from mlflow_sensie.comparison.result import Comparison, TestComparison
    from mlflow_sensie.inference import Interval

CLEAN = "clean score"
TONES: dict[str, Tone] = {BETTER: "good", WORSE: "bad", UNDECIDED: "open"}
# What each tone is called, in the order in which tests are told.
CALLED: dict[Tone, str] = {
    "bad": "Less robust",
    "good": "More robust",
    "open": "Not told apart",
    "failed": "Not compared",
}


def findings(comparison: Comparison) -> list[Finding]:
    """Return a sentence on the clean score and one per test: what B does worse first, then better, then the rest.

    Within each the largest difference comes first; what could not be compared stands at the end.
    """
    if comparison.identical:
        same = f"every score of the two is the same on {comparison.n:,} examples: no difference anywhere."
        return [Finding("A and B", same, "open"), *_not_compared(comparison)]
    tests = sorted(comparison.tests.values(), key=lambda test: -abs(test.headline.worse_by.value))
    found = [Finding(test.name, sentence(test), _tone(test.headline)) for test in tests]
    found.sort(key=lambda each: list(CALLED).index(each.tone))
    return [Finding(CLEAN, _clean(comparison.clean), _tone(comparison.clean)), *found, *_not_compared(comparison)]


def lead(comparison: Comparison) -> str:
    """Say in how many tests B is the more robust one, and whether its clean score differs."""
    if comparison.identical:
        return "A and B cannot be told apart: every score is the same."
    found = comparison.conclusions
    said = [f"{word.removeprefix('B is ')} in {found.count(word)}" for word in TONES if word in found]
    clean = {
        BETTER: "its clean score is higher",
        WORSE: "its clean score is lower",
        UNDECIDED: "the clean scores are not told apart",
    }[comparison.clean.conclusion]
    tests = f"Of {len(found)} test{'s' if len(found) != 1 else ''}, B is {', '.join(said)}"
    return f"{tests if said else 'No test could be compared'}; {clean}."


def sentence(test: TestComparison) -> str:
    """Say how the two differ in one test, and how likely B is the more robust."""
    said = {"perturbation": _sweep, "property": _property}.get(test.kind, _levels)(test)
    return f"{said}; {_probability('more robust', test.headline)}."


# --- one sentence each -------------------------------------------------------------------------------------


def _clean(found: Difference) -> str:
    said = _told(
        found,
        found.difference,
        "B is better on the inputs as they are: its score is higher by {}",
        "B is worse on the inputs as they are: its score is lower by {}",
        "B's score less A's is {}",
    )
    return f"{said}; {_probability('better', found)}."


def _sweep(test: TestComparison) -> str:
    found = test.headline
    said = _told(
        found,
        found.worse_by,
        "B loses less, by {} on average",
        "B loses more, by {} on average",
        "B's mean drop less A's is {}",
    )
    return f"{said}{_holding(test)}"


def _property(test: TestComparison) -> str:
    return _told(
        test.headline,
        test.headline.worse_by,
        "B depends less on it: its effect is smaller by {}",
        "B depends more on it: its effect is larger by {}",
        "the size of B's effect less that of A's is {}",
    )


def _levels(test: TestComparison) -> str:
    return _told(
        test.headline,
        test.headline.worse_by,
        "B treats its levels more alike: the SD between them is smaller by {}",
        "B treats its levels less alike: the SD between them is larger by {}",
        "the SD between B's levels less that between A's is {}",
    )


def _told(found: Difference, shown: Interval, better: str, worse: str, undecided: str) -> str:
    """Choose the text by what is known, with the size of the difference in it; where undecided, with its sign."""
    known = found.conclusion
    if known == UNDECIDED:
        return f"{UNDECIDED}: {undecided.format(_signed(shown))} ({_ends(found)})"
    return f"{(better if known == BETTER else worse).format(_size(shown))} ({_ends(found)})"


def _holding(test: TestComparison) -> str:
    """How far each holds, where that surely differs; "but" where the mean drop does not say the same."""
    found, curve = test.differences.get("holds_until"), test.curve
    if found is None or curve is None or found.conclusion == UNDECIDED:
        return ""
    a, b = holding_ends(found, curve)
    unit = words.plain(test.unit)
    but = "" if found.conclusion == test.headline.conclusion else "but "
    if not curve.two_sided:
        return f"; {but}it holds up to {words.with_unit(b, unit)} rather than {a}"
    # A distance between factors is none itself: "factor 0.5" would be a magnitude.
    far = (
        f"a factor of {b}" if curve.log else f"a distance of {b if unit in words.BEFORE else words.with_unit(b, unit)}"
    )
    return f"; {but}it holds up to {far} from the neutral, either way, rather than {a}"


def holding_ends(found: Difference, curve: CurveDifference) -> list[str]:
    """Write up to where A and B hold, as `CurveDifference.reached` gives it; "at least" at the end of the sweep."""
    tested = [p for p in curve.p if p != curve.neutral]
    last = curve.farthest
    ends = [curve.reached(far) for far in (found.a, found.b)]
    step = (max(tested) - min(tested)) / 150
    least = ["at least " if math.isclose(end, last, rel_tol=1e-9) else "" for end in ends]
    return [sign + words.number(end, step) for sign, end in zip(least, ends, strict=True)]


def _size(found: Interval) -> str:
    """A size and its interval, turned so that it is no loss below 0."""
    return _signed(found if found.value >= 0 else found.negated())


def _signed(found: Interval) -> str:
    value, low, high = words.between(found)
    return f"{value} [{low}, {high}]"


def _ends(found: Difference) -> str:
    step = max((found.difference.hi95 - found.difference.lo95) / 10, 1e-6)
    a, b = (words.number(end, step, zeros=True) for end in (found.a, found.b))
    return f"{b} rather than {a}"


def _probability(word: str, found: Difference) -> str:
    return f"probability that B is {word} {words.probability(found.prob_more_robust)}"


def _tone(found: Difference) -> Tone:
    return TONES[found.conclusion]


def _not_compared(comparison: Comparison) -> list[Finding]:
    return [Finding(name, f"not compared: {why}.", "failed") for name, why in comparison.not_compared.items()]
