"""Many checks in one call: models × data × recipes, as a file lists them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from mlflow_sensie.doors.checking import CheckRequest, Judged, conclude, evaluate
from mlflow_sensie.errors import RecipeError
from mlflow_sensie.gate.outcome import Check
from mlflow_sensie.recipe.reading import shipped_recipes

Multiplicity = tuple[str, ...]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CheckSpec(_Frozen):
    """One entry of a file of checks: each of its models on each of its data, by each of its recipes."""

    model: Multiplicity
    data: Multiplicity
    targets: str | None = None
    recipe: Multiplicity = ("promotion",)
    baseline: str | None = None
    promote: str | None = None
    model_type: str | None = None
    name: str | None = None

    @field_validator("model", "data", "recipe", mode="before")
    @classmethod
    def _one_is_several(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("model", "data", "recipe")
    @classmethod
    def _some(cls, value: Multiplicity) -> Multiplicity:
        if not value:
            raise ValueError("at least one is needed; an empty list came")
        return value

    def each(self, folder: Path) -> Iterator[dict[str, Any]]:
        """Yield the arguments of ``check``; paths are relative to the folder."""
        common = self.model_dump(include={"targets", "baseline", "promote", "model_type"})
        for model, data, recipe in itertools.product(self.model, self.data, self.recipe):
            parts = [self.name or model, *([Path(data).stem] if len(self.data) > 1 else [])]
            parts += [model] if self.name and len(self.model) > 1 else []
            parts += [Path(recipe).stem] if len(self.recipe) > 1 else []
            shipped = recipe == "auto" or recipe in shipped_recipes()
            where = {"data": str(folder / data), "recipe": recipe if shipped else str(folder / recipe)}
            yield {**common, **where, "model": model, "name": " ".join(parts)}


class Fleet(_Frozen):
    """A file of checks; ``defaults`` are keys of every check that does not have them."""

    checks: tuple[CheckSpec, ...]
    defaults: Mapping[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _with_defaults(cls, value: Any) -> Any:
        if not (isinstance(value, Mapping) and isinstance(value.get("checks"), list) and value["checks"]):
            raise ValueError("a mapping with a list of 'checks' is needed, at least one, and 'defaults' if any")
        defaults = value.get("defaults") or {}
        return {
            **value,
            "checks": [{**defaults, **each} if isinstance(each, Mapping) else each for each in value["checks"]],
        }


def load_fleet(path: str | Path) -> tuple[dict[str, Any], ...]:
    """Return the arguments of every check that a YAML file lists.

    Raises:
        RecipeError: there is no such file, or it is not understood; the message says where and why.
    """
    file = Path(path)
    try:
        fleet = Fleet.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError) as error:
        raise RecipeError(f"{file} cannot be read: {error}") from error
    except ValidationError as error:
        said = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}".removeprefix(": ") for each in error.errors()]
        raise RecipeError(
            f"{file}: {'; '.join(said)}. A check has the keys {', '.join(CheckSpec.model_fields)}"
        ) from error
    return tuple(each for spec in fleet.checks for each in spec.each(file.parent))


def check_fleet(path: str | Path, *, reuse: bool = True, allow_code: bool = False) -> tuple[Check, ...]:
    """Run all checks of a file, and return what each came to, in the file's order.

    One that cannot be evaluated does not stop the others: its outcome is ``error``. An alias moves to a model version
    only if every check of that version passes. See ``check``, and ``CheckSpec`` for the file's keys.

    Raises:
        RecipeError: the file is not understood.
    """
    found: list[Judged | Check] = [_judge(each, reuse, allow_code) for each in load_fleet(path)]
    groups: dict[str, list[int]] = {}
    for index, each in enumerate(found):
        groups.setdefault(str(each.asked.model) if isinstance(each, Judged) else each.model, []).append(index)
    checks: dict[int, Check] = {index: each for index, each in enumerate(found) if isinstance(each, Check)}
    for members in groups.values():
        judged = {index: each for index in members if isinstance(each := found[index], Judged)}
        if judged:
            checks |= zip(judged, conclude(list(judged.values()), complete=len(judged) == len(members)), strict=True)
    return tuple(checks[index] for index in range(len(found)))


def _judge(given: Mapping[str, Any], reuse: bool, allow_code: bool) -> Judged | Check:
    asked = None
    try:
        asked = CheckRequest.of(**given, allow_code=allow_code)
        return evaluate(asked, reuse)
    except Exception as error:
        model = str(asked.model) if asked else given["model"]
        return Check(given["name"], model, given["baseline"], "error", error=f"{type(error).__name__}: {error}")
