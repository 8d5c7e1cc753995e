"""Reading unit files as systemd does."""

from pathlib import PurePosixPath

import pytest

from sedmd.doctor.unit import cache
from sedmd.host.unit_file import covers, last, parse_unit, paths, words_of, yes

TEXT = """\
# comment
[Unit]
Description = Something
RequiresMountsFor=/a /b
RequiresMountsFor="/c d"
[Service]
ExecStart=/bin/x \\
    # within
    --y
Environment=A=1 B=2
ReadOnlyPaths=/old
ReadOnlyPaths=
ReadOnlyPaths=-/new +/newer
; also a comment
NoNewPrivileges=on
PrivateTmp=no
nonsense
[Unit]
After=network.target
"""


def test_a_unit_file():
    unit = parse_unit(TEXT)
    assert set(unit) == {"Unit", "Service"}
    assert unit["Unit"]["After"] == ("network.target",)
    assert last(unit, "Unit", "Description") == "Something"
    assert last(unit, "Service", "ExecStart").split() == ["/bin/x", "--y"]
    assert last(unit, "Service", "Environment") == "A=1 B=2"
    assert last(unit, "Service", "Missing", "default") == "default"
    assert paths(unit, "Unit", "RequiresMountsFor") == (
        PurePosixPath("/a"),
        PurePosixPath("/b"),
        PurePosixPath("/c d"),
    )
    assert paths(unit, "Service", "ReadOnlyPaths") == (PurePosixPath("/new"), PurePosixPath("/newer"))
    assert yes(unit, "Service", "NoNewPrivileges")
    assert not yes(unit, "Service", "PrivateTmp")
    assert not yes(unit, "Service", "Missing")


def test_a_drop_in_adds_and_resets():
    unit = parse_unit(TEXT + "\n[Service]\nExecStart=\nExecStart=/bin/z\nReadOnlyPaths=/more\n")
    assert unit["Service"]["ExecStart"] == ("/bin/z",)
    assert PurePosixPath("/more") in paths(unit, "Service", "ReadOnlyPaths")
    assert len(paths(unit, "Service", "ReadOnlyPaths")) == 3


@pytest.mark.parametrize("text", ["", "\n\n", "[", "]", "=", "[]\n=\n", "a\\", 'x="', "[S]\nk='a b"])
def test_rubbish_is_no_error(text):
    assert paths(parse_unit(text), "S", "k") in ((), (PurePosixPath("'a"), PurePosixPath("b")))


def test_a_quote_that_is_not_closed_is_part_of_its_word():
    assert words_of('A="b c" d') == ["A=b c", "d"]
    assert words_of('A="b c') == ['A="b', "c"]
    text = '[Service]\nEnvironment="A=1\nEnvironment=XDG_CACHE_HOME=/c\n'
    assert cache(parse_unit(text)) == PurePosixPath("/c/numba")


def test_covers():
    roots = [PurePosixPath("/data/raw")]
    assert covers(roots, PurePosixPath("/data/raw"))
    assert covers(roots, PurePosixPath("/data/raw/2026"))
    assert not covers(roots, PurePosixPath("/data/rawer"))
    assert not covers(roots, PurePosixPath("/data"))
