"""A finder drawn from an image of the field, where nobody made one: North up, target marked, the field outlined."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import map_coordinates

from sedmd.reduce.target.host_images import HostImage, HostImages

#: Edge of the picture [pixel]; from the target to its edge [arcsec], where the image reaches so far.
SIZE, REACH_ARCSEC = 500, 40.0
#: Bands from which a finder is drawn, the best first: what the guide camera sees too.
BANDS = "rigzy"
#: Grey from sky to bright: so many times the noise is half-way.
SOFTENING = 6.0
_MARK, _FIELD, _INK, _NO_DATA = (200, 30, 30), (30, 90, 200), (20, 20, 20), 235


def best_band(images: HostImages) -> HostImage | None:
    """The image from which a finder is drawn; None without any."""
    known = {one.band: one for one in images.images}
    return next((known[band] for band in BANDS if band in known), None)


def finder_png(picture: HostImage, outline: Sequence[tuple[float, float]] = ()) -> bytes:
    """A finder; the same image gives the same bytes.

    Parameters
    ----------
    picture : HostImage
        An image with its place on the sky, of a survey or of the acquisition camera.
    outline : sequence of (x, y)
        Border of the IFU's field, arcsec East and North of the target; empty: not drawn.

    Returns
    -------
    bytes
        PNG, North up, East left, the target in the middle between two strokes, a bar of 10 arcsec.
    """
    shades, reach = on_white(picture)
    grey = Image.fromarray(shades, "L").convert("RGB")
    draw, scale, middle = ImageDraw.Draw(grey), SIZE / (2 * reach), SIZE / 2

    def place(x: float, y: float) -> tuple[float, float]:
        return middle - x * scale, middle - y * scale

    if len(outline) > 2:
        draw.polygon([place(*corner) for corner in outline], outline=_FIELD, width=2)
    near, far = 2.0, 6.0
    draw.line([place(-near, 0), place(-far, 0)], fill=_MARK, width=3)
    draw.line([place(0, -near), place(0, -far)], fill=_MARK, width=3)
    low = SIZE - 18
    draw.line([(15, low), (15 + 10 * scale, low)], fill=_INK, width=3)
    draw.text((15, low - 16), '10"', fill=_INK)
    draw.text((middle - 3, 3), "N", fill=_INK)
    draw.text((4, middle - 6), "E", fill=_INK)
    draw.text((SIZE - 14, 3), picture.band, fill=_INK)
    buffer = io.BytesIO()
    grey.quantize(64, Image.Quantize.FASTOCTREE).save(buffer, "PNG")
    return buffer.getvalue()


def on_white(picture: HostImage, most_arcsec: float = REACH_ARCSEC) -> tuple[NDArray[np.uint8], float]:
    """The image as a chart without marks: dark stars on white, North up, East left, the target in the middle.

    Parameters
    ----------
    picture : HostImage
    most_arcsec : float
        From the target to an edge, where the image reaches so far.

    Returns
    -------
    shades : (SIZE, SIZE) uint8
    reach : arcsec from the target to an edge
    """
    reach = min(most_arcsec, _covered(picture))
    return _grey(north_up(picture, reach)), reach


def north_up(picture: HostImage, reach_arcsec: float) -> NDArray[Any]:
    """The image on a grid of `SIZE` pixels with North up and East left about the target; NaN where there is none."""
    offsets = reach_arcsec * (1 - (2 * np.arange(SIZE) + 1) / SIZE)
    x, y = np.broadcast_arrays(offsets[None, :], offsets[:, None])
    column, row = np.tensordot(picture.to_pixel, np.stack([x, y, np.ones_like(x)]), axes=1)
    found: NDArray[Any] = map_coordinates(picture.values, [row, column], order=1, cval=np.nan)
    return found


def _covered(picture: HostImage) -> float:
    """From the target to the farthest corner of the image, arcsec."""
    return float(picture.distance().max())


def _grey(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Dark stars on a white sky, what is faint brought out."""
    good = np.isfinite(values)
    if not good.any():
        return np.full(values.shape, _NO_DATA, np.uint8)
    level = float(np.median(values[good]))
    noise = max(1.4826 * float(np.median(np.abs(values[good] - level))), 1e-300)
    depth = np.arcsinh((np.where(good, values, level) - level) / (SOFTENING * noise))
    top = max(float(np.quantile(depth[good], 0.999)), 1.0)
    share = np.clip(depth / top, 0.0, 1.0)
    return np.where(good, 250 - 245 * share, _NO_DATA).astype(np.uint8)
