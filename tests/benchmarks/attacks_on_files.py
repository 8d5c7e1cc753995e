"""Attacks by files: frames, headers, decisions, products, pictures, journals, spectra as text; and what is no file."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.attacks import Attack, Try
from faults import malformed
from faults.malformed import Malformed, card, frame, good_frames, images, with_header
from faults.malformed_answers import BODIES, VALUES
from faults.test_malformed_frames import HEADERS, NASTY, WHOLE, check_reason, edited, judge, read_header
from night.raw_night import SHAPE
from PIL import Image
from unit.test_after_spectra import spectrum
from unit.test_foreign import CARDS, KINDS, NIGHT, NOW, STRANGE, bad_card, lay, picture
from unit.test_verdicts import decision

import sedmd.run.ingest
from sedmd.after.classify.classification import take_up
from sedmd.after.classify.snid import parse
from sedmd.after.report.figures import night_figures
from sedmd.after.spectra import final_spectra
from sedmd.after.web.webfolder import about
from sedmd.core.errors import SedmError
from sedmd.host.foreign_file import ForeignFault, open_to_append, sentence, table_in
from sedmd.host.foreign_picture import jpeg_apart, picture_bytes, thumbnail
from sedmd.ledger.journal import read
from sedmd.ledger.ledger import Ledger
from sedmd.observation import decisions
from sedmd.observation.noted_decisions import saved_files, take_decisions
from sedmd.observation.saved import ReplayFault, replay, step_of
from sedmd.products.published import read_published

#: Classes of malformed frames: what makes them, and what they are.
FRAMES = {
    "numbers": malformed._numbers, "labels": malformed._labels, "clocks": malformed._clocks,
    "optional cards": malformed._optional, "structure": malformed._structure, "shapes": malformed._shapes,
    "pixels": malformed._pixels, "scaling": malformed._scaling, "cut": malformed._cuts, "reserved": malformed._reserved,
    "checksums": malformed._sums, "gzip": malformed._gzip, "fpack": malformed._fpack,
    "other formats": malformed._other_formats, "no files": malformed._no_files, "odd headers": malformed._odd_headers,
}  # fmt: skip
#: Names that a file may have.
NAMES = (
    "a\nb", "a\udcffb", "\u202eabc", "x" * 200, " ", "-rf", "--config=x", "a;b", "$(id)", "`id`", "a|b", "a'b", 'a"b',
    "*", "[a]", "~", "..a", "a\tb", "a\rb", "a\x1b[2Jb", "é", "é", "ａ", "\u200b", "CON", "a\\b", "%s%n", "{0}",
    "a%00b",
)  # fmt: skip
#: Text in the place of a spectrum.
TEXTS = {
    "nothing": b"", "one line": b"4000 1 1\n", "words": b"wavelength flux\na b\n", "one column": b"1\n2\n3\n" * 50,
    "four columns that differ": b"1 2 3 4\n1 2\n" * 50, "not a number": b"4000 nan nan\n" * 50,
    "backwards": b"9 1\n8 1\n" * 50,
    "infinite": b"1e999 1 1\n" * 50, "nulls": b"\0" * 5000, "bytes": bytes(range(256)) * 20, "FITS": b"SIMPLE  =" * 320,
    "a page": b"<html></html>",
    "digits of another script": "٤٠٠٠ ١\n".encode() * 50, "commas": b"4,000 1,5\n" * 50,
    "a line of a megabyte": b"1 " * 500_000, "an endless header": b"# a: b\n" * 100_000,
    "gzip": b"\x1f\x8b\x08" * 100,
    "the same wavelength": b"4000 1 1\n" * 60, "UTF-16": "4000 1\n".encode("utf-16") * 40,
    "negative": b"-4000 1 1\n" * 60,
}  # fmt: skip


def attacks() -> list[Attack]:
    """All of them."""
    found = [Attack(f"frames: {what}", partial(_frames, make)) for what, make in FRAMES.items()]
    found += [Attack(f"frames: bytes of chance, {what}", partial(_edited_frames, what)) for what in WHOLE]
    return [
        *found,
        Attack("frames: each card gives way to a nasty text", _nasty_cards),
        Attack("frames: good ones among them", _good_frames),
        Attack("headers: bytes of chance", _edited_headers),
        Attack("headers: nothing but noise", _noise_headers),
        Attack("decisions: what is no file", _decisions_that_are_no_files),
        Attack("decisions: content", _decisions_of_strange_content),
        Attack("decisions: names", _decisions_of_strange_names),
        Attack("decisions: a value in any place", _decisions_with_values),
        Attack("decisions: cut", _decisions_cut),
        Attack("decisions: replayed", _decisions_replayed),
        Attack("decisions: a way out by a name", _decisions_that_lead_out),
        Attack("products: what is no file", _products_that_are_no_files),
        Attack("products: a card that is none", _products_with_bad_cards),
        Attack("products: bytes of chance", _products_with_bytes_of_chance),
        Attack("products: links of the night's records", _records_behind_links),
        Attack("pictures: other formats", _other_pictures),
        Attack("pictures: PNG, bytes of chance", partial(_pictures_of_chance, "PNG")),
        Attack("pictures: JPEG, bytes of chance", partial(_pictures_of_chance, "JPEG")),
        Attack("pictures: what is no file", _pictures_that_are_no_files),
        Attack("pictures: more than there is memory", _bombs),
        Attack("journals: bytes of chance", _journals),
        Attack("JSON: bodies", _json_bodies),
        Attack("site: lists of what it made", _site_lists),
        Attack("classifications: records", _classifications),
        Attack("classifications: answers of SNID", _snid_answers),
        Attack("spectra as text: content", _published),
        Attack("spectra as text: what is no file", _published_that_are_no_files),
    ]


def told_of(path: Path, do: Callable[[], object], *expected: type[Exception]) -> str:
    """What a command says of a file: the sentence of the border, or that it was taken."""
    try:
        do()
    except expected as error:
        return sentence(path, error)
    return "taken"


# frames


def _frames(
    make: Callable[[], Iterator[Malformed]], folder: Path, stack: contextlib.ExitStack
) -> Iterator[tuple[str, Try]]:
    def one(entry: Malformed, number: int) -> str:
        path = entry.write(folder, number)
        outcome, reason = judge(path)
        check_reason(outcome, reason, path)
        assert outcome == entry.outcome and entry.word in reason, f"{outcome}: {reason}"
        return f"{outcome}: {reason}"

    for number, entry in enumerate(make()):
        yield entry.kind, partial(one, entry, number)


def _edits(chance: random.Random) -> list[tuple[str, float, int, bytes]]:
    verbs = ("overwrite", "insert", "delete", "cut", "zero", "swap", "repeat", "card", "value")
    pieces = [*NASTY, chance.randbytes(20)]
    return [
        (chance.choice(verbs), chance.random(), chance.randrange(1, 3000), chance.choice(pieces))
        for _ in range(chance.randrange(1, 5))
    ]


def _edited_frames(name: str, folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    whole, suffix = WHOLE[name]

    def one(seed: int) -> str:
        chance = random.Random(f"{name} {seed}")
        path = folder / f"ifu20190612_04_28_02{suffix}"
        path.write_bytes(edited(whole, _edits(chance), len(whole) if seed % 2 else 8640))
        outcome, reason = judge(path)
        check_reason(outcome, reason, path)
        return f"{outcome}: {reason}"

    for seed in range(40):
        yield f"seed {seed}", partial(one, seed)


def _nasty_cards(folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    whole = frame()
    found = images(whole)
    path = folder / "ifu20190612_04_28_02.fits"

    def one(at: int, text: bytes) -> str:
        path.write_bytes(with_header(whole, [*found[:at], card(text), *found[at + 1 :]]))
        outcome, reason = judge(path)
        check_reason(outcome, reason, path)
        return f"{outcome}: {reason}"

    for at in range(len(found)):
        for text in NASTY:
            yield f"card {at}: {text[:20]!r}", partial(one, at, text)


def _good_frames(folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    def one(name: str, content: bytes) -> str:
        (folder / name).write_bytes(content)
        assert judge(folder / name) == ("good", "")
        return "taken in"

    for name, content in good_frames(20).items():
        yield name, partial(one, name, content)


def _edited_headers(folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    def one(seed: int) -> str:
        chance = random.Random(seed)
        header = chance.choice(HEADERS)
        return read_header(edited(header, _edits(chance), len(header)))

    for seed in range(300):
        yield f"seed {seed}", partial(one, seed)


def _noise_headers(folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    for seed in range(100):
        content = random.Random(seed).randbytes(seed * 40)
        yield f"seed {seed}", partial(read_header, content)


# decisions


def _taking(folder: Path) -> Callable[[], str]:
    """Takes in what lies in a night beside a good decision, which must be taken; and again, which says nothing more."""

    def take() -> str:
        with Ledger.open(":memory:", clock=lambda: NOW) as ledger:
            decisions.write(decision("a"), folder)
            told = take_decisions(ledger, folder)
            assert any(one.startswith("x: observer") for one in told), told
            assert take_decisions(ledger, folder) == []
            saved_files(folder)
        return "; ".join(one for one in told if not one.startswith("x: observer: 1 good, by ann")) or "taken"

    return take


def _night(folder: Path) -> Path:
    night = folder / NIGHT
    shutil.rmtree(night, ignore_errors=True)
    night.mkdir()
    return night


def _decisions_that_are_no_files(folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    def one(kind: str) -> str:
        night = _night(folder)
        lay(night, "y.decision.json", kind)
        told = _taking(night)()
        assert "y.decision.json" in told
        return told

    for kind in KINDS:
        yield kind, partial(one, kind)


def _decided_by(content: bytes, folder: Path, name: str = "y") -> str:
    night = _night(folder)
    (night / f"{name}.decision.json").write_bytes(content)
    return _taking(night)()


def _decisions_of_strange_content(folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    for what, content in {**STRANGE, **BODIES}.items():
        yield what, partial(_decided_by, content, folder)


def _decisions_of_strange_names(folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    for name in NAMES:
        yield repr(name[:20]), partial(_decided_by, b"{}", folder, name)


def _decisions_with_values(folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    whole = json.loads(decisions.to_json(decision("y")))
    places = [(), ("placement",), ("placement", "a"), ("picture",), ("cubes", 0)]
    for place in places:
        table: Any = whole
        for key in place:
            table = table[key]
        for key in table if isinstance(table, dict) else range(len(table)):
            for value in VALUES:
                changed = json.loads(json.dumps(whole))
                inner = changed
                for step in place:
                    inner = inner[step]
                inner[key] = value
                content = json.dumps(changed).encode()
                yield f"{'.'.join(map(str, (*place, key)))} {value!r}"[:60], partial(_decided_by, content, folder)


def _decisions_cut(folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    whole = decisions.to_json(decision("y")).encode()
    for length in range(0, len(whole) - 2, 23):
        yield f"{length} bytes", partial(_decided_by, whole[:length], folder)


def _decisions_replayed(folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    def one(content: bytes) -> str:
        path = _night(folder) / "y.decision.json"
        path.write_bytes(content)
        return told_of(path, lambda: replay(path), ReplayFault, decisions.DecisionFault, SedmError)

    for what, content in {**STRANGE, **BODIES}.items():
        yield what, partial(one, content)


def _decisions_that_lead_out(folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    """Names in a decision that are ways to other places: nothing may be told, sent or removed there."""
    precious, night = folder / "precious", (folder / NIGHT).resolve()
    precious.write_text("precious")
    whole = json.loads(decisions.to_json(decision("y")))

    def one(way: str) -> str:
        told = []
        for key, value in (
            ("saved_as", way), ("product", way), ("cubes", [[way, "0" * 64]]), ("products", {way: "0" * 64}),
            ("fluxcal", [way, "0" * 64]),
        ):  # fmt: skip
            told.append(_decided_by(json.dumps({**whole, key: value}).encode(), folder))
            saved, _ = saved_files(folder / NIGHT)
            assert all(path.parent.resolve() == path.resolve().parent == night for path in saved), saved
        assert precious.read_text() == "precious"
        assert all("not taken" in one for one in told), told
        return told[0]

    ways = ("../precious", "/etc/passwd", "..", ".", "a/b", "../../x", "\\\\host\\x", "~/x", "x\0y", ".hidden", "-x/..")
    for way in (*ways, ""):
        yield repr(way), partial(one, way)


# products


def _final(night: Path, path: Path) -> str:
    """What is told, sent and published of a night with one good spectrum and one that is none."""
    found, errors = final_spectra(night)
    night_figures(night)
    step_of(path)
    assert "a" in [one.product for one in found], "the good spectrum is lost"
    return "; ".join(errors) or "read"


def _products_that_are_no_files(folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    def one(kind: str, name: str) -> str:
        night = _night(folder)
        spectrum(night, "a")
        return _final(night, lay(night, name, kind))

    for kind in KINDS:
        for name in ("sp_b.fits", "e3d_crr_b_ifu20190612_04_00_00_b.fits", "bias0.1.fits", "std-correction.fits"):
            yield f"{name} is {kind}", partial(one, kind, name)


def _products_with_bad_cards(folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    def one(text: str) -> str:
        night = _night(folder)
        spectrum(night, "a")
        bad_card(night, "b", text)
        return _final(night, night / "sp_b.fits")

    for what, text in {**CARDS, **{repr(nasty): nasty.decode("latin-1") for nasty in NASTY}}.items():
        yield what, partial(one, text)


def _products_with_bytes_of_chance(folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    def one(seed: int) -> str:
        chance, night = random.Random(seed), _night(folder)
        spectrum(night, "a")
        spectrum(night, "b")
        path = night / "sp_b.fits"
        content = bytearray(path.read_bytes())
        for _ in range(chance.randrange(1, 40)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        path.write_bytes(content[: chance.choice([len(content), chance.randrange(len(content))])])
        return _final(night, path)

    for seed in range(60):
        yield f"seed {seed}", partial(one, seed)


def _records_behind_links(folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    precious = folder / "precious"
    precious.write_text("precious")

    def one(name: str, kind: str) -> str:
        path = _night(folder) / name
        match kind:
            case "link":
                path.symlink_to(precious)
            case "pipe":
                os.mkfifo(path)
            case "device":
                _null(path)
        told = told_of(path, lambda: open_to_append(path).close(), ForeignFault, OSError)
        assert precious.read_text() == "precious"
        assert told != "taken"
        return told

    for name in ("sedmd.log", "journal.jsonl"):
        for kind in ("link", "pipe", *(("device",) if os.geteuid() == 0 else ())):
            yield f"{name} is a {kind}", partial(one, name, kind)


def _null(path: Path) -> None:
    os.mknod(path, 0o600 | 0o020000, os.makedev(1, 3))


# pictures


def _shown(content: bytes) -> str:
    return told_of(Path("finder.png"), lambda: thumbnail(content, edge=100), Exception)


def _other_pictures(folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    def one(content: bytes) -> str:
        told = _shown(content)
        assert told != "taken"
        return told

    for form in ("GIF", "TIFF", "BMP", "WEBP", "PDF", "EPS", "PPM", "ICO"):
        yield form, partial(one, picture(form))
    yield "SVG", partial(one, b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>")
    yield "a page", partial(one, b"<html></html>")
    yield "nothing", partial(one, b"")
    yield "only the first bytes of a PNG", partial(one, b"\x89PNG\r\n\x1a\n")
    yield "only the first bytes of a JPEG", partial(one, b"\xff\xd8\xff")


def _pictures_of_chance(form: str, folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    whole = picture(form)

    def one(seed: int) -> str:
        chance = random.Random(seed)
        content = bytearray(whole)
        for _ in range(chance.randrange(1, 30)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        return _shown(bytes(content[: chance.choice([len(content), chance.randrange(len(content))])]))

    for seed in range(60):
        yield f"seed {seed}", partial(one, seed)


def _pictures_that_are_no_files(folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    def one(kind: str) -> str:
        path = lay(_night(folder), "finder_1ACQ-a_1.png", kind)
        told = told_of(path, lambda: picture_bytes(path), OSError)
        assert told != "taken"
        return told

    for kind in KINDS:
        yield kind, partial(one, kind)


def _bombs(folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    def one(content: bytes) -> str:
        told = told_of(Path("finder.png"), lambda: jpeg_apart(content, edge=100), Exception)
        assert told != "taken"
        return told

    for size in ((20_000, 20_000), (1, 50_000_000), (65_000, 700)):
        buffer = io.BytesIO()
        Image.new("1", size).save(buffer, "PNG")
        yield f"{size[0]} x {size[1]}", partial(one, buffer.getvalue())


# records


def _journals(folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    path = folder / "journal.jsonl"

    def one(content: bytes) -> str:
        path.write_bytes(content + b'\n{"what": "good"}\n')
        found = [entry["what"] for entry in read(path)]
        assert found[-1] == "good", found
        return f"{len(found)} lines taken"

    for what, content in {**STRANGE, **BODIES}.items():
        yield what, partial(one, content)
    for seed in range(20):
        yield f"seed {seed}", partial(one, random.Random(seed).randbytes(200))


def _json_bodies(folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    for what, content in {**STRANGE, **BODIES}.items():
        text = content.decode("utf-8", "replace")
        yield what, partial(told_of, Path("x.json"), partial(table_in, text), ValueError)


def _site_lists(folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    def one(content: bytes) -> str:
        (folder / "night.json").write_bytes(content)
        assert isinstance(about(folder), dict)
        return "none is believed"

    for what, content in {**STRANGE, **BODIES}.items():
        yield what, partial(one, content)


def _classifications(folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    def one(content: bytes) -> str:
        night = _night(folder)
        spectrum(night, "a")
        (night / "a.classification.json").write_bytes(content)
        with Ledger.open(":memory:", clock=lambda: NOW) as ledger:
            return "; ".join(take_up(ledger, night)) or "not taken"

    for what, content in {**STRANGE, **BODIES}.items():
        yield what, partial(one, content)
    for number, value in enumerate(VALUES):
        yield f"value {number}", partial(one, json.dumps({"kind": value, "product": value, "type": value}).encode())


def _snid_answers(folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    for what, content in {**BODIES, **TEXTS}.items():
        text = content[:200_000].decode("latin-1")
        yield what, partial(told_of, Path("snid.output"), partial(parse, text), SedmError, ValueError)


def _published(folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    path = folder / "spec.txt"

    def one(content: bytes) -> str:
        path.write_bytes(content)
        return told_of(path, lambda: read_published(path), SedmError)

    for what, content in {**TEXTS, **BODIES}.items():
        yield what, partial(one, content)


def _published_that_are_no_files(folder: Path, stack: contextlib.ExitStack) -> Iterator[tuple[str, Try]]:
    def one(kind: str) -> str:
        path = lay(_night(folder), "spec.txt", kind)
        return told_of(path, lambda: read_published(path), SedmError, OSError)

    for kind in KINDS:
        yield kind, partial(one, kind)


sedmd.run.ingest.ARRAY_SHAPE = SHAPE
