"""Evaluations of images, texts and series, and those whose perturbations draw at random."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import data
from .tables import Results, of_patients, probe


def grey_images() -> Results:
    """Digits (n, 8, 8) in [0, 1]: geometry and blur."""
    images, classes = data.digits()
    recipe = {
        "perturbations": [
            "image.rotate",
            {"name": "image.gaussian_blur", "magnitudes": [0, 0.5, 1, 2]},
            {
                "name": "up",
                "apply": "image.translate",
                "params": {"axis": "y"},
                "magnitudes": [-0.25, -0.1, 0, 0.1, 0.25],
            },
        ],
        "properties": ["image.mean", "image.sharpness", "image.foreground_fraction"],
        "class_test": True,
        "slices": False,
    }
    return {"result": probe(data.NearestDigit(1 / 16), images / 16, classes, recipe)}


def images_of_another_range() -> Results:
    """Digits in [0, 16]: light by factors, with the model's own expectation."""
    images, classes = data.digits()
    recipe = {
        "value_range": [0, 16],
        "perturbations": [
            "image.contrast",
            "image.gamma",
            {"name": "image.zoom", "magnitudes": [0.7, 0.85, 1, 1.2, 1.4]},
        ],
        "properties": ["image.entropy", "image.edge_density"],
        "calibration": True,
        "max_examples": 120,
        "slices": False,
    }
    return {"result": probe(data.NearestDigit(), images, classes, recipe)}


def colour_images() -> Results:
    """Whole numbers (n, 12, 12, 3) with texts for classes: light and colour."""
    images, kinds = data.flags()
    recipe = {
        "perturbations": [
            "image.brightness", "image.saturation", "image.hue", {"name": "image.pixelate", "magnitudes": [1, 2, 4, 6]},
        ],
        "properties": ["image.mean", "image.colourfulness", "model.confidence"],
        "class_test": True,
        "label_list": ["blue", "green", "red"],
    }  # fmt: skip
    return {"result": probe(data.flag_probabilities, images, kinds, recipe)}


def images_with_channels_first() -> Results:
    """Floats (n, 3, 12, 12), normalised: blur and shear, weights and clusters of their own."""
    images, kinds = data.flags()
    mean, std = np.array([0.5, 0.45, 0.4]), np.array([0.25, 0.2, 0.3])
    stored = ((images / 255 - mean) / std).transpose(0, 3, 1, 2)

    def model(x: Any) -> Any:
        return data.flag_probabilities((np.asarray(x, np.float64).transpose(0, 2, 3, 1) * std + mean) * 255)

    table = {"camera": np.arange(90) // 3, "weight": 1 + np.arange(90) % 4}
    recipe = {
        "layout": "NCHW", "value_range": {"mean": mean.tolist(), "std": std.tolist()},
        "perturbations": [
            "image.defocus_blur", "image.shear", "image.brightness",
            {"name": "image.motion_blur", "magnitudes": [0, 3, 6, 9]},
        ],
        "label_list": ["blue", "green", "red"], "property_table": table, "cluster": "camera", "weights": "weight",
    }  # fmt: skip
    return {"result": probe(model, stored, kinds, recipe)}


def texts() -> Results:
    """Texts that lose their last words, with the properties of texts."""
    texts, praised = data.reviews()
    drop = {"name": "drop last", "apply": data.drop_last, "magnitudes": [0, 0.2, 0.4, 0.7], "neutral": 0}
    recipe = {
        "perturbations": [drop], "calibration": True, "slices": [{"target": True}], "class_test": True,
        "properties": ["text.length", "text.words", {"name": "text.mean_word_length", "bins": 4}],
    }  # fmt: skip
    return {"result": probe(data.praise, texts, praised, recipe)}


def series() -> Results:
    """Series that are late and of another gain, with the properties of series."""
    waves, classes = data.waves()
    recipe = {
        "kind": "series", "perturbations": ["series.scale", "series.shift"], "class_test": True,
        "properties": [{"name": "series.mean", "bins": 6}, {"name": "series.volatility", "rank": True}],
    }  # fmt: skip
    return {"result": probe(data.wave_probabilities, waves, classes, recipe)}


# --- drawn at random ---------------------------------------------------------------------------------------


def automatic_recipe() -> Results:
    """The recipe auto, which chooses tests and perturbs with noise."""
    frame = data.patients()[["age", "dose", "visits", "site"]]
    return {"result": probe(data.risk, frame, data.illness(frame))}


def random_tables() -> Results:
    """Noise, gaps, swaps, permutations and outliers."""
    numbers = {"params": {"columns": ["age", "dose"]}, "magnitudes": [0, 0.1, 0.3]}
    named = [{"name": f"tabular.{name}", **numbers} for name in ("noise", "permute", "outliers")]
    swap = {"name": "tabular.swap", "params": {"columns": ["site"]}, "magnitudes": [0, 0.2, 0.4]}
    return of_patients(perturbations=[*named, swap], properties=["age"])


def random_images() -> Results:
    """Noise, dead pixels, covers and fog."""
    images, classes = data.digits(100)
    names = ("gaussian_noise", "shot_noise", "impulse_noise", "occlude", "fog")
    recipe = {
        "perturbations": [{"name": f"image.{name}", "magnitudes": [0, 0.1, 0.3]} for name in names],
        "slices": False,
    }
    return {"result": probe(data.NearestDigit(1 / 16), images / 16, classes, recipe)}


def random_texts() -> Results:
    """Typos, misreadings, case and lost words."""
    texts, praised = data.reviews(80)
    names = ("typos", "ocr", "case", "whitespace", "punctuation", "drop_words")
    recipe = {"perturbations": [{"name": f"text.{name}", "magnitudes": [0, 0.1, 0.2]} for name in names]}
    return {"result": probe(data.praise, texts, praised, recipe)}


def random_series() -> Results:
    """Noise and steps that drop out."""
    waves, classes = data.waves(80)
    recipe = {"kind": "series", "perturbations": ["series.noise", "series.dropout"]}
    return {"result": probe(data.wave_probabilities, waves, classes, recipe)}
