"""A Dask cluster whose workers are killed, hung, late and of another version: a job costs nobody but itself."""

import os
import signal
import time
import warnings
from contextlib import contextmanager
from pathlib import Path

import pytest

from sedmd import __version__
from sedmd.core.errors import ConfigError, NotNow
from sedmd.core.job import Job
from sedmd.workers import station
from sedmd.workers.cluster import DaskEngine

MODULE = "unit.steps_that_misbehave"
PATIENCE_S = 120

pytestmark = pytest.mark.filterwarnings("ignore")  # the cluster's own: sockets of workers that we kill


def job(step: str, folder: Path, label: str = "") -> Job:
    options = {"begun": str(folder / "begun"), "go": str(folder / "go")}
    outputs = {"out": folder / f"{label or step}.fits"}
    return Job(step=step, night="20190612", label=label or step, inputs={}, outputs=outputs, options=options)


def until(condition) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture(scope="module")
def local():
    """One worker with a nanny and two threads: a real process, reached over the loopback."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import dask
        from distributed import LocalCluster

        quiet = {"distributed.logging.distributed": "critical", "distributed.worker.memory.terminate": False}
        with (
            dask.config.set(quiet),
            LocalCluster(
                n_workers=1,
                threads_per_worker=2,
                processes=True,
                dashboard_address=None,
                silence_logs=50,
                host="127.0.0.1",
            ) as cluster,
        ):
            yield cluster


@contextmanager
def engine_on(local, **options):
    from distributed import Client

    said: list[str] = []
    with DaskEngine(Client(local), MODULE, look_s=0.05, tell=said.append, wait_s=PATIENCE_S, **options) as engine:
        engine.said = said
        yield engine


@pytest.fixture
def engine(local):
    with engine_on(local) as engine:
        engine.await_worker()
        yield engine


@pytest.mark.parametrize(
    "step, timeout_s, state, reason",
    [
        ("write", 30, "done", ""),
        ("fault", 30, "quarantined", "the frame is bad"),
        ("bug", 30, "failed", "ZeroDivisionError"),
        ("crash", 30, "transient", "signal SIGSEGV"),
        ("hang", 0.2, "transient", "longer than 0.2 s"),
        ("greedy", 30, "transient", "MemoryError"),
    ],
)
def test_limits_and_ends_are_those_of_one_machine(engine, tmp_path, step, timeout_s, state, reason):
    pid = engine._client.run(os.getpid)
    outcome = engine.submit(job(step, tmp_path), timeout_s=timeout_s).result(PATIENCE_S)
    assert (outcome.state, reason in outcome.reason) == (state, True), outcome.reason
    assert engine._client.run(os.getpid) == pid, "the worker has another process: a job took it along"


def test_a_job_that_kills_its_worker_is_done_once_and_the_next_goes_well(engine, tmp_path):
    outcome = engine.submit(job("kill_station", tmp_path), timeout_s=30).result(PATIENCE_S)
    assert outcome.state == "transient"
    assert "worker" in outcome.reason
    engine.await_worker()  # its nanny starts another
    assert engine.submit(job("write", tmp_path), timeout_s=30).result(PATIENCE_S).state == "done"
    assert len((tmp_path / "begun").read_text().split()) == 1


def test_a_job_meant_for_a_dead_worker_is_not_done_by_another_in_its_place(tmp_path):
    assert station.work("me", "another token", MODULE, 0, job("write", tmp_path), 30) is None
    assert not (tmp_path / "write.fits").exists()


def test_a_replaced_worker_at_the_same_address_loses_the_job_and_greets_again(engine, tmp_path):
    engine._client.run(setattr, station, "TOKEN", "another process")
    outcome = engine.submit(job("write", tmp_path), timeout_s=30).result(PATIENCE_S)
    assert outcome.state == "transient"
    assert "was replaced" in outcome.reason
    engine.await_worker()
    assert engine.submit(job("write", tmp_path), timeout_s=30).result(PATIENCE_S).state == "done"


def test_a_hung_worker_holds_nobody_up_and_is_used_again_when_it_answers(local, tmp_path):
    with engine_on(local, late_s=0.3) as engine:
        engine.await_worker()
        (pid,) = engine._client.run(os.getpid).values()
        os.kill(pid, signal.SIGSTOP)
        try:
            outcome = engine.submit(job("write", tmp_path), timeout_s=0.1).result(PATIENCE_S)
            assert outcome.state == "transient"
            assert "did not answer within 0.4 s" in outcome.reason
            assert engine.workers == 0
        finally:
            os.kill(pid, signal.SIGCONT)
        engine.await_worker()
        assert engine.workers == 2


def test_workers_may_come_late_and_go_early(local, tmp_path):
    with engine_on(local) as engine:
        engine.await_worker()
        assert engine.workers == 2
        jobs = [engine.submit(job("slow", tmp_path, f"number {k}"), timeout_s=30) for k in range(4)]
        begun = tmp_path / "begun"
        until(lambda: begun.exists() and len(begun.read_text().split()) == 2)
        local.scale(2)
        until(lambda: engine.workers == 4)
        until(lambda: len(begun.read_text().split()) == 4)  # who waited has begun on the new one
        (tmp_path / "go").touch()
        assert [one.result(PATIENCE_S).state for one in jobs] == ["done"] * 4
        local.scale(1)
        until(lambda: engine.workers == 2)
        assert sum("works" in text for text in engine.said) >= 2
        assert sum("gone" in text for text in engine.said) >= 1


def test_without_workers_a_job_waits_and_who_asks_is_told_after_a_while(local, tmp_path):
    local.scale(0)
    try:
        with engine_on(local) as engine:
            until(lambda: not engine._client.nthreads())
            engine._wait_s = 0.1
            with pytest.raises(NotNow, match="no worker of the Dask cluster"):
                engine.await_worker()
            waiting = engine.submit(job("write", tmp_path), timeout_s=30)
            assert not waiting.done()
            local.scale(1)
            assert waiting.result(PATIENCE_S).state == "done"
    finally:
        local.scale(1)


def test_a_scheduler_that_is_silent_for_a_moment_costs_nothing(engine, tmp_path, monkeypatch):
    answers = engine._client.nthreads
    silent = []

    def nthreads(**options):
        if len(silent) < 3:
            silent.append(1)
            raise OSError("Timed out after 10 s")
        return answers(**options)

    running = engine.submit(job("slow", tmp_path), timeout_s=PATIENCE_S)
    monkeypatch.setattr(engine._client, "nthreads", nthreads)
    until(lambda: len(silent) == 3)
    (tmp_path / "go").touch()
    assert running.result(PATIENCE_S).state == "done"
    assert engine.workers == 2


def test_a_worker_of_another_version_is_given_nothing(local, tmp_path):
    from distributed import Client

    with Client(local) as client:
        client.wait_for_workers(1)
        client.run(setattr, station, "__version__", "9.9")
        try:
            with engine_on(local) as engine:
                with pytest.raises(ConfigError, match=rf"9\.9\); expected workers with sedmd {__version__}"):
                    engine.await_worker()
                waiting = engine.submit(job("write", tmp_path), timeout_s=30)
                local.scale(2)  # a good one beside it
                assert waiting.result(PATIENCE_S).state == "done"
                assert engine.workers == 2
        finally:
            client.run(setattr, station, "__version__", __version__)
            local.scale(1)


def test_leaving_kills_what_runs_and_leaves_the_cluster_to_others(local, tmp_path):
    with engine_on(local) as engine:
        engine.await_worker()
        left = engine.submit(job("slow", tmp_path), timeout_s=PATIENCE_S)
        begun = tmp_path / "begun"
        until(lambda: begun.exists() and begun.read_text().endswith("\n"))
        pid = int(begun.read_text())
    assert left.result(0).state == "transient"
    until(lambda: not Path(f"/proc/{pid}").exists())
    with engine_on(local) as engine:
        engine.await_worker()
        assert engine.submit(job("write", tmp_path), timeout_s=30).result(PATIENCE_S).state == "done"
