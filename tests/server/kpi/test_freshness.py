"""Of many stores today is read as it was kept, and never shown as if it were fresh; of few it is told to the minute.

Three stores in two timezones, open from ten to twelve in Shanghai; their doors are watched. On two Mondays so many come
at each of 10:05, 10:25 and 11:10 as the table says, and each store sells one receipt of 10.00 at 10:20.

| store | region | Monday the 9th | Monday the 16th, today |
|-------|--------|----------------|------------------------|
| S01   | east   | 3, 4, 5        | 6, 7, 8                |
| S02   | east   | 1, 1, 1        | 2, 2, 2                |
| K01 (Kathmandu) | west | 9, 9, 9 | 5, 5, 5               |
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from threading import Event

import pytest

from server.jobs.days import Days
from server.kpi.answers import exports, freshness, telling
from server.kpi.answers.freshness import Allowance, Late, Running, Unit, choose
from server.kpi.answers.question import DayRange, Question
from server.kpi.correction_service import CorrectionsService
from server.kpi.corrections.in_force import NewCorrection
from server.kpi.days.compute import Want, compute
from server.kpi.models import Report
from server.kpi.service import KpiService
from tests.server.kpi.chain import SYSTEM, Chain

GO_ON = Event()
LAST, TODAY = date(2026, 11, 9), date(2026, 11, 16)
CAME = {
    "S01": {LAST: (3, 4, 5), TODAY: (6, 7, 8)},
    "S02": {LAST: (1, 1, 1), TODAY: (2, 2, 2)},
    "K01": {LAST: (9, 9, 9), TODAY: (5, 5, 5)},
}
KPIS = ("visitors", "conversion", "net_sales", "coverage")


@pytest.fixture
def chain(shops: Chain) -> Chain:
    """It is 10:40 in Shanghai, 08:25 in Kathmandu; the past was computed, today was not."""
    for store, own in CAME.items():
        is_west = store == "K01"
        zone = "Asia/Kathmandu" if is_west else "Asia/Shanghai"
        # Shanghai's ten is a quarter to eight in Kathmandu.
        shops.store(
            store,
            "07:45" if is_west else "10:00",
            "09:45" if is_west else "12:00",
            timezone=zone,
            region="west" if is_west else "east",
        )
        for day, came in own.items():
            shops.watch(store, _at(shops, day, "10:00"), _at(shops, day, "12:00"))
            shops.sell(store, _at(shops, day, "10:20"), "10.00")
            for at, number in zip(("10:05", "10:25", "11:10"), came, strict=True):
                if day < TODAY or at < "10:40":
                    shops.cross(store, _at(shops, day, at), number)
        shops.kpi.recompute(store, LAST)
    shops.forget_marks()
    shops.now = _at(shops, TODAY, "10:40")
    return shops


def _at(shops: Chain, day: date, time: str) -> datetime:
    return shops.at("S01", f"{day} {time}")


def days_of(shops: Chain) -> Days:
    return Days(shops.db, shops.stores, shops.kpi, shops.clock)


def of_many(shops: Chain, allowance: int = 0) -> KpiService:
    """As if the chain had more stores than can be computed for a question."""
    return KpiService(shops.db, shops.stores, shops.clock, on_the_spot=allowance)


def today(kpi: KpiService, group_by: str = "store", compare: str | None = "last_week", first: date = TODAY) -> Report:
    return kpi.report(SYSTEM, kpis=KPIS, day_from=first, day_to=TODAY, group_by=group_by, compare=compare)  # type: ignore[arg-type]  # as named


def visitors(report: Report) -> dict[str, tuple[object, object]]:
    return {
        row.key: (row.values["visitors"].value, row.compare["visitors"].value if row.compare else None)
        for row in report.rows
    }


@pytest.mark.parametrize("group_by", ["store", "region", "day", "store,weekday", "chain"])
def test_what_was_kept_this_minute_is_what_would_be_computed(chain: Chain, group_by: str) -> None:
    days_of(chain).today(GO_ON)
    chain.forget_marks()
    kept, live = today(of_many(chain), group_by), today(of_many(chain, 100), group_by)
    assert (kept.rows, kept.total) == (live.rows, live.total)
    assert (kept.as_of, kept.pending) == (chain.now, 0)
    assert kept.total.compare is not None
    # Until 10:40: 13 + 4 + 10 beside 7 + 2 + 18.
    assert (kept.total.values["visitors"].value, kept.total.compare["visitors"].value) == (27, 27)


def test_an_old_answer_says_how_old_it_is(chain: Chain) -> None:
    """The jobs process ended at 10:40; it is 11:30, people came, and the day beside it stays cut at 10:40."""
    kept_at = chain.now
    days_of(chain).today(GO_ON)
    for store, own in CAME.items():
        chain.cross(store, _at(chain, TODAY, "11:10"), own[TODAY][2])
    chain.now = _at(chain, TODAY, "11:30")
    report = today(of_many(chain))
    assert visitors(report) == {"K01": (10, 18), "S01": (13, 7), "S02": (4, 2)}
    assert (report.as_of, report.answered_at) == (kept_at, chain.now)
    assert {row.as_of for row in (*report.rows, report.total)} == {kept_at}
    # Of as many as may be computed, all are told up to now.
    live = today(of_many(chain, 6))
    assert visitors(live) == {"K01": (15, 27), "S01": (21, 12), "S02": (6, 3)}
    assert live.as_of == live.total.as_of == chain.now


def test_every_form_of_an_answer_carries_its_age(chain: Chain) -> None:
    days_of(chain).today(GO_ON)
    told = f"{chain.now:%Y-%m-%dT%H:%M:%SZ}"
    chain.now += timedelta(hours=1)
    question = Question(["visitors"], TODAY, TODAY, group_by="store")
    as_json = b"".join(exports.as_json(of_many(chain).slices(SYSTEM, question))).decode()
    assert f'"as_of":"{told}","pending":0' in as_json
    lines = b"".join(exports.as_csv(of_many(chain).slices(SYSTEM, question))).decode().splitlines()
    assert [line.split(",")[-1] for line in lines] == ["as_of", *[told] * 4]
    decomposed = of_many(chain).decomposition(SYSTEM, day_from=TODAY, day_to=TODAY, compare="last_week")
    assert f"{decomposed.as_of:%Y-%m-%dT%H:%M:%SZ}" == told


def test_where_no_such_day_is_kept_beside_it_both_are_told_to_the_whole_hour(chain: Chain) -> None:
    """Beside the day before, which is not kept, and by the hour: at 11:30 of today's 11:20 what was before 11:00."""
    for store in CAME:
        chain.cross(store, _at(chain, TODAY - timedelta(days=1), "10:30"), 4)
        chain.cross(store, _at(chain, TODAY - timedelta(days=1), "11:05"), 50)
        chain.kpi.recompute(store, TODAY - timedelta(days=1))
        chain.cross(store, _at(chain, TODAY, "11:10"), 1000)
    chain.now = _at(chain, TODAY, "11:20")
    days_of(chain).today(GO_ON)
    chain.forget_marks()
    chain.now = _at(chain, TODAY, "11:30")
    report = today(of_many(chain), compare="previous_period")
    # Kathmandu's clock says 9:15: whole until nine, which is 11:15 in Shanghai.
    assert visitors(report) == {"K01": (1010, 54), "S01": (13, 4), "S02": (4, 4)}
    ages = {row.key: row.as_of for row in report.rows}
    assert ages == {
        "K01": _at(chain, TODAY, "11:15"),
        "S01": _at(chain, TODAY, "11:00"),
        "S02": _at(chain, TODAY, "11:00"),
    }
    assert report.as_of == report.total.as_of == _at(chain, TODAY, "11:00")
    assert report.rows[1].periods == 1
    by_hour = today(of_many(chain), "hour_of_day", "last_week")
    assert {key: now for key, (now, _) in visitors(by_hour).items()} == {"07": 5, "08": 1005, "10": 17}
    assert by_hour.rows[0].as_of == by_hour.as_of


