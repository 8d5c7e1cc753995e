"""Report, trend and web page of a night that the ledger knows, by their commands, without a service."""

import json
import re
import shutil
import subprocess
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from PIL import Image

import sedmd.run.ingest
from sedmd import cli

from .helpers import configure
from .raw_night import NIGHT, SHAPE, whole_night
from .tell_night import give_products, reduce_targets
from .test_reduce import reduce, write

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)


@pytest.fixture(autouse=True)
def small_detector(monkeypatch):
    monkeypatch.setattr(sedmd.run.ingest, "ARRAY_SHAPE", SHAPE)


@pytest.fixture
def settings(tmp_path):
    return configure(tmp_path)


def tell(capsys, settings, *words: str, code: int = 0) -> str:
    config = settings.paths.raw_root.parent / "sedmd.toml"
    assert cli.main([*words, "--config", str(config)]) == code, capsys.readouterr()
    return capsys.readouterr().out


def test_the_report_of_a_whole_night(settings, capsys):
    write(settings, whole_night())
    reduce(settings)
    folder = give_products(settings)
    text = tell(capsys, settings, "report", NIGHT)
    assert (folder / "report.txt").read_text() == text
    assert json.loads((folder / "report.json").read_text())["night"] == NIGHT
    assert max(map(len, text.splitlines())) <= 120
    # every exposure on the sky is somewhere, with what became of it
    assert re.search(r"^\d\d:\d\d STD-Feige34_obs1 ", text, re.MULTILINE)
    assert "EmptyField_obs1 900 s, extract awaiting observer: no object stands out" in text
    assert re.search(r"failed: cube .*no trace is illuminated", " ".join(text.split()))
    assert "not used: ifu20190612_10_00_00.fits" in text
    assert "raw files and products" in text and "exposures on the sky are in a spectrum" in text
    assert "Ia-norm" in text


def test_the_report_is_the_same_until_something_happens(settings, capsys):
    folder = reduce_targets(settings, "ZTF19abc", "EmptyField")
    first = tell(capsys, settings, "report")
    inode = (folder / "report.txt").stat().st_ino
    assert tell(capsys, settings, "report") == first
    assert (folder / "report.txt").stat().st_ino == inode
    tell(capsys, settings, "hold", "EmptyField")
    assert tell(capsys, settings, "report") != first


def test_a_dry_run_writes_nothing(settings, capsys):
    folder = reduce_targets(settings, "ZTF19abc")
    assert "ZTF19abc" in tell(capsys, settings, "report", "--dry-run")
    assert json.loads(tell(capsys, settings, "trend", "--json", "--dry-run"))[0]["standards"] == 1
    out = settings.paths.redux_root.parent / "web"
    assert "would be written" in tell(capsys, settings, "publish", "--dry-run", "--out", str(out))
    assert not (folder / "report.txt").exists()
    assert not out.exists() and not (settings.paths.redux_root / "trend").exists()


def test_without_the_raw_root_nothing_is_said_of_raw_files(settings, capsys):
    reduce_targets(settings, "ZTF19abc")
    assert cli.main(["report", "--redux", str(settings.paths.redux_root)]) == 0
    text = capsys.readouterr().out
    assert "were not checked" in text and "no longer where" not in text


def test_an_unknown_night_is_refused(settings, capsys):
    reduce_targets(settings, "ZTF19abc")
    tell(capsys, settings, "report", "20190101", code=2)
    tell(capsys, settings, "publish", NIGHT, code=2)  # no folder is given for the page


def test_what_cannot_be_written_is_told_in_a_sentence(settings, capsys, tmp_path):
    reduce_targets(settings, "ZTF19abc")
    (tmp_path / "file").write_text("in the way")
    config = str(tmp_path / "sedmd.toml")
    for words in (("trend", "--out", str(tmp_path / "file")), ("publish", "--out", str(tmp_path / "file"))):
        assert cli.main([*words, "--config", config]) == 73
        assert "was not written" in capsys.readouterr().err


