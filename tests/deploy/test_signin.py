"""`doorline edge check` on the deployed broker: it tries the sign-in and leaves an agent's session alone."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from edge.check import check
from edge.clock import SystemClock
from edge.config import load
from edge.findings import Finding
from edge.link import signin
from edge.link.mqtt import MqttTransport
from edge.outbox import Outbox
from edge.settings import EdgeConfig
from edge.uplink import Backoff, Uplink
from server.provisioning.authority import Authority, Ended, Issued
from server.provisioning.door import knock
from tests.fixtures.mosquitto import DeployedBroker
from tests.fixtures.wait import wait_until

pytestmark = [
    pytest.mark.mosquitto,
    # paho leaves the socket of a failed handshake to the garbage collector, which warns.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
NOW = datetime.now(UTC)
MakeBox = Callable[..., EdgeConfig]


@pytest.fixture
def make_box(deployed: DeployedBroker, tmp_path: Path) -> MakeBox:
    """A box's configuration, with a certificate."""

    def make(issued: Issued | None = None, *, name: str = "door-1", port: int | None = None) -> EdgeConfig:
        settings = deployed.box_settings(issued or deployed.issue("door-1"))
        path = tmp_path / "edge.toml"
        path.write_text(
            f"""
[device]
name = "{name}"

[broker]
host = "localhost"
port = {port or deployed.port}
ca_file = "{settings.ca_file}"
cert_file = "{settings.cert_file}"
key_file = "{settings.key_file}"

[outbox]
path = "outbox.sqlite"

[[camera]]
id = "C1"
source = "nothing.mp4"

  [[camera.line]]
  id = "L1"
  start = [0.1, 0.5]
  end = [0.9, 0.5]
  inside = [0.5, 0.9]
"""
        )
        return load(path)

    return make


class Watched(Uplink):
    """Notes each connection that is lost, though it come back at once."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.lost: list[str] = []

    def _lose(self, reason: str) -> None:
        self.lost.append(reason)
        super()._lose(reason)


def of_broker(config: EdgeConfig) -> Finding:
    """What `doorline edge check` says last."""
    return list(check(config, Path("edge.toml")))[-1]


def test_a_box_alone_signs_in(make_box: MakeBox) -> None:
    finding = of_broker(make_box())
    assert (finding.verdict, finding.remedy) == ("ok", "")
    assert "signed in (MQTT 5)" in finding.what


def test_an_agent_that_runs_keeps_its_session(make_box: MakeBox) -> None:
    config = make_box()
    clock = SystemClock()
    outbox = Outbox(Path(config.outbox.path), clock)
    uplink = Watched(outbox, MqttTransport("door-1", config.broker), clock, device="door-1", backoff=Backoff(0.05, 0.2))
    uplink.start()
    try:
        wait_until(lambda: uplink.connected, what="the agent to connect")
        finding = of_broker(config)
        assert "takes our certificate" in finding.what
        assert finding.verdict == "ok"
        assert uplink.connected
        assert uplink.lost == []
    finally:
        uplink.stop()
        outbox.close()
    assert not signin.agent_runs(config)


def test_a_certificate_the_broker_does_not_take_is_found_out_beside_an_agent_too(
    deployed: DeployedBroker, make_box: MakeBox
) -> None:
    issued = deployed.issue("door-1")
    config = make_box(issued)
    deployed.pki.publish(deployed.authority, [Ended(issued.serial, NOW)], NOW)
    deployed.reload()
    wait_until(lambda: not knock(deployed.endpoint, deployed.canary), what="the broker to go by the list")
    beside = signin.check_door(config.broker)
    assert beside.verdict == "wrong"
    assert "doorline device rotate" in beside.remedy
    alone = of_broker(config)
    assert alone.verdict == "wrong"
    assert "certificate" in alone.what


def test_what_is_wrong_with_a_certificate_is_said(deployed: DeployedBroker, make_box: MakeBox) -> None:
    def said(config: EdgeConfig) -> tuple[str, str]:
        (finding,) = signin.check_identity(config)
        return finding.verdict, finding.what

    assert said(make_box())[0] == "ok"
    assert said(make_box(name="door-2")) == (
        "wrong",
        "certificate: it is door-1's, and device.name is door-2; the broker goes by the first",
    )
    soon = deployed.authority.issue_client("door-1", NOW, timedelta(days=10))
    assert said(make_box(soon))[0] == "warning"
    stranger = Authority.create("stranger", NOW).issue_client("door-1", NOW)
    assert said(make_box(stranger))[0] == "wrong"


def test_a_broker_that_is_away_is_said_to_be(deployed: DeployedBroker, make_box: MakeBox) -> None:
    config = make_box()
    deployed.stop()
    finding = signin.check_door(config.broker)
    assert finding.verdict == "wrong"
    assert "refused" in finding.what
