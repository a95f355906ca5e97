"""Small seeded data and closed-form models, so that every score is the same wherever and however often it is made."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.datasets import load_digits

FloatArray = NDArray[np.float64]

SHIFT = {"name": "tabular.shift", "params": {"columns": ["age", "dose"]}}
SCALE = {"name": "tabular.scale", "magnitudes": [0.5, 0.7, 1, 1.5, 2], "params": {"columns": ["dose"]}}
ROUND = {"name": "tabular.round", "magnitudes": [0, 0.5, 1, 2, 3], "params": {"columns": ["age", "dose"]}}


# --- tables ------------------------------------------------------------------------------------------------


def patients(n: int = 240, seed: int = 1) -> pd.DataFrame:
    """Rows with numbers, levels, dates and gaps; four rows of a patient in turn, and a weight for each."""
    rng = np.random.default_rng(seed)
    visit = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 400, n), unit="D")
    return pd.DataFrame(
        {
            "age": rng.normal(50, 12, n),
            "dose": rng.gamma(3.0, 1.0, n),
            "visits": rng.integers(0, 6, n).astype(float),
            "site": rng.choice(["north", "south", "west"], n, p=[0.5, 0.3, 0.2]),
            "smoker": rng.random(n) < 0.3,
            "visit": visit,
            "lab": np.where(rng.random(n) < 0.2, np.nan, rng.normal(1, 0.3, n)),
            "patient": np.arange(n) // 4,
            "weight": rng.uniform(0.5, 4, n),
        }
    )


def logit(frame: pd.DataFrame) -> FloatArray:
    """The log odds that both models and the truth start from."""
    return np.asarray(0.08 * (frame["age"] - 50) + 0.5 * (frame["dose"] - 3) - 0.03 * (frame["dose"] - 3) ** 2)


def illness(frame: pd.DataFrame, seed: int = 2, offset: float = 0.0) -> NDArray[np.int64]:
    """The class of every patient, 0 or 1, which depends on age, dose and site."""
    rng = np.random.default_rng(seed)
    odds = logit(frame) + 0.6 * (frame["site"] == "west").to_numpy() + offset
    return (rng.random(len(frame)) < 1 / (1 + np.exp(-odds))).astype(np.int64)


def two_classes(p: FloatArray) -> FloatArray:
    """Probabilities of both classes (n, 2) from that of the second."""
    return np.column_stack([1 - p, p])


def risk(frame: pd.DataFrame) -> FloatArray:
    """A classifier of patients that knows age, dose and site."""
    site = frame["site"].map({"north": 0.0, "south": -0.07, "west": 0.4}).to_numpy(float)
    return two_classes(1 / (1 + np.exp(-1.3 * logit(frame) - site)))


def milder_risk(frame: pd.DataFrame) -> FloatArray:
    """Another classifier of patients, which relies on the dose less."""
    return two_classes(1 / (1 + np.exp(-(logit(frame) - 0.25 * (frame["dose"].to_numpy() - 3) + 0.1))))


def severity(frame: pd.DataFrame) -> NDArray[Any]:
    """Three classes of patients as texts, by log odds with noise."""
    noise = np.random.default_rng(3).logistic(0, 0.6, len(frame))
    return np.array(["mild", "severe", "none"])[np.digitize(logit(frame) + noise, [-0.6, 0.8])]


def severity_labels(frame: pd.DataFrame) -> NDArray[Any]:
    """A model that gives labels alone."""
    return np.array(["mild", "severe", "none"])[np.digitize(logit(frame), [-0.6, 0.8])]


def cost(frame: pd.DataFrame) -> FloatArray:
    """A regressor's target: it grows with dose and age."""
    noise = np.random.default_rng(4).normal(0, 6, len(frame))
    return np.asarray(40 + 5 * frame["dose"] + 0.4 * frame["age"] + noise)


