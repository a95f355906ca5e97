"""Frames: what each perturbation does to which columns, and that every dtype is kept."""

import numpy as np
import pandas as pd
import pytest

from mlflow_sensie.data.examples import make_examples
from mlflow_sensie.data.sources import Data
from mlflow_sensie.data.survey import ColumnSummary, Survey, take_survey
from mlflow_sensie.errors import DataError
from mlflow_sensie.perturbations import BUILT_IN
from mlflow_sensie.perturbations.cell_replacement import Missing, Permute, Swap, other_levels
from mlflow_sensie.perturbations.tabular import Noise, Outliers, Round, Scale, Shift
from mlflow_sensie.plugins import load_target
from mlflow_sensie.testing import check_perturbation, sample_frame, survey_of

ALL = [load_target(target) for name, target in BUILT_IN.items() if name.startswith("tabular.")]


def large(n: int = 4000) -> tuple[pd.DataFrame, Survey]:
    rng = np.random.default_rng(5)
    frame = pd.DataFrame(
        {
            "x": rng.normal(10, 2, n),
            "k": rng.integers(0, 50, n),
            "c": pd.Series(rng.choice(["a", "b", "c"], n, p=[0.7, 0.2, 0.1]), dtype=object),
            "b": rng.random(n) < 0.25,
        }
    )
    return frame, survey_of(frame)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize(
    "column",
    [
        pd.Series([1, 2, 3, 250], dtype="uint8"),
        pd.Series([1, -2, 3, 100], dtype="int8"),
        pd.Series([1, None, 3, 4], dtype="Int64"),
        pd.Series([1.5, None, 3, 4], dtype="Float32"),
        pd.Series([1.5, np.nan, 3, 4], dtype="float16"),
        pd.Series([True, None, False, True], dtype="boolean"),
        pd.Series([True, True, False, True]),
        pd.Series(["a", None, "b", "a"], dtype="string"),
        pd.Series(["a", None, "b", "a"], dtype=object),
        pd.Series(["a", None, "b", "a"], dtype="category"),
        pd.Series(pd.to_datetime(["2024-01-01", None, "2024-02-01", "2024-01-01"])).dt.tz_localize("UTC"),
        pd.Series([[1], [2], [3], [4]]),
    ],
    ids=lambda column: str(column.dtype),
)
def test_every_dtype_is_kept(make, column) -> None:
    frame = pd.DataFrame({"it": column, "x": [1.0, 2.0, 3.0, 5.0]}, index=[3, 3, 1, 0])
    other = pd.DataFrame({"it": column if column.map(type).ne(list).all() else 0, "x": frame["x"].to_numpy()})
    perturbation = make().bind(survey_of(other))
    try:
        perturbation.check(frame)
    except DataError:
        assert make is Swap
        return
    for magnitude in (perturbation.default_magnitudes[-1], perturbation.limits[1]):
        if np.isfinite(magnitude):
            perturbed = perturbation(frame, magnitude, rng())
            assert perturbed.dtypes.equals(frame.dtypes) and perturbed.index.equals(frame.index)
    check_perturbation(perturbation, frame, monotone=False)


def test_noise_is_in_units_of_each_columns_sd() -> None:
    frame, survey = large()
    perturbed = Noise().bind(survey)(frame, 0.5, rng())
    assert (perturbed["x"] - frame["x"]).std() == pytest.approx(0.5 * frame["x"].std(), rel=0.05)
    assert (perturbed["k"] - frame["k"]).std() == pytest.approx(0.5 * frame["k"].std(), rel=0.05)
    assert perturbed["c"].equals(frame["c"]) and perturbed["b"].equals(frame["b"])


def test_units_come_from_the_survey_and_not_from_the_batch() -> None:
    frame, survey = large()
    perturbed = Shift().bind(survey)(frame.iloc[:2], 1.0)
    np.testing.assert_allclose(perturbed["x"] - frame["x"].iloc[:2], survey.columns["x"].sd)


def test_scale_round_and_outliers() -> None:
    frame, survey = large()
    pd.testing.assert_series_equal(Scale()(frame, 2)["k"], frame["k"] * 2)
    step = 0.5 * survey.columns["x"].sd
    rounded = Round().bind(survey)(frame, 0.5)["x"]
    np.testing.assert_allclose(rounded / step, np.rint(rounded / step), atol=1e-9)
    assert (rounded - frame["x"]).abs().max() <= step / 2 + 1e-9
    far = Outliers(size=6.0).bind(survey)(frame, 0.1, rng())["x"]
    hit = far != frame["x"]
    assert hit.mean() == pytest.approx(0.1, abs=0.02)
    mean, sd = survey.columns["x"].mean, survey.columns["x"].sd
    np.testing.assert_allclose(np.abs(far[hit] - mean) / sd, 6)


def test_integers_are_rounded_and_clipped_and_large_ones_kept() -> None:
    frame = pd.DataFrame({"small": np.array([0, 255], dtype=np.uint8), "large": [2**62 + 1, -(2**62) - 1]})
    perturbed = Shift().bind(survey_of(frame))(frame, 5.0)
    assert perturbed["small"].tolist() == [255, 255]
    perturbed = Outliers().bind(survey_of(frame))(frame, 1e-9, rng())
    assert perturbed["large"].tolist() == frame["large"].tolist()


