"""The night's calibrations as FITS tables: traces, wavelength solution, spaxel flat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from sedmd.products.fitsio import Cards, add_cards
from sedmd.products.provenance import Provenance
from sedmd.products.tables import Column, Table, read_table, table_hdu, write_table
from sedmd.reduce.numeric.containers import Spaxels
from sedmd.reduce.numeric.field import FieldModel
from sedmd.reduce.traces.halo import Halo
from sedmd.reduce.traces.profile import Profile
from sedmd.reduce.traces.traces import Traces
from sedmd.reduce.wavelength.accuracy import Accuracy
from sedmd.reduce.wavelength.scale import Scale
from sedmd.reduce.wavelength.wavelength import LineGroup, WavelengthSolution

#: Wavelengths at which the column of each spaxel is tabulated for people and other programs [Angstrom].
SAMPLED_WAVELENGTHS = np.arange(3600.0, 9901.0, 100.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceSet:
    """Contents of ``traces.fits``.

    Attributes
    ----------
    traces : Traces
    spaxels : Spaxels, rows as in `traces`
    complete : (n,) bool
    start : WavelengthSolution, the first one, found together with the traces
    """

    traces: Traces
    spaxels: Spaxels
    complete: NDArray[np.bool_]
    start: WavelengthSolution


def write_traces(path: Path, found: TraceSet, *, cards: Cards, provenance: Provenance | None = None) -> str:
    """Write ``traces.fits``: TABLE (a row per spaxel), PROFILE, WIDTH, BESIDE, HALO, first wavelengths."""
    t = found.traces
    columns = [
        *spaxel_columns(found.spaxels),
        *_trace_columns(t),
        Column(name="COMPLETE", array=found.complete, comment="3800-9200 Angstrom on the chip"),
        *_solution_columns(found.start),
    ]
    profile = table_hdu(
        [
            Column(name="T", array=t.profile.t, comment="distance from the centre / width"),
            Column(name="VALUE", array=t.profile.value, comment="share of the light in a pixel x width"),
        ],
        name="PROFILE",
    )
    width = table_hdu([Column(name="COEFF", array=t.width, unit="pixel", comment="see reduce.traces")], name="WIDTH")
    width.header["ORDER"] = (t.width_order, "degree over the field")
    header = fits.Header()
    add_cards(header, cards)
    beside = [] if t.beside is None else [table_hdu(_trace_columns(t.beside), name="BESIDE")]
    # how well the first wavelengths are known is nobody's question
    start = replace(found.start, accuracy=None)
    extra = [profile, width, *beside, *_halo_hdus(t.halo), *_solution_hdus(start)]
    return write_table(path, columns, header, extra, provenance=provenance)


def _halo_hdus(halo: Halo | None) -> list[fits.BinTableHDU]:
    if halo is None:
        return []
    columns = [
        Column(name="SIGMA", array=halo.scale, unit="pixel", comment="width of a Gaussian"),
        Column(name="SHARE", array=halo.share, comment="share of the spectra's light that it scatters"),
    ]
    hdu = table_hdu(columns, name="HALO")
    hdu.header["EVEN"] = (halo.even, "share that falls evenly over the detector")
    return [hdu]


def _halo(extra: Mapping[str, fits.BinTableHDU]) -> Halo | None:
    if "HALO" not in extra:
        return None
    hdu = extra["HALO"]
    scale, share = (np.asarray(hdu.data[name], float) for name in ("SIGMA", "SHARE"))
    return Halo(scale=scale, share=share, even=float(hdu.header["EVEN"]))


def _trace_columns(traces: Traces) -> list[Column]:
    own = traces.own_width
    return [
        Column(name="CENTRE", array=traces.centre, unit="pixel", comment="column about which the trace is expanded"),
        Column(name="YCOEFF", array=traces.y_coeff, unit="pixel", comment="row: powers of (x - CENTRE)/100"),
        Column(name="XFIRST", array=traces.x_first.astype(np.int32), unit="pixel", comment="first column extracted"),
        Column(name="XLAST", array=traces.x_last.astype(np.int32), unit="pixel", comment="last column extracted"),
        Column(name="RMS", array=traces.rms, unit="pixel", comment="scatter of the ridge about the trace"),
        *([] if own is None else [Column(name="OWNWIDTH", array=own, comment="width of the trace over the field's")]),
    ]


def read_traces(path: Path) -> TraceSet:
    """Read ``traces.fits``."""
    table = read_table(path)
    profile, width = table.extra["PROFILE"].data, table.extra["WIDTH"]
    t = np.asarray(profile["T"], float)
    traces = Traces(
        centre=table["CENTRE"].astype(float),
        y_coeff=table["YCOEFF"].astype(float),
        x_first=table["XFIRST"].astype(np.int64),
        x_last=table["XLAST"].astype(np.int64),
        width=np.asarray(width.data["COEFF"], float),
        width_order=int(width.header["ORDER"]),
        profile=Profile(step=float(t[1] - t[0]), value=np.asarray(profile["VALUE"], float)),
        rms=table["RMS"].astype(float),
        own_width=table["OWNWIDTH"].astype(float) if "OWNWIDTH" in table.columns else None,
        halo=_halo(table.extra),
    )
    if "BESIDE" in table.extra:
        beside = table.extra["BESIDE"].data
        traces = replace(
            traces,
            beside=replace(
                traces,
                centre=np.asarray(beside["CENTRE"], float),
                y_coeff=np.asarray(beside["YCOEFF"], float).reshape(-1, traces.y_coeff.shape[1]),
                x_first=np.asarray(beside["XFIRST"], np.int64),
                x_last=np.asarray(beside["XLAST"], np.int64),
                rms=np.asarray(beside["RMS"], float),
                own_width=np.asarray(beside["OWNWIDTH"], float) if "OWNWIDTH" in beside.names else None,
            ),
        )
    return TraceSet(
        traces=traces, spaxels=_spaxels(table), complete=table["COMPLETE"].astype(bool), start=_solution(table)
    )


def write_wavelength(
    path: Path, solution: WavelengthSolution, spaxels: Spaxels, *, cards: Cards, provenance: Provenance | None = None
) -> str:
    """Write ``wavelength.fits``: TABLE (a row per spaxel), SCALE, LINEWIDTH, GROUPS, ACCURACY, sampled WAVELENGTH."""
    columns = [
        *spaxel_columns(spaxels),
        *_solution_columns(solution),
        Column(
            name="XSAMPLE",
            array=solution.column(SAMPLED_WAVELENGTHS),
            unit="pixel",
            comment="column of each wavelength of extension WAVELENGTH",
        ),
        Column(name="FLAG", array=(~(solution.n_lines >= 6)).astype(np.int16), comment="1: fewer than 6 line groups"),
    ]
    sampled = table_hdu(
        [Column(name="WAVELENGTH", array=SAMPLED_WAVELENGTHS, unit="Angstrom", comment="in air")], name="WAVELENGTH"
    )
    header = fits.Header()
    add_cards(header, cards)
    return write_table(path, columns, header, [*_solution_hdus(solution), sampled], provenance=provenance)


def read_wavelength(path: Path) -> WavelengthSolution:
    """Read ``wavelength.fits``."""
    return _solution(read_table(path))


def write_flat(
    path: Path,
    wavelength: NDArray[Any],
    flat: NDArray[Any],
    spaxels: Spaxels,
    *,
    bad_pixels: NDArray[np.bool_] | None = None,
    sky: tuple[NDArray[np.floating], NDArray[np.floating]] | None = None,
    cards: Cards,
    provenance: Provenance | None = None,
) -> str:
    """Write ``flat.fits``: TABLE with FLAT (n_wave per spaxel), WAVELENGTH, and BADPIXEL where there is a map.

    `sky` is what the dome's flat was multiplied by to become `flat`, and the error of that, both (n_spaxel,).
    """
    columns = [
        *spaxel_columns(spaxels),
        Column(name="FLAT", array=np.ascontiguousarray(flat.T, np.float32), comment="throughput, field mean 1"),
    ]
    if sky is not None:
        columns += [
            Column(name="SKYFACT", array=sky[0], comment="in FLAT: the sky's light against the dome's"),
            Column(name="SKYERR", array=sky[1], comment="1-sigma error of SKYFACT"),
        ]
    waves = table_hdu(
        [Column(name="WAVELENGTH", array=wavelength, unit="Angstrom", comment="in air")], name="WAVELENGTH"
    )
    header = fits.Header()
    add_cards(header, cards)
    extra = [waves] if bad_pixels is None else [waves, _bad_pixel_hdu(bad_pixels)]
    return write_table(path, columns, header, extra, provenance=provenance)


def _bad_pixel_hdu(bad: NDArray[np.bool_]) -> fits.BinTableHDU:
    y, x = np.nonzero(bad)
    return table_hdu(
        [
            Column(name="X", array=x.astype(np.int32), unit="pixel", comment="column, counted from 0"),
            Column(name="Y", array=y.astype(np.int32), unit="pixel", comment="row, counted from 0"),
        ],
        name="BADPIXEL",
    )


def read_bad_pixels(path: Path, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Pixels that do not follow the light of the dome: (n_y, n_x); none by a flat of before there was a map.

    Those outside of `shape` are of another camera and neglected.
    """
    found = np.zeros(shape, bool)
    extra = read_table(path).extra
    if "BADPIXEL" in extra:
        y, x = (np.asarray(extra["BADPIXEL"].data[name], np.int64) for name in ("Y", "X"))
        inside = (y >= 0) & (y < shape[0]) & (x >= 0) & (x < shape[1])
        found[y[inside], x[inside]] = True
    return found


