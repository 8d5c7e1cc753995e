"""What a check has found, and how it is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sedmd.host.foreign_file import plain

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked.

    Attributes
    ----------
    level : "ok", "warning" (works, but see to it) or "error" (will not work)
    subject : str
        What was checked, a word or two.
    found : str
        What is the case.
    advice : str
        What to do; empty when all is well.
    """

    level: Level
    subject: str
    found: str
    advice: str = ""


def ok(subject: str, found: str) -> Finding:
    """All is well."""
    return Finding("ok", subject, found)


def warning(subject: str, found: str, advice: str) -> Finding:
    """It works, but somebody should see to it."""
    return Finding("warning", subject, found, advice)


def error(subject: str, found: str, advice: str) -> Finding:
    """It will not work."""
    return Finding("error", subject, found, advice)


def render(findings: Sequence[Finding]) -> str:
    """A line for each finding, the advice on the next, a count at the end."""
    width = max((len(finding.subject) for finding in findings), default=0)
    lines = []
    for finding in findings:
        lines.append(f"{finding.level:<8} {finding.subject:<{width}}  {plain(' '.join(finding.found.split()))}")
        if finding.advice:
            lines.append(f"{'':8} {'':{width}}  -> {plain(' '.join(finding.advice.split()))}")
    errors = sum(finding.level == "error" for finding in findings)
    warnings = sum(finding.level == "warning" for finding in findings)
    lines.append(f"{len(findings)} checks: {_count(errors, 'error')}, {_count(warnings, 'warning')}")
    return "\n".join(lines)


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"
