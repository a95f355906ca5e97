"""Two models on the same examples: how often their differences hold the truth, and how often a worse one passes.

A scenario draws both models' sweeps (N, 11) over U and a group for
each example; the truths come from one very large draw.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit, ndtr, ndtri

from mlflow_sensie.comparison.contrasts import Joint, paired, property_differences, unpaired
from mlflow_sensie.comparison.difference import CurveDifference, Difference
from mlflow_sensie.comparison.groups import GroupPair
from mlflow_sensie.comparison.sweeps import SweepPair, contrasts_of
from mlflow_sensie.inference import ScoreScale, property_span, property_test
from mlflow_sensie.inference.grid import MagnitudeGrid
from mlflow_sensie.inference.holds_until import Floor
from mlflow_sensie.inference.weights import AS_THEY_ARE
from study import LOSS, PROBABILITY, Array, Rng, Row, U

Two = tuple[Array, Array]
LINE = MagnitudeGrid.of(U[1:].tolist(), 0.0)
TOWARDS = np.array([0, 1, 0.8, 0.6, 0.4, 0.2, -0.2, -0.4, -0.6, -0.8, -1])
TWO_SIDES = MagnitudeGrid.of([-1, -0.8, -0.6, -0.4, -0.2, 0.2, 0.4, 0.6, 0.8, 1], 0.0)
LARGE = 200_000
CHANGES = ScoreScale(-1.0, 1.0, "probability")


@dataclass(frozen=True)
class Pair:
    """A way to draw two models: `draw(rng, n)` gives the scores of A and of B, each (n, ...)."""

    name: str
    n: int
    draw: Callable[[Rng, int], Two]
    scale: ScoreScale = PROBABILITY
    sweep: MagnitudeGrid = LINE
    truth: float | None = None


def correlated(rng: Rng, n: int, rho: float) -> Two:
    """Two uniform numbers per example that go together."""
    a, b = rng.normal(size=(2, n, 1))
    return ndtr(a), ndtr(rho * a + np.sqrt(1 - rho**2) * b)


# ---------------------------------------------------------------- sweeps


def smooth(rho: float, worse: float = 0.1) -> Callable[[Rng, int], Two]:
    """Each example falls at a distance of its own, B's somewhat earlier."""

    def draw(rng: Rng, n: int) -> Two:
        (a, b), level = correlated(rng, n, rho), rng.beta(9, 1, size=(n, 1))
        falls = 0.2 + 1.2 * a, 0.2 + 1.2 * b - worse
        return level * expit((falls[0] - U) / 0.05), level * expit((falls[1] - U) / 0.05)

    return draw


def hard(rho: float, share: float = 0.6, worse: float = 0.1) -> Callable[[Rng, int], Two]:
    """Correctness: this share of the examples is lost at a distance of its own, in B earlier."""

    def draw(rng: Rng, n: int) -> Two:
        a, b = correlated(rng, n, rho)
        return (a / share > U).astype(float), (b / share - worse > U).astype(float)

    return draw


def losses(share: float) -> Callable[[Rng, int], Two]:
    """A gets everything right; B loses this share of the examples, clean and under every magnitude past .3."""

    def draw(rng: Rng, n: int) -> Two:
        lost = rng.random((n, 1)) < share
        return np.ones((n, 11)), np.where(lost & ((U > 0.3) | (U == 0)), 0.0, 1.0)

    return draw


def rare(share: float) -> Callable[[Rng, int], Two]:
    """Both fall steadily on a few examples, mostly the same."""

    def draw(rng: Rng, n: int) -> Two:
        a, b = correlated(rng, n, 0.8)
        return 1 - (a < share) * U, 1 - (b < 1.5 * share) * U

    return draw


def only_b_falls(rng: Rng, n: int) -> Two:
    """A has no effect at all, only noise, as B has around its fall."""
    shared, a, b = rng.normal(size=(3, n, 11))
    level = 0.7 + 0.06 * rng.normal(size=(n, 1))
    return level + 0.05 * (shared + 0.3 * a), level - 0.04 * U + 0.05 * (shared + 0.3 * b)


