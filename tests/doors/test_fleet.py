"""Many checks from one file: what it may say, what each comes to, and aliases that need all of a model's checks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from doors.registered import RECIPE, Models, alias, data, tags
from mlflow_sensie.doors.checking import CheckRequest
from mlflow_sensie.doors.fleet import check_fleet, load_fleet
from mlflow_sensie.errors import RecipeError


def written(folder: Path, *checks: Any, **more: Any) -> Path:
    path = folder / "checks.yaml"
    path.write_text(yaml.safe_dump({"checks": list(checks), **more}))
    return path


def test_lists_are_multiplied_and_named(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        {"model": ["models:/a/1", "models:/b/2"], "data": ["eu.csv", "us.csv"], "recipe": ["promotion", "strict.yaml"]},
        {"model": "models:/c@new", "data": "/abs/us.csv", "name": "just c", "targets": "z", "promote": "champion"},
        defaults={"targets": "y", "baseline": "models:/a@champion"},
    )
    found = load_fleet(path)
    assert [request.name for request in found] == [
        "models:/a/1 eu promotion", "models:/a/1 eu strict", "models:/a/1 us promotion", "models:/a/1 us strict",
        "models:/b/2 eu promotion", "models:/b/2 eu strict", "models:/b/2 us promotion", "models:/b/2 us strict",
        "just c",
    ]  # fmt: skip
    assert found[1] == CheckRequest(
        model="models:/a/1", baseline="models:/a@champion", data=str(tmp_path / "eu.csv"), targets="y",
        recipe=str(tmp_path / "strict.yaml"), promote=None, model_type=None, name="models:/a/1 eu strict",
    )  # fmt: skip
    assert (found[0].recipe, found[-1].data, found[-1].promote) == ("promotion", "/abs/us.csv", "champion")
    assert found[-1].targets == "z"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1, 2]", "a mapping with a list of 'checks' is needed"),
        ("checks: {model: a}", "a mapping with a list of 'checks' is needed"),
        ("checks: []", "a list of 'checks' is needed, at least one"),
        ("checks: [{model: m}]", "checks.0.data: Field required. A check has the keys model, data, targets, recipe"),
        ("checks: [{model: m, data: d, targets: y, recepi: r}]", "checks.0.recepi: Extra inputs are not permitted"),
        ("checks: [{model: [], data: d, targets: y}]", "checks.0.model: Value error, at least one is needed"),
        ("checks: [m]", "checks.0: Input should be a valid dictionary"),
        ("checks: [", "cannot be read"),
    ],
)
def test_a_file_that_is_not_understood_is_told(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "checks.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError) as caught:
        load_fleet(path)
    assert str(path) in str(caught.value) and said in str(caught.value)
    with pytest.raises(RecipeError, match="cannot be read"):
        load_fleet(tmp_path / "nowhere.yaml")


@pytest.fixture
def fleet(models: Models, tmp_path: Path) -> dict[str, Any]:
    """The defaults of a file beside which recipe and data lie."""
    (tmp_path / "gate.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(RECIPE))))
    data(14, seed=8).to_csv(tmp_path / "little.csv", index=False)
    return {"targets": "y", "recipe": "gate.yaml", "data": "test.parquet", "baseline": f"models:/{models.name}/1"}


def test_each_check_comes_to_its_own(models: Models, fleet: dict[str, Any], tmp_path: Path) -> None:
    path = written(tmp_path, {"model": [models.uri(version) for version in (2, 3, 4)]},
                   {"model": models.uri(2), "data": "nowhere.csv"}, defaults=fleet)  # fmt: skip
    found = check_fleet(path)
    assert [each.outcome for each in found] == ["pass", "fail", "error", "error"]
    assert "ModelError: the model failed on the unperturbed examples" in str(found[2].error)
    assert "DataError: " in str(found[3].error)
    assert [each.name for each in found[:2]] == [models.uri(2), models.uri(3)]
    assert tags(models.name, "4")["sensie_verdict"] == "error"


def test_an_alias_moves_only_if_all_checks_of_the_version_pass(
    models: Models, fleet: dict[str, Any], tmp_path: Path
) -> None:
    """On the whole data it passes, on fourteen examples nothing can be told."""
    both = {"model": models.uri(2), "data": ["test.parquet", "little.csv"], "promote": "champion"}
    found = check_fleet(written(tmp_path, both, defaults=fleet))
    assert [each.outcome for each in found] == ["pass", "inconclusive"]
    assert alias(models.name) == "1" and [each.promotion for each in found] == [None, None]
    assert tags(models.name, "2")["sensie_verdict"] == "inconclusive"  # the worst is written last

    missing = {**both, "data": ["test.parquet", "nowhere.csv"]}
    assert [each.outcome for each in check_fleet(written(tmp_path, missing, defaults=fleet))] == ["pass", "error"]
    assert alias(models.name) == "1"

    twice = {**both, "data": "test.parquet", "recipe": ["gate.yaml", "promotion"]}
    found = check_fleet(written(tmp_path, twice, defaults=fleet))
    assert [each.outcome for each in found] == ["pass", "pass"]
    assert alias(models.name) == "2"
    assert all(each.promotion is not None and each.promotion.outcome == "moved" for each in found)


def test_one_model_s_fail_does_not_keep_another_from_its_alias(
    models: Models, fleet: dict[str, Any], tmp_path: Path
) -> None:
    path = written(tmp_path, {"model": [models.uri(3), models.uri(2)], "promote": "champion"}, defaults=fleet)
    assert [each.outcome for each in check_fleet(path)] == ["fail", "pass"]
    assert alias(models.name) == "2"
