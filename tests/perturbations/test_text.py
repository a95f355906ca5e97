"""Texts: what each perturbation does, and every form of input."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlflow_sensie.errors import DataError
from mlflow_sensie.perturbations import BUILT_IN
from mlflow_sensie.perturbations.text import (
    CASE,
    DROP_WORDS,
    NEIGHBOURS,
    OCR,
    PUNCTUATION,
    TYPOS,
    WHITESPACE,
    Synonyms,
)
from mlflow_sensie.plugins import load_target
from mlflow_sensie.testing import check_perturbation, sample_texts

MAPPING = {"good": ["fine", "decent"], "Film": "movie"}
TEXT = [TYPOS, OCR, CASE, WHITESPACE, PUNCTUATION, DROP_WORDS, Synonyms(mapping=MAPPING)]
PROSE = "The quick brown fox jumps over the lazy dog, and then it sleeps in the warm sun. " * 30


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def once(perturbation, text: str, rate: float) -> str:
    return perturbation(np.array([text], dtype=object), rate, rng())[0]


def test_all_text_perturbations_are_in_the_table() -> None:
    names = [target for name, target in BUILT_IN.items() if name.startswith("text.")]
    assert [load_target(target) for target in names] == [*TEXT[:-1], Synonyms]


@pytest.mark.parametrize("perturbation", TEXT, ids=lambda p: p.name)
def test_every_form_of_text(perturbation) -> None:
    texts, _ = sample_texts()
    frame = pd.DataFrame({"title": texts, "n": range(len(texts)), "kind": pd.Categorical(["a"] * len(texts))})
    expected = perturbation(texts, 0.2, rng())
    perturbed = perturbation(frame, 0.2, rng())
    assert [text for text in perturbed["title"] if isinstance(text, str)] == [
        text for text in expected if text is not None
    ]
    assert perturbed["n"].equals(frame["n"]) and perturbed["kind"].equals(frame["kind"])
    for dtype in ("string", object):
        series = pd.Series(texts, dtype=dtype, index=range(5, 15), name="t")
        check_perturbation(perturbation, series)
        check_perturbation(perturbation, pd.DataFrame({"a": series, "b": series}))
    present = np.array([text for text in texts if text is not None])
    check_perturbation(perturbation, present)
    assert perturbation(present, 1.0, rng()).dtype.kind == "U"
    two = pd.DataFrame({"a": texts, "b": texts})
    only = replace(perturbation, columns=["b"])(two, 1.0, rng())
    assert only["a"].equals(two["a"]) and not only["b"].equals(two["b"])


@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=40), which=st.sampled_from(TEXT), rate=st.floats(0, 1))
def test_any_text_at_any_rate(text, which, rate) -> None:
    perturbed = once(which, text, rate)
    assert isinstance(perturbed, str)
    if rate == 0 or not text:
        assert perturbed == text


@pytest.mark.parametrize(
    "perturbation, unit",
    [(TYPOS, str.isalpha), (CASE, str.isalpha), (OCR, lambda c: c in "abceghilmnoqstuvwz")],
)
def test_the_rate_is_a_fraction_of_the_letters(perturbation, unit) -> None:
    places = perturbation.edits(PROSE, rng())
    assert len(places) == pytest.approx(sum(map(unit, PROSE)), rel=0.02)
    assert np.mean([place.turn < 0.2 for place in places]) == pytest.approx(0.2, abs=0.03)


def test_typos_hit_neighbouring_keys_and_keep_case() -> None:
    assert set(NEIGHBOURS["g"]) == set("fhtyvb") and set(NEIGHBOURS["q"]) == set("wa")
    for edit in TYPOS.edits("QWERTY asdf", rng()):
        assert edit.becomes.upper() == edit.becomes if edit.start < 6 else edit.becomes.lower() == edit.becomes


def test_ocr_case_and_punctuation() -> None:
    assert once(OCR, "o l m 5 ü?", 1.0) == "0 1 rn S ü?"
    assert once(CASE, "aBc 1ß漢", 1.0) == "AbC 1SS漢"
    many = once(PUNCTUATION, "One, two three.", 1.0)
    assert many not in ("One, two three.",) and [c for c in many if c.isalnum()] == list("Onetwothree")


def test_whitespace_changes_nothing_but_whitespace() -> None:
    changed = once(WHITESPACE, PROSE, 0.3)
    assert changed != PROSE and "".join(changed.split()) == "".join(PROSE.split())
    assert len(once(WHITESPACE, PROSE, 1.0).split()) != len(PROSE.split())


def test_dropping_words_leaves_one_and_nests() -> None:
    words = [f"w{i}" for i in range(200)]
    some, more, all_but_one = (
        x[0].split() for x in DROP_WORDS.along(np.array([" ".join(words)]), [0.1, 0.3, 1], rng())
    )
    assert len(some) == pytest.approx(180, abs=15) and len(more) == pytest.approx(140, abs=20)
    assert set(more) < set(some) and len(all_but_one) == 1
    assert once(DROP_WORDS, "word", 1.0) == "word" and once(DROP_WORDS, "", 1.0) == ""


def test_synonyms_match_whole_words_in_any_case() -> None:
    assert once(Synonyms(mapping={"good": "fine"}), "Good goods, GOOD good!", 1.0) == "Fine goods, FINE fine!"
    assert once(Synonyms(mapping=MAPPING), "film", 1.0) == "movie"
    with pytest.raises(ValueError, match="needs mapping"):
        Synonyms()


@pytest.mark.parametrize(
    "inputs, message",
    [
        (np.array([1.0]), "Text must be"),
        (np.array([1], dtype=object), "works on strings"),
        (pd.DataFrame({"n": [1]}), "holds text"),
        ("text", "Text must be"),
    ],
)
def test_what_is_no_text_is_refused(inputs, message) -> None:
    with pytest.raises(DataError, match=message):
        TYPOS(inputs, 0.1, rng())
    with pytest.raises(DataError, match="No column"):
        replace(TYPOS, columns=["x"])(pd.DataFrame({"t": ["a"]}), 0.1, rng())
