"""A gate's answer: what every rule came to, and whether the model may pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

Outcome = Literal["pass", "fail", "inconclusive"]
SCHEMA_VERSION = 1
EXIT_CODES: dict[str, int] = {"pass": 0, "fail": 1, "inconclusive": 3}


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Judgement(_Frozen):
    """What one rule came to for one test.

    ``value`` with its 95 % interval is what the rule limits, in its unit: the quantity, or how much worse than the
    baseline it is. ``limit`` is the rule's. ``probability`` is that of the rule's being kept. All four are
    ``None`` where nothing could be judged; ``lo95`` or ``hi95`` alone where there is no such bound. ``n`` examples
    were judged; ``n_more`` would about settle what is inconclusive, ``None`` where no number would.
    """

    rule: str
    metric: str
    test: str | None
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
    severity: Literal["error", "warn"]
    waived: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def blocks(self) -> bool:
        """Whether this keeps the model from passing."""
        return self.outcome != "pass" and self.severity == "error" and not self.waived


class Verdict(_Frozen):
    """The answer of a gate, with every rule's judgement."""

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
    def exit_code(self) -> int:
        """0 pass, 1 fail, 3 inconclusive; 2 is kept for what could not be evaluated."""
        return EXIT_CODES[self.outcome]

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the model does not pass; empty where it does."""
        return tuple(judgement.reason for judgement in self.judgements if judgement.blocks)

    def to_table(self) -> list[dict[str, Any]]:
        """A row per rule and test, for printing: the fields of ``Judgement`` that a reader wants."""
        columns = (
            "rule", "test", "metric", "value", "lo95", "hi95", "limit_name", "limit", "probability", "outcome",
            "severity", "waived", "n_more", "reason",
        )  # fmt: skip
        return [{name: getattr(judgement, name) for name in columns} for judgement in self.judgements]

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


def overall(judgements: Sequence[Judgement]) -> Outcome:
    """Fail where a rule that blocks failed, else inconclusive where one is, else pass."""
    blocking = {judgement.outcome for judgement in judgements if judgement.blocks}
    return "fail" if "fail" in blocking else "inconclusive" if blocking else "pass"
