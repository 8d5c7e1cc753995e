"""Hundreds of small nights through `reprocess`, on one machine and on a Dask cluster whose workers are killed.

    python tests/benchmarks/many.py [NIGHTS] [inline] [local] [dask] [planning]

Nights of nine frames of 64 x 64 pixels and steps that do nothing but tell what went into them: the whole way of a
night without its arithmetic. Every third night lacks lamps. Printed are jobs and nights an hour, the peak of the memory
of the one process that plans, and whether all ways gave the same bytes; `planning` is its processor time for a job.
"""

from __future__ import annotations

import os
import random
import resource
import signal
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

NIGHTS = 200
WORKERS = 2
KILL_EVERY_S = 60.0


# each process of a job imports this file: what is heavy is imported by who needs it


def told(name: str, count: int, begun: float, jobs: int) -> str:
    seconds = time.monotonic() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    rate = f"{3600 * count / seconds:.0f} nights an hour"
    return f"{name:8} {count} nights, {jobs} jobs in {seconds:.0f} s: {rate}, peak {peak:.0f} MB"


def killing(client, stop: threading.Event) -> None:
    """Kill a worker now and then; its nanny starts another."""
    chance = random.Random(1)
    while not stop.wait(KILL_EVERY_S):
        with suppress(Exception):
            pid = chance.choice(list(client.run(os.getpid).values()))
            os.kill(pid, signal.SIGKILL)
            print(f"         killed worker {pid}", flush=True)


def by_dask(settings):
    from distributed import Client, LocalCluster
    from night.test_reprocess import MODULE, run

    from sedmd.workers.cluster import DaskEngine

    stop = threading.Event()
    with (
        LocalCluster(n_workers=WORKERS, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster,
        Client(cluster) as killer,
    ):
        threading.Thread(target=killing, args=(killer, stop), daemon=True).start()
        try:
            return run(settings, DaskEngine(Client(cluster), MODULE))
        finally:
            stop.set()


def inline(settings):
    from night.test_reprocess import MODULE, run

    from sedmd.workers.engines import InlineEngine

    return run(settings, InlineEngine(MODULE))


def local(settings):
    from night.test_reprocess import MODULE, run

    from sedmd.workers.engines import ProcessEngine

    return run(settings, ProcessEngine(MODULE, WORKERS))


WAYS = {"inline": inline, "local": local, "dask": by_dask}


def planning(folder: Path) -> None:
    """Processor time of the whole coordinator for a job, less the steps' own."""
    from night.test_reprocess import years

    for count in (10, 100, 1000):
        settings = years(folder / str(count), list(range(count)))
        begun = time.process_time()
        jobs = inline(settings).jobs
        print(f"planning {count:5} nights: {1e3 * (time.process_time() - begun) / jobs:.1f} ms a job", flush=True)


def main() -> None:
    from night.helpers import products
    from night.raw_night import SHAPE
    from night.test_reprocess import years

    import sedmd.run.ingest

    sedmd.run.ingest.ARRAY_SHAPE = SHAPE
    count = int(next((word for word in sys.argv[1:] if word.isdigit()), NIGHTS))
    ways = [word for word in sys.argv[1:] if word in WAYS] or ([] if "planning" in sys.argv else list(WAYS))
    bytes_of = {}
    with tempfile.TemporaryDirectory(prefix="sedmd-many-") as temporary:
        for name in ways:
            without_lamps = tuple(range(2, count, 3))
            settings = years(Path(temporary, name), list(range(count)), without_lamps=without_lamps)
            begun = time.monotonic()
            summary = WAYS[name](settings)
            print(told(name, count, begun, summary.jobs), f"failed: {len(summary.failed)}", flush=True)
            bytes_of[name] = products(settings)
        if len(bytes_of) > 1:
            first, *others = bytes_of.values()
            same = "the same" if all(other == first for other in others) else "OTHER"
            print(f"{same} bytes in {len(first)} products by {', '.join(bytes_of)}")
        if "planning" in sys.argv:
            planning(Path(temporary))


if __name__ == "__main__":
    main()
