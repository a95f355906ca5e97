"""What a comparison found, in plain words: one sentence on the whole, and one per test."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from mlflow_sensie.comparison.leaderboard import headline
from mlflow_sensie.inference import Interval
from mlflow_sensie.plots import words
from mlflow_sensie.plots.differences import BETTER, UNDECIDED, WORSE, verdict, verdicts
from mlflow_sensie.report.pages import Finding, Tone

if TYPE_CHECKING:
    from mlflow_sensie.comparison.difference import Difference
    from mlflow_sensie.comparison.result import Comparison, TestComparison

CLEAN = "clean score"
TONES: dict[str, Tone] = {BETTER: "good", WORSE: "bad", UNDECIDED: "open"}


def findings(comparison: Comparison) -> list[Finding]:
    """Return a sentence on the clean score and one per test: what B does worse first, then better, then the rest.

    Within each the largest difference comes first; what could not be compared stands at the end.
    """
    if comparison.identical:
        same = f"every score of the two is the same on {comparison.n:,} examples: no difference anywhere."
        return [Finding("A and B", same, "open"), *_not_compared(comparison)]
    tests = sorted(comparison.tests.values(), key=lambda test: -_size(comparison, test))
    found = [Finding(test.name, sentence(comparison, test), _tone(headline(comparison, test.name))) for test in tests]
    found.sort(key=lambda each: ("bad", "good", "open").index(each.tone))
    return [Finding(CLEAN, _clean(comparison.clean), _tone(comparison.clean)), *found, *_not_compared(comparison)]


def lead(comparison: Comparison) -> str:
    """Say in how many tests B is the more robust one, and whether its clean score differs."""
    if comparison.identical:
        return "A and B cannot be told apart: every score is the same."
    found = verdicts(comparison)
    said = [f"{word.removeprefix('B is ')} in {found.count(word)}" for word in TONES if word in found]
    clean = _verdict(comparison.clean, "its clean score is higher", "its clean score is lower")
    clean = "the clean scores are not told apart" if clean == UNDECIDED else clean
    tests = f"Of {len(found)} test{'s' if len(found) != 1 else ''}, B is {', '.join(said)}"
    return f"{tests if said else 'No test could be compared'}; {clean}."


def sentence(comparison: Comparison, test: TestComparison) -> str:
    """Say how the two differ in one test, and how likely B is the more robust."""
    found = headline(comparison, test.name)
    said = {"perturbation": _sweep, "property": _property}.get(test.kind, _levels)(test, found)
    return f"{said}; {_probability('more robust', found)}."


# --- one sentence each -------------------------------------------------------------------------------------


def _clean(found: Difference) -> str:
    said = _verdict(found, "B is better on the inputs as they are", "B is worse on the inputs as they are")
    more = "higher" if found.worse_by.value < 0 else "lower"
    size = f"its score is {more} by {_by(found.difference)} ({_ends(found)})"
    return f"{said}: {size}; {_probability('better', found)}."


def _sweep(test: TestComparison, found: Difference) -> str:
    said = _verdict(found, "B keeps its score longer", "B loses its score sooner")
    more = "less" if found.worse_by.value < 0 else "more"
    return f"{said}: it loses {_by(found.worse_by)} {more} on average ({_ends(found)}){_holding(test, found)}"


def _property(test: TestComparison, found: Difference) -> str:
    said = _verdict(found, "B depends less on it", "B depends more on it")
    more = "smaller" if found.worse_by.value < 0 else "larger"
    return f"{said}: its effect is {more} by {_by(found.worse_by)} ({_ends(found)})"


def _levels(test: TestComparison, found: Difference) -> str:
    said = _verdict(found, "B treats its levels more alike", "B treats its levels less alike")
    more = "smaller" if found.worse_by.value < 0 else "larger"
    return f"{said}: the SD between them is {more} by {_by(found.worse_by)} ({_ends(found)})"


def _holding(test: TestComparison, drop: Difference) -> str:
    """How far each holds, where that surely differs."""
    found = test.differences.get("holds_until")
    if found is None or verdict(found.worse_by) == UNDECIDED:
        return ""
    log = test.curve is not None and test.curve.log
    a, b = (math.exp(end) if log else end for end in (found.a, found.b))
    step = max(abs(a), abs(b)) / 100
    unit = "factor" if log else words.plain(test.unit)
    said = words.with_unit(words.number(b, step), unit)
    but = "but " if verdict(drop.worse_by) == UNDECIDED else ""
    return f"; {but}it holds until {said} rather than {words.number(a, step)}"


def _verdict(found: Difference, better: str, worse: str) -> str:
    return {BETTER: better, WORSE: worse}.get(verdict(found.worse_by), UNDECIDED)


def _by(found: Interval) -> str:
    """A size and its interval, turned so that it is no loss below 0."""
    value, low, high = words.between(_positive(found))
    return f"{value} [{low}, {high}]"


def _positive(found: Interval) -> Interval:
    if found.value >= 0:
        return found
    return Interval(-found.value, -found.hi50, -found.lo50, -found.hi95, -found.lo95)


def _ends(found: Difference) -> str:
    step = max((found.difference.hi95 - found.difference.lo95) / 10, 1e-6)
    a, b = (words.number(end, step, zeros=True) for end in (found.a, found.b))
    return f"{b} rather than {a}"


def _probability(word: str, found: Difference) -> str:
    return f"probability that B is {word} {words.probability(found.prob_more_robust)}"


def _tone(found: Difference) -> Tone:
    return TONES[verdict(found.worse_by)]


def _size(comparison: Comparison, test: TestComparison) -> float:
    return abs(headline(comparison, test.name).worse_by.value)


def _not_compared(comparison: Comparison) -> list[Finding]:
    return [Finding(name, f"not compared: {why}.", "failed") for name, why in comparison.not_compared.items()]
