"""SQL of members, their tokens and consents.

Two functions look over the whole chain by design: an exact phone or card number must find a member of any store, or
the next desk enrols the same person again. They answer with id and card and nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from psycopg.rows import class_row, scalar_row

from server.access.models import Scope
from server.membership.crypto import TokenKind
from server.membership.models import Consent, NewConsent
from server.storage.pool import Connection


@dataclass(frozen=True, slots=True)
class MemberRow:
    """A member as stored: encrypted, and neither erased nor merged into another. `country` is the home store's."""

    member_id: UUID
    card_no: str
    home_store: str
    country: str
    tier: str
    key_id: str
    name_enc: bytes
    phone_enc: bytes | None
    birthday_enc: bytes | None
    source: str
    enrolled_by: str
    enrolled_at: datetime
    custom_enc: bytes | None = None
    phone_verified_at: datetime | None = None
    enrolled_store: str | None = None
    staff: str = ""
    campaign: str = ""
    advisor: str = ""
    external_no: str | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What a till's way of naming a member led to."""

    key: str
    member_id: UUID
    card_no: str


@dataclass(frozen=True, slots=True)
class TokenKnown:
    """A token and its member."""

    token: bytes
    member_id: UUID
    card_no: str


@dataclass(frozen=True, slots=True)
class More:
    """What stands beside a member's row: tags of all the family, and who was merged into the member."""

    tags: list[str]
    merged: list[UUID]


_MEMBER: LiteralString = """
    SELECT m.member_id, m.card_no, m.home_store, s.country, m.tier, m.key_id, m.name_enc, m.phone_enc,
           m.birthday_enc, m.source, m.enrolled_by, m.enrolled_at, m.custom_enc, m.phone_verified_at,
           m.enrolled_store, m.staff, m.campaign, m.advisor, m.external_no
    FROM member m
    JOIN store s ON s.store_id = m.home_store
    WHERE m.erased_at IS NULL AND m.merged_into IS NULL
"""


def insert_member(conn: Connection, row: MemberRow) -> bool:
    """Add a member; False when the card number is taken."""
    return (
        conn.execute(
            """
            INSERT INTO member (member_id, card_no, home_store, tier, key_id, name_enc, phone_enc, birthday_enc,
                                source, enrolled_by, enrolled_at, custom_enc, phone_verified_at, enrolled_store,
                                staff, campaign, advisor, external_no)
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
            ON CONFLICT (card_no) DO NOTHING
            """,
            (
                row.member_id,
                row.card_no,
                row.home_store,
                row.tier,
                row.key_id,
                row.name_enc,
                row.phone_enc,
                row.birthday_enc,
                row.source,
                row.enrolled_by,
                row.enrolled_at,
                row.custom_enc,
                row.phone_verified_at,
                row.enrolled_store,
                row.staff,
                row.campaign,
                row.advisor,
                row.external_no,
            ),
        ).rowcount
        == 1
    )


def insert_phone_token(conn: Connection, token: bytes, member_id: UUID) -> bool:
    """Take a phone number for a member; False when another member has it (waits for one being enrolled now)."""
    return (
        conn.execute(
            """
            INSERT INTO member_token (kind, token, member_id)
            VALUES ('phone', %s, %s)
            ON CONFLICT DO NOTHING
            """,
            (token, member_id),
        ).rowcount
        == 1
    )


def insert_tokens(conn: Connection, member_id: UUID, tokens: Sequence[tuple[TokenKind, bytes]]) -> None:
    """Let a member be found by more."""
    conn.execute(
        """
        INSERT INTO member_token (kind, token, member_id)
        SELECT kind, token, %s FROM unnest(%s::text[], %s::bytea[]) AS t (kind, token)
        ON CONFLICT DO NOTHING
        """,
        (member_id, [kind for kind, _ in tokens], [token for _, token in tokens]),
    )


def insert_consents(
    conn: Connection, member_id: UUID, consents: Sequence[NewConsent], recorded_by: str, at: datetime
) -> None:
    """Record what a member answered."""
    with conn.cursor() as cursor:
        cursor.executemany(
            """
            INSERT INTO member_consent (member_id, purpose, channel, wording, granted, recorded_by, at, reach, version)
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
            """,
            [
                (
                    *(member_id, each.purpose, each.channel, each.wording, each.granted),
                    *(recorded_by, at, each.reach, each.version),
                )
                for each in consents
            ],
        )


