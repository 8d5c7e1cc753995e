"""Figures of the service, measured and printed: python tests/benchmarks/service.py [latency] [planner] [idle] [start].

latency   seconds from the last byte of a frame of the real size to its row in the ledger: inotify and polling
planner   a tick of the planner with 100 000 frames of history, and a turn of the loop with and without a changed night
idle      processor time of a service that has nothing to do, over 60 s
start     time until READY=1 with 3000 nights in the archive
"""

from __future__ import annotations

import io
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from faults.daemon import configure, running, wait_for
from faults.nights import LATER
from night.helpers import night_is_done
from night.raw_night import AFTERNOON, SHAPE, cards, frame_bytes, raw, whole_night

import sedmd.run.ingest
from sedmd.daemon.service import Service
from sedmd.ledger.ledger import Ledger
from sedmd.run.event_log import EventLog
from sedmd.run.ingest import register, take_in
from sedmd.run.readers import Readers
from sedmd.workers.engines import InlineEngine

FRAMES_OF_HISTORY = 100_000
FRAMES_A_NIGHT = 80
NIGHTS = 3000


def now() -> datetime:
    return datetime.now(UTC)


def told(seconds: list[float], unit: float = 1.0) -> str:
    return f"median {statistics.median(seconds) * unit:.2f}, max {max(seconds) * unit:.2f}"


def latency(folder: Path) -> None:
    """50 frames of 2048 x 2048, each in the ledger before the next is written."""
    count = 50
    for mode in ("inotify", "poll"):
        for settle_s in (0.5, 0.1):
            place = folder / f"{mode}{settle_s}"
            settings = configure(place, mode=mode, settle_s=settle_s, scan_s=10.0 if mode == "inotify" else 1.0)
            # no jobs: what is measured is the way into the ledger
            header = cards(AFTERNOON, "Focus: 12.3")
            content = bytearray(frame_bytes(header, seed=1, shape=(2048, 2048)))
            taken: list[float] = []
            with running(settings, module="sedmd") as daemon:
                wait_for(lambda: daemon.ready, daemon)
                for number in range(count):
                    content[-2880] = number
                    name = (AFTERNOON + timedelta(seconds=number)).strftime("ifu%Y%m%d_%H_%M_%S.fits")
                    path = settings.paths.raw_root / "20190611" / name
                    path.parent.mkdir(exist_ok=True)
                    with path.open("wb") as file:
                        for start in range(0, len(content), 1 << 20):
                            file.write(content[start : start + (1 << 20)])
                    ended = time.monotonic()
                    with Ledger.open(settings.paths.state / "ledger.sqlite", clock=now, read_only=True) as ledger:
                        wait_for(lambda: path in ledger.frames.known_files(path.parent), daemon)  # noqa: B023
                    taken.append(time.monotonic() - ended)
                daemon.stop()
            how = f"{mode:8} settle_s {settle_s:3.1f}" + (", scan every 1 s" if mode == "poll" else "")
            print(f"last byte to ledger, {how}: {told(taken)} s over {count} frames of {len(content) / 1e6:.1f} MB")


def history(folder: Path) -> tuple[Ledger, object]:
    """A ledger with years of frames and jobs, the last night a real one."""
    settings = configure(folder, quiet_s=0.0)
    ledger = Ledger.open(settings.paths.state / "ledger.sqlite", clock=now)
    ledger._db.execute("PRAGMA synchronous = OFF")
    night = [*whole_night()]
    late = datetime(2019, 6, 12, 8, tzinfo=UTC)
    night += [raw(late + timedelta(minutes=k), f"more{k}") for k in range(FRAMES_A_NIGHT - len(night))]
    for frame in night:
        frame.write(settings.paths.raw_root)
    rows = []
    for path in sorted(settings.paths.raw_root.glob("*/*.fits")):
        row = take_in(path, settings, now=LATER)
        register(ledger, row)
        if row.frame is not None:
            rows.append(row)
    db = ledger._db
    db.execute("BEGIN")
    columns = [item[1] for item in db.execute("PRAGMA table_info(frame)")]
    bodies = [tuple(item) for item in db.execute("SELECT * FROM frame WHERE body IS NOT NULL")]
    where = {name: columns.index(name) for name in ("path", "night", "checksum")}
    steps = ("cube", "extract", "calibrate", "flat")
    made = day = 0
    while made < FRAMES_OF_HISTORY:
        day += 1
        date = datetime(2019, 6, 10) - timedelta(days=day)
        name = f"{date:%Y%m%d}"
        for number in range(FRAMES_A_NIGHT):
            body = list(bodies[number % len(bodies)])
            body[where["path"]] = str(settings.paths.raw_root / name / f"ifu{name}_{number:02}_00_00.fits")
            body[where["night"]] = name
            body[where["checksum"]] = f"{name}{number}"
            db.execute(f"INSERT INTO frame VALUES ({','.join('?' * len(body))})", body)
            db.execute(
                "INSERT INTO job (key, night, step, label, state, ended) VALUES (?, ?, ?, ?, 'done', ?)",
                (f"{name}{number}", name, steps[number % 4], f"x{number}", f"{date}"),
            )
            for line in range(3):
                db.execute(
                    "INSERT INTO event (time, night, subject, text) VALUES (?, ?, ?, ?)",
                    (f"{date}", name, f"ifu{name}_{number:02}", f"said {line}"),
                )
            made += 1
    db.execute("COMMIT")
    return ledger, settings


