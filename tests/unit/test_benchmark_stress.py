"""Nights that differ in one property: each is a profile that can be read, and a night that shows the property."""

import pytest
from benchmarks.stress import PROPERTIES, all_of, planned, profile_of

from sedmd.simulate.profiles import load_profile


def profile(tmp_path, *names, like="2021"):
    path = tmp_path / "instrument.toml"
    path.write_text(profile_of(all_of(names, like), like))
    return path


@pytest.mark.parametrize("name", PROPERTIES)
@pytest.mark.parametrize("like", ["2017", "2024"])
def test_each_property_is_a_profile(tmp_path, name, like):
    loaded = load_profile(profile(tmp_path, name, like=like))
    assert not loaded.epoch
    assert loaded.header == load_profile(like).header


def test_properties_go_together(tmp_path):
    names = ("noise-twice", "bias-rows", "narrow", "ghost", "beyond")
    one, like = load_profile(profile(tmp_path, *names)), load_profile("2021")
    assert [speed.read_noise for speed in one.detector.speeds] == [2 * s.read_noise for s in like.detector.speeds]
    assert one.detector.bias_rows == 8 * like.detector.bias_rows
    assert (one.width.trace, one.scatter.beyond, one.scatter.image[2]) == (0.9, 400, 0.003)


def test_the_array_of_the_other_tilt_is_a_mirror_image(tmp_path):
    one, like = load_profile(profile(tmp_path, "tilt-other")), load_profile("2021")
    assert one.trace.tilt_deg == -like.trace.tilt_deg
    assert one.lattice.step_q == (like.lattice.step_q[0], -like.lattice.step_q[1])


def test_a_night_shows_what_was_asked_for(tmp_path):
    names = ("low-star", "clouds", "flexure", "edge", "seeing-bad", "neighbour")
    plan = planned(all_of(names, "2021"), profile(tmp_path, *names), 31)
    (star,) = (e for e in plan.exposures if e.kind == "standard")
    (target,) = (e for e in plan.exposures if e.kind == "science")
    assert 1.7 < star.airmass < 2.7
    assert (star.transparency, star.flexure, target.flexure) == (0.33, (1.5, -1.5), (1.5, -1.5))
    assert target.transparency > 0.9
    assert target.seeing.fwhm == star.seeing.fwhm == 3.5
    first, second = target.sources
    assert (first.x, first.y) == (9.5, -2.0)
    assert (second.role, second.x - first.x) == ("neighbour", -5.5)
