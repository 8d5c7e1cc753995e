"""The process of the service: its lock, its claim, its ledger and its workers, and the signals that it heeds."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import FrameType

from sedmd.core.config import Settings
from sedmd.core.errors import NotNow
from sedmd.daemon.messages import Message, Reload, Stop
from sedmd.daemon.service import Service
from sedmd.host.claim import claimed
from sedmd.host.lock import single_instance
from sedmd.host.sharing import let_group_write
from sedmd.ledger.journal import Journal
from sedmd.ledger.ledger import Ledger
from sedmd.run.event_log import NOTICE, EventLog
from sedmd.run.readers import Readers
from sedmd.workers.engine_choice import engine_for

#: Longest wait for another process that writes the ledger, seconds: the loop has its other work.
LEDGER_S = 0.5


def serve(
    settings: Settings,
    *,
    clock: Callable[[], datetime],
    config: Path | None = None,
    verbose: bool = False,
    take_over: bool = False,
) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code.

    Parameters
    ----------
    config : Path or None
        The file that SIGHUP reads again.
    take_over : bool
        Another host that worked on this redux root is gone for good.

    Raises
    ------
    NotNow
        If the raw root does not exist at the start, or another service works on this redux root.
    TakenOver
        If another host took over meanwhile.
    """
    paths = settings.paths
    if paths.group:
        let_group_write()
    if not paths.raw_root.is_dir():
        msg = f"raw_root {paths.raw_root} does not exist; expected a directory with nights YYYYMMDD. Is it mounted?"
        raise NotNow(msg)
    try:
        paths.redux_root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"redux_root {paths.redux_root} cannot be created ({error.strerror}); expected a writable directory"
        raise NotNow(msg) from error
    report = EventLog(
        clock=clock,
        redux_root=paths.redux_root,
        stream=sys.stderr,
        verbose=verbose,
        as_json=settings.log.format == "json",
    )
    with (
        single_instance(paths.state, mode=int(paths.state_mode, 8)),
        claimed(paths.redux_root, paths.state, now=clock(), take_over=take_over) as claim,
        Ledger.open(
            paths.state / "ledger.sqlite", clock=clock, journal=Journal(paths.redux_root), check=True, wait_s=LEDGER_S
        ) as ledger,
        engine_for(settings.jobs, tell=lambda text: report.event("", "cluster", "", text, level=NOTICE)) as engine,
    ):
        service = Service(
            settings=settings,
            ledger=ledger,
            engine=engine,
            clock=clock,
            report=report,
            config=config,
            claim=claim,
            readers=Readers(preload=("sedmd.run.ingest",)),
        )
        # SimpleQueue.put may be interrupted by itself; nothing else is safe in a signal handler
        for number, message in ((signal.SIGTERM, Stop()), (signal.SIGINT, Stop()), (signal.SIGHUP, Reload())):
            signal.signal(number, _sender(service, message))
        return service.run()


def _sender(service: Service, message: Message) -> Callable[[int, FrameType | None], None]:
    def send(number: int, frame: FrameType | None) -> None:
        service.inbox.put(message)

    return send
