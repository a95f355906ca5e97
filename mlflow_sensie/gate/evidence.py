"""What a rule is judged by: the value, its interval, and the probabilities that the rule is kept and broken."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import chdtrc, ndtri

from mlflow_sensie.comparison import Difference
from mlflow_sensie.gate.scope import NotJudged, Scope
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
from mlflow_sensie.moments import FloatArray
from mlflow_sensie.recipe.rules import GREATER_IS_BETTER, KINDS, SIZES, Rule
from mlflow_sensie.result import Result, TestResult

FEW = "few examples are informative: judged by the guarded interval"
FEW_LEVELS = 5
MOST_TIMES = 1000
NEEDED = {
    ("unexpected", "property"): "it needs probabilities",
    ("unexpected", "perturbation"): "it needs probabilities, and 'calibration: true' in the recipe",
    ("spread", "property"): "it needs bins",
}


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
        return _two_digits(max(1, math.ceil(self.n * (factor - 1))))


def _two_digits(n: int) -> int:
    """Round up to two significant digits."""
    unit: int = 10 ** max(0, len(str(n)) - 2)
    return -(-n // unit) * unit


def times_to_settle(kept: float, confidence: float) -> float | None:
    """Times the examples until P reaches the confidence: the distance to the limit in standard errors grows by √n."""
    distance = abs(float(ndtri(min(max(kept, 1e-300), 1 - 1e-16))))
    return (float(ndtri(confidence)) / distance) ** 2 if distance > 1e-6 else None


def gather(rule: Rule, scope: Scope, test: TestResult | None) -> Evidence:
    """Find what a rule is judged by in a scope, for one test of it, or with no test for all of it.

    Raises:
        NotJudged: the evidence is not there; the message says why.
    """
    if test is not None:
        refuse_without(rule.metric, test)
    if rule.versus is None:
        return _clean(rule, scope.result) if test is None else _of_test(rule, test)
    found = scope.difference(rule.metric, test)
    return _identical(found, scope) if scope.identical else _paired(rule, found)


def has_metric(metric: str, test: TestResult) -> bool:
    """Whether a test that went well has the metric; ``NEEDED`` says what some need."""
    return test.kind in KINDS[metric] and getattr(test.fit, metric, None) is not None


def refuse_without(metric: str, test: TestResult) -> None:
    """Raise NotJudged where a test failed or does not have the metric."""
    if not test.ok:
        raise NotJudged(f"test {test.name!r} failed: {test.error}")
    if not has_metric(metric, test):
        why = f" ({NEEDED[metric, test.kind]})" if (metric, test.kind) in NEEDED else ""
        raise NotJudged(f"test {test.name!r}, a {test.kind} test, has no {metric}{why}")


# --- against a baseline ------------------------------------------------------------------------------------


def worse_by(found: Difference) -> float:
    """How much worse B is, as estimated."""
    if found.metric in SIZES:
        return abs(found.b) - abs(found.a)
    return found.a - found.b if found.metric in GREATER_IS_BETTER else found.b - found.a


def _paired(rule: Rule, found: Difference) -> Evidence:
    value = worse_by(found)
    # Up to the margin that P answers for: where a guard or the size of an effect decides, it is not the draws' own end.
    low, high = min(found.loss.quantile(0.025), value), max(found.worse_by_at_most(0.975), value)
    kept, broken = found.prob_worse_by_at_most(rule.limit), found.prob_worse_by_more(rule.limit)
    few = (FEW,) if found.few_informative else ()
    times = functools.partial(_times_for_paired, rule.limit, found)
    return Evidence(value, low, high, kept, broken, found.n, few, times)


def _times_for_paired(limit: float, found: Difference, confidence: float) -> float | None:
    """As `times_to_settle`, but by how far the bound is from the estimate.

    The probability alone does not tell it where pseudo-examples or the size of an effect push it below .5 although
    the estimate is within the limit.
    """
    value = worse_by(found)
    if value == limit:
        return None
    bound = found.worse_by_at_most(confidence) if value < limit else found.loss.quantile(1 - confidence)
    return max(1.0, ((bound - value) / (limit - value)) ** 2)


def _identical(found: Difference, scope: Scope) -> Evidence:
    """One model, or two whose every score agrees to the last digit: no difference is known."""
    said = scope.comparison.warnings[-1:] if scope.comparison else ()
    return Evidence(0.0, 0.0, 0.0, 1.0, 0.0, found.n, said)


# --- of the model itself -----------------------------------------------------------------------------------


def skewed(posterior: AnyPosterior) -> AnyPosterior | SkewedT:
    """Give the posterior that one-sided claims are made with: for Student's t that with its skewness."""
    if not isinstance(posterior, Posterior):
        return posterior
    return SkewedT(posterior.loc, posterior.scale, posterior.df, posterior.skew)


