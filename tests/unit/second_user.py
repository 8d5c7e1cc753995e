"""The story of a night that two observers and the service share, each with an account of his own; as root only.

`python -m unit.second_user FOLDER` plays it and prints what happened as JSON.
"""

import json
import os
import stat
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sedmd.core.config import from_table
from sedmd.doctor import Environment
from sedmd.doctor.saving import saving
from sedmd.host.files import sha256_of
from sedmd.host.lock import single_instance
from sedmd.host.sharing import let_group_write
from sedmd.ledger.ledger import Ledger
from sedmd.observation.decisions import Picture, Placement
from sedmd.observation.load import load
from sedmd.observation.noted_decisions import saved_files, take_decisions
from sedmd.observation.saved import NotYours, Verdict, save
from sedmd.products.cube import write_cube
from sedmd.reduce.target.aperture import Ellipse
from sedmd.reprocess.former_spectra import keep
from sedmd.run.event_log import EventLog
from sedmd.run.product_check import Custody

sys.path.append(str(Path(__file__).parents[1] / "gui"))
from viewer_samples import make_cube, make_header

GROUP, SERVICE, ALICE, BOB, STRANGER = 61100, 61001, 61002, 61003, 61004
NIGHT, NAME = "20190612", "ZTF19abc"
NOW = datetime(2019, 6, 12, 7, tzinfo=UTC)
#: Users as whom something is done; first the story is played by root alone.
MAY_ACT: set[int] = set()


@contextmanager
def acting_as(user: int, *, group: int, groups: tuple[int, ...] = (), umask: int = 0o022):
    """Everything in the block is done by another user, for whom the kernel's permissions hold."""
    if user not in MAY_ACT:
        yield
        return
    before = os.umask(umask)
    os.setgroups(groups)
    os.setresgid(group, group, 0)
    os.setresuid(user, user, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)
        os.setresgid(0, 0, 0)
        os.setgroups([0])
        os.umask(before)


def observer_saves(night: Path, reducer: str, radius: float) -> str:
    """What the window does; what was told if it could not."""
    observation = load(NAME, sorted(night.glob("e3d_*.fits")))
    placement = Placement(a=Ellipse(x_arcsec=3.0, y_arcsec=-4.0, semi_major_arcsec=radius), point_source=False)
    verdict = Verdict(picture=Picture(window=(6500.0, 7000.0), low=-9.0, high=9.0), quality=2, reducer=reducer)
    try:
        save(observation, placement, verdict, clock=lambda: NOW)
    except NotYours as error:
        return str(error)
    return ""


def put_cube(night: Path) -> None:
    cube = make_cube([(3.0, -4.0, 300.0)], reach=8.0, n_wave=40)
    header = make_header(NAME, 0.172)
    for card in ("TEL_PA", "RA", "DEC", "OBJRA", "OBJDEC"):
        del header[card]
    write_cube(night / f"e3d_crr_b_ifu{NIGHT}_04_07_07_{NAME}.fits", cube, header=header)


def rights(night: Path) -> dict[str, str]:
    """Owner, group and rights of everything in a night."""
    found = {}
    for path in (night, *sorted(night.rglob("*"))):
        status = path.stat()
        found[str(path.relative_to(night))] = f"{status.st_uid} {status.st_gid} {stat.filemode(status.st_mode)}"
    return found


def contents(night: Path) -> dict[str, str]:
    return {str(path.relative_to(night)): sha256_of(path) for path in sorted(night.rglob("*")) if path.is_file()}


def play(folder: Path) -> dict[str, object]:
    redux, state = folder / "redux", folder / "redux" / ".sedmd"
    night = redux / NIGHT
    service = {"user": SERVICE, "group": GROUP}
    told: dict[str, object] = {}

    def doctor(user: int, groups: tuple[int, ...], group: str = "observers") -> str:
        given = from_table(
            {"paths": {"raw_root": "/raw", "redux_root": str(redux), "group": group}}, origin="test", base=folder
        )
        with acting_as(user, group=user, groups=groups):
            machine = Environment(group=lambda name: GROUP)
            return "; ".join(f"{one.level}: {one.found} -> {one.advice}" for one in saving(given, machine))

    redux.mkdir()
    os.chown(redux, SERVICE, GROUP)
    told["doctor before"] = doctor(ALICE, (GROUP,))
    redux.chmod(0o2755)  # chmod g+s, as docs/install.md has it
    told["doctor of an empty root"] = doctor(ALICE, (GROUP,))

    with acting_as(**service), single_instance(state), Ledger.open(state / "ledger.sqlite", clock=lambda: NOW):
        let_group_write()
        report = EventLog(clock=lambda: NOW, redux_root=redux, stream=None)
        report.event(NIGHT, "night", "", "begins")
        put_cube(night)
    told["night"] = rights(night)
    told["doctor"] = {user: doctor(user, groups) for user, groups in ((ALICE, (GROUP,)), (STRANGER, ()))}
    told["doctor without the setting"] = {
        user: doctor(user, groups, group="") for user, groups in ((ALICE, (GROUP,)), (STRANGER, ()))
    }

    with acting_as(ALICE, group=ALICE, groups=(GROUP,), umask=0o077):
        told["alice"] = observer_saves(night, "Alice", 2.0)
    told["after alice"] = rights(night)

    with acting_as(**service), Ledger.open(state / "ledger.sqlite", clock=lambda: NOW) as ledger:
        let_group_write()
        told["taken"] = take_decisions(ledger, night)
        told["as decided"] = [sha256_of(path) == sha for path, sha in saved_files(night)[0].items()]
        told["former kept"] = keep(night)

    with acting_as(BOB, group=BOB, groups=(GROUP,), umask=0o022):
        told["bob"] = observer_saves(night, "Bob", 1.5)
    told["after bob"] = rights(night)

    before = contents(night)
    with acting_as(STRANGER, group=STRANGER):
        told["stranger"] = observer_saves(night, "Mallory", 1.0)
    told["stranger changed"] = contents(night) != before

    with acting_as(**service), Ledger.open(state / "ledger.sqlite", clock=lambda: NOW) as ledger:
        let_group_write()
        told["taken again"] = take_decisions(ledger, night)
        custody = Custody(ledger=ledger, redux_root=redux, report=report, once=lambda *args, **more: None)
        told["put aside"] = custody.move_aside(night / f"{NAME}_SEDM.pdf", NIGHT, "changed")
    told["state"] = rights(state)

    night.chmod(0o755)
    with acting_as(ALICE, group=ALICE, groups=(GROUP,)):
        told["alice in a night that is not shared"] = observer_saves(night, "Alice", 2.0)
    told["doctor of a night that is not shared"] = doctor(ALICE, (GROUP,))
    return told


if __name__ == "__main__":
    place = Path(sys.argv[1])
    (place / "root").mkdir()
    play(place / "root")  # what is loaded late is loaded by this: the others may not read where it lies
    MAY_ACT |= {SERVICE, ALICE, BOB, STRANGER}
    print(json.dumps(play(place)))
