"""The morning: what came in against what came out, and the night's report beside its products."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from pathlib import Path

from sedmd.core.config import Settings
from sedmd.core.nights import neighbour
from sedmd.host.files import DiskFull, write_bytes_atomic
from sedmd.host.sharing import not_ours
from sedmd.ledger.ledger import Ledger
from sedmd.plan.plan import Plan
from sedmd.run.ingest import raw_files
from sedmd.run.reconcile import Reconciliation, reconcile
from sedmd.run.status import snapshot
from sedmd.run.status_text import render

REPORT = "night.txt"


def outcome_of(plan: Plan, ledger: Ledger) -> str:
    """By which the end of a night is recognised: the same jobs in the same states, none of them done again since."""
    last = max((job.ended or "" for job in ledger.jobs.of_night(plan.night)), default="")
    return f"{plan.census()}; {last}"


def account(settings: Settings, ledger: Ledger, plan: Plan) -> Reconciliation:
    """The reconciliation of a night with the disks as they are now."""
    folders = [settings.paths.raw_root / name for name in (neighbour(plan.night, -1), plan.night)]
    on_disk: list[Path] = []
    with suppress(OSError):
        on_disk = raw_files([folder for folder in folders if folder.is_dir()], settings.watch.pattern)
    rows = ledger.frames.of_night(plan.night)
    # of the directory of the day before only the afternoon belongs to this night; the rest has its own account
    known = {path for folder in folders for path in ledger.frames.known_files(folder)}
    sizes = {path: size for path, (size, *_) in ledger.products.files(plan.night).items()}
    found = {}
    for path in sizes:
        with suppress(OSError):
            found[path] = path.stat().st_size
    return reconcile(plan, rows, on_disk=on_disk, known=known, product_sizes=sizes, found_sizes=found)


def write_report(settings: Settings, ledger: Ledger, plan: Plan, *, now: datetime) -> str:
    """Write the night's report; what stands in the way, or empty: a full disk costs the report, not the night."""
    lines = account(settings, ledger, plan).lines()
    state = snapshot(settings, night=plan.night, now=now, ledger=ledger)
    text = "\n".join([render(state), "", "raw files and products", *(f"  {line}" for line in lines), ""])
    path = settings.paths.redux_root / plan.night / REPORT
    try:
        write_bytes_atomic(text.encode(), path)
    except (OSError, DiskFull) as error:
        return f"{REPORT} was not written: {not_ours(path) or error}"
    return ""