def read_flat(path: Path) -> NDArray[np.float32]:
    """Read the flat: (n_wave, n_spaxel)."""
    return np.ascontiguousarray(read_table(path)["FLAT"].T, np.float32)


def read_sky_factor(path: Path) -> NDArray[np.floating]:
    """What the dome's flat was multiplied by in ``flat.fits``, (n_spaxel,); 1 where it was not corrected."""
    table = read_table(path)
    if "SKYFACT" not in table.columns:
        return np.ones(len(table["ID"]))
    return table["SKYFACT"].astype(float)


def read_field_centre(traces: Path) -> tuple[float, float]:
    """The pixel that looks at x = y = 0, by ``traces.fits``."""
    header = read_table(traces).header
    return float(header["FIELDX"]), float(header["FIELDY"])


def spaxel_columns(spaxels: Spaxels) -> list[Column]:
    """Number, lattice and place of each spaxel."""
    return [
        Column(name="ID", array=spaxels.ident.astype(np.int32), comment="number of the spaxel"),
        Column(name="Q", array=spaxels.q.astype(np.int32), comment="axial hexagonal coordinate"),
        Column(name="R", array=spaxels.r.astype(np.int32), comment="axial hexagonal coordinate"),
        Column(name="X", array=spaxels.x_arcsec, unit="arcsec", comment="East of the field centre"),
        Column(name="Y", array=spaxels.y_arcsec, unit="arcsec", comment="North of the field centre"),
    ]


