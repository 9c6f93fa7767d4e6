"""Dead letters: records put aside when the cursor passed them, looked at by a person, booked after all or dropped.

A retry goes past the cursor, so nothing but the letter itself keeps a record from being booked twice. That is why the
letter's row is locked first and its end is written in the transaction that books the record: of two people retrying at
once the second waits and finds it settled, and whoever is killed half-way has done nothing.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final

from server.access import audit
from server.access.models import Scope
from server.clock import Clock, utc_now
from server.errors import Conflict, InvalidInput, NotFound
from server.ingest import letter_repository, writing
from server.ingest.booking import Booking
from server.ingest.models import DeadLetter, Origin, Retried
from server.ingest.reading import Numbered, Unreadable, names_of, printable
from server.ingest.registry import RegistryCache
from server.storage.pool import Connection, Database
from wire.messages import WireError, decode_record, first_seq

#: A tally or crossing whose numbers were booked in part can't be taken apart any more; only a person can weigh it.
_OVERLAP: Final = "overlap"
LONGEST_REASON: Final = 500


class DeadLetters:
    """What people do with dead letters.

    Args:
        clock: what time it is (aware, UTC).
    """

    def __init__(self, db: Database, clock: Clock = utc_now) -> None:
        self._db = db
        self._clock = clock

    def list(
        self,
        scope: Scope,
        *,
        store_id: str | None = None,
        code: str | None = None,
        settled: bool = False,
        after: int = 0,
        limit: int = 100,
        payloads: bool = True,
    ) -> list[DeadLetter]:
        """Letters by id.

        Args:
            store_id, code: only of this store, only for this reason.
            settled: also those that were booked or dropped.
            after: only ids beyond this one, for the next page.
            payloads: whether to read what was sent, too: megabytes each, at worst.

        Raises:
            Forbidden: a store that isn't the caller's.
        """
        if store_id is not None:
            scope.require(store_id)
        with self._db.read() as connection:
            return letter_repository.letters(
                connection,
                scope,
                store_id=store_id,
                code=code,
                settled=settled,
                after=after,
                limit=limit,
                payloads=payloads,
            )

    def retry(self, scope: Scope, ids: Iterable[int]) -> Iterator[Retried]:
        """Try to book letters, each in a transaction of its own; what became of each is told as it is committed.

        Raises:
            Forbidden: unless an admin asks.
            NotFound: no such letter; those before it are done.
            Unavailable: the database is away. Whether the letter then under way was booked is unknown, and safe to try
                again: it is booked once.
        """
        scope.require_role("admin")
        for dead_letter_id in ids:
            with self._db.transaction() as connection:
                retried = self._retry(connection, scope, dead_letter_id)
            yield retried

    def drop(self, scope: Scope, ids: Sequence[int], reason: str) -> None:
        """Give letters up, all of them or none; what was sent is kept, and who dropped it and why.

        Raises:
            Forbidden: unless an admin asks.
            InvalidInput: no reason, or an endless one.
            NotFound: no such letter.
            Conflict: one is settled already.
        """
        scope.require_role("admin")
        said = printable(reason.strip())
        if not said or len(reason) > LONGEST_REASON:
            raise InvalidInput(
                "a letter is dropped for a reason" if not said else f"the reason is longer than {LONGEST_REASON}",
                field="reason",
                remedy="say in a sentence why these records are not to be counted",
            )
        now = self._clock()
        with self._db.transaction() as connection:
            for dead_letter_id in sorted(set(ids)):
                letter = self._locked(connection, scope, dead_letter_id)
                if not letter.is_open:
                    raise Conflict(f"dead letter {dead_letter_id} {_ended(letter)}", remedy="leave it out")
                letter_repository.mark_dropped(connection, dead_letter_id, now, scope.actor, said)
                _audit(connection, now, scope, letter, "dead_letter.drop", {"reason": said})

    def _retry(self, connection: Connection, scope: Scope, dead_letter_id: int) -> Retried:
        letter = self._locked(connection, scope, dead_letter_id)
        if not letter.is_open:
            return Retried(dead_letter_id, "settled", _ended(letter))
        if letter.code == _OVERLAP:
            return Retried(dead_letter_id, "still_bad", f"{letter.reason}; it can be dropped, not booked")
        now = self._clock()
        numbered = _numbered(letter)
        # Received now, as far as reports go: until now nobody could know of it.
        origin = Origin(letter.store_id, letter.device_id, letter.epoch, now)
        lines, cameras = names_of([numbered])
        registry = RegistryCache().look_up(
            connection, {(name, letter.store_id) for name in lines}, {(name, letter.store_id) for name in cameras}, now
        )
        booking = Booking(registry)
        booking.book([numbered], origin)
        if not (booking.crossings or booking.coverage or booking.tallies):
            _, _, _, _, code, reason, *_ = booking.dead_letters[0]
            letter_repository.note_failure(connection, dead_letter_id, code, reason)
            return Retried(dead_letter_id, "still_bad", reason)
        writing.write(connection, booking, "dead_letter", merge_tallies=True)
        letter_repository.mark_booked(connection, dead_letter_id, now, scope.actor)
        in_part = bool(booking.dead_letters)
        _audit(connection, now, scope, letter, "dead_letter.retry", {"in_part": in_part})
        return Retried(
            dead_letter_id, "in_part" if in_part else "booked", booking.dead_letters[0][5] if in_part else ""
        )

    @staticmethod
    def _locked(connection: Connection, scope: Scope, dead_letter_id: int) -> DeadLetter:
        letter = letter_repository.lock_letter(connection, scope, dead_letter_id)
        if letter is None:
            raise NotFound(f"there is no dead letter {dead_letter_id}", field="dead_letter_id")
        return letter


def _numbered(letter: DeadLetter) -> Numbered:
    """A letter's record as ingest would have read it."""
    raw = letter.payload.encode()
    last = letter.seq or 1
    try:
        record = decode_record(raw)
    except WireError as error:
        return Numbered(last, last, Unreadable(printable(str(error))), raw)
    if record.seq != letter.seq or first_seq(record) > record.seq:
        return Numbered(last, last, Unreadable(f"it says it is number {record.seq}, and stood as {letter.seq}"), raw)
    return Numbered(first_seq(record), record.seq, record, raw)


def _ended(letter: DeadLetter) -> str:
    what, at = ("booked", letter.retried_at) if letter.retried_at else ("dropped", letter.dropped_at)
    return f"was {what} by {letter.settled_by} at {at:%Y-%m-%d %H:%M} UTC"


def _audit(
    connection: Connection, at: datetime, scope: Scope, letter: DeadLetter, action: str, more: dict[str, object]
) -> None:
    audit.record(
        connection,
        at,
        scope.actor,
        action,
        subject=str(letter.dead_letter_id),
        store_id=letter.store_id,
        detail={"device": letter.device_id, "epoch": letter.epoch, "seq": letter.seq, "code": letter.code, **more},
    )
