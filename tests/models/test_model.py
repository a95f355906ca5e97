"""Models of every kind behind one call: the ladder of what is asked, casts to the signature, forms of output."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_digits
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from mlflow_sensie import probe
from mlflow_sensie.errors import ModelError
from mlflow_sensie.models.model import Model, open_model
from mlflow_sensie.models.signature import InputSchema, read_schema
from mlflow_sensie.scores.table import CLEAN

N = 150


def frame() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    return pd.DataFrame({"a": rng.normal(size=N), "b": rng.normal(size=N), "site": rng.choice(list("xyz"), N)})


def words() -> Any:
    noisy = frame()["a"] + np.random.default_rng(4).normal(0, 0.7, N)
    return np.select([noisy < -0.5, noisy < 0.5], ["low", "middle"], "tall")


def flags() -> Any:
    return (words() == "low").astype(int)


def pipeline() -> Any:
    columns = make_column_transformer((StandardScaler(), ["a", "b"]), (OneHotEncoder(), ["site"]))
    return make_pipeline(columns, LogisticRegression())


NUMERIC = ["a", "b"]
WITH_PROBABILITIES = {
    "logistic": (LogisticRegression(), NUMERIC),
    "forest": (RandomForestClassifier(5, random_state=0), NUMERIC),
    "tree": (DecisionTreeClassifier(max_depth=3), NUMERIC),
    "pipeline": (pipeline(), ["a", "b", "site"]),
    "search": (GridSearchCV(LogisticRegression(), {"C": [0.1, 1]}, cv=2), NUMERIC),
    "dummy": (DummyClassifier(), NUMERIC),
}
WITH_LABELS = {
    "linear SVC": (LinearSVC(), NUMERIC),
    "ridge": (RidgeClassifier(), NUMERIC),
    "SVC": (SVC(), NUMERIC),
}
ASKED = {"properties": ["a", "site"], "perturbations": [{"name": "tabular.noise", "magnitudes": [0.5, 1]}]}


@pytest.mark.parametrize("labels", [words, flags])
@pytest.mark.parametrize("name", WITH_PROBABILITIES)
def test_scikit_learn_models_are_asked_for_probabilities(name: str, labels: Any) -> None:
    model, features = WITH_PROBABILITIES[name]
    model.fit(frame()[features], labels())
    result = probe(model, frame(), labels(), ASKED)
    p = model.predict_proba(frame()[features])
    wanted = p[np.arange(N), np.searchsorted(model.classes_, labels())]
    assert (result.score.kind, result.score.source) == ("probability", "predict_proba")
    assert result.warnings == ()
    np.testing.assert_allclose(result.score_table.column(CLEAN), wanted, rtol=1e-12)


@pytest.mark.parametrize("labels", [words, flags])
@pytest.mark.parametrize("name", WITH_LABELS)
def test_classifiers_without_probabilities_are_scored_by_correctness_with_a_warning(name: str, labels: Any) -> None:
    model, features = WITH_LABELS[name]
    model.fit(frame()[features], labels())
    result = probe(model, frame(), labels(), ASKED)
    assert (result.score.kind, result.score.source) == ("correct", "predict")
    (warning,) = result.warnings
    assert "labels" in warning and "predict_proba" in warning
    np.testing.assert_array_equal(result.score_table.column(CLEAN), model.predict(frame()[features]) == labels())


def test_models_of_arrays_take_arrays_and_pixels() -> None:
    X, y = load_digits(return_X_y=True)
    X, y = X[:300], y[:300]
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200)).fit(X, y)
    asked = {"perturbations": [{"name": "image.rotate", "magnitudes": [10, 20]}], "input_shape": [8, 8],
             "value_range": [0, 16]}  # fmt: skip
    result = probe(model, X, y, asked)
    assert result.clean.value == pytest.approx(model.predict_proba(X)[np.arange(300), y].mean(), rel=1e-12)
    assert result.tests["image.rotate"].metrics["effect"] < 0


def test_columns_that_the_model_was_not_fitted_on_are_metadata_in_any_order() -> None:
    model = LogisticRegression().fit(frame()[["b", "a"]], flags())
    X = frame().assign(age=np.arange(N))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # scikit-learn warns of names it does not know
        result = probe(model, X, flags(), {**ASKED, "properties": ["age", "site", "b"]})
    assert list(result.tests) == ["age", "site", "b", "tabular.noise"]
    assert result.clean.value == pytest.approx(model.predict_proba(X[["b", "a"]])[np.arange(N), flags()].mean())


def test_output_labels_asks_for_predict() -> None:
    model = LogisticRegression().fit(frame()[NUMERIC], words())
    result = probe(model, frame(), words(), {**ASKED, "output": "labels"})
    assert (result.score.kind, result.score.source) == ("correct", "predict")


# --- what is opened ----------------------------------------------------------------------------------------


class Odd:
    """An object with a predict of its own."""

    def predict(self, X: Any) -> Any:
        return np.full((len(X), 2), 0.5)


class Callable:
    def __call__(self, X: Any) -> Any:
        return Odd().predict(X)


def test_what_is_said_of_a_model() -> None:
    fitted = LogisticRegression().fit(frame()[NUMERIC], words())
    opened = open_model(fitted)
    assert (opened.source, opened.task, opened.name) == ("predict_proba", "classifier", "LogisticRegression")
    assert opened.classes == ("low", "middle", "tall") and opened.schema.names == ("a", "b")
    plain = open_model(fitted, plain_predict=True)
    assert (plain.source, plain.classes) == ("predict", opened.classes)
    regressor = open_model(LinearRegression().fit(np.zeros((3, 2)), np.zeros(3)))
    assert (regressor.source, regressor.task, regressor.schema) == ("predict", "regressor", InputSchema())
    assert (open_model(Odd()).source, open_model(Odd()).name, open_model(Odd()).task) == ("predict", "Odd", None)
    assert open_model(Odd(), task="regressor").task == "regressor"
    assert (open_model(len).source, open_model(len).name) == ("function", "len")
    assert open_model(Callable()).name == "Callable"
    assert open_model(opened) is opened


@pytest.mark.parametrize("model", [None, 3, {"predict": 1}, [LogisticRegression]])
def test_what_is_no_model(model: Any) -> None:
    with pytest.raises(ModelError, match=f"a {type(model).__name__} cannot be evaluated; allowed: a model URI"):
        open_model(model)


# --- outputs -----------------------------------------------------------------------------------------------

P = np.array([[0.2, 0.8], [0.5, 0.5], [1.0, 0.0]])


class Tensor:
    """What is detached, moved and turned, as torch's tensors are."""

    def detach(self) -> Tensor:
        return self

    cpu = detach

    def numpy(self) -> Any:
        return P


