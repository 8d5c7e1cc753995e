"""A night's pattern survives the way through a text, and falls on the same lenslets whatever their numbers are."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sedmd.reduce.cube.sky_memory import ToldPattern, patterns_in
from unit.reduce_scenes import PITCH, hex_spaxels, rng
from unit.sky_nights import SPAXELS, N, night

CENTRE = (1024.0, 1024.0)
LIGHT = 1.0 + rng(3).normal(0.0, 0.02, N)
UNSEEN = rng(4).random(N) < 0.2
TOLD = night(LIGHT, 0.004, seed=5, unseen=UNSEEN)


def text():
    return str(ToldPattern.on(TOLD, SPAXELS, CENTRE))


def assert_same(found, order=slice(None)):
    assert_allclose(found.value, TOLD.value[order], atol=0.51e-4)
    assert_allclose(found.error, TOLD.error[order], atol=0.51e-4)
    assert found.smooth_error == pytest.approx(TOLD.smooth_error, rel=1e-5)
    assert found.exposures == TOLD.exposures


def test_a_text_gives_back_what_went_in_to_a_hundredth_of_a_per_cent():
    found = ToldPattern.of(text()).on_spaxels(SPAXELS, CENTRE)
    assert np.isnan(found.value[UNSEEN]).all() and np.isinf(found.error[UNSEEN]).all()
    assert_same(found)


def test_a_text_stands_in_a_list_and_in_a_ledger():
    assert not set(text()) & set("; \n")
    assert len(text()) < 5 * N
    assert text() == text()
    found = patterns_in(f"20211017 1 {text()}; 20211003 15 {text()}")
    assert [(one.night, one.age_nights) for one in found] == [("20211017", 1), ("20211003", 15)]
    assert_same(found[1].told.on_spaxels(SPAXELS, CENTRE))
    assert patterns_in("") == ()


@pytest.mark.parametrize("broken", ["", "1:2:3", "no numbers", "x" + text(), text()[:-9], text().replace(":", ";")])
def test_what_is_no_pattern_is_refused(broken):
    with pytest.raises(ValueError, match="tells nothing of the sky's light; expected nine numbers"):
        ToldPattern.of(broken)


def test_lenslets_are_known_by_their_place_not_by_their_numbers():
    """Another origin, axes turned by sixty degrees, another order, and the chip 2 px (0.03 arcsec) elsewhere."""
    order = rng(6).permutation(N)
    turned = replace(
        SPAXELS.part(order),
        q=(-SPAXELS.r + 5)[order].astype(np.int32),
        r=(SPAXELS.q + SPAXELS.r - 7)[order].astype(np.int32),
        x_arcsec=SPAXELS.x_arcsec[order] + 0.03,
        y_arcsec=SPAXELS.y_arcsec[order] - 0.02,
    )
    assert_same(ToldPattern.of(text()).on_spaxels(turned, CENTRE), order)
    back = ToldPattern.on(replace(TOLD, value=TOLD.value[order], error=TOLD.error[order]), turned, CENTRE)
    assert_same(ToldPattern.of(str(back)).on_spaxels(SPAXELS, CENTRE))


def test_lenslets_that_an_earlier_night_did_not_have_are_not_known():
    few = hex_spaxels(18)
    told = ToldPattern.on(night_of(few), few, CENTRE)
    found = ToldPattern.of(str(told)).on_spaxels(SPAXELS, CENTRE)
    outside = np.maximum.reduce([np.abs(SPAXELS.q), np.abs(SPAXELS.r), np.abs(SPAXELS.q + SPAXELS.r)]) > 18
    assert np.isnan(found.value[outside]).all()
    assert np.isfinite(found.value[~outside]).all()


def night_of(spaxels):
    return replace(TOLD, value=np.ones(spaxels.q.size), error=np.full(spaxels.q.size, 0.004))


@pytest.mark.parametrize(
    "spaxels, centre",
    [
        (hex_spaxels(20, pitch=PITCH * 1.05), CENTRE),  # another scale
        (replace(SPAXELS, x_arcsec=SPAXELS.y_arcsec, y_arcsec=-SPAXELS.x_arcsec), CENTRE),  # turned by 90 degrees
        (replace(SPAXELS, x_arcsec=SPAXELS.x_arcsec + PITCH / 2), CENTRE),  # between the lenslets
        (SPAXELS, (1060.0, 1024.0)),  # places are measured from another one
        (replace(SPAXELS, x_arcsec=SPAXELS.x_arcsec + 30.0), CENTRE),  # elsewhere
    ],
)
def test_another_lattice_or_centre_is_recognised(spaxels, centre):
    assert ToldPattern.of(text()).on_spaxels(spaxels, centre) is None
