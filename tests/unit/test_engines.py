"""Engines: every way in which a job can end comes back as a plain outcome, and costs that job only."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sedmd.core.job import Job
from sedmd.workers.engines import InlineEngine, ProcessEngine

MODULE = "unit.steps_that_misbehave"


def job(step: str, folder: Path) -> Job:
    return Job(step=step, night="20190612", label=step, inputs={}, outputs={"out": folder / f"{step}.fits"})


@pytest.fixture(scope="module")
def processes():
    with ProcessEngine(MODULE, workers=2) as engine:
        yield engine


@pytest.fixture(params=["inline", "process"])
def engine(request, processes):
    return processes if request.param == "process" else InlineEngine(MODULE)


@pytest.mark.parametrize(
    "step, state, reason",
    [
        ("write", "done", ""),
        ("fault", "quarantined", "the frame is bad"),
        ("gate", "quarantined", "rms 3.1 px"),
        ("observer", "awaiting observer", "two objects"),
        ("bug", "failed", "ZeroDivisionError"),
        ("disk", "transient", "No space left"),
        ("wrapped_disk", "transient", "do not fit"),
        ("forget", "failed", "did not write forget.fits"),
        ("nothing", "failed", "returned no Result"),
        ("unknown", "failed", "KeyError"),
    ],
)
def test_how_a_job_can_end(engine, tmp_path, step, state, reason):
    outcome = engine.submit(job(step, tmp_path), timeout_s=30).result()
    assert outcome.state == state
    assert reason in outcome.reason
    assert "\n" not in outcome.reason
    if state == "failed" and step == "bug":
        assert "1 / 0" in outcome.detail


def test_products_are_verified(engine, tmp_path):
    outcome = engine.submit(job("write", tmp_path), timeout_s=30).result()
    (product,) = outcome.products
    status = (tmp_path / "write.fits").stat()
    assert (product.size, product.mtime_ns, len(product.sha256)) == (status.st_size, status.st_mtime_ns, 64)
    assert outcome.warnings == ("mind the gap",)


def test_an_old_file_is_not_taken_for_a_new_product(engine, tmp_path):
    (tmp_path / "forget.fits").write_text("from yesterday")
    assert engine.submit(job("forget", tmp_path), timeout_s=30).result().state == "failed"


@pytest.mark.parametrize(
    "step, reason", [("crash", "signal SIGSEGV"), ("leave", "exit status 3"), ("hang", "longer than 0.2 s")]
)
def test_a_dying_worker_costs_only_its_job(processes, tmp_path, step, reason):
    doomed = processes.submit(job(step, tmp_path), timeout_s=0.2 if step == "hang" else 30)
    healthy = processes.submit(job("write", tmp_path), timeout_s=30)
    assert (doomed.result().state, healthy.result().state) == ("transient", "done")
    assert reason in doomed.result().reason


def test_each_job_has_a_process_and_group_of_its_own_and_one_thread(processes, tmp_path):
    outcome = processes.submit(job("write", tmp_path), timeout_s=30).result()
    pid = outcome.figures["pid"]
    assert pid != os.getpid()
    assert (tmp_path / "write.fits").read_text() == f"made by {pid} in group {pid} with 1"
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_job_leaves_the_libraries_out_of_its_search_for_garbage(processes, tmp_path):
    """Else it would visit, and so copy, all that it shares with the fork server."""
    assert processes.submit(job("write", tmp_path), timeout_s=30).result().figures["frozen"] > 10_000


def test_the_fork_server_starts_before_the_first_job():
    look = f"""
from pathlib import Path
from sedmd.workers.engines import ProcessEngine
with ProcessEngine({MODULE!r}, workers=1):
    children = Path("/proc/thread-self/children").read_text().split()
    for pid in children:
        while not (line := Path(f"/proc/{{pid}}/cmdline").read_text()):  # it is being started
            pass
        print(line)
"""
    path = os.pathsep.join(filter(None, [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run(
        [sys.executable, "-c", look], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path}, timeout=60
    )
    assert "multiprocessing.forkserver" in done.stdout and MODULE in done.stdout, done.stderr


def test_overhead_of_a_process_is_small(processes, tmp_path):
    processes.submit(job("write", tmp_path), timeout_s=30).result()
    begun = time.monotonic()
    for _ in range(5):
        processes.submit(job("write", tmp_path), timeout_s=30).result()
    # a bound for a busy machine; the figure itself is printed by the benchmarks
    assert (time.monotonic() - begun) / 5 < 3


def test_close_kills_what_runs(tmp_path):
    engine = ProcessEngine(MODULE, workers=1)
    running = engine.submit(job("hang", tmp_path), timeout_s=60)
    waiting = engine.submit(job("write", tmp_path), timeout_s=60)
    while not engine._alive:
        time.sleep(0.01)
    engine.close(kill=True)
    assert running.result().state == "transient"
    assert signal.SIGKILL.name in running.result().reason
    assert waiting.cancelled() or waiting.result().state == "transient"
