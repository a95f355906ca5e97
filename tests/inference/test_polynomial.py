"""Polynomials beside the line."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.polynomial import Legendre, Polynomial
from numpy.polynomial.legendre import legvander
from numpy.testing import assert_allclose

from mlflow_sensie.inference import (
    ExtraFits,
    MagnitudeGrid,
    SamplingDesign,
    ScoreScale,
    perturbation_test,
    property_span,
    property_test,
)

PROBABILITY = ScoreScale(0, 1, "probability")
UNBOUNDED = ScoreScale(None, None, "target SD")
U = np.linspace(0, 1, 11)


def curves(rng: np.random.Generator, n: int = 200) -> np.ndarray:
    """Give sweeps that bend."""
    return 0.9 - rng.uniform(0, 0.6, (n, 1)) * U**2 + 0.05 * rng.normal(size=(n, 11))


@pytest.mark.parametrize("order", [2, 3, 5])
def test_it_is_least_squares_through_the_curve(order: int, rng: np.random.Generator) -> None:
    rows = curves(rng)
    fit = perturbation_test(rows, MagnitudeGrid.of(U[1:].tolist(), 0), UNBOUNDED, extra=ExtraFits(polynomial=order))
    (found,) = fit.polynomials
    assert (found.order, found.side, found.start, found.stop) == (order, "above", 0, 1)
    mean, low, high = found.at(U)
    assert_allclose(mean, Polynomial.fit(U, rows.mean(0), order)(U))
    assert_allclose(Legendre(found.coefficients, found.domain)(U), mean)
    own = np.array([Polynomial.fit(U, row, order)(U) for row in rows])
    half = 1.971957 * own.std(0, ddof=1) / np.sqrt(200)  # t at 199 degrees of freedom
    assert_allclose((high - low) / 2, half, rtol=1e-5)


def test_each_side_has_its_own_over_distance(rng: np.random.Generator) -> None:
    p = np.array([0.25, 0.5, 0.8, 2, 4, 8])
    u = np.abs(np.log(np.append(1, p)))
    rows = 0.9 - 0.1 * u**2 + 0.01 * rng.normal(size=(100, 7))
    fit = perturbation_test(rows, MagnitudeGrid.of(p.tolist(), 1, True), UNBOUNDED, extra=ExtraFits(polynomial=2))
    below, above = fit.polynomials
    assert (below.start, below.stop, above.start, above.stop) == (0.25, 1, 1, 8)
    assert_allclose(above.at(p[3:])[0], 0.9 - 0.1 * np.log(p[3:]) ** 2, atol=0.01)
    assert below.at(1.0)[0] == pytest.approx(0.9, abs=0.01)


def test_with_as_many_terms_as_points_it_goes_through_all_of_them(rng: np.random.Generator) -> None:
    rows = curves(rng)[:, [0, 3, 6, 10]]
    fit = perturbation_test(rows, MagnitudeGrid.of([0.3, 0.6, 1], 0), UNBOUNDED, extra=ExtraFits(polynomial=3))
    assert_allclose(fit.polynomials[0].at([0, 0.3, 0.6, 1])[0], rows.mean(0))


def test_a_side_with_too_few_points_has_none_and_is_flagged(rng: np.random.Generator) -> None:
    rows = rng.random((50, 5))
    fit = perturbation_test(rows, MagnitudeGrid.of([-1, 1, 2, 3], 0), PROBABILITY, extra=ExtraFits(polynomial=3))
    assert [each.side for each in fit.polynomials] == ["above"] and "no_polynomial" in fit.flags


def test_a_handful_of_examples_widens_the_band() -> None:
    rows = np.ones((100, 11))
    rows[:2, 5:] = 0
    fit = perturbation_test(rows, MagnitudeGrid.of(U[1:].tolist(), 0), PROBABILITY, extra=ExtraFits(polynomial=2))
    _, low, high = fit.polynomials[0].at(U)
    own = np.array([Polynomial.fit(U, row, 2)(U) for row in rows])
    half = 1.96 * own.std(0, ddof=1) / 10
    assert (high - low)[-1] / 2 > 1.1 * half[-1]


def test_of_a_property_it_is_least_squares_through_the_examples(rng: np.random.Generator) -> None:
    p = rng.normal(size=900)
    y = np.clip(0.6 - 0.1 * p**2 + (0.02 + 0.1 * np.abs(p)) * rng.normal(size=900), 0, 1)
    fit = property_test(p, y, PROBABILITY, span=property_span(p), extra=ExtraFits(polynomial=3))
    (found,) = fit.polynomials
    at = np.linspace(*property_span(p), 9)
    assert_allclose(found.at(at)[0], Polynomial.fit(p, y, 3)(at))
    assert (found.start, found.stop) == property_span(p) and found.domain == pytest.approx((p.min(), p.max()))
    # HC2 by its matrix formula.
    basis = legvander(2 * (p - p.min()) / np.ptp(p) - 1, 3)
    bread = np.linalg.inv(basis.T @ basis)
    rest = y - basis @ bread @ basis.T @ y
    room = 1 - np.einsum("ni,ij,nj->n", basis, bread, basis)
    assert_allclose(found.covariance, bread @ (basis.T * (rest**2 / room)) @ basis @ bread, rtol=1e-8)


def test_weights_and_clusters_count_in_it(rng: np.random.Generator) -> None:
    p, weight, patient = rng.random(300), rng.uniform(0.2, 3, 300), np.repeat(np.arange(60), 5)
    y = p**2 + rng.normal(size=60)[patient] + 0.1 * rng.normal(size=300)
    design = SamplingDesign(weight, patient)
    (found,), (alone,) = (
        property_test(p, y, UNBOUNDED, span=(0, 1), design=of, extra=ExtraFits(polynomial=2)).polynomials
        for of in (design, SamplingDesign(weight))
    )
    assert_allclose(found.at(p)[0], Polynomial.fit(p, y, 2, w=np.sqrt(weight))(p))
    widths = [np.subtract(*each.at(0.5)[1:]) for each in (found, alone)]
    assert widths[0] < 1.3 * widths[1] < 0  # low - high


def test_more_terms_than_values_of_a_property_are_refused(rng: np.random.Generator) -> None:
    p, y = rng.integers(0, 3, 200).astype(float), rng.random(200)
    two, three = (property_test(p, y, PROBABILITY, span=(0, 2), extra=ExtraFits(polynomial=order)) for order in (2, 3))
    assert_allclose(two.polynomials[0].at([0, 1, 2])[0], [y[p == k].mean() for k in range(3)])
    assert three.polynomials == () and "no_polynomial" in three.flags


def test_bins_without_examples_or_failures_do_no_harm() -> None:
    p = np.concatenate([np.linspace(0, 1, 100), np.linspace(3, 4, 100)])
    fit = property_test(
        p, np.ones(200), PROBABILITY, span=(0, 4), edges=[0, 0.5, 1.5, 2.5, 3.5, 4], extra=ExtraFits("auto", 2)
    )
    (found,) = fit.polynomials
    mean, low, high = found.at([0.5, 3.5])
    assert_allclose(mean, 1, atol=0.03)
    assert (high - low > 0.02).all()
    assert fit.fit_range == () and "no_fit_range" in fit.flags
