"""Widths of all traces: one smooth function of the field, and what each trace is wider than that by."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: A lenslet's image is wider than the field's by at most this, as a factor.
WIDEST = 1.1


def fit_widths(
    design: NDArray[np.floating],
    trace: NDArray[np.integer],
    own: NDArray[np.floating],
    width: NDArray[np.floating],
    weight: NDArray[np.floating],
    *,
    each: bool,
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """The field of widths, and the factor by which each trace differs from it.

    Parameters
    ----------
    design : (n, m) terms of the field at the samples
    trace : (n,) trace of each sample
    own : (n_trace,) present factors
    width, weight : (n,) measured width of each sample [pixel] and its inverse variance
    each : whether traces may differ; without, the field alone is fitted and the factors stay

    Returns
    -------
    coefficients : (m,) of the field
    own : (n_trace,) factors

    Notes
    -----
    No lens of the array is quite as its neighbours. How much their images differ is measured on the traces themselves,
    beyond the errors: what is known of a faint one is drawn to the field by that (empirical Bayes, Robbins 1956).
    """
    factor = own[trace]
    scaled = design * (weight * factor)[:, None]
    normal = scaled.T @ (design * factor[:, None])
    normal += 1e-6 * np.trace(normal) / len(normal) * np.eye(len(normal))
    coefficients: NDArray[np.floating] = np.linalg.solve(normal, scaled.T @ width)
    if not each:
        return coefficients, own
    smooth = design @ coefficients
    n = own.size
    information = np.bincount(trace, weight * smooth**2, n)
    told = np.bincount(trace, weight * smooth * width, n) / np.maximum(information, 1e-9)
    return coefficients, _drawn_to_one(np.clip(told, 1.0 / WIDEST, WIDEST), information)


def _drawn_to_one(told: NDArray[Any], information: NDArray[Any]) -> NDArray[np.floating]:
    """The factors, each as far as it stands out of its error among all of them."""
    known = information > 0
    error2 = 1.0 / np.where(known, information, 1.0)
    spread2 = (
        max((1.4826 * float(np.median(np.abs(told[known] - 1.0)))) ** 2 - float(np.median(error2[known])), 0.0)
        if known.any()
        else 0.0
    )
    share = np.where(known, spread2 / (spread2 + error2), 0.0)
    found: NDArray[np.floating] = 1.0 + share * (told - 1.0)
    return found
