"""The documentation says what the code does: its tables of the library are those that the command prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from mlflow_sensie.cli import main
from mlflow_sensie.perturbations import BUILT_IN as PERTURBATIONS
from mlflow_sensie.properties import BUILT_IN as PROPERTIES

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def tables(command: str) -> dict[str, list[str]]:
    """The Markdown rows that a command prints, by kind of input, without that column; the header under ``""``."""
    found: dict[str, list[str]] = {}
    for number, line in enumerate(CliRunner().invoke(main, [command, "--markdown"]).output.splitlines()):
        name, kind, *rest = line[2:-2].split(" | ")
        if number > 1 and name not in (*PERTURBATIONS, *PROPERTIES, "COLUMN"):
            continue  # of another package that is installed here
        found.setdefault("" if number < 2 else kind, []).append(f"| {' | '.join([name, *rest])} |")
    return found


def test_the_page_has_the_tables_of_the_perturbations() -> None:
    page = (ROOT / "docs" / "perturbations.md").read_text(encoding="utf-8")
    found = tables("perturbations")
    header = found.pop("")
    assert sum(map(len, found.values())) == len(PERTURBATIONS)
    for rows in found.values():
        wanted = "\n".join([*header, *rows])
        assert wanted in page, f"docs/perturbations.md: put in\n{wanted}"


def test_the_page_has_the_table_of_the_properties() -> None:
    page = (ROOT / "docs" / "perturbations.md").read_text(encoding="utf-8")
    done = CliRunner().invoke(main, ["properties", "--markdown"]).output.splitlines()
    rows = [row for row in done[2:] if row.split(" | ")[0].strip("| ") in (*PROPERTIES, "COLUMN")]
    assert len(rows) == len(PROPERTIES) + 1
    wanted = "\n".join([*done[:2], *rows])
    assert wanted in page, f"docs/perturbations.md: put in\n{wanted}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name}: {target}"