def test_no_night_no_trend(settings, capsys):
    tell(capsys, settings, "trend", code=2)


def test_trend_writes_table_and_plots(settings, capsys, tmp_path):
    reduce_targets(settings, "ZTF19abc")
    text = tell(capsys, settings, "trend", "--out", str(tmp_path / "t"))
    assert text.splitlines()[-1].startswith(f"{NIGHT}     15.0    15.0")
    assert sorted(path.name for path in (tmp_path / "t").iterdir()) == [
        "trend.json",
        "trend.pdf",
        "trend.png",
        "trend.txt",
    ]


@contextmanager
def server(folder):
    """A plain file server on loopback."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{made.server_port}"
        finally:
            made.shutdown()
            thread.join()


def browse(tmp_path, *words: str) -> str:
    """Run the browser without a screen; what it prints."""
    flags = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars")
    calm = ("--disable-background-networking", "--disable-component-update", "--disable-sync")
    done = subprocess.run(
        [CHROMIUM, *flags, *calm, f"--user-data-dir={tmp_path / 'browser'}", *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout


#: Put into a copy of the page by the test, never by sedmd: tells the frame around it what the browser made of it.
PROBE = """<script>addEventListener("load", () => parent.postMessage(JSON.stringify({
  images: [...document.images].map(image => image.naturalWidth > 0), wide: document.documentElement.scrollWidth,
  window: innerWidth, charts: document.querySelectorAll("svg.chart").length}), "*"));</script>"""
#: A phone: the browser's own window cannot be made so narrow.
PHONE = """<!DOCTYPE html><title></title>
<script>addEventListener("message", told => document.title = told.data)
</script>
<iframe src="probe.html" width="360" height="740" style="border: 0"></iframe>"""


@pytest.mark.skipif(not CHROMIUM, reason="no Chromium; apt-get install chromium")
@pytest.mark.parametrize("served", [True, False], ids=["served", "file"])
def test_a_browser_shows_the_page_on_a_phone(settings, capsys, tmp_path, served):
    reduce_targets(settings, "ZTF19abc", "a_very_long_name_of_a_target_that_somebody_typed_in_full", "x\"<y>&z'")
    web = tmp_path / "web"
    assert "3 spectra" in tell(capsys, settings, "publish", "--out", str(web))
    page = web / NIGHT / "index.html"
    probed = web / NIGHT / "probe.html"
    eager = page.read_text().replace(' loading="lazy"', "")  # so that the page counts as loaded when its pictures are
    probed.write_text(eager.replace("</head>", f"{PROBE}</head>"))
    phone = probed.with_name("phone.html")
    phone.write_text(PHONE)
    with server(web) as address:
        url = f"{address}/{NIGHT}/phone.html" if served else phone.as_uri()
        shown = browse(tmp_path, "--virtual-time-budget=20000", "--dump-dom", url)
    told = json.loads(re.search(r"<title>(.*?)</title>", shown)[1].replace("&quot;", '"'))
    assert told["images"] == [True, True, True]
    assert told["charts"] == 3 + 4  # a spectrum each; flexure, background, sensitivity, efficiency
    assert told["window"] == 360
    assert told["wide"] <= told["window"], "the page is wider than the phone"


@pytest.mark.skipif(not CHROMIUM, reason="no Chromium; apt-get install chromium")
def test_the_page_is_dark_at_night(settings, capsys, tmp_path):
    reduce_targets(settings, "ZTF19abc")
    tell(capsys, settings, "publish", "--out", str(tmp_path / "web"))
    page = (tmp_path / "web" / NIGHT / "index.html").as_uri()
    corners = []
    for scheme in (0, 1):  # dark, light
        shot = tmp_path / f"{scheme}.png"
        browse(
            tmp_path,
            "--window-size=500,800",
            f"--blink-settings=preferredColorScheme={scheme}",
            f"--screenshot={shot}",
            page,
        )
        with Image.open(shot) as image:
            corners.append(sum(image.convert("RGB").getpixel((2, 2))))
    assert corners[0] < 150 < 600 < corners[1]
