"""The engine `exact`: against integrals over raw data, and what it puts in place of `robust`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats
from scipy.integrate import cumulative_simpson

from mlflow_sensie.inference import (
    MagnitudeGrid,
    Mixture,
    PerturbationFit,
    Prior,
    Priors,
    PropertyFit,
    Regression,
    ScoreScale,
    bin_edges,
    exact,
    perturbation_test,
    property_span,
    property_test,
)

PROBABILITY = ScoreScale(0, 1, "probability")
UNBOUNDED = ScoreScale(None, None, "score")
LEVELS = np.array([0.025, 0.25, 0.5, 0.75, 0.975])
Array = np.ndarray


def of_property(p: Array, y: Array, scale: ScoreScale = PROBABILITY) -> PropertyFit:
    edges, unique = bin_edges(p)
    return property_test(p, y, scale, span=property_span(p), edges=edges, unique=unique)


def of_sweep(rows: Array, magnitudes: list[float], scale: ScoreScale = PROBABILITY) -> PerturbationFit:
    return perturbation_test(rows, MagnitudeGrid.of(magnitudes, 0.0), scale)


def density(prior: Prior) -> Callable[[Array], Array]:
    """Give scipy's log density of a prior."""
    families = {"normal": stats.norm, "half_normal": stats.halfnorm, "half_cauchy": stats.halfcauchy}
    if prior.family == "half_student_t":
        return lambda x: stats.t.logpdf(x, prior.df, scale=prior.scale)
    return lambda x: families[prior.family].logpdf(x, prior.loc, prior.scale)


def brute(z: Array, y: Array, priors: Priors) -> tuple[Array, Array]:
    """Give P(slope of y on z <= x) at each x of a lattice over which the joint density of all data is summed.

    Without z the y are draws about the effect itself.
    """
    beta = np.linspace(-1.6, 1.2, 401)[None, None, :]
    alpha = np.linspace(0, 1, 61)[:, None, None] if len(z) else np.zeros((1, 1, 1))
    sigma = np.exp(np.linspace(-5, 1, 61))[None, :, None]
    log = density(priors.slope)(beta) + density(priors.noise)(sigma) + np.log(sigma)
    if len(z):
        log = log + density(priors.intercept)(alpha)
    for zi, yi in zip(z if len(z) else np.ones(len(y)), y, strict=True):
        log = log - 0.5 * ((yi - alpha - beta * zi) / sigma) ** 2 - np.log(sigma)
    mass = np.exp(log - log.max()).sum((0, 1))
    cdf = cumulative_simpson(mass, x=beta.ravel(), initial=0)
    return beta.ravel(), cdf / cdf[-1]


def check(found: Mixture, x: Array, cdf: Array) -> None:
    assert_allclose([found.prob_below(each) for each in x], cdf, atol=2e-6)
    assert ((cdf > 0.1) & (cdf < 0.9)).sum() > 20, "the lattice is fine enough to see the posterior"


OTHERS = Priors(Prior("normal", 0.3, 0.5), Prior("normal", 0.4, 0.2), Prior("half_normal", 0.3))
TAILS = Priors(noise=Prior("half_student_t", 0.2, df=4.0))


@pytest.mark.parametrize("priors", [Priors(), OTHERS, TAILS], ids=["Sensie's", "others", "Student's t"])
def test_a_property_agrees_with_the_integral_over_raw_data(priors: Priors, rng: np.random.Generator) -> None:
    p = rng.normal(5, 2, 12)
    y = np.clip(0.6 - 0.03 * p + 0.1 * rng.normal(size=12), 0, 1)
    fit = of_property(p, y)
    (found,) = exact(fit.regressions, priors)
    check(found, *brute((p - p.mean()) / (fit.span[1] - fit.span[0]), y, priors))


@pytest.mark.parametrize("priors", [Priors(), OTHERS, TAILS], ids=["Sensie's", "others", "Student's t"])
def test_a_sweep_agrees_with_the_integral_over_own_slopes(priors: Priors, rng: np.random.Generator) -> None:
    u, n = np.array([0.0, 1, 2, 4]), 9
    rows = np.clip(0.9 - rng.uniform(0, 0.2, (n, 1)) * u + 0.02 * rng.normal(size=(n, 4)), 0, 1)
    (found,) = exact(of_sweep(rows, [1, 2, 4]).regressions, priors)
    own = 4 * np.array([np.polyfit(u, row, 1)[0] for row in rows])
    check(found, *brute(np.empty(0), own, priors))


