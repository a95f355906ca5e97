"""Galleries: only where asked for; of the inputs and scores that were tested; and legible."""

from __future__ import annotations

import itertools
import json
import tempfile
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
import mlflow
import numpy as np
import pandas as pd
import pytest
from flavours.logged import artifact_paths, evaluate
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from mlflow.exceptions import MlflowException
from scipy.special import expit, softmax

import mlflow_sensie
from mlflow_sensie.data.examples import InputFormat
from mlflow_sensie.errors import RecipeError
from mlflow_sensie.evaluation.chunks import SweepTest
from mlflow_sensie.evaluation.gallery import can_be_shown, choose_magnitudes, evenly, pick
from mlflow_sensie.evaluation.gallery_changes import differing
from mlflow_sensie.models.model import Model
from mlflow_sensie.models.outputs import Predictions
from mlflow_sensie.perturbations import BUILT_IN
from mlflow_sensie.perturbations.base import FunctionPerturbation
from mlflow_sensie.plots.gallery_rows import cell_texts, texts_of
from mlflow_sensie.plots.text_diff import SPACE, lines_of, marked
from mlflow_sensie.plugins import load_target
from mlflow_sensie.recipe.model import Recipe
from mlflow_sensie.recipe.reading import capped_log_examples, load_recipe
from mlflow_sensie.recipe.schema import json_schema
from mlflow_sensie.result import Result
from mlflow_sensie.scores.scorer import settle_scorer
from mlflow_sensie.scores.table import CLEAN, score_column
from mlflow_sensie.tracking import runs as tracking

CAP = "MLFLOW_SENSIE_LOG_EXAMPLES"
N = 300  # more than a chunk
WEIGHTS = np.random.default_rng(5).normal(size=(64, 3))


@pytest.fixture(autouse=True)
def _no_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CAP, raising=False)


# --- data of every kind, with models -------------------------------------------------------------------------


@cache
def images(channels: int = 1) -> np.ndarray[Any, Any]:
    found = np.random.default_rng(1).random((N, 8, 8, channels)).astype(np.float32)
    return found if channels > 1 else found[..., 0]


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
def found(kind: str) -> Result:
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


# --- only where asked for ------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", [{}, {"log_examples": "none"}, {"log_examples": "ids"}])
def test_there_is_no_gallery_unless_asked_for(said: dict[str, str]) -> None:
    result = mlflow_sensie.probe(seen, images()[:40], classes()[:40], {"perturbations": [ROTATE], **said})
    assert dict(result.galleries) == {}
    with pytest.raises(ValueError, match="there are no galleries: .*log_examples: full"):
        result.plot("turn", kind="gallery")


def test_every_perturbation_that_did_not_fail_has_one() -> None:
    def bad(x: Any, p: float) -> Any:
        raise RuntimeError("no")

    tests = [ROTATE, {"name": "bad", "apply": bad, "magnitudes": [1, 2]}]
    recipe = {"perturbations": tests, "properties": ["image.mean"], "on_error": "record", "log_examples": "full"}
    result = mlflow_sensie.probe(seen, images()[:40], classes()[:40], recipe)
    assert list(result.failed) == ["bad"] and list(result.galleries) == ["turn"]
    assert isinstance(result.plot("turn", kind="gallery"), Figure)
    with pytest.raises(ValueError, match="there is no gallery of 'bad'; there are galleries of: turn"):
        result.plot("bad", kind="gallery")
    with pytest.raises(ValueError, match="needs the name of a test; there are galleries of: turn"):
        result.plot(kind="gallery")
    with pytest.raises(ValueError, match="gallery are allowed; 'picture' came"):
        result.plot("turn", kind="picture")  # type: ignore[arg-type]


def test_the_report_holds_no_examples() -> None:
    result = found("text")
    assert "somebody" not in result.to_json() and "gallery" not in result.to_json()
    again = Result.from_json(result.to_json())
    assert dict(again.galleries) == {}
    with pytest.raises(ValueError, match="log_examples: full"):
        again.plot("text.typos", kind="gallery")


@pytest.mark.parametrize("asked", ["none", "ids", "full"])
@pytest.mark.parametrize("cap", [None, "none", "ids", "full"])
def test_the_environment_caps_what_may_be_uploaded(asked: str, cap: str | None, monkeypatch: Any) -> None:
    if cap is not None:
        monkeypatch.setenv(CAP, cap)
    order = ["none", "ids", "full"]
    assert capped_log_examples(asked) == order[min(order.index(asked), order.index(cap or "full"))]


