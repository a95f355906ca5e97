"""What an evaluation will cost: predictions, bytes and seconds, from one chunk and no evaluation."""

from __future__ import annotations

import time
from dataclasses import dataclass

from mlflow_sensie.data.examples import row_bytes
from mlflow_sensie.data.types import fresh_copy
from mlflow_sensie.evaluation.chunks import largest_chunk, parts, perturbed
from mlflow_sensie.evaluation.conductor import Prepared
from mlflow_sensie.evaluation.predict_calls import predict_in_calls

SCORE_BYTES = 8
MOST_ROWS = 1024  # tried out


@dataclass(frozen=True)
class Estimate:
    """What to expect of ``examples`` with ``tests``: rows to predict, and bytes of their inputs and of all scores.

    ``seconds`` to perturb and to predict, from one chunk; a recipe that may stop early takes at most these.
    """

    examples: int
    tests: int
    predictions: int
    input_bytes: int
    score_bytes: int
    seconds: float
    at_most: bool


def estimate(prepared: Prepared) -> Estimate:
    """Perturb as many examples as a chunk has and predict them once, unperturbed, and multiply.

    Raises:
        DataError, ValueError: a perturbation cannot work on the inputs.
    """
    inputs, recipe = prepared.inputs, prepared.recipe
    examples, tests = inputs.model_examples, inputs.plan.tests
    chunk = examples.take(slice(0, min(largest_chunk(examples), MOST_ROWS)))
    started = time.monotonic()
    predict_in_calls(inputs.model, fresh_copy(chunk.inputs), recipe.batch_size)
    predicted = time.monotonic() - started  # `prepare` predicted the same, so nothing is set up here any more
    started = time.monotonic()
    for test in tests:
        for part in parts(chunk):
            some = chunk.take(part)
            for values in perturbed(test, some, (0, part.start), recipe.seed):
                some.input_format.encode(values, some.inputs)
    changed = time.monotonic() - started
    versions = 1 + sum(len(test.magnitudes) for test in tests)
    n = len(examples)
    return Estimate(
        examples=n,
        tests=recipe.n_tests,
        predictions=n * versions,
        input_bytes=n * versions * row_bytes(chunk.source),
        score_bytes=n * (versions + len(prepared.properties)) * SCORE_BYTES,
        seconds=(predicted * versions + changed) * n / len(chunk),
        at_most=recipe.precision is not None or recipe.time_budget is not None,
    )


def sentence(found: Estimate) -> str:
    """Say an estimate in words."""
    bound = "at most " if found.at_most else ""
    tests = "test" if found.tests == 1 else "tests"
    return (
        f"{found.examples:,} examples, {found.tests} {tests}: {bound}{found.predictions:,} predictions, on "
        f"{_bytes(found.input_bytes)} of inputs in all; {_bytes(found.score_bytes)} of scores; "
        f"{bound}about {_duration(found.seconds)}. Nothing was evaluated."
    )


def _bytes(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} TB"


def _duration(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.2g} seconds"
