"""The demo's past: believable, the same whenever it is made, and booked as ingest and the tills would have."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import numpy as np
import pytest

from cli.demo import baskets, people
from cli.demo.chain import STORES, TIMEZONE, DemoStore, by_id
from cli.demo.day import store_day
from cli.demo.seeding import Seeding
from cli.demo.simulated import as_till
from cli.demo.sold import Members
from cli.demo.story import Story
from server.access.models import Scope
from server.kpi.service import KpiService
from server.membership import phones
from server.membership.crypto import MemberKeys
from server.sales.checking import checked
from server.sales.models import NewLine, NewReceipt
from server.storage.pool import Database
from server.stores.calendar import DayRule, StoreCalendar, WeeklyHours
from server.stores.models import EVER
from server.stores.service import StoresService

TODAY = date(2026, 11, 21)


def calendar(store: DemoStore) -> StoreCalendar:
    return StoreCalendar([DayRule(EVER, TIMEZONE)], [WeeklyHours(EVER, tuple(store.hours_open))])


@pytest.mark.parametrize("store", STORES, ids=lambda store: store.store_id)
def test_a_week_of_a_store_is_believable(store: DemoStore) -> None:
    story = Story(TODAY)
    hours = calendar(store)
    days = [store_day(story, store, hours, TODAY - timedelta(days=back)) for back in range(40, 47)]
    entries = sum(int((day.crossings.inward & ~day.crossings.staff).sum()) for day in days)
    exits = sum(int((~day.crossings.inward & ~day.crossings.staff).sum()) for day in days)
    purchases = sum(len(day.purchases) for day in days)
    assert 0.7 * 7 * store.visitors < entries < 1.9 * 7 * store.visitors
    assert abs(entries - exits) < 0.02 * entries + 14
    assert 0.75 * store.conversion < purchases / entries < 1.25 * store.conversion
    for day in days:
        assert bool((np.diff(day.crossings.at) >= 0).all())


def test_a_day_is_the_same_whenever_it_is_made() -> None:
    store = by_id("S04")
    one, other = (store_day(Story(TODAY), store, calendar(store), TODAY) for _ in range(2))
    assert np.array_equal(one.crossings.at, other.crossings.at)
    assert one.purchases == other.purchases


def test_rain_keeps_people_away_and_a_promotion_brings_them() -> None:
    story, store = Story(TODAY), by_id("S05")
    plain = Story(TODAY + timedelta(days=365))
    assert story.factor(store, story.rain.first) < 0.7 * plain.factor(store, story.rain.first)
    assert story.factor(store, story.promotion.first) > 1.2 * plain.factor(store, story.promotion.first)
    assert story.conversion(store, story.promotion.first) > plain.conversion(store, story.promotion.first)


def test_made_up_numbers_are_valid_and_belong_to_nobodys_pocket() -> None:
    numbers = [people.phone(number) for number in range(3000)]
    assert len(set(numbers)) == len(numbers)
    for number in numbers[:200]:
        assert phones.e164(number, "CN").startswith("+861740")


def test_receipts_made_here_are_what_the_tills_checks_would_have_made() -> None:
    rng = np.random.default_rng(5)
    at = datetime(2026, 11, 1, 9, 30, tzinfo=UTC)
    for number in range(60):
        made = baskets.sale(rng.random(baskets.DICE).tolist(), store_id="S01", receipt_no=f"A-{number}", at=at)
        sent = as_till(made, None)
        lines = [
            NewLine(
                sku=line.sku,
                description=line.description,
                quantity=line.quantity,
                unit_price=line.unit_price,
                discount=line.discount,
                cost=line.cost,
            )
            for line in made.lines
        ]
        receipt = NewReceipt(
            store_id="S01", receipt_no=made.receipt_no, at=at, lines=lines, tender=made.tender, cashier=made.cashier
        )
        assert sent["receipt_no"] == made.receipt_no
        assert checked(receipt, baskets.CURRENCY, at) == made


def test_members_come_in_rhythms_of_their_own() -> None:
    chance = np.random.default_rng(3)
    since = datetime(2026, 8, 1, tzinfo=UTC)
    members, again = Members(), Members()
    ids = [UUID(bytes=chance.bytes(16)) for _ in range(800)]
    for place, member in enumerate(ids):
        for each in (members, again):
            each.add(since + timedelta(hours=place), member)
    late = since + timedelta(days=90)
    came = Counter(members.someone(die, late) for die in chance.random(4000).tolist())
    often = sorted((came[member] for member in ids), reverse=True)
    # Five times on average: nobody every day, the best twentieth a fifth of all, a quarter once or twice or not at all.
    assert often[0] < 40
    assert 0.12 < sum(often[:40]) / 4000 < 0.3
    assert often[-200] <= 2
    assert 8 < came[ids[0]] < 25, "whom the demo shows is a regular, and no prodigy"
    assert again.someone(0.3, late) == members.someone(0.3, late)
    assert members.someone(0.999999, since) == ids[0], "nobody comes before they are enrolled"
    assert members.someone(0.5, since - timedelta(days=1)) is None


def test_history_is_booked_exactly_and_a_second_fill_only_adds(db: Database) -> None:
    now = datetime(2026, 11, 21, 6, 30, tzinfo=UTC)
    seeding = Seeding(db, MemberKeys(b"k" * 32), TODAY, lambda *_: None, founders=0.06)
    secrets = seeding.make_chain(TODAY - timedelta(days=5))
    assert sorted(secrets) == sorted(store.device for store in STORES)
    seeding.fill(TODAY - timedelta(days=5), now)
    before = _figures(db)
    assert before["crossing"] == before["traffic"]
    assert before["seconds"] == before["seconds_15m"]
    assert before["cursor"] == before["crossing"] + before["minutes"], (
        "every record has a number, and no number is free"
    )
    assert seeding.fill(TODAY - timedelta(days=5), now) == timedelta(0)
    assert _figures(db) == before
    assert timedelta(hours=2) <= seeding.fill(TODAY, now + timedelta(hours=2)) < timedelta(hours=9)
    after = _figures(db)
    assert after["crossing"] == after["traffic"] > before["traffic"]
    assert after["seconds"] == after["seconds_15m"] > before["seconds_15m"]

    kpi = KpiService(db, StoresService(db), lambda: now + timedelta(hours=2))
    outage = kpi.day(Scope.system(), "S03", TODAY - timedelta(days=4))
    assert outage.facts.coverage is not None
    assert outage.facts.coverage < 0.6
    other = kpi.day(Scope.system(), "S03", TODAY - timedelta(days=3))
    assert other.facts.coverage is not None
    assert other.facts.coverage > 0.99
    assert 0.15 < other.facts.matched_transactions / other.facts.matched_visitors < 0.4
    # Members have what they earned, and come without buying, too.
    flagship = kpi.day(Scope.system(), "S01", TODAY - timedelta(days=2)).facts
    assert 0.3 < flagship.member_buyers / flagship.member_visits < 0.9
    with db.read() as conn:
        held = conn.execute(
            """
            SELECT (SELECT count(*) FROM points_account WHERE balance + pending > 0),
                   (SELECT count(*) FROM value_card),
                   (SELECT count(*) FROM coupon WHERE state = 'open'),
                   (SELECT count(*) FROM member WHERE tier <> 'member')
            """
        ).fetchone()
        risen = conn.execute("SELECT array_agg(DISTINCT at::date) FROM tier_change WHERE actor = 'rules'").fetchone()
    assert held is not None
    assert all(count > 10 for count in held), held
    # A tier begins on the day it was reached.
    assert risen is not None
    assert len(risen[0]) > 2
    assert max(risen[0]) <= TODAY


def _figures(db: Database) -> dict[str, Decimal]:
    with db.read() as conn:
        row = conn.execute(
            """
            SELECT (SELECT count(*) FROM crossing), (SELECT sum(count) FROM traffic_15m),
                   (SELECT count(*) FROM coverage), (SELECT sum(seconds) FROM coverage),
                   (SELECT sum(seconds) FROM coverage_15m), (SELECT sum(seq) FROM ingest_cursor)
            """
        ).fetchone()
    assert row is not None
    return dict(zip(("crossing", "traffic", "minutes", "seconds", "seconds_15m", "cursor"), row, strict=True))
