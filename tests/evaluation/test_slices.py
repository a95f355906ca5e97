"""Weights, clusters, slices and interactions, from the recipe to the result."""

from __future__ import annotations

from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import mlflow_sensie
from mlflow_sensie import Result
from mlflow_sensie.errors import DataError, RecipeError
from mlflow_sensie.inference import Interval
from mlflow_sensie.inference.spread import pooled
from mlflow_sensie.recipe.reading import load_recipe

N = 600
DAMP = {"name": "damp", "apply": lambda x, p: x.assign(z=x["z"] * (1 - p)), "magnitudes": [0, 0.5, 1], "neutral": 0}


def frame(seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "z": rng.uniform(0.2, 1, N),
            "site": rng.choice(["A", "B", "C"], N, p=[0.6, 0.3, 0.1]),
            "patient": np.arange(N) // 4,
            "weight": rng.uniform(1, 10, N),
            "age": rng.normal(50, 10, N),
        }
    )


def predict(inputs: pd.DataFrame) -> np.ndarray:
    """A model that is right with probability .5 + .4 z, less at site B: the class is always 1."""
    p = 0.5 + 0.4 * inputs["z"].to_numpy() - 0.2 * (inputs["site"] == "B").to_numpy()
    return np.column_stack([1 - p, p])


def run(data: pd.DataFrame | None = None, targets: Any = None, **keys: Any) -> Result:
    data = frame() if data is None else data
    y = np.r_[0, np.ones(N - 1, int)] if targets is None else targets
    recipe = {"properties": ["age"], "perturbations": [DAMP], "slices": [], **keys}
    return mlflow_sensie.probe(predict, data, y, {key: value for key, value in recipe.items() if value is not ...})


# --- weights and clusters ----------------------------------------------------------------------------------


def test_weights_weigh_every_mean() -> None:
    data = frame()
    found = run(data, weights="weight")
    scores = predict(data)[np.arange(N), np.r_[0, np.ones(N - 1, int)]]
    assert found.clean.value == pytest.approx(np.average(scores, weights=data["weight"]))
    assert found.tests["damp"].curve["score"][0] == pytest.approx(found.clean.value)
    assert found.score_table is not None
    assert_allclose(found.score_table.column("weight"), data["weight"])


def test_balanced_weights_make_classes_count_alike() -> None:
    y = np.r_[np.zeros(60, int), np.ones(540, int)]
    found = run(targets=y, weights="balanced")
    scores = predict(frame())[np.arange(N), y]
    assert found.clean.value == pytest.approx((scores[:60].mean() + scores[60:].mean()) / 2)


def test_clusters_of_copies_are_one_example_each() -> None:
    data = frame()
    repeated = data.loc[data.index.repeat(3)].reset_index(drop=True).assign(patient=np.repeat(np.arange(N), 3))
    y = np.r_[0, np.ones(N - 1, int)]
    one, copies = run(data), run(repeated, np.repeat(y, 3), cluster="patient")
    for name in ("effect_lo95", "effect_hi95", "mean_drop_lo95", "holds_until_lo95"):
        assert copies.tests["damp"].metrics[name] == pytest.approx(one.tests["damp"].metrics[name], rel=1e-9)
    assert copies.clean.lo95 == pytest.approx(one.clean.lo95, rel=1e-9)
    assert copies.tests["damp"].fit.n == 3 * N