def test_whoever_corrects_sees_it_though_the_chain_is_large(chain: Chain) -> None:
    """Two store-days may be computed; what machines sent for another store waits."""
    days_of(chain).today(GO_ON)
    chain.cross("S01", _at(chain, TODAY, "10:26"), 100)
    chain.cross("S01", _at(chain, LAST, "10:26"), 100)
    CorrectionsService(chain.db, chain.stores, chain.clock).make(
        SYSTEM, NewCorrection("group_factor", "families", "S02", day_from=LAST, value=Decimal(2))
    )
    kept_at, chain.now = chain.now, chain.now + timedelta(minutes=5)
    report = of_many(chain, 2).report(
        SYSTEM,
        kpis=["visitors", "group_conversion"],
        day_from=TODAY,
        day_to=TODAY,
        group_by="store",
        compare="last_week",
    )
    assert {row.key: row.as_of for row in report.rows} == {"K01": kept_at, "S01": kept_at, "S02": chain.now}
    # Four people are two groups.
    assert report.rows[2].values["group_conversion"].denominator == 2
    assert visitors(report)["S01"] == (13, 7)


def test_no_question_computes_more_than_it_may(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is kept of today and all of the week before is marked: what is not in the answer is counted."""
    computed: list[int] = []

    def counting(conn: object, scope: object, wants: Sequence[Want]) -> object:
        computed.append(len(wants))
        return compute(conn, scope, wants)  # type: ignore[arg-type]  # as they come

    monkeypatch.setattr(telling, "compute", counting)
    for store in CAME:
        chain.cross(store, _at(chain, LAST, "11:30"), 1)
    for allowed, pending in ((0, 6), (2, 4), (3, 3), (4, 2), (5, 1), (9, 0)):
        computed.clear()
        report = today(of_many(chain, allowed), compare=None, first=LAST)
        assert (report.pending, sum(computed)) == (pending, min(allowed, 6))


@pytest.mark.parametrize("group_by", ["store", "region", "chain", "hour"])
def test_whose_today_is_not_in_the_answer_has_no_last_week_in_it(chain: Chain, group_by: str) -> None:
    """Jobs were down overnight: of three stores one is computed, and the others must not set whole days beside it."""
    for allowed, now, before in ((0, None, None), (2, 10, 18), (6, 27, 27)):
        report = today(of_many(chain, allowed), group_by)
        assert report.pending == 3 - allowed // 2
        assert report.total.values["visitors"].value == now
        assert report.total.compare is not None
        assert report.total.compare["visitors"].value == before
    # Of two days the earlier is compared as it stands, and last week's beside today is left out.
    chain.kpi.recompute("S01", TODAY - timedelta(days=1))
    chain.forget_marks()
    two = today(of_many(chain), group_by, first=TODAY - timedelta(days=1))
    assert two.total.compare is not None
    assert two.total.compare["visitors"].value is None
    # Beside eight days: last Monday is whole in the one period, and out of the other.
    eight = today(of_many(chain), group_by, first=LAST)
    assert (eight.total.values["visitors"].value, eight.total.compare is not None) == (42, True)
    chain.cross("S01", _at(chain, LAST, "11:30"), 1)
    overlapping = today(of_many(chain, 1), group_by, "last_week", first=LAST - timedelta(days=1))
    assert overlapping.total.compare is not None
    assert (overlapping.total.values["visitors"].value, overlapping.total.compare["visitors"].value) == (43, None)


@pytest.mark.parametrize("group_by", ["store", "region", "chain", "hour"])
def test_a_past_day_that_nobody_computed_has_nothing_beside_it(chain: Chain, group_by: str) -> None:
    """Jobs were down for days: of a store whose Monday is not computed yet the Monday before is left out as well."""
    chain.now += timedelta(days=3)
    for store in CAME:
        chain.cross(store, _at(chain, TODAY, "11:30"), 1)

    def asked(allowed: int, day: date, beside: date) -> tuple[object, object, int]:
        report = of_many(chain, allowed).report(
            SYSTEM, kpis=KPIS, day_from=day, day_to=day, group_by=group_by, compare=DayRange(beside)
        )
        assert report.total.compare is not None
        return report.total.values["visitors"].value, report.total.compare["visitors"].value, report.pending

    # The latest of their names comes first: S02, then S01. Three are not in it, and three left out beside them.
    assert asked(0, TODAY, LAST) == (None, None, 6)
    assert asked(1, TODAY, LAST) == (5, 3, 4)
    assert asked(3, TODAY, LAST) == (5 + 14 + 11, 3 + 12 + 27, 0)
    assert asked(1, LAST, TODAY) == (3, 5, 4)
    # What was computed and has changed since stands as it did.
    chain.kpi.recompute("S01", TODAY)
    assert asked(0, TODAY, LAST) == (14, 12, 5)


def test_what_somebody_corrected_of_last_week_is_seen_at_once(chain: Chain) -> None:
    """Today was kept this moment; it is the day beside it that was corrected, and the chain is large."""
    days_of(chain).today(GO_ON)
    chain.forget_marks()
    assert visitors(today(of_many(chain, 2)))["S02"] == (4, 2)
    CorrectionsService(chain.db, chain.stores, chain.clock).make(
        SYSTEM, NewCorrection("group_factor", "families", "S02", day_from=LAST, day_to=LAST, value=Decimal(2))
    )
    report = of_many(chain, 2).report(
        SYSTEM,
        kpis=["group_conversion"],
        day_from=TODAY,
        day_to=TODAY,
        group_by="store",
        compare="last_week",
    )
    compare = report.rows[2].compare
    assert compare is not None
    # Two people are one group.
    assert compare["group_conversion"].denominator == 1


def test_yesterday_just_after_it_ended_says_when_it_was_made(chain: Chain) -> None:
    """The day ends at four; at 04:05 it is provisional, and a till's late receipt waits; settled, it has no age."""
    over = _at(chain, TODAY + timedelta(days=1), "04:01")
    chain.now = over
    for store in CAME:
        chain.kpi.recompute(store, TODAY)
    chain.forget_marks()
    chain.now = over + timedelta(minutes=4)
    report = today(of_many(chain))
    # Kathmandu's day has two hours to go.
    assert {row.key: row.as_of for row in report.rows} == {"K01": over, "S01": over, "S02": over}
    assert report.pending == 0
    chain.sell("S01", _at(chain, TODAY, "11:59"), "5.00")
    assert today(of_many(chain)).pending == 1
    assert today(of_many(chain, 100)).pending == 0
    chain.now = over + timedelta(hours=4)
    days_of(chain).dirty(GO_ON)
    days_of(chain).settle(GO_ON)
    settled = today(of_many(chain))
    assert {row.as_of for row in settled.rows} == {chain.now}


def test_a_day_left_half_done_by_a_dead_jobs_process_is_finished_or_said_to_be_old(chain: Chain) -> None:
    kept_at = chain.now
    days_of(chain).today(GO_ON)
    chain.forget_marks()
    chain.now += timedelta(days=3)
    assert today(of_many(chain), compare=None).as_of == kept_at
    finished = today(of_many(chain, 3), compare=None)
    assert finished.as_of == chain.now
    # Nobody watched any more: half of a day's due time.
    assert {row.key: row.coverage for row in finished.rows}["S01"] == 1


def test_what_people_said_goes_first_and_what_is_missing_next() -> None:
    now = datetime(2026, 11, 16, 12, tzinfo=UTC)
    old = Running(now - timedelta(minutes=5), has_beside=True)

    def unit(name: str, row: Running | None, *, said: bool = False) -> Unit:
        return Unit((name, TODAY), (name, LAST), row, True, said)

    units = [unit("A", old), unit("B", None), unit("C", old, said=True), unit("D", None)]
    late = [Late(("A", LAST), True, False), Late(("B", LAST - timedelta(days=9)), True, True)]
    chosen = choose(units, late, Allowance(5), now, keeps_beside=True)
    assert [each.store_day[0] for each in chosen.computed] == ["C", "B"]
    assert [each.store_day[0] for each in chosen.kept] == ["A"]
    assert chosen.late == {("B", LAST - timedelta(days=9))}
    assert chosen.pending == 2, "D, of which nothing is kept, and A's last week"
    young = Running(now - freshness.FRESH_FOR / 2, has_beside=True)
    fresh = Unit(("A", TODAY), ("A", LAST), young, False, False)
    assert choose([fresh], [], Allowance(), now, keeps_beside=True).kept == [fresh]
    assert choose([fresh], [], Allowance(), now, keeps_beside=False).computed == [fresh]
