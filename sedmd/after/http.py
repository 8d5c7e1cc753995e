"""One request and its whole answer in a limited time; no redirect is followed, because it would carry the token."""

from __future__ import annotations

import http.client
import ipaddress
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

#: An answer longer than this is none, bytes.
MAX_ANSWER = 64_000_000
#: No receiver may ask for a longer wait, seconds.
MAX_WAIT_S = 86400.0


class NoAnswer(Exception):
    """There was no whole answer: nobody knows whether the request was carried out."""


@dataclass(frozen=True, slots=True)
class Answer:
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
        told = self.headers.get("retry-after", "").strip()
        if told.isdecimal():
            return min(float(told), MAX_WAIT_S)
        try:
            wait = (parsedate_to_datetime(told) - now).total_seconds()
        except (ValueError, TypeError):
            return None
        return min(max(wait, 0.0), MAX_WAIT_S)


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def ask(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    body: Any = None,
    timeout_s: float,
    monotonic: Callable[[], float] = time.monotonic,
) -> Answer:
    """Send a request with a JSON body and read the whole answer, whatever its status.

    Raises
    ------
    NoAnswer
        No connection, cut off, too slow or too long.
    """
    until = monotonic() + timeout_s
    data = None if body is None else json.dumps(body, allow_nan=False).encode()
    request = urllib.request.Request(url, data=data, method=method, headers=dict(headers))
    if data is not None:
        request.add_header("Content-Type", "application/json")
    # the way to this machine does not lead through the proxy that the environment may name
    direct = [urllib.request.ProxyHandler({})] if is_loopback(urllib.parse.urlsplit(url).hostname or "") else []
    opener = urllib.request.build_opener(_Stay, *direct)
    try:
        try:
            response = opener.open(request, timeout=timeout_s)
        except urllib.error.HTTPError as error:
            response = error
        with response:
            parts: list[bytes] = []
            while part := response.read1(65536):
                parts.append(part)
                if monotonic() > until:
                    raise NoAnswer(f"the answer was not whole after {timeout_s:g} s")
                if sum(map(len, parts)) > MAX_ANSWER:
                    raise NoAnswer(f"the answer is longer than {MAX_ANSWER / 1e6:g} MB")
            whole = b"".join(parts)
            promised = response.headers.get("Content-Length", "")
            if promised.isdecimal() and len(whole) < int(promised):
                raise NoAnswer(f"the answer stopped after {len(whole)} of {promised} bytes")
            return Answer(response.status, {key.lower(): value for key, value in response.headers.items()}, whole)
    except urllib.error.URLError as error:
        raise NoAnswer(f"no connection ({error.reason})") from None
    except TimeoutError:
        raise NoAnswer(f"no answer in {timeout_s:g} s") from None
    except (OSError, http.client.HTTPException) as error:
        raise NoAnswer(f"the connection was cut ({type(error).__name__}: {error})") from None


def is_loopback(host: str) -> bool:
    """The host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
