"""A bank of templates for snid-sage: which files it has, whether they are whole, and how one is installed."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from sedmd.after.classify import sage_bank
from sedmd.after.classify.engine import last_words, run_limited
from sedmd.core.errors import SedmError
from sedmd.host.files import sha256_of, write_bytes_atomic

T = TypeVar("T")
INDEX = sage_bank.INDEX
#: Files that are read in a moment, and what they were made from.
QUICK = (sage_bank.FLUX, sage_bank.ROWS)
CHECKSUMS = "sedmd_bank.json"
#: An index is larger than this only by mistake; a whole bank has 160 MB [bytes].
MOST_INDEX, MOST_BANK = 50_000_000, 4_000_000_000
_TIMEOUT_S = 900.0


class BankError(SedmError):
    """A bank is not whole, or is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """What was installed.

    Attributes
    ----------
    folder : Path
    objects, spectra : int
    types : mapping of type to number of objects
    """

    folder: Path
    objects: int
    spectra: int
    types: Mapping[str, int]

    def line(self) -> str:
        """For an operator."""
        types = ", ".join(f"{kind} {n}" for kind, n in sorted(self.types.items(), key=lambda one: -one[1]))
        return f"{self.folder}: {self.objects} objects, {self.spectra} spectra ({types}); every file is whole"


def files_of(index: Any) -> list[str]:
    """The files that an index names, in order.

    Raises
    ------
    BankError
        It is no index, or names a file in another folder.
    """
    try:
        named = {str(one["storage_file"]) for one in index["templates"].values()}
        named |= {str(one["storage_file"]) for one in index["by_type"].values()}
    except (KeyError, TypeError, AttributeError) as error:
        msg = f"{INDEX} is not the index of a bank of snid-sage (no {error}); expected templates, by_type, storage_file"
        raise BankError(msg) from error
    for name in named:
        if not name or name != PurePosixPath(name).name or name.startswith(".") or "\\" in name:
            raise BankError(f"{INDEX} names the file {name!r}; expected names of files beside it")
    return sorted(named)


