"""Student-t posteriors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mlflow_sensie.inference import Posterior

DF = [1.0, 2.0, 7.5, 1000.0, None]


def frozen(posterior: Posterior) -> stats.rv_continuous:
    """Give scipy's own."""
    if posterior.df is None:
        return stats.norm(posterior.loc, posterior.scale)
    return stats.t(posterior.df, posterior.loc, posterior.scale)


@pytest.mark.parametrize("df", DF)
def test_agrees_with_scipy(df: float | None) -> None:
    found = Posterior(-0.3, 0.2, df)
    scipy = frozen(found)
    assert found.interval(0.9) == pytest.approx(scipy.interval(0.9))
    assert found.prob_below(0.1) == pytest.approx(scipy.cdf(0.1))
    assert found.prob_above(0.1) == pytest.approx(scipy.sf(0.1), rel=1e-9)
    assert found.prob_abs_at_least(0.02) == pytest.approx(scipy.sf(0.02) + scipy.cdf(-0.02))


@pytest.mark.parametrize("df", DF)
@pytest.mark.parametrize("loc", [-5.0, -0.1, 0.0, 1e-9, 3.0])
@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_bound_holds_exactly_its_level(df: float | None, loc: float, level: float) -> None:
    found = Posterior(loc, 0.4, df)
    b, scipy = found.bound(level), frozen(found)
    assert scipy.cdf(b) - scipy.cdf(-b) == pytest.approx(level, abs=1e-9)


def test_a_point_has_no_width() -> None:
    point = Posterior(-0.2, 0.0, 9.0)
    assert point.interval(0.95) == (-0.2, -0.2)
    assert point.bound() == 0.2
    assert (point.prob_above(-0.2), point.prob_above(0), point.prob_below(0)) == (1, 0, 1)
    assert (point.prob_abs_at_least(0.1), point.prob_abs_at_least(0.3)) == (1, 0)
    assert Posterior(0.0, 0.0, 9.0).prob_abs_at_least(0.0) == 1


def test_choosing_among_two_widens_the_intervals() -> None:
    one, two = Posterior(0, 1, None).summary(), Posterior(0, 1, None).summary(2)
    assert two.hi95 == pytest.approx(stats.norm.ppf(1 - 0.025 / 2))
    assert two.hi50 == pytest.approx(stats.norm.ppf(1 - 0.25 / 2))
    assert one.hi95 < two.hi95


@given(
    st.floats(-1e6, 1e6),
    st.floats(1e-9, 1e6),
    st.none() | st.floats(1, 1e6),
    st.floats(-100, 100).filter(bool),
)
def test_intervals_are_nested_and_scale(loc: float, scale: float, df: float | None, factor: float) -> None:
    posterior = Posterior(loc, scale, df)
    found = posterior.summary()
    assert found.lo95 <= found.lo50 <= found.value <= found.hi50 <= found.hi95
    scaled = posterior.scaled(factor).summary()
    ends = sorted([found.lo95 * factor, found.hi95 * factor])
    assert [scaled.lo95, scaled.hi95] == pytest.approx(ends, rel=1e-6, abs=1e-6 * scale)
