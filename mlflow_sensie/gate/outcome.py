"""What a check came to, for the code that called it and for the build that ran it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from mlflow_sensie.result.verdict import Verdict

if TYPE_CHECKING:
    from mlflow_sensie.tracking.registry import Promotion

CheckOutcome = Literal["pass", "fail", "inconclusive", "error"]
EXIT_CODES = {"pass": 0, "fail": 1, "error": 2, "inconclusive": 3}
FROM_WORST = ("error", "fail", "inconclusive", "pass")


@dataclass(frozen=True)
class Check:
    """A model checked by a gate.

    ``outcome`` is the verdict's, or ``error`` where nothing could be evaluated, or where the alias that a pass was to
    move does not name the model; ``error`` says why. ``run_id`` is the run with the verdict, ``reused`` are the runs
    whose evaluation was taken over.
    """

    name: str
    model: str
    baseline: str | None
    outcome: CheckOutcome
    verdict: Verdict | None = None
    run_id: str | None = None
    promotion: Promotion | None = None
    error: str | None = None
    reused: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the model passed, and the alias moved if it was to."""
        return self.outcome == "pass"

    @property
    def exit_code(self) -> int:
        """0 pass, 1 fail, 2 could not evaluate or promote, 3 inconclusive."""
        return EXIT_CODES[self.outcome]

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the model did not pass; empty where it did."""
        return (self.error,) if self.error else self.verdict.reasons if self.verdict else ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-like values."""
        plain = {key: getattr(self, key) for key in ("name", "model", "baseline", "outcome", "run_id", "error")}
        return {
            **plain,
            "reused": list(self.reused),
            "warnings": list(self.warnings),
            "promotion": asdict(self.promotion) if self.promotion else None,
            "verdict": self.verdict.model_dump(mode="json") if self.verdict else None,
        }

    def __str__(self) -> str:
        from mlflow_sensie.gate.formats import to_text

        return to_text([self])


def exit_code(checks: Sequence[Check], on_inconclusive: Literal["pass", "fail"] | None = None) -> int:
    """Return the worst of the checks' exit codes: an error before a fail before what is inconclusive.

    ``on_inconclusive`` decides what an inconclusive check counts as. It moves no alias.
    """
    outcomes = {on_inconclusive if on_inconclusive and c.outcome == "inconclusive" else c.outcome for c in checks}
    return EXIT_CODES[next(outcome for outcome in FROM_WORST if outcome in {*outcomes, "pass"})]
