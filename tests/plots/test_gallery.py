"""The figures of galleries: inputs before and after, with answers and scores, legible."""

from __future__ import annotations

import itertools
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest
from evaluation.gallery_cases import (
    ALL,
    ROTATE,
    artists,
    beside_a_table,
    classes,
    images,
    result_of,
    seen,
    series,
    table,
    texts_in,
)
from matplotlib.backends.backend_agg import FigureCanvasAgg

import mlflow_sensie
from mlflow_sensie.plots.gallery_frames import cell_texts, texts_of


def test_images_are_headed_by_magnitudes_and_footed_by_answers() -> None:
    result = result_of("images")
    gallery, figure = result.galleries["turn"], result.plot("turn", kind="gallery")
    heads = " ".join(texts_in(figure, "head", "heading"))
    assert heads == "−40 degrees −20 degrees clean 0 degrees 20 degrees 40 degrees"
    assert texts_in(figure, "title") == ["turn"] and texts_in(figure, "test") == ["turn"]
    scores = [f"{gallery.scores[k, i]:.2f}" for i in range(4) for k in range(5)]
    assert texts_in(figure, "score") == scores
    assert gallery.answers is not None
    marks = [f"{'✓' if gallery.right(k, i) else '✗'} {gallery.answers[k][i]}" for i in range(4) for k in range(5)]
    assert texts_in(figure, "answer") == marks and {text[0] for text in marks} == {"✓", "✗"}
    assert [text for text in texts_in(figure, "example") if "true" in text] == [f"true: {t}" for t in gallery.truths]
    subtitle = " ".join(texts_in(figure, "subtitle"))
    assert "the same 4 examples at all 5 magnitudes" in subtitle and "probability of the correct class" in subtitle
    snow = " ".join(texts_in(result.plot("snow", kind="gallery")))
    assert "7 of the 12 magnitudes" in snow and "(fraction of range)" in snow


def test_a_table_shows_before_and_after() -> None:
    result = result_of("table")
    gallery, figure = result.galleries["tabular.noise"], result.plot("tabular.noise", kind="gallery")
    columns = texts_in(figure, "column")
    assert columns == [str(name) for name in gallery.columns] * 2
    assert "the 8 of 14 columns that change most" in " ".join(texts_in(figure, "subtitle"))
    changed = sum(int(gallery.changed(k, name).sum()) for k in range(7) for name in gallery.columns)
    assert len(texts_in(figure, "changed")) == changed > 50
    assert len(texts_in(figure, "cell")) == 2 * 7 * 8 - changed
    assert len(figure.axes[0].patches) == changed  # told by a tint as well as by the ink


def test_a_column_of_images_is_shown_as_images() -> None:
    result = beside_a_table(ROTATE, "series.noise")
    gallery, figure = result.galleries["turn"], result.plot("turn", kind="gallery")
    recipe = {"perturbations": [ROTATE], "log_examples": "full"}
    alone = mlflow_sensie.probe(seen, images(3), classes(), recipe).galleries["turn"]
    np.testing.assert_array_equal(gallery.pictures, alone.pictures)
    assert (gallery.answers, gallery.ids, gallery.repeated) == (alone.answers, alone.ids, True)
    assert "column image" in " ".join(texts_in(figure, "subtitle"))
    pulse = result.galleries["series.noise"]
    assert pulse.input_format.kind == "series" and np.shape(pulse.inputs) == (7, 4, series().shape[1])
    subtitle = texts_in(result.plot("series.noise", kind="gallery"), "subtitle")
    assert "column pulse the clean series in grey" in " ".join(subtitle)


def test_arrays_are_left_out_of_tables() -> None:
    result = beside_a_table("tabular.noise")
    assert result.galleries["tabular.noise"].columns == ("x01", "level")
    assert result.galleries["tabular.noise"].touched == (64, 64)
    text = " ".join(texts_in(result.plot("tabular.noise", kind="gallery")))
    assert "columns of arrays are left out" in text and "columns that change most" not in text and "[[" not in text


