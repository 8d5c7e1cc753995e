"""Score the calibrated spectra: flux, error bars, positions, and the outcome of every target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sedmd.core.quality import NO_OBJECT, PROVISIONAL
from sedmd.products.solution import read_traces
from sedmd.products.spectrum import read_spectrum
from sedmd.raw.rawname import stem_of
from sedmd.reduce.numeric.containers import Spectrum
from sedmd.simulate.score_calibration import dome_flexure, match_traces
from sedmd.simulate.score_exposures import SKY_KINDS
from sedmd.simulate.score_rows import ScoreRow, at_most, between, lacking, shown
from sedmd.simulate.score_shape import Whole, score_shape
from sedmd.simulate.score_truth import CLEAN_TRANSMISSION, NightTruth, TrueSource

#: Ends and width of the broad bins in which flux is compared [Angstrom].
BIN_LOW, BIN_HIGH, BIN_WIDTH = 4000.0, 9000.0, 200.0
#: Largest relative error of the flux in a broad bin, and of A/B against single.
MAX_FLUX, MAX_PAIR = 3.0, 2.0
#: The same of a target on a host galaxy, whose light has to be told from its own.
MAX_FLUX_ON_HOST = 10.0
#: Spectra with less noise than this in a typical broad bin [%] are bright: held to the limits without allowance.
BRIGHT = 1.0
#: A lone object brighter than this [AB mag at 6500 A] must be extracted; a fainter one may be left to the observer.
CLEAR_MAGNITUDE = 18.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A spectrum beside its truth.

    Attributes
    ----------
    product : str, name of the product without ``sp_``
    frames : stems of the raw frames
    pair, standard : bool
    on_host : bool, a galaxy stands in the field
    exptime : float, seconds per frame
    wavelength, flux, error, truth : (n,) ndarray, calibrated, outside telluric bands within the scored range
    clean : (n,) ndarray of bool, outside the weak telluric bands too
    source : TrueSource
    positions : (k, 4) ndarray, a row per frame: measured x, y and true x, y [arcsec]
    whole : Whole, the spectrum at all wavelengths
    """

    product: str
    frames: tuple[str, ...]
    pair: bool
    standard: bool
    on_host: bool
    exptime: float
    wavelength: NDArray[np.float64]
    flux: NDArray[np.float64]
    error: NDArray[np.float64]
    truth: NDArray[np.float64]
    clean: NDArray[np.bool_]
    source: TrueSource
    positions: NDArray[np.float64]
    whole: Whole

    @property
    def where(self) -> str:
        """Label of a row."""
        return f"{self.product} {self.exptime:.0f} s"


def score_spectra(truth: NightTruth, folder: Path) -> list[ScoreRow]:
    """Rows on all ``sp_*.fits`` of a night and on the targets without one."""
    compared = compare_spectra(truth, folder)
    known = bool(compared) and (folder / "traces.fits").exists()
    onto_product = sky_map(truth, folder) if known else np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    rows: list[ScoreRow] = []
    for one in compared:
        rows += [
            *_pull_rows(one),
            *_flux_rows(one),
            *score_shape(one.whole, truth, one.frames, one.where),
            *_position_rows(one, onto_product),
        ]
    return [*rows, *_pair_rows(compared), *_fate_rows(truth, compared, extracted_frames(folder))]


def compare_spectra(truth: NightTruth, folder: Path) -> list[Compared]:
    """Every flux-calibrated spectrum of a source whose truth is known."""
    found = []
    for path in sorted(folder.glob("sp_*.fits")):
        spectrum, _ = read_spectrum(path)
        meta = spectrum.meta
        stems = _frames_of(meta)
        if meta.get(PROVISIONAL) or _empty(meta):  # it waits for an observer, or is a limit
            continue
        if not stems or not all(truth.knows(stem) for stem in stems) or not meta.get("fluxcal"):
            continue
        targets = [[s for s in truth.sources(stem) if s.role == "target"] for stem in stems]
        if not all(targets):
            continue
        sources = [s[0] for s in targets]
        keys = (("x_arcsec", "y_arcsec"), ("x_b_arcsec", "y_b_arcsec"))
        positions = [
            [_number(meta.get(x)), _number(meta.get(y)), s.x_arcsec, s.y_arcsec] for (x, y), s in zip(keys, sources)
        ]
        breathing = float(np.mean([truth.frame(stem)["breathing"] for stem in stems]))
        expected = truth.expected(sources[0], spectrum.wavelength, breathing=breathing)
        wave = np.asarray(spectrum.wavelength, float)
        use = (wave >= BIN_LOW) & (wave <= BIN_HIGH) & truth.outside_bands(wave)
        found.append(
            Compared(
                product=path.stem.removeprefix("sp_"),
                frames=tuple(stems),
                pair=len(stems) == 2,
                standard=bool(meta.get("is_standard")),
                on_host=any(s.role == "host" for s in truth.sources(stems[0])),
                exptime=float(truth.frame(stems[0])["exptime"]),
                wavelength=wave[use],
                flux=np.asarray(spectrum.flux, float)[use],
                error=np.asarray(spectrum.error, float)[use],
                truth=expected[use],
                clean=truth.outside_bands(wave[use], CLEAN_TRANSMISSION),
                source=sources[0],
                positions=np.array(positions),
                whole=_whole(spectrum, expected),
            )
        )
    return found


