"""The final report against a real mail server on loopback: encrypted, authenticated, refused, silent; sent once."""

import email
import email.policy
import socket
import ssl
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sedmd.after.deliver.deliveries import SENDING, Deliveries
from sedmd.after.deliver.final_report import PRODUCT, preview, send_final_report
from sedmd.after.deliver.final_report_mail import digest, letter
from sedmd.after.deliver.smtp import MailAway, MailRefused, check
from sedmd.cli import main
from sedmd.core.errors import ConfigError, SedmError
from sedmd.ledger.ledger import Ledger
from sedmd.ledger.records import FrameRow
from sedmd.raw.frames import Frame, Kind
from unit.sending import NIGHT, Clock, book, make, secret_file, settings

PASSWORD = "pass-SECRET-word"
USER = "sedm"
REPORT = "night 20190612\nZTF19a <b>&   quality 1   \u00c5\n"


class Mailbox:
    """What the server takes, and how it treats whom."""

    def __init__(self):
        self.mails = []
        self.refuse = {}
        self.answer = "250 taken"
        self.authenticated = []

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if self.answer.startswith("250"):
            self.mails.append(envelope)
            self.authenticated.append(session.authenticated)
        return self.answer

    def letters(self):
        return [email.message_from_bytes(one.content, policy=email.policy.default) for one in self.mails]


def authenticate(server, session, envelope, mechanism, data):
    good = data.login == USER.encode() and data.password == PASSWORD.encode()
    return AuthResult(success=good, handled=good)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate of this machine, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(private)
    return folder


@pytest.fixture
def box():
    return Mailbox()


