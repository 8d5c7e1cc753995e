"""Plans, headers, files and truth of simulated nights."""

import gzip
import hashlib
import pickle
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

import sedmd
from sedmd.core.errors import ConfigError, SedmError
from sedmd.simulate import (
    PROFILES,
    NightPlan,
    PlannedExposure,
    Pointing,
    SimulatedInstrument,
    SimulatedSource,
    build_instrument,
    exposure_of,
    load_profile,
    plan_night,
    render_exposure,
    render_frame,
    simulate_night,
    to_hdu,
    truth,
)
from sedmd.simulate.almanac import degrees_of
from sedmd.simulate.cards import FAULTS
from sedmd.simulate.expose import efficiency, lights_of
from sedmd.simulate.headers import build_header, pacific_time
from sedmd.simulate.night import write_frame
from sedmd.simulate.observe import SIZES
from sedmd.simulate.render import column_flux
from sedmd.simulate.spectra import GRID, photons, standard_flux


@cache
def plan(profile: str = "2017", size: str = "mini", seed: int = 1) -> NightPlan:
    return plan_night(seed=seed, size=size, profile=profile)


@cache
def instrument() -> SimulatedInstrument:
    return build_instrument("2017", 1)


def index_of(night: NightPlan, kind: str) -> int:
    return next(i for i, e in enumerate(night.exposures) if e.kind == kind and not e.ignore)


# plans ------------------------------------------------------------------------------------------------------------
LAMPS = ("dome", "Hg", "Cd", "Xe")


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("size", SIZES)
def test_a_night_has_every_calibration_at_the_hour_and_in_the_order_of_its_epoch(profile: str, size: str) -> None:
    night = plan(profile, size)
    used = [e for e in night.exposures if not e.ignore]
    kinds = Counter((e.kind, e.speed) if e.kind == "bias" else e.kind for e in used)
    biases, lamps = (10, 5) if size == "full" else (5, 3)
    assert all(kinds["bias", speed.mhz] == biases for speed in night.instrument.profile.detector.speeds)
    assert all(kinds[lamp] == lamps for lamp in LAMPS)
    assert kinds["standard"] >= (1 if size == "least" else 2)
    calibrations = [e for e in used if e.kind in ("bias", *LAMPS)]
    old = profile in ("2017", "2018")
    assert len({e.folder for e in calibrations}) == (2 if old else 1)
    assert {e.utc.hour for e in calibrations} <= ({22, 23, 0, 1} if old else {0, 1})
    order = list(dict.fromkeys(e.kind for e in calibrations))
    new = profile in ("2021", "2024", "design")
    assert order == (["bias", "dome", "Hg", "Xe", "Cd"] if new else ["bias", "Cd", "dome", "Hg", "Xe"])
    assert len({e.file for e in night.exposures}) == len(night)
    starts = np.array([e.start for e in night.exposures])
    ends = starts + np.array([e.exptime for e in night.exposures]) / 86400.0
    assert np.all(starts[1:] >= ends[:-1])
    assert ends[-1] < night.sunrise


def test_exposure_times_are_those_of_the_robot() -> None:
    # until 2023-04: dome 180 s, Hg and Cd 30 s, Xe 60 s; then dome 40 s and Xe 20 s; all of them at one speed
    for profile, times in (("2021", (180.0, 30.0, 30.0, 60.0)), ("2024", (40.0, 30.0, 30.0, 20.0))):
        night = plan(profile, "full")
        for lamp, seconds in zip(LAMPS, times, strict=True):
            assert {e.exptime for e in night.exposures if e.kind == lamp and not e.ignore} == {seconds}
        assert all(1200.0 <= e.exptime <= 2700.0 for e in night.exposures if "[A]" in e.object)
        assert {e.exptime for e in night.exposures if e.kind == "standard"} <= {240.0, 300.0}
    assert {e.speed for e in plan("2024", "full").exposures} == {1.0}
    assert {e.speed for e in plan("2021", "full").exposures} == {0.1, 2.0}


def test_the_full_night_holds_every_frame_that_must_be_left_out() -> None:
    reasons = {e.ignore for e in plan("2021", size="full").exposures if e.ignore}
    assert reasons == {
        "bias with an exposure time",
        "dome lamp off",
        "test exposure",
        "dark",
        "focus run",
        "map of the field",
        "telescope stowed",
        "dome closed",
        "dome closed during the exposure",
    }


