"""Who may read the schema `bi`: a role of its own, which reaches the views there and no table.

Roles belong to the whole server and not to one database, and whoever owns a database often may not make any; so this is
no migration, which would fail there and stay undone. It is tried after each one instead, and says what to do.

The views themselves stand in migrations. One that changes the type of a column they read has to drop the view and
make it again with the type it had (docs/bi.md is a promise); a new column goes to the end, by CREATE OR REPLACE VIEW.
"""

from typing import Final

import structlog
from psycopg import errors, sql

from server.storage.pool import Connection

_log = structlog.get_logger(__name__)

#: In it are the users of programs that read.
READERS: Final = "doorline_bi"


def set_up(connection: Connection) -> bool:
    """Make the role where it isn't and may be made, and let it read the views; safe to call again.

    Args:
        connection: in a transaction, as the schema's owner.

    Returns:
        Whether the role may now read them.
    """
    row = connection.execute(
        "SELECT to_regnamespace('bi') IS NOT NULL, EXISTS (SELECT FROM pg_roles WHERE rolname = %s)", (READERS,)
    ).fetchone()
    has_schema, has_role = row or (False, False)
    if not has_schema or not (has_role or _make_role(connection)):
        return False
    role = sql.Identifier(READERS)
    connection.execute(sql.SQL("GRANT USAGE ON SCHEMA bi TO {}").format(role))
    connection.execute(sql.SQL("GRANT SELECT ON ALL TABLES IN SCHEMA bi TO {}").format(role))
    return True


def _make_role(connection: Connection) -> bool:
    try:
        with connection.transaction():
            connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(READERS)))
    except errors.InsufficientPrivilege:
        _log.warning(
            "the schema bi has no readers: this user may not make roles",
            remedy=f"let an administrator run CREATE ROLE {READERS} NOLOGIN, then `doorline db migrate` again",
        )
        return False
    except (errors.DuplicateObject, errors.UniqueViolation):
        _log.info("made by somebody else meanwhile", role=READERS)
    return True
