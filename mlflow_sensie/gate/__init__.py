"""The gate: a result, a comparison with a baseline and promotion rules → a verdict."""

from mlflow_sensie.gate.judgement import judge
from mlflow_sensie.gate.power import Power, power

__all__ = ["Power", "judge", "power"]
