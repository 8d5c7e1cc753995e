"""A classification as a file beside the spectrum, and the copies of the spectrum that carry it.

``redux/NIGHT/<SAVED_AS>.classification.json`` is the record; it holds the checksums of the spectrum that was classified
and is written last. The spectrum's own files are never touched: the ledger (of the pipeline's) or the decision (of an
observer's) knows them by checksum. ``redux/NIGHT/classified/`` holds the same two files under the same names with the
classification in their headers; who uploads or reports takes those (`files_of`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

from sedmd.after.classify.matches import FRACTIONS
from sedmd.after.spectra import FinalSpectrum, final_spectra
from sedmd.core.errors import SedmError
from sedmd.host.files import sha256_of, write_bytes_atomic
from sedmd.host.foreign_file import ForeignFault, read_table, text_of
from sedmd.ledger.ledger import Ledger
from sedmd.observation.own_files import known_files
from sedmd.products.fitsio import Cards, CardValue, add_cards, read_checked, write_fits_atomic

SUFFIX = ".classification.json"
#: Folder of a night with the copies and the comparison plots.
CLASSIFIED = "classified"
#: Name of the best template's text there, after that of the spectrum; the observer's window lays it over.
TEMPLATE = "_template.txt"
#: Kind of the ledger's marks.
MARK = "classified"
_KIND, _VERSION = "sedmd classification", 1


class ClassificationFault(SedmError):
    """A classification on disk cannot be read; classify again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Classification:
    """What is known of the type of one spectrum.

    Attributes
    ----------
    product, saved_as, night, target : str
        Observation; name of the files (with ``_redo`` where the pipeline has one too); UT night; as it was typed.
    inputs : mapping of file name to SHA-256
        The spectrum, FITS and text, as it was classified.
    identity : tuple of str
        Engine's version, templates and parameters, and the rule: the same again is not done again.
    engine, metric : str
        Which engine; what its scores are.
    type : str
        Ia, Ib, Ic, II, NotSN ..., by the best matches together; "" when nothing matches.
    secure : bool
        Enough of the best matches agree; `why` says it or what is against it.
    label, template, score, template_z, template_age
        Best match of that type: its type as the bank has it, its name, its score, redshift, days from maximum.
    z, z_error, age, age_error : float or None
        Together.
    agreeing, asked : int
        So many of the best objects agree, of so many asked.
    fractions : mapping of type to part of all matches
    contrast : float or None
        On a host, the target's part of the light at its place, 0 to 1.
    type_with_host : str
        On a host, the type of the spectrum with the host's light in it.
    time : str
        UTC, ISO 8601.
    products : mapping of file name to SHA-256
        What lies in ``classified/``.
    """

    product: str
    saved_as: str
    night: str
    target: str
    inputs: Mapping[str, str]
    identity: tuple[str, ...]
    engine: str
    metric: str
    type: str = ""
    secure: bool = False
    why: str = ""
    label: str = ""
    template: str = ""
    score: float | None = None
    template_z: float | None = None
    template_age: float | None = None
    z: float | None = None
    z_error: float | None = None
    age: float | None = None
    age_error: float | None = None
    agreeing: int = 0
    asked: int = 0
    fractions: Mapping[str, float] = field(default_factory=dict)
    contrast: float | None = None
    type_with_host: str = ""
    time: str = ""
    products: Mapping[str, str] = field(default_factory=dict)

    @property
    def rlap(self) -> float | None:
        """Score of SNID; another engine's scores are on another scale and do not pass for one."""
        return self.score if self.metric == "rlap" else None

    def line(self) -> str:
        """For an operator, without the name of the target."""
        if not self.type:
            return f"no match ({self.engine})"
        z = "" if self.z is None else f" z={self.z:.4f}" + ("" if self.z_error is None else f"+-{self.z_error:.4f}")
        age = "" if self.age is None else f" age={self.age:+.0f} d"
        score = "" if self.score is None else f" {self.metric}={self.score:.1f}"
        how = "secure" if self.secure else "not secure"
        return f"{self.label}{z}{age}{score} {self.template} ({self.engine}; {how}: {self.why})"


def path_of(folder: Path, saved_as: str) -> Path:
    """Where the record on a spectrum lies."""
    return folder / f"{saved_as}{SUFFIX}"


def find(folder: Path) -> list[Path]:
    """Records in a night's folder, by name."""
    return sorted(path for path in folder.glob(f"*{SUFFIX}") if not path.name.startswith("."))


def read(path: Path) -> Classification:
    """Read a record.

    Raises
    ------
    ClassificationFault
        Not a record, cut, or of another version.
    OSError
        It cannot be read.
    """
    try:
        table = read_table(path)
        if table["kind"] != _KIND or table["version"] != _VERSION:
            raise ValueError(f"kind {table['kind']!r}, version {table['version']!r}")
        known = {entry.name for entry in fields(Classification)}
        values = {name: value for name, value in table.items() if name in known}
        made = Classification(**values | {"identity": tuple(values["identity"])})
        _check(made)
    except (ForeignFault, ValueError, KeyError, TypeError, OverflowError) as error:
        msg = f"{path.name}: not a classification of this version of sedmd ({error}); run sedmd classify --overwrite"
        raise ClassificationFault(msg) from error
    return made


