"""What an observer saves, from real files: written whole, kept when redone, made again to the same bytes."""

import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1] / "gui"))
from viewer_samples import make_cube, make_header

from sedmd.cli import main
from sedmd.core.errors import SedmError
from sedmd.data.extinction import extinction_mag
from sedmd.host.files import sha256_of
from sedmd.observation import decisions, saved
from sedmd.observation.aperture import extract
from sedmd.observation.decisions import Picture, Placement
from sedmd.observation.load import load
from sedmd.observation.saved import ReplayFault, Verdict
from sedmd.products.ascii import read_ascii
from sedmd.products.cube import write_cube
from sedmd.products.guide import LEVEL, GuideRecord, write_guide, zero_point_cards
from sedmd.products.sensitivity import read_sensitivity, write_sensitivity
from sedmd.products.spectrum import read_field, read_spectrum, write_spectrum
from sedmd.reduce.flux.sensitivity import Sensitivity
from sedmd.reduce.guide.brightness import ZeroPoint
from sedmd.reduce.numeric.containers import Spectrum
from sedmd.reduce.target.aperture import Ellipse
from sedmd.reduce.target.psf import Psf

VERDICT = Verdict(picture=Picture(window=(6500.0, 7000.0), low=-9.0, high=9.0), quality=2, reducer=" Ada L. ")
PSF = Psf(x_arcsec=0.0, y_arcsec=0.0, fwhm_arcsec=1.88, beta=8.0)
CLOCK = lambda: datetime(2019, 6, 12, 7, 30, 5, 9, tzinfo=UTC)  # noqa: E731


@pytest.fixture
def night(tmp_path):
    folder = tmp_path / "20190612"
    for letter, place, stem, day in (("A", (3.0, -4.0), "04_07_07", 0.172), ("B", (-3.0, 4.0), "04_28_02", 0.186)):
        header = make_header(f"ZTF19abc [{letter}]", day)
        for card in ("TEL_PA", "RA", "DEC", "OBJRA", "OBJDEC"):
            del header[card]  # these stars do not follow refraction: nothing may tell where the zenith is
        cube = make_cube([(*place, 300.0)], seed=ord(letter))
        write_cube(folder / f"e3d_crr_b_ifu20190612_{stem}_ZTF19abc.fits", cube, header=header)
    return folder


def observation_of(night):
    return load("ZTF19abc", sorted(night.glob("e3d_*.fits")))


def placement(**changes):
    a = Ellipse(x_arcsec=3.0, y_arcsec=-4.0, semi_major_arcsec=2.0)
    b = Ellipse(x_arcsec=-3.0, y_arcsec=4.0, semi_major_arcsec=2.0)
    return Placement(**{"a": a, "b": b, "psf_a": PSF, "psf_b": PSF} | changes)


def sensitivity_of(night, value=1e14):
    wavelength = make_cube().wavelength
    flat = np.full(60, value)
    made = Sensitivity(
        wavelength=wavelength,
        value=flat,
        error=0.01 * flat,
        scatter=np.zeros(60),
        floor=np.zeros(60),
        telluric=np.zeros(60),
        stars=("STD-X",),
        scales=(1.0,),
    )
    write_sensitivity(night / "std-correction.fits", made, cards={})


def contents(night):
    return {path.name: path.read_bytes() for path in night.iterdir() if path.is_file()}


def test_every_file_tells_the_same_story(night):
    decision, paths = saved.save(observation_of(night), placement(), VERDICT, clock=CLOCK)
    assert [path.name for path in paths] == [
        "ZTF19abc_SEDM.txt",
        "ZTF19abc_SEDM.pdf",
        "sp_ZTF19abc.fits",
        "ZTF19abc.decision.json",
    ]
    spectrum, header = read_spectrum(night / "sp_ZTF19abc.fits")
    assert spectrum.meta["quality"] == 2 and spectrum.meta["reducer"] == "Ada L."
    assert spectrum.meta["exptime_s"] == 1800.0 and spectrum.meta["is_pair"] is True
    assert spectrum.meta["target"] == "ZTF19abc" and spectrum.meta["frame_b"] == "ifu20190612_04_28_02"
    assert header["STEP"] == "observer" and header["NINPUT"] == 2 and header["OBJSEEN"] is True
    text = read_ascii(night / "ZTF19abc_SEDM.txt")
    assert text.header["QUALITY"] == "2" and text.header["EXPTIME"] == "1800" and text.header["REDUCER"] == "Ada L."
    assert (night / "ZTF19abc_SEDM.pdf").read_bytes().startswith(b"%PDF")
    assert read_field(night / "sp_ZTF19abc.fits").label == "6500-7000 Angstrom"
    assert decisions.read(paths[3]) == decision
    assert decision.time == "2019-06-12T07:30:05+00:00" and decision.reducer == "Ada L."
    assert decision.products == {path.name: sha256_of(path) for path in paths[:3]}
    assert [name for name, _ in decision.cubes] == [path.name for path in sorted(night.glob("e3d_*.fits"))]


