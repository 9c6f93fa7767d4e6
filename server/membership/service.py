"""The rules of membership: one member per number, nothing readable at rest, every look at a number on record.

The trap is the duplicate: the same person enrolled in two stores, or twice in one by two desks at once. So the number
is taken in the database (a unique keyed hash) and not looked up first; whoever comes second is told who has it.
"""

import json
from collections.abc import Sequence
from datetime import date, datetime
from typing import Final
from uuid import UUID, uuid4

from server.access import audit
from server.access.models import Scope
from server.clock import Clock, utc_now
from server.errors import Conflict, InvalidInput
from server.events import outbox
from server.events.models import NewEvent
from server.membership import cards, care_repository, field_repository, names, numbers, phones, repository
from server.membership.codes import OneTimeCodes
from server.membership.consents import Consents, check_consents
from server.membership.crypto import MemberKeys
from server.membership.fields import Answer, check_answers
from server.membership.models import Member, MemberRef, MemberSummary, NewConsent, NewMember
from server.membership.reading import READERS, MemberReader, no_member
from server.membership.repository import MemberRow
from server.membership.texts import label
from server.storage.pool import Connection, Database

_MOST_FOUND: Final = 50
_CARD_TRIES: Final = 20
_MOST_TAGS: Final = 30
_OLDEST_BIRTHDAY: Final = date(1900, 1, 1)


