"""The no-skill score of each kind: no constant prediction, of many tried, has a better one, and one reaches it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from mlflow_sensie import probe
from mlflow_sensie.models.model import open_model
from mlflow_sensie.recipe.reading import load_recipe
from mlflow_sensie.scores.kinds import AGREEMENT, KINDS
from mlflow_sensie.scores.scorer import resolve_scorer

RNG = np.random.default_rng(14)
CLASSES = RNG.choice(4, 60, p=[0.1, 0.4, 0.3, 0.2])
VALUES = RNG.lognormal(1, 1, 60).round(1) + 0.1
WEIGHTS = RNG.uniform(0.1, 3, 60)
SETTINGS = {"top_k": 2, "threshold": 0.3, "positive": 1, "classes": 4, "quantile": 0.3}


def constants(name: str, targets: NDArray[Any], weights: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Constant predictions, (m,) or (m, K): every target, the mean, random probabilities, certainties, the shares."""
    if KINDS[name].task == "regressor":
        return np.array([*targets, np.average(targets, weights=weights), *RNG.uniform(0, 30, 300)])
    sure = [] if name == "top_k" else np.eye(4)  # equal probabilities are all among the top
    ranked = np.array([0.1, 0.4, 0.31, 0.19])
    level = np.array([0.04, 0.33, 0.32, 0.31])
    shares = np.bincount(targets, weights) / (len(targets) if weights is None else weights.sum())
    return np.array([*sure, ranked, level, shares, *RNG.dirichlet(np.ones(4), 300)])


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["alone", "weighted"])
@pytest.mark.parametrize("name", [name for name in KINDS if name != AGREEMENT])
def test_no_constant_is_better_and_one_is_as_good(name: str, weights: NDArray[np.float64] | None) -> None:
    kind = KINDS[name]
    targets: NDArray[Any] = VALUES if kind.task == "regressor" else CLASSES
    scores = [
        np.average(kind.score(np.repeat(constant[None], len(targets), axis=0), targets, SETTINGS), weights=weights)
        for constant in constants(name, targets, weights)
    ]
    best = kind.no_skill(targets, weights, SETTINGS)
    assert best is not None
    np.testing.assert_allclose(max(scores), best, rtol=1e-9)


def test_a_decision_between_two_classes_is_one_class() -> None:
    kind = KINDS["threshold"]
    assert kind.no_skill(np.array([0, 1, 1, 1]), None, {"threshold": 0.1, "positive": 1, "classes": 2}) == 0.75


def test_a_class_without_weight_is_no_class() -> None:
    assert KINDS["neg_log_loss"].no_skill(np.array([0, 1]), np.array([1.0, 0.0]), {}) == 0


@pytest.mark.parametrize("score", ["probability", {"top_k": 1}, {"threshold": 0.2}])
def test_a_scorer_knows_it_of_its_targets(score: Any) -> None:
    model = open_model(lambda inputs: np.tile([0.9, 0.1], (len(inputs), 1)))
    labels = np.array(["a", "b", "b", "b"])
    recipe = load_recipe({"class_test": True, "score": score, "label_list": ["a", "b"]})
    scorer, targets = resolve_scorer(model, model.predict(np.zeros((4, 1))), labels, recipe)
    assert scorer.no_skill_score(targets.values) == 0.75
    assert scorer.no_skill_score(targets.values, np.array([9.0, 1, 1, 1])) == 0.75


def test_of_agreement_it_is_unknown() -> None:
    """A constant agrees with itself always, which says nothing of skill."""
    assert KINDS[AGREEMENT].no_skill(np.array([0, 1]), None, {}) is None


def test_of_a_users_function_it_is_unknown() -> None:
    model = open_model(lambda inputs: np.zeros(len(inputs)))
    recipe = load_recipe({"properties": ["x"], "score": lambda predictions, targets: -abs(predictions - targets)})
    scorer, targets = resolve_scorer(model, model.predict(np.zeros((3, 1))), np.arange(3.0), recipe)
    assert scorer.no_skill_score(targets.values) is None


def test_the_median_of_an_evaluation_scores_its_no_skill_score() -> None:
    X = pd.DataFrame({"x": VALUES})
    result = probe(lambda inputs: np.full(len(inputs), np.sort(VALUES)[29]), X, VALUES, {"properties": ["x"]})
    assert result.clean.value == pytest.approx(KINDS["neg_absolute_error"].no_skill(VALUES, None, {}))
