"""Small figures for the chart view of runs: the same in large letters."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from matplotlib.text import Text

from mlflow_sensie import plots
from mlflow_sensie.text import words
from plots.cases import CASES, ERROR_INFO, HOSTILE, INFO, case, check_texts, labelled, make_result


@pytest.mark.parametrize("name", CASES)
def test_a_tile_says_the_same_in_large_letters(name: str) -> None:
    test = case(name)
    score = ERROR_INFO if name == "regression" else INFO
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tile = plots.draw_tile(make_result(test, score=score), test)
    check_texts(tile)
    assert min(text.get_fontsize() for text in tile.findobj(Text) if text.get_text()) >= 9  # type: ignore[union-attr]
    if test.kind == "perturbation" and test.ok:
        (curve,) = labelled(tile.axes[0], "curve")
        assert list(curve.get_ydata()) == [y for y in test.fit.curve.score if y is not None]
    if getattr(test.fit, "ranks", None) is not None:
        ticks = dict(zip(tile.axes[0].get_xticks(), tile.axes[0].get_xticklabels(), strict=True))
        values = [test.fit.ranks.value(np.array([share]))[0] for share in ticks]
        write = words.date if name == "ranked dates" else words.number
        assert len(ticks) >= 1 and [text.get_text() for text in ticks.values()] == [write(p) for p in values]


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_fits_a_tile(name: str) -> None:
    test = case("two sides").model_copy(update={"name": name})
    assert plots.to_png(plots.draw_tile(make_result(test), test), dpi=30).startswith(b"\x89PNG")
