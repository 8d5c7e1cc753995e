"""The figures of the service as Prometheus reads them: text exposition format 0.0.4."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sedmd.run.vitals import Vitals, health_errors, health_warnings

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: `samples` are suffix of the name, labels, value."""

    name: str
    kind: str
    text: str
    samples: tuple[tuple[str, Labels, float], ...]

    def lines(self) -> Iterable[str]:
        """HELP, TYPE and the samples; nothing at all without samples."""
        if not self.samples:
            return
        yield f"# HELP {self.name} {_escaped(self.text, quote=False)}"
        yield f"# TYPE {self.name} {self.kind}"
        for suffix, labels, value in self.samples:
            inner = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels)
            yield (
                f"{self.name}{suffix}{{{inner}}} {_number(value)}" if inner else f"{self.name}{suffix} {_number(value)}"
            )


def metrics(vitals: Vitals) -> str:
    """All figures; what is not known is left out rather than given as zero."""
    return "".join(f"{line}\n" for family in _families(vitals) for line in family.lines())


def _families(v: Vitals) -> list[Family]:
    histogram = [
        sample
        for step, times in sorted(v.job_seconds.items())
        for sample in (
            *(("_bucket", (("step", step), ("le", _number(bound))), float(n)) for bound, n in times.cumulative()),
            ("_sum", (("step", step),), times.total_s),
            ("_count", (("step", step),), float(times.count)),
        )
    ]
    jobs: dict[Labels, float] = {(("step", step), ("state", state)): n for (step, state), n in v.jobs.items()}
    fallback = None if v.fallback is None else v.fallback[1]
    return [
        _gauge("sedmd_build_info", "Version of the program.", {(("version", v.version),): 1}),
        _gauge("sedmd_healthy", "1 while nothing is wrong that a restart could mend.", not health_errors(v)),
        _gauge("sedmd_troubles", "Reasons why the service is not healthy.", len(health_errors(v))),
        _gauge("sedmd_cares", "Things an operator should see to.", len(health_warnings(v))),
        _gauge("sedmd_night_info", "UT night at work.", {(("night", v.night),): 1} if v.night else {}),
        _gauge("sedmd_observing", "1 while it is night and frames are expected.", v.observing),
        _gauge("sedmd_raw_root_there", "1 while the raw root can be read.", v.raw_root_there),
        _gauge("sedmd_jobs", "Jobs by step and state.", jobs),
        _gauge("sedmd_jobs_running", "Jobs at work.", v.jobs_running),
        _gauge("sedmd_jobs_overdue", "Jobs past their time limit.", len(v.jobs_overdue)),
        _gauge("sedmd_frames", "Raw frames by state.", {(("state", state),): n for state, n in v.frames.items()}),
        _gauge("sedmd_oldest_waiting_seconds", "How long the oldest waiting frame has waited.", v.oldest_waiting_s),
        _gauge("sedmd_last_frame_age_seconds", "Since the last frame was taken in.", v.last_frame_age_s),
        _gauge("sedmd_last_scan_age_seconds", "Since the last reconciliation scan.", v.scan_age_s),
        Family("sedmd_job_seconds", "histogram", "Wall-clock time of jobs by step.", tuple(histogram)),
        _counter("sedmd_retries_total", "Jobs tried again since the start.", v.retries),
        _gauge("sedmd_claims_paused", "1 while no new job is begun.", bool(v.claims_paused)),
        _gauge("sedmd_free_bytes", "Free space by root.", {(("root", root),): n for root, n in v.free_bytes.items()}),
        _gauge("sedmd_fallback_age_nights", "Age of calibrations that serve instead of tonight's.", fallback),
        _gauge("sedmd_watch_info", "How new frames are noticed.", {(("mode", v.watch_mode),): 1}),
        _gauge("sedmd_watcher_alive", "1 while the observer and its emitters live.", v.watcher_alive),
        _counter("sedmd_watcher_restarts_total", "Times the watcher was started anew.", v.watcher_restarts),
        _counter("sedmd_hints_missed_total", "Frames that the scan found and no event announced.", v.hints_missed),
        _counter("sedmd_clock_jumps_total", "Jumps of the wall clock.", v.clock_jumps),
        _gauge("process_start_time_seconds", "Start of the service, seconds since 1970.", v.started.timestamp()),
        _gauge("process_resident_memory_bytes", "Resident memory of the service.", v.resident_bytes),
        _gauge("process_open_fds", "Open files of the service.", v.open_files),
    ]


def _gauge(name: str, text: str, value: Mapping[Labels, float] | float | None) -> Family:
    return Family(name, "gauge", text, _samples(value))


def _counter(name: str, text: str, value: float) -> Family:
    return Family(name, "counter", text, _samples(value))


def _samples(value: Mapping[Labels, float] | float | None) -> tuple[tuple[str, Labels, float], ...]:
    if value is None:
        return ()
    if isinstance(value, Mapping):
        return tuple(("", labels, float(number)) for labels, number in sorted(value.items()))
    return (("", (), float(value)),)


def _escaped(text: str, *, quote: bool = True) -> str:
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    return text.replace('"', '\\"') if quote else text


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if math.isnan(value):
        return "NaN"
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(value)
