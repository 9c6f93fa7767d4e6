"""The jobs process: stands by until it leads, then runs each job by the clock and records every run.

A job that is late runs once, however many of its turns were missed, and never beside itself. When the process is told
to stop, the job at work is asked to stop too and is waited for, because a store-day takes milliseconds and one cut off
would be rolled back and done again anyway.
"""

from collections.abc import Sequence
from datetime import UTC, time, timedelta
from threading import Event
from typing import Any, Final

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from server.access.service import AccessService
from server.clock import Clock, utc_now
from server.errors import Unavailable
from server.events import EventRetention
from server.jobs import reconcile, repository
from server.jobs.days import Days
from server.jobs.housekeeping import Housekeeping
from server.jobs.leader import Leadership
from server.jobs.models import Job, JobRun
from server.jobs.outside import ImportRetention, WebhookJob
from server.jobs.silence import Silences
from server.kpi.service import KpiService
from server.membership.coupons.occasions import NIGHTLY_AT, CouponNights, CouponPosting
from server.membership.crypto import MemberKeys
from server.membership.desk import member_desk
from server.membership.offline.service import Forgetting as OfflineForgetting
from server.membership.points.expiry import Expiry
from server.membership.points.posting import Posting
from server.membership.registered import rights_parts
from server.membership.sending import sender_of
from server.membership.tiers.evaluation import TierRun, standings
from server.membership.value.service import ValueNight, ValueService
from server.requests.forgetting import Forgetting
from server.settings import Settings
from server.storage.pool import Database
from server.storage.retention import Retention
from server.stores.service import StoresService

_log = structlog.get_logger(__name__)

#: Seconds between looks at whether we may lead, or still do.
LOOK_EVERY: Final = 2.0
#: When roll-ups are held against their raw rows (UTC): late at night where most of the chain's stores are, or early.
RECONCILE_AT: Final = time(19, 30)
#: When members are erased whom nobody saw for as long as the chain keeps them (UTC).
MEMBERS_AT: Final = time(20, 30)
#: When members' value is made anew (UTC): after the day's last receipts.
VALUE_AT: Final = time(20, 30)
#: When tiers whose period is over, or that new rules raise, are looked at (UTC).
TIERS_AT: Final = time(20, 0)
_MOST_DETAIL: Final = 500


def standard_jobs(
    settings: Settings, db: Database, stores: StoresService, kpi: KpiService, access: AccessService
) -> list[Job]:
    """What the jobs process does."""
    days = Days(db, stores, kpi)
    house = Housekeeping(db, access)
    return [
        Job("dirty_days", settings.recompute_seconds, days.dirty),
        Job("today", 60, days.today),
        Job("settle_days", 600, days.settle),
        Job("silences", 60, Silences(db).look),
        Job("clean_up", 3600, house.clean),
        Job("box_answers", 60, Forgetting(db).run),
        Job("offline_desks", 3600, OfflineForgetting(db).run),
        Job("member_value", 86_400, ValueNight(ValueService(db, settings.reporting_currency)).run, nightly=VALUE_AT),
        Job("points", 5, Posting(db, standings).run),
        Job("points_expiry", 3600, Expiry(db).run),
        Job("tiers", 5, TierRun(db).follow),
        Job("tiers_due", 86_400, TierRun(db).run, nightly=TIERS_AT),
        Job("webhooks", 5, WebhookJob(db, settings).run),
        Job("import_retention", 86_400, ImportRetention(db).run),
        Job("event_retention", 3600, EventRetention(db, settings.event_days, utc_now).run),
        Job("retention", 3600, Retention(db, settings.raw_days, utc_now).run),
        *_of_members(settings, db),
        Job("coupons", 5, CouponPosting(db).run),
        Job("coupons_nightly", 86_400, CouponNights.of(settings, db).run, nightly=NIGHTLY_AT),
        Job(reconcile.NAME, 86_400, reconcile.Reconcile(db).run, nightly=RECONCILE_AT),
    ]


def _of_members(settings: Settings, db: Database) -> list[Job]:
    """What needs the key of members' data; a jobs process that has none leaves it alone."""
    secret = settings.secret_key.get_secret_value()
    if not secret:
        return []
    keys = MemberKeys.from_base64(secret, settings.old_secret_keys.get_secret_value())
    desk = member_desk(db, keys, sender_of(settings), rights_parts())
    return [Job("member_retention", 86_400, desk.retention.run, nightly=MEMBERS_AT)]


