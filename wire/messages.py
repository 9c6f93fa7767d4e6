"""What is said between a box and the server: one type per message, decoded strictly.

Messages are UTF-8 JSON. A field that is not in the contract, a missing one, a naive time or a number out of range is
an error where it is decoded, not three tables later. A batch is the exception that proves it: its envelope decides
whether the batch is taken at all, so it is decoded first and its records one by one, because one bad record must be
put aside without holding up its neighbours.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import Meta

from wire.base import Count, Message, Name, Share, Utc
from wire.config import Config, ConfigReport

VERSION: Final = 1
#: A payload larger than this is refused unread (bytes).
MAX_PAYLOAD: Final = 4 * 1024 * 1024
#: Largest status (bytes): one of each box is kept, by the broker, by every worker and in the database.
MAX_STATUS: Final = 64 * 1024
MAX_RECORDS: Final = 10_000

Epoch = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}$(?!\n)")]
Seq = Annotated[int, Meta(ge=1, le=2**53)]
#: Random, of one sending of a batch: what answers it says it back.
Nonce = Annotated[str, Meta(pattern=r"^[0-9a-f]{16}$(?!\n)")]
Direction = Literal["in", "out"]
Tag = Literal["staff", "child", "cart"]
#: Why a camera was watched for less than a whole minute; `ok` when it was not less.
CameraState = Literal["ok", "offline", "frozen", "dark", "covered", "stalled"]


class Bounds(Message, frozen=True, kw_only=True, gc=False):
    """What is known of a time that was never dated: it lies between these two (UTC)."""

    earliest: Utc
    latest: Utc


class Crossing(Message, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag_field="type", tag="crossing"):
    """One person over one line.

    Attributes:
        seq: its number within the epoch it was born in.
        at: when (UTC). With `bounds`, only an estimate between them.
        group: track id of whoever opened the buying group; None where nobody looked for groups.
        confidence: of the track, 0 to 1.
    """

    seq: Seq
    at: Utc
    camera: Name
    line: Name
    direction: Direction
    track: Count
    confidence: Share = 1.0
    group: Count | None = None
    tags: Annotated[tuple[Tag, ...], Meta(max_length=3)] = ()
    bounds: Bounds | None = None

    @property
    def opens_group(self) -> bool:
        """Whether this is the first of a buying group; whoever belongs to none that is known is one alone."""
        return self.group is None or self.group == self.track


class Coverage(Message, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag_field="type", tag="coverage"):
    """How long one camera was really watched within one minute.

    Two records for one camera and minute add up, capped at 60 seconds.

    Attributes:
        minute: the minute's start (UTC, seconds zero).
        seconds: watched, 0 to 60, to a tenth.
        frames: looked at.
        state: the main reason when `seconds` is under 60.
    """

    seq: Seq
    minute: Utc
    camera: Name
    seconds: Annotated[float, Meta(ge=0, le=60)]
    frames: Count
    state: CameraState = "ok"
    bounds: Bounds | None = None


class CrossingSum(Message, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Crossings of one line, direction and class folded over `span` seconds from `start` (UTC)."""

    line: Name
    camera: Name
    direction: Direction
    start: Utc
    span: Literal[60, 900]
    count: Count
    groups: Count = 0
    tags: Annotated[tuple[Tag, ...], Meta(max_length=3)] = ()


