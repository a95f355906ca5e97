"""Results and comparisons as files, as they lie on a run: pages, JSON, tables and figures; and results read back."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mlflow_sensie import plots
from mlflow_sensie.comparison.result import Comparison
from mlflow_sensie.errors import ComparisonError
from mlflow_sensie.recipe.model import slug
from mlflow_sensie.recipe.reading import capped_log_examples
from mlflow_sensie.report.comparison_page import NAME, render_leaderboard
from mlflow_sensie.report.result_page import render
from mlflow_sensie.result import Result
from mlflow_sensie.scores.table import ScoreTable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCORE_TABLE_BYTES = 200 * 2**20
REPORT = "sensie_report.html"
POSTERIOR = ("posterior.nc", "posterior.png")  # what engine pymc sampled; no test has this name
SLICES = "slices"  # the folder of the slices' figures, where no test's figure can be
BINS = ["row", "score", "test", "kind", "p", "label", "sd", "n", "lo95", "hi95"]


def write_files(result: Result, folder: Path) -> list[Path]:
    """Write all artifacts of a result below ``folder``, as they lie on the run, and return the files."""
    home = folder / f"{result.prefix}sensie"
    home.mkdir(parents=True, exist_ok=True)
    # At the root, whatever the prefix: MLflow's page that compares runs lists no file below a folder.
    page = folder / f"{result.prefix.replace('/', '-')}{REPORT}"
    return [
        _text(home / "report.json", result.to_json()),
        _text(home / "recipe.yaml", result.recipe_yaml),
        *_tables(result, home),
        *_posterior(result, home),
        *_figures(result, home),
        _text(page, render(result)),
    ]


def _text(file: Path, text: str) -> Path:
    file.write_text(text, encoding="utf-8")
    return file


def _png(file: Path, figure: Figure) -> Path:
    file.write_bytes(plots.to_png(figure))
    return file


def _tables(result: Result, home: Path) -> Iterator[Path]:
    bins = bins_table(result)
    bins.to_csv(home / "bins.csv", index=False)
    bins.to_json(home / "bins.json", orient="split", index=False)
    yield from (home / "bins.csv", home / "bins.json")
    if result.verdict is not None:
        yield _text(home / "verdict.json", result.verdict.to_json())
    if result.slices:
        result.slices_frame().to_csv(home / "slices.csv", index=False)
        yield home / "slices.csv"
    table = result.score_table
    if table is None or not result.recipe.get("scores", True):
        return
    if table.nbytes <= SCORE_TABLE_BYTES:
        table.write_parquet(home / "scores.parquet")
        yield home / "scores.parquet"
    else:
        much = f"{table.nbytes / 2**20:.0f} MB, more than {SCORE_TABLE_BYTES / 2**20:.0f} MB"
        warnings.warn(f"sensie: the score table takes {much}, and is not uploaded", UserWarning, stacklevel=3)


def _posterior(result: Result, home: Path) -> Iterator[Path]:
    if result.inference_data is not None:
        draws, figure = (home / name for name in POSTERIOR)
        result.inference_data.to_netcdf(str(draws), engine="h5netcdf")
        yield from (draws, _png(figure, plots.draw_posterior(result)))


def _figures(result: Result, home: Path) -> Iterator[Path]:
    if result.slices:
        (home / SLICES).mkdir()
    for column in result.slices:
        yield _png(home / SLICES / f"{slug(column.column)}.png", plots.draw_slices(result, column))
    for test in result.tests.values():
        yield _png(home / f"{test.slug}.png", plots.draw(result, test))
    for name, file in gallery_files(result, result.galleries).items():
        yield _png(home / file, result.plot(name, kind="gallery"))


def gallery_files(result: Result, names: Iterable[str]) -> dict[str, str]:
    """Return the galleries' files of these tests by test; none unless examples may be uploaded in full."""
    if capped_log_examples(result.recipe.get("log_examples", "ids")) != "full":
        return {}
    figures = {f"{test.slug}.png" for test in result.tests.values()}
    files = {name: f"{result.tests[name].slug}.gallery.png" for name in names}
    return {name: file for name, file in files.items() if file not in figures}


