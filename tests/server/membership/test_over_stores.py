"""Money and coupons over stores: what is shown is good everywhere, what is only looked up stays with its own stores."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from fastapi.testclient import TestClient

from server.access.models import Scope
from server.app import create_app
from server.errors import NotFound
from server.membership.coupons.models import Coupon
from server.membership.models import Member, NewMember
from server.membership.stored_value.models import Card
from server.membership.wording import standard_consents
from server.services import Services
from tests.server.conftest import PASSWORD, SYSTEM
from tests.server.membership.coupons.counter import define
from tests.server.membership.stored_value.counter import enrol, key

SV, COUPONS = "/api/v1/stored-value", "/api/v1/coupons"
ScopeOf = Callable[[str], Scope]


@dataclass
class Somebody:
    """A member of S01 with a coupon, 500 on a card, and a card of nobody's with 100, all of S01."""

    member: Member
    coupon: Coupon
    card: Card
    bearer: Card


@pytest.fixture
def somebody(chain: Services) -> Somebody:
    new = NewMember("张伟", "13800138000", "S01", standard_consents("zh", marketing=True))
    member = chain.membership.enrol(SYSTEM, new)
    coupon = chain.coupons.issue(SYSTEM, define(chain).definition_id, member.member_id, key())
    card = chain.value_cards.open(SYSTEM, "S01", key(), member_id=member.member_id)
    bearer = chain.value_cards.open(SYSTEM, "S01", key())
    for each, amount in ((card, 500), (bearer, 100)):
        chain.stored_value.top_up(SYSTEM, each.card_id, "S01", Decimal(amount), key())
    return Somebody(member, coupon, card, bearer)


class Caller:
    """Somebody before the API: a person by name, or a till of a store."""

    def __init__(self, services: Services, who: str) -> None:
        self.api = TestClient(create_app(services), raise_server_exceptions=False)
        if who.startswith("till "):
            token = services.access.create_api_key(SYSTEM, who, "till", [who.removeprefix("till ")])
            self.api.headers["Authorization"] = f"Bearer {token}"
            return
        signed = self.api.post("/api/v1/session", json={"username": who, "password": PASSWORD}).json()
        self.api.headers["X-CSRF-Token"] = signed["csrf_token"]

    def get(self, path: str) -> tuple[int, Any]:
        answer = self.api.get(path)
        return answer.status_code, answer.json()

    def post(self, path: str, **body: object) -> tuple[int, Any]:
        answer = self.api.post(path, json=body)
        return answer.status_code, answer.json()


