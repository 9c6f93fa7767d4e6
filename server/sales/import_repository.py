"""SQL of files that are brought in, of the rows of them that were not taken, and of how tills' files are read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row

from server.access.models import Scope
from server.sales.models import ImportJob, ImportState
from server.storage.pool import Connection


@dataclass(frozen=True, slots=True)
class SealedRow:
    """A row that was not taken, with its cells encrypted."""

    line: int
    receipt_no: str | None
    field: str | None
    reason: str
    remedy: str
    cells: bytes


@dataclass(frozen=True, slots=True)
class Counts:
    """How far a file is, and what became of its receipts so far."""

    done: int
    rows: int
    receipts: int
    accepted: int
    repeated: int
    conflicts: int
    rejected: int
    error_count: int
    note_count: int


_JOB = """
    SELECT import_id, store_id, file_name, state, dry_run, size, done, rows, receipts, accepted, repeated, conflicts,
           rejected, error_count, note_count, reason, cancel_asked, started_by, started_at, seen_at, finished_at,
           is_workbook
    FROM sales_import
"""


def insert_job(conn: Connection, job: ImportJob, header: Sequence[str], delimiter: str) -> None:
    """Note that a file is brought in."""
    conn.execute(
        """
        INSERT INTO sales_import (import_id, store_id, file_name, state, dry_run, size, header, delimiter, started_by,
                                  started_at, seen_at, is_workbook)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        """,
        (
            job.import_id,
            job.store_id,
            job.file_name,
            job.state,
            job.dry_run,
            job.size,
            list(header),
            delimiter,
            job.started_by,
            job.started_at,
            job.seen_at,
            job.is_workbook,
        ),
    )


def beat(conn: Connection, import_ids: Sequence[UUID], at: datetime) -> None:
    """Give a sign of life for files of this process."""
    conn.execute("UPDATE sales_import SET seen_at = %s WHERE import_id = ANY(%s)", (at, list(import_ids)))


def progress(conn: Connection, import_id: UUID, counts: Counts, at: datetime) -> bool:
    """Note how far a file is; True when somebody asked to stop."""
    row = conn.execute(
        """
        UPDATE sales_import
        SET state = 'running', done = %s, rows = %s, receipts = %s, accepted = %s, repeated = %s, conflicts = %s,
            rejected = %s, error_count = %s, note_count = %s, seen_at = %s
        WHERE import_id = %s
        RETURNING cancel_asked
        """,
        (
            counts.done,
            counts.rows,
            counts.receipts,
            counts.accepted,
            counts.repeated,
            counts.conflicts,
            counts.rejected,
            counts.error_count,
            counts.note_count,
            at,
            import_id,
        ),
    ).fetchone()
    return row is not None and bool(row[0])


def finish(conn: Connection, import_id: UUID, state: ImportState, reason: str, at: datetime) -> None:
    """Note how a file ended."""
    conn.execute(
        """
        UPDATE sales_import
        SET state = %s, reason = %s, finished_at = %s, seen_at = %s,
            done = CASE WHEN %s = 'done' THEN size ELSE done END
        WHERE import_id = %s
        """,
        (state, reason, at, at, state, import_id),
    )


def fail_silent(conn: Connection, before: datetime, reason: str, at: datetime) -> int:
    """End files whose process gave no sign of life since a moment; how many."""
    return conn.execute(
        """
        UPDATE sales_import
        SET state = 'failed', reason = %s, finished_at = %s
        WHERE state IN ('waiting', 'running') AND seen_at < %s
        """,
        (reason, at, before),
    ).rowcount


def ask_to_cancel(conn: Connection, scope: Scope, import_id: UUID) -> bool:
    """Ask whoever works on a file to stop; False when nobody does, or it is of somebody else's store."""
    return (
        conn.execute(
            """
            UPDATE sales_import
            SET cancel_asked = true
            WHERE import_id = %(import_id)s AND state IN ('waiting', 'running')
              AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
            """,
            {"import_id": import_id, "scope": scope.store_ids},
        ).rowcount
        == 1
    )


def job(conn: Connection, scope: Scope, import_id: UUID) -> ImportJob | None:
    """One file; None when there is none, or it is of somebody else's store."""
    with conn.cursor(row_factory=class_row(ImportJob)) as cursor:
        return cursor.execute(
            _JOB
            + """
            WHERE import_id = %(import_id)s AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
            """,
            {"import_id": import_id, "scope": scope.store_ids},
        ).fetchone()


