"""The vocabulary in which settings are declared: default, unit, range, restart and meaning, in one place each."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")
#: The key of a dataclass field's metadata under which its declaration stands.
KEY = "setting"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What is declared of one setting beside its type and its default.

    Attributes
    ----------
    text : str
        Its meaning in one line.
    more : str
        What needs more than a line; for the sample and the page of settings.
    unit : str
        Of a number; empty: it has none.
    above, least, most : float or None
        Limits of a number (of each number of a list): more than `above`, at least `least`, at most `most`.
    choices : tuple of str
        The only values of a text; empty: any text.
    example : str
        How it is written in TOML, for a setting whose default is that nothing is set.
    restart : bool
        Only a restart of the service can change it.
    word : str
        A text that may stand in place of a whole list.
    check : callable or None
        Raises `ConfigError` over a text that cannot be used (over each text of a list).
    lines : bool
        A list with one item a line in the sample.
    """

    text: str
    more: str = ""
    unit: str = ""
    above: float | None = 0.0
    least: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()
    example: str = ""
    restart: bool = False
    word: str = ""
    check: Callable[[str], None] | None = None
    lines: bool = False

    @property
    def range(self) -> str:
        """The limits of a number in words, as messages and the page of settings give them."""
        if self.least is not None and self.most is not None:
            return f"{self.least:g} to {self.most:g}"
        if self.least is not None:
            return "zero or more" if self.least == 0 else f"{self.least:g} or more"
        low = "more than zero" if self.above == 0 else f"more than {self.above:g}"
        return low if self.most is None else f"{low}, at most {self.most:g}"

    def allows(self, value: float) -> bool:
        """A number is within the limits; infinity and NaN never are."""
        if self.least is not None:
            low = value >= self.least
        else:
            low = self.above is None or value > self.above
        return low and (value <= self.most if self.most is not None else value < float("inf"))


def setting(default: T, text: str, **declared: Any) -> T:
    """A field of a section: its default and what `Setting` holds.

    Parameters
    ----------
    default : object
        The value without a configuration; None: nothing is set.
    text : str
        The meaning in one line.
    **declared
        The other attributes of `Setting`.

    Returns
    -------
    dataclasses.Field
        Typed as the default, since that is what the finished section holds.
    """
    found: Any = dataclasses.field(default=default, metadata={KEY: Setting(text=text, **declared)})
    return found  # type: ignore[no-any-return]


def required(text: str, **declared: Any) -> Any:
    """A field of a section that every configuration must give; see `setting`."""
    return dataclasses.field(metadata={KEY: Setting(text=text, **declared)})


def declared(entry: dataclasses.Field[Any]) -> Setting:
    """What is declared of a field of a section."""
    found: Setting = entry.metadata[KEY]
    return found
