"""SQL of a member's rights: what membership itself keeps of a person, its removal, and the receipts that prove it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from psycopg.rows import class_row, scalar_row
from psycopg.types.json import Jsonb

from server.access.models import Role, Scope
from server.membership.models import Consent
from server.membership.note_repository import AttachmentRow, NoteRow
from server.storage.pool import Connection

_ROLES: Final[tuple[Role, ...]] = ("admin", "hq", "region", "manager")


@dataclass(frozen=True, slots=True)
class Person:
    """A row of the family, still closed."""

    member_id: UUID
    card_no: str
    home_store: str
    tier: str
    key_id: str
    name_enc: bytes
    phone_enc: bytes | None
    birthday_enc: bytes | None
    custom_enc: bytes | None
    phone_verified_at: datetime | None
    enrolled_store: str | None
    source: str
    campaign: str
    staff: str
    advisor: str
    external_no: str | None
    enrolled_at: datetime
    merged_into: UUID | None


@dataclass(frozen=True, slots=True)
class OldPhone:
    """A number of before."""

    member_id: UUID
    key_id: str
    phone_enc: bytes
    until_at: datetime
    why: str


@dataclass(frozen=True, slots=True)
class Trace:
    """A line of the audit trail that is about a member."""

    at: datetime
    actor: str
    action: str


@dataclass(frozen=True, slots=True)
class Bought:
    """A receipt, as a member may see it."""

    store_id: str
    receipt_no: str
    kind: str
    channel: str
    at: datetime
    currency: str
    gross: str
    voided: bool


@dataclass(frozen=True, slots=True)
class ErasureRow:
    """A receipt of erasure as stored."""

    erasure_id: UUID
    member_id: UUID
    erased_by: str
    erased_at: datetime
    reason: str
    receipt: dict[str, object]
    signature: bytes
    key_id: str


def family(conn: Connection, scope: Scope, member_id: UUID) -> list[Person]:
    """A member and all who were merged into it, locked, the member first."""
    scope.require_role("admin", "hq", "region", "manager", "desk")
    with conn.cursor(row_factory=class_row(Person)) as cursor:
        return cursor.execute(
            """
            SELECT member_id, card_no, home_store, tier, key_id, name_enc, phone_enc, birthday_enc, custom_enc,
                   phone_verified_at, enrolled_store, source, campaign, staff, advisor, external_no, enrolled_at,
                   merged_into
            FROM member
            WHERE member_id = ANY(ARRAY(SELECT member_family(%s))) AND erased_at IS NULL
            ORDER BY merged_into IS NOT NULL, member_id
            FOR UPDATE
            """,
            (member_id,),
        ).fetchall()


def old_phones(conn: Connection, scope: Scope, members: Sequence[UUID]) -> list[OldPhone]:
    """Numbers of before."""
    scope.require_role("admin", "hq", "region", "manager", "desk")
    with conn.cursor(row_factory=class_row(OldPhone)) as cursor:
        return cursor.execute(
            """
            SELECT member_id, key_id, phone_enc, until_at, why
            FROM member_phone WHERE member_id = ANY(%s::uuid[]) ORDER BY until_at
            """,
            (list(members),),
        ).fetchall()


def consents(conn: Connection, scope: Scope, members: Sequence[UUID]) -> list[Consent]:
    """Every answer, the oldest first."""
    scope.require_role("admin", "hq", "region", "manager", "desk")
    with conn.cursor(row_factory=class_row(Consent)) as cursor:
        return cursor.execute(
            """
            SELECT purpose, granted, wording, channel, recorded_by, at, reach, version
            FROM member_consent WHERE member_id = ANY(%s::uuid[]) ORDER BY at, consent_id
            """,
            (list(members),),
        ).fetchall()


def notes(conn: Connection, scope: Scope, members: Sequence[UUID]) -> list[NoteRow]:
    """Every note, for whatever audience: what is written of a person is the person's to read."""
    scope.require_role("admin", "hq", "region", "manager", "desk")
    with conn.cursor(row_factory=class_row(NoteRow)) as cursor:
        return cursor.execute(
            """
            SELECT note_id, audience, key_id, text_enc, written_by, written_at
            FROM member_note WHERE member_id = ANY(%s::uuid[]) ORDER BY written_at, note_id
            """,
            (list(members),),
        ).fetchall()