def predicted_cost(frame: pd.DataFrame) -> FloatArray:
    """A regressor that is a little wrong in every coefficient, and bent, so that no two rows move alike."""
    return np.asarray(41 + 4.6 * frame["dose"] + 0.02 * frame["dose"] ** 2 + 0.42 * frame["age"] ** 0.999)


def fitted_cost(frame: pd.DataFrame) -> Any:
    """A regressor that was fitted, a smooth and bent one: errors of a straight one are parabolas without any noise."""
    from sklearn.kernel_ridge import KernelRidge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), KernelRidge(kernel="rbf", gamma=0.3, alpha=0.5))
    return model.fit(frame, cost(frame))


def other_cost(frame: pd.DataFrame) -> FloatArray:
    """Another regressor."""
    return np.asarray(38 + 5.3 * frame["dose"] + 0.43 * frame["age"])


def dilute(frame: pd.DataFrame, p: float) -> pd.DataFrame:
    """Take the share p of the dose away."""
    return frame.assign(dose=frame["dose"] * (1 - p))


def age_by(frame: pd.DataFrame, p: float, years: float = 1.0) -> pd.DataFrame:
    """Make patients older by p times so many years."""
    return frame.assign(age=frame["age"] + years * p)


DILUTE = {"name": "dilute", "apply": dilute, "magnitudes": [0, 0.1, 0.25, 0.5, 1], "neutral": 0}
AGE = {"name": "age by", "apply": age_by, "magnitudes": [-20, -10, 0, 10, 20], "neutral": 0}


# --- scores that are said outright -------------------------------------------------------------------------


def told(frame: pd.DataFrame) -> FloatArray:
    """A classifier whose probability of the right class is column ``right`` less ``lost`` × |``at``|^1.1."""
    right = np.clip(frame["right"] - frame["lost"] * frame["at"].abs() ** 1.1, 0, 1).to_numpy()
    return two_classes(np.where(frame["truth"] == 1, right, 1 - right))


def lose(frame: pd.DataFrame, p: float) -> pd.DataFrame:
    """Tell the model how far the perturbation went."""
    return frame.assign(at=float(p))


LOSE = {"name": "lose", "apply": lose, "magnitudes": [0, 1, 2, 3, 4], "neutral": 0}


def told_frame(right: Any, lost: Any) -> pd.DataFrame:
    """Inputs of ``told``: the clean score of every example and what it loses per unit."""
    right = np.asarray(right, float)
    truth = np.arange(len(right)) % 2
    return pd.DataFrame({"right": right, "lost": lost, "at": 0.0, "truth": truth})


def sigmoid_told(frame: pd.DataFrame) -> FloatArray:
    """A classifier whose score falls from .9 to .3 about a threshold of its own for every example."""
    right = 0.3 + 0.6 / (1 + np.exp((frame["at"] - frame["threshold"]) / 6))
    return two_classes(np.where(frame["truth"] == 1, right, 1 - right))


# --- images, texts, series ---------------------------------------------------------------------------------


def digits(n: int = 150) -> tuple[FloatArray, NDArray[np.int64]]:
    """Digits (n, 8, 8) in 0..16 and their classes."""
    images, classes = load_digits(return_X_y=True)
    return images[:n].reshape(-1, 8, 8), classes[:n].astype(np.int64)


def nearest(means: FloatArray, images: Any, width: float) -> FloatArray:
    """Probabilities by the distance of images from each class's mean image."""
    flat = np.asarray(images, np.float64).reshape(len(images), 1, -1)
    away = -((flat - means.reshape(1, len(means), -1)) ** 2).sum(-1) / width
    odds = np.exp(away - away.max(1, keepdims=True))
    return np.asarray(odds / odds.sum(1, keepdims=True))


class NearestDigit:
    """A classifier of digits whose pixels have this scale."""

    def __init__(self, scale: float = 1.0) -> None:
        images, classes = digits(1000)
        self.means = np.stack([images[classes == k].mean(0) for k in range(10)]) * scale
        self.width = 150.0 * scale**2

    def __call__(self, images: Any) -> FloatArray:
        return nearest(self.means, images, self.width)


