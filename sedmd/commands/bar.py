"""A progress bar for those who watch a terminal."""

from __future__ import annotations

import shutil


class Bar:
    """tqdm on a terminal, silence elsewhere; the total may grow while frames are read."""

    def __init__(self, *, shown: bool) -> None:
        from tqdm import tqdm

        size = shutil.get_terminal_size()
        self._bar = tqdm(
            disable=not shown,
            ncols=min(size.columns, 110),
            nrows=size.lines,  # some terminals claim zero lines, and tqdm then draws nothing
            bar_format="{percentage:3.0f}% |{bar}| {elapsed} {desc}",
        )

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def show(self, done: int, total: int, label: str) -> None:
        """So many of so many are done; `label` names the last."""
        self._bar.total, self._bar.n = total, done
        self._bar.set_description_str(label[:48])
