"""What fonts can draw, and what stands for the rest."""

from __future__ import annotations

import warnings

import pytest

from mlflow_sensie import plots
from mlflow_sensie.plots import fonts
from plots.cases import case, make_result, text_of


def test_where_the_fonts_lack_letters_the_slug_tells_tests_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "_drawable", str.isascii)
    test = case("few").model_copy(update={"name": "旋转"})
    assert text_of(plots.draw(make_result(test), test), "title") == "□□ (slug-4)"


def test_letters_are_found_in_any_installed_font(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "WIDE_FONTS", ("STIXGeneral", "No Such Font"))
    for cached in (fonts.families, fonts._fonts, fonts._advance):
        cached.cache_clear()
    test = case("few").model_copy(update={"name": "cafe\u0301 \u2b9a \U0001d538 \u22ff"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawing = plots.draw(make_result(test), test)
        plots.to_png(drawing, dpi=30)
    assert fonts.families() == ("DejaVu Sans", "STIXGeneral")
    assert text_of(drawing, "title").startswith("cafe\u0301")
    monkeypatch.undo()
    for cached in (fonts.families, fonts._fonts, fonts._advance):
        cached.cache_clear()
