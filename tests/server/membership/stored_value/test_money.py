"""Money on cards, over a real database: paid in, spent, given back, paid out, settled, and what is refused."""

import threading
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from uuid import uuid4

import psycopg
import pytest

from server import events
from server.access.models import Scope
from server.errors import Conflict, DoorlineError, Forbidden, InvalidInput, NotFound
from server.membership.stored_value.models import (
    BonusBearer,
    CardNotUsable,
    KeyReused,
    NewBonusRule,
    NotEnough,
    OverCap,
    PostingReceipt,
    ValueSettings,
)
from server.membership.stored_value.rights import StoredValueRights
from server.services import Services
from tests.server.conftest import SYSTEM, TurnedClock
from tests.server.membership.stored_value.counter import (
    accounts,
    assert_books_balance,
    card_of,
    enrol,
    key,
    on,
    spend,
    top_up,
)

D = Decimal
NEW_POSTING = (
    "INSERT INTO value_posting (kind, card_id, store_id, currency, idempotency_key, request_hash, bonus_borne_by,"
    " actor, at)"
)
COPIED = "kind, card_id, store_id, currency, 'new', '', 'seller', 'x', now()"
ScopeOf = Callable[[str], Scope]


@pytest.fixture
def shop(chain: Services) -> Services:
    """A chain where a top-up of 100 and more brings 20% on top."""
    chain.value_rules.add_bonus_rule(SYSTEM, NewBonusRule("CNY", D(100), percent=D(20)))
    return chain


def test_a_top_up_a_purchase_and_its_return_are_postings_with_receipts(shop: Services, clock: TurnedClock) -> None:
    card = card_of(shop, enrol(shop))
    paid_in = top_up(shop, card, "1000")
    assert (paid_in.principal, paid_in.bonus, paid_in.paid) == (D(1000), D(200), D(1000))
    assert (paid_in.kind, paid_in.at, paid_in.actor, paid_in.tender) == ("top_up", clock.now, "tests", "cash")
    bought = spend(shop, card, "120")
    assert (bought.amount, bought.principal, bought.bonus) == (D(-120), D(-100), D(-20))
    assert (bought.principal_after, bought.bonus_after, bought.paid) == (D(900), D(180), D(0))
    half = shop.stored_value.give_back(SYSTEM, card.card_id, bought.posting_id, "S01", D(60), key())
    assert (half.principal, half.bonus, half.refers_to) == (D(50), D(10), bought.posting_id)
    rest = shop.stored_value.give_back(SYSTEM, card.card_id, bought.posting_id, "S01", None, key())
    assert rest.amount == D(60)
    assert on(shop, card) == ("1000.00", "200.00")
    for amount in (D("0.01"), None):
        with pytest.raises(DoorlineError):
            shop.stored_value.give_back(SYSTEM, card.card_id, bought.posting_id, "S01", amount, key())
    with pytest.raises(InvalidInput, match="no purchase"):
        shop.stored_value.give_back(SYSTEM, card.card_id, paid_in.posting_id, "S01", None, key())
    statement = shop.stored_value.statement(SYSTEM, card.card_id)
    assert statement == [rest, half, bought, paid_in]
    assert shop.stored_value.receipt(SYSTEM, half.posting_id) == half
    assert_books_balance(shop.db)
    assert accounts(shop.db) == {("cash", "S01"): D(-1000), ("bonus_cost", "S01"): D(-200)}


def test_the_same_request_again_gets_the_same_receipt_and_another_is_refused(shop: Services) -> None:
    card, other = card_of(shop, enrol(shop)), card_of(shop)
    value = shop.stored_value
    first = value.top_up(SYSTEM, card.card_id, "S01", D(500), "till-1")
    assert value.top_up(SYSTEM, card.card_id, "S01", D("500.00"), " till-1 ") == first
    others: list[Callable[[], object]] = [
        lambda: value.top_up(SYSTEM, card.card_id, "S01", D(501), "till-1"),
        lambda: value.top_up(SYSTEM, other.card_id, "S01", D(500), "till-1"),
        lambda: value.spend(SYSTEM, card.card_id, "S01", D(500), "till-1"),
    ]
    for again in others:
        with pytest.raises(KeyReused) as refused:
            again()
        assert refused.value.detail == {"posting_id": str(first.posting_id)}
    # Keys are a store's own.
    assert value.top_up(SYSTEM, card.card_id, "S02", D(500), "till-1").posting_id != first.posting_id
    for bad in ("", "  ", "k" * 101, "a\x00b"):
        with pytest.raises(InvalidInput) as wrong:
            value.spend(SYSTEM, card.card_id, "S01", D(1), bad)
        assert wrong.value.field == "idempotency_key"
    opened = shop.value_cards.open(SYSTEM, "S01", "open-1")
    assert shop.value_cards.open(SYSTEM, "S01", "open-1") == opened
    with pytest.raises(Conflict):
        shop.value_cards.open(SYSTEM, "S01", "open-1", member_id=card.member_id)