def _whole(spectrum: Spectrum, truth: NDArray[np.float64]) -> Whole:
    error = np.asarray(spectrum.error, float)
    calibration, correlation = spectrum.calibration_error, spectrum.correlation
    noise = error if calibration is None else np.sqrt(np.maximum(error**2 - np.asarray(calibration, float) ** 2, 0.0))
    together = np.ones(error.size)
    if correlation is not None:
        together += 2.0 * np.nan_to_num(np.asarray(correlation, float)).sum(axis=1)
    return Whole(
        wavelength=np.asarray(spectrum.wavelength, float),
        flux=np.asarray(spectrum.flux, float),
        noise=noise,
        truth=truth,
        together=together,
    )


def extracted_frames(folder: Path) -> set[str]:
    """Stems of the raw frames from which any spectrum of an object was made that is not provisional."""
    metas = [read_spectrum(path)[0].meta for path in folder.glob("sp_*.fits")]
    return {stem for meta in metas if not meta.get(PROVISIONAL) and not _empty(meta) for stem in _frames_of(meta)}


def _empty(meta: Mapping[str, object]) -> bool:
    """The pipeline says that no object is visible where the target should be."""
    return meta.get("quality") == NO_OBJECT


def sky_map(truth: NightTruth, folder: Path) -> NDArray[np.float64]:
    """Affine map from true to the product's sky positions, fitted to the spaxels.

    Returns
    -------
    (3, 2) ndarray
        Product (x, y) [arcsec] = (1, true x, true y) @ map. The frames do not say where the axis of the telescope meets
        the array; how far the map turns and stretches is scored with the spaxels, so it must not count twice.
    """
    found = read_traces(folder / "traces.fits")
    matches = match_traces(truth, found, dome_flexure(truth, folder))
    true = np.column_stack([truth.column("x_arcsec"), truth.column("y_arcsec")])[matches.true]
    seen = np.column_stack([found.spaxels.x_arcsec, found.spaxels.y_arcsec])[matches.found]
    fitted, *_ = np.linalg.lstsq(np.column_stack([np.ones(len(true)), true]), seen, rcond=None)
    return np.asarray(fitted)


