"""The report: what it says, that it stands alone, and that nothing hostile gets through."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mlflow_sensie
from mlflow_sensie import Result
from mlflow_sensie.report import comparison_page, result_page
from mlflow_sensie.report import page as report_page
from mlflow_sensie.report.page import folded, glued
from mlflow_sensie.report.result_page import NUMBERS, SECTIONS, make_page, render
from mlflow_sensie.result import TestResult
from mlflow_sensie.result.keys import KEYS
from mlflow_sensie.text import words
from mlflow_sensie.text.findings import RESULT_TONES, Finding, Tone, findings
from mlflow_sensie.tracking.artifacts import write_files

N = 400
HOSTILE = "<script>alert(1)</script>\"'/../../x"


class Page(HTMLParser):
    """What a page is made of: its elements with their attributes, ids, and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "br", "img", "path", "use", "rect", "stop"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            while self.open.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        self.text += data

    def names(self) -> set[str]:
        return {tag for tag, _ in self.elements}


def predict(inputs: pd.DataFrame) -> np.ndarray:
    z, known = inputs["z"].to_numpy(), inputs["known"].to_numpy()
    p = np.clip(0.55 + 0.4 * z - 0.3 * known, 0.01, 0.99)
    return np.column_stack([1 - p, p])


def probed(names: dict[str, str] | None = None, **keys: Any) -> Result:
    called = {"damp": "damp", "site": "site", "known": "known", **(names or {})}
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"z": rng.uniform(0.5, 1, N), "known": rng.random(N)})
    data[called["site"]] = rng.choice(["A", HOSTILE if names else "B"], N)
    p = predict(data)[:, 1]
    y = (rng.random(N) < p).astype(int)
    damp = {"name": called["damp"], "apply": lambda x, p: x.assign(z=x["z"] * (1 - p)), "magnitudes": [0, 0.5, 1],
            "neutral": 0}  # fmt: skip
    recipe = {
        "properties": ["known", called["site"]], "perturbations": [damp], "class_test": True, "interactions": True,
        "slices": [called["site"]], **keys,
    }  # fmt: skip
    return mlflow_sensie.probe(predict, data, y, recipe)


def test_every_finding_is_a_sentence_at_the_top() -> None:
    result = probed()
    page = Page(render(result))
    found = findings(result)
    assert {each.name for each in found} >= {"damp", "known", "site", "class"}
    for each in found:
        assert " ".join(each.text.split()) in " ".join(page.text.split())
    told = {each.name: each for each in found}
    drop = result.tests["damp"].fit.mean_drop.value
    assert told["damp"].text.startswith(f"the score loses {drop:.3f}"[:21]) and told["damp"].tone == "bad"
    assert "; the model has no skill to keep" in told["damp"].text
    assert found[0].name == "skill" and "not told apart from a constant" in found[0].text
    assert "harder where it is high, as the model itself says" in told["known"].text


def test_a_model_that_does_not_know_is_told_from_one_that_does() -> None:
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"z": rng.random(2000)})
    y = (rng.random(2000) < 0.9 - 0.3 * data["z"]).astype(int)
    sure = mlflow_sensie.probe(
        lambda x: np.tile([0.1, 0.9], (len(x), 1)),
        data,
        y,
        {"properties": ["z"], "slices": [{"column": "z", "bins": 2}]},
    )
    texts = [each.text for each in findings(sure)]
    assert "worse than it claims where it is high" in next(each.text for each in findings(sure) if each.name == "z")
    assert any(text.startswith("worse than the model claims") for text in texts[1:])


def test_the_page_stands_alone() -> None:
    text = render(probed())
    page = Page(text)
    assert "script" not in page.names() and "link" not in page.names() and "iframe" not in page.names()
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", text.replace("xlink:href", "href"))
    assert not re.search(r"url\((?!#|['\"]?data:)", text) and "@import" not in text
    assert page.open == [] and len(text) < 3_000_000


def test_every_template_is_that_of_a_section_or_of_a_page() -> None:
    pages = {"page", "piece", "macros", "leaders", "leader_findings"}  # the last two are a leaderboard's sections
    names = {path.stem for path in (Path(report_page.__file__).parent / "templates").glob("*.html")}
    assert names == {*SECTIONS, *comparison_page.SECTIONS, *pages}


