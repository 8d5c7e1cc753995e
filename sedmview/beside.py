"""What is known of a target beside what is open: spectra saved before, and what it was classified as."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sedmd.core.errors import SedmError
from sedmd.core.quality import REDONE
from sedmd.host.files import sha256_of
from sedmd.host.foreign_file import plain, read_table
from sedmd.observation.saved import former_versions, names
from sedmd.products.published import Published, read_published

log = logging.getLogger(__name__)

#: Where `sedmd classify` leaves its record on a spectrum, the best template, and the kind of the record.
RECORD, TEMPLATE, KIND = ".classification.json", "classified/{}_template.txt", "sedmd classification"


@dataclass(frozen=True, slots=True)
class BesideCurve:
    """A spectrum to lay over the object's; `scaled` where its level means nothing, as that of a template."""

    published: Published
    scaled: bool


@dataclass(frozen=True, slots=True)
class Beside:
    """What lies in the night's folder on a target.

    Attributes
    ----------
    words : str
        What it was classified as; empty if it was not.
    curves : tuple of BesideCurve
        The saved spectrum, versions before it from the newest to the oldest, the best template.
    """

    words: str = ""
    curves: tuple[BesideCurve, ...] = ()


def beside(folder: Path, product: str) -> Beside:
    """Look for spectra and classification of a product; what cannot be read is no part of it. Slow disk."""
    saved_as = next((name for name in (product + REDONE, product) if (folder / names(name)[2]).exists()), product)
    curves: list[BesideCurve] = []
    places = [(folder, "saved")]
    for version in reversed(former_versions(folder, saved_as)):
        places.append((version, f"before, {version.name.rpartition('.')[2]}"))
    for place, name in places:
        if (found := _spectrum(place / names(saved_as)[0], name)) is not None:
            curves.append(BesideCurve(found, scaled=False))
    record = _record(folder / f"{saved_as}{RECORD}")
    if record is None:
        return Beside("", tuple(curves))
    if (template := _spectrum(folder / TEMPLATE.format(saved_as), "")) is not None:
        curves.append(BesideCurve(template, scaled=True))
    return Beside(_words(record, folder / names(saved_as)[2]), tuple(curves))


def _spectrum(path: Path, name: str) -> Published | None:
    try:
        found = read_published(path)
    except FileNotFoundError:
        return None
    except (SedmError, OSError) as error:
        log.info("not laid over the spectrum: %s", error)
        return None
    return replace(found, name=name) if name else found


def _record(path: Path) -> Mapping[str, Any] | None:
    try:
        table = read_table(path)
    except (SedmError, OSError):
        return None
    return table if table.get("kind") == KIND else None


def _words(record: Mapping[str, Any], spectrum: Path) -> str:
    """Type, redshift, best template and score; whether the type is secure."""
    if not (kind := plain(str(record.get("label") or record.get("type") or ""))):
        return "classified: no template matches"
    words = [f"classified {kind}"]
    for name, key, form in (("z", "z", ".4f"), ("age", "age", "+.0f")):
        if (value := _number(record.get(key))) is not None:
            error = _number(record.get(f"{key}_error"))
            unit = " d" if key == "age" else ""
            words.append(f"{name} {value:{form}}" + (f" ± {error:{form.strip('+')}}" if error else "") + unit)
    template, score = plain(str(record.get("template") or "")), _number(record.get("score"))
    if template:
        words.append(template + ("" if score is None else f" {plain(str(record.get('metric') or ''))} {score:.1f}"))
    secure = "secure" if record.get("secure") is True else f"not secure: {plain(str(record.get('why') or ''))}"
    return f"{', '.join(words)} ({secure})" + ("" if _is_of(record, spectrum) else "; of an earlier version")


def _is_of(record: Mapping[str, Any], spectrum: Path) -> bool:
    inputs = record.get("inputs")
    try:
        return isinstance(inputs, dict) and inputs.get(spectrum.name) == sha256_of(spectrum)
    except OSError:
        return False


def _number(value: object) -> float | None:
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if good else None  # type: ignore[arg-type]
