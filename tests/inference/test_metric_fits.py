"""Fits of metrics: truth recovered near bounds, agreement with closed forms, and what is absent or flagged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import ndtri, softmax

from mlflow_sensie.inference import MagnitudeGrid, SamplingDesign, ScoreScale, perturbation_test
from mlflow_sensie.inference.metric_fits import (
    metric_difference,
    metric_estimate,
    metric_groups,
    metric_sweep,
)
from mlflow_sensie.inference.metric_intervals import MetricSample
from mlflow_sensie.scores.metric_functions import Truth
from mlflow_sensie.scores.metric_samples import sample_of
from mlflow_sensie.scores.metrics import METRICS, SKILLS, Metric

GRID = MagnitudeGrid.of([1, 2, 3], neutral=0)
EVERY = [SKILLS["probabilities"], *(m for m in METRICS.values() if m.task == "classifier" and m.method != "none")]
TIGHT = [METRICS[name] for name in ("roc_auc", "average_precision", "accuracy", "recall", "f1", "mcc")]


def of_means(rows: np.ndarray, **fields: object) -> MetricSample:
    """The sample of a metric that is a mean of scores."""
    start = MetricSample("accuracy", rows.mean(axis=0), rows, "mean", len(rows), lower=0, upper=1)
    return replace(start, **fields)


def classified(n: int, *, share: float = 0.3, distance: float = 2.0, step: float = 0.7, seed: int = 0):
    """Targets (n,) of two classes, and probabilities clean and at three magnitudes."""
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < share).astype(int)
    y[:2] = 0, 1
    x, noise = y + rng.normal(size=n) / distance, rng.normal(size=n)
    columns = []
    for j in range(4):
        odds = distance**2 * (x + step * j * noise - 0.5) + np.log(share / (1 - share))
        columns.append(softmax(np.column_stack([np.zeros(n), odds]), axis=1))
    return y, columns


def sample_for(metric: Metric, y: np.ndarray, columns: list[np.ndarray], **options: object) -> MetricSample:
    truth = Truth(y, int(y.max()) + 1, weights=options.pop("weights", None)).with_constant()
    predictions = [column.argmax(axis=1) for column in columns] if metric.needs == "labels" else columns
    sample = sample_of(metric, predictions, truth, options.pop("clusters", None), **options)
    assert sample is not None
    return sample


# --- values ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", EVERY, ids=lambda metric: metric.name)
def test_intervals_hold_the_value_are_nested_and_stay_inside_the_bounds(metric: Metric) -> None:
    y, columns = classified(150, share=0.1)
    sample = sample_for(metric, y, columns)
    fit = metric_estimate(sample)
    one = fit.interval
    assert one is not None and fit.value == sample.values[0]
    assert one.lo95 <= one.lo50 <= one.value <= one.hi50 <= one.hi95 and one.lo95 < one.hi95
    assert (metric.scale.lower is None or one.lo95 >= metric.scale.lower) and (
        metric.scale.upper is None or one.hi95 <= metric.scale.upper
    )
    wider = metric_estimate(sample, family=20).interval
    assert wider is not None and wider.lo95 <= one.lo95 and one.hi95 <= wider.hi95


@pytest.mark.parametrize("metric", TIGHT, ids=lambda metric: metric.name)
def test_a_perfect_model_is_not_known_to_be_perfect(metric: Metric) -> None:
    """Of 20 positives none was missed; by the rule of three up to 14 % might be."""
    y = np.repeat([0, 1], [180, 20])
    interval = metric_estimate(sample_for(metric, y, [np.eye(2)[y]] * 2)).interval
    assert interval is not None and interval.value == pytest.approx(1) and interval.hi95 == pytest.approx(1)
    assert interval.lo95 < (0.995 if metric.name == "accuracy" else 0.97)


def test_an_auc_of_0_has_an_interval_as_long_as_that_of_1() -> None:
    y = np.repeat([0, 1], [60, 40])
    right, wrong = (
        metric_estimate(sample_for(METRICS["roc_auc"], y, [p] * 2)).interval for p in (np.eye(2)[y], np.eye(2)[1 - y])
    )
    assert right is not None and wrong is not None
    assert (wrong.lo95, wrong.hi95) == pytest.approx((1 - right.hi95, 1 - right.lo95), abs=1e-9)


def test_the_ends_of_an_auc_solve_newcombes_equation() -> None:
    """Method 5 of Newcombe (2006): |θ - value| = z √(θ(1 - θ)(1 + N*((1 - θ)/(2 - θ) + θ/(1 + θ)))/mn)."""
    y, columns = classified(200)
    interval = metric_estimate(sample_for(METRICS["roc_auc"], y, columns)).interval
    m, n = y.sum(), (1 - y).sum()
    assert interval is not None
    for theta in (interval.lo95, interval.hi95):
        spread = 1 + ((m + n) / 2 - 1) * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        half = ndtri(0.975) * np.sqrt(theta * (1 - theta) * spread / (m * n))
        assert abs(theta - interval.value) == pytest.approx(half, rel=1e-6)


@pytest.mark.parametrize("metric", EVERY, ids=lambda metric: metric.name)
def test_equal_weights_change_nothing_and_clusters_of_copies_give_the_interval_of_the_originals(metric: Metric) -> None:
    y, columns = classified(120)
    alone = metric_sweep(sample_for(metric, y, columns), GRID)
    weighted = metric_sweep(sample_for(metric, y, columns, weights=np.full(len(y), 3.0)), GRID)
    codes = np.repeat(np.arange(len(y)), 4)
    copied = metric_sweep(sample_for(metric, y[codes], [column[codes] for column in columns], clusters=codes), GRID)
    assert alone is not None and weighted is not None and copied is not None
    assert copied.values == pytest.approx(alone.values)
    drop = alone.mean_drop.hi95 - alone.mean_drop.lo95
    assert weighted.mean_drop.hi95 - weighted.mean_drop.lo95 == pytest.approx(drop, rel=0.03)
    assert copied.mean_drop.hi95 - copied.mean_drop.lo95 == pytest.approx(drop, rel=0.12)


# --- drops -------------------------------------------------------------------------------------------------


def test_a_metric_that_is_a_mean_has_the_mean_drop_of_that_score() -> None:
    rng = np.random.default_rng(2)
    rows = np.clip(0.8 - 0.1 * np.arange(4) + 0.1 * rng.normal(size=(300, 4)), 0, 1)
    fit = metric_sweep(of_means(rows), GRID)
    score = perturbation_test(rows, GRID, ScoreScale(0, 1, "probability"))
    assert fit is not None
    assert [getattr(fit.mean_drop, end) for end in ("value", "lo95", "hi95")] == pytest.approx(
        [getattr(score.mean_drop, end) for end in ("value", "lo95", "hi95")]
    )


def test_a_loss_that_grows_is_a_drop_above_0() -> None:
    rng = np.random.default_rng(3)
    y = rng.normal(size=300)
    columns = [y + (0.5 + 0.3 * j) * rng.normal(size=300) for j in range(4)]
    for name in ("rmse", "mae", "r2"):
        sample = sample_of(METRICS[name], columns, Truth(y))
        assert sample is not None
        fit = metric_sweep(sample, GRID)
        assert fit is not None and fit.mean_drop.lo95 > 0 and not fit.censored
        assert 0 < fit.holds_until < 3


@pytest.mark.slow
@pytest.mark.parametrize("name", ["skill", "roc_auc", "recall", "mcc"])
def test_intervals_of_rare_positives_hold(name: str) -> None:
    metric = SKILLS["probabilities"] if name == "skill" else METRICS[name]
    large = sample_for(replace(metric, draws=None), *classified(200_000, share=0.1, seed=99))
    drop = float(large.values @ GRID.contrasts()[:, 1])
    inside = []
    for seed in range(200):
        fit = metric_sweep(sample_for(metric, *classified(200, share=0.1, seed=seed)), GRID)
        assert fit is not None
        ends = (fit.lo95[0], fit.hi95[0], large.values[0]), (fit.mean_drop.lo95, fit.mean_drop.hi95, drop)
        inside.append([low <= truth <= high for low, high, truth in ends])
    assert np.mean(inside, axis=0).min() > 0.905  # .93, less 1.6 standard errors of 200 sets


# --- holds until -------------------------------------------------------------------------------------------


def test_holds_until_is_where_a_tenth_of_what_lies_above_no_skill_is_lost() -> None:
    """From .9 in steps of .05 with no skill at .5: the floor is .86, and is reached at 0.8."""
    rng = np.random.default_rng(4)
    rows = 0.9 - 0.05 * np.arange(4) + 0.02 * rng.normal(size=(5000, 1))
    fit = metric_sweep(of_means(rows, no_skill=0.5), GRID)
    assert fit is not None and fit.holds_until == pytest.approx(0.8, abs=0.01)
    assert 0.5 < fit.holds_until_lo95 < fit.holds_until and not fit.censored
    absolute = metric_sweep(of_means(rows, no_skill=0.5), GRID, allowed_drop=("absolute", 0.1))
    assert absolute is not None and absolute.holds_until == pytest.approx(2, abs=0.01)


def test_what_is_never_crossed_is_censored_at_the_largest_distance_and_its_bound_needs_examples() -> None:
    rng = np.random.default_rng(5)
    rows = np.repeat(0.8 + 0.1 * rng.normal(size=(40, 1)), 4, axis=1)
    few, many = (metric_sweep(of_means(np.tile(rows, (k, 1)), no_skill=0.5), GRID) for k in (1, 100))
    assert few is not None and many is not None
    assert (few.holds_until, few.censored) == (many.holds_until, many.censored) == (3, True)
    assert few.holds_until_lo95 < 1 < many.holds_until_lo95 == 3


def test_a_model_without_skill_has_none_to_keep() -> None:
    y, _ = classified(300, share=0.1)
    rng = np.random.default_rng(6)
    shares = np.clip(0.1 + 0.02 * rng.normal(size=(4, len(y))), 0, 1)
    columns = [np.column_stack([1 - p, p]) for p in shares]
    fit = metric_sweep(sample_for(SKILLS["probabilities"], y, columns), GRID)
    assert fit is not None and fit.lo95[0] <= 0
    assert (fit.holds_until, fit.holds_until_lo95, fit.censored) == (0, 0, False)
    assert "no_skill" in metric_estimate(sample_for(SKILLS["probabilities"], y, columns)).flags


def test_where_nothing_says_what_no_skill_is_only_an_absolute_drop_can_be_held() -> None:
    rows = np.full((50, 4), 0.8) + 0.01 * np.random.default_rng(0).normal(size=(50, 1))
    assert metric_sweep(of_means(rows), GRID).holds_until is None
    assert metric_sweep(of_means(rows), GRID, allowed_drop=("absolute", 0.2)).holds_until == 3


def test_each_side_of_the_neutral_holds_by_itself() -> None:
    grid = MagnitudeGrid.of([-2, -1, 1, 2], neutral=0)
    rng = np.random.default_rng(7)
    by_magnitude = dict(zip((0, -2, -1, 1, 2), (0.9, 0.6, 0.75, 0.9, 0.9), strict=True))
    rows = np.array([by_magnitude[p] for p in (0, *grid.magnitudes)]) + 0.05 * rng.normal(size=(500, 1))
    fit = metric_sweep(of_means(rows, no_skill=0.5), grid)
    assert fit is not None and len(fit.sides) == 2
    assert fit.holds_until == min(side.value for side in fit.sides) == pytest.approx(0.04 / 0.15, abs=0.02)
    assert {side.censored for side in fit.sides} == {True, False} and not fit.censored


# --- differences and groups --------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", EVERY, ids=lambda metric: metric.name)
def test_models_that_exchange_their_places_exchange_the_sign(metric: Metric) -> None:
    y, a = classified(150, share=0.2)
    _, b = classified(150, share=0.2, distance=1.2)
    groups = [0, 1, 1, 1, 2, 3, 3, 3]
    ab, ba = (sample_for(metric, y, [*x, *z], groups=groups) for x, z in ((a, b), (b, a)))
    for contrast in (np.eye(4)[0], GRID.contrasts()[:, 1]):
        one, other = (metric_difference(sample, contrast) for sample in (ab, ba))
        assert one.difference.value == pytest.approx(one.b - one.a) == pytest.approx(-other.difference.value)
        assert (one.difference.lo95, one.difference.hi95) == pytest.approx(
            (-other.difference.hi95, -other.difference.lo95), abs=1e-9
        )


def test_a_paired_difference_is_shorter_than_that_of_two_samples() -> None:
    y, a = classified(300)
    _, b = classified(300, distance=1.9)
    for name in ("brier", "log_loss"):
        both = metric_difference(
            sample_for(METRICS[name], y, [*a, *b], groups=[0, 1, 1, 1, 2, 3, 3, 3]), np.eye(4)[0]
        ).difference
        alone = metric_estimate(sample_for(METRICS[name], y, a)).interval
        assert alone is not None and both.hi95 - both.lo95 < 0.4 * (alone.hi95 - alone.lo95)


def test_groups_have_their_own_values_and_a_spread_that_is_more_than_noise() -> None:
    rng = np.random.default_rng(8)
    samples = [(f"site {k}", 400, of_means(rng.normal(0.5 + 0.1 * k, 0.1, (400, 1)))) for k in range(3)]
    fit = metric_groups("accuracy", [*samples, ("empty", 3, None)])
    assert fit.labels[-1] == "empty" and fit.n[-1] == 3
    assert fit.values[-1] is fit.lo95[-1] is fit.hi95[-1] is None
    assert fit.spread == pytest.approx(0.1, abs=0.01)
    same = metric_groups("accuracy", [(f"{k}", 50, of_means(rng.normal(0.5, 0.1, (50, 1)))) for k in range(6)])
    assert same.spread is not None and same.spread < 0.015
    assert metric_groups("accuracy", samples[:1]).spread is None


# --- flags and what is absent ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["roc_auc", "recall", "average_precision"])
@pytest.mark.parametrize(("positives", "flagged"), [(9, True), (10, False)])
def test_fewer_than_ten_of_a_class_are_flagged_whatever_stands_in_for_them(
    name: str, positives: int, flagged: bool
) -> None:
    y = np.repeat([0, 1], [100, positives])
    columns = [np.random.default_rng(9).dirichlet([1, 1], len(y)) for _ in range(8)]
    sample = sample_for(METRICS[name], y, columns, groups=[0, 1, 1, 1, 2, 3, 3, 3])
    assert sample.smallest_class == positives
    assert ("few_of_a_class" in metric_difference(sample, np.eye(4)[0]).flags) == flagged


def test_clusters_count_as_examples_of_a_class() -> None:
    y, codes = np.repeat([0, 1], [60, 60]), np.repeat(np.arange(24), 5)
    columns = [np.random.default_rng(9).dirichlet([1, 1], len(y))] * 2
    for name in ("roc_auc", "recall"):
        assert sample_for(METRICS[name], y, columns, clusters=codes).smallest_class == 12
        assert sample_for(METRICS[name], y, columns, clusters=codes // 2).smallest_class == 6


@pytest.mark.parametrize("n", [200, 1000, 5000])
def test_errors_with_heavy_tails_are_flagged_and_normal_ones_are_not(n: int) -> None:
    rng = np.random.default_rng(10)
    flagged = {"t3": 0, "normal": 0}
    for _ in range(40):
        y = rng.normal(size=n)
        for kind, noise in (("t3", rng.standard_t(3, n)), ("normal", rng.normal(size=n))):
            sample = sample_of(METRICS["rmse"], [y + noise], Truth(y))
            assert sample is not None
            flagged[kind] += "heavy_tailed" in metric_estimate(sample).flags
    assert flagged["t3"] >= 34 and flagged["normal"] <= (12 if n == 200 else 0)


def test_a_biased_metric_has_its_value_alone() -> None:
    y, columns = classified(200)
    sample = sample_for(METRICS["ece"], y, columns)
    fit = metric_estimate(sample)
    assert fit.interval is None and fit.value > 0 and metric_sweep(sample, GRID) is None


def test_the_seed_alone_decides_what_is_drawn() -> None:
    y, columns = classified(150)
    first, again, other = (sample_for(METRICS["average_precision"], y, columns, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.draws, again.draws) and not np.array_equal(first.draws, other.draws)
    one, same = (metric_sweep(sample, GRID) for sample in (first, again))
    assert one is not None and same is not None and one.mean_drop == same.mean_drop and one.lo95 == same.lo95


def test_one_row_with_half_the_weight_leaves_ends_that_are_finite() -> None:
    rows = np.random.default_rng(11).normal(0.7, 0.1, (30, 4))
    weights = np.ones(30)
    weights[0] = 29
    sample = of_means(rows, values=np.average(rows, axis=0, weights=weights), design=SamplingDesign(weights))
    fit = metric_sweep(sample, GRID)
    assert fit is not None and np.isfinite([fit.mean_drop.lo95, fit.mean_drop.hi95, *fit.lo95, *fit.hi95]).all()
