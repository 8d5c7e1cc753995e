"""Pictures of the field for the web: hexagons as PNG, drawn in milliseconds."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib import colormaps
from PIL import Image, ImageDraw, ImageFont

from sedmd.products.plots.maps import ApertureMark, MapImage, picture_limits
from sedmd.products.plots.style import APERTURE_A, APERTURE_B

#: Edge of a picture [pixel], and how much finer it is drawn before it is made smooth.
SIZE, FINE = 400, 2
_NO_DATA, _BEHIND, _INK = (140, 148, 156), (16, 24, 33), (240, 244, 248)


def field_png(image: MapImage, marks: Sequence[ApertureMark] = ()) -> bytes:
    """The field with its apertures: North up, East left, a bar of 5 arcsec; the same image gives the same bytes.

    Colours as on the page of the spectrum: `picture_limits`, symmetric where a mark is negative.
    """
    pair = any(mark.negative for mark in marks)
    low, high = picture_limits(image.values, symmetric=pair)
    edge = SIZE * FINE
    reach = float(np.max(np.abs([image.x_arcsec, image.y_arcsec])) + 0.6) if len(image.x_arcsec) else 15.0
    scale = edge / (2 * reach)

    def place(x: float, y: float) -> tuple[float, float]:
        return edge / 2 - x * scale, edge / 2 - y * scale

    canvas = Image.new("RGB", (edge, edge), _BEHIND)
    draw = ImageDraw.Draw(canvas)
    share = np.clip((np.nan_to_num(image.values, nan=low) - low) / (high - low), 0, 1)
    # as the printed page: what is faint is brought out where nothing is negative
    colours = colormaps["RdBu_r" if pair else "viridis"](share if pair else share**0.6, bytes=True)[:, :3]
    known = np.isfinite(image.values)
    corners = np.stack([edge / 2 - image.corners[:, 0] * scale, edge / 2 - image.corners[:, 1] * scale], axis=1)
    centres = np.stack([-image.x_arcsec * scale, -image.y_arcsec * scale], axis=1)
    for centre, colour, good in zip(centres, colours, known):
        fill = tuple(int(part) for part in colour) if good else _NO_DATA
        draw.polygon([(x, y) for x, y in (corners + centre).tolist()], fill=fill)
    for mark in marks:
        _aperture(draw, mark, place)
    _legend(draw, edge, scale)
    buffer = io.BytesIO()
    canvas.reduce(FINE).quantize(128, Image.Quantize.FASTOCTREE).save(buffer, "PNG")
    return buffer.getvalue()


def _aperture(
    draw: ImageDraw.ImageDraw, mark: ApertureMark, place: Callable[[float, float], tuple[float, float]]
) -> None:
    colour = APERTURE_B if mark.negative else APERTURE_A
    turn = math.radians(mark.angle_deg)
    angles = np.linspace(0, 2 * math.pi, 73)
    along = mark.semi_major_arcsec * np.cos(angles)
    aside = mark.semi_major_arcsec * mark.axis_ratio * np.sin(angles)
    # the major axis points to the position angle, N through E
    east = mark.x_arcsec + along * math.sin(turn) + aside * math.cos(turn)
    north = mark.y_arcsec + along * math.cos(turn) - aside * math.sin(turn)
    points = [place(x, y) for x, y in zip(east, north)]
    draw.line(points, fill="white", width=5 * FINE, joint="curve")
    draw.line(points, fill=colour, width=3 * FINE, joint="curve")
    if mark.label:
        x, y = place(mark.x_arcsec, mark.y_arcsec + mark.semi_major_arcsec + 0.4)
        draw.text(
            (x, y), mark.label, fill=colour, font=_font(15), anchor="md", stroke_width=2 * FINE, stroke_fill="white"
        )


def _legend(draw: ImageDraw.ImageDraw, edge: int, scale: float) -> None:
    """Compass and scale, light with a dark edge: they may lie on spaxels of any colour."""
    pad = 10 * FINE
    bar = 5.0 * scale
    x, y, arm = edge - pad - 4 * FINE, 36 * FINE, 20 * FINE
    for colour, width in ((_BEHIND, 6 * FINE), (_INK, 2 * FINE)):
        draw.line([(pad, edge - pad), (pad + bar, edge - pad)], fill=colour, width=width)
        draw.line([(x, y - arm), (x, y), (x - arm, y)], fill=colour, width=width)
    for at, text, anchor in (
        ((pad + bar / 2, edge - pad - 4 * FINE), '5"', "md"),
        ((x, y - arm - FINE), "N", "md"),
        ((x - arm - 3 * FINE, y), "E", "rm"),
    ):
        draw.text(at, text, fill=_INK, font=_font(11), anchor=anchor, stroke_width=2 * FINE, stroke_fill=_BEHIND)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """The font of the other plots, which matplotlib brings along."""
    return ImageFont.truetype(str(Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans-Bold.ttf"), size * FINE)
