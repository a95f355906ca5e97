"""Models: anything that predicts, behind one call, and what it returned; the one place that opens MLflow models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlflow_sensie.data.types import Inputs
from mlflow_sensie.errors import ModelError, did_you_mean
from mlflow_sensie.models import flavours
from mlflow_sensie.models.signature import InputSchema, fitted_names, read_schema


@dataclass(frozen=True)
class Model:
    """A model behind one call, with what is known of it.

    ``source`` says what is called (``predict_proba``, ``predict`` or ``function``); ``classes`` is the order
    of the probability columns; ``task`` is ``classifier``, ``regressor`` or ``None`` where it is not known.
    ``served``: it runs in a process of its own that gives only the first column of its predictions.
    ``preprocess`` turns the inputs into what the model takes, before every call. ``pick`` is the output that the
    user named, ``usual`` the one that is taken where he named none, ``outputs`` the names that the signature gives
    the columns. ``warnings`` say what the user should know of the model. ``model_uuid`` is the identity that MLflow
    gave it when it was logged.
    """

    call: Callable[[Any], Any]
    source: str
    classes: tuple[Any, ...] | None = None
    task: str | None = None
    schema: InputSchema = field(default_factory=InputSchema)
    name: str = "model"
    model_id: str | None = None
    model_uuid: str | None = None
    wants_array: bool = False
    served: bool = False
    preprocess: Callable[[Any], Any] | None = None
    pick: str | int | None = None
    usual: str | None = None
    outputs: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def predict(self, inputs: Inputs) -> Predictions:
        """Return the predictions for ``inputs`` (n rows).

        Raises:
            ModelError: the output is no array of n rows, or is of a form that scores cannot be made of.
        """
        ready = inputs if self.preprocess is None else self.preprocess(inputs)
        raw = self.call(self.schema.cast(ready))
        return read_output(raw, len(inputs), pick=self.pick, usual=self.usual, names=self.outputs)


def open_model(model: Any, *, task: str | None = None, plain_predict: bool = False) -> Model:
    """Return the ``Model`` for a URI, a PyFuncModel, an estimator, a network, a pipeline or a function.

    ``plain_predict`` asks for the model's own ``predict`` even where it has a ``predict_proba``.

    Raises:
        ModelError: ``model`` cannot predict.
    """
    if isinstance(model, Model):
        return model
    if isinstance(model, str):
        return replace(open_model(_load(model), task=task, plain_predict=plain_predict), name=model)
    if hasattr(model, "metadata") and hasattr(model, "_model_impl"):
        opened = _open_pyfunc(model, task, plain_predict)
        named = model.metadata.get_output_schema()
        names = named.input_names() if named is not None and named.has_input_names() else ()
        return replace(opened, outputs=tuple(map(str, names)))
    if hasattr(model, "python_model"):  # how MLflow wraps a plain function
        return Model(model.predict, "function", task=task, name="function")
    if flavours.is_torch(model) or hasattr(model, "predict"):
        return _open_object(model, task, plain_predict)
    if callable(model):
        return Model(model, "function", task=task, name=getattr(model, "__name__", type(model).__name__))
    raise ModelError(
        f"a {type(model).__name__} cannot be evaluated; allowed: a model URI, a PyFuncModel, an estimator with "
        "predict, or a function inputs → probabilities or predictions"
    )


def _load(uri: str) -> Any:
    if uri.startswith(("http://", "https://")):
        from mlflow_sensie.models.serving import Endpoint

        return Endpoint(uri)
    if uri.startswith("endpoints:/"):
        raise ModelError(
            f"{uri} is opened by mlflow.models.evaluate alone; for a server that answers /invocations give its "
            "http address, or an mlflow_sensie.Endpoint"
        )
    import mlflow

    try:
        return mlflow.pyfunc.load_model(uri)
    except Exception as error:  # whatever unpickling a model may raise, too
        # where a name was looked up is what is most often wrong
        where = f" (looked up at {mlflow.get_tracking_uri()})" if uri.startswith(("models:/", "runs:/")) else ""
        raise ModelError(f"the model {uri} cannot be opened{where}: {error}") from error


def _uri_of(metadata: Any) -> str:
    """A URI that the model can be loaded from again; "" where its metadata has none, as of one saved to a folder."""
    if getattr(metadata, "model_id", None):
        return f"models:/{metadata.model_id}"
    known = metadata.run_id and metadata.artifact_path
    return f"runs:/{metadata.run_id}/{metadata.artifact_path}" if known else ""


def _open_pyfunc(model: Any, task: str | None, plain_predict: bool) -> Model:
    loader = model.metadata.flavors.get("python_function", {}).get("loader_module", "")
    impl = model._model_impl
    raw = impl.get_raw_model() if hasattr(impl, "get_raw_model") else getattr(impl, "sklearn_model", impl)
    schema = read_schema(model.metadata.get_input_schema(), raw)
    task = task or flavours.task_of(raw)
    opened = Model(
        model.predict, "predict", flavours.classes_of(raw), task, schema,
        name=_uri_of(model.metadata) or loader or "model",
        model_id=getattr(model, "model_id", None),
        model_uuid=getattr(model.metadata, "model_uuid", None),
        wants_array=schema.shape is not None or (schema.names is None and loader in flavours.ARRAY_FLAVOURS),
        warnings=flavours.torch_warnings(raw),
    )  # fmt: skip
    if type(model).__name__ == "_ServedPyFuncModel":  # its client gives all columns
        if not hasattr(impl, "invoke"):
            return replace(opened, classes=None, served=True)
        return replace(opened, call=lambda inputs: impl.invoke(inputs)["predictions"], classes=None)
    if loader in flavours.PROBABILITY_FLAVOURS and _gives_probabilities(raw, task, plain_predict):
        return replace(opened, call=flavours.as_texts(raw, raw.predict_proba), source="predict_proba")
    if flavours.is_keras(raw):
        schema = flavours.keras_schema(raw) if schema == InputSchema() else schema
        schema = replace(schema, tensors=schema.tensors if len(schema.tensors) > 1 else {})
        return replace(opened, call=flavours.keras_call(raw), schema=schema, wants_array=not schema.tensors)
    if loader == "mlflow.onnx":
        schema = flavours.onnx_schema(raw, schema)
        return replace(opened, call=impl.predict, schema=schema, wants_array=len(schema.tensors) == 1)
    if loader == "mlflow.pytorch" and schema.dtype is None:
        return replace(opened, call=flavours.in_precision_of(raw, model.predict))
    if loader == "mlflow.transformers":
        call = flavours.texts_call(model.predict) if schema.texts else model.predict
        return replace(opened, call=flavours.read_answers(raw, call), usual="label")
    return opened


def _gives_probabilities(raw: Any, task: str | None, plain_predict: bool) -> bool:
    return hasattr(raw, "predict_proba") and not plain_predict and task != "regressor"


def _open_object(model: Any, task: str | None, plain_predict: bool) -> Model:
    """Open what is no MLflow model: an estimator, a Booster, a network or a pipeline."""
    opened = Model(
        getattr(model, "predict", model), "predict", flavours.classes_of(model), task or flavours.task_of(model),
        fitted_names(model), type(model).__name__,
    )  # fmt: skip
    if _gives_probabilities(model, opened.task, plain_predict):
        return replace(opened, call=flavours.as_texts(model, model.predict_proba), source="predict_proba")
    if flavours.is_keras(model):
        schema = flavours.keras_schema(model)
        return replace(opened, call=flavours.keras_call(model), schema=schema, wants_array=not schema.tensors)
    if flavours.is_torch(model):
        warnings = flavours.torch_warnings(model)
        return replace(opened, call=flavours.torch_call(model), wants_array=True, warnings=warnings)
    if flavours.is_from(model, "transformers"):
        call = flavours.read_answers(model, flavours.texts_call(model))
        return replace(opened, call=call, schema=InputSchema(texts=True), usual="label")
    return replace(opened, call=flavours.booster_call(model) or flavours.as_texts(model, opened.call))


@dataclass(frozen=True)
class Predictions:
    """What a model returned: ``values`` (n,) or (n, K); ``columns`` names the K where the model does.

    ``picked`` is the name of the output that the values are, where the user named one of several.
    """

    values: NDArray[Any]
    columns: tuple[Any, ...] | None = None
    picked: str | None = None


def read_output(
    raw: Any, n: int, *, pick: str | int | None = None, usual: str | None = None, names: Sequence[Any] | None = None
) -> Predictions:
    """Return what the model returned for ``n`` examples as ``Predictions``.

    ``raw``: an array, tensor, list, frame, dict or list of dicts, or a list of 2-D arrays, one per output.
    ``pick`` names the output that is meant, a column or an entry; of outputs without names it is the number.
    ``usual`` is taken where the user names none and the model has it; ``names`` are those of unnamed columns.

    Raises:
        ModelError: there is no output of that name, there are several that no score can be made of together, or
            an output has no row per example.
    """
    if isinstance(raw, list) and raw and isinstance(raw[0], dict):
        raw = pd.DataFrame(raw)
    parts = _parts(raw, n)
    if parts is None:
        return _unnamed(_to_rows(raw, n), pick, names)
    pick = usual if pick is None and usual in parts else pick
    if pick is not None:
        return replace(read_output(_choose(parts, pick), n), picked=str(pick))
    if len(parts) == 1:
        return read_output(next(iter(parts.values())), n, names=names)
    if any(_is_wide(part) for part in parts.values()):
        raise ModelError(
            f"the model returns several outputs ({', '.join(map(str, parts))}); name the one to score, "
            f"predictions: {next(iter(parts))} (a multi-label model is scored on one label at a time)"
        )
    frame = raw if isinstance(raw, pd.DataFrame) else pd.DataFrame(parts)
    return Predictions(_to_rows(frame.to_numpy(), n), tuple(frame.columns))


def _parts(raw: Any, n: int) -> Mapping[Any, Any] | None:
    """The outputs by name, of a frame, a mapping, or a list of 2-D arrays; ``None`` for a single one."""
    if isinstance(raw, pd.DataFrame):
        return {name: raw.iloc[:, position] for position, name in enumerate(raw.columns)}
    if isinstance(raw, list | tuple) and raw and all(np.ndim(part) == 2 and len(part) == n for part in raw):
        return {str(number): part for number, part in enumerate(raw)}
    return raw if isinstance(raw, Mapping) else None


def _choose(parts: Mapping[Any, Any], pick: str | int) -> Any:
    by_name = {str(name): part for name, part in parts.items()}
    if str(pick) not in by_name:
        hint = did_you_mean(pick, by_name)
        raise ModelError(f"predictions: the model has no output {str(pick)!r}{hint}; it returns {', '.join(by_name)}")
    return by_name[str(pick)]


def _unnamed(values: NDArray[Any], pick: str | int | None, names: Sequence[Any] | None) -> Predictions:
    """Values whose columns the signature may name, else their numbers do."""
    columns = tuple(names) if names and values.ndim == 2 and len(names) == values.shape[1] else None
    if pick is None:
        return Predictions(values, columns)
    if values.ndim == 1:
        raise ModelError(f"predictions: {str(pick)!r} came, but the model returns a single output without a name")
    by_name = dict(zip(columns or range(values.shape[1]), values.T, strict=True))
    return Predictions(_choose(by_name, pick), picked=str(pick))


def _is_wide(part: Any) -> bool:
    """Whether an output has more than one value per example."""
    if np.ndim(part) != 1 or not len(part):
        return np.ndim(part) > 1
    first = part.iloc[0] if isinstance(part, pd.Series) else part[0]
    return isinstance(first, dict) or np.ndim(first) > 0


def as_rows(values: NDArray[Any]) -> NDArray[Any]:
    """Return cells that are vectors, of probabilities say, as rows."""
    vectors = values.dtype == object and values.ndim == 1 and len(values) > 0 and np.ndim(values[0]) == 1
    return np.stack(list(values)) if vectors else values


def _to_rows(raw: Any, n: int) -> NDArray[Any]:
    """Return an output as (n,) or (n, K)."""
    values = as_rows(np.asarray(raw.detach().cpu().numpy() if hasattr(raw, "detach") else raw))
    if values.ndim == 0 or len(values) != n:
        raise ModelError(
            f"the model returned an output of shape {values.shape} for {n} examples; one row each is needed"
        )
    if values.ndim > 2:
        raise ModelError(f"the model returned an output of shape {values.shape}; (n,) or (n, classes) is needed")
    return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
