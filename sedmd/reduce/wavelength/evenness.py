"""How even a wavelength solution is over the field: each spaxel's dispersion against that of its neighbours.

The optics changes slowly over the field, and the lenses differ a little. How a solution differs from spaxel to spaxel
is a figure and no reason to refuse it: of the wrong starts that were tried (spectra shifted by 4 to 30 columns,
stretched by up to 8 %, bent by 8 columns, in a tenth of the field) each came right or left its spaxels without lines,
which their number says already.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from sedmd.reduce.wavelength.wavelength import WavelengthSolution

#: Wavelengths that are compared, relative to the middle one, whose column is the place of the spaxel [Angstrom].
AT = np.array([4000.0, 4500.0, 5200.0, 6500.0, 7600.0, 8400.0, 9200.0])
MIDDLE = 3
#: Neighbours that say where a wavelength should fall: two rings of the lattice, enough for a plane and its outliers.
NEIGHBOURS = 18


def unevenness(solution: WavelengthSolution, row: NDArray[np.floating], use: NDArray[np.bool_]) -> NDArray[np.floating]:
    """How far the wavelengths of each spaxel fall from where its neighbours put them.

    Parameters
    ----------
    solution : WavelengthSolution of n spaxels
    row : (n,) pixel, row of each spaxel
    use : (n,) bool, spaxels that are compared, with each other

    Returns
    -------
    (n, m) column at the wavelengths `AT`, relative to the spaxel's own place; NaN where there is nothing to compare

    Notes
    -----
    The neighbours' columns are continued to the spaxel as a plane through their medians: of the differences from
    neighbours in opposite directions what is linear in the distance cancels, and an outlier among them has no say.
    """
    column = solution.column(AT)
    stretch = column - column[:, [MIDDLE]]
    off = np.full(stretch.shape, np.nan)
    some = np.flatnonzero(use & np.isfinite(stretch).all(axis=1) & np.isfinite(row))
    if some.size <= 2 * NEIGHBOURS:
        return off
    place = np.column_stack([column[some, MIDDLE], row[some]])
    _, near = cKDTree(place).query(place, k=NEIGHBOURS + 1)
    around = place[near[:, 1:]] - place[:, None]
    design = np.concatenate([np.ones((*around.shape[:2], 1)), around / 100.0], axis=2)
    values = stretch[some][near[:, 1:]]
    weight = np.ones(values.shape)
    for _ in range(4):
        normal = np.einsum("nki,nkm,nkj->nmij", design, weight, design) + 1e-9 * np.eye(3)
        right = np.einsum("nki,nkm->nmi", design, weight * values)
        plane = np.linalg.solve(normal, right[..., None])[..., 0]
        left = values - np.einsum("nki,nmi->nkm", design, plane)
        usual = 1.4826 * np.median(np.abs(left), axis=1, keepdims=True) + 1e-6
        weight = 1.0 / (1.0 + (left / (2.0 * usual)) ** 2)
    off[some] = stretch[some] - plane[:, :, 0]
    return off


def usual_unevenness(off: NDArray[np.floating]) -> float:
    """Robust rms over the field of what `unevenness` found, at the wavelength where it is largest [column]."""
    known = off[np.isfinite(off).all(axis=1)]
    return float(1.4826 * np.median(np.abs(known), axis=0).max()) if len(known) else float("nan")
