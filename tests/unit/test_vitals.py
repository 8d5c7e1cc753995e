"""What is wrong, what an operator should see to, and the figures as Prometheus reads them."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from sedmd.core.durations import age
from sedmd.daemon.metrics import metrics
from sedmd.run.vitals import BOUNDS_S, Histogram, Vitals, health_errors, health_warnings, own_use

NOW = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
WELL = Vitals(
    version="0.2.0",
    started=NOW - timedelta(hours=10),
    now=NOW,
    night="20261125",
    scan_age_s=4.0,
    scan_limit_s=60.0,
    raw_root_there=True,
    watch_mode="inotify",
    watcher_alive=True,
    ledger_ok=True,
    clock_alive=True,
    last_frame_age_s=120.0,
    observing=True,
)


def test_all_is_well():
    assert (health_errors(WELL), health_warnings(WELL)) == ((), ())


@pytest.mark.parametrize(
    "change, text",
    [
        ({"scan_age_s": 61.0}, "the last scan was 61 s ago; the limit is 60 s"),
        ({"watcher_alive": False}, "the watcher of the raw directories (inotify) is dead"),
        ({"ledger_ok": False}, "the ledger does not answer"),
        ({"clock_alive": False}, "the thread of the clock is dead"),
        ({"jobs_overdue": ("cube ifu1",)}, "job cube ifu1 is past its time limit and still running"),
    ],
)
def test_each_trouble_is_named_and_is_no_care(change, text):
    ill = replace(WELL, **change)
    assert health_errors(ill) == (text,)
    assert health_warnings(ill) == ()


@pytest.mark.parametrize(
    "change, text",
    [
        ({"raw_root_there": False}, "the raw root is missing; is it mounted?"),
        ({"claims_paused": "0.4 GB left in redux"}, "no new jobs start: 0.4 GB left in redux"),
        ({"watch_fallback": "no inotify watches left"}, "polling instead of inotify: no inotify watches left"),
        ({"frames": {"quarantined": 1, "good": 9}}, "1 frame in quarantine; see: sedmd status"),
        ({"frames": {"quarantined": 3}}, "3 frames in quarantine; see: sedmd status"),
        ({"fallback": ("20261122", 3)}, "using calibrations from 20261122 (3 nights old)"),
        ({"last_frame_age_s": 2700.0}, "no frame for 45 min, and it is night"),
        ({"last_frame_age_s": None}, "no frame for 10 h 00 min, and it is night"),
    ],
)
def test_each_care_is_named_and_stops_no_watchdog(change, text):
    poor = replace(WELL, **change)
    assert health_warnings(poor) == (text,)
    assert health_errors(poor) == ()


def test_an_absent_raw_root_is_not_to_be_mended_by_a_restart():
    away = replace(WELL, raw_root_there=False, scan_age_s=9999.0, watcher_alive=False, last_frame_age_s=9999.0)
    assert health_errors(away) == ()
    assert len(health_warnings(away)) == 1


def test_limits_are_still_good():
    assert health_errors(replace(WELL, scan_age_s=60.0)) == ()
    assert health_warnings(replace(WELL, last_frame_age_s=1800.0)) == ()
    assert health_warnings(replace(WELL, last_frame_age_s=9999.0, observing=False)) == ()


@pytest.mark.parametrize(
    "seconds, text",
    [(0, "0 s"), (119.4, "119 s"), (120, "2 min"), (7100, "118 min"), (7200, "2 h 00 min"), (200000, "2 d 8 h")],
)
def test_durations(seconds, text):
    assert age(seconds) == text


def test_histogram_counts_each_time_once_and_keeps_the_old_one():
    times = [0.1, 0.5, 0.6, 60.0, 61.0, 5000.0]
    histograms = [Histogram()]
    for seconds in times:
        histograms.append(histograms[-1].add(seconds))
    assert histograms[0] == Histogram()
    last = histograms[-1]
    assert (last.count, last.total_s, sum(last.bins)) == (6, pytest.approx(sum(times)), 6)
    for bound, number in last.cumulative():
        assert number == sum(seconds <= bound for seconds in times)
    assert [bound for bound, _ in last.cumulative()] == [*BOUNDS_S, float("inf")]


SAMPLE = re.compile(r'^([a-z_]+)(\{(?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)+\})? (-?[0-9.e+-]+|[+-]Inf|NaN)$')


def parsed(text: str) -> dict[str, float]:
    """Samples by name and labels; refuses what Prometheus would refuse."""
    assert text.endswith("\n")
    samples: dict[str, float] = {}
    typed: dict[str, str] = {}
    helped: set[str] = set()
    family = ""
    for line in text.splitlines():
        if line.startswith("# HELP "):
            family = line.split()[2]
            assert family not in helped
            helped.add(family)
        elif line.startswith("# TYPE "):
            assert line.split()[2] == family
            typed[family] = line.split()[3]
        else:
            match = SAMPLE.match(line)
            assert match, line
            suffix = match[1].removeprefix(family)
            assert suffix in (("_bucket", "_sum", "_count") if typed[family] == "histogram" else ("",)), line
            key = match[1] + (match[2] or "")
            assert key not in samples
            samples[key] = float(match[3].replace("Inf", "inf"))
    assert set(typed) == helped
    return samples


def test_figures():
    rich = replace(
        WELL,
        jobs={("cube", "done"): 41, ("cube", "running"): 2, ("bias", "done"): 2},
        jobs_running=2,
        frames={"good": 120, "quarantined": 1},
        oldest_waiting_s=12.5,
        free_bytes={"raw": 10**12, "redux": 5 * 10**11},
        job_seconds={"cube": Histogram().add(16.0).add(17.5)},
        retries=3,
        watcher_restarts=1,
        hints_missed=7,
        clock_jumps=2,
        fallback=("20261123", 2),
        resident_bytes=123456789,
        open_files=42,
    )
    samples = parsed(metrics(rich))
    expected = {
        'sedmd_build_info{version="0.2.0"}': 1,
        "sedmd_healthy": 1,
        'sedmd_jobs{state="done",step="cube"}': 41,
        'sedmd_jobs{state="done",step="bias"}': 2,
        "sedmd_jobs_running": 2,
        'sedmd_frames{state="quarantined"}': 1,
        "sedmd_oldest_waiting_seconds": 12.5,
        "sedmd_last_frame_age_seconds": 120,
        "sedmd_last_scan_age_seconds": 4,
        'sedmd_job_seconds_bucket{le="10",step="cube"}': 0,
        'sedmd_job_seconds_bucket{le="20",step="cube"}': 2,
        'sedmd_job_seconds_bucket{le="+Inf",step="cube"}': 2,
        'sedmd_job_seconds_sum{step="cube"}': 33.5,
        'sedmd_job_seconds_count{step="cube"}': 2,
        'sedmd_free_bytes{root="redux"}': 5e11,
        "sedmd_retries_total": 3,
        "sedmd_watcher_restarts_total": 1,
        "sedmd_hints_missed_total": 7,
        "sedmd_clock_jumps_total": 2,
        "sedmd_fallback_age_nights": 2,
        "process_start_time_seconds": rich.started.timestamp(),
        "process_resident_memory_bytes": 123456789,
        "process_open_fds": 42,
    }
    assert {name: samples.get(name) for name in expected} == expected


def test_what_is_unknown_is_left_out():
    samples = parsed(metrics(replace(WELL, last_frame_age_s=None)))
    for name in ("sedmd_last_frame_age_seconds", "sedmd_oldest_waiting_seconds", "process_open_fds"):
        assert name not in samples
    assert not any(name.startswith(("sedmd_free_bytes", "sedmd_fallback")) for name in samples)


def test_labels_are_escaped():
    text = metrics(replace(WELL, free_bytes={'a"b\\c\nd': 1}))
    assert '\nsedmd_free_bytes{root="a\\"b\\\\c\\nd"} 1.0\n' in text
    parsed(text)


def test_an_unhealthy_service_says_so_in_its_figures():
    samples = parsed(metrics(replace(WELL, ledger_ok=False, claims_paused="disk")))
    assert (samples["sedmd_healthy"], samples["sedmd_troubles"], samples["sedmd_cares"]) == (0, 1, 1)


def test_own_use_sees_a_file_being_opened(tmp_path):
    resident, files = own_use()
    with (tmp_path / "x").open("w"):
        more, one_more = own_use()
    assert one_more == files + 1
    assert 1e6 < resident < 1e11
    assert more > 1e6
    assert own_use()[1] == files
    assert own_use(tmp_path) == (None, None)
