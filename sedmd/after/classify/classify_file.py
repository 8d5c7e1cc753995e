"""Classify a spectrum that is no product of a night: one that somebody published, or sent. Nothing is written."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from sedmd.after.classify.classification import Classification
from sedmd.after.classify.classify import ask, summary
from sedmd.after.classify.engine import Classifier
from sedmd.after.classify.matches import Rule
from sedmd.after.spectra import FinalSpectrum
from sedmd.products.published import Published, Third, read_published


@dataclass(frozen=True, slots=True, kw_only=True)
class FileClassification:
    """A spectrum from a file and what it was found to be."""

    published: Published
    classification: Classification

    def line(self) -> str:
        """For an operator: the file's target, its type, how good it is and how its errors were read."""
        return f"{self.published.name:20} {self.classification.line()}; {_quality(self.published)}"


def classify_file(path: Path, engine: Classifier, rule: Rule, *, third: Third | None = None) -> FileClassification:
    """Classify one file.

    Parameters
    ----------
    third : Third, optional
        What its third column is; else it is found out.

    Raises
    ------
    SedmError, OSError
        It cannot be read, or the engine failed.
    """
    published = read_published(path, third)
    answer = ask(engine, published.spectrum)
    about = FinalSpectrum(
        night="",
        product=path.stem,
        target=published.name,
        fits=path,
        ascii=path,
        page=path,
        quality=0,
        reducer="",
        standard=False,
        calibrated=True,
        by_observer=False,
    )
    made = summary(about, engine, rule, answer, inputs={}, time=datetime.fromtimestamp(0, UTC))
    return FileClassification(published=published, classification=made)


def _quality(published: Published) -> str:
    one = published.spectrum
    inner = (one.wavelength > 5000) & (one.wavelength < 8000) & (one.error > 0)
    if not inner.any():
        return published.how_read
    return f"S/N {float(np.median(one.flux[inner] / one.error[inner])):.0f} per bin, {published.how_read}"
