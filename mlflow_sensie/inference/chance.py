"""How often chance alone would have a test called sensitive."""

from __future__ import annotations

from scipy.optimize import brentq

from mlflow_sensie.inference.posterior import AnyPosterior


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
