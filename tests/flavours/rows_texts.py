"""Rows of texts: scikit-learn's vectorisers and transformers pipelines of a tiny network, made and saved here."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from scipy.special import softmax
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from flavours.known import NAMES, Known, N, drawn
from flavours.row import Made, Row, columns, logged

WORDS = ["good", "bad", "film", "very", "the", "a", "was", "it", "not", "nice", "dull", "long"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
RECIPE: dict[str, Any] = {
    "properties": [{"name": "words", "of": "text.words", "bins": 4}, "site"],
    "perturbations": [{"name": "typos", "apply": "text.typos", "magnitudes": [0, 0.1, 0.3]}],
    "class_test": True,
}


@functools.cache
def texts() -> pd.DataFrame:
    """Reviews of five to twelve words, and a column that the model does not take."""
    rng = np.random.default_rng(6)
    lines = [" ".join(rng.choice(WORDS, rng.integers(5, 13))) for _ in range(N)]
    return pd.DataFrame({"review": lines, "site": rng.choice(["A", "B"], N)})


def read(inputs: Any) -> list[str]:
    """The texts of a frame, a Series or a list."""
    return list(inputs.iloc[:, 0] if isinstance(inputs, pd.DataFrame) else inputs)


def reviews() -> pd.DataFrame:
    return texts()[["review"]]


ALONE = {"property_table": {"site": texts()["site"]}}
WEIGHTS = np.random.default_rng(8).normal(0, 0.5, (len(WORDS), 3))


def counted(inputs: Any) -> Any:
    """Probabilities (n, 3) of a multinomial logistic regression on the counts of words."""
    counts = [[text.split().count(word) for word in WORDS] for text in read(inputs)]
    return softmax(np.array(counts) @ WEIGHTS, axis=1)


COUNTED = Known(
    "texts", counted, reviews, lambda: drawn(counted(reviews()), 7), RECIPE, tuple(NAMES), alone=ALONE
)  # fmt: skip


def of_counts(word: str = r"\S+") -> Any:
    vectoriser = CountVectorizer(vocabulary=WORDS, token_pattern=word, lowercase=False)
    model = make_pipeline(vectoriser, LogisticRegression()).fit(texts()["review"], COUNTED.labels())
    model[-1].coef_, model[-1].intercept_ = WEIGHTS.T.copy(), np.zeros(3)
    return model


# --- transformers ------------------------------------------------------------------------------------------


@functools.cache
def tiny(*labels: str) -> tuple[Any, Any]:
    """A network of one layer with drawn weights, and its tokenizer; ``labels`` name its classes."""
    import torch
    import transformers

    folder = Path(tempfile.mkdtemp(prefix="sensie-"))
    (folder / "vocab.txt").write_text("\n".join([*SPECIAL, *WORDS]))
    named = {"id2label": dict(enumerate(labels)), "label2id": {name: k for k, name in enumerate(labels)}}
    torch.manual_seed(0)
    settings = transformers.BertConfig(
        vocab_size=len(SPECIAL) + len(WORDS), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, initializer_range=1.0, num_labels=3, **(named if labels else {}),
    )  # fmt: skip
    network = transformers.BertForSequenceClassification(settings).eval()
    return network, transformers.BertTokenizerFast(str(folder / "vocab.txt"))


def read_by_the_network(inputs: Any) -> Any:
    """What the network itself says: probabilities (n, 3)."""
    import torch

    network, tokenizer = tiny()
    with torch.no_grad():
        logits = network(**tokenizer(read(inputs), padding=True, return_tensors="pt")).logits
    return softmax(logits.numpy().astype(float), axis=1)


NETWORK = Known(
    "texts",
    read_by_the_network,
    reviews,
    lambda: drawn(read_by_the_network(reviews()), 9),
    RECIPE,
    tuple(NAMES),
    alone=ALONE,
)
DECIDED = Known(
    "texts, labels", lambda inputs: read_by_the_network(inputs).argmax(axis=1), reviews, NETWORK.targets, RECIPE,
    tuple(NAMES), alone=ALONE,
)  # fmt: skip


def log(*model: Any, **options: Any) -> Made:
    return Made(logged(*model, **options), texts())


def pipeline(*labels: str) -> Any:
    import transformers

    network, tokenizer = tiny(*labels)
    return transformers.pipeline("text-classification", model=network, tokenizer=tokenizer)


def log_pipeline(*labels: str, **options: Any) -> Made:
    return log(mlflow.transformers.log_model, pipeline(*labels), **options)


PROBA = {"score": "probability", "source": "predict_proba", "targets": "names"}
TRANSFORMERS: dict[str, Any] = {"needs": ("transformers", "torch")}
ALL_LABELS = {"model_config": {"top_k": None}}
PIPELINE = "transformers text-classification pipeline"
ROWS = [
    Row("scikit-learn text pipeline", "by URI, with a signature", COUNTED,
        lambda: log(mlflow.sklearn.log_model, of_counts(), signature=columns(reviews())), **PROBA),
    Row("scikit-learn text pipeline", "by URI, without a signature", COUNTED,
        lambda: log(mlflow.sklearn.log_model, of_counts()), **PROBA),
    Row(PIPELINE, "by URI, model_config={'top_k': None}", NETWORK,
        lambda: log_pipeline(*NAMES, **ALL_LABELS), targets="names", **TRANSFORMERS),
    Row(PIPELINE, "by URI, model_config={'top_k': None}, classes without names (LABEL_0, …)", NETWORK,
        lambda: log_pipeline(**ALL_LABELS), **TRANSFORMERS),
    Row(PIPELINE, "by URI, as it is by default", DECIDED,
        lambda: log_pipeline(*NAMES), "correct", targets="names", warned="top_k", **TRANSFORMERS),
    Row(PIPELINE, "given to probe, top_k=None", NETWORK,
        lambda: Made(_with_all_labels(pipeline(*NAMES)), texts()), targets="names", door="probe", **TRANSFORMERS),
]  # fmt: skip


def _with_all_labels(made: Any) -> Any:
    import transformers

    return transformers.pipeline("text-classification", model=made.model, tokenizer=made.tokenizer, top_k=None)
