"""One request and its whole answer in a limited time; no redirect is followed, because it would carry the token."""

from __future__ import annotations

import http.client
import ipaddress
import json
import socket
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any

from sedmd.after.deliver.deadline import Connection, TooLate, within
from sedmd.host.foreign_file import plain

#: An answer longer than this is none, bytes.
MAX_ANSWER = 64_000_000
#: No receiver may ask for a longer wait, seconds.
MAX_WAIT_S = 86400.0


class NoAnswer(Exception):
    """There was no whole answer: nobody knows whether the request was carried out."""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """Status, headers (lower case) and body."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    def json(self) -> Any:
        """The body as JSON; None if it is not."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    def wait_s(self, now: datetime) -> float | None:
        """What Retry-After asks for, in seconds or as a date; None if it asks for nothing that can be understood."""
        text = self.headers.get("retry-after", "").strip()
        if text.isdecimal():
            return min(float(text), MAX_WAIT_S)
        try:
            wait = (parsedate_to_datetime(text) - now).total_seconds()
        except (ValueError, TypeError, OverflowError):
            return None
        return min(max(wait, 0.0), MAX_WAIT_S)


class _Stay(urllib.request.HTTPRedirectHandler):
    """An answer that leads elsewhere is the answer; where it leads is not even parsed: it may be no address."""

    def http_error_302(self, *_: object) -> None:
        return None

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302  # type: ignore[assignment]


def ask(method: str, url: str, *, headers: Mapping[str, str], body: Any = None, timeout_s: float) -> HttpResponse:
    """Send a request with a JSON body and read the whole answer, for any status.

    Parameters
    ----------
    timeout_s : float
        For all of it, from the look-up of the name to the last byte.

    Raises
    ------
    NoAnswer
        No connection, cut off, too slow or too long.
    """
    data = None if body is None else json.dumps(body, allow_nan=False).encode()
    request = urllib.request.Request(url, data=data, method=method, headers=dict(headers))
    if data is not None:
        request.add_header("Content-Type", "application/json")
    try:
        return within(timeout_s, lambda line: _talk(request, line, timeout_s))
    except TooLate:
        raise NoAnswer(f"no complete answer in {timeout_s:g} s") from None


def _talk(request: urllib.request.Request, line: Connection, timeout_s: float) -> HttpResponse:
    # the way to this machine does not lead through the proxy that the environment may name
    host = urllib.parse.urlsplit(request.full_url).hostname or ""
    direct = [urllib.request.ProxyHandler({})] if is_loopback(host) else []
    opener = urllib.request.build_opener(_Stay, _Http(line), _Https(line), *direct)
    try:
        try:
            response = opener.open(request, timeout=timeout_s)
        except urllib.error.HTTPError as error:
            response = error
        with response:
            parts: list[bytes] = []
            length = 0
            while part := response.read1(65536):
                parts.append(part)
                length += len(part)
                if length > MAX_ANSWER:
                    raise NoAnswer(f"the answer is longer than {MAX_ANSWER / 1e6:g} MB")
            promised = response.headers.get("Content-Length", "")
            if promised.isdecimal() and length < int(promised[:18]):
                raise NoAnswer(f"the answer stopped after {length} of {promised[:18]} bytes")
            values = {key.lower(): value for key, value in response.headers.items()}
            return HttpResponse(response.status, values, b"".join(parts))
    except urllib.error.URLError as error:
        raise NoAnswer(plain(f"no connection ({error.reason})")) from None
    except TimeoutError:
        raise NoAnswer(f"no answer in {timeout_s:g} s") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NoAnswer(plain(f"the connection was cut ({type(error).__name__}: {str(error)[:200]})")) from None


class _Http(urllib.request.HTTPHandler):
    """Opens connections whose socket can be shut from outside."""

    def __init__(self, line: Connection) -> None:
        super().__init__()
        self._line = line

    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(partial(_Connection, line=self._line), request)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, line: Connection) -> None:
        super().__init__()
        self._line = line

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        context = ssl.create_default_context()
        made = partial(_SecureConnection, line=self._line, context=context)
        return self.do_open(made, request)


class _Connection(http.client.HTTPConnection):
    def __init__(self, host: str, *, line: Connection, **more: Any) -> None:
        super().__init__(host, **more)
        # taken as soon as it is there: the handshake belongs to the conversation
        self._create_connection = lambda *given: line.take(socket.create_connection(*given))


class _SecureConnection(http.client.HTTPSConnection):
    def __init__(self, host: str, *, line: Connection, **more: Any) -> None:
        super().__init__(host, **more)
        self._create_connection = lambda *given: line.take(socket.create_connection(*given))


def is_loopback(host: str) -> bool:
    """The host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
