"""Chunks: they go by the shape of an example alone, and so do the draws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlflow_sensie import probe
from mlflow_sensie.data.examples import Examples, make_examples
from mlflow_sensie.data.sources import Data
from mlflow_sensie.evaluation.chunks import cut_into_chunks, parts
from mlflow_sensie.evaluation.stopping import Stopping
from mlflow_sensie.scores.table import score_column

from .logistic import GOOD, frame, labels, sigmoid, test_of


def bright(x: Any) -> Any:
    p = 1 / (1 + np.exp(-(x.reshape(len(x), -1).mean(axis=1) - 0.5) * 40))
    return np.column_stack([1 - p, p])


def of_images(apply: str, batch_size: int | str = "auto") -> pd.DataFrame:
    """The score table of 300 images of 8 × 8: chunks of 64, 64, 128 and 44."""
    X = np.random.default_rng(1).random((300, 8, 8, 1), dtype=np.float32)
    y = (X.mean(axis=(1, 2, 3)) > 0.5).astype(int)
    test = {"name": "it", "apply": apply, "magnitudes": [0, 0.2, 0.5]}
    found = probe(bright, X, y, {"perturbations": [test], "batch_size": batch_size, "calibration": True})
    assert found.score_table is not None
    return pd.concat([pd.DataFrame(block) for block in found.score_table.blocks()], ignore_index=True)


@pytest.mark.parametrize("apply", ["image.translate", "image.gaussian_noise"])
def test_large_tensors_are_perturbed_in_parts_whatever_the_batch(apply: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = of_images(apply)
    monkeypatch.setattr("mlflow_sensie.evaluation.chunks.MOST_VALUES", 10 * 64)  # ten images
    cut = of_images(apply)
    assert not cut.isna().any().any()
    for batch_size in (7, 64, 1000):
        pd.testing.assert_frame_equal(of_images(apply, batch_size), cut)
    assert cut.equals(whole) == (apply == "image.translate")  # each part has draws of its own


def sizes(slices: list[slice]) -> list[int]:
    return [part.stop - part.start for part in slices]


def of_shape(n: int, *shape: int) -> Examples:
    return make_examples(Data(np.zeros((n, *shape), dtype=np.uint8), np.arange(n) % 2))


CUTS: dict[str, tuple[Examples, list[int]]] = {
    "a table of 20 columns": (of_shape(20_000, 20), [64, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 3616]),
    "and of 50,000 rows": (of_shape(50_000, 1), [64, *(64 << k for k in range(9)), 16_384, 848]),
    "of 100 columns": (of_shape(20_000, 100), [64, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 3616]),
    "of 2,000 columns": (of_shape(1_500, 2000), [64, 64, 128, 256, 512, 476]),
    "a single row joins": (of_shape(257, 5), [64, 64, 129]),
    "few": (of_shape(40, 5), [40]),
    "one more than the first": (of_shape(65, 5), [65]),
    "images": (of_shape(4_000, 28, 28, 1), [64, 64, 128, 256, 512, 1024, 1024, 928]),
    "large images": (of_shape(150, 128, 128, 3), [64, 64, 22]),
    "texts": (
        make_examples(Data(np.array(["a b c"] * 700, dtype=object), np.arange(700) % 2)),
        [64, 64, 128, 256, 188],
    ),
    "arrays in cells": (
        make_examples(Data(pd.DataFrame({"a": list(np.zeros((600, 64, 64, 3)))} | {"b": 0.0}), np.arange(600) % 2)),
        [64] * 9 + [24],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CUTS)
def test_chunks_go_by_the_shape_of_an_example(name: str) -> None:
    examples, expected = CUTS[name]
    chunks = cut_into_chunks(examples)
    assert sizes(chunks) == expected
    assert [chunk.start for chunk in chunks] == [0, *(chunk.stop for chunk in chunks[:-1])]


@pytest.mark.parametrize("columns", [1, 3, 100, 5_000])
def test_chunks_end_at_looks(columns: int) -> None:
    n = 10_001
    ordered = Stopping(np.arange(n), lambda test, table: True)
    ends = {chunk.stop for chunk in cut_into_chunks(of_shape(n, columns))}
    looks = {n for n in range(1, n) if ordered.looks(n)}
    assert looks == {64 << k for k in range(8)} <= ends
    assert not Stopping(np.arange(1000)).looks(64)


def test_large_tensors_and_long_texts_are_cut_into_parts() -> None:
    assert sizes(parts(of_shape(256, 28, 28, 1))) == sizes(parts(of_shape(256, 32, 32, 3))) == [256]
    assert sizes(parts(of_shape(64, 128, 128, 3))) == [21, 21, 22]
    assert sizes(parts(of_shape(64, 600, 600, 3))) == [8] * 8
    assert sizes(parts(of_shape(17, 600, 600, 3))) == [8, 9]
    texts = np.array(["a b c "] * 60 + ["long text " * 10_000] * 5, dtype=object)
    assert sizes(parts(make_examples(Data(texts, np.arange(65) % 2)))) == [61, 2, 2]
    frame = pd.DataFrame({"title": "a b c", "body": texts})
    assert sizes(parts(make_examples(Data(frame, np.arange(65) % 2), kind="text"))) == [61, 2, 2]
    assert sizes(parts(of_shape(64, 100_000))) == [64]  # a table is not


# --- draws -------------------------------------------------------------------------------------------------


def test_noise_is_seeded_differs_between_chunks_and_is_shared_by_magnitudes() -> None:
    seen: list[Any] = []

    def drawn(x: Any, p: float, rng: Any) -> Any:
        noise = rng.normal(size=len(x))
        seen.append(noise)
        return x.assign(a=x["a"] + p * noise)

    def run(seed: int) -> Any:
        seen.clear()
        asked = {**test_of(drawn, (1, 2)), "neutral": "none"}
        return probe(sigmoid, frame(), labels(), {"perturbations": [asked], "seed": seed})

    first = run(0)
    assert [len(noise) for noise in seen] == [64, 64, 64, 64, 128, 128, 256, 256, 88, 88]
    for chunk in range(5):
        np.testing.assert_array_equal(seen[2 * chunk], seen[2 * chunk + 1])
    assert not np.array_equal(seen[0], seen[2])
    assert run(0).metrics == first.metrics != run(1).metrics


def test_two_tests_of_one_perturbation_draw_apart() -> None:
    twin = {**GOOD, "name": "twin"}
    result = probe(sigmoid, frame(), labels(), {"perturbations": [GOOD, twin]})
    one, other = (result.score_table.column(score_column(name, 0)) for name in ("good", "twin"))
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("columns", [1, 2])
def test_a_text_draws_for_itself_wherever_a_chunk_is_cut(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    words = np.random.default_rng(3).choice(["some", "words", "of", "a", "text"], (150, 12))
    texts = pd.DataFrame({f"text{k}": [" ".join(row) for row in words] for k in range(columns)})

    def vowels(X: pd.DataFrame) -> Any:
        p = np.mean([X[name].str.count("[aeiou]") for name in X], axis=0) / 40
        return np.column_stack([1 - p, p])

    def scores() -> pd.DataFrame:
        recipe = {"perturbations": ["text.typos"], "kind": "text"}
        table = probe(vowels, texts, np.arange(150) % 2, recipe).score_table
        return pd.DataFrame({name: table.column(name) for name in table.columns})

    whole = scores()
    monkeypatch.setattr("mlflow_sensie.evaluation.chunks.MOST_CHARACTERS", 200)
    assert len(parts(make_examples(Data(texts[:64], np.arange(64) % 2), kind="text"))) > 10
    pd.testing.assert_frame_equal(scores(), whole)
    assert not whole.filter(like="score/").eq(whole["clean"], axis=0).all().any()
