"""Values of recipe keys that can be written in several ways: how each is read, and its JSON schema."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    TypeAdapter,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from mlflow_sensie.errors import did_you_mean
from mlflow_sensie.plugins import names_code

Number = (float, int)
SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}
NUMBER = {"type": "number"}
ABOVE_0 = {"type": "number", "exclusiveMinimum": 0}
NULL = {"type": "null"}


def any_of(*schemas: dict[str, Any]) -> WithJsonSchema:
    """Give a value type the JSON schema of all the ways in which it can be written."""
    return WithJsonSchema({"anyOf": list(schemas)})


def object_schema(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON schema of a mapping that has these keys and no others."""
    keys = list(properties)
    return {"type": "object", "properties": dict(properties), "required": keys, "additionalProperties": False}


class Spec(BaseModel):
    """A part of a recipe: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


Function = Annotated[str | Callable[..., Any], WithJsonSchema({"type": "string"})]
Code = Annotated[str | Callable[..., Any], WithJsonSchema({"type": "string", "pattern": ":"})]
Folder = Annotated[
    str, BeforeValidator(lambda value: str(value) if isinstance(value, Path) else value), Field(min_length=1)
]

# --- scores --------------------------------------------------------------------------------------------------


SCORE_NAMES = (
    "probability", "correct", "neg_log_loss", "neg_brier_score", "neg_absolute_error", "neg_squared_error",
    "neg_relative_error", "neg_log_error", "agreement",
)  # fmt: skip
TopK = Annotated[int, Field(ge=1, description="1 where the correct class is among the k most probable ones, else 0")]
Threshold = Annotated[float, Field(gt=0, lt=1, description="1 where the decision at this probability is right, else 0")]
Quantile = Annotated[float, Field(gt=0, lt=1, description="minus the pinball loss of this quantile")]


class ScoreFunction(Spec):
    """A function (predictions, targets) → (n,), and what it says of its scores: bounds, no-skill score, unit, name.

    Raises:
        ValueError: a bound is not finite, they do not increase, or the no-skill score is not between them.
    """

    function: Code
    lower: float | None = Field(default=None, allow_inf_nan=False)
    upper: float | None = Field(default=None, allow_inf_nan=False)
    no_skill: float | None = Field(default=None, allow_inf_nan=False, description="score of the best constant")
    unit: str = Field(default="", max_length=40)
    name: str = ""

    @field_validator("function")
    @classmethod
    def _is_code(cls, value: Any) -> Any:
        if isinstance(value, str) and not names_code(value):
            raise ValueError(f"'module:function' or a function (predictions, targets) → (n,); {value!r} came")
        return value

    @field_validator("name")
    @classmethod
    def _is_name(cls, value: str) -> str:
        if value and not re.fullmatch(r"\w[\w .()@%/+-]{0,39}", value):
            raise ValueError(f"at most 40 letters, digits and any of ' _.()@%/+-'; {value!r} came")
        return value

    @model_validator(mode="after")
    def _in_order(self) -> ScoreFunction:
        lower, upper = self.bounds
        if not lower < upper:
            raise ValueError(f"lower must be below upper; {self.lower:g} and {self.upper:g} came")
        if self.no_skill is not None and not lower <= self.no_skill < upper:
            raise ValueError(f"no_skill must be from lower to below upper; {self.no_skill:g} came")
        return self

    @property
    def bounds(self) -> tuple[float, float]:
        """The bounds, infinite where there is none."""
        return (-math.inf if self.lower is None else self.lower), (math.inf if self.upper is None else self.upper)


def score_function(score: Any) -> ScoreFunction | None:
    """Return the user's function that a recipe's ``score`` is, in any of its forms; ``None`` of a built-in score."""
    if isinstance(score, ScoreFunction):
        return score
    return ScoreFunction(function=score) if callable(score) or names_code(score) else None


# Scores with a parameter: the letter that messages have for it, and what it is read by.
SCORE_PARAMETERS: Mapping[str, tuple[str, TypeAdapter[Any]]] = MappingProxyType(
    {
        "top_k": ("k", TypeAdapter(dict[str, TopK])),
        "threshold": ("t", TypeAdapter(dict[str, Threshold])),
        "quantile": ("q", TypeAdapter(dict[str, Quantile])),
    }
)


def _parse_score(value: Any) -> Any:
    if value is None or value in SCORE_NAMES or callable(value) or names_code(value):
        return value
    if isinstance(value, Mapping) and len(value) == 1 and (name := next(iter(value))) in SCORE_PARAMETERS:
        return SCORE_PARAMETERS[name][1].validate_python(value)
    if isinstance(value, ScoreFunction):
        return value
    if isinstance(value, Mapping) and "function" in value:
        return ScoreFunction.model_validate(value)
    forms = [*SCORE_NAMES, *(f"{{{name}: {letter}}}" for name, (letter, _) in SCORE_PARAMETERS.items())]
    raise ValueError(
        f"one of {', '.join(forms)}, 'module:function', a function (predictions, targets) → (n,), or {{function, "
        f"lower, upper, no_skill, unit, name}}; {value!r} came"
    )


ScoreSpec = Annotated[
    Any, PlainValidator(_parse_score),
    any_of(
        {"enum": list(SCORE_NAMES)},
        {"type": "string", "pattern": ":"},
        *(object_schema({name: adapter.json_schema()["additionalProperties"]})
          for name, (_, adapter) in SCORE_PARAMETERS.items()),
        ScoreFunction.model_json_schema(),
        NULL,
    ),
]  # fmt: skip

# --- metrics -------------------------------------------------------------------------------------------------

METRIC_NAMES = (
    "roc_auc", "average_precision", "accuracy", "balanced_accuracy", "f1", "precision", "recall", "mcc", "log_loss",
    "brier", "ece", "rmse", "mae", "pinball", "mape", "r2", "skill",
)  # fmt: skip
LOSSES = ("log_loss", "brier", "ece", "rmse", "mae", "pinball", "mape")  # of which smaller is better
OF_A_CLASS = ("f1", "precision", "recall")
# Keys of a test that are there already; a metric has a series under its own name.
_OTHER_KEY = (
    "(score|p|ok|n|changed|sensitive|censored|range|departure|spread|unexpected|slope|mean_drop|max_drop|"
    "(within_|below_|above_)?effect|holds_until(_below|_above)?|credible)(_lo50|_hi50|_lo95|_hi95|_bound95)?"
)
_METRIC_NAME = r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,49}"  # as it stands in keys and names of files


def _parse_metric(value: Any) -> Any:
    """Read a name, {name, of}, {name, function}, or a function alone, whose name is the metric's."""
    if callable(value) or names_code(value):
        name = value.rpartition(":")[2] if isinstance(value, str) else getattr(value, "__name__", type(value).__name__)
        value = {"name": name.rpartition(".")[2], "function": value}
    if isinstance(value, str) and value in METRIC_NAMES:
        return value
    if not isinstance(value, Mapping) or "name" not in value:
        raise ValueError(
            f"one of {', '.join(METRIC_NAMES)}{did_you_mean(value, METRIC_NAMES)}, {{name: recall, of: a class}} or "
            f"{{name, function}}, a function (targets, predictions, sample_weight) → number; {value!r} came"
        )
    if set(value) == {"name"} and value["name"] in METRIC_NAMES:
        return value["name"]
    return _parse_function_metric(value) if "function" in value else _parse_class_metric(value)


