"""Nights into which observers with accounts of their own save."""

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import sedmd
from sedmd.core.config import from_table
from sedmd.doctor import Environment
from sedmd.doctor.saving import saving
from sedmd.host.files import write_bytes_atomic
from sedmd.host.sharing import is_shared, let_group_write, make_folder, open_to_group

GROUP, SERVICE, ALICE, BOB, STRANGER = 61100, 61001, 61002, 61003, 61004
NAME = "ZTF19abc"
FILES = (f"{NAME}.decision.json", f"{NAME}_SEDM.pdf", f"{NAME}_SEDM.txt", f"sp_{NAME}.fits")


@pytest.fixture(scope="module")
def story():
    """What happened; not below pytest's own folder, into which other users cannot go."""
    if os.geteuid() != 0:
        pytest.skip("only root may act as another user")
    folder = Path(tempfile.mkdtemp(prefix="sedmd-users-"))
    folder.chmod(0o755)
    path = os.pathsep.join([str(Path(sedmd.__file__).parents[1]), str(Path(__file__).parents[1])])
    try:
        done = subprocess.run(
            [sys.executable, "-m", "unit.second_user", str(folder)],
            env=os.environ | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        yield json.loads(done.stdout) | {"redux": str(folder / "redux")}
    finally:
        shutil.rmtree(folder)


@pytest.mark.slow(seconds=6)
def test_the_night_is_the_groups_and_the_services_records_are_not(story):
    night = story["night"]
    assert night["."] == f"{SERVICE} {GROUP} drwxrwsr-x"
    assert night["sedmd.log"] == f"{SERVICE} {GROUP} -rw-r--r--"
    state = story["state"]
    assert state["."].startswith(f"{SERVICE} {GROUP} drwxr-") and "w" not in state["."].split()[2][4:]
    assert all(mode.split()[2][5:9].count("w") == 0 for mode in state.values()), state


@pytest.mark.slow(seconds=6)
def test_an_observer_of_the_group_saves_and_the_service_takes_it_in(story):
    assert story["alice"] == ""
    after = story["after alice"]
    # although her umask closes everything that she makes
    assert [after[name] for name in FILES] == [f"{ALICE} {GROUP} -rw-rw----"] * 3 + [after[FILES[3]]]
    assert story["taken"] == [f"{NAME}: observer: 2 acceptable, by Alice"]
    assert story["as decided"] == [True] * 3
    assert story["former kept"] is True
    assert not [name for name in after if name.startswith(".sedmview")], "nothing is left behind"


@pytest.mark.slow(seconds=6)
def test_another_observer_redoes_it_and_the_former_version_is_kept(story):
    assert story["bob"] == ""
    after = story["after bob"]
    assert after["former"] == f"{BOB} {GROUP} drwxrwsr-x"
    assert {f"former/{NAME}.v1/{name}" for name in FILES} <= set(after)
    assert after[FILES[0]].startswith(f"{BOB} {GROUP}")
    assert story["taken again"] == [f"{NAME}: observer: 2 acceptable, by Bob"]
    assert story["put aside"] == f"superseded/{NAME}_SEDM.pdf"


@pytest.mark.slow(seconds=6)
def test_who_is_not_of_the_group_is_told_what_to_ask_for(story):
    assert story["stranger changed"] is False
    night = f"{story['redux']}/20190612"
    assert story["stranger"] == (
        f"you may not save into {night} (user {SERVICE}, group {GROUP}, rwxrwsr-x); "
        f"as root: usermod -aG {GROUP} user {STRANGER}; then log in again"
    )
    assert "set [paths] group" in story["alice in a night that is not shared"]


@pytest.mark.slow(seconds=6)
def test_the_doctor_tells_each_what_is_amiss(story):
    assert story["doctor before"].startswith("error") and "chmod g+s" in story["doctor before"]
    assert story["doctor of an empty root"].startswith("ok")
    alice, stranger = (story["doctor"][str(user)] for user in (ALICE, STRANGER))
    assert alice.startswith("ok") and stranger.startswith("warning") and "usermod -aG observers" in stranger
    alice, stranger = (story["doctor without the setting"][str(user)] for user in (ALICE, STRANGER))
    assert alice.startswith("ok: this user saves") and stranger.startswith(f"warning: user {STRANGER} cannot save into")
    shut = story["doctor of a night that is not shared"]
    assert shut.startswith("error") and "find" in shut and "chmod g+rwxs" in shut


@pytest.fixture
def umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("umask")
def test_what_is_made_in_a_shared_directory_is_open_to_the_group(tmp_path):
    plain, shared = tmp_path / "plain", tmp_path / "shared"
    for folder in (plain, shared):
        folder.mkdir()
    shared.chmod(0o2775)
    os.umask(0o077)
    for folder, of_folder, of_file in ((plain, 0o700, 0o600), (shared, 0o2770, 0o660)):
        make_folder(folder / "a" / "b")
        write_bytes_atomic(b"x", folder / "c" / "d")
        assert [mode(folder / name) for name in ("a", "a/b", "c")] == [of_folder] * 3
        assert mode(folder / "c" / "d") == of_file
    assert is_shared(shared / "a" / "b") and not is_shared(plain / "a")


@pytest.mark.usefixtures("umask")
def test_the_service_opens_directories_to_the_group_and_no_file(tmp_path):
    let_group_write()
    make_folder(tmp_path / "night")
    write_bytes_atomic(b"x", tmp_path / "settings.toml")
    assert mode(tmp_path / "night") == 0o775 and mode(tmp_path / "settings.toml") == 0o644


@pytest.mark.usefixtures("umask")
def test_where_no_right_with_setgid_may_be_set_the_work_goes_on(tmp_path, monkeypatch):
    tmp_path.chmod(0o2775)
    (tmp_path / "a").mkdir()

    def refused(self, mode):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "chmod", refused)
    open_to_group(tmp_path / "a")
    assert mode(tmp_path / "a") == 0o2755


def test_a_group_that_is_not_there(tmp_path):
    given = from_table(
        {"paths": {"raw_root": "/raw", "redux_root": str(tmp_path), "group": "obs"}}, origin="test", base=tmp_path
    )
    (finding,) = saving(given, Environment(group=lambda name: None))
    assert finding.level == "error" and "groupadd -r obs" in finding.advice


def test_no_night_and_no_group(tmp_path):
    given = from_table({"paths": {"raw_root": "/raw", "redux_root": str(tmp_path)}}, origin="test", base=tmp_path)
    (finding,) = saving(given, Environment())
    assert (finding.level, finding.found) == ("ok", "no night yet")