def _check(made: Classification) -> None:
    """Types that JSON does not promise."""
    for entry in fields(Classification):
        value = getattr(made, entry.name)
        kind = str(entry.type)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        good = {
            "str": isinstance(value, str),
            "bool": isinstance(value, bool),
            "int": number,
            "float | None": value is None or (number and math.isfinite(value)),
            "tuple[str, ...]": all(isinstance(item, str) for item in value) if isinstance(value, tuple) else False,
            "Mapping[str, str]": isinstance(value, dict) and all(isinstance(item, str) for item in value.values()),
            "Mapping[str, float]": isinstance(value, dict) and all(isinstance(i, int | float) for i in value.values()),
        }[kind]
        if not good:
            raise ValueError(f"{entry.name} is {value!r}")


def to_json(made: Classification) -> str:
    """A record as text."""
    return json.dumps({"kind": _KIND, "version": _VERSION, **asdict(made)}, indent=1, allow_nan=False) + "\n"


def write(made: Classification, folder: Path) -> Path:
    """Write a record whole or not at all."""
    path = path_of(folder, made.saved_as)
    write_bytes_atomic(to_json(made).encode(), path)
    return path


def saved_as(spectrum: FinalSpectrum) -> str:
    """Name that the files of a spectrum have in common."""
    return spectrum.fits.stem.removeprefix("sp_")


def inputs_of(spectrum: FinalSpectrum) -> dict[str, str]:
    """Checksums of a spectrum's files as they are now; a text that is not there is omitted."""
    return {path.name: sha256_of(path) for path in (spectrum.fits, spectrum.ascii) if path.exists()}


def of(spectrum: FinalSpectrum) -> Classification | None:
    """The classification of exactly these files; None when there is none, or when the spectrum was remade since."""
    try:
        made = read(path_of(spectrum.fits.parent, saved_as(spectrum)))
        return made if dict(made.inputs) == inputs_of(spectrum) else None
    except (OSError, ClassificationFault):
        return None


def whole(made: Classification, folder: Path) -> bool:
    """The copies and the plot are there as the record has them."""
    try:
        return all(sha256_of(folder / CLASSIFIED / name) == sha for name, sha in made.products.items())
    except OSError:
        return False


def files_of(spectrum: FinalSpectrum) -> tuple[Path, Path]:
    """Text and FITS to send on: those with the classification where there are such, else the spectrum's own."""
    made = of(spectrum)
    place = spectrum.fits.parent / CLASSIFIED
    if made is None or not whole(made, spectrum.fits.parent):
        return spectrum.ascii, spectrum.fits
    text, table = place / spectrum.ascii.name, place / spectrum.fits.name
    return (text if text.name in made.products else spectrum.ascii), table


def plot_of(spectrum: FinalSpectrum) -> Path | None:
    """The comparison plot, if there is one."""
    made = of(spectrum)
    names = [] if made is None else [name for name in made.products if name.endswith(".png")]
    path = spectrum.fits.parent / CLASSIFIED / names[0] if names else None
    return path if path is not None and path.exists() else None


def write_copies(made: Classification, spectrum: FinalSpectrum) -> dict[str, str]:
    """Write both files once more with the classification in their headers; file name to SHA-256."""
    place = spectrum.fits.parent / CLASSIFIED
    written: dict[str, str] = {}
    if spectrum.ascii.exists():
        text = with_lines(text_of(spectrum.ascii, encoding="ascii"), ascii_lines(made))
        content = text.encode("ascii", "replace")
        written[spectrum.ascii.name] = write_bytes_atomic(content, place / spectrum.ascii.name)
    hdul = read_checked(spectrum.fits)
    try:
        add_cards(hdul[0].header, cards(made))
        written[spectrum.fits.name] = write_fits_atomic(hdul, place / spectrum.fits.name)
    finally:
        hdul.close()
    return written


def with_lines(text: str, lines: list[tuple[str, str]]) -> str:
    """A text spectrum with header lines added after its last comment; lines that it has of our keys are replaced."""
    keys = {key for key, _ in lines} | {key for key, _ in _all_keys()}
    rows = [row for row in text.splitlines() if not (row.startswith("#") and _key_of(row) in keys)]
    last = max((n for n, row in enumerate(rows) if row.startswith("#")), default=-1)
    rows[last + 1 : last + 1] = [f"# {key}: {value}" for key, value in lines]
    return "\n".join(rows) + "\n"


