"""Survival by concordance: whose order of risks can be trusted? Run with `python examples/survival.py`.

Times with an exponential hazard are simulated, some of them censored. The model is that hazard's regression: with
event/time as the target and time as the weight a Poisson regression has its likelihood. An example's score is its share
of concordant pairs (Harrell's C has all pairs) with the examples that the model was fitted on: scores are computed of
some examples at a time, so whom each is compared with must be the same for all of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import PoissonRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import mlflow_sensie

SURVIVAL = np.dtype([("event", bool), ("time", float)])


def simulate(n: int, rng: np.random.Generator) -> tuple[pd.DataFrame, np.ndarray]:
    """Return covariates, and what is known of the times (n,): whether an event ended them, and how long they were."""
    X = pd.DataFrame({"age": rng.uniform(40, 80, n), "marker": rng.normal(size=n), "dose": rng.uniform(0, 10, n)})
    times = rng.exponential(1 / np.exp(0.04 * (X["age"] - 60) + 0.8 * X["marker"] - 0.1 * X["dose"]))
    censored = rng.exponential(3.0, n)
    known = np.empty(n, dtype=SURVIVAL)
    known["event"], known["time"] = times <= censored, np.minimum(times, censored)
    return X, known


class Concordance:
    """The share of concordant ones among the pairs that an example forms with ``known`` ones of predicted ``risks``."""

    def __init__(self, risks: np.ndarray, known: np.ndarray) -> None:
        self.risks, self.known = risks, known

    def __call__(self, risks: np.ndarray, truth: np.ndarray) -> np.ndarray:
        """Return it (n,) for predicted risks (n,); NaN for an example that is comparable with none."""
        ours, theirs = truth["time"][:, None], self.known["time"][None]
        first = truth["event"][:, None] & (ours < theirs)  # of a pair whose order is known
        last = self.known["event"][None] & (theirs < ours)
        higher = np.asarray(risks)[:, None] - self.risks[None]
        concordant = np.where(first, higher > 0, higher < 0) + 0.5 * (higher == 0)
        comparable = first | last
        with np.errstate(invalid="ignore"):
            return (concordant * comparable).sum(axis=1) / comparable.sum(axis=1)


def evaluate(n: int = 800) -> mlflow_sensie.Result:
    """Fit on examples of their own, and ask what the order of risks hangs on."""
    rng = np.random.default_rng(2)
    X, known = simulate(1000, rng)
    model = make_pipeline(StandardScaler(), PoissonRegressor(alpha=1e-4))
    model.fit(X, known["event"] / known["time"], poissonregressor__sample_weight=known["time"])
    concordance = Concordance(model.predict(X), known)
    recipe: dict[str, Any] = {
        "score": {"function": concordance, "lower": 0, "upper": 1, "no_skill": 0.5, "name": "concordance"},
        "missing": "drop",
        "properties": ["age"],
        "perturbations": [
            {"name": name, "apply": "tabular.noise", "magnitudes": [0.5, 1, 2], "params": {"columns": [name]}}
            for name in ("age", "marker", "dose")
        ],
    }
    recipe["perturbations"][0]["name"] = "age noise"
    return mlflow_sensie.probe(model.predict, *simulate(n, rng), recipe)


if __name__ == "__main__":
    result = evaluate()
    print(result.summary().to_string())
    drops = {name: test.fit.mean_drop.value for name, test in result.tests.items() if test.kind == "perturbation"}
    worst = max(drops, key=drops.__getitem__)
    print(
        f"Of an example's pairs {result.clean.value:.0%} are in the right order on average, by chance half; noise on "
        f"{worst!r} costs most, {drops[worst]:.3f}."
    )
