"""Property tests: the slope on a property or on its rank, and what no confidence announced."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import expit
from scipy.stats import rankdata

from mlflow_sensie.inference import Ranks, property_span, property_test
from study import COVERAGE, LOSS, UNBOUNDED, Array, Rng, Row, Scenario, Table, beta, collect, flip, large
from study.methods import by_exact, guarded, plain_hc2, sensie_model


def normal(rng: Rng, n: int) -> tuple[Array, ...]:
    """A normal property and normal noise."""
    p = rng.normal(size=n)
    return p, 0.5 - 0.1 * p + 0.2 * rng.normal(size=n)


def beta_scores(rng: Rng, n: int) -> tuple[Array, ...]:
    """Probabilities that fall with p."""
    p = rng.random(n)
    return p, beta(rng, 0.8 - 0.2 * p)


def zero_one(rng: Rng, n: int) -> tuple[Array, ...]:
    """Correctness that falls with p."""
    p = rng.random(n)
    return p, flip(rng, 0.85 - 0.2 * p)


def zero_one_skewed(rng: Rng, n: int) -> tuple[Array, ...]:
    """Correctness, a skewed property."""
    p = rng.gamma(2.0, size=n)
    return p, flip(rng, expit(2.0 - 0.3 * p))


def noise_grows(rng: Rng, n: int) -> tuple[Array, ...]:
    """Noise that grows with p."""
    p = rng.random(n)
    return p, 0.5 - 0.2 * p + (0.02 + 0.3 * p) * rng.normal(size=n)


def noise_middle(rng: Rng, n: int) -> tuple[Array, ...]:
    """Noise in the middle of p only."""
    p = rng.random(n)
    return p, 0.5 - 0.2 * p + 0.3 * (np.abs(p - 0.5) < 0.2) * rng.normal(size=n)


def t3_property(rng: Rng, n: int) -> tuple[Array, ...]:
    """A heavy-tailed property whose noise grows outwards."""
    p = rng.standard_t(3, size=n)
    return p, 0.5 - 0.05 * p + 0.1 * (0.5 + np.abs(p)) * rng.normal(size=n)


def failures(share: float) -> Callable[[Rng, int], tuple[Array, ...]]:
    """Give a draw in which this share fails whatever p is."""
    return lambda rng, n: (rng.random(n), flip(rng, np.full(n, 1 - share)))


def flagged(count: int, scores: str = "zero_one") -> Callable[[Rng, int], tuple[Array, ...]]:
    """Give a draw with a flag without effect on `count` rows."""

    def draw(rng: Rng, n: int) -> tuple[Array, ...]:
        p = np.zeros(n)
        p[: min(count, n - 1)] = 1
        return p, flip(rng, np.full(n, 0.9)) if scores == "zero_one" else rng.normal(size=n)

    return draw


def ranks(rng: Rng, n: int) -> tuple[Array, ...]:
    """Discrete scores: 1, 1/2, 1/3, 0."""
    p = rng.random(n)
    return p, np.array([1, 0.5, 1 / 3, 0])[np.digitize(rng.random(n), [0.7, 0.85, 0.95])]


def ties(rng: Rng, n: int) -> tuple[Array, ...]:
    """Seven in ten property values are 0."""
    p = np.where(rng.random(n) < 0.7, 0.0, rng.exponential(size=n))
    return p, flip(rng, expit(2.2 - 0.4 * p))


def u_shape(rng: Rng, n: int) -> tuple[Array, ...]:
    """A U-shape, about which the best line still has a slope."""
    p = rng.random(n)
    return p, beta(rng, 0.9 - 1.6 * (p - 0.4) ** 2)


def saturated(rng: Rng, n: int) -> tuple[Array, ...]:
    """A confident model: nearly all probabilities are 1, a few are close to 0."""
    p = rng.random(n)
    return p, expit(6 - p + 3 * rng.normal(size=n))


def lognormal_property(rng: Rng, n: int) -> tuple[Array, ...]:
    """A lognormal property with a few far values and no effect."""
    return np.exp(rng.normal(size=n)), flip(rng, np.full(n, 0.8))


def squared_error(rng: Rng, n: int) -> tuple[Array, ...]:
    """Negative squared errors, whose tail is long."""
    p = rng.random(n)
    return p, -(((0.3 + 0.4 * p) * rng.normal(size=n)) ** 2)


def cliff(rng: Rng, n: int) -> tuple[Array, ...]:
    """Correct up to the last tenth of p, then half of the time."""
    p = rng.random(n)
    return p, flip(rng, np.where(p > 0.9, 0.5, 0.99))


def constant(rng: Rng, n: int) -> tuple[Array, ...]:
    """Every score is 1."""
    return rng.random(n), np.ones(n)


def calibrated(rng: Rng, n: int) -> tuple[Array, ...]:
    """A calibrated binary model: it is less sure where p is high and says so."""
    p = rng.random(n)
    q = expit((3 - 2.5 * p) * rng.normal(size=n))
    right = rng.random(n) < q
    return p, np.where(right, q, 1 - q), q * q + (1 - q) ** 2


PROPERTY = [
    Scenario("normal", 500, normal, UNBOUNDED, -0.1),
    Scenario("Beta", 500, beta_scores, truth=-0.2),
    Scenario("0/1", 500, zero_one, truth=-0.2),
    Scenario("0/1, skewed p", 500, zero_one_skewed),
    Scenario("noise grows with p", 500, noise_grows, UNBOUNDED, -0.2),
    Scenario("noise in the middle", 500, noise_middle, UNBOUNDED, -0.2),
    Scenario("t3 property, heteroscedastic", 500, t3_property, UNBOUNDED, -0.05),
    *(Scenario("1.5 % failures", n, failures(0.015), truth=0.0) for n in (60, 200, 500, 2000)),
    *(
        Scenario(f"flag on {k}, no effect", n, flagged(k), truth=0.0)
        for k, n in ((5, 500), (25, 500), (20, 2000), (60, 2000))
    ),
    Scenario("one flagged row, normal", 500, flagged(1, "normal"), UNBOUNDED, 0.0),
    Scenario("5 % failures", 60, failures(0.05), truth=0.0),
    Scenario("5 % failures", 200, failures(0.05), truth=0.0),
    Scenario("10 % failures", 60, failures(0.1), truth=0.0),
    Scenario("20 % failures", 60, failures(0.2), truth=0.0),
    Scenario("discrete ranks", 100, ranks, truth=0.0),
    Scenario("Beta, N = 30", 30, beta_scores, truth=-0.2),
    Scenario("all scores equal", 100, constant, truth=0.0),
    Scenario("heavy ties", 200, ties),
    Scenario("U-shape", 200, u_shape),
    Scenario("saturated", 100, saturated),
    Scenario("saturated", 500, saturated),
    Scenario("lognormal p, 0/1", 200, lognormal_property, truth=0.0),
    Scenario("squared error", 200, squared_error, LOSS),
    Scenario("cliff in the last tenth", 200, cliff),
    Scenario("cliff in the last tenth", 60, cliff),
]


def steep(rng: Rng, n: int) -> tuple[Array, ...]:
    """A steep effect with hardly any noise, of a skewed property: what is uncertain are the ranks."""
    u = rng.random(n)
    return u**5, 0.2 + 0.6 * u + 0.03 * rng.normal(size=n)


def counted(rng: Rng, n: int) -> tuple[Array, ...]:
    """A steep effect of a count, whose values are shared by many."""
    p = rng.poisson(2, n).astype(float)
    return p, 0.9 - 0.1 * p + 0.02 * rng.normal(size=n)


def t2_property(rng: Rng, n: int) -> tuple[Array, ...]:
    """A very heavy-tailed property, whose effect levels off."""
    p = rng.standard_t(2, size=n)
    return p, beta(rng, 0.6 - 0.25 * np.tanh(p))


RANK = [
    *(Scenario("t2 property", n, t2_property) for n in (60, 200, 2000)),
    Scenario("t3 property, heteroscedastic", 500, t3_property, UNBOUNDED),
    Scenario("lognormal p, no effect, 0/1", 200, lognormal_property),
    Scenario("heavy ties, 0/1", 200, ties),
    Scenario("U-shape", 200, u_shape),
    *(Scenario("steep, little noise", n, steep, UNBOUNDED) for n in (60, 500)),
    *(Scenario("a count, little noise", n, counted, UNBOUNDED) for n in (60, 500)),
    Scenario("1.5 % failures", 200, failures(0.015)),
]


UNEXPECTED = [Scenario("calibrated model", n, calibrated, truth=0.0) for n in (60, 500, 4000)]


def property_methods(scenario: Scenario, data: tuple[Array, ...]) -> dict[str, list[float]]:
    """Give each method's intervals of the slope per unit of p, and whether the guard acted."""
    p, y = data[:2]
    span = property_span(p)
    width = span[1] - span[0]
    fit = property_test(p, y, scenario.scale, span=span)
    s = fit.slope
    return {
        "robust": [s.lo50, s.hi50, s.lo95, s.hi95, guarded(fit)],
        "exact": by_exact(fit),
        "plain HC2": plain_hc2(p, y),
        "Sensie's model": [x / width for x in sensie_model((p - p.mean()) / width, y)],
    }


