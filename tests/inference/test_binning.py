"""Where a property is cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlflow_sensie.inference import bin_edges, property_span
from mlflow_sensie.inference.binning import bin_labels, inner_edges


def counts(values: np.ndarray, edges: np.ndarray | None, unique: np.ndarray | None) -> list[int]:
    """Count the examples of each bin."""
    inner = inner_edges(edges, unique)
    return np.bincount(np.searchsorted(inner, values, side="right"), minlength=len(inner) + 1).tolist()


def test_span_is_the_inner_range(rng: np.random.Generator) -> None:
    p = rng.normal(size=1000)
    assert property_span(p) == tuple(np.quantile(p, [0.01, 0.99]))
    assert property_span(np.append(p, [np.nan, np.inf])) == tuple(np.quantile(p, [0.01, 0.99]))


def test_span_of_few_values_is_the_full_range() -> None:
    flag = np.zeros(1000)
    flag[:5] = 1
    assert property_span(flag) == (0, 1)
    assert property_span(np.arange(20.0)) == (0, 19)


def test_span_of_a_nearly_constant_property_is_the_full_range(rng: np.random.Generator) -> None:
    p = np.zeros(10_000)
    p[:50] = rng.random(50)
    assert property_span(p) == (0, p.max())


@pytest.mark.parametrize("values", [[3.0, 3.0], [1.0], [np.nan, 2.0]])
def test_a_constant_property_is_an_error(values: list[float]) -> None:
    with pytest.raises(ValueError, match="constant"):
        property_span(values)


def test_nothing_finite_is_an_error() -> None:
    for function in (property_span, bin_edges):
        with pytest.raises(ValueError, match="no finite value"):
            function([np.nan, np.inf])


def test_few_values_get_a_bin_each(rng: np.random.Generator) -> None:
    p = rng.integers(0, 20, 500).astype(float)
    edges, unique = bin_edges(p, 5)
    assert edges is None and unique is not None
    assert unique.tolist() == np.unique(p).tolist()
    assert counts(p, edges, unique) == np.unique(p, return_counts=True)[1].tolist()


def test_quantile_bins_are_even_and_hold_the_maximum(rng: np.random.Generator) -> None:
    p = rng.lognormal(size=1000)
    edges, unique = bin_edges(p)
    assert unique is None and edges is not None and len(edges) == 21
    assert edges[0] == p.min() and edges[-1] == p.max()
    assert counts(p, edges, unique) == [50] * 20


@pytest.mark.parametrize("tie", ["low", "middle", "high"])
def test_a_value_that_fills_bins_gets_one_of_its_own(tie: str, rng: np.random.Generator) -> None:
    p = rng.random(1000) + {"low": 1, "middle": 0, "high": -1}[tie]
    p[rng.random(1000) < 0.8] = 0 if tie != "middle" else 0.5
    edges, unique = bin_edges(p, 10)
    assert edges is not None and np.all(np.diff(edges) > 0)
    found = counts(p, edges, unique)
    assert sum(found) == 1000
    assert max(found) == np.unique(p, return_counts=True)[1].max()


def test_explicit_and_uniform_edges() -> None:
    p = np.arange(100.0)
    edges, unique = bin_edges(p, [0, 10, 50])
    assert edges is not None and edges.tolist() == [0, 10, 50]
    assert counts(p, edges, unique) == [10, 90], "the end bins are open"
    edges, _ = bin_edges(p, ("uniform", 4))
    assert edges is not None and edges.tolist() == [0, 24.75, 49.5, 74.25, 99]
    assert bin_edges(p, "none") == (None, None)


@pytest.mark.parametrize("bins", [0, -3, 2.5, [1.0], [2.0, 1.0], [0.0, np.nan], "many", ("uniform", 0)])
def test_bins_it_cannot_understand_are_named(bins: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        bin_edges(np.arange(100.0), bins)  # type: ignore[arg-type]


def test_labels() -> None:
    assert bin_labels(None, [0, 0.5]) == ("0", "0.5")
    assert bin_labels([0, 1.23456, 2], None) == ("0 to 1.235", "1.235 to 2")


@given(st.lists(st.floats(-1e6, 1e6) | st.sampled_from([0.0, 1.0]), min_size=1, max_size=200), st.integers(1, 25))
@settings(max_examples=100, deadline=None)
def test_every_example_is_counted_once(values: list[float], bins: int) -> None:
    edges, unique = bin_edges(values, bins)
    if edges is not None:
        assert np.all(np.diff(edges) > 0)
    assert sum(counts(np.array(values), edges, unique)) == len(values)
