"""A stand-in for SkyPortal on loopback: keeps what it is given, checks each request, and misbehaves when told to."""

from __future__ import annotations

import base64
import json
import re
import socket
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import jsonschema

SCHEMA = json.loads((Path(__file__).parent / "skyportal_schema.json").read_text())
TOKEN = "0f6a-SECRET-9b7e"


@dataclass(frozen=True)
class Refusal:
    """An answer that is no success."""

    status: int
    message: str


class Server(ThreadingHTTPServer):
    """The state of the server.

    `faults` are taken one at a time by the requests that match (method, part of the path): each is a function of the
    handler that answers in its own way; with `after=True` the request is carried out first.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.sources: dict[str, list[dict]] = {}
        self.follow_ups: list[dict] = []
        self.requests: list[tuple[str, str]] = []
        self.faults: list[tuple[str, str, Callable[[Handler], None], bool]] = []
        self.wrong: list[str] = []
        self.attachments: dict[tuple[int, str], bytes] = {}
        self.released = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def spectra(self) -> list[dict]:
        return [one for spectra in self.sources.values() for one in spectra]

    def add(self, *names: str) -> None:
        self.sources.update({name: [] for name in names})

    def fault(self, method: str, path: str, how: Callable[[Handler], None], *, after: bool = False) -> None:
        self.faults.append((method, path, how, after))

    def count(self, method: str, path: str) -> int:
        return sum(one == method and re.search(path, given) is not None for one, given in self.requests)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed is no event."""


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, status: int, data: object = None, *, message: str = "", headers: dict[str, str] | None = None):
        told = {"status": "success", "data": data} if status == 200 else {"status": "error", "message": message}
        self.raw(status, json.dumps(told).encode(), {"Content-Type": "application/json", **(headers or {})})

    def raw(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.serve(None)

    def do_POST(self) -> None:
        self.serve(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    do_PUT = do_POST

    def do_DELETE(self) -> None:
        self.serve(None)

    def serve(self, body: dict | None) -> None:
        path = urllib.parse.urlsplit(self.path).path
        self.server.requests.append((self.command, path))
        for fault in self.server.faults:
            method, part, how, after = fault
            if method == self.command and re.search(part, path):
                self.server.faults.remove(fault)
                if after:
                    self.carry_out(path, body)
                how(self)
                return
        result = self.carry_out(path, body)
        if isinstance(result, Refusal):
            self.answer(result.status, message=result.message)
        else:
            self.answer(200, result)

    def carry_out(self, path: str, body: dict | None) -> object:
        if self.headers["Authorization"] != f"token {TOKEN}":
            return Refusal(401, "Credentials malformed")
        self.check(path, body)
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))
        if found := re.fullmatch("/api/sources/([^/]+)/spectra", path):
            name = urllib.parse.unquote(found[1])
            if name not in self.server.sources:
                return Refusal(400, "Invalid object ID.")
            return {"obj_id": name, "spectra": self.server.sources[name]}
        if path == "/api/followup_request":
            return {"followup_requests": [one for one in self.server.follow_ups if query["sourceID"] in one["obj_id"]]}
        if path == "/api/spectrum":
            return self.new_spectrum(body or {})
        if found := re.fullmatch(r"/api/spectrum/(\d+)", path):
            there = [one for one in self.server.spectra if one["id"] == int(found[1])]
            if not there:
                return Refusal(400, f"Could not retrieve spectrum with ID {found[1]}.")
            if self.command == "DELETE":
                self.server.sources[there[0]["obj_id"]].remove(there[0])
                return None
            return there[0]
        if path == "/api/facility":
            for one in self.server.follow_ups:
                if one["id"] == body["followup_request_id"]:
                    one["status"] = body["new_status"]
                    one["history"] = [*one.get("history", []), body["new_status"]]
                    return None
            return Refusal(400, f"Cannot find FollowupRequest with ID: {body['followup_request_id']}")
        if found := re.fullmatch(r"/api/spectra/(\d+)/(annotations|comments)(?:/(\d+))?", path):
            return self.beside(int(found[1]), found[2], found[3], body or {})
        return Refusal(404, "")

    def check(self, path: str, body: dict | None) -> None:
        if body is None:
            return
        kind = f"{self.command} {re.sub(r'/[0-9]+', '/ID', path)}"
        try:
            jsonschema.validate(body, SCHEMA[kind])
        except (jsonschema.ValidationError, KeyError) as error:
            self.server.wrong.append(f"{kind}: {error}")
        # by hand in the handlers
        for who, name in (
            ("reduced_by", "external_reducer"),
            ("observed_by", "external_observer"),
            ("pi", "external_pi"),
        ):
            if body.get(name) and not body.get(who):
                self.server.wrong.append(f"{name} without {who}")
        columns = [body[key] for key in ("wavelengths", "fluxes", "errors") if key in body]
        if len({len(column) for column in columns}) > 1:
            self.server.wrong.append("columns of different length")

    def new_spectrum(self, body: dict) -> object:
        if body["obj_id"] not in self.server.sources:
            return Refusal(400, "Failed to post spectrum: no such object")
        number = 1 + max((one["id"] for one in self.server.spectra), default=69)
        made = {**body, "id": number, "annotations": [], "comments": []}
        self.server.sources[body["obj_id"]].append(made)
        return {"id": number}

    def beside(self, number: int, kind: str, which: str | None, body: dict) -> object:
        (spectrum,) = [one for one in self.server.spectra if one["id"] == number]
        if kind == "comments":
            attachment = body["attachment"]
            content = base64.b64decode(attachment["body"], validate=True)
            self.server.attachments[number, attachment["name"]] = content
            spectrum[kind].append({"text": body["text"], "attachment_name": attachment["name"]})
            return {"comment_id": len(spectrum[kind])}
        if which is not None:
            spectrum[kind][int(which) - 1]["data"] = body["data"]
            return None
        if any(one["origin"] == body["origin"] for one in spectrum[kind]):
            return Refusal(400, "Annotation with that origin already exists")
        spectrum[kind].append({"id": len(spectrum[kind]) + 1, **body})
        return {"annotation_id": len(spectrum[kind])}


def says(status: int, message: str = "", **headers: str) -> Callable[[Handler], None]:
    """Answer with a status; headers with _ for -."""
    given = {key.replace("_", "-"): value for key, value in headers.items()}
    return lambda handler: handler.answer(status, message=message, headers=given)


def garbage(handler: Handler) -> None:
    """Success in the language of a proxy."""
    handler.raw(200, b"<html><body>Welcome to the hotel's network</body></html>")


def cut(handler: Handler) -> None:
    """Close the connection without a word."""
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


def half(handler: Handler) -> None:
    """Promise more than comes."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"status": "success", ')
    cut(handler)


def hang(handler: Handler) -> None:
    """Say nothing until the test is over."""
    handler.server.released.wait(60)
    handler.close_connection = True


def slow(handler: Handler) -> None:
    """A byte now and then, so that no single wait is too long."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    until = time.monotonic() + 60
    while time.monotonic() < until and not handler.server.released.wait(0.05):
        try:
            handler.wfile.write(b" ")
        except OSError:
            return
    handler.close_connection = True


@contextmanager
def serving() -> Iterator[Server]:
    """A server that is gone at the end; whatever broke the schema fails the test."""
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()
        thread.join(10)
    assert server.wrong == []