def test_the_flux_is_the_stars(night):
    """A star of total light L gives L / exptime at every wavelength, from A and B alike."""
    wide = replace(placement().a, semi_major_arcsec=2.8), replace(placement().b, semi_major_arcsec=2.8)
    saved.save(observation_of(night), placement(a=wide[0], b=wide[1], psf_a=None, psf_b=None), VERDICT)
    spectrum, _ = read_spectrum(night / "sp_ZTF19abc.fits")
    cell = 0.613 * 0.597 - 0.173 * 0.174
    truth = 300.0 * 2 * np.pi * 0.8**2 / cell / 900.0
    assert np.mean(spectrum.flux) == pytest.approx(truth, rel=0.01)
    pull = (spectrum.flux - np.mean(spectrum.flux)) / spectrum.error
    assert np.std(pull) == pytest.approx(1.0, abs=0.3)
    assert np.mean(spectrum.sky) == pytest.approx(20.0 / cell / 900.0, rel=0.02)


def test_the_nights_calibration_is_applied(night):
    sensitivity_of(night)
    decision, _ = saved.save(observation_of(night), placement(), VERDICT)
    spectrum, header = read_spectrum(night / "sp_ZTF19abc.fits")
    raw = extract(replace(observation_of(night), calibration=None), placement()).spectrum
    extinction = 10 ** (0.4 * extinction_mag(raw.wavelength) * 1.3)
    assert spectrum.unit == "erg / (s cm2 Angstrom)"
    assert spectrum.flux == pytest.approx(raw.flux * extinction / 1e14, rel=1e-6)
    assert header["CALSRC"] == "std-correction.fits" and decision.fluxcal[0] == "std-correction.fits"


def test_replayed_to_the_same_bytes(night, tmp_path, capsys):
    sensitivity_of(night)
    _, paths = saved.save(observation_of(night), placement(), VERDICT)
    before = contents(night)
    for path in paths[:3]:
        path.unlink()
    assert main(["extract", "--decision", str(paths[3])]) == 0
    assert contents(night) == before
    assert capsys.readouterr().out.count("same bytes") == 3
    assert main(["extract", "--decision", str(paths[3]), "--out", str(tmp_path / "elsewhere")]) == 0
    assert contents(tmp_path / "elsewhere") == {path.name: before[path.name] for path in paths[:3]}


def points(mag, count=6):
    return {band: ZeroPoint(mag=mag, error=0.02, count=count) for band in "gri"}


def guide_of(night, stem, mag, count=6):
    path = night / f"guide_ifu20190612_{stem}.fits"
    write_guide(path, GuideRecord(zero_points=points(mag, count)), None, [])
    return path


def clouded(night, *, b=23.75, count=6):
    """The night's calibration with its sky at 24 mag, and what the guider saw through the clouds of A and B."""
    sensitivity_of(night)
    path = night / "std-correction.fits"
    write_sensitivity(path, read_sensitivity(path), cards=zero_point_cards(points(24.0), begin=LEVEL))
    return guide_of(night, "04_07_07", 23.75, count), guide_of(night, "04_28_02", b, count)


