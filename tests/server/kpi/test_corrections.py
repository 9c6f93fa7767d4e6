"""Corrections made and withdrawn: who may, what is refused, what is computed anew, and what was answered before."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from threading import Event
from uuid import uuid4

import pytest

from server.access.models import Scope
from server.errors import Conflict, Forbidden, InvalidInput, NotFound
from server.jobs.days import Days
from server.kpi.correction_service import CorrectionsService, Shift
from server.kpi.corrections.in_force import Audit, NewCorrection
from server.kpi.models import Report
from tests.server.kpi.chain import MEMBER, SYSTEM, Chain

MONDAY = date(2026, 11, 16)
TUESDAY = date(2026, 11, 17)
HQ = Scope(user_id="u1", role="hq", stores=None, name="hanna")
MANAGER = Scope(user_id="u2", role="manager", stores=frozenset({"S01"}), name="chen")
RATE = NewCorrection("staff_rate", "watched for a day", "S01", MONDAY, value=Decimal(3))
FACTOR = NewCorrection("group_factor", "survey", None, MONDAY, value=Decimal(2))
ACCURACY = NewCorrection("accuracy", "audit", "S01", MONDAY, audit=Audit(100, 5, 2))
DELIVERY = NewCorrection(
    "excluded",
    "delivery",
    "S01",
    starts_at=datetime(2026, 11, 16, 2, 5, tzinfo=UTC),
    ends_at=datetime(2026, 11, 16, 2, 20, tzinfo=UTC),
)


@pytest.fixture
def corrections(shops: Chain) -> CorrectionsService:
    """Two stores, two days each: 20 people at ten o'clock, 10 at eleven, all watched."""
    for store in ("S01", "S02"):
        shops.store(store)
        for day in (16, 17):
            shops.watch(store, f"2026-11-{day} 10:00", f"2026-11-{day} 12:00")
            shops.cross(store, f"2026-11-{day} 10:00", 20)
            shops.cross(store, f"2026-11-{day} 11:00", 10)
    compute(shops)
    return CorrectionsService(shops.db, shops.stores, shops.clock)


def compute(shops: Chain) -> None:
    Days(shops.db, shops.stores, shops.kpi, shops.clock).dirty(Event())


def visitors(shops: Chain) -> dict[str, int]:
    """Of every store-day that stands, marks or no marks."""
    with shops.db.read() as conn:
        return dict(
            conn.execute(
                "SELECT store_id || ' ' || extract(day FROM day)::int, entries - staff_entries FROM store_day"
                " WHERE superseded_at IS NULL ORDER BY 1"
            ).fetchall()
        )


def answered(shops: Chain, at: datetime) -> list[int]:
    """Entries of S01's Monday as they stood at a moment."""
    with shops.db.read() as conn:
        rows = conn.execute(
            "SELECT entries FROM store_day WHERE store_id = 'S01' AND day = %s"
            " AND computed_at <= %s AND (superseded_at IS NULL OR superseded_at > %s)",
            (MONDAY, at, at),
        ).fetchall()
    return [entries for (entries,) in rows]


def test_a_correction_has_just_the_days_of_its_validity_computed_anew(
    shops: Chain, corrections: CorrectionsService
) -> None:
    corrections.make(HQ, replace(DELIVERY, line_id="S01-L1"))
    assert shops.marks() == 1
    compute(shops)
    assert visitors(shops) == {"S01 16": 10, "S01 17": 30, "S02 16": 30, "S02 17": 30}
    corrections.make(HQ, replace(ACCURACY, day_from=TUESDAY))
    compute(shops)
    # 20 x 1.03 = 20.6, and 30.9 in all: 21 and 10.
    assert visitors(shops)["S01 17"] == 31
    corrections.make(HQ, replace(ACCURACY, store_id="S02", day_to=MONDAY))
    compute(shops)
    assert visitors(shops) == {"S01 16": 10, "S01 17": 31, "S02 16": 31, "S02 17": 30}


