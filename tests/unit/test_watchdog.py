"""systemd's watchdog is fed while the service does its work, and not once a part of it is dead."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from sedmd.core.config import Paths, Settings
from sedmd.daemon.notify import Notifier
from sedmd.daemon.service import PING_S, Service
from sedmd.ledger.ledger import Ledger
from sedmd.run.event_log import EventLog
from sedmd.workers.engines import InlineEngine
from unit.test_vitals import WELL

NOW = datetime(2019, 6, 12, 4, tzinfo=UTC)


class Heard(Notifier):
    """Keeps the messages to systemd."""

    def __init__(self):
        super().__init__({})
        self.fed = 0

    def watchdog(self, status=""):
        self.fed += 1
        return True


@pytest.fixture
def service(tmp_path):
    """A service that has not begun; `seconds` is its monotonic clock."""
    paths = Paths(raw_root=tmp_path / "raw", redux_root=tmp_path / "redux", state_dir=tmp_path / "state")
    paths.raw_root.mkdir()
    with Ledger.open(tmp_path / "state" / "ledger.sqlite", clock=lambda: NOW) as ledger:
        seconds = [1000.0]
        made = Service(
            settings=Settings(paths=paths),
            ledger=ledger,
            engine=InlineEngine("sedmd.steps", workers=1),
            clock=lambda: NOW,
            report=EventLog(clock=lambda: NOW, stream=None, journal=False),
            monotonic=lambda: seconds[0],
            notifier=Heard(),
        )
        made.seconds = seconds
        yield made


@pytest.mark.parametrize(
    ("change", "fed"),
    [
        ({}, 1),
        ({"raw_root_there": False}, 1),
        ({"scan_age_s": 61.0}, 0),
        ({"watcher_alive": False}, 0),
        ({"ledger_ok": False}, 0),
        ({"clock_alive": False}, 0),
        ({"jobs_overdue": ("cube ifu1",)}, 0),
    ],
)
def test_the_watchdog_is_fed_only_while_nothing_is_wrong(service, monkeypatch, change, fed):
    monkeypatch.setattr(service, "vitals", lambda: replace(WELL, **change))
    service._measure()
    assert service.notifier.fed == fed


def test_the_watchdog_is_fed_again_once_all_is_well_and_no_more_often_than_is_needed(service, monkeypatch):
    vitals = [replace(WELL, ledger_ok=False)]
    monkeypatch.setattr(service, "vitals", lambda: vitals[0])
    fed = []
    for ahead, now in [(0.0, vitals[0]), (0.0, WELL), (PING_S / 2, WELL), (PING_S / 2, WELL)]:
        service.seconds[0] += ahead
        vitals[0] = now
        service._measure()
        fed.append(service.notifier.fed)
    assert fed == [0, 1, 1, 2]
