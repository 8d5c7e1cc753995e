"""Malformed frames: each is quarantined, ignored or deferred with its reason, and costs only itself."""

from __future__ import annotations

import gzip
import hashlib
import io
import multiprocessing
import os
import re
import resource
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from night.helpers import NOW, configure
from night.raw_night import NIGHT, SHAPE, calibrations

import sedmd.run.ingest
from sedmd.core.errors import FrameFault
from sedmd.daemon.complete import Completeness, Gate, deferral
from sedmd.ledger.ledger import Ledger
from sedmd.raw.epochs import CAMERAS, gain_of
from sedmd.raw.fitsfile import unreadable
from sedmd.raw.frames import Kind, frame_from_header, read_frame
from sedmd.raw.header import header_values, readable_header
from sedmd.run.event_log import EventLog
from sedmd.run.ingest import raw_files
from sedmd.run.runner import reduce_nights
from sedmd.steps.raw import read_raw
from sedmd.workers.engines import InlineEngine

from .malformed import (
    CARD,
    DEFERRED,
    GOOD,
    IGNORED,
    LABELS,
    QUARANTINED,
    Malformed,
    card,
    data_start,
    fpacked,
    frame,
    good_frames,
    images,
    summed,
    table,
    two_hdus,
    with_header,
)

#: What a reason tells the operator to do; one of these stands in every reason of a frame that is kept out.
REMEDY = re.compile(
    r"[Cc]opy|sedmd mend|[Tt]ake |[Ee]xclude it|[Rr]emove it|[Cc]heck |Is it |Is BZERO|Run funpack|must be named"
)


def judge(path: Path) -> tuple[str, str]:
    """What the service does with a file that has been still for long: its fate and the reason, or the notes."""
    try:
        status = path.stat()
    except OSError as error:
        return QUARANTINED, unreadable(path, error)
    gate = Gate(settle_s=0.0, timeout_s=0.0)
    look, lack = gate.look(path, size=status.st_size, mtime_ns=status.st_mtime_ns, now_s=0.0)
    if look is Completeness.DEFERRED:
        return DEFERRED, deferral(path, lack, timeout_s=300.0)
    assert look is Completeness.READY, "a file that nobody touches must not settle for ever"
    try:
        got = read_frame(path, shape=SHAPE)
    except FrameFault as fault:
        return QUARANTINED, str(fault)
    except OSError as error:
        return QUARANTINED, unreadable(path, error)
    if got.kind is Kind.IGNORED:
        return IGNORED, got.reason
    _use(path)
    return GOOD, "; ".join(got.notes)


def _use(path: Path) -> None:
    """What the steps do with a good frame: pixels, gain, and every card of its header."""
    data, header = read_raw(path)
    assert data.shape == SHAPE
    assert data.dtype in (np.uint16, np.int16)
    assert gain_of(header, CAMERAS[0])[0] > 0
    for item in header.cards:
        _ = item.keyword, item.value, item.comment, str(item)


def check_reason(outcome: str, reason: str, path: Path) -> None:
    """One line a person understands: what is wrong, what was expected, what to do."""
    assert reason.isprintable(), reason
    assert len(reason) < 400, reason
    if outcome in (QUARANTINED, DEFERRED):
        assert reason.startswith(path.name.split(".")[0]), reason
        assert REMEDY.search(reason), f"no remedy: {reason}"
        assert "expected" in reason, reason
    elif outcome == IGNORED:
        assert reason


