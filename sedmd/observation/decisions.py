"""What an observer decided about one target, as a file beside the product.

``redux/NIGHT/<PRODUCT>.decision.json`` is written last, when the spectrum, the text and the page are whole; it holds
their checksums and everything that is needed to make them again without a window. Writer: the viewer. Readers: the
daemon, which takes it into the ledger, and ``sedmd extract --decision``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sedmd.core.errors import SedmError
from sedmd.core.quality import DECISION_KIND, DECISION_SUFFIX, QUALITIES
from sedmd.host.files import write_bytes_atomic
from sedmd.host.foreign_file import ForeignFault, content_of, table_in
from sedmd.observation.inputs import Subject
from sedmd.observation.seeing import TargetPrior
from sedmd.reduce.target.aperture import Ellipse
from sedmd.reduce.target.place import Place
from sedmd.reduce.target.psf import Psf
from sedmd.reduce.target.seeing import Seeing

SUFFIX = DECISION_SUFFIX
#: Folder of a night where former versions of what an observer saved are kept.
FORMER = "former"

#: Version 2 has the fit of PSF and host, the subject and the night of the flux calibration; the rest is as in 1.
_KIND, _VERSION, _READ = DECISION_KIND, 2, (1, 2)
_SHA = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9_+][A-Za-z0-9+._-]*")


class DecisionFault(SedmError):
    """A decision cannot be read or does not hold together; the text names the file, the key and the rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """All that the spectrum depends on, besides the cubes.

    Attributes
    ----------
    a : Ellipse
        Aperture on the target, in the first exposure.
    b : Ellipse or None
        The same in the second exposure of a pair.
    skysub : bool
        The sky around the aperture is subtracted.
    point_source : bool
        The light of a star that falls beyond the aperture is corrected for: in both exposures of a pair.
    psf_a, psf_b : Psf or None
        Image of a star in each exposure; where one is not known the other counts, without either nothing is corrected.
    fit : TargetPrior or None
        The spectrum is the pipeline's own, PSF and host fitted together with this known before; the apertures then
        only mark the target. None: the spectrum is that of the apertures.
    """

    a: Ellipse
    b: Ellipse | None = None
    skysub: bool = True
    point_source: bool = True
    psf_a: Psf | None = None
    psf_b: Psf | None = None
    fit: TargetPrior | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """How the field was looked at: wavelengths [Angstrom], limits [electron / Angstrom], stretch and colour map."""

    window: tuple[float, float]
    low: float
    high: float
    stretch: str = "linear"
    colours: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """An observer's decision about one target.

    Attributes
    ----------
    product : str
        Name of the observation, as the pipeline has it.
    saved_as : str
        Name of the files; differs from `product` where the pipeline's own spectrum holds that name.
    night, target : str
        UT night; the target as it was typed.
    placement : Placement
    picture : Picture
    quality : int
        Key of `QUALITIES`.
    reducer : str
    cubes : tuple of (file name, SHA-256)
        One, or A and B.
    fluxcal : (file name, SHA-256) or None
        The flux calibration; None: the spectrum is in electrons.
    fluxcal_night : str
        Earlier night, ``YYYYMMDD``, whose flux calibration it is; empty for the night's own.
    guides : tuple of (file name, SHA-256)
        What guider frames of the exposures tell; empty without such frames.
    subject : Subject or None
        The target as the planner or the headers told it; None in decisions of version 1: the headers tell.
    products : mapping of file name to SHA-256
    object_visible, partial : bool
        `partial`: one exposure of a pair was taken deliberately without the other.
    time : str
        UTC, ISO 8601.
    versions : mapping of program to version
    """

    product: str
    saved_as: str
    night: str
    target: str
    placement: Placement
    picture: Picture
    quality: int
    reducer: str
    cubes: tuple[tuple[str, str], ...]
    fluxcal: tuple[str, str] | None = None
    fluxcal_night: str = ""
    guides: tuple[tuple[str, str], ...] = ()
    subject: Subject | None = None
    products: Mapping[str, str] = field(default_factory=dict)
    object_visible: bool = True
    partial: bool = False
    time: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)


