"""Images in frames, as paths, encoded bytes or arrays: what the model gets, through MLflow and without."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import PIL.Image
import pytest
from flavours.logged import draw_nothing, evaluate, log_model
from mlflow.models import ModelSignature, infer_signature
from mlflow.types import ColSpec, DataType, Schema
from scipy.special import expit

import mlflow_sensie
from mlflow_sensie.data.images import decode_images, encode_images
from mlflow_sensie.errors import DataError

N = 60
RECIPE: dict[str, Any] = {
    "properties": [{"name": "ink", "of": "image.mean"}, "site"],
    "perturbations": [{"name": "dark", "apply": "image.brightness", "magnitudes": [-0.4, -0.2, 0]}],
}


@pytest.fixture(autouse=True)
def quick_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    draw_nothing(monkeypatch)


@pytest.fixture(scope="module")
def images() -> Any:
    rng = np.random.default_rng(0)
    level = rng.uniform(50, 200, (N, 1, 1, 1))
    return np.clip(rng.normal(level, 20, (N, 6, 8, 3)), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def rest(images: Any) -> pd.DataFrame:
    """What stands beside the images: a property and the targets."""
    rng = np.random.default_rng(1)
    y = (rng.random(N) < expit(images.mean(axis=(1, 2, 3)) / 20 - 6)).astype(int)
    return pd.DataFrame({"site": rng.choice(["x", "y"], N), "y": y})


@pytest.fixture(scope="module")
def columns(images: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    folder = tmp_path_factory.mktemp("images")
    paths = []
    for index, image in enumerate(images):
        paths.append(str(folder / f"{index}.png"))
        PIL.Image.fromarray(image).save(paths[-1])
    return {"paths": paths, "bytes": [Path(path).read_bytes() for path in paths], "arrays": list(images)}


def bright(images: Any) -> Any:
    return expit(np.asarray(images, dtype=float).mean(axis=(1, 2, 3)) / 20 - 6)


class OfTensors(mlflow.pyfunc.PythonModel):
    """Takes (n, 6, 8, 3) of integers, or (n, 3, 6, 8)."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        assert isinstance(model_input, np.ndarray) and model_input.dtype == np.uint8
        return bright(model_input)


