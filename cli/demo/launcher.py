"""Brings the demo up step by step, keeps it up, and takes it down.

The order is that of dependence: database, schema, the past, broker, ingest, jobs, web, and the boxes last, so that what
they say first is heard. It is taken down in the opposite order. Being told to stop is honoured at every step, also in
the middle of writing the past.
"""

import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from cli.demo import people, repository
from cli.demo.boxes import Video, write_box
from cli.demo.chain import MANAGER_STORE, STORES, TIMEZONE
from cli.demo.home import WEB_HOST, DemoError, Home, Kept, usable_port, write_secret
from cli.demo.processes import Processes
from cli.demo.promised import SCOPE
from cli.demo.seeding import Seeding
from cli.demo.simulated import Plan
from server.access.models import UserRole
from server.access.service import AccessService
from server.ingest.broker import SERVER_USER, EmbeddedBroker
from server.membership.crypto import MemberKeys
from server.settings import Settings
from server.storage.embedded import EmbeddedPostgres
from server.storage.migrate import migrate
from server.storage.pool import Database
from server.stores.calendar import DEFAULT_DAY_STARTS, DayRule, StoreCalendar
from server.stores.models import EVER

_WEB_WITHIN_S: Final = 45.0
_BOXES_WITHIN_S: Final = 30.0
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class SignIn:
    """Someone who can sign in, and what they come for."""

    username: str
    display_name: str
    role: UserRole
    stores: tuple[str, ...]
    purpose: str