def long_tails(rng: Rng, n: int) -> Two:
    """Losses whose growth is lognormal between examples."""
    growth, base = rng.normal(size=(n, 1)), -0.2 * rng.exponential(size=(n, 1))
    a, b = (np.exp(0.9 * growth + 0.44 * rng.normal(size=(n, 1))) for _ in range(2))
    return base - 0.1 * a * U, base - 0.12 * b * U


def two_sides(below: float, above: float, *, worse: tuple[float, float]) -> Callable[[Rng, int], Two]:
    """Both sides fall by so much, B's by so much more."""

    def draw(rng: Rng, n: int) -> Two:
        level, shared = 0.85 + 0.05 * rng.normal(size=(n, 1)), rng.normal(size=(n, 11))
        falls = (below, above), (below + worse[0], above + worse[1])
        curves = [-low * np.maximum(TOWARDS, 0) - high * np.maximum(-TOWARDS, 0) for low, high in falls]
        a, b = (level + curve + 0.04 * (shared + 0.4 * rng.normal(size=(n, 11))) for curve in curves)
        return a, b

    return draw


SWEEPS = [
    *(Pair("thresholds, ρ = .9", n, smooth(0.9)) for n in (60, 200, 1000)),
    Pair("thresholds, ρ = .3", 200, smooth(0.3)),
    Pair("thresholds, no difference", 200, smooth(0.9, 0.0)),
    *(Pair("0/1 thresholds, ρ = .9", n, hard(0.9)) for n in (60, 200, 1000)),
    Pair("0/1, 15 % lost", 200, hard(0.9, 0.15)),
    *(Pair("0/1, only losses, 5 %", n, losses(0.05)) for n in (60, 240)),
    *(Pair("0/1, only losses, 2 %", n, losses(0.02)) for n in (100, 240, 1000)),
    *(Pair("2 % and 3 % change", n, rare(0.02)) for n in (100, 400)),
    Pair("10 % and 15 % change", 100, rare(0.1)),
    *(Pair("only B falls", n, only_b_falls) for n in (60, 200)),
    Pair("long-tailed losses", 200, long_tails, LOSS),
    Pair("two sides, both .1, B worse below", 100, two_sides(0.1, 0.1, worse=(0.05, 0.0)), sweep=TWO_SIDES),
    Pair("two sides, .3 and .1, B worse below", 100, two_sides(0.3, 0.1, worse=(0.05, 0.03)), sweep=TWO_SIDES),
    Pair("two sides, no effect, B worse both", 100, two_sides(0.0, 0.0, worse=(0.04, 0.04)), sweep=TWO_SIDES),
]


def sweep_pair(pair: Pair, a: Array, b: Array, *, together: bool = True) -> SweepPair:
    """Sum two models' sweeps, on the same examples or taken for independent."""
    reach = 0.0, 1.0
    if not pair.scale.bounded:
        reach = float(min(a.min(), b.min())), 0.0
    return SweepPair(pair.sweep, joint_of(a, b, contrasts_of(pair.sweep), reach, together=together), reach)


def joint_of(a: Array, b: Array, contrasts: Array, reach: tuple[float, float], *, together: bool) -> Joint:
    """Estimate contrasts of two models' scores, on the same examples or taken for independent."""
    return paired(np.hstack([a, b - a]), contrasts, reach) if together else unpaired(a, b, contrasts, reach)


def differences(pair: Pair, a: Array, b: Array, rng: Rng, *, together: bool = True) -> dict[str, Difference]:
    """Give the differences of a sweep, and that of the clean scores."""
    found = sweep_pair(pair, a, b, together=together)
    floor = Floor.of(0.1, pair.scale.fractional)
    clean = joint_of(a[:, :1], b[:, :1], np.eye(1), found.reach, together=together)
    return {
        "clean_score": clean.difference("clean_score", 0, rising=True),
        **found.differences(found.holding(floor), rng),
    }


