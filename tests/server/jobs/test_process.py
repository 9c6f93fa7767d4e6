"""The jobs process: one leader, a standby that takes over, runs on record, an end in good order."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from threading import Event, Thread

import psycopg
import pytest
from pydantic import SecretStr

from server.access.service import AccessService
from server.errors import Unavailable
from server.jobs.housekeeping import Housekeeping
from server.jobs.models import Job
from server.jobs.process import JobsProcess
from server.settings import Settings
from server.storage.locks import AdvisoryLock
from server.storage.pool import Database
from tests.fixtures.wait import wait_until
from tests.server.kpi.chain import SYSTEM, Chain


@contextmanager
def running(process: JobsProcess) -> Iterator[Event]:
    stop = Event()
    thread = Thread(target=process.run, args=(stop,), name="jobs")
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


def job(work: Callable[[Event], str | None], every: float = 3600) -> Job:
    return Job("a_job", every, work)


def test_one_leads_and_the_other_takes_over(db: Database) -> None:
    ran: list[str] = []

    def process(name: str) -> JobsProcess:
        return JobsProcess(db, [job(lambda _: ran.append(name))], look_every=0.02)

    first, second = process("first"), process("second")
    with running(first) as stop_first:
        wait_until(lambda: ran == ["first"])
        with running(second):
            assert not second.leading.is_set()
            stop_first.set()
            wait_until(second.leading.is_set)
            wait_until(lambda: ran == ["first", "second"])
            assert not first.leading.is_set()


def test_a_leader_whose_connection_is_cut_stands_back_and_leads_again(db: Database) -> None:
    ran: list[int] = []
    process = JobsProcess(db, [job(lambda _: ran.append(1))], look_every=0.02)
    with running(process):
        wait_until(lambda: len(ran) == 1)
        with db.transaction() as conn:
            cut = conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = %s",
                (AdvisoryLock.JOBS_LEADER & 0xFFFFFFFF,),
            ).fetchall()
        assert cut == [(True,)]
        wait_until(lambda: len(ran) == 2, what="it to lead again")


def test_runs_are_on_record(db: Database) -> None:
    """Idle runs in a row share a row; work, failure and what comes after have their own."""
    answers: list[str | Exception | None] = [None, None, None, "2 things", None, ValueError("no good"), None, None]
    left = iter(answers)

    def work(_: Event) -> str | None:
        answer = next(left)
        if isinstance(answer, Exception):
            raise answer
        return answer

    process = JobsProcess(db, [job(work)])
    for _ in answers:
        assert process.run_once(Event())
    found = [(run.outcome, run.runs, run.detail) for run in reversed(process.runs())]
    assert found == [
        ("idle", 3, ""),
        ("done", 1, "2 things"),
        ("idle", 1, ""),
        ("failed", 1, "ValueError: no good"),
        ("idle", 2, ""),
    ]
    assert all(run.finished_at is not None for run in process.runs())


def test_a_job_runs_again_by_the_clock_and_never_beside_itself(db: Database) -> None:
    begun, at_work = Event(), []

    def slow(halt: Event) -> str | None:
        at_work.append(1)
        assert at_work.count(1) - at_work.count(-1) == 1
        begun.set()
        halt.wait(0.15)
        at_work.append(-1)
        return None

    with running(JobsProcess(db, [job(slow, every=0.02)], look_every=0.02)):
        wait_until(lambda: at_work.count(-1) >= 3)


def test_told_to_stop_it_waits_for_the_job_at_work(db: Database) -> None:
    begun, ended = Event(), Event()

    def work(halt: Event) -> str:
        begun.set()
        assert halt.wait(10)
        ended.set()
        return "ended in good order"

    process = JobsProcess(db, [job(work)], look_every=0.02)
    with running(process):
        assert begun.wait(10)
    assert ended.is_set()
    assert [run.outcome for run in process.runs()] == ["done"]


def test_what_a_killed_leader_left_running_is_closed(db: Database) -> None:
    with db.transaction() as conn:
        conn.execute("INSERT INTO job_run (job, started_at) VALUES ('dirty_days', now())")
    process = JobsProcess(db, [], look_every=0.02)
    with running(process):
        assert process.leading.wait(10)
    (run,) = process.runs()
    assert (run.outcome, run.detail) == ("failed", "the process ended before the job did")


def test_a_run_whose_end_could_not_be_written_is_closed_by_the_next(db: Database) -> None:
    def cut_off(_: Event) -> str | None:
        with db.transaction() as conn:
            conn.execute("ALTER TABLE job_run RENAME TO hidden")
        raise Unavailable("gone")

    process = JobsProcess(db, [job(cut_off)])
    with pytest.raises(psycopg.errors.UndefinedTable):
        process.run_once(Event())
    with db.transaction() as conn:
        conn.execute("ALTER TABLE hidden RENAME TO job_run")
    assert [run.outcome for run in process.runs()] == ["running"]
    assert JobsProcess(db, [job(lambda _: "all is well")]).run_once(Event())
    assert [(run.outcome, run.detail) for run in process.runs()] == [
        ("done", "all is well"),
        ("failed", "the process ended before the job did"),
    ]


def test_two_real_processes(db_dsn: str, db: Database, shops: Chain, repository_root: Path, tmp_path: Path) -> None:
    """The leader is killed without warning; the standby computes what was marked since, and ends cleanly on SIGTERM."""
    shops.store("S01")
    shops.now = datetime.now(UTC)
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-c", "from cli.main import run; run()", "jobs"],
            cwd=tmp_path,
            env={
                **os.environ,
                "PYTHONPATH": str(repository_root),
                "DOORLINE_DSN": db_dsn,
                "DOORLINE_RECOMPUTE_SECONDS": "0.2",
            },
            stdout=subprocess.DEVNULL,
        )
        started.append(process)
        return process

    def leaders() -> int:
        with psycopg.connect(db_dsn) as conn:
            row = conn.execute(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND granted",
                (AdvisoryLock.JOBS_LEADER & 0xFFFFFFFF,),
            ).fetchone()
        assert row is not None
        return int(row[0])

    try:
        first = start()
        wait_until(leaders, 60, "a leader")
        second = start()
        shops.cross("S01", "2026-11-16 10:00", 5)
        wait_until(lambda: shops.marks() == 0, 60, "the leader to compute the day")
        first.kill()
        first.wait(30)
        shops.cross("S01", "2026-11-16 10:00", 2)
        wait_until(lambda: shops.marks() == 0, 60, "the standby to take over")
        assert leaders() == 1
        monday = date(2026, 11, 16)
        report = shops.kpi.report(SYSTEM, kpis=["entries"], day_from=monday, day_to=monday)
        assert report.total.values["entries"].value == 7
        second.send_signal(signal.SIGTERM)
        assert second.wait(30) == 0
        assert leaders() == 0
    finally:
        for process in started:
            if process.poll() is None:
                process.kill()
                process.wait(30)


# -- housekeeping


@pytest.fixture
def house(db: Database, shops: Chain) -> Housekeeping:
    settings = Settings(dsn=SecretStr(db.dsn), _env_file=None)  # type: ignore[call-arg]
    return Housekeeping(db, AccessService(db, settings, shops.clock), shops.clock)


def test_what_no_longer_counts_is_deleted(db: Database, shops: Chain, house: Housekeeping) -> None:
    old, new = shops.now - timedelta(days=31), shops.now - timedelta(minutes=1)
    with db.transaction() as conn:
        conn.execute(
            "INSERT INTO sign_in_failure (username, address, at) VALUES ('a', '', %s), ('a', '', %s)", (old, new)
        )
        conn.execute(
            "INSERT INTO job_run (job, started_at, finished_at, outcome)"
            " VALUES ('x', %(old)s, %(old)s, 'done'), ('x', %(new)s, %(new)s, 'done')",
            {"old": old, "new": new},
        )
        conn.execute(
            "INSERT INTO silence (store_id, device_id, state, noticed_at, resolved_at)"
            " VALUES ('S01', 'a', 'silent', %(old)s, %(old)s), ('S01', 'a', 'silent', %(new)s, %(new)s)",
            {"old": shops.now - timedelta(days=367), "new": new},
        )
    assert house.clean(Event()) == "1 sessions and sign-ins, 2 runs and silences deleted"
    assert house.clean(Event()) is None


# -- nightly


@pytest.mark.parametrize(
    ("last", "ran"),
    [(None, True), (timedelta(hours=25), True), (timedelta(hours=2), True), (timedelta(minutes=59), False)],
)
def test_a_night_that_was_missed_is_made_up_for_once(db: Database, last: timedelta | None, ran: bool) -> None:
    """It is an hour past the turn of the job."""
    now = datetime.now(UTC)
    turn = now - timedelta(hours=1)
    if last is not None:
        with db.transaction() as conn:
            conn.execute(
                "INSERT INTO job_run (job, started_at, finished_at, outcome) VALUES ('a_job', %(at)s, %(at)s, 'done')",
                {"at": now - last},
            )
    done, other = Event(), Event()
    nightly = Job("a_job", 86_400, lambda _: done.set(), nightly=turn.time())
    with running(JobsProcess(db, [nightly, Job("other", 0.05, lambda _: other.set())], look_every=0.02)):
        assert other.wait(10)
        if ran:
            assert done.wait(10)
    assert done.is_set() == ran