def test_a_till_that_looked_somebody_up_gets_no_code_no_number_and_no_money(
    chain: Services, somebody: Somebody
) -> None:
    member, card = somebody.member.member_id, somebody.card
    till, own = Caller(chain, "till S02"), Caller(chain, "till S01")
    status, looked = till.post("/api/v1/points/look", store_id="S02", member={"phone": "13800138000"})
    assert (status, looked["member_id"]) == (200, str(member)), "what a till is told by telephone number is an id"
    for path in (f"{COUPONS}/members/{member}", f"{SV}/members/{member}/cards", f"{SV}/cards/{card.card_id}"):
        assert till.get(path)[0] == 404, path
    status, coupons = own.get(f"{COUPONS}/members/{member}")
    assert (status, [each["code"] for each in coupons]) == (200, [None])
    status, cards = own.get(f"{SV}/members/{member}/cards")
    assert (status, [each["card_no"] for each in cards]) == (200, [f"**** {str(card.card_no)[-4:]}"])
    asked = {"idempotency_key": key(), "amount": "10"}
    for caller, store in ((till, "S02"), (own, "S01")):
        status, told = caller.post(f"{SV}/cards/{card.card_id}/purchases", store_id=store, **asked)
        assert (status, told["error"]["field"]) == (422, "card_no"), "no till spends without the card"
        wrong = {**asked, "card_no": somebody.bearer.card_no}
        assert caller.post(f"{SV}/cards/{card.card_id}/purchases", store_id=store, **wrong)[0] == 404
    assert till.post(f"{SV}/cards/{card.card_id}/top-ups", store_id="S02", **asked)[0] == 404
    # Shown, the card is good everywhere: the purchase is paid, topped up after, and given back where it was made.
    status, found = till.post(f"{SV}/cards/find", card_no=card.card_no)
    assert (status, found["card_no"], found["balance"]) == (200, card.card_no, "500.00")
    shown = {**asked, "card_no": f" {str(card.card_no)[:8]} {str(card.card_no)[8:]}"}
    status, bought = till.post(f"{SV}/cards/{card.card_id}/purchases", store_id="S02", **shown)
    assert (status, bought["amount"]) == (201, "-10.00")
    assert till.post(f"{SV}/cards/{card.card_id}/purchases", store_id="S02", **shown) == (201, bought)
    again = {**shown, "idempotency_key": key()}
    assert till.post(f"{SV}/cards/{card.card_id}/top-ups", store_id="S02", **again)[0] == 201
    back = {"store_id": "S02", "idempotency_key": key(), "posting_id": bought["posting_id"]}
    assert till.post(f"{SV}/cards/{card.card_id}/returns", **back)[0] == 201
    assert till.get(f"{SV}/postings/{bought['posting_id']}")[1]["card_no"] == f"**** {str(card.card_no)[-4:]}"
    elsewhere = chain.stored_value.spend(SYSTEM, card.card_id, "S01", Decimal(1), key())
    back |= {"idempotency_key": key(), "posting_id": elsewhere.posting_id}
    assert till.post(f"{SV}/cards/{card.card_id}/returns", **back)[0] == 404, "what was bought elsewhere"


def test_another_stores_desk_neither_reads_nor_changes_what_it_has_an_id_of(
    chain: Services, somebody: Somebody
) -> None:
    member, card, coupon = somebody.member.member_id, somebody.card.card_id, somebody.coupon.coupon_id
    other = Caller(chain, "desk2")
    for path in (
        f"/api/v1/members/{member}",
        f"{COUPONS}/members/{member}",
        f"{COUPONS}/{coupon}/qr",
        f"{SV}/members/{member}/cards",
        f"{SV}/cards/{card}",
        f"{SV}/cards/{card}/postings",
    ):
        assert other.get(path)[0] == 404, path
    where = {"store_id": "S02", "reason": "lost"}
    keyed = {"store_id": "S02", "idempotency_key": key()}
    for path, body in (
        ("replacement", {**where, "lost_no": somebody.card.card_no}),
        ("freeze", where),
        ("thaw", where),
        ("pay-outs", keyed),
        ("purchases", {**keyed, "amount": "1"}),
    ):
        assert other.post(f"{SV}/cards/{card}/{path}", **body)[0] == 404, path
    assert other.post(f"{SV}/cards", **keyed, member_id=str(member))[0] == 404
    definition = somebody.coupon.definition_id
    issue = {"definition_id": definition, "member_id": str(member), "idempotency_key": key()}
    assert other.post(COUPONS, **issue)[0] == 404
    assert Caller(chain, "desk").post(COUPONS, **issue)[0] == 201
    assert chain.stored_value.card(SYSTEM, card).balance == 500