def test_swap_draws_another_level_by_its_frequency() -> None:
    frame, survey = large()
    few, many = (x["c"] != frame["c"] for x in Swap().bind(survey).along(frame, [0.1, 0.3], rng()))
    assert few.mean() == pytest.approx(0.1, abs=0.02) and many.mean() == pytest.approx(0.3, abs=0.03)
    assert not (few & ~many).any()
    swapped = Swap(columns=["c"]).bind(survey)(frame, 1.0, rng())
    shares = swapped["c"][frame["c"] == "a"].value_counts(normalize=True)
    assert shares["b"] == pytest.approx(2 / 3, abs=0.04) and "a" not in shares
    assert swapped["b"].equals(frame["b"])


def test_other_levels_never_draws_the_own_one() -> None:
    frequencies = np.array([0.5, 0.0, 0.3, 0.2])
    own = np.repeat([0, 1, 2, 3, -1], 2000)
    uniform = np.random.default_rng(0).random(own.size)
    uniform[::50] = 1 - 1e-16
    drawn = other_levels(frequencies, own, uniform)
    assert (drawn != own).all() and ((drawn >= 0) & (drawn < 4)).all()
    assert (drawn[own == -1] == 0).mean() == pytest.approx(0.5, abs=0.04)


def test_missing_empties_its_rate_and_leaves_what_cannot_be_missing() -> None:
    frame, _ = large()
    perturbed = Missing()(frame, 0.2, rng())
    assert perturbed["x"].isna().mean() == pytest.approx(0.2, abs=0.02)
    assert perturbed["c"].isna().mean() == pytest.approx(0.2, abs=0.02)
    assert perturbed["k"].equals(frame["k"]) and perturbed["b"].equals(frame["b"])
    with pytest.raises(DataError, match="cannot perturb {'k': 'int64'}"):
        Missing(columns=["k"])(frame, 0.2, rng())


def test_permute_keeps_the_distribution_of_the_whole_data() -> None:
    frame, survey = large()
    frame = frame.sort_values("x")
    low = frame.iloc[:500]  # a chunk of sorted data must not be shuffled within itself
    perturbed = Permute().bind(survey)(low, 1.0, rng())
    assert perturbed["x"].mean() == pytest.approx(frame["x"].mean(), abs=0.4)
    assert perturbed["k"].between(0, 49).all()
    assert (perturbed["c"] == "a").mean() == pytest.approx(0.7, abs=0.07)
    within = Permute()(low, 1.0, rng())
    assert sorted(within["x"]) == sorted(low["x"]) and not within["x"].equals(low["x"])


def test_permute_draws_only_values_that_there_are() -> None:
    frame, _ = large()
    frame = pd.DataFrame(
        {"flag": frame["b"].astype(float), "half": frame["k"] / 2, "count": frame["k"].astype("Int64")}
    )
    survey = take_survey(make_examples(Data(frame, np.arange(len(frame)) % 2)), None)
    perturbed = Permute().bind(survey)(frame, 1.0, rng())
    for name in frame:
        assert set(perturbed[name]) <= set(frame[name])
        assert perturbed[name].mean() == pytest.approx(frame[name].mean(), rel=0.1)


def test_levels_that_a_category_lacks_are_not_drawn() -> None:
    frame = pd.DataFrame({"c": pd.Categorical(["a", "b", "a"], categories=["a", "b"])})
    summary = ColumnSummary("c", "category", 3, 0, 3, levels=("a", "b", "z"), frequencies=(0.1, 0.1, 0.8))
    bound = Swap().bind(Survey(n=3, kind="tabular", columns={"c": summary}))
    assert bound(frame, 1.0, rng())["c"].tolist() == ["b", "a", "b"]


def test_what_cannot_be_done_is_refused() -> None:
    frame, survey = sample_frame()
    for make, message in [
        (Noise(), "call bind"),
        (Swap(), "call bind"),
        (Noise(columns=["nope"]).bind(survey), "no column"),
        (Noise(columns=["colour"]).bind(survey), "cannot perturb"),
        (Noise().bind(Survey(n=1, kind="tabular")), "the survey knows no column"),
    ]:
        with pytest.raises(ValueError, match=message):
            make(frame, 0.1, rng())
    with pytest.raises(DataError, match="works on a pandas DataFrame"):
        Scale()(frame.to_numpy(), 2)
    with pytest.raises(DataError, match="none of the columns"):
        Scale()(frame[["colour"]], 2)
    with pytest.raises(DataError, match="unique column names"):
        Scale()(pd.concat([frame, frame], axis=1), 2)
    with pytest.raises(ValueError, match="list of names"):
        Noise(columns="height")
    assert Noise(columns=["height"]) == Noise(columns=("height",))


def test_column_labels_of_any_kind() -> None:
    frame = pd.DataFrame(np.ones((3, 2)), columns=pd.MultiIndex.from_tuples([("a", 1), ("a", 2)], names=["p", "q"]))
    perturbed = Scale()(frame, 3)
    pd.testing.assert_frame_equal(perturbed, frame * 3)
    pd.testing.assert_frame_equal(Scale()(pd.DataFrame({0: [1.0], "x": [2]}), 2), pd.DataFrame({0: [2.0], "x": [4]}))
