"""The command `mend`: corrections of header cards."""

from __future__ import annotations

import argparse
import json

from sedmd.commands.common import Add, add_where, settings_of, utc_now
from sedmd.commands.leave_request import leave_request
from sedmd.core.config import Settings
from sedmd.core.errors import ConfigError
from sedmd.raw.mends import parse_card, scope_of


def add_to(add: Add) -> None:
    """Add this command to the program."""
    command = add("mend", verb_mend)
    command.add_argument("subject", metavar="FRAME|FIRST..LAST|NIGHT", nargs="?", help="what is corrected")
    command.add_argument("cards", metavar="CARD=VALUE", nargs="*", help="as FITS has it; CARD=- takes the card out")
    command.add_argument("--undo", metavar="CARD", nargs="*", help="take corrections back (default: all)")
    command.add_argument("--list", metavar="NIGHT", nargs="?", const="", help="tell what is corrected; changes nothing")
    add_where(command)


def verb_mend(options: argparse.Namespace) -> int:
    """Correct cards of raw headers for the reduction; the files are not touched.

    The frame is read again, and all that depends on it is remade. A correction of a night or range holds for frames
    that come later too; of several corrections of a card the last one counts. Values are written as FITS has them: T
    or F, a number, or text, in quotes where it looks like one of them.
    """
    if options.list is not None:
        return _list_mends(settings_of(options), options.list)
    if not options.subject or bool(options.cards) == (options.undo is not None):
        msg = "mend needs FRAME CARD=VALUE, FRAME --undo, or --list"
        raise ConfigError(msg)
    options.subject, options.night = scope_of(options.subject), None
    if options.undo is not None:
        given: dict[str, object] = {"undo": [card.upper() for card in options.undo]}
    else:
        given = {"cards": dict(parse_card(text) for text in options.cards)}
    return leave_request("mend", options, json.dumps(given))


def _list_mends(settings: Settings, night: str) -> int:
    from sedmd.ledger.ledger import Ledger
    from sedmd.ledger.marks import MEND

    with Ledger.open(settings.paths.state / "ledger.sqlite", clock=utc_now, read_only=True) as ledger:
        found = [(one, mend) for one in sorted(ledger.marks.nights(MEND)) for mend in ledger.marks.mends(one)]
    for when, mend in found:
        if night in ("", when):
            print(f"{when}  {mend.scope:44} {mend.describe():40} {mend.who}, {mend.time[:16].replace('T', ' ')} UT")
    if not any(night in ("", when) for when, _ in found):
        print(f"no card is corrected{f' in night {night}' if night else ''}")
    return 0
