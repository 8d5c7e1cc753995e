"""Every class of attack and accident against the real code, as a table: how many inputs, held or not, what was told.

    python tests/benchmarks/attacks.py               every input
    python tests/benchmarks/attacks.py --every 10    each tenth
    python tests/benchmarks/attacks.py --only mail   the classes with this in their name

Held is an input that costs itself only: one sentence about it, or a good result; nothing outside its place is touched,
nobody is waited for longer than `LONGEST_S`, and no exception of the program's own comes of it. The exit code is 1 if
one is not held.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

#: What is asked of one input: what was told; an exception is an input that did not hold.
Try = Callable[[], str]
#: No input may keep anybody waiting for longer, seconds.
LONGEST_S = 10.0


@dataclass(frozen=True, slots=True)
class Attack:
    """A class of inputs.

    Attributes
    ----------
    name : str
        Group and kind: "frames: numbers".
    inputs : callable
        Given a folder of its own and the stack of what must be closed, each input by what is wrong with it.
    """

    name: str
    inputs: Callable[[Path, contextlib.ExitStack], Iterator[tuple[str, Try]]]


@dataclass(slots=True)
class Row:
    """What became of a class."""

    name: str
    inputs: int = 0
    told: Counter[str] = field(default_factory=Counter)
    amiss: list[str] = field(default_factory=list)
    seconds: float = 0.0


def all_attacks() -> list[Attack]:
    """Every class; the modules are loaded here, not before."""
    from benchmarks import attacks_on_files, attacks_on_state, attacks_on_the_wire

    return [*attacks_on_files.attacks(), *attacks_on_state.attacks(), *attacks_on_the_wire.attacks()]


def run(attacks: Sequence[Attack], *, every: int = 1, tell: Callable[[Row], None] = lambda row: None) -> list[Row]:
    """Run each `every`-th input of each class, the first one in any case."""
    rows = []
    for attack in attacks:
        row = Row(attack.name)
        begun = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="sedmd-attack-") as folder, contextlib.ExitStack() as stack:
            Path(folder).chmod(0o755)
            try:
                for what, one in itertools.islice(attack.inputs(Path(folder), stack), 0, None, every):
                    _judge(row, what, one)
                stack.close()
            except Exception as error:  # what must hold at the end, or could not even be set up
                row.amiss.append(f"at the end: {type(error).__name__}: {error}")
        row.seconds = time.monotonic() - begun
        rows.append(row)
        tell(row)
    return rows


def _judge(row: Row, what: str, one: Try) -> None:
    row.inputs += 1
    begun = time.monotonic()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            told = one()
    except Exception as error:
        row.amiss.append(f"{what}: {type(error).__name__}: {str(error)[:300]}")
        return
    if not told.isprintable() or len(told) > 5000:
        row.amiss.append(f"{what}: told in more than one line of text: {told[:200]!r}")
    elif time.monotonic() - begun > LONGEST_S:
        row.amiss.append(f"{what}: took {time.monotonic() - begun:.1f} s")
    else:
        row.told[told] += 1


def line(row: Row) -> str:
    """A class as a line of the table."""
    held = row.inputs - len(row.amiss)
    told = " ".join(row.told.most_common(1)[0][0].split()) if row.told else ""
    state = "held" if not row.amiss else f"{len(row.amiss)} NOT"
    return f"{row.name:44} {row.inputs:6} {held:6}  {state:7} {row.seconds:6.1f} s  {told[:100]}"


def closing(rows: Sequence[Row]) -> str:
    """The figure that is kept."""
    amiss = sum(len(row.amiss) for row in rows)
    inputs = sum(row.inputs for row in rows)
    state = "all held" if not amiss else f"{amiss} NOT held"
    return f"{len(rows)} classes of attack, {inputs} malformed inputs: {state}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run them, print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--every", type=int, default=1, help="run each so-manieth input of a class only")
    options.add_argument("--only", default="", help="classes with this in their name")
    given = options.parse_args(argv)
    out = sys.stdout
    print(f"{'class':44} {'inputs':>6} {'held':>6}  {'':7} {'':8}  what was told, most often", file=out)
    with contextlib.redirect_stderr(io.StringIO()):
        rows = run(
            [one for one in all_attacks() if given.only in one.name],
            every=given.every,
            tell=lambda row: print("\n  ! ".join([line(row), *row.amiss[:5]]), file=out, flush=True),
        )
    print(closing(rows), file=out)
    return int(any(row.amiss for row in rows) or not rows)


if __name__ == "__main__":
    sys.exit(main())
