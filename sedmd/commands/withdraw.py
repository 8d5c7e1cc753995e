"""The command `withdraw`: uploaded spectra deleted at the receiver."""

from __future__ import annotations

import argparse
import sys

from sedmd.commands.common import Add, add_where, night_argument, settings_of, utc_now
from sedmd.core.errors import ConfigError


def add_to(add: Add) -> None:
    """Add this command to the program."""
    command = add("withdraw", verb_withdraw)
    command.add_argument("name", metavar="TARGET", help="the observation, or the target, as report_ztf.txt names it")
    command.add_argument("--night", type=night_argument, help="default: the newest in which it was sent")
    add_where(command)


def verb_withdraw(options: argparse.Namespace) -> int:
    """Take back what was uploaded of a target: the receiver deletes it, and it is not sent again by itself.

    A spectrum that is remade or regraded afterwards is another one, and is sent.
    """
    from sedmd.after.deliver.backend import Closed, Refused, TryLater
    from sedmd.after.deliver.receivers import receiver
    from sedmd.after.deliver.withdraw import withdraw

    settings = settings_of(options)
    backend = receiver(settings, clock=utc_now)
    if backend is None:
        raise ConfigError("nothing was uploaded: [upload] backend is not set; give the --config with it")
    try:
        print("\n".join(withdraw(settings, backend, options.name, night=options.night, clock=utc_now)))
    except (Closed, Refused, TryLater) as error:
        print(f"sedmd: not withdrawn: {error}", file=sys.stderr)
        return 1
    return 0
