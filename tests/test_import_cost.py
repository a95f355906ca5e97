"""What gets imported when: having the package installed costs a user of MLflow nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

# Each costs hundreds of milliseconds to import, or draws in a device, a JVM or a window system.
HEAVY = {"arviz", "cv2", "jax", "keras", "pymc", "pyspark", "tensorflow", "torch", "transformers"}
FOR_PLOTS = {"matplotlib", "PIL"}

STAGE = """
import json, sys
_before = set()
def stage(name):
    global _before
    print(json.dumps([name, sorted(set(sys.modules) - _before)]))
    _before = set(sys.modules)
"""
REGISTRY = """
import mlflow
stage("mlflow")
import mlflow_sensie
dir(mlflow_sensie)
stage("package")
from mlflow.models.evaluation.evaluator_registry import _model_evaluation_registry as registry
assert registry.get_evaluator("sensie").can_evaluate(model_type="classifier", evaluator_config={}) is False
stage("registry")
"""
PROBE = """
import numpy as np, pandas as pd
from sklearn.linear_model import LogisticRegression
rng = np.random.default_rng(0)
X = pd.DataFrame({"a": rng.normal(size=60), "b": rng.normal(size=60)})
y = (X["a"] + rng.normal(size=60) > 0).astype(int)
model = LogisticRegression().fit(X, y)
stage("data and model")
import mlflow_sensie
recipe = {"properties": ["a"], "perturbations": ["tabular.noise"], "class_test": True}
result = mlflow_sensie.probe(model, X, y, recipe)
assert not result.failed and len(result.summary()) == 3 and result.to_json() and result.metrics
stage("probe")
result.plot("a")
stage("plot")
"""


def stages(code: str) -> dict[str, set[str]]:
    """Run code in a fresh interpreter; what each of its stages newly loaded."""
    quiet = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run([sys.executable, "-c", STAGE + code], capture_output=True, text=True, env=quiet, check=False)
    assert done.returncode == 0, done.stderr
    return {name: set(found) for name, found in map(json.loads, done.stdout.splitlines())}


def ours(modules: set[str]) -> set[str]:
    return {name for name in modules if name.split(".")[0] == "mlflow_sensie"}


def tops(modules: set[str]) -> set[str]:
    return {name.split(".")[0] for name in modules}


@pytest.fixture(scope="module")
def registry() -> dict[str, set[str]]:
    return stages(REGISTRY)


@pytest.fixture(scope="module")
def probe() -> dict[str, set[str]]:
    return stages(PROBE)


def test_import_mlflow_loads_nothing_of_ours(registry: dict[str, set[str]]) -> None:
    assert ours(registry["mlflow"]) == set()


def test_import_of_the_package_loads_nothing_else(registry: dict[str, set[str]]) -> None:
    """Not even beside MLflow, where numpy and pandas are there already."""
    assert ours(registry["package"]) == {"mlflow_sensie"}
    third_party = tops(registry["package"]) - set(sys.stdlib_module_names)
    assert third_party == {"mlflow_sensie"}


def test_import_of_the_package_alone_is_light() -> None:
    loaded = stages("import mlflow_sensie; mlflow_sensie.__version__; stage('package')")["package"]
    assert tops(loaded) & {"mlflow", "numpy", "pandas", "scipy", "pydantic", "yaml", "matplotlib"} == set()


def test_the_entry_point_loads_the_evaluator_alone(registry: dict[str, set[str]]) -> None:
    """MLflow loads it, and asks it, at the first ``evaluate`` of anyone; what else is loaded then is MLflow's own."""
    assert ours(registry["registry"]) == {"mlflow_sensie.doors", "mlflow_sensie.doors.evaluator"}


def test_a_plain_evaluation_loads_nothing_heavy(probe: dict[str, set[str]]) -> None:
    loaded = probe["probe"]
    assert tops(loaded) & (HEAVY | FOR_PLOTS) == set()
    assert {"mlflow_sensie.evaluation.sweep", "mlflow_sensie.inference"} <= ours(loaded)
    assert {"mlflow_sensie.tracking.runs", "mlflow_sensie.doors.evaluator", "mlflow_sensie.plots"} & ours(
        loaded
    ) == set()


def test_a_plot_never_loads_pyplot(probe: dict[str, set[str]]) -> None:
    assert "matplotlib.figure" in probe["plot"]
    assert "matplotlib.pyplot" not in probe["plot"] | probe["probe"]
    assert tops(probe["plot"]) & HEAVY == set()


def test_comparing_results_needs_neither_mlflow_nor_figures() -> None:
    loaded = stages("import mlflow_sensie; mlflow_sensie.compare; stage('compare')")["compare"]
    assert "mlflow_sensie.comparison.comparing" in ours(loaded)
    assert tops(loaded) & ({"mlflow"} | HEAVY | FOR_PLOTS) == set()
