"""A night in the ledger, reduced by quick steps, with real small products in the place of their text files."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tell_samples import SNID, write_cube_header, write_flux_calibration, write_products

from sedmd.core.config import Settings
from sedmd.host.files import sha256_of

from .raw_night import NIGHT, calibrations, on_sky
from .test_reduce import reduce, write


def reduce_targets(settings: Settings, *targets: str, rows: int = 9) -> Path:
    """Reduce a night of single exposures of these targets; the night's folder."""
    write(settings, [*calibrations(), *on_sky(*targets)])
    reduce(settings)
    return give_products(settings, rows=rows)


def give_products(settings: Settings, *, rows: int = 9) -> Path:
    """Put products with content in the place of what the quick steps wrote."""
    folder = settings.paths.redux_root / NIGHT
    for minute, path in enumerate(sorted(folder.glob("sp_*.fits"))):
        product = path.stem.removeprefix("sp_")
        write_products(
            folder,
            product,
            rows=rows,
            quality=1 + minute % 4,
            utc=f"2019-06-12 {4 + minute // 6:02d}:{10 * (minute % 6):02d}:00.0",
            is_standard=product.startswith("STD"),
            snid=SNID if minute % 4 == 0 else None,
        )
    for path in folder.glob("e3d_*.fits"):
        path.unlink()
        frame = "_".join(path.stem.split("_")[3:7])
        write_cube_header(folder, frame)
    for path in [*folder.glob("bias*.fits"), folder / "wavelength.fits", folder / "flat.fits"]:
        path.unlink()
    write_flux_calibration(folder)
    book(settings)
    return folder


def book(settings: Settings) -> None:
    """Have the ledger know the products of the night as they are now."""
    folder = settings.paths.redux_root / NIGHT
    with closing(sqlite3.connect(settings.paths.state / "ledger.sqlite")) as ledger, ledger:
        for (name,) in ledger.execute("SELECT name FROM product WHERE night = ?", (NIGHT,)).fetchall():
            path = folder / name
            if path.exists():
                values = (sha256_of(path), path.stat().st_size, path.stat().st_mtime_ns, name)
                ledger.execute("UPDATE product SET sha256 = ?, size = ?, mtime_ns = ? WHERE name = ?", values)
