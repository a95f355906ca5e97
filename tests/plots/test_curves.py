"""The figure of a property or perturbation test: it draws what the fit says."""

from __future__ import annotations

import numpy as np
import pytest

from mlflow_sensie import plots
from mlflow_sensie.inference import (
    MagnitudeGrid,
    PerturbationFit,
    perturbation_test,
)
from mlflow_sensie.text import words
from plots.cases import (
    CURVES,
    PARTS,
    PROBABILITY,
    RANKED,
    binned,
    case,
    figure,
    labelled,
    legend_texts,
    make_result,
    make_test,
    one,
    segments,
    sweep,
    text_of,
    tick_texts,
)


@pytest.mark.parametrize("name", [*CURVES, "bins", "missing", "no bins"])
def test_lines_and_bands_are_those_of_the_fit(name: str) -> None:
    fit, ax = case(name).fit, figure(name).axes[0]
    lines = [side.line for side in fit.sides] if isinstance(fit, PerturbationFit) else [fit.line]
    drawn = [line for line in ax.get_lines() if str(line.get_label()).startswith("line-")]
    assert len(drawn) == len(lines)
    for line in lines:
        p = one(ax, f"line-{line.side}").get_xdata()
        mean, low, high = line.at(p)
        assert (p.min(), p.max()) == pytest.approx((line.start, line.stop))
        assert one(ax, f"line-{line.side}").get_ydata() == pytest.approx(mean)
        box = one(ax, f"line-band-{line.side}").get_datalim(ax.transData)
        assert (box.y0, box.y1) == pytest.approx((low.min(), high.max()))


@pytest.mark.parametrize("name", RANKED)
def test_ranked_points_stand_at_their_rank_and_ticks_say_values(name: str) -> None:
    fit, ax = case(name).fit, figure(name).axes[0]
    x = np.concatenate([artist.get_xdata() for label in ("mean", "few") for artist in labelled(ax, label)])
    known = ax.get_xlim()[0] < x
    assert np.sort(x[known])[: len(fit.curve.p)] == pytest.approx(fit.ranks.share(fit.curve.p))
    lowest = figure(name).axes[-1]
    ticks = [text.get_text() for text in lowest.get_xticklabels()]
    at = dict(zip(ticks, lowest.get_xticks(), strict=True))
    at.pop("missing", None)
    assert len(at) >= 3
    for text, share in at.items():
        value = fit.ranks.value(share)
        assert text == (words.date(float(value)) if name == "ranked dates" else words.number(float(value)))


def test_what_the_model_expects_is_drawn_and_the_unexpected_said() -> None:
    fit, drawing = case("calibration").fit, figure("calibration")
    drawn = one(drawing.axes[0], "expected")
    assert drawn.get_xdata() == pytest.approx([0, 1, 2, 4])
    assert drawn.get_ydata() == pytest.approx(fit.calibration.expected)
    assert words.with_interval("unexpected", fit.unexpected) in text_of(drawing, "subtitle")
    assert "what the model expects" in [text.get_text() for text in drawing.legends[0].get_texts()]


@pytest.mark.parametrize("name", [*PARTS, "bent", "ranked part"])
def test_what_is_fitted_beside_the_line_is_drawn_and_said(name: str) -> None:
    fit, ax = case(name).fit, figure(name).axes[0]
    assert fit.fit_range and fit.polynomials
    for part in fit.fit_range:
        line = one(ax, f"range-line-{part.side}")
        assert line.get_ydata() == pytest.approx(part.line.at(line.get_xdata())[0])
        shade = one(ax, f"range-{part.side}")
        assert (shade.get_x(), shade.get_x() + shade.get_width()) == pytest.approx((part.line.start, part.line.stop))
        assert words.with_interval("effect", part.effect) in text_of(figure(name), "subtitle")
    for polynomial in fit.polynomials:
        drawn, (_, low, high) = (
            one(ax, f"polynomial-{polynomial.side}"),
            polynomial.at(np.array([polynomial.start, polynomial.stop])),
        )
        assert drawn.get_ydata() == pytest.approx(polynomial.at(drawn.get_xdata())[0])
        box = one(ax, f"polynomial-band-{polynomial.side}").get_datalim(ax.transData)
        assert box.y0 <= low.min() + 1e-12 and box.y1 >= high.max() - 1e-12  # NumPy 1 and 2 differ in the last digit
    (legend,) = figure(name).legends
    keys = [text.get_text() for text in legend.get_texts()]
    assert keys[-2:] == ["fit over the shaded range", f"polynomial of order {fit.polynomials[0].order}"]
    assert ("chosen from the curve" in text_of(figure(name), "subtitle")) == fit.fit_range[0].auto


