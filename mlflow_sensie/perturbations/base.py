"""The perturbation noun: f(x, p), the identity at its neutral magnitude; and the adapter for functions."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from mlflow_sensie.data.survey import Survey
from mlflow_sensie.data.types import fresh_copy
from mlflow_sensie.errors import DataError

if TYPE_CHECKING:
    from typing_extensions import Self

Array = npt.NDArray[Any]

# metadata of a field that is no parameter of the user's; {"bound": f} is one that `bind` fills with f(survey)
BOUND = {"bound": True}


@dataclass(frozen=True, kw_only=True)
class Perturbation:
    """A transformation f(x, p) of a batch of inputs, the identity at its neutral magnitude.

    A subclass sets the class variables and writes `apply`, and where needed `check`, `prepare`, `draw` and
    `restore`. Its fields are its parameters. Instances are frozen and hold no state; what they know of
    the whole data comes from `bind`.

    ``monotone`` says that the mean distance of the output from the input does not shrink as the magnitude
    moves away from the neutral within the default magnitudes; ``random`` that a generator is needed;
    ``makes_missing`` that the output may miss values that the input has.

    Examples:
        >>> @dataclass(frozen=True, kw_only=True)
        ... class Offset(Perturbation):
        ...     kind = "series"
        ...     default_magnitudes = (0.0, 1.0, 2.0)
        ...
        ...     def apply(self, prepared, magnitude, draws):
        ...         return prepared + magnitude
        >>> [output.tolist() for output in Offset().along(np.array([1.0, 5.0]), [0, 2])]
        [[1.0, 5.0], [3.0, 7.0]]
    """

    kind: ClassVar[str]
    unit: ClassVar[str] = ""
    neutral: ClassVar[float | None] = 0.0
    log_distance: ClassVar[bool] = False
    default_magnitudes: ClassVar[tuple[float, ...]] = ()
    limits: ClassVar[tuple[float, float]] = (-math.inf, math.inf)
    staircase: ClassVar[bool] = False
    random: ClassVar[bool] = False
    monotone: ClassVar[bool] = True
    makes_missing: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """What messages call it."""
        return type(self).__name__

    def bind(self, survey: Survey) -> Self:
        """A new instance that knows what it needs of the whole data; the same one where that is nothing."""
        bound: Self = bind_fields(self, survey)
        return bound

    def along(
        self, inputs: Any, magnitudes: Sequence[float] | Array, rng: np.random.Generator | None = None
    ) -> Iterator[Any]:
        """Perturb one batch at several magnitudes with the same draws: one output per magnitude, in order.

        Every output is new memory, with the shape and dtype of ``inputs``. At the neutral magnitude it is
        an equal copy. Raises ValueError for a magnitude outside ``limits`` or a missing ``rng``, and
        DataError for inputs that the perturbation cannot work on.
        """
        checked = [self._checked(magnitude) for magnitude in magnitudes]
        if self.random and rng is None:
            raise ValueError(f"{self.name} draws at random: pass rng, e.g. numpy.random.default_rng(0).")
        self.check(inputs)
        return self._walk(inputs, checked, rng)

    def __call__(self, inputs: Any, magnitude: float, rng: np.random.Generator | None = None) -> Any:
        """Perturb one batch at one magnitude: the first and only output of `along`."""
        return next(self.along(inputs, [magnitude], rng))

    def check(self, inputs: Any) -> None:
        """Raise DataError if the perturbation cannot work on ``inputs``."""

    def prepare(self, inputs: Any) -> Any:
        """What all magnitudes share of the inputs, e.g. their pixels; must not be written into afterwards."""
        return inputs

    def draw(self, prepared: Any, rng: Any) -> Any:
        """What all magnitudes share beside it: the random draws, by a generator that is None if ``random`` is not."""
        return None

    def apply(self, prepared: Any, magnitude: float, draws: Any) -> Any:
        """The perturbed inputs at a magnitude that is not the neutral one; new memory."""
        raise NotImplementedError

    def restore(self, perturbed: Any, inputs: Any) -> Any:
        """Turn what `apply` made back into the type, dtype and layout of ``inputs``."""
        return perturbed

    def _walk(self, inputs: Any, magnitudes: list[float], rng: np.random.Generator | None) -> Iterator[Any]:
        shared: tuple[Any, Any] | None = None  # by all magnitudes; made when the first of them needs it
        for magnitude in magnitudes:
            if magnitude == self.neutral:
                yield fresh_copy(inputs)
                continue
            if shared is None:
                prepared = self.prepare(inputs)
                shared = prepared, self.draw(prepared, rng)
            yield self.restore(self.apply(shared[0], magnitude, shared[1]), inputs)

    def _checked(self, magnitude: float) -> float:
        value = float(magnitude)
        low, high = self.limits
        if self.log_distance and not value > 0:
            raise ValueError(f"{self.name}: magnitude {value:g} given, but a factor must be above 0.")
        if not (math.isfinite(value) and low <= value <= high):
            raise ValueError(
                f"{self.name}: magnitude {value:g} given, but it must be a finite number "
                f"from {low:g} to {high:g}{' ' + self.unit if self.unit else ''}."
            )
        return value


@dataclass(frozen=True, kw_only=True)
class FunctionPerturbation(Perturbation):
    """A user's f(x, p) or f(x, p, rng) as a perturbation.

    The generator is passed if the function has a parameter named ``rng`` or a third required one. Each
    magnitude gets its own copy of the inputs and a generator in the same state, so that draws are shared.
    ``neutral`` may be None (unknown); at a known neutral the function is not called.

    Examples:
        >>> FunctionPerturbation(lambda x, p: x * p, neutral=1.0)(np.array([1.0, 5.0]), 2.0).tolist()
        [2.0, 10.0]
    """

    kind: ClassVar[str] = "any"
    monotone: ClassVar[bool] = False

    function: Callable[..., Any] = field(kw_only=False)
    unit: str = ""  # type: ignore[misc]  # known per function here, per class in the built-ins
    neutral: float | None = None  # type: ignore[misc]
    log_distance: bool = False  # type: ignore[misc]
    default_magnitudes: tuple[float, ...] = ()  # type: ignore[misc]
    limits: tuple[float, float] = (-math.inf, math.inf)  # type: ignore[misc]
    staircase: bool = False  # type: ignore[misc]

    def __post_init__(self) -> None:
        """Refuse what cannot be called."""
        if not callable(self.function):
            raise TypeError(f"A perturbation must be callable as f(x, p) or f(x, p, rng); got {self.function!r}.")

    @property
    def random(self) -> bool:  # type: ignore[override]  # as above
        """Whether the function takes a generator."""
        return generator_parameter(self.function) is not None

    @property
    def name(self) -> str:
        """The function's own name."""
        function = getattr(self.function, "func", self.function)  # what a functools.partial is of
        return str(getattr(function, "__name__", type(function).__name__))

    def draw(self, prepared: Any, rng: np.random.Generator | None) -> np.random.Generator | None:
        """The generator's state before this batch; ``rng`` itself moves on: the next batch differs."""
        if rng is None:
            return None
        before = copy.deepcopy(rng)
        rng.random()
        return before

    def apply(self, prepared: Any, magnitude: float, draws: np.random.Generator | None) -> Any:
        """The function's own output; raises DataError if that is not one output per example."""
        parameter = generator_parameter(self.function)
        positional = [copy.deepcopy(draws)] if parameter == "" else []
        keywords = {parameter: copy.deepcopy(draws)} if parameter else {}
        perturbed = self.function(fresh_copy(prepared), magnitude, *positional, **keywords)
        if not hasattr(perturbed, "__len__") or len(perturbed) != len(prepared):
            came = f"{len(perturbed)} rows" if hasattr(perturbed, "__len__") else type(perturbed).__name__
            raise DataError(f"{self.name} must return the perturbed batch, {len(prepared)} rows; it returned {came}.")
        return perturbed


def bind_fields(instance: Any, survey: Survey) -> Any:
    """A new instance whose fields of the survey are filled, as `BOUND` says; the same one if it has none."""
    parts = {own.name: own.metadata["bound"] for own in fields(instance) if callable(own.metadata.get("bound"))}
    return replace(instance, **{name: part(survey) for name, part in parts.items()}) if parts else instance


def generator_parameter(function: Callable[..., Any]) -> str | None:
    """How ``function`` takes its generator: a keyword, ``""`` for the third position, None for not at all."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # many functions written in C have no signature
        return None
    if any(p.name == "rng" and p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters):
        return "rng"
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return "" if any(p.default is p.empty or p.name == "rng" for p in positional[2:3]) else None


def column_names(owner: str, columns: Sequence[str] | None) -> tuple[str, ...] | None:
    """A list of columns as it stands in a recipe as a tuple; ValueError for a single string."""
    if isinstance(columns, str):
        raise ValueError(f"{owner}: columns must be a list of names; got the string {columns!r}.")
    return None if columns is None else tuple(columns)
