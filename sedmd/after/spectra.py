"""The spectra of a night that count: one for each observation, an observer's before the pipeline's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from astropy.io import fits

from sedmd.core.quality import OBSERVER, REDONE
from sedmd.data.standards import labelled
from sedmd.host.foreign_file import each
from sedmd.observation.own_files import Known, why_foreign
from sedmd.products.fitsio import CardValue, card_value, primary_header


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalSpectrum:
    """A spectrum that counts, as its primary header tells.

    Attributes
    ----------
    night, product : str
        UT night; name of the observation (``<NAME>``, ``<NAME>_obsN``).
    target : str
        The target as it was typed.
    fits, ascii, page : Path
        ``sp_*.fits``, ``*_SEDM.txt``, ``*_SEDM.pdf``; they carry the observation's name, or that with ``_redo``.
    quality : int
        0 not graded, 1 good, 2 acceptable, 3 poor, 4 no object visible, 5 bogus target.
    reducer : str
        "sedmd" for the pipeline, else who placed the aperture.
    standard : bool
        A standard star, tabulated or not.
    calibrated : bool
        In physical units.
    cards : mapping of keyword to value
        Everything else that the header has: AIRMASS, EXPTIME, OBSUTC, SNRMED, REQ_ID, CALFALL ...
    """

    night: str
    product: str
    target: str
    fits: Path
    ascii: Path
    page: Path
    quality: int
    reducer: str
    standard: bool
    calibrated: bool
    by_observer: bool
    cards: Mapping[str, CardValue] = field(default_factory=dict, repr=False)

    @property
    def usable(self) -> bool:
        """Good or acceptable: what is classified and uploaded."""
        return self.quality in (1, 2)


def final_spectra(folder: Path, known: Known | None = None) -> tuple[list[FinalSpectrum], list[str]]:
    """The spectra of a night that count, by product, and a sentence for each file that does not or cannot be read.

    Parameters
    ----------
    folder : Path
        ``redux/YYYYMMDD``.
    known : mapping, optional
        What ledger and decisions know (`sedmd.observation.own_files.known_files`): others' files do not count.
    """
    chosen: dict[str, FinalSpectrum] = {}
    ours, errors = [], []
    for path in sorted(folder.glob("sp_*.fits")):
        if why := why_foreign(path, known):
            errors.append(why)
        else:
            ours.append(path)
    spectra, damaged = each(ours, lambda path: _spectrum(folder, path, primary_header(path)))
    for found in spectra.values():
        if why := why_foreign(found.ascii, known):
            damaged.append(why)
            continue
        if why := why_foreign(found.page, known):  # the spectrum can do without
            damaged.append(why)
            found = replace(found, page=found.page.with_suffix(".pdf.foreign"))
        kept = chosen.get(found.product)
        if kept is None or found.by_observer:
            chosen[found.product] = found
    return [chosen[product] for product in sorted(chosen)], [*errors, *damaged]


def _spectrum(folder: Path, path: Path, header: fits.Header) -> FinalSpectrum:
    name = path.stem.removeprefix("sp_")
    by_observer = card_value(header, "STEP") == OBSERVER
    quality = card_value(header, "QUALITY")
    target = str(card_value(header, "TARGET") or name)
    return FinalSpectrum(
        night=folder.name,
        product=name.removesuffix(REDONE) if by_observer else name,
        target=target,
        fits=path,
        ascii=folder / f"{name}_SEDM.txt",
        page=folder / f"{name}_SEDM.pdf",
        quality=quality if isinstance(quality, int) and quality in range(6) else 0,
        reducer=str(card_value(header, "REDUCER") or ""),
        # spectra of versions that knew tabulated stars only are recognised by their label
        standard=bool(card_value(header, "STDSTAR")) or labelled(target),
        calibrated=bool(card_value(header, "FLUXCAL")),
        by_observer=by_observer,
        cards={keyword: card_value(header, keyword) for keyword in header if keyword},
    )