def _spaxels(table: Table) -> Spaxels:
    return Spaxels(ident=table["ID"], q=table["Q"], r=table["R"], x_arcsec=table["X"], y_arcsec=table["Y"])


def _solution_columns(solution: WavelengthSolution) -> list[Column]:
    return [
        Column(name="XCOEFF", array=solution.coeff, unit="pixel", comment="column: powers of XI of extension SCALE"),
        Column(name="WAVERMS", array=solution.rms, unit="pixel", comment="rms of the lamp lines"),
        Column(name="NLINES", array=solution.n_lines.astype(np.int32), comment="groups of lamp lines used"),
    ]


def _solution_hdus(solution: WavelengthSolution) -> list[fits.BinTableHDU]:
    scale = table_hdu(
        [
            Column(name="WAVELENGTH", array=solution.scale.wavelength, unit="Angstrom", comment="in air"),
            Column(name="XI", array=solution.scale.xi, comment="prism coordinate"),
        ],
        name="SCALE",
    )
    width = table_hdu(
        [Column(name="COEFF", array=solution.line_sigma.coefficients, unit="pixel", comment="see reduce.field")],
        name="LINEWIDTH",
    )
    width.header["ORDER"] = (solution.line_sigma.order, "degree over the field")
    width.header["SLOPE"] = (solution.line_sigma_slope, "relative change per unit XI")
    lamp, wave, offset, scatter, left_out, left_out_error = zip(*solution.groups, strict=True)
    groups = table_hdu(
        [
            Column(name="LAMP", array=np.array(lamp), comment="lamp"),
            Column(name="WAVELENGTH", array=np.array(wave), unit="Angstrom", comment="mean of the group, air"),
            Column(name="OFFSET", array=np.array(offset), unit="pixel", comment="median residual"),
            Column(name="SCATTER", array=np.array(scatter), unit="pixel", comment="robust rms over the spaxels"),
            Column(name="LEFTOUT", array=np.array(left_out), unit="pixel", comment="off from where the others put it"),
            Column(name="LEFTERR", array=np.array(left_out_error), unit="pixel", comment="how far that may be"),
        ],
        name="GROUPS",
    )
    return [scale, width, groups, *_accuracy_hdus(solution.accuracy)]


