"""README and docs say what the code does: its verbs, products, keys, exit codes and the two commands; they build."""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
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
DOCS = ROOT / "docs"
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted(DOCS.glob("*.md"))
EVERY_PAGE = "\n".join(path.read_text(encoding="utf-8") for path in PAGES)


def page(name: str) -> str:
    return (DOCS / f"{name}.md").read_text(encoding="utf-8")


def section(title: str, text: str = README) -> str:
    """The text from a heading to the next one of its level."""
    level, _ = title.split(" ", 1)
    _, found, rest = text.partition(f"\n{title}\n")
    assert found, f"there is no heading {title!r}"
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
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    return [re.sub(r"\\\n\s*", "", block).splitlines() for block in blocks]


def our_commands(text: str) -> list[list[str]]:
    """Arguments of every call of sedmd in the shell blocks of a text, without pipes; a variable stands for 1."""
    lines = [re.split(r" [|>] ", line)[0] for block in commands(text) for line in block]
    words = [shlex.split(re.sub(r"\$[A-Z_]+", "1", line), comments=True) for line in lines]
    return [found[1:] for found in words if found and Path(found[0]).name == "sedmd"]


def verbs() -> dict[str, argparse.ArgumentParser]:
    actions = [action for action in parser()._actions if isinstance(action, argparse._SubParsersAction)]
    assert len(actions) == 1
    return dict(actions[0].choices)


@pytest.mark.parametrize("verb", sorted(verbs()))
def test_every_verb_is_in_the_docs(verb: str) -> None:
    assert re.search(rf"\bsedmd {verb}\b", EVERY_PAGE)


@pytest.mark.parametrize("path", [ROOT / "README.md", *PAGES], ids=lambda path: path.stem)
def test_every_command_line_is_understood(path: Path) -> None:
    for arguments in our_commands(path.read_text(encoding="utf-8")):
        parser().parse_args(arguments)  # argparse leaves with SystemExit when it does not understand


def test_command_lines_are_there_to_be_understood() -> None:
    assert len(our_commands(EVERY_PAGE)) >= 40 and len(our_commands(README)) >= 4


def test_two_commands_on_a_single_line_each() -> None:
    [demo], [checks] = commands(section("## Two commands"))
    assert demo.startswith("apt-get update && ") and demo.endswith("sedmd demo")
    assert checks == "bash tests/run" and (ROOT / "tests" / "run").is_file()


def test_the_example_configuration_names_every_setting() -> None:
    text = (ROOT / "config" / "sedmd.toml").read_text(encoding="utf-8")
    given = tomllib.loads(re.sub(r"^# (\w+ = )", r"\1", text, flags=re.MULTILINE))
    assert {name: set(table) for name, table in given.items()} == {
        name: set(kind.__dataclass_fields__) for name, kind in SECTIONS.items()
    }


def test_products_are_those_of_the_recipe() -> None:
    told = {code(row[0])[0] for row in rows(section("## Files", page("products"))) if code(row[0])}
    made = {
        template.format(speed=0.1, lamp=lamp, stem="<FRAME>", target="<NAME>", product="<PRODUCT>")
        for step in RECIPE.values()
        for template in step.makes.values()
        for lamp in LAMPS
    }
    assert told == made


def test_exit_codes_are_those_of_the_program() -> None:
    told = {row[0] for row in rows(section("## Exit codes", page("operate")))}
    assert told == {*re.findall(r"^  (\d+)  ", EXIT_CODES, re.MULTILINE), "130"}


def test_keys_are_those_of_the_window() -> None:
    told: dict[Stage, dict[str, str]] = {Stage.SCALE: {}, Stage.PLACE: {}}
    for keys, scaling, placing in rows(section("## Keys of the window", page("observe"))):
        for key in code(keys):
            told[Stage.SCALE][key], told[Stage.PLACE][key] = scaling, placing
    for stage, found in told.items():
        known = {key: action.title for action in ACTIONS for key in action.keys if stage in action.stages}
        assert {key: title for key, title in found.items() if title} == known


