"""Models that no score can be made of, as they come: each gets an error that names the remedy, and the remedy works."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pytest

from flavours.known import FEATURES, LINE, NAMES, THREE, TWO, B, Known, W, of_three, of_two, table
from flavours.row import HEAVY, Made, columns
from flavours.rows_networks import linear, log_onnx, log_torch, onnx_graph
from flavours.rows_tables import custom, log_catboost, log_sklearn, regression
from flavours.rows_texts import NETWORK, log_pipeline


@dataclass(frozen=True)
class Refused:
    """A model that is refused: the words that the error must hold, and what makes it right, if anything does.

    ``remedy`` goes into the recipe; "names" or "numbers" are the targets. ``same``: it is then the known model.
    """

    what: str
    known: Known
    make: Callable[[], Made]
    words: tuple[str, ...]
    remedy: Mapping[str, Any] = field(default_factory=dict)
    targets: str = "numbers"
    needs: tuple[str, ...] = ()
    same: bool = True

    def param(self) -> Any:
        """The case as a parameter of a test."""
        marks = [pytest.mark.flavours, pytest.mark.slow] if set(self.needs) & set(HEAVY) else []
        return pytest.param(self, id=self.what, marks=marks)


def multi_label() -> Made:
    """One probability per label, which need not sum to 1."""
    return custom(lambda X: np.column_stack([of_two(X), of_two(X) / 2, of_two(X) / 3]))


def several_questions() -> Made:
    """scikit-learn's answer to several targets at once: an array of probabilities for each."""
    from sklearn.ensemble import RandomForestClassifier

    both = np.column_stack([TWO.targets(), THREE.targets()])
    return Made(RandomForestClassifier(3, random_state=0).fit(table()[FEATURES], both))


def decided(X: Any) -> pd.DataFrame:
    p = of_three(X)
    return pd.DataFrame({"label": np.array(NAMES)[p.argmax(axis=1)], "score": p.max(axis=1)})


CASES = [
    Refused("logits of several classes (PyTorch)", THREE, lambda: log_torch(linear(W, B), columns()),
            ("output: logits",), {"output": "logits"}, needs=("torch",)),
    Refused("one logit per example", TWO, lambda: custom(lambda X: np.asarray(X)[:, :4] @ W[:, 0] + B[0]),
            ("output: logits", "task='regressor'"), {"output": "logits"}),
    Refused("raw values of a native CatBoost model", THREE, lambda: log_catboost("native", columns()),
            ("output: logits",), {"output": "logits"}, needs=("catboost",)),
    Refused("logarithms of probabilities", THREE, lambda: custom(lambda X: np.log(of_three(X))),
            ("log_proba",), {"output": "log_proba"}),
    Refused("an array of probabilities, and string classes", THREE, lambda: custom(of_three),
            ("not which class is which", "label_list"), {"label_list": NAMES}, "names"),
    Refused("one probability, and string classes", TWO, lambda: custom(of_two),
            ("label_list",), {"label_list": ["stays", "leaves"]}, "names"),
    Refused("several outputs (ONNX)", THREE,
            lambda: log_onnx(onnx_graph(W, B, "label", "probabilities"), columns()),
            ("label, probabilities", "predictions: label"), {"predictions": "probabilities"},
            needs=("onnx", "onnxruntime")),
    Refused("a regressor of several outputs", LINE, lambda: log_sklearn(regression(W, B), columns()),
            ("3 columns", "predictions: 0"), {"predictions": 0}),
    Refused("a column of labels beside one of scores", THREE, lambda: custom(decided),
            ("'predictions'", "'score', a function"), {"predictions": "label"}, "names", same=False),
    Refused("a transformers pipeline that scores some labels", NETWORK,
            lambda: log_pipeline(*NAMES, model_config={"top_k": 2}), ("model_config={'top_k': None}",),
            targets="names", needs=("transformers", "torch")),
    Refused("a multi-label classifier", TWO, multi_label, ("multi-label", "predictions and pos_label"),
            {"predictions": 0, "pos_label": 1}),
    Refused("a classifier of several targets", THREE, several_questions, ("multi-label", "predictions: 0"),
            {"predictions": 1}, same=False),
    Refused("a model that fails", THREE, lambda: custom(lambda X: X["age"]), ("KeyError: 'age'",)),
]  # fmt: skip
