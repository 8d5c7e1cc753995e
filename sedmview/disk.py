"""The presenter's files on a real disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from sedmd.core.config import Calibrations
from sedmd.core.quality import REDONE
from sedmd.observation import saved
from sedmd.observation.decisions import Decision, Placement
from sedmd.observation.exposure import raw_name
from sedmd.observation.inputs import flux_by_headers, guides_beside, inputs_by_headers
from sedmd.observation.load import Observation, load, stamp_of
from sedmd.observation.suggestion import Suggestion, suggest
from sedmd.products.published import Published, read_published
from sedmview.beside import Beside, beside
from sedmview.memory import Memory
from sedmview.targets import Entry, NightList, decision_of


class NightOnDisk:
    """A night's folder and the viewer's own memory.

    Parameters
    ----------
    night : NightList
    memory : Memory
    clock : callable
        The time now, UTC.
    """

    def __init__(self, night: NightList, memory: Memory, clock: Callable[[], datetime]) -> None:
        self.night, self.memory, self.clock = night, memory, clock

    def load(self, entry: Entry) -> Observation:
        """Read the cubes, and the flux calibration that the ledger or the headers tell. Raises SedmError, OSError."""
        settings = self.night.settings
        by_headers = partial(
            inputs_by_headers,
            settings=settings.extraction if settings else None,
            rules=settings.calibrations if settings else None,
        )
        inputs = self.night.inputs(entry.product, self.clock())
        return load(entry.product, entry.cubes, inputs, otherwise=by_headers)

    def stamp(self, entry: Entry) -> object:
        """By which it is known whether the cubes are still the same. Raises OSError."""
        inputs = self.night.inputs(entry.product, self.clock())
        if inputs is not None:
            return stamp_of(entry.cubes, inputs.flux, inputs.guides)
        folder = entry.cubes[0].parent
        rules = self.night.settings.calibrations if self.night.settings else Calibrations()
        flux = flux_by_headers(folder, max_age_nights=rules.fallback_max_age_nights)
        return stamp_of(entry.cubes, flux, guides_beside([raw_name(path) for path in entry.cubes], folder))

    def suggest(self, observation: Observation) -> Suggestion:
        """Look for the object; about a second for each cube."""
        return suggest(observation)

    def decision(self, entry: Entry) -> Decision | None:
        """What an observer decided before."""
        return decision_of(entry)

    def save(
        self, observation: Observation, placement: Placement, verdict: saved.Verdict
    ) -> tuple[Decision, tuple[Path, ...]]:
        """Write spectrum and decision. Raises SedmError, OSError, ValueError."""
        return saved.save(observation, placement, verdict, clock=self.clock)

    def entries(self) -> tuple[list[Entry], list[str]]:
        """The list, and what could not be read."""
        return self.night.entries(self.clock())

    def draft(self, entry: Entry) -> dict[str, Any] | None:
        """What was decided and not saved."""
        return self.memory.draft(self.night.folder, entry.product)

    def keep_draft(self, entry: Entry, draft: Mapping[str, Any]) -> None:
        """Keep it. Raises OSError, SedmError."""
        self.memory.keep_draft(self.night.folder, entry.product, draft)

    def drop_draft(self, entry: Entry) -> None:
        """It is saved."""
        self.memory.drop_draft(self.night.folder, entry.product)

    def published(self, path: Path) -> Published:
        """A spectrum of somebody else's. Raises SedmError, OSError."""
        return read_published(path)

    def page(self, entry: Entry) -> Path | None:
        """The PDF of the target's spectrum, an observer's before the pipeline's; None if there is none."""
        pages = (self.night.folder / saved.names(name)[1] for name in (entry.product + REDONE, entry.product))
        return next((path for path in pages if path.is_file()), None)

    def beside(self, entry: Entry) -> Beside:
        """Spectra saved before, and the classification. Slow disk: not for the GUI thread."""
        return beside(self.night.folder, entry.product)

    def night_page(self) -> Path | None:
        """The night's page of the web site; None if there is none, or nobody tells where it is."""
        root = self.night.settings.web.root if self.night.settings else None
        path = None if root is None else root / self.night.folder.name / "index.html"
        return path if path is not None and path.is_file() else None

    def keep_settings(self, **changes: object) -> None:
        """Name and tastes. Raises OSError, SedmError."""
        self.memory.keep_settings(**changes)
