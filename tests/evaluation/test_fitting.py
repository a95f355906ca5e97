"""What tests find: known truths are recovered, and nothing where there is nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import mlflow_sensie
from mlflow_sensie import probe


def known_scores(scores: Any) -> Any:
    """A two-class model whose probability of class 1, the truth of every example, is known."""
    return lambda X: np.column_stack([1 - scores(X), scores(X)])


@pytest.mark.parametrize("slope", [-0.06, 0.0, 0.03])
def test_a_known_slope_and_intercept_of_a_property_are_recovered(slope: float) -> None:
    n, intercept, sd = 4000, 0.5, 0.08
    rng = np.random.default_rng(21)
    X = pd.DataFrame({"p": rng.uniform(-3, 5, n), "noise": rng.normal(0, sd, n)})
    model = known_scores(lambda X: np.clip(intercept + slope * X["p"] + X["noise"], 0, 1))
    result = probe(model, X, np.ones(n, dtype=int), {"properties": ["p"]})
    found = result.tests["p"].metrics
    assert found["slope_lo95"] < slope < found["slope_hi95"]
    assert found["slope"] == pytest.approx(slope, abs=4 * sd / (n**0.5 * 8 / 12**0.5))
    low, high = np.quantile(X["p"], [0.01, 0.99])
    assert found["effect"] == pytest.approx(found["slope"] * (high - low), rel=1e-9)
    line = result.tests["p"].fit.line
    assert line.at(0.0)[0] == pytest.approx(intercept, abs=4 * sd / n**0.5)
    curve = result.tests["p"].curve
    assert len(curve) == 20 and curve["n"].tolist() == [200] * 20
    np.testing.assert_allclose(curve["score"], intercept + slope * curve["p"], atol=4.5 * sd / 200**0.5)
    np.testing.assert_allclose(curve["sd"], (sd**2 + (slope * 0.4) ** 2 / 12) ** 0.5, rtol=0.25)
    assert found["departure"] < 0.01
    wanted = abs(slope) * 8 / 12**0.5  # the SD of the bins' true means
    assert found["spread"] == pytest.approx(wanted, rel=0.1, abs=0.006)


def test_a_known_slope_on_the_rank_is_recovered() -> None:
    n, sd = 4000, 0.05
    rng = np.random.default_rng(25)
    u = rng.random(n)
    X = pd.DataFrame({"p": np.tan(np.pi * (u - 0.5)), "u": u, "noise": rng.normal(0, sd, n)})
    X.loc[:99, "p"] = np.nan
    model = known_scores(lambda X: np.clip(0.7 - 0.3 * X["u"] + X["noise"], 0, 1))
    result = probe(
        model, X, np.ones(n, dtype=int), {"properties": [{"name": "p", "rank": True}, {"name": "raw", "of": "p"}]}
    )
    found = result.tests["p"].metrics
    assert found["slope"] == pytest.approx(-0.3, abs=0.02) and found["slope_lo95"] < -0.3 < found["slope_hi95"]
    assert found["effect"] == pytest.approx(-0.3, abs=0.02) and found["unexpected"] < 0
    assert found["departure"] < 0.01 < result.tests["raw"].metrics["departure"]
    curve, raw = result.tests["p"].curve, result.tests["raw"].curve
    assert curve["n"].tolist() == raw["n"].tolist() == [195] * 20 + [100]
    assert curve["p"].iloc[9:11].abs().max() < 0.2  # in the property's own unit
    assert mlflow_sensie.Result.from_json(result.to_json()).tests == result.tests


def test_part_of_a_curve_and_a_polynomial_are_fitted_beside_the_line() -> None:
    n = 1500
    rng = np.random.default_rng(27)
    X = pd.DataFrame({"at": rng.normal(0.5, 0.08, n), "q": rng.random(n), "p": 0.0})
    model = known_scores(lambda X: 0.1 + 0.7 / (1 + np.exp((X["p"] - X["at"]) / 0.03)) * (1 - 0.2 * X["q"] ** 2))
    step = {"name": "step", "apply": lambda x, p: x.assign(p=p), "neutral": 0}
    recipe = {
        "properties": ["q"],
        "perturbations": [
            {**step, "magnitudes": {"start": 0, "stop": 1, "num": 21}},
            {**step, "name": "given", "magnitudes": [0.2, 0.4, 0.6, 0.8], "fit_range": [0.4, 0.6]},
        ],
        "inference": {"fit_range": "auto", "polynomial": 2},
    }
    result = probe(model, X, np.ones(n, dtype=int), recipe)
    plain = probe(model, X, np.ones(n, dtype=int), {**recipe, "inference": {}})
    assert list(result.metrics) == list(plain.metrics)
    assert {k: v for k, v in result.metrics.items() if "given" not in k} == pytest.approx(
        {k: v for k, v in plain.metrics.items() if "given" not in k}
    )
    (part,), (given,) = (result.tests[name].fit.fit_range for name in ("step", "given"))
    assert part.auto and 0.35 <= part.start < 0.5 < part.stop <= 0.65
    assert (given.auto, given.start, given.stop, given.points) == (False, 0.4, 0.6, 2)
    (curved,) = result.tests["q"].fit.polynomials
    assert np.polynomial.Legendre(curved.coefficients, curved.domain).deriv(2)(0.5) == pytest.approx(-0.28, abs=0.05)
    table = result.summary()
    assert table.loc["step", ["fit_from", "fit_to"]].tolist() == [part.start, part.stop]
    assert table.loc["step", "fit_lo95"] < table.loc["step", "fit_effect"] < table.loc["step", "effect"] / 2
    assert "fit_from" not in probe(model, X, np.ones(n, dtype=int), {"properties": ["q"]}).summary()
    again = mlflow_sensie.Result.from_json(result.to_json())
    assert again.tests == result.tests
    assert "fit_range: auto" in result.recipe_yaml and "polynomial: 2" in result.recipe_yaml


def noisy(knows: bool) -> Any:
    """A binary model of x = ±1.5 + noise; ``knows`` whether it takes the noise that was added into account."""

    def model(X: pd.DataFrame) -> Any:
        variance = 1 + 9 * X["p"] ** 2 if knows else 1.0
        q = 1 / (1 + np.exp(-3 * (X["x"] + 3 * X["p"] * X["added"]) / variance))
        return np.column_stack([1 - q, q])

    return model


NOISE = {"name": "noise", "apply": lambda x, p: x.assign(p=p), "magnitudes": [0.25, 0.5, 1], "neutral": 0}


@pytest.mark.parametrize("knows", [True, False])
def test_calibration_follows_what_the_model_itself_expects(knows: bool) -> None:
    n = 4000
    rng = np.random.default_rng(28)
    y = rng.integers(0, 2, n)
    X = pd.DataFrame({"x": 3.0 * y - 1.5 + rng.normal(size=n), "added": rng.normal(size=n), "p": 0.0})
    result = probe(noisy(knows), X, y, {"perturbations": [NOISE], "calibration": True})
    found, table = result.tests["noise"].metrics, result.score_table
    assert found["effect_hi95"] < -0.2
    assert (abs(found["unexpected"]) < 0.03) if knows else (found["unexpected_hi95"] < -0.2)
    assert table is not None
    expected = [table.column(name).mean() for name in ("expected", *(f"expected/noise/{k}" for k in range(3)))]
    assert result.tests["noise"].fit.calibration.expected == pytest.approx(expected)
    assert mlflow_sensie.Result.from_json(result.to_json()).tests == result.tests
    plain = probe(noisy(knows), X, y, {"perturbations": [NOISE]})
    assert set(found) - set(plain.tests["noise"].metrics) == {"unexpected", "unexpected_lo95", "unexpected_hi95"}
    assert plain.score_table is not None and "expected/noise/0" not in plain.score_table.columns
    assert result.n_predictions == plain.n_predictions and result.recipe_sha256 != plain.recipe_sha256


def test_calibration_needs_a_score_that_is_announced() -> None:
    rng = np.random.default_rng(29)
    y = rng.integers(0, 2, 200)
    X = pd.DataFrame({"x": 3.0 * y - 1.5 + rng.normal(size=200), "added": rng.normal(size=200), "p": 0.0})
    result = probe(noisy(True), X, y, {"perturbations": [NOISE], "calibration": True, "score": "correct"})
    assert "unexpected" not in result.tests["noise"].metrics
    assert any("calibration: the score is 'correct'" in text for text in result.warnings)


def test_calibration_of_a_test_that_fails_or_stops_early() -> None:
    n = 2000
    rng = np.random.default_rng(30)
    y = rng.integers(0, 2, n)
    X = pd.DataFrame({"x": 3.0 * y - 1.5 + rng.normal(size=n), "added": rng.normal(size=n), "p": 0.0})

    def broken(x: pd.DataFrame, p: float) -> pd.DataFrame:
        if p > 1:
            raise ValueError("too much")
        return x.assign(p=p)

    specs = [NOISE, {"name": "broken", "apply": broken, "magnitudes": [1, 2], "neutral": 0}]
    recipe = {"perturbations": specs, "calibration": True, "on_error": "record", "precision": 0.1}
    result = probe(noisy(True), X, y, recipe)
    assert result.tests["broken"].metrics == {"ok": 0.0}
    found = result.tests["noise"].metrics
    assert found["n"] < n and abs(found["unexpected"]) < 0.1 and result.score_table is not None
    assert np.isnan(result.score_table.column("expected/broken/0")).all()


def nothing_there(n: int = 400) -> tuple[Any, pd.DataFrame, Any]:
    """A model whose score depends on none of eight columns."""
    rng = np.random.default_rng(26)
    X = pd.DataFrame(rng.normal(size=(n, 8)), columns=list("abcdefgh")).assign(score=rng.beta(8, 2, n))
    return known_scores(lambda X: X["score"]), X, np.ones(n, dtype=int)


def test_intervals_of_a_family_hold_together_and_chance_is_told() -> None:
    model, X, y = nothing_there()
    recipe: dict[str, Any] = {"properties": list("abcdefgh")}
    alone = probe(model, X, y, recipe)
    family = probe(model, X, y, {**recipe, "inference": {"family": True}})
    for name, test in alone.tests.items():
        low, high = test.fit.posterior.interval(1 - 0.05 / 8)
        found = family.tests[name].metrics
        assert (found["effect_lo95"], found["effect_hi95"]) == (low, high)
        assert found["spread_hi95"] > test.metrics["spread_hi95"] and found["effect"] == test.metrics["effect"]
    assert alone.several is not None and family.several is not None
    assert (alone.several.level, family.several.level) == (0.95, 1 - 0.05 / 8)
    assert alone.several.expected_by_chance == pytest.approx(sum(t.fit.chance for t in alone.tests.values()))
    assert 0.05 < alone.several.expected_by_chance < 8 * 0.05 and family.several.expected_by_chance < 0.05
    words = f"{alone.several.n_sensitive} of 8 tests are called sensitive; at most 0."
    assert alone.summary().attrs["several"].startswith(words)
    assert "each is at 99.38 % (Bonferroni)" in family.several.text
    assert mlflow_sensie.Result.from_json(family.to_json()).several == family.several
    assert alone.recipe_sha256 != family.recipe_sha256


def test_a_known_effect_of_a_perturbation_is_recovered() -> None:
    n, sd = 2000, 0.05
    rng = np.random.default_rng(22)
    X = pd.DataFrame({"base": rng.normal(0.8, sd, n), "slope": rng.normal(-0.06, 0.02, n), "p": 0.0})
    model = known_scores(lambda X: np.clip(X["base"] + X["slope"] * X["p"], 0, 1))
    spec = {"name": "worse", "apply": lambda x, p: x.assign(p=p), "magnitudes": [1, 2, 4], "neutral": 0}
    result = probe(model, X, np.ones(n, dtype=int), {"perturbations": [spec]})
    found = result.tests["worse"].metrics
    assert found["slope_lo95"] < -0.06 < found["slope_hi95"] and found["slope"] == pytest.approx(-0.06, abs=0.002)
    assert found["effect"] == pytest.approx(4 * found["slope"], rel=1e-9)
    assert found["mean_drop"] == pytest.approx(0.12, abs=0.004)  # the average of 0.06·p over 0..4
    assert found["max_drop"] == pytest.approx(0.24, abs=0.008)
    assert found["holds_until"] == pytest.approx(0.08 / 0.06, abs=0.1)  # a tenth of 0.8
    assert (found["censored"], found["sensitive"]) == (0.0, 1.0)
    assert found["departure"] < 0.003
    assert result.summary().loc["worse", "decision"] == "sensitive"


def test_a_known_spread_of_classes_is_recovered() -> None:
    n, k = 6000, 12
    rng = np.random.default_rng(23)
    means = rng.normal(0.6, 0.1, k)
    y = rng.integers(0, k, n)
    score = np.clip(means[y] + rng.normal(0, 0.1, n), 0, 1)
    others = (1 - score) / (k - 1)
    table = np.where(np.arange(k) == y[:, None], score[:, None], others[:, None])
    X = pd.DataFrame({"row": np.arange(n), "site": y.astype(str)})
    result = probe(lambda X: table[X["row"]], X, y, {"class_test": True, "properties": ["site"]})
    truth = float(means.std())
    for name in ("class", "site"):
        found = result.tests[name].metrics
        assert found["spread_lo95"] < truth < found["spread_hi95"]
        assert found["spread"] == pytest.approx(truth, rel=0.35)
        assert found["range"] == pytest.approx(np.ptp(means), rel=0.1)
        assert result.tests[name].fit.decision == "sensitive"
    assert result.tests["class"].curve.set_index("p")["score"]["7"] == pytest.approx(means[7], abs=0.02)


def test_nothing_is_found_where_there_is_nothing() -> None:
    n = 3000
    rng = np.random.default_rng(24)
    X = pd.DataFrame(
        {
            "p": rng.normal(size=n),
            "score": np.clip(rng.normal(0.7, 0.03, n), 0, 1),
            "c": rng.choice(list("abcdefgh"), n),
        }
    )
    model = known_scores(lambda X: X["score"])
    spec = {"name": "still", "apply": lambda x, p: x.assign(p=p), "magnitudes": [1, 2], "neutral": 0}
    asked = {"properties": ["p", "c"], "perturbations": [spec], "class_test": False}
    result = probe(model, X, np.ones(n, dtype=int), asked)
    assert result.summary()["decision"].tolist() == ["negligible"] * 3
    assert result.tests["still"].metrics["holds_until"] == 2 and result.tests["still"].metrics["censored"] == 1
    assert result.tests["still"].metrics["mean_drop"] == pytest.approx(0, abs=1e-12)


def test_a_calibrated_models_effect_is_not_unexpected() -> None:
    n = 8000
    rng = np.random.default_rng(25)
    p = rng.uniform(0.5, 1, n)  # how sure the model may be, and how often it is right
    X = pd.DataFrame({"p": p})
    truth = (rng.random(n) < p).astype(int)
    result = probe(lambda X: np.column_stack([1 - X["p"], X["p"]]), X, truth, {"properties": ["p"]})
    found = result.tests["p"].metrics
    assert found["effect"] > 0.3
    assert found["unexpected_lo95"] < 0 < found["unexpected_hi95"] and abs(found["unexpected"]) < 0.03


def test_missing_values_are_a_bin_of_their_own_outside_the_slope() -> None:
    n = 600
    rng = np.random.default_rng(26)
    p = np.where(np.arange(n) % 5 == 0, np.nan, rng.uniform(0, 1, n))
    missing = np.isnan(p)
    noise = rng.normal(0, 0.02, n)
    X = pd.DataFrame({"p": p, "score": np.where(missing, 0.1, 0.5 + 0.3 * np.nan_to_num(p) + noise)})
    y = np.ones(n, dtype=int)
    result = probe(known_scores(lambda X: X["score"]), X, y, {"properties": [{"name": "p", "bins": 4}]})
    alone = probe(
        known_scores(lambda X: X["score"]), X[~missing].reset_index(drop=True), y[~missing],
        {"properties": [{"name": "p", "bins": 4}]},
    )  # fmt: skip
    assert result.tests["p"].metrics == pytest.approx(alone.tests["p"].metrics)
    assert result.tests["p"].metrics["slope"] == pytest.approx(0.3, abs=0.01)
    curve = result.tests["p"].curve
    assert curve["n"].tolist() == [120, 120, 120, 120, 120] and curve["p"].isna().tolist() == [False] * 4 + [True]
    assert curve["score"].iloc[-1] == pytest.approx(0.1)
    assert result.clean.value == pytest.approx(X["score"].mean())
