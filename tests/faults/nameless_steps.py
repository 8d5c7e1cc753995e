"""The quick steps once more, for frames that change their names: a product tells only the content of what went in."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

from night import fake_steps

from sedmd.core.job import Job, Result
from sedmd.host.files import write_bytes_atomic


def _digest(path: Path) -> str:
    content = path.read_bytes()
    return hashlib.sha256(gzip.decompress(content) if path.suffix == ".gz" else content).hexdigest()[:16]


def _make(job: Job) -> Result:
    fake_steps.behave(job)
    lines = [f"{role} {digest}" for role in sorted(job.inputs) for digest in sorted(map(_digest, job.inputs[role]))]
    mends = job.options.get("mends", {})
    lines += sorted(f"corrected {cards}" for cards in mends.values())
    for role, path in job.outputs.items():
        write_bytes_atomic("\n".join([role, path.name, *lines, ""]).encode(), path)
    return Result(figures={"inputs": len(lines)})


STEPS = dict.fromkeys(fake_steps.NAMES, _make)
STEP_VERSIONS = fake_steps.STEP_VERSIONS
