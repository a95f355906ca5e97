"""What rules limit: every quantity with the evidence for a limit, and its standard error. The one table of them."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from scipy.special import chdtrc, ndtri

from mlflow_sensie.comparison import Comparison, Difference
from mlflow_sensie.gate.scope import Case, NotJudged, has_metric
from mlflow_sensie.inference import (
    AnyPosterior,
    CategoryFit,
    GuardedEstimate,
    PerturbationFit,
    Posterior,
    PropertyFit,
    SkewedT,
    Spread,
)
from mlflow_sensie.inference.holds_until import HoldsUntil
from mlflow_sensie.inference.metric_fits import MetricEstimate
from mlflow_sensie.inference.weights import FloatArray
from mlflow_sensie.recipe.rules import CLEAN, DROP, metric_of, rule_quantity
from mlflow_sensie.result import Result, TestResult
from mlflow_sensie.result.keys import SKILL

FEW = "few examples are informative: judged by the guarded interval"
FEW_OF_A_CLASS = "a class has fewer than ten examples, so that no coverage is promised"
FEW_LEVELS = 5
MOST_TIMES = 1000
RATIOS = (SKILL, "r2")  # 1 less a ratio of errors


@dataclass(frozen=True)
class Evidence:
    """What is known of what a rule limits, in the quantity's unit.

    ``kept`` and ``broken`` are the probabilities that the rule is, which may leave room between them; ``n`` examples
    tell it. ``times`` gives for a confidence how many times the examples would settle it, None where no number would.
    """

    value: float
    lo95: float | None
    hi95: float | None
    kept: float
    broken: float
    n: int
    warnings: tuple[str, ...] = ()
    times: Callable[[float], float | None] | None = None

    def n_more(self, confidence: float) -> int | None:
        """How many more examples would about settle the rule, were the estimate to stay where it is.

        Two digits are all that such an estimate has; None beyond a thousand times the examples that there are, where
        the estimate is at the limit.
        """
        factor = self.times(confidence) if self.times else times_to_settle(self.kept, confidence)
        if factor is None or factor > MOST_TIMES:
            return None
        n = max(1, math.ceil(self.n * (factor - 1)))
        unit: int = 10 ** max(0, len(str(n)) - 2)
        return -(-n // unit) * unit


@dataclass(frozen=True)
class GateQuantity:
    """How a quantity of ``recipe.rules.QUANTITIES``, of the same name, is judged.

    ``evidence`` for a limit of the model's own and ``standard_error`` are of a test that has it, or of a result where
    it belongs to the whole evaluation. Against a baseline the comparison's difference of that name is judged.
    ``needs`` says by kind of test what some must have that it is there.
    """

    evidence: Callable[[float, Any], Evidence]
    standard_error: Callable[[Any], float]
    needs: Mapping[str, str] = field(default_factory=dict)


def gather(case: Case) -> Evidence:
    """Find what a rule is judged by, in what it is about.

    Raises:
        NotJudged: the evidence is not there; the message says why.
    """
    quantity, limit, comparison = quantity_of(case), case.rule.limit, case.scope.comparison
    if case.rule.versus is None:
        return quantity.evidence(limit, case.subject)
    difference = case.difference
    if isinstance(comparison, Comparison) and comparison.identical:
        # One model, or two whose every score agrees to the last digit: no difference is known.
        return Evidence(0.0, 0.0, 0.0, 1.0, 0.0, difference.n, comparison.warnings[-1:])
    return _paired(limit, difference)


def quantity_of(case: Case) -> GateQuantity:
    """Give the quantity that a case is about, or raise NotJudged where it does not have it."""
    metric, test = case.rule.metric, case.test
    if case.nothing:
        raise NotJudged(case.nothing)
    if test and not test.ok:
        raise NotJudged(f"test {test.name!r} failed: {test.error}")
    if test and not has_metric(metric, test):
        need = judged_as(metric).needs.get(test.kind)
        why = f" ({need})" if need else ""
        raise NotJudged(f"test {test.name!r}, a {test.kind} test, has no {metric}{why}")
    return judged_as(metric)


# --- how many examples would settle a rule -----------------------------------------------------------------


def times_to_settle(kept: float, confidence: float) -> float | None:
    """Times the examples until P reaches the confidence: the distance to the limit in standard errors grows by √n."""
    distance = abs(float(ndtri(min(max(kept, 1e-300), 1 - 1e-16))))
    return (float(ndtri(confidence)) / distance) ** 2 if distance > 1e-6 else None


def _times_for_paired(limit: float, difference: Difference, confidence: float) -> float | None:
    """As `times_to_settle`, but by how far the bound is from the estimate.

    The probability alone does not tell it where pseudo-examples or the size of an effect push it below .5 although
    the estimate is within the limit.
    """
    value = worse_by(difference)
    if value == limit:
        return None
    loss = difference.loss
    bound = difference.worse_by_at_most(confidence) if value < limit else loss.quantile(1 - confidence)
    return max(1.0, ((bound - value) / (limit - value)) ** 2)


def _times_for_spread(limit: float, means: FloatArray, kept: float, confidence: float) -> float | None:
    """As `times_to_settle`, but None where even exactly known means of so few levels would not settle it.

    Then Σ(m - m̄)²/τ² is χ² with K - 2 degrees of freedom.
    """
    if len(means) < 3 or not limit > 0:
        return None
    known = float(chdtrc(len(means) - 2, float(((means - means.mean()) ** 2).sum()) / limit**2))
    return times_to_settle(kept, confidence) if max(known, 1 - known) >= confidence else None


# --- against a baseline ------------------------------------------------------------------------------------


def worse_by(difference: Difference) -> float:
    """How much worse B is, as estimated."""
    a, b = difference.a, difference.b
    return {"higher": a - b, "lower": b - a, "smaller": abs(b) - abs(a)}[difference.better]


def _paired(limit: float, difference: Difference) -> Evidence:
    value = worse_by(difference)
    # Up to the margin that P answers for: where a guard or the size of an effect decides, it is not the draws' own end.
    low = min(difference.loss.quantile(0.025), value)
    high = max(difference.worse_by_at_most(0.975), value)
    kept, broken = difference.prob_worse_by_at_most(limit), difference.prob_worse_by_more(limit)
    flags = {FEW: difference.few_informative, FEW_OF_A_CLASS: difference.few_of_a_class}
    few = tuple(text for text, raised in flags.items() if raised)
    times = functools.partial(_times_for_paired, limit, difference)
    return Evidence(value, low, high, kept, broken, difference.n, few, times)


# --- of the model itself -----------------------------------------------------------------------------------


def _skewed(posterior: AnyPosterior) -> AnyPosterior | SkewedT:
    """Give the posterior that one-sided claims are made with: for Student's t that with its skewness."""
    return SkewedT.of(posterior) if isinstance(posterior, Posterior) else posterior


