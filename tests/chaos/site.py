"""A whole chain as processes that can be killed: boxes on disks of their own, broker, workers, web, database.

Everything speaks over lines of ours, so that each can be broken by itself. What is killed is started again by the
fault's end, on the same port and with what its disk has.
"""

import os
import shutil
import signal
import subprocess
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import psycopg

from server.access.models import Scope
from server.ingest.broker import SERVER_USER, EmbeddedBroker
from server.services import make_services
from server.storage import embedded_place
from server.storage.embedded import FAST, EmbeddedPostgres
from server.storage.migrate import migrate
from server.stores.models import NewStore
from tests.chaos.boxsite import LENGTH, BoxSite
from tests.chaos.disk import make_disk
from tests.chaos.parrot import Parrot
from tests.chaos.plan import Plan
from tests.chaos.process import Process
from tests.chaos.proxy import Lines
from tests.chaos.stream import Stream, camera_of, lines_of
from tests.fixtures.broker import SERVER_PASSWORD
from tests.fixtures.ports import free_port
from tests.fixtures.processes import central_settings, command, environment, is_up, parsed
from tests.fixtures.wait import wait_until

STORES: Final = ("S01", "S02")
#: A machine that is busy with something else may take long to start them (seconds).
_START_S: Final = 240.0
_FAIL = """
CREATE TABLE chaos (share real NOT NULL);
INSERT INTO chaos VALUES (0);
CREATE FUNCTION chaos_fails() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF random() < (SELECT share FROM chaos) THEN
        RAISE EXCEPTION 'chaos'
            USING ERRCODE = (ARRAY['40001', '40P01', '53100', 'XX000'])[1 + floor(random() * 4)::int];
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER chaos_at_commit AFTER UPDATE ON ingest_cursor DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION chaos_fails();
CREATE TRIGGER chaos_under_way AFTER INSERT ON traffic_15m FOR EACH STATEMENT EXECUTE FUNCTION chaos_fails();
"""


class KeepingBroker(EmbeddedBroker):
    """Mosquitto that keeps what it holds on disk, so that there is something to lose."""

    def _mosquitto_command(self) -> list[str | Path]:
        made = super()._mosquitto_command()
        config = self.directory / "mosquitto.conf"
        text = config.read_text().replace("persistence false", f"persistence true\npersistence_location {self.store}/")
        config.write_text(text + "autosave_interval 1\n")
        self.store.mkdir(exist_ok=True)
        return made

    @property
    def store(self) -> Path:
        return self.directory / "store"


