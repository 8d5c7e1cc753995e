"""Answers that no server should give: HTTP and JSON where SkyPortal is expected, and lines where a mail server is."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from unit.skyportal_server import TOKEN, Handler

#: Bytes in the place of an answer over HTTP.
RAW: Mapping[str, bytes] = {
    "nothing": b"",
    "a line feed": b"\n",
    "no HTTP": b"220 mail.example.org ESMTP\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
    "TLS": b"\x15\x03\x01\x00\x02\x02\x28",
    "half a status": b"HTTP/1.1 2",
    "no status": b"HTTP/1.1 \r\n\r\n",
    "a status of words": b"HTTP/1.1 fine\r\n\r\n",
    "a status of 999": b"HTTP/1.1 999 x\r\nContent-Length: 0\r\n\r\n",
    "a status of 1000": b"HTTP/1.1 1000 x\r\n\r\n",
    "a negative status": b"HTTP/1.1 -200 x\r\n\r\n",
    "another HTTP": b"HTTP/9.9 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    "HTTP 0.9": b"{}",
    "a status line of 100 kB": b"HTTP/1.1 200 " + b"x" * 100_000 + b"\r\n\r\n",
    "a header line of 100 kB": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
    "a thousand header lines": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000 + b"\r\n",
    "a header without a colon": b"HTTP/1.1 200 OK\r\nnonsense\r\nContent-Length: 2\r\n\r\n{}",
    "a header of nulls": b"HTTP/1.1 200 OK\r\n\0\0: \0\r\nContent-Length: 2\r\n\r\n{}",
    "a header of Latin": b"HTTP/1.1 200 OK\r\nX: \xff\xfe\r\nContent-Length: 2\r\n\r\n{}",
    "no end of the header": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n",
    "a length of words": b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\n{}",
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n{}",
    "a length of another script": "HTTP/1.1 200 OK\r\nContent-Length: ٣\r\n\r\n{}".encode(),
    "a length of 40 digits": b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 40 + b"\r\n\r\n{}",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 200\r\n\r\n{}",
    "a chunk of no size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "a chunk of a negative size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n{}\r\n0\r\n\r\n",
    "a chunk of 2**70 bytes": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"f" * 17 + b"\r\n{}",
    "half a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{}",
    "only 100 Continue": b"HTTP/1.1 100 Continue\r\n\r\n" * 50,
    "switching protocols": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "not modified": b"HTTP/1.1 304 Not Modified\r\n\r\n",
    "compressed that is not": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
    "moved to nowhere": b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n",
    "moved to a file": b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n",
    "moved to colours": b"HTTP/1.1 301 x\r\nLocation: http://x/\x1b[31m\xff\r\nContent-Length: 0\r\n\r\n",
    "moved to no address": b"HTTP/1.1 307 x\r\nLocation: http://[::1/\r\nContent-Length: 0\r\n\r\n",
    "moved to the token": b"HTTP/1.1 302 x\r\nLocation: http://x/?" + TOKEN.encode() + b"\r\nContent-Length: 0\r\n\r\n",
    "asks for a password": b"HTTP/1.1 401 x\r\nWWW-Authenticate: Basic realm=\r\nContent-Length: 0\r\n\r\n",
    "asks for a password in pieces": b"HTTP/1.1 401 x\r\nWWW-Authenticate: Digest qop=,=\r\nContent-Length: 0\r\n\r\n",
    "asks for a password of the proxy": b"HTTP/1.1 407 x\r\nProxy-Authenticate: x\r\nContent-Length: 0\r\n\r\n",
}
#: What is asked for by Retry-After.
WAITS = ("", "soon", "-1", "1e9", "9" * 400, "٣", "Thu, 99 Foo 2019 99:99:99 GMT", "Wed, 12 Jun 0000 00:00:00 GMT",
         "Wed, 12 Jun 9999 23:59:59 -9999", "\x1b[2J", "1.5", "nan", "inf")  # fmt: skip
#: Bodies in the place of SkyPortal's JSON.
BODIES: Mapping[str, bytes] = {
    "nothing": b"",
    "blanks": b"   ",
    "a page": b"<html><body>Welcome to the hotel's network</body></html>",
    "null": b"null",
    "a number": b"5",
    "a text": b'"success"',
    "a list": b"[]",
    "an empty table": b"{}",
    "no JSON": b'{"status": ',
    "two tables": b'{"status": "success"}{"status": "success"}',
    "a byte order mark": b'\xef\xbb\xbf{"status": "success", "data": {}}',
    "UTF-16": '{"status": "success", "data": {}}'.encode("utf-16"),
    "half a character": b'{"status": "success", "data": "\\ud800"}',
    "no characters": b"\xff\xfe\x00\x80",
    "nested too deep": b'{"status": "success", "data": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a number of 5000 digits": b'{"status": "success", "data": ' + b"9" * 5000 + b"}",
    "not a number": b'{"status": "success", "data": NaN}',
    "a status that is none": b'{"status": "maybe", "data": {}}',
    "a status that is a list": b'{"status": ["success"], "data": {}}',
    "a status that is a table": b'{"status": {}, "data": {}}',
    "an error without words": b'{"status": "error"}',
    "an error of a list": b'{"status": "error", "message": ["a", {"b": 1}]}',
    "an error of colours": b'{"status": "error", "message": "\\u001b[31mred\\n2026-11-29 00:00:00 UT forged"}',
    "an error of half a character": b'{"status": "error", "message": "\\ud800"}',
    "an error of a megabyte": json.dumps({"status": "error", "message": "x" * 10**6}).encode(),
    "an error with the token": json.dumps({"status": "error", "message": f"your {TOKEN}!"}).encode(),
}
#: Values in the place of ``data`` and of what is in it.
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 5, 1e308, "", "x", "\x1b[31m", "\ud800", [], [None], [[]], ["x"], [5], {}, {"id": None},
    {"id": "5"}, {"id": 5.5}, {"id": True}, {"id": -1}, {"id": 10**30}, {"id": [1]}, {"x": {"y": {"z": []}}},
)  # fmt: skip


def success(data: Any) -> bytes:
    return json.dumps({"status": "success", "data": data}).encode()


def data_of(stage: str, name: str, content: str) -> Iterator[tuple[str, Any]]:
    """Data of the right shape, but for one value somewhere in it."""
    for value in VALUES:
        told = repr(value)[:40]
        yield f"data {told}", value
        if stage == "spectra":
            yield f"spectra {told}", {"spectra": value}
            yield f"a spectrum {told}", {"spectra": [value]}
            mine = {"id": 70, "altdata": {"sedmd_sha256": content}, "annotations": [], "comments": []}
            for key in mine:
                yield f"{key} {told}", {"spectra": [{**mine, key: value}]}
            for key in ("annotations", "comments"):
                yield f"one of {key} {told}", {"spectra": [{**mine, key: [value]}]}
                note = {"id": value, "origin": "sedm:SNID", "data": value, "attachment_name": value}
                yield f"in {key} {told}", {"spectra": [{**mine, key: [note]}]}
        elif stage == "followup":
            yield f"requests {told}", {"followup_requests": value}
            yield f"a request {told}", {"followup_requests": [value]}
            for key in ("id", "obj_id", "status"):
                yield f"{key} {told}", {"followup_requests": [{"id": 3, "obj_id": name, "status": "new", key: value}]}
        elif stage == "withdraw":
            yield f"altdata {told}", {"id": 70, "altdata": value}
            yield f"checksum {told}", {"id": 70, "altdata": {"sedmd_sha256": value}}


def raw(content: bytes) -> Callable[[Handler], None]:
    """Say exactly these bytes, and no more."""

    def how(handler: Handler) -> None:
        handler.close_connection = True
        with suppress(OSError):
            handler.wfile.write(content)
            handler.wfile.flush()
            handler.connection.shutdown(socket.SHUT_WR)

    return how


def body(content: bytes, status: int = 200, **headers: str) -> Callable[[Handler], None]:
    """A whole answer of HTTP with these bytes in it."""

    def how(handler: Handler) -> None:
        head = "".join(f"{key.replace('_', '-')}: {value}\r\n" for key, value in headers.items())
        said = f"HTTP/1.1 {status} x\r\nContent-Length: {len(content)}\r\n{head}\r\n".encode() + content
        raw(said)(handler)

    return how


#: What a mail server says in an orderly conversation, by the word of the client that it follows.
ORDERLY: Mapping[str, bytes] = {
    "": b"220 mail ESMTP\r\n",
    "EHLO": b"250-mail\r\n250-8BITMIME\r\n250 AUTH PLAIN LOGIN CRAM-MD5\r\n",
    "HELO": b"250 mail\r\n",
    "AUTH": b"235 welcome\r\n",
    "MAIL": b"250 ok\r\n",
    "RCPT": b"250 ok\r\n",
    "DATA": b"354 go on\r\n",
    ".": b"250 taken\r\n",
    "RSET": b"250 ok\r\n",
    "QUIT": b"221 bye\r\n",
}
PASSWORD = "pass-SECRET-word"
#: Lines in the place of any of them.
LINES: Mapping[str, bytes] = {
    "nothing": b"",
    "a line feed": b"\r\n",
    "words": b"hello\r\n",
    "two digits": b"25 ok\r\n",
    "five digits": b"25000 ok\r\n",
    "a negative code": b"-25 ok\r\n",
    "a code of another script": "٢٥٠ ok\r\n".encode(),
    "a code alone": b"250\r\n",
    "a code of 999": b"999 ok\r\n",
    "a code of 000": b"000 ok\r\n",
    "a challenge": b"334 VXNlcm5hbWU6\r\n",
    "a challenge that is none": b"334 !!!\r\n",
    "an empty challenge": b"334 \r\n",
    "a challenge of bytes": b"334 /////w==\r\n",
    "a challenge cut": b"334 VXNlcm5hbWU\r\n",
    "half a line": b"250 o",
    "no last line": b"250-mail\r\n250-more\r\n",
    "other codes in one answer": b"250-mail\r\n550-no\r\n354 go\r\n",
    "bytes that are no text": b"250 \xff\xfe\x80\r\n",
    "nulls": b"250 \0\0\r\n",
    "colours": b"550 \x1b[31mred\r\n",
    "a line of 20 kB": b"250 " + b"x" * 20_000 + b"\r\n",
    "a megabyte of lines": b"250-x\r\n" * 150_000,
    "a megabyte without a line": b"2" * 1_000_000,
    "come again": b"421 busy\r\n",
    "later": b"451 later\r\n",
    "no": b"550 no\r\n",
    "the password": f"535 you said {PASSWORD}\r\n".encode(),
    "not known": b"502 what?\r\n",
    "HTTP": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "TLS": b"\x16\x03\x01\x00\x05hello",
    "two answers": b"250 ok\r\n250 ok\r\n",
    "an extension of a name": b"250-mail\r\n250 AUTH \r\n",
    "an extension of bytes": b"250-mail\r\n250 AUTH \xff\xfe=\r\n",
    "a size of words": b"250-mail\r\n250-SIZE many\r\n250 AUTH PLAIN\r\n",
    "only ways that nobody knows": b"250-mail\r\n250 AUTH XOAUTH2 NTLM\r\n",
}


#: What must be said before for the client to come to a word at all.
BEFORE: Mapping[str, Mapping[str, bytes]] = {"HELO": {"EHLO": b"502 no\r\n"}, "RSET": {"RCPT": b"550 no\r\n"}}


@contextmanager
def mail_server(where: str, said: bytes, *, auth: str = "PLAIN LOGIN CRAM-MD5") -> Iterator[tuple[int, list[str]]]:
    """A server that is orderly, but says `said` where it should answer the word `where`; its port and what it heard."""
    words: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(20)
        thread = threading.Thread(target=_converse, args=(listening, where, said, auth, words), daemon=True)
        thread.start()
        yield listening.getsockname()[1], words
        with suppress(OSError):  # whoever never called is not waited for
            socket.create_connection(listening.getsockname(), timeout=1).close()
        thread.join(10)


def _converse(listening: socket.socket, where: str, said: bytes, auth: str, words: list[str]) -> None:
    offered = f"250-mail\r\n250-8BITMIME\r\n250 AUTH {auth}\r\n".encode()
    orderly = {**ORDERLY, "EHLO": offered, **BEFORE.get(where, {})}
    with suppress(OSError):
        one, _ = listening.accept()
        with one, one.makefile("rb") as heard:
            one.settimeout(10)
            word, within_data = "", False
            while True:
                words.append(word)
                answer = said if word == where else orderly.get(word, b"500 what?\r\n")
                one.sendall(answer)
                if not answer.endswith(b"\n") or answer.rstrip().rpartition(b"\n")[2][3:4] == b"-":
                    one.shutdown(socket.SHUT_WR)  # what is cut is not gone on with
                within_data = word == "DATA" and answer.startswith(b"354")
                line = heard.readline(100_000)
                while within_data and line and line != b".\r\n":
                    line = heard.readline(100_000)
                if not line:
                    return
                word = line.split()[0].decode("latin-1").upper() if line.split() else "?"
