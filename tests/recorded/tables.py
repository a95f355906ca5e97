"""Evaluations of tables: classifiers and regressors, scores, weights, clusters, slices, sweeps, engines."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.naive_bayes import GaussianNB

import mlflow_sensie

from . import data
from .data import AGE, DILUTE, LOSE, ROUND, SCALE, SHIFT

Results = dict[str, Any]


def probe(*given: Any, **keys: Any) -> Any:
    """Evaluate; looked up at the call, so that a study of stability can put another in its place."""
    return mlflow_sensie.probe(*given, **keys)


def of_patients(n: int = 240, seed: int = 1, offset: float = 0.0, model: Any = data.risk, **recipe: Any) -> Results:
    """Evaluate a classifier of patients by a recipe."""
    frame = data.patients(n, seed)
    return {"result": probe(model, frame, data.illness(frame, offset=offset), recipe)}


# --- properties --------------------------------------------------------------------------------------------


def properties_of_every_sort() -> Results:
    """Bins by quantile, by value, by edges, of equal width; ranks; dates, texts, booleans; gaps."""
    sorts = [
        "age", "visits", "site", "smoker", "visit", "lab",
        {"name": "age, ranked", "of": "age", "rank": True},
        {"name": "lab, ranked", "of": "lab", "rank": True},
        {"name": "age, decades", "of": "age", "bins": [30, 40, 50, 60, 70]},
        {"name": "dose, uniform", "of": "dose", "bins": {"uniform": 6}},
        {"name": "lab, few", "of": "lab", "bins": 5},
    ]  # fmt: skip
    return of_patients(properties=sorts, class_test=True)


def properties_without_bins() -> Results:
    """Every example a point; and a property table beside the data, with a rare level."""
    rng = np.random.default_rng(11)
    rare = np.where(np.arange(240) % 120 == 7, "rare", rng.choice(["x", "y"], 240))
    table = {"height": rng.normal(170, 9, 240), "ward": rare}
    sorts = [{"name": "age", "bins": "none"}, {"name": "lab", "bins": "none"}, "height", "ward"]
    return of_patients(properties=sorts, property_table=table)


def properties_of_predictions() -> Results:
    """Confidence and margin of the unperturbed prediction, in bins and ranked."""
    sorts = ["model.confidence", {"name": "margin", "of": "model.margin", "bins": 6, "rank": True}, "age"]
    frame = data.patients(300)
    model = GaussianNB().fit(frame[["age", "dose"]], data.severity(frame))
    return {"result": probe(model, frame, data.severity(frame), {"properties": sorts, "class_test": True})}


def measured_properties() -> Results:
    """Properties that functions measure, of numbers and of texts, and the built-in ones of tables."""

    def burden(frame: pd.DataFrame) -> Any:
        return frame["age"] * frame["dose"]

    def decade(frame: pd.DataFrame) -> Any:
        return (frame["age"] // 10 * 10).astype(int).astype(str)

    sorts = [burden, {"name": "decade", "of": decade}, "tabular.missing_count", "tabular.distance_to_centre"]
    frame = data.patients().drop(columns=["patient", "weight", "visit"])
    return {"result": probe(data.risk, frame, data.illness(frame), {"properties": sorts, "calibration": True})}


# --- sweeps ------------------------------------------------------------------------------------------------


def sweeps() -> Results:
    """Two sides, one side, factors, and a function of one's own."""
    return of_patients(perturbations=[SHIFT, SCALE, ROUND, DILUTE, AGE], properties=["site"])


def sweeps_without_a_neutral() -> Results:
    """Functions without a neutral: the clean score is the reference alone; one with parameters."""
    sweep = {"apply": data.age_by, "params": {"years": 2.5}}
    none = {"neutral": "none"}
    return of_patients(
        perturbations=[
            {"name": "dilute", "apply": data.dilute, "magnitudes": [0.1, 0.3, 0.6, 0.9], **none},
            {"name": "both ways", "magnitudes": [-8, -4, 4, 8], **none, **sweep},
            {"name": "one way", "magnitudes": {"start": 1, "stop": 9, "num": 5}, "neutral": 0, **sweep},
            {"name": "from 5", "magnitudes": [5, 6, 8], **none, **sweep},
        ]
    )


