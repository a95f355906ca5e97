"""The perturbation noun itself, the adapter of functions, and the checker that other authors use."""

import functools
from dataclasses import FrozenInstanceError, dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from mlflow_sensie.data.types import fresh_copy
from mlflow_sensie.errors import DataError
from mlflow_sensie.perturbations.base import FunctionPerturbation, Perturbation
from mlflow_sensie.perturbations.geometry import Rotate
from mlflow_sensie.perturbations.noise import GaussianNoise
from mlflow_sensie.testing import check_perturbation


def shift(x, p):
    return x + p


def jitter(x, p, rng):
    return x + p * rng.standard_normal(x.shape)


def test_a_function_is_called_once_per_magnitude_but_not_at_the_neutral(rng) -> None:
    calls = []

    def spy(x, p):
        calls.append(p)
        return x * p

    x = np.arange(4.0)
    perturbed = list(FunctionPerturbation(spy, neutral=1.0).along(x, [0, 1, 2]))
    assert calls == [0.0, 2.0]
    np.testing.assert_array_equal(perturbed, [x * 0, x, x * 2])
    assert next(FunctionPerturbation(spy).along(x, [1.0])) is not x
    assert calls == [0.0, 2.0, 1.0]


def test_a_function_gets_the_same_draws_at_every_magnitude() -> None:
    x = np.zeros(5)
    for function in (
        jitter,
        lambda x, p, random: jitter(x, p, random),
        lambda x, p, *, rng: jitter(x, p, rng),
    ):
        perturbation = FunctionPerturbation(function)
        assert perturbation.random
        generator = np.random.default_rng(1)
        one, two = perturbation.along(x, [1, 2], generator)
        np.testing.assert_allclose(two, 2 * one)
        np.testing.assert_array_equal(one, jitter(x, 1, np.random.default_rng(1)))
        assert not np.allclose(perturbation(x, 1, generator), one)  # the next batch has its own draws
        with pytest.raises(ValueError, match="pass rng"):
            perturbation.along(x, [1])


@pytest.mark.parametrize(
    "function",
    [shift, np.add, functools.partial(shift), lambda x, p, strength=2: x + p, lambda *a: a[0] + a[1]],
)
def test_functions_without_a_generator(function) -> None:
    np.testing.assert_array_equal(FunctionPerturbation(function)(np.arange(3.0), 2), [2, 3, 4])


def test_a_function_cannot_write_into_the_data() -> None:
    def vandal(x, p):
        if isinstance(x, pd.DataFrame):
            x.iat[0, 0][0] = -1
            x.loc[:, "b"] = -1
        else:
            x[:] = -1
        return x

    frame = pd.DataFrame({"a": [[1, 2], [3]], "b": [1.0, 2.0], "c": ["x", None]})
    before = fresh_copy(frame)
    cells = np.empty(2, dtype=object)
    cells[:] = [[1], [2]]
    for inputs in (frame, cells, np.ones(3), frame["b"], frame["a"]):
        perturbation = FunctionPerturbation(vandal if not isinstance(inputs, pd.Series) else shift_series)
        list(perturbation.along(inputs, [1, 2]))
    pd.testing.assert_frame_equal(frame, before)
    assert cells.tolist() == [[1], [2]]


def shift_series(x, p):
    x.iloc[0] = [p] if x.dtype == object else p
    return x


@pytest.mark.parametrize("bad", [lambda x, p: None, lambda x, p: x[:1], lambda x, p: 3.0])
def test_a_function_must_return_the_batch(bad) -> None:
    with pytest.raises(DataError, match="must return the perturbed batch, 3 rows"):
        FunctionPerturbation(bad)(np.ones(3), 1)


