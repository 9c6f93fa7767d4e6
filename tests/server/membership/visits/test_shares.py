"""Members' share of traffic and sales: by the tier of the time, a person once a day, withheld where nobody counts."""

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from fastapi.testclient import TestClient

from server.access.models import Scope
from server.errors import Forbidden, InvalidInput, NotFound
from server.kpi.service import KpiService
from server.membership.models import NewMember
from server.membership.tiers.rules import Level, TierRules
from server.membership.visits.shares import MemberShares
from server.membership.wording import standard_consents
from server.sales.models import MemberOf, NewReceipt
from server.services import Services
from tests.server.conftest import SYSTEM, TurnedClock

TODAY = date(2026, 11, 20)


def _sell(chain: Services, clock: TurnedClock, number: str, gross: str, member: UUID | None = None) -> None:
    who = None if member is None else MemberOf(id=str(member))
    receipt = NewReceipt(
        store_id="S01", receipt_no=number, kind="sale", at=clock(), gross=Decimal(gross), currency="CNY", member=who
    )
    assert chain.sales.post_receipts(SYSTEM, [receipt]).accepted == 1


@pytest.fixture
def busy(chain: Services, clock: TurnedClock, scope_of: Callable[[str], Scope]) -> tuple[UUID, UUID]:
    """Two members: one bought twice on a day, rising in between, and came again; the other came and bought nothing."""
    desk = scope_of("desk")
    consents = standard_consents("zh", marketing=False)
    levels = (Level(slug="member"), Level(slug="gold"))
    chain.tiers.save_rules(SYSTEM, TierRules(levels=levels), "tests")
    risen, looked = (
        chain.membership.enrol(desk, NewMember(name, phone, "S01", consents)).member_id
        for name, phone in (("王芳", "13912340001"), ("李明", "13912340002"))
    )
    _sell(chain, clock, "R1", "100.00", risen)
    _sell(chain, clock, "R2", "300.00")
    chain.visits.check_in(desk, "S01", looked, "phone", "a")
    clock.turn(hours=1)
    _sell(chain, clock, "R3", "50.00", risen)
    clock.turn(hours=23)
    chain.tiers.give(SYSTEM, risen, "gold", "tests")
    clock.turn(minutes=1)
    _sell(chain, clock, "R4", "550.00", risen)
    clock.turn(minutes=5)
    for day in range(2):
        chain.kpi.recompute("S01", TODAY + timedelta(days=day))
    return risen, looked


def test_visits_count_for_the_tier_of_the_time_and_a_person_once_a_day(
    chain: Services, busy: tuple[UUID, UUID], scope_of: Callable[[str], Scope]
) -> None:
    (store,) = chain.member_shares.shares(scope_of("manager"), TODAY, TODAY + timedelta(days=1), ["S01"])
    assert (store.transactions, store.sales) == (4, Decimal("1000.00"))
    gold, plain = store.tiers
    assert (gold.tier, gold.visits, gold.buyers, gold.transactions, gold.sales) == ("gold", 1, 1, 1, Decimal("550.00"))
    assert (plain.tier, plain.members, plain.visits, plain.buyers) == ("member", 2, 2, 1)
    assert (plain.transactions, plain.sales) == (2, Decimal("150.00"))
    both = store.members
    assert (both.members, both.visits, both.buyers, both.transactions) == (2, 3, 2, 3)
    assert (both.transaction_share, both.sales_share) == (Decimal("0.750000"), Decimal("0.700000"))
    # No camera watched this door: how many came is not known, and so is their share.
    assert store.withheld is not None
    assert both.traffic_share is None


def test_whose_card_became_anothers_is_one_visitor(
    chain: Services, busy: tuple[UUID, UUID], scope_of: Callable[[str], Scope]
) -> None:
    risen, looked = busy
    chain.members.merging.merge(SYSTEM, risen, looked, "one person")
    (store,) = chain.member_shares.shares(SYSTEM, TODAY, TODAY + timedelta(days=1), ["S01"])
    assert (store.members.members, store.members.visits, store.members.buyers) == (1, 2, 2)


def test_shares_of_older_numbers_say_of_which_moment_they_are(
    chain: Services, busy: tuple[UUID, UUID], clock: TurnedClock
) -> None:
    """As of a chain too large to be computed for a question: today as it was kept, and what came to yesterday waits."""
    kept_at = clock()
    with chain.db.transaction() as conn:
        conn.execute("DELETE FROM dirty_mark")
    _sell(chain, clock, "R5", "10.00")
    clock.turn(minutes=30)
    large = MemberShares(chain.db, chain.stores, KpiService(chain.db, chain.stores, clock, on_the_spot=0))
    (old,) = large.shares(SYSTEM, TODAY, TODAY + timedelta(days=1), ["S01"])
    assert (old.as_of, old.pending, old.sales) == (kept_at, 0, Decimal("1000.00"))
    (new,) = chain.member_shares.shares(SYSTEM, TODAY, TODAY + timedelta(days=1), ["S01"])
    assert (new.as_of, new.pending, new.sales) == (clock(), 0, Decimal("1010.00"))
    # Ten days on a till sends what it sold on the first of these: the row is of then, and does not have it.
    late = NewReceipt(store_id="S01", receipt_no="R6", kind="sale", at=kept_at - timedelta(days=1), gross=Decimal(5))
    clock.turn(hours=240)
    assert chain.sales.post_receipts(SYSTEM, [late]).accepted == 1
    (later,) = large.shares(SYSTEM, TODAY, TODAY, ["S01"])
    assert (later.pending, later.sales) == (1, Decimal("450.00"))


def test_what_cant_be_asked_is_refused(
    chain: Services, scope_of: Callable[[str], Scope], sign_in: Callable[[str], TestClient]
) -> None:
    shares = chain.member_shares.shares
    with pytest.raises(Forbidden):
        shares(scope_of("manager"), TODAY, TODAY, ["B01"])
    with pytest.raises(Forbidden):
        shares(scope_of("desk"), TODAY, TODAY)
    with pytest.raises(NotFound):
        shares(SYSTEM, TODAY, TODAY, ["nowhere"])
    with pytest.raises(InvalidInput, match="wrong way round"):
        shares(SYSTEM, TODAY, TODAY - timedelta(days=1))
    with pytest.raises(InvalidInput, match="too many"):
        shares(SYSTEM, date(1950, 1, 1), TODAY)
    answer = sign_in("manager").get("/api/v1/member-shares", params={"from": "2026-11-20", "to": "2026-11-20"})
    assert answer.status_code == 200, answer.text
    assert [each["store_id"] for each in answer.json()] == ["S01"]
