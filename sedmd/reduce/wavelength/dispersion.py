"""The field model of the wavelength solution: a curve smooth over the field, and what each spaxel tells by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.polynomial import Legendre, Polynomial
from numpy.typing import NDArray

from sedmd.reduce.numeric.field import terms

#: How many of its uncertainties a group's offset may be before it counts for less: a peak that is taken for another
#: line is off by any amount.
OFFSET_DOUBTS = 2.0
#: How far the second, third ... Legendre term over `CURVE_RANGE` may bend the published curve, columns: about what the
#: curves of kpy, of pysedm and of prisms of the design's glasses differ by (6, 1.8, 0.5, 1.3, 0.3, 0.14).
CURVE_FREEDOM = (8.0, 2.0, 1.0, 1.0, 0.3, 0.15)
#: Wavelengths that the terms of the curve span [Angstrom].
CURVE_RANGE = (3650.0, 9900.0)
#: Degree over the field of each power of xi (the zeroth, the shift, is free for every spaxel).
FIELD_ORDERS = (4, 3, 2, 1, 0, 0, 0)
#: How far the second, third ... term may differ over the field, columns, where few lines would have to tell it: the
#: stretch of the image changes by a quarter over the field, which bends a spectrum of a tenth of the field's length by
#: a column and more; each further derivative is felt a third as much.
FIELD_FREEDOM = (2.0, 0.6, 0.2, 0.06, 0.02, 0.006)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One group of lines of one lamp, as measured in all spaxels."""

    lamp: str
    wavelength: float
    xi: float
    #: How far its mean wavelength may be off, in columns: the same for all spaxels.
    uncertainty: float
    #: Strong and single enough to tell the width of a line.
    clean: bool
    #: Median light of the group, electron.
    light: float
    column: NDArray[np.floating]
    error: NDArray[np.floating]
    stretch: NDArray[np.floating]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """What `fit_model` finds for n spaxels and m groups.

    Attributes
    ----------
    coeff : (n, order + 1) column as powers of xi
    residual, weight : (n, m) column, and the weights that were used
    strain : how hard groups and curve had to be bent to agree; about 1 when all is well
    left_out, left_out_error : (m,) how far each group lies from where the others alone put it, mean of the field, and
        how far it may [column]
    curve : (order + 1,) the curve of the middle of the field without its shift, column as powers of xi
    bends : (order - 1,) how far the Legendre terms from the second on bend the published curve, columns
    place : (m,) column, where each group lies in the mean of the spaxels that see any, from the middle of the trace
    """

    coeff: NDArray[np.floating]
    residual: NDArray[np.floating]
    weight: NDArray[np.floating]
    strain: float
    left_out: NDArray[np.floating]
    left_out_error: NDArray[np.floating]
    curve: NDArray[np.floating]
    bends: NDArray[np.floating]
    place: NDArray[np.floating]


