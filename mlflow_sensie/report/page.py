"""The report: one self-contained HTML page of a finished result; computed, drawn, rendered, in this order."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from mlflow_sensie import plots
from mlflow_sensie.inference import Interval
from mlflow_sensie.report import pages
from mlflow_sensie.report.pages import Drawing, Told
from mlflow_sensie.text import words
from mlflow_sensie.text.findings import RESULT_TONES, findings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mlflow_sensie.result import FirstFailure, Result, TestResult

# What the numbers are called, by the last part of their keys on the run; those left out are said elsewhere.
NUMBERS = {
    "mean_drop": "mean drop: clean score less the average over the sweep",
    "effect": "effect: slope × range, the change of score over it",
    "slope": "slope of the mean score, per unit",
    "max_drop": "largest drop of the mean score",
    "holds_until": "holds until, as a distance from the neutral",
    "unexpected": "unexpected: what the model's own confidence does not announce",
    "spread": "spread: SD between levels or bins, noise removed",
    "range": "range: best less worst level, drawn towards each other",
    "departure": "departure: RMS distance of the curve from its line",
    "below_effect": "effect below the neutral",
    "above_effect": "effect above the neutral",
    "prob_sensitive": "probability that it matters (beyond the rope)",
}
PACKAGES = ("mlflow-sensie", "mlflow", "numpy", "scipy", "pandas", "scikit-learn")
GALLERY_DPI = 110
# Of all figures, and of those and the galleries: what finds no room is an artifact beside the page.
MOST_FIGURES, MOST_PICTURES = 2_000_000, 2_700_000


@dataclass(frozen=True)
class Number:
    """A row of a test's numbers: the last part of its key on the run, what it is, value and 95 % interval or bound."""

    key: str
    meaning: str
    value: str
    interval: str


@dataclass(frozen=True)
class Section:
    """What the page says of one test."""

    anchor: str
    name: str
    slug: str
    kind: str
    decision: str
    sentence: str
    figure: Drawing | None
    numbers: Sequence[Number] = ()
    curve: Sequence[Sequence[str]] = ()
    flips: Sequence[FirstFailure] = ()
    warnings: Sequence[str] = ()
    gallery: Drawing | None = None


@dataclass(frozen=True)
class Page:
    """All that the template reads."""

    title: str
    status: str
    score: str
    result: Result
    findings: Told
    anchors: dict[str, str]
    overview: Drawing
    sections: Sequence[Section]
    slices: Sequence[Drawing]
    interactions: Sequence[Sequence[str]]
    facts: Sequence[tuple[str, str]]
    hidden: Sequence[str] = ()


def render(result: Result) -> str:
    """Return the report as HTML: inline SVG, no script, nothing from the network; everything escaped."""
    return pages.environment().get_template("report.html").render(page=make_page(result))


def render_summary(result: Result) -> str:
    """Return findings and summary as a piece of HTML, for notebooks."""
    return pages.render_piece(pages.told(findings(result), RESULT_TONES), result.summary())


def make_page(result: Result) -> Page:
    """Compute and draw what the template needs."""
    found = findings(result)
    said = {each.name: each.text for each in found}
    tests = [result.tests[name] for name in said if name in result.tests]
    anchors = {test.name: f"test-{index}" for index, test in enumerate(tests)}
    overview = pages.drawn(plots.overview(result), pages.in_words("All tests", found))
    slices = [
        pages.drawn(plots.draw_slices(result, each), f"Heat map of tests in the slices by {each.column}")
        for each in result.slices
    ]
    used = sum(len(each.image) for each in (overview, *slices))
    figures = _fitting((_figure(result, test, said) for test in tests), MOST_FIGURES - used)
    used += sum(len(each.image) for each in figures.values())
    galleries = _fitting((_gallery(result, name) for name in result.galleries), MOST_PICTURES - used)
    hidden = [test.slug for test in tests if test.name not in figures]
    hidden += [f"{result.tests[name].slug}.gallery" for name in result.galleries if name not in galleries]
    return Page(
        title=f"Sensitivity of {words.plain(result.title) or 'a model'}",
        status=result.status,
        score=words.score_label(result.score),
        result=result,
        findings=pages.told(found, RESULT_TONES),
        anchors=anchors,
        overview=overview,
        sections=[
            _section(test, anchors[test.name], said[test.name], figures.get(test.name), galleries.get(test.name))
            for test in tests
        ],
        slices=slices,
        interactions=_interactions(result),
        facts=_facts(result),
        hidden=hidden,
    )


def _figure(result: Result, test: TestResult, said: dict[str, str]) -> tuple[str, Drawing]:
    return test.name, pages.drawn(plots.draw(result, test), f"{test.name}: {said[test.name]}")


