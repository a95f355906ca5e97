"""The recipe `auto`: few tests on few examples, each with its reason, and what the user set stays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mlflow_sensie import probe
from mlflow_sensie.errors import ModelError, RecipeError
from mlflow_sensie.evaluation.auto import MOST_EXAMPLES, MOST_TESTS
from mlflow_sensie.recipe.reading import load_recipe
from mlflow_sensie.result import Result


def reason(result: Result, name: str) -> str:
    (found,) = [each.split(": ", 1)[1] for each in result.choices if each.startswith(f"{name}: ")]
    return found


def chosen(result: Result) -> list[str]:
    """The tests but the class test, which costs nothing and is no choice of columns."""
    return [name for name in result.tests if name != "class"]


def check(result: Result) -> None:
    """What every automatic recipe keeps."""
    assert result.n <= MOST_EXAMPLES and 1 <= len(chosen(result)) <= MOST_TESTS
    assert ("class" in result.tests) is (result.score.kind != "neg_absolute_error")
    for name in result.tests:
        assert "left out" not in reason(result, name)
    assert not result.failed
    assert all(np.isfinite(value) for value in result.metrics.values())
    written = yaml.safe_load(result.recipe_yaml)
    assert [spec["name"] for part in ("properties", "perturbations") for spec in written[part]] == chosen(result)
    assert written["class_test"] is ("class" in result.tests)
    assert load_recipe(written).digest() == result.recipe_sha256


@pytest.mark.parametrize("load", [load_wine, load_breast_cancer])
def test_tables_of_numbers(load: Any) -> None:
    X, y = load(return_X_y=True, as_frame=True)
    result = probe(make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y), X, y)
    check(result)
    assert "tabular.noise" in result.tests and len(chosen(result)) == MOST_TESTS
    assert result.tests["tabular.noise"].kind == "perturbation"
    moved = {
        name: float(text.split("moves by ")[1].split()[0]) for name in X if "moves by" in (text := reason(result, name))
    }
    assert set(moved) == set(X.columns)
    kept = [name for name in result.tests if name in moved]
    assert [moved[name] for name in kept] == sorted(moved.values(), reverse=True)[: len(kept)]
    for name in set(X.columns) - set(kept):
        assert "left out, at most 12 tests" in reason(result, name)


def test_a_regressor() -> None:
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    result = probe(LinearRegression().fit(X, y), X, y)
    check(result)
    assert result.score.kind == "neg_absolute_error"
    assert set(result.tests) == {*X.columns, "tabular.noise"}
    assert result.tests["sex"].fit.curve.p.__len__() == 2


def test_images() -> None:
    X, y = load_digits(return_X_y=True)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)).fit(X[:500], y[:500])
    result = probe(model, X, y, {"input_shape": [8, 8], "value_range": [0, 16], "max_examples": 300})
    check(result)
    assert {"image.rotate", "image.gaussian_blur", "image.gaussian_noise", "ink"} <= set(result.tests)
    assert reason(result, "image.rotate") == "the inputs are images (NHW, (8, 8))"
    assert result.tests["image.rotate"].metrics["effect"] < -0.2
    assert result.n == 300


def probabilities(X: Any) -> Any:
    """The column `a`, whatever it stands among."""
    a = np.asarray(X["a"] if isinstance(X, pd.DataFrame) else np.asarray(X)[:, 0], dtype=float)
    p = 1 / (1 + np.exp(-a))
    return np.column_stack([1 - p, p])


def mixed(n: int = 400) -> tuple[pd.DataFrame, Any]:
    rng = np.random.default_rng(8)
    X = pd.DataFrame(
        {
            "a": rng.normal(size=n),
            "level": rng.choice(["low", "high"], n),
            "flag": rng.random(n) < 0.3,
            "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 90, n), unit="D"),
            "count": pd.array(np.where(np.arange(n) % 9, rng.integers(0, 50, n), -1), dtype="Int64"),
            "constant": 1.0,
            "empty": np.nan,
            "mostly empty": np.where(rng.random(n) < 0.6, np.nan, 1.0),
            "row": np.arange(n)[::-1] + 1000,
            "name": [f"patient {i}" for i in range(n)],
            "cell": [np.zeros(2)] * n,
        }
    )
    X.loc[3, "count"] = pd.NA
    return X, (X["a"] > 0).astype(int).to_numpy()


def test_columns_that_make_no_property_are_left_out_with_the_reason() -> None:
    X, y = mixed()
    result = probe(probabilities, X, y)
    check(result)
    left_out = {
        "constant": "left out, it is constant",
        "empty": "left out, it is constant",
        "row": "left out, every row has its own whole number: an identifier",
        "name": "left out, 400 levels in 400 rows: an identifier or free text",
        "cell": "left out, its cells are neither numbers, dates nor text",
    }
    for name, text in left_out.items():
        assert reason(result, name) == text and name not in result.tests
    assert "of 400 values are missing" in reason(result, "mostly empty") or "constant" in reason(result, "mostly empty")
    assert {"a", "level", "flag", "day", "count"} <= set(result.tests)
    kinds = {name: result.tests[name].kind for name in ("a", "level", "flag", "day", "count")}
    assert kinds == {"a": "property", "level": "category", "flag": "category", "day": "property", "count": "property"}
    assert {"tabular.noise", "tabular.swap", "tabular.missing"} <= set(result.tests)
    missing = reason(result, "tabular.missing")
    assert missing == "the inputs have missing values already, in count, mostly empty"


def test_columns_beside_the_inputs_are_properties_too() -> None:
    X, y = mixed()
    features = X[["a"]].assign(b=np.arange(400) % 17)
    model = LogisticRegression().fit(features, y)
    result = probe(model, features.assign(site=X["level"], id=X["name"]), y)
    check(result)
    assert reason(result, "site") == "a category column; the model does not see it"
    assert "identifier" in reason(result, "id")


def test_many_columns_are_bounded_by_those_that_move_the_model() -> None:
    rng = np.random.default_rng(9)
    X = pd.DataFrame(rng.normal(size=(300, 40))).add_prefix("c")
    X.insert(20, "a", rng.normal(size=300))
    result = probe(probabilities, X, (X["a"] > 0).astype(int))
    check(result)
    assert len(chosen(result)) == MOST_TESTS and next(iter(result.tests)) == "a"
    assert sum("left out, at most 12 tests" in each for each in result.choices) == 41 - 11


@pytest.mark.parametrize("name", ["class", "clean_score", "n_tests"])
def test_a_column_with_a_reserved_name_is_tested_under_another(name: str) -> None:
    X, y = mixed()
    X = X[["a"]].assign(**{name: np.arange(400) % 7})
    result = probe(probabilities, X, y, {"recipe": "auto", "class_test": True})
    assert set(result.tests) == {"a", f"column {name}", "class", "tabular.noise"}
    assert result.tests[f"column {name}"].fit.curve.p == tuple(map(float, range(7)))
    assert load_recipe(yaml.safe_load(result.recipe_yaml)).digest() == result.recipe_sha256


@pytest.mark.parametrize("data", ["array", "numbered columns", "nullable"])
def test_tables_of_any_form(data: str) -> None:
    X, y = mixed()
    X = X[["a"]].assign(b=np.arange(400) % 23)
    forms = {"array": X.to_numpy(), "numbered columns": X.set_axis([0, 1], axis=1), "nullable": X.convert_dtypes()}
    model = LogisticRegression().fit(X.to_numpy(), y)
    call = lambda X: model.predict_proba(np.asarray(X, dtype=float))
    result = probe(call, forms[data], y)
    check(result)
    assert list(result.tests)[-1] == "tabular.noise" and len(result.tests) == 4
    wanted = probe(call, X, y)
    assert [test.fit for test in result.tests.values()][:2] == [test.fit for test in wanted.tests.values()][:2]


def test_at_most_two_thousand_examples() -> None:
    X, y = mixed(2500)
    X = X[["a"]]
    assert probe(probabilities, X, y).n == MOST_EXAMPLES
    assert probe(probabilities, X, y, {"max_examples": 150}).n == 150
    assert probe(probabilities, X, y, {"properties": ["a"]}).n == 2500


def test_what_the_user_set_beside_auto_stays() -> None:
    X, y = mixed(150)
    X = X[["a", "level"]]
    classes = probe(probabilities, X, y, {"recipe": "auto", "class_test": False})
    assert list(classes.tests) == ["a", "level", "tabular.noise", "tabular.swap"]
    mine = {"name": "mine", "of": "a"}
    properties = probe(probabilities, X, y, {"recipe": "auto", "properties": [mine]})
    assert list(properties.tests) == ["mine", "class", "tabular.noise", "tabular.swap"]
    assert not any(each.startswith(("a: ", "level: ")) for each in properties.choices)
    none = probe(probabilities, X, y, {"recipe": "auto", "perturbations": []})
    assert list(none.tests) == ["a", "level", "class"]
    assert not any(each.startswith("tabular.") for each in none.choices)


# --- classes -----------------------------------------------------------------------------------------------


def labels(*counts: int) -> Any:
    return np.repeat([f"class {k}" for k in range(len(counts))], counts)


def by_column(X: Any) -> Any:
    """A share of the probability for each of three classes, by the column ``a``."""
    logits = np.outer(np.asarray(X["a"], dtype=float), [0, 1, -1])
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def weighed(counts: tuple[int, ...], asked: dict[str, Any]) -> Result:
    X = pd.DataFrame({"a": np.random.default_rng(5).normal(size=sum(counts))})
    model = by_column if len(counts) == 3 else probabilities
    return probe(model, X, labels(*counts), {"label_list": [f"class {k}" for k in range(len(counts))], **asked})


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        ((79, 321), "weights: balanced, since the smallest class has 20 % of the examples"),  # 0.4/2 are 80
        ((80, 320), ""),
        ((4, 396), "weights: balanced, since the smallest class has 1 % of the examples"),
        ((53, 147, 200), "weights: balanced, since the smallest class has 13 % of the examples"),  # 0.4/3 are 53.3
        ((54, 146, 200), ""),
    ],
)
@pytest.mark.parametrize("asked", [{"recipe": "auto"}, {"properties": ["a"], "weights": "auto"}], ids=["auto", "own"])
def test_classes_count_alike_where_one_is_rare(asked: dict[str, Any], counts: tuple[int, ...], text: str) -> None:
    result = weighed(counts, asked)
    assert result.recipe.get("weights") == ("balanced" if text else None)
    assert [choice for choice in result.choices if choice.startswith("weights: ")] == [text] * bool(text)
    assert (f"<p>{text}.</p>" in result.html()) is bool(text)
    scores, targets = result.score_table.column("clean"), result.score_table.column("target")
    by_class = np.mean([scores[targets == k].mean() for k in range(len(counts))])
    assert result.clean.value == pytest.approx(by_class if text else scores.mean())


def test_weights_of_ones_own_stay_and_none_can_be_asked_for() -> None:
    assert "weights" not in weighed((4, 396), {"weights": None}).recipe
    asked = weighed((80, 320), {"weights": "balanced"})
    assert asked.recipe["weights"] == "balanced" and "every class counts the same" in asked.html()


def test_an_engine_of_equal_examples_says_what_it_leaves_out() -> None:
    result = weighed((40, 360), {"inference": {"engine": "exact"}})
    assert "weights" not in result.recipe and result.choices[-1] == (
        "weights: none, since engine 'exact' takes all examples as equal, though the smallest class has 10 % of the "
        "examples"
    )


def test_a_recipe_with_a_rare_class_is_the_same_once_more() -> None:
    result = weighed((10, 390), {"recipe": "auto"})
    written = yaml.safe_load(result.recipe_yaml)
    assert (written["weights"], written["class_test"]) == ("balanced", True)
    assert load_recipe(written).digest() == result.recipe_sha256


def test_auto_chooses_the_same_again() -> None:
    X, y = mixed(150)
    X = X[["a", "level", "count", "name"]]
    one, other = probe(probabilities, X, y), probe(probabilities, X, y)
    assert one.choices == other.choices and one.metrics == other.metrics
    assert one.recipe_sha256 == other.recipe_sha256


def test_settings_alone_mean_auto() -> None:
    X, y = mixed(150)
    X = X[["a", "level"]]
    one = probe(probabilities, X, y, {"seed": 0, "batch_size": 64})
    assert one.metrics == pytest.approx(probe(probabilities, X, y).metrics)
    assert one.recipe["recipe"] == "auto"


def test_nothing_to_test() -> None:
    X = pd.DataFrame({"a": np.ones(50)})
    with pytest.raises(RecipeError, match="auto found no column to test; a: left out, it is constant"):
        probe(probabilities, X, np.arange(50) % 2)
    with pytest.raises(RecipeError, match=r"no tests for tensor inputs of shape \(2, 3, 4, 5\); name properties"):
        probe(probabilities, np.zeros((10, 2, 3, 4, 5)), np.arange(10) % 2)


def test_a_model_that_fails_while_auto_asks_it() -> None:
    X, y = mixed()
    with pytest.raises(ModelError, match="recipe auto asked which columns move it: ZeroDivisionError"):
        probe(lambda X: 1 // 0, X, y)


def test_auto_changes_nothing_in_the_data_and_keeps_to_the_batch_size() -> None:
    X, y = mixed()
    X = X[["a", "count", "level"]].dropna()
    before, rows = X.copy(), []

    def model(X: Any) -> Any:
        rows.append(len(X))
        found = probabilities(X)
        X["a"] = 0.0
        return found

    result = probe(model, X, y[X.index], {"batch_size": 60})
    pd.testing.assert_frame_equal(X, before)
    assert max(rows) == 60 and result.clean.value == pytest.approx(probe(probabilities, X, y[X.index]).clean.value)
