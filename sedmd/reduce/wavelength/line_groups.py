"""Which lines of a lamp are fitted together, which of them share a shift, and where tables are wrong."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Columns on each side of the outermost line of a group that take part in its fit.
MARGIN = 6
#: Strength, relative to the strongest of its lamp, from which a line counts as strong.
STRONG = 0.05
#: Strength from which a weak line away from all strong ones is measured.
MEASURED = 0.01
#: Wavelength up to which lamp lines are reliable [Angstrom] (pysedm's table ends at 9165, kpy's at 8280).
REDDEST_RELIABLE = 9300.0
#: Error of the logarithm of the strength of a line beyond it: the lamps of 2013 showed Xe 9800 and 9923 fainter than
#: any table by a factor of 18.
RED_TABLE_SIGMA = float(np.log(18.0))
#: Strength there, relative to the strongest of the lamp, from which a line of a table may be as bright as any.
RED_STRENGTH = 0.008
#: Beyond this wavelength nothing is fitted: the efficiency halves from line to line, and what is seen there is as much
#: the next order's or the continuum's [Angstrom].
REDDEST_FITTED = 9600.0


def lamp_groups(
    wavelength: NDArray[np.floating], place: NDArray[np.floating], table: NDArray[np.floating], separation: float
) -> list[NDArray[np.int64]]:
    """Groups of the lines of a lamp.

    Parameters
    ----------
    wavelength, place : (m,) Angstrom, and typical column of each line
    table : (m,) strengths, those of the strongest 1
    separation : strong lines closer than this many columns belong together

    Returns
    -------
    list of index arrays, each sorted by column

    Notes
    -----
    Beyond `REDDEST_RELIABLE` a table does not tell strong lines from weak ones: each may be the one that shines beside
    a line that is measured. What lies beyond `REDDEST_FITTED` is apart from it.
    """
    far = (wavelength > REDDEST_RELIABLE) & (table >= RED_STRENGTH)
    prominent = np.where(far, np.maximum(table, STRONG), table)
    groups = []
    for part in (wavelength <= REDDEST_FITTED, wavelength > REDDEST_FITTED):
        lines = np.flatnonzero(part)
        if lines.size:
            groups += [lines[group] for group in group_lines(place[lines], prominent[lines], separation)]
    return groups


def group_lines(
    place: NDArray[np.floating], intensity: NDArray[np.floating], separation: float, strong: float = STRONG
) -> list[NDArray[np.int64]]:
    """Split lines into groups that have to be fitted together.

    Parameters
    ----------
    place : (m,) column of each line
    intensity : (m,) relative intensities
    separation : strong lines closer than this many columns belong together
    strong : lines above this share of the strongest form the groups; a weaker one joins the nearest strong
        line whose fit it could disturb; but a forest of weak lines ties nothing together. Of what is left, those from
        `MEASURED` on form groups in the same way

    Returns
    -------
    list of index arrays, each sorted by column; the groups without a strong line hold one weak chain each
    """
    label = np.full(place.size, -1)
    for threshold in (strong, MEASURED):
        leader = (label < 0) & (intensity >= threshold * intensity.max())
        if not leader.any():
            continue
        label[leader] = label.max() + 1 + _chain(place[leader], separation)
        leader_place, leader_label = place[leader], label[leader]
        for i in np.flatnonzero(label < 0):
            distance = np.abs(leader_place - place[i])
            if distance.min() < MARGIN:
                label[i] = leader_label[np.argmin(distance)]
    rest = label < 0
    label[rest] = label.max() + 1 + _chain(place[rest], separation)
    return [g[np.argsort(place[g])] for g in (np.flatnonzero(label == k) for k in np.unique(label))]


def blends(
    place: NDArray[np.floating], intensity: NDArray[np.floating], resolution: float, strong: float = STRONG
) -> NDArray[np.int64]:
    """Number of the blend, 0 to k - 1, that each line of a group belongs to.

    Strong lines within `resolution` columns are one blend, as only one shift can be measured of them; a weak line
    belongs to that of the nearest strong one. No blend is longer, or its shift would hang on the dispersion.
    """
    leader = np.flatnonzero(intensity >= min(strong, intensity.max()))
    leader = leader[np.argsort(place[leader])]
    label = np.zeros(leader.size, np.int64)
    begin = place[leader[0]]
    for i in range(1, leader.size):
        label[i] = label[i - 1]
        if place[leader[i]] - begin > resolution:
            label[i] += 1
            begin = place[leader[i]]
    nearest = np.argmin(np.abs(place[:, None] - place[leader]), axis=1)
    return np.asarray(label[nearest], np.int64)


def _chain(place: NDArray[np.floating], separation: float) -> NDArray[np.int64]:
    """Number of the chain of each point, a chain being points with no gap above `separation`."""
    order = np.argsort(place)
    label = np.zeros(place.size, int)
    label[order[1:]] = np.cumsum(np.diff(place[order]) > separation)
    return label
