"""Inference needs NumPy and SciPy, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys

ALONE = """
import sys

ALLOWED = {"mlflow_sensie", "numpy", "scipy"} | set(sys.stdlib_module_names)


class Refuse:
    def find_spec(self, name, path=None, target=None):
        package = name.partition(".")[0]
        if package not in ALLOWED and not package.startswith("_"):
            raise ImportError(f"inference imports {name}")


sys.meta_path.insert(0, Refuse())

import numpy as np

from mlflow_sensie.inference import (
    ExtraFits, MagnitudeGrid, Priors, Ranks, SamplingDesign, ScoreScale, bin_edges, category_test, exact, mean_test,
    perturbation_test, property_span, property_test,
)
from mlflow_sensie.inference import multiplicity, pymc_engine

rng, scale = np.random.default_rng(0), ScoreScale(0, 1, "probability")
p, clean, level = rng.random(200), rng.beta(6, 2, 200), rng.integers(0, 3, 200)
design = SamplingDesign(rng.uniform(1, 2, 200), np.repeat(np.arange(100), 2))
sweep = clean[:, None] * (1 - np.arange(5) * rng.random((200, 1)) / 8)
edges, unique = bin_edges(p)
extra, grid = ExtraFits("auto", 2), MagnitudeGrid.of([-1, 1, 2, 3], 0)
fits = [
    perturbation_test(sweep, grid, scale, design=design, extra=extra, excess=0 * sweep),
    property_test(p, clean, scale, edges=edges, unique=unique, span=property_span(p), ranks=Ranks.of(p), extra=extra),
    category_test(level, clean, scale, levels=["a", "b", "c"], design=design),
]
for fit in fits[:2]:
    fit.with_posteriors(exact(fit.regressions, Priors()))
print(multiplicity.several(fits, 3, family=False).text, round(mean_test(clean, scale, design).posterior.loc, 2))
"""


def test_it_runs_where_every_other_package_is_refused() -> None:
    # What starts a process may import whatever it likes: site and its .pth files are left out but for their folders.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-S", "-c", ALONE], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "3 tests are called sensitive" in done.stdout