def test_a_rate_takes_the_roster_s_staff_off(shops: Chain, corrections: CorrectionsService) -> None:
    """Two people from ten to twelve at three entries an hour: twelve; only the quarters at ten and eleven have any."""
    corrections.make(HQ, RATE)
    compute(shops)
    assert visitors(shops)["S01 16"] == 30
    shift = Shift(shops.at("S01", "2026-11-16 10:00"), shops.at("S01", "2026-11-16 12:00"), Decimal(2))
    corrections.set_roster(MANAGER, "S01", MONDAY, [shift])
    assert shops.marks() == 1
    compute(shops)
    # 1.5 a quarter hour: 1.5 (2) at ten; 7.5 (8) by eleven: eight in all, since nobody comes after that.
    assert visitors(shops)["S01 16"] == 22
    assert corrections.roster(SYSTEM, "S01", MONDAY) == [shift]
    corrections.set_roster(MANAGER, "S01", MONDAY, [])
    compute(shops)
    assert visitors(shops)["S01 16"] == 30
    assert corrections.roster(SYSTEM, "S01", MONDAY) == []
    assert corrections.roster(SYSTEM, "S01", TUESDAY) is None


def test_the_old_answer_stays_and_so_does_why(shops: Chain, corrections: CorrectionsService) -> None:
    before = shops.now
    shops.now += timedelta(hours=1)
    made = corrections.make(HQ, ACCURACY)
    shops.now += timedelta(minutes=1)
    compute(shops)
    between = shops.now
    shops.now += timedelta(hours=1)
    ended = corrections.withdraw(HQ, made.correction_id, "it was another door")
    shops.now += timedelta(minutes=1)
    compute(shops)
    assert [answered(shops, at) for at in (before, between, shops.now)] == [[30], [31], [30]]

    def told(at: datetime, scope: Scope = HQ, group_by: str = "store") -> Report:
        return shops.kpi.report(
            scope, kpis=["entries", "coverage"], day_from=MONDAY, day_to=TUESDAY, group_by=group_by, as_of=at
        )

    found = [told(at) for at in (before, between, shops.now, before - timedelta(days=1))]
    # Monday and Tuesday, from Monday on 31 and 31 by the audit; before anything was computed there is no answer.
    assert [[(row.key, row.values["entries"].value) for row in each.rows] for each in found] == [
        [("S01", 60), ("S02", 60)],
        [("S01", 62), ("S02", 60)],
        [("S01", 60), ("S02", 60)],
        [("S01", None), ("S02", None)],
    ]
    assert [each.total.values["entries"].value for each in found] == [120, 122, 120, None]
    assert found[3].total.values["entries"].withheld == "no_data"
    assert [each.missing for each in found] == [0, 0, 0, 4]
    assert found[1].total.periods == 4
    assert found[1].total.values["coverage"].value == 1
    by_week = told(between, MANAGER, "week")
    assert [(row.labels, row.values["entries"].value) for row in by_week.rows] == [({"week": "2026-W47"}, 62)]
    assert [len(corrections.corrections(HQ, "S01", at=at)) for at in (before, between, shops.now)] == [0, 1, 0]
    assert corrections.corrections(HQ, "S01") == []
    assert corrections.corrections(HQ, "S01", withdrawn=True) == [ended]
    assert (ended.made_by, ended.reason, ended.withdrawn_by, ended.withdrawn_reason) == (
        "hanna",
        "audit",
        "hanna",
        "it was another door",
    )
    with shops.db.read() as conn:
        trail = conn.execute(
            "SELECT action, actor, subject, detail ->> 'reason' FROM audit ORDER BY audit_id"
        ).fetchall()
    assert trail[-2:] == [
        ("correction.make", "hanna", str(made.correction_id), "audit"),
        ("correction.withdraw", "hanna", str(made.correction_id), "it was another door"),
    ]
    with pytest.raises(Conflict):
        corrections.withdraw(HQ, made.correction_id, "again")


def test_a_store_s_own_goes_before_the_chain_s_and_the_later_before_the_earlier(
    shops: Chain, corrections: CorrectionsService
) -> None:
    def groups() -> dict[str, int]:
        compute(shops)
        with shops.db.read() as conn:
            return dict(
                conn.execute(
                    "SELECT store_id || ' ' || extract(day FROM day)::int, groups FROM store_day"
                    " WHERE superseded_at IS NULL ORDER BY 1"
                ).fetchall()
            )

    corrections.make(HQ, FACTOR)
    assert groups() == {"S01 16": 15, "S01 17": 15, "S02 16": 15, "S02 17": 15}
    own = corrections.make(HQ, replace(FACTOR, store_id="S01", value=Decimal(3)))
    corrections.make(HQ, replace(FACTOR, day_from=TUESDAY, value=Decimal(5)))
    assert groups() == {"S01 16": 10, "S01 17": 10, "S02 16": 15, "S02 17": 6}
    corrections.make(HQ, replace(FACTOR, store_id="S01", value=Decimal(6)))
    assert groups()["S01 16"] == 5
    corrections.withdraw(HQ, own.correction_id, "not this one")
    assert groups()["S01 16"] == 5


