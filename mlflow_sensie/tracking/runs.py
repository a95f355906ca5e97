"""Result ↔ MLflow run: names, batches, artifacts and tags."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.entities import Metric, RunTag

from mlflow_sensie import plots
from mlflow_sensie.errors import ComparisonError
from mlflow_sensie.recipe.model import slug
from mlflow_sensie.recipe.reading import capped_log_examples
from mlflow_sensie.report.page import render
from mlflow_sensie.result import MOST_TESTS_WITH_KEYS, Result, TestResult

if TYPE_CHECKING:
    from mlflow import MlflowClient

METRICS_PER_BATCH = 1_000  # the REST API takes no more in one call
SCORE_TABLE_BYTES = 200 * 2**20
LONGEST_TAG = 1_000  # some registries cut values there
DESTINATION = "destination.json"
REPORT = "sensie_report.html"
POSTERIOR = ("posterior.nc", "posterior.png")  # what engine pymc sampled; no test has this name
NAMELESS = ("models:/m-", "runs:/")  # what a logged model's URI begins with
SLICES = "slices"  # the folder of the slices' figures, where no test's figure can be
SERIES = {"score": "score", "score_lo95": "lo95", "score_hi95": "hi95", "p": "p"}


@dataclass(frozen=True)
class Destination:
    """Where a result goes: the run, and the model and dataset that its metrics are linked to.

    ``timestamp`` (ms since 1970) is that of the metrics. Logged again with the same one, they add no second
    point to a series, so a failed attempt may be repeated.
    """

    run_id: str
    model_id: str | None = None
    dataset_name: str | None = None
    dataset_digest: str | None = None
    timestamp: int | None = None


def log_result(
    result: Result, where: Destination, client: MlflowClient | None = None, *, kept: Sequence[Path] = ()
) -> dict[str, str]:
    """Put the whole result on the run and return its artifacts, name → URI.

    Everything is written to disk first. Scalars and series go in batches, the scalars linked to model and
    dataset where MLflow knows how; then the files and images; the tags come last, so that a run tagged
    ``done`` is complete. ``kept`` are files of an earlier attempt that a result read back from JSON cannot make again.

    Raises:
        mlflow.exceptions.MlflowException: the tracking server failed; the message says where the result lies
            on disk and how to log it.
    """
    client = client or mlflow.MlflowClient()
    result = _labelled(result, where, client)
    where = replace(where, timestamp=where.timestamp or int(time.time() * 1000))
    folder = Path(tempfile.mkdtemp(prefix="sensie-"))
    (folder / DESTINATION).write_text(json.dumps(asdict(where)), encoding="utf-8")
    try:
        files = write_files(result, folder)
        files += [Path(shutil.copy(file, files[0].parent)) for file in kept]
        _log_metrics(result, where, client)
        # Makes it a table for the UI, but appends to what an earlier attempt logged; the file then replaces it.
        client.log_table(where.run_id, bins_table(result), f"{result.prefix}sensie/bins.json")
        for file in files:
            client.log_artifact(where.run_id, str(file), _artifact_folder(file, folder) or None)
        _log_images(result, where, client)
        found = [RunTag(key, value) for key, value in tags(result, where).items()]
        client.log_batch(where.run_id, tags=found, synchronous=True)
        uri = client.get_run(where.run_id).info.artifact_uri
    except Exception as error:
        raise mlflow.exceptions.MlflowException(
            f"the result could not be logged to run {where.run_id} ({error}); all of it lies in {folder}. "
            f"To log it again: mlflow_sensie.log_folder({str(folder)!r}, {where.run_id!r})"
        ) from error
    names = [file.relative_to(folder).as_posix() for file in files]
    shutil.rmtree(folder, ignore_errors=True)
    return {name: f"{uri}/{name}" for name in names}


def _labelled(result: Result, where: Destination, client: MlflowClient) -> Result:
    """Call a model that has no name but an id by its run's."""
    if result.label or not result.model_name.startswith(NAMELESS):
        return result
    with suppress(mlflow.exceptions.MlflowException):  # a server that does not answer is told later, files at hand
        return result.model_copy(update={"label": client.get_run(where.run_id).info.run_name or ""})
    return result


def read_result(source: str | Path) -> Result:
    """Read a result back with its score table.

    ``source``: a run's id, or ``runs:/ID`` with the folder of ``report.json`` behind it where the run holds several
    (``runs:/ID/second/sensie``); or a folder on disk.

    Raises:
        ComparisonError: there is no report, or several and it is not said which.
    """
    if Path(source).is_dir():
        return _result_in(_home_in(Path(source)))
    folder = tempfile.TemporaryDirectory(prefix="sensie-")
    _download(str(source), folder.name)
    result = _result_in(_home_in(Path(folder.name)))
    if result.score_table is not None:
        result.score_table._folder = folder  # its file is read when asked for, and goes when the table does
    return result


