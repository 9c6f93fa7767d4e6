"""What is on the wire is decoded strictly, and one bad record doesn't take its batch with it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.messages import (
    MAX_PAYLOAD,
    Ack,
    Bounds,
    Coverage,
    CoverageSum,
    Crossing,
    CrossingSum,
    Record,
    Refusal,
    Reply,
    Rewind,
    Tally,
    WireError,
    decode,
    decode_envelope,
    decode_record,
    encode,
    first_seq,
    make_batch,
)

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
EPOCH = "0123456789abcdef0123456789abcdef"

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True)
times = st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
tags = st.lists(st.sampled_from(["staff", "child", "cart"]), unique=True, max_size=3).map(tuple)
crossings = st.builds(
    Crossing,
    seq=st.just(1),
    at=times,
    camera=names,
    line=names,
    direction=st.sampled_from(["in", "out"]),
    track=st.integers(0, 2**31 - 1),
    confidence=st.floats(0, 1),
    group=st.none() | st.integers(0, 2**31 - 1),
    tags=tags,
    bounds=st.none() | st.builds(Bounds, earliest=times, latest=times),
)
coverages = st.builds(
    Coverage,
    seq=st.just(1),
    minute=times,
    camera=names,
    seconds=st.floats(0, 60),
    frames=st.integers(0, 9999),
)
tallies = st.builds(
    Tally,
    from_seq=st.just(1),
    seq=st.just(5),
    crossings=st.lists(
        st.builds(
            CrossingSum,
            line=names,
            camera=names,
            direction=st.sampled_from(["in", "out"]),
            start=times,
            span=st.sampled_from([60, 900]),
            count=st.integers(0, 9999),
            groups=st.integers(0, 9999),
            tags=tags,
        ),
        max_size=3,
    ).map(tuple),
    coverage=st.lists(
        st.builds(
            CoverageSum,
            camera=names,
            start=times,
            span=st.sampled_from([60, 900]),
            seconds=st.floats(0, 900),
            frames=st.integers(0, 9999),
        ),
        max_size=3,
    ).map(tuple),
)


def crossing(seq: int, **changes: Any) -> Crossing:
    values: dict[str, Any] = {"at": NOON, "camera": "C1", "line": "L1", "direction": "in", "track": 1}
    return Crossing(seq=seq, **{**values, **changes})


def payload(**changes: Any) -> bytes:
    batch = make_batch(device="door-1", epoch=EPOCH, oldest=1, sent_at=NOON, records=[crossing(1), crossing(2)])
    plain = msgspec.to_builtins(batch)
    plain.update(changes)
    return msgspec.json.encode({key: value for key, value in plain.items() if value is not ...})


@given(crossings | coverages | tallies)
def test_every_record_comes_back_as_it_was_sent(record: Record) -> None:
    batch = make_batch(device="door-1", epoch=EPOCH, oldest=1, sent_at=NOON, records=[record])

    envelope = decode_envelope(encode(batch))

    assert [decode_record(raw) for raw in envelope.records] == [record]
    assert (envelope.first_seq, envelope.last_seq) == (first_seq(record), record.seq)


@pytest.mark.parametrize(
    "reply",
    [
        Ack(epoch=EPOCH, seq=7),
        Rewind(epoch=EPOCH, seq=3),
        Refusal(code="unknown_device", reason="no device 'door-9': add it first", epoch=EPOCH, first_seq=1),
    ],
)
def test_a_reply_says_its_kind(reply: Reply) -> None:
    assert decode(encode(reply), Reply) == reply  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"v": 2}, "v"),
        ({"v": ...}, "v"),
        ({"device": "a/b"}, "device"),
        ({"device": 7}, "device"),
        ({"device": "door-1\n"}, "device"),
        ({"epoch": "xyz"}, "epoch"),
        ({"epoch": "0" * 32 + "\n"}, "epoch"),
        ({"first_seq": 0}, "first_seq"),
        ({"first_seq": True}, "first_seq"),
        ({"last_seq": 2**60}, "last_seq"),
        ({"last_seq": ...}, "last_seq"),
        ({"first_seq": 9}, "before first_seq"),
        ({"sent_at": "2026-11-21T12:00:00"}, "sent_at"),
        ({"records": []}, "records"),
        ({"records": {}}, "records"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_wrong_envelope_is_refused_and_names_the_field(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(WireError, match=says) as caught:
        decode_envelope(payload(**changes))
    assert caught.value.code == "wrong_envelope"


@pytest.mark.parametrize(
    "bad",
    [
        {"type": "crossing", "seq": 1},
        {"type": "song", "seq": 1},
        {**msgspec.to_builtins(crossing(1)), "direction": "up"},
        {**msgspec.to_builtins(crossing(1)), "tags": ["ghost"]},
        {**msgspec.to_builtins(crossing(1)), "at": "2026-11-21T12:00:00"},
        {**msgspec.to_builtins(crossing(1)), "confidence": 1.5},
        {**msgspec.to_builtins(crossing(1)), "extra": 1},
        {
            "type": "coverage",
            "seq": 1,
            "minute": "2026-11-21T12:00:00Z",
            "camera": "C",
            "seconds": 61,
            "frames": 1,
        },
    ],
)
def test_a_bad_record_fails_alone(bad: dict[str, Any]) -> None:
    envelope = decode_envelope(payload(records=[bad, msgspec.to_builtins(crossing(2))]))

    with pytest.raises(WireError) as caught:
        decode_record(envelope.records[0])

    assert caught.value.code == "bad_record"
    assert decode_record(envelope.records[1]) == crossing(2)


@pytest.mark.parametrize("noise", [b"", b"\xff\xfe", b"null", b"[" * 200_000, b'{"v":' * 50_000, b'"' + b"a" * 1000])
def test_noise_is_refused_and_nothing_breaks(noise: bytes) -> None:
    with pytest.raises(WireError):
        decode_envelope(noise)


@given(st.binary(max_size=2000))
def test_random_bytes_are_refused_and_nothing_else_happens(noise: bytes) -> None:
    with pytest.raises(WireError) as caught:
        decode_envelope(noise)
    assert caught.value.code == "wrong_envelope"


def test_a_payload_over_the_limit_is_refused_unread() -> None:
    with pytest.raises(WireError, match="at most") as caught:
        decode_envelope(b" " * (MAX_PAYLOAD + 1))
    assert caught.value.code == "too_large"


def test_a_batch_with_a_hole_is_not_made() -> None:
    with pytest.raises(ValueError, match="expected seq 2, found 3"):
        make_batch(device="door-1", epoch=EPOCH, oldest=1, sent_at=NOON, records=[crossing(1), crossing(3)])


def test_a_tally_fills_the_hole_it_stands_for() -> None:
    records: list[Record] = [crossing(1), Tally(from_seq=2, seq=40), crossing(41, at=NOON + timedelta(seconds=1))]

    batch = make_batch(device="door-1", epoch=EPOCH, oldest=1, sent_at=NOON, records=records)

    assert (batch.first_seq, batch.last_seq) == (1, 41)
