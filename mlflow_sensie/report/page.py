"""What all pages share: sections filled by templates, figures as inline SVG, folded findings, pieces for notebooks."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mlflow_sensie import plots
from mlflow_sensie.text.findings import Finding, Tone

if TYPE_CHECKING:
    import pandas as pd
    from jinja2 import Environment
    from markupsafe import Markup
    from matplotlib.figure import Figure

S = TypeVar("S")
HANDFUL = 4  # findings that a page says in full before it folds the rest
MOST_NAMES = 6  # in the line of what is folded


@dataclass(frozen=True)
class Page:
    """A page: its title, and what each section shows by the section's name, which is that of its template."""

    title: str
    sections: Mapping[str, Any]

    @classmethod
    def of(cls, title: str, subject: S, sections: Mapping[str, Callable[[S], Any]]) -> Page:
        """Make the sections of a table, in its order; one without content (``None``) is left out."""
        contents = {name: content(subject) for name, content in sections.items()}
        return cls(title, {name: content for name, content in contents.items() if content is not None})

    def render(self) -> str:
        """Return the page as HTML: inline SVG, no script, nothing from the network; everything escaped."""
        return environment().get_template("page.html").render(page=self)


@dataclass(frozen=True)
class Drawing:
    """A figure ready for the page, and what it shows in words."""

    image: Markup
    alt: str


@dataclass(frozen=True)
class Fold:
    """Findings of one tone that a line names, and that are there in full when it is opened."""

    tone: Tone
    line: str
    findings: Sequence[Finding]


@dataclass(frozen=True)
class FoldedFindings:
    """Findings as a page shows them: a handful in full, the rest folded by tone; where each leads, by its name."""

    full: Sequence[Finding]
    folds: Sequence[Fold] = ()


def folded(findings: Sequence[Finding], tones: Mapping[Tone, str]) -> FoldedFindings:
    """Fold what would bury the rest: what is open, and whatever comes after a handful; the first always stands.

    ``tones`` says what each tone is called, in the order of the folds.
    """
    if len(findings) <= HANDFUL:
        return FoldedFindings(findings)
    full = [*findings[:1], *(finding for finding in findings[1:] if finding.tone != "open")][:HANDFUL]
    rest = [finding for finding in findings if finding not in full]
    by_tone = {tone: [finding for finding in rest if finding.tone == tone] for tone in tones}
    begun = {finding.tone for finding in full}
    return FoldedFindings(
        full, [_fold(tone, tones[tone], some, tone in begun) for tone, some in by_tone.items() if some]
    )


def _fold(tone: Tone, name: str, findings: Sequence[Finding], begun: bool) -> Fold:
    names = ", ".join(finding.name for finding in findings[:MOST_NAMES])
    count = f"{len(findings)}{' more' if begun else ''}"
    left = f" and {len(findings) - MOST_NAMES} more" if len(findings) > MOST_NAMES else ""
    return Fold(tone, f"{name} ({count}): {names}{left}", findings)


def drawing(figure: Figure, alt: str) -> Drawing:
    """Give a figure as inline SVG that grows and shrinks with the page."""
    from markupsafe import Markup

    text = plots.to_svg(figure)
    text = re.sub(r"<!--.*?-->|\s*\n\s*(?=<)", "", text[text.index("<svg") :], flags=re.DOTALL)
    for side in ("width", "height"):
        text = re.sub(rf'(<svg[^>]*?) {side}="[^"]*"', r"\1", text, count=1)
    label = html.escape(alt, quote=True)
    return Drawing(Markup(text.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)), alt)


def picture(source: str, alt: str) -> Drawing:
    """Give a picture by its data URI."""
    from markupsafe import Markup

    return Drawing(Markup('<img alt="{}" src="{}">').format(alt, source), alt)


def in_words(name: str, findings: Sequence[Finding]) -> str:
    """Describe a figure of everything by its findings."""
    return f"{name}: " + "; ".join(f"{finding.name}: {finding.text}" for finding in findings)


def anchors_of(names: Sequence[str]) -> dict[str, str]:
    """Give the anchors of tests, by which findings lead to them."""
    return {name: f"test-{index}" for index, name in enumerate(names)}


def render_piece(findings: FoldedFindings, table: pd.DataFrame) -> str:
    """Return findings and a table as a piece of HTML, for notebooks."""
    rows = table.to_html(float_format="{:.3g}".format, na_rep="", border=0)
    return environment().get_template("piece.html").render(findings=findings, table=rows)


def environment() -> Environment:
    """Give the templates, with everything escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    folder = Path(__file__).parent / "templates"
    templates = Environment(
        loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    templates.filters["glued"] = glued
    return templates


def glued(text: str) -> str:
    """Keep a number and its sign, unit or bracket on one line."""
    return re.sub(r"(?<=\d) (?=%|\[)", "\u00a0", text)