def broad_bins(one: Compared) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Mid-wavelength [A], flux relative to truth and its 1-sigma noise in bins of `BIN_WIDTH`.

    Bins of which the telluric bands leave less than half are not there.
    """
    edges = np.arange(BIN_LOW, BIN_HIGH + 1.0, BIN_WIDTH)
    width = np.gradient(one.wavelength)
    width = np.minimum(width, 2.0 * np.median(width))  # beside a band the next wavelength is far away
    middle, ratio, noise = [], [], []
    for low, high in pairwise(edges):
        own = (one.wavelength >= low) & (one.wavelength < high) & np.isfinite(one.flux) & np.isfinite(one.error)
        if width[own].sum() < 0.5 * BIN_WIDTH:
            continue
        total = float((one.truth[own] * width[own]).sum())
        middle.append(0.5 * (low + high))
        ratio.append(float((one.flux[own] * width[own]).sum()) / total)
        noise.append(float(np.sqrt(((one.error[own] * width[own]) ** 2).sum())) / total)
    return np.array(middle), np.array(ratio), np.array(noise)


def pulls(one: Compared, *, smooth: bool) -> NDArray[np.float64]:
    """(flux - truth) / error per sample; `smooth` first scales the truth by the best cubic in wavelength.

    The cubic takes up what the flux calibration got wrong, which the error bars of the extraction do not claim to hold.
    """
    good = np.isfinite(one.flux) & np.isfinite(one.error) & (one.error > 0) & one.clean
    flux, error, truth = one.flux[good], one.error[good], one.truth[good]
    if smooth and good.sum() > 8:
        u = (one.wavelength[good] - 6500.0) / 2500.0
        design = truth[:, None] * u[:, None] ** np.arange(4) / error[:, None]
        scale, *_ = np.linalg.lstsq(design, flux / error, rcond=None)
        truth = truth * (u[:, None] ** np.arange(4) @ scale)
    return np.asarray((flux - truth) / error)


def is_bright(one: Compared) -> bool:
    """Whether the noise leaves the flux of a broad bin known to `BRIGHT` per cent."""
    _, _, noise = broad_bins(one)
    return bool(noise.size and 100.0 * np.median(noise) < BRIGHT)


def _pull_rows(one: Compared) -> list[ScoreRow]:
    without = pulls(one, smooth=True)
    if without.size < 20:
        return [lacking("spectrum pulls, std", one.where, "no samples with errors")]
    spread = float(np.sqrt((without**2).sum() / (without.size - 4)))
    return [
        between("spectrum pulls, std", one.where, spread, 0.9, 1.1),
        shown("spectrum pulls with flux calibration, std", one.where, float(np.std(pulls(one, smooth=False)))),
    ]


def _flux_rows(one: Compared) -> list[ScoreRow]:
    _, ratio, noise = broad_bins(one)
    if ratio.size == 0:
        return [lacking("flux in 20 nm bins, largest error", one.where, "no bins")]
    error = 100.0 * np.abs(ratio - 1.0)
    shown_rms = shown("flux in 20 nm bins, rms", one.where, float(np.sqrt(np.mean(error**2))), "%")
    if one.on_host and is_bright(one):
        on_host = at_most("flux on a host, largest error", one.where, float(error.max()), MAX_FLUX_ON_HOST, "%")
        return [on_host, shown_rms]
    if is_bright(one):
        return [at_most("flux in 20 nm bins, largest error", one.where, float(error.max()), MAX_FLUX, "%"), shown_rms]
    beyond = np.clip(error - 300.0 * noise, 0.0, None)
    return [
        at_most("faint: flux error beyond 3 sigma", one.where, float(beyond.max()), MAX_FLUX, "%"),
        shown_rms,
        shown("faint: noise in 20 nm bins", one.where, float(100.0 * np.median(noise)), "%"),
    ]


def _position_rows(one: Compared, onto_product: NDArray[np.float64]) -> list[ScoreRow]:
    rows = []
    for frame, (x, y, true_x, true_y) in zip(one.frames, one.positions):
        off = float(np.hypot(*(np.array([x, y]) - np.array([1.0, true_x, true_y]) @ onto_product)))
        rows.append(at_most("automatic position, error", f"{one.product} {frame}", off, 0.3, "arcsec"))
    return rows


def _pair_rows(compared: list[Compared]) -> list[ScoreRow]:
    """A/B against the bright singles of the same night, each relative to its own truth."""
    singles = [one for one in compared if not one.pair and not one.standard and not one.on_host and is_bright(one)]
    rows = []
    for pair in (one for one in compared if one.pair and is_bright(one)):
        for single in singles:
            wave, ratio, _ = broad_bins(pair)
            other_wave, other, _ = broad_bins(single)
            common, i, j = np.intersect1d(wave, other_wave, return_indices=True)
            if common.size:
                off = 100.0 * float(np.max(np.abs(ratio[i] / other[j] - 1.0)))
                rows.append(at_most("A/B against single", f"{pair.product} : {single.where}", off, MAX_PAIR, "%"))
    return rows


def _fate_rows(truth: NightTruth, compared: list[Compared], extracted: set[str]) -> list[ScoreRow]:
    """Outcome of every exposure of a target, against what stood in the field."""
    by_frame = {stem: one for one in compared for stem in one.frames}
    rows = []
    for frame in truth.frames:
        if str(frame["kind"]) not in SKY_KINDS or str(frame["ignore"]):
            continue
        stem = str(frame["file"]).removesuffix(".fits")
        sources = truth.sources(stem)
        one = by_frame.get(stem)
        expected, why = _expected_fate(truth, sources)
        outcome = "spectrum" if stem in extracted else "awaiting observer"
        good = outcome in expected or (one is not None and "right spectrum" in expected and _flux_rows(one)[0].passed)
        rows.append(
            ScoreRow(
                what="fate",
                where=f"{stem} {frame['name']} ({why})",
                value=outcome,
                target=" or ".join(expected),
                unit="",
                passed=good,
            )
        )
    return rows


def _expected_fate(truth: NightTruth, sources: list[TrueSource]) -> tuple[tuple[str, ...], str]:
    targets = [s for s in sources if s.role == "target"]
    if not targets:
        return ("awaiting observer",), "empty field"
    border = truth.border(targets[0])
    if border == "cut":
        return ("awaiting observer",), "cut by the border"
    either = ("awaiting observer", "right spectrum")
    if border == "near":
        return either, "near the border"
    if any(s.role == "host" for s in sources):
        return either, "on a host"
    if len(sources) > 1:
        return either, "with a neighbour"
    if targets[0].magnitude > CLEAR_MAGNITUDE:
        return either, f"faint, {targets[0].magnitude:.1f} mag"
    return ("spectrum",), f"alone, {targets[0].magnitude:.1f} mag"


def _frames_of(meta: Mapping[str, object]) -> list[str]:
    return [stem_of(str(meta[key])) for key in ("frame", "frame_b") if meta.get(key)]


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else float("nan")
