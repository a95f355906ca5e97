"""What all pages share: sections filled by templates, figures as inline SVG, folded findings, pieces for notebooks."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from mlflow_sensie import plots
from mlflow_sensie.comparison.result import Comparison
from mlflow_sensie.text.findings import Finding, Tone, findings, tones_of
from mlflow_sensie.text.skill import is_without_skill, skill_sentence

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup
    from matplotlib.figure import Figure

    from mlflow_sensie.result import Result

S = TypeVar("S", "Result", "Comparison")
HANDFUL = 4  # findings that a page says in full before it folds the rest
MOST_NAMES = 6  # in the line of what is folded


@dataclass(frozen=True)
class Drawn(Generic[S]):
    """A result or comparison with its findings, and its figures as HTML: of all, and of tests where there is room."""

    subject: S
    findings: Sequence[Finding]
    overview: Markup
    figures: Mapping[str, Markup]
    slices: Sequence[Markup] = ()
    galleries: Mapping[str, Markup] = field(default_factory=dict)

    @property
    def tests(self) -> list[Any]:
        """The tests in the order of the findings; those of which nothing is said come last."""
        order = [finding.name for finding in self.findings]
        tests = self.subject.tests.values()
        return sorted(tests, key=lambda test: order.index(test.name) if test.name in order else len(order))

    @property
    def anchors(self) -> dict[str, str]:
        """Where each test stands on the page, by its name: there its finding leads."""
        return {test.name: f"test-{index}" for index, test in enumerate(self.tests)}

    def findings_section(self, note: str) -> dict[str, Any]:
        """Give what the page says first; ``note`` explains numbers and colours."""
        shown, warnings = folded(self.findings, tones_of(self.subject)), self.subject.warnings
        return {"findings": shown, "anchors": self.anchors, "warnings": warnings, "note": note}


@dataclass(frozen=True)
class Page:
    """A page: its title, and what each section shows by the section's name, which is that of its template."""

    title: str
    sections: Mapping[str, Any]

    @classmethod
    def of(cls, title: str, drawn: Drawn[S], sections: Mapping[str, Callable[[Drawn[S]], Any]]) -> Page:
        """Make the sections of a table, in its order; one without content (``None``) is left out."""
        contents = {name: content(drawn) for name, content in sections.items()}
        return cls(title, {name: content for name, content in contents.items() if content is not None})

    def render(self) -> str:
        """Return the page as HTML: inline SVG, no script, nothing from the network; everything escaped."""
        return environment().get_template("page.html").render(page=self)


def folded(ordered: Sequence[Finding], tones: Mapping[Tone, str]) -> list[tuple[str, str, Sequence[Finding]]]:
    """Fold what would bury the rest: what is open, and whatever comes after a handful; the first always stands.

    Returns (tone, line, findings): first, without tone and line, what a page says in full, then what a line names and
    opens to. ``tones`` says what each tone is called, in the order of the folds.
    """
    if len(ordered) <= HANDFUL:
        return [("", "", ordered)]
    full = [*ordered[:1], *(finding for finding in ordered[1:] if finding.tone != "open")][:HANDFUL]
    parts: list[tuple[str, str, Sequence[Finding]]] = [("", "", full)]
    for tone, name in tones.items():
        hidden = [finding for finding in ordered if finding.tone == tone and finding not in full]
        if hidden:
            more = " more" if tone in {finding.tone for finding in full} else ""
            names = ", ".join(finding.name for finding in hidden[:MOST_NAMES])
            left = f" and {len(hidden) - MOST_NAMES} more" if len(hidden) > MOST_NAMES else ""
            parts.append((tone, f"{name} ({len(hidden)}{more}): {names}{left}", hidden))
    return parts


def drawing(figure: Figure, alt: str) -> Markup:
    """Give a figure as inline SVG that grows and shrinks with the page; ``alt`` says what it shows."""
    from markupsafe import Markup

    text = plots.to_svg(figure)
    text = re.sub(r"<!--.*?-->|\s*\n\s*(?=<)", "", text[text.index("<svg") :], flags=re.DOTALL)
    for side in ("width", "height"):
        text = re.sub(rf'(<svg[^>]*?) {side}="[^"]*"', r"\1", text, count=1)
    label = html.escape(alt, quote=True)
    return Markup(text.replace("<svg", f'<svg role="img" aria-label="{label}"', 1))


def in_words(name: str, shown: Sequence[Finding]) -> str:
    """Describe a figure of everything by its findings."""
    return f"{name}: " + "; ".join(f"{finding.name}: {finding.text}" for finding in shown)


def render_piece(subject: Result | Comparison) -> str:
    """Return findings and summary as a piece of HTML, for notebooks."""
    table = subject.summary().to_html(float_format="{:.3g}".format, na_rep="", border=0)
    shown = folded(findings(subject), tones_of(subject))
    skill = "" if isinstance(subject, Comparison) or is_without_skill(subject) else skill_sentence(subject)
    return environment().get_template("piece.html").render(skill=skill, findings=shown, table=table)


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
