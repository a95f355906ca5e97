"""The glossary has every word that results and reports use, each once and explained in a sentence or two."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mlflow_sensie.result.keys import HEADLINES

PAGE = Path(__file__).parents[1] / "docs" / "glossary.md"
WORDS = [
    "example", "score", "clean score", "property", "perturbation", "magnitude", "neutral", "distance", "curve", "slope",
    "effect", "mean drop", "holds until", "spread", "within effect", "unexpected", "decision", "slice", "cluster",
    "survey", "score table", "gate", "verdict", "no-skill score", "skill", "metric",
]  # fmt: skip


def entries() -> dict[str, str]:
    """The entries of the page: a meaning by its word."""
    rows = re.findall(r"^\| (.+?) \| (.+) \|$", PAGE.read_text(encoding="utf-8"), re.M)[1:]
    assert len(rows) == len(dict(rows))
    return dict(rows)


@pytest.mark.parametrize("word", sorted({*WORDS, *(name.replace("_", " ") for name in HEADLINES.values())}))
def test_every_word_is_explained_in_a_sentence_or_two(word: str) -> None:
    meaning = entries()[word]
    assert 1 <= len(re.findall(r"[.?!](?: |$)", re.sub(r"\(.*?\)", "", meaning))) <= 3 and meaning.endswith(".")
