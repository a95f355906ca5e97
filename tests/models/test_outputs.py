"""What models return: outputs of every form, one of several by name, and which column is which class."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlflow_sensie import probe
from mlflow_sensie.errors import DataError, ModelError, RecipeError
from mlflow_sensie.models.model import Model
from mlflow_sensie.models.outputs import read_output
from mlflow_sensie.recipe.reading import load_recipe
from mlflow_sensie.scores.table import CLEAN

N = 40
P = np.random.default_rng(0).dirichlet([1, 1, 1], N)
LABELS = P.argmax(axis=1)
NUMBERS = np.random.default_rng(1).normal(size=(N, 2))
BOTH = {"label": LABELS, "probabilities": P}

NAMED: dict[str, tuple[Any, str | int, Any]] = {
    "a column": (pd.DataFrame(P, columns=["a", "b", "c"]), "b", P[:, 1]),
    "a column with a number": (pd.DataFrame(P, columns=[7, 8, 9]), 9, P[:, 2]),
    "a column of words": (pd.DataFrame({"label": ["u"] * N, "score": 0.5}), "label", np.array(["u"] * N)),
    "a column of arrays": (pd.DataFrame({"label": LABELS, "p": list(P)}), "p", P),
    "an entry": (BOTH, "label", LABELS),
    "an entry of rows": (BOTH, "probabilities", P),
    "an entry of dicts": ({"label": LABELS, "p": pd.DataFrame(P, columns=list("xyz")).to_dict("records")}, "p", P),
    "a key of dicts": (pd.DataFrame(P, columns=list("xyz")).to_dict("records"), "z", P[:, 2]),
    "a number of an array": (P, 2, P[:, 2]),
    "a number as text": (P, "0", P[:, 0]),
    "one of several arrays": ([P, NUMBERS], 1, NUMBERS),
    "one of a tuple": ((P, NUMBERS), 0, P),
}


@pytest.mark.parametrize("name", NAMED)
def test_one_of_several_outputs_is_taken_by_name(name: str) -> None:
    raw, pick, wanted = NAMED[name]
    found = read_output(raw, N, pick=pick)
    np.testing.assert_array_equal(found.values, wanted)
    assert found.picked == str(pick)


def test_the_signature_names_the_columns_of_an_array() -> None:
    assert read_output(P, N, names=["u", "v", "w"]).columns == ("u", "v", "w")
    assert read_output(P, N, names=["u", "v"]).columns is None  # of something else
    np.testing.assert_array_equal(read_output(P, N, names=["u", "v", "w"], pick="v").values, P[:, 1])


def test_an_entry_of_dicts_keeps_its_names() -> None:
    raw = {"label": LABELS, "p": pd.DataFrame(P, columns=list("xyz")).to_dict("records")}
    assert read_output(raw, N, pick="p").columns == ("x", "y", "z")


def test_an_output_that_is_alone_needs_no_name() -> None:
    for raw in ({"logits": P}, [P], pd.DataFrame({"logits": list(P)})):
        np.testing.assert_array_equal(read_output(raw, N).values, P)
    assert read_output({"logits": P}, N, usual="label").picked is None
    assert read_output({"label": LABELS, "score": P[:, 0]}, N, usual="label").picked == "label"


REFUSED: dict[str, tuple[Any, Any, str]] = {
    "no such output": (BOTH, "logits", "no output 'logits'; it returns label, probabilities"),
    "no such column": (P, 3, "no output '3'; it returns 0, 1, 2"),
    "one output without a name": (P[:, 0], "p", "'p' came, but the model returns a single output without a name"),
    "several without a word": (BOTH, None, "several outputs .label, probabilities.; name the one to score, pred"),
    "several of a list": ([P, NUMBERS], None, "several outputs .0, 1.; .* predictions: 0 .a multi-label model"),
    "too few rows of an entry": ({"p": P[:3], "q": 1}, "p", r"\(3, 3\) for 40 examples"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_outputs_that_are_not_clear_are_refused_by_name(name: str) -> None:
    raw, pick, match = REFUSED[name]
    with pytest.raises(ModelError, match=match):
        read_output(raw, N, pick=pick)


# --- through probe -----------------------------------------------------------------------------------------


def table() -> pd.DataFrame:
    return pd.DataFrame({"row": np.arange(N), "x": NUMBERS[:, 0]})


def known(values: pd.DataFrame) -> Any:
    return lambda X: values.iloc[X["row"]].reset_index(drop=True)


def clean(values: pd.DataFrame, targets: Any, task: str | None = None, **recipe: Any) -> Any:
    result = probe(known(values), table(), targets, {"properties": ["x"], **recipe}, task=task)
    return result.score_table.column(CLEAN)


def test_a_regressor_of_several_outputs_by_name() -> None:
    weather = pd.DataFrame(NUMBERS, columns=["rain", "wind"])
    truth = NUMBERS[:, 1] + 0.5
    with pytest.raises(ModelError, match=r"2 columns \('rain', 'wind'\); one is needed: .* predictions: rain, and giv"):
        clean(weather, truth, "regressor")
    np.testing.assert_allclose(clean(weather, truth, "regressor", predictions="wind"), -0.5)


def test_a_picked_column_that_is_named_like_a_class_is_its_probability() -> None:
    """Whatever its place: P(no) is not taken for the probability of the second class."""
    targets = np.where(LABELS == 0, "yes", "no")
    p = pd.DataFrame({"no": P[:, 1], "yes": 1 - P[:, 1], "margin": 0.3})
    wanted = np.where(targets == "yes", 1 - P[:, 1], P[:, 1])
    for pick in ("no", "yes"):
        np.testing.assert_allclose(clean(p, targets, predictions=pick), wanted)
        np.testing.assert_allclose(clean(p, targets, predictions=pick, label_list=["yes", "no"]), wanted)


def test_a_picked_number_may_be_that_of_a_column_or_of_a_class() -> None:
    targets = (LABELS == 0).astype(int)
    each = pd.DataFrame({0: P[:, 0], 1: P[:, 1], 2: P[:, 2]})  # of a multi-label model: P(0), P(1), P(2)
    with pytest.raises(DataError, match="predictions: 0 may be the number of a column, or the label 0; say pos_label"):
        clean(each, targets, predictions=0)
    wanted = np.where(targets == 1, P[:, 0], 1 - P[:, 0])
    np.testing.assert_allclose(clean(each, targets, predictions=0, pos_label=1), wanted)
    np.testing.assert_allclose(clean(each.rename(columns=str), targets, predictions="0", pos_label=1), wanted)


def test_a_picked_column_of_another_name_is_the_probability_of_pos_label() -> None:
    targets = np.where(LABELS == 0, "yes", "no")
    p = pd.DataFrame({"risk": P[:, 1], "margin": 0.3})
    wanted = np.where(targets == "no", P[:, 1], 1 - P[:, 1])
    np.testing.assert_allclose(clean(p, targets, predictions="risk", pos_label="no"), wanted)
    with pytest.raises(DataError, match="not which class is which"):
        clean(p, targets, predictions="risk")


def test_a_picked_column_of_labels_is_scored_by_correctness() -> None:
    frame = pd.DataFrame({"label": np.array(["a", "b", "c"])[LABELS], "score": P.max(axis=1)})
    targets = np.array(["a", "b", "c"])[np.roll(LABELS, 1)]
    np.testing.assert_array_equal(clean(frame, targets, predictions="label"), frame["label"] == targets)


def test_label_list_may_not_contradict_the_names_of_the_columns() -> None:
    p = pd.DataFrame(P, columns=["dog", "eel", "cat"])
    targets = np.array(["dog", "eel", "cat"])[LABELS]
    np.testing.assert_array_equal(clean(p, targets), P.max(axis=1))
    np.testing.assert_array_equal(clean(p, targets, label_list=["dog", "eel", "cat"]), P.max(axis=1))
    with pytest.raises(DataError, match="those of the model's output columns are 'dog', 'eel', 'cat'; leave label"):
        clean(p, targets, label_list=["cat", "dog", "eel"])


def test_numbered_columns_in_another_order_are_class_numbers_too() -> None:
    p = pd.DataFrame(P, columns=[2, 0, 1])
    np.testing.assert_array_equal(clean(p, np.array([2, 0, 1])[LABELS]), P.max(axis=1))


def test_classes_that_nobody_named_are_numbers() -> None:
    """transformers calls them LABEL_0, LABEL_1, …; the targets may do so, or be the numbers."""
    p = pd.DataFrame(P, columns=["LABEL_2", "LABEL_0", "LABEL_1"])
    numbers = np.array([2, 0, 1])[LABELS]
    for targets in (numbers, [f"LABEL_{number}" for number in numbers]):
        np.testing.assert_array_equal(clean(p, targets), P.max(axis=1))


def test_the_signature_is_the_class_order_of_a_model_that_names_nothing() -> None:
    model = Model(lambda X: P[X["row"]], "predict", outputs=("dog", "eel", "cat"))
    result = probe(model, table(), np.array(["dog", "eel", "cat"])[LABELS], {"properties": ["x"]})
    np.testing.assert_array_equal(result.score_table.column(CLEAN), P.max(axis=1))


def test_the_recipe_key() -> None:
    assert load_recipe({"properties": ["x"], "predictions": "p"}).predictions == "p"
    assert load_recipe({"properties": ["x"], "predictions": 1}).predictions == 1
    for wrong in ([1.5], True):  # YAML reads yes as true
        with pytest.raises(RecipeError, match=r"predictions: .* came"):
            load_recipe({"properties": ["x"], "predictions": wrong})
    digests = {load_recipe({"properties": ["x"], "predictions": name}).digest() for name in (None, "p", "q")}
    assert len(digests) == 3  # another output is another question


# --- texts among other columns -----------------------------------------------------------------------------


def reviews() -> pd.DataFrame:
    texts = np.where(LABELS == 0, "a rather good film", "a very bad film indeed")
    return pd.DataFrame({"site": np.resize(["north", "south"], N), "review": texts, "age": np.arange(N)})


def text_model() -> Any:
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    return make_pipeline(CountVectorizer(), LogisticRegression()).fit(reviews()["review"], LABELS == 0)


def test_a_model_of_texts_finds_them_among_other_columns() -> None:
    asked = {"properties": ["site", "age"], "perturbations": [{"name": "text.typos", "magnitudes": [0.1, 0.3]}]}
    model = text_model()
    result = probe(model, reviews(), LABELS == 0, asked)
    p = model.predict_proba(reviews()["review"])
    np.testing.assert_allclose(result.score_table.column(CLEAN), p[np.arange(N), (LABELS == 0).astype(int)])
    assert result.tests["site"].kind == "category" and not result.failed
    short = reviews().assign(review=np.where(LABELS == 0, "good", "bad")).drop(columns="site")  # the only strings
    assert not probe(model, short, LABELS == 0, asked | {"properties": ["age"]}).failed


def test_two_columns_of_texts_are_ambiguous() -> None:
    two = reviews().assign(title="the title of a film")
    with pytest.raises(
        DataError, match="takes 1 column of texts, and the data has 2 among its columns site, review, age, title; pass"
    ):
        probe(text_model(), two, LABELS == 0, {"properties": ["age"]})
