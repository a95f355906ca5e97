"""Every shipped recipe runs through MLflow on a real model of its kind, and the schema knows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jsonschema
import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml
from mlflow.models import infer_signature
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes, load_digits
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from mlflow_sensie.recipe.model import Recipe
from mlflow_sensie.recipe.reading import load_recipe, shipped_recipes

MOST_PREDICTIONS = 150_000  # of a recipe on as many examples as it allows itself


@dataclass(frozen=True)
class Case:
    """A model, and data with a column ``y``."""

    model: Any
    data: pd.DataFrame
    task: str = "classifier"
    more: dict[str, Any] | None = None


def images() -> Case:
    digits = load_digits()
    frame = pd.DataFrame(digits.data / 16, columns=[f"pixel_{i}" for i in range(64)])
    model = LogisticRegression(max_iter=300).fit(frame[:1000], digits.target[:1000])
    return Case(model, frame[1000:1300].assign(y=digits.target[1000:1300]), more={"input_shape": [8, 8]})


def table() -> Case:
    rng = np.random.default_rng(0)
    n = 900
    frame = pd.DataFrame(
        {"age": rng.integers(18, 90, n), "income": rng.lognormal(10, 1, n), "plan": rng.choice(["a", "b", "c"], n)}
    )
    chance = 1 / (1 + np.exp(-(frame["age"] - 50) / 10 - (frame["plan"] == "a")))
    y = (rng.random(n) < chance).astype(int)
    encode = ColumnTransformer([("plan", OneHotEncoder(), ["plan"]), ("rest", "passthrough", ["age", "income"])])
    model = make_pipeline(encode, HistGradientBoostingClassifier(max_iter=20)).fit(frame[:600], y[:600])
    return Case(model, frame[600:].assign(y=y[600:]))


def regression() -> Case:
    frame = load_diabetes(as_frame=True).frame.rename(columns={"target": "y"})
    return Case(Ridge().fit(frame.drop(columns="y"), frame["y"]), frame, "regressor")


def texts() -> Case:
    rng = np.random.default_rng(0)
    words = {"good": ["good", "great", "lovely"], "bad": ["bad", "awful", "poor"]}
    neutral = ["the", "a", "movie", "film", "plot", "was", "is", "really", "and", "but"]

    def sentence(mood: str) -> str:
        return " ".join(rng.choice(words[mood]) if rng.random() < 0.3 else rng.choice(neutral) for _ in range(12))

    y = rng.choice(list(words), 500)
    frame = pd.DataFrame({"text": [sentence(mood) for mood in y], "y": y})
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(frame["text"][:250], y[:250])
    return Case(model, frame[250:])


def series() -> Case:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 400)
    time = np.linspace(0, 1, 60)
    phase = rng.uniform(-0.5, 0.5, 400)[:, None]
    signal = np.sin(2 * np.pi * (y[:, None] + 1) * time + phase) + rng.normal(0, 0.5, (400, 60))
    frame = pd.DataFrame(signal, columns=[f"t{i:02d}" for i in range(60)])
    model = LogisticRegression(max_iter=300).fit(frame[:200], y[:200])
    return Case(model, frame[200:].assign(y=y[200:]), more={"input_shape": [60]})


CASES: list[tuple[str, Callable[[], Case]]] = [
    ("image_robustness", images),
    ("image_corruptions", images),
    ("tabular_robustness", table),
    ("tabular_robustness", regression),
    ("tabular_slices", table),
    ("tabular_slices", regression),
    ("text_robustness", texts),
    ("series_robustness", series),
    ("auto", table),
    ("auto", regression),
    ("auto", texts),
    *(("promotion", make) for make in (table, regression, texts, images)),
]


def test_every_shipped_recipe_has_a_case() -> None:
    assert {name for name, _ in CASES} == {*shipped_recipes(), "auto"}


def against(model_uri: str, name: str) -> dict[str, Any]:
    """A gate needs a baseline: here the model itself."""
    return {"baseline": model_uri} if name == "promotion" else {}


@pytest.mark.parametrize(("name", "make"), CASES, ids=[f"{name}-{make.__name__}" for name, make in CASES])
def test_a_shipped_recipe_runs_through_mlflow(name: str, make: Callable[[], Case], experiment_id: str) -> None:
    case = make()
    features = case.data.drop(columns="y")
    with mlflow.start_run():
        signature = infer_signature(features, case.model.predict(features.get("text", features)))
        named = {"name": "model"} if mlflow.__version__[0] == "3" else {"artifact_path": "model"}
        logged = mlflow.sklearn.log_model(
            case.model, signature=signature, pip_requirements=["scikit-learn"],
            serialization_format="cloudpickle", **named,
        )  # fmt: skip
        found = mlflow.models.evaluate(
            logged.model_uri, case.data, targets="y", model_type=case.task, evaluators=["sensie"],
            evaluator_config={"sensie": {"recipe": name, **(case.more or {}), **against(logged.model_uri, name)}},
        )  # fmt: skip
    assert found.metrics["sensie/n_failed"] == 0
    assert found.metrics["sensie/n_tests"] >= 3
    if name == "promotion":
        assert found.artifacts["sensie/verdict.json"].content["outcome"] == "pass"
    assert all(np.isfinite(value) for value in found.metrics.values())


@pytest.mark.parametrize("name", shipped_recipes())
def test_the_schema_accepts_a_shipped_recipe_and_its_cost_is_bounded(name: str) -> None:
    plain = yaml.safe_load(shipped_recipes()[name].read_text(encoding="utf-8"))
    jsonschema.validate(plain, Recipe.model_json_schema())
    recipe = load_recipe(name)
    assert recipe.max_examples is not None
    magnitudes = sum(len(spec.magnitudes or ()) for spec in recipe.perturbations)
    assert all(spec.magnitudes for spec in recipe.perturbations)
    assert recipe.max_examples * (1 + magnitudes) <= MOST_PREDICTIONS


@pytest.mark.parametrize(
    "wrong",
    [
        {"propertys": []},
        {"perturbations": [{"name": "a", "magnitudes": [1]}]},
        {"perturbations": [{"name": "a", "magnitudes": {"start": 0, "stop": 1}}]},
        {"score": "nope"},
        {"properties": [{"name": "a", "bins": 1}]},
        {"slices": [3]},
        {"slices": [{"colum": "a"}]},
    ],
)
def test_the_schema_refuses_what_the_recipe_refuses(wrong: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, Recipe.model_json_schema())
    with pytest.raises(ValueError):
        load_recipe(wrong)
