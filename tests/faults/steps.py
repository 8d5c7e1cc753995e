"""The quick steps with larger products, and with vices that the targets' names and files in the redux root ask for."""

from __future__ import annotations

import hashlib
import os
import sys
import time

from night import fake_steps

from sedmd.core.job import Job, Result
from sedmd.host.files import write_bytes_atomic

#: Bytes added to each product, the same for the same product.
PADDING = int(os.environ.get("FAKE_PADDING", "0"))
#: A step with this target misbehaves until a file of this name lies in the redux root.
CURE = "cured"


def _make(job: Job) -> Result:
    (folder,) = {path.parent for path in job.outputs.values()}
    if job.step == "cube" and not (folder.parent / CURE).exists():
        misbehave(job.label)
    result = fake_steps._make(job)
    if PADDING:
        for path in job.outputs.values():
            text = path.read_bytes()
            block = hashlib.sha256(text).digest()
            write_bytes_atomic(text + block * (PADDING // len(block)), path)
    return result


def misbehave(label: str) -> None:
    if "Hang" in label:
        time.sleep(3600)
    if "Glutton" in label:
        hoard = []
        while True:
            hoard.append(bytearray(os.urandom(1 << 20) * 16))
    if "Family" in label:
        for _ in range(3):
            if os.fork() == 0:
                if os.fork() == 0:
                    time.sleep(3600)
                time.sleep(3600)
        time.sleep(3600)
    if "Babble" in label:
        line = "nobody listens\n" * 1000
        while True:
            sys.stderr.write(line)
            time.sleep(0.005)  # megabytes a second: more would only measure the disk of the log


STEPS = dict.fromkeys(fake_steps.NAMES, _make)
STEP_VERSIONS = fake_steps.STEP_VERSIONS
