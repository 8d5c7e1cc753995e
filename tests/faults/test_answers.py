"""Whatever a server answers, it is told in one line without the secret, and the next spectrum or mail is tried."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path

import pytest
from unit.sending import NIGHT, Clock, make, secret_file
from unit.sending import settings as settings_of
from unit.skyportal_server import TOKEN, Server, serving

from sedmd.after.deliver.backend import Closed, Receipt, Refused, TryLater
from sedmd.after.deliver.outgoing import Outgoing
from sedmd.after.deliver.receivers import receiver
from sedmd.after.deliver.secret import Secret
from sedmd.after.deliver.skyportal import SkyPortal
from sedmd.after.deliver.smtp import MailAway, MailRefused, deliver
from sedmd.after.deliver.upload import survey
from sedmd.core.config import Mail

from .malformed_answers import BODIES, LINES, ORDERLY, PASSWORD, RAW, WAITS, body, data_of, mail_server, raw, success

NAME = "ZTF19aacdefg"
#: Where in the conversation with SkyPortal: method, part of the path.
STAGES = {
    "spectra": ("GET", "/spectra$"),
    "followup": ("GET", "/followup_request"),
    "post": ("POST", "/api/spectrum$"),
    "status": ("POST", "/api/facility"),
    "annotation": ("POST", "/annotations"),
    "comment": ("POST", "/comments"),
    "withdraw": ("GET", r"/api/spectrum/\d+$"),
    "delete": ("DELETE", r"/api/spectrum/\d+$"),
}


class Portal:
    """A spectrum on its way to a server that goes wrong at one point."""

    def __init__(self, folder: Path, server: Server) -> None:
        make(folder / "redux" / NIGHT, NAME, snid=True)
        token = secret_file(folder / "token", TOKEN)
        upload = {"backend": "skyportal", "url": server.url, "token_file": str(token), "instrument_id": 2}
        given = settings_of(folder, upload={**upload, "reduced_by": [5], "timeout_s": 5.0})
        backend = receiver(given, clock=Clock())
        assert isinstance(backend, SkyPortal)
        self.backend, self.server = backend, server
        (spectrum,) = survey(given, NIGHT, clock=Clock())
        assert isinstance(spectrum, Outgoing)
        self.spectrum = spectrum

    def judge(self, stage: str, how) -> str:
        """What was told; the answer `how` is given where the stage says."""
        self.server.faults.clear()
        self.server.sources = {NAME: []}
        self.server.follow_ups = [{"id": 12, "obj_id": NAME, "status": "submitted"}]
        self.server.fault(*STAGES[stage], how)
        try:
            if stage in ("withdraw", "delete"):
                mine = {"id": 70, "obj_id": NAME, "altdata": {"sedmd_sha256": self.spectrum.content}}
                self.server.sources = {NAME: [mine]}
                told = self.backend.withdraw(self.spectrum.content, "spectrum 70")
            else:
                receipt = self.backend.send(self.spectrum)
                assert isinstance(receipt, Receipt)
                told = str(receipt)
        except (Refused, Closed, TryLater) as error:
            told = str(error)
        assert self.server.faults == [], f"it never came to {stage}: {told}"
        check(told, TOKEN)
        return told


def check(told: str, secret: str) -> None:
    assert told.isprintable() and 0 < len(told) < 3000, repr(told[:300])
    assert secret not in told, told


@contextmanager
def portal(folder: Path) -> Iterator[Portal]:
    with serving() as server:
        yield Portal(folder, server)


def answers(stage: str, name: str, content: str):
    """Every malformed answer at a stage of the conversation, with what is wrong with it."""
    for what, said in RAW.items():
        yield f"{what} instead of HTTP", raw(said)
    for what, said in BODIES.items():
        for status in (200, 400, 500):
            yield f"{status} with {what}", body(said, status)
    for wait in WAITS:
        yield f"come again {wait!r}"[:60], body(b"{}", 429, Retry_After=wait)
    for what, data in data_of(stage, name, content):
        yield what, body(success(data))


@pytest.mark.parametrize("stage", STAGES)
def test_whatever_skyportal_answers_is_told_in_one_line(tmp_path, stage, tell):
    with portal(tmp_path) as one:
        every = list(answers(stage, NAME, one.spectrum.content))
        told: dict[str, str] = {}
        for what, how in every[::5]:  # all of them: tests/benchmarks/attacks.py
            try:
                told[what] = one.judge(stage, how)
            except Exception as error:
                raise AssertionError(f"{stage}, {what}: {type(error).__name__}: {error}") from error
        # and a server that is well again gets it
        assert one.judge("spectra", lambda handler: handler.answer(200, {"spectra": []})).startswith("spectrum 70")
        tell(f"{stage}: {len(told)} malformed answers told")
    assert len(told) > 25


def letter() -> EmailMessage:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "a@example.org", "b@example.org", "SEDM 20190612"
    made.set_content("night 20190612\n.\nend\n")
    return made


def judge_mail(where: str, said: bytes, *, auth: str = "PLAIN LOGIN CRAM-MD5", user: str = "sedm") -> str:
    """What was told of a mail to a server that says `said` at one point."""
    if where == "HELO":
        user = ""  # nobody authenticates there
    with mail_server(where, said, auth=auth) as (port, words):
        given = Mail(
            host="127.0.0.1", port=port, security="none", user=user, sender="a@example.org",
            recipients=("b@example.org",), timeout_s=5.0,
        )  # fmt: skip
        try:
            refused = deliver(letter(), given, Secret(PASSWORD))
            told = f"sent; refused: {refused}"
        except (MailAway, MailRefused) as error:
            told = str(error)
    assert where in words or where == "none", f"it never came to {where}: {words}"
    check(told, PASSWORD)
    return told


@pytest.mark.parametrize("where", ORDERLY)
def test_whatever_a_mail_server_says_is_told_in_one_line(where, tell):
    for what, said in LINES.items():
        try:
            judge_mail(where, said)
        except Exception as error:
            raise AssertionError(f"{what} after {where!r}: {type(error).__name__}: {error}") from error
    tell(f"{len(LINES)} malformed lines after {where or 'the connection'}")


@pytest.mark.parametrize("auth", ["CRAM-MD5", "LOGIN", "PLAIN"])
@pytest.mark.parametrize("what", [what for what in LINES if "challenge" in what])
def test_a_challenge_that_is_none(auth, what):
    judge_mail("AUTH", LINES[what], auth=auth)


def test_a_user_that_is_no_ascii_is_told():
    assert "correct [mail]" in judge_mail("none", b"", auth="PLAIN", user="jürgen")