def test_a_sweep_does_not_count_its_scores_as_independent(rng: np.random.Generator) -> None:
    """Examples that each fall at their own rate: eleven scores of one say no more than its slope does."""
    u = np.linspace(0, 1, 11)
    rows = 0.9 - rng.uniform(0, 0.6, (200, 1)) * u
    fit = of_sweep(rows, u[1:].tolist())
    (found,) = exact(fit.regressions)
    assert found.scale == pytest.approx(np.polyfit(u, rows.T, 1)[0].std(ddof=1) / np.sqrt(200), rel=0.02)


def test_many_examples_leave_nothing_of_the_prior(rng: np.random.Generator) -> None:
    p = rng.normal(size=100_000)
    y = 0.5 - 0.02 * p + 0.1 * rng.normal(size=100_000)
    fit = of_property(p, y)
    (found,) = exact(fit.regressions)
    line = stats.linregress(p, y)
    width = fit.span[1] - fit.span[0]
    assert_allclose([found.loc, found.scale], [line.slope * width, line.stderr * width], rtol=1e-4)


def test_the_answer_does_not_depend_on_the_scores_unit_or_zero(rng: np.random.Generator) -> None:
    """Priors know units: they are on the score as a share of its range, or a score in points would be shrunk to 0."""
    p, noise = rng.random(30), rng.random(30)
    (share,) = exact(of_property(p, noise, UNBOUNDED).regressions)
    (points,) = exact(of_property(p, 500 + 100 * noise, UNBOUNDED).regressions)
    assert_allclose([points.quantile(q) for q in LEVELS], [100 * share.quantile(q) for q in LEVELS], rtol=1e-9)


@pytest.mark.parametrize("n", [2, 3, 4, 50])
@pytest.mark.parametrize("scale", [PROBABILITY, UNBOUNDED], ids=["probability", "unbounded"])
def test_scores_without_noise_still_have_a_posterior(n: int, scale: ScoreScale) -> None:
    p = np.linspace(0, 1, n)
    for y in (np.ones(n), 1 - 0.5 * p):
        fit = of_property(p, y, scale)
        (found,) = exact(fit.regressions)
        summary = found.summary()
        assert summary.lo95 < summary.lo50 <= found.loc <= summary.hi50 < summary.hi95
        if n == 50:
            assert found.loc == pytest.approx((y[-1] - y[0]) * fit.regression.length, abs=1e-5) and found.scale < 1e-5


def test_the_window_finds_a_posterior_far_from_the_data() -> None:
    """A prior that contradicts few data moves the noise far from where the residuals have it."""
    regression = Regression(4, 0.5, -1.0, 0.4, 1e-8, 0.0, 1.0, 0.0, 1.0)
    (found,) = exact([regression], Priors(slope=Prior("normal", 1e-3)))
    assert abs(found.loc) < 0.01, "the prior wins, and the noise explains the data"
    (free,) = exact([regression])
    assert free.loc == pytest.approx(-1, abs=0.01)


def test_a_prior_that_is_not_normal_is_refused() -> None:
    regression = Regression(4, 0.5, -1.0, 0.4, 0.1, 0.0, 1.0, 0.0, 1.0)
    for name in ("intercept", "slope"):
        with pytest.raises(ValueError, match="exact needs normal priors for intercept and slope, not 'laplace'"):
            exact([regression], replace(Priors(), **{name: Prior("laplace", 1.0)}))


# ------------------------------------------------------------ in place of robust's

REPLACED = {"slope", "effect", "posterior", "effect_bound95", "prob_sensitive", "decision", "significance", "line"}


def changed(before: Any, after: Any) -> set[str]:
    return {f.name for f in fields(before) if getattr(before, f.name) != getattr(after, f.name)}


