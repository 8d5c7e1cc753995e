"""What the doctor says of the receiver and of the mail server."""

import pytest

from sedmd.after.deliver.deliveries import QUEUED, Deliveries
from sedmd.doctor import Environment, sending
from unit.sending import NIGHT, Clock, secret_file, settings

MAIL = {"host": "mail.example.org", "sender": "a@b.c", "recipients": ["d@e.f"]}


def only(findings):
    (finding,) = findings
    return finding


@pytest.fixture
def machine():
    return Environment(now=Clock())


def portal(tmp_path, **given):
    token = secret_file(tmp_path / "token", "abc")
    upload = {"backend": "skyportal", "url": "https://fritz.science", "instrument_id": 2, "token_file": str(token)}
    return settings(tmp_path, upload=upload | given)


def test_off_is_well(tmp_path, machine):
    for check in (sending.upload, sending.mail):
        finding = only(check(settings(tmp_path), machine))
        assert finding.level == "ok" and finding.found.startswith("off")


def test_a_receiver_that_can_be_used(tmp_path, machine):
    finding = only(sending.upload(portal(tmp_path), machine))
    assert (finding.level, finding.found) == ("ok", "skyportal https://fritz.science, nothing is waiting")
    assert not (tmp_path / "redux").exists(), "looking changes nothing"


def test_a_token_that_others_read(tmp_path, machine):
    given = portal(tmp_path)
    (tmp_path / "token").chmod(0o644)
    finding = only(sending.upload(given, machine))
    assert finding.level == "error" and "chmod 600" in finding.found


def test_what_waits_is_told(tmp_path, machine):
    given = portal(tmp_path)
    with Deliveries.open(given.paths.state, clock=Clock()) as queue:
        queue.put("skyportal https://fritz.science", NIGHT, "a", "0", QUEUED, text="queued")
    finding = only(sending.upload(given, machine))
    assert finding.level == "warning" and f"1 spectra of {NIGHT}" in finding.found


def test_a_directory_that_is_away(tmp_path, machine):
    given = settings(tmp_path, upload={"backend": "drop", "directory": str(tmp_path / "outbox")})
    assert only(sending.upload(given, machine)).level == "error"
    (tmp_path / "outbox").mkdir()
    assert only(sending.upload(given, machine)).level == "ok"
    shut = Environment(now=Clock(), may=lambda path, mode: False)
    assert "cannot be written" in only(sending.upload(given, shut)).found


def test_mail(tmp_path, machine):
    finding = only(sending.mail(settings(tmp_path, mail=MAIL), machine))
    assert (finding.level, finding.found) == ("ok", "mail.example.org:587, starttls, to d@e.f")
    finding = only(sending.mail(settings(tmp_path, mail=MAIL | {"user": "x"}), machine))
    assert finding.level == "error" and "password_file" in finding.found


def handing_on(tmp_path, name, credential, secret):
    """A machine whose unit hands on a secret that only root reads."""
    place = secret_file(tmp_path / "roots", secret)
    (tmp_path / name).write_text(f"[Service]\nLoadCredential={credential}:{place}\n")
    return Environment(now=Clock(), unit=tmp_path / "sedmd.service", may=lambda path, mode: path != place)


def test_a_token_that_only_the_unit_reads(tmp_path):
    given = settings(tmp_path, upload={"backend": "skyportal", "url": "https://fritz.science", "instrument_id": 2})
    machine = handing_on(tmp_path, "sedmd-upload.service", "upload-token", "abc")
    assert only(sending.upload(given, machine)).level == "ok"
    assert only(sending.upload(given, Environment(now=Clock(), unit=machine.unit))).level == "ok", "root reads it"
    (tmp_path / "roots").chmod(0o644)
    assert "chmod 600" in only(sending.upload(given, Environment(now=Clock(), unit=machine.unit))).found
    (tmp_path / "roots").write_text("")
    assert "token_file or token_env" in only(sending.upload(given, machine)).found, "nothing is in it"


def test_a_password_that_only_the_unit_reads(tmp_path):
    given = settings(tmp_path, mail=MAIL | {"user": "x"})
    machine = handing_on(tmp_path, "sedmd-final-report.service", "mail-password", "abc")
    assert only(sending.mail(given, machine)).level == "ok"
    (tmp_path / "sedmd-final-report.service").unlink()
    assert only(sending.mail(given, machine)).level == "error"
