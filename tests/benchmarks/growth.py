"""How what is done grows with the number of nights that are reduced at once: the planner's and the ledger's share."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.clockwork import clocked
from benchmarks.figures import Figure, figure
from faults.daemon import configure
from night.raw_night import SHAPE, calibrations, nights_of, on_sky

import sedmd.run.ingest
from sedmd.ledger.ledger import Ledger
from sedmd.run.event_log import EventLog
from sedmd.run.runner import reduce_nights
from sedmd.workers.engines import InlineEngine

LATER = datetime(2030, 1, 1, tzinfo=UTC)


def nights(counts: Sequence[int], repeats: int) -> Iterator[Figure]:
    """Milliseconds a job of `sedmd reduce` where the steps themselves do next to nothing, by the number of nights."""
    sedmd.run.ingest.ARRAY_SHAPE = SHAPE
    for count in counts:
        taken = [_once(count) for _ in range(repeats)]
        yield figure("growth", f"with nights: a job of empty steps, {count} nights at once", taken, unit="ms")


def _once(count: int) -> float:
    with tempfile.TemporaryDirectory(prefix="sedmd-bench-") as name:
        settings = configure(Path(name))
        for number in range(count):
            for frame in nights_of(*calibrations(), *on_sky("x"), days=number):
                frame.write(settings.paths.raw_root)
        jobs = 0

        def progress(done: int, total: int, label: str) -> None:
            nonlocal jobs
            jobs += not label.startswith("reading")

        report = EventLog(clock=lambda: LATER, redux_root=settings.paths.redux_root, stream=io.StringIO())
        with Ledger.open(settings.paths.state / "ledger.sqlite", clock=lambda: LATER) as ledger:
            spent = clocked(
                lambda: reduce_nights(
                    [settings.paths.raw_root], settings=settings, ledger=ledger,
                    engine=InlineEngine(settings.jobs.steps_module), clock=lambda: LATER, report=report,
                    progress=progress,
                )
            )  # fmt: skip
        return 1e3 * spent.wall_s / max(jobs, 1)
