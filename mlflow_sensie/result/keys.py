"""The scalars of a result: every metric key of the contract, whose it is, how it is read, and what it means.

The one table of them. A key is ``sensie/<test>/<name>``, or ``sensie/<name>`` for those of the whole result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Literal

from mlflow_sensie.inference import Interval

Kind = Literal["property", "perturbation", "category", "class"]
Kinds = tuple[Kind, ...]

# The quantity that stands for a test, by its kind, in the order of kinds.
HEADLINES: Mapping[str, str] = MappingProxyType(
    {"perturbation": "mean_drop", "property": "effect", "category": "spread", "class": "spread"}
)
PERTURBATION: Kinds = ("perturbation",)
PROPERTY: Kinds = ("property",)
CATEGORIES: Kinds = ("category", "class")
SLOPED: Kinds = ("perturbation", "property")
ALL: Kinds = (*SLOPED, *CATEGORIES)


@dataclass(frozen=True)
class MetricKey:
    """One scalar: the last part of its key, the kinds of test that have it, its unit and its meaning.

    ``read`` gives it of a fit, ``None`` where this fit has none; without ``kinds`` it belongs to the whole result, and
    is read of that. Of tests of the ``essential`` kinds it is on the run by default, of others with ``keys: all``.
    """

    name: str
    kinds: Kinds
    unit: str
    meaning: str
    read: Callable[[Any], float | None]
    essential: Kinds = ()


def _estimate(
    name: str, kinds: Kinds, unit: str, meaning: str, *ends: str,
    of: Callable[[Any], Interval | None] | None = None, essential: Kinds = (), with_ends: bool = True,
) -> Iterator[MetricKey]:  # fmt: skip
    """An estimate and the ends of its intervals, which ``of`` gives; by default the fit's attribute of that name.

    Where it is essential its ends are, too, unless ``with_ends`` is false.
    """
    interval = of or attrgetter(name)
    own_ends = essential if with_ends else ()
    yield MetricKey(name, kinds, unit, meaning, partial(_end, interval, "value"), essential)
    for end in ends:
        side = "lower" if end.startswith("lo") else "upper"
        text = f"{side} end of its central {end[2:]} % interval"
        yield MetricKey(f"{name}_{end}", kinds, unit, text, partial(_end, interval, end), own_ends)


def _end(of: Callable[[Any], Interval | None], end: str, fit: Any) -> float | None:
    interval = of(fit)
    return None if interval is None else float(getattr(interval, end))


def _spread(fit: Any) -> Interval | None:
    """The spread between a category's levels, or a property's bins where it has some."""
    known = getattr(fit.spread, "spread", fit.spread)
    return known if isinstance(known, Interval) else None


def _within(fit: Any) -> Interval | None:
    return None if fit.split is None else fit.split.within


def _side(name: str, read: Callable[[Any], float], fit: Any) -> float | None:
    """A number of one of two sides of the neutral; a sweep to one side has none."""
    if len(fit.sides) != 2:
        return None
    return next(read(side) for side in fit.sides if side.side == name)


def _departure(fit: Any) -> float | None:
    return None if fit.departure is None else float(fit.departure.size)


E95, E50 = ("lo95", "hi95"), ("lo50", "hi50")
SCORE, DISTANCE, SKILL = "score", "distance", "skill"
DECISIONS: Mapping[str, float] = MappingProxyType({"sensitive": 1.0, "undecided": 0.0, "negligible": -1.0})
KEYS: tuple[MetricKey, ...] = (
    MetricKey("ok", ALL, "", "1; a test that failed has 0, and no other key", lambda fit: 1.0, ALL),
    MetricKey("n", ALL, "examples", "how many it was measured on", attrgetter("n")),
    MetricKey(
        "sensitive", ALL, "", "the decision: 1 sensitive, 0 undecided, −1 negligible",
        lambda fit: DECISIONS[fit.decision], ALL,
    ),
    *_estimate("effect", SLOPED, SCORE, "slope × tested range", *E95, essential=PROPERTY),
    MetricKey(
        "effect_bound95", SLOPED, SCORE, "the size of the effect is smaller than this with probability .95",
        attrgetter("effect_bound95"),
    ),
    *_estimate(
        "slope", SLOPED, "score per unit", "change of the mean score per unit of magnitude or property", *E50, *E95,
        essential=SLOPED,
    ),
    *_estimate(
        "mean_drop", PERTURBATION, SCORE, "clean score less the average score over the sweep", *E95,
        essential=PERTURBATION,
    ),
    MetricKey("max_drop", PERTURBATION, SCORE, "largest drop at a magnitude", attrgetter("max_drop")),
    MetricKey("max_drop_hi95", PERTURBATION, SCORE, "upper bound of it (95 %)", attrgetter("max_drop_hi95")),
    MetricKey(
        "holds_until", PERTURBATION, DISTANCE, "largest distance up to which the allowed drop is kept",
        attrgetter("holds_until"), PERTURBATION,
    ),
    MetricKey(
        "holds_until_lo95", PERTURBATION, DISTANCE, "lower bound of it (95 %, one-sided)",
        attrgetter("holds_until_lo95"), PERTURBATION,
    ),
    MetricKey(
        "censored", PERTURBATION, "", "1: it never fell that far, and holds_until is the largest distance tested",
        attrgetter("censored"), PERTURBATION,
    ),
    MetricKey("departure", SLOPED, SCORE, "how far the curve departs from its straight line", _departure),
    *(
        MetricKey(
            f"{side}_effect", PERTURBATION, SCORE, f"effect {side} the neutral, of a sweep to both sides",
            partial(_side, side, attrgetter("effect.value")),
        )
        for side in ("below", "above")
    ),
    *(
        MetricKey(
            f"holds_until_{side}", PERTURBATION, DISTANCE, f"holds_until {side} the neutral, of a sweep to both sides",
            partial(_side, side, attrgetter("holds.value")),
        )
        for side in ("below", "above")
    ),
    *_estimate(
        "within_effect", PROPERTY, SCORE, "what remains of the effect at the same mix of classes", *E95, of=_within,
        essential=PROPERTY, with_ends=False,
    ),
    *_estimate("unexpected", SLOPED, SCORE, "part of the effect that the model's confidence does not announce", *E95),
    *_estimate("spread", PROPERTY, SCORE, "SD between the bins, noise removed", *E95, of=_spread),
    *_estimate(
        "spread", CATEGORIES, SCORE, "SD between the levels, noise removed", *E95, of=_spread, essential=CATEGORIES
    ),
    MetricKey("range", CATEGORIES, SCORE, "best level less worst", attrgetter("range"), CATEGORIES),
)  # fmt: skip


# Of each metric that a recipe follows: its name stands before these, and they are read of its own fit.
METRIC = "metric"
METRIC_KEYS: tuple[MetricKey, ...] = (
    MetricKey(
        "mean_drop", PERTURBATION, METRIC, "how much worse it is on average over the sweep than clean",
        attrgetter("mean_drop.value"), PERTURBATION,
    ),
    MetricKey("mean_drop_lo95", PERTURBATION, METRIC, "lower end of its 95 % interval", attrgetter("mean_drop.lo95")),
    MetricKey("mean_drop_hi95", PERTURBATION, METRIC, "upper end of its 95 % interval", attrgetter("mean_drop.hi95")),
    MetricKey(
        "holds_until", PERTURBATION, DISTANCE,
        "largest distance up to which the allowed drop is kept, as a share of what lies above no skill",
        attrgetter("holds_until"),
    ),
    MetricKey(
        "holds_until_lo95", PERTURBATION, DISTANCE, "lower bound of it (95 %, one-sided)",
        attrgetter("holds_until_lo95"),
    ),
    MetricKey("spread", PROPERTY, METRIC, "SD between its values in the bins, noise removed", attrgetter("spread")),
)  # fmt: skip


ESSENTIAL: Mapping[Kind, frozenset[str]] = MappingProxyType(
    {kind: frozenset(key.name for key in KEYS if kind in key.essential) for kind in ALL}
)


def metrics_of(kind: Kind, fit: Any, metric_fits: Mapping[str, Any]) -> dict[str, float]:
    """Give the scalars of a fit and of its metrics by their names; finite floats all."""
    values = {key.name: key.read(fit) for key in KEYS if kind in key.kinds}
    for name, metric in metric_fits.items():
        values |= {f"{name}_{key.name}": key.read(metric) for key in METRIC_KEYS if kind in key.kinds}
    return {name: float(value) for name, value in values.items() if value is not None}


def essential_of(kind: Kind, metrics: Iterable[str]) -> frozenset[str]:
    """Give the names that a test of this kind puts on the run by default, those of its metrics among them."""
    return ESSENTIAL[kind] | {f"{name}_{key.name}" for name in metrics for key in METRIC_KEYS if kind in key.essential}


def metrics_before(metrics: Mapping[str, float], fit: Any) -> dict[str, float]:
    """Give the scalars of a fit in the words of 0.1.0, whose runs have a probability in place of the decision."""
    renamed = {"prob_sensitive" if name == "sensitive" else name: value for name, value in metrics.items()}
    return renamed | ({"prob_sensitive": float(fit.prob_sensitive)} if fit is not None else {})


# --- of the whole result -----------------------------------------------------------------------------------

# What is worst among the tests of these kinds, the kinds in the order in which they stand for a result.
WORST: Mapping[str, Kinds] = MappingProxyType(
    {"mean_drop": PERTURBATION, "effect_bound95": PROPERTY, "spread": CATEGORIES}
)


def _skill(end: str, result: Any) -> float | None:
    estimate = result.metric_estimates.get(SKILL)
    return None if estimate is None else float(getattr(estimate.interval, end))


def size_of(name: str, test: Any, headline: str) -> float | None:
    """Give what tests are ranked by; of a mean drop that of the recipe's ``headline``, where that is a metric."""
    ranked = f"{headline}_{name}" if name == "mean_drop" and headline != SCORE else name
    value: float | None = test.metrics.get(ranked)
    return value


