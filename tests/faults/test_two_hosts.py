"""A service that finds another host's name at its redux root, and one that is told that it was taken over."""

from __future__ import annotations

import json
import socket

from sedmd.host.claim import NAME

from .daemon import configure, running, wait_for


def test_another_hosts_name_refuses_the_start_and_a_take_over_stops_the_service(tmp_path, tell):
    settings = configure(tmp_path)
    place = settings.paths.redux_root / ".sedmd" / NAME
    place.parent.mkdir(parents=True)
    other = {"host": "tower", "process": 4711, "state": "/var/lib/sedmd", "remote": True, "since": "2026-11-29"}
    place.write_text(json.dumps(other))
    with running(settings) as daemon:
        assert daemon.process.wait(60) == 75
        assert daemon.said("host tower (process 4711, since 2026-11-29) works on the redux root") == 1
    assert json.loads(place.read_text()) == other
    place.unlink()  # it ended
    with running(settings) as daemon:
        wait_for(lambda: daemon.ready, daemon)
        assert json.loads(place.read_text())["host"] == socket.gethostname()
        place.write_text(json.dumps(other))
        assert daemon.process.wait(60) == 2  # not to be started again by systemd
        assert daemon.said("host tower (process 4711, since 2026-11-29) took over the redux root") == 1
        assert daemon.tracebacks() == []
    assert json.loads(place.read_text()) == other
    tell("refused by name; stopped by the first scan after the take-over")
