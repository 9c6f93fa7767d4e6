"""SQL of notes and attachments: encrypted, each for an audience."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from psycopg.rows import class_row, scalar_row

from server.access.models import Scope
from server.storage.pool import Connection

#: ``store`` is whoever may see the member, ``hq`` headquarters alone.
Audience = Literal["store", "hq"]


@dataclass(frozen=True, slots=True)
class NoteRow:
    """A note as stored."""

    note_id: UUID
    audience: Audience
    key_id: str
    text_enc: bytes
    written_by: str
    written_at: datetime


@dataclass(frozen=True, slots=True)
class AttachmentRow:
    """An attachment as stored; `content_enc` only where it was asked for."""

    attachment_id: UUID
    audience: Audience
    key_id: str
    name_enc: bytes
    media_type: str
    size: int
    added_by: str
    added_at: datetime
    content_enc: bytes | None = None


@dataclass(frozen=True, slots=True)
class Weight:
    """How many notes and bytes of attachments a member has."""

    notes: int
    attachments: int
    size: int


def insert_note(conn: Connection, member_id: UUID, row: NoteRow) -> None:
    """Keep a note."""
    conn.execute(
        """
        INSERT INTO member_note (note_id, member_id, audience, key_id, text_enc, written_by, written_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s)
        """,
        (row.note_id, member_id, row.audience, row.key_id, row.text_enc, row.written_by, row.written_at),
    )


def insert_attachment(conn: Connection, member_id: UUID, row: AttachmentRow, content_enc: bytes) -> None:
    """Keep an attachment."""
    conn.execute(
        """
        INSERT INTO member_attachment (attachment_id, member_id, audience, key_id, name_enc, media_type, size,
                                       content_enc, added_by, added_at)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        """,
        (
            *(row.attachment_id, member_id, row.audience, row.key_id, row.name_enc, row.media_type, row.size),
            *(content_enc, row.added_by, row.added_at),
        ),
    )


def weight(conn: Connection, scope: Scope, member_id: UUID) -> Weight:
    """What a member's family has of both, whoever may read it."""
    scope.require_role("admin", "hq", "region", "manager", "desk")
    with conn.cursor(row_factory=class_row(Weight)) as cursor:
        found = cursor.execute(
            """
            SELECT (SELECT count(*) FROM member_note WHERE member_id = ANY(family.ids)) AS notes,
                   count(a.attachment_id) AS attachments, coalesce(sum(a.size), 0) AS size
            FROM (SELECT ARRAY(SELECT member_family(%s)) AS ids) family
            LEFT JOIN member_attachment a ON a.member_id = ANY(family.ids)
            GROUP BY family.ids
            """,
            (member_id,),
        ).fetchone()
    assert found is not None, "a row is always made"  # noqa: S101
    return found


def notes(conn: Connection, scope: Scope, member_id: UUID) -> list[NoteRow]:
    """A member's notes that the scope's role may read, the newest first."""
    with conn.cursor(row_factory=class_row(NoteRow)) as cursor:
        return cursor.execute(
            """
            SELECT note_id, audience, key_id, text_enc, written_by, written_at
            FROM member_note
            WHERE member_id = ANY(ARRAY(SELECT member_family(%(member_id)s))) AND (audience = 'store' OR %(is_hq)s)
            ORDER BY written_at DESC, note_id
            """,
            {"member_id": member_id, "is_hq": scope.has_role("admin", "hq")},
        ).fetchall()


def attachments(conn: Connection, scope: Scope, member_id: UUID) -> list[AttachmentRow]:
    """A member's attachments that the scope's role may read, without their content, the newest first."""
    with conn.cursor(row_factory=class_row(AttachmentRow)) as cursor:
        return cursor.execute(
            """
            SELECT attachment_id, audience, key_id, name_enc, media_type, size, added_by, added_at
            FROM member_attachment
            WHERE member_id = ANY(ARRAY(SELECT member_family(%(member_id)s))) AND (audience = 'store' OR %(is_hq)s)
            ORDER BY added_at DESC, attachment_id
            """,
            {"member_id": member_id, "is_hq": scope.has_role("admin", "hq")},
        ).fetchall()


def attachment(conn: Connection, scope: Scope, member_id: UUID, attachment_id: UUID) -> AttachmentRow | None:
    """One of them with its content."""
    with conn.cursor(row_factory=class_row(AttachmentRow)) as cursor:
        return cursor.execute(
            """
            SELECT attachment_id, audience, key_id, name_enc, media_type, size, added_by, added_at, content_enc
            FROM member_attachment
            WHERE attachment_id = %(attachment_id)s
              AND member_id = ANY(ARRAY(SELECT member_family(%(member_id)s))) AND (audience = 'store' OR %(is_hq)s)
            """,
            {"attachment_id": attachment_id, "member_id": member_id, "is_hq": scope.has_role("admin", "hq")},
        ).fetchone()


def delete_note(conn: Connection, scope: Scope, member_id: UUID, note_id: UUID, *, only_own: bool) -> bool:
    """Delete a note that the scope's role may read; False when there is none, or with `only_own` none of one's own."""
    done = conn.execute(
        """
        DELETE FROM member_note
        WHERE note_id = %(id)s AND member_id = ANY(ARRAY(SELECT member_family(%(member_id)s)))
          AND (audience = 'store' OR %(is_hq)s) AND (NOT %(only_own)s OR written_by = %(actor)s)
        """,
        _whose(scope, member_id, note_id, only_own),
    )
    return done.rowcount == 1


def delete_attachment(conn: Connection, scope: Scope, member_id: UUID, attachment_id: UUID, *, only_own: bool) -> bool:
    """As `delete_note`, of an attachment."""
    done = conn.execute(
        """
        DELETE FROM member_attachment
        WHERE attachment_id = %(id)s AND member_id = ANY(ARRAY(SELECT member_family(%(member_id)s)))
          AND (audience = 'store' OR %(is_hq)s) AND (NOT %(only_own)s OR added_by = %(actor)s)
        """,
        _whose(scope, member_id, attachment_id, only_own),
    )
    return done.rowcount == 1


def _whose(scope: Scope, member_id: UUID, row_id: UUID, only_own: bool) -> dict[str, object]:
    return {
        "id": row_id,
        "member_id": member_id,
        "is_hq": scope.has_role("admin", "hq"),
        "only_own": only_own,
        "actor": scope.actor,
    }


def lock_member(conn: Connection, scope: Scope, member_id: UUID) -> None:
    """Let what is put beside a member be counted and put there in one go."""
    scope.require_role("admin", "hq", "region", "manager", "desk")
    with conn.cursor(row_factory=scalar_row) as cursor:
        cursor.execute("SELECT member_id FROM member WHERE member_id = %s FOR UPDATE", (member_id,))
