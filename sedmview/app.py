"""``sedmview CUBE [CUBE_B]`` or ``sedmview REDUXDIR``."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from sedmd.errors import SedmError
from sedmview import store
from sedmview.presenter import Files, Presenter

#: Name that is offered for the observer (the variable the old pipeline used).
REDUCER_VARIABLE = "SEDM_USER"


def main(argv: Sequence[str] | None = None) -> int:
    """Open the window; returns the exit status: 0 after a normal end, 2 when there is nothing to show."""
    given = _arguments(argv)
    logging.basicConfig(format="%(message)s", stream=sys.stdout)
    logging.getLogger("sedmview").setLevel(logging.INFO)
    try:
        entries, troubles = _entries(given.paths)
    except (SedmError, OSError) as error:
        print(f"sedmview: {error}", file=sys.stderr)
        return 2
    for trouble in troubles:
        print(f"sedmview: {trouble}", file=sys.stderr)
    if not entries:
        print(f"sedmview: no cube e3d_*.fits in {given.paths[0]}; give a cube, or a redux directory", file=sys.stderr)
        return 2
    try:
        from sedmview.qt import QtCore, QtWidgets
        from sedmview.window import Window
    except ImportError as error:
        print(f"sedmview: {error}; it needs PyQt5 or PySide6 and pyqtgraph: pip install 'sedmd[view]'", file=sys.stderr)
        return 2

    application = QtWidgets.QApplication.instance() or QtWidgets.QApplication(sys.argv[:1])
    sys.excepthook = _report
    presenter = Presenter(
        entries=entries,
        files=Files(load=store.load, save=store.save),
        view=None,  # type: ignore[arg-type]  # the window puts itself in
        reducer=given.reducer,
    )
    window = Window(presenter)
    window.show()
    first = next((n for n, entry in enumerate(entries) if entry.state == "waiting"), 0)
    QtCore.QTimer.singleShot(0, lambda: presenter.open(first))
    if len(given.paths) == 1 and given.paths[0].is_dir():
        # cubes appear while the night goes on
        poll = QtCore.QTimer(window)
        poll.setInterval(5000)
        poll.timeout.connect(lambda: _follow(presenter, given.paths[0]))
        poll.start()
    run = getattr(application, "exec", None) or application.exec_
    return int(run())


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="sedmview", description="Scale a cube, place the apertures, grade the spectrum, go on to the next."
    )
    parser.add_argument(
        "paths", nargs="+", type=Path, metavar="PATH", help="a cube, the cubes of A and B, or a redux directory"
    )
    parser.add_argument(
        "--reducer", default=os.environ.get(REDUCER_VARIABLE, ""), help=f"your name (default: ${REDUCER_VARIABLE})"
    )
    given = parser.parse_args(argv)
    if len(given.paths) > 2 or (len(given.paths) == 2 and any(path.is_dir() for path in given.paths)):
        parser.error("give one cube, the two cubes of A and B, or one directory")
    return given


def _entries(paths: Sequence[Path]) -> tuple[list[store.Entry], list[str]]:
    if paths[0].is_dir():
        return store.entries_of(paths[0])
    return [store.entry_of(paths)], []


def _follow(presenter: Presenter, directory: Path) -> None:
    """Show targets that have come since; quiet when nothing changed."""
    entries, _ = store.entries_of(directory)
    if entries != presenter.entries:
        presenter.refresh_entries(entries)


def _report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """A fault in a slot must not close the observer's window without a word (PyQt5 would abort)."""
    logging.getLogger("sedmview").error("unexpected fault", exc_info=(kind, error, trace))


if __name__ == "__main__":
    sys.exit(main())
