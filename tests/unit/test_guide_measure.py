"""Stars that were put on a frame come back: where, how bright, how wide, and what follows."""

from functools import cache

import numpy as np
import pytest

from sedmd.reduce.guide.brightness import FLOOR_MAG, ZeroPoint, grey_factor, zero_point
from sedmd.reduce.guide.camera import FILTERS, SkyScale, filters_of, spectrograph_pixel
from sedmd.reduce.guide.finder import find_stars
from sedmd.reduce.guide.match import match_stars, solve_plate
from sedmd.reduce.guide.measure import RcImage, measure_frames
from unit.guide_scenes import GAIN, on_chip, random_offsets, star_field, table_of

CENTRE = (150.0, 40.0)
EXPECTED = spectrograph_pixel()


def lattice():
    """Places in all filters, far from each other and from every rim."""
    grid = np.array([(x, y) for x in range(60, 2000, 77) for y in range(60, 2000, 83)], float)
    grid += np.random.default_rng(5).uniform(-3, 3, grid.shape)
    inside = [
        any(c.start + 40 < x < c.stop - 40 and r.start + 40 < y < r.stop - 40 for r, c in FILTERS.values())
        for x, y in grid
    ]
    return grid[inside][::6]


def widths(places, fwhm):
    """Of stars of this width at 6500 Angstrom in the light of their filters."""
    mean = {"u": 3560.0, "g": 4720.0, "r": 6190.0, "i": 7500.0, "": 6500.0}
    return fwhm * np.array([(mean[band] / 6500.0) ** -0.2 for band in filters_of(*places.T)])


@cache
def lattice_frame(fwhm, hits=0):
    places = lattice()
    electrons = np.geomspace(8e4, 1.0e6, len(places))
    frame = star_field(places, electrons, fwhm_px=widths(places, fwhm), slope=0.3, hits=hits)
    return places, electrons, frame


@pytest.mark.parametrize("fwhm", [2.6, 4.6, 8.0])
def test_stars_are_found_where_they_are_as_bright_and_as_wide(fwhm):
    places, electrons, frame = lattice_frame(fwhm)
    found = find_stars(frame, exptime_s=10.0, gain=GAIN)
    order = [int(np.argmin(np.hypot(found.x - x, found.y - y))) for x, y in places]
    assert np.hypot(found.x[order] - places[:, 0], found.y[order] - places[:, 1]).max() < 0.25
    clean = found.clean[order]
    assert clean.mean() > 0.9
    ratio = found.flux[order][clean] * 10.0 / electrons[clean]
    assert np.median(ratio) == pytest.approx(1.0, abs=0.025) and np.abs(ratio - 1).max() < 0.12
    pull = (found.flux[order][clean] * 10.0 - electrons[clean]) / (10.0 * found.error[order][clean])
    assert 0.5 < 1.4826 * np.median(np.abs(pull - np.median(pull))) < 2.0
    assert np.nanmedian(found.fwhm_px) == pytest.approx(fwhm, rel=0.02)
    assert (np.diff(found.flux) <= 0).all()


def test_cosmic_rays_tell_no_width():
    _, _, frame = lattice_frame(4.6, 150)
    found = find_stars(frame, exptime_s=10.0, gain=GAIN)
    assert np.nanmin(found.fwhm_px) > 3.5


def test_an_empty_frame_has_no_stars():
    empty = np.full((2048, 2048), 600, np.uint16)
    found = find_stars(
        empty + np.random.default_rng(1).integers(0, 9, empty.shape).astype(np.uint16), exptime_s=1, gain=1
    )
    assert len(found) < 5 and np.isnan(found.fwhm_px).all()
    measured = measure_frames([RcImage(data=empty, exptime_s=30.0, gain=GAIN)], None, None, expected_px=EXPECTED)
    assert measured.pointing is None and measured.seeing_arcsec is None and len(measured.lacking) == 2


def test_where_things_are_on_the_chip():
    # the spectrograph's mirror is in the cross; the published moves put a target into the filter that they name
    x, y = spectrograph_pixel()
    assert 850 < x < 1250 and 800 < y < 1250
    moves = {"r": (60, 110), "g": (-390, -328), "i": (-390, 93), "u": (60, -328)}
    for band, move in moves.items():
        at = SkyScale().pixels(-np.array([move], float))[0] + (1292, 1279)
        assert filters_of(at[:1], at[1:])[0] == band
    assert filters_of(np.array([x]), np.array([y]))[0] == ""
    sky = SkyScale(scale_arcsec=0.3921, turn_deg=-1.37)
    assert SkyScale.of(str(sky)) == sky
    offsets = random_offsets(9)
    assert sky.offsets(sky.pixels(offsets)) == pytest.approx(offsets)
    assert SkyScale().pixels(np.array([[39.4, 0.0], [0.0, 39.4]])) == pytest.approx(np.array([[-100, 0], [0, -100]]))


