"""Points under any interleaving: tills, two desks at once, merges, time and the nightly run, on a real PostgreSQL.

Two things at once are two threads with connections of their own, let go together. After every step balance, ledger and
lots must agree; and whenever everything told has been posted, what all members together have must be what their sales
still earn, by a sum made here that knows nothing of lots.

A longer search: pytest --hypothesis-profile=long tests/server/membership/points/test_points_machine.py
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import ROUND_DOWN, Decimal
from functools import partial
from threading import Barrier, Event, Thread
from typing import Any
from uuid import uuid4

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from server.access.models import Scope
from server.errors import Conflict, DoorlineError
from server.membership.models import MemberRef
from server.membership.points.adjustments import Adjustments
from server.membership.points.expiry import Expiry
from server.membership.points.models import NotEnough, Redemption
from server.membership.points.posting import post
from server.membership.points.rules import Rules
from server.storage.pool import Database
from tests.fixtures.searching import searched
from tests.server.conftest import SYSTEM, TurnedClock
from tests.server.membership.points.counter import CNY, Till, add_member, add_stores, assert_proved, points_of
from tests.server.membership.points.counter import rule as save_rules

_BOSS = Scope("u1", "admin", None, name="boss")
_members = st.integers(0, 2)
_points = st.integers(1, 120)
_amounts = st.decimals(min_value="0.01", max_value="150", places=2)


@dataclass
class Sale:
    """What was told of a sale."""

    gross: Decimal
    refunds: dict[str, Decimal] = field(default_factory=dict)
    voided: set[str] = field(default_factory=set)

    def stands(self, number: str) -> int:
        """Points that it still earns at a point a yuan."""
        if number in self.voided:
            return 0
        back = sum((gross for refund, gross in self.refunds.items() if refund not in self.voided), Decimal(0))
        return int(max(Decimal(0), self.gross - back).to_integral_value(ROUND_DOWN))


class Shop(RuleBasedStateMachine):
    """Three members, a till, and desks."""

    def __init__(self, db: Database, clock: TurnedClock) -> None:
        super().__init__()
        self.db, self.clock = db, clock
        self.points, self.adjustments = points_of(db, clock), Adjustments(db, clock)
        self.till = Till(db, clock)
        self.members = [add_member(db) for _ in range(3)]
        self.into: dict[int, int] = {}
        self.sales: dict[str, Sale] = {}
        self.redemptions: dict[int, tuple[MemberRef, int, str, Redemption]] = {}
        self.spent = self.given = 0

    # -- one after the other

    @rule(member=_members, gross=_amounts, days_ago=st.integers(0, 45))
    def sell(self, member: int, gross: Decimal, days_ago: int) -> None:
        number = f"R-{uuid4().hex[:12]}"
        self.sales[number] = Sale(gross)
        at = self.clock.now - timedelta(days=days_ago)
        self.till.tell(number, self.members[member], str(gross), at=at)

    @precondition(lambda self: self.sales)
    @rule(data=st.data(), gross=_amounts)
    def refund(self, data: Any, gross: Decimal) -> None:
        sale = data.draw(st.sampled_from(sorted(self.sales)))
        number = f"F-{uuid4().hex[:12]}"
        self.sales[sale].refunds[number] = gross
        self.till.tell(number, None, str(gross), kind="refund", refers_to=sale)

    @precondition(lambda self: self.sales)
    @rule(data=st.data())
    def void(self, data: Any) -> None:
        sale = data.draw(st.sampled_from(sorted(self.sales)))
        number = data.draw(st.sampled_from([sale, *self.sales[sale].refunds]))
        self.sales[sale].voided.add(number)
        self.till.tell(f"V-{uuid4().hex[:12]}", None, "0", kind="void", refers_to=number)

    @rule(limit=st.integers(1, 3))
    def post_some(self, limit: int) -> None:
        post(self.db, clock=self.clock, limit=limit)

    @rule(days=st.integers(1, 20), runs=st.booleans())
    def days_go_by(self, days: int, runs: bool) -> None:
        self.clock.turn(days=days)
        if runs:
            Expiry(self.db, self.clock, batch=2).run(Event())

    @rule(member=_members, points=st.integers(-80, 80).filter(bool))
    def adjust(self, member: int, points: int) -> None:
        try:
            self.adjustments.adjust(_BOSS, self.members[member], points, "a test", uuid4().hex)
        except NotEnough:
            assert points < 0
            assert -points > self._balance(member)
        else:
            self.given += points

    @precondition(lambda self: self.redemptions)
    @rule(data=st.data(), twice=st.booleans())
    def take_back(self, data: Any, twice: bool) -> None:
        entry_id = data.draw(st.sampled_from(sorted(self.redemptions)))
        keys = [uuid4().hex, uuid4().hex] if twice else [uuid4().hex]
        answers = self._at_once([partial(self.points.void, SYSTEM, entry_id, key, "a test") for key in keys])
        assert sum(not isinstance(answer, Conflict) for answer in answers) == 1, "once, whoever was first"
        *_, redemption = self.redemptions.pop(entry_id)
        self.spent += redemption.entry.points

    @precondition(lambda self: self.redemptions)
    @rule(data=st.data())
    def ask_again(self, data: Any) -> None:
        member, points, key, redemption = self.redemptions[data.draw(st.sampled_from(sorted(self.redemptions)))]
        assert self.points.redeem(SYSTEM, "S01", member, points, key) == redemption

    @rule(kept=_members, gone=_members)
    def merge(self, kept: int, gone: int) -> None:
        if kept != gone and kept not in self.into and gone not in self.into:
            self.into[gone] = kept
            self.till.merge(self.members[kept], self.members[gone])

    @precondition(lambda self: self.into)
    @rule(data=st.data())
    def part(self, data: Any) -> None:
        gone = data.draw(st.sampled_from(sorted(self.into)))
        self.till.part(self.members[self.into.pop(gone)], self.members[gone])

    # -- at once

    @rule(member=_members, first=_points, second=_points)
    def two_desks(self, member: int, first: int, second: int) -> None:
        before = self._balance(member)
        done = self._redeem_at_once([(member, first), (member, second)], None)
        assert sum(done) <= max(0, before)
        if min(first, second) <= before:
            assert done, "one of them had enough before it"
        if first + second <= before:
            assert len(done) == 2

    @rule(member=_members, points=_points, other=_members)
    def a_desk_while_receipts_are_posted(self, member: int, points: int, other: int) -> None:
        self._redeem_at_once([(member, points), (other, points)], lambda: post(self.db, clock=self.clock))

    @rule(member=_members, points=_points)
    def a_desk_during_the_nightly_run(self, member: int, points: int) -> None:
        before = self._balance(member)
        done = self._redeem_at_once([(member, points)], lambda: Expiry(self.db, self.clock).run(Event()))
        assert bool(done) == (points <= before), "the run changes nothing for who is at the desk"

    @rule(member=_members, points=_points)
    def one_desk_asks_twice_at_once(self, member: int, points: int) -> None:
        ref, key = self._ref(member), uuid4().hex
        answers = self._at_once([lambda: self.points.redeem(SYSTEM, "S01", ref, points, key)] * 2)
        done = [each for each in answers if isinstance(each, Redemption)]
        assert len(done) in {0, 2}
        if done:
            assert done[0] == done[1]
            self._note(ref, points, key, done[0])

    # -- what must hold

    @invariant()
    def balance_ledger_and_lots_agree(self) -> None:
        assert_proved(self.db)

    @rule()
    def all_have_what_their_sales_earn(self) -> None:
        self.till.post()
        with self.db.read() as conn:
            row = conn.execute(
                """
                SELECT coalesce(sum(balance + pending), 0),
                       (SELECT coalesce(sum(-e.points), 0) FROM points_entry e
                        WHERE e.kind = 'expire' AND e.member_id = ANY(%(members)s)),
                       (SELECT coalesce(sum(m.absorbed), 0) FROM points_movement m JOIN points_entry e USING (entry_id)
                        WHERE e.member_id = ANY(%(members)s))
                FROM points_account WHERE member_id = ANY(%(members)s)
                """,
                {"members": self.members},
            ).fetchone()
        assert row is not None
        have, expired, absorbed = row
        stands = sum(sale.stands(number) for number, sale in self.sales.items())
        assert have == stands + self.given - self.spent - (expired - absorbed)

    def teardown(self) -> None:
        self.all_have_what_their_sales_earn()
        assert_proved(self.db)

    # -- inside

    def _ref(self, member: int) -> MemberRef:
        return MemberRef(id=str(self.members[member]))

    def _balance(self, member: int) -> int:
        return self.points.balance(SYSTEM, self.members[member]).balance

    def _redeem_at_once(self, wanted: list[tuple[int, int]], beside: Callable[[], Any] | None) -> list[int]:
        asked = [(self._ref(member), points, uuid4().hex) for member, points in wanted]
        calls: list[Callable[[], Any]] = [
            partial(self.points.redeem, SYSTEM, "S01", ref, points, key) for ref, points, key in asked
        ]
        answers = self._at_once(calls if beside is None else [*calls, beside])
        for (ref, points, key), answer in zip(asked, answers, strict=False):
            if isinstance(answer, Redemption):
                self._note(ref, points, key, answer)
            else:
                assert isinstance(answer, NotEnough)
        return [answer.entry.points * -1 for answer in answers if isinstance(answer, Redemption)]

    def _note(self, ref: MemberRef, points: int, key: str, redemption: Redemption) -> None:
        self.redemptions[redemption.entry.entry_id] = (ref, points, key, redemption)
        self.spent += points

    def _at_once(self, calls: list[Callable[[], Any]]) -> list[Any]:
        """What each answers or is refused with; all are let go together. Anything else than a refusal is a fault."""
        answers: list[Any] = [None] * len(calls)
        faults: list[Exception] = []
        gate = Barrier(len(calls))

        def run(place: int) -> None:
            gate.wait(60)
            try:
                answers[place] = calls[place]()
            except DoorlineError as error:
                answers[place] = error
            except Exception as error:  # noqa: BLE001 - shown by the assertion below
                faults.append(error)

        threads = [Thread(target=run, args=(place,)) for place in range(len(calls))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        assert not faults, faults
        return answers


def _search(db: Database, rules: Rules) -> None:
    clock = TurnedClock()
    add_stores(db)
    save_rules(db, clock, rules)

    class Here(Shop):
        def __init__(self) -> None:
            super().__init__(db, clock)

    run_state_machine_as_test(Here, settings=searched(4, 16))


def test_points_that_last(db: Database) -> None:
    _search(db, CNY)


def test_points_that_wait_and_expire(db: Database) -> None:
    _search(db, Rules(rates=CNY.rates, return_days=10, expires_months=1))