def clock_of(call: Callable[[], object], times: int) -> list[float]:
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        call()
        taken.append(time.perf_counter() - begun)
    return taken


def planner(folder: Path) -> None:
    sedmd.run.ingest.ARRAY_SHAPE = SHAPE
    ledger, settings = history(folder)
    service = Service(
        settings=settings,
        ledger=ledger,
        engine=InlineEngine(settings.jobs.steps_module, workers=2),
        clock=lambda: LATER,
        report=EventLog(clock=lambda: LATER, stream=io.StringIO()),
        readers=Readers(preload=("sedmd.run.ingest",)),
    )
    try:
        service._scan()
        service._start_clock()
        for _ in range(2000):
            service._step()
            plan = service.nights.plans.get("20190612")
            if plan is not None and not plan.active and service.inbox.empty():
                break
        night = max(service.nights.plans)
        files, nights = len(ledger.frames.known_files()), len(ledger.frames.nights())
        print(f"history: {files} files in {nights} nights; {night} has 80 frames")
        print(f"planner, one night: {told(clock_of(lambda: service.dispatcher.plan(night, final=True), 30), 1e3)} ms")
        print(f"turn of the loop, nothing changed: {told(clock_of(service._pump, 50), 1e3)} ms")

        def changed() -> None:
            service.nights.touch(night)
            service._pump()

        print(f"turn of the loop, one night changed: {told(clock_of(changed, 30), 1e3)} ms")
        print(
            f"scan: {told(clock_of(service._scan, 20), 1e3)} ms; vitals: "
            f"{told(clock_of(lambda: service.keeper.take(service), 20), 1e3)} ms"
        )
    finally:
        service.ticker.stop()
        service.watcher.stop()
        service.intake.close()
        ledger.close()


def processor_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def idle(folder: Path) -> None:
    for what, scan_s in (("scan every 10 s, the default", 10.0), ("scan every 1 s", 1.0)):
        settings = configure(folder / f"scan{scan_s}", scan_s=scan_s, settle_s=2.0, quiet_s=1.0)
        night = whole_night()
        for frame in night:
            frame.write(settings.paths.raw_root)
        with running(settings) as daemon:
            wait_for(partial(night_is_done, settings, len(night)), daemon)
            time.sleep(3)
            before = processor_s(daemon.process.pid)
            time.sleep(60)
            used = processor_s(daemon.process.pid) - before
            print(f"idle, a night of {len(night)} frames in sight, {what}: {used / 60:.2%} of one processor over 60 s")
            daemon.stop()


def start(folder: Path) -> None:
    for files in (0, 5):
        settings = configure(folder / f"files{files}", scan_s=10.0)
        first = datetime(2011, 1, 1)
        content = raw(datetime(2019, 6, 12, tzinfo=UTC), "Focus: 1").content
        source = folder / "one.fits"
        source.write_bytes(content)
        for number in range(NIGHTS):
            night = f"{first + timedelta(days=number):%Y%m%d}"
            place = settings.paths.raw_root / night
            place.mkdir()
            for hour in range(files):
                os.link(source, place / f"ifu{night}_{hour:02}_00_00.fits")
        taken = []
        for _ in range(5):
            begun = time.monotonic()
            with running(settings) as daemon:
                wait_for(lambda: daemon.ready, daemon)
                taken.append(next(when for when, text in daemon.heard if "READY=1" in text) - begun)
                daemon.stop()
        print(
            f"start to READY=1, {NIGHTS} nights of {files} files: first {taken[0]:.2f} s (an empty ledger), "
            f"then {told(taken[1:])} s"
        )


PARTS = {"latency": latency, "planner": planner, "idle": idle, "start": start}

if __name__ == "__main__":
    for name in sys.argv[1:] or list(PARTS):
        with tempfile.TemporaryDirectory(prefix="sedmd-bench-") as temporary:
            PARTS[name](Path(temporary))
            sys.stdout.flush()
