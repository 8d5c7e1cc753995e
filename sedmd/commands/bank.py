"""The command `bank`: templates to classify with."""

from __future__ import annotations

import argparse
from pathlib import Path

from sedmd.commands.common import Add, add_where, settings_of, writing
from sedmd.core.errors import ConfigError


def add_to(add: Add) -> None:
    """Add this command to the program."""
    command = add("bank", verb_bank)
    command.add_argument(
        "source", metavar="WHEEL_OR_FOLDER", type=Path, help="a wheel or zip archive that holds a bank, or a folder"
    )
    command.add_argument("--to", metavar="DIR", type=Path, help="here (default: [classify] sage_templates)")
    add_where(command, required=False)


def verb_bank(options: argparse.Namespace) -> int:
    """Install a bank of templates for snid-sage from a file, without a network; every spectrum in it is checked.

    The wheels of snid-sage 0.6.1 to 0.9.0 hold one, which later versions can use:
    pip download --no-deps snid-sage==0.9.0. An earlier bank in its place is replaced; on any fault it stays as it was.
    """
    from sedmd.after.classify.bank import install
    from sedmd.core.config import Classify

    there = options.config is not None or options.redux is not None
    settings = settings_of(options).classify if there else Classify()
    folder = options.to or settings.sage_templates
    if folder is None:
        raise ConfigError("where to? set [classify] sage_templates in --config, or name a folder with --to")
    if not options.source.exists():
        raise ConfigError(f"there is no {options.source}; pip download --no-deps snid-sage==0.9.0 gets one")
    with writing(f"the bank {folder}"):
        print(install(options.source, folder, python=settings.sage_python).line())
    if settings.sage_templates is None or settings.sage_templates.absolute() != folder.absolute():
        print(f'to use it: sage_templates = "{folder.absolute()}" in the section [classify] of the configuration')
    return 0
