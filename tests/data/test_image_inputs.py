"""One network, its images stored in three ways: what is found does not depend on how pixels are stored."""

from __future__ import annotations

from typing import Any

import mlflow
import numpy as np
import pytest
from flavours.logged import draw_nothing, evaluate, log_model
from mlflow.models import infer_signature
from scipy.special import softmax

MEAN, STD = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])  # of ImageNet
SIDE = 12
RECIPE: dict[str, Any] = {
    "recipe": "image_robustness",
    "perturbations": ["image.rotate", "image.gaussian_noise", "image.brightness", "image.saturation", "image.occlude"],
}


def normalised(pixels: Any) -> Any:
    """Pixels (n, H, W, 3) in [0, 1] as this network takes them: (n, 3, H, W), each channel with mean 0 and SD 1."""
    return ((pixels - MEAN) / STD).astype(np.float32).transpose(0, 3, 1, 2)


class Network(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """A softmax regression on pixels, however those are stored."""

    def __init__(self, stored: str) -> None:
        self.stored = stored
        self.weights = np.random.default_rng(5).normal(0, 1, (SIDE * SIDE * 3, 3))

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        pixels = np.asarray(model_input)
        if self.stored == "normalised":
            assert pixels.shape[1:] == (3, SIDE, SIDE)
            pixels = pixels.transpose(0, 2, 3, 1) * STD + MEAN
        return softmax(pixels.reshape(len(pixels), -1).astype(float) @ self.weights, axis=1)


@pytest.fixture(scope="module")
def pictures() -> tuple[Any, Any]:
    """Two hundred images of blobs, uint8 (n, H, W, 3), and the class that the network sees in most of each."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE]
    at, colour = rng.uniform(3, 9, (200, 2)), rng.uniform(0.2, 1, (200, 1, 1, 3))
    blob = np.exp(-((y - at[:, :1, None]) ** 2 + (x - at[:, 1:, None]) ** 2) / 8)[..., None] * colour
    images = np.rint(255 * np.clip(blob + 0.1, 0, 1)).astype(np.uint8)
    labels = Network("pixels").predict(None, images / 255).argmax(axis=1)
    return images, np.where(rng.random(200) < 0.8, labels, rng.integers(0, 3, 200))


def found(inputs: Any, labels: Any, stored: str, sample: Any, recipe: dict[str, Any]) -> dict[str, float]:
    """What an evaluation through MLflow finds, of flat rows, with a tensor signature as the model has it."""
    model = Network(stored)
    signature = infer_signature(sample, model.predict(None, sample))
    logged = log_model(mlflow.pyfunc.log_model, python_model=model, signature=signature)
    rows = inputs.reshape(len(inputs), -1)
    metrics = evaluate(logged.model_uri, rows, {**RECIPE, **recipe}, targets=labels).ours
    # Rounding of pixels may turn the label of an example whose two best classes are as probable as each other.
    return {name: value for name, value in metrics.items() if "balanced_accuracy" not in name}


def test_nothing_depends_on_how_pixels_are_stored(
    pictures: tuple[Any, Any], experiment_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_nothing(monkeypatch)
    images, labels = pictures
    pixels = (images / 255).astype(np.float32)
    stored = np.ascontiguousarray(normalised(pixels))
    plain = found(pixels, labels, "pixels", pixels[:2], {})
    assert plain["sensie/n_failed"] == 0 and plain["sensie/image.brightness/mean_drop"] > 0.02

    said = {"layout": "NCHW", "value_range": {"mean": MEAN.tolist(), "std": STD.tolist()}}
    assert found(stored, labels, "normalised", stored[:2], said) == pytest.approx(plain, abs=2e-4)

    # the data are plain pictures, and what the network takes is made of them before every call
    before = {"input_shape": [SIDE, SIDE, 3], "preprocess": lambda x: normalised(x / 255)}
    assert found(images, labels, "normalised", stored[:2], before) == pytest.approx(plain, abs=2e-4)