def test_whoever_bought_is_known_there_but_the_card_stays_with_the_stores_that_keep_it(
    chain: Services, somebody: Somebody
) -> None:
    card, coupon = somebody.card, somebody.coupon.coupon_id
    chain.access.create_user(SYSTEM, "manager2", PASSWORD, "m2", "manager", ["S02"])
    till, manager = Caller(chain, "till S02"), Caller(chain, "manager2")
    assert manager.post(f"{COUPONS}/{coupon}/void", reason="mine")[0] == 404
    receipt = {"store_id": "S02", "receipt_no": "R1", "at": chain.clock().isoformat(), "gross": 5}
    sold = till.post("/api/v1/receipts", receipts=[{**receipt, "member": {"phone": "13800138000"}}])
    assert sold[0] in {200, 201, 207}, sold
    status, cards = manager.get(f"{SV}/members/{somebody.member.member_id}/cards")
    assert (status, cards[0]["card_no"]) == (200, f"**** {str(card.card_no)[-4:]}"), "the number is for S01 to know"
    keyed, where = {"store_id": "S02", "idempotency_key": key()}, {"store_id": "S02", "reason": "lost"}
    assert manager.post(f"{SV}/cards/{card.card_id}/purchases", **keyed, amount="1")[0] == 201, "chosen, not shown"
    assert manager.post(f"{SV}/cards/{card.card_id}/freeze", **where)[0] == 200, "takes nothing from anybody"
    refused = [
        manager.post(f"{SV}/cards/{card.card_id}/{path}", **body)
        for path, body in (
            ("thaw", where),
            ("replacement", {**where, "lost_no": card.card_no}),
            ("pay-outs", {**keyed, "idempotency_key": key(), "reason": "x"}),
        )
    ]
    holder = {**where, "member_id": str(somebody.member.member_id)}
    answer = manager.api.put(f"{SV}/cards/{card.card_id}/holder", json=holder)
    refused += [(answer.status_code, answer.json()), manager.post(f"{COUPONS}/{coupon}/void", reason="mine")]
    assert [status for status, _ in refused] == [403] * 5, refused
    home = Caller(chain, "manager")
    assert home.get(f"{SV}/cards/{card.card_id}")[1]["card_no"] == card.card_no
    assert home.post(f"{SV}/cards/{card.card_id}/thaw", store_id="S01", reason="found")[0] == 200
    assert home.post(f"{COUPONS}/{coupon}/void", reason="a mistake")[0] == 200


def test_a_card_of_nobody_is_its_numbers_even_where_it_was_sold(chain: Services, somebody: Somebody) -> None:
    desk, path = Caller(chain, "desk"), f"{SV}/cards/{somebody.bearer.card_id}"
    number = str(somebody.bearer.card_no)
    assert desk.get(path)[1]["card_no"] == f"**** {number[-4:]}"
    keyed = {"store_id": "S01", "amount": "1"}
    status, told = desk.post(f"{path}/purchases", **keyed, idempotency_key=key())
    assert (status, told["error"]["field"]) == (422, "card_no")
    assert desk.post(f"{path}/purchases", **keyed, idempotency_key=key(), card_no=number)[0] == 201
    holder = {"store_id": "S01", "member_id": str(somebody.member.member_id)}
    assert desk.api.put(f"{path}/holder", json=holder).status_code == 422
    assert desk.api.put(f"{path}/holder", json={**holder, "card_no": number}).status_code == 200
    # Replaced, the number that was shown is a lost card's.
    chain.value_cards.replace(SYSTEM, somebody.bearer.card_id, "S01", number, "lost")
    status, told = desk.post(f"{path}/purchases", **keyed, idempotency_key=key(), card_no=number)
    assert (status, told["error"]["code"]) == (409, "card_not_usable")


def test_who_stands_at_the_counter_with_the_members_card_is_served_there(
    chain: Services, somebody: Somebody, scope_of: ScopeOf
) -> None:
    """What the desk's page rests on: the member's own card shows the member, and the money's own number the money."""
    member, desk = somebody.member, scope_of("desk2")
    (coupon,) = chain.coupons.of_member(desk, member.member_id, member_card=member.card_no)
    assert coupon.code == somebody.coupon.code
    (card,) = chain.stored_value.of_member(desk, member.member_id, member_card=member.card_no)
    assert card.card_no == f"**** {str(somebody.card.card_no)[-4:]}"
    opened = chain.value_cards.open(desk, "S02", key(), member_id=member.member_id, member_card=member.card_no)
    assert chain.stored_value.card(desk, opened.card_id).card_no == opened.card_no
    other = enrol(chain, "13900139000")
    for shown in (None, "", member.card_no):
        with pytest.raises(NotFound, match="there is no member"):
            chain.coupons.of_member(desk, other, member_card=shown)