def jobs(conn: Connection, scope: Scope, store_id: str | None, limit: int) -> list[ImportJob]:
    """The latest files of a store or of all of the scope, latest first."""
    with conn.cursor(row_factory=class_row(ImportJob)) as cursor:
        return cursor.execute(
            _JOB
            + """
            WHERE (%(store_id)s::text IS NULL OR store_id = %(store_id)s)
              AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
            ORDER BY started_at DESC, import_id
            LIMIT %(limit)s
            """,
            {"store_id": store_id, "scope": scope.store_ids, "limit": limit},
        ).fetchall()


def header(conn: Connection, scope: Scope, import_id: UUID) -> tuple[list[str], str]:
    """A file's header, and the sign between its columns."""
    row = conn.execute(
        """
        SELECT header, delimiter FROM sales_import
        WHERE import_id = %(import_id)s AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
        """,
        {"import_id": import_id, "scope": scope.store_ids},
    ).fetchone()
    return ([], ",") if row is None else (list(row[0]), str(row[1]))


def copy_refused(conn: Connection, import_id: UUID, rows: Sequence[SealedRow]) -> None:
    """Keep rows that were not taken."""
    with (
        conn.cursor() as cursor,
        cursor.copy(
            "COPY sales_import_error (import_id, line, receipt_no, field, reason, remedy, cells)"
            " FROM STDIN (FORMAT BINARY)"
        ) as copy,
    ):
        copy.set_types(["uuid", "int8", "text", "text", "text", "text", "bytea"])
        for row in rows:
            copy.write_row((import_id, row.line, row.receipt_no, row.field, row.reason, row.remedy, row.cells))


def refused(conn: Connection, scope: Scope, import_id: UUID, after: int, limit: int) -> list[SealedRow]:
    """Rows that were not taken, by line, after a line."""
    with conn.cursor(row_factory=class_row(SealedRow)) as cursor:
        return cursor.execute(
            """
            SELECT e.line, e.receipt_no, e.field, e.reason, e.remedy, e.cells
            FROM sales_import_error e
            JOIN sales_import i USING (import_id)
            WHERE e.import_id = %(import_id)s AND e.line > %(after)s
              AND (%(scope)s::text[] IS NULL OR i.store_id = ANY(%(scope)s))
            ORDER BY e.line
            LIMIT %(limit)s
            """,
            {"import_id": import_id, "after": after, "limit": limit, "scope": scope.store_ids},
        ).fetchall()


def purge(conn: Connection, errors_before: datetime, jobs_before: datetime) -> int:
    """Delete rows kept of files that ended before a moment, and files that ended before another; how many rows."""
    rows = conn.execute(
        """
        DELETE FROM sales_import_error e
        USING sales_import i
        WHERE i.import_id = e.import_id AND i.finished_at < %s
        """,
        (errors_before,),
    ).rowcount
    return rows + conn.execute("DELETE FROM sales_import WHERE finished_at < %s", (jobs_before,)).rowcount


def till_format(conn: Connection, name: str) -> str | None:
    """How the files of a kind of till are read, as JSON."""
    row = conn.execute("SELECT format::text FROM till_format WHERE name = %s", (name,)).fetchone()
    return None if row is None else str(row[0])


def till_formats(conn: Connection) -> Iterator[tuple[str, str, str, datetime]]:
    """All of them by name: name, JSON, who changed it and when."""
    for name, form, who, at in conn.execute(
        "SELECT name, format::text, changed_by, changed_at FROM till_format ORDER BY name"
    ).fetchall():
        yield str(name), str(form), str(who), at


def put_till_format(conn: Connection, name: str, form: str, who: str, at: datetime) -> None:
    """Keep how the files of a kind of till are read, instead of how they were."""
    conn.execute(
        """
        INSERT INTO till_format (name, format, changed_by, changed_at) VALUES (%s, %s::jsonb, %s, %s)
        ON CONFLICT (name) DO UPDATE
        SET format = excluded.format, changed_by = excluded.changed_by, changed_at = excluded.changed_at
        """,
        (name, form, who, at),
    )


def delete_till_format(conn: Connection, name: str) -> bool:
    """Forget one; False when there is none."""
    return conn.execute("DELETE FROM till_format WHERE name = %s", (name,)).rowcount == 1
