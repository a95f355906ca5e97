"""From a name to what it stands for: a built-in, an entry point, or ``module:function``; loaded only then."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import re
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Any

from mlflow_sensie.errors import RecipeError, did_you_mean

_NAME = r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"


def names_code(text: Any) -> bool:
    """Whether this is a ``package.module:attribute``, which runs code when it is loaded."""
    return isinstance(text, str) and re.fullmatch(f"{_NAME}:{_NAME}", text) is not None


def load_target(path: str) -> Any:
    """Import ``package.module:attribute`` and return the attribute.

    Raises:
        RecipeError: it is none, the module cannot be imported or has no such attribute.
    """
    if not names_code(path):  # nothing may be imported that a recipe file could name without being noticed
        raise RecipeError(f"{path!r} could not be loaded: 'module:function' is needed")
    module_name, _, attribute = path.partition(":")
    try:
        target: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            target = getattr(target, part)
    except (ImportError, AttributeError) as error:
        raise RecipeError(f"{path!r} could not be loaded: {error}") from error
    return target


def find(name: str, built_in: Mapping[str, Any], group: str, what: str) -> Any:
    """Return what ``name`` stands for.

    ``built_in`` maps names to objects, or to ``module:attribute`` to load them lazily; ``group`` is the
    entry-point group that third parties use; a name with a colon is a ``module:attribute`` itself.

    Raises:
        RecipeError: nothing is called that; the message lists what is.
    """
    if name in built_in:
        target = built_in[name]
        return load_target(target) if isinstance(target, str) else target
    if names_code(name):
        return load_target(name)
    plugins = {point.name: point for point in entry_points(group=group)}
    if name in plugins:
        return plugins[name].load()
    known = sorted({*built_in, *plugins})
    raise RecipeError(
        f"unknown {what} {name!r}{did_you_mean(name, known)}; known: {', '.join(known)}; "
        "or a function, or 'module:function'"
    )


def takes(function: Callable[..., Any], count: int) -> bool:
    """Whether ``function`` can be called with ``count`` positional arguments; true where it cannot be told."""
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError:
        return False
    except ValueError:  # builtins and some C functions carry no signature
        return True
    return True


def source_of(function: Callable[..., Any]) -> tuple[str, str]:
    """Return ``(name, text)``: how a function is written down, and the text that its digest covers.

    The text is its source where that can be read, else its qualified name; with the arguments that a
    ``functools.partial`` fixes, and the parameters of a dataclass.
    """
    if isinstance(function, functools.partial):
        name, text = source_of(function.func)
        return name, f"{text} {function.args!r} {sorted(function.keywords.items())!r}"
    owner = function if hasattr(function, "__qualname__") else type(function)
    name = f"{owner.__module__}:{owner.__qualname__}"
    try:
        text = inspect.getsource(owner)
    except (OSError, TypeError):
        text = name
    if dataclasses.is_dataclass(function) and not isinstance(function, type):
        values = [(field.name, getattr(function, field.name)) for field in dataclasses.fields(function)]
        parameters = [(key, source_of(value)[1] if callable(value) else repr(value)) for key, value in values]
        text = f"{text} {parameters!r}"
    return name, text
