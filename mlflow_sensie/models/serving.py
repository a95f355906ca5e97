"""A model behind a server that answers ``/invocations`` like MLflow's own, asked with patience and with a cap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from mlflow_sensie.data.types import Inputs
from mlflow_sensie.errors import ModelError

BUSY = (429, 502, 503, 504)  # what goes away by itself


@dataclass
class Endpoint:
    """A served model as a function inputs → predictions, to give to ``probe`` or ``mlflow.models.evaluate``.

    ``url`` is the server's address, with or without ``/invocations``; ``headers`` what it wants besides, such as an
    authorisation. A call that meets a busy or silent server is repeated up to ``retries`` times, after a pause that
    doubles, or that the server asks for. ``max_calls`` caps the requests in the object's life, repeated ones among
    them; ``calls`` counts them. ``timeout``: seconds to wait for an answer. How many rows make a call is the
    recipe's ``batch_size``.
    """

    url: str
    max_calls: int = 1_000
    retries: int = 3
    timeout: float = 60.0
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    pause: float = 0.5
    calls: int = field(default=0, init=False)

    def __call__(self, inputs: Inputs) -> Any:
        """Return the predictions for ``inputs`` (n rows), as the server's JSON has them.

        Raises:
            ModelError: the cap is reached, the server stays busy or silent, or it refuses the inputs.
        """
        from mlflow.utils.proto_json_utils import dump_input_data

        response = self._post(dump_input_data(inputs))
        if response.status_code != 200:
            raise ModelError(f"{self._address} answered {response.status_code}: {response.text[:500]}")
        answer = response.json()
        if not isinstance(answer, dict) or "predictions" not in answer:
            raise ModelError(f"{self._address} must answer a JSON object with 'predictions': {response.text[:500]}")
        return answer["predictions"]

    @property
    def _address(self) -> str:
        plain = self.url.rstrip("/")
        return plain if plain.endswith("/invocations") else f"{plain}/invocations"

    def _post(self, body: str) -> requests.Response:
        left = self.max_calls - self.calls
        if left < 1:
            raise ModelError(
                f"{self._address} was asked {self.calls} times, which is the cap: raise max_calls, or ask for less "
                "(fewer magnitudes, max_examples), or for more rows per call (batch_size)"
            )
        again = Retry(
            min(self.retries, left - 1), status_forcelist=BUSY, allowed_methods=None, backoff_factor=self.pause,
            raise_on_status=False,
        )  # fmt: skip
        headers = {"Content-Type": "application/json", **self.headers}
        with requests.Session() as session:
            for scheme in ("http://", "https://"):
                session.mount(scheme, HTTPAdapter(max_retries=again))
            try:
                response = session.post(self._address, data=body, headers=headers, timeout=self.timeout)
            except requests.RequestException as error:
                self.calls += 1 + int(again.total or 0)
                raise ModelError(f"{self._address} does not answer: {error}") from error
        self.calls += 1 + len(response.raw.retries.history)
        return response
