"""The field as hexagons: the cube's picture with apertures, and maps of what was measured for each spaxel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import Normalize, PowerNorm
from matplotlib.patches import Ellipse

from sedmd.products.plots.style import APERTURE_A, APERTURE_B, FAINT, INK, SOFT, SPECTRUM, page, plain_numbers, save
from sedmd.reduce.cube.collapse import collapse
from sedmd.reduce.numeric.containers import Cube, FloatArray, Spaxels
from sedmd.reduce.numeric.hexagon import cell_vertices


@dataclass(frozen=True, slots=True, kw_only=True)
class MapImage:
    """A value for each spaxel.

    Attributes
    ----------
    x_arcsec, y_arcsec : (n,) East and North of the field centre
    values : (n,), NaN where there is none
    corners : (6, 2) of one spaxel about its centre, arcsec
    label : what the values are
    """

    x_arcsec: FloatArray
    y_arcsec: FloatArray
    values: FloatArray
    corners: FloatArray
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApertureMark:
    """An ellipse on the map; `angle_deg` is its major axis, N through E. `negative` for the B position of A-B."""

    x_arcsec: float
    y_arcsec: float
    semi_major_arcsec: float
    axis_ratio: float = 1.0
    angle_deg: float = 0.0
    label: str = ""
    negative: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MapPanel:
    """One map of a quality page: a title, the values, limits of the colours (robust ones if None)."""

    title: str
    image: MapImage
    low: float | None = None
    high: float | None = None
    centred: bool = False


def map_of_cube(cube: Cube, *, low: float = 5000.0, high: float = 8000.0, subtract: Cube | None = None) -> MapImage:
    """Picture of a cube between two wavelengths, or of the difference of two cubes of the same spaxels."""
    values = collapse(cube, low, high)
    if subtract is not None:
        values = values - collapse(subtract, low, high)
    return map_of_values(cube.spaxels, values, label=f"{low:.0f}-{high:.0f} Å")


def map_of_values(spaxels: Spaxels, values: FloatArray, *, label: str = "") -> MapImage:
    """Picture of any value per spaxel."""
    return MapImage(
        x_arcsec=spaxels.x_arcsec,
        y_arcsec=spaxels.y_arcsec,
        values=np.asarray(values, dtype=float),
        corners=cell_vertices(spaxels),
        label=label,
    )


def plot_maps(path: Path, panels: Sequence[MapPanel], *, title: str = "", note: str = "") -> str:
    """Quality maps side by side, each with the histogram of its values; PNG or PDF.

    Returns
    -------
    str
        SHA-256 of the file.
    """
    if not panels:
        raise ValueError(f"{path.name}: no panel to plot")
    count = len(panels)
    with page(3.9 * count + 0.3, 5.5) as figure:
        grid = figure.add_gridspec(
            2,
            count,
            height_ratios=[4, 1],
            left=0.62 / (3.9 * count),
            right=1 - 0.6 / (3.9 * count),
            top=0.86,
            bottom=0.12,
            hspace=0.3,
            wspace=0.42,
        )
        for place, panel in enumerate(panels):
            low, high = _limits(panel)
            axes = figure.add_subplot(grid[0, place])
            colours = draw_hexagons(axes, panel.image, low, high, cmap="RdBu_r" if panel.centred else "viridis")
            finish_field(axes, panel.image)
            axes.set_title(panel.title, pad=6)
            bar = figure.colorbar(colours, ax=axes, fraction=0.045, pad=0.02, extend="both")
            bar.outline.set_linewidth(0.5)
            _histogram(figure.add_subplot(grid[1, place]), panel, low, high)
        figure.suptitle(title, x=0.02, y=0.975, ha="left", fontsize=11, fontweight="bold")
        figure.text(0.99, 0.012, note, ha="right", fontsize=6.5, color=SOFT)
        return save(figure, path)


def draw_hexagons(
    axes: Axes, image: MapImage, low: float, high: float, *, cmap: str, faint: bool = False
) -> ScalarMappable:
    """Fill the spaxels with colour; spaxels without value stay grey. `faint` brings out what is near `low`."""
    centres = np.stack([image.x_arcsec, image.y_arcsec], axis=1)
    polygons = centres[:, None, :] + image.corners[None]
    known = np.isfinite(image.values)
    scale = PowerNorm(0.6, low, high, clip=True) if faint else Normalize(low, high, clip=True)
    colours = ScalarMappable(scale, cmap)
    face = colours.to_rgba(np.where(known, image.values, low))
    face[~known] = (0.87, 0.89, 0.91, 1.0)
    # an edge of the same colour closes the hairlines that PDF viewers show between neighbours
    # a picture, not 1300 outlines, which take longer to write and to show
    axes.add_collection(
        PolyCollection(list(polygons), facecolors=face, edgecolors=face, linewidths=0.25, closed=True, rasterized=True)
    )
    colours.set_array([])
    return colours


def draw_aperture(axes: Axes, mark: ApertureMark) -> None:
    """An aperture's outline, its centre and its letter; A solid red, B dashed blue."""
    colour = APERTURE_B if mark.negative else APERTURE_A
    axes.add_patch(
        Ellipse(
            (mark.x_arcsec, mark.y_arcsec),
            2 * mark.semi_major_arcsec,
            2 * mark.semi_major_arcsec * mark.axis_ratio,
            angle=90.0 - mark.angle_deg,  # matplotlib counts from +x (East) towards +y (North)
            fill=False,
            edgecolor=colour,
            linewidth=1.6,
            linestyle="--" if mark.negative else "-",
        )
    )
    axes.plot(mark.x_arcsec, mark.y_arcsec, "+", color=colour, ms=5, mew=1)
    if mark.label:
        axes.text(
            mark.x_arcsec,
            mark.y_arcsec + mark.semi_major_arcsec + 0.5,
            mark.label,
            color=colour,
            ha="center",
            va="bottom",
            fontsize=9,
            fontweight="bold",
        )


