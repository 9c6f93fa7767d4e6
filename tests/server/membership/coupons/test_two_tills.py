"""Whatever two tills do with coupons, at once or in turn: each is used once, no more are out than may be.

The machine issues, redeems and gives sales back, two at the same moment over connections of their own. What two did at
once must be what they would have done one after the other, in one of the two orders.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from functools import partial
from uuid import UUID

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from server.errors import DoorlineError
from server.membership.coupons.models import Coupon, CouponRefused, Definition
from server.membership.coupons.occasions import post
from server.sales.models import NewReceipt
from server.services import Services, make_services
from tests.fixtures.searching import searched
from tests.server.conftest import SYSTEM
from tests.server.membership.coupons.counter import basket, define, key

MOST = 3
RECEIPTS = st.integers(0, 2)
WHICH = st.integers(0, 30)
#: What an action came to: ``issued``, ``used``, or the code of its refusal.
Outcome = str


@dataclass(frozen=True)
class Model:
    """Coupons by id with their definition's place, receipts with what was used on them, and sales given back."""

    coupons: dict[UUID, int] = field(default_factory=dict)
    used: dict[UUID, int] = field(default_factory=dict)
    spent: frozenset[UUID] = frozenset()

    def issue(self, place: int) -> Outcome:
        out = sum(each == place for each in self.coupons.values())
        return "coupons_used_up" if place == 0 and out >= MOST else "issued"

    def redeem(self, coupon: UUID, receipt: int) -> tuple[Outcome, "Model"]:
        if coupon in self.used or coupon in self.spent:
            return "redeemed", self
        beside = [self.coupons[each] for each, on in self.used.items() if on == receipt]
        place = self.coupons[coupon]
        # The last definition goes alone, the others beside others; the first beside its own, too.
        if beside and (place == 2 or 2 in beside):
            return "alone", self
        if place == 1 and 1 in beside:
            return "same_again", self
        return "used", replace(self, used={**self.used, coupon: receipt})

    def give_back(self, receipt: int) -> "Model":
        """The second definition forfeits: used for good."""
        gone = {each for each, on in self.used.items() if on == receipt}
        lost = {each for each in gone if self.coupons[each] == 1}
        left = {each: on for each, on in self.used.items() if each not in gone}
        return replace(self, used=left, spent=self.spent | lost)


