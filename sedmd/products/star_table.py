"""The site's own table of stars: a folder of tiles, filled from files of Gaia, and read a field at a time.

A tile is one degree of declination high and about as wide, ``tiles/+31/0123.npy``: bands from -90 on, in each cells in
right ascension from 0 on. ``stars.json`` says what the table is, ``tiles.json`` holds the checksum of each tile.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sedmd.core.errors import SedmError
from sedmd.host.files import write_bytes_atomic
from sedmd.reduce.guide.sky import moved_by, separation_deg
from sedmd.reduce.guide.stars import FieldStars

#: What a star is in a tile: degrees at `EPOCH`, mas/year (East, North), magnitudes; NaN for an unknown colour.
STAR = np.dtype([("ra", "<f8"), ("dec", "<f8"), ("pm_ra", "<f4"), ("pm_dec", "<f4"), ("g", "<f4"), ("bp_rp", "<f4")])
#: Julian year for which the positions of a table are (that of Gaia DR3).
EPOCH = 2016.0
#: What the first entry of ``stars.json`` says, and its names.
KIND, TABLE, TILES = "sedmd star table", "stars.json", "tiles.json"

Stars = NDArray[np.void]


class StarTableFault(SedmError):
    """A star table, or a file for it, is not what it should be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StarTable:
    """A star table in a folder.

    Attributes
    ----------
    folder : Path
    ident : str
        SHA-256 over the checksums of all tiles: another one for other stars.
    count : int
        Stars in it.
    """

    folder: Path
    ident: str
    count: int

    def field(self, centre_deg: tuple[float, float], radius_deg: float, *, year: float) -> FieldStars:
        """The stars about a point, the brightest first.

        Parameters
        ----------
        centre_deg : right ascension and declination, degrees
        radius_deg : float
        year : Julian year to which their proper motions take them

        Raises
        ------
        StarTableFault
            A tile is damaged.
        """
        parts = [tile for name in tiles_about(centre_deg, radius_deg) if len(tile := _read_tile(self.folder, name))]
        stars = np.concatenate(parts) if parts else np.empty(0, STAR)
        ra, dec = moved_by(stars["ra"], stars["dec"], stars["pm_ra"], stars["pm_dec"], year - EPOCH)
        near = np.flatnonzero(separation_deg(ra, dec, centre_deg) <= radius_deg)
        near = near[np.argsort(stars["g"][near], kind="stable")]
        return FieldStars(
            ra_deg=ra[near],
            dec_deg=dec[near],
            g_mag=stars["g"][near].astype(float),
            bp_rp=stars["bp_rp"][near].astype(float),
        )


def open_stars(folder: Path) -> StarTable:
    """The star table in a folder.

    Raises
    ------
    StarTableFault
        There is none, or it cannot be read.
    """
    path = folder / TABLE
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        if told["kind"] != KIND or told["epoch"] != EPOCH:
            raise ValueError(f"it says {told['kind']!r}, epoch {told['epoch']!r}")
        return StarTable(folder=folder, ident=str(told["ident"]), count=int(told["stars"]))
    except FileNotFoundError as error:
        msg = f"{folder} holds no star table ({TABLE}); fill it: sedmd stars import FILE --into {folder}"
        raise StarTableFault(msg) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"{path} cannot be read: {' '.join(str(error).split())}; remove the folder and import the stars again"
        raise StarTableFault(msg) from error


