"""Names of functions: built-ins, entry points and module:function, and how a function is written down."""

from __future__ import annotations

import functools
import re
from typing import Any

import pytest

from mlflow_sensie.errors import RecipeError
from mlflow_sensie.plugins import find, load_target, source_of, takes


def shifted(x: Any, p: float) -> Any:
    return x + p


def scaled(x: Any, p: float, by: float = 1.0) -> Any:
    return x * p * by


def test_names_lead_to_functions() -> None:
    table = {"lazy": "math:sqrt", "there": len}
    assert find("there", table, "no.such.group", "thing") is len
    assert find("lazy", table, "no.such.group", "thing")(9) == 3
    assert find("os.path:join", table, "no.such.group", "thing")("a", "b") == "a/b"
    with pytest.raises(RecipeError, match=r"unknown thing 'nought'; known: lazy, there; or a function"):
        find("nought", table, "no.such.group", "thing")


@pytest.mark.parametrize("path", ["no_such_module:f", "math:no_such", "math:"])
def test_a_target_that_is_not_there(path: str) -> None:
    with pytest.raises(RecipeError, match=re.escape(repr(path))):
        load_target(path)


def test_how_a_function_is_written_down() -> None:
    assert source_of(shifted) == (f"{__name__}:shifted", "def shifted(x: Any, p: float) -> Any:\n    return x + p\n")
    assert source_of(len) == ("builtins:len", "builtins:len")
    assert source_of(functools.partial(scaled, by=2))[0] == f"{__name__}:scaled"


def test_takes_counts_positional_arguments() -> None:
    assert takes(shifted, 2) and not takes(shifted, 3) and takes(scaled, 3)
