"""Whatever the scores are: every metric is finite, intervals are ordered, results survive JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, fields, is_dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from inference.fit_numbers import numbers_of

from mlflow_sensie.inference import (
    CategoryFit,
    ExtraFits,
    Interval,
    MagnitudeGrid,
    PerturbationFit,
    PropertyFit,
    Ranks,
    ScoreScale,
    bin_edges,
    category_test,
    perturbation_test,
    property_span,
    property_test,
)

FAST = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SCALES = [
    ScoreScale(0, 1, "probability"),
    ScoreScale(None, None, "target SD"),
    ScoreScale(None, 0, "target SD"),
]
Fit = PropertyFit | PerturbationFit | CategoryFit
SHAPES = st.sampled_from([ExtraFits(), ExtraFits("auto", 2), ExtraFits((0.2, 1.1), 3), ExtraFits((-1.0, 0.7), 8)])


def parts(value: Any) -> Iterator[Any]:
    """Give everything inside a result."""
    yield value
    inside = [getattr(value, f.name) for f in fields(value)] if is_dataclass(value) else value
    if isinstance(inside, list | tuple):
        for part in inside:
            yield from parts(part)


def check(fit: Fit) -> None:
    """Check every number in a result."""
    for name, value in numbers_of(fit).items():
        assert type(value) is float and math.isfinite(value), (name, value)
    for part in parts(fit):
        if isinstance(part, Interval):
            tiny = 1e-9 * max(1.0, abs(part.lo95), abs(part.hi95))
            assert part.lo95 <= part.lo50 <= part.value + tiny and part.value <= part.hi50 + tiny
            assert part.hi50 <= part.hi95
        assert part is None or is_dataclass(part) or type(part) in (int, float, str, bool, tuple), type(part)
        assert not isinstance(part, float) or math.isfinite(part)
    json.dumps(asdict(fit), allow_nan=False)


@st.composite
def scores(draw: st.DrawFn, scale: ScoreScale, columns: int) -> np.ndarray:
    """Draw (n, columns) scores: all equal, zeros and ones, or anything within the bounds."""
    n = draw(st.integers(2, 40))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    kind = draw(st.sampled_from(["equal", "one differs", "bits", "any", "tiny", "constant rows"]))
    rows = rng.random((n, columns))
    if kind == "equal":
        rows[:] = draw(st.sampled_from([0.0, 0.3, 1.0]))
    elif kind == "one differs":
        rows[:] = 0.7
        rows[0, -1] = 0.2
    elif kind == "bits":
        rows = np.round(rows)
    elif kind == "tiny":
        rows = 0.5 + 1e-9 * rows
    elif kind == "constant rows":
        rows[:] = rows[:, :1]
    if scale.bounded:
        return rows
    return (rows - 1) * draw(st.sampled_from([1e-6, 1.0, 1e6]))


@pytest.mark.parametrize("scale", SCALES, ids=["probability", "unbounded", "loss"])
@given(data=st.data())
@FAST
def test_perturbation(scale: ScoreScale, data: st.DataObject) -> None:
    magnitudes, neutral = data.draw(
        st.sampled_from([([1.0], 0.0), ([-1.0, 1.0], 0.0), ([1.0, 2, 5], 0.0), ([2.0, 3, 7], None), ([0.5, 2, 4], 1)])
    )
    rows = data.draw(scores(scale, len(magnitudes) + 1))
    drop = data.draw(st.sampled_from([0.0, 0.1, 1.0, ("absolute", 0.3)]))
    fit = perturbation_test(
        rows,
        MagnitudeGrid.of(magnitudes, neutral, neutral == 1),
        scale,
        allowed_drop=drop,
        family=data.draw(st.sampled_from([1, 7])),
        extra=data.draw(SHAPES),
    )
    check(fit)
    assert fit.holds_until_lo95 <= fit.holds_until + 1e-12
    assert fit.max_drop <= fit.max_drop_hi95 and fit.effect_bound95 >= abs(fit.effect.value) * (1 - 1e-9)
    for side in fit.sides:
        assert all(np.all(np.isfinite(part)) for part in side.line.at(magnitudes))
        assert sum(side.first_failed) == fit.n


@pytest.mark.parametrize("scale", SCALES, ids=["probability", "unbounded", "loss"])
@given(data=st.data())
@FAST
def test_property(scale: ScoreScale, data: st.DataObject) -> None:
    rows = data.draw(scores(scale, 2))
    y, expected = rows[:, 0], rows[:, 1]
    rng = np.random.default_rng(data.draw(st.integers(0, 10_000)))
    kind = data.draw(st.sampled_from(["any", "flag", "far", "ties", "heavy", "missing"]))
    p = rng.random(len(y))
    p = {
        "any": p,
        "flag": (p > 0.9).astype(float),
        "far": 1e9 + p,
        "ties": np.where(p < 0.8, 0, p),
        "heavy": rng.standard_cauchy(len(y)),
        "missing": np.where(p < 0.4, np.nan, p),
    }[kind]
    assume(len(np.unique(p[np.isfinite(p)])) > 1)
    edges, unique = bin_edges(p, data.draw(st.sampled_from([20, 3, "none"])))
    ranks, shape = Ranks.of(p) if data.draw(st.booleans()) else None, data.draw(SHAPES)
    fit = property_test(
        p,
        y,
        scale,
        expected=expected,
        edges=edges,
        unique=unique,
        span=property_span(p),
        rope=0.02,
        ranks=ranks,
        extra=shape,
    )
    check(fit)
    assert all(np.all(np.isfinite(part)) for part in fit.line.at(fit.span))
    assert fit.curve is None or sum(fit.curve.n) == fit.n


@pytest.mark.parametrize("scale", SCALES, ids=["probability", "unbounded", "loss"])
@given(data=st.data())
@settings(FAST, max_examples=60)
def test_category(scale: ScoreScale, data: st.DataObject) -> None:
    y = data.draw(scores(scale, 1))[:, 0]
    k = data.draw(st.integers(2, 30))
    level = np.random.default_rng(k).integers(-1, k, len(y))
    level[:2] = [0, 1]
    check(category_test(level, y, scale, levels=[str(j) for j in range(k)]))


def test_results_make_the_round_trip_through_pydantic(rng: np.random.Generator) -> None:
    pydantic = pytest.importorskip("pydantic")
    y, p = rng.random(100), rng.random(100)
    p[:3] = np.nan
    edges, unique = bin_edges(p)
    fits: list[Fit] = [
        property_test(
            p,
            y,
            SCALES[0],
            expected=y,
            edges=edges,
            unique=unique,
            span=property_span(p),
            ranks=Ranks.of(p),
            extra=ExtraFits("auto", 2),
        ),
        perturbation_test(rng.random((50, 4)), MagnitudeGrid.of([-1, 1, 2], 0), SCALES[0], extra=ExtraFits((0, 2), 2)),
        category_test(rng.integers(-1, 3, 100), y, SCALES[0], levels=["a", "b", "c", "none"]),
    ]
    for fit in fits:
        adapter = pydantic.TypeAdapter(type(fit))
        assert adapter.validate_json(adapter.dump_json(fit)) == fit
