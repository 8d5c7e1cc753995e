"""What an observer leaves: a grade, and files by names of their own."""

from __future__ import annotations

from collections.abc import Mapping

#: What a quality means; 1 and 2 are classified and uploaded.
QUALITIES: Mapping[int, str] = {1: "good", 2: "acceptable", 3: "poor", 4: "no object visible", 5: "bogus target"}

#: The grade that the pipeline gives a place where nothing is, although it is known to be the target's.
NO_OBJECT = 4

#: Figure of an extraction that an observer has to confirm or correct: why. Such a spectrum has quality 0.
PROVISIONAL = "provisional"

#: Step that the header of an observer's spectrum names.
OBSERVER = "observer"
#: Added to the name of an observer's files where the pipeline's own spectrum holds it.
REDONE = "_redo"
#: What the names of decisions end in.
DECISION_SUFFIX = ".decision.json"
#: What the first entry of a decision says.
DECISION_KIND = "sedmd decision"