def test_a_capped_recipe_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CAP, "ids")
    recipe = {"perturbations": [ROTATE], "log_examples": "full"}
    result = mlflow_sensie.probe(seen, images()[:40], classes()[:40], recipe)
    assert dict(result.galleries) == {} and result.recipe["log_examples"] == "ids"
    assert "log_examples: ids" in result.recipe_yaml


@pytest.mark.parametrize("cap", ["", "all", "Full", "1"])
def test_a_bad_cap_is_an_error_before_anything_is_computed(cap: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CAP, cap)

    def never(x: Any) -> Any:
        raise AssertionError("the model was asked")

    with pytest.raises(RecipeError, match=f"{CAP}: none, ids, full are allowed; '{cap}' came"):
        mlflow_sensie.probe(never, images(), classes(), {"perturbations": [ROTATE]})


def test_the_recipe_key_is_checked_and_changes_no_number() -> None:
    with pytest.raises(RecipeError, match=r"log_examples: Input should be 'none', 'ids' or 'full'; 'all' came"):
        load_recipe({"class_test": True, "log_examples": "all"})
    digests = {load_recipe({"class_test": True, "log_examples": said}).digest() for said in ("none", "ids", "full")}
    assert len(digests) == 1 and load_recipe({"class_test": True}).log_examples == "ids"
    assert json_schema()["properties"]["log_examples"]["enum"] == ["none", "ids", "full"]


# --- the inputs and scores that were tested ------------------------------------------------------------------


def directly(apply: str, name: str, seed: int, inputs: Any, p: float, bound: Any = None) -> Any:
    """One call of the perturbation with the sweep's seed for the first chunk; written out once more."""
    made = bound or load_target(BUILT_IN[apply])()
    state = np.random.SeedSequence([seed, zlib.crc32(name.encode()), 0])
    return made(inputs[:256], p, np.random.default_rng(state))


def test_images_and_scores_are_those_of_the_test() -> None:
    result = found("images")
    for name, apply in (("turn", "image.rotate"), ("snow", "image.gaussian_noise")):
        gallery = result.galleries[name]
        assert result.score_table is not None
        positions = list(gallery.ids)
        for k, p in enumerate(gallery.magnitudes):
            assert p is not None
            expected = images() if k == gallery.clean else directly(apply, name, 7, images(), p)
            np.testing.assert_array_equal(gallery.inputs[k], expected[positions])
            np.testing.assert_array_equal(gallery.pictures[k], np.clip(expected[positions], 0, 1))
            tested = [q for q in load_recipe(result.recipe).perturbations[name == "snow"].magnitudes or () if q != 0]
            column = CLEAN if k == gallery.clean else score_column(name, tested.index(p))
            np.testing.assert_array_equal(gallery.scores[k], result.score_table.column(column)[positions])
            answers = seen(expected[positions]).argmax(1).tolist()
            assert gallery.answers is not None and list(gallery.answers[k]) == answers
            assert [gallery.right(k, i) for i in range(4)] == (np.array(answers) == gallery.truths).tolist()
    assert gallery.truths == tuple(classes()[positions]) and len(set(gallery.truths)) == 3
    assert gallery.repeated and gallery.labels


def test_images_perturbed_in_parts_are_those_of_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlflow_sensie.evaluation.chunks.PART_VALUES", 8 * 64)
    asked = {"perturbations": [ROTATE, NOISE], "seed": 7, "log_examples": "full"}
    late = np.where(np.arange(N) < 50, 0, classes())  # so that examples of several parts are shown
    result = mlflow_sensie.probe(seen, images(), late, asked)
    for gallery in result.galleries.values():
        assert gallery.repeated and max(gallery.ids) >= 50 and list(gallery.ids) != sorted(gallery.ids)


def test_rows_of_frames_are_those_of_the_test() -> None:
    gallery = found("table").galleries["tabular.missing"]
    last = directly("tabular.missing", "tabular.missing", 0, table(), 0.3).iloc[list(gallery.ids)]
    pd.testing.assert_frame_equal(gallery.inputs[-1], last)
    pd.testing.assert_frame_equal(gallery.inputs[0], table().iloc[list(gallery.ids)])
    gallery = found("text").galleries["text.typos"]
    last = directly("text.typos", "text.typos", 0, texts(), 0.2).iloc[list(gallery.ids)]
    pd.testing.assert_frame_equal(gallery.inputs[-1], last)
    table_of_scores = found("text").score_table
    assert table_of_scores is not None
    scores = table_of_scores.column(score_column("text.typos", 7))[list(gallery.ids)]
    np.testing.assert_array_equal(gallery.scores[-1], scores)


