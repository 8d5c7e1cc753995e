"""One extracted spectrum as a FITS table: ``ext_*.fits`` (instrumental) and ``sp_*.fits`` (calibrated)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits

from sedmd.products.fitsio import (
    Cards,
    CardValue,
    ProductFault,
    add_cards,
    card_value,
    carried_header,
    native,
    read_checked,
    write_fits_atomic,
)
from sedmd.products.provenance import Provenance
from sedmd.products.tables import Column, table_hdu
from sedmd.reduce.numeric.containers import FloatArray, Spectrum

#: Keys of `Spectrum.meta`, the card each one becomes, and what it means. Other keys go under ``HIERARCH SEDM``.
META_CARDS: dict[str, tuple[str, str]] = {
    "target": ("TARGET", "name of the target as entered"),
    "ra": ("OBJRA", "right ascension of the target"),
    "dec": ("OBJDEC", "declination of the target"),
    "utc": ("OBSUTC", "start, YYYY-MM-DD HH:MM:SS.s"),
    "mjd": ("MJD_OBS", "[d] start of the (first) exposure"),
    "exptime_s": ("EXPTIME", "[s] on the target, both frames of a pair"),
    "airmass": ("AIRMASS", "mean over the exposures"),
    "parallactic_deg": ("PARANG", "[deg] parallactic angle, N through E"),
    "req_id": ("REQ_ID", "observation request; 0 for none"),
    "program": ("P60PRID", "program of the request"),
    "is_pair": ("ABPAIR", "made from an A/B pair"),
    "half_of_pair": ("PAIRHALF", "the only exposure of an A/B pair"),
    "is_standard": ("STDSTAR", "a standard star, tabulated or not"),
    "standard": ("STDKEY", "its key in the table of spectra"),
    "skysub": ("SKYSUB", "sky was subtracted"),
    "quality": ("QUALITY", "1 good 2 fair 3 poor 4 no object 5 bogus 0 none"),
    "reducer": ("REDUCER", "who placed the aperture"),
    "provisional": ("PROVIS", "an observer has to confirm it"),
    "confidence": ("CONFID", "confidence in the automatic spectrum, 0-1"),
    "method": ("EXTRMETH", "how the spectrum was extracted"),
    "x_arcsec": ("XPOS", "[arcsec] aperture, East of the field centre"),
    "y_arcsec": ("YPOS", "[arcsec] aperture, North of the field centre"),
    "x_b_arcsec": ("XPOSB", "[arcsec] the same in frame B"),
    "y_b_arcsec": ("YPOSB", "[arcsec] the same in frame B"),
    "radius_arcsec": ("APRADIUS", "[arcsec] semi-major axis of the aperture"),
    "axis_ratio": ("APRATIO", "minor / major axis of the aperture"),
    "angle_deg": ("APANGLE", "[deg] major axis, N through E"),
    "n_spaxels": ("NSPAXEL", "spaxels in the aperture, parts counted"),
    "aperture_inside": ("APINSIDE", "part of the aperture on the field"),
    "aperture_inside_b": ("APINSIDB", "the same in frame B"),
    "aperture_share": ("APSHARE", "of a star's light in it, corrected for"),
    "aperture_share_b": ("APSHAREB", "the same in frame B"),
    "seeing_arcsec": ("SEEING", "[arcsec] FWHM of the object in the cube"),
    "sky_line_fwhm_nm": ("SKYFWHM", "[nm] FWHM of the sky lines"),
    "trace_fwhm_px": ("TRFWHM", "[px] FWHM of the traces across dispersion"),
    "flexure_x_px": ("FLEXX", "[px] shift along dispersion, applied"),
    "flexure_y_px": ("FLEXY", "[px] shift across dispersion, applied"),
    "wavelength_rms": ("WAVERMS", "[Angstrom] rms of the lamp lines"),
    "fluxcal": ("FLUXCAL", "flux-calibrated"),
    "fluxcal_source": ("CALSRC", "sensitivity that was used"),
    "cal_night": ("CALNIGHT", "night of bias, traces, wavelength, flat"),
    "cal_age_nights": ("CALAGE", "[nights] from the calibrations to the frame"),
    "cal_fallback": ("CALFALL", "calibrations of an earlier night used"),
    "fluxcal_night": ("FLXNIGHT", "night of the flux calibration"),
    "fluxcal_age_nights": ("FLXAGE", "[nights] from the flux calibration to the frame"),
    "fluxcal_fallback": ("FLXFALL", "flux calibration of an earlier night used"),
    "grey_factor": ("GREYFAC", "flux over that without field stars: clouds"),
    "grey_error": ("GREYERR", "1 sigma of GREYFAC"),
    "frame": ("FRAME", "raw frame"),
    "frame_b": ("FRAMEB", "raw frame of position B"),
}

#: Cards that telescope and camera write under the same names: these come from the raw frame.
FROM_THE_TELESCOPE = frozenset({"ABPAIR", "AIRMASS", "EXPTIME", "MJD_OBS", "OBJDEC", "OBJRA", "P60PRID", "REQ_ID"})
#: Further names that only the pipeline gives.
_OURS = re.compile(r"STEP|NIGHT|SEDMVER|OPTHASH|NINPUT|OBJSEEN|SNRMED|LSFSIGMA|SCATTLEV|(DOUBT|MEND)\d+|SEDM .*")
_MIRRORED = {card: key for key, (card, _) in META_CARDS.items()}
_OTHER = "SEDM "


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A picture of the field that a spectrum was taken from: a value per spaxel, NaN where there is none.

    Attributes
    ----------
    x_arcsec, y_arcsec, values : (n,)
    corners : (6, 2) of one spaxel about its centre, arcsec
    label : what the values are
    """

    x_arcsec: FloatArray
    y_arcsec: FloatArray
    values: FloatArray
    corners: FloatArray
    label: str