def flags(n: int = 90) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    """Images (n, 12, 12, 3) of three kinds, each of its own colours, with grain."""
    rng = np.random.default_rng(6)
    kinds = np.arange(n) % 3
    colours = np.array([[200, 90, 80], [90, 180, 90], [80, 110, 190]])
    images = np.broadcast_to(colours[kinds][:, None, None], (n, 12, 12, 3)).astype(float)
    images[:, 4:8] += 40 * rng.normal(0.5, 0.6, (n, 1, 1, 3))
    images += rng.normal(0, 28, (n, 12, 12, 3))
    return np.clip(images.round(), 0, 255).astype(np.uint8), np.array(["red", "green", "blue"])[kinds]


def flag_probabilities(images: Any) -> FloatArray:
    """Probabilities of blue, green and red (in this order) by the colour of images in 0..255, more of some places."""
    places = 1 + np.sin(np.arange(144.0))
    colour = np.einsum("npc,p->nc", np.asarray(images, np.float64).reshape(len(images), -1, 3), places / places.sum())
    rest = colour - colour.mean(1, keepdims=True)
    odds = np.exp(rest[:, ::-1] / 25)
    return np.asarray(odds / odds.sum(1, keepdims=True))


WORDS = ("good", "fine", "great", "poor", "bad", "awful", "the", "a", "film", "plot", "music", "Very")


def reviews(n: int = 160) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Short texts of words that praise, blame or do neither, and whether they praise."""
    rng = np.random.default_rng(7)
    picks = [rng.integers(0, len(WORDS), rng.integers(4, 12)) for _ in range(n)]
    texts = np.array([" ".join(WORDS[k] for k in pick) + "." for pick in picks], dtype=object)
    mood = np.array([np.sum(pick < 3) - np.sum((pick >= 3) & (pick < 6)) for pick in picks])
    return texts, (mood + rng.normal(0, 0.8, n) > 0).astype(np.int64)


def praise(texts: Any) -> FloatArray:
    """A classifier that counts words of praise and of blame, each word and place with a weight of its own."""
    worth = dict(zip(WORDS[:6], (1.0, 0.87, 1.31, -0.94, -1.07, -1.46), strict=True))
    words = [str(text).rstrip(".").split() for text in texts]
    mood = np.array([sum(worth.get(w, 0.03) * (1 + k / 17) for k, w in enumerate(each)) for each in words])
    return two_classes(1 / (1 + np.exp(-mood - 0.1)))


def drop_last(texts: Any, p: float) -> Any:
    """Leave out the last words of every text, p of all its words, but one."""
    split = [str(text).split() for text in texts]
    return np.array([" ".join(w[: max(1, len(w) - round(p * len(w)))]) for w in split], dtype=object)


def waves(n: int = 120) -> tuple[FloatArray, NDArray[np.int64]]:
    """Series (n, 40, 2) whose frequency tells the class."""
    rng = np.random.default_rng(8)
    classes = np.arange(n) % 2
    time = np.arange(40) / 40
    phase, size = rng.uniform(0, 0.6, (n, 1)), rng.uniform(0.6, 1.4, (n, 1))
    wave = size * np.sin(2 * np.pi * (2 + classes[:, None]) * time + phase)
    return np.stack([wave, 0.5 * wave[:, ::-1]], -1) + rng.normal(0, 0.5, (n, 40, 2)), classes


def wave_probabilities(series: Any) -> FloatArray:
    """A classifier of waves that compares them with both frequencies at a fixed phase."""
    time = np.arange(40) / 40
    shapes = np.stack([np.sin(2 * np.pi * k * time + 0.3) for k in (2, 3)])
    match = np.einsum("nt,kt->nk", np.asarray(series, np.float64)[..., 0], shapes) / 5
    odds = np.exp(match - match.max(1, keepdims=True))
    return np.asarray(odds / odds.sum(1, keepdims=True))
