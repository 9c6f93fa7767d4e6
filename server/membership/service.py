"""The rules of membership: one member per number, nothing readable at rest, every look at a number on record.

The trap is the duplicate: the same person enrolled in two stores, or twice in one by two desks at once. So the number
is taken in the database (a unique keyed hash) and not looked up first; whoever comes second is told who has it.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final, get_args
from uuid import UUID, uuid4

from server.access import audit
from server.access.models import Role, Scope
from server.clock import Clock, utc_now
from server.errors import Conflict, InvalidInput, NotFound
from server.membership import cards, names, phones, repository
from server.membership.crypto import MemberKeys, TokenKind
from server.membership.models import (
    Member,
    MemberExists,
    MemberRef,
    MemberSummary,
    NewConsent,
    NewMember,
    Purpose,
)
from server.membership.repository import MemberRow
from server.storage.pool import Connection, Database

#: Who may look at members; a till's key may only name them.
_READERS: Final[tuple[Role, ...]] = ("admin", "hq", "region", "manager", "desk")
_MOST_FOUND: Final = 50
_CARD_TRIES: Final = 20
_OLDEST_BIRTHDAY: Final = date(1900, 1, 1)


class MembershipService:
    """Members.

    Args:
        keys: of the members' data.
    """

    def __init__(self, db: Database, keys: MemberKeys, clock: Clock = utc_now) -> None:
        self._db = db
        self._keys = keys
        self._clock = clock

    def enrol(self, scope: Scope, new: NewMember) -> Member:
        """Make a person a member.

        Raises:
            Forbidden: when the home store is not the caller's, or the caller is a till.
            InvalidInput: a bad name, number or birthday, or no consent to the membership.
            MemberExists: when the number belongs to a member; it carries that member's id and card.
        """
        scope.require_role(*_READERS)
        scope.require(new.home_store)
        now = self._clock()
        name = names.clean(new.name)
        _check_birthday(new.birthday, now)
        _check_consents(new.consents)
        with self._db.transaction() as conn:
            country = repository.home_country(conn, scope, new.home_store)
            if country is None:
                raise NotFound(f"there is no store {new.home_store!r}", field="home_store")
            number = phones.e164(new.phone, country)
            row = self._insert(conn, scope, new, name, number, now)
            phone_token = self._keys.token("phone", number)
            if not repository.insert_phone_token(conn, phone_token, row.member_id):
                raise self._exists(conn, phone_token)
            repository.insert_tokens(conn, row.member_id, self._tokens(name, number))
            repository.insert_consents(conn, row.member_id, new.consents, scope.actor, now)
            audit.record(
                conn,
                now,
                scope.actor,
                "member.enrol",
                subject=str(row.member_id),
                store_id=new.home_store,
                detail={"source": new.source},
            )
            return self._member(conn, scope, row.member_id, whole_chain=True)

    def find_by_phone(self, scope: Scope, text: str, country: str | None = None) -> Member | None:
        """The member with exactly this number, of any store; None when there is none.

        Args:
            country: of a number without a country code; that of most of the caller's stores when left out.

        Raises:
            InvalidInput: when it is no phone number.
        """
        scope.require_role(*_READERS)
        with self._db.read() as conn:
            number = phones.e164(text, country or self._country(conn, scope))
            found = repository.members_of_phones(conn, [self._keys.token("phone", number)])
            return self._member(conn, scope, found[0].member_id, whole_chain=True) if found else None

    def find_by_card(self, scope: Scope, card_no: str) -> Member | None:
        """The member with exactly this card, of any store; None when there is none."""
        scope.require_role(*_READERS)
        with self._db.read() as conn:
            found = repository.members_of_cards(conn, [card_no.strip()], [])
            return self._member(conn, scope, found[0].member_id, whole_chain=True) if found else None

    def find_exact(self, scope: Scope, text: str) -> Member | None:
        """The member whose whole number or card was typed, of any store; None when it is neither, or nobody's."""
        scope.require_role(*_READERS)
        with self._db.read() as conn:
            found = self._exact(conn, scope, text.strip())
            return None if found is None else self._member(conn, scope, found, whole_chain=True)

    def member(self, scope: Scope, member_id: UUID) -> Member:
        """A member of one's own stores, or who bought in one of them.

        Raises:
            NotFound: when there is none the caller may know of.
        """
        scope.require_role(*_READERS)
        with self._db.read() as conn:
            return self._member(conn, scope, member_id, whole_chain=False)

    def search(self, scope: Scope, text: str) -> list[MemberSummary]:
        """Members by whatever was typed: number, card, last four digits, name, pinyin or initials.

        A whole number or card finds a member of any store; everything else, the caller's own stores only.
        """
        scope.require_role(*_READERS)
        plain = text.strip()
        if not plain:
            return []
        with self._db.read() as conn:
            exact = self._exact(conn, scope, plain)
            if exact is not None:
                row = repository.member(conn, scope, exact, whole_chain=True)
                return [self._summary(row)] if row else []
            found = repository.members_by_tokens(conn, scope, self._wanted(plain), _MOST_FOUND)
        return [self._summary(row) for row in found]

    def recent(self, scope: Scope, store_id: str | None = None, limit: int = 20) -> list[MemberSummary]:
        """The newest members of the caller's stores, or of one of them."""
        scope.require_role(*_READERS)
        if store_id is not None:
            scope.require(store_id)
        with self._db.read() as conn:
            return [self._summary(row) for row in repository.recent(conn, scope, store_id, limit)]

    def count(self, scope: Scope) -> int:
        """How many members the caller's stores have."""
        return sum(self.enrolled_by_store(scope).values())

    def enrolled_by_store(
        self, scope: Scope, since: datetime | None = None, until: datetime | None = None
    ) -> dict[str, int]:
        """How many members each of the caller's stores enrolled, from `since` on and before `until` (aware)."""
        with self._db.read() as conn:
            return repository.enrolled_by_store(conn, scope, since, until)

    def reveal_phone(self, scope: Scope, member_id: UUID) -> str:
        """The full number (E.164) of a member of one's own stores; the look is in the audit trail.

        Raises:
            NotFound: when there is none whose home is one of the caller's stores.
        """
        scope.require_role(*_READERS)
        now = self._clock()
        with self._db.transaction() as conn:
            row = repository.member(conn, scope, member_id, whole_chain=False)
            if row is None or not scope.allows(row.home_store):
                raise _no_member(member_id)
            audit.record(
                conn,
                now,
                scope.actor,
                "member.reveal_phone",
                subject=str(member_id),
                store_id=row.home_store,
            )
            return self._keys.decrypt(row.member_id, "phone", row.phone_enc, row.key_id)

    def record_consent(self, scope: Scope, member_id: UUID, consent: NewConsent) -> Member:
        """Record a new answer of a member; earlier ones stay on record."""
        scope.require_role(*_READERS)
        _check_consent(consent)
        now = self._clock()
        with self._db.transaction() as conn:
            if repository.member(conn, scope, member_id, whole_chain=False) is None:
                raise _no_member(member_id)
            repository.insert_consents(conn, member_id, [consent], scope.actor, now)
            return self._member(conn, scope, member_id, whole_chain=False)

    def resolve(self, conn: Connection, refs: Sequence[tuple[MemberRef, str]]) -> dict[MemberRef, UUID]:
        """Whom a till's references mean; the unknown ones are left out.

        For the sales service, within its transaction; it gives ids and nothing about a person.

        Args:
            refs: references, each with the country its phone number is of if it doesn't say.
        """
        phone_tokens: dict[bytes, list[MemberRef]] = {}
        keys: dict[str, list[MemberRef]] = {}
        ids: list[str] = []
        for ref, country in refs:
            if ref.id is not None:
                member_id = _uuid(ref.id)
                if member_id is not None:
                    ids.append(member_id)
                    keys.setdefault(member_id, []).append(ref)
            elif ref.card is not None:
                keys.setdefault(ref.card.strip(), []).append(ref)
            elif ref.phone is not None and (number := phones.maybe_e164(ref.phone, country)):
                phone_tokens.setdefault(self._keys.token("phone", number), []).append(ref)
        found: dict[MemberRef, UUID] = {}
        if keys:
            for known in repository.members_of_cards(conn, list(keys), ids):
                found.update((ref, known.member_id) for ref in keys.get(known.key, ()))
        if phone_tokens:
            for each in repository.members_of_phones(conn, list(phone_tokens)):
                found.update((ref, each.member_id) for ref in phone_tokens.get(each.token, ()))
        return found

    # -- inside

    def _insert(
        self, conn: Connection, scope: Scope, new: NewMember, name: str, number: str, now: datetime
    ) -> MemberRow:
        member_id = uuid4()
        keys = self._keys
        birthday = new.birthday
        for _ in range(_CARD_TRIES):
            row = MemberRow(
                member_id=member_id,
                card_no=cards.new_card(),
                home_store=new.home_store,
                country="",
                tier="member",
                key_id=keys.key_id,
                name_enc=keys.encrypt(member_id, "name", name),
                phone_enc=keys.encrypt(member_id, "phone", number),
                birthday_enc=keys.encrypt(member_id, "birthday", birthday.isoformat()) if birthday else None,
                source=new.source,
                enrolled_by=scope.actor,
                enrolled_at=now,
            )
            if repository.insert_member(conn, row):
                return row
        raise Conflict("no free card number was found", remedy="try again; if it persists, use longer numbers")

    def _tokens(self, name: str, number: str) -> list[tuple[TokenKind, bytes]]:
        token = self._keys.token
        wanted: list[tuple[TokenKind, bytes]] = [("last4", token("last4", phones.last4(number)))]
        wanted += [("name", token("name", key)) for key in sorted(names.name_keys(name))]
        wanted += [("initials", token("initials", key)) for key in sorted(names.initials(name))]
        return wanted

    def _wanted(self, text: str) -> list[tuple[TokenKind, bytes]]:
        """What a text that is no whole number may mean."""
        key = names.folded(text)
        token = self._keys.token
        if len(key) == 4 and key.isdecimal():
            return [("last4", token("last4", key))]
        return [("name", token("name", key)), ("initials", token("initials", key))]

    def _exact(self, conn: Connection, scope: Scope, text: str) -> UUID | None:
        if cards.is_card(text) and (by_card := repository.members_of_cards(conn, [text], [])):
            return by_card[0].member_id
        number = phones.maybe_e164(text, self._country(conn, scope))
        if number is None:
            return None
        by_phone = repository.members_of_phones(conn, [self._keys.token("phone", number)])
        return by_phone[0].member_id if by_phone else None

    def _country(self, conn: Connection, scope: Scope) -> str:
        return repository.default_country(conn, scope) or "CN"

    def _exists(self, conn: Connection, phone_token: bytes) -> Conflict:
        holders = repository.members_of_phones(conn, [phone_token])
        if not holders:
            return Conflict("this phone number was taken a moment ago", field="phone", remedy="search for it")
        return MemberExists(holders[0].member_id, holders[0].card_no)

    def _member(self, conn: Connection, scope: Scope, member_id: UUID, *, whole_chain: bool) -> Member:
        row = repository.member(conn, scope, member_id, whole_chain=whole_chain)
        if row is None:
            raise _no_member(member_id)
        summary = self._summary(row)
        birthday = None
        if row.birthday_enc is not None:
            birthday = date.fromisoformat(self._keys.decrypt(row.member_id, "birthday", row.birthday_enc, row.key_id))
        return Member(
            member_id=row.member_id,
            card_no=row.card_no,
            name=summary.name,
            phone=summary.phone,
            birthday=birthday,
            home_store=row.home_store,
            tier=row.tier,
            source=row.source,
            enrolled_by=row.enrolled_by,
            enrolled_at=row.enrolled_at,
            consents=repository.consents(conn, scope, member_id),
            purchases=repository.purchases(conn, scope, member_id),
        )

    def _summary(self, row: MemberRow) -> MemberSummary:
        number = self._keys.decrypt(row.member_id, "phone", row.phone_enc, row.key_id)
        return MemberSummary(
            member_id=row.member_id,
            card_no=row.card_no,
            name=self._keys.decrypt(row.member_id, "name", row.name_enc, row.key_id),
            phone=phones.masked(number, row.country),
            home_store=row.home_store,
            tier=row.tier,
            enrolled_at=row.enrolled_at,
        )


