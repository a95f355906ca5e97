"""The exceptions of mlflow-sensie: each message says what came, what is allowed, and where."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


def did_you_mean(name: object, known: Iterable[object]) -> str:
    """Return the name among those that are known that was most likely meant, as a part of a message; else ""."""
    spelt = {str(known_name).lower(): str(known_name) for known_name in known}
    near = [spelt[key] for key in difflib.get_close_matches(str(name).lower(), spelt, 1)]
    return f" (did you mean {near[0]!r}?)" if near and near[0] != str(name) else ""


class SensieError(Exception):
    """Base of every error that mlflow-sensie raises itself."""


class RecipeError(SensieError, ValueError):
    """The recipe asks for something that cannot be done or is not understood."""


class DataError(SensieError, ValueError):
    """The examples, targets or properties do not fit what the recipe asks of them."""


class ModelError(SensieError):
    """The model could not be opened, or its predictions cannot be turned into scores."""


class BaselineError(SensieError):
    """The baseline cannot be evaluated; the message says which, and why."""


class ComparisonError(SensieError, ValueError):
    """Two results cannot be compared, or have no such difference."""


class RegistryError(SensieError):
    """The model registry has no such version or alias, or does not answer."""


class MissingDependencyError(SensieError, ImportError):
    """An optional package is needed; the message says which extra installs it."""


class TestFailure(SensieError):
    """A single test failed while the others could go on.

    The message names the test, the magnitude and the chunk.
    """

    __test__ = False  # keeps pytest from collecting it


class EvaluationIncomplete(SensieError):
    """Some tests failed; everything that was computed is in ``result``, and was logged before this was raised."""

    def __init__(self, message: str, result: Any = None) -> None:
        super().__init__(message)
        self.result = result
