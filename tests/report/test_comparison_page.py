"""The page of a comparison: what it says, that it stands alone, and that nothing hostile gets through."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mlflow_sensie
from mlflow_sensie.comparison import Comparison, leaderboard
from mlflow_sensie.report.comparison_page import make_page, render_leaderboard
from mlflow_sensie.result import Result
from mlflow_sensie.text.findings import findings, lead
from report.test_result_page import Page

N = 300
HOSTILE = [
    "<script>alert(1)</script>",
    "\"onload='alert(1)' {{ 7 * 7 }} {% raw %}",
    "../../etc/../x/y",
    "long name " * 30,
    "🙂 $x_1$ & \\frac{1}{2",
    "第一列",
]


def probed(steep: float, *, seed: int = 1, name: str = "tilt", **more: Any) -> Result:
    """A model by hand: its first input tells the class, the steeper the better, and the sooner lost."""
    rng = np.random.default_rng(seed)
    inputs = pd.DataFrame(rng.normal(size=(N, 2)), columns=["a", "b"])
    y = (inputs["a"] + 0.5 * rng.normal(size=N) > 0).astype(int).to_numpy()

    def predict(x: Any) -> Any:
        p = 1 / (1 + np.exp(-steep * np.asarray(x, float)[:, 0]))
        return np.column_stack([1 - p, p])

    tilt = {"name": name, "apply": lambda x, p: x * (1 - p), "magnitudes": [0, 0.5, 1], "neutral": 0}
    recipe = {"perturbations": [tilt], "properties": ["b"], "class_test": True, **more}
    return mlflow_sensie.probe(predict, inputs, y, recipe)


def called(result: Result, name: str) -> Result:
    named = result.model_copy(update={"model_name": name})
    named._score_table = result.score_table
    return named


@pytest.fixture(scope="module")
def old() -> Result:
    return called(probed(0.7), "old")


@pytest.fixture(scope="module")
def new() -> Result:
    return called(probed(3.0), "new")


@pytest.fixture(scope="module")
def comparison(old: Result, new: Result) -> Comparison:
    return mlflow_sensie.compare(old, new)


def flat(page: Page) -> str:
    return " ".join(page.text.split())


def test_the_page_begins_with_what_was_found(comparison: Comparison) -> None:
    text = flat(Page(comparison.html()))
    assert text.index(lead(comparison)) < text.index("All differences")
    for each in findings(comparison):
        assert " ".join(each.text.split()) in text[: text.index("All differences")]


def test_what_is_not_told_apart_is_folded_beneath_the_clean_score_and_what_is(old: Result, new: Result) -> None:
    many = {"properties": [{"name": f"b{k}", "of": "b"} for k in range(9)]}
    found = mlflow_sensie.compare(*(called(probed(steep, **many), str(steep)) for steep in (0.7, 3.0)))
    said = make_page(found).sections["findings"]["findings"]
    (_, _, full), *_, (tone, line, _) = said
    names = [each.name for each in full]
    assert names[:2] == ["clean score", "skill"] and "tilt" in names and len(names) <= 6
    assert line.startswith("Not told apart (") and tone == "open"


def test_sentences_say_who_is_better_and_how_sure_that_is(comparison: Comparison) -> None:
    told = {each.name: each for each in findings(comparison)}
    drop = comparison.difference("tilt", "mean_drop").difference
    assert told["tilt"].tone == "bad" and told["clean score"].tone == "good"
    assert told["tilt"].text.startswith(f"B loses more, by {drop.value:.3f} [{drop.lo95:.3f}")
    assert "probability that B is more robust under 0.01" in told["tilt"].text
    assert "probability that B is better over 0.99" in told["clean score"].text
    assert re.match(r"Of 3 tests, B is .*less robust in 1.*; its clean score is higher", lead(comparison))


def test_the_other_way_round_the_sentences_turn(old: Result, new: Result) -> None:
    told = {each.name: each for each in findings(mlflow_sensie.compare(new, old))}
    assert told["tilt"].text.startswith("B loses less, by") and told["tilt"].tone == "good"
    assert told["clean score"].text.startswith("B is worse on the inputs as they are: its score is lower by 0.")


def test_every_difference_stands_in_a_table(comparison: Comparison) -> None:
    page = Page(comparison.html())
    rows = len(re.findall("95 % interval", page.text))
    assert rows >= 4  # a table for the clean score, and one per test
    for text in ("clean score", "mean drop", "effect", "holds until", "spread"):
        assert text in page.text
    assert "P(B better)" in page.text and "50 % interval" in page.text


def test_paired_and_unpaired_are_told(comparison: Comparison, old: Result) -> None:
    assert f"Paired: both models answered the same {N} examples" in flat(Page(comparison.html()))
    apart = flat(Page(mlflow_sensie.compare(old, probed(3.0, seed=2)).html()))
    assert "Not paired: the two were measured on different examples" in apart


def test_what_was_not_compared_and_why(old: Result) -> None:
    text = flat(Page(mlflow_sensie.compare(old, probed(3.0, properties=[])).html()))
    assert "not compared: B has no such test" in text


def test_both_sides_are_told_and_how_to_repeat_it(comparison: Comparison, old: Result, new: Result) -> None:
    text = Page(comparison.html()).text
    for side in (old, new):
        assert side.data_sha256 in text and side.recipe_sha256 in text and side.version in text
    assert "mlflow_sensie.compare(a, b)" in text
    named = replace(comparison, sides=tuple(replace(side, source=f"run{k}") for k, side in enumerate(comparison.sides)))
    assert 'mlflow_sensie.compare("run0", "run1")' in Page(named.html()).text


def test_identical_models_make_a_page_that_says_so(old: Result) -> None:
    same = mlflow_sensie.compare(old, old)
    text = flat(Page(same.html()))
    assert "A and B cannot be told apart: every score is the same." in text and "no difference anywhere" in text


def test_the_page_stands_alone(comparison: Comparison) -> None:
    text = comparison.html()
    page = Page(text)
    assert not {"script", "link", "iframe"} & page.names() and page.open == []
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", text.replace("xlink:href", "href"))
    assert not re.search(r"url\((?!#|['\"]?data:)", text) and "@import" not in text and len(text) < 3_000_000
    pictures = [attrs for tag, attrs in page.elements if tag == "svg"]
    assert len(pictures) == 1 + len(comparison.tests)
    assert all(attrs.get("aria-label") and attrs.get("role") == "img" for attrs in pictures)
    ids = [attrs["id"] for _, attrs in page.elements if attrs.get("id")]
    assert len(ids) == len(set(ids))
    assert {str(attrs["href"])[1:] for tag, attrs in page.elements if tag == "a"} <= set(map(str, ids))


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_only_text(name: str) -> None:
    found = mlflow_sensie.compare(called(probed(0.7, name=name), name), called(probed(3.0, name=name), name * 2))
    again = Comparison.from_json(found.to_json())
    for text in (found.html(), found._repr_html_(), again.html()):
        page = Page(text)
        assert "script" not in page.names() and "<script" not in text
        assert not [key for _, attrs in page.elements for key in attrs if key.startswith("on")]
        assert name.strip() in " ".join(page.text.split()) or name in page.text


def test_names_of_levels_are_only_text() -> None:
    sites = pd.DataFrame({"第一列": np.array(HOSTILE, object)[np.arange(N) % 6], "第二列": np.arange(N) % 3 == 0})
    results = []
    for steep in (0.7, 3.0):
        rng = np.random.default_rng(1)
        x = pd.DataFrame({"a": rng.normal(size=N)})

        def model(x: Any, steep: float = steep) -> Any:
            p = 1 / (1 + np.exp(-steep * x["a"]))
            return np.column_stack([1 - p, p])

        y = (x["a"] > 0).astype(int).to_numpy()
        results.append(mlflow_sensie.probe(model, x, y, {"properties": list(sites)}, metadata=sites))
    text = mlflow_sensie.compare(*results).html()
    page = Page(text)
    assert "<script" not in text and "第一列" in page.text and "第二列" in page.text
    slugs = {test.slug for test in results[0].tests.values()}
    assert len(slugs) == 2 and all(re.fullmatch(r"[A-Za-z0-9_.-]+", slug) for slug in slugs)


def test_a_notebook_shows_findings_and_differences(comparison: Comparison) -> None:
    page = Page(comparison._repr_html_())
    assert "B loses more, by" in page.text and "prob_more_robust" in page.text


def test_many_make_a_page_with_their_leaderboard(old: Result, new: Result) -> None:
    table, comparisons = leaderboard({"old": old, "<b>new</b>": new, "same": called(old, "same")})
    text = render_leaderboard(table, comparisons, ["1-2", "1-3"])
    page = Page(text)
    assert "<b>new" not in text and "3 models compared" in page.text and page.open == []
    assert [str(attrs["href"]) for tag, attrs in page.elements if tag == "a"] == [
        "1-2/sensie_comparison.html", "1-3/sensie_comparison.html",
    ]  # fmt: skip
    drop = old.tests["tilt"].fit.mean_drop
    assert f"{drop.value:.3f} [{drop.lo95:.3f}, {drop.hi95:.3f}]" in flat(page)
    assert "the first" in page.text and lead(comparisons["<b>new</b>"]) in flat(page)
    assert "given, A: old old. Score" in flat(page) and "new <b>new</b> compared with old" in flat(page)
    assert not [attrs for tag, attrs in Page(render_leaderboard(table, comparisons)).elements if tag == "a"]


def test_a_leaderboard_tells_the_first_from_what_has_nothing_to_compare(old: Result) -> None:
    bare: Any = {"perturbations": [], "properties": ["a"], "class_test": False}
    results = {"x": old, "y": called(probed(3.0, **bare), "bare"), "z": called(old, "same")}
    text = render_leaderboard(*leaderboard(results))
    assert text.count("<td>nothing compared</td>") == text.count("<td>the first</td>") == 1


def test_the_first_has_one_name_also_where_others_are_called_the_same(old: Result, new: Result) -> None:
    table, comparisons = leaderboard({"x": old, "y": new, "z": called(old, "old")})
    assert [each.a for each in comparisons.values()] == ["old", "old (A)"]
    text = flat(Page(render_leaderboard(table, dict(reversed(comparisons.items())))))
    assert "given, A: old x. Score" in text and "new y compared with old" in text and "old z compared with old" in text
    assert "(A)" not in text