def _uuid(text: str) -> str | None:
    try:
        return str(UUID(text))
    except ValueError:
        return None


def _no_member(member_id: UUID) -> NotFound:
    return NotFound(
        f"there is no member {member_id} in your stores",
        field="member_id",
        remedy="search by the whole phone number or the card",
    )


def _check_birthday(birthday: date | None, now: datetime) -> None:
    if birthday is not None and not _OLDEST_BIRTHDAY <= birthday <= now.date():
        raise InvalidInput(
            f"the birthday {birthday} can't be", field="birthday", remedy="give year, month and day, or leave it out"
        )


def _check_consents(consents: Sequence[NewConsent]) -> None:
    for consent in consents:
        _check_consent(consent)
    if not any(each.purpose == "membership" and each.granted for each in consents):
        raise InvalidInput(
            "there is no consent to the membership",
            field="consents",
            remedy="ask, and record the answer; without it nobody is enrolled",
        )


def _check_consent(consent: NewConsent) -> None:
    if consent.purpose not in get_args(Purpose):
        raise InvalidInput(
            f"purpose {consent.purpose!r} is not known",
            field="consents",
            remedy=f"use one of {', '.join(get_args(Purpose))}",
        )
    if not consent.wording.strip():
        raise InvalidInput(
            "a consent needs the words that were shown", field="consents", remedy="send them as `wording`"
        )
