"""A served model: asked with patience, never more often than allowed, over HTTP on this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from mlflow_sensie import Endpoint, probe
from mlflow_sensie.errors import ModelError

N = 60
W = np.array([[1.0, -0.5, 0.2], [0.3, 0.8, -1.0]])
RECIPE: dict[str, Any] = {"properties": ["a"], "perturbations": [{"name": "tabular.noise", "magnitudes": [0.5, 1]}]}


def frame() -> pd.DataFrame:
    return pd.DataFrame(np.random.default_rng(0).normal(size=(N, 2)), columns=["a", "b"])


def labels() -> Any:
    return np.random.default_rng(1).integers(0, 3, N)


def model(X: Any) -> Any:
    return softmax(np.asarray(X) @ W, axis=1)


class Server(ThreadingHTTPServer):
    """MLflow's protocol; ``trouble`` are the status codes to answer first, ``seen`` what was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.trouble: list[int] = []
        self.seen: list[tuple[str, dict[str, str], Any]] = []
        self.answer: Any = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((self.path, dict(self.headers), body))
        status = self.server.trouble.pop(0) if self.server.trouble else 200
        found = self.server.answer
        if status == 200 and found is None:
            data = body["dataframe_split"]["data"] if "dataframe_split" in body else body["inputs"]
            found = {"predictions": model(data).tolist()}
        text = json.dumps(found) if status == 200 else "out of order"
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *words: Any) -> None:
        """Keep quiet."""


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def test_a_served_model_gives_what_the_model_gives(server: Server) -> None:
    here = probe(model, frame(), labels(), RECIPE)
    for served in (Endpoint(server.url), server.url, f"{server.url}/invocations"):
        assert probe(served, frame(), labels(), RECIPE).metrics == pytest.approx(here.metrics)
    assert {path for path, _, _ in server.seen} == {"/invocations"}
    assert probe(Endpoint(server.url), frame().to_numpy(), labels(), {"properties": ["feature_1"]}).clean.value == (
        pytest.approx(here.clean.value)
    )
    assert "inputs" in server.seen[-1][2]


def test_a_busy_server_is_asked_again(server: Server) -> None:
    server.trouble = [503, 429]
    endpoint = Endpoint(server.url, pause=0, headers={"Authorization": "Bearer 1234"})
    np.testing.assert_allclose(endpoint(frame()), model(frame()))
    assert endpoint.calls == len(server.seen) == 3
    assert server.seen[0][1]["Authorization"] == "Bearer 1234"
    assert "1234" not in repr(endpoint)


def test_a_server_that_stays_busy_is_given_up(server: Server) -> None:
    server.trouble = [503] * 10
    endpoint = Endpoint(server.url, pause=0, retries=2)
    with pytest.raises(ModelError, match=r"invocations answered 503: out of order"):
        endpoint(frame())
    assert endpoint.calls == len(server.seen) == 3


def test_what_the_server_refuses_is_not_asked_again(server: Server) -> None:
    server.trouble = [400]
    with pytest.raises(ModelError, match="answered 400: out of order"):
        Endpoint(server.url, pause=0)(frame())
    assert len(server.seen) == 1


def test_the_cap_counts_every_request(server: Server) -> None:
    endpoint = Endpoint(server.url, max_calls=3)
    with pytest.raises(ModelError, match=r"asked 3 times, which is the cap: raise max_calls, .*max_examples.*batch_si"):
        probe(endpoint, frame(), labels(), {**RECIPE, "batch_size": 10})
    assert endpoint.calls == len(server.seen) == 3
    server.trouble = [503] * 10
    stubborn = Endpoint(server.url, max_calls=2, retries=5, pause=0)
    with pytest.raises(ModelError, match="answered 503"):
        stubborn(frame())
    assert stubborn.calls == 2 and len(server.seen) == 5


def test_no_server(server: Server) -> None:
    server.shutdown()
    server.server_close()
    endpoint = Endpoint(server.url, pause=0, retries=1)
    with pytest.raises(ModelError, match="does not answer"):
        endpoint(frame())
    assert endpoint.calls == 2


@pytest.mark.parametrize("answer", [[0.5], {"outputs": 1}])
def test_an_answer_of_another_protocol(server: Server, answer: Any) -> None:
    server.answer = answer
    with pytest.raises(ModelError, match="must answer a JSON object with 'predictions'"):
        Endpoint(server.url)(frame())


def test_mlflows_own_endpoints_are_opened_by_evaluate_alone() -> None:
    with pytest.raises(ModelError, match=r"endpoints:/chat is opened by mlflow.models.evaluate alone.*Endpoint"):
        probe("endpoints:/chat", frame(), labels(), RECIPE)