def _few(test: TestResult, flag: str = "few_informative") -> tuple[str, ...]:
    return (FEW,) if flag in test.fit.flags else ()


def _any_broken(kept: Sequence[float]) -> float:
    """P(at least one of several is broken), as Bonferroni's inequality bounds it for the surest of them."""
    return max(0.0, 1 - len(kept) * min(kept))


def _clean_known(result: Result) -> GuardedEstimate:
    if result.clean_known is None:
        raise NotJudged("the result does not hold what is known of its clean score; evaluate the model again")
    return result.clean_known


def _clean_score(limit: float, result: Result) -> Evidence:
    known = _clean_known(result)
    posterior = _skewed(known.posterior)
    kept, few = posterior.prob_above(limit), (FEW,) if known.few_informative else ()
    return Evidence(result.clean.value, *posterior.interval(), kept, 1 - kept, result.n, few)


def _estimate(name: str, result: Result) -> MetricEstimate:
    estimate = result.metric_estimates.get(name)
    if estimate is None:
        known = ", ".join(result.metric_estimates) or "none"
        if name == SKILL:
            raise NotJudged("nothing says what no skill scores here, or a constant makes no error")
        raise NotJudged(f"the metric {name!r} is not followed, or undefined here; those that are: {known}")
    return estimate


