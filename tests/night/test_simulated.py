"""Simulated nights: every frame is taken for what it is, and (slow) one shot and service give the same bytes."""

import hashlib
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from sedmd import cli
from sedmd.core.config import from_table, load
from sedmd.core.nights import night_of
from sedmd.ledger.ledger import Ledger
from sedmd.observation.aperture import extract
from sedmd.observation.decisions import Placement
from sedmd.observation.suggestion import suggest
from sedmd.products.conditions import conditions_of
from sedmd.products.spectrum import read_spectrum
from sedmd.raw.fitsfile import header_values
from sedmd.raw.frames import frame_from_header
from sedmd.raw.visits import observations
from sedmd.run.target_positions import field_positions_of, place_begun_with
from sedmd.simulate.cards import FAULTS
from sedmd.simulate.demo import drop
from sedmd.simulate.headers import build_header
from sedmd.simulate.observe import plan_night
from sedmd.simulate.profiles import PROFILES, load_profile
from sedmview.disk import NightOnDisk
from sedmview.memory import Memory
from sedmview.targets import NightList

from .helpers import NOW, is_record, night_is_done, products, service, stop, wait_for


def frames_of(profile: str, *, seed: int = 1, size: str = "full"):
    plan = plan_night(seed=seed, size=size, profile=profile)
    for exposure in plan.exposures:
        header = build_header(plan.instrument.profile, exposure, sunset=plan.sunset, sunrise=plan.sunrise)
        values = header_values(header.tostring(sep="", endcard=True, padding=True).encode("latin-1"))
        if exposure.fault != "short header":  # its cards say nothing; see the tests of frames in the making
            yield exposure, frame_from_header(values, Path(exposure.folder) / exposure.file)


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_every_frame_of_a_full_night_is_taken_for_what_it_is(profile):
    wrong = []
    night = load_profile(profile).example
    for exposure, frame in frames_of(profile):
        expected = "ignored" if exposure.ignore and not exposure.unseen else exposure.kind
        if frame.kind != expected or night_of(frame.start) != night:
            wrong.append((exposure.file, exposure.object, expected, str(frame.kind), frame.reason, frame.notes))
    assert wrong == []


FAULTS_BY_PROFILE = [
    (profile, fault)
    for profile in sorted(PROFILES)
    for fault, (styles, _) in FAULTS.items()
    if load_profile(profile).header.style in styles and fault != "short header"
]


@pytest.mark.parametrize(("profile", "fault"), FAULTS_BY_PROFILE)
def test_whatever_the_telescope_did_not_answer_a_frame_stays_what_it_is(profile, fault):
    plan = plan_night(profile=profile)
    wrong = []
    for exposure in plan.exposures:
        path = Path(exposure.folder) / exposure.file
        whole, spoiled = (
            header_values(build_header(plan.instrument.profile, replace(exposure, fault=name)).tostring().encode())
            for name in ("", fault)
        )
        before, after = frame_from_header(whole, path), frame_from_header(spoiled, path)
        if before.reason == "the dome was closed":
            continue  # without DOMEST nobody knows
        same = (before.kind, before.name, before.pair) == (after.kind, after.name, after.pair)
        # of its clocks and of its airmass the spoiled header keeps one at least
        same &= abs((after.start - before.start).total_seconds()) < 10
        if before.airmass is not None:
            same &= after.airmass == pytest.approx(before.airmass, abs=0.02)
            middle, spoiled_middle = conditions_of(whole, after.stem), conditions_of(spoiled, after.stem)
            same &= spoiled_middle.airmass == pytest.approx(middle.airmass, abs=0.03)
        if not same:
            wrong.append((before, after))
    assert wrong == []


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_pairs_of_a_full_night_are_joined_and_singles_are_not(profile):
    frames = [frame for _, frame in frames_of(profile)]
    visits = observations(frames)
    assert sum(visit.pair for visit in visits) == (2 if profile == "2017" else 0)
    assert len({visit.product for visit in visits}) == len(visits)


