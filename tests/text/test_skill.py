"""What is said of a model's skill, in every case, and of what it keeps of it."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlflow_sensie import Result, probe
from mlflow_sensie.inference import Interval, MagnitudeGrid
from mlflow_sensie.inference.metric_fits import MetricEstimate, MetricSample, MetricSweep, metric_sweep
from mlflow_sensie.result import ScoreInfo, TestResult
from mlflow_sensie.scores.scorer import LABELS_ALONE
from mlflow_sensie.text.findings import findings
from mlflow_sensie.text.sentences import sentence, subtitle
from mlflow_sensie.text.skill import metric_label, metric_rows, skill_sentence
from tests.plots.cases import make_result, sweep


def estimate(name: str, value: float, half: float, no_skill: float | None = 0.0) -> MetricEstimate:
    interval = Interval(value, value - half / 2, value + half / 2, value - half, value + half)
    flags = ("no_skill",) if name == "skill" and value <= half else ()
    return MetricEstimate(name, value, interval, no_skill, 900, None, flags)


def result_of(
    skill: tuple[float, float] | None, clean: float, constant: float | None, kind: str = "probability",
    unit: str = "probability", metrics: dict[str, float] | None = None, **more: Any,
) -> Result:  # fmt: skip
    bounds = (0.0, 1.0) if kind in ("probability", "correct", "agreement") else (None, 0.0)
    lower, upper = more.pop("bounds", bounds)
    metrics = {"roc_auc": 0.73} if metrics is None and kind == "probability" else metrics or {}
    estimates = {} if skill is None else {"skill": estimate("skill", *skill)}
    estimates |= {name: estimate(name, value, 0.02, 0.5) for name, value in metrics.items()}
    half = 0.01 * abs(clean)
    return make_result(score=ScoreInfo(kind=kind, lower=lower, upper=upper, unit=unit, source="predict")).model_copy(
        update={
            "clean": Interval(clean, clean - half / 2, clean + half / 2, clean - half, clean + half),
            "no_skill_score": constant, "metric_estimates": estimates, **more,
        }
    )  # fmt: skip


IMPROPER = "by the mean probability of the correct class"


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (
            result_of((0.17, 0.05), 0.863, 0.911),
            "skill 0.17 [0.12, 0.22] of 1: better than a constant; " + IMPROPER + " a constant would look better "
            "(0.911, this model 0.863), so read the skill and AUC.",
        ),
        (
            result_of((0.5, 0.05), 0.95, 0.911, metrics={}),
            "skill 0.50 [0.45, 0.55] of 1: better than a constant; mean probability of the correct class 0.950, the "
            "best constant's 0.911.",
        ),
        (
            result_of((-0.2, 0.05), 0.863, 0.911),
            "skill −0.20 [−0.25, −0.15] of 1: worse than a constant; mean probability of the correct class 0.863, the "
            "best constant's 0.911.",
        ),
        (
            result_of((-0.2, 0.05), 0.93, 0.91),
            "skill −0.20 [−0.25, −0.15] of 1: worse than a constant; " + IMPROPER + " it would look better (0.930, "
            "the best constant 0.910), so read the skill and AUC.",
        ),
        (
            result_of((0.01, 0.05), 0.5, 0.5, metrics={}),
            "skill 0.01 [−0.04, 0.06] of 1: not told apart from a constant; mean probability of the correct class "
            "0.500, the best constant's 0.500.",
        ),
        (
            result_of((0.44, 0.1), 0.72, 0.5, "correct", "accuracy", {"balanced_accuracy": 0.72},
                      warnings=(LABELS_ALONE,)),
            "skill 0.44 [0.34, 0.54] of 1 by its labels alone (balanced accuracy 0.72, a constant's 0.5): better than "
            "a constant; accuracy 0.72, the best constant's 0.50.",
        ),
        (
            result_of((0.68, 0.04), -812.4, -2500.2, "neg_absolute_error", "dollars"),
            "it errs by 812 in dollars on average, the best constant by 2,500: skill 0.68 [0.64, 0.72] of 1, better "
            "than a constant.",
        ),
        (
            result_of((-0.1, 0.04), -0.31, -0.27, "neg_absolute_error", "target unit"),
            "it errs by 0.31 in the target's unit on average, the best constant by 0.27: skill −0.10 [−0.14, −0.06] of "
            "1, worse than a constant.",
        ),
        (
            result_of((0.6, 0.1), -4.0, -10.0, "neg_squared_error", "price²"),
            "its squared error is 4 (price²) on average, the best constant's 10: skill 0.60 [0.50, 0.70] of 1, better "
            "than a constant.",
        ),
        (
            result_of((0.6, 0.1), -0.12, -0.3, "neg_relative_error", "relative error"),
            "it errs by 12 % of the target on average, the best constant by 30 %: skill 0.60 [0.50, 0.70] of 1, better "
            "than a constant.",
        ),
        (
            result_of((0.6, 0.1), -0.12, -0.3, "neg_log_error", "log ratio"),
            "it errs by 0.12 in the logarithm on average, the best constant by 0.3: skill 0.60 [0.50, 0.70] of 1, "
            "better than a constant.",
        ),
        (
            result_of((0.6, 0.1), -2.0, -5.0, "quantile", "dollars"),
            "its pinball loss is 2 in dollars on average, the best constant's 5: skill 0.60 [0.50, 0.70] of 1, better "
            "than a constant.",
        ),
        (
            result_of((0.4, 0.1), 0.7, 0.5, "custom: IoU", "IoU", bounds=(0.0, 1.0)),
            "skill 0.40 [0.30, 0.50] of 1: better than a constant; IoU 0.70, the best constant's 0.50.",
        ),
        (
            result_of(None, 0.7, None, "custom", "score", bounds=(None, None)),
            "skill is undefined: the score declares no upper bound and no no-skill score.",
        ),
        (
            result_of(None, 0.7, None, "custom", "score", bounds=(0.0, 1.0)),
            "skill is undefined: the score declares no no-skill score.",
        ),
        (
            result_of(None, 0.97, None, "agreement", "agreement"),
            "skill is undefined: the model is scored against its own clean answers, and no constant is.",
        ),
        (
            result_of(None, 0.97, 1.0, metrics={}),
            "skill is undefined: these examples do not tell it, as where all targets are alike.",
        ),
        (result_of(None, 0.97, None, metrics={}, schema_version=1), ""),
    ],
)  # fmt: skip
def test_the_first_line(result: Result, text: str) -> None:
    assert skill_sentence(result) == text


@pytest.mark.parametrize(("value", "bad"), [(0.17, False), (0.0, True), (-0.3, True)])
def test_no_skill_is_the_first_bad_news(value: float, bad: bool) -> None:
    result = result_of((value, 0.05), 0.86, 0.91)
    first = [(finding.name, finding.tone, finding.text) for finding in findings(result)][:1]
    assert first == ([("skill", "bad", skill_sentence(result))] if bad else [])
    for page in (result._repr_html_(), result.html()):
        assert html.unescape(page).replace("\u00a0", " ").count(f"{skill_sentence(result)}</") == 1


def test_metrics_stand_below_each_other_the_headline_first() -> None:
    result = result_of((0.17, 0.05), 0.863, 0.911).model_copy(update={"recipe": {"headline": "roc_auc"}})
    assert [row.name for row in metric_rows(result)] == ["roc_auc", "score", "skill"]
    auc = metric_rows(result)[0]
    assert (auc.label, auc.value, auc.interval, auc.constant) == ("ROC AUC", "0.730", "0.710 to 0.750", "0.5")


def test_what_is_not_promised_is_said_beside_it() -> None:
    result = result_of((0.17, 0.05), 0.863, 0.911)
    few = {"roc_auc": replace(result.metric_estimates["roc_auc"], flags=("few_of_a_class",), interval=None)}
    row = next(row for row in metric_rows(result.model_copy(update={"metric_estimates": few})) if row.name == "roc_auc")
    assert row.interval == "" and row.note == "under 10 examples of a class: the interval is not promised"


@pytest.mark.parametrize(
    ("name", "label"), [("mae", "mean absolute error"), ("f1-cat", "F1 of cat"), ("profit", "profit"), ("a-b", "a-b")]
)
def test_metrics_have_labels(name: str, label: str) -> None:
    assert metric_label(name) == label


# --- what is kept of it ------------------------------------------------------------------------------------


def skill_over(values: list[float], magnitudes: list[float], half: float = 0.02, drop: float = 0.1) -> MetricSweep:
    """Follow a skill of these values at the clean inputs and the magnitudes, known to about ``half``."""
    rng = np.random.default_rng(0)
    rows = np.array(values) + half * np.sqrt(2000) / 2 * rng.standard_normal((2000, 1)) * np.ones(len(values))
    rows += np.array(values) - rows.mean(axis=0)
    sample = MetricSample("skill", rows.mean(axis=0), rows, "mean", 2000, upper=1.0, no_skill=0.0)
    fit = metric_sweep(sample, MagnitudeGrid.of(magnitudes, 0.0), allowed_drop=drop)
    assert fit is not None
    return fit


def kept(skill: MetricSweep | None, magnitudes: list[float], drop: Any = 0.1, slope: float = 0.0) -> tuple[str, str]:
    """Say a test's sentence and subtitle whose skill is this, and whose mean score falls by ``slope`` per unit."""
    allowed = ("absolute", drop["absolute"]) if isinstance(drop, dict) else drop
    fit = sweep(magnitudes, lambda p: 0.9 - slope * abs(p), allowed_drop=allowed)
    if skill is not None and not isinstance(drop, dict):
        fit = fit.held_by(skill.sides, no_skill="no_skill" in skill.flags, lost=False)
    metrics: dict[str, Any] = {} if skill is None else {"skill": skill}
    test = TestResult(name="blur", slug="blur", kind="perturbation", unit="px", fit=fit, metric_fits=metrics)
    result = make_result(test).model_copy(update={"recipe": {"perturbations": [], "allowed_drop": drop}})
    return sentence(result, test), ", ".join(subtitle(test))