SIGN_INS: Final = (
    SignIn("manager", "王经理 Manager Wang", "manager", (MANAGER_STORE,), "a store manager: today, live"),
    SignIn("hq", "总部分析 HQ analyst", "hq", (), "headquarters: all stores side by side"),
    SignIn("desk", "会员台 Member desk", "desk", (MANAGER_STORE,), "the member desk: find or enrol a VIP"),
)


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for.

    Attributes:
        days: of history.
        fresh: forget what an earlier run left.
    """

    home: Path
    port: int
    days: int
    fresh: bool
    video: Video | None


class Stopped(BaseException):
    """Told to stop; not an Exception, so that nothing on the way mistakes it for a failure."""


class Demo:
    """One run."""

    def __init__(self, options: Options, console: Console) -> None:
        self._options = options
        self._console = console
        self._stop = threading.Event()
        self._began = time.monotonic()
        self._since = datetime.now(UTC)
        self._simulated = [store for store in STORES if store.scene is None]

    def run(self) -> None:
        """Up, until told to stop, and down.

        Raises:
            DemoError: it can't start, or can't go on.
        """
        with ExitStack() as stack:
            home = stack.enter_context(Home(self._options.home))
            port = usable_port(self._options.port)
            stack.enter_context(self._signals())
            try:
                if self._options.fresh:
                    with self._doing("Forgetting what an earlier run left"):
                        home.forget()
                home.prepare()
                self._up(stack, home, port)
            except Stopped:
                self._say("\nStopping: boxes first, then the server, then the database.")
            except BaseException:
                # Whoever presses Ctrl-C now must not cut the cleaning up short.
                self._stop.set()
                raise
        self._console.print("Stopped. Everything it started has ended; the data waits for the next run.")

    def _up(self, stack: ExitStack, home: Home, port: int) -> None:
        kept = home.load()
        if not kept.made and home.database.exists():
            self._say("An earlier start was interrupted while it wrote the history; beginning anew.")
            home.forget()
            home.prepare()
            kept = Kept()
        home.save(kept)
        postgres = EmbeddedPostgres(home.database)
        with self._doing("PostgreSQL"):
            stack.enter_context(postgres)
            migrate(postgres.dsn)
        self._past(home, kept, postgres.dsn)
        users = {SERVER_USER: kept.broker, **kept.devices}
        broker = EmbeddedBroker(home.broker, users=users)
        with self._doing(f"MQTT broker ({broker.kind})"):
            stack.enter_context(broker)
        processes = Processes(home.logs, self._say)
        stack.callback(processes.stop)
        env = self._environment(kept, postgres.dsn, broker, port)
        with self._doing("ingest, jobs and web"):
            for name in ("ingest", "jobs", "web"):
                processes.start(name, "cli.main", name, env=env)
            self._wait_for_web(processes, port)
        with self._doing(f"{len(STORES)} boxes: 2 that count, {len(self._simulated)} simulated"):
            self._start_boxes(home, kept, processes, postgres.dsn, broker, port)
            self._wait_for_boxes(processes, postgres.dsn)
        self._welcome(home, kept, broker, postgres, port)
        while not self._stop.wait(0.5):
            processes.look()
        raise Stopped

    # -- the past

    def _past(self, home: Home, kept: Kept, dsn: str) -> None:
        now = datetime.now(UTC)
        today = _business_day(now)
        first_day = today - timedelta(days=self._options.days)
        repository.wait_for_disk(dsn, wait=False)
        try:
            with Database(dsn, 4, statement_seconds=0) as db, self._bars() as bars:
                made = date.fromisoformat(kept.made) if kept.made else today
                seeding = Seeding(db, MemberKeys.from_base64(kept.master), made, bars)
                if not kept.made:
                    kept.devices = seeding.make_chain(first_day)
                    self._make_users(db, kept)
                    home.save(kept)
                filled = seeding.fill(first_day, datetime.now(UTC))
        finally:
            repository.wait_for_disk(dsn, wait=True)
        if not kept.made:
            kept.made = today.isoformat()
            home.save(kept)
            self._say(f"[green]✓[/] {len(STORES)} stores with {self._options.days} days of made-up history")
        elif filled:
            self._say(f"[green]✓[/] the {_in_words(filled)} since the last run, filled with made-up history")

    def _make_users(self, db: Database, kept: Kept) -> None:
        access = AccessService(db, Settings.model_construct())
        for each in SIGN_INS:
            access.create_user(
                SCOPE, each.username, kept.password(each.username), each.display_name, each.role, each.stores
            )
        kept.tills = {
            store.store_id: access.create_api_key(SCOPE, f"tills of {store.store_id}", "till", [store.store_id])
            for store in STORES
        }

    # -- the present

    def _environment(self, kept: Kept, dsn: str, broker: EmbeddedBroker, port: int) -> dict[str, str]:
        return {
            "DOORLINE_DSN": dsn,
            "DOORLINE_POOL_SIZE": "6",
            "DOORLINE_BROKER_HOST": broker.host,
            "DOORLINE_BROKER_PORT": str(broker.port),
            "DOORLINE_BROKER_USERNAME": SERVER_USER,
            "DOORLINE_BROKER_PASSWORD": kept.broker,
            "DOORLINE_SECRET_KEY": kept.master,
            "DOORLINE_WEB_HOST": WEB_HOST,
            "DOORLINE_WEB_PORT": str(port),
            "DOORLINE_RECOMPUTE_SECONDS": "5",
        }

    def _start_boxes(
        self, home: Home, kept: Kept, processes: Processes, dsn: str, broker: EmbeddedBroker, port: int
    ) -> None:
        address = (broker.host, broker.port)
        for store in STORES:
            if store.scene is not None:
                config = write_box(home, store, kept.devices[store.device], address, self._options.video)
                processes.start(store.device, "cli.main", "edge", "run", config, env={"OMP_NUM_THREADS": "1"})
        plan = Plan(
            dsn=dsn,
            web=f"http://{WEB_HOST}:{port}",
            broker=address,
            boxes={store.device: str(home.box(store.device).absolute()) for store in self._simulated},
            passwords=kept.devices,
            tills=kept.tills,
        )
        plan_file = home.path / "boxes" / "simulated.json"
        write_secret(plan_file, msgspec.json.encode(plan))
        processes.start("simulated", "cli.demo.simulated", plan_file.absolute())

    def _wait_for_web(self, processes: Processes, port: int) -> None:
        give_up = time.monotonic() + _WEB_WITHIN_S
        while time.monotonic() < give_up:
            _still_there(processes)
            try:
                with urllib.request.urlopen(f"http://{WEB_HOST}:{port}/healthz", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                self._pause()
        raise DemoError(f"the web server did not answer within {_WEB_WITHIN_S:.0f} s: see logs/web.log")

    def _wait_for_boxes(self, processes: Processes, dsn: str) -> None:
        give_up = time.monotonic() + _BOXES_WITHIN_S
        with Database(dsn, 1) as db:
            while time.monotonic() < give_up:
                _still_there(processes)
                with db.read() as conn:
                    online = repository.boxes_online(conn, self._since)
                if online >= len(STORES):
                    return
                self._pause()
        self._say(f"[yellow]Only {online} of {len(STORES)} boxes have come on line so far;[/] their logs say why.")

    def _pause(self) -> None:
        if self._stop.wait(0.1):
            raise Stopped

    # -- what is said

    def _welcome(self, home: Home, kept: Kept, broker: EmbeddedBroker, postgres: EmbeddedPostgres, port: int) -> None:
        say = self._say
        say("")
        say(
            f"[bold green]Doorline is up[/] after {time.monotonic() - self._began:.0f} s:  [bold]http://{WEB_HOST}:{port}/[/]"
        )
        say("")
        for each in SIGN_INS:
            say(f"  {each.username:<8} [bold]{kept.password(each.username)}[/]   {each.purpose}")
        say("")
        say(f"  At the desk, try the number [bold]{people.phone(1)}[/]: a member with points, coupons and a card.")
        counting = "your film, again and again" if self._options.video else "a rendered scene from above"
        say(f"  S01 is really counted, from {counting}; S02 from a rendered scene, obliquely.")
        say(
            f"  {', '.join(store.store_id for store in self._simulated)} have simulated boxes; all tills are simulated."
        )
        say(f"  Database: PostgreSQL on port {postgres.port}, embedded. Broker: {broker.kind} on port {broker.port}.")
        say(f"  Logs: {home.logs}. Stop: Ctrl-C. Forget all of it: make clean-demo")
        say("")

    def _say(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True)

    @contextmanager
    def _doing(self, what: str) -> Iterator[None]:
        began = time.monotonic()
        with self._console.status(what):
            yield
        self._say(f"[green]✓[/] {what} [dim]{time.monotonic() - began:.1f} s[/]")

    @contextmanager
    def _bars(self) -> Iterator["_Bars"]:
        with Progress(
            TextColumn("  {task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
        ) as progress:
            yield _Bars(progress)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Being told to stop raises `Stopped` here once; after that we are stopping, and patience is asked for."""

        def told(_number: int, _frame: object) -> None:
            if self._stop.is_set():
                self._console.print("Stopping; a moment more, please.")
                return
            self._stop.set()
            raise Stopped

        before = {number: signal.signal(number, told) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class _Bars:
    """Progress of the past, one bar for each part."""

    _NAMES: Final = {
        "history": "Writing history (store-days)",
        "members": "Points, tiers and coupons of members",
        "facts": "Computing KPIs (store-days)",
    }

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, int] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(self._NAMES.get(what, what), total=total)
        self._progress.update(self._tasks[what], completed=done, total=total)  # type: ignore[arg-type]


def _still_there(processes: Processes) -> None:
    dead = processes.dead()
    if dead is not None:
        raise DemoError(f"{dead[0]} ended at once; its last words:\n{dead[1]}")


def _business_day(at: datetime) -> date:
    """The day it is in the stores."""
    return StoreCalendar([DayRule(EVER, TIMEZONE, DEFAULT_DAY_STARTS)]).day_of(at)


def _in_words(span: timedelta) -> str:
    hours = span.total_seconds() / 3600
    number, unit = (hours * 60, "minute") if hours < 1 else (hours, "hour") if hours < 48 else (hours / 24, "day")
    whole = max(1, round(number))
    return f"{whole} {unit}s" if whole > 1 else unit
