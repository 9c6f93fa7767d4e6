"""What HQ promises: definitions of coupons, made and ended, never changed.

A coupon somebody has is a promise in the words of its definition; so ending one stops what is issued and leaves what is
out.
"""

from decimal import Decimal
from typing import Final, get_args

from server.access import audit
from server.access.models import LOCALES, Role, Scope
from server.clock import Clock, utc_now
from server.errors import InvalidInput, NotFound
from server.membership.coupons import repository
from server.membership.coupons.models import Definition, IssueOn, Kind, NewDefinition, OnRefund, Stacking
from server.storage.pool import Database

_READERS: Final[tuple[Role, ...]] = ("admin", "hq", "region", "manager", "desk")
_MOST: Final = Decimal("999999999.99")
_CENT: Final = Decimal("0.01")
_MOST_DAYS: Final = 3650


class CouponDefinitions:
    """The definitions of a chain's coupons."""

    def __init__(self, db: Database, clock: Clock = utc_now) -> None:
        self._db = db
        self._clock = clock

    def definitions(self, scope: Scope, *, ended: bool = False) -> list[Definition]:
        """Those in force, or all that ever were, oldest first."""
        scope.require_role(*_READERS)
        with self._db.read() as conn:
            return repository.definitions(conn, ended=ended)

    def add(self, scope: Scope, new: NewDefinition) -> Definition:
        """Add a definition.

        Raises:
            Forbidden: unless HQ or an admin of the whole chain asks.
            InvalidInput: naming the field.
        """
        scope.require_role("admin", "hq")
        scope.require_whole_chain()
        check(new)
        now = self._clock()
        with self._db.transaction() as conn:
            made = repository.insert_definition(conn, new, new.valid_from or now, scope.actor, now)
            audit.record(conn, now, scope.actor, "coupon.define", subject=str(made), detail={"kind": new.kind})
            return repository.definitions(conn, [made])[0]

    def end(self, scope: Scope, definition_id: int) -> None:
        """Issue no more of it; coupons that are out hold as long as they were to.

        Raises:
            NotFound: there is none, or it was ended.
        """
        scope.require_role("admin", "hq")
        scope.require_whole_chain()
        now = self._clock()
        with self._db.transaction() as conn:
            if not repository.end_definition(conn, definition_id, now):
                raise NotFound(
                    f"there is no definition {definition_id} in force", field="definition_id", remedy="see the list"
                )
            audit.record(conn, now, scope.actor, "coupon.end", subject=str(definition_id))


def check(new: NewDefinition) -> None:
    """Whether this can be promised at all.

    Raises:
        InvalidInput: naming the field.
    """
    if not new.title or any(
        locale not in LOCALES or not text.strip() or len(text) > 200 for locale, text in new.title.items()
    ):
        raise _wrong("title", "it needs a title", f"give up to 200 characters in one of {', '.join(LOCALES)}")
    for field, value, known in (
        ("kind", new.kind, get_args(Kind)),
        ("stacking", new.stacking, get_args(Stacking)),
        ("on_refund", new.on_refund, get_args(OnRefund)),
        ("issue_on", new.issue_on or get_args(IssueOn)[0], get_args(IssueOn)),
    ):
        if value not in known:
            raise _wrong(field, f"{field} {value!r} is not known", f"use one of {', '.join(known)}")
    if len(new.currency) != 3 or not (new.currency.isascii() and new.currency.isupper() and new.currency.isalpha()):
        raise _wrong("currency", f"{new.currency!r} is no currency", "give its three letters, such as CNY")
    _check_amounts(new)
    _check_time(new)
    for field in ("most_per_member", "most_in_all"):
        most = getattr(new, field)
        if most is not None and not 1 <= most <= 2_000_000_000:
            raise _wrong(field, f"{most} can't be", "give 1 or more, or leave it out")
    for field in ("sku_groups", "store_ids", "tiers"):
        given = getattr(new, field)
        if given is not None and not given:
            raise _wrong(field, "an empty list means nothing at all", "leave it out to mean all")
    if new.issue_on == "tier_up" and not new.tiers:
        raise _wrong("tiers", "reaching which tiers?", "name the tiers")
    if new.issue_on == "win_back" and not new.days:
        raise _wrong("days", "after how many days without a visit?", "give the days")
    if new.days is not None and not 0 <= new.days <= _MOST_DAYS:
        raise _wrong("days", f"{new.days} days can't be", f"give 0 to {_MOST_DAYS}")


def _check_amounts(new: NewDefinition) -> None:
    for field in ("value", "most_off", "minimum_spend"):
        amount = getattr(new, field)
        if amount is None:
            continue
        if not amount.is_finite() or not 0 <= amount <= _MOST or amount != amount.quantize(_CENT):
            raise _wrong(field, f"{amount} can't be", f"give 0 to {_MOST}, two decimals at most")
    if new.kind == "gift":
        if not new.gift_sku or new.value:
            raise _wrong("gift_sku", "what is free?", "give its SKU, and no value")
        return
    if new.gift_sku is not None:
        raise _wrong("gift_sku", "only a gift has one", "leave it out")
    if not new.value or (new.kind == "percent" and new.value > 100):
        raise _wrong("value", f"{new.value} can't be", "give an amount, or a percentage up to 100")
    if new.most_off is not None and (new.kind != "percent" or not new.most_off):
        raise _wrong("most_off", "only a percentage has a most", "leave it out")


def _check_time(new: NewDefinition) -> None:
    for field in ("valid_from", "valid_until"):
        at = getattr(new, field)
        if at is not None and at.tzinfo is None:
            raise _wrong(field, "a time without an offset", "send ISO 8601 with an offset")
    if new.valid_until is None and new.valid_days is None:
        raise _wrong("valid_until", "it never ends", "give an end, or days from the issue")
    if new.valid_days is not None and not 1 <= new.valid_days <= _MOST_DAYS:
        raise _wrong("valid_days", f"{new.valid_days} days can't be", f"give 1 to {_MOST_DAYS}")
    if new.valid_from and new.valid_until and new.valid_until <= new.valid_from:
        raise _wrong("valid_until", "it ends before it begins", "give a later end")


def _wrong(field: str, message: str, remedy: str) -> InvalidInput:
    return InvalidInput(message, field=field, remedy=remedy)