def _metric(name: str, limit: float, result: Result) -> Evidence:
    """A metric of the clean inputs, greater or smaller being better."""
    estimate = _estimate(name, result)
    if estimate.posterior is None or estimate.interval is None:
        raise NotJudged(f"the metric {name!r} is biased, so that nothing is known of how sure it is")
    posterior = _skewed(estimate.posterior)
    better = rule_quantity(SKILL if name == SKILL else f"{CLEAN}{name}").better
    kept = posterior.prob_above(limit) if better == "higher" else posterior.prob_below(limit)
    few = (FEW_OF_A_CLASS,) if "few_of_a_class" in estimate.flags else ()
    low, high, broken = estimate.interval.lo95, estimate.interval.hi95, 1 - kept
    if name in RATIOS:
        kept = min(kept, _prob_ratio_above(limit, estimate.posterior))
    return Evidence(estimate.value, low, high, kept, broken, estimate.n, few)


def _prob_ratio_above(limit: float, posterior: Posterior) -> float:
    """P(1 - ratio >= limit) by t on the log of the ratio, as the lower end of its interval is.

    By t on the ratio itself a model that is worth exactly a constant passes up to 8 % of the time instead of 5, for
    where its errors happen to be small the constant's own noise looks small as well.
    """
    ratio = 1 - posterior.loc
    if ratio <= 0 or limit >= 1:
        return posterior.prob_above(limit)
    return replace(posterior, loc=ratio * math.log((1 - limit) / ratio)).prob_above(0.0)


def _metric_error(name: str, result: Result) -> float:
    posterior = _estimate(name, result).posterior
    if posterior is None:
        raise NotJudged(f"the metric {name!r} is biased, so that nothing is known of how sure it is")
    return posterior.scale


def _metric_drop(name: str, limit: float, test: TestResult) -> Evidence:
    fit: Any = test.metric_fits[name]
    posterior = _skewed(fit.mean_drop_posterior)
    kept = posterior.prob_below(limit)
    few = (FEW_OF_A_CLASS,) if "few_of_a_class" in fit.flags else ()
    return Evidence(fit.mean_drop.value, fit.mean_drop.lo95, fit.mean_drop.hi95, kept, 1 - kept, test.fit.n, few)


def _metric_holds(name: str, limit: float, test: TestResult) -> Evidence:
    fit: Any = test.metric_fits[name]
    assert fit.holds_until is not None
    return _held(limit, test, fit.sides, fit.holds_until, fit.holds_until_lo95)


def judged_as(quantity: str) -> GateQuantity:
    """Return how a quantity is judged: by the table, or by what it is of a metric."""
    of_metric = metric_of(quantity)
    if of_metric is None:
        return QUANTITIES[quantity]
    name, form = of_metric
    if form == CLEAN:
        return GateQuantity(functools.partial(_metric, name), functools.partial(_metric_error, name))
    needs = {"perturbation": f"the recipe's metrics do not have {name!r}, or it is undefined here"}
    if form == DROP:
        return GateQuantity(
            functools.partial(_metric_drop, name), lambda test: test.metric_fits[name].mean_drop_posterior.scale, needs
        )
    return GateQuantity(
        functools.partial(_metric_holds, name), lambda test: _holding_error(test.metric_fits[name].sides), needs
    )


def _mean_drop(limit: float, test: TestResult) -> Evidence:
    fit: PerturbationFit = test.fit
    posterior = _skewed(fit.mean_drop_posterior)
    kept = posterior.prob_below(limit)
    return Evidence(fit.mean_drop.value, *posterior.interval(), kept, 1 - kept, fit.n, _few(test))


def _effects(fit: PerturbationFit | PropertyFit) -> list[AnyPosterior]:
    """The posterior of the effect of every side."""
    return [fit.posterior] if isinstance(fit, PropertyFit) else [side.posterior for side in fit.sides]


def _unexpected(fit: PerturbationFit | PropertyFit) -> list[AnyPosterior]:
    """The posterior of the part of the effect that the model does not announce, of every side."""
    if isinstance(fit, PropertyFit):
        return [fit.unexpected_posterior] if fit.unexpected_posterior else []
    return [side.posterior for side in fit.calibration.sides] if fit.calibration else []


Posteriors = Callable[[Any], list[AnyPosterior]]