def test_less_than_is_wanted_takes_nothing_and_caps_hold(shop: Services) -> None:
    card = card_of(shop)
    top_up(shop, card, "800")
    with pytest.raises(NotEnough) as refused:
        spend(shop, card, "960.01")
    assert refused.value.detail == {"balance": "960.00"}
    with pytest.raises(OverCap):
        top_up(shop, card, "41")
    shop.value_cards.register(SYSTEM, card.card_id, "S01", enrol(shop))
    top_up(shop, card, "41")
    settings = shop.value_rules.settings(SYSTEM, "CNY")
    shop.value_rules.set(SYSTEM, replace(settings, cap_registered=D(1001)))
    with pytest.raises(OverCap):
        top_up(shop, card, "1")
    # What was on it goes back on it whatever the cap has become.
    bought = spend(shop, card, "1")
    shop.value_rules.set(SYSTEM, replace(settings, cap_registered=D(5)))
    shop.stored_value.give_back(SYSTEM, card.card_id, bought.posting_id, "S01", None, key())
    assert on(shop, card) == ("841.00", "160.00")


def test_principal_is_paid_out_on_demand_in_the_days_of_cooling_off_and_by_a_manager_later(
    shop: Services, scope_of: ScopeOf, clock: TurnedClock
) -> None:
    card = card_of(shop, enrol(shop))
    top_up(shop, card, "1000")
    spend(shop, card, "600")
    shop.value_rules.set(SYSTEM, ValueSettings("CNY", late_fee_percent=D(5)))

    def pay_out(who: str, amount: str | None, reason: str = "") -> PostingReceipt:
        wanted = None if amount is None else D(amount)
        return shop.stored_value.pay_out(scope_of(who), card.card_id, "S01", wanted, key(), reason=reason)

    first = pay_out("desk", "100")
    assert (first.principal, first.bonus, first.fee, first.paid) == (D(-100), D(-20), D(0), D(-100))
    clock.turn(days=7)
    with pytest.raises(Forbidden, match="cooling off"):
        pay_out("desk", "100")
    with pytest.raises(InvalidInput, match="reason"):
        pay_out("manager", "100")
    late = pay_out("manager", None, "moves away")
    assert (late.principal, late.bonus, late.fee, late.paid) == (D(-400), D(-80), D(20), D(-380))
    assert on(shop, card) == ("0.00", "0.00")
    with pytest.raises(NotEnough):
        pay_out("manager", None, "again")
    assert_books_balance(shop.db)
    assert accounts(shop.db) == {
        ("cash", "S01"): D(-520),
        ("sales", "S01"): D(600),
        ("fees", "S01"): D(20),
        ("bonus_cost", "S01"): D(-100),
    }


