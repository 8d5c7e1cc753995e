"""Plain words of the field in what people read: texts, docstrings and documents."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = sorted([*(ROOT / "sedmd").rglob("*.py"), *(ROOT / "sedmview").rglob("*.py")])
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES = sorted((ROOT / "sedmd" / "after" / "templates").glob("*.html"))
UNITS = sorted((ROOT / "systemd").glob("*.service"))

#: Words that only this project would understand, and the word of the field.
PLAIN = {
    r"\bwhat (became|becomes|has become) of\b|\bbecomes? of (it|a|the)\b": "outcome",
    r"\bfates?\b": "outcome",
    r"\bput(s|ting)? aside\b": "rejected, or moved aside",
    r"\b(left|leaves?|leaving) (it |them |the frame )?out\b": "rejected, excluded, omitted or neglected",
    r"\bhow sure\b|% sure\b|\bsurer\b": "confidence",
    r"\bwhat (else )?speaks (for|against)\b|\bspeaks? against\b": "concerns",
    r"\bdoubt(s|ed|ful)?\b": "concern, or uncertainty",
    r"\b(dis)?trust(s|ed)?\b": "confidence, weight, reliable or usable",
    r"\b(take|takes|taken|taking) off\b": "subtracted",
    r"\bserves?\b(?! as sky)|\bserved\b": "using calibrations from NIGHT (N nights old); is used",
    r"\bdepart(s|ed|ures?)?\b": "geometry change",
    r"\ball the same\b": "nevertheless",
    r"\bdeaf\b": "inotify events missed",
    r"\btroubles\b|\bcares\b": "errors and warnings",
    r"\bamiss\b": "wrong, failed",
    r"\bmended\b|\bmends? itself\b|\bto mend\b(?!`)": "corrected, repaired, restarted",
    r"\b[Ww]hatever\b": "a direct statement",
    r"\banew\b": "again; remade",
    r"\b(is|are|was|were|been|be) (not )?told\b|\b(un)?told by\b|\buntold\b": "reported, given, measured",
    r"\btargets? (land|lands|landed)\b|\blandings?\b": "target position in the field",
    r"\bstray(s|ed|ing)?\b|\bastray\b": "outlier, residual scatter, deviate",
}
#: Names of programs' interfaces that hold one of these words: keys of JSON, figures of jobs, metrics, cards.
INTERFACES = {
    "left out",
    "left out [px]",
    "doubts",
    "departed",
    "troubles",
    "cares",
    "fate",
    "targets land at [arcsec]",
}
#: Terms that hold one of these words and are the usual ones.
TERMS = r"certificate is not trusted|sedmd mend\b[^.;]*|metrics are served|being served|^ +doubts :|line\.doubts\b"


def texts_of(path):
    """Line and text of each literal of a file of Python: what is outside the braces of an f-string, too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value not in INTERFACES:
            for number, line in enumerate(node.value.splitlines()):
                yield node.lineno + number, line


def lines_of(path):
    return enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)


def offenders(lines):
    found = []
    for number, line in lines:
        plain = re.sub(TERMS, "", line)
        found += [
            f"line {number}: {hit[0]!r} in {line.strip()[:100]!r}; write: {better}"
            for word, better in PLAIN.items()
            if (hit := re.search(word, plain))
        ]
    return found


def name_of(path):
    return str(path.relative_to(ROOT))


def found_in(path):
    return offenders(texts_of(path) if path.suffix == ".py" else lines_of(path))


@pytest.mark.parametrize("path", CODE, ids=name_of)
def test_texts_and_docstrings(path):
    assert found_in(path) == []


@pytest.mark.parametrize("path", [*DOCUMENTS, *PAGES, *UNITS], ids=name_of)
def test_documents_pages_and_units(path):
    assert found_in(path) == []


@pytest.mark.parametrize(
    "text",
    [
        "calibrations of 20190612 serve, 2 nights old",
        "99 % sure",
        "the frame is put aside",
        "ifu1.fits left out: no spectra",
        "what became of it",
        "departs from the last good night",
        "3.7 arcsec from where targets land",
    ],
)
def test_private_words_are_found(text):
    assert len(offenders([(1, text)])) == 1


def test_usual_terms_are_not():
    assert offenders([(1, "the mail server's certificate is not trusted"), (2, "sedmd mend FRAME CARD=VALUE")]) == []
