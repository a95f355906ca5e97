"""The main job through `probe`: known curves reproduced, data of any form, the same keys on every run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.special import softmax
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

import mlflow_sensie
from mlflow_sensie import probe
from mlflow_sensie.errors import RecipeError
from mlflow_sensie.models.model import Model
from mlflow_sensie.models.signature import InputSchema
from mlflow_sensie.recipe.reading import load_recipe
from mlflow_sensie.scores.table import CLEAN, score_column

# --- a model whose forward pass is known -------------------------------------------------------------------


def pictures(side: int, channels: int = 0, n: int = 150) -> tuple[Any, Any]:
    """Smooth random pictures in [0, 1], and labels."""
    rng = np.random.default_rng(31)
    raw = rng.random((n, side, side, max(channels, 1)))
    smooth = ndimage.gaussian_filter(raw, (0, 1.5, 1.5, 0))
    smooth = (smooth - smooth.min()) / np.ptp(smooth)
    return (smooth if channels else smooth[..., 0]).astype(np.float32), rng.integers(0, 5, n)


def linear_softmax(shape: tuple[int, ...]) -> Any:
    weights = np.random.default_rng(32).normal(0, 0.5, (int(np.prod(shape)), 5))
    return lambda X: softmax(np.asarray(X, dtype=np.float64).reshape(len(X), -1) @ weights, axis=1)


def rotated(X: Any, angle: float, axes: tuple[int, int] = (2, 1)) -> Any:
    return ndimage.rotate(X, angle, axes=axes, reshape=False, order=1, mode="grid-constant")


ANGLES = {"start": -90, "stop": 180, "num": 10}


@pytest.mark.parametrize(
    ("side", "channels", "layout"), [(8, 0, None), (28, 0, None), (13, 3, "NHWC"), (13, 3, "NCHW"), (10, 1, None)]
)
def test_the_rotation_curve_is_that_of_a_plain_loop(side: int, channels: int, layout: str | None) -> None:
    X, y = pictures(side, channels)
    axes = (2, 1)
    if layout == "NCHW":
        X, axes = np.moveaxis(X, -1, 1).copy(), (3, 2)
    model = linear_softmax(X.shape[1:])
    spec = {"name": "rotation", "apply": "image.rotate", "magnitudes": ANGLES}
    result = probe(model, X, y, {"perturbations": [spec], **({"layout": layout} if layout else {})})
    curve = result.tests["rotation"].curve
    assert curve["p"].tolist() == np.linspace(-90, 180, 10).tolist()
    for angle, score in zip(curve["p"], curve["score"], strict=True):
        p = model(rotated(X, angle, axes))
        assert score == pytest.approx(p[np.arange(len(y)), y].mean(), abs=1e-4)
    index = [a for a in np.linspace(-90, 180, 10) if a].index(30.0)
    p = model(rotated(X, 30, axes))
    np.testing.assert_allclose(
        result.score_table.column(score_column("rotation", index)), p[np.arange(len(y)), y], atol=1e-4
    )


@pytest.fixture(scope="module")
def digits() -> tuple[Any, Any, Any]:
    """8×8 digits in [0, 1], their labels, and a softmax regression that learned half of them."""
    X, y = load_digits(return_X_y=True)
    X = X / 16
    fitted = LogisticRegression(max_iter=300, C=0.3).fit(X[::2], y[::2])
    known = lambda data: softmax(
        np.asarray(data, dtype=float).reshape(len(data), -1) @ fitted.coef_.T + fitted.intercept_, axis=1
    )
    return X[1::2][:600].reshape(-1, 8, 8), y[1::2][:600], known


def test_a_rotation_to_both_sides_is_the_loss_it_is(digits: tuple[Any, Any, Any]) -> None:
    X, y, model = digits
    both = {"name": "both", "apply": "image.rotate", "magnitudes": {"start": -45, "stop": 45, "num": 7}}
    right = {"name": "right", "apply": "image.rotate", "magnitudes": [0, 15, 30, 45]}
    left = {"name": "left", "apply": "image.rotate", "magnitudes": [-45, -30, -15, 0]}
    result = probe(model, X, y, {"perturbations": [both, right, left]})
    found = result.tests["both"].metrics
    assert result.clean.value > 0.7 and found["effect"] < -0.3 and found["effect_hi95"] < -0.25
    assert found["above_effect"] == pytest.approx(result.tests["right"].metrics["effect"])
    assert found["below_effect"] == pytest.approx(result.tests["left"].metrics["effect"])
    assert found["effect"] == min(found["above_effect"], found["below_effect"])
    assert result.tests["left"].metrics["slope"] < 0  # per degree away from upright, whichever way
    assert found["mean_drop"] == pytest.approx(
        (result.tests["right"].metrics["mean_drop"] + result.tests["left"].metrics["mean_drop"]) / 2
    )
    assert found["holds_until"] == min(found["holds_until_below"], found["holds_until_above"]) < 30
    assert result.metrics["sensie/worst_mean_drop"] == max(t.metrics["mean_drop"] for t in result.tests.values())


def test_blur_and_noise_cost_score_too(digits: tuple[Any, Any, Any]) -> None:
    X, y, model = digits
    result = probe(model, X, y, {"perturbations": ["image.gaussian_blur", "image.gaussian_noise"]})
    assert (result.summary()["effect"] < -0.05).all() and (result.summary()["decision"] == "sensitive").all()


# --- data of any form --------------------------------------------------------------------------------------


IMAGE_RECIPE = {
    "properties": [{"name": "ink", "of": "image.mean"}],
    "perturbations": [{"name": "rotation", "apply": "image.rotate", "magnitudes": [0, 20, 40]},
                      {"name": "noise", "apply": "image.gaussian_noise", "magnitudes": [0.2]*1 + [0.4]}],
    "class_test": True,
}  # fmt: skip


def image_forms(X: Any) -> dict[str, tuple[Any, dict[str, Any]]]:
    flat, shape = X.reshape(len(X), -1), {"input_shape": list(X.shape[1:])}
    return {
        "N-D array": (X, {}),
        "flat array": (flat, shape),
        "flat frame": (pd.DataFrame(flat).add_prefix("pixel_"), shape),
        "flat frame of numbered columns": (pd.DataFrame(flat), shape),
        "array cells": (pd.DataFrame({"image": list(X)}), {}),
        "nested list cells": (pd.DataFrame({"image": X.tolist()}), {}),
        "nested lists": (X.tolist(), {}),
    }


@pytest.mark.parametrize("wants_array", [False, True], ids=["a function of any form", "a model of arrays"])
@pytest.mark.parametrize("name", image_forms(np.zeros((2, 3, 3))))
def test_the_same_images_in_any_form_give_the_same_result(
    digits: tuple[Any, Any, Any], name: str, wants_array: bool
) -> None:
    X, y, known = digits
    X, y = X[:300], y[:300]

    def model(data: Any) -> Any:
        if isinstance(data, pd.DataFrame):
            assert not wants_array
            data = np.stack(list(data.iloc[:, 0])) if data.shape[1] == 1 else data.to_numpy()
        if wants_array:
            assert data.shape[1:] == (8, 8)
        return known(data)

    opened = Model(model, "function", schema=InputSchema(shape=(8, 8)), wants_array=True) if wants_array else model
    data, keys = image_forms(X)[name]
    result = probe(opened, data, y, {**IMAGE_RECIPE, **keys})
    wanted = probe(known, X, y, IMAGE_RECIPE)
    for column in (CLEAN, score_column("rotation", 0), score_column("noise", 1), "property/ink"):
        np.testing.assert_allclose(result.score_table.column(column), wanted.score_table.column(column), atol=1e-9)
    assert result.metrics == pytest.approx(wanted.metrics, rel=1e-6, abs=1e-9)


def test_integer_and_normalised_pixels_are_the_same_pictures(digits: tuple[Any, Any, Any]) -> None:
    X, y, known = digits
    stored = np.rint(X * 255).astype(np.uint8)
    forms = [
        (known, stored / 255.0, None),
        (lambda data: known(np.asarray(data, dtype=float) / 255), stored, None),
        (lambda data: known(np.asarray(data) / 255), stored.astype(float), [0, 255]),
        (lambda data: known(np.asarray(data) * 0.3 + 0.5), (stored / 255.0 - 0.5) / 0.3, {"mean": 0.5, "std": 0.3}),
    ]
    asked = {**IMAGE_RECIPE, "perturbations": IMAGE_RECIPE["perturbations"][:1]}  # noise is drawn in the working dtype
    tables = [probe(model, data, y, {**asked, "value_range": said}).score_table for model, data, said in forms]
    for column in (CLEAN, score_column("rotation", 0), score_column("rotation", 1), "property/ink"):
        for table in tables[1:]:
            np.testing.assert_allclose(table.column(column), tables[0].column(column), atol=1e-5)


def test_a_models_integer_signature_is_kept(digits: tuple[Any, Any, Any]) -> None:
    X, y, known = digits
    seen: set[str] = set()

    def model(data: Any) -> Any:
        seen.add(str(data.dtype))
        return known(data / 255)

    schema = InputSchema(shape=(8, 8), dtype=np.dtype("uint8"))
    opened = Model(model, "predict", schema=schema, wants_array=True)
    probe(opened, np.rint(X * 255).astype(np.uint8), y, IMAGE_RECIPE)
    assert seen == {"uint8"}


# --- the same keys on every run ----------------------------------------------------------------------------


def tabular() -> tuple[pd.DataFrame, Any]:
    rng = np.random.default_rng(41)
    X = pd.DataFrame({
        "a": rng.normal(size=240), "b": rng.exponential(size=240), "k": rng.integers(0, 4, 240),
        "site": rng.choice(list("xyz"), 240), "flag": rng.random(240) < 0.02,
        "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 99, 240), unit="D"),
    })  # fmt: skip
    X.loc[::17, "b"] = np.nan
    return X, rng.integers(0, 3, 240)


WIDE_RECIPE = {
    "properties": ["a", "b", "k", "site", "flag", "day", {"name": "uncut", "of": "a", "bins": "none"}],
    "perturbations": [
        {"name": "noise", "apply": "tabular.noise", "magnitudes": [0.5, 1]},
        {"name": "shift", "apply": "tabular.shift", "magnitudes": [-1, -0.5, 0.5, 1]},
        {"name": "scale", "apply": "tabular.scale", "magnitudes": [0.5, 0.8, 1.5, 2]},
        {"name": "own", "apply": lambda x, p: x.assign(a=x["a"] + p), "magnitudes": [0, 1, 2]},
    ],
    "class_test": True,
}


def reasonable(X: pd.DataFrame) -> Any:
    return softmax(np.column_stack([X["a"], X["b"].fillna(0), X["k"]]), axis=1)


DEGENERATE: dict[str, Any] = {
    "constant": lambda X: np.full((len(X), 3), 1 / 3),
    "certain of one class": lambda X: np.tile([1.0, 0.0, 0.0], (len(X), 1)),
    "perfect": lambda X: np.eye(3)[tabular()[1]][X["row"]],
    "all wrong": lambda X: np.eye(3)[(tabular()[1] + 1) % 3][X["row"]],
    "one right": lambda X: np.where((X["row"] == 7).to_numpy()[:, None], np.eye(3)[tabular()[1]][X["row"]],
                                    np.eye(3)[(tabular()[1] + 1) % 3][X["row"]]),
    "underflowing": lambda X: softmax(np.outer(np.ones(len(X)), [0.0, 800.0, -800.0]), axis=1),
    "another": lambda X: softmax(np.column_stack([X["k"], -X["a"], X["b"].fillna(3)]), axis=1),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("score", ["probability", "neg_log_loss"])
@pytest.mark.parametrize("name", DEGENERATE)
def test_any_two_models_carry_the_same_keys_of_finite_floats(name: str, score: str) -> None:
    X, y = tabular()
    X = X.assign(row=np.arange(len(X)))
    keep = lambda x, p: x.assign(a=x["a"] + p)
    perturbations = [
        {**each, "params": {"columns": ["a", "b"]}} if isinstance(each["apply"], str) else {**each, "apply": keep}
        for each in WIDE_RECIPE["perturbations"]  # type: ignore[attr-defined]
    ]
    asked = {**WIDE_RECIPE, "perturbations": perturbations, "score": score}
    with np.errstate(all="ignore"):
        one, other = probe(reasonable, X, y, asked), probe(DEGENERATE[name], X, y, asked)
    assert list(one.metrics) == list(other.metrics)
    for key, value in other.metrics.items():
        assert type(value) is float and np.isfinite(value), (key, value)
    again = type(other).from_json(other.to_json())
    assert again.metrics == other.metrics and again.tests == other.tests


@pytest.mark.parametrize("n", [2, 3, 5, 20])
def test_a_handful_of_examples_carries_the_same_keys_as_many(n: int) -> None:
    rng = np.random.default_rng(42)
    X = pd.DataFrame({"a": rng.normal(size=300)})
    y = np.arange(300) % 2
    model = lambda X: np.column_stack([0.5 - np.tanh(X["a"]) / 2, 0.5 + np.tanh(X["a"]) / 2])
    asked = {
        "properties": ["a"],
        "perturbations": [{"name": "tabular.noise", "magnitudes": [0.5, 1]}],
        "class_test": True,
    }
    few, many = probe(model, X[:n], y[:n], asked), probe(model, X, y, asked)
    # In a class of one example a property has no slope, so that there is no effect at the same mix of classes.
    undefined = {"sensie/a/within_effect"} if n == 2 else set()
    assert list(few.metrics) == [name for name in many.metrics if name not in undefined]
    assert all(np.isfinite(value) for value in few.metrics.values())


@settings(max_examples=12, deadline=None)
@given(st.integers(2, 40), st.integers(0, 10_000), st.sampled_from([0.0, 0.3, 0.9]), st.booleans())
def test_any_small_data_set_gives_finite_metrics(n: int, seed: int, gaps: float, hard: bool) -> None:
    rng = np.random.default_rng(seed)
    p = np.where(rng.random(n) < gaps, np.nan, rng.choice([0.0, 1.0, 2.5, 1e6], n))
    p[:2] = 0.0, 1.0  # two present values: a property at all
    X = pd.DataFrame({"p": p, "s": rng.integers(0, 2, n) if hard else rng.random(n)})
    model = lambda X: np.column_stack([1 - X["s"], X["s"]])
    spec = {"name": "own", "apply": lambda x, m: x.assign(s=(x["s"] * m)), "magnitudes": [0, 0.5]}
    result = probe(model, X, np.ones(n, dtype=int), {"properties": ["p"], "perturbations": [spec]})
    assert all(type(value) is float and np.isfinite(value) for value in result.metrics.values())
    assert type(result).from_json(result.to_json()).metrics == result.metrics


# --- small print -------------------------------------------------------------------------------------------


def test_probe_is_in_the_shop_window_and_takes_recipes_in_any_form(digits: tuple[Any, Any, Any]) -> None:
    X, y, model = digits
    X, y = X[:100], y[:100]
    shipped = mlflow_sensie.probe(model, X, y, "image_robustness")
    assert list(shipped.tests) == ["ink", "class", "rotation", "blur", "noise"]
    assert shipped.metrics == probe(model, X, y, load_recipe("image_robustness")).metrics


def test_predictions_are_counted_and_clean_scores_shared() -> None:
    X, y = tabular()
    result = probe(reasonable, X, y, WIDE_RECIPE)
    assert result.n_predictions == 240 * (1 + 2 + 4 + 4 + 2)  # 0 changes nothing, and so is the neutral of "own"
    assert probe(reasonable, X, y, {"properties": ["a", "b"], "class_test": True}).n_predictions == 240


def test_the_clean_score_is_a_mean_with_a_t_interval() -> None:
    X, y = tabular()
    result = probe(reasonable, X, y, {"properties": ["a"]})
    scores = reasonable(X)[np.arange(240), y]
    half = 1.9699 * scores.std(ddof=1) / 240**0.5
    assert result.clean.value == pytest.approx(scores.mean(), rel=1e-12)
    assert (result.clean.lo95, result.clean.hi95) == pytest.approx(
        (scores.mean() - half, scores.mean() + half), rel=1e-4
    )


def test_the_index_of_a_frame_means_nothing() -> None:
    X, y = tabular()
    wanted = probe(reasonable, X, y, WIDE_RECIPE)
    for index in (np.arange(240)[::-1], np.zeros(240, dtype=int)):
        moved = probe(reasonable, X.set_axis(index, axis=0), pd.Series(y, index=index[::-1]), WIDE_RECIPE)
        assert moved.metrics == wanted.metrics and moved.data_sha256 == wanted.data_sha256


def test_rounding_never_shows_two_runs_apart() -> None:
    X, y = tabular()
    one, again = probe(reasonable, X, y, WIDE_RECIPE), probe(reasonable, X, y, WIDE_RECIPE)
    assert one.metrics == again.metrics and one.tests == again.tests
    assert (one.recipe_sha256, one.data_sha256) == (again.recipe_sha256, again.data_sha256)


def test_a_progress_bar_only_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    X, y = tabular()
    for asked, shown in (("auto", False), ("0", False), ("1", True)):
        monkeypatch.setenv("MLFLOW_SENSIE_PROGRESS", asked)
        probe(reasonable, X, y, {"properties": ["a"]})
        out, err = capsys.readouterr()
        assert out == "" and ("sensie" in err) is shown


def test_a_task_that_is_none_is_refused() -> None:
    with pytest.raises(RecipeError, match="task: 'classifier' or 'regressor', .* 'Regressor' came"):
        probe(lambda x: x, np.zeros((4, 2)), np.zeros(4), {"properties": ["feature_1"]}, task="Regressor")
