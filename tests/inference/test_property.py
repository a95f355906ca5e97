"""The property test."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest
from inference.fit_numbers import numbers_of
from numpy.testing import assert_allclose

from mlflow_sensie.inference import PropertyFit, ScoreScale, bin_edges, property_span, property_test
from mlflow_sensie.inference.slope import guarded_sandwich, sandwich
from mlflow_sensie.inference.weights import AS_THEY_ARE

PROBABILITY = ScoreScale(0, 1, "probability")
UNBOUNDED = ScoreScale(None, None, "target SD")


def fit(
    p: np.ndarray,
    y: np.ndarray,
    scale: ScoreScale = PROBABILITY,
    expected: np.ndarray | None = None,
) -> PropertyFit:
    """Run the test as a whole evaluation would."""
    edges, unique = bin_edges(p)
    return property_test(p, y, scale, expected=expected, edges=edges, unique=unique, span=property_span(p))


def flip(rng: np.random.Generator, mean: np.ndarray) -> np.ndarray:
    """Draw zeros and ones."""
    return (rng.random(len(mean)) < mean).astype(float)


# ------------------------------------------------------------ the sandwich


def test_hc2_is_that_of_the_matrix_formula(rng: np.random.Generator) -> None:
    z, y = rng.normal(size=40), rng.normal(size=40) ** 2
    found = sandwich(z, y)
    X = np.column_stack([np.ones(40), z - z.mean()])
    bread = np.linalg.inv(X.T @ X)
    beta = bread @ X.T @ y
    e, h = y - X @ beta, np.diag(X @ bread @ X.T)
    cov = bread @ (X.T * (e**2 / (1 - h))) @ X @ bread
    classical = (e @ e / 38) * bread
    expected = cov if cov[1, 1] >= classical[1, 1] else classical
    assert_allclose([found.level, found.slope], beta, rtol=1e-12)
    assert_allclose([found.level_var, found.slope_var], np.diag(expected), rtol=1e-10)
    assert_allclose(found.covariance, expected[0, 1], atol=1e-12)
    c = z - z.mean()
    assert_allclose(found.df, (c @ c) ** 2 / (c**4).sum(), rtol=1e-10)
    d = c * e
    assert_allclose(found.informative, (d @ d) ** 2 / (d**4).sum(), rtol=1e-10)


def test_large_samples_keep_hc2_whichever_is_larger(rng: np.random.Generator) -> None:
    z = rng.random(2000)
    y = 0.3 * (np.abs(z - 0.5) < 0.2) * rng.normal(size=2000)
    found = sandwich(z, y)
    assert found.slope_var < 0.5 * found.residual_var / ((z - z.mean()) ** 2).sum()


def test_an_offset_of_a_million_costs_no_digits(rng: np.random.Generator) -> None:
    p = rng.random(5000)
    y = flip(rng, 0.9 - 0.3 * p)
    near, far = fit(p, y), fit(1e6 + p, y)
    assert_allclose(far.slope.value, near.slope.value, rtol=1e-8)
    assert_allclose(far.effect.hi95, near.effect.hi95, rtol=1e-8)


def test_pseudo_scores_stand_at_the_ends_and_bounds() -> None:
    z = np.linspace(-0.5, 0.5, 50)
    plain, guarded, few = guarded_sandwich(z, np.ones(50), AS_THEY_ARE, (0.0, 1.0))
    assert few and plain.slope_var == 0
    exact = sandwich(np.r_[z, -0.5, -0.5, 0.5, 0.5], np.r_[np.ones(50), 0, 1, 0, 1])
    assert_allclose(astuple(guarded), astuple(exact), rtol=1e-12, atol=1e-15)
    assert guarded.slope_var > 0


# ------------------------------------------------------------ truth


def test_a_known_slope_is_found(rng: np.random.Generator) -> None:
    p = 1990 + 30 * rng.random(20_000)
    found = fit(p, flip(rng, 0.95 - 0.01 * (p - 1990)))
    assert found.slope.lo95 < -0.01 < found.slope.hi95
    assert found.slope.value == pytest.approx(-0.01, rel=0.1)
    width = found.span[1] - found.span[0]
    assert found.effect.value == pytest.approx(found.slope.value * width)
    assert (found.decision, found.significance, found.flags) == ("sensitive", "high", ())
    assert found.prob_sensitive > 0.999 and found.effect_bound95 > 0.25
    mean, low, high = found.line.at([1990, 2020])
    assert_allclose(mean, [0.95, 0.65], atol=0.02)
    assert np.all(low < mean) and np.all(mean < high)


def test_a_negligible_effect_is_called_so(rng: np.random.Generator) -> None:
    p = rng.random(20_000)
    assert fit(p, rng.beta(8, 2, size=len(p))).decision == "negligible"


def test_the_unit_of_p_changes_nothing_but_the_slope(rng: np.random.Generator) -> None:
    p = rng.random(300)
    y = flip(rng, 0.9 - 0.3 * p)
    one, other = fit(p, y), fit(1000 * p, y)
    assert_allclose(other.effect.lo95, one.effect.lo95)
    assert_allclose(other.slope.lo95 * 1000, one.slope.lo95)
    assert other.prob_sensitive == pytest.approx(one.prob_sensitive)


def test_unexpected_is_zero_for_a_calibrated_model_that_is_sensitive(rng: np.random.Generator) -> None:
    p = rng.random(20_000)
    q = 1 / (1 + np.exp(-(4 - 3.8 * p) * rng.normal(size=len(p))))
    y = np.where(rng.random(len(p)) < q, q, 1 - q)
    found = fit(p, y, expected=q**2 + (1 - q) ** 2)
    assert found.effect.hi95 < -0.2
    assert found.unexpected is not None
    assert found.unexpected.lo95 < 0 < found.unexpected.hi95 and abs(found.unexpected.value) < 0.02


def test_a_u_shape_is_found_by_spread_and_departure_not_by_the_slope(rng: np.random.Generator) -> None:
    p = rng.random(4000)
    found = fit(p, flip(rng, 0.95 - 1.6 * (p - 0.5) ** 2))
    assert abs(found.effect.value) < 0.05
    assert found.spread is not None and found.departure is not None
    truth = np.sqrt(np.var(1.6 * (np.linspace(0, 1, 1001) - 0.5) ** 2))
    assert found.spread.spread.lo95 < truth < found.spread.spread.hi95
    assert found.departure.size == pytest.approx(truth, rel=0.15)
    assert found.departure.p_value is not None and found.departure.p_value < 1e-6


# ------------------------------------------------------------ passes, missing values, bins


@pytest.mark.parametrize("size", [1, 7, 256])
def test_blocks_of_rows_change_nothing(size: int, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    p, y = rng.normal(size=300), rng.beta(3, 1, size=300)
    p[::50], y[::70] = np.nan, np.nan
    whole = fit(p, y, expected=y**2)
    monkeypatch.setattr("mlflow_sensie.inference.weights.ROWS", size)
    parts = fit(p, y, expected=y**2)
    assert numbers_of(parts).keys() == numbers_of(whole).keys()
    assert_allclose(list(numbers_of(parts).values()), list(numbers_of(whole).values()), rtol=1e-9)
    assert parts.curve is not None and whole.curve is not None
    assert parts.curve.n == whole.curve.n


def test_missing_values_stand_apart_and_bad_scores_are_counted(rng: np.random.Generator) -> None:
    p, y = rng.random(200), rng.beta(3, 1, size=200)
    clean = fit(p, y)
    more_p = np.concatenate([p, [np.nan, np.inf, np.nan, 0.5, 0.5]])
    more_y = np.concatenate([y, [0.2, 0.4, 0.6, np.nan, -np.inf]])
    found = fit(more_p, more_y)
    assert (found.n, found.n_missing, found.n_dropped) == (200, 3, 2)
    assert set(found.flags) >= {"missing", "dropped"}
    assert_allclose(found.slope.value, clean.slope.value, rtol=1e-9)
    assert found.missing is not None
    assert (found.missing.p, found.missing.label, found.missing.n) == ((None,), ("missing",), (3,))
    assert found.missing.score[0] == pytest.approx(0.4)
    assert found.curve is not None and sum(found.curve.n) == 200


def test_examples_outside_explicit_edges_count_in_the_end_bins(rng: np.random.Generator) -> None:
    p, y = np.linspace(0, 10, 101), rng.random(101)
    found = property_test(p, y, PROBABILITY, edges=[4, 5, 6], span=(0, 10))
    assert found.curve is not None and found.curve.n == (50, 51)
    assert found.curve.p[0] == pytest.approx(p[p < 5].mean()), "at the mean p of those counted"


def test_an_empty_bin_keeps_its_place(rng: np.random.Generator) -> None:
    p, y = np.array([0.1] * 20 + [2.5] * 20), rng.random(40)
    found = property_test(p, y, PROBABILITY, edges=[0, 1, 2, 3], span=(0, 3))
    assert found.curve is not None
    assert found.curve.n == (20, 0, 20) and found.curve.score[1] is None and found.curve.p[1] == 1.5


def test_without_bins_there_is_no_curve(rng: np.random.Generator) -> None:
    p, y = rng.random(50), rng.random(50)
    found = property_test(p, y, PROBABILITY, span=(0, 1))
    assert (found.curve, found.spread, found.departure) == (None, None, None)
    assert not {"spread", "departure", "unexpected"} & numbers_of(found).keys()


# ------------------------------------------------------------ little evidence


def test_few_failures_are_guarded(rng: np.random.Generator) -> None:
    p, y = rng.random(200), np.ones(200)
    y[:2] = 0
    found = fit(p, y)
    assert "few_informative" in found.flags
    assert found.effect.lo95 < found.plain_effect.lo95 and found.effect.hi95 > found.plain_effect.hi95


def test_equal_scores_leave_honest_doubt() -> None:
    for n in (2, 5, 30, 1000):
        found = fit(np.linspace(0, 1, n), np.ones(n))
        assert "few_informative" in found.flags and found.effect.value == pytest.approx(0, abs=1e-12)
        assert found.effect.lo95 < -1e-3 and found.effect.hi95 > 1e-3
        assert found.decision != "sensitive"


def test_noise_wider_than_the_rope_is_not_called_sensitive() -> None:
    # P(|effect| >= rope) is near 1 in all of these.
    rng = np.random.default_rng(1)
    fits = [fit(rng.random(20), rng.normal(size=20), UNBOUNDED) for _ in range(100)]
    assert np.mean([one.prob_sensitive >= 0.95 for one in fits]) > 0.9
    assert np.mean([one.decision == "sensitive" for one in fits]) <= 0.1


def test_unbounded_scores_take_their_bounds_from_what_was_seen(rng: np.random.Generator) -> None:
    p = rng.random(100)
    y = np.full(100, -3.0)
    y[0] = -13.0
    ten, hundred = fit(p, y, UNBOUNDED), fit(p, 10 * y, UNBOUNDED)
    assert ten.flags == ("few_informative",)
    assert_allclose(hundred.effect.lo95, 10 * ten.effect.lo95)


@pytest.mark.parametrize(
    ("p", "y", "span", "words"),
    [
        ([1, 1, 1], [0, 1, 0], (0, 1), "constant"),
        ([1, 2, 3], [0, 1, 0], (1, 1), "finite range"),
        ([1, 2, 3], [0, 1, 0], (0, np.inf), "finite range"),
        ([1, np.nan, 3], [0, 1, np.nan], (0, 1), "at least two examples"),
        ([], [], (0, 1), "at least two examples"),
    ],
)
def test_what_has_no_slope_is_an_error(p: list[float], y: list[float], span: tuple[float, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        property_test(np.array(p, float), np.array(y, float), PROBABILITY, span=span)
