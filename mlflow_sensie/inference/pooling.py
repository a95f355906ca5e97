"""The same quantity in many slices, each estimate drawn towards the others as far as its noise says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mlflow_sensie.inference.posterior import Interval
from mlflow_sensie.inference.spread import shrunken

Z95, Z50 = 1.959964, 0.674490


def pooled(estimates: Sequence[Interval], reach: float | None) -> list[Interval]:
    """Pool the estimates of K slices partially: θ_k ~ N(μ, τ²), μ flat, τ ~ HalfNormal(.25 of `reach`).

    Each estimate is taken as normal with the SD that its 95 % interval has. `reach` is the range that the quantity
    can move in; None takes that of the intervals. Gives the slices' posterior means and central intervals, which
    are narrower than their own and need no correction for looking at many (Gelman, Hill & Yajima 2012). A
    single slice stays as it is.
    """
    if len(estimates) < 2:
        return list(estimates)
    value = np.array([each.value for each in estimates])
    sd = np.array([(each.hi95 - each.lo95) / (2 * Z95) for each in estimates])
    if reach is None:
        reach = max(each.hi95 for each in estimates) - min(each.lo95 for each in estimates)
    if not reach > 0:
        return list(estimates)
    variance = np.maximum(sd / reach, 1e-9) ** 2
    mean, spread = (reach * found for found in shrunken((value - value.mean()) / reach, variance))
    return [
        Interval(m, m - Z50 * s, m + Z50 * s, m - Z95 * s, m + Z95 * s)
        for m, s in zip((mean + value.mean()).tolist(), spread.tolist(), strict=True)
    ]
