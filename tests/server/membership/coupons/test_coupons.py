"""Coupons over a real database: issued once for a reason, redeemed once, given back with the sale."""

import threading
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from decimal import Decimal
from functools import partial
from threading import Event as Flag
from uuid import UUID, uuid4

import pytest
from fastapi.testclient import TestClient

from server import events
from server.access.models import Scope
from server.errors import Conflict, DoorlineError, Forbidden, InvalidInput, NotFound
from server.events.models import NewEvent
from server.membership.coupons import codes
from server.membership.coupons.models import Coupon, CouponRefused, Redemption, UsedUp
from server.membership.coupons.occasions import CouponNights, post
from server.membership.coupons.rights import CouponRights
from server.membership.crypto import MemberKeys
from server.sales.models import MemberOf, NewReceipt
from server.services import Services
from tests.server.conftest import SECRET, SYSTEM, TurnedClock
from tests.server.membership.coupons.counter import basket, define, enrol, key, redeem

D = Decimal
ScopeOf = Callable[[str], Scope]


def give(services: Services, definition_id: int, member: UUID | None = None) -> Coupon:
    return services.coupons.issue(SYSTEM, definition_id, member, key())


def state(services: Services, coupon: Coupon) -> str:
    with services.db.read() as conn:
        row = conn.execute("SELECT state FROM coupon WHERE coupon_id = %s", (coupon.coupon_id,)).fetchone()
    assert row is not None
    return str(row[0])


def sell(services: Services, number: str, gross: str | None = "100", **more: object) -> None:
    total = None if gross is None else D(gross)
    fields = {"store_id": "S01", "receipt_no": number, "at": services.clock(), "gross": total, **more}
    result = services.sales.post_receipts(SYSTEM, [NewReceipt(**fields)])  # type: ignore[arg-type]
    assert result.accepted == 1


def test_a_coupon_is_quoted_redeemed_and_then_used(chain: Services, scope_of: ScopeOf, clock: TurnedClock) -> None:
    member = enrol(chain)
    made = chain.coupons.issue(scope_of("desk"), define(chain).definition_id, member, "one")
    assert chain.coupons.issue(scope_of("desk"), made.definition_id, member, "one") == made
    assert (made.valid_from, made.valid_until) == (clock.now, clock.now + timedelta(days=30))
    assert chain.coupons.of_member(SYSTEM, member) == [made]
    spoken = codes.spoken(str(made.code)).lower()
    asked = chain.coupons.quote(scope_of("desk"), spoken, basket(("A", "50")))
    assert (asked.discount, asked.refusal, asked.title["en"]) == (D(20), None, "20 off")
    till = chain.access.api_key(chain.access.create_api_key(SYSTEM, "till", "till", ["S01"]))
    used = chain.coupons.redeem(till, spoken, basket(("A", "50")), "R1", "t1")
    assert (used.discount, used.receipt_no, used.at) == (D(20), "R1", clock.now)
    assert chain.coupons.redeem(till, spoken, basket(("A", "50.00")), "R1", "t1") == used
    with pytest.raises(Conflict, match="another redemption"):
        chain.coupons.redeem(till, spoken, basket(("A", "51")), "R1", "t1")
    with pytest.raises(CouponRefused) as refused:
        redeem(chain, made, "R2")
    assert refused.value.detail == {"reason": "redeemed", "coupon_id": str(made.coupon_id)}
    assert chain.coupons.of_member(SYSTEM, member) == []
    assert [each.state for each in chain.coupons.of_member(SYSTEM, member, only_open=False)] == ["redeemed"]
    with pytest.raises(Forbidden):
        chain.coupons.quote(till, spoken, basket(("A", "50"), store="S02"))
    with pytest.raises(InvalidInput, match="no coupon's code"):
        chain.coupons.quote(till, spoken[:-1] + ("0" if spoken[-1] != "0" else "1"), basket(("A", "50")))
    with pytest.raises(NotFound):
        chain.coupons.quote(till, codes.new_code(), basket(("A", "50")))


