"""What the pages share: the templates' environment, figures as inline SVG, and the piece for notebooks."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_sensie import plots
from mlflow_sensie.text.findings import Finding, Tone

if TYPE_CHECKING:
    import pandas as pd
    from jinja2 import Environment
    from markupsafe import Markup
    from matplotlib.figure import Figure

HANDFUL = 4  # findings that a page says in full before it folds the rest
MOST_NAMES = 6  # in the line of what is folded


@dataclass(frozen=True)
class Fold:
    """Findings of one tone that a line names, and that are there in full when it is opened."""

    tone: Tone
    line: str
    findings: Sequence[Finding]


@dataclass(frozen=True)
class Told:
    """Findings as a page tells them: a handful in full, the rest folded by tone."""

    full: Sequence[Finding]
    folds: Sequence[Fold] = ()


@dataclass(frozen=True)
class Drawing:
    """A figure ready for the page, and what it shows in words."""

    image: Markup
    alt: str


def told(findings: Sequence[Finding], tones: Mapping[Tone, str]) -> Told:
    """Fold what would bury the rest: what is open, and whatever comes after a handful; the first always stands.

    ``tones`` says what each tone is called, in the order of the folds.
    """
    if len(findings) <= HANDFUL:
        return Told(findings)
    full = [*findings[:1], *(each for each in findings[1:] if each.tone != "open")][:HANDFUL]
    rest = [each for each in findings if each not in full]
    of_tone = {tone: [each for each in rest if each.tone == tone] for tone in tones}
    begun = {each.tone for each in full}
    return Told(full, [_fold(tone, tones[tone], found, tone in begun) for tone, found in of_tone.items() if found])


def _fold(tone: Tone, name: str, findings: Sequence[Finding], begun: bool) -> Fold:
    names = ", ".join(each.name for each in findings[:MOST_NAMES])
    count = f"{len(findings)}{' more' if begun else ''}"
    left = f" and {len(findings) - MOST_NAMES} more" if len(findings) > MOST_NAMES else ""
    return Fold(tone, f"{name} ({count}): {names}{left}", findings)


def drawn(figure: Figure, alt: str) -> Drawing:
    """Give a figure as inline SVG that grows and shrinks with the page."""
    from markupsafe import Markup

    text = plots.to_svg(figure)
    text = re.sub(r"<!--.*?-->|\s*\n\s*(?=<)", "", text[text.index("<svg") :], flags=re.DOTALL)
    for side in ("width", "height"):
        text = re.sub(rf'(<svg[^>]*?) {side}="[^"]*"', r"\1", text, count=1)
    label = html.escape(alt, quote=True)
    return Drawing(Markup(text.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)), alt)


def in_words(name: str, findings: Sequence[Finding]) -> str:
    """Describe a figure of everything by its findings."""
    return f"{name}: " + "; ".join(f"{each.name}: {each.text}" for each in findings)


def picture(source: str, alt: str) -> Drawing:
    """Give a picture by its data URI."""
    from markupsafe import Markup

    return Drawing(Markup('<img alt="{}" src="{}">').format(alt, source), alt)


def render_piece(found: Told, table: pd.DataFrame) -> str:
    """Return findings and a table as a piece of HTML, for notebooks."""
    rows = table.to_html(float_format="{:.3g}".format, na_rep="", border=0)
    return environment().get_template("summary.html").render(found=found, table=rows)


def environment() -> Environment:
    """Give the templates, with everything escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    folder = Path(__file__).parent / "templates"
    made = Environment(loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
                       lstrip_blocks=True)  # fmt: skip
    made.filters["glued"] = glued
    return made


def glued(text: str) -> str:
    """Keep a number and its sign, unit or bracket on one line."""
    return re.sub(r"(?<=\d) (?=%|\[)", "\u00a0", text)
