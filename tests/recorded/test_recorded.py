"""What a refactoring must not change: results that were recorded before it, to 1e-9 of every number."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

import pytest

from recorded.evaluations import EVALUATIONS, FOLDER, Evaluation
from recorded.flatten import differences, flatten

SHOWN = 12


@pytest.mark.parametrize(
    "evaluation",
    [pytest.param(each, id=each.name, marks=[pytest.mark.slow] * bool(each.sampled_by)) for each in EVALUATIONS],
)
def test_the_result_is_as_it_was_recorded(evaluation: Evaluation) -> None:
    if evaluation.sampled_by is not None and installed(package := evaluation.sampled_by[0]) != evaluation.sampled_by[1]:
        pytest.skip(f"recorded with the draws of {package} {evaluation.sampled_by[1]}")
    lines = differences(flatten(evaluation.recorded()), flatten(evaluation.now()), evaluation.looser)
    shown = "\n".join(lines[:SHOWN])
    assert not lines, f"{evaluation.name} differs in {len(lines)} values; the first:\n{shown}"


def installed(package: str) -> str | None:
    """The version of a package; None where it is missing."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def test_every_record_has_its_evaluation() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == {evaluation.name for evaluation in EVALUATIONS}


def test_what_differs_is_said_by_its_path() -> None:
    recorded = flatten({"a": {"value": 1.0, "lo95": [0.5, 1e-14]}, "b": "sensitive", "gone": 3})
    now = flatten({"a": {"value": 1 + 1e-8, "lo95": [0.5, 3e-14]}, "b": "undecided", "new": 1})
    assert differences(recorded, now, {}) == [
        "a/value: recorded 1.0, now 1.00000001",
        'b: recorded "sensitive", now "undecided"',
        "gone: recorded 3, now missing",
    ]
    assert differences(recorded, now, {"a/": 1e-6})[0].startswith("b:")
