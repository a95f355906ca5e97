"""Forecasting by MASE: what does a year's forecast hang on? Run with `python examples/forecasting.py`.

Monthly series with a trend, a season and noise are simulated; a ridge regression predicts the twelve months after four
years. The score is minus the mean absolute scaled error (Hyndman & Koehler 2006): the error over that of repeating the
last year, measured within the four years. As targets an example has the months to come and that scale, in one record.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.linear_model import Ridge

import mlflow_sensie

PAST, AHEAD, SEASON = 48, 12, 12
TARGET = np.dtype([("months", float, (AHEAD,)), ("scale", float)])


def simulate(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return four years (n, 48), and as targets (n,) the months after them and the scale of the errors."""
    month, draw = np.arange(PAST + AHEAD), rng.uniform
    season = draw(1, 4, (n, 1)) * np.sin(2 * np.pi * (month / SEASON + draw(0, 1, (n, 1))))
    series = 20 + draw(-0.1, 0.1, (n, 1)) * month + season + rng.normal(0, 0.7, (n, PAST + AHEAD))
    targets = np.empty(n, dtype=TARGET)
    past = series[:, :PAST]
    targets["months"], targets["scale"] = series[:, PAST:], np.abs(past[:, SEASON:] - past[:, :-SEASON]).mean(axis=1)
    return past, targets


def neg_mase(forecasts: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return −MASE (n,): −1 is as good as last year's months again, 0 perfect."""
    return -np.abs(forecasts - targets["months"]).mean(axis=1) / targets["scale"]


def evaluate(n: int = 500) -> mlflow_sensie.Result:
    """Fit on series of their own, and ask what the errors hang on."""
    rng = np.random.default_rng(3)
    past, targets = simulate(2000, rng)
    model = Ridge(10.0).fit(past, targets["months"])
    constant = neg_mase(
        np.median(targets["months"], axis=0)[None], targets
    ).mean()  # the same forecast for every series
    recipe: dict[str, Any] = {
        "score": {"function": neg_mase, "upper": 0, "no_skill": float(constant), "unit": "MASE", "name": "neg MASE"},
        "kind": "series",
        "properties": [{"name": "spread", "of": lambda series: np.asarray(series).std(axis=1)}],
        "perturbations": [
            {"name": "noise", "apply": "series.noise", "magnitudes": [0.1, 0.2, 0.4]},
            {"name": "dropout", "apply": "series.dropout", "magnitudes": [0.05, 0.1, 0.2]},
        ],
    }
    return mlflow_sensie.probe(model.predict, *simulate(n, rng), recipe)


if __name__ == "__main__":
    result = evaluate()
    print(result.summary().to_string())
    noise, dropout = (result.tests[name].fit.mean_drop.value for name in ("noise", "dropout"))
    print(
        f"The forecasts err by {-result.clean.value:.2f} of what repeating the last year errs; noise raises that by "
        f"{noise:.2f}, and months that are recorded as 0 by {dropout:.2f}."
    )
