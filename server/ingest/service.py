"""Batches in, rows out, exactly once.

One transaction takes a group of batches from any devices: cursors locked, what is new booked, roll-ups added to,
cursors moved. Only what is committed is answered, so whoever is killed between commit and answer is asked again and
answers from the cursor. There is no unique index on the rows: the cursor alone makes every record apply once, which is
why every path that writes rows goes through here.
"""

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
import structlog

from server.clock import Clock, utc_now
from server.configs import service as configs
from server.errors import Unavailable
from server.ingest import outages, poison, reading, repository, writing
from server.ingest.booking import FUTURE, PAST, Booking, told_time
from server.ingest.models import Answer, Cursor, Device, Incoming, LostRow, Origin, Registry
from server.ingest.poison import Placed, Suspects
from server.ingest.reading import Batch, printable
from server.ingest.registry import RegistryCache
from server.ingest.twins import follow
from server.provisioning import repository as provisioning
from server.storage.pool import Connection, Database
from wire.messages import MAX_STATUS, Ack, Refusal, Reply, Rewind, Status, WireError, decode

_log = structlog.get_logger(__name__)

#: A device's skew is written when it differs by more than this from what is known (milliseconds): measuring includes
#: the way through the network, and a row need not be rewritten for every wobble of it.
_SKEW_STEP: Final = 500
_MAX_SKEW: Final = 2**31 - 1
#: How long the parts of a group may take that took too long as a whole (seconds); a batch takes milliseconds.
_PATIENCE_S: Final = 5.0
_TOO_LONG: Final = "the server's database took too long over this batch; it is to come again later"


class IngestService:
    """Takes in what devices send.

    Args:
        db: where it goes.
        clock: what time it is (aware, UTC).
    """

    def __init__(self, db: Database, clock: Clock = utc_now) -> None:
        self._db = db
        self._clock = clock
        self._registry = RegistryCache()
        self._suspects = Suspects()

    def take(self, incoming: Sequence[Incoming]) -> list[Answer]:
        """Commit a group of batches and say what each sender is to be told, in the order given.

        A batch that can't be written for a reason of its own is refused alone; the others are taken.

        Raises:
            Unavailable: the database is away, or takes nothing from anybody; nothing may be told, call again with the
                same batches.
        """
        replies: dict[int, Reply] = {}
        batches: list[Placed] = []
        for index, one in enumerate(incoming):
            found = _read(one)
            if isinstance(found, Refusal):
                replies[index] = found
            else:
                batches.append((index, found))
        # In order of an epoch's numbers: of two batches overtaking each other neither need be sent again.
        batches.sort(key=lambda pair: (*_epoch(pair[1]), pair[1].envelope.first_seq, pair[0]))
        together, trial, waiting = self._suspects.sort_out(batches, self._clock())
        if together:
            replies.update(self._commit(together))
        if trial is not None:
            replies.update(self._commit([trial]))
            if not isinstance(replies[trial[0]], Refusal):
                self._suspects.clear(trial[1])
        replies.update((index, reading.refusal(batch.envelope, "not_writable", _TOO_LONG)) for index, batch in waiting)
        for index, reply in replies.items():
            if isinstance(reply, Refusal):
                _log.warning("batch refused", device=incoming[index].device, code=reply.code, reason=reply.reason)
        return [Answer(one.device, replies[index]) for index, one in enumerate(incoming)]

    def is_writable(self) -> bool:
        """Whether the database can write now what ingest writes."""
        try:
            poison.require_writable(self._db)
        except Unavailable:
            return False
        return True

    def note_status(self, device: str, payload: bytes, received_at: datetime, *, retained: bool = False) -> None:
        """Keep a device's word about itself, unless a later one is known.

        Args:
            device: who said it, as the broker knows.
            payload: a `wire.messages.Status`; its last will is one too.
            received_at: server's clock.
            retained: the broker kept it from earlier, so that it is as old as it says itself.

        Raises:
            WireError: it is not of the contract.
            Unavailable: the database is away.
        """
        if len(payload) > MAX_STATUS:
            raise WireError("too_large", f"a status of {len(payload)} bytes; at most {MAX_STATUS} are kept")
        status = decode(payload, Status)
        if status.device != device:
            _log.warning("a status that names another device is dropped", device=device, named=status.device)
            return
        status = msgspec.structs.replace(
            status,
            version=printable(status.version),
            problem=printable(status.problem),
            cameras=tuple(
                msgspec.structs.replace(camera, message=printable(camera.message)) for camera in status.cameras
            ),
            config=status.config and msgspec.structs.replace(status.config, reason=printable(status.config.reason)),
        )
        at = max(PAST, min(status.at, received_at)) if retained and status.at else received_at
        with self._db.transaction() as connection:
            heard = repository.lock_heard(connection, device)
            if heard is not None and (heard.status_at is None or heard.status_at <= at):
                repository.insert_events(connection, outages.events(heard, status, at))
                repository.set_status(connection, status, at)
                _follow_life(connection, status, at)
                if status.at is not None or status.online:  # a last will knows nothing of it
                    configs.note_report(connection, device, status.config_revision, status.config, at)
            if status.certificate:
                provisioning.note_seen(connection, device, status.certificate, at)

    def _commit(self, batches: Sequence[Placed], most_s: float | None = None) -> dict[int, Reply]:
        """Write them in one transaction; if that can't be done, in several, down to the one that can't be written.

        Args:
            batches: in the order in which they are to be booked.
            most_s: cut statements off after so many seconds; None for as long as the database gives them.
        """
        began = time.monotonic()
        try:
            with self._db.transaction() as connection:
                if most_s is not None:
                    repository.give_up_after(connection, round(most_s * 1000))
                return _Transaction(connection, self._registry, self._clock()).take(batches)
        except Unavailable as error:
            if not poison.may_be_of_a_batch(error):
                raise
            cause: Exception = error
        except Exception as error:  # noqa: BLE001 - whatever it is, one batch must not hold up the others for ever
            cause = error
        poison.require_writable(self._db)
        if len(batches) == 1:
            [(index, batch)] = batches
            if poison.took_too_long(cause):
                self._suspects.note(batch, self._clock(), timedelta(seconds=time.monotonic() - began))
            return {index: _cannot_write(batch, cause)}
        middle = len(batches) // 2
        if poison.took_too_long(cause):
            most_s = _PATIENCE_S
        return self._commit(batches[:middle], most_s) | self._commit(batches[middle:], most_s)


