"""What everybody reads: the frozen result of an evaluation, and the verdict of its gate."""

from mlflow_sensie.result.keys import HEADLINES, Kind
from mlflow_sensie.result.result import MOST_TESTS_WITH_KEYS, Result, evaluate_again
from mlflow_sensie.result.tests import (
    Confidence,
    FirstFailure,
    Interaction,
    Reason,
    ScoreInfo,
    Slice,
    SliceColumn,
    TestResult,
)

__all__ = [
    "HEADLINES",
    "MOST_TESTS_WITH_KEYS",
    "Confidence",
    "FirstFailure",
    "Interaction",
    "Kind",
    "Reason",
    "Result",
    "ScoreInfo",
    "Slice",
    "SliceColumn",
    "TestResult",
    "evaluate_again",
]
