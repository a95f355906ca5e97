"""The documentation says what the code does: its tables of the library are those that the command prints."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from scipy import ndimage

from mlflow_sensie import probe
from mlflow_sensie.doors.cli import main
from mlflow_sensie.perturbations import BUILT_IN as PERTURBATIONS
from mlflow_sensie.perturbations.text import EditFunction
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


def code_of(page: str, name: str, **given: Any) -> Callable[..., Any]:
    """A function out of the code blocks of a page, which may use what is ``given``."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / page).read_text(encoding="utf-8"), re.S)
    (block,) = [block for block in blocks if f"def {name}(" in block]
    known: dict[str, Any] = {"np": np, **given}
    exec(block, known)
    found: Callable[..., Any] = known[name]
    return found


def test_the_functions_of_the_page_on_extending_run() -> None:
    def their_function(image: Any, severity: float) -> Any:
        return ndimage.gaussian_filter(image, severity, mode="nearest")

    crop, library = code_of("extending.md", "crop"), code_of("extending.md", "library", their_function=their_function)
    rng = np.random.default_rng(0)
    images = rng.random((60, 10, 10)).astype(np.float32)

    def model(x: Any) -> Any:
        p = 1 / (1 + np.exp(-40 * (x[:, 3:7, 3:7].mean(axis=(1, 2)) - 0.5)))
        return np.column_stack([1 - p, p])

    tests = [
        {"name": "crop", "apply": crop, "magnitudes": [0, 1, 2, 4], "neutral": 0},
        {"name": "theirs", "apply": library, "magnitudes": [0.5, 1, 2], "neutral": 0},
        {"name": "ours", "apply": "image.gaussian_blur", "magnitudes": [0.5, 1, 2]},
    ]
    result = probe(model, images, model(images).argmax(axis=1), {"perturbations": tests})
    assert not result.failed
    assert result.tests["crop"].curve["score"].iloc[-1] < result.tests["crop"].curve["score"].iloc[0]
    np.testing.assert_allclose(result.tests["theirs"].curve["score"], result.tests["ours"].curve["score"], atol=1e-5)


def test_the_edits_of_the_page_on_extending_run() -> None:
    exclaim = EditFunction(code_of("extending.md", "exclaim"))
    assert exclaim(np.array(["No. Never."]), 1.0, np.random.default_rng(0)).tolist() == ["No! Never!"]


# --- the figures of the study ------------------------------------------------------------------------------


def study() -> dict[str, list[dict[str, str]]]:
    """The tables of docs/study.md by title, a dict per row."""
    tables: dict[str, list[dict[str, str]]] = {}
    for part in (ROOT / "docs/study.md").read_text(encoding="utf-8").split("### ")[1:]:
        title, _, rest = part.partition("\n")
        head, _, *rows = ([cell.strip() for cell in row.strip("| ").split(" | ")] for row in rest.split("\n") if row)
        tables[title] = [dict(zip(head, row, strict=False)) for row in rows]
    return tables


@pytest.mark.parametrize(
    ("table", "column", "methods", "smallest"),
    [
        ("Property test: slope", "coverage 95", ["robust"], 0.93),
        ("Perturbation test", "coverage 95", ["slope, robust", "mean drop"], 0.93),
        ("Slope on the rank", "coverage 95", ["rank"], 0.93),
        ("Weights and clusters: effect", "coverage 95", ["robust"], 0.929),  # 12 clusters, flagged
        ("Holds until", "coverage of lo95", ["holds until"], 0.93),
        ("Stopping early", "effect 95", ["precision"], 0.93),
        ("Stopping early", "mean drop 95", ["precision"], 0.93),
        ("Two models: band of the curves", "band", ["curve"], 0.93),
    ],
)
def test_the_statistics_page_quotes_the_lowest_of_the_study(
    table: str, column: str, methods: list[str], smallest: float
) -> None:
    rows = [row for row in study()[table] if row["method"] in methods and int(row["N"]) >= 60]
    lowest = min(float(row[column]) for row in rows)
    assert lowest >= smallest
    assert f"{lowest:.3f}".removeprefix("0") in (ROOT / "docs/statistics.md").read_text(encoding="utf-8")


def test_no_spread_of_nothing_is_called_sensitive_too_often() -> None:
    highest = max(float(row["sensitive"]) for row in study()["Spread, no difference: false alarms"])
    assert highest <= 0.05
    assert f"highest {highest:.3f}".replace("0.", ".") in (ROOT / "docs/statistics.md").read_text(encoding="utf-8")
