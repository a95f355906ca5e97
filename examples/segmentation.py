"""Segmentation by IoU: what do the masks of a small model hang on? Run with `python examples/segmentation.py`.

Images of one bright disc each are simulated; a logistic regression tells of every pixel, by its brightness and that of
its surroundings, whether it belongs to the disc. The score is the overlap of the predicted and the true mask.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.ndimage import uniform_filter
from sklearn.linear_model import LogisticRegression

import mlflow_sensie

SIDE = 20


def simulate(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return images (n, 20, 20) in [0, 1] and the masks (n, 20, 20) of their discs."""
    y, x = np.mgrid[:SIDE, :SIDE]
    centre, radius = rng.uniform(5, SIDE - 5, (n, 2, 1, 1)), rng.uniform(1.5, 6, (n, 1, 1))
    masks = (y - centre[:, 0]) ** 2 + (x - centre[:, 1]) ** 2 <= radius**2
    images = 0.3 + 0.35 * masks + rng.normal(0, 0.12, masks.shape)
    return np.clip(images, 0, 1), masks


def features(images: np.ndarray) -> np.ndarray:
    """Return of every pixel its brightness and the mean brightness around it, (n · 20 · 20, 2)."""
    around = uniform_filter(images, size=(1, 3, 3), mode="nearest")
    return np.stack([images, around], axis=-1).reshape(-1, 2)


def iou(predicted: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Return intersection over union (n,) of masks (n, ...); no mask has no pixel here."""
    both = tuple(range(1, masks.ndim))
    return (predicted & masks).sum(axis=both) / (predicted | masks).sum(axis=both)


def evaluate(n: int = 400) -> mlflow_sensie.Result:
    """Fit on images of their own, and ask what the overlap hangs on."""
    rng = np.random.default_rng(0)
    images, masks = simulate(200, rng)
    model = LogisticRegression().fit(features(images), masks.ravel())
    levels = masks.mean(axis=0)  # how often each pixel is part of a disc
    no_skill = max(iou(levels > t, masks).mean() if t < levels.max() else 0.0 for t in np.linspace(0, 0.5, 26))
    images, masks = simulate(n, rng)
    recipe: dict[str, Any] = {
        "score": {"function": iou, "lower": 0, "upper": 1, "no_skill": float(no_skill), "unit": "IoU", "name": "IoU"},
        "kind": "tensor",
        "layout": "NHW",
        "properties": ["pixels"],
        "perturbations": [
            {"name": "noise", "apply": "image.gaussian_noise", "magnitudes": [0.05, 0.1, 0.2]},
            {"name": "brightness", "apply": "image.brightness", "magnitudes": [-0.2, -0.1, 0.1, 0.2]},
        ],
    }
    beside = mlflow_sensie.from_tensors(images, masks, properties={"pixels": masks.sum(axis=(1, 2))})
    return mlflow_sensie.probe(
        lambda X: model.predict(features(X)).reshape(X.shape).astype(bool), beside, recipe=recipe
    )


if __name__ == "__main__":
    result = evaluate()
    print(result.summary().to_string())
    size, drop = result.tests["pixels"].fit, result.tests["brightness"].fit.mean_drop
    print(
        f"The masks overlap by {result.clean.value:.2f} on average; from the smallest to the largest discs that rises "
        f"by {size.effect.value:.2f}, and images that are brighter or darker cost {drop.value:.2f} of it."
    )
