"""Fits of metrics: of a value, of a sweep, of groups, and of two models on the same examples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mlflow_sensie.inference.grid import MagnitudeGrid
from mlflow_sensie.inference.holds_until import ROUNDING, Floor, HoldsUntil, crossings, holds_until
from mlflow_sensie.inference.metric_intervals import (
    MetricSample,
    contrast_interval,
    contrast_posteriors,
    value_interval,
)
from mlflow_sensie.inference.posterior import Interval, Posterior
from mlflow_sensie.inference.weights import FloatArray

FEW = 10  # examples of a class, below which a metric's interval is not promised
# Examples that carry a mean, below which its tails may be too heavy for an interval to be promised: n/25 within these.
# Of squared errors t3 ones have 1 to 40 at any n, normal ones n/8.
HEAVY = 12.0, 40.0


@dataclass(frozen=True)
class MetricEstimate:
    """A metric of the inputs as they are: its ``value`` with its intervals, ``None`` for one that is biased.

    ``posterior`` is what one-sided claims are made with; ``no_skill`` is what the best constant prediction gets;
    ``few_of_a_class`` (under ten examples) and ``heavy_tailed`` (few examples carry it) are the flags, for which no
    coverage is promised, and ``no_skill`` of a skill that is not surely above 0.
    """

    name: str
    value: float
    interval: Interval | None
    no_skill: float | None
    n: int
    posterior: Posterior | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class MetricSweep:
    """A metric over the magnitudes of a perturbation.

    ``p`` (1 + J) is the neutral (``None`` where it is not known) and the magnitudes, with the metric's ``values``,
    ``lo95`` and ``hi95`` there. ``mean_drop``: how much worse it is on average over the sweep than clean, above 0 for
    a loss that grows as well. ``holds_until`` is the largest distance up to which it keeps all but the allowed drop of
    what lies between the clean value and ``no_skill``, with a one-sided 95 % bound; ``None`` where nothing says what
    no skill is.
    """

    name: str
    p: tuple[float | None, ...]
    values: tuple[float, ...]
    lo95: tuple[float, ...]
    hi95: tuple[float, ...]
    mean_drop: Interval
    mean_drop_posterior: Posterior
    sides: tuple[HoldsUntil, ...]
    holds_until: float | None
    holds_until_lo95: float | None
    censored: bool
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class MetricGroups:
    """A metric in each bin or level, ``None`` where it is undefined, and the SD between its true values there."""

    name: str
    labels: tuple[str, ...]
    values: tuple[float | None, ...]
    lo95: tuple[float | None, ...]
    hi95: tuple[float | None, ...]
    n: tuple[int, ...]
    spread: float | None


def metric_estimate(sample: MetricSample, family: int = 1) -> MetricEstimate:
    """Estimate the metric of the first column, with intervals at 1 - α/``family``.

    >>> rows = np.linspace(0, 1, 101)[:, None]
    >>> metric_estimate(MetricSample("mae", np.array([0.5]), rows, "mean", 101, lower=0)).interval.lo95.__round__(3)
    0.442
    """
    interval = posterior = None
    if sample.method != "none":
        (posterior,) = contrast_posteriors(sample, np.eye(len(sample.values))[:, :1])
        interval = value_interval(sample, 0, family, posterior)
    flags = _flags(sample, interval)
    return MetricEstimate(sample.name, float(sample.values[0]), interval, sample.no_skill, sample.n, posterior, flags)


def metric_sweep(
    sample: MetricSample, grid: MagnitudeGrid, *, allowed_drop: float | tuple[str, float] = 0.1, family: int = 1
) -> MetricSweep | None:
    """Estimate how the metric changes over a sweep; ``None`` for one that is biased, of which differences mean nothing.

    The floor of "holds until" is clean - ``allowed_drop`` × (clean - no skill), of an absolute drop in the metric's
    unit; a clean value that is not surely above no skill holds until 0. Two pseudo-curves are always added, one that
    never drops and one that drops to the bound at once.

    >>> rows = 0.9 - 0.2 * np.arange(3) * np.linspace(0.5, 1.5, 100)[:, None]
    >>> sample = MetricSample("accuracy", rows.mean(axis=0), rows, "mean", 100, lower=0, upper=1, no_skill=0.1)
    >>> fit = metric_sweep(sample, MagnitudeGrid.of([1, 2], neutral=0))
    >>> round(fit.mean_drop.value, 3), round(fit.holds_until, 3)
    (0.2, 0.4)
    """
    if sample.method == "none":
        return None
    slopes, width = len(grid.sides), grid.width
    drop = sample.sign * grid.contrasts()[:, slopes]
    posterior, *of_values = contrast_posteriors(sample, np.column_stack([drop, np.eye(width)]))
    curve = [value_interval(sample, column, family, one) for column, one in enumerate(of_values)]
    sides = _holds(sample, grid, allowed_drop, curve[0], family)
    first = min(sides, key=lambda side: (side.value, side.censored), default=None)
    return MetricSweep(
        name=sample.name,
        p=(grid.neutral, *grid.magnitudes),
        values=tuple(sample.values.tolist()),
        lo95=tuple(one.lo95 for one in curve),
        hi95=tuple(one.hi95 for one in curve),
        mean_drop=contrast_interval(sample, drop, posterior, family),
        mean_drop_posterior=posterior,
        sides=sides,
        holds_until=None if first is None else first.value,
        holds_until_lo95=min((side.lo95 for side in sides), default=None),
        censored=first is not None and first.censored,
        flags=_flags(sample, curve[0]),
    )


def metric_groups(name: str, samples: Sequence[tuple[str, int, MetricSample | None]], family: int = 1) -> MetricGroups:
    """Put the metric of groups together, each a label, its number of examples, and its sample where it is defined.

    The spread is the SD between the groups' true values: what the values vary by, less what their noise makes of it.
    """
    ends = [
        None if sample is None or sample.method == "none" else value_interval(sample, 0, family)
        for _, _, sample in samples
    ]
    values = [None if sample is None else float(sample.values[0]) for _, _, sample in samples]
    pairs = [(value, one) for value, one in zip(values, ends, strict=True) if value is not None and one is not None]
    spread = None
    if len(pairs) > 1:
        noise = np.mean([((one.hi95 - one.lo95) / 2 / 1.96) ** 2 for _, one in pairs])
        spread = math.sqrt(max(0.0, float(np.var([value for value, _ in pairs], ddof=1) - noise)))
    return MetricGroups(
        name=name,
        labels=tuple(label for label, _, _ in samples),
        values=tuple(values),
        lo95=tuple(None if one is None else one.lo95 for one in ends),
        hi95=tuple(None if one is None else one.hi95 for one in ends),
        n=tuple(n for _, n, _ in samples),
        spread=spread,
    )


@dataclass(frozen=True)
class MetricDifference:
    """How much a metric of B exceeds that of A on the same examples, or its mean drop does."""

    name: str
    a: float
    b: float
    difference: Interval
    posterior: Posterior
    flags: tuple[str, ...] = ()


def metric_difference(sample: MetricSample, contrast: FloatArray, family: int = 1) -> MetricDifference:
    """Compare two models by a contrast (W,) of the columns of each, those of A before those of B (2W,).

    >>> rows = np.random.default_rng(0).normal([0.5, 0.6], 0.1, (100, 2))
    >>> sample = MetricSample("accuracy", rows.mean(axis=0), rows, "mean", 100, lower=0, upper=1)
    >>> round(metric_difference(sample, np.ones(1)).difference.value, 1)
    0.1
    """
    zeros = np.zeros_like(contrast)
    both = np.concatenate([-contrast, contrast])
    (posterior,) = contrast_posteriors(sample, both[:, None])
    a, b = (float(sample.values @ np.concatenate(parts)) for parts in ((contrast, zeros), (zeros, contrast)))
    interval = contrast_interval(sample, both, posterior, family)
    return MetricDifference(sample.name, a, b, interval, posterior, _flags(sample))


def _holds(
    sample: MetricSample,
    grid: MagnitudeGrid,
    allowed_drop: float | tuple[str, float],
    clean: Interval,
    family: int,
) -> tuple[HoldsUntil, ...]:
    absolute = not isinstance(allowed_drop, int | float)
    drop = float(allowed_drop[1] if isinstance(allowed_drop, tuple) else allowed_drop)
    if sample.no_skill is None and not absolute:
        return ()
    above = sample.sign * (sample.no_skill if sample.no_skill is not None else 0.0)
    floor = Floor(1.0, drop, drop) if absolute else Floor(1 - drop, -drop * above, drop)
    moments = replace(sample.units.moments, mean=sample.sign * sample.units.moments.mean)
    low, high = sorted(sample.sign * end for end in sample.reach)
    surely = min(sample.sign * clean.lo95, sample.sign * clean.hi95)
    nothing_to_lose = not absolute and not surely > above
    curve, sides = sample.sign * sample.values, []
    for side in grid.sides:
        bound = holds_until(side, moments, floor, (low, high), family, always=True)
        value, start = float(crossings(side, curve[None], floor)[0]), float(side.distances[0])
        censored = not bool((curve[list(side.columns)] - floor.keep * curve[0] + floor.below < ROUNDING).any())
        held = replace(bound, value=value, lo95=min(value, bound.lo95), censored=censored)
        if nothing_to_lose:  # below the floor everywhere, for sure
            zeros, below = (0.0,) * len(bound.distances), (-1.0,) * len(bound.distances)
            held = replace(
                bound, value=start, lo95=start, censored=False, margin=below, variance=zeros, covariance=zeros
            )
        sides.append(held)
    return tuple(sides)


def _flags(sample: MetricSample, clean: Interval | None = None) -> tuple[str, ...]:
    smallest = sample.smallest_class
    squares = np.square(sample.rows[:, 0] - sample.values[0])
    total, fourth = float(squares.sum()), float(squares @ squares)
    informative = total**2 / fourth if fourth > 0 else sample.n
    heavy = sample.classes is None and informative < min(max(sample.n / 25, HEAVY[0]), HEAVY[1])
    flags = {
        "few_of_a_class": smallest is not None and smallest < FEW,
        "heavy_tailed": heavy,
        "no_skill": sample.name == "skill" and clean is not None and not clean.lo95 > 0,
    }
    return tuple(name for name, raised in flags.items() if raised)
