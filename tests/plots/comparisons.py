"""Comparisons of every kind of test, made by hand."""

from __future__ import annotations

from dataclasses import replace

from matplotlib.figure import Figure
from matplotlib.text import Text

from mlflow_sensie.comparison import Comparison, CurveDifference, Difference, TestComparison
from mlflow_sensie.inference import OrderStatistics, SkewedT

HOSTILE = [
    "<script>alert('1')</script>",
    r"$x_1$ \frac{1}{2",
    "very long name " * 20,
    "旋转 🚀",
    "line\nbreak\x00",
    "z",
]


def difference(metric: str, loc: float, better: str = "lower", a: float = 0.1) -> Difference:
    posterior = SkewedT(loc, 0.01, 50.0)
    return Difference(metric, 51, a, a + loc, posterior.summary(value=loc), posterior, better)  # type: ignore[arg-type]


def curve(n: int = 3, *, log: bool = False) -> CurveDifference:
    p = tuple(float(k + 1) for k in range(n))
    flat = tuple(0.8 - 0.1 * k / n for k in range(n))
    d = tuple(-0.01 * k for k in range(n))
    ends = (tuple(x - 0.02 for x in d), tuple(x + 0.02 for x in d))
    return CurveDifference(p, tuple(f"level {x:g}" for x in p), flat, flat, d, *ends, log)


def sweep(name: str, loc: float, *, log: bool = False) -> TestComparison:
    differences = {
        "mean_drop": difference("mean_drop", loc),
        "holds_until": difference("holds_until", -20 * loc, "higher", 10.0),
    }
    return TestComparison(name, f"slug-{len(name)}", "perturbation", "degrees", 51, differences, curve(log=log))


def group(name: str, levels: int = 3) -> TestComparison:
    return TestComparison(name, "slug-g", "category", "", 51, {"spread": difference("spread", -0.05)}, curve(levels))


def prop(name: str) -> TestComparison:
    sizes = OrderStatistics(tuple(x / 100 for x in range(-5, 6)))
    effect = replace(difference("effect", 0.2, "smaller", -0.1), sizes=sizes)
    return TestComparison(name, "slug-p", "property", "", 51, {"effect": effect}, None)


def comparison(*tests: TestComparison) -> Comparison:
    return Comparison(
        a="old", b="new", score="probability", score_unit="probability", n=51, paired=True, identical=False,
        correlation=0.9, clean=difference("clean_score", 0.05, "higher", 0.8),
        tests={test.name: test for test in tests}, not_compared={"x": "no"},
    )  # fmt: skip


def texts(figure: Figure, label: str = "") -> list[str]:
    artists = [text for text in figure.findobj(Text) if isinstance(text, Text) and text.get_text()]
    return [text.get_text() for text in artists if not label or text.get_label() == label]