def test_no_more_are_issued_than_may_be(chain: Services, scope_of: ScopeOf) -> None:
    one, other = enrol(chain), enrol(chain, "13900139000")
    few = define(chain, most_per_member=1, most_in_all=2).definition_id
    first = give(chain, few, one)
    with pytest.raises(UsedUp, match="this member"):
        give(chain, few, one)
    give(chain, few, other)
    with pytest.raises(UsedUp, match="all 2"):
        give(chain, few)
    chain.coupons.void(scope_of("manager"), first.coupon_id, "a mistake")
    assert chain.coupons.void(scope_of("manager"), first.coupon_id, "again").why == "a mistake"
    give(chain, few, one)
    chain.coupon_definitions.end(SYSTEM, few)
    with pytest.raises(UsedUp, match="no more"):
        give(chain, few)
    with pytest.raises(NotFound):
        give(chain, define(chain).definition_id, uuid4())
    with pytest.raises(Forbidden):
        chain.coupons.issue(scope_of("desk"), define(chain).definition_id, None, key())


def test_many_desks_that_issue_the_last_ones_at_once_issue_no_more(chain: Services) -> None:
    few = define(chain, most_in_all=2).definition_id
    made, refused = _at_once([lambda: give(chain, few) for _ in range(5)])
    assert (len(made), len(refused)) == (2, 3)


def test_of_many_tills_with_one_code_one_gets_the_discount(chain: Services) -> None:
    coupon = give(chain, define(chain).definition_id)
    tills = [partial(redeem, chain, coupon, f"R{till}") for till in range(5)]
    done, refused = _at_once(tills)
    assert (len(done), len(refused)) == (1, 4)
    assert all(isinstance(each, CouponRefused) for each in refused)


def test_coupons_that_exclude_each_other_are_not_both_redeemed_at_once(chain: Services) -> None:
    loner = give(chain, define(chain, stacking="alone").definition_id)
    coupons = [loner, *(give(chain, define(chain).definition_id) for _ in range(2))]
    done, refused = _at_once([partial(redeem, chain, each, "R1") for each in coupons])
    used = {each.coupon_id for each in done if isinstance(each, Redemption)}
    assert used in ({loner.coupon_id}, {each.coupon_id for each in coupons[1:]})
    assert len(refused) == 3 - len(used)