def shares(p: Array) -> Array:
    """Give the mid-ranks of p as shares of the examples."""
    return (rankdata(p) - 0.5) / len(p)


def rank_methods(scenario: Scenario, data: tuple[Array, ...]) -> dict[str, list[float]]:
    """Give the intervals of the slope on the rank, with and without its own noise, and of that on p."""
    p, y = data[:2]
    share, span, ranks = shares(p), property_span(p), Ranks.of(p)
    fits = {
        "rank": property_test(p, y, scenario.scale, span=span, ranks=ranks),
        "rank, taken as known": property_test(share, y, scenario.scale, span=ranks.span),
        "p itself": property_test(p, y, scenario.scale, span=span),
    }
    found = {name: (fit.slope, float("few_informative" in fit.flags)) for name, fit in fits.items()}
    return {name: [s.lo50, s.hi50, s.lo95, s.hi95, few] for name, (s, few) in found.items()}


def unexpected_methods(scenario: Scenario, data: tuple[Array, ...]) -> dict[str, list[float]]:
    """Give the intervals of the unexpected part."""
    p, y, expected = data
    fit = property_test(p, y, scenario.scale, expected=expected, span=property_span(p))
    found = fit.unexpected
    assert found is not None
    return {"robust, unexpected": [found.lo50, found.hi50, found.lo95, found.hi95]}


def study_property(scenario: Scenario, sets: int) -> list[Row]:
    """Cover the slope of a property."""
    truth = scenario.truth
    if truth is None:
        p, y = large(scenario)[:2]
        truth = float(np.cov(p, y)[0, 1] / p.var(ddof=1))
    return collect(scenario, sets, property_methods, lambda method: truth)


def study_rank(scenario: Scenario, sets: int) -> list[Row]:
    """Cover the population's slope on the rank, and the one on p."""
    p, y = large(scenario)[:2]
    slopes = {name: float(np.cov(x, y)[0, 1] / x.var(ddof=1)) for name, x in (("rank", shares(p)), ("p", p))}
    return collect(scenario, sets, rank_methods, lambda method: slopes[method.split(",")[0].split()[0]])


def study_unexpected(scenario: Scenario, sets: int) -> list[Row]:
    """Cover the unexpected part of a calibrated model, which is 0."""
    return collect(scenario, sets, unexpected_methods, lambda method: 0.0)


TABLES: list[Table] = [
    ("Property test: slope", PROPERTY, study_property, COVERAGE),
    ("Slope on the rank", RANK, study_rank, COVERAGE),
    ("Unexpected, of a calibrated model", UNEXPECTED, study_unexpected, COVERAGE),
]
