"""Rows of one model under every address: of the registry, of a run, in an environment of its own, behind a server."""

from __future__ import annotations

import contextlib
import tempfile
import threading
import time
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import mlflow
import pytest

import mlflow_sensie
from flavours.known import THREE
from flavours.logged import V3, log_model
from flavours.row import Made, Row, columns
from flavours.rows_tables import logistic

PROBA = {"score": "probability", "source": "predict_proba", "targets": "names"}


def log_logistic(**options: Any) -> Any:
    return log_model(mlflow.sklearn.log_model, logistic(), signature=columns(), **options)


def registered() -> str:
    """Register a model and return its name; the same one for every row would be found by others' aliases."""
    name = f"known-{time.time_ns()}"
    log_logistic(registered_model_name=name)
    return name


def by_version() -> Made:
    return Made(f"models:/{registered()}/1")


def by_alias() -> Made:
    name = registered()
    mlflow.MlflowClient().set_registered_model_alias(name, "champion", "1")
    return Made(f"models:/{name}@champion")


def by_run() -> Made:
    info = log_logistic()
    return Made(f"runs:/{info.run_id}/model")


def as_pyfunc() -> Made:
    return Made(mlflow.pyfunc.load_model(log_logistic().model_uri))


def in_an_environment() -> Made:
    """Everything that the model's own environment must have is installed there by MLflow."""
    packages = ["mlflow-skinny", "scikit-learn", "skops", "numpy", "pandas", "scipy", "cloudpickle"]
    requirements = [f"{name}=={version(name)}" for name in packages]
    stack = contextlib.ExitStack()
    patch = stack.enter_context(pytest.MonkeyPatch.context())
    patch.setenv("MLFLOW_ENV_ROOT", stack.enter_context(tempfile.TemporaryDirectory()))
    # MLflow finds out by a race between two processes of nc; else it wants to install a Python of its own.
    patch.setattr("mlflow.pyfunc.check_port_connectivity", lambda: True)
    info = log_logistic(pip_requirements=requirements, pyfunc_predict_fn="predict_proba")
    return Made(info.model_uri, close=stack.close)


@contextlib.contextmanager
def served(uri: str) -> Iterator[str]:
    """MLflow's own scoring server of a model, in a thread; its address."""
    import uvicorn
    from mlflow.pyfunc import scoring_server

    app = scoring_server.init(mlflow.pyfunc.load_model(uri))
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def behind_a_server() -> Made:
    """A model that returns probabilities, and its server, until the row is done."""
    stack = contextlib.ExitStack()
    patch = stack.enter_context(pytest.MonkeyPatch.context())
    patch.setenv("__MLFLOW_IS_IN_SERVING_ENVIRONMENT", "true")  # the server sets it for good
    uri = log_logistic(pyfunc_predict_fn="predict_proba").model_uri
    address = stack.enter_context(served(uri))
    return Made(mlflow_sensie.Endpoint(address), close=stack.close)


def address_of_a_server() -> Made:
    made = behind_a_server()
    return Made(made.model.url, close=made.close)


MODEL = "scikit-learn classifier"
ROWS = [
    Row(MODEL, "by URI, models:/NAME/VERSION", THREE, by_version, **PROBA),
    Row(MODEL, "by URI, models:/NAME@ALIAS", THREE, by_alias, **PROBA),
    Row(MODEL, "by URI, runs:/RUN_ID/model", THREE, by_run, **PROBA),
    Row(MODEL, "a loaded pyfunc model", THREE, as_pyfunc, **PROBA),
    Row(MODEL, "a loaded pyfunc model given to probe", THREE, as_pyfunc, door="probe", **PROBA),
    Row(MODEL, "env_manager='virtualenv', pyfunc_predict_fn='predict_proba'", THREE,
        in_an_environment,
        recipe={"label_list": THREE.names}, targets="names", options={"env_manager": "virtualenv"}, slow=True,
        needs_pyenv=True),
    *([
        Row(MODEL, "behind a server, mlflow_sensie.Endpoint", THREE, behind_a_server, source="function",
            recipe={"label_list": THREE.names}, targets="names", slow=True),
        Row(MODEL, "behind a server, its address given to probe", THREE, address_of_a_server, source="function",
            recipe={"label_list": THREE.names}, targets="names", door="probe", slow=True),
    ] if V3 else []),
]  # fmt: skip