def find(folder: Path) -> list[Path]:
    """Decisions in a night's folder, former versions apart, by name."""
    return sorted(path for path in folder.glob(f"*{SUFFIX}") if not path.name.startswith("."))


def path_of(folder: Path, saved_as: str) -> Path:
    """Where the decision on a product lies."""
    return folder / f"{saved_as}{SUFFIX}"


def write(decision: Decision, folder: Path) -> Path:
    """Write a decision whole or not at all; returns its path.

    Raises
    ------
    DecisionFault
        The decision does not hold together.
    SedmError, OSError
        Trouble with the disk.
    """
    path = path_of(folder, decision.saved_as)
    content = to_json(decision)
    from_json(content, path.name)  # what cannot be read back is not written
    write_bytes_atomic(content.encode("utf-8"), path)
    return path


def read(path: Path) -> Decision:
    """Read a decision.

    Raises
    ------
    DecisionFault
        Not a decision, cut, of a later version, or a value that cannot be; the text says which.
    OSError
        The file cannot be read.
    """
    try:
        text = content_of(path, follow=True).decode("utf-8")
    except UnicodeDecodeError as error:
        msg = f"{path.name}: not a whole JSON file ({error}); save the target again in sedmview"
        raise DecisionFault(msg) from error
    except ForeignFault as fault:
        raise DecisionFault(str(fault)) from fault
    return from_json(text, path.name)


def to_json(decision: Decision) -> str:
    """A decision as text; numbers come back exactly as they were."""
    table = asdict(decision)
    if not table["guides"]:  # as decisions were written before there were such frames
        del table["guides"]
    for place in (table["placement"]["fit"] or {}).get("places", ()):
        for name in ("measured", "each"):
            if not place[name]:  # as decisions were written before there were such places
                del place[name]
    return json.dumps({"kind": _KIND, "version": _VERSION, **table}, indent=1) + "\n"


def from_json(text: str, name: str) -> Decision:
    """The decision in a text; `name` is what error messages call it. Raises DecisionFault."""
    table = _parsed(text, name)
    if table.get("kind") != _KIND:
        raise DecisionFault(f"{name}: not a decision of sedmview (kind is {table.get('kind')!r}, expected {_KIND!r})")
    version = table.get("version")
    if version not in _READ:
        raise DecisionFault(f"{name}: decision version {version!r}; this sedmd reads version {_VERSION}, update it")
    products = _table(table.get("products"), name, "products")
    decision = Decision(
        product=_file_part(table, name, "product"),
        saved_as=_file_part(table, name, "saved_as"),
        night=_text(table, name, "night"),
        target=_text(table, name, "target"),
        placement=_placement(_table(table.get("placement"), name, "placement"), name),
        picture=_picture(_table(table.get("picture"), name, "picture"), name),
        quality=_quality(table, name),
        reducer=_text(table, name, "reducer").strip(),
        cubes=tuple(_checksum(pair, name, "cubes") for pair in _list(table, name, "cubes")),
        fluxcal=None if table.get("fluxcal") is None else _checksum(table["fluxcal"], name, "fluxcal"),
        fluxcal_night=_night(table, name),
        guides=tuple(_checksum(pair, name, "guides") for pair in _list(table, name, "guides"))
        if "guides" in table
        else (),
        subject=_subject(table.get("subject"), name),
        products=dict(_checksum(pair, name, "products") for pair in products.items()),
        object_visible=_flag(table, name, "object_visible", True),
        partial=_flag(table, name, "partial", False),
        time=_time(table, name),
        versions={str(key): str(value) for key, value in _table(table.get("versions", {}), name, "versions").items()},
    )
    if not decision.reducer:
        raise DecisionFault(f"{name}: reducer is empty; a decision carries the name of who took it")
    if len(decision.cubes) not in (1, 2) or (len(decision.cubes) == 2) != (decision.placement.b is not None):
        raise DecisionFault(f"{name}: {len(decision.cubes)} cubes; expected one and no aperture B, or two and one")
    return decision


