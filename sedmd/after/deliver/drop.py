"""A directory as receiver: the spectrum as ASCII and FITS, its page, and last a JSON that says what is there."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from sedmd.after.deliver.backend import Closed, Receipt, Refused, TryLater
from sedmd.after.deliver.outgoing import Outgoing
from sedmd.host.files import DiskFull, write_bytes_atomic
from sedmd.host.foreign_file import product_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """A directory that somebody else empties or reads; the nights are its subdirectories."""

    directory: Path

    @property
    def name(self) -> str:
        """Kind and place."""
        return f"drop {self.directory}"

    def send(self, spectrum: Outgoing) -> Receipt:
        """Write the files, each whole or not at all; the JSON is the sign that all are there."""
        if not self.directory.is_dir():
            # making it would fill the mount point of a disk that is away
            raise TryLater(f"{self.directory} does not exist; mount it, or create it")
        folder = self.directory / spectrum.night
        sentence = folder / f"{spectrum.product}.json"
        sources = self._sources(spectrum)
        receipt = Receipt(number=f"{spectrum.night}/{sentence.name}", notes=(f"{len(sources)} files",))
        try:
            content = {path.name: product_bytes(path) for path in sources}
        except OSError as error:
            raise TryLater(f"{spectrum.product}: cannot be read ({error.strerror or error})") from None
        try:
            written = {name: write_bytes_atomic(data, folder / name) for name, data in content.items()}
            text = json.dumps({**self._summary(spectrum), "sha256": written}, indent=2) + "\n"
            write_bytes_atomic(text.encode(), sentence)
        except DiskFull as error:
            raise TryLater(str(error)) from None
        except PermissionError as error:
            raise Closed(f"{folder} cannot be written ({error.strerror}); give this user write permission") from None
        except OSError as error:
            raise TryLater(f"{folder} cannot be written ({error.strerror})") from None
        return receipt

    def withdraw(self, content: str, receipt: str) -> str:
        """What lies in a directory belongs to who took it."""
        raise Refused(f"files in {self.directory} are not withdrawn; remove {receipt.split(';')[0]} there")

    def preview(self, spectrum: Outgoing, *, full: bool) -> list[str]:
        """The files and the JSON."""
        folder = self.directory / spectrum.night
        lines = [f"write {folder / path.name}" for path in self._sources(spectrum)]
        return [*lines, f"write {folder / spectrum.product}.json", f"  {json.dumps(self._summary(spectrum))}"]

    def _sources(self, spectrum: Outgoing) -> list[Path]:
        return [path for path in (spectrum.ascii, spectrum.fits, spectrum.page) if path.is_file()]

    def _summary(self, spectrum: Outgoing) -> dict[str, object]:
        return {
            "target": spectrum.target,
            "product": spectrum.product,
            "night": spectrum.night,
            "observed_at": spectrum.observed_at,
            "quality": spectrum.quality,
            "reducer": spectrum.reducer,
            "content": spectrum.content,
            "classification": dict(spectrum.classification),
            **spectrum.facts,
        }
