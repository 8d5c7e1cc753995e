"""Files that others put down: whatever lies under a name costs that file a sentence, and nobody waits or dies."""

import contextlib
import io
import json
import os
import random
import socket
import string
import warnings
from datetime import UTC, datetime
from pathlib import Path

import pytest
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from sedmd.after.report.figures import night_figures
from sedmd.after.spectra import final_spectra
from sedmd.after.web.webfolder import about
from sedmd.host import foreign_file as foreign
from sedmd.host.foreign_file import ForeignFault, each, open_regular, plain, read_table, sentence, table_in
from sedmd.host.foreign_picture import MAX_PIXELS, thumbnail
from sedmd.ledger.journal import Journal, read
from sedmd.ledger.ledger import Ledger
from sedmd.observation import decisions
from sedmd.observation.noted_decisions import saved_files, take_decisions
from sedmd.observation.own_files import known_files, why_foreign
from sedmd.observation.saved import step_of
from sedmd.products.fitsio import ProductFault, read_checked
from sedmd.run.event_log import EventLog

from .test_after_spectra import spectrum
from .test_verdicts import decision

NOW = datetime(2019, 6, 12, 13, tzinfo=UTC)
NIGHT = "20190612"
#: More examples at night: SEDMD_FUZZ=2000.
EXAMPLES = int(os.environ.get("SEDMD_FUZZ", "120"))
fuzz = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
KINDS = ("pipe", "directory", "socket", "link to nowhere", "loop", "link to a pipe", "link to itself by another")


@pytest.fixture
def night(tmp_path):
    folder = tmp_path / NIGHT
    folder.mkdir()
    return folder


@pytest.fixture
def ledger():
    with Ledger.open(":memory:", clock=lambda: NOW) as made:
        yield made


def lay(folder, name, kind):
    """Something that is no file under a name."""
    path = folder / name
    with contextlib.chdir(folder), socket.socket(socket.AF_UNIX) as made:
        match kind:
            case "pipe":
                os.mkfifo(path)
            case "directory":
                path.mkdir()
            case "socket":
                made.bind(name[:90])
                Path(name[:90]).rename(name)
            case "link to nowhere":
                path.symlink_to("nowhere")
            case "loop":
                path.symlink_to(name)
            case "link to a pipe":
                os.mkfifo(folder / ".pipe")
                path.symlink_to(".pipe")
            case "link to itself by another":
                path.symlink_to(".other")
                (folder / ".other").symlink_to(name)
    return path


@pytest.mark.parametrize("follow", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_only_regular_files_are_opened_and_nobody_is_waited_for(night, kind, follow):
    path = lay(night, "x.json", kind)
    with pytest.raises(OSError) as caught:
        open_regular(path, follow=follow)
    assert "x.json" in sentence(path, caught.value)


def test_a_link_is_followed_only_on_purpose(night):
    (night / "there").write_bytes(b"content")
    (night / "link").symlink_to("there")
    with open_regular(night / "link", follow=True) as file:
        assert file.read() == b"content"
    with pytest.raises(ForeignFault, match="link is a link; expected a regular file"):
        open_regular(night / "link")


def test_a_file_beyond_its_limit_is_refused_before_it_is_read(night):
    with (night / "large").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ForeignFault, match="has 1099511627776 bytes; expected at most 1000000"):
        foreign.content_of(night / "large")


def test_each_reads_on_after_whatever_one_file_does(night):
    paths = [night / name for name in "abcd"]

    def reader(path):
        if path.name == "b":
            raise RuntimeError("two\nlines")
        if path.name == "c":
            raise MemoryError
        return path.name

    found, errors = each(paths, reader)
    assert list(found.values()) == ["a", "d"]
    assert [trouble.split()[0] for trouble in errors] == ["b", "c"]
    assert all("\n" not in trouble for trouble in errors)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[]", "expected a table"),
        ('{"a": ' + "9" * 5000 + "}", "a number of 5000 digits"),
        ('{"a": "\\ud800"}', "not Unicode"),
        ('{"\\udc80": 1}', "not Unicode"),
        ('{"a": NaN}', "not a valid number"),
        ('{"a": -Infinity}', "not a valid number"),
        ("[" * 100_000, "nested too deep"),
        ('{"a": ' * 100_000, "nested too deep"),
        ("", "Expecting value"),
    ],
)
def test_json_that_is_none_says_why(text, why):
    with pytest.raises(ValueError, match=why):
        table_in(text)


