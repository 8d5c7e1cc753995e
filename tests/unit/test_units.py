"""Every unit file that is shipped: what systemd says of it, and what all of them have in common."""

import re
from pathlib import Path

import pytest

from sedmd.after.deliver.secret import MAIL_PASSWORD, UPLOAD_TOKEN
from sedmd.host.unit_file import last, parse_unit

FOLDER = Path(__file__).resolve().parents[2] / "systemd"
SERVICES = sorted(path.name for path in FOLDER.glob("*.service"))
SENDERS = {
    "sedmd-alert.service": MAIL_PASSWORD,
    "sedmd-alert@.service": MAIL_PASSWORD,
    "sedmd-final-report.service": MAIL_PASSWORD,
    "sedmd-upload.service": UPLOAD_TOKEN,
}
#: What `systemd-analyze security` of systemd 252 finds, times ten.
EXPOSURE = dict.fromkeys(SERVICES, 3) | dict.fromkeys(SENDERS, 11)
#: The same of a sender whose addresses the site has filled in.
FILLED_IN = 10


def unit(name):
    return parse_unit((FOLDER / name).read_text(encoding="utf-8"))


def value(name, key):
    return last(unit(name), "Service", key)


@pytest.fixture
def installed(tmp_path):
    """All unit files as they are on a machine where their program exists."""
    program = tmp_path / "sedmd"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    folder = tmp_path / "units"
    folder.mkdir()
    for path in FOLDER.iterdir():
        text = re.sub(r"^ExecStart=(-?)\S+", rf"ExecStart=\1{program}", path.read_text(), flags=re.MULTILINE)
        (folder / path.name).write_text(text)
    return folder


def exposure(analyze, path):
    """What `systemd-analyze security` finds, times ten; systemd 250 was the first that needs no running manager."""
    version = int(analyze("--version").stdout.split()[1].split(".")[0])
    if version < 250:
        pytest.skip(f"systemd {version} cannot judge a file")
    done = analyze("security", "--offline=true", "--no-pager", path)
    found = re.search(r"Overall exposure level for .*: (\d+)\.(\d)", done.stdout)
    assert found is not None, done.stderr
    return 10 * int(found[1]) + int(found[2])


def complaints(analyze, folder):
    done = analyze("verify", "--man=no", *sorted(folder.iterdir()))
    return [line for line in done.stderr.splitlines() if "sedmd" in line]


def test_systemd_understands_every_line(analyze, installed):
    assert complaints(analyze, installed) == []


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.iterdir()))
def test_systemd_would_complain(analyze, installed, name):
    path = installed / name
    path.write_text(path.read_text() + "Typo=1\n")
    assert any("Typo" in line and name in line for line in complaints(analyze, installed))


@pytest.mark.parametrize("name", SERVICES)
def test_exposure_is_no_greater_than_it_was(analyze, installed, name):
    assert exposure(analyze, installed / name) <= EXPOSURE[name]


@pytest.mark.parametrize("name", SERVICES)
def test_a_wall_that_is_taken_down_is_noticed(analyze, installed, name):
    path = installed / name
    text = path.read_text()
    path.write_text(text.replace("ProtectHome=yes", "ProtectHome=no"))
    assert path.read_text() != text
    assert exposure(analyze, path) > EXPOSURE[name]


@pytest.mark.parametrize("name", sorted(SENDERS))
def test_a_site_that_knows_its_addresses_shuts_all_others_out(analyze, installed, name):
    path = installed / name
    text, times = re.subn(r"^#   (IPAddress(Deny|Allow)=)", r"\1", path.read_text(), flags=re.MULTILINE)
    assert times == 2
    path.write_text(text)
    assert complaints(analyze, installed) == []
    denied = parse_unit(text)["Service"]["IPAddressDeny"]
    assert "any" in denied and last(parse_unit(text), "Service", "IPAddressAllow").startswith("localhost ")
    assert exposure(analyze, path) <= FILLED_IN


@pytest.mark.parametrize("name", sorted(SENDERS))
def test_a_sender_reaches_no_neighbour_of_the_host(name):
    assert set(value(name, "IPAddressDeny").split()) == {"link-local", "multicast"}


@pytest.mark.parametrize("name", sorted(set(SERVICES) - set(SENDERS)))
def test_who_sends_nothing_reaches_nobody(name):
    assert value(name, "IPAddressDeny") == "any" and value(name, "PrivateNetwork") == "yes"


@pytest.mark.parametrize("name", SERVICES)
def test_none_opens_the_state_directory_that_another_has_closed(name):
    # systemd sets the mode at each start of each unit that names the directory; without a line it is 0755
    assert value(name, "StateDirectory") == "sedmd"
    assert value(name, "StateDirectoryMode") == "0750"


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_made_for_everybody_is_said_and_the_rest_is_not(name):
    open_to_all = ("sedmd.service", "sedmd-publish.service", "sedmd-upload.service")
    assert value(name, "UMask") == ("0022" if name in open_to_all else "0027")


@pytest.mark.parametrize("name", SERVICES)
def test_only_senders_are_handed_a_secret_and_each_its_own(name):
    loaded = unit(name)["Service"].get("LoadCredential", ())
    if name not in SENDERS:
        assert loaded == ()
        return
    (line,) = loaded
    credential, _, place = line.partition(":")
    assert credential == SENDERS[name] and place.startswith("/etc/sedmd/")
    # a site without one: an empty one is handed on, else the unit would not start
    assert value(name, "SetCredential") == f"{credential}:\\n"
    assert place in (FOLDER.parent / "docs" / "install.md").read_text()