def _parsed(text: str, name: str) -> dict[str, Any]:
    try:
        return table_in(text)
    except ValueError as error:
        raise DecisionFault(f"{name}: not a whole JSON file ({error}); save the target again in sedmview") from error


def _table(value: object, name: str, key: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DecisionFault(f"{name}: {key} is {type(value).__name__}, expected a table")
    return value


def _list(table: Mapping[str, Any], name: str, key: str) -> list[Any]:
    if not isinstance(table.get(key), list):
        raise DecisionFault(f"{name}: {key} is {table.get(key)!r}, expected a list")
    return list(table[key])


def _text(table: Mapping[str, Any], name: str, key: str) -> str:
    if not isinstance(table.get(key), str):
        raise DecisionFault(f"{name}: {key} is {table.get(key)!r}, expected text")
    if not table[key].isprintable():  # it is told in logs and on terminals
        raise DecisionFault(f"{name}: {key} is {table[key]!r}, expected text on one line, without control characters")
    return str(table[key])


def _night(table: Mapping[str, Any], name: str) -> str:
    text = table.get("fluxcal_night", "")
    if not isinstance(text, str) or not re.fullmatch(r"(\d{8})?", text, re.ASCII):
        raise DecisionFault(f"{name}: fluxcal_night is {text!r}, expected an earlier night YYYYMMDD, or no text")
    return text


def _subject(value: object, name: str) -> Subject | None:
    if value is None:
        return None
    table = _table(value, name, "subject")
    texts = {key: _text(table, name, key) for key in ("name", "star", "half", "name_doubt")}
    if texts["half"] not in ("", "A", "B"):
        raise DecisionFault(f"{name}: half is {texts['half']!r}, expected A, B or no text")
    return Subject(**texts, standard=_flag(table, name, "standard", False))


def _file_part(table: Mapping[str, Any], name: str, key: str) -> str:
    text = _text(table, name, key)
    if not _NAME.fullmatch(text):
        raise DecisionFault(f"{name}: {key} is {text!r}; expected part of a file name, without any directory")
    return text


def _flag(table: Mapping[str, Any], name: str, key: str, default: bool) -> bool:
    value = table.get(key, default)
    if not isinstance(value, bool):
        raise DecisionFault(f"{name}: {key} is {value!r}, expected true or false")
    return value


def _number(table: Mapping[str, Any], name: str, key: str, low: float = -1e300, high: float = 1e300) -> float:
    value = table.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise DecisionFault(f"{name}: {key} is {value!r}, expected a number from {low:g} to {high:g}")
    return float(value)


def _quality(table: Mapping[str, Any], name: str) -> int:
    value = table.get("quality")
    if isinstance(value, bool) or not isinstance(value, int) or value not in QUALITIES:
        raise DecisionFault(f"{name}: quality is {value!r}, expected 1 to 5")
    return value


def _checksum(pair: object, name: str, key: str) -> tuple[str, str]:
    if isinstance(pair, list | tuple) and len(pair) == 2 and all(isinstance(part, str) for part in pair):
        file, sha = pair
        if _NAME.fullmatch(file) and _SHA.fullmatch(sha):
            return file, sha
    raise DecisionFault(f"{name}: {key} holds {pair!r}, expected a file name and its SHA-256")


def _time(table: Mapping[str, Any], name: str) -> str:
    text = _text(table, name, "time")
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise DecisionFault(f"{name}: time is {text!r}, expected ISO 8601") from None
    return text


def time_of(decision: Decision) -> datetime:
    """When the decision was taken, UTC."""
    when = datetime.fromisoformat(decision.time)
    return when if when.tzinfo is not None else when.replace(tzinfo=UTC)


def _ellipse(value: object, name: str, key: str) -> Ellipse:
    table = _table(value, name, key)
    return Ellipse(
        x_arcsec=_number(table, name, "x_arcsec", -60, 60),
        y_arcsec=_number(table, name, "y_arcsec", -60, 60),
        semi_major_arcsec=_number(table, name, "semi_major_arcsec", 0.05, 60),
        axis_ratio=_number(table, name, "axis_ratio", 0.01, 1),
        angle_deg=_number(table, name, "angle_deg", -360, 360),
    )


def _psf(value: object, name: str) -> Psf | None:
    if value is None:
        return None
    table = _table(value, name, "psf")
    return Psf(**{item.name: _number(table, name, item.name, -1e3, 1e3) for item in fields(Psf)})


def _placement(table: Mapping[str, Any], name: str) -> Placement:
    return Placement(
        a=_ellipse(table.get("a"), name, "aperture A"),
        b=None if table.get("b") is None else _ellipse(table["b"], name, "aperture B"),
        skysub=_flag(table, name, "skysub", True),
        point_source=_flag(table, name, "point_source", True),
        psf_a=_psf(table.get("psf_a"), name),
        psf_b=_psf(table.get("psf_b"), name),
        fit=_fit(table.get("fit"), name),
    )


def _fit(value: object, name: str) -> TargetPrior | None:
    if value is None:
        return None
    table = _table(value, name, "fit")
    seeing = _table(table.get("seeing"), name, "seeing of the fit")
    places = [_table(one, name, "place of the fit") for one in _list(table, name, "places")]
    if not places:
        raise DecisionFault(f"{name}: places is empty, expected at least one target position")
    return TargetPrior(
        places=tuple(_place(one, name) for one in places),
        seeing=Seeing(
            fwhm_arcsec=_number(seeing, name, "fwhm_arcsec", 0.1, 30),
            spread_arcsec=_number(seeing, name, "spread_arcsec", 0.001, 30),
        ),
    )


def _place(table: Mapping[str, Any], name: str) -> Place:
    return Place(
        x_arcsec=_number(table, name, "x_arcsec", -600, 600),
        y_arcsec=_number(table, name, "y_arcsec", -600, 600),
        spread_arcsec=_number(table, name, "spread_arcsec", 0.001, 600),
        source=_text(table, name, "source"),
        measured=_flag(table, name, "measured", False),
        each=_each(table, name),
    )


def _each(table: Mapping[str, Any], name: str) -> tuple[tuple[float, float] | None, ...]:
    """Where a target is in either exposure of a pair, if the table tells that."""
    each: list[tuple[float, float] | None] = []
    for point in _list(table, name, "each") if "each" in table else ():
        if point is not None and (not isinstance(point, list) or len(point) != 2):
            raise DecisionFault(f"{name}: each holds {point!r}, expected two numbers [arcsec] or null")
        axes = () if point is None else tuple(_number({"each": axis}, name, "each", -600, 600) for axis in point)
        each.append((axes[0], axes[1]) if axes else None)
    if each and (len(each) != 2 or not any(each)):
        raise DecisionFault(f"{name}: each is {table['each']!r}, expected A and B, one of them at least a position")
    return tuple(each)


def _picture(table: Mapping[str, Any], name: str) -> Picture:
    window = _list(table, name, "window")
    if len(window) != 2:
        raise DecisionFault(f"{name}: window is {window!r}, expected two wavelengths [Angstrom]")
    low, high = (_number({"window": edge}, name, "window", 1000, 30000) for edge in window)
    return Picture(
        window=(low, high),
        low=_number(table, name, "low"),
        high=_number(table, name, "high"),
        stretch=_text(table, name, "stretch"),
        colours=_text(table, name, "colours"),
    )