def fit_model(
    groups: Sequence[Group],
    ends: tuple[float, float],
    centre: NDArray[Any],
    row: NDArray[Any],
    bent: NDArray[np.floating] | None = None,
    freedom: NDArray[np.floating] | None = None,
) -> Fitted:
    """Smooth field model with a free shift per spaxel, then a shrunken stretch and bend per spaxel.

    Every group has one offset common to the field, held by its uncertainty: so a blend with a wrong wavelength,
    measured in 1500 spaxels, does not bend the solution.

    Parameters
    ----------
    groups : the measured line groups
    ends : the prism coordinates of the two ends of `CURVE_RANGE`
    centre, row : (n,) reference column and row of the spaxels
    bent : (k,) the `bends` that xi has against the published curve already; default none
    freedom : (6, 6) covariance of the bends, column**2; default `CURVE_FREEDOM`, each by itself. With it all terms are
        fitted, also where there are few lines: those that these could not tell alone are the same in the whole field,
        and the others differ over it within `FIELD_FREEDOM`

    Returns
    -------
    Fitted

    Notes
    -----
    Where the other groups alone would put a group follows from the one fit: with s its offset, w the weight that holds
    it at zero, and h its element of the inverse of the normal matrix, taking w away moves the offset to s / (1 - w h)
    and its variance to h / (1 - w h) (Sherman and Morrison 1950).
    """
    column = np.stack([g.column for g in groups], axis=1)
    error = np.stack([g.error for g in groups], axis=1)
    xi = np.array([g.xi for g in groups])
    uncertainty = np.array([g.uncertainty for g in groups])
    weight = np.where(np.isfinite(column), 1.0 / (np.nan_to_num(error, nan=1e3) ** 2 + 0.02**2), 0.0)
    target = np.where(weight > 0, column - centre[:, None], 0.0)
    x, y = np.clip(centre, 0, 2048), np.clip(row, 0, 2048)
    n_told = max(1, min(len(FIELD_ORDERS), len(groups) - 4))
    orders = FIELD_ORDERS[:n_told]
    if freedom is not None:
        orders += (0,) * (len(FIELD_ORDERS) - n_told)
    basis = [terms(x, y, order) for order in orders]
    seen = weight.any(axis=1)
    if freedom is not None:
        # what is known of the bends is so in the mean of the spaxels, as it was told
        basis = [np.hstack([b[:, :1], b[:, 1:] - b[seen, 1:].mean(axis=0)]) for b in basis]
    blue, red = ends
    curve = [Legendre.basis(j + 1, domain=[red, blue]) for j in range(len(basis))]
    bend = np.stack([c(xi) for c in curve])
    n_poly = sum(b.shape[1] for b in basis)
    # The published curve is right to a few columns; its higher terms are not free to follow a blend.
    prior = np.r_[np.full(n_poly, 1e-4), 1.0 / uncertainty**2]
    higher = np.cumsum([0] + [b.shape[1] for b in basis[:-1]])[1:]
    curve_prior = np.diag(np.array(CURVE_FREEDOM[: len(higher)]) ** -2.0) if freedom is None else np.linalg.inv(freedom)
    if freedom is not None:
        for at, b, width in zip(higher, basis[1:], FIELD_FREEDOM, strict=True):
            prior[at + 1 : at + b.shape[1]] = width**-2.0
    before = np.zeros(len(higher))
    before[: 0 if bent is None else len(bent)] = () if bent is None else bent[: len(higher)]
    keep = weight.copy()
    residual = np.zeros_like(target)
    shift = np.zeros(len(centre))
    solution = np.zeros(n_poly + xi.size)
    for _ in range(8):
        used = keep > 0
        normal, right = _normal_equations(keep, target, basis, bend)
        held = np.diag(prior)
        held[np.ix_(higher, higher)] = curve_prior
        right[higher] -= curve_prior @ before
        solution = np.linalg.solve(normal + held, right)
        prior[n_poly:] = 1.0 / (uncertainty**2 + (solution[n_poly:] / OFFSET_DOUBTS) ** 2)
        terms_of = np.split(solution[:n_poly], np.cumsum([b.shape[1] for b in basis])[:-1])
        per_spaxel = np.column_stack([b @ t for b, t in zip(basis, terms_of, strict=True)])
        residual = target - per_spaxel @ bend - solution[n_poly:]
        shift = (keep * residual).sum(axis=1) / np.maximum(keep.sum(axis=1), 1e-12)
        residual -= shift[:, None]
        scatter = np.array(
            [1.4826 * np.median(np.abs(residual[u, g])) if u.any() else 1.0 for g, u in enumerate(used.T)]
        )
        keep = np.where(np.abs(residual) < np.maximum(5.0 * scatter, 0.1)[None, :], weight, 0.0)
    coeff: NDArray[np.floating] = np.zeros((len(centre), len(orders) + 1))
    coeff[:, 0] = shift + centre
    for c, values in zip(curve, per_spaxel.T, strict=True):
        powers = np.asarray(c.convert(kind=Polynomial).coef, float)
        coeff[:, : powers.size] += values[:, None] * powers
    middle = np.zeros(len(orders) + 1)
    for c, values in zip(curve, terms_of, strict=True):
        powers = np.asarray(c.convert(kind=Polynomial).coef, float)
        middle[: powers.size] += values[0] * powers
    coeff[keep.sum(axis=1) == 0] = np.nan
    coeff = _refine(coeff, xi, np.where(keep > 0, residual, 0.0), keep)
    left = np.where(keep > 0, column - np.polynomial.polynomial.polyval(xi, coeff.T), 0.0)
    # What the fit made least: offsets within their uncertainties by squares, a peak taken for another line by a
    # logarithm.
    offsets = OFFSET_DOUBTS**2 * np.log1p((solution[n_poly:] / (OFFSET_DOUBTS * uncertainty)) ** 2)
    bends = before + solution[higher]
    penalty = bends @ curve_prior @ bends + offsets.sum()
    own = np.diag(np.linalg.inv(normal + held))[n_poly:]
    alone = np.maximum(1.0 - np.diag(held)[n_poly:] * own, 1e-9)
    return Fitted(
        coeff=coeff,
        residual=left,
        weight=keep,
        strain=float(penalty / len(groups)),
        left_out=solution[n_poly:] / alone,
        left_out_error=np.sqrt(own / alone + uncertainty**2),
        curve=middle,
        bends=bends,
        place=np.median(shift[seen]) + per_spaxel[seen].mean(axis=0) @ bend + solution[n_poly:],
    )


