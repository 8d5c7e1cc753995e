"""The lenslet array: hexagonal coordinates of the spaxels and where they look on the sky."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

#: Regular hexagonal lattice: Cartesian coordinates of the steps q and r for unit pitch.
HEX_BASIS = np.array([[1.0, 0.0], [0.5, np.sqrt(3) / 2]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Lattice:
    """Hexagonal coordinates of points on the detector.

    Attributes
    ----------
    q, r : (n,) int, axial coordinates; neighbours differ by (1, 0), (0, 1) or (1, -1)
    on_lattice : (n,) bool, the point lies within a third of a pitch of its node and has the node for itself
    residual : (n,) pixel, distance from the smooth lattice
    step_q, step_r : (2,) pixel, the basis at the middle of the field
    pitch : float, pixel, mean distance of neighbours
    angle_deg : float, angle from the +x axis of the detector to the q axis of the regular lattice that fits best
    """

    q: NDArray[np.int64]
    r: NDArray[np.int64]
    on_lattice: NDArray[np.bool_]
    residual: NDArray[np.floating]
    step_q: NDArray[np.floating]
    step_r: NDArray[np.floating]
    pitch: float
    angle_deg: float


def find_basis(x: NDArray[np.floating], y: NDArray[np.floating]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The two lattice steps, the first the one nearest to +x, the second 60 degrees further towards +y.

    Parameters
    ----------
    x, y : (n,) pixel, positions of the spaxels at one wavelength

    Returns
    -------
    step_q, step_r : (2,) pixel

    Raises
    ------
    ValueError
        If the neighbours of the points do not cluster in six directions.
    """
    points = np.column_stack([x, y])
    middle = np.median(points, axis=0)
    near = np.argsort(((points - middle) ** 2).sum(axis=1))[: max(60, len(points) // 3)]
    tree = cKDTree(points)
    _, index = tree.query(points[near], k=7)
    vectors = (points[index[:, 1:]] - points[near][:, None]).reshape(-1, 2)
    # Fold opposite directions together, then follow the densest cluster.
    vectors = np.where((vectors[:, :1] < 0) | ((vectors[:, :1] == 0) & (vectors[:, 1:] < 0)), -vectors, vectors)
    steps: list[NDArray[Any]] = []
    left = vectors
    for _ in range(3):
        if len(left) < 10:
            break
        radius = 0.15 * np.median(np.hypot(*left.T))
        counts = cKDTree(left).query_ball_point(left, radius, return_length=True)
        centre = left[int(np.argmax(counts))]
        for _ in range(5):
            close = np.hypot(*(left - centre).T) < radius
            centre = np.median(left[close], axis=0)
        # Each of the three directions holds a third of the neighbours; scattered points have a per cent in any one.
        if close.sum() < 0.08 * len(vectors):
            break
        steps.append(centre)
        left = left[np.hypot(*(left - centre).T) > 2.5 * radius]
    if len(steps) < 3:
        raise ValueError(
            "the spaxels do not lie on a hexagonal lattice: their neighbours cluster in "
            f"{len(steps)} directions, 3 were expected"
        )
    both = [s for step in steps for s in (step, -step)]
    angle = np.array([np.arctan2(s[1], s[0]) for s in both])
    first = int(np.argmin(np.abs(angle)))
    turn = np.mod(angle - angle[first], 2 * np.pi)
    turn[first] = np.inf
    return both[first], both[int(np.argmin(np.where(turn > 0.3, turn, np.inf)))]


def find_lattice(x: NDArray[np.floating], y: NDArray[np.floating]) -> Lattice:
    """Give every point its hexagonal coordinates, following the distortion of the field outwards.

    Parameters
    ----------
    x, y : (n,) pixel, positions of the spaxels at one wavelength; NaN = unknown

    Returns
    -------
    Lattice; the origin is the point nearest to the middle of the points
    """
    known = np.isfinite(x) & np.isfinite(y)
    points = np.column_stack([x, y])
    step_q, step_r = find_basis(x[known], y[known])
    middle = np.median(points[known], axis=0)
    origin = points[np.nanargmin(((points - middle) ** 2).sum(axis=1))]
    pitch = float((np.hypot(*step_q) + np.hypot(*step_r) + np.hypot(*(step_r - step_q))) / 3)
    radius = np.hypot(*(points - origin).T)
    model = np.vstack([origin, step_q, step_r])
    order = 1
    node = np.zeros((len(x), 2))
    for limit in np.r_[np.arange(3.0, np.nanmax(radius) / pitch + 3.0, 2.0), [np.inf, np.inf]]:
        node = np.rint(_invert(points, model, order))
        inner = known & (radius <= limit * pitch)
        gap = np.hypot(*(points - lattice_terms(node, order) @ model).T)
        inner &= gap < 0.33 * pitch
        order = 1 if limit < 6 else 3
        design = lattice_terms(node[inner], order)
        model, *_ = np.linalg.lstsq(design, points[inner], rcond=None)
    node = np.rint(_invert(points, model, order))
    residual = np.hypot(*(points - lattice_terms(node, order) @ model).T)
    q, r = np.where(known[:, None], node, 0).astype(int).T
    good = known & (residual < 0.33 * pitch)
    # Two points on one node: the one nearer to the node has it.
    rank = np.argsort(np.where(good, residual, np.inf), kind="stable")
    _, first = np.unique(np.column_stack([q, r])[rank], axis=0, return_index=True)
    alone = np.zeros(len(x), bool)
    alone[rank[first]] = True
    regular = np.column_stack([q, r]) @ HEX_BASIS
    use = good & alone
    a, b = regular[use] - regular[use].mean(axis=0), points[use] - points[use].mean(axis=0)
    angle = np.arctan2((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum(), (a * b).sum())
    return Lattice(
        q=q,
        r=r,
        on_lattice=use,
        residual=np.where(known, residual, np.nan),
        step_q=step_q,
        step_r=step_r,
        pitch=pitch,
        angle_deg=float(np.degrees(angle)),
    )


def lattice_terms(node: NDArray[Any], order: int) -> NDArray[np.floating]:
    """Powers of q and r up to total degree `order`: 1, q, r, then the higher ones."""
    q, r = node[:, 0], node[:, 1]
    columns = [np.ones_like(q), q, r]
    for degree in range(2, order + 1):
        columns += [(q / 10) ** i * (r / 10) ** (degree - i) for i in range(degree + 1)]
    return np.column_stack(columns)


def _invert(points: NDArray[Any], model: NDArray[Any], order: int) -> NDArray[np.floating]:
    """Fractional (q, r) of detector positions under the distorted lattice (Newton with the linear part)."""
    inverse = np.linalg.inv(model[1:3])
    node = (np.nan_to_num(points) - model[0]) @ inverse
    for _ in range(12):
        node = node + np.clip((np.nan_to_num(points) - lattice_terms(node, order) @ model) @ inverse, -3, 3)
    return np.asarray(node)


def sky_positions(
    lattice: Lattice, *, pitch_arcsec: float, ccd_to_sky: NDArray[np.floating], origin_node: tuple[float, float]
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Offsets on the sky of every spaxel.

    Parameters
    ----------
    lattice : Lattice
    pitch_arcsec : distance of neighbouring spaxels
    ccd_to_sky : (2, 2) orthogonal matrix that turns detector directions (x, y) into (East, North)
    origin_node : (q, r), fractional, that looks at the field centre

    Returns
    -------
    x_arcsec, y_arcsec : (n,) East and North offsets

    Notes
    -----
    The lenslet array is regular; what is distorted is its image on the detector. So the sky position comes from the
    integer coordinates, not from detector pixels.
    """
    regular = (np.column_stack([lattice.q, lattice.r]) - np.asarray(origin_node)) @ HEX_BASIS
    angle = np.radians(lattice.angle_deg)
    turned = regular @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    sky = pitch_arcsec * turned @ np.asarray(ccd_to_sky).T
    return sky[:, 0], sky[:, 1]


def node_at(lattice: Lattice, x: NDArray[Any], y: NDArray[Any], where: tuple[float, float]) -> tuple[float, float]:
    """Fractional (q, r) of a detector position, from the spaxels around it."""
    use = np.flatnonzero(lattice.on_lattice)
    near = use[np.argsort(np.hypot(x[use] - where[0], y[use] - where[1]))[:30]]
    design = np.column_stack([np.ones(near.size), x[near] - where[0], y[near] - where[1]])
    solution, *_ = np.linalg.lstsq(design, np.column_stack([lattice.q[near], lattice.r[near]]), rcond=None)
    return float(solution[0, 0]), float(solution[0, 1])