def read_field(path: Path) -> Field | None:
    """The picture of the field in a spectrum's file; None if it has none."""
    hdul = read_checked(path)
    try:
        if "FIELD" not in hdul:
            return None
        hdu = hdul["FIELD"]
        corners = [[hdu.header[f"CORNX{i}"], hdu.header[f"CORNY{i}"]] for i in range(6)]
        return Field(
            x_arcsec=native(hdu.data["X"]),
            y_arcsec=native(hdu.data["Y"]),
            values=native(hdu.data["VALUE"]),
            corners=np.array(corners, float),
            label=str(hdu.header["LABEL"]),
        )
    finally:
        hdul.close()


def _field_hdu(field: Field) -> fits.BinTableHDU:
    hdu = table_hdu(
        [
            Column(name="X", array=np.asarray(field.x_arcsec, float), unit="arcsec", comment="East"),
            Column(name="Y", array=np.asarray(field.y_arcsec, float), unit="arcsec", comment="North"),
            Column(name="VALUE", array=np.asarray(field.values, np.float32), comment="mean flux density"),
        ],
        name="FIELD",
    )
    hdu.header["LABEL"] = (field.label, "what the values are")
    for i, (x, y) in enumerate(np.asarray(field.corners, float)):
        hdu.header[f"CORNX{i}"], hdu.header[f"CORNY{i}"] = float(x), float(y)
    return hdu


def write_spectrum(
    path: Path,
    spectrum: Spectrum,
    *,
    header: fits.Header | None = None,
    cards: Cards | None = None,
    provenance: Provenance | None = None,
    field: Field | None = None,
) -> str:
    """Write a spectrum: table SPECTRUM with WAVELENGTH, FLUX, ERROR, SKY and what is known of the errors.

    The figures are in the primary header.

    Where the light of a host was subtracted, the table has HOST as well.

    Parameters
    ----------
    path : Path
    spectrum : Spectrum
    header : Header, optional
        Of the raw frame or the cube; carried over without structural cards. `spectrum.meta` wins where both speak.
    cards : mapping, optional
        Further cards.
    provenance : Provenance, optional

    Returns
    -------
    str
        SHA-256 of the file.
    """
    carried = carried_header(header, world_coordinates=False) if header is not None else fits.Header()
    for card in _MIRRORED:  # what the figures do not say must not come back from the raw frame as if they had
        carried.remove(card, ignore_missing=True)
    add_cards(carried, cards or {})
    add_cards(carried, meta_cards(spectrum))
    primary = fits.PrimaryHDU(header=carried)
    # a cube's header says what its own rows and columns are; there is no image here
    for stale in ("CTYPE1", "CTYPE2", "EXTLBDA", "BUNIT"):
        primary.header.remove(stale, ignore_missing=True)
    table = table_hdu(
        [
            Column(name="WAVELENGTH", array=np.asarray(spectrum.wavelength, float), unit="Angstrom", comment="in air"),
            Column(name="FLUX", array=np.asarray(spectrum.flux, float), unit=spectrum.unit, comment="flux density"),
            Column(name="ERROR", array=np.asarray(spectrum.error, float), unit=spectrum.unit, comment="1 sigma"),
            Column(
                name="SKY",
                array=np.asarray(spectrum.sky, float),
                unit=f"{spectrum.unit} / arcsec2",
                comment="level of the sky",
            ),
            *_error_columns(spectrum),
            *(
                []
                if spectrum.host is None
                else [
                    Column(
                        name="HOST",
                        array=np.asarray(spectrum.host, float),
                        unit=spectrum.unit,
                        comment="host light that was subtracted",
                    )
                ]
            ),
        ],
        name="SPECTRUM",
    )
    hdus = [primary, table]
    if field is not None:
        hdus.append(_field_hdu(field))
    if provenance is not None:
        primary.header.update(provenance.header)
        hdus.append(provenance.table)
    return write_fits_atomic(fits.HDUList(hdus), path)