ONE, TWO = [2.0, 4.0, 6.0], [-4.0, -2.0, 2.0, 4.0]


@pytest.mark.parametrize(
    ("values", "magnitudes", "pattern"),
    [
        ([0.5, 0.49, 0.4, 0.1], ONE, r"; the model keeps 90 % of its skill up to 2\.\d+ px \(95 % sure to [12]\.\d+\);"
                                     r" at 6 px skill is 0\.10 \(clean 0\.50\)\.$"),
        ([0.5, 0.5, 0.5, 0.5], ONE, r"; the model keeps 90 % of its skill (up to at least 6 px|over the whole range)"),
        ([0.5, 0.1, 0.1, 0.1], ONE, r"; the model keeps 90 % of its skill up to 0\.25 px \(95 % sure to 0\.\d+\)"),
        ([0.5, 0.1, 0.48, 0.48, 0.1], TWO, r"keeps 90 % of its skill from −2\.\d+ to 2\.\d+ px \(95 % sure from −"),
        ([0.5, 0.4, 0.1, -0.1], ONE, r"; more than 10 % of the model's skill is lost beyond 1(\.\d+)? px \(95 % "
                                      r"sure: not before [01]\.\d+\); at 6 px skill is −0\.10 \(clean 0\.50\)\.$"),
        ([0.5, -0.1, 0.48, 0.48, 0.1], TWO,
         r"; more than 10 % of the model's skill is lost outside −2\.\d+ to 2\.\d+ px \(95 % sure: not within −"),
        ([0.0, 0.0, 0.0, 0.0], ONE, r"; the model has no skill to keep\.$"),
        ([-0.3, -0.3, -0.4, -0.5], ONE, r"; the model has no skill to keep\.$"),
        ([0.01, 0.0, 0.0, -0.1], ONE, r"; the model has no skill to keep\.$"),
        ([0.001, 0.0, 0.0, 0.0], ONE, r"; the model has no skill to keep\.$"),
    ],
)  # fmt: skip
def test_what_is_kept_of_skill(values: list[float], magnitudes: list[float], pattern: str) -> None:
    text, figure = kept(skill_over(values, magnitudes), magnitudes)
    assert re.search(pattern, text), text
    assert ("no skill to keep" in text) == ("no skill to keep" in figure)
    assert ("keeps" in text) == ("no skill" not in text and "is lost" not in text)


