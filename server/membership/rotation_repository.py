"""SQL of changing the key: rows under another key than today's, a few at a time, locked.

Rows of the whole chain, on the order of whoever runs the server; nothing of them leaves but as ciphertext.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import LiteralString
from uuid import UUID

from psycopg.rows import class_row, scalar_row
from psycopg.types.json import Jsonb

from server.membership.crypto import TokenKind
from server.storage.pool import Connection

_COUNTS: dict[str, LiteralString] = {
    "members": "SELECT count(*) FROM member WHERE key_id <> %s AND erased_at IS NULL",
    "old numbers": "SELECT count(*) FROM member_phone WHERE key_id <> %s",
    "notes": "SELECT count(*) FROM member_note WHERE key_id <> %s",
    "attachments": "SELECT count(*) FROM member_attachment WHERE key_id <> %s",
    "receipts of erasure": "SELECT count(*) FROM member_erasure WHERE key_id <> %s",
}


@dataclass(frozen=True, slots=True)
class MemberSecrets:
    """What of a member is encrypted; also of one who was merged."""

    member_id: UUID
    key_id: str
    name_enc: bytes
    phone_enc: bytes | None
    birthday_enc: bytes | None
    custom_enc: bytes | None


@dataclass(frozen=True, slots=True)
class PhoneSecret:
    """A number of before."""

    phone_id: int
    member_id: UUID
    key_id: str
    phone_enc: bytes


@dataclass(frozen=True, slots=True)
class NoteSecret:
    """A note."""

    note_id: UUID
    key_id: str
    text_enc: bytes


@dataclass(frozen=True, slots=True)
class FileSecret:
    """An attachment."""

    attachment_id: UUID
    key_id: str
    name_enc: bytes
    content_enc: bytes


@dataclass(frozen=True, slots=True)
class SignedReceipt:
    """A receipt of erasure."""

    erasure_id: UUID
    key_id: str
    receipt: dict[str, object]
    signature: bytes


def counts(conn: Connection, key_id: str) -> dict[str, int]:
    """How many rows are under another key, by what they are."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        return {name: int(cursor.execute(query, (key_id,)).fetchone() or 0) for name, query in _COUNTS.items()}


def old_keys(conn: Connection, key_id: str) -> list[str]:
    """Ids of the other keys under which there is anything."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(
            """
            SELECT DISTINCT key_id
            FROM (SELECT key_id FROM member WHERE erased_at IS NULL
                  UNION SELECT key_id FROM member_phone
                  UNION SELECT key_id FROM member_note
                  UNION SELECT key_id FROM member_attachment
                  UNION SELECT key_id FROM member_erasure) AS used
            WHERE key_id <> %s
            ORDER BY key_id
            """,
            (key_id,),
        ).fetchall()


def members(conn: Connection, key_id: str, after: UUID, limit: int) -> list[MemberSecrets]:
    """The next members in the order of ids, locked; whoever is changed at the desk this moment is waited for."""
    with conn.cursor(row_factory=class_row(MemberSecrets)) as cursor:
        return cursor.execute(
            """
            SELECT member_id, key_id, name_enc, phone_enc, birthday_enc, custom_enc
            FROM member
            WHERE member_id > %s AND key_id <> %s AND erased_at IS NULL
            ORDER BY member_id
            LIMIT %s
            FOR UPDATE
            """,
            (after, key_id, limit),
        ).fetchall()


def save_member(conn: Connection, row: MemberSecrets) -> None:
    """A member under today's key."""
    conn.execute(
        """
        UPDATE member
        SET key_id = %s, name_enc = %s, phone_enc = %s, birthday_enc = %s, custom_enc = %s
        WHERE member_id = %s
        """,
        (row.key_id, row.name_enc, row.phone_enc, row.birthday_enc, row.custom_enc, row.member_id),
    )


def replace_tokens(conn: Connection, members: Sequence[UUID], tokens: Sequence[tuple[UUID, TokenKind, bytes]]) -> None:
    """Members are found by these hashes and no others."""
    conn.execute("DELETE FROM member_token WHERE member_id = ANY(%s::uuid[])", (list(members),))
    conn.execute(
        """
        INSERT INTO member_token (kind, token, member_id)
        SELECT * FROM unnest(%s::text[], %s::bytea[], %s::uuid[])
        ON CONFLICT (kind, token, member_id) DO NOTHING
        """,
        ([kind for _, kind, _ in tokens], [token for _, _, token in tokens], [member for member, _, _ in tokens]),
    )


def phones(conn: Connection, key_id: str, limit: int) -> list[PhoneSecret]:
    """Some numbers of before, locked."""
    with conn.cursor(row_factory=class_row(PhoneSecret)) as cursor:
        return cursor.execute(
            """
            SELECT phone_id, member_id, key_id, phone_enc
            FROM member_phone WHERE key_id <> %s ORDER BY phone_id LIMIT %s FOR UPDATE
            """,
            (key_id, limit),
        ).fetchall()


def save_phone(conn: Connection, row: PhoneSecret) -> None:
    """A number of before under today's key."""
    conn.execute(
        "UPDATE member_phone SET key_id = %s, phone_enc = %s WHERE phone_id = %s",
        (row.key_id, row.phone_enc, row.phone_id),
    )


def notes_under(conn: Connection, key_id: str, limit: int) -> list[NoteSecret]:
    """Some notes, locked."""
    with conn.cursor(row_factory=class_row(NoteSecret)) as cursor:
        return cursor.execute(
            """
            SELECT note_id, key_id, text_enc
            FROM member_note WHERE key_id <> %s ORDER BY note_id LIMIT %s FOR UPDATE
            """,
            (key_id, limit),
        ).fetchall()


def save_note(conn: Connection, row: NoteSecret) -> None:
    """A note under today's key."""
    conn.execute(
        "UPDATE member_note SET key_id = %s, text_enc = %s WHERE note_id = %s", (row.key_id, row.text_enc, row.note_id)
    )


def files(conn: Connection, key_id: str, limit: int) -> list[FileSecret]:
    """Some attachments with their content, locked."""
    with conn.cursor(row_factory=class_row(FileSecret)) as cursor:
        return cursor.execute(
            """
            SELECT attachment_id, key_id, name_enc, content_enc
            FROM member_attachment WHERE key_id <> %s ORDER BY attachment_id LIMIT %s FOR UPDATE
            """,
            (key_id, limit),
        ).fetchall()


def save_file(conn: Connection, row: FileSecret) -> None:
    """An attachment under today's key."""
    conn.execute(
        "UPDATE member_attachment SET key_id = %s, name_enc = %s, content_enc = %s WHERE attachment_id = %s",
        (row.key_id, row.name_enc, row.content_enc, row.attachment_id),
    )


def receipts(conn: Connection, key_id: str, limit: int) -> list[SignedReceipt]:
    """Some receipts of erasure, locked."""
    with conn.cursor(row_factory=class_row(SignedReceipt)) as cursor:
        return cursor.execute(
            """
            SELECT erasure_id, key_id, receipt, signature
            FROM member_erasure WHERE key_id <> %s ORDER BY erasure_id LIMIT %s FOR UPDATE
            """,
            (key_id, limit),
        ).fetchall()


def save_receipt(conn: Connection, row: SignedReceipt) -> None:
    """A receipt signed with today's key."""
    conn.execute(
        "UPDATE member_erasure SET key_id = %s, receipt = %s, signature = %s WHERE erasure_id = %s",
        (row.key_id, Jsonb(row.receipt), row.signature, row.erasure_id),
    )