def _normal_equations(
    weight: NDArray[Any], target: NDArray[Any], basis: Sequence[NDArray[Any]], bend: NDArray[Any]
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Normal equations of the field model: matrix and right-hand side for the field's terms, then the group offsets.

    Parameters
    ----------
    weight, target : (n, m) of every group in every spaxel
    basis : for each of the k terms of the curve its field terms, (n, p_k)
    bend : (k, m) the terms of the curve at each group

    Notes
    -----
    The term of the design in spaxel n and group m is a product, field term of n times curve term of m, so that the sum
    over m can be done first, for each spaxel, and the (n, m, p) design is never made. A free shift per spaxel is the
    same as removing each spaxel's weighted mean from both sides.
    """
    total = np.maximum(weight.sum(axis=1), 1e-12)
    # The columns of a spaxel's own design: k terms of the curve and one for each group's offset.
    mean_bend = weight @ bend.T / total[:, None]
    mean_target = (weight * target).sum(axis=1) / total
    moved = weight[:, None, :] * (bend[None] - mean_bend[:, :, None])
    of_target = weight * (target - mean_target[:, None])
    squares = moved @ bend.T
    rows = [
        np.hstack([b.T @ (squares[:, i, j, None] * c) for j, c in enumerate(basis)] + [b.T @ moved[:, i]])
        for i, b in enumerate(basis)
    ]
    offsets = np.diag(weight.sum(axis=0)) - weight.T @ (weight / total[:, None])
    field = np.vstack(rows)
    n_poly = len(field)
    normal = np.vstack([field, np.hstack([field[:, n_poly:].T, offsets])])
    right = np.concatenate([b.T @ (of_target @ bend[i]) for i, b in enumerate(basis)] + [of_target.sum(axis=0)])
    return normal, right


def _refine(
    coeff: NDArray[Any], xi: NDArray[Any], residual: NDArray[Any], weight: NDArray[Any]
) -> NDArray[np.floating]:
    """Per-spaxel shift, stretch and bend from what the field model leaves, shrunk by what their scatter justifies."""
    k = 3 if coeff.shape[1] > 2 else 2
    powers = np.stack([xi**i for i in range(k)], axis=-1)
    normal = np.einsum("nm,mi,mj->nij", weight, powers, powers)
    right = np.einsum("nm,mi,nm->ni", weight, powers, residual)
    full = (weight > 0).sum(axis=1) >= max(k + 2, int(0.6 * (weight > 0).any(axis=0).sum()))
    prior = np.full(k, 1e-6)
    prior[0] = 1.0**2
    if full.sum() > 20:
        inverse = np.linalg.inv(normal[full] + 1e-9 * np.eye(k))
        raw = np.einsum("nij,nj->ni", inverse, right[full])
        noise = np.einsum("nii->ni", inverse)
        for i in range(1, k):
            spread = (1.4826 * np.median(np.abs(raw[:, i] - np.median(raw[:, i])))) ** 2
            # What scatters more than the measuring error does is real and may be followed.
            prior[i] = max(spread - float(np.median(noise[:, i])), 1e-6)
    step = np.linalg.solve(normal + np.diag(1.0 / prior), right[..., None])[..., 0]
    result = coeff.copy()
    result[:, :k] += np.where(np.isfinite(step), step, 0.0)
    return result