def _follow_life(connection: Connection, status: Status, at: datetime) -> None:
    """See whether another box speaks under this one's name."""
    if status.epoch is None or status.at is None:
        return
    known = repository.lives(connection, status.device)
    lives, twins = follow(known, status.epoch, status.at)
    if lives is not known:
        repository.set_lives(connection, status.device, lives, at if twins else None)
    if twins:
        _log.error(
            "two boxes sign in under one name; what both count is booked",
            device=status.device,
            remedy=f"find the copy; then: doorline device rotate {status.device} --overlap-days 0",
        )


class _Transaction:
    """One group of batches within one transaction."""

    def __init__(self, connection: Connection, registry: RegistryCache, now: datetime) -> None:
        self._connection = connection
        self._registry = registry
        self._now = now
        self._lost: list[LostRow] = []
        self._skews: dict[str, int] = {}
        self._moved: dict[tuple[str, str], Cursor] = {}

    def take(self, batches: Sequence[Placed]) -> dict[int, Reply]:
        """Write everything and give each batch's reply, to be sent after the commit."""
        cursors = repository.lock_cursors(self._connection, {_epoch(batch) for _, batch in batches})
        known: list[tuple[int, Batch, Cursor]] = []
        unknown: list[tuple[int, Batch]] = []
        for index, batch in batches:
            cursor = cursors.get(_epoch(batch))
            if cursor is None:
                unknown.append((index, batch))
            else:
                known.append((index, batch, cursor))
        replies = self._refuse(unknown) if unknown else {}
        if known:
            booking = Booking(self._look_up(known))
            for index, batch, cursor in known:
                replies[index] = self._apply(batch, cursor, booking)
                self._measure_skew(batch, cursor)
            self._write(booking)
        return replies

    def _refuse(self, unknown: Sequence[tuple[int, Batch]]) -> dict[int, Reply]:
        devices = repository.devices(self._connection, {batch.envelope.device for _, batch in unknown})
        return {index: _unknown(batch, devices.get(batch.envelope.device)) for index, batch in unknown}

    def _look_up(self, known: Sequence[tuple[int, Batch, Cursor]]) -> Registry:
        lines: set[tuple[str, str]] = set()
        cameras: set[tuple[str, str]] = set()
        for _, batch, cursor in known:
            lines.update((name, cursor.store_id) for name in batch.lines)
            cameras.update((name, cursor.store_id) for name in batch.cameras)
        return self._registry.look_up(self._connection, lines, cameras, self._now)

    def _apply(self, batch: Batch, cursor: Cursor, booking: Booking) -> Reply:
        """Book what lies beyond the cursor and move it; the reply is an ack, or a rewind where something is missing."""
        envelope = batch.envelope
        if envelope.last_seq <= cursor.seq:
            return Ack(epoch=cursor.epoch, seq=cursor.seq, nonce=envelope.nonce)
        if envelope.oldest > cursor.seq + 1:
            # Nobody has them any more; said in numbers, and passed, or nothing would ever be taken again.
            self._lose(cursor, envelope.oldest - 1, batch)
        if envelope.first_seq > cursor.seq + 1:
            return Rewind(epoch=cursor.epoch, seq=cursor.seq + 1, nonce=envelope.nonce)
        origin = Origin(cursor.store_id, cursor.device_id, cursor.epoch, batch.incoming.received_at)
        records = batch.records
        if envelope.first_seq <= cursor.seq:
            records = [numbered for numbered in records if numbered.last > cursor.seq]
            if records[0].first <= cursor.seq:
                booking.put_aside(records[0], origin, "overlap", f"{cursor.seq} and before are booked already")
                records = records[1:]
        booking.book(records, origin)
        cursor.seq = envelope.last_seq
        cursor.last_at = _last_told(batch) or cursor.last_at
        self._moved[cursor.device_id, cursor.epoch] = cursor
        return Ack(epoch=cursor.epoch, seq=cursor.seq, nonce=envelope.nonce)

    def _lose(self, cursor: Cursor, last: int, batch: Batch) -> None:
        """Book what exists nowhere any more, and between when and when it must have lain."""
        _log.warning("records are lost", device=cursor.device_id, epoch=cursor.epoch, first=cursor.seq + 1, last=last)
        times = (told_time(numbered.record)[0] for numbered in batch.records)
        received_at = batch.incoming.received_at
        before = min(next((at for at in times if at is not None), received_at), received_at)
        after = cursor.last_at or repository.last_taken(self._connection, cursor.device_id, before)
        bounds = (None if after is None else min(after, before), before)
        self._lost.append((cursor.device_id, cursor.epoch, cursor.store_id, cursor.seq + 1, last, self._now, *bounds))
        cursor.seq = last
        self._moved[cursor.device_id, cursor.epoch] = cursor

    def _measure_skew(self, batch: Batch, cursor: Cursor) -> None:
        ahead = batch.envelope.sent_at - batch.incoming.received_at
        skew = max(-_MAX_SKEW, min(_MAX_SKEW, round(ahead.total_seconds() * 1000)))
        if cursor.skew_ms is None or abs(skew - cursor.skew_ms) > _SKEW_STEP:
            self._skews[cursor.device_id] = skew

    def _write(self, booking: Booking) -> None:
        repository.insert_lost(self._connection, self._lost)
        writing.append(self._connection, booking)
        # One round trip for all of it; COPY, above, can't be part of one.
        with self._connection.pipeline():
            writing.add_up(self._connection, booking, "ingest")
            repository.set_skews(self._connection, self._skews)
            repository.move_cursors(self._connection, list(self._moved.values()), self._now)


