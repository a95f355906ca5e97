"""`mlflow-sensie check` and `checks`: exit codes, what is printed, and the files that are written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from click.testing import CliRunner

from doors.registered import RECIPE, Models, alias, data
from mlflow_sensie.doors.cli import main


@pytest.fixture
def gate(tmp_path: Path) -> str:
    path = tmp_path / "gate.yaml"
    path.write_text(yaml.safe_dump(json.loads(json.dumps(RECIPE))))
    return str(path)


def run(*words: Any) -> tuple[int, str]:
    done = CliRunner().invoke(main, list(map(str, words)))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def check(models: Models, gate: str, version: int, *words: Any, data: str | None = None) -> tuple[int, str]:
    against = ["--baseline", f"models:/{models.name}@champion", "--recipe", gate]
    return run("check", models.uri(version), "--data", data or models.data, "--targets", "y", *against, *words)


@pytest.mark.parametrize(
    ("version", "code", "said"),
    [(2, 0, "pass: models:/"), (3, 1, "fail: models:/"), (4, 2, "error: models:/")],
    ids=["as good", "worse", "broken"],
)
def test_a_check_exits_with_its_outcome_and_writes_its_files(
    models: Models, gate: str, version: int, code: int, said: str, tmp_path: Path
) -> None:
    files = [f"{kind}={tmp_path / kind.strip('-')}" for kind in ("--json", "--junit", "--markdown")]
    done, output = check(models, gate, version, "--promote", "champion", *files)
    assert (done, output[: len(said)]) == (code, said)
    assert alias(models.name) == ("2" if version == 2 else "1")
    written = json.loads((tmp_path / "json").read_text())
    assert (written["exit_code"], written["checks"][0]["name"]) == (code, models.uri(version))
    suite = ElementTree.fromstring((tmp_path / "junit").read_text())[0]
    assert (suite.get("errors"), suite.get("failures") == "0") == (str(int(version == 4)), version != 3)
    assert (tmp_path / "markdown").read_text().startswith(f"### {'✅❌💥'[version - 2]} models:/")
    if version == 4:
        assert "the weights are missing" in output


def test_what_to_make_of_the_inconclusive(models: Models, gate: str, tmp_path: Path) -> None:
    data(14, seed=8).to_csv(tmp_path / "little.csv", index=False)
    given: dict[str, Any] = {"data": str(tmp_path / "little.csv")}
    assert check(models, gate, 2, **given)[0] == 3
    assert check(models, gate, 2, "--on-inconclusive", "fail", **given)[0] == 1
    code, output = check(models, gate, 2, "--on-inconclusive", "pass", "--promote", "champion", **given)
    assert code == 0 and output.startswith("inconclusive: ")
    assert alias(models.name) == "1"  # the exit code may be decided, the alias not


def test_a_dry_run_tells_and_stops(models: Models, gate: str) -> None:
    code, output = check(models, gate, 2, "--dry-run", "--promote", "champion")
    assert code == 0 and alias(models.name) == "1"
    assert "With 600 examples this gate of 3 judgements passes two equally good models at least" in output
    assert "correlation 0.88 supposed" in output
    code, output = check(models, gate, 4, "--dry-run", "--promote", "champion")
    assert code == 2 and "Error: ModelError: the model failed on the unperturbed examples" in output


def test_arguments_that_cannot_be_used_exit_with_2(models: Models, gate: str, tmp_path: Path) -> None:
    assert check(models, "tabular_robustness", 2)[0] == 2
    assert check(models, gate, 99)[0] == 2
    assert run("check", models.uri(2), "--data", models.data)[0] == 2
    assert run("checks", gate)[0] == 2
    code, output = run("check", models.uri(2), "--targets", "y", "--recipe", gate)
    assert code == 2 and "--data (a file or folder) or --dataset-run (a run's logged input) is needed" in output


def test_reuse_is_said_and_can_be_declined(models: Models, gate: str) -> None:
    assert "evaluated in" not in check(models, gate, 3)[1]
    assert "evaluated in" in check(models, gate, 3)[1]
    assert "evaluated in" not in check(models, gate, 3, "--no-reuse")[1]


def test_many_checks_give_one_table_and_the_worst_exit_code(models: Models, gate: str, tmp_path: Path) -> None:
    path = tmp_path / "checks.yaml"
    each = {"model": [models.uri(2), models.uri(3)], "data": "test.parquet", "targets": "y", "recipe": "gate.yaml"}
    path.write_text(yaml.safe_dump({"checks": [{**each, "baseline": models.uri(1)}]}))
    code, output = run("checks", path, "--markdown", tmp_path / "comment.md")
    assert code == 1
    assert output.splitlines()[-3:] == ["outcome  check", f"pass     {models.uri(2)}", f"fail     {models.uri(3)}"]
    assert (tmp_path / "comment.md").read_text().startswith("|  | check | baseline |")
