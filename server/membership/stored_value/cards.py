"""Cards themselves: opened, found, frozen, replaced, registered and handed over. None of it moves money.

A lost card gets another number and what is on it stays where it is, so that a replacement can't double or drop a cent,
and whoever shows the old number is told that it was replaced. A number is random: a running one would tell a finder of
one card what the next are.
"""

from secrets import randbelow
from typing import Final, Literal
from uuid import UUID

from server.access import audit
from server.access.models import Scope
from server.clock import Clock, utc_now
from server.errors import Conflict, NotFound
from server.membership.cards import check_digit
from server.membership.idempotency import checked_key, checked_reason
from server.membership.seen_repository import is_held
from server.membership.stored_value import repository
from server.membership.stored_value.models import Card, CardNotUsable, CardRow
from server.membership.stored_value.posting import shown_card
from server.membership.stored_value.receipts import known_card, require_own, shown, to_be_shown
from server.membership.stored_value.repository import SERVERS
from server.storage.pool import Connection, Database

_DIGITS: Final = 16
_TRIES: Final = 20


class ValueCards:
    """The cards that stored value lies on."""

    def __init__(self, db: Database, clock: Clock = utc_now) -> None:
        self._db = db
        self._clock = clock

    def open(
        self,
        scope: Scope,
        store_id: str,
        key: str,
        *,
        member_id: UUID | None = None,
        member_card: str | None = None,
    ) -> Card:
        """Open a card in the store's currency; without a member it is unregistered, and whoever has it may spend it.

        Args:
            key: idempotency key, the store's own; the same again gets the same card.
            member_card: the number of the member's own card, where the member stands at the counter and is of no store
                of the caller's.

        Raises:
            Forbidden: the store is not the caller's, or a till asks.
            NotFound: no such store, or no such member the caller may know of.
            Conflict: the key stands for a card of somebody else.
        """
        scope.require_role("admin", "hq", "region", "manager", "desk")
        scope.require(store_id)
        checked, now = checked_key(key), self._clock()
        with self._db.transaction() as conn:
            currency = repository.store_currency(conn, scope, store_id)
            if currency is None:
                raise NotFound(f"there is no store {store_id!r}", field="store_id", remedy="check the id")
            _check_member(conn, scope, member_id, member_card)
            card_id = repository.insert_card(conn, member_id, currency, store_id, checked, scope.actor, now)
            if card_id is None:
                before = known_card(repository.opened_by_key(conn, scope, store_id, checked))
                if before.member_id != member_id:
                    raise Conflict(
                        f"the idempotency key {checked!r} stands for a card of another holder",
                        field="idempotency_key",
                        remedy="use a new key for a new card",
                    )
                return shown(conn, scope, before, whole=True)
            self._number(conn, scope, card_id)
            self._note(conn, scope, "open", card_id, store_id)
            return shown(conn, scope, known_card(repository.card(conn, scope, card_id)), whole=True)

    def find(self, scope: Scope, card_no: str) -> Card:
        """The card with a whole number, of any store.

        Raises:
            NotFound: there is none.
            CardNotUsable: the number was replaced, as that of a lost card.
        """
        scope.require_role(*SERVERS)
        plain = "".join(card_no.split())
        with self._db.read() as conn:
            found = repository.card_of_number(conn, scope, plain)
            if found is not None:
                return shown(conn, scope, found, whole=True)
            if repository.card_of_ended_number(conn, scope, plain) is not None:
                raise CardNotUsable(
                    "this card was replaced by another", field="card_no", remedy="ask for the new card, or for a name"
                )
        raise NotFound("there is no card with this number", field="card_no", remedy="type all 16 digits")

    def freeze(self, scope: Scope, card_id: UUID, store_id: str, reason: str) -> Card:
        """Let nothing be taken from a card, such as one that was lost. Frozen again, it stays frozen.

        Wherever the card or its holder is known: it takes nothing from anybody.
        """
        return self._set_state(scope, card_id, store_id, reason, "active", "frozen")

    def thaw(self, scope: Scope, card_id: UUID, store_id: str, reason: str) -> Card:
        """Let a frozen card be used again: in the stores that keep it, as whoever found it would like that, too."""
        return self._set_state(scope, card_id, store_id, reason, "frozen", "active")

    def replace(self, scope: Scope, card_id: UUID, store_id: str, lost_no: str, reason: str) -> Card:
        """Hand what is on a lost card over to a new number: it works from now on, and the old one no more.

        Args:
            lost_no: the number that was lost, as the card shows it now; asked for again, nothing more is done.

        Raises:
            Forbidden: another store's card; or an unregistered one, which is whoever's has it, unless HQ or an admin
                asks.
            CardNotUsable: closed.
            NotFound: the lost number isn't, and wasn't, this card's.
            InvalidInput: no reason.
        """
        scope.require_role("admin", "hq", "region", "manager", "desk")
        scope.require(store_id)
        why, now, lost = checked_reason(reason), self._clock(), "".join(lost_no.split())
        with self._db.transaction() as conn:
            card = self._locked(conn, scope, card_id)
            require_own(scope, card)
            if card.member_id is None:
                scope.require_role("admin", "hq")
            if card.card_no != lost:
                if repository.card_of_ended_number(conn, scope, lost) == card_id:
                    return shown(conn, scope, card)
                raise NotFound("this is not the card's number", field="lost_no", remedy="see the card for its number")
            repository.end_number(conn, scope, card_id, now)
            self._number(conn, scope, card_id)
            if card.state == "frozen":
                repository.set_state(conn, scope, card_id, "active", "")
            self._note(conn, scope, "replace", card_id, store_id, {"reason": why})
            return shown(conn, scope, known_card(repository.card(conn, scope, card_id)), whole=True)

    def register(
        self, scope: Scope, card_id: UUID, store_id: str, member_id: UUID, *, card_no: str | None = None
    ) -> Card:
        """Make an unregistered card a member's: it may then be replaced when lost, and hold more.

        Args:
            card_no: the card's whole number, as it is shown: it is whoever's has it, so only HQ or an admin may do
                without.

        Raises:
            InvalidInput: the card has to be shown.
            NotFound: no such card or member the caller may know of, or the number isn't the card's.
        """
        return self._give(scope, card_id, store_id, member_id, "registered", "", card_no)

    def hand_over(self, scope: Scope, card_id: UUID, store_id: str, member_id: UUID, reason: str) -> Card:
        """Give a member's card to another member, with what is on it.

        Raises:
            Forbidden: unless a manager of a store that keeps the card, HQ or an admin asks.
            NotFound: no such card or member the caller may know of.
        """
        scope.require_role("admin", "hq", "region", "manager")
        return self._give(scope, card_id, store_id, member_id, "handed_over", checked_reason(reason), None)

    # -- inside

    def _give(
        self,
        scope: Scope,
        card_id: UUID,
        store_id: str,
        member_id: UUID,
        why: Literal["registered", "handed_over"],
        reason: str,
        card_no: str | None,
    ) -> Card:
        scope.require_role("admin", "hq", "region", "manager", "desk")
        scope.require(store_id)
        with self._db.transaction() as conn:
            card = self._locked(conn, scope, card_id, card_no)
            if card.member_id is not None:
                require_own(scope, card)
            elif card_no is None and scope.stores is not None:
                raise to_be_shown()
            if card.state != "active":
                raise CardNotUsable(f"the card is {card.state}", field="card_id", remedy="thaw it first")
            _check_member(conn, scope, member_id)
            if card.member_id != member_id:
                if (card.member_id is None) != (why == "registered"):
                    raise Conflict(
                        "the card is a member's already" if why == "registered" else "the card is nobody's",
                        field="card_id",
                        remedy="hand it over" if why == "registered" else "register it",
                    )
                repository.set_holder(conn, scope, card, member_id, why, reason, self._clock())
                self._note(conn, scope, why, card_id, store_id, {"member": str(member_id), "reason": reason})
            return shown(conn, scope, known_card(repository.card(conn, scope, card_id)))

    def _set_state(
        self,
        scope: Scope,
        card_id: UUID,
        store_id: str,
        reason: str,
        before: Literal["active", "frozen"],
        state: Literal["active", "frozen"],
    ) -> Card:
        scope.require_role("admin", "hq", "region", "manager", "desk")
        scope.require(store_id)
        why = checked_reason(reason)
        with self._db.transaction() as conn:
            card = self._locked(conn, scope, card_id)
            if state == "active":
                require_own(scope, card)
            if card.state == before:
                repository.set_state(conn, scope, card_id, state, why if state == "frozen" else "")
                self._note(conn, scope, "freeze" if state == "frozen" else "thaw", card_id, store_id, {"reason": why})
            return shown(conn, scope, known_card(repository.card(conn, scope, card_id)))

    def _locked(self, conn: Connection, scope: Scope, card_id: UUID, card_no: str | None = None) -> CardRow:
        card = shown_card(conn, scope, card_id, card_no)
        if card.state == "closed":
            raise CardNotUsable("the card is closed", field="card_id", remedy="open another card")
        return card

    def _number(self, conn: Connection, scope: Scope, card_id: UUID) -> None:
        for _ in range(_TRIES):
            if repository.insert_number(conn, new_number(), card_id, scope.actor, self._clock()):
                return
        raise Conflict("no free card number was found", remedy="try again; if it persists, use longer numbers")

    def _note(
        self,
        conn: Connection,
        scope: Scope,
        what: str,
        card_id: UUID,
        store_id: str,
        detail: dict[str, object] | None = None,
    ) -> None:
        audit.record(
            conn,
            self._clock(),
            scope.actor,
            f"value.{what}",
            subject=str(card_id),
            store_id=store_id,
            detail=detail,
        )


def new_number() -> str:
    """A random number of 16 digits, the last one a check digit (Luhn); the caller sees to it that it isn't taken."""
    digits = str(10 ** (_DIGITS - 2) + randbelow(9 * 10 ** (_DIGITS - 2)))
    return digits + check_digit(digits)


def _check_member(conn: Connection, scope: Scope, member_id: UUID | None, member_card: str | None = None) -> None:
    if member_id is not None and not is_held(conn, scope, member_id, member_card):
        raise NotFound(f"there is no member {member_id}", field="member_id", remedy="find the member first")
