"""Bad input: each gets an error that names what came and what is allowed, before anything is computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlflow_sensie import probe
from mlflow_sensie.errors import DataError, ModelError, RecipeError, SensieError
from mlflow_sensie.models.model import Model
from mlflow_sensie.models.signature import InputSchema
from mlflow_sensie.recipe.model import RESERVED, slug

N = 60


def frame() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    return pd.DataFrame({"a": rng.normal(size=N), "b": rng.normal(size=N), "same": 1.5, "gone": np.nan})


def labels() -> Any:
    return (np.arange(N) % 2).astype(int)


def images(shape: tuple[int, ...] = (6, 5), seed: int = 1) -> Any:
    return np.random.default_rng(seed).random((N, *shape)).astype(np.float32)


def probabilities(X: Any) -> Any:
    """Two classes, whatever the input."""
    p = np.linspace(0.1, 0.9, len(X))
    return np.column_stack([1 - p, p])


def column(low: float, high: float) -> Callable[[Any], Any]:
    return lambda X: np.linspace(low, high, len(X))


def rows_of(*row: float) -> Callable[[Any], Any]:
    return lambda X: np.tile(row, (len(X), 1))


PROPERTY = {"properties": ["a"]}


def perturbed(apply: Any, magnitudes: Any = (0, 1), **more: Any) -> dict[str, Any]:
    return {"perturbations": [{"name": "mine", "apply": apply, "magnitudes": magnitudes, **more}]}


@dataclass(frozen=True)
class Case:
    """A call that is wrong, and what its error must say; ``predicted``: whether the output was needed to tell."""

    name: str
    error: type[SensieError]
    phrases: tuple[str, ...]
    model: Any = probabilities
    X: Any = field(default_factory=frame)
    y: Any = field(default_factory=labels)
    recipe: Any = field(default_factory=lambda: PROPERTY)
    more: dict[str, Any] = field(default_factory=dict)
    predicted: bool = False


def wrong_targets() -> list[Case]:
    holes = [None if i in (3, 5) else "ab"[i % 2] for i in range(N)]
    two_hot = np.eye(3)[np.arange(N) % 3] + np.eye(3)[0]
    return [
        Case("no targets", DataError, ("no targets came", "the correct answer"), y=None),
        Case("fewer targets", DataError, (f"{N} examples but {N - 1} targets",), y=labels()[1:]),
        Case("more targets", DataError, (f"{N} examples but {N + 2} targets",), y=np.zeros(N + 2)),
        Case("missing targets", DataError, (f"2 of {N} targets are missing", "drop those rows"), y=holes),
        Case("NaN targets", DataError, (f"1 of {N} targets are missing",), y=[np.nan, *map(float, labels()[1:])]),
        Case("NA targets", DataError, (f"1 of {N} targets are missing",), y=pd.array([pd.NA, *labels()[1:]], "Int64")),
        Case("multi-label targets", DataError, (f"({N}, 3)", "not one-hot", "multi-label"), y=two_hot),
        Case(
            "an unknown label", DataError, ("hold 2, which the model does not know", "its classes are 0, 1"),
            y=np.arange(N) % 3, predicted=True,
        ),
        Case(
            "an unknown text label", DataError, ("hold 'maybe', which", "'no', 'yes'"),
            y=np.array(["no", "yes", "maybe"] * 20), recipe={**PROPERTY, "label_list": ["no", "yes"]}, predicted=True,
        ),
        Case(
            "labels that no column is known for", DataError, ("not which class is which", "'no', 'yes'", "label_list"),
            y=np.where(labels(), "yes", "no"), predicted=True,
        ),
        Case(
            "a positive class that is not there", DataError, ("pos_label 'si'", "'no', 'yes'"),
            y=np.where(labels(), "yes", "no"), recipe={**PROPERTY, "pos_label": "si"}, predicted=True,
        ),
        Case(
            "predicted labels that are no targets", DataError, ("predicts 'cat'", "hold 'no', 'yes'", "none in common"),
            model=lambda X: np.full(len(X), "cat"), y=np.where(labels(), "yes", "no"), predicted=True,
        ),
    ]  # fmt: skip


def wrong_outputs() -> list[Case]:
    def case(name: str, error: type[SensieError], *phrases: str, recipe: Any = PROPERTY, **more: Any) -> Case:
        return Case(name, error, phrases, recipe=recipe, predicted=True, **more)

    return [
        case("logits", ModelError, "from -3 to 4", "say output: logits", model=rows_of(-3, 4)),
        case("logits in the unit range", ModelError, "do not sum to 1 (first: 0.7)", "output: logits",
             model=rows_of(0.3, 0.4)),
        case("multi-label output", ModelError, f"{N} of {N} rows", "(first: 1.6)", "multi-label",
             model=rows_of(0.9, 0.7)),
        case("one logit column", ModelError, "one column", "from -2 to 3", "output: logits", model=column(-2, 3)),
        case(
            "one sigmoid column and text labels", DataError, "not which class is which", "label_list",
            model=column(0, 1), y=np.where(labels(), "yes", "no"),
        ),
        case("one sigmoid column, three labels", DataError, "hold 2", "its classes are 0, 1", model=column(0, 1),
             y=np.arange(N) % 3),
        case("logarithms", ModelError, "runs from -2.3 to -0.1", "log_proba", model=rows_of(-0.1, -2.3)),
        case("all NaN", ModelError, "nothing but NaN", model=rows_of(np.nan)),
        case("some NaN", ModelError, "unperturbed", "chunk 0", f"NaN or infinite for {N} of {N}",
             model=rows_of(np.nan, 0.5)),
        case("more columns than classes", DataError, "3 probabilities", "2 classes", "'no', 'yes'",
             model=rows_of(0.2, 0.3, 0.5), recipe={**PROPERTY, "label_list": ["no", "yes"]}),
        case("too few rows", ModelError, "(2, 2)", f"for {N} examples", model=lambda X: np.full((2, 2), 0.5)),
        case("three axes", ModelError, f"({N}, 2, 2)", "(n,) or (n, classes)",
             model=lambda X: np.full((len(X), 2, 2), 0.5)),
        case("a single number", ModelError, "shape ()", model=lambda X: 0.5),
        case("columns that are no numbers", ModelError, "['label', 'score']", "'score', a function",
             model=lambda X: pd.DataFrame({"label": ["a"] * len(X), "score": 0.5})),
        case("labels where probabilities are needed", ModelError, "neg_log_loss needs probabilities", "returns labels",
             model=lambda X: np.zeros(len(X), dtype=int), recipe={**PROPERTY, "score": "neg_log_loss"}),
        case("a property of probabilities that are not given", ModelError,
             "'model.confidence' needs class probabilities",
             model=lambda X: np.zeros(len(X), dtype=int), recipe={"properties": ["model.confidence"]}),
        case("a model that raises", ModelError, "unperturbed examples", "ZeroDivisionError", model=lambda X: 1 // 0),
        case("a score function of another length", ModelError, "returned shape (3,)", f"({N},) is needed",
             recipe={**PROPERTY, "score": lambda p, t: np.zeros(3)}),
        case("a score function that raises", ModelError, "unperturbed examples", "division",
             recipe={**PROPERTY, "score": lambda p, t: 1 // 0}),
        case("a regressor's score for a classifier", DataError, "neg_absolute_error is for regressors",
             recipe={**PROPERTY, "score": "neg_absolute_error"}, more={"task": "classifier"}),
        case("a classifier's score for a regressor", DataError, "neg_brier_score is for classifiers",
             "neg_squared_error",
             recipe={**PROPERTY, "score": "neg_brier_score"}, model=column(0, 9), more={"task": "regressor"}),
        case("a relative error of 0", DataError, "neg_relative_error is undefined where the target is 0",
             "as 6 of 60 are", "use neg_absolute_error", recipe={**PROPERTY, "score": "neg_relative_error"},
             model=column(0, 9), y=np.arange(N) % 10, more={"task": "regressor"}),
        case("a logarithm of nothing", DataError, "neg_log_error is undefined where the target is 0 or below",
             "33 of 60", "use neg_absolute_error", recipe={**PROPERTY, "score": "neg_log_error"}, model=column(0, 9),
             y=np.arange(N) % 20 - 10.0, more={"task": "regressor"}),
        case("class_test of a regressor", DataError, "class_test", "numbers, not classes",
             recipe={"class_test": True}, model=column(0, 9), more={"task": "regressor"}),
        case("class_test of a regressor of fractions", DataError, "class_test", "numbers, not classes",
             recipe={"class_test": True}, model=column(0, 9), y=np.linspace(0, 9, N)),
        case("class_test with one class", DataError, "all targets are 1", "at least two classes",
             recipe={"class_test": True}, y=np.ones(N, dtype=int)),
        case("a regressor of several outputs", ModelError, "2 columns", "one is needed",
             model=rows_of(1, 2), more={"task": "regressor"}),
        case("a regressor's targets that are words", DataError, "must be numbers", "'no'",
             model=column(0, 9), y=np.where(labels(), "yes", "no"), more={"task": "regressor"}),
        case("a regressor's constant targets", DataError, "vary", "SD is 0",
             model=column(0, 9), y=np.ones(N), more={"task": "regressor"}),
    ]  # fmt: skip


def wrong_data() -> list[Case]:
    flat = images().reshape(N, 30)
    rotate = {"perturbations": ["image.rotate"]}

    def case(name: str, error: type[SensieError], *phrases: str, **more: Any) -> Case:
        return Case(name, error, phrases, **more)

    ragged = pd.DataFrame({"image": [np.zeros((4, 4 + (i == 3))) for i in range(N)]})
    return [
        case("one example", DataError, "at least two examples", "1 came", X=frame()[:1], y=labels()[:1]),
        case("no example", DataError, "at least two examples", "0 came", X=frame()[:0], y=labels()[:0]),
        case("one dimension", DataError, f"({N},)", "one row per example", X=np.zeros(N)),
        case("flat rows of another length", DataError, "(6, 6) needs 36 values", "rows of 30", X=flat,
             recipe={**rotate, "input_shape": [6, 6]}),
        case("flat columns of another length", DataError, "(6, 6) needs 36", "rows of 30", "columns p0, p1, p2",
             X=pd.DataFrame(flat).add_prefix("p"), recipe={**rotate, "input_shape": [6, 6]}),
        case("flat rows for a model of another shape", DataError, "(7, 5) needs 35", "rows of 30", X=flat,
             recipe=rotate,
             model=Model(probabilities, "function", schema=InputSchema(shape=(7, 5)), wants_array=True)),
        case("another shape than the model's", DataError, "(6, 5) came", "signature says (5, 6)", X=flat,
             recipe={**rotate, "input_shape": [6, 5]},
             model=Model(probabilities, "function", schema=InputSchema(shape=(5, 6)), wants_array=True)),
        case("another shape than the array's", DataError, "input_shape (5, 6) came", "(6, 5)", X=images(),
             recipe={**rotate, "input_shape": [5, 6]}),
        case("an ambiguous layout", DataError, "(3, 8, 3) is ambiguous", "layout: NHWC or layout: NCHW",
             X=images((3, 8, 3)), recipe=rotate),
        case("a layout that nothing tells", DataError, "(7, 8, 5) is ambiguous", X=images((7, 8, 5)), recipe=rotate),
        case("a layout of other axes", DataError, "layout NHWC needs three axes", "(6, 5)", X=images(),
             recipe={**rotate, "layout": "NHWC"}),
        case("a layout of fewer axes", DataError, "layout NHW does not fit", "(6, 5, 3)", X=images((6, 5, 3)),
             recipe={**rotate, "layout": "NHW"}),
        case("cells of several shapes", DataError, "'image'", "(4, 4), (4, 5)", X=ragged, recipe=rotate),
        case("two columns of one name", DataError, "'a' came more than once", X=frame().rename(columns={"b": "a"})),
        case("words for a model of arrays", DataError, "array of numbers", "columns a, w",
             X=frame()[["a"]].assign(w="x"),
             model=Model(probabilities, "function", wants_array=True)),
        case("an unknown pixel range", DataError, "'image.rotate'", "from 0 to 4", "value_range: [lo, hi]", "{mean:",
             X=np.linspace(0, 4, N * 30).reshape(N, 6, 5), recipe=rotate),
        case("an unknown range of integers", DataError, "from -1 to 58", "value_range",
             recipe={"properties": ["image.mean"]},
             X=np.full((N, 6, 5), np.arange(N)[:, None, None] - 1)),
        case("a range upside down", DataError, "lo < hi", "[1.0, 0.0] came", X=images(),
             recipe={**rotate, "value_range": [1, 0]}),
        case("a range of half a normalisation", DataError, "{mean, std} is allowed", "['mean'] came", X=images(),
             recipe={**rotate, "value_range": {"mean": 0.5}}),
        case("a normalisation by 0", DataError, "every std must be above 0", "[0.0]", X=images(),
             recipe={**rotate, "value_range": {"mean": 0.5, "std": 0}}),
        case("images with no shape", RecipeError, "'image.rotate' works on tensor inputs", "tabular",
             "give input_shape",
             X=flat, recipe=rotate),
        case("kind: tensor with no shape", DataError, "input_shape", "tensor signature", X=flat,
             recipe={**rotate, "kind": "tensor"}),
        case("noise on the columns of images", RecipeError, "works on tabular inputs", "tensor", X=images(),
             recipe={"perturbations": ["tabular.noise"]}),
        case("a property of another kind of input", RecipeError, "'image.mean' works on tensor", "tabular",
             recipe={"properties": ["image.mean"]}),
        case("kind: text of numbers", DataError, "needs a column of strings", "the columns are a, b",
             recipe={"properties": ["a"], "kind": "text"}),
        case("something that is no model", ModelError, "a float cannot be evaluated", "a function", model=0.5),
    ]  # fmt: skip


def wrong_properties() -> list[Case]:
    def case(name: str, error: type[SensieError], *phrases: str, of: Any, **more: Any) -> Case:
        return Case(name, error, phrases, recipe={"properties": [{"name": "mine", "of": of}]}, **more)

    def table(name: str, error: type[SensieError], *phrases: str, of: Any, **more: Any) -> Case:
        return Case(name, error, phrases, recipe={"properties": ["q"], "property_table": of}, **more)

    twice = pd.DataFrame({"k": [0, 0], "q": [1, 2]})
    return [
        Case("ranks of a category", DataError, ("'mine': rank: true needs numbers or dates", "'x', 'y'"),
             X=frame().assign(w=["x", "y"] * (N // 2)),
             recipe={"properties": [{"name": "mine", "of": "w", "rank": True}]}),
        case("a column that is not there", RecipeError, "'mine'", "no column 'z'", "columns: a, b, same, gone;",
             "known: image.", of="z"),
        case("a column by nearly its name", RecipeError, "no column 'Sames' (did you mean 'same'?)", of="Sames"),
        case("a built-in by nearly its name", RecipeError, "(did you mean 'image.mean'?)", of="image.means"),
        case("a constant column", DataError, "'mine' is always 1.5", "must vary", of="same"),
        case("an empty column", DataError, "'mine' has no value at all", of="gone"),
        case("an infinite column", DataError, "'mine' is infinite for 1 examples", "missing (NaN)", of="inf",
             X=frame().assign(inf=[np.inf, *range(N - 1)])),
        case("a column of arrays", DataError, "'mine'", "neither numbers, dates nor text", of="cells",
             X=frame().assign(cells=[np.zeros(2)] * N)),
        case("a function of another length", DataError, "'mine'", f"returned 3 values for {N} examples",
             of=lambda X: [1, 2, 3]),
        case("a function that gives one number", DataError, "'mine'", f"returned 1 values for {N} examples",
             of=lambda X: 0.5),
        case("a function that raises", DataError, "'mine'", "ZeroDivisionError", of=lambda X: 1 // 0),
        case("a constant function", DataError, "'mine' is always 1.0", of=lambda X: np.ones(len(X))),
        case("a module that is not there", RecipeError, "'no_such:f' could not be loaded", of="no_such:f"),
        table("a table of another length", DataError, "property table has 3 rows", f"the data {N}",
             of={"q": [1, 2, 3]}),
        table("a frame of another length", DataError, "property table has 3 rows", of=pd.DataFrame({"q": [1, 2, 3]})),
        table("a table without the column", RecipeError, "no column 'q'", "columns: w,", of={"w": list(range(N))}),
        table("columns of several lengths", RecipeError, "property_table", "make no table", of={"q": [1, 2], "w": [1]}),
        table("a file that is not there", RecipeError, "property_table", "no file no_such.csv", of="no_such.csv"),
        table("a file of another kind", RecipeError, ".csv or .parquet", "test_bad_input.py came", of=__file__),
        table("no table at all", RecipeError, "a frame, dict, path or {path, key}", "int came", of=7),
        Case("metadata of another length", DataError, ("has 3 rows",),
             more={"metadata": pd.DataFrame({"q": [1, 2, 3]})}),
        Case("a column in two tables", DataError, ("'q' came more than once",),
             recipe={"properties": ["q"], "property_table": {"q": np.arange(N)}},
             more={"metadata": pd.DataFrame({"q": np.arange(N)})}),
        Case("a key that is not unique", DataError, ("key 'k' is not unique", "0 twice"),
             recipe={"properties": ["q"], "property_table": {"path": twice, "key": "k"}}, X=frame().assign(k=0)),
        Case("a key that the table lacks", DataError, ("key column 'id'", "not in the property table"),
             recipe={"properties": ["q"], "property_table": {"path": twice, "key": "id"}}, X=frame().assign(id=0)),
        Case("a key that the data lacks", DataError, ("key column 'k'", "not in the data"),
             recipe={"properties": ["q"], "property_table": {"path": twice, "key": "k"}}),
    ]  # fmt: skip


def wrong_perturbations() -> list[Case]:
    def case(name: str, *phrases: str, recipe: Any, **more: Any) -> Case:
        return Case(name, RecipeError, phrases, recipe=recipe, **more)

    def add(x: Any, p: float) -> Any:
        return x + p

    return [
        case("one magnitude", "at least two different magnitudes", "[3.0] came", recipe=perturbed(add, [3])),
        case("one magnitude, twice", "at least two different", "[3.0, 3.0] came", recipe=perturbed(add, [3, 3])),
        case("a range of one", "at least two different", recipe=perturbed(add, {"start": 1, "stop": 2, "num": 1})),
        case("no magnitude", "at least two different", "[] came", recipe=perturbed(add, [])),
        case("a function with no magnitudes", "'mine'", "no default magnitudes", "at least two",
             recipe=perturbed(add, None)),
        case("a magnitude below the limit", "'mine'", "magnitude -0.1", "0 to inf", "feature SDs",
             recipe=perturbed("tabular.noise", [-0.1, 1])),
        case("a magnitude above the limit", "magnitude 1.5", "0 to 1", recipe=perturbed("tabular.missing", [0.5, 1.5])),
        case("a factor of 0", "magnitude 0", "above 0", recipe=perturbed("tabular.scale", [0, 2])),
        case("another neutral", "neutral of 'tabular.noise' is 0", "1 came",
             recipe=perturbed("tabular.noise", neutral=1)),
        case("a perturbation that is not there", "unknown perturbation 'image.turn'", "image.rotate", "tabular.noise",
             recipe={"perturbations": ["image.turn"]}),
        case("a perturbation by nearly its name", "'image.rotation' (did you mean 'image.rotate'?)",
             recipe={"perturbations": ["image.rotation"]}),
        case("a recipe by nearly its name", "no recipe 'image_corruption' (did you mean 'image_corruptions'?)",
             recipe="image_corruption"),
        *(Case(f"{key} by nearly its name", DataError, (f"{key}: there is no column 'sane' (did you mean 'same'?)",),
               recipe={**PROPERTY, key: value})
          for key, value in {"slices": ["sane"], "weights": "sane", "cluster": "sane"}.items()),
        case("an interaction by nearly its name", "there is no property 'same' (did you mean 'sane'?)",
             recipe={"properties": [{"name": "sane", "of": "a"}], "perturbations": ["tabular.noise"],
                     "interactions": [["same", "tabular.noise"]]}),
        case("params that it does not take", "'mine'", "{'amount': 3}",
             recipe=perturbed("tabular.noise", params={"amount": 3})),
        case("params that it refuses", "'mine'", "columns must be a list",
             recipe=perturbed("tabular.noise", params={"columns": "a"})),
        case("two tests with one name", "two tests are called 'mine'", "another 'name'",
             recipe={"perturbations": [{"name": "mine", "apply": add, "magnitudes": [1, 2]}] * 2}),
        case("a property and a perturbation with one name", "two tests are called 'a'",
             recipe={"properties": ["a"], "perturbations": [{"name": "a", "apply": add, "magnitudes": [1, 2]}]}),
        case("two names with one slug", "two tests are called 'x y'",
             recipe={"properties": [slug("x y"), {"name": "x y", "of": "a"}]}),
        case("an unknown key", "unknown key 'proprties' in recipe", "did you mean 'properties'?",
             "perturbations, class_test",
             recipe={"proprties": ["a"]}),
        case("an unknown key of a property", "unknown key 'bns' in properties.0", "allowed: name, of, bins",
             recipe={"properties": [{"name": "a", "bns": 5}]}),
        case("an unknown key of a perturbation", "unknown key 'magnitude' in perturbations.0",
             "did you mean 'magnitudes'?",
             recipe={"perturbations": [{"name": "mine", "apply": add, "magnitude": [1, 2]}]}),
        case("an unknown key of inference", "unknown key 'rpe' in inference", "allowed: engine, rope",
             recipe={**PROPERTY, "inference": {"rpe": 0.1}}),
        case("a recipe with no tests", "no tests", "properties, perturbations or class_test",
             recipe={"recipe": "auto", "properties": [], "perturbations": []}),
        *(case(f"the reserved name {name}", f"{name!r} is reserved", "class, clean_score",
               recipe={"properties": [{"name": name, "of": "a"}]}) for name in sorted(RESERVED)),
    ]  # fmt: skip


def wrong_inference() -> list[Case]:
    def case(name: str, *phrases: str, **inference: Any) -> Case:
        return Case(name, RecipeError, phrases, recipe={**PROPERTY, "inference": inference})

    two = "'auto', or [lo, hi], two increasing numbers"
    return [
        case("a fit range of one end", "inference.fit_range", two, "[3] came", fit_range=[3]),
        case("a fit range backwards", "inference.fit_range", two, "[2, 1] came", fit_range=[2, 1]),
        case("a fit range of words", "inference.fit_range", two, "'wide' came", fit_range="wide"),
        case("a fit range without an end", "inference.fit_range", two, fit_range=[0, float("inf")]),
        case("a polynomial of order 1", "inference.polynomial", "greater than or equal to 2", "1 came", polynomial=1),
        case("a polynomial of a very high order", "inference.polynomial", "less than or equal to 8", polynomial=20),
        case("a polynomial of half an order", "inference.polynomial", "2.5 came", polynomial=2.5),
        case("a family that is no yes or no", "inference.family", "'maybe' came", family="maybe"),
        Case("a fit range of a perturbation backwards", RecipeError, ("perturbations.0.fit_range", two),
             recipe=perturbed(lambda x, p: x, fit_range=[1, 0])),
        Case("a fit range without two magnitudes", RecipeError,
             ("'mine'", "fit_range [1.5, 2.5] holds fewer than two points of a side (0, 1)"),
             recipe=perturbed(lambda x, p: x, fit_range=[1.5, 2.5])),
    ]  # fmt: skip


CASES = [
    *wrong_targets(), *wrong_outputs(), *wrong_data(), *wrong_properties(), *wrong_perturbations(), *wrong_inference(),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input_gets_a_clear_error_before_anything_is_computed(case: Case) -> None:
    predicted: list[int] = []

    def counted(X: Any) -> Any:
        predicted.append(len(X))
        return case.model(X)

    model = counted if callable(case.model) else case.model
    with pytest.raises(case.error) as caught:
        probe(model, case.X, case.y, case.recipe, **case.more)
    text = str(caught.value)
    assert [phrase for phrase in case.phrases if phrase not in text] == [], text
    # What the output must tell is told by the first examples; nothing is perturbed before.
    assert sum(predicted) <= (2 * N if case.predicted else 0)


def test_the_table_has_each_row_once() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names) > 120
