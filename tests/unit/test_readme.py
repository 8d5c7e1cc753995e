"""The README says what the code does: its verbs, settings, products, keys and the two commands."""

from __future__ import annotations

import argparse
import re
import shlex
import tomllib
from pathlib import Path

import numpy as np
import pytest

from sedmd.cli import EXIT_CODES, parser
from sedmd.core.config import SECTIONS
from sedmd.core.recipe import RECIPE
from sedmd.products.ascii import write_ascii
from sedmd.products.spectrum import META_CARDS
from sedmd.raw.frames import LAMPS
from sedmd.reduce.numeric.containers import Spectrum
from sedmd.simulate import PROFILES
from sedmview.actions import ACTIONS
from sedmview.model import Stage

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    """The text from a heading to the next one of its level."""
    level, _ = title.split(" ", 1)
    _, found, rest = README.partition(f"\n{title}\n")
    assert found, f"README.md has no heading {title!r}"
    return re.split(rf"^#{{1,{len(level)}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def rows(text: str) -> list[list[str]]:
    """Cells of the Markdown tables in a text, without their heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    rules = {n for n, row in enumerate(cells) if all(re.fullmatch(r":?-+:?", cell) for cell in row)}
    return [row for n, row in enumerate(cells) if n not in rules and n + 1 not in rules]


def code(text: str) -> list[str]:
    """What stands between backticks, blocks apart."""
    return re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def commands(text: str) -> list[list[str]]:
    """The shell blocks of a text: their lines."""
    return [block.splitlines() for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL)]


def verbs() -> dict[str, argparse.ArgumentParser]:
    actions = [action for action in parser()._actions if isinstance(action, argparse._SubParsersAction)]
    assert len(actions) == 1
    return dict(actions[0].choices)


@pytest.mark.parametrize("verb", sorted(verbs()))
def test_every_verb_is_in_the_readme(verb: str) -> None:
    assert re.search(rf"\bsedmd {verb}\b", README)


def test_every_command_line_of_the_readme_is_understood() -> None:
    words = [shlex.split(line, comments=True) for block in commands(section("## Use")) for line in block]
    ours = [found[1:] for found in words if found and Path(found[0]).name == "sedmd"]
    assert len(ours) >= 6
    for arguments in ours:
        parser().parse_args(arguments)  # argparse leaves with SystemExit when it does not understand


def test_two_commands_on_a_single_line_each() -> None:
    [demo], [checks] = commands(section("## Two commands"))
    assert demo.startswith("apt-get update && ") and demo.endswith("sedmd demo")
    assert checks == "bash tests/run" and (ROOT / "tests" / "run").is_file()


def test_every_setting_is_in_the_table() -> None:
    found = [row for row in rows(section("### Run as a service")) if row[0].startswith("`[")]
    told = {code(row[0])[0].strip("[]"): set(code(row[1])) for row in found}
    assert told == {name: set(kind.__dataclass_fields__) for name, kind in SECTIONS.items()}


def test_the_example_configuration_names_every_setting() -> None:
    text = (ROOT / "config" / "sedmd.toml").read_text(encoding="utf-8")
    given = tomllib.loads(re.sub(r"^# (\w+ = )", r"\1", text, flags=re.MULTILINE))
    assert {name: set(table) for name, table in given.items()} == {
        name: set(kind.__dataclass_fields__) for name, kind in SECTIONS.items()
    }
    assert "(config/sedmd.toml)" in README


def test_products_are_those_of_the_recipe() -> None:
    told = {code(row[0])[0] for row in rows(section("## Products")) if code(row[0])}
    made = {
        template.format(speed=0.1, lamp=lamp, stem="<FRAME>", target="<NAME>", product="<PRODUCT>")
        for step in RECIPE.values()
        for template in step.makes.values()
        for lamp in LAMPS
    }
    assert told == made


def test_exit_codes_are_those_of_the_program() -> None:
    told = {row[0] for row in rows(section("### Exit codes"))}
    assert told == {*re.findall(r"^  (\d+)  ", EXIT_CODES, re.MULTILINE), "130"}


def test_keys_are_those_of_the_window() -> None:
    told: dict[Stage, dict[str, str]] = {Stage.SCALE: {}, Stage.PLACE: {}}
    for keys, scaling, placing in rows(section("#### Keys of the window")):
        for key in code(keys):
            told[Stage.SCALE][key], told[Stage.PLACE][key] = scaling, placing
    for stage, found in told.items():
        known = {key: action.title for action in ACTIONS for key in action.keys if stage in action.stages}
        assert {key: title for key, title in found.items() if title} == known


def test_profiles_are_named() -> None:
    assert set(PROFILES) <= set(code(section("### Rehearse")))


def test_links_and_pictures_exist_and_are_light() -> None:
    targets = [target for target in re.findall(r"\]\(([^)]+)\)", README) if "://" not in target]
    assert len(targets) >= 4
    for target in targets:
        assert (ROOT / target).is_file(), target
    assert all(picture.stat().st_size < 300_000 for picture in (ROOT / "docs").iterdir())


def test_every_column_of_the_products_is_told() -> None:
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "sedmd" / "products").glob("*.py")]
    columns = {name for source in sources for name in re.findall(r'Column\(\s*name="(\w+)"', source)}
    assert len(columns) > 20
    assert columns - set(code(section("## Products"))) == set()


def test_every_card_of_a_spectrum_is_told() -> None:
    cards = {card for card, _ in META_CARDS.values()}
    assert cards - set(code(section("## Products"))) == set()


def test_ascii_keys_stand_in_their_order(tmp_path: Path) -> None:
    nothing = np.zeros(2)
    wavelength, meta = np.array([5000.0, 5010.0]), dict.fromkeys(META_CARDS, 1.0)
    spectrum = Spectrum(wavelength=wavelength, flux=nothing, error=nothing, sky=nothing, unit="", meta=meta)
    written = tmp_path / "X_SEDM.txt"
    write_ascii(written, spectrum)
    keys = re.findall(r"^# (\w+):", written.read_text(), re.MULTILINE)
    assert len(keys) > 10
    assert " ".join(keys) in " ".join(section("## Products").split())
