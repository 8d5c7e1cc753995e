"""The second pass of cosmic rays: hits in a cube are found, true lines of any object are not."""

from dataclasses import replace

import numpy as np
import pytest

from sedmd.core.instrument import WAVELENGTH_GRID
from sedmd.reduce.cube.hits import LEAST_NEIGHBOURS, find_hits, neighbours, reject_hits, ring_of
from sedmd.reduce.numeric.containers import Mask
from sedmd.reduce.target.psf import Psf, extract_point
from sedmd.reduce.target.psf import Refraction as Offsets
from unit.reduce_scenes import PITCH, hex_spaxels, make_cube, moffat_share

WAVELENGTH = WAVELENGTH_GRID
BIN = np.arange(WAVELENGTH.size)
SPAXELS = hex_spaxels(11)
#: Bins of the lines of the sky.
SKY_LINES = np.array([110.3, 190.6, 212.0])
STAR = (0.4, -0.3)
STILL = Offsets(east=np.zeros(WAVELENGTH.size), north=np.zeros(WAVELENGTH.size))


def line(at, sigma_bins=0.9):
    """A line as narrow as the instrument makes any, of unit peak; `at` in bins."""
    return np.exp(-0.5 * ((BIN - at) / sigma_bins) ** 2)


def field(star=0.0, lines=0.0, fwhm=1.5, place=STAR):
    """Night sky with lines, and a star with narrow emission lines on a smooth spectrum."""
    sky = 40.0 + sum(strength * line(at) for strength, at in zip((600.0, 90.0, 300.0), SKY_LINES, strict=True))
    spectrum = star * (1 + 0.3 * np.sin(BIN / 25.0)) + lines * (line(60.2) + line(121.7) + line(170.0))
    return sky[:, None] + spectrum[:, None] * moffat_share(SPAXELS, *place, fwhm)[None, :]


def exposure(seed=3, **light):
    return make_cube(SPAXELS, WAVELENGTH, field(**light), seed=seed)


def struck(cube, hits):
    """The cube with (bin, spaxel, electron per Angstrom) more, the hits' own noise in the variance."""
    flux, variance = cube.flux.copy(), cube.variance.copy()
    for where, spaxel, charge in hits:
        flux[where, spaxel] += charge
        variance[where, spaxel] += abs(charge)
    return replace(cube, flux=flux, variance=variance)


def spaxel_at(x, y):
    return int(np.argmin(np.hypot(SPAXELS.x_arcsec - x, SPAXELS.y_arcsec - y)))


def error_at(cube, where, spaxel):
    return float(np.sqrt(cube.variance[where, spaxel]))


def test_nothing_is_found_where_nothing_fell():
    for seed in range(3):
        assert not find_hits(exposure(seed, star=4000.0, lines=6000.0)).any()


@pytest.mark.parametrize("sign", [1, -1])
def test_hits_and_cold_pixels_are_found_each_in_its_place(sign):
    cube = exposure(star=4000.0)
    rng = np.random.default_rng(8)
    interior = np.flatnonzero((neighbours(SPAXELS) >= 0).sum(axis=1) >= LEAST_NEIGHBOURS)
    spaxels = rng.choice(interior, 40, replace=False)
    wheres = rng.choice(np.arange(10, WAVELENGTH.size - 10), 40)
    quiet = np.flatnonzero(np.abs(wheres[:, None] - SKY_LINES).min(axis=1) > 6)
    hits = [(wheres[n], spaxels[n], sign * 12.0 * error_at(cube, wheres[n], spaxels[n])) for n in quiet]
    found = find_hits(struck(cube, hits))
    true = np.zeros_like(found)
    for where, spaxel, _ in hits:
        true[where, spaxel] = True
    star_light = field(star=4000.0) - field() > 0.5 * field()
    assert found[true & ~star_light].all()
    near = true | np.roll(true, 1, axis=0) | np.roll(true, -1, axis=0)  # the bin beside may be taken with it
    assert not found[~near].any() and found.sum() < true.sum() + 4


def test_a_hit_that_spills_into_the_next_bin_is_taken_whole():
    cube, spaxel = exposure(), spaxel_at(-3.0, 2.0)
    error = error_at(cube, 80, spaxel)
    cube.flux[81, spaxel] = 40.0  # no noise here: four sigma are not enough for a hit of its own
    assert not find_hits(struck(cube, [(81, spaxel, 4.2 * error)])).any()
    found = find_hits(struck(cube, [(80, spaxel, 30 * error), (81, spaxel, 4.2 * error)]))
    assert found[80, spaxel] and found[81, spaxel] and found.sum() == 2


