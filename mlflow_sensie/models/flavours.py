"""How each library's models are called, and what they say of themselves; none of the libraries is imported."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mlflow_sensie.data.types import Inputs
from mlflow_sensie.errors import ModelError
from mlflow_sensie.models.signature import InputSchema, Tensor

Call = Callable[[Any], Any]

# Flavours whose wrapped model has a predict_proba of its own, which pyfunc's predict does not reach.
PROBABILITY_FLAVOURS = ("mlflow.sklearn", "mlflow.xgboost", "mlflow.lightgbm", "mlflow.catboost")
ARRAY_FLAVOURS = ("mlflow.keras", "mlflow.tensorflow", "mlflow.pytorch", "mlflow.onnx")

TRAINING = (
    "the network is in training mode, in which dropout and batch normalisation change what it predicts; "
    "call its eval() before it is logged or evaluated"
)


def task_of(model: Any) -> str | None:
    """Return what scikit-learn's estimators say of themselves (``_estimator_type`` before 1.6, tags since)."""
    kind = getattr(model, "_estimator_type", None)
    if kind is None and hasattr(model, "__sklearn_tags__"):
        with contextlib.suppress(Exception):  # third-party estimators may answer in any way
            kind = model.__sklearn_tags__().estimator_type
    return kind if kind in ("classifier", "regressor") else None


def classes_of(model: Any) -> tuple[Any, ...] | None:
    """Return ``classes_``, or the labels of a transformers pipeline; ``None`` for one list of them per output."""
    if is_from(model, "transformers"):
        return _pipeline_labels(model)
    classes = getattr(model, "classes_", None)
    known = isinstance(classes, np.ndarray | list) and all(np.ndim(label) == 0 for label in classes)
    return tuple(np.asarray(classes).tolist()) if known else None


def is_from(model: Any, *packages: str) -> bool:
    """Whether the model's class, or one that it inherits from, is defined in one of these packages."""
    return any(kind.__module__.split(".")[0] in packages for kind in type(model).__mro__)


def as_texts(model: Any, call: Call) -> Call:
    """Hand scikit-learn's text vectorisers the texts: of a frame they would read the column names."""
    first = model.steps[0][1] if hasattr(model, "steps") else model
    if not hasattr(first, "build_analyzer"):
        return call
    return lambda inputs: call(inputs.iloc[:, 0] if isinstance(inputs, pd.DataFrame) else inputs)


def booster_call(model: Any) -> Call | None:
    """Return a call on frames and arrays of XGBoost's native Booster, whose ``predict`` takes a matrix of its own."""
    if not (is_from(model, "xgboost") and hasattr(model, "inplace_predict")):
        return None
    matrix = sys.modules[type(model).__module__].DMatrix
    return lambda inputs: model.predict(matrix(inputs))


def is_keras(model: Any) -> bool:
    """Whether this is a Keras model."""
    return is_from(model, "keras", "tf_keras")


def keras_call(model: Any) -> Call:
    """Return ``predict`` without its progress bar; of several outputs by name, with their names.

    The bar's global switch is one per thread, and the bar is drawn from another one.
    """
    names = getattr(model, "output_names", None) or []
    call = functools.partial(model.predict, verbose=0)

    def named(inputs: Any) -> Any:
        outputs = call(inputs)
        return outputs if isinstance(outputs, Mapping) else dict(zip(names, outputs, strict=True))

    return named if len(names) > 1 else call


def keras_schema(model: Any) -> InputSchema:
    """Return what a Keras model says of its own inputs; empty where it was never built."""
    inputs = getattr(model, "inputs", None) or []
    tensors = {str(tensor.name): Tensor(_fixed(tensor.shape[1:]), np.dtype(tensor.dtype)) for tensor in inputs}
    if len(tensors) == 1:
        return InputSchema(shape=next(iter(tensors.values())).shape)
    return InputSchema(tuple(tensors), tensors=tensors) if tensors else InputSchema()


def _fixed(shape: Sequence[Any]) -> tuple[int, ...] | None:
    """The shape of one example, where every side is a number above 0."""
    known = all(isinstance(side, int) and side > 0 for side in shape)
    return tuple(shape) if shape and known else None


def is_torch(model: Any) -> bool:
    """Whether this is a ``torch.nn.Module``."""
    return is_from(model, "torch") and hasattr(model, "parameters") and callable(model)


