"""What came in against what came out: every raw file of a night and its product, and all discrepancies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sedmd.ledger.records import FrameRow
from sedmd.plan.plan import Plan
from sedmd.raw.frames import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """The account of a night.

    Attributes
    ----------
    states : mapping of state to number of files
    kinds : mapping of kind to number of frames that can be used
    unread : tuple of Path
        On disk, but not in the ledger.
    gone : tuple of Path
        In the ledger, but no longer on disk.
    without_spectrum : tuple of (str, str)
        Exposures on the sky of which there is no spectrum, and why.
    products : int
        Products that are there as the ledger has them.
    lost : tuple of Path
        Products that are missing or of another size.
    """

    states: Mapping[str, int]
    kinds: Mapping[str, int]
    unread: tuple[Path, ...] = ()
    gone: tuple[Path, ...] = ()
    without_spectrum: tuple[tuple[str, str], ...] = ()
    products: int = 0
    lost: tuple[Path, ...] = ()

    @property
    def adds_up(self) -> bool:
        """Every file was read and every product is there."""
        return not self.unread and not self.lost

    def lines(self) -> list[str]:
        """The account in sentences, the sum first."""
        total = sum(self.states.values()) + len(self.unread)
        states = ", ".join(f"{count} {state}" for state, count in sorted(self.states.items()))
        on_sky = sum(self.kinds.get(kind, 0) for kind in (Kind.STANDARD, Kind.SCIENCE))
        spectra = on_sky - len(self.without_spectrum)
        lines = [
            f"{total} raw files: {states or 'none read'}, {len(self.unread)} unread; "
            f"{spectra} of {on_sky} exposures on the sky are in a spectrum; {self.products} products"
            + ("" if self.adds_up else "; DOES NOT ADD UP")
        ]
        lines += [f"unread: {path.parent.name}/{path.name}" for path in self.unread]
        lines += [f"lost product: {path.name}" for path in self.lost]
        lines += [f"no spectrum: {name}: {why}" for name, why in self.without_spectrum]
        if self.gone:
            lines.append(f"{len(self.gone)} raw files are no longer where they were read")
        return lines


def reconcile(
    plan: Plan,
    rows: Sequence[FrameRow],
    *,
    on_disk: Collection[Path],
    known: Collection[Path],
    product_sizes: Mapping[Path, int],
    found_sizes: Mapping[Path, int],
) -> Reconciliation:
    """Draw up the account of a night.

    Parameters
    ----------
    plan : Plan
    rows : sequence of FrameRow
        The night's files according to the ledger.
    on_disk : collection of Path
        Raw files in the night's directories.
    known : collection of Path
        Files of these directories that the ledger knows, of any night.
    product_sizes, found_sizes : mapping of Path to bytes
        Products according to the ledger, and as they are on disk.
    """
    kinds = Counter(str(row.frame.kind) for row in rows if row.frame is not None)
    without = tuple(
        (f"{outcome.frame.stem} {outcome.frame.name}", outcome.why or outcome.outcome)
        for outcome in plan.outcomes
        if outcome.frame.kind.on_sky and not outcome.outcome.endswith("_SEDM.txt")
    )
    lost = tuple(path for path, size in sorted(product_sizes.items()) if found_sizes.get(path) != size)
    return Reconciliation(
        states=Counter(row.state for row in rows),
        kinds=kinds,
        unread=tuple(sorted(set(on_disk) - set(known))),
        gone=tuple(sorted(row.path for row in rows if row.path not in on_disk)),
        without_spectrum=without,
        products=len(product_sizes) - len(lost),
        lost=lost,
    )
