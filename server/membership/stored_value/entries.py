"""What each kind of posting writes into which accounts: pure, and the one place where the signs are.

A credit is positive and a debit negative. What is owed to a card (principal, bonus) and earned (sales, fees) grows by
credits; money in the till, the cost of bonus and claims on another store grow by debits. Each function's entries sum to
zero, which the database checks again at the commit.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal

from server.membership.stored_value.models import NOTHING, AccountKind, BonusBearer, NewEntry, Part
from server.membership.stored_value.parts import PaidOut

_Key = tuple[AccountKind, int | None, str | None, str | None]


def top_up(lot_id: int, store_id: str, principal: Decimal, bonus: Decimal) -> list[NewEntry]:
    """Money into the till, principal onto the card; bonus onto the card at the store's cost."""
    return [
        NewEntry("principal", principal, lot_id),
        NewEntry("cash", -principal, store_id=store_id),
        NewEntry("bonus", bonus, lot_id),
        NewEntry("bonus_cost", -bonus, store_id=store_id),
    ]


def opening(lot_id: int, store_id: str, principal: Decimal, bonus: Decimal) -> list[NewEntry]:
    """What was on a card of the system before this one: nothing came into a till now."""
    return [
        NewEntry("principal", principal, lot_id),
        NewEntry("bonus", bonus, lot_id),
        NewEntry("opening", -principal - bonus, store_id=store_id),
    ]


def purchase(parts: Iterable[Part], store_id: str, bearer: BonusBearer) -> list[NewEntry]:
    """A purchase (parts negative), or what goods taken back give (parts positive), at a store.

    Of what another store sold, that one owes the principal, and the bonus as well where the seller bears it; where the
    server does, the cost of the bonus moves there.
    """
    entries = []
    for part in parts:
        entries += [
            NewEntry("principal", part.principal, part.lot_id),
            NewEntry("bonus", part.bonus, part.lot_id),
            NewEntry("sales", -part.principal - part.bonus, store_id=store_id),
        ]
        if part.store_id == store_id:
            continue
        if bearer == "seller":
            entries += _owed(part.store_id, store_id, -part.principal - part.bonus)
        else:
            entries += _owed(part.store_id, store_id, -part.principal)
            entries += [
                NewEntry("bonus_cost", -part.bonus, store_id=part.store_id),
                NewEntry("bonus_cost", part.bonus, store_id=store_id),
            ]
    return entries


def pay_out(paid: Iterable[PaidOut], store_id: str) -> list[NewEntry]:
    """Principal given back by a store, less its fee; the bonus that goes with it costs its seller nothing any more."""
    entries = []
    for each in paid:
        seller = each.lot.store_id
        entries += [
            NewEntry("principal", -each.principal, each.lot.lot_id),
            NewEntry("cash", each.principal - each.fee, store_id=store_id),
            NewEntry("fees", each.fee, store_id=store_id),
            NewEntry("bonus", -each.bonus, each.lot.lot_id),
            NewEntry("bonus_cost", each.bonus, store_id=seller),
        ]
        if seller != store_id:
            entries += _owed(seller, store_id, each.principal)
    return entries


def lapse(parts: Iterable[Part]) -> list[NewEntry]:
    """Bonus withdrawn (parts negative), to the relief of whoever gave it."""
    entries = []
    for part in parts:
        entries += [
            NewEntry("bonus", part.bonus, part.lot_id),
            NewEntry("bonus_cost", -part.bonus, store_id=part.store_id),
        ]
    return entries


def settle(payer: str, payee: str, amount: Decimal) -> list[NewEntry]:
    """What one store owed another, paid."""
    return [
        *_owed(payer, payee, -amount),
        NewEntry("cash", amount, store_id=payer),
        NewEntry("cash", -amount, store_id=payee),
    ]


def merged(entries: Sequence[NewEntry]) -> list[NewEntry]:
    """One entry to an account, none of nothing, always in the same order: two desks never wait for each other."""
    sums: dict[_Key, Decimal] = defaultdict(lambda: NOTHING)
    for each in entries:
        sums[(each.account, each.lot_id, each.store_id, each.other_store)] += each.amount
    ordered = sorted(sums.items(), key=lambda item: tuple(str(part or "") for part in item[0]))
    return [NewEntry(key[0], amount, key[1], key[2], key[3]) for key, amount in ordered if amount]


def _owed(debtor: str, creditor: str, amount: Decimal) -> list[NewEntry]:
    return [
        NewEntry("debt", amount, store_id=debtor, other_store=creditor),
        NewEntry("claim", -amount, store_id=creditor, other_store=debtor),
    ]
