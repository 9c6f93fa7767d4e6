"""Grades, stages and value of a few members, worked out by hand; and what moves when the grading does."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from fastapi.testclient import TestClient

from server.access.models import Scope
from server.errors import Forbidden, InvalidInput, NotFound
from server.membership.models import NewMember
from server.membership.value.models import Grading, MemberCost, ServingCost
from server.membership.wording import standard_consents
from server.sales.models import MemberOf, NewLine, NewReceipt
from server.services import Services
from tests.server.conftest import SYSTEM

#: The night's work is about the day before.
DAY = date(2026, 11, 19)


@pytest.fixture
def numbers() -> Iterator[int]:
    return iter(range(1, 10_000))


@pytest.fixture
def enrol(chain: Services, numbers: Iterator[int]) -> Callable[..., UUID]:
    """Enrols somebody, by name, so many days ago."""

    def enrolled(name: str, store: str = "S01", days_ago: int = 700) -> UUID:
        at = chain.clock() - timedelta(days=days_ago)
        consents = standard_consents("zh", marketing=False)
        phone = f"139{next(numbers):08d}" if store != "B01" else f"+491511234{next(numbers):04d}"
        return chain.membership.enrol(SYSTEM, NewMember(name, phone, store, consents, at=at)).member_id

    return enrolled


@pytest.fixture
def buy(chain: Services, numbers: Iterator[int]) -> Callable[..., None]:
    """Somebody bought for so much, so many days before `DAY`, at noon in Shanghai; lines cost `cost`."""

    def bought(
        member: UUID, days_ago: int, gross: str, cost: str | None = "0", kind: str = "sale", store: str = "S01"
    ) -> None:
        chain.sales.post_receipts(
            SYSTEM,
            [
                NewReceipt(
                    store_id=store,
                    receipt_no=f"R{next(numbers)}",
                    kind=kind,  # type: ignore[arg-type]
                    at=datetime(2026, 11, 19, 4, tzinfo=UTC) - timedelta(days=days_ago),
                    lines=[
                        NewLine(
                            sku="tea",
                            quantity=Decimal(1),
                            unit_price=Decimal(gross),
                            cost=None if cost is None else Decimal(cost),
                        )
                    ],
                    member=MemberOf(id=str(member)),
                )
            ],
        )

    return bought


def stages(chain: Services, *members: UUID) -> list[str]:
    chain.value.make(SYSTEM, DAY)
    return [chain.value.value(SYSTEM, member).stage for member in members]


def test_a_members_stage_goes_by_their_own_rhythm(
    chain: Services, enrol: Callable[..., UUID], buy: Callable[..., None]
) -> None:
    weekly, monthly = enrol("周周"), enrol("月月")
    # Both last bought 20 days ago. Every 7 days: 20 is nearly three times that; every 30: well within.
    for week in range(6):
        buy(weekly, 20 + 7 * week, "10")
    for month in range(6):
        buy(monthly, 20 + 30 * month, "10")
    assert stages(chain, weekly, monthly) == ["at_risk", "active"]
    value = chain.value.value(SYSTEM, weekly)
    assert (value.rhythm, value.own_rhythm, value.last_bought) == (7.0, True, date(2026, 10, 30))


@pytest.mark.parametrize(
    ("quiet", "stage"),
    [(0, "active"), (15, "active"), (16, "at_risk"), (30, "at_risk"), (31, "dormant"), (60, "dormant"), (61, "lost")],
)
def test_each_stage_begins_where_the_grading_says(
    chain: Services, enrol: Callable[..., UUID], buy: Callable[..., None], quiet: int, stage: str
) -> None:
    # Every 10 days; at risk after 1.5 times that, dormant after 3, lost after 6.
    member = enrol("何静")
    for purchase in range(5):
        buy(member, quiet + 10 * purchase, "10")
    assert stages(chain, member) == [stage]


def test_who_came_back_after_being_dormant_is_won_back_for_a_while(
    chain: Services, enrol: Callable[..., UUID], buy: Callable[..., None]
) -> None:
    back, long_back = enrol("回来"), enrol("早回")
    for member, since in ((back, 5), (long_back, 61)):
        buy(member, since, "10")
        for purchase in range(5):
            buy(member, since + 200 + 30 * purchase, "10")
    # 61 days is past the 60 for which one is called won back, and past twice their rhythm of 30 days.
    assert stages(chain, back, long_back) == ["won_back", "at_risk"]


def test_who_is_new_and_who_never_came(chain: Services, enrol: Callable[..., UUID], buy: Callable[..., None]) -> None:
    fresh, first, idle = enrol("新人", days_ago=3), enrol("首购", days_ago=3), enrol("未购")
    buy(first, 1, "10")
    # 700 days without a purchase, at the 60 days that are taken where nobody has a rhythm.
    assert stages(chain, fresh, first, idle) == ["new", "new", "lost"]
    value = chain.value.value(SYSTEM, idle)
    assert (value.r, value.f, value.m, value.high) == (None, None, None, False)


def test_value_is_margin_less_what_serving_cost(
    chain: Services, enrol: Callable[..., UUID], buy: Callable[..., None]
) -> None:
    member = enrol("何静", days_ago=40)
    buy(member, 10, "100", "60")
    buy(member, 5, "50", "30")
    buy(member, 4, "20", "12", kind="refund")
    buy(member, 3, "70", None)
    chain.value.put_serving_costs(
        SYSTEM,
        [
            ServingCost("sale", date(2026, 1, 1), Decimal("1.50")),
            ServingCost("sale", date(2026, 11, 15), Decimal("2.00")),
            ServingCost("refund", date(2026, 1, 1), Decimal("4.00")),
            ServingCost("visit", date(2026, 1, 1), Decimal("0.25")),
            ServingCost("month", date(2026, 1, 1), Decimal("1.00")),
        ],
    )
    chain.value.put_member_costs(SYSTEM, [MemberCost(uuid4(), member, DAY, Decimal("5.00"), "茶礼")])
    chain.value.make(SYSTEM, DAY)
    value = chain.value.value(SYSTEM, member)
    assert (value.frequency, value.monetary) == (3, Decimal("200.00"))
    # 40 + 20 - 8; nobody knows what the 70 cost.
    assert (value.margin, value.unknown_sales) == (Decimal("52.00"), Decimal("70.00"))
    # Sales of the 9th and 14th at 1.50, of the 16th at 2.00; a refund; three visits; two months begun; a gift.
    assert value.cost == Decimal("1.50") * 2 + 2 + 4 + Decimal("0.25") * 3 + 2 + 5
    assert value.value == value.margin - value.cost


def test_a_margin_is_without_tax(chain: Services, enrol: Callable[..., UUID]) -> None:
    member = enrol("何静")
    chain.sales.post_receipts(
        SYSTEM,
        [
            NewReceipt(
                store_id="S01",
                receipt_no="T1",
                at=datetime(2026, 11, 18, 4, tzinfo=UTC),
                lines=[NewLine(sku="tea", quantity=Decimal(1), unit_price=Decimal("113"), cost=Decimal("60"))],
                tax=Decimal("13"),
                tax_included=True,
                member=MemberOf(id=str(member)),
            )
        ],
    )
    chain.value.make(SYSTEM, DAY)
    value = chain.value.value(SYSTEM, member)
    assert (value.monetary, value.margin) == (Decimal("113.00"), Decimal("40.00"))


def test_fifths_are_grades_and_equals_get_the_same(
    chain: Services, enrol: Callable[..., UUID], buy: Callable[..., None]
) -> None:
    members = [enrol(f"客{number}") for number in range(10)]
    for place, member in enumerate(members):
        buy(member, 10 - place, str(10 * (place // 2 + 1)))
    chain.value.make(SYSTEM, DAY)
    values = [chain.value.value(SYSTEM, member) for member in members]
    # percent_rank of ten different days is 0, 1/9 … 1: fifths of two; of five pairs of amounts 0, 2/9 … 8/9.
    assert [value.r for value in values] == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert [value.m for value in values] == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert {value.f for value in values} == {1}


def test_cuts_grade_by_what_they_say(chain: Services, enrol: Callable[..., UUID], buy: Callable[..., None]) -> None:
    rules = Grading(
        recency_cuts=(90, 60, 30, 7),
        frequency_cuts=(2, 3, 4, 5),
        monetary_cuts=(Decimal(100), Decimal(200), Decimal(300), Decimal(400)),
        high_from=Decimal(250),
    )
    chain.value.save_grading(SYSTEM, rules, "whole numbers are easier to explain")
    members = [enrol(f"客{number}") for number in range(3)]
    buy(members[0], 7, "400", "100")
    buy(members[1], 8, "199.99")
    for days in (91, 95, 99):
        buy(members[2], days, "66.67", "0")
    chain.value.make(SYSTEM, DAY)
    values = [chain.value.value(SYSTEM, member) for member in members]
    assert [(value.r, value.f, value.m) for value in values] == [(5, 1, 5), (4, 1, 2), (1, 2 + 1, 3)]
    assert [value.high for value in values] == [True, False, False]
    assert [value.member_id for value in chain.value.values(SYSTEM, grades="5-5")] == [members[0]]


def test_who_makes_the_profit(chain: Services, enrol: Callable[..., UUID], buy: Callable[..., None]) -> None:
    members = [enrol(f"客{number}") for number in range(10)]
    for place, member in enumerate(members):
        # Values 100, 90 … 20, and one that costs more than it brings.
        buy(member, 5, str(100 - 10 * place) if place < 9 else "10", "0" if place < 9 else "40")
    enrol("未购")
    standing = chain.value.make(SYSTEM, DAY)
    assert (standing.members, standing.buyers) == (11, 10)
    assert standing.profit == sum(range(20, 101, 10)) - 30
    # The best two of ten; the worst three: 30, 20 and -30.
    assert (standing.top_profit, standing.bottom_profit) == (Decimal(190), Decimal(20))
    top, bottom = (chain.value.values(SYSTEM, band=band) for band in ("top", "bottom"))
    assert [each.member_id for each in top] == members[:2]
    assert [each.member_id for each in bottom] == members[:-4:-1]
    assert sum(each.value for each in [*top, *bottom]) == Decimal(210)


def test_high_value_is_an_amount_from_the_first_night_on(
    chain: Services, enrol: Callable[..., UUID], buy: Callable[..., None]
) -> None:
    members = [enrol(f"客{number}") for number in range(10)]
    for place, member in enumerate(members):
        buy(member, 20, str(10 * (place + 1)))
    first = chain.value.make(SYSTEM, DAY - timedelta(days=10))
    saved = chain.value.grading(SYSTEM)
    assert saved is not None
    assert saved.rules.high_from == Decimal(80)
    assert (first.high, first.high_share) == (3, 0.3)
    for member in members[:4]:
        buy(member, 5, "100")
    second = chain.value.make(SYSTEM, DAY)
    assert second.high == 7
    trend = chain.value.standings(SYSTEM, DAY - timedelta(days=30), DAY)
    assert [standing.high for standing in trend] == [3, 7]


def test_a_merged_member_is_one_and_an_erased_one_is_none(
    chain: Services, enrol: Callable[..., UUID], buy: Callable[..., None]
) -> None:
    kept, gone, erased = enrol("何静"), enrol("何静二"), enrol("走了")
    buy(kept, 5, "10")
    buy(gone, 4, "20")
    buy(erased, 4, "40")
    with chain.db.transaction() as conn:
        conn.execute("UPDATE member SET merged_into = %s WHERE member_id = %s", (kept, gone))
        conn.execute("UPDATE member SET erased_at = now() WHERE member_id = %s", (erased,))
    standing = chain.value.make(SYSTEM, DAY)
    assert standing.members == 1
    assert chain.value.value(SYSTEM, gone).monetary == Decimal("30.00")
    with pytest.raises(NotFound):
        chain.value.value(SYSTEM, erased)


def test_receipts_without_a_rate_are_in_nobodys_value_and_said(
    chain: Services, enrol: Callable[..., UUID], buy: Callable[..., None]
) -> None:
    member = enrol("Anna", "B01")
    buy(member, 5, "100", "50", store="B01")
    standing = chain.value.make(SYSTEM, DAY)
    assert (standing.left_out, chain.value.value(SYSTEM, member).monetary) == (1, Decimal("0.00"))
    with chain.db.transaction() as conn:
        conn.execute(
            "INSERT INTO exchange_rate VALUES ('EUR', 'CNY', '2026-01-01', 7.8, 'tests', now()),"
            " ('EUR', 'CNY', '2026-11-15', 9, 'tests', now())"
        )
    standing = chain.value.make(SYSTEM, DAY)
    value = chain.value.value(SYSTEM, member)
    assert (standing.left_out, value.monetary, value.margin) == (0, Decimal("780.00"), Decimal("390.00"))


def test_a_night_done_twice_is_the_same_night(
    chain: Services, enrol: Callable[..., UUID], buy: Callable[..., None]
) -> None:
    member = enrol("何静")
    buy(member, 5, "10")
    first = chain.value.make(SYSTEM, DAY)
    before = chain.value.value(SYSTEM, member)
    second = chain.value.make(SYSTEM, DAY)
    after = chain.value.value(SYSTEM, member)
    assert (second.profit, second.high, second.stages) == (first.profit, first.high, first.stages)
    assert (after.r, after.f, after.m, after.value, after.stage) == (
        before.r,
        before.f,
        before.m,
        before.value,
        before.stage,
    )


def test_a_chain_without_members_has_a_standing(chain: Services) -> None:
    standing = chain.value.make(SYSTEM, DAY)
    assert (standing.members, standing.buyers, standing.profit, standing.high_share) == (0, 0, Decimal(0), None)


@pytest.mark.parametrize(
    ("rules", "field"),
    [
        (Grading(recency_cuts=(7, 30, 60, 90)), "recency_cuts"),
        (Grading(frequency_cuts=(5, 4, 3, 2)), "frequency_cuts"),
        (Grading(at_risk_after=4), "dormant_after"),
        (Grading(high_from=Decimal("NaN")), "high_from"),
    ],
)
def test_rules_that_contradict_themselves_are_refused(chain: Services, rules: Grading, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        chain.value.save_grading(SYSTEM, rules, "why not")
    assert refused.value.field == field


def test_who_may(chain: Services, enrol: Callable[..., UUID], scope_of: Callable[[str], Scope]) -> None:
    mine, theirs = enrol("何静"), enrol("别家", "S02")
    chain.value.make(SYSTEM, DAY)
    assert [value.member_id for value in chain.value.values(scope_of("manager"))] == [mine]
    with pytest.raises(NotFound):
        chain.value.value(scope_of("desk"), theirs)
    for refused in (
        lambda: chain.value.save_grading(scope_of("manager"), Grading(), "mine"),
        lambda: chain.value.standings(scope_of("region"), DAY, DAY),
        lambda: chain.value.values(scope_of("desk")),
        lambda: chain.value.make(scope_of("manager")),
        lambda: chain.value.values(scope_of("manager"), store_id="S02"),
    ):
        with pytest.raises(Forbidden):
            refused()
    cost = MemberCost(uuid4(), theirs, DAY, Decimal(5), "茶礼")
    with pytest.raises(InvalidInput, match="in your stores"):
        chain.value.put_member_costs(scope_of("manager"), [cost])


def test_a_cost_is_entered_once(chain: Services, enrol: Callable[..., UUID]) -> None:
    cost = MemberCost(uuid4(), enrol("何静"), DAY, Decimal(5), "茶礼")
    assert [chain.value.put_member_costs(SYSTEM, [cost]) for _ in range(2)] == [1, 0]


def test_over_the_api(
    sign_in: Callable[[str], TestClient],
    enrol: Callable[..., UUID],
    buy: Callable[..., None],
    chain: Services,
) -> None:
    member = enrol("何静")
    buy(member, 5, "10", "4")
    browser = sign_in("hq")
    made = browser.post(
        "/api/v1/value/gradings", json={"rules": {"monetary_cuts": ["5", "10", "20", "30"]}, "reason": "round cuts"}
    )
    assert made.status_code == 201, made.text
    assert made.json()["rules"]["monetary_cuts"] == ["5", "10", "20", "30"]
    wrong = browser.post("/api/v1/value/gradings", json={"rules": {"window": 3}, "reason": "slip"})
    assert (wrong.status_code, wrong.json()["error"]["field"]) == (422, "rules")
    chain.value.make(SYSTEM, DAY)
    assert browser.get(f"/api/v1/value/members/{member}").json()["m"] == 3
    assert browser.get("/api/v1/value/grid").json() == [{"r": 1, "f": 1, "members": 1, "value": "6.00"}]
    assert [each["buyers"] for each in browser.get("/api/v1/value/standings").json()] == [1]


def test_a_trial_of_cuts_tells_what_the_night_then_does(
    chain: Services, scope_of: Callable[[str], Scope], enrol: Callable[..., UUID], buy: Callable[..., None]
) -> None:
    for number, days in enumerate((1, 2, 4, 8, 16), start=1):
        member = enrol(f"会员{number}")
        for each in range(days):
            buy(member, each * 3 + number, str(10 * number))
    hq = scope_of("hq")
    before = chain.value.make(hq, DAY)
    cuts = Grading(
        recency_cuts=(40, 20, 10, 3),
        frequency_cuts=(2, 4, 8, 16),
        monetary_cuts=(Decimal(15), Decimal(50), Decimal(200), Decimal(500)),
        high_from=Decimal(100),
    )
    trial = chain.value.try_grading(hq, cuts)
    assert (trial.buyers, trial.high_now) == (before.buyers, before.high)
    assert [each.then for each in trial.grades if each.of == "f"] == [1, 1, 1, 1, 1]
    told = {(each.of, each.grade): each.then for each in trial.grades}
    chain.value.save_grading(hq, cuts, "rounder cuts")
    after = chain.value.make(hq, DAY)
    assert after.high == trial.high_then
    values = chain.value.values(hq)
    for of in ("r", "f", "m"):
        for grade in range(1, 6):
            assert sum(getattr(each, of) == grade for each in values) == told[of, grade], (of, grade)
    assert chain.value.try_grading(hq, cuts).moved == 0
    stages = {each.stage: each.members for each in chain.value.stages(hq)}
    assert stages == {stage: count for stage, count in after.stages.items() if count}
    with pytest.raises(Forbidden):
        chain.value.try_grading(scope_of("manager"), cuts)
    with pytest.raises(InvalidInput):
        chain.value.try_grading(hq, Grading(frequency_cuts=(9, 4, 2, 1)))
