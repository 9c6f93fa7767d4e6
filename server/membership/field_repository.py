"""SQL of the chain's own questions. They belong to the chain and name nobody."""

from collections.abc import Mapping
from datetime import datetime

from psycopg.types.json import Jsonb

from server.access.models import Locale
from server.membership.fields import CustomField, Option, Rules
from server.storage.pool import Connection


def fields(conn: Connection) -> list[CustomField]:
    """All fields, also the retired ones, in the order in which they are shown."""
    rows = conn.execute(
        "SELECT field, kind, labels, rules, place, retired_at FROM member_field ORDER BY place, field"
    ).fetchall()
    return [
        CustomField(
            field=name,
            kind=kind,
            labels=labels,
            rules=Rules(**{**rules, "options": tuple(Option(**option) for option in rules.get("options", ()))}),
            place=place,
            retired_at=retired_at,
        )
        for name, kind, labels, rules, place, retired_at in rows
    ]


def save(conn: Connection, new: CustomField, made_by: str, made_at: datetime) -> bool:
    """Define a field or define it anew; False when it is there with another kind, which its answers were held to."""
    rules = {
        "required": new.rules.required,
        "options": [{"value": each.value, "labels": _plain(each.labels)} for each in new.rules.options],
        "least": new.rules.least,
        "most": new.rules.most,
        "longest": new.rules.longest,
    }
    return (
        conn.execute(
            """
            INSERT INTO member_field (field, kind, labels, rules, place, made_by, made_at)
            VALUES (%s, %s, %s, %s, %s, %s, %s)
            ON CONFLICT (field) DO UPDATE
            SET labels = excluded.labels, rules = excluded.rules, place = excluded.place, made_by = excluded.made_by,
                made_at = excluded.made_at, retired_at = NULL
            WHERE member_field.kind = excluded.kind
            """,
            (new.field, new.kind, Jsonb(_plain(new.labels)), Jsonb(rules), new.place, made_by, made_at),
        ).rowcount
        == 1
    )


def retire(conn: Connection, name: str, at: datetime) -> bool:
    """Ask a field no more; False when there is none that is asked."""
    return (
        conn.execute(
            "UPDATE member_field SET retired_at = %s WHERE field = %s AND retired_at IS NULL", (at, name)
        ).rowcount
        == 1
    )


def _plain(labels: Mapping[Locale, str]) -> dict[str, str]:
    return {str(locale): text for locale, text in labels.items()}
