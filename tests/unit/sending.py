"""Shared by the tests of what is sent: a redux root with small spectra, a clock, the settings."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from sedmd.core.config import Settings, from_table
from sedmd.host.files import sha256_of
from sedmd.ledger.journal import Journal
from sedmd.products.ascii import CALIBRATED_UNIT, write_ascii
from sedmd.products.spectrum import write_spectrum
from sedmd.reduce.numeric.containers import Spectrum

NIGHT = "20190612"
SNID = {
    "SNIDMATCHTYPE": "Ia",
    "SNIDMATCHSUBTYPE": "norm",
    "SNIDMATCHRLAP": "9.31",
    "SNIDMATCHREDSHIFT": "0.042",
    "SNIDZMEDERR": "nan",
}


class Clock:
    """A clock that goes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = datetime(2019, 6, 13, 14, 0, tzinfo=UTC)
        self.slept: list[float] = []

    def __call__(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += timedelta(seconds=seconds)


def make(
    folder: Path, name: str, *, bins: int = 12, level: float = 1e-15, page: bool = True, snid: bool = False, **meta
) -> None:
    """A spectrum of an observer: FITS, ASCII and page."""
    wavelength = np.linspace(4000.0, 9000.0, bins)
    flux = np.full(bins, level)
    flux[1] = np.nan
    given = {
        "target": name,
        "ra": "14:12:28.49",
        "dec": "+28:00:00.0",
        "utc": "2019-06-12 04:07:07.0",
        "exptime_s": 2400.0,
        "airmass": 1.01,
        "req_id": 4711,
        "quality": 1,
        "reducer": "ann",
        "is_standard": False,
        "fluxcal": True,
    }
    spectrum = Spectrum(
        wavelength=wavelength,
        flux=flux,
        error=np.full(bins, level / 10),
        sky=np.zeros(bins),
        unit=CALIBRATED_UNIT,
        meta=given | meta,
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_spectrum(folder / f"sp_{name}.fits", spectrum, cards={"STEP": "observer"})
    ascii_path = folder / f"{name}_SEDM.txt"
    write_ascii(ascii_path, spectrum)
    if snid:
        classify(ascii_path)
    if page:
        (folder / f"{name}_SEDM.pdf").write_bytes(b"%PDF-1.4 " + name.encode())
    book(folder, name)


def book(folder: Path, name: str) -> None:
    """Have the night's journal tell of the files of a spectrum as they are now."""
    made = [path for path in (folder / f"sp_{name}.fits", *folder.glob(f"{name}_SEDM.*")) if path.exists()]
    products = [{"role": path.suffix, "name": path.name, "sha256": sha256_of(path)} for path in made]
    Journal(folder.parent).write(folder.name, "job", key=name, products=products)


def classify(path: Path) -> None:
    """Put a classification after the last line of the header."""
    lines = path.read_text().splitlines()
    last = max(n for n, line in enumerate(lines) if line.startswith("#"))
    lines[last + 1 : last + 1] = [f"# {key}: {value}" for key, value in SNID.items()]
    path.write_text("\n".join(lines) + "\n")


def settings(root: Path, **sections) -> Settings:
    """Settings of a redux root below `root`."""
    table = {"paths": {"raw_root": str(root / "raw"), "redux_root": str(root / "redux")}, **sections}
    return from_table(table, origin="test", base=root)


def secret_file(path: Path, text: str) -> Path:
    """A file that only its owner reads."""
    path.write_text(text + "\n")
    path.chmod(0o600)
    return path
