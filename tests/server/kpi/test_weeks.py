"""Weeks that are kept are the sum of their days, whatever happens to a day; and a report read from them is the same."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import sql

from server.access.models import Scope
from server.kpi.answers.week_repository import split
from server.kpi.models import FACT_NAMES, Report
from server.stores.labels import LabelsService
from tests.server.kpi.chain import SYSTEM, Chain

#: A Monday, and as many days as have four whole weeks in them and some on either side.
MONDAY = date(2026, 10, 5)
FIRST, LAST = MONDAY - timedelta(days=3), MONDAY + timedelta(days=31)
HQ = Scope("boss", "hq", None)
KPIS = ["visitors", "conversion", "net_sales", "atv", "upt", "star", "dwell", "member_share", "coverage"]
#: Facts that others are a part of.
MANY = {"entries", "transactions", "gross_sales"}
DAYS = st.integers(0, 40).map(lambda number: MONDAY + timedelta(days=number))


@pytest.fixture
def labels(shops: Chain) -> LabelsService:
    return LabelsService(shops.db, shops.clock)


def fill(shops: Chain) -> None:
    """Rows of two stores in which every fact of every day is another number, and amounts have cents.

    There are more people than sales, more of them than of the staff, and squares are large: so intervals have ends.
    """
    for store_id in ("S01", "S02"):
        shops.store(store_id)
    facts = [
        sql.SQL("(abs(hashtext({} || s.store_id || d.day)) %% 9973 + {}) / {}").format(
            sql.Literal(name),
            sql.Literal(10_000_000 * ("squares" in name) + 20_000 * (name in MANY or "visitors" in name)),
            sql.Literal(Decimal(100) if "sales" in name or name == "refunds" else 1),
        )
        for name in FACT_NAMES
    ]
    with shops.db.transaction() as conn:
        conn.execute(
            sql.SQL(
                "INSERT INTO store_day (store_id, day, version, computed_at, provisional, occupancy, occupancy_peak,"
                " drift, {}) SELECT s.store_id, d.day, 1, '2026-11-20Z', false, 0, 0, 0, {}"
                " FROM store s, (SELECT generate_series(%s, %s, interval '1 day')::date AS day) d"
            ).format(sql.SQL(", ").join(map(sql.Identifier, FACT_NAMES)), sql.SQL(", ").join(facts)),
            (FIRST, LAST),
        )


def assert_weeks_are_their_days(shops: Chain) -> None:
    names = sql.SQL(", ").join(map(sql.Identifier, FACT_NAMES))
    sums = sql.SQL(", ").join(sql.SQL("sum({})").format(sql.Identifier(name)) for name in FACT_NAMES)
    with shops.db.read() as conn:
        kept = conn.execute(sql.SQL("SELECT week, store_id, days, {} FROM store_week").format(names)).fetchall()
        added = conn.execute(
            sql.SQL(
                "SELECT date_trunc('week', day::timestamp)::date, store_id, count(*), {} FROM store_day"
                " WHERE superseded_at IS NULL GROUP BY 1, 2"
            ).format(sums)
        ).fetchall()
    assert sorted(kept) == sorted(added)


def by_its_days(report: Report) -> dict[str, Decimal]:
    """Net sales by store, added up in the test."""
    found: dict[str, Decimal] = {}
    for row in report.rows:
        value = row.values["net_sales"].value
        found[row.labels["store"]] = found.get(row.labels["store"], Decimal(0)) + Decimal(value or 0)
    return found


def test_a_week_is_what_its_days_are_whatever_happens_to_them(shops: Chain) -> None:
    fill(shops)
    assert_weeks_are_their_days(shops)
    for statement in (
        "UPDATE store_day SET superseded_at = computed_at WHERE day = '2026-10-07'",
        """
        INSERT INTO store_day
        SELECT (jsonb_populate_record(d, '{"version": 2, "superseded_at": null, "gross_sales": 12.34}')).*
        FROM store_day d
        WHERE day = '2026-10-07' AND store_id = 'S01'
        """,
        "DELETE FROM store_day WHERE store_id = 'S02' AND day = '2026-10-14'",
        "DELETE FROM store_day WHERE store_id = 'S02' AND day BETWEEN '2026-10-19' AND '2026-10-25'",
        "UPDATE store_day SET entries = entries + 1 WHERE superseded_at IS NULL",
    ):
        with shops.db.transaction() as conn:
            assert conn.execute(statement).rowcount > 0
        assert_weeks_are_their_days(shops)
    shops.sell("S01", "2026-10-13 10:15", "12.34")
    shops.kpi.recompute("S01", date(2026, 10, 13))
    assert_weeks_are_their_days(shops)


@pytest.mark.parametrize(
    "case", ["kept", "with a marked day", "with days left out", "with a day of which nothing is kept"]
)
def test_a_report_read_from_weeks_is_the_one_read_from_days(shops: Chain, labels: LabelsService, case: str) -> None:
    fill(shops)
    where: dict[str, object] = {}
    with shops.db.transaction() as conn:
        if case == "with a marked day":
            conn.execute("INSERT INTO dirty_mark (store_id, hour, reason) VALUES ('S01', '2026-10-14 04:00Z', 'test')")
        if case == "with a day of which nothing is kept":
            conn.execute("DELETE FROM store_day WHERE day = '2026-10-21' AND store_id = 'S01'")
        else:
            shops.forget_marks()
    if case == "with days left out":
        labels.set_labels(HQ, "S01", date(2026, 10, 15), tags=["metro"])
        labels.set_labels(HQ, "S02", FIRST, tags=["metro"])
        where = {"tags": ["metro"]}

    def asked(group_by: str) -> Report:
        return shops.kpi.report(
            SYSTEM,
            kpis=KPIS,
            day_from=FIRST,
            day_to=LAST,
            group_by=group_by,
            compare="last_week",
            **where,  # type: ignore[arg-type]
        )

    whole, days, chain = asked("store"), asked("store,day"), asked("chain")
    assert whole.total.values == days.total.values == chain.total.values
    assert whole.total.compare == days.total.compare == chain.total.compare
    assert whole.total.periods == days.total.periods == chain.total.periods
    assert {row.key: row.values["net_sales"].value for row in whole.rows} == by_its_days(days)


@given(DAYS, DAYS, st.sets(DAYS, max_size=4))
def test_every_day_is_read_once(first: date, last: date, apart: set[date]) -> None:
    found = split(first, last, apart)
    of_weeks = [monday + timedelta(days=number) for monday in found.weeks for number in range(7)]
    assert sorted([*of_weeks, *found.days]) == [first + timedelta(days=i) for i in range((last - first).days + 1)]
    assert apart.isdisjoint(of_weeks)
    assert all(monday.weekday() == 0 for monday in found.weeks)
