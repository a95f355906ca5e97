"""What an evaluation found as a flat mapping, path → number, text, or list of these; and where two of them differ."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from mlflow_sensie import Comparison, Result, Verdict
from mlflow_sensie.gate.power import Power

Value = Any  # a number, a text, a bool, None, or a list of these
Record = dict[str, Value]

# Keys that tell no finding: what was asked, of which version, when, in how many seconds, and digests of it. A
# refactoring that gives a field up on purpose adds its name here, with the reason.
LEFT_OUT = frozenset(
    {
        "schema_version", "version", "seconds", "recipe", "recipe_yaml", "recipe_sha256", "data_sha256",
        "examples_sha256", "model_uuid", "label",
        "probabilities",  # the fixed places at which posteriors keep their quantiles
    }
)  # fmt: skip
# Its numbers stand beside it, one of them rounded to two digits: half of the last digit of .175 goes either way.
ROUNDED = "several/text"
# The same code makes them for all examples, where they are kept.
LEFT_OUT_OF_SLICES = frozenset(
    {
        "curve", "missing", "line", "regression", "plain", "plain_effect", "means", "lo50", "hi50", "quantiles",
        "distances", "margin", "variance", "covariance", "first_failed", "magnitudes", "flips", "departure",
    }
)  # fmt: skip
# Of longer lists (quantiles of draws, nodes of a quadrature) every so many-th is kept.
LONGEST, STEP = 60, 16
DIGITS = 12
DIGEST = re.compile(r"\b[0-9a-f]{12,64}\b…?")  # within warnings

STEPS = frozenset({"correct", "top_k", "threshold"})

RELATIVE = 1e-9
# Scores, effects and probabilities are of the order of 1, and sums of some hundred of them are exact to 1e-14: what
# should be zero is zero to this.
FLOOR = 1e-11
# Squares of standard errors: 1e-4 or so, and zero to the square of what rounding leaves.
FLOORS = {"variance": 1e-15, "covariance": 1e-15, "level_var": 1e-15, "slope_var": 1e-15}


def document(found: Any) -> dict[str, Any]:
    """Give what a result, comparison, verdict, or the power of a gate says, as JSON has it, less what is left out."""
    if isinstance(found, Result):
        every = found.model_copy(update={"recipe": {**found.recipe, "keys": "all"}})
        parts: dict[str, Any] = {"metrics": every.metrics, "json": json.loads(found.to_json())}
        if found.score.kind in STEPS:
            _without_ties(parts["json"])
        parts |= {"worst_test": found.worst_test, "status": found.status, "failed": found.failed}
        parts["summary"] = columns(found.summary().reset_index())
        parts["slices"] = columns(found.slices_frame()) if found.slices else {}
        parts["interactions"] = columns(found.interactions_frame()) if found.interactions else {}
        parts["own_holds_until"] = {name: columns(test.own_holds_until) for name, test in found.tests.items()}
    elif isinstance(found, Comparison):
        sides_apart = {key: value for key, value in json.loads(found.to_json()).items() if key != "sides"}
        parts = {"json": sides_apart}
        parts["summary"] = columns(found.summary())
    elif isinstance(found, Verdict):
        parts = {"json": json.loads(found.to_json()), "reasons": list(found.reasons), "n_more": found.n_more}
        parts["summary"] = columns(found.summary())
    elif isinstance(found, Power):
        parts = {"chance": found.chance, "n_for_90": found.n_for_90, "text": found.to_text()}
        parts["summary"] = columns(found.summary())
    else:
        raise TypeError(f"a Result, Comparison, Verdict or Power; {type(found).__name__} came")
    kept: dict[str, Any] = _kept(parts, LEFT_OUT)
    return kept


def _without_ties(result: dict[str, Any]) -> None:
    """Keep the number alone of the examples that fall first: of scores of 0 and 1 any of a kind may be named."""
    for test in result["tests"].values():
        test["n_flips"] = len(test.pop("flips", ()))


def flatten(part: Any, path: str = "") -> Record:
    """Give every number and text of a document by its path; a list of nothing else is one value."""
    if _is_leaf(part):
        return {path: part}
    named = part.items() if isinstance(part, Mapping) else enumerate(part)
    found: Record = {}
    for name, value in named:
        inner = f"{path}/{name}" if path else str(name)
        if name not in LEFT_OUT and not inner.endswith(ROUNDED):  # by then, whatever was recorded before
            found |= flatten(value, inner)
    return found


def to_text(part: Any) -> str:
    """Write a document as JSON: a line for every list of numbers and texts, and for what holds few of them by name."""
    if _is_leaf(part) or not part:
        return json.dumps(part)
    values = list(part.values() if isinstance(part, Mapping) else part)
    if all(_is_leaf(value) and not isinstance(value, list) for value in values) and len(line := json.dumps(part)) < 300:
        return line
    names = [f"{json.dumps(name)}: " for name in part] if isinstance(part, Mapping) else [""] * len(part)
    lines = ",\n".join(f"{name}{to_text(value)}" for name, value in zip(names, values, strict=True))
    return f"{{\n{lines}\n}}" if isinstance(part, Mapping) else f"[\n{lines}\n]"


def _is_leaf(part: Any) -> bool:
    return not isinstance(part, Mapping) and not (
        isinstance(part, list) and any(isinstance(value, Mapping | list) for value in part)
    )


def _kept(part: Any, left_out: frozenset[str], name: str = "") -> Any:
    """Leave out keys, thin long lists and round to 12 digits, all the way down."""
    within = left_out | LEFT_OUT_OF_SLICES if name in ("slices", "interactions") else left_out
    if isinstance(part, Mapping):
        return {key: _kept(value, within, key) for key, value in part.items() if key not in left_out}
    if isinstance(part, Sequence) and not isinstance(part, str):
        return [_kept(value, within) for value in thin(list(part))]
    if isinstance(part, str):
        return DIGEST.sub("…", part)
    return float(f"{part:.{DIGITS}g}") if isinstance(part, float) else part


def columns(frame: pd.DataFrame) -> dict[str, list[Any]]:
    """The columns of a frame as JSON has them."""
    return {str(name): [_plain(value) for value in column] for name, column in frame.items()}


def _plain(value: Any) -> Any:
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return None
    value = value.item() if hasattr(value, "item") else value
    return value if isinstance(value, bool | int | float) else str(value)


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1]


def thin(values: list[Any]) -> list[Any]:
    """Keep some of a long list, not the last: the end of a tabulated posterior hangs on the last digits."""
    return values if len(values) <= LONGEST else values[:-1:STEP]


# --- differences -------------------------------------------------------------------------------------------


def differences(recorded: Record, now: Record, looser: Mapping[str, float]) -> list[str]:
    """Say where the two differ, a line for each path; what is new now is no difference.

    ``looser`` maps parts of paths to a relative tolerance, for what is known to hang on the last digits.
    """
    lines = []
    for path, value in recorded.items():
        if path not in now:
            lines.append(f"{path}: recorded {_short(value)}, now missing")
        elif not agree(value, now[path], _name(path), _tolerance(path, looser)):
            lines.append(f"{path}: recorded {_short(value)}, now {_short(now[path])}")
    return lines


def agree(recorded: Value, now: Value, name: str, relative: float) -> bool:
    """Whether two leaves are the same: numbers to the tolerance, the rest exactly.

    In a list, what is below a hundredth of the largest is held to that; where the tolerance is a looser one, all are
    held to that of the largest.
    """
    if isinstance(recorded, list):
        if not isinstance(now, list) or len(recorded) != len(now):
            return False
        sizes = [abs(value) for value in recorded if _number(value)]
        floor = max(
            FLOORS.get(name, FLOOR), relative * (1.0 if relative > RELATIVE else 1e-2) * max(sizes, default=0.0)
        )
        return all(_same(one, other, relative, floor) for one, other in zip(recorded, now, strict=True))
    return _same(recorded, now, relative, FLOORS.get(name, FLOOR))


def _same(recorded: Value, now: Value, relative: float, floor: float) -> bool:
    if not (_number(recorded) and _number(now)):
        return type(recorded) is type(now) and recorded == now
    return recorded == now or abs(recorded - now) <= max(relative * max(abs(recorded), abs(now)), floor)


def _number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _tolerance(path: str, looser: Mapping[str, float]) -> float:
    return max([RELATIVE, *(value for part, value in looser.items() if part in path)])


def _short(value: Value) -> str:
    text = json.dumps(value)
    return text if len(text) <= 400 else f"{text[:400]} …"
