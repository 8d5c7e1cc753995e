"""Files of stars as the Gaia archive gives them, a part at a time: FITS, CSV (also ECSV and gzipped), Parquet."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from sedmd.products.star_table import EPOCH, STAR, StarTableFault
from sedmd.reduce.guide.sky import moved_by

#: Columns that a file must have, by the names of the Gaia archive.
NEEDED = ("ra", "dec", "phot_g_mean_mag")
#: Those that it may have. Without proper motions stars stay where they are; without a colour they have no magnitudes in
#: the filters; without an epoch they are taken to be of Gaia DR3.
MAY = ("pmra", "pmdec", "bp_rp", "phot_bp_mean_mag", "phot_rp_mean_mag", "ref_epoch")
#: Rows that are read at a time.
ROWS = 500_000

Columns = Mapping[str, NDArray[Any]]


def stars_of_file(path: Path, *, faintest_mag: float, rows: int = ROWS) -> Iterator[NDArray[np.void]]:
    """The stars of a file in parts, at the epoch of the table.

    Parameters
    ----------
    path : Path
        Its columns have the names of the Gaia archive: `NEEDED`, `MAY`; others are not read.
    faintest_mag : float
        Fainter stars (G) are not taken.
    rows : rows of a part

    Yields
    ------
    (n,) array of `sedmd.products.star_table.STAR`

    Raises
    ------
    StarTableFault
        A format that is not known or cannot be read here, or a column that is missing.
    """
    reader = _reader_of(path)
    try:
        for columns in reader(path, rows):
            yield _stars(columns, faintest_mag)
    except (ValueError, KeyError, EOFError, OSError, csv.Error) as error:
        msg = f"{path.name} cannot be read: {' '.join(str(error).split())}; get the file again"
        raise StarTableFault(msg) from error


def _reader_of(path: Path) -> Callable[[Path, int], Iterator[Columns]]:
    name = path.name.lower()
    if name.endswith((".csv", ".csv.gz", ".ecsv", ".ecsv.gz")):
        return _csv
    if name.endswith((".fits", ".fit", ".fits.gz")):
        return _fits
    if name.endswith((".parquet", ".pq")):
        if find_spec("pyarrow") is None:
            raise StarTableFault(f"{path.name}: Parquet needs pyarrow (pip install pyarrow); or give FITS or CSV")
        return _parquet
    raise StarTableFault(f"{path.name}: expected a table of stars as .fits, .csv, .csv.gz, .ecsv or .parquet")


def _chosen(path: Path, names: Sequence[str]) -> dict[str, str]:
    """Our name of each column that is read -> the file's."""
    known = {name.strip().lower(): name for name in names}
    if missing := [name for name in NEEDED if name not in known]:
        msg = f"{path.name} has no column {' nor '.join(missing)}; expected the names of the Gaia archive: "
        raise StarTableFault(msg + ", ".join((*NEEDED, *MAY)))
    return {name: known[name] for name in (*NEEDED, *MAY) if name in known}


def _csv(path: Path, rows: int) -> Iterator[Columns]:
    zipped = path.suffix == ".gz"
    with gzip.open(path, "rt", encoding="utf-8") if zipped else path.open(encoding="utf-8") as stream:
        lines = csv.reader(line for line in stream if not line.startswith("#"))
        head = next(lines, [])
        chosen = {name: head.index(given) for name, given in _chosen(path, head).items()}
        while part := list(islice(lines, rows)):
            yield {name: np.array([_number(row, at) for row in part]) for name, at in chosen.items()}


def _number(row: Sequence[str], at: int) -> float:
    text = row[at].strip() if at < len(row) else ""
    return float(text) if text.lower() not in ("", "null", "none") else np.nan


def _fits(path: Path, rows: int) -> Iterator[Columns]:
    with fits.open(path, memmap=not path.name.endswith(".gz")) as hdul:
        tables = [hdu for hdu in hdul if isinstance(hdu, fits.BinTableHDU)]
        if not tables:
            raise StarTableFault(f"{path.name} holds no table; expected one of stars")
        chosen = _chosen(path, tables[0].columns.names)
        for first in range(0, len(tables[0].data), rows):
            part = tables[0].data[first : first + rows]
            yield {name: np.array(part[given], float) for name, given in chosen.items()}


def _parquet(path: Path, rows: int) -> Iterator[Columns]:
    opened = import_module("pyarrow.parquet").ParquetFile(path)
    chosen = _chosen(path, opened.schema_arrow.names)
    for part in opened.iter_batches(batch_size=rows, columns=list(chosen.values())):
        yield {name: part.column(given).to_numpy(zero_copy_only=False).astype(float) for name, given in chosen.items()}


def _stars(columns: Columns, faintest_mag: float) -> NDArray[np.void]:
    count = len(columns["ra"])
    lacking = np.full(count, np.nan)
    motion = [np.nan_to_num(columns.get(name, lacking)) for name in ("pmra", "pmdec")]
    epoch = np.where(np.isfinite(given := columns.get("ref_epoch", lacking)), given, EPOCH)
    colour = columns.get("bp_rp", lacking)
    both = columns.get("phot_bp_mean_mag", lacking) - columns.get("phot_rp_mean_mag", lacking)
    ra, dec = moved_by(columns["ra"], columns["dec"], motion[0], motion[1], EPOCH - epoch)
    stars = np.empty(count, STAR)
    values = (ra, dec, *motion, columns["phot_g_mean_mag"], np.where(np.isfinite(colour), colour, both))
    for name, value in zip(STAR.names or (), values, strict=True):
        stars[name] = value
    good = np.isfinite(stars["ra"]) & np.isfinite(stars["dec"]) & (stars["g"] <= faintest_mag)
    chosen: NDArray[np.void] = stars[good]
    return chosen