class JobsProcess:
    """Runs jobs while it leads.

    Args:
        look_every: seconds between looks at the lead.
    """

    def __init__(
        self, db: Database, jobs: Sequence[Job], clock: Clock = utc_now, *, look_every: float = LOOK_EVERY
    ) -> None:
        self._db = db
        self._jobs = jobs
        self._clock = clock
        self._look_every = look_every
        self.leading = Event()

    def run(self, stop: Event) -> None:
        """Stand by, lead, and stand by again when the lead is lost, until `stop` is set."""
        with Leadership(self._db.dsn) as leadership:
            while not stop.is_set():
                if leadership.acquire():
                    self._lead(leadership, stop)
                    leadership.release()
                stop.wait(self._look_every)

    def run_once(self, stop: Event) -> bool:
        """Do every job once, in order; False when another process leads."""
        with Leadership(self._db.dsn) as leadership:
            if not leadership.acquire():
                return False
            for job in self._jobs:
                self._run(job, stop)
            return True

    def runs(self, limit: int = 50) -> list[JobRun]:
        """The latest runs, latest first."""
        with self._db.read() as conn:
            return repository.runs(conn, limit)

    def _lead(self, leadership: Leadership, stop: Event) -> None:
        _log.info("leading")
        halt = Event()
        scheduler = BackgroundScheduler(
            timezone=UTC,
            executors={"default": ThreadPoolExecutor(max(1, len(self._jobs)))},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        try:
            with self._db.transaction() as conn:
                repository.abandon_runs(conn, self._clock())
            for job in self._jobs:
                scheduler.add_job(self._run, args=(job, halt), id=job.name, name=job.name, **self._when(job))
            scheduler.start()
            self.leading.set()
            while not stop.wait(self._look_every):
                if not leadership.is_held():
                    _log.warning("lost the lead: the database connection is gone")
                    break
        except Unavailable as error:
            _log.warning("can't lead: the database can't be used", error=str(error))
        finally:
            self.leading.clear()
            halt.set()
            if scheduler.running:
                scheduler.shutdown(wait=True)
            _log.info("no longer leading")

    def _when(self, job: Job) -> dict[str, Any]:
        """A job's trigger, and its first run: now, except for a nightly one that has had its turn."""
        if job.nightly is None:
            return {"trigger": IntervalTrigger(seconds=job.every, timezone=UTC), "next_run_time": utc_now()}
        trigger = CronTrigger(hour=job.nightly.hour, minute=job.nightly.minute, timezone=UTC)
        now = self._clock()
        due = now.astimezone(UTC).replace(hour=job.nightly.hour, minute=job.nightly.minute, second=0, microsecond=0)
        if due > now:
            due -= timedelta(days=1)
        with self._db.read() as conn:
            last = repository.last_success(conn, job.name)
        return (
            {"trigger": trigger}
            if last is not None and last >= due
            else {"trigger": trigger, "next_run_time": utc_now()}
        )

    def _run(self, job: Job, halt: Event) -> None:
        """One run, recorded from beginning to end. Nothing it raises may reach the scheduler unrecorded."""
        if halt.is_set():
            return
        try:
            with self._db.transaction() as conn:
                # A job never runs beside itself: what is still "running" is a run whose end could not be written.
                repository.abandon_runs(conn, self._clock(), job.name)
                run_id = repository.start_run(conn, job.name, self._clock())
            try:
                done = job.work(halt)
            except Exception as error:  # noqa: BLE001 - recorded, whatever it is; the next turn tries again
                _log.exception("job failed", job=job.name)
                self._finish(job, run_id, "failed", f"{type(error).__name__}: {error}")
            else:
                self._finish(job, run_id, "idle" if done is None else "done", done or "")
        except Unavailable as error:
            _log.warning("job put off: the database can't be used", job=job.name, error=str(error))

    def _finish(self, job: Job, run_id: int, outcome: str, detail: str) -> None:
        now = self._clock()
        with self._db.transaction() as conn:
            if outcome == "idle" and repository.join_idle_run(conn, job.name, run_id, now):
                return
            repository.finish_run(conn, run_id, now, outcome, detail[:_MOST_DETAIL])