class CoverageSum(Message, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Coverage of one camera folded over `span` seconds from `start` (UTC)."""

    camera: Name
    start: Utc
    span: Literal[60, 900]
    seconds: Annotated[float, Meta(ge=0, le=900)]
    frames: Count
    state: CameraState = "ok"


class Tally(Message, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag_field="type", tag="tally"):
    """Records never sent, folded when the disk's quota was reached; stands for `from_seq` to `seq`, both included."""

    from_seq: Seq
    seq: Seq
    crossings: tuple[CrossingSum, ...] = ()
    coverage: tuple[CoverageSum, ...] = ()


Record = Crossing | Coverage | Tally


class Envelope(Message, frozen=True, kw_only=True):
    """A batch with its records not yet decoded: enough to say whether it is taken.

    Attributes:
        first_seq: of the first record (`from_seq` if that is a tally).
        last_seq: of the last record.
        oldest: the lowest sequence number of this epoch that the device still holds; what is below it can't be had.
        sent_at: the device's clock when it was sent (UTC); the server compares it with its own.
        config_revision: the newest desired configuration the device knows of, whatever became of it.
        nonce: of this sending; another one when the same batch is sent again.
    """

    v: Literal[1]
    device: Name
    epoch: Epoch
    first_seq: Seq
    last_seq: Seq
    oldest: Seq
    sent_at: Utc
    config_revision: Count = 0
    nonce: Nonce | None = None
    records: Annotated[tuple[msgspec.Raw, ...], Meta(min_length=1, max_length=MAX_RECORDS)]


class Batch(Message, frozen=True, kw_only=True):
    """What a device sends: records of one epoch, in order, without a hole between `first_seq` and `last_seq`."""

    v: Literal[1] = VERSION
    device: Name
    epoch: Epoch
    first_seq: Seq
    last_seq: Seq
    oldest: Seq
    sent_at: Utc
    config_revision: Count = 0
    nonce: Nonce | None = None
    records: Annotated[tuple[Record, ...], Meta(min_length=1, max_length=MAX_RECORDS)]


class Ack(Message, frozen=True, kw_only=True, tag_field="type", tag="ack"):
    """Everything of `epoch` up to `seq` is committed. Never goes back.

    Attributes:
        nonce: of the batch it answers. After a rewind a device believes only what answers a batch it sent since: an ack
            from before it may speak for a database that is no more.
    """

    v: Literal[1] = VERSION
    epoch: Epoch
    seq: Annotated[int, Meta(ge=0, le=2**53)]
    nonce: Nonce | None = None


class Rewind(Message, frozen=True, kw_only=True, tag_field="type", tag="rewind"):
    """Send `epoch` again, beginning with `seq`."""

    v: Literal[1] = VERSION
    epoch: Epoch
    seq: Seq
    nonce: Nonce | None = None


#: Why a whole batch is not taken. A box treats them alike; one it doesn't know, of a newer server, it keeps to as well.
RefusalCode = Literal["unknown_device", "wrong_envelope", "too_large", "not_writable"]


class Refusal(Message, frozen=True, kw_only=True, tag_field="type", tag="refusal"):
    """A whole batch was not taken; the device keeps everything, tries again later and says why in its status.

    Attributes:
        code: stable, for programs: unknown_device (not registered, or revoked), wrong_envelope (not of the contract),
            too_large (see `MAX_PAYLOAD`), not_writable (the server's fault; its log says more). See `RefusalCode`.
        reason: for people: what was wrong and what to do.
    """

    v: Literal[1] = VERSION
    code: str
    reason: str
    epoch: Epoch | None = None
    first_seq: Seq | None = None
    nonce: Nonce | None = None


Reply = Ack | Rewind | Refusal


class CameraStatus(Message, frozen=True, kw_only=True):
    """How one camera does now.

    Attributes:
        message: what is wrong, for a person; empty when nothing is.
        refused: whether it is the user name or password that the camera does not take.
    """

    camera: Name
    state: CameraState
    fps: Annotated[float, Meta(ge=0)]
    message: str = ""
    refused: bool = False


class Status(Message, frozen=True, kw_only=True):
    """A device's retained word about itself; `online` false is its last will.

    Attributes:
        at: device's clock (UTC); None in a last will, whose time nobody knows beforehand.
        pending: records not yet acknowledged.
        lost: records lost for good since the outbox was made, in numbers (disk full, corrupt file).
        problem: what is wrong, for a person; empty when nothing is.
        config_revision: of the desired configuration in use; 0 while it is the box's own file alone.
        config: what became of the newest desired configuration it knows of; None before the first.
        certificate: SHA-256 fingerprint of the client certificate this connection was opened with, so that the server
            knows when a new one has arrived; empty where there is none.
    """

    v: Literal[1] = VERSION
    device: Name
    online: bool
    at: Utc | None = None
    version: str = ""
    epoch: Epoch | None = None
    config_revision: Count = 0
    pending: Count = 0
    lost: Count = 0
    problem: str = ""
    certificate: Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?$(?!\n)")] = ""
    cameras: tuple[CameraStatus, ...] = ()
    config: ConfigReport | None = None


class BatchReply(Message, frozen=True, kw_only=True):
    """The answer to a batch posted over HTTPS; a refusal is an error there, with the same code.

    Attributes:
        reply: as it would come on a topic.
        config: desired configuration, where the server has a newer revision than the batch names.
    """

    reply: Ack | Rewind
    config: Config | None = None


class WireError(ValueError):
    """A payload that is not of the contract; the text names the field and the reason."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


T = TypeVar("T")
_encoder: Final = msgspec.json.Encoder()
_envelope: Final = msgspec.json.Decoder(Envelope)
_record: Final[msgspec.json.Decoder[Record]] = msgspec.json.Decoder(Record)


def encode(message: msgspec.Struct) -> bytes:
    """The message as UTF-8 JSON."""
    return _encoder.encode(message)


def decode(payload: bytes, kind: type[T]) -> T:
    """Decode a whole message of type `kind`.

    Raises:
        WireError: when it is too large, not UTF-8 JSON, or not of that type.
    """
    _check_size(payload)
    try:
        return msgspec.json.decode(payload, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError("wrong_message", str(error)) from error


def decode_envelope(payload: bytes) -> Envelope:
    """Decode a batch's envelope and leave its records raw.

    Raises:
        WireError: `too_large` or `wrong_envelope`, with the field and the reason.
    """
    _check_size(payload)
    try:
        envelope = _envelope.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError("wrong_envelope", str(error)) from error
    if envelope.last_seq < envelope.first_seq:
        raise WireError("wrong_envelope", f"last_seq {envelope.last_seq} lies before first_seq {envelope.first_seq}")
    return envelope


def decode_record(raw: msgspec.Raw | bytes) -> Record:
    """Decode one record of a batch.

    Raises:
        WireError: `bad_record`, with the field and the reason.
    """
    try:
        return _record.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError("bad_record", str(error)) from error


def first_seq(record: Record) -> int:
    """The lowest sequence number a record stands for."""
    return record.from_seq if isinstance(record, Tally) else record.seq


def make_batch(
    *,
    device: str,
    epoch: str,
    oldest: int,
    sent_at: datetime,
    records: Sequence[Record],
    config_revision: int = 0,
    nonce: str | None = None,
) -> Batch:
    """Wrap records of one epoch, in order, in an envelope.

    Raises:
        ValueError: when there are none, or a hole lies between them.
    """
    if not records:
        raise ValueError("a batch needs at least one record")
    expected = first_seq(records[0])
    for record in records:
        if first_seq(record) != expected:
            raise ValueError(f"hole in the batch: expected seq {expected}, found {first_seq(record)}")
        expected = record.seq + 1
    return Batch(
        device=device,
        epoch=epoch,
        first_seq=first_seq(records[0]),
        last_seq=records[-1].seq,
        oldest=oldest,
        sent_at=sent_at,
        config_revision=config_revision,
        nonce=nonce,
        records=tuple(records),
    )


def _check_size(payload: bytes) -> None:
    if len(payload) > MAX_PAYLOAD:
        raise WireError("too_large", f"payload of {len(payload)} bytes; at most {MAX_PAYLOAD} are taken")


def to_builtins(message: msgspec.Struct) -> Any:
    """The message as plain dicts, lists and strings, as JSON would hold it."""
    return msgspec.to_builtins(message)