def test_clouds_are_corrected_for_as_in_the_pipeline_and_the_decision_tells_by_what(night):
    sensitivity_of(night)
    saved.save(observation_of(night), placement(), VERDICT)
    before, old = read_spectrum(night / "sp_ZTF19abc.fits")
    guides = clouded(night)
    decision, paths = saved.save(observation_of(night), placement(), VERDICT)
    after, header = read_spectrum(night / "sp_ZTF19abc.fits")
    good = np.isfinite(before.flux)
    assert after.flux[good] == pytest.approx(before.flux[good] * 10**0.1, rel=1e-6)
    assert after.error[good] == pytest.approx(before.error[good] * 10**0.1, rel=1e-6)
    assert header["GREYFAC"] == pytest.approx(10**0.1) and "GREYFAC" not in old
    assert decision.guides == tuple((path.name, sha256_of(path)) for path in guides)
    assert header["NINPUT"] == old["NINPUT"] + 2 and decisions.read(paths[3]) == decision


@pytest.mark.parametrize("lost", ["B has no frames", "few stars"])
def test_where_field_stars_do_not_tell_of_both_exposures_nothing_is_corrected(night, lost):
    _, b = clouded(night, count=1 if lost == "few stars" else 6)
    if lost == "B has no frames":
        b.unlink()
    saved.save(observation_of(night), placement(), VERDICT)
    assert "GREYFAC" not in read_spectrum(night / "sp_ZTF19abc.fits")[1]


def test_a_decision_with_guider_frames_is_replayed_to_the_same_bytes_and_only_with_them(night):
    guide, _ = clouded(night)
    _, paths = saved.save(observation_of(night), placement(), VERDICT)
    before = contents(night)
    assert set(saved.replay(paths[3]).values()) == {"same bytes"} and contents(night) == before
    guide.unlink()
    with pytest.raises(ReplayFault, match=rf"{guide.name} is not in .*--new-inputs"):
        saved.replay(paths[3])
    guide_of(night, "04_07_07", 23.5)
    with pytest.raises(ReplayFault, match="guider frames tell is not what it was taken on"):
        saved.replay(paths[3])
    saved.replay(paths[3], new_inputs=True)
    again = decisions.read(paths[3])
    assert dict(again.guides)[guide.name] == sha256_of(guide)
    assert read_spectrum(night / "sp_ZTF19abc.fits")[1]["GREYFAC"] > 10**0.1


def test_a_decision_from_before_guider_frames_stays_what_it_was(night):
    sensitivity_of(night)
    _, paths = saved.save(observation_of(night), placement(), VERDICT)
    assert "guides" not in paths[3].read_text()
    before = contents(night)
    for stem in ("04_07_07", "04_28_02"):
        guide_of(night, stem, 23.0)
    assert set(saved.replay(paths[3]).values()) == {"same bytes"}
    assert {name: content for name, content in contents(night).items() if name in before} == before


def test_other_guider_frames_than_were_opened_are_noticed(night):
    clouded(night)
    opened = observation_of(night)
    guide_of(night, "04_07_07", 23.123)
    with pytest.raises(SedmError, match="changed on disk"):
        saved.save(opened, placement(), VERDICT)


def test_another_cube_is_noticed(night, capsys):
    _, paths = saved.save(observation_of(night), placement(), VERDICT)
    before = contents(night)
    cube = sorted(night.glob("e3d_*.fits"))[0]
    write_cube(cube, make_cube([(3.0, -4.0, 150.0)], seed=9), header=make_header("ZTF19abc [A]", 0.172))
    with pytest.raises(ReplayFault, match=r"is not the cube it was taken on; --new-inputs"):
        saved.replay(paths[3])
    assert main(["extract", "--decision", str(paths[3])]) == 2
    assert "is not the cube" in capsys.readouterr().err
    assert {name: content for name, content in contents(night).items() if name != cube.name} == {
        name: content for name, content in before.items() if name != cube.name
    }


def test_a_calibration_that_came_later_is_taken_when_asked(night):
    _, paths = saved.save(observation_of(night), placement(), VERDICT)
    sensitivity_of(night)
    with pytest.raises(ReplayFault, match="the flux calibration was none;"):
        saved.replay(paths[3])
    assert set(saved.replay(paths[3], new_inputs=True).values()) == {"new"}
    spectrum, _ = read_spectrum(night / "sp_ZTF19abc.fits")
    assert spectrum.unit == "erg / (s cm2 Angstrom)" and spectrum.meta["quality"] == 2
    [former] = saved.former_versions(night, "ZTF19abc")
    assert read_spectrum(former / "sp_ZTF19abc.fits")[0].unit == "electron / (s Angstrom)"
    # the decision now stands on the calibration, and replays as it is
    assert set(saved.replay(paths[3]).values()) == {"same bytes"}