@pytest.mark.parametrize(
    ("raw", "values", "columns"),
    [
        (P, P, None),
        (P.tolist(), P, None),
        (P[:, 1], P[:, 1], None),
        (P[:, 1:], P[:, 1], None),
        (pd.Series(P[:, 1], index=[7, 8, 9]), P[:, 1], None),
        (pd.DataFrame(P), P, (0, 1)),
        (pd.DataFrame(P, columns=["no", "yes"]), P, ("no", "yes")),
        (pd.DataFrame({"p": P[:, 1]}), P[:, 1], None),
        ({"no": P[:, 0], "yes": P[:, 1]}, P, ("no", "yes")),
        ([{"no": a, "yes": b} for a, b in P], P, ("no", "yes")),
        (np.array([*P, None], dtype=object)[:-1], P, None),
        (Tensor(), P, None),
        (["a", "b", "a"], np.array(["a", "b", "a"]), None),
    ],
    ids=["2-D", "lists", "1-D", "one column", "series", "frame", "named frame", "frame of one", "dict", "dicts",
         "array of arrays", "tensor", "words"],
)  # fmt: skip
def test_output_of_any_form_is_an_array_of_rows(raw: Any, values: Any, columns: Any) -> None:
    found = Model(lambda X: raw, "function").predict(np.zeros((3, 1)))
    assert found.columns == columns
    np.testing.assert_array_equal(found.values, values)


