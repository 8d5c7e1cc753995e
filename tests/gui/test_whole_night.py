"""A whole night of waiting targets, graded by keys in a real window, and every saved spectrum against its truth."""

import sys
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from astropy.io import fits
from unit.reduce_scenes import hex_spaxels, make_cube, moffat_share

from sedmd.observation.aperture import extract
from sedmd.observation.decisions import Placement, find, read
from sedmd.observation.load import load
from sedmd.observation.suggestion import suggest
from sedmd.products.cube import write_cube
from sedmd.products.spectrum import read_spectrum
from sedmd.products.target_positions import place_cards
from sedmd.reduce.target.place import Place
from sedmview import app
from sedmview.memory import Memory
from sedmview.qt import QtCore
from sedmview.targets import TargetStatus

WAVELENGTH = np.linspace(4000.0, 9000.0, 72)
SPAXELS = hex_spaxels(19)
PLACE = Place(x_arcsec=-1.0, y_arcsec=2.0, spread_arcsec=0.9, source="12 exposures since 20211002")
BEGIN = datetime(2021, 10, 18, 3, 0, tzinfo=UTC)
EXPTIME_S = 2160.0
NOD = (-6.0, 8.0)
#: Light of a target in the middle of its spectrum [electron / Angstrom], sky in a spaxel.
LIGHT, SKY = 3000.0, 150.0
SHAPE = (WAVELENGTH / 6500.0) ** -1.0
HOST = (WAVELENGTH / 6500.0) ** 1.0
KEYS = {"Enter": "Return", "Shift+P": "P"}


def image(x, y, fwhm=1.8):
    """Share of a source's light in each spaxel, (n_wave, n_spaxel), sharper in the red."""
    nodes = np.linspace(WAVELENGTH[0], WAVELENGTH[-1], 4)
    images = np.array([moffat_share(SPAXELS, x, y, fwhm * (w / 6500.0) ** -0.2, fine=3) for w in nodes])
    return np.array([np.interp(WAVELENGTH, nodes, column) for column in images.T]).T


def at(dx=0.0, dy=0.0, light=LIGHT, spectrum=SHAPE, fwhm=1.8):
    """A source so far from where the target is expected."""
    return (PLACE.x_arcsec + dx, PLACE.y_arcsec + dy, light, spectrum, fwhm)


HOSTED = (at(0.3, 0.2), at(1.9, -0.9, 900.0, HOST, 3.6))
#: Of a pair such a host at 2 arcsec costs 16 % at a confidence of 0.96: the pipeline is not sure of it, and says so.
PAIRED = (at(0.3, 0.2), at(2.9, -1.6, 900.0, HOST, 3.6))
#: Name -> (sources of each exposure, keys of the observer, limit of the flux error; None where nothing is measured).
NIGHT = {
    "Clear": ([(at(0.3, -0.2),)], "S 1 Enter", 0.03),
    "ClearPair": ([(at(3.2, -4.1),), (at(-2.8, 3.9),)], "S 1 Enter", 0.03),
    "Hosted": ([HOSTED], "S 1 Enter", 0.10),
    "Faint": ([(at(-0.4, 0.5, 700.0),)], "S 2 Enter", 0.15),  # S/N of 8 in a bin: three errors of a broad one
    "Neighbour": ([(at(0.2, 0.1), at(5.0, -4.0, 3 * LIGHT))], "S 1 Enter", 0.03),
    "Close": ([(at(0.0, 0.3), at(-3.4, -1.2, 0.5 * LIGHT, HOST))], "S 1 Enter", 0.03),
    "Half": ([(at(-0.2, 0.4),)], "S 2 Shift+P Enter", 0.03),
    "Empty": ([()], "N Enter", None),
    "Dead": ([(at(),)], "N Enter", None),
    "Artefact": ([(at(9.5, 4.0, 4 * LIGHT),)], "N Enter", None),
    "Another": ([(at(-0.5, 0.2),)], "S 1 Enter", 0.03),
    "HostedPair": (
        [tuple((x + sx, y + sy, *rest) for x, y, *rest in PAIRED) for sx, sy in ((3.0, -4.0), (-3.0, 4.0))],
        "S 1 Enter",
        0.10,
    ),
}


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    """The cubes of the night."""
    folder = tmp_path_factory.mktemp("redux") / "20211018"
    for number, (name, (exposures, _, _)) in enumerate(NIGHT.items()):
        for second, sources in enumerate(exposures):
            light = np.full((len(WAVELENGTH), SPAXELS.q.size), SKY)
            for x, y, total, spectrum, fwhm in sources:
                light = light + total * spectrum[:, None] * image(x, y, fwhm)
            cube = make_cube(SPAXELS, WAVELENGTH, light, seed=7 * number + second)
            if name == "Dead":
                cube.mask[:] = 1
            paired = len(exposures) == 2 or name == "Half"
            header = header_of(name, number, second, paired=paired)
            stem = f"{BEGIN + timedelta(minutes=30 * number + 12 * second):ifu%Y%m%d_%H_%M_%S}"
            write_cube(
                folder / f"e3d_crr_b_{stem}_{name}.fits",
                cube,
                header=header,
                cards={"CALNIGHT": "20211018", "CALAGE": 0, "CALFALL": False} | place_cards(header, PLACE),
            )
    return folder


