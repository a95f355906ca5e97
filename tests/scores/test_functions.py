"""A user's score: what it declares of itself, and that it gets predictions and targets as they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest

import mlflow_sensie
from mlflow_sensie import probe
from mlflow_sensie.comparison import compare
from mlflow_sensie.data.types import as_objects
from mlflow_sensie.errors import ComparisonError, DataError, ModelError, RecipeError
from mlflow_sensie.recipe.reading import load_recipe
from mlflow_sensie.result import Result
from mlflow_sensie.scores.kinds import custom_kind
from mlflow_sensie.scores.table import CLEAN, TARGET, score_column
from mlflow_sensie.text import words

N = 300
SHIFT = {"name": "shift", "apply": lambda X, p: X.assign(a=X["a"] + p), "magnitudes": [1, 2, 3], "neutral": 0}


def frame(n: int = N) -> pd.DataFrame:
    return pd.DataFrame({"a": np.zeros(n), "row": np.arange(n)})


def closeness(predictions: Any, targets: Any) -> Any:
    return 1 / (1 + np.abs(np.asarray(predictions) - targets))


def asked(score: Any, **more: Any) -> dict[str, Any]:
    return {"perturbations": [SHIFT], "score": score, "batch_size": 100, **more}


# --- what it declares ------------------------------------------------------------------------------------------


DECLARED = {"function": closeness, "lower": 0, "upper": 1, "no_skill": 0.25, "unit": "closeness", "name": "near"}


def test_what_a_function_declares_is_the_results() -> None:
    result = probe(lambda X: X["a"], frame(), np.zeros(N), asked(DECLARED))
    score = result.score
    assert (score.kind, score.lower, score.upper, score.unit) == ("custom: near", 0, 1, "closeness")
    assert words.score_name(score.kind, score.unit) == "near (closeness)"
    assert result.tests["shift"].fit.curve.score[-1] == pytest.approx(0.25)
    assert result.plot("shift").axes[0].get_ylabel().replace("\n", " ") == "near (closeness)"
    assert "near (closeness)" in result.html()
    assert result.recipe["score"] == {**DECLARED, "function": f"{__name__}:closeness"}
    assert load_recipe(result.recipe).score.name == "near"
    assert custom_kind(load_recipe(asked(DECLARED)).score).no_skill(np.zeros(3), None, {}) == 0.25


def test_a_bare_function_is_as_it_was() -> None:
    bare = probe(lambda X: X["a"], frame(), np.zeros(N), asked(closeness))
    mapped = probe(lambda X: X["a"], frame(), np.zeros(N), asked({"function": closeness}))
    assert (bare.score.kind, bare.score.lower, bare.score.upper, bare.score.unit) == ("custom", None, None, "score")
    assert mapped.score == bare.score and mapped.metrics == bare.metrics


def test_the_rope_goes_by_what_is_declared() -> None:
    loss = {"function": lambda p, t: -np.abs(p - t), "upper": 0, "no_skill": -4}
    ropes = {
        0.02: asked(closeness),
        0.2: asked(loss),
        0.1: asked({"function": lambda p, t: -np.abs(p - t), "lower": -5, "upper": 0}),
    }
    for rope, recipe in ropes.items():
        result = probe(lambda X: X["a"], frame(), np.zeros(N), recipe)
        assert result.recipe["inference"]["rope"] == pytest.approx(rope)


def test_another_function_by_name_is_not_compared() -> None:
    near, far = (probe(lambda X: X["a"], frame(), np.zeros(N), asked({**DECLARED, "name": n})) for n in ("near", "far"))
    assert compare(near, near).paired
    with pytest.raises(ComparisonError, match="'custom: near', .* by 'custom: far'"):
        compare(near, far)


def test_a_parameter_is_part_of_a_score() -> None:
    p = lambda X: np.tile([0.5, 0.3, 0.2], (len(X), 1))
    one, two = (probe(p, frame(), np.arange(N) % 3, asked({"top_k": k})) for k in (1, 2))
    with pytest.raises(ComparisonError, match=r"A is scored by \{'top_k': 1\}, B by \{'top_k': 2\}"):
        compare(one, two)


def test_by_name_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(f"properties: [row]\nscore: {{function: '{__name__}:closeness', lower: 0, upper: 1, name: near}}")
    with pytest.raises(RecipeError, match="runs code; pass allow_code=True"):
        probe(lambda X: X["a"], frame(), np.zeros(N), path)
    result = probe(lambda X: X["row"] % 2, frame(), np.zeros(N), path, allow_code=True)
    assert result.score.kind == "custom: near" and result.clean.value == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"lower": 1}, "lower must be below upper; 1 and 1 came"),
        ({"no_skill": 1}, "no_skill must be from lower to below upper; 1 came"),
        ({"no_skill": -1}, "no_skill must be from lower to below upper; -1 came"),
        ({"upper": float("inf")}, "score.upper: .*finite.*inf came"),
        ({"function": "closeness"}, "score.function: 'module:function' or a function .*'closeness' came"),
        ({"uper": 1}, "unknown key 'uper' in score .*'upper'.*allowed: function, lower, upper, no_skill, unit, name"),
        ({"name": "<b>"}, "score.name: at most 40 letters.*'<b>' came"),
    ],
)
def test_what_contradicts_itself_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        load_recipe(asked({**DECLARED, **wrong}))


def test_scores_beyond_their_bounds_are_refused() -> None:
    with pytest.raises(ModelError, match="declared to be at least 0 and at most 1; its function returned 0 to 7"):
        probe(lambda X: X["row"] % 8, frame(), np.zeros(N), asked({**DECLARED, "function": lambda p, t: np.asarray(p)}))
    rounded = {**DECLARED, "function": lambda p, t: np.full(len(t), 1 + 1e-12)}
    assert probe(lambda X: X["row"], frame(), np.zeros(N), asked(rounded)).score_table.column(CLEAN).max() == 1


# --- what it gets ------------------------------------------------------------------------------------------------


def boxes(count: int, seed: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).random((count, 4))


def masks(X: Any) -> Any:
    return np.stack([np.full((4, 5), row + a) for row, a in zip(X["row"], X["a"], strict=True)])


FORMS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], float]]] = {
    # what the model returns for rows and their "a", and how a sum over one example's answer is taken from it
    "masks": (masks, lambda each: each.sum()),
    "one channel": (lambda X: masks(X)[..., None], lambda each: each.sum()),
    "a list of masks": (lambda X: list(masks(X)), lambda each: each.sum()),
    "dicts of boxes": (
        lambda X: [{"boxes": boxes(int(r) % 3, r) + a, "label": ["x"]} for r, a in zip(X["row"], X["a"], strict=True)],
        lambda each: each["boxes"].sum(),
    ),
    "ragged": (
        lambda X: [[float(a)] * (int(r) % 4) for r, a in zip(X["row"], X["a"], strict=True)],
        lambda each: float(np.sum(each)),
    ),
    "ragged objects": (
        lambda X: as_objects([np.full(int(r) % 4, a) for r, a in zip(X["row"], X["a"], strict=True)]),
        lambda each: float(np.sum(each)),
    ),
    "boxes of one count": (
        lambda X: [boxes(2, r) + a for r, a in zip(X["row"], X["a"], strict=True)],
        lambda each: each.sum(),
    ),
    "objects": (
        lambda X: as_objects([(int(r), {"n": float(a)}) for r, a in zip(X["row"], X["a"], strict=True)]),
        lambda each: each[0] + each[1]["n"],
    ),
    "texts": (lambda X: [f"{r}-{a:.0f}" for r, a in zip(X["row"], X["a"], strict=True)], len),
}


@pytest.mark.parametrize("batch_size", ["auto", 7])
@pytest.mark.parametrize("form", FORMS)
def test_predictions_reach_it_as_the_model_returned_them(form: str, batch_size: Any) -> None:
    model, total = FORMS[form]
    whole = model(frame())
    seen: list[type] = []

    def score(predictions: Any, targets: Any) -> Any:
        seen.append(type(predictions))
        if isinstance(predictions, np.ndarray):
            assert predictions.shape[1:] == np.asarray(whole).shape[1:] if predictions.dtype != object else True
        return [total(each) - truth for each, truth in zip(predictions, targets, strict=True)]

    result = probe(model, frame(), np.arange(N) % 5, asked(score, batch_size=batch_size))
    wanted = [float(total(each)) - row % 5 for row, each in enumerate(whole)]
    np.testing.assert_allclose(result.score_table.column(CLEAN), wanted)
    moved = [float(total(each)) - row % 5 for row, each in enumerate(model(frame().assign(a=3.0)))]
    np.testing.assert_allclose(result.score_table.column(score_column("shift", 2)), moved)
    lists = isinstance(whole, list) and form != "texts"
    assert set(seen) == {list if lists else np.ndarray}


def test_several_outputs_are_a_frame() -> None:
    def model(X: Any) -> Any:
        return {"boxes": [boxes(int(r) % 3, r) for r in X["row"]], "score": X["a"].to_numpy()}

    def score(predictions: pd.DataFrame, targets: Any) -> Any:
        assert list(predictions.columns) == ["boxes", "score"]
        return predictions["boxes"].map(np.sum) - predictions["score"]

    result = probe(model, frame(), np.zeros(N), asked(score))
    np.testing.assert_allclose(result.score_table.column(CLEAN), [boxes(r % 3, r).sum() for r in range(N)])
    alone = probe(model, frame(), np.zeros(N), asked(lambda p, t: -np.asarray(p), predictions="score"))
    assert set(alone.score_table.column(score_column("shift", 0))) == {-1.0}


TARGETS: dict[str, tuple[Any, Callable[[Any], float]]] = {
    # targets of all examples, and a number of one of them
    "masks": (np.arange(N * 6.0).reshape(N, 2, 3), lambda each: each.sum()),
    "two columns": (np.arange(N * 2.0).reshape(N, 2), lambda each: each[0] - each[1] / 2),
    "one-hot": (np.eye(3)[np.arange(N) % 3], lambda each: each[2]),
    "structured": (
        np.array([(r % 2 == 0, r) for r in range(N)], dtype=[("event", bool), ("time", float)]),
        lambda each: each["time"] * each["event"],
    ),
    "a frame": (
        pd.DataFrame({"event": np.arange(N) % 2 == 0, "time": np.arange(N) / 2}),
        lambda each: each["time"] * each["event"],
    ),
    "lists of boxes": ([boxes(r % 3, r).tolist() for r in range(N)], lambda each: float(np.sum(each))),
    "dicts": ([{"n": r} for r in range(N)], lambda each: each["n"]),
    "a series of arrays": (pd.Series([boxes(r % 3, r) for r in range(N)]), lambda each: each.sum()),
}


@pytest.mark.parametrize("form", TARGETS)
def test_targets_reach_it_as_they_are(form: str) -> None:
    targets, number = TARGETS[form]

    def score(predictions: Any, truth: Any) -> Any:
        assert len(predictions) == len(truth)
        return [number(each) - p for each, p in zip(truth, predictions, strict=True)]

    recipe = asked(score, max_examples=200, log_examples="full", seed=3, properties=["row"])
    result = probe(lambda X: X["a"], frame(), targets, recipe)
    rows = targets.to_records(index=False) if isinstance(targets, pd.DataFrame) else targets
    wanted = [float(number(rows[row])) for row in result.score_table.column("property/row").astype(int)]
    np.testing.assert_allclose(result.score_table.column(CLEAN), wanted)
    assert set(result.score_table.column(TARGET)) == {""} and result.html()
    dataset = mlflow_sensie.from_tensors(frame().to_numpy(), targets)
    other = {**recipe, "perturbations": [], "properties": ["feature_2"]}
    again = probe(lambda X: X[:, 0], dataset, recipe=other)
    np.testing.assert_allclose(again.score_table.column(CLEAN), wanted)


def test_other_targets_are_other_data() -> None:
    def of(targets: Any) -> Result:
        return probe(lambda X: X["a"], frame(), targets, asked(lambda p, t: np.zeros(len(p))))

    one, two = np.zeros((N, 2, 2)), np.zeros((N, 2, 2))
    two[-1, 1, 1] = 1
    assert of(one).data_sha256 == of(one.copy()).data_sha256 == of(list(one)).data_sha256 != of(two).data_sha256


@pytest.mark.parametrize("name", ["class_test", "slices"])
def test_what_needs_labels_says_so(name: str) -> None:
    more: Any = {"class_test": True} if name == "class_test" else {"slices": [{"target": True}]}
    with pytest.raises(DataError, match=f"{name if name == 'class_test' else 'slices by target'}: .* no labels"):
        probe(lambda X: X["a"], frame(), np.zeros((N, 2)), asked(lambda p, t: np.zeros(len(p)), **more))


def test_masks_through_mlflow(experiment_id: str) -> None:
    images = np.random.default_rng(0).random((60, 4, 4))
    truth = images > 0.5
    score = {"function": lambda p, t: (p == t).mean(axis=(1, 2)), "lower": 0, "upper": 1, "name": "pixels"}
    dark = {"name": "dark", "apply": lambda x, p: x * (1 - p), "magnitudes": [0.2, 0.6], "neutral": 0}
    recipe = {"score": score, "perturbations": [dark], "kind": "tensor", "layout": "NHW"}
    dataset = mlflow_sensie.from_tensors(images, truth)
    direct = probe(lambda X: X > 0.5, images, truth, recipe)
    with mlflow.start_run(experiment_id=experiment_id):
        done = mlflow.models.evaluate(
            lambda X: X > 0.5,
            dataset,
            model_type="classifier",
            evaluators=["sensie"],
            evaluator_config={"sensie": recipe},
        )
    assert done.metrics == direct.metrics and direct.clean.value == 1 > direct.tests["dark"].fit.curve.score[-1]
