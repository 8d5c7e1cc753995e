"""The table of attacks: it is as large as it says, a sample of it holds, and what does not hold is told."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from benchmarks import attacks
from benchmarks.attacks import Attack, all_attacks, closing, line, main, run

#: These start programs or wait for time-outs; the whole table runs them.
LONG = ("signals:", "mail:", "memory", "clocks:", "frames: gzip", "requests:")
MEASURED = Path(__file__).parents[2] / "docs" / "measured.md"


def test_there_are_sixty_classes_and_more_each_of_another_name():
    names = Counter(one.name for one in all_attacks())
    assert len(names) >= 60 and set(names.values()) == {1}
    groups = {name.partition(":")[0].partition(",")[0] for name in names}
    assert groups >= {
        "frames", "headers", "decisions", "products", "pictures", "journals", "requests", "commands", "locks", "ledger",
        "settings", "secrets", "unit files", "names", "clocks", "disks", "signals", "SkyPortal", "mail", "bell",
        "health",
    }  # fmt: skip


def test_a_sample_of_each_class_holds(tell):
    short = [one for one in all_attacks() if not any(word in one.name for word in LONG)]
    rows = run(short, every=60)
    amiss = [line(row) + "".join(f"\n  {text}" for text in row.amiss) for row in rows if row.amiss]
    assert amiss == []
    assert all(row.inputs for row in rows)
    tell(f"sample: {closing(rows)}")


@pytest.mark.slow(seconds=120)
def test_the_whole_table_holds_and_the_docs_have_its_figure(tell, capsys):
    assert main([]) == 0
    figure = capsys.readouterr().out.strip().splitlines()[-1]
    classes, inputs = (int(number) for number in re.findall(r"\d+", figure))
    assert classes >= 60 and inputs >= 1000
    told = re.search(r"([\d ]+) malformed inputs of (\d+) classes", " ".join(MEASURED.read_text().split()))
    assert told is not None
    # a card more in the frame that each nasty text is put into changes the number a little
    assert int(told[2]) == classes and abs(int(told[1].replace(" ", "")) - inputs) < 100
    tell(figure)


def dies() -> str:
    raise ValueError("an internal error")


def table_of(monkeypatch, **inputs) -> None:
    classes = [Attack(name, lambda folder, stack, one=one: iter([("x", one)])) for name, one in inputs.items()]
    monkeypatch.setattr(attacks, "all_attacks", lambda: classes)


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (dies, "ValueError: an internal error"),
        (lambda: "two\nlines", "more than one line"),
        (lambda: "x" * 10_000, "more than one line"),
    ],
)
def test_what_does_not_hold_is_told_and_is_the_exit_code(monkeypatch, capsys, one, why):
    table_of(monkeypatch, good=lambda: "told", bad=one)
    assert main([]) == 1
    out = capsys.readouterr().out
    assert "1 NOT held" in out and why in out and "2 classes of attack, 2 malformed inputs" in out
    assert main(["--only", "good"]) == 0
    assert main(["--only", "no such class"]) == 1, "nothing that was run is nothing that held"


def test_what_takes_too_long_does_not_hold(monkeypatch):
    monkeypatch.setattr(attacks, "LONGEST_S", -1.0)
    (row,) = run([Attack("slow", lambda folder, stack: iter([("x", lambda: "told")]))])
    assert len(row.amiss) == 1 and "took" in row.amiss[0]


def test_what_is_amiss_at_the_end_does_not_hold():
    def inputs(folder, stack):
        stack.callback(dies)
        yield "x", lambda: "told"

    (row,) = run([Attack("end", inputs)])
    assert row.amiss == ["at the end: ValueError: an internal error"]
