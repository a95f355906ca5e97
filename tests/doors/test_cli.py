"""The command line: the lists say what is there, and what `init` writes is a recipe that runs."""

from __future__ import annotations

import json
from pathlib import Path

import mlflow
import pytest
from click.testing import CliRunner
from mlflow.models import infer_signature
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import mlflow_sensie
from mlflow_sensie.doors.cli import main
from mlflow_sensie.perturbations import BUILT_IN as PERTURBATIONS
from mlflow_sensie.properties import BUILT_IN as PROPERTIES
from mlflow_sensie.recipe.reading import shipped_recipes


def run(*words: str, code: int = 0) -> str:
    done = CliRunner().invoke(main, list(words))
    assert done.exit_code == code, done.output
    return done.output


def test_recipes_are_listed_with_what_they_ask() -> None:
    lines = run("recipes").splitlines()
    assert [line.split()[0] for line in lines] == ["recipe", "auto", *shipped_recipes()]
    assert all(len(line.split()) > 4 for line in lines[1:])


@pytest.mark.parametrize("name", shipped_recipes())
def test_a_recipe_is_shown_as_its_file_is(name: str) -> None:
    assert run("recipes", "show", name) == shipped_recipes()[name].read_text(encoding="utf-8")


def test_an_unknown_recipe_is_an_error_that_lists_the_others() -> None:
    output = run("recipes", "show", "nope", code=1)
    assert "'nope'" in output
    assert "image_robustness" in output


def test_perturbations_are_listed_with_unit_neutral_and_range() -> None:
    lines = {line.split()[0]: line for line in run("perturbations").splitlines()[1:]}
    assert set(PERTURBATIONS) <= set(lines)
    assert lines["image.rotate"].split() == ["image.rotate", "tensor", "degrees", "0", "±45"]
    assert lines["image.zoom"].split() == ["image.zoom", "tensor", "factor", "1", "0.7..1.4"]


def test_properties_are_listed() -> None:
    names = [line.split()[0] for line in run("properties").splitlines()[1:]]
    assert set(PROPERTIES) <= set(names)
    assert "COLUMN" in names


def test_the_schema_is_json_and_knows_the_keys() -> None:
    schema = json.loads(run("schema"))
    assert {"recipe", "properties", "perturbations", "class_test", "max_examples"} <= set(schema["properties"])


@pytest.fixture(scope="module")
def wine(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp("wine")
    frame = load_wine(as_frame=True).frame.astype(float)
    features = frame.drop(columns="target")
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(features, frame["target"])
    mlflow.sklearn.save_model(
        model, str(folder / "model"), signature=infer_signature(features), pip_requirements=["scikit-learn"]
    )
    frame.to_csv(folder / "wine.csv", index=False)
    frame.to_parquet(folder / "wine.parquet")
    return str(folder / "model"), folder


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_init_writes_a_recipe_that_runs_and_keeps_its_names(wine: tuple[str, Path], kind: str, tmp_path: Path) -> None:
    uri, folder = wine
    text = run("init", uri, "--data", str(folder / f"wine.{kind}"), "--targets", "target")
    assert "# proline: a numeric column; the prediction moves by" in text
    path = tmp_path / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    recipe = mlflow_sensie.load_recipe(path)
    frame = load_wine(as_frame=True).frame.astype(float)
    features, targets = frame.drop(columns="target"), frame["target"].to_numpy()
    written = mlflow_sensie.probe(uri, features, targets, recipe)
    chosen = mlflow_sensie.probe(uri, features, targets)
    assert list(written.tests) == list(chosen.tests)
    assert written.recipe_sha256 == chosen.recipe_sha256
    assert written.metrics == chosen.metrics


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--targets", "nope"], "no column 'nope'"),
        (["--targets", "target", "--recipe", "nope"], "no recipe 'nope'"),
        (["--targets", "target", "--recipe", "text_robustness"], "kind: text needs a column of strings"),
    ],
)
def test_init_says_what_is_wrong(wine: tuple[str, Path], words: list[str], said: str) -> None:
    uri, folder = wine
    assert said in run("init", uri, "--data", str(folder / "wine.csv"), *words, code=1)


def test_init_says_where_it_looked(wine: tuple[str, Path], experiment_id: str, tracking_uri: str) -> None:
    words = ["--data", str(wine[1] / "wine.csv"), "--targets", "target"]
    said = run("init", "models:/none/1", *words, code=1)
    assert f"the model models:/none/1 cannot be opened (looked up at {tracking_uri})" in said
    assert "name=none not found" in said
    assert "the model no/such/folder cannot be opened: " in run("init", "no/such/folder", *words, code=1)
