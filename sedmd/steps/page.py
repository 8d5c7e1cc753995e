"""The page of a spectrum, drawn from the spectrum's own file: no spectrum waits for its picture, or is lost by it."""

from __future__ import annotations

from collections.abc import Mapping

from sedmd.core.job import Job, Result
from sedmd.core.quality import PROVISIONAL
from sedmd.data import standards
from sedmd.observation.calibrate import CALIBRATED
from sedmd.products.plots import ApertureMark, MapImage, plot_spectrum
from sedmd.products.spectrum import Field, read_field, read_spectrum
from sedmd.raw.cards import number_of
from sedmd.reduce.numeric.containers import Spectrum


def draw_page(job: Job) -> Result:
    """Draw spectrum, field and figures; for a standard star with the published spectrum beside it."""
    spectrum, header = read_spectrum(job.one("sp"))
    key = str(spectrum.meta.get("standard") or "") if spectrum.unit == CALIBRATED else ""
    plot_spectrum(
        job.outputs["pdf"],
        spectrum,
        name=job.label,
        image=_map(read_field(job.one("sp"))),
        apertures=_marks(spectrum),
        reference=standards.load(key) if key else None,
        note=_note(spectrum, header),
    )
    return Result()


def _note(spectrum: Spectrum, header: Mapping[str, object]) -> str:
    """Of a spectrum that nobody has confirmed: that it is provisional, with its confidence and the concerns.

    Of an empty place, that no object is visible, and why the pipeline says so.
    """
    empty = header.get("OBJSEEN") is False
    if not spectrum.meta.get(PROVISIONAL) and not empty:
        return ""
    concerns = [str(header[key]) for number in range(1, 10) if (key := f"DOUBT{number}") in header]
    if empty:
        return "; ".join(["NO OBJECT VISIBLE", *concerns])
    confidence = number_of(spectrum.meta.get("confidence"), 0.0)
    return "; ".join([f"PROVISIONAL, awaiting observer: confidence {confidence:.2f}", *concerns])


def _map(field: Field | None) -> MapImage | None:
    if field is None:
        return None
    return MapImage(
        x_arcsec=field.x_arcsec, y_arcsec=field.y_arcsec, values=field.values, corners=field.corners, label=field.label
    )


def _marks(spectrum: Spectrum) -> list[ApertureMark]:
    """Circles of one FWHM about the places where the object was found."""
    meta = spectrum.meta
    marks = []
    for label, x_key, y_key in (("A", "x_arcsec", "y_arcsec"), ("B", "x_b_arcsec", "y_b_arcsec")):
        x, y = meta.get(x_key), meta.get(y_key)
        if isinstance(x, float) and isinstance(y, float):
            size = number_of(meta.get("seeing_arcsec"), 2.0)
            shown = label if meta.get("is_pair") else ""
            marks.append(
                ApertureMark(x_arcsec=x, y_arcsec=y, semi_major_arcsec=size, label=shown, negative=label == "B")
            )
    return marks