def _accuracy_hdus(accuracy: Accuracy | None) -> list[fits.BinTableHDU]:
    if accuracy is None:
        return []
    columns = [
        Column(name="WAVELENGTH", array=accuracy.wavelength, unit="Angstrom", comment="in air"),
        Column(name="ERROR", array=accuracy.error, unit="pixel", comment="1 sigma, by lines and freedom of the curve"),
        Column(name="OTHERLAW", array=accuracy.other_law, unit="pixel", comment="less what another law says"),
    ]
    return [table_hdu(columns, name="ACCURACY")]


def _accuracy(extra: Mapping[str, fits.BinTableHDU]) -> Accuracy | None:
    if "ACCURACY" not in extra:  # solutions of before it was known still serve
        return None
    data = extra["ACCURACY"].data
    wavelength, error, other_law = (np.asarray(data[name], float) for name in ("WAVELENGTH", "ERROR", "OTHERLAW"))
    return Accuracy(wavelength=wavelength, error=error, other_law=other_law)


def _line_group(row: fits.FITS_record, names: Sequence[str]) -> LineGroup:
    values = [float(row[name]) for name in ("WAVELENGTH", "OFFSET", "SCATTER")]
    # solutions of before these columns existed still serve
    left_out = [float(row[name]) for name in ("LEFTOUT", "LEFTERR") if name in names]
    return LineGroup(str(row["LAMP"]), *values, *left_out)


def _solution(table: Table) -> WavelengthSolution:
    scale, width, groups = (table.extra[name] for name in ("SCALE", "LINEWIDTH", "GROUPS"))
    sigma = FieldModel(
        order=int(width.header["ORDER"]), coefficients=np.asarray(width.data["COEFF"], float), scatter=np.asarray(0.0)
    )
    return WavelengthSolution(
        scale=Scale(wavelength=np.asarray(scale.data["WAVELENGTH"], float), xi=np.asarray(scale.data["XI"], float)),
        coeff=table["XCOEFF"].astype(float),
        rms=table["WAVERMS"].astype(float),
        n_lines=table["NLINES"].astype(np.int64),
        line_sigma=sigma,
        line_sigma_slope=float(width.header["SLOPE"]),
        groups=tuple(_line_group(row, groups.columns.names) for row in groups.data),
        accuracy=_accuracy(table.extra),
    )
