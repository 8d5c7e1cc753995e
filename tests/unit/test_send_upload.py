"""Uploading: what may go goes once, whatever the server does, and the token is seen nowhere."""

import fcntl
import json
import subprocess
import sys
import time
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from sedmd.after.deliver.backend import Closed, Receipt, Refused, TryLater
from sedmd.after.deliver.deliveries import Deliveries
from sedmd.after.deliver.http import NoAnswer, ask
from sedmd.after.deliver.outgoing import Unfit, outgoing
from sedmd.after.deliver.receivers import receiver
from sedmd.after.deliver.secret import Secret, read_secret
from sedmd.after.deliver.upload import REPORT, Uploader, nights_due
from sedmd.after.deliver.withdraw import withdraw
from sedmd.after.spectra import final_spectra
from sedmd.cli import main
from sedmd.core.errors import ConfigError
from sedmd.host.files import sha256_of
from sedmd.host.lock import Locked
from sedmd.ledger.ledger import Ledger
from sedmd.products.spectrum import read_spectrum, write_spectrum
from unit.sending import NIGHT, SNID, Clock, book, classify, make, secret_file, settings
from unit.skyportal_server import TOKEN, cut, garbage, half, hang, says, serving, slow


@pytest.fixture
def server():
    with serving() as one:
        yield one


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "redux" / NIGHT


@pytest.fixture
def clock():
    return Clock()


def portal(tmp_path, server, **given):
    token = secret_file(tmp_path / "token", TOKEN)
    upload = {
        "backend": "skyportal",
        "url": server.url,
        "token_file": str(token),
        "instrument_id": 2,
        "group_ids": [209],
        "reduced_by": [5],
        "timeout_s": 20.0,  # a busy machine is no fault
        "retry_after_s": [0.5, 1.0, 600.0],
    }
    return settings(tmp_path, upload=upload | given)


def upload(given, clock, *, night=NIGHT, again=False, backend=None):
    backend = backend or receiver(given, clock=clock)
    run = Uploader(given, backend, clock=clock, again=again, sleep=clock.sleep).run([night])
    return {line.product: line for _, line in run}


def report(folder):
    """The report, each entry on one line again."""
    text = (folder / REPORT).read_text()
    assert max(map(len, text.splitlines())) <= 120
    return text.replace("\n" + " " * 43, " ")


def test_everything_of_a_spectrum_arrives(tmp_path, server, folder, clock):
    server.add("ZTF19aacdefg")
    server.follow_ups = [
        {"id": 11, "obj_id": "ZTF19aacdefg", "status": "deleted"},
        {"id": 12, "obj_id": "ZTF19aacdefg", "status": "submitted"},
        {"id": 99, "obj_id": "ZTF19aacdefgx", "status": "submitted"},
    ]
    make(folder, "ZTF19aacdefg", snid=True)
    lines = upload(portal(tmp_path, server), clock)
    (sent,) = server.spectra
    assert (sent["obj_id"], sent["instrument_id"], sent["group_ids"]) == ("ZTF19aacdefg", 2, [209])
    assert sent["observed_at"] == "2019-06-12T04:07:07.000Z"
    assert len(sent["wavelengths"]) == 11 and sent["fluxes"][0] == 1e-15 and sent["errors"][0] == pytest.approx(1e-16)
    assert (sent["external_reducer"], sent["reduced_by"], sent["units"]) == ("ann", [5], "erg/s/cm/cm/AA")
    assert sent["followup_request_id"] == 12
    assert sent["altdata"]["quality"] == 1 and sent["altdata"]["airmass"] == 1.01
    assert server.follow_ups[1]["status"] == "Completed Manually 2019-06-13 14:00:00"
    assert server.follow_ups[0]["status"] == "deleted" and server.follow_ups[2]["status"] == "submitted"
    (note,) = sent["annotations"]
    assert note["origin"] == "sedm:SNID"
    assert note["data"] == {**SNID, "SNIDMATCHRLAP": 9.31, "SNIDMATCHREDSHIFT": 0.042, "SNIDZMEDERR": None}
    assert len(sent["comments"]) == 1
    assert server.attachments == {(70, "ZTF19aacdefg_SEDM.pdf"): (folder / "ZTF19aacdefg_SEDM.pdf").read_bytes()}
    assert lines["ZTF19aacdefg"].state == "sent" and lines["ZTF19aacdefg"].fresh
    assert "spectrum 70; request 12 completed; classification; plot" in report(folder)
    assert f"{server.url}/source/ZTF19aacdefg" in report(folder)