def truth_of(pair: Pair) -> tuple[dict[str, float], dict[str, float], Array]:
    """Give the true differences, the true losses, and the true difference of the curves."""
    draws = [pair.draw(np.random.default_rng([12345, k]), LARGE) for k in range(10)]
    a, b = (np.mean([each[side].mean(0) for each in draws], axis=0) for side in (0, 1))
    exact = differences(pair, np.tile(a, (4000, 1)), np.tile(b, (4000, 1)), np.random.default_rng(0))
    value = {name: each.b - each.a for name, each in exact.items()}
    sizes = {"effect": _largest_effect(pair, b) - _largest_effect(pair, a)}
    signs = {"clean_score": -1, "mean_drop": 1, "holds_until": -1}
    loss = {name: sizes.get(name, signs.get(name, 1) * each) for name, each in value.items()}
    return value, loss, b - a


def _largest_effect(pair: Pair, curve: Array) -> float:
    sides = len(pair.sweep.sides)
    return float(np.abs(curve @ contrasts_of(pair.sweep)[:, :sides]).max())


def _rng(pair: Pair, k: int) -> Rng:
    return np.random.default_rng([zlib.crc32(f"{pair.name} {pair.n}".encode()), k])


METRICS = ("clean_score", "mean_drop", "effect", "holds_until")


def study_sweeps(pair: Pair, sets: int) -> list[Row]:
    """Cover each difference, and count how often B passes whose loss is exactly the margin."""
    truth, loss, _ = truth_of(pair)
    found: dict[str, list[list[float]]] = {metric: [] for metric in METRICS}
    for k in range(sets):
        a, b = pair.draw(_rng(pair, k), pair.n)
        together, apart = (differences(pair, a, b, _rng(pair, k), together=one) for one in (True, False))
        for metric in METRICS:
            found[metric].append(_figures(together[metric], apart[metric], truth[metric], loss[metric]))
    return [Row(pair.name, pair.n, metric, np.mean(found[metric], axis=0).tolist()) for metric in METRICS]


def _figures(one: Difference, other: Difference, truth: float, loss: float) -> list[float]:
    """Give coverage at 50 and 95 %, width, width unpaired, passes at the margin, failures at it, and guarded."""
    d, tiny = one.difference, 1e-9
    wide = other.difference.hi95 - other.difference.lo95
    return [
        d.lo50 - tiny <= truth <= d.hi50 + tiny,
        d.lo95 - tiny <= truth <= d.hi95 + tiny,
        d.hi95 - d.lo95,
        wide,
        one.prob_worse_by_at_most(loss - tiny) >= 0.95,
        one.prob_worse_by_more(loss + tiny) >= 0.95,
        one.few_informative,
    ]


def study_bands(pair: Pair, sets: int) -> list[Row]:
    """Cover the whole difference of the curves, by the band and by its points' own intervals."""
    truth = truth_of(pair)[2]
    order = np.argsort([pair.sweep.neutral or 0.0, *pair.sweep.magnitudes])
    found = []
    for k in range(sets):
        a, b = pair.draw(_rng(pair, k), pair.n)
        one = sweep_pair(pair, a, b)
        band = one.curve(_rng(pair, k))
        low, high = np.array([one.joint.points[column].posterior.interval() for column in order]).T
        own = replace(band, lo95=tuple(low), hi95=tuple(high))
        width = np.mean(np.array(band.hi95) - np.array(band.lo95)), np.mean(high - low)
        found.append([_inside(band, truth[order]), _inside(own, truth[order]), *width])
    return [Row(pair.name, pair.n, "curve", np.mean(found, axis=0).tolist())]


def _inside(band: CurveDifference, truth: Array) -> bool:
    low, high = np.array(band.lo95), np.array(band.hi95)
    return bool(np.all((low - 1e-9 <= truth) & (truth <= high + 1e-9)))


