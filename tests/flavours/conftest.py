"""What the tests of all flavours share."""

from __future__ import annotations

import pytest

from flavours.logged import draw_nothing


@pytest.fixture(autouse=True)
def quick_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are looked at elsewhere."""
    draw_nothing(monkeypatch)
