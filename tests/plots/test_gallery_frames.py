"""What changed in a text is marked."""

from __future__ import annotations

import pytest

from mlflow_sensie.plots import gallery_frames
from mlflow_sensie.plots.gallery_frames import SPACE, in_visual_order, lines_of, marked

CLEAN_TEXT = "When does the restaurant open on Sunday, and do you have a table for six?"


@pytest.mark.parametrize(
    ("clean", "becomes", "shown"),
    [
        ("six", "six", "six"),
        ("the restaurant open", "open", "[]open"),
        ("restaurant", "diner", "[diner]"),
        ("open on", "openon", "open[]on"),
        ("open on", "op en on", "op[ ]en on"),
        ("table", "tabel", "tab[el]"),
        ("six?", "six!", "six[!]"),
        ("have", "hAVe", "h[AV]e"),
        ("When does the", "When does a new", "When does [a new]"),
        (CLEAN_TEXT, "", "[]"),
    ],
)
def test_what_changed_in_a_text_is_marked(clean: str, becomes: str, shown: str) -> None:
    assert CLEAN_TEXT.count(clean) == 1
    runs = marked(CLEAN_TEXT, CLEAN_TEXT.replace(clean, becomes))
    joined = "".join(f"[{text}]" if changed else text for text, changed in runs)
    assert joined == CLEAN_TEXT.replace(clean, shown)


def test_long_texts_are_cut_and_broken() -> None:
    before = "a sentence that goes on and on, " * 300
    runs = marked(before, before.replace("goes", "XXXX", 1))
    assert runs[-1][0].endswith(" …") and sum(len(text) for text, _ in runs) < 160
    assert [text for text, changed in runs if changed] == ["XXXX"]
    lines = lines_of([("x" * 500, False), ("  \n", True), ("end", False)], 2.0, 8.0, 3)
    assert len(lines) == 3 and lines[-1][-1][0].endswith("…")
    assert lines_of([("a \t b", False), ("\n ", True)], 2.0, 8.0, 3) == [[("a b", False), (SPACE * 2, True)]]
    assert lines_of([], 2.0, 8.0, 3) == [[]]


# --- right to left: parts in the order of Unicode's algorithm; Hebrew letters, no shaping ---------------------------


@pytest.fixture
def turning(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a matplotlib that turns letters, whichever is installed."""
    monkeypatch.setattr(gallery_frames, "_turns_letters", lambda: True)


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
def test_parts_stand_in_visual_order(runs: list[tuple[str, bool]], shown: list[str], turning: None) -> None:
    ordered = in_visual_order(runs)
    assert [text for text, _ in ordered] == shown
    assert sum(changed for _, changed in ordered) == sum(changed for _, changed in runs)


def test_nothing_is_moved_where_letters_are_not_turned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gallery_frames, "_turns_letters", lambda: False)
    runs = [("אב ", False), ("גד", True)]
    assert in_visual_order(runs) == runs
