"""One night on every engine: a process per job, the calling thread, a Dask cluster."""

import io
import warnings
from pathlib import Path

import pytest

import sedmd.run.ingest
from sedmd.core.config import Jobs
from sedmd.core.errors import ConfigError
from sedmd.ledger.ledger import Ledger
from sedmd.run.event_log import EventLog
from sedmd.run.runner import reduce_nights
from sedmd.workers.cluster import DaskEngine
from sedmd.workers.engine_choice import engine_for
from sedmd.workers.engines import InlineEngine, ProcessEngine

from .helpers import NOW, configure, products
from .raw_night import SHAPE, whole_night
from .test_reduce import write

MODULE = "night.fake_steps"


@pytest.fixture(autouse=True)
def small_detector(monkeypatch):
    monkeypatch.setattr(sedmd.run.ingest, "ARRAY_SHAPE", SHAPE)


@pytest.fixture
def cluster():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the cluster's own making
        from distributed import Client, LocalCluster

        with (
            LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None) as local,
            Client(local) as client,
        ):
            yield client


def reduce_with(folder: Path, engine) -> dict[str, str]:
    settings = configure(folder)
    write(settings, whole_night())
    report = EventLog(clock=lambda: NOW, redux_root=settings.paths.redux_root, stream=io.StringIO())
    with engine, Ledger.open(settings.paths.state / "ledger.sqlite", clock=lambda: NOW) as ledger:
        reduce_nights(
            [settings.paths.raw_root],
            settings=settings,
            ledger=ledger,
            engine=engine,
            clock=lambda: NOW,
            report=report,
        )
    return products(settings)


def test_every_engine_gives_the_same_bytes(tmp_path, cluster):
    inline = reduce_with(tmp_path / "inline", InlineEngine(MODULE))
    assert len(inline) > 40
    assert reduce_with(tmp_path / "processes", ProcessEngine(MODULE, 2)) == inline
    assert reduce_with(tmp_path / "dask", DaskEngine(cluster, MODULE, look_s=0.05)) == inline


def test_a_cluster_that_does_not_answer_is_told(monkeypatch):
    def nobody(*args, **options):
        raise OSError("Timed out trying to connect to tcp://127.0.0.1:1 after 30 s")

    monkeypatch.setattr("distributed.Client", nobody)
    with pytest.raises(ConfigError, match="does not answer"):
        engine_for(Jobs(engine="dask", dask_scheduler="tcp://127.0.0.1:1"))
