"""A recipe with a gate, in a notebook and through MLflow: the baseline beside the model, and the verdict on the run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from flavours.logged import draw_nothing, evaluate, log_model
from mlflow.models import infer_signature
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mlflow_sensie import Result, probe
from mlflow_sensie.data.sources import Data
from mlflow_sensie.doors.probe import prepare_both
from mlflow_sensie.evaluation.inputs import EvaluationRequest
from mlflow_sensie.recipe.reading import load_recipe
from mlflow_sensie.result.verdict import Verdict

CLEAN: dict[str, Any] = {"name": "clean", "metric": "clean_score", "versus": "baseline", "worse_by_at_most": 0.02}
DROP: dict[str, Any] = {
    "name": "drop", "kind": "perturbation", "metric": "mean_drop", "versus": "baseline", "worse_by_at_most": 0.02,
}  # fmt: skip
NOISE: dict[str, Any] = {"perturbations": [{"name": "noise", "apply": "tabular.noise", "magnitudes": [0.5, 1.0]}]}


def data(n: int = 600) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(n, 3)), columns=["a", "b", "c"])
    return X.assign(y=(X["a"] + X["b"] + rng.normal(size=n) > 0).astype(int))


def fitted(features: list[str], C: float = 1.0) -> Any:
    train = data(2000)[1000:]
    return make_pipeline(StandardScaler(), LogisticRegression(C=C)).fit(train[features], train["y"])


def saved(model: Any, features: list[str], path: Path) -> str:
    signature = infer_signature(data()[features])
    mlflow.sklearn.save_model(model, str(path), signature=signature, pip_requirements=["scikit-learn"])
    return str(path)


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> str:
    return saved(fitted(["a", "b", "c"]), ["a", "b", "c"], tmp_path_factory.mktemp("models") / "champion")


def probed(model: Any, baseline: str, **recipe: Any) -> Result:
    frame = data()
    wanted = {**NOISE, "gate": [CLEAN, DROP], "baseline": baseline, **recipe}
    return probe(model, frame.drop(columns="y"), frame["y"].to_numpy(), wanted)


def outcomes(result: Result) -> dict[str, str]:
    assert result.verdict is not None
    skill, *others = result.verdict.judgements
    assert (skill.rule, skill.outcome) == ("skill at least 0", "pass")
    return {each.rule: each.outcome for each in others}


# --- in a notebook -----------------------------------------------------------------------------------------


def test_a_verdict_comes_with_the_result(champion: str) -> None:
    found = probed(fitted(["a", "b", "c"], C=0.5), champion)
    assert found.verdict is not None and found.verdict.passed
    assert found.verdict.baseline == champion
    assert outcomes(found) == {"clean": "pass", "drop": "pass"}
    assert Result.from_json(found.to_json()).verdict == found.verdict
    assert found.recipe["gate"][0]["name"] == "clean" and found.recipe["baseline"] == champion


def test_a_worse_model_fails_and_the_evaluation_goes_on(champion: str) -> None:
    found = probed(fitted(["a", "b", "c"], C=0.001), champion)
    assert outcomes(found)["clean"] == "fail" and found.status == "done"


def test_without_a_baseline_a_rule_against_one_fails() -> None:
    frame = data()
    gate = [CLEAN, {"metric": "clean_score", "at_least": 0.5}]
    found = probe(fitted(["a", "b"]), frame[["a", "b"]], frame["y"].to_numpy(), {**NOISE, "gate": gate})
    assert list(outcomes(found).values()) == ["fail", "pass"]
    assert found.verdict is not None and "there is no baseline" in found.verdict.reasons[0]


def test_a_challenger_with_other_features_is_paired_with_the_champion(champion: str, tmp_path: Path) -> None:
    narrow = saved(fitted(["a", "b"]), ["a", "b"], tmp_path / "narrow")
    found = probed(narrow, champion)
    assert outcomes(found)["clean"] == "pass"


def test_a_baseline_that_cannot_be_opened_is_an_error_before_anything_is_computed(tmp_path: Path) -> None:
    predicted: list[int] = []

    def counted(x: Any) -> Any:
        predicted.append(len(x))
        return np.full(len(x), 0.5)

    with pytest.raises(Exception, match="nowhere"):
        probed(counted, str(tmp_path / "nowhere"))
    assert predicted == []


def test_a_test_that_fails_on_the_baseline_alone_fails_its_rule(champion: str, tmp_path: Path) -> None:
    def not_with_c(inputs: pd.DataFrame, p: float) -> pd.DataFrame:
        assert "c" not in inputs, "what is c?"
        return inputs + p

    narrow = saved(fitted(["a", "b"]), ["a", "b"], tmp_path / "narrow")
    found = probed(narrow, champion, perturbations=[{"name": "drift", "apply": not_with_c, "magnitudes": [1, 2]}])
    assert found.status == "done" and outcomes(found) == {"clean": "pass", "drop": "fail"}
    assert found.verdict is not None and "it failed on A" in found.verdict.reasons[0]


def test_auto_chooses_for_the_baseline(tmp_path: Path) -> None:
    """With more columns than tests each model would be asked about its own; so the champion decides."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(300, 30)), columns=[f"c{i}" for i in range(30)])
    models = []
    for columns in (X.columns[:12], X.columns[-12:]):
        y = (X[columns].sum(axis=1) > 0).astype(int)
        models.append(RandomForestClassifier(20, random_state=0).fit(X, y))
    uri = str(tmp_path / "model")
    mlflow.sklearn.save_model(
        models[0],
        uri,
        signature=infer_signature(X),
        pip_requirements=["scikit-learn"],
        serialization_format="cloudpickle",
    )
    alone = [prepare_both(EvaluationRequest(model, Data(X, y), load_recipe("auto")))[0].recipe for model in models]
    recipe = load_recipe({"gate": [CLEAN], "baseline": uri})
    ours, theirs = prepare_both(EvaluationRequest(models[1], Data(X, y), recipe))
    assert alone[0].properties != alone[1].properties
    assert theirs is not None
    assert ours.recipe.properties == theirs.recipe.properties == alone[0].properties
    assert ours.recipe.digest() == theirs.recipe.digest()
    assert ours.recipe.gate == recipe.gate and theirs.recipe.gate is None


