"""Print how long the web page of a whole night takes: for the first time, after one change, and for nothing.

    python tests/benchmarks/page.py [--targets 60] [--calibrations NIGHT_FOLDER] [--out DIR]

The night is in a ledger, its spectra have pictures of 1936 spaxels and finders of 800 x 800 pixels; --calibrations
takes traces, wavelengths and flat of a reduced night, so that their maps are drawn too.
Nothing is asserted but the limit, in the exit code.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from night.helpers import configure
from night.raw_night import EVENING, NIGHT, SHAPE, calibrations, raw
from night.tell_night import give_products
from night.test_reduce import reduce, write
from PIL import Image
from tell_samples import write_products

import sedmd.run.ingest
from sedmd import cli

LIMIT_S = 10.0
ROWS = 44


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; 0 if the first time takes no more than `LIMIT_S`."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--targets", type=int, default=60)
    options.add_argument("--calibrations", type=Path)
    options.add_argument("--out", type=Path, help="keep the site here")
    given = options.parse_args(argv)
    sedmd.run.ingest.ARRAY_SHAPE = SHAPE
    with tempfile.TemporaryDirectory() as scratch:
        settings = configure(Path(scratch))
        sky = [raw(EVENING + timedelta(minutes=8 * n), f"ZTF19aa{n:04d}") for n in range(given.targets)]
        write(settings, [*calibrations(), *sky])
        reduce(settings)
        folder = give_products(settings, rows=ROWS)
        for name in ("traces.fits", "wavelength.fits", "flat.fits") if given.calibrations else ():
            shutil.copy(given.calibrations / name, folder / name)
        finders = Path(scratch) / "finders"
        finders.mkdir()
        stars = np.random.default_rng(1).normal(120, 12, (800, 800)).clip(0, 255).astype(np.uint8)
        Image.fromarray(stars).save(finders / "any.png")
        for n in range(given.targets):
            shutil.copy(finders / "any.png", finders / f"finder_rc{NIGHT}_05_00_00_ACQ-ZTF19aa{n:04d}_obs1_NA.png")
        with (Path(scratch) / "sedmd.toml").open("a") as config:
            config.write(f'[web]\nfinders = "{finders}"\n')
        out = given.out or Path(scratch) / "web"
        words = ["publish", "--out", str(out), "--config", str(Path(scratch) / "sedmd.toml")]

        def publish(what: str) -> float:
            begun, spent = time.perf_counter(), time.process_time()
            cli.main(words)
            seconds = time.perf_counter() - begun
            print(f"{what:32} {seconds:6.2f} s, of a processor {time.process_time() - spent:.2f} s")
            return seconds

        first = publish(f"first time, {given.targets} targets")
        write_products(folder, "ZTF19aa0003_obs1", rows=ROWS, quality=2)
        publish("after one spectrum changed")
        publish("nothing changed")
        size = sum(path.stat().st_size for path in (out / NIGHT).iterdir())
        print(f"{'page':32} {(out / NIGHT / 'index.html').stat().st_size / 1e6:6.2f} MB, night {size / 1e6:.1f} MB")
    return int(first > LIMIT_S)


if __name__ == "__main__":
    sys.exit(main())
