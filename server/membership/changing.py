"""What the desk may change of a member: the right to correction, and a number that is not theirs any more.

Everything that is found by a hash is hashed anew in the transaction of the change, or a member is found by the name of
before and not by today's. A change says which fields it touched, in the audit trail and as an event, and never what was
or is in them. A number that somebody else has moves only with a code that was sent there.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from uuid import UUID

from server.access import audit
from server.access.models import Scope
from server.clock import Clock, utc_now
from server.errors import Conflict, InvalidInput
from server.events import outbox
from server.membership import change_repository, field_repository, names, number_repository, numbers, phones, repository
from server.membership.codes import OneTimeCodes
from server.membership.crypto import MemberKeys
from server.membership.fields import Given, check_answers
from server.membership.models import Member, Proof
from server.membership.reading import READERS, MemberReader
from server.membership.repository import MemberRow
from server.membership.service import check_birthday
from server.storage.pool import Connection, Database


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be otherwise; None leaves it as it is.

    Attributes:
        phone: as typed; without a country code it is of the (new) home store's country.
        proof: the code that was sent to the new number; needed where somebody else has it.
        forget_birthday: take it back: nobody has to say.
        custom: answers by field; None takes one back, fields that are not named stay.
    """

    name: str | None = field(default=None, repr=False)
    phone: str | None = field(default=None, repr=False)
    proof: Proof | None = None
    birthday: date | None = field(default=None, repr=False)
    forget_birthday: bool = False
    home_store: str | None = None
    custom: Mapping[str, Given] = field(default_factory=dict, repr=False)


class Changes:
    """Changes members."""

    def __init__(
        self, db: Database, keys: MemberKeys, reader: MemberReader, codes: OneTimeCodes, clock: Clock = utc_now
    ) -> None:
        self._db = db
        self._keys = keys
        self._reader = reader
        self._codes = codes
        self._clock = clock

    def change(self, scope: Scope, member_id: UUID, wanted: Change) -> Member:
        """Change a member of the caller's stores.

        Raises:
            NotFound: when there is none the caller may know of.
            Forbidden: when the new home store is not the caller's.
            InvalidInput: naming the field.
            MemberExists: when the number belongs to somebody else and there is no code; it says to whom.
        """
        scope.require_role(*READERS)
        now = self._clock()
        name = None if wanted.name is None else names.clean(wanted.name)
        check_birthday(wanted.birthday, now)
        if wanted.home_store is not None:
            scope.require(wanted.home_store)
        number = self._number(scope, member_id, wanted)
        if wanted.proof is not None:
            if number is None:
                raise InvalidInput(
                    "a code came without a number", field="phone", remedy="send the number it was sent to as well"
                )
            self._codes.check(wanted.proof, number)
        with self._db.transaction() as conn:
            row = self._locked(conn, scope, member_id)
            old = _Open(
                self._reader.name(row), self._reader.number(row), self._reader.birthday(row), self._reader.custom(row)
            )
            new = _Open(
                old.name if name is None else name,
                old.number if number is None else number,
                None if wanted.forget_birthday else (wanted.birthday or old.birthday),
                check_answers(field_repository.fields(conn), wanted.custom, before=old.custom),
            )
            changed = old.differing(new)
            if wanted.home_store not in {None, row.home_store}:
                changed.append("home_store")
            verifies = wanted.proof is not None
            if changed or verifies:
                verified = now if verifies else (None if "phone" in changed else row.phone_verified_at)
                home = wanted.home_store or row.home_store
                self._write(conn, scope, replace(row, home_store=home, phone_verified_at=verified), new, changed, now)
                if wanted.proof is not None:
                    self._codes.use(conn, wanted.proof)
                    numbers.detach(conn, scope, self._keys, new.number or "", row.member_id, now)
                if "phone" in changed and new.number is not None:
                    numbers.take(conn, self._keys, new.number, row.member_id)
                self._tell(conn, scope, row, changed, verifies=verifies, now=now)
            return self._reader.member(conn, scope, row.member_id, whole_chain=True)

    def _number(self, scope: Scope, member_id: UUID, wanted: Change) -> str | None:
        if wanted.phone is None:
            return None
        with self._db.read() as conn:
            row = self._reader.row(conn, scope, member_id)
            home = wanted.home_store
            country = row.country if home is None else self._reader.country_of(conn, scope, home)
        return phones.e164(wanted.phone, country)

    def _locked(self, conn: Connection, scope: Scope, member_id: UUID) -> MemberRow:
        root = self._reader.row(conn, scope, member_id).member_id
        if not change_repository.lock(conn, scope, root):
            raise Conflict("this member was merged or erased a moment ago", remedy="search for the member again")
        return self._reader.row(conn, scope, root)

    def _write(
        self, conn: Connection, scope: Scope, row: MemberRow, new: "_Open", changed: list[str], now: datetime
    ) -> None:
        """Keep the row, written anew under today's key, and make it be found by what it says now."""
        keys, member_id = self._keys, row.member_id
        if "phone" in changed:
            number_repository.keep_old(conn, member_id, now, "changed", None, scope.actor)
        sealed = replace(
            row,
            key_id=keys.key_id,
            name_enc=keys.encrypt(member_id, "name", new.name),
            phone_enc=keys.encrypt(member_id, "phone", new.number) if new.number else None,
            birthday_enc=keys.encrypt(member_id, "birthday", new.birthday.isoformat()) if new.birthday else None,
            custom_enc=keys.encrypt(member_id, "custom", json.dumps(new.custom)) if new.custom else None,
        )
        change_repository.save(conn, scope, sealed, now)
        # A row under an old key is under today's now, and so must be the hash of its number.
        renew = "phone" in changed or row.key_id != keys.key_id
        change_repository.drop_tokens(conn, scope, member_id, with_phone=renew)
        repository.insert_tokens(conn, member_id, self._reader.tokens(new.name, new.number, new.birthday))
        if renew and "phone" not in changed and new.number is not None:
            numbers.take(conn, keys, new.number, member_id)

    def _tell(
        self, conn: Connection, scope: Scope, row: MemberRow, changed: list[str], *, verifies: bool, now: datetime
    ) -> None:
        detail: dict[str, object] = {"fields": sorted(changed)}
        if verifies:
            detail["verified"] = True
        audit.record(
            conn,
            now,
            scope.actor,
            "member.change",
            subject=str(row.member_id),
            store_id=row.home_store,
            detail=detail,
        )
        if changed:
            outbox.record(conn, numbers.changed(row.member_id, row.home_store, changed))


@dataclass(frozen=True, slots=True)
class _Open:
    """What of a member is encrypted, in clear."""

    name: str
    number: str | None
    birthday: date | None
    custom: dict[str, bool | str | list[str]]

    def differing(self, other: "_Open") -> list[str]:
        """Names of the fields in which two differ, as an event tells them."""
        pairs = {
            "name": self.name != other.name,
            "phone": self.number != other.number,
            "birthday": self.birthday != other.birthday,
            "custom": self.custom != other.custom,
        }
        return [name for name, differs in pairs.items() if differs]