@pytest.mark.parametrize(
    ("bearer", "owed", "cost"),
    [("seller", "180", {"S01": "-194"}), ("server", "155", {"S01": "-169", "S02": "-25"})],
)
def test_who_sold_owes_who_served_until_it_is_settled(
    shop: Services, scope_of: ScopeOf, clock: TurnedClock, bearer: BonusBearer, owed: str, cost: dict[str, str]
) -> None:
    settings = replace(ValueSettings.default("CNY"), bonus_borne_by=bearer)
    shop.value_rules.set(SYSTEM, settings)
    card = card_of(shop, enrol(shop))
    top_up(shop, card, "1000")
    spend(shop, card, "60")
    bought = spend(shop, card, "240", "S02")
    shop.stored_value.give_back(SYSTEM, card.card_id, bought.posting_id, "S02", D(90), key())
    shop.stored_value.pay_out(SYSTEM, card.card_id, "S02", D(30), key())
    start, end = clock.now, clock.now.replace(hour=23)
    report = {(row.sold_by, row.served_by): row for row in shop.settlement.report(SYSTEM, start, end)}
    own, across = report[("S01", "S01")], report[("S01", "S02")]
    assert (own.principal, own.bonus, own.owed) == (D(50), D(10), D(0))
    assert (across.principal, across.bonus, across.paid_out, across.owed) == (D(125), D(25), D(30), D(owed))
    assert [row.owed for row in shop.settlement.report(scope_of("manager"), end, end.replace(minute=59))] == [D(owed)]
    with pytest.raises(NotEnough):
        shop.settlement.settle(SYSTEM, "S01", "S02", "CNY", D(owed) + D("0.01"), key())
    with pytest.raises(NotEnough):
        shop.settlement.settle(SYSTEM, "S02", "S01", "CNY", D("0.01"), key())
    settled = shop.settlement.settle(SYSTEM, "S01", "S02", "CNY", D(100), "november")
    assert shop.settlement.settle(SYSTEM, "S01", "S02", "CNY", D(100), "november").posting_id == settled.posting_id
    assert settled.owed_after == D(owed) - 100
    shop.settlement.settle(SYSTEM, "S01", "S02", "CNY", settled.owed_after, key())
    assert_books_balance(shop.db)
    books = accounts(shop.db)
    assert not {("debt", "S01", "S02"), ("claim", "S02", "S01")} & books.keys()
    # 30 of principal took 6 of bonus along: 200 - 6 were given for good, by one store or by where they were spent.
    borne = {account[1]: amount for account, amount in books.items() if account[0] == "bonus_cost"}
    assert borne == {store: D(amount) for store, amount in cost.items()}
    with pytest.raises(Forbidden):
        shop.settlement.settle(scope_of("manager"), "S01", "S02", "CNY", D(1), key())


def test_the_chain_knows_what_it_owes(shop: Services, scope_of: ScopeOf) -> None:
    first, second = card_of(shop), card_of(shop)
    top_up(shop, first, "500")
    top_up(shop, second, "50", "S02")
    spend(shop, first, "60", "S02")
    found = [(row.store_id, row.cards, row.principal, row.bonus) for row in shop.settlement.liability(SYSTEM)]
    assert found == [("S01", 1, D(450), D(90)), ("S02", 1, D(50), D(0))]
    assert [row.store_id for row in shop.settlement.liability(scope_of("manager"))] == ["S01"]


def test_a_frozen_card_gives_nothing_and_takes_returns(shop: Services) -> None:
    card = card_of(shop, enrol(shop))
    top_up(shop, card, "100")
    bought = spend(shop, card, "12")
    assert shop.value_cards.freeze(SYSTEM, card.card_id, "S01", "lost").state == "frozen"
    attempts: list[Callable[[], object]] = [lambda: spend(shop, card, "1"), lambda: top_up(shop, card, "1")]
    for refused in attempts:
        with pytest.raises(CardNotUsable, match="frozen: lost"):
            refused()
    with pytest.raises(CardNotUsable):
        shop.stored_value.pay_out(SYSTEM, card.card_id, "S01", None, key())
    shop.stored_value.give_back(SYSTEM, card.card_id, bought.posting_id, "S01", None, key())
    assert shop.value_cards.thaw(SYSTEM, card.card_id, "S01", "found").state == "active"
    spend(shop, card, "120")
    assert on(shop, card) == ("0.00", "0.00")


def test_what_is_on_a_lost_card_is_handed_over_to_a_new_number_once(shop: Services, scope_of: ScopeOf) -> None:
    card = card_of(shop, enrol(shop))
    top_up(shop, card, "100")
    lost = card.card_no
    assert lost is not None
    shop.value_cards.freeze(scope_of("desk"), card.card_id, "S01", "lost")
    new = shop.value_cards.replace(scope_of("desk"), card.card_id, "S01", lost, "lost")
    assert (new.state, new.balance) == ("active", D(120))
    assert new.card_no not in {None, lost}
    assert shop.value_cards.replace(scope_of("desk"), card.card_id, "S01", lost, "lost") == new
    assert shop.value_cards.find(scope_of("desk2"), f"{new.card_no}").card_id == card.card_id
    with pytest.raises(CardNotUsable, match="replaced"):
        shop.value_cards.find(SYSTEM, lost)
    with pytest.raises(NotFound):
        shop.value_cards.find(SYSTEM, "4" * 16)
    with pytest.raises(NotFound):
        shop.value_cards.replace(SYSTEM, card.card_id, "S01", "4" * 16, "lost")
    bearer = card_of(shop)
    with pytest.raises(Forbidden):
        shop.value_cards.replace(scope_of("desk"), bearer.card_id, "S01", str(bearer.card_no), "lost")


