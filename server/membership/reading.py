"""From a row to a member, and from what was typed to a row: the one place where members' data is opened.

What every service of membership needs to read; rules of changing stand with each. A phone number leaves here masked.
"""

import json
from collections.abc import Iterable
from datetime import date
from typing import Final
from uuid import UUID

from server.access.models import Role, Scope
from server.errors import NotFound
from server.membership import cards, names, phones, purchase_repository, repository
from server.membership.crypto import MemberKeys, TokenKind
from server.membership.fields import Answer
from server.membership.models import Member, MemberSummary
from server.membership.repository import MemberRow
from server.storage.pool import Connection

#: Who may look at members; a till's key may only name them.
READERS: Final[tuple[Role, ...]] = ("admin", "hq", "region", "manager", "desk")
#: Who decides for the chain.
HEADQUARTERS: Final[tuple[Role, ...]] = ("admin", "hq")


class MemberReader:
    """Opens members.

    Args:
        keys: of the members' data.
    """

    def __init__(self, keys: MemberKeys) -> None:
        self._keys = keys

    def exact(self, conn: Connection, scope: Scope, text: str) -> UUID | None:
        """Whom a whole number or card means, of any store."""
        if cards.is_card(text) and (by_card := repository.members_of_cards(conn, [text], [])):
            return by_card[0].member_id
        number = phones.maybe_e164(text, self.country(conn, scope))
        return None if number is None else self.holder(conn, number)

    def holder(self, conn: Connection, number: str) -> UUID | None:
        """Who has a number (E.164), of any store."""
        found = repository.members_of_phones(conn, self._keys.tokens("phone", number))
        return found[0].member_id if found else None

    def country(self, conn: Connection, scope: Scope) -> str:
        """The country of a number whose store isn't known: that of most of the caller's stores."""
        return repository.default_country(conn, scope) or "CN"

    def country_of(self, conn: Connection, scope: Scope, store_id: str) -> str:
        """The country of a store.

        Raises:
            NotFound: when there is no such store.
        """
        country = repository.home_country(conn, scope, store_id)
        if country is None:
            raise NotFound(f"there is no store {store_id!r}", field="home_store")
        return country

    def row(self, conn: Connection, scope: Scope, member_id: UUID) -> MemberRow:
        """A member of the caller's stores, or who bought in one of them, still closed.

        Raises:
            NotFound: when there is none the caller may know of.
        """
        row = repository.member(conn, scope, member_id, whole_chain=False)
        if row is None:
            raise no_member(member_id)
        return row

    def member(self, conn: Connection, scope: Scope, member_id: UUID, *, whole_chain: bool) -> Member:
        """A member.

        Args:
            whole_chain: True only after an exact phone or card number led here.

        Raises:
            NotFound: as `row`.
        """
        row = repository.member(conn, scope, member_id, whole_chain=whole_chain)
        if row is None:
            raise no_member(member_id)
        summary = self.summary(row)
        more = repository.more(conn, scope, row.member_id)
        return Member(
            member_id=row.member_id,
            card_no=row.card_no,
            name=summary.name,
            phone=summary.phone,
            birthday=self.birthday(row),
            home_store=row.home_store,
            tier=row.tier,
            source=row.source,
            enrolled_by=row.enrolled_by,
            enrolled_at=row.enrolled_at,
            consents=repository.consents(conn, scope, row.member_id),
            purchases=purchase_repository.purchases(conn, scope, row.member_id),
            phone_verified_at=row.phone_verified_at,
            enrolled_store=row.enrolled_store,
            staff=row.staff,
            campaign=row.campaign,
            advisor=row.advisor,
            tags=more.tags,
            custom=self.custom(row),
            merged=more.merged,
        )

    def summary(self, row: MemberRow) -> MemberSummary:
        """A member in a list."""
        number = self.number(row)
        return MemberSummary(
            member_id=row.member_id,
            card_no=row.card_no,
            name=self.name(row),
            phone=phones.masked(number, row.country) if number else "",
            home_store=row.home_store,
            tier=row.tier,
            enrolled_at=row.enrolled_at,
        )

    def name(self, row: MemberRow) -> str:
        """The name."""
        return self._keys.decrypt(row.member_id, "name", row.name_enc, row.key_id)

    def number(self, row: MemberRow) -> str | None:
        """The number in E.164; None where it went to somebody else. Every way from here to a person is audited."""
        if row.phone_enc is None:
            return None
        return self._keys.decrypt(row.member_id, "phone", row.phone_enc, row.key_id)

    def birthday(self, row: MemberRow) -> date | None:
        """The birthday."""
        if row.birthday_enc is None:
            return None
        return date.fromisoformat(self._keys.decrypt(row.member_id, "birthday", row.birthday_enc, row.key_id))

    def custom(self, row: MemberRow) -> dict[str, Answer]:
        """What the member answered to the chain's own questions, by field."""
        if row.custom_enc is None:
            return {}
        answers: dict[str, Answer] = json.loads(self._keys.decrypt(row.member_id, "custom", row.custom_enc, row.key_id))
        return answers

    def wanted(self, text: str) -> list[tuple[TokenKind, bytes]]:
        """What a text that is no whole number may mean."""
        key = names.folded(text)
        if len(key) == 4 and key.isdecimal():
            return self._under_every_key([("last4", key)])
        return self._under_every_key([("name", key), ("initials", key)])

    def sounding(self, text: str) -> list[tuple[TokenKind, bytes]]:
        """Names that sound like one in Chinese characters: a clerk who heard 张玮 types 张伟. Empty for other texts."""
        if not names.has_han(text):
            return []
        return self._under_every_key(("name", sound) for sound in sorted(names.sounds(text)))

    def tokens(self, name: str, number: str | None, birthday: date | None) -> list[tuple[TokenKind, bytes]]:
        """By what a member is found, the whole number aside, which one member has alone."""
        token = self._keys.token
        found: list[tuple[TokenKind, bytes]] = [("name", token("name", key)) for key in sorted(names.name_keys(name))]
        found += [("initials", token("initials", key)) for key in sorted(names.initials(name))]
        if number is not None:
            found.append(("last4", token("last4", phones.last4(number))))
        if birthday is not None:
            found.append(("twin", token("twin", f"{names.folded(name)}\0{birthday.isoformat()}")))
        return found

    def _under_every_key(self, texts: Iterable[tuple[TokenKind, str]]) -> list[tuple[TokenKind, bytes]]:
        return [(kind, token) for kind, text in texts for token in self._keys.tokens(kind, text)]


def no_member(member_id: UUID) -> NotFound:
    """There is none the caller may know of."""
    return NotFound(
        f"there is no member {member_id} in your stores",
        field="member_id",
        remedy="search by the whole phone number or the card",
    )
