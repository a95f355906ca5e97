"""Results and comparisons ↔ MLflow runs: names, batches, artifacts and tags."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.entities import Metric, RunTag

from mlflow_sensie import plots
from mlflow_sensie.comparison.difference import Difference
from mlflow_sensie.comparison.result import Comparison
from mlflow_sensie.errors import ComparisonError
from mlflow_sensie.report.comparison_page import NAME
from mlflow_sensie.result import MOST_TESTS_WITH_KEYS, Result, TestResult
from mlflow_sensie.tracking.artifacts import (
    bins_table,
    kept_files,
    read_folder,
    read_home,
    write_comparison,
    write_files,
    write_leaderboard,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

METRICS_PER_BATCH = 1_000  # the REST API takes no more in one call
LONGEST_TAG = 1_000  # some registries cut values there
DESTINATION = "destination.json"
NAMELESS = ("models:/m-", "runs:/")  # what a logged model's URI begins with
COMPARISONS = "sensie_compare"  # the folder and the first part of keys
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
    result: Result, where: Destination, client: MlflowClient | None = None, *, more_files: Sequence[Path] = ()
) -> dict[str, str]:
    """Put the whole result on the run and return its artifacts, name → URI.

    Everything is written to disk first. Scalars and series go in batches, the scalars linked to model and
    dataset where MLflow knows how; then the files and images; the tags come last, so that a run tagged
    ``done`` is complete. ``more_files`` are of an earlier attempt.

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
        files += [Path(shutil.copy(file, files[0].parent)) for file in more_files]
        _log_metrics(result, where, client)
        # Makes it a table for the UI, but appends to what an earlier attempt logged; the file then replaces it.
        client.log_table(where.run_id, bins_table(result), f"{result.prefix}sensie/bins.json")
        for file in files:
            client.log_artifact(where.run_id, str(file), _artifact_folder(file, folder) or None)
        _log_images(result, where, client)
        run_tags = [RunTag(key, value) for key, value in tags(result, where).items()]
        client.log_batch(where.run_id, tags=run_tags, synchronous=True)
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
        return read_folder(Path(source))
    folder = tempfile.TemporaryDirectory(prefix="sensie-")
    _download(str(source), folder.name)
    result = read_folder(Path(folder.name))
    if result.score_table is not None:
        result.score_table._folder = folder  # its file is read when asked for, and goes when the table does
    return result


def _download(source: str, folder: str) -> None:
    """Fetch what a result is read from, out of a run."""
    run_id, _, path = source.removeprefix("runs:/").partition("/")
    client = mlflow.MlflowClient()
    try:
        homes = [path] if path else _homes(client, run_id)
        if len(homes) != 1:
            there = ", ".join(f"runs:/{run_id}/{home}" for home in homes) or "none"
            raise ComparisonError(f"run {run_id}: one sensie/report.json is needed, found: {there}")
        for file in client.list_artifacts(run_id, homes[0]):
            if Path(file.path).name in ("report.json", "scores.parquet"):
                client.download_artifacts(run_id, file.path, folder)
    except mlflow.exceptions.MlflowException as error:
        raise ComparisonError(f"{source!r} is neither a folder nor a run that can be read: {error}") from error


def _homes(client: MlflowClient, run_id: str, path: str | None = None) -> list[str]:
    """List the folders of a run that results lie in."""
    entries = client.list_artifacts(run_id, path)
    if path and any(entry.path == f"{path}/report.json" for entry in entries):
        return [path]
    return [home for entry in entries if entry.is_dir for home in _homes(client, run_id, entry.path)]


def log_folder(folder: str | Path, run_id: str) -> None:
    """Log a result that lies on disk because the tracking server had failed.

    Raises:
        FileNotFoundError: the folder holds no ``report.json``.
    """
    root = Path(folder)
    report = next(root.rglob("report.json"), None)
    if report is None:
        raise FileNotFoundError(f"{root} holds no report.json, so no result")
    result, file = read_home(report.parent), root / DESTINATION
    links = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    log_result(result, Destination(**{**links, "run_id": run_id}), more_files=kept_files(result, report.parent))


