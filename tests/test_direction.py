"""Marked lines of right-to-left text: parts in the order of Unicode's algorithm. Hebrew letters, no shaping."""

from __future__ import annotations

import pytest

from mlflow_sensie.plots import bidi as direction
from mlflow_sensie.plots.bidi import in_visual_order


@pytest.fixture(autouse=True)
def turning(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a matplotlib that turns letters, whichever is installed."""
    monkeypatch.setattr(direction, "_turns_letters", lambda: True)


@pytest.mark.parametrize(
    ("runs", "shown"),
    [
        ([("ab ", False), ("cd", True), (" ef", False)], ["ab ", "cd", " ef"]),  # nothing of it runs to the left
        ([("אב ", False), ("גד", True), (" הו", False)], [" הו", "גד", "אב "]),
        ([("אב ", False), ("", True), ("גד", False)], ["גד", "", "אב "]),  # something was left out
        ([("the אב", False), ("ג", True), (" end", False)], ["the ", "ג", "אב", " end"]),
        ([("אב the ", False), ("cat", True), (" גד", False)], [" גד", "the ", "cat", "אב "]),
        ([("אב 12", False), (".", True), ("5 גד", False)], [" גד", "12", ".", "5", "אב "]),  # a number is one
        ([("אב", False), ("(", True), ("גד)", False)], ["גד)", ")", "אב"]),  # brackets are mirrored
        ([("a 12 ", False), ("אב", True), (" 34", False)], ["a 12 ", "34", " ", "אב"]),
        ([("אב!", False)], ["אב!"]),  # one part: matplotlib orders it
    ],
)
def test_parts_stand_in_visual_order(runs: list[tuple[str, bool]], shown: list[str]) -> None:
    found = in_visual_order(runs)
    assert [text for text, _ in found] == shown
    assert sum(changed for _, changed in found) == sum(changed for _, changed in runs)


def test_nothing_is_moved_where_letters_are_not_turned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direction, "_turns_letters", lambda: False)
    runs = [("אב ", False), ("גד", True)]
    assert in_visual_order(runs) == runs
