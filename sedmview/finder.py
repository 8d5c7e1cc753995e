"""The finder chart of a target: ``finder_*ACQ-<NAME>_*.png``, the one taken nearest in time."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull

from sedmd.core.errors import SedmError
from sedmd.host.foreign_file import read_table
from sedmd.observation.exposure import frame_of
from sedmd.observation.finder_image import finder_image
from sedmd.observation.finder_picture import on_white
from sedmd.products.fitsio import card_value, primary_header
from sedmd.products.sky import sky_position, target_position
from sedmd.reduce.numeric.containers import FloatArray, Spaxels
from sedmd.reduce.numeric.hexagon import cell_vertices

log = logging.getLogger(__name__)

#: From the target to the edge of a chart that is drawn here [arcsec].
DRAWN_ARCSEC = 60.0
_TIME = re.compile(r"(\d{8}_\d\d_\d\d_\d\d)")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartScale:
    """Where on the sky a chart's pixels are: what ``<chart>.json`` beside it tells.

    Attributes
    ----------
    ra_deg, dec_deg : float
        Position of the pixel `x_px`, `y_px` (from the upper left corner).
    scale_arcsec : float
        Of a pixel.
    north_deg : float
        Direction of North in the picture, counter-clockwise from straight up.
    east_left : bool
        With North up East is to the left, as on the sky.
    width_px : int
        Of the picture.
    """

    ra_deg: float
    dec_deg: float
    x_px: float
    y_px: float
    scale_arcsec: float
    width_px: int
    north_deg: float = 0.0
    east_left: bool = True

    def pixel_of(self, east_arcsec: float, north_arcsec: float) -> tuple[float, float]:
        """Pixel of an offset from the chart's position."""
        turn = math.radians(self.north_deg)
        left = east_arcsec if self.east_left else -east_arcsec
        right, up = -left * math.cos(turn) - north_arcsec * math.sin(turn), 0.0
        up = north_arcsec * math.cos(turn) - left * math.sin(turn)
        return self.x_px + right / self.scale_arcsec, self.y_px - up / self.scale_arcsec

    def apart(self, middle_deg: tuple[float, float], x_arcsec: float, y_arcsec: float) -> tuple[float, float]:
        """Offset from the chart's position [arcsec] of a place of the field, whose middle has that RA and Dec."""
        ra, dec = sky_position(middle_deg, x_arcsec, y_arcsec)
        across = (ra - self.ra_deg + 180) % 360 - 180
        return 3600 * across * math.cos(math.radians(self.dec_deg)), 3600 * (dec - self.dec_deg)

    def shrunk(self, width_px: int) -> ChartScale:
        """The same for a picture that was made smaller to so many pixels across."""
        by = width_px / self.width_px
        return replace(
            self, x_px=self.x_px * by, y_px=self.y_px * by, scale_arcsec=self.scale_arcsec / by, width_px=width_px
        )


@dataclass(frozen=True, slots=True)
class Finder:
    """A chart and how far in time from the exposure it was taken [s]; None when the name does not tell.

    `scale` is None where nothing beside the chart tells it. `picture`, (n, n) uint8 grey, is the chart where none was
    made and it is drawn from an image of the field; `path` is then the file that holds the exposure.
    """

    path: Path
    apart_s: float | None
    scale: ChartScale | None = None
    picture: NDArray[np.uint8] | None = field(default=None, compare=False)


def drawn_finder(cube: Path, target: str, cutouts: Path | None) -> Finder | None:
    """A chart drawn from the acquisition frame of an exposure, or from a survey's image; None without either.

    Parameters
    ----------
    cube : Path
        Of the exposure, in the folder of its night.
    target : str
    cutouts : Path or None
        The setting of that name.

    Raises
    ------
    ProductFault, OSError
        A file is damaged.
    """
    header = primary_header(cube)
    cards = {key: card_value(header, key) for key in header if key}
    where = target_position(cards)
    image = finder_image(cube.parent, frame_of(cube, header).stem, target, cards, cutouts)
    if image is None or where is None:
        return None
    shades, reach = on_white(image, DRAWN_ARCSEC)
    size = len(shades)
    scale = ChartScale(
        ra_deg=where[0],
        dec_deg=where[1],
        x_px=size / 2,
        y_px=size / 2,
        scale_arcsec=2 * reach / size,
        width_px=size,
    )
    return Finder(cube, None, scale, shades)


def read_scale(chart: Path) -> ChartScale | None:
    """The scale that ``<chart>.json`` tells; None where there is none that can be used."""
    try:
        table = read_table(chart.with_suffix(".json"))
        values = {entry.name: table[entry.name] for entry in fields(ChartScale) if entry.name in table}
        numbers = [value for name, value in values.items() if name != "east_left"]
        if not all(isinstance(one, int | float) and math.isfinite(one) for one in numbers):
            raise ValueError("a value is no number")
        made = ChartScale(**values)
        if not (0.01 <= made.scale_arcsec <= 100 and made.width_px > 0 and abs(made.dec_deg) <= 90):
            raise ValueError("a value is out of range")
    except FileNotFoundError:
        return None
    except (SedmError, OSError, ValueError, TypeError) as error:
        log.warning("%s: the scale of the chart is not used: %s", chart.with_suffix(".json").name, error)
        return None
    return made


def edge_of(spaxels: Spaxels) -> FloatArray:
    """Corners (n, 2) of the field's convex outline, arcsec East and North."""
    corners = cell_vertices(spaxels)
    points = np.stack([spaxels.x_arcsec, spaxels.y_arcsec], axis=1)[:, None] + corners[None]
    flat = points.reshape(-1, 2)
    return np.asarray(flat[ConvexHull(flat).vertices])


def folders_of(night_folder: Path, given: Path | None = None) -> tuple[Path, ...]:
    """Where charts may lie: the folder that was given, the night's own, and that of the telescope's photometry."""
    night, root = night_folder.name, night_folder.parent
    usual = (
        night_folder / "finders",
        root.parent / "phot" / night / "finders",
        root.parent.parent / "sedm" / "phot" / night / "finders",
    )
    return (given, *usual) if given is not None else usual


def find_finder(folders: Sequence[Path], name: str, start: datetime | None) -> Finder | None:
    """The chart of a target that was taken nearest to an exposure; None if there is none."""
    wanted = _plain(name)
    best: Finder | None = None
    for folder in folders:
        try:
            charts = sorted(folder.glob("finder_*ACQ-*.png"))
        except OSError:
            continue
        for chart in charts:
            if not _plain(chart.stem.partition("ACQ-")[2]).startswith(wanted + "_"):
                continue
            taken = _time_of(chart)
            apart = None if start is None or taken is None else abs((taken - start).total_seconds())
            if best is None or _key(apart) < _key(best.apart_s):
                best = Finder(chart, apart)
        if best is not None:
            return replace(best, scale=read_scale(best.path))
    return None


def _key(apart_s: float | None) -> float:
    return float("inf") if apart_s is None else apart_s


def _plain(name: str) -> str:
    """Names as files carry them: what is no letter, digit or sign of a name is an underscore."""
    return re.sub(r"[^a-z0-9+.-]", "_", name.lower())


def _time_of(chart: Path) -> datetime | None:
    found = _TIME.search(chart.name)
    if found is None:
        return None
    try:
        return datetime.strptime(found.group(1), "%Y%m%d_%H_%M_%S").replace(tzinfo=UTC)
    except ValueError:
        return None
