"""Cards over a real database: frozen, lost, registered, handed over, used elsewhere, and left by whoever is erased."""

from collections.abc import Callable
from decimal import Decimal
from uuid import uuid4

import pytest

from server.access.models import Scope
from server.errors import Conflict, Forbidden, InvalidInput, NotFound
from server.membership.stored_value.models import CardNotUsable, ValueSettings
from server.membership.stored_value.rights import StoredValueRights
from server.services import Services
from tests.server.conftest import SYSTEM, TurnedClock
from tests.server.membership.stored_value.counter import assert_books_balance, card_of, enrol, key, on, spend, top_up

D = Decimal
ScopeOf = Callable[[str], Scope]


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
