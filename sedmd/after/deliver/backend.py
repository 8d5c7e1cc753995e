"""Where spectra go: what every receiver can do, what it gives back, and the three ways in which it can fail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sedmd.after.deliver.outgoing import Outgoing
from sedmd.core.errors import SedmError


class TryLater(SedmError):
    """It did not work now, or nobody knows whether it did; `after_s` is what the receiver asked to wait for."""

    def __init__(self, text: str, *, after_s: float | None = None) -> None:
        super().__init__(text)
        self.after_s = after_s


class Refused(SedmError):
    """This spectrum is refused and would be again."""


class Closed(SedmError):
    """Nothing will be accepted before somebody has corrected the configuration or the account."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The receiver has it.

    Attributes
    ----------
    number : str
        What the receiver calls it.
    link : str
        Where a person finds it.
    notes : tuple of str
        What came with it, and what of that was refused.
    """

    number: str
    link: str = ""
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "; ".join([self.number, *self.notes, *([self.link] if self.link else [])])


class Backend(Protocol):
    """A receiver of spectra."""

    @property
    def name(self) -> str:
        """Kind and place: one receiver has one name."""

    def send(self, spectrum: Outgoing) -> Receipt:
        """Bring it there, unless it is there already: may be called again after any failure.

        Raises
        ------
        TryLater, Refused, Closed
        """

    def withdraw(self, content: str, receipt: str) -> str:
        """Have it deleted there; what was deleted, also if it was gone already.

        Parameters
        ----------
        content : str
            Checksum under which it was sent.
        receipt : str
            What `send` gave back, as text.

        Raises
        ------
        TryLater, Refused, Closed
        """

    def preview(self, spectrum: Outgoing, *, full: bool) -> list[str]:
        """What would be sent, as lines; with `full` every number of it."""
