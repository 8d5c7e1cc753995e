"""The command `verify`: products and raw files against their checksums."""

from __future__ import annotations

import argparse

from sedmd.commands.common import Add, add_where, night_argument, settings_of, utc_now
from sedmd.core.errors import ConfigError


def add_to(add: Add) -> None:
    """Add this command to the program."""
    command = add("verify", verb_verify)
    command.add_argument("night", nargs="?", type=night_argument, help="this UT night (default: every night)")
    add_where(command)
    command.add_argument("--all", action="store_true", help="a line for each file, the good ones too")


def verb_verify(options: argparse.Namespace) -> int:
    """Compare every product with its checksum and every raw file with the ledger; nothing is changed.

    Exit code 1: a file is missing, was changed, or cannot be read. What neither ledger nor decision knows is listed.
    """
    from sedmd.ledger.ledger import Ledger
    from sedmd.run.verify import GOOD, HARMLESS, VerifiedFile, summary, verify_night

    settings = settings_of(options)
    found: list[VerifiedFile] = []
    with Ledger.open(settings.paths.state / "ledger.sqlite", clock=utc_now, read_only=True) as ledger:
        nights = [options.night] if options.night else ledger.frames.nights()
        if options.night and options.night not in ledger.frames.nights():
            msg = f"the ledger knows no night {options.night}; sedmd status shows the newest"
            raise ConfigError(msg)
        for night in nights:
            for finding in verify_night(settings, ledger, night, now=utc_now()):
                found.append(finding)
                if options.all or finding.state != GOOD:
                    print(finding.line(), flush=True)
    print(summary(found))
    return int(any(finding.state not in HARMLESS for finding in found))
