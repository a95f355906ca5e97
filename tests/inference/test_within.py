"""A property's effect within classes and from their mix: known truths, invariances, and where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from mlflow_sensie.inference import SamplingDesign, ScoreScale
from mlflow_sensie.inference.within import split_effect

PROBABILITY = ScoreScale(0, 1, "probability")
SPAN = (0.0, 10.0)


def flights(n: int = 4000, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give hours, scores and classes: late flights get more frequent over the day and score low, at any hour alike."""
    rng = np.random.default_rng(seed)
    hour = rng.uniform(0, 10, n)
    late = (rng.random(n) < 0.02 + 0.016 * hour).astype(int)
    return hour, np.where(late, 0.25, 0.9) + 0.05 * rng.normal(size=n), late


def test_an_effect_of_the_mix_alone_is_told_from_one_within_classes() -> None:
    hour, score, late = flights()
    split = split_effect(hour, score, late, PROBABILITY, span=SPAN)
    assert split is not None
    assert split.within.lo95 < 0 < split.within.hi95
    assert split.mix.hi95 < 0
    assert split.mix.value == pytest.approx(-0.65 * 0.16, abs=0.03)
    inside = split_effect(hour, score - 0.02 * hour, late, PROBABILITY, span=SPAN)
    assert inside is not None
    assert inside.within.value == pytest.approx(-0.2 + split.within.value)
    assert inside.mix.value == pytest.approx(split.mix.value)


def test_the_parts_add_up_to_the_least_squares_effect_and_the_within_part_to_the_classes_slopes() -> None:
    hour, score, late = flights(500)
    split = split_effect(hour, score, late, PROBABILITY, span=SPAN)
    assert split is not None
    assert split.within.value + split.mix.value == pytest.approx(10 * np.polyfit(hour, score, 1)[0])
    slopes = [np.polyfit(hour[late == k], score[late == k], 1)[0] for k in (0, 1)]
    assert split.within.value == pytest.approx(10 * np.average(slopes, weights=np.bincount(late)))


def test_whole_weights_count_as_repeated_examples_and_clusters_widen() -> None:
    hour, score, late = flights(300)
    weights = np.random.default_rng(1).integers(1, 4, 300)
    weighted = split_effect(hour, score, late, PROBABILITY, span=SPAN, design=SamplingDesign(weights.astype(float)))
    columns = [np.repeat(column, weights) for column in (hour, score, late)]
    repeated = split_effect(*columns, PROBABILITY, span=SPAN)
    clustered = split_effect(
        *columns, PROBABILITY, span=SPAN, design=SamplingDesign(None, np.repeat(np.arange(300), weights))
    )
    assert weighted is not None
    assert repeated is not None
    assert clustered is not None
    assert weighted.within.value == pytest.approx(repeated.within.value) == pytest.approx(clustered.within.value)
    width = [one.within.hi95 - one.within.lo95 for one in (repeated, clustered)]
    assert width[0] < width[1]


def test_small_classes_share_a_slope() -> None:
    rng = np.random.default_rng(2)
    k = np.repeat(np.arange(60), 5)
    p = rng.normal(size=300) + k / 30
    split = split_effect(p, 0.5 - 0.05 * p + k / 200 + 0.02 * rng.normal(size=300), k, PROBABILITY, span=(-2.0, 4.0))
    assert split is not None
    assert split.n_shared == split.n_classes == 60
    assert split.within.lo95 < -0.3 < split.within.hi95


def test_missing_values_and_scores_are_left_out() -> None:
    hour, score, late = flights(200)
    shorter = split_effect(hour[2:], score[2:], late[2:], PROBABILITY, span=SPAN)
    hour[0], score[1] = np.nan, np.nan
    assert split_effect(hour, score, late, PROBABILITY, span=SPAN) == shorter


@pytest.mark.parametrize(
    "classes", [np.zeros(100, int), np.arange(100) // 50], ids=["one class", "the property itself"]
)
def test_there_is_no_split_without_a_slope_within_classes(classes: np.ndarray) -> None:
    p = (np.arange(100) // 50).astype(float)
    assert split_effect(p, 0.5 + 0.1 * p, classes, PROBABILITY, span=(0.0, 1.0)) is None


def test_scores_at_their_bound_leave_the_parts_uncertain() -> None:
    hour, _, late = flights(200)
    split = split_effect(hour, np.ones(200), late, PROBABILITY, span=SPAN)
    assert split is not None
    assert split.few_informative
    assert split.within.lo95 < 0 < split.within.hi95