def finish_field(axes: Axes, image: MapImage) -> None:
    """Equal scales, East to the left, labels, and the compass."""
    reach = float(np.max(np.abs([image.x_arcsec, image.y_arcsec])) + 1.0) if len(image.x_arcsec) else 15.0
    axes.set(xlim=(reach, -reach), ylim=(-reach, reach), aspect="equal")
    plain_numbers(axes)
    axes.set_xlabel("East offset [arcsec]", labelpad=2)
    axes.set_ylabel("North offset [arcsec]", labelpad=0)
    # the compass stands above the frame, where no spaxel hides it
    corner, arrow = (0.985, 1.025), {"arrowstyle": "-|>", "color": INK, "lw": 1.0, "shrinkA": 0, "shrinkB": 0}
    for name, dx, dy in (("N", 0.0, 0.06), ("E", -0.06, 0.0)):
        end = (corner[0] + dx, corner[1] + dy)
        axes.annotate("", end, corner, xycoords="axes fraction", annotation_clip=False, arrowprops=arrow)
        letter = (corner[0] + 1.45 * dx, corner[1] + 1.45 * dy)
        axes.text(*letter, name, transform=axes.transAxes, ha="center", va="center", fontsize=7, color=INK)


def picture_limits(values: FloatArray, *, symmetric: bool) -> tuple[float, float]:
    """Limits that show the sky's noise and the object: from 2 sigma below the median to near the brightest."""
    good = values[np.isfinite(values)]
    if len(good) == 0:
        return 0.0, 1.0
    middle = float(np.median(good))
    sigma = float(1.4826 * np.median(np.abs(good - middle)))
    if symmetric:
        reach = max(float(np.percentile(np.abs(good - middle), 99.5)), 3 * sigma, 1e-300)
        return middle - reach, middle + reach
    low = middle - 2 * sigma
    return low, max(float(np.percentile(good, 99.7)), low + 5 * sigma, low + 1e-300)


def _limits(panel: MapPanel) -> tuple[float, float]:
    good = panel.image.values[np.isfinite(panel.image.values)]
    if len(good) == 0:
        return 0.0, 1.0
    low, high = (float(limit) for limit in np.percentile(good, [1, 99]))
    if panel.centred:
        reach = max(abs(low), abs(high))
        low, high = -reach, reach
    low = low if panel.low is None else panel.low
    high = high if panel.high is None else panel.high
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _histogram(axes: Axes, panel: MapPanel, low: float, high: float) -> None:
    values = panel.image.values
    good = values[np.isfinite(values)]
    margin = 0.15 * (high - low)
    axes.hist(np.clip(good, low - margin, high + margin), bins=60, range=(low - margin, high + margin), color=SPECTRUM)
    axes.set_xlim(low - margin, high + margin)
    axes.set_yticks([])
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)
    label = panel.image.label
    if len(good):
        early, median, late = np.percentile(good, [16, 50, 84])
        axes.axvline(float(median), color=FAINT, lw=1, zorder=3)
        label += f"     median {median:.3g}, 16-84 % {early:.3g} to {late:.3g}, n = {len(good)}"
    axes.set_xlabel(label.strip(), fontsize=7.5)
