"""Whatever two desks do with cards, at once or in turn: the books balance, nothing is overspent, no return makes value.

The machine does what desks do, alone or two at the same moment over connections of their own, and keeps a card of its
own by the pure rules of `parts`. What two did at once must be what they would have done one after the other, in one of
the two orders; that is asked of every answer and of every cent on the card.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from uuid import UUID

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from server.errors import DoorlineError
from server.membership.stored_value import parts
from server.membership.stored_value.models import (
    BonusRule,
    Lot,
    NewBonusRule,
    Part,
    PostingReceipt,
    SpendOrder,
    ValueSettings,
)
from server.services import Services, make_services
from tests.fixtures.searching import searched
from tests.server.conftest import SYSTEM
from tests.server.membership.stored_value.counter import assert_books_balance, card_of, key

NOW = datetime(2026, 11, 20, 4, tzinfo=UTC)
CAP = Decimal(2000)
STORES = ("S01", "S02")
NOTHING = Decimal("0.00")
RULES = [
    BonusRule(1, "CNY", Decimal(100), Decimal(0), Decimal(20), None, NOW - timedelta(days=1), None, "", NOW, None),
    BonusRule(
        2, "CNY", Decimal(300), Decimal("33.33"), Decimal(10), None, NOW - timedelta(days=1), None, "", NOW, None
    ),
]
#: What an action comes to: what it did to principal and bonus, or the code of the refusal.
Outcome = tuple[Decimal, Decimal] | str


@dataclass(frozen=True)
class Action:
    """What a desk does; `purchase` counts the card's purchases from the first."""

    what: str
    store: str
    amount: Decimal
    purchase: int = 0


@dataclass(frozen=True)
class Model:
    """A card as the rules would have it: top-ups, purchases, and what was given back of each."""

    settings: ValueSettings
    lots: tuple[Lot, ...] = ()
    purchases: tuple[tuple[tuple[Part, ...], tuple[Part, ...]], ...] = ()
    paid_in: Decimal = NOTHING
    paid_out: Decimal = NOTHING

    def after(self, action: Action) -> tuple[Outcome, "Model"]:
        try:
            made, then = getattr(self, f"_{action.what}")(action)
        except DoorlineError as error:
            return error.code, self
        return parts.summed(made), then

    def left(self) -> list[tuple[str, Decimal, Decimal]]:
        return [(lot.store_id, lot.principal_left, lot.bonus_left) for lot in self.lots]

    def _live(self) -> list[Lot]:
        return [lot for lot in self.lots if lot.principal_left or lot.bonus_left]

    def _moved(self, made: list[Part]) -> tuple[Lot, ...]:
        by_lot = {part.lot_id: part for part in made}
        return tuple(parts.with_part(lot, by_lot[lot.lot_id]) if lot.lot_id in by_lot else lot for lot in self.lots)

    def _top_up(self, action: Action) -> tuple[list[Part], "Model"]:
        bonus = parts.bonus_of(action.amount, RULES, action.store, NOW)
        parts.check_cap(self.settings, self._live(), action.amount, bonus, registered=False)
        number = len(self.lots) + 1
        lot = Lot(number, 0, action.store, NOW, action.amount, bonus, action.amount, bonus)
        grown = replace(self, lots=(*self.lots, lot), paid_in=self.paid_in + action.amount)
        return [Part(number, action.store, action.amount, bonus)], grown

    def _spend(self, action: Action) -> tuple[list[Part], "Model"]:
        made = parts.spend(self._live(), action.amount, self.settings.spend_order, "CNY")
        return made, replace(self, lots=self._moved(made), purchases=(*self.purchases, (tuple(made), ())))

    def _give_back(self, action: Action) -> tuple[list[Part], "Model"]:
        spent, earlier = self.purchases[action.purchase]
        made = parts.give_back(spent, earlier, action.amount, "CNY")
        purchases = list(self.purchases)
        purchases[action.purchase] = (spent, (*earlier, *made))
        return made, replace(self, lots=self._moved(made), purchases=tuple(purchases))

    def _pay_out(self, action: Action) -> tuple[list[Part], "Model"]:
        paid, _ = parts.pay_out(self._live(), action.amount, self.settings, NOW)
        made = [Part(each.lot.lot_id, each.lot.store_id, -each.principal, -each.bonus) for each in paid]
        return made, replace(self, lots=self._moved(made), paid_out=self.paid_out + action.amount)


