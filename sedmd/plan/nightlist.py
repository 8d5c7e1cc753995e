"""Which nights are meant: names, ranges, files that list them, or all that have raw frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from sedmd.core.errors import ConfigError
from sedmd.core.nights import is_night

#: The word for every night of the raw root.
ALL = "all"


def nights_meant(words: Iterable[str], raw_root: Path) -> list[str]:
    """The nights that `words` mean and of which there is a raw directory, the oldest first.

    Parameters
    ----------
    words : iterable of str
        ``YYYYMMDD``; ``YYYYMMDD..YYYYMMDD``, both ends included; ``all``; or the name of a file with such words, where
        ``#`` begins a comment.
    raw_root : Path
        Its directories ``YYYYMMDD`` are the nights that there are. The afternoon before the first night may lie in the
        directory of the day before, which need not be named.

    Raises
    ------
    ConfigError
        If a word is none of these, or a single night has no raw directory.
    """
    there = sorted(path.name for path in raw_root.iterdir() if is_night(path.name)) if raw_root.is_dir() else []
    found: set[str] = set()
    for word in _words(words):
        first, dots, last = word.partition("..")
        if word == ALL:
            found.update(there)
        elif dots and is_night(first) and is_night(last) and first <= last:
            found.update(night for night in there if first <= night <= last)
        elif is_night(word):
            if word not in there:
                msg = f"{word}: no directory {raw_root / word}; sedmd reprocess all --list shows the nights"
                raise ConfigError(msg)
            found.add(word)
        else:
            msg = f"{word!r} is not a night; expected YYYYMMDD, YYYYMMDD..YYYYMMDD, {ALL!r}, or a file that lists them"
            raise ConfigError(msg)
    return sorted(found)


def _words(words: Iterable[str], *, deep: bool = True) -> Iterator[str]:
    for word in words:
        if deep and not is_night(word) and word != ALL and Path(word).is_file():
            lines = Path(word).read_text(encoding="utf-8").splitlines()
            yield from _words((part for line in lines for part in line.partition("#")[0].split()), deep=False)
        else:
            yield word