@pytest.mark.parametrize("count", [5, 12, 200])
@pytest.mark.parametrize(
    "turn, scale, shift", [(0.0, 0.394, (0, 0)), (1.3, 0.3965, (-210, 95)), (-2.2, 0.391, (60, -290))]
)
def test_a_field_is_recognised_at_any_shift_turn_and_scale(count, turn, scale, shift):
    rng = np.random.default_rng(count)
    offsets, sky = random_offsets(count, seed=count), SkyScale(scale_arcsec=scale, turn_deg=turn)
    origin = EXPECTED + shift
    places = on_chip(offsets, origin, sky) + 0.1 * rng.standard_normal((count, 2))
    # a quarter is seen and not in the table, and the table holds as many that are not seen
    places = rng.permutation(np.concatenate([places, rng.uniform(0, 2048, (count // 4, 2))]))
    table = np.concatenate([offsets, random_offsets(count // 4, seed=99)])
    found = match_stars(places, table, expected_px=EXPECTED)
    assert found is not None and len(found.star) >= count * 0.9
    plate = solve_plate([places], table, [found])
    assert plate.sky.turn_deg == pytest.approx(turn, abs=0.03) and plate.sky.scale_arcsec == pytest.approx(
        scale, rel=5e-4
    )
    assert plate.origins_px[0] == pytest.approx(origin, abs=0.25)
    assert plate.rms_arcsec == pytest.approx(0.1 * scale, rel=0.6)


@pytest.mark.parametrize("seed", range(5))
def test_another_field_is_not_recognised_nor_a_mirrored_one(seed):
    offsets = random_offsets(100, seed=seed)
    places = on_chip(offsets, EXPECTED)
    assert match_stars(places, random_offsets(100, seed=seed + 50), expected_px=EXPECTED) is None
    assert match_stars(places, offsets * [1, -1], expected_px=EXPECTED) is None
    assert match_stars(places[:3], offsets[:3], expected_px=EXPECTED) is None


def test_three_stars_are_enough_where_the_camera_is_known():
    sky = SkyScale(scale_arcsec=0.3931, turn_deg=0.8)
    offsets = random_offsets(3, seed=4)
    places = on_chip(offsets, EXPECTED + 5.0, sky)
    assert match_stars(places, offsets, expected_px=EXPECTED) is None
    found = match_stars(places, offsets, expected_px=EXPECTED, sky=sky, search_px=40.0)
    plate = solve_plate([places], offsets, [found], sky=sky)
    assert plate.sky == sky and plate.origins_px[0] == pytest.approx(EXPECTED + 5.0, abs=1e-6)


def test_a_wrong_pair_does_not_spoil_the_plate():
    offsets = random_offsets(30)
    places = on_chip(offsets, EXPECTED) + 0.05 * np.random.default_rng(3).standard_normal((30, 2))
    places[7] += [2.0, 1.2]
    found = match_stars(places, offsets, expected_px=EXPECTED)
    assert 7 in found.star
    plate = solve_plate([places], offsets, [found])
    assert 7 not in plate.pairs[0][:, 0] and plate.origins_px[0] == pytest.approx(EXPECTED, abs=0.06)


def test_frames_of_one_exposure():
    """Aim, drift, seeing and zero points from three frames; g is displaced by refraction."""
    offsets = random_offsets(60, seed=7, reach=330.0)
    table = table_of(CENTRE, offsets)
    sky, aim, seconds = SkyScale(scale_arcsec=0.3945, turn_deg=0.4), np.array([2.0, -3.0]), 30.0
    lift = {"g": (0.0, 0.5), "r": (0.0, 0.0), "i": (0.0, -0.2)}
    images = []
    for number, move in enumerate(((-0.2, 0.0), (0.0, 0.0), (0.2, 0.0))):
        origin = EXPECTED + sky.pixels(np.array([aim + move]))[0]
        places = on_chip(offsets, origin, sky)
        bands = filters_of(*places.T)
        places += [sky.pixels(np.array([lift.get(b, (0, 0))]))[0] for b in bands]
        mags = np.select([bands == b for b in "gri"], [table.magnitudes(b) for b in "gri"], default=19.0)
        electrons = seconds * 10 ** (0.4 * (24.5 - 0.12 - mags))
        seen = (places > 5).all(axis=1) & (places < 2040).all(axis=1) & (bands != "")
        frame = star_field(places[seen], electrons[seen], fwhm_px=widths(places[seen], 4.6), seed=number)
        images.append(RcImage(data=frame, exptime_s=seconds, gain=GAIN, at_s=100.0 * number))
    shifts = {band: lift[band] for band in "gri"}
    extinction = dict.fromkeys("gri", 0.12)
    found = measure_frames(images, table, CENTRE, expected_px=EXPECTED, shifts_arcsec=shifts, extinction_mag=extinction)
    assert found.lacking == () and found.frames == 3
    where = found.pointing
    assert (where.east_arcsec, where.north_arcsec) == pytest.approx(aim, abs=0.04)
    assert where.drift_arcsec == pytest.approx((0.4, 0.0), abs=0.04)
    assert where.rms_arcsec < 0.1 and where.count > 25 and where.error_arcsec < 0.12
    assert found.seeing_arcsec == pytest.approx(4.6 * 0.3945, rel=0.03)
    for point in found.zero_points.values():
        assert point.mag == pytest.approx(24.5, abs=0.03)
    assert set(found.zero_points) == set("gri")
    # without the refraction the filters disagree, and the target is elsewhere
    other = measure_frames(images[:1], table, CENTRE, expected_px=EXPECTED).pointing
    assert other.rms_arcsec > 2 * where.rms_arcsec


def test_without_a_table_the_seeing_is_left():
    _, _, frame = lattice_frame(4.6)
    found = measure_frames([RcImage(data=frame, exptime_s=30.0, gain=GAIN)], None, CENTRE, expected_px=EXPECTED)
    assert (
        found.pointing is None
        and not found.zero_points
        and found.lacking == ("position and transparency: no star table",)
    )
    assert found.seeing_arcsec is not None and found.seeing_error_arcsec < 0.1


def test_a_zero_point_is_what_makes_one_electron_a_second():
    mags = np.linspace(14, 17, 8)
    flux = 10 ** (0.4 * (25.0 - 0.2 - mags))
    found = zero_point(flux, flux / 100, mags, "r", extinction_mag=0.2)
    assert found.mag == pytest.approx(25.0) and found.count == 8
    assert found.error == pytest.approx(
        np.hypot(np.sqrt(0.0109**2 + 0.038**2 + 0.02**2) / np.sqrt(8), FLOOR_MAG), rel=0.01
    )
    odd = flux * np.where(np.arange(8) == 3, 5.0, 1.0)
    assert zero_point(odd, flux / 100, mags, "r", extinction_mag=0.2).mag == pytest.approx(25.0)
    assert zero_point(flux[:0], flux[:0], mags[:0], "r", extinction_mag=0.2) is None
    assert zero_point(flux, flux / 100, np.full(8, np.nan), "r", extinction_mag=0.2) is None


def points(mag, count=6, error=0.02):
    return {band: ZeroPoint(mag=mag, error=error, count=count) for band in "gri"}


def test_clouds_over_the_target_make_the_factor_larger():
    found = grey_factor(points(24.0), points(24.5))
    assert found.factor == pytest.approx(10**0.2) and found.error / found.factor == pytest.approx(
        0.921 * 0.02 * np.sqrt(2 / 3), rel=0.01
    )
    assert grey_factor(points(24.5), points(24.0)).factor == pytest.approx(10**-0.2)


def test_fewer_than_five_stars_tell_no_factor():
    assert grey_factor(points(24.0, count=1), points(24.0)) is None
    assert grey_factor(points(24.0), points(24.0, count=1)) is None
    assert grey_factor({"g": points(24.0)["g"]}, {"r": points(24.0)["r"]}) is None
    assert grey_factor({}, {}) is None
    assert grey_factor(points(24.0, count=2), points(24.0, count=2)) is not None


def test_cosmic_rays_of_an_empty_field_tell_no_seeing():
    """A few faint stars, and hits as wide as a sharp star: what does not recur is not a star."""
    images, order = [], np.random.default_rng(8).permutation(len(lattice()))
    for number in range(3):
        hits = lattice()[order[12 * number : 12 * number + 12]]
        images.append(
            RcImage(data=star_field(hits, 3e5, fwhm_px=2.2, seed=number), exptime_s=30.0, gain=GAIN, at_s=40.0 * number)
        )
    found = measure_frames(images, None, None, expected_px=EXPECTED)
    assert found.seeing_arcsec is None and "seeing" in found.lacking[-1]
