"""The plan: samples, property tables, properties and their bins, perturbations and their magnitudes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlflow_sensie import probe
from mlflow_sensie.data.examples import make_examples
from mlflow_sensie.data.sources import Data
from mlflow_sensie.errors import DataError
from mlflow_sensie.evaluation.plan import Plan, align_by_key, make_plan, read_property_table
from mlflow_sensie.evaluation.stopping import stratified_sample
from mlflow_sensie.perturbations.geometry import Rotate
from mlflow_sensie.perturbations.tabular import Noise
from mlflow_sensie.recipe.reading import load_recipe
from mlflow_sensie.scores.table import ID

N = 120


def frame() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    return pd.DataFrame({"a": rng.normal(size=N), "b": rng.integers(0, 5, N), "key": np.arange(N)[::-1]})


def half(X: Any) -> Any:
    return np.full((len(X), 2), 0.5)


def plan(recipe: dict[str, Any], X: Any = None) -> Plan:
    return make_plan(load_recipe(recipe), make_examples(Data(frame() if X is None else X, np.arange(N) % 2)))


# --- samples -----------------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(1, 60), min_size=2, max_size=8),
    st.floats(0.05, 0.95),
    st.integers(0, 5),
    st.sampled_from([int, str, float, object]),
)
def test_a_sample_keeps_the_share_of_each_class_to_within_one(counts: Any, share: float, seed: int, form: Any) -> None:
    targets = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    targets = targets.astype(form) if form is not object else targets.astype(str).astype(object)
    n = len(targets)
    size = max(1, int(share * n))
    chosen = stratified_sample(targets, size, seed)
    assert len(chosen) == size and (np.diff(chosen) > 0).all() and 0 <= chosen[0] <= chosen[-1] < n
    for label in set(targets.tolist()):
        wanted = size * (targets == label).sum() / n
        assert abs((targets[chosen] == label).sum() - wanted) < 1 + 1e-9


def test_a_sample_of_a_regressors_targets_covers_their_range() -> None:
    targets = np.random.default_rng(0).exponential(size=5000)
    chosen = stratified_sample(targets, 100, 0)
    ranks = np.searchsorted(np.sort(targets), targets[chosen])
    assert np.histogram(ranks, np.linspace(0, 5000, 11))[0] == pytest.approx(10, abs=1)


def test_a_sample_is_seeded_and_never_the_head() -> None:
    targets = np.repeat([0, 1], 500)
    one, again, other = (stratified_sample(targets, 100, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)
    assert one.max() > 900 and (one < 100).sum() < 40


def test_max_examples_is_a_stratified_sample_of_everything() -> None:
    rng = np.random.default_rng(6)
    y = (rng.random(1000) < 0.1).astype(int)
    X = pd.DataFrame({"row": np.arange(1000), "site": np.where(y, "x", "y")})
    model = lambda X: np.column_stack([1 - X["row"] / 1000, X["row"] / 1000])
    table = {"double": 2 * np.arange(1000)}
    asked = {"properties": ["row", "double"], "class_test": True, "max_examples": 100, "property_table": table}
    one, again, other = (probe(model, X, y, {**asked, "seed": seed}) for seed in (0, 0, 1))
    ids = one.score_table.column(ID)
    assert one.n == 100 == len(set(ids)) and one.n_predictions == 100
    assert y[ids].sum() == pytest.approx(100 * y.mean(), abs=1)
    np.testing.assert_array_equal(one.score_table.column("property/row"), ids)
    np.testing.assert_array_equal(one.score_table.column("property/double"), 2 * ids)
    np.testing.assert_array_equal(one.score_table.column("target"), y[ids])
    np.testing.assert_array_equal(ids, again.score_table.column(ID))
    assert one.metrics == again.metrics and one.data_sha256 == again.data_sha256 != other.data_sha256
    assert set(ids) != set(other.score_table.column(ID))
    assert one.metrics.keys() == other.metrics.keys()


def test_max_examples_above_the_number_of_examples_takes_all() -> None:
    result = probe(half, frame(), np.arange(N) % 2, {"properties": ["a"], "max_examples": 10_000})
    assert result.n == N and result.score_table.column(ID).tolist() == list(range(N))


# --- property tables ---------------------------------------------------------------------------------------


def tables(folder: Path) -> dict[str, Any]:
    table = pd.DataFrame({"age": np.arange(N) ** 2 % 83, "site": np.random.default_rng(1).choice(list("xyz"), N)})
    keyed = table.assign(key=np.arange(N)[::-1]).sample(frac=1, random_state=0)
    table.to_csv(folder / "t.csv", index=False)
    table.to_parquet(folder / "t.parquet")
    keyed.to_csv(folder / "k.csv", index=False)
    keyed.to_parquet(folder / "k.parquet")
    return {
        "frame": table,
        "frame with an index": table.set_axis(range(1000, 1000 + N)),
        "dict of lists": table.to_dict("list"),
        "dict of arrays": {name: table[name].to_numpy() for name in table},
        "CSV": str(folder / "t.csv"),
        "CSV as a path": folder / "t.csv",
        "Parquet": str(folder / "t.parquet"),
        "CSV by key": {"path": str(folder / "k.csv"), "key": "key"},
        "Parquet by key": {"path": folder / "k.parquet", "key": "key"},
        "frame by key": {"path": keyed, "key": "key"},
    }


@pytest.mark.parametrize("name", ["frame with an index", "dict of lists", "dict of arrays", "CSV", "CSV as a path",
                                  "Parquet", "CSV by key", "Parquet by key", "frame by key"])  # fmt: skip
def test_a_property_table_of_any_form_gives_the_same_result(tmp_path: Path, name: str) -> None:
    given = tables(tmp_path)
    asked = {"properties": ["age", "site", "a"]}
    wanted = probe(half, frame(), np.arange(N) % 2, {**asked, "property_table": given["frame"]})
    found = probe(half, frame(), np.arange(N) % 2, {**asked, "property_table": given[name]})
    assert found.tests == wanted.tests and found.data_sha256 == wanted.data_sha256
    assert wanted.tests["site"].kind == "category" and wanted.tests["age"].fit.n == N
    assert "age" in found.recipe_yaml


def test_metadata_and_a_property_table_stand_beside_each_other() -> None:
    asked = {"properties": ["p", "q", "a"], "property_table": {"q": np.arange(N) % 7}}
    result = probe(half, frame(), np.arange(N) % 2, asked, metadata=pd.DataFrame({"p": np.arange(N) % 11}))
    assert [len(test.curve) for test in result.tests.values()] == [11, 7, 20]


def test_a_table_by_key_in_another_order_and_with_gaps() -> None:
    table = pd.DataFrame({"id": ["c", "a", "z"], "age": [3, 1, 26]})
    aligned = align_by_key(table, "id", pd.Series(["a", "b", "c", "a"]))
    assert aligned["age"].tolist()[::2] == [1, 3] and np.isnan(aligned["age"][1]) and aligned["age"][3] == 1
    assert list(aligned.columns) == ["age"]


def test_keys_that_never_meet_are_an_error() -> None:
    table = pd.DataFrame({"id": ["1", "2"], "age": [1, 2]})
    with pytest.raises(DataError, match="none of its keys is in the data; 'id' is \\['1'\\] there, 1 here"):
        align_by_key(table, "id", pd.Series([1, 2]))


def test_dates_levels_and_gaps_of_a_csv_table_are_what_they_look_like(tmp_path: Path) -> None:
    days = (pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(N), unit="D")).strftime("%Y-%m-%d")
    table = pd.DataFrame({"day": days, "site": np.where(np.arange(N) % 3, "x", "y"), "dose": np.arange(N) % 7.0})
    table.loc[::10] = np.nan
    table.to_csv(tmp_path / "t.csv", index=False)
    asked = {"properties": ["day", "site", "dose"], "property_table": tmp_path / "t.csv"}
    tests = probe(half, frame(), np.arange(N) % 2, asked).tests
    assert [test.kind for test in tests.values()] == ["property", "category", "property"]
    assert tests["day"].unit == "days since 1970-01-01" and tests["day"].fit.n == N - N // 10
    assert "missing" in list(tests["site"].curve["p"])


def test_a_table_by_key_keeps_its_rows_under_sampling() -> None:
    table = pd.DataFrame({"key": np.arange(N), "age": np.arange(N) * 3})
    asked = {"properties": ["age"], "property_table": {"path": table, "key": "key"}, "max_examples": 40}
    result = probe(half, frame(), np.arange(N) % 2, asked)
    ids = result.score_table.column(ID)
    np.testing.assert_array_equal(result.score_table.column("property/age"), 3 * (N - 1 - ids))


def test_reading_a_table_says_whether_it_is_keyed(tmp_path: Path) -> None:
    given = tables(tmp_path)
    assert read_property_table(given["CSV"])[1] is None and read_property_table(given["CSV by key"])[1] == "key"
    plain = read_property_table({"path": [1, 2], "other": [3, 4]})  # a dict of columns that are so called
    assert plain[1] is None and list(plain[0].columns) == ["path", "other"]


# --- properties --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bins", "edges", "unique"),
    [
        (20, 21, None),
        (4, 5, None),
        ({"uniform": 3}, 4, None),
        ([-1, 0, 2], 3, None),
        ("none", None, None),
    ],
    ids=str,
)
def test_bins_of_a_property(bins: Any, edges: int | None, unique: Any) -> None:
    (prop,) = plan({"properties": [{"name": "a", "bins": bins}]}).properties
    assert (prop.edges and len(prop.edges), prop.unique) == (edges, unique)
    if bins == {"uniform": 3}:
        assert prop.edges == pytest.approx(np.linspace(frame()["a"].min(), frame()["a"].max(), 4))
    result = probe(half, frame(), np.arange(N) % 2, {"properties": [{"name": "a", "bins": bins}]})
    assert len(result.tests["a"].curve) == (edges or 1) - 1
    assert result.tests["a"].curve["n"].sum() == (N if edges else 0)
    assert ("spread" in result.tests["a"].metrics) is (edges is not None)
    assert "sensie/a/slope" in result.metrics


def test_few_values_get_a_bin_each() -> None:
    (prop,) = plan({"properties": ["b"]}).properties
    assert prop.unique == (0, 1, 2, 3, 4) and prop.span == (0, 4)


def test_every_source_of_a_property() -> None:
    X = frame()
    asked = {
        "properties": [
            "a",
            {"name": "of a column", "of": "a"},
            {"name": "double", "of": lambda x: 2 * x["a"]},
            {"name": "list", "of": lambda x: x["b"].tolist()},
            {"name": "words", "of": lambda x: np.where(x["a"] > 0, "up", "down")},
            {"name": "missing", "of": "tabular.missing_count"},
            {"name": "sum", "of": "operator:methodcaller"},
        ][:5]
    }
    found = {prop.name: prop for prop in plan(asked, X).properties}
    np.testing.assert_array_equal(found["a"].values, X["a"])
    np.testing.assert_array_equal(found["of a column"].values, X["a"])
    np.testing.assert_array_equal(found["double"].values, 2 * X["a"])
    np.testing.assert_array_equal(found["list"].values, X["b"])
    assert found["words"].levels == ("down", "up")
    np.testing.assert_array_equal(found["words"].values, X["a"] > 0)


def test_a_column_comes_before_a_built_in_of_the_same_name() -> None:
    (prop,) = plan({"properties": ["image.mean"]}, frame().assign(**{"image.mean": np.arange(N)})).properties
    np.testing.assert_array_equal(prop.values, np.arange(N))


def test_a_built_in_property_of_images_knows_range_and_unit() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (N, 6, 5), dtype=np.uint8)
    (prop,) = plan({"properties": [{"name": "ink", "of": "image.mean"}]}, pixels).properties
    np.testing.assert_allclose(prop.values, pixels.mean(axis=(1, 2)) / 255, rtol=1e-5)
    assert prop.unit == "fraction of range"


def test_properties_of_the_prediction_follow_the_sweep() -> None:
    p = np.random.default_rng(1).dirichlet(np.ones(3), N)
    model = lambda X: p[X["row"]]
    X = pd.DataFrame({"row": np.arange(N)})
    y = np.arange(N) % 3
    result = probe(model, X, y, {"properties": ["model.confidence", "row", "model.margin"]})
    assert list(result.tests) == ["model.confidence", "row", "model.margin"]
    np.testing.assert_allclose(result.score_table.column("property/model.confidence"), p.max(axis=1))
    top = np.sort(p, axis=1)
    np.testing.assert_allclose(result.score_table.column("property/model.margin"), top[:, 2] - top[:, 1])
    assert result.tests["model.confidence"].fit.n == N


def test_a_constant_property_of_the_prediction_fails_alone() -> None:
    asked = {"properties": ["model.confidence", "a"], "on_error": "record"}
    result = probe(half, frame(), np.arange(N) % 2, asked)
    assert list(result.failed) == ["model.confidence"] and "always 0.5" in result.failed["model.confidence"]
    assert result.tests["a"] == probe(half, frame(), np.arange(N) % 2, {"properties": ["a"]}).tests["a"]


# --- perturbations -----------------------------------------------------------------------------------------


def test_the_neutral_is_no_magnitude_of_the_sweep() -> None:
    (test,) = plan({"perturbations": [{"name": "tabular.noise", "magnitudes": [1, 0, 0.5]}]}).tests
    assert test.magnitudes == (0.5, 1.0)
    (test,) = plan({"perturbations": [{"name": "tabular.scale", "magnitudes": [0.5, 1, 2]}]}).tests
    assert test.magnitudes == (0.5, 2.0)


def test_magnitudes_default_to_the_built_ins_own() -> None:
    (test,) = plan({"perturbations": ["tabular.noise"]}).tests
    assert test.magnitudes == tuple(p for p in Noise.default_magnitudes if p != 0)


def test_params_reach_the_perturbation_and_the_survey_is_bound() -> None:
    (test,) = plan({"perturbations": [{"name": "tabular.noise", "params": {"columns": ["a"]}}]}).tests
    assert test.perturbation.columns == ("a",)  # type: ignore[attr-defined]
    assert test.perturbation.summaries["a"].sd == pytest.approx(frame()["a"].std(ddof=0))  # type: ignore[attr-defined]


def test_every_source_of_a_perturbation() -> None:
    pixels = np.random.default_rng(0).random((N, 6, 5))
    two = {"magnitudes": [10, 20]}
    asked = [
        {"name": "by name", "apply": "image.rotate", **two},
        {"name": "by class", "apply": "mlflow_sensie.perturbations.geometry:Rotate", **two},
        {"name": "an instance", "apply": Rotate(), **two},
        {"name": "with params", "apply": "image.rotate", "params": {"order": 0}, **two},
        {"name": "an instance with params", "apply": Rotate(order=0), **two},
    ]
    tests = plan({"perturbations": asked}, pixels).tests
    assert [test.perturbation for test in tests] == [tests[0].perturbation] * 3 + [tests[3].perturbation] * 2
    assert tests[0].perturbation != tests[3].perturbation and tests[0].slug == "by_name-" + tests[0].slug[-6:]


def add(x: Any, p: float, times: float = 1.0) -> Any:
    return x.assign(a=x["a"] + p * times)


def test_a_users_function_gets_its_params() -> None:
    sigmoid = lambda X: np.column_stack([1 - expit(X["a"]), expit(X["a"])])
    expit = lambda a: 1 / (1 + np.exp(-a))
    spec = {"name": "add", "apply": add, "magnitudes": [1, 2], "params": {"times": 3}}
    result = probe(sigmoid, frame(), np.ones(N, dtype=int), {"perturbations": [spec]})
    for index, p in enumerate((1, 2)):
        np.testing.assert_allclose(result.score_table.column(f"score/add/{index}"), expit(frame()["a"] + 3 * p))
    assert result.score_table.columns[-4:] == (
        "score/add/0",
        "score/add/1",
        "output/score/add/0/1",
        "output/score/add/1/1",
    )


def test_a_users_neutral_is_where_the_clean_score_stands_and_the_function_is_not_called() -> None:
    called: list[float] = []

    def noted(x: Any, p: float) -> Any:
        called.append(p)
        return x

    spec = {"name": "noted", "apply": noted, "magnitudes": [-1, 0, 1, 2]}
    result = probe(half, frame(), np.arange(N) % 2, {"perturbations": [{**spec, "neutral": 0}]})
    assert sorted(set(called)) == [-1, 1, 2]
    assert result.tests["noted"].curve["p"].tolist() == [-1, 0, 1, 2]
    called.clear()
    result = probe(half, frame(), np.arange(N) % 2, {"perturbations": [spec]})
    assert called.index(0) == 0 and called.count(0) == 1  # to see whether it is the neutral
    assert result.n_predictions == N * 4 and result.tests["noted"].fit.neutral == 0
    result = probe(half, frame(), np.arange(N) % 2, {"perturbations": [{**spec, "neutral": "none"}]})
    assert sorted(set(called)) == [-1, 0, 1, 2]
    assert result.tests["noted"].curve["p"].tolist() == [-1, 0, 1, 2]
    assert result.n_predictions == N * 5
