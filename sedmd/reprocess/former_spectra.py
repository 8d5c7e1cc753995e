"""The former spectra of a night, kept beside it while it is reduced again, so that both versions can be compared.

Products are replaced as a whole, never written over: a second name keeps the former one, and costs no room. They are
kept until the comparison is written, also when the work is interrupted in between.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from sedmd.reprocess.changes import spectra_in

#: Below the night's directory.
FOLDER = ".former"


def keep(night_folder: Path) -> bool:
    """Keep the spectra that are there now; False if those of before an interruption are kept already."""
    kept = night_folder / FOLDER
    if kept.is_dir():
        return False
    if not night_folder.is_dir():
        return True
    fresh = night_folder / f"{FOLDER}.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    for path in spectra_in(night_folder).values():
        try:
            os.link(path, fresh / path.name)
        except OSError:  # a file system without second names
            shutil.copy2(path, fresh / path.name)
    fresh.rename(kept)
    return True


def kept_in(night_folder: Path) -> dict[str, Path]:
    """Product -> file of the spectra that are kept."""
    return spectra_in(night_folder / FOLDER)


def let_go(night_folder: Path) -> None:
    """The comparison is written."""
    shutil.rmtree(night_folder / FOLDER, ignore_errors=True)
