"""Attacks on what the service keeps and goes by: requests, locks, ledger, settings, secrets, clocks, disks, signals."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path, PurePosixPath
from unittest import mock

from benchmarks.attacks import Attack, Try
from faults.malformed_requests import CARDS, TEXTS, TIMES, VERBS, Row, row
from faults.test_requests import Asking
from faults.turned import Case
from night.raw_night import NIGHT, on_sky, raw

from sedmd.after.deliver.secret import read_secret
from sedmd.cli import main
from sedmd.core.config import load
from sedmd.core.errors import ConfigError, NotNow, SedmError
from sedmd.core.patterns import check_pattern
from sedmd.core.target_names import product_names, safe_name
from sedmd.daemon.health import check_listen
from sedmd.daemon.messages import Reload
from sedmd.doctor.unit import compare, seconds
from sedmd.host.files import write_bytes_atomic
from sedmd.host.lock import holder, single_instance
from sedmd.host.lock_holders import holders_of
from sedmd.host.unit_file import parse_unit, paths
from sedmd.ledger.ledger import Ledger, LedgerError
from sedmd.raw.mends import BadMend, parse_card

NOW = datetime(2019, 6, 12, 7, tzinfo=UTC)
NAMES = [value for value in TEXTS.values() if isinstance(value, str)]
GOOD = '[paths]\nraw_root = "raw"\nredux_root = "redux"\n'
#: Configurations that cannot be used.
SETTINGS = {
    "nothing": b"", "no TOML": b"[paths", "bytes": b"\xff\xfe\0", "a number": b"5",
    "a section twice": GOOD.encode() * 2,
    "an unknown section": (GOOD + "[path]\n").encode(), "a section that is a number": b"paths = 5",
    "a root in the other": b'[paths]\nraw_root = "a"\nredux_root = "a/b"\n', "no root": b"[paths]\n",
    "a root of nulls": b'[paths]\nraw_root = "\\u0000"\nredux_root = ""\n',
}  # fmt: skip
#: Values in the place of a setting.
VALUES = (
    "-1", "nan", "inf", "1e999", '"text"', "[]", "[[]]", "{}", "true", '"\\u001b[2J"', "9" * 30, "1979-05-27", '""',
)  # fmt: skip
KEYS = (
    "watch.scan_interval_s", "watch.mode", "watch.nights_back", "calibrations.bias_min_frames", "jobs.workers",
    "jobs.retry_after_s", "jobs.engine", "disk.min_free_mb", "health.listen", "site.latitude_deg", "log.format",
    "instrument.field_centres", "extraction.min_confidence", "products.frames", "upload.group_ids", "upload.url",
    "mail.port", "mail.recipients", "classify.skip", "paths.state_mode", "paths.group",
)  # fmt: skip
#: Files in the place of a secret.
SECRETS = {
    "nothing": b"", "blanks": b"  \n", "two lines": b"a\nb\n", "a tab": b"a\tb", "bytes": b"\xff\xfe", "nulls": b"a\0b",
    "an umlaut": "ü".encode(), "a return": b"a\rb", "an escape": b"\x1b[2J", "a header": b"x\r\nX-Evil: 1",
    "a page": b"<html>\n</html>\n", "a key": b"-----BEGIN KEY-----\nabc\n-----END KEY-----\n",
    "a mark": b"\xef\xbb\xbfabc",
}  # fmt: skip


def attacks() -> list[Attack]:
    """All of them."""
    found = [Attack(f"requests: {verb.strip() or 'a verb that is none'!s}", partial(_verb, verb)) for verb in VERBS[:8]]
    return [
        *found,
        Attack("requests: verbs that there are not", partial(_rows, lambda: _of_verbs(VERBS[8:]))),
        Attack("requests: nights", partial(_rows, lambda: _of("night", TEXTS, verb="hold", subject="flat"))),
        Attack("requests: who asks", partial(_rows, lambda: _of("who", TEXTS, subject="flat"))),
        Attack("requests: verbs of any kind", partial(_rows, lambda: _of("verb", TEXTS))),
        Attack("requests: corrections of a night", partial(_rows, partial(_corrections, NIGHT))),
        Attack("requests: corrections of a frame", partial(_rows, partial(_corrections, "ifu20190612_04_00_00"))),
        Attack("requests: times", partial(_rows, _times)),
        Attack("commands: corrections that cannot be meant", _commands_to_mend),
        Attack("commands: arguments", _arguments),
        Attack("locks: what is no file", _locks),
        Attack("locks: numbers of others in the file", _lock_numbers),
        Attack("locks: the kernel's table", _lock_tables),
        Attack("ledger: bytes of chance", _ledgers),
        Attack("ledger: cut", _ledgers_cut),
        Attack("ledger: no ledger", _no_ledgers),
        Attack("settings: files", _settings_files),
        Attack("settings: values", _settings_values),
        Attack("settings: read again by a running service", _settings_read_again),
        Attack("settings: addresses to listen on", _listen),
        Attack("settings: rules on names", _patterns),
        Attack("secrets: files", partial(_secrets, False)),
        Attack("secrets: handed on by the unit", partial(_secrets, True)),
        Attack("secrets: others may read them", _open_secrets),
        Attack("unit files: rubbish", _units),
        Attack("names: targets", _names),
        Attack("names: directories and files of the raw root", _raw_names),
        Attack("clocks: jumps under a running service", _clock_jumps),
        Attack("disks: an error at the write of a product", partial(_disk_errors, "fsync")),
        Attack("disks: an error at the renaming of a product", partial(_disk_errors, "replace")),
        Attack("disks: an error at the making of a product", partial(_disk_errors, "open")),
        Attack("signals: to a running service", _signals),
    ]


# requests


def _verb(verb: str, folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    yield from _rows(lambda: _of_verbs((verb,)), folder, stack)


def _of_verbs(verbs: tuple[str, ...]) -> Iterator[tuple[str, Row]]:
    for verb in verbs:
        yield from ((f"{verb!r} {what}", row(verb=verb, subject=text)) for what, text in TEXTS.items())


def _of(name: str, values: dict[str, object], **given: object) -> Iterator[tuple[str, Row]]:
    yield from ((what, row(**{**given, name: value})) for what, value in values.items())


def _corrections(subject: str) -> Iterator[tuple[str, Row]]:
    yield from ((what, row(verb="mend", subject=subject, cards=cards)) for what, cards in CARDS.items())


def _times() -> Iterator[tuple[str, Row]]:
    for when in TIMES:
        yield f"hold {when!r}"[:50], row(verb="hold", subject="flat", time=when)
        cards = '{"cards": {"EXPTIME": 900.0}}'
        yield f"mend {when!r}"[:50], row(verb="mend", subject="ifu20190612_04_00_00", cards=cards, time=when)


def _rows(
    requests: Callable[[], Iterator[tuple[str, Row]]], folder: Path, stack: contextlib.ExitStack
) -> Iterator[tuple[str, Try]]:
    """A service that is asked, and that must be well at the end."""
    asking = Asking(folder)
    stack.callback(asking.case.close)
    stack.callback(asking.unharmed)

    def one(request: Row) -> str:
        (answer,) = asking.ask(request)
        asking.check(answer)
        return answer

    for what, request in requests():
        yield what, partial(one, request)


def _commands_to_mend(folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    def one(text: str) -> str:
        try:
            card, _ = parse_card(text)
        except BadMend as error:
            return ascii(str(error)[:300])
        return f"{card} taken"

    texts = ["", "=", "A", "A=", "=1", "NAXIS=1", "BITPIX=8", "EXPTIME=nan", "EXPTIME=1e999", "EXPTIME=-5"]
    texts += ["EXPTIME='9'", "GAIN=0", "JD=1", "RA=north", "UTC=now", "OBJECT=ü", "OBJECT=a\nb", "BZERO=1"]
    texts += [f"OBJECT={'x' * 1000}"]
    texts += [f"FOO={'9' * 400}", "FOO=1e400", "A B=1", "ABCDEFGHI=1", "END=1", "CONTINUE=x", "'='", "\x1b=1", "٣=٣"]
    for text in texts:
        yield repr(text[:30]), partial(one, text)


def _arguments(folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    def one(words: list[str]) -> str:
        told = io.StringIO()
        with contextlib.redirect_stderr(told), contextlib.redirect_stdout(told):
            try:
                code = main(words)
            except SystemExit as error:  # of the parser
                code = int(error.code or 0)
        assert code in (1, 2), code
        assert "Traceback" not in told.getvalue()
        return ascii(told.getvalue().strip().splitlines()[-1][:300])

    (folder / "redux").mkdir()
    for verb in ("redo", "hold", "why", "status", "upload", "report", "publish", "withdraw", "verify", "final-report"):
        for text in ("../x", "20179999", "a\nb", "\x1b[2J"):
            words = [verb, *(["--night"] if verb == "status" else []), text, "--redux", str(folder / "redux")]
            yield f"{verb} {text!r}", partial(one, words)


# locks


def _locks(folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    precious = folder / "precious"
    precious.write_text("precious")

    def one(kind: str) -> str:
        state = folder / "state"
        shutil.rmtree(state, ignore_errors=True)
        state.mkdir()
        path = state / "lock"
        match kind:
            case "a pipe":
                os.mkfifo(path)
            case "a directory":
                path.mkdir()
            case "a link":
                path.symlink_to(precious)
            case "a link to nowhere":
                path.symlink_to("nowhere")
            case "a loop":
                path.symlink_to("lock")
            case "a state directory that is a file":
                state.rmdir()
                state.write_text("x")
        try:
            with single_instance(state):
                raise AssertionError("it was taken")
        except NotNow as error:
            told = str(error)
        assert precious.read_text() == "precious"
        if state.is_file():
            state.unlink()
        return told

    for kind in ("a pipe", "a directory", "a link", "a link to nowhere", "a loop", "a state directory that is a file"):
        yield kind, partial(one, kind)


def _lock_numbers(folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    def one(content: bytes) -> str:
        state = folder / "state"
        state.mkdir(exist_ok=True)
        (state / "lock").write_bytes(content)
        assert holder(state) is None
        with single_instance(state):
            assert holder(state) == os.getpid()
        return "taken; no number is believed"

    parent = str(os.getppid()).encode()
    for content in (b"", b"1", b"-1", b"0", parent, b"9" * 100, b"\xff\0", b"x" * 10**6, "٣".encode()):
        yield repr(content[:20]), partial(one, content)


def _lock_tables(folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    path = folder / "lock"
    path.touch()

    def one(table: str) -> str:
        assert holders_of(path, table=table) == []
        return "nobody holds it"

    tables = ["", "\n", "x", "1:", "1: FLOCK", "1: FLOCK ADVISORY WRITE", "1: FLOCK ADVISORY WRITE x fd:01:1 0 EOF"]
    tables += ["1: FLOCK ADVISORY WRITE 1 zz:zz:zz 0 EOF", "1: -> FLOCK ADVISORY WRITE 1 00:00:1 0 EOF", "\0" * 1000]
    tables += ["1: FLOCK ADVISORY WRITE ٣ fd:01:1 0 EOF", "a b c d e f g h\n" * 10_000]
    for table in tables:
        yield repr(table[:40]), partial(one, table)


# the ledger


def _whole_ledger(folder: Path) -> Path:
    path = folder / "whole.sqlite"
    if not path.exists():
        with Ledger.open(path, clock=lambda: NOW) as ledger:
            for number in range(200):
                ledger.events.note(NIGHT, f"target {number}", "a sentence " * 5)
    return path


def _opened(path: Path) -> str:
    try:
        with Ledger.open(path, clock=lambda: NOW, check=True) as ledger:
            ledger.events.note(NIGHT, "x", "text")
            ledger.events.story("x")
    except LedgerError as error:
        told = str(error)
        assert "sedmd doctor --rebuild" in told or "opened" in told or "newer" in told, told
        return told
    finally:
        for extra in path.parent.glob(f"{path.name}*"):
            if extra.is_file():
                extra.unlink()
    return "whole"


def _ledgers(folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    whole = _whole_ledger(folder).read_bytes()

    def one(seed: int) -> str:
        chance = random.Random(seed)
        content = bytearray(whole)
        for _ in range(chance.randrange(1, 60)):
            at = chance.randrange(len(content)) if seed % 2 else chance.randrange(100)
            content[at] = chance.randrange(256)
        path = folder / "ledger.sqlite"
        path.write_bytes(content)
        return _opened(path)

    for seed in range(60):
        yield f"seed {seed}", partial(one, seed)


def _ledgers_cut(folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    whole = _whole_ledger(folder).read_bytes()

    def one(length: int) -> str:
        path = folder / "ledger.sqlite"
        path.write_bytes(whole[:length])
        return _opened(path)

    for length in (*range(0, len(whole) - 1, len(whole) // 25), 15, 16, 99, 100):
        yield f"{length} bytes", partial(one, length)


def _no_ledgers(folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    def one(content: bytes) -> str:
        path = folder / "ledger.sqlite"
        path.write_bytes(content)
        told = _opened(path)
        assert told != "whole"
        return told

    for what, content in (
        ("text", b"no ledger " * 100), ("zeros with a word", b"\0" * 4096 + b"x"), ("gzip", b"\x1f\x8b\x08" * 2000),
        ("only its first bytes", b"SQLite format 3\0"),
        ("its first bytes and noise", b"SQLite format 3\0" + b"\xff" * 8000),
        ("FITS", b"SIMPLE  =" * 2000),
    ):  # fmt: skip
        yield what, partial(one, content)


# settings


def _read_settings(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    try:
        load(path)
    except ConfigError as error:
        return ascii(str(error))
    return "taken"


def _settings_files(folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    def one(content: bytes) -> str:
        told = _read_settings(folder / "sedmd.toml", content)
        assert told != "taken"
        return told

    for what, content in SETTINGS.items():
        yield what, partial(one, content)


def _settings_values(folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    for key in KEYS:
        section, _, name = key.partition(".")
        for value in VALUES:
            text = f"{GOOD}{name} = {value}\n" if section == "paths" else f"{GOOD}[{section}]\n{name} = {value}\n"
            yield f"{key} = {value[:20]}", partial(_read_settings, folder / "sedmd.toml", text.encode())


def _settings_read_again(folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    case = Case(folder)
    stack.callback(case.close)
    path = folder / "sedmd.toml"

    def one(content: bytes) -> str:
        before, said = case.service.settings, len(case.stream.getvalue())
        path.write_bytes(content)
        case.service.handle(Reload())
        assert case.service.settings == before, "it was taken"
        return ascii(case.stream.getvalue()[said:].strip().splitlines()[-1][:300])

    for what, content in SETTINGS.items():
        yield what, partial(one, content)


def _listen(folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    def one(text: str) -> str:
        try:
            check_listen(text)
        except ConfigError as error:
            return ascii(str(error))
        raise AssertionError("taken")

    for text in ("0.0.0.0:1", "[::]:1", "example.org:80", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:99999", ":1", "unix:",
                 "x", "8.8.8.8:53", "127.0.0.1:-1", "[::1:1", "http://127.0.0.1:1", "\x1b[2J"):  # fmt: skip
        yield repr(text), partial(one, text)


def _patterns(folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    def one(text: str) -> str:
        try:
            check_pattern(text)
        except ConfigError as error:
            return ascii(str(error))
        return "taken"

    rules = ("", "x", "regex:(", "regex:[", "regex:*", "prefix:", "exact:", "glob:*", "regex:(?P<")
    for text in (*rules, "regex:" + "(" * 200):
        yield repr(text[:20]), partial(one, text)


def _secrets(handed: bool, folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    path = folder / "upload-token"

    def one(content: bytes) -> str:
        path.write_bytes(content)
        path.chmod(0o600)
        given = {"CREDENTIALS_DIRECTORY": str(folder)} if handed else {}
        try:
            found = read_secret(
                "token", file=None if handed else path, variable="", credential="upload-token", environment=given
            )
        except ConfigError as error:
            told = str(error)
            text = content.decode("latin-1").strip()
            assert len(text) < 6 or text not in told, "the secret is told"
            return told
        assert found is None and handed and not content.strip(), found
        return "none was put down"

    for what, content in SECRETS.items():
        yield what, partial(one, content)


def _open_secrets(folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    path = folder / "token"
    path.write_text("s3cret-of-ours")

    def one(mode: int) -> str:
        path.chmod(mode)
        try:
            read_secret("token", file=path, variable="")
        except ConfigError as error:
            assert "s3cret" not in str(error)
            return str(error)
        raise AssertionError("read")

    for mode in (0o640, 0o604, 0o660, 0o666, 0o644, 0o777, 0o620, 0o602, 0o610):
        yield f"{mode:o}", partial(one, mode)


def _units(folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    root = PurePosixPath("/data")

    def one(text: str) -> str:
        unit = parse_unit(text)
        paths(unit, "Service", "ReadOnlyPaths")
        seconds(text)
        found = compare(unit, raw=root / "raw", redux=root / "redux", state=root / "state", drain_timeout_s=1.0)
        return f"{len(found)} findings"

    texts = ["", "[", "=", "\\", "[Service]\nReadOnlyPaths='", '[Service]\nEnvironment="', "\0", "x" * 100_000]
    texts += ["[Service]\nTimeoutStopSec=x", "[Service]\nExecStart=\nExecStart=", "[Service]\n" + "A=1\\\n" * 1000]
    for text in (*texts, "[Service]\nStateDirectory=../x"):
        yield repr(text[:30]), partial(one, text)


# names


def _names(folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    def one(name: str) -> str:
        safe = safe_name(name)
        assert safe and len(safe) <= 64 and safe.isascii() and "/" not in safe and safe not in (".", ".."), safe
        found = product_names([name, name + "'", name.lower(), "x"])
        assert len(set(found.values())) == len(found)
        return safe

    chance = random.Random(1)
    names = [name for name in NAMES if name.strip()]
    names += ["".join(chr(chance.randrange(32, 0x3000)) for _ in range(chance.randrange(1, 90))) for _ in range(60)]
    for name in names:
        yield ascii(name[:20]), partial(one, name)


def _raw_names(folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    """Names in the raw root that no camera gives; a good frame beside each is taken in."""
    case = Case(folder)
    stack.callback(case.close)
    good = list(on_sky(*(f"good {number}" for number in range(40))))

    def one(number: int, name: str) -> str:
        place = case.raw / name
        if "/" not in name.strip("/"):
            place.mkdir(exist_ok=True)
        else:
            place.parent.mkdir(exist_ok=True)
            place.write_bytes(b"x")
        before = case.known()
        case.write([good[number]])
        name_of_good = Path(good[number].place).name
        case.turn_until(lambda: any(path.name == name_of_good for path in case.ledger.frames.known_files()))
        return f"{case.known() - before} taken in"

    names = ["20190612x", "2019061", "20199999", "a\nb", "a\udcffb", "-rf", " ", "20190612 ", "٢٠١٩٠٦١٢", ".20190612"]
    files = ["ifu.fits", "ifu\n.fits", "ifu\udcff.fits", "ifu20190612.fits", "ifu20190612_99_99_99.fits", "ifu*.fits",
             "ifu20190612_04_00_00.fits.fits", "ifu$(id).fits", "ifu\x1b[2J.fits"]  # fmt: skip
    files.append(f"ifu{'x' * 200}.fits")
    for number, name in enumerate([*names, *(f"{NIGHT}/{file}" for file in files)]):
        yield repr(name[:40]), partial(one, number, name)


# clocks, disks, signals


def _clock_jumps(folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    case = Case(folder)
    stack.callback(case.close)

    def one(number: int, ahead: timedelta) -> str:
        case.wall.ahead = ahead
        frame = raw(datetime(2019, 6, 12, 5, number, tzinfo=UTC), f"after jump {number}")
        case.write([frame])
        case.turn_until(lambda: any(path.name == Path(frame.place).name for path in case.ledger.frames.known_files()))
        return "the frame is taken in"

    for number, ahead in enumerate(
        timedelta(days=days) for days in (0.04, -0.04, 1, -1, 30, -30, 365, -365, 3650, -3650, 0)
    ):
        yield f"{ahead.days} days", partial(one, number, ahead)


def _disk_errors(where: str, folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    place = folder / NIGHT / "sp_x.fits"

    def one(code: int, there: bool) -> str:
        shutil.rmtree(place.parent, ignore_errors=True)
        place.parent.mkdir()
        if there:
            place.write_bytes(b"former")
        fault = mock.Mock(side_effect=OSError(code, os.strerror(code)))
        at = {
            "fsync": mock.patch("os.fsync", fault),
            "replace": mock.patch.object(Path, "replace", fault),
            "open": mock.patch("sedmd.host.files._for_all_to_read", fault),
        }[where]
        with at:
            try:
                write_bytes_atomic(b"new" * 1000, place)
            except (OSError, SedmError) as error:
                told = f"{type(error).__name__}: {error}"
            else:
                raise AssertionError("nobody noticed")
        left = {path.name: path.read_bytes() for path in place.parent.iterdir()}
        assert left == ({place.name: b"former"} if there else {}), left.keys()
        return told

    codes = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES, errno.ESTALE, errno.EMFILE, errno.EINTR)
    for code in codes:
        for there in (False, True):
            yield f"{errno.errorcode[code]}{', a former one there' if there else ''}", partial(one, code, there)


def _signals(folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    """Signals to a service of its own; the exit code is what docs/operate.md promises, and the next start goes on."""
    from night.helpers import configure

    settings = configure(folder)
    config = str(settings.paths.raw_root.parent / "sedmd.toml")
    paths_of = os.pathsep.join(sys.path[:2])

    def one(numbers: tuple[int, ...], codes: tuple[int, ...]) -> str:
        log = folder / "log"
        with log.open("w") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", "night.small", "run", "--config", config],
                env=os.environ | {"PYTHONPATH": paths_of}, stderr=stream,
            )  # fmt: skip
        until = time.monotonic() + 20
        while " starts: " not in log.read_text() and time.monotonic() < until:
            time.sleep(0.02)
        for number in numbers:
            process.send_signal(number)
        code = process.wait(20)
        assert "Traceback" not in log.read_text(), log.read_text()[-2000:]
        assert code in codes, code
        return f"ended with {code}"

    ended = (0, 130)
    yield "TERM", partial(one, (signal.SIGTERM,), ended)
    yield "INT", partial(one, (signal.SIGINT,), ended)
    yield "TERM twice", partial(one, (signal.SIGTERM, signal.SIGTERM), ended)
    yield "twenty HUP, TERM", partial(one, (signal.SIGHUP,) * 20 + (signal.SIGTERM,), ended)
    yield (
        "PIPE, CHLD, WINCH, CONT, TERM",
        partial(one, (signal.SIGPIPE, signal.SIGCHLD, signal.SIGWINCH, signal.SIGCONT, signal.SIGTERM), ended),
    )
    yield "STOP, CONT, TERM", partial(one, (signal.SIGSTOP, signal.SIGCONT, signal.SIGTERM), ended)
    yield "KILL", partial(one, (signal.SIGKILL,), (-signal.SIGKILL,))
    yield "TERM after a KILL", partial(one, (signal.SIGTERM,), ended)