def test_every_malformed_frame_has_its_fate_and_every_good_one_is_taken_in(tmp_path, capsys):
    entries, good = table(), good_frames(40)
    paths: dict[Path, Malformed | None] = {entry.write(tmp_path, number): entry for number, entry in enumerate(entries)}
    for name, content in good.items():
        (tmp_path / name).write_bytes(content)
        paths[tmp_path / name] = None
    assert len(paths) == len(entries) + len(good)
    assert raw_files([tmp_path], "ifu*.fits") == sorted(paths)

    wrong: list[str] = []
    outcomes: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    taken_in = 0
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for path in sorted(paths):
            entry = paths[path]
            outcome, reason = judge(path)
            check_reason(outcome, reason, path)
            if entry is None:
                assert (outcome, reason) == (GOOD, "")
                taken_in += 1
                continue
            outcomes[outcome] += 1
            kinds[entry.kind] += 1
            if outcome != entry.outcome or entry.word not in reason:
                wrong.append(f"{entry.kind}: {outcome}, expected {entry.outcome} and {entry.word!r}: {reason}")
    seconds = time.perf_counter() - began
    assert wrong == []
    kept_out = sum(outcomes.values()) - outcomes[GOOD]
    with capsys.disabled():
        counts = ", ".join(f"{outcomes[outcome]} {outcome}" for outcome in (QUARANTINED, IGNORED, DEFERRED))
        print(
            f"\nmalformed frames: {kept_out} kept out ({counts}) and {outcomes[GOOD]} odd ones taken in, of "
            f"{len(kinds)} kinds; {taken_in} of {len(good)} good frames taken in; {seconds:.1f} s"
        )
    assert kept_out >= 300
    assert taken_in == len(good)


def test_a_night_full_of_malformed_frames_is_reduced(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sedmd.run.ingest, "ARRAY_SHAPE", SHAPE)
    configured = configure(tmp_path)
    raw = configured.paths.raw_root / NIGHT
    raw.mkdir()
    entries, good = table(), good_frames(12)
    bad = {entry.write(raw, number).name: entry for number, entry in enumerate(entries)}
    for name, content in good.items():
        (raw / name).write_bytes(content)
    afternoon = [frame.write(configured.paths.raw_root).name for frame in calibrations()]
    report = EventLog(clock=lambda: NOW, redux_root=configured.paths.redux_root, stream=io.StringIO())
    with Ledger.open(configured.paths.state / "ledger.sqlite", clock=lambda: NOW) as ledger:
        summary = reduce_nights(
            [configured.paths.raw_root],
            settings=configured,
            ledger=ledger,
            engine=InlineEngine(configured.jobs.steps_module),
            clock=lambda: NOW,
            report=report,
        )
    outcome = {row.frame: row.outcome for row in summary.rows}
    assert set(outcome) == {*bad, *good, *afternoon}
    # nothing is deferred here: a one-shot run waits for nobody
    kept_out = {name for name, entry in bad.items() if entry.outcome in (QUARANTINED, DEFERRED)}
    assert {name for name, outcome in outcome.items() if outcome == QUARANTINED} >= kept_out
    assert all(outcome[name].endswith("_SEDM.txt") for name in good)
    assert not any(outcome[name] in (QUARANTINED, IGNORED) for name in afternoon)
    with capsys.disabled():
        print(f"\nmalformed night: {len(kept_out)} files quarantined, all {len(good)} good frames became spectra")


@pytest.mark.parametrize("what", ["file", "directory"])
def test_a_frame_that_may_not_be_read_is_deferred_until_it_may(what):
    if os.geteuid() != 0 and what == "directory":
        pytest.skip("covered by the file for a common user")
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to others
        folder = Path(name) / "20190612"
        folder.mkdir()
        path = folder / "ifu20190612_04_28_02.fits"
        path.write_bytes(frame())
        Path(name).chmod(0o755)
        (path if what == "file" else folder).chmod(0)
        with _common_user():
            outcome, reason = judge(path)
        (path if what == "file" else folder).chmod(0o755)
        assert "Permission denied" in reason
        check_reason(outcome, reason, path)
        assert outcome == (DEFERRED if what == "file" else QUARANTINED)
        with _common_user():
            assert judge(path) == (GOOD, "")


class _common_user:
    """Permissions bind within this block, also when the tests run as root."""

    def __enter__(self) -> None:
        self.root = os.geteuid() == 0
        if self.root:
            os.seteuid(65534)

    def __exit__(self, *_: object) -> None:
        if self.root:
            os.seteuid(0)


# the fuzzer

