"""What comes after a sale, a merge or a top-up: refunds, cards merged since, merges undone, coupons side by side.

Each was right when it happened; these hold what follows from it right as well.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from threading import Event
from uuid import UUID

import pytest

from server.access.models import Scope
from server.errors import Forbidden
from server.membership.coupons import occasions
from server.membership.coupons.models import CouponRefused
from server.membership.points import posting
from server.membership.tiers.evaluation import TierRun, standings
from server.membership.tiers.rules import Level, TierRules
from server.sales.models import MemberOf, NewLine, NewReceipt
from server.services import Services
from tests.server.conftest import SYSTEM, TurnedClock
from tests.server.membership.coupons.counter import basket, define, enrol, key

D = Decimal
#: Noon in Shanghai on the day before the chain's clock.
AT = datetime(2026, 11, 19, 4, tzinfo=UTC)
DAY = date(2026, 11, 19)
LEVELS = TierRules(
    levels=(Level(slug="member"), Level(slug="silver", spend=D(100)), Level(slug="gold", spend=D(1000))),
    period_months=1,
    window_months=1,
)


def receipt(number: str, gross: str, **more: object) -> NewReceipt:
    fields = {"store_id": "S01", "receipt_no": number, "at": AT, "gross": D(gross), **more}
    return NewReceipt(**fields)  # type: ignore[arg-type]


def goods(number: str, *lines: tuple[str, int, str, str | None], **more: object) -> NewReceipt:
    """A receipt without tax of lines: SKU, pieces, price of one, cost of the line."""
    made = [
        NewLine(sku=sku, quantity=D(pieces), unit_price=D(price), cost=None if cost is None else D(cost))
        for sku, pieces, price, cost in lines
    ]
    fields = {"store_id": "S01", "receipt_no": number, "at": AT, "lines": made, "tax": D(0), "tax_included": True}
    return NewReceipt(**{**fields, **more})  # type: ignore[arg-type]


def post(chain: Services, *receipts: NewReceipt) -> None:
    done = chain.sales.post_receipts(SYSTEM, receipts)
    assert (done.conflicts, done.rejected) == ([], [])


def worth(chain: Services, member: UUID) -> tuple[str, str, str]:
    """Margin, money spent, and sales of which nobody knows the margin."""
    chain.value.make(SYSTEM, DAY)
    found = chain.value.value(SYSTEM, member)
    return str(found.margin), str(found.monetary), str(found.unknown_sales)


def spent(chain: Services, member: UUID) -> list[str]:
    return [str(each.net) for each in chain.membership.member(SYSTEM, member).purchases.spending]


@pytest.mark.parametrize(
    ("back", "left"),
    [
        # Nobody asked for the card; few tills know what goods cost that come back.
        (goods("B", ("A", 2, "100", "80"), kind="refund", refers_to="S"), ("35.00", "50.00", "0.00")),
        (goods("B", ("A", 2, "100", None), kind="refund", refers_to="S"), ("35.00", "50.00", "0.00")),
        (goods("B", ("A", 1, "100", None), kind="refund", refers_to="S"), ("95.00", "150.00", "0.00")),
        (
            goods("B", ("A", 2, "100", None), ("B", 1, "50", None), kind="refund", refers_to="S"),
            ("0.00", "0.00", "0.00"),
        ),
        # Without lines, or of goods that the sale doesn't know: the part of the sale's cost that it is of the sale.
        (receipt("B", "125", kind="refund", refers_to="S"), ("77.50", "125.00", "0.00")),
        (goods("B", ("?", 1, "250", None), kind="refund", refers_to="S"), ("0.00", "0.00", "0.00")),
    ],
)
def test_what_is_given_back_makes_nobody_worth_more(chain: Services, back: NewReceipt, left: tuple[str, ...]) -> None:
    member, other = enrol(chain), enrol(chain, "13900139001")
    sale = goods("S", ("A", 2, "100", "80"), ("B", 1, "50", "15"), member=MemberOf(id=str(member)))
    post(chain, sale)
    assert worth(chain, member) == ("155.00", "250.00", "0.00")
    post(chain, back)
    assert worth(chain, member) == left
    assert spent(chain, member) == [left[1]]
    # Whose the sale is, is decided by the sale; what names none is whose it says.
    post(chain, receipt("O", "10", kind="refund", member=MemberOf(id=str(other))))
    assert spent(chain, other) == ["-10.00"]


def test_a_refund_named_for_another_card_is_the_buyers(chain: Services) -> None:
    buyer, other = enrol(chain), enrol(chain, "13900139001")
    post(
        chain,
        receipt("S", "100", member=MemberOf(id=str(buyer))),
        receipt("B", "100", kind="refund", refers_to="S", member=MemberOf(id=str(other))),
    )
    assert (spent(chain, buyer), spent(chain, other)) == (["0.00"], [])


def test_a_sale_that_is_void_was_never_given_back(chain: Services) -> None:
    def day() -> tuple[str, str]:
        facts = chain.kpi.day(SYSTEM, "S01", DAY).facts
        return str(facts.gross_sales), str(facts.refunds)

    for number, late in (("1", False), ("2", True)):
        refund = receipt(f"R{number}", "300", kind="refund", refers_to=f"S{number}")
        void = NewReceipt(store_id="S01", receipt_no=f"V{number}", kind="void", at=AT, refers_to=f"S{number}")
        post(chain, receipt(f"S{number}", "300"))
        post(chain, *([void, refund] if late else [refund]))
        if not late:
            assert day() == ("300.00", "300.00")
            post(chain, void)
        assert day() in (("0.00", "0.00"), ("0", "0"))
    with chain.db.read() as conn:
        assert conn.execute("SELECT count(*) FROM receipt WHERE kind = 'refund' AND voided_at IS NULL").fetchone() == (
            0,
        )


def test_a_refund_of_more_than_was_paid_or_of_an_unknown_sale_is_kept_and_told(chain: Services) -> None:
    def told(*receipts: NewReceipt) -> list[tuple[str | None, str | None]]:
        done = chain.sales.post_receipts(SYSTEM, receipts)
        assert done.accepted == len(receipts)
        return [(each.receipt_no, each.field) for each in done.notes]

    refund = {"kind": "refund", "refers_to": "S"}
    assert told(receipt("S", "95"), receipt("B1", "45", **refund), receipt("B2", "50", **refund)) == []
    assert told(receipt("B3", "9500", **refund)) == [("B3", "gross")]
    assert told(receipt("B4", "1", kind="refund", refers_to="lost"), receipt("B5", "1", kind="refund")) == [
        ("B4", "refers_to")
    ]
    # A refund that comes with its sale, before it in the batch, is none of either.
    assert told(receipt("B6", "5", kind="refund", refers_to="T"), receipt("T", "5")) == []


def test_a_receipt_that_comes_again_is_known_though_its_card_was_merged_or_its_number_went_on(
    chain: Services, clock: TurnedClock
) -> None:
    kept, gone = enrol(chain), enrol(chain, "13900139001")
    stranger = enrol(chain, "13700137000")
    card = chain.membership.member(SYSTEM, gone).card_no
    by_card = receipt("R1", "100", member=MemberOf(card=card))
    by_phone = receipt("R2", "100", member=MemberOf(phone="13800138000"))
    assert chain.sales.post_receipts(SYSTEM, [by_card, by_phone]).accepted == 2
    chain.members.merging.merge(SYSTEM, kept, gone, "one person")
    again = chain.sales.post_receipts(SYSTEM, [by_card, by_phone, by_phone])
    assert (again.repeated, again.conflicts) == (3, [])
    # Another member by name is another receipt.
    other = chain.sales.post_receipts(SYSTEM, [receipt("R1", "100", member=MemberOf(id=str(stranger)))])
    assert (other.repeated, len(other.conflicts)) == (0, 1)
    with chain.db.transaction() as conn:
        conn.execute(
            "INSERT INTO member_phone (member_id, key_id, phone_enc, until_at, why, went_to, changed_by)"
            " SELECT member_id, key_id, phone_enc, %s, 'reassigned', %s, 'desk' FROM member WHERE member_id = %s",
            (clock.now, stranger, kept),
        )
    moved = chain.sales.post_receipts(SYSTEM, [receipt("R2", "100", member=MemberOf(id=str(stranger)))])
    assert (moved.repeated, moved.conflicts) == (1, [])
    assert spent(chain, kept) == ["200.00"]
    chain.members.erasures.erase(SYSTEM, kept, "asked")
    back = enrol(chain)
    told = chain.sales.post_receipts(SYSTEM, [by_phone])
    assert (told.repeated, told.conflicts, spent(chain, back)) == (1, [], [])


def test_a_share_of_money_in_two_currencies_is_none(chain: Services) -> None:
    member = MemberOf(id=str(enrol(chain)))
    post(
        chain,
        receipt("a", "100", member=member),
        receipt("b", "700"),
        receipt("c", "100", member=member, store_id="B01"),
    )
    report = chain.kpi.report(
        SYSTEM, kpis=["member_sales_share", "member_share"], day_from=DAY, day_to=DAY, group_by="store"
    )
    total = report.total.values
    assert (total["member_sales_share"].value, total["member_sales_share"].withheld) == (None, "mixed_currencies")
    assert total["member_sales_share"].denominator is None
    assert total["member_share"].value is not None
    assert {row.key: row.values["member_sales_share"].value for row in report.rows}["S01"] == D("0.125")


def test_a_second_coupon_takes_off_what_the_first_left(chain: Services) -> None:
    member = enrol(chain)
    codes = [
        str(chain.coupons.issue(SYSTEM, define(chain, value=D(value)).definition_id, member, key()).code)
        for value in ("80", "70", "5")
    ]
    bought = basket(("A", "100"))
    assert chain.coupons.quote(SYSTEM, codes[1], bought).discount == 70
    off = [chain.coupons.redeem(SYSTEM, code, bought, "R9", key()).discount for code in codes[:2]]
    assert off == [D(80), D(20)]
    with pytest.raises(CouponRefused) as refused:
        chain.coupons.redeem(SYSTEM, codes[2], bought, "R9", key())
    assert "nothing to pay" in str(refused.value)


def follow(chain: Services, clock: TurnedClock) -> None:
    posting.post(chain.db, standings, clock)
    TierRun(chain.db, clock).follow(Event())
    TierRun(chain.db, clock).run(Event())
    occasions.post(chain.db, clock)


def test_who_falls_to_a_tier_gets_nothing_for_reaching_it(chain: Services, clock: TurnedClock) -> None:
    chain.tiers.save_rules(SYSTEM, LEVELS, "x")
    member, riser = enrol(chain), enrol(chain, "13900139001")
    define(chain, issue_on="tier_up", tiers=["silver"])
    chain.tiers.give(SYSTEM, member, "gold", "vip")
    follow(chain, clock)
    clock.turn(days=32)
    post(
        chain,
        receipt("S", "150", at=clock.now, member=MemberOf(id=str(member))),
        receipt("T", "150", at=clock.now, member=MemberOf(id=str(riser))),
    )
    follow(chain, clock)
    assert (chain.tiers.tier(SYSTEM, member).tier, chain.tiers.tier(SYSTEM, riser).tier) == ("silver", "silver")
    chain.tiers.give(SYSTEM, member, "gold", "again")
    chain.tiers.give(SYSTEM, member, "silver", "put down by hand")
    follow(chain, clock)
    assert chain.coupons.of_member(SYSTEM, member) == []
    assert len(chain.coupons.of_member(SYSTEM, riser)) == 1


def test_a_merge_undone_gives_back_the_tier_there_was(chain: Services, clock: TurnedClock) -> None:
    chain.tiers.save_rules(SYSTEM, LEVELS, "x")
    kept, gold, second = enrol(chain), enrol(chain, "13900139001"), enrol(chain, "13900139002")
    chain.tiers.give(SYSTEM, kept, "silver", "a friend", clock.now + timedelta(days=20))
    before = chain.tiers.tier(SYSTEM, kept)
    for each in (gold, second):
        chain.tiers.give(SYSTEM, each, "gold", "vip")

    def merge(gone: UUID) -> int:
        chain.members.merging.merge(SYSTEM, kept, gone, "one person")
        follow(chain, clock)
        assert chain.tiers.tier(SYSTEM, kept).tier == "gold"
        return chain.members.merging.merges(SYSTEM, kept)[0].merge_id

    first, other = merge(gold), merge(second)
    clock.turn(minutes=1)
    chain.members.merging.undo(SYSTEM, first)
    follow(chain, clock)
    assert chain.tiers.tier(SYSTEM, kept).tier == "gold", "the second is merged into them still"
    chain.members.merging.undo(SYSTEM, other)
    follow(chain, clock)
    after = chain.tiers.tier(SYSTEM, kept)
    assert (after.tier, after.since, after.period_end) == ("silver", before.since, before.period_end)
    assert [each.why for each in after.history][:2] == ["parted", "merged"]
    assert {chain.tiers.tier(SYSTEM, each).tier for each in (gold, second)} == {"gold"}
    # What came since stays.
    again = merge(gold)
    chain.tiers.give(SYSTEM, kept, "member", "by hand")
    chain.members.merging.undo(SYSTEM, again)
    follow(chain, clock)
    assert chain.tiers.tier(SYSTEM, kept).tier == "member"


def test_a_merge_and_its_undoing_are_in_the_days_on_which_both_were_there(chain: Services) -> None:
    one, other = enrol(chain), enrol(chain, "13900139001")
    chain.kpi.set_setting(SYSTEM, "takes_check_ins", D(1), date(2026, 1, 1), "S01")
    for place, member in enumerate((one, other)):
        chain.visits.check_in(SYSTEM, "S01", member, "phone", key(), AT + timedelta(hours=place))
    chain.visits.check_in(SYSTEM, "S01", other, "phone", key(), AT - timedelta(days=9))
    for day in (DAY, DAY - timedelta(days=9)):
        chain.kpi.recompute("S01", day)

    def visits() -> tuple[object, object, list[tuple[object, ...]]]:
        with chain.db.read() as conn:
            marks = conn.execute("SELECT DISTINCT store_id, hour, reason FROM dirty_mark").fetchall()
        report = chain.kpi.report(SYSTEM, kpis=["member_visits"], day_from=DAY, day_to=DAY, store_ids=["S01"])
        return report.total.values["member_visits"].value, chain.kpi.day(SYSTEM, "S01", DAY).facts.member_visits, marks

    def clean() -> None:
        with chain.db.transaction() as conn:
            conn.execute("DELETE FROM dirty_mark")

    clean()
    assert visits()[:2] == (2, 2)
    chain.members.merging.merge(SYSTEM, one, other, "same")
    assert visits() == (1, 1, [("S01", AT + timedelta(hours=1), "merge")])
    chain.kpi.recompute("S01", DAY)
    clean()
    chain.members.merging.undo(SYSTEM, chain.members.merging.merges(SYSTEM, one)[0].merge_id)
    assert visits() == (2, 2, [("S01", AT + timedelta(hours=1), "merge")])


def test_a_balance_of_the_old_system_was_not_sold_today(chain: Services, scope_of: Callable[[str], Scope]) -> None:
    member = enrol(chain)
    cards = [chain.value_cards.open(SYSTEM, "S01", key(), member_id=member).card_id for _ in range(2)]
    chain.stored_value.bring_in(SYSTEM, cards[0], "S01", D(900), D(0), key(), "old system")
    with pytest.raises(Forbidden):
        chain.stored_value.pay_out(scope_of("desk"), cards[0], "S01", D(900), key())
    yesterday = chain.clock() - timedelta(days=1)
    chain.stored_value.bring_in(SYSTEM, cards[1], "S01", D(900), D(0), key(), "old system", yesterday)
    assert chain.stored_value.pay_out(scope_of("desk"), cards[1], "S01", D(900), key()).paid == -900


def test_a_night_takes_in_the_day_that_is_over_everywhere(chain: Services, clock: TurnedClock) -> None:
    """At half past eight in the evening (UTC) it is tomorrow in Shanghai and today in Berlin."""
    clock.now = datetime(2026, 11, 20, 20, 30, tzinfo=UTC)
    assert chain.value.make(SYSTEM).day == date(2026, 11, 19)
    with chain.db.transaction() as conn:
        conn.execute("UPDATE store_calendar SET timezone = 'Asia/Shanghai'")
    assert chain.value.make(SYSTEM).day == date(2026, 11, 20)
    with chain.db.transaction() as conn:
        conn.execute("UPDATE store_calendar SET day_starts = '05:00'")
    assert chain.value.make(SYSTEM).day == date(2026, 11, 19)
