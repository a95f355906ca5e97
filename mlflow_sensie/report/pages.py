"""What the pages share: the templates' environment, figures as inline SVG, and the piece for notebooks."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mlflow_sensie import plots

if TYPE_CHECKING:
    import pandas as pd
    from jinja2 import Environment
    from markupsafe import Markup
    from matplotlib.figure import Figure

Tone = Literal["bad", "good", "open", "failed"]


@dataclass(frozen=True)
class Finding:
    """A sentence about a test or slice (``name``), and whether it is bad news, good news, open, or a failure."""

    name: str
    text: str
    tone: Tone


@dataclass(frozen=True)
class Drawing:
    """A figure ready for the page, and what it shows in words."""

    image: Markup
    alt: str


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


def render_piece(findings: Sequence[Finding], table: pd.DataFrame) -> str:
    """Return findings and a table as a piece of HTML, for notebooks."""
    rows = table.to_html(float_format="{:.3g}".format, na_rep="", border=0)
    return environment().get_template("summary.html").render(findings=findings, table=rows)


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