class OfBytes(mlflow.pyfunc.PythonModel):
    """Takes a frame with a column of encoded images."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        assert list(model_input.columns) == ["image"]
        return bright(np.stack([np.asarray(PIL.Image.open(io.BytesIO(cell))) for cell in model_input["image"]]))


@pytest.fixture(scope="module")
def wanted(images: Any, rest: pd.DataFrame) -> Any:
    model = lambda inputs: bright(np.rint(inputs))
    return mlflow_sensie.probe(model, images, rest["y"], RECIPE, metadata=rest[["site"]])


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
@pytest.mark.parametrize("kind", ["paths", "bytes", "arrays"])
def test_a_model_of_tensors_gets_tensors(
    images: Any,
    rest: pd.DataFrame,
    columns: dict[str, list[Any]],
    wanted: Any,
    experiment_id: str,
    kind: str,
    layout: str,
) -> None:
    if (kind, layout) == ("arrays", "NCHW"):
        pytest.skip("arrays lie as the user made them; only images that we decode are put into another layout")
    example = images[:2] if layout == "NHWC" else images[:2].transpose(0, 3, 1, 2)
    signature = infer_signature(example, np.zeros(2))
    model = log_model(mlflow.pyfunc.log_model, python_model=OfTensors(), signature=signature)
    frame = rest.assign(image=columns[kind])[["site", "image", "y"]]
    done = evaluate(model.model_uri, frame, RECIPE, targets="y")
    assert done.ours == pytest.approx(wanted.metrics, rel=1e-6)
    if layout == "NHWC":
        assert done.result().data_sha256 == wanted.data_sha256


@pytest.mark.parametrize("kind", ["paths", "bytes"])
def test_a_function_gets_arrays_where_the_recipe_says_tensor(
    rest: pd.DataFrame, columns: dict[str, list[Any]], wanted: Any, experiment_id: str, kind: str
) -> None:
    model = lambda inputs: bright(np.rint(inputs))
    frame = rest.assign(image=columns[kind])
    done = evaluate(model, frame, {**RECIPE, "kind": "tensor"}, targets="y")
    assert done.ours == pytest.approx(wanted.metrics, rel=1e-9)
    assert done.result().data_sha256 == wanted.data_sha256


def test_a_model_of_bytes_gets_bytes(
    rest: pd.DataFrame, columns: dict[str, list[Any]], wanted: Any, experiment_id: str
) -> None:
    """Its images are perturbed as pixels, and encoded again without loss."""
    signature = ModelSignature(Schema([ColSpec(DataType.binary, "image")]), Schema([ColSpec(DataType.double)]))
    model = log_model(mlflow.pyfunc.log_model, python_model=OfBytes(), signature=signature)
    done = evaluate(model.model_uri, rest.assign(image=columns["bytes"]), RECIPE, targets="y")
    assert done.ours == pytest.approx(wanted.metrics, rel=1e-9)
    assert done.result().data_sha256 == wanted.data_sha256


def test_a_model_that_opens_paths_itself_cannot_be_perturbed(
    rest: pd.DataFrame, columns: dict[str, list[Any]], experiment_id: str
) -> None:
    class OfPaths(mlflow.pyfunc.PythonModel):
        def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
            return bright(np.stack([np.asarray(PIL.Image.open(cell)) for cell in model_input["image"]]))

    signature = ModelSignature(Schema([ColSpec(DataType.string, "image")]), Schema([ColSpec(DataType.double)]))
    model = log_model(mlflow.pyfunc.log_model, python_model=OfPaths(), signature=signature)
    frame = rest.assign(image=columns["paths"])
    with mlflow.start_run(), pytest.raises(DataError, match="the model opens the paths in column 'image' itself"):
        mlflow.models.evaluate(
            model.model_uri, frame, targets="y", model_type="classifier", evaluators=["sensie"],
            evaluator_config={"sensie": {**RECIPE, "kind": "tensor"}},
        )  # fmt: skip
    properties = evaluate(model.model_uri, frame, {"properties": ["site"]}, targets="y")  # which change no pixel
    assert properties.ours["sensie/clean_score"] > 0.5


# --- decoding ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 3)])
def test_what_is_encoded_is_decoded_to_the_same(shape: tuple[int, ...], rng: np.random.Generator) -> None:
    pixels = rng.integers(0, 256, (3, *shape)).astype(float)
    np.testing.assert_array_equal(decode_images(encode_images(pixels)), pixels)
    np.testing.assert_array_equal(decode_images(encode_images(pixels + 0.4)), pixels)
    assert decode_images(encode_images(pixels + 1000)).min() == 255


@pytest.mark.parametrize(
    ("mode", "shape", "dtype"),
    [("RGB", (4, 5, 3), "uint8"), ("L", (4, 5), "uint8"), ("RGBA", (4, 5, 3), "uint8"), ("P", (4, 5, 3), "uint8"),
     ("1", (4, 5), "uint8"), ("I;16", (4, 5), "uint16")],
)  # fmt: skip
def test_images_of_every_mode(tmp_path: Path, mode: str, shape: tuple[int, ...], dtype: str) -> None:
    made = PIL.Image.new(mode, (5, 4)) if mode == "I;16" else PIL.Image.new("RGB", (5, 4), (9, 8, 7)).convert(mode)
    made.save(tmp_path / "x.png")
    found = decode_images([tmp_path / "x.png", str(tmp_path / "x.png")])
    assert found.shape == (2, *shape) and found.dtype == dtype
    assert decode_images([tmp_path / "x.png"], (2, 3), "RGB").shape == (1, 2, 3, 3)


def test_images_of_several_shapes_are_refused_by_name(tmp_path: Path) -> None:
    for name, size in (("a", (5, 4)), ("b", (5, 6))):
        PIL.Image.new("L", size).save(tmp_path / f"{name}.png")
    with pytest.raises(DataError, match=r"\(4, 5\) and \(6, 5\) came .*b.png.*size="):
        decode_images([tmp_path / "a.png", tmp_path / "b.png"])
