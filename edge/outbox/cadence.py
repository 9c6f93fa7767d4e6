"""How often the disk is asked to sync: one commit for what was appended, acknowledged and is about to be sent.

What goes out must be noted on disk before, and a busy door sends every second: with a commit of its own for that each
time, a memory card would be synced twice as often as need be. So whoever sends says when, and the commit before notes
it.
"""

from collections.abc import Callable

from edge.outbox.buffer import Buffer
from edge.outbox.epochs import Epoch
from edge.outbox.file import OutboxFile
from edge.outbox.store import Store
from edge.outbox.writing import Sending, write


class Cadence:
    """The commits of one outbox; not locked, its owner sees to that.

    Args:
        every_s: appends are gathered this long before a commit.
        most: records in one batch.
        monotonic: seconds, on the clock by which records are appended.

    Attributes:
        every_s: see above.
    """

    def __init__(self, every_s: float, most: int, monotonic: Callable[[], float]) -> None:
        self.every_s = every_s
        self._most = most
        self._monotonic = monotonic
        self._sends_after_s: float | None = None
        self._committed_at = float("-inf")

    def will_send(self, after_s: float | None) -> None:
        """Today's lane will be sent once its oldest record has waited for so long; None: it will not, for now."""
        self._sends_after_s = after_s

    def write(self, file: OutboxFile, store: Store, buffer: Buffer) -> int | None:
        """One group commit, which notes as sent what today's lane hands out before the next one; see `writing.write`.

        Raises:
            sqlite3.Error: from the disk.
        """
        after = self._sends_after_s
        return self._write(file, store, buffer, None if after is None else self.every_s - after)

    def noted(self, file: OutboxFile, store: Store, buffer: Buffer, live: Epoch) -> bool:
        """Whether today's lane may be handed out now: what is new in it is noted as sent, or will be as it is read.

        Raises:
            sqlite3.Error: from the disk.
        """
        if self._sends_after_s is None or live.row.sent_through > live.row.acked or live.owed > self._most:
            return True
        if self._monotonic() - self._committed_at < self.every_s:
            return False
        self._write(file, store, buffer, 0.0)
        return True

    def _write(self, file: OutboxFile, store: Store, buffer: Buffer, ahead_s: float | None) -> int | None:
        """Commit; what was appended until `ahead_s` from now, if that is known, will be sent before the next commit."""
        now = self._monotonic()
        sending = None if ahead_s is None else Sending(now + ahead_s, self._most)
        written = write(file, store, buffer, sending=sending)
        if written is not None:
            self._committed_at = now
        return written