@pytest.mark.parametrize("name", ["rotation", "two sides", "bins"])
def test_points_intervals_and_sds_are_those_of_the_curve(name: str) -> None:
    curve, ax = case(name).fit.curve, figure(name).axes[0]
    assert one(ax, "mean").get_xdata() == pytest.approx(curve.p)
    assert one(ax, "mean").get_ydata() == pytest.approx(curve.score)
    bars = segments(ax, "mean interval")
    assert bars[:, 0, 1] == pytest.approx(curve.lo95)
    assert bars[:, 1, 1] == pytest.approx(curve.hi95)
    sds, score = np.array(curve.sd), np.array(curve.score)
    assert segments(ax, "sd")[:, 0, 1] == pytest.approx(np.maximum(score - sds, 0))
    assert segments(ax, "sd")[:, 1, 1] == pytest.approx(np.minimum(score + sds, 1))


def test_sds_of_an_unbounded_score_are_cut_at_its_one_bound() -> None:
    top = segments(figure("regression").axes[0], "sd")[:, 1, 1]
    assert (top <= 0).all()


def test_only_sweeps_are_joined_by_a_line() -> None:
    assert one(figure("rotation").axes[0], "curve").get_ydata() == pytest.approx(case("rotation").fit.curve.score)
    assert not labelled(figure("bins").axes[0], "curve")


def test_few_examples_are_hollow_and_explained() -> None:
    ax = figure("few").axes[0]
    assert not labelled(ax, "mean")
    assert one(ax, "few").get_markerfacecolor() == "white"
    assert len(segments(ax, "few interval")) == len(case("few").fit.curve.p)
    assert "little evidence" in legend_texts("few")
    assert "little evidence" not in legend_texts("rotation")


def test_the_legend_names_what_is_there() -> None:
    assert legend_texts("rotation") == [
        "mean, 95 % interval",
        "± SD",
        "line, 95 % band",
        "holds until, bound",
    ]
    assert legend_texts("bins") == ["mean, 95 % interval", "± SD", "line, 95 % band"]
    assert legend_texts("no bins") == ["line, 95 % band"]


@pytest.mark.parametrize("name", CURVES)
def test_clean_level_and_floor(name: str) -> None:
    fit, ax = case(name).fit, figure(name).axes[0]
    assert one(ax, "clean").get_ydata()[0] == pytest.approx(fit.clean.value)
    # A handful of examples is judged with pseudo-examples, which move the floor by a hair.
    assert one(ax, "floor").get_ydata()[0] == pytest.approx(0.9 * fit.clean.value, abs=2 / fit.n)
    notes = [text.get_text() for text in labelled(ax, "note")]
    assert [note.split(" 0.")[0] for note in notes] == ["floor", "clean"]


@pytest.mark.parametrize("name", [*CURVES, "regression"])
def test_each_side_is_marked_where_it_holds_until(name: str) -> None:
    fit, ax = case(name).fit, figure(name).axes[0]
    marks = [line for line in ax.get_lines() if str(line.get_label()).startswith("holds-")]
    assert len(marks) == len(fit.sides)
    for side in fit.sides:
        (at,), sign = one(ax, f"holds-{side.side}").get_xdata(), -1 if side.side == "below" else 1
        bound = one(ax, f"bound-{side.side}").get_xdata()[0]
        if fit.log_distance:
            assert np.log([at, bound]) == pytest.approx(sign * np.array([side.holds.value, side.holds.lo95]))
        else:
            assert (at, bound) == pytest.approx((sign * side.holds.value, sign * side.holds.lo95))


