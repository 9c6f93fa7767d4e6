"""An erasure with every part that the server has, over HTTP: whoever may ask for it can, and its proof holds for good.

A part alone, or one made up for a test, can't show what this does: that a part refuses a role that the service lets
in, writes where a proof may only read, or changes what it signed once the events are followed.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from threading import Event
from uuid import UUID, uuid4

from fastapi.testclient import TestClient

from server.membership.coupons import occasions
from server.membership.points import posting
from server.membership.points.expiry import Expiry
from server.membership.points.rules import Rules
from server.membership.tiers.evaluation import TierRun, standings
from server.membership.tiers.rules import Level, TierRules
from server.membership.value.models import MemberCost
from server.sales.models import MemberOf, NewReceipt
from server.services import Services
from tests.server.conftest import SYSTEM, TurnedClock
from tests.server.membership.coupons.counter import define, enrol, key, redeem

#: An account that earns, has something pending, and expires some day.
POINTS = Rules(rates={"CNY": Decimal(1)}, value={"CNY": Decimal("0.01")}, return_days=3, expires_months=1)
TIERS = TierRules(levels=(Level(slug="member"), Level(slug="gold", spend=Decimal(100))))


def follow(chain: Services, clock: TurnedClock) -> None:
    """Do all that the jobs do of members."""
    posting.post(chain.db, standings, clock)
    TierRun(chain.db, clock).follow(Event())
    occasions.post(chain.db, clock)
    Expiry(chain.db, clock).run(Event())
    TierRun(chain.db, clock).run(Event())
    chain.value.make(SYSTEM, clock.now.date())


def sale(store_id: str, at: datetime, member: UUID) -> NewReceipt:
    return NewReceipt(store_id=store_id, receipt_no=key(), at=at, gross=Decimal(120), member=MemberOf(id=str(member)))


def somebody(chain: Services, clock: TurnedClock, phone: str) -> tuple[UUID, UUID]:
    """A member of whom everything is kept, in two stores, with a card that has money on it; member and card."""
    member = enrol(chain, phone)
    # One is in the ledger a while, one is pending still, and of one nobody was told yet.
    chain.sales.post_receipts(SYSTEM, [sale("S01", datetime(2026, 11, 10, 4, tzinfo=UTC), member)])
    chain.sales.post_receipts(SYSTEM, [sale("S02", clock.now, member)])
    used, unused = (chain.coupons.issue(SYSTEM, define(chain).definition_id, member, key()) for _ in range(2))
    redeem(chain, used, key())
    assert unused.code is not None
    for store_id in ("S01", "S02"):
        chain.visits.check_in(SYSTEM, store_id, member, "phone", key(), clock.now)
    chain.value.put_member_costs(SYSTEM, [MemberCost(uuid4(), member, date(2026, 11, 12), Decimal(30), "flowers")])
    chain.tiers.give(SYSTEM, member, "gold", "a friend of the house")
    card = chain.value_cards.open(SYSTEM, "S02", key(), member_id=member)
    chain.stored_value.bring_in(SYSTEM, card.card_id, "S02", Decimal(50), Decimal("12.50"), key(), "of the old system")
    follow(chain, clock)
    assert chain.points.balance(SYSTEM, member).pending
    chain.sales.post_receipts(SYSTEM, [sale("S02", clock.now, member)])
    return member, card.card_id


def test_whoever_may_erase_can_and_the_proof_holds_whatever_comes(
    chain: Services, clock: TurnedClock, sign_in: Callable[[str], TestClient]
) -> None:
    clock.turn(days=-15)
    chain.points.save_rules(SYSTEM, POINTS, "x")
    chain.tiers.save_rules(SYSTEM, TIERS, "x")
    clock.turn(days=15)
    erased: dict[str, UUID] = {}
    for place, role in enumerate(("manager", "region", "hq")):
        member, card = somebody(chain, clock, f"1390013900{place}")
        http = sign_in(role)
        refused = http.post(f"/api/v1/members/{member}/erase", json={"reason": "asked"})
        assert (refused.status_code, "50.00 CNY" in refused.text) == (409, True), refused.text
        chain.stored_value.pay_out(SYSTEM, card, "S02", Decimal(50), key(), reason="leaves")
        made = http.post(f"/api/v1/members/{member}/erase", json={"reason": "asked"})
        assert made.status_code == 201, made.text
        receipt = made.json()
        assert receipt["erased_by"] == role
        assert receipt["balances"]["visits"] == {"check_ins": "2"}
        assert receipt["balances"]["points"]["points"] == "120"
        assert receipt["balances"]["points"]["pending"] == "120"
        assert receipt["balances"]["value"] == {"costs": "30.00"}
        erased[role] = UUID(receipt["erasure_id"])
        with chain.db.read() as conn:
            assert conn.execute(
                "SELECT balance, pending, owed FROM points_account WHERE member_id = %s", (member,)
            ).fetchone() == (0, 0, 0)
    follow(chain, clock)
    clock.turn(days=60)
    follow(chain, clock)
    for role in erased:
        http = sign_in(role)
        for erasure_id in erased.values():
            proof = http.get(f"/api/v1/member-erasures/{erasure_id}/proof")
            assert proof.status_code == 200, proof.text
            assert proof.json() == {"is_ours": True, "left": {}, "balances_hold": True}
    # The ledger still sums to the accounts, which are empty.
    with chain.db.read() as conn:
        assert conn.execute("SELECT sum(points), sum(pending) FROM points_entry").fetchone() == (0, 0)
    http = sign_in("desk")
    assert http.get(f"/api/v1/member-erasures/{erased['hq']}/proof").status_code == 403