def test_every_table_has_a_heading_for_each_of_its_columns() -> None:
    for table in re.findall(r"<table.*?</table>", render(probed()), re.S):
        widths = [sum(int(span or 1) for span in re.findall(r'<t[hd](?=[ >])(?:[^>]*?colspan="(\d+)")?', row))
                  for row in table.split("</tr>")[:-1]]  # fmt: skip
        assert len(set(widths)) == 1, table


def test_tests_stand_in_the_order_of_the_findings() -> None:
    sections = make_page(probed()).sections
    shown, anchors = sections["findings"]["findings"], sections["findings"]["anchors"]
    names = [each.name for _, _, part in shown for each in part]
    assert [each["test"].name for each in sections["tests"]["tests"]] == [name for name in names if name in anchors]


def test_sections_stand_in_the_order_of_their_table_those_without_content_left_out() -> None:
    assert list(make_page(probed()).sections) == list(SECTIONS)
    bare = make_page(probed(slices=[], interactions=False))
    assert set(SECTIONS) - set(bare.sections) == {"slices", "interactions"}


def test_every_scalar_of_a_test_is_called_something_or_said_elsewhere() -> None:
    """Bounds stand beside their value; what is said elsewhere: in the tag, the sentence and the figure."""
    elsewhere = {"ok", "n", "sensitive", "censored", "effect_bound95", "holds_until_below", "holds_until_above"}
    names = {key.name for key in KEYS}
    bounds = {f"{name}_{end}" for name in names for end in ("lo50", "hi50", "lo95", "hi95")}
    assert names - bounds - elsewhere == set(NUMBERS)


def test_what_is_decided_stands_before_what_is_not_and_the_worst_first() -> None:
    result = probed()
    found = findings(result)
    tones = [each.tone for each in found]
    assert tones == sorted(tones, key=list(RESULT_TONES).index)
    tests = [result.tests[each.name] for each in found if each.tone == "bad" and each.name in result.tests]
    sizes = [abs(test.headline.value) for test in tests]
    assert len(sizes) > 1 and sizes == sorted(sizes, reverse=True)


def made(**counts: int) -> list[Finding]:
    tones: list[Tone] = ["bad", "failed", "good", "open"]
    return [Finding(f"{tone}{k}", "said.", tone) for tone in tones for k in range(counts.get(tone, 0))]


@pytest.mark.parametrize(
    ("counts", "full", "lines"),
    [
        ({"bad": 1, "open": 3}, ["bad0", "open0", "open1", "open2"], []),
        ({"bad": 2, "good": 1, "open": 2}, ["bad0", "bad1", "good0"], ["Undecided (2): open0, open1"]),
        (
            {"bad": 6, "good": 2, "failed": 1, "open": 12},
            ["bad0", "bad1", "bad2", "bad3"],
            [
                "Sensitive (2 more): bad4, bad5",
                "Failed (1): failed0",
                "Negligible or better (2): good0, good1",
                "Undecided (12): open0, open1, open2, open3, open4, open5 and 6 more",
            ],
        ),
        ({"open": 6}, ["open0"], ["Undecided (5 more): open1, open2, open3, open4, open5"]),
    ],
)
def test_what_would_bury_the_rest_is_folded_into_a_line(counts: Any, full: list[str], lines: list[str]) -> None:
    (_, first, standing), *folds = folded(made(**counts), RESULT_TONES)
    assert not first and [each.name for each in standing] == full and [line for _, line, _ in folds] == lines
    assert len(standing) + sum(len(hidden) for _, _, hidden in folds) == sum(counts.values())


def test_numbers_have_the_decimals_of_their_interval() -> None:
    assert words.with_bound(-0.6456, -0.6811, -0.6101) == ("−0.646", "−0.681 to −0.610")
    assert words.with_bound(0.5952, None, 0.6231) == ("0.595", "at most 0.623")
    assert words.with_bound(11.72, 10.9, None) == ("11.72", "at least 10.90")
    assert words.with_bound(0.0286, None, None) == ("0.0286", "")


def test_a_number_stays_beside_its_sign_and_bracket() -> None:
    assert glued("loses 0.25 [0.24, 0.27], keeps 90 % of it") == "loses 0.25\u00a0[0.24, 0.27], keeps 90\u00a0% of it"


def test_the_page_of_a_result_is_its_report() -> None:
    result = probed()
    assert result.html() == render(result)