@pytest.mark.parametrize("profile", ["2017", "2021"])
def test_the_full_night_holds_every_kind_of_target(profile: str) -> None:
    science = [e for e in plan(profile, size="full").exposures if e.kind == "science" and not e.ignore]
    roles = [tuple(s.role for s in e.sources) for e in science]
    assert ("target", "host") in roles and () in roles and ("target", "neighbour") in roles
    assert any("check" in e.object for e in science)
    far = [np.hypot(*np.subtract(e.aim, load_profile(profile).night.place)) for e in science]
    assert max(far) > 30.0 and sum(far > np.float64(8.0)) >= 2
    assert len({e.exptime for e in science}) >= 3


def test_a_standard_is_observed_again_when_it_is_still_the_highest() -> None:
    stars = [e.target for e in plan("2021", "mini").exposures if e.kind == "standard"]
    assert len(stars) == 2 and len(set(stars)) == 1


def test_pairs_end_with_their_years_and_singles_keep_their_label() -> None:
    for seed in (1, 2, 3, 4):
        old = [e for e in plan("2017", seed=seed).exposures if e.kind == "science" and not e.ignore]
        assert Counter(e.object.split("[")[-1] for e in old if "[" in e.object) == {"A]": 1, "B]": 1}
        halves = [e.cards["ABPAIR"] for e in old if "[" in e.object]
        assert halves in ([None, None], ["True", "True"])
    for profile, tail in (("2018", "  [A]"), ("2019", " [A]"), ("2021", " [A]"), ("2024", " [A]")):
        night = plan(profile)
        for exposure in night.exposures:
            header = build_header(night.instrument.profile, exposure)
            assert header.get("ABPAIR", False) in (False, "False")
            if exposure.kind == "science" and not exposure.ignore:
                assert exposure.object == exposure.target + tail
    assert any(plan("2017", seed=s).exposures[-1].cards["ABPAIR"] is None for s in range(1, 6))
    assert any(plan("2017", seed=s).exposures[-1].cards["ABPAIR"] == "False" for s in range(1, 6))


def test_a_pair_moves_the_object_against_the_telescope() -> None:
    a, b = (next(e for e in plan().exposures if f"[{token}]" in e.object) for token in "AB")
    assert a.target == b.target and (a.start < b.start)
    moved = np.array([a.sources[0].x - b.sources[0].x, a.sources[0].y - b.sources[0].y])
    nod = np.array(a.offset) - np.array(b.offset)
    assert moved == pytest.approx(-nod, abs=1.0)
    assert np.hypot(*nod) > 5.0


def test_targets_fall_where_those_of_the_epoch_do() -> None:
    for profile in ("2017", "2021", "2024"):
        place = np.array(load_profile(profile).night.place)
        stars = [
            (e.sources[0].x, e.sources[0].y)
            for seed in range(1, 9)
            for e in plan(profile, "least", seed=seed).exposures
            if e.kind in ("standard", "science")
        ]
        scatter = load_profile(profile).night.pointing_rms
        assert np.mean(stars, axis=0) == pytest.approx(place, abs=3.5 * scatter / np.sqrt(len(stars)))
        assert np.std(stars, axis=0) == pytest.approx(scatter, rel=0.6)


