"""Observers' decisions into the ledger: what lies in a night's directory is noted once, whoever wrote it and when."""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass
from pathlib import Path

from sedmd.ledger import Ledger
from sedmd.products.files import sha256_of
from sedmd.quality import DECISION_SUFFIX, QUALITIES

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

    A file that is no decision is told once, and again when it changes.
    """
    night = folder.name
    known = {mark.subject: mark.text for mark in ledger.marks(night, DECIDED)}
    told = []
    for path in sorted(folder.glob(f"[!.]*{DECISION_SUFFIX}")):
        digest = sha256_of(path)
        subject = path.name.removesuffix(DECISION_SUFFIX)
        if f'"sha256": "{digest}"' in known.get(subject, ""):
            continue
        # read with the reduction's own classes: loaded only when there is something to read
        decisions = importlib.import_module("sedmd.decisions")
        try:
            decision = decisions.read(path)
        except (decisions.DecisionFault, OSError) as error:
            ledger.mark(DECIDED, night, subject, json.dumps({"sha256": digest, "fault": str(error)}))
            told.append(f"{subject}: decision not taken: {error}")
            continue
        entry = {
            "product": decision.product,
            "saved_as": decision.saved_as,
            "quality": decision.quality,
            "reducer": decision.reducer,
            "time": decision.time,
            "sha256": digest,
        }
        ledger.mark(DECIDED, night, subject, json.dumps(entry))
        text = f"{decision.quality} {QUALITIES[decision.quality]}, by {decision.reducer}"
        ledger.note(night, decision.product, f"observer: {text}; saved as {decision.saved_as}")
        told.append(f"{decision.product}: observer: {text}")
    return told


def decided(ledger: Ledger, night: str) -> dict[str, Decided]:
    """The newest decision on each observation of a night, by product."""
    found: dict[str, Decided] = {}
    for mark in ledger.marks(night, DECIDED):
        entry = json.loads(mark.text)
        if "fault" in entry:
            continue
        one = Decided(**entry)
        if one.product not in found or found[one.product].time <= one.time:
            found[one.product] = one
    return found