def test_a_gallery_shows_what_the_model_was_given() -> None:
    """Series and frames reach the model in its own container, the clean ones just as they came."""
    for kind, name, model in (("series", "series.shift", rising), ("table", "tabular.swap", rated)):
        gallery = found(kind).galleries[name]
        for k, inputs in enumerate(gallery.inputs):
            right = [gallery.right(k, i) for i in range(len(gallery.ids))]
            p = model(inputs)
            truth = np.array(gallery.truths)
            np.testing.assert_allclose(gallery.scores[k], np.where(truth == 1, p, 1 - p), rtol=1e-6)
            assert right == ((p >= 0.5) == (truth == 1)).tolist()


def test_a_model_that_answers_otherwise_is_told() -> None:
    rng = np.random.default_rng(0)

    def moody(x: Any) -> Any:
        return softmax(rng.normal(size=(len(x), 3)), axis=1)

    result = mlflow_sensie.probe(
        moody, images()[:40], classes()[:40], {"perturbations": [ROTATE], "log_examples": "full"}
    )
    assert not result.galleries["turn"].repeated
    assert "gave other answers" in " ".join(said(result.plot("turn", kind="gallery")))


def test_what_fails_a_second_time_costs_the_gallery_alone() -> None:
    calls = []

    def once(x: Any, p: float) -> Any:
        calls.append(p)
        if len(calls) > 2:
            raise RuntimeError("once only")
        return x + p

    recipe = {"perturbations": [{"name": "once", "apply": once, "magnitudes": [1, 2]}, ROTATE], "log_examples": "full"}
    with pytest.warns(UserWarning, match="there is no gallery of 'once': RuntimeError: once only"):
        result = mlflow_sensie.probe(seen, images()[:40], classes()[:40], recipe)
    assert not result.failed and list(result.galleries) == ["turn"]


@pytest.mark.parametrize(
    ("n", "wanted", "chosen"),
    [
        (2, 0, [0, 1]),
        (7, 3, [0, 1, 2, 3, 4, 5, 6]),
        (8, 0, [0, 1, 2, 4, 5, 6, 7]),
        (11, 5, [0, 2, 3, 5, 7, 8, 10]),
        (10, 5, [0, 2, 3, 5, 6, 8, 9]),
        (50, 1, [0, 1, 16, 24, 33, 41, 49]),
        (50, 48, [0, 8, 16, 24, 33, 48, 49]),
        (50, 49, [0, 8, 16, 24, 33, 41, 49]),
    ],
)
def test_magnitudes_are_chosen_evenly(n: int, wanted: int, chosen: list[int]) -> None:
    assert evenly(n, wanted) == chosen


@pytest.mark.parametrize(
    ("neutral", "magnitudes", "places"),
    [(0.0, (-2, -1, 1), 2), (0.0, (1, 2), 0), (1.0, (0.2, 0.5), 2), (None, (1, 2), 0)],
)
def test_the_clean_inputs_stand_in_their_place(neutral: Any, magnitudes: Any, places: int) -> None:
    made = FunctionPerturbation(lambda x, p: x, neutral=neutral)
    slots = choose_magnitudes(SweepTest("t", "t", made, magnitudes))
    assert [index for _, index in slots].index(None) == places
    assert slots[places][0] == neutral
    assert [p for p, index in slots if index is not None] == list(magnitudes)


@pytest.mark.parametrize(
    ("truth", "count", "continuous", "touched", "picked"),
    [
        ([0, 0, 0, 1, 2, 1], 4, False, None, [0, 3, 4, 1]),  # one of each class, then another round
        ([0, 0, 0], 2, False, None, [0, 1]),
        (["b", "a", "b"], 2, False, None, [0, 1]),
        ([5.0, 1.0, 4.0, 2.0, 3.0], 2, True, None, [3, 2]),  # at a quarter and three quarters
        ([0, 1, 0, 1], 2, False, [0, 0, 1, 1], [2, 3]),
        ([0, 1, 0, 1], 2, False, [0, 0, 0, 1], [3, 0]),  # what changes comes first
        ([1.0, 2.0, 3.0], 2, True, [0, 0, 0], [0, 2]),
    ],
)
def test_examples_of_different_classes_are_picked(truth: Any, count: int, continuous: bool, touched: Any, picked: Any):
    flags = None if touched is None else np.array(touched, dtype=bool)
    assert pick(np.array(truth), count, continuous, flags).tolist() == picked


