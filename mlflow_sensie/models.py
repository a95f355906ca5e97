"""Models: anything that predicts, behind one call; the one place that opens MLflow models."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlflow_sensie.dataset import Inputs
from mlflow_sensie.errors import ModelError

# Flavours whose wrapped model has a predict_proba of its own, which pyfunc's predict does not reach.
PROBABILITY_FLAVOURS = ("mlflow.sklearn", "mlflow.xgboost", "mlflow.lightgbm", "mlflow.catboost")
ARRAY_FLAVOURS = ("mlflow.keras", "mlflow.tensorflow", "mlflow.pytorch", "mlflow.onnx")


@dataclass(frozen=True)
class InputSchema:
    """What the model's signature says of its inputs; all empty where there is no signature.

    ``names`` and ``types`` (MLflow's names, e.g. ``long``) for columns; ``shape`` (without the batch axis)
    and ``dtype`` for a tensor.
    """

    names: tuple[str, ...] | None = None
    types: Mapping[str, str] = field(default_factory=dict)
    shape: tuple[int, ...] | None = None
    dtype: np.dtype[Any] | None = None

    def cast(self, inputs: Inputs) -> Inputs:
        """Return ``inputs`` in the types that the signature enforces; integers are rounded."""
        if isinstance(inputs, np.ndarray):
            return inputs if self.dtype is None else _cast_array(inputs, self.dtype)
        casts: dict[Any, Any] = {}
        for name, column in inputs.items():
            wanted = {"integer": np.int32, "long": np.int64}.get(self.types.get(str(name), ""))
            if wanted and pd.api.types.is_float_dtype(column.dtype) and not column.isna().any():
                casts[name] = column.round().astype(wanted)
            elif self.types.get(str(name)) == "float" and column.dtype == np.float64:
                casts[name] = column.astype(np.float32)
        cast = inputs.copy(deep=False) if casts else inputs
        for name, column in casts.items():
            cast[name] = column
        return cast


@dataclass(frozen=True)
class Predictions:
    """What a model returned: ``values`` (n,) or (n, K); ``columns`` names the K where the model does."""

    values: NDArray[Any]
    columns: tuple[Any, ...] | None = None


@dataclass(frozen=True)
class Model:
    """A model behind one call, with what is known of it.

    ``source`` says what is called (``predict_proba``, ``predict`` or ``function``); ``classes`` is the order
    of the probability columns; ``task`` is ``classifier``, ``regressor`` or ``None`` where it is not known.
    ``preprocess`` turns the inputs into what the model takes, before every call.
    """

    call: Callable[[Inputs], Any]
    source: str
    classes: tuple[Any, ...] | None = None
    task: str | None = None
    schema: InputSchema = InputSchema()
    name: str = "model"
    model_id: str | None = None
    wants_array: bool = False
    served: bool = False
    preprocess: Callable[[Any], Any] | None = None

    def predict(self, inputs: Inputs) -> Predictions:
        """Return the predictions for ``inputs`` (n rows).

        Raises:
            ModelError: the output is no array of n rows, or is of a form that scores cannot be made of.
        """
        ready = inputs if self.preprocess is None else self.preprocess(inputs)
        return _to_predictions(self.call(self.schema.cast(ready)), len(inputs))


def open_model(model: Any, *, task: str | None = None, plain_predict: bool = False) -> Model:
    """Return the ``Model`` for a URI, a PyFuncModel, an estimator, a Keras model or a function.

    ``plain_predict`` asks for the model's own ``predict`` even where it has a ``predict_proba``.

    Raises:
        ModelError: ``model`` cannot predict.
    """
    if isinstance(model, Model):
        return model
    if isinstance(model, str):
        import mlflow

        opened = open_model(mlflow.pyfunc.load_model(model), task=task, plain_predict=plain_predict)
        return replace(opened, name=model)
    if hasattr(model, "metadata") and hasattr(model, "_model_impl"):
        return _open_pyfunc(model, task, plain_predict)
    if hasattr(model, "python_model"):  # how MLflow wraps a plain function
        return Model(model.predict, "function", task=task, name="function")
    if hasattr(model, "predict"):
        return _open_estimator(model, task, plain_predict)
    if callable(model):
        name = getattr(model, "__name__", type(model).__name__)
        return Model(model, "function", task=task, name=name)
    raise ModelError(
        f"a {type(model).__name__} cannot be evaluated; allowed: a model URI, a PyFuncModel, an estimator with "
        "predict, or a function inputs → probabilities or predictions"
    )


def _open_pyfunc(model: Any, task: str | None, plain_predict: bool) -> Model:
    loader = model.metadata.flavors.get("python_function", {}).get("loader_module", "")
    impl = model._model_impl
    raw = impl.get_raw_model() if hasattr(impl, "get_raw_model") else getattr(impl, "sklearn_model", impl)
    schema = _read_schema(model.metadata.get_input_schema(), raw)
    common: dict[str, Any] = {
        "schema": schema,
        "name": str(getattr(model.metadata, "model_uri", None) or loader or "model"),
        "model_id": getattr(model, "model_id", None),
        "wants_array": schema.shape is not None or (schema.names is None and loader in ARRAY_FLAVOURS),
        "served": hasattr(model, "pid") or type(model).__name__ == "_ServedPyFuncModel",
    }
    task = task or _task_of(raw)
    wrapped = loader in PROBABILITY_FLAVOURS and not common["served"] and task != "regressor"
    if wrapped and not plain_predict and hasattr(raw, "predict_proba"):
        return Model(_as_texts(raw, raw.predict_proba), "predict_proba", _classes_of(raw), task, **common)
    call = model.predict if common["served"] or not _is_keras(raw) else functools.partial(raw.predict, verbose=0)
    return Model(call, "predict", None if common["served"] else _classes_of(raw), task, **common)


def _open_estimator(model: Any, task: str | None, plain_predict: bool) -> Model:
    task = task or _task_of(model)
    name, schema = type(model).__name__, _fitted_names(model)
    if hasattr(model, "predict_proba") and not plain_predict and task != "regressor":
        call = _as_texts(model, model.predict_proba)
        return Model(call, "predict_proba", _classes_of(model), task, schema, name)
    if _is_keras(model):
        shape = getattr(model, "input_shape", None)
        schema = InputSchema(shape=tuple(shape[1:])) if isinstance(shape, tuple) and None not in shape[1:] else schema
        call = functools.partial(model.predict, verbose=0)
        return Model(call, "predict", None, task, schema, name, wants_array=True)
    return Model(_as_texts(model, model.predict), "predict", _classes_of(model), task, schema, name)


def _as_texts(model: Any, call: Callable[..., Any]) -> Callable[[Inputs], Any]:
    """Hand scikit-learn's text vectorisers the texts: of a frame they would read the column names."""
    first = model.steps[0][1] if hasattr(model, "steps") else model
    if not hasattr(first, "build_analyzer"):
        return call
    return lambda inputs: call(inputs.iloc[:, 0] if isinstance(inputs, pd.DataFrame) else inputs)


def _task_of(model: Any) -> str | None:
    """What scikit-learn's estimators say of themselves (``_estimator_type`` before 1.6, tags since)."""
    kind = getattr(model, "_estimator_type", None)
    if kind is None and hasattr(model, "__sklearn_tags__"):
        with contextlib.suppress(Exception):  # third-party estimators may answer in any way
            kind = model.__sklearn_tags__().estimator_type
    return kind if kind in ("classifier", "regressor") else None


def _classes_of(model: Any) -> tuple[Any, ...] | None:
    classes = getattr(model, "classes_", None)
    return tuple(np.asarray(classes).tolist()) if isinstance(classes, np.ndarray | list) else None


def _is_keras(model: Any) -> bool:
    """Whether this is a Keras model, whose ``predict`` draws a progress bar per call unless told ``verbose=0``.

    Its global switch is one per thread, and the bar is drawn from another one.
    """
    return any(kind.__module__.split(".")[0] in ("keras", "tf_keras") for kind in type(model).__mro__)


def _read_schema(schema: Any, raw: Any) -> InputSchema:
    """What the signature says; without one, the names that a scikit-learn estimator was fitted on."""
    if schema is None or not schema.inputs:
        return _fitted_names(raw)
    if schema.is_tensor_spec():
        if len(schema.inputs) > 1:
            names = ", ".join(map(str, schema.input_names()))
            raise ModelError(
                f"models of several input tensors ({names}) are not supported; wrap it in a function of one"
            )
        spec = schema.inputs[0]
        shape = tuple(spec.shape[1:])
        fixed = bool(shape) and all(side > 0 for side in shape)
        return InputSchema(shape=shape if fixed else None, dtype=np.dtype(spec.type))
    if not schema.has_input_names():
        return _fitted_names(raw)
    types = {str(column.name): getattr(column.type, "name", str(column.type)) for column in schema.inputs}
    return InputSchema(tuple(types), types)


def _fitted_names(raw: Any) -> InputSchema:
    names = getattr(raw, "feature_names_in_", None)
    return InputSchema() if names is None else InputSchema(tuple(map(str, names)))


def _cast_array(array: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    if array.dtype == dtype:
        return array
    if dtype.kind in "iu" and array.dtype.kind == "f":
        info = np.iinfo(dtype)
        return np.asarray(np.clip(np.rint(array), info.min, info.max), dtype=dtype)
    return array.astype(dtype)


def _to_predictions(raw: Any, n: int) -> Predictions:
    columns: tuple[Any, ...] | None = None
    if isinstance(raw, dict):
        raw = pd.DataFrame(raw)
    if isinstance(raw, list) and raw and isinstance(raw[0], dict):
        raw = pd.DataFrame(raw)
    if isinstance(raw, pd.DataFrame):
        columns = tuple(raw.columns) if raw.shape[1] > 1 else None
        raw = raw.to_numpy() if raw.shape[1] > 1 else raw.iloc[:, 0].to_numpy()
    if hasattr(raw, "detach"):  # a torch tensor
        raw = raw.detach().cpu().numpy()
    values = np.asarray(raw)
    if values.dtype == object and values.ndim == 1 and len(values) and np.ndim(values[0]) == 1:
        values = np.stack([np.asarray(row) for row in values])
    if values.ndim == 0 or len(values) != n:
        raise ModelError(
            f"the model returned an output of shape {values.shape} for {n} examples; one row each is needed"
        )
    if values.ndim > 2:
        raise ModelError(f"the model returned an output of shape {values.shape}; (n,) or (n, classes) is needed")
    return Predictions(values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values, columns)
