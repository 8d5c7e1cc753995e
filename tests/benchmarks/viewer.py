"""What the observer's window costs: processor time of each step, beside the way it was drawn before; bytes over VNC.

    python tests/benchmarks/viewer.py            # offscreen, a window of 1920 x 1080, 2500 spaxels
    python tests/benchmarks/viewer.py --vnc      # and through a TigerVNC server (Xtigervnc and openbox)
    python tests/benchmarks/viewer.py --json     # the last line holds the medians, for tests/benchmarks/run

A step is the change and all that is painted for it. Processor time, not the clock: the machine may be busy.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parents[1] / "gui"))

SPAXELS, WAVES = 2500, 238
STEPS = 40
#: What has to be reached, milliseconds of processor time.
LIMITS = {"levels": 8.0, "colours": 8.0, "wavelengths": 8.0, "drag": 10.0}
#: What is drawn beside them.
LEGACY = "matplotlib scatter"
PRODUCTS = {"one exposure": "SN2019xyz", "a pair": "ZTF19abc"}
NOW = datetime(2019, 6, 12, 6, 0, tzinfo=UTC)


def make_night(folder: Path) -> Path:
    """A pair and a single target of 2500 spaxels, 238 wavelengths, and a flux calibration."""
    from viewer_samples import make_cube, make_header

    from sedmd.products.cube import write_cube
    from sedmd.products.sensitivity import write_sensitivity
    from sedmd.reduce.flux.sensitivity import Sensitivity

    night = folder / "redux" / "20190612"
    reach = 14.55
    for stem, name, day, place, offset in (
        ("04_07_07", "ZTF19abc [A]", 0.172, (3.0, -4.0), (-3.0, 4.0)),
        ("04_28_02", "ZTF19abc [B]", 0.186, (-3.0, 4.0), (3.0, -4.0)),
        ("05_10_00", "SN2019xyz", 0.215, (-2.0, 2.0), (0.0, 0.0)),
    ):
        cube = make_cube([(*place, 300.0)], seed=int(day * 1000), reach=reach, n_wave=WAVES)
        header = make_header(name, day, RA_OFF=offset[0], DEC_OFF=offset[1])
        write_cube(night / f"e3d_crr_b_ifu20190612_{stem}_{name.split()[0]}.fits", cube, header=header)
    flat, none = np.full(WAVES, 1e14), np.zeros(WAVES)
    sensitivity = Sensitivity(
        wavelength=cube.wavelength,
        value=flat,
        error=0.01 * flat,
        scatter=none,
        floor=none,
        telluric=none,
        stars=("STD-X",),
        scales=(1.0,),
    )
    write_sensitivity(night / "std-correction.fits", sensitivity, cards={})
    print(f"{len(cube.spaxels.q)} spaxels, {WAVES} wavelengths")
    return night


def timed(step: Callable[[int], None], paint: Callable[[], None]) -> tuple[float, float]:
    """Median and 90th percentile of the processor time of a step [ms]."""
    times = []
    for number in range(STEPS):
        before = time.process_time()
        step(number)
        paint()
        times.append(1e3 * (time.process_time() - before))
    ordered = sorted(times[3:])
    return statistics.median(ordered), ordered[int(0.9 * len(ordered))]


def measure(night: Path, product: str) -> dict[str, tuple[float, float]]:
    """Each step of the window on one target."""
    from sedmview import app
    from sedmview.memory import Memory
    from sedmview.qt import QtWidgets

    application = QtWidgets.QApplication.instance() or QtWidgets.QApplication([])
    begun = time.perf_counter()
    window, close = app.build(
        app.CommandLine(folder=night, names=(product,)), Memory(night.parent / "memory"), clock=lambda: NOW
    )
    window.resize(1920, 1080)
    window.show()
    presenter = window.presenter
    built = time.perf_counter()
    while presenter.state.choice is None:
        application.processEvents()
    window.draw_now()
    application.processEvents()
    figures = {
        "start to first picture [ms]": (1e3 * (time.perf_counter() - begun), float("nan")),
        "of which list, cube, picture, spectrum": (1e3 * (time.perf_counter() - built), float("nan")),
    }
    while presenter.state.searching or presenter.desk.jobs.pending:
        application.processEvents()
        time.sleep(0.01)
    window.draw_now()

    def paint() -> None:
        window.draw_now()
        application.processEvents()

    from sedmd.observation.load import load

    entry = presenter.state.entry
    wall = []
    for _ in range(7):
        before = time.perf_counter()
        observation = load(entry.product, entry.cubes)
        window.parts.field.hexes.set_field(observation.field_cube.spaxels, window.parts.field._pixels())
        paint()
        wall.append(1e3 * (time.perf_counter() - before))
    figures["open a cube (clock) [ms]"] = (statistics.median(wall), max(wall))
    window.changed("picture")
    paint()

    def levels(number: int) -> None:
        presenter.looking.rescale("widen", 1.05 if number % 8 < 4 else 1 / 1.05)

    def colour(number: int) -> None:
        presenter.looking.next_colours()

    def wavelengths(number: int) -> None:
        presenter.looking.set_window(5000 + 40 * number, 6000 + 40 * number)

    figures["levels"] = timed(levels, paint)
    figures["colours"] = timed(colour, paint)
    figures["wavelengths"] = timed(wavelengths, paint)
    presenter.looking.accept_scale()
    presenter.placing.accept_suggestion()
    paint()
    a = presenter.state.choice.a
    presenter.placing.grab(a.x_arcsec, a.y_arcsec, 0.1)

    def drag(number: int) -> None:
        presenter.placing.drag(a.x_arcsec + 0.02 * (number % 20), a.y_arcsec + 0.01 * number)

    figures["drag"] = timed(drag, paint)
    presenter.placing.drop()
    presenter.history.undo()

    def hover(number: int) -> None:
        window._pointed(-5.0 + 0.2 * number, 1.0)

    figures["pointer over the field"] = timed(hover, paint)
    print(f"\n{product}: window {window.width()} x {window.height()}, field {window.parts.field._pixels()} pixels wide")
    for name, (middle, late) in figures.items():
        limit = f"<= {LIMITS[name]}" if name in LIMITS else ""
        print(f"  {name:42} {middle:8.1f}   {late:8.1f}   {limit}")
    window.close()
    close()
    return figures


def legacy() -> float:
    """A level step as the windows before drew it: a matplotlib scatter of the same number of points, redrawn whole."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.8))
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    rng = np.random.default_rng(1)
    x, y, values = rng.uniform(-14, 14, SPAXELS), rng.uniform(-14, 14, SPAXELS), rng.normal(0, 30, SPAXELS)
    points = axes.scatter(x, y, c=values, s=35, cmap="jet", vmin=-100, vmax=100)
    figure.colorbar(points)
    canvas.draw()

    def step(number: int) -> None:
        points.set_clim(-100 - number, 100 + number)

    middle, late = timed(step, canvas.draw)
    print(f"\nmatplotlib scatter, {SPAXELS} points, 640 x 480, a level step: {middle:.1f}   {late:.1f}")
    return middle


