"""The page of a comparison: ``sensie_comparison.html``, computed, drawn, rendered from the finished comparison."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlflow_sensie.inference import Interval
from mlflow_sensie.report import pages
from mlflow_sensie.report.pages import Drawing, Told
from mlflow_sensie.text import words
from mlflow_sensie.text.findings import COMPARISON_TONES, Finding, findings, lead

if TYPE_CHECKING:
    import pandas as pd

    from mlflow_sensie.comparison.difference import Difference
    from mlflow_sensie.comparison.result import Comparison, TestComparison

NAME = "sensie_comparison.html"
# What the differences are called; the rest is called by its own name.
QUANTITIES = {
    "clean_score": "clean score",
    "mean_drop": "mean drop",
    "slope": "slope, per unit",
    "holds_until": "holds until, as a distance from the neutral",
}


@dataclass(frozen=True)
class Line:
    """A row of the table of differences, as texts."""

    quantity: str
    a: str
    b: str
    difference: str
    half: str
    most: str
    probability: str


@dataclass(frozen=True)
class Section:
    """What the page says of one test."""

    anchor: str
    name: str
    verdict: str
    tone: str
    sentence: str
    figure: Drawing | None
    lines: Sequence[Line]
    warnings: Sequence[str]


@dataclass(frozen=True)
class Page:
    """All that the template reads."""

    title: str
    comparison: Comparison
    lead: str
    how: str
    score: str
    findings: Told
    anchors: dict[str, str]
    overview: Drawing
    clean: Sequence[Line]
    sections: Sequence[Section]
    facts: Sequence[tuple[str, str, str]]
    command: str


def render(comparison: Comparison) -> str:
    """Return the comparison as HTML: inline SVG, no script, nothing from the network; everything escaped."""
    return pages.environment().get_template("comparison.html").render(page=make_page(comparison))


def render_summary(comparison: Comparison) -> str:
    """Return findings and summary as a piece of HTML, for notebooks."""
    return pages.render_piece(_told(comparison), comparison.summary())


def render_leaderboard(table: pd.DataFrame, comparisons: Mapping[str, Comparison], folders: Sequence[str] = ()) -> str:
    """Return a leaderboard and what each comparison found as HTML; ``folders`` hold the comparisons' own pages."""
    titles = {str(run): str(model) for run, model in zip(table["run"], table["model"], strict=True)}
    first = next(run for run in titles if run not in comparisons)
    parts = [
        (name, titles[name], lead(found), _told(found), found.warnings, f"{folder}/{NAME}" if folder else "")
        for (name, found), folder in zip(comparisons.items(), folders or [""] * len(comparisons), strict=True)
    ]
    rows = [_leader({str(key): value for key, value in row.items()}, first) for row in table.to_dict("records")]
    one = next(iter(comparisons.values()))
    page = {
        "title": f"{len(table)} models compared",
        "score": words.score_name(one.score, one.score_unit),
        "first": {"run": first, "model": titles[first]},
    }
    return pages.environment().get_template("leaderboard.html").render(page=page, rows=rows, parts=parts)


def make_page(comparison: Comparison) -> Page:
    """Compute and draw what the template needs."""
    found = findings(comparison)
    said = {each.name: each for each in found}
    tests = sorted(comparison.tests.values(), key=lambda test: _place(found, test.name))
    anchors = {test.name: f"test-{index}" for index, test in enumerate(tests)}
    return Page(
        title=f"{words.plain(comparison.b)} compared with {words.plain(comparison.a)}",
        comparison=comparison,
        lead=lead(comparison),
        how=_how(comparison),
        score=words.score_name(comparison.score, comparison.score_unit),
        findings=_told(comparison),
        anchors=anchors,
        overview=pages.drawn(comparison.plot(), pages.in_words("All differences", found)),
        clean=[_line(comparison.clean)],
        sections=[_section(comparison, test, anchors[test.name], said.get(test.name)) for test in tests],
        facts=_facts(comparison),
        command=_command(comparison),
    )


def _told(comparison: Comparison) -> Told:
    return pages.told(findings(comparison), COMPARISON_TONES)


def _place(found: Sequence[Finding], name: str) -> int:
    return next((k for k, each in enumerate(found) if each.name == name), len(found))


def _how(comparison: Comparison) -> str:
    """Whether it is paired, and what that means."""
    if not comparison.paired:
        return "Not paired: the two were measured on different examples and are taken for independent."
    together = "" if comparison.correlation is None else f" (their scores correlate by {comparison.correlation:.2f})"
    return f"Paired: both models answered the same {comparison.n:,} examples, compared one by one{together}."


def _section(comparison: Comparison, test: TestComparison, anchor: str, finding: Finding | None) -> Section:
    sentence = finding.text if finding else "no difference: every score is the same."
    alt = f"{test.name}, A and B and their difference: {sentence}"
    return Section(
        anchor=anchor,
        name=test.name,
        verdict=test.headline.conclusion,
        tone=finding.tone if finding else "open",
        sentence=sentence,
        figure=None if test.curve is None else pages.drawn(comparison.plot(test.name), alt),
        lines=[_line(each) for each in test.differences.values()],
        warnings=test.warnings,
    )


def _line(found: Difference) -> Line:
    d = found.difference
    value, low, high = words.between(d)
    decimals = len(value.partition(".")[2])
    a, b = (_fixed(end, decimals) for end in (found.a, found.b))
    _, low50, high50 = words.between(Interval(d.value, d.lo50, d.hi50, d.lo50, d.hi50))
    return Line(
        quantity=QUANTITIES.get(found.metric, found.metric),
        a=a,
        b=b,
        difference=value,
        half=f"{low50} to {high50}",
        most=f"{low} to {high}",
        probability=words.probability(found.prob_more_robust),
    )


def _fixed(x: float, decimals: int) -> str:
    return f"{round(x, decimals) + 0.0:.{decimals}f}".replace("-", "−")


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


def _leader(row: Mapping[str, object], first: str) -> list[str]:
    """The cells of a row: run, model, and each interval as text."""
    said = [_said(row, name) for name in ("clean_score", "clean_difference", "worst_loss")]
    return [str(row["run"]), str(row["model"]), *said, str(row["worst"]), _counts(row, first)]


def _counts(row: Mapping[str, object], first: str) -> str:
    if row["run"] == first:
        return "the first"
    if not row["compared"]:
        return "nothing compared"
    return f"{row['more_robust']} / {row['less_robust']} of {row['compared']}"


def _said(row: Mapping[str, object], name: str) -> str:
    value, low, high = (float(str(row[name + end])) for end in ("", "_lo95", "_hi95"))
    if value != value:
        return ""
    text, bottom, top = words.between(Interval(value, low, high, low, high))
    return f"{text}\n[{bottom}, {top}]"
