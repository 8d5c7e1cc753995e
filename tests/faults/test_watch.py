"""Events that do not come: dead threads, deaf watches, exhausted limits, faulty handlers, lost queues; no frame is."""

from __future__ import annotations

import errno
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from night.raw_night import NIGHT, calibrations, on_sky, raw

import sedmd.daemon.watch
from sedmd.daemon.messages import Hint
from sedmd.run.context import ENDED
from sedmd.run.vitals import health_errors

from .turned import case

FRAMES = [*calibrations(), *on_sky("STD-Feige34", "x")]


def end_quietly(thread) -> None:
    thread.stop()
    thread.join(5)


def test_a_dead_observer_and_a_dead_emitter_are_noticed_and_started_anew(tmp_path, tell):
    with case(tmp_path) as one:
        one.write(FRAMES[:10])
        one.turn_until(lambda: one.known() == 10)
        end_quietly(one.service.watcher._observer)
        assert health_errors(one.service.vitals()) != ()
        one.write(FRAMES[10:15])
        first_s = one.turn_until(lambda: one.known() == 15)
        one.turn_until(lambda: one.service.watcher.restarts == 1)
        end_quietly(next(iter(one.service.watcher._observer.emitters)))
        one.write(FRAMES[15:])
        second_s = one.turn_until(lambda: one.known() == len(FRAMES))
        one.turn_until(lambda: one.service.watcher.restarts == 2)
        assert one.said("the watcher of the raw directories died; restarted") == 2
        assert health_errors(one.service.vitals()) == ()
        tell(f"2 deaths, 2 restarts; frames found after {first_s:.2f} and {second_s:.2f} s")


def test_a_directory_renamed_away_and_back_is_watched_again(tmp_path, tell):
    with case(tmp_path) as one:
        one.write(FRAMES)
        one.turn_until(lambda: one.known() == len(FRAMES))
        folder = one.raw / NIGHT
        folder.rename(one.raw / "away")
        one.turn_until(lambda: folder not in one.service.intake.sight.folders)
        (one.raw / "away").rename(folder)
        one.turn_until(lambda: folder in one.service.intake.sight.folders)
        one.turn_until(lambda: folder in one.service.watcher._watched)
        heard: list[Path] = []
        hint = one.service.intake.hint
        one.service.intake.hint = lambda path: (heard.append(path), hint(path))  # type: ignore[method-assign]
        frame = raw(datetime(2019, 6, 12, 9, tzinfo=UTC), "late")
        one.write([frame])
        one.turn_until(lambda: one.known() == len(FRAMES) + 1)
        one.turn_until(lambda: bool(heard))
        assert {row.state for row in one.ledger.frames.all()} == {"good"}
        tell(f"{len(heard)} events from the directory that came back; no frame twice")


def test_deaf_events_are_noticed(tmp_path, tell):
    """The watch says that it lives, and tells nothing: as after a remount, or on a share."""
    with case(tmp_path) as one:
        one.write(FRAMES[:5])
        one.turn_until(lambda: one.known() == 5)
        one.service.watcher._handler._hint = lambda path: None
        one.write(FRAMES[5:])
        seconds = one.turn_until(lambda: one.known() == len(FRAMES))
        one.turn_until(lambda: one.said("inotify events missed for") >= 1)
        missed = one.service.intake.hints_missed
        # those in a directory that is watched only since they came are no fault of the events
        assert missed == sum("/20190611/" in f"/{frame.place}" for frame in FRAMES[5:])
        assert one.service.watcher.restarts == 1
        tell(f"{missed} frames without an event, all found after {seconds:.2f} s; the watch was started anew")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EMFILE, errno.ENFILE], ids=errno.errorcode.get)
def test_exhausted_limits_mean_polling_until_they_are_not(tmp_path, tell, monkeypatch, number):
    real = sedmd.daemon.watch.Observer
    monkeypatch.setattr(sedmd.daemon.watch, "TRY_AGAIN_S", 1.0)

    class Refused(real):
        def schedule(self, *given, **more):
            raise OSError(number, "inotify watch limit reached")

    monkeypatch.setattr(sedmd.daemon.watch, "Observer", Refused)
    with case(tmp_path) as one:
        one.write(FRAMES[:10])
        seconds = one.turn_until(lambda: one.known() == 10)
        assert one.service.watcher.polling
        monkeypatch.setattr(sedmd.daemon.watch, "TRY_AGAIN_S", 0.0)
        for _ in range(3):  # tried again in vain, which is no news
            assert one.service.watcher.watch([one.settings.paths.raw_root]) == ""
        monkeypatch.setattr(sedmd.daemon.watch, "TRY_AGAIN_S", 1.0)
        assert one.said("no inotify watches left") == 1
        assert health_errors(one.service.vitals()) == ()
        monkeypatch.setattr(sedmd.daemon.watch, "Observer", real)
        one.turn_until(lambda: not one.service.watcher.polling)
        one.write(FRAMES[10:])
        one.turn_until(lambda: one.known() == len(FRAMES))
        assert one.service.watcher.refused == ""
        tell(f"polling while refused ({seconds:.2f} s to {10} frames), events again afterwards")