def test_weights_and_clusters_change_both_digests() -> None:
    plain, weighted, clustered = run(), run(weights="weight"), run(cluster="patient")
    assert len({plain.data_sha256, weighted.data_sha256, clustered.data_sha256}) == 3
    assert len({plain.recipe_sha256, weighted.recipe_sha256, clustered.recipe_sha256}) == 3


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"weights": "wieght"},
            "^weights: there is no column 'wieght' .did you mean 'weight'.+; the columns are .*weight",
        ),
        ({"weights": "balnced"}, "^weights: there is no column 'balnced' .did you mean 'balanced'"),
        ({"weights": "site"}, "weights: column 'site' must hold numbers"),
        ({"weights": "negative"}, "finite numbers above 0; 600 of 600 are not, the first is -1"),
        ({"cluster": "nobody"}, "cluster: there is no column 'nobody'"),
        ({"cluster": "same"}, "cluster: column 'same' is 1 for all examples; at least two clusters are needed"),
        ({"slices": ["nowhere"]}, "slices: there is no column 'nowhere'"),
        ({"slices": ["same"]}, "slices: column 'same' is always 1; a column must vary|slices: .*always 1"),
        ({"slices": [{"column": "site", "bins": 3}]}, "slices: column 'site' has levels, not numbers"),
    ],
)
def test_wrong_columns_are_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises((DataError, RecipeError), match=message):
        run(frame().assign(negative=-1.0, same=1), **keys)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"slices": [{"target": True, "column": "site"}]}, r"a column, \{column: …, bins: …\}, or \{target: true\}"),
        ({"slices": ["site", "site"]}, "each column once"),
        ({"slices": [{"colum": "site"}]}, "unknown key 'colum'"),
        ({"slices": [{"column": "age", "bins": "none"}]}, "a number of bins"),
        ({"interactions": [["age", "rotation"]]}, "there is no perturbation 'rotation'"),
        ({"interactions": [["damp", "age"]]}, "there is no property 'damp'"),
        ({"weights": 3}, "weights"),
    ],
)
def test_wrong_keys_are_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_recipe({"properties": ["age"], "perturbations": [DAMP], **keys})


def test_balanced_weights_need_classes() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(DataError, match="balanced is for classes"):
        mlflow_sensie.probe(
            lambda x: x["z"].to_numpy(), frame(), rng.random(N), {"properties": ["age"], "weights": "balanced"},
            task="regressor",
        )  # fmt: skip


# --- slices ------------------------------------------------------------------------------------------------


def test_a_slice_is_what_its_examples_alone_give() -> None:
    data, y = frame(), np.r_[0, np.ones(N - 1, int)]
    found = run(data, slices=["site"])
    part = (data["site"] == "B").to_numpy()
    alone = mlflow_sensie.probe(predict, data[part], y[part], {"perturbations": [DAMP], "slices": []})
    inside = next(each for each in found.slices[0].slices if each.level == "B")
    assert inside.n == part.sum() and inside.clean == alone.clean
    # Skill, which "holds until" is said of, is measured against the constant of all examples.
    by_score = [name for name in alone.tests["damp"].metrics if "skill" not in name and not name.startswith("holds")]
    of_slice, of_its_own = (
        {name: test.metrics[name] for name in by_score} for test in (inside.tests["damp"], alone.tests["damp"])
    )
    assert of_slice == pytest.approx(of_its_own)


def test_the_worst_slice_is_named() -> None:
    table = run(slices=["site", {"column": "age", "bins": 3}]).slices_frame()
    site = table[(table["column"] == "site") & (table["quantity"] == "clean_score")]
    assert site[site["worst"]]["level"].tolist() == ["B"]
    assert table.groupby(["column", "test", "quantity"])["worst"].sum().eq(1).all()
    assert table[table["column"] == "age"]["level"].nunique() == 3
    assert (table["pooled_lo95"] <= table["pooled"]).all() and (table["pooled"] <= table["pooled_hi95"]).all()


def test_slices_by_class_where_a_class_is_rare() -> None:
    y = np.r_[np.zeros(60, int), np.ones(540, int)]
    rare, even = run(targets=y, slices=...), run(targets=np.arange(N) % 2, slices=...)
    assert [each.column for each in rare.slices] == ["target"] and even.slices == ()
    assert [(each.level, each.n) for each in rare.slices[0].slices] == [("0", 60), ("1", 540)]
    assert rare.recipe["slices"] == [{"target": True}]
    assert run(targets=y, slices=[]).slices == ()


