"""A comparison as files: a page, JSON, a table, and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_sensie.comparison.result import Comparison
from mlflow_sensie.report.comparison_page import NAME, render_leaderboard

if TYPE_CHECKING:
    import pandas as pd


def write_leaderboard(
    table: pd.DataFrame, comparisons: Mapping[str, Comparison], folder: Path, folders: Sequence[str] = ()
) -> list[Path]:
    """Write leaderboard.csv and, of more than two models, their sensie_comparison.html; return the files.

    ``folders`` within the folder hold the comparisons' own files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / "leaderboard.csv"]
    table.to_csv(files[0], index=False)
    if len(comparisons) > 1:
        files.append(folder / NAME)
        files[1].write_text(render_leaderboard(table, comparisons, folders), encoding="utf-8")
    return files


def write_comparison(comparison: Comparison, folder: Path) -> list[Path]:
    """Write sensie_comparison.html, comparison.json, .csv and .png, a figure per test with a curve; return the files.

    Raises:
        OSError: the folder cannot be made or written into.
    """
    from mlflow_sensie.plots import to_png

    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / NAME, *(folder / f"comparison.{kind}" for kind in ("json", "csv", "png"))]
    files[0].write_text(comparison.html(), encoding="utf-8")
    files[1].write_text(comparison.to_json(), encoding="utf-8")
    comparison.summary().to_csv(files[2], index=False)
    files[3].write_bytes(to_png(comparison.plot()))
    # A test may be called "comparison": its figure would take the place of the one of all.
    for test in comparison.tests.values():
        if test.curve is not None:
            files.append(folder / f"test.{test.slug}.png")
            files[-1].write_bytes(to_png(comparison.plot(test.name)))
    return files