class MembershipService:
    """Members.

    Args:
        keys: of the members' data.
    """

    def __init__(
        self, db: Database, keys: MemberKeys, clock: Clock = utc_now, codes: OneTimeCodes | None = None
    ) -> None:
        self._db = db
        self._keys = keys
        self._clock = clock
        self._codes = codes
        self._reader = MemberReader(keys)
        self._consents = Consents(db, self._reader, clock)

    def enrol(self, scope: Scope, new: NewMember) -> Member:
        """Make a person a member.

        A number that somebody else has is taken from them when `new.proof` shows that the person holds it now.

        Raises:
            Forbidden: when the home store is not the caller's, or the caller is a till.
            InvalidInput: a bad name, number, birthday, answer or code, or no consent to the membership.
            MemberExists: when the number belongs to a member; it carries that member's id and card.
        """
        scope.require_role(*READERS)
        scope.require(new.home_store)
        now = self._clock()
        name = names.clean(new.name)
        check_birthday(new.birthday, now)
        check_consents(new.consents)
        number = self._number(scope, new)
        if new.proof is not None:
            self._prover().check(new.proof, number)
        with self._db.transaction() as conn:
            custom = check_answers(field_repository.fields(conn), new.custom)
            # A desk without a network hands in later what was agreed earlier.
            agreed_at = now if new.at is None else min(new.at, now)
            joined_at = agreed_at if new.joined_at is None else min(new.joined_at, agreed_at)
            row = self._insert(conn, scope, new, name, number, custom, joined_at)
            if new.proof is not None:
                self._prover().use(conn, new.proof)
                numbers.detach(conn, scope, self._keys, number, row.member_id, now)
            numbers.take(conn, self._keys, number, row.member_id)
            repository.insert_tokens(conn, row.member_id, self._reader.tokens(name, number, new.birthday))
            repository.insert_consents(conn, row.member_id, new.consents, scope.actor, agreed_at)
            if row.advisor:
                care_repository.insert_advisor(conn, row.member_id, row.advisor, scope.actor, now, "enrolled")
            tags = sorted({label(tag, "tags") for tag in new.tags[:_MOST_TAGS]})
            care_repository.add_tags(conn, row.member_id, tags, scope.actor, now)
            detail: dict[str, object] = {"source": new.source}
            if new.proof is not None:
                detail["verified"] = True
            audit.record(
                conn,
                now,
                scope.actor,
                "member.enrol",
                subject=str(row.member_id),
                store_id=new.home_store,
                detail=detail,
            )
            body = {"source": row.source, "campaign": row.campaign, "staff": row.staff, "advisor": row.advisor}
            outbox.record(conn, NewEvent("member.enrolled", new.home_store, str(row.member_id), body))
            return self._reader.member(conn, scope, row.member_id, whole_chain=True)

    def find_by_phone(self, scope: Scope, text: str, country: str | None = None) -> Member | None:
        """The member with exactly this number, of any store; None when there is none.

        Args:
            country: of a number without a country code; that of most of the caller's stores when left out.

        Raises:
            InvalidInput: when it is no phone number.
        """
        scope.require_role(*READERS)
        with self._db.read() as conn:
            number = phones.e164(text, country or self._reader.country(conn, scope))
            found = self._reader.holder(conn, number)
            return None if found is None else self._reader.member(conn, scope, found, whole_chain=True)

    def find_by_card(self, scope: Scope, card_no: str) -> Member | None:
        """The member with exactly this card, of any store; None when there is none."""
        scope.require_role(*READERS)
        with self._db.read() as conn:
            found = repository.members_of_cards(conn, [card_no.strip()], [])
            return self._reader.member(conn, scope, found[0].member_id, whole_chain=True) if found else None

    def find_exact(self, scope: Scope, text: str) -> Member | None:
        """The member whose whole number or card was typed, of any store; None when it is neither, or nobody's."""
        scope.require_role(*READERS)
        with self._db.read() as conn:
            found = self._reader.exact(conn, scope, text.strip())
            return None if found is None else self._reader.member(conn, scope, found, whole_chain=True)

    def member(self, scope: Scope, member_id: UUID) -> Member:
        """A member of one's own stores, or who bought in one of them.

        Raises:
            NotFound: when there is none the caller may know of.
        """
        scope.require_role(*READERS)
        with self._db.read() as conn:
            return self._reader.member(conn, scope, member_id, whole_chain=False)

    def search(self, scope: Scope, text: str) -> list[MemberSummary]:
        """Members by whatever was typed: number, card, last four digits, name, pinyin or initials.

        A whole number or card finds a member of any store; everything else, the caller's own stores only. Where no name
        is written like this, names that sound like it are found.
        """
        scope.require_role(*READERS)
        plain = text.strip()
        if not plain:
            return []
        with self._db.read() as conn:
            exact = self._reader.exact(conn, scope, plain)
            if exact is not None:
                row = repository.member(conn, scope, exact, whole_chain=True)
                return [self._reader.summary(row)] if row else []
            found = repository.members_by_tokens(conn, scope, self._reader.wanted(plain), _MOST_FOUND)
            if not found and (sounding := self._reader.sounding(plain)):
                found = repository.members_by_tokens(conn, scope, sounding, _MOST_FOUND)
        return [self._reader.summary(row) for row in found]

    def recent(self, scope: Scope, store_id: str | None = None, limit: int = 20) -> list[MemberSummary]:
        """The newest members of the caller's stores, or of one of them."""
        scope.require_role(*READERS)
        if store_id is not None:
            scope.require(store_id)
        with self._db.read() as conn:
            return [self._reader.summary(row) for row in repository.recent(conn, scope, store_id, limit)]

    def summaries(self, scope: Scope, member_ids: Sequence[UUID]) -> dict[UUID, MemberSummary]:
        """Members of the caller's stores as a list shows them, by id; whoever is none of theirs is left out."""
        scope.require_role(*READERS)
        with self._db.read() as conn:
            rows = (repository.member(conn, scope, member_id, whole_chain=False) for member_id in member_ids)
            return {row.member_id: self._reader.summary(row) for row in rows if row is not None}

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
        scope.require_role(*READERS)
        now = self._clock()
        with self._db.transaction() as conn:
            row = repository.member(conn, scope, member_id, whole_chain=False)
            if row is None or not scope.allows(row.home_store):
                raise no_member(member_id)
            number = self._reader.number(row)
            if number is None:
                raise Conflict(
                    "this member has no number any more: it went to somebody else",
                    field="phone",
                    remedy="ask for the new one",
                )
            audit.record(
                conn,
                now,
                scope.actor,
                "member.reveal_phone",
                subject=str(row.member_id),
                store_id=row.home_store,
            )
            return number

    def record_consent(self, scope: Scope, member_id: UUID, consent: NewConsent) -> Member:
        """Record a new answer of a member, as `Consents.record`."""
        return self._consents.record(scope, member_id, consent)

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
                for token in self._keys.tokens("phone", number):
                    phone_tokens.setdefault(token, []).append(ref)
        found: dict[MemberRef, UUID] = {}
        if keys:
            for known in repository.members_of_cards(conn, list(keys), ids):
                found.update((ref, known.member_id) for ref in keys.get(known.key, ()))
        if phone_tokens:
            for each in repository.members_of_phones(conn, list(phone_tokens)):
                found.update((ref, each.member_id) for ref in phone_tokens.get(each.token, ()))
        return found

    # -- inside

    def _number(self, scope: Scope, new: NewMember) -> str:
        with self._db.read() as conn:
            return phones.e164(new.phone, self._reader.country_of(conn, scope, new.home_store))

    def _prover(self) -> OneTimeCodes:
        if self._codes is None:
            raise InvalidInput("codes can't be checked here", field="proof", remedy="enrol at a desk of the server")
        return self._codes

    def _insert(
        self,
        conn: Connection,
        scope: Scope,
        new: NewMember,
        name: str,
        number: str,
        custom: dict[str, Answer],
        now: datetime,
    ) -> MemberRow:
        member_id = uuid4()
        keys = self._keys
        born = new.birthday
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
                birthday_enc=keys.encrypt(member_id, "birthday", born.isoformat()) if born else None,
                source=label(new.source, "source"),
                enrolled_by=scope.actor,
                enrolled_at=now,
                custom_enc=keys.encrypt(member_id, "custom", json.dumps(custom)) if custom else None,
                phone_verified_at=now if new.proof is not None else None,
                enrolled_store=new.home_store,
                staff=label(new.staff, "staff") if new.staff else "",
                campaign=label(new.campaign, "campaign") if new.campaign else "",
                advisor=label(new.advisor, "advisor") if new.advisor else "",
                external_no=label(new.external_no, "external_no") if new.external_no else None,
            )
            if repository.insert_member(conn, row):
                return row
        raise Conflict("no free card number was found", remedy="try again; if it persists, use longer numbers")


def _uuid(text: str) -> str | None:
    try:
        return str(UUID(text))
    except ValueError:
        return None


def check_birthday(birthday: date | None, now: datetime) -> None:
    """A birthday somebody alive can have.

    Raises:
        InvalidInput: for the field ``birthday``.
    """
    if birthday is not None and not _OLDEST_BIRTHDAY <= birthday <= now.date():
        raise InvalidInput(
            f"the birthday {birthday} can't be", field="birthday", remedy="give year, month and day, or leave it out"
        )
