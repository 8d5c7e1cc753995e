"""The unit file that is shipped: what it says, what systemd says of it, and that it goes with the shipped settings."""

import re
from pathlib import Path, PurePosixPath

import pytest

from sedmd.core.config import load
from sedmd.doctor.unit import command, compare, seconds
from sedmd.host.unit_file import last, parse_unit, paths, yes

HERE = Path(__file__).resolve().parents[2]
UNIT = HERE / "systemd" / "sedmd.service"
#: Exposure times ten that `systemd-analyze security` may find; 3 is what it finds.
THRESHOLD = 5


@pytest.fixture(scope="module")
def unit():
    return parse_unit(UNIT.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def settings():
    return load(HERE / "config" / "sedmd.toml")


def value(unit, key):
    return last(unit, "Service", key)


def test_goes_with_the_shipped_configuration(unit, settings):
    place = settings.paths
    found = compare(
        unit,
        raw=PurePosixPath(place.raw_root),
        redux=PurePosixPath(place.redux_root),
        state=PurePosixPath(place.state),
        drain_timeout_s=settings.jobs.drain_timeout_s,
    )
    assert found == []
    assert command(unit)[1] == "/etc/sedmd/sedmd.toml"


def test_raw_data_are_locked(unit, settings):
    raw = PurePosixPath(settings.paths.raw_root)
    assert paths(unit, "Service", "ReadOnlyPaths") == (raw,)
    assert value(unit, "ProtectSystem") == "strict"
    assert raw not in paths(unit, "Service", "ReadWritePaths")
    assert raw in paths(unit, "Unit", "RequiresMountsFor")


def test_tells_systemd_how_it_is(unit, settings):
    assert value(unit, "Type") == "notify"
    assert value(unit, "NotifyAccess") == "main"
    # two scans may fail before the watchdog bites
    assert seconds(value(unit, "WatchdogSec")) >= 6 * settings.watch.scan_interval_s
    assert value(unit, "ExecReload") == "/bin/kill -HUP $MAINPID"
    assert "PYTHONFAULTHANDLER=1" in " ".join(unit["Service"]["Environment"])


def test_stops_by_draining(unit, settings):
    assert value(unit, "KillMode") == "mixed"
    assert seconds(value(unit, "TimeoutStopSec")) >= settings.jobs.drain_timeout_s + 30


def test_is_restarted_for_ever_but_not_over_a_bad_configuration(unit):
    assert value(unit, "Restart") == "on-failure"
    assert last(unit, "Unit", "StartLimitIntervalSec") == "0"
    assert value(unit, "RestartPreventExitStatus") == "2"
    assert value(unit, "SuccessExitStatus") == "130"


def test_has_limits(unit):
    assert value(unit, "OOMPolicy") == "continue"
    assert int(value(unit, "LimitNOFILE")) >= 4096
    assert int(value(unit, "TasksMax")) >= 256
    high, top = (int(value(unit, key).rstrip("%")) for key in ("MemoryHigh", "MemoryMax"))
    assert high < top < 100


def test_talks_to_this_host_only(unit):
    assert value(unit, "RestrictAddressFamilies") == "AF_UNIX"
    assert yes(unit, "Service", "PrivateNetwork")
    # what to change for a health port is written where it is changed
    assert "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6" in UNIT.read_text(encoding="utf-8")


def test_workers_may_set_their_own_limits(unit):
    assert not any("@resources" in value for value in unit["Service"]["SystemCallFilter"])
    assert "LimitAS" not in unit["Service"]


@pytest.fixture(scope="module")
def exposure(analyze):
    """`systemd-analyze security` of a file; systemd 250 was the first that needs no running manager for it."""
    version = int(analyze("--version").stdout.split()[1].split(".")[0])
    if version < 250:
        pytest.skip(f"systemd {version} cannot judge a file")
    return lambda path: analyze("security", "--offline=yes", f"--threshold={THRESHOLD}", "--no-pager", path)


@pytest.fixture
def installed(tmp_path):
    """The unit file as it is on a machine where its program exists."""
    text = UNIT.read_text(encoding="utf-8")
    program = tmp_path / "sedmd"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    text, times = re.subn(r"^ExecStart=\S+", f"ExecStart={program}", text, flags=re.MULTILINE)
    assert times == 1
    path = tmp_path / "sedmd.service"
    path.write_text(text)
    return path


def test_systemd_understands_every_line(analyze, installed):
    done = analyze("verify", "--man=no", installed)
    ours = [line for line in done.stderr.splitlines() if "sedmd" in line]
    assert (done.returncode, ours) == (0, [])


def test_systemd_would_complain(analyze, installed):
    installed.write_text(installed.read_text().replace("Type=notify", "Type=notify\nTypo=1"))
    assert "Typo" in analyze("verify", "--man=no", installed).stderr


def test_exposure_is_small(exposure, installed):
    done = exposure(installed)
    assert done.returncode == 0, done.stdout[-400:]


def test_exposure_would_be_noticed(exposure, installed):
    installed.write_text(installed.read_text().replace("PrivateNetwork=yes", "PrivateNetwork=no"))
    assert exposure(installed).returncode != 0
