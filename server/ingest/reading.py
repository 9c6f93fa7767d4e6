"""From bytes to records with their numbers, before any lock is taken. Pure.

The envelope decides whether a batch is taken at all; a record that can't be read is put aside alone. The trap is the
number of such a record: the cursor must pass it, so where the record itself no longer tells, its neighbours do.

Nearly every batch has nothing wrong about it, and is decoded in one go. Two things make that quick: records aren't kept
apart as bytes first, and a name isn't held against its pattern a thousand times an hour. Whatever is not plainly right
goes the long way, which alone decides what is wrong with it.
"""

import re
import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, get_args

import msgspec
from msgspec import Meta

from server.ingest.models import Incoming
from wire.base import Name
from wire.messages import (
    MAX_PAYLOAD,
    MAX_RECORDS,
    Coverage,
    Crossing,
    Envelope,
    Record,
    Refusal,
    Tally,
    WireError,
    decode_envelope,
    decode_record,
    first_seq,
)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record that is not of the contract, and why."""

    reason: str


class _Numbers(msgspec.Struct, frozen=True, gc=False):
    """Of a record, what says which numbers it stands for."""

    type: str
    seq: int
    from_seq: int = 0


_numbers: Final[msgspec.json.Decoder[_Numbers]] = msgspec.json.Decoder(_Numbers)


class Numbered(msgspec.Struct, frozen=True, gc=False):
    """A record, what it was sent as, and the sequence numbers it stands for (both included)."""

    first: int
    last: int
    record: Record | Unreadable
    raw: "msgspec.Raw | bytes | Whole"

    @property
    def sent(self) -> bytes:
        """What it was sent as."""
        return self.raw.record(self.first) if isinstance(self.raw, Whole) else bytes(self.raw)


@dataclass(frozen=True, slots=True)
class Whole:
    """A payload that was decoded in one go, from which single records are taken only when somebody asks."""

    payload: bytes

    def record(self, first: int) -> bytes:
        """The record whose numbers begin with `first`, as it was sent."""
        for raw in decode_envelope(self.payload).records:
            # Not decoded as what it is: a field said twice is read with its last value when a batch is decoded in one
            # go, and refused for its first one here.
            numbers = _numbers.decode(raw)
            if (numbers.from_seq if numbers.type == "tally" else numbers.seq) == first:
                return bytes(raw)
        raise KeyError(first)


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch that may be taken, if its device may send at all; and the lines and cameras its records speak of."""

    incoming: Incoming
    envelope: Envelope
    records: Sequence[Numbered]
    lines: Collection[str]
    cameras: Collection[str]


def names_of(records: Sequence[Numbered]) -> tuple[set[str], set[str]]:
    """The lines and the cameras that records speak of."""
    lines: set[str] = set()
    cameras: set[str] = set()
    for numbered in records:
        _note_names(numbered.record, lines, cameras)
    return lines, cameras


def _note_names(record: Record | Unreadable, lines: set[str], cameras: set[str]) -> None:
    match record:
        case Crossing(line=line, camera=camera):
            lines.add(line)
            cameras.add(camera)
        case Coverage(camera=camera):
            cameras.add(camera)
        case Tally(crossings=crossings, coverage=coverage):
            lines.update(part.line for part in crossings)
            cameras.update(part.camera for part in crossings)
            cameras.update(part.camera for part in coverage)


class PlainCrossing(Crossing, frozen=True, kw_only=True, gc=False, tag_field="type", tag="crossing"):
    """A crossing whose names are held against their pattern afterwards, each once.

    Asking for just this type takes a third of the time of asking whether something is any kind of crossing.
    """

    camera: str
    line: str


class _Batch(Envelope, frozen=True, kw_only=True):
    """A batch decoded in one go."""

    records: Annotated[  # type: ignore[assignment]
        tuple[PlainCrossing | Coverage | Tally, ...], Meta(min_length=1, max_length=MAX_RECORDS)
    ]


_whole: Final = msgspec.json.Decoder(_Batch)
_name: Final = re.compile(get_args(Name)[1].pattern)
#: Names found to be of the pattern; no more than this, or a stranger could fill memory with them.
_good: Final[set[str]] = set()
_MOST_GOOD: Final = 20_000


#: One at a time goes the long way: until its records are counted, a stranger's batch takes thirty times its own size.
_long_way: Final = threading.Lock()


class _Peek(msgspec.Struct):
    """What can still be told of a record that doesn't decode."""

    seq: int
    from_seq: int | None = None


