"""What it means for the claims of a result that it makes several of them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from pydantic import BaseModel, ConfigDict


class Multiplicity(BaseModel):
    """How many tests were run, called sensitive, and would be by chance if none had an effect; and how intervals count.

    ``level`` is that of each test's own interval: .95, or with ``family: true`` 1 - .05 / ``n_tests``, so that
    all of a kind (the effects, the mean drops, the spreads, …) hold together with at least 95 %.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

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
    found = sum(fit.decision == "sensitive" for fit in fits)
    expected = float(sum(fit.chance for fit in fits))
    level = 1 - 0.05 / n_tests if family and n_tests else 0.95
    text = f"{found} of {_tests(n_tests)} called sensitive; at most {expected:.2g} would be by chance alone."
    if family:
        text += f" Intervals hold together with at least 95 %: each is at {100 * level:.4g} % (Bonferroni)."
    elif n_tests > 1:
        text += f" Each 95 % interval holds by itself: of {n_tests}, {0.05 * n_tests:.2g} miss on average."
    return Multiplicity(
        n_tests=n_tests, n_sensitive=found, expected_by_chance=expected, family=family, level=level, text=text
    )


def _tests(count: int) -> str:
    return "1 test is" if count == 1 else f"{count} tests are"
