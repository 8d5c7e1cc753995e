"""What is looked at in another program: the saved page, the night's page, pictures of the sky; positions copied."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from sedmd.core.config import Links
from sedmd.products.sky import sexagesimal_text, target_position
from sedmview.desk import Desk
from sedmview.words import words_of


def link_of(template: str, name: str, position_deg: tuple[float, float] | None) -> str | None:
    """A web address with name and position filled in; None where the template asks for a position that is not known."""
    if position_deg is None and ("{ra" in template or "{dec" in template):
        return None
    ra, dec = position_deg or (0.0, 0.0)
    return template.format(name=quote(name, safe=""), ra=f"{ra:.6f}", dec=f"{dec:.6f}")


class Elsewhere:
    """Commands that show something outside of the window.

    Parameters
    ----------
    desk : Desk
    links : Links
        Templates of web addresses.
    """

    def __init__(self, desk: Desk, links: Links) -> None:
        self._desk, self._state, self._links = desk, desk.state, links

    def copy_degrees(self) -> None:
        """RA and Dec of the target to the clipboard, in degrees."""
        self._copy(lambda ra, dec: f"{ra:.6f} {dec:+.6f}")

    def copy_hours(self) -> None:
        """RA and Dec of the target to the clipboard, ``hh:mm:ss.ss +dd:mm:ss.s``."""
        self._copy(lambda ra, dec: " ".join(sexagesimal_text(ra, dec)))

    def open_page(self) -> None:
        """The page (PDF) of the spectrum that was saved of this target, or that the pipeline made."""
        entry = self._state.entry
        if entry is not None:
            self._look_for(lambda: self._desk.files.page(entry), f"{entry.product} has no page yet: nothing is saved")

    def open_night(self) -> None:
        """The night's web page, where `sedmd publish` puts it."""
        none = "No page of this night: set [web] root and run sedmd publish, then start sedmview with --config"
        self._look_for(self._desk.files.night_page, none)

    def open_cutout(self) -> None:
        """A survey's picture of the place."""
        self._open_link(self._links.cutout, "cutout")

    def open_marshal(self) -> None:
        """The target's page of the marshal."""
        self._open_link(self._links.marshal, "marshal")

    def _position(self) -> tuple[float, float] | None:
        observation = self._state.observation
        return None if observation is None else target_position(observation.header)

    def _copy(self, words: Callable[[float, float], str]) -> None:
        position = self._position()
        if position is None:
            self._desk.say("The header does not tell where the target is", warning=True)
            return
        text = words(*position)
        self._desk.view.copy(text)
        self._desk.say(f"Copied: {text}")

    def _open_link(self, template: str, setting: str) -> None:
        if self._state.entry is None:
            return
        if not template:
            self._desk.say(f"No address: [links] {setting} is empty in the configuration", warning=True)
            return
        link = link_of(template, self._state.entry.name, self._position())
        if link is None:
            self._desk.say("The header does not tell where the target is", warning=True)
        else:
            self._show(link)

    def _look_for(self, find: Callable[[], Path | None], none: str) -> None:
        def found(path: Path | None) -> None:
            if path is None:
                self._desk.say(none, warning=True)
            else:
                self._show(path.absolute().as_uri())

        self._desk.jobs.submit("look", find, found, lambda error: self._desk.say(words_of(error), warning=True))

    def _show(self, place: str) -> None:
        if self._desk.view.show_outside(place):
            self._desk.say(f"Opened in another program: {place}")
        else:
            self._desk.view.copy(place)
            self._desk.say(f"No program opens it; copied instead: {place}", warning=True)