def test_only_what_may_go_goes(tmp_path, server, folder, clock):
    server.add("good", "fair", "poor", "none", "bogus", "open", "star", "raw")
    make(folder, "good")
    make(folder, "fair", quality=2)
    for quality, name in ((3, "poor"), (4, "none"), (5, "bogus"), (0, "open")):
        make(folder, name, quality=quality)
    make(folder, "star", is_standard=True)
    make(folder, "raw", fluxcal=False)
    (folder / "sp_torn.fits").write_bytes(b"no FITS")
    lines = upload(portal(tmp_path, server), clock)
    assert sorted(one["obj_id"] for one in server.spectra) == ["fair", "good"]
    told = report(folder)
    for name, why in {
        "poor": "quality 3 (poor)",
        "none": "quality 4 (no object visible)",
        "bogus": "quality 5 (bogus target)",
        "open": "not graded",
        "star": "standard star",
        "raw": "not flux-calibrated",
    }.items():
        assert (lines[name].state, lines[name].text) == ("not sent", why)
        assert f"{name:32} not sent  {why}" in told
    assert lines["sp_torn.fits"].state == "unfit" and lines["sp_torn.fits"].needs_action


def test_once_only(tmp_path, server, folder, clock):
    server.add("a")
    make(folder, "a")
    given = portal(tmp_path, server)
    upload(given, clock)
    first, asked = report(folder), len(server.requests)
    clock.now += timedelta(hours=1)
    line = upload(given, clock)["a"]
    assert line.state == "sent" and not line.fresh
    assert len(server.requests) == asked, "the server was asked although all is known"
    assert report(folder) == first, "the same state makes the same report"


def test_another_grade_is_not_another_spectrum_but_other_numbers_are(tmp_path, server, folder, clock):
    server.add("a")
    given = portal(tmp_path, server)
    make(folder, "a", quality=1)
    upload(given, clock)
    make(folder, "a", quality=2)
    upload(given, clock)
    assert len(server.spectra) == 1
    make(folder, "a", quality=2, level=2e-15)
    assert upload(given, clock)["a"].fresh
    assert [one["fluxes"][0] for one in server.spectra] == [1e-15, 2e-15]
    assert "earlier   2019-06-13 14:00 UT: spectrum 70" in report(folder)


def test_a_classification_that_comes_later_goes_to_the_same_spectrum(tmp_path, server, folder, clock):
    server.add("a")
    given = portal(tmp_path, server)
    make(folder, "a", page=False)
    assert "no plot" in upload(given, clock)["a"].text
    classify(folder / "a_SEDM.txt")
    book(folder, "a")
    assert upload(given, clock)["a"].fresh
    text = (folder / "a_SEDM.txt").read_text()
    (folder / "a_SEDM.txt").write_text(text.replace("SNIDMATCHTYPE: Ia", "SNIDMATCHTYPE: Ic"))
    (folder / "a_SEDM.pdf").write_bytes(b"%PDF")
    book(folder, "a")
    upload(given, clock)
    (only,) = server.spectra
    assert [note["data"]["SNIDMATCHTYPE"] for note in only["annotations"]] == ["Ic"]
    assert [comment["attachment_name"] for comment in only["comments"]] == ["a_SEDM.pdf"]


def test_no_classification_is_none(folder):
    make(folder, "a")
    text = (folder / "a_SEDM.txt").read_text()
    (folder / "a_SEDM.txt").write_text(text.replace("# UNITS", "# SNIDMATCHTYPE: NONE\n# UNITS"))
    assert outgoing(final_spectra(folder)[0][0]).classification == {}


PASSING = {
    "500": (says(500, "oops"), False),
    "503": (says(503), False),
    "405 of a server that restarts": (says(405), False),
    "garbage": (garbage, False),
    "cut": (cut, False),
    "half": (half, False),
    "hang": (hang, False),
    "slow body": (slow, False),
    "500 after accept": (says(500, "oops"), True),
    "garbage after accept": (garbage, True),
    "cut after accept": (cut, True),
    "half after accept": (half, True),
    "hang after accept": (hang, True),
    "slow body after accept": (slow, True),
    "no number after accept": (says(200), True),
    "409 after accept": (says(409, "Conflict"), True),
}


#: These last as long as the patience.
SILENT = ("hang", "slow")
PATIENCE_S = 1.5
#: In answer to the plot, the classification or the status these mean something else.
OF_THE_SPECTRUM = ("no number after accept", "409 after accept")
CASES = [
    (name, where)
    for name in PASSING
    for where in ("spectrum$", "annotations", "comments", "facility")
    if where == "spectrum$" or name not in OF_THE_SPECTRUM
    if where in ("spectrum$", "comments") or not name.startswith(SILENT)
]