def _worst(name: str, kinds: Kinds, result: Any) -> float | None:
    """The largest value among the tests of these kinds; none where one of them failed, or does not have it."""
    tests = [test for test in result.tests.values() if test.kind in kinds]
    sizes = [size_of(name, test, result.recipe.get("headline", SCORE)) if test.ok else None for test in tests]
    known = [size for size in sizes if size is not None]
    return float(max(known)) if known and len(known) == len(sizes) else None


OVERVIEW: tuple[MetricKey, ...] = (
    *_estimate("clean_score", (), SCORE, "mean score of the unperturbed examples", *E95, of=attrgetter("clean")),
    MetricKey(
        "no_skill_score", (), SCORE, "score of the best constant prediction on the same targets",
        attrgetter("no_skill_score"),
    ),
    MetricKey("skill", (), "skill", "from the best constant (0) to perfection (1)", partial(_skill, "value")),
    MetricKey("skill_lo95", (), "skill", "lower end of its central 95 % interval", partial(_skill, "lo95")),
    *(
        MetricKey(
            f"worst_{name}", (), SCORE,
            f"largest {name}{' (of the headline)' if name == 'mean_drop' else ''} of the {' and '.join(kinds)} tests, "
            "if none of them failed",
            partial(_worst, name, kinds),
        )
        for name, kinds in WORST.items()
    ),
    MetricKey("n_tests", (), "tests", "how many there are", lambda result: len(result.tests)),
    MetricKey("n_failed", (), "tests", "how many failed", lambda result: len(result.failed)),
)  # fmt: skip


# Of each metric but skill, of the unperturbed examples: ``clean_<metric>`` stands before these.
CLEAN_KEYS: tuple[tuple[str, str], ...] = (("", "value"), ("_lo95", "interval.lo95"), ("_hi95", "interval.hi95"))


def overview_of(result: Any) -> dict[str, float]:
    """Give the scalars of a whole result by their names; finite floats all."""
    values = {key.name: key.read(result) for key in OVERVIEW}
    for name, estimate in result.metric_estimates.items():
        if name != SKILL:
            keys = CLEAN_KEYS if estimate.interval else CLEAN_KEYS[:1]
            values |= {f"clean_{name}{end}": attrgetter(path)(estimate) for end, path in keys}
    return {name: float(value) for name, value in values.items() if value is not None}
