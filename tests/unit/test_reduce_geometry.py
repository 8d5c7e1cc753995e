"""The hexagonal array: coordinates in spite of distortion, gaps and ghosts; directions on the sky."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sedmd.core.instrument import CCD_TO_SKY
from sedmd.reduce.wavelength.geometry import Lattice, find_basis, find_lattice, node_at, sky_positions
from unit.reduce_scenes import rng


def array(angle_deg=10.0, pitch=47.0, *, distortion=1.0, jitter=0.5, radius=19, seed=1):
    """Detector places of a hexagonal array, with barrel distortion, stretch and shear; its q and r."""
    q, r = (a.ravel() for a in np.meshgrid(np.arange(-radius, radius + 1), np.arange(-radius, radius + 1)))
    a = np.deg2rad(angle_deg)
    step_q = pitch * np.array([np.cos(a), np.sin(a)])
    step_r = pitch * np.array([np.cos(a + np.pi / 3), np.sin(a + np.pi / 3)])
    place = q[:, None] * step_q + r[:, None] * step_r
    u = place / 1000.0
    bent = place + distortion * np.column_stack(
        [
            14 * u[:, 0] * (u**2).sum(axis=1) + 9 * u[:, 1] ** 2,
            -11 * u[:, 1] * (u**2).sum(axis=1) + 7 * u[:, 0] * u[:, 1],
        ]
    )
    bent += 1024 + rng(seed).normal(0, jitter, bent.shape)
    keep = (np.abs(bent - 1024) < 960).all(axis=1)
    return bent[keep, 0], bent[keep, 1], q[keep], r[keep]


def same_up_to_origin(found, truth):
    return np.unique(found - truth).size == 1


@pytest.mark.parametrize("angle", [-25.0, -8.0, 0.0, 10.0, 22.0])
def test_every_point_has_its_node(angle):
    x, y, q, r = array(angle)
    lattice = find_lattice(x, y)
    assert lattice.on_lattice.all()
    assert same_up_to_origin(lattice.q, q) and same_up_to_origin(lattice.r, r)
    assert lattice.pitch == pytest.approx(47.0, rel=0.01)
    assert lattice.angle_deg == pytest.approx(angle, abs=0.5)
    assert np.nanmax(lattice.residual) < 5


def test_missing_and_spurious_points():
    x, y, q, r = array()
    random = rng(3)
    keep = random.random(x.size) > 0.12
    x, y, q, r = x[keep], y[keep], q[keep], r[keep]
    n = x.size
    # Ghosts half way between three spaxels, and doubles next to real ones.
    ghost = random.choice(n, 12, replace=False)
    basis = find_basis(x, y)
    middle = (basis[0] + basis[1]) / 3
    double = random.choice(n, 8, replace=False)
    gx = np.concatenate([x, x[ghost] + middle[0], x[double] + 12.0])
    gy = np.concatenate([y, y[ghost] + middle[1], y[double] + 3.0])
    lattice = find_lattice(gx, gy)
    assert lattice.on_lattice[:n].mean() > 0.995
    assert not lattice.on_lattice[n : n + 12].any(), "a ghost has a node"
    assert not lattice.on_lattice[n + 12 :].any(), "a double took the node of a spaxel"
    use = np.flatnonzero(lattice.on_lattice)
    pairs = np.column_stack([lattice.q[use], lattice.r[use]])
    assert np.unique(pairs, axis=0).shape == pairs.shape
    real = use[use < n]
    assert same_up_to_origin(lattice.q[real], q[real]) and same_up_to_origin(lattice.r[real], r[real])


def test_unknown_places_have_no_node():
    x, y, *_ = array()
    x[[5, 80]] = np.nan
    lattice = find_lattice(x, y)
    assert not lattice.on_lattice[[5, 80]].any()
    assert np.isnan(lattice.residual[[5, 80]]).all()


def test_basis_is_nearest_to_the_x_axis_and_sixty_degrees_on():
    step_q, step_r = find_basis(*array(18.0)[:2])
    turn = np.degrees(np.arctan2(step_r[1], step_r[0]) - np.arctan2(step_q[1], step_q[0]))
    assert np.degrees(np.arctan2(step_q[1], step_q[0])) == pytest.approx(18, abs=2)
    assert turn == pytest.approx(60, abs=3)


def test_scattered_points_are_no_lattice():
    random = rng(6)
    with pytest.raises(ValueError, match="do not lie on a hexagonal lattice"):
        find_basis(random.uniform(0, 2048, 300), random.uniform(0, 2048, 300))


def perfect(angle_deg):
    q, r = (a.ravel() for a in np.meshgrid(np.arange(-3, 4), np.arange(-3, 4)))
    none = np.zeros(2)
    return Lattice(
        q=q,
        r=r,
        on_lattice=np.ones(q.size, bool),
        residual=np.zeros(q.size),
        step_q=none,
        step_r=none,
        pitch=47.0,
        angle_deg=angle_deg,
    )


@pytest.mark.parametrize("angle", [-20.0, 0.0, 13.0])
def test_sky_is_east_against_x_and_north_against_y(angle):
    lattice = perfect(angle)
    x, y = sky_positions(lattice, pitch_arcsec=0.627, ccd_to_sky=CCD_TO_SKY, origin_node=(0.0, 0.0))
    a = np.deg2rad(angle)
    # One step of q on the detector goes towards +x turned by the angle; on the sky that is West and South.
    step = (lattice.q == 1) & (lattice.r == 0)
    assert_allclose([x[step][0], y[step][0]], [-0.627 * np.cos(a), -0.627 * np.sin(a)], atol=1e-12)
    step = (lattice.q == 0) & (lattice.r == 1)
    b = a + np.pi / 3
    assert_allclose([x[step][0], y[step][0]], [-0.627 * np.cos(b), -0.627 * np.sin(b)], atol=1e-12)


def test_neighbours_are_one_pitch_apart_and_the_origin_is_at_its_node():
    lattice = perfect(17.0)
    x, y = sky_positions(lattice, pitch_arcsec=0.627, ccd_to_sky=CCD_TO_SKY, origin_node=(1.0, -2.0))
    at = (lattice.q == 1) & (lattice.r == -2)
    assert_allclose([x[at][0], y[at][0]], 0, atol=1e-12)
    for dq, dr in [(1, 0), (0, 1), (1, -1)]:
        one = (lattice.q == 0) & (lattice.r == 0)
        two = (lattice.q == dq) & (lattice.r == dr)
        assert np.hypot(x[one] - x[two], y[one] - y[two]) == pytest.approx(0.627)


def test_node_of_a_place_between_spaxels():
    x, y, q, _r = array(distortion=1.0, jitter=0.0)
    lattice = find_lattice(x, y)
    k = int(np.argmin(np.hypot(x - 1200, y - 900)))
    found = node_at(lattice, x, y, (x[k], y[k]))
    assert_allclose(found, (lattice.q[k], lattice.r[k]), atol=0.05)
    neighbour = np.flatnonzero((lattice.q == lattice.q[k] + 1) & (lattice.r == lattice.r[k]))[0]
    half = node_at(lattice, x, y, ((x[k] + x[neighbour]) / 2, (y[k] + y[neighbour]) / 2))
    assert_allclose(half, (lattice.q[k] + 0.5, lattice.r[k]), atol=0.05)
    assert same_up_to_origin(lattice.q, q)