def test_numbers_are_spread_over_their_quantiles() -> None:
    gallery = found("numbers").galleries["tabular.noise"]
    first = table()["x01"].to_numpy()[:256]
    assert gallery.truths == pytest.approx(np.quantile(first, [0.25, 0.75]), abs=0.05)
    assert not gallery.labels and gallery.right(0, 0) is None
    assert gallery.answers is not None
    assert gallery.answers[0] == pytest.approx([1.1 * truth for truth in gallery.truths])


def test_the_columns_that_change_most_are_shown() -> None:
    """By SDs of each, so that wide columns are not in front; in the frame's order; all if there are few."""

    def some(frame: Any, p: float) -> Any:
        small = {"x01": 2.0, "x08": 2.0, "level": "mid"}
        return frame.assign(**{name: by if name == "level" else frame[name] + p * by for name, by in small.items()})

    recipe = {"perturbations": [{"name": "some", "apply": some, "magnitudes": [1, 2]}], "log_examples": "full"}
    gallery = mlflow_sensie.probe(rated, table(), np.arange(N) % 2, recipe).galleries["some"]
    assert len(gallery.columns) == 8 and {"x01", "x08", "level"} <= set(gallery.columns)
    assert list(gallery.columns) == [name for name in table() if name in gallery.columns]
    assert gallery.changed(1, "level").all() and not gallery.changed(1, "x02").any()
    assert gallery.touched == (256, 256) and gallery.clean == 0 and gallery.magnitudes[0] is None
    few = mlflow_sensie.probe(rated, table()[["x01", "level"]], np.arange(N) % 2, recipe | {
        "perturbations": [{"apply": "tabular.noise"}]}).galleries["tabular.noise"]  # fmt: skip
    assert few.columns == ("x01", "level")


def test_frames_show_examples_that_change() -> None:
    def rare(frame: Any, p: float) -> Any:
        return frame.assign(text=frame["text"].str.replace("somebody", "anybody"))

    recipe = {"kind": "text", "perturbations": [{"apply": rare, "magnitudes": [1, 2]}], "log_examples": "full"}
    gallery = mlflow_sensie.probe(wordy, texts(), np.arange(60) % 2, recipe).galleries["rare"]
    hit = texts()["text"].str.contains("somebody")
    assert hit[list(gallery.ids)].all() and gallery.touched == (hit.sum(), 60)


@pytest.mark.parametrize(
    ("before", "after", "differs"),
    [
        ([1, 2, 3], [1, 5, 3], [0, 1, 0]),
        ([1.0, np.nan, np.nan], [1.0, np.nan, 2.0], [0, 0, 1]),
        (["a", None, "b"], ["a", None, None], [0, 0, 1]),
        (pd.array([1, None, 3], dtype="Int64"), pd.array([1, 2, None], dtype="Int64"), [0, 1, 1]),
        (pd.Categorical(["a", "b", None]), pd.Categorical(["a", "a", None]), [0, 1, 0]),
        (pd.to_datetime(["2024-01-01", None]), pd.to_datetime(["2024-01-02", None]), [1, 0]),
        ([True, False], [True, True], [0, 1]),
        ([np.zeros((64, 64)), [[1.0]], None], [np.eye(64) * (np.arange(64) == 32), [[1.0]], [[1.0]]], [1, 0, 1]),
        ([np.array([1.0, np.nan]), np.zeros(2)], [np.array([1.0, np.nan]), np.array([0, np.nan])], [0, 1]),
    ],
)
def test_cells_that_differ(before: Any, after: Any, differs: list[int]) -> None:
    assert differing(pd.Series(before), pd.Series(after)).tolist() == [bool(x) for x in differs]


def test_pictures_are_pixels_whatever_is_stored() -> None:
    rgb = images(3)
    mean, std = np.array([0.5, 0.4, 0.3]), np.array([0.2, 0.25, 0.3])
    stored = ((rgb - mean) / std).transpose(0, 3, 1, 2).astype(np.float32)
    said: dict[str, Any] = {"value_range": {"mean": mean.tolist(), "std": std.tolist()}, "layout": "NCHW"}
    cases: list[tuple[Any, dict[str, Any], Any]] = [
        (rgb, {}, rgb),
        (stored, said, rgb),
        ((rgb * 255).astype(np.uint8), {}, (rgb * 255).astype(np.uint8) / 255),
        (images(5), {"layout": "NHWC"}, images(5).mean(-1)),
        (images() * 8 - 3, {}, (images() - images().min()) / np.ptp(images())),  # no known range: that of the data
    ]

    def model(x: Any) -> Any:
        return softmax(np.asarray(x, dtype=float).reshape(len(x), -1)[:, :3], axis=1)

    def same(x: Any, p: float) -> Any:
        return x

    for inputs, recipe, pixels in cases:
        tests = [{"apply": same, "magnitudes": [1, 2]}]
        result = mlflow_sensie.probe(
            model, inputs, classes(), {**recipe, "perturbations": tests, "log_examples": "full"}
        )
        gallery = result.galleries["same"]
        np.testing.assert_allclose(gallery.pictures[0], pixels[list(gallery.ids)], atol=1e-6)
        assert len(result.plot("same", kind="gallery").axes[0].images) == 4 * 3