def header_of(name, number, second, *, paired):
    start = BEGIN + timedelta(minutes=30 * number + 12 * second)
    offset = np.array(NOD) / 2 * (1 if second == 0 else -1) if paired and name != "Half" else np.zeros(2)
    letter = "AB"[second]
    return fits.Header(
        {
            "OBJECT": f"{name} [{letter}]",
            "NAME": name,
            "EXPTIME": EXPTIME_S,
            "ADCSPEED": 0.1,
            "UTC": start.isoformat(timespec="milliseconds").removesuffix("+00:00"),
            "OBJRA": "03:14:26.4",
            "OBJDEC": "+31:08:52.9",
            "RA": "03:14:18.0",
            "DEC": "+31:06:41.3",
            "RA_OFF": -107.6 + offset[0],
            "DEC_OFF": -131.6 + offset[1],
            "AIRMASS": 1.0,
            "ENDAIR": 1.0,
            "TEL_PA": 0.0,
            "END_PA": 0.0,
            "DOMEST": "open",
            "ABPAIR": paired,
            "IMGSET": letter,
        }
    )


def wait_until(qtbot, what):
    qtbot.waitUntil(what, timeout=120_000)


def test_a_whole_night_by_keys(qtbot, night, tmp_path, capsys):
    begun = time.monotonic()
    plan = app.CommandLine(folder=night)
    later = BEGIN + timedelta(hours=20)
    window, close = app.build(plan, Memory(tmp_path / "memory"), reducer="Ada", clock=lambda: later)
    presenter = window.presenter
    state = presenter.state
    qtbot.addWidget(window)
    try:
        window.show()
        wait_until(qtbot, lambda: state.choice is not None)
        window.draw_now()
        first_s = time.monotonic() - begun
        # a night that went on waits for no pair
        assert {entry.state for entry in state.entries} == {TargetStatus.READY} and len(state.entries) == len(NIGHT)
        order = [entry.product for entry in state.entries]
        wait_until(qtbot, lambda: presenter.desk.jobs.pending == 0)  # all are searched ahead

        steps, next_s = {}, []
        for name in NIGHT:
            assert state.entry.name == name and not state.locked, "Enter leads to the next in the order of time"
            wanted = NIGHT[name][1].split()
            pressed = [*wanted]
            for key in wanted:
                hit(qtbot, window, key)
            qtbot.wait(1)
            if state.warning and state.message.startswith("Not saved yet"):
                steps[name] = state.message
                pressed.append("Enter")
                hit(qtbot, window, "Enter")
            wait_until(qtbot, lambda: presenter.desk.jobs.pending == 0)
            assert state.locked, f"{name}: {state.message}"
            NIGHT_KEYS[name] = len(pressed)
            before = time.monotonic()
            hit(qtbot, window, "Enter")
            wait_until(qtbot, lambda: state.opening is None)
            window.draw_now()
            next_s.append(time.monotonic() - before)
        assert "No other target is ready" in presenter.prompt
        assert [entry.product for entry in state.entries] == order, "what is saved stays where it is"
        assert {entry.state for entry in state.entries} == {TargetStatus.DONE}
    finally:
        window.close()
        close()
        sys.excepthook = sys.__excepthook__
    with capsys.disabled():
        print(
            f"\n  start to first picture {first_s:.2f} s, "
            f"next target {np.median(next_s):.2f} s (most {max(next_s):.2f})"
        )
        print(f"  keys: {NIGHT_KEYS}\n  asked again: {steps}")
    # a loaded machine is allowed much more than the two seconds and the third of one that are aimed at
    assert first_s < 15 and np.median(next_s) < 2
    assert "RuntimeWarning" not in capsys.readouterr().err
    assert {name for name, count in NIGHT_KEYS.items() if count > 3} <= {"Half"}
    errors = check_spectra(night)
    with capsys.disabled():
        print("  error of the flux [%], saved and the pipeline's: " + ", ".join(errors))


