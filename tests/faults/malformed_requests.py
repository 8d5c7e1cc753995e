"""Requests of operators as no command leaves them: rows that some process wrote into the ledger, noise at the bell."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from night.raw_night import NIGHT

#: Verbs that there are, and some that there are not.
VERBS = ("redo", "retry", "forget", "hold", "release", "accept", "scan", "mend", "", "REDO", "drop", "\n", "re\0do")
#: What stands where a name or a night is expected.
TEXTS: Mapping[str, Any] = {
    "empty": "",
    "blank": "   ",
    "a night": NIGHT,
    "an impossible night": "20179999",
    "the last night": "20991231",
    "the first night": "20000101",
    "digits of another script": "２０１９０６１２",
    "a superscript": "²0190612",
    "a way out": "../../outside",
    "an absolute path": "/outside",
    "a path with a night": "../20190612",
    "two lines": "x\n2026-11-29 00:00:00 UT  forged  line",
    "colours of a terminal": "\x1b[2J\x1b[31mred",
    "a null": "x\0y",
    "an overriding direction": "\u202egnp.exe",
    "half a character": b"\xff\xfe\xd8",
    "half a surrogate": b"\xed\xa0\x80",
    "long": "x" * 100_000,
    "a number": 20190612,
    "a real number": 1e300,
    "a blob": b"\x00\x01\x02\xff" * 10,
    "SQL": "x'; DROP TABLE frame; --",
    "a pattern": "%",
    "all patterns": "*_?[]%",
    "a range": "ifu20190612_04_00_00..ifu20190612_05_00_00",
    "a range backwards": "ifu20190612_05_00_00..ifu20190612_04_00_00",
    "a range over nights": "ifu20190612_04_00_00..ifu20200612_04_00_00",
    "a range of ranges": "a..b..c",
    "an open range": "ifu20190612_04_00_00..",
    "dots": "..",
    "a frame": "ifu20190612_04_00_00",
    "a frame with its suffix": "ifu20190612_04_00_00.fits.gz",
    "a frame of an hour that is none": "ifu20190612_99_99_99",
    "a frame of year 9999": "ifu99991231_23_59_59",
    "a frame of year 0": "ifu00000101_00_00_00",
    "a step": "flat",
    "markup": "<script>alert(1)</script>",
    "a format": "%s%n{0}{x}",
}
#: What stands where corrections of cards are expected.
CARDS: Mapping[str, Any] = {
    "none": "",
    "no JSON": "{",
    "a list": "[]",
    "a text": '"cards"',
    "null": "null",
    "an empty table": "{}",
    "no cards": '{"cards": {}}',
    "cards that are a list": '{"cards": ["EXPTIME"]}',
    "cards that are a text": '{"cards": "EXPTIME=1"}',
    "a value that is a list": '{"cards": {"EXPTIME": [1]}}',
    "a value that is a table": '{"cards": {"EXPTIME": {"a": 1}}}',
    "a time of text": '{"cards": {"EXPTIME": "long"}}',
    "a negative time": '{"cards": {"EXPTIME": -900}}',
    "not a number": '{"cards": {"EXPTIME": NaN}}',
    "an infinite time": '{"cards": {"EXPTIME": 1e999}}',
    "a card of the bytes": '{"cards": {"NAXIS1": 1}}',
    "another card of the bytes": '{"cards": {"BITPIX": -64}}',
    "a card without a name": '{"cards": {"": 1}}',
    "a name of two words": '{"cards": {"EXP TIME": 1}}',
    "a name in lower case": '{"cards": {"exptime": 1}}',
    "a name of nine letters": '{"cards": {"ABCDEFGHI": 1}}',
    "a name with a line feed": '{"cards": {"A\\nB": 1}}',
    "a text of two lines": '{"cards": {"OBJECT": "a\\nb"}}',
    "a text that is not ASCII": '{"cards": {"OBJECT": "\\u00fc"}}',
    "half a character": '{"cards": {"OBJECT": "\\ud800"}}',
    "a long text": json.dumps({"cards": {"OBJECT": "x" * 1000}}),
    "a number of many digits": '{"cards": {"FOO": ' + "9" * 900 + "}}",
    "a number of too many digits": '{"cards": {"FOO": ' + "9" * 5000 + "}}",
    "nested too deep": '{"cards": ' + "[" * 100_000 + "]" * 100_000 + "}",
    "both": '{"cards": {"EXPTIME": 1.0}, "undo": []}',
    "undo of a text": '{"undo": "EXPTIME"}',
    "undo of numbers": '{"undo": [1, 2]}',
    "undo of tables": '{"undo": [{}]}',
    "undo of nothing": '{"undo": null}',
    "a megabyte of blanks": '{"cards": {"EXPTIME": 1.0}}' + " " * 2_000_000,
    "bytes": b"\xff\xfe{}",
    "a clock of no time": '{"cards": {"UTC": "yesterday"}}',
    "a clock of an hour that is none": '{"cards": {"JD": 1}}',
    "a place that is none": '{"cards": {"OBJRA": "north"}}',
}
#: What stands where the time of the request is expected.
TIMES = ("", "yesterday", "9999-99-99", "9999-12-31T23:59:59+00:00", "0001-01-01", b"\xff", 5, "x" * 5000)
#: Datagrams that are no number of a request.
NOISE = (
    b"", b"x", b"-1", b"+1", b"1 ", b" 1", b"1\n", b"1\0", b"0x10", b"1e3", b"1.0", "²".encode(), "٣".encode(),
    b"1" * 19, b"1" * 60, b"1" * 64, b"9" * 4000, b"\xff" * 1000, b"\0" * 64, b"{}", b"1;2",
)  # fmt: skip

Row = dict[str, Any]


def row(**given: Any) -> Row:
    """A row of the table of requests; what is not given is right."""
    right = {"time": "2019-06-12T08:00:00.000+00:00", "verb": "redo", "night": "", "subject": NIGHT}
    return {**right, "who": "somebody", "cards": "", **given}


def rows() -> Iterator[tuple[str, Row]]:
    """Every malformed request with what is wrong with it."""
    for verb in VERBS:
        for what, text in TEXTS.items():
            yield f"{verb!r} of {what}", row(verb=verb, subject=text)
    for what, text in TEXTS.items():
        yield f"a night that is {what}", row(verb="hold", subject="flat", night=text)
        yield f"asked by {what}", row(verb="redo", subject="flat", who=text)
        yield f"a verb that is {what}", row(verb=text)
    for what, cards in CARDS.items():
        for subject in (NIGHT, "ifu20190612_04_00_00"):
            yield f"mend of {subject} with {what}", row(verb="mend", subject=subject, cards=cards)
    for time in TIMES:
        yield f"at {time!r}"[:60], row(verb="hold", subject="flat", time=time)
        corrections = '{"cards": {"EXPTIME": 900.0}}'
        yield f"mend at {time!r}"[:60], row(verb="mend", subject="ifu20190612_04_00_00", cards=corrections, time=time)


def leave(ledger: Path, requests: list[Row]) -> None:
    """Write rows as a process does that knows SQLite and nothing else; bytes become text that may be none."""
    with closing(sqlite3.connect(ledger, timeout=30)) as db, db:
        for one in requests:
            names = ", ".join(one)
            places = ", ".join("CAST(? AS TEXT)" if isinstance(value, bytes) else "?" for value in one.values())
            db.execute(f"INSERT INTO request ({names}) VALUES ({places})", tuple(one.values()))


#: Cards of which corrections of chance are made.
NAMES = ("EXPTIME", "OBJECT", "UTC", "RA", "JD", "NAXIS", "X", "BZERO")
_values = st.one_of(
    st.sampled_from(list(TEXTS.values())), st.text(max_size=40), st.binary(max_size=40),
    st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False),
)  # fmt: skip
_json = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)
_cards = st.one_of(
    st.sampled_from(list(CARDS.values())),
    _json.map(json.dumps),
    st.dictionaries(st.sampled_from(NAMES), _json, max_size=3).map(lambda cards: json.dumps({"cards": cards})),
    st.lists(_json, max_size=3).map(lambda cards: json.dumps({"undo": cards})),
)
#: Any request at all.
anything = st.builds(
    lambda verb, night, subject, who, cards: row(verb=verb, night=night, subject=subject, who=who, cards=cards),
    st.sampled_from(VERBS) | _values,
    st.just("") | st.just(NIGHT) | _values,
    st.sampled_from([NIGHT, "flat", "x", "ifu20190612_04_00_00"]) | _values,
    _values,
    _cards,
)
