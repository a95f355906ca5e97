"""What the finding of a property says of the mix of classes."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from mlflow_sensie import Result, probe
from mlflow_sensie.text.findings import findings


def flights(slope: float = 0.0, trend: float = 0.016) -> Result:
    """Probe a model that is unsure of late flights, which get more frequent over the day by ``trend`` an hour."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"hour": rng.uniform(0, 10, 2000)})
    y = (rng.random(2000) < 0.05 + trend * X["hour"]).astype(int)
    of_right = np.where(y, 0.25, 0.85) + slope * (X["hour"] - 5) + 0.05 * rng.uniform(-1, 1, 2000)
    p = pd.Series(np.where(y, of_right, 1 - of_right), index=X.index)
    return probe(lambda inputs: p[inputs.index].to_numpy(), X, y, {"properties": ["hour"]})


def sentence(result: Result) -> str:
    return next(finding.text for finding in findings(result) if finding.name == "hour")


def test_what_comes_from_the_mix_is_told_from_what_remains_without_it() -> None:
    text = sentence(flights())
    assert text.startswith("the score falls by 0.09")
    assert re.search(r"; at the same mix of classes it changes by −?0\.00", text)
    assert ", and by −0.09" in text
    assert "because the mix changes with it" in text


def test_nothing_is_said_to_come_from_a_mix_that_does_not_change() -> None:
    text = sentence(flights(slope=-0.015, trend=0.0))
    assert "at the same mix of classes it changes by −0.1" in text
    assert "because" not in text


def test_nothing_is_said_of_the_mix_where_there_is_no_trend() -> None:
    assert "mix" not in sentence(flights(trend=0.0))