def _last_told(batch: Batch) -> datetime | None:
    """The latest time its last dated record tells, unless that lies ahead of us."""
    for numbered in reversed(batch.records):
        at = told_time(numbered.record)[1]
        if at is not None and at <= batch.incoming.received_at + FUTURE:
            return at
    return None


def _unknown(batch: Batch, device: Device | None) -> Refusal:
    name = batch.envelope.device
    if device is None:
        reason = f"device {name} is not registered; add it on the server (doorline device add)"
    else:
        reason = f"device {name} was ended; to take it back, rotate it on the server (doorline device rotate {name})"
    return reading.refusal(batch.envelope, "unknown_device", reason)


def _read(incoming: Incoming) -> Batch | Refusal:
    try:
        return reading.read(incoming)
    except Exception as error:  # noqa: BLE001 - one payload that nobody foresaw must not hold up the others for ever
        _log.error("a batch can't be read and is refused", device=incoming.device, exc_info=error)
        return Refusal(code="not_writable", reason=_unforeseen(error))


def _cannot_write(batch: Batch, error: Exception) -> Refusal:
    """A batch that can't be written for a reason nobody foresaw: kept at the device, loud here."""
    _log.error("a batch can't be written and is refused", device=batch.envelope.device, exc_info=error)
    reason = _TOO_LONG if poison.took_too_long(error) else _unforeseen(error.__cause__ or error)
    return reading.refusal(batch.envelope, "not_writable", reason)


def _unforeseen(error: BaseException) -> str:
    return f"the server can't write this batch ({type(error).__name__}); its log says more"


def _epoch(batch: Batch) -> tuple[str, str]:
    return batch.envelope.device, batch.envelope.epoch