def test_a_page_of_many_tests_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    result = probed()
    whole = make_page(result).sections
    sizes = [len(each["figure"]) for each in whole["tests"]["tests"] if each["figure"]]
    used = len(whole["overview"]) + len(whole["slices"]["figures"][0])
    monkeypatch.setattr(result_page, "MOST_FIGURES", used + sum(sizes[:2]))
    part = make_page(result).sections["tests"]
    assert [each["figure"] is not None for each in part["tests"]] == [True, True, False, False]  # the worst have theirs
    assert part["hidden"] == [each["test"].slug for each in part["tests"][2:]]
    assert "Figures that found no room on this page are artifacts beside it" in render(result)


def test_pictures_have_words_and_anchors_lead_somewhere() -> None:
    page = Page(render(probed()))
    pictures = [attrs for tag, attrs in page.elements if tag == "svg"]
    assert len(pictures) >= 6 and all(attrs.get("aria-label") and attrs.get("role") == "img" for attrs in pictures)
    assert all("width" not in attrs and attrs.get("viewbox") for attrs in pictures)
    ids = [attrs["id"] for _, attrs in page.elements if attrs.get("id")]
    assert len(ids) == len(set(ids))
    links = [attrs["href"] for tag, attrs in page.elements if tag == "a"]
    assert links and {str(link)[1:] for link in links} <= set(map(str, ids))


def test_hostile_names_are_only_text() -> None:
    result = probed({"damp": HOSTILE, "site": f"{HOSTILE} 列 🙂"})
    text = render(result)
    page = Page(text)
    assert "script" not in page.names() and "<script" not in text
    assert HOSTILE in page.text
    assert not [key for _, attrs in page.elements for key in attrs if key.startswith("on")]


def test_hostile_columns_classes_and_tests_collide_nowhere_and_leave_no_folder(tmp_path: Path) -> None:
    names = [HOSTILE, "<img src=x onerror=alert(1)>", "../../../etc/x", "x" * 300, "第一列", "第二列", "🙂", "a/b"]
    rng = np.random.default_rng(0)
    data = pd.DataFrame({name: rng.random(N) for name in names})
    classes = ["</style><script>alert(2)</script>", "類別"]
    y = np.array(classes, object)[(rng.random(N) < 0.8).astype(int)]
    bend = {"apply": lambda x, p: x + p, "magnitudes": [0, 1], "neutral": 0}
    recipe = {
        "properties": names, "perturbations": [{"name": f"{name}!", **bend} for name in names], "class_test": True,
        "slices": [{"target": True}], "label_list": classes,
    }  # fmt: skip
    result = mlflow_sensie.probe(lambda x: np.tile([0.2, 0.8], (len(x), 1)), data, y, recipe)
    assert len({test.slug for test in result.tests.values()}) == 17 and not result.failed
    files = write_files(result, tmp_path / "out")
    assert {path.resolve().is_relative_to(tmp_path / "out") for path in files} == {True}
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(files)
    page = Page((tmp_path / "out" / "sensie_report.html").read_text(encoding="utf-8"))
    assert not {"script", "img"} & page.names() and page.open == []
    assert not [key for _, attrs in page.elements for key in attrs if key.startswith("on")]
    for name in (*names, *classes):
        assert name in page.text
    assert "highest 類別" in page.text or "lowest 類別" in page.text  # a browser has fonts that a figure may lack


def test_failed_tests_are_told() -> None:
    def broken(x: Any, p: float) -> Any:
        raise RuntimeError("<b>no</b>")

    failing = {"name": "broken", "apply": broken, "magnitudes": [1, 2]}
    result = probed(perturbations=[failing], interactions=False, on_error="record")
    text = render(result)
    assert "&lt;b&gt;no&lt;/b&gt;" in text and "<b>no</b>" not in text
    assert {each.name: each.tone for each in findings(result)}["broken"] == "failed"
    assert result.status == "partial" and '<span class="tag failed">partial</span>' in text


@pytest.mark.parametrize(
    ("level", "shown", "target"), [("none", False, False), ("ids", True, False), ("full", True, True)]
)
def test_what_may_be_shown_of_the_examples(level: str, shown: bool, target: bool) -> None:
    result = probed(log_examples=level)
    flips = result.tests["damp"].flips
    assert bool(flips) == shown == ("whose score falls first" in render(result))
    assert all((flip.target is not None) == target for flip in flips)
    assert ("right answer" in render(result)) == target


