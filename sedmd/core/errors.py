"""What can go wrong, as a catalogue: who pays for a fault and whether trying again can help.

SedmError
├── FrameFault           the data are at fault: costs that frame only, never retried
│   └── HeaderFault      a header card is missing, ill-typed or impossible
│       └── HeaderUnfinished  the camera's cards are there, the robot's have not come
├── CalibrationFault     a calibration was made from usable frames but is not good enough to use
├── NeedsObserver        nothing is wrong, but a person has to place the aperture
├── ConfigError          the configuration file cannot be used
├── NotWritten           a report, page or unit could not be written
└── NotNow               another sedmd works here, the raw data are away, or a disk is full: it may work later
"""

from __future__ import annotations

from collections.abc import Mapping


class SedmError(Exception):
    """Base of every error that sedmd raises on purpose; its text is one line for an operator."""

    #: What the program ends with. 2 asks systemd not to start it again: a person has to change something first.
    exit_code = 2


class FrameFault(SedmError):
    """A frame cannot be used; the same bytes will fail again, so it is quarantined with this text."""


class HeaderFault(FrameFault):
    """A header card that the reduction needs is missing, of the wrong type or out of range."""


class HeaderUnfinished(HeaderFault):
    """Only the camera's cards are there: the robot adds its own seconds later, or never."""


class CalibrationFault(SedmError):
    """A calibration product failed its own quality gate; the text says which figure and which limit."""


class NeedsObserver(SedmError):
    """The automatic extraction is not safe (no object, several, at the edge); the cube waits for a person.

    `figures` are what was found nevertheless: position, signal-to-noise ratio, confidence.
    """

    def __init__(self, text: str, figures: Mapping[str, float | int | str | None] | None = None) -> None:
        super().__init__(text)
        self.figures = dict(figures or {})


class ConfigError(SedmError):
    """The configuration cannot be used; the text names the key, the rule and the nearest valid key."""


class NotWritten(SedmError):
    """What a command made could not be written; a person has to see to rights or room."""

    exit_code = 73  # EX_CANTCREAT of sysexits.h


class NotNow(SedmError):
    """Nothing is wrong with the command, only with the moment; whoever started it may try again later."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h
