"""The commands redo, retry, forget, hold, release and accept: each leaves a request about a subject."""

from __future__ import annotations

import argparse

from sedmd.commands.common import Add, add_where, night_argument
from sedmd.commands.leave_request import leave_request


def add_to(add: Add) -> None:
    """Add these commands to the program."""
    for name, verb, what in (
        ("redo", verb_redo, "NIGHT|TARGET|FRAME|STEP"),
        ("retry", verb_retry, "NIGHT|TARGET|FRAME|STEP"),
        ("forget", verb_forget, "FRAME"),
        ("hold", verb_hold, "NIGHT|TARGET|FRAME|STEP"),
        ("release", verb_release, "NIGHT|TARGET|FRAME|STEP"),
        ("accept", verb_accept, "NIGHT"),
    ):
        command = add(name, verb)
        command.add_argument("subject", metavar=what, type=night_argument if what == "NIGHT" else str)
        command.add_argument("--night", type=night_argument, help="in this night (default: the newest)")
        add_where(command)


def verb_redo(options: argparse.Namespace) -> int:
    """Do jobs again, and all that rests on them, with the best calibrations that there are by now."""
    return leave_request("redo", options)


def verb_retry(options: argparse.Namespace) -> int:
    """Try again what failed or was quarantined; take back a rejected frame."""
    return leave_request("retry", options)


def verb_forget(options: argparse.Namespace) -> int:
    """Reject a raw frame, as if it had never come; the file is not touched."""
    return leave_request("forget", options)


def verb_hold(options: argparse.Namespace) -> int:
    """Begin no jobs of this name until they are released."""
    return leave_request("hold", options)


def verb_release(options: argparse.Namespace) -> int:
    """Let held jobs begin."""
    return leave_request("release", options)


def verb_accept(options: argparse.Namespace) -> int:
    """Accept a night's geometry change against the night before as real: the instrument was changed."""
    options.night = options.subject
    return leave_request("accept", options)
