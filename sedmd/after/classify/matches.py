"""Templates that look like a spectrum, and when they agree well enough to call a type secure. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

#: Counts with Ib in every engine, as SNID's own table has it; the bank of snid-sage keeps it among the II.
IIB = "IIb"
#: Types of which subtypes have names of their own.
_GROUPS = (("Ib", re.compile(r"(II-)?IIb.*|Ib.*")), ("Ia", re.compile("Ia.*")), ("Ic", re.compile("Ic.*")))
_HYDROGEN = re.compile(r"II.*")
#: A supernova by year and letters, whatever a collection puts before and after: sn94D, sn1994D, sn94D_bsnip.
_SUPERNOVA = re.compile(r"(?:sn|at)?[ _-]?((?:19|20)?\d\d)([a-z]{1,4})(?:[_.-].*)?")
#: Two digits from here on are of the last century.
_CENTURY = 50
#: What is no supernova, by the names that banks of templates use.
NOT_SN = frozenset({"notsn", "agn", "gal", "galaxy", "lbv", "m-star", "c-star", "star", "qso", "cv", "nova"})
#: Groups whose share of the matches goes into the header.
FRACTIONS = ("Ia", "Ib", "Ic", "II", "NotSN")
#: Supernovae that are taken for each other; a bank that lacks one cannot speak against the others.
SUPERNOVAE = ("Ia", "Ib", "Ic", "II")


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """One template that looks like the spectrum.

    Attributes
    ----------
    template : str
        Name of the object, without its epoch.
    label : str
        Type as the bank has it: ``Ia-norm``, ``IIP``, ``Gal``.
    score : float
        How well; larger is better. For SNID this is rlap.
    z, z_error : float
        Redshift; NaN for an error that is not known.
    age : float
        Days from maximum light; NaN where that means nothing.
    """

    template: str
    label: str
    score: float
    z: float
    z_error: float = math.nan
    age: float = math.nan

    @property
    def group(self) -> str:
        return group_of(self.label)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """When a type is secure.

    Attributes
    ----------
    best : int
        So many best objects are asked.
    least : int
        So many of them must be of the type at least.
    weight : float
        Their part of the sum of the scores of all that are asked.
    score : float
        What the best match must reach.
    unattended_ia : float
        What it must reach for a type Ia of a spectrum that no observer has looked at.
    contrast : float
        On a host, the target's part of the light at its place must be at least this.
    z_apart : float
        A match whose redshift is further than this from the middle one does not agree, with any type.
    """

    best: int = 5
    least: int = 3
    weight: float = 0.8
    score: float = 5.0
    unattended_ia: float = 0.0
    contrast: float = 0.2
    z_apart: float = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Consensus:
    """What the matches say together.

    Attributes
    ----------
    group : str
        Type by the weight of the scores; "" when nothing matches.
    secure : bool
    why : str
        Why it is not secure, as a sentence; why it is when it is secure.
    best : Match or None
        Best match of that type.
    agreeing : tuple of Match
        One for each object that says the same.
    asked : int
        Objects that were asked.
    z, z_error, age, age_error : float
        Mean over the agreeing, by score, and their scatter; NaN when unknown.
    """

    group: str
    secure: bool
    why: str
    best: Match | None = None
    agreeing: tuple[Match, ...] = ()
    asked: int = 0
    z: float = math.nan
    z_error: float = math.nan
    age: float = math.nan
    age_error: float = math.nan


def group_of(label: str) -> str:
    """Main type of a label: Ia, Ib (with IIb), Ic, II, NotSN, or the part before the first hyphen."""
    text = label.strip()
    if text.casefold() in NOT_SN or text.casefold().startswith("gal-"):
        return "NotSN"
    for group, pattern in _GROUPS:
        if pattern.fullmatch(text):
            return group
    return "II" if _HYDROGEN.fullmatch(text) else text.partition("-")[0]


def object_of(template: str) -> str:
    """One name for all names of an object: sn94D, sn1994D and sn94D_bsnip are the supernova 1994d."""
    text = template.strip().casefold()
    found = _SUPERNOVA.fullmatch(text)
    if found is None:
        return text
    year, letters = found.groups()
    if len(year) == 2:
        year = f"{19 if int(year) >= _CENTURY else 20}{year}"
    return f"sn{year}{letters}"


def best_by_object(matches: Sequence[Match]) -> list[Match]:
    """The best match of each object, best first: ten epochs of one supernova are one witness, and so are its names."""
    kept: dict[str, Match] = {}
    for match in sorted(matches, key=lambda one: (-one.score, one.template, one.label, one.age)):
        kept.setdefault(object_of(match.template), match)
    return list(kept.values())


def judge(matches: Sequence[Match], rule: Rule, missing: Sequence[str] = (), *, unattended: bool = False) -> Consensus:
    """Type, and whether the best matches agree on it.

    Parameters
    ----------
    matches : sequence of Match
        In any order; those without a finite score above zero or without a redshift are passed over.
    rule : Rule
    missing : sequence of str
        Types of which the bank has no template: with any, nothing is secure.
    unattended : bool
        No observer has looked at the spectrum.
    """
    usable = [one for one in matches if math.isfinite(one.score) and one.score > 0 and math.isfinite(one.z)]
    asked = best_by_object(usable)[: rule.best]
    if not asked:
        return Consensus(group="", secure=False, why="nothing matches")
    weights: dict[str, float] = {}
    for one in asked:
        weights[one.group] = weights.get(one.group, 0.0) + one.score
    group = max(weights, key=lambda name: (weights[name], name == asked[0].group, name))
    ours = [one for one in asked if one.group == group]
    middle = _middle(ours)
    agreeing = tuple(one for one in ours if abs(one.z - middle) <= rule.z_apart)
    part = sum(one.score for one in agreeing) / sum(one.score for one in asked)
    z, z_error = _mean([(one.z, one.score) for one in agreeing])
    age, age_error = _mean([(one.age, one.score) for one in agreeing if math.isfinite(one.age)])
    least = max(rule.score, rule.unattended_ia) if unattended and group == "Ia" else rule.score
    against = _against(asked, ours, agreeing, part, rule, group, least)
    if missing:
        against.append(f"the bank has no {' and no '.join(missing)}, which might fit better")
    return Consensus(
        group=group,
        secure=not against,
        why="; ".join(against) or f"{len(agreeing)} of the best {len(asked)} objects agree",
        best=ours[0],
        agreeing=agreeing,
        asked=len(asked),
        z=z,
        z_error=z_error,
        age=age,
        age_error=age_error,
    )


def on_a_host(alone: Consensus, together: Consensus, contrast: float, rule: Rule) -> Consensus:
    """The verdict on a target that has a host: secure only where the model of the host does not decide.

    Parameters
    ----------
    alone, together : Consensus
        On the spectrum without the host's light, and with it.
    contrast : float
        The target's part of the light at its place, 0 to 1.
    rule : Rule
    """
    against = []
    if alone.group and together.group != alone.group:
        against.append(f"with its host's light it is {together.group or 'without a match'}")
    if alone.group and not contrast >= rule.contrast:
        against.append(f"{contrast:.0%} of the light at its place is the target's, not {rule.contrast:.0%}")
    if not against:
        return alone
    why = against if alone.secure else [alone.why, *against]
    return replace(alone, secure=False, why="; ".join(why))


def fractions(matches: Sequence[Match]) -> dict[str, float]:
    """Part of the matches in each of `FRACTIONS`; all zero without a match."""
    total = max(len(matches), 1)
    return {name: sum(one.group == name for one in matches) / total for name in FRACTIONS}


def _against(
    asked: Sequence[Match],
    ours: Sequence[Match],
    agreeing: Sequence[Match],
    part: float,
    rule: Rule,
    group: str,
    least: float,
) -> list[str]:
    against = []
    if group == "NotSN":
        against.append("the best match is no supernova: a galaxy, a star, or host light")
    if asked[0].score < least:
        unseen = " that a type Ia needs unless an observer took the spectrum" if least > rule.score else ""
        against.append(f"the best match reaches {asked[0].score:.1f}, not {least:g}{unseen}")
    if asked[0].group != group:
        against.append(f"the best match is {asked[0].label}, most of the weight is {group}")
    if len(agreeing) < rule.least:
        against.append(f"{len(agreeing)} of {len(asked)} objects agree, not {rule.least}")
    if part < rule.weight:
        against.append(f"they carry {part:.0%} of the weight, not {rule.weight:.0%}")
    if len(agreeing) < len(ours) and against:
        against.append(f"{len(ours) - len(agreeing)} of this type at another redshift")
    return against


def _middle(matches: Sequence[Match]) -> float:
    """Redshift at which half of the score lies on either side."""
    ordered = sorted(matches, key=lambda one: one.z)
    half = sum(one.score for one in ordered) / 2
    reached = 0.0
    for one in ordered:
        reached += one.score
        if reached >= half:
            return one.z
    return ordered[-1].z


def _mean(values: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Weighted mean and scatter; NaN where there is none."""
    total = sum(weight for _, weight in values)
    if not values or total <= 0:
        return math.nan, math.nan
    mean = sum(value * weight for value, weight in values) / total
    if len(values) < 2:
        return mean, math.nan
    return mean, math.sqrt(sum(weight * (value - mean) ** 2 for value, weight in values) / total)
