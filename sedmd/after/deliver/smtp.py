"""A mail to its server: encrypted, authenticated, in a limited time; what goes wrong as one sentence."""

from __future__ import annotations

import os
import smtplib
import socket
import ssl
from collections.abc import Mapping
from email.message import EmailMessage
from email.utils import getaddresses
from typing import Any

from sedmd.after.deliver.deadline import Connection, TooLate, within
from sedmd.after.deliver.http import is_loopback
from sedmd.after.deliver.secret import MAIL_PASSWORD, Secret, read_secret
from sedmd.core.config import Mail
from sedmd.core.errors import ConfigError, NotNow, SedmError
from sedmd.host.foreign_file import plain

#: Most bytes of a server's words until TLS begins, and after.
MAX_SAID = 200_000


class MailAway(NotNow):
    """The mail server is away, too slow, or asks to come again; nobody knows whether a mail under way arrived."""


class MailRefused(SedmError):
    """The mail server does not take this mail, this user, or this way of sending."""


def check(mail: Mail, environment: Mapping[str, str] = os.environ) -> Secret | None:
    """See that the settings can be used; the password, if there is one.

    Raises
    ------
    ConfigError
    """
    if not mail.host:
        raise ConfigError("no mail is sent: [mail] host is not set; expected the name of the mail server in --config")
    for name, given in (("sender", (mail.sender,)), ("recipients", mail.recipients)):
        bad = [one for one in given if not _is_address(one)]
        if bad or not given:
            raise ConfigError(f'[mail] {name}: {bad or "missing"}; expected addresses like "team@example.org"')
    if mail.security == "none" and not is_loopback(mail.host):
        raise ConfigError(f"[mail] security is none, but {mail.host} is not this machine; expected starttls or tls")
    if not 0 < mail.port < 65536:
        raise ConfigError(f"[mail] port is {mail.port}; expected 587 (starttls), 465 (tls) or another below 65536")
    password = read_secret(
        "[mail] password",
        file=mail.password_file,
        variable=mail.password_env,
        credential=MAIL_PASSWORD,
        environment=environment,
    )
    if mail.user and password is None:
        raise ConfigError("[mail] user is set but password_file and password_env are not; expected one of them")
    return password


def deliver(message: EmailMessage, mail: Mail, password: Secret | None) -> dict[str, str]:
    """Hand a mail to its server; the recipients that it refused, and why.

    Raises
    ------
    MailAway, MailRefused, ConfigError
    """
    try:
        return within(mail.timeout_s, lambda line: _talk(message, mail, password, line))
    except TooLate:
        raise MailAway(f"{_where(mail)} did not finish within {mail.timeout_s:g} s") from None


