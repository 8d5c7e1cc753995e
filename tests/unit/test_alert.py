"""Somebody is told what mends itself by nobody: once, and again when it comes back."""

import subprocess
from datetime import UTC, datetime

import pytest
from tell_samples import state

from sedmd.after.deliver.alert import RESTARTS, Alert, AlertFailed, find_alerts, send_alerts
from sedmd.core.errors import ConfigError, SedmError
from sedmd.run.states import RejectedFrame
from unit.sending import Clock, settings

EVENING = datetime(2019, 6, 12, 4, 30, tzinfo=UTC)
MORNING = datetime(2019, 6, 12, 20, tzinfo=UTC)


@pytest.fixture
def look(tmp_path, monkeypatch):
    (tmp_path / "redux").mkdir()
    monkeypatch.setattr("sedmd.after.deliver.alert.free_bytes", lambda folder: 10**12)

    def kinds(now=MORNING, *, serving=True, told=None, **more):
        def snapshot(*_, **__):
            if told is None:
                raise SedmError("no frames yet")
            return state(**told)

        monkeypatch.setattr("sedmd.after.deliver.alert.snapshot", snapshot)
        return {one.kind: one for one in find_alerts(settings(tmp_path), now=now, serving=serving, **more)}

    return kinds


def test_a_quiet_night_alerts_nobody(look):
    assert look(told={}) == look() == {}


def test_every_kind_says_what_to_do(look, monkeypatch):
    assert set(look(serving=False)) == {"away"}
    assert "systemctl start" in look(serving=False)["away"].text
    assert "sedmd.service has failed" in look(failed="sedmd.service")["failed"].text
    assert look(restarts=RESTARTS - 1) == {} and set(look(restarts=RESTARTS)) == {"restarts"}
    monkeypatch.setattr("sedmd.after.deliver.alert.free_bytes", lambda folder: 10**6)
    assert "1 MB are free" in look()["disk"].text


def test_missing_calibrations_count_from_an_hour_after_sunset(look):
    told = {"missing": ("Cd: no frames",), "closed": False}
    assert "Cd: no frames" in look(EVENING, told=told)["calibrations"].text
    assert look(datetime(2019, 6, 12, 2, tzinfo=UTC), told=told) == {}


def test_frames_that_are_not_used_count_when_the_night_has_ended(look):
    frame = RejectedFrame(frame="ifu1.fits", state="quarantined", reason="it is cut")
    told = {"rejected_frames": (frame,), "closed": True}
    assert "1 frames that are not used: ifu1.fits" in look(told=told)["frames"].text
    assert look(told={**told, "closed": False}) == {}


class Site:
    """A command of the site."""

    def __init__(self, code=0):
        self.code, self.heard = code, []

    def __call__(self, command, **_):
        self.heard.append(command)
        return subprocess.CompletedProcess(command, self.code, "", "no\nline")


ONE, OTHER = Alert(kind="away", night="", text="it is away"), Alert(kind="frames", night="20190612", text="2 frames")


def test_each_is_told_once_and_again_when_it_comes_back(tmp_path):
    given, site = settings(tmp_path, mail={"alert_command": ["/bin/tell", "-x"]}), Site()
    for alerts, count in (([ONE], 1), ([ONE, OTHER], 2), ([ONE, OTHER], 2), ([OTHER], 2), ([ONE], 3)):
        send_alerts(given, alerts, clock=Clock(), run=site)
        assert len(site.heard) == count
    assert site.heard[0] == ["/bin/tell", "-x", "away", "it is away"]


def test_what_could_not_be_told_is_told_the_next_time(tmp_path):
    given = settings(tmp_path, mail={"alert_command": ["/bin/tell"]})
    with pytest.raises(AlertFailed, match="exit code 3: no line"):
        send_alerts(given, [ONE], clock=Clock(), run=Site(3))
    assert send_alerts(given, [ONE], clock=Clock(), run=Site()) == [ONE]


def test_a_free_disk_of_another_size_is_the_same_alert(tmp_path):
    given, site = settings(tmp_path, mail={"alert_command": ["/bin/tell"]}), Site()
    for text in ("12 MB are free", "11 MB are free"):
        send_alerts(given, [Alert(kind="disk", night="", text=text)], clock=Clock(), run=site)
    assert len(site.heard) == 1


def test_without_anybody_to_tell_it_says_so(tmp_path):
    with pytest.raises(ConfigError, match="no alert is sent"):
        send_alerts(settings(tmp_path), [ONE], clock=Clock())
