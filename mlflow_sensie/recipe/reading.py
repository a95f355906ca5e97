"""From what a user gives to a recipe: mappings, shipped names and YAML files; errors in words."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from mlflow_sensie.errors import RecipeError, did_you_mean
from mlflow_sensie.plugins import names_code
from mlflow_sensie.recipe.engine import PriorsSpec
from mlflow_sensie.recipe.model import InferenceSpec, LogExamples, PerturbationSpec, PropertySpec, Recipe
from mlflow_sensie.recipe.rules import Rule, Waiver
from mlflow_sensie.recipe.values import ScoreFunction

LOG_EXAMPLES_CAP = "MLFLOW_SENSIE_LOG_EXAMPLES"


def load_recipe(source: Any = None, *, allow_code: bool = False) -> Recipe:
    """Return the recipe that ``source`` describes.

    ``source`` is a ``Recipe``, a mapping of recipe keys, the name of a shipped recipe, a path to a YAML
    file, ``"auto"`` or ``None`` (the same as ``"auto"``). In a mapping, ``recipe`` names one to start from
    and every key beside it replaces that recipe's whole value. ``module:function`` in a file runs code, so
    it needs ``allow_code``.

    Raises:
        RecipeError: a key or value is not understood; the message says what came and what is allowed.
    """
    if isinstance(source, Recipe):
        return source
    if source is None or isinstance(source, str | Path):
        source = {"recipe": str(source or "auto")}
    if not isinstance(source, Mapping):
        raise RecipeError(
            f"a recipe is a mapping, the name of a shipped recipe or a path; a {type(source).__name__} came"
        )
    keys = dict(source)
    base = keys.pop("recipe", None)
    if not isinstance(base, str | Path | None):
        raise RecipeError(f"recipe: the name of a shipped recipe or a path; a {type(base).__name__} came")
    read = {} if base in (None, "auto") else _read_file(base, allow_code)
    wanted = {"recipe": None if base is None else str(base), **read, **keys}
    if not any(wanted.get(key) for key in ("properties", "perturbations", "class_test")):
        wanted["recipe"] = "auto"  # settings alone, with nothing asked: choose the tests
    if wanted["recipe"] == "auto":
        wanted.setdefault("weights", "auto")
    _check_keys(wanted)
    try:
        return Recipe.model_validate(wanted)
    except ValidationError as error:
        raise RecipeError(_explain(error)) from error


def read_changes(path: str | Path, *, allow_code: bool = False) -> dict[str, Any]:
    """Return the recipe keys that a YAML file has, without defaults.

    Raises:
        RecipeError: it is not understood, or names code and ``allow_code`` is false.
    """
    return _read_file(path, allow_code)


def load_gate(rules: Iterable[Rule | Mapping[str, Any]]) -> tuple[Rule, ...]:
    """Return the rules of a gate, given as a recipe has them.

    Raises:
        RecipeError: one is not understood; the message says what came and what is allowed.
    """
    try:
        return Recipe.model_validate({"gate": list(rules)}).gate or ()
    except ValidationError as error:
        raise RecipeError(_explain(error)) from error


def capped_log_examples(wanted: str) -> LogExamples:
    """Return what of the data may be uploaded: ``wanted``, or what the environment allows where that is less.

    Raises:
        RecipeError: ``MLFLOW_SENSIE_LOG_EXAMPLES`` is set to something else than none, ids or full.
    """
    levels: tuple[LogExamples, ...] = get_args(LogExamples)
    cap = os.environ.get(LOG_EXAMPLES_CAP, levels[-1])
    if cap not in levels:
        raise RecipeError(f"{LOG_EXAMPLES_CAP}: {', '.join(levels)} are allowed; {cap!r} came")
    return next(level for level in levels if level in (wanted, cap))


def shipped_recipes() -> dict[str, Path]:
    """Return the shipped recipes, name → file.

    A wheel maps ``recipes/`` to ``mlflow_sensie/recipes``; a source tree or an editable install has the
    folder beside the package.
    """
    here = Path(__file__).parents[1]
    folder = here / "recipes" if (here / "recipes").is_dir() else here.parent / "recipes"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def _read_file(name: str | Path, allow_code: bool) -> dict[str, Any]:
    shipped = shipped_recipes()
    path = shipped.get(str(name), Path(name))
    if not path.is_file():
        known = ["auto", *shipped]
        hint = did_you_mean(name, known)
        raise RecipeError(f"no recipe {str(name)!r}{hint}: not a file, and the shipped ones are: {', '.join(known)}")
    try:
        read = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise RecipeError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(read, dict):
        raise RecipeError(f"{path} must hold a mapping of recipe keys; a {type(read).__name__} came")
    if not allow_code and (code := _code_in(read)):
        raise RecipeError(f"{path} names {code!r}, which runs code; pass allow_code=True (--allow-code) to trust it")
    base = read.get("recipe")
    if base in (None, "auto"):
        return {key: value for key, value in read.items() if value is not None or key != "recipe"}
    del read["recipe"]
    return {**_read_file(base, allow_code), **read}


def _code_in(read: Mapping[str, Any]) -> str | None:
    """The first ``module:function`` where a recipe may name one."""
    score = read.get("score")
    places = [read.get("preprocess"), score.get("function") if isinstance(score, Mapping) else score]
    for part, key in (("properties", "of"), ("perturbations", "apply"), ("metrics", "function")):
        for item in _items(read.get(part)):
            places.append(item.get(key, item.get("name")) if isinstance(item, Mapping) else item)
    return next((place for place in places if names_code(place)), None)


def _items(value: Any) -> list[Any]:
    """The items of a list; of anything else none: what it is is told when the recipe is read."""
    return list(value) if hasattr(value, "__iter__") else []


def _check_keys(keys: Mapping[str, Any]) -> None:
    for key in keys:
        if key not in Recipe.model_fields:
            raise RecipeError(_unknown(str(key), "recipe", Recipe))


_MODELS_BY_PLACE: dict[str, type[BaseModel]] = {
    "properties": PropertySpec,
    "perturbations": PerturbationSpec,
    "inference": InferenceSpec,
    "gate": Rule,
    "waive": Waiver,
    "priors": PriorsSpec,
    "score": ScoreFunction,
}


def _unknown(key: str, where: str, model: type[BaseModel]) -> str:
    known = model.model_fields
    return f"unknown key {key!r} in {where}{did_you_mean(key, known)}; allowed: {', '.join(known)}"


def _explain(error: ValidationError) -> str:
    """Turn pydantic's report into sentences that say what came, what is allowed, and where."""
    lines: dict[str, None] = {}
    for item in error.errors():
        place = [part for part in item["loc"] if not _is_internal(part)]
        where = ".".join(map(str, place)) or "recipe"
        if item["type"] == "extra_forbidden" and place:
            model = next((_MODELS_BY_PLACE[key] for key in place[-2::-1] if key in _MODELS_BY_PLACE), Recipe)
            lines[_unknown(str(place[-1]), ".".join(map(str, place[:-1])), model)] = None
        elif item["type"] == "value_error":
            lines[f"{where}: {item['ctx']['error']}"] = None
        else:
            lines[f"{where}: {item['msg']}; {item['input']!r} came"] = None
    return "; ".join(lines)


def _is_internal(part: int | str) -> bool:
    """Whether this part of a location names a branch of a union rather than a key."""
    return isinstance(part, str) and bool(re.search(r"[\[\]()']|^(int|float|str|callable|literal|tuple)$", part))