def test_missing_values_are_a_slice() -> None:
    data = frame()
    data.loc[:19, "site"] = None
    data.loc[:9, "age"] = np.nan
    found = run(data, slices=["site", "age"], properties=["weight"])
    assert [each.slices[-1].level for each in found.slices] == ["missing", "missing"]
    assert [each.slices[-1].n for each in found.slices] == [20, 10]


def test_slices_by_the_target_of_a_regressor() -> None:
    rng = np.random.default_rng(0)
    found = mlflow_sensie.probe(
        lambda x: x["z"].to_numpy(), frame(), rng.random(N), {"properties": ["age"], "slices": [{"target": True}]},
        task="regressor",
    )  # fmt: skip
    assert [each.n for each in found.slices[0].slices] == [150] * 4


def test_the_result_survives_json() -> None:
    found = run(slices=["site"], interactions=True)
    again = Result.from_json(found.to_json())
    assert again.slices == found.slices and again.interactions == found.interactions
    pd.testing.assert_frame_equal(again.slices_frame(), found.slices_frame())


def test_slices_land_on_the_run(experiment_id: str) -> None:
    data = frame().drop(columns=["patient"]).assign(y=np.r_[np.zeros(60, int), np.ones(540, int)])
    with mlflow.start_run() as run_:
        mlflow.models.evaluate(
            predict, data, targets="y", model_type="classifier", evaluators=["sensie"],
            evaluator_config={"sensie": {"properties": ["age"], "slices": ["site"], "weights": "weight"}},
        )  # fmt: skip
    names = {file.path for file in mlflow.MlflowClient().list_artifacts(run_.info.run_id, "sensie")}
    assert {"sensie/slices.csv", "sensie/slices"} <= names
    inside = [file.path for file in mlflow.MlflowClient().list_artifacts(run_.info.run_id, "sensie/slices")]
    assert inside == ["sensie/slices/site.png"]
    table = pd.read_csv(mlflow.artifacts.download_artifacts(run_id=run_.info.run_id, artifact_path="sensie/slices.csv"))
    assert set(table["level"]) == {"A", "B", "C"}


def test_pooling_draws_noisy_estimates_in_and_leaves_sharp_ones() -> None:
    def around(value: float, half: float) -> Interval:
        return Interval(value, value - half / 3, value + half / 3, value - half, value + half)

    noisy = pooled([around(v, 0.5) for v in (-0.1, 0.0, 0.1)], 1.0)
    sharp = pooled([around(v, 0.001) for v in (-0.1, 0.0, 0.1)], 1.0)
    assert np.ptp([each.value for each in noisy]) < 0.1 and noisy[0].hi95 - noisy[0].lo95 < 0.9
    assert_allclose([each.value for each in sharp], [-0.1, 0, 0.1], atol=1e-3)
    assert pooled([around(0.3, 0.1)], 1.0) == [around(0.3, 0.1)]


# --- interactions ------------------------------------------------------------------------------------------


def test_interactions_find_what_the_model_does() -> None:
    """Taking z away costs .4 z: the effect falls by .4 over the range of z, whatever the age."""
    found = run(properties=["z", "age", "site"], interactions=True)
    table = found.interactions_frame().set_index("property")
    assert table.loc["z", "value"] == pytest.approx(-0.4 * np.ptp(np.quantile(frame()["z"], [0.01, 0.99])), rel=0.05)
    assert table.loc["z", "decision"] == "sensitive"
    assert table.loc["age", "lo95"] < 0 < table.loc["age", "hi95"]
    assert table.loc["site", "quantity"] == "spread"
    only = run(properties=["z", "age"], interactions=[["age", "damp"]])
    assert [(each.property, each.perturbation) for each in only.interactions] == [("age", "damp")]
    assert found.n_predictions == run(properties=["z", "age", "site"]).n_predictions
