"""SNID (Blondin & Tonry 2007), the program, run with the parameters of the pipeline this one replaces."""

from __future__ import annotations

import functools
import hashlib
import itertools
import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sedmd.after.classify.engine import Answer, BestTemplate, EngineFault, last_words, run_limited, write_table
from sedmd.after.classify.matches import FRACTIONS, Match
from sedmd.host.files import sha256_of
from sedmd.reduce.numeric.containers import Spectrum

#: Columns of a line of templates, as SNID 5 writes them: (i4,2x,a12,2x,a10,f7.4,f7.2,2(f9.4),f9.2,i3,a7).
_CUTS = (0, 6, 20, 30, 37, 44, 53, 62, 71, 74, 81)
_SECTIONS = {
    "median": "### median redshift/age and error ###",
    "types": "### type fraction/redshift/age ###",
    "templates": "### rlap-ordered template listings ###",
}
#: Fewer bins than this are no spectrum for it.
_LEAST_BINS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Snid:
    """The program ``snid``.

    Parameters
    ----------
    program : str
        Name or path.
    parameters : sequence of str
        ``key=value``, as on its command line.
    timeout_s : float
    """

    program: str = "snid"
    parameters: Sequence[str] = ()
    timeout_s: float = 300.0
    name: str = "snid"
    metric: str = "rlap"

    def available(self) -> str:
        """Why not, or nothing."""
        if shutil.which(self.program) is None:
            return f"there is no program {self.program!r}; install SNID, or set [classify] snid_program to its path"
        return ""

    def identity(self) -> tuple[str, ...]:
        """The program and its templates by their bytes, and its parameters."""
        found = shutil.which(self.program)
        if found is None:
            return ("snid absent", *self.parameters)
        return (f"snid {sha256_of(Path(found))[:12]}", f"templates {self._templates(Path(found))}", *self.parameters)

    def _templates(self, program: Path) -> str:
        """Its templates by their contents: of `tempdir` in the parameters, else beside the program where they lie.

        "unknown" where they are somewhere else, which is compiled into the program.
        """
        named = [Path(one.partition("=")[2]) for one in self.parameters if one.startswith("tempdir=")]
        own = program.resolve().parent
        for folder in [*named, own / "templates", own.parent / "templates"]:
            if states := _states(folder):
                return _digest(states)
        return "unknown"

    def classify(self, spectrum: Spectrum, folder: Path) -> Answer:
        """Run it. No output file means that no template matches."""
        found = shutil.which(self.program)
        if found is None:
            raise EngineFault(self.available())
        if write_table(folder / "spectrum.dat", spectrum) < _LEAST_BINS:
            raise EngineFault(f"fewer than {_LEAST_BINS} bins with light; nothing to classify")
        log = folder / "snid.log"
        command = [str(Path(found).absolute()), *self.parameters, "fluxout=1", "spectrum.dat"]
        code = run_limited(command, folder, timeout_s=self.timeout_s, log=log)
        output = folder / "spectrum_snid.output"
        if code != 0:
            raise EngineFault(f"snid ended with {_ending(code)}; its last output: {last_words(log) or 'nothing'}")
        if not output.exists():
            return Answer()
        return parse(output.read_text(encoding="utf-8", errors="replace"), curve=_curve(folder))


def _states(folder: Path) -> tuple[tuple[Path, int, int], ...]:
    """Every template of a folder as it is now: file, size, time of change."""
    try:
        found = sorted(path for path in folder.iterdir() if path.suffix == ".lnw")
        return tuple((path, state.st_size, state.st_mtime_ns) for path in found for state in [path.stat()])
    except OSError:
        return ()