def add_stars(folder: Path, chunks: Iterable[Stars]) -> tuple[StarTable, int]:
    """Put stars into the table of a folder, which is made where there is none; the same star twice is one.

    Parameters
    ----------
    chunks : arrays of `STAR`
        Positions at `EPOCH`. Each star goes into its tile as its chunk comes, so that chunks of one part of the sky
        write few tiles.

    Returns
    -------
    StarTable
        As it is now.
    int
        How many stars it did not have before.

    Raises
    ------
    StarTableFault
        What lies in the folder is no star table, or a tile is damaged.
    OSError
        The folder cannot be written to.
    """
    had = open_stars(folder).count if (folder / TABLE).exists() else 0
    tiles: dict[str, list[str | int]] = {}
    if (folder / TILES).exists():
        tiles = json.loads((folder / TILES).read_text(encoding="utf-8"))
    for chunk in chunks:
        for name, new in _by_tile(chunk):
            before = _read_tile(folder, name)
            merged = _once(np.concatenate([before, new]))
            if len(merged) == len(before):
                continue
            stream = io.BytesIO()
            np.save(stream, merged, allow_pickle=False)
            tiles[name] = [write_bytes_atomic(stream.getvalue(), _tile_path(folder, name), durable=False), len(merged)]
        write_bytes_atomic(json.dumps(tiles, sort_keys=True).encode(), folder / TILES)
    ident = hashlib.sha256(json.dumps(tiles, sort_keys=True).encode()).hexdigest()
    count = sum(int(number) for _, number in tiles.values())
    told = {"kind": KIND, "epoch": EPOCH, "stars": count, "ident": ident}
    write_bytes_atomic((json.dumps(told, indent=1) + "\n").encode(), folder / TABLE)
    return StarTable(folder=folder, ident=ident, count=count), count - had


def tiles_about(centre_deg: tuple[float, float], radius_deg: float) -> list[str]:
    """Names of the tiles that a cone may touch."""
    ra, dec = centre_deg[0] % 360.0, centre_deg[1]
    low, high = max(dec - radius_deg, -90.0), min(dec + radius_deg, 90.0)
    names = []
    for band in range(_band(low), _band(high) + 1):
        cells = _cells(band)
        # towards a pole a cone is as wide as the parallels are short
        across = np.cos(np.deg2rad(min(max(abs(low), abs(high)), 90.0)))
        wide = 180.0 if across * 180.0 <= radius_deg or across < 1e-3 else radius_deg / across
        first, last = (int(np.floor((ra + side * wide) / 360.0 * cells)) for side in (-1, 1))
        numbers = range(cells) if last - first + 1 >= cells else sorted({n % cells for n in range(first, last + 1)})
        names += [_name(band, number) for number in numbers]
    return names


def _band(dec_deg: float) -> int:
    return int(min(np.floor(dec_deg), 89.0))


def _cells(band: int) -> int:
    return max(1, int(360.0 * np.cos(np.deg2rad(band + 0.5))))


def _name(band: int, cell: int) -> str:
    return f"{band:+03d}/{cell:04d}"


def _tile_path(folder: Path, name: str) -> Path:
    return folder / "tiles" / f"{name}.npy"


def _by_tile(stars: Stars) -> Iterator[tuple[str, Stars]]:
    bands = np.minimum(np.floor(stars["dec"]), 89.0).astype(int)
    cells = np.maximum(1, (360.0 * np.cos(np.deg2rad(bands + 0.5))).astype(int))
    numbers = np.minimum((stars["ra"] % 360.0 / 360.0 * cells).astype(int), cells - 1)
    keys = bands * 1000 + numbers
    for key in np.unique(keys):
        here = keys == key
        yield _name(int(bands[here][0]), int(numbers[here][0])), stars[here]


def _once(stars: Stars) -> Stars:
    """Each star once, in the order of its position: the order of the imports does not count."""
    places = np.column_stack([np.round(stars["ra"] * 1e7), np.round(stars["dec"] * 1e7)]).astype(np.int64)
    _, first = np.unique(places, axis=0, return_index=True)
    return stars[first]


def _read_tile(folder: Path, name: str) -> Stars:
    path = _tile_path(folder, name)
    try:
        with path.open("rb") as stream:
            tile: Stars = np.load(stream, allow_pickle=False)
        if tile.dtype != STAR:
            raise ValueError(f"it holds {tile.dtype}")
    except FileNotFoundError:
        return np.empty(0, STAR)
    except (ValueError, EOFError) as error:
        msg = f"{path} is damaged: {' '.join(str(error).split())}; remove the folder and import the stars again"
        raise StarTableFault(msg) from error
    return tile