def _at_once(work: Sequence[Callable[[], object]]) -> tuple[list[object], list[DoorlineError]]:
    together, done, refused = threading.Barrier(len(work)), list[object](), list[DoorlineError]()

    def go(task: Callable[[], object]) -> None:
        together.wait(20)
        try:
            done.append(task())
        except DoorlineError as error:
            refused.append(error)

    threads = [threading.Thread(target=go, args=(task,)) for task in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return done, refused


def test_a_whole_refund_gives_the_coupon_back_by_its_rule_in_any_order(chain: Services, clock: TurnedClock) -> None:
    orders = ("sale, use, refund", "use, refund, sale", "refund, sale, use", "sale, use, void")
    definitions = {rule: define(chain, on_refund=rule).definition_id for rule in ("restore", "forfeit")}
    for case, (order, rule) in enumerate((order, rule) for order in orders for rule in definitions):
        coupon, number = give(chain, definitions[rule]), f"R{case}"
        for step in order.split(", "):
            match step:
                case "sale":
                    sell(chain, number, "80")
                case "use":
                    redeem(chain, coupon, number)
                case "refund":
                    sell(chain, f"F{case}", "50", kind="refund", refers_to=number)
                    post(chain.db, clock)
                    sell(chain, f"G{case}", "30", kind="refund", refers_to=number)
                case _:
                    sell(chain, f"V{case}", None, kind="void", refers_to=number)
            post(chain.db, clock)
        assert state(chain, coupon) == ("open" if rule == "restore" else "redeemed"), (order, rule)
        if rule == "restore":
            redeem(chain, coupon, f"again {case}")
            assert state(chain, coupon) == "redeemed"
    assert post(chain.db, clock) == 0


def test_a_redemption_made_by_mistake_is_taken_back_once_and_the_coupon_holds_again(
    chain: Services, scope_of: ScopeOf, clock: TurnedClock
) -> None:
    member, desk = enrol(chain), scope_of("desk")
    coupon = give(chain, define(chain, on_refund="forfeit").definition_id, member)
    made, began = redeem(chain, coupon, "R1"), clock.now
    assert chain.coupon_redemptions.of_member(desk, member, began) == [made]
    away = Scope("u9", "desk", frozenset({"S02"}), name="away")
    assert chain.coupon_redemptions.of_member(away, member, began) == [], "a sister shop's is its own"
    with pytest.raises(NotFound):
        chain.coupon_redemptions.take_back(away, made.redemption_id, "k-1", "wrong member")
    with pytest.raises(InvalidInput, match="reason"):
        chain.coupon_redemptions.take_back(desk, made.redemption_id, "k-1", " ")
    clock.turn(minutes=5)
    undone = chain.coupon_redemptions.take_back(desk, made.redemption_id, "k-1", " wrong member ")
    assert undone.undone_at == clock.now
    clock.turn(minutes=5)
    assert chain.coupon_redemptions.take_back(desk, made.redemption_id, "k-1", "wrong member") == undone
    for number, key_, why in ((made.redemption_id, "k-1", "another reason"), (made.redemption_id, "k-2", "again")):
        with pytest.raises(Conflict):
            chain.coupon_redemptions.take_back(desk, number, key_, why)
    # Given back whatever the definition says of refunds; another receipt may use it, and that use is one of its own.
    assert state(chain, coupon) == "open"
    again = redeem(chain, coupon, "R2")
    with pytest.raises(Conflict, match="stands for something else"):
        chain.coupon_redemptions.take_back(desk, again.redemption_id, "k-1", "wrong member")
    trail = [each for each in chain.access.audit_trail(SYSTEM) if each.action == "coupon.take_back"]
    assert [(each.subject, each.store_id, each.detail["reason"]) for each in trail] == [
        (str(coupon.coupon_id), "S01", "wrong member")
    ]
    # One whose time is over meanwhile comes back as what it is.
    clock.turn(days=31)
    chain.coupon_redemptions.take_back(desk, again.redemption_id, "k-3", "wrong receipt")
    assert state(chain, coupon) == "expired"


def test_part_of_a_refund_gives_no_coupon_back(chain: Services, clock: TurnedClock) -> None:
    coupon = give(chain, define(chain).definition_id)
    redeem(chain, coupon, "R1")
    sell(chain, "R1", "80")
    sell(chain, "F1", "79.99", kind="refund", refers_to="R1")
    post(chain.db, clock)
    assert state(chain, coupon) == "redeemed"
    sell(chain, "F2", "0.01", kind="refund", refers_to="R1")
    post(chain.db, clock)
    assert state(chain, coupon) == "open"


def tell_tier(services: Services, member: UUID, before: str, to: str) -> None:
    with services.db.transaction() as conn:
        body = {"from": before, "to": to, "why": "earned" if to == "gold" else "period", "is_up": to == "gold"}
        events.record(conn, NewEvent("tier.changed", None, str(member), body))


def test_welcome_and_a_tier_reached_issue_once(chain: Services, clock: TurnedClock) -> None:
    hello = define(chain, issue_on="welcome", asks_consent=False).definition_id
    gold = define(chain, issue_on="tier_up", tiers=["gold"], asks_consent=False).definition_id
    quiet = define(chain, issue_on="welcome", asks_consent=True).definition_id
    loud, silent = enrol(chain), enrol(chain, "13900139000", marketing=False)
    tell_tier(chain, loud, "silver", "gold")
    tell_tier(chain, loud, "gold", "silver")
    tell_tier(chain, loud, "silver", "gold")
    post(chain.db, clock)
    assert {each.definition_id for each in chain.coupons.of_member(SYSTEM, loud)} == {hello, gold, quiet}
    assert len(chain.coupons.of_member(SYSTEM, loud)) == 3
    assert [each.definition_id for each in chain.coupons.of_member(SYSTEM, silent)] == [hello]
    with chain.db.transaction() as conn:
        conn.execute("DELETE FROM event_consumer")
    post(chain.db, clock)
    assert len(chain.coupons.of_member(SYSTEM, loud)) == 3
    with chain.db.transaction() as conn:
        told = events.take(conn, "tests", ["coupon.issued"], 10)
    may = {event.body["member_id"]: event.body["may_reach_by"] for event in told}
    assert "sms" in may[str(loud)]
    assert may[str(silent)] == []
    every = str([(event.subject, event.body) for event in told])
    assert not any(str(each.code) in every for each in chain.coupons.of_member(SYSTEM, loud))


def test_birthdays_and_who_stays_away_are_looked_for_by_night(chain: Services, clock: TurnedClock) -> None:
    born = define(chain, issue_on="birthday", days=3).definition_id
    back = define(chain, issue_on="win_back", days=60, valid_days=14).definition_id
    nights = CouponNights(chain.db, MemberKeys.from_base64(SECRET), clock)
    close, _far = enrol(chain, birthday=date(1990, 11, 23)), enrol(chain, "13900139000", birthday=date(1990, 11, 24))
    unasked = enrol(chain, "13700137000", marketing=False, birthday=date(1990, 11, 20))
    for member in (close, unasked):
        sell(chain, f"R-{member}", member=MemberOf(id=str(member)))
    assert nights.run(Flag()) == "1 coupons issued, 0 expired"
    assert nights.run(Flag()) is None
    assert [each.definition_id for each in chain.coupons.of_member(SYSTEM, close)] == [born]
    assert chain.coupons.of_member(SYSTEM, unasked) == []
    clock.turn(days=60, seconds=1)
    assert nights.run(Flag()) == "1 coupons issued, 1 expired"
    assert nights.run(Flag()) is None
    assert [each.definition_id for each in chain.coupons.of_member(SYSTEM, close)] == [back]
    # Who came back and stays away again is won back again.
    sell(chain, "back", member=MemberOf(id=str(close)))
    clock.turn(days=61)
    assert nights.run(Flag()) == "1 coupons issued, 1 expired"
    without_keys = CouponNights(chain.db, None, clock)
    assert without_keys.run(Flag()) is None


def test_an_erased_member_has_no_codes_and_the_counts_stay(chain: Services, clock: TurnedClock) -> None:
    member = enrol(chain)
    used, held = (give(chain, define(chain).definition_id, member) for _ in range(2))
    redeem(chain, used, "R1")
    part = CouponRights()
    with chain.db.transaction() as conn:
        (section,) = part.export(conn, SYSTEM, [member])
        assert {row["coupon"] for row in section.rows} == {used.code, held.code}
        before = part.balances(conn, SYSTEM, [member])
        done = part.erase(conn, SYSTEM, [member], clock.now)
        assert part.balances(conn, SYSTEM, [member]) == before == {"coupons": "2", "redeemed": "1"}
        assert part.left(conn, SYSTEM, [member]) == {"codes": 0}
    assert (done.removed, done.kept["coupons"].rows) == ({"codes": 2}, 2)
    assert state(chain, held) == "voided"


def test_coupons_over_the_api(chain: Services, sign_in: Callable[[str], TestClient]) -> None:
    path, member = "/api/v1/coupons", str(enrol(chain))
    hq = sign_in("hq")
    new = {"title": {"zh": "九折"}, "kind": "percent", "currency": "CNY", "value": "10", "valid_days": 7}
    made = hq.post(f"{path}/definitions", json=new)
    assert made.status_code == 201, made.text
    desk = sign_in("desk")
    assert desk.post(f"{path}/definitions", json=new).status_code == 403
    number = made.json()["definition_id"]
    issued = desk.post(path, json={"definition_id": number, "member_id": member, "idempotency_key": "i1"}).json()
    assert desk.get(f"{path}/members/{member}").json() == [issued]
    image = desk.get(f"{path}/{issued['coupon_id']}/qr")
    assert (image.headers["content-type"], image.content[:5]) == ("image/svg+xml", b"<?xml")
    asked = {"code": issued["code"], "store_id": "S01", "currency": "CNY", "lines": [{"sku": "A", "amount": "99.90"}]}
    assert desk.post(f"{path}/quote", json=asked).json()["discount"] == "9.99"
    used = desk.post(f"{path}/redemptions", json={**asked, "receipt_no": "R1", "idempotency_key": "u1"})
    assert (used.status_code, used.json()["discount"]) == (201, "9.99")
    again = desk.post(f"{path}/redemptions", json={**asked, "receipt_no": "R2", "idempotency_key": "u2"})
    assert (again.status_code, again.json()["error"]["detail"]["reason"]) == (409, "redeemed")
    assert sign_in("manager").post(f"{path}/{issued['coupon_id']}/void", json={"reason": "x"}).status_code == 409
    hq = sign_in("hq")
    assert hq.delete(f"{path}/definitions/{number}").status_code == 204
    assert hq.get(f"{path}/definitions").json() == []
    assert len(hq.get(f"{path}/definitions", params={"ended": True}).json()) == 1