def test_a_function_keeps_the_contract_and_names_itself() -> None:
    check_perturbation(FunctionPerturbation(shift, neutral=0.0), np.ones((4, 2)), magnitudes=[-1, 0, 2], monotone=True)
    check_perturbation(FunctionPerturbation(jitter), np.ones((4, 2)), magnitudes=[0.5, 1])
    assert FunctionPerturbation(functools.partial(shift, p=1)).name == "shift"
    with pytest.raises(TypeError, match="callable"):
        FunctionPerturbation("shift")
    with pytest.raises(ValueError, match="from 0 to 1"):
        FunctionPerturbation(shift, limits=(0, 1))(np.ones(2), 2)


def test_errors_come_before_the_first_output() -> None:
    with pytest.raises(ValueError, match="pass rng"):
        GaussianNoise().along(np.zeros((1, 2, 2)), [0.1])
    with pytest.raises(ValueError, match="magnitude nan"):
        Rotate().along(np.zeros((1, 2, 2)), [0, float("nan")])


def test_instances_are_frozen_and_comparable() -> None:
    assert Rotate(fill=0.5) == Rotate(fill=0.5) != Rotate()
    assert {Rotate(), Rotate()} == {Rotate()}
    with pytest.raises(FrozenInstanceError):
        Rotate().fill = 1.0


@dataclass(frozen=True, kw_only=True)
class Broken(Perturbation):
    """Breaks the contract as ``how`` says."""

    kind: ClassVar[str] = "tensor"
    default_magnitudes: ClassVar[tuple[float, ...]] = (0, 1, 2)
    how: str = ""

    def apply(self, prepared, magnitude, draws):
        match_how = {
            "its input's own memory": lambda x: x[:],
            "wrote into its input": lambda x: np.add(x, magnitude, out=x).copy(),
            "changed the shape": lambda x: x[:, :-1].copy(),
            "changed the dtype": lambda x: (x + magnitude).astype(np.float64),
            "missing or infinite": lambda x: x / np.float32(0),
            "the type that came": lambda x: x.tolist(),
            "with the same seed": lambda x: x + np.random.default_rng().standard_normal(x.shape, dtype=np.float32),
            "depend on the others": lambda x: x + x.mean() * np.float32(magnitude),
            "came nearer": lambda x: x + np.float32(1 / magnitude),
        }
        return match_how[self.how](prepared)


@pytest.mark.parametrize(
    "how",
    [
        "its input's own memory",
        "wrote into its input",
        "changed the shape",
        "changed the dtype",
        "missing or infinite",
        "the type that came",
        "with the same seed",
        "depend on the others",
        "came nearer",
    ],
)
def test_the_checker_finds_what_is_broken(how) -> None:
    with np.errstate(all="ignore"), pytest.raises(AssertionError, match=how):
        check_perturbation(Broken(how=how))


@dataclass(frozen=True, kw_only=True)
class Particular(Perturbation):
    """Keeps the contract but for inputs of one form."""

    kind: ClassVar[str] = "tensor"
    default_magnitudes: ClassVar[tuple[float, ...]] = (0, 1, 2)
    how: str = ""

    def apply(self, prepared, magnitude, draws):
        if self.how == "13 channels" and prepared.shape[-1] == 13:
            raise ValueError("no such image")
        if self.how == "1 channels" and prepared.shape[-1] == 1:
            return prepared[..., 0]
        if self.how == "NHW" and prepared.ndim == 3:
            return prepared[..., None] + prepared.dtype.type(magnitude)
        if self.how == "uint8" and prepared.dtype == np.uint8:
            return prepared + np.float32(magnitude)
        return prepared + prepared.dtype.type(magnitude)


@pytest.mark.parametrize("how", ["1 channels", "13 channels", "uint8", "NHW"])
def test_the_checker_tries_every_form_of_images(how) -> None:
    with pytest.raises(AssertionError, match=how):
        check_perturbation(Particular(how=how))


def test_the_checker_finds_what_cannot_be_pickled() -> None:
    with pytest.raises(AssertionError, match="cannot be pickled"):
        check_perturbation(FunctionPerturbation(lambda x, p: x + p), np.ones(3), magnitudes=[1])
    with pytest.raises(AssertionError, match="no default magnitudes"):
        check_perturbation(FunctionPerturbation(shift), np.ones(3))
