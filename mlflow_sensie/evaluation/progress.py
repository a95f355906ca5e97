"""What an evaluation will cost, and how far it is: in predictions, bytes and seconds."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass


class Progress:
    """What a sweep tells as it goes; this one keeps it to itself."""

    def predicted(self, rows: int, what: str) -> None:
        """``rows`` were predicted of ``what``, such as "rotation 20"."""

    def chunk_done(self, left: int) -> None:
        """A chunk is done, and ``left`` predictions are still to come."""


class Bar(Progress):
    """A bar and a few lines on stderr.

    Silent where stderr is neither a terminal nor a notebook's; MLFLOW_SENSIE_PROGRESS=0 silences it everywhere,
    and 1 nowhere. ``n`` examples, ``planned`` predictions, of which early stopping may save some.
    """

    def __init__(self, n: int, planned: int, *, may_stop: bool, clock: Callable[[], float] = time.monotonic) -> None:
        from tqdm import tqdm

        self._bar = tqdm(total=planned, desc="sensie", unit=" predictions", unit_scale=True, disable=not wanted())
        self._planned, self._made, self._chunks = planned, 0, 0
        self._clock, self._started = clock, clock()
        most = "at most " if may_stop else ""
        self._say(f"{most}{planned:,} predictions are coming, {planned / n:.0f} for each of {n:,} examples")

    def __enter__(self) -> Bar:
        return self

    def predicted(self, rows: int, what: str) -> None:
        """Move the bar."""
        self._made += rows
        self._bar.set_postfix_str(what, refresh=False)
        self._bar.update(rows)

    def chunk_done(self, left: int) -> None:
        """Set the bar's end, and say once, after two chunks, how long the rest will take."""
        self._chunks += 1
        self._bar.total = self._made + left
        if self._chunks == 2 and left:
            seconds = (self._clock() - self._started) * left / max(self._made, 1)
            self._say(f"{left:,} predictions are left; they will take about {in_words(seconds)}")

    def finish(self, saved: str) -> None:
        """Say what early stopping saved, if anything."""
        if saved:
            self._say(saved)

    def _say(self, text: str) -> None:
        if not self._bar.disable:
            self._bar.write(f"sensie: {text}", file=sys.stderr)

    def __exit__(self, *exception: object) -> None:
        self._bar.close()


def wanted() -> bool:
    """Whether to show progress: as MLFLOW_SENSIE_PROGRESS says, else where somebody is likely to look."""
    setting = os.environ.get("MLFLOW_SENSIE_PROGRESS", "auto")
    return setting == "1" or (setting != "0" and (sys.stderr.isatty() or "ipykernel" in sys.modules))


def in_words(seconds: float) -> str:
    """Return a duration as "3 s", "12 min" or "2.5 h"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"


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

    def __str__(self) -> str:
        bound = "at most " if self.at_most else ""
        tests = "test" if self.tests == 1 else "tests"
        return (
            f"{self.examples:,} examples, {self.tests} {tests}: {bound}{self.predictions:,} predictions, on "
            f"{_bytes(self.input_bytes)} of inputs in all; {_bytes(self.score_bytes)} of scores; "
            f"{bound}about {_duration(self.seconds)}. Nothing was evaluated."
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