POWER = [Pair("thresholds, ρ = .9, a little worse", n, smooth(0.9, 0.03)) for n in (100, 200, 500)]


def study_power(pair: Pair, sets: int) -> list[Row]:
    """Count how often B is found to be less robust, and the correlation of the examples' mean drops."""
    found = []
    drop = contrasts_of(pair.sweep)[:, len(pair.sweep.sides)]
    for k in range(sets):
        a, b = pair.draw(_rng(pair, k), pair.n)
        both = [sweep_pair(pair, a, b, together=one).mean_drop().difference for one in (True, False)]
        ratio = (both[0].hi95 - both[0].lo95) / (both[1].hi95 - both[1].lo95)
        found.append([both[0].lo95 > 0, both[1].lo95 > 0, np.corrcoef(a @ drop, b @ drop)[0, 1], ratio])
    mean = np.mean(found, axis=0)
    return [Row(pair.name, pair.n, "mean_drop", [*mean.tolist(), float(np.sqrt(1 - mean[2]))])]


# ---------------------------------------------------------------- properties: the first column is p


def slopes(own: float, more: float, *, flip: bool, rho: float = 0.9) -> Callable[[Rng, int], Two]:
    """The score falls with p by `own` for A, and by `more` again for B; correctness where `flip`."""

    def draw(rng: Rng, n: int) -> Two:
        p = rng.random((n, 1))
        means = 0.85 - own * p, 0.85 - (own + more) * p
        a, b = correlated(rng, n, rho)
        if flip:
            scores = [(u < mean).astype(float) for u, mean in zip((a, b), means, strict=True)]
        else:
            scores = [mean + 0.1 * (u - 0.5) for u, mean in zip((a, b), means, strict=True)]
        return np.hstack([p, scores[0]]), np.hstack([p, scores[1]])

    return draw


def few_lost(share: float) -> Callable[[Rng, int], Two]:
    """A gets everything right; B loses this share, more where p is large."""

    def draw(rng: Rng, n: int) -> Two:
        p, u = rng.random((n, 1)), rng.random((n, 1))
        return np.hstack([p, np.ones((n, 1))]), np.hstack([p, (u >= 2 * share * p).astype(float)])

    return draw


PROPERTIES = [
    *(Pair("falls .2, B .3, 0/1", n, slopes(0.2, 0.1, flip=True)) for n in (60, 500)),
    Pair("falls .2, B .3", 60, slopes(0.2, 0.1, flip=False)),
    Pair("A none, B .1, 0/1", 500, slopes(0.0, 0.1, flip=True)),
    *(Pair("A none, B .03", n, slopes(0.0, 0.03, flip=False)) for n in (60, 200)),
    *(Pair("only losses, 3 %", n, few_lost(0.03)) for n in (100, 500)),
]


def study_properties(pair: Pair, sets: int) -> list[Row]:
    """Cover the difference of effects, and count passes at the margin."""
    p, q = pair.draw(np.random.default_rng(12345), LARGE)
    own, other = (float(np.cov(each.T)[0, 1] / each[:, 0].var(ddof=1)) for each in (p, q))
    found = []
    for k in range(sets):
        a, b = pair.draw(_rng(pair, k), pair.n)
        span = property_span(a[:, 0])
        width = span[1] - span[0]
        fits = [property_test(t[:, 0], t[:, 1], pair.scale, span=span) for t in (a, b)]
        both = property_test(a[:, 0], b[:, 1] - a[:, 1], CHANGES, span=span)
        one, apart = (property_differences(*fits, each, _rng(pair, k))["effect"] for each in (both, None))
        found.append(_figures(one, apart, (other - own) * width, (abs(other) - abs(own)) * width))
    return [Row(pair.name, pair.n, "effect", np.mean(found, axis=0).tolist())]


# ---------------------------------------------------------------- spreads: draws give (K, each) scores


