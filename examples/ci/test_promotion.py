"""The gate as a test: `CANDIDATE=models:/churn/7 pytest examples/ci/test_promotion.py`."""

from __future__ import annotations

import os

import pytest

import mlflow_sensie

CANDIDATE = os.environ.get("CANDIDATE")


@pytest.mark.skipif(CANDIDATE is None, reason="CANDIDATE names the model to judge")
def test_the_candidate_may_take_the_champions_place() -> None:
    check = mlflow_sensie.check(
        CANDIDATE,
        baseline=os.environ.get("BASELINE", "models:/churn@champion"),
        data=os.environ.get("DATA", "data/test.parquet"),
        targets=os.environ.get("TARGETS", "churned"),
    )
    assert check.passed, str(check)