@pytest.mark.parametrize("name, where", CASES)
def test_a_fault_that_passes_costs_time_and_doubles_nothing(tmp_path, server, folder, clock, name, where):
    how, after = PASSING[name]
    server.add("a")
    server.follow_ups = [{"id": 3, "obj_id": "a", "status": "submitted"}]
    make(folder, "a", snid=True)
    server.fault("POST", where, how, after=after)
    patience = PATIENCE_S if name.startswith(SILENT) else 20.0
    line = upload(portal(tmp_path, server, timeout_s=patience), clock)["a"]
    assert (line.state, line.fresh) == ("sent", True), line.text
    assert server.faults == []
    (only,) = server.spectra
    assert len(only["annotations"]) == len(only["comments"]) == 1
    assert len(server.follow_ups[0]["history"]) == 1
    assert only["followup_request_id"] == 3
    assert clock.slept == ([] if name.startswith("409") else [0.5])


@pytest.mark.parametrize("name", ["500", "garbage", "cut", "hang", "slow body"])
def test_a_fault_of_the_question_posts_nothing_blindly(tmp_path, server, folder, clock, name):
    server.add("a")
    make(folder, "a")
    server.fault("POST", "spectrum$", cut, after=True)
    given = portal(tmp_path, server, timeout_s=PATIENCE_S if name.startswith(SILENT) else 20.0)
    for _ in range(2):  # the first look, and the one after the cut
        server.fault("GET", "spectra$", PASSING[name][0])
    upload(given, clock)
    line = upload(given, clock, again=True)["a"]
    assert line.state == "sent" and len(server.spectra) == 1


def test_the_server_says_how_long_to_wait(tmp_path, server, folder, clock):
    server.add("a", "b")
    make(folder, "a")
    make(folder, "b")
    given = portal(tmp_path, server)
    server.fault("POST", "spectrum$", says(429, "slow down", Retry_After="7"))
    server.fault("POST", "spectrum$", says(503, "", Retry_After="Thu, 13 Jun 2019 14:10:07 GMT"))
    lines = upload(given, clock)
    assert clock.slept == [7.0]
    assert lines["a"].state == "waiting" and "not before 2019-06-13 14:10:07 UT" in lines["a"].text
    assert lines["b"].state == "queued" and "not tried" in lines["b"].text, "the server asked for rest"
    assert server.spectra == []
    clock.now += timedelta(minutes=5)
    lines = upload(given, clock)
    assert (lines["a"].state, lines["b"].state) == ("waiting", "sent")
    assert "a                                waiting" in report(folder)
    clock.now += timedelta(minutes=6)
    assert upload(given, clock)["a"].state == "sent"


def test_a_server_that_is_away_is_not_asked_for_each_spectrum(tmp_path, server, folder, clock):
    given = portal(tmp_path, server, url="http://127.0.0.1:9")  # the discard port: nobody listens
    for name in "abc":
        make(folder, name)
    lines = upload(given, clock)
    assert [lines[name].state for name in "abc"] == ["waiting", "queued", "queued"]
    assert "no connection" in lines["a"].text
    assert clock.slept == [0.5, 1.0], "then 600 s, which the next run waits for"
    assert nights_due(given, "skyportal http://127.0.0.1:9", clock=clock) == [NIGHT]


def test_401_ends_the_run_and_says_what_to_do(tmp_path, server, folder, clock):
    server.add("a", "b")
    make(folder, "a")
    make(folder, "b")
    given = portal(tmp_path, server)
    secret_file(tmp_path / "token", "another-token")
    lines = upload(given, clock)
    assert [line.state for line in lines.values()] == ["queued", "queued"]
    assert "create a new one" in lines["a"].text
    assert len(server.requests) == 1 and clock.slept == []
    secret_file(tmp_path / "token", TOKEN)
    assert [line.state for line in upload(given, clock).values()] == ["sent", "sent"]


@pytest.mark.parametrize("status", [400, 403, 409, 413, 422])
def test_what_is_refused_is_not_tried_again_by_itself(tmp_path, server, folder, clock, status):
    server.add("a", "b")
    make(folder, "a")
    make(folder, "b")
    given = portal(tmp_path, server)
    server.fault("POST", "spectrum$", says(status, "Cannot find one or more groups"))
    lines = upload(given, clock)
    assert (lines["a"].state, lines["b"].state) == ("refused", "sent")
    assert "Cannot find one or more groups" in lines["a"].text and clock.slept == []
    assert "Cannot find one or more groups" in report(folder)
    asked = len(server.requests)
    assert upload(given, clock)["a"].state == "refused" and len(server.requests) == asked
    assert upload(given, clock, again=True)["a"].state == "sent"
    assert len(server.spectra) == 2