class Tills(RuleBasedStateMachine):
    """Two tills; the services over two pools are set by the test."""

    tills: tuple[Services, Services]

    @initialize()
    def begin(self) -> None:
        services = self.tills[0]
        self.definitions: list[Definition] = [
            define(services, stacking="any", most_in_all=MOST),
            define(services, stacking="others", on_refund="forfeit"),
            define(services, stacking="alone"),
        ]
        self.coupons: list[Coupon] = []
        self.model = Model()
        self.receipts = [f"R{key()}" for _ in range(3)]

    @rule(places=st.lists(st.integers(0, 2), min_size=1, max_size=2))
    def issue(self, places: list[int]) -> None:
        found = self._at_once([partial(self._issued, till, place) for till, place in enumerate(places)])
        for place, got in sorted(zip(places, found, strict=True), key=lambda each: isinstance(each[1], DoorlineError)):
            if isinstance(got, Coupon):
                assert self.model.issue(place) == "issued", "more are out than may be"
                self.coupons.append(got)
                self.model = replace(self.model, coupons={**self.model.coupons, got.coupon_id: place})
            else:
                assert self.model.issue(place) == _outcome(got)

    @precondition(lambda self: self.coupons)
    @rule(one=WHICH, other=WHICH, first=RECEIPTS, second=RECEIPTS)
    def redeem_two_at_once(self, one: int, other: int, first: int, second: int) -> None:
        asked = [(self._pick(one), first), (self._pick(other), second)]
        found = self._at_once(
            [
                partial(self._redeemed, till, coupon, self.receipts[receipt])
                for till, (coupon, receipt) in enumerate(asked)
            ]
        )
        seen = [_outcome(each) for each in found]
        for place in (0, 1):
            outcomes = ["", ""]
            outcomes[place], model = self.model.redeem(asked[place][0].coupon_id, asked[place][1])
            outcomes[1 - place], model = model.redeem(asked[1 - place][0].coupon_id, asked[1 - place][1])
            if outcomes == seen:
                self.model = model
                return
        raise AssertionError(f"{asked} came to {seen}: in neither order would they have")

    @precondition(lambda self: self.coupons)
    @rule(receipt=RECEIPTS, is_void=st.booleans())
    def give_the_sale_back(self, receipt: int, is_void: bool) -> None:
        """The sale and what takes it back come at once, in that order or the other, as receipts do."""
        services, number = self.tills[1], self.receipts[receipt]
        made = {"store_id": "S01", "at": services.clock() - timedelta(minutes=1)}
        back = {"kind": "void"} if is_void else {"kind": "refund", "gross": Decimal(100)}
        services.sales.post_receipts(
            SYSTEM,
            [
                NewReceipt(**made, **back, receipt_no=f"B{number}", refers_to=number),  # type: ignore[arg-type]
                NewReceipt(**made, receipt_no=number, gross=Decimal(100)),  # type: ignore[arg-type]
            ],
        )
        self._at_once([lambda: post(self.tills[0].db), lambda: post(services.db)])
        post(services.db)
        self.model = self.model.give_back(receipt)
        self.receipts[receipt] = f"R{key()}"

    @invariant()
    def each_is_used_once_and_is_what_the_rules_say(self) -> None:
        if not hasattr(self, "model"):
            return
        with self.tills[0].db.read() as conn:
            states = dict(
                conn.execute(
                    "SELECT coupon_id, state FROM coupon WHERE definition_id = ANY(%s)",
                    ([each.definition_id for each in self.definitions],),
                ).fetchall()
            )
            standing = conn.execute(
                """
                SELECT coupon_id, count(*) FROM coupon_redemption
                WHERE coupon_id = ANY(%s) AND undone_at IS NULL GROUP BY coupon_id
                """,
                (list(states),),
            ).fetchall()
        expected = {
            each: "redeemed" if each in self.model.used or each in self.model.spent else "open"
            for each in self.model.coupons
        }
        assert states == expected
        assert dict(standing) == {each: 1 for each, found in expected.items() if found == "redeemed"}

    # -- inside

    def _pick(self, number: int) -> Coupon:
        return self.coupons[number % len(self.coupons)]

    def _issued(self, till: int, place: int) -> object:
        services = self.tills[till]
        return self._tried(lambda: services.coupons.issue(SYSTEM, self.definitions[place].definition_id, None, key()))

    def _redeemed(self, till: int, coupon: Coupon, receipt: str) -> object:
        bought = basket(("A", "100"))
        return self._tried(lambda: self.tills[till].coupons.redeem(SYSTEM, str(coupon.code), bought, receipt, key()))

    def _tried(self, work: Callable[[], object]) -> object:
        try:
            return work()
        except DoorlineError as error:
            return error

    def _at_once(self, work: Sequence[Callable[[], object]]) -> list[object]:
        together, found = threading.Barrier(len(work)), dict[int, object]()

        def go(place: int, task: Callable[[], object]) -> None:
            together.wait(20)
            found[place] = task()

        threads = [threading.Thread(target=go, args=each) for each in enumerate(work)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(found) == len(work), "a till got no answer"
        return [found[place] for place in range(len(work))]


def _outcome(found: object) -> Outcome:
    if isinstance(found, CouponRefused):
        return (found.detail or {})["reason"]
    return found.code if isinstance(found, DoorlineError) else "used"


@pytest.fixture
def two_tills(chain: Services) -> Iterator[tuple[Services, Services]]:
    """The same database over two pools of connections."""
    with make_services(chain.settings, chain.clock) as other:
        yield chain, other


# The pool's threads draw random numbers for their jitter, which hypothesis takes for ours.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")
def test_whatever_two_tills_do_a_coupon_is_used_once(two_tills: tuple[Services, Services]) -> None:
    class Real(Tills):
        tills = two_tills

    run_state_machine_as_test(Real, settings=searched(6, 8))