def test_an_excluded_interval_is_told_as_the_quarter_hours_it_lies_in(corrections: CorrectionsService) -> None:
    made = corrections.make(MANAGER, DELIVERY)
    assert (made.starts_at, made.ends_at) == (
        datetime(2026, 11, 16, 2, 0, tzinfo=UTC),
        datetime(2026, 11, 16, 2, 30, tzinfo=UTC),
    )


def test_what_was_excluded_tells_nothing_of_other_weeks(shops: Chain, corrections: CorrectionsService) -> None:
    """Three Mondays of 20, 20 and, in a delivery, 90; the fourth was not watched at ten."""
    for day, came in ((2, 20), (9, 90)):
        shops.watch("S01", f"2026-11-{day:02d} 10:00", f"2026-11-{day:02d} 12:00")
        shops.cross("S01", f"2026-11-{day:02d} 10:00", came)
    shops.watch("S01", "2026-11-23 10:15", "2026-11-23 12:00")
    compute(shops)
    assert shops.kpi.day(SYSTEM, "S01", date(2026, 11, 23)).facts.imputed_visitors == 43
    week_before = [at - timedelta(weeks=1) for at in (DELIVERY.starts_at, DELIVERY.ends_at) if at]
    corrections.make(HQ, replace(DELIVERY, starts_at=week_before[0], ends_at=week_before[1]))
    # The day itself and the Mondays after it that were computed: the 16th and the 23rd.
    assert shops.marks() == 3
    assert shops.kpi.day(SYSTEM, "S01", date(2026, 11, 23)).facts.imputed_visitors == 20


