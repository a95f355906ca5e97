"""Runs compared from the command line: read back from MLflow, printed, written to a folder, logged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import mlflow_sensie
from mlflow_sensie.comparison import Comparison, leaderboard
from mlflow_sensie.doors.cli import main
from mlflow_sensie.errors import ComparisonError
from mlflow_sensie.result import Result
from mlflow_sensie.tracking import runs as tracking
from mlflow_sensie.tracking.runs import comparison_metrics, log_comparison, log_leaderboard

RECIPE = {
    "perturbations": [{"name": "shift", "apply": "tabular.noise", "magnitudes": [0.2, 0.5, 1]}],
    "properties": ["b"],
    "class_test": True,
}


def probed(steep: float, seed: int = 1, **more: Any) -> Result:
    """A model by hand: its first input tells the class."""
    rng = np.random.default_rng(seed)
    inputs = pd.DataFrame(rng.normal(size=(300, 2)), columns=["a", "b"])
    targets = (inputs["a"] + 0.5 * rng.normal(size=300) > 0).astype(int).to_numpy()

    def predict(x: Any) -> Any:
        p = 1 / (1 + np.exp(-steep * np.asarray(x, float)[:, 0]))
        return np.column_stack([1 - p, p])

    return mlflow_sensie.probe(predict, inputs, targets, {**RECIPE, **more})


def logged(result: Result) -> str:
    with mlflow.start_run() as run:
        tracking.log_result(result, tracking.Destination(run.info.run_id))
    return str(run.info.run_id)


def run(*words: str, code: int = 0) -> Any:
    done = CliRunner().invoke(main, ["compare", *words])
    assert done.exit_code == code, done.output
    return done


@pytest.fixture(scope="module")
def old() -> Result:
    return probed(1.0)


@pytest.fixture(scope="module")
def new() -> Result:
    return probed(3.0)


@pytest.fixture
def folders(old: Result, new: Result, tmp_path: Path) -> list[str]:
    for name, result in (("old", old), ("new", new), ("middle", probed(2.0))):
        home = tmp_path / name
        home.mkdir()
        (home / "report.json").write_text(result.to_json(), encoding="utf-8")
        assert result.score_table is not None
        result.score_table.write_parquet(home / "scores.parquet")
    return [str(tmp_path / name) for name in ("old", "new", "middle")]


# --- the command -------------------------------------------------------------------------------------------


def test_two_are_printed_difference_by_difference(folders: list[str], old: Result, new: Result) -> None:
    lines = run(*folders[:2]).stdout.splitlines()
    found = mlflow_sensie.compare(old, new)
    assert len(lines) == 1 + len(found.summary())
    assert lines[1].startswith("all examples") and f"{found.clean.difference.value:.4g}" in lines[1]
    drop = next(line for line in lines if line.startswith("shift") and "mean_drop" in line)
    interval = found.difference("shift", "mean_drop").difference
    assert f"{interval.value:.4g} [{interval.lo95:.4g}, {interval.hi95:.4g}]" in drop


def test_the_folder_holds_table_json_and_figures(folders: list[str], tmp_path: Path) -> None:
    run(*folders[:2], "--output", str(tmp_path / "out"))
    names = {file.name for file in (tmp_path / "out").iterdir()}
    assert names == {
        "leaderboard.csv", "sensie_comparison.html", "comparison.json", "comparison.csv", "comparison.png",
        "test.shift.png", "test.b.png", "test.class.png",
    }  # fmt: skip
    found = Comparison.from_json((tmp_path / "out" / "comparison.json").read_text(encoding="utf-8"))
    assert found.n == 300 and len(pd.read_csv(tmp_path / "out" / "comparison.csv")) == len(found.summary())
    assert (tmp_path / "out" / "comparison.png").read_bytes()[:4] == b"\x89PNG"


def test_many_are_ranked_the_most_robust_first(folders: list[str], tmp_path: Path) -> None:
    lines = run(*folders, "--output", str(tmp_path / "out")).stdout.splitlines()
    table = pd.read_csv(tmp_path / "out" / "leaderboard.csv")
    assert [line.split()[0] for line in lines[1:]] == table["run"].tolist()
    assert table["worst_loss"].is_monotonic_increasing and set(table["worst"]) == {"shift"}
    page = (tmp_path / "out" / "sensie_comparison.html").read_text(encoding="utf-8")
    for folder in ("1-2", "1-3"):
        assert (tmp_path / "out" / folder / "comparison.json").is_file()
        assert (tmp_path / "out" / folder / "sensie_comparison.html").is_file()
        assert f'href="{folder}/sensie_comparison.html"' in page


@pytest.mark.parametrize(
    ("words", "message"),
    [(["a"], "at least two different runs"), (["a", "a"], "at least two different runs"), ([], "Missing argument")],
)
def test_fewer_than_two_are_refused(words: list[str], message: str) -> None:
    assert message in run(*words, code=2).output


def test_warnings_and_what_was_not_compared_go_to_stderr(folders: list[str], tmp_path: Path) -> None:
    other = probed(2.0, seed=2, properties=[])
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "report.json").write_text(other.to_json(), encoding="utf-8")
    assert other.score_table is not None
    other.score_table.write_parquet(tmp_path / "other" / "scores.parquet")
    done = run(folders[0], str(tmp_path / "other"))
    assert "not paired" in done.stderr and "'b' was not compared: B has no such test" in done.stderr
    assert "not paired" not in done.stdout


# --- MLflow ------------------------------------------------------------------------------------------------


def test_runs_are_read_back_compared_and_logged(experiment_id: str, old: Result, new: Result) -> None:
    ids = logged(old), logged(new)
    found = mlflow_sensie.compare(*ids)
    for other in (mlflow_sensie.compare(old, new), mlflow_sensie.compare(f"runs:/{ids[0]}", f"runs:/{ids[1]}/sensie")):
        pd.testing.assert_frame_equal(found.summary(), other.summary(), rtol=1e-4, atol=1e-6)
    said = run(*ids, "--log").stdout.splitlines()[-1]
    client = mlflow.MlflowClient()
    made = client.get_run(said.removeprefix("logged to run "))
    assert made.info.experiment_id == experiment_id and made.info.status == "FINISHED"
    assert made.data.metrics == pytest.approx(comparison_metrics(found))
    assert (
        made.data.metrics["sensie_compare/shift/mean_drop"] == found.difference("shift", "mean_drop").difference.value
    )
    assert (made.data.tags["sensie_compared_a"], made.data.tags["sensie_compared_b"]) == ids
    files = {Path(each.path).name for each in client.list_artifacts(made.info.run_id, "sensie_compare")}
    assert files == {
        "comparison.json", "comparison.csv", "comparison.png", "test.shift.png", "test.b.png", "test.class.png",
    }  # fmt: skip
    assert [each.path for each in client.list_artifacts(made.info.run_id)][1:] == ["sensie_comparison.html"]
    page = mlflow.artifacts.load_text(f"runs:/{made.info.run_id}/sensie_comparison.html")
    assert f"compare(&#34;{ids[0]}&#34;, &#34;{ids[1]}&#34;)" in page


def test_many_runs_get_a_leaderboard_on_a_run_of_its_own(experiment_id: str, old: Result, new: Result) -> None:
    ids = [logged(each) for each in (old, new, probed(2.0))]
    said = [line for line in run(*ids, "--log").stdout.splitlines() if line.startswith("logged to run ")]
    assert len(said) == 3
    made = said[-1].removeprefix("logged to run ")
    client = mlflow.MlflowClient()
    assert client.get_run(made).info.status == "FINISHED"
    found = client.get_run(made).data.tags
    assert (found["sensie_compared"], found["sensie_score"]) == (", ".join(ids), old.score.kind)
    assert "3 models compared" in mlflow.artifacts.load_text(f"runs:/{made}/sensie_comparison.html")
    assert [each.path for each in client.list_artifacts(made, "sensie_compare")] == ["sensie_compare/leaderboard.csv"]


def test_a_run_with_two_results_needs_to_say_which(experiment_id: str, old: Result) -> None:
    second = probed(2.0, prefix="second/")
    with mlflow.start_run() as active:
        for result in (old, second):
            tracking.log_result(result, tracking.Destination(active.info.run_id))
    run_id = active.info.run_id
    with pytest.raises(ComparisonError, match=f"found: runs:/{run_id}/second/sensie, runs:/{run_id}/sensie"):
        tracking.read_result(run_id)
    assert tracking.read_result(f"runs:/{run_id}/second/sensie").recipe_sha256 == second.recipe_sha256


def test_what_holds_no_result_is_told(experiment_id: str, tmp_path: Path, old: Result) -> None:
    with mlflow.start_run() as active:
        pass
    with pytest.raises(ComparisonError, match=r"one sensie/report.json is needed, found: none"):
        tracking.read_result(active.info.run_id)
    with pytest.raises(ComparisonError, match="neither a folder nor a run"):
        tracking.read_result("no-such-run")
    with pytest.raises(ComparisonError, match=r"one report.json is needed, found: none"):
        tracking.read_result(tmp_path)
    assert "neither a folder nor a run" in run("no-such-run", "neither", code=1).output


def test_a_comparison_of_folders_belongs_to_no_experiment(folders: list[str], old: Result, new: Result) -> None:
    with pytest.raises(ComparisonError, match="lies in folders"):
        log_comparison(mlflow_sensie.compare(old, new), *folders[:2])


def test_a_run_that_cannot_be_written_ends_as_failed(
    experiment_id: str, old: Result, new: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = logged(old), logged(new)

    def fails(*args: Any, **kwargs: Any) -> None:
        raise OSError("no room")

    monkeypatch.setattr(mlflow.MlflowClient, "log_artifact", fails)
    with pytest.raises(OSError, match="no room"):
        log_comparison(mlflow_sensie.compare(old, new), *ids)
    statuses = [each.info.status for each in mlflow.MlflowClient().search_runs([experiment_id])]
    assert statuses.count("FAILED") == 1


def test_more_sources_than_a_tag_holds_are_cut(experiment_id: str, old: Result, new: Result) -> None:
    table, comparisons = leaderboard({"old": old, "new": new})
    sources = [logged(old), *("somewhere/" * 20 + str(k) for k in range(9))]
    made = mlflow.MlflowClient().get_run(log_leaderboard(table, comparisons, sources))
    assert made.data.tags["sensie_compared"] == ", ".join(sources)[:1000]


def test_metrics_go_in_batches(experiment_id: str, old: Result, new: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    ids, sizes, found = (logged(old), logged(new)), [], mlflow_sensie.compare(old, new)
    log_batch = mlflow.MlflowClient.log_batch

    def counted(self: Any, run_id: str, metrics: Any = (), **more: Any) -> Any:
        sizes.append(len(metrics))
        return log_batch(self, run_id, metrics=metrics, **more)

    monkeypatch.setattr(tracking, "METRICS_PER_BATCH", 10)
    monkeypatch.setattr(mlflow.MlflowClient, "log_batch", counted)
    log_comparison(found, *ids)
    assert max(sizes) == 10 and sum(sizes) == len(comparison_metrics(found))
