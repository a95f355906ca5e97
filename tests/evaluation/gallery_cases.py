"""Data of every kind with models, their results with galleries, and the texts in figures."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.text import Text
from scipy.special import expit, softmax

import mlflow_sensie
from mlflow_sensie.result import Result

N = 300  # more than a chunk
WEIGHTS = np.random.default_rng(5).normal(size=(64, 3))


@cache
def images(channels: int = 1) -> np.ndarray[Any, Any]:
    pixels = np.random.default_rng(1).random((N, 8, 8, channels)).astype(np.float32)
    return pixels if channels > 1 else pixels[..., 0]


def seen(x: Any) -> Any:
    flat = np.asarray(x, dtype=float)
    flat = flat.mean(-1) if flat.ndim == 4 else flat
    return softmax(flat.reshape(len(flat), -1) @ WEIGHTS, axis=1)


@cache
def classes() -> np.ndarray[Any, Any]:
    return np.random.default_rng(2).integers(0, 3, N)


@cache
def table() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({f"x{i:02d}": rng.normal(10 * i, 1 + i, N) for i in range(10)})
    return frame.assign(
        count=rng.integers(0, 9, N),
        level=rng.choice(["low", "high"], N),
        day=pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, N), unit="D"),
        gone=np.where(rng.random(N) < 0.2, np.nan, rng.random(N)),
    )


def rated(frame: Any) -> Any:
    return expit((frame["x01"].fillna(9) - 10) + (frame["level"] == "high")).to_numpy()


VOCABULARY = "the cat sat on a warm mat, and slept until somebody came home again. nobody knew why it did so"


@cache
def texts() -> pd.DataFrame:
    words = np.array(VOCABULARY.split())
    rng = np.random.default_rng(4)
    return pd.DataFrame({"text": [" ".join(rng.permutation(words)[: rng.integers(3, 18)]) for _ in range(60)]})


def wordy(frame: Any) -> Any:
    return expit(frame["text"].str.len().to_numpy() / 20 - 2)


@cache
def series() -> np.ndarray[Any, Any]:
    return np.random.default_rng(6).normal(size=(N, 40, 2)).cumsum(1).astype(np.float32)


def rising(x: Any) -> Any:
    return expit(np.asarray(x)[:, -1, 0] / 4)


ROTATE = {"name": "turn", "apply": "image.rotate", "magnitudes": [-40, -20, 20, 40]}
NOISE = {"name": "snow", "apply": "image.gaussian_noise", "magnitudes": {"start": 0, "stop": 0.5, "num": 12}}


@cache
def result_of(kind: str) -> Result:
    """A finished result of each kind of input, all with galleries."""
    full: dict[str, Any] = {"log_examples": "full"}
    two = np.arange(N) % 2
    if kind == "images":
        return mlflow_sensie.probe(seen, images(), classes(), {"perturbations": [ROTATE, NOISE], "seed": 7, **full})
    if kind == "table":
        tests = ["tabular.noise", "tabular.missing", "tabular.swap"]
        return mlflow_sensie.probe(rated, table(), two, {"perturbations": tests, **full})
    if kind == "text":
        tests = ["text.typos", "text.drop_words"]
        return mlflow_sensie.probe(wordy, texts(), two[:60], {"kind": "text", "perturbations": tests, **full})
    if kind == "series":
        tests = ["series.noise", "series.shift"]
        return mlflow_sensie.probe(rising, series(), two, {"kind": "series", "perturbations": tests, **full})
    values = table()["x01"].to_numpy()
    numbers = {"perturbations": [{"apply": "tabular.noise", "params": {"columns": ["x01", "x09"]}}], **full}
    return mlflow_sensie.probe(lambda f: f["x01"].to_numpy() * 1.1, table(), values, numbers, task="regressor")


ALL = ["images", "table", "text", "series", "numbers"]


def beside_a_table(*perturbations: Any, **recipe: Any) -> Result:
    """Of a model of images and a table, that looks at the images."""
    data = table()[["x01", "level"]].assign(image=list(images(3)), pulse=list(series()[..., 0]))
    recipe = {"perturbations": list(perturbations), "log_examples": "full", "seed": 7, **recipe}
    return mlflow_sensie.probe(lambda frame: seen(np.stack(frame["image"])), data, classes(), recipe)


def artists(figure: Figure, *labels: str) -> list[Text]:
    artists = [text for text in figure.findobj(Text) if isinstance(text, Text) and text.get_text().strip()]
    return [text for text in artists if not labels or text.get_label() in labels]


def texts_in(figure: Figure, *labels: str) -> list[str]:
    return [text.get_text() for text in artists(figure, *labels)]
