"""From one key to the next, while the shops are open.

The server is started with the new key and the old one behind it; everything new is under the new one from then on, and
both open and find. This takes what is left a batch at a time, each batch one transaction: stopped half-way it goes on
where it was, for what is done bears the new key's id. Hashes change with the key, so names and numbers are opened here,
hashed again and shown to nobody. The old key may be thrown away when nothing is under it any more, and not before: a
row left behind would be lost.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from typing import Final
from uuid import UUID

from server.access import audit
from server.access.models import Scope
from server.clock import Clock, utc_now
from server.errors import Conflict
from server.membership import rotation_repository as repository
from server.membership.crypto import Field, MemberKeys, TokenKind
from server.membership.reading import MemberReader
from server.membership.receipts import receipt_bytes
from server.membership.rotation_repository import MemberSecrets
from server.storage.pool import Connection, Database

BATCH: Final = 500
#: Attachments are megabytes each.
_FILES: Final = 5
_FIRST: Final = UUID(int=0)
Progress = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class Rotated:
    """What was done, and what is left under other keys, by what it is."""

    key_id: str
    done: dict[str, int]
    left: dict[str, int]


class KeyRotation:
    """Brings everything under today's key."""

    def __init__(self, db: Database, keys: MemberKeys, clock: Clock = utc_now) -> None:
        self._db = db
        self._keys = keys
        self._clock = clock
        self._reader = MemberReader(keys)

    def pending(self, scope: Scope) -> dict[str, int]:
        """How many rows are under other keys, by what they are."""
        scope.require_role("admin")
        scope.require_whole_chain()
        with self._db.read() as conn:
            return repository.counts(conn, self._keys.key_id)

    def run(self, scope: Scope, progress: Progress = lambda _what, _done: None, batch: int = BATCH) -> Rotated:
        """Encrypt, hash and sign everything anew that is under another key.

        Args:
            progress: told what and how many after each batch, in the order of `pending`.

        Raises:
            Conflict: something is under a key that is not among the old ones; nothing is touched then.
        """
        scope.require_role("admin")
        scope.require_whole_chain()
        with self._db.read() as conn:
            strangers = [each for each in repository.old_keys(conn, self._keys.key_id) if not self._keys.knows(each)]
        if strangers:
            raise Conflict(
                f"there are rows under keys that are not given: {', '.join(strangers)}",
                field="old_secret_keys",
                remedy="give them in DOORLINE_OLD_SECRET_KEYS, by commas, and run this again",
            )
        done = {
            "members": self._members(progress, batch),
            "old numbers": self._loop("old numbers", self._phones, batch, progress),
            "notes": self._loop("notes", self._notes, batch, progress),
            "attachments": self._loop("attachments", self._files, _FILES, progress),
            "receipts of erasure": self._loop("receipts of erasure", self._receipts, batch, progress),
        }
        now = self._clock()
        with self._db.transaction() as conn:
            detail: dict[str, object] = {**done, "key": self._keys.key_id}
            audit.record(conn, now, scope.actor, "member.rotate_keys", detail=detail)
            left = repository.counts(conn, self._keys.key_id)
        return Rotated(self._keys.key_id, done, left)

    def _members(self, progress: Progress, batch: int) -> int:
        done, after = 0, _FIRST
        while True:
            with self._db.transaction() as conn:
                rows = repository.members(conn, self._keys.key_id, after, batch)
                tokens: list[tuple[UUID, TokenKind, bytes]] = []
                for row in rows:
                    tokens += [(row.member_id, kind, token) for kind, token in self._renew(conn, row)]
                if rows:
                    repository.replace_tokens(conn, [row.member_id for row in rows], tokens)
            if not rows:
                return done
            done, after = done + len(rows), rows[-1].member_id
            progress("members", done)

    def _renew(self, conn: Connection, row: MemberSecrets) -> list[tuple[TokenKind, bytes]]:
        """A member under today's key; by what they are found from now on."""
        keys, owner = self._keys, row.member_id
        name = keys.decrypt(owner, "name", row.name_enc, row.key_id)
        number = self._text(owner, "phone", row.phone_enc, row.key_id)
        born = self._text(owner, "birthday", row.birthday_enc, row.key_id)
        custom = self._text(owner, "custom", row.custom_enc, row.key_id)
        repository.save_member(
            conn,
            MemberSecrets(
                owner,
                keys.key_id,
                keys.encrypt(owner, "name", name),
                None if number is None else keys.encrypt(owner, "phone", number),
                None if born is None else keys.encrypt(owner, "birthday", born),
                None if custom is None else keys.encrypt(owner, "custom", custom),
            ),
        )
        tokens = self._reader.tokens(name, number, None if born is None else date.fromisoformat(born))
        if number is not None:
            tokens.append(("phone", keys.token("phone", number)))
        return tokens

    def _text(self, owner: UUID, field: Field, data: bytes | None, key_id: str) -> str | None:
        return None if data is None else self._keys.decrypt(owner, field, data, key_id)

    def _loop(self, what: str, work: Callable[[Connection, int], int], batch: int, progress: Progress) -> int:
        done = 0
        while True:
            with self._db.transaction() as conn:
                count = work(conn, batch)
            if not count:
                return done
            done += count
            progress(what, done)

    def _phones(self, conn: Connection, limit: int) -> int:
        rows = repository.phones(conn, self._keys.key_id, limit)
        for row in rows:
            number = self._keys.decrypt(row.member_id, "phone", row.phone_enc, row.key_id)
            sealed = self._keys.encrypt(row.member_id, "phone", number)
            repository.save_phone(conn, replace(row, key_id=self._keys.key_id, phone_enc=sealed))
        return len(rows)

    def _notes(self, conn: Connection, limit: int) -> int:
        rows = repository.notes_under(conn, self._keys.key_id, limit)
        for row in rows:
            text = self._keys.decrypt(row.note_id, "note", row.text_enc, row.key_id)
            sealed = self._keys.encrypt(row.note_id, "note", text)
            repository.save_note(conn, replace(row, key_id=self._keys.key_id, text_enc=sealed))
        return len(rows)

    def _files(self, conn: Connection, limit: int) -> int:
        rows = repository.files(conn, self._keys.key_id, limit)
        for row in rows:
            owner = row.attachment_id
            name = self._keys.decrypt(owner, "file_name", row.name_enc, row.key_id)
            content = self._keys.open(owner, "file", row.content_enc, row.key_id)
            repository.save_file(
                conn,
                replace(
                    row,
                    key_id=self._keys.key_id,
                    name_enc=self._keys.encrypt(owner, "file_name", name),
                    content_enc=self._keys.seal(owner, "file", content),
                ),
            )
        return len(rows)

    def _receipts(self, conn: Connection, limit: int) -> int:
        rows = repository.receipts(conn, self._keys.key_id, limit)
        for row in rows:
            text = receipt_bytes(row.receipt)
            if not self._keys.has_signed(text, row.signature, row.key_id):
                raise Conflict(
                    f"the receipt of erasure {row.erasure_id} is not as it was signed",
                    remedy="restore it from a backup; nothing signs what was changed",
                )
            repository.save_receipt(conn, replace(row, key_id=self._keys.key_id, signature=self._keys.sign(text)))
        return len(rows)