class Viewer:
    """A minimal VNC client: asks for updates in ZRLE, reads them, and forgets them."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._read(12)
        self._socket.sendall(b"RFB 003.008\n")
        kinds = self._read(self._read(1)[0])
        assert 1 in kinds, "the server wants a password"
        self._socket.sendall(b"\x01")
        assert self._read(4) == b"\0\0\0\0"
        self._socket.sendall(b"\x01")
        self.width, self.height = struct.unpack(">HH", self._read(4))
        self._read(16)
        self._read(struct.unpack(">I", self._read(4))[0])
        self._socket.sendall(struct.pack(">BxHi", 2, 1, 16))  # ZRLE only
        self.count = 0
        self._stop = False
        self._ask(False)
        threading.Thread(target=self._run, daemon=True).start()

    def settled(self, quiet_s: float = 0.35, most_s: float = 8.0) -> int:
        """Wait until nothing has come for a while; bytes of updates so far."""
        begun, last, seen = time.monotonic(), time.monotonic(), self.count
        while time.monotonic() - last < quiet_s and time.monotonic() - begun < most_s:
            time.sleep(0.02)
            if self.count != seen:
                last, seen = time.monotonic(), self.count
        return self.count

    def _ask(self, more: bool) -> None:
        self._socket.sendall(struct.pack(">BBHHHH", 3, more, 0, 0, self.width, self.height))

    def _read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = self._socket.recv(count - len(data))
            if not part:
                raise ConnectionError("the VNC server went away")
            data += part
        return data

    def _run(self) -> None:
        try:
            while True:
                kind = self._read(1)[0]
                if kind == 0:
                    (rectangles,) = struct.unpack(">xH", self._read(3))
                    self.count += 4
                    for _ in range(rectangles):
                        *_, encoding = struct.unpack(">HHHHi", self._read(12))
                        assert encoding == 16, encoding
                        (length,) = struct.unpack(">I", self._read(4))
                        self._read(length)
                        self.count += 16 + length
                    self._ask(True)
                elif kind == 3:
                    self._read(3)
                    self._read(struct.unpack(">I", self._read(4))[0])
                elif kind == 1:
                    (colours,) = struct.unpack(">xHH", self._read(5))[1:]
                    self._read(6 * colours)
        except (ConnectionError, OSError):
            return


def over_vnc(night: Path) -> dict[str, float]:
    """Bytes of a level step and of a drag step over a real TigerVNC server."""
    missing = [name for name in ("Xtigervnc", "openbox", "xdotool") if shutil.which(name) is None]
    if missing:
        print(f"\nno VNC figures: {', '.join(missing)} not installed (apt-get install tigervnc-standalone-server ...)")
        return {}
    with ExitStack() as stack:
        port = _free_port()
        display = f":{70 + port % 29}"
        _start(
            stack,
            [
                "Xtigervnc",
                display,
                "-rfbport",
                str(port),
                "-SecurityTypes",
                "None",
                "-localhost",
                "-geometry",
                "1920x1080",
                "-depth",
                "24",
            ],
        )
        _wait(lambda: _answers(port))
        environment = os.environ | {
            "DISPLAY": display,
            "QT_QPA_PLATFORM": "xcb",
            "XDG_STATE_HOME": str(night.parent / "state-vnc"),
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        _start(stack, ["openbox"], env=environment)
        _start(
            stack,
            [sys.executable, "-m", "sedmview.app", "--redux", str(night.parent), "--reducer", "Ada", "ZTF19abc"],
            env=environment,
        )

        def xdo(*words: object) -> str:
            return subprocess.run(
                ["xdotool", *map(str, words)], env=environment, capture_output=True, text=True, check=False
            ).stdout

        _wait(lambda: xdo("search", "--name", "^sedmview 2019"))
        window = xdo("search", "--name", "^sedmview 2019").split()[0]
        xdo("windowactivate", "--sync", window)
        xdo("windowsize", "--sync", window, 1900, 1040)
        viewer = Viewer(port)
        viewer.settled(2.0, 40)
        figures: dict[str, float] = {"first picture": float(viewer.count)}

        def per_step(what: str, step: Callable[[int], None], steps: int = 15) -> None:
            before = viewer.settled(1.0)
            for number in range(steps):
                step(number)
                viewer.settled()
            figures[what] = (viewer.count - before) / steps

        per_step("level step", lambda number: xdo("key", "greater" if number % 6 < 3 else "less"))
        xdo("key", "x")
        xdo("key", "s")
        viewer.settled(1.0)
        xdo("mousemove", "--window", window, 700, 420)
        per_step("size step with its spectrum", lambda number: xdo("key", "z" if number % 6 < 3 else "x"))
        per_step("arrow step with its spectrum", lambda number: xdo("key", "Left" if number % 6 < 3 else "Right"))
        xdo("key", "u")
        print("\nbytes over TigerVNC, ZRLE, window 1900 x 1040, mean of 15 steps")
        for name, count in figures.items():
            print(f"  {name:42} {count / 1e3:8.1f} kB")
        return figures


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def _start(stack: ExitStack, words: list[str], **options: object) -> None:
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)  # type: ignore[call-overload]

    def end() -> None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    stack.callback(end)


def _wait(condition: Callable[[], object], most_s: float = 60.0) -> None:
    end = time.monotonic() + most_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("the VNC server or the window did not come up")
        time.sleep(0.1)


def main() -> int:
    """Print the figures; 1 if one of them is not reached."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--vnc", action="store_true", help="bytes over a TigerVNC server too")
    options.add_argument("--json", action="store_true", help="medians as the last line")
    given = options.parse_args()
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    with tempfile.TemporaryDirectory() as name:
        night = make_night(Path(name))
        os.environ["XDG_STATE_HOME"] = str(Path(name) / "state")
        found = {what: measure(night, product) for what, product in PRODUCTS.items()}
        scatter = legacy()
        if given.vnc:
            over_vnc(night)
    missed = [name for figures in found.values() for name, limit in LIMITS.items() if figures[name][0] > limit]
    print("\nall figures reached" if not missed else f"\nNOT reached: {', '.join(missed)}")
    if given.json:
        medians = {what: {name: one[0] for name, one in figures.items()} for what, figures in found.items()}
        print(json.dumps(medians | {LEGACY: scatter}))
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
