"""Many checks in one call: models × data × recipes, as a file lists them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, TypeAdapter, ValidationError

from mlflow_sensie.doors.checking import CheckRequest, JudgedCheck, evaluate_check, finalise, resolve
from mlflow_sensie.errors import RecipeError
from mlflow_sensie.gate.formats import Check
from mlflow_sensie.recipe.reading import shipped_recipes


def _several(value: Any) -> Any:
    """One name is a list of one."""
    if isinstance(value, list | tuple) and not value:
        raise ValueError("at least one is needed; an empty list came")
    return [value] if isinstance(value, str) else value


Several = Annotated[tuple[str, ...], BeforeValidator(_several)]


class CheckSpec(BaseModel, frozen=True, extra="forbid"):
    """One entry of a file of checks: each of its models on each of its data, by each of its recipes."""

    model: Several
    data: Several
    targets: str | None = None
    recipe: Several = ("promotion",)
    baseline: str | None = None
    promote: str | None = None
    model_type: str | None = None
    name: str | None = None

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


def _specs(content: Any) -> tuple[CheckSpec, ...]:
    """The checks of a file's content, ``defaults`` being keys of every check that does not have them."""
    checks = content.get("checks") if isinstance(content, Mapping) else None
    if not (checks and isinstance(checks, list)):
        raise RecipeError("a mapping with a list of 'checks' is needed, at least one, and 'defaults' if any")
    defaults, unknown = (
        content.get("defaults") or {},
        [str(key) for key in content if key not in ("checks", "defaults")],
    )
    if unknown or not isinstance(defaults, Mapping):
        came = f"the keys {', '.join(unknown)}" if unknown else f"defaults: {defaults!r}"
        raise RecipeError(f"'checks', and 'defaults' with keys of every check, are what a file has; {came} came")
    complete = [{**defaults, **check} if isinstance(check, Mapping) else check for check in checks]
    try:
        return TypeAdapter(tuple[CheckSpec, ...]).validate_python(complete)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, ('checks', *each['loc'])))}: {each['msg']}" for each in error.errors()]
        raise RecipeError(f"{'; '.join(problems)}. A check has the keys {', '.join(CheckSpec.model_fields)}") from error


def load_fleet(path: str | Path, **options: Any) -> tuple[CheckRequest, ...]:
    """Return every check that a YAML file lists; ``options`` are ``reuse`` and ``allow_code``, for all of them.

    Raises:
        RecipeError: there is no such file, or it is not understood; the message says where and why.
    """
    file = Path(path)
    try:
        specs = _specs(yaml.safe_load(file.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError) as error:
        raise RecipeError(f"{file} cannot be read: {error}") from error
    except RecipeError as error:
        raise RecipeError(f"{file}: {error}") from error
    return tuple(request for spec in specs for request in spec.requests(file.parent, **options))


def check_fleet(path: str | Path, *, reuse: bool = True, allow_code: bool = False) -> tuple[Check, ...]:
    """Run all checks of a file, and return what each came to, in the file's order.

    One that cannot be evaluated does not stop the others: its outcome is ``error``. An alias moves to a model version
    only if every check of that version passes. See ``check``, and ``CheckSpec`` for the file's keys.

    Raises:
        RecipeError: the file is not understood.
    """
    requests = load_fleet(path, reuse=reuse, allow_code=allow_code)
    outcomes = [_judge(request) for request in requests]
    checks = {index: outcome for index, outcome in enumerate(outcomes) if isinstance(outcome, Check)}
    judged = {index: outcome for index, outcome in enumerate(outcomes) if isinstance(outcome, JudgedCheck)}
    failed = {check.model for check in checks.values()}
    for model in dict.fromkeys(outcome.check.model for outcome in judged.values()):
        group = {index: outcome for index, outcome in judged.items() if outcome.check.model == model}
        checks |= zip(group, finalise([*group.values()], complete=model not in failed), strict=True)
    return tuple(checks[index] for index in range(len(outcomes)))


def _judge(request: CheckRequest) -> JudgedCheck | Check:
    check = None
    try:
        check = resolve(request)
        return evaluate_check(check)
    except Exception as error:
        model, text = check.model if check else request.model, f"{type(error).__name__}: {error}"
        return Check(str(request.name), model, request.baseline, "error", error=text)