def _error_columns(spectrum: Spectrum) -> list[Column]:
    """What there is of CALERR, and CORR1, CORR2, ... for as many neighbours as noise is shared with."""
    columns = []
    if spectrum.calibration_error is not None:
        calibration = np.asarray(spectrum.calibration_error, float)
        columns.append(
            Column(name="CALERR", array=calibration, unit=spectrum.unit, comment="part of ERROR: flux calibration")
        )
    if spectrum.correlation is not None:
        columns += [
            Column(name=f"CORR{lag}", array=np.asarray(one, float), comment=f"correlation of the noise, {lag} bins on")
            for lag, one in enumerate(spectrum.correlation.T, start=1)
        ]
    return columns


def is_ours(keyword: str) -> bool:
    """Whether a card is one that only the pipeline writes: in a raw frame it has no meaning."""
    return (keyword in _MIRRORED and keyword not in FROM_THE_TELESCOPE) or bool(_OURS.fullmatch(keyword))


def read_spectrum(path: Path) -> tuple[Spectrum, fits.Header]:
    """Read a spectrum written by `write_spectrum`, and its primary header.

    Raises
    ------
    ProductFault
        Damaged file, or not a spectrum.
    """
    hdul = read_checked(path)
    header = hdul[0].header
    try:
        table = hdul["SPECTRUM"]
        columns = {name: native(table.data[name]) for name in ("WAVELENGTH", "FLUX", "ERROR", "SKY")}
        unit = str(table.columns["FLUX"].unit)
        names = list(table.columns.names)
        shared = [native(table.data[name]) for name in names if re.fullmatch(r"CORR\d+", name)]
        calibration = native(table.data["CALERR"]) if "CALERR" in names else None
        host = native(table.data["HOST"]) if "HOST" in table.columns.names else None
    except (KeyError, TypeError, AttributeError) as error:
        raise ProductFault(f"{path.name}: not a spectrum with wavelength, flux, error and sky ({error})") from error
    meta: dict[str, CardValue] = {}
    for keyword in header:
        if keyword in _MIRRORED:
            meta[_MIRRORED[keyword]] = card_value(header, keyword)
        elif keyword.startswith(_OTHER):
            meta[keyword.removeprefix(_OTHER).lower()] = card_value(header, keyword)
    spectrum = Spectrum(
        wavelength=columns["WAVELENGTH"],
        flux=columns["FLUX"],
        error=columns["ERROR"],
        sky=columns["SKY"],
        unit=unit,
        meta=meta,
        correlation=np.column_stack(shared) if shared else None,
        calibration_error=calibration,
        host=host,
    )
    return spectrum, header


def meta_cards(spectrum: Spectrum) -> Cards:
    """Header cards of a spectrum's figures."""
    cards: dict[str, CardValue | tuple[CardValue, str]] = {}
    for key, value in spectrum.meta.items():
        if key in META_CARDS:
            card, comment = META_CARDS[key]
            cards[card] = (value, comment)
        else:  # short names too go under HIERARCH SEDM, so that they come back as what they were
            cards[f"HIERARCH {_OTHER}{key}" if len(key) <= 8 else key] = value
    return cards
