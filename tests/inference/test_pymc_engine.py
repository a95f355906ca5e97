"""The engine `pymc`: it agrees with `exact`, whatever is sampled together, and says when it went wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from mlflow_sensie.inference import (
    Draws,
    MagnitudeGrid,
    Prior,
    Priors,
    Regression,
    ScoreScale,
    exact,
    perturbation_test,
    property_span,
    property_test,
)
from mlflow_sensie.inference.pymc_engine import Convergence, Sampling, posterior_of, sample

PROBABILITY = ScoreScale(0, 1, "probability")
POINTS = ScoreScale(None, None, "points")
QUICK: dict[str, Any] = {"draws": 500, "tune": 500, "chains": 2}


def of_property(rng: np.random.Generator, n: int, scale: ScoreScale = PROBABILITY) -> Regression:
    p = 1e6 + 3 * rng.random(n)
    y = np.clip(0.8 - 0.05 * (p - 1e6) + 0.2 * rng.normal(size=n), 0, 1)
    y = y if scale.bounded else 500 + 100 * y
    return property_test(p, y, scale, span=property_span(p)).regression


def of_sweep(rng: np.random.Generator, n: int) -> tuple[Regression, ...]:
    distances = np.array([0, 1, 0.5, 0.5, 1])
    rows = np.clip(0.9 - rng.uniform(0, 0.4, (n, 1)) * distances + 0.01 * rng.normal(size=(n, 5)), 0, 1)
    return perturbation_test(rows, MagnitudeGrid.of([-1, -0.5, 0.5, 1], 0.0), PROBABILITY).regressions


def together(rng: np.random.Generator) -> dict[str, Regression]:
    """Give six property tests and the four sides of two sweeps, of every size, unit and noise."""
    found = {f"property {n}": of_property(rng, n) for n in (12, 60, 1000, 100_000)}
    found["points"] = of_property(rng, 80, POINTS)
    found["hardly any noise"] = replace(of_property(rng, 200), rest=200 * 1e-12)
    for n in (15, 400):
        found |= {f"sweep {n}{side}": each for side, each in zip("<>", of_sweep(rng, n), strict=True)}
    return found


def check(effects: Sequence[Draws], sampling: Sampling, regressions: Mapping[str, Regression], priors: Priors) -> None:
    """Compare quantiles with those of `exact`, as probabilities, within four Monte Carlo standard errors."""
    for found, expected, went in zip(effects, exact(list(regressions.values()), priors), sampling.tests, strict=True):
        for q in (0.025, 0.25, 0.5, 0.75, 0.975):
            error = np.sqrt(q * (1 - q) / min(went.ess_bulk, went.ess_tail))
            assert expected.prob_below(found.quantile(q)) == pytest.approx(q, abs=4 * error), (went, q)
        assert found.scale == pytest.approx(expected.scale, rel=0.15)


OTHERS = Priors(Prior("normal", 0.3, 0.5), Prior("normal", 0.2, 0.1), Prior("half_student_t", 0.2, df=4.0))


@pytest.mark.slow
@pytest.mark.parametrize("priors", [Priors(), OTHERS], ids=["Sensie's", "others"])
def test_ten_tests_at_once_agree_with_exact(priors: Priors, rng: np.random.Generator) -> None:
    pytest.importorskip("pymc")
    regressions = together(rng)
    effects, sampling, _ = sample(regressions, priors, seed=1)
    check(effects, sampling, regressions, priors)
    assert sampling.warnings == ()
    assert [each.name for each in sampling.tests] == list(regressions)


@pytest.mark.parametrize("which", ["property", "sweep"])
def test_one_test_agrees_with_exact(which: str, rng: np.random.Generator) -> None:
    pytest.importorskip("pymc")
    regression = of_property(rng, 40) if which == "property" else of_sweep(rng, 40)[1]
    effects, sampling, data = sample({"one": regression}, Priors(), **QUICK)
    check(effects, sampling, {"one": regression}, Priors())
    draws = posterior_of(data)
    assert draws["effect"].shape == (2, 500, 1) and ("intercept" in draws) is (which == "property")
    per_unit = draws["slope"] * regression.length
    np.testing.assert_allclose(per_unit, draws["effect"])
    noise = np.sqrt(regression.rest / 38)
    assert float(draws["noise"].median()) == pytest.approx(noise, rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["student_t", "laplace"])
def test_priors_that_are_not_normal(family: str, rng: np.random.Generator) -> None:
    """Where few data meet a strong prior: against the sum over a lattice."""
    pytest.importorskip("pymc")
    regression = of_sweep(rng, 8)[0]
    prior = Prior(family, 0.05, 0.1, df=3.0 if family == "student_t" else None)
    beta, sigma = np.linspace(-1, 0.6, 3201)[:, None], np.exp(np.linspace(-6, 1, 400))
    log = stats.t(3, 0.1, 0.05).logpdf(beta) if family == "student_t" else stats.laplace(0.1, 0.05).logpdf(beta)
    joint = log + stats.halfcauchy.logpdf(sigma, scale=3) + np.log(sigma) - 8 * np.log(sigma)
    joint = joint - (regression.rest + 8 * (beta - regression.effect) ** 2) / (2 * sigma**2)
    cdf = np.cumsum(np.exp(joint - joint.max()).sum(1))
    (effect,), _, _ = sample({"one": regression}, Priors(slope=prior), seed=2)
    for q in (0.025, 0.25, 0.5, 0.75, 0.975):
        place = np.interp(effect.quantile(q), beta.ravel(), cdf / cdf[-1])
        assert place == pytest.approx(q, abs=4 * np.sqrt(q * (1 - q) / 2000))


@pytest.mark.slow
def test_a_seed_gives_the_same_draws_again(rng: np.random.Generator) -> None:
    pytest.importorskip("pymc")
    regression = {"one": of_sweep(rng, 30)[0]}
    one, same, other = (sample(regression, Priors(), **QUICK, seed=seed)[0] for seed in (3, 3, 4))
    assert one == same != other


# ------------------------------------------------------------ what is said of it

FINE = Convergence("fine", 1.001, 3000, 2500)


@pytest.mark.parametrize(
    ("sampling", "phrases"),
    [
        (Sampling(1000, 4, 0, (FINE,)), []),
        (Sampling(1000, 4, 3, (FINE,)), ["diverged in 3 of 4000 draws", "raise inference.target_accept"]),
        (
            Sampling(1000, 4, 0, (FINE, Convergence("a", 1.02, 900, 900))),
            ["R-hat above 1.01) for a:", "inference.tune"],
        ),
        (Sampling(1000, 4, 0, (Convergence("a", float("nan"), 900, 900),)), ["chains disagree"]),
        (Sampling(1000, 4, 0, (Convergence("b", 1.0, 500, 399), FINE)), ["fewer than 400 effective draws for b:"]),
    ],
)
def test_what_went_wrong_is_said_with_its_remedy(sampling: Sampling, phrases: list[str]) -> None:
    text = "; ".join(sampling.warnings)
    assert [phrase for phrase in phrases if phrase not in text] == [], text
    assert bool(phrases) is bool(text)


def test_the_diagnostics_survive_json() -> None:
    pydantic = pytest.importorskip("pydantic")
    adapter: Any = pydantic.TypeAdapter(Sampling)
    sampling = Sampling(1000, 4, 1, (FINE,))
    assert json.loads(adapter.dump_json(sampling))["tests"][0]["r_hat"] == 1.001
    assert adapter.validate_json(adapter.dump_json(sampling)) == sampling
