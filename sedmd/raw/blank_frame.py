"""Is there an exposure in the pixels of a raw frame at all?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from sedmd.core.errors import FrameFault, HeaderFault
from sedmd.raw.mends import MEND

#: From so many widths of the noise between dark and bright pixels on there is light.
LIGHT = 4.0


def check_pixels(stored: np.ndarray, header: Mapping[str, object], path: Path) -> None:
    """Refuse a frame in which nothing can be seen; every 16th row is enough to know.

    Parameters
    ----------
    stored : (n_y, n_x) integers
        As they are in the file.

    Raises
    ------
    FrameFault
        If the array is constant, saturated all over, or below zero.
    HeaderFault
        If BZERO or BSCALE are not those of 16-bit integers.
    """
    rows = stored[::16]
    offset = _offset(header, path)
    low, high = int(rows.min()), int(rows.max())
    if low == high:
        what = "zero" if low + offset == 0 else f"{low + offset} ADU"
        msg = f"{path.name}: every pixel is {what}; expected an exposure. The detector did not read out; take it again"
        raise FrameFault(msg)
    top = 32767  # of the 16-bit converter, as stored
    if np.count_nonzero(rows == top) > 0.98 * rows.size:
        msg = f"{path.name}: saturated all over ({top + offset} ADU); expected an exposure. Take it again, shorter"
        raise FrameFault(msg)
    if (level := float(np.median(rows)) + offset) < 0:
        msg = (
            f"{path.name}: the median pixel is {level:.0f} ADU with BZERO {offset}; expected a bias level above zero. "
            f"Is BZERO wrong (unsigned integers need 32768)? If so, {MEND}"
        )
        raise FrameFault(msg)


def shows_light(stored: np.ndarray) -> bool:
    """Whether more than noise is seen in one pixel of twenty.

    The width of the noise is that between the dark pixels, the 5th and the 25th of a hundred. Of noise alone the 95th
    lies 2.3 widths above the 25th; the night sky in the spectra makes it 6 and more, a lamp 9 and more. Cosmic rays hit
    fewer pixels.
    """
    darkest, dark, bright = np.percentile(stored[::16].astype(np.float64), [5, 25, 95])
    width = (dark - darkest) / 0.971  # of a Gaussian, in sigma
    return bool(bright - dark > LIGHT * max(width, 1.0))


def _offset(header: Mapping[str, object], path: Path) -> int:
    """ADU of a stored zero: 32768 for unsigned integers, 0 for signed ones; any other scaling is no raw frame."""
    for key, allowed in (("BZERO", (0, 32768)), ("BSCALE", (1,))):
        value = header.get(key)
        if value is not None and (isinstance(value, bool) or value not in allowed):
            wanted = "32768, or 0 for signed integers" if key == "BZERO" else "1"
            msg = f"{path.name}: {key} is {value!r:.60}; expected {wanted}; {MEND}"
            raise HeaderFault(msg)
    return 32768 if header.get("BZERO") == 32768 else 0