def members_of_phones(conn: Connection, tokens: Sequence[bytes]) -> list[TokenKnown]:
    """Members of any store by their whole phone numbers. Chain-wide: see the module's note."""
    with conn.cursor(row_factory=class_row(TokenKnown)) as cursor:
        return cursor.execute(
            """
            SELECT t.token, k.member_id, k.card_no
            FROM member_token t
            JOIN member m USING (member_id)
            -- Whoever was merged is read through the member who is left; of the others, nothing is asked twice.
            JOIN LATERAL (
                SELECT m.member_id, m.card_no WHERE m.merged_into IS NULL
                UNION ALL
                SELECT r.member_id, r.card_no FROM member r
                WHERE m.merged_into IS NOT NULL AND r.member_id = member_root(m.merged_into)
            ) k ON true
            WHERE t.kind = 'phone' AND t.token = ANY(%s::bytea[]) AND m.erased_at IS NULL
            """,
            (list(tokens),),
        ).fetchall()


def members_of_cards(conn: Connection, cards: Sequence[str], ids: Sequence[str]) -> list[Known]:
    """Members of any store by card number or id. Chain-wide: see the module's note."""
    with conn.cursor(row_factory=class_row(Known)) as cursor:
        return cursor.execute(
            """
            SELECT named.key, r.member_id, r.card_no
            FROM (
                SELECT card_no AS key, member_id, merged_into FROM member
                WHERE card_no = ANY(%(cards)s::text[]) AND erased_at IS NULL
                UNION ALL
                SELECT member_id::text, member_id, merged_into FROM member
                WHERE member_id = ANY(%(ids)s::uuid[]) AND erased_at IS NULL
            ) named
            JOIN member r ON r.member_id = CASE WHEN named.merged_into IS NULL THEN named.member_id
                                                ELSE member_root(named.merged_into) END
            """,
            {"cards": list(cards), "ids": list(ids)},
        ).fetchall()


def member(conn: Connection, scope: Scope, member_id: UUID, *, whole_chain: bool) -> MemberRow | None:
    """One member; of somebody merged into another, that other.

    Args:
        whole_chain: True only after an exact phone or card number led here; otherwise the member must have its home
            in a store of the scope or have bought in one.
    """
    with conn.cursor(row_factory=class_row(MemberRow)) as cursor:
        return cursor.execute(
            _MEMBER  # noqa: S608 - constants
            + """
              AND m.member_id = member_root(%(member_id)s)
              AND (%(whole_chain)s
                   OR %(scope)s::text[] IS NULL
                   OR EXISTS (SELECT FROM member f
                              WHERE f.member_id = ANY(ARRAY(SELECT member_family(m.member_id)))
                                AND f.home_store = ANY(%(scope)s))
                   OR EXISTS (SELECT FROM receipt r
                              WHERE r.member_id = ANY(ARRAY(SELECT member_family(m.member_id)))
                                AND r.store_id = ANY(%(scope)s)))
            """,
            {"member_id": member_id, "scope": scope.store_ids, "whole_chain": whole_chain},
        ).fetchone()


def members_by_tokens(
    conn: Connection, scope: Scope, tokens: Sequence[tuple[TokenKind, bytes]], limit: int
) -> list[MemberRow]:
    """Members of the scope's own stores that have any of the tokens, newest first."""
    with conn.cursor(row_factory=class_row(MemberRow)) as cursor:
        return cursor.execute(
            _MEMBER  # noqa: S608 - constants
            + """
              AND (%(scope)s::text[] IS NULL
                   OR m.home_store = ANY(%(scope)s)
                   OR EXISTS (SELECT FROM member f
                              WHERE f.merged_into = m.member_id AND f.home_store = ANY(%(scope)s)))
              AND m.member_id IN (
                  SELECT CASE WHEN g.merged_into IS NULL THEN g.member_id ELSE member_root(g.merged_into) END
                  FROM member_token t
                  JOIN member g USING (member_id)
                  JOIN unnest(%(kinds)s::text[], %(tokens)s::bytea[]) AS wanted (kind, token)
                    ON t.kind = wanted.kind AND t.token = wanted.token)
            ORDER BY m.enrolled_at DESC, m.member_id
            LIMIT %(limit)s
            """,
            {
                "scope": scope.store_ids,
                "kinds": [kind for kind, _ in tokens],
                "tokens": [token for _, token in tokens],
                "limit": limit,
            },
        ).fetchall()