def read(incoming: Incoming) -> Batch | Refusal:
    """Decode a batch, or say why it is refused whole."""
    if (plain := _plain(incoming)) is not None:
        return plain
    with _long_way:
        return _slowly(incoming)


def _slowly(incoming: Incoming) -> Batch | Refusal:
    try:
        envelope = decode_envelope(incoming.payload)
    except WireError as error:
        return Refusal(code=error.code, reason=printable(str(error)))
    try:
        numbered = _number(incoming, envelope)
    except WireError as error:
        return refusal(envelope, error.code, str(error))
    return Batch(incoming, envelope, numbered, *names_of(numbered))


def refusal(envelope: Envelope, code: str, reason: str) -> Refusal:
    """A refusal that names the batch it is about."""
    return Refusal(
        code=code,
        reason=printable(reason),
        epoch=envelope.epoch,
        first_seq=envelope.first_seq,
        nonce=envelope.nonce,
    )


def printable(text: str) -> str:
    """Text from a stranger, fit for the database and for JSON: no NUL, no half characters, at most 500 long."""
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()[:500]


def _number(incoming: Incoming, envelope: Envelope) -> list[Numbered]:
    if envelope.device != incoming.device:
        raise WireError("wrong_envelope", f"the batch says it is from {envelope.device}, but {incoming.device} sent it")
    if envelope.oldest > envelope.first_seq:
        raise WireError("wrong_envelope", f"oldest {envelope.oldest} lies after first_seq {envelope.first_seq}")
    numbered: list[Numbered] = []
    expected = envelope.first_seq
    for raw in envelope.records:
        first, last, record = _decode(raw, expected, envelope.last_seq)
        if first > expected and numbered and isinstance(numbered[-1].record, Unreadable):
            # The one before was unreadable and stood for more numbers than one (a tally).
            numbered[-1] = _stretched(numbered[-1], first - 1)
        elif first != expected:
            raise WireError("wrong_envelope", f"after seq {expected - 1} comes {first}; expected {expected}")
        numbered.append(Numbered(first, last, record, raw))
        expected = last + 1
    if expected <= envelope.last_seq and isinstance(numbered[-1].record, Unreadable):
        numbered[-1] = _stretched(numbered[-1], envelope.last_seq)
    elif expected != envelope.last_seq + 1:
        raise WireError("wrong_envelope", f"records end at seq {expected - 1}, not at last_seq {envelope.last_seq}")
    return numbered


def _plain(incoming: Incoming) -> Batch | None:
    """A batch with nothing wrong about it, which is nearly every one; None for any other."""
    if len(incoming.payload) > MAX_PAYLOAD:
        return None
    try:
        batch = _whole.decode(incoming.payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if batch.device != incoming.device or batch.oldest > batch.first_seq:
        return None
    numbered: list[Numbered] = []
    whole = Whole(incoming.payload)
    lines: set[str] = set()
    cameras: set[str] = set()
    expected = batch.first_seq
    for record in batch.records:
        last = record.seq
        if type(record) is PlainCrossing:
            lines.add(record.line)
            cameras.add(record.camera)
        else:
            _note_names(record, lines, cameras)
        if type(record) is Tally:
            if record.from_seq != expected or last < expected:
                return None
        elif last != expected:
            return None
        numbered.append(Numbered(expected, last, record, whole))
        expected = last + 1
    if expected != batch.last_seq + 1 or not _are_names(lines | cameras):
        return None
    return Batch(incoming, batch, numbered, lines, cameras)


def _are_names(names: set[str]) -> bool:
    unknown = names - _good
    if not all(map(_name.search, unknown)):
        return False
    if len(_good) + len(unknown) > _MOST_GOOD:
        _good.clear()
    _good.update(unknown)
    return True


def _decode(raw: msgspec.Raw, expected: int, most: int) -> tuple[int, int, Record | Unreadable]:
    try:
        record = decode_record(raw)
    except WireError as error:
        return expected, _last_number(raw, expected, most), Unreadable(printable(str(error)))
    if record.seq < first_seq(record):
        return expected, expected, Unreadable(f"from_seq lies after seq {record.seq}")
    return first_seq(record), record.seq, record


def _last_number(raw: msgspec.Raw, expected: int, most: int) -> int:
    """Of a tally that doesn't decode the end may still be told; anything else stands for one number."""
    try:
        peek = msgspec.json.decode(raw, type=_Peek)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return expected
    return peek.seq if peek.from_seq == expected <= peek.seq <= most else expected


def _stretched(numbered: Numbered, last: int) -> Numbered:
    return Numbered(numbered.first, last, numbered.record, numbered.raw)
