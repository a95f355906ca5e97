"""Scores: labels of any form, outputs of any kind, and every score against what others compute."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit
from sklearn.metrics import brier_score_loss, log_loss, top_k_accuracy_score

from mlflow_sensie import probe
from mlflow_sensie.errors import DataError, ModelError
from mlflow_sensie.models.model import Model
from mlflow_sensie.models.outputs import Predictions
from mlflow_sensie.recipe.reading import load_recipe
from mlflow_sensie.scores.kinds import KINDS
from mlflow_sensie.scores.scorer import resolve_scorer
from mlflow_sensie.scores.table import CLEAN, TARGET

N = 200
PROPERTY = {"properties": ["x"]}


def table() -> pd.DataFrame:
    return pd.DataFrame({"row": np.arange(N), "x": np.random.default_rng(0).normal(size=N)})


def proportions(k: int) -> Any:
    return np.random.default_rng(1).dirichlet(np.ones(k), N)


def classes(k: int) -> Any:
    return np.random.default_rng(2).integers(0, k, N)


def known(values: Any) -> Any:
    """A model that returns these values, a row each."""
    if isinstance(values, pd.DataFrame):
        return lambda X: values.iloc[X["row"]].reset_index(drop=True)
    return lambda X: np.asarray(values)[X["row"]]


def clean(values: Any, targets: Any, **recipe: Any) -> Any:
    result = probe(known(values), table(), targets, {**PROPERTY, **recipe})
    return result.score_table.column(CLEAN)


# --- labels ------------------------------------------------------------------------------------------------

BINARY: dict[str, Any] = {
    "ints": classes(2),
    "list": classes(2).tolist(),
    "booleans": classes(2).astype(bool),
    "whole floats": classes(2).astype(float),
    "float32": classes(2).astype("float32"),
    "uint8": classes(2).astype("uint8"),
    "objects": classes(2).astype(object),
    "text of ints": classes(2).astype(str),
    "one-hot": np.eye(2)[classes(2)],
    "one-hot booleans": np.eye(2, dtype=bool)[classes(2)],
    "nullable ints": pd.array(classes(2), dtype="Int64"),
    "nullable booleans": pd.array(classes(2).astype(bool), dtype="boolean"),
    "nullable floats": pd.array(classes(2), dtype="Float64"),
    "categories": pd.Categorical(classes(2)),
    "a series": pd.Series(classes(2), index=np.arange(N)[::-1]),
    "arrow": pd.Series(classes(2), dtype="int64[pyarrow]"),
}


@pytest.mark.parametrize("name", BINARY)
def test_binary_labels_of_any_form_give_the_same_result(name: str) -> None:
    p = proportions(2)
    wanted = p[np.arange(N), classes(2)]
    np.testing.assert_array_equal(clean(p, BINARY[name], label_list=[0, 1]), wanted)
    if name != "text of ints":
        np.testing.assert_array_equal(clean(p, BINARY[name]), wanted)
        np.testing.assert_allclose(clean(p[:, 1], BINARY[name]), wanted, rtol=1e-12)  # one column
    whole = probe(known(p), table(), BINARY[name], {**PROPERTY, "class_test": True, "label_list": [0, 1]})
    assert whole.metrics == probe(known(p), table(), classes(2), {**PROPERTY, "class_test": True}).metrics


NAMES = np.array(["no", "perhaps", "yes", "ünknown"], dtype=object)
SEVERAL: dict[str, Any] = {
    "ints": (classes(4), None),
    "one-hot": (np.eye(4)[classes(4)], None),
    "whole floats": (classes(4).astype(float), None),
    "offset ints": (classes(4) + 7, [7, 8, 9, 10]),
    "negative ints": (classes(4) - 2, [-2, -1, 0, 1]),
    "ints as text": (classes(4), ["0", "1", "2", "3"]),
    "text as ints": (classes(4).astype(str), [0, 1, 2, 3]),
    "text": (NAMES[classes(4)], list(NAMES)),
    "numpy text": (NAMES[classes(4)].astype(str), list(NAMES)),
    "text categories": (pd.Categorical(NAMES[classes(4)]), list(NAMES)),
    "pandas strings": (pd.array(NAMES[classes(4)], dtype="string"), list(NAMES)),
    "in another order": (NAMES[::-1][classes(4)], list(NAMES[::-1])),
    "mixed": (np.array([0, "b", 2.0, True], dtype=object)[np.where(classes(4) == 3, 1, classes(4))], None),
}


@pytest.mark.parametrize("name", [name for name in SEVERAL if name != "mixed"])
def test_labels_of_several_classes_of_any_form_give_the_same_result(name: str) -> None:
    targets, label_list = SEVERAL[name]
    p = proportions(4)
    found = clean(p, targets, **({"label_list": label_list} if label_list else {}))
    np.testing.assert_array_equal(found, p[np.arange(N), classes(4)])


def test_columns_named_after_the_classes_are_the_class_order() -> None:
    p = pd.DataFrame(proportions(4), columns=NAMES[[2, 0, 3, 1]])
    found = clean(p, NAMES[classes(4)])
    np.testing.assert_array_equal(found, p.to_numpy()[np.arange(N), np.array([1, 3, 0, 2])[classes(4)]])


def test_numbered_columns_are_the_class_numbers() -> None:
    np.testing.assert_array_equal(
        clean(pd.DataFrame(proportions(4)), classes(4)), proportions(4)[np.arange(N), classes(4)]
    )


def test_a_class_that_no_example_has_is_no_mistake() -> None:
    targets = np.where(classes(4) == 3, 0, classes(4))
    result = probe(known(proportions(4)), table(), targets, {**PROPERTY, "class_test": True})
    assert list(result.tests["class"].curve["p"]) == ["0", "1", "2"]
    assert result.score_table.column(TARGET).tolist() == targets.tolist()


@pytest.mark.parametrize("label_list", [None, ["no", "yes"], ["yes", "no"]], ids=str)
@pytest.mark.parametrize("positive", ["yes", "no"])
def test_one_column_is_the_probability_of_pos_label(positive: str, label_list: Any) -> None:
    targets, p = np.where(classes(2), "yes", "no"), proportions(2)[:, 1]
    keys = {"label_list": label_list} if label_list else {}
    np.testing.assert_allclose(
        clean(p, targets, pos_label=positive, **keys), np.where(targets == positive, p, 1 - p), rtol=1e-12
    )


def test_one_column_without_pos_label_is_that_of_the_second_class() -> None:
    p = proportions(2)[:, 1]
    np.testing.assert_allclose(clean(p, classes(2)), np.where(classes(2), p, 1 - p))
    targets = np.where(classes(2), "yes", "no")
    np.testing.assert_allclose(clean(p, targets, label_list=["yes", "no"]), np.where(classes(2), 1 - p, p))


def test_pos_label_of_two_columns_is_the_second() -> None:
    targets = np.where(classes(2), "yes", "no")
    p = proportions(2)
    np.testing.assert_array_equal(clean(p, targets, pos_label="yes"), p[np.arange(N), classes(2)])
    np.testing.assert_array_equal(clean(p, targets, pos_label="no"), p[np.arange(N), 1 - classes(2)])


def test_label_list_may_not_contradict_predict_proba() -> None:
    model = Model(known(proportions(2)), "predict_proba", classes=("no", "yes"), task="classifier")
    targets = np.where(classes(2), "yes", "no")
    first, recipe = Predictions(proportions(2)), {**PROPERTY, "label_list": ["yes", "no"]}
    with pytest.raises(DataError, match=r"says that the columns are 'yes', 'no', but .* are 'no', 'yes'"):
        resolve_scorer(model, first, targets, load_recipe(recipe))
    renamed = Model(known(proportions(2)), "predict_proba", classes=(0, 1), task="classifier")
    _, encoded = resolve_scorer(renamed, first, targets, load_recipe(recipe))  # other names for the same columns
    assert encoded.classes == ("yes", "no") and encoded.values.tolist() == (1 - classes(2)).tolist()


# --- outputs -----------------------------------------------------------------------------------------------


def test_logits_and_logarithms_are_turned_into_probabilities() -> None:
    p = proportions(3)
    wanted = p[np.arange(N), classes(3)]
    np.testing.assert_allclose(clean(np.log(p) + 5, classes(3), output="logits"), wanted)
    np.testing.assert_allclose(clean(np.log(p), classes(3), output="log_proba"), wanted)
    two = proportions(2)
    both = two[np.arange(N), classes(2)]
    np.testing.assert_allclose(clean(logit(two[:, 1]), classes(2), output="logits"), both)
    np.testing.assert_allclose(clean(np.log(two[:, 1]), classes(2), output="log_proba"), both)
    np.testing.assert_allclose(clean(two[:, 1], classes(2), output="probability"), both)


def test_large_logits_overflow_nothing() -> None:
    values = np.tile([1000.0, -1000.0], (N, 1))
    np.testing.assert_array_equal(clean(values, classes(2), output="logits"), classes(2) == 0)
    np.testing.assert_array_equal(clean(values[:, 0], classes(2), output="logits"), expit(1000.0) * classes(2))


def test_half_precision_rows_sum_to_one_well_enough() -> None:
    p = proportions(10).astype(np.float16)
    np.testing.assert_array_equal(clean(p, classes(10)), p[np.arange(N), classes(10)].astype(float))


@pytest.mark.parametrize(
    ("predicted", "targets"),
    [
        (classes(3), classes(3)),
        (classes(3).astype(float), classes(3)),
        (classes(3), classes(3).astype(float)),
        (NAMES[classes(3)], NAMES[classes(3)]),
        (classes(3).astype(str), classes(3)),
        (classes(2).astype(bool), classes(2)),
    ],
    ids=["ints", "floats", "float targets", "words", "ints as text", "booleans"],
)
def test_labels_are_scored_by_correctness(predicted: Any, targets: Any) -> None:
    wrong = np.arange(N) % 3 == 0
    shuffled = np.where(wrong, np.roll(predicted, 1), predicted)
    result = probe(known(shuffled), table(), targets, PROPERTY)
    np.testing.assert_array_equal(result.score_table.column(CLEAN), shuffled == predicted)
    assert result.score.kind == "correct" and "labels" in result.warnings[0]
    assert result.recipe["output"] == "auto"


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_a_missing_label_is_a_missing_score(missing: Any) -> None:
    predicted = NAMES[classes(3)].copy()
    predicted[5] = missing
    with pytest.raises(ModelError, match="NaN or infinite for 1 of 64"):
        clean(predicted, NAMES[classes(3)])
    found = clean(predicted, NAMES[classes(3)], missing="drop")
    assert np.isnan(found[5]) and np.nansum(found) == N - 1


def test_a_label_that_no_target_has_is_wrong_and_not_refused() -> None:
    predicted = np.where(np.arange(N) % 4 == 0, 9, classes(3))
    np.testing.assert_array_equal(clean(predicted, classes(3)), np.arange(N) % 4 != 0)


def test_saturated_probabilities_are_not_taken_for_labels_for_good() -> None:
    hard = (np.arange(600) % 2).astype(float)
    soft = np.where(np.arange(600) < 300, hard, 0.3)  # from the fourth chunk on no longer hard
    X = pd.DataFrame({"row": np.arange(600), "x": np.random.default_rng(0).normal(size=600)})
    with pytest.raises(ModelError, match=r"chunk 3 .*taken for labels, and now 0.3; say output: probability"):
        probe(known(soft), X, hard.astype(int), PROPERTY)
    result = probe(known(soft), X, hard.astype(int), {**PROPERTY, "output": "probability"})
    assert result.clean.value == pytest.approx(np.where(hard == 1, soft, 1 - soft).mean())


# --- scores ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [2, 5])
def test_scores_are_what_others_compute(k: int) -> None:
    p, y = proportions(k), classes(k)
    labels = list(range(k))
    correct = p[np.arange(N), y]
    hot = np.eye(k)[y]
    np.testing.assert_array_equal(clean(p, y, score="probability"), correct)
    np.testing.assert_array_equal(clean(p, y, score="correct"), p.argmax(axis=1) == y)
    np.testing.assert_allclose(clean(p, y, score="neg_log_loss"), np.log(correct))
    assert clean(p, y, score="neg_log_loss").mean() == pytest.approx(-log_loss(y, p, labels=labels))
    np.testing.assert_allclose(clean(p, y, score="neg_brier_score"), -((p - hot) ** 2).sum(axis=1))
    if k == 2:
        assert clean(p, y, score="neg_brier_score").mean() == pytest.approx(-2 * brier_score_loss(y, p[:, 1]))
    for top in range(1, k):
        found = clean(p, y, score={"top_k": top})
        wanted = [label in np.argsort(-row)[:top] for row, label in zip(p, y, strict=True)]
        np.testing.assert_array_equal(found, wanted)
        if k > 2:
            assert found.mean() == pytest.approx(top_k_accuracy_score(y, p, k=top, labels=labels))
    assert clean(p, y, score={"top_k": k}).all()


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.8])
def test_threshold_of_the_positive_class(threshold: float) -> None:
    p, y = proportions(2), classes(2)
    score = {"threshold": threshold}
    np.testing.assert_array_equal(clean(p, y, score=score), (p[:, 1] >= threshold) == (y == 1))
    np.testing.assert_array_equal(clean(p[:, 1], y, score=score), (p[:, 1] >= threshold) == (y == 1))
    np.testing.assert_array_equal(clean(p, y, score=score, label_list=[0, 1], pos_label=0),
                                  (p[:, 0] >= threshold) == (y == 0))  # fmt: skip
    several = proportions(4)
    np.testing.assert_array_equal(
        clean(several, classes(4), score=score), several[np.arange(N), classes(4)] >= threshold
    )


def test_a_certain_mistake_costs_a_finite_log_loss() -> None:
    p = np.tile([1.0, 0.0], (N, 1))
    found = clean(p, classes(2), score="neg_log_loss")
    assert set(found) == {0.0, np.log(1e-6)}


def test_ties_count_for_the_correct_class() -> None:
    assert clean(np.full((N, 4), 0.25), classes(4), score={"top_k": 1}).all()


def test_a_score_function_sees_what_the_model_returned_and_the_targets() -> None:
    p, y = proportions(3), NAMES[classes(3)]

    def scored(predictions: Any, targets: Any) -> Any:
        assert predictions.shape == (len(targets), 3) and set(targets) <= set(NAMES)
        return -predictions[:, 0]

    result = probe(known(p), table(), y, {**PROPERTY, "class_test": True, "score": scored})
    np.testing.assert_array_equal(result.score_table.column(CLEAN), -p[:, 0])
    assert (result.score.kind, result.score.lower, result.score.upper) == ("custom", None, None)
    assert list(result.tests["class"].curve["p"]) == ["no", "perhaps", "yes"]
    framed = pd.DataFrame(p, columns=["a", "b", "c"])
    np.testing.assert_array_equal(clean(framed, y, score=lambda frame, t: frame["b"]), p[:, 1])


def test_a_score_function_by_name() -> None:
    found = clean(proportions(2)[:, 0], classes(2), score="operator:sub")
    np.testing.assert_allclose(found, proportions(2)[:, 0] - classes(2))


@pytest.mark.parametrize(
    ("score", "kind", "lower", "upper"),
    [
        ("probability", "probability", 0, 1),
        ("correct", "correct", 0, 1),
        ({"top_k": 2}, "top_k", 0, 1),
        ({"threshold": 0.4}, "threshold", 0, 1),
        ("neg_log_loss", "neg_log_loss", np.log(1e-6), 0),
        ("neg_brier_score", "neg_brier_score", -2, 0),
    ],
)
def test_a_score_declares_its_kind_bounds_and_unit(score: Any, kind: str, lower: Any, upper: Any) -> None:
    result = probe(known(proportions(3)), table(), classes(3), {**PROPERTY, "score": score})
    assert (result.score.kind, result.score.lower, result.score.upper) == (kind, lower, upper)
    assert result.score.unit == KINDS[kind].scale.unit
    scores = result.score_table.column(CLEAN)
    assert (lower is None or scores.min() >= lower) and scores.max() <= upper
    unexpected = [key for test in result.tests.values() for key in test.metrics if "unexpected" in key]
    assert len(unexpected) == (3 if kind == "probability" else 0)


def test_the_expected_score_is_the_sum_of_squares() -> None:
    result = probe(known(proportions(3)), table(), classes(3), PROPERTY)
    np.testing.assert_allclose(result.score_table.column("expected"), (proportions(3) ** 2).sum(axis=1))
