"""SQL of files of members, of the rows of them that were not taken, and of how an old system's files are read."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from server.access.models import Scope
from server.membership.importing import MemberImportResult
from server.membership.imports.models import ImportState, MemberImportJob, SealedRow
from server.storage.pool import Connection

_JOB = """
    SELECT import_id, store_id, file_name, state, dry_run, started_by, started_at, seen_at, rows, enrolled, known,
           opened, tiers_left, duplicate_count, error_count, reason, cancel_asked, finished_at,
           is_workbook
    FROM member_import
"""


def insert_job(conn: Connection, job: MemberImportJob, header: Sequence[str], delimiter: str) -> None:
    """Note that a file is brought in."""
    conn.execute(
        """
        INSERT INTO member_import (import_id, store_id, file_name, state, dry_run, header, delimiter, started_by,
                                   started_at, seen_at, is_workbook)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        """,
        (
            job.import_id,
            job.store_id,
            job.file_name,
            job.state,
            job.dry_run,
            list(header),
            delimiter,
            job.started_by,
            job.started_at,
            job.seen_at,
            job.is_workbook,
        ),
    )


def beat(conn: Connection, scope: Scope, import_ids: Sequence[UUID], at: datetime) -> None:
    """Give a sign of life for files that wait or are worked on in this process."""
    conn.execute(
        """
        UPDATE member_import SET seen_at = %(at)s
        WHERE import_id = ANY(%(ids)s) AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
        """,
        {"at": at, "ids": list(import_ids), "scope": scope.store_ids},
    )


def progress(conn: Connection, scope: Scope, import_id: UUID, so_far: MemberImportResult, at: datetime) -> bool:
    """Note how far a file is; True when somebody asked to stop."""
    row = conn.execute(
        """
        UPDATE member_import
        SET state = 'running', rows = %(rows)s, enrolled = %(enrolled)s, known = %(known)s, opened = %(opened)s,
            tiers_left = %(tiers_left)s,
            duplicate_count = %(doubles)s, error_count = %(errors)s, seen_at = %(at)s
        WHERE import_id = %(id)s AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
        RETURNING cancel_asked
        """,
        {
            "rows": so_far.rows,
            "enrolled": so_far.enrolled,
            "known": so_far.known,
            "opened": so_far.opened,
            "tiers_left": so_far.tiers_left,
            "doubles": so_far.duplicate_count,
            "errors": so_far.error_count,
            "at": at,
            "id": import_id,
            "scope": scope.store_ids,
        },
    ).fetchone()
    return row is not None and bool(row[0])


def finish(conn: Connection, scope: Scope, import_id: UUID, state: ImportState, reason: str, at: datetime) -> None:
    """Note how a file ended."""
    conn.execute(
        """
        UPDATE member_import SET state = %(state)s, reason = %(reason)s, finished_at = %(at)s, seen_at = %(at)s
        WHERE import_id = %(id)s AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
        """,
        {"state": state, "reason": reason, "at": at, "id": import_id, "scope": scope.store_ids},
    )


def fail_silent(conn: Connection, before: datetime, reason: str, at: datetime) -> int:
    """End files whose process gave no sign of life since a moment; how many."""
    return conn.execute(
        """
        UPDATE member_import SET state = 'failed', reason = %s, finished_at = %s
        WHERE state IN ('waiting', 'running') AND seen_at < %s
        """,
        (reason, at, before),
    ).rowcount


def ask_to_cancel(conn: Connection, scope: Scope, import_id: UUID) -> bool:
    """Ask whoever works on a file to stop; False when nobody does."""
    asked = conn.execute(
        """
        UPDATE member_import SET cancel_asked = true
        WHERE import_id = %(id)s AND state IN ('waiting', 'running')
          AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
        """,
        {"id": import_id, "scope": scope.store_ids},
    )
    return asked.rowcount == 1


def job(conn: Connection, scope: Scope, import_id: UUID) -> MemberImportJob | None:
    """One file."""
    with conn.cursor(row_factory=class_row(MemberImportJob)) as cursor:
        return cursor.execute(
            _JOB + " WHERE import_id = %(id)s AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))",
            {"id": import_id, "scope": scope.store_ids},
        ).fetchone()


def jobs(conn: Connection, scope: Scope, limit: int) -> list[MemberImportJob]:
    """The latest files, latest first."""
    with conn.cursor(row_factory=class_row(MemberImportJob)) as cursor:
        return cursor.execute(
            _JOB
            + """
            WHERE %(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s)
            ORDER BY started_at DESC, import_id LIMIT %(limit)s
            """,
            {"scope": scope.store_ids, "limit": limit},
        ).fetchall()


def header(conn: Connection, scope: Scope, import_id: UUID) -> tuple[list[str], str]:
    """A file's header, and the sign between its columns."""
    row = conn.execute(
        """
        SELECT header, delimiter FROM member_import
        WHERE import_id = %(id)s AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
        """,
        {"id": import_id, "scope": scope.store_ids},
    ).fetchone()
    return ([], ",") if row is None else (list(row[0]), str(row[1]))