def test_cells_are_written_as_what_they_are() -> None:
    gallery = result_of("table").galleries["tabular.missing"]
    written = {name: cell_texts(gallery, name)[0] for name in ("count", "level", "day")}
    clean = gallery.inputs[0]
    assert isinstance(clean, pd.DataFrame)
    assert written["count"] == [str(x) for x in clean["count"]]
    assert written["level"] == list(clean["level"]) and written["day"] == [str(d.date()) for d in clean["day"]]
    lost = [cell for name in clean for cells in cell_texts(gallery, name) for cell in cells if cell == "missing"]
    cells = sum(int(batch.isna().sum().sum()) for batch in gallery.inputs if isinstance(batch, pd.DataFrame))
    assert len(lost) == cells > 0
    noisy = cell_texts(result_of("table").galleries["tabular.noise"], "x09")
    decimals = {len(text.partition(".")[2]) for cells in noisy for text in cells}
    assert len(decimals) == 1  # alike in a row


def test_a_text_shows_what_changed() -> None:
    result = result_of("text")
    gallery, figure = result.galleries["text.typos"], result.plot("text.typos", kind="gallery")
    texts = [text for i in range(3) for text in texts_of(gallery, i)]
    assert len(texts) == 21 and len(texts_in(figure, "answer")) == 21
    assert len(texts_in(figure, "changed")) > 20
    assert all(text.get_bbox_patch() is not None for text in artists(figure, "changed"))
    assert texts_in(figure, "head")[:3] == ["rate 0", "rate 0.02", "rate 0.06"]


def test_numbers_have_no_right_or_wrong() -> None:
    figure = result_of("numbers").plot("tabular.noise", kind="gallery")
    assert not any("✓" in text or "✗" in text for text in texts_in(figure))
    assert len(texts_in(figure, "answer")) == 14 and "−absolute error" in " ".join(texts_in(figure, "subtitle"))


@pytest.mark.parametrize("kind", ALL)
def test_figures_are_legible(kind: str) -> None:
    """640 px wide; nothing below 8 points, off the paper or over each other."""
    result = result_of(kind)
    figure = result.plot(next(iter(result.galleries)), kind="gallery")
    assert figure.get_size_inches()[0] * 100 == 640
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    boxes = [(text, text.get_window_extent(renderer)) for text in artists(figure)]
    width, height = figure.bbox.size
    for text, box in boxes:
        assert text.get_fontsize() >= 8
        assert box.x0 >= -1 and box.x1 <= width + 1 and box.y0 >= -1 and box.y1 <= height + 1, text
    for (a, one), (b, other) in itertools.combinations(boxes, 2):
        across = min(one.x1, other.x1) - max(one.x0, other.x0)
        down = min(one.y1, other.y1) - max(one.y0, other.y0)
        assert across <= 1.5 or down <= 3, (a.get_text(), b.get_text())


def test_names_are_never_mathematics_and_settings_do_not_matter() -> None:
    hostile = [r"$\frac{1}{2$ & <b>", "very long name " * 30, "🚀 \u202e line\nbreak"]
    frame = table().rename(columns={"x00": hostile[0], "x02": hostile[1]}).assign(level=hostile[1])
    labels = np.array(hostile, dtype=object)[classes()]

    def model(x: Any) -> Any:
        return seen(np.zeros((len(x), 64)))

    with matplotlib.rc_context({"text.usetex": True, "image.origin": "lower", "font.size": 40, "lines.marker": "o"}):
        test = {"name": hostile[0], "apply": lambda x, p: x.assign(x01=x["x01"] + p), "magnitudes": [1e-9, 1e9]}
        recipe = {"label_list": hostile, "log_examples": "full", "perturbations": [test]}
        result = mlflow_sensie.probe(model, frame, labels, recipe)
        figure = result.plot(hostile[0], kind="gallery")
        assert not any(text.get_usetex() or text.get_parse_math() for text in artists(figure))
        figure.draw(FigureCanvasAgg(figure).get_renderer())
    assert figure.get_size_inches()[0] == 6.4
