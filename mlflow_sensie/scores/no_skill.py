"""What the best constant prediction scores on the same targets, for each kind of score: what a score is read beside.

Each function takes targets (n,), class numbers or values, weights (n,) or ``None``, and the settings of a score's kind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Weights = Floats | None
Settings = Mapping[str, Any]


def class_shares(targets: NDArray[Any], weights: Weights) -> Floats:
    """Return the shares of the classes that ``targets`` have, the largest first.

    >>> class_shares(np.array([2, 0, 2, 2]), None)
    array([0.75, 0.25])
    """
    _, numbers = np.unique(targets, return_inverse=True)
    counts = np.bincount(numbers, weights)
    return np.sort(counts / counts.sum())[::-1]


def largest_share(targets: NDArray[Any], weights: Weights, settings: Settings) -> float:
    """Return the largest class's share: of the constants, being sure of it has the best mean probability of the target.

    >>> largest_share(np.array([2, 0, 2, 2]), None, {})
    0.75
    """
    return float(class_shares(targets, weights)[0])


def largest_shares(targets: NDArray[Any], weights: Weights, settings: Settings) -> float:
    """Return the sum of the ``top_k`` largest classes' shares.

    >>> largest_shares(np.array([2, 0, 2, 1]), None, {"top_k": 2})
    0.75
    """
    return float(class_shares(targets, weights)[: settings["top_k"]].sum())


def shares_at_threshold(targets: NDArray[Any], weights: Weights, settings: Settings) -> float:
    """Return the share of targets that constant probabilities decide rightly at a threshold.

    Between two classes the decision is one class: the largest share. Of more, as many classes as the threshold leaves
    room for can reach it at once, the largest ones: at .3 three of them.

    >>> shares_at_threshold(np.array([0, 0, 0, 1]), None, {"threshold": 0.3, "classes": 2})
    0.75
    >>> shares_at_threshold(np.array([0, 1, 2, 3]), None, {"threshold": 0.3, "classes": 4})
    0.75
    """
    room = 1 if settings["classes"] == 2 else int(1 / settings["threshold"] + 1e-9)
    return float(class_shares(targets, weights)[:room].sum())


def neg_entropy(targets: NDArray[Any], weights: Weights, settings: Settings) -> float:
    """Return Σ π log π (nats), π the classes' shares: minus the log loss of predicting the shares (Shannon 1948).

    >>> round(neg_entropy(np.array([0, 1]), None, {}), 4)
    -0.6931
    """
    shares = class_shares(targets, weights)
    shares = shares[shares > 0]  # a class may have no weight
    return float(shares @ np.log(shares))


def neg_gini(targets: NDArray[Any], weights: Weights, settings: Settings) -> float:
    """Return −(1 − Σ π²), π the classes' shares: minus the Brier score, over all classes, of predicting the shares.

    >>> neg_gini(np.array([0, 1]), None, {})
    -0.5
    """
    return float(np.square(class_shares(targets, weights)).sum() - 1)


def quantile(values: Floats, weights: Weights, q: float) -> float:
    """Return the smallest value with a share ``q`` of the weight up to it: it minimises the pinball loss.

    >>> quantile(np.array([3.0, 1.0, 2.0]), None, 0.5), quantile(np.array([3.0, 1.0]), np.array([3.0, 1.0]), 0.5)
    (2.0, 3.0)
    """
    order = np.argsort(values)
    reached = np.cumsum(np.ones(len(values)) if weights is None else np.asarray(weights)[order])
    return float(values[order][np.searchsorted(reached, q * reached[-1] * (1 - 1e-12))])


# The best constant prediction of the scores of numbers, by the kind's name.
CONSTANTS: Mapping[str, Callable[[NDArray[Any], Weights, Settings], float]] = MappingProxyType(
    {
        "neg_absolute_error": lambda targets, weights, settings: quantile(targets, weights, 0.5),
        "neg_squared_error": lambda targets, weights, settings: float(np.average(targets, weights=weights)),
        "neg_relative_error": lambda targets, weights, settings: quantile(
            targets, (1.0 if weights is None else weights) / np.abs(targets), 0.5
        ),
        "neg_log_error": lambda targets, weights, settings: quantile(targets, weights, 0.5),
        "quantile": lambda targets, weights, settings: quantile(targets, weights, settings["quantile"]),
    }
)


def of_best_constant(name: str, score: Callable[..., Floats]) -> Callable[[NDArray[Any], Weights, Settings], float]:
    """Return the no-skill function of a score of numbers: the mean score (predictions, targets) of its best constant.

    >>> error = of_best_constant("neg_squared_error", lambda numbers, targets: -np.square(numbers - targets))
    >>> error(np.array([1.0, 2.0, 3.0]), None, {})
    -0.6666666666666666
    """

    def no_skill(targets: NDArray[Any], weights: Weights, settings: Settings) -> float:
        own = {key: settings[key] for key in ("quantile",) if name == key}
        constant = CONSTANTS[name](targets, weights, settings)
        return float(np.average(score(np.full(len(targets), constant), targets, **own), weights=weights))

    return no_skill
