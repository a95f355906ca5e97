"""A registry with models that a gate can tell apart: as good, fragile, broken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from flavours.logged import log_model
from mlflow.models import infer_signature
from sklearn.linear_model import LogisticRegression

import mlflow_sensie
from mlflow_sensie.gate.formats import Check

FEATURES = ["a", "b", "c"]
RECIPE: dict[str, Any] = {
    "perturbations": [{"name": "noise", "apply": "tabular.noise", "magnitudes": [0.5, 1.0]}],
    "gate": [
        {"name": "clean", "metric": "clean_score", "versus": "baseline", "worse_by_at_most": 0.02},
        {"name": "drop", "kind": "perturbation", "metric": "mean_drop", "versus": "baseline", "worse_by_at_most": 0.02},
    ],
}


def data(n: int = 600, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.normal(size=(n, 2)), columns=FEATURES[:2])
    X["c"] = X["a"] + X["b"] + 0.003 * rng.normal(size=n)  # says once more what the others say
    return X.assign(y=(X["a"] + X["b"] + rng.normal(size=n) > 0).astype(int))


class Broken(mlflow.pyfunc.PythonModel):
    """A model that opens but never predicts."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        raise RuntimeError("the weights are missing")


def log_models() -> list[str]:
    """Log four models and return their URIs: a champion, one as good, a fragile one, a broken one.

    The fragile one is as good on clean inputs: it takes the small difference of large numbers.
    """
    signature = infer_signature(data()[FEATURES])
    uris = []
    for seed, weights in ((1, None), (2, None), (1, [11.0, 11.0, -10.0])):
        train = data(1000, seed)
        model = LogisticRegression().fit(train[FEATURES], train["y"])
        if weights is not None:
            model.coef_ = np.array([weights]) * (model.coef_ @ [0.5, 0.5, 1.0])
        uris.append(log_model(mlflow.sklearn.log_model, model, signature=signature).model_uri)
    uris.append(log_model(mlflow.pyfunc.log_model, python_model=Broken(), signature=signature).model_uri)
    return uris


def register(name: str, uris: list[str]) -> None:
    """Make the models versions 1, 2, … of a registered model, of which the first is the champion."""
    for uri in uris:
        mlflow.register_model(uri, name, await_registration_for=0)
    mlflow.MlflowClient().set_registered_model_alias(name, "champion", "1")


@dataclass(frozen=True)
class Models:
    """A registered model with these versions, and a file of data to check them on."""

    name: str
    data: str

    def check(self, version: int, **given: Any) -> Check:
        wanted = {"data": self.data, "targets": "y", "recipe": RECIPE, "promote": "champion"}
        return mlflow_sensie.check(self.uri(version), f"models:/{self.name}@champion", **{**wanted, **given})

    def uri(self, version: int) -> str:
        return f"models:/{self.name}/{version}"


def alias(name: str, alias: str = "champion") -> str | None:
    """The version that an alias names."""
    version = mlflow.MlflowClient().get_registered_model(name).aliases.get(alias)
    return None if version is None else str(version)


def tags(name: str, version: str) -> dict[str, str]:
    return dict(mlflow.MlflowClient().get_model_version(name, version).tags)
