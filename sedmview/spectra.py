"""The spectra of what is open: of what is shown, of the one that is not chosen, of one spaxel; a comparison."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np

from sedmd.observation.aperture import Extraction, Extractor
from sedmd.observation.calibrate import calibrated
from sedmd.observation.decisions import Placement
from sedmd.observation.extract import INSTRUMENTAL
from sedmd.observation.suggestion import Suggestion
from sedmd.products.published import Published
from sedmd.reduce.numeric.containers import Spectrum
from sedmview.desk import Desk
from sedmview.model import fit_offered, placement_of
from sedmview.words import words_of

log = logging.getLogger(__name__)


def smoothed(spectrum: Spectrum, bins: int) -> Spectrum:
    """Running mean over an odd number of bins, for looking only; bins without a value do not count.

    The error is that of the mean of independent bins.
    """
    if bins <= 1 or bins > len(spectrum.flux):
        return spectrum
    known = np.isfinite(spectrum.flux)
    window = np.ones(bins)
    count = np.convolve(known, window, mode="same")
    with np.errstate(invalid="ignore", divide="ignore"):
        flux = np.convolve(np.where(known, spectrum.flux, 0.0), window, mode="same") / count
        error = np.sqrt(np.convolve(np.where(known, spectrum.error, 0.0) ** 2, window, mode="same")) / count
    return replace(spectrum, flux=np.where(known, flux, np.nan), error=np.where(known, error, np.nan))


class Spectra:
    """Extracts what is shown, once for each change."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._extractor: Extractor | None = None
        self._made: tuple[Placement, Extraction | None, str] | None = None

    @property
    def extraction(self) -> Extraction | None:
        """The spectrum of what is shown; None when there can be none, see `problem`."""
        return self._extracted()[0]

    @property
    def problem(self) -> str:
        """Why there is no spectrum; empty when there is one."""
        return self._extracted()[1]

    @property
    def other(self) -> Spectrum | None:
        """The spectrum that is not chosen: that of the apertures beside the fitted one, or the other way round."""
        state = self._desk.state
        shown = state.shown
        if self._extractor is None or shown is None or not fit_offered(shown, state.suggestion):
            return None
        try:
            other = placement_of(replace(shown, fitted=not shown.fitted), state.suggestion)
            return self._extractor.extract(other).spectrum
        except ValueError:
            return None

    def take(self, extractor: Extractor, found: Suggestion | None) -> None:
        """Another target is open."""
        self._extractor, self._made = extractor, None
        self.keep_fit(found)

    def keep_fit(self, found: Suggestion | None) -> None:
        """The fitted spectrum came with the suggestion: nobody waits for it again."""
        if self._extractor is not None and found is not None and found.told is not None and found.fitted is not None:
            self._extractor.keep(found.told, found.fitted)

    def of_spaxel(self, spaxel: int) -> Spectrum:
        """What one spaxel holds, calibrated where that is possible; sky and all."""
        observation = self._desk.state.observation
        assert observation is not None
        cube = observation.field_cube
        good = cube.mask[:, spaxel] == 0
        one = Spectrum(
            wavelength=np.asarray(cube.wavelength, dtype=float),
            flux=np.where(good, cube.flux[:, spaxel], np.nan) / observation.exptime_s,
            error=np.sqrt(np.where(good, cube.variance[:, spaxel], np.nan)) / observation.exptime_s,
            sky=np.zeros(len(cube.wavelength)),
            unit=INSTRUMENTAL,
        )
        return calibrated(one, observation.calibration, observation.airmass)

    def toggle_comparison(self) -> None:
        """Take the comparison away, or ask for the file of one."""
        desk = self._desk
        if desk.state.comparison is None:
            desk.view.changed("comparison")
            return
        desk.state.comparison = None
        desk.view.changed("spectrum")
        desk.say("The comparison is taken away")

    def compare(self, path: Path) -> None:
        """Lay the spectrum of a file over the object's; it stays when another target is opened."""
        desk = self._desk
        desk.jobs.submit("compare", lambda: desk.files.published(path), self._compared, self._not_compared)

    def _extracted(self) -> tuple[Extraction | None, str]:
        shown = self._desk.state.shown
        if self._extractor is None or shown is None:
            return None, ""
        placement = placement_of(shown, self._desk.state.suggestion)
        if self._made is None or self._made[0] != placement:
            try:
                self._made = (placement, self._extractor.extract(placement), "")
            except ValueError as error:
                self._made = (placement, None, str(error))
        return self._made[1], self._made[2]

    def _compared(self, found: Published) -> None:
        self._desk.state.comparison = found
        self._desk.view.changed("spectrum")
        self._desk.say(f"{found.name}: {found.how_read}. O takes it away")

    def _not_compared(self, error: Exception) -> None:
        log.warning("no comparison: %s", error)
        self._desk.say(f"No comparison: {words_of(error)}", warning=True)