def grouped(a: Array, b: Array, *, flip: bool, rho: float = 0.9) -> Callable[[Rng, int], Two]:
    """Groups with these true means for A and B (K,)."""

    def draw(rng: Rng, n: int) -> Two:
        each = n // len(a)
        one, two = (u.reshape(len(a), each) for u in correlated(rng, len(a) * each, rho))
        if flip:
            return (one < a[:, None]).astype(float), (two < b[:, None]).astype(float)
        return a[:, None] + 0.1 * ndtri(one), b[:, None] + 0.1 * ndtri(two)

    return draw


def pattern(k: int) -> Array:
    """K numbers of mean 0 and SD 1."""
    x = np.random.default_rng(1).normal(size=k)
    return np.asarray((x - x.mean()) / x.std(ddof=1))


def _spreads() -> list[Pair]:
    out = []
    for k, each in ((2, 100), (3, 60), (10, 30), (10, 200), (50, 30)):
        p, other = pattern(k), np.roll(pattern(k), 1)
        for name, a, b in (
            ("none, none", 0 * p, 0 * p),
            ("none, .04", 0 * p, 0.04 * p),
            (".02, .04", 0.02 * p, 0.04 * p),
            (".04, .04 elsewhere", 0.04 * p, 0.04 * other),
            (".06, .02", 0.06 * p, 0.02 * p),
        ):
            for flip in (True, False):
                means = [np.clip(0.85 + each_of, 0.02, 0.98) if flip else 0.5 + each_of for each_of in (a, b)]
                kind = "0/1" if flip else "normal"
                out.append(_groups(f"SD {name}, {kind}, {k} × {each}", each, means[0], means[1], flip=flip))
    for k, each, well, ill in ((10, 30, 0.9, 0.6), (10, 30, 0.97, 0.8), (10, 60, 0.97, 0.8), (10, 200, 0.99, 0.9)):
        a, b = np.full(k, well), np.full(k, well)
        b[3] = ill
        out.append(_groups(f"one group {well} → {ill}, {k} × {each}", each, a, b, flip=True))
    return out


def _groups(name: str, each: int, a: Array, b: Array, *, flip: bool) -> Pair:
    truth = float(b.std(ddof=1) - a.std(ddof=1))
    return Pair(name, len(a) * each, grouped(a, b, flip=flip), truth=truth)


SPREADS = _spreads()


def study_spreads(pair: Pair, sets: int) -> list[Row]:
    """Cover the difference of the SDs between groups."""
    truth = pair.truth
    assert truth is not None
    found = []
    for k in range(sets):
        a, b = pair.draw(_rng(pair, k), pair.n)
        group = np.repeat(np.arange(len(a)), a.shape[1])
        sides = [(group, scores.ravel(), AS_THEY_ARE) for scores in (a, b)]
        pairs = (GroupPair.of(pair.n, *sides, len(a), 1.0, paired=paired) for paired in (True, False))
        one, other = (both.spread(_rng(pair, k)) for both in pairs)
        found.append(_figures(one, other, truth, truth))
    return [Row(pair.name, pair.n, "spread", np.mean(found, axis=0).tolist())]


FIGURES = ("coverage 50", "coverage 95", "width", "width unpaired", "passes at margin", "fails at margin", "guarded")
TABLES: list[tuple[str, list[Pair], Callable[[Pair, int], list[Row]], tuple[str, ...]]] = [
    ("Two models: differences of sweeps", SWEEPS, study_sweeps, FIGURES),
    ("Two models: differences of properties", PROPERTIES, study_properties, FIGURES),
    ("Two models: differences of spreads", SPREADS, study_spreads, FIGURES),
    ("Two models: band of the curves", SWEEPS, study_bands, ("band", "pointwise", "width", "pointwise width")),
    (
        "Two models: power",
        POWER,
        study_power,
        ("found", "found unpaired", "ρ of drops", "width ratio", "√(1−ρ)"),
    ),
]
