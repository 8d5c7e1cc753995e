"""The command `stars`: the site's table of stars, against which acquisition and guider frames are held."""

from __future__ import annotations

import argparse
from pathlib import Path

from sedmd.commands.common import Add, writing
from sedmd.core.config import load
from sedmd.core.errors import ConfigError


def add_to(add: Add) -> None:
    """Add this command to the program."""
    command = add("stars", verb_stars)
    command.add_argument("action", choices=("import", "show"))
    command.add_argument("files", metavar="FILE", nargs="*", type=Path, help="of Gaia: .fits, .csv, .csv.gz, .parquet")
    where = command.add_mutually_exclusive_group(required=True)
    where.add_argument("--into", metavar="DIR", type=Path, help="folder of the table")
    where.add_argument("--config", type=Path, help="or the service's configuration: [guide] stars")
    command.add_argument("--faintest", metavar="MAG", type=float, default=18.0, help="fainter in G: not taken (18)")


def verb_stars(options: argparse.Namespace) -> int:
    """Put stars from files of Gaia into the site's table, or say what it holds.

    The columns have the names of the Gaia archive: ra, dec, phot_g_mean_mag, and where they are there pmra, pmdec,
    bp_rp, ref_epoch. The same star twice is one. Nothing is fetched, now or later.
    """
    from sedmd.products.star_files import stars_of_file
    from sedmd.products.star_table import add_stars, open_stars

    folder = _folder(options)
    if options.action == "show":
        table = open_stars(folder)
        print(f"{folder}: {table.count} stars, table {table.ident[:12]}")
        return 0
    if not options.files:
        raise ConfigError("stars import: of which files? give sedmd stars import FILE ... --into DIR")
    for path in options.files:
        if not path.is_file():
            raise ConfigError(f"{path} is not a file; expected a table of stars of Gaia")
        with writing("the star table"):
            table, new = add_stars(folder, stars_of_file(path, faintest_mag=options.faintest))
        print(f"{path.name}: {new} new stars; {table.count} in {folder}, table {table.ident[:12]}")
    return 0


def _folder(options: argparse.Namespace) -> Path:
    if options.into is not None:
        into: Path = options.into
        return into
    folder: Path | None = load(options.config).guide.stars
    if folder is None:
        raise ConfigError(f"{options.config} names no star table; expected [guide] stars, or give --into DIR")
    return folder
