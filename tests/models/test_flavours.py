"""What is particular to a library, told by stand-ins; the libraries' own models are in tests/flavours."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlflow_sensie.errors import ModelError
from mlflow_sensie.models import flavours
from mlflow_sensie.models.model import open_model
from mlflow_sensie.models.signature import InputSchema, Tensor, fitted_names

TEXTS = pd.DataFrame({"review": ["good", "bad", "dull"]})
SCORES = np.array([[0.2, 0.7, 0.1], [0.5, 0.3, 0.2], [0.1, 0.1, 0.8]])
NAMES = ["sad", "glad", "mad"]


def pipeline(names: dict[int, str] | None) -> Any:
    return SimpleNamespace(model=SimpleNamespace(config=SimpleNamespace(id2label=names)))


def answers(k: int) -> Any:
    """What a pipeline with ``top_k`` answers: the best k of each text, the most probable first."""
    best = [np.argsort(-row)[:k] for row in SCORES]
    return [[{"label": NAMES[i], "score": SCORES[n][i]} for i in order] for n, order in enumerate(best)]


KNOWN = {1: "glad", 0: "sad", 2: "mad"}  # as JSON may have them: not in order


def test_all_labels_of_a_pipeline_are_columns_in_the_models_own_order() -> None:
    read = flavours.read_answers(pipeline(KNOWN), lambda texts: answers(3))(TEXTS)
    assert list(read.columns) == NAMES
    np.testing.assert_array_equal(read.to_numpy(), SCORES)


@pytest.mark.parametrize("raw", [answers(1), [row[0] for row in answers(1)]], ids=["top_k=1", "default"])
def test_the_best_label_of_a_pipeline_stays_a_label(raw: Any) -> None:
    read = flavours.read_answers(pipeline(KNOWN), lambda texts: raw)(TEXTS)
    assert read["label"].tolist() == ["glad", "sad", "mad"] and read["score"].tolist() == [0.7, 0.5, 0.8]


def test_some_labels_of_a_pipeline_are_no_probabilities() -> None:
    with pytest.raises(ModelError, match=r"only some of its 3 labels; log it with model_config=\{'top_k': None\}"):
        flavours.read_answers(pipeline(KNOWN), lambda texts: answers(2))(TEXTS)


def test_a_pipeline_of_one_label_gives_its_score() -> None:
    raw = [[{"label": "LABEL_0", "score": score}] for score in (0.1, 0.9, 0.5)]
    assert flavours.read_answers(pipeline({0: "LABEL_0"}), lambda texts: raw)(TEXTS).tolist() == [0.1, 0.9, 0.5]


def test_what_is_no_classification_is_left_as_it_is() -> None:
    raw = pd.DataFrame({"answer": ["a", "b", "c"]})
    for known in (pipeline(None), pipeline(KNOWN), object()):
        pd.testing.assert_frame_equal(flavours.read_answers(known, lambda texts: raw)(TEXTS), raw)


def onnx_input(name: str, kind: str, *shape: Any) -> Any:
    return SimpleNamespace(name=name, type=kind, shape=list(shape))


def test_an_onnx_session_says_what_it_takes() -> None:
    one = SimpleNamespace(get_inputs=lambda: [onnx_input("x", "tensor(float)", "batch", 3, 8, 8)])
    read = flavours.onnx_schema(one, InputSchema(("a", "b")))
    assert (read.names, read.shape, read.dtype) == (("a", "b"), (3, 8, 8), np.dtype("float32"))
    assert read.tensors == {"x": Tensor((3, 8, 8), np.dtype("float32"))}
    two = [onnx_input("ids", "tensor(int64)", None, 4), onnx_input("age", "tensor(double)", None)]
    read = flavours.onnx_schema(SimpleNamespace(get_inputs=lambda: two), InputSchema(("ids",)))
    assert (read.names, read.shape) == (("ids", "age"), None)
    assert read.tensors["ids"].dtype == np.int64 and read.tensors["age"] == Tensor(None, np.dtype("float64"))
    odd = SimpleNamespace(get_inputs=lambda: [onnx_input("x", "seq(map(int64,tensor(float)))", None)])
    with pytest.raises(ModelError, match="the ONNX input 'x' is a seq"):
        flavours.onnx_schema(odd, InputSchema())


@pytest.mark.parametrize(
    ("raw", "names"),
    [
        (SimpleNamespace(feature_names_in_=np.array(["a", "b"])), ("a", "b")),
        (SimpleNamespace(feature_names_=["a", "b"]), ("a", "b")),
        (SimpleNamespace(feature_names=["a", "b"]), ("a", "b")),
        (SimpleNamespace(feature_names=None, feature_name=lambda: ["a"]), ("a",)),
        (SimpleNamespace(model=SimpleNamespace(exog_names=["a", "b"])), ("a", "b")),
        (SimpleNamespace(model=SimpleNamespace(exog_names=["Intercept", "a:b"], formula="y ~ a:b")), None),
        (object(), None),
    ],
    ids=["scikit-learn", "CatBoost", "XGBoost", "LightGBM", "statsmodels", "a formula", "nothing"],
)
def test_names_that_a_library_keeps(raw: Any, names: Any) -> None:
    assert fitted_names(raw).names == names


def test_classes_that_a_library_keeps() -> None:
    assert flavours.classes_of(SimpleNamespace(classes_=np.array(["a", "b"]))) == ("a", "b")
    assert flavours.classes_of(SimpleNamespace(classes_=[np.array([0, 1]), np.array([0, 2])])) is None
    assert flavours.classes_of(object()) is None


@pytest.mark.parametrize("loader", flavours.PROBABILITY_FLAVOURS)
def test_the_raw_model_is_asked_where_pyfunc_does_not_reach_its_probabilities(loader: str) -> None:
    metadata = SimpleNamespace(
        flavors={"python_function": {"loader_module": loader}}, run_id=None, artifact_path=None,
        get_input_schema=lambda: None, get_output_schema=lambda: None,
    )  # fmt: skip
    raw = SimpleNamespace(predict_proba=lambda inputs: SCORES, classes_=np.array(NAMES))
    pyfunc = SimpleNamespace(
        metadata=metadata, predict=lambda inputs: SCORES.argmax(axis=1),
        _model_impl=SimpleNamespace(get_raw_model=lambda: raw),
    )  # fmt: skip
    opened = open_model(pyfunc)
    assert opened.source == "predict_proba" and opened.classes == tuple(NAMES)
    np.testing.assert_array_equal(opened.predict(np.zeros((3, 1))).values, SCORES)
    assert open_model(pyfunc, plain_predict=True).source == "predict"


class _ServedPyFuncModel:
    """MLflow's served model, with and without a client that gives everything."""

    def __init__(self, client: Any) -> None:
        self._model_impl = client
        said: dict[str, Any] = {"flavors": {}, "run_id": None, "artifact_path": None}
        nothing = SimpleNamespace(get_input_schema=lambda: None, get_output_schema=lambda: None, **said)
        self.metadata = nothing

    def predict(self, inputs: Any) -> Any:
        return [row[0] for row in SCORES]


def test_all_columns_of_a_served_model_are_read_through_its_client() -> None:
    client = SimpleNamespace(invoke=lambda inputs: {"predictions": SCORES.tolist()})
    opened = open_model(_ServedPyFuncModel(client))
    np.testing.assert_array_equal(opened.predict(np.zeros((3, 1))).values, SCORES)
    assert not opened.served
    trapped = open_model(_ServedPyFuncModel(object()))
    assert trapped.served and trapped.predict(np.zeros((3, 1))).values.tolist() == SCORES[:, 0].tolist()


@pytest.mark.flavours
def test_a_network_in_training_mode_gets_a_warning() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed (extra 'flavours')")
    network = torch.nn.Sequential(torch.nn.Linear(2, 3))
    assert open_model(network).warnings == (flavours.TRAINING,)
    assert open_model(network.eval()).warnings == ()
    found = open_model(network).predict(np.ones((4, 2)))  # float64, which torch itself would refuse
    assert found.values.shape == (4, 3) and found.values.dtype == np.float32