# --- casts to the signature --------------------------------------------------------------------------------


def test_integers_are_rounded_to_what_the_signature_says() -> None:
    schema = InputSchema(("n", "m", "f", "d"), {"n": "long", "m": "integer", "f": "float", "d": "double"})
    X = pd.DataFrame({"n": [0.4, 2.6], "m": [1.5, -0.6], "f": [0.1, 0.2], "d": [0.1, 0.2]})
    before = X.copy()
    cast = schema.cast(X)
    assert list(map(str, cast.dtypes)) == ["int64", "int32", "float32", "float64"]
    assert cast["n"].tolist() == [0, 3] and cast["m"].tolist() == [2, -1]
    pd.testing.assert_frame_equal(X, before)
    holes = pd.DataFrame({"n": [0.4, np.nan]})
    assert schema.cast(holes)["n"].dtype == "float64"  # that the model must say itself


def test_arrays_are_cast_and_clipped_to_the_dtype() -> None:
    schema = InputSchema(shape=(2,), dtype=np.dtype("uint8"))
    assert schema.cast(np.array([[-3.0, 254.6], [300.0, 1.4]])).tolist() == [[0, 255], [255, 1]]
    single = InputSchema(dtype=np.dtype("float32"))
    assert single.cast(np.zeros(2)).dtype == np.float32
    array = np.zeros(2, dtype=np.float32)
    assert single.cast(array) is array and InputSchema().cast(array) is array


def test_integer_columns_stay_integers_under_noise() -> None:
    seen: set[str] = set()

    def model(X: pd.DataFrame) -> Any:
        seen.update(map(str, X.dtypes))
        return np.full((len(X), 2), 0.5)

    X = pd.DataFrame({"n": np.arange(N), "m": pd.array(np.arange(N) % 9, dtype="Int64")})
    probe(model, X, flags(), {"perturbations": ["tabular.noise"]})
    assert seen == {"int64", "Int64"}


def test_integer_columns_are_what_the_signature_says_under_a_users_function() -> None:
    seen: set[str] = set()

    def call(X: pd.DataFrame) -> Any:
        seen.update(map(str, X.dtypes))
        return np.full((len(X), 2), 0.5)

    model = Model(call, "predict", schema=InputSchema(("n",), {"n": "long"}))
    add = {"name": "add", "apply": lambda x, p: x + p, "magnitudes": [0.3, 0.6]}
    probe(model, pd.DataFrame({"n": np.arange(N)}), flags(), {"perturbations": [add]})
    assert seen == {"int64"}


# --- MLflow's own models (saved to a folder; no tracking store) --------------------------------------------


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import mlflow
    from mlflow.models import infer_signature

    X = frame()[NUMERIC].assign(n=np.arange(N) % 7)
    model = LogisticRegression().fit(X, words())
    folder = tmp_path_factory.mktemp("models") / "logistic"
    signature = infer_signature(X, model.predict(X))
    mlflow.sklearn.save_model(model, folder, signature=signature, pip_requirements=[])
    return folder


def test_a_logged_model_is_asked_for_probabilities_by_its_uri(saved: Path) -> None:
    import mlflow

    X = frame().assign(n=np.arange(N) % 7)
    raw = mlflow.sklearn.load_model(str(saved))
    wanted = raw.predict_proba(X[["a", "b", "n"]])[np.arange(N), np.searchsorted(raw.classes_, words())]
    for model in (str(saved), mlflow.pyfunc.load_model(str(saved))):
        result = probe(model, X, words(), {**ASKED, "properties": ["site", "n"]})
        assert (result.score.kind, result.score.source) == ("probability", "predict_proba")
        np.testing.assert_allclose(result.score_table.column(CLEAN), wanted, rtol=1e-12)
    opened = open_model(str(saved))
    assert opened.schema.names == ("a", "b", "n") and opened.schema.types["n"] == "long"
    assert not opened.served and not opened.wants_array