def _gallery(result: Result, name: str) -> tuple[str, Drawing]:
    data = base64.b64encode(plots.to_png(result.plot(name, kind="gallery"), GALLERY_DPI)).decode()
    alt = f"Examples under {name}, each at several magnitudes, with the model's answer and score"
    return name, pages.picture(f"data:image/png;base64,{data}", alt)


def _fitting(drawings: Iterable[tuple[str, Drawing]], room: int) -> dict[str, Drawing]:
    """Take drawings by name, in their order, until one finds no room; those after it are not made."""
    found: dict[str, Drawing] = {}
    for name, drawing in drawings:
        room -= len(drawing.image)
        if room < 0:
            break
        found[name] = drawing
    return found


def _section(test: TestResult, anchor: str, sentence: str, figure: Drawing | None, gallery: Drawing | None) -> Section:
    return Section(
        anchor=anchor,
        name=test.name,
        slug=test.slug,
        kind=test.kind,
        decision=test.fit.decision if test.ok else "failed",
        sentence=sentence,
        figure=figure,
        numbers=_numbers(test),
        curve=_curve(test),
        flips=test.flips,
        warnings=test.warnings,
        gallery=gallery,
    )


def _numbers(test: TestResult) -> list[Number]:
    """The test's scalars, each with its interval or bound where it has one."""
    found = test.metrics
    rows = []
    for key, meaning in NUMBERS.items():
        if key not in found:
            continue
        value, said = _number(found[key], found.get(f"{key}_lo95"), found.get(f"{key}_hi95"))
        rows.append(Number(key, meaning, words.probability(found[key]) if key == "prob_sensitive" else value, said))
    return [*rows, *_ranges(test)]


def _number(value: float, low: float | None, high: float | None) -> tuple[str, str]:
    """A value and its interval or bound, with the decimals that this deserves."""
    if low is not None and high is not None:
        said, bottom, top = words.between(Interval(value, low, high, low, high))
        return said, f"{bottom} to {top}"
    bound = high if low is None else low
    if bound is None:
        return words.number(value), ""
    step = max(abs(value - bound) / 10, abs(value) / 1000)
    said, end = (words.number(x, step, zeros=value != bound) for x in (value, bound))
    return said, f"{'at most' if low is None else 'at least'} {end}"


def _ranges(test: TestResult) -> list[Number]:
    """What was fitted to part of the range; it stands in report.json and under no key."""
    rows = []
    for part in getattr(test.fit, "fit_range", ()):
        over = words.quantity(words.plain(test.unit), part.start, part.stop)
        value, low, high = words.between(part.effect)
        rows.append(Number("fit_range", f"effect over {over}: {part.note}", value, f"{low} to {high}"))
    return rows


def _curve(test: TestResult) -> list[list[str]]:
    frame = test.curve
    return [
        [_cell(row[name]) for name in ("p", "score", "sd", "n", "lo95", "hi95")] for row in frame.to_dict("records")
    ]


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None or value != value else words.number(float(value))


def _interactions(result: Result) -> list[list[str]]:
    rows = result.interactions_frame().to_dict("records")
    names = ("property", "perturbation", "quantity")
    return [[*(str(row[name]) for name in names), *_said(row), str(row["decision"])] for row in rows]


def _said(row: dict[Any, Any]) -> tuple[str, str, str]:
    value, low, high = (float(row[name]) for name in ("value", "lo95", "hi95"))
    return words.between(Interval(value, value, value, low, high))


def _facts(result: Result) -> list[tuple[str, str]]:
    score = result.score
    bounds = f"{'−∞' if score.lower is None else score.lower} to {'∞' if score.upper is None else score.upper}"
    return [
        ("Model", result.model_name),
        ("Examples", f"{result.n:,}"),
        ("Score", f"{score.kind} ({score.unit}), {bounds}, from {score.source}"),
        ("Clean score", words.with_interval("", result.clean).strip()),
        *([("Several tests", result.several.text)] if result.several else []),
        ("Predictions", f"{_predictions(result)} in {result.seconds:.1f} s"),
        ("Data, SHA-256", result.data_sha256),
        ("Recipe, SHA-256", result.recipe_sha256),
        ("Versions", ", ".join(f"{name} {_version(name)}" for name in PACKAGES if _version(name))),
    ]


def _predictions(result: Result) -> str:
    """How many were made, and where tests stopped early, of how many."""
    stopped = [
        f"{test.name} after {test.fit.n:,}" for test in result.tests.values() if test.ok and test.stopped != "all"
    ]
    if not stopped or result.n_planned is None:
        return f"{result.n_predictions:,}"
    return f"{result.n_predictions:,} of {result.n_planned:,} (stopped early: {', '.join(stopped)})"


@lru_cache
def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
