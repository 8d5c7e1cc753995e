"""The web page of a night and the index of nights: a static site, written so that a reader never meets half of it."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial import ConvexHull

import sedmd
from sedmd.after.classify.classification import CLASSIFIED
from sedmd.after.report.night_state import JSON, TEXT, Tonight, put
from sedmd.after.report.nightreport import SpectrumLine
from sedmd.after.report.reporttext import report_json, report_text
from sedmd.after.report.trend import trend
from sedmd.after.spectra import FinalSpectrum
from sedmd.after.web import pagecharts
from sedmd.after.web.finders import finder_of
from sedmd.after.web.nightpage import Target, index_page, night_page
from sedmd.after.web.pictures import field_png
from sedmd.after.web.webfolder import WebFolder, about, digest
from sedmd.core.config import Settings
from sedmd.core.errors import ConfigError
from sedmd.core.target_names import safe_name
from sedmd.host.foreign_file import plain, product_bytes, sentence
from sedmd.host.foreign_picture import jpeg_apart, picture_bytes
from sedmd.observation.finder_image import finder_image
from sedmd.observation.finder_picture import finder_png
from sedmd.products.cube import read_cube
from sedmd.products.fitsio import ProductFault
from sedmd.products.plots.maps import ApertureMark, MapImage, MapPanel, map_of_cube, map_of_values, plot_maps
from sedmd.products.sensitivity import read_sensitivity
from sedmd.products.solution import read_flat, read_traces, read_wavelength
from sedmd.products.spectrum import read_field, read_spectrum
from sedmd.raw.rawname import stem_of
from sedmd.reduce.numeric.containers import Spectrum
from sedmd.reduce.target.host_images import HostImage

#: So many nights the efficiency trend of a page shows.
TREND_NIGHTS = 30
STYLE = "style.css"
#: Pictures made by another version are made again.
_MAKER = f"sedmd {sedmd.__version__}, pictures 1"
_DAMAGED = (OSError, ProductFault, KeyError, ValueError)


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteChanges:
    """What `publish` did: files written and removed (below the root), how many were as they should be, errors."""

    written: tuple[str, ...]
    removed: tuple[str, ...]
    unchanged: int
    errors: tuple[str, ...]


def site_root(settings: Settings, out: Path | None) -> Path:
    """The folder of the site.

    Raises
    ------
    ConfigError
        None is given, or it is one that belongs to something else.
    """
    root = out or settings.web.root
    if root is None:
        msg = "no folder for the web page; give --out DIR, or set [web] root in the configuration"
        raise ConfigError(msg)
    root = root.absolute()
    raw, redux = settings.paths.raw_root, settings.paths.redux_root
    if root in (raw, redux) or raw in root.parents or redux.absolute() == root:
        msg = f"the web page cannot be in {root}: raw data and products stay apart from it. Choose another folder"
        raise ConfigError(msg)
    return root


def publish(tonight: Tonight, root: Path, settings: Settings, *, dry_run: bool = False) -> SiteChanges:
    """Make or renew the page of a night, then the index.

    Parameters
    ----------
    tonight : Tonight
    root : Path
        Folder of the site; the night goes to ``root/YYYYMMDD``.
    dry_run : bool
        Tell what would change.
    """
    night = tonight.report.night
    folder = WebFolder(root / night, dry_run=dry_run)
    errors: list[str] = []
    redux = settings.paths.redux_root / night
    finders = _finders(settings, night, errors)
    lines = {line.product: line for line in tonight.report.lines}
    by_start = sorted(tonight.spectra, key=lambda one: (lines[one.product].utc, one.product))
    cutouts = settings.extraction.cutouts
    targets = [_target(one, lines[one.product], folder, finders, errors, cutouts) for one in by_start]
    charts = _charts(tonight, redux, settings, errors)
    maps = _maps(redux, folder, errors)
    for name, text in ((TEXT, report_text(tonight.report)), (JSON, report_json(tonight.report))):
        content = text.encode()
        folder.add(name, digest(content), partial(bytes, content))
    style = resources.files("sedmd.after").joinpath("templates", STYLE).read_bytes()
    top = [STYLE] if not _same(root / STYLE, style) else []
    if top and not dry_run:
        put(root / STYLE, style)
    page = night_page(
        tonight.report,
        tonight.state,
        targets,
        charts=charts,
        maps=maps,
        title=settings.web.title,
        errors=errors,
    )
    folder.finish(page, _summary(tonight))
    # the index comes last: it never names a page that is not there
    index = index_page(_nights(root), title=settings.web.title).encode()
    if not _same(root / "index.html", index):
        top.append("index.html")
        if not dry_run:
            put(root / "index.html", index)
    return SiteChanges(
        written=(*(f"{night}/{name}" for name in folder.written), *top),
        removed=tuple(f"{night}/{name}" for name in folder.removed),
        unchanged=folder.unchanged + 2 - len(top),
        errors=tuple(errors),
    )


def _summary(tonight: Tonight) -> dict[str, Any]:
    report = tonight.report
    return {
        "night": report.night,
        "closed": report.closed,
        "as_of": report.as_of,
        "spectra": len(report.lines),
        "usable": sum(line.quality in (1, 2) for line in report.lines),
        "failed": len(report.failed),
        "observer": len(report.observer),
        "seeing": report.seeing_arcsec[1] if report.seeing_arcsec else None,
        "efficiency": report.efficiency.get("650"),
    }


def _nights(root: Path) -> list[dict[str, Any]]:
    """Summaries of the nights that have a page, newest first."""
    if not root.is_dir():
        return []
    folders = [path for path in root.iterdir() if path.name.isdigit() and (path / "index.html").is_file()]
    return [{**given, "night": path.name} for path in sorted(folders, reverse=True) if (given := about(path))]


def _target(
    one: FinalSpectrum,
    line: SpectrumLine,
    folder: WebFolder,
    finders: Sequence[Path],
    errors: list[str],
    cutouts: Path | None = None,
) -> Target:
    """Copy a target's products, draw its pictures; a missing or damaged file costs itself only."""
    links, chart, field, finder = [], "", "", ""
    content = b""
    for label, path in (("FITS", one.fits), ("text", one.ascii), ("page", one.page), *_comparisons(one, line)):
        try:
            copied = product_bytes(path)
        except OSError as error:
            if label != "page" or not isinstance(error, FileNotFoundError):  # it is drawn some time after the spectrum
                errors.append(f"{path.name} is not on the page: {error.strerror or error}")
            continue
        folder.add(path.name, digest(copied), partial(bytes, copied))
        links.append((label, path.name))
        content = copied if path == one.fits else content
    try:
        spectrum, _ = read_spectrum(one.fits)
        chart = pagecharts.spectrum_chart(spectrum, title=f"spectrum of {one.target}")
        name = f"{one.product}_field.png"
        cubes = _cubes(one)
        source = _source(content, *(str(path.stat().st_size) + path.name for path in cubes))
        folder.add(name, source, lambda: _field(one, spectrum, cubes))
        field = name
    except _DAMAGED as error:
        errors.append(f"{one.product}: {error}")
    chart_path = finder_of(finders, (one.target, safe_name(one.target)), _start(line))
    if chart_path is not None:
        try:
            picture = picture_bytes(chart_path)
            name = f"{one.product}_finder.jpg"
            folder.add(name, _source(picture), lambda: jpeg_apart(picture))
            finder = name
        except Exception as error:
            # the boundary: a fault of a stranger's picture costs that picture only
            why = plain(sentence(chart_path, error))
            errors.append(f"finder {chart_path.name} is not on the page: {why}")
    elif (image := _finder_image(one, cutouts, errors)) is not None:
        finder = f"{one.product}_finder.png"
        outline = _outline(one)
        folder.add(finder, _source(image.values.tobytes(), repr(outline)), partial(finder_png, image, outline))
    return Target(line=line, spectrum=chart, field=field, finder=finder, links=tuple(links))


