"""SQL of changing what a member's row says. Each works on a row that was read under the caller's scope and locked."""

from datetime import datetime
from uuid import UUID

from server.access.models import Scope
from server.membership.repository import MemberRow
from server.storage.pool import Connection


def lock(conn: Connection, scope: Scope, member_id: UUID) -> bool:
    """Let nobody else change a member until this transaction ends; False when there is none, or it is merged or erased.

    Which stores the member belongs to was looked at before, under the same scope.
    """
    scope.require_role("admin", "hq", "region", "manager", "desk")
    found = conn.execute(
        """
        SELECT FROM member
        WHERE member_id = %s AND erased_at IS NULL AND merged_into IS NULL
        FOR UPDATE
        """,
        (member_id,),
    ).fetchone()
    return found is not None


def save(conn: Connection, scope: Scope, row: MemberRow, at: datetime) -> None:
    """Keep a row that was locked and changed; what a change may not touch is left."""
    scope.require_role("admin", "hq", "region", "manager", "desk")
    conn.execute(
        """
        UPDATE member
        SET key_id = %s, name_enc = %s, phone_enc = %s, birthday_enc = %s, custom_enc = %s, phone_verified_at = %s,
            home_store = %s, campaign = %s, staff = %s, changed_at = %s
        WHERE member_id = %s
        """,
        (
            row.key_id,
            row.name_enc,
            row.phone_enc,
            row.birthday_enc,
            row.custom_enc,
            row.phone_verified_at,
            row.home_store,
            row.campaign,
            row.staff,
            at,
            row.member_id,
        ),
    )


def drop_tokens(conn: Connection, scope: Scope, member_id: UUID, *, with_phone: bool) -> None:
    """Let a member be found by nothing, or by nothing but the whole number; it is made anew in the same transaction."""
    scope.require_role("admin", "hq", "region", "manager", "desk")
    conn.execute(
        "DELETE FROM member_token WHERE member_id = %s AND (%s OR kind <> 'phone')",
        (member_id, with_phone),
    )