def _size(posteriors: Posteriors, limit: float, test: TestResult) -> Evidence:
    """The size of the worst of several effects: it is kept if each of them is (intersection-union)."""
    parts = [_skewed(posterior) for posterior in posteriors(test.fit)]
    kept = [part.prob_below(limit) - (1 - part.prob_above(-limit)) for part in parts]
    least = int(np.argmin(kept))
    low, high = parts[least].interval()
    low, high = (low, high) if low > 0 else (-high, -low) if high < 0 else (0.0, max(-low, high))
    probability, value = max(kept[least], 0.0), abs(parts[least].loc)
    return Evidence(value, low, high, probability, _any_broken(kept), test.fit.n, _few(test))


def _size_error(posteriors: Posteriors, test: TestResult) -> float:
    return max(part.scale for part in posteriors(test.fit))


def _holds_until(limit: float, test: TestResult) -> Evidence:
    fit: PerturbationFit = test.fit
    return _held(limit, test, [side.holds for side in fit.sides], fit.holds_until, fit.holds_until_lo95)


def _held(limit: float, test: TestResult, sides: Sequence[HoldsUntil], value: float, lo95: float | None) -> Evidence:
    """That all sides hold up to a distance."""
    tested = min(side.length for side in test.fit.sides)
    if limit > tested:
        raise NotJudged(f"test {test.name!r} was tested up to a distance of {tested:g} only")
    kept = [side.prob_at_least(limit) for side in sides]
    few = _few(test, "few_for_holds_until")
    return Evidence(value, lo95, None, min(kept), _any_broken(kept), test.fit.n, few)


def _holds_until_error(test: TestResult) -> float:
    return _holding_error([side.holds for side in test.fit.sides])


def _holding_error(sides: Sequence[HoldsUntil]) -> float:
    """From where P(holds) falls: half the distance between its .84 and .16 points, at most what was tested."""
    side = min(sides, key=lambda holds: holds.value)
    at = np.linspace(side.distances[0], side.distances[-1], 201)
    kept = np.array([side.prob_at_least(float(x)) for x in at])
    reached = [at[kept >= p].max(initial=at[0]) for p in (0.1587, 0.8413)]
    return float(reached[0] - reached[1]) / 2


def _known_spread(fit: PropertyFit | CategoryFit) -> Spread:
    """The spread between bins or levels."""
    spread = fit.spread if isinstance(fit, PropertyFit) else fit.levels_spread
    assert spread is not None
    return spread


def _spread(limit: float, test: TestResult) -> Evidence:
    known = _known_spread(test.fit)
    means = np.array([mean for mean in known.means if mean is not None])
    few = (f"{len(means)} levels tell little of the spread between levels",) if len(means) < FEW_LEVELS else ()
    kept, spread = known.posterior.prob_below(limit), known.spread
    times = functools.partial(_times_for_spread, limit, means, kept)
    return Evidence(spread.value, spread.lo95, spread.hi95, kept, 1 - kept, test.fit.n, few, times)


def _spread_error(test: TestResult) -> float:
    interval = _known_spread(test.fit).spread
    return (interval.hi95 - interval.lo95) / 2 / float(ndtri(0.975))


QUANTITIES: Mapping[str, GateQuantity] = MappingProxyType(
    {
        "clean_score": GateQuantity(_clean_score, lambda result: _clean_known(result).posterior.scale),
        "skill": GateQuantity(functools.partial(_metric, SKILL), functools.partial(_metric_error, SKILL)),
        "mean_drop": GateQuantity(_mean_drop, lambda test: test.fit.mean_drop_posterior.scale),
        "effect": GateQuantity(functools.partial(_size, _effects), functools.partial(_size_error, _effects)),
        "spread": GateQuantity(_spread, _spread_error, {"property": "it needs bins"}),
        "unexpected": GateQuantity(
            functools.partial(_size, _unexpected),
            functools.partial(_size_error, _unexpected),
            {
                "property": "it needs probabilities",
                "perturbation": "it needs probabilities, and 'calibration: true' in the recipe",
            },
        ),
        "holds_until": GateQuantity(_holds_until, _holds_until_error),
    }
)