def _home_in(folder: Path) -> Path:
    homes = sorted(report.parent for report in folder.rglob("report.json"))
    if len(homes) != 1:
        found = ", ".join(str(home.relative_to(folder)) for home in homes) or "none"
        raise ComparisonError(f"{folder}: one report.json is needed, found: {found}")
    return homes[0]


def _download(source: str, folder: str) -> None:
    """Fetch what a result is read from, out of a run."""
    run_id, _, path = source.removeprefix("runs:/").partition("/")
    client = mlflow.MlflowClient()
    try:
        homes = [path] if path else _homes(client, run_id)
        if len(homes) != 1:
            found = ", ".join(f"runs:/{run_id}/{home}" for home in homes) or "none"
            raise ComparisonError(f"run {run_id}: one sensie/report.json is needed, found: {found}")
        for file in client.list_artifacts(run_id, homes[0]):
            if Path(file.path).name in ("report.json", "scores.parquet"):
                client.download_artifacts(run_id, file.path, folder)
    except mlflow.exceptions.MlflowException as error:
        raise ComparisonError(f"{source!r} is neither a folder nor a run that can be read: {error}") from error


def _homes(client: MlflowClient, run_id: str, path: str | None = None) -> list[str]:
    """List the folders of a run that results lie in."""
    entries = client.list_artifacts(run_id, path)
    if path and any(each.path == f"{path}/report.json" for each in entries):
        return [path]
    return [home for each in entries if each.is_dir for home in _homes(client, run_id, each.path)]


def _result_in(folder: Path) -> Result:
    """Read report.json and, where it lies beside it, scores.parquet."""
    from mlflow_sensie.scores.table import ScoreTable

    result = Result.from_json((folder / "report.json").read_text(encoding="utf-8"))
    scores = folder / "scores.parquet"
    if scores.is_file():
        result._score_table = ScoreTable.read_parquet(scores)
    return result


def log_folder(folder: str | Path, run_id: str) -> None:
    """Log a result that lies on disk because the tracking server had failed.

    Raises:
        FileNotFoundError: the folder holds no ``report.json``.
    """
    root = Path(folder)
    report = next(root.rglob("report.json"), None)
    if report is None:
        raise FileNotFoundError(f"{root} holds no report.json, so no result")
    result = _result_in(report.parent)
    said = root / DESTINATION
    links = json.loads(said.read_text(encoding="utf-8")) if said.is_file() else {}
    names = [*gallery_names(result, result.tests).values(), *(POSTERIOR if result.sampling else ())]
    kept = [report.with_name(name) for name in names if report.with_name(name).is_file()]
    log_result(result, Destination(**{**links, "run_id": run_id}), kept=kept)


def write_files(result: Result, folder: Path) -> list[Path]:
    """Write all artifacts of a result below ``folder``, as they lie on the run, and return the files."""
    home = folder / f"{result.prefix}sensie"
    home.mkdir(parents=True, exist_ok=True)
    (home / "report.json").write_text(result.to_json(), encoding="utf-8")
    (home / "recipe.yaml").write_text(result.recipe_yaml, encoding="utf-8")
    bins = bins_table(result)
    bins.to_csv(home / "bins.csv", index=False)
    bins.to_json(home / "bins.json", orient="split", index=False)
    files = [home / name for name in ("report.json", "recipe.yaml", "bins.csv", "bins.json")]
    if result.verdict is not None:
        files.append(home / "verdict.json")
        files[-1].write_text(result.verdict.to_json(), encoding="utf-8")
    table = result.score_table
    if table is not None and result.recipe.get("scores", True):
        if table.nbytes <= SCORE_TABLE_BYTES:
            table.write_parquet(home / "scores.parquet")
            files.append(home / "scores.parquet")
        else:
            much = f"{table.nbytes / 2**20:.0f} MB, more than {SCORE_TABLE_BYTES / 2**20:.0f} MB"
            warnings.warn(f"sensie: the score table takes {much}, and is not uploaded", UserWarning, stacklevel=2)
    if result.inference_data is not None:
        files += [home / name for name in POSTERIOR]
        result.inference_data.to_netcdf(str(files[-2]), engine="h5netcdf")
        files[-1].write_bytes(plots.to_png(plots.draw_posterior(result)))
    if result.slices:
        files.append(home / "slices.csv")
        result.slices_frame().to_csv(files[-1], index=False)
        (home / SLICES).mkdir()
    for column in result.slices:
        files.append(home / SLICES / f"{slug(column.column)}.png")
        files[-1].write_bytes(plots.to_png(plots.draw_slices(result, column)))
    for test in result.tests.values():
        files.append(home / f"{test.slug}.png")
        files[-1].write_bytes(plots.to_png(plots.draw(result, test)))
    for test_name, file_name in gallery_names(result, result.galleries).items():
        files.append(home / file_name)
        files[-1].write_bytes(plots.to_png(result.plot(test_name, kind="gallery")))
    # At the root, whatever the prefix: MLflow's page that compares runs lists no file below a folder.
    files.append(folder / f"{result.prefix.replace('/', '-')}{REPORT}")
    files[-1].write_text(render(result), encoding="utf-8")
    return files


