"""The recipe's JSON schema, so that an editor completes keys and marks mistakes in a recipe file."""

from __future__ import annotations

from typing import Any

from mlflow_sensie.recipe.engine import COEFFICIENT, NOISE
from mlflow_sensie.recipe.model import Recipe
from mlflow_sensie.recipe.values import SCORE_NAMES

_NUMBER = {"type": "number"}
_RANGE = {
    "type": "object",
    "properties": {"start": _NUMBER, "stop": _NUMBER, "num": {"type": "integer", "minimum": 2}},
    "required": ["start", "stop", "num"],
    "additionalProperties": False,
}
_MAGNITUDES = {"anyOf": [{"type": "array", "items": _NUMBER, "minItems": 2}, _RANGE]}
_DROP = {
    "anyOf": [
        {"type": "number", "exclusiveMinimum": 0},
        {"type": "object", "properties": {"absolute": _NUMBER}, "required": ["absolute"]},
    ]
}
_SECONDS = {
    "anyOf": [
        {"type": "number", "exclusiveMinimum": 0},
        {"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*(s|min|h)\s*$"},
    ]
}
_SCORE = {
    "anyOf": [
        {"enum": list(SCORE_NAMES)},
        {"type": "string", "pattern": ":"},
        {"type": "object", "properties": {"top_k": {"type": "integer"}}, "required": ["top_k"]},
        {"type": "object", "properties": {"threshold": _NUMBER}, "required": ["threshold"]},
    ]
}
_FIT_RANGE = {
    "anyOf": [{"type": "array", "items": _NUMBER, "minItems": 2, "maxItems": 2}, {"const": "auto"}, {"type": "null"}]
}
_BINS = {
    "anyOf": [
        {"type": "integer", "minimum": 2},
        {"type": "array", "items": _NUMBER, "minItems": 3},
        {"type": "object", "properties": {"uniform": {"type": "integer", "minimum": 2}}, "required": ["uniform"]},
        {"const": "none"},
    ]
}


def _prior(family: str, parameters: tuple[str, ...]) -> dict[str, Any]:
    count = len(parameters)
    several = {"type": "array", "items": _NUMBER, "minItems": count, "maxItems": count}
    values = {"anyOf": [_NUMBER, several]} if count == 1 else several
    return {"type": "object", "properties": {family: values}, "required": [family], "additionalProperties": False}


def json_schema() -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of a recipe file, short forms included."""
    schema = Recipe.model_json_schema()
    schema |= {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "mlflow-sensie recipe"}
    parts, keys = schema["$defs"], schema["properties"]
    for name, families in (("intercept", COEFFICIENT), ("slope", COEFFICIENT), ("noise", NOISE)):
        parts["PriorsSpec"]["properties"][name] = {"anyOf": [_prior(*family) for family in families.items()]}
    for part, target in (("PropertySpec", "of"), ("PerturbationSpec", "apply")):
        del parts[part]["required"]
        parts[part]["properties"] |= {"name": {"type": "string", "minLength": 1}, target: {"type": "string"}}
    parts["PropertySpec"]["properties"] |= {"bins": _BINS}
    parts["PerturbationSpec"]["properties"] |= {
        "magnitudes": _MAGNITUDES,
        "allowed_drop": _DROP,
        "fit_range": _FIT_RANGE,
    }
    parts["InferenceSpec"]["properties"]["fit_range"] = _FIT_RANGE
    for key in ("properties", "perturbations"):
        keys[key]["items"] = {"anyOf": [{"type": "string"}, keys[key]["items"]]}
    parts["SliceSpec"]["properties"] |= {"column": {"type": "string"}, "bins": _BINS}
    slices = {"type": "array", "items": {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/SliceSpec"}]}}
    keys["slices"] = {"anyOf": [slices, {"const": False}]}
    keys |= {"precision": {"type": "number", "exclusiveMinimum": 0}, "time_budget": _SECONDS}
    keys |= {"score": _SCORE, "allowed_drop": _DROP, "preprocess": {"type": "string", "pattern": ":"}}
    return schema