def allowed_drops() -> Results:
    """Floors in the score's unit, as a fraction, and one for a single test."""
    absolute = {**SHIFT, "name": "absolute", "apply": "tabular.shift", "allowed_drop": {"absolute": 0.03}}
    small = {**DILUTE, "name": "small", "magnitudes": [0, 0.1, 0.2, 0.4], "allowed_drop": 0.02}
    return of_patients(perturbations=[absolute, small, DILUTE, SCALE], allowed_drop=0.3)


def calibration() -> Results:
    """The model's own expectation over properties and sweeps, of a model that is too sure."""
    return of_patients(
        properties=["age", "lab", {"name": "dose", "rank": True}],
        perturbations=[SHIFT, SCALE, DILUTE],
        calibration=True,
    )


def part_of_a_curve() -> Results:
    """Lines over a part of the range, chosen and found, and polynomials beside them."""
    rng = np.random.default_rng(12)
    n = 240
    frame = pd.DataFrame({"threshold": rng.normal(25, 6, n), "at": 0.0, "truth": np.arange(n) % 2, "q": rng.random(n)})
    sweep = {"apply": data.lose, "magnitudes": {"start": 0, "stop": 60, "num": 13}, "neutral": 0}
    two = {"apply": data.lose, "magnitudes": {"start": -30, "stop": 60, "num": 10}, "neutral": 0}
    recipe = {
        "perturbations": [
            {"name": "found", **sweep},
            {"name": "given", **sweep, "magnitudes": [0, 5, 15, 20, 25, 30, 40, 50], "fit_range": [10, 40]},
            {"name": "both sides", **two},
        ],
        "properties": ["threshold", {"name": "q", "rank": True}],
        "inference": {"fit_range": "auto", "polynomial": 3},
    }
    return {"result": probe(data.sigmoid_told, frame, frame["truth"].to_numpy(), recipe)}


def given_fit_range() -> Results:
    """A given range and a polynomial of order 2, for a property and a sweep, with weights and clusters."""
    return of_patients(
        properties=["age"], perturbations=[AGE], weights="weight", cluster="patient",
        inference={"fit_range": [-15, 45], "polynomial": 2},
    )  # fmt: skip


def family_of_tests() -> Results:
    """Intervals that hold together, and a wider rope."""
    return of_patients(
        properties=["age", "dose", "visits", "site", "lab"], perturbations=[SHIFT, DILUTE], class_test=True,
        inference={"family": True, "rope": 0.05},
    )  # fmt: skip


# --- scores ------------------------------------------------------------------------------------------------


def labels_alone() -> Results:
    """A model that gives labels of three classes."""
    frame = data.patients(300)
    recipe = {"properties": ["age", "site"], "perturbations": [SHIFT, DILUTE], "class_test": True}
    return {"result": probe(data.severity_labels, frame, data.severity(frame), recipe)}


def _bayes(**recipe: Any) -> Results:
    """Evaluate a fitted classifier of three classes."""
    frame = data.patients(300)
    known = frame[["age", "dose", "visits"]]
    model = GaussianNB().fit(known[:150], data.severity(frame)[:150])
    metadata = frame[["site", "lab"]]
    wanted = {"properties": ["age", "site", "lab"], "perturbations": [SHIFT, SCALE], "class_test": True, **recipe}
    return {"result": probe(model, known, data.severity(frame), wanted, metadata=metadata)}


def probabilities_of_three_classes() -> Results:
    """A fitted classifier that is asked for probabilities, with metadata beside its columns."""
    return _bayes(calibration=True)


def correctness() -> Results:
    """Score 1 where the most probable class is right."""
    return _bayes(score="correct")


def top_two() -> Results:
    """Score 1 where the right class is among two."""
    return _bayes(score={"top_k": 2})


def log_loss() -> Results:
    """A score without a lower bound."""
    return _bayes(score="neg_log_loss", allowed_drop={"absolute": 0.1})


def brier_score() -> Results:
    """A score of all classes' probabilities, between -2 and 0."""
    return _bayes(score="neg_brier_score")


def threshold() -> Results:
    """Score 1 where the decision at .3 is right."""
    return of_patients(score={"threshold": 0.3}, properties=["age", "site"], perturbations=[SHIFT, AGE])


def custom_score() -> Results:
    """A function of predictions and targets, which has no bounds."""

    def surprise(predictions: Any, targets: Any) -> Any:
        p = np.asarray(predictions)[np.arange(len(targets)), np.asarray(targets)]
        return np.sqrt(p) - 0.1 * np.log(1.05 - p)

    return of_patients(
        score=surprise, properties=["age", "site"], perturbations=[SHIFT, DILUTE], allowed_drop={"absolute": 0.05}
    )


