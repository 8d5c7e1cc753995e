"""The lock, the bounds, the hooks, the citation and the changelog say what the package says."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import sedmd

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCK = (ROOT / "requirements-summit.txt").read_text(encoding="utf-8")
PYTHONS = ("3.11", "3.12", "3.13")


def locked() -> list[tuple[Requirement, list[str]]]:
    """What the lock asks for, and the checksums of each."""
    entries = re.findall(r"^(\S.*?)(?: \\)?\n((?:    --hash=.*\n)*)", re.sub(r"^ *#.*\n", "", LOCK, flags=re.M), re.M)
    return [(Requirement(text), re.findall(r"--hash=sha256:([0-9a-f]{64})\b", hashes)) for text, hashes in entries]


@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_has_one_version_of_each_dependency_within_its_bounds(python):
    where = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux"}
    found: dict[str, list[str]] = {}
    for entry, _ in locked():
        if entry.marker is None or entry.marker.evaluate(where):
            found.setdefault(canonicalize_name(entry.name), []).extend(one.version for one in entry.specifier)
    assert all(len(versions) == 1 for versions in found.values())
    for wanted in map(Requirement, PROJECT["dependencies"]):
        (version,) = found[canonicalize_name(wanted.name)]
        assert wanted.specifier.contains(version), f"{wanted}: the lock has {version}; see Release in docs/develop.md"


def test_every_entry_of_the_lock_has_checksums_and_none_says_where_from():
    assert len(locked()) > 20
    assert [entry.name for entry, hashes in locked() if not hashes] == []
    assert not re.search(r"://|index-url|find-links|trusted-host|file:|(?<![\w#-])/\w", LOCK)


@pytest.mark.parametrize("text", [one for ones in PROJECT["optional-dependencies"].values() for one in ones])
def test_every_library_has_a_lowest_version(text):
    assert any(one.operator == ">=" for one in Requirement(text).specifier)


def test_version_and_date_agree_everywhere():
    cited = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    version, released = re.search(r"^version: (.+)$", cited, re.M), re.search(r"^date-released: (.+)$", cited, re.M)
    assert version is not None and released is not None and version[1] == sedmd.__version__
    titles = re.findall(r"^## \[(.+?)\](?: - (.+))?$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    assert titles[0] == ("Unreleased", "") and titles[1] == (sedmd.__version__, released[1])
    assert [Version(name) for name, _ in titles[1:]] == sorted((Version(name) for name, _ in titles[1:]), reverse=True)


def test_hooks_run_what_the_checks_run():
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    assert re.findall(r"entry: (.+)", hooks) == [
        "ruff check --force-exclude",
        "ruff format --force-exclude",
        "python -m mypy",
    ]
    assert "repo: local" in hooks and "http" not in hooks


def test_types_are_checked_strictly():
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    assert tools["mypy"]["strict"] is True and set(tools["mypy"]["files"]) == {"sedmd", "sedmview"}
