"""The built-in properties by name, one number per example; nothing is imported until one is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from mlflow_sensie.data.survey import Survey
from mlflow_sensie.perturbations.base import BOUND, bind_fields

if TYPE_CHECKING:
    from typing_extensions import Self

BUILT_IN: dict[str, str] = {
    name: f"{__name__}.{target}"
    for name, target in {
        "image.mean": "image:MEAN",
        "image.contrast": "image:CONTRAST",
        "image.sharpness": "image:SHARPNESS",
        "image.edge_density": "image:EDGE_DENSITY",
        "image.colourfulness": "image:COLOURFULNESS",
        "image.entropy": "image:ENTROPY",
        "image.foreground_fraction": "image:FOREGROUND_FRACTION",
        "tabular.missing_count": "tabular:MissingCount",
        "tabular.distance_to_centre": "tabular:DistanceToCentre",
        "text.length": "text:LENGTH",
        "text.words": "text:WORDS",
        "text.mean_word_length": "text:MEAN_WORD_LENGTH",
        "text.uppercase_fraction": "text:UPPERCASE_FRACTION",
        "text.non_ascii_fraction": "text:NON_ASCII_FRACTION",
        "series.length": "series:LENGTH",
        "series.mean": "series:MEAN",
        "series.volatility": "series:VOLATILITY",
        "model.confidence": "prediction:CONFIDENCE",
        "model.margin": "prediction:MARGIN",
    }.items()
}


@dataclass(frozen=True, kw_only=True)
class Property:
    """A function of a batch: inputs (or probabilities) to (n,) float64, NaN where it is missing.

    ``needs`` says what it is called with. Instances are frozen and hold no state; what they know of the
    whole data comes from `bind`. An example's value never depends on the other examples of the batch.
    """

    kind: ClassVar[str]
    needs: ClassVar[str] = "inputs"

    unit: str = ""

    def bind(self, survey: Survey) -> Self:
        """A new instance that knows what it needs of the whole data; the same one where that is nothing."""
        bound: Self = bind_fields(self, survey)
        return bound

    def __call__(self, inputs: Any) -> npt.NDArray[np.float64]:
        """The property of each example, (n,) float64."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Measure(Property):
    """Base of those whose kind of input is measured in many ways, each a ``function``."""

    function: Callable[..., Any] = field(kw_only=False, metadata=BOUND)
