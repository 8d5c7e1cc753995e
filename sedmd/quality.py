"""How good a spectrum is, in the five grades that observers give."""

from __future__ import annotations

from collections.abc import Mapping

#: What a quality means; 1 and 2 are classified and uploaded.
QUALITIES: Mapping[int, str] = {1: "good", 2: "acceptable", 3: "poor", 4: "no object visible", 5: "bogus target"}
