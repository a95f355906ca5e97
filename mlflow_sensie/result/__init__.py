"""What everybody reads: the frozen result of an evaluation, and the verdict of its gate."""

from mlflow_sensie.result.result import MOST_TESTS_WITH_KEYS, Result
from mlflow_sensie.result.tests import (
    HEADLINES,
    FirstFailure,
    Interaction,
    Kind,
    Reason,
    ScoreInfo,
    Slice,
    SliceColumn,
    TestResult,
)

__all__ = [
    "HEADLINES",
    "MOST_TESTS_WITH_KEYS",
    "FirstFailure",
    "Interaction",
    "Kind",
    "Reason",
    "Result",
    "ScoreInfo",
    "Slice",
    "SliceColumn",
    "TestResult",
]