def test_flexure_changes_through_the_night_and_hardly_in_the_afternoon() -> None:
    for profile in PROFILES:
        night = plan(profile, "full")
        day = np.array([e.flexure for e in night.exposures if e.kind in LAMPS])
        dark = np.array([e.flexure for e in night.exposures if e.light == "sky"])
        assert np.abs(day).max() < 0.05
        assert np.abs(dark).max() <= 1.5
        assert np.ptp(dark, axis=0).min() > 0.2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"night": "2017-06-12"}, "YYYYMMDD"),
        ({"size": "huge"}, "least, mini, full"),
        ({"profile": "x"}, "profile"),
        ({"night": "20190612"}, "profile 2017 is of nights 20130312 to 20180630"),
        ({"profile": None, "night": "20110612"}, "no profile .* 20110612"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan_night(**{"night": "20170612", "size": "mini", "profile": "2017", **change})


def test_night_or_profile_may_be_left_open() -> None:
    assert plan_night(size="least", profile="2019").night == load_profile("2019").example
    assert plan_night(size="least", night="20211018").instrument.profile.name == "2021"
    assert plan_night(size="least").instrument.profile.name == "2024"


# headers ----------------------------------------------------------------------------------------------------------
def header_of(profile: str, kind: str, **change: Any) -> tuple[PlannedExposure, fits.Header]:
    night = plan(profile, "full")
    exposure = replace(night.exposures[index_of(night, kind)], fault="", **change)
    return exposure, build_header(night.instrument.profile, exposure, sunset=night.sunset, sunrise=night.sunrise)


@pytest.mark.parametrize("profile", PROFILES)
def test_every_header_of_a_night_makes_a_file_of_the_real_size(profile: str) -> None:
    night = plan(profile, "full")
    for exposure in night.exposures:
        header = build_header(night.instrument.profile, exposure, sunset=night.sunset, sunrise=night.sunrise)
        hdu = to_hdu(np.zeros((4, 4), dtype=np.uint16), header)
        short = exposure.fault == "short header"
        assert len(hdu.header) + 1 < 42 if short else len(hdu.header) + 1 <= 144
        assert short or exposure.fault == "position not answered" or len(hdu.header) + 1 >= 109
        if not short:
            assert hdu.header["OBJECT"] == exposure.object and hdu.header["NAME"] == exposure.target
        assert hdu.header["EXPTIME"] == exposure.exptime and hdu.header["ADCSPEED"] == exposure.speed


def test_target_and_encoder_stand_minutes_of_arc_apart() -> None:
    # in 76 real headers RA = OBJRA + RA_OFF/cos(Dec), DEC = OBJDEC + DEC_OFF; together 98.6 to 274 arcsec
    for profile in PROFILES:
        for kind in ("standard", "science"):
            night = plan(profile, "full")
            exposure = next(e for e in night.exposures if e.kind == kind and e.light == "sky" and e.sources)
            header = build_header(night.instrument.profile, replace(exposure, fault=""))
            ra, target = (degrees_of(header[key], hours=True) for key in ("RA", "OBJRA"))
            dec, target_dec = (degrees_of(header[key]) for key in ("DEC", "OBJDEC"))
            off = np.array([(ra - target) * np.cos(np.deg2rad(target_dec)), dec - target_dec]) * 3600.0
            assert off == pytest.approx([header["RA_OFF"], header["DEC_OFF"]], abs=0.3)
            assert 40.0 < np.hypot(*off) < 330.0
            assert [target, target_dec] == pytest.approx([exposure.ra, exposure.dec], abs=1e-6)


def test_clock_cards_are_written_as_in_their_epoch() -> None:
    exposure, header = header_of("2017", "science")
    start = exposure.when
    assert header["UTC"] == f"{start:%Y:%j:%H:%M:%S}.{start.microsecond // 100000}"
    assert "END_SHUT" not in header and "ENDAIR" not in header
    exposure, header = header_of("2019", "science")  # in June 7 h behind UT
    local = exposure.when - timedelta(hours=7)
    assert header["OBSDATE"] == f"{local:%Y-%m-%d}" and header["OBSTIME"][:5] == f"{local:%H:%M}"
    assert header["OBSDATE"] < f"{exposure.when:%Y-%m-%d}"
    assert " " in header["END_SHUT"]
    for profile in ("2021", "2024"):
        exposure, header = header_of(profile, "science")
        assert header["UTC"] == exposure.when.isoformat()
        assert datetime.fromisoformat(header["UTC"]).strftime("%H_%M_%S") in exposure.file  # cut, not rounded
        assert header["OBSTIME"] == exposure.when.strftime("%H:%M:%S.%f")
        end = datetime.fromisoformat(header["END_SHUT"]) - exposure.when
        assert end.total_seconds() > exposure.exptime + 4.0
    assert pacific_time(datetime(2019, 1, 15, 4)) == datetime(2019, 1, 14, 20)
    assert pacific_time(datetime(2019, 3, 10, 9, 59)).hour == 1 and pacific_time(datetime(2019, 3, 10, 10)).hour == 3
    assert pacific_time(datetime(2019, 11, 3, 8)) == pacific_time(datetime(2019, 11, 3, 9))


def test_types_and_spellings_of_cards_follow_the_epoch() -> None:
    old, _, nineteen, new, andor = (header_of(p, "science")[1] for p in ("2017", "2018", "2019", "2021", "2024"))
    assert "PRLLTC" in old and "TEL_PA" not in old and old["DOMEST"] == "OPEN"
    assert header_of("2018", "science")[1]["HG_LAMP"] == '"OFF"' and nineteen["HG_LAMP"] == ""
    assert isinstance(nineteen["ENDAIR"], str) and isinstance(nineteen["END_PA"], str)
    assert isinstance(new["ENDAIR"], float) and new["DOMEST"] == "open"
    assert nineteen["OBJNAME"] == '"simulated"' and new["OBJNAME"] == f'"{new["NAME"].lower()}"'
    assert new["TEL_PA"] == int(new["TEL_PA"]) and 0 <= new["TEL_PA"] < 360
    assert 10**16 < new["REQ_ID"] < 10**17 and isinstance(new["REQ_ID"], int)
    assert 1005.0 < new["BARPRESS"] < 1025.0
    assert (old["GAIN"], andor["GAIN"], andor["SER_NO"]) == (1.78, 0.9, "26265")
    assert [andor[key] for key in ("PSCANX0", "PSCANX1", "OSCANX0", "OSCANX1")] == [1, 20, 2069, 2088]
    assert list(new)[:10] == list(andor)[:10] and list(new).index("UTC") < list(new).index("OBJECT")
    assert list(nineteen).index("UTC") > list(nineteen).index("OBJECT")


def test_lamp_cards_of_the_andor_years_do_not_tell_which_lamp_burnt() -> None:
    assert header_of("2024", "Xe")[1]["XE_LAMP"] == "off" and header_of("2024", "Hg")[1]["XE_LAMP"] == "on"
    assert header_of("2021", "Xe")[1]["XE_LAMP"] == "on" and header_of("2021", "Hg")[1]["HG_LAMP"] == "UNKNOWN"


def test_labels_of_calibrations_follow_the_epoch() -> None:
    for profile, dome in (("2017", "Calib:  dome"), ("2021", "Calib: dome lamp"), ("2024", "Calib: dome lamp")):
        night = plan(profile, "full")
        labels = [e.object for e in night.exposures if e.kind == "dome" and not e.ignore]
        assert labels == [f"{dome} {i} of 5" for i in range(1, 6)]
    header = header_of("2021", "Hg")[1]
    assert (header["IMGTYPE"], header["OBJTYPE"], header["IMGSET"]) == ("lamp", "Calibration", "NA")
    # after a restart the robot takes what is lacking
    biases = [e.object for e in plan("2024", "full").exposures if e.kind == "bias" and not e.ignore]
    assert biases[5:7] == ["Calib: bias 6 of 10", "Calib: bias 1 of 4"] and len(biases) == 10


def test_sky_cards_agree_with_the_sky() -> None:
    exposure, header = header_of("2021", "standard")
    assert header["AIRMASS"] == pytest.approx(exposure.airmass, abs=0.05)
    assert header["TEL_PA"] == pytest.approx(exposure.pointings[0].parallactic_deg % 360.0, abs=4.0)
    lamp_off = next(e for e in plan("2021", "full").exposures if e.ignore == "dome lamp off")
    assert build_header(load_profile("2021"), lamp_off)["LAMPCUR"] == 0.0
    assert header_of("2021", "Hg")[1]["LAMPCUR"] == 0.0
    night = plan("2021", "full")
    dome = next(e for e in night.exposures if e.kind == "dome" and not e.ignore)
    assert build_header(load_profile("2021"), replace(dome, fault=""))["LAMPCUR"] > 0.0


# failures ---------------------------------------------------------------------------------------------------------
def test_one_frame_in_six_or_so_has_a_failure_and_the_plan_says_which() -> None:
    for profile in PROFILES:
        exposures = [e for seed in (1, 2, 3) for e in plan(profile, "full", seed=seed).exposures]
        used = [e for e in exposures if not e.ignore]
        assert 0.10 < np.mean([bool(e.fault) for e in used]) < 0.25
        assert not any(e.fault for e in exposures if e.ignore)
        assert 0.02 < np.mean([e.packed for e in exposures]) < 0.16
        possible = {name for name, (styles, _) in FAULTS.items() if load_profile(profile).header.style in styles}
        assert {e.fault for e in used} - {""} <= possible
    assert {name for name, (styles, _) in FAULTS.items() if "2021" in styles} == {
        e.fault for seed in range(1, 7) for e in plan("2021", "full", seed=seed).exposures if e.fault
    }


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_a_failure_spoils_the_cards_that_it_says(name: str) -> None:
    styles, fault = FAULTS[name]
    night = plan(styles[-1], "full")
    exposure = replace(night.exposures[index_of(night, "science")], fault="")
    whole = build_header(night.instrument.profile, exposure)
    spoilt = build_header(night.instrument.profile, replace(exposure, fault=name))
    if fault.short:
        assert "OBJECT" not in spoilt and "EXPTIME" in spoilt and len(spoilt) < 34
        return
    assert set(whole) - set(spoilt) == set(fault.missing)
    changed = {key: spoilt[key] for key in spoilt if spoilt[key] != whole[key]}
    assert changed == {key: value for key, value in fault.values if whole.get(key) != value}
    assert changed or fault.missing


def test_at_most_one_frame_of_a_series_has_a_short_header() -> None:
    for profile in PROFILES:
        for seed in (1, 2, 3):
            short = [e for e in plan(profile, "full", seed=seed).exposures if e.fault == "short header"]
            assert max(Counter((e.kind, e.speed) for e in short).values(), default=0) <= 1


# frames -----------------------------------------------------------------------------------------------------------
def test_nights_of_one_instrument_share_optics_and_camera_and_nothing_else() -> None:
    first, later, other = (
        plan_night(**({"seed": 1, "size": "least", "profile": "2021"} | more))
        for more in ({}, {"seed": 2, "instrument": 1}, {"seed": 2})
    )
    assert np.array_equal(first.instrument.optics.dome, later.instrument.optics.dome)
    assert np.array_equal(first.instrument.optics.x0, later.instrument.optics.x0)
    assert first.instrument.seed == later.instrument.seed == 1 and later.seed == 2
    assert [e.target for e in later.exposures] == [e.target for e in other.exposures]
    assert [e.flexure for e in later.exposures] == [e.flexure for e in other.exposures]
    assert not np.array_equal(later.instrument.optics.dome, other.instrument.optics.dome)


def test_a_frame_does_not_depend_on_the_frames_before_it() -> None:
    again = plan_night(seed=1, size="mini", profile="2017")
    i = index_of(plan(), "Hg")
    render_frame(plan(), 0)
    assert np.array_equal(render_frame(plan(), i).data, render_frame(again, i).data)
    other = plan_night(seed=2, size="mini", profile="2017")
    assert not np.array_equal(render_frame(plan(), i).data, render_frame(other, i).data)


def test_a_camera_that_holds_charge_back_is_given_what_the_frame_before_collected(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "holds.toml"
    path.write_text('like = "2017"\n[detector]\npersistence = 0.1\n')
    asked = []

    def render(instrument, exposure, *, rng, former=None, **times):
        asked.append((exposure, former))
        return SimpleNamespace(collected=rng.random())

    monkeypatch.setattr("sedmd.simulate.expose.render_exposure", render)
    holds = plan_night(seed=1, size="least", profile=path)
    render_frame(holds, 3)
    (before, without), (own, former) = asked
    assert before is holds.exposures[2] and without is None
    assert own is holds.exposures[3] and former is not None
    asked.clear()
    alone = render_frame(holds, 2)  # the draws of a frame are its own, whoever asks for it
    assert alone.collected == former
    asked.clear()
    render_frame(holds, 0)
    render_frame(plan_night(seed=1, size="least", profile="2017"), 3)
    assert [given for _, given in asked] == [None, None]


def test_a_frame_is_the_same_in_another_process() -> None:
    code = (
        "import hashlib; from sedmd.simulate import plan_night, render_frame;"
        "p = plan_night(seed=1, size='mini', profile='2017');"
        "print(hashlib.sha256(render_frame(p, 10).data.tobytes()).hexdigest())"
    )
    root = Path(sedmd.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout.strip() == hashlib.sha256(render_frame(plan(), 10).data.tobytes()).hexdigest()


def unspoilt(night: NightPlan, **change: Any) -> NightPlan:
    """The night without failures and gzipped frames, or with those of `change` in every frame."""
    exposures = tuple(replace(e, **{"fault": "", "packed": False, **change}) for e in night.exposures)
    return replace(night, exposures=exposures)


def test_a_frame_of_the_andor_camera_has_its_array(tmp_path: Path) -> None:
    night = unspoilt(plan("2024"))
    i = index_of(night, "bias")
    write_frame(night, i, tmp_path)
    path = tmp_path / "raw" / night.exposures[i].folder / night.exposures[i].file
    with fits.open(path) as hdus:
        assert hdus[0].data.shape == (2048, 2088)
    assert path.stat().st_size == 2880 * (4 + 2970)  # four records of header, 2048 x 2088 pixels of two bytes


def test_a_gzipped_frame_is_the_frame_and_a_short_header_leaves_its_cards_beside(tmp_path: Path) -> None:
    night = unspoilt(plan("2021"))
    i = index_of(night, "bias")
    write_frame(night, i, tmp_path / "plain")
    write_frame(unspoilt(night, packed=True), i, tmp_path / "packed")
    write_frame(unspoilt(night, fault="short header"), i, tmp_path / "short")
    e = night.exposures[i]
    plain = (tmp_path / "plain/raw" / e.folder / e.file).read_bytes()
    (packed,) = (tmp_path / "packed/raw" / e.folder).iterdir()
    assert packed.name == e.file + ".gz" and gzip.decompress(packed.read_bytes()) == plain
    beside = tmp_path / "short/raw" / e.folder / e.utc.strftime("header_dict_%Y%m%d_%H_%M_%S")
    assert pickle.loads(beside.read_bytes())["OBJECT"] == e.object
    assert "OBJECT" not in fits.getheader(beside.with_name(e.file))


def test_a_written_frame_is_a_raw_frame(tmp_path: Path) -> None:
    night = unspoilt(plan("2021"))
    i = index_of(night, "standard")
    row = write_frame(night, i, tmp_path)
    path = tmp_path / "raw" / night.exposures[i].folder / night.exposures[i].file
    assert path.stat().st_size == 8_400_960
    assert not list(path.parent.glob(".*"))
    with fits.open(path) as hdus:
        assert len(hdus) == 1
        assert hdus[0].data.shape == (2048, 2048) and hdus[0].data.dtype == np.uint16
    with fits.open(path, do_not_scale_image_data=True) as hdus:
        assert (hdus[0].header["BITPIX"], hdus[0].header["BZERO"], hdus[0].header["BSCALE"]) == (16, 32768, 1)
    stem = path.stem
    spectra = Table.read(tmp_path / "truth" / f"{stem}_spectra.fits", hdu="SPECTRA")
    star = night.exposures[i].sources[0].name
    assert np.allclose(spectra["flux1"], standard_flux(star))
    scattered = fits.getdata(tmp_path / "truth" / f"{stem}_scattered.fits.gz")
    assert scattered.shape == (128, 128) and scattered.min() > 0.0
    assert fits.getdata(tmp_path / "truth" / f"{stem}_cosmics.fits", "COSMICS").sum() > 0
    assert row["source_names"] == star and row["cosmics"] > 0


def test_electrons_of_a_star_are_photons_times_efficiency_area_and_time() -> None:
    made = instrument()
    star = SimulatedSource(name="s", x=0.5, y=0.4, flux=standard_flux("Feige34"))
    exposure = PlannedExposure(
        kind="science", start=2457916.7, object="s", target="s", exptime=100.0, speed=0.1, light="sky", sources=(star,),
        pointings=(Pointing(airmass=1.0, parallactic_deg=0.0),), water_mm=0.0,
    )  # fmt: skip
    light = lights_of(made, exposure)[-1]
    flux = column_flux(made.optics, [light]).flux
    # a lenslet of mean throughput would collect this; shares weigh the real ones
    collected = photons(GRID, star.flux) * efficiency(made) * made.profile.throughput.area_cm2 * 100.0
    assert light.continuum is not None and light.shares is not None
    assert np.all(light.continuum <= collected)
    middle = np.argmin(np.abs(GRID - 5556.0))
    assert light.continuum[middle] / collected[middle] == pytest.approx(10 ** (-0.4 * 0.151), abs=1e-3)
    weighted = (made.optics.gain * light.shares[:, 9]).sum()
    assert flux.sum() == pytest.approx(np.trapezoid(light.continuum, GRID) * weighted, rel=0.03)


def test_one_exposure_by_hand() -> None:
    made = instrument()
    star = SimulatedSource(name="s", x=0.0, y=0.0, flux=standard_flux("Feige34"))
    exposure = PlannedExposure(
        kind="science", start=2457916.7, object="s", target="s", exptime=60.0, speed=0.1, light="sky", sources=(star,),
        flexure=(0.5, -0.5),
    )  # fmt: skip
    frame = render_exposure(made, exposure, rng=3)
    i = int(np.argmin(np.hypot(made.optics.sky_x, made.optics.sky_y)))
    x, y = made.optics.x0[i] + 0.5, made.optics.y0[i] - 0.5
    assert frame.expected.image[round(y), round(x)] > 50.0 * np.median(frame.expected.image)
    assert np.array_equal(frame.data, render_exposure(made, exposure, rng=3).data)
    dark = replace(exposure, light="dark", sources=())
    assert not render_exposure(made, dark, rng=3).expected.image.any()


@pytest.mark.parametrize(("airmass", "west"), [(1.0, True), (1.3, False), (2.0, True)])
def test_an_exposure_by_hand_is_consistent(airmass: float, west: bool) -> None:
    exposure = exposure_of(instrument(), exptime=600.0, airmass=airmass, west=west)
    assert exposure.airmass == pytest.approx(airmass, abs=0.01)
    header = build_header(instrument().profile, exposure)
    assert header["AIRMASS"] == pytest.approx(airmass, abs=0.06)
    assert header["HA"].startswith("e" if airmass == 1.0 or not west else "w")
    if airmass > 1.1:
        assert all((p.parallactic_deg > 0.0) is west for p in exposure.pointings)


def test_an_airmass_out_of_reach_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"airmass 1\.\d+ or more"):
        exposure_of(instrument(), airmass=1.05, dec=-20.0)


def test_flux_on_the_chip_grows_with_time_and_falls_with_airmass() -> None:
    made = instrument()
    star = SimulatedSource(name="s", x=0.0, y=0.0, flux=standard_flux("Feige34"))

    def electrons(exptime: float, airmass: float) -> float:
        light = lights_of(made, exposure_of(made, (star,), exptime=exptime, airmass=airmass))[-1]
        return float(column_flux(made.optics, [light]).flux.sum())

    assert electrons(600.0, 1.0) / electrons(60.0, 1.0) == pytest.approx(10.0, rel=5e-3)
    assert 0.75 < electrons(60.0, 2.0) / electrons(60.0, 1.0) < 0.92


def test_spaxel_truth_is_the_optics() -> None:
    optics = instrument().optics
    table = truth.spaxel_table(optics)
    assert len(table) == len(optics) and table["complete"].sum() == optics.complete().sum()
    k = int(np.nonzero(table["complete"])[0][7])
    assert np.interp(5460.75, truth.WAVELENGTHS, table["wave_x"][k]) == pytest.approx(
        float(optics.x_of(5460.75)[k]), abs=0.05
    )
    middle = truth.TRACE_POINTS // 2
    assert table["trace_y"][k, middle] == pytest.approx(
        float(optics.y_of(np.asarray(table["trace_x"], dtype=float))[k, middle]), abs=1e-3
    )


def test_workers_must_be_positive(tmp_path: Path) -> None:
    with pytest.raises(SedmError, match="at least 1"):
        simulate_night(tmp_path, night="20170612", workers=0)


@pytest.mark.slow(seconds=30)
def test_a_whole_night_by_two_workers_is_that_of_one(tmp_path: Path) -> None:
    seen: list[str] = []
    one = simulate_night(tmp_path / "one", seed=4, size="least", profile="2019",
                         progress=lambda done, total, name: seen.append(name))  # fmt: skip
    two = simulate_night(tmp_path / "two", seed=4, size="least", profile="2019", workers=2)
    files = sorted(p.relative_to(one) for p in one.rglob("*.fits*"))
    assert files == sorted(p.relative_to(two) for p in two.rglob("*.fits*"))
    raw = [f for f in files if f.parts[0] == "raw"]
    assert len(raw) == len(seen) == len(plan("2019", seed=4, size="least"))
    assert all((one / f).read_bytes() == (two / f).read_bytes() for f in raw)
    frames = Table.read(one / "truth" / "frames.fits")
    assert [str(f) for f in frames["file"]] == [f.name.removesuffix(".gz") for f in raw]
    assert np.all(np.isfinite(frames["flexure_x"]))
    assert (one / "truth" / "spaxels.fits").is_file() and (one / "truth" / "sensitivity.fits").is_file()
