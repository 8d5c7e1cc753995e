"""What the cards call a frame: OBJECT first, then IMGTYPE and NAME.

Labels of the robot (sedmHeader.py, 2022), of kpy and of observers: ``Calib: dome lamp 3 of 5`` with one blank or two,
``STD-BD+25d4655``, ``ZTF21acgqhru [A]``, ``FOCUS: Focus``, ``Twilight 1 [NA]``, ``HZ44_IFU_MAPPING [NA]``, and
``NAME [A]test`` with a text appended by hand.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum

from sedmd.raw.cards import text_of


class Kind(StrEnum):
    """What a raw frame is; the values of the lamps are the names of their products."""

    BIAS = "bias"
    DOME = "dome"
    HG = "Hg"
    CD = "Cd"
    XE = "Xe"
    NE = "Ne"
    TWILIGHT = "twilight"
    STANDARD = "standard"
    SCIENCE = "science"
    IGNORED = "ignored"

    @property
    def on_sky(self) -> bool:
        return self in (Kind.STANDARD, Kind.SCIENCE)


LAMPS = (Kind.DOME, Kind.HG, Kind.CD, Kind.XE, Kind.TWILIGHT)
#: Words of OBJECT that name a calibration. "Hal" was the label of the dome lamp until January 2017.
CALIBRATION_WORDS = {
    "bias": Kind.BIAS,
    "dome": Kind.DOME,
    "hal": Kind.DOME,
    "hg": Kind.HG,
    "cd": Kind.CD,
    "xe": Kind.XE,
    "ne": Kind.NE,
    "twilight": Kind.TWILIGHT,
}
#: What IMGTYPE says of each kind.
IMAGE_TYPES = {
    Kind.BIAS: "bias",
    Kind.DOME: "dome",
    Kind.HG: "lamp",
    Kind.CD: "lamp",
    Kind.XE: "lamp",
    Kind.NE: "lamp",
    Kind.TWILIGHT: "twilight",
    Kind.STANDARD: "standard",
    Kind.SCIENCE: "science",
}
#: Exposures that are neither calibrations nor spectra of a target, by IMGTYPE.
_OTHER_TYPES = {
    "focus": "a focus frame",
    "acquisition": "an acquisition frame",
    "guider": "a guider frame",
    "acq_ifumap": "a map of the field of view, not of a target",
}
#: The same by OBJECT, as a pattern that begins where a word does.
_OTHER_LABELS = {
    r"test": "a test",
    r"focus\s*:": "a focus frame",
    r"darks?(?![A-Za-z0-9])": "a dark: no step uses darks",
    r"acq-": "an acquisition frame",
    r"guider\s*:": "a guider frame",
    r"sedmdefault(?![A-Za-z0-9])": "no target: the control software writes SEDmDefault without one",
}
_STOWED = r"stow(ed)?(?![a-z0-9])"
#: IFU_MAPPING ends the name, after an underscore.
_MAPPING = re.compile(r"_IFU_?MAPPING(?![A-Za-z0-9])", re.IGNORECASE)
_TOKEN = re.compile(r"\[\s*(A|B|NA)\s*\]")
_TWILIGHT = re.compile(r"twilight(\s+\d+)?", re.IGNORECASE)


def image_type(header: Mapping[str, object]) -> str:
    """IMGTYPE in lower case; empty where it says nothing."""
    return text_of(header, "IMGTYPE").lower()


def dome_closed(header: Mapping[str, object], card: str) -> bool:
    """Whether DOMEST or ENDDOME says that the dome was closed; ``NA`` says nothing."""
    return "closed" in text_of(header, card).lower()


def not_reduced(label: str, name: str, kind_of_image: str) -> str:
    """Why no step reduces a frame of this OBJECT, NAME and IMGTYPE; empty if there may be one that does."""
    if not label:
        return "OBJECT is blank"
    for pattern, reason in _OTHER_LABELS.items():
        if begins_word(pattern, label):
            return reason
    if begins_word(_STOWED, name) or begins_word(_STOWED, label):
        return "the telescope was stowed"
    if begins_word("sedmdefault", name):
        return _OTHER_LABELS[r"sedmdefault(?![A-Za-z0-9])"]
    if _MAPPING.search(label):
        return _OTHER_TYPES["acq_ifumap"]
    return "" if is_calibration(label) else _OTHER_TYPES.get(kind_of_image, "")


def is_calibration(label: str) -> bool:
    """Whether OBJECT is that of a calibration, by the word Calib; a twilight of the robot lacks it."""
    return re.search(r"\bcalib", label, re.IGNORECASE) is not None or is_twilight(label)


def is_twilight(label: str) -> bool:
    """Whether OBJECT is ``Twilight 1 [NA]`` or the like."""
    return _TWILIGHT.fullmatch(without_token(label)) is not None


def calibration_kinds(label: str) -> set[Kind]:
    """The calibrations that a label names; one, if it is a good label."""
    words = re.findall(r"[a-z]+", label.lower())
    return {CALIBRATION_WORDS[word] for word in words if word in CALIBRATION_WORDS}


def series_number(label: str) -> tuple[int, int] | None:
    """``n of N`` in OBJECT."""
    series = re.search(r"(?<!\d)(\d{1,6})\s+of\s+(\d{1,6})(?!\d)", label)
    return (int(series.group(1)), int(series.group(2))) if series else None


def without_token(text: str) -> str:
    """A name without ``[A]``, ``[B]`` and ``[NA]``, and with single blanks."""
    return " ".join(_TOKEN.sub(" ", text).split())


def nod_of(label: str) -> str:
    """ "A", "B" or empty."""
    found = _TOKEN.search(label)
    return found.group(1) if found and found.group(1) != "NA" else ""


def appended(label: str) -> str:
    """The text that somebody wrote behind the token."""
    found = _TOKEN.search(label)
    return label[found.end() :].strip() if found else ""


def begins_word(word: str, text: str) -> bool:
    """Whether a word of the text begins so: ``test`` is in ``flexure Test 2``, not in ``ZTF19aatestx``."""
    return re.search(rf"(?<![A-Za-z0-9]){word}", text, re.IGNORECASE) is not None