def test_a_card_is_registered_once_and_handed_over_by_a_manager(shop: Services, scope_of: ScopeOf) -> None:
    one, other = enrol(shop), enrol(shop, "13900139000")
    card = card_of(shop)
    for _ in range(2):
        assert (
            shop.value_cards.register(scope_of("desk"), card.card_id, "S01", one, card_no=card.card_no).member_id == one
        )
    with pytest.raises(Conflict):
        shop.value_cards.register(scope_of("desk"), card.card_id, "S01", other)
    with pytest.raises(Forbidden):
        shop.value_cards.hand_over(scope_of("desk"), card.card_id, "S01", other, "a gift")
    shop.value_cards.hand_over(scope_of("manager"), card.card_id, "S01", other, "a gift")
    assert [each.card_id for each in shop.stored_value.of_member(SYSTEM, other)] == [card.card_id]
    assert shop.stored_value.of_member(SYSTEM, one) == []
    with pytest.raises(NotFound):
        shop.value_cards.open(SYSTEM, "S01", key(), member_id=uuid4())


def test_a_card_works_in_every_store_of_its_currency_for_who_serves_there(shop: Services, scope_of: ScopeOf) -> None:
    card = card_of(shop)
    top_up(shop, card, "100")
    till = shop.access.api_key(shop.access.create_api_key(SYSTEM, "till", "till", ["S02"]))
    made = shop.stored_value.spend(till, card.card_id, "S02", D(10), key(), receipt_no="R7", card_no=card.card_no)
    assert made.receipt_no == "R7"
    with pytest.raises(Forbidden):
        shop.stored_value.spend(till, card.card_id, "S01", D(10), key())
    with pytest.raises(Forbidden):
        shop.stored_value.pay_out(till, card.card_id, "S02", D(10), key())
    with pytest.raises(NotFound):
        shop.stored_value.receipt(scope_of("desk"), made.posting_id)
    with pytest.raises(InvalidInput, match="EUR"):
        spend(shop, card, "1", "B01")
    with pytest.raises(NotFound):
        spend(shop, card, "1", "S99")
    with pytest.raises(Forbidden):
        shop.value_rules.set(scope_of("manager"), ValueSettings("CNY"))


def test_a_balance_of_an_old_system_is_brought_in_without_touching_a_till(shop: Services) -> None:
    card = card_of(shop)
    made = shop.stored_value.bring_in(SYSTEM, card.card_id, "S01", D(3000), D("12.5"), key(), "from the old till")
    assert (made.principal, made.bonus, made.paid) == (D(3000), D("12.5"), D(0))
    assert accounts(shop.db) == {("opening", "S01"): D("-3012.50")}
    lapsed = shop.stored_value.lapse(SYSTEM, card.card_id, "S01", key(), "promotion is over")
    assert (lapsed.principal, lapsed.bonus) == (D(0), D("-12.50"))


def test_everything_leaves_a_trace_and_an_event_without_a_number(shop: Services) -> None:
    card = card_of(shop, enrol(shop))
    top_up(shop, card, "100")
    spend(shop, card, "12")
    with shop.db.transaction() as conn:
        told = events.take(conn, "tests", ["value.topped_up", "value.spent"], 10)
        trail = conn.execute("SELECT action FROM audit WHERE action LIKE 'value.%' ORDER BY audit_id").fetchall()
    assert [(event.kind, event.store_id, event.body["principal"], event.body["bonus"]) for event in told] == [
        ("value.topped_up", "S01", "100.00", "20.00"),
        ("value.spent", "S01", "-10.00", "-2.00"),
    ]
    assert not any(str(card.card_no) in str(event) for event in told)
    assert [row[0] for row in trail] == ["value.bonus_rule", "value.open", "value.top_up", "value.spend"]