def test_a_property_test_takes_the_posterior_of_the_effect_alone(rng: np.random.Generator) -> None:
    p = rng.gamma(2.0, size=200)
    y = np.clip(0.8 - 0.1 * p + 0.2 * rng.normal(size=200), 0, 1)
    before = of_property(p, y)
    effects = exact(before.regressions)
    after = before.with_posteriors(effects)
    assert changed(before, after) <= REPLACED | {"robust"}
    assert after.robust == before.posterior and before.robust is None
    width = after.span[1] - after.span[0]
    assert (after.effect.lo95, after.effect.hi95) == effects[0].interval()
    assert after.slope.lo95 * width == pytest.approx(after.effect.lo95)
    assert after.effect_bound95 == effects[0].bound()
    mean, low, high = after.line.at([p.mean(), p.mean() + 1])
    assert mean[0] == pytest.approx(y.mean()), "the line goes through the middle of the data"
    assert mean[1] - mean[0] == pytest.approx(after.slope.value)
    assert (high - low)[0] == pytest.approx(2 * 1.96 * np.sqrt(before.regression.rest / 198 / 200), rel=1e-4)


def test_a_sweep_keeps_its_drops_and_takes_the_sides_apart(rng: np.random.Generator) -> None:
    fall = rng.uniform(0, 0.3, (80, 1))
    rows = np.clip(0.9 - np.hstack([0 * fall, fall, fall / 2, fall / 3, fall]) + 0.01 * rng.normal(size=(80, 5)), 0, 1)
    before = of_sweep(rows, [-2, -1, 1, 2])
    effects = exact(before.regressions)
    after = before.with_posteriors(effects)
    assert changed(before, after) <= REPLACED | {"sides"}
    assert [side.robust for side in after.sides] == [side.posterior for side in before.sides]
    for old, new in zip(before.sides, after.sides, strict=True):
        assert changed(old, new) <= {"slope", "effect", "posterior", "line", "robust"}
    worse = [side.side for side in after.sides].index(after.worse)
    assert (after.effect.lo95, after.effect.hi95) == pytest.approx(effects[worse].interval(0.975))
    assert after.effect_bound95 == max(effect.bound(0.975) for effect in effects)
    ends = np.array(after.sides[1].line.at([0.0, 2.0]))
    assert ends[0, 1] - ends[0, 0] == pytest.approx(after.sides[1].effect.value)
    assert (ends[1] < ends[0]).all() and (ends[0] < ends[2]).all()


def test_a_fit_with_another_engines_posterior_survives_json(rng: np.random.Generator) -> None:
    pydantic = pytest.importorskip("pydantic")
    p = rng.random(40)
    fit = of_property(p, rng.random(40))
    for before in (fit, fit.with_posteriors(exact(fit.regressions))):
        adapter = pydantic.TypeAdapter(PropertyFit)
        again = adapter.validate_json(adapter.dump_json(before))
        assert again == before and type(again.posterior) is type(before.posterior)
    assert isinstance(again.posterior, Mixture)
    assert again.posterior.interval() == before.posterior.interval()


# ------------------------------------------------------------ sums over blocks of rows


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_sums_over_blocks_of_rows_agree_with_a_direct_computation(
    offset: float, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`benchmarks/engines.py` does the same with ten million examples."""
    n = 20_000
    p, noise = offset + rng.random(n), rng.normal(size=n)
    y = 0.5 - 0.02 * (p - offset) + 0.1 * noise
    monkeypatch.setattr("mlflow_sensie.inference.weights.ROWS", 256)
    span = property_span(p)
    fit = property_test(p, y, UNBOUNDED, span=span)
    z = (p.astype(np.longdouble) - p.astype(np.longdouble).mean()) / np.longdouble(span[1] - span[0])
    total, level = z @ z, y.astype(np.longdouble).mean()
    effect = z @ (y - level) / total
    rest = y - level - effect * z
    found = fit.regression
    direct = {"level": level, "effect": effect, "information": total, "rest": rest @ rest}
    reference = replace(found, **{name: float(value) for name, value in direct.items()})
    for name in direct:
        assert getattr(found, name) == pytest.approx(getattr(reference, name), rel=1e-9), name
    sandwich = np.sqrt(float((z * z * rest * rest / (1 - 1 / n - z * z / total)).sum())) / float(total)
    assert_allclose([fit.posterior.loc, fit.posterior.scale], [float(effect), sandwich], rtol=1e-9)
    (one,), (other,) = exact([found]), exact([reference])
    assert_allclose([one.loc, one.scale], [other.loc, other.scale], rtol=1e-9)