@pytest.mark.slow(seconds=80)
def test_service_and_one_shot_make_the_same_bytes_of_a_mini_night(tmp_path, capsys):
    simulated = tmp_path / "simulated"
    night = load_profile("2017").example
    assert cli.main(["simulate", str(simulated), "--mini", "--profile", "2017", "--workers", "2"]) == 0
    once = tmp_path / "once"
    assert cli.main(["reduce", str(simulated / "raw"), "--redux", str(once)]) in (0, 1)
    table = capsys.readouterr().out
    made = {path.name for path in (once / night).iterdir()}
    assert {"bias0.1.fits", "traces.fits", "wavelength.fits", "flat.fits", "std-correction.fits"} <= made, table
    assert [name for name in made if re.fullmatch(r"sp_STD-.*\.fits", name)], table

    # the first night knows nothing of where targets land; the next one knows what its standard stars told
    headers = [fits.getheader(path) for path in (once / night).glob("e3d_*.fits")]
    assert headers and all(header["PLACESRC"] == "" and header["FIELDERR"] >= header["PLACEERR"] for header in headers)
    with Ledger.open(once / ".sedmd" / "ledger.sqlite", clock=lambda: NOW, read_only=True) as ledger:
        assert field_positions_of(ledger, night) and not place_begun_with(ledger, night).known

    assert in_the_window(once, night, simulated / "raw") == {
        name for name in made if re.fullmatch(r"sp_.*\.fits", name)
    }

    live = tmp_path / "live"
    (live / "raw").mkdir(parents=True)
    (live / "sedmd.toml").write_text(
        '[paths]\nraw_root = "raw"\nredux_root = "redux"\n[watch]\nscan_interval_s = 1.0\nsettle_s = 0.2\n'
        "[night]\nquiet_s = 10.0\n[calibrations]\nquiet_s = 10.0\n"
    )
    settings = load(live / "sedmd.toml")
    frames = sorted(
        (simulated / "raw").glob("*/ifu*.fits*"), key=lambda path: hashlib.sha256(path.name.encode()).digest()
    )
    with service(settings, module="sedmd") as daemon:
        for path in frames:
            drop(path, settings.paths.raw_root / path.parent.name / path.name, pause_s=0.02)
        wait_for(lambda: night_is_done(settings, len(frames)), daemon, patience_s=1200)
        code, log = stop(daemon)
    assert code == 0, log
    expected = {
        f"{night}/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((once / night).iterdir())
        if path.is_file() and not is_record(path)
    }
    assert products(settings) == expected


def in_the_window(redux, night, raw):
    """The spectra of a night that the window makes too, by its ledger: bit for bit, with the same figures."""
    settings = from_table({"paths": {"raw_root": str(raw), "redux_root": str(redux)}}, origin="test", base=redux)
    disk = NightOnDisk(NightList(redux / night, settings=settings), Memory(redux / "memory"), lambda: datetime.now(UTC))
    entries, _ = disk.entries()
    same = set()
    for entry in entries:
        path = redux / night / f"sp_{entry.product}.fits"
        if entry.openable and path.exists():
            observation = disk.load(entry)
            assert not observation.inputs.by_headers
            found = suggest(observation)
            shown = extract(observation, Placement(a=found.a, b=found.b, fit=found.told)).spectrum
            made, _ = read_spectrum(path)
            columns = [(getattr(made, name), getattr(shown, name)) for name in ("flux", "error", "sky")]
            assert all(np.array_equal(*pair, equal_nan=True) for pair in columns), entry.product
            # a card holds twenty characters of a number
            near = {key: pytest.approx(one, rel=1e-14) for key, one in made.meta.items() if isinstance(one, float)}
            assert dict(shown.meta) == dict(made.meta) | near, entry.product
            same.add(path.name)
    return same