def test_a_hit_on_a_line_of_the_sky_is_found_beside_the_same_line_in_all_spaxels():
    spaxel = spaxel_at(-3.0, 2.0)
    cube = make_cube(SPAXELS, WAVELENGTH, field())
    found = find_hits(struck(cube, [(190, spaxel, 200.0)]))
    assert found[190, spaxel] and found.sum() == 1


def test_the_noise_that_a_hit_brings_along_does_not_hide_it():
    spaxel, strength = spaxel_at(-3.0, 2.0), 65.0
    cube = make_cube(SPAXELS, WAVELENGTH, field())
    hit = struck(cube, [(80, spaxel, strength)])
    hit.variance[80, spaxel] += 3 * strength  # pixels that were masked beside it
    assert strength / np.sqrt(1.25 * hit.variance[80, spaxel]) < 5.0
    assert find_hits(hit)[80, spaxel]


@pytest.mark.parametrize("fwhm", [1.2, 1.5, 2.2])
@pytest.mark.parametrize("place", [(0.0, 0.0), (0.4, -0.3), (0.31, 0.18)])
def test_narrow_lines_of_an_object_survive_in_any_seeing(fwhm, place):
    for strength in (150.0, 1000.0, 3e4, 1e6):
        assert not find_hits(exposure(lines=strength, fwhm=fwhm, place=place)).any()


def test_absorption_and_lines_of_the_sky_survive():
    cube = exposure(star=3e4)
    deep = 1 - 0.7 * line(140.4)
    dark = replace(cube, flux=(cube.flux * deep[:, None]).astype(np.float32))
    assert not find_hits(dark).any()
    # places of a line that scatter by a tenth of a column from spaxel to spaxel
    off = np.random.default_rng(1).normal(0, 0.1, len(SPAXELS.q))
    moved = 40.0 + np.array([600.0 * line(110.3 + one) for one in off]).T
    assert not find_hits(make_cube(SPAXELS, WAVELENGTH, moved, seed=5)).any()


def test_a_line_whose_flux_is_measured_is_the_same_with_the_pass_and_a_hit_is_gone():
    psf = Psf(x_arcsec=STAR[0], y_arcsec=STAR[1], fwhm_arcsec=1.5, beta=3.0)
    clean = exposure(star=900.0, lines=3000.0)
    beside = spaxel_at(STAR[0] + PITCH, STAR[1])
    hit = struck(clean, [(90, beside, 40 * error_at(clean, 90, beside))])
    pure = extract_point(clean, psf, STILL)
    passed, n = reject_hits(clean)
    after = extract_point(passed, psf, STILL)
    assert n == 0 and np.array_equal(after.flux, pure.flux)
    saved, n = reject_hits(hit)
    assert n == 1 and saved.mask[90, beside] == Mask.COSMIC
    with_pass = extract_point(saved, psf, STILL)
    assert abs(with_pass.flux[90] - pure.flux[90]) < 1.5 * pure.error[90]
    far = np.abs(BIN - 90) > 1
    assert np.array_equal(with_pass.flux[far], pure.flux[far])


def test_masked_samples_are_neither_judged_nor_asked():
    cube, spaxel = exposure(), spaxel_at(2.0, 2.0)
    hit = struck(cube, [(80, spaxel, 30 * error_at(cube, 80, spaxel))])
    gone = hit.mask.copy()
    gone[80, spaxel] = Mask.OUTLIER
    assert not find_hits(replace(hit, mask=gone)).any()
    # with three neighbours left nobody can say
    few = hit.mask.copy()
    few[80, neighbours(SPAXELS)[spaxel][:3]] = Mask.NO_DATA
    assert not find_hits(replace(hit, mask=few)).any()
    some = hit.mask.copy()
    some[80, neighbours(SPAXELS)[spaxel][:2]] = Mask.NO_DATA
    assert find_hits(replace(hit, mask=some))[80, spaxel]


def test_the_ring_of_the_sharpest_image_is_that_of_a_gaussian_of_its_width():
    assert ring_of(SPAXELS) == pytest.approx(6 * 0.5 ** ((2 * PITCH / 1.2) ** 2))
    around = neighbours(SPAXELS)
    assert (around >= 0).sum(axis=1).max() == 6
    off = np.hypot(
        SPAXELS.x_arcsec[around] - SPAXELS.x_arcsec[:, None], SPAXELS.y_arcsec[around] - SPAXELS.y_arcsec[:, None]
    )
    assert off[around >= 0] == pytest.approx(PITCH)


def test_a_cube_without_data_or_with_two_spaxels_has_no_hits():
    cube = exposure()
    dark = replace(cube, mask=np.full_like(cube.mask, Mask.NO_DATA))
    assert not find_hits(dark).any()
    two = replace(cube, flux=cube.flux[:, :2], variance=cube.variance[:, :2], mask=cube.mask[:, :2])
    assert not find_hits(replace(two, spaxels=SPAXELS.part(np.arange(2)))).any()