def _costs(model: Any, **recipe: Any) -> Results:
    frame = data.patients()[["age", "dose", "visits"]]
    site = data.patients()[["site"]]
    wanted = {"properties": ["age", "site"], "perturbations": [SHIFT, SCALE, ROUND], **recipe}
    return {"result": probe(model, frame, data.cost(frame), wanted, task="regressor", metadata=site)}


def absolute_error() -> Results:
    """A regressor and its absolute error."""
    return _costs(data.predicted_cost)


def squared_error() -> Results:
    """A fitted regressor and its squared error, with slices by the site."""
    model = data.fitted_cost(data.patients(200, 5)[["age", "dose", "visits"]])
    return _costs(model, score="neg_squared_error", slices=["site"], allowed_drop={"absolute": 0.2})


# --- weights, clusters, slices -----------------------------------------------------------------------------


def weights() -> Results:
    """A column of weights."""
    return of_patients(
        properties=["age", "lab", "site", {"name": "dose", "rank": True}], perturbations=[SHIFT, DILUTE],
        class_test=True, calibration=True, weights="weight",
    )  # fmt: skip


def balanced_weights() -> Results:
    """Classes that count alike, one of which is rare; slices by class come by themselves."""
    return of_patients(
        440, offset=-2.0, properties=["age", "site"], perturbations=[SHIFT, DILUTE], class_test=True, weights="balanced"
    )


def clusters() -> Results:
    """Four rows of a patient are not independent."""
    return of_patients(
        properties=["age", "lab", "site", {"name": "dose", "rank": True}], perturbations=[SHIFT, DILUTE],
        class_test=True, calibration=True, cluster="patient",
    )  # fmt: skip


def weights_and_clusters() -> Results:
    """Both, with slices and interactions."""
    return of_patients(
        properties=["age", "site"], perturbations=[AGE], weights="weight", cluster="patient",
        slices=["smoker"], interactions=[["age", "age by"], ["site", "age by"]],
    )  # fmt: skip


def clusters_of_one() -> Results:
    """Every row a cluster by itself, and clusters of very unequal sizes."""
    frame = data.patients().assign(row=np.arange(240), clinic=(np.arange(240) ** 0.5).astype(int))
    y, recipe = data.illness(frame), {"properties": ["age", "site"], "perturbations": [DILUTE, SHIFT]}
    alone = probe(data.risk, frame, y, {**recipe, "cluster": "row"})
    return {"row": alone, "clinic": probe(data.risk, frame, y, {**recipe, "cluster": "clinic"})}


def slices() -> Results:
    """Slices by levels, by bins of a number, and by the targets, of every kind of test."""
    return of_patients(
        properties=["dose", "visits"], perturbations=[SHIFT], class_test=True,
        slices=["smoker", {"column": "age", "bins": 3}, {"target": True}],
    )  # fmt: skip


def interactions() -> Results:
    """Every property with every perturbation, two-sided and one-sided, with gaps and ranks."""
    return of_patients(
        properties=["age", "lab", "site", {"name": "dose", "rank": True}], perturbations=[SHIFT, DILUTE],
        interactions=True, slices=False,
    )  # fmt: skip


# --- few examples, rare failures, gaps ---------------------------------------------------------------------


def tiny() -> Results:
    """Twelve examples."""
    return of_patients(12, properties=["age", "smoker"], perturbations=[AGE, DILUTE], class_test=True)


def rare_failures() -> Results:
    """Scores of 0 and 1 of which few change, at some magnitudes of a two-sided and a one-sided sweep."""
    n = 300
    lost = np.where(np.isin(np.arange(n), [20, 71, 150, 231]), 0.3, 0.02)
    frame = data.told_frame(np.where(np.arange(n) % 97 == 3, 0.2, 0.95), lost).assign(
        q=np.random.default_rng(13).random(n), group=np.arange(n) % 5
    )
    recipe = {
        "score": "correct", "properties": ["q", "group"], "class_test": True,
        "perturbations": [LOSE, {**LOSE, "name": "both", "magnitudes": [-2, -1, 0, 1, 2]}],
    }  # fmt: skip
    return {"result": probe(data.told, frame, frame["truth"].to_numpy(), recipe)}


def no_failure() -> Results:
    """Nothing ever changes: every score is 1."""
    frame = data.told_frame(np.full(100, 0.9), 0.01).assign(q=np.arange(100) / 7)
    recipe = {"score": "correct", "properties": ["q"], "perturbations": [LOSE], "class_test": True}
    return {"result": probe(data.told, frame, frame["truth"].to_numpy(), recipe)}


