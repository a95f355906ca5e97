"""Many checks in one call: models × data × recipes, as a file lists them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from mlflow_sensie.doors.checking import CheckRequest, JudgedCheck, evaluate_check, finalise, resolve
from mlflow_sensie.errors import RecipeError
from mlflow_sensie.gate.formats import Check
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

    def requests(self, folder: Path, **options: Any) -> Iterator[CheckRequest]:
        """Yield a request per model, data and recipe; paths are relative to the folder."""
        common = self.model_dump(include={"targets", "baseline", "promote", "model_type"})
        for model, data, recipe in itertools.product(self.model, self.data, self.recipe):
            parts = [self.name or model, *([Path(data).stem] if len(self.data) > 1 else [])]
            parts += [model] if self.name and len(self.model) > 1 else []
            parts += [Path(recipe).stem] if len(self.recipe) > 1 else []
            shipped = recipe == "auto" or recipe in shipped_recipes()
            path = recipe if shipped else str(folder / recipe)
            yield CheckRequest(model, data=str(folder / data), recipe=path, name=" ".join(parts), **common, **options)


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
            "checks": [{**defaults, **check} if isinstance(check, Mapping) else check for check in value["checks"]],
        }


def load_fleet(path: str | Path, **options: Any) -> tuple[CheckRequest, ...]:
    """Return every check that a YAML file lists; ``options`` are ``reuse`` and ``allow_code``, for all of them.

    Raises:
        RecipeError: there is no such file, or it is not understood; the message says where and why.
    """
    file = Path(path)
    try:
        fleet = Fleet.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError) as error:
        raise RecipeError(f"{file} cannot be read: {error}") from error
    except ValidationError as error:
        places = [(".".join(map(str, problem["loc"])), problem["msg"]) for problem in error.errors()]
        problems = [f"{place}: {text}".removeprefix(": ") for place, text in places]
        raise RecipeError(
            f"{file}: {'; '.join(problems)}. A check has the keys {', '.join(CheckSpec.model_fields)}"
        ) from error
    return tuple(request for spec in fleet.checks for request in spec.requests(file.parent, **options))


def check_fleet(path: str | Path, *, reuse: bool = True, allow_code: bool = False) -> tuple[Check, ...]:
    """Run all checks of a file, and return what each came to, in the file's order.

    One that cannot be evaluated does not stop the others: its outcome is ``error``. An alias moves to a model version
    only if every check of that version passes. See ``check``, and ``CheckSpec`` for the file's keys.

    Raises:
        RecipeError: the file is not understood.
    """
    requests = load_fleet(path, reuse=reuse, allow_code=allow_code)
    outcomes = [_judge(request) for request in requests]
    groups: dict[str, list[int]] = {}
    for index, outcome in enumerate(outcomes):
        model = outcome.check.model if isinstance(outcome, JudgedCheck) else outcome.model
        groups.setdefault(model, []).append(index)
    checks = {index: outcome for index, outcome in enumerate(outcomes) if isinstance(outcome, Check)}
    for members in groups.values():
        judged = {index: outcome for index in members if isinstance(outcome := outcomes[index], JudgedCheck)}
        if judged:
            checks |= zip(judged, finalise(list(judged.values()), complete=len(judged) == len(members)), strict=True)
    return tuple(checks[index] for index in range(len(outcomes)))


def _judge(request: CheckRequest) -> JudgedCheck | Check:
    check = None
    try:
        check = resolve(request)
        return evaluate_check(check)
    except Exception as error:
        model, text = check.model if check else request.model, f"{type(error).__name__}: {error}"
        return Check(str(request.name), model, request.baseline, "error", error=text)
