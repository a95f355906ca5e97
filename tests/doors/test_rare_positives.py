"""9 % positives: a constant, whose mean probability of the right class is higher than a model's, is not promoted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from flavours.logged import log_model
from mlflow.models import infer_signature
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from doors.registered import alias, register
from mlflow_sensie import Result, probe
from mlflow_sensie.doors.cli import main
from mlflow_sensie.gate import judge
from mlflow_sensie.text.findings import findings

FEATURES = ["a", "b", "c"]
GATE = """
perturbations: [{name: noise, apply: tabular.noise, magnitudes: [0.5, 1.0]}]
gate: [{metric: clean_score, versus: baseline, worse_by_at_most: 0.02}]
"""
CONSTANT, BETTER = "2", "3"


def table(seed: int, n: int = 2000) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(rng.normal(size=(n, 3)), columns=FEATURES)
    chance = 1 / (1 + np.exp(3.0 - X["a"] - X["b"]))
    return X.assign(y=(rng.random(n) < chance).astype(int))


def constant() -> DummyClassifier:
    train = table(1)
    return DummyClassifier(strategy="most_frequent").fit(train[FEATURES], train["y"])


@pytest.fixture
def uris(experiment_id: str) -> list[str]:
    """A working champion, which sees one column, a constant, and a better model."""
    train = table(1)
    weak = LogisticRegression().fit(train[FEATURES], train["y"])
    weak.coef_ = weak.coef_ * [[1, 0.2, 0]]
    models: list[Any] = [weak, constant(), LogisticRegression().fit(train[FEATURES], train["y"])]
    signature = infer_signature(train[FEATURES])
    return [log_model(mlflow.sklearn.log_model, model, signature=signature).model_uri for model in models]


@pytest.fixture
def check(uris: list[str], tmp_path: Path) -> Any:
    """Check a version against the champion by a recipe, through the command line; exit code, output and alias."""
    name = f"rare-{tmp_path.name}"
    register(name, uris)
    data, gate = tmp_path / "test.parquet", tmp_path / "gate.yaml"
    table(0).to_parquet(data)
    gate.write_text(GATE)

    def run(version: str, recipe: str) -> tuple[int, str, str | None]:
        words = ["check", f"models:/{name}/{version}", "--baseline", f"models:/{name}@champion", "--data", str(data)]
        words += ["--targets", "y", "--recipe", str(gate) if recipe == "gate.yaml" else recipe, "--promote", "champion"]
        done = CliRunner().invoke(main, words)
        return done.exit_code, done.output, alias(name)

    return run


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["gate.yaml", "promotion"])
def test_a_constant_is_not_promoted_and_a_better_model_is(check: Any, recipe: str) -> None:
    code, text, champion = check(CONSTANT, recipe)
    assert (code, champion) == (1, "1"), text
    assert "worse than the best constant prediction with probability above .999" in text
    code, text, champion = check(BETTER, recipe)
    assert (code, champion) == (0, BETTER), text


def test_by_the_score_alone_the_constant_would_have_passed() -> None:
    """What the rule is for: the rule on the score, unweighted, is kept."""
    train, test = table(1), table(0)
    weak = LogisticRegression().fit(train[FEATURES], train["y"])
    new, old = (probe(model, test[FEATURES], test["y"], {"class_test": True}) for model in (constant(), weak))
    skill, score = judge(
        new, [{"metric": "clean_score", "versus": "baseline", "worse_by_at_most": 0.02}], old
    ).judgements
    assert (skill.outcome, score.outcome) == ("fail", "pass")
    assert skill.value == pytest.approx(-0.1, abs=0.03)


@pytest.fixture(scope="module")
def permuted() -> Result:
    train, test = table(1), table(0)
    model = RandomForestClassifier(200, min_samples_leaf=5, random_state=0).fit(train[FEATURES], train["y"])
    sweep = {"name": "permute", "apply": "tabular.permute", "magnitudes": [0, 0.25, 0.5, 0.75, 1]}
    return probe(model, test[FEATURES], test["y"], {"perturbations": [sweep], "weights": "auto"})


def test_permuting_every_column_is_sensitive_and_keeps_nothing(permuted: Result) -> None:
    test = permuted.tests["permute"]
    auc, skill = (test.metric_fits[name] for name in ("roc_auc", "skill"))
    assert 0.07 < table(0)["y"].mean() < 0.11
    assert test.fit.decision == "sensitive"
    assert auc.values[0] > 0.7 and auc.values[-1] == pytest.approx(0.5, abs=0.05)
    assert skill.values[0] > 0.05 and skill.values[-1] <= 0
    assert test.fit.holds_until < 0.1 and not test.fit.censored
    assert not any(word in finding.text for finding in findings(permuted) for word in ("keep", "kept", "whole range"))
