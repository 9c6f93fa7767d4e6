"""What desk and headquarters note of a member, and the files beside it.

A note is about a person and is read by people, so it is encrypted like a name, and shown by role: one for headquarters
is not there for a desk. Files are kept in the database, encrypted, where a backup has them and no web root can; they
are few, small, and taken for what is in them and not for what they are called (`sniffing`).
"""

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID, uuid4

from server.access import audit
from server.access.models import Role, Scope
from server.clock import Clock, utc_now
from server.errors import Conflict, Forbidden, InvalidInput, NotFound
from server.membership import note_repository as repository
from server.membership.crypto import MemberKeys
from server.membership.note_repository import AttachmentRow, Audience, NoteRow
from server.membership.reading import HEADQUARTERS, READERS, MemberReader
from server.membership.sniffing import media_type
from server.storage.pool import Database

LONGEST: Final = 4000
MOST_NOTES: Final = 500
MOST_FILES: Final = 20
#: Who may also delete what somebody else wrote.
_KEEPERS: Final[tuple[Role, ...]] = ("admin", "hq", "manager")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
_UNSAFE: Final = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|\u202a-\u202e\u2066-\u2069\ud800-\udfff]')


@dataclass(frozen=True, slots=True)
class Note:
    """A note, and who may read it."""

    note_id: UUID
    audience: Audience
    text: str
    written_by: str
    written_at: datetime


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file, without its content; `media_type` is what was found in it."""

    attachment_id: UUID
    audience: Audience
    name: str
    media_type: str
    size: int
    added_by: str
    added_at: datetime


@dataclass(frozen=True, slots=True)
class Notebook:
    """Everything beside a member that the caller may read, the newest first."""

    notes: list[Note]
    attachments: list[Attachment]


class NotesService:
    """Notes and attachments."""

    def __init__(self, db: Database, keys: MemberKeys, reader: MemberReader, clock: Clock = utc_now) -> None:
        self._db = db
        self._keys = keys
        self._reader = reader
        self._clock = clock

    def notebook(self, scope: Scope, member_id: UUID) -> Notebook:
        """What is noted of a member of the caller's stores.

        Raises:
            NotFound: when there is no member the caller may know of.
        """
        scope.require_role(*READERS)
        with self._db.read() as conn:
            root = self._reader.row(conn, scope, member_id).member_id
            notes = repository.notes(conn, scope, root)
            files = repository.attachments(conn, scope, root)
        return Notebook([self._note(row) for row in notes], [self._attachment(row) for row in files])

    def write(self, scope: Scope, member_id: UUID, text: str, audience: Audience = "store") -> Note:
        """Note something.

        Raises:
            NotFound: when there is no member the caller may know of.
            Forbidden: a desk writes nothing that it can't read.
            InvalidInput: when it is empty or too long.
        """
        plain = unicodedata.normalize("NFC", text).strip()
        self._check_audience(scope, audience)
        if not plain or len(plain) > LONGEST or _CONTROL.search(plain):
            raise InvalidInput(
                "the note is empty, too long or has control characters",
                field="text",
                remedy=f"write up to {LONGEST} characters",
            )
        now = self._clock()
        note_id = uuid4()
        sealed = self._keys.encrypt(note_id, "note", plain)
        row = NoteRow(note_id, audience, self._keys.key_id, sealed, scope.actor, now)
        with self._db.transaction() as conn:
            member = self._reader.row(conn, scope, member_id)
            repository.lock_member(conn, scope, member.member_id)
            if repository.weight(conn, scope, member.member_id).notes >= MOST_NOTES:
                raise Conflict(f"this member has {MOST_NOTES} notes", remedy="delete some that say nothing any more")
            repository.insert_note(conn, member.member_id, row)
            detail: dict[str, object] = {"note": str(note_id), "audience": audience}
            audit.record(
                conn,
                now,
                scope.actor,
                "member.note",
                subject=str(member.member_id),
                store_id=member.home_store,
                detail=detail,
            )
        return self._note(row)

    def attach(
        self, scope: Scope, member_id: UUID, name: str, content: bytes, audience: Audience = "store"
    ) -> Attachment:
        """Put a file beside a member.

        Args:
            name: as the sender calls it; what can't stand in a file's name is taken out.

        Raises:
            NotFound: when there is no member the caller may know of.
            InvalidInput, TooLarge: for content that is not taken.
            Conflict: when there are too many already.
        """
        self._check_audience(scope, audience)
        kind = media_type(content)
        shown = _file_name(name, kind)
        now = self._clock()
        attachment_id = uuid4()
        row = AttachmentRow(
            attachment_id,
            audience,
            self._keys.key_id,
            self._keys.encrypt(attachment_id, "file_name", shown),
            kind,
            len(content),
            scope.actor,
            now,
        )
        sealed = self._keys.seal(attachment_id, "file", content)
        with self._db.transaction() as conn:
            member = self._reader.row(conn, scope, member_id)
            repository.lock_member(conn, scope, member.member_id)
            if repository.weight(conn, scope, member.member_id).attachments >= MOST_FILES:
                raise Conflict(f"this member has {MOST_FILES} files", remedy="delete some first")
            repository.insert_attachment(conn, member.member_id, row, sealed)
            detail: dict[str, object] = {"attachment": str(attachment_id), "audience": audience, "size": len(content)}
            audit.record(
                conn,
                now,
                scope.actor,
                "member.attach",
                subject=str(member.member_id),
                store_id=member.home_store,
                detail=detail,
            )
        return self._attachment(row)

    def content(self, scope: Scope, member_id: UUID, attachment_id: UUID) -> tuple[Attachment, bytes]:
        """A file with what is in it; the look is in the audit trail.

        Raises:
            NotFound: when there is none the caller may know of.
        """
        scope.require_role(*READERS)
        now = self._clock()
        with self._db.transaction() as conn:
            member = self._reader.row(conn, scope, member_id)
            row = repository.attachment(conn, scope, member.member_id, attachment_id)
            if row is None or row.content_enc is None:
                raise _no_such("attachment")
            audit.record(
                conn,
                now,
                scope.actor,
                "member.read_attachment",
                subject=str(member.member_id),
                store_id=member.home_store,
                detail={"attachment": str(attachment_id)},
            )
        return self._attachment(row), self._keys.open(attachment_id, "file", row.content_enc, row.key_id)

    def delete_note(self, scope: Scope, member_id: UUID, note_id: UUID) -> None:
        """Delete a note: one's own, or as admin, headquarters or manager anybody's that one may read."""
        self._delete(scope, member_id, note_id, "note")

    def delete_attachment(self, scope: Scope, member_id: UUID, attachment_id: UUID) -> None:
        """As `delete_note`, of a file."""
        self._delete(scope, member_id, attachment_id, "attachment")

    def _delete(self, scope: Scope, member_id: UUID, what_id: UUID, what: str) -> None:
        scope.require_role(*READERS)
        now = self._clock()
        only_own = not scope.has_role(*_KEEPERS)
        delete = repository.delete_note if what == "note" else repository.delete_attachment
        with self._db.transaction() as conn:
            member = self._reader.row(conn, scope, member_id)
            if not delete(conn, scope, member.member_id, what_id, only_own=only_own):
                raise _no_such(what)
            audit.record(
                conn,
                now,
                scope.actor,
                f"member.delete_{what}",
                subject=str(member.member_id),
                store_id=member.home_store,
                detail={what: str(what_id)},
            )

    def _check_audience(self, scope: Scope, audience: Audience) -> None:
        scope.require_role(*READERS)
        if audience not in {"store", "hq"}:
            raise InvalidInput(f"there is no audience {audience!r}", field="audience", remedy="use store or hq")
        if audience == "hq" and not scope.has_role(*HEADQUARTERS):
            raise Forbidden("what is for headquarters is written there", field="audience", remedy="use store")

    def _note(self, row: NoteRow) -> Note:
        text = self._keys.decrypt(row.note_id, "note", row.text_enc, row.key_id)
        return Note(row.note_id, row.audience, text, row.written_by, row.written_at)

    def _attachment(self, row: AttachmentRow) -> Attachment:
        name = self._keys.decrypt(row.attachment_id, "file_name", row.name_enc, row.key_id)
        return Attachment(row.attachment_id, row.audience, name, row.media_type, row.size, row.added_by, row.added_at)


def _file_name(name: str, kind: str) -> str:
    """A name that any system takes, with the ending of what is in it."""
    bare = _UNSAFE.sub("", unicodedata.normalize("NFC", name)).strip(" .")
    stem = bare.rsplit(".", 1)[0][:80].strip(" .") or "file"
    endings = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp", "application/pdf": "pdf"}
    return f"{stem}.{endings[kind]}"


def _no_such(what: str) -> NotFound:
    return NotFound(
        f"there is no such {what}, or it is not yours to delete", field=f"{what}_id", remedy="read them anew"
    )
