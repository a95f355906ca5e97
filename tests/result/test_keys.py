"""The table of metric keys: every entry has everything, and what reads the table agrees with it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest

from mlflow_sensie import Result, probe
from mlflow_sensie.recipe.model import RESERVED
from mlflow_sensie.result.keys import (
    CLEAN_KEYS,
    ESSENTIAL,
    HEADLINES,
    KEYS,
    METRIC_KEYS,
    OVERVIEW,
    WORST,
    Kind,
    MetricKey,
    essential_of,
)

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
KINDS = get_args(Kind)


@pytest.fixture(scope="module")
def result() -> Result:
    """A result with a test of every kind, and with every quantity that a test can have."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=200), "site": rng.choice(["x", "y", "z"], 200)})
    y = (X["a"] + rng.normal(size=200) > 0).astype(int).to_numpy()
    recipe: dict[str, Any] = {
        "properties": ["a", "site"],
        "class_test": True,
        "calibration": True,
        "perturbations": [{"name": "shift", "apply": "tabular.shift", "magnitudes": [-1, 0, 1]}],
    }
    return probe(lambda inputs: 1 / (1 + np.exp(-2 * inputs["a"].to_numpy())), X, y, recipe)


@pytest.mark.parametrize("key", [*KEYS, *METRIC_KEYS, *OVERVIEW], ids=lambda key: key.name)
def test_every_key_says_all_that_is_to_be_said(key: MetricKey) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]*", key.name) and key.meaning
    assert set(key.kinds) <= set(KINDS) and set(key.essential) <= set(key.kinds)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_each_key_once_and_its_headline(kind: str) -> None:
    names = [key.name for key in KEYS if kind in key.kinds]
    assert len(set(names)) == len(names)
    assert {HEADLINES[kind], "ok", "n"} <= set(names)
    assert HEADLINES[kind] in ESSENTIAL[kind] < set(names)


def test_the_decision_is_a_number(result: Result) -> None:
    numbers = {"sensitive": 1.0, "undecided": 0.0, "negligible": -1.0}
    decisions = {name: test.fit.decision for name, test in result.tests.items()}
    assert len(set(decisions.values())) > 1
    for name, decision in decisions.items():
        assert result.metrics[f"sensie/{name}/sensitive"] == numbers[decision]


def test_a_run_gets_the_essential_keys_or_all(result: Result) -> None:
    everything = result.model_copy(update={"recipe": {**result.recipe, "keys": "all"}})
    for test in result.tests.values():
        names = essential_of(test.kind, test.metric_fits)
        assert ESSENTIAL[test.kind] <= names
        essential = {name: value for name, value in test.metrics.items() if name in names}
        assert on_run(result, test.slug) == essential
        assert on_run(everything, test.slug) == test.metrics


def on_run(result: Result, slug: str) -> dict[str, float]:
    root = f"sensie/{slug}/"
    return {key.removeprefix(root): value for key, value in result.metrics.items() if key.startswith(root)}


def test_the_keys_are_read_off_every_kind_of_fit(result: Result) -> None:
    assert {test.kind for test in result.tests.values()} == set(KINDS)
    for test in result.tests.values():
        of_metrics = {
            f"{name}_{key.name}" for name in test.metric_fits for key in METRIC_KEYS if test.kind in key.kinds
        }
        assert set(test.metrics) == {key.name for key in KEYS if test.kind in key.kinds} | of_metrics
    assert list(result.metric_estimates) == ["skill", "roc_auc", "balanced_accuracy"]
    assert {"sensie/clean_roc_auc", "sensie/clean_roc_auc_lo95", "sensie/clean_roc_auc_hi95"} <= set(result.metrics)
    assert {f"sensie/{key.name}" for key in OVERVIEW} <= set(result.metrics)
    assert all(type(value) is float and np.isfinite(value) for value in result.metrics.values())


def test_the_overview_is_of_keys_that_there_are() -> None:
    for name, kinds in WORST.items():
        assert all(any(key.name == name and kind in key.kinds for key in KEYS) for kind in kinds)
    assert [kind for kinds in WORST.values() for kind in kinds] == list(HEADLINES)


def test_no_test_may_take_the_name_of_an_overview_key() -> None:
    assert {key.name for key in OVERVIEW} <= RESERVED


def rows() -> Iterator[str]:
    """The rows of the page, as the table of keys has them."""

    def listed(kinds: tuple[Kind, ...]) -> str:
        return "all" if set(kinds) == set(KINDS) else ", ".join(kinds)

    for key in KEYS:
        yield f"| `{key.name}` | {listed(key.kinds)} | {listed(key.essential)} | {key.unit} | {key.meaning} |"
    for key in METRIC_KEYS:
        yield f"| `<metric>_{key.name}` | {listed(key.kinds)} | {listed(key.essential)} | {key.unit} | {key.meaning} |"
    for key in OVERVIEW:
        yield f"| `{key.name}` | whole result | whole result | {key.unit} | {key.meaning} |"
    for end, _ in CLEAN_KEYS:
        bound = {"_lo95": "lower", "_hi95": "upper"}.get(end)
        meaning = f"{bound} end of its 95 % interval" if bound else "the metric of the unperturbed examples"
        yield f"| `clean_<metric>{end}` | whole result | whole result | metric | {meaning} |"


def test_the_page_has_the_table_of_the_keys() -> None:
    wanted = "\n".join(rows())
    assert wanted in PAGE.read_text(encoding="utf-8"), f"docs/metrics.md: put in\n{wanted}"
