"""Comparison → MLflow run: a run of its own, beside those that it compares."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow
from mlflow.entities import Metric, RunTag

from mlflow_sensie.comparison.difference import Difference
from mlflow_sensie.comparison.result import Comparison
from mlflow_sensie.errors import ComparisonError
from mlflow_sensie.report.comparison_page import NAME
from mlflow_sensie.result import MOST_TESTS_WITH_KEYS
from mlflow_sensie.tracking.artifacts import write_comparison, write_leaderboard
from mlflow_sensie.tracking.runs import LONGEST_TAG, batches

if TYPE_CHECKING:
    import pandas as pd

ROOT = "sensie_compare"


def log_comparison(comparison: Comparison, a: str, b: str) -> str:
    """Log a comparison onto a new run in the experiment of run ``a``, or ``b`` where that is none; return its id.

    ``a`` and ``b`` are what was compared, run ids, ``runs:/…`` URIs or folders, and stand in the tags. Metrics are
    ``sensie_compare/<test>/<metric>`` with ``_lo95``, ``_hi95`` and ``_prob_more_robust``; the page,
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


@contextmanager
def _new_run(sources: Iterable[str], name: str) -> Iterator[tuple[mlflow.MlflowClient, str]]:
    """Make a run that ends as failed where something fails."""
    client = mlflow.MlflowClient()
    run_id: str = client.create_run(_experiment_of(client, sources), run_name=name[:250]).info.run_id
    try:
        yield client, run_id
    except BaseException:
        client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id, "FINISHED")


def _log_files(client: mlflow.MlflowClient, run_id: str, files: Iterable[Path]) -> None:
    """Log files; the page goes to the root, the one folder that MLflow's Compare page lists."""
    for file in files:
        client.log_artifact(run_id, str(file), None if file.name == NAME else ROOT)


def _log_tags(client: mlflow.MlflowClient, run_id: str, tags: Mapping[str, str]) -> None:
    client.log_batch(run_id, tags=[RunTag(key, value[:LONGEST_TAG]) for key, value in tags.items()])


def comparison_metrics(comparison: Comparison) -> dict[str, float]:
    """Return the scalars of a comparison by their names on the run; finite floats all."""
    metrics = _scalars(f"{ROOT}/clean_score", comparison.clean)
    for test in list(comparison.tests.values())[:MOST_TESTS_WITH_KEYS]:
        for metric, difference in test.differences.items():
            metrics |= _scalars(f"{ROOT}/{test.slug}/{metric}", difference)
    return metrics


def _scalars(key: str, difference: Difference) -> dict[str, float]:
    d, probability = difference.difference, difference.prob_more_robust
    values = {"": d.value, "_lo95": d.lo95, "_hi95": d.hi95, "_prob_more_robust": probability}
    return {f"{key}{end}": float(value) for end, value in values.items()}


def _experiment_of(client: mlflow.MlflowClient, sources: Iterable[str]) -> str:
    """Give the experiment of the first of these that is a run."""
    for source in sources:
        if not Path(source).is_dir():
            run_id = source.removeprefix("runs:/").partition("/")[0]
            return str(client.get_run(run_id).info.experiment_id)
    raise ComparisonError("what was compared lies in folders: there is no run whose experiment this belongs to")
