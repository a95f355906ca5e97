"""Results of models whose score of every example, clean and perturbed, the test says itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from mlflow_sensie import Result, probe
from mlflow_sensie.gate import judge
from mlflow_sensie.recipe.reading import load_gate
from mlflow_sensie.recipe.rules import Rule
from mlflow_sensie.result.verdict import Judgement


def use(inputs: pd.DataFrame, p: float) -> pd.DataFrame:
    """The perturbation: the score is that of column p."""
    return inputs.assign(**{"0": inputs[f"{p:g}"]})


def predict(inputs: pd.DataFrame) -> NDArray[np.float64]:
    """Probability of class 1, so that the score is column 0."""
    right = inputs["0"].to_numpy(float)
    return np.where(inputs["truth"] == 1, right, 1 - right)


def made(scores: ArrayLike, name: str = "model", metadata: dict[str, Any] | None = None, **recipe: Any) -> Result:
    """The result of scores (n, 1 + J) in [0, 1]: clean, then at the magnitudes 1 to J of a test "sweep"."""
    rows = np.asarray(scores, float)
    rows = rows[:, None] if rows.ndim == 1 else rows
    X = pd.DataFrame(rows, columns=[str(j) for j in range(rows.shape[1])]).assign(truth=np.arange(len(rows)) % 2)
    magnitudes = list(range(1, rows.shape[1]))
    sweep = {"name": "sweep", "apply": use, "magnitudes": magnitudes, "neutral": 0}
    wanted = {**({"perturbations": [sweep]} if len(magnitudes) > 1 else {"class_test": True}), **recipe}
    result = probe(predict, X.assign(**(metadata or {})), X["truth"].to_numpy(), wanted)  # of inputs unexpected is said
    assert result.score_table is not None
    digest = f"{len(rows)} rows"  # the inputs are the scores, but of the same examples
    result.score_table.metadata["data_sha256"] = digest
    return result.model_copy(update={"model_name": name, "data_sha256": digest})


def rules(*given: dict[str, Any]) -> tuple[Rule, ...]:
    """The rules of a gate, as a recipe reads them."""
    return load_gate(given)


def judged(result: Result, gate: tuple[Rule, ...], baseline: Result | None = None, **more: Any) -> list[Judgement]:
    """What the rules of a gate come to, without the first one, which nobody has to write."""
    skill, *judgements = judge(result, gate, baseline, **more).judgements
    assert (skill.rule, skill.metric, skill.limit) == ("skill at least 0", "skill", 0)
    return judgements