def _parse_class_metric(value: Mapping[str, Any]) -> Mapping[str, Any]:
    if set(value) != {"name", "of"} or value["name"] not in OF_A_CLASS:
        raise ValueError(f"{{name, of: a class}} is for {', '.join(OF_A_CLASS)}; {dict(value)!r} came")
    label = value["of"].item() if hasattr(value["of"], "item") else value["of"]  # of NumPy
    if not isinstance(label, str | int | float):
        raise ValueError(f"of: the label of a class, a text, a number, true or false; {label!r} came")
    return {"name": value["name"], "of": label}


def _parse_function_metric(value: Mapping[str, Any]) -> Mapping[str, Any]:
    if unknown := [key for key in value if key not in ("name", "function", "greater_is_better")]:
        raise ValueError(f"a metric has the keys name, function and greater_is_better; {unknown[0]!r} came")
    name, function = value["name"], value["function"]
    if not isinstance(name, str) or not re.fullmatch(_METRIC_NAME, name):
        raise ValueError(f"a metric's name is 1 to 50 letters, digits, '_', '.' and '-'; {name!r} came")
    if name in METRIC_NAMES or re.fullmatch(_OTHER_KEY, name):
        raise ValueError(f"{name!r} is taken; give the function another 'name'")
    if not callable(function) and not names_code(function):
        raise ValueError(f"{name}: a function or 'module:function' is needed; {function!r} came")
    if not isinstance(value.get("greater_is_better", True), bool):
        raise ValueError(f"greater_is_better is true or false; {value['greater_is_better']!r} came")
    return dict(value)


_TAKEN = {"anyOf": [{"enum": list(METRIC_NAMES)}, {"pattern": f"^{_OTHER_KEY}$"}]}
MetricSpec = Annotated[
    Any, PlainValidator(_parse_metric),
    any_of(
        {"enum": list(METRIC_NAMES)},
        {"type": "string", "pattern": ":"},
        object_schema({"name": {"enum": list(METRIC_NAMES)}}),
        object_schema({
            "name": {"enum": list(OF_A_CLASS)},
            "of": {"type": ["string", "number", "boolean"], "description": "the class, by its label"},
        }),
        {**object_schema({
            "name": {"type": "string", "pattern": f"^{_METRIC_NAME}$", "not": _TAKEN},
            "function": {"type": "string", "pattern": ":"},
            "greater_is_better": {"type": "boolean"},
        }), "required": ["name", "function"]},
    ),
]  # fmt: skip

# --- drops, times and widths ---------------------------------------------------------------------------------


