"""What the service's threads and signals tell its loop."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from sedmd.core.job import Job, Outcome


@dataclass(frozen=True, slots=True)
class Scan:
    """Look at everything."""


@dataclass(frozen=True, slots=True)
class Hint:
    """Something happened to this path."""

    path: Path


@dataclass(frozen=True, slots=True)
class Wake:
    """A time has come at which a plan changes by itself."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """Check that the products are still there, and look at deferred files again."""


@dataclass(frozen=True, slots=True)
class Check:
    """Go on with the checksums of a night's products, whose time stamps were changed."""

    night: str


@dataclass(frozen=True, slots=True, eq=False)
class Ended:
    """A job ended; each is its own, never merged with another."""

    key: str
    job: Job
    future: Future[Outcome]


@dataclass(frozen=True, slots=True)
class Asked:
    """An operator left a request; `user` is who rang for it, as the kernel tells."""

    number: int = 0
    user: int = -1


@dataclass(frozen=True, slots=True)
class Reload:
    """Read the configuration again."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something in another thread went wrong."""

    text: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Finish what runs, then leave."""


Message = Scan | Hint | Wake | Sweep | Check | Ended | Asked | Reload | Trouble | Stop
