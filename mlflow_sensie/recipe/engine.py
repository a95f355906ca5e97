"""The recipe's engine: priors, settings of the sampler, and which of them an engine takes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import Field, PlainValidator, WithJsonSchema

from mlflow_sensie.recipe.values import NUMBER, Spec, any_of, object_schema

SAMPLER: Mapping[str, Any] = MappingProxyType({"draws": 1000, "tune": 1000, "chains": 4, "target_accept": 0.9})
# The families of priors and their parameters.
COEFFICIENT: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"normal": ("loc", "scale"), "student_t": ("df", "loc", "scale"), "laplace": ("loc", "scale")}
)
NOISE: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"half_cauchy": ("scale",), "half_normal": ("scale",), "half_student_t": ("df", "scale")}
)
PRIORS: Mapping[str, tuple[str, ...]] = MappingProxyType({**COEFFICIENT, **NOISE})

PriorSpec = Mapping[str, tuple[float, ...]]


def _parse(value: Any, families: Mapping[str, tuple[str, ...]]) -> PriorSpec:
    """Read {family: parameters}, a number for a single one."""
    if isinstance(value, Mapping) and len(value) == 1:
        ((family, parameters),) = value.items()
        names = families.get(family, ())
        several = isinstance(parameters, Sequence) and not isinstance(parameters, str)
        numbers = tuple(parameters) if several else (parameters,)
        if len(numbers) == len(names) and all(_fits(name, x) for name, x in zip(names, numbers, strict=True)):
            return {family: tuple(map(float, numbers))}
    allowed = ", ".join(f"{{{family}: [{', '.join(names)}]}}" for family, names in families.items())
    raise ValueError(f"one of {allowed}, scale and df above 0; {value!r} came")


def _fits(name: str, x: Any) -> bool:
    number = isinstance(x, int | float) and not isinstance(x, bool) and math.isfinite(x)
    return number and (name == "loc" or x > 0)


def _schema(families: Mapping[str, tuple[str, ...]]) -> WithJsonSchema:
    return any_of(*(_family_schema(family, len(names)) for family, names in families.items()))


def _family_schema(family: str, count: int) -> dict[str, Any]:
    several = {"type": "array", "items": NUMBER, "minItems": count, "maxItems": count}
    return object_schema({family: {"anyOf": [NUMBER, several]} if count == 1 else several})


Coefficient = Annotated[PriorSpec, PlainValidator(lambda value: _parse(value, COEFFICIENT)), _schema(COEFFICIENT)]
Noise = Annotated[PriorSpec, PlainValidator(lambda value: _parse(value, NOISE)), _schema(NOISE)]


class PriorsSpec(Spec):
    """Priors of a line, on the score as a share of its range and z as a share of the tested range."""

    intercept: Coefficient = Field(default={"normal": (0.0, 2.0)})
    slope: Coefficient = Field(default={"normal": (0.0, 1.0)})
    noise: Noise = Field(default={"half_cauchy": (3.0,)})


def with_engine_defaults(inference: Mapping[str, Any]) -> dict[str, Any]:
    """Write out what an engine takes and was not said.

    Raises:
        ValueError: a key came that the engine does not take.
    """
    engine = inference.get("engine", "robust")
    takes = {"pymc": {**SAMPLER, "priors": {}}, "exact": {"priors": {}}}.get(engine, {})
    for key in (*SAMPLER, "priors"):
        if inference.get(key) is not None and key not in takes:
            of = "engines 'exact' and 'pymc'" if key == "priors" else "engine 'pymc'"
            raise ValueError(f"{key} is a key of {of}, not of {engine!r}")
    return {**inference, **{key: value for key, value in takes.items() if inference.get(key) is None}}


def check_priors(engine: str, priors: PriorsSpec | None) -> None:
    """Refuse priors that an engine cannot take.

    Raises:
        ValueError: engine exact, and a prior of intercept or slope that is not normal.
    """
    for name in ("intercept", "slope") if engine == "exact" and priors is not None else ():
        (family,) = getattr(priors, name)
        if family != "normal":
            raise ValueError(f"engine 'exact' needs a normal prior of {name}; {family!r} came: take engine 'pymc'")
