"""What it means for the claims of a result that it makes several of them, and how often chance alone makes one."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from scipy.optimize import brentq

from mlflow_sensie.inference.posterior import AnyPosterior


@dataclass(frozen=True)
class Multiplicity:
    """How many tests were run, called sensitive, and would be by chance if none had an effect; and how intervals count.

    ``level`` is that of each test's own interval: .95, or with ``family: true`` 1 - .05 / ``n_tests``, so that
    all of a kind (the effects, the mean drops, the spreads, …) hold together with at least 95 %.
    """

    n_tests: int
    n_sensitive: int
    expected_by_chance: float
    family: bool
    level: float
    text: str


def several(fits: Collection[Any], n_tests: int, *, family: bool) -> Multiplicity:
    """Sum up ``n_tests`` tests, of which those in ``fits`` did not fail.

    The intervals are Bonferroni's: that asks nothing of how tests depend on each other, which they do by sharing
    examples and model, and fits quantities that are no contrasts, as spreads. Ten independent tests would allow
    intervals that are 0.3 % narrower (Šidák's).
    """
    sensitive = sum(fit.decision == "sensitive" for fit in fits)
    expected = float(sum(fit.chance for fit in fits))
    level = 1 - 0.05 / n_tests if family and n_tests else 0.95
    tests = "1 test is" if n_tests == 1 else f"{n_tests} tests are"
    text = f"{sensitive} of {tests} called sensitive; at most {expected:.2g} would be by chance alone."
    if family:
        text += f" Intervals hold together with at least 95 %: each is at {100 * level:.4g} % (Bonferroni)."
    elif n_tests > 1:
        text += f" Each 95 % interval holds by itself: of {n_tests}, {0.05 * n_tests:.2g} miss on average."
    return Multiplicity(n_tests, sensitive, expected, family, level, text)


def chance_of_sensitive(effect: AnyPosterior, rope: float, comparisons: int = 1) -> float:
    """Give the probability that a test without an effect, whose posterior is as wide as this, is called sensitive.

    It is called so from the smallest |estimate| on at which P(|effect| >= rope) is .95 and the interval at 1 -
    .05/comparisons excludes 0; without an effect, estimates scatter about 0 as the posterior does about its median.
    """
    if effect.scale == 0:
        return 0.0
    low, high = effect.interval(1 - 0.05 / comparisons)

    def lacking(b: float) -> float:
        """P(|effect| >= rope) - .95, were the estimate b."""
        away = effect.loc - b
        return min(1.0, effect.prob_above(away + rope) + effect.prob_below(away - rope)) - 0.95

    least = max(high - effect.loc, effect.loc - low)
    if lacking(least) < 0:
        far = rope + 2 * least + 10 * effect.scale
        least = float(brentq(lacking, least, far)) if lacking(far) > 0 else far
    return effect.prob_above(effect.loc + least) + effect.prob_below(effect.loc - least)
