"""The table of mounts, with blanks, foreign letters and mounts on top of each other."""

from pathlib import Path

import pytest

from sedmd.host.mounts import file_system, mount_of, parse_mounts, read_mounts

MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
systemd-1 /data/auto autofs rw 0 0
nas:/raw /data/sedm/raw nfs4 rw 0 0
/dev/sdb1 /data ext4 rw 0 0
nas:/auto /data/auto nfs rw 0 0
//pc/share /data/my\\040share cifs rw 0 0
/dev/sdc1 /data/Überlauf\\011x xfs rw 0 0
"""
FSTAB = """\
# a comment
UUID=1-2 / ext4 errors=remount-ro 0 1
UUID=3   none swap sw 0 0
nas:/raw /data/sedm/raw nfs4 ro,hard 0 0  # the telescope's
"""


@pytest.mark.parametrize(
    "folder, kind, remote",
    [
        ("/data/sedm/raw/20190612", "nfs4", True),
        ("/data/sedm/rawer", "ext4", False),
        ("/data/my share/x", "cifs", True),
        ("/data/Überlauf\tx", "xfs", False),
        ("/data/auto/x", "nfs", True),
        ("/home", "ext4", False),
    ],
)
def test_mount_of_a_folder(folder, kind, remote):
    mount = mount_of(Path(folder), MOUNTS)
    assert (mount.kind, mount.remote) == (kind, remote)
    assert file_system(Path(folder), MOUNTS) == kind


def test_unknown_without_a_table():
    assert mount_of(Path("/data"), "") is None
    assert file_system(Path("/data"), "") == ""


def test_fstab_is_read_alike():
    assert [(str(mount.point), mount.kind) for mount in parse_mounts(FSTAB)] == [
        ("/", "ext4"),
        ("/data/sedm/raw", "nfs4"),
    ]


def test_the_table_of_this_machine_is_read():
    """In a chroot the table has no line for `/`; what it has is read all the same."""
    assert file_system(Path("/proc/self")) == "proc"
    root = mount_of(Path("/"))
    assert (root is not None) == any(mount.point == Path("/") for mount in parse_mounts(read_mounts()))


def test_a_table_without_a_root_tells_of_what_it_has():
    table = "proc /proc proc rw 0 0\n"
    assert file_system(Path("/proc/self"), table) == "proc"
    assert mount_of(Path("/"), table) is None
    assert file_system(Path("/"), table) == ""
