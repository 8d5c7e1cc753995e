"""What a command that root gave leaves behind as root's own: named, no cost to the rest, and well again after chown.

The service here is root without root's right to write everywhere; what is "root's" belongs to another user.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from night.helpers import TESTS, products
from night.raw_night import NIGHT, calibrations, on_sky

from sedmd.ledger.journal import NAME, read

from .audit import faults_of, install
from .daemon import configure, running, wait_for
from .nights import undisturbed
from .test_soak import later

FIRST = [*calibrations(), *on_sky("STD-Feige34", "x")]
NEXT = (datetime.strptime(NIGHT, "%Y%m%d") + timedelta(days=1)).strftime("%Y%m%d")
SECOND = [later(frame, 1) for frame in FIRST]
ANOTHER = 65534

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


def give(owner: int, *places: Path) -> None:
    for place in places:
        for path in [place, *place.rglob("*")] if place.is_dir() else [place]:
            os.chown(path, owner, owner)


def test_a_night_of_another_user_waits_and_the_rest_goes_on(tmp_path, tell):
    expected = undisturbed(tmp_path / "undisturbed", [*FIRST, *SECOND])
    settings = configure(tmp_path / "service", retry_after_s=[0.2])
    install(settings)
    mine, theirs = settings.paths.redux_root / NEXT, settings.paths.redux_root / NIGHT
    theirs.mkdir()
    (theirs / NAME).touch()
    (theirs / "sedmd.log").touch()
    give(ANOTHER, theirs)
    for frame in [*FIRST, *SECOND]:
        frame.write(settings.paths.raw_root)
    with running(settings, module="faults.humble") as daemon:
        wait_for(lambda: (mine / "night.txt").exists(), daemon)
        wait_for(lambda: daemon.said("Its lines are kept in memory") == 1, daemon)
        assert daemon.said(f"{theirs} belongs to nobody, and root may not write there; as root: chown -R root") == 1
        assert daemon.said(f"{theirs / NAME} belongs to nobody") == 1
        assert daemon.said(f"not written: {theirs / 'sedmd.log'} belongs to nobody") == 1
        assert daemon.said("retry") == daemon.said("failed") == 0
        assert not list(theirs.glob("*.fits"))
        give(0, theirs)
        wait_for(lambda: (theirs / "night.txt").exists(), daemon)
        wait_for(lambda: daemon.said("can be written again; nothing is missing") == 1, daemon)
        assert daemon.stop() == 0
        assert daemon.tracebacks() == []
    wrong = faults_of(settings)
    tell(f"{len(FIRST)} frames of a night that is another's wait, {len(SECOND)} go on; after chown {len(wrong)} faults")
    assert wrong == []
    assert products(settings) == expected
    # the journal lacks nothing of what was booked while it could not be written
    assert sum(entry["what"] == "frame" for entry in read(theirs / NAME)) == len(FIRST)


def command(settings, name: str) -> subprocess.CompletedProcess[str]:
    config = settings.paths.raw_root.parent / "sedmd.toml"
    return subprocess.run(
        [sys.executable, "-m", "faults.humble", name, "--config", str(config)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, (str(TESTS), os.environ.get("PYTHONPATH"))))},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("name", ["report", "publish"])
def test_a_report_or_page_of_another_user_is_named(tmp_path, name):
    web = tmp_path / "web"
    settings = configure(tmp_path)
    undisturbed(tmp_path, FIRST[-2:])
    with (tmp_path / "sedmd.toml").open("a") as file:
        file.write(f'[web]\nroot = "{web}"\n')
    place = web if name == "publish" else settings.paths.redux_root / NIGHT
    place.mkdir(exist_ok=True)
    give(ANOTHER, place)
    refused = command(settings, name)
    assert refused.returncode == 73
    assert "was not written: " in refused.stderr
    assert f"{place} belongs to nobody, and root may not write there; as root: chown -R root {place}" in refused.stderr
    give(0, place)
    assert command(settings, name).returncode == 0
    shutil.rmtree(place)