def torch_call(model: Any) -> Call:
    """Return a call of a module on arrays: floats in the precision of its weights, integers as indices."""
    like = next(iter(model.parameters()))

    def call(inputs: Inputs) -> Any:
        array = inputs.to_numpy() if isinstance(inputs, pd.DataFrame) else inputs
        return model(like.new_tensor(array) if array.dtype.kind == "f" else like.new_tensor(array).long())

    return call


def in_precision_of(model: Any, call: Call) -> Call:
    """Cast floats to the precision of a module's weights, which MLflow does for frames and not for arrays."""
    weights = next(iter(model.parameters()), None)
    dtype = np.dtype("float64" if str(getattr(weights, "dtype", "")) == "torch.float64" else "float32")

    def cast(inputs: Any) -> Any:
        float_array = isinstance(inputs, np.ndarray) and inputs.dtype.kind == "f"
        return call(inputs.astype(dtype, copy=False) if float_array else inputs)

    return cast


def torch_warnings(model: Any) -> tuple[str, ...]:
    """Say so of a network that was left in training mode."""
    exported = is_from(model, "torch") and type(model).__module__.startswith("torch.fx")  # its mode is fixed
    return (TRAINING,) if is_torch(model) and not exported and getattr(model, "training", False) else ()


ONNX_TYPES = {
    "float": "float32", "double": "float64", "float16": "float16", "string": "object", "bool": "bool",
    "int8": "int8", "int16": "int16", "int32": "int32", "int64": "int64",
    "uint8": "uint8", "uint16": "uint16", "uint32": "uint32", "uint64": "uint64",
}  # fmt: skip


def onnx_schema(session: Any, signature: InputSchema) -> InputSchema:
    """Return what an ONNX session says of its inputs, which are tensors with names, whatever was logged.

    The signature's column names, where it has any, say which columns make the only tensor, and in which order.
    """
    tensors = {tensor.name: _onnx_tensor(tensor) for tensor in session.get_inputs()}
    alone = next(iter(tensors.values())) if len(tensors) == 1 else Tensor()
    return InputSchema(
        signature.names if len(tensors) == 1 else tuple(tensors),
        shape=signature.shape or alone.shape,
        dtype=alone.dtype,
        tensors=tensors,
    )


def _onnx_tensor(described: Any) -> Tensor:
    name = described.type.removeprefix("tensor(").removesuffix(")")
    if name not in ONNX_TYPES:
        raise ModelError(f"the ONNX input {described.name!r} is a {described.type}; {', '.join(ONNX_TYPES)} are read")
    return Tensor(_fixed(described.shape[1:]), np.dtype(ONNX_TYPES[name]))


def texts_call(call: Call) -> Call:
    """Return a call with the list of texts: MLflow wants the column of a frame to be called ``text``."""
    return lambda inputs: call((inputs.iloc[:, 0] if isinstance(inputs, pd.DataFrame) else inputs).tolist())


def read_answers(pipeline: Any, call: Call) -> Call:
    """Turn what a classification pipeline answers into columns.

    With ``top_k=None`` that is the score of each label, in the model's own order; else label and score.

    Raises:
        ModelError: it gives the scores of some labels only.
    """
    labels = _pipeline_labels(pipeline)

    def read(inputs: Any) -> Any:
        frame = pd.DataFrame(call(inputs))
        nested = len(frame) > 0 and isinstance(frame.iloc[0, 0], dict)
        if not labels or not (nested or "label" in frame):
            return frame
        if frame.shape[1] == 1:  # top_k=1
            frame = pd.DataFrame(frame.iloc[:, 0].tolist())
        elif nested:
            frame = pd.DataFrame([{cell["label"]: cell["score"] for cell in row} for row in frame.to_numpy()])
            if frame.shape[1] < len(labels) or frame.isna().to_numpy().any():
                raise ModelError(
                    f"the pipeline scores only some of its {len(labels)} labels; log it with model_config="
                    "{'top_k': None}, or leave top_k out"
                )
            return frame[list(labels)]
        return frame["score"] if len(labels) == 1 else frame

    return read


def _pipeline_labels(pipeline: Any) -> tuple[str, ...] | None:
    names = getattr(getattr(getattr(pipeline, "model", None), "config", None), "id2label", None)
    return tuple(str(names[number]) for number in sorted(names)) if isinstance(names, dict) and names else None
