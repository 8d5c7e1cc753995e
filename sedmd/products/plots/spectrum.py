"""One page per spectrum: the spectrum, the field with its aperture, the figures an observer asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import sedmd
from sedmd.products.fitsio import CardValue
from sedmd.products.plots.maps import ApertureMark, MapImage, draw_aperture, draw_hexagons, finish_field, picture_limits
from sedmd.products.plots.style import ERROR, INK, SKY, SOFT, SPECTRUM, mark_telluric, page, plain_numbers, save
from sedmd.reduce.numeric.containers import FloatArray, Spectrum

_ALERT = "#c0562b"
_QUALITY = {0: "automatic", 1: "good", 2: "acceptable", 3: "poor", 4: "no object", 5: "bogus target"}

#: As many letters of the smallest text go into a line of the page.
LINE_LETTERS = 210


def plot_spectrum(
    path: Path,
    spectrum: Spectrum,
    *,
    name: str,
    image: MapImage | None = None,
    apertures: Sequence[ApertureMark] = (),
    reference: tuple[FloatArray, FloatArray] | None = None,
    limits: tuple[float, float] | None = None,
    note: str = "",
) -> str:
    """The page ``<NAME>_SEDM.pdf``.

    Parameters
    ----------
    path : Path
        ``.pdf`` or ``.png``.
    spectrum : Spectrum
        Figures are taken from `meta`, by the keys of `sedmd.products.spectrum.META_CARDS`.
    name : str
        Title.
    image : MapImage, optional
        Picture of the field; its place stays empty without it.
    apertures : sequence of ApertureMark
    reference : (wavelength, flux), optional
        Published spectrum of a standard star, drawn for comparison in the unit of `spectrum`.
    limits : (low, high), optional
        Limits of the picture's colours, as an observer set them; robust ones without.
    note : str
        A sentence under the title that nobody should miss.

    Returns
    -------
    str
        SHA-256 of the file.
    """
    with page(11.0, 6.2) as figure:
        grid = figure.add_gridspec(
            2, 2, width_ratios=[2.35, 1], height_ratios=[1.55, 1], left=0.065, right=0.985, top=0.875, bottom=0.085
        )
        grid.update(wspace=0.16, hspace=0.24)
        _draw_spectrum(figure.add_subplot(grid[:, 0]), spectrum, reference)
        field = figure.add_subplot(grid[0, 1])
        if image is None:
            field.axis("off")
        else:
            pair = any(mark.negative for mark in apertures)
            low, high = limits or picture_limits(image.values, symmetric=pair)
            draw_hexagons(field, image, low, high, cmap="RdBu_r" if pair else "viridis", faint=not pair)
            for mark in apertures:
                draw_aperture(field, mark)
            finish_field(field, image)
            field.set_title(("A - B   " if pair else "") + image.label, fontsize=7.5, color=SOFT, pad=4)
        notes = figure.add_subplot(grid[1, 1])
        notes.axis("off")
        _write_figures(notes, spectrum)
        _write_title(figure, name, spectrum.meta)
        if note:
            figure.text(0.065, 0.9, _shortened(note), fontsize=7.5, color=_ALERT, parse_math=False)
        return save(figure, path)


def _draw_spectrum(axes: Axes, spectrum: Spectrum, reference: tuple[FloatArray, FloatArray] | None) -> None:
    wavelength, flux, error = spectrum.wavelength, spectrum.flux, spectrum.error
    axes.set_xlim(wavelength[0], wavelength[-1])
    mark_telluric(axes)
    scale, prefix = _power(flux)
    bottom, top = _range(wavelength, flux / scale)
    sky_scale = _sky_scale(spectrum.sky / scale, top - max(bottom, 0.0))
    if sky_scale > 0:
        axes.plot(
            wavelength,
            spectrum.sky / scale * sky_scale,
            color=SKY,
            lw=0.8,
            alpha=0.85,
            label=f"sky per arcsec$^2$ × {sky_scale:g}",
        )
    axes.fill_between(
        wavelength,
        (flux - error) / scale,
        (flux + error) / scale,
        color=ERROR,
        lw=0,
        step="mid",
        alpha=0.75,
        label=r"$\pm1\,\sigma$",
    )
    axes.plot(wavelength, flux / scale, color=SPECTRUM, lw=1.2, drawstyle="steps-mid", label="object")
    if reference is not None:
        axes.plot(reference[0], reference[1] / scale, color=INK, lw=0.8, ls=(0, (4, 2)), label="published")
    axes.axhline(0, color=SOFT, lw=0.5)
    axes.set_ylim(bottom, top)
    axes.set_xlabel("Wavelength in air [Å]")
    axes.set_ylabel(f"Flux density [{prefix}{_pretty_unit(spectrum.unit)}]")
    plain_numbers(axes)
    axes.minorticks_on()
    axes.tick_params(which="both", top=True, right=True)
    blue_is_brighter = _level(wavelength, flux, below=5500.0) > _level(wavelength, flux, below=np.inf)
    place = {"loc": "upper right", "bbox_to_anchor": (1.0, 0.96)} if blue_is_brighter else {"loc": "upper left"}
    axes.legend(frameon=False, fontsize=7.5, **place)


def _write_title(figure: Figure, name: str, meta: Mapping[str, CardValue]) -> None:
    figure.text(0.065, 0.948, name, parse_math=False, fontsize=15, fontweight="bold", va="center")
    parts = [f"{meta.get('ra') or ''}  {meta.get('dec') or ''}".strip(), f"{meta.get('utc') or ''} UT".strip(" UT")]
    figure.text(
        0.985, 0.955, "     ".join(part for part in parts if part), fontsize=9, color=SOFT, ha="right", va="center"
    )
    if older := _older(meta):
        figure.text(0.065, 0.012, older, fontsize=7.5, color=_ALERT, parse_math=False)
    figure.text(
        0.985, 0.012, f"SED Machine, Palomar 60-inch     sedmd {sedmd.__version__}", fontsize=6, color=SOFT, ha="right"
    )


def _shortened(text: str) -> str:
    """Text that fits on one line of the page."""
    return text if len(text) <= LINE_LETTERS else f"{text[: LINE_LETTERS - 3].rstrip()}..."


def _older(meta: Mapping[str, CardValue]) -> str:
    """What the page says when calibrations of an earlier night are used; else empty."""
    parts = []
    for what, stem in (("Calibrations", "cal"), ("Flux calibration", "fluxcal")):
        if meta.get(f"{stem}_fallback"):
            age = meta.get(f"{stem}_age_nights")
            parts.append(f"{what} of {meta.get(f'{stem}_night')}, {age} night{'' if age == 1 else 's'} old")
    return "     ".join(parts)


def _write_figures(axes: Axes, spectrum: Spectrum) -> None:
    for row, (key, value) in enumerate(_figures(spectrum)):
        y = 0.97 - row * 0.089
        axes.text(0.0, y, key, fontsize=7.8, color=SOFT, va="top", transform=axes.transAxes)
        axes.text(0.325, y, value, fontsize=7.8, parse_math=False, va="top", transform=axes.transAxes)


def _figures(spectrum: Spectrum) -> list[tuple[str, str]]:
    """Text beside the spectrum; a figure that is not known is omitted."""
    meta = spectrum.meta

    def number(key: str, form: str) -> str:
        value = meta.get(key)
        return form.format(value) if isinstance(value, int | float) and np.isfinite(value) else ""

    half = meta.get("half_of_pair")
    pair = " (A + B)" if meta.get("is_pair") else f" (only {half} of a pair)" if half else ""
    quality = meta.get("quality")
    seeing = number("seeing_arcsec", "{:.1f}″ FWHM")
    flexure = [number("flexure_x_px", "x {:+.2f}"), number("flexure_y_px", "y {:+.2f}")]
    rows = [
        ("Exposure", number("exptime_s", "{:.0f} s") + pair if meta.get("exptime_s") is not None else ""),
        ("Airmass", number("airmass", "{:.2f}")),
        ("Signal / noise", _signal_to_noise(spectrum)),
        (
            "Aperture",
            "  ".join(filter(None, [number("radius_arcsec", "{:.1f}″ radius"), str(meta.get("method") or "")])),
        ),
        ("Seeing", seeing),
        ("Sky", "subtracted" if meta.get("skysub", True) else "NOT subtracted"),
        (
            "Flux calibration",
            str(meta.get("fluxcal_source") or ("yes" if meta.get("fluxcal") else "NONE: instrumental flux")),
        ),
        ("Flexure", "  ".join(filter(None, flexure)) + " px" if any(flexure) else ""),
        (
            "Widths",
            "  ".join(filter(None, [number("sky_line_fwhm_nm", "{:.1f} nm"), number("trace_fwhm_px", "{:.1f} px")])),
        ),
        ("Quality", f"{quality}  {_QUALITY.get(int(quality), '')}" if isinstance(quality, int) else ""),
        ("Reduced by", str(meta.get("reducer") or "")),
    ]
    return [(key, value) for key, value in rows if value.strip()]


def _signal_to_noise(spectrum: Spectrum) -> str:
    """Median signal to noise of a bin in three ranges [Angstrom]."""
    parts = []
    for low, high in ((4000, 5000), (5000, 7000), (7000, 9000)):
        inside = (spectrum.wavelength >= low) & (spectrum.wavelength < high)
        ratio = spectrum.flux[inside] / spectrum.error[inside]
        ratio = ratio[np.isfinite(ratio)]
        parts.append(f"{np.median(ratio):.0f}" if len(ratio) else "-")
    return " / ".join(parts) + "  (450 / 600 / 800 nm)"


def _level(wavelength: FloatArray, flux: FloatArray, *, below: float) -> float:
    """Median flux up to a wavelength; 0 where there is none."""
    values = flux[(wavelength < below) & np.isfinite(flux)]
    return float(np.median(values)) if len(values) else 0.0


def _power(flux: FloatArray) -> tuple[float, str]:
    """A power of ten that brings the flux near 1, and its name."""
    good = np.abs(flux[np.isfinite(flux)])
    level = float(np.percentile(good, 90)) if len(good) else 1.0
    if level <= 0 or 0.01 <= level < 1e4:
        return 1.0, ""
    exponent = int(np.floor(np.log10(level)))
    return 10.0**exponent, f"$10^{{{exponent}}}$ "


def _range(wavelength: FloatArray, flux: FloatArray) -> tuple[float, float]:
    """Limits of the flux axis: set by what lies between 4000 and 9000 Angstrom, if anything does."""
    good = np.isfinite(flux)
    inner = good & (wavelength > 4000) & (wavelength < 9000)
    values = flux[inner] if inner.any() else flux[good]
    if len(values) == 0:
        return -0.1, 1.0
    low, high = (float(limit) for limit in np.percentile(values, [1, 99.3]))
    high = max(high, 1e-300) if high > 0 else 0.0
    room = max(high - min(low, 0.0), 1e-300)
    return min(low, 0.0) - 0.06 * room, max(high, 0.0) + 0.22 * room


def _sky_scale(sky: FloatArray, room: float) -> float:
    """Factor that brings the sky to about 40 % of the axis: 1, 2 or 5 times a power of ten; 0 if there is no sky."""
    good = sky[np.isfinite(sky)]
    peak = float(np.percentile(good, 97)) if len(good) else 0.0
    if not peak > 0:
        return 0.0
    wanted = 0.4 * room / peak
    decade = 10.0 ** np.floor(np.log10(wanted))
    return float(decade * max(step for step in (1, 2, 5) if step * decade <= wanted * (1 + 1e-9)))


def _pretty_unit(unit: str) -> str:
    return {
        "erg / (s cm2 Angstrom)": r"erg s$^{-1}$ cm$^{-2}$ Å$^{-1}$",
        "electron / (s Angstrom)": r"electron s$^{-1}$ Å$^{-1}$",
    }.get(unit, unit)