def test_a_name_of_strangers_is_one_line_that_can_be_stored():
    told = plain("a\udc80b\nc\u202ed\x1b[2J é")
    assert told.isprintable() and told.encode() and "\n" not in told
    assert told.startswith("a\\udc80b\\nc") and told.endswith("é")


# decisions

STRANGE = {
    "5000 digits": b'{"kind": "sedmd decision", "version": ' + b"9" * 5000 + b"}",
    "half a character": b'{"kind": "sedmd decision", "version": 1, "reducer": "\\ud800"}',
    "no UTF-8": b'{"kind": "\xff\xfe"}',
    "deep": b"[" * 200_000,
    "zeros": bytes(100_000),
    "large": b" " * 2_000_000,
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_decision_that_is_no_file_is_told_once(ledger, night, kind):
    decisions.write(decision("x"), night)
    lay(night, "y.decision.json", kind)
    told = take_decisions(ledger, night)
    assert [one.split(":")[0] for one in told] == ["x", "y"]
    assert "y.decision.json" in told[1]
    assert take_decisions(ledger, night) == []


@pytest.mark.parametrize("content", STRANGE.values(), ids=STRANGE)
def test_a_decision_of_strange_content_is_told_once(ledger, night, content):
    decisions.write(decision("x"), night)
    (night / "y.decision.json").write_bytes(content)
    told = take_decisions(ledger, night)
    assert [one.split(":")[0] for one in told] == ["x", "y"]
    assert all(len(one) < 600 and one.isprintable() for one in told)
    assert take_decisions(ledger, night) == []
    saved, errors = saved_files(night)
    assert saved == {} and len(errors) == 1


@pytest.mark.parametrize("name", ["a\nb", "a\udcffb", "\u202eabc", "x" * 240])
def test_a_decision_of_a_strange_name_is_told_once(ledger, night, name):
    path = night / f"{name}.decision.json"
    path.write_text("{}")
    (told,) = take_decisions(ledger, night)
    assert told.isprintable()
    assert take_decisions(ledger, night) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda of: st.lists(of) | st.dictionaries(st.text(), of),
)


@fuzz
@given(data=st.data())
def test_a_decision_with_any_value_in_any_place_is_taken_or_told(data):
    table = json.loads(decisions.to_json(decision("x")))
    places = [table, table["placement"], table["placement"]["a"], table["picture"]]
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.sampled_from(places))
        place[data.draw(st.sampled_from(sorted(place)))] = data.draw(JSON)
    with contextlib.suppress(decisions.DecisionFault):
        decisions.to_json(decisions.from_json(json.dumps(table), "x.decision.json"))


@fuzz
@given(content=st.binary(max_size=3000), cut=st.integers(0, 3000), at=st.integers(0, 3000))
def test_bytes_amid_a_decision_are_taken_or_told(content, cut, at, ledger, night):
    whole = decisions.to_json(decision("x")).encode()
    (night / "x.decision.json").write_bytes(whole[:at] + content + whole[cut:])
    assert all(one.isprintable() for one in take_decisions(ledger, night))
    saved_files(night)


# spectra and other products


def bad_card(folder, name, card):
    """A spectrum with one card that is none."""
    spectrum(folder, name)
    path = folder / f"sp_{name}.fits"
    content = path.read_bytes()
    at = content.index(b"TARGET  ")
    path.write_bytes(content[:at] + f"{card:80.80}".encode("latin-1") + content[at + 80 :])


