"""The CI examples: valid YAML whose command the command line understands, and a test that tests."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import mlflow
import pytest
import yaml

from doors.registered import Models
from mlflow_sensie.doors.cli import check

CI = Path(__file__).parents[2] / "examples" / "ci"


def commands(text: str) -> list[list[str]]:
    """The calls of `mlflow-sensie check` in a script."""
    joined = re.sub(r"\\\n\s*", " ", text)
    return [shlex.split(line)[2:] for line in joined.splitlines() if line.strip().startswith("mlflow-sensie check")]


def test_the_github_workflow() -> None:
    workflow = yaml.safe_load((CI / "github-actions.yml").read_text())
    assert workflow["concurrency"] == {"group": "promote-churn", "cancel-in-progress": False}
    (call,) = [each for step in workflow["jobs"]["promote"]["steps"] for each in commands(step.get("run", ""))]
    assert_understood(call)


def test_the_gitlab_job() -> None:
    job = yaml.safe_load((CI / "gitlab-ci.yml").read_text())["promote"]
    assert job["resource_group"] == "promote-churn" and job["allow_failure"] == {"exit_codes": 3}
    (call,) = [each for line in job["script"] for each in commands(line)]
    assert_understood(call)


def assert_understood(call: list[str]) -> None:
    context: click.Context = check.make_context("check", call)
    assert context.params["promote"] == "champion" and context.params["baseline"] == "models:/churn@champion"
    assert str(context.params["junit"]) == "verdict.xml"


@pytest.mark.parametrize(("version", "passes"), [(2, True), (3, False)])
def test_the_pytest_style(models: Models, version: int, passes: bool) -> None:
    given = {
        "CANDIDATE": models.uri(version), "BASELINE": models.uri(1), "DATA": models.data, "TARGETS": "y",
        "MLFLOW_TRACKING_URI": mlflow.get_tracking_uri(), "PYTHONPATH": os.pathsep.join(sys.path),
    }  # fmt: skip
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(CI / "test_promotion.py")]
    done = subprocess.run(
        command, env={**os.environ, **given}, cwd=Path(models.data).parent, capture_output=True, text=True, check=False
    )
    assert (done.returncode == 0) is passes, done.stdout
    assert ("1 passed" in done.stdout) is passes
    if not passes:
        assert "AssertionError: fail: models:/" in done.stdout and "mean_drop" in done.stdout
