"""Reading a batch: whatever comes in, it is a batch or a refusal, and the short way says what the long one does."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from server.ingest import reading
from server.ingest.models import Incoming
from server.ingest.reading import Batch, Unreadable
from tests.server.ingest.devices import NOW, Sender, coverage, crossing
from wire.messages import Crossing, Record, Refusal, Tally, decode_envelope

GOOD: dict[str, Any] = json.loads(
    Sender()
    .batch([crossing(1), coverage(2), Tally(from_seq=3, seq=9), crossing(10, tags=("child",)), crossing(11)])
    .payload
)
#: Values that have broken readers before.
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from(["", "\0", "1970-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "crossing", "tally", "1" * 400]),
    st.recursive(st.none(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner)),
)


def read(payload: bytes) -> Batch | Refusal:
    return reading.read(Incoming("door-1", payload, NOW))


@given(st.binary(max_size=300))
@example(b"[" * 100_000)
@example(b'{"v":1,' * 10_000)
@example(b'"\\ud800"')
def test_any_bytes_are_refused(payload: bytes) -> None:
    found = read(payload)
    assert isinstance(found, Refusal)
    assert found.code == "wrong_envelope"


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    """A batch in which some values were replaced, removed, or moved."""
    batch: dict[str, Any] = json.loads(json.dumps(GOOD))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(["envelope", "record", "records", "number"]))
        if place == "envelope":
            batch[draw(st.sampled_from([*GOOD, "more"]))] = draw(ODD)
            continue
        records = batch["records"]
        if not isinstance(records, list) or not records:
            continue
        index = draw(st.integers(0, len(records) - 1))
        match place:
            case "records":
                records[index] = draw(ODD)
            case "number" if isinstance(records[index], dict):
                records[index][draw(st.sampled_from(["seq", "from_seq"]))] = draw(st.integers(-2, 14))
            case "record" if isinstance(records[index], dict):
                key = draw(st.sampled_from([*records[index], "more"]) if records[index] else st.just("more"))
                records[index][key] = draw(ODD)
    return batch


@given(mutated())
def test_a_batch_with_something_wrong_is_read_or_refused_and_its_numbers_have_no_hole(batch: dict[str, Any]) -> None:
    found = read(json.dumps(batch).encode())
    if isinstance(found, Refusal):
        assert found.code == "wrong_envelope"
        assert found.reason
        return
    expected = found.envelope.first_seq
    for numbered in found.records:
        assert numbered.first == expected
        assert numbered.last >= numbered.first
        expected = numbered.last + 1
    assert expected == found.envelope.last_seq + 1
    raws = decode_envelope(json.dumps(batch).encode()).records
    assert [numbered.sent for numbered in found.records] == [bytes(raw) for raw in raws]


@given(mutated() | st.just(GOOD))
def test_the_short_way_says_what_the_long_way_says(batch: dict[str, Any]) -> None:
    payload = json.dumps(batch).encode()
    with pytest.MonkeyPatch.context() as patch:
        short = read(payload)
        patch.setattr(reading, "_plain", lambda *_: None)
        long = read(payload)
    assert plain(short) == plain(long)


def test_what_is_nothing_wrong_with_goes_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def long(*_: object) -> None:
        raise AssertionError("it went the long way")

    monkeypatch.setattr(reading, "_decode", long)
    found = read(json.dumps(GOOD).encode())
    assert isinstance(found, Batch)
    assert [numbered.last for numbered in found.records] == [1, 2, 9, 10, 11]


def plain(found: Batch | Refusal) -> object:
    """What can be compared: raw bytes by their content."""
    if isinstance(found, Refusal):
        return found
    return [
        (each.first, each.last, each.sent, each.record if isinstance(each.record, Unreadable) else fields(each.record))
        for each in found.records
    ]


def fields(record: Record) -> Any:
    return msgspec.to_builtins(record)


@pytest.mark.parametrize("name", ["", "-a", "a b", "a/b", "a" * 65, "Größe", "a\0"])
@pytest.mark.parametrize("field", ["camera", "line"])
def test_a_name_that_is_none_is_found_on_the_short_way_too(field: str, name: str) -> None:
    batch = json.loads(json.dumps(GOOD))
    batch["records"][0][field] = name
    found = read(json.dumps(batch).encode())
    assert isinstance(found, Batch)
    assert isinstance(found.records[0].record, Unreadable)
    assert [each.last for each in found.records] == [1, 2, 9, 10, 11]


def test_the_short_ways_crossing_has_every_field_of_the_contracts() -> None:
    def told(kind: type[Crossing]) -> dict[str, Any]:
        return {
            field.name: (field.type, field.default, field.required)
            for field in msgspec.structs.fields(kind)
            if field.name not in ("camera", "line")
        }

    assert told(reading.PlainCrossing) == told(Crossing)


def test_names_that_were_seen_are_not_remembered_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_MOST_GOOD", 10)
    for number in range(50):
        batch = json.loads(json.dumps(GOOD))
        batch["records"][0]["line"] = f"line-{number}"
        assert isinstance(read(json.dumps(batch).encode()), Batch)
    assert len(reading._good) <= 12