# --- through MLflow ----------------------------------------------------------------------------------------


def test_the_verdict_is_on_the_run(champion: str, experiment_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    draw_nothing(monkeypatch)
    features = ["a", "b", "c"]
    logged = log_model(mlflow.sklearn.log_model, fitted(features, C=0.001), signature=infer_signature(data()[features]))
    recipe = {**NOISE, "gate": [CLEAN, DROP], "baseline": champion}
    with pytest.warns(UserWarning, match="sensie: the gate says fail: clean_score is worse by"):
        done = evaluate(logged.model_uri, data(), recipe, targets="y")
    assert done.run.data.tags["sensie_verdict"] == "fail"
    text = mlflow.artifacts.load_text(f"{done.run.info.artifact_uri}/sensie/verdict.json")
    assert Verdict.from_json(text) == done.result().verdict
    assert done.returned.artifacts["sensie/verdict.json"].content == json.loads(text)
    assert all("gate" not in key and "verdict" not in key for key in done.ours)


def test_a_gate_alone_is_a_config_of_ours(champion: str, experiment_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    draw_nothing(monkeypatch)
    features = ["a", "b", "c"]
    logged = log_model(mlflow.sklearn.log_model, fitted(features), signature=infer_signature(data()[features]))
    config = {"sensie": {"gate": [CLEAN], "baseline": champion}}
    done = evaluate(logged.model_uri, data(), targets="y", evaluators=None, evaluator_config=config)
    assert done.run.data.tags["sensie_verdict"] == "pass"
