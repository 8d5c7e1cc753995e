"""Work away from the window: one thread for each lane, results handed back to the window's own thread."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sedmview.qt import QtCore

#: Lanes whose work must be finished before the program ends.
MUST_END = ("save", "notes")


class Lanes(QtCore.QObject):
    """The presenter's `BackgroundWork`: what goes into one lane is done in order, lanes go side by side."""

    _ended = QtCore.Signal(object, object)

    def __init__(self, parent: QtCore.QObject | None = None) -> None:
        super().__init__(parent)
        self._lanes: dict[str, ThreadPoolExecutor] = {}
        self._open = True
        self.pending = 0
        self._ended.connect(self._hand_back, QtCore.Qt.ConnectionType.QueuedConnection)

    def submit(
        self, lane: str, work: Callable[[], Any], done: Callable[[Any], None], failed: Callable[[Exception], None]
    ) -> None:
        """Do `work` in its lane, then call `done` with its result, or `failed`, in the window's thread."""
        if not self._open:
            return
        if lane not in self._lanes:
            self._lanes[lane] = ThreadPoolExecutor(1, thread_name_prefix=f"sedmview-{lane}")
        self.pending += 1

        def run() -> None:
            try:
                result = work()
            except Exception as error:
                self._post(failed, error)
            else:
                self._post(done, result)

        self._lanes[lane].submit(run)

    def close(self) -> None:
        """Finish what must be finished, drop the rest; nothing is handed back any more."""
        self._open = False
        for name, lane in self._lanes.items():
            lane.shutdown(wait=name in MUST_END, cancel_futures=name not in MUST_END)

    def _post(self, call: Callable[[Any], None], value: Any) -> None:
        if self._open:
            self._ended.emit(call, value)

    def _hand_back(self, call: Callable[[Any], None], value: Any) -> None:
        self.pending -= 1
        if self._open:
            call(value)