def test_a_logged_models_own_predict(saved: Path) -> None:
    result = probe(str(saved), frame().assign(n=np.arange(N) % 7), words(), {**ASKED, "output": "labels"})
    assert (result.score.kind, result.score.source) == ("correct", "predict")
    assert result.metrics["sensie/tabular.noise/ok"] == 1  # the signature's integers are kept


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        ([("double", "a"), ("long", "n")], InputSchema(("a", "n"), {"a": "double", "n": "long"})),
        ([("double", None), ("double", None)], InputSchema()),
        ([((-1, 8, 8, 1), "float32")], InputSchema(shape=(8, 8, 1), dtype=np.dtype("float32"))),
        ([((-1, 64), "uint8")], InputSchema(shape=(64,), dtype=np.dtype("uint8"))),
        ([((-1, -1, 3), "float64")], InputSchema(dtype=np.dtype("float64"))),
        ([], InputSchema()),
    ],
    ids=["columns", "columns without names", "tensor", "flat tensor", "tensor of open shape", "nothing"],
)
def test_what_a_signature_says(columns: list[Any], found: InputSchema) -> None:
    read = read_schema(signature(columns), None)
    assert (read.names, read.types, read.shape) == (found.names, found.types, found.shape)
    assert read.dtype is found.dtype is None or read.dtype is found.dtype  # numpy takes None for float64
    fitted = LogisticRegression().fit(frame()[NUMERIC], flags())
    if found.names is None and found.dtype is None:
        assert read_schema(signature(columns), fitted).names == ("a", "b")


def test_several_input_tensors_are_columns_of_a_frame() -> None:
    from mlflow.types import Schema, TensorSpec

    shapes = {"pair": (-1, 2), "image": (-1, 2, 2), "age": (-1,)}
    read = read_schema(Schema([TensorSpec(np.dtype("float32"), s, name) for name, s in shapes.items()]), None)
    assert read.names == ("pair", "image", "age") and read.shape is None
    X = pd.DataFrame({"age": [3, 4], "image": list(np.arange(8.0).reshape(2, 4)), "pair": [[1, 2], [3, 4]]})
    cast = read.cast(X)
    assert {name: (array.shape, str(array.dtype)) for name, array in cast.items()} == {
        "pair": ((2, 2), "float32"), "image": ((2, 2, 2), "float32"), "age": ((2,), "float32"),
    }  # fmt: skip
    assert cast["image"].ravel().tolist() == list(range(8))


def test_one_input_tensor_with_a_name_is_handed_over_by_it() -> None:
    from mlflow.types import Schema, TensorSpec

    read = read_schema(Schema([TensorSpec(np.dtype("uint8"), (-1, 2, 2), "image")]), None)
    assert (read.names, read.shape, read.dtype) == (("image",), (2, 2), np.dtype("uint8"))
    assert read.cast(np.full((3, 4), 1.6))["image"].tolist() == [[[2, 2], [2, 2]]] * 3


def signature(columns: list[Any]) -> Any:
    """MLflow's schema of (type, name) columns or (shape, dtype) tensors."""
    from mlflow.types import ColSpec, Schema, TensorSpec

    specs = [
        TensorSpec(np.dtype(name), first) if isinstance(first, tuple) else ColSpec(first, name)
        for first, name in columns
    ]
    return Schema(specs) if specs else None


def test_a_served_models_single_column_is_not_trusted() -> None:
    served = Model(lambda X: np.linspace(0.1, 0.9, len(X)), "predict", served=True)
    with pytest.raises(ModelError, match=r"served model passes on only the first column.*env_manager='local'"):
        probe(served, frame()[NUMERIC], flags(), {"properties": ["a"]})