def tags(result: Result, where: Destination) -> dict[str, str]:
    """Return the run's tags; without dots in their names, which some registries refuse."""
    values = {
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
        values["sensie_verdict"] = result.verdict.outcome
    return {key: value[:LONGEST_TAG] for key, value in values.items()}


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
    for name, step, _, value, _, _ in test.metric_curves.to_numpy(dtype=object):
        yield f"{prefix}sensie/{test.slug}/{name}", int(step), float(value)


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


# --- comparisons: runs of their own, beside those that they compare --------------------------------------------


def log_comparison(comparison: Comparison, a: str, b: str) -> str:
    """Log a comparison onto a new run in the experiment of run ``a``, or ``b`` where that is none; return its id.

    ``a`` and ``b`` are what was compared, run ids, ``runs:/…`` URIs or folders, and stand in the tags. Metrics are
    ``sensie_compare/<test>/<metric>`` and ``sensie_compare/<metric>`` of the clean inputs, with ``_lo95``, ``_hi95``
    and ``_prob_more_robust``; the page,
    ``sensie_comparison.html``, lies at the root, the other files below ``sensie_compare/``.

    Raises:
        ComparisonError: neither is a run.
        mlflow.exceptions.MlflowException: the tracking server failed; the run then ends as failed.
    """
    with _new_run((a, b), f"{comparison.b} compared with {comparison.a}") as (client, run_id):
        now = int(time.time() * 1000)
        metrics = [Metric(key, value, now, 0) for key, value in comparison_metrics(comparison).items()]
        for batch in batches(metrics):
            client.log_batch(run_id, metrics=batch)
        with tempfile.TemporaryDirectory(prefix="sensie-") as folder:
            _log_files(client, run_id, write_comparison(comparison, Path(folder)))
        _log_tags(client, run_id, {"sensie_compared_a": a, "sensie_compared_b": b, "sensie_score": comparison.score})
    return run_id


def log_leaderboard(table: pd.DataFrame, comparisons: Mapping[str, Comparison], sources: Sequence[str]) -> str:
    """Log a leaderboard, page and table, onto a new run in the experiment of the first source that is a run.

    The tag ``sensie_compared`` holds the sources, as many as a tag has room for.

    Raises:
        ComparisonError: none is a run.
        mlflow.exceptions.MlflowException: the tracking server failed; the run then ends as failed.
    """
    with (
        _new_run(sources, f"{len(table)} models compared") as (client, run_id),
        tempfile.TemporaryDirectory(prefix="sensie-") as folder,
    ):
        _log_files(client, run_id, write_leaderboard(table, comparisons, Path(folder)))
        score = next(iter(comparisons.values())).score
        _log_tags(client, run_id, {"sensie_compared": ", ".join(sources), "sensie_score": score})
    return run_id


def log_refit(result: Result, source: str) -> str:
    """Log a refitted result onto a new run in the experiment of ``source``, the run that it was made of; return its id.

    Raises:
        ComparisonError: the source is no run.
        mlflow.exceptions.MlflowException: the tracking server failed; the run then ends as failed.
    """
    with _new_run((source,), f"{result.title} refitted") as (client, run_id):
        log_result(result, Destination(run_id), client)
    return run_id


@contextmanager
def _new_run(sources: Iterable[str], name: str) -> Iterator[tuple[MlflowClient, str]]:
    """Make a run that ends as failed where something fails."""
    client = mlflow.MlflowClient()
    run_id: str = client.create_run(_experiment_of(client, sources), run_name=name[:250]).info.run_id
    try:
        yield client, run_id
    except BaseException:
        client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id, "FINISHED")


def _log_files(client: MlflowClient, run_id: str, files: Iterable[Path]) -> None:
    """Log files; the page goes to the root, the one folder that MLflow's Compare page lists."""
    for file in files:
        client.log_artifact(run_id, str(file), None if file.name == NAME else COMPARISONS)


def _log_tags(client: MlflowClient, run_id: str, tags: Mapping[str, str]) -> None:
    client.log_batch(run_id, tags=[RunTag(key, value[:LONGEST_TAG]) for key, value in tags.items()])


def comparison_metrics(comparison: Comparison) -> dict[str, float]:
    """Return the scalars of a comparison by their names on the run; finite floats all."""
    metrics: dict[str, float] = {}
    for name, difference in comparison.whole.items():
        metrics |= _scalars(f"{COMPARISONS}/{name}", difference)
    for test in list(comparison.tests.values())[:MOST_TESTS_WITH_KEYS]:
        for metric, difference in test.differences.items():
            metrics |= _scalars(f"{COMPARISONS}/{test.slug}/{metric}", difference)
    return metrics


def _scalars(key: str, difference: Difference) -> dict[str, float]:
    d, probability = difference.difference, difference.prob_more_robust
    values = {"": d.value, "_lo95": d.lo95, "_hi95": d.hi95, "_prob_more_robust": probability}
    return {f"{key}{end}": float(value) for end, value in values.items()}


def _experiment_of(client: MlflowClient, sources: Iterable[str]) -> str:
    """Give the experiment of the first of these that is a run."""
    for source in sources:
        if not Path(source).is_dir():
            run_id = source.removeprefix("runs:/").partition("/")[0]
            return str(client.get_run(run_id).info.experiment_id)
    raise ComparisonError("what was compared lies in folders: there is no run whose experiment this belongs to")
