"""The units that send beside the service: what they start, when, and what systemd says of them."""

import re
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sedmd.cli import parser
from sedmd.core.config import from_table
from sedmd.host.unit_file import last, parse_unit
from sedmd.plan.deadlines import deadlines

FOLDER = Path(__file__).resolve().parents[2] / "systemd"
NAMES = ("sedmd-upload", "sedmd-final-report")


def unit(name):
    return parse_unit((FOLDER / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", NAMES)
def test_starts_a_command_that_there_is(name):
    words = shlex.split(last(unit(f"{name}.service"), "Service", "ExecStart"))
    options = parser().parse_args(words[1:])
    assert options.night is None and options.config == Path("/etc/sedmd/sedmd.toml")
    assert not options.dry_run and not options.again


@pytest.mark.parametrize("name", NAMES)
def test_runs_in_the_place_of_the_service(name):
    mine, service = unit(f"{name}.service"), unit("sedmd.service")
    for key in ("User", "Group", "ReadWritePaths", "StateDirectory", "ProtectSystem", "NoNewPrivileges"):
        assert last(mine, "Service", key) == last(service, "Service", key)
    assert "AF_INET" in last(mine, "Service", "RestrictAddressFamilies")


def test_what_is_told_is_made_without_a_network():
    text = (FOLDER / "sedmd-publish.service").read_text(encoding="utf-8")
    words = [shlex.split(line.lstrip("-"))[1:] for line in re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)]
    assert [one[0] for one in words] == ["classify", "report", "publish"]
    for one in words:
        assert parser().parse_args(one).night is None
    mine, service = unit("sedmd-publish.service"), unit("sedmd.service")
    for key in ("User", "Group", "ReadWritePaths", "PrivateNetwork", "RestrictAddressFamilies", "NoNewPrivileges"):
        assert last(mine, "Service", key) == last(service, "Service", key)


def test_the_report_goes_after_every_night_and_before_the_next_afternoon():
    at = last(unit("sedmd-final-report.timer"), "Timer", "OnCalendar")
    hour = int(re.fullmatch(r"\*-\*-\* (\d\d):00:00 UTC", at)[1])
    given = from_table({"paths": {"raw_root": "/a", "redux_root": "/b"}}, origin="test", base=Path("/"))
    for day in range(0, 365, 5):
        night = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day)
        of_night = deadlines(f"{night:%Y%m%d}", given)
        sent = night + timedelta(hours=hour)
        assert of_night.closes + timedelta(seconds=given.night.quiet_s) < sent
        # calibrations of the next night are taken in the hours before sunset
        assert sent < of_night.sunset + timedelta(days=1) - timedelta(hours=5)


def test_alerts_start_commands_that_there_are():
    for name, failed in (("sedmd-alert", ""), ("sedmd-alert@", "%i")):
        words = shlex.split(last(unit(f"{name}.service"), "Service", "ExecStart"))
        assert parser().parse_args(words[1:]).failed == failed
    assert last(unit("sedmd.service"), "Unit", "OnFailure") == "sedmd-alert@%n.service"