def ascii_lines(made: Classification) -> list[tuple[str, str]]:
    """Header lines of the text: the keys of the pipeline this one replaces in their order, then ours."""
    if not made.type:
        lines = [("SNIDMATCHTYPE", "NONE")]
    else:
        kind, _, subtype = made.label.partition("-")
        fraction = {name: made.fractions.get(name) for name in FRACTIONS}
        lines = [
            ("SNIDMATCHTYPE", kind),
            ("SNIDMATCHSUBTYPE", subtype or "-"),
            ("SNIDMATCHRLAP", _text(made.rlap, "%.2f")),
            ("SNIDMATCHREDSHIFT", _text(made.template_z, "%.4f")),
            ("SNIDZMED", _text(made.z, "%.4f")),
            ("SNIDZMEDERR", _text(made.z_error, "%.4f")),
            ("SNIDAGEM", _text(made.age, "%.2f")),
            ("SNIDAGEMERR", _text(made.age_error, "%.2f")),
            *((f"SNIDFRAC_{name.upper()}", _text(value, "%.2f")) for name, value in fraction.items()),
        ]
    return [
        *lines,
        ("CLASSENGINE", made.engine),
        ("CLASSTYPE", made.type or "NONE"),
        ("CLASSSECURE", str(made.secure)),
        ("CLASSAGREE", f"{made.agreeing} of {made.asked}"),
        ("CLASSSCORE", f"{_text(made.score, '%.2f')} {made.metric}"),
        ("CLASSTEMPLATE", made.template or "-"),
        *([] if made.contrast is None else [("CLASSCONTRAST", _text(made.contrast, "%.2f"))]),
    ]


def cards(made: Classification) -> Cards:
    """Header cards of the FITS copy; names of the SNID cards as the newer pipeline of the instrument writes them."""
    kind, _, subtype = made.label.partition("-")
    values: dict[str, tuple[CardValue, str]] = {
        "SNIDTYPE": (kind or "NONE", "type of the best match"),
        "SNIDSUBT": (subtype or "-", "its subtype"),
        "SNIDRLAP": (made.rlap, "its rlap; none for another engine"),
        "SNIDZMAT": (made.template_z, "its redshift"),
        "SNIDAMAT": (made.template_age, "[d] its age"),
        "SNIDTEMP": (made.template or "-", "its template"),
        "SNIDZMED": (made.z, "redshift, matches together"),
        "SNIDZERR": (made.z_error, "its error"),
        "SNIDAMED": (made.age, "[d] age, matches together"),
        "SNIDAERR": (made.age_error, "[d] its error"),
    }
    for name, card in zip(FRACTIONS, ("SNIDFIA", "SNIDFIB", "SNIDFIC", "SNIDFII", "SNIDFNOT"), strict=True):
        values[card] = (made.fractions.get(name), f"part of the matches that is {name}")
    return values | {
        "CLENGINE": (made.engine, "what classified"),
        "CLTYPE": (made.type or "NONE", "type by the best matches together"),
        "CLSECURE": (made.secure, "they agree well enough"),
        "CLAGREE": (made.agreeing, "best objects that agree"),
        "CLASKED": (made.asked, "best objects that were asked"),
        "CLSCORE": (made.score, "score of the best match"),
        "CLMETRIC": (made.metric, "what the score is"),
    }


def take_up(ledger: Ledger, folder: Path) -> list[str]:
    """Bring the ledger's marks in line with the records of a night; sentences on what changed.

    A record counts while the spectrum is the one that was classified; a mark without such a record is taken back.

    Parameters
    ----------
    ledger : Ledger
        Its lock must be held.
    folder : Path
        ``redux/YYYYMMDD``; when it is away, nothing changes.
    """
    if not folder.is_dir():
        return []
    night, spectra = folder.name, known(final_spectra(folder, known_files(folder, ledger)[0])[0])
    found = []
    marks = {mark.subject: mark.text for mark in ledger.marks.of_night(night, MARK)}
    for product, made in sorted(spectra.items()):
        text = made.line()
        if marks.get(product) != text:
            ledger.marks.put(MARK, night, product, text)
            ledger.events.note(night, product, f"classified: {text}")
            found.append(f"{product}: {text}")
    for product in sorted(set(marks) - set(spectra)):
        ledger.marks.remove(MARK, night, product)
        ledger.events.note(night, product, "its classification is obsolete: the spectrum was remade")
        found.append(f"{product}: its classification is obsolete")
    return found


def known(spectra: list[FinalSpectrum]) -> dict[str, Classification]:
    """Classifications of a night's spectra as they are now, by product."""
    found = ((one.product, of(one)) for one in spectra)
    return {product: made for product, made in found if made is not None}


def _text(value: float | None, form: str) -> str:
    return "nan" if value is None or not math.isfinite(value) else form % value


def _key_of(row: str) -> str:
    return row.lstrip("# ").partition(":")[0].strip()


def _all_keys() -> Iterator[tuple[str, str]]:
    empty = Classification(
        product="", saved_as="", night="", target="", inputs={}, identity=(), engine="", metric="", type="-", label="-"
    )
    empty = replace(empty, contrast=1.0)
    yield from ascii_lines(empty)