WHOLE = {
    "plain": (frame(), ".fits"),
    "summed": (summed(), ".fits"),
    "two HDUs": (two_hdus(), ".fits"),
    "gzip": (gzip.compress(frame(), mtime=0), ".fits.gz"),
    "fpack": (fpacked(checksum=False), ".fits.fz"),
    "fpack, gzipped tiles": (fpacked(checksum=False, method="GZIP_1"), ".fits.fz"),
    "fpack, summed": (fpacked(), ".fits.fz"),
}
HEADERS = [frame(label)[: data_start(frame(label))] for label in LABELS]

#: Texts that have broken readers of headers.
NASTY = [
    b"NaN", b"inf", b"-1", b"1E999", b"'", b"''", b"'&'", b"T", b"/", b"=", b"END", b"CONTINUE  '&'", b"HIERARCH ",
    b"\0", b"\xff", b"\n", b"9" * 60, b"(1,2)", b"1PB(9)", b"-64", b"0", b"999999999", b"'Focus: 1.5'", b"EXTEND  =",
    b"SIMPLE  =", b"XTENSION=", b"ZIMAGE  =", b"\xd9\xa1",
]  # fmt: skip

pieces = st.one_of(
    st.sampled_from(NASTY), st.binary(min_size=1, max_size=24), st.text("0123456789.+-ED TF'").map(str.encode)
)
edits = st.tuples(
    st.sampled_from(["overwrite", "insert", "delete", "cut", "zero", "swap", "repeat", "card", "value"]),
    st.floats(0, 1),
    st.integers(1, 3000),
    pieces,
)


def edited(content: bytes, changes: list[tuple[str, float, int, bytes]], reach: int) -> bytes:
    """Apply edits within the first `reach` bytes."""
    for verb, where, length, piece in changes:
        at = int(where * min(reach, len(content)))
        start = at - at % CARD
        match verb:
            case "overwrite":
                content = content[:at] + piece + content[at + len(piece) :]
            case "insert":
                content = content[:at] + piece + content[at:]
            case "delete":
                content = content[:at] + content[at + length :]
            case "cut":
                content = content[:at]
            case "zero":
                content = content[:at] + b"\0" * length + content[at + length :]
            case "swap":
                content = (
                    content[:start]
                    + content[start + CARD : start + 2 * CARD]
                    + content[start : start + CARD]
                    + content[start + 2 * CARD :]
                )
            case "repeat":
                content = content[:start] + content[start : start + CARD] * (1 + length % 50) + content[start + CARD :]
            case "card":
                content = content[:start] + piece[:CARD].ljust(CARD) + content[start + CARD :]
            case "value":
                content = content[: start + 10] + piece[: CARD - 10].ljust(CARD - 10) + content[start + CARD :]
    return content


def read_header(header: bytes) -> str:
    """Read a header as the service and the steps do; only `FrameFault` may come of it."""
    values = header_values(header)
    assert all(isinstance(value, bool | int | float | str) for value in values.values())
    assert all(value.isprintable() for value in values.values() if isinstance(value, str))
    for item in readable_header(header).cards:
        _ = item.keyword, item.value, item.comment, str(item)
    try:
        return str(frame_from_header(values, Path("ifu20190612_04_28_02.fits")).kind)
    except FrameFault as fault:
        assert str(fault).isprintable()
        return QUARANTINED


