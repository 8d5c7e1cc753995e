"""Any sequence of what can happen to frames, jobs, the service and the clock, against what must always be true."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import os
import shutil
import tempfile
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from night.helpers import products
from night.raw_night import NIGHT, SHAPE, Raw, calibrations, on_sky

import sedmd.run.ingest
from sedmd.daemon.intake import Intake
from sedmd.daemon.nights import Nights
from sedmd.ledger.journal import Journal
from sedmd.ledger.ledger import Ledger
from sedmd.raw.rawname import stem_of
from sedmd.run.dispatch import Dispatcher
from sedmd.run.event_log import EventLog
from sedmd.run.ingest import raw_files
from sedmd.run.requests import carry_out
from sedmd.workers.engines import InlineEngine

from . import audit
from .daemon import configure
from .nights import undisturbed

START = datetime(2019, 6, 11, 22, tzinfo=UTC)
#: A small night: two bias speeds would only repeat what one says.
FRAMES = [
    *calibrations(bias=5, lamp=3, speeds=(0.1, 2.0)),
    *on_sky("STD-Feige34", "pair [A]", "pair [B]", "alone", "STD-BD+33d2642", "FaultyCube"),
]
CALIBRATIONS = [frame for frame in FRAMES if b"'Calib:" in frame.content]
EXPOSURES = [frame for frame in FRAMES if frame not in CALIBRATIONS]
SUBJECTS = ("alone", "pair", "STD-Feige34", "traces", "flat", "fluxcal", NIGHT)
#: Their products tell the content of what went in, not its name: frames are renamed here.
STEPS = "faults.nameless_steps"
#: How often each thing happened, over all sequences.
COUNTS: Counter[str] = Counter()


class World:
    """A wall clock and a monotonic one that only tests move."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.jump = timedelta()

    def clock(self) -> datetime:
        return START + timedelta(seconds=self.seconds) + self.jump

    def monotonic(self) -> float:
        return self.seconds