def test_what_never_falls_is_an_arrow_and_said_to_be_at_least() -> None:
    assert case("flat").fit.censored
    assert one(figure("flat").axes[0], "holds-above").get_marker() == ">"
    assert "holds until ≥ 3 px" in text_of(figure("flat"), "subtitle")
    ax = figure("half censored").axes[0]
    assert (one(ax, "holds-below").get_marker(), one(ax, "holds-above").get_marker()) == ("<", "D")
    assert "holds from ≤ −0.2 to 0.0" in text_of(figure("half censored"), "subtitle")


def test_a_floor_below_the_score_s_bound_is_drawn_at_the_bound() -> None:
    fit = sweep([1.0, 2.0], lambda _: 0.5, allowed_drop=("absolute", 0.9))
    test = make_test("harmless", "perturbation", fit, "px")
    assert one(plots.draw(make_result(test), test).axes[0], "floor").get_ydata()[0] == 0


def test_a_logarithmic_sweep_has_a_logarithmic_axis_with_its_magnitudes() -> None:
    ax, strip = figure("logarithmic").axes
    assert ax.get_xscale() == strip.get_xscale() == "log"
    assert tick_texts(strip) == ["0.25", "0.5", "1", "2", "4"]
    assert "from factor 1 to " in text_of(figure("logarithmic"), "subtitle")


def test_missing_values_stand_apart_at_the_right() -> None:
    fit, (ax, strip) = case("missing").fit, figure("missing").axes
    place = ax.get_xticks()[-1]
    assert tick_texts(strip)[-1] == "missing"
    assert place > max(p for p in fit.curve.p if p is not None)
    means = one(ax, "mean")
    assert means.get_xdata()[-1] == place
    assert means.get_ydata()[-1] == pytest.approx(fit.missing.score[0])
    assert max(one(ax, "line-all").get_xdata()) < place
    assert f"{fit.n_missing} missing" in text_of(figure("missing"), "subtitle")


def test_uneven_counts_get_a_strip_and_even_ones_do_not() -> None:
    curve = case("counts").fit.curve
    strip = figure("counts").axes[1]
    assert segments(strip, "counts")[:, 1, 1] == pytest.approx(curve.n)
    assert len(figure("bins").axes) == 1


@pytest.mark.parametrize("name", ["rotation", "two sides", "below", "logarithmic", "no neutral"])
def test_a_strip_shows_how_many_examples_hold_by_themselves(name: str) -> None:
    test, (ax, strip) = case(name), figure(name).axes
    assert strip.get_xlim() == ax.get_xlim()
    for side, points in test.own_holds_until.groupby("side"):
        drawn, points = one(strip, f"own-line-{side}"), points.sort_values("p")
        assert drawn.get_xdata() == pytest.approx(points["p"].tolist())
        assert drawn.get_ydata() == pytest.approx(points["holds"].tolist())


def test_a_sweep_that_no_example_falls_in_has_no_strip() -> None:
    scores = np.full((50, 3), 0.9)
    fit = perturbation_test(scores, MagnitudeGrid.of([1, 2], 0), PROBABILITY)
    test = make_test("harmless", "perturbation", fit)
    assert len(plots.draw(make_result(test), test).axes) == 1


def test_dates_are_written_as_dates() -> None:
    assert tick_texts(figure("dates").axes[0]) == ["2017", "2018", "2019", "2020", "2021"]
    assert "from 2016-08-21 to 2021-12-24" in text_of(figure("dates"), "subtitle")


def test_many_bins_are_drawn_in_a_few_artists() -> None:
    p = np.linspace(0, 1, 2000)
    test = make_test("p", "property", binned(p, np.full(2000, 0.8), bins=400))
    ax = plots.draw(make_result(test), test).axes[0]
    assert len(segments(ax, "sd")) == 400
    assert len(ax.get_children()) < 40