CARDS = {
    "unparsable": "TARGET  = 'no end of this text",
    "brackets": "TARGET  = (1, 2",
    "control": "TARGET  = 'a\x01\x02'",
    "not ASCII": "TARGET  = 'é'",
    "huge": "QUALITY =" + "9" * 71,
    "no key": "=" * 80,
    "hierarch": "HIERARCH = = =",
    "continue": "CONTINUE  'amid nothing'",
    "axes": "NAXIS   =                  999",
}


@pytest.mark.parametrize("card", CARDS.values(), ids=CARDS)
def test_a_stray_spectrum_with_a_card_that_is_none_costs_itself_only(night, card):
    spectrum(night, "a")
    bad_card(night, "b", card)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found, errors = final_spectra(night)
        night_figures(night)
        step_of(night / "sp_b.fits")
    assert "a" in [one.product for one in found]
    assert len(found) + len(errors) == 2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "name", ["sp_b.fits", "e3d_crr_b_ifu20190612_04_00_00_b.fits", "bias0.1.fits", "std-correction.fits"]
)
def test_a_product_that_is_no_file_costs_itself_only(night, kind, name):
    spectrum(night, "a")
    lay(night, name, kind)
    found, errors = final_spectra(night)
    assert [one.product for one in found] == ["a"]
    assert len(errors) == (name == "sp_b.fits")
    night_figures(night)
    step_of(night / name)


@fuzz
@given(seed=st.integers(0, 2**32), hits=st.integers(1, 40))
def test_a_spectrum_with_bytes_of_chance_is_read_or_told(seed, hits, tmp_path):
    chance = random.Random(seed)
    folder = tmp_path / NIGHT
    folder.mkdir(exist_ok=True)
    path = folder / "sp_b.fits"
    if not (tmp_path / "whole").exists():
        spectrum(folder, "b")
        path.rename(tmp_path / "whole")
    content = bytearray((tmp_path / "whole").read_bytes())
    for _ in range(hits):
        content[chance.randrange(len(content))] = chance.randrange(256)
    path.write_bytes(content[: chance.choice([len(content), chance.randrange(len(content))])])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found, errors = final_spectra(folder)
        night_figures(folder)
        with contextlib.suppress(ProductFault):
            read_checked(path)
    assert len(found) + len(errors) == 1
    assert all(trouble.startswith("sp_b.fits") for trouble in errors)


# pictures


def picture(form, size=(30, 20), **more) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, "red").save(buffer, form, **more)
    return buffer.getvalue()


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_png_and_jpeg_are_pictures(form):
    with Image.open(io.BytesIO(thumbnail(picture(form, (1200, 600)), edge=300))) as small:
        assert (small.size, small.format) == ((300, 150), "JPEG")


@pytest.mark.parametrize("form", ["GIF", "TIFF", "BMP", "WEBP", "PDF", "EPS", "PPM", "ICO"])
def test_no_other_format_is_opened(form):
    with pytest.raises(OSError, match="cannot identify"):
        thumbnail(picture(form))


def test_no_program_in_a_picture_is_run(tmp_path):
    victim = tmp_path / "victim"
    script = f"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n({victim}) (w) file closefile\nshowpage\n%%EOF\n"
    with pytest.raises(OSError, match="cannot identify"):
        thumbnail(script.encode())
    assert not victim.exists()


def test_a_picture_that_unpacks_to_gigabytes_is_not_unpacked():
    edge = int(MAX_PIXELS**0.5) + 1
    buffer = io.BytesIO()
    Image.new("1", (edge, edge)).save(buffer, "PNG")
    assert len(buffer.getvalue()) < 100_000
    with pytest.raises(ValueError, match="expected at most 40 million"):
        thumbnail(buffer.getvalue())


@fuzz
@given(seed=st.integers(0, 2**32), hits=st.integers(0, 30), form=st.sampled_from(["PNG", "JPEG"]))
def test_a_picture_with_bytes_of_chance_is_shown_or_refused(seed, hits, form):
    chance = random.Random(seed)
    content = bytearray(picture(form))
    for _ in range(hits):
        content[chance.randrange(len(content))] = chance.randrange(256)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            thumbnail(bytes(content[: chance.choice([len(content), chance.randrange(len(content))])]))
        except Exception as error:  # as the page does
            assert sentence(Path("finder.png"), error).isprintable()


