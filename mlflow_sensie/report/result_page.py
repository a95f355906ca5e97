"""The report: one self-contained page of a finished result; computed, drawn, rendered, in this order."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from mlflow_sensie import plots
from mlflow_sensie.inference import Interval
from mlflow_sensie.inference.metric_fits import MetricEstimate
from mlflow_sensie.report.page import Drawn, Page, drawing, in_words
from mlflow_sensie.text import words
from mlflow_sensie.text.findings import findings
from mlflow_sensie.text.skill import confidence_sentence, is_without_skill, metric_label, metric_rows, skill_sentence

if TYPE_CHECKING:
    from markupsafe import Markup

    from mlflow_sensie.result import Result, TestResult

# What the numbers are called, by the last part of their keys on the run; those left out are said elsewhere.
NUMBERS = {
    "mean_drop": "mean drop: clean score less the average over the sweep",
    "effect": "effect: slope × range, the change of score over it",
    "slope": "slope of the mean score, per unit",
    "max_drop": "largest drop of the mean score",
    "holds_until": "holds until, as a distance from the neutral",
    "within_effect": "within effect: what remains of the effect at the same mix of classes",
    "unexpected": "unexpected: what the model's own confidence does not announce",
    "spread": "spread: SD between levels or bins, noise removed",
    "range": "range: best less worst level, drawn towards each other",
    "departure": "departure: RMS distance of the curve from its line",
    "below_effect": "effect below the neutral",
    "above_effect": "effect above the neutral",
}
PACKAGES = ("mlflow-sensie", "mlflow", "numpy", "scipy", "pandas", "scikit-learn")
NOTE = (
    "Numbers in brackets are 95 % intervals. Orange: it matters; green: too small to matter; blue: the data does not "
    "tell yet."
)
GALLERY_DPI = 110
# Of all figures, and of those and the galleries: what finds no room is an artifact beside the page.
MOST_FIGURES, MOST_PICTURES = 2_000_000, 2_700_000


def render(result: Result) -> str:
    """Return the report as HTML."""
    return make_page(result).render()


def make_page(result: Result) -> Page:
    """Draw the figures and make the sections."""
    return Page.of(f"Sensitivity of {words.plain(result.title) or 'a model'}", _draw(result), SECTIONS)


def _draw(result: Result) -> Drawn[Result]:
    sentences = findings(result)
    overview = drawing(plots.overview(result), in_words("All tests", sentences))
    slices = [
        drawing(plots.draw_slices(result, column), f"Heat map of tests in the slices by {column.column}")
        for column in result.slices
        if column.slices
    ]
    used = sum(len(figure) for figure in (overview, *slices))
    tests = ((finding.name, finding.text) for finding in sentences if finding.name in result.tests)
    drawings = ((name, drawing(plots.draw(result, result.tests[name]), f"{name}: {text}")) for name, text in tests)
    figures = _fitting(drawings, MOST_FIGURES - used)
    used += sum(len(figure) for figure in figures.values())
    galleries = _fitting((_gallery(result, name) for name in result.galleries), MOST_PICTURES - used)
    return Drawn(result, sentences, overview, figures, slices, galleries)


def _gallery(result: Result, name: str) -> tuple[str, Markup]:
    from markupsafe import Markup

    data = base64.b64encode(plots.to_png(result.plot(name, kind="gallery"), GALLERY_DPI)).decode()
    alt = f"Examples under {name}, each at several magnitudes, with the model's answer and score"
    return name, Markup('<img alt="{}" src="{}">').format(alt, f"data:image/png;base64,{data}")


def _fitting(drawings: Iterable[tuple[str, Markup]], room: int) -> dict[str, Markup]:
    """Take drawings by name, in their order, until one finds no room; those after it are not made."""
    fitting: dict[str, Markup] = {}
    for name, figure in drawings:
        room -= len(figure)
        if room < 0:
            break
        fitting[name] = figure
    return fitting


# --- the sections ------------------------------------------------------------------------------------------


def _header(drawn: Drawn[Result]) -> dict[str, Any]:
    result = drawn.subject
    score = words.score_name(result.score.kind, result.score.unit)
    skill = "" if is_without_skill(result) else skill_sentence(result)  # else the first finding says it
    return {"result": result, "score": score, "weights": _weights(result), "skill": skill}


def _metrics(drawn: Drawn[Result]) -> dict[str, Any] | None:
    result = drawn.subject
    if not result.metric_estimates:
        return None
    return {"rows": metric_rows(result), "confidence": confidence_sentence(result)}


def _weights(result: Result) -> str:
    """Say what examples count, where they do not count alike."""
    weights = result.recipe.get("weights")
    if weights != "balanced":
        return f"weights: the column {weights}" if weights else ""
    chosen = (choice for choice in result.choices if choice.startswith("weights: balanced, since"))
    return next(chosen, "weights: balanced, so that every class counts the same")


def _slices(drawn: Drawn[Result]) -> dict[str, Any] | None:
    """The heat maps, and of each column of slices a table of metrics: names, and by level what each is there."""
    if not drawn.slices:
        return None
    result, tables = drawn.subject, []
    for column in result.slices:
        somewhere = {name for part in column.slices for name in part.metric_estimates}
        names = [name for name in result.metric_estimates if name in somewhere]
        parts = [("all", result.n, result.metric_estimates)]
        parts += [(part.level, part.n, part.metric_estimates) for part in column.slices]
        rows = [
            [words.plain(level), f"{n:,}", *(_metric_cell(estimates.get(name)) for name in names)]
            for level, n, estimates in parts
        ]
        if names:
            tables.append({"column": words.plain(column.column), "metrics": map(metric_label, names), "rows": rows})
    return {"figures": drawn.slices, "prefix": result.prefix, "tables": tables}


def _metric_cell(estimate: MetricEstimate | None) -> str:
    if estimate is None:  # undefined there
        return "–"
    return words.number(estimate.value) if estimate.interval is None else words.bracketed(estimate.interval)


def _interactions(drawn: Drawn[Result]) -> list[list[str]] | None:
    rows = []
    for row in drawn.subject.interactions_frame().to_dict("records"):
        value, low, high = (float(row[name]) for name in ("value", "lo95", "hi95"))
        interval = words.between(Interval(value, value, value, low, high))
        names = (str(row[name]) for name in ("property", "perturbation", "quantity"))
        rows.append([*names, *interval, str(row["decision"])])
    return rows or None


def _tests(drawn: Drawn[Result]) -> dict[str, Any]:
    """What the page says of each test; and the files of the figures that found no room."""
    result, sentences = drawn.subject, {finding.name: finding.text for finding in drawn.findings}
    tests = [
        {
            "test": test,
            "anchor": drawn.anchors[test.name],
            "decision": test.fit.decision if test.ok else "failed",
            "sentence": sentences[test.name],
            "figure": drawn.figures.get(test.name),
            "gallery": drawn.galleries.get(test.name),
            "numbers": numbers_of(test),
            "curve": [[_cell(value) for value in row.values()] for row in test.curve.to_dict("records")],
        }
        for test in drawn.tests
    ]
    hidden = [test.slug for test in drawn.tests if test.name not in drawn.figures]
    hidden += [f"{result.tests[name].slug}.gallery" for name in result.galleries if name not in drawn.galleries]
    return {"tests": tests, "hidden": hidden, "prefix": result.prefix}


def numbers_of(test: TestResult) -> list[tuple[str, str, str, str]]:
    """Give the test's scalars and what was fitted to ranges: key on the run, meaning, value, interval or bound."""
    metrics = test.metrics
    rows = []
    for key, meaning in NUMBERS.items():
        if key in metrics:
            value, interval = words.with_bound(metrics[key], metrics.get(f"{key}_lo95"), metrics.get(f"{key}_hi95"))
            rows.append((key, meaning, value, interval))
    for part in getattr(test.fit, "fit_range", ()):  # in report.json, and under no key
        over = words.quantity(words.plain(test.unit), part.start, part.stop)
        value, low, high = words.between(part.effect)
        rows.append(("fit_range", f"effect over {over}: {part.note}", value, f"{low} to {high}"))
    return rows


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None or value != value else words.number(float(value))