def recent(conn: Connection, scope: Scope, store_id: str | None, limit: int) -> list[MemberRow]:
    """The newest members of the scope's own stores, or of one of them."""
    with conn.cursor(row_factory=class_row(MemberRow)) as cursor:
        return cursor.execute(
            _MEMBER
            + """
              AND (%(scope)s::text[] IS NULL OR m.home_store = ANY(%(scope)s))
              AND (%(store_id)s::text IS NULL OR m.home_store = %(store_id)s)
            ORDER BY m.enrolled_at DESC, m.member_id
            LIMIT %(limit)s
            """,
            {"scope": scope.store_ids, "store_id": store_id, "limit": limit},
        ).fetchall()


def enrolled_by_store(conn: Connection, scope: Scope, since: datetime | None, until: datetime | None) -> dict[str, int]:
    """How many members each store of the scope enrolled, from `since` on and before `until`."""
    rows = conn.execute(
        """
        SELECT home_store, count(*)
        FROM member
        WHERE erased_at IS NULL AND merged_into IS NULL
          AND (%(scope)s::text[] IS NULL OR home_store = ANY(%(scope)s))
          AND (%(since)s::timestamptz IS NULL OR enrolled_at >= %(since)s)
          AND (%(until)s::timestamptz IS NULL OR enrolled_at < %(until)s)
        GROUP BY home_store
        """,
        {"scope": scope.store_ids, "since": since, "until": until},
    ).fetchall()
    return {str(store_id): int(count) for store_id, count in rows}


def more(conn: Connection, scope: Scope, member_id: UUID) -> More:
    """Tags and merged members, for whoever may see members at all."""
    scope.require_role("admin", "hq", "region", "manager", "desk")
    with conn.cursor(row_factory=class_row(More)) as cursor:
        found = cursor.execute(
            """
            SELECT ARRAY(SELECT DISTINCT tag FROM member_tag WHERE member_id = ANY(family.ids) ORDER BY tag) AS tags,
                   ARRAY(SELECT id FROM unnest(family.ids) AS id WHERE id <> %(member_id)s ORDER BY id) AS merged
            FROM (SELECT ARRAY(SELECT member_family(%(member_id)s)) AS ids) family
            """,
            {"member_id": member_id},
        ).fetchone()
    assert found is not None, "a row is always made"  # noqa: S101
    return found


def consents(conn: Connection, scope: Scope, member_id: UUID) -> list[Consent]:
    """What a member answered, newest first, for whoever may see members at all."""
    scope.require_role("admin", "hq", "region", "manager", "desk")
    with conn.cursor(row_factory=class_row(Consent)) as cursor:
        return cursor.execute(
            """
            SELECT purpose, granted, wording, channel, recorded_by, at, reach, version
            FROM member_consent
            WHERE member_id = ANY(ARRAY(SELECT member_family(%s)))
            ORDER BY at DESC, consent_id DESC
            """,
            (member_id,),
        ).fetchall()


def home_country(conn: Connection, scope: Scope, store_id: str) -> str | None:
    """The country of a store of the scope."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(
            """
            SELECT country
            FROM store
            WHERE store_id = %(store_id)s
              AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
            """,
            {"store_id": store_id, "scope": scope.store_ids},
        ).fetchone()


def default_country(conn: Connection, scope: Scope) -> str | None:
    """The country most of the scope's stores are in."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(
            """
            SELECT country
            FROM store
            WHERE %(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s)
            GROUP BY country
            ORDER BY count(*) DESC, country
            LIMIT 1
            """,
            {"scope": scope.store_ids},
        ).fetchone()
