"""Contrasts of two models, on the same examples and on different ones."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mlflow_sensie.comparison.contrasts import independent, joint_draws, paired, unpaired
from mlflow_sensie.inference import SkewedT


def test_unpaired_differences_are_welchs(rng: np.random.Generator) -> None:
    a, b = rng.normal(size=(50, 1)), 2 * rng.normal(size=(80, 1))
    joint = unpaired(a, b, np.eye(1), (-5, 5))
    found = joint.difference("clean_score", 0, rising=True)
    expected = stats.ttest_ind(b[:, 0], a[:, 0], equal_var=False)
    posterior = joint.d[0].posterior
    assert found.difference.value == pytest.approx(b.mean() - a.mean())
    assert posterior.loc / posterior.scale == pytest.approx(expected.statistic)
    assert posterior.df == pytest.approx(expected.df)
    assert joint.n == 50


@pytest.mark.parametrize(("wrong_a", "wrong_b"), [(0.05, 0.25), (0.05, 0.05), (0.02, 0.1)])
def test_a_guard_of_one_model_alone_widens_an_unpaired_difference_and_moves_it_not(
    wrong_a: float, wrong_b: float
) -> None:
    rng = np.random.default_rng(3)
    held = []
    for _ in range(300):
        a, b = ((rng.random((89, 1)) >= wrong).astype(float) for wrong in (wrong_a, wrong_b))
        found = unpaired(a, b, np.eye(1), (0, 1)).d[0].posterior
        assert found.loc == pytest.approx(b.mean() - a.mean())
        held.append(found.quantile(0.025) <= wrong_a - wrong_b <= found.quantile(0.975))
    assert np.mean(held) >= 0.93


def test_two_independent_points_differ_exactly() -> None:
    assert independent(SkewedT(1.0, 0.0), SkewedT(3.0, 0.0)) == SkewedT(2.0, 0.0)


def test_joint_draws_have_their_moments_and_keep_what_does_not_vary(rng: np.random.Generator) -> None:
    covariance = np.array([[4.0, 0, 1.9], [0, 0, 0], [1.9, 0, 1]])
    drawn = joint_draws(np.array([1.0, 2, 3]), covariance, 1e6, rng)
    assert np.all(drawn[:, 1] == 2)
    assert np.cov(drawn.T) == pytest.approx(covariance, abs=0.25)
    assert drawn.mean(0) == pytest.approx([1, 2, 3], abs=0.12)


def test_one_example_is_not_enough() -> None:
    with pytest.raises(ValueError, match="at least two examples"):
        paired(np.ones((1, 2)), np.eye(1), (0, 1))
