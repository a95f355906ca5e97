"""Tensors, folders of images and large tables as MLflow Datasets: logged, evaluated, read again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import PIL.Image
import pytest
from flavours.logged import draw_nothing, evaluate, log_model
from mlflow.models import infer_signature

import mlflow_sensie
from doors.predictors import TABLE, bright, classify
from mlflow_sensie.data.lazy_rows import LazyRows
from mlflow_sensie.errors import DataError

N = 80
RECIPE: dict[str, Any] = {
    "properties": [{"name": "ink", "of": "image.mean"}, "age"],
    "perturbations": [{"name": "dark", "apply": "image.brightness", "magnitudes": [-0.4, -0.2, 0]}],
}
NO_SHAP = {"log_model_explainability": False}


@pytest.fixture(autouse=True)
def quick_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    draw_nothing(monkeypatch)


def bright_of_255(inputs: Any) -> Any:
    """The same of pixels from 0 to 255."""
    return bright(np.asarray(inputs) / 255)


class Bright(mlflow.pyfunc.PythonModel):
    """The same as a logged model, that says how sure it is or only which class."""

    def __init__(self, hard: bool = False, scale: int = 1) -> None:
        self.hard, self.scale = hard, scale

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        p = bright(model_input / self.scale)
        return (p > 0.5).astype(int) if self.hard else p


# --- tensors -------------------------------------------------------------------------------------------------


def test_tensors_are_evaluated_as_they_are(images: Any, labels: Any, ages: Any, experiment_id: str) -> None:
    ids = np.array([f"image-{i}" for i in range(N)])
    dataset = mlflow_sensie.from_tensors(images, labels, properties={"age": ages}, ids=ids, name="squares")
    done = evaluate(bright, dataset, RECIPE)
    wanted = mlflow_sensie.probe(bright, images, labels, RECIPE, metadata=pd.DataFrame({"age": ages}))
    result = done.result()
    assert result.metrics == wanted.metrics and result.data_sha256 == wanted.data_sha256
    scores = pd.read_parquet(mlflow.artifacts.download_artifacts(f"{done.run.info.artifact_uri}/sensie/scores.parquet"))
    assert list(scores["id"]) == list(ids)
    (logged,) = (each.dataset for each in done.run.inputs.dataset_inputs)
    assert (logged.name, logged.digest) == ("squares", dataset.digest) and len(logged.digest) == 8
    assert json.loads(logged.profile)["shape"] == [5, 6, 1] and json.loads(logged.profile)["num_rows"] == N
    assert "mlflow_tensorspec" in logged.schema


@pytest.mark.parametrize("hard", [True, False])
def test_tensors_beside_the_default_evaluator(images: Any, labels: Any, experiment_id: str, hard: bool) -> None:
    """It gets a frame of one column of arrays, which MLflow turns into a tensor for a model that signs for one."""
    model = log_model(mlflow.pyfunc.log_model, python_model=Bright(hard), signature=infer_signature(images, labels))
    dataset = mlflow_sensie.from_tensors(images, labels)
    recipe = {"properties": RECIPE["properties"][:1], "score": "correct" if hard else "probability"}
    options = {"evaluators": ["sensie", "default"], "evaluator_config": {"sensie": recipe, "default": NO_SHAP}}
    model_type = "classifier" if hard else "regressor"
    if not hard:
        recipe["score"] = "neg_absolute_error"
    done = evaluate(model.model_uri, dataset, model_type=model_type, **options)
    both = done.returned.metrics
    if hard:
        assert both["sensie/clean_score"] == pytest.approx(both["accuracy_score"])
    else:
        assert both["sensie/clean_score"] == pytest.approx(-both["mean_absolute_error"])


def test_a_function_gets_arrays_from_us_and_a_frame_of_arrays_from_the_default_evaluator(
    images: Any, labels: Any, experiment_id: str
) -> None:
    seen: set[str] = set()

    def model(inputs: Any) -> Any:
        seen.add(f"{type(inputs).__name__} {inputs.shape[1:]}")
        return (bright(inputs) > 0.5).astype(int)

    options = {
        "evaluators": ["sensie", "default"],
        "evaluator_config": {"sensie": {"class_test": True}, "default": NO_SHAP},
    }
    evaluate(model, mlflow_sensie.from_tensors(images, labels), **options)
    assert seen == {"ndarray (5, 6, 1)", "DataFrame (1,)"}


def test_a_table_given_as_tensors_is_a_table_for_the_default_evaluator(experiment_id: str) -> None:
    rng = np.random.default_rng(3)
    X = rng.normal(size=(60, 2))
    y = X[:, 0] + rng.normal(size=60)
    dataset = mlflow_sensie.from_tensors(X, y, properties={"site": rng.choice(["x", "y"], 60)})
    frame = dataset.to_evaluation_dataset().features_data
    assert list(frame.columns) == ["feature_1", "feature_2", "site"]
    model = lambda inputs: np.asarray(inputs)[:, 0].astype(float)
    options = {
        "evaluators": ["default", "sensie"],
        "evaluator_config": {"sensie": {"properties": ["site", "feature_1"]}, "default": NO_SHAP},
    }
    both = evaluate(model, dataset, model_type="regressor", **options).returned.metrics
    assert both["sensie/clean_score"] == pytest.approx(-both["mean_absolute_error"])


def test_every_pixel_counts_for_the_digest(images: Any, labels: Any, ages: Any) -> None:
    def digest(x: Any = images, y: Any = labels, **more: Any) -> str:
        return mlflow_sensie.from_tensors(x, y, **more).digest

    other = images.copy()
    other[N // 2, 2, 2] += 0.01
    others = [other, images[::-1], images.reshape(N, 6, 5, 1)]
    digests = [
        digest(),
        *map(digest, others),
        digest(y=1 - labels),
        digest(properties={"age": ages}),
        digest(ids=ages * N + np.arange(N)),
    ]
    assert len(set(digests)) == len(digests)
    assert digest(images.astype(float)) == digest() == digest(y=labels.astype(float)) == digest(digest=None)
    assert digest(digest="mine") == "mine"


@pytest.mark.parametrize(
    ("said", "more"),
    [
        ("80 examples but 79 targets", {"targets": np.zeros(79)}),
        ("properties: 2 came for 80 examples", {"properties": {"age": [1, 2]}}),
        ("ids: 2 came for 80 examples", {"ids": [1, 2]}),
    ],
)
def test_what_does_not_belong_together_is_refused_at_once(images: Any, labels: Any, said: str, more: Any) -> None:
    with pytest.raises(DataError, match=said):
        mlflow_sensie.from_tensors(images, **{"targets": labels, **more})


def test_properties_beside_a_path_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="are those of the file"):
        mlflow_sensie.from_tensors(tmp_path / "x.npz", ids=[1, 2])


# --- folders of images ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(images: Any, labels: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    found: Path = tmp_path_factory.mktemp("squares")
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        home = found / ["dull", "lit"][label]
        home.mkdir(exist_ok=True)
        PIL.Image.fromarray((image[..., 0] * 255).astype(np.uint8)).save(home / f"{index:03d}.png")
    return found


def test_a_folder_of_images_is_evaluated_and_read_again(folder: Path, labels: Any, experiment_id: str) -> None:
    dataset = mlflow_sensie.from_image_folder(folder)
    assert isinstance(dataset.sensie_data.inputs, LazyRows)
    recipe = {**RECIPE, "properties": RECIPE["properties"][:1], "label_list": ["dull", "lit"]}
    done = evaluate(bright_of_255, dataset, recipe)
    again = mlflow_sensie.load_dataset(done.run_id)
    assert (again.name, again.digest) == (folder.name, dataset.digest)
    second = mlflow_sensie.probe(bright_of_255, again, recipe=recipe)
    assert second.metrics == done.result().metrics and second.data_sha256 == done.result().data_sha256
    assert list(again.targets) == ["dull"] * int((labels == 0).sum()) + ["lit"] * int(labels.sum())


@pytest.mark.parametrize(
    ("size", "mode", "shape"),
    [(None, None, (5, 6)), ((10, 12), None, (10, 12)), (None, "RGB", (5, 6, 3)), ((3, 4), "RGB", (3, 4, 3))],
)
def test_size_and_mode_are_part_of_how_it_is_read(
    folder: Path, experiment_id: str, size: Any, mode: Any, shape: Any
) -> None:
    dataset = mlflow_sensie.from_image_folder(folder, size, mode=mode, name="squares")
    first = dataset.sensie_data.inputs.take(slice(0, 3))
    assert first.shape == (3, *shape) and first.dtype == np.uint8
    with mlflow.start_run() as run:
        mlflow.log_input(dataset)
    again = mlflow_sensie.load_dataset(run.info.run_id, "squares")
    np.testing.assert_array_equal(again.sensie_data.inputs.take(slice(0, 3)), first)


def test_images_of_a_signed_shape_get_their_axis_of_channels(folder: Path, images: Any, experiment_id: str) -> None:
    stored = np.zeros((2, 5, 6, 1), dtype=np.uint8)
    signature = infer_signature(stored, np.zeros(2))
    model = log_model(mlflow.pyfunc.log_model, python_model=Bright(scale=255), signature=signature)
    recipe = {**RECIPE, "properties": RECIPE["properties"][:1], "label_list": ["dull", "lit"]}
    done = evaluate(model.model_uri, mlflow_sensie.from_image_folder(folder), recipe)
    plain = evaluate(bright_of_255, mlflow_sensie.from_image_folder(folder), recipe)
    assert done.ours["sensie/clean_score"] == pytest.approx(plain.ours["sensie/clean_score"])
    assert done.result().data_sha256 != plain.result().data_sha256  # (5, 6, 1) is another tensor than (5, 6)


def test_a_changed_folder_is_told(folder: Path, tmp_path: Path, experiment_id: str) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    with mlflow.start_run() as run:
        mlflow.log_input(mlflow_sensie.from_image_folder(copy))
    PIL.Image.fromarray(np.zeros((5, 6), np.uint8)).save(next(iter(sorted((copy / "lit").iterdir()))))
    with pytest.raises(DataError, match="is not what its source holds now .*its digest was"):
        mlflow_sensie.load_dataset(run.info.run_id)


# --- tables ----------------------------------------------------------------------------------------------------


def test_a_parquet_file_is_evaluated_without_being_read_whole(
    table: pd.DataFrame, tmp_path: Path, experiment_id: str
) -> None:
    table.to_parquet(tmp_path / "test.parquet")
    dataset = mlflow_sensie.from_parquet(tmp_path / "test.parquet", "y")
    evaluated = dataset.to_evaluation_dataset()
    assert "_features_frame" not in vars(evaluated) and list(evaluated.features_data.columns) == ["a", "b", "site"]
    streamed = evaluate(classify, dataset, TABLE)
    whole = evaluate(classify, table, TABLE, targets="y")
    assert streamed.ours == whole.ours
    assert streamed.result().data_sha256 == whole.result().data_sha256
    assert mlflow_sensie.load_dataset(streamed.run_id).digest == dataset.digest


def test_feature_names_choose_the_inputs(table: pd.DataFrame, tmp_path: Path, experiment_id: str) -> None:
    table.to_parquet(tmp_path / "test.parquet")
    dataset = mlflow_sensie.from_parquet(tmp_path / "test.parquet", "y")
    seen = set()

    def model(frame: pd.DataFrame) -> Any:
        seen.add(tuple(frame.columns))
        return classify(frame)

    evaluate(model, dataset, TABLE, feature_names=["b", "a"])
    assert seen == {("b", "a")}
    with pytest.raises(DataError, match="feature_names: the dataset has no column 'z'"):
        dataset.to_evaluation_dataset(feature_names=["z"])