def _talk(message: EmailMessage, mail: Mail, password: Secret | None, line: Connection) -> dict[str, str]:
    context = _context(mail)

    def hide(text: str) -> str:
        return plain(password.hide(text) if password is not None else text)

    try:
        with _connected(mail, context, line) as server:
            if mail.security == "starttls":
                server.starttls(context=context)  # raises if the server does not offer it: never in clear text
            if mail.user and password is not None:
                server.login(mail.user, password.text)
            refused = server.send_message(message, from_addr=mail.sender, to_addrs=list(mail.recipients))
        return {address: hide(_said(code, said)) for address, (code, said) in refused.items()}
    except smtplib.SMTPAuthenticationError as error:
        if error.smtp_code < 500:
            raise MailAway(hide(f"{_where(mail)} cannot check the password now: {_reply(error)}")) from None
        msg = f"{_where(mail)} does not accept user {mail.user!r} with this password ({_reply(error)}); correct [mail]"
        raise MailRefused(hide(msg)) from None
    except smtplib.SMTPRecipientsRefused as error:
        sentence = "; ".join(f"{address}: {_said(code, said)}" for address, (code, said) in error.recipients.items())
        if all(code < 500 for code, _ in error.recipients.values()):
            raise MailAway(hide(f"{_where(mail)} refuses all recipients now: {sentence}")) from None
        raise MailRefused(
            hide(f"{_where(mail)} refuses all recipients: {sentence}; correct [mail] recipients")
        ) from None
    except smtplib.SMTPNotSupportedError as error:
        msg = f"{_where(mail)} cannot do what [mail] asks for ({error}); correct security, port or user"
        raise MailRefused(hide(msg)) from None
    except smtplib.SMTPServerDisconnected as error:
        raise MailAway(hide(f"{_where(mail)} closed the connection ({error})")) from None
    except smtplib.SMTPResponseException as error:
        sentence = f"{_where(mail)} answered {_reply(error)}"
        raise (MailAway if error.smtp_code < 500 else MailRefused)(hide(sentence)) from None
    except ssl.SSLCertVerificationError as error:
        msg = f"{_where(mail)}: its certificate is not trusted ({error.verify_message}); correct host, or set ca_file"
        raise MailRefused(msg) from None
    except ssl.SSLError as error:
        msg = f"{_where(mail)} does not speak TLS there ({error.reason}); is [mail] port right for {mail.security!r}?"
        raise MailRefused(msg) from None
    except TimeoutError:
        raise MailAway(f"{_where(mail)} did not answer in {mail.timeout_s:g} s") from None
    except (OSError, smtplib.SMTPException) as error:
        raise MailAway(hide(f"{_where(mail)} cannot be reached ({error})")) from None
    except UnicodeEncodeError:
        msg = f"user {mail.user!r} or an address holds a character that mail servers do not take; correct [mail]"
        raise MailRefused(hide(msg)) from None
    except ValueError as error:  # a challenge that is none, say
        raise MailAway(hide(f"{_where(mail)} sent an invalid reply ({error})")) from None


class _Capped:
    """What a server says, up to so much: an answer that does not end is none."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._left = MAX_SAID

    def readline(self, most: int) -> bytes:
        said: bytes = self._file.readline(min(most, self._left + 1))
        self._left -= len(said)
        if self._left < 0:
            raise OSError(f"it sent more than {MAX_SAID} bytes")
        return said

    def close(self) -> None:
        self._file.close()


class _Smtp(smtplib.SMTP):
    """A conversation whose socket can be shut from outside, with a server that cannot talk for ever."""

    def __init__(self, mail: Mail, line: Connection) -> None:
        self._line = line
        super().__init__(mail.host, mail.port, timeout=mail.timeout_s)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return self._line.take(socket.create_connection((host, port), timeout, self.source_address))

    def getreply(self) -> tuple[int, bytes]:
        if self.file is None and self.sock is not None:
            self.file = _Capped(self.sock.makefile("rb"))
        return super().getreply()


class _SecureSmtp(_Smtp):
    """The same inside TLS from the first byte."""

    def __init__(self, mail: Mail, line: Connection, context: ssl.SSLContext) -> None:
        self._context, self._name = context, mail.host
        super().__init__(mail, line)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return self._context.wrap_socket(super()._get_socket(host, port, timeout), server_hostname=self._name)


def _connected(mail: Mail, context: ssl.SSLContext, line: Connection) -> smtplib.SMTP:
    return _SecureSmtp(mail, line, context) if mail.security == "tls" else _Smtp(mail, line)


def _context(mail: Mail) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(mail.ca_file) if mail.ca_file is not None else None)
    except OSError as error:
        msg = f"[mail] ca_file {mail.ca_file}: {error.strerror or error}; expected a certificate in PEM form"
        raise ConfigError(msg) from None


def _where(mail: Mail) -> str:
    return f"{mail.host}:{mail.port}"


def _reply(error: smtplib.SMTPResponseException) -> str:
    return _said(error.smtp_code, error.smtp_error)


def _said(code: int, text: bytes | str) -> str:
    given = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return " ".join(f"{code} {given}".split())[:300]


def _is_address(text: str) -> bool:
    found = getaddresses([text])
    return len(found) == 1 and "@" in found[0][1].strip("@") and text.isprintable() and found[0][1] == text
