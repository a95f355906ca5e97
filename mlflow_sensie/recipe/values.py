"""Values of recipe keys that can be written in several ways, and how each is read."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator

from mlflow_sensie.plugins import names_code

Number = (float, int)
SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}


class Spec(BaseModel):
    """A part of a recipe: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class AbsoluteDrop(Spec):
    """A drop in the score's own unit, whatever its bounds."""

    absolute: float = Field(gt=0)


class TopK(Spec):
    """Score 1 where the correct class is among the k most probable."""

    top_k: int = Field(ge=1)


class Threshold(Spec):
    """Score 1 where the decision at this probability is right."""

    threshold: float = Field(gt=0, lt=1)


SCORE_NAMES = (
    "probability", "correct", "neg_log_loss", "neg_brier_score", "neg_absolute_error", "neg_squared_error",
)  # fmt: skip
SCORE_PARAMETERS: Mapping[str, type[Spec]] = MappingProxyType({"top_k": TopK, "threshold": Threshold})


def _parse_drop(value: Any) -> float | AbsoluteDrop:
    if isinstance(value, AbsoluteDrop):
        return value
    if isinstance(value, Mapping) and set(value) == {"absolute"}:
        return AbsoluteDrop(absolute=value["absolute"])
    if isinstance(value, Number) and not isinstance(value, bool) and value > 0:
        return float(value)
    raise ValueError(f"a number above 0 or {{absolute: x}}; {value!r} came")


def _parse_score(value: Any) -> Any:
    if value is None or value in SCORE_NAMES or isinstance(value, tuple(SCORE_PARAMETERS.values())) or callable(value):
        return value
    if names_code(value):
        return value
    if isinstance(value, Mapping) and len(value) == 1 and (name := next(iter(value))) in SCORE_PARAMETERS:
        return SCORE_PARAMETERS[name](**value)
    raise ValueError(
        f"one of {', '.join(SCORE_NAMES)}, {{top_k: k}}, {{threshold: t}}, 'module:function' or a function "
        f"(predictions, targets) → (n,); {value!r} came"
    )


def _parse_range(value: Any) -> tuple[float, float] | str:
    """Read a part of the range of p: "auto", or its two ends."""
    if isinstance(value, str) and value == "auto":
        return value
    ends = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else []
    numbers = all(isinstance(end, Number) and not isinstance(end, bool) and math.isfinite(end) for end in ends)
    if len(ends) == 2 and numbers and ends[0] < ends[1]:
        return float(ends[0]), float(ends[1])
    raise ValueError(f"'auto', or [lo, hi], two increasing numbers in the unit of p; {value!r} came")


def _parse_precision(value: Any) -> float | None:
    if value is None or (isinstance(value, Number) and not isinstance(value, bool) and 0 < value < math.inf):
        return None if value is None else float(value)
    raise ValueError(f"the width of the effect's 95 % interval, a number above 0 in the score's unit; {value!r} came")


def _parse_seconds(value: Any) -> float | None:
    if value is None:
        return None
    said = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|min|h)\s*", value) if isinstance(value, str) else None
    seconds = float(said[1]) * SECONDS[said[2]] if said else value
    if not isinstance(seconds, Number) or isinstance(seconds, bool) or not 0 < seconds < math.inf:
        raise ValueError(f"seconds, a number above 0, or a text such as '90s', '10min' or '1.5h'; {value!r} came")
    return float(seconds)


Folder = Annotated[
    str | None, BeforeValidator(lambda value: str(value) if isinstance(value, Path) else value), Field(min_length=1)
]
Precision = Annotated[float | None, PlainValidator(_parse_precision)]
Seconds = Annotated[float | None, PlainValidator(_parse_seconds)]
AllowedDrop = Annotated[float | AbsoluteDrop, PlainValidator(_parse_drop)]
ScoreSpec = Annotated[Any, PlainValidator(_parse_score)]
FitRange = Annotated[tuple[float, float] | Literal["auto"], PlainValidator(_parse_range)]