# records


@fuzz
@given(content=st.binary(max_size=2000))
def test_a_list_of_the_site_of_any_content_is_a_list_or_none(content, tmp_path):
    (tmp_path / "night.json").write_bytes(content)
    assert isinstance(about(tmp_path), dict)


@fuzz
@given(lines=st.lists(st.binary(max_size=200) | st.just(b'{"what": "job"}'), max_size=20))
def test_a_journal_of_any_content_is_read_to_its_end(lines, tmp_path):
    (tmp_path / "journal.jsonl").write_bytes(b"\n".join([*lines, b'{"what": "last"}']))
    assert [entry["what"] for entry in read(tmp_path / "journal.jsonl")][-1] == "last"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "directory"])
def test_nothing_is_written_through_what_is_no_file(night, kind, tmp_path):
    """A pipe in the place of the log would hold up the service, a link would write into somebody's file."""
    victim = tmp_path / "victim"
    victim.write_text("mine")
    for name in ("sedmd.log", "journal.jsonl"):
        if kind == "link to nowhere":
            (night / name).symlink_to(victim)
        else:
            lay(night, name, kind)
            (night / ".pipe").unlink(missing_ok=True)
            (night / ".other").unlink(missing_ok=True)
    EventLog(clock=lambda: NOW, redux_root=tmp_path, stream=None).event(NIGHT, "step", "x", "text")
    journal = Journal(tmp_path)
    journal.write(NIGHT, "frame", path="x")
    assert victim.read_text() == "mine"
    assert len(journal.pending) == 1


def test_a_name_cannot_forge_a_line_of_the_log(night, tmp_path):
    out = io.StringIO()
    report = EventLog(clock=lambda: NOW, redux_root=tmp_path, stream=out)
    report.event(NIGHT, "frame", "x\n2019-06-12 13:00:00 UT  service stopped", "a\x1b[2Jb\udc80")
    assert len(out.getvalue().splitlines()) == len((night / "sedmd.log").read_text().splitlines()) == 1
    assert "\x1b" not in out.getvalue()


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_that_is_no_file_is_refused(night, kind):
    path = lay(night, "x.json", kind)
    with pytest.raises(OSError):
        read_table(path)


@fuzz
@given(text=st.text(string.printable, max_size=200))
def test_text_of_any_kind_is_a_table_or_a_value_error(text):
    with contextlib.suppress(ValueError):
        assert isinstance(table_in(text), dict)


def test_a_header_without_end_is_not_read_to_the_end_of_the_disk(night):
    with (night / "sp_b.fits").open("wb") as file:
        file.write(fits.Header().tostring(endcard=False, padding=True).encode())
        file.write(b" " * 2880 * 300)
        file.truncate(1 << 33)
    found, (trouble,) = final_spectra(night)
    assert found == [] and trouble.startswith("sp_b.fits")


def test_only_what_ledger_or_decision_knows_counts(night, ledger):
    """By its bytes: a name alone is anybody's."""
    for name in ("a", "b", "c"):
        spectrum(night, name)
    booked = {name: frozenset([foreign.checksum_of(night / f"sp_{name}.fits")]) for name in "ab"}
    known = {f"sp_{name}.fits": sha for name, sha in booked.items()}
    spectrum(night, "b2")
    (night / "sp_b2.fits").replace(night / "sp_b.fits")
    found, errors = final_spectra(night, known)
    assert [one.product for one in found] == ["a"]
    assert [one.split(" ", 2)[:2] for one in errors] == [["sp_b.fits", "was"], ["sp_c.fits", "is"]]
    assert "changed by another program" in errors[0] and "neither ledger nor decision knows it" in errors[1]
    assert why_foreign(night / "sp_none.fits", known) == ""
    assert known_files(night, ledger) == ({}, []), "a ledger that knows nothing of a night vouches for nothing"
    assert known_files(night, None) == (None, [])