def _finder_image(one: FinalSpectrum, cutouts: Path | None, errors: list[str]) -> HostImage | None:
    """An image of the field from which a finder can be drawn; None without one, or for a standard star."""
    if one.standard:
        return None
    try:
        return finder_image(one.fits.parent, stem_of(str(one.cards.get("FRAME") or "")), one.target, one.cards, cutouts)
    except _DAMAGED as error:
        errors.append(f"{one.product}: no finder from its acquisition frame: {error}")
        return None


def _outline(one: FinalSpectrum) -> list[tuple[float, float]]:
    """Border of the field that the spectrum was taken from, arcsec East and North of the target."""
    try:
        field, spectrum = read_field(one.fits), read_spectrum(one.fits)[0]
    except _DAMAGED:
        return []
    x, y = (spectrum.meta.get(key) for key in ("x_arcsec", "y_arcsec"))
    if field is None or not isinstance(x, float | int) or not isinstance(y, float | int):
        return []
    points = np.column_stack([field.x_arcsec - x, field.y_arcsec - y])
    return [(float(px), float(py)) for px, py in points[ConvexHull(points).vertices]]


def _comparisons(one: FinalSpectrum, line: SpectrumLine) -> list[tuple[str, Path]]:
    """The plot of the best match, if a classifier left one: ``classified/<NAME>_<TYPE>.png``."""
    kind = line.classification.together or line.classification.type if line.classification else ""
    path = one.fits.parent / CLASSIFIED / f"{one.fits.stem.removeprefix('sp_')}_{kind}.png"
    return [("best match", path)] if kind and "/" not in kind and path.is_file() else []


def _cubes(one: FinalSpectrum) -> list[Path]:
    """The cubes behind a spectrum, A before B."""
    frames = [str(one.cards[key]) for key in ("FRAME", "FRAMEB") if one.cards.get(key)]
    folder = one.fits.parent
    return [path for frame in frames for path in sorted(folder.glob(f"e3d_crr_b_{Path(frame).name}_*.fits"))[:1]]


