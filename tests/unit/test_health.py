"""The health server over real sockets, with clients of every kind."""

import errno
import http.client
import json
import socket
import stat
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from sedmd.core.errors import ConfigError
from sedmd.daemon import health
from sedmd.daemon.health import HealthServer, check_listen
from sedmd.run.vitals import own_use
from unit.test_vitals import WELL


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(30)
        self.sock.connect(self._path)


class State:
    """What the service would say; a test changes it."""

    def __init__(self) -> None:
        self.vitals = WELL

    def __call__(self):
        if isinstance(self.vitals, Exception):
            raise self.vitals
        return self.vitals


@pytest.fixture
def state():
    return State()


@pytest.fixture(params=["ipv4", "ipv6", "unix"])
def server(request, tmp_path, state):
    if request.param == "ipv6" and not has_ipv6():
        pytest.skip("this host has no ::1")
    listen = {"ipv4": "127.0.0.1:0", "ipv6": "[::1]:0", "unix": f"unix:{tmp_path}/h.sock"}[request.param]
    made = HealthServer(listen, state)
    made.start()
    yield made
    made.stop()


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def plain(address: str) -> socket.socket:
    """A client's socket, connected."""
    if address.startswith("unix:"):
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.settimeout(30)
        try:
            client.connect(address.removeprefix("unix:"))
        except OSError:
            client.close()
            raise
        return client
    host, _, port = address.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), timeout=30)


def ask(server: HealthServer, path: str, method: str = "GET") -> tuple[int, str, str]:
    """Status, content type, body."""
    if server.address.startswith("unix:"):
        connection: http.client.HTTPConnection = UnixConnection(server.address.removeprefix("unix:"))
    else:
        host, _, port = server.address.rpartition(":")
        connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=30)
    with closing(connection):
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read().decode()


