"""A Keras 3 network, really trained, logged with a tensor signature and evaluated by its URI."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import mlflow
import numpy as np
import pytest
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec
from sklearn.datasets import load_digits

import mlflow_sensie
from flavours.logged import Evaluated, evaluate, log_model

pytest.importorskip("keras", reason="keras is not installed (extra 'keras')")
pytestmark = pytest.mark.slow

RECIPE: dict[str, Any] = {
    "properties": [{"name": "ink", "of": "image.mean"}],
    "perturbations": [
        {"name": "rotation", "apply": "image.rotate", "magnitudes": [0, 30, 60, 90]},
        {"name": "image.gaussian_noise", "magnitudes": [0, 0.2, 0.4]},
    ],
    "class_test": True,
}


@pytest.fixture(scope="module")
def digits() -> tuple[Any, Any]:
    data = load_digits()
    return (data.images[..., None] / 16).astype(np.float32), data.target


@pytest.fixture(scope="module")
def network(digits: tuple[Any, Any]) -> Any:
    import keras

    X, y = digits
    keras.utils.set_random_seed(0)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(32, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(X[:1200], y[:1200], batch_size=32, epochs=8, verbose=0)
    return model


@pytest.fixture
def interactive() -> Iterator[None]:
    """Keras as a user has it: drawing its own progress bars; it must be left so."""
    import keras

    before = keras.config.is_interactive_logging_enabled()
    keras.config.enable_interactive_logging()
    yield
    assert keras.config.is_interactive_logging_enabled()
    if not before:
        keras.config.disable_interactive_logging()


def test_a_network_by_its_uri(
    network: Any, digits: tuple[Any, Any], experiment_id: str, interactive: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tensor signature gives the shape of the flat rows, and wants float32, to which float64 is cast back."""
    X, y = digits[0][1200:1400], digits[1][1200:1400]
    signature = ModelSignature(
        Schema([TensorSpec(np.dtype(np.float32), (-1, 8, 8, 1))]), Schema([TensorSpec(np.dtype(np.float32), (-1, 10))])
    )
    info = log_model(mlflow.keras.log_model, network, signature=signature)
    capsys.readouterr()
    flat = X.reshape(len(X), -1).astype(np.float64)
    done = evaluate(info.model_uri, flat, RECIPE, targets=y)
    p = network.predict(X, verbose=0)
    assert done.ours["sensie/clean_score"] == pytest.approx(p[np.arange(len(y)), y].mean(), rel=1e-5)
    assert done.ours["sensie/clean_score"] > 0.8
    check_robustness(done)
    assert "━" not in capsys.readouterr().out  # no progress bar of Keras's own
    assert mlflow.MlflowClient().get_logged_model(info.model_id).metrics

    one_hot = np.eye(10)[y]
    quick = {**RECIPE, "perturbations": RECIPE["perturbations"][:1]}
    again = evaluate(info.model_uri, flat, quick, targets=one_hot)
    here = mlflow_sensie.probe(network, X, y, quick)
    assert capsys.readouterr().out.count("━") == 0
    assert again.ours == pytest.approx(here.metrics, rel=1e-4, abs=1e-6)
    kept = {key for key in again.ours if "/rotation/" in key}
    assert {key: again.ours[key] for key in kept} == pytest.approx({key: done.ours[key] for key in kept})


def check_robustness(done: Evaluated) -> None:
    result = done.result()
    assert not result.failed
    curve = result.tests["rotation"].curve["score"].tolist()
    assert curve[0] > curve[1] > curve[2] and curve[0] - curve[2] > 0.4
    assert done.ours["sensie/rotation/sensitive"] == 1
    assert done.ours["sensie/rotation/holds_until"] < 30
    assert len(result.tests["class"].curve) == 10


def test_a_network_of_an_image_and_a_number(network: Any, digits: tuple[Any, Any], experiment_id: str) -> None:
    """An image perturbation finds the image among the inputs that the signature names."""
    import keras

    X, y = digits[0][1200:1400], digits[1][1200:1400]
    age = np.random.default_rng(0).normal(size=(len(y), 1)).astype(np.float32)
    image, number = keras.Input((8, 8, 1), name="image"), keras.Input((1,), name="age")
    ignored = keras.layers.Dense(10, kernel_initializer="zeros")(number)
    both = keras.Model({"image": image, "age": number}, keras.layers.Add()([network(image), ignored]))
    signature = ModelSignature(
        Schema(
            [TensorSpec(np.dtype(np.float32), (-1, 8, 8, 1), "image"), TensorSpec(np.dtype(np.float32), (-1, 1), "age")]
        )
    )
    info = log_model(mlflow.keras.log_model, both, signature=signature)
    rotation = {"perturbations": RECIPE["perturbations"][:1], "log_examples": "full"}
    data = mlflow_sensie.from_tensors({"image": X, "age": age[:, 0]}, y)
    done = evaluate(info.model_uri, data, {**rotation, "properties": ["age"]})
    alone = mlflow_sensie.probe(network, X, y, rotation)
    kept = {key: value for key, value in done.ours.items() if "/rotation/" in key}
    assert kept == pytest.approx({key: alone.metrics[key] for key in kept}, rel=1e-4, abs=1e-6)
