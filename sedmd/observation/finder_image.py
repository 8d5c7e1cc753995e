"""The image of a target's field from which a finder is drawn where nobody made one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sedmd.core.recipe import RECIPE
from sedmd.observation.cutouts import read_cutouts
from sedmd.observation.finder_picture import best_band
from sedmd.products.guide import read_finder
from sedmd.reduce.target.host_images import HostImage


def finder_image(
    folder: Path, frame: str, target: str, cards: Mapping[str, Any], cutouts: Path | None
) -> HostImage | None:
    """The acquisition frame about the target, or else an image of a survey; None without either.

    Parameters
    ----------
    folder : Path
        Of the night's products.
    frame : str
        Name of the exposure's raw frame, without its suffix.
    target : str
        As it was typed.
    cards : mapping
        Header that tells where the target is.
    cutouts : Path or None
        The setting of that name.

    Raises
    ------
    ProductFault, OSError
        The file of the acquisition frame is damaged.
    """
    guide = folder / RECIPE["guide"].makes["guide"].format(stem=frame)
    if guide.exists() and (seen := read_finder(guide)) is not None:
        return seen
    images, _ = read_cutouts(cutouts, target, cards)
    return None if images is None else best_band(images)
