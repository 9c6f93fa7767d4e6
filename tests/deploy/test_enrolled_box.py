"""A box from nothing to its end, by the commands a person types: authority, file, enrolment, counts, rotation, end.

Mosquitto runs on the configuration we hand out, ingest into a real database, and the box signs in with what
`doorline edge enrol` installed.
"""

import logging
import subprocess
from pathlib import Path

import pytest

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
from server.provisioning.door import Credentials, knock
from tests.fixtures.centre import Site, ingesting
from tests.fixtures.processes import command, environment, running
from tests.fixtures.wait import wait_until

pytestmark = [
    pytest.mark.mosquitto,
    # paho leaves the socket of a failed handshake to the garbage collector, which warns.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
SCENE = "scene:overhead?seed=3&rate=20&seconds=40&light=steady&size=192x144&fps=8"
FAST = Backoff(0.05, 0.2)


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
