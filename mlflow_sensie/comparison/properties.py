"""Two models' property tests compared: effect, slope, and what the models' own confidence does not announce."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from mlflow_sensie.comparison.contrasts import Estimate, Rng, independent
from mlflow_sensie.comparison.difference import Difference
from mlflow_sensie.comparison.sweeps import size_difference
from mlflow_sensie.inference import (
    Posterior,
    PropertyFit,
    Ranks,
    SamplingDesign,
    ScoreScale,
    SkewedT,
    property_test,
)
from mlflow_sensie.inference.weights import SamplingDesignBlocks

Blocks = Callable[[], Iterable[tuple[Any, Any, Any]]]


def paired_fit(
    blocks: Blocks,
    scale: ScoreScale,
    reach: tuple[float, float],
    span: tuple[float, float],
    design: SamplingDesignBlocks | None = None,
    ranks: Ranks | None = None,
) -> PropertyFit:
    """Run the property test on the examples' own differences, whose range is twice that of the score.

    `blocks()` yields (p (n,), B's score - A's (n,), B's expected score - A's (n,) or None), `design()` their
    weights and clusters; with `ranks` the slope is that on the rank.
    """
    width = reach[1] - reach[0]
    ours = list(blocks())
    p, step = (np.concatenate([block[k] for block in ours]) for k in (0, 1))
    announced = None if ours[0][2] is None else np.concatenate([block[2] for block in ours])
    counts = SamplingDesign()
    if design is not None:
        parts = list(design())
        weights, clusters = ([getattr(part, name) for part in parts] for name in ("weights", "clusters"))
        counts = SamplingDesign(
            None if weights[0] is None else np.concatenate(weights),
            None if clusters[0] is None else np.concatenate(clusters),
        )
    around = ScoreScale(-width, width, scale.unit)
    return property_test(p, step, around, expected=announced, span=span, design=counts, ranks=ranks)


def property_differences(a: PropertyFit, b: PropertyFit, both: PropertyFit | None, rng: Rng) -> dict[str, Difference]:
    """Compare effects over A's span, slopes, and unexpected parts where both have one; engine `robust` throughout.

    `both` is the fit of the examples' own differences; without it the two are taken for independent.
    """
    per_unit = 1 / (a.span[1] - a.span[0])
    rescaled = (a.span[1] - a.span[0]) / (b.span[1] - b.span[0])
    few = "few_informative" in (both.flags if both else (*a.flags, *b.flags))
    n = both.n if both else min(a.n, b.n)

    def compare(metric: str, ours: Posterior, theirs: Posterior, step: Posterior | None) -> Difference:
        return _difference(metric, n, ours, theirs.scaled(rescaled), step, few, rng)

    found = {"effect": compare("effect", _robust(a), _robust(b), _robust(both) if both else None)}
    found["slope"] = found["effect"].scaled("slope", per_unit)
    if a.unexpected_posterior is not None and b.unexpected_posterior is not None:
        step = both.unexpected_posterior if both else None
        found["unexpected"] = compare("unexpected", a.unexpected_posterior, b.unexpected_posterior, step)
    return found


def _robust(fit: PropertyFit) -> Posterior:
    found = fit.robust or fit.posterior
    assert isinstance(found, Posterior)
    return found


def _difference(
    metric: str, n: int, a: Posterior, b: Posterior, both: Posterior | None, few: bool, rng: Rng
) -> Difference:
    known = [SkewedT.of(each) for each in (a, b)]
    step = independent(*known) if both is None else SkewedT.of(both)
    # How far A and B - A go together follows from the three scales.
    together = (b.scale**2 - a.scale**2 - step.scale**2) / 2
    limit = 0.999 * a.scale * step.scale
    off = float(np.clip(together, -limit, limit))
    covariance = np.array([[a.scale**2, off], [off, step.scale**2]])
    estimates = [Estimate(each, None, few) for each in (known[0], step)]
    return size_difference(metric, n, a.loc, a.loc + step.loc, estimates, covariance, rng)
