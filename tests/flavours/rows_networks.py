"""Rows of networks: Keras, PyTorch and ONNX, of tables and of images in every layout, with their known weights."""

from __future__ import annotations

from typing import Any

import mlflow
import numpy as np

from flavours.known import FEATURES, IMAGES, LINE, MEAN, NAMES, SD, SIDE, THREE, TWO, W_IMAGE, B, W, images, table
from flavours.row import Made, Row, columns, logged, tensors

SIGNED, BARE, COLUMNS = "by URI, with a tensor signature", "by URI, without a signature", "by URI, with named columns"
PIXELS = {"value_range": [0, 1]}


def flat() -> Any:
    """The images as MLflow takes them: a row each."""
    return images().reshape(len(images()), -1)


def normalised(stack: Any) -> Any:
    return ((stack - MEAN) / SD).astype(np.float32)


# The same function of normalised pixels: (x·SD + MEAN)·W + B.
W_NORMALISED, B_NORMALISED = W_IMAGE * SD, B + MEAN * W_IMAGE.sum(axis=0)


# --- Keras -------------------------------------------------------------------------------------------------


def dense(weights: Any, bias: Any, activation: str | None = None, shape: tuple[int, ...] = (4,)) -> Any:
    import keras

    last = keras.layers.Dense(len(bias), activation=activation)
    model = keras.Sequential([keras.Input(shape), *([keras.layers.Flatten()] if len(shape) > 1 else []), last])
    last.set_weights([weights, bias])
    return model


def of_four_inputs() -> Any:
    """Each feature an input of its own, named, in an order that is not the alphabet's."""
    import keras

    inputs = {name: keras.Input((1,), name=name) for name in ("b", "d", "a", "c")}
    last = keras.layers.Dense(3, activation="softmax")
    together = keras.layers.Concatenate()([inputs[name] for name in FEATURES])
    model = keras.Model(list(inputs.values()), last(together))
    last.set_weights([W, B])
    return model


def log_keras(model: Any, signature: Any = None, data: Any = None) -> Made:
    return Made(logged(mlflow.keras.log_model, model, signature=signature), data)


KERAS = {"needs": ("keras",)}
MODELS_OF_KERAS = [
    Row("Keras, softmax", SIGNED, THREE, lambda: log_keras(dense(W, B, "softmax"), tensors(_=(4,))), **KERAS),
    Row("Keras, softmax", BARE, THREE, lambda: log_keras(dense(W, B, "softmax")), **KERAS),
    Row("Keras, logits", SIGNED, THREE,
        lambda: log_keras(dense(W, B), tensors(_=(4,))), recipe={"output": "logits"}, **KERAS),
    Row("Keras, one sigmoid column", SIGNED, TWO,
        lambda: log_keras(dense(W[:, :1], B[:1], "sigmoid"), tensors(_=(4,))), **KERAS),
    Row("Keras, one sigmoid column, string classes", SIGNED, TWO,
        lambda: log_keras(dense(W[:, :1], B[:1], "sigmoid"), tensors(_=(4,))),
        recipe={"pos_label": "leaves"}, targets="names", **KERAS),
    Row("Keras, several inputs", "by URI, with a signature of named tensors", THREE,
        lambda: log_keras(of_four_inputs(), tensors(b=(1,), d=(1,), a=(1,), c=(1,))), **KERAS),
    Row("Keras, several inputs", BARE, THREE, lambda: log_keras(of_four_inputs()), **KERAS),
    Row("Keras, several inputs", "given to probe", THREE, lambda: Made(of_four_inputs()), door="probe", **KERAS),
    Row("Keras, regression", SIGNED, LINE,
        lambda: log_keras(dense(W[:, :1], B[:1]), tensors(_=(4,))), "neg_absolute_error", **KERAS),
    Row("Keras, images (NHWC) as flat rows", SIGNED, IMAGES,
        lambda: log_keras(dense(W_IMAGE, B, "softmax", (SIDE, SIDE, 1)), tensors(_=(SIDE, SIDE, 1)), flat()),
        recipe=PIXELS, **KERAS),
]  # fmt: skip


# --- PyTorch -----------------------------------------------------------------------------------------------


def linear(weights: Any, bias: Any) -> Any:
    import torch

    last = torch.nn.Linear(*weights.shape)
    with torch.no_grad():
        last.weight.copy_(torch.tensor(weights.T))
        last.bias.copy_(torch.tensor(bias))
    return torch.nn.Sequential(torch.nn.Flatten(), last).eval()


def log_torch(model: Any, signature: Any = None, data: Any = None) -> Made:
    options = {"serialization_format": "pickle"} if mlflow.__version__ >= "3" else {}
    return Made(logged(mlflow.pytorch.log_model, model, signature=signature, **options), data)