class ServiceMachine(RuleBasedStateMachine):
    """Intake, planner and dispatcher on a real ledger file, with a real directory of raw files."""

    expected: dict[str, str] | None = None

    def __init__(self) -> None:
        super().__init__()
        sedmd.run.ingest.ARRAY_SHAPE = SHAPE
        if ServiceMachine.expected is None:
            with tempfile.TemporaryDirectory() as folder:
                ServiceMachine.expected = undisturbed(Path(folder), FRAMES, steps=STEPS)
        self.folder = Path(tempfile.mkdtemp(prefix="machine-"))
        self.settings = configure(self.folder, steps=STEPS, retry_after_s=[1.0] * 3)
        audit.install(self.settings)
        self.world = World()
        self.names = itertools.count()
        self.places: dict[str, list[Path]] = {}  # frame -> its files
        self.partial: dict[str, Path] = {}
        self.forgotten: set[str] = set()
        self.held: set[str] = set()
        self.corrections: set[str] = set()
        self.ended: list[tuple[str, object, object]] = []
        self.alive = False
        self.start()

    # life

    def start(self) -> None:
        report = EventLog(clock=self.world.clock, redux_root=self.settings.paths.redux_root, stream=io.StringIO())
        self.ledger = Ledger.open(
            self.settings.paths.state / "ledger.sqlite",
            clock=self.world.clock,
            journal=Journal(self.settings.paths.redux_root),
            check=True,
        )
        self.ended = []
        self.dispatcher = Dispatcher(
            settings=self.settings,
            ledger=self.ledger,
            engine=InlineEngine(self.settings.jobs.steps_module, workers=2),
            clock=self.world.clock,
            report=report,
            on_done=lambda key, job, future: self.ended.append((key, job, future)),
            patient=True,
        )
        self.nights = Nights(
            settings=self.settings,
            ledger=self.ledger,
            dispatcher=self.dispatcher,
            report=report,
            clock=self.world.clock,
            monotonic=self.world.monotonic,
        )
        self.intake = Intake(
            settings=self.settings,
            ledger=self.ledger,
            report=report,
            on_frame=lambda row: self.nights.touch(row.night, arrived=row.arrived),
            clock=self.world.clock,
            monotonic=self.world.monotonic,
        )
        self.intake.scan()
        self.dispatcher.recover(self.intake.plannable(self.ledger.frames.nights()))
        self.alive = True

    def turn(self, *, launch: bool = True) -> None:
        """One turn of the service's loop."""
        ended, self.ended = self.ended, []
        for key, job, future in ended:
            self.dispatcher.finished(key, future)
            self.nights.touch(job.night)
        self.intake.work(1e9)
        plans = self.nights.replan(self.intake.plannable(self.ledger.frames.nights()), settled=self.intake.settled)
        if launch:
            self.dispatcher.launch(plans)

    def sweep(self) -> None:
        self.intake.again()
        self.dispatcher.expire()
        for night in self.intake.plannable(self.ledger.frames.nights()):
            self.intake.drop_moved(night)
            self.dispatcher.check_products(night)
            self.nights.touch(night)

    # what happens

    def write(self, frame: Raw, *, cut: int | None = None) -> Path:
        path = self.settings.paths.raw_root / frame.place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(frame.content if cut is None else frame.content[:cut])
        return path

    @initialize(count=st.sampled_from([0, 5, 10, len(CALIBRATIONS), len(FRAMES) - 3]), turns=st.integers(0, 12))
    def what_was_there(self, count, turns):
        """Most sequences begin with some calibrations, or they would hardly come to a spectrum."""
        for frame in FRAMES[:count]:
            self.places[frame.place] = [self.write(frame)]
        self.intake.scan()
        for _ in range(turns):
            self.world.seconds += 1
            self.turn()

    @rule(frame=st.sampled_from(FRAMES))
    def seen_whole(self, frame):
        COUNTS["frame lands"] += 1
        if frame.place not in self.places:
            self.partial.pop(frame.place, None)
            self.places[frame.place] = [self.write(frame)]

    @rule(frame=st.sampled_from(FRAMES), share=st.floats(0.05, 0.95))
    def begins(self, frame, share):
        if frame.place not in self.places:
            COUNTS["frame begins"] += 1
            self.partial[frame.place] = self.write(frame, cut=int(share * len(frame.content)))

    @precondition(lambda self: self.partial)
    @rule(data=st.data(), hint=st.booleans())
    def grows_to_its_end(self, data, hint):
        COUNTS["frame grows"] += 1
        place = data.draw(st.sampled_from(sorted(self.partial)))
        path = self.partial.pop(place)
        (frame,) = [one for one in FRAMES if one.place == place]
        self.places[place] = [self.write(frame)]
        if hint and self.alive:
            self.intake.hint(path)

    @precondition(lambda self: self.places)
    @rule(data=st.data(), how=st.sampled_from(["renamed", "copied", "linked", "touched", "written again"]))
    def the_same_once_more(self, data, how):
        place = data.draw(st.sampled_from(sorted(self.places)))
        files = self.places[place]
        path = files[0]
        if place in self.forgotten and how != "touched":
            return  # a copy of a frame that was left out is another file: it comes in, as it should
        COUNTS[how] += 1
        other = path.with_name(f"{Path(place).stem}_{next(self.names)}{''.join(path.suffixes)}")
        match how:
            case "renamed":
                path.rename(other)
                files[0] = other
            case "copied":
                shutil.copyfile(path, other)
                files.append(other)
            case "linked":
                os.link(path, other)
                files.append(other)
            case "touched":
                os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns + 1_000_000_000))
            case _:
                content = path.read_bytes()
                path.unlink()
                path.write_bytes(content)

    @precondition(lambda self: self.places)
    @rule(data=st.data(), together=st.booleans())
    def gzipped_in_place(self, data, together):
        """As the robot does in the morning; for a while both files may be there."""
        place = data.draw(st.sampled_from(sorted(self.places)))
        path = self.places[place][0]
        if path.suffix == ".gz":
            return
        COUNTS["gzipped"] += 1
        packed = path.with_name(path.name + ".gz")
        packed.write_bytes(gzip.compress(path.read_bytes()))
        if together and self.alive:
            self.intake.scan()
            self.turn()
        path.unlink()
        self.places[place][0] = packed

    @precondition(lambda self: self.alive)
    @rule()
    def scan(self):
        self.intake.scan()
        self.turn()

    @precondition(lambda self: self.alive)
    @rule(seconds=st.sampled_from([0.2, 1.0, 30.0, 3600.0]), turns=st.integers(1, 4))
    def time_passes(self, seconds, turns):
        for _ in range(turns):
            self.world.seconds += seconds / turns
            self.turn()

    @rule(hours=st.sampled_from([-30.0, -1.0, 1.0, 30.0]))
    def the_clock_jumps(self, hours):
        COUNTS["clock jumps"] += 1
        self.world.jump += timedelta(hours=hours)
        if self.alive:
            self.nights.touch_all()

    @precondition(lambda self: self.alive)
    @rule()
    def swept(self):
        COUNTS["sweep"] += 1
        self.sweep()
        self.turn()

    @precondition(lambda self: self.alive)
    @rule(during_jobs=st.booleans())
    def crash(self, during_jobs):
        """The process is gone; what ended but was not booked is lost, and files of a dead worker lie about."""
        COUNTS["crash"] += 1
        self.intake.scan()
        self.turn(launch=True)
        if during_jobs and self.ended:
            COUNTS["crash with jobs at work"] += 1
            folder = self.settings.paths.redux_root / NIGHT
            (folder / ".flat.4711-0123abcd.fits").write_bytes(b"half a product")
        else:
            self.turn(launch=False)
        self.ledger.close()
        self.alive = False

    @precondition(lambda self: not self.alive)
    @rule()
    def restart(self):
        self.start()
        self.turn()

    @precondition(lambda self: self.alive)
    @rule(verb=st.sampled_from(["redo", "retry", "hold", "release"]), subject=st.sampled_from(SUBJECTS))
    def asked(self, verb, subject):
        self.ask(verb, subject)
        self.turn()

    @precondition(lambda self: self.alive and self.places)
    @rule(data=st.data(), value=st.sampled_from([1.0, 2.0]), whole=st.booleans())
    def corrected_or_taken_back(self, data, value, whole):
        """A card that changes what is made, not what the frame is."""
        path = self.places[data.draw(st.sampled_from(sorted(self.places)))][0]
        scope = NIGHT if whole else stem_of(path)
        if scope in self.corrections:
            assert self.ask("mend", scope, json.dumps({"undo": []})).startswith("correction removed")
            self.corrections.discard(scope)
        elif self.ask("mend", scope, json.dumps({"cards": {"GAIN": value}})).startswith("corrected"):
            self.corrections.add(scope)
        self.turn()

    def ask(self, verb: str, subject: str, cards: str = "") -> str:
        self.ledger.requests.ask(verb, NIGHT, subject, "tester", cards)
        (request,) = self.ledger.requests.open()
        answer = carry_out(request, self.ledger, self.dispatcher, self.intake)
        self.ledger.requests.answer(request.number, answer)
        self.nights.touch(NIGHT)
        if not answer.startswith("refused"):
            COUNTS[verb] += 1
            if verb == "hold":
                self.held.add(subject)
            if verb == "release":
                self.held.discard(subject)
        return answer

    @precondition(lambda self: self.alive and self.places)
    @rule(data=st.data())
    def left_out_and_taken_back(self, data):
        place = data.draw(st.sampled_from(sorted(self.places)))
        verb = "retry" if place in self.forgotten else "forget"
        answers = [self.ask(verb, path.name) for path in self.places[place]]
        if place in self.forgotten:
            self.forgotten.discard(place)
        elif all(not answer.startswith("refused") for answer in answers):
            self.forgotten.add(place)
        else:
            for path in self.places[place]:
                self.ask("retry", path.name)
        self.turn()

    @precondition(lambda self: self.alive)
    @rule(data=st.data(), how=st.sampled_from(["removed", "damaged"]))
    def a_product_is_hurt(self, data, how):
        files = sorted((self.settings.paths.redux_root / NIGHT).glob("*.fits"))
        busy = {path for job in self.dispatcher.running.values() for path in job.outputs.values()}
        if files := [path for path in files if path not in busy]:
            COUNTS[f"product {how}"] += 1
            path = data.draw(st.sampled_from(files))
            if how == "removed":
                path.unlink()
            else:
                path.write_bytes(path.read_bytes() + b"noise")

    # what is always true

    @invariant()
    def no_key_is_done_twice(self):
        assert audit.twice_without_reason(audit.entries(self.settings)) == []

    @precondition(lambda self: self.alive)
    @invariant()
    def what_is_known_stays_known(self):
        known = self.ledger.frames.known_files()
        for place, files in self.places.items():
            if place in self.forgotten:
                assert all(known[path].state == "forgotten" for path in files if path in known)

    @precondition(lambda self: self.alive)
    @invariant()
    def each_product_row_belongs_to_a_job_that_was_done(self):
        done = {key for what, key, _ in audit.entries(self.settings) if what == "done"}
        assert set(self.ledger.products.by_name(NIGHT).values()) <= done

    def teardown(self):
        try:
            self.comes_to_its_end()
        finally:
            if self.alive:
                self.ledger.close()
            shutil.rmtree(self.folder)

    def until_quiet(self, most: int) -> None:
        """Time passes until nothing happens any more."""
        quiet = 0
        for _ in range(most):
            self.world.seconds += 600
            self.intake.scan()
            self.sweep()
            self.turn()
            plan = self.nights.plans.get(NIGHT)
            busy = self.ended or not self.intake.settled(NIGHT) or plan is None or plan.active
            quiet = 0 if busy else quiet + 1
            if quiet == 3:
                return

    def comes_to_its_end(self) -> None:
        """The rest of the night comes, holds are released, time passes: all is as if nothing had happened."""
        if not self.alive:
            self.start()
        for place in sorted(self.forgotten):
            for path in self.places[place]:
                self.ask("retry", path.name)
        for subject in sorted(self.held):
            self.ask("release", subject)
        for scope in sorted(self.corrections):
            self.ask("mend", scope, json.dumps({"undo": []}))
        for frame in FRAMES:
            if frame.place not in self.places:
                self.places[frame.place] = [self.write(frame)]
        self.until_quiet(8)
        # copies are put away and names given back, as an operator would do, so that it is the undisturbed night again
        for place, files in self.places.items():
            own = self.settings.paths.raw_root / place
            for path in files[1:]:
                if path != own:
                    path.unlink()
            if files[0].suffix == ".gz":
                own.write_bytes(gzip.decompress(files[0].read_bytes()))
                files[0].unlink()
            elif files[0] != own:
                files[0].rename(own)
            files[:] = [own]
        self.world.jump = timedelta(days=10)
        self.until_quiet(100)
        COUNTS["sequences"] += 1
        COUNTS["jobs booked"] += audit.booked(self.settings)
        raw = set(raw_files(self.settings.paths.raw_root.iterdir(), "ifu*.fits"))
        assert raw == {path for files in self.places.values() for path in files[:1]}
        known = self.ledger.frames.known_files()
        assert sorted(raw - set(known)) == [], "frames were lost"
        assert {known[path].state for path in raw} == {"good"}
        for row in self.ledger.frames.all():
            if row.path not in raw:
                self.ledger.frames.drop(row, "put away by the test")
        assert audit.faults_of(self.settings) == []
        assert products(self.settings) == ServiceMachine.expected


#: With SEDMD_EXPLORE=2000 in the environment, so many sequences that nobody has seen before.
MANY = settings(
    max_examples=int(os.environ.get("SEDMD_EXPLORE", "200")),
    stateful_step_count=30,
    derandomize="SEDMD_EXPLORE" not in os.environ,  # a change is judged by the same sequences as the one before it
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],  # to make a sequence of this length smaller takes longer than to read it
)


def run(tell, how: settings) -> None:
    COUNTS.clear()
    run_state_machine_as_test(ServiceMachine, settings=how)
    tell(", ".join(f"{count} {name}" for name, count in sorted(COUNTS.items())))
    assert COUNTS["sequences"] >= how.max_examples


def test_some_sequences(tell):
    run(tell, settings(MANY, max_examples=12))


@pytest.mark.slow(seconds=80)
def test_many_sequences(tell):
    run(tell, MANY)
