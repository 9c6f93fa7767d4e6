"""The gap ledger by itself: every due second in one column, every column with its reason."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.ingest.gaps import (
    REASONS,
    UPLOAD_LAG,
    Gap,
    Inputs,
    LedgerRow,
    LostRecords,
    Outage,
    PastQuarter,
    RegisteredCamera,
    Reporter,
    WatchedQuarter,
    gaps,
    ledger,
    outages_of,
)
from server.ingest.models import STATES

QUARTER = timedelta(minutes=15)
OPEN = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
NOTHING, NO_WORD = (0, 0, 0), ("not_reported",)
LONG_AFTER = OPEN + timedelta(days=1)
CAMERA = RegisteredCamera("C1", OPEN - timedelta(days=90), None, True, (Reporter("door-1", OPEN, OPEN),))
NEVER = replace(CAMERA, reporters=(), has_reported=False)


def watched(seconds: float = 60, late: float = 0, state: str = "ok", quarter: datetime = OPEN) -> WatchedQuarter:
    return WatchedQuarter("C1", quarter, [seconds] * 15, late, state)


def one(
    *seen: WatchedQuarter, camera: RegisteredCamera = CAMERA, as_of: datetime = LONG_AFTER, **more: Any
) -> LedgerRow:
    """The row of the first open quarter hour."""
    return ledger(Inputs(quarters=[OPEN], as_of=as_of, cameras=[camera], watched=seen, **more))[0]


def columns(row: LedgerRow) -> tuple[float, ...]:
    return (row.due, row.measured, row.late, row.imputed, row.missing)


def lost(starts_at: datetime | None, ends_at: datetime, **more: Any) -> LostRecords:
    fields = {"device_id": "door-1", "epoch": "e", "from_seq": 3, "to_seq": 7, "records": 5, **more}
    return LostRecords(**fields, starts_at=starts_at, ends_at=ends_at, noticed_at=ends_at)


def test_a_quarter_hour_that_was_watched_needs_no_reason() -> None:
    row = one(watched(), outages=[Outage("door-1", OPEN, LONG_AFTER)], lost=[lost(None, LONG_AFTER)])
    assert columns(row) == (900, 900, 0, 0, 0)
    assert (row.reasons, row.is_gap) == ((), False)


@pytest.mark.parametrize(
    ("seen", "more", "expected", "reasons"),
    [
        ([], {}, (900, 0, 0, 0, 900), ("not_reported",)),
        ([], {"camera": NEVER}, (900, 0, 0, 0, 900), ("never_reported",)),
        # Whatever befell the store's boxes.
        (
            [],
            {"camera": NEVER, "outages": [Outage("door-1", OPEN, LONG_AFTER)], "lost": [lost(None, LONG_AFTER)]},
            (900, 0, 0, 0, 900),
            ("lost", "box_offline", "never_reported"),
        ),
        ([], {"camera": replace(CAMERA, reporters=())}, (900, 0, 0, 0, 900), ("not_reported",)),
        ([watched(20, state="dark")], {}, (900, 300, 0, 0, 600), ("camera_dark",)),
        ([watched(40, late=400)], {}, (900, 200, 400, 0, 300), ("not_reported", "backlog")),
        ([watched(60, late=900)], {}, (900, 0, 900, 0, 0), ("backlog",)),
        ([watched(60, late=999)], {}, (900, 0, 900, 0, 0), ("backlog",)),
        (
            [watched(60, late=900)],
            {"outages": [Outage("door-1", OPEN - QUARTER, OPEN + timedelta(minutes=1))]},
            (900, 0, 900, 0, 0),
            ("box_offline",),
        ),
        ([], {"outages": [Outage("door-1", OPEN, LONG_AFTER)]}, (900, 0, 0, 0, 900), ("box_offline",)),
        ([], {"outages": [Outage("door-2", OPEN, LONG_AFTER)]}, (900, 0, 0, 0, 900), ("not_reported",)),
        ([], {"outages": [Outage("door-1", OPEN + QUARTER, LONG_AFTER)]}, (900, 0, 0, 0, 900), ("not_reported",)),
        ([], {"lost": [lost(None, OPEN + QUARTER)]}, (900, 0, 0, 0, 900), ("lost",)),
        ([], {"lost": [lost(OPEN + QUARTER, LONG_AFTER)]}, (900, 0, 0, 0, 900), ("not_reported",)),
        ([], {"lost": [lost(None, OPEN)]}, (900, 0, 0, 0, 900), ("not_reported",)),
        ([], {"lost": [lost(None, LONG_AFTER, records=-5)]}, (900, 0, 0, 0, 900), ("not_reported",)),
        ([], {"letters": {("C1", OPEN): 15}}, (900, 0, 0, 0, 900), ("dead_letter",)),
        ([watched()], {"letters": {("C1", OPEN): 2}}, (900, 900, 0, 0, 0), ("dead_letter",)),
        # Coming: what is not over yet, and over for too short a time, is not due.
        ([], {"as_of": OPEN + timedelta(minutes=5) + UPLOAD_LAG}, (300, 0, 0, 0, 300), ("not_reported",)),
        # A camera owes nothing before it hung, in whole minutes, nor after it was taken down.
        ([], {"camera": replace(CAMERA, installed_at=OPEN + timedelta(seconds=61))}, (780, *NOTHING, 780), NO_WORD),
        (
            [watched()],
            {"camera": replace(CAMERA, removed_at=OPEN + timedelta(seconds=599))},
            (540, 540, 0, 0, 0),
            (),
        ),
    ],
)  # fmt: skip
def test_what_is_due_stands_in_one_column_with_its_reason(
    seen: list[WatchedQuarter], more: dict[str, Any], expected: tuple[float, ...], reasons: tuple[str, ...]
) -> None:
    row = one(*seen, **more)
    assert (columns(row), row.reasons) == (expected, reasons)


def test_a_box_that_was_replaced_explains_what_was_missed_before_the_other_came() -> None:
    """door-1 died at noon, door-2 took its camera over at two and was itself away from four on."""
    noon = OPEN + timedelta(hours=2)

    def at(hour: float) -> datetime:
        return OPEN + timedelta(hours=hour - 10)

    camera = replace(
        CAMERA,
        reporters=(
            Reporter("door-1", at(10), noon - timedelta(minutes=1)),
            Reporter("door-2", at(14) + timedelta(minutes=5), at(16)),
        ),
    )
    expected: dict[float, frozenset[str] | None] = {
        **dict.fromkeys((9, 11, 12, 13.75), frozenset({"door-1"})),
        14: frozenset({"door-1", "door-2"}),
        **dict.fromkeys((14.25, 16.25), frozenset({"door-2"})),
    }
    assert {hour: camera.boxes_at(at(hour)) for hour in expected} == expected
    outages = [Outage("door-1", noon, LONG_AFTER), Outage("door-2", at(16), at(17))]
    quarters = [at(hour) for hour in (12, 14, 15, 16.25, 17)]
    inputs = Inputs(quarters=quarters, as_of=LONG_AFTER, cameras=[camera], watched=[], outages=outages)
    assert [row.reasons for row in ledger(inputs)] == [
        ("box_offline",),
        ("box_offline",),
        ("not_reported",),
        ("box_offline",),
        ("not_reported",),
    ]


def test_what_is_not_due_has_no_row() -> None:
    early = Inputs(quarters=[OPEN], as_of=OPEN, cameras=[CAMERA], watched=[])
    assert ledger(early) == []
    assert ledger(replace(early, as_of=LONG_AFTER, cameras=[replace(CAMERA, removed_at=OPEN)])) == []


class TestImputed:
    """The same quarter hour of other weeks tells what to expect, or nothing does."""

    same_times: ClassVar = {OPEN: [OPEN - timedelta(days=7 * week) for week in (1, 2, 3, 4)]}

    def past(self, *weeks: PastQuarter | None) -> dict[tuple[str, datetime], PastQuarter]:
        pairs = zip(self.same_times[OPEN], weeks, strict=False)
        return {("C1", at): week for at, week in pairs if week is not None}

    def test_what_was_not_seen_is_expected_as_in_other_weeks(self) -> None:
        past = self.past(PastQuarter(20, 10, 9000), None, PastQuarter(40, 20, 9000))
        row = one(watched(40), same_times=self.same_times, past=past)
        assert columns(row) == (900, 600, 0, 300, 0)
        assert (row.estimated_in, row.estimated_out) == (10, 5)
        assert row.reasons == ("not_reported",)

    def test_per_second_watched(self) -> None:
        past = self.past(PastQuarter(16, 0, 7200), PastQuarter(16, 0, 7200))
        assert one(same_times=self.same_times, past=past).estimated_in == 20

    @pytest.mark.parametrize(
        "weeks",
        [
            (),
            (PastQuarter(20, 10, 9000),),
            (PastQuarter(20, 10, 9000), PastQuarter(20, 10, 7199)),
        ],
    )
    def test_one_week_alone_tells_nothing(self, weeks: tuple[PastQuarter, ...]) -> None:
        row = one(same_times=self.same_times, past=self.past(*weeks))
        assert columns(row) == (900, 0, 0, 0, 900)
        assert (row.estimated_in, row.estimated_out) == (0, 0)


@given(
    minutes=st.lists(st.integers(0, 700), min_size=15, max_size=15),
    late=st.integers(0, 9000),
    hung=st.integers(-2000, 2000),
    gone=st.none() | st.integers(-2000, 2000),
    now=st.integers(-2000, 3000),
)
def test_the_four_columns_always_add_up(minutes: list[int], late: int, hung: int, gone: int | None, now: int) -> None:
    camera = replace(
        CAMERA,
        installed_at=OPEN + timedelta(seconds=hung),
        removed_at=None if gone is None else OPEN + timedelta(seconds=gone),
    )
    seen = WatchedQuarter("C1", OPEN, [tenths / 10 for tenths in minutes], late / 10, "ok")
    as_of = OPEN + timedelta(seconds=now)
    for row in ledger(Inputs(quarters=[OPEN], as_of=as_of, cameras=[camera], watched=[seen])):
        assert row.due == pytest.approx(row.measured + row.late + row.imputed + row.missing)
        assert min(columns(row)) >= 0
        assert row.due <= 900
        assert bool(row.reasons) == row.is_gap


def test_quarter_hours_that_follow_one_another_for_one_reason_are_one_gap() -> None:
    quarters = [OPEN + number * QUARTER for number in range(5)]
    seen = [watched(quarter=quarters[2]), watched(30, state="dark", quarter=quarters[3])]
    rows = ledger(Inputs(quarters=quarters, as_of=LONG_AFTER, cameras=[CAMERA], watched=seen))
    assert gaps(rows) == [
        Gap("C1", OPEN, OPEN + 2 * QUARTER, 1800, 0, 0, 1800, ("not_reported",), 0),
        Gap("C1", quarters[3], quarters[4], 900, 0, 0, 450, ("camera_dark",), 0),
        Gap("C1", quarters[4], quarters[4] + QUARTER, 900, 0, 0, 900, ("not_reported",), 0),
    ]


def test_outages_begin_once_and_end_when_the_box_is_back_or_now() -> None:
    t = [OPEN + number * QUARTER for number in range(6)]
    history = [("a", t[0], False), ("a", t[1], False), ("a", t[2], True), ("a", t[3], True), ("b", t[1], False)]
    assert outages_of(history, {"c": t[4], "b": t[4]}, t[5]) == [
        Outage("a", t[0], t[2]),
        Outage("b", t[1], t[5]),
        Outage("c", t[4], t[5]),
    ]


def test_every_state_a_camera_reports_is_a_reason() -> None:
    for state in STATES:
        told = one(watched(20, state=state)).reasons
        assert told == (("not_reported",) if state == "ok" else (f"camera_{state}",))
        assert set(told) <= set(REASONS)
