"""What HQ sets: caps, cooling off, the order of spending, and what top-ups bring on top.

A rule is ended and another made, never changed: what a top-up of last month brought can then still be explained.
"""

from dataclasses import asdict
from decimal import Decimal
from typing import Final, get_args

from server.access import audit
from server.access.models import Role, Scope
from server.clock import Clock, utc_now
from server.errors import InvalidInput, NotFound
from server.membership.stored_value import parts, repository
from server.membership.stored_value.models import BonusBearer, BonusRule, NewBonusRule, SpendOrder, ValueSettings
from server.storage.pool import Database

_READERS: Final[tuple[Role, ...]] = ("admin", "hq", "region", "manager", "desk")
_HQ: Final[tuple[Role, ...]] = ("admin", "hq")
_MOST_PERCENT: Final = Decimal(1000)
_MOST_DAYS: Final = 365


class ValueRules:
    """The rules of stored value, by currency."""

    def __init__(self, db: Database, clock: Clock = utc_now) -> None:
        self._db = db
        self._clock = clock

    def settings(self, scope: Scope, currency: str) -> ValueSettings:
        """The rules of a currency; the defaults until somebody sets others."""
        scope.require_role(*_READERS)
        with self._db.read() as conn:
            return repository.setting(conn, _currency(currency))

    def set(self, scope: Scope, new: ValueSettings) -> ValueSettings:
        """Set the rules of a currency, all at once; they hold for what is posted from now on.

        Raises:
            Forbidden: unless HQ or an admin of the whole chain asks.
            InvalidInput: naming the field.
        """
        scope.require_role(*_HQ)
        scope.require_whole_chain()
        _currency(new.currency)
        for field in ("cap_registered", "cap_unregistered"):
            cap = getattr(new, field)
            if cap is not None:
                parts.money(cap, field)
        if new.spend_order not in get_args(SpendOrder):
            raise _unknown("spend_order", new.spend_order, get_args(SpendOrder))
        if new.bonus_borne_by not in get_args(BonusBearer):
            raise _unknown("bonus_borne_by", new.bonus_borne_by, get_args(BonusBearer))
        if not 0 <= new.cooling_off_days <= _MOST_DAYS:
            raise InvalidInput(
                f"{new.cooling_off_days} days can't be",
                field="cooling_off_days",
                remedy=f"give 0 to {_MOST_DAYS}",
            )
        if not 0 <= new.late_fee_percent < 100:
            raise InvalidInput(
                f"a fee of {new.late_fee_percent}% can't be",
                field="late_fee_percent",
                remedy="give 0 or more and less than 100",
            )
        now = self._clock()
        with self._db.transaction() as conn:
            repository.put_setting(conn, new, scope.actor, now)
            detail: dict[str, object] = {
                name: value if isinstance(value, bool | int) else str(value) for name, value in asdict(new).items()
            }
            audit.record(conn, now, scope.actor, "value.settings", subject=new.currency, detail=detail)
        return new

    def bonus_rules(self, scope: Scope, currency: str | None = None) -> list[BonusRule]:
        """The rules that have not been ended; some may not be in force yet, or no more."""
        scope.require_role(*_READERS)
        with self._db.read() as conn:
            return repository.bonus_rules(conn, None if currency is None else _currency(currency))

    def add_bonus_rule(self, scope: Scope, new: NewBonusRule) -> BonusRule:
        """Add a rule; of several that a top-up reaches, the one that gives most counts, and only that one.

        Raises:
            Forbidden: unless HQ or an admin of the whole chain asks.
            InvalidInput: naming the field.
        """
        scope.require_role(*_HQ)
        scope.require_whole_chain()
        _currency(new.currency)
        parts.money(new.from_amount, "from_amount")
        if new.amount:
            parts.money(new.amount)
        if not 0 <= new.percent <= _MOST_PERCENT:
            raise InvalidInput(
                f"{new.percent}% can't be", field="percent", remedy=f"give a percentage up to {_MOST_PERCENT}"
            )
        if not new.amount and not new.percent:
            raise InvalidInput("the rule gives nothing", field="amount", remedy="give an amount or a percentage")
        now = self._clock()
        valid_from = new.valid_from or now
        if new.valid_until is not None and new.valid_until <= valid_from:
            raise InvalidInput(
                "the rule ends before it begins", field="valid_until", remedy="give a later end, or leave it out"
            )
        with self._db.transaction() as conn:
            made = repository.insert_bonus_rule(conn, new, valid_from, scope.actor, now)
            audit.record(
                conn,
                now,
                scope.actor,
                "value.bonus_rule",
                subject=str(made.rule_id),
                detail={"from": str(made.from_amount), "amount": str(made.amount), "percent": str(made.percent)},
            )
        return made

    def end_bonus_rule(self, scope: Scope, rule_id: int) -> None:
        """End a rule now; what it gave stays given.

        Raises:
            NotFound: there is none, or it was ended.
        """
        scope.require_role(*_HQ)
        scope.require_whole_chain()
        now = self._clock()
        with self._db.transaction() as conn:
            if not repository.end_bonus_rule(conn, rule_id, now):
                raise NotFound(f"there is no rule {rule_id} in force", field="rule_id", remedy="see the list of rules")
            audit.record(conn, now, scope.actor, "value.bonus_rule_end", subject=str(rule_id))


def _currency(currency: str) -> str:
    if len(currency) != 3 or not currency.isascii() or not currency.isalpha() or not currency.isupper():
        raise InvalidInput(
            f"{currency!r} is no currency", field="currency", remedy="give its three letters, such as CNY"
        )
    return currency


def _unknown(field: str, value: str, known: tuple[str, ...]) -> InvalidInput:
    return InvalidInput(f"{field} {value!r} is not known", field=field, remedy=f"use one of {', '.join(known)}")
