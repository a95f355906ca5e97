"""The figures: that they say what the fits say, legibly, for any name, and leave matplotlib's state alone."""

from __future__ import annotations

import subprocess
import sys
import warnings
from functools import cache
from typing import Any, get_args
from xml.dom import minidom

import matplotlib
import numpy as np
import pytest
from evaluation.gallery_cases import rated, table
from matplotlib.style import library
from matplotlib.text import Text

import mlflow_sensie
from mlflow_sensie import plots
from mlflow_sensie.data.input_format import Kind
from mlflow_sensie.plots import canvas
from mlflow_sensie.result import Result
from mlflow_sensie.result.result import PlotKind
from mlflow_sensie.text import words
from plots.cases import CASES, HOSTILE, case, check_texts, figure, make_result, make_test, text_of, visible_texts


@pytest.mark.parametrize("name", CASES)
def test_every_kind_renders_without_a_warning(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        png = plots.to_png(figure(name), dpi=30)
    assert png.startswith(b"\x89PNG")
    width, height = figure(name).get_size_inches()
    assert width == canvas.WIDTH and canvas.HEIGHT <= height < 5


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_cut_off_and_no_texts_overlap(name: str) -> None:
    check_texts(figure(name))


@pytest.mark.parametrize(
    ("name", "x", "y"),
    [
        ("rotation", "image.rotate (degrees)", "probability of the correct class"),
        ("half censored", "shift (fraction of side)", "probability of the correct class"),
        ("no neutral", "mine", "probability of the correct class"),
        ("bins", "property bins (% vol)", "probability of the correct class"),
        ("dates", "property dates (date)", "probability of the correct class"),
        ("seconds", "property seconds (s), + 1600000000", "probability of the correct class"),
        ("ranks", "property ranks, by rank", "probability of the correct class"),
        ("ranked dates", "property ranked dates (date), by rank", "probability of the correct class"),
        ("regression", "feature.noise (feature SDs)", "−absolute error (target unit)"),
        ("digits", "class, the lowest mean first", "probability of the correct class"),
    ],
)
def test_axes_are_labelled_with_units(name: str, x: str, y: str) -> None:
    axes = figure(name).axes
    assert axes[-1].get_xlabel() == x  # a strip, where there is one, has the axis
    assert axes[0].get_ylabel().replace("\n", " ") == y


def test_the_title_is_the_name_and_the_subtitle_has_the_key_numbers() -> None:
    fit, drawing = case("rotation").fit, figure("rotation")
    text = text_of(drawing, "subtitle")
    assert text_of(drawing, "title") == "image.rotate"
    assert text.startswith(f"sensitive: effect {words.between(fit.effect)[0]}, 95 % interval [")
    assert "from 0 to 180 degrees" in text
    assert f"mean drop {words.between(fit.mean_drop)[0]} [" in text
    assert f"holds until {fit.holds_until:.1f} degrees, 95 % bound {fit.holds_until_lo95:.1f}" in text
    assert "n = 300" in text


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_is_drawn_as_it_is_written(name: str) -> None:
    kinds = ("few", "failed")
    tests = [case(kind).model_copy(update={"name": name, "unit": name[:20]}) for kind in kinds]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = [plots.draw(make_result(test), test) for test in tests]
        drawn.append(plots.overview(make_result(tests[0])))
        minidom.parseString(plots.to_svg(drawn[0]))
        for drawing in drawn:
            texts: list[Any] = drawing.findobj(Text)
            assert not any(text.get_parse_math() or text.get_usetex() for text in texts)
            assert all(box.x0 >= 0 and box.x1 <= drawing.bbox.width for _, box in visible_texts(drawing))


def test_a_plain_title_is_kept_and_a_long_one_shortened() -> None:
    for name in HOSTILE[:2]:
        test = case("few").model_copy(update={"name": name})
        assert text_of(plots.draw(make_result(test), test), "title") == name
    test = case("few").model_copy(update={"name": HOSTILE[2]})
    assert "…" in text_of(plots.draw(make_result(test), test), "title")


def test_a_failed_test_says_why() -> None:
    text = text_of(figure("failed"), "error")
    assert "failed" in text_of(figure("failed"), "subtitle")
    assert "magnitude 3.0, chunk 7 of 'mine' returned (256, 28, 27)" in text
    assert text.count("x") > 350
    assert text_of(figure("failed without a word"), "error") == "No error was recorded."


def test_an_endless_error_is_cut() -> None:
    test = make_test("mine", "property", None, error="word " * 5000)
    text = text_of(plots.draw(make_result(test), test), "error")
    assert text.endswith("…") and text.count("word") < 400


def test_a_result_read_back_draws_the_same() -> None:
    result = make_result(case("two sides"))
    again = Result.from_json(result.to_json())
    before, after = (plots.to_svg(plots.draw(r, r.tests["rotation"])) for r in (result, again))
    assert before == after


@pytest.mark.parametrize("name", ["two sides", "counts", "digits"])
def test_a_notebook_s_style_changes_nothing(name: str) -> None:
    def render() -> np.ndarray:
        return plots.to_array(plots.draw(make_result(case(name)), case(name)), dpi=60)

    expected = render()
    own = {
        "text.usetex": True,
        "font.weight": "bold",
        "xtick.minor.visible": True,
        "figure.dpi": 300,
    }
    with matplotlib.rc_context({**library["dark_background"], **own}):
        assert (render() == expected).all()


def test_pyplot_is_not_imported_nor_rcparams_changed() -> None:
    result = make_result(*(case(name) for name in ("two sides", "missing", "digits")))
    code = """
import sys
from mlflow_sensie import plots
from mlflow_sensie.result import Result
assert "matplotlib" not in sys.modules
import matplotlib
before, backend = dict(matplotlib.rcParams), dict.__getitem__(matplotlib.rcParams, "backend")
result = Result.from_json(sys.stdin.read())
figures = [plots.draw(result, test) for test in result.tests.values()]
for figure, render in zip(figures, [plots.to_png, plots.to_array, plots.to_svg]):
    render(figure)
plots.to_png(plots.overview(result))
assert "matplotlib.pyplot" not in sys.modules
assert dict(matplotlib.rcParams) == before
assert dict.__getitem__(matplotlib.rcParams, "backend") == backend
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, input=result.to_json(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# The test or column of slices that each kind of plot is of, where it needs one.
NAMES = {"auto": "tabular.noise", "curve": "x01", "categories": "level", "slices": "level", "gallery": "tabular.noise"}


@cache
def of_every_kind() -> Result:
    tests = {"properties": ["x01", "level"], "perturbations": ["tabular.noise"], "slices": ["level"]}
    return mlflow_sensie.probe(rated, table(), np.arange(len(table())) % 2, {**tests, "log_examples": "full"})


def test_the_kinds_of_plot_are_those_of_the_signature() -> None:
    assert list(plots.KINDS) == list(get_args(PlotKind))


@pytest.mark.parametrize("kind", plots.KINDS)
def test_every_kind_of_plot_can_be_drawn_and_is_documented(kind: Any) -> None:
    assert plots.to_png(of_every_kind().plot(NAMES.get(kind), kind=kind), dpi=30).startswith(b"\x89PNG")
    assert kind in get_args(PlotKind) and f"``{kind}``" in str(Result.plot.__doc__)


@pytest.mark.parametrize("kind", ["curve", "categories", "slices"])
def test_a_kind_that_needs_a_name_says_which_there_are(kind: Any) -> None:
    with pytest.raises(ValueError, match=f"kind='{kind}' needs a name; there are: .*{NAMES[kind]}.*; None came"):
        of_every_kind().plot(kind=kind)


def test_every_kind_of_input_has_a_gallery() -> None:
    assert set(plots.GALLERIES) == set(get_args(Kind))
