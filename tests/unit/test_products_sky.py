"""Where the target and the field are on the sky: of the cards of real frames, and in the cube's own coordinates."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS

from sedmd.products.cube import write_cube
from sedmd.products.sky import middle_position, offset_of, sexagesimal_text, sky_position, target_position, target_text
from sedmd.products.target_positions import place_cards, place_in, places_for, star_position
from sedmd.reduce.target.place import Place
from unit.reduce_scenes import hex_spaxels, make_cube

#: Of a target at Dec +52: the encoder stands where the step from the acquisition camera to the IFU has put it.
REAL = {
    "OBJRA": "11:58:32.80",
    "OBJDEC": "+52:00:00.0",
    "RA": "11:58:21.76",
    "DEC": "+51:58:07.2",
    "RA_OFF": -102.0,
    "DEC_OFF": -112.84,
}
PLACE = Place(x_arcsec=-1.0, y_arcsec=3.4, spread_arcsec=0.9, source="12 exposures since 20211002")


def separation(one, two):
    a, b = (SkyCoord(*place, unit="deg") for place in (one, two))
    return a.separation(b).arcsec


def test_the_target_is_not_where_the_encoder_points():
    assert target_text(REAL) == ("11:58:32.80", "+52:00:00.0")
    assert separation(target_position(REAL), (179.6366667, 52.0)) < 0.1


@pytest.mark.parametrize("missing", [None, "NA", -999.0, ""])
def test_without_its_cards_the_target_is_the_encoder_less_the_offset(missing):
    header = REAL | {"OBJRA": missing, "OBJDEC": missing}
    assert separation(target_position(header), target_position(REAL)) < 1.0
    ra, dec = target_text(header)
    assert ra.startswith("11:58:32.") and dec.startswith(("+52:00:00", "+51:59:59"))


def test_a_header_that_tells_nothing_tells_nothing():
    assert target_position({"RA": "NA", "DEC": -999.0}) is None
    assert target_text({}) == ("", "")
    assert middle_position({}) is None


def test_without_offsets_the_encoder_is_all_there_is():
    assert target_position({"RA": "01:00:00", "DEC": "-00:30:00"}) == pytest.approx((15.0, -0.5))
    assert offset_of({"RA_OFF": -999.0, "DEC_OFF": 3.0}) is None


@pytest.mark.parametrize("dec", [-25.0, 0.0, 52.0, 85.0])
def test_an_offset_is_the_tangent_planes(dec):
    centre = SkyCoord(10.0, dec, unit="deg")
    offset = SkyCoord(*sky_position((10.0, dec), 12.0, -9.0), unit="deg")
    assert centre.separation(offset).arcsec == pytest.approx(15.0, abs=1e-4)
    east, north = (angle.to_value(u.arcsec) for angle in centre.spherical_offsets_to(offset))
    assert (east, north) == pytest.approx((12.0, -9.0), abs=0.01)


def test_positions_as_text():
    assert sexagesimal_text(179.6366667, 52.0) == ("11:58:32.80", "+52:00:00.0")
    assert sexagesimal_text(359.99999, -0.5) == ("00:00:00.00", "-00:30:00.0")


def test_the_cube_carries_the_sky_where_targets_land(tmp_path):
    """The target's position is that of the place where targets land, East and North as they are on the sky."""
    spaxels = hex_spaxels(8)
    cube = make_cube(spaxels, np.linspace(4000.0, 9000.0, 5), np.zeros((5, spaxels.q.size)))
    header = fits.Header(REAL)
    write_cube(tmp_path / "e3d.fits", cube, header=header, cards=place_cards(header, PLACE))
    with fits.open(tmp_path / "e3d.fits") as hdul:
        told, table = hdul[0].header, hdul["SPAXELS"]
        columns = [table.columns.names.index(name) + 1 for name in ("X", "Y")]
        wcs = WCS(table.header, keysel=["pixel"], colsel=columns)
    assert place_in(told) == PLACE
    assert (told["FIELDERR"], told["PLACEERR"]) == (0.9, 0.9)
    target = target_position(REAL)
    assert separation(wcs.wcs_pix2world([[PLACE.x_arcsec, PLACE.y_arcsec]], 1)[0], target) < 0.01
    assert separation(wcs.wcs_pix2world([[0.0, 0.0]], 1)[0], middle_position(told)) < 0.001
    middle = SkyCoord(*middle_position(told), unit="deg")
    east = SkyCoord(*wcs.wcs_pix2world([[5.0, 0.0]], 1)[0], unit="deg")
    north = SkyCoord(*wcs.wcs_pix2world([[0.0, 5.0]], 1)[0], unit="deg")
    assert middle.position_angle(east).deg == pytest.approx(90.0, abs=0.01)
    assert middle.position_angle(north).deg % 360 == pytest.approx(0.0, abs=0.01)
    assert middle.separation(east).arcsec == pytest.approx(5.0, abs=0.001)


def test_a_cube_of_unknown_target_has_no_coordinates(tmp_path):
    spaxels = hex_spaxels(4)
    cube = make_cube(spaxels, np.linspace(4000.0, 9000.0, 5), np.zeros((5, spaxels.q.size)))
    write_cube(tmp_path / "e3d.fits", cube, cards=place_cards({}, Place()))
    with fits.open(tmp_path / "e3d.fits") as hdul:
        assert "TCTYP4" not in hdul["SPAXELS"].header and "FIELDRA" not in hdul[0].header
        assert not place_in(hdul[0].header).known


def test_half_a_pair_lies_to_one_side_and_its_sky_is_as_uncertain():
    pair = place_cards(REAL | {"ABPAIR": True}, PLACE)
    assert pair["PLACEERR"][0] == 0.9 and pair["FIELDERR"][0] > 3.0
    (whole,), (half,) = (places_for(header_of(pair), half=half) for half in (False, True))
    assert whole.spread_arcsec == 0.9 and half.spread_arcsec > 3.0


def test_the_nights_star_and_the_setting_take_part():
    cube = header_of(place_cards(REAL, PLACE))
    near, far = {"XPOS": -0.6, "YPOS": 3.0}, {"XPOS": 5.0, "YPOS": -2.0}
    assert places_for(cube) == (PLACE,)
    assert len(places_for(cube, near)) == 1 and len(places_for(cube, far)) == 2
    assert places_for(cube, {"XPOS": None}) == (PLACE,)
    assert [place.spread_arcsec for place in places_for(cube, far, pointing_arcsec=2.5)] == [2.5, 2.5]
    # the setting is a spread about a place that is known; it does not make one known
    assert places_for({}, pointing_arcsec=2.5) == (Place(),)
    assert places_for({}, near, pointing_arcsec=2.5)[0].spread_arcsec == 2.5


def test_a_star_in_a_pair_landed_midway():
    assert star_position({"XPOS": 3.0, "YPOS": -1.0, "XPOSB": -3.0, "YPOSB": 7.0}) == (0.0, 3.0)


def header_of(cards):
    return {name: value for name, (value, _) in cards.items()}