def until(truth, seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while not truth():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def threads() -> int:
    return sum(thread.name == "health" for thread in threading.enumerate())


def test_healthy(server):
    code, kind, body = ask(server, "/healthz")
    assert (code, kind) == (200, "application/json")
    assert json.loads(body) == {"healthy": True, "troubles": [], "cares": []}


def test_cares_are_told_and_stay_healthy(server, state):
    state.vitals = replace(WELL, fallback=("20261123", 2))
    code, _, body = ask(server, "/healthz?probe=1")
    assert (code, json.loads(body)["cares"]) == (200, ["using calibrations from 20261123 (2 nights old)"])


def test_unhealthy(server, state):
    state.vitals = replace(WELL, ledger_ok=False)
    code, _, body = ask(server, "/healthz")
    assert code == 503
    assert json.loads(body) == {"healthy": False, "troubles": ["the ledger does not answer"], "cares": []}
    assert ask(server, "/metrics")[0] == 200


def test_a_service_that_cannot_say_how_it_is_is_not_healthy(server, state):
    state.vitals = RuntimeError("no answer")
    for path in ("/healthz", "/metrics"):
        code, _, body = ask(server, path)
        assert code == 503
        assert json.loads(body)["troubles"] == ["the service cannot say how it is: RuntimeError: no answer"]
    state.vitals = WELL
    assert ask(server, "/healthz")[0] == 200


def test_metrics(server):
    code, kind, body = ask(server, "/metrics")
    assert (code, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert "\nsedmd_healthy 1.0\n" in body


def test_head_has_the_length_and_no_body(server):
    code, _, body = ask(server, "/metrics", "HEAD")
    assert (code, body) == (200, "")


@pytest.mark.parametrize("path", ["/", "/metrics/", "/healthz/../etc/passwd", "/%2e%2e"])
def test_anything_else_is_not_found(server, path):
    assert ask(server, path)[0] == 404


@pytest.mark.parametrize("method", ["POST", "DELETE", "OPTIONS"])
def test_nothing_can_be_changed(server, method):
    assert ask(server, "/healthz", method)[0] == 501


@pytest.mark.parametrize(
    "rubbish",
    [b"", b"\r\n\r\n", b"\0\xff\xfe\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET /" + b"a" * 20000],
    ids=["nothing", "empty", "binary", "cut", "version", "endless"],
)
def test_rubbish_costs_its_sender_only(server, rubbish):
    with plain(server.address) as client:
        try:
            client.sendall(rubbish)
            client.shutdown(socket.SHUT_WR)
            while client.recv(65536):
                pass
        except OSError as error:
            # what was too much was not read, and the server may have hung up before we do
            assert error.errno in (errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN), error
    assert ask(server, "/healthz")[0] == 200


def test_slow_clients_neither_stop_others_nor_stay(server):
    clients = [plain(server.address) for _ in range(health.MAX_THREADS)]
    try:
        for client in clients:
            client.sendall(b"GET /healthz HTTP/1.1\r\n")
        assert until(lambda: threads() == health.MAX_THREADS + 1)
        begun = time.monotonic()
        # all threads are taken: this one waits until the first is turned out, not longer
        assert ask(server, "/healthz")[0] == 200
        assert time.monotonic() - begun < 4 * health.PATIENCE_S
        for client in clients:
            assert client.recv(100) == b""
        assert until(lambda: threads() == 1)
    finally:
        for client in clients:
            client.close()


def test_dribbling_does_not_buy_time(server):
    begun = time.monotonic()
    with plain(server.address) as client:
        client.settimeout(0.05)
        ended = False
        while not ended and time.monotonic() - begun < 5 * health.PATIENCE_S:
            try:
                client.sendall(b"x")
                ended = client.recv(10) == b""
            except TimeoutError:
                pass
            except (ConnectionResetError, BrokenPipeError):
                ended = True
    assert ended
    assert time.monotonic() - begun < 4 * health.PATIENCE_S


def test_a_client_that_does_not_read_is_left(server, state):
    # an answer that fills every buffer
    state.vitals = replace(WELL, free_bytes={f"{i:06d}" + "x" * 100: i for i in range(60000)})
    with plain(server.address) as client:
        client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert until(lambda: threads() > 1)
        state.vitals = WELL
        assert ask(server, "/healthz")[0] == 200
        assert until(lambda: threads() == 1)


def test_many_at_once_are_all_answered(server):
    codes: list[int] = []
    askers = [threading.Thread(target=lambda: codes.append(ask(server, "/metrics")[0])) for _ in range(40)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join(60)
    assert codes == [200] * 40


def test_stop_leaves_nothing_behind(server):
    before = own_use()[1]
    address = server.address
    client = plain(address)
    client.sendall(b"GET /healthz")
    assert until(lambda: threads() == 2)
    server.stop()
    server.stop()
    client.close()
    assert threads() == 0
    assert not server.alive
    # the listening socket; the client's is closed as well
    assert until(lambda: own_use()[1] == before - 1)
    if address.startswith("unix:"):
        assert not Path(address.removeprefix("unix:")).exists()
    with pytest.raises(OSError):
        plain(address)


def test_starts_again_at_once(state):
    first = HealthServer("127.0.0.1:0", state)
    first.start()
    address = first.address
    assert ask(first, "/healthz")[0] == 200
    first.stop()
    second = HealthServer(address, state)
    second.start()
    try:
        assert second.address == address
        assert ask(second, "/healthz")[0] == 200
    finally:
        second.stop()


def test_unix_socket_is_for_owner_and_group(tmp_path, state):
    path = tmp_path / "h.sock"
    server = HealthServer(f"unix:{path}", state)
    server.start()
    try:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
    finally:
        server.stop()


def test_stale_socket_is_replaced(tmp_path, state):
    path = tmp_path / "h.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(path))
    server = HealthServer(f"unix:{path}", state)
    server.start()
    try:
        assert ask(server, "/healthz")[0] == 200
    finally:
        server.stop()


def test_what_others_use_is_left_alone(tmp_path, state):
    path = tmp_path / "h.sock"
    first = HealthServer(f"unix:{path}", state)
    first.start()
    try:
        with pytest.raises(ConfigError, match="another process listens there"):
            HealthServer(f"unix:{path}", state).start()
        assert ask(first, "/healthz")[0] == 200
    finally:
        first.stop()
    path.write_text("precious")
    with pytest.raises(ConfigError, match="no socket"):
        HealthServer(f"unix:{path}", state).start()
    assert path.read_text() == "precious"
    with pytest.raises(ConfigError, match="No such file"):
        HealthServer(f"unix:{tmp_path}/missing/h.sock", state).start()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(ConfigError, match="in use"):
            HealthServer(f"127.0.0.1:{other.getsockname()[1]}", state).start()


@pytest.mark.parametrize("text", ["127.0.0.1:9189", "127.1.2.3:0", "[::1]:9189", "unix:/run/sedmd/health.sock"])
def test_addresses_on_this_host(text):
    assert str(check_listen(text)) == text


@pytest.mark.parametrize(
    "text, why",
    [
        ("0.0.0.0:9189", "other hosts"),
        ("[::]:9189", "other hosts"),
        ("192.168.1.7:9189", "other hosts"),
        ("[2001:db8::1]:80", "other hosts"),
        ("localhost:9189", "not looked up"),
        ("9189", "no address"),
        (":9189", "no address"),
        ("", "no address"),
        ("127.0.0.1", "no address"),
        ("127.0.0.1:", "no address and port"),
        ("127.0.0.1:65536", "no address and port"),
        ("127.0.0.1:-1", "no address and port"),
        ("127.0.0.1:²", "no address and port"),
        ("::1:9189", "no address and port"),
        ("[127.0.0.1]:9189", "no address and port"),
        ("unix:health.sock", "no absolute path"),
        ("unix:/" + "x" * 107, "no absolute path"),
        ("unix:", "no absolute path"),
    ],
)
def test_other_addresses_are_refused(text, why, state):
    with pytest.raises(ConfigError, match=why) as caught:
        HealthServer(text, state)
    assert "expected 127.0.0.1:9189, [::1]:9189 or unix:" in str(caught.value)
