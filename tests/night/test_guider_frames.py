"""A whole least night with acquisition and guider frames: of which nothing is used, it has the bytes of one without."""

import hashlib

import pytest

from sedmd import cli

from .helpers import is_record


def reduced(simulated, redux, config):
    """The products of the night but for those of the guider, by name: SHA-256; and the names of the guider's."""
    command = ["reduce", str(simulated / "raw"), "--redux", str(redux), "--config", str(config)]
    assert cli.main(command) in (0, 1)
    files = [path for path in redux.glob("[12]*/*") if path.is_file() and not is_record(path)]
    made = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    return {name: sha for name, sha in made.items() if not name.startswith("guide_")}, {
        name for name in made if name.startswith("guide_")
    }


@pytest.mark.slow(seconds=150)
def test_a_night_with_unused_guider_frames_has_the_bytes_of_one_without(tmp_path):
    simulated = tmp_path / "simulated"
    assert cli.main(["simulate", str(simulated), "--least", "--profile", "2021", "--rc", "--workers", "2"]) == 0
    (stars,) = simulated.rglob("gaia_*.csv")
    assert cli.main(["stars", "import", str(stars), "--into", str(tmp_path / "stars")]) == 0
    config = tmp_path / "sedmd.toml"
    table = f'[paths]\nraw_root = "raw"\nredux_root = "redux"\n[guide]\nstars = "{tmp_path / "stars"}"\n'
    config.write_text(f"{table}use = []\n")
    unused, guides = reduced(simulated, tmp_path / "unused", config)
    assert len(guides) == 2 and any(name.startswith("sp_") for name in unused)
    for path in simulated.glob("raw/*/rc*"):
        path.unlink()
    config.write_text(table)
    without, guides = reduced(simulated, tmp_path / "without", config)
    assert not guides and without == unused
