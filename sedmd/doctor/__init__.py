"""`sedmd doctor`: looks at everything the service needs and says what to do; changes nothing, but compiles loops."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from sedmd.core.config import Settings
from sedmd.doctor import data, host, loops, saving, sending, unit
from sedmd.doctor.environment import Environment
from sedmd.doctor.finding import Finding, error, render

__all__ = ["CHECKS", "Environment", "Finding", "examine", "render"]

Check = Callable[[Settings, Environment], list[Finding]]

#: In the order in which an operator mends things; each is independent of the others.
CHECKS: tuple[tuple[str, Check], ...] = (
    ("libraries", host.libraries),
    ("compiled loops", loops.compiled_loops),
    ("configuration", data.configuration),
    ("raw root", data.raw_root),
    ("redux root", data.redux_root),
    ("state dir", data.state_dir),
    ("saving", saving.saving),
    ("service", data.lock),
    ("ledger", data.ledger),
    ("clock", host.clock),
    ("inotify", host.inotify),
    ("memory", host.memory),
    ("open files", host.open_files),
    ("systemd", unit.systemd),
    ("upload", sending.upload),
    ("mail", sending.mail),
)


def examine(
    settings: Settings, *, environment: Environment | None = None, checks: Sequence[tuple[str, Check]] = CHECKS
) -> list[Finding]:
    """All findings, in the order of `CHECKS`. Never raises.

    A check that fails, or that hangs longer than ``environment.patience_s`` (a dead network file system), becomes an
    error itself.
    """
    machine = environment or Environment()
    return [finding for subject, check in checks for finding in _examined(subject, check, settings, machine)]


def _examined(subject: str, check: Check, settings: Settings, environment: Environment) -> list[Finding]:
    findings: list[Finding] = []

    def run() -> None:
        try:
            findings.extend(check(settings, environment))
        except Exception as failure:
            # the boundary: what is broken here is what the operator wants to know
            text = f"cannot be checked ({type(failure).__name__}: {failure})"
            findings.append(error(subject, text, "fix what it names and run sedmd doctor again"))

    # a thread, because nothing else gives up on a file system that does not answer
    thread = threading.Thread(target=run, name=f"doctor {subject}", daemon=True)
    thread.start()
    patience_s = loops.PATIENCE_S if check is loops.compiled_loops else environment.patience_s
    thread.join(patience_s)
    if thread.is_alive():
        text = f"did not answer in {patience_s:g} s"
        return [error(subject, text, "is a network file system away? Try: ls on each of [paths]")]
    return findings