def _field(one: FinalSpectrum, spectrum: Spectrum, cubes: Sequence[Path]) -> bytes:
    """The picture in the spectrum's file; an observer's has none, so that the cubes are asked."""
    marks = _marks(spectrum)
    if (field := read_field(one.fits)) is not None:
        image = MapImage(x_arcsec=field.x_arcsec, y_arcsec=field.y_arcsec, values=field.values, corners=field.corners)
    elif cubes:
        first, *rest = [read_cube(path)[0] for path in cubes]
        image = map_of_cube(first, subtract=rest[0] if rest else None)
    else:
        raise ValueError("no picture of the field: neither in the spectrum's file nor a cube beside it")
    return field_png(image, marks)


def _marks(spectrum: Spectrum) -> list[ApertureMark]:
    meta = spectrum.meta

    def known(key: str, fallback: float) -> float:
        value = meta.get(key)
        return float(value) if isinstance(value, int | float) and np.isfinite(value) else fallback

    marks = []
    for label, x_key, y_key in (("A", "x_arcsec", "y_arcsec"), ("B", "x_b_arcsec", "y_b_arcsec")):
        x, y = known(x_key, np.nan), known(y_key, np.nan)
        if np.isfinite([x, y]).all():
            marks.append(
                ApertureMark(
                    x_arcsec=x,
                    y_arcsec=y,
                    semi_major_arcsec=known("radius_arcsec", 2.0),
                    axis_ratio=known("axis_ratio", 1.0),
                    angle_deg=known("angle_deg", 0.0),
                    label=label if meta.get("is_pair") else "",
                    negative=label == "B",
                )
            )
    return marks


def _charts(tonight: Tonight, redux: Path, settings: Settings, errors: list[str]) -> list[tuple[str, str]]:
    charts = []
    if tonight.figures.exposures:
        charts += [
            ("Flexure", pagecharts.flexure_chart(tonight.figures)),
            ("Background", pagecharts.background_chart(tonight.figures)),
        ]
    path = redux / "std-correction.fits"
    if path.exists():
        try:
            charts.append(("Sensitivity", pagecharts.sensitivity_chart(read_sensitivity(path))))
        except _DAMAGED as error:
            errors.append(str(error))
    nights = trend(settings.paths.redux_root, nights=TREND_NIGHTS, until=redux.name)
    if any(share is not None for one in nights for share in one.efficiency):
        charts.append(("Efficiency, telescope and instrument", pagecharts.efficiency_chart(nights)))
    return charts


def _maps(redux: Path, folder: WebFolder, errors: list[str]) -> list[tuple[str, str]]:
    """Maps over the field of what the calibrations measured for each spaxel."""
    found = []
    drawers: tuple[tuple[str, str, str, Callable[[Path], MapPanel]], ...] = (
        ("wavelength.fits", "map_wavelength_rms.png", "Wavelength rms over the field", _wavelength_panel),
        ("flat.fits", "map_flat.png", "Throughput of the spaxels (flat)", _flat_panel),
    )
    for product, name, title, panel in drawers:
        path = redux / product
        if not path.exists() or not (redux / "traces.fits").exists():
            continue
        try:
            source = _source(product_bytes(path))
            folder.add(name, source, partial(_map_png, panel, path))
            found.append((title, name))
        except _DAMAGED as error:
            errors.append(f"{product}: {error}")
    return found


def _map_png(panel: Callable[[Path], MapPanel], path: Path) -> bytes:
    with tempfile.TemporaryDirectory() as scratch:
        drawn = Path(scratch) / "map.png"
        plot_maps(drawn, [panel(path)])
        return drawn.read_bytes()


def _wavelength_panel(path: Path) -> MapPanel:
    spaxels = read_traces(path.with_name("traces.fits")).spaxels
    rms = read_wavelength(path).rms
    return MapPanel(title="rms of the lamp lines", image=map_of_values(spaxels, rms, label="pixel"), low=0.0)


def _flat_panel(path: Path) -> MapPanel:
    spaxels = read_traces(path.with_name("traces.fits")).spaxels
    flat = read_flat(path).T
    lit = np.isfinite(flat).any(axis=1)  # a dark spaxel has no median, and none is asked for
    grey = np.full(len(flat), np.nan)
    grey[lit] = np.nanmedian(flat[lit], axis=1)
    return MapPanel(title="throughput, field mean 1", image=map_of_values(spaxels, grey))


def _finders(settings: Settings, night: str, errors: list[str]) -> list[Path]:
    if not settings.web.finders:
        return []
    folder = Path(settings.web.finders.replace("{night}", night)).expanduser()
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []  # no finder was made that night
    except OSError as error:
        errors.append(f"finders: {folder} cannot be read ({error.strerror})")
        return []


def _start(line: SpectrumLine) -> datetime | None:
    with suppress(ValueError):
        return datetime.fromisoformat(line.utc.split(".")[0]).replace(tzinfo=UTC)
    return None


def _source(content: bytes, *more: str) -> str:
    made = hashlib.sha256(content)
    for text in (_MAKER, *more):
        made.update(b"\0" + text.encode())
    return made.hexdigest()


def _same(path: Path, content: bytes) -> bool:
    try:
        return product_bytes(path) == content
    except OSError:
        return False