def test_the_first_to_fall_are_those_that_fall_first() -> None:
    result = probed()
    table = result.score_table
    assert table is not None
    ids, clean = table.column("id").astype(str), table.column("clean")
    half = table.column("score/damp/0")
    falls = half < 0.9 * clean
    flips = result.tests["damp"].flips
    assert len(flips) == 10 and all(flip.magnitude == 0.5 for flip in flips)
    assert {flip.example for flip in flips} <= set(ids[falls])
    loss = np.sort((half - clean)[falls])[:10]
    assert [flip.score - flip.clean for flip in flips] == pytest.approx(loss.tolist())


def test_the_report_can_be_made_from_what_was_logged() -> None:
    result = probed()
    again = Result.from_json(result.to_json())
    assert render(again) == render(result)


def test_a_column_all_of_whose_slices_are_too_small_has_no_figure() -> None:
    result = probed()
    (column,) = result.slices
    bare = result.model_copy(update={"slices": (column.model_copy(update={"slices": ()}),)})
    assert "slices" not in make_page(bare).sections


def test_a_category_that_failed_is_told_and_has_no_curve() -> None:
    result = probed()
    failed = TestResult(name="site", slug="site", kind="category", error="no level has two examples")
    assert failed.curve.empty
    page = Page(render(result.model_copy(update={"tests": {**result.tests, "site": failed}})))
    assert "the test failed: no level has two examples" in page.text


def test_a_notebook_shows_findings_and_summary() -> None:
    result = probed({"damp": HOSTILE})
    page = Page(result._repr_html_())
    assert "script" not in page.names() and HOSTILE in page.text
    assert "the score loses" in page.text and "mean_drop" in page.text


def test_every_kind_of_figure_can_be_asked_for() -> None:
    result = probed()
    for name, kind in (
        (None, "auto"),
        (None, "overview"),
        ("damp", "auto"),
        ("damp", "curve"),
        ("class", "categories"),
    ):
        assert result.plot(name, kind=kind).get_size_inches()[0] == pytest.approx(6.4)
    assert result.plot("site", kind="slices").axes
    for name, kind in ((None, "curve"), ("damp", "categories"), ("known", "slices"), ("class", "gallery")):
        with pytest.raises(ValueError, match="there are|there is no|galleries"):
            result.plot(name, kind=kind)
    with pytest.raises(ValueError, match=r"auto, overview, curve, categories, slices, gallery are allowed; 'pie' came"):
        result.plot(kind="pie")


def test_a_model_that_breaks_at_the_first_magnitude_is_not_said_to_hold_there() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.uniform(0.2, 1, (300, 2)), np.ones(300, int)
    blackout = {"name": "blackout", "apply": lambda x, p: x * 0, "magnitudes": [1, 2, 3]}
    result = mlflow_sensie.probe(lambda x: np.column_stack([1 - x[:, 0], x[:, 0]]), X, y, {"perturbations": [blackout]})
    (found,) = findings(result)
    assert result.tests["blackout"].fit.decision == "sensitive"
    assert "keeps 90 % of its value at no magnitude" in found.text and "no change that matters" not in found.text


def test_slices_have_a_table_of_metrics_with_intervals() -> None:
    rng = np.random.default_rng(6)
    X = pd.DataFrame({"a": rng.normal(size=400), "site": np.where(np.arange(400) < 200, "<b>x</b>", "y")})
    y = np.where(X["site"] == "y", 1, rng.random(400) < 1 / (1 + np.exp(-X["a"]))).astype(int)
    recipe = {"properties": ["a"], "slices": ["site"]}
    result = mlflow_sensie.probe(lambda x: 1 / (1 + np.exp(-x["a"].to_numpy())), X, y, recipe)
    page = result.html().replace("\u00a0", " ")
    table = page[page.index("metrics by site") :].split("</table>")[0]
    rows = [re.findall(r"<td.*?>(.*?)</td>", row) for row in table.split("<tr>")[1:]]
    assert [row[0] for row in rows] == ["all", "&lt;b&gt;x&lt;/b&gt;", "y"] and [row[1] for row in rows] == [
        "400",
        "200",
        "200",
    ]
    assert re.fullmatch(r"−?[\d.]+ \[−?[\d.]+, −?[\d.]+\]", rows[1][3])
    assert rows[2][3] == "–"  # all of one class: no AUC
    frame = result.metrics_frame().set_index(["level", "metric"])["value"]
    assert float(rows[1][3].split()[0]) == pytest.approx(frame["<b>x</b>", "roc_auc"], abs=0.006)
