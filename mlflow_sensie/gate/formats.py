"""What a check came to: as text for a terminal, Markdown for a pull request, JUnit for a build server, and JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal
from xml.etree import ElementTree

from mlflow_sensie.result.verdict import Judgement, Promotion, Verdict

SCHEMA_VERSION = 1
SIGNS = {"pass": "✅", "fail": "❌", "inconclusive": "❓", "error": "💥"}
HEADER = ("outcome", "rule", "test", "value [95 %]", "limit", "probability")
NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
OnInconclusive = Literal["pass", "fail"] | None
CheckOutcome = Literal["pass", "fail", "inconclusive", "error"]
EXIT_CODES = {"error": 2, "fail": 1, "inconclusive": 3, "pass": 0}  # the worst first


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
        verdict = self.verdict.model_dump(mode="json") if self.verdict else None
        return {**asdict(self), "reused": [*self.reused], "warnings": [*self.warnings], "verdict": verdict}

    def __str__(self) -> str:
        return to_text([self])


def exit_code(checks: Sequence[Check], on_inconclusive: OnInconclusive = None) -> int:
    """Return the worst of the checks' exit codes: an error before a fail before what is inconclusive.

    ``on_inconclusive`` decides what an inconclusive check counts as. It moves no alias.
    """
    outcomes = {on_inconclusive if on_inconclusive and c.outcome == "inconclusive" else c.outcome for c in checks}
    return next(code for outcome, code in EXIT_CODES.items() if outcome in {*outcomes, "pass"})


def to_json(checks: Sequence[Check], on_inconclusive: OnInconclusive = None) -> str:
    """Return checks as JSON: exit code, and a list with every check's verdict."""
    header = {"schema_version": SCHEMA_VERSION, "exit_code": exit_code(checks, on_inconclusive)}
    return json.dumps({**header, "checks": [check.to_dict() for check in checks]}, indent=1, ensure_ascii=False)


def to_text(checks: Sequence[Check]) -> str:
    """Return checks as text: for each a table of the rules, and the reasons of what did not pass."""
    parts = ["\n".join(_text_of(check)) for check in checks]
    if len(checks) > 1:
        parts.append("\n".join(_aligned([("outcome", "check"), *((check.outcome, check.name) for check in checks)])))
    return "\n\n".join(parts)


def _text_of(check: Check) -> Iterator[str]:
    against = f", against {check.baseline}" if check.baseline else ""
    yield f"{check.outcome}: {check.name}{against}"
    if check.verdict:
        yield from _aligned([HEADER, *map(_row, check.verdict.judgements)], "  ")
    for line in (*_reasons(check, blocks=True), *_reasons(check, blocks=False), *_notes(check)):
        yield f"  {line}"


def _reasons(check: Check, *, blocks: bool) -> list[str]:
    """Why rules did not pass: those that block, or those that block nothing."""
    judgements = check.verdict.judgements if check.verdict else ()
    return [judgement.reason for judgement in judgements if judgement.outcome != "pass" and judgement.blocks is blocks]


def _notes(check: Check) -> Iterator[str]:
    """What there is to say beside the rules."""
    judgements = check.verdict.judgements if check.verdict else ()
    yield from dict.fromkeys(f"note: {warning}" for judgement in judgements for warning in judgement.warnings)
    if check.promotion:
        yield check.promotion.reason
    if check.error and not (check.promotion and check.error == check.promotion.reason):
        yield check.error
    yield from (f"warning: {warning}" for warning in check.warnings)
    if check.run_id:
        reused = f"; evaluated in {', '.join(check.reused)}" if check.reused else ""
        yield f"run {check.run_id}{reused}"


