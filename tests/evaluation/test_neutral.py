"""The neutral of a user's function: 0 where it changes nothing there, as a note says; else none, whatever it does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from mlflow_sensie import probe
from mlflow_sensie.errors import RecipeError
from mlflow_sensie.evaluation.neutral import BOTH_SIDES, FOUND, equal_inputs
from mlflow_sensie.recipe.reading import load_recipe
from mlflow_sensie.result import Result

N = 200


def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    names = rng.choice(np.array(["x", "y", None], dtype=object), N)
    holes = np.where(rng.random(N) < 0.1, np.nan, 1.0)
    return pd.DataFrame({"a": rng.normal(size=N), "k": np.arange(N) % 7, "name": names, "holes": holes})


def model(X: Any) -> Any:
    return 1 / (1 + np.exp(-3 * np.asarray(X["a"], dtype=float)))


def run(function: Any, magnitudes: Any, X: Any = None, model: Any = model, **more: Any) -> Result:
    X = frame() if X is None else X
    y = (frame()["a"] > 0).astype(int).to_numpy()
    spec = {"name": "mine", "apply": function, "magnitudes": magnitudes, **more}
    return probe(model, X, y, {"perturbations": [spec], "on_error": "record"})


def raises_at_0(X: Any, p: float) -> Any:
    return X.assign(a=X["a"] - 1 / p)


def writes(X: Any, p: float) -> Any:
    X["a"] -= p
    return X


def other_type(X: Any, p: float) -> Any:
    return X.assign(k=X["k"] + p, a=X["a"].astype("float32" if p else "float64") - p)


def other_index(X: Any, p: float) -> Any:
    return X.assign(a=X["a"] - p).set_index(np.arange(len(X))[::-1])


def draws(X: Any, p: float, rng: Any) -> Any:
    return X.assign(a=X["a"] - p * rng.random(len(X)))


def draws_at_0(X: Any, p: float, rng: Any) -> Any:
    return X.assign(a=X["a"] + rng.normal(size=len(X)))


def gives_a_number_at_0(X: Any, p: float) -> Any:
    return X.assign(a=X["a"] - p) if p else 0


@pytest.mark.parametrize(
    ("function", "neutral"),
    [
        (lambda X, p: X.assign(a=X["a"] - p), 0.0),
        (lambda X, p: X.assign(a=X["a"] * p), None),
        (lambda X, p: X.assign(a=X["a"] * p + 1), None),
        (lambda X, p: X.assign(name=X["name"].where(X["a"] > -9, "z")), 0.0),
        (lambda X, p: X.assign(holes=X["holes"].fillna(p)), None),
        (raises_at_0, None),
        (writes, 0.0),
        (other_type, 0.0),
        (other_index, 0.0),
        (draws, 0.0),
        (draws_at_0, None),
        (gives_a_number_at_0, None),
    ],
    ids=["shift", "factor", "line", "names", "holes", "raises", "writes", "types", "index", "draws", "noise", "number"],
)
@pytest.mark.parametrize("magnitudes", [[1, 2, 3], [0, 1, 2], [-1, 1, 2]], ids=["above", "from 0", "both"])
def test_0_is_the_neutral_where_it_changes_nothing(function: Any, neutral: float | None, magnitudes: list[int]) -> None:
    result = run(function, magnitudes)
    test = result.tests["mine"]
    if not test.ok:  # where 0 is a magnitude of the sweep, which they cannot do
        assert function in (raises_at_0, gives_a_number_at_0) and 0 in magnitudes
        return
    assert test.fit.neutral == neutral
    assert (FOUND in test.warnings) is (neutral == 0)
    assert (BOTH_SIDES in test.warnings) is (neutral is None and magnitudes[0] < 0)
    assert yaml.safe_load(result.recipe_yaml)["perturbations"][0].get("neutral") == neutral
    wanted = [p for p in magnitudes if p] if neutral == 0 else magnitudes
    assert list(test.fit.magnitudes) == wanted


def test_what_was_found_is_what_could_have_been_said() -> None:
    shift = lambda X, p: X.assign(a=X["a"] - p)
    found, said = run(shift, [-2, -1, 1, 2]), run(shift, [-2, -1, 1, 2], neutral=0)
    assert found.metrics == said.metrics and found.recipe_sha256 == said.recipe_sha256
    assert FOUND not in said.tests["mine"].warnings
    again = load_recipe(yaml.safe_load(found.recipe_yaml), allow_code=True)
    assert again.perturbations[0].neutral == 0


def test_it_is_asked_at_0_once_and_not_at_all_where_that_is_declined() -> None:
    called: list[float] = []

    def noted(X: Any, p: float) -> Any:
        called.append(p)
        return X.assign(a=X["a"] - p)

    run(noted, [0, 1, 2])
    assert called[0] == 0 and called.count(0) == 1
    called.clear()
    declined = run(noted, [-1, 1, 2], neutral="none")
    assert 0 not in called and declined.tests["mine"].fit.neutral is None
    assert not {FOUND, BOTH_SIDES} & set(declined.tests["mine"].warnings)


@pytest.mark.parametrize("form", ["array", "images", "texts", "lists"])
def test_inputs_of_every_form(form: str) -> None:
    a = frame()["a"].to_numpy()
    if form == "texts":
        words = np.array(["good" if value > 0 else "bad" for value in a], dtype=object)
        X = np.array([f"a {word} film that we saw" for word in words], dtype=object)
        call: Any = lambda texts: np.array([0.9 if "good" in text else 0.1 for text in texts])
        function: Any = lambda texts, p: np.array([text[int(p) :] for text in texts], dtype=object)
    else:
        X = np.repeat(a[:, None], 4, axis=1)
        X = X if form == "array" else X.reshape(N, 2, 2)
        call = lambda X: 1 / (1 + np.exp(-3 * np.asarray(X).reshape(len(X), -1)[:, 0]))
        function = (lambda X, p: (X - p).tolist()) if form == "lists" else lambda X, p: X - p
    result = run(function, [1, 2], X, call)
    test = result.tests["mine"]
    assert test.ok and test.fit.neutral == 0 and FOUND in test.warnings


def test_equal_inputs() -> None:
    X = frame()
    assert equal_inputs(X.copy(), X) and equal_inputs(X.convert_dtypes(), X)
    assert equal_inputs(X.assign(name=X["name"].astype("category")), X)
    assert not equal_inputs(X.assign(name=X["name"].fillna("x")), X) and not equal_inputs(X[["k", "a"]], X)
    assert not equal_inputs(X.to_numpy(), X) and not equal_inputs(X[:-1], X)
    days = X.assign(day=pd.Timestamp("2024-01-01", tz="Europe/Zurich"))
    later = days.assign(day=days["day"] + pd.Timedelta(1, "s"))
    assert equal_inputs(days.copy(), days) and not equal_inputs(later, days)
    cells = pd.DataFrame({"image": [np.zeros((2, 2)), np.full((2, 2), np.nan)]})
    other = pd.DataFrame({"image": [np.zeros((2, 2)), np.ones((2, 2))]})
    assert equal_inputs(cells.copy(), cells) and not equal_inputs(other, cells)


def test_unit_and_label_name_the_magnitude() -> None:
    result = run(lambda X, p: X.assign(a=X["a"] - p), [0, 1, 2], unit="kg", label="load")
    test = result.tests["mine"]
    assert (test.unit, test.label) == ("kg", "load")
    assert "load (kg)" in [ax.get_xlabel() for ax in result.plot("mine").axes]
    assert Result.from_json(result.to_json()).tests["mine"].label == "load"


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("neutral", "none", "the neutral of 'tabular.noise' is 0; none came"),
        ("unit", "kg", "the unit of 'tabular.noise' is feature SDs; kg came"),
        ("neutral", "nothing", "perturbations.0.neutral"),
    ],
)
def test_a_built_in_has_its_own(key: str, value: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        run("tabular.noise", [0, 1], **{key: value})
