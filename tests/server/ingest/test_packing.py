"""Rows packed by hand are read by PostgreSQL as what they are."""

from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.ingest import repository
from server.ingest.models import Origin
from server.ingest.packing import COLUMNS, Packer, micros
from server.storage.pool import Database
from tests.server.ingest.devices import rows
from wire.messages import Bounds, Crossing

_QUERY = f"SELECT {', '.join(COLUMNS)} FROM crossing ORDER BY seq"
_names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
_times = st.datetimes(datetime(2020, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - given below
_stores = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=10)


@st.composite
def crossings(draw: st.DrawFn) -> list[tuple[Crossing, datetime, str]]:
    found = []
    for seq in range(1, draw(st.integers(1, 6)) + 1):
        at = draw(_times)
        made = Crossing(
            seq=draw(st.integers(0, 2**40)) * 10 + seq,
            at=at,
            camera=draw(_names),
            line=draw(_names),
            direction=draw(st.sampled_from(["in", "out"])),
            track=draw(st.integers(0, 2**31 - 1)),
            # What PostgreSQL says to the last digit: it shows six of a four-byte number.
            confidence=draw(st.integers(0, 64)) / 64,
            group=draw(st.none() | st.integers(0, 9)),
            tags=tuple(draw(st.lists(st.sampled_from(["staff", "child", "cart"]), max_size=3))),
            bounds=draw(st.none() | st.just(Bounds(earliest=at, latest=at))),
        )
        found.append((made, at, draw(st.sampled_from(["adult", "child", "staff"]))))
    return found


# The pool's threads draw random numbers for their jitter, which hypothesis takes for ours.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(store=_stores, came=_times, made=crossings())
def test_what_is_packed_is_read_as_it_was(
    db: Database, store: str, came: datetime, made: list[tuple[Crossing, datetime, str]]
) -> None:
    origin = Origin(store, "door-1", "0" * 32, came)
    packer = Packer(origin)
    # Two of a kind: what was packed before is used again.
    wanted = [*made, *((changed(each, 10**9 + place), at, kind) for place, (each, at, kind) in enumerate(made))]
    with db.transaction() as connection:
        connection.execute("DELETE FROM crossing")
        repository.copy_crossings(connection, [row(packer, *each) for each in wanted])
    in_order = sorted(wanted, key=lambda each: each[0].seq)
    assert rows(db, _QUERY) == [told(origin, *each) for each in in_order]


def row(packer: Packer, crossing: Crossing, at: datetime, kind: str) -> bytes:
    undated = crossing.bounds is not None
    pack = packer.way(crossing.camera, crossing.line, crossing.direction, kind, crossing.tags, undated)
    return pack(micros(at), crossing.seq, crossing.opens_group, crossing.track, crossing.confidence)


def changed(crossing: Crossing, seq: int) -> Crossing:
    return Crossing(**{**{name: getattr(crossing, name) for name in crossing.__struct_fields__}, "seq": seq})


def told(origin: Origin, crossing: Crossing, at: datetime, kind: str) -> tuple[object, ...]:
    """In the order of the columns."""
    return (
        *(at, crossing.seq, origin.store_id, crossing.camera, crossing.line, crossing.direction, kind),
        *(crossing.opens_group, crossing.track, crossing.confidence, list(crossing.tags)),
        *(crossing.bounds is not None, origin.device_id, origin.epoch, origin.received_at),
    )