def attachments(conn: Connection, scope: Scope, members: Sequence[UUID]) -> list[AttachmentRow]:
    """Every attachment, without content."""
    scope.require_role("admin", "hq", "region", "manager", "desk")
    with conn.cursor(row_factory=class_row(AttachmentRow)) as cursor:
        return cursor.execute(
            """
            SELECT attachment_id, audience, key_id, name_enc, media_type, size, added_by, added_at
            FROM member_attachment WHERE member_id = ANY(%s::uuid[]) ORDER BY added_at, attachment_id
            """,
            (list(members),),
        ).fetchall()


def tags(conn: Connection, scope: Scope, members: Sequence[UUID]) -> list[str]:
    """Every tag."""
    scope.require_role("admin", "hq", "region", "manager", "desk")
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(
            "SELECT DISTINCT tag FROM member_tag WHERE member_id = ANY(%s::uuid[]) ORDER BY tag", (list(members),)
        ).fetchall()


def traces(conn: Connection, members: Sequence[UUID], limit: int) -> list[Trace]:
    """Who looked at the member or changed something, the newest first: part of what a person may ask for."""
    with conn.cursor(row_factory=class_row(Trace)) as cursor:
        return cursor.execute(
            """
            SELECT at, actor, action FROM audit
            WHERE subject = ANY(%s::text[]) ORDER BY audit_id DESC LIMIT %s
            """,
            ([str(member) for member in members], limit),
        ).fetchall()


def bought(conn: Connection, scope: Scope, members: Sequence[UUID]) -> list[Bought]:
    """Every receipt of the members, in whatever store: the right is against the chain."""
    scope.require_role("admin", "hq", "region", "manager", "desk")
    with conn.cursor(row_factory=class_row(Bought)) as cursor:
        return cursor.execute(
            """
            SELECT store_id, receipt_no, kind, channel, at, currency, gross::text AS gross,
                   voided_at IS NOT NULL AS voided
            FROM receipt WHERE member_id = ANY(%s::uuid[]) ORDER BY at, store_id, receipt_no
            """,
            (list(members),),
        ).fetchall()


def sold(conn: Connection, scope: Scope, members: Sequence[UUID]) -> dict[str, str]:
    """How many receipts point at the members, and their sum by currency."""
    scope.require_role("admin", "hq", "region", "manager", "desk")
    rows = conn.execute(
        """
        SELECT currency, count(*), sum(CASE kind WHEN 'refund' THEN -gross ELSE gross END)::text
        FROM receipt WHERE member_id = ANY(%s::uuid[]) GROUP BY currency ORDER BY currency
        """,
        (list(members),),
    ).fetchall()
    return {str(currency): f"{count} receipts, {total}" for currency, count, total in rows}


def empty(conn: Connection, scope: Scope, members: Sequence[UUID], at: datetime) -> dict[str, int]:
    """Remove all that names the persons; rows by what they were. The members' own rows stay, empty."""
    scope.require_role(*_ROLES)
    ids = list(members)
    gone = {
        "hashes": conn.execute("DELETE FROM member_token WHERE member_id = ANY(%s::uuid[])", (ids,)).rowcount,
        "old numbers": conn.execute("DELETE FROM member_phone WHERE member_id = ANY(%s::uuid[])", (ids,)).rowcount,
        "notes": conn.execute("DELETE FROM member_note WHERE member_id = ANY(%s::uuid[])", (ids,)).rowcount,
        "attachments": conn.execute("DELETE FROM member_attachment WHERE member_id = ANY(%s::uuid[])", (ids,)).rowcount,
        "tags": conn.execute("DELETE FROM member_tag WHERE member_id = ANY(%s::uuid[])", (ids,)).rowcount,
        "advisors": conn.execute("DELETE FROM member_advisor WHERE member_id = ANY(%s::uuid[])", (ids,)).rowcount,
        "card pages": conn.execute("DELETE FROM member_link WHERE member_id = ANY(%s::uuid[])", (ids,)).rowcount,
        "looked alike": conn.execute(
            "DELETE FROM member_not_twin WHERE one = ANY(%(ids)s::uuid[]) OR other = ANY(%(ids)s::uuid[])", {"ids": ids}
        ).rowcount,
    }
    conn.execute("UPDATE member_merge SET reason = '' WHERE kept = ANY(%(ids)s) OR gone = ANY(%(ids)s)", {"ids": ids})
    conn.execute("UPDATE member_phone SET went_to = NULL WHERE went_to = ANY(%s::uuid[])", (ids,))
    gone["members"] = conn.execute(
        """
        UPDATE member
        SET name_enc = NULL, phone_enc = NULL, birthday_enc = NULL, custom_enc = NULL, phone_verified_at = NULL,
            card_no = 'erased:' || member_id, external_no = NULL, advisor = '', staff = '', campaign = '',
            erased_at = %s, changed_at = %s
        WHERE member_id = ANY(%s::uuid[])
        """,
        (at, at, ids),
    ).rowcount
    return {what: rows for what, rows in gone.items() if rows}