def facts_of(result: Result) -> list[tuple[str, str]]:
    """Give what was measured, on what and by what, a name and a text each."""
    score = result.score
    bounds = f"{'−∞' if score.lower is None else score.lower} to {'∞' if score.upper is None else score.upper}"
    return [
        ("Model", result.model_name),
        ("Examples", f"{result.n:,}"),
        ("Score", f"{score.kind} ({score.unit}), {bounds}, from {score.source}"),
        ("Clean score", words.bracketed(result.clean)),
        *([("Several tests", result.several.text)] if result.several else []),
        ("Predictions", f"{_predictions(result)} in {result.seconds:.1f} s"),
        ("Data, SHA-256", result.data_sha256),
        ("Recipe, SHA-256", result.recipe_sha256),
        ("Versions", ", ".join(f"{name} {_version(name)}" for name in PACKAGES if _version(name))),
    ]


def _predictions(result: Result) -> str:
    """How many were made, and where tests stopped early, of how many."""
    early = (test for test in result.tests.values() if test.ok and test.stopped != "all")
    stopped = [f"{test.name} after {test.fit.n:,}" for test in early]
    if not stopped or result.n_planned is None:
        return f"{result.n_predictions:,}"
    return f"{result.n_predictions:,} of {result.n_planned:,} (stopped early: {', '.join(stopped)})"


@lru_cache
def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


# The page from top to bottom: what each section shows, by the name of its template; None leaves it out.
SECTIONS: Mapping[str, Callable[[Drawn[Result]], Any]] = {
    "header": _header,
    "findings": lambda drawn: drawn.findings_section(NOTE),
    "metrics": _metrics,
    "overview": lambda drawn: drawn.overview,
    "slices": _slices,
    "interactions": _interactions,
    "tests": _tests,
    "repeat": lambda drawn: {"result": drawn.subject, "facts": facts_of(drawn.subject)},
}