def gallery_names(result: Result, names: Iterable[str]) -> dict[str, str]:
    """Return the galleries' files of these tests by test; none unless examples may be uploaded in full."""
    if capped_log_examples(result.recipe.get("log_examples", "ids")) != "full":
        return {}
    figures = {f"{test.slug}.png" for test in result.tests.values()}
    found = {name: f"{result.tests[name].slug}.gallery.png" for name in names}
    return {name: file for name, file in found.items() if file not in figures}


def bins_table(result: Result) -> pd.DataFrame:
    """Return the curves of all tests below each other: row (unique), score, test, kind, p, label, sd, n, lo95, hi95."""
    parts = []
    for test in filter(lambda test: test.ok, result.tests.values()):
        curve = test.curve
        numeric = test.kind in ("property", "perturbation")
        curve = curve.assign(label="" if numeric else curve["p"], p=curve["p"] if numeric else np.nan)
        rows = [f"{test.slug}/{index:03d}" for index in range(len(curve))]
        parts.append(curve.assign(row=rows, test=test.name, kind=test.kind))
    columns = ["row", "score", "test", "kind", "p", "label", "sd", "n", "lo95", "hi95"]
    frame = pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)
    return frame.astype({"p": float, "label": str, "n": int})


def tags(result: Result, where: Destination) -> dict[str, str]:
    """Return the run's tags; without dots in their names, which some registries refuse."""
    found = {
        "sensie_status": result.status,
        "sensie_failed_tests": ", ".join(result.failed),
        "sensie_worst_test": result.worst_test or "",
        "sensie_score": result.score.kind,
        "sensie_run_id": where.run_id,
        "sensie_data_sha256": result.data_sha256,
        "sensie_recipe_sha256": result.recipe_sha256,
        "sensie_version": result.version,
    }
    if result.verdict is not None:
        found["sensie_verdict"] = result.verdict.outcome
    return {key: value[:LONGEST_TAG] for key, value in found.items()}


def _log_metrics(result: Result, where: Destination, client: MlflowClient) -> None:
    """Log scalars and series in batches.

    The series go from a thread of their own, where no model is active: MLflow 3 links what is logged beside
    an active model to it, and a model's page has no steps to tell the points of a series apart.
    """
    assert where.timestamp is not None
    links = _links(where)
    scalars = [Metric(key, value, where.timestamp, 0, **links) for key, value in result.metrics.items()]
    tests = list(result.tests.values())[:MOST_TESTS_WITH_KEYS]
    points = [point for test in tests for point in series(test, result.prefix)]
    for batch in batches(scalars):
        client.log_batch(where.run_id, metrics=batch, synchronous=True)
    with ThreadPoolExecutor(1) as thread:
        for batch in batches([Metric(key, value, where.timestamp, step) for key, step, value in points]):
            thread.submit(client.log_batch, where.run_id, metrics=batch, synchronous=True).result()


def batches(metrics: list[Metric]) -> Iterator[list[Metric]]:
    """Cut metrics into parts that fit into one call."""
    for start in range(0, len(metrics), METRICS_PER_BATCH):
        yield metrics[start : start + METRICS_PER_BATCH]


def _links(where: Destination) -> dict[str, Any]:
    """Fields of MLflow 3's metrics that tie them to a model and a dataset; none on 2.22."""
    if not hasattr(Metric, "model_id"):
        return {}
    dataset = {"dataset_name": where.dataset_name, "dataset_digest": where.dataset_digest}
    known = all(dataset.values())
    return {"run_id": where.run_id, "model_id": where.model_id, **(dataset if known else {})}


def series(test: TestResult, prefix: str = "") -> Iterator[tuple[str, int, float]]:
    """Yield the curve as (key, step, value): the step is the bin's index; what is not finite is left out."""
    curve = test.curve
    for name, column in SERIES.items():
        values = curve.index if column == "p" and test.kind in ("category", "class") else curve[column]
        for step, value in enumerate(pd.to_numeric(pd.Series(values))):
            if np.isfinite(value):
                yield f"{prefix}sensie/{test.slug}/{name}", step, float(value)


def _log_images(result: Result, where: Destination, client: MlflowClient) -> None:
    """A small figure of each test as an image, which the chart view shows run beside run."""
    import PIL.Image

    for test in list(result.tests.values())[:MOST_TESTS_WITH_KEYS]:
        image = PIL.Image.fromarray(plots.to_array(plots.draw_tile(result, test), dpi=220))
        client.log_image(where.run_id, image, key=f"{result.prefix}sensie/{test.slug}", step=0, synchronous=True)


def _artifact_folder(file: Path, folder: Path) -> str:
    """The folder among the artifacts, "" for their root."""
    return file.parent.relative_to(folder).as_posix().removeprefix(".")


def dataset_of(data: Any) -> tuple[str | None, str | None]:
    """Name and digest of what MLflow logged as the run's input; both or neither."""
    name, digest = getattr(data, "name", None), getattr(data, "digest", None)
    return (str(name), str(digest)) if name and digest else (None, None)