def test_text_pipelines_get_texts_and_not_column_names() -> None:
    texts = np.where(flags() == 1, "a rather good film", "a very bad film indeed")
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, flags())
    asked = {"properties": ["text.length"], "perturbations": [{"name": "text.typos", "magnitudes": [0.1, 0.3]}]}
    results = [probe(model, X, flags(), asked) for X in (pd.DataFrame({"review": texts}), texts, texts.tolist())]
    wanted = model.predict_proba(texts)[np.arange(N), flags()]
    for result in results:
        np.testing.assert_allclose(result.score_table.column(CLEAN), wanted)
        assert result.metrics == results[0].metrics


# --- Keras -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits() -> tuple[Any, Any]:
    X, y = load_digits(return_X_y=True)
    return (X / 16).astype(np.float32).reshape(-1, 8, 8, 1), y


@pytest.fixture(scope="module")
def network(digits: tuple[Any, Any]) -> Any:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    keras = pytest.importorskip("keras")
    X, y = digits
    keras.utils.set_random_seed(0)
    layers = [keras.Input((8, 8, 1)), keras.layers.Conv2D(8, 3, activation="relu"), keras.layers.Flatten(),
              keras.layers.Dense(10, activation="softmax")]  # fmt: skip
    model = keras.Sequential(layers)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(X[:1200], y[:1200], epochs=6, verbose=0)
    return model


@pytest.mark.slow
def test_a_trained_keras_model(network: Any, digits: tuple[Any, Any], capfd: Any) -> None:
    X, y = (part[1200:] for part in digits)
    rotation = {"name": "rotation", "apply": "image.rotate", "magnitudes": {"start": 0, "stop": 90, "num": 4}}
    asked = {"perturbations": [rotation], "properties": ["image.mean"], "class_test": True}
    p = network.predict(X, verbose=0)
    capfd.readouterr()
    result = probe(network, X, y, asked)
    out, err = capfd.readouterr()
    assert "step" not in out + err  # Keras draws no bar of its own
    assert (result.score.kind, result.score.source) == ("probability", "predict")
    assert result.clean.value == pytest.approx(p[np.arange(len(y)), y].mean(), rel=1e-5)
    assert result.clean.value > 0.7
    assert result.tests["rotation"].metrics["effect_hi95"] < -0.2
    one_hot = probe(network, X, np.eye(10)[y], asked)
    assert one_hot.metrics == pytest.approx(result.metrics, rel=1e-5, abs=1e-6)
    for data in (X.reshape(-1, 64), pd.DataFrame(X.reshape(-1, 64)), pd.DataFrame({"image": list(X)})):
        again = probe(network, data, y, asked)
        assert again.metrics == pytest.approx(result.metrics, rel=1e-5, abs=1e-6)


@pytest.mark.slow
def test_a_trained_keras_model_of_one_sigmoid_column(digits: tuple[Any, Any]) -> None:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    keras = pytest.importorskip("keras")
    X, y = digits
    odd = y % 2
    keras.utils.set_random_seed(0)
    layers = [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(16, activation="relu"),
              keras.layers.Dense(1, activation="sigmoid")]  # fmt: skip
    model = keras.Sequential(layers)
    model.compile("adam", "binary_crossentropy")
    model.fit(X[:1200], odd[:1200], epochs=8, verbose=0)
    X, odd = X[1200:], odd[1200:]
    positive = model.predict(X, verbose=0)[:, 0]
    asked = {
        "properties": ["image.mean"],
        "perturbations": [{"name": "image.gaussian_noise", "magnitudes": [0.2, 0.4]}],
    }
    result = probe(model, X, odd, asked)
    assert result.clean.value == pytest.approx(np.where(odd == 1, positive, 1 - positive).mean(), rel=1e-5)
    named = probe(model, X, np.where(odd == 1, "odd", "even"), {**asked, "pos_label": "odd"})
    assert named.metrics == pytest.approx(result.metrics, rel=1e-5, abs=1e-6)
