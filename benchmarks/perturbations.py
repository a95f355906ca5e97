"""Throughput of the image perturbations against scipy.ndimage (and OpenCV) image by image; prints Markdown.

    OPENBLAS_NUM_THREADS=1 python benchmarks/perturbations.py [repeats]

Ours runs `along` over ten magnitudes, as a sweep does, and is divided by ten. The others run one magnitude.
All alternate within one process; the table has each one's least processor time in so many rounds, what the machine
can do where nothing disturbs it. Everything is float32 on one thread.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from scipy import ndimage

from mlflow_sensie.perturbations.base import Perturbation
from mlflow_sensie.perturbations.blur import GaussianBlur
from mlflow_sensie.perturbations.compression import Jpeg
from mlflow_sensie.perturbations.geometry import Rotate
from mlflow_sensie.perturbations.light import Brightness
from mlflow_sensie.perturbations.noise import GaussianNoise

try:
    import cv2
except ImportError:
    cv2 = None
else:
    cv2.setNumThreads(1)

SHAPES = ((256, 28, 28, 1), (256, 32, 32, 3), (8, 224, 224, 3))  # as many as a sweep perturbs together
ANGLES = np.linspace(-45, 45, 10)
SIGMAS = np.full(10, 2.0)
NOISE = np.linspace(0.03, 0.3, 10)
Task = Callable[[], Any]


def ours(perturbation: Perturbation, batch: Any, magnitudes: Any) -> Task:
    """Our perturbation along ten magnitudes."""

    def run() -> None:
        for _ in perturbation.along(batch, magnitudes, np.random.default_rng(0)):
            pass

    return run


def per_image(function: Callable[[Any, int], Any], batch: Any) -> Task:
    """A function of one image and its position, for all images."""
    return lambda: [function(image, index) for index, image in enumerate(batch)]


def seeded(image: Any, index: int) -> Any:
    """Noise whose result does not depend on the batch size: each image its own generator."""
    noise = np.random.default_rng([0, index]).normal(0, 0.1, image.shape)
    return np.clip(image + noise, 0, 1).astype(np.float32)


def tasks(batch: Any) -> dict[str, dict[str, Task]]:
    """What is compared, by perturbation; the first is ours, the second what ratios refer to."""
    rng = np.random.default_rng(0)
    angle, matrix_size = 30.0, batch.shape[2:0:-1]
    compared: dict[str, dict[str, Task]] = {
        "rotation": {
            "ours": ours(Rotate(), batch, ANGLES),
            "scipy": per_image(
                lambda x, _: ndimage.rotate(x, angle, axes=(1, 0), reshape=False, order=1, mode="grid-constant"),
                batch,
            ),
        },
        "blur σ=2": {
            "ours": ours(GaussianBlur(), batch, SIGMAS),
            "scipy": per_image(lambda x, _: ndimage.gaussian_filter(x, (2, 2, 0), mode="nearest"), batch),
        },
        "noise": {
            "ours": ours(GaussianNoise(), batch, NOISE),
            "a seeded draw per image": per_image(seeded, batch),
            "a draw per image": per_image(
                lambda x, _: np.clip(x + rng.normal(0, 0.1, x.shape), 0, 1).astype(np.float32), batch
            ),
        },
        "brightness": {
            "ours": ours(Brightness(), batch, NOISE),
            "numpy per image": per_image(lambda x, _: np.clip(x + np.float32(0.1), 0, 1), batch),
        },
    }
    if cv2 is not None:
        middle = ((matrix_size[0] - 1) / 2, (matrix_size[1] - 1) / 2)
        matrix = cv2.getRotationMatrix2D(middle, angle, 1.0)
        compared["rotation"]["cv2"] = per_image(lambda x, _: cv2.warpAffine(x, matrix, matrix_size), batch)
        border = cv2.BORDER_REPLICATE
        compared["blur σ=2"]["cv2"] = per_image(lambda x, _: cv2.GaussianBlur(x, (17, 17), 2, borderType=border), batch)
    codec = jpeg_per_image()
    if codec is not None:
        compared["JPEG q=50"] = {"ours": ours(Jpeg(), batch, np.full(10, 50.0)), **codec(batch)}
    return compared


def jpeg_per_image() -> Callable[[Any], dict[str, Task]] | None:
    """OpenCV's codec on floats image by image, where it is installed."""
    if cv2 is None:
        return None

    def through(image: Any, _: int) -> Any:
        _, data = cv2.imencode(".jpg", (image * 255).round().astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 50])
        return cv2.imdecode(data, cv2.IMREAD_UNCHANGED).astype(np.float32) / 255

    return lambda batch: {"cv2": per_image(through, batch)}


def fastest(run: Mapping[str, Task], repeats: int) -> dict[str, float]:
    """The least processor seconds of each task, in turn: whatever slows the machine slows all of them."""
    times: dict[str, list[float]] = {name: [] for name in run}
    for repeat in range(repeats + 1):
        for name, task in run.items():
            start = time.process_time()
            task()
            if repeat:  # the first round fills caches
                times[name].append(time.process_time() - start)
    return {name: min(taken) for name, taken in times.items()}


def keep_freed_memory() -> None:
    """Bring the allocator to where a process with a model and data in it has long been.

    Until it has once freed a large array, glibc returns freed memory to the system, to fetch it again, emptied,
    for the next array.
    """
    for megabytes in (1, 8, 28):
        np.ones(megabytes << 20, dtype=np.uint8)


def main(repeats: int = 20) -> None:
    """Measure and print."""
    keep_freed_memory()
    print("| perturbation | images | ours, µs per image | against | its µs per image | ratio |")
    print("|---|---|---|---|---|---|")
    for shape in SHAPES:
        batch = np.random.default_rng(0).random(shape, dtype=np.float32)
        form = f"{shape[0]} of " + "×".join(map(str, shape[1:]))
        for name, run in tasks(batch).items():
            taken = fastest(run, repeats)
            mine = taken.pop("ours") / 10 / len(batch) * 1e6
            for other, seconds in taken.items():
                theirs = seconds / len(batch) * 1e6
                print(
                    f"| {name} | {form} | {mine:.1f} | {other} | {theirs:.1f} | {theirs / mine:.1f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
