"""The pages of comparisons: that of two models, ``sensie_comparison.html``, and the leaderboard of several."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlflow_sensie.inference import Interval
from mlflow_sensie.report.page import Page, anchors_of, drawing, folded, in_words, render_piece
from mlflow_sensie.text import words
from mlflow_sensie.text.findings import COMPARISON_TONES, TONES, Finding, findings, lead

if TYPE_CHECKING:
    import pandas as pd

    from mlflow_sensie.comparison.difference import Difference
    from mlflow_sensie.comparison.result import Comparison, TestComparison
    from mlflow_sensie.report.page import FoldedFindings

NAME = "sensie_comparison.html"
# What the differences are called; the rest is called by its own name.
QUANTITIES = {
    "clean_score": "clean score",
    "mean_drop": "mean drop",
    "slope": "slope, per unit",
    "holds_until": "holds until, as a distance from the neutral",
}
NOTE = (
    "Numbers in brackets are 95 % intervals of B − A. Green: B is better, its interval excludes 0; orange: B is worse; "
    "blue: the data does not tell them apart. “More robust” is a smaller drop, effect or spread."
)


@dataclass(frozen=True)
class DifferenceRow:
    """A row of the table of differences, as texts."""

    quantity: str
    a: str
    b: str
    difference: str
    half: str
    most: str
    probability: str


@dataclass(frozen=True)
class OrderedComparison:
    """A comparison with its findings, and its tests in their order."""

    comparison: Comparison
    findings: Sequence[Finding]

    @property
    def tests(self) -> list[TestComparison]:
        """The tests in the order of the findings; those of identical models, of which nothing is said, in their own."""
        order = [finding.name for finding in self.findings]
        tests = self.comparison.tests.values()
        return sorted(tests, key=lambda test: order.index(test.name) if test.name in order else len(order))

    @property
    def anchors(self) -> dict[str, str]:
        """Where each test stands on the page, by its name."""
        return anchors_of([test.name for test in self.tests])


def render(comparison: Comparison) -> str:
    """Return the comparison as HTML."""
    return make_page(comparison).render()


def render_summary(comparison: Comparison) -> str:
    """Return findings and summary as a piece of HTML, for notebooks."""
    return render_piece(_folded(comparison), comparison.summary())


def make_page(comparison: Comparison) -> Page:
    """Draw the figures and make the sections."""
    title = f"{words.plain(comparison.b)} compared with {words.plain(comparison.a)}"
    return Page.of(title, OrderedComparison(comparison, findings(comparison)), SECTIONS)


def _folded(comparison: Comparison) -> FoldedFindings:
    return folded(findings(comparison), COMPARISON_TONES)


# --- the sections of a comparison --------------------------------------------------------------------------


def _header(ordered: OrderedComparison) -> dict[str, Any]:
    comparison = ordered.comparison
    score = words.score_name(comparison.score, comparison.score_unit)
    return {"comparison": comparison, "lead": lead(comparison), "pairing": _pairing(comparison), "score": score}


def _pairing(comparison: Comparison) -> str:
    """Whether it is paired, and what that means."""
    if not comparison.paired:
        return "Not paired: the two were measured on different examples and are taken for independent."
    together = "" if comparison.correlation is None else f" (their scores correlate by {comparison.correlation:.2f})"
    return f"Paired: both models answered the same {comparison.n:,} examples, compared one by one{together}."


def _findings(ordered: OrderedComparison) -> dict[str, Any]:
    shown = folded(ordered.findings, COMPARISON_TONES)
    return {"findings": shown, "anchors": ordered.anchors, "warnings": ordered.comparison.warnings, "note": NOTE}


def _differences(ordered: OrderedComparison) -> dict[str, Any]:
    comparison = ordered.comparison
    figure = drawing(comparison.plot(), in_words("All differences", ordered.findings))
    return {"figure": figure, "clean": [difference_row(comparison.clean)]}


def _tests(ordered: OrderedComparison) -> list[dict[str, Any]]:
    sentences = {finding.name: finding for finding in ordered.findings}
    return [_test(ordered, test, sentences.get(test.name)) for test in ordered.tests]


def _test(ordered: OrderedComparison, test: TestComparison, finding: Finding | None) -> dict[str, Any]:
    sentence = finding.text if finding else "no difference: every score is the same."
    alt = f"{test.name}, A and B and their difference: {sentence}"
    return {
        "test": test,
        "anchor": ordered.anchors[test.name],
        "conclusion": test.headline.conclusion,
        "tone": TONES[test.headline.conclusion] if finding else "open",
        "sentence": sentence,
        "figure": None if test.curve is None else drawing(ordered.comparison.plot(test.name), alt),
        "differences": [difference_row(difference) for difference in test.differences.values()],
    }


def difference_row(difference: Difference) -> DifferenceRow:
    """Write one difference, with the decimals that its interval deserves."""
    known = difference.difference
    value, low, high = words.between(known)
    decimals = len(value.partition(".")[2])
    a, b = (f"{round(x, decimals) + 0.0:.{decimals}f}".replace("-", "−") for x in (difference.a, difference.b))
    _, low50, high50 = words.between(Interval(known.value, known.lo50, known.hi50, known.lo50, known.hi50))
    return DifferenceRow(
        quantity=QUANTITIES.get(difference.metric, difference.metric),
        a=a,
        b=b,
        difference=value,
        half=f"{low50} to {high50}",
        most=f"{low} to {high}",
        probability=words.probability(difference.prob_more_robust),
    )


def _sources(ordered: OrderedComparison) -> dict[str, Any]:
    return {"facts": _facts(ordered.comparison), "command": _command(ordered.comparison)}


def _facts(comparison: Comparison) -> list[tuple[str, str, str]]:
    if len(comparison.sides) != 2:
        return [("Model", comparison.a, comparison.b)]
    a, b = comparison.sides
    return [
        ("Model", a.model, b.model),
        *([("Read from", a.source, b.source)] if a.source or b.source else []),
        ("Examples", f"{a.n:,}", f"{b.n:,}"),
        ("Data, SHA-256", a.data_sha256, b.data_sha256),
        ("Recipe, SHA-256", a.recipe_sha256, b.recipe_sha256),
        ("mlflow-sensie", a.version, b.version),
    ]


def _command(comparison: Comparison) -> str:
    sources = [side.source for side in comparison.sides if side.source]
    if len(sources) != 2:
        return "mlflow_sensie.compare(a, b)  # two results, run ids, or folders"
    return f"mlflow_sensie.compare({', '.join(json.dumps(source, ensure_ascii=False) for source in sources)})"


# The page from top to bottom: what each section shows, by the name of its template.
SECTIONS: Mapping[str, Callable[[OrderedComparison], Any]] = {
    "comparison_header": _header,
    "findings": _findings,
    "differences": _differences,
    "comparison_tests": _tests,
    "sources": _sources,
}


# --- the leaderboard ---------------------------------------------------------------------------------------


def render_leaderboard(table: pd.DataFrame, comparisons: Mapping[str, Comparison], folders: Sequence[str] = ()) -> str:
    """Return a leaderboard and what each comparison found as HTML; ``folders`` hold the comparisons' own pages."""
    models = {str(run): str(model) for run, model in zip(table["run"], table["model"], strict=True)}
    first = next(run for run in models if run not in comparisons)
    rows = [_leader({str(key): value for key, value in row.items()}, first) for row in table.to_dict("records")]
    one = next(iter(comparisons.values()))
    leaders = {"score": words.score_name(one.score, one.score_unit), "run": first, "model": models[first], "rows": rows}
    links = [f"{folder}/{NAME}" if folder else "" for folder in folders or [""] * len(comparisons)]
    parts = [
        {"run": run, "model": models[run], "lead": lead(comparison), "findings": _folded(comparison),
         "warnings": comparison.warnings, "link": link}
        for (run, comparison), link in zip(comparisons.items(), links, strict=True)
    ]  # fmt: skip
    sections = {"leaders": leaders, "leader_findings": {"parts": parts, "first": models[first]}}
    return Page(f"{len(table)} models compared", sections).render()


def _leader(row: Mapping[str, object], first: str) -> list[str]:
    """The cells of a row: run, model, and each interval as text."""
    intervals = [_interval(row, name) for name in ("clean_score", "clean_difference", "worst_loss")]
    return [str(row["run"]), str(row["model"]), *intervals, str(row["worst"]), _counts(row, first)]


def _counts(row: Mapping[str, object], first: str) -> str:
    if row["run"] == first:
        return "the first"
    if not row["compared"]:
        return "nothing compared"
    return f"{row['more_robust']} / {row['less_robust']} of {row['compared']}"


def _interval(row: Mapping[str, object], name: str) -> str:
    value, low, high = (float(str(row[name + end])) for end in ("", "_lo95", "_hi95"))
    if value != value:
        return ""
    text, bottom, top = words.between(Interval(value, low, high, low, high))
    return f"{text}\n[{bottom}, {top}]"
