"""How far each epoch is numbered, sent and acknowledged: the rules of the two lanes, without the disk.

The trap: an acknowledgement may be old, from before a rewind or from a connection long closed, so it never takes an
epoch back and never counts beyond what was handed out since the last rewind.
"""

import logging
import time
from collections.abc import Iterable, Sequence
from typing import Final, Literal

from edge.outbox.store import EpochRow, RecordRow

log = logging.getLogger(__name__)

Lane = Literal["live", "backlog"]
LANES: Final[tuple[Lane, ...]] = ("live", "backlog")


class Epoch:
    """An epoch's row and what only this process knows of it.

    Attributes:
        since: when the oldest record not yet handed out was appended (monotonic); None when all were.
        rests_until: the backlog's lane passes it over until then (monotonic).
        frontier: highest number handed out since the last rewind; no acknowledgement counts beyond it.
        unsaved: the row is ahead of the disk's.
        acked_us: when the acknowledgement was noted that the disk has not yet (microseconds UTC); None for none.
        again: what is owed was acknowledged before, and is sent once more because the server may have lost it.
        probing: only to see whether it has; as far as we know all of it is acknowledged.
    """

    def __init__(self, row: EpochRow) -> None:
        self.row = row
        self.since: float | None = None
        self.rests_until = 0.0
        self.frontier = row.sent_through
        self.unsaved = False
        self.acked_us: int | None = None
        self.again = False
        self.probing = False

    @property
    def owed(self) -> int:
        """Records not acknowledged."""
        return self.row.last_seq - self.row.acked

    @property
    def insured(self) -> int:
        """Through which number records are kept only in case the server loses them."""
        return self.row.last_seq if self.probing else self.row.acked

    def acknowledge(self, seq: int) -> bool:
        """The server has it up to `seq`. Whether that was news."""
        through = min(seq, self.frontier)
        if through <= self.row.acked:
            return False
        self.row.acked, self.unsaved = through, True
        self.again = self.again and self.owed > 0
        self.probing = self.probing and self.owed > 0
        return True

    def rewind(self, seq: int) -> bool:
        """The server wants it from `seq`. Whether that changed anything."""
        target = max(0, seq - 1)
        self.probing = self.probing and target >= self.row.last_seq
        if target >= self.row.acked:
            return False
        self.row.acked = self.frontier = target
        self.again = self.unsaved = True
        self.acked_us = None
        return True

    def probe(self, last: RecordRow | None) -> None:
        """Owe the last record held once more, if all of it was acknowledged."""
        if last is not None and not self.owed and last.seq == self.row.last_seq:
            self.row.acked, self.again, self.probing = last.from_seq - 1, True, True

    def end_probe(self) -> bool:
        """Its record is held no more, and the server never said that it lost it: nothing is owed. False without one."""
        if self.probing:
            self.row.acked, self.again, self.probing, self.unsaved = self.row.last_seq, False, False, True
            return True
        return False


class Epochs:
    """All epochs held, oldest first, and the live one among them."""

    def __init__(self, rows: Iterable[EpochRow] = (), gone: Iterable[EpochRow] = ()) -> None:
        """Take the rows of a file just opened, and those of files that were given up."""
        self._held = {row.epoch: Epoch(row) for row in rows}
        self.gone = [*gone]
        self.live: Epoch | None = None

    def begin(self, row: EpochRow) -> None:
        """A new live epoch."""
        self.live = self._held[row.epoch] = Epoch(row)

    def find(self, name: str) -> Epoch | None:
        """The epoch of that name, if it is held."""
        return self._held.get(name)

    def lane(self, lane: Lane) -> Epoch | None:
        """The epoch a lane sends from: the live one, or the oldest other that owes something and does not rest."""
        if lane == "live":
            return self.live if self.live is not None and self.live.owed else None
        now = time.monotonic()
        return next((each for each in self.finished() if each.owed and each.rests_until <= now), None)

    def finished(self) -> Sequence[Epoch]:
        """All but the live one."""
        return [each for each in self._held.values() if each is not self.live]

    @property
    def rows(self) -> list[EpochRow]:
        """All rows, oldest first."""
        return [each.row for each in self._held.values()]

    @property
    def insured(self) -> dict[int, int]:
        """By ordinal, through which number an epoch's records are kept only in case the server loses them."""
        return {each.row.ordinal: each.insured for each in self._held.values()}

    @property
    def unsaved(self) -> list[Epoch]:
        """Those whose row is ahead of the disk's."""
        return [each for each in self._held.values() if each.unsaved]

    @property
    def owed(self) -> int:
        """Records not acknowledged, over all."""
        return sum(each.owed for each in self._held.values())

    def keep(self, names: Iterable[str]) -> None:
        """Forget all others."""
        wanted = set(names)
        self._held = {name: each for name, each in self._held.items() if name in wanted}

    def given_up(self, rows: Iterable[EpochRow]) -> "Epochs":
        """No epoch, but the memory of those that went with their file."""
        return Epochs((), [*self.gone, *rows])

    def found_again(self, name: str, seq: int) -> int:
        """Records counted as lost with their file that the server turns out to have."""
        row = next((each for each in self.gone if each.epoch == name), None)
        through = 0 if row is None else min(seq, row.sent_through)
        if row is None or through <= row.acked:
            return 0
        found, row.acked = through - row.acked, through
        return found