@pytest.mark.parametrize(
    ("skill", "drop", "slope", "pattern"),
    [
        (None, 0.1, 0.0, r", and keeps 90 % of its value (over the whole range|up to at least 6 px)"),
        (None, {"absolute": 0.05}, 0.1, r", and stays within 0\.05 of the clean score up to 0\.\d+ px \(95 % sure"),
        ([0.5, 0.4, 0.3, 0.2], {"absolute": 0.05}, 0.1, r"stays within 0\.05 of the clean score up to 0\.\d+ px"),
        ([0.0, 0.0, 0.0, 0.0], {"absolute": 0.05}, 0.0, r"; but the model has no skill to keep\.$"),
    ],
)  # fmt: skip
def test_what_is_kept_of_the_score(skill: list[float] | None, drop: Any, slope: float, pattern: str) -> None:
    text, _ = kept(None if skill is None else skill_over(skill, ONE), ONE, drop, slope)
    assert re.search(pattern, text), text
    assert "of its skill" not in text


def rare(n: int = 3000) -> tuple[Any, pd.DataFrame, Any]:
    """Make examples of which 9 % are positive, and a calibrated model of them."""
    rng = np.random.default_rng(3)
    X = pd.DataFrame(rng.normal(size=(n, 2)), columns=["a", "b"])

    def probability(inputs: pd.DataFrame) -> Any:
        return 1 / (1 + np.exp(2.6 - inputs["a"] - 0.3 * inputs["b"]))

    return probability, X, (rng.random(n) < probability(X)).astype(int).to_numpy()


PERMUTE = {"perturbations": [{"name": "tabular.permute", "magnitudes": [0.25, 0.5, 0.75, 1.0]}]}


def test_a_model_whose_skill_is_lost_is_sensitive_however_little_the_score_changes() -> None:
    model, X, y = rare()
    result = probe(model, X, y, PERMUTE)
    fit = result.tests["tabular.permute"].fit
    assert fit.mean_drop.value < fit.rope and fit.decision == "sensitive"
    text = findings(result)[0].text
    assert re.search(
        r"; more than 10 % of the model's skill is lost beyond rate 0\.\d+ \(95 % sure: not before 0\.?\d*\); "
        r"at rate \S+ skill is −?0\.\d+ .*ROC AUC is 0\.5",
        text,
    )
    assert not re.search(r"keep|kept", " ".join(finding.text for finding in findings(result)))
    assert "a constant would look better" in skill_sentence(result)


def test_of_a_constant_nothing_is_said_to_be_kept() -> None:
    _, X, y = rare()
    result = probe(lambda inputs: np.full(len(inputs), 0.09), X, y, PERMUTE)
    texts = [finding.text for finding in findings(result)]
    assert findings(result)[0].name == "skill" and "keeps" not in " ".join(texts) + result.html().split("<pre>")[0]
    assert any("the model has no skill to keep" in text for text in texts)
