"""Two models on the same examples: every difference with the examples paired, and how sure it is."""

from mlflow_sensie.comparison.comparing import compare, leaderboard
from mlflow_sensie.comparison.difference import CurveDifference, Difference
from mlflow_sensie.comparison.result import Compared, Comparison, TestComparison

__all__ = ["Compared", "Comparison", "CurveDifference", "Difference", "TestComparison", "compare", "leaderboard"]