cents = st.one_of(st.integers(1, 60_000), st.sampled_from([1, 10_000, 30_000, 199_999])).map(lambda n: Decimal(n) / 100)
actions = st.builds(
    Action,
    st.sampled_from(["top_up", "top_up", "spend", "spend", "spend", "give_back", "pay_out"]),
    st.sampled_from(STORES),
    cents,
    st.integers(0, 20),
)


class Desks(RuleBasedStateMachine):
    """Two desks and one card at a time; the services over two pools are set by the test."""

    desks: tuple[Services, Services]

    @initialize(
        order=st.sampled_from(["proportional", "principal_first", "bonus_first"]),
        bearer=st.sampled_from(["seller", "server"]),
    )
    def begin(self, order: SpendOrder, bearer: str) -> None:
        settings = ValueSettings("CNY", None, CAP, spend_order=order, bonus_borne_by=bearer)  # type: ignore[arg-type]
        self.desks[0].value_rules.set(SYSTEM, settings)
        self.card_id: UUID = card_of(self.desks[0]).card_id
        self.purchases: list[int] = []
        self.model = Model(settings)

    @rule(action=actions)
    def one_desk(self, action: Action) -> None:
        action = self._possible(action)
        outcome, self.model = self.model.after(action)
        assert self._done(0, action) == outcome

    @rule(one=actions, other=actions)
    def two_desks_at_once(self, one: Action, other: Action) -> None:
        both = [self._possible(one), self._possible(other)]
        found = self._at_once([lambda: self._tried(0, both[0]), lambda: self._tried(1, both[1])])
        self._note(found)
        seen = [_outcome(each) for each in found]
        for first in (0, 1):
            outcomes: dict[int, Outcome] = {}
            outcomes[first], model = self.model.after(both[first])
            outcomes[1 - first], model = model.after(both[1 - first])
            if [outcomes[0], outcomes[1]] == seen and model.left() == self._left() and self._same_purchases(model):
                self.model = model
                return
        raise AssertionError(f"{both} came to {seen}, with {self._left()} left: in neither order would they have")

    @rule(action=actions, times=st.integers(2, 3))
    def one_request_sent_again_and_again(self, action: Action, times: int) -> None:
        action, once = self._possible(action), key()
        outcome, self.model = self.model.after(action)
        found = self._at_once([partial(self._tried, place % 2, action, once) for place in range(times)])
        assert [_outcome(each) for each in found] == [outcome] * times
        receipts = {each.posting_id: each for each in found if isinstance(each, PostingReceipt)}
        assert len(receipts) <= 1
        self._note(list(receipts.values()))

    @invariant()
    def what_is_on_the_card_is_what_the_rules_say(self) -> None:
        if not hasattr(self, "model"):
            return
        assert self._left() == self.model.left()
        shown = self.desks[1].stored_value.card(SYSTEM, self.card_id)
        assert shown.principal == sum((principal for _, principal, _ in self._left()), NOTHING)
        assert shown.bonus == sum((bonus for _, _, bonus in self._left()), NOTHING)
        assert self.model.paid_out <= self.model.paid_in, "more money went out than came in"

    def teardown(self) -> None:
        assert_books_balance(self.desks[0].db)
        owed: Mapping[tuple[str, str], Decimal] = {
            (row.sold_by, row.served_by): row.owed
            for row in self.desks[0].settlement.report(SYSTEM, NOW - timedelta(days=1), NOW + timedelta(days=1))
        }
        with self.desks[0].db.read() as conn:
            claims = conn.execute(
                """
                SELECT a.other_store, a.store_id, -sum(e.amount)
                FROM value_account a JOIN value_entry e USING (account_id) WHERE a.kind = 'claim' GROUP BY 1, 2
                """
            ).fetchall()
        assert all(owed[(debtor, creditor)] == amount for debtor, creditor, amount in claims)

    # -- inside

    def _possible(self, action: Action) -> Action:
        """A return needs a purchase; without one the desk sells instead."""
        if action.what != "give_back":
            return action
        if not self.purchases:
            return replace(action, what="spend")
        return replace(action, purchase=action.purchase % len(self.purchases))

    def _tried(self, desk: int, action: Action, once: str | None = None) -> PostingReceipt | DoorlineError:
        value, card, asked = self.desks[desk].stored_value, self.card_id, once or key()
        try:
            match action.what:
                case "top_up":
                    return value.top_up(SYSTEM, card, action.store, action.amount, asked)
                case "spend":
                    return value.spend(SYSTEM, card, action.store, action.amount, asked)
                case "give_back":
                    purchase = self.purchases[action.purchase]
                    return value.give_back(SYSTEM, card, purchase, action.store, action.amount, asked)
                case _:
                    return value.pay_out(SYSTEM, card, action.store, action.amount, asked)
        except DoorlineError as error:
            return error

    def _done(self, desk: int, action: Action) -> Outcome:
        found = self._tried(desk, action)
        self._note([found])
        return _outcome(found)

    def _note(self, found: list[PostingReceipt | DoorlineError] | list[PostingReceipt]) -> None:
        """Purchases in the order in which they were posted."""
        made = [each for each in found if isinstance(each, PostingReceipt) and each.kind == "spend"]
        self.purchases += sorted(each.posting_id for each in made)

    def _same_purchases(self, model: Model) -> bool:
        """Which purchase came first is seen by what each took."""
        with self.desks[0].db.read() as conn:
            real = conn.execute(
                """
                SELECT -sum(e.amount) FROM value_entry e JOIN value_account a USING (account_id)
                WHERE e.posting_id = ANY(%s) AND a.lot_id IS NOT NULL GROUP BY e.posting_id ORDER BY e.posting_id
                """,
                (self.purchases,),
            ).fetchall()
        return [row[0] for row in real] == [-sum(parts.summed(spent), NOTHING) for spent, _ in model.purchases]

    def _left(self) -> list[tuple[str, Decimal, Decimal]]:
        with self.desks[0].db.read() as conn:
            rows = conn.execute(
                """
                SELECT l.store_id, coalesce(sum(a.balance) FILTER (WHERE a.kind = 'principal'), 0),
                       coalesce(sum(a.balance) FILTER (WHERE a.kind = 'bonus'), 0)
                FROM value_lot l LEFT JOIN value_account a USING (lot_id)
                WHERE l.card_id = %s GROUP BY l.lot_id ORDER BY l.lot_id
                """,
                (self.card_id,),
            ).fetchall()
        return [(row[0], row[1], row[2]) for row in rows]

    def _at_once(
        self, work: list[Callable[[], PostingReceipt | DoorlineError]]
    ) -> list[PostingReceipt | DoorlineError]:
        together = threading.Barrier(len(work))
        found: dict[int, PostingReceipt | DoorlineError] = {}

        def go(place: int, task: Callable[[], PostingReceipt | DoorlineError]) -> None:
            together.wait(20)
            found[place] = task()

        threads = [threading.Thread(target=go, args=each) for each in enumerate(work)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(found) == len(work), "a desk got no answer"
        return [found[place] for place in range(len(work))]


def _outcome(found: PostingReceipt | DoorlineError) -> Outcome:
    return (found.principal, found.bonus) if isinstance(found, PostingReceipt) else found.code


@pytest.fixture
def two_desks(chain: Services) -> Iterator[tuple[Services, Services]]:
    """The same database over two pools of connections; top-ups bring bonus."""
    for each in RULES:
        chain.value_rules.add_bonus_rule(
            SYSTEM, NewBonusRule("CNY", each.from_amount, each.amount, each.percent, None, each.valid_from)
        )
    with make_services(chain.settings, chain.clock) as other:
        yield chain, other


# The pool's threads draw random numbers for their jitter, which hypothesis takes for ours.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")
def test_whatever_two_desks_do_the_books_balance(two_desks: tuple[Services, Services]) -> None:
    class Real(Desks):
        desks = two_desks

    run_state_machine_as_test(Real, settings=searched(6, 8))
