"""Detection by average precision: when does a small detector lose its boxes? Run with `python examples/detection.py`.

Images of one to three bright rectangles are simulated. The detector smooths, takes what is brighter than a threshold,
and puts a box around each connected part, as sure as it is bright. An image is scored by the average precision of its
boxes, at an IoU of one half. Its mean over images is no mAP as COCO has it, where the boxes of all images are ranked
together: a score is one number per example.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage

import mlflow_sensie

SIDE = 32


def simulate(n: int, rng: np.random.Generator) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return images (n, 32, 32) in [0, 1] and of each the boxes (k, 4), as top, left, bottom, right."""
    images, boxes = np.clip(rng.normal(0.3, 0.05, (n, SIDE, SIDE)), 0, 1), []
    for image in images:
        corners, sides = rng.integers(0, SIDE - 12, (rng.integers(1, 4), 2)), rng.integers(6, 12, 2)
        boxes.append(np.hstack([corners, corners + sides]).astype(float))
        for top, left, bottom, right in boxes[-1].astype(int):
            image[top:bottom, left:right] += 0.35
    return np.clip(images, 0, 1), boxes


def detect(images: np.ndarray) -> list[dict[str, np.ndarray]]:
    """Return of each image its boxes (k, 4) and how sure they are, (k,)."""
    answers = []
    for image in ndimage.uniform_filter(images, size=(1, 3, 3)):
        parts = ndimage.find_objects(ndimage.label(image > 0.48)[0])
        found = [part for part in parts if image[part].size >= 9]
        boxes = [[rows.start, columns.start, rows.stop, columns.stop] for rows, columns in found]
        answers.append({
            "boxes": np.array(boxes, dtype=float).reshape(-1, 4),
            "scores": np.array([image[part].mean() for part in found]),
        })  # fmt: skip
    return answers


def overlaps(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Return IoU (k, m) of boxes (k, 4) and (m, 4)."""
    low, high = np.maximum(ours[:, None, :2], theirs[None, :, :2]), np.minimum(ours[:, None, 2:], theirs[None, :, 2:])
    both = np.clip(high - low, 0, None).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (ours, theirs)]
    return both / (areas[0][:, None] + areas[1][None] - both)


def average_precision(found: dict[str, np.ndarray], truth: np.ndarray) -> float:
    """Return one image's average precision, its boxes from the surest on; each true box counts once."""
    order = np.argsort(-found["scores"], kind="stable")
    free, hits = np.ones(len(truth), dtype=bool), np.zeros(len(order), dtype=bool)
    for rank, row in enumerate(overlaps(found["boxes"][order], truth)):
        best = int(np.argmax(np.where(free, row, -1.0)))
        hits[rank] = free[best] and row[best] >= 0.5
        free[best] &= not hits[rank]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits].sum() / len(truth))


def mean_average_precision(answers: list[dict[str, np.ndarray]], boxes: np.ndarray) -> np.ndarray:
    """Return the average precision (n,) of the boxes of n images."""
    return np.array([average_precision(found, truth) for found, truth in zip(answers, boxes, strict=True)])


def evaluate(n: int = 300) -> mlflow_sensie.Result:
    """Ask the detector what its average precision hangs on."""
    images, boxes = simulate(n, np.random.default_rng(1))
    score = {
        "function": mean_average_precision,
        "lower": 0,
        "upper": 1,
        "no_skill": 0,
        "unit": "AP",
        "name": "AP at 0.5",
    }
    recipe: dict[str, Any] = {
        "score": score,
        "kind": "tensor",
        "layout": "NHW",
        "properties": ["objects", "touching"],
        "perturbations": [
            {"name": "contrast", "apply": "image.contrast", "magnitudes": [0.4, 0.6, 0.8]},
            {"name": "noise", "apply": "image.gaussian_noise", "magnitudes": [0.05, 0.1, 0.2]},
        ],
    }
    touching = ["yes" if (overlaps(each, each) > 0).sum() > len(each) else "no" for each in boxes]
    beside = {"objects": [len(each) for each in boxes], "touching": touching}
    dataset = mlflow_sensie.from_tensors(images, boxes, properties=beside)
    return mlflow_sensie.probe(detect, dataset, recipe=recipe)


if __name__ == "__main__":
    result = evaluate()
    print(result.summary().to_string())
    touching = dict(zip(*(result.tests["touching"].curve[key] for key in ("p", "score")), strict=True))
    print(
        f"The average precision is {result.clean.value:.2f}: {touching['no']:.2f} where no boxes overlap, "
        f"{touching['yes']:.2f} where some do; low contrast costs {result.tests['contrast'].fit.mean_drop.value:.2f}."
    )
