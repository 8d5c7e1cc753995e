"""The journal: one line for each thing that happened, readable after any accident."""

import json

from sedmd.ledger.journal import NAME, Journal, read

NIGHT = "20190612"


def test_lines_come_back_in_order(tmp_path):
    journal = Journal(tmp_path)
    for number in range(3):
        journal.write(NIGHT, "job", key=str(number), path=tmp_path)
    entries = list(read(tmp_path / NIGHT / NAME))
    assert [entry["key"] for entry in entries] == ["0", "1", "2"]
    assert all(entry["what"] == "job" for entry in entries)
    assert journal.lost == 0


def test_a_torn_line_costs_itself_only(tmp_path):
    journal = Journal(tmp_path)
    journal.write(NIGHT, "job", key="first")
    path = tmp_path / NIGHT / NAME
    with path.open("ab") as file:
        file.write(b'{"what": "job", "key": "to')  # the power went here
    journal.write(NIGHT, "job", key="second")
    with path.open("ab") as file:
        file.write(b"\xff\xfe garbage\n[1, 2]\n{}\n")
    assert [entry["key"] for entry in read(path)] == ["first", "second"]


def test_what_cannot_be_written_waits_and_stops_nothing(tmp_path):
    (tmp_path / NIGHT).write_text("a file where the night's directory should be")
    journal = Journal(tmp_path)
    journal.write(NIGHT, "job", key="x")
    assert len(journal.pending) == 1
    journal.write("", "job", key="of no night")
    assert len(journal.pending) == 1
    (tmp_path / NIGHT).unlink()
    journal.write(NIGHT, "job", key="y")
    assert [entry["key"] for entry in read(tmp_path / NIGHT / NAME)] == ["x", "y"]
    assert not journal.pending and journal.lost == 0


def test_a_redux_root_that_is_away_is_not_made_anew(tmp_path):
    journal = Journal(tmp_path / "redux")
    journal.write(NIGHT, "job", key="x")
    assert not (tmp_path / "redux").exists()
    assert len(journal.pending) == 1


def test_every_line_is_json_of_its_own(tmp_path):
    Journal(tmp_path).write(NIGHT, "mark", text="two\nlines\u2028three")
    (line,) = (tmp_path / NIGHT / NAME).read_bytes().splitlines()
    assert json.loads(line)["text"] == "two\nlines\u2028three"