def left(conn: Connection, scope: Scope, members: Sequence[UUID]) -> dict[str, int]:
    """What names the persons and is still there, by what it is."""
    scope.require_role("admin", "hq", "region", "manager", "desk")
    row = conn.execute(
        """
        SELECT (SELECT count(*) FROM member_token WHERE member_id = ANY(%(ids)s::uuid[])),
               (SELECT count(*) FROM member_phone WHERE member_id = ANY(%(ids)s::uuid[])
                                                     OR went_to = ANY(%(ids)s::uuid[])),
               (SELECT count(*) FROM member_note WHERE member_id = ANY(%(ids)s::uuid[])),
               (SELECT count(*) FROM member_attachment WHERE member_id = ANY(%(ids)s::uuid[])),
               (SELECT count(*) FROM member_tag WHERE member_id = ANY(%(ids)s::uuid[])),
               (SELECT count(*) FROM member_advisor WHERE member_id = ANY(%(ids)s::uuid[])),
               (SELECT count(*) FROM member_link WHERE member_id = ANY(%(ids)s::uuid[])),
               (SELECT count(*) FROM member
                WHERE member_id = ANY(%(ids)s::uuid[])
                  AND (erased_at IS NULL OR name_enc IS NOT NULL OR phone_enc IS NOT NULL OR birthday_enc IS NOT NULL
                       OR custom_enc IS NOT NULL OR external_no IS NOT NULL OR card_no NOT LIKE 'erased:%%'))
        """,
        {"ids": list(members)},
    ).fetchone()
    assert row is not None, "counts always answer"  # noqa: S101
    kinds = ("hashes", "old numbers", "notes", "attachments", "tags", "advisors", "card pages", "members")
    return {what: rows for what, rows in zip(kinds, row, strict=True) if rows}


def insert_erasure(conn: Connection, row: ErasureRow) -> None:
    """Keep a receipt."""
    conn.execute(
        """
        INSERT INTO member_erasure (erasure_id, member_id, erased_by, erased_at, reason, receipt, signature, key_id)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
        """,
        (
            *(row.erasure_id, row.member_id, row.erased_by, row.erased_at, row.reason),
            *(Jsonb(row.receipt), row.signature, row.key_id),
        ),
    )


def erasure(conn: Connection, scope: Scope, erasure_id: UUID) -> ErasureRow | None:
    """A receipt by its number; it names nobody."""
    scope.require_role(*_ROLES)
    with conn.cursor(row_factory=class_row(ErasureRow)) as cursor:
        return cursor.execute(
            """
            SELECT erasure_id, member_id, erased_by, erased_at, reason, receipt, signature, key_id
            FROM member_erasure WHERE erasure_id = %s
            """,
            (erasure_id,),
        ).fetchone()


def erasures(conn: Connection, scope: Scope, limit: int) -> list[ErasureRow]:
    """The newest receipts."""
    scope.require_role(*_ROLES)
    with conn.cursor(row_factory=class_row(ErasureRow)) as cursor:
        return cursor.execute(
            """
            SELECT erasure_id, member_id, erased_by, erased_at, reason, receipt, signature, key_id
            FROM member_erasure ORDER BY erased_at DESC, erasure_id LIMIT %s
            """,
            (limit,),
        ).fetchall()
