"""A comparison as files: JSON, a table, and figures."""

from __future__ import annotations

from pathlib import Path

from mlflow_sensie.comparison.result import Comparison


def write_comparison(comparison: Comparison, folder: Path) -> list[Path]:
    """Write comparison.json, comparison.csv, comparison.png and a figure per test with a curve; return the files.

    Raises:
        OSError: the folder cannot be made or written into.
    """
    from mlflow_sensie.plots import to_png

    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"comparison.{kind}" for kind in ("json", "csv", "png")]
    files[0].write_text(comparison.to_json(), encoding="utf-8")
    comparison.summary().to_csv(files[1], index=False)
    files[2].write_bytes(to_png(comparison.plot()))
    # A test may be called "comparison": its figure would take the place of the one of all.
    for test in comparison.tests.values():
        if test.curve is not None:
            files.append(folder / f"test.{test.slug}.png")
            files[-1].write_bytes(to_png(comparison.plot(test.name)))
    return files
