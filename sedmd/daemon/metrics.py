"""The figures of the service as Prometheus reads them: text exposition format 0.0.4, written by `prometheus_client`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client import generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from sedmd.run.vitals import Vitals, health_errors, health_warnings

#: Names of metrics and labels are those of the old alphabet, so that every Prometheus reads this format.
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = tuple[tuple[str, str], ...]


class VitalsCollector(Collector):
    """One moment of the service as metrics; a family without a value is absent rather than zero.

    Parameters
    ----------
    vitals : Vitals
    """

    def __init__(self, vitals: Vitals) -> None:
        self._vitals = vitals

    def collect(self) -> Iterator[Metric]:
        """The families that have a sample."""
        return (family for family in _families(self._vitals) if family.samples)


def metrics(vitals: Vitals) -> str:
    """All figures; what is not known is absent rather than zero."""
    return generate_latest(VitalsCollector(vitals)).decode()


def _families(v: Vitals) -> list[Metric]:
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
        _job_seconds(v),
        _counter("sedmd_retries_total", "Jobs tried again since the start.", v.retries),
        _gauge("sedmd_claims_paused", "1 while no new job is begun.", bool(v.claims_paused)),
        _gauge("sedmd_free_bytes", "Free space by root.", {(("root", root),): n for root, n in v.free_bytes.items()}),
        _gauge("sedmd_fallback_age_nights", "Age of calibrations that are used instead of tonight's.", fallback),
        _gauge("sedmd_watch_info", "How new frames are noticed.", {(("mode", v.watch_mode),): 1}),
        _gauge("sedmd_watcher_alive", "1 while the observer and its emitters live.", v.watcher_alive),
        _counter("sedmd_watcher_restarts_total", "Times the watcher was started again.", v.watcher_restarts),
        _counter("sedmd_hints_missed_total", "Frames that the scan found and no event announced.", v.hints_missed),
        _counter("sedmd_clock_jumps_total", "Jumps of the wall clock.", v.clock_jumps),
        _gauge("process_start_time_seconds", "Start of the service, seconds since 1970.", v.started.timestamp()),
        _gauge("process_resident_memory_bytes", "Resident memory of the service.", v.resident_bytes),
        _gauge("process_open_fds", "Open files of the service.", v.open_files),
    ]


def _job_seconds(v: Vitals) -> Metric:
    family = HistogramMetricFamily("sedmd_job_seconds", "Wall-clock time of jobs by step.", labels=("step",))
    for step, times in sorted(v.job_seconds.items()):
        buckets = [("+Inf" if bound == float("inf") else f"{bound:g}", number) for bound, number in times.cumulative()]
        family.add_metric((step,), buckets, times.total_s)
    return family


def _gauge(name: str, text: str, value: Mapping[Labels, float] | float | None) -> Metric:
    family = GaugeMetricFamily(name, text)
    if isinstance(value, Mapping):
        for labels, number in sorted(value.items()):
            family.add_sample(name, dict(labels), number)
    elif value is not None:
        family.add_metric((), float(value))
    return family


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value=value)
