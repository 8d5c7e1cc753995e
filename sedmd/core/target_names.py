"""File names for targets: safe for every name an observer may type, and never read back.

The original name travels in the headers; a file name is for people and for the file system only.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping

MAX_LENGTH = 64
HASH_LENGTH = 6


def safe_name(name: str) -> str:
    """`name` as part of a file name: ASCII letters, digits and ``+ - . _``, at most `MAX_LENGTH` characters.

    Quotes vanish; blanks and every other character become an underscore, as the observers know it from the pipeline
    this one replaces. A name that would lose its identity (empty, too long, or ending like a numbered product) carries
    a short hash of the original.
    """
    plain = unicodedata.normalize("NFKD", name.strip())
    plain = re.sub(r"[\"'`]", "", plain)
    plain = "".join(char for char in plain if not unicodedata.combining(char))
    cleaned = re.sub(r"[^A-Za-z0-9+._-]", "_", plain)
    stripped = re.sub(r"^[.\-]+", "_", cleaned)
    if not re.search(r"[A-Za-z0-9]", stripped):
        return with_hash("unnamed", name)
    if len(stripped) > MAX_LENGTH or re.search(r"_obs\d+$", stripped):
        return with_hash(stripped, name)
    return stripped


def with_hash(safe: str, name: str) -> str:
    """`safe` made unique by a short hash of the original `name`."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:HASH_LENGTH]
    return f"{safe[: MAX_LENGTH - HASH_LENGTH - 1]}-{digest}"


def product_names(names: Iterable[str]) -> Mapping[str, str]:
    """Safe names of all targets of a night, no two alike.

    Where several names share a safe form, the one that needed no change keeps it and the others carry a hash; the
    answer depends on the set of names only, never on their order.
    """
    distinct = sorted(set(names))
    safe = {name: safe_name(name) for name in distinct}
    shared = Counter(safe.values())
    return {name: form if shared[form] == 1 or name == form else with_hash(form, name) for name, form in safe.items()}


def product_name(safe: str, number: int, *, pair: bool) -> str:
    """Name of one observation: ``NAME`` for a first A/B pair, ``NAME_obsN`` for everything else."""
    return safe if pair and number == 1 else f"{safe}_obs{number}"