def _row(judgement: Judgement) -> tuple[str, ...]:
    severity = " (waived)" if judgement.waived else " (warn)" if judgement.severity == "warn" else ""
    where = ", ".join(part for part in (judgement.test, judgement.slice) if part)
    # + 0.0: never -0
    interval = (judgement.value, judgement.lo95, judgement.hi95)
    estimate, low, high = ("…" if x is None else f"{x + 0.0:.4f}" for x in interval)
    value = "" if judgement.value is None else f"{estimate} [{low}, {high}]"
    sign, worse = "≥" if judgement.limit_name == "at_least" else "≤", " worse" if judgement.versus else ""
    probability = "" if judgement.probability is None else f"{judgement.probability:.3f}"
    return judgement.outcome + severity, judgement.rule, where, value, f"{sign} {judgement.limit:g}{worse}", probability


def _aligned(rows: Sequence[tuple[str, ...]], indent: str = "") -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [indent + "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]


# --- Markdown ----------------------------------------------------------------------------------------------


def to_markdown(checks: Sequence[Check]) -> str:
    """Return checks as Markdown, ready as the comment of a pull request."""
    parts = []
    if len(checks) > 1:
        parts.append(_table(("", "check", "baseline"), [(SIGNS[c.outcome], c.name, c.baseline or "") for c in checks]))
    return "\n\n".join([*parts, *(_markdown_of(check) for check in checks)]) + "\n"


def _markdown_of(check: Check) -> str:
    against = f" against {_escaped(check.baseline)}" if check.baseline else ""
    parts = [f"### {SIGNS[check.outcome]} {_escaped(check.name)}: {check.outcome}{against}"]
    if check.verdict:
        parts.append(_table(HEADER, [_row(judgement) for judgement in check.verdict.judgements]))
    blocking, mild = _reasons(check, blocks=True), _reasons(check, blocks=False)
    if blocking:
        parts.append(_list(blocking))
    if mild:  # there may be many, and they decide nothing
        parts.append(f"<details><summary>Blocks nothing: {len(mild)}</summary>\n\n{_list(mild)}\n\n</details>")
    return "\n\n".join([*parts, *map(_escaped, _notes(check))])


def _list(reasons: Sequence[str]) -> str:
    return "\n".join(f"- {_escaped(reason)}" for reason in reasons)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *(map(_escaped, row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _escaped(text: str) -> str:
    return " ".join(re.sub(r"([\\`*_{}\[\]<>|#])", r"\\\1", text).split())


# --- JUnit -------------------------------------------------------------------------------------------------


def to_junit(checks: Sequence[Check], on_inconclusive: OnInconclusive = None) -> str:
    """Return checks as JUnit XML: a suite per check, a case per rule and test.

    A rule that does not block is skipped, with the reason; so is what is inconclusive where that counts as a pass.
    """
    root = ElementTree.Element("testsuites")
    for check in checks:
        suite = ElementTree.SubElement(root, "testsuite", name=_xml(check.name))
        for judgement in check.verdict.judgements if check.verdict else ():
            name = "".join([judgement.rule, *(f" [{part}]" for part in (judgement.test, judgement.slice) if part)])
            mild = not judgement.blocks or (judgement.outcome == "inconclusive" and on_inconclusive == "pass")
            tag = "system-out" if judgement.outcome == "pass" else "skipped" if mild else "failure"
            _case(suite, check, name, tag, judgement.outcome, judgement.reason)
        if check.error:
            _case(suite, check, "promotion" if check.verdict else "evaluation", "error", "error", check.error)
        for tag, plural in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
            suite.set(plural, str(len(suite.findall(f"testcase/{tag}"))))
        suite.set("tests", str(len(suite.findall("testcase"))))
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _case(suite: ElementTree.Element, check: Check, name: str, tag: str, kind: str, text: str) -> None:
    case = ElementTree.SubElement(suite, "testcase", classname=_xml(f"sensie.{check.name}"), name=_xml(name))
    if tag == "system-out":
        ElementTree.SubElement(case, tag).text = _xml(text)
    else:
        ElementTree.SubElement(case, tag, type=kind, message=_xml(text))


def _xml(text: str) -> str:
    return NO_XML.sub("�", text)