def exported() -> Made:
    """MLflow 3's default format: a program exported for an example."""
    options = {"input_example": flat()[:2, :4].astype(np.float32), "serialization_format": "pt2"}
    return Made(logged(mlflow.pytorch.log_model, linear(W, B), signature=tensors(_=(4,)), **options))


LOGITS: dict[str, Any] = {"output": "logits"}
TORCH: dict[str, Any] = {"needs": ("torch",)}
NCHW = tensors(_=(1, SIDE, SIDE))
MODELS_OF_TORCH = [
    Row("PyTorch, logits", SIGNED, THREE, lambda: log_torch(linear(W, B), tensors(_=(4,))), recipe=LOGITS, **TORCH),
    Row("PyTorch, logits", COLUMNS, THREE, lambda: log_torch(linear(W, B), columns()), recipe=LOGITS, **TORCH),
    Row("PyTorch, logits", BARE, THREE, lambda: log_torch(linear(W, B), data=table()[FEATURES]),
        recipe={**LOGITS, "property_table": {"site": table()["site"]}}, **TORCH),
    Row("PyTorch, logits, an exported program (pt2)", SIGNED, THREE, exported, recipe=LOGITS, **TORCH),
    Row("PyTorch, logits", "a module given to probe", THREE,
        lambda: Made(linear(W, B), table()[FEATURES]), door="probe",
        recipe={**LOGITS, "property_table": {"site": table()["site"]}}, **TORCH),
    Row("PyTorch, one logit", SIGNED, TWO,
        lambda: log_torch(linear(W[:, :1], B[:1]), tensors(_=(4,))), recipe=LOGITS, **TORCH),
    Row("PyTorch, images (NCHW, float32) as flat rows", SIGNED, IMAGES,
        lambda: log_torch(linear(W_IMAGE, B), NCHW, flat()), recipe={**LOGITS, **PIXELS}, **TORCH),
    Row("PyTorch, normalised images (NCHW, float32) as flat rows", SIGNED, IMAGES,
        lambda: log_torch(linear(W_NORMALISED, B_NORMALISED), NCHW, normalised(flat())),
        recipe={**LOGITS, "value_range": {"mean": MEAN, "std": SD}}, **TORCH),
]  # fmt: skip


# --- ONNX --------------------------------------------------------------------------------------------------


def onnx_graph(weights: Any, bias: Any, *outputs: str, shape: tuple[int, ...] = (4,)) -> Any:
    """Flatten, multiply, add and softmax, with a label beside the probabilities where it is asked for."""
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("MatMul", ["flat", "W"], ["product"]),
        helper.make_node("Add", ["product", "B"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["logits"], ["label"], axis=1, keepdims=0),
    ]
    kinds = {
        "logits": (TensorProto.FLOAT, [None, 3]), "probabilities": (TensorProto.FLOAT, [None, 3]),
        "label": (TensorProto.INT64, [None]),
    }  # fmt: skip
    graph = helper.make_graph(
        nodes, "known",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, *shape])],
        [helper.make_tensor_value_info(name, *kinds[name]) for name in outputs],
        [numpy_helper.from_array(np.float32(values), name) for name, values in (("W", weights), ("B", bias))],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def log_onnx(model: Any, signature: Any = None, data: Any = None) -> Made:
    return Made(logged(mlflow.onnx.log_model, model, signature=signature), data)


ONNX: dict[str, Any] = {"needs": ("onnx", "onnxruntime")}
MODELS_OF_ONNX = [
    Row("ONNX, probabilities", SIGNED, THREE,
        lambda: log_onnx(onnx_graph(W, B, "probabilities"), tensors(x=(4,))), **ONNX),
    Row("ONNX, probabilities", COLUMNS, THREE,
        lambda: log_onnx(onnx_graph(W, B, "probabilities"), columns()), **ONNX),
    Row("ONNX, a label and probabilities", COLUMNS, THREE,
        lambda: log_onnx(onnx_graph(W, B, "label", "probabilities"), columns()),
        recipe={"predictions": "probabilities", "label_list": NAMES}, targets="names", **ONNX),
    Row("ONNX, logits of images (NCHW) as flat rows", SIGNED, IMAGES,
        lambda: log_onnx(onnx_graph(W_IMAGE, B, "logits", shape=(1, SIDE, SIDE)), NCHW, flat()),
        recipe={**LOGITS, **PIXELS}, **ONNX),
]  # fmt: skip

ROWS = [*MODELS_OF_KERAS, *MODELS_OF_TORCH, *MODELS_OF_ONNX]
