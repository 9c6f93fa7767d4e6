"""A visit is a member in a store on a business day, however often they were seen; a check-in is booked once."""

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from fastapi.testclient import TestClient

from server.access.models import Scope
from server.errors import Conflict, Forbidden, InvalidInput, NotFound
from server.membership.models import NewMember
from server.membership.wording import standard_consents
from server.sales.models import MemberOf, NewReceipt
from server.services import Services
from tests.server.conftest import SYSTEM, TurnedClock


@pytest.fixture
def li(scope_of: Callable[[str], Scope]) -> Scope:
    """Somebody at the desk of S01."""
    return scope_of("desk")


@pytest.fixture
def member_id(chain: Services, li: Scope) -> UUID:
    """王芳, enrolled at S01."""
    consents = standard_consents("zh", marketing=False)
    return chain.membership.enrol(li, NewMember("王芳", "13912340001", "S01", consents)).member_id


def test_a_check_in_is_a_visit_and_says_whether_it_is_the_first_sign(
    chain: Services, li: Scope, member_id: UUID, clock: TurnedClock
) -> None:
    first = chain.visits.check_in(li, "S01", member_id, "phone", "a")
    clock.turn(hours=2)
    second = chain.visits.check_in(li, "S01", member_id, "qr", "b")
    assert (first.is_first, second.is_first) == (True, False)
    (visit,) = chain.visits.visits(li, member_id)
    assert (visit.store_id, visit.day, visit.first_at, visit.last_at) == (
        "S01",
        date(2026, 11, 20),
        first.at,
        second.at,
    )
    assert (visit.checked_in, visit.bought) == (True, False)


def test_the_same_key_again_is_the_same_check_in(
    chain: Services, li: Scope, member_id: UUID, clock: TurnedClock
) -> None:
    first = chain.visits.check_in(li, "S01", member_id, "phone", "a")
    clock.turn(minutes=1)
    again = chain.visits.check_in(li, "S01", member_id, "phone", "a")
    assert (again.check_in_id, again.at) == (first.check_in_id, first.at)
    with chain.db.read() as conn:
        assert conn.execute("SELECT count(*) FROM check_in").fetchone() == (1,)
        assert conn.execute("SELECT count(*) FROM dirty_mark WHERE reason = 'check_in'").fetchone() == (1,)


def test_a_key_that_stands_for_another_check_in_is_refused(chain: Services, li: Scope, member_id: UUID) -> None:
    consents = standard_consents("zh", marketing=False)
    other = chain.membership.enrol(li, NewMember("李明", "13912340002", "S01", consents)).member_id
    chain.visits.check_in(li, "S01", member_id, "phone", "a")
    with pytest.raises(Conflict, match="another check-in"):
        chain.visits.check_in(li, "S01", other, "phone", "a")


def test_a_receipt_and_a_check_in_of_a_day_are_one_visit(
    chain: Services, li: Scope, member_id: UUID, clock: TurnedClock
) -> None:
    chain.visits.check_in(li, "S01", member_id, "card", "a")
    chain.sales.post_receipts(
        SYSTEM,
        [
            NewReceipt(
                store_id="S01",
                receipt_no="R1",
                kind="sale",
                at=clock() + timedelta(minutes=-20),
                gross=Decimal("88.00"),
                currency="CNY",
                member=MemberOf(id=str(member_id)),
            )
        ],
    )
    (visit,) = chain.visits.visits(li, member_id)
    assert (visit.checked_in, visit.bought) == (True, True)
    assert visit.last_at - visit.first_at == timedelta(minutes=20)


def test_a_business_day_ends_when_the_stores_does(
    chain: Services, li: Scope, member_id: UUID, clock: TurnedClock
) -> None:
    # Half past midnight in Shanghai, and the store's day began at its own hour.
    start, end = chain.stores.calendar(li, "S01").bounds(date(2026, 11, 20))
    clock.now = end
    chain.visits.check_in(li, "S01", member_id, "phone", "before", at=end - timedelta(seconds=1))
    chain.visits.check_in(li, "S01", member_id, "phone", "after", at=end)
    assert [visit.day for visit in chain.visits.visits(li, member_id)] == [date(2026, 11, 21), date(2026, 11, 20)]
    assert start < end


def test_a_check_in_makes_the_conversion_of_members(
    chain: Services, li: Scope, member_id: UUID, clock: TurnedClock
) -> None:
    chain.kpi.set_setting(SYSTEM, "takes_check_ins", Decimal(1), date(2026, 11, 1), "S01")
    consents = standard_consents("zh", marketing=False)
    buyer = chain.membership.enrol(li, NewMember("李明", "13912340002", "S01", consents)).member_id
    chain.visits.check_in(li, "S01", member_id, "phone", "a", at=clock() - timedelta(hours=1))
    chain.visits.check_in(li, "S01", buyer, "phone", "b", at=clock() - timedelta(hours=1))
    chain.sales.post_receipts(
        SYSTEM,
        [
            NewReceipt(
                store_id="S01",
                receipt_no="R1",
                kind="sale",
                at=clock() - timedelta(minutes=30),
                gross=Decimal("88.00"),
                currency="CNY",
                member=MemberOf(id=str(buyer)),
            )
        ],
    )
    facts = chain.kpi.day(SYSTEM, "S01", date(2026, 11, 20)).facts
    assert (facts.member_visits, facts.member_buyers) == (2, 1)


def test_who_may_and_what_is_refused(
    chain: Services, li: Scope, member_id: UUID, scope_of: Callable[[str], Scope], clock: TurnedClock
) -> None:
    with pytest.raises(Forbidden):
        chain.visits.check_in(scope_of("desk2"), "S01", member_id, "phone", "a")
    with pytest.raises(NotFound):
        chain.visits.check_in(li, "S01", uuid4(), "phone", "a")
    for at in (clock() + timedelta(hours=1), clock() - timedelta(days=32), clock().replace(tzinfo=None)):
        with pytest.raises(InvalidInput):
            chain.visits.check_in(li, "S01", member_id, "phone", "a", at=at)
    with pytest.raises(InvalidInput):
        chain.visits.check_in(li, "S01", member_id, "phone", "")
    assert chain.visits.visits(li, member_id) == []


def test_whoever_says_a_number_or_shows_a_card_is_checked_in(chain: Services, li: Scope, member_id: UUID) -> None:
    card = chain.membership.member(li, member_id).card_no
    for key, told in (("a", "139 1234 0001"), ("b", card)):
        assert chain.visits.check_in_as_told(li, "S01", told, chain.clock(), key) == member_id
    with pytest.raises(NotFound):
        chain.visits.check_in_as_told(li, "S01", "13912349999", chain.clock(), "c")


def test_over_the_api(sign_in: Callable[[str], TestClient], member_id: UUID) -> None:
    browser = sign_in("desk")
    body = {"store": "S01", "how": "qr", "key": "k1"}
    made = browser.post(f"/api/v1/members/{member_id}/check-ins", json=body)
    assert made.status_code == 201, made.text
    assert made.json()["is_first"] is True
    visits = browser.get(f"/api/v1/members/{member_id}/visits").json()
    assert [(visit["store_id"], visit["checked_in"]) for visit in visits] == [("S01", True)]