def test_profiles_are_named() -> None:
    assert set(PROFILES) <= set(code(page("rehearse")))


@pytest.mark.parametrize("path", [ROOT / "README.md", *PAGES], ids=lambda path: path.stem)
def test_links_and_pictures_exist(path: Path) -> None:
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        assert "://" in target or (path.parent / target.partition("#")[0]).is_file(), target


def test_pictures_are_light() -> None:
    pictures = sorted(DOCS.glob("*.png"))
    assert len(pictures) >= 6
    assert all(picture.stat().st_size < 300_000 for picture in pictures)


def test_the_readme_is_short_and_leads_to_every_kind_of_reader() -> None:
    lines = README.splitlines()
    assert len(lines) <= 140
    assert [line for line in lines if len(line) > 120 and not line.startswith(("|", "apt-get update"))] == []
    assert all(f"**{reader}**" in README for reader in ("Operator", "Observer", "Astronomer"))


def test_figures_of_the_readme_are_those_measured() -> None:
    measured = " ".join(page("measured").split())
    for figure in ("177 of 186", "2 are not the target", "14 s", "23 s", "2.2; 3.0"):
        assert figure in measured
    worst = rows(section("## Figures"))
    assert ["calibration of a full night", "≤ 30 s", "14 s; of a least one on a slower machine 23 s"] in worst


def test_every_page_is_in_the_contents() -> None:
    listed = set(
        re.findall(r"^[a-z-]+$", "\n".join(re.findall(r"```\{toctree\}(.*?)```", page("index"), re.DOTALL)), re.M)
    )
    assert listed == {path.stem for path in DOCS.iterdir() if path.suffix in (".md", ".rst")} - {
        "index",
        *(path.stem for path in DOCS.glob("api-*.rst")),
    }


@pytest.mark.slow(seconds=40)
def test_the_documentation_builds_without_a_warning(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-E", "-b", "html", "-d", tmp_path / "trees"]
    done = subprocess.run([*build, DOCS, tmp_path / "html"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pages = {path.stem: path.read_text(encoding="utf-8") for path in (tmp_path / "html").glob("*.html")}
    assert all(f"sedmd {verb}" in pages["command-line"] for verb in verbs())
    assert all(name in pages["errors"] for name in ("FrameFault", "NotNow", "EngineFault", "TryLater"))
    assert "sedmd.reduce.wavelength</text>" in pages["develop"]
    # whoever reads it on a summit has no network: no script, style or picture from elsewhere
    outside = [text for text in pages.values() if re.search(r'<(script|link|img)[^>]+(src|href)="(https?:)?//', text)]
    assert outside == []


def test_every_column_of_the_products_is_told() -> None:
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "sedmd" / "products").glob("*.py")]
    columns = {name for source in sources for name in re.findall(r'Column\(\s*name="(\w+)"', source)}
    assert len(columns) > 20
    assert columns - set(code(page("products"))) == set()


def test_every_card_of_a_spectrum_is_told() -> None:
    cards = {card for card, _ in META_CARDS.values()}
    assert cards - set(code(page("products"))) == set()


def test_ascii_keys_stand_in_their_order(tmp_path: Path) -> None:
    nothing = np.zeros(2)
    wavelength, meta = np.array([5000.0, 5010.0]), dict.fromkeys(META_CARDS, 1.0)
    spectrum = Spectrum(wavelength=wavelength, flux=nothing, error=nothing, sky=nothing, unit="", meta=meta)
    written = tmp_path / "X_SEDM.txt"
    write_ascii(written, spectrum)
    keys = re.findall(r"^# (\w+):", written.read_text(), re.MULTILINE)
    assert len(keys) > 10
    assert " ".join(keys) in " ".join(page("products").split())