def kept_files(result: Result, home: Path) -> list[Path]:
    """Files of an earlier attempt in a folder that a result read back from JSON cannot make again."""
    names = [*gallery_files(result, result.tests).values(), *(POSTERIOR if result.sampling else ())]
    return [home / name for name in names if (home / name).is_file()]


def bins_table(result: Result) -> pd.DataFrame:
    """Return the curves of all tests below each other: row (unique), score, test, kind, p, label, sd, n, lo95, hi95.

    A column per metric follows, empty where it is undefined.
    """
    metrics = dict.fromkeys(name for test in result.tests.values() for name in test.metric_fits if name not in BINS)
    columns, parts = [*BINS, *metrics], []
    for test in filter(lambda test: test.ok, result.tests.values()):
        curve = test.curve
        numeric = test.kind in ("property", "perturbation")
        curve = curve.assign(label="" if numeric else curve["p"], p=curve["p"] if numeric else np.nan)
        rows = [f"{test.slug}/{index:03d}" for index in range(len(curve))]
        values = test.metric_curves.pivot(index="bin", columns="metric", values="value")
        curve = curve.assign(row=rows, test=test.name, kind=test.kind)
        parts.append(curve.join(values[[name for name in values if name in metrics]]))
    frame = pd.concat(parts, ignore_index=True).reindex(columns=columns) if parts else pd.DataFrame(columns=columns)
    return frame.astype({"p": float, "label": str, "n": int})


def read_folder(folder: Path) -> Result:
    """Read the one result below a folder: its report.json and, where it lies beside it, scores.parquet.

    Raises:
        ComparisonError: there is no report, or several.
    """
    homes = sorted(report.parent for report in folder.rglob("report.json"))
    if len(homes) != 1:
        there = ", ".join(str(home.relative_to(folder)) for home in homes) or "none"
        raise ComparisonError(f"{folder}: one report.json is needed, found: {there}")
    return read_home(homes[0])


def read_home(home: Path) -> Result:
    """Read a result from the folder that report.json itself lies in."""
    result = Result.from_json((home / "report.json").read_text(encoding="utf-8"))
    if (home / "scores.parquet").is_file():
        result._score_table = ScoreTable.read_parquet(home / "scores.parquet")
    return result


# --- comparisons -------------------------------------------------------------------------------------------


def write_leaderboard(
    table: pd.DataFrame, comparisons: Mapping[str, Comparison], folder: Path, folders: Sequence[str] = ()
) -> list[Path]:
    """Write leaderboard.csv and, of more than two models, their sensie_comparison.html; return the files.

    ``folders`` within the folder hold the comparisons' own files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    table.to_csv(folder / "leaderboard.csv", index=False)
    page = [_text(folder / NAME, render_leaderboard(table, comparisons, folders))] if len(comparisons) > 1 else []
    return [folder / "leaderboard.csv", *page]


def write_comparison(comparison: Comparison, folder: Path) -> list[Path]:
    """Write sensie_comparison.html, comparison.json, .csv and .png, a figure per test with a curve; return the files.

    Raises:
        OSError: the folder cannot be made or written into.
    """
    folder.mkdir(parents=True, exist_ok=True)
    comparison.summary().to_csv(folder / "comparison.csv", index=False)
    # A test may be called "comparison": its figure would take the place of the one of all.
    curves = [test for test in comparison.tests.values() if test.curve is not None]
    return [
        _text(folder / NAME, comparison.html()),
        _text(folder / "comparison.json", comparison.to_json()),
        folder / "comparison.csv",
        _png(folder / "comparison.png", comparison.plot()),
        *(_png(folder / f"test.{test.slug}.png", comparison.plot(test.name)) for test in curves),
    ]
