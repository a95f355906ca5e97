"""Properties of texts, against values counted by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd

from mlflow_sensie.properties.text import (
    LENGTH,
    MEAN_WORD_LENGTH,
    NON_ASCII_FRACTION,
    UPPERCASE_FRACTION,
    WORDS,
)


def test_text_properties() -> None:
    texts = np.array(["Hello WORLD", "", None, "naïve 中文", "123 456"], dtype=object)
    expected = {
        LENGTH: [11, 0, np.nan, 8, 7],
        WORDS: [2, 0, np.nan, 2, 2],
        MEAN_WORD_LENGTH: [5, np.nan, np.nan, 3.5, 3],
        UPPERCASE_FRACTION: [0.6, np.nan, np.nan, 0, np.nan],
        NON_ASCII_FRACTION: [0, np.nan, np.nan, 3 / 8, 0],
    }
    for prop, values in expected.items():
        np.testing.assert_allclose(prop(texts), values)
        np.testing.assert_allclose(prop(pd.DataFrame({"t": texts, "n": 1})), values)
    two = pd.DataFrame({"a": ["ab", None], "b": ["c", "d"]})
    assert LENGTH(two).tolist() == [4, 1]
    assert replace(LENGTH, columns=("b",))(two).tolist() == [1, 1]