def test_redo_keeps_every_former_version(night):
    observation = observation_of(night)
    versions = []
    for quality in (1, 2, 3):
        saved.save(observation, placement(), replace(VERDICT, quality=quality))
        versions.append(contents(night))
    folders = saved.former_versions(night, "ZTF19abc")
    assert [folder.name for folder in folders] == ["ZTF19abc.v1", "ZTF19abc.v2"]
    for folder, version in zip(folders, versions, strict=False):
        kept = contents(folder)
        assert len(kept) == 4 and all(version[name] == content for name, content in kept.items())
    assert decisions.read(night / "ZTF19abc.decision.json").quality == 3
    assert decisions.find(night) == [night / "ZTF19abc.decision.json"]
    # a former version can be made again too
    assert set(saved.replay(folders[0] / "ZTF19abc.decision.json").values()) == {"same bytes"}


def test_a_spectrum_of_the_pipeline_stays(night):
    ones = np.ones(60)
    automatic = Spectrum(wavelength=make_cube().wavelength, flux=ones, error=ones, sky=ones, unit="x", meta={})
    write_spectrum(night / "sp_ZTF19abc.fits", automatic, cards={"STEP": "calibrate"})
    (night / "ZTF19abc_SEDM.txt").write_text("the pipeline's")
    before = contents(night)
    decision, paths = saved.save(observation_of(night), placement(), VERDICT)
    assert decision.saved_as == "ZTF19abc_redo" and paths[2].name == "sp_ZTF19abc_redo.fits"
    now = contents(night)
    assert {name: now[name] for name in before} == before
    # nor does a replay overwrite one that came later under the same name
    write_spectrum(night / "sp_ZTF19abc_redo.fits", automatic, cards={"STEP": "calibrate"})
    with pytest.raises(ReplayFault, match="made by the pipeline and stays"):
        saved.replay(paths[3])


@pytest.mark.parametrize("bad", [{"quality": 0}, {"quality": 6}, {"reducer": "  "}])
def test_without_grade_and_name_there_is_no_decision(night, bad):
    with pytest.raises(SedmError):
        saved.save(observation_of(night), placement(), replace(VERDICT, **bad))
    assert decisions.find(night) == []


def test_nothing_is_lost_when_the_disk_fails(night, monkeypatch):
    observation = observation_of(night)
    saved.save(observation, placement(), VERDICT)
    before = contents(night)

    def full(*_, **__):
        raise OSError("No space left on device")

    monkeypatch.setattr(saved, "plot_spectrum", full)
    with pytest.raises(OSError, match="No space"):
        saved.save(observation, placement(skysub=False), replace(VERDICT, quality=3))
    assert contents(night) == before
    assert [path.name for path in night.iterdir() if path.is_dir()] == []


def test_an_aperture_off_the_field_saves_nothing(night):
    far = replace(placement().a, x_arcsec=40.0)
    with pytest.raises(ValueError, match="off the field"):
        saved.save(observation_of(night), placement(a=far), VERDICT)
    assert not (night / "sp_ZTF19abc.fits").exists()


def test_a_malformed_decision_ends_in_words(tmp_path, capsys):
    path = tmp_path / "x.decision.json"
    path.write_text("{")
    assert main(["extract", "--decision", str(path)]) == 2
    assert capsys.readouterr().err.startswith("sedmd: x.decision.json: not a whole JSON file")


def test_a_cube_that_was_made_anew_meanwhile_is_not_taken_for_the_old_one(night):
    observation = observation_of(night)
    cube = sorted(night.glob("e3d_*.fits"))[0]
    write_cube(cube, make_cube([(3.0, -4.0, 150.0)], seed=9), header=make_header("ZTF19abc [A]", 0.172))
    with pytest.raises(SedmError, match="has changed on disk since it was opened; F5"):
        saved.save(observation, placement(), VERDICT)
    saved.save(observation_of(night), placement(), VERDICT)
    sensitivity_of(night)
    with pytest.raises(SedmError, match="has changed on disk"):
        saved.save(replace(observation, stamp=observation_of(night).stamp[:2]), placement(), VERDICT)
