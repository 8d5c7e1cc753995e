"""Observers' decisions into the ledger: what lies in a night's directory is noted once, whoever wrote it and when."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from sedmd.core.quality import DECISION_KIND, DECISION_SUFFIX, QUALITIES
from sedmd.host.foreign_file import content_of, each, plain, read_table, sentence
from sedmd.ledger.ledger import Ledger

#: Kind of the marks that hold decisions; their subject is the observation.
DECIDED = "decision"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What an observer decided about an observation: `saved_as` is the name of the files."""

    product: str
    saved_as: str
    quality: int
    reducer: str
    time: str
    sha256: str


def take_decisions(ledger: Ledger, folder: Path) -> list[str]:
    """Note the decisions in a night's directory that the ledger does not have yet; a sentence for each.

    A file that is no decision is reported once, and again when it changes.
    """
    night = folder.name
    known = {mark.subject: mark.text for mark in ledger.marks.of_night(night, DECIDED)}
    told = []
    for path in decision_files(folder):
        subject = plain(path.name.removesuffix(DECISION_SUFFIX))
        content, digest, fault = _looked_at(path)
        if f'"sha256": "{digest}"' in known.get(subject, ""):
            continue
        decision = None
        if not fault:
            # read with the reduction's own classes: loaded only when there is something to read
            from sedmd.observation import decisions

            try:
                decision = decisions.from_json(content.decode("utf-8"), path.name)
            except Exception as error:
                # the border: whatever a stranger's file does to its reader costs that file only
                fault = sentence(path, error)
        if decision is None:
            fault = plain(fault)
            ledger.marks.put(DECIDED, night, subject, json.dumps({"sha256": digest, "fault": fault}))
            told.append(f"{subject}: decision not taken: {fault}")
            continue
        entry = {
            "product": decision.product,
            "saved_as": decision.saved_as,
            "quality": decision.quality,
            "reducer": decision.reducer,
            "time": decision.time,
            "sha256": digest,
        }
        ledger.marks.put(DECIDED, night, subject, json.dumps(entry))
        text = f"{decision.quality} {QUALITIES[decision.quality]}, by {decision.reducer}"
        ledger.events.note(night, decision.product, f"observer: {text}; saved as {decision.saved_as}")
        told.append(f"{decision.product}: observer: {text}")
    return told


def decision_files(folder: Path) -> list[Path]:
    """What claims to be a decision in a night's directory, by name."""
    return sorted(folder.glob(f"[!.]*{DECISION_SUFFIX}"))


def saved_files(folder: Path) -> tuple[dict[Path, str], list[str]]:
    """Files that observers saved in a night -> their SHA-256, as the decisions tell; and what is no decision."""
    decisions, errors = each(decision_files(folder), read_table)
    saved: dict[Path, str] = {}
    for path, table in decisions.items():
        products = table.get("products")
        if table.get("kind") != DECISION_KIND or not isinstance(products, dict):
            errors.append(f"{path.name}: not a decision of sedmview; remove it, or save the target again")
            continue
        saved |= {folder / name: sha for name, sha in products.items() if _is_name(name) and isinstance(sha, str)}
    return saved, errors


def _is_name(text: str) -> bool:
    """The name of a file, and no way to another directory."""
    return Path(text).name == text and text not in ("", ".", "..") and text.isprintable()


def _looked_at(path: Path) -> tuple[bytes, str, str]:
    """Content, digest and fault of a file; one that cannot be read has a digest by which it is reported once."""
    try:
        content = content_of(path)
    except Exception as error:
        fault = sentence(path, error)
        return b"", hashlib.sha256(fault.encode("utf-8", "replace")).hexdigest(), fault
    return content, hashlib.sha256(content).hexdigest(), ""


def decided(ledger: Ledger, night: str) -> dict[str, Decided]:
    """The newest decision on each observation of a night, by product."""
    found: dict[str, Decided] = {}
    for mark in ledger.marks.of_night(night, DECIDED):
        entry = json.loads(mark.text)
        if "fault" in entry:
            continue
        one = Decided(**entry)
        if one.product not in found or found[one.product].time <= one.time:
            found[one.product] = one
    return found