def read_index(folder: Path) -> Any:
    """The index of a bank.

    Raises
    ------
    BankError
        There is none, or it is damaged.
    """
    try:
        return json.loads((folder / INDEX).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BankError(f"{folder / INDEX} cannot be read ({error}); install a bank with sedmd bank") from error


def why_not_whole(folder: Path) -> str:
    """What a bank lacks, as a sentence with what to do; empty when every file that its index names is there."""
    try:
        missing = [name for name in files_of(read_index(folder)) if not (folder / name).is_file()]
    except BankError as fault:
        return str(fault)
    if not missing:
        return ""
    return f"the bank {folder} lacks {', '.join(missing)}, which its index names; install it again with sedmd bank"


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of the index and of every file that it names; a missing one has an empty one."""
    return {name: _known_sha(folder / name) for name in (INDEX, *files_of(read_index(folder)))}


def digest_of(folder: Path) -> str:
    """What a bank is known by: a change of a byte of any template gives another one."""
    text = json.dumps(checksums(folder), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def is_quick(folder: Path) -> bool:
    """The quick files are there and were made from the bank as it is now."""
    with contextlib.suppress(OSError, ValueError, BankError, AttributeError):
        noted = json.loads((folder / CHECKSUMS).read_text(encoding="utf-8"))
        return bool(noted == checksums(folder) | {name: _known_sha(folder / name) for name in QUICK})
    return False


def _known_sha(path: Path) -> str:
    try:
        state = path.stat()
    except OSError:
        return ""
    return _sha_as_it_was(path, state.st_size, state.st_mtime_ns)


@functools.lru_cache(maxsize=1000)
def _sha_as_it_was(path: Path, size: int, mtime_ns: int) -> str:
    """Read once for each state of a file: a bank has 160 MB, and a night asks for each spectrum."""
    return sha256_of(path)


def install(source: Path, folder: Path, *, python: str = "") -> Installed:
    """Put a bank into a folder, check every spectrum in it, and make it quick to read.

    The folder has the new bank whole, or is left as it was.

    Parameters
    ----------
    source : Path
        A wheel or zip archive that holds a bank, or a folder that does.
    folder : Path
        Where it goes; it may hold an earlier bank, and nothing else.
    python : str
        An interpreter with h5py and numpy; empty for this one.

    Raises
    ------
    BankError
        `source` holds no bank or more than one, a file is missing or damaged, `folder` holds something else.
    OSError
        The disk.
    """
    folder = folder.absolute()
    if folder.is_dir() and any(folder.iterdir()) and not (folder / INDEX).is_file():
        raise BankError(f"{folder} is not empty and no bank; name a folder of its own")
    folder.parent.mkdir(parents=True, exist_ok=True)
    stage = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        new = stage / "bank"
        new.mkdir()
        _copy(source, new)
        found = _check(new, stage, python)
        write_bytes_atomic(
            (json.dumps(checksums(new) | {name: sha256_of(new / name) for name in QUICK}, indent=1) + "\n").encode(),
            new / CHECKSUMS,
        )
        new.chmod(0o755)
        if folder.exists():
            folder.replace(stage / "before")
        new.replace(folder)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    return Installed(folder=folder, objects=found["objects"], spectra=found["spectra"], types=found["types"])


def _copy(source: Path, new: Path) -> None:
    """The index and the files that it names, from a folder or an archive."""
    if source.is_dir():
        place = _one([path.parent for path in sorted(source.rglob(INDEX)) if path.is_file()], source)
        if why := why_not_whole(place):
            raise BankError(why)
        for name in (INDEX, *files_of(read_index(place))):
            shutil.copyfile(place / name, new / name)
        return
    try:
        with zipfile.ZipFile(source) as archive:
            members = {member.filename: member for member in archive.infolist()}
            index = PurePosixPath(_one([name for name in members if PurePosixPath(name).name == INDEX], source))
            if members[str(index)].file_size > MOST_INDEX:
                raise BankError(f"{source.name}: its {INDEX} has {members[str(index)].file_size} bytes; it is no index")
            names = (INDEX, *files_of(json.loads(archive.read(str(index)))))
            inside = {name: members.get(str(index.with_name(name))) for name in names}
            if missing := [name for name, member in inside.items() if member is None]:
                raise BankError(f"{source.name} lacks {', '.join(missing)}, which its index names; get it again")
            if sum(member.file_size for member in inside.values() if member is not None) > MOST_BANK:
                raise BankError(f"{source.name} holds more than {MOST_BANK / 1e9:g} GB; that is no bank")
            for name, member in inside.items():
                assert member is not None
                with archive.open(member) as stream, (new / name).open("xb") as out:
                    shutil.copyfileobj(stream, out)
    except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError, RuntimeError) as error:
        raise BankError(f"{source} is damaged, or no wheel and no zip archive ({error}); get it again") from error


def _one(found: list[T], source: Path) -> T:
    if len(found) != 1:
        msg = f"{source} holds {len(found) or 'no'} {'banks' if found else 'bank'} of templates ({INDEX}); expected one"
        msg += ". Wheels of snid-sage 0.6.1 to 0.9.0 have one, later ones have none" if not found else ""
        raise BankError(msg)
    return found[0]


def _check(new: Path, stage: Path, python: str) -> dict[str, Any]:
    """Read every spectrum, in a process of its own; what is there."""
    out, log = stage / "found.json", stage / "check.log"
    program = str(Path(sage_bank.__file__).absolute())
    command = [python or sys.executable, "-I", program, str(new), str(out)]
    code = run_limited(command, stage, timeout_s=_TIMEOUT_S, log=log)
    if code != 0 or not out.exists():
        raise BankError(f"the bank could not be checked: {last_words(log) or f'code {code}'}; it needs numpy and h5py")
    found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    if faults := found.get("faults"):
        more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise BankError(f"the bank is damaged: {'; '.join(faults[:3])}{more}. Get it again; nothing was installed")
    return found
