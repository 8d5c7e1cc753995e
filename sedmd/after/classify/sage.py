"""snid-sage, the maintained successor of SNID in Python, in a process and if need be a python of its own."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import math
import shutil
import sys
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from sedmd.after.classify import sage_runner
from sedmd.after.classify.bank import INDEX, BankError, digest_of, is_quick, read_index, why_not_whole
from sedmd.after.classify.engine import Answer, BestTemplate, EngineFault, last_words, run_limited, write_table
from sedmd.after.classify.matches import IIB, SUPERNOVAE, Match, fractions, group_of
from sedmd.reduce.numeric.containers import Spectrum

#: Wavelengths that are given to it, Angstrom: those that SNID uses.
LOW, HIGH = 4000.0, 9500.0
#: It wants 2000 Angstrom of spectrum.
_LEAST_BINS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Sage:
    """The package ``snid-sage``.

    Parameters
    ----------
    templates : Path or None
        Its bank; the package brings none.
    python : str
        The interpreter that has it; empty for this one.
    redshift_max : float
    timeout_s : float
    """

    templates: Path | None = None
    python: str = ""
    redshift_max: float = 0.3
    timeout_s: float = 300.0
    name: str = "snid-sage"
    metric: str = "HsLAP-CCC"

    def available(self) -> str:
        """Why not, or nothing."""
        if self.templates is None:
            return "[classify] sage_templates is not set; snid-sage needs a template bank: install one with sedmd bank"
        if not (self.templates / INDEX).is_file():
            return f"{self.templates} has no {INDEX}; set [classify] sage_templates to a bank of snid-sage"
        if why := why_not_whole(self.templates):
            return why
        if self.python:
            if shutil.which(self.python) is None:
                return f"there is no {self.python}; set [classify] sage_python to a python that has snid-sage"
        elif importlib.util.find_spec("snid_sage") is None:
            return "snid-sage is not installed; pip install '.[classify]' and then pip install --no-deps snid-sage"
        return ""

    def identity(self) -> tuple[str, ...]:
        """Version (of this python's own; else the interpreter), bank by its contents, redshifts, wavelengths."""
        try:
            version = self.python or metadata.version("snid-sage")
        except metadata.PackageNotFoundError:
            version = "absent"
        bank = "absent"
        if self.templates is not None:
            with contextlib.suppress(BankError):
                bank = digest_of(self.templates)[:12]
        return (f"snid-sage {version}", f"bank {bank}", f"z -0.01 to {self.redshift_max:g}", f"{LOW:g}-{HIGH:g} A")

    def classify(self, spectrum: Spectrum, folder: Path) -> Answer:
        """Run it."""
        if why := self.available():
            raise EngineFault(why)
        if write_table(folder / "spectrum.txt", spectrum, LOW, HIGH) < _LEAST_BINS:
            raise EngineFault(f"fewer than {_LEAST_BINS} bins with light; nothing to classify")
        out, log = folder / "answer.json", folder / "sage.log"
        command = [
            self.python or sys.executable,
            "-I",  # our own folder and a person's settings stay out of its imports
            str(Path(sage_runner.__file__).absolute()),
            str(folder / "spectrum.txt"),
            str(self.templates),
            str(out),
            str(self.redshift_max),
            *(["quick"] if is_quick(self.templates or Path()) else []),
        ]
        code = run_limited(command, folder, timeout_s=self.timeout_s, log=log)
        if code != 0 or not out.exists():
            raise EngineFault(f"snid-sage ended with code {code}; its last output: {last_words(log) or 'nothing'}")
        answer = parse(out.read_text(encoding="utf-8", errors="replace"))
        return replace(answer, missing=self._missing())

    def _missing(self) -> tuple[str, ...]:
        """Types of supernovae that the bank lacks, by its index."""
        try:
            present = {group_of(str(name)) for name in read_index(self.templates or Path()).get("by_type", {})}
        except (BankError, AttributeError, TypeError):
            present = set()
        return tuple(name for name in SUPERNOVAE if name not in present)


def parse(text: str) -> Answer:
    """What the runner wrote.

    Raises
    ------
    EngineFault
        Not what it should be.
    """
    try:
        given = json.loads(text)
        matches = tuple(match for row in given["matches"] if (match := _match(row)) is not None)
        drawn = given.get("curve")
        curve = None
        if isinstance(drawn, dict):
            wavelength, flux = np.asarray(drawn["wavelength"], float), np.asarray(drawn["flux"], float)
            if wavelength.shape == flux.shape and wavelength.ndim == 1 and wavelength.size >= _LEAST_BINS:
                curve = BestTemplate(wavelength=wavelength, flux=flux)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EngineFault(f"the output of snid-sage cannot be read ({error})") from error
    return Answer(matches=matches, fractions=fractions(matches) if matches else {}, curve=curve if matches else None)


def _match(row: dict[str, Any]) -> Match | None:
    score, z = _float(row.get("score")), _float(row.get("z"))
    template, kind, subtype = (str(row.get(key) or "") for key in ("template", "type", "subtype"))
    if not math.isfinite(score) or not math.isfinite(z) or not template or not kind:
        return None
    # a subtype that names its type says both ("Ia-norm", "IIP", "IIb"); another one is added to it
    says_both = subtype == IIB or (subtype and group_of(subtype) == group_of(kind))
    label = subtype if says_both else f"{kind}-{subtype}" if subtype else kind
    return Match(
        template=template, label=label, score=score, z=z, z_error=_float(row.get("z_error")), age=_float(row.get("age"))
    )


def _float(value: object) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