def test_a_source_that_the_server_does_not_know(tmp_path, server, folder, clock):
    make(folder, "a")
    line = upload(portal(tmp_path, server), clock)["a"]
    assert line.state == "refused" and "save it there" in line.text and "--again" in line.text
    assert server.count("POST", "spectrum") == 0


def test_the_spectrum_counts_although_its_plot_is_refused(tmp_path, server, folder, clock):
    server.add("a")
    make(folder, "a")
    server.fault("POST", "comments", says(403, "no right to comment"))
    line = upload(portal(tmp_path, server), clock)["a"]
    assert line.state == "sent" and "plot REFUSED: 403 no right to comment" in line.text


def test_a_redirect_does_not_take_the_token_away(tmp_path, server, folder, clock):
    server.add("a")
    make(folder, "a")
    with serving() as other:
        server.fault("GET", "spectra$", says(302, "", Location=f"{other.url}/api"))
        line = upload(portal(tmp_path, server), clock)["a"]
        assert other.requests == []
    assert line.state == "queued" and "has moved" in line.text


@pytest.mark.parametrize(
    "given, number",
    [({"request_from": "none"}, None), ({"request_from": "header"}, 4711), ({"request_from": "source"}, 12)],
)
def test_where_the_follow_up_request_comes_from(tmp_path, server, folder, clock, given, number):
    server.add("a")
    server.follow_ups = [{"id": n, "obj_id": "a", "status": "submitted"} for n in (4711 - 4700, 12)]
    make(folder, "a")
    line = upload(portal(tmp_path, server, **given), clock)["a"]
    assert server.spectra[0].get("followup_request_id") == number
    assert line.state == "sent"
    if number == 4711:
        assert "status REFUSED: 400 Cannot find FollowupRequest" in line.text


def test_the_token_is_seen_nowhere(tmp_path, server, folder, clock, capsys):
    server.add("a", "b")
    make(folder, "a")
    make(folder, "b")
    given = portal(tmp_path, server)
    # a server that sends back what it was given
    server.fault("POST", "spectrum$", says(400, f"I do not like token {TOKEN}"))
    server.fault("GET", "followup", says(302, "", Location=f"http://x/?t={TOKEN}"))
    (tmp_path / "sedmd.toml").write_text(toml(tmp_path, server))
    for more in (["--dry-run", "--full"], [], ["--again"]):
        main(["upload", NIGHT, "--config", str(tmp_path / "sedmd.toml"), *more])
    main(["doctor", "--config", str(tmp_path / "sedmd.toml")])
    main(["config", "show", "--config", str(tmp_path / "sedmd.toml")])
    main(["why", "a", "--config", str(tmp_path / "sedmd.toml")])
    told = capsys.readouterr()
    assert "token ***" in told.out and "I do not like token ***" in told.out
    assert TOKEN not in told.out + told.err
    backend = receiver(given, clock=clock)
    assert TOKEN not in repr(backend) + str(backend) + repr(backend.token) + f"{backend.token}"
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "token"]
    assert any(path.name.startswith("ledger.sqlite") for path in files)
    assert [path for path in files if TOKEN.encode() in path.read_bytes()] == []


def toml(tmp_path, server, **given):
    # the waits are real here
    upload = {"retry_after_s": [0.05, 0.05, 600.0], "timeout_s": 5.0, "instrument_id": 2} | given
    lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in upload.items())
    return (
        f'[paths]\nraw_root = "{tmp_path}/raw"\nredux_root = "{tmp_path}/redux"\n[upload]\nbackend = "skyportal"\n'
        f'url = "{server.url}"\ntoken_file = "{tmp_path}/token"\n{lines}\n'
    )


def test_dry_run_shows_the_requests_and_does_nothing(tmp_path, server, folder, capsys):
    server.add("a")
    make(folder, "a", snid=True, bins=40)
    secret_file(tmp_path / "token", TOKEN)
    (tmp_path / "sedmd.toml").write_text(toml(tmp_path, server))
    before = sorted(tmp_path.rglob("*"))
    assert main(["upload", "--dry-run", "--full", "--config", str(tmp_path / "sedmd.toml")]) == 0
    out = capsys.readouterr().out
    for part in ("GET {}/api/sources/a/spectra", "POST {}/api/spectrum ", "annotations", "comments", "facility"):
        assert part.format(server.url) in out
    lines = out.splitlines()
    body = json.loads(next(lines[n + 1] for n, line in enumerate(lines) if "/api/spectrum " in line))
    assert len(body["wavelengths"]) == 39 and body["obj_id"] == "a"
    main(["upload", "--dry-run", "--config", str(tmp_path / "sedmd.toml")])
    assert "... 37 more ..." in capsys.readouterr().out
    assert server.requests == [] and sorted(tmp_path.rglob("*")) == before


