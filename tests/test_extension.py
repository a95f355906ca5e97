"""Third parties: a package with entry points is found by name, and keeps the contract."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "examples" / "sensie-vignette"
PROGRAM = """
import numpy as np
import mlflow_sensie
from mlflow_sensie.testing import check_perturbation
from sensie_vignette import Vignette

check_perturbation(Vignette())
rng = np.random.default_rng(0)
images, labels = rng.random((80, 12, 12)).astype("float32"), rng.integers(0, 2, 80)

def model(x):
    p = 1 / (1 + np.exp(8 * (x[:, :3, :3].mean(axis=(1, 2)) - 0.5)))
    return np.column_stack([1 - p, p])

recipe = {
    "perturbations": [{"name": "dark", "apply": "lens.vignette", "params": {"power": 4.0}}],
    "properties": [{"name": "corners", "of": "lens.corner_darkness"}],
}
result = mlflow_sensie.probe(model, images, labels, recipe)
print(result.tests["dark"].unit, result.tests["dark"].ok, result.tests["corners"].ok)
try:
    mlflow_sensie.probe(model, images, labels, {"perturbations": ["lens.vignete"]})
except mlflow_sensie.errors.RecipeError as error:
    print("lens.vignette" in str(error))
"""


@pytest.mark.slow
def test_the_example_package_adds_a_perturbation_and_a_property(tmp_path: Path) -> None:
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*install, "--target", str(tmp_path), str(PACKAGE)], check=True)
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nimport mlflow_sensie.errors\n{PROGRAM}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:2] == ["fraction of light True True", "True"]
