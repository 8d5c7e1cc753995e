"""Spectral lines to hold against a spectrum, in air [Angstrom].

Laboratory wavelengths of the NIST Atomic Spectra Database; Si II at rest (in a supernova it is blueshifted by some
10000 km/s).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """A line: its name, and its wavelength at rest."""

    name: str
    wavelength: float


H = (Line("Hα", 6562.8), Line("Hβ", 4861.3), Line("Hγ", 4340.5), Line("Hδ", 4101.7))
HE = (Line("He I", 5875.6), Line("He I", 6678.2), Line("He I", 7065.2), Line("He II", 4685.7))
CA_NA = (Line("Ca II", 3951.0), Line("Ca II", 8579.1), Line("Na I", 5891.9))
SI = (Line("Si II", 6355.0), Line("S II", 5454.0), Line("Si II", 4130.0), Line("Fe II", 5169.0))
HOST = (
    Line("[O II]", 3727.4),
    Line("[O III]", 4958.9),
    Line("[O III]", 5006.8),
    Line("[N II]", 6583.5),
    Line("[S II]", 6723.5),
)

#: Sets to go through by key; the first is none.
SETS: tuple[tuple[str, tuple[Line, ...]], ...] = (
    ("no lines", ()),
    ("H and host", H + HOST),
    ("He, Ca, Na", HE + CA_NA),
    ("Si II and Ca (SN Ia)", SI + CA_NA[:2]),
    ("all lines", H + HE + CA_NA + SI + HOST),
)


def shifted(lines: tuple[Line, ...], redshift: float) -> list[tuple[str, float]]:
    """Name and observed wavelength of each line."""
    return [(line.name, line.wavelength * (1 + redshift)) for line in lines]
