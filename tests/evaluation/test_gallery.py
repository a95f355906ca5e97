"""Galleries: only where asked for, and of the inputs and scores that were tested."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from scipy.special import softmax

import mlflow_sensie
from evaluation.gallery_cases import (
    NOISE,
    ROTATE,
    N,
    classes,
    images,
    rated,
    result_of,
    rising,
    seen,
    table,
    texts,
    texts_in,
    wordy,
)
from mlflow_sensie.data.examples import InputFormat
from mlflow_sensie.errors import RecipeError
from mlflow_sensie.evaluation.chunks import SweepTest
from mlflow_sensie.evaluation.gallery import can_be_shown, choose_magnitudes, evenly, pick
from mlflow_sensie.models.model import Model
from mlflow_sensie.models.outputs import Predictions
from mlflow_sensie.perturbations import BUILT_IN
from mlflow_sensie.perturbations.base import FunctionPerturbation, Perturbation
from mlflow_sensie.plugins import load_target
from mlflow_sensie.recipe.model import Recipe
from mlflow_sensie.recipe.reading import capped_log_examples, load_recipe
from mlflow_sensie.result import Result
from mlflow_sensie.result.gallery import differing
from mlflow_sensie.scores.scorer import resolve_scorer
from mlflow_sensie.scores.table import CLEAN, score_column

CAP = "MLFLOW_SENSIE_LOG_EXAMPLES"


@pytest.fixture(autouse=True)
def _no_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CAP, raising=False)


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
    result = result_of("text")
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
    assert Recipe.model_json_schema()["properties"]["log_examples"]["enum"] == ["none", "ids", "full"]


def directly(apply: str, name: str, seed: int, inputs: Any, p: float, bound: Any = None) -> Any:
    """One call of the perturbation with the sweep's seed for the first chunk; written out once more."""
    target = bound or load_target(BUILT_IN[apply])
    made = target if isinstance(target, Perturbation) else target()
    state = np.random.SeedSequence([seed, zlib.crc32(name.encode()), 0])
    return made(inputs[:64], p, np.random.default_rng(state))


def test_images_and_scores_are_those_of_the_test() -> None:
    result = result_of("images")
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
    monkeypatch.setattr("mlflow_sensie.evaluation.chunks.MOST_VALUES", 8 * 64)
    asked = {"perturbations": [ROTATE, NOISE], "seed": 7, "log_examples": "full"}
    late = np.where(np.arange(N) < 50, 0, classes())  # so that examples of several parts are shown
    result = mlflow_sensie.probe(seen, images(), late, asked)
    for gallery in result.galleries.values():
        assert gallery.repeated and max(gallery.ids) >= 50 and list(gallery.ids) != sorted(gallery.ids)


def test_rows_of_frames_are_those_of_the_test() -> None:
    gallery = result_of("table").galleries["tabular.missing"]
    last = directly("tabular.missing", "tabular.missing", 0, table(), 0.3).iloc[list(gallery.ids)]
    pd.testing.assert_frame_equal(gallery.inputs[-1], last)
    pd.testing.assert_frame_equal(gallery.inputs[0], table().iloc[list(gallery.ids)])
    gallery = result_of("text").galleries["text.typos"]
    last = directly("text.typos", "text.typos", 0, texts(), 0.2).iloc[list(gallery.ids)]
    pd.testing.assert_frame_equal(gallery.inputs[-1], last)
    table_of_scores = result_of("text").score_table
    assert table_of_scores is not None
    scores = table_of_scores.column(score_column("text.typos", 7))[list(gallery.ids)]
    np.testing.assert_array_equal(gallery.scores[-1], scores)


def test_a_gallery_shows_what_the_model_was_given() -> None:
    """Series and frames reach the model in its own container, the clean ones just as they came."""
    for kind, name, model in (("series", "series.shift", rising), ("table", "tabular.swap", rated)):
        gallery = result_of(kind).galleries[name]
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
    assert "gave other answers" in " ".join(texts_in(result.plot("turn", kind="gallery")))


def test_what_fails_a_second_time_costs_the_gallery_alone() -> None:
    calls = []

    def once(x: Any, p: float) -> Any:
        calls.append(p)
        if len(calls) > 2:
            raise RuntimeError("once only")
        return x + p

    asked = {"name": "once", "apply": once, "magnitudes": [1, 2], "neutral": "none"}
    recipe = {"perturbations": [asked, ROTATE], "log_examples": "full"}
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
    gallery = result_of("numbers").galleries["tabular.noise"]
    first = table()["x01"].to_numpy()[:64]
    assert gallery.truths == tuple(np.sort(first)[[16, 48]])  # at a quarter and three quarters
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
    assert gallery.touched == (64, 64) and gallery.clean == 0 and gallery.magnitudes[0] is None
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
    scorer, _ = resolve_scorer(model, predictions, np.array(targets), Recipe(**recipe))
    assert scorer.answers(predictions) == answers


def test_a_custom_score_has_no_answers() -> None:
    recipe = {"perturbations": [ROTATE], "log_examples": "full", "score": lambda p, t: -np.abs(p[:, 0] - t)}
    result = mlflow_sensie.probe(seen, images()[:40], classes()[:40], recipe)
    gallery = result.galleries["turn"]
    assert gallery.answers is None and gallery.right(0, 0) is None
    words = texts_in(result.plot("turn", kind="gallery"))
    assert not any("✓" in text or "✗" in text for text in words)
    assert f"{gallery.scores[0, 0]:.2f}".replace("-", "−") in words
