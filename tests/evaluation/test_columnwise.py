"""Images and series among several inputs: which columns a perturbation works on, and what it does there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from mlflow_sensie import from_parquet, from_tensors, probe
from mlflow_sensie.data.examples import make_examples
from mlflow_sensie.data.sources import Data, as_table
from mlflow_sensie.errors import DataError, RecipeError
from mlflow_sensie.evaluation import columnwise
from mlflow_sensie.evaluation.columnwise import ColumnwisePerturbation
from mlflow_sensie.evaluation.plan import make_plan
from mlflow_sensie.perturbations.base import Perturbation
from mlflow_sensie.recipe.model import Recipe
from mlflow_sensie.result import Result

N = 300
DARK = {"name": "dark", "apply": "image.brightness", "magnitudes": [-0.4, -0.2, 0]}
BLUR = {"name": "blur", "apply": "image.gaussian_blur", "magnitudes": [1, 2]}
NOISE = {"name": "noise", "apply": "image.gaussian_noise", "magnitudes": [0.1, 0.3]}


@pytest.fixture(scope="module")
def images() -> Any:
    rng = np.random.default_rng(0)
    levels = rng.uniform(0.2, 0.8, (N, 1, 1, 1)) * np.linspace(0.7, 1, 6)[:, None]
    return np.clip(rng.normal(levels, 0.1, (N, 5, 6, 1)), 0, 1).astype(np.float32)


@pytest.fixture(scope="module")
def ages() -> Any:
    return np.random.default_rng(1).integers(20, 80, N)


@pytest.fixture(scope="module")
def labels(images: Any) -> Any:
    return (np.random.default_rng(2).random(N) < of_images(images)).astype(int)


def of_images(images: Any) -> Any:
    array = np.asarray(images, dtype=float)
    return expit(10 * (array.reshape(len(array), -1)[:, ::2].mean(axis=1) - 0.45))


def of_both(frame: pd.DataFrame) -> Any:
    """A model of the images alone, that is given the ages as well."""
    assert list(frame.columns) == ["image", "age"] and frame["age"].dtype.kind == "i"
    return of_images(np.stack(frame["image"]))


def scores(result: Result) -> pd.DataFrame:
    table = result.score_table
    assert table is not None
    return pd.DataFrame({name: table.column(name) for name in table.columns if name.startswith(("clean", "score/"))})


@pytest.mark.parametrize("named", [{}, {"params": {"columns": ["image"]}}, {"params": {"columns": "image"}}])
def test_an_image_among_other_inputs_is_perturbed_like_one_alone(
    images: Any, ages: Any, labels: Any, named: Any
) -> None:
    asked = [{**each, **named} for each in (DARK, BLUR)]
    alone = probe(of_images, images, labels, {"perturbations": [DARK, BLUR]})
    among = probe(of_both, {"image": images, "age": ages}, labels, {"perturbations": asked})
    pd.testing.assert_frame_equal(scores(among), scores(alone))
    assert among.tests["blur"].unit == alone.tests["blur"].unit
    frame = pd.DataFrame({"image": list(images), "age": ages})
    again = probe(of_both, frame, labels, {"perturbations": asked})
    assert again.metrics == among.metrics and again.data_sha256 == among.data_sha256


def test_any_layout_and_type_of_pixels(images: Any, ages: Any, labels: Any) -> None:
    pixels = (images * 255).round().astype(np.uint8)
    alone = probe(lambda x: of_images(x / 255), pixels, labels, {"perturbations": [DARK, BLUR]})
    among = probe(
        lambda frame: of_images(np.stack(frame["image"]) / 255),
        {"image": pixels.transpose(0, 3, 1, 2), "age": ages},
        labels,
        {"perturbations": [DARK, BLUR]},
    )
    np.testing.assert_allclose(scores(among), scores(alone), atol=1e-6)


def test_random_draws_and_other_kinds_of_test(images: Any, ages: Any, labels: Any) -> None:
    recipe = {"perturbations": [NOISE, "tabular.noise"], "properties": ["age"], "class_test": True}
    data = {"image": images, "age": ages}
    first, second = (probe(of_both, data, labels, recipe) for _ in range(2))
    assert first.metrics == second.metrics
    assert first.metrics["sensie/noise/mean_drop"] != 0
    assert first.metrics["sensie/tabular.noise/mean_drop"] == pytest.approx(
        0
    )  # of the numbers, which the model does not look at
    auto = probe(of_both, data, labels)
    assert set(auto.tests) == {"age", "tabular.noise", "class"}


def test_all_columns_of_images_or_those_that_are_named(images: Any, labels: Any) -> None:
    def model(frame: pd.DataFrame) -> Any:
        return (of_images(np.stack(frame["left"])) + of_images(np.stack(frame["right"]))) / 2

    data = {"left": images, "right": images[:, ::-1]}
    found = {
        name: probe(model, data, labels, {"perturbations": [{**DARK, "params": params}]}).metrics
        for name, params in {"both": {}, "left": {"columns": ["left"]}, "right": {"columns": ["right"]}}.items()
    }
    drops = {name: metrics["sensie/dark/mean_drop"] for name, metrics in found.items()}
    assert drops["both"] == pytest.approx(drops["left"] + drops["right"]) and 0 < drops["left"] < drops["both"]


def test_a_property_of_the_image(images: Any, ages: Any, labels: Any) -> None:
    asked = {"properties": [{"name": "ink", "of": "image.mean"}]}
    among = probe(of_both, {"image": images, "age": ages}, labels, asked)
    assert among.metrics == pytest.approx(probe(of_images, images, labels, asked).metrics)
    two = {"left": images, "right": images}
    with pytest.raises(DataError, match="property 'ink': the columns left, right fit; measure one of them by"):
        probe(lambda frame: of_images(np.stack(frame["left"])), two, labels, asked)


def test_a_series_among_other_inputs(labels: Any, ages: Any) -> None:
    series = np.random.default_rng(3).normal(labels[:, None], 1, (N, 20))
    result = probe(
        lambda frame: expit(np.stack(frame["pulse"]).mean(axis=1) * 4 - 2),
        {"pulse": series, "age": ages},
        labels,
        {"perturbations": ["series.noise"]},
    )
    assert result.tests["series.noise"].ok


def test_images_in_a_parquet_file(images: Any, ages: Any, labels: Any, tmp_path: Path) -> None:
    cells = [image[..., 0].tolist() for image in images]
    pd.DataFrame({"image": cells, "age": ages, "y": labels}).to_parquet(tmp_path / "x.parquet")

    def model(frame: pd.DataFrame) -> Any:
        return of_images(np.stack([np.stack(cell) for cell in frame["image"]]))

    streamed = probe(model, from_parquet(tmp_path / "x.parquet", "y"), recipe={"perturbations": [BLUR]})
    alone = probe(of_images, images, labels, {"perturbations": [BLUR]})
    np.testing.assert_allclose(scores(streamed), scores(alone), atol=1e-6)


def test_a_dataset_of_several_inputs(images: Any, ages: Any, labels: Any) -> None:
    dataset = from_tensors({"image": images, "age": ages}, labels)
    result = probe(of_both, dataset, recipe={"perturbations": [DARK]})
    assert result.n == N and result.tests["dark"].ok
    assert list(dataset.to_evaluation_dataset().features_data.columns) == ["image", "age"]


@pytest.mark.parametrize(
    ("spec", "error", "said"),
    [
        ({**DARK, "params": {"columns": ["age"]}}, DataError, "'age' is no column of arrays of kind tensor; .*: image"),
        ({**DARK, "params": {"columns": ["nope"]}}, DataError, "'nope' is no column of arrays"),
        ({**DARK, "params": {"columns": "nope"}}, DataError, "'nope' is no column of arrays"),
        ({**DARK, "params": {"columns": []}}, DataError, "perturbation 'dark': columns is empty; name"),
        ("series.noise", RecipeError, "works on series inputs, these are tabular"),
        ({**DARK, "params": {"wrong": 1}}, RecipeError, "does not take params"),
    ],
)
def test_what_does_not_fit_is_refused(
    images: Any, ages: Any, labels: Any, spec: Any, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        probe(of_both, {"image": images, "age": ages}, labels, {"perturbations": [spec]})


def test_an_unknown_pixel_range_and_lengths_that_differ(images: Any, ages: Any, labels: Any) -> None:
    with pytest.raises(DataError, match="tells no pixel range"):
        probe(of_both, {"image": images * 3, "age": ages}, labels, {"perturbations": [DARK]})
    with pytest.raises(DataError, match="inputs by name need one length"):
        probe(of_both, {"image": images, "age": ages[:5]}, labels, {"perturbations": [DARK]})


class Broken(Perturbation):
    """One row of every image is lost."""

    kind = "tensor"
    default_magnitudes = (1.0, 2.0)

    def apply(self, prepared: Any, magnitude: float, draws: Any) -> Any:
        return np.where(np.arange(5)[:, None, None] == 2, np.nan, prepared).astype(prepared.dtype)


class Turned(Broken):
    def apply(self, prepared: Any, magnitude: float, draws: Any) -> Any:
        return prepared.swapaxes(1, 2).copy()


class Emptied(Broken):
    """One row of every image is lost, as it says of itself."""

    @property
    def makes_missing(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (Broken(), "column 'image': it returned 384 values that are NaN or infinite"),
        (Turned(), "column 'image': it must keep the shape (64, 5, 6, 1); (64, 6, 5, 1) came"),
    ],
    ids=["NaN", "turned"],
)
def test_cells_that_are_no_perturbed_versions_fail_their_test(
    images: Any, ages: Any, labels: Any, made: Perturbation, said: str
) -> None:
    recipe = {"perturbations": [{"name": "broken", "apply": made}, DARK], "on_error": "record"}
    result = probe(of_both, {"image": images, "age": ages}, labels, recipe)
    assert result.tests["dark"].ok and list(result.failed) == ["broken"]
    assert said in result.failed["broken"]


def test_cells_may_be_lost_where_the_perturbation_says_so(images: Any, ages: Any, labels: Any) -> None:
    def model(frame: pd.DataFrame) -> Any:
        return of_images(np.nan_to_num(np.stack(frame["image"])))

    recipe = {"perturbations": [{"name": "lost", "apply": Emptied()}]}
    assert not probe(model, {"image": images, "age": ages}, labels, recipe).failed


def test_each_column_is_surveyed_once(images: Any, ages: Any, labels: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    take_survey = columnwise.take_survey

    def counting(examples: Any, *rest: Any) -> Any:
        seen.append((examples.input_format.kind, *examples.source.columns))
        return take_survey(examples, *rest)

    monkeypatch.setattr(columnwise, "take_survey", counting)
    data = {"image": images, "other": images, "age": ages, "pulse": np.zeros((N, 7))}
    recipe = Recipe(
        perturbations=[DARK, BLUR, NOISE, {**DARK, "name": "one", "params": {"columns": ["image"]}}],
        properties=["age"],
    )
    make_plan(recipe, make_examples(Data(as_table(data), labels)))
    assert sorted(seen) == [("tabular", *data), ("tensor", "image"), ("tensor", "other")]


def test_the_layout_is_that_of_cells_of_three_axes(images: Any, labels: Any) -> None:
    """Four rows could as well be channels; a grey image beside them has neither."""
    data = {"wide": np.repeat(images[:, :4], 3, axis=3), "grey": images[..., 0]}
    spec = Recipe(perturbations=[DARK], layout="NHWC")
    examples = make_examples(Data(as_table(data), labels))
    with pytest.raises(DataError, match="the layout of examples of shape \\(4, 6, 3\\) is ambiguous"):
        make_plan(Recipe(perturbations=[DARK]), examples)
    made = make_plan(spec, examples).tests[0].perturbation
    assert isinstance(made, ColumnwisePerturbation)
    assert {name: part.input_format.layout for name, part in made.parts.items()} == {"wide": "NHWC", "grey": "NHW"}


@pytest.mark.parametrize("row", [0, 5, N - 1])
def test_cells_that_are_missing_are_said(images: Any, ages: Any, labels: Any, row: int) -> None:
    cells = [None if index == row else image for index, image in enumerate(images)]
    frame = pd.DataFrame({"image": pd.Series(cells, dtype=object), "age": ages})
    with pytest.raises(DataError, match="1 of .* cells in column 'image' hold no array; drop those rows"):
        make_plan(Recipe(perturbations=[DARK]), make_examples(Data(frame, labels)))
