"""docs/models.md, made of what the tests ran."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flavours.row import Row
from mlflow_sensie.result import Result

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
HEAD = """# Models

What has been tried, and how the score comes about. This page is written by the tests (`make models`): every row was
logged, evaluated, and gave the metrics of the same model written as a plain function, to 1e-5.

- **asked**: what is called, `predict_proba` of the model itself, `predict` of MLflow's pyfunc model, or the function.
- **score**: `probability` of the correct class, `correct` (0 or 1) where there are only labels, `neg_absolute_error`
  in the target's unit for a regressor.
- **say**: what the recipe must say beside the tests.

{rows}

## What is refused

A model that no score can be made of as it comes is refused before anything is perturbed, with an error that names the
remedy:

{refused}
"""


def row_line(row: Row, result: Result) -> str:
    """The line of a row that ran, told by its result."""
    warned = ", with a warning" if result.warnings else ""
    cells = [row.model, row.how, f"`{result.score.source}`", f"`{result.score.kind}`{warned}", _keys(row.recipe)]
    return _line(cells)


def refused_line(what: str, error: Exception) -> str:
    """The line of a model that was refused, told by its error."""
    return _line([what, str(error).split("\n")[0]])


def write(rows: list[str], refused: list[str]) -> None:
    """Write the page."""
    tables = {
        "rows": _table(("model", "how it comes", "asked", "score", "say"), rows),
        "refused": _table(("model", "error"), refused),
    }
    PAGE.write_text(HEAD.format(**tables), encoding="utf-8")


def _keys(recipe: Mapping[str, Any]) -> str:
    return ", ".join(f"`{key}: {_short(value)}`" for key, value in recipe.items())


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_short(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_short, value))}]"
    return str(value) if isinstance(value, str | int | float) else "…"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _table(header: tuple[str, ...], lines: list[str]) -> str:
    return "\n".join([_line(list(header)), f"|{'---|' * len(header)}", *lines])
