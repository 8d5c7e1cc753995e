"""The program as an observer meets it: a real window, a window manager, keys and a mouse; judged by what it saves.

Runs through a TigerVNC server, as at the telescope, and with the slow tests under Xvfb. Pictures of each phase go to
$SEDMVIEW_SCREENSHOTS, if set:
those of the docs are taken so.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from viewer_samples import make_cube, make_header

from sedmd.data.extinction import extinction_mag
from sedmd.observation import decisions
from sedmd.observation.saved import former_versions, replay
from sedmd.products.cube import write_cube
from sedmd.products.sensitivity import write_sensitivity
from sedmd.products.spectrum import read_spectrum
from sedmd.reduce.flux.sensitivity import Sensitivity

SERVERS = {
    "Xvfb": ["Xvfb", "-displayfd", "1", "-screen", "0", "1600x1000x24", "-nolisten", "tcp"],
    "Xtigervnc": [
        *("Xtigervnc", "-displayfd", "1", "-geometry", "1600x1000", "-depth", "24"),
        *("-SecurityTypes", "None", "-localhost", "-rfbport", "-1", "-rfbunixpath"),
    ],
}
#: Debian packages of what is needed.
PACKAGES = {
    "Xvfb": "xvfb",
    "Xtigervnc": "tigervnc-standalone-server",
    "openbox": "openbox",
    "xdotool": "xdotool",
}
#: Light of the star: the total of the Gaussian in make_cube.
LIGHT, N_WAVE = 120.0, 238


def until(what, *, most_s=90.0):
    """Poll until something is so, and give it back."""
    end = time.monotonic() + most_s
    while True:
        got = what()
        if got:
            return got
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.05)


class Desktop:
    """A display with a window manager, and hands to work on it."""

    def __init__(self, server, folder):
        self.folder, self.processes = folder, []
        words = SERVERS[server] + ([str(folder / "vnc.socket")] if server == "Xtigervnc" else [])
        with (folder / "server.log").open("wb") as log:
            process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=log)
        self.processes.append(process)
        number = process.stdout.readline().decode().strip()
        assert number, (folder / "server.log").read_text()
        self.environment = os.environ | {
            "DISPLAY": f":{number}",
            "QT_QPA_PLATFORM": "xcb",
            "XDG_STATE_HOME": str(folder / "state"),
            "XDG_RUNTIME_DIR": str(folder),
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        }
        self.start("openbox")
        until(lambda: self.xdo("getwindowfocus").strip() or None)

    def start(self, *words):
        with (self.folder / "program.log").open("ab") as log:
            process = subprocess.Popen([*map(str, words)], env=self.environment, stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def xdo(self, *words):
        found = subprocess.run(
            ["xdotool", *map(str, words)], env=self.environment, capture_output=True, text=True, check=False
        )
        return found.stdout

    def key(self, *names):
        for name in names:
            self.xdo("key", "--clearmodifiers", name)

    def screenshot(self, path):
        """What the screen shows, photographed by another program."""
        code = (
            "import sys; from sedmview.qt import QtWidgets; app = QtWidgets.QApplication([]); "
            "app.primaryScreen().grabWindow(0).save(sys.argv[1])"
        )
        subprocess.run([sys.executable, "-c", code, str(path)], env=self.environment, check=True, capture_output=True)
        return np.asarray(Image.open(path).convert("RGB"), dtype=int)

    def close(self):
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()


class Observer:
    """Somebody in front of the window, who sees what the files tell."""

    def __init__(self, desktop, night):
        self.desktop, self.night = desktop, night
        self.process = None

    def open(self, product):
        self.process = self.desktop.start(
            sys.executable, "-m", "sedmview.app", "--redux", self.night.parent, "--night", self.night.name, product
        )
        self.wait_for(product)

    def wait_for(self, product):
        name = f"^sedmview {self.night.name} {product}"

        def in_front():
            # looked for again each time: the window of a process that was killed may still be there at first
            windows = self.desktop.xdo("search", "--onlyvisible", "--name", name).split()
            if windows:
                self.desktop.xdo("windowactivate", "--sync", windows[-1])
            return windows and self.desktop.xdo("getactivewindow").strip() == windows[-1]

        until(in_front)

    def draft(self, product):
        found = list((self.desktop.folder / "state").rglob(f"drafts/*/{product}.json"))
        return json.loads(found[0].read_text()) if found else None

    def see(self, product, **wanted):
        """Wait until the choice is as wanted."""
        return until(
            lambda: (
                (draft := self.draft(product)) and all(draft[key] == value for key, value in wanted.items()) and draft
            )
        )

    def saved(self, product):
        """The decision once it is there; a search that ended after the grade may ask for Enter once more."""
        end = time.monotonic() + 20.0
        while time.monotonic() < end and not self.decision(product):
            time.sleep(0.05)
        if not self.decision(product):
            self.desktop.key("Return")
        return until(lambda: self.decision(product))

    def decision(self, product):
        path = self.night / f"{product}.decision.json"
        return decisions.read(path) if path.exists() else None

    def photograph(self, name):
        folder = Path(os.environ.get("SEDMVIEW_SCREENSHOTS") or self.desktop.folder)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}.png"
        picture = self.desktop.screenshot(path)
        # the window without the desk around it, in few colours: small enough for the docs
        shown = np.argwhere(picture.sum(axis=2) > 0)
        (top, left), (bottom, right) = shown.min(axis=0), shown.max(axis=0)
        image = Image.open(path).convert("RGB").crop((left, top, right + 1, bottom + 1))
        image.quantize(200, dither=Image.Dither.NONE).save(path, optimize=True)
        return picture

    def blob(self, picture, sign):
        """Middle of the red (+1) or the blue (-1) object in the picture of the field, screen pixels."""
        half = picture[:, int(0.16 * picture.shape[1]) : picture.shape[1] // 2]
        excess = sign * (half[..., 0] - half[..., 2])
        rows, columns = np.nonzero((excess > 90)[160:760])
        assert len(rows) > 200, "the object cannot be seen"
        return int(np.median(columns)) + int(0.16 * picture.shape[1]), int(np.median(rows)) + 160

    def click(self, x, y):
        self.desktop.xdo("mousemove", "--sync", x - 9, y + 7)
        self.desktop.xdo("mousemove", "--sync", x, y)
        self.desktop.xdo("click", 1)


@pytest.fixture(params=["Xtigervnc", pytest.param("Xvfb", marks=pytest.mark.slow)])
def desktop(request, tmp_path):
    missing = [program for program in (request.param, "openbox", "xdotool") if shutil.which(program) is None]
    if missing:
        words = (
            f"not installed: {', '.join(missing)}; as root: apt-get install {' '.join(PACKAGES[m] for m in missing)}"
        )
        if os.environ.get("CI"):
            pytest.fail(words)
        pytest.skip(words)
    made = Desktop(request.param, tmp_path)
    yield made
    made.close()


def supernova():
    """Something like the spectrum of a supernova: a slope with broad dips, and a sky with lines."""
    wavelength = np.linspace(3800, 9200, N_WAVE)
    shape = (wavelength / 5000) ** -1.6 * (1 - np.exp(-(((wavelength - 3500) / 500) ** 2)))
    for middle, width, depth in ((6150, 90, 0.45), (5450, 80, 0.3), (4900, 120, 0.3), (8300, 160, 0.4)):
        shape *= 1 - depth * np.exp(-0.5 * ((wavelength - middle) / width) ** 2)
    sky = 0.6 + sum(a * np.exp(-0.5 * ((wavelength - line) / 25) ** 2) for line, a in ((5577, 3), (6300, 1), (8900, 2)))
    return wavelength, shape, sky


@pytest.fixture
def night(tmp_path):
    folder = tmp_path / "redux" / "20190612"
    _, shape, sky = supernova()
    for stem, name, day, place, offset in (
        ("ifu20190612_04_07_07", "ZTF19abc [A]", 0.172, (3.0, -4.0), (-3.0, 4.0)),
        ("ifu20190612_04_28_02", "ZTF19abc [B]", 0.186, (-3.0, 4.0), (3.0, -4.0)),
        ("ifu20190612_05_10_00", "SN2019xyz", 0.215, (-2.0, 2.0), (0.0, 0.0)),
        ("ifu20190612_05_40_00", "ZTF19half [A]", 0.236, (2.0, 2.0), (-3.0, 4.0)),
    ):
        cube = make_cube(
            [(*place, LIGHT)], seed=int(day * 1000), reach=13.0, n_wave=N_WAVE, spectrum=shape, sky_spectrum=sky
        )
        header = make_header(name, day, RA_OFF=offset[0], DEC_OFF=offset[1], AIRMASS=1.05)
        header["UTC"] = f"2019:163:{stem[12:].replace('_', ':')}.0"
        write_cube(folder / f"e3d_crr_b_{stem}_{name.split()[0]}.fits", cube, header=header)
    calibration(folder)
    finder(folder / "finders" / "finder_rc20190612_04_03_11_ACQ-ZTF19abc_NA.png")
    return folder


def calibration(folder):
    """A flat sensitivity of 1e14."""
    flat, none = np.full(N_WAVE, 1e14), np.zeros(N_WAVE)
    made = Sensitivity(
        wavelength=supernova()[0],
        value=flat,
        error=none,
        scatter=none,
        floor=none,
        telluric=none,
        stars=("STD-X",),
        scales=(1.0,),
    )
    write_sensitivity(folder / "std-correction.fits", made, cards={})


def finder(path):
    """A chart with some stars and the target in its middle."""
    rng = np.random.default_rng(4)
    y, x = np.mgrid[:300, :300]
    sky = rng.normal(40, 6, (300, 300))
    for at_x, at_y, light in (*rng.uniform((0, 0, 20), (300, 300, 230), (25, 3)), (150, 150, 120)):
        sky += light * np.exp(-0.5 * ((x - at_x) ** 2 + (y - at_y) ** 2) / 3.0**2)
    image = Image.fromarray(np.clip(sky, 0, 255).astype(np.uint8)).convert("RGB")
    pen = ImageDraw.Draw(image)
    for line in ((120, 150, 140, 150), (160, 150, 180, 150), (150, 120, 150, 140), (150, 160, 150, 180)):
        pen.line(line, fill=(255, 90, 90), width=2)
    pen.text((268, 250), "N", fill=(255, 255, 255))
    pen.line((272, 264, 272, 284, 250, 284), fill=(255, 255, 255), width=2)
    pen.text((240, 279), "E", fill=(255, 255, 255))
    path.parent.mkdir(parents=True)
    image.save(path)


def test_an_observers_evening(desktop, night):
    observer = Observer(desktop, night)
    observer.open("ZTF19abc")

    # scale
    desktop.key("greater", "greater", "less")
    first = observer.see("ZTF19abc", stage="scale")
    low, high = first["scale"]["low"], first["scale"]["high"]
    assert first["scale"]["how"] == "by hand" and abs(low + high) < 0.05 * (high - low)
    picture = observer.photograph("scale")
    red, blue = observer.blob(picture, +1), observer.blob(picture, -1)
    desktop.key("x")
    observer.see("ZTF19abc", stage="place", placed=[])

    # place A, then B; a key while the pointer is far outside moves nothing
    desktop.xdo("mousemove", "--sync", 5, 5)
    desktop.key("z")
    desktop.xdo("mousemove", "--sync", red[0] + 4, red[1] - 3)
    observer.photograph("place")
    observer.click(*red)
    placed = observer.see("ZTF19abc", placed=["A"], active="B")
    assert (placed["a"]["x_arcsec"], placed["a"]["y_arcsec"]) == pytest.approx((3.0, -4.0), abs=0.4)
    b = (placed["a"]["x_arcsec"] - 6.0, placed["a"]["y_arcsec"] + 8.0)
    assert (placed["b"]["x_arcsec"], placed["b"]["y_arcsec"]) == pytest.approx(b)  # where the nod predicts
    observer.click(*blue)
    placed = observer.see("ZTF19abc", placed=["A", "B"])
    assert (placed["b"]["x_arcsec"], placed["b"]["y_arcsec"]) == pytest.approx((-3.0, 4.0), abs=0.4)

    # sky, size, undo
    desktop.key("y")
    observer.see("ZTF19abc", skysub=False)
    desktop.key("y", "x", "x")
    size = placed["b"]["semi_major_arcsec"]
    assert placed["a"]["semi_major_arcsec"] == size < 2.0
    until(lambda: observer.draft("ZTF19abc")["b"]["semi_major_arcsec"] == pytest.approx(size + 0.4))
    desktop.key("ctrl+z")
    until(lambda: observer.draft("ZTF19abc")["b"]["semi_major_arcsec"] == pytest.approx(size + 0.2))
    desktop.key("c", "Tab", "c")  # both on the middle of their light
    observer.see("ZTF19abc", active="A")
    desktop.key("l")
    desktop.xdo("mousemove", "--sync", 5, 5)
    observer.photograph("grade")

    # grade, name, save
    desktop.key("1")
    observer.see("ZTF19abc", grade=1)
    desktop.key("Return")
    time.sleep(0.2)  # the focus goes to the name
    desktop.xdo("type", "--delay", "60", "Ada L.")
    desktop.key("Return")
    settings = desktop.folder / "state" / "sedmview" / "settings.json"
    until(lambda: settings.exists() and json.loads(settings.read_text()).get("reducer") == "Ada L.")
    assert observer.decision("ZTF19abc") is None
    desktop.key("Return")
    decision = observer.saved("ZTF19abc")
    assert (decision.quality, decision.reducer) == (1, "Ada L.")
    spectrum, header = read_spectrum(night / "sp_ZTF19abc.fits")
    assert spectrum.unit == "erg / (s cm2 Angstrom)"
    _, shape, _ = supernova()
    cell = 0.613 * 0.597 - 0.173 * 0.174
    truth = LIGHT * 2 * np.pi * 0.8**2 / cell / 900.0 * shape
    ratio = spectrum.flux / truth * 1e14 / 10 ** (0.4 * 1.05 * extinction_mag(spectrum.wavelength))
    assert np.median(ratio) == pytest.approx(1.0, abs=0.06)  # the image is fitted as a Moffat, and is a Gaussian
    assert np.std(ratio / np.median(ratio)) < 0.03
    assert (header["XPOS"], header["YPOS"]) == pytest.approx((3.0, -4.0), abs=0.1)
    assert (header["XPOSB"], header["YPOSB"]) == pytest.approx((-3.0, 4.0), abs=0.1)
    assert set(replay(night / "ZTF19abc.decision.json").values()) == {"same bytes"}
    until(lambda: observer.draft("ZTF19abc") is None)
    observer.photograph("saved")

    # redo: the former version is kept
    desktop.key("r", "Left", "2", "Return")
    until(lambda: (now := observer.decision("ZTF19abc")) and now.quality == 2)
    [former] = former_versions(night, "ZTF19abc")
    assert decisions.read(former / "ZTF19abc.decision.json") == decision
    desktop.key("F1")
    observer.photograph("help")
    desktop.key("F1")

    # the next one; the session is lost in the middle of it, and comes back
    desktop.key("Return")
    observer.wait_for("SN2019xyz_obs1")
    desktop.key("x")
    observer.see("SN2019xyz_obs1", stage="place")
    until(lambda: desktop.key("s") or (observer.draft("SN2019xyz_obs1") or {}).get("placed") == ["A"])
    desktop.key("bracketleft", "2")
    before = observer.see("SN2019xyz_obs1", grade=2)
    observer.process.send_signal(signal.SIGKILL)
    observer.process.wait()
    observer.open("SN2019xyz")
    assert observer.draft("SN2019xyz_obs1") == before
    desktop.key("Return")
    saved = observer.saved("SN2019xyz_obs1")
    assert saved.quality == 2 and saved.reducer == "Ada L." and saved.placement.a.axis_ratio == 0.9

    # half a pair, deliberately; and the window closes as windows do
    desktop.key("Next")
    observer.wait_for("ZTF19half_obs1")
    desktop.key("n", "Return")
    observer.see("ZTF19half_obs1", grade=4)
    assert observer.decision("ZTF19half_obs1") is None
    desktop.key("shift+p", "Return")
    half = observer.saved("ZTF19half_obs1")
    assert half.partial and not half.object_visible and half.quality == 4
    desktop.key("alt+F4")
    until(lambda: observer.process.poll() is not None)
    assert observer.process.returncode == 0
