"""What went into a product: its inputs by checksum, the code by version, the settings by hash, the figures reached."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

import numpy as np
from astropy.io import fits

import sedmd
from sedmd.core.job import Job
from sedmd.host.files import sha256_of
from sedmd.products.fitsio import CardValue, add_cards
from sedmd.raw.mends import Cards, Mend

_LIBRARIES = (("NUMPYVER", "numpy"), ("SCIPYVER", "scipy"), ("ASTPYVER", "astropy"), ("NUMBAVER", "numba"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Cards for the primary header, and a table of inputs."""

    header: fits.Header
    table: fits.BinTableHDU


def provenance(job: Job, figures: Mapping[str, CardValue] | None = None) -> Provenance:
    """Provenance of the products of one job.

    Parameters
    ----------
    job : Job
        Its input files are read for their checksums.
    figures : mapping, optional
        Quality figures; names longer than 8 characters become ``HIERARCH SEDM`` cards.

    Returns
    -------
    Provenance
        Cards STEP, NIGHT, SEDMVER, NUMPYVER, SCIPYVER, ASTPYVER, NUMBAVER, OPTHASH, NINPUT and the figures; MEND1 ...
        with the header cards of raw frames that an operator corrected, also of those that went into the inputs; a table
        PROVENANCE with a row per input: ROLE, FILE (its name, no directory), SHA256, STEP (that made it; ``raw``).
        Neither host, user, directory nor time: the same job gives the same bytes.
    """
    inputs = [(role, path, _made_header(path)) for role, paths in sorted(job.inputs.items()) for path in paths]
    rows = [(role, path.name, sha256_of(path), str(made.get("STEP", "raw"))) for role, path, made in inputs]
    mends = sorted({*_mends_here(job), *(given for _, _, made in inputs for given in _mend_texts(made))})
    header = fits.Header()
    add_cards(
        header,
        {
            "STEP": (job.step, "step of the recipe that made this file"),
            "NIGHT": (job.night, "UT night"),
            "SEDMVER": (sedmd.__version__, "sedmd version"),
            **{card: (_version(library), f"{library} version") for card, library in _LIBRARIES},
            "OPTHASH": (options_hash(job.options), "hash of the settings of the step"),
            "NINPUT": (len(rows), "input files, see extension PROVENANCE"),
            **{f"MEND{number}": given for number, given in enumerate(mends, start=1)},
            **(figures or {}),
        },
    )
    names = ("ROLE", "FILE", "SHA256", "STEP")
    columns = [_text_column(name, tuple(row[place] for row in rows)) for place, name in enumerate(names)]
    return Provenance(header=header, table=fits.BinTableHDU.from_columns(columns, name="PROVENANCE"))


def options_hash(options: Mapping[str, object]) -> str:
    """Twelve hexadecimal digits that change when any setting of a step does; the order of the keys does not count."""
    text = json.dumps(dict(options), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _text_column(name: str, values: tuple[str, ...]) -> fits.Column:
    width = max((len(value) for value in values), default=1)
    return fits.Column(name=name, format=f"{max(width, 1)}A", array=np.array(values, dtype=f"U{max(width, 1)}"))


def _made_header(path: Path) -> fits.Header:
    """Header of an input that a step made; an empty one for what no step made."""
    try:
        header = fits.getheader(path) if path.suffix == ".fits" else fits.Header()
    except OSError:
        return fits.Header()
    return header if "STEP" in header else fits.Header()


def _mends_here(job: Job) -> list[str]:
    """Corrected cards of the raw frames of this job, such as ``ifu20190612_04_20_00 EXPTIME=900``."""
    mends: Mapping[str, Cards] = job.options.get("mends", {})
    return [
        f"{stem} {Mend(scope=stem, card=card, value=value).describe()}"
        for stem, cards in mends.items()
        for card, value in cards.items()
    ]


def _mend_texts(header: fits.Header) -> list[str]:
    """Corrected cards of what went into an input."""
    return [str(header[card]) for card in header if re.fullmatch(r"MEND\d+", card)]


@cache
def _version(library: str) -> str:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return "absent"
