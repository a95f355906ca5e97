"""Models: anything that predicts, behind one call; the one place that opens MLflow models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from mlflow_sensie.data.types import Inputs
from mlflow_sensie.errors import ModelError
from mlflow_sensie.models import flavours
from mlflow_sensie.models.outputs import Predictions, read_output, read_returned
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
    gave it when it was logged. ``as_returned`` leaves predictions in whatever form they come, for a user's score.
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
    as_returned: bool = False

    def predict(self, inputs: Inputs) -> Predictions:
        """Return the predictions for ``inputs`` (n rows).

        Raises:
            ModelError: the output is no array of n rows, or is of a form that scores cannot be made of.
        """
        ready = inputs if self.preprocess is None else self.preprocess(inputs)
        raw = self.call(self.schema.cast(ready))
        if self.as_returned:
            return read_returned(raw, len(inputs), pick=self.pick, names=self.outputs)
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
