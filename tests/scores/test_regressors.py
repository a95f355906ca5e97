"""Regressors: the score is the error in the target's own unit, greater is better, by hand and through scikit-learn."""

from __future__ import annotations

from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_diabetes
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.metrics import (
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_pinball_loss,
    mean_squared_error,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mlflow_sensie import probe
from mlflow_sensie.result.keys import KEYS
from mlflow_sensie.scores.table import CLEAN, TARGET, score_column
from mlflow_sensie.text import words

PROPERTY = {"properties": ["x"]}


def test_errors_are_in_the_targets_unit() -> None:
    y = np.array([1.0, 2.0, 3.0, 6.0])
    predicted = np.array([1.0, 3.0, 2.5, 4.0])
    X = pd.DataFrame({"x": np.arange(4), "row": np.arange(4)})
    result = probe(lambda X: predicted[X["row"]], X, y, PROPERTY, task="regressor")
    np.testing.assert_allclose(result.score_table.column(CLEAN), [0, -1, -0.5, -2])
    assert result.clean.value == pytest.approx(-3.5 / 4)
    assert (result.score.kind, result.score.lower, result.score.upper) == ("neg_absolute_error", None, 0)
    assert result.score.unit == "target unit"
    squared = probe(lambda X: predicted[X["row"]], X, y, {**PROPERTY, "score": "neg_squared_error"}, task="regressor")
    np.testing.assert_allclose(squared.score_table.column(CLEAN), [0, -1, -0.25, -4])
    assert squared.score.unit == "target unit²"
    assert result.score_table.column(TARGET).tolist() == [1, 2, 3, 6]


def line(n: int = 500, noise: float = 1.0) -> tuple[pd.DataFrame, Any]:
    rng = np.random.default_rng(11)
    X = pd.DataFrame({"x": rng.uniform(0, 4, n), "z": rng.normal(size=n)})
    return X, (3 * X["x"] + noise * rng.normal(size=n)).to_numpy()


def test_in_another_unit_it_is_the_same_in_that_unit() -> None:
    X, y = line()
    asked = {"properties": ["x"], "perturbations": [{"name": "tabular.noise", "magnitudes": [0.5, 1]}]}
    one = probe(LinearRegression().fit(X, y), X, y, asked)
    other = probe(LinearRegression().fit(X, 1000 * y + 7), X, 1000 * y + 7, asked)
    in_unit = {key.name for key in KEYS if key.unit.startswith("score")}
    assert {"effect", "slope", "mean_drop", "holds_until"} - in_unit == {"holds_until"}
    for key, value in one.metrics.items():
        name = key.rsplit("/", 1)[-1]
        factor = 1000 if name in in_unit or name.startswith(("clean_score", "worst_", "no_skill_score")) else 1
        assert other.metrics[key] == pytest.approx(factor * value, rel=1e-6, abs=1e-9), key


@pytest.mark.parametrize(
    "model",
    [LinearRegression(), make_pipeline(StandardScaler(), Ridge()), RandomForestRegressor(5, random_state=0)],
    ids=["linear", "pipeline", "forest"],
)
def test_scikit_learn_regressors(model: Any) -> None:
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    model.fit(X, y)
    asked = {"properties": ["bmi", "sex"], "perturbations": [{"name": "tabular.noise", "magnitudes": [0.5, 1]}]}
    result = probe(model, X, y, asked)
    assert (result.score.kind, result.score.source) == ("neg_absolute_error", "predict")
    assert result.clean.value == pytest.approx(-mean_absolute_error(y, model.predict(X)), rel=1e-9)
    squared = probe(model, X, y, {**asked, "score": "neg_squared_error"})
    assert squared.clean.value == pytest.approx(-mean_squared_error(y, model.predict(X)), rel=1e-9)
    for each in (result, squared):
        assert each.tests["tabular.noise"].metrics["effect_hi95"] < 0
        assert not [key for test in each.tests.values() for key in test.metrics if "unexpected" in key]
        assert all(np.isfinite(value) for value in each.metrics.values())
    assert result.metrics.keys() == squared.metrics.keys()


def test_noise_costs_what_it_should() -> None:
    """A perfect line y = 3x under noise of p SDs of x: E|3·p·SD·eps| = 3·p·SD·√(2/π)."""
    X, y = line(4000, noise=0.0)
    result = probe(
        lambda X: 3 * X["x"], X, y, {"perturbations": [{"name": "tabular.noise", "magnitudes": [0.5, 1, 2]}]},
        task="regressor",
    )  # fmt: skip
    unit = 3 * X["x"].std() * (2 / np.pi) ** 0.5
    found = [-result.score_table.column(score_column("tabular.noise", i)).mean() for i in range(3)]
    assert found == pytest.approx(np.array([0.5, 1, 2]) * unit, rel=0.04)
    assert result.clean.value == 0
    effect = result.tests["tabular.noise"].metrics["effect"]
    assert effect == pytest.approx(-2 * unit, rel=0.04)
    # It is a perfect model: a tenth of its skill is a tenth of what the best constant, the median, errs by.
    holds = 0.1 * np.abs(y - np.median(y)).mean() / unit
    assert result.metrics["sensie/tabular.noise/holds_until"] == pytest.approx(holds, rel=0.05)


def test_an_absolute_allowed_drop_is_in_the_scores_unit() -> None:
    X, y = line(1000, noise=0.0)
    noise = {"name": "tabular.noise", "magnitudes": [0.5, 1, 2]}
    unit = 3 * X["x"].std() * (2 / np.pi) ** 0.5
    asked = {"perturbations": [{**noise, "allowed_drop": {"absolute": unit / 2}}]}
    result = probe(lambda X: 3 * X["x"], X, y, asked, task="regressor")
    assert result.metrics["sensie/tabular.noise/holds_until"] == pytest.approx(0.5, rel=0.1)


@pytest.mark.parametrize(
    "targets",
    [
        lambda y: y,
        lambda y: y.tolist(),
        lambda y: y.astype("float32"),
        lambda y: pd.Series(y, index=np.arange(len(y))[::-1]),
        lambda y: pd.array(y, dtype="Float64"),
        lambda y: y.astype(object),
        lambda y: y[:, None],
        lambda y: pd.Series(y, dtype="double[pyarrow]"),
    ],
    ids=["array", "list", "float32", "series", "nullable", "objects", "column", "arrow"],
)
def test_targets_of_any_form(targets: Any) -> None:
    X, y = line()
    result = probe(lambda X: 3 * X["x"], X, targets(y), PROPERTY)  # that it is a regressor is seen
    assert result.score.kind == "neg_absolute_error"
    assert result.clean.value == pytest.approx(-mean_absolute_error(y, 3 * X["x"]), rel=1e-5)


@pytest.mark.parametrize(
    ("predicted", "targets", "kind"),
    [
        (lambda x: 3 * x, lambda x: 3 * x + 0.5, "neg_absolute_error"),  # fractions as targets
        (lambda x: 3 * x, lambda x: np.round(100 * x), "neg_absolute_error"),  # many whole numbers
        (lambda x: x / 5, lambda x: (x > 2).astype(int), "probability"),  # two labels, one column in [0, 1]
        (lambda x: (x > 2).astype(int), lambda x: (x > 2).astype(int), "correct"),
        (lambda x: np.where(x > 2, 1.0, 0.0), lambda x: (x > 2).astype(float), "correct"),
    ],
)
def test_what_a_plain_function_is_taken_for(predicted: Any, targets: Any, kind: str) -> None:
    X, _ = line()
    result = probe(lambda X: predicted(X["x"].to_numpy()), X, targets(X["x"].to_numpy()), PROPERTY)
    assert result.score.kind == kind


def test_few_whole_targets_need_a_word() -> None:
    X, _ = line()
    y = np.round(X["x"])
    result = probe(lambda X: X["x"], X, y, PROPERTY, task="regressor")
    assert result.clean.value == pytest.approx(-np.abs(X["x"] - y).mean())
    said = probe(lambda X: X["x"], X, y, {**PROPERTY, "score": "neg_absolute_error"})
    assert said.metrics == result.metrics
    with pytest.raises(Exception, match="neither probabilities nor labels.*if the model is a regressor, say so"):
        probe(lambda X: X["x"], X, y, PROPERTY)


def test_a_regressor_of_one_column_and_a_perfect_one() -> None:
    X, y = line()
    perfect = lambda inputs: y[inputs.index][:, None]  # chunk by chunk
    result = probe(perfect, X[:200], y[:200], {**PROPERTY, "class_test": False}, task="regressor")
    assert result.clean.value == 0 and all(np.isfinite(value) for value in result.metrics.values())


def test_the_unit_is_called_as_the_target() -> None:
    X, y = line(100)
    price, again = pd.Series(np.exp(y / 5), name="price"), pd.DataFrame({**X, "price": np.exp(y / 5)})
    units = {"neg_squared_error": "price²", "neg_relative_error": "relative error"}
    for score in ("neg_absolute_error", "neg_squared_error", "neg_relative_error", {"quantile": 0.9}):
        result = probe(lambda X: np.exp(X["x"] / 2), X, price, {**PROPERTY, "score": score})
        assert result.score.unit == units.get(str(score), "price")
        assert ("price" in words.score_name(result.score.kind, result.score.unit)) is (score != "neg_relative_error")
        dataset = mlflow.data.from_pandas(again, targets="price")
        recipe = {**PROPERTY, "score": score}
        assert probe(lambda X: np.exp(X["x"] / 2), dataset, recipe=recipe).score == result.score
    for name in ("y", 0, None, "target"):
        result = probe(lambda X: 3 * X["x"], X, pd.Series(y, name=name), PROPERTY)
        assert result.score.unit == "target unit"


def test_a_quantile_is_scored_as_scikit_learn_does() -> None:
    X, y = line()
    predicted = 3 * X["x"] + 1
    result = probe(lambda X: 3 * X["x"] + 1, X, y, {**PROPERTY, "score": {"quantile": 0.8}})
    assert result.clean.value == pytest.approx(-mean_pinball_loss(y, predicted, alpha=0.8), rel=1e-9)
    relative = probe(lambda X: 3 * X["x"] + 1, X, y, {**PROPERTY, "score": "neg_relative_error"})
    assert relative.clean.value == pytest.approx(-mean_absolute_percentage_error(y, predicted), rel=1e-9)


def test_a_prediction_below_0_is_the_farthest_off_in_logarithms() -> None:
    X, y = line(100)
    result = probe(lambda X: np.where(X["x"] > 2, 1.0, -1.0), X, np.exp(y), {**PROPERTY, "score": "neg_log_error"})
    scores = result.score_table.column(CLEAN)
    below = (X["x"] <= 2).to_numpy()
    np.testing.assert_allclose(scores[below], np.log(1e-6))
    np.testing.assert_allclose(scores[~below], -np.abs(y[~below]))


def test_the_rope_is_a_twentieth_of_the_best_constants_error() -> None:
    X, y = line(200)
    for factor in (1, 1000):
        result = probe(lambda X, factor=factor: 3 * factor * X["x"], X, factor * y, PROPERTY)
        rope = 0.05 * np.abs(factor * (y - np.sort(y)[99])).mean()
        assert result.recipe["inference"]["rope"] == pytest.approx(rope)
        assert result.tests["x"].fit.rope == pytest.approx(rope)
    said = probe(lambda X: 3 * X["x"], X, y, {**PROPERTY, "inference": {"rope": 0.5}})
    assert said.recipe["inference"]["rope"] == 0.5


@pytest.mark.parametrize(
    ("score", "rope"),
    [("probability", 0.02), ("correct", 0.02), ("neg_brier_score", 0.05 * 0.42), ("neg_log_loss", 0.05 * 0.6109)],
)
def test_the_rope_of_a_classifier(score: str, rope: float) -> None:
    X, _ = line(200)
    p = np.column_stack([X["x"] / 4, 1 - X["x"] / 4])
    result = probe(lambda X: p[X.index], X, (np.arange(200) % 10 < 7).astype(int), {**PROPERTY, "score": score})
    assert result.recipe["inference"]["rope"] == pytest.approx(rope, rel=1e-4)


def test_a_price_is_read_in_its_own_unit() -> None:
    """Errors of a fixed sum and a share of the price: in dollars they grow with size, and relatively they fall."""
    rng = np.random.default_rng(8)
    X = pd.DataFrame({"carat": rng.lognormal(-0.4, 0.6, 2000), "grade": rng.integers(1, 6, 2000)})
    worth = 4000 * X["carat"] ** 1.7 * (1 + 0.08 * X["grade"])
    price = pd.Series(worth * np.exp(rng.normal(0, 0.1, 2000)) + rng.uniform(0, 200, 2000), name="price")

    def model(X: Any) -> Any:
        return 4000 * X["carat"] ** 1.7 * (1 + 0.08 * X["grade"])

    recipe: dict[str, Any] = {"properties": [{"name": "carat", "of": "carat", "rank": True}]}
    dollars, relative = (
        probe(model, X, price, {**recipe, "score": f"neg_{s}_error"}) for s in ("absolute", "relative")
    )
    assert dollars.clean.value == pytest.approx(-mean_absolute_error(price, worth)) and dollars.clean.value < -100
    assert dollars.tests["carat"].fit.effect.hi95 < -100 and relative.tests["carat"].fit.effect.lo95 > 0
    assert dollars.score.unit == "price" and "−absolute error (price)" in dollars.html()
    assert relative.score.unit == "relative error" and "−relative error" in relative.html()