class Fuzz:
    """What a run of the fuzzer has seen."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.seen: set[bytes] = set()
        self.slowest_s = 0.0
        self.path: Path | None = None

    def new(self, content: bytes) -> bool:
        digest = hashlib.sha256(content).digest()
        fresh = digest not in self.seen
        self.seen.add(digest)
        return fresh

    def file(self, folder: Path, name: str, changes: list[tuple[str, float, int, bytes]], *, header_only: bool) -> None:
        whole, suffix = WHOLE[name]
        packed = "fpack" in name
        reach = (
            (data_start(whole, data_start(whole)) + 600)
            if packed
            else len(whole)
            if name == "gzip"
            else data_start(whole)
        )
        content = edited(whole, changes, reach if header_only else len(whole))
        if content == whole:
            return
        path = folder / f"ifu20190612_04_28_02{suffix}"
        path.write_bytes(content)
        began = time.perf_counter()
        outcome, reason = judge(path)
        self.slowest_s = max(self.slowest_s, time.perf_counter() - began)
        check_reason(outcome, reason, path)
        if self.new(suffix.encode() + content):
            self.outcomes[outcome] += 1

    def __str__(self) -> str:
        counts = ", ".join(f"{self.outcomes[outcome]} {outcome}" for outcome in (QUARANTINED, IGNORED, DEFERRED, GOOD))
        return f"{sum(self.outcomes.values())} different files ({counts}); slowest {1e3 * self.slowest_s:.0f} ms"


def fuzz_files(folder: Path, *, examples: int) -> Fuzz:
    """Mutate the bytes of whole files and judge each."""
    fuzz = Fuzz()

    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(sorted(WHOLE)), st.lists(edits, min_size=1, max_size=4), st.booleans())
    def run(name: str, changes: list[tuple[str, float, int, bytes]], header_only: bool) -> None:
        fuzz.file(folder, name, changes, header_only=header_only)

    run()
    return fuzz


def fuzz_headers(*, examples: int) -> Counter[str]:
    """Mutate headers, and make some from nothing but noise."""
    kinds: Counter[str] = Counter()

    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(HEADERS), st.lists(edits, max_size=6), st.binary(max_size=400), st.booleans())
    def run(header: bytes, changes: list[tuple[str, float, int, bytes]], noise: bytes, only_noise: bool) -> None:
        content = noise if only_noise else edited(header, changes, len(header)) + noise
        kinds[read_header(content)] += 1

    run()
    return kinds


@pytest.fixture
def bounded_memory() -> Iterator[None]:
    """No byte of a file may make the reader ask for memory without end."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use + 1_000_000_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.usefixtures("bounded_memory")
def test_no_mutation_of_a_file_escapes(tmp_path, capsys):
    fuzz = fuzz_files(tmp_path, examples=1200)
    with capsys.disabled():
        print(f"\nfuzzed files: {fuzz}")
    assert sum(fuzz.outcomes.values()) - fuzz.outcomes[GOOD] >= 300


@pytest.mark.usefixtures("bounded_memory")
def test_no_mutation_of_a_header_escapes(capsys):
    kinds = fuzz_headers(examples=1500)
    with capsys.disabled():
        print(f"\nfuzzed headers: {sum(kinds.values())}, of which {kinds[QUARANTINED]} cannot be used")


def _fuzz_apart(folder: Path, examples: int) -> int:
    """Fuzz in a process of its own, as the service reads what strangers put down; its exit status."""

    def run() -> None:
        print(f"\nlong run: {fuzz_files(folder, examples=examples)}", flush=True)

    child = multiprocessing.get_context("fork").Process(target=run)
    child.start()
    child.join()
    return int(child.exitcode or 0)


@pytest.mark.slow
@pytest.mark.usefixtures("bounded_memory")
def test_a_long_run_of_the_fuzzer(tmp_path, capsys):
    # The settings of a packing are checked, the bits of its tiles are not: a decoder may run over the end of one. So
    # may one in a thousand files, and then costs its reader; a failed assertion is another matter.
    with capsys.disabled():
        ended = [_fuzz_apart(tmp_path, examples=500) for _ in range(8)]
        kinds = fuzz_headers(examples=8_000)
        print(f"{sum(kinds.values())} headers")
    assert all(status <= 0 for status in ended), ended
    assert sum(status < 0 for status in ended) <= 1, ended


def test_random_cards_of_a_good_frame_cost_no_more_than_the_frame(tmp_path):
    # each card of the header in turn gives way to each nasty text
    whole = frame()
    path = tmp_path / "ifu20190612_04_28_02.fits"
    found = images(whole)
    for at in range(len(found)):
        for text in NASTY:
            path.write_bytes(with_header(whole, [*found[:at], card(text), *found[at + 1 :]]))
            outcome, reason = judge(path)
            check_reason(outcome, reason, path)
