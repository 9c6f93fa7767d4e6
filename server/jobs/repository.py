"""SQL of the jobs: marks, days that are not settled, and the record of runs; `silence_repository` has who is silent."""

from collections.abc import Sequence
from datetime import date, datetime

from psycopg.rows import class_row

from server.access.models import Scope
from server.jobs.models import DayRow, JobRun, MarkRow, Waiting
from server.storage.pool import Connection


def marks(conn: Connection, scope: Scope, limit: int) -> list[MarkRow]:
    """The oldest marks."""
    with conn.cursor(row_factory=class_row(MarkRow)) as cursor:
        return cursor.execute(
            """
            SELECT mark_id, store_id, hour, reason
            FROM dirty_mark
            WHERE (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
            ORDER BY mark_id
            LIMIT %(limit)s
            """,
            {"scope": scope.store_ids, "limit": limit},
        ).fetchall()


def waiting(conn: Connection, scope: Scope) -> Waiting:
    """What is marked to be computed anew."""
    with conn.cursor(row_factory=class_row(Waiting)) as cursor:
        found = cursor.execute(
            """
            SELECT count(DISTINCT store_id) AS stores,
                   count(DISTINCT (store_id, date_trunc('day', hour, 'UTC'))) AS days,
                   min(marked_at) AS since
            FROM dirty_mark
            WHERE (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
            """,
            {"scope": scope.store_ids},
        ).fetchone()
    return found or Waiting(0, 0, None)


def delete_marks(conn: Connection, mark_ids: Sequence[int]) -> None:
    """Delete just these marks: one made meanwhile for the same hour stays."""
    conn.execute("DELETE FROM dirty_mark WHERE mark_id = ANY(%s)", (list(mark_ids),))


def days_from(conn: Connection, scope: Scope, first: date) -> list[DayRow]:
    """The rows that stand of all store-days from a day on."""
    with conn.cursor(row_factory=class_row(DayRow)) as cursor:
        return cursor.execute(
            """
            SELECT store_id, day, provisional, computed_at
            FROM store_day
            WHERE superseded_at IS NULL AND day >= %(first)s
              AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
            """,
            {"first": first, "scope": scope.store_ids},
        ).fetchall()


def provisional_days(conn: Connection, scope: Scope, before: date) -> list[DayRow]:
    """Rows of days before a day that were computed while it was running, and not since."""
    with conn.cursor(row_factory=class_row(DayRow)) as cursor:
        return cursor.execute(
            """
            SELECT store_id, day, provisional, computed_at
            FROM store_day
            WHERE superseded_at IS NULL AND provisional AND day < %(before)s
              AND (%(scope)s::text[] IS NULL OR store_id = ANY(%(scope)s))
            """,
            {"before": before, "scope": scope.store_ids},
        ).fetchall()


# -- the record of runs


def start_run(conn: Connection, job: str, at: datetime) -> int:
    """Note that a run began."""
    row = conn.execute("INSERT INTO job_run (job, started_at) VALUES (%s, %s) RETURNING run_id", (job, at)).fetchone()
    assert row is not None, "RETURNING answers with the row"  # noqa: S101
    return int(row[0])


def finish_run(conn: Connection, run_id: int, at: datetime, outcome: str, detail: str) -> None:
    """Note how a run ended."""
    conn.execute(
        "UPDATE job_run SET finished_at = %s, outcome = %s, detail = %s WHERE run_id = %s",
        (at, outcome, detail, run_id),
    )


def join_idle_run(conn: Connection, job: str, run_id: int, at: datetime) -> bool:
    """Count an idle run into the one before it; False when that did something."""
    joined = conn.execute(
        """
        UPDATE job_run
        SET finished_at = %(at)s, runs = runs + 1
        WHERE outcome = 'idle'
          AND run_id = (SELECT max(run_id) FROM job_run WHERE job = %(job)s AND run_id < %(run_id)s)
        """,
        {"at": at, "job": job, "run_id": run_id},
    ).rowcount
    if joined:
        conn.execute("DELETE FROM job_run WHERE run_id = %s", (run_id,))
    return joined == 1


def abandon_runs(conn: Connection, at: datetime, job: str | None = None) -> int:
    """Close runs, of one job or of all, whose end was never written; how many there were."""
    return conn.execute(
        """
        UPDATE job_run
        SET finished_at = %(at)s, outcome = 'failed', detail = 'the process ended before the job did'
        WHERE outcome = 'running' AND (%(job)s::text IS NULL OR job = %(job)s)
        """,
        {"at": at, "job": job},
    ).rowcount


def purge_runs(conn: Connection, before: datetime) -> int:
    """Delete the record of runs that ended before a moment; how many."""
    return conn.execute("DELETE FROM job_run WHERE finished_at < %s", (before,)).rowcount


def runs(conn: Connection, limit: int) -> list[JobRun]:
    """The latest runs, latest first."""
    with conn.cursor(row_factory=class_row(JobRun)) as cursor:
        return cursor.execute(
            """
            SELECT run_id, job, started_at, finished_at, outcome, runs, detail
            FROM job_run
            ORDER BY run_id DESC
            LIMIT %s
            """,
            (limit,),
        ).fetchall()


def last_success(conn: Connection, job: str) -> datetime | None:
    """When a run of a job last began that ended well."""
    row = conn.execute(
        "SELECT max(started_at) FROM job_run WHERE job = %s AND outcome IN ('done', 'idle')", (job,)
    ).fetchone()
    return None if row is None else row[0]