def scores_that_are_missing() -> Results:
    """NaN scores, clean ones and perturbed ones, are dropped and counted; a test without scores fails alone."""

    def careful(frame: pd.DataFrame) -> Any:
        p = data.risk(frame)
        p[(frame["age"] > 72).to_numpy()] = np.nan
        p[(frame["dose"] < 0.4).to_numpy()] = np.nan
        return p

    def blank(frame: pd.DataFrame, p: float) -> pd.DataFrame:
        return frame.assign(age=100.0)

    blanked = {"name": "blank", "apply": blank, "magnitudes": [0, 1, 2], "neutral": 0}
    return of_patients(
        model=careful, properties=["age", "site"], perturbations=[AGE, DILUTE, blanked], cluster="patient",
        missing="drop", on_error="record",
    )  # fmt: skip


def tests_that_fail() -> Results:
    """A perturbation that raises and NaN scores that are not dropped: the others are as they were."""

    def broken(frame: pd.DataFrame, p: float) -> pd.DataFrame:
        raise ValueError(f"no {p:g} here")

    failing = {"name": "broken", "apply": broken, "magnitudes": [1, 2, 3]}
    return of_patients(60, properties=["age"], perturbations=[failing, DILUTE], on_error="record")


# --- some of the examples ----------------------------------------------------------------------------------


def at_most_so_many() -> Results:
    """A seeded sample, stratified by class."""
    return of_patients(500, properties=["age", "site"], perturbations=[SHIFT, DILUTE], max_examples=130, seed=3)


def stopped_early() -> Results:
    """Tests that stop once they are precise, each at a number of its own."""
    rng = np.random.default_rng(14)
    n = 600
    frame = data.told_frame(rng.normal(0.85, 0.05, n), rng.normal(0.03, 0.01, n)).assign(q=rng.random(n))
    wild = {"name": "wild", "apply": lambda x, p: x.assign(at=p * (5 * x["q"] - 2)), "magnitudes": [1, 2, 3]}
    wild["neutral"] = "none"
    recipe = {"properties": ["q"], "perturbations": [LOSE, wild], "precision": 0.04, "class_test": True, "seed": 5}
    return {"result": probe(data.told, frame, frame["truth"].to_numpy(), recipe)}


# --- engines -----------------------------------------------------------------------------------------------


def engine_exact() -> Results:
    """The Bayesian regression by quadrature, with the paper's priors and with others."""
    asked = {"properties": ["lab", "site", {"name": "dose", "rank": True}], "perturbations": [SHIFT, DILUTE]}
    priors = {"slope": {"normal": [0, 0.1]}, "intercept": {"normal": [0.5, 0.2]}, "noise": {"half_normal": 0.5}}
    return {
        "paper": of_patients(**asked, inference={"engine": "exact"})["result"],
        "priors": of_patients(**asked, inference={"engine": "exact", "priors": priors})["result"],
        "slices": of_patients(
            properties=["age"], perturbations=[AGE], slices=["smoker"], inference={"engine": "exact", "family": True},
        )["result"],
    }  # fmt: skip


def engine_pymc() -> Results:
    """The Bayesian regression by sampling, few draws of a fixed seed."""
    return of_patients(
        properties=["age"], perturbations=[DILUTE],
        inference={"engine": "pymc", "draws": 200, "tune": 300, "chains": 2},
    )  # fmt: skip


# --- predictions that were recorded ------------------------------------------------------------------------


def recorded_predictions() -> Results:
    """Probabilities, labels, numbers and scores that were recorded; no model is asked."""
    frame = data.patients()
    y, recipe = data.illness(frame), {"properties": ["age", "site"]}
    p = data.risk(frame)
    own = pd.Series(np.sin(np.arange(240)) + 0.02 * frame["age"])
    return {
        "probabilities": probe(None, frame, y, {**recipe, "class_test": True, "slices": ["smoker"]}, predictions=p),
        "labels": probe(None, frame, y, recipe, predictions=(p[:, 1] > 0.4).astype(int)),
        "numbers": probe(
            None,
            frame,
            data.cost(frame),
            {"properties": ["age"]},
            predictions=data.predicted_cost(frame),
            task="regressor",
        ),
        "scores": probe(None, frame, y, {"properties": ["age"], "output": "score"}, predictions=own),
    }