NIGHT_KEYS: dict[str, int] = {}


def hit(qtbot, window, key):
    qt = QtCore.Qt
    modifier = qt.KeyboardModifier.ShiftModifier if key.startswith("Shift+") else qt.KeyboardModifier.NoModifier
    name = KEYS.get(key, key)
    code = getattr(qt.Key, f"Key_{name}")
    qtbot.keyClick(window.focusWidget() or window, code, modifier)
    window.draw_now()


def check_spectra(night):
    """Every saved spectrum against its truth, and against what the pipeline makes by itself; the errors in words."""
    told = []
    decisions = {decision.target: decision for decision in map(read, find(night))}
    assert set(decisions) == set(NIGHT)
    for name, (exposures, _, limit) in NIGHT.items():
        decision = decisions[name]
        spectrum, header = read_spectrum(night / f"sp_{decision.saved_as}.fits")
        assert header["QUALITY"] == decision.quality and header["REDUCER"] == "Ada"
        if limit is None:
            # nothing was seen: what is saved is the sky where the target is expected, and no artefact elsewhere
            assert decision.quality == 4 and header["OBJSEEN"] is False
            assert (header["XPOS"], header["YPOS"]) == pytest.approx((PLACE.x_arcsec, PLACE.y_arcsec), abs=0.01)
            assert name == "Dead" or abs(np.nanmedian(spectrum.flux)) * EXPTIME_S < 0.05 * LIGHT
            continue
        truth = exposures[0][0][2] * SHAPE / EXPTIME_S
        ours = error_of(spectrum.flux, truth)
        observation = load(decision.product, [night / file for file, _ in decision.cubes])
        found = suggest(observation)
        assert found.fitted is not None
        pipelines = error_of(found.fitted.spectrum.flux, truth)
        told.append(f"{name} {100 * ours:.1f} {100 * pipelines:.1f}")
        assert ours < limit, f"{name}: {100 * ours:.1f} %"
        assert ours <= pipelines + 1e-3, f"{name}: {100 * ours:.1f} % where the pipeline is {100 * pipelines:.1f} % off"
        # an observer who takes the aperture instead is near it, too
        if not name.startswith("Host"):
            by_hand = extract(observation, Placement(a=found.a, b=found.b, psf_a=found.psf_a, psf_b=found.psf_b))
            assert error_of(by_hand.spectrum.flux, truth) < 2 * limit, name
    return told


def error_of(flux, truth):
    """Largest error in broad bins, as a share of the truth."""
    ratio = [np.nanmean(part) for part in np.array_split(flux / truth, 6)]
    return float(np.max(np.abs(np.array(ratio) - 1)))
