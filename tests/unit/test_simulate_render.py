"""Expected electrons: nothing is lost, lines land where the optics say, widths and flexure are what was asked for."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from sedmd.core.errors import ConfigError
from sedmd.simulate import PlannedExposure, build_instrument, load_profile
from sedmd.simulate.expose import lights_of
from sedmd.simulate.optics import Optics, build_optics
from sedmd.simulate.render import (
    BLOCK,
    LightComponent,
    column_flux,
    enlarge,
    expected_electrons,
    scattered_light,
    spread,
    wings_beyond_reach,
)
from sedmd.simulate.spectra import GRID


@cache
def optics(name: str = "2017") -> Optics:
    return build_optics(load_profile(name), 1)


def inner(o: Optics) -> np.ndarray:
    return o.complete(3300.0, 10690.0, margin=20.0)


def only(o: Optics, index: int) -> np.ndarray:
    factor = np.zeros(len(o))
    factor[index] = 1.0
    return factor


def test_smooth_light_is_conserved() -> None:
    o = optics()
    continuum = np.exp(-0.5 * ((GRID - 6400.0) / 900.0) ** 2) * 10.0
    flux = column_flux(o, [LightComponent(continuum=continuum)]).flux.sum(axis=1)
    expected = np.trapezoid(continuum * o.throughput(GRID), GRID, axis=1)
    assert np.allclose(flux, expected, rtol=2e-4)


@pytest.mark.parametrize("flexure", [0.0, 0.37, -1.4])
def test_lines_are_conserved(flexure: float) -> None:
    o = optics()
    light = LightComponent(
        line_wavelength=np.array([4046.56, 6500.0, 9045.45]), line_electrons=np.array([100.0, 50.0, 25.0])
    )
    flux = column_flux(o, [light], flexure_x=flexure).flux.sum(axis=1)
    expected = (o.throughput(light.line_wavelength) * light.line_electrons).sum(axis=1)
    assert np.allclose(flux, expected, rtol=1e-6)


def test_electrons_on_the_chip_are_those_in_the_columns() -> None:
    o = optics()
    columns = column_flux(o, [LightComponent(continuum=np.full(len(GRID), 3.0), factor=inner(o).astype(float))])
    image = spread(o, columns)
    assert image.sum(dtype=float) == pytest.approx(columns.flux.sum(), rel=1e-5)


def test_scattering_neither_makes_nor_loses_light_in_the_middle_of_the_chip() -> None:
    o = optics()
    index = int(np.argmin(np.hypot(o.x0 - 1024, o.y0 - 1024)))
    light = LightComponent(continuum=np.full(len(GRID), 30.0), factor=only(o, index))
    direct = spread(o, column_flux(o, [light]))
    total = expected_electrons(o, [light]).image
    # the broadest halo (420 px) loses a little over the edges of the chip
    assert total.sum(dtype=float) == pytest.approx(direct.sum(dtype=float), rel=2e-3)


@pytest.mark.parametrize(("dx", "dy"), [(0.0, 0.0), (0.8, 0.0), (0.0, -0.6), (-1.3, 1.2)])
def test_a_line_lands_where_the_optics_and_the_flexure_put_it(dx: float, dy: float) -> None:
    o = optics("shifted")
    index = int(np.nonzero(inner(o))[0][500])
    light = LightComponent(line_wavelength=np.array([5460.75]), line_electrons=np.array([1e5]), factor=only(o, index))
    image = spread(o, column_flux(o, [light], flexure_x=dx), flexure_x=dx, flexure_y=dy).astype(float)
    x = float(o.x_of(5460.75)[index])
    y = float(o.y_of(o.x_of(5460.75)[:, None])[index, 0])
    rows, cols = np.indices(image.shape, sparse=True)
    total = image.sum()
    assert (image * cols).sum() / total == pytest.approx(x + dx, abs=0.005)
    # the trace bends under the line by nothing that matters
    assert (image * rows).sum() / total == pytest.approx(y + dy, abs=0.005)


def test_widths_of_core_and_wings() -> None:
    o = optics()
    index = int(np.nonzero(inner(o))[0][300])
    lam = np.array([6500.0])
    light = LightComponent(line_wavelength=lam, line_electrons=np.array([1e6]), factor=only(o, index))
    image = spread(o, column_flux(o, [light])).astype(float)
    profile = image.sum(axis=1)
    y = float(o.y_of(o.x_of(lam))[index, 0])
    rows = np.arange(len(profile))
    sigma = o.trace_sigma(lam)[index, 0]
    core = np.abs(rows - y) < 1.5
    gauss = np.exp(-0.5 * ((rows - y) / np.hypot(sigma, np.sqrt(1 / 12))) ** 2)
    ratio = profile[core] / gauss[core]
    assert ratio.std() / ratio.mean() < 0.05
    # Moffat wings of beta 2 collapsed to one dimension: 2/pi (arctan u + u/(1 + u^2)) of them within u scales
    edges = np.floor(y + 0.5) + np.array([-5.5, 5.5])
    u = (edges - y) / o.profile.width.wing_scale
    inside = np.diff(np.arctan(u) + u / (1.0 + u**2))[0] / np.pi
    far = (rows < edges[0]) | (rows > edges[1])
    expected = o.profile.width.wing_fraction * (1.0 - inside) - wings_beyond_reach(o)
    assert profile[far].sum() / profile.sum() == pytest.approx(expected, rel=0.1)
    assert 0.0 < wings_beyond_reach(o) < 0.01


def test_traces_of_neighbours_overlap_through_their_wings() -> None:
    o = optics()
    rows = np.argsort(np.hypot(o.x0 - 1024, o.y0 - 1024))[0]
    light = LightComponent(continuum=np.full(len(GRID), 100.0), factor=only(o, int(rows)))
    image = spread(o, column_flux(o, [light]))
    y = round(float(o.y0[rows]))
    centre = image[y, int(o.x0[rows])]
    assert 1e-4 < image[y + 7, int(o.x0[rows])] / centre < 0.02


def test_scattered_light_of_a_uniform_image() -> None:
    o = optics()
    halo = scattered_light(o, np.full((2048, 2048), 100.0, dtype=np.float32))
    expected = 100.0 * (o.profile.scatter.fraction + o.profile.scatter.ghost)
    assert halo.shape == (2048 // BLOCK, 2048 // BLOCK)
    assert halo[64, 64] == pytest.approx(expected, rel=0.02)
    assert halo[0, 0] < halo[64, 64]


def scattering(o: Optics, **how: object) -> Optics:
    """The same instrument with another way of scattering."""
    return replace(o, profile=replace(o.profile, scatter=replace(o.profile.scatter, **how)))


def test_a_second_image_is_the_spectra_elsewhere_and_counts_as_scattered() -> None:
    o = optics()
    index = int(np.argmin(np.hypot(o.x0 - 1024, o.y0 - 1024)))
    light = LightComponent(continuum=np.full(len(GRID), 1e3), factor=only(o, index))
    without = expected_electrons(o, [light])
    with_image = expected_electrons(scattering(o, image=(300.0, -160.0, 0.004, 0.0)), [light])
    more = with_image.image.astype(float) - without.image
    direct = spread(o, column_flux(o, [light])).astype(float)
    assert np.allclose(more[:-160, 300:], 0.004 * direct[160:, :-300], atol=0.004 * 1e-3 * direct.max() + 1e-3)
    assert more.sum() == pytest.approx(0.004 * direct.sum(), rel=1e-3)
    assert (with_image.scattered - without.scattered).sum() * BLOCK**2 == pytest.approx(more.sum(), rel=1e-3)


def test_light_beyond_the_chip_is_scattered_onto_it() -> None:
    o = optics()
    far = int(np.argmax(o.x0))  # its spectrum begins beyond the right edge
    light = LightComponent(continuum=np.full(len(GRID), 1e3), factor=only(o, far))
    within, beyond = (expected_electrons(one, [light]) for one in (o, scattering(o, beyond=512)))
    assert beyond.image.shape == within.image.shape
    assert beyond.scattered.shape == within.scattered.shape
    assert beyond.scattered.sum() > 1.2 * within.scattered.sum()
    # what falls onto the chip itself does not change
    middle = int(np.argmin(np.hypot(o.x0 - 1024, o.y0 - 1024)))
    same = LightComponent(continuum=np.full(len(GRID), 1e3), factor=only(o, middle))
    narrow = {"ghost": 0.0, "scales": (20.0,), "weights": (1.0,)}
    one, other = (expected_electrons(scattering(o, **narrow, beyond=width), [same]).image for width in (0, 256))
    assert np.allclose(one, other, atol=1e-3 * one.max())


def test_a_border_of_broken_cells_is_an_error() -> None:
    light = LightComponent(continuum=np.full(len(GRID), 1.0))
    with pytest.raises(ConfigError, match="multiple of 16"):
        expected_electrons(scattering(optics(), beyond=100), [light])


def test_enlarge_keeps_a_plane() -> None:
    coarse = np.add.outer(2.0 * np.arange(8), 3.0 * np.arange(8))
    fine = enlarge(coarse, 128)
    centre = (np.arange(128) - 7.5) / 16.0
    inside = slice(8, 120)
    assert np.allclose(fine[inside, inside], np.add.outer(2 * centre, 3 * centre)[inside, inside], atol=1e-4)
    assert fine.mean() == pytest.approx(coarse.mean(), rel=1e-5)


def test_no_light_no_electrons() -> None:
    nothing = expected_electrons(optics(), [])
    assert not nothing.image.any() and not nothing.scattered.any()


def lamp_spectrum(profile: str, lamp: str) -> tuple[np.ndarray, np.ndarray]:
    """Mean over complete spaxels of the electrons per column of a lamp, against wavelength."""
    made = build_instrument(profile, 1)
    exposure = PlannedExposure(kind=lamp, start=2457916.7, object="", target="", exptime=30.0, speed=0.1, light=lamp)
    columns = column_flux(made.optics, lights_of(made, exposure))
    grid = np.arange(4000.0, 9600.0, 10.0)
    rows = np.nonzero(made.optics.complete())[0][::20]
    order = [np.argsort(columns.wavelength[i]) for i in rows]
    each = [np.interp(grid, columns.wavelength[i][o], columns.flux[i][o]) for i, o in zip(rows, order)]
    return grid, np.mean(each, axis=0)


def test_lamps_of_the_built_instrument_shine_between_their_lines() -> None:
    # frames of 2013: xenon near 7750 A at 0.3 to 0.5 of the 8232 peak, mercury at 0.06 of the 5461 peak
    for lamp, peak, low, high in (("Xe", 8240.0, 0.25, 0.6), ("Hg", 5461.0, 0.03, 0.09)):
        grid, seen = lamp_spectrum("2021", lamp)
        top = seen[np.abs(grid - peak) < 60.0].max()
        between = np.median(seen[np.abs(grid - 7740.0) < 60.0])
        assert low < between / top < high, lamp
    grid, seen = lamp_spectrum("2019", "Xe")
    assert np.median(seen[np.abs(grid - 7740.0) < 60.0]) < 0.05 * seen.max()