@pytest.mark.parametrize(
    ("form", "shown"),
    [
        (InputFormat("tensor", "array", (8, 8), "NHW"), True),
        (InputFormat("tensor", "array", (4, 8, 8, 3), None), False),
        (InputFormat("series", "array", (40,)), True),
        (InputFormat("series", "array", (40, 2)), True),
        (InputFormat("series", "array", (4, 5, 6)), False),
        (InputFormat("tabular", "frame"), True),
        (InputFormat("text", "array"), True),
    ],
)
def test_what_can_be_shown(form: InputFormat, shown: bool) -> None:
    assert can_be_shown(form) is shown


# --- what the model answers ----------------------------------------------------------------------------------

ANSWERS: list[tuple[str, dict[str, Any], Any, Any, list[Any]]] = [
    (
        "probabilities",
        {"label_list": ["a", "b"]},
        [[0.2, 0.8], [0.9, 0.1], [np.nan] * 2],
        list("aba"),
        ["b", "a", None],
    ),
    ("one column", {"label_list": ["a", "b"]}, [0.2, 0.7, 0.5], list("aba"), ["a", "b", "a"]),
    ("positive first", {"label_list": ["a", "b"], "pos_label": "a"}, [0.2, 0.7, 0.9], list("aba"), ["b", "a", "a"]),
    ("logits", {"output": "logits"}, [[3.0, -1], [0, 2], [5, 1]], [0, 1, 0], [0, 1, 0]),
    ("threshold", {"score": {"threshold": 0.3}}, [0.2, 0.4, 0.9], [0, 1, 0], [0, 1, 1]),
    ("top k", {"score": {"top_k": 2}}, [[0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [1, 0, 0]], [0, 1, 2], [0, 2, 0]),
    ("labels", {}, ["a", "b", "c"], list("aba"), ["a", "b", "c"]),
    ("labels of another type", {}, [1.0, 7.0, np.nan], [1, 7, 7], [1, 7, None]),
    ("numbers", {"score": "neg_absolute_error"}, [1.5, 2.25, np.nan], [1, 2, 3.5], [1.5, 2.25, None]),
    ("custom", {"score": lambda p, t: t * 0}, [1.5, 2.25, 3.0], [1, 2, 3.5], ["", "", ""]),
]


@pytest.mark.parametrize(
    ("recipe", "values", "targets", "answers"), [a[1:] for a in ANSWERS], ids=[a[0] for a in ANSWERS]
)
def test_the_scorer_names_the_models_answers(recipe: Any, values: Any, targets: Any, answers: list[Any]) -> None:
    model = Model(lambda x: x, "predict")
    predictions = Predictions(np.array(values, dtype=object if isinstance(values[0], str) else None))
    scorer, _ = settle_scorer(model, predictions, np.array(targets), Recipe(**recipe))
    assert scorer.answers(predictions) == answers


def test_a_custom_score_has_no_answers() -> None:
    recipe = {"perturbations": [ROTATE], "log_examples": "full", "score": lambda p, t: -np.abs(p[:, 0] - t)}
    result = mlflow_sensie.probe(seen, images()[:40], classes()[:40], recipe)
    gallery = result.galleries["turn"]
    assert gallery.answers is None and gallery.right(0, 0) is None
    words = said(result.plot("turn", kind="gallery"))
    assert not any("✓" in text or "✗" in text for text in words)
    assert f"{gallery.scores[0, 0]:.2f}".replace("-", "−") in words


# --- the figures ---------------------------------------------------------------------------------------------


def artists(figure: Figure, *labels: str) -> list[Text]:
    found = [text for text in figure.findobj(Text) if isinstance(text, Text) and text.get_text().strip()]
    return [text for text in found if not labels or text.get_label() in labels]


def said(figure: Figure, *labels: str) -> list[str]:
    return [text.get_text() for text in artists(figure, *labels)]


def test_images_are_headed_by_magnitudes_and_footed_by_answers() -> None:
    result = found("images")
    gallery, figure = result.galleries["turn"], result.plot("turn", kind="gallery")
    heads = " ".join(said(figure, "head", "heading"))
    assert heads == "−40 degrees −20 degrees clean 0 degrees 20 degrees 40 degrees"
    assert said(figure, "title") == ["turn"] and said(figure, "test") == ["turn"]
    scores = [f"{gallery.scores[k, i]:.2f}" for i in range(4) for k in range(5)]
    assert said(figure, "score") == scores
    assert gallery.answers is not None
    marks = [f"{'✓' if gallery.right(k, i) else '✗'} {gallery.answers[k][i]}" for i in range(4) for k in range(5)]
    assert said(figure, "answer") == marks and {text[0] for text in marks} == {"✓", "✗"}
    assert [text for text in said(figure, "example") if "true" in text] == [f"true: {t}" for t in gallery.truths]
    subtitle = " ".join(said(figure, "subtitle"))
    assert "the same 4 examples at all 5 magnitudes" in subtitle and "probability of the correct class" in subtitle
    snow = " ".join(said(result.plot("snow", kind="gallery")))
    assert "7 of the 12 magnitudes" in snow and "(fraction of range)" in snow


def test_a_table_shows_before_and_after() -> None:
    result = found("table")
    gallery, figure = result.galleries["tabular.noise"], result.plot("tabular.noise", kind="gallery")
    columns = said(figure, "column")
    assert columns == [str(name) for name in gallery.columns] * 2
    assert "the 8 of 14 columns that change most" in " ".join(said(figure, "subtitle"))
    changed = sum(int(gallery.changed(k, name).sum()) for k in range(7) for name in gallery.columns)
    assert len(said(figure, "changed")) == changed > 50
    assert len(said(figure, "cell")) == 2 * 7 * 8 - changed
    assert len(figure.axes[0].patches) == changed  # told by a tint as well as by the ink


def beside_a_table(*perturbations: Any, **said: Any) -> Result:
    """Of a model of images and a table, that looks at the images."""
    data = table()[["x01", "level"]].assign(image=list(images(3)), pulse=list(series()[..., 0]))
    recipe = {"perturbations": list(perturbations), "log_examples": "full", "seed": 7, **said}
    return mlflow_sensie.probe(lambda frame: seen(np.stack(frame["image"])), data, classes(), recipe)


def test_a_column_of_images_is_shown_as_images() -> None:
    result = beside_a_table(ROTATE, "series.noise")
    gallery, figure = result.galleries["turn"], result.plot("turn", kind="gallery")
    recipe = {"perturbations": [ROTATE], "log_examples": "full"}
    alone = mlflow_sensie.probe(seen, images(3), classes(), recipe).galleries["turn"]
    np.testing.assert_array_equal(gallery.pictures, alone.pictures)
    assert (gallery.answers, gallery.ids, gallery.repeated) == (alone.answers, alone.ids, True)
    assert "column image" in " ".join(said(figure, "subtitle"))
    pulse = result.galleries["series.noise"]
    assert pulse.input_format.kind == "series" and np.shape(pulse.inputs) == (7, 4, series().shape[1])
    subtitle = said(result.plot("series.noise", kind="gallery"), "subtitle")
    assert "column pulse the clean series in grey" in " ".join(subtitle)


def test_arrays_are_left_out_of_tables() -> None:
    result = beside_a_table("tabular.noise")
    assert result.galleries["tabular.noise"].columns == ("x01", "level")
    assert result.galleries["tabular.noise"].touched == (256, 256)
    text = " ".join(said(result.plot("tabular.noise", kind="gallery")))
    assert "columns of arrays are left out" in text and "columns that change most" not in text and "[[" not in text


def test_cells_are_written_as_what_they_are() -> None:
    gallery = found("table").galleries["tabular.missing"]
    written = {name: cell_texts(gallery, name)[0] for name in ("count", "level", "day")}
    clean = gallery.inputs[0]
    assert isinstance(clean, pd.DataFrame)
    assert written["count"] == [str(x) for x in clean["count"]]
    assert written["level"] == list(clean["level"]) and written["day"] == [str(d.date()) for d in clean["day"]]
    lost = [cell for name in clean for cells in cell_texts(gallery, name) for cell in cells if cell == "missing"]
    cells = sum(int(batch.isna().sum().sum()) for batch in gallery.inputs if isinstance(batch, pd.DataFrame))
    assert len(lost) == cells > 0
    noisy = cell_texts(found("table").galleries["tabular.noise"], "x09")
    decimals = {len(text.partition(".")[2]) for cells in noisy for text in cells}
    assert len(decimals) == 1  # alike in a row


def test_a_text_shows_what_changed() -> None:
    result = found("text")
    gallery, figure = result.galleries["text.typos"], result.plot("text.typos", kind="gallery")
    texts = [text for i in range(3) for text in texts_of(gallery, i)]
    assert len(texts) == 21 and len(said(figure, "answer")) == 21
    assert len(said(figure, "changed")) > 20
    assert all(text.get_bbox_patch() is not None for text in artists(figure, "changed"))
    assert said(figure, "head")[:3] == ["rate 0", "rate 0.02", "rate 0.06"]


def test_numbers_have_no_right_or_wrong() -> None:
    figure = found("numbers").plot("tabular.noise", kind="gallery")
    assert not any("✓" in text or "✗" in text for text in said(figure))
    assert len(said(figure, "answer")) == 14 and "−absolute error" in " ".join(said(figure, "subtitle"))


@pytest.mark.parametrize("kind", ALL)
def test_figures_are_legible(kind: str) -> None:
    """640 px wide; nothing below 8 points, off the paper or over each other."""
    result = found(kind)
    figure = result.plot(next(iter(result.galleries)), kind="gallery")
    assert figure.get_size_inches()[0] * 100 == 640
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    boxes = [(text, text.get_window_extent(renderer)) for text in artists(figure)]
    width, height = figure.bbox.size
    for text, box in boxes:
        assert text.get_fontsize() >= 8
        assert box.x0 >= -1 and box.x1 <= width + 1 and box.y0 >= -1 and box.y1 <= height + 1, text
    for (a, one), (b, other) in itertools.combinations(boxes, 2):
        across = min(one.x1, other.x1) - max(one.x0, other.x0)
        down = min(one.y1, other.y1) - max(one.y0, other.y0)
        assert across <= 1.5 or down <= 3, (a.get_text(), b.get_text())


def test_names_are_never_mathematics_and_settings_do_not_matter() -> None:
    hostile = [r"$\frac{1}{2$ & <b>", "very long name " * 30, "🚀 \u202e line\nbreak"]
    frame = table().rename(columns={"x00": hostile[0], "x02": hostile[1]}).assign(level=hostile[1])
    labels = np.array(hostile, dtype=object)[classes()]

    def model(x: Any) -> Any:
        return seen(np.zeros((len(x), 64)))

    with matplotlib.rc_context({"text.usetex": True, "image.origin": "lower", "font.size": 40, "lines.marker": "o"}):
        test = {"name": hostile[0], "apply": lambda x, p: x.assign(x01=x["x01"] + p), "magnitudes": [1e-9, 1e9]}
        recipe = {"label_list": hostile, "log_examples": "full", "perturbations": [test]}
        result = mlflow_sensie.probe(model, frame, labels, recipe)
        figure = result.plot(hostile[0], kind="gallery")
        assert not any(text.get_usetex() or text.get_parse_math() for text in artists(figure))
        figure.draw(FigureCanvasAgg(figure).get_renderer())
    assert figure.get_size_inches()[0] == 6.4


CLEAN_TEXT = "When does the restaurant open on Sunday, and do you have a table for six?"


@pytest.mark.parametrize(
    ("clean", "becomes", "shown"),
    [
        ("six", "six", "six"),
        ("the restaurant open", "open", "[]open"),
        ("restaurant", "diner", "[diner]"),
        ("open on", "openon", "open[]on"),
        ("open on", "op en on", "op[ ]en on"),
        ("table", "tabel", "tab[el]"),
        ("six?", "six!", "six[!]"),
        ("have", "hAVe", "h[AV]e"),
        ("When does the", "When does a new", "When does [a new]"),
        (CLEAN_TEXT, "", "[]"),
    ],
)
def test_what_changed_in_a_text_is_marked(clean: str, becomes: str, shown: str) -> None:
    assert CLEAN_TEXT.count(clean) == 1
    runs = marked(CLEAN_TEXT, CLEAN_TEXT.replace(clean, becomes))
    joined = "".join(f"[{text}]" if changed else text for text, changed in runs)
    assert joined == CLEAN_TEXT.replace(clean, shown)


def test_long_texts_are_cut_and_broken() -> None:
    before = "a sentence that goes on and on, " * 300
    runs = marked(before, before.replace("goes", "XXXX", 1))
    assert runs[-1][0].endswith(" …") and sum(len(text) for text, _ in runs) < 160
    assert [text for text, changed in runs if changed] == ["XXXX"]
    lines = lines_of([("x" * 500, False), ("  \n", True), ("end", False)], 2.0, 8.0, 3)
    assert len(lines) == 3 and lines[-1][-1][0].endswith("…")
    assert lines_of([("a \t b", False), ("\n ", True)], 2.0, 8.0, 3) == [[("a b", False), (SPACE * 2, True)]]
    assert lines_of([], 2.0, 8.0, 3) == [[]]


# --- on the run ----------------------------------------------------------------------------------------------

SMALL = {"perturbations": [{"apply": "tabular.noise", "magnitudes": [0, 1, 2]}]}


def small(**said: Any) -> dict[str, Any]:
    return {**SMALL, **said}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures as one dot: what they show is no matter here."""
    import io

    import PIL.Image

    dot = io.BytesIO()
    PIL.Image.new("RGB", (1, 1)).save(dot, format="PNG")
    monkeypatch.setattr(tracking.plots, "to_png", lambda figure, dpi=150: dot.getvalue())


@pytest.fixture
def frame() -> pd.DataFrame:
    return table()[["x01", "level"]].assign(y=np.arange(N) % 2)


@pytest.mark.parametrize("asked", ["none", "ids", "full"])
def test_galleries_are_uploaded_under_full_alone(
    asked: str, frame: pd.DataFrame, experiment_id: str, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = evaluate(rated, frame, small(log_examples=asked), targets="y")
    name = "sensie/tabular.noise.gallery.png"
    paths = artifact_paths(done.run_id)
    assert (name in paths) is (name in done.returned.artifacts) is (asked == "full")
    assert sum("gallery" in path for path in paths) == (asked == "full")
    assert "sensie/tabular.noise.png" in paths
    if asked == "full":
        assert done.returned.artifacts[name].uri == f"{done.run.info.artifact_uri}/{name}"
        assert done.returned.artifacts[name].content.size == (1, 1)


def test_the_cap_holds_at_the_upload_too(
    frame: pd.DataFrame, experiment_id: str, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = frame[["x01", "level"]], frame["y"]
    result = mlflow_sensie.probe(rated, X, y, small(log_examples="full"))
    assert list(result.galleries) == ["tabular.noise"]
    monkeypatch.setenv(CAP, "ids")
    with mlflow.start_run() as run:
        names = tracking.log_result(result, tracking.Destination(run.info.run_id))
    assert not any("gallery" in path for path in {*names, *artifact_paths(run.info.run_id)})


def test_a_failed_upload_keeps_them_for_the_next(
    frame: pd.DataFrame, experiment_id: str, quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    result = mlflow_sensie.probe(rated, frame[["x01", "level"]], frame["y"], small(log_examples="full"))
    with mlflow.start_run() as run:
        pass

    def down(*args: Any, **options: Any) -> Any:
        raise ConnectionError("down")

    with monkeypatch.context() as broken:
        broken.setattr(mlflow.MlflowClient, "log_artifact", down)
        with pytest.raises(MlflowException, match="could not be logged"):
            tracking.log_result(result, tracking.Destination(run.info.run_id))
    (folder,) = tmp_path.glob("sensie-*")
    assert (folder / "sensie" / "tabular.noise.gallery.png").is_file()
    mlflow_sensie.log_folder(folder, run.info.run_id)
    assert "sensie/tabular.noise.gallery.png" in artifact_paths(run.info.run_id)


def test_a_gallery_never_takes_the_name_of_a_figure(tmp_path: Path, quick: None) -> None:
    tests = [{"name": name, "apply": "tabular.noise", "magnitudes": [0, 1, 2]} for name in ("a", "a.gallery")]
    X, y = table()[["x01", "level"]], np.arange(N) % 2
    result = mlflow_sensie.probe(rated, X, y, {"perturbations": tests, "log_examples": "full"})
    names = [file.name for file in tracking.write_files(result, tmp_path)]
    assert len(names) == len(set(names))
    assert {"a.png", "a.gallery.png", "a.gallery.gallery.png"} <= set(names)


def test_galleries_are_no_part_of_the_result_that_is_logged(tmp_path: Path, quick: None) -> None:
    X, y = table()[["x01", "level"]], np.arange(N) % 2
    plain, full = (mlflow_sensie.probe(rated, X, y, small(log_examples=asked)) for asked in ("ids", "full"))
    a, b = (json.loads(result.to_json()) for result in (plain, full))
    for test in (*a["tests"].values(), *b["tests"].values()):
        test["flips"] = [{**flip, "target": None} for flip in test["flips"]]  # the right answers may be shown
    different = {key for key in a if a[key] != b[key]}
    assert different <= {"recipe", "recipe_yaml", "seconds"}
    assert plain.metrics == full.metrics
