"""Recorded predictions: the tests that need no model, and the same numbers as with the model that made them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from flavours.logged import draw_nothing, evaluate
from scipy.special import softmax

import mlflow_sensie
from mlflow_sensie.errors import DataError, ModelError, RecipeError, SensieError

N = 400
RECIPE: dict[str, Any] = {"properties": ["a", "site"], "class_test": True, "slices": ["site"]}
LABELS = ["ant", "bee", "cat"]


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=N), "b": rng.normal(size=N), "site": rng.choice(["x", "y"], N)})
    drawn = [rng.choice(LABELS, p=row) for row in model(frame)]
    return frame.assign(y=drawn)


def model(frame: pd.DataFrame) -> Any:
    return softmax(np.column_stack([frame["a"], frame["b"], np.zeros(len(frame))]), axis=1)


@pytest.fixture(scope="module")
def asked(frame: pd.DataFrame) -> Any:
    """What the model itself gives when it is asked."""
    return mlflow_sensie.probe(model, frame.drop(columns="y"), frame["y"], {**RECIPE, "label_list": LABELS})


FORMS = ["matrix", "named columns", "vectors", "lists"]


def recorded(frame: pd.DataFrame, form: str) -> Any:
    p = model(frame)
    if form == "named columns":
        return pd.DataFrame(p, columns=LABELS)
    return {"matrix": p, "vectors": pd.Series(list(p)), "lists": p.tolist()}[form]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [None, 150])
def test_the_same_numbers_as_with_the_model(frame: pd.DataFrame, form: str, size: int | None) -> None:
    recipe = {**RECIPE, "max_examples": size, **({} if form == "named columns" else {"label_list": LABELS})}
    X, y = frame.drop(columns="y"), frame["y"]
    wanted = mlflow_sensie.probe(model, X, y, {**recipe, "label_list": LABELS})
    found = mlflow_sensie.probe(None, X, y, recipe, predictions=recorded(frame, form))
    assert found.metrics == wanted.metrics and found.data_sha256 == wanted.data_sha256
    assert found.tests["a"].fit.unexpected is not None and found.n_predictions == 0 and found.n == (size or N)


def test_columns_of_probabilities_by_name_in_the_recipe(frame: pd.DataFrame, asked: Any, tmp_path: Path) -> None:
    table = frame.assign(**{f"p_{label}": model(frame)[:, k] for k, label in enumerate(LABELS)})
    recipe = {**RECIPE, "predictions": ["p_ant", "p_bee", "p_cat"], "label_list": LABELS}
    found = mlflow_sensie.probe(None, table.drop(columns="y"), table["y"], recipe)
    assert found.metrics == asked.metrics and found.data_sha256 == asked.data_sha256
    table.to_parquet(tmp_path / "x.parquet")
    streamed = mlflow_sensie.probe(None, mlflow_sensie.from_parquet(tmp_path / "x.parquet", "y"), recipe=recipe)
    assert streamed.metrics == asked.metrics and streamed.data_sha256 == asked.data_sha256
    assert "p_bee" in streamed.recipe_yaml


@pytest.mark.parametrize("kind", ["positive", "labels", "numbers", "score", "loss"])
def test_one_column(frame: pd.DataFrame, kind: str) -> None:
    X, p = frame.drop(columns="y"), model(frame)[:, 0]
    y = (frame["y"] == "ant").astype(int).to_numpy()
    correct = np.where(y == 1, p, 1 - p)
    given: dict[str, tuple[Any, dict[str, Any], Any]] = {
        "positive": (p, {}, correct),
        "labels": ((p > 0.5).astype(int), {}, ((p > 0.5) == y).astype(float)),
        "numbers": (p, {"score": "neg_absolute_error"}, -np.abs(p - y)),
        "score": (correct, {"output": "score"}, correct),
        "loss": (-7 * correct - 1, {"output": "score"}, -7 * correct - 1),
    }
    predictions, keys, scores = given[kind]
    found = mlflow_sensie.probe(None, X, y, {"properties": ["a", "site"], **keys}, predictions=predictions)
    np.testing.assert_allclose(found.score_table.column("clean"), scores, rtol=0, atol=1e-12)
    assert found.score.kind == {"positive": "probability", "labels": "correct", "numbers": "neg_absolute_error"}.get(
        kind, "custom"
    )
    bounds = {"loss": (None, None), "numbers": (None, 0.0)}.get(kind, (0.0, 1.0))
    assert (found.score.lower, found.score.upper) == bounds


def test_auto_takes_the_columns_and_no_perturbation(frame: pd.DataFrame) -> None:
    found = mlflow_sensie.probe(None, frame.drop(columns="y"), frame["y"], predictions=recorded(frame, "named columns"))
    assert list(found.tests) == ["a", "b", "site", "class"]
    of_columns = [reason for reason in found.choices if "no model was asked" in reason]
    assert [reason.split(":")[0] for reason in found.choices if reason not in of_columns] == ["class"] and len(
        of_columns
    ) == 3


def test_auto_of_images_keeps_their_properties() -> None:
    images = np.random.default_rng(1).random((60, 6, 6, 1))
    p = images.mean(axis=(1, 2, 3))
    found = mlflow_sensie.probe(None, images, np.arange(60) % 2, predictions=p)
    assert list(found.tests) == ["ink", "contrast", "class"] and not [
        c for c in found.choices if c.startswith("image.")
    ]


def test_properties_of_the_predictions(frame: pd.DataFrame) -> None:
    recipe = {"properties": [{"name": "sure", "of": "model.confidence"}], "label_list": LABELS}
    found = mlflow_sensie.probe(None, frame.drop(columns="y"), frame["y"], recipe, predictions=model(frame))
    np.testing.assert_allclose(found.score_table.column("property/sure"), model(frame).max(axis=1))


# --- through MLflow ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("evaluators", [["sensie"], ["sensie", "default"]])
def test_through_mlflow(
    frame: pd.DataFrame, experiment_id: str, monkeypatch: pytest.MonkeyPatch, evaluators: list[str]
) -> None:
    draw_nothing(monkeypatch)
    table = frame[["a", "site"]].assign(y=frame["a"] * 2 + frame["b"], p=frame["a"] * 2)
    config: dict[str, Any] = {"sensie": {"properties": ["a", "site"]}, "default": {"log_model_explainability": False}}
    options = {"targets": "y", "predictions": "p", "model_type": "regressor", "evaluators": evaluators}
    chosen = {name: config[name] for name in evaluators}
    done = evaluate(None, table, evaluator_config=chosen, **options)
    direct = mlflow_sensie.probe(None, table[["a", "site"]], table["y"], config["sensie"], task="regressor",
                                 predictions=table["p"])  # fmt: skip
    assert done.ours == direct.metrics and set(done.result().tests) == {"a", "site"}
    if "default" in evaluators:
        error = done.returned.metrics["mean_absolute_error"]
        assert done.ours["sensie/clean_score"] == pytest.approx(-error)


@pytest.mark.parametrize("how", ["a column of vectors", "a dataset", "columns in the recipe"])
def test_probabilities_through_mlflow(
    frame: pd.DataFrame, asked: Any, experiment_id: str, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    draw_nothing(monkeypatch)
    recipe = {**RECIPE, "label_list": LABELS}
    table = frame.assign(p=list(model(frame)))
    if how == "a column of vectors":
        done = evaluate(None, table, recipe, targets="y", predictions="p")
    elif how == "a dataset":
        done = evaluate(None, mlflow.data.from_pandas(table, targets="y", predictions="p"), recipe)
    else:
        wide = frame.assign(**{label: model(frame)[:, k] for k, label in enumerate(LABELS)})
        done = evaluate(None, wide, {**RECIPE, "predictions": LABELS}, targets="y")
    assert done.ours == asked.metrics
    assert done.run.data.tags["sensie_data_sha256"] == asked.data_sha256


# --- what is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "said", "recipe", "predictions"),
    [
        (ModelError, "no model came .*and no predictions", {}, None),
        (RecipeError, "'tabular.noise' needs a model to ask; of recorded", {"perturbations": ["tabular.noise"]}, "all"),
        (DataError, "10 predictions came for 400 examples", {}, "few"),
        (RecipeError, "predictions came twice: beside the data, and as a", {"predictions": "a"}, "all"),
        (DataError, "predictions: there is no column 'q'; the columns are a, b, site", {"predictions": "q"}, None),
        (ModelError, "do not sum to 1", {}, "logits"),
        (ModelError, "output: score needs one column of numbers", {"output": "score"}, "all"),
    ],
)
def test_what_is_refused(
    frame: pd.DataFrame, error: type[SensieError], said: str, recipe: Any, predictions: Any
) -> None:
    p = {"all": model(frame), "few": model(frame)[:10], "logits": np.full((N, 3), 0.9), None: None}[predictions]
    keys = {"class_test": True, "label_list": LABELS, **recipe}
    with pytest.raises(error, match=said):
        mlflow_sensie.probe(None, frame.drop(columns="y"), frame["y"], keys, predictions=p)


@pytest.mark.parametrize(
    ("said", "recipe", "more"),
    [
        ("and a model as well", {}, {"predictions": [0.5] * N}),
        ("and a model as well", {"predictions": ["a", "b"]}, {}),
        ("output: score is for recorded predictions", {"output": "score"}, {}),
    ],
)
def test_beside_a_model(frame: pd.DataFrame, said: str, recipe: Any, more: Any) -> None:
    with pytest.raises(RecipeError, match=said):
        mlflow_sensie.probe(model, frame.drop(columns="y"), frame["y"], {"class_test": True, **recipe}, **more)