@contextmanager
def serving(box, certificate, security, *, port=0):
    """The server; yields its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    given = {
        "starttls": {"tls_context": context, "require_starttls": True, "authenticator": authenticate},
        "tls": {"ssl_context": context, "authenticator": authenticate, "auth_require_tls": False},
        "none": {},
        # takes the password from anybody, in clear text
        "careless": {"authenticator": authenticate, "auth_require_tls": False},
    }[security]
    if security in ("starttls", "tls"):
        given["auth_required"] = True
    with socket.socket() as probe:  # aiosmtpd wants to know the port
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(box, hostname="127.0.0.1", port=port, server_hostname="localhost", **given)
    controller.start()
    try:
        yield port
    finally:
        controller.stop()


def night(tmp_path, *, report=REPORT):
    folder = tmp_path / "redux" / NIGHT
    make(folder, "ZTF19a")
    make(folder, "ZTF19b", quality=4)
    make(folder, "star", is_standard=True)
    if report is not None:
        (folder / "report.txt").write_text(report, encoding="utf-8")
    return folder


def configured(tmp_path, port, *, security="starttls", ca=None, **given):
    mail = {
        "host": "localhost",
        "port": port,
        "security": security,
        "user": USER,
        "password_file": str(secret_file(tmp_path / "password", PASSWORD)),
        "sender": "sedm@example.org",
        "recipients": ["team@example.org", "pi@example.org"],
        "timeout_s": 5.0,
    }
    if ca is not None:
        mail["ca_file"] = str(ca / "cert.pem")
    return settings(tmp_path, mail=mail | given)


# aiosmtpd does not count the TLS around it as TLS
@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_encrypted_and_authenticated(tmp_path, box, certificate, security):
    folder = night(tmp_path)
    with serving(box, certificate, security) as port:
        given = configured(tmp_path, port, security=security, ca=certificate)
        outcome = send_final_report(given, NIGHT, clock=Clock())
    assert outcome.text.startswith("sent to team@example.org, pi@example.org") and outcome.refused == ()
    assert box.authenticated == [True]
    assert box.mails[0].rcpt_tos == ["team@example.org", "pi@example.org"]
    (mail,) = box.letters()
    assert mail["From"] == "sedm@example.org" and mail["To"] == "team@example.org, pi@example.org"
    assert mail["Subject"] == "SEDM 20190612: 2 spectra, 1 good or acceptable"
    assert mail["Message-ID"].startswith("<sedmd.20190612.") and mail["Message-ID"].endswith("@example.org>")
    text = mail.get_body(("plain",)).get_content()
    assert "ZTF19a <b>&   quality 1   \u00c5" in text
    page = mail.get_body(("html",)).get_content()
    assert "ZTF19a &lt;b&gt;&amp;   quality 1" in page and "<b>" not in page
    attached = {part.get_filename(): part.get_content() for part in mail.iter_attachments()}
    assert list(attached) == ["ZTF19a_SEDM.pdf", "ZTF19b_SEDM.pdf", "star_SEDM.pdf"]
    assert attached["ZTF19a_SEDM.pdf"] == (folder / "ZTF19a_SEDM.pdf").read_bytes()


def test_once_and_anew_on_purpose(tmp_path, box, certificate):
    folder = night(tmp_path)
    clock = Clock()
    with serving(box, certificate, "starttls") as port:
        given = configured(tmp_path, port, ca=certificate)
        send_final_report(given, NIGHT, clock=clock)
        told = send_final_report(given, NIGHT, clock=clock).text
        assert told.startswith("was sent 2019-06-13 14:00 UT") and "content has changed" not in told
        (folder / "report.txt").write_text("more\n")
        assert "content has changed since" in send_final_report(given, NIGHT, clock=clock).text
        assert len(box.mails) == 1
        clock.now += timedelta(hours=1)
        send_final_report(given, NIGHT, clock=clock, again=True)
        send_final_report(given, NIGHT, clock=clock, again=True)
        assert "content has changed" not in send_final_report(given, NIGHT, clock=clock).text
    numbers = [mail["Message-ID"] for mail in box.letters()]
    assert len(set(numbers)) == 3


def test_cut_off_before_the_answer_it_is_sent_again_under_its_number(tmp_path, box, certificate):
    night(tmp_path)
    clock = Clock()
    with serving(box, certificate, "starttls") as port:
        given = configured(tmp_path, port, ca=certificate)
        content = digest(letter(given, NIGHT, now=clock()))
        with Deliveries.open(given.paths.state, clock=clock) as queue:  # as a killed run leaves it
            queue.put("mail", NIGHT, PRODUCT, content, SENDING, text="is sent")
        outcome = send_final_report(given, NIGHT, clock=clock)
    assert content[:24] in outcome.text and content[:24] in box.letters()[0]["Message-ID"]


def test_plots_up_to_the_limit_the_good_ones_first(tmp_path):
    folder = night(tmp_path)
    for name in ("ZTF19a", "ZTF19b", "star"):
        (folder / f"{name}_SEDM.pdf").write_bytes(b"x" * 400_000)
        book(folder, name)
    written = letter(configured(tmp_path, 25, max_attachment_mb=1.2), NIGHT, now=Clock()())
    assert [path.name for path in written.attachments] == ["ZTF19a_SEDM.pdf", "ZTF19b_SEDM.pdf"]
    assert written.too_large == ("star_SEDM.pdf",)
    assert "Not attached, because they are too large: star_SEDM.pdf" in written.text
    assert letter(configured(tmp_path, 25, max_attachment_mb=0), NIGHT, now=Clock()()).attachments == ()


def test_the_size_on_the_wire_stays_below_the_limit(tmp_path, box, certificate):
    folder = night(tmp_path)
    for name in ("ZTF19a", "ZTF19b", "star"):
        (folder / f"{name}_SEDM.pdf").write_bytes(bytes(range(256)) * 1000)
        book(folder, name)
    with serving(box, certificate, "starttls") as port:
        given = configured(tmp_path, port, ca=certificate, max_attachment_mb=0.8)
        assert "2 plots, 1 too large" in send_final_report(given, NIGHT, clock=Clock()).text
    assert 0.6e6 < len(box.mails[0].content) < 0.8e6


def test_which_report(tmp_path):
    folder = night(tmp_path, report=None)
    given = configured(tmp_path, 25)
    with pytest.raises(SedmError, match=r"there is no report.txt or night.txt"):
        letter(given, NIGHT, now=Clock()())
    (folder / "night.txt").write_text("of the morning\n")
    assert letter(given, NIGHT, now=Clock()()).text == "of the morning\n"
    (folder / "report.txt").write_text("the report\n")
    (folder / "report_ztf.txt").write_text("uploads\n")
    assert letter(given, NIGHT, now=Clock()()).text == "the report\n\nuploads\n"


def test_the_state_of_the_night_without_any_report(tmp_path):
    given = settings(tmp_path)
    frame = Frame(
        path=given.paths.raw_root / NIGHT / "ifu20190612_04_00_00.fits",
        stem="ifu20190612_04_00_00",
        kind=Kind.SCIENCE,
        start=datetime(2019, 6, 12, 4, tzinfo=UTC),
        exptime_s=600.0,
        adc_speed_mhz=0.1,
        object="ZTF19a",
        name="ZTF19a",
        checksum="0" * 64,
    )
    with Ledger.open(given.paths.state / "ledger.sqlite", clock=Clock()) as ledger:
        row = FrameRow(
            path=frame.path,
            night=NIGHT,
            state="good",
            reason="",
            size=1,
            mtime_ns=1,
            arrived=Clock().now,
            rules="",
            frame=frame,
        )
        ledger.frames.put(row)
    assert letter(given, NIGHT, now=Clock()()).text.startswith(f"night {NIGHT} (")


def test_some_recipients_are_refused(tmp_path, box, certificate, capsys):
    night(tmp_path)
    box.refuse = {"pi@example.org": "550 no such user"}
    with serving(box, certificate, "starttls") as port:
        outcome = send_final_report(configured(tmp_path, port, ca=certificate), NIGHT, clock=Clock())
    assert outcome.refused == ("pi@example.org: 550 no such user",)
    assert outcome.text.startswith("sent to team@example.org, <sedmd.")
    assert len(box.mails) == 1


@pytest.mark.parametrize(
    "answers, error, told",
    [
        ({"refuse": "550 no such user"}, MailRefused, "refuses all recipients: .*550 no such user"),
        ({"refuse": "450 try again"}, MailAway, "refuses all recipients now"),
        ({"answer": "554 spam"}, MailRefused, "answered 554 spam"),
        ({"answer": "451 greylisted"}, MailAway, "answered 451 greylisted"),
    ],
)
def test_the_server_refuses(tmp_path, box, certificate, answers, error, told):
    night(tmp_path)
    box.answer = answers.get("answer", box.answer)
    if "refuse" in answers:
        box.refuse = dict.fromkeys(("team@example.org", "pi@example.org"), answers["refuse"])
    with serving(box, certificate, "starttls") as port:
        given = configured(tmp_path, port, ca=certificate)
        with pytest.raises(error, match=told):
            send_final_report(given, NIGHT, clock=Clock())
        assert box.mails == []
        box.answer, box.refuse = "250 taken", {}
        send_final_report(given, NIGHT, clock=Clock())
    assert len(box.mails) == 1, "what was refused is tried when somebody asks for it"


def test_a_wrong_password(tmp_path, box, certificate):
    night(tmp_path)
    with serving(box, certificate, "starttls") as port:
        given = configured(tmp_path, port, ca=certificate)
        secret_file(tmp_path / "password", "wrong-SECRET")
        with pytest.raises(MailRefused, match="does not accept user 'sedm'") as error:
            send_final_report(given, NIGHT, clock=Clock())
    assert "wrong-SECRET" not in str(error.value) and box.mails == []


@pytest.mark.parametrize("user", [USER, ""])
def test_never_in_clear_text(tmp_path, box, certificate, user):
    night(tmp_path)
    with serving(box, certificate, "careless") as port:
        with pytest.raises(MailRefused, match=r"cannot do what .*STARTTLS"):
            send_final_report(configured(tmp_path, port, ca=certificate, user=user), NIGHT, clock=Clock())
        with pytest.raises(MailRefused, match="does not speak TLS there"):
            given = configured(tmp_path, port, security="tls", ca=certificate, user=user)
            send_final_report(given, NIGHT, clock=Clock())
    assert box.mails == []


def test_a_certificate_that_nobody_vouches_for(tmp_path, box, certificate):
    night(tmp_path)
    with serving(box, certificate, "starttls") as port, pytest.raises(MailRefused, match="is not trusted"):
        send_final_report(configured(tmp_path, port), NIGHT, clock=Clock())
    assert box.mails == []


def test_without_password_on_this_machine(tmp_path, box, certificate):
    night(tmp_path)
    with serving(box, certificate, "none") as port:
        given = settings(
            tmp_path,
            mail={
                "host": "127.0.0.1",
                "port": port,
                "security": "none",
                "sender": "a@b.c",
                "recipients": ["d@e.f"],
            },
        )
        send_final_report(given, NIGHT, clock=Clock())
    assert len(box.mails) == 1


@contextmanager
def listening(act):
    """A port behind which `act` happens with each connection."""
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def run():
            while not done.is_set():
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    act(connection, done)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            done.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)


@pytest.mark.parametrize(
    "act, told",
    [
        (lambda connection, done: done.wait(60), "timed out|did not finish within 0.3 s"),
        (lambda connection, done: connection.sendall(b"421 too busy\r\n"), "answered 421 too busy"),
        (lambda connection, done: None, "closed the connection|cannot be reached"),
    ],
    ids=["hang", "busy", "cut"],
)
def test_a_server_that_is_not_well(tmp_path, act, told):
    night(tmp_path)
    with listening(act) as port:
        given = configured(tmp_path, port, host="127.0.0.1", timeout_s=0.3)
        with pytest.raises(MailAway, match=told):
            send_final_report(given, NIGHT, clock=Clock())


def test_nobody_there_is_not_now(tmp_path, capsys):
    night(tmp_path)
    config = tmp_path / "sedmd.toml"
    config.write_text(
        f'[paths]\nraw_root = "{tmp_path}/raw"\nredux_root = "{tmp_path}/redux"\n'
        '[mail]\nhost = "127.0.0.1"\nport = 9\nsecurity = "none"\nsender = "a@b.c"\nrecipients = ["d@e.f"]\n'
    )
    assert main(["final-report", "--config", str(config)]) == 75
    assert "127.0.0.1:9 cannot be reached" in capsys.readouterr().err
    assert main(["final-report", "--redux", str(tmp_path / "redux")]) == 2
    assert "[mail] host is not set" in capsys.readouterr().err


def test_the_preview_needs_no_server_and_records_nothing(tmp_path, capsys):
    night(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert main(["final-report", "--dry-run", "--redux", str(tmp_path / "redux")]) == 0
    out = capsys.readouterr().out
    assert "From: (not set)" in out and "ZTF19a <b>&" in out and "attached: ZTF19a_SEDM.pdf" in out
    assert sorted(tmp_path.rglob("*")) == before
    lines = preview(configured(tmp_path, 25), NIGHT, clock=Clock())
    assert "To: team@example.org, pi@example.org" in lines


def test_the_password_is_seen_nowhere(tmp_path, box, certificate, capsys):
    night(tmp_path)
    config = tmp_path / "sedmd.toml"
    box.answer = f"554 you said {PASSWORD}"
    secret_file(tmp_path / "password", PASSWORD)
    with serving(box, certificate, "starttls") as port:
        config.write_text(
            f'[paths]\nraw_root = "{tmp_path}/raw"\nredux_root = "{tmp_path}/redux"\n[mail]\nhost = "localhost"\n'
            f'port = {port}\nca_file = "{certificate}/cert.pem"\nuser = "{USER}"\nsender = "a@b.c"\n'
            f'password_file = "{tmp_path}/password"\nrecipients = ["d@e.f"]\n'
        )
        assert main(["final-report", "--config", str(config)]) == 1
        box.answer = "250 taken"
        assert main(["final-report", "--config", str(config)]) == 0
    main(["doctor", "--config", str(config)])
    told = capsys.readouterr()
    assert "554 you said ***" in told.err and PASSWORD not in told.out + told.err
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "password"]
    assert [path for path in files if PASSWORD.encode() in path.read_bytes()] == []


@pytest.mark.parametrize(
    "given, told",
    [
        ({"sender": ""}, "sender"),
        ({"sender": "nobody"}, "sender"),
        ({"recipients": []}, "recipients: missing"),
        ({"recipients": ["a@b.c\nBcc: x@y.z"]}, "recipients"),
        ({"recipients": ["a@b.c, d@e.f"]}, "recipients"),
        ({"security": "none", "host": "mail.example.org"}, "is not this machine"),
        ({"port": 70000}, "port is 70000"),
        ({"password_file": "/nowhere"}, "cannot be read"),
    ],
)
def test_settings_that_cannot_be_right(tmp_path, given, told):
    with pytest.raises(ConfigError, match=told):
        check(configured(tmp_path, given.pop("port", 25), **given).mail)
    bare = settings(tmp_path, mail={"host": "h", "user": "u", "sender": "a@b.c", "recipients": ["d@e.f"]})
    with pytest.raises(ConfigError, match="password_file and password_env are not"):
        check(bare.mail)


def test_a_password_of_the_unit_alone_will_do(tmp_path, monkeypatch):
    given = settings(tmp_path, mail={"host": "h", "sender": "a@b.c", "recipients": ["d@e.f"], "user": "x"}).mail
    with pytest.raises(ConfigError, match="password_file and password_env are not"):
        check(given)
    secret_file(tmp_path / "mail-password", PASSWORD)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert check(given).text == PASSWORD
