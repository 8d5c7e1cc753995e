"""The pipeline's own steps; each job that is done is noted down, so that it can be done again alone.

The table of steps of a night that `benchmarks.night` prepares; where the notes go is told by ``SEDMD_BENCH_JOBS``.
"""

from __future__ import annotations

import os
import pickle
import secrets
from collections.abc import Callable
from functools import partial
from pathlib import Path

from sedmd import steps
from sedmd.core.job import Job, Result

STEP_VERSIONS = steps.STEP_VERSIONS


def _noted(step: Callable[[Job], Result], job: Job) -> Result:
    result = step(job)
    note = Path(os.environ["SEDMD_BENCH_JOBS"]) / f"{job.step}-{secrets.token_hex(6)}.pickle"
    note.write_bytes(pickle.dumps(job))
    return result


STEPS = {name: partial(_noted, step) for name, step in steps.STEPS.items()}
