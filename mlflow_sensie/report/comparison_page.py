"""The pages of comparisons: that of two models, ``sensie_comparison.html``, and the leaderboard of several."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mlflow_sensie.inference import Interval
from mlflow_sensie.report.page import Drawn, Page, drawing, folded, in_words
from mlflow_sensie.text import words
from mlflow_sensie.text.findings import COMPARISON_TONES, TONES, findings, lead, pairing

if TYPE_CHECKING:
    import pandas as pd

    from mlflow_sensie.comparison.difference import Difference
    from mlflow_sensie.comparison.result import Comparison

NAME = "sensie_comparison.html"
SCORE, SKILL, OF_SCORE = "score", "skill", ("clean_score", "clean_difference")
# What the differences are called; the rest is called by its own name.
QUANTITIES = {
    "clean_score": "clean score",
    "mean_drop": "mean drop",
    "slope": "slope, per unit",
    "holds_until": "holds until, as a distance from the neutral",
}
TWICE = "skill_holds_until"  # which holds_until is where an allowed drop is a fraction
SAME = "no difference: every score is the same."
NOTE = (
    "Numbers in brackets are 95 % intervals of B − A. Green: B is better, its interval excludes 0; orange: B is worse; "
    "blue: the data does not tell them apart. “More robust” is a smaller drop, effect or spread."
)


def render(comparison: Comparison) -> str:
    """Return the comparison as HTML."""
    return make_page(comparison).render()


def make_page(comparison: Comparison) -> Page:
    """Draw the figures and make the sections."""
    title = f"{words.plain(comparison.b)} compared with {words.plain(comparison.a)}"
    return Page.of(title, _draw(comparison), SECTIONS)


def _draw(comparison: Comparison) -> Drawn[Comparison]:
    sentences = findings(comparison)
    texts = {finding.name: finding.text for finding in sentences}
    overview = drawing(comparison.plot(), in_words("All differences", sentences))
    figures = {
        name: drawing(comparison.plot(name), f"{name}, A and B and their difference: {texts.get(name, SAME)}")
        for name, test in comparison.tests.items()
        if test.curve is not None
    }
    return Drawn(comparison, sentences, overview, figures)


# --- the sections of a comparison --------------------------------------------------------------------------


def _header(drawn: Drawn[Comparison]) -> dict[str, Any]:
    comparison = drawn.subject
    score = words.score_name(comparison.score, comparison.score_unit)
    return {"comparison": comparison, "lead": lead(comparison), "pairing": pairing(comparison), "score": score}


def _tests(drawn: Drawn[Comparison]) -> list[dict[str, Any]]:
    sentences = {finding.name: finding.text for finding in drawn.findings}
    return [
        {
            "test": test,
            "anchor": drawn.anchors[test.name],
            "conclusion": test.headline.conclusion,
            "tone": TONES[test.headline.conclusion],
            "sentence": sentences.get(test.name, SAME),
            "figure": drawn.figures.get(test.name),
            "differences": [difference_row(one) for name, one in test.differences.items() if name != TWICE],
        }
        for test in drawn.tests
    ]


def difference_row(difference: Difference) -> tuple[str, ...]:
    """Write one difference: quantity, A, B, B − A, its 50 % and 95 % intervals, and how likely B is better."""
    known = difference.difference
    value, low, high = words.between(known)
    decimals = len(value.partition(".")[2])
    a, b = (f"{round(x, decimals) + 0.0:.{decimals}f}".replace("-", "−") for x in (difference.a, difference.b))
    _, low50, high50 = words.between(Interval(known.value, known.lo50, known.hi50, known.lo50, known.hi50))
    name = QUANTITIES.get(difference.metric, words.difference_name(difference.metric))
    probability = words.probability(difference.prob_more_robust)
    return name, a, b, value, f"{low50} to {high50}", f"{low} to {high}", probability


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
SECTIONS: Mapping[str, Callable[[Drawn[Comparison]], Any]] = {
    "comparison_header": _header,
    "findings": lambda drawn: drawn.findings_section(NOTE),
    "differences": lambda drawn: {
        "figure": drawn.overview,
        "clean": list(map(difference_row, drawn.subject.whole.values())),
    },
    "comparison_tests": _tests,
    "sources": lambda drawn: {"facts": _facts(drawn.subject), "command": _command(drawn.subject)},
}


# --- the leaderboard ---------------------------------------------------------------------------------------


def render_leaderboard(table: pd.DataFrame, comparisons: Mapping[str, Comparison], folders: Sequence[str] = ()) -> str:
    """Return a leaderboard and what each comparison found as HTML; ``folders`` hold the comparisons' own pages."""
    models = {str(run): str(model) for run, model in zip(table["run"], table["model"], strict=True)}
    first = next(run for run in models if run not in comparisons)
    metrics = [str(name) for name in table]
    metrics = [name for name in metrics if name == SKILL or (name.startswith("clean_") and name not in OF_SCORE)]
    metrics = [name for name in metrics if not name.endswith(("_lo95", "_hi95"))]
    records = ({str(key): value for key, value in row.items()} for row in table.to_dict("records"))
    one = next(iter(comparisons.values()))
    leaders = {
        "score": words.score_name(one.score, one.score_unit),
        "headline": "" if one.headline == SCORE else words.metric_label(one.headline),
        "run": first,
        "model": models[first],
        "metrics": list(map(words.difference_name, metrics)),
        "rows": [_leader(row, first, metrics) for row in records],
    }
    links = [f"{folder}/{NAME}" if folder else "" for folder in folders or [""] * len(comparisons)]
    parts = [
        {
            "run": run,
            "model": models[run],
            "lead": lead(comparison),
            "findings": folded(findings(comparison), COMPARISON_TONES),
            "warnings": comparison.warnings,
            "link": link,
        }
        for (run, comparison), link in zip(comparisons.items(), links, strict=True)
    ]
    sections = {"leaders": leaders, "leader_findings": {"parts": parts, "first": models[first]}}
    return Page(f"{len(table)} models compared", sections).render()


def _leader(row: Mapping[str, object], first: str, metrics: Sequence[str]) -> dict[str, Any]:
    """The cells of a row: run, model, each interval as text, the worst test, and how many are more or less robust."""
    intervals = [_interval(row, name) for name in ("clean_score", *metrics, "clean_difference", "worst_loss")]
    counts = f"{row['more_robust']} / {row['less_robust']} of {row['compared']}"
    counts = "the first" if row["run"] == first else counts if row["compared"] else "nothing compared"
    return {
        "run": str(row["run"]), "model": str(row["model"]), "intervals": intervals, "worst": str(row["worst"]),
        "counts": counts,
    }  # fmt: skip


def _interval(row: Mapping[str, object], name: str) -> str:
    value, low, high = (float(str(row[name + end])) for end in ("", "_lo95", "_hi95"))
    if value != value:
        return ""
    if low != low:  # biased, as a calibration error
        return words.number(value, 0.001)
    text, bottom, top = words.between(Interval(value, low, high, low, high))
    return f"{text}\n[{bottom}, {top}]"
