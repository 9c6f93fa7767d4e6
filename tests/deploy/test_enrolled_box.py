"""A box from nothing to its end, by the commands a person types: authority, file, enrolment, counts, rotation, end.

Mosquitto runs on the configuration we hand out, ingest into a real database, and the box signs in with what
`doorline edge enrol` installed.
"""

import logging
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from edge import config as configuration
from edge.camera import open_source
from edge.clock import SystemClock, moment
from edge.detectors import make_detector
from edge.link.mqtt import MqttTransport
from edge.models import Crossing
from edge.outbox import Outbox
from edge.pipeline import make_pipeline
from edge.scene import door_line
from edge.uplink import Backoff, Uplink
from server.ingest.service import IngestService
from server.ingest.worker import IngestWorker
from server.provisioning.authority import Authority
from server.provisioning.door import Credentials, knock
from server.provisioning.folder import PkiFolder
from server.provisioning.models import Endpoint
from server.storage.pool import Database
from tests.fixtures.broker import require_mosquitto
from tests.fixtures.mosquitto import DeployedBroker
from tests.fixtures.pki import PASSPHRASE
from tests.fixtures.ports import free_port
from tests.fixtures.processes import command, environment, running
from tests.fixtures.wait import wait_until

pytestmark = [
    pytest.mark.mosquitto,
    # paho leaves the socket of a failed handshake to the garbage collector, which warns.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
SCENE = "scene:overhead?seed=3&rate=20&seconds=40&light=steady&size=192x144&fps=8"
FAST = Backoff(0.05, 0.2)


@dataclass
class Site:
    """The centre, by its commands; and the folder of a box."""

    env: dict[str, str]
    folder: Path
    broker: DeployedBroker
    db: Database

    def run(self, *words: str, **env: str) -> Result:
        return CliRunner().invoke(app, list(words), env={**self.env, **env})

    def do(self, *words: str) -> str:
        """A command that has to succeed."""
        result = self.run(*words)
        assert result.exit_code == 0, result.output
        return result.output

    @property
    def config(self) -> Path:
        return self.folder / "box" / "edge.toml"

    def enrol(self, file: str, *options: str) -> str:
        """On the box."""
        return self.do("edge", "enrol", str(self.folder / file), "--config", str(self.config), *options)

    def installed(self) -> Credentials:
        """What the box signs in with now, kept aside as a thief would."""
        kept = self.folder / f"kept-{datetime.now(UTC).timestamp()}"
        kept.mkdir()
        for name in ("ca.crt", "device.crt", "device.key"):
            (kept / name).write_bytes((self.config.parent / "identity" / name).read_bytes())
        return Credentials(kept / "ca.crt", kept / "device.crt", kept / "device.key")

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        with self.db.read() as conn:
            return conn.execute(sql.encode()).fetchall()

    def in_database(self) -> tuple[int, int]:
        """Crossings, and how many different ones."""
        ((number, different),) = self.rows("SELECT count(*), count(DISTINCT (device_id, epoch, seq)) FROM crossing")
        return int(str(number)), int(str(different))


@pytest.fixture
def site(db_dsn: str, db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Store S01 with a camera and box door-1, its enrolment file, and the broker running."""
    require_mosquitto()
    monkeypatch.chdir(tmp_path)
    port, inner_port = free_port(), free_port()
    (tmp_path / "passphrase").write_text(PASSPHRASE + "\n")
    own = tmp_path / "pki" / "server"
    env = {
        "DOORLINE_DSN": db_dsn,
        "DOORLINE_PKI_DIR": str(tmp_path / "pki"),
        "DOORLINE_PKI_PASSPHRASE_FILE": str(tmp_path / "passphrase"),
        "DOORLINE_BROKER_HOST": "localhost",
        "DOORLINE_BROKER_PORT": str(inner_port),
        "DOORLINE_BROKER_PROTOCOL": "5",
        "DOORLINE_BROKER_CA_FILE": str(own / "ca.crt"),
        "DOORLINE_BROKER_CERT_FILE": str(own / "server.crt"),
        "DOORLINE_BROKER_KEY_FILE": str(own / "server.key"),
        "COLUMNS": "200",
        "TERM": "dumb",
    }
    made = CliRunner().invoke(app, ["pki", "init", "--host", "localhost", "--port", str(port)], env=env)
    assert made.exit_code == 0, made.output
    with DeployedBroker(tmp_path, PkiFolder(tmp_path / "pki"), port, inner_port) as broker:
        here = Site({**env, "DOORLINE_BROKER_RELOAD": broker.reload_command}, tmp_path, broker, db)
        here.do("store", "add", "S01", "--name", "静安店")
        here.do("store", "add-camera", "S01", "C1", "--line", "L1", "--installed-at", "2026-01-01T00:00+08:00")
        here.do("device", "add", "--store", "S01", "--name", "door-1")
        (tmp_path / "box").mkdir()
        yield here


@contextmanager
def ingesting(site: Site) -> Iterator[None]:
    """An ingest worker at the server's listener."""
    stop = threading.Event()
    worker = IngestWorker(IngestService(site.db), site.broker.server_address)
    thread = threading.Thread(target=worker.run, args=(stop,))
    thread.start()
    try:
        wait_until(lambda: worker.ready, what="the worker to listen")
        yield
    finally:
        stop.set()
        thread.join(20)


class Box:
    """An enrolled box's outbox and uplink, fed by hand."""

    def __init__(self, site: Site) -> None:
        if "[[camera]]" not in site.config.read_text().replace("# [[camera]]", ""):
            site.config.write_text(site.config.read_text() + CAMERA)
        config = configuration.load(site.config)
        self.clock = SystemClock()
        self.outbox = Outbox(Path(config.outbox.path), self.clock, commit_every_s=0, max_batch=10)
        self.transport = MqttTransport(config.device.name, config.broker, answer_s=1.0)
        self.uplink = Uplink(
            self.outbox,
            self.transport,
            self.clock,
            device=config.device.name,
            flush_after_s=0.02,
            max_batch=10,
            resend_after_s=0.5,
            backoff=FAST,
            refusal_backoff=FAST,
        )
        self.counted = 0

    def count(self, number: int = 1) -> None:
        for _ in range(number):
            self.counted += 1
            crossing = Crossing("L1", "in", self.counted, 0, 0.0, 0.9, self.counted)
            self.outbox.append_crossing("C1", crossing, moment(self.clock))

    def drained(self) -> bool:
        return self.outbox.pending == 0

    def __enter__(self) -> "Box":
        self.uplink.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.uplink.stop()
        self.outbox.close()


CAMERA = f"""
[[camera]]
id = "C1"
source = "{SCENE}"
mounting = "overhead"
starts_at = 2026-11-21T09:00:00+08:00

  [[camera.line]]
  id = "L1"
  start = {list(door_line("overhead").start)}
  end = {list(door_line("overhead").end)}
  inside = {list(door_line("overhead").inside)}
"""


def test_an_enrolled_box_counts_into_the_database(site: Site) -> None:
    assert "not enrolled yet" in site.do("device", "list")
    assert "This box is door-1 now" in site.enrol("door-1.enrol")
    site.config.write_text(site.config.read_text() + CAMERA)
    with running(site.env, site.folder, "ingest"):
        subprocess.run(
            command("edge", "run", str(site.config), "--until-drained"),
            env=environment(site.env),
            check=True,
            timeout=120,
        )
        wait_until(
            lambda: site.rows("SELECT FROM device_certificate WHERE first_seen_at IS NOT NULL"), what="the status"
        )
    assert site.rows("SELECT direction, count(*) FROM crossing GROUP BY 1 ORDER BY 1") == counted_alone()
    assert site.rows("SELECT store_id, device_id, epoch IS NULL FROM crossing GROUP BY 1, 2, 3") == [
        ("S01", "door-1", False)
    ]
    listed = site.do("device", "list")
    assert "door-1" in listed
    assert "not enrolled yet" not in listed


def counted_alone() -> list[tuple[object, ...]]:
    """Crossings by direction, with no agent, broker or server about."""
    found: dict[str, int] = {}
    line = door_line("overhead")
    with open_source(SCENE) as frames:
        pipeline = None
        for frame in frames:
            if pipeline is None:
                pipeline = make_pipeline(
                    make_detector("motion", mounting="overhead"),
                    [type(line)("L1", line.start, line.end, line.inside)],
                    mounting="overhead",
                    aspect=frame.aspect,
                )
            for crossing in pipeline.step(frame).crossings:
                found[crossing.direction] = found.get(crossing.direction, 0) + 1
    assert found
    return sorted(found.items())


def test_what_the_centre_sets_is_tried_kept_or_gone_back_from_and_said(site: Site) -> None:
    """By the commands a person types, over the broker as deployed, with the box as a process of its own."""
    site.enrol("door-1.enrol")
    live = CAMERA.replace("&seconds=40", "").replace("starts_at = 2026-11-21T09:00:00+08:00\n", "")
    site.config.write_text(site.config.read_text() + live)
    wanted = site.folder / "door-1.toml"
    wanted.write_text(live.replace(f'source = "{SCENE.replace("&seconds=40", "")}"\n', ""))
    assert "S01's" not in site.do("device", "config", "set", "door-1", str(wanted), "--note", "from the office")

    def shown(words: str) -> bool:
        return words in site.run("device", "config", "show", "door-1").stderr

    with running(site.env, site.folder, "ingest"), running(site.env, site.folder, "edge", "run", str(site.config)):
        wait_until(lambda: shown("applied"), 90, "the first to be applied")
        assert "1 applied" in site.do("device", "list")
        wanted.write_text(
            wanted.read_text().replace('mounting = "overhead"', 'mounting = "overhead"\ndetector = "onnx"')
        )
        site.do("device", "config", "set", "door-1", str(wanted))
        wait_until(lambda: shown("FAILED"), 90, "the second to fail")
        assert shown("In use: revision 1.")
        before = site.in_database()[0]
        wait_until(lambda: site.in_database()[0] > before, 90, "it to count on")
        site.do("device", "config", "clear", "door-1")
        wait_until(lambda: shown("revision 3") and shown("applied"), 90, "the box's own file to count again")
    number, different = site.in_database()
    assert number == different
    history = site.do("device", "config", "history", "door-1")
    assert "from the office" in history
    assert "FAILED" in history


def test_a_certificate_is_rotated_under_way_and_no_record_is_lost_or_doubled(site: Site) -> None:
    site.enrol("door-1.enrol")
    with ingesting(site), Box(site) as box:
        box.count(25)
        wait_until(box.drained, what="the first records")
        old = site.installed()
        first = box.transport.certificate

        rotated = site.do("device", "rotate", "door-1", "--out", "second.enrol")
        assert "is taken until the new one was seen" in rotated
        assert knock(site.broker.endpoint, old)
        assert "new certificate not seen yet; the old one ends" in site.do("device", "list")
        box.count(25)  # under way while the identity changes beneath them
        said = site.enrol("second.enrol", "--replace")
        assert "takes it up within a minute" in said
        box.count(25)
        wait_until(lambda: box.transport.certificate != first, what="the new certificate to be used")
        wait_until(box.drained, what="the records of the rotation")
        wait_until(
            lambda: site.rows(
                f"SELECT FROM device_certificate WHERE first_seen_at IS NOT NULL"
                f" AND fingerprint = '{box.transport.certificate}'"
            ),
            what="the server to see it",
        )
        assert "end the old one: doorline pki crl" in site.do("device", "list")

        assert "its old certificate" in site.do("pki", "crl")
        box.count(25)
        wait_until(box.drained, what="the records after the old one's end")
        assert not knock(site.broker.endpoint, old)
        assert "pki crl" not in site.do("device", "list")
    assert site.in_database() == (100, 100)


def test_a_box_that_is_ended_is_out_at_once_and_keeps_what_it_counts_until_it_is_taken_back(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.enrol("door-1.enrol")
    site.do("device", "add", "--store", "S01", "--name", "door-2")
    old = site.installed()
    with ingesting(site), Box(site) as box, caplog.at_level(logging.WARNING, "edge.uplink"):
        box.count(10)
        wait_until(box.drained, what="the first records")
        said = site.do("device", "revoke", "door-1")
        assert "The broker goes by it; cut the sessions of door-1." in said
        wait_until(lambda: not box.uplink.connected, what="the box to be cut off")
        box.count(10)
        wait_until(lambda: "it may not take this box's certificate" in caplog.text, what="the box to say why")
        assert not knock(site.broker.endpoint, old)
        assert box.outbox.pending == 10
        assert site.in_database() == (10, 10)
        assert "ended" in site.do("device", "list")
        assert "was ended already" in site.do("device", "revoke", "door-1")
        # Taken back, it sends what it counted meanwhile.
        said = site.do("device", "rotate", "door-1", "--out", "back.enrol")
        assert "is one of S01's boxes again" in said
        site.enrol("back.enrol", "--replace")
        wait_until(box.drained, what="what it counted while it was out")
        assert not knock(site.broker.endpoint, old)
    assert site.in_database() == (20, 20)
    # Nobody else was touched.
    box_2 = site.folder / "box-2" / "edge.toml"
    box_2.parent.mkdir()
    site.do("edge", "enrol", "door-2.enrol", "--config", str(box_2))
    identity = box_2.parent / "identity"
    assert knock(
        site.broker.endpoint, Credentials(identity / "ca.crt", identity / "device.crt", identity / "device.key")
    )


def test_where_nobody_can_tell_the_broker_each_step_by_hand_is_named(site: Site) -> None:
    site.enrol("door-1.enrol")
    old = site.installed()
    done = site.run("device", "revoke", "door-1", DOORLINE_BROKER_RELOAD="")
    assert done.exit_code == 1
    assert "takes nothing from it any more" in done.stdout
    assert "The broker has not read it yet" in done.stderr
    assert "doorline device cut door-1" in done.stderr
    assert knock(site.broker.endpoint, old)
    found = site.run("pki", "check")
    assert found.exit_code == 1
    assert "does NOT go by the newest revocation list" in found.stderr

    site.broker.reload()
    wait_until(lambda: site.run("pki", "check").exit_code == 0, what="the broker to go by the list")
    assert "Cut the session of door-1" in site.do("device", "cut", "door-1")
    assert not knock(site.broker.endpoint, old)


@pytest.mark.parametrize(
    ("reload", "words"),
    [("false", "failed with status 1"), ("/nonexistent/command", "can't be run"), ("'", "can't be run")],
)
def test_a_reload_that_fails_is_not_taken_for_one(site: Site, reload: str, words: str) -> None:
    done = site.run("device", "revoke", "door-1", DOORLINE_BROKER_RELOAD=reload)
    assert done.exit_code == 1
    assert "The broker was NOT told" in done.stderr
    assert words in done.stderr


def test_a_broker_that_is_away_is_said_to_be(site: Site) -> None:
    site.broker.stop()
    done = site.run("device", "revoke", "door-1", DOORLINE_BROKER_RELOAD="true")
    assert done.exit_code == 1
    assert "Whether the broker goes by it is not known" in done.stderr
    for words in (
        ("pki", "check"),
        ("device", "cut", "door-1"),
        ("pki", "check", "--at", f"localhost:{free_port()}"),
    ):
        failed = site.run(*words)
        assert failed.exit_code == 2
        assert "can't be reached" in failed.stderr
        assert "Traceback" not in failed.output
    site.broker.start()
    site.env["DOORLINE_BROKER_RELOAD"] = site.broker.reload_command
    site.do("pki", "crl")


def test_what_a_person_gets_wrong_is_one_clear_line(site: Site) -> None:
    other = ("device", "add", "--store", "S01", "--name")
    cases = [
        ((*other, "door-1", "--out", "x.enrol"), "there is a device 'door-1' already"),
        ((*other, "door-9", "--out", "door-1.enrol"), "door-1.enrol is there already"),
        ((*other, "door-9", "--out", "nowhere/x"), "can't be written"),
        ((*other, "doorline-server"), "is kept for the server's own"),
        ((*other, "a/b"), "is not of the form"),
        (("device", "add", "--store", "S99", "--name", "door-9"), "there is no store 'S99'"),
        (("device", "rotate", "door-9"), "there is no device 'door-9'"),
        (("device", "move", "door-1", "--store", "S01"), "stands in 'S01' already"),
        (("device", "revoke", "door-9"), "there is no device 'door-9'"),
        (("pki", "init", "--host", "localhost"), "there is an authority in"),
        (("pki", "renew", "everything"), "is none of ca, broker, server"),
        (("pki", "renew", "server", "--host", "x"), "--host is for the broker"),
        (("pki", "check", "--at", "somewhere"), "is not HOST:PORT"),
    ]
    for words, said in cases:
        result = site.run(*words)
        assert result.exit_code == 2, (words, result.output)
        assert said in result.stderr, (words, result.output)
        assert "Traceback" not in result.output
    wrong = site.folder / "wrong"
    wrong.write_text("not the passphrase")
    result = site.run(*other, "door-9", DOORLINE_PKI_PASSPHRASE_FILE=str(wrong))
    assert (result.exit_code, "passphrase" in result.stderr) == (2, True)
    # Nothing of all this left a box, or a file.
    assert site.rows("SELECT device_id FROM device") == [("door-1",)]
    assert [path.name for path in site.folder.glob("*.enrol")] == ["door-1.enrol"]


def test_a_file_with_a_key_is_its_owners_only(site: Site) -> None:
    assert (site.folder / "door-1.enrol").stat().st_mode & 0o777 == 0o600


def test_status_and_renewal_of_the_authority(site: Site) -> None:
    site.enrol("door-1.enrol")
    old = site.installed()
    status = site.do("pki", "status")
    assert f"boxes are sent to localhost:{site.broker.port}" in status
    for part in ("server", "broker", "ca"):
        assert f"Renewed {part}" in site.do("pki", "renew", part)
    assert site.run("pki", "check").exit_code == 0
    assert knock(site.broker.endpoint, old)
    with psycopg.connect(site.env["DOORLINE_DSN"]) as conn:
        assert conn.execute("SELECT count(*) FROM device_certificate").fetchone() == (1,)


def test_a_stolen_key_of_the_centre_is_replaced_and_refused(site: Site) -> None:
    own = site.folder / "pki" / "server"
    stolen = Credentials(
        *[Path(shutil.copy(own / name, site.folder)) for name in ("ca.crt", "server.crt", "server.key")]
    )
    assert knock(site.broker.inner, stolen)
    for part in ("server", "broker"):
        assert f"Gave the {part} a new key" in site.do("pki", "replace", part)
    assert not knock(site.broker.inner, stolen)
    assert knock(site.broker.inner, site.broker.server)
    with ingesting(site):
        pass
    assert site.run("pki", "replace", "ca").exit_code == 2


def test_an_authority_that_is_about_to_end_says_so_years_before(site: Site, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    soon = PkiFolder(tmp_path / "soon")
    soon.create(Authority.create("soon", now, timedelta(days=4 * 365)), PASSPHRASE, Endpoint("localhost", 1), [])
    for words, status in ((("pki", "status"), 1), (("device", "list"), 0)):
        said = site.run(*words, DOORLINE_PKI_DIR=str(soon.path))
        assert said.exit_code == status
        assert "The authority ends in 14" in said.stderr
        assert "doorline pki renew ca" in said.stderr
    ended = PkiFolder(tmp_path / "ended")
    past = Authority.create("ended", now - timedelta(days=400), timedelta(days=365))
    ended.create(past, PASSPHRASE, Endpoint("localhost", 1), [])
    said = site.run("pki", "status", DOORLINE_PKI_DIR=str(ended.path))
    assert said.exit_code == 1
    assert "The certificate of ca has EXPIRED" in said.stderr
    renewed = site.run("pki", "renew", "ca", DOORLINE_PKI_DIR=str(ended.path), DOORLINE_BROKER_RELOAD="")
    assert renewed.exit_code == 0, renewed.output
    assert "of ca has EXPIRED" not in site.run("device", "list", DOORLINE_PKI_DIR=str(ended.path)).stderr
