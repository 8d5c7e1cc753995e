"""The redux root for one process alone: lock, claim, ledger and workers of the commands that change something."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sedmd.commands.common import utc_now
from sedmd.core.config import Settings
from sedmd.core.errors import NotNow

if TYPE_CHECKING:
    from sedmd.ledger.ledger import Ledger
    from sedmd.workers.engines import Engine


@contextmanager
def sole_ledger(settings: Settings, *, check: bool = False) -> Iterator[Ledger]:
    """The ledger of a redux root on which this process works alone, with its journal.

    Parameters
    ----------
    check : bool
        Look through the whole file for damage first.

    Raises
    ------
    NotNow
        If another process works on the redux root.
    """
    from sedmd.host.claim import claimed
    from sedmd.host.lock import single_instance
    from sedmd.ledger.journal import Journal
    from sedmd.ledger.ledger import Ledger

    paths = settings.paths
    with (
        single_instance(paths.state),
        claimed(paths.redux_root, paths.state, now=utc_now()),
        Ledger.open(
            paths.state / "ledger.sqlite", clock=utc_now, journal=Journal(paths.redux_root), check=check
        ) as ledger,
    ):
        yield ledger


@contextmanager
def at_work(settings: Settings) -> Iterator[tuple[Ledger, Engine]]:
    """The redux root for this process alone: its ledger, and workers.

    Raises
    ------
    NotNow
        If another process works on the redux root.
    """
    _share(settings)
    with sole_ledger(settings, check=True) as ledger, _workers(settings) as engine:
        yield ledger, engine


@contextmanager
def at_work_on_nights(settings: Settings, nights: Sequence[str], *, alone: bool) -> Iterator[tuple[Ledger, Engine]]:
    """A ledger and workers for many nights.

    Parameters
    ----------
    nights : sequence of str
        UT nights, YYYYMMDD.
    alone : bool
        With a ledger for these nights only, made from their journals, instead of the one of the redux root.

    Raises
    ------
    NotNow
        If another process works with the ledger of the redux root.
    """
    from sedmd.host.lock import holder, single_instance
    from sedmd.ledger.journal import Journal
    from sedmd.ledger.ledger import Ledger
    from sedmd.reprocess.reprocess import take_up_nights

    paths = settings.paths
    _share(settings)
    with ExitStack() as stack:
        state = paths.state
        if alone:
            if holder(paths.state) is not None:
                msg = f"a sedmd works on {paths.redux_root} with the ledger in {paths.state}; stop it first"
                raise NotNow(msg)
            state = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sedmd-")))
        stack.enter_context(single_instance(state))
        # without its journal an empty ledger is no lost one: what there is to know is taken up right away
        ledger = Ledger.open(state / "ledger.sqlite", clock=utc_now, check=not alone)
        stack.enter_context(ledger)
        if taken := take_up_nights(ledger, paths.redux_root, nights if alone else None):
            print(f"{len(taken)} nights taken up from their journals", file=sys.stderr)
        ledger.journal = Journal(paths.redux_root)
        yield ledger, stack.enter_context(_workers(settings))


def _share(settings: Settings) -> None:
    from sedmd.host.sharing import let_group_write

    if settings.paths.group:
        let_group_write()


@contextmanager
def _workers(settings: Settings) -> Iterator[Engine]:
    from sedmd.workers.engine_choice import engine_for

    with engine_for(settings.jobs, tell=lambda text: print(text, file=sys.stderr)) as engine:
        yield engine