def clean_of(result: Result) -> GuardedEstimate:
    """Give what is known of the clean score, or raise NotJudged."""
    if result.clean_known is None:
        raise NotJudged("the result does not hold what is known of its clean score; evaluate the model again")
    return result.clean_known


def effects_of(fit: PerturbationFit | PropertyFit) -> list[AnyPosterior]:
    """Give the posterior of the effect of every side."""
    return [fit.posterior] if isinstance(fit, PropertyFit) else [side.posterior for side in fit.sides]


def unexpected_of(fit: PerturbationFit | PropertyFit) -> list[AnyPosterior]:
    """Give the posterior of the part of the effect that the model does not announce, of every side."""
    if isinstance(fit, PropertyFit):
        return [fit.unexpected_posterior] if fit.unexpected_posterior else []
    return [side.posterior for side in fit.calibration.sides] if fit.calibration else []


def spread_of(fit: PropertyFit | CategoryFit) -> Spread:
    """Give the spread between bins or levels."""
    found = fit.spread if isinstance(fit, PropertyFit) else fit.levels_spread
    assert found is not None
    return found


def _clean(rule: Rule, result: Result) -> Evidence:
    known = clean_of(result)
    found = skewed(known.posterior)
    kept, few = found.prob_above(rule.limit), (FEW,) if known.few_informative else ()
    return Evidence(result.clean.value, *found.interval(), kept, 1 - kept, result.n, few)


def _of_test(rule: Rule, test: TestResult) -> Evidence:
    flag = "few_for_holds_until" if rule.metric == "holds_until" else "few_informative"
    warnings = (FEW,) if rule.metric != "spread" and flag in test.fit.flags else ()
    judged: dict[str, Callable[[float, TestResult], Evidence]] = {
        "mean_drop": _mean_drop, "effect": _effect, "unexpected": _unexpected, "holds_until": _holds_until,
        "spread": _spread,
    }  # fmt: skip
    found = judged[rule.metric](rule.limit, test)
    return replace(found, warnings=(*warnings, *found.warnings))


def _mean_drop(limit: float, test: TestResult) -> Evidence:
    fit: PerturbationFit = test.fit
    found = skewed(fit.mean_drop_posterior)
    kept = found.prob_below(limit)
    return Evidence(fit.mean_drop.value, *found.interval(), kept, 1 - kept, fit.n)


def _effect(limit: float, test: TestResult) -> Evidence:
    return _size(limit, effects_of(test.fit), test.fit.n)


def _unexpected(limit: float, test: TestResult) -> Evidence:
    return _size(limit, unexpected_of(test.fit), test.fit.n)


def _size(limit: float, posteriors: list[AnyPosterior], n: int) -> Evidence:
    """The size of the worst of several effects: it is kept if each of them is (intersection-union)."""
    parts = [skewed(posterior) for posterior in posteriors]
    kept = [part.prob_below(limit) - (1 - part.prob_above(-limit)) for part in parts]
    least = int(np.argmin(kept))
    low, high = parts[least].interval()
    low, high = (low, high) if low > 0 else (-high, -low) if high < 0 else (0.0, max(-low, high))
    return Evidence(abs(parts[least].loc), low, high, max(kept[least], 0.0), _any_broken(kept), n)


def _any_broken(kept: list[float]) -> float:
    """P(at least one of several is broken), as Bonferroni's inequality bounds it for the surest of them."""
    return max(0.0, 1 - len(kept) * min(kept))


def _holds_until(limit: float, test: TestResult) -> Evidence:
    fit: PerturbationFit = test.fit
    tested = min(side.holds.distances[-1] for side in fit.sides)
    if limit > tested:
        raise NotJudged(f"test {test.name!r} was tested up to a distance of {tested:g} only")
    kept = [side.holds.prob_at_least(limit) for side in fit.sides]
    return Evidence(fit.holds_until, fit.holds_until_lo95, None, min(kept), _any_broken(kept), fit.n)


def _spread(limit: float, test: TestResult) -> Evidence:
    known = spread_of(test.fit)
    means = np.array([mean for mean in known.means if mean is not None])
    few = (f"{len(means)} levels tell little of the spread between levels",) if len(means) < FEW_LEVELS else ()
    kept, found = known.posterior.prob_below(limit), known.spread
    times = functools.partial(_times_for_spread, limit, means, kept)
    return Evidence(found.value, found.lo95, found.hi95, kept, 1 - kept, test.fit.n, few, times)


def _times_for_spread(limit: float, means: FloatArray, kept: float, confidence: float) -> float | None:
    """As `times_to_settle`, but None where even exactly known means of so few levels would not settle it.

    Then Σ(m - m̄)²/τ² is χ² with K - 2 degrees of freedom.
    """
    if len(means) < 3 or not limit > 0:
        return None
    known = float(chdtrc(len(means) - 2, float(((means - means.mean()) ** 2).sum()) / limit**2))
    return times_to_settle(kept, confidence) if max(known, 1 - known) >= confidence else None