@functools.lru_cache(maxsize=8)
def _digest(states: tuple[tuple[Path, int, int], ...]) -> str:
    """Read once for each state of the folder: a night asks for each spectrum."""
    text = "".join(f"{path.name} {sha256_of(path)}\n" for path, _, _ in states)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def parse(text: str, *, curve: BestTemplate | None = None) -> Answer:
    """What stands in a file ``*_snid.output``.

    Values that are not finite or not numbers are passed over with their line; matches below SNID's own rlap limit
    ("cut") and away from its redshift ("bad") are rejected, as SNID rejects them from its medians.

    Raises
    ------
    EngineFault
        The file has no list of templates: it was cut off, or is something else.
    """
    parts = _sections(text)
    if "templates" not in parts:
        raise EngineFault("the output of snid has no list of templates; it is truncated or not from snid")
    matches = [match for line in parts["templates"] if (match := _match(line)) is not None]
    medians = {words[0]: words[1:] for line in parts.get("median", ()) if (words := line.split())}
    z, z_error = _pair(medians.get("zmed", ()))
    age, age_error = _pair(medians.get("agem", ()))
    matches.sort(key=lambda one: -one.score)
    return Answer(
        matches=tuple(matches),
        z=z,
        z_error=z_error,
        age=age,
        age_error=age_error,
        fractions=_fractions(parts.get("types", ())),
        curve=curve if matches else None,
    )


def _sections(text: str) -> dict[str, list[str]]:
    parts: dict[str, list[str]] = {}
    here: list[str] | None = None
    for line in text.splitlines():
        title = next((key for key, head in _SECTIONS.items() if line.strip() == head), None)
        if title is not None:
            here = parts.setdefault(title, [])
        elif here is not None and line.strip() and not line.startswith("#"):
            here.append(line)
    return parts


def _match(line: str) -> Match | None:
    """A line of the list; None for one that does not count or cannot be read."""
    cells = [line[low:high].strip() for low, high in itertools.pairwise(_CUTS)]
    words = line.split()
    if not _readable(cells) and len(words) == 10:
        cells = words  # another version, other widths
    if not _readable(cells) or cells[9] != "good":
        return None
    _, template, label, _, rlap, z, z_error, age, _, _ = cells
    score, redshift = _number(rlap), _number(z)
    if not math.isfinite(score) or not math.isfinite(redshift) or not template or not _printable(template + label):
        return None
    error, days = _number(z_error), _number(age)
    # SNID writes -99.90 and the like for an age that means nothing (galaxies, stars)
    days = days if -90 < days < 900 else math.nan
    return Match(template=template, label=label or "?", score=score, z=redshift, z_error=error, age=days)


def _readable(cells: Sequence[str]) -> bool:
    return len(cells) == 10 and cells[0].isdigit() and cells[9] in ("good", "bad", "cut")


def _printable(text: str) -> bool:
    return all(" " <= char <= "~" for char in text)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:  # Fortran's stars for a number that does not fit
        return math.nan


def _pair(words: Sequence[str]) -> tuple[float | None, float | None]:
    numbers = [_number(word) for word in words[:2]]
    values = [number if math.isfinite(number) else None for number in numbers] + [None, None]
    return values[0], values[1]


def _fractions(lines: Sequence[str]) -> dict[str, float]:
    """Parts of the main types; the first line of each name is the whole type, its subtypes follow."""
    found: dict[str, float] = {}
    for line in lines:
        words = line.split()
        if len(words) >= 3 and words[0] in FRACTIONS and words[0] not in found:
            value = _number(words[2])
            if 0 <= value <= 1:
                found[words[0]] = value
    return found


def _curve(folder: Path) -> BestTemplate | None:
    """The best template, from the file that SNID writes for it; None if there is none that can be read."""
    for path in sorted(folder.glob("spectrum_comp*_snidflux.dat"))[:1]:
        rows = []
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            words = line.split()
            if len(words) == 2 and not line.lstrip().startswith("#"):
                pair = (_number(words[0]), _number(words[1]))
                if all(math.isfinite(value) for value in pair):
                    rows.append(pair)
        if len(rows) >= _LEAST_BINS:
            table = np.array(rows, float)
            return BestTemplate(wavelength=table[:, 0], flux=table[:, 1])
    return None


def _ending(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