@pytest.mark.parametrize(
    ("new", "field"),
    [
        (replace(RATE, reason="  "), "reason"),
        (replace(RATE, value=None), "value"),
        (replace(RATE, value=Decimal(-1)), "value"),
        (replace(RATE, value=Decimal("NaN")), "value"),
        (replace(FACTOR, value=Decimal("0.5")), "value"),
        (replace(RATE, day_from=None), "day_from"),
        (replace(RATE, day_to=MONDAY - timedelta(days=1)), "day_to"),
        (replace(RATE, line_id="S01-L1"), "line_id"),
        (replace(ACCURACY, store_id=None), "store_id"),
        (replace(ACCURACY, audit=None), "audit"),
        (replace(ACCURACY, audit=Audit(100, 5, 101)), "counted"),
        (replace(ACCURACY, audit=Audit(9, 2, 2)), "counted"),
        (replace(DELIVERY, ends_at=DELIVERY.starts_at), "ends_at"),
        (replace(DELIVERY, ends_at=datetime.fromisoformat("2026-11-16T03:00")), "ends_at"),
        (replace(DELIVERY, day_from=MONDAY), "day_from"),
        (replace(RATE, kind="mood"), "kind"),  # type: ignore[arg-type]
    ],
)
def test_what_can_not_be_a_correction_is_refused(
    corrections: CorrectionsService, new: NewCorrection, field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        corrections.make(HQ, new)
    assert refused.value.field == field
    assert refused.value.remedy


def test_a_line_is_of_the_store_and_an_audit_s_is_a_door(shops: Chain, corrections: CorrectionsService) -> None:
    shops.camera("S01", "C2", "L2", kind="street")
    with pytest.raises(NotFound):
        corrections.make(HQ, replace(ACCURACY, line_id="S02-L1"))
    with pytest.raises(InvalidInput, match="street"):
        corrections.make(HQ, replace(ACCURACY, line_id="S01-L2"))
    assert corrections.make(HQ, replace(DELIVERY, line_id="S01-L2")).camera_id == "S01-C2"


def test_who_may_correct_what(shops: Chain, corrections: CorrectionsService) -> None:
    for refused in (RATE, ACCURACY, FACTOR, replace(DELIVERY, store_id="S02")):
        with pytest.raises(Forbidden):
            corrections.make(MANAGER, refused)
    # A key of HQ's that is limited to a store must not set what holds for all.
    with pytest.raises(Forbidden):
        corrections.make(Scope(user_id="key:k", role="hq", stores=frozenset({"S01"})), FACTOR)
    theirs = corrections.make(HQ, replace(DELIVERY, store_id="S02"))
    with pytest.raises(NotFound):
        corrections.withdraw(MANAGER, theirs.correction_id, "no")
    own = corrections.make(HQ, RATE)
    with pytest.raises(Forbidden):
        corrections.withdraw(MANAGER, own.correction_id, "no")
    corrections.make(HQ, FACTOR)
    assert {each.store_id for each in corrections.corrections(MANAGER)} == {"S01", None}
    for scope in (MANAGER, Scope(user_id="u3", role="desk", stores=frozenset({"S01"}))):
        with pytest.raises(Forbidden):
            corrections.corrections(scope, "S02")
    assert shops.marks() > 0


@pytest.mark.parametrize(
    ("start", "end", "people", "field"),
    [
        ("2026-11-16 03:00", "2026-11-16 12:00", "1", "shifts"),
        ("2026-11-16 12:00", "2026-11-16 10:00", "1", "shifts"),
        ("2026-11-16 10:00", "2026-11-16 12:00", "0", "people"),
    ],
)
def test_a_shift_lies_in_its_business_day(
    shops: Chain, corrections: CorrectionsService, start: str, end: str, people: str, field: str
) -> None:
    shift = Shift(shops.at("S01", start), shops.at("S01", end), Decimal(people))
    with pytest.raises(InvalidInput) as refused:
        corrections.set_roster(HQ, "S01", MONDAY, [shift])
    assert refused.value.field == field
    assert corrections.roster(HQ, "S01", MONDAY) is None


def test_a_day_s_hours_are_spread_over_its_opening_hours(shops: Chain, corrections: CorrectionsService) -> None:
    shifts = corrections.spread(MANAGER, "S01", MONDAY, Decimal(7))
    corrections.set_roster(MANAGER, "S01", MONDAY, shifts)
    assert [(each.ends_at - each.starts_at, each.people) for each in shifts] == [(timedelta(hours=2), Decimal("3.5"))]
    assert shops.kpi.day(SYSTEM, "S01", MONDAY).facts.staff_seconds == 7 * 3600
    assert corrections.spread(MANAGER, "S01", MONDAY, Decimal(0)) == []
    with pytest.raises(InvalidInput):
        corrections.spread(MANAGER, "S01", MONDAY, Decimal(-1))


@pytest.mark.usefixtures("corrections")
def test_members_first_seen_by_the_quarter_hour_and_once_a_day(shops: Chain) -> None:
    """One buys twice, one only fetches an order, one's sale is voided; a refund alone is no visit."""
    fetches, voided, refunded = uuid4(), uuid4(), uuid4()
    shops.sell("S01", "2026-11-16 10:05", "5.00", member=MEMBER)
    shops.sell("S01", "2026-11-16 11:05", "5.00", member=MEMBER)
    shops.sell("S02", "2026-11-16 11:05", "5.00", member=MEMBER)
    shops.sell("S01", "2026-11-16 11:20", "9.00", member=fetches, channel="pickup")
    shops.sell("S01", "2026-11-16 11:25", "9.00", member=voided, voided=True)
    shops.sell("S01", "2026-11-16 11:30", "9.00", member=refunded, kind="refund")
    shops.sell("S01", "2026-11-16 11:35", "9.00", member=uuid4(), channel="online")
    shops.kpi.set_setting(SYSTEM, "takes_check_ins", Decimal(1), MONDAY, "S01")
    found = shops.kpi.day(SYSTEM, "S01", MONDAY)
    assert (found.facts.member_visits, found.facts.member_buyers) == (2, 1)
    at = {quarter.start: quarter.facts.member_visits for quarter in found.quarters if quarter.facts.member_visits}
    assert at == {shops.at("S01", "2026-11-16 10:00"): 1, shops.at("S01", "2026-11-16 11:15"): 1}
    assert shops.kpi.day(SYSTEM, "S02", MONDAY).facts.member_visits == 0