class Site:
    """Everything of one schedule; `start`, and `close` whatever happened."""

    def __init__(self, folder: Path, plan: Plan, *, mounts: bool) -> None:
        self.folder = folder
        self.plan = plan
        self._mounts = mounts
        self._closing = ExitStack()
        self._backup: Path | None = None
        self._owed: list[tuple[str, tuple[object, ...]]] = []

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._closing.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()

    def _start(self) -> None:
        self.postgres = EmbeddedPostgres(self.folder / "postgres", port=free_port(), settings=FAST)
        self._closing.callback(self.postgres.remove)
        migrate(self.postgres.start().dsn)
        users = {SERVER_USER: SERVER_PASSWORD}
        self.broker = KeepingBroker(self.folder / "broker", free_port(), users=users, kind="mosquitto")
        self._closing.enter_context(self.broker)
        self.lines = Lines()
        self._closing.callback(self.lines.close)
        self.database_line = self.lines.line(self.postgres.port)
        self.ingest_line = self.lines.line(self.broker.port)
        port = f":{self.postgres.port}/"
        env = central_settings(self.postgres.dsn.replace(port, f":{self.database_line.port}/"), self.broker)
        env |= {"DOORLINE_BROKER_PORT": str(self.ingest_line.port), "DOORLINE_BROKER_PROTOCOL": "5"}
        self.settings = parsed({**env, "DOORLINE_DSN": self.postgres.dsn})
        self.web_url = f"http://127.0.0.1:{env['DOORLINE_WEB_PORT']}" if self.plan.web else ""
        self.boxes = self._boxes()
        self.ingest = [
            Process(command("ingest"), environment(env), self.folder / f"ingest-{number}.log")
            for number in range(self.plan.workers)
        ]
        self.web = Process(command("web"), environment(env), self.folder / "web.log")
        for process in [*self.ingest, self.web]:
            self._closing.callback(process.end)
        secrets = {box.name: box.password for box in self.boxes}
        self.parrot = Parrot(self.broker.port, SERVER_PASSWORD, secrets, self.web_url, self.plan.seed)
        self._closing.callback(self.parrot.close)
        for process in self.ingest:
            process.start()
        if self.plan.web:
            self.web.start()
            wait_until(lambda: is_up(self.web_url), _START_S, "the web server")
        wait_until(lambda: all(b"listening" in each.log.read_bytes() for each in self.ingest), _START_S, "the workers")

    def _boxes(self) -> list[BoxSite]:
        base = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(hours=2)
        scope, boxes = Scope.system("chaos"), []
        with make_services(self.settings) as services:
            for store in STORES:
                services.stores.add_store(scope, NewStore(store, store, "UTC"))
            for number in range(self.plan.boxes):
                name, store = f"door-{number}", STORES[number % 2]
                for each in STORES:
                    camera = camera_of(each, name)
                    services.stores.add_camera(scope, each, camera, camera, installed_at=base - timedelta(days=1))
                    for door in lines_of(each, name):
                        services.stores.add_line(scope, camera, door, door)
                password = services.stores.add_device(scope, store, name).password
                self.broker.add_user(name, password)
                folder = self.folder / name
                folder.mkdir()
                disk = make_disk(folder, mounts=self._mounts)
                stream = Stream(self.plan.seed, name, ((1, store),), base, LENGTH)
                line = self.lines.line(self.broker.port)
                https_line = self.lines.line(self.settings.web_port) if self.plan.web else None
                box = BoxSite(number, name, folder, disk, line, stream, password, https_line)
                self._closing.callback(disk.close)
                self._closing.callback(box.process.kill)
                boxes.append(box)
        with psycopg.connect(self.postgres.dsn, autocommit=True) as connection:
            connection.execute(_FAIL)
        return boxes

    def sql(self, text: str, *values: object) -> None:
        """Something done to the database from outside, past every line."""
        with psycopg.connect(self.postgres.dsn, autocommit=True, connect_timeout=10) as connection:
            connection.execute(text.encode(), values)

    def sql_in_time(self, text: str, *values: object) -> None:
        """The same, or as soon as the faults are over where the database is away."""
        try:
            self.sql(text, *values)
        except psycopg.OperationalError:
            self._owed.append((text, values))

    def mend(self) -> None:
        """Nothing is broken any more; what waited for it is done."""
        self.sql("UPDATE chaos SET share = 0")
        for text, values in self._owed:
            self.sql(text, *values)
        for line in (self.database_line, self.ingest_line):
            line.reset()
        for process in self.ingest:
            process.start()
        for box in self.boxes:
            box.start()
            box.order(finish=True, hold=False)

    # -- the database ------------------------------------------------------------------------------------------------

    def kill_database(self) -> None:
        if self.postgres.pid is not None:
            os.kill(self.postgres.pid, signal.SIGKILL)
            self.postgres.stop()

    def start_database(self) -> None:
        port = self.postgres.port
        self.postgres.start()
        assert self.postgres.port == port, "the database came up on another port"

    def back_up(self) -> None:
        """Keep what it has now, between a stop and a start."""
        self.postgres.stop()
        if self._backup is not None:
            shutil.rmtree(self._backup)
        self._backup = self._cluster.with_name("backup")
        _copy(self._cluster, self._backup)
        self.start_database()

    def restore(self) -> None:
        """Be as it was at the last backup, whatever was committed and acknowledged since."""
        if self._backup is None:
            return
        self.kill_database()
        cluster = self._cluster
        wait_until(lambda: not _used(cluster), 20, "the killed database's processes to end")
        shutil.rmtree(cluster)
        _copy(self._backup, cluster)
        self.start_database()

    @property
    def _cluster(self) -> Path:
        place = embedded_place.recorded(self.postgres.data_dir)
        assert place is not None
        return place.cluster

    # -- the broker ---------------------------------------------------------------------------------------------------

    def kill_broker(self, *, wipe: bool) -> None:
        if self.broker.pid is not None:
            os.kill(self.broker.pid, signal.SIGKILL)
            self.broker.stop()
        if wipe:
            shutil.rmtree(self.broker.store, ignore_errors=True)

    def start_broker(self) -> None:
        self.broker.start()

    def send_broker(self, number: signal.Signals) -> None:
        if self.broker.pid is not None:
            os.kill(self.broker.pid, number)


def _copy(source: Path, target: Path) -> None:
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)


def _used(folder: Path) -> bool:
    """Whether any process works in this folder."""
    for entry in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if entry.samefile(folder):
                return True
        except OSError:
            continue
    return False
