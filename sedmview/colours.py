"""Colour maps: perceptually uniform, safe for the colour-blind, a diverging one centred on zero for A minus B."""

from __future__ import annotations

from functools import cache

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray

#: Colours of the apertures and of what is drawn over the field.
COLOUR_A, COLOUR_B, COLOUR_SKY, COLOUR_INK, COLOUR_OFFER = "#ff4d4d", "#4da3ff", "#7fe0d0", "#e8edf2", "#ffd866"
#: Curves beside the object's: the one that is not chosen of aperture and fit, a spectrum from elsewhere, and one saved
#: before or a template.
COLOUR_OTHER, COLOUR_COMPARISON, COLOUR_OVER = "#7fb0b8", "#d58fd8", "#ffb454"

#: Outside of any spaxel, and spaxels without a value.
BACKGROUND, NO_VALUE = (24, 28, 34), (62, 68, 76)

_SIZE = 256

#: For A minus B at night: dark at zero, the positive target red to white, the negative one blue to white. Both arms
#: rise in lightness by the same steps, so that neither target looks brighter than it is.
_NIGHT = (
    (0.0, (206, 232, 255)),
    (0.25, (56, 132, 226)),
    (0.5, (26, 28, 36)),
    (0.75, (219, 70, 56)),
    (1.0, (255, 222, 205)),
)


@cache
def table(name: str, inverted: bool = False) -> NDArray[np.uint32]:
    """256 colours as 0xffRRGGBB; an unknown name gives viridis."""
    if name == "night":
        places, colours = zip(*_NIGHT, strict=True)
        made = pg.ColorMap(list(places), list(colours))
    elif name == "gray":
        made = pg.ColorMap([0.0, 1.0], [(18, 20, 24), (250, 250, 250)])
    else:
        try:
            made = pg.colormap.get(name)
        except (FileNotFoundError, KeyError):
            made = pg.colormap.get("viridis")
    rgb = made.getLookupTable(nPts=_SIZE)[:, :3].astype(np.uint32)
    packed = 0xFF000000 | rgb[:, 0] << 16 | rgb[:, 1] << 8 | rgb[:, 2]
    return np.ascontiguousarray(packed[::-1] if inverted else packed).astype(np.uint32)


def packed(colour: tuple[int, int, int]) -> int:
    """A colour as 0xffRRGGBB."""
    red, green, blue = colour
    return 0xFF000000 | red << 16 | green << 8 | blue
