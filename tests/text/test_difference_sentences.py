"""Sentences of a comparison: magnitudes as the models' own reports say them, and no contradiction within one."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

import mlflow_sensie
from mlflow_sensie.comparison import Comparison, Difference, TestComparison
from mlflow_sensie.comparison.contrasts import paired
from mlflow_sensie.comparison.sweeps import SweepPair, contrasts_of
from mlflow_sensie.inference import (
    OrderStatistics,
    PerturbationFit,
    ScoreScale,
    SkewedT,
    perturbation_test,
)
from mlflow_sensie.inference.grid import MagnitudeGrid
from mlflow_sensie.inference.holds_until import Floor
from mlflow_sensie.perturbations import BUILT_IN
from mlflow_sensie.plots.forest import holding_rows
from mlflow_sensie.plugins import load_target
from mlflow_sensie.report.comparison_page import make_page
from mlflow_sensie.text import words
from mlflow_sensie.text.findings import findings
from mlflow_sensie.text.sentences import difference_sentence, sentence

Array = NDArray[np.float64]
# Sweeps of one side, and of two with how far B holds in words.
ONE_SIDE = [
    ("image.contrast", [0.2, 0.4, 0.7]),
    ("image.contrast", [1.3, 2.0, 3.0]),
    ("image.gamma", [1.25, 1.6, 2.5]),
    ("image.gamma", [0.4, 0.65, 0.8]),
    ("image.zoom", [0.5, 0.7, 0.9]),
    ("image.saturation", [0, 0.3, 0.6]),
    ("image.saturation", [1.5, 2, 3]),
    ("image.fog", [0.2, 0.5, 0.9]),
    ("image.pixelate", [2, 4, 8]),
    ("tabular.scale", [0.5, 0.7, 0.85]),
    ("series.scale", [1.2, 1.5, 2.0]),
    ("image.rotate", [10, 20, 40]),
    ("image.rotate", [-40, -20, -10]),
]
TWO_SIDES = [
    ("image.contrast", [0.4, 0.7, 1.5, 2.5], "up to a factor of {b} from the neutral, either way, rather than {a}"),
    (
        "image.rotate",
        [-40, -20, 20, 40],
        "up to a distance of {b} degrees from the neutral, either way, rather than {a}",
    ),
    (
        "image.saturation",
        [0, 0.5, 1.5, 2],
        "up to a distance of {b} from the neutral, either way, rather than {a}",
    ),
]


def compared(name: str, magnitudes: list[float], a: float, b: float) -> tuple[TestComparison, list[PerturbationFit]]:
    """Compare two models whose scores fall by so much over the sweep; and what the test says of each alone."""
    kind = load_target(BUILT_IN[name])
    sweep = MagnitudeGrid.of(magnitudes, kind.neutral, kind.log_distance)
    rng = np.random.default_rng(1)
    far = np.array([0.0, *(abs(math.log(p)) if kind.log_distance else abs(p - kind.neutral) for p in magnitudes)])
    level = 0.9 + 0.03 * rng.normal(size=(400, 1))
    ours, theirs = (level - loss * far / far.max() + 0.01 * rng.normal(size=(400, len(far))) for loss in (a, b))
    pair = SweepPair(sweep, paired(np.hstack([ours, theirs - ours]), contrasts_of(sweep), (0, 1)), (0, 1))
    found = pair.differences(pair.holding(Floor.of(0.1, True)), rng)
    test = TestComparison(name, "test", "perturbation", kind.unit, 400, found, pair.curve(rng))
    return test, [alone(scores, sweep) for scores in (ours, theirs)]


def alone(scores: Array, sweep: MagnitudeGrid) -> PerturbationFit:
    return perturbation_test(scores, sweep, ScoreScale(0.0, 1.0, "probability"))


@pytest.mark.parametrize(("name", "magnitudes"), ONE_SIDE)
def test_how_far_each_holds_is_said_as_the_reports_of_the_two_say_it(name: str, magnitudes: list[float]) -> None:
    test, fits = compared(name, magnitudes, 0.5, 0.2)
    step = (max(magnitudes) - min(magnitudes)) / 150
    at = [fit.magnitude(fit.sides[0].side, fit.holds_until) for fit in fits]
    assert not any(fit.censored for fit in fits)
    a, b = (words.number(p, step) for p in at)
    said = f"; it holds up to {words.with_unit(b, test.unit)} rather than {a}; probability"
    assert said in difference_sentence(test)
    assert (
        min(*magnitudes, fits[0].neutral or 0) <= float(b.replace("−", "-")) <= max(*magnitudes, fits[0].neutral or 0)
    )


@pytest.mark.parametrize(("name", "magnitudes", "words_of"), TWO_SIDES)
def test_of_two_sides_a_distance_is_said(name: str, magnitudes: list[float], words_of: str) -> None:
    test, fits = compared(name, magnitudes, 0.5, 0.2)
    step = (max(magnitudes) - min(magnitudes)) / 150
    far = [math.exp(fit.holds_until) if fit.log_distance else fit.holds_until for fit in fits]
    a, b = (words.number(p, step) for p in far)
    assert words_of.format(a=a, b=b) in difference_sentence(test)


def test_what_never_falls_holds_to_the_end_at_least() -> None:
    for magnitudes, end in (([0.2, 0.4, 0.7], "0.2"), ([1.3, 2.0, 3.0], "3")):
        test, fits = compared("image.contrast", magnitudes, 0.5, 0.02)
        assert fits[1].censored
        assert f"; it holds up to factor at least {end} rather than " in difference_sentence(test)


def test_a_sweep_without_a_neutral_holds_up_to_its_own_magnitudes() -> None:
    test, _ = compared("image.rotate", [10, 20, 40], 0.5, 0.2)
    assert test.curve is not None
    curve = replace(test.curve, neutral=None, p=test.curve.p[1:])
    found = test.differences["holds_until"]
    assert [curve.reached(far) for far in (found.a, found.b)] == [found.a, found.b] and curve.farthest == 40


def test_page_and_figure_tell_distances_from_magnitudes() -> None:
    test, fits = compared("image.saturation", [0, 0.3, 0.6], 0.5, 0.2)
    found = whole(test)
    quantities = [row[0] for row in make_page(found).sections["comparison_tests"][0]["differences"]]
    assert "holds until, as a distance from the neutral" in quantities
    at = [words.number(1 - fit.holds_until, 0.6 / 150) for fit in fits]
    assert holding_rows(found)[1].numbers == " → ".join(at)


def test_a_report_and_a_comparison_say_the_same_magnitudes() -> None:
    results = [scaled(steep) for steep in (1.0, 6.0)]
    found = mlflow_sensie.compare(*results).tests["scale"]
    parts = difference_sentence(found).partition("it holds up to factor ")[2].partition(";")[0].split(" rather than ")
    own = [sentence(result, result.tests["scale"]) for result in results]
    assert len(parts) == 2
    for said, text in zip(reversed(parts), own, strict=True):
        assert f"up to factor {said} (95 % sure" in text


def scaled(steep: float) -> mlflow_sensie.Result:
    """A model that is the surer the steeper, and whose first input is made small."""
    rng = np.random.default_rng(1)
    inputs = pd.DataFrame(rng.uniform(0.5, 2, size=(300, 2)) * rng.choice([-1, 1], size=(300, 2)), columns=["a", "b"])

    def predict(x: Any) -> Any:
        p = 1 / (1 + np.exp(-steep * np.asarray(x, float)[:, 0]))
        return np.column_stack([1 - p, p])

    scale = {"name": "scale", "apply": "tabular.scale", "magnitudes": [0.05, 0.1, 0.2, 0.4, 0.7],
             "allowed_drop": {"absolute": 0.08}}  # fmt: skip
    return mlflow_sensie.probe(predict, inputs, (inputs["a"] > 0).astype(int).to_numpy(), {"perturbations": [scale]})


# --- no contradiction within a sentence ------------------------------------------------------------------------


def difference(metric: str, a: float, b: float, sd: float, better: Any, sizes: float | None = None) -> Difference:
    posterior = SkewedT(b - a, sd)
    draws = None if sizes is None else OrderStatistics.of(sizes + sd * np.random.default_rng(1).normal(size=4000))
    return Difference(metric, 99, a, b, posterior.summary(value=b - a), posterior, better, draws)


def whole(test: TestComparison) -> Comparison:
    clean = difference("clean_score", 0.8, 0.8, 0.1, "higher")
    return Comparison("old", "new", "correct", "accuracy", 99, True, False, 0.5, clean, {test.name: test}, {})


@pytest.mark.parametrize(
    ("drop", "holds", "said"),
    [
        (-0.04, -1.0, "B loses less, by 0.040 [0.020, 0.060] on average (0.060 rather than 0.100); but it holds up to"),
        (0.04, 1.0, "B loses more, by 0.040 [0.020, 0.060] on average (0.140 rather than 0.100); but it holds up to"),
        (-0.04, 1.0, "(0.060 rather than 0.100); it holds up to"),
        (0.04, -1.0, "(0.140 rather than 0.100); it holds up to"),
        (0.01, 1.0, "not told apart: B's mean drop less A's is 0.010 [−0.010, 0.030] (0.110 rather than 0.100); but"),
        (-0.01, 0.0, "not told apart: B's mean drop less A's is −0.010 [−0.030, 0.010] (0.090 rather than 0.100); p"),
    ],
)  # fmt: skip
def test_but_stands_where_drop_and_distance_oppose_each_other(drop: float, holds: float, said: str) -> None:
    test, _ = compared("image.rotate", [10, 20, 40], 0.5, 0.2)
    found = {
        "mean_drop": difference("mean_drop", 0.1, 0.1 + drop, 0.01, "lower"),
        "holds_until": difference("holds_until", 4.0, 4 + holds, 0.1, "higher"),
    }
    assert said in difference_sentence(replace(test, differences=found))


@pytest.mark.parametrize(
    ("kind", "metric", "ends", "size", "said"),
    [
        ("property", "effect", (0.06, -0.05), -0.01, "not told apart: the size of B's effect less that of A's is −0.0"),
        ("property", "effect", (0.06, -0.36), 0.3, "B depends more on it: its effect is larger by 0.3"),
        ("property", "effect", (0.36, -0.06), -0.3, "B depends less on it: its effect is smaller by 0.3"),
        ("class", "spread", (0.06, 0.05), None, "not told apart: the SD between B's levels less that between A's is −"),
        ("category", "spread", (0.06, 0.36), None, "B treats its levels less alike: the SD between them is larger by"),
        ("category", "spread", (0.36, 0.06), None, "B treats its levels more alike: the SD between them is smaller by"),
    ],
)  # fmt: skip
def test_a_direction_is_said_only_where_it_is_known(
    kind: str, metric: str, ends: tuple[float, float], size: float | None, said: str
) -> None:
    found = difference(metric, *ends, 0.03, "smaller" if size is not None else "lower", size)
    text = difference_sentence(TestComparison("x", "x", kind, "", 99, {metric: found}))
    assert text.startswith(said)
    assert ("larger" in text or "smaller" in text) != ("not told apart" in text)


def test_clean_scores_that_are_not_told_apart_have_no_direction() -> None:
    test, _ = compared("image.rotate", [10, 20, 40], 0.5, 0.2)
    told = {each.name: each.text for each in findings(whole(test))}
    assert told["clean score"].startswith("not told apart: B's score less A's is 0.00 [")