def insert_refused(conn: Connection, import_id: UUID, rows: Sequence[SealedRow]) -> None:
    """Keep rows that were not taken."""
    with conn.cursor() as cursor:
        cursor.executemany(
            """
            INSERT INTO member_import_error (import_id, line, field, reason, remedy, cells)
            VALUES (%s, %s, %s, %s, %s, %s)
            """,
            [(import_id, row.line, row.field, row.reason, row.remedy, row.cells) for row in rows],
        )


def refused(conn: Connection, scope: Scope, import_id: UUID, after: int, limit: int) -> list[SealedRow]:
    """Rows that were not taken, by line, after a line."""
    with conn.cursor(row_factory=class_row(SealedRow)) as cursor:
        return cursor.execute(
            """
            SELECT e.line, e.field, e.reason, e.remedy, e.cells
            FROM member_import_error e JOIN member_import i USING (import_id)
            WHERE e.import_id = %(id)s AND e.line > %(after)s
              AND (%(scope)s::text[] IS NULL OR i.store_id = ANY(%(scope)s))
            ORDER BY e.line LIMIT %(limit)s
            """,
            {"id": import_id, "after": after, "limit": limit, "scope": scope.store_ids},
        ).fetchall()


def purge(conn: Connection, errors_before: datetime, jobs_before: datetime) -> int:
    """Delete rows kept of files that ended before a moment, and files that ended before another; how many rows."""
    rows = conn.execute(
        """
        DELETE FROM member_import_error e USING member_import i
        WHERE i.import_id = e.import_id AND i.finished_at < %s
        """,
        (errors_before,),
    ).rowcount
    return rows + conn.execute("DELETE FROM member_import WHERE finished_at < %s", (jobs_before,)).rowcount


def formats(conn: Connection) -> dict[str, dict[str, str]]:
    """How the files of each old system are read, by name."""
    return {str(name): dict(columns) for name, columns in conn.execute("SELECT name, columns FROM member_format")}


def put_format(conn: Connection, name: str, columns: Mapping[str, str], who: str, at: datetime) -> None:
    """Keep how an old system's files are read, instead of how they were."""
    conn.execute(
        """
        INSERT INTO member_format (name, columns, changed_by, changed_at) VALUES (%s, %s, %s, %s)
        ON CONFLICT (name) DO UPDATE
        SET columns = excluded.columns, changed_by = excluded.changed_by, changed_at = excluded.changed_at
        """,
        (name, Jsonb(dict(columns)), who, at),
    )


def delete_format(conn: Connection, name: str) -> bool:
    """Forget one; False when there is none."""
    return conn.execute("DELETE FROM member_format WHERE name = %s", (name,)).rowcount == 1
