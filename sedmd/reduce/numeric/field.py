"""Smooth functions of the position on the detector: the optics changes slowly over the field, spaxels do not jump."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


def terms(x: NDArray[np.floating], y: NDArray[np.floating], order: int, size: float = 2048.0) -> NDArray[np.floating]:
    """All products of Legendre polynomials in x and y of total degree up to `order`.

    Parameters
    ----------
    x, y : (n,) position on the detector, pixel
    order : total degree
    size : side of the detector, pixel; [0, size] is mapped on [-1, 1]

    Returns
    -------
    (n, (order + 1)(order + 2)/2) float
    """
    u = np.polynomial.legendre.legvander(2 * np.asarray(x) / size - 1, order)
    v = np.polynomial.legendre.legvander(2 * np.asarray(y) / size - 1, order)
    return np.stack([u[..., i] * v[..., j] for i in range(order + 1) for j in range(order + 1 - i)], axis=-1)


def field_value(
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    order: int,
    coefficients: NDArray[np.floating],
    size: float = 2048.0,
) -> NDArray[np.floating]:
    """``terms(x, y, order) @ coefficients`` without the matrix, for many points.

    Parameters
    ----------
    x, y, order, size : as in `terms`
    coefficients : ((order + 1)(order + 2)/2,)

    Returns
    -------
    (n,) float

    Notes
    -----
    The Legendre polynomials are turned into powers, and these are summed by Horner's rule in x and, within, in y.
    """
    pairs = [(i, j) for i in range(order + 1) for j in range(order + 1 - i)]
    powers = np.zeros((order + 1, order + 1))
    powers[tuple(zip(*pairs, strict=True))] = coefficients
    to_powers = np.zeros((order + 1, order + 1))
    for k in range(order + 1):
        to_powers[: k + 1, k] = np.polynomial.legendre.leg2poly(np.eye(order + 1)[k, : k + 1])
    powers = to_powers @ powers @ to_powers.T
    u, v = 2 * np.asarray(x) / size - 1, 2 * np.asarray(y) / size - 1
    value, inner = np.zeros(u.shape), np.empty(u.shape)
    for i in range(order, -1, -1):
        inner[...] = powers[i, order - i]
        for j in range(order - i - 1, -1, -1):
            inner *= v
            inner += powers[i, j]
        value *= u
        value += inner
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldModel:
    """A polynomial over the detector.

    Attributes
    ----------
    order : int, total degree
    coefficients : (n_terms,) or (n_terms, m) for m quantities
    scatter : float or (m,), robust rms of the fit's residuals
    """

    order: int
    coefficients: NDArray[np.floating]
    scatter: NDArray[np.floating]

    def __call__(self, x: NDArray[np.floating], y: NDArray[np.floating]) -> NDArray[np.floating]:
        """Value(s) at positions (n,): (n,) or (n, m)."""
        return terms(x, y, self.order) @ self.coefficients


def affordable_order(order: int, n: int) -> int:
    """The degree, lowered until each term of the polynomial has five of `n` values."""
    while order > 0 and n < 5 * (order + 1) * (order + 2) // 2:
        order -= 1
    return order


def fit_field(
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    value: NDArray[np.floating],
    *,
    order: int = 3,
    weight: NDArray[np.floating] | None = None,
    clip: float = 4.0,
    ridge: float = 1e-6,
) -> FieldModel:
    """Fit a smooth function of the detector position, ignoring outliers.

    Parameters
    ----------
    x, y : (n,) pixel
    value : (n,); entries that are not finite are ignored
    order : total degree of the polynomial; lowered until there are five values per term
    weight : (n,) statistical weight, default 1
    clip : outliers beyond this many robust sigmas are rejected, four rounds
    ridge : relative regularisation, keeps ill-covered fields bounded

    Returns
    -------
    FieldModel

    Raises
    ------
    ValueError
        If there is no finite value.
    """
    finite = np.isfinite(value)
    if not finite.any():
        raise ValueError("no finite value to fit a field model to; at least one is needed")
    order = affordable_order(order, int(finite.sum()))
    design = terms(x, y, order)
    w = np.where(finite, 1.0 if weight is None else weight, 0.0)
    target = np.where(finite, value, 0.0)
    keep = w > 0
    coefficients = np.zeros(design.shape[1])
    scatter = 0.0
    for _ in range(5):
        a = design[keep] * w[keep, None]
        normal = a.T @ design[keep]
        normal += ridge * np.trace(normal) / len(normal) * np.diag(np.r_[0.0, np.ones(len(normal) - 1)])
        coefficients = np.linalg.solve(normal, a.T @ target[keep])
        residual = target - design @ coefficients
        scatter = 1.4826 * float(np.median(np.abs(residual[keep]))) + 1e-12
        keep = (w > 0) & (np.abs(residual) < clip * scatter)
    return FieldModel(order=order, coefficients=coefficients, scatter=np.asarray(scatter))