def test_the_command_tells_and_its_exit_code_too(tmp_path, server, folder, capsys):
    server.add("a")
    make(folder, "a")
    make(folder, "unknown")
    make(folder, "star", is_standard=True)
    secret_file(tmp_path / "token", TOKEN)
    config = tmp_path / "sedmd.toml"
    config.write_text(toml(tmp_path, server))
    assert main(["upload", "--config", str(config)]) == 1
    out = capsys.readouterr().out
    assert f"{NIGHT} a                                sent" in out
    assert "1 sent to skyportal" in out and "1 not yet or refused, 1 need nothing" in out
    server.add("unknown")
    assert main(["upload", "--again", "--config", str(config)]) == 0
    main(["why", "unknown", "--config", str(config)])
    story = capsys.readouterr().out
    assert "refused: the server does not show source" in story and "sent to skyportal" in story


def test_not_configured_is_said(tmp_path, folder, capsys):
    make(folder, "a")
    assert main(["upload", "--redux", str(tmp_path / "redux")]) == 2
    assert "[upload] backend is not set" in capsys.readouterr().err


def test_a_second_upload_at_the_same_time_waits_for_another_day(tmp_path, server, folder, clock, capsys):
    make(folder, "a")
    given = portal(tmp_path, server)
    given.paths.state.mkdir(parents=True)
    with (given.paths.state / "upload.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(Locked, match="is sending"):
            upload(given, clock)
        (tmp_path / "sedmd.toml").write_text(toml(tmp_path, server))
        assert main(["upload", "--config", str(tmp_path / "sedmd.toml")]) == 75


def test_a_lock_that_is_not_ours_to_open(tmp_path, folder, clock):
    make(folder, "a")
    given = settings(tmp_path)
    (given.paths.state / "upload.lock").mkdir(parents=True)  # root may open any file, but no directory for writing
    with pytest.raises(ConfigError, match="as the service's user"):
        upload(given, clock, backend=Scripted(Receipt(number="1")))


def test_beside_a_running_service(tmp_path, server, folder, clock):
    from sedmd.host.lock import single_instance
    from sedmd.ledger.ledger import Ledger

    server.add("a")
    make(folder, "a")
    given = portal(tmp_path, server)
    state = given.paths.state
    with single_instance(state), Ledger.open(state / "ledger.sqlite", clock=clock) as ledger:
        ledger.marks.put("hold", NIGHT, "x", "test")
        assert upload(given, clock)["a"].state == "sent"
        ledger.marks.remove("hold", NIGHT, "x")
        assert any("sent to skyportal" in text for *_, text in ledger.events.story("a"))


@pytest.mark.parametrize("after", [False, True], ids=["before accept", "after accept"])
def test_killed_in_the_middle(tmp_path, server, folder, after):
    server.add("a", "b", "c")
    for name in "abc":
        make(folder, name)
    secret_file(tmp_path / "token", TOKEN)
    config = tmp_path / "sedmd.toml"
    config.write_text(toml(tmp_path, server, timeout_s=60.0))
    server.fault("POST", "spectra/70/comments", hang, after=after)
    command = [sys.executable, "-m", "sedmd", "upload", NIGHT, "--config", str(config)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 60
        while (server.faults or (after and not server.spectra[0]["comments"])) and time.monotonic() < until:
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait(30)
    assert server.faults == [], "the server was never asked"
    given = settings(tmp_path)
    with Deliveries.open(given.paths.state, clock=Clock(), read_only=True) as queue:
        states = [one.state for one in queue.of_night(f"skyportal {server.url}", NIGHT)]
    assert states == ["sending", "queued", "queued"]
    again = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert again.returncode == 0, again.stdout + again.stderr
    assert sorted(one["obj_id"] for one in server.spectra) == ["a", "b", "c"]
    assert [len(one["comments"]) for one in server.spectra] == [1, 1, 1]


def test_killed_while_the_spectrum_itself_is_under_way(tmp_path, server, folder):
    server.add("a")
    make(folder, "a")
    secret_file(tmp_path / "token", TOKEN)
    config = tmp_path / "sedmd.toml"
    config.write_text(toml(tmp_path, server, timeout_s=60.0))
    server.fault("POST", "spectrum$", hang, after=True)
    command = [sys.executable, "-m", "sedmd", "upload", NIGHT, "--config", str(config)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 60
        while not server.spectra and time.monotonic() < until:
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait(30)
    assert len(server.spectra) == 1, "the server has it, the ledger does not know"
    assert subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0
    assert len(server.spectra) == 1


def test_a_lost_ledger_doubles_nothing(tmp_path, server, folder, clock):
    server.add("a")
    make(folder, "a", snid=True)
    given = portal(tmp_path, server)
    upload(given, clock)
    for path in given.paths.state.glob("ledger*"):
        path.unlink()
    assert upload(given, clock)["a"].fresh
    (only,) = server.spectra
    assert len(only["comments"]) == len(only["annotations"]) == 1


@pytest.mark.parametrize("how, told", [(half, "stopped after 22 of 1000 bytes"), (cut, "was cut")])
def test_an_answer_that_stops_is_none(server, how, told):
    server.fault("GET", "", how)
    with pytest.raises(NoAnswer, match=told):
        ask("GET", server.url, headers={}, timeout_s=20.0)


# the directory


def test_drop(tmp_path, folder, clock):
    outbox = tmp_path / "outbox"
    given = settings(tmp_path, upload={"backend": "drop", "directory": str(outbox), "retry_after_s": [600.0]})
    make(folder, "a", snid=True)
    assert upload(given, clock)["a"].state == "waiting"
    assert not outbox.exists(), "made where a disk should be mounted"
    outbox.mkdir()
    clock.now += timedelta(minutes=11)
    assert upload(given, clock)["a"].state == "sent"
    told = json.loads((outbox / NIGHT / "a.json").read_text())
    assert told["classification"]["SNIDMATCHTYPE"] == "Ia" and told["observed_at"].startswith("2019-06-12T04:07:07")
    names = {"a_SEDM.txt", "sp_a.fits", "a_SEDM.pdf"}
    assert set(told["sha256"]) == names
    for name in names:
        assert sha256_of(outbox / NIGHT / name) == sha256_of(folder / name) == told["sha256"][name]
    assert {path.name for path in (outbox / NIGHT).iterdir()} == {*names, "a.json"}
    before = (outbox / NIGHT / "a.json").stat().st_mtime_ns
    assert not upload(given, clock)["a"].fresh
    assert (outbox / NIGHT / "a.json").stat().st_mtime_ns == before


# parts


class Scripted:
    """A receiver that does what it is told."""

    name = "script"

    def __init__(self, *results):
        self.results = list(results)

    def send(self, spectrum):
        result = self.results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    def preview(self, spectrum, *, full):
        return []


def test_waits_grow_and_the_last_one_stays(tmp_path, folder, clock):
    make(folder, "a")
    given = settings(tmp_path, upload={"retry_after_s": [1.0, 2.0, 100.0]})
    backend = Scripted(*[TryLater("away") for _ in range(5)], Receipt(number="1"))
    for after in (100.0, 100.0, 100.0):
        start = clock.now
        line = upload(given, clock, backend=backend)["a"]
        assert line.state == "waiting"
        assert upload(given, clock, backend=backend)["a"].state == "waiting", "before its time nothing is tried"
        clock.now += timedelta(seconds=after)
        assert clock.now > start
    assert clock.slept == [1.0, 2.0] and len(backend.results) == 1
    assert upload(given, clock, backend=backend)["a"].state == "sent"


def test_a_server_that_asks_for_no_wait_is_not_asked_for_ever(tmp_path, folder, clock):
    make(folder, "a")
    given = settings(tmp_path, upload={"retry_after_s": [1.0, 2.0, 100.0]})
    line = upload(given, clock, backend=Scripted(*[TryLater("again!", after_s=0.0) for _ in range(9)]))["a"]
    assert (line.state, clock.slept) == ("waiting", [1.0, 2.0])


def test_what_was_made_anew_before_it_was_sent_is_not_waited_for(tmp_path, folder, clock):
    given = settings(tmp_path, upload={"retry_after_s": [600.0]})
    make(folder, "a")
    make(folder, "b")
    upload(given, clock, backend=Scripted(TryLater("away")))
    make(folder, "a", level=2e-15)
    make(folder, "b", quality=3)
    assert upload(given, clock, backend=Scripted(Receipt(number="1")))["a"].fresh
    with Deliveries.open(given.paths.state, clock=clock) as queue:
        assert queue.open_nights("script") == []
        assert sorted(one.state for one in queue.of_night("script", NIGHT)) == ["dropped", "dropped", "sent"]
    make(folder, "b", quality=2)
    assert upload(given, clock, backend=Scripted(Receipt(number="2")))["b"].fresh


def test_refused_and_closed_are_told_apart(tmp_path, folder, clock):
    make(folder, "a")
    make(folder, "b")
    given = settings(tmp_path)
    lines = upload(given, clock, backend=Scripted(Refused("bad"), Closed("no account")))
    assert [(one.state, one.text) for one in lines.values()] == [("refused", "bad"), ("queued", "no account")]


@pytest.mark.parametrize(
    "break_it, told",
    [
        (lambda folder: (folder / "a_SEDM.txt").unlink(), "a_SEDM.txt is missing"),
        (lambda folder: make(folder, "a", utc="yesterday"), "OBSUTC is 'yesterday'"),
        (lambda folder: make(folder, "a", bins=2), "two or more expected"),
        (lambda folder: (folder / "sp_a.fits").write_bytes(flip(folder / "sp_a.fits")), "matching checksums"),
    ],
)
def test_a_spectrum_that_cannot_be_sent_says_why(folder, break_it, told):
    make(folder, "a")
    break_it(folder)
    with pytest.raises(Unfit, match=told):
        outgoing(final_spectra(folder)[0][0])


def flip(path):
    content = bytearray(path.read_bytes())
    content[-2000] ^= 0xFF
    return bytes(content)


def test_what_the_unit_hands_on_comes_first(tmp_path):
    handed = {"CREDENTIALS_DIRECTORY": str(tmp_path / "handed"), "X": "of-the-variable"}
    (tmp_path / "handed").mkdir()
    path = secret_file(tmp_path / "token", "of-the-file")

    def read(name="upload-token", *, file=path, variable="", environment=handed):
        found = read_secret("t", file=file, variable=variable, credential=name, environment=environment)
        return found and found.text

    assert read() == "of-the-file", "nothing is handed on"
    given = secret_file(tmp_path / "handed" / "upload-token", "of-the-unit\n")
    given.chmod(0o440)  # as an access list shows
    assert read() == "of-the-unit"
    assert read(file=tmp_path / "none") == "of-the-unit", "the file is root's and cannot be read"
    assert read(file=None) == "of-the-unit"
    assert read("mail-password") == "of-the-file", "each command has its own"
    assert read(environment={}) == "of-the-file", "not under systemd"
    given.chmod(0o640)
    given.write_text("\n")  # what the unit hands on where the site put none down
    assert read() == "of-the-file"
    assert read(file=None, variable="X") == "of-the-variable"
    assert read(file=None) is None
    given.write_text("two\nlines")
    with pytest.raises(ConfigError, match="the credential upload-token of the unit holds more than one line") as error:
        read()
    assert "two" not in str(error.value)
    given.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="credential upload-token of the unit cannot be read"):
        read()


def test_a_token_of_the_unit_alone_will_do(tmp_path, monkeypatch):
    secret_file(tmp_path / "upload-token", TOKEN)
    given = settings(tmp_path, upload={"backend": "skyportal", "url": "https://fritz.science", "instrument_id": 2})
    with pytest.raises(ConfigError, match="token_file or token_env"):
        receiver(given, clock=Clock())
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert receiver(given, clock=Clock()).token.text == TOKEN


def test_a_secret_is_read_only_where_nobody_else_can(tmp_path):
    path = secret_file(tmp_path / "token", "s3cret")
    assert read_secret("t", file=path, variable="").text == "s3cret"
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="chmod 600"):
        read_secret("t", file=path, variable="")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_secret("t", file=tmp_path / "none", variable="")
    for text in ("", "two\nlines", "tab\ttab", "ümlaut"):
        bad = secret_file(tmp_path / "bad", text)
        with pytest.raises(ConfigError) as error:
            read_secret("t", file=bad, variable="")
        assert not text or text not in str(error.value)
    assert read_secret("t", file=None, variable="X", environment={"X": "abc"}).text == "abc"
    with pytest.raises(ConfigError, match="empty or not set"):
        read_secret("t", file=None, variable="X", environment={})
    assert read_secret("t", file=None, variable="") is None
    assert Secret("abc").hide("token abc!") == "token ***!"


@pytest.mark.parametrize(
    "given, told",
    [
        ({"backend": "drop"}, "directory is missing"),
        ({"backend": "skyportal", "url": "fritz.science"}, "expected an address"),
        ({"backend": "skyportal", "url": "http://fritz.science", "instrument_id": 2}, "expected https"),
        ({"backend": "skyportal", "url": "https://fritz.science"}, "instrument_id is missing"),
        ({"backend": "skyportal", "url": "https://fritz.science", "instrument_id": 2}, "token_file or token_env"),
    ],
)
def test_settings_that_cannot_be_right(tmp_path, clock, given, told):
    with pytest.raises(ConfigError, match=told):
        receiver(settings(tmp_path, upload=given), clock=clock)


@pytest.mark.parametrize("given", [True, False, -3, 0, "4711", 4711.0, 1 << 80])
def test_what_is_no_request_number_is_none(folder, given):
    make(folder, "a", req_id=given)
    assert outgoing(final_spectra(folder)[0][0]).req_id == 0


def test_a_bin_whose_error_is_zero_or_below_is_not_sent(folder):
    make(folder, "a")
    whole = outgoing(final_spectra(folder)[0][0])
    error = np.full(12, 1e-16)
    error[[0, 3, 5]] = 0.0, -1e-16, np.nan
    made = read_spectrum(folder / "sp_a.fits")[0]
    write_spectrum(folder / "sp_a.fits", replace(made, error=error), cards={"STEP": "observer"})
    sent = outgoing(final_spectra(folder)[0][0])
    assert len(sent.error) == len(whole.error) - 3 and min(sent.error) > 0


@pytest.mark.parametrize("url", ["https://ann:S3CRET@fritz.science", "https://S3CRET@fritz.science/x", "x://a:S3CRET@"])
def test_a_password_in_the_address_is_refused_and_repeated_nowhere(tmp_path, url):
    with pytest.raises(ConfigError, match="url holds a user or a password") as caught:
        settings(tmp_path, upload={"backend": "skyportal", "url": url})
    assert "S3CRET" not in str(caught.value)


def test_an_answer_with_half_a_character_is_told_and_kept(tmp_path, server, folder, clock):
    server.add("a")
    make(folder, "a")
    server.fault("POST", "spectrum$", lambda handler: handler.answer(400, message="\ud800 no\x1b[2J\nline"))
    line = upload(portal(tmp_path, server), clock)["a"]
    assert line.state == "refused" and line.text.isprintable() and "no" in line.text


def test_a_withdrawn_spectrum_is_deleted_and_not_sent_again_by_itself(tmp_path, server, folder, clock):
    server.add("a", "b")
    given = portal(tmp_path, server)
    make(folder, "a_obs1", target="a")
    make(folder, "b")
    upload(given, clock)
    backend = receiver(given, clock=clock)
    (told,) = withdraw(given, backend, "a", night=None, clock=clock)
    assert told.endswith("spectrum 70 deleted")
    assert [one["obj_id"] for one in server.spectra] == ["b"]
    line = upload(given, clock)["a_obs1"]
    assert (line.state, line.fresh) == ("not sent", False) and "withdrawn" in line.text
    with pytest.raises(ConfigError, match="nothing of the name 'a' was sent"):
        withdraw(given, backend, "a", night=None, clock=clock)
    assert upload(given, clock, again=True)["a_obs1"].fresh
    make(folder, "a_obs1", target="a", level=2e-15)
    assert upload(given, clock)["a_obs1"].fresh, "made anew it is another spectrum"
    with Ledger.open(given.paths.state / "ledger.sqlite", clock=clock) as ledger:
        assert any("withdrawn from skyportal" in text for *_, text in ledger.events.story("a_obs1"))


def test_only_what_was_sent_is_deleted(tmp_path, server, folder, clock):
    server.add("a")
    given = portal(tmp_path, server)
    make(folder, "a")
    upload(given, clock)
    server.spectra[0]["altdata"]["sedmd_sha256"] = "of somebody else"
    backend = receiver(given, clock=clock)
    with pytest.raises(Refused, match="is not the one that was sent"):
        withdraw(given, backend, "a", night=NIGHT, clock=clock)
    assert server.count("DELETE", "") == 0
    assert upload(given, clock)["a"].state == "sent"


def test_a_name_that_may_mean_several_is_not_guessed(tmp_path, server, folder, clock):
    server.add("a")
    given = portal(tmp_path, server)
    make(folder, "a_obs1", target="a")
    make(folder, "a_obs2", target="a", level=2e-15)
    upload(given, clock)
    with pytest.raises(ConfigError, match="'a' may mean a_obs1 of 20190612, a_obs2 of 20190612"):
        withdraw(given, receiver(given, clock=clock), "a", night=None, clock=clock)
    assert server.count("DELETE", "") == 0


def test_what_is_gone_there_already_is_withdrawn_too(tmp_path, server, folder, clock):
    server.add("a")
    given = portal(tmp_path, server)
    make(folder, "a")
    upload(given, clock)
    server.sources["a"].clear()
    (told,) = withdraw(given, receiver(given, clock=clock), "a", night=None, clock=clock)
    assert "no longer existed" in told


def test_everybody_may_see_it(tmp_path, server, folder, clock):
    server.add("a")
    make(folder, "a")
    given = portal(tmp_path, server, group_ids="all")
    assert given.upload.group_ids == ("all",)
    upload(given, clock)
    assert server.spectra[0]["group_ids"] == "all"
    with pytest.raises(ConfigError, match="group_ids"):
        portal(tmp_path, server, group_ids=["all", 3])