def test_nobody_with_principal_left_is_erased_and_what_stays_has_no_number(shop: Services, clock: TurnedClock) -> None:
    member = enrol(shop)
    card = card_of(shop, member)
    top_up(shop, card, "100")
    shop.stored_value.bring_in(SYSTEM, card.card_id, "S01", D(0), D(7), key(), "a gift")
    part = StoredValueRights()
    with shop.db.transaction() as conn:
        (hold,) = part.holds(conn, SYSTEM, [member])
        assert "100.00 CNY" in hold
        assert "pay them out" in hold
        cards, posted = part.export(conn, SYSTEM, [member])
    assert [row["principal"] for row in cards.rows] == ["100.00"]
    assert [row["kind"] for row in posted.rows] == ["top_up", "opening"]
    shop.stored_value.pay_out(SYSTEM, card.card_id, "S01", None, key())
    with shop.db.transaction() as conn:
        assert part.holds(conn, SYSTEM, [member]) == []
        before = part.balances(conn, SYSTEM, [member])
        assert part.left(conn, SYSTEM, [member]) == {"card numbers": 1}
        done = part.erase(conn, SYSTEM, [member], clock.now)
        assert part.balances(conn, SYSTEM, [member]) == before == {"principal CNY": "0.00", "entries": "0.00"}
        assert part.left(conn, SYSTEM, [member]) == {"card numbers": 0}
    assert done.removed == {"card numbers": 1}
    assert done.kept["postings"].rows == 4
    assert on(shop, card) == ("0.00", "0.00")
    with pytest.raises(CardNotUsable):
        top_up(shop, card, "1")
    assert_books_balance(shop.db)


COOKED = [
    "UPDATE value_posting SET reason = 'x'",
    "DELETE FROM value_posting",
    "UPDATE value_entry SET amount = amount + 1",
    "DELETE FROM value_entry",
    "TRUNCATE value_entry",
    "TRUNCATE value_posting CASCADE",
    "UPDATE value_lot SET principal = 1",
    "UPDATE value_account SET balance = balance + 1",
    "INSERT INTO value_account (kind, currency, store_id, balance) VALUES ('cash', 'CNY', 'S02', 5)",
    # Yesterday's posting takes no more entries, not even ones that sum to zero.
    "INSERT INTO value_entry SELECT posting_id, 90 + line, account_id, 0 FROM value_entry",
    # One-sided, and one of nothing at all.
    f"{NEW_POSTING} SELECT {COPIED} FROM value_posting",
    (
        f"WITH p AS ({NEW_POSTING} SELECT {COPIED} FROM value_posting RETURNING posting_id)"
        " INSERT INTO value_entry SELECT p.posting_id, 1, a.account_id, 5 FROM p, value_account a LIMIT 1"
    ),
]


def test_the_database_itself_refuses_to_cook_the_books(shop: Services) -> None:
    card = card_of(shop)
    top_up(shop, card, "50")
    for statement in COOKED:
        with pytest.raises(psycopg.IntegrityError), shop.db.transaction() as conn:
            conn.execute(statement.encode())
        assert on(shop, card) == ("50.00", "0.00"), statement
    assert_books_balance(shop.db)


def test_of_many_desks_that_spend_the_last_of_a_card_at_once_one_succeeds(shop: Services) -> None:
    card = card_of(shop)
    top_up(shop, card, "50")
    together, done, refused = threading.Barrier(6), list[PostingReceipt](), list[NotEnough]()

    def desk(store: str) -> None:
        together.wait(20)
        try:
            done.append(spend(shop, card, "30", store))
        except NotEnough as error:
            refused.append(error)

    desks = [threading.Thread(target=desk, args=(store,)) for store in ("S01", "S02") * 3]
    for each in desks:
        each.start()
    for each in desks:
        each.join(30)
    assert (len(done), len(refused)) == (1, 5)
    assert on(shop, card) == ("20.00", "0.00")


def test_one_request_sent_by_many_at_once_is_one_posting(shop: Services) -> None:
    card = card_of(shop)
    top_up(shop, card, "50")
    together, done = threading.Barrier(6), list[PostingReceipt]()

    def till() -> None:
        together.wait(20)
        done.append(shop.stored_value.spend(SYSTEM, card.card_id, "S01", D(30), "once"))

    tills = [threading.Thread(target=till) for _ in range(6)]
    for each in tills:
        each.start()
    for each in tills:
        each.join(30)
    assert len(done) == 6
    assert len({receipt.posting_id for receipt in done}) == 1
    assert on(shop, card) == ("20.00", "0.00")
