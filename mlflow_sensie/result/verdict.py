"""A gate's answer: what every rule came to, whether the model may pass, and what became of its alias."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from mlflow_sensie.recipe.rules import Severity
from mlflow_sensie.result.tests import Frozen

Outcome = Literal["pass", "fail", "inconclusive"]
SCHEMA_VERSION = 1


class Judgement(Frozen):
    """What one rule came to, for one test where it is about tests, and one slice where it is about slices.

    ``value`` with its 95 % interval is what the rule limits, in its unit: the quantity, or how much worse than the
    baseline's it is; ``limit`` is the rule's, and ``probability`` that of the rule's being kept. They are ``None``
    where nothing could be judged, as ``lo95`` or ``hi95`` is where there is no such bound. ``n`` examples were
    judged; ``n_more`` would about settle what is inconclusive, ``None`` where no number would.
    """

    rule: str
    metric: str
    test: str | None
    slice: str | None = None
    versus: str | None
    value: float | None = None
    lo95: float | None = None
    hi95: float | None = None
    limit: float
    limit_name: str
    probability: float | None = None
    confidence: float
    outcome: Outcome
    reason: str
    n: int | None = None
    n_more: int | None = None
    severity: Severity
    waived: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def blocks(self) -> bool:
        """Whether this keeps the model from passing."""
        return self.outcome != "pass" and self.severity == "error" and not self.waived


class Verdict(Frozen):
    """The answer of a gate, with every rule's judgement; ``baseline`` is the model that was judged against."""

    schema_version: int = SCHEMA_VERSION
    outcome: Outcome
    judgements: tuple[Judgement, ...]
    n: int
    score: str
    data_sha256: str
    recipe_sha256: str
    candidate: str
    baseline: str | None = None

    @property
    def passed(self) -> bool:
        """Whether the model may be promoted."""
        return self.outcome == "pass"

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the model does not pass; empty where it does."""
        return tuple(judgement.reason for judgement in self.judgements if judgement.blocks)

    @property
    def n_more(self) -> int | None:
        """How many more examples would about settle every blocking rule that is inconclusive, if any number would."""
        blocking = [judgement for judgement in self.judgements if judgement.blocks]
        counts = [judgement.n_more for judgement in blocking if judgement.outcome == "inconclusive"]
        known = [count for count in counts if count is not None]
        return max(known) if known and len(known) == len(counts) else None

    def summary(self) -> pd.DataFrame:
        """A row per rule, test and slice, with its outcome, value, interval, limit, probability and reason."""
        columns = ["outcome", "rule", "test", "slice", "value", "lo95", "hi95", "limit", "probability", "n_more"]
        return pd.DataFrame([judgement.model_dump() for judgement in self.judgements])[[*columns, "reason"]]

    def to_json(self) -> str:
        """Return the verdict as JSON (a versioned schema)."""
        return self.model_dump_json(indent=1)

    @classmethod
    def from_json(cls, text: str) -> Verdict:
        """Read back what ``to_json`` wrote.

        Raises:
            pydantic.ValidationError: the text is no such verdict.
        """
        return cls.model_validate_json(text)


@dataclass(frozen=True)
class Promotion:
    """What became of an alias: the versions it named before and afterwards, None for none or not known.

    ``lost race``: somebody else moved it meanwhile. ``warning``: what else went wrong.
    """

    alias: str
    outcome: Literal["moved", "already there", "lost race", "failed"]
    before: str | None
    after: str | None
    reason: str
    warning: str | None = None

    @property
    def done(self) -> bool:
        """Whether the alias names the model now."""
        return self.outcome in ("moved", "already there")


def overall(judgements: Sequence[Judgement]) -> Outcome:
    """Fail where a rule that blocks failed, else inconclusive where one is, else pass."""
    blocking = {judgement.outcome for judgement in judgements if judgement.blocks}
    return "fail" if "fail" in blocking else "inconclusive" if blocking else "pass"