def test_a_fault_in_the_handler_does_not_end_its_thread(tmp_path, tell):
    with case(tmp_path) as one:
        one.write(FRAMES[:5])
        one.turn_until(lambda: one.known() == 5)
        pass_on = one.service.watcher._handler._hint

        def faulty(path: Path) -> None:
            if "23_2" in path.name:
                raise ValueError("a name that nobody thought of")
            pass_on(path)

        one.service.watcher._handler._hint = faulty
        one.write(FRAMES[5:])
        one.turn_until(lambda: one.known() == len(FRAMES))
        one.turn_until(lambda: one.said("events could not be handled") >= 1)
        assert one.service.watcher.healthy
        tell(f"{one.said('events could not be handled')} complaint; all {one.known()} frames found")


def test_a_queue_that_overflowed_loses_no_frame(tmp_path, tell):
    """The kernel dropped the events: nothing at all is told of three quarters of the frames."""
    with case(tmp_path) as one:
        one.turn_until(lambda: one.service.watcher.healthy)
        pass_on = one.service.watcher._handler._hint
        told = iter(range(10**9))
        one.service.watcher._handler._hint = lambda path: pass_on(path) if next(told) % 4 == 0 else None
        one.write(FRAMES)
        seconds = one.turn_until(lambda: one.known() == len(FRAMES))
        tell(f"{one.known()} of {len(FRAMES)} frames found after {seconds:.2f} s")


#: To 1970 and to 2100, from wherever the clock of this machine stands: a dead battery, a wrong server.
FAR = [(datetime(year, 1, 1, tzinfo=UTC) - datetime.now(UTC)).total_seconds() // 3600 for year in (1970, 2100)]


@pytest.mark.parametrize("hours", [-26.0, -1.0, -0.5, 0.5, 1.0, 26.0, *FAR], ids=lambda hours: f"{hours:+g} h")
def test_a_clock_that_jumps_stops_nothing(tmp_path, tell, hours):
    with case(tmp_path) as one:
        one.write(FRAMES[:10])
        one.turn_until(lambda: one.known() == 10)
        one.wall.ahead = timedelta(hours=hours)
        one.turn_until(lambda: one.service.drift.jumps == 1)
        assert one.said(f"the system clock jumped by {hours * 3600:+.0f} s") == 1
        one.write(FRAMES[10:])
        one.turn_until(lambda: one.known() == len(FRAMES))
        made = one.settings.paths.redux_root / NIGHT / "sp_x_obs1.fits"
        seconds = one.turn_until(made.exists)
        for _ in range(2):  # far sooner than the loop would look without its ticker
            scanned_s = one.service.intake.sight.scanned_s
            one.turn_until(lambda before=scanned_s: one.service.intake.sight.scanned_s > before)
        assert one.service.ticker.alive
        one.wall.ahead = timedelta()
        one.turn_until(lambda: one.service.drift.jumps == 2)
        # what was booked under the wrong clock keeps no night open
        one.turn_until(lambda: one.ledger.marks.of_night(NIGHT, ENDED) and not one.service.nights.plans[NIGHT].active)
        tell(f"jump by {hours:+g} h and back: 2 told, night reduced {seconds:.2f} s later, the ticker ticks")


def test_a_ticker_that_died_is_started_anew(tmp_path, tell):
    with case(tmp_path) as one:
        one.service.ticker.stop()
        one.write(FRAMES)
        one.turn_until(lambda: one.known() == len(FRAMES))
        one.turn_until(lambda: one.service.ticker.alive)
        assert one.said("the clock thread died; restarted") == 1
        tell("noticed by the loop's own patience; started anew")


def test_a_hint_of_what_is_no_frame_is_passed_over(tmp_path):
    with case(tmp_path) as one:
        for name in ("ifu.fits.part", "x\udcff.fits", "20190612", "notes.txt"):
            one.service.inbox.put(Hint(one.raw / name))
        one.write(FRAMES[:1])
        one.turn_until(lambda: one.known() == 1)
