"""The gate's chance to pass two equally good models, told beforehand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from scipy.special import ndtr

from gate.made import made, rules
from mlflow_sensie import Result
from mlflow_sensie.gate import judge, power

CLEAN: dict[str, Any] = {"metric": "clean_score", "versus": "baseline", "worse_by_at_most": 0.01}
OF_SKILL = "measured; an absolute rule supposes a model just as good"
DROP: dict[str, Any] = {"metric": "mean_drop", "kind": "perturbation", "versus": "baseline", "worse_by_at_most": 0.02}


def draw(rng: np.random.Generator, n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scores of two equally good models, clean and at two magnitudes."""
    shared = rng.normal(size=(n, 1))
    return tuple(  # type: ignore[return-value]
        ndtr(1 + 0.9 * shared + 0.3 * rng.normal(size=(n, 1)) + 0.2 * rng.normal(size=(n, 3)) - [0, 0.2, 0.5])
        for _ in range(2)
    )


@pytest.fixture(scope="module")
def pair() -> tuple[Result, Result]:
    old, new = draw(np.random.default_rng(0), 400)
    return made(old, "old"), made(new, "new")


def test_from_one_model_by_its_standard_error(pair: tuple[Result, Result]) -> None:
    result = pair[0]
    assert result.clean_known is not None
    apart = result.clean_known.posterior.scale * math.sqrt(2 * (1 - 0.88))
    found = power(result, rules(CLEAN))
    assert found.chance == pytest.approx(ndtr(0.01 / apart - 1.6449), abs=1e-4)
    assert found.summary()["source"].tolist() == [OF_SKILL, "measured on one model, correlation 0.88 supposed"]


def test_from_two_models_by_their_differences(pair: tuple[Result, Result]) -> None:
    old, new = pair
    assert old.score_table is not None and new.score_table is not None
    apart = stats.sem(new.score_table.column("clean") - old.score_table.column("clean"))
    found = power(new, rules(CLEAN), old)
    assert found.chance == pytest.approx(ndtr(0.01 / apart - 1.6449), abs=0.01)
    assert found.summary()["source"].tolist() == [OF_SKILL, "measured on two models"]


@pytest.mark.parametrize("known", ["one", "two"])
def test_as_many_examples_as_said_make_it_ninety(pair: tuple[Result, Result], known: str) -> None:
    old, new = pair
    gate = rules(CLEAN, DROP)
    found = power(new, gate, old if known == "two" else None)
    assert found.n_for_90 is not None
    for n, expected in ((found.n_for_90, 0.9), (found.n_for_90 - 1, 0.9)):
        there = power(new, gate, old if known == "two" else None, n=n)
        assert there.chance == pytest.approx(expected, abs=1e-3)
        assert (there.chance >= 0.9) is (n == found.n_for_90)
    assert found.chance == pytest.approx(np.prod(found.summary()["chance"]))


def test_rules_that_do_not_block_do_not_count(pair: tuple[Result, Result]) -> None:
    alone, beside = power(pair[0], rules(CLEAN)), power(pair[0], rules(CLEAN, {**DROP, "severity": "warn"}))
    assert alone.chance == beside.chance
    of_skill = power(pair[0], rules({**DROP, "severity": "warn"}))
    assert [rule.rule for rule in of_skill.rules] == ["skill at least 0"]
    undefined = pair[0].model_copy(update={"metric_estimates": {}})
    assert "passes whatever comes" in power(undefined, rules({**DROP, "severity": "warn"})).to_text()


def test_an_absolute_rule_supposes_a_model_just_as_good(pair: tuple[Result, Result]) -> None:
    result = pair[0]
    at = {"metric": "clean_score", "at_least": result.clean.value}
    assert power(result, rules(at)).chance == pytest.approx(0.05, abs=0.01)
    assert power(result, rules(at)).n_for_90 is None  # no better for more examples: it is at its limit
    below = {"metric": "clean_score", "at_least": result.clean.value - 0.03}
    assert power(result, rules(below)).n_for_90 is not None


def test_what_cannot_be_judged_cannot_pass(pair: tuple[Result, Result]) -> None:
    found = power(pair[0], rules(CLEAN, {**DROP, "kind": None, "test": "nope"}))
    assert (found.chance, found.n_for_90) == (0.0, None)
    assert "no number of examples makes it 90 %" in found.to_text()
    table = found.summary()
    assert table["source"][2].startswith("no test 'nope'")
    assert table["n_for_90"].isna().tolist() == [False, False, True]


def test_a_certain_pass_is_not_promised(pair: tuple[Result, Result]) -> None:
    found = power(pair[0], rules({**CLEAN, "worse_by_at_most": 0.5}))
    assert found.chance > 0.9999 and "at least 99% of the time" in found.to_text()


def test_a_gate_of_many_rules_can_hardly_pass_and_says_so(pair: tuple[Result, Result]) -> None:
    many = [{**CLEAN, "worse_by_at_most": 0.008, "name": f"rule {i}"} for i in range(12)]
    few, found = power(pair[0], rules(many[0])), power(pair[0], rules(*many))
    alone = few.rules[1].chance(400)
    assert found.chance == pytest.approx(few.rules[0].chance(400) * alone**12) and found.chance < 0.01
    assert few.n_for_90 and found.n_for_90 and found.n_for_90 > 1.8 * few.n_for_90
    text = found.to_text()
    assert text.startswith("With 400 examples this gate of 13 judgements passes two equally good models at least 0%")
    assert f"{found.n_for_90:,} examples make it 90 %" in text and "The hardest, with" in text


def test_slices_are_counted_with_their_share(rng: np.random.Generator) -> None:
    scores = draw(rng, 400)[0]
    given = {"metadata": {"site": np.array(["A", "B", "B", "B"])[np.arange(400) // 2 % 4]}, "slices": ["site"]}
    found = power(made(scores, **given), rules({**CLEAN, "slice": {"site": "*"}})).summary()
    assert len(found) == 3
    assert found["n_for_90"][1] / found["n_for_90"][2] == pytest.approx(3, rel=0.3)


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["clean_score", "mean_drop"])
def test_equally_good_models_pass_as_often_as_said(metric: str) -> None:
    rng, passed, said, repeats = np.random.default_rng(5), 0, [], 80
    rule = {"metric": metric, "versus": "baseline", "worse_by_at_most": 0.01}
    rule |= {} if metric == "clean_score" else {"test": "sweep"}
    for _ in range(repeats):
        old, new = (made(scores) for scores in draw(rng, 250))
        gate = rules(rule)
        passed += judge(new, gate, old).passed
        said.append(power(new, gate, old).chance)
    assert 0.2 < np.mean(said) < 0.98
    assert passed / repeats == pytest.approx(np.mean(said), abs=0.14)