def _parse_drop(value: Any) -> float | Mapping[str, float]:
    """Read a fraction, or {absolute: x}, a drop in the score's own unit, whatever its bounds."""
    if isinstance(value, Mapping) and set(value) == {"absolute"}:
        return TypeAdapter(dict[str, Annotated[float, Field(gt=0)]]).validate_python(value)
    if isinstance(value, Number) and not isinstance(value, bool) and value > 0:
        return float(value)
    raise ValueError(f"a number above 0 or {{absolute: x}}; {value!r} came")


AllowedDrop = Annotated[
    float | Mapping[str, float],
    PlainValidator(_parse_drop),
    any_of(ABOVE_0, object_schema({"absolute": {**ABOVE_0, "description": "a drop in the score's own unit"}})),
]  # fmt: skip


def _parse_precision(value: Any) -> float | None:
    if value is None or (isinstance(value, Number) and not isinstance(value, bool) and 0 < value < math.inf):
        return None if value is None else float(value)
    raise ValueError(f"the width of the effect's 95 % interval, a number above 0 in the score's unit; {value!r} came")


Precision = Annotated[float | None, PlainValidator(_parse_precision), any_of(ABOVE_0, NULL)]


def _parse_seconds(value: Any) -> float | None:
    if value is None:
        return None
    text = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|min|h)\s*", value) if isinstance(value, str) else None
    seconds = float(text[1]) * SECONDS[text[2]] if text else value
    if not isinstance(seconds, Number) or isinstance(seconds, bool) or not 0 < seconds < math.inf:
        raise ValueError(f"seconds, a number above 0, or a text such as '90s', '10min' or '1.5h'; {value!r} came")
    return float(seconds)


Seconds = Annotated[
    float | None,
    PlainValidator(_parse_seconds),
    any_of(ABOVE_0, {"type": "string", "pattern": r"^\s*\d+(\.\d+)?\s*(s|min|h)\s*$"}, NULL),
]

# --- magnitudes, ranges of p and bins ------------------------------------------------------------------------


def _parse_magnitudes(value: Any) -> Any:
    """Read {start, stop, num}, or any series of numbers."""
    if isinstance(value, Mapping):
        if set(value) != {"start", "stop", "num"}:
            raise ValueError(f"a range of magnitudes has the keys start, stop and num; {sorted(value)} came")
        start, stop, num = value["start"], value["stop"], value["num"]
        if not isinstance(num, int) or isinstance(num, bool) or num < 1:
            raise ValueError(f"num must be a whole number above 0; {num!r} came")
        if not all(isinstance(end, int | float) for end in (start, stop)):
            raise ValueError(f"start and stop must be numbers; {start!r} and {stop!r} came")
        steps = max(num - 1, 1)
        value = [start + (stop - start) * i / steps for i in range(num)]
    return list(value) if hasattr(value, "__iter__") and not isinstance(value, str) else value


def _check_magnitudes(value: tuple[float, ...]) -> tuple[float, ...]:
    if not all(math.isfinite(p) for p in value):
        raise ValueError(f"magnitudes must be finite numbers; {list(value)} came")
    distinct = tuple(sorted(set(value)))
    if len(distinct) < 2:
        raise ValueError(f"at least two different magnitudes are needed; {list(value)} came")
    return distinct


Magnitudes = Annotated[
    tuple[float, ...],
    BeforeValidator(_parse_magnitudes),
    AfterValidator(_check_magnitudes),
    any_of(
        {"type": "array", "items": NUMBER, "minItems": 2},
        object_schema({"start": NUMBER, "stop": NUMBER, "num": {"type": "integer", "minimum": 2}}),
    ),
]


def _parse_range(value: Any) -> tuple[float, float] | str:
    """Read a part of the range of p: "auto", or its two ends."""
    if isinstance(value, str) and value == "auto":
        return value
    ends = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else []
    numbers = all(isinstance(end, Number) and not isinstance(end, bool) and math.isfinite(end) for end in ends)
    if len(ends) == 2 and numbers and ends[0] < ends[1]:
        return float(ends[0]), float(ends[1])
    raise ValueError(f"'auto', or [lo, hi], two increasing numbers in the unit of p; {value!r} came")


FitRange = Annotated[
    tuple[float, float] | Literal["auto"],
    PlainValidator(_parse_range),
    any_of({"type": "array", "items": NUMBER, "minItems": 2, "maxItems": 2}, {"const": "auto"}),
]


def _check_bins(value: Any) -> Any:
    counts = [value] if isinstance(value, int) else list(value.values()) if isinstance(value, Mapping) else []
    if any(count < 2 for count in counts):
        raise ValueError(f"at least 2 bins are needed, {value!r} came")
    if isinstance(value, tuple) and (len(value) < 3 or sorted(set(value)) != list(value)):
        raise ValueError(f"edges must be at least three increasing numbers, {list(value)} came")
    return value


_COUNT = {"type": "integer", "minimum": 2}
Bins = Annotated[
    int | tuple[float, ...] | Mapping[Literal["uniform"], int] | Literal["none"],
    AfterValidator(_check_bins),
    any_of(
        _COUNT, {"type": "array", "items": NUMBER, "minItems": 3}, object_schema({"uniform": _COUNT}), {"const": "none"}
    ),
]
